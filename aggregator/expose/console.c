/* The console: see console.h. Everything that came from outside is escaped; lists are cut at ROWS. */
#include "aggregator/expose/console.h"

#include <stdio.h>

#include "aggregator/expose/pages.h"
#include "aggregator/expose/services.h"
#include "common/base/number.h"

enum { ROWS = 200 };

static const char head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" "
    "content=\"5\">"
    "<meta name=\"viewport\" content=\"width=device-width\"><title>SecureBase Monitor</title><style>"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 "
    "1rem;color:#1c2430;background:#fafbfc}"
    "h1{font-size:1.4rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 "
    ".5rem}table{border-collapse:collapse;width:100%;background:#fff}"
    "th,td{text-align:left;padding:.3rem .7rem;border-bottom:1px solid "
    "#e4e8ee}th{font-weight:600;color:#5a6675}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.up{color:#14743c}.absent{color:#b3261e;"
    "font-weight:600}"
    "p.sum{color:#5a6675;margin:.2rem 0}a{color:#1b5fa8}</style></head><body>";

static void cell(struct buf *out, const char *s)
{
    buf_str(out, "<td>");
    page_escape(s, out);
    buf_str(out, "</td>");
}

/* Seconds since t, or a dash. */
static void age(struct buf *out, struct wall now, struct wall t)
{
    if (t.ms)
        buf_fmt(out, "<td class=\"n\">%.1f s</td>", (double)(now.ms - t.ms) / 1000);
    else
        buf_str(out, "<td class=\"n\">&ndash;</td>");
}

static void agents(const struct view *v, struct buf *out)
{
    buf_str(out, "<h2>Agents</h2><table><tr><th>agent</th><th>region</th><th>env</th><th>state</th><th "
                 "class=\"n\">last batch</th>"
                 "<th class=\"n\">series</th><th class=\"n\">batches</th></tr>");
    for (uint32_t i = 0; i < v->snap->n_agents && i < ROWS; i++) {
        const struct agent_view *a = &v->snap->agents[i];

        buf_str(out, "<tr>");
        cell(out, a->id);
        cell(out, a->region);
        cell(out, a->env);
        buf_fmt(out, "<td class=\"%s\">%s</td>", a->up ? "up" : "absent", a->up ? "up" : "absent");
        age(out, v->now, a->last_received);
        buf_fmt(out, "<td class=\"n\">%u</td><td class=\"n\">%llu</td></tr>", a->series,
                (unsigned long long)a->batches);
    }
    buf_str(out, "</table>");
    if (v->snap->n_agents > ROWS)
        buf_fmt(out, "<p class=\"sum\">and %u more: /api/v1/agents</p>", v->snap->n_agents - ROWS);
}

static void percentile(const struct percentile_view *p, struct buf *out)
{
    char text[NUMBER_TEXT];

    buf_str(out, "<h2>");
    page_escape(p->name, out);
    buf_str(out, " <small>");
    page_escape(p->metric, out);
    buf_str(out, "</small></h2><table><tr>");
    for (uint32_t i = 0; i < p->n_by; i++) {
        buf_str(out, "<th>");
        page_escape(p->by[i], out);
        buf_str(out, "</th>");
    }
    buf_str(out, "<th>window</th>");
    for (uint32_t i = 0; i < p->n_quantiles; i++)
        buf_fmt(out, "<th class=\"n\">%s</th>", p->quantile_text[i]);
    buf_str(out, "<th class=\"n\">values</th></tr>");
    for (uint32_t g = 0; g < p->n_groups && g < ROWS; g++) {
        for (uint32_t w = 0; w < p->n_windows; w++) {
            const struct percentile_window *x = &p->groups[g].windows[w];

            buf_str(out, "<tr>");
            for (uint32_t i = 0; i < p->n_by; i++)
                cell(out, p->groups[g].values[i]);
            cell(out, x->text);
            for (uint32_t q = 0; q < p->n_quantiles; q++) {
                (void)snprintf(text, sizeof text, "%.4g", x->n ? x->quantiles[q] : 0.0);
                buf_fmt(out, "<td class=\"n\">%s</td>", x->n ? text : "&ndash;");
            }
            buf_fmt(out, "<td class=\"n\">%llu</td></tr>", (unsigned long long)x->n);
        }
    }
    buf_str(out, "</table>");
}

static void services(const struct view *v, struct buf *out)
{
    struct service_line s[SERVICES_MOST];
    size_t n = services_of(v, s);

    if (n == 0)
        return;
    buf_str(
        out,
        "<h2><a href=\"/failover\">Failover</a></h2><table><tr><th>service</th><th>state</th><th>users go "
        "to</th><th>writes</th><th>leader</th></tr>");
    for (size_t i = 0; i < n; i++) {
        buf_str(out, "<tr>");
        cell(out, s[i].service);
        cell(out, s[i].state);
        cell(out, s[i].active);
        cell(out, *s[i].writer ? s[i].writer : "nobody");
        cell(out, s[i].leading ? "this aggregator" : "another one");
        buf_str(out, "</tr>");
    }
    buf_str(out, "</table>");
}

void console_page(const struct view *v, struct buf *out)
{
    char text[WALL_TEXT];
    uint32_t up = 0;

    for (uint32_t i = 0; i < v->snap->n_agents; i++)
        up += v->snap->agents[i].up;
    buf_str(out, head);
    buf_str(out, "<h1>SecureBase Monitor &middot; ");
    page_escape(v->region, out);
    buf_fmt(out,
            "</h1><p class=\"sum\">%u agents up, %u absent &middot; %llu series &middot; version %s &middot; "
            "%s</p>",
            up, v->snap->n_agents - up, (unsigned long long)v->snap->n_series, v->version,
            wall_text(v->now, text));
    buf_str(out, "<p class=\"sum\"><a href=\"/metrics\">/metrics</a> &middot; <a "
                 "href=\"/metrics/hosts\">/metrics/hosts</a> &middot; "
                 "<a href=\"/api/v1/status\">/api/v1/status</a> &middot; <a "
                 "href=\"/api/v1/agents\">/api/v1/agents</a> &middot; "
                 "<a href=\"/api/v1/percentiles\">/api/v1/percentiles</a></p>");
    services(v, out);
    for (uint32_t i = 0; i < v->snap->n_percentiles; i++)
        percentile(&v->snap->percentiles[i], out);
    agents(v, out);
    buf_str(out, "</body></html>\n");
}
