/* See report.h. One walk over the report; the two forms differ in how a heading, a fact and a table are written. */
#include "aggregator/ctl/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"

enum { SHORT = 96, ROWS_MOST = 500 };

struct writer {
    struct buf *out;
    bool markdown;
};

/* ---- forms of numbers ---- */

static const cJSON *at(const cJSON *o, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

static double number(const cJSON *o, const char *part, const char *key)
{
    return json_number(at(o, part), key);
}

/* "99.9512 %"; cut, not rounded. */
static const char *percent(double v, char out[SHORT])
{
    if (isnan(v))
        (void)snprintf(out, SHORT, "no data");
    else
        (void)snprintf(out, SHORT, "%.4f %%", floor(v * 1e6 + 1e-6) / 1e4);
    return out;
}

/* "21 min 36 s", "-3 min 0 s", "1 h 2 min 0 s". */
static const char *duration(double minutes, char out[SHORT])
{
    double s = round(fabs(minutes) * 60);
    const char *sign = minutes < 0 && s > 0 ? "-" : "";

    if (isnan(minutes) || s > 1e12)
        (void)snprintf(out, SHORT, "unknown");
    else if (s < 3600)
        (void)snprintf(out, SHORT, "%s%.0f min %.0f s", sign, floor(s / 60), fmod(s, 60));
    else
        (void)snprintf(out, SHORT, "%s%.0f h %.0f min %.0f s", sign, floor(s / 3600),
                       floor(fmod(s, 3600) / 60), fmod(s, 60));
    return out;
}

/* "2026-11-02 01:28 UTC" of "2026-11-02T01:28:00.000Z"; "-" when there is none. */
static const char *when(const cJSON *o, const char *key, char out[SHORT])
{
    const char *t = json_text(o, key);

    if (strlen(t) < 16)
        (void)snprintf(out, SHORT, "-");
    else
        (void)snprintf(out, SHORT, "%.10s %.5s UTC", t, t + 11);
    return out;
}

static void labels_line(const cJSON *labels, struct buf *out)
{
    const cJSON *l;
    bool first = true;

    cJSON_ArrayForEach(l, labels)
    {
        buf_fmt(out, "%s%s=%s", first ? "" : " ", l->string ? l->string : "",
                cJSON_GetStringValue(l) ? cJSON_GetStringValue(l) : "");
        first = false;
    }
    if (first)
        buf_str(out, "all");
}

/* ---- the two forms ---- */

/* What came from outside: steers no terminal, and is no markup. */
static void put_plain(const struct writer *w, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c < 0x20 || c == 0x7f) {
            buf_u8(w->out, '?');
            continue;
        }
        if (w->markdown && strchr("\\`*_[]<>|#", c))
            buf_u8(w->out, '\\');
        buf_u8(w->out, c);
    }
}

static void heading(const struct writer *w, const char *s)
{
    buf_str(w->out, w->markdown ? "\n## " : "\n");
    put_plain(w, s);
    buf_str(w->out, w->markdown ? "\n\n" : "\n");
}

static void fact(const struct writer *w, const char *name, const char *value)
{
    if (w->markdown) {
        buf_fmt(w->out, "- **%s:** ", name);
        put_plain(w, value);
        buf_u8(w->out, '\n');
        return;
    }
    buf_fmt(w->out, "  %-34s ", name);
    put_plain(w, value);
    buf_u8(w->out, '\n');
}

/* A table from cells: the first row is its heading. */
static void put_table(const struct writer *w, struct table *t)
{
    const char *cell = (const char *)t->cells.data;

    if (!w->markdown) {
        table_print(t, w->out);
        return;
    }
    for (size_t i = 0; i < t->n; i++, cell += strlen(cell) + 1) {
        buf_str(w->out, i % t->columns ? " " : "| ");
        put_plain(w, cell);
        buf_str(w->out, " |");
        if (i % t->columns != t->columns - 1)
            continue;
        buf_u8(w->out, '\n');
        for (size_t k = 0; i == t->columns - 1 && k < t->columns; k++)
            buf_fmt(w->out, "%s%s", k ? "" : "|", t->right[k] ? " ---: |" : " --- |");
        if (i == t->columns - 1)
            buf_u8(w->out, '\n');
    }
}

