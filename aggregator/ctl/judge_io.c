/* sbctl: objectives, alerts and incidents. */
#include <stdio.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"
#include "aggregator/ctl/report.h"
#include "common/base/clock.h"

enum { PATH_MOST = 16384, ANSWER_MOST = 64 << 20 };

/* GET /api/v1/<resource>[/part][/tail] with what the options narrow it to. */
static int get(struct ctl *c, const struct ctl_options *o, const char *resource, const char *part,
               const char *tail, void (*show)(const cJSON *, struct buf *), struct err *e)
{
    struct buf path;
    int rc;

    buf_init(&path, NULL, PATH_MOST);
    buf_fmt(&path, "/api/v1/%s", resource);
    if (part)
        path_part(&path, part);
    if (tail)
        buf_fmt(&path, "/%s", tail);
    path_add(&path, "state", o->state);
    path_add(&path, "match", o->match);
    path_add(&path, "month", o->month);
    path_add(&path, "at", o->at);
    rc = ctl_fetch(c, o, buf_text(&path), show, e);
    buf_free(&path);
    return rc;
}

/* ---- objectives ---- */

static void show_slos(const cJSON *a, struct buf *out)
{
    static const struct column columns[] = {{"OBJECTIVE", "slo"},
                                            {"KIND", "kind"},
                                            {"WANTED", "objective_ratio"},
                                            {"PERIOD", "period"},
                                            {"GROUPS", "groups"},
                                            {"WORST", "worst_group"},
                                            {"BUDGET LEFT", "error_budget_remaining_ratio"},
                                            {"DOWN MIN", "month.down_minutes"},
                                            {"UNKNOWN MIN", "month.unknown_minutes"},
                                            {"COMPLETE", "data_completeness_ratio"},
                                            {NULL, NULL}};

    show_list(cJSON_GetObjectItemCaseSensitive(a, "slos"), columns, "No objective: there is no [slo NAME].",
              out);
}

static void show_report_text(const cJSON *a, struct buf *out)
{
    if (report_text(a, out) != 0)
        buf_str(out, "the answer is no report\n");
}

static void show_report_markdown(const cJSON *a, struct buf *out)
{
    if (report_markdown(a, out) != 0)
        buf_str(out, "the answer is no report\n");
}

static int report(struct ctl *c, const struct ctl_options *o, const char *name, struct err *e)
{
    struct ctl_options as = *o;
    const char *format = o->format ? o->format : o->json ? "json" : "text";

    as.json = strcmp(format, "json") == 0;
    if (!as.json && strcmp(format, "text") != 0 && strcmp(format, "markdown") != 0)
        return err_set(e, ERR_CONFIG, "--format: found \"%.40s\", expected text, json or markdown", format);
    return get(c, &as, "slos", name, "report",
               strcmp(format, "markdown") == 0 ? show_report_markdown : show_report_text, e);
}

int ctl_slo(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    if (argc == 0 || ctl_verb("list", argc, argv, 0))
        return get(c, o, "slos", NULL, NULL, show_slos, e);
    if (ctl_verb("show", argc, argv, 1))
        return get(c, o, "slos", argv[1], NULL, show_details, e);
    if (ctl_verb("report", argc, argv, 1))
        return report(c, o, argv[1], e);
    return err_set(e, ERR_CONFIG, "expected list, show NAME or report NAME");
}

/* ---- alerts ---- */

static void show_alerts(const cJSON *a, struct buf *out)
{
    static const struct column columns[] = {{"ALERT", "alert"},       {"STATE", "state"},
                                            {"SEVERITY", "severity"}, {"SINCE", "since"},
                                            {"VALUE", "value"},       {"THRESHOLD", "threshold"},
                                            {"MUTED", "muted"},       {"FINGERPRINT", "fingerprint"},
                                            {"LABELS", "labels"},     {NULL, NULL}};

    show_list(cJSON_GetObjectItemCaseSensitive(a, "alerts"), columns, "No alert is pending or firing.", out);
}

int ctl_alerts(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    bool unack = ctl_verb("unack", argc, argv, 1);
    cJSON *body;
    struct buf path;
    int rc;

    if (argc == 0 || ctl_verb("list", argc, argv, 0))
        return get(c, o, "alerts", NULL, NULL, show_alerts, e);
    if (!unack && !ctl_verb("ack", argc, argv, 1))
        return err_set(e, ERR_CONFIG, "expected no argument, ack FINGERPRINT or unack FINGERPRINT");
    buf_init(&path, NULL, PATH_MOST);
    buf_str(&path, "/api/v1/alerts");
    path_part(&path, argv[1]);
    buf_str(&path, "/ack");
    body = cJSON_CreateObject();
    rc = ctl_order(c, o, unack ? "DELETE" : "POST", buf_text(&path), &body,
                   unack ? "not acknowledged any more" : "acknowledged", e);
    buf_free(&path);
    return rc;
}

