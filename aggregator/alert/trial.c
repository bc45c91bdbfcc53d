/* Tests of rules: see trial.h. Each [test] is a rig of its own; its series are fed as their time comes, the rules are
 * stepped, and at the time of an expectation the alerts are looked at. */
#include "aggregator/alert/trial.h"

#include <math.h>
#include <string.h>

#include "aggregator/alert/fill.h"
#include "aggregator/alert/trial_rig.h"
#include "aggregator/alert/trial_series.h"

enum { LABELS_MOST = 32, RULES_MOST = 16, RULES_BYTES = 4 << 20 };

struct trial_input {
    const char *metric;
    enum fact_kind kind;
    struct label v[LABELS_MOST];
    uint32_t n;
    struct trial_walk walk;
    int rc;                 /* of the walk: 1 while a value waits */
    struct burn_fact *burn; /* of slo_burn */
    uint32_t window;
};

struct trial {
    const struct trial_params *p;
    const struct config *c;
    const struct section *test;
    struct wall start;
    struct span interval, step;
    struct rig rig;
    struct arena arena;
    struct trial_input *inputs;
    uint32_t n_inputs;
    struct trial_result *result;
    struct buf *report;
    struct err *e;
};

/* Whether a [series] or [expect] belongs to the test. */
static bool belongs(const struct section *s, const struct section *test)
{
    size_t n = option_count(s, "test");

    for (size_t i = 0; i < n; i++) {
        if (!strcmp(option_word(s, "test", i), section_label(test)))
            return true;
    }
    return !n;
}

static uint32_t read_labels(const struct section *s, struct label *v)
{
    size_t n = option_count(s, "labels");

    for (size_t i = 0; i < n && i < LABELS_MOST; i++)
        option_label(s, "labels", i, &v[i].name, &v[i].value);
    labels_sort(v, (uint32_t)(n < LABELS_MOST ? n : LABELS_MOST));
    return (uint32_t)(n < LABELS_MOST ? n : LABELS_MOST);
}

/* ---- burns ---- */

/* Burns are written as series of the metric slo_burn with the labels slo and window; all other labels are the group. */
static int make_burn(struct trial *t, struct trial_input *in, const struct section *s)
{
    const struct labels all = {in->v, in->n};
    struct label *group = arena_array(&t->arena, in->n + 1, sizeof *group);
    struct labels l = {group, 0};
    struct span window;

    if (!group)
        return err_set(t->e, ERR_NOMEM, "no memory for a test");
    for (uint32_t i = 0; i < in->n; i++) {
        if (strcmp(in->v[i].name, "slo") && strcmp(in->v[i].name, "window"))
            group[l.n++] = in->v[i];
    }
    if (!*labels_get(all, "slo") || parse_duration(labels_get(all, "window"), &window, NULL) != 0)
        return config_complain(t->report, s, "labels", t->e,
                               "slo_burn needs the labels slo and window, as 1h");
    for (uint32_t i = 0; i < t->rig.n_burns && !in->burn; i++) {
        struct burn_fact *b = &t->rig.burns[i];

        if (!strcmp(b->slo, labels_get(all, "slo")) && labels_compare(b->group, l) == 0)
            in->burn = b;
    }
    if (!in->burn) {
        in->burn = &t->rig.burns[t->rig.n_burns++];
        *in->burn = (struct burn_fact){.slo = labels_get(all, "slo"), .group = l, .completeness = 1};
        for (int i = 0; i < BURN_WINDOWS; i++)
            in->burn->w[i] = (struct burn_window){.burn = NAN, .burn_least = NAN};
    }
    while (in->window < BURN_WINDOWS && in->burn->w[in->window].window.ns &&
           in->burn->w[in->window].window.ns != window.ns)
        in->window++;
    if (in->window == BURN_WINDOWS)
        return config_complain(t->report, s, "labels", t->e, "more than %d windows of one objective",
                               (int)BURN_WINDOWS);
    in->burn->w[in->window].window = window;
    return 0;
}

