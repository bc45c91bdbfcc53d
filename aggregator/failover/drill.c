/* See drill.h. */
#include "aggregator/failover/drill.h"
#include "common/base/wilson.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S INT64_C(1000000000)

enum { ANSWER_MS = 30000 };

static const struct option_row rows[] = {
    {.key = "service",
     .type = OPT_STRING,
     .required = true,
     .reloadable = true,
     .sentence = "The [failover] section."},
    {.key = "kind",
     .type = OPT_CHOICE,
     .choices = "evaluate full",
     .dflt = "evaluate",
     .reloadable = true,
     .sentence = "Whether it only looks (every action's precheck and all gates), or moves the service there "
                 "and back."},
    {.key = "schedule",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "Minute, hour, day, month, weekday as of cron; \"0 10 * * tue#1\" is the month's first "
                 "Tuesday at ten. "
                 "Empty: only when an operator says so."},
    {.key = "zone",
     .type = OPT_STRING,
     .dflt = "UTC",
     .reloadable = true,
     .sentence = "IANA time zone of schedule and windows."},
    {.key = "window",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "It begins within these hours alone: \"mon-thu 09:00-16:00\". Empty: at any time."},
    {.key = "return",
     .type = OPT_BOOL,
     .dflt = "yes",
     .reloadable = true,
     .sentence = "Whether a full drill brings the service back."},
    {.key = "stay",
     .type = OPT_DURATION,
     .dflt = "5m",
     .min = 0,
     .max = 86400 * S,
     .reloadable = true,
     .sentence = "How long the service stays before it comes back."},
    {.key = "cap",
     .type = OPT_DURATION,
     .dflt = "30m",
     .min = 60 * S,
     .max = 86400 * S,
     .reloadable = true,
     .sentence = "A move that takes longer is taken back where that is still possible."},
    {.key = "blocking",
     .type = OPT_LIST,
     .dflt = "",
     .max = DRILL_ALARMS,
     .reloadable = true,
     .sentence = "Rules: while one of them fires no drill begins, and one under way is taken back."},
};
const struct section_row drill_section = {
    .name = "drill",
    .named = true,
    .sentence = "A rehearsal of a move, at times that are set or by order.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .example = "monthly",
};

const char *drill_kind_name(enum drill_kind k)
{
    return k == DRILL_FULL ? "full" : "evaluate";
}

const char *drill_outcome_name(enum drill_outcome o)
{
    static const char *const names[] = {"under_way", "good",    "refused", "taken_back",
                                        "stuck",     "aborted", "lost"};

    return names[o];
}

/* ---- configuration ---- */

static bool has(const struct config *c, const char *section, const char *label)
{
    const struct section *s;

    for (size_t i = 0; (s = config_named(c, section, i)) != NULL; i++) {
        if (strcmp(section_label(s), label) == 0)
            return true;
    }
    return false;
}

static int check_one(const struct config *c, const struct section *s,
                     const struct zone *(*zone)(void *arg, const char *name), void *zone_arg,
                     struct buf *report, struct err *e)
{
    const char *service = option_text(s, "service"), *schedule = option_text(s, "schedule");
    struct weekly window[WEEKLY_MOST];
    struct cron cron;
    struct err why = {0};
    unsigned n;
    int rc = 0;

    if (!has(c, "failover", service))
        rc = config_complain(report, s, "service", e, "found \"%s\", but there is no [failover %s]", service,
                             service);
    if (*schedule && cron_parse(schedule, &cron, &why) != 0)
        rc = config_complain(report, s, "schedule", e, "%s", why.text);
    if (!zone(zone_arg, option_text(s, "zone")))
        rc = config_complain(report, s, "zone", e, "found \"%s\", which is no time zone here",
                             option_text(s, "zone"));
    if (*option_text(s, "window") && weekly_parse(option_text(s, "window"), window, &n, &why) != 0)
        rc = config_complain(report, s, "window", e, "%s", why.text);
    for (size_t i = 0; i < option_count(s, "blocking"); i++) {
        if (!has(c, "alert", option_word(s, "blocking", i)))
            rc = config_complain(report, s, "blocking", e, "found \"%s\", but there is no [alert %s]",
                                 option_word(s, "blocking", i), option_word(s, "blocking", i));
    }
    return rc;
}

int drill_check(const struct config *c, const struct zone *(*zone)(void *arg, const char *name),
                void *zone_arg, struct buf *report, struct err *e)
{
    const struct section *s;
    int rc = 0, bad;

    for (size_t i = 0; (s = config_named(c, "drill", i)) != NULL; i++) {
        bad = check_one(c, s, zone, zone_arg, report, e);
        rc = rc ? rc : bad;
    }
    return rc;
}

