/* Failover at the desk: what is read, and what operators order. An order is answered when it is committed, or when the core
 * has refused it. See answers.h. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/answers.h"
#include "aggregator/failover/drill.h"
#include "aggregator/failover/settings.h"
#include "aggregator/moves.h"
#include "aggregator/moves_show.h"

enum { JOURNAL_DEFAULT = 100, JOURNAL_MOST = 10000 };

static int no_service(struct desk *d)
{
    return desk_error(d, 404, "not_found", "there is no [failover %s] here", d->part);
}

static int get_failover(struct desk *d)
{
    cJSON *o;

    if (*d->part && moves_find(d->moves, d->part) == UINT32_MAX)
        return no_service(d);
    o = moves_json(d->moves, *d->part ? d->part : NULL, d->m->now, d->m->mono);
    return desk_print(d, &o);
}

/* The journal's lines that this store has, oldest first, as they stand there. */
static int read_journal(struct desk *d, struct control_lines *q)
{
    const char *text = desk_param(d, "limit");
    long limit = text ? strtol(text, NULL, 10) : JOURNAL_DEFAULT;

    if (moves_find(d->moves, d->part) == UINT32_MAX)
        return no_service(d);
    if (limit < 1 || limit > JOURNAL_MOST)
        return desk_error(d, 400, "parameter", "limit: a whole number from 1 to %d is allowed", JOURNAL_MOST);
    *q = (struct control_lines){
        .room = "failover", .key = bytes_of(d->part), .limit = (size_t)limit, .newest = true};
    return 0;
}

static int get_journal(struct desk *d)
{
    for (size_t i = d->n_lines; i-- > 0;) {
        buf_str(d->out, d->lines[i].json);
        buf_str(d->out, "\n");
    }
    d->type = "application/x-ndjson";
    return d->out->full ? desk_error(d, 503, "unavailable", "the answer is too large: narrow it with limit=")
                        : 200;
}

/* ---- drills ---- */

static int get_drills(struct desk *d)
{
    cJSON *o = moves_drills_json(d->moves, d->m->now);

    return desk_print(d, &o);
}

static int read_drill_report(struct desk *d, struct control_lines *q)
{
    const char *drill = desk_param(d, "drill");
    struct wall from = {0};
    int rc = desk_time(d, "from", desk_param(d, "from"), &from);

    *q = (struct control_lines){.room = "drill", .from = from, .limit = DRILL_STATS_MOST, .newest = true};
    if (drill)
        q->key = bytes_of(drill);
    return rc;
}

static double seconds_of(const cJSON *o, const char *name)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, name));
}

static void add_number(cJSON *o, const char *name, double v)
{
    if (isnan(v))
        cJSON_AddNullToObject(o, name);
    else
        cJSON_AddNumberToObject(o, name, v);
}

/* Refused ones have moved nothing and say nothing of a move's success; they are counted apart. */
static int get_drill_report(struct desk *d)
{
    struct drill_result *v = arena_array(d->arena, d->n_lines + 1, sizeof *v);
    cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "runs");
    struct drill_stats s;
    uint32_t n = 0, refused = 0, looked = 0;

    for (size_t i = 0; v && i < d->n_lines; i++) {
        cJSON *line = cJSON_Parse(d->lines[i].json);
        const char *outcome = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, "outcome"));
        const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, "kind"));

        if (kind && strcmp(kind, "full") != 0)
            looked++;
        else if (outcome && strcmp(outcome, "refused") == 0)
            refused++;
        else if (outcome)
            v[n++] = (struct drill_result){.good = strcmp(outcome, "good") == 0,
                                           .out_s = seconds_of(line, "out_seconds"),
                                           .back_s = seconds_of(line, "back_seconds"),
                                           .loss_s = seconds_of(line, "loss_seconds")};
        cJSON_AddItemToArray(list, line);
    }
    drill_report(v, n, &s);
    cJSON_AddNumberToObject(o, "full", s.n);
    cJSON_AddNumberToObject(o, "good", s.good);
    cJSON_AddNumberToObject(o, "refused", refused);
    cJSON_AddNumberToObject(o, "evaluations", looked);
    add_number(o, "wilson_low", s.low);
    add_number(o, "wilson_high", s.high);
    add_number(o, "out_seconds_p50", s.out_p50);
    add_number(o, "out_seconds_p99", s.out_p99);
    add_number(o, "back_seconds_p50", s.back_p50);
    add_number(o, "back_seconds_p99", s.back_p99);
    add_number(o, "loss_seconds_most", s.loss_most);
    return desk_print(d, &o);
}

