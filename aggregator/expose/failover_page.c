/* The console's pages of moves between regions, from what the API says of services and drills. Everything that came from
 * outside is escaped. Pure. */
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "aggregator/expose/pages_private.h"

enum { SERVICES = 64 };

static const cJSON *item(const cJSON *o, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(o, name);
}

static const char *text(const cJSON *o, const char *name)
{
    const char *s = cJSON_GetStringValue(item(o, name));

    return s ? s : "";
}

static void say(struct buf *out, const char *before, const char *s, const char *after)
{
    buf_str(out, before);
    page_escape(s, out);
    buf_str(out, after);
}

static const char *or_nobody(const char *s)
{
    return *s ? s : "nobody";
}

/* Why it is as it is, each with the command that helps. */
static void reasons(const cJSON *list, struct buf *out)
{
    const cJSON *r;

    if (cJSON_GetArraySize(list) == 0)
        return;
    buf_str(out, "<ul>");
    cJSON_ArrayForEach(r, list)
    {
        say(out, "<li>", text(r, "text"), "");
        if (*text(r, "command"))
            say(out, " <code>", text(r, "command"), "</code>");
        buf_str(out, "</li>");
    }
    buf_str(out, "</ul>");
}

/* A row for each voter, a column for each region. */
static void votes(const cJSON *s, struct buf *out)
{
    const cJSON *v, *r;

    buf_str(out, "<h3>Votes</h3><table><tr><th>voter</th><th>age</th>");
    cJSON_ArrayForEach(r, item(s, "regions"))
    {
        say(out, "<th>", text(r, "region"), "</th>");
    }
    buf_str(out, "</tr>");
    cJSON_ArrayForEach(v, item(s, "votes"))
    {
        double age = cJSON_GetNumberValue(item(v, "age_seconds"));

        say(out, "<tr><td>", text(v, "voter"), "");
        buf_fmt(out, "%s%s</td>", cJSON_IsTrue(item(v, "own")) ? " (this one)" : "",
                isnan(age) || cJSON_IsTrue(item(v, "self_ok")) ? "" : ", own network in doubt");
        if (isnan(age))
            buf_str(out, "<td>never heard</td>");
        else
            buf_fmt(out, "<td>%.1f s</td>", age);
        cJSON_ArrayForEach(r, item(s, "regions"))
        {
            const cJSON *x = item(item(v, "regions"), text(r, "region")), *c;

            say(out, "<td>", *text(x, "verdict") ? text(x, "verdict") : "unknown", "");
            cJSON_ArrayForEach(c, item(x, "classes"))
            {
                say(out, " ", cJSON_GetStringValue(c) ? cJSON_GetStringValue(c) : "", "");
            }
            buf_fmt(out, "%s</td>", cJSON_IsTrue(item(x, "gray")) ? " gray" : "");
        }
        buf_str(out, "</tr>");
    }
    buf_str(out, "</table>");
}

static void phases(const cJSON *p, struct buf *out)
{
    static const struct {
        const char *name, *member;
    } moments[] = {{"first bad moment", "bad_since"},
                   {"in doubt", "suspect"},
                   {"begun", "began"},
                   {"fenced", "fenced_at"},
                   {"writable", "writable"},
                   {"switched", "switched"},
                   {"valid", "valid"},
                   {"ended", "ended"}};

    buf_str(out, "<table><tr><th>phase</th><th>at</th></tr>");
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        if (!*text(p, moments[i].member))
            continue;
        buf_fmt(out, "<tr><td>%s</td>", moments[i].name);
        say(out, "<td>", text(p, moments[i].member), "</td></tr>");
    }
    buf_str(out, "</table>");
}

static void plan(const cJSON *p, struct buf *out)
{
    static const struct page_columns actions = {"actions",
                                                "",
                                                "It has no action.",
                                                {{"action", "action"},
                                                 {"step", "step"},
                                                 {"required", "required"},
                                                 {"phase", "phase"},
                                                 {"tries", "tries"}}};
    bool live = cJSON_IsTrue(item(p, "live"));

    if (!cJSON_IsObject(p))
        return;
    buf_fmt(out, "<h3>%s plan, epoch %.0f: ", live ? "Live" : "Last", cJSON_GetNumberValue(item(p, "epoch")));
    say(out, "", text(p, "kind"), "");
    say(out, " from ", text(p, "from"), "");
    say(out, " to ", text(p, "to"), "</h3><p>");
    if (live)
        say(out, "step ", text(p, "step"), ", ");
    say(out, "fenced: ", text(p, "fenced"), "");
    buf_str(out, cJSON_IsTrue(item(p, "past_no_return")) ? ", past the point of no return" : "");
    if (*text(p, "who")) {
        say(out, "; ordered by ", text(p, "who"), "");
        say(out, ": ", text(p, "why"), "");
    }
    buf_str(out, "</p>");
    page_rows(&actions, item(p, "actions"), out);
    phases(p, out);
}

static void service(const cJSON *s, struct buf *out)
{
    static const struct page_columns suppressions = {
        "suppressions",
        "",
        "",
        {{"suppressed by", "kind"}, {"what", "what"}, {"until", "until"}, {"who", "who"}, {"why", "why"}}};

    say(out, "<h2>", text(s, "service"), ": ");
    say(out, "", text(s, "state"), "</h2><p>");
    page_escape(text(s, "text"), out);
    say(out, "</p><p>Users go to ", or_nobody(text(s, "active")), "");
    say(out, ", ", or_nobody(text(s, "writer")), " writes");
    say(out, "; home is ", text(s, "home"), "");
    buf_fmt(out, "; epoch %.0f. ", cJSON_GetNumberValue(item(s, "epoch")));
    if (cJSON_IsTrue(item(s, "leading")))
        buf_str(out, "This aggregator leads");
    else
        say(out, "Leader: ", *text(s, "holder") ? text(s, "holder") : "not known", "");
    say(out, "; automation ", text(s, "automation"), ".");
    if (*text(s, "authority_away"))
        say(out, " The authority does not answer: ", text(s, "authority_away"), ".");
    if (cJSON_IsTrue(item(s, "unreadable")))
        buf_str(out, " <strong>The record cannot be read by this program.</strong>");
    if (*text(s, "hold_until"))
        say(out, " No automatic move before ", text(s, "hold_until"), ".");
    buf_str(out, "</p>");
    reasons(item(s, "reasons"), out);
    votes(s, out);
    plan(item(s, "plan"), out);
    if (cJSON_GetArraySize(item(s, "suppressions")) > 0)
        page_rows(&suppressions, item(s, "suppressions"), out);
}

void page_failover(struct bytes json, struct buf *out)
{
    cJSON *o = cJSON_ParseWithLength((const char *)json.p, json.n);
    const cJSON *s;
    int n = 0;

    page_head("Failover", out);
    cJSON_ArrayForEach(s, item(o, "services"))
    {
        if (n++ < SERVICES)
            service(s, out);
    }
    if (n == 0)
        buf_str(out, "<p>No service can move: there is no [failover NAME].</p>");
    page_foot(out);
    cJSON_Delete(o);
}

void page_drills(struct bytes json, struct buf *out)
{
    static const struct page_columns c = {"drills",
                                          "Drills",
                                          "No [drill NAME] is configured.",
                                          {{"drill", "drill"},
                                           {"service", "service"},
                                           {"kind", "kind"},
                                           {"phase", "phase"},
                                           {"next", "next"},
                                           {"last outcome", "last_outcome"},
                                           {"text", "text"}}};

    page_table(&c, json, out);
}