void drill_settings(const struct section *s, const struct zone *(*zone)(void *arg, const char *name),
                    void *zone_arg, struct drill_settings *out)
{
    struct err e = {0};

    memset(out, 0, sizeof *out);
    (void)snprintf(out->name, sizeof out->name, "%s", section_label(s));
    (void)snprintf(out->service, sizeof out->service, "%s", option_text(s, "service"));
    out->kind = strcmp(option_text(s, "kind"), "full") == 0 ? DRILL_FULL : DRILL_EVALUATE;
    out->zone = zone(zone_arg, option_text(s, "zone"));
    out->scheduled = *option_text(s, "schedule") && out->zone &&
                     cron_parse(option_text(s, "schedule"), &out->cron, &e) == 0;
    if (*option_text(s, "window") &&
        weekly_parse(option_text(s, "window"), out->window, &out->n_window, &e) != 0)
        out->n_window = 0;
    out->comes_back = option_bool(s, "return");
    out->stay_ms = span_to_ms(option_span(s, "stay"));
    out->cap_ms = span_to_ms(option_span(s, "cap"));
    for (size_t i = 0; i < option_count(s, "blocking") && i < DRILL_ALARMS; i++)
        (void)snprintf(out->alarm[out->n_alarms++], FO_NAME, "%s", option_word(s, "blocking", i));
}

/* ---- when ---- */

bool drill_next(const struct drill_settings *s, struct wall t, struct wall *out)
{
    enum { TRIES = 2000 };

    if (!s->scheduled)
        return false;
    for (int i = 0; i < TRIES && cron_next(&s->cron, s->zone, t, out); i++, t = *out) {
        if (s->n_window == 0 || weekly_holds(s->window, s->n_window, s->zone, *out))
            return true;
    }
    return false;
}

bool drill_due(const struct drill_settings *s, struct wall from, struct wall to)
{
    struct wall at;

    return drill_next(s, from, &at) && !wall_before(to, at);
}

/* ---- one run ---- */

static void enter(struct drill_run *r, enum drill_phase p, int64_t now)
{
    r->phase = p;
    r->since = now;
}

static void end(struct drill_run *r, enum drill_outcome o, const struct drill_view *v, const char *text)
{
    enter(r, DRILL_ENDED, v->now);
    r->outcome = o;
    r->ended_wall = v->wall;
    if (text)
        (void)snprintf(r->text, sizeof r->text, "%s", text);
}

void drill_begin(struct drill_run *r, const struct drill_settings *s, const struct drill_view *v, uint8_t to)
{
    *r = (struct drill_run){.home = v->fo->record.active,
                            .to = to,
                            .began = v->now,
                            .began_wall = v->wall,
                            .out_ms = -1,
                            .back_ms = -1,
                            .loss_ms = -1};
    enter(r, DRILL_LOOKING, v->now);
    if (v->alarm)
        end(r, DRILL_REFUSED, v, "a blocking alarm fires");
    else if (s->n_window && !weekly_holds(s->window, s->n_window, s->zone, (struct wall){v->wall}))
        end(r, DRILL_REFUSED, v, "outside of its window");
}

static enum drill_want look(struct drill_run *r, const struct drill_settings *s, const struct drill_view *v)
{
    char why[200];

    if (!v->looked)
        return v->now - r->began > s->cap_ms
                   ? (end(r, DRILL_ABORTED, v, "readiness was not looked at in time"), DRILL_WAIT)
                   : DRILL_LOOK;
    if (s->kind == DRILL_EVALUATE) {
        fo_reasons_text(v->blockers, why, sizeof why);
        end(r, v->blockers ? DRILL_REFUSED : DRILL_GOOD, v, why);
        return DRILL_WAIT;
    }
    enter(r, DRILL_GOING, v->now);
    return DRILL_ORDER_OUT;
}

/* A plan that was ordered: 0 under way, 1 done, -1 it has ended without. */
static int plan_done(const struct drill_run *r, const struct fo *fo, uint8_t to, uint32_t epoch)
{
    const struct fo_record *rec = &fo->record;

    (void)r;
    if (rec->plan.epoch != epoch || rec->status == FO_PLAN || rec->status == FO_UNDO_STATUS)
        return 0;
    return rec->active == to && rec->writer == to ? 1 : -1;
}

static bool over_cap(const struct drill_run *r, const struct drill_settings *s, const struct drill_view *v)
{
    return v->now - r->since > s->cap_ms;
}