/* ---- series ---- */

static int make_input(struct trial *t, struct trial_input *in, const struct section *s)
{
    const char *kind = option_text(s, "kind");
    size_t n;
    uint32_t steps;
    struct err e = {0};

    in->metric = option_text(s, "metric");
    n = strlen(in->metric);
    if (kind)
        in->kind = !strcmp(kind, "counter") ? FACT_COUNTER
                   : !strcmp(kind, "gauge") ? FACT_GAUGE
                                            : FACT_SKETCH;
    else
        in->kind = n > 6 && !strcmp(in->metric + n - 6, "_total") ? FACT_COUNTER : FACT_GAUGE;
    in->n = read_labels(s, in->v);
    if (trial_series_check(option_text(s, "values"), &steps, &e) != 0)
        return config_complain(t->report, s, "values", t->e, "%s", e.text);
    trial_walk_init(&in->walk, option_text(s, "values"));
    in->rc = trial_walk_next(&in->walk, NULL);
    return strcmp(in->metric, "slo_burn") ? 0 : make_burn(t, in, s);
}

static int make_inputs(struct trial *t)
{
    const struct section *s;
    size_t n = 0;
    int rc = 0;

    while (config_named(t->c, "series", n))
        n++;
    t->inputs = arena_array(&t->arena, n + 1, sizeof *t->inputs);
    t->rig.burns = arena_array(&t->arena, n + 1, sizeof *t->rig.burns);
    if (!t->inputs || !t->rig.burns)
        return err_set(t->e, ERR_NOMEM, "no memory for a test");
    for (size_t i = 0; (s = config_named(t->c, "series", i)); i++) {
        int one = belongs(s, t->test) ? make_input(t, &t->inputs[t->n_inputs++], s) : 0;

        if (one)
            rc = one;
    }
    return rc;
}

static int feed_one(struct trial *t, struct trial_input *in, struct wall at)
{
    struct burn_window *w = in->burn ? &in->burn->w[in->window] : NULL;
    double v = in->walk.value;

    if (w) {
        w->burn = w->burn_least = in->walk.kind == TRIAL_VALUE ? v : NAN;
        w->enough = true;
        return 0;
    }
    if (in->walk.kind != TRIAL_VALUE || isnan(v))
        return 0;
    return trial_feed_value(t->rig.feed, t->rig.facts, in->metric, in->kind, (struct labels){in->v, in->n},
                            at, v);
}

/* All values up to now, in the order of their time. */
static int feed(struct trial *t, struct wall now)
{
    for (uint32_t i = 0; i < t->n_inputs; i++) {
        struct trial_input *in = &t->inputs[i];

        while (in->rc == 1) {
            struct wall at = wall_add(t->start, span_ns(t->interval.ns * in->walk.step));
            int rc;

            if (at.ms > now.ms)
                break;
            rc = feed_one(t, in, at);
            if (rc)
                return err_set(t->e, rc, "a value of %s could not be taken: %s", in->metric, err_name(rc));
            in->rc = trial_walk_next(&in->walk, NULL);
        }
    }
    return 0;
}

/* ---- expectations ---- */

struct looking {
    const struct section *s;
    struct label v[LABELS_MOST];
    uint32_t n;
    const struct alert *found; /* the last that has the labels */
    unsigned having, in_state;
};

static bool has_labels(const struct alert *al, const struct looking *x)
{
    for (uint32_t i = 0; i < x->n; i++) {
        if (strcmp(labels_get(al->labels, x->v[i].name), x->v[i].value))
            return false;
    }
    return true;
}

