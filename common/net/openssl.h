/* OpenSSL's headers, included from here alone where err.h is in use: both have an ERR_STATE, theirs a type
 * that nobody needs to name. */
#ifndef SB_NET_OPENSSL_H
#define SB_NET_OPENSSL_H

#define ERR_STATE OPENSSL_ERR_STATE /* renames the type while these headers are read */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#endif
