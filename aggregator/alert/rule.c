/* See rule.h. A mistake in a section is told with the key that it concerns; reading goes on, so that all of them
 * are told at once. */
#include "aggregator/alert/rule.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/alert/when.h"
#include "common/base/map.h"
#include "common/base/number.h"

static const char *const kinds[RULE_KINDS] = {
    [RULE_LAST] = "last",         [RULE_AVG] = "avg",
    [RULE_MIN] = "min",           [RULE_MAX] = "max",
    [RULE_SUM] = "sum",           [RULE_RATE] = "rate",
    [RULE_INCREASE] = "increase", [RULE_PERCENTILE] = "percentile",
    [RULE_RATIO] = "ratio",       [RULE_SHARE] = "share",
    [RULE_BURN] = "burn",         [RULE_FORECAST] = "forecast",
    [RULE_CHANGE] = "change",     [RULE_COUNT] = "count",
    [RULE_ABSENT] = "absent",     [RULE_UNTIL] = "until",
    [RULE_AGE] = "age",           [RULE_COMPOSITE] = "composite",
};

const char *rule_kind_name(enum rule_kind k)
{
    return kinds[k];
}

int rule_number(const char *text, double *out, struct err *e)
{
    char digits[64];
    size_t n = strlen(text);
    struct span d;
    int64_t size;

    if (parse_number(text, out, NULL) == 0)
        return 0;
    if (n > 1 && n < sizeof digits && text[n - 1] == '%') {
        memcpy(digits, text, n - 1);
        digits[n - 1] = 0;
        if (parse_number(digits, out, NULL) == 0) {
            *out /= 100;
            return 0;
        }
    }
    if (parse_duration(text, &d, NULL) == 0) {
        *out = span_seconds(d);
        return 0;
    }
    if (parse_size(text, &size, NULL) == 0) {
        *out = (double)size;
        return 0;
    }
    return err_set(
        e, ERR_MALFORMED,
        "found \"%.60s\", expected a number such as 0.05, 5%%, 500ms (in seconds) or 64MiB (in bytes)", text);
}

/* ---- reading a section ---- */

struct reading {
    const struct section *s;
    struct arena *arena;
    struct rule *r;
    struct buf *report;
    struct err *e;
    int rc;
};

#define complain(rd, key, ...) ((rd)->rc = config_complain((rd)->report, (rd)->s, key, (rd)->e, __VA_ARGS__))

static const char *keep(struct reading *rd, const char *text)
{
    const char *p = text ? arena_text(rd->arena, text, strlen(text)) : "";

    if (!p)
        rd->rc = err_set(rd->e, ERR_NOMEM, "no memory for rules");
    return p ? p : "";
}

static const char *text_of_key(struct reading *rd, const char *key)
{
    return keep(rd, option_text(rd->s, key));
}

static double number_of(struct reading *rd, const char *key, const char *text)
{
    struct err e = {0};
    double v = 0;

    if (rule_number(text, &v, &e) != 0)
        complain(rd, key, "%s", e.text);
    return v;
}

static double number_key(struct reading *rd, const char *key)
{
    return number_of(rd, key, option_text(rd->s, key));
}

static void read_match(struct reading *rd, const char *key)
{
    const char *text = option_text(rd->s, key);
    struct err e = {0};
    struct match *m = match_new(text ? text : "", &e);

    if (!m && e.code == ERR_NOMEM)
        rd->rc = err_set(rd->e, ERR_NOMEM, "%s", e.text);
    else if (!m)
        complain(rd, key, "%s", e.text);
    match_free(&m);
}

static void read_names(struct reading *rd, const char *key, const char **out, uint32_t *n)
{
    size_t count = option_count(rd->s, key);

    for (size_t i = 0; i < count; i++)
        out[(*n)++] = keep(rd, option_word(rd->s, key, i));
}

