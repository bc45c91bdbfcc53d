/* Why an alert is in its state, over the facts at hand. See alert.h. */
#include <string.h>

#include "aggregator/alert/show.h"

/* By fingerprint, or rule name with optional {labels} that the alert must have. */
static const struct alert *find(const struct alerts *a, const char *text, struct err *e)
{
    const char *brace = strchr(text, '{');
    size_t name = brace ? (size_t)(brace - text) : strlen(text), n;
    struct fingerprint id;
    char inside[MATCH_TEXT_MOST];
    struct match *m = NULL;
    const struct alert *found = NULL;

    if (!brace && fingerprint_parse(text, &id) == 0)
        return alert_find(a, &id);
    if (brace) {
        n = strlen(brace + 1);
        if (!n || brace[n] != '}' || n > sizeof inside)
            return NULL;
        memcpy(inside, brace + 1, n - 1);
        inside[n - 1] = 0;
        if (!(m = match_new(inside, e)))
            return NULL;
    }
    for (uint32_t i = 0; i < a->rules.n; i++) {
        const struct rule_state *rs = &a->states[i];

        if (strlen(rs->rule->name) != name || memcmp(rs->rule->name, text, name) != 0)
            continue;
        for (const struct alert *al = rs->first; al; al = al->next) {
            if ((!m || match_labels(m, al->labels)) && (!found || al->state > found->state))
                found = al;
        }
    }
    match_free(&m);
    return found;
}

int alerts_explain(const struct alerts *a, const struct alert_input *in, const char *alert, struct buf *json,
                   struct err *e)
{
    const struct alert *al = find(a, alert, e);
    const struct alert_row *row;
    cJSON *o;

    if (!al)
        return err_set(e, ERR_NOTFOUND, "no alert \"%.100s\"", alert);
    o = cJSON_CreateObject();
    if (!o)
        return ERR_NOMEM;
    alert_json(o, al);
    row = alert_row_number(al->row);
    if (row)
        cJSON_AddStringToObject(o, "sentence", row->sentence);
    if (al->of)
        rule_json(o, al->of->rule);
    samples_json(o, in, al);
    return put_json_done(o, json);
}
