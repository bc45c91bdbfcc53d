/* The little that both ends of TLS ask of certificates. Private to common/net; in x509_io.c. */
#ifndef SB_NET_X509_H
#define SB_NET_X509_H

#include <stdbool.h>

#include "common/base/clock.h"
#include "common/base/err.h"

typedef struct x509_st X509;

struct wall x509_not_after(const X509 *cert); /* {0} for NULL or a time that cannot be read */

/* Can the file be opened, and does it hold at least one certificate (what "ca", "cert") or a private key
 * ("key")? 0, ERR_IO or ERR_TLS with a sentence that names the file. */
int x509_check_pem(const char *what, const char *path, struct err *e);

/* ": reason" of the oldest error in OpenSSL's queue is put
 * behind the sentence; the queue is emptied. Returns code. */
int x509_err(struct err *e, int code, const char *sentence, const char *path);

#endif