static void cells(struct table *t, const char *const *names)
{
    for (; *names; names++)
        table_cell(t, "%s", *names);
}

/* ---- parts ---- */

static void put_head(const struct writer *w, const cJSON *r)
{
    const char *month = json_text(r, "month");
    char text[400], a[SHORT], b[SHORT];
    bool rolling = !strcmp(month, "rolling");

    (void)snprintf(text, sizeof text, "Availability of %.200s, %s", json_text(r, "report"),
                   rolling ? "the last 30 days" : month);
    buf_str(w->out, w->markdown ? "# " : "");
    put_plain(w, text);
    buf_str(w->out, w->markdown ? "\n\n" : "\n\n");
    (void)snprintf(text, sizeof text, "%s to %s (%s)", when(r, "from", a), when(r, "to", b),
                   json_text(r, "zone"));
    fact(w, "Period", text);
    (void)snprintf(text, sizeof text, "%s to %s", when(r, "accounted_from", a), when(r, "accounted_to", b));
    fact(w, cJSON_IsTrue(at(r, "final")) ? "Accounted for, finally" : "Accounted for so far", text);
    fact(w, "Objective", percent(json_number(r, "objective_ratio"), a));
    fact(w, "Made", when(r, "made_at", a));
}

static void put_result(const struct writer *w, const cJSON *r)
{
    char text[400], a[SHORT], b[SHORT];
    const cJSON *met = at(at(r, "downtime"), "met");

    heading(w, "Result");
    fact(w, "Objective by minutes", cJSON_IsTrue(met) ? "met" : cJSON_IsFalse(met) ? "missed" : "no data");
    fact(w, "Availability by minutes", percent(number(r, "availability", "by_minutes_ratio"), a));
    (void)snprintf(text, sizeof text, "%s (%.0f of %.0f were good)",
                   percent(number(r, "availability", "by_events_ratio"), a), number(r, "events", "good"),
                   number(r, "events", "total"));
    fact(w, "Availability by events", text);
    fact(w, "By minutes, unmeasured as down",
         percent(number(r, "availability", "by_minutes_internal_ratio"), a));
    fact(w, "Down time allowed", duration(number(r, "downtime", "allowed_minutes"), a));
    fact(w, "Down time used", duration(number(r, "downtime", "used_minutes"), a));
    fact(w, "Down time remaining", duration(number(r, "downtime", "remaining_minutes"), a));
    if (isnan(number(r, "events", "bad_allowed")))
        (void)snprintf(text, sizeof text, "no data");
    else
        (void)snprintf(text, sizeof text, "%.0f of %.1f allowed at this traffic", number(r, "events", "bad"),
                       number(r, "events", "bad_allowed"));
    fact(w, "Bad events", text);
    (void)snprintf(text, sizeof text, "%s of the minutes accounted for",
                   percent(number(r, "completeness", "measured_ratio"), b));
    fact(w, "Measured", text);
}

static void put_minutes(const struct writer *w, const cJSON *r)
{
    static const char *const names[][2] = {
        {"up", "Up"},
        {"up_too_few_events", "  of them with too few events to judge by"},
        {"up_by_witness", "  of them by a probe alone"},
        {"down", "Down"},
        {"unknown", "Unknown"},
        {"excluded", "Excluded by contract"},
        {"not_measured", "Not measured: the service was not there"},
    };
    const cJSON *cause;
    struct table t;

    heading(w, "Minutes");
    table_init(&t, 2, "lr");
    cells(&t, (const char *const[]){"VERDICT", "MINUTES", NULL});
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        table_cell(&t, "%s", names[i][1]);
        table_cell(&t, "%.0f", number(r, "minutes", names[i][0]));
    }
    put_table(w, &t);
    table_free(&t);
    if (!cJSON_GetArraySize(at(r, "minutes_by_cause")))
        return;
    heading(w, "By cause");
    table_init(&t, 2, "lr");
    cells(&t, (const char *const[]){"VERDICT AND CAUSE", "MINUTES", NULL});
    cJSON_ArrayForEach(cause, at(r, "minutes_by_cause"))
    {
        const char *name = cause->string ? cause->string : "", *cut = strchr(name, '_');

        table_cell(&t, "%.*s, %s", (int)(cut ? cut - name : 0), name, cut ? cut + 1 : name);
        table_cell(&t, "%.0f", cJSON_GetNumberValue(cause));
    }
    put_table(w, &t);
    table_free(&t);
}

