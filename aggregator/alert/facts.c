/* Groups and what they gain: see facts.h.
 *
 * A gain goes into the ring of its own tier and of each coarser one, which thereby are sums of it: a long
 * window reads its whole hours as hours and only its ends as minutes. Which tiers a group has follows from
 * the reach of its selection. */
#include "aggregator/alert/facts_private.h"

#include <assert.h>
#include <math.h>
#include <string.h>

int64_t fact_tier_length(enum fact_tier t)
{
    static const int64_t lengths[TIERS] = {FACT_STEP_MS, FACT_MINUTE_MS, FACT_HOUR_MS, FACT_DAY_MS};

    return lengths[t];
}

int64_t fact_tier_reach(const struct selection *s, enum fact_kind kind, enum fact_tier t)
{
    int64_t reach = span_to_ms(s->reach),
            by_minute = kind == FACT_SKETCH ? SKETCH_MINUTES_FROM_MS : STEPS_KEPT_MS;

    switch (t) {
    case TIER_STEP: return reach < STEPS_KEPT_MS ? reach : STEPS_KEPT_MS;
    case TIER_MINUTE: return reach <= by_minute ? 0 : reach < MINUTES_KEPT_MS ? reach : MINUTES_KEPT_MS;
    case TIER_HOUR: return reach <= HOURS_FROM_MS ? 0 : reach;
    case TIER_DAY: return reach <= MINUTES_KEPT_MS ? 0 : reach;
    case TIERS: break;
    }
    return 0;
}

struct shape fact_tier_shape(const struct fact_group *g, enum fact_tier t)
{
    int64_t reach = fact_tier_reach(g->list->selection, g->kind, t), length = fact_tier_length(t),
            now = g->facts->now;

    return (struct shape){
        .kind = g->kind,
        .length = length,
        .base = (uint32_t)(reach / length) + 3,
        .oldest =
            now ? floor_div(now - reach, length) - 1 : INT64_MIN, /* for a window that ended a moment ago */
    };
}

int facts_lose(struct facts *f, enum fact_loss why, int code)
{
    f->lost[why]++;
    return code;
}

/* ---- groups ---- */

static void rings_free(struct facts *f, struct fact_group *g)
{
    for (int t = 0; t < TIERS; t++)
        ring_free(&g->rings[t], g->kind, f->mem);
    mem_free(f->mem, g->memo, MEMO_WINDOWS * sizeof *g->memo);
    g->memo = NULL;
}

static void group_free(struct facts *f, struct fact_group *g)
{
    rings_free(f, g);
    mem_free(f->mem, g, g->size);
}

static void unnumber(struct fact_group *g)
{
    if (g->number != UINT32_MAX && g->list->numbers[g->number] == g)
        g->list->numbers[g->number] = NULL;
    g->number = UINT32_MAX;
}

static void group_drop(struct facts *f, struct fact_group *g)
{
    struct fact_list *l = g->list;

    unnumber(g);
    (void)map_del(&l->by_key, g->key, g->n_key);
    l->v[g->at] = l->v[--l->n];
    l->v[g->at]->at = g->at;
    group_free(f, g);
}

static struct fact_group *group_new(struct facts *f, struct fact_list *l, struct labels labels,
                                    const struct buf *key)
{
    size_t size = sizeof(struct fact_group) + labels.n * sizeof(struct label) + key->len + 1;
    struct fact_group *g;
    struct label *v;
    char *text;

    for (uint32_t i = 0; i < labels.n; i++)
        size += strlen(labels.v[i].name) + strlen(labels.v[i].value) + 2;
    g = mem_alloc(f->mem, size);
    if (!g)
        return NULL;
    *g = (struct fact_group){.facts = f, .list = l, .number = UINT32_MAX, .n_key = key->len, .size = size};
    v = (struct label *)(g + 1);
    text = (char *)(v + labels.n);
    for (uint32_t i = 0; i < labels.n; i++) {
        size_t n = strlen(labels.v[i].name) + 1, m = strlen(labels.v[i].value) + 1;

        v[i].name = memcpy(text, labels.v[i].name, n);
        v[i].value = memcpy(text + n, labels.v[i].value, m);
        text += n + m;
    }
    memcpy(text, key->data, key->len);
    g->key = text;
    g->labels = (struct labels){v, labels.n};
    return g;
}

