/* What `sbctl explain` prints: why an alert is in its state, what it was judged by, who was told, and what was decided
 * before. In that order, because that is the order in which it is asked. */
#include <math.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"

static const cJSON *at(const cJSON *o, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

static void line(struct buf *out, const char *head, const char *text)
{
    if (*text)
        buf_fmt(out, "%-10s %s\n", head, text);
}

static void number(const cJSON *o, const char *key, char out[32])
{
    double v = json_number(o, key);

    if (isnan(v))
        memcpy(out, "-", 2);
    else
        short_number(v, out);
}

static void labels(const cJSON *o, struct buf *out)
{
    const cJSON *l;
    const char *comma = "";

    cJSON_ArrayForEach(l, o)
    {
        buf_fmt(out, "%s%s=\"%s\"", comma, l->string, cJSON_IsString(l) ? cJSON_GetStringValue(l) : "");
        comma = ", ";
    }
}

static void heading(const cJSON *a, struct buf *out)
{
    buf_fmt(out, "%s is %s", json_text(a, "alert"), json_text(a, "state"));
    if (*json_text(a, "since"))
        buf_fmt(out, ", true since %s", json_text(a, "since"));
    if (cJSON_IsTrue(at(a, "flapping")))
        buf_str(out, ", flapping");
    buf_str(out, "\n");
    if (at(a, "labels")) {
        buf_str(out, "  ");
        labels(at(a, "labels"), out);
        buf_str(out, "\n");
    }
    buf_str(out, "\n");
}

static void rule(const cJSON *a, struct buf *out)
{
    char seconds[32], hold[32];

    if (!*json_text(a, "metric") && !*json_text(a, "condition"))
        return;
    number(a, "window_seconds", seconds);
    number(a, "for_seconds", hold);
    buf_fmt(out, "%-10s %s", "rule", json_text(a, "statistic"));
    if (*json_text(a, "metric"))
        buf_fmt(out, " of %s over %s s", json_text(a, "metric"), seconds);
    buf_fmt(out, " %s, for %s s", json_text(a, "condition"), hold);
    number(a, "clear_for_seconds", hold);
    buf_fmt(out, "; clears when %s for %s s\n", json_text(a, "clear"), hold);
}

static void facts(const cJSON *a, struct buf *out)
{
    char value[32], threshold[32], held[32], of[32];

    number(a, "value", value);
    number(a, "threshold", threshold);
    number(a, "steps_with_data", held);
    number(a, "steps", of);
    buf_fmt(out, "%-10s %s against %s: %s\n", "value", value, threshold, json_text(a, "verdict"));
    if (*json_text(a, "window_from"))
        buf_fmt(out, "%-10s %s to %s, %s of %s steps with data, newest sample %s\n", "window",
                json_text(a, "window_from"), json_text(a, "window_to"), held, of,
                *json_text(a, "newest_in_window") ? json_text(a, "newest_in_window") : "none");
    line(out, "muted", strcmp(json_text(a, "muted"), "no") == 0 ? "" : json_text(a, "muted"));
    line(out, "id", json_text(a, "fingerprint"));
}

static void receivers(const cJSON *group, struct buf *out)
{
    const cJSON *r;

    cJSON_ArrayForEach(r, at(group, "receivers"))
    {
        char attempt[32];

        number(r, "attempt", attempt);
        buf_fmt(out, "    %s%s: %s", json_text(r, "receiver"),
                cJSON_IsTrue(at(r, "fallback")) ? " (fallback)" : "", json_text(r, "state"));
        if (*json_text(r, "told_at"))
            buf_fmt(out, " at %s", json_text(r, "told_at"));
        buf_fmt(out, ", attempt %s", attempt);
        if (*json_text(r, "waits_because"))
            buf_fmt(out, "; %s", json_text(r, "waits_because"));
        if (*json_text(r, "last_error"))
            buf_fmt(out, "; last error: %s", json_text(r, "last_error"));
        buf_str(out, "\n");
    }
}

static void notices(const cJSON *n, struct buf *out)
{
    const cJSON *g, *acked = at(n, "acknowledged");

    buf_str(out, "\nWho is told\n");
    if (acked)
        buf_fmt(out, "  acknowledged by %s at %s: %s\n", json_text(acked, "by"), json_text(acked, "at"),
                json_text(acked, "reason"));
    if (cJSON_IsTrue(at(n, "suppressed")))
        buf_str(out, "  suppressed by another alert\n");
    if (!at(n, "groups") || !at(n, "groups")->child)
        buf_str(out, "  nobody: no route has taken it up\n");
    cJSON_ArrayForEach(g, at(n, "groups"))
    {
        buf_fmt(out, "  by route %s, key %s", json_text(g, "route"), json_text(g, "dedup_key"));
        if (*json_text(g, "stopped_by"))
            buf_fmt(out, ", stopped by %s %s", json_text(g, "stopped_by"), json_text(g, "stopped_by_what"));
        if (*json_text(g, "escalating_since"))
            buf_fmt(out, ", escalating since %s", json_text(g, "escalating_since"));
        buf_str(out, "\n");
        receivers(g, out);
    }
}

void show_explanation(const cJSON *a, struct buf *out)
{
    static const struct column samples[] = {{"STEP", "t"},    {"VALUES", "n"}, {"SUM", "sum"},
                                            {"LEAST", "min"}, {"MOST", "max"}, {"LAST", "last"},
                                            {NULL, NULL}};
    static const struct column decisions[] = {
        {"TIME", "time"},       {"FROM", "from"},    {"TO", "to"},
        {"ROW", "row"},         {"VALUE", "value"},  {"THRESHOLD", "threshold"},
        {"VERDICT", "verdict"}, {"WHY", "sentence"}, {NULL, NULL}};

    heading(a, out);
    line(out, "why", json_text(a, "sentence"));
    rule(a, out);
    facts(a, out);
    if (at(a, "samples")) {
        buf_str(out, "\n");
        show_list(at(a, "samples"), samples, "No sample in the window.", out);
    }
    if (at(a, "notices"))
        notices(at(a, "notices"), out);
    if (at(a, "decisions")) {
        buf_str(out, "\nWhat was decided\n");
        show_list(at(a, "decisions"), decisions, "  nothing yet", out);
    }
}
