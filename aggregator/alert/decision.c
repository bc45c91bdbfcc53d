/* Decision records: why an alert made a transition, or why a page was prevented. See state.h. */
#include "aggregator/alert/show.h"

static const char *const mutes[] = {[MUTE_NOT] = "no",
                                    [MUTE_WAIT] = "waiting for suppressors",
                                    [MUTE_SUPPRESSED] = "suppressed",
                                    [MUTE_LIMIT] = "limit"};

const char *mute_name(enum mute m)
{
    return mutes[m];
}

static void put_condition(cJSON *o, const char *name, const struct condition *c,
                          void (*text)(const struct condition *c, struct buf *out))
{
    struct buf b;

    buf_init(&b, NULL, 256);
    text(c, &b);
    cJSON_AddStringToObject(o, name, buf_text(&b));
    buf_free(&b);
}

void rule_json(cJSON *o, const struct rule *r)
{
    put_json_text(o, "metric", r->metric);
    put_json_text(o, "match", r->match_text);
    cJSON_AddStringToObject(o, "statistic", rule_kind_name(r->kind));
    if (r->window.ns)
        put_json_number(o, "window_seconds", span_seconds(r->window));
    if (r->condition.op != COMPARE_NONE) {
        put_condition(o, "condition", &r->condition, condition_text);
        put_condition(o, "clear", &r->condition, condition_clear_text);
    }
    put_json_number(o, "for_seconds", span_seconds(r->hold));
    put_json_number(o, "clear_for_seconds", span_seconds(r->clear_hold));
}

void measured_json(cJSON *o, const struct measured *m)
{
    cJSON_AddStringToObject(o, "verdict", alert_verdict_name(m->verdict));
    if (m->why)
        cJSON_AddStringToObject(o, "why", m->why);
    if (m->low < m->high) {
        put_json_number(o, "expected", m->expected);
        put_json_number(o, "usual_from", m->low);
        put_json_number(o, "usual_to", m->high);
    }
    put_json_time(o, "window_from", m->from);
    put_json_time(o, "window_to", m->to);
    put_json_time(o, "newest_in_window", m->data);
    put_json_number(o, "values", (double)m->n);
    put_json_number(o, "steps_with_data", m->held_steps);
    put_json_number(o, "steps", m->of_steps);
}

static int put_sample(void *arg, int64_t start, int64_t length, const struct fact_bucket *b)
{
    cJSON *list = arg, *o;

    (void)length;
    if (cJSON_GetArraySize(list) >= 60)
        return 1;
    o = cJSON_CreateObject();
    if (!o || !cJSON_AddItemToArray(list, o))
        return 1;
    put_json_time(o, "t", start);
    put_json_number(o, "n", (double)b->n);
    put_json_number(o, "sum", b->sum);
    put_json_number(o, "min", b->min);
    put_json_number(o, "max", b->max);
    put_json_number(o, "last", b->last);
    return 0;
}

void group_json(cJSON *o, const struct fact_group *g, int64_t from, int64_t to)
{
    cJSON *list = cJSON_AddArrayToObject(o, "samples");

    if (list)
        (void)facts_each(g, from, to, put_sample, list);
}

void samples_json(cJSON *o, const struct alert_input *in, const struct alert *al)
{
    const struct rule *r = al->of ? al->of->rule : NULL;
    const struct fact_group *g =
        r && r->selection != RULE_NOTHING ? facts_group_find(in->facts, r->selection, al->group) : NULL;

    if (g)
        group_json(o, g, al->m.from, al->m.to);
}

enum { SHORT_MOST = 1000 }; /* decisions in a step about alerts that nobody is told of for the limit */

/* In a storm, what is beyond the limit is not worth a record each: the first thousand of a step stand for all. */
static bool left_out(struct alerts *a, const struct alert *al)
{
    if (al->mute != MUTE_LIMIT)
        return false;
    if (a->short_step != a->step) {
        a->short_step = a->step;
        a->short_n = 0;
    }
    if (a->short_n++ < SHORT_MOST)
        return false;
    a->short_left_out++;
    return true;
}

void alert_decide(const struct turn *t, const struct alert *al, const struct alert_row *row,
                  enum alert_state from, const char *reason)
{
    cJSON *o = left_out(t->a, al) ? NULL : cJSON_CreateObject();
    char *text;

    if (!o)
        return;
    cJSON_AddStringToObject(o, "alert", al->rule);
    put_json_labels(o, "labels", al->labels);
    put_json_number(o, "row", row->number);
    cJSON_AddStringToObject(o, "from", alert_state_name(from));
    cJSON_AddStringToObject(o, "to", alert_state_name(row->to));
    cJSON_AddStringToObject(o, "event", alert_event_name(row->event));
    cJSON_AddStringToObject(o, "sentence", row->sentence);
    if (reason != row->sentence)
        cJSON_AddStringToObject(o, "reason", reason);
    cJSON_AddBoolToObject(o, "prevented", row->effects & DO_PREVENT || al->mute != MUTE_NOT);
    if (al->mute != MUTE_NOT)
        cJSON_AddStringToObject(o, "muted", mute_name(al->mute));
    put_json_time(o, "since", al->since);
    put_json_number(o, "held_seconds", (double)al->held / 1000);
    put_json_number(o, "value", al->m.value);
    put_json_number(o, "threshold", al->m.threshold);
    measured_json(o, &al->m);
    if (al->of)
        rule_json(o, al->of->rule);
    if (al->mute != MUTE_LIMIT) /* in a storm, short: what is told of one by one shows its samples */
        samples_json(o, t->in, al);
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (!text)
        return;
    t->a->decisions++;
    t->out->decision(t->out->arg, &al->id, t->in->now, text);
    cJSON_free(text);
}

enum { SILENT_MS = 600000 };

void rule_silence(const struct turn *t, struct rule_state *rs)
{
    struct fingerprint id;
    cJSON *o;
    char *text;

    if (rs->groups || rs->rule->kind == RULE_COMPOSITE) {
        rs->since = 0;
        rs->silent = false;
        rs->matched |= rs->groups > 0;
        return;
    }
    if (!rs->since || rs->since > t->in->now.ms)
        rs->since = t->in->now.ms;
    if (rs->silent || t->in->now.ms - rs->since < SILENT_MS || !(o = cJSON_CreateObject()))
        return;
    rs->silent = true;
    id = labels_fingerprint(rs->rule->name, (struct labels){0});
    cJSON_AddStringToObject(o, "alert", rs->rule->name);
    cJSON_AddStringToObject(o, "event", "the rule matches nothing");
    cJSON_AddStringToObject(o, "sentence",
                            rs->matched ? "No series matches this rule any more: it can not fire."
                                        : "No series has ever matched this rule: it can not fire.");
    cJSON_AddStringToObject(o, "origin", rs->rule->origin);
    put_json_time(o, "since", rs->since);
    rule_json(o, rs->rule);
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (!text)
        return;
    t->a->decisions++;
    t->out->decision(t->out->arg, &id, t->in->now, text);
    cJSON_free(text);
}
