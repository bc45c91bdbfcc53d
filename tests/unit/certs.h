/* Certificates for tests, made on the spot: a CA, leaves with what is asked for, revocation lists. Files go
 * to the current folder: NAME.pem, NAME.key, NAME.crl. */
#ifndef SB_TESTS_CERTS_H
#define SB_TESTS_CERTS_H

#include <stdio.h>
#include <stdlib.h>

#include "common/net/openssl.h"

struct authority {
    X509 *cert;
    EVP_PKEY *key;
    long serial;
};

struct leaf {
    const char *name; /* of the files, and the CN */
    const char *san;  /* as openssl.cnf(5) writes it: "DNS:localhost,IP:127.0.0.1,URI:securebase://agent/a" */
    const char *usage;    /* extended key usage: "serverAuth", "clientAuth"; NULL: none */
    long from_s, until_s; /* against now */
};

static inline void certs_must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "certs: %s\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

static inline void certs_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    certs_must(ext && X509_add_ext(cert, ext, -1) == 1, value);
    X509_EXTENSION_free(ext);
}

static inline X509 *certs_begin(const char *cn, EVP_PKEY *key, X509 *issuer, long serial, long from_s,
                                long until_s)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);

    certs_must(
        X509_set_version(cert, 2) && ASN1_INTEGER_set(X509_get_serialNumber(cert), serial) &&
            X509_gmtime_adj(X509_getm_notBefore(cert), from_s) &&
            X509_gmtime_adj(X509_getm_notAfter(cert), until_s) && X509_set_pubkey(cert, key) &&
            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0) &&
            X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)),
        cn);
    return cert;
}

static inline void certs_write(const char *name, const char *ext, X509 *cert, EVP_PKEY *key)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof(path), "%s.%s", name, ext);
    f = fopen(path, "w");
    certs_must(f &&
                   (cert ? PEM_write_X509(f, cert) : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL)),
               path);
    fclose(f);
}

static inline struct authority authority_new(const char *name)
{
    struct authority a = {.key = EVP_EC_gen("P-256"), .serial = 100};

    a.cert = certs_begin(name, a.key, NULL, 1, -3600, 86400);
    certs_extend(a.cert, a.cert, NID_basic_constraints, "critical,CA:TRUE");
    certs_extend(a.cert, a.cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    certs_extend(a.cert, a.cert, NID_subject_key_identifier, "hash");
    certs_must(X509_sign(a.cert, a.key, EVP_sha256()) > 0, name);
    certs_write(name, "pem", a.cert, NULL);
    return a;
}

static inline void authority_free(struct authority *a)
{
    X509_free(a->cert);
    EVP_PKEY_free(a->key);
}

/* Returns the serial number. */
static inline long authority_issue(struct authority *a, const struct leaf *l)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    long serial = a->serial++;
    X509 *cert = certs_begin(l->name, key, a->cert, serial, l->from_s, l->until_s);

    if (l->san)
        certs_extend(cert, a->cert, NID_subject_alt_name, l->san);
    if (l->usage)
        certs_extend(cert, a->cert, NID_ext_key_usage, l->usage);
    certs_extend(cert, a->cert, NID_authority_key_identifier, "keyid");
    certs_must(X509_sign(cert, a->key, EVP_sha256()) > 0, l->name);
    certs_write(l->name, "pem", cert, NULL);
    certs_write(l->name, "key", NULL, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    return serial;
}

static inline void authority_revoke(struct authority *a, const char *file, long serial)
{
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *one = X509_REVOKED_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *next = X509_gmtime_adj(NULL, 3600);
    FILE *f = fopen(file, "w");

    ASN1_INTEGER_set(number, serial);
    certs_must(f && X509_REVOKED_set_serialNumber(one, number) && X509_REVOKED_set_revocationDate(one, now) &&
                   X509_CRL_set_version(crl, 1) &&
                   X509_CRL_set_issuer_name(crl, X509_get_subject_name(a->cert)) &&
                   X509_CRL_set1_lastUpdate(crl, now) && X509_CRL_set1_nextUpdate(crl, next) &&
                   X509_CRL_add0_revoked(crl, one) && X509_CRL_sign(crl, a->key, EVP_sha256()) > 0 &&
                   PEM_write_X509_CRL(f, crl),
               file);
    fclose(f);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(now);
    ASN1_TIME_free(next);
    X509_CRL_free(crl);
}

#endif
