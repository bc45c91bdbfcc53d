/* Shortest text of a double: see number.h. Whole numbers below 2^53 go a fast way; for others the least
 * precision that reads back is searched for, from 15 digits (always enough for what was typed) to 17 (always
 * enough). */
#include "common/base/number.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t whole(int64_t v, char *out)
{
    char digits[24];
    size_t n = 0, at = 0;
    uint64_t u = v < 0 ? (uint64_t)-v : (uint64_t)v;

    do {
        digits[n++] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0)
        out[at++] = '-';
    while (n)
        out[at++] = digits[--n];
    out[at] = 0;
    return at;
}

static size_t fixed(const char *text, char *out)
{
    size_t n = strlen(text);

    memcpy(out, text, n + 1);
    return n;
}

size_t number_text(double v, char out[NUMBER_TEXT])
{
    if (isnan(v))
        return fixed("NaN", out);
    if (isinf(v))
        return fixed(v > 0 ? "+Inf" : "-Inf", out);
    if (fabs(v) < 9007199254740992.0 && v == (double)(int64_t)v)
        return whole((int64_t)v, out);
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(out, NUMBER_TEXT, "%.*g", precision, v);
        if (strtod(out, NULL) == v)
            break;
    }
    return strlen(out);
}