static void read_by(struct reading *rd)
{
    struct rule *r = rd->r;

    read_names(rd, "by", r->by, &r->n_by);
    for (uint32_t i = 0; i < r->n_by; i++) {
        if (!strcmp(r->by[i], "*") && r->n_by > 1)
            complain(rd, "by", "found * among other labels, expected * alone or names of labels");
    }
}

static void read_source(struct reading *rd)
{
    struct rule *r = rd->r;
    bool wants = r->kind != RULE_BURN && r->kind != RULE_COMPOSITE;

    r->metric = text_of_key(rd, "metric");
    r->match_text = text_of_key(rd, "match");
    r->of = text_of_key(rd, "of");
    r->of_match = text_of_key(rd, "of_match");
    read_by(rd);
    read_match(rd, "match");
    read_match(rd, "of_match");
    if (wants && !*r->metric)
        complain(rd, "metric", "is needed by statistic %s", rule_kind_name(r->kind));
    if (!wants && *r->metric)
        complain(rd, "metric", "is not for %s rules", rule_kind_name(r->kind));
    if (r->kind == RULE_RATIO && !*r->of)
        complain(rd, "of", "is needed by statistic ratio: the metric of the denominator");
    if (r->kind != RULE_RATIO && *r->of)
        complain(rd, "of", "is for statistic ratio alone, and this one is %s", rule_kind_name(r->kind));
}

static void read_window(struct reading *rd)
{
    struct rule *r = rd->r;
    bool given = option_set(rd->s, "window");
    bool looks_back = r->kind == RULE_LAST || r->kind == RULE_COUNT || r->kind == RULE_ABSENT ||
                      r->kind == RULE_UNTIL || r->kind == RULE_AGE;

    if (given)
        r->window = option_span(rd->s, "window");
    else if (looks_back)
        r->window = span_s(300);
    else if (r->kind != RULE_BURN && r->kind != RULE_COMPOSITE)
        complain(rd, "window", "is needed by statistic %s, as 5m", rule_kind_name(r->kind));
    if (given && (r->kind == RULE_BURN || r->kind == RULE_COMPOSITE))
        complain(rd, "window", "is not for %s rules", rule_kind_name(r->kind));
}

/* Burns are told of these windows and of the objective's period, which is longer than all of them. */
static void check_burn_window(struct reading *rd, const char *key, struct span window)
{
    static const int64_t seconds[] = {300, 1800, 3600, 7200, 21600, 86400, 259200};
    bool known = window.ns > span_s(259200).ns;

    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        known |= window.ns == span_s(seconds[i]).ns;
    if (!known)
        complain(rd, key, "expected one of 5m 30m 1h 2h 6h 1d 3d, or the objective's period");
}

static void read_statistic(struct reading *rd)
{
    struct rule *r = rd->r;

    r->quantile = option_ratio(rd->s, "quantile");
    r->burn_long = option_span(rd->s, "long");
    r->burn_short = option_span(rd->s, "short");
    r->slo = text_of_key(rd, "slo");
    r->min_count = (uint64_t)option_int(rd->s, "min_count");
    if (option_set(rd->s, "bound"))
        r->bound = number_key(rd, "bound");
    else if (r->kind == RULE_SHARE)
        complain(rd, "bound", "is needed by statistic share: the share of values above it is judged");
    if (option_set(rd->s, "horizon"))
        r->horizon = option_span(rd->s, "horizon");
    else if (r->kind == RULE_FORECAST)
        complain(rd, "horizon", "is needed by statistic forecast, as 4h");
    if (option_set(rd->s, "before"))
        r->before = option_span(rd->s, "before");
    else if (r->kind == RULE_CHANGE)
        complain(rd, "before", "is needed by statistic change, as 7d");
    if (r->kind == RULE_BURN && !*r->slo)
        complain(rd, "slo", "is needed by statistic burn: the name of an [slo NAME]");
    if (r->kind != RULE_BURN)
        return;
    check_burn_window(rd, "long", r->burn_long);
    check_burn_window(rd, "short", r->burn_short);
    if (r->burn_short.ns >= r->burn_long.ns)
        complain(rd, "short", "is not shorter than long");
}

