/* From a section [slo NAME] to a definition, with everything that may be wrong with it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/slo/slo_private.h"

enum { NAME_MOST = 48 };
#define DAY_NS (INT64_C(86400) * 1000000000)

struct defining {
    struct slo_def *d;
    const struct section *c;
    struct buf *report;
    struct err *e;
    bool bad;
};

#define complain(x, key, ...)                                                                                \
    ((x)->bad = true, (void)config_complain((x)->report, (x)->c, key, (x)->e, __VA_ARGS__))

static const char *keep(struct defining *x, const char *s)
{
    char *copy = arena_text(&x->d->arena, s ? s : "", s ? strlen(s) : 0);

    if (!copy && !x->bad) {
        x->bad = true;
        err_set(x->e, ERR_NOMEM, "no memory for the objectives");
    }
    return copy ? copy : "";
}

static bool is(const struct defining *x, const char *key, const char *value)
{
    return !strcmp(option_text(x->c, key), value);
}

static struct slo_selection selection(struct defining *x, const char *metric, const char *match_key)
{
    const char *match = option_text(x->c, match_key);
    struct err e = {0};
    struct match *m = match_new(match ? match : "", &e);

    if (!m)
        complain(x, match_key, "%s", e.text);
    match_free(&m);
    return (struct slo_selection){.metric = keep(x, metric), .match = keep(x, match)};
}

static void not_with(struct defining *x, const char *key, const char *why)
{
    if (option_set(x->c, key))
        complain(x, key, "%s", why);
}

static void define_counters(struct defining *x)
{
    struct slo_def *d = x->d;
    const char *good = option_text(x->c, "good"), *bad = option_text(x->c, "bad"),
               *total = option_text(x->c, "total");

    d->source = SOURCE_COUNTERS;
    if (!total)
        complain(x, NULL, "total is missing: the counter of all events");
    if (!good == !bad)
        complain(x, NULL, "either good or bad is needed, and not both");
    d->by_bad = bad != NULL;
    d->part = bad ? selection(x, bad, "bad_match") : selection(x, good, "good_match");
    d->whole = selection(x, total, "total_match");
}

static void define_sketch(struct defining *x)
{
    x->d->source = SOURCE_SKETCH;
    x->d->whole = selection(x, option_text(x->c, "metric"), "match");
    if (!option_set(x->c, "threshold"))
        complain(x, NULL, "threshold is missing: what a good value is at most");
    else
        x->d->threshold = span_seconds(option_span(x->c, "threshold"));
    not_with(x, "good", "metric says what is counted; good does not go with it");
    not_with(x, "bad", "metric says what is counted; bad does not go with it");
    not_with(x, "total", "metric says what is counted; total does not go with it");
}

static void define_gauge(struct defining *x)
{
    struct slo_def *d = x->d;
    const char *metric = option_text(x->c, "metric");
    bool range = d->kind == SLO_RANGE;

    d->source = range ? SOURCE_RANGE : SOURCE_PROBE;
    if (range && !metric)
        complain(x, NULL, "metric is missing: the gauge that is to stay in range");
    d->whole = selection(x, metric ? metric : "securebase_probe_success", "match");
    d->low = option_count(x->c, "low") ? option_number(x->c, "low", 0) : -INFINITY;
    d->high = option_count(x->c, "high") ? option_number(x->c, "high", 0) : INFINITY;
    if (range && isinf(d->low) && isinf(d->high))
        complain(x, NULL, "low or high is missing: the range");
    if (d->low > d->high)
        complain(x, "low", "is greater than high");
    not_with(x, "good", "goes with availability, latency or slices");
    not_with(x, "bad", "goes with availability, latency or slices");
    not_with(x, "total", "goes with availability, latency or slices");
}

static void define_kind(struct defining *x)
{
    struct slo_def *d = x->d;
    static const char *const names[] = {"availability", "latency", "probe", "range", "slices"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (is(x, "kind", names[i]))
            d->kind = (enum slo_kind)i;
    }
    if (d->kind == SLO_PROBE || d->kind == SLO_RANGE)
        define_gauge(x);
    else if (d->kind != SLO_AVAILABILITY && option_set(x->c, "metric"))
        define_sketch(x);
    else
        define_counters(x);
    if (d->kind == SLO_AVAILABILITY)
        not_with(x, "metric",
                 "goes with latency, probe, range or slices; availability counts good and total");
    d->slice = 0;
    if (d->kind == SLO_SLICES)
        d->slice = is(x, "slice", "1m") ? 1 : is(x, "slice", "3m") ? 3 : 5;
    d->slice_objective = option_ratio(x->c, "slice_objective");
}

static void define_by(struct defining *x)
{
    struct slo_def *d = x->d;
    size_t n = option_count(x->c, "by");

    for (size_t i = 0; i < n && i < SLO_BY_MAX; i++) {
        const char *name = option_word(x->c, "by", i);
        uint32_t at = 0;

        while (at < d->n_by && strcmp(d->by[at], name) < 0)
            at++;
        if (at < d->n_by && !strcmp(d->by[at], name)) {
            complain(x, "by", "found \"%.60s\" twice", name);
            return;
        }
        if (!strcmp(name, "*")) {
            complain(x, "by", "found \"*\", expected names of labels: an objective of each series is none");
            return;
        }
        memmove(&d->by[at + 1], &d->by[at], (d->n_by - at) * sizeof d->by[0]);
        d->by[at] = keep(x, name);
        d->n_by++;
    }
}

static void define_period(struct defining *x, const struct slo_zones *z)
{
    struct slo_def *d = x->d;
    const char *period = option_text(x->c, "period");
    static const struct {
        const char *name;
        enum slo_period period;
        int days;
    } calendar[] = {{"week", SLO_WEEK, 7}, {"month", SLO_MONTH, 30}, {"quarter", SLO_QUARTER, 91}};

    d->period = SLO_ROLLING;
    d->span = span_ns(30 * DAY_NS);
    for (size_t i = 0; i < sizeof calendar / sizeof *calendar; i++) {
        if (strcmp(period, calendar[i].name) != 0)
            continue;
        d->period = calendar[i].period;
        d->span = span_ns(calendar[i].days * DAY_NS);
    }
    if (d->period == SLO_ROLLING && (parse_duration(period, &d->span, NULL) != 0 || d->span.ns < DAY_NS ||
                                     d->span.ns > 90 * DAY_NS || d->span.ns % DAY_NS)) {
        complain(x, "period", "found \"%.60s\", expected whole days from 1d to 90d, week, month or quarter",
                 period);
        d->span = span_ns(30 * DAY_NS);
    }
    d->zone_name = keep(x, option_text(x->c, "zone"));
    d->zone = z ? z->zone(z->arg, d->zone_name) : NULL;
    if (z && !d->zone)
        complain(x, "zone", "found \"%.60s\", which is no zone of the IANA's database here", d->zone_name);
}

static void define_judgement(struct defining *x)
{
    struct slo_def *d = x->d;
    bool events = d->kind == SLO_AVAILABILITY || d->kind == SLO_LATENCY;
    int64_t keep_days = option_span(x->c, "keep").ns / DAY_NS, least = d->span.ns / DAY_NS + 1;

    d->objective = option_ratio(x->c, "objective");
    if (!(d->objective > 0 && d->objective < 1))
        complain(x, "objective",
                 "expected more than 0%% and less than 100%%: without a budget there is nothing to burn");
    d->min_events = option_set(x->c, "min_events") ? (uint64_t)option_int(x->c, "min_events")
                    : events                       ? 100
                                                   : 1;
    d->min_bad = option_set(x->c, "min_bad") ? (uint64_t)option_int(x->c, "min_bad") : events ? 5 : 1;
    d->contract = option_ratio(x->c, "contract");
    d->complete = option_ratio(x->c, "complete");
    d->unknown = is(x, "unknown", "down") ? UNKNOWN_DOWN
                 : is(x, "unknown", "up") ? UNKNOWN_UP
                                          : UNKNOWN_APART;
    d->maintenance_excluded = is(x, "maintenance", "excluded");
    d->alerts = option_bool(x->c, "alerts");
    if (d->alerts && strlen(d->name) > NAME_MOST)
        complain(x, NULL,
                 "the name has more than %d characters, which leaves no room for those of its alerts",
                 NAME_MOST);
    d->settle_ms = span_to_ms(option_span(x->c, "settle"));
    d->max_groups = (uint32_t)option_int(x->c, "max_groups");
    if (least < 63)
        least = 63; /* this month and the one before */
    d->keep_days = (uint32_t)(keep_days < least ? least : keep_days) + 2;
    d->witness = option_set(x->c, "witness") ? keep(x, option_text(x->c, "witness")) : NULL;
    d->team = keep(x, option_text(x->c, "team"));
    d->service = keep(x, option_text(x->c, "service"));
    d->runbook = keep(x, option_text(x->c, "runbook"));
}

