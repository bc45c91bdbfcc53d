/* Objectives as JSON: the list, and one with all its groups and windows. What is unknown is null. */
#include <math.h>
#include <string.h>

#include "aggregator/slo/slo_report_private.h"

void slo_json_number(cJSON *o, const char *key, double v)
{
    if (isfinite(v))
        cJSON_AddNumberToObject(o, key, v);
    else
        cJSON_AddNullToObject(o, key);
}

void slo_json_time(cJSON *o, const char *key, int64_t ms)
{
    char text[WALL_TEXT];

    if (ms)
        cJSON_AddStringToObject(o, key, wall_text((struct wall){ms}, text));
    else
        cJSON_AddNullToObject(o, key);
}

void slo_json_labels(cJSON *o, const char *key, struct labels l)
{
    cJSON *part = cJSON_AddObjectToObject(o, key);

    for (uint32_t i = 0; i < l.n; i++)
        cJSON_AddStringToObject(part, l.v[i].name, l.v[i].value);
}

int slo_json_print(cJSON *root, struct buf *json)
{
    char *text = cJSON_PrintUnformatted(root);

    if (text)
        buf_str(json, text);
    cJSON_free(text);
    return text && !json->full ? 0 : ERR_NOMEM;
}

static const char *kind_name(enum slo_kind k)
{
    static const char *const names[] = {"availability", "latency", "probe", "range", "slices"};

    return k <= SLO_SLICES ? names[k] : "";
}

static void period_text(const struct slo_def *d, char out[32])
{
    static const char *const names[] = {
        [SLO_ROLLING] = "", [SLO_WEEK] = "week", [SLO_MONTH] = "month", [SLO_QUARTER] = "quarter"};

    if (d->period == SLO_ROLLING)
        format_duration(d->span, out);
    else
        memcpy(out, names[d->period], strlen(names[d->period]) + 1);
}

/* What the objective says. */
void slo_json_terms(const struct slo *s, cJSON *o)
{
    const struct slo_def *d = s->def;
    char period[32];
    cJSON *part;

    period_text(d, period);
    cJSON_AddStringToObject(o, "slo", d->name);
    cJSON_AddStringToObject(o, "kind", kind_name(d->kind));
    cJSON_AddStringToObject(o, "service", d->service);
    cJSON_AddStringToObject(o, "team", d->team);
    cJSON_AddNumberToObject(o, "objective_ratio", d->objective);
    cJSON_AddStringToObject(o, "period", period);
    cJSON_AddStringToObject(o, "zone", d->zone_name);
    part = cJSON_AddArrayToObject(o, "by");
    for (uint32_t i = 0; i < d->n_by; i++)
        cJSON_AddItemToArray(part, cJSON_CreateString(d->by[i]));
    part = cJSON_AddObjectToObject(o, "contract");
    cJSON_AddNumberToObject(part, "down_below_ratio", d->contract);
    cJSON_AddNumberToObject(part, "min_events", (double)d->min_events);
    cJSON_AddNumberToObject(part, "complete_from_ratio", d->complete);
    cJSON_AddStringToObject(part, "unknown",
                            d->unknown == UNKNOWN_DOWN ? "down"
                            : d->unknown == UNKNOWN_UP ? "up"
                                                       : "apart");
    cJSON_AddStringToObject(part, "maintenance", d->maintenance_excluded ? "excluded" : "counted");
    if (d->witness)
        cJSON_AddStringToObject(part, "witness", d->witness);
    if (d->source != SOURCE_SKETCH && d->kind != SLO_LATENCY)
        return;
    part = cJSON_AddObjectToObject(o, "threshold");
    if (d->threshold > 0)
        cJSON_AddNumberToObject(part, "threshold_seconds", d->threshold);
    cJSON_AddBoolToObject(part, "exact", d->source == SOURCE_COUNTERS || s->bound == d->threshold);
    if (d->source == SOURCE_SKETCH)
        slo_json_number(part, "bound_seconds", s->bound);
}

static void json_window(cJSON *list, const struct burn_window *w, unsigned i)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "window", slo_window_name(i));
    cJSON_AddNumberToObject(o, "window_seconds", span_seconds(w->window));
    cJSON_AddNumberToObject(o, "good", (double)w->good);
    cJSON_AddNumberToObject(o, "total", (double)w->total);
    slo_json_number(o, "compliance_ratio", w->total ? (double)w->good / (double)w->total : NAN);
    slo_json_number(o, "burn", w->burn);
    slo_json_number(o, "burn_least", w->burn_least);
    cJSON_AddBoolToObject(o, "enough", w->enough);
    cJSON_AddItemToArray(list, o);
}

static void json_account(cJSON *o, const char *key, const struct account *a)
{
    cJSON *part = cJSON_AddObjectToObject(o, key);

    cJSON_AddNumberToObject(part, "up_minutes", a->up);
    cJSON_AddNumberToObject(part, "down_minutes", a->down);
    cJSON_AddNumberToObject(part, "unknown_minutes", a->unknown);
    cJSON_AddNumberToObject(part, "excluded_minutes", a->excluded);
}

static const struct burn_fact *burn_of(const struct slos *s, const struct slo_group *g)
{
    return g->burn < s->n_burns && s->burns[g->burn].slo == g->slo->def->name ? &s->burns[g->burn] : NULL;
}

