/* gzip by zlib, at the level that costs least: a scrape is read once. */
#include "aggregator/expose/gzip.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

/* The weight of one element, "gzip ; q=0.5"; -1 when it is of another coding (RFC 9110, 12.5.3). */
static double weight(const char *p, size_t n, const char *coding)
{
    size_t name = strlen(coding), at = strspn(p, " \t");

    if (at + name > n || strncasecmp(p + at, coding, name) != 0)
        return -1;
    at += name;
    at += strspn(p + at, " \t");
    if (at >= n)
        return 1;
    if (p[at++] != ';')
        return -1;
    at += strspn(p + at, " \t");
    return at + 2 < n && strncasecmp(p + at, "q=", 2) == 0 ? strtod(p + at + 2, NULL) : 1;
}

bool gzip_wanted(const char *accept_encoding)
{
    double gzip = -1, any = -1;

    for (const char *p = accept_encoding ? accept_encoding : ""; *p;) {
        size_t n = strcspn(p, ",");
        double g = weight(p, n, "gzip"), a = weight(p, n, "*");

        gzip = g >= 0 ? g : gzip;
        any = a >= 0 ? a : any;
        p += n + (p[n] == ',');
    }
    return gzip >= 0 ? gzip > 0 : any > 0;
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
