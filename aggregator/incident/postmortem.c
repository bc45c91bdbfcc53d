/* An incident as a Markdown document: what is known already, in the order in which a review asks for it, and the
 * questions that only people can answer. Everything that came from outside is made harmless for a table's cell. */
#include <stdio.h>
#include <string.h>

#include "aggregator/incident/incident_private.h"

struct paper {
    const struct incident *in;
    struct buf *out;
    cJSON **lines; /* parsed, oldest first */
    size_t n_lines;
};

void markdown_plain(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '\n' || *s == '\r' || *s == '\t') {
            buf_u8(out, ' ');
            continue;
        }
        if (strchr("|<>*_`[]\\", *s))
            buf_u8(out, '\\');
        buf_u8(out, (uint8_t)*s);
    }
}

/* "2026-11-24 09:31:05": the zone is said once. */
static const char *clock_text(struct wall t, char out[WALL_TEXT])
{
    (void)wall_text(t, out);
    out[10] = ' ';
    out[19] = 0;
    return out;
}

static void head(const struct paper *p)
{
    const struct incident *in = p->in;
    char t[WALL_TEXT];

    buf_fmt(p->out, "# Incident %s: ", in->id);
    markdown_plain(p->out, in->title);
    buf_fmt(p->out, "\n\nState: %s. Severity: %s. Times are UTC.\n\n## Summary\n\n",
            incident_state_name(in->state), severity_name(in->severity));
    buf_fmt(p->out, "On %s UTC an incident was opened", clock_text(in->opened, t));
    for (uint32_t k = 0, n = 0; k < in->group.n; k++) {
        if (!in->group.v[k].value[0])
            continue;
        buf_str(p->out, n++ ? ", " : " for ");
        markdown_plain(p->out, in->group.v[k].name);
        buf_u8(p->out, ' ');
        markdown_plain(p->out, in->group.v[k].value);
    }
    buf_str(p->out, ": ");
    markdown_plain(p->out, in->title);
    buf_fmt(p->out, ". %u alert%s belonged to it.", in->n_alerts, in->n_alerts == 1 ? "" : "s");
    if (in->n_firing)
        buf_fmt(p->out, " %u of them still fired when this was written.", in->n_firing);
    if (in->reopened)
        buf_fmt(p->out, " It was opened again %u time%s.", in->reopened, in->reopened == 1 ? "" : "s");
    buf_str(p->out, "\n\n");
}

static void phase(const struct paper *p, const char *what, struct wall t, const char *how, struct wall from)
{
    char text[WALL_TEXT], length[32];

    if (!t.ms) {
        buf_fmt(p->out, "| %s | not yet | |\n", what);
        return;
    }
    buf_fmt(p->out, "| %s | %s |", what, clock_text(t, text));
    if (from.ms)
        buf_fmt(p->out, " %s %s", incident_for(from, t, length), how);
    buf_str(p->out, " |\n");
}

static void times(const struct paper *p)
{
    const struct incident *in = p->in;

    buf_str(p->out, "## Numbers\n\n| phase | when | after |\n|---|---|---|\n");
    phase(p, "the condition became true", in->began, "", (struct wall){0});
    phase(p, "newest sample before the alert", in->data, "", (struct wall){0});
    phase(p, "detected: an alert fired", in->opened, "from the condition", in->began);
    phase(p, "acknowledged", in->acknowledged, "from the alert", in->opened);
    phase(p, "resolved", in->resolved, "from the alert", in->opened);
    if (in->owner[0]) {
        buf_str(p->out, "\nOwner: ");
        markdown_plain(p->out, in->owner);
        buf_str(p->out, ".\n");
    }
    if (in->reason[0]) {
        buf_fmt(p->out, "\nResolved%s", in->resolver[0] ? " by " : "");
        markdown_plain(p->out, in->resolver);
        buf_str(p->out, ": ");
        markdown_plain(p->out, in->reason);
        buf_str(p->out, ".\n");
    }
    buf_u8(p->out, '\n');
}

static void line_row(const struct paper *p, const cJSON *l)
{
    char t[WALL_TEXT] = "";

    incident_copy(t, 20, incident_json_text(l, "t"));
    if (strlen(t) > 10)
        t[10] = ' ';
    buf_str(p->out, "| ");
    markdown_plain(p->out, t);
    buf_str(p->out, " | ");
    markdown_plain(p->out, incident_json_text(l, "kind"));
    buf_str(p->out, " | ");
    markdown_plain(p->out, incident_json_text(l, "text"));
    buf_str(p->out, " |\n");
}

static void timeline(const struct paper *p)
{
    buf_str(p->out, "## Timeline\n\n| when | what | |\n|---|---|---|\n");
    for (size_t k = 0; k < p->n_lines; k++)
        line_row(p, p->lines[k]);
    if (p->in->left_out)
        buf_fmt(p->out, "\n%u further lines of alerts were not kept: the first %d are above.\n",
                p->in->left_out, LINES_MOST);
    buf_u8(p->out, '\n');
}