static int drill_done(struct desk *d, int rc, const struct err *e)
{
    cJSON *o;

    if (rc)
        return desk_fault(d, rc, e);
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", d->part);
    cJSON_AddBoolToObject(o, "done", true);
    return desk_print(d, &o);
}

static int act_drill_run(struct desk *d)
{
    struct err e = {0};

    return drill_done(d, moves_drill_run(d->moves, d->part, d->r->actor.who, d->r->actor.reason, &e), &e);
}

static int act_drill_abort(struct desk *d)
{
    struct err e = {0};

    return drill_done(d, moves_drill_abort(d->moves, d->part, &e), &e);
}

/* ---- parameters ---- */

static int bad_region(struct desk *d, const struct fo_view *v, const char *key, const char *found)
{
    char names[FO_REGIONS * (FO_NAME + 2)] = "";
    size_t n = 0;

    for (uint8_t i = 0; i < v->config->n_regions; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", v->names->region[i]);
    return desk_error(d, 400, "parameter", "%s: found \"%.64s\", expected one of %s", key, found ? found : "",
                      names);
}

static int loss_of(struct desk *d, const char *text, int64_t *ms)
{
    struct span s;
    struct err e = {0};
    char with_unit[40];

    *ms = -1;
    if (!text)
        return 0;
    (void)snprintf(with_unit, sizeof with_unit, "%.30s%s", text, text[strspn(text, "0123456789")] ? "" : "s");
    if (parse_duration(with_unit, &s, &e) != 0)
        return desk_error(d, 400, "parameter", "accept_data_loss: %s", e.text);
    *ms = span_to_ms(s);
    return 0;
}

static int get_failover_plan(struct desk *d)
{
    uint32_t at = moves_find(d->moves, d->part);
    const char *to = desk_param(d, "to"), *kind = desk_param(d, "kind");
    enum fo_kind k = FO_FAILOVER;
    struct fo_view v;
    int64_t loss;
    uint8_t region;
    cJSON *o;
    int rc;

    if (at == UINT32_MAX)
        return no_service(d);
    moves_view(d->moves, at, &v);
    while (kind && k < FO_KINDS && strcmp(kind, fo_kind_name((uint8_t)k)) != 0)
        k++;
    if (k == FO_KINDS)
        return desk_error(d, 400, "parameter",
                          "kind: found \"%.40s\", expected failover, switchover or drill", kind);
    region = to ? fo_region_index(v.names, v.config->n_regions, to) : fo_target(v.fo, v.config, d->m->now.ms);
    if (to && region == FO_NONE)
        return bad_region(d, &v, "to", to);
    if (region == FO_NONE || region == v.fo->record.active)
        return desk_error(d, 409, "state", "there is no region to go to: %s",
                          to ? "the service is there" : "none is up and allowed");
    rc = loss_of(d, desk_param(d, "accept_data_loss"), &loss);
    if (rc)
        return rc;
    o = moves_plan_json(d->moves, at, k, region, loss, d->m->now, d->m->mono);
    return desk_print(d, &o);
}

/* ---- orders ---- */

static const struct {
    const char *verb;
    uint8_t command;
    bool region_needed;
} verbs[] = {
    {"start", FO_C_START, false},
    {"switchover", FO_C_SWITCHOVER, true},
    {"failback", FO_C_FAILBACK, false},
    {"approve", FO_C_APPROVE, false},
    {"abort", FO_C_ABORT, false},
    {"resume", FO_C_RESUME, false},
    {"retry-step", FO_C_RETRY, false},
    {"skip-step", FO_C_SKIP, false},
    {"ack", FO_C_ACK, false},
    {"lock", FO_C_LOCK, false},
    {"unlock", FO_C_UNLOCK, false},
    {"must-not", FO_C_MUST_NOT, true},
    {"maintenance", FO_C_MAINTENANCE, false},
    {"automation", FO_C_AUTOMATION, false},
    {"fence", FO_C_FENCE, true},
    {"unfence", FO_C_UNFENCE, true},
    {"break-glass", FO_C_BREAK_GLASS, true},
    {"drill", FO_C_DRILL, false},
    {"drill-abort", FO_C_DRILL_ABORT, false},
};

static int order_region(struct desk *d, const cJSON *body, const struct fo_view *v, bool needed,
                        struct fo_order *o)
{
    const char *to = desk_field(d, body, "to");

    o->region = fo_region_index(v->names, v->config->n_regions, to);
    if ((to && o->region == FO_NONE) || (needed && !to))
        return bad_region(d, v, "to", to);
    return 0;
}

static int order_mode(struct desk *d, const cJSON *body, struct fo_order *o)
{
    const char *mode = desk_field(d, body, "mode");

    if (o->command != FO_C_AUTOMATION)
        return 0;
    for (uint8_t i = 0; mode && i <= FO_AUTO; i++) {
        if (strcmp(mode, fo_automation_name(i)) == 0) {
            o->mode = i;
            return 0;
        }
    }
    return desk_error(d, 400, "parameter", "mode: found \"%.40s\", expected observe, propose or auto",
                      mode ? mode : "");
}

static int order_action(struct desk *d, const cJSON *body, const struct fo_view *v, struct fo_order *o)
{
    const char *action = desk_field(d, body, "action");

    o->action = FO_NONE;
    for (uint8_t i = 0; action && i < v->config->n_actions; i++) {
        if (strcmp(v->names->action[i], action) == 0)
            o->action = i;
    }
    if (action && o->action == FO_NONE)
        return desk_error(d, 400, "parameter", "action: found \"%.64s\", which is no action of this service",
                          action);
    if (o->command == FO_C_SKIP && o->action == FO_NONE)
        return desk_error(d, 400, "parameter", "action: which one is to be skipped?");
    return 0;
}

static int order_until(struct desk *d, const cJSON *body, struct fo_order *o)
{
    const char *last = desk_field(d, body, "for");
    struct span s;
    struct err e = {0};

    if (!last)
        return 0;
    if (parse_duration(last, &s, &e) != 0)
        return desk_error(d, 400, "parameter", "for: %s", e.text);
    if (s.ns > span_s(86400).ns)
        return desk_error(d, 400, "parameter",
                          "for: found \"%.40s\", at most 24h are allowed: every suppression ends", last);
    o->until = wall_add(d->m->now, s).ms;
    return 0;
}

static bool yes(const struct desk *d, const cJSON *body, const char *name)
{
    const char *text = desk_param(d, name);

    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(body, name)) || (text && strcmp(text, "yes") == 0);
}