static void groups_of(const cJSON *list, bool several, struct table *t)
{
    const cJSON *g;
    struct buf text;

    buf_init(&text, NULL, 1 << 16);
    cJSON_ArrayForEach(g, list)
    {
        if (text.len)
            buf_str(&text, "; ");
        if (several)
            buf_fmt(&text, "%s ", json_text(g, "slo"));
        labels_line(at(g, "labels"), &text);
    }
    table_cell(t, "%.200s", buf_text(&text));
    buf_free(&text);
}

static void put_intervals(const struct writer *w, const cJSON *r)
{
    const cJSON *list = at(r, "intervals"), *x;
    bool several = strchr(json_text(r, "report"), ',') != NULL;
    double left = json_number(r, "intervals_left_out");
    int n = 0;
    char a[SHORT];
    struct table t;

    heading(w, "What was not up");
    if (!cJSON_GetArraySize(list)) {
        buf_str(w->out, "Nothing.\n");
        return;
    }
    table_init(&t, 6, "llrlll");
    cells(&t, (const char *const[]){"FROM", "TO", "MINUTES", "VERDICT", "CAUSE", "WHERE", NULL});
    cJSON_ArrayForEach(x, list)
    {
        if (n++ == ROWS_MOST)
            break;
        table_cell(&t, "%s", when(x, "from", a));
        table_cell(&t, "%s", when(x, "to", a));
        table_cell(&t, "%.0f", json_number(x, "minutes"));
        table_cell(&t, "%s", json_text(x, "verdict"));
        table_cell(&t, "%s", json_text(x, "cause"));
        groups_of(at(x, "groups"), several, &t);
    }
    put_table(w, &t);
    table_free(&t);
    left = isnan(left) ? 0 : left;
    if (cJSON_GetArraySize(list) > ROWS_MOST)
        left += cJSON_GetArraySize(list) - ROWS_MOST;
    if (left > 0)
        buf_fmt(w->out, "\nand %.0f more, which the sums above contain\n", left);
}

static void put_groups(const struct writer *w, const cJSON *r)
{
    const cJSON *list = at(r, "groups"), *g;
    bool several = strchr(json_text(r, "report"), ',') != NULL;
    struct table t;
    char a[SHORT];

    if (cJSON_GetArraySize(list) < 2)
        return;
    heading(w, "By group");
    table_init(&t, 5, "lrrrr");
    cells(&t, (const char *const[]){"GROUP", "BY MINUTES", "BY EVENTS", "DOWN", "UNKNOWN", NULL});
    cJSON_ArrayForEach(g, list)
    {
        struct buf text;

        buf_init(&text, NULL, 1 << 16);
        if (several)
            buf_fmt(&text, "%s ", json_text(g, "slo"));
        labels_line(at(g, "labels"), &text);
        table_cell(&t, "%.200s", buf_text(&text));
        buf_free(&text);
        table_cell(&t, "%s", percent(number(g, "availability", "by_minutes_ratio"), a));
        table_cell(&t, "%s", percent(number(g, "availability", "by_events_ratio"), a));
        table_cell(&t, "%.0f", number(g, "minutes", "down"));
        table_cell(&t, "%.0f", number(g, "minutes", "unknown"));
    }
    put_table(w, &t);
    table_free(&t);
}

