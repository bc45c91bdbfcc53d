/* The report that a customer gets: a month, or 30 days, of the ledger. All sums are over the union of groups and
 * objectives: two outages at once are one. Everything is made from what a restart restores. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/slo/slo_report_private.h"

enum { SLOS_MOST = 32, INTERVALS_MOST = 2000, ROLLING = 30 * DAY_MINUTES, GROUPS_NAMED = 20 };

struct report {
    const struct slos *all;
    const struct slo *slos[SLOS_MOST];
    uint32_t n;
    int64_t from, to, end; /* minutes: accounted [from, to), of a period [from, end) */
    int64_t begin;         /* of the period, before it is cut to what was measured */
    struct tally tally;
    cJSON *root;
};

/* ---- what is asked for ---- */

static int find_slos(struct report *r, const char *names, struct err *e)
{
    for (const char *p = names; *p;) {
        size_t n = strcspn(p, ",");
        char name[80];

        if (n >= sizeof name || r->n == SLOS_MOST)
            return err_set(e, ERR_NOTFOUND, "a name is too long, or there are more than %d", SLOS_MOST);
        memcpy(name, p, n);
        name[n] = 0;
        r->slos[r->n] = slos_find(r->all, name);
        if (!r->slos[r->n])
            return err_set(e, ERR_NOTFOUND, "there is no objective \"%.64s\"", name);
        r->n++;
        p += n + (p[n] == ',');
    }
    return r->n ? 0 : err_set(e, ERR_NOTFOUND, "no objective is named");
}

static bool two_digits(const char *s, int *v)
{
    if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
        return false;
    *v = (s[0] - '0') * 10 + s[1] - '0';
    return true;
}

static int find_month(const char *text, struct civil *out, struct err *e)
{
    int century, year, month;

    if (strlen(text) != 7 || text[4] != '-' || !two_digits(text, &century) || !two_digits(text + 2, &year) ||
        !two_digits(text + 5, &month) || month < 1 || month > 12 || !century)
        return err_set(e, ERR_MALFORMED, "found \"%.20s\", expected a month such as 2026-11, or rolling",
                       text);
    *out = (struct civil){.year = century * 100 + year, .month = (int8_t)month, .day = 1};
    return 0;
}

static int find_period(struct report *r, const char *month, struct wall now, struct err *e)
{
    const struct slo_def *d = r->slos[0]->def;
    struct wall from, to, at = now;
    struct civil c;
    int rc;

    if (month && !strcmp(month, "rolling")) {
        r->end = minute_of(now.ms);
        r->begin = r->end - ROLLING;
        return 0;
    }
    if (!d->zone)
        return err_set(e, ERR_STATE, "zone %s is not there", d->zone_name);
    if (month && *month) {
        rc = find_month(month, &c, e);
        if (rc)
            return rc;
        at = zone_instant(d->zone, &c, false);
    }
    zone_period(d->zone, PERIOD_MONTH, at, &from, &to);
    r->begin = minute_of(from.ms);
    r->end = minute_of(to.ms);
    if (from.ms > now.ms)
        return err_set(e, ERR_RANGE, "%s has not begun", month);
    if (r->begin < minute_of(now.ms) - (int64_t)(d->keep_days - 2) * DAY_MINUTES)
        return err_set(e, ERR_RANGE, "%s is before what is kept ([slo %s] keep)", month, d->name);
    return 0;
}

/* Cut to what was measured and has a verdict. */
static void cut(struct report *r)
{
    int64_t born = INT64_MAX, closed = 0;

    for (uint32_t i = 0; i < r->n; i++) {
        for (uint32_t k = 0; k < r->slos[i]->n; k++) {
            const struct slo_group *g = r->slos[i]->groups[k];

            if (g->born && g->born < born)
                born = g->born;
            if (g->closed > closed)
                closed = g->closed;
        }
    }
    r->from = born > r->begin ? born : r->begin;
    r->to = closed < r->end ? closed : r->end;
    if (r->from > r->end)
        r->from = r->end;
    if (r->to < r->from)
        r->to = r->from;
}

/* ---- the union ---- */

static int rank(enum slo_code c)
{
    static const int ranks[CODES] = {
        [CODE_NONE] = 0,       [CODE_EXCLUDED] = 1,      [CODE_UP_QUIET] = 2,    [CODE_UP_PROBE] = 3,
        [CODE_UP] = 4,         [CODE_INCOMPLETE] = 5,    [CODE_BLIND] = 6,       [CODE_DOWN_MAINTENANCE] = 7,
        [CODE_DOWN_DRILL] = 8, [CODE_DOWN_FAILOVER] = 9, [CODE_DOWN_PROBE] = 10, [CODE_DOWN] = 11,
    };

    return c < CODES ? ranks[c] : 0;
}

