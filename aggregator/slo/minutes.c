/* A group's minutes and blocks: see slo_private.h. */
#include <string.h>

#include "aggregator/slo/slo_private.h"

enum { MINUTE_MS = 60000, BACKWARDS = 180 };

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;

    return a % b < 0 ? q - 1 : q;
}

int64_t minute_of(int64_t wall_ms)
{
    return floor_div(wall_ms, MINUTE_MS);
}

struct slo_group *slo_group_new(struct slo *s, struct mem *mem, struct labels l)
{
    struct slo_group *g = mem_alloc(mem, sizeof *g);
    bool ok = true;

    if (!g)
        return NULL;
    *g = (struct slo_group){.slo = s,
                            .tail = 1,
                            .n_days = s->def->keep_days,
                            .stale = true,
                            .touched = {INT64_MAX, 0},
                            .told = {INT64_MAX, 0}};
    arena_init(&g->arena, mem, 0);
    g->labels = labels_copy(l, &g->arena, &ok);
    g->tidied = labels_fingerprint(s->def->name, l).b[0] * 5u; /* within the first 21 hours */
    g->ring = mem_array(mem, MINUTES, sizeof *g->ring);
    g->days = mem_array(mem, g->n_days, sizeof *g->days);
    g->marks = mem_array(mem, HOURS, sizeof *g->marks);
    if (!ok || !g->marks || !g->ring || !g->days)
        slo_group_free(&g, mem);
    return g;
}

void slo_group_free(struct slo_group **gp, struct mem *mem)
{
    struct slo_group *g = *gp;

    if (!g)
        return;
    for (uint32_t i = 0; g->days && i < g->n_days; i++)
        mem_free(mem, g->days[i], sizeof **g->days);
    mem_free(mem, g->days, g->n_days * sizeof *g->days);
    mem_free(mem, g->marks, HOURS * sizeof *g->marks);
    mem_free(mem, g->ring, MINUTES * sizeof *g->ring);
    mem_free(mem, g->corrections, g->room_corrections * sizeof *g->corrections);
    arena_free(&g->arena);
    mem_free(mem, g, sizeof *g);
    *gp = NULL;
}

int slo_group_keep(struct slo_group *g, uint32_t n_days, struct mem *mem)
{
    struct day **days;

    if (n_days == g->n_days)
        return 0;
    days = mem_array(mem, n_days, sizeof *days);
    if (!days)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < g->n_days; i++) {
        struct day *d = g->days[i], **to = d ? &days[d->number % n_days] : NULL;

        if (!d)
            continue;
        if (!*to || (*to)->number < d->number) {
            mem_free(mem, *to, sizeof **to);
            *to = d;
        } else {
            mem_free(mem, d, sizeof *d);
        }
    }
    mem_free(mem, g->days, g->n_days * sizeof *g->days);
    g->days = days;
    g->n_days = n_days;
    return 0;
}

/* The ring holds [tail, head]. Running backwards, as when a clock had run ahead, what came after is cut off; what the
 * ring had given up by then is not made up anew: its counts are in the blocks already. */
void slo_group_advance(struct slo_group *g, int64_t now)
{
    if (now <= g->head && now > g->head - BACKWARDS)
        return;
    if (now <= g->head) {
        g->head = now;
        if (g->tail > now)
            g->tail = now + 1;
        g->swept = g->read_whole = 0;
        return;
    }
    for (int64_t m = now - g->head < MINUTES ? g->head + 1 : now - MINUTES + 1; m <= now; m++)
        g->ring[m % MINUTES] = (struct minute){0};
    if (g->tail <= now - MINUTES)
        g->tail = now - MINUTES + 1;
    g->head = now;
}

struct minute *slo_group_minute(const struct slo_group *g, int64_t minute)
{
    return minute >= g->tail && minute <= g->head ? &g->ring[minute % MINUTES] : NULL;
}

static struct day **day_slot(const struct slo_group *g, int64_t day)
{
    return &g->days[day % g->n_days];
}

const struct block *slo_group_block(const struct slo_group *g, int64_t minute)
{
    int64_t number = minute / DAY_MINUTES;
    const struct day *d = minute < 0 ? NULL : *day_slot(g, number);

    return d && d->number == number ? &d->b[minute % DAY_MINUTES / BLOCK] : NULL;
}

struct block *slo_group_block_make(struct slo_group *g, int64_t minute, struct mem *mem)
{
    int64_t number = minute / DAY_MINUTES;
    struct day **slot = minute < 0 ? NULL : day_slot(g, number);

    if (!slot || (*slot && (*slot)->number > number && (*slot)->number <= g->head / DAY_MINUTES + 1))
        return NULL; /* older than what is kept */
    if (!*slot)
        *slot = mem_alloc(mem, sizeof **slot);
    if (!*slot)
        return NULL;
    if ((*slot)->number != number)
        **slot = (struct day){.number = number};
    return &(*slot)->b[minute % DAY_MINUTES / BLOCK];
}

/* ---- events ---- */

static int64_t slice_start(const struct slo_def *d, int64_t minute)
{
    return minute - minute % d->slice;
}

static struct events slice_events(const struct slo_group *g, int64_t start)
{
    const struct slo_def *d = g->slo->def;
    uint64_t good = 0, total = 0;