static void put_corrections(const struct writer *w, const cJSON *r)
{
    const cJSON *list = at(r, "corrections"), *x;
    struct table t;
    char a[SHORT];
    int n = 0;

    if (!cJSON_GetArraySize(list))
        return;
    heading(w, "Corrections after data that came late");
    table_init(&t, 6, "lllrll");
    cells(&t, (const char *const[]){"MADE", "FROM", "TO", "MINUTES", "WAS", "IS", NULL});
    cJSON_ArrayForEach(x, list)
    {
        if (n++ == ROWS_MOST)
            break;
        table_cell(&t, "%s", when(x, "at", a));
        table_cell(&t, "%s", when(x, "from", a));
        table_cell(&t, "%s", when(x, "to", a));
        table_cell(&t, "%.0f", json_number(x, "minutes"));
        table_cell(&t, "%s", json_text(x, "was"));
        table_cell(&t, "%s", json_text(x, "is"));
    }
    put_table(w, &t);
    table_free(&t);
    if (cJSON_GetArraySize(list) > ROWS_MOST)
        buf_fmt(w->out, "\nand %d more\n", cJSON_GetArraySize(list) - ROWS_MOST);
}

static void put_terms(const struct writer *w, const cJSON *r)
{
    const cJSON *contract = at(r, "contract"), *threshold = at(r, "threshold");
    const char *unknown = json_text(contract, "unknown");
    char text[400], a[SHORT];

    heading(w, "How it is counted");
    (void)snprintf(text, sizeof text, "less than %s of at least %.0f events were good",
                   percent(json_number(contract, "down_below_ratio"), a),
                   json_number(contract, "min_events"));
    fact(w, "A minute (UTC) is down when", text);
    if (*json_text(contract, "witness")) {
        (void)snprintf(text, sizeof text, "the probe of %.100s failed for the whole minute",
                       json_text(contract, "witness"));
        fact(w, "With too few events, when", text);
    }
    (void)snprintf(text, sizeof text, "no data, or less than %s of its sources",
                   percent(json_number(contract, "complete_from_ratio"), a));
    fact(w, "A minute is unknown with", text);
    fact(w, "Unknown minutes are",
         !strcmp(unknown, "down") ? "counted as down"
         : !strcmp(unknown, "up") ? "counted as up"
                                  : "left out of the account, and shown");
    fact(w, "Maintenance is",
         !strcmp(json_text(contract, "maintenance"), "excluded")
             ? "excluded when it was declared before it began"
             : "counted like all other time");
    if (!threshold)
        return;
    if (cJSON_IsTrue(at(threshold, "exact")))
        (void)snprintf(text, sizeof text, "%.6g s, counted exactly",
                       json_number(threshold, "threshold_seconds"));
    else if (isnan(json_number(threshold, "bound_seconds")))
        (void)snprintf(text, sizeof text, "%.6g s", json_number(threshold, "threshold_seconds"));
    else
        (void)snprintf(text, sizeof text, "%.6g s, for which the bucket bound %.6g s stands",
                       json_number(threshold, "threshold_seconds"), json_number(threshold, "bound_seconds"));
    fact(w, "Fast is up to", text);
}

static int put_report(const struct writer *w, const cJSON *r)
{
    if (!*json_text(r, "report") || !at(r, "downtime") || !at(r, "minutes") || !at(r, "availability"))
        return ERR_MALFORMED;
    put_head(w, r);
    put_result(w, r);
    put_minutes(w, r);
    put_intervals(w, r);
    put_groups(w, r);
    put_corrections(w, r);
    put_terms(w, r);
    return w->out->full ? ERR_NOMEM : 0;
}

int report_text(const cJSON *report, struct buf *out)
{
    return put_report(&(struct writer){.out = out}, report);
}

int report_markdown(const cJSON *report, struct buf *out)
{
    return put_report(&(struct writer){.out = out, .markdown = true}, report);
}
