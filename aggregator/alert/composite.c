/* Composites: a rule over the alerts of other rules, which stand before it. For each set of values that the labels
 * `on` have among the alerts that fire, the expression is asked; where it holds, the composite has an alert whose
 * group are these labels. See state.h. */
#include <math.h>
#include <string.h>

#include "aggregator/alert/state.h"
#include "aggregator/alert/when.h"

struct key {
    unsigned firing;
    int64_t data; /* newest sample behind one of them */
    struct labels labels;
};

struct composing {
    const struct turn *t;
    struct rule_state *rs;
    struct arena arena;
    struct map keys; /* canonical text of the labels -> struct key */
};

static struct labels join_labels(const struct rule *r, const struct alert *al, struct label *v)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->n_on; i++) {
        const char *value = labels_get(al->labels, r->on[i]);

        if (*value)
            v[n++] = (struct label){r->on[i], value};
    }
    labels_sort(v, n);
    return (struct labels){v, n};
}

static struct key *key_of(struct composing *c, const struct alert *al)
{
    struct label v[RULE_BY_MOST];
    struct labels l = join_labels(c->rs->rule, al, v);
    struct buf *b = &c->t->a->text;
    struct key *k;
    char *text;
    bool ok = true;

    buf_clear(b);
    labels_text(l, b);
    k = map_get(&c->keys, buf_text(b), b->len);
    if (k || b->full)
        return k;
    k = arena_alloc(&c->arena, sizeof *k);
    text = arena_text(&c->arena, buf_text(b), b->len);
    if (!k || !text)
        return NULL;
    k->labels = labels_copy(l, &c->arena, &ok);
    return ok && map_put(&c->keys, text, b->len, k) == 0 ? k : NULL;
}

static void gather(struct composing *c)
{
    const struct when *w = c->rs->rule->when;

    for (unsigned i = 0; i < when_count(w); i++) {
        const struct rule *r = rules_find(&c->t->a->rules, when_name(w, i));
        struct alert *al = r ? c->t->a->states[r - c->t->a->rules.v].first : NULL;

        for (; al; al = al->next) {
            struct key *k = alert_in_force(al->state) && !al->summary ? key_of(c, al) : NULL;

            if (!k)
                continue;
            k->firing |= 1u << i;
            if (al->data > k->data)
                k->data = al->data;
        }
    }
}

static void measure(const struct composing *c, const struct key *k, struct measured *m)
{
    unsigned firing = k ? k->firing : 0;

    *m = (struct measured){.t = c->t->in->now.ms,
                           .data = k ? k->data : 0,
                           .value = __builtin_popcount(firing),
                           .threshold = NAN,
                           .verdict = when_holds(c->rs->rule->when, firing) ? VERDICT_HOLDS : VERDICT_CLEAR};
}

void composite_look(const struct turn *t, struct rule_state *rs)
{
    struct composing c = {.t = t, .rs = rs};
    struct measured m;
    struct key *k;
    size_t i = 0;

    arena_init(&c.arena, t->a->mem, 0);
    map_init(&c.keys, t->a->mem, NULL);
    gather(&c);
    rs->groups = (uint32_t)c.keys.count;
    while ((k = map_next(&c.keys, &i))) {
        measure(&c, k, &m);
        rule_offer(t, rs, k->labels, &m);
    }
    measure(&c, NULL, &m);
    for (struct alert *al = rs->first; al; al = al->next) { /* those of whose parts nothing fires any more */
        if (al->step == t->a->step || al->summary)
            continue;
        al->m = m;
        al->step = t->a->step;
    }
    map_free(&c.keys);
    arena_free(&c.arena);
}
