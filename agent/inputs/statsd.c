/* StatsD samples into series, and series into ticks: see statsd.h. */
#include "agent/inputs/statsd.h"

#include <math.h>
#include <string.h>

#include "agent/inputs/statsd_in.h"

enum { SILENT_TICKS = 6, SET_FIRST = 64 };

struct statsd *statsd_new(const struct statsd_params *p)
{
    struct statsd *s = mem_alloc(NULL, sizeof *s);

    if (!s)
        return NULL;
    s->p = *p;
    s->mem.cap = p->max_memory;
    map_init(&s->raw, &s->mem, p->seed);
    map_init(&s->idents, &s->mem, p->seed);
    map_init(&s->names, &s->mem, p->seed);
    buf_init(&s->key, NULL, STATSD_MAX_NAME + STATSD_MAX_TAGS + 16);
    arena_init(&s->scratch, NULL, 1 << 17);
    arena_init(&s->event_mem, &s->mem, 4 << 20);
    return s;
}

void statsd_free(struct statsd **sp)
{
    struct statsd *s = *sp;
    struct statsd_name *name;
    size_t i = 0;

    if (!s)
        return;
    while (s->n)
        statsd_series_drop(s, s->list[s->n - 1]);
    while ((name = map_next(&s->names, &i)))
        mem_free(&s->mem, name, sizeof *name + name->n + 1);
    mem_free(&s->mem, s->list, s->room * sizeof *s->list);
    map_free(&s->raw);
    map_free(&s->idents);
    map_free(&s->names);
    buf_free(&s->key);
    arena_free(&s->scratch);
    arena_free(&s->event_mem);
    mem_free(NULL, s, sizeof *s);
    *sp = NULL;
}

/* ---- sets: exact, by 64-bit hashes ---- */

static void set_insert(uint64_t *slots, uint32_t room, uint64_t h, uint32_t *n)
{
    uint32_t i = (uint32_t)h & (room - 1);

    while (slots[i] && slots[i] != h)
        i = (i + 1) & (room - 1);
    *n += !slots[i];
    slots[i] = h;
}

static enum statsd_error set_add(struct statsd *s, struct statsd_set *set, struct bytes value)
{
    uint64_t h = siphash13(s->p.seed, value.p, value.n);

    if (set->n >= set->room / 2) {
        uint32_t room = set->room ? set->room * 2 : SET_FIRST, n = 0;
        uint64_t *slots;

        if (set->n >= STATSD_MAX_SET)
            return STATSD_SET;
        slots = mem_array(&s->mem, room, sizeof *slots);
        if (!slots)
            return STATSD_MEMORY;
        for (uint32_t i = 0; i < set->room; i++)
            if (set->slots[i])
                set_insert(slots, room, set->slots[i], &n);
        mem_free(&s->mem, set->slots, set->room * sizeof *slots);
        set->slots = slots;
        set->room = room;
    }
    set_insert(set->slots, set->room, h ? h : 1, &set->n);
    return STATSD_OK;
}

/* ---- samples ---- */

static enum statsd_error put_number(struct statsd *s, struct statsd_series *v, const struct statsd_line *l,
                                    const char *p, size_t n)
{
    uint64_t weight;
    double x;

    if (!statsd_number(p, n, &x))
        return STATSD_VALUE;
    switch (v->name->class) {
    case CLASS_COUNTER:
        if (x < 0)
            return STATSD_NEGATIVE;
        if (!isfinite(v->v.value + x / l->rate))
            return STATSD_VALUE;
        v->v.value += x / l->rate;
        break;
    case CLASS_GAUGE:
        if (*p == '+' || *p == '-')
            x += v->v.value;
        if (!isfinite(x))
            return STATSD_VALUE;
        v->v.value = x;
        break;
    case CLASS_SKETCH:
        x = l->type == 'm' ? x / 1000 : x;
        weight = l->rate < 1e-9 ? 1000000000 : (uint64_t)llround(1 / l->rate);
        if (sketch_add(&v->v.sketch, x, weight) != 0)
            return STATSD_MEMORY;
        statsd_marks_add(v, x, weight);
        break;
    case CLASS_SET: break;
    }
    s->stats.samples++;
    return STATSD_OK;
}

static enum statsd_error metric_line(struct statsd *s, const char *p, size_t n)
{
    enum statsd_error rc, worst = STATSD_OK;
    struct statsd_series *v;
    struct statsd_line l;
    const char *at, *end;

