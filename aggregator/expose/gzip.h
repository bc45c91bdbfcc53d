/* Answers compressed on request. */
#ifndef SB_EXPOSE_GZIP_H
#define SB_EXPOSE_GZIP_H

#include <stdbool.h>

#include "common/base/buf.h"

bool gzip_wanted(const char *accept_encoding); /* NULL: no */
/* Appends the gzip form (RFC 1952) of p[n]. False when it does not fit or memory is short: send it plain. */
bool gzip_bytes(const void *p, size_t n, struct buf *out);

#endif
