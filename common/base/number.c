/* Shortest text of a double: see number.h. Whole numbers below 2^53 go a fast way, and so do those
 * that have few decimals, as what the kernel counts in hundredths or microseconds has: an integer
 * below 2^53 divided by a power of ten up to 10^22 is the double nearest to that decimal number
 * (Clinger, "How to Read Floating Point Numbers Accurately"), and at most 15 digits are the shortest
 * text once their last zeros are gone. For others the least precision that reads back is searched
 * for, from 15 digits (always enough for what was typed) to 17 (always enough). */
#include "common/base/number.h"

#include <assert.h>
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

/* v with up to `decimals` of them, of which scale is the power of ten; 0 when it is not such a number. */
static size_t decimal(double v, int decimals, double scale, char *out)
{
    double a = fabs(v), nearest;
    int64_t x;
    size_t n, point;

    if (a < 0.0001 || a * scale >= 1e15)
        return 0;
    x = (int64_t)(a * scale + 0.5);
    nearest = (double)x / scale;
    if (nearest < a || nearest > a)
        return 0;
    out[0] = '-';
    n = v < 0 ? 1 : 0;
    point = n + whole(x / (int64_t)scale, out + n);
    n = point + whole((int64_t)scale + x % (int64_t)scale, out + point); /* the leading 1 becomes the point */
    out[point] = '.';
    assert(n == point + 1 + (size_t)decimals);
    while (out[n - 1] == '0')
        n--;
    out[n] = 0;
    return n;
}

size_t number_text(double v, char out[NUMBER_TEXT])
{
    size_t n;

    if (isnan(v))
        return fixed("NaN", out);
    if (isinf(v))
        return fixed(v > 0 ? "+Inf" : "-Inf", out);
    if (fabs(v) < 9007199254740992.0 && v == (double)(int64_t)v)
        return whole((int64_t)v, out);
    if ((n = decimal(v, 6, 1e6, out)) > 0 || (n = decimal(v, 2, 1e2, out)) > 0)
        return n;
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(out, NUMBER_TEXT, "%.*g", precision, v);
        if (strtod(out, NULL) == v)
            break;
    }
    return strlen(out);
}
