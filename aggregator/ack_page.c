/* Signed links: a page that shows the alert and asks, and the form that acknowledges. The signature in the link is what
 * permits it, so that a person with a telephone and no account can stop the next page; it names one alert, one firing and
 * an end. A GET never acts: mail scanners follow links. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/answers.h"
#include "aggregator/expose/pages.h"

static int refused(struct desk *d, const struct err *e)
{
    buf_clear(d->out);
    page_head("This link cannot be used", d->out);
    buf_str(d->out, "<p>");
    page_escape(e->text, d->out);
    buf_str(d->out, "</p>");
    page_foot(d->out);
    d->type = "text/html; charset=utf-8";
    return e->code == ERR_TIMEOUT ? 410 : 403;
}

static void show_alert(struct desk *d, const char *hex)
{
    static const char *const members[] = {"alert", "state", "severity", "since", "summary"};
    const struct alert_input in = judge_input(d->j, d->m);
    struct err e = {0};
    struct buf json;
    cJSON *o;

    buf_init(&json, NULL, 4 << 20);
    if (alerts_explain(judge_alerts(d->j), &in, hex, &json, &e) != 0)
        buf_str(&json, "{}");
    o = cJSON_ParseWithLength((const char *)json.data, json.len);
    buf_str(d->out, "<table>");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, members[i]));

        if (!text)
            continue;
        buf_fmt(d->out, "<tr><th>%s</th><td>", members[i]);
        page_escape(text, d->out);
        buf_str(d->out, "</td></tr>");
    }
    buf_fmt(d->out, "<tr><th>fingerprint</th><td>%s</td></tr></table>", hex);
    cJSON_Delete(o);
    buf_free(&json);
}

int ack_page(struct desk *d)
{
    struct fingerprint alert;
    struct err e = {0};
    uint64_t epoch;
    char hex[33];

    if (ack_link_verify(d->secret, d->r->query, d->m->now, &alert, &epoch, &e) != 0)
        return refused(d, &e);
    fingerprint_text(&alert, hex);
    page_head("Acknowledge this alert?", d->out);
    show_alert(d, hex);
    buf_str(d->out, "<form method=\"post\" action=\"/ack?");
    page_escape(d->r->query, d->out);
    buf_str(d->out, "\"><p><label>Who you are <input name=\"who\" maxlength=\"60\" required></label></p>"
                    "<p><label>Note <input name=\"note\" maxlength=\"200\"></label></p>"
                    "<p><button>Acknowledge</button></p></form>");
    page_foot(d->out);
    d->type = "text/html; charset=utf-8";
    return 200;
}

int ack_page_act(struct desk *d)
{
    struct act_order a = {.act = ACT_ACK,
                          .who = d->r->actor.who,
                          .reason = d->r->actor.reason,
                          .request_id = d->r->actor.request_id};
    struct fingerprint alert;
    struct err e = {0};
    uint64_t epoch;
    char hex[33], id[64];

    if (ack_link_verify(d->secret, d->r->query, d->m->now, &alert, &epoch, &e) != 0)
        return refused(d, &e);
    fingerprint_text(&alert, hex);
    a.what = hex;
    a.epoch = epoch;
    if (judge_act(d->j, d->m, &a, d->orders, id, &e) != 0)
        return refused(d, &e);
    page_head("Acknowledged", d->out);
    show_alert(d, hex);
    page_foot(d->out);
    d->type = "text/html; charset=utf-8";
    return 200;
}