/* Lines that neither alerts nor people wrote: deployments, failovers. */
static void changes(const struct paper *p)
{
    static const char *const others[] = {"opened",   "fired", "severity", "cleared",      "resolved",
                                         "reopened", "note",  "story",    "acknowledged", "notification"};
    unsigned n = 0;

    buf_str(p->out, "## Changes in the hour before, and since\n\n");
    for (size_t k = 0; k < p->n_lines; k++) {
        bool change = !cJSON_GetObjectItemCaseSensitive(p->lines[k], "alert");

        for (size_t o = 0; o < sizeof others / sizeof *others; o++)
            change = change && strcmp(incident_json_text(p->lines[k], "kind"), others[o]) != 0;
        if (!change)
            continue;
        if (!n++)
            buf_str(p->out, "| when | what | |\n|---|---|---|\n");
        line_row(p, p->lines[k]);
    }
    buf_str(p->out, n ? "\n" : "None is known.\n\n");
}

static void alerts(const struct paper *p)
{
    char from[WALL_TEXT], length[32];
    size_t n = 0;

    buf_str(p->out,
            "## Contributing alerts\n\n| alert | severity | fired | for | value | threshold | what |\n"
            "|---|---|---|---|---|---|---|\n");
    for (const struct member *m = p->in->members; m && n < MEMBERS_KEPT; m = m->next, n++) {
        buf_str(p->out, "| ");
        markdown_plain(p->out, m->rule);
        buf_fmt(
            p->out, " | %s | %s | %s | %.4g | %.4g | ", severity_name(m->severity), clock_text(m->at, from),
            m->cleared.ms ? incident_for(m->at, m->cleared, length) : "fires still", m->value, m->threshold);
        markdown_plain(p->out, m->summary[0] ? m->summary : m->labels);
        if (m->fired > 1)
            buf_fmt(p->out, " (fired %u times; this is the last)", m->fired);
        buf_str(p->out, " |\n");
    }
    if (p->in->n_alerts > n)
        buf_fmt(p->out, "\nAnd %zu more alerts, of no greater severity.\n", (size_t)p->in->n_alerts - n);
    if (p->in->untracked)
        buf_fmt(p->out, "\nBesides, alerts beyond the first %d fired %u times.\n", MEMBERS_MOST,
                p->in->untracked);
    buf_u8(p->out, '\n');
}

static void questions(const struct paper *p)
{
    buf_str(p->out,
            "## Questions to answer\n\n"
            "- What did users notice, how many of them, for how long?\n"
            "- What was the cause, and what let it get so far? What was changed before (see above)?\n"
            "- Did the first alert name the problem? Which alert should have fired earlier, or not at all?\n"
            "- What took the most time between the alert and the end: noticing, understanding, or mending?\n"
            "- Did the runbook help? What is missing in it?\n\n"
            "## What went well\n\n-\n\n"
            "## What is to be done\n\n| what | who | until |\n|---|---|---|\n| | | |\n");
}

/* Lines that are no JSON objects are left out. */
static size_t parse(const char *const *lines, size_t n, cJSON **out)
{
    size_t kept = 0;

    for (size_t k = 0; k < n; k++) {
        cJSON *l = cJSON_ParseWithLength(lines[k], strlen(lines[k]));

        if (cJSON_IsObject(l))
            out[kept++] = l;
        else
            cJSON_Delete(l);
    }
    return kept;
}

int incidents_postmortem(const struct incidents *i, const char *id, const char *const *lines, size_t n_lines,
                         const char *slo_json, struct buf *markdown, struct err *e)
{
    struct paper p = {.in = incident_find(i, id), .out = markdown};
    size_t room = n_lines ? n_lines : 1;

    if (!p.in || !p.in->headed)
        return err_set(e, ERR_NOTFOUND, "there is no incident \"%.40s\"", id);
    p.lines = mem_array(NULL, room, sizeof *p.lines);
    if (!p.lines)
        return err_set(e, ERR_NOMEM, "no memory for a timeline of %zu lines", n_lines);
    p.n_lines = parse(lines, n_lines, p.lines);
    head(&p);
    times(&p);
    postmortem_objectives(p.in, slo_json, markdown);
    alerts(&p);
    changes(&p);
    timeline(&p);
    questions(&p);
    for (size_t k = 0; k < p.n_lines; k++)
        cJSON_Delete(p.lines[k]);
    mem_free(NULL, p.lines, room * sizeof *p.lines);
    return markdown->full ? err_set(e, ERR_LIMIT, "the document is larger than %zu bytes", markdown->cap) : 0;
}
