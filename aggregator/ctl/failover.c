/* See failover.h. */
#include "aggregator/ctl/failover.h"

#include <math.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"

static const cJSON *item(const cJSON *o, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(o, name);
}

static bool yes(const cJSON *o, const char *name)
{
    return cJSON_IsTrue(item(o, name));
}

static const char *or_none(const char *s)
{
    return *s ? s : "none";
}

static void seconds(struct buf *out, const cJSON *o, const char *name)
{
    double s = json_number(o, name);

    if (isnan(s))
        buf_str(out, "unknown");
    else if (s < 120)
        buf_fmt(out, "%.1f s", s);
    else if (s < 7200)
        buf_fmt(out, "%.0f min", s / 60);
    else
        buf_fmt(out, "%.1f h", s / 3600);
}

/* One a line, each with the command that helps. */
static void reasons(struct buf *out, const cJSON *list, const char *indent)
{
    const cJSON *x;

    cJSON_ArrayForEach(x, list)
    {
        buf_fmt(out, "%s- %s (%s)\n", indent, json_text(x, "text"), json_text(x, "reason"));
        if (*json_text(x, "command"))
            buf_fmt(out, "%s    %s\n", indent, json_text(x, "command"));
    }
}

static void plan(struct buf *out, const cJSON *p)
{
    static const struct column columns[] = {{"STEP", "step"},         {"ACTION", "action"},
                                            {"REQUIRED", "required"}, {"PHASE", "phase"},
                                            {"TRIES", "tries"},       {NULL, NULL}};

    if (!cJSON_IsObject(p))
        return;
    buf_fmt(out, "  %s plan %.0f: %s from %s to %s, step %s, fenced: %s%s\n",
            yes(p, "live") ? "live" : "last", json_number(p, "epoch"), json_text(p, "kind"),
            json_text(p, "from"), json_text(p, "to"), json_text(p, "step"), json_text(p, "fenced"),
            yes(p, "past_no_return") ? ", past the point of no return" : "");
    if (*json_text(p, "who"))
        buf_fmt(out, "  ordered by %s: %s\n", json_text(p, "who"), json_text(p, "why"));
    if (yes(p, "live"))
        show_list(item(p, "actions"), columns, "", out);
}

static void service(struct buf *out, const cJSON *s)
{
    static const struct column columns[] = {{"SUPPRESSION", "kind"}, {"WHAT", "what"}, {"UNTIL", "until"},
                                            {"WHO", "who"},          {"WHY", "why"},   {NULL, NULL}};

    buf_fmt(out, "%s: %s for ", json_text(s, "service"), json_text(s, "state"));
    seconds(out, s, "state_seconds");
    buf_fmt(out, ": %s\n", json_text(s, "text"));
    buf_fmt(out, "  users go to %s, %s writes, home is %s; epoch %.0f\n", or_none(json_text(s, "active")),
            or_none(json_text(s, "writer")), json_text(s, "home"), json_number(s, "epoch"));
    buf_fmt(out, "  %s; automation %s%s%s; authority %s%s%s\n",
            yes(s, "leading")         ? "this aggregator leads"
            : *json_text(s, "holder") ? "another one leads"
                                      : "nobody is known to lead",
            json_text(s, "automation"), *json_text(s, "why_not_auto") ? ", auto is not possible: " : "",
            json_text(s, "why_not_auto"), json_text(s, "authority"),
            *json_text(s, "authority_away") ? ", away: " : "", json_text(s, "authority_away"));
    if (!yes(s, "leading") && *json_text(s, "holder"))
        buf_fmt(out, "  the leader is %s\n", json_text(s, "holder"));
    if (yes(s, "unreadable"))
        buf_str(out, "  THE RECORD CANNOT BE READ by this program: nothing is decided here\n");
    if (*json_text(s, "hold_until"))
        buf_fmt(out, "  no automatic move before %s\n", json_text(s, "hold_until"));
    if (cJSON_GetArraySize(item(s, "reasons"))) {
        buf_str(out, "  why:\n");
        reasons(out, item(s, "reasons"), "  ");
    }
    plan(out, item(s, "plan"));
    if (cJSON_GetArraySize(item(s, "suppressions")))
        show_list(item(s, "suppressions"), columns, "", out);
}

/* The API's answer is a list, or one service alone. */
static void each(const cJSON *a, struct buf *out, void (*one)(struct buf *out, const cJSON *s))
{
    const cJSON *list = item(a, "services"), *s;

    if (cJSON_GetArraySize(list) == 0)
        buf_str(out, "No service can move: there is no [failover NAME].\n");
    cJSON_ArrayForEach(s, list)
    {
        one(out, s);
    }
}

void show_failover(const cJSON *a, struct buf *out)
{
    each(a, out, service);
}

/* ---- where the order belongs ---- */

/* As a shell takes it: a word that is more than letters, digits and marks stands in quotes. */
static void word(struct buf *out, const char *s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/=@%+,";

    if (*s && s[strspn(s, plain)] == 0) {
        buf_fmt(out, " %s", s);
        return;
    }
    buf_str(out, " '");
    for (; *s; s++) {
        if (*s == '\'')
            buf_str(out, "'\\''");
        else
            buf_fmt(out, "%c", *s);
    }
    buf_str(out, "'");
}

