/* Thresholds: how many values of a timer, histogram or distribution were at most so large, counted exactly. A sketch
 * knows that only at the bounds of its slots; an objective on latency wants it at its own. For METRIC:BOUND the counters
 * METRIC_within_total{threshold="BOUND"} and, of all values, {threshold="any"} go beside the sketch, with its labels. */
#include <math.h>
#include <string.h>

#include "agent/inputs/statsd_in.h"

int statsd_thresholds(const struct section *s, struct statsd_params *out, struct err *e)
{
    out->n_thresholds = 0;
    for (size_t i = 0; i < option_count(s, "thresholds"); i++) {
        const char *word = option_word(s, "thresholds", i), *colon = strrchr(word, ':');
        struct statsd_threshold *t = &out->thresholds[out->n_thresholds];
        size_t n = colon ? (size_t)(colon - word) : 0;
        struct err why = {0};

        if (out->n_thresholds == STATSD_MAX_THRESHOLDS)
            return err_set(e, ERR_CONFIG, "more than %d thresholds", STATSD_MAX_THRESHOLDS);
        if (!n || n >= sizeof t->metric || !wire_metric_name_ok(word, n) ||
            strlen(colon + 1) >= sizeof t->text || parse_number(colon + 1, &t->bound, &why) != 0)
            return err_set(e, ERR_CONFIG,
                           "found \"%.80s\", expected METRIC:BOUND such as checkout_seconds:0.3, the metric "
                           "as it is sent",
                           word);
        memcpy(t->metric, word, n);
        t->metric[n] = 0;
        memcpy(t->text, colon + 1, strlen(colon + 1) + 1);
        out->n_thresholds++;
    }
    return 0;
}

/* One counter beside v; false without memory, or when there are too many series. */
static bool add_mark(struct statsd *s, struct statsd_series *v, const char *text, double bound)
{
    struct wire_label labels[WIRE_MAX_LABELS];
    char name[WIRE_MAX_NAME + 1];
    size_t n = v->name->n;
    uint32_t at = 0;

    if (n + strlen("_within_total") > WIRE_MAX_NAME || v->n_labels + 1 > WIRE_MAX_LABELS - 4)
        return false;
    memcpy(name, v->name->text, n);
    memcpy(name + n, "_within_total", sizeof "_within_total");
    while (at < v->n_labels && strncmp(v->labels[at].name.p, "threshold", v->labels[at].name.n) < 0)
        at++;
    if (v->n_labels)
        memcpy(labels, v->labels, at * sizeof *labels);
    labels[at] = (struct wire_label){{"threshold", 9}, {text, (uint32_t)strlen(text)}};
    if (at < v->n_labels)
        memcpy(labels + at + 1, v->labels + at, (v->n_labels - at) * sizeof *labels);
    v->marks[v->n_marks] = (struct statsd_mark){bound, statsd_series_named(s, name, labels, v->n_labels + 1)};
    v->n_marks += v->marks[v->n_marks].to != NULL;
    return v->n_marks && v->marks[v->n_marks - 1].bound == bound;
}

enum statsd_error statsd_marks_make(struct statsd *s, struct statsd_series *v)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->p.n_thresholds; i++)
        n += strcmp(s->p.thresholds[i].metric, v->name->text) == 0;
    if (n == 0 || v->name->class != CLASS_SKETCH)
        return STATSD_OK;
    v->marks = mem_array(&s->mem, n + 1, sizeof *v->marks);
    if (!v->marks)
        return STATSD_MEMORY;
    v->room_marks = n + 1;
    for (uint32_t i = 0; i < s->p.n_thresholds; i++) {
        const struct statsd_threshold *t = &s->p.thresholds[i];

        if (strcmp(t->metric, v->name->text) == 0 && !add_mark(s, v, t->text, t->bound))
            return STATSD_SERIES;
    }
    return add_mark(s, v, "any", HUGE_VAL) ? STATSD_OK : STATSD_SERIES;
}

void statsd_marks_add(struct statsd_series *v, double x, uint64_t weight)
{
    for (uint32_t i = 0; i < v->n_marks; i++) {
        if (x <= v->marks[i].bound)
            v->marks[i].to->v.value += (double)weight;
    }
}

void statsd_marks_heard(struct statsd_series *v)
{
    for (uint32_t i = 0; i < v->n_marks; i++)
        v->marks[i].to->silent = 0;
}
