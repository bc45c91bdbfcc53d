/* The rules of a configuration as a whole: names that must exist, circles, order, selections. */
#include <string.h>

#include "aggregator/alert/rule.h"
#include "aggregator/alert/when.h"

const struct rule *rules_find(const struct rules *rs, const char *name)
{
    for (uint32_t i = 0; i < rs->n; i++) {
        if (!strcmp(rs->v[i].name, name))
            return &rs->v[i];
    }
    return NULL;
}

struct crossing {
    const struct config *c;
    const struct rules *rules;
    struct buf *report;
    struct err *e;
    int rc;
};

static const struct section *section_of(const struct crossing *x, const char *name)
{
    const struct section *s;

    for (size_t i = 0; (s = config_named(x->c, "alert", i)); i++) {
        if (!strcmp(section_label(s), name))
            return s;
    }
    return NULL;
}

static void check_name(struct crossing *x, const struct rule *r, const char *key, const char *name)
{
    const struct rule *other = rules_find(x->rules, name);

    if (!other)
        x->rc = config_complain(x->report, section_of(x, r->name), key, x->e,
                                "found \"%.64s\", which is no [alert NAME]", name);
    else if (other == r)
        x->rc = config_complain(x->report, section_of(x, r->name), key, x->e, "names the alert itself");
}

static void check_names(struct crossing *x, const struct rule *r)
{
    for (unsigned i = 0; r->when && i < when_count(r->when); i++)
        check_name(x, r, "when", when_name(r->when, i));
    for (uint32_t i = 0; i < r->n_suppressors; i++)
        check_name(x, r, "suppressed_by", r->suppressors[i]);
}

/* A rule is ready when all that it is made of is placed. */
static bool ready(const struct rules *rs, const bool *placed, const struct rule *r)
{
    for (unsigned i = 0; r->when && i < when_count(r->when); i++) {
        const struct rule *other = rules_find(rs, when_name(r->when, i));

        if (other && !placed[other - rs->v])
            return false;
    }
    for (uint32_t i = 0; i < r->n_suppressors; i++) {
        const struct rule *other = rules_find(rs, r->suppressors[i]);

        if (other && !placed[other - rs->v])
            return false;
    }
    return true;
}

/* Puts into v what is to be judged in this order; what remains stands in a circle. Plain rules go first, at once. */
static int order(struct crossing *x, struct arena *a, struct rules *rs)
{
    struct rule *v = arena_array(a, rs->n ? rs->n : 1, sizeof *v);
    bool *placed = arena_array(a, rs->n ? rs->n : 1, sizeof *placed);
    uint32_t n = 0, before;

    if (!v || !placed)
        return err_set(x->e, ERR_NOMEM, "no memory for rules");
    do {
        before = n;
        for (uint32_t i = 0; i < rs->n; i++) {
            if (placed[i] || !ready(rs, placed, &rs->v[i]))
                continue;
            placed[i] = true;
            v[n++] = rs->v[i];
        }
    } while (n > before);
    for (uint32_t i = 0; i < rs->n; i++) {
        if (!placed[i])
            x->rc = config_complain(x->report, section_of(x, rs->v[i].name),
                                    rs->v[i].when ? "when" : "suppressed_by", x->e,
                                    "stands in a circle: the alerts that it names depend on it");
    }
    rs->v = v;
    rs->n = n;
    return x->rc;
}

int rules_read(const struct config *c, bool (*slo_known)(void *arg, const char *name), void *arg,
               struct arena *a, struct rules *out, struct buf *report, struct err *e)
{
    struct crossing x = {.c = c, .rules = out, .report = report, .e = e};
    const struct section *s;
    uint32_t n = 0;

    while (config_named(c, "alert", n))
        n++;
    *out = (struct rules){.v = arena_array(a, n ? n : 1, sizeof(struct rule))};
    if (!out->v)
        return err_set(e, ERR_NOMEM, "no memory for rules");
    for (; (s = config_named(c, "alert", out->n)); out->n++) {
        struct rule *r = &out->v[out->n];
        int rc = rule_read(s, a, r, report, e);

        if (rc == ERR_NOMEM)
            return rc;
        if (rc)
            x.rc = rc;
        if (r->kind == RULE_BURN && *r->slo && slo_known && !slo_known(arg, r->slo))
            x.rc = config_complain(report, s, "slo", e, "found \"%.64s\", which is no [slo NAME]", r->slo);
    }
    for (uint32_t i = 0; i < out->n; i++)
        check_names(&x, &out->v[i]);
    return x.rc ? x.rc : order(&x, a, out);
}

