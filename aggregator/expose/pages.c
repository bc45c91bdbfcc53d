/* See pages.h. A page is a table of what the API lists: each column names a member of the list's objects. */
#include <stdio.h>
#include <string.h>

#include "aggregator/expose/pages_private.h"

enum { ROWS = 500 };

void page_escape(const char *s, struct buf *out)
{
    for (; *s; s++) {
        switch (*s) {
        case '&': buf_str(out, "&amp;"); break;
        case '<': buf_str(out, "&lt;"); break;
        case '>': buf_str(out, "&gt;"); break;
        case '"': buf_str(out, "&quot;"); break;
        case '\'': buf_str(out, "&#39;"); break;
        default: buf_u8(out, (uint8_t)*s);
        }
    }
}

void page_head(const char *title, struct buf *out)
{
    buf_str(out, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                 "<meta name=\"viewport\" content=\"width=device-width\"><title>");
    page_escape(title, out);
    buf_str(out,
            "</title><style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;"
            "padding:0 1rem;color:#1c2430;background:#fafbfc}h1{font-size:1.4rem}nav a{margin-right:1rem}"
            "table{border-collapse:collapse;width:100%;background:#fff}th,td{text-align:left;padding:.3rem "
            ".7rem;border-bottom:1px solid #e4e8ee;vertical-align:top}th{color:#5a6675}a{color:#1b5fa8}"
            "button{font:inherit;padding:.5rem 1.2rem}input{font:inherit;width:24rem;max-width:90%}"
            "</style></head><body><nav><a href=\"/\">Hosts</a>");
    for (size_t i = 0; page_at(i); i++)
        buf_fmt(out, "<a href=\"%s\">%s</a>", page_at(i)->path, page_at(i)->title);
    buf_str(out, "</nav><h1>");
    page_escape(title, out);
    buf_str(out, "</h1>");
}

void page_foot(struct buf *out)
{
    buf_str(out, "</body></html>\n");
}

/* Labels as name=value, numbers short, null as a dash. */
static void value(const cJSON *x, struct buf *out)
{
    const char *text = cJSON_GetStringValue(x);
    char number[64];

    if (text) {
        page_escape(text, out);
    } else if (cJSON_IsNumber(x)) {
        (void)snprintf(number, sizeof number, "%.6g", cJSON_GetNumberValue(x));
        buf_str(out, number);
    } else if (cJSON_IsBool(x)) {
        buf_str(out, cJSON_IsTrue(x) ? "yes" : "no");
    } else if (cJSON_IsObject(x)) {
        for (const cJSON *m = x->child; m; m = m->next) {
            const char *v = cJSON_GetStringValue(m);

            page_escape(m->string, out);
            buf_str(out, "=");
            page_escape(v ? v : "", out);
            buf_str(out, " ");
        }
    } else if (cJSON_IsArray(x)) {
        buf_fmt(out, "%d", cJSON_GetArraySize(x));
    } else {
        buf_str(out, "&ndash;");
    }
}

void page_rows(const struct page_columns *c, const cJSON *list, struct buf *out)
{
    int n = 0;

    buf_str(out, "<table><tr>");
    for (int i = 0; i < PAGE_COLUMNS && c->v[i].head; i++)
        buf_fmt(out, "<th>%s</th>", c->v[i].head);
    buf_str(out, "</tr>");
    for (const cJSON *o = list ? list->child : NULL; o && n < ROWS; o = o->next, n++) {
        buf_str(out, "<tr>");
        for (int i = 0; i < PAGE_COLUMNS && c->v[i].head; i++) {
            buf_str(out, "<td>");
            value(cJSON_GetObjectItemCaseSensitive(o, c->v[i].member), out);
            buf_str(out, "</td>");
        }
        buf_str(out, "</tr>");
    }
    buf_str(out, "</table>");
    if (n == 0)
        buf_fmt(out, "<p>%s</p>", c->none);
    else if (n == ROWS)
        buf_fmt(out, "<p>The first %d; the API has all.</p>", ROWS);
}

void page_table(const struct page_columns *c, struct bytes json, struct buf *out)
{
    cJSON *o = cJSON_ParseWithLength((const char *)json.p, json.n);

    page_head(c->title, out);
    page_rows(c, cJSON_GetObjectItemCaseSensitive(o, c->list), out);
    page_foot(out);
    cJSON_Delete(o);
}

static void alerts(struct bytes json, struct buf *out)
{
    static const struct page_columns c = {"alerts",
                                          "Alerts",
                                          "No alert is pending or firing.",
                                          {{"alert", "alert"},
                                           {"state", "state"},
                                           {"severity", "severity"},
                                           {"since", "since"},
                                           {"labels", "labels"},
                                           {"value", "value"},
                                           {"threshold", "threshold"},
                                           {"fingerprint", "fingerprint"}}};

    page_table(&c, json, out);
}

static void slos(struct bytes json, struct buf *out)
{
    static const struct page_columns c = {"slos",
                                          "Objectives",
                                          "No [slo NAME] is configured, or none has been judged yet.",
                                          {{"objective", "slo"},
                                           {"kind", "kind"},
                                           {"wanted", "objective_ratio"},
                                           {"period", "period"},
                                           {"groups", "groups"},
                                           {"worst", "worst_group"},
                                           {"budget left", "error_budget_remaining_ratio"},
                                           {"complete", "data_completeness_ratio"}}};

    page_table(&c, json, out);
}

static void incidents(struct bytes json, struct buf *out)
{
    static const struct page_columns c = {"incidents",
                                          "Incidents",
                                          "There is no incident.",
                                          {{"incident", "id"},
                                           {"state", "state"},
                                           {"severity", "severity"},
                                           {"title", "title"},
                                           {"opened", "opened"},
                                           {"acknowledged", "acknowledged"},
                                           {"resolved", "resolved"},
                                           {"alerts", "alerts"}}};

    page_table(&c, json, out);
}

static const struct page_kind pages[] = {{"/alerts", "Alerts", "alerts", alerts},
                                         {"/slos", "Objectives", "slos", slos},
                                         {"/incidents", "Incidents", "incidents", incidents},
                                         {"/failover", "Failover", "failover", page_failover},
                                         {"/drills", "Drills", "drills", page_drills}};

const struct page_kind *page_at(size_t i)
{
    return i < sizeof pages / sizeof *pages ? &pages[i] : NULL;
}

const struct page_kind *page_find(const char *path)
{
    for (size_t i = 0; page_at(i); i++) {
        if (strcmp(page_at(i)->path, path) == 0)
            return page_at(i);
    }
    return NULL;
}
