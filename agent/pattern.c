/* Name patterns: see pattern.h. One place to go back to is enough, since a later star makes an earlier one's
 * choice final; so a match takes at most length of pattern × length of name steps. */
#include "agent/pattern.h"

#include <string.h>

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Matches one element of the pattern, which is no star, at s. Returns how many characters it takes, 0 when it
 * does not match. A run of digits is taken whole: what follows a # in a pattern is no digit. */
static size_t one(char element, const char *s, const char *end)
{
    size_t n = 0;

    if (s == end)
        return 0;
    if (element == '#') {
        while (s + n < end && digit(s[n]))
            n++;
        return n;
    }
    if (element == '?')
        return *s >= 'a' && *s <= 'z';
    return *s == element;
}

bool pattern_match(const char *pattern, struct text name)
{
    const char *s = name.p, *end = name.p + name.n, *back = NULL, *resume = NULL;

    for (;;) {
        size_t n;

        if (*pattern == '*') {
            back = ++pattern;
            resume = s;
            continue;
        }
        if (!*pattern && s == end)
            return true;
        n = *pattern ? one(*pattern, s, end) : 0;
        if (n) {
            pattern++;
            s += n;
        } else if (back && resume < end) {
            pattern = back;
            s = ++resume;
        } else {
            return false;
        }
    }
}

int patterns_set(struct patterns *p, struct mem *mem, const struct section *options, const char *key,
                 struct err *e)
{
    buf_init(&p->words, mem, 64 << 10);
    for (size_t i = 0; i < option_count(options, key); i++) {
        const char *w = option_word(options, key, i);

        buf_put(&p->words, w, strlen(w) + 1);
    }
    return p->words.full
               ? err_set(e, ERR_NOMEM, "%s: %s is too long a list", option_origin(options, key), key)
               : 0;
}

void patterns_free(struct patterns *p)
{
    buf_free(&p->words);
}

bool patterns_match(const struct patterns *p, struct text name)
{
    for (size_t at = 0; at < p->words.len;) {
        const char *w = (const char *)p->words.data + at;

        if (pattern_match(w, name))
            return true;
        at += strlen(w) + 1;
    }
    return false;
}