/* ---- the condition ---- */

static void read_bounds(struct reading *rd, struct condition *c)
{
    if (option_set(rd->s, "above"))
        *c = (struct condition){.op = COMPARE_ABOVE, .high = number_key(rd, "above")};
    else if (option_set(rd->s, "below"))
        *c = (struct condition){.op = COMPARE_BELOW, .low = number_key(rd, "below")};
    else if (option_set(rd->s, "equal"))
        *c = (struct condition){.op = COMPARE_EQUAL, .low = number_key(rd, "equal")};
    else if (option_set(rd->s, "outside")) {
        if (option_count(rd->s, "outside") != 2) {
            complain(rd, "outside", "expected two numbers, low and high");
            return;
        }
        *c = (struct condition){.op = COMPARE_OUTSIDE,
                                .low = number_of(rd, "outside", option_word(rd->s, "outside", 0)),
                                .high = number_of(rd, "outside", option_word(rd->s, "outside", 1))};
        if (c->low > c->high)
            complain(rd, "outside", "the first number is greater than the second");
    }
}

static void read_clear(struct reading *rd, struct condition *c)
{
    c->has_clear_below = option_set(rd->s, "clear_below");
    c->has_clear_above = option_set(rd->s, "clear_above");
    if (c->has_clear_below)
        c->clear_below = number_key(rd, "clear_below");
    if (c->has_clear_above)
        c->clear_above = number_key(rd, "clear_above");
    if (c->has_clear_below && c->op != COMPARE_ABOVE && c->op != COMPARE_OUTSIDE)
        complain(rd, "clear_below", "is for above and outside; an alert of this condition would never clear");
    else if (c->has_clear_below && c->clear_below > c->high)
        complain(rd, "clear_below",
                 "lies above the bound of the condition, which would hold and clear at once");
    if (c->has_clear_above && c->op != COMPARE_BELOW && c->op != COMPARE_OUTSIDE)
        complain(rd, "clear_above", "is for below and outside; an alert of this condition would never clear");
    else if (c->has_clear_above && c->clear_above < c->low)
        complain(rd, "clear_above",
                 "lies below the bound of the condition, which would hold and clear at once");
    if (c->has_clear_above && c->has_clear_below && c->clear_above >= c->clear_below)
        complain(rd, "clear_above",
                 "no value is greater than it and less than clear_below: it would never clear");
    if (rd->r->kind == RULE_RATIO || rd->r->kind == RULE_SHARE || rd->r->kind == RULE_COUNT) {
        if (c->has_clear_below && c->clear_below <= 0)
            complain(rd, "clear_below", "statistic %s is never less than 0: it would never clear",
                     rule_kind_name(rd->r->kind));
    }
    if (rd->r->kind == RULE_SHARE && c->has_clear_above && c->clear_above >= 1)
        complain(rd, "clear_above", "statistic share is never greater than 1: it would never clear");
}

static void read_condition(struct reading *rd)
{
    static const char *const keys[] = {"above", "below", "outside", "equal", "baseline"};
    struct rule *r = rd->r;
    const char *first = NULL;
    bool none = r->kind == RULE_ABSENT || r->kind == RULE_COMPOSITE;

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (!option_set(rd->s, keys[i]))
            continue;
        if (none)
            complain(rd, keys[i], "is not for %s rules, which hold or do not", rule_kind_name(r->kind));
        else if (first)
            complain(rd, keys[i], "stands beside %s; expected one of above, below, outside, equal, baseline",
                     first);
        first = keys[i];
    }
    if (!first && !none)
        complain(rd, NULL, "has no condition; expected one of above, below, outside, equal, baseline");
    if (none)
        return;
    read_bounds(rd, &r->condition);
    if (r->condition.op != COMPARE_NONE)
        read_clear(rd, &r->condition);
    else if (option_set(rd->s, "clear_above") || option_set(rd->s, "clear_below"))
        complain(rd, option_set(rd->s, "clear_above") ? "clear_above" : "clear_below",
                 "needs above, below or outside");
}

