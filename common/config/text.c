/* Small judgements about text: see text.h. */
#include "common/config/text.h"

#include <stdint.h>
#include <string.h>

enum { WORD_MAX = 64 };

size_t utf8_len(const unsigned char *p, size_t n)
{
    size_t need, i;

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    need = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (n < need)
        return 0;
    for (i = 1; i < need; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
        (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return need;
}

size_t utf8_cut(const char *s, size_t n, size_t max)
{
    size_t k = max;

    if (n <= max)
        return n;
    while (k > 0 && k + 3 > max && ((unsigned char)s[k] & 0xC0) == 0x80)
        k--;
    return k;
}

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t word_distance(const char *a, const char *b)
{
    /* the row before the last, the last, this one; distances are at most WORD_MAX */
    uint8_t rows[3][WORD_MAX + 1];
    uint8_t *older = rows[0], *old = rows[1], *now = rows[2], *t;
    size_t n = strlen(a), m = strlen(b), i, j, d;

    if (n > WORD_MAX || m > WORD_MAX)
        return WORD_FAR;
    for (j = 0; j <= m; j++)
        old[j] = (uint8_t)j;
    for (i = 1; i <= n; i++) {
        now[0] = (uint8_t)i;
        for (j = 1; j <= m; j++) {
            d = least((size_t)old[j] + 1, (size_t)now[j - 1] + 1);
            d = least(d, (size_t)old[j - 1] + (fold(a[i - 1]) != fold(b[j - 1])));
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
                d = least(d, (size_t)older[j - 2] + 1);
            now[j] = (uint8_t)d;
        }
        t = older;
        older = old;
        old = now;
        now = t;
    }
    return old[m];
}

void nearest_offer(struct nearest *n, const char *word, const char *candidate)
{
    size_t d = word_distance(word, candidate), most = strlen(word) / 3;

    most = most < 1 ? 1 : most > 3 ? 3 : most;
    if (d <= most && (!n->best || d < n->distance)) {
        n->best = candidate;
        n->distance = d;
    }
}