static bool list_room(struct facts *f, struct fact_list *l)
{
    uint32_t room = l->room ? l->room * 2 : 8;
    struct fact_group **v;

    if (l->n < l->room)
        return true;
    v = mem_resize(f->mem, l->v, l->room * sizeof *v, room * sizeof *v);
    if (!v)
        return false;
    l->v = v;
    l->room = room;
    return true;
}

const struct buf *fact_key(const struct facts *f, struct labels labels)
{
    struct buf *b = &f->scratch->text;

    buf_clear(b);
    labels_text(labels, b);
    buf_u8(b, 0);
    return b->full ? NULL : b;
}

struct fact_group *fact_group_get(struct facts *f, struct fact_list *l, struct labels labels,
                                  enum fact_kind kind)
{
    const struct buf *key = fact_key(f, labels);
    struct fact_group *g = key ? map_get(&l->by_key, key->data, key->len) : NULL;

    if (g && kind != FACT_UNKNOWN &&
        g->kind != kind) { /* what it was is nothing that this one could add to */
        rings_free(f, g);
        g->kind = kind;
        g->changes = ++f->changes;
    }
    if (g || !key || l->n == GROUPS_MOST || !list_room(f, l))
        return g;
    g = group_new(f, l, labels, key);
    if (!g)
        return NULL;
    g->kind = kind;
    g->told = f->now;
    if (map_put(&l->by_key, g->key, g->n_key, g)) {
        group_free(f, g);
        return NULL;
    }
    g->at = l->n;
    l->v[l->n++] = g;
    return g;
}

static bool numbers_room(struct facts *f, struct fact_list *l, uint32_t number)
{
    uint32_t n = l->n_numbers ? l->n_numbers : 16;
    struct fact_group **v;

    if (number < l->n_numbers)
        return true;
    while (n <= number)
        n *= 2;
    v = mem_resize(f->mem, l->numbers, l->n_numbers * sizeof *v, n * sizeof *v);
    if (!v)
        return false;
    l->numbers = v;
    l->n_numbers = n;
    return true;
}

int facts_group(struct facts *f, const struct fact_group_new *n)
{
    struct fact_list *l;
    struct fact_group *g;

    if (n->selection >= f->n || n->group >= GROUPS_MOST || n->kind > FACT_SKETCH)
        return facts_lose(f, LOSS_BROKEN, ERR_LIMIT);
    l = f->lists[n->selection];
    g = numbers_room(f, l, n->group) ? fact_group_get(f, l, n->labels, n->kind) : NULL;
    if (!g)
        return facts_lose(f, LOSS_MEMORY, ERR_NOMEM);
    unnumber(g);
    if (l->numbers[n->group]) {
        l->numbers[n->group]->number = UINT32_MAX;
        l->numbers[n->group]->gone = true;
    }
    l->numbers[n->group] = g;
    g->number = n->group;
    g->gone = false;
    g->told = f->now;
    return 0;
}

static struct fact_group *by_number(const struct facts *f, uint32_t selection, uint32_t group)
{
    if (selection >= f->n || group >= f->lists[selection]->n_numbers)
        return NULL;
    return f->lists[selection]->numbers[group];
}

void facts_gone(struct facts *f, uint32_t selection, uint32_t group)
{
    struct fact_group *g = by_number(f, selection, group);

    if (!g)
        return;
    unnumber(g);
    g->gone = true;
}

/* ---- gains ---- */

/* Merges into the bytes of a slot. */
static int blob_merge(struct facts *f, struct blob **at, const struct sketch *gain)
{
    struct scratch *s = f->scratch;
    struct blob *b;
    size_t used;
    int rc = 0;

    if (*at)
        rc = sketch_decode(&s->sketch, (*at)->bytes, (*at)->n, &used, NULL);
    rc = rc ? rc : *at ? sketch_merge(&s->sketch, gain) : sketch_copy(&s->sketch, gain);
    buf_clear(&s->bytes);
    rc = rc ? rc : sketch_encode(&s->sketch, &s->bytes);
    if (rc)
        return rc;
    b = mem_alloc(f->mem, sizeof *b + s->bytes.len);
    if (!b)
        return ERR_NOMEM;
    b->n = (uint32_t)s->bytes.len;
    memcpy(b->bytes, s->bytes.data, s->bytes.len);
    if (*at)
        mem_free(f->mem, *at, sizeof **at + (*at)->n);
    *at = b;
    return 0;
}