    rc = statsd_parse_line(p, n, &l);
    if (rc != STATSD_OK)
        return rc;
    v = statsd_series_of(s, &l, &rc);
    if (!v)
        return rc;
    v->silent = 0;
    statsd_marks_heard(v);
    s->stats.stamped += l.stamped;
    if (v->name->class == CLASS_SET) {
        s->stats.samples++;
        return set_add(s, &v->v.set, l.values);
    }
    at = (const char *)l.values.p;
    for (end = at + l.values.n; at <= end;) {
        const char *colon = memchr(at, ':', (size_t)(end - at)), *stop = colon ? colon : end;

        rc = put_number(s, v, &l, at, (size_t)(stop - at));
        if (rc != STATSD_OK)
            worst = rc;
        at = stop + 1;
    }
    return worst;
}

void statsd_packet(struct statsd *s, struct wall now, const char *p, size_t n)
{
    const char *end = p + n;

    s->stats.packets++;
    s->stats.bytes += n;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
        size_t len = (size_t)(stop - p);
        enum statsd_error rc;

        if (len && p[len - 1] == '\r')
            len--;
        if (len) {
            rc = *p == '_' && len > 3 && (p[1] == 'e' || p[1] == 's') && (p[2] == '{' || p[2] == 'c')
                     ? statsd_event_line(s, now, p, len)
                     : metric_line(s, p, len);
            if (rc != STATSD_OK)
                s->stats.errors[rc]++;
        }
        p = stop + 1;
    }
}

/* ---- ticks ---- */

static void put_value(struct sink *out, const struct metric_row *row, double v)
{
    if (v <= 9007199254740992.0 && v >= -9007199254740992.0 && v == (double)(int64_t)v)
        sink_int(out, row, NULL, (int64_t)v);
    else
        sink_real(out, row, NULL, v);
}

static void flush_one(struct statsd *s, struct statsd_series *v, struct grid *g)
{
    struct sink *out = grid_sink(g);

    if (v->name->class != CLASS_SKETCH || v->v.sketch.count)
        grid_extra(g, v->labels, v->n_labels);
    switch (v->name->class) {
    case CLASS_COUNTER:
    case CLASS_GAUGE: put_value(out, &v->name->row, v->v.value); break;
    case CLASS_SET:
        sink_int(out, &v->name->row, NULL, v->v.set.n);
        if (v->v.set.n && v->v.set.room > SET_FIRST && v->v.set.n < v->v.set.room / 8) {
            mem_free(&s->mem, v->v.set.slots, v->v.set.room * sizeof *v->v.set.slots);
            v->v.set = (struct statsd_set){0};
        } else if (v->v.set.n) {
            memset(v->v.set.slots, 0, v->v.set.room * sizeof *v->v.set.slots);
            v->v.set.n = 0;
        }
        break;
    case CLASS_SKETCH:
        if (v->v.sketch.count) {
            out->sketch(out, &v->name->row, NULL, &v->v.sketch);
            sketch_clear(&v->v.sketch);
        } else if (v->silent == SILENT_TICKS) { /* gives its memory back */
            sketch_free(&v->v.sketch);
            sketch_init(&v->v.sketch, &s->mem);
        }
        break;
    }
}

void statsd_flush(struct statsd *s, struct grid *g)
{
    for (uint32_t i = 0; i < s->n; i++)
        flush_one(s, s->list[i], g);
    grid_extra(g, NULL, 0);
    for (uint32_t i = s->n; i-- > 0;)
        if (s->list[i]->silent++ >= s->p.expire)
            statsd_series_drop(s, s->list[i]);
    statsd_names_tidy(s, g);
}

void statsd_show(const struct statsd *s, struct sink *out,
                 void (*extra)(void *arg, const struct wire_label *labels, uint32_t n), void *arg)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct statsd_series *v = s->list[i];

        extra(arg, v->labels, v->n_labels);
        switch (v->name->class) {
        case CLASS_COUNTER:
        case CLASS_GAUGE: put_value(out, &v->name->row, v->v.value); break;
        case CLASS_SET: sink_int(out, &v->name->row, NULL, v->v.set.n); break;
        case CLASS_SKETCH: sink_sketch(out, &v->name->row, NULL, &v->v.sketch); break;
        }
    }
    extra(arg, NULL, 0);
}

/* ---- what it tells of itself ---- */

struct statsd_stats statsd_stats(const struct statsd *s)
{
    struct statsd_stats t = s->stats;

    t.series = s->n;
    t.memory = s->mem.used;
    return t;
}

enum row {
    PACKETS,
    BYTES,
    SAMPLES,
    EVENTS,
    STAMPED,
    ERRORS,
    SERIES,
    SERIES_LIMIT,
    MEMORY,
    MEMORY_LIMIT,
    ROWS
};