static void read_baseline(struct reading *rd)
{
    struct rule_baseline *b = &rd->r->baseline;
    const char *kind = option_text(rd->s, "baseline"), *direction = option_text(rd->s, "direction");

    if (!kind)
        return;
    b->kind = !strcmp(kind, "ewma") ? BASELINE_EWMA : BASELINE_SEASONAL;
    b->direction = !strcmp(direction, "up")     ? DIRECTION_UP
                   : !strcmp(direction, "down") ? DIRECTION_DOWN
                                                : DIRECTION_BOTH;
    b->deviations = number_key(rd, "deviations");
    b->min_abs = number_key(rd, "min_abs");
    b->min_rel = number_key(rd, "min_rel");
    b->learn = option_span(rd->s, "learn");
    b->freeze = !strcmp(option_text(rd->s, "freeze"), "maintenance");
    if (b->deviations <= 0)
        complain(rd, "deviations", "expected a number greater than 0");
    if (b->min_abs < 0)
        complain(rd, "min_abs", "expected a number not less than 0");
    if (b->min_rel < 0)
        complain(rd, "min_rel", "expected a number not less than 0");
    if (rd->r->kind == RULE_BURN)
        complain(rd, "baseline", "is not for statistic burn");
}

/* ---- holds, texts ---- */

static void read_points(struct reading *rd)
{
    struct rule *r = rd->r;
    const char *text = option_text(rd->s, "points");
    unsigned m, n;
    int used = 0;

    r->every = option_span(rd->s, "every");
    if (!text)
        return;
    if (strlen(text) > 12 || sscanf(text, "%2u of %2u%n", &m, &n, &used) != 2 || text[used]) {
        complain(rd, "points", "found \"%.40s\", expected M of N, as 3 of 5", text);
        return;
    }
    if (m < 1 || m > n || n > RULE_POINTS_MOST)
        complain(rd, "points", "found \"%.40s\", expected M from 1 to N and N up to %d", text,
                 (int)RULE_POINTS_MOST);
    r->points = m;
    r->of_points = n;
}

static void read_holds(struct reading *rd)
{
    struct rule *r = rd->r;
    const char *no_data = option_text(rd->s, "no_data");

    r->hold = option_span(rd->s, "for");
    r->clear_hold = option_span(rd->s, "clear_for");
    r->no_data = !strcmp(no_data, "alert") ? NO_DATA_ALERT
                 : !strcmp(no_data, "ok")  ? NO_DATA_OK
                                           : NO_DATA_KEEP;
    r->gap = span_s(120);
    if (r->window.ns > r->gap.ns)
        r->gap = r->window;
    if (option_set(rd->s, "gap_tolerance"))
        r->gap = option_span(rd->s, "gap_tolerance");
    r->forget = option_span(rd->s, "forget");
    r->flaps = (uint32_t)option_int(rd->s, "flaps");
    r->quiet = option_span(rd->s, "quiet");
    r->limit = (uint32_t)option_int(rd->s, "limit");
    read_points(rd);
}

static void read_composite(struct reading *rd)
{
    struct rule *r = rd->r;
    struct err e = {0};

    read_names(rd, "on", r->on, &r->n_on);
    read_names(rd, "suppressed_by", r->suppressors, &r->n_suppressors);
    r->suppress_wait = option_span(rd->s, "suppress_wait");
    r->suppress_extend = option_span(rd->s, "suppress_extend");
    if (r->kind != RULE_COMPOSITE)
        return;
    r->when = when_read(option_text(rd->s, "when"), rd->arena, &e);
    if (!r->when && e.code == ERR_NOMEM)
        rd->rc = err_set(rd->e, ERR_NOMEM, "%s", e.text);
    else if (!r->when)
        complain(rd, "when", "%s", e.text);
    else if (when_holds(r->when, 0))
        complain(rd, "when", "holds while none of its alerts fires: there would be no group to tell of");
}

