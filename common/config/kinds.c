/* See kinds.h. */
#include "common/config/kinds.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

bool rows_have(const struct option_row *rows, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].key, key) == 0)
            return true;
    return false;
}

size_t rows_join(struct option_row *out, size_t n, size_t cap, const struct option_row *more, size_t n_more)
{
    for (size_t i = 0; i < n_more; i++) {
        if (rows_have(out, n, more[i].key))
            continue;
        assert(n < cap);
        out[n++] = more[i];
    }
    return n;
}

/* A word of a list that is separated by blanks. */
static bool next_word(const char **list, char word[64])
{
    size_t n;

    *list += strspn(*list, " ");
    n = strcspn(*list, " ");
    if (!n)
        return false;
    (void)snprintf(word, 64, "%.*s", (int)n, *list);
    *list += n;
    return true;
}

static bool is_empty(const struct section *s, const char *key, const struct kind *k)
{
    for (size_t i = 0; i < k->n_rows; i++) {
        enum option_type type = k->rows[i].type;

        if (strcmp(k->rows[i].key, key) != 0)
            continue;
        if (type == OPT_LIST || type == OPT_URLS)
            return option_count(s, key) == 0;
        if (type == OPT_STRING)
            return !option_set(s, key) || !*option_text(s, key);
    }
    return !option_set(s, key);
}

int kind_check(const struct section *s, const struct kind *k, const struct option_row *all, size_t from,
               size_t n, struct buf *report, struct err *e)
{
    const char *required = k->required ? k->required : "";
    char word[64];
    int rc = 0;

    for (size_t i = from; i < n; i++)
        if (!rows_have(k->rows, k->n_rows, all[i].key) &&
            strcmp(option_origin(s, all[i].key), "default") != 0)
            rc = config_complain(report, s, all[i].key, e, "%s of type %s has no such option", k->noun,
                                 k->type);
    while (next_word(&required, word))
        if (is_empty(s, word, k))
            rc = config_complain(report, s, NULL, e, "%s of type %s needs `%s`", k->noun, k->type, word);
    return rc;
}