static enum slo_code union_code(const struct report *r, int64_t minute)
{
    enum slo_code worst = CODE_NONE;

    for (uint32_t i = 0; i < r->n; i++) {
        for (uint32_t k = 0; k < r->slos[i]->n; k++) {
            enum slo_code c = slo_group_code(r->slos[i]->groups[k], minute);

            if (rank(c) > rank(worst))
                worst = c;
        }
    }
    return worst;
}

/* All blocks of the union at `minute` are plainly up. */
static bool all_up(const struct report *r, int64_t minute)
{
    for (uint32_t i = 0; i < r->n; i++) {
        for (uint32_t k = 0; k < r->slos[i]->n; k++) {
            const struct block *b = slo_group_block(r->slos[i]->groups[k], minute);

            if (!b || b->codes != UINT64_C(0x111111111111111))
                return false;
        }
    }
    return r->n && r->slos[0]->n;
}

static bool to_be_listed(enum slo_code c)
{
    enum slo_verdict v = code_verdict(c);

    return v == VERDICT_DOWN || v == VERDICT_UNKNOWN || v == VERDICT_EXCLUDED;
}

struct interval {
    int64_t from, to;
    enum slo_code code;
};

static void json_interval(const struct report *r, const struct interval *x, cJSON *list)
{
    cJSON *o = cJSON_CreateObject(), *groups;
    int named = 0;

    slo_json_time(o, "from", x->from * 60000);
    slo_json_time(o, "to", x->to * 60000);
    cJSON_AddNumberToObject(o, "minutes", (double)(x->to - x->from));
    cJSON_AddStringToObject(o, "verdict", verdict_name(code_verdict(x->code)));
    cJSON_AddStringToObject(o, "cause", code_cause(x->code));
    groups = cJSON_AddArrayToObject(o, "groups");
    for (uint32_t i = 0; i < r->n; i++) {
        for (uint32_t k = 0; k < r->slos[i]->n && named < GROUPS_NAMED; k++) {
            const struct slo_group *g = r->slos[i]->groups[k];
            cJSON *label;

            if (slo_group_tally(g, x->from, x->to).n[x->code] == 0)
                continue;
            label = cJSON_CreateObject();
            cJSON_AddStringToObject(label, "slo", g->slo->def->name);
            slo_json_labels(label, "labels", g->labels);
            cJSON_AddItemToArray(groups, label);
            named++;
        }
    }
    cJSON_AddItemToArray(list, o);
}

static void interval_end(const struct report *r, struct interval *x, int64_t to, cJSON *list, int *left)
{
    x->to = to;
    if (x->from == to || !to_be_listed(x->code))
        return;
    if (*left > 0)
        json_interval(r, x, list);
    --*left;
}

/* Counts the minutes of the union and lists what was not up. */
static void walk(struct report *r)
{
    cJSON *list = cJSON_AddArrayToObject(r->root, "intervals");
    struct interval run = {.from = r->from, .code = CODE_NONE};
    int left = INTERVALS_MOST;

    for (int64_t m = r->from; m < r->to;) {
        bool whole = m % BLOCK == 0 && m + BLOCK <= r->to && all_up(r, m);
        enum slo_code c = whole ? CODE_UP : union_code(r, m);

        if (c != run.code) {
            interval_end(r, &run, m, list, &left);
            run = (struct interval){.from = m, .code = c};
        }
        r->tally.n[c] += whole ? BLOCK : 1;
        m += whole ? BLOCK : 1;
    }
    interval_end(r, &run, r->to, list, &left);
    cJSON_AddNumberToObject(r->root, "intervals_left_out", left < 0 ? -left : 0);
}

/* ---- figures ---- */

static uint32_t by_verdict(const struct tally *t, enum slo_verdict v)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < CODES; i++)
        n += code_verdict((enum slo_code)i) == v ? t->n[i] : 0;
    return n;
}

static double share(double part, double all)
{
    return all > 0 ? part / all : NAN;
}

/* By contract: unknown minutes as it says, excluded ones left out. */
static double contract_share(const struct tally *t, enum slo_unknown unknown)
{
    double up = by_verdict(t, VERDICT_UP), down = by_verdict(t, VERDICT_DOWN),
           blind = by_verdict(t, VERDICT_UNKNOWN);

    if (unknown == UNKNOWN_UP)
        up += blind;
    if (unknown == UNKNOWN_DOWN)
        down += blind;
    return share(up, up + down);
}