static void look(const struct trial *t, struct looking *x)
{
    const struct alerts *a = t->rig.alerts;
    const char *state = option_text(x->s, "state");

    for (uint32_t i = 0; i < a->rules.n; i++) {
        if (strcmp(a->rules.v[i].name, option_text(x->s, "alert")))
            continue;
        for (const struct alert *al = a->states[i].first; al; al = al->next) {
            if (al->state == ALERT_INACTIVE || !has_labels(al, x))
                continue;
            x->having++;
            if (!strcmp(state, alert_state_name(al->state))) {
                x->in_state++;
                x->found = al;
            } else if (!x->in_state) {
                x->found = al;
            }
        }
    }
}

__attribute__((format(printf, 3, 4))) static void fail(struct trial *t, const struct looking *x,
                                                       const char *fmt, ...)
{
    char at[32];
    va_list ap;

    format_duration(option_span(x->s, "at"), at);
    t->result->failed++;
    buf_fmt(t->report, "%s: [test %s] [expect %s] at %s, alert %s: ", section_origin(x->s),
            section_label(t->test), section_label(x->s), at, option_text(x->s, "alert"));
    va_start(ap, fmt);
    buf_vfmt(t->report, fmt, ap);
    va_end(ap);
    buf_str(t->report, "\n");
}

static void expect_text(struct trial *t, const struct looking *x, const char *key, const char *text)
{
    struct buf b;

    if (!option_text(x->s, key))
        return;
    buf_init(&b, t->p->mem, 16 << 10);
    alert_fill(text, x->found->labels, x->found->m.value, x->found->m.threshold, &b);
    if (strcmp(buf_text(&b), option_text(x->s, key)))
        fail(t, x, "%s: expected \"%s\", found \"%s\"", key, option_text(x->s, key), buf_text(&b));
    buf_free(&b);
}

static void expect(struct trial *t, const struct section *s)
{
    struct looking x = {.s = s};
    const char *state = option_text(s, "state");
    unsigned count = (unsigned)option_int(s, "count");

    x.n = read_labels(s, x.v);
    t->result->expectations++;
    look(t, &x);
    if (!rules_find(&t->rig.alerts->rules, option_text(s, "alert"))) {
        fail(t, &x, "there is no such rule");
    } else if (!strcmp(state, "none")) {
        if (x.having)
            fail(t, &x, "expected none, found %u, one of them %s", x.having,
                 alert_state_name(x.found->state));
    } else if (!x.having) {
        fail(t, &x, "expected %u %s, found none", count, state);
    } else if (x.in_state != count) {
        fail(t, &x, "expected %u %s, found %u (and %u in other states; one is %s: %s)", count, state,
             x.in_state, x.having - x.in_state, alert_state_name(x.found->state),
             alert_row_number(x.found->row) ? alert_row_number(x.found->row)->sentence : "");
    } else {
        expect_text(t, &x, "summary", x.found->of->rule->summary);
        expect_text(t, &x, "description", x.found->of->rule->description);
        if (option_set(s, "muted") && option_bool(s, "muted") != !x.found->told)
            fail(t, &x, "expected it to be %s", option_bool(s, "muted") ? "muted" : "told");
    }
}

/* ---- running ---- */

static void no_notice(void *arg, const struct alert_notice *n)
{
    (void)arg;
    (void)n;
}

static void no_record(void *arg, struct bytes key, struct bytes value)
{
    (void)arg;
    (void)key;
    (void)value;
}

static void no_decision(void *arg, const struct fingerprint *alert, struct wall at, const char *json)
{
    (void)arg;
    (void)alert;
    (void)at;
    (void)json;
}

/* The time of the next expectation behind `after` ms; -1: none. */
static int64_t next_expectation(const struct trial *t, int64_t after)
{
    const struct section *s;
    int64_t next = -1;

    for (size_t i = 0; (s = config_named(t->c, "expect", i)); i++) {
        int64_t at = span_to_ms(option_span(s, "at"));

        if (belongs(s, t->test) && at > after && (next < 0 || at < next))
            next = at;
    }
    return next;
}