int fact_blob_read(const struct facts *f, const struct blob *b)
{
    size_t used;

    if (!b)
        return ERR_NOTFOUND;
    return sketch_decode(&f->scratch->other, b->bytes, b->n, &used, NULL);
}

/* Finer steps in one of this tier. */
static uint32_t steps_within(enum fact_tier t)
{
    return t == TIER_STEP ? 1 : (uint32_t)(fact_tier_length(t) / fact_tier_length(t - 1));
}

int fact_tier_gain(struct facts *f, struct fact_group *g, enum fact_tier t, const struct fact_delta *d,
                   enum finer *finer)
{
    struct shape sh = fact_tier_shape(g, t);
    struct ring *r = &g->rings[t];
    int64_t step = floor_div(d->start, sh.length);
    uint32_t slot;
    bool fresh;
    int rc = ring_make(r, &sh, f->mem, step, &slot);

    if (!rc && g->kind == FACT_SKETCH && d->gain.n)
        rc = blob_merge(f, ring_blob(r, slot), d->gain.sketch);
    if (rc) {
        *finer = FINER_UNKNOWN;
        return rc;
    }
    ring_gain(r, &sh, slot, step * sh.length, &d->gain, t == d->tier, &fresh);
    if (d->gain.n && *finer != FINER_HELD)
        ring_hold(r, g->kind, slot, steps_within(t), *finer == FINER_UNKNOWN);
    *finer = fresh ? FINER_FRESH : FINER_HELD;
    return 0;
}

int fact_group_gain(struct facts *f, struct fact_group *g, const struct fact_delta *d)
{
    enum finer finer = FINER_UNKNOWN;
    bool kept = false, wanted = false;
    int worst = 0;

    for (enum fact_tier t = d->tier; t < TIERS; t++) {
        int rc;

        if (!fact_tier_reach(g->list->selection, g->kind, t))
            continue;
        wanted = true;
        rc = fact_tier_gain(f, g, t, d, &finer);
        kept |= !rc;
        if (rc && rc != ERR_RANGE)
            worst = rc;
    }
    if (worst)
        facts_lose(f, LOSS_MEMORY, worst);
    if (!wanted)
        return facts_lose(f, LOSS_COARSE, ERR_RANGE);
    if (!kept)
        return worst ? worst : facts_lose(f, LOSS_OLD, ERR_RANGE);
    f->gains++;
    g->changes = ++f->changes;
    if (d->gain.last_t > g->newest)
        g->newest = d->gain.last_t;
    return worst;
}

static bool delta_good(const struct fact_delta *d)
{
    const struct fact_bucket *b = &d->gain;
    const int64_t most = INT64_MAX / 4;

    if (d->tier >= TIERS || d->start % fact_tier_length(d->tier) || d->start > most || d->start < -most)
        return false;
    if (d->kind == FACT_SKETCH)
        return b->sketch || !b->n; /* the sketch is what counts */
    return (d->kind == FACT_GAUGE || d->kind == FACT_COUNTER) && !isnan(b->sum) && !isnan(b->last) &&
           !isnan(b->min) && !isnan(b->max);
}

int facts_gain(struct facts *f, const struct fact_delta *d)
{
    struct fact_group *g = by_number(f, d->selection, d->group);
    struct fact_delta own;

    if (!g)
        return facts_lose(f, LOSS_UNKNOWN, ERR_NOTFOUND);
    if (!delta_good(d))
        return facts_lose(f, LOSS_BROKEN, ERR_MALFORMED);
    if (g->kind == FACT_UNKNOWN)
        g->kind = d->kind;
    if (g->kind != d->kind)
        return facts_lose(f, LOSS_KIND, ERR_STATE);
    if (f->now && d->start > f->now + AHEAD_MS)
        return facts_lose(f, LOSS_FUTURE, ERR_RANGE);
    if (d->kind != FACT_SKETCH)
        return fact_group_gain(f, g, d);
    own = *d;
    own.gain.n = 0;
    if (!d->gain.sketch || !d->gain.sketch->count)
        return fact_group_gain(f, g, &own);
    own.gain.n = d->gain.sketch->count;
    own.gain.sum = sketch_sum(d->gain.sketch);
    own.gain.min = d->gain.sketch->min;
    own.gain.max = d->gain.sketch->max;
    return fact_group_gain(f, g, &own);
}