static void show_rules(const cJSON *a, struct buf *out)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(a, "rules");
    static const struct column columns[] = {
        {"RULE", "alert"},    {"SEVERITY", "severity"},   {"STATISTIC", "statistic"},
        {"METRIC", "metric"}, {"CONDITION", "condition"}, {"FOR S", "for_seconds"},
        {"ALERTS", "alerts"}, {"ORIGIN", "origin"},       {NULL, NULL}};

    show_list(list, columns, "No rule: there is no [alert NAME].", out);
}

int ctl_rules(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    (void)argv;
    return argc ? err_set(e, ERR_CONFIG, "expected no argument")
                : get(c, o, "rules", NULL, NULL, show_rules, e);
}

int ctl_explain(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    struct buf path;
    int rc;

    if (argc != 1)
        return err_set(e, ERR_CONFIG,
                       "expected one ALERT: a rule's name, with {labels} where needed, or a fingerprint");
    buf_init(&path, NULL, PATH_MOST);
    buf_str(&path, "/api/v1/alerts/explain");
    path_add(&path, "alert", argv[0]);
    path_add(&path, "at", o->at);
    rc = ctl_fetch(c, o, buf_text(&path), show_explanation, e);
    buf_free(&path);
    return rc;
}

/* ---- incidents ---- */

static void show_incidents(const cJSON *a, struct buf *out)
{
    static const struct column columns[] = {
        {"INCIDENT", "id"},       {"STATE", "state"}, {"SEVERITY", "severity"}, {"OPENED", "opened"},
        {"RESOLVED", "resolved"}, {"OWNER", "owner"}, {"ALERTS", "alerts"},     {"FIRING", "alerts_firing"},
        {"TITLE", "title"},       {NULL, NULL}};

    show_list(cJSON_GetObjectItemCaseSensitive(a, "incidents"), columns, "There is no incident.", out);
}

static int incident_act(struct ctl *c, const struct ctl_options *o, const char *id, const char *act,
                        const char *text, const char *said, struct err *e)
{
    cJSON *body = cJSON_CreateObject();
    struct ctl_options as = *o;
    struct buf path;
    int rc;

    if (text) {
        cJSON_AddStringToObject(body, "text", text);
        as.reason = o->reason ? o->reason : "note"; /* the text says it */
    }
    buf_init(&path, NULL, PATH_MOST);
    buf_str(&path, "/api/v1/incidents");
    path_part(&path, id);
    buf_fmt(&path, "/%s", act);
    rc = ctl_order(c, &as, "POST", buf_text(&path), &body, said, e);
    buf_free(&path);
    return rc;
}

static int postmortem(struct ctl *c, const char *id, struct err *e)
{
    struct buf path, out;
    int rc;

    buf_init(&path, NULL, PATH_MOST);
    buf_init(&out, NULL, ANSWER_MOST);
    buf_str(&path, "/api/v1/incidents");
    path_part(&path, id);
    buf_str(&path, "/postmortem");
    rc = ctl_get(c, buf_text(&path), &out, e);
    if (!rc)
        ctl_print(&out);
    buf_free(&path);
    buf_free(&out);
    return rc;
}

int ctl_incident(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    if (argc == 0 || ctl_verb("list", argc, argv, 0))
        return get(c, o, "incidents", NULL, NULL, show_incidents, e);
    if (ctl_verb("show", argc, argv, 1))
        return get(c, o, "incidents", argv[1], NULL, show_details, e);
    if (ctl_verb("postmortem", argc, argv, 1))
        return postmortem(c, argv[1], e);
    if (ctl_verb("ack", argc, argv, 1))
        return incident_act(c, o, argv[1], "ack", NULL, "acknowledged", e);
    if (ctl_verb("resolve", argc, argv, 1))
        return incident_act(c, o, argv[1], "resolve", NULL, "resolved", e);
    if (ctl_verb("note", argc, argv, 2))
        return incident_act(c, o, argv[1], "note", argv[2], "noted", e);
    return err_set(e, ERR_CONFIG,
                   "expected list, show ID, postmortem ID, ack ID, resolve ID or note ID TEXT");
}

/* ---- regions ---- */

static void show_regions(const cJSON *a, struct buf *out)
{
    static const struct column columns[] = {{"REGION", "region"},
                                            {"PEER", "peer"},
                                            {"OURS", "own"},
                                            {"UP", "up"},
                                            {"HEARD S AGO", "heard_seconds"},
                                            {"SKEW S", "skew_seconds"},
                                            {NULL, NULL}};

    show_list(cJSON_GetObjectItemCaseSensitive(a, "regions"), columns, "No region.", out);
}

int ctl_regions(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    (void)argv;
    return argc ? err_set(e, ERR_CONFIG, "expected no argument")
                : get(c, o, "regions", NULL, NULL, show_regions, e);
}
