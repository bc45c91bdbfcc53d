/* gzip by zlib, at the level that costs least: a scrape is read once. */
#include "aggregator/expose/gzip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

bool gzip_wanted(const char *accept_encoding)
{
    const char *p = accept_encoding ? strstr(accept_encoding, "gzip") : NULL;
    const char *end, *q;

    if (!p)
        return false;
    end = p + strcspn(p, ",");
    q = strstr(p, "q=");
    return !q || q > end || strtod(q + 2, NULL) > 0;
}

bool gzip_bytes(const void *p, size_t n, struct buf *out)
{
    enum { GZIP = 16 };
    z_stream z = {0};
    uint8_t *to;
    size_t room;
    int rc;

    if (n > UINT32_MAX || deflateInit2(&z, 1, Z_DEFLATED, 15 + GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    room = deflateBound(&z, n);
    to = buf_grow(out, room);
    if (!to) {
        (void)deflateEnd(&z);
        return false;
    }
    memcpy(&z.next_in, &p, sizeof z.next_in); /* zlib has no const */
    z.avail_in = (uInt)n;
    z.next_out = to;
    z.avail_out = (uInt)room;
    rc = deflate(&z, Z_FINISH);
    out->len -= z.avail_out;
    (void)deflateEnd(&z);
    return rc == Z_STREAM_END;
}