static void json_minutes(cJSON *o, const struct tally *t)
{
    cJSON *part = cJSON_AddObjectToObject(o, "minutes"), *causes;

    cJSON_AddNumberToObject(part, "up", by_verdict(t, VERDICT_UP));
    cJSON_AddNumberToObject(part, "up_too_few_events", t->n[CODE_UP_QUIET]);
    cJSON_AddNumberToObject(part, "up_by_witness", t->n[CODE_UP_PROBE]);
    cJSON_AddNumberToObject(part, "down", by_verdict(t, VERDICT_DOWN));
    cJSON_AddNumberToObject(part, "unknown", by_verdict(t, VERDICT_UNKNOWN));
    cJSON_AddNumberToObject(part, "excluded", by_verdict(t, VERDICT_EXCLUDED));
    cJSON_AddNumberToObject(part, "not_measured", t->n[CODE_NONE]);
    causes = cJSON_AddObjectToObject(o, "minutes_by_cause");
    for (unsigned i = CODE_DOWN; i < CODES; i++) {
        char name[64];

        (void)snprintf(name, sizeof name, "%s_%s", verdict_name(code_verdict((enum slo_code)i)),
                       code_cause((enum slo_code)i));
        if (t->n[i])
            cJSON_AddNumberToObject(causes, name, t->n[i]);
    }
}

static void json_availability(cJSON *o, const struct tally *t, const struct slo_def *d, struct events v)
{
    cJSON *part = cJSON_AddObjectToObject(o, "availability");

    slo_json_number(part, "by_minutes_ratio", contract_share(t, d->unknown));
    slo_json_number(part, "by_minutes_internal_ratio", contract_share(t, UNKNOWN_DOWN));
    slo_json_number(part, "by_events_ratio", share((double)v.good, (double)v.total));
    part = cJSON_AddObjectToObject(o, "events");
    cJSON_AddNumberToObject(part, "good", (double)v.good);
    cJSON_AddNumberToObject(part, "bad", (double)(v.total - v.good));
    cJSON_AddNumberToObject(part, "total", (double)v.total);
    slo_json_number(part, "bad_allowed", v.total ? (1 - d->objective) * (double)v.total : NAN);
    slo_json_number(part, "error_budget_remaining_ratio", budget_remaining(v.good, v.total, d->objective, 1));
}

static void json_budget(struct report *r)
{
    const struct slo_def *d = r->slos[0]->def;
    uint32_t excluded = by_verdict(&r->tally, VERDICT_EXCLUDED), used = by_verdict(&r->tally, VERDICT_DOWN);
    double minutes = (double)(r->end - r->from) - excluded - r->tally.n[CODE_NONE];
    double allowed = (1 - d->objective) * minutes;
    cJSON *part = cJSON_AddObjectToObject(r->root, "downtime");

    if (d->unknown == UNKNOWN_DOWN)
        used += by_verdict(&r->tally, VERDICT_UNKNOWN);
    cJSON_AddNumberToObject(part, "minutes_of_period", minutes);
    cJSON_AddNumberToObject(part, "allowed_minutes", allowed);
    cJSON_AddNumberToObject(part, "used_minutes", used);
    cJSON_AddNumberToObject(part, "remaining_minutes", allowed - used);
    if (used + by_verdict(&r->tally, VERDICT_UP) == 0) /* no data is never 100 % */
        cJSON_AddNullToObject(part, "met");
    else
        cJSON_AddBoolToObject(part, "met", used <= allowed);
}

static struct events group_sum(const struct report *r, const struct slo_group *g)
{
    int64_t from = r->from, to = r->to;

    if (from >= to)
        return (struct events){0, 0};
    if (to <= g->tail)
        to -= to % BLOCK;
    return slo_group_events(g, from, to);
}

static int by_time(const void *a, const void *b)
{
    const struct correction *x = a, *y = b;

    return x->at_ms < y->at_ms ? -1 : x->at_ms > y->at_ms ? 1 : x->from < y->from ? -1 : x->from > y->from;
}