static int epoch_of(struct desk *d, const cJSON *body, struct fo_order *o)
{
    double epoch = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(body, "epoch"));

    if (!cJSON_GetObjectItemCaseSensitive(body, "epoch"))
        return 0;
    if (!(epoch >= 1 && epoch <= UINT32_MAX))
        return desk_error(d, 400, "parameter", "epoch: a whole number is expected");
    o->epoch = (uint32_t)epoch;
    return 0;
}

static int read_order(struct desk *d, const cJSON *body, const struct fo_view *v, bool region_needed,
                      struct fo_order *o)
{
    int rc = order_region(d, body, v, region_needed, o);

    rc = rc ? rc : order_mode(d, body, o);
    rc = rc ? rc : order_action(d, body, v, o);
    rc = rc ? rc : order_until(d, body, o);
    rc = rc ? rc : epoch_of(d, body, o);
    rc = rc ? rc : loss_of(d, desk_field(d, body, "accept_data_loss"), &o->accept_loss_ms);
    o->fenced_by_hand = yes(d, body, "fenced_by_hand");
    (void)snprintf(o->who, sizeof o->who, "%.63s", d->r->actor.who);
    (void)snprintf(o->why, sizeof o->why, "%.127s", d->r->actor.reason);
    return rc;
}

/* Over the network with the role operator as well; but break-glass works at the machine itself alone. */
static bool local_root(const struct desk *d)
{
    return strcmp(d->r->actor.who, "uid 0") == 0;
}

static int order_failover(struct desk *d, struct fo_order *o)
{
    const char *verb = strrchr(d->r->path, '/') + 1;
    uint32_t at = moves_find(d->moves, d->part);
    struct fo_view v;
    cJSON *body;
    size_t i = 0;
    int rc;

    memset(o, 0, sizeof *o);
    if (at == UINT32_MAX)
        return no_service(d);
    while (i < sizeof verbs / sizeof *verbs && strcmp(verbs[i].verb, verb) != 0)
        i++;
    if (i == sizeof verbs / sizeof *verbs)
        return desk_error(d, 404, "not_found", "there is no such order: %s", verb);
    if (verbs[i].command == FO_C_BREAK_GLASS && !local_root(d))
        return desk_error(d, 403, "identity",
                          "break-glass works as root on the aggregator's own machine alone");
    moves_view(d->moves, at, &v);
    o->command = verbs[i].command;
    body = d->r->body.n ? cJSON_ParseWithLength((const char *)d->r->body.p, d->r->body.n) : NULL;
    rc = read_order(d, body, &v, verbs[i].region_needed, o);
    cJSON_Delete(body);
    return rc;
}