/* ---- what they look at ---- */

struct span rule_reach(const struct rule *r)
{
    int64_t ns = r->window.ns + (r->kind == RULE_CHANGE ? r->before.ns : 0);

    if (r->kind == RULE_ABSENT && ns < r->forget.ns)
        ns = r->forget.ns; /* who was there before */
    return span_ns(ns + 60 * INT64_C(1000000000));
}

static bool looks(const struct rule *r)
{
    return r->kind != RULE_BURN && r->kind != RULE_COMPOSITE;
}

static int add(struct selections *s, const struct rule *r, struct err *e)
{
    uint32_t at;
    int rc = selections_add(s, r->metric, r->match_text, r->by, r->n_by, rule_reach(r), &at, e);

    if (!rc && r->kind == RULE_RATIO)
        rc = selections_add(s, r->of, r->of_match, r->by, r->n_by, rule_reach(r), &at, e);
    return rc;
}

int alert_check(const struct config *c, bool (*slo_known)(void *arg, const char *name), void *arg,
                struct buf *report, struct err *e)
{
    struct arena a;
    struct rules rs;
    int rc;

    arena_init(&a, NULL, 0);
    rc = rules_read(c, slo_known, arg, &a, &rs, report, e);
    arena_free(&a);
    return rc;
}

int alert_selections(const struct config *c, struct selections *s, struct err *e)
{
    struct buf report;
    struct arena a;
    struct rules rs;
    int rc;

    buf_init(&report, NULL, 64 << 10);
    arena_init(&a, NULL, 0);
    rc = rules_read(c, NULL, NULL, &a, &rs, &report, e);
    for (uint32_t i = 0; !rc && i < rs.n; i++) {
        if (looks(&rs.v[i]))
            rc = add(s, &rs.v[i], e);
        if (rc)
            err_prefix(e, "[alert %s]", rs.v[i].name);
    }
    arena_free(&a);
    buf_free(&report);
    return rc;
}

static bool same_by(const struct selection *x, const struct rule *r)
{
    if (r->n_by == 1 && !strcmp(r->by[0], "*"))
        return x->by_all;
    if (x->by_all)
        return false;
    for (uint32_t i = 0; i < r->n_by; i++) {
        uint32_t k = 0;

        while (k < x->n_by && strcmp(x->by[k], r->by[i]))
            k++;
        if (k == x->n_by)
            return false;
    }
    for (uint32_t k = 0; k < x->n_by; k++) {
        uint32_t i = 0;

        while (i < r->n_by && strcmp(x->by[k], r->by[i]))
            i++;
        if (i == r->n_by)
            return false;
    }
    return true;
}

static int find_selection(const struct selections *s, const struct rule *r, const char *metric,
                          const char *match, uint32_t *at, struct err *e)
{
    struct match *m = match_new(match, e);
    uint32_t n = selections_count(s), i;

    if (!m)
        return e->code;
    for (i = 0; i < n; i++) {
        const struct selection *x = selections_at(s, i);

        if (!strcmp(x->metric, metric) && same_by(x, r) && !strcmp(match_text(x->match), match_text(m)))
            break;
    }
    match_free(&m);
    if (i == n)
        return err_set(e, ERR_NOTFOUND, "[alert %s]: no selection of %s was made", r->name, metric);
    *at = i;
    return 0;
}

int rule_resolve(struct rule *r, const struct selections *s, struct err *e)
{
    int rc;

    r->selection = r->of_selection = RULE_NOTHING;
    if (!looks(r))
        return 0;
    rc = find_selection(s, r, r->metric, r->match_text, &r->selection, e);
    if (!rc && r->kind == RULE_RATIO)
        rc = find_selection(s, r, r->of, r->of_match, &r->of_selection, e);
    return rc;
}