static void json_corrections(const struct report *r, const struct slo_group *g, cJSON *list)
{
    if (g->n_corrections)
        qsort(g->corrections, g->n_corrections, sizeof *g->corrections, by_time);
    for (uint32_t i = 0; i < g->n_corrections; i++) {
        const struct correction *c = &g->corrections[i];
        cJSON *o;

        if (c->from + c->n <= r->from || c->from >= r->to)
            continue;
        o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "slo", g->slo->def->name);
        slo_json_labels(o, "labels", g->labels);
        slo_json_time(o, "at", c->at_ms);
        slo_json_time(o, "from", c->from * 60000);
        slo_json_time(o, "to", (c->from + c->n) * 60000);
        cJSON_AddNumberToObject(o, "minutes", c->n);
        cJSON_AddStringToObject(o, "was", verdict_name(code_verdict((enum slo_code)c->was)));
        cJSON_AddStringToObject(o, "is", verdict_name(code_verdict((enum slo_code)c->is)));
        cJSON_AddStringToObject(o, "was_cause", code_cause((enum slo_code)c->was));
        cJSON_AddStringToObject(o, "is_cause", code_cause((enum slo_code)c->is));
        cJSON_AddNumberToObject(o, "version", c->version);
        cJSON_AddItemToArray(list, o);
    }
}

static struct events json_groups(const struct report *r)
{
    cJSON *list = cJSON_AddArrayToObject(r->root, "groups"),
          *corrections = cJSON_AddArrayToObject(r->root, "corrections");
    struct events all = {0, 0};

    for (uint32_t i = 0; i < r->n; i++) {
        for (uint32_t k = 0; k < r->slos[i]->n; k++) {
            const struct slo_group *g = r->slos[i]->groups[k];
            struct tally t = slo_group_tally(g, r->from, r->to);
            struct events v = group_sum(r, g);
            cJSON *o = cJSON_CreateObject();

            cJSON_AddStringToObject(o, "slo", g->slo->def->name);
            slo_json_labels(o, "labels", g->labels);
            json_minutes(o, &t);
            json_availability(o, &t, g->slo->def, v);
            cJSON_AddItemToArray(list, o);
            json_corrections(r, g, corrections);
            all.good += v.good;
            all.total += v.total;
        }
    }
    return all;
}

static void json_completeness(struct report *r)
{
    double known = (double)by_verdict(&r->tally, VERDICT_UP) + by_verdict(&r->tally, VERDICT_DOWN) +
                   by_verdict(&r->tally, VERDICT_EXCLUDED);
    cJSON *part = cJSON_AddObjectToObject(r->root, "completeness");

    slo_json_number(part, "measured_ratio", share(known, (double)(r->to - r->from)));
    cJSON_AddNumberToObject(part, "unmeasured_minutes", (double)(r->to - r->from) - known);
}

static void json_head(struct report *r, const char *names, const char *month, struct wall now)
{
    const struct slo_def *d = r->slos[0]->def;
    bool rolling = month && !strcmp(month, "rolling");
    struct civil c = {0};
    char text[32];

    cJSON_AddStringToObject(r->root, "report", names);
    slo_json_terms(r->slos[0], r->root);
    if (!rolling && d->zone)
        c = zone_civil(d->zone, (struct wall){r->begin * 60000});
    (void)snprintf(text, sizeof text, rolling ? "rolling" : "%04d-%02d", c.year, c.month);
    cJSON_AddStringToObject(r->root, "month", text);
    slo_json_time(r->root, "from", r->begin * 60000);
    slo_json_time(r->root, "to", r->end * 60000);
    slo_json_time(r->root, "accounted_from", r->from * 60000);
    slo_json_time(r->root, "accounted_to", r->to * 60000);
    cJSON_AddBoolToObject(r->root, "final", r->to == r->end && !rolling);
    slo_json_time(r->root, "made_at", now.ms);
    cJSON_AddStringToObject(r->root, "region", r->all->region);
}

int slos_report(const struct slos *s, const char *name, const char *month, struct wall now, struct buf *json,
                struct err *e)
{
    struct report r = {.all = s};
    struct events v;
    int rc = find_slos(&r, name, e);

    if (!rc)
        rc = find_period(&r, month, now, e);
    if (rc)
        return rc;
    cut(&r);
    r.root = cJSON_CreateObject();
    json_head(&r, name, month, now);
    walk(&r);
    json_budget(&r);
    json_minutes(r.root, &r.tally);
    json_completeness(&r);
    v = json_groups(&r);
    json_availability(r.root, &r.tally, r.slos[0]->def, v);
    rc = slo_json_print(r.root, json);
    cJSON_Delete(r.root);
    return rc ? err_set(e, rc, "the report is too large") : 0;
}