static const struct metric_row statsd_rows[] = {
    [PACKETS] = {"securebase_agent_statsd_packets_total", METRIC_COUNTER, 1, 1, "",
                 "StatsD datagrams taken in."},
    [BYTES] = {"securebase_agent_statsd_bytes_total", METRIC_COUNTER, 1, 1, "", "Bytes of those datagrams."},
    [SAMPLES] = {"securebase_agent_statsd_samples_total", METRIC_COUNTER, 1, 1, "",
                 "Values taken in through StatsD; a sampled one counts once."},
    [EVENTS] = {"securebase_agent_statsd_events_total", METRIC_COUNTER, 1, 1, "",
                "Events and service checks taken in through StatsD."},
    [STAMPED] = {"securebase_agent_statsd_stamped_total", METRIC_COUNTER, 1, 1, "",
                 "Lines with a time of their own, which were taken as of now."},
    [ERRORS] = {"securebase_agent_statsd_errors_total", METRIC_COUNTER, 1, 1, "reason",
                "StatsD lines not taken in, or not wholly, by reason."},
    [SERIES] = {"securebase_agent_statsd_series", METRIC_GAUGE, 1, 1, "", "Series known through StatsD."},
    [SERIES_LIMIT] = {"securebase_agent_statsd_series_limit", METRIC_GAUGE, 1, 1, "",
                      "Most series that StatsD may bring."},
    [MEMORY] = {"securebase_agent_statsd_memory_bytes", METRIC_GAUGE, 1, 1, "",
                "Memory that those series take."},
    [MEMORY_LIMIT] = {"securebase_agent_statsd_memory_limit_bytes", METRIC_GAUGE, 1, 1, "",
                      "Most memory that those series may take."},
};

void statsd_metrics(const struct statsd *s, struct sink *out)
{
    const struct metric_row *r = statsd_rows;

    sink_uint(out, &r[PACKETS], NULL, s->stats.packets);
    sink_uint(out, &r[BYTES], NULL, s->stats.bytes);
    sink_uint(out, &r[SAMPLES], NULL, s->stats.samples);
    sink_uint(out, &r[EVENTS], NULL, s->stats.events);
    sink_uint(out, &r[STAMPED], NULL, s->stats.stamped);
    for (int i = STATSD_OK + 1; i < STATSD_ERRORS; i++) {
        struct text l = text_of(statsd_error_name((enum statsd_error)i));

        sink_uint(out, &r[ERRORS], &l, s->stats.errors[i]);
    }
    sink_int(out, &r[SERIES], NULL, s->n);
    sink_int(out, &r[SERIES_LIMIT], NULL, s->p.max_series);
    sink_uint(out, &r[MEMORY], NULL, s->mem.used);
    sink_uint(out, &r[MEMORY_LIMIT], NULL, s->mem.cap);
}

#define SECOND INT64_C(1000000000)

const struct option_row statsd_options[] = {
    {.key = "listen",
     .type = OPT_LIST,
     .dflt = "udp://127.0.0.1:8125 unixgram:/run/securebase/statsd.sock",
     .max = 16,
     .sentence = "Where datagrams are taken in: udp://ADDRESS:PORT, unixgram:/PATH; empty: nowhere."},
    {.key = "interval",
     .type = OPT_DURATION,
     .dflt = "5s",
     .min = SECOND,
     .max = 60 * SECOND,
     .sentence = "Time that one sketch of a timer covers: a multiple of [agent] interval; where a batch is "
                 "shorter, a batch."},
    {.key = "thresholds",
     .type = OPT_LIST,
     .dflt = "",
     .max = STATSD_MAX_THRESHOLDS,
     .sentence =
         "METRIC:BOUND, of timers, histograms and distributions: their values up to the bound are counted "
         "exactly, as METRIC_within_total{threshold=\"BOUND\"}, and all of them with \"any\"."},
    {.key = "max_series",
     .type = OPT_INT,
     .dflt = "10000",
     .min = 1,
     .max = 1000000,
     .sentence = "Most series that applications may bring; beyond, lines are refused and counted."},
    {.key = "max_memory",
     .type = OPT_SIZE,
     .dflt = "64MiB",
     .min = 1 << 20,
     .max = INT64_C(1) << 36,
     .sentence = "Most memory that those series may take."},
    {.key = "expire",
     .type = OPT_DURATION,
     .dflt = "10m",
     .min = SECOND,
     .max = 86400 * SECOND,
     .sentence = "After how long without a sample a series is forgotten."},
    {.key = "receive_buffer",
     .type = OPT_SIZE,
     .dflt = "4MiB",
     .min = 1 << 16,
     .max = 1 << 30,
     .sentence = "Size asked of the kernel for each socket's buffer; net.core.rmem_max may hold it down."},
};
const size_t statsd_n_options = sizeof statsd_options / sizeof *statsd_options;
