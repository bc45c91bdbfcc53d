/* Certificates from files: see x509.h. */
#include "common/net/x509.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/net/openssl.h"

struct wall x509_not_after(const X509 *cert)
{
    const ASN1_TIME *end = cert ? X509_get0_notAfter(cert) : NULL;
    struct tm tm;
    time_t t;

    if (!end || ASN1_TIME_to_tm(end, &tm) != 1)
        return (struct wall){0};
    t = timegm(&tm);
    return (struct wall){(int64_t)t * 1000};
}

int x509_err(struct err *e, int code, const char *sentence, const char *path)
{
    unsigned long first = ERR_get_error();
    const char *why = !first                    ? NULL
                      : ERR_SYSTEM_ERROR(first) ? strerror(ERR_GET_REASON(first))
                                                : ERR_reason_error_string(first);

    ERR_clear_error();
    return err_set(e, code, "%s%s%s: %s", sentence, path ? " " : "", path ? path : "", why ? why : "refused");
}

int x509_check_pem(const char *what, const char *path, struct err *e)
{
    bool key = strcmp(what, "key") == 0;
    FILE *f = fopen(path, "re");
    EVP_PKEY *pkey = NULL;
    X509 *cert = NULL;
    int rc = 0;

    if (!f)
        return err_sys(e, ERR_IO, errno, "%s %s", what, path);
    ERR_clear_error();
    if (key)
        pkey = PEM_read_PrivateKey(f, NULL, NULL, "");
    else
        cert = PEM_read_X509(f, NULL, NULL, NULL);
    if (!pkey && !cert)
        rc = x509_err(e, ERR_TLS, what, path);
    (void)fclose(f);
    EVP_PKEY_free(pkey);
    X509_free(cert);
    ERR_clear_error();
    return rc;
}
