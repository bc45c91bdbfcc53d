/* TLS for servers: see tls.h.
 *
 * OpenSSL judges chains with the purpose "sslclient", which refuses a client certificate whose extended key
 * usage does not allow clientAuth (RFC 5280 §4.2.1.12); one without the extension would pass, so identities
 * ask again. A resumed session carries its peer's certificate in the ticket: the session id context keeps
 * sessions of one set of files apart from another's, so that what a new CA or CRL would refuse cannot be
 * resumed past it. */
#include "common/net/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/openssl.h"
#include "common/net/x509.h"

struct tls_server {
    SSL_CTX *ctx;
    uint64_t generation;
};

static int load_ca(SSL_CTX *ctx, const struct tls_files *f, struct err *e)
{
    STACK_OF(X509_NAME) * names;

    if (!f->ca)
        return f->require_client || f->accept_client
                   ? err_set(e, ERR_CONFIG,
                             "client certificates are asked for, but there is no ca to judge them by")
                   : 0;
    if (SSL_CTX_load_verify_file(ctx, f->ca) != 1)
        return x509_err(e, ERR_TLS, "ca", f->ca);
    names = SSL_load_client_CA_file(f->ca);
    if (!names)
        return x509_err(e, ERR_TLS, "ca", f->ca);
    SSL_CTX_set_client_CA_list(ctx, names);
    return 0;
}

/* All lists of the file; each issuer in the chain must then have one. */
static int load_crl(SSL_CTX *ctx, const struct tls_files *f, struct err *e)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    unsigned n = 0;
    X509_CRL *crl;
    BIO *in;

    if (!f->crl)
        return 0;
    in = BIO_new_file(f->crl, "r");
    if (!in)
        return x509_err(e, ERR_IO, "crl", f->crl);
    while ((crl = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL))) {
        n += X509_STORE_add_crl(store, crl) == 1;
        X509_CRL_free(crl);
    }
    BIO_free(in);
    ERR_clear_error();
    if (!n)
        return err_set(e, ERR_TLS, "crl %s: no revocation list in it", f->crl);
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    return 0;
}

static int load_own(SSL_CTX *ctx, const struct tls_files *f, struct err *e)
{
    if (!f->cert || !f->key)
        return err_set(e, ERR_CONFIG, "a TLS server needs cert and key");
    if (SSL_CTX_use_certificate_chain_file(ctx, f->cert) != 1)
        return x509_err(e, ERR_TLS, "cert", f->cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, f->key, SSL_FILETYPE_PEM) != 1)
        return x509_err(e, ERR_TLS, "key", f->key);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return x509_err(e, ERR_TLS, "the key does not belong to the certificate", f->cert);
    return 0;
}

/* A passphrase cannot be asked for: there is nobody at the terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static SSL_CTX *ctx_new(const struct tls_files *f, struct err *e)
{
    unsigned char id[SSL_MAX_SSL_SESSION_ID_LENGTH];
    SSL_CTX *ctx;

    ERR_clear_error();
    ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx || RAND_bytes(id, sizeof(id)) != 1 || SSL_CTX_set_session_id_context(ctx, id, sizeof(id)) != 1 ||
        SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
        x509_err(e, ERR_TLS, "TLS does not start", NULL);
        SSL_CTX_free(ctx);
        return NULL;
    }
    /* Peers that go without close_notify are common; every body
     * here has a length of its own (SSL_CTX_set_options(3)). */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (load_own(ctx, f, e) != 0 || load_ca(ctx, f, e) != 0 || load_crl(ctx, f, e) != 0) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    if (f->require_client)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    else if (f->accept_client)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return ctx;
}

struct tls_server *tls_server_new(const struct tls_files *f, struct err *e)
{
    struct tls_server *s = calloc(1, sizeof(*s));

    if (!s) {
        err_set(e, ERR_NOMEM, "no memory for TLS");
        return NULL;
    }
    s->ctx = ctx_new(f, e);
    if (!s->ctx)
        tls_server_free(&s);
    return s;
}

void tls_server_free(struct tls_server **s)
{
    if (!*s)
        return;
    SSL_CTX_free((*s)->ctx);
    free(*s);
    *s = NULL;
}

int tls_server_reload(struct tls_server *s, const struct tls_files *f, struct err *e)
{
    struct err why = {0};
    SSL_CTX *fresh = ctx_new(f, &why);

    if (!fresh)
        return err_set(e, why.code, "%s", why.text);
    SSL_CTX_free(s->ctx); /* those made from it hold references */
    s->ctx = fresh;
    s->generation++;
    return 0;
}

uint64_t tls_server_generation(const struct tls_server *s)
{
    return s->generation;
}

/* A resumed session has no chain: with an authority of several
 * steps it is not trusted, and shakes hands anew. */
bool tls_server_trusts(const struct tls_server *s, const SSL *ssl)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    bool good =
        cert && c &&
        X509_STORE_CTX_init(c, SSL_CTX_get_cert_store(s->ctx), cert, SSL_get_peer_cert_chain(ssl)) == 1 &&
        X509_STORE_CTX_set_default(c, "ssl_client") == 1 && X509_verify_cert(c) == 1;

    X509_STORE_CTX_free(c);
    ERR_clear_error();
    return good;
}

SSL *tls_server_ssl(struct tls_server *s, struct err *e)
{
    SSL *ssl = SSL_new(s->ctx);

    if (!ssl)
        x509_err(e, ERR_NOMEM, "no memory for a connection", NULL);
    return ssl;
}

struct wall tls_server_not_after(const struct tls_server *s)
{
    return x509_not_after(SSL_CTX_get0_certificate(s->ctx));
}

/* Copies a name into out when it is text: no NUL within it, and not cut. */
static bool copy_name(const ASN1_STRING *from, char *out, size_t room)
{
    const unsigned char *p = ASN1_STRING_get0_data(from);
    int n = ASN1_STRING_length(from);

    if (n <= 0 || (size_t)n >= room || memchr(p, 0, (size_t)n))
        return false;
    memcpy(out, p, (size_t)n);
    out[n] = 0;
    return true;
}

static void read_uris(X509 *cert, struct tls_identity *out)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && out->n < TLS_MAX_IDENTITIES; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_URI &&
            copy_name(name->d.uniformResourceIdentifier, out->uri[out->n], sizeof(out->uri[0])))
            out->n++;
    }
    GENERAL_NAMES_free(names);
}

/* The last CN is the most specific one (X.501 §9). UTF-8 whatever it was encoded in. */
static void read_cn(X509 *cert, struct tls_identity *out)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    unsigned char *text = NULL;
    int at = -1, last = -1, n;

    while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
        last = at;
    if (last < 0)
        return;
    n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    if (n > 0 && (size_t)n < sizeof(out->cn) && !memchr(text, 0, (size_t)n)) {
        memcpy(out->cn, text, (size_t)n);
        out->cn[n] = 0;
    }
    OPENSSL_free(text);
}

void tls_peer_identity(SSL *ssl, struct tls_identity *out)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);

    *out = (struct tls_identity){0};
    if (!cert || SSL_get_verify_result(ssl) != X509_V_OK)
        return;
    if (!(X509_get_extension_flags(cert) & EXFLAG_XKUSAGE) ||
        !(X509_get_extended_key_usage(cert) & XKU_SSL_CLIENT))
        return;
    out->verified = true;
    out->not_after = x509_not_after(cert);
    read_uris(cert, out);
    read_cn(cert, out);
}