/* What says which events are good, as one number: SipHash of a text of it. */
static uint64_t counted(struct defining *x)
{
    static const uint64_t seed[2] = {0};
    const struct slo_def *d = x->d;
    struct buf text;
    uint64_t hash;

    buf_init(&text, NULL, 1 << 16);
    buf_fmt(&text, "%d %d %d %u %.17g %.17g %.17g %.17g\n", (int)d->kind, (int)d->source, d->by_bad, d->slice,
            d->slice ? d->slice_objective : 0, d->threshold, d->low, d->high);
    buf_fmt(&text, "%s {%s} %s {%s}", d->part.metric ? d->part.metric : "",
            d->part.match ? d->part.match : "", d->whole.metric, d->whole.match);
    for (uint32_t i = 0; i < d->n_by; i++)
        buf_fmt(&text, " %s", d->by[i]);
    if (text.full && !x->bad) {
        x->bad = true;
        err_set(x->e, ERR_NOMEM, "no memory for the objectives");
    }
    hash = siphash13(seed, text.data, text.len);
    buf_free(&text);
    return hash;
}

static uint64_t judged(const struct slo_def *d)
{
    static const uint64_t seed[2] = {1, 0};
    char text[256];
    int n =
        snprintf(text, sizeof text, "%.17g %.17g %llu %d %.64s", d->contract, d->complete,
                 (unsigned long long)d->min_events, d->maintenance_excluded, d->witness ? d->witness : "");

    return siphash13(seed, text, (size_t)n);
}