static void json_budget(cJSON *o, const struct burn_fact *b)
{
    slo_json_number(o, "error_budget_remaining_ratio", b ? b->remaining : NAN);
    slo_json_number(o, "exhausted_after_seconds", b ? b->exhausted_after : NAN);
    cJSON_AddBoolToObject(o, "exhausts", b && !isnan(b->exhausted_after) && isfinite(b->exhausted_after));
    slo_json_number(o, "data_completeness_ratio", b ? b->completeness : NAN);
}

static void json_group(const struct slos *s, const struct slo_group *g, cJSON *list)
{
    const struct burn_fact *b = burn_of(s, g);
    cJSON *o = cJSON_CreateObject(), *windows;

    slo_json_labels(o, "labels", g->labels);
    windows = cJSON_AddArrayToObject(o, "windows");
    for (unsigned i = 0; b && i < BURN_WINDOWS; i++)
        json_window(windows, &b->w[i], i);
    json_budget(o, b);
    json_account(o, "month", &g->month);
    json_account(o, "rolling_30d", &g->rolling);
    slo_json_time(o, "measured_from", g->born * 60000);
    slo_json_time(o, "judged_to", g->closed * 60000);
    slo_json_time(o, "last_data", g->last * 60000);
    cJSON_AddNumberToObject(o, "corrected_minutes", (double)g->corrected);
    cJSON_AddItemToArray(list, o);
}

static void json_alerts(const struct slo_def *d, cJSON *o)
{
    cJSON *list = cJSON_AddArrayToObject(o, "burn_alerts");

    for (unsigned i = 0; d->alerts && i < BURN_ALERTS; i++) {
        const struct burn_alert *a = burn_alert_at(i);
        cJSON *x = cJSON_CreateObject();
        struct buf name;

        buf_init(&name, NULL, 256);
        buf_fmt(&name, "slo-%s-%s", d->name, a->name);
        cJSON_AddStringToObject(x, "alert", buf_text(&name));
        buf_free(&name);
        cJSON_AddStringToObject(x, "long", a->long_text);
        cJSON_AddStringToObject(x, "short", a->short_text);
        cJSON_AddNumberToObject(x, "above", burn_alert_factor(a, d->span, d->objective));
        cJSON_AddItemToArray(list, x);
    }
}

int slos_show(const struct slos *s, const char *name, struct wall now, struct buf *json, struct err *e)
{
    const struct slo *slo = slos_find(s, name);
    cJSON *root, *list;
    int rc;

    if (!slo)
        return err_set(e, ERR_NOTFOUND, "there is no objective \"%.64s\"", name);
    root = cJSON_CreateObject();
    slo_json_terms(slo, root);
    slo_json_time(root, "now", now.ms);
    json_alerts(slo->def, root);
    cJSON_AddNumberToObject(root, "groups_refused", (double)slo->refused);
    list = cJSON_AddArrayToObject(root, "groups");
    for (uint32_t i = 0; i < slo->n; i++)
        json_group(s, slo->groups[i], list);
    rc = slo_json_print(root, json);
    cJSON_Delete(root);
    return rc ? err_set(e, rc, "the answer is too large") : 0;
}

/* The group with the least budget left; one without data comes last. */
static const struct slo_group *worst(const struct slos *s, const struct slo *slo)
{
    const struct slo_group *found = slo->n ? slo->groups[0] : NULL;
    double least = INFINITY;

    for (uint32_t i = 0; i < slo->n; i++) {
        const struct burn_fact *b = burn_of(s, slo->groups[i]);

        if (b && b->remaining < least) {
            least = b->remaining;
            found = slo->groups[i];
        }
    }
    return found;
}

int slos_list(const struct slos *s, struct wall now, struct buf *json)
{
    cJSON *root = cJSON_CreateObject(), *list;
    int rc;

    slo_json_time(root, "now", now.ms);
    list = cJSON_AddArrayToObject(root, "slos");
    for (uint32_t i = 0; i < s->n; i++) {
        const struct slo *slo = s->list[i];
        const struct slo_group *g = worst(s, slo);
        const struct burn_fact *b = g ? burn_of(s, g) : NULL;
        cJSON *o = cJSON_CreateObject(), *windows;

        slo_json_terms(slo, o);
        cJSON_AddNumberToObject(o, "groups", slo->n);
        if (g)
            slo_json_labels(o, "worst_group", g->labels);
        json_budget(o, b);
        windows = cJSON_AddArrayToObject(o, "windows");
        for (unsigned k = 0; b && k < BURN_WINDOWS; k++)
            json_window(windows, &b->w[k], k);
        if (g)
            json_account(o, "month", &g->month);
        cJSON_AddItemToArray(list, o);
    }
    cJSON_AddNullToObject(root, "next");
    rc = slo_json_print(root, json);
    cJSON_Delete(root);
    return rc;
}

int slos_tell(const struct slos *s, struct wall since,
              int (*fn)(void *arg, const char *slo, struct labels group, uint64_t good, uint64_t total),
              void *arg)
{
    int rc = 0;

    for (uint32_t i = 0; i < s->n; i++) {
        for (uint32_t k = 0; !rc && k < s->list[i]->n; k++) {
            const struct slo_group *g = s->list[i]->groups[k];
            int64_t from = minute_of(since.ms), first = g->head - MINUTES_REACH;
            struct events v = slo_group_events(g, from > first ? from : first, g->head + 1);

            rc = fn(arg, s->list[i]->def->name, g->labels, v.good, v.total);
        }
    }
    return rc;
}