static int run(struct trial *t)
{
    const struct alert_effects none = {.notice = no_notice, .record = no_record, .decision = no_decision};
    int64_t at = 0, due = next_expectation(t, -1), step = span_to_ms(t->step);
    const struct section *s;
    int rc = 0;

    while (due >= 0 && !rc) {
        struct wall now = {t->start.ms + at};

        rc = feed(t, now);
        rig_step(&t->rig, now, false, &none);
        if (at == due) {
            for (size_t i = 0; (s = config_named(t->c, "expect", i)); i++) {
                if (belongs(s, t->test) && span_to_ms(option_span(s, "at")) == due)
                    expect(t, s);
            }
            due = next_expectation(t, due);
        }
        at = (at / step + 1) * step;
        if (due >= 0 && at > due)
            at = due;
    }
    return rc;
}

static int open_test(struct trial *t, const struct config *rules)
{
    int rc = make_inputs(t);
    struct burn_fact *burns = t->rig.burns;
    uint32_t n = t->rig.n_burns;

    if (rc)
        return rc;
    rc = rig_open(&t->rig, rules, option_text(t->test, "region"), t->p->mem, t->report, t->e);
    t->rig.burns = burns;
    t->rig.n_burns = n;
    return rc;
}

/* Reads the rule files of a test into one configuration. */
static struct config *read_rules(struct trial *t, struct buf *files, uint32_t *n_files, int *rc)
{
    struct config_source sources[RULES_MOST];
    size_t n = option_count(t->test, "rules");

    if (n > RULES_MOST) {
        *rc = config_complain(t->report, t->test, "rules", t->e, "more than %d files", (int)RULES_MOST);
        return NULL;
    }
    if (!n) {
        *rc = config_complain(t->report, t->test, "rules", t->e, "names no file");
        return NULL;
    }
    for (; *n_files < n && !*rc; ++*n_files) {
        const char *name = option_word(t->test, "rules", *n_files);
        struct err e = {0};

        buf_init(&files[*n_files], t->p->mem, RULES_BYTES);
        if (t->p->load(t->p->arg, name, &files[*n_files], &e) != 0)
            *rc = config_complain(t->report, t->test, "rules", t->e, "%s", e.text);
        sources[*n_files] = (struct config_source){name, buf_bytes(&files[*n_files])};
    }
    return *rc ? NULL : config_parse(sources, n, &alert_section, 1, t->report, t->e);
}

static int run_test(struct trial *t)
{
    struct buf files[RULES_MOST];
    struct config *rules;
    uint32_t n_files = 0;
    int rc = 0;

    t->interval = option_span(t->test, "interval");
    t->step = option_span(t->test, "step");
    if (wall_parse(option_text(t->test, "start"), &t->start) != 0)
        return config_complain(t->report, t->test, "start", t->e, "expected a time as 2026-01-05T00:00:00Z");
    arena_init(&t->arena, t->p->mem, 0);
    rules = read_rules(t, files, &n_files, &rc);
    if (!rules) {
        rc = rc ? rc : t->e->code;
        goto out;
    }
    rc = open_test(t, rules);
    if (!rc)
        rc = run(t);
    t->result->tests++;
out:
    rig_close(&t->rig);
    config_free(&rules);
    while (n_files)
        buf_free(&files[--n_files]);
    arena_free(&t->arena);
    return rc;
}

int trial_run(const struct trial_params *p, struct trial_result *r, struct buf *report, struct err *e)
{
    struct config *c = config_parse(&p->file, 1, trial_sections, TRIAL_SECTIONS, report, e);
    const struct section *s;
    int rc = 0;

    *r = (struct trial_result){0};
    if (!c)
        return e->code;
    for (size_t i = 0; (s = config_named(c, "test", i)); i++) {
        struct trial t = {.p = p, .c = c, .test = s, .result = r, .report = report, .e = e};
        int one = run_test(&t);

        if (one)
            rc = one;
    }
    config_free(&c);
    return rc;
}
