/* What sbctl shows of each answer: see ctl.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"

void show_status(const cJSON *s, struct buf *out)
{
    const cJSON *v;
    char age[32];

    age_text(json_text(s, "now"), json_text(s, "started"), age);
    buf_fmt(out, "aggregator  %s (%s), region %s, role %s\n", json_text(s, "version"),
            json_text(s, "revision"), json_text(s, "region"), json_text(s, "role"));
    buf_fmt(out, "state       %s, up for %s\n",
            cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(s, "ready")) ? "ready" : "replaying the journal",
            age);
    buf_fmt(out, "agents      %.0f up, %.0f absent\n", json_number(s, "agents_up"),
            json_number(s, "agents_absent"));
    buf_fmt(out, "series      %.0f, percentile sections %.0f\n", json_number(s, "series"),
            json_number(s, "percentiles"));
    buf_fmt(out, "journal     position %.0f\n", json_number(s, "journal_position"));
    cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(s, "services"))
    {
        bool leads = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(v, "leading"));
        const char *writer = json_text(v, "writer");

        buf_fmt(out, "failover    %s: %s, users go to %s, %s writes%s\n", json_text(v, "service"),
                json_text(v, "state"), json_text(v, "active"), *writer ? writer : "nobody",
                leads ? ", led from here" : "");
    }
}

void show_agents(const cJSON *answer, const char *now, struct buf *out)
{
    const cJSON *a;
    struct table t;
    char age[32];

    table_init(&t, 8, "llllrrrr");
    for (const char *const *h = (const char *const[]){"AGENT", "REGION", "ENV", "STATE", "LAST BATCH", "SKEW",
                                                      "SERIES", "BATCHES", NULL};
         *h; h++)
        table_cell(&t, "%s", *h);
    cJSON_ArrayForEach(a, cJSON_GetObjectItemCaseSensitive(answer, "agents"))
    {
        double skew = json_number(a, "skew_seconds");

        age_text(now, json_text(a, "last_received"), age);
        table_cell(&t, "%s", json_text(a, "id"));
        table_cell(&t, "%s", json_text(a, "region"));
        table_cell(&t, "%s", json_text(a, "env"));
        table_cell(&t, "%s", cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(a, "up")) ? "up" : "absent");
        table_cell(&t, "%s", age);
        if (isnan(skew))
            table_cell(&t, "-");
        else
            table_cell(&t, "%+.3f s", skew);
        table_cell(&t, "%.0f", json_number(a, "series"));
        table_cell(&t, "%.0f", json_number(a, "batches"));
    }
    table_print(&t, out);
    table_free(&t);
}

static void group_text(const cJSON *labels, struct buf *out)
{
    const cJSON *l;

    cJSON_ArrayForEach(l, labels)
        buf_fmt(out, "%s%s=%s", out->len ? " " : "", l->string, cJSON_GetStringValue(l));
    if (!out->len)
        buf_str(out, "(all)");
}

/* The heading's quantiles: those of the first window that has values. */
static const cJSON *some_quantiles(const cJSON *section)
{
    const cJSON *g, *w;

    cJSON_ArrayForEach(g, cJSON_GetObjectItemCaseSensitive(section, "groups"))
    {
        cJSON_ArrayForEach(w, cJSON_GetObjectItemCaseSensitive(g, "windows"))
        {
            const cJSON *q = cJSON_GetObjectItemCaseSensitive(w, "quantiles");

            if (cJSON_GetArraySize(q))
                return q;
        }
    }
    return NULL;
}

enum { QUANTILES = 12 };

static void window_rows(const cJSON *group, const cJSON *heads, struct table *t)
{
    const cJSON *w, *h;
    struct buf name;
    char text[32];

    buf_init(&name, NULL, 4096);
    group_text(cJSON_GetObjectItemCaseSensitive(group, "labels"), &name);
    cJSON_ArrayForEach(w, cJSON_GetObjectItemCaseSensitive(group, "windows"))
    {
        const cJSON *q = cJSON_GetObjectItemCaseSensitive(w, "quantiles");
        int shown = 0;

        table_cell(t, "%s", buf_text(&name));
        table_cell(t, "%s", json_text(w, "window"));
        cJSON_ArrayForEach(h, heads)
        {
            if (shown++ == QUANTILES)
                break;
            short_number(json_number(q, h->string), text);
            table_cell(t, "%s", text);
        }
        table_cell(t, "%.0f", json_number(w, "values"));
    }
    buf_free(&name);
}

static void show_section(const cJSON *section, struct buf *out)
{
    const cJSON *heads = some_quantiles(section), *h, *g;
    int n = cJSON_GetArraySize(heads);
    struct table t;

    buf_fmt(out, "%s  %s\n", json_text(section, "percentile"), json_text(section, "metric"));
    if (n > QUANTILES)
        n = QUANTILES;
    if (!n) {
        buf_str(out, "no values yet\n");
        return;
    }
    table_init(&t, (size_t)n + 3, "llrrrrrrrrrrrrrr");
    table_cell(&t, "GROUP");
    table_cell(&t, "WINDOW");
    n = 0;
    cJSON_ArrayForEach(h, heads)
    {
        if (n++ == QUANTILES)
            break;
        table_cell(&t, "%s", h->string);
    }
    table_cell(&t, "VALUES");
    cJSON_ArrayForEach(g, cJSON_GetObjectItemCaseSensitive(section, "groups")) window_rows(g, heads, &t);
    table_print(&t, out);
    table_free(&t);
}

void show_percentiles(const cJSON *answer, struct buf *out)
{
    const cJSON *section;
    bool first = true;

    cJSON_ArrayForEach(section, cJSON_GetObjectItemCaseSensitive(answer, "percentiles"))
    {
        if (!first)
            buf_u8(out, '\n');
        first = false;
        show_section(section, out);
    }
    if (first)
        buf_str(out, "no [percentile NAME] section is configured\n");
}
