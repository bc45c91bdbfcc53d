/* Series that were never there: a rule of statistic absent whose matchers name one value for each label of its groups
 * knows the group that it waits for. It counts as absent when, a window after the start, no such group was told of.
 * See state.h. */
#include <string.h>

#include "aggregator/alert/state.h"

/* Reads the words name="value" of a matcher's canonical text into v; \ escapes. The texts go into the buffer. */
static uint32_t fixed_labels(const char *p, struct label *v, uint32_t most, char *text, size_t room)
{
    uint32_t n = 0;
    size_t used = 0;

    while (*p && n < most) {
        size_t name = strcspn(p, "=!");
        const char *value = p + name + 2;
        char *at = text + used;

        if (used + strlen(p) + 2 > room)
            break;
        if (p[name] == '=' && p[name + 1] == '"') {
            memcpy(at, p, name);
            at[name] = 0;
            v[n].name = at;
            at += name + 1;
            v[n].value = at;
            for (; *value && *value != '"'; value++) {
                if (*value == '\\' && value[1])
                    value++;
                *at++ = *value;
            }
            *at++ = 0;
            used = (size_t)(at - text);
            if (*v[n].value)
                n++;
            p = *value ? value + 1 : value;
        } else { /* another operator: its value may hold blanks, in quotes */
            p = strchr(p, '"');
            for (p = p ? p + 1 : ""; *p && *p != '"'; p++) {
                if (*p == '\\' && p[1])
                    p++;
            }
            p += *p == '"';
        }
        p += strspn(p, " ,");
    }
    labels_sort(v, n);
    return n;
}

/* The one group that the matchers leave, or false. */
static bool awaited(const struct selection *s, struct label *v, uint32_t *n, char *text, size_t room)
{
    struct label fixed[MATCH_MOST];
    struct labels all = {fixed, 0};

    all.n = fixed_labels(match_text(s->match), fixed, MATCH_MOST, text, room);
    *n = 0;
    if (s->by_all) {
        memcpy(v, fixed, all.n * sizeof *v);
        *n = all.n;
        return all.n > 0;
    }
    for (uint32_t i = 0; i < s->n_by; i++) {
        const char *value = labels_get(all, s->by[i]);

        if (!*value)
            return false;
        v[(*n)++] = (struct label){s->by[i], value};
    }
    return true;
}

void absent_look(const struct turn *t, struct rule_state *rs)
{
    const struct selection *s;
    struct label v[MATCH_MOST];
    char text[MATCH_TEXT_MOST * 2];
    struct measured m = {.t = t->in->now.ms, .threshold = 0, .verdict = VERDICT_HOLDS};
    struct labels l = {v, 0};
    bool there;

    if (t->in->now.ms - t->a->started < span_to_ms(rs->rule->window))
        return;
    s = selections_at(t->a->selections, rs->rule->selection);
    if (!awaited(s, v, &l.n, text, sizeof text))
        return;
    there = s->by_all ? facts_groups(t->in->facts, rs->rule->selection) > 0
                      : facts_group_find(t->in->facts, rs->rule->selection, l) != NULL;
    if (there) /* looked at as a group; an alert of one that was awaited by its matchers alone ends */
        m.verdict = VERDICT_CLEAR;
    if (!there || (s->by_all && rs->n))
        rule_offer(t, rs, l, &m);
}