int answer_order(struct desk *d, uint16_t code, fo_reasons reasons, const struct answer_leader *leader)
{
    cJSON *o;
    int rc;

    if (code == MOVES_UNKNOWN)
        return desk_error(d, 504, "unknown",
                          "nobody knows whether it was committed: look at sbctl failover status %s", d->part);
    o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "done", code == 0);
    cJSON_AddStringToObject(o, "service", d->part);
    if (code) {
        bool elsewhere = code == FO_R_LEASE && *leader->holder;
        char text[1200];

        (void)snprintf(text, sizeof text, "%s%s%s%s%s%s%s", fo_reason_text((enum fo_reason)code),
                       elsewhere ? " Ask the one that leads: " : "", elsewhere ? leader->holder : "",
                       elsewhere && *leader->region ? " in " : "", elsewhere ? leader->region : "",
                       elsewhere && *leader->reading ? ", " : "", elsewhere ? leader->reading : "");
        cJSON_AddStringToObject(o, "error", text);
        cJSON_AddStringToObject(o, "reason", fo_reason_name((enum fo_reason)code));
        cJSON_AddItemToObject(o, "blockers", show_reasons(reasons | FO_BIT(code), d->part));
        cJSON_AddStringToObject(o, "holder", leader->holder);
        cJSON_AddStringToObject(o, "holder_region", leader->region);
        cJSON_AddStringToObject(o, "holder_url", elsewhere ? leader->reading : "");
    }
    rc = desk_print(d, &o);
    return rc != 200 ? rc : code ? 409 : 200;
}

const struct desk_row moves_rows[] = {
    {"GET", "failover", get_failover, NULL, NULL, NULL},
    {"GET", "failover/*", get_failover, NULL, NULL, NULL},
    {"GET", "failover/*/plan", get_failover_plan, NULL, NULL, NULL},
    {"GET", "failover/*/journal", get_journal, read_journal, NULL, NULL},
    {"GET", "drills", get_drills, NULL, NULL, NULL},
    {"GET", "drills/report", get_drill_report, read_drill_report, NULL, NULL},
    {"POST", "drills/*/run", act_drill_run, NULL, "drill run %s", NULL},
    {"POST", "drills/*/abort", act_drill_abort, NULL, "drill abort %s", NULL},
    {"POST", "failover/*/start", NULL, NULL, "failover start %s", order_failover},
    {"POST", "failover/*/switchover", NULL, NULL, "failover switchover %s", order_failover},
    {"POST", "failover/*/failback", NULL, NULL, "failover failback %s", order_failover},
    {"POST", "failover/*/approve", NULL, NULL, "failover approve %s", order_failover},
    {"POST", "failover/*/abort", NULL, NULL, "failover abort %s", order_failover},
    {"POST", "failover/*/resume", NULL, NULL, "failover resume %s", order_failover},
    {"POST", "failover/*/retry-step", NULL, NULL, "failover retry-step %s", order_failover},
    {"POST", "failover/*/skip-step", NULL, NULL, "failover skip-step %s", order_failover},
    {"POST", "failover/*/ack", NULL, NULL, "failover ack %s", order_failover},
    {"POST", "failover/*/lock", NULL, NULL, "failover lock %s", order_failover},
    {"POST", "failover/*/unlock", NULL, NULL, "failover unlock %s", order_failover},
    {"POST", "failover/*/must-not", NULL, NULL, "failover must-not %s", order_failover},
    {"POST", "failover/*/maintenance", NULL, NULL, "failover maintenance %s", order_failover},
    {"POST", "failover/*/automation", NULL, NULL, "failover automation %s", order_failover},
    {"POST", "failover/*/fence", NULL, NULL, "failover fence %s", order_failover},
    {"POST", "failover/*/unfence", NULL, NULL, "failover unfence %s", order_failover},
    {"POST", "failover/*/break-glass", NULL, NULL, "failover break-glass %s", order_failover},
    {"POST", "failover/*/drill", NULL, NULL, "failover drill %s", order_failover},
    {"POST", "failover/*/drill-abort", NULL, NULL, "failover drill-abort %s", order_failover},
};
const size_t moves_rows_count = sizeof moves_rows / sizeof *moves_rows;