/* ---- time ---- */

static void list_sweep(struct facts *f, struct fact_list *l)
{
    int64_t oldest = f->now - span_to_ms(l->selection->reach) - FACT_STEP_MS;

    for (uint32_t i = l->n; i-- > 0;) {
        struct fact_group *g = l->v[i];

        if ((g->newest ? g->newest : g->told) >= oldest)
            continue;
        if (g->gone || l->selection->own) /* nobody says of own ones that they are gone */
            group_drop(f, g);
        else
            rings_free(f, g);
    }
    fact_own_advance(f, l);
}

void facts_advance(struct facts *f, struct wall now)
{
    int64_t step = floor_div(now.ms, FACT_STEP_MS);

    f->now = now.ms;
    if (step == f->swept)
        return;
    f->swept = step;
    for (uint32_t i = 0; i < f->n; i++)
        list_sweep(f, f->lists[i]);
}

/* ---- beginning and ending ---- */

static void list_free(struct facts *f, struct fact_list *l)
{
    if (!l)
        return;
    fact_own_free(f, l);
    for (uint32_t i = 0; i < l->n; i++)
        group_free(f, l->v[i]);
    map_free(&l->by_key);
    mem_free(f->mem, l->v, l->room * sizeof(struct fact_group *));
    mem_free(f->mem, l->numbers, l->n_numbers * sizeof(struct fact_group *));
    mem_free(f->mem, l, sizeof *l);
}

static struct fact_list *list_new(struct facts *f, const struct selection *s)
{
    struct fact_list *l = mem_alloc(f->mem, sizeof *l);

    if (!l)
        return NULL;
    l->selection = s;
    map_init(&l->by_key, f->mem, NULL);
    map_init(&l->own, f->mem, NULL);
    return l;
}

void fact_lists_free(struct facts *f, struct fact_list **v, uint32_t n)
{
    for (uint32_t i = 0; v && i < n; i++)
        list_free(f, v[i]);
    mem_free(f->mem, v, (n ? n : 1) * sizeof(struct fact_list *));
}

struct fact_list **fact_lists_new(struct facts *f, const struct selections *s)
{
    uint32_t n = selections_count(s);
    struct fact_list **v = mem_array(f->mem, n ? n : 1, sizeof *v);

    for (uint32_t i = 0; v && i < n; i++) {
        v[i] = list_new(f, selections_at(s, i));
        if (!v[i]) {
            fact_lists_free(f, v, n);
            return NULL;
        }
        v[i]->index = i;
    }
    return v;
}

struct facts *facts_new(const struct selections *s, struct mem *mem)
{
    struct facts *f = mem_alloc(mem, sizeof *f);

    if (!f)
        return NULL;
    f->mem = mem;
    f->selections = s;
    f->swept = INT64_MIN;
    f->scratch = mem_alloc(mem, sizeof *f->scratch);
    f->lists = fact_lists_new(f, s);
    if (f->scratch) {
        sketch_init(&f->scratch->sketch, mem);
        sketch_init(&f->scratch->other, mem);
        buf_init(&f->scratch->text, mem, 1 << 20);
        buf_init(&f->scratch->bytes, mem, 1 << 18);
    }
    if (f->lists)
        f->n = selections_count(s);
    if (!f->scratch || !f->lists)
        facts_free(&f);
    return f;
}

void facts_free(struct facts **fp)
{
    struct facts *f = *fp;

    if (!f)
        return;
    fact_lists_free(f, f->lists, f->n);
    if (f->scratch) {
        sketch_free(&f->scratch->sketch);
        sketch_free(&f->scratch->other);
        buf_free(&f->scratch->text);
        buf_free(&f->scratch->bytes);
        mem_free(f->mem, f->scratch, sizeof *f->scratch);
    }
    mem_free(f->mem, f, sizeof *f);
    *fp = NULL;
}