    for (int64_t m = start; m < start + d->slice; m++) {
        const struct minute *x = slo_group_minute(g, m);

        good += x ? x->good : 0;
        total += x ? x->total : 0;
    }
    if (!total)
        return (struct events){0, 0};
    return (struct events){(double)good >= d->slice_objective * (double)total, 1};
}

struct events slo_group_minute_events(const struct slo_group *g, int64_t minute)
{
    const struct minute *x;

    if (g->slo->def->slice)
        return minute % g->slo->def->slice ? (struct events){0, 0} : slice_events(g, minute);
    x = slo_group_minute(g, minute);
    return x ? (struct events){x->good, x->total} : (struct events){0, 0};
}

static uint32_t narrow(uint64_t v, struct slos *s)
{
    if (v <= UINT32_MAX)
        return (uint32_t)v;
    s->saturated++;
    return UINT32_MAX;
}

static void grow(struct grown *x, uint64_t before, uint64_t after)
{
    x->now += after - before;
    if (x->now > x->shown && x->now - x->shown < UINT64_MAX / 2)
        x->shown = x->now;
}

int slo_group_put(struct slo_group *g, int64_t minute, uint64_t good, uint64_t total, uint32_t series,
                  struct slos *s, bool *changed)
{
    const struct slo_def *d = g->slo->def;
    int64_t at = d->slice ? slice_start(d, minute) : minute;
    struct minute *x = slo_group_minute(g, minute);
    struct events before, after;
    struct block *b;

    *changed = false;
    if (!x)
        return ERR_RANGE;
    if (good > total) {
        good = total;
        s->clamped++;
    }
    series = series > UINT16_MAX ? UINT16_MAX : series;
    if (x->good == good && x->total == total && x->series == series)
        return 0;
    b = slo_group_block_make(g, at, s->mem);
    if (!b)
        return ERR_NOMEM;
    before = slo_group_minute_events(g, at);
    x->total = narrow(total, s);
    x->good = narrow(good, s);
    x->series = (uint16_t)series;
    after = slo_group_minute_events(g, at);
    b->good += after.good - before.good;
    b->total += after.total - before.total;
    grow(&g->good, before.good, after.good);
    grow(&g->bad, before.total - before.good, after.total - after.good);
    *changed = true;
    return 0;
}

struct events slo_group_events(const struct slo_group *g, int64_t from, int64_t to)
{
    struct events sum = {0, 0};
    int64_t m = from;

    if (m < g->tail)
        m -= m % BLOCK;
    while (m < to) {
        struct events part = {0, 0};
        bool whole = m % BLOCK == 0 && (m + BLOCK <= to || to > g->head);
        const struct block *b = whole ? slo_group_block(g, m) : NULL;

        if (!whole)
            part = slo_group_minute_events(g, m);
        else if (b)
            part = (struct events){b->good, b->total};
        sum.good += part.good;
        sum.total += part.total;
        m += whole ? BLOCK : 1;
    }
    return sum;
}

/* ---- verdicts ---- */

enum slo_code slo_group_code(const struct slo_group *g, int64_t minute)
{
    const struct block *b = slo_group_block(g, minute);
    uint64_t code = b ? b->codes >> (minute % BLOCK * 4) & 15 : CODE_NONE;

    return code < CODES ? (enum slo_code)code : CODE_NONE;
}

int slo_group_code_put(struct slo_group *g, int64_t minute, enum slo_code code, struct mem *mem)
{
    struct block *b = slo_group_block_make(g, minute, mem);
    int shift = (int)(minute % BLOCK * 4);

    if (!b)
        return ERR_NOMEM;
    b->codes = (b->codes & ~(UINT64_C(15) << shift)) | (uint64_t)code << shift;
    return 0;
}

enum slo_verdict code_verdict(enum slo_code c)
{
    switch (c) {
    case CODE_UP:
    case CODE_UP_QUIET:
    case CODE_UP_PROBE: return VERDICT_UP;
    case CODE_DOWN:
    case CODE_DOWN_PROBE:
    case CODE_DOWN_FAILOVER:
    case CODE_DOWN_DRILL:
    case CODE_DOWN_MAINTENANCE: return VERDICT_DOWN;
    case CODE_BLIND:
    case CODE_INCOMPLETE: return VERDICT_UNKNOWN;
    case CODE_EXCLUDED: return VERDICT_EXCLUDED;
    case CODE_NONE:
    case CODES: break;
    }
    return VERDICT_NONE;
}

const char *verdict_name(enum slo_verdict v)
{
    static const char *const names[VERDICTS] = {"none", "up", "down", "unknown", "excluded"};

    return v < VERDICTS ? names[v] : "none";
}

const char *code_cause(enum slo_code c)
{
    static const char *const names[CODES] = {
        [CODE_NONE] = "",
        [CODE_UP] = "",
        [CODE_UP_QUIET] = "quiet",
        [CODE_UP_PROBE] = "witness",
        [CODE_DOWN] = "incident",
        [CODE_DOWN_PROBE] = "witness",
        [CODE_DOWN_FAILOVER] = "failover",
        [CODE_DOWN_DRILL] = "drill",
        [CODE_DOWN_MAINTENANCE] = "maintenance",
        [CODE_BLIND] = "blind",
        [CODE_INCOMPLETE] = "incomplete",
        [CODE_EXCLUDED] = "maintenance",
    };

    return c < CODES ? names[c] : "";
}