void show_leader_order(const struct ctl_options *o, const struct leader_order *x, struct buf *out)
{
    const struct {
        const char *flag, *value;
    } with[] = {
        {"--url", x->url},       {"--ca", o->ca},          {"--cert", o->cert},
        {"--key", o->key},       {"--token", o->token},    {NULL, "failover"},
        {NULL, x->verb},         {NULL, x->service},       {NULL, x->last},
        {"--to", o->to},         {"--for", o->last},       {"--accept-data-loss", o->accept_data_loss},
        {"--reason", o->reason}, {"--confirm", o->confirm}};

    buf_clear(out);
    buf_str(out, "It has to be ordered there:\n  sbctl");
    for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
        if (!with[i].value)
            continue;
        if (with[i].flag)
            word(out, with[i].flag);
        word(out, with[i].value);
    }
    buf_fmt(out, "%s\n", o->fenced_by_hand ? " --fenced-by-hand" : "");
    if (!o->cert && !o->token)
        buf_str(out, "  with --cert and --key, or --token, of the role operator\n");
}

/* ---- why ---- */

static void votes(struct buf *out, const cJSON *s)
{
    const cJSON *v, *r, *c;

    cJSON_ArrayForEach(v, item(s, "votes"))
    {
        buf_fmt(out, "  %s%s, ", json_text(v, "voter"), yes(v, "own") ? " (this one)" : "");
        if (isnan(json_number(v, "age_seconds"))) {
            buf_str(out, "never heard: counts as unknown\n");
            continue;
        }
        seconds(out, v, "age_seconds");
        buf_fmt(out, " ago%s\n", yes(v, "self_ok") ? "" : ", does not trust itself");
        cJSON_ArrayForEach(r, item(v, "regions"))
        {
            buf_fmt(out, "    %s: %s", r->string, json_text(r, "verdict"));
            cJSON_ArrayForEach(c, item(r, "classes")) buf_fmt(
                out, "%s%s", c->prev && c != item(r, "classes")->child ? ", " : " by ", c->valuestring);
            if (strcmp(json_text(r, "users"), "unknown") != 0)
                buf_fmt(out, "; users: %s", json_text(r, "users"));
            buf_str(out, yes(r, "gray") ? "; gray\n" : "\n");
        }
    }
}

static void why(struct buf *out, const cJSON *s)
{
    static const struct column columns[] = {
        {"REGION", "region"},     {"UP", "up"},
        {"DEGRADED", "degraded"}, {"DOWN", "down"},
        {"UNKNOWN", "unknown"},   {"DOMAINS THAT SAY DOWN", "domains_down"},
        {"IS DOWN", "hard_down"}, {"IS UP", "is_up"},
        {"GRAY", "is_gray"},      {NULL, NULL}};

    service(out, s);
    buf_fmt(out, "  last rule: %.0f\n\nVotes%s:\n", json_number(s, "rule"),
            yes(s, "quorum") ? "" : " (no majority of the voters is heard: nothing is decided)");
    votes(out, s);
    buf_str(out, "\nCounted:\n");
    show_list(item(s, "regions"), columns, "", out);
    if (yes(s, "fail_static"))
        buf_str(out, "Everything looks down: the judge is suspected, nothing moves.\n");
    buf_str(out, "\nSeen from here:\n");
    show_details(item(s, "evidence"), out);
}

void show_failover_why(const cJSON *a, struct buf *out)
{
    each(a, out, why);
}

/* ---- what would be ---- */

void show_failover_plan(const cJSON *p, struct buf *out)
{
    static const struct column columns[] = {{"STEP", "step"},         {"ACTION", "action"},
                                            {"REQUIRED", "required"}, {"READY", "ready"},
                                            {"TEXT", "text"},         {NULL, NULL}};

    buf_fmt(out, "%s: %s from %s to %s: %s\n", json_text(p, "service"), json_text(p, "kind"),
            or_none(json_text(p, "from")), json_text(p, "to"),
            yes(p, "possible") ? "possible now" : "NOT possible now");
    reasons(out, item(p, "blockers"), "  ");
    buf_str(out, "  would lose ");
    seconds(out, p, "loss_seconds");
    buf_str(out, " of writes, allowed are ");
    seconds(out, p, "rpo_seconds");
    buf_str(out, "; the figure is ");
    seconds(out, p, "lag_age_seconds");
    buf_fmt(out, " old%s\n  readiness was looked at ",
            yes(p, "synchronous") ? ", replication is synchronous" : "");
    seconds(out, p, "readiness_age_seconds");
    buf_str(out, " ago\n");
    show_list(item(p, "steps"), columns, "No action belongs to it: nothing would be changed outside.", out);
}

static void readiness(struct buf *out, const cJSON *s)
{
    const cJSON *t;

    cJSON_ArrayForEach(t, item(s, "targets"))
    {
        show_failover_plan(t, out);
    }
}

void show_readiness(const cJSON *a, struct buf *out)
{
    each(a, out, readiness);
}
