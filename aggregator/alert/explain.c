/* Why an alert is in its state, over the facts at hand. See alert.h. */
#include <string.h>

#include "aggregator/alert/show.h"

/* What is asked for: a fingerprint, or the name of a rule with optional matchers of labels in braces. */
struct asked {
    const char *name;
    size_t n;
    struct match *match; /* owned; NULL: any */
    struct fingerprint id;
    bool by_id;
};

static int read_asked(const char *text, struct asked *q, struct err *e)
{
    const char *brace = strchr(text, '{');
    char inside[MATCH_TEXT_MOST];
    size_t n;

    *q = (struct asked){.name = text, .n = brace ? (size_t)(brace - text) : strlen(text)};
    q->by_id = !brace && fingerprint_parse(text, &q->id) == 0;
    if (!brace)
        return 0;
    n = strlen(brace + 1);
    if (!n || brace[n] != '}' || n > sizeof inside)
        return err_set(e, ERR_MALFORMED, "expected ALERT, ALERT{label=\"value\"} or a fingerprint");
    memcpy(inside, brace + 1, n - 1);
    inside[n - 1] = 0;
    q->match = match_new(inside, e);
    return q->match ? 0 : e->code;
}

static bool names(const struct asked *q, const struct rule *r)
{
    return strlen(r->name) == q->n && !memcmp(r->name, q->name, q->n);
}

/* The alert that is furthest on, of those that fit. */
static const struct alert *find(const struct alerts *a, const struct asked *q)
{
    const struct alert *found = NULL;

    if (q->by_id)
        return alert_find(a, &q->id);
    for (uint32_t i = 0; i < a->rules.n; i++) {
        const struct alert *al = names(q, a->states[i].rule) ? a->states[i].first : NULL;

        for (; al; al = al->next) {
            if ((!q->match || match_labels(q->match, al->labels)) && (!found || al->state > found->state))
                found = al;
        }
    }
    return found;
}

/* A group that is plainly good has no alert: what its rule makes of it now. */
static int explain_group(const struct alerts *a, const struct alert_input *in, const struct asked *q,
                         struct buf *json, struct err *e)
{
    const struct fact_group *g = NULL;
    const struct rule *r = NULL;
    struct measured m;
    struct sketch scratch;
    uint32_t selection;
    cJSON *o;

    for (uint32_t i = 0; i < a->rules.n && !r; i++)
        r = names(q, a->states[i].rule) ? a->states[i].rule : NULL;
    if (!r)
        return err_set(e, ERR_NOTFOUND, "no alert and no rule \"%.100s\"", q->name);
    selection = r->kind == RULE_RATIO ? r->of_selection : r->selection;
    for (uint32_t i = 0; selection != RULE_NOTHING && i < facts_groups(in->facts, selection) && !g; i++) {
        g = facts_group_at(in->facts, selection, i);
        if (q->match && !match_labels(q->match, fact_labels(g)))
            g = NULL;
    }
    o = cJSON_CreateObject();
    if (!o)
        return ERR_NOMEM;
    cJSON_AddStringToObject(o, "alert", r->name);
    cJSON_AddStringToObject(o, "state", alert_state_name(ALERT_INACTIVE));
    cJSON_AddStringToObject(o, "severity", severity_name(r->severity));
    if (g) {
        sketch_init(&scratch, NULL);
        rule_measure(r, r->kind == RULE_RATIO ? facts_group_find(in->facts, r->selection, fact_labels(g)) : g,
                     g, in->now, &scratch, &m);
        sketch_free(&scratch);
        put_json_labels(o, "labels", fact_labels(g));
        put_json_number(o, "value", m.value);
        put_json_number(o, "threshold", m.threshold);
        measured_json(o, &m);
        group_json(o, g, m.from, m.to);
        cJSON_AddStringToObject(o, "sentence", "The condition does not hold: there is no alert.");
    } else {
        cJSON_AddStringToObject(o, "sentence",
                                r->selection == RULE_NOTHING
                                    ? "There is no alert of this rule now."
                                    : "No series matches: the rule can not fire for this.");
    }
    rule_json(o, r);
    return put_json_done(o, json);
}

static int explain_alert(const struct alert_input *in, const struct alert *al, struct buf *json)
{
    const struct alert_row *row = alert_row_number(al->row);
    cJSON *o = cJSON_CreateObject();

    if (!o)
        return ERR_NOMEM;
    alert_json(o, al);
    measured_json(o, &al->m);
    if (row)
        cJSON_AddStringToObject(o, "sentence", row->sentence);
    if (al->of)
        rule_json(o, al->of->rule);
    samples_json(o, in, al);
    return put_json_done(o, json);
}

int alerts_explain(const struct alerts *a, const struct alert_input *in, const char *alert, struct buf *json,
                   struct err *e)
{
    const struct alert *al;
    struct asked q;
    int rc = read_asked(alert, &q, e);

    if (rc)
        return rc;
    al = find(a, &q);
    rc = al        ? explain_alert(in, al, json)
         : q.by_id ? err_set(e, ERR_NOTFOUND, "no alert %s", alert)
                   : explain_group(a, in, &q, json, e);
    match_free(&q.match);
    return rc;
}