struct slo_def *slo_define(const struct section *c, const struct slo_zones *z, struct mem *mem,
                           struct buf *report, struct err *e)
{
    struct slo_def *d = mem_alloc(mem, sizeof *d);
    struct defining x = {.d = d, .c = c, .report = report, .e = e};

    if (!d) {
        err_set(e, ERR_NOMEM, "no memory for the objectives");
        return NULL;
    }
    arena_init(&d->arena, mem, 0);
    d->name = keep(&x, section_label(c));
    define_kind(&x);
    define_by(&x);
    define_period(&x, z);
    define_judgement(&x);
    d->counted = counted(&x);
    d->judged = judged(d);
    if (x.bad)
        slo_def_free(&d, mem);
    return d;
}

void slo_def_free(struct slo_def **d, struct mem *mem)
{
    if (!*d)
        return;
    arena_free(&(*d)->arena);
    mem_free(mem, *d, sizeof **d);
    *d = NULL;
}

bool slo_known(const struct config *c, const char *name)
{
    const struct section *s;

    for (size_t i = 0; (s = config_named(c, "slo", i)); i++) {
        if (!strcmp(section_label(s), name))
            return true;
    }
    return false;
}

static int witness_check(const struct config *c, const struct section *s, struct buf *report, struct err *e)
{
    const char *witness = option_set(s, "witness") ? option_text(s, "witness") : NULL;
    const struct section *w;

    for (size_t i = 0; witness && (w = config_named(c, "slo", i)); i++) {
        if (strcmp(section_label(w), witness) != 0)
            continue;
        if (strcmp(option_text(w, "kind"), "probe") != 0)
            return config_complain(report, s, "witness", e, "[slo %s] is not of kind probe", witness);
        return 0;
    }
    return witness ? config_complain(report, s, "witness", e, "there is no [slo %.64s]", witness) : 0;
}

int slo_check(const struct config *c, const struct slo_zones *z, struct buf *report, struct err *e)
{
    const struct section *s;
    int rc = 0;

    for (size_t i = 0; (s = config_named(c, "slo", i)); i++) {
        struct err local = {0};
        struct slo_def *d = slo_define(s, z, NULL, report, &local);
        int w = witness_check(c, s, report, &local);

        if (!d || w) {
            rc = local.code;
            if (e && !e->code)
                *e = local;
        }
        slo_def_free(&d, NULL);
    }
    return rc;
}

/* Not the period: what is older than minutes can be corrected is in blocks of our own. */
static int add(struct selections *s, const struct slo_def *d, const struct slo_selection *what, uint32_t *at,
               struct err *e)
{
    return selections_add(s, what->metric, what->match, d->by, d->n_by, span_s(73 * 3600), at, e);
}

int slo_def_selections(const struct slo_def *d, struct selections *s, uint32_t *part, uint32_t *whole,
                       struct err *e)
{
    int rc = add(s, d, &d->whole, whole, e);

    if (!rc && d->source == SOURCE_COUNTERS)
        rc = add(s, d, &d->part, part, e);
    return rc;
}

int slo_selections(const struct config *c, struct selections *s, struct err *e)
{
    const struct section *section;
    int rc = 0;

    for (size_t i = 0; !rc && (section = config_named(c, "slo", i)); i++) {
        struct slo_def *d = slo_define(section, NULL, NULL, NULL, e);
        uint32_t part, whole;

        rc = d ? slo_def_selections(d, s, &part, &whole, e) : ERR_CONFIG;
        slo_def_free(&d, NULL);
    }
    return rc;
}