static enum drill_want go(struct drill_run *r, const struct drill_settings *s, const struct drill_view *v,
                          bool back)
{
    uint32_t epoch = back ? r->epoch_back : r->epoch_out;
    int done;

    if (r->waiting || epoch == 0)
        return DRILL_WAIT;
    if (v->fo->record.status == FO_STUCK_STATUS) {
        end(r, DRILL_STUCK, v, "the plan is stuck: see sbctl failover explain");
        return DRILL_WAIT;
    }
    done = plan_done(r, v->fo, back ? r->home : r->to, epoch);
    if (done < 0) {
        end(r, v->alarm || v->abort || over_cap(r, s, v) ? DRILL_ABORTED : DRILL_TAKEN_BACK, v,
            "taken back before the point of no return");
        return DRILL_WAIT;
    }
    if (done == 0)
        return (v->alarm || v->abort || over_cap(r, s, v)) && !v->fo->record.plan.past_no_return
                   ? DRILL_ORDER_ABORT
                   : DRILL_WAIT;
    if (back)
        r->back_ms = v->fo->record.plan.valid_at - v->fo->record.plan.began;
    else {
        r->out_ms = v->fo->record.plan.valid_at - v->fo->record.plan.began;
        r->loss_ms = v->fo->record.plan.loss_ms;
    }
    if (back || !s->comes_back)
        end(r, DRILL_GOOD, v, "");
    else
        enter(r, DRILL_AWAY, v->now);
    return v->fo->record.status == FO_HOLD_STATUS ? DRILL_ORDER_ACK : DRILL_WAIT;
}

enum drill_want drill_step(struct drill_run *r, const struct drill_settings *s, const struct drill_view *v)
{
    if (r->phase == DRILL_IDLE || r->phase == DRILL_ENDED || r->waiting)
        return DRILL_WAIT;
    if (!v->leading) {
        end(r, DRILL_LOST, v,
            "another aggregator leads now; where the service is, sbctl failover status says");
        return DRILL_WAIT;
    }
    switch (r->phase) {
    case DRILL_LOOKING: return look(r, s, v);
    case DRILL_GOING: return go(r, s, v, false);
    case DRILL_AWAY:
        if (v->fo->record.status == FO_HOLD_STATUS)
            return DRILL_ORDER_ACK;
        if ((v->now - r->since < s->stay_ms && !v->abort) || (!v->looked_back && !over_cap(r, s, v)))
            return DRILL_WAIT;
        enter(r, DRILL_COMING, v->now);
        return DRILL_ORDER_BACK;
    case DRILL_COMING: return go(r, s, v, true);
    default: return DRILL_WAIT;
    }
}

void drill_answered(struct drill_run *r, enum drill_want what, uint16_t code, const struct drill_view *v)
{
    char text[200];

    r->waiting = false;
    if (r->phase == DRILL_ENDED)
        return;
    if (code && (what == DRILL_ORDER_OUT || what == DRILL_ORDER_BACK)) {
        (void)snprintf(text, sizeof text, "%s: %s",
                       what == DRILL_ORDER_OUT ? "refused" : "the way back was refused",
                       fo_reason_text((enum fo_reason)code));
        end(r, what == DRILL_ORDER_OUT ? DRILL_REFUSED : DRILL_STUCK, v, text);
        return;
    }
    if (what == DRILL_ORDER_OUT)
        r->epoch_out = v->fo->record.plan.epoch;
    if (what == DRILL_ORDER_BACK)
        r->epoch_back = v->fo->record.plan.epoch;
}

/* ---- statistics ---- */

static int up(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The smallest value that a share q of all is not above (nearest rank). */
static double rank(double *v, uint32_t n, double q)
{
    uint32_t at = (uint32_t)ceil(q * n);

    return n ? v[at ? at - 1 : 0] : NAN;
}

void drill_report(const struct drill_result *v, uint32_t n, struct drill_stats *out)
{
    double outs[DRILL_STATS_MOST], backs[DRILL_STATS_MOST];
    uint32_t n_outs = 0, n_backs = 0;

    *out = (struct drill_stats){.n = n, .loss_most = NAN};
    for (uint32_t i = 0; i < n; i++) {
        out->good += v[i].good;
        if (!isnan(v[i].out_s) && n_outs < DRILL_STATS_MOST)
            outs[n_outs++] = v[i].out_s;
        if (!isnan(v[i].back_s) && n_backs < DRILL_STATS_MOST)
            backs[n_backs++] = v[i].back_s;
        if (!isnan(v[i].loss_s) && !(out->loss_most >= v[i].loss_s))
            out->loss_most = v[i].loss_s;
    }
    qsort(outs, n_outs, sizeof *outs, up);
    qsort(backs, n_backs, sizeof *backs, up);
    wilson(out->good, n, &out->low, &out->high);
    out->measured = n_outs;
    out->out_p50 = rank(outs, n_outs, 0.5);
    out->out_p99 = rank(outs, n_outs, 0.99);
    out->back_p50 = rank(backs, n_backs, 0.5);
    out->back_p99 = rank(backs, n_backs, 0.99);
}
