/* TLS contexts with certificates that can be exchanged while running. OpenSSL 3, TLS 1.2 or later, no
 * renegotiation, session tickets on. In tls_io.c. */
#ifndef SB_NET_TLS_H
#define SB_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/err.h"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

struct tls_files {
    const char *ca, *cert, *key; /* PEM paths; ca may be NULL for a server without client certificates */
    const char *crl;             /* PEM, may be NULL */
    bool require_client;         /* server: a client certificate from ca is demanded in the handshake … */
    bool accept_client;          /* … or asked for and checked if given */
};

struct tls_server; /* owns the current SSL_CTX */
struct tls_server *tls_server_new(const struct tls_files *f, struct err *e);
void tls_server_free(struct tls_server **s);
/* Reads the files again; on error the old context stays in use. Connections that
 * exist keep theirs: whoever serves them asks tls_server_trusts when the generation,
 * which begins at 0 and rises with each reload, is no longer theirs. */
int tls_server_reload(struct tls_server *s, const struct tls_files *f, struct err *e);
uint64_t tls_server_generation(const struct tls_server *s);
/* Whether the peer's certificate would be let in now, by the authority and revocation list in force. */
bool tls_server_trusts(const struct tls_server *s, const SSL *ssl);
/* a new SSL to hand to a bufferevent, which takes it */
SSL *tls_server_ssl(struct tls_server *s, struct err *e);
struct wall tls_server_not_after(const struct tls_server *s); /* of the certificate in use; {0} when none */

/* Identities of the peer of a finished handshake: URI SANs of a certificate that has clientAuth, or the CN
 * when use_cn. */
enum { TLS_MAX_IDENTITIES = 16 };
struct tls_identity {
    bool verified; /* a certificate was given and is valid */
    unsigned n;
    char uri[TLS_MAX_IDENTITIES][256]; /* "securebase://agent/web-1", "securebase://role/viewer" */
    char cn[128];
    struct wall not_after;
};
void tls_peer_identity(SSL *ssl, struct tls_identity *out);

#endif