static void read_texts(struct reading *rd)
{
    struct rule *r = rd->r;
    size_t n = option_count(rd->s, "labels");
    const char *name, *value;

    (void)severity_parse(option_text(rd->s, "severity"), &r->severity);
    r->team = text_of_key(rd, "team");
    r->service = text_of_key(rd, "service");
    r->summary = text_of_key(rd, "summary");
    r->description = text_of_key(rd, "description");
    r->runbook = text_of_key(rd, "runbook");
    for (size_t i = 0; i < n; i++) {
        option_label(rd->s, "labels", i, &name, &value);
        r->labels[r->n_labels++] = (struct label){.name = keep(rd, name), .value = keep(rd, value)};
    }
}

/* ---- what makes two rules the same ---- */

static uint64_t hash_texts(const char *const *v, size_t n, uint64_t h)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t seed[2] = {h, i + 1};

        h = siphash13(seed, v[i], strlen(v[i]));
    }
    return h;
}

static void hash_rule(struct rule *r, const struct section *s)
{
    static const char *const judged[] = {
        "window",  "quantile", "bound",   "horizon",     "before",      "long",      "short",
        "above",   "below",    "equal",   "clear_above", "clear_below", "for",       "clear_for",
        "points",  "every",    "no_data", "min_count",   "baseline",    "direction", "deviations",
        "min_abs", "min_rel",  "learn",   "of",          "of_match",    "when"};
    const char *groups[] = {rule_kind_name(r->kind), r->metric, r->match_text, r->slo};
    uint64_t h = hash_texts(groups, 4, 0);

    h = hash_texts(r->by, r->n_by, h);
    r->groups_hash =
        hash_texts(r->kind == RULE_COMPOSITE ? r->on : NULL, r->kind == RULE_COMPOSITE ? r->n_on : 0, h);
    h = r->groups_hash;
    for (size_t i = 0; i < sizeof judged / sizeof *judged; i++) {
        char text[32] = "";
        const char *p = text;

        if (!option_set(s, judged[i])) {
            h = hash_texts(&p, 1, h);
            continue;
        }
        if (!strcmp(judged[i], "quantile"))
            snprintf(text, sizeof text, "%.17g", r->quantile);
        else if (!strcmp(judged[i], "min_count"))
            snprintf(text, sizeof text, "%llu", (unsigned long long)r->min_count);
        else if (strstr(" window horizon before long short for clear_for every learn ", judged[i]))
            format_duration(option_span(s, judged[i]), text);
        else
            p = option_text(s, judged[i]);
        h = hash_texts(&p, 1, h);
    }
    for (size_t i = 0; i < option_count(s, "outside"); i++) {
        const char *word = option_word(s, "outside", i);

        h = hash_texts(&word, 1, h);
    }
    r->condition_hash = h;
}

int rule_read(const struct section *s, struct arena *a, struct rule *out, struct buf *report, struct err *e)
{
    struct reading rd = {.s = s, .arena = a, .r = out, .report = report, .e = e};
    const char *statistic = option_text(s, "statistic");

    *out = (struct rule){.selection = RULE_NOTHING, .of_selection = RULE_NOTHING};
    out->name = keep(&rd, section_label(s));
    out->origin = keep(&rd, section_origin(s));
    out->kind = RULE_COMPOSITE;
    for (int k = 0; k < RULE_COMPOSITE && !option_text(s, "when"); k++) {
        if (!strcmp(kinds[k], statistic))
            out->kind = (enum rule_kind)k;
    }
    read_source(&rd);
    read_window(&rd);
    read_statistic(&rd);
    read_condition(&rd);
    read_baseline(&rd);
    read_holds(&rd);
    read_composite(&rd);
    read_texts(&rd);
    hash_rule(out, s);
    return rd.rc;
}
