/* Texts of PostgreSQL that we read and write: the mark on a database, the list of standbys to wait for. Pure. */
#include "aggregator/actions/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the mark ---- */

void pg_read_mark(const char *comment, struct pg_state *s)
{
    const char *mark = strstr(comment, "[securebase ");
    struct fencing token;
    uint32_t epoch;

    if (!mark || !action_mark_parse(mark, &epoch, &token))
        return;
    s->fenced = strstr(mark, " fenced]") != NULL;
    s->token = token;
    s->epoch = epoch;
}

void pg_mark(const char *old, const char *mark, const char *word, char *out, size_t cap)
{
    const char *begin = strstr(old, "[securebase "), *end = begin ? strchr(begin, ']') : NULL;
    size_t n = begin && end ? (size_t)(begin - old) : strlen(old);

    while (n > 0 && old[n - 1] == ' ')
        n--;
    (void)snprintf(out, cap, "%.*s%s[securebase %s %s]", (int)n, old, n ? " " : "", mark, word);
}

/* ---- synchronous_standby_names ---- */

static const char *blanks(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

static bool is_word(const char *p, const char *word)
{
    size_t n = strlen(word);

    return strncasecmp(p, word, n) == 0 && (p[n] == ' ' || p[n] == '\t' || (p[n] >= '0' && p[n] <= '9'));
}

/* Names up to the end or the closing bracket; -1 for what is not understood, and for `*`, which may be anybody. */
static long count_names(const char *p, bool bracket)
{
    long n = 0;

    for (;;) {
        p = blanks(p);
        if (*p == '"') {
            p = strchr(p + 1, '"');
            if (!p || p[1] == '"')
                return -1;
            p++;
        } else {
            size_t len = strcspn(p, " \t\r\n,()\"*");

            if (!len)
                return -1;
            p += len;
        }
        n++;
        p = blanks(p);
        if (*p != ',')
            break;
        p++;
    }
    if (bracket && *p++ != ')')
        return -1;
    return *blanks(p) ? -1 : n;
}

bool pg_waits_for_all(const char *names)
{
    const char *p = blanks(names);
    char *end;
    long need = 1;

    if (is_word(p, "first") || is_word(p, "any"))
        p = blanks(p + (is_word(p, "any") ? 3 : 5));
    if (*p >= '0' && *p <= '9') {
        need = strtol(p, &end, 10);
        p = blanks(end);
        if (*p != '(')
            return false;
    }
    return *p == '(' ? count_names(p + 1, true) > 0 && count_names(p + 1, true) <= need
                     : count_names(p, false) == 1;
}
