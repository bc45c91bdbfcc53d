/* What is stored, told at start: see history.h. Each time is told once. Where facts keep steps of 10 s it is in
 * these, before that in minutes, hours, days; rows that are not folded yet add to the step, minute … that is told
 * for their time. */
#include "aggregator/store/history_private.h"

enum { STEP_REACH_MS = 45 * FACT_MINUTE_MS, MINUTE_REACH_MS = 73 * FACT_HOUR_MS };

struct loading {
    struct history *h;
    struct db *db;
    int64_t now, from[TIERS]; /* a tier is told from here on, up to the next finer one's */
    struct span (*reach)(void *arg, uint32_t handle);
    int (*fn)(void *arg, const struct history_step *s);
    int (*group)(void *arg, const struct history_group *g, uint32_t *handle);
    void *arg;
    uint32_t handle;
    enum fact_tier tier;
    struct err *e;
};

static int on_group(void *arg, const struct rollup_group *g)
{
    struct loading *l = arg;
    struct history_group out = {.kind = g->kind,
                                .selection = g->selection,
                                .metric = g->metric,
                                .match = g->match,
                                .by = g->by,
                                .env = g->env,
                                .labels = g->labels};
    uint32_t handle = 0;
    int rc = l->group(l->arg, &out, &handle);

    if (rc != 1)
        return rc;
    return rollup_bind(l->h->rollup, handle, g->id) ? err_set(l->e, ERR_NOMEM, "history: no memory") : 0;
}

int history_load_groups(struct history *h,
                        int (*fn)(void *arg, const struct history_group *g, uint32_t *handle), void *arg,
                        struct err *e)
{
    struct loading l = {.h = h, .group = fn, .arg = arg, .e = e};

    return rollup_groups(h->rollup, store_db(h->store), on_group, &l, e);
}

static int64_t cut(int64_t t, int64_t length)
{
    return t - (t % length + length) % length;
}

static int on_step(void *arg, int64_t start, enum fact_kind kind, const struct fact_bucket *b)
{
    struct loading *l = arg;

    return l->fn(l->arg, &(struct history_step){l->handle, kind, l->tier, start, b});
}

/* What stands in chunks of one group. */
static int load_group(struct loading *l, uint32_t handle)
{
    int64_t first = l->now - span_to_ms(l->reach(l->arg, handle)), until = INT64_MAX;
    int rc = 0;

    l->handle = handle;
    for (int t = TIER_STEP; t < TIERS && rc == 0 && until > first; t++) {
        int64_t from = l->from[t] > first ? l->from[t] : cut(first, tier_length((enum fact_tier)t));

        l->tier = (enum fact_tier)t;
        rc = rollup_chunks(l->h->rollup, l->db, l->h->rollup->ids[handle], l->tier, from, until, on_step, l,
                           l->e);
        until = from;
    }
    return rc;
}

/* Handles of groups by id, dense enough to be an array. */
struct back {
    struct loading *l;
    uint32_t *handles; /* + 1 */
    int64_t n;
};

static int on_row(void *arg, int64_t id, int64_t start, enum fact_kind kind, const struct fact_bucket *b)
{
    struct back *k = arg;
    struct loading *l = k->l;
    uint32_t handle = id > 0 && id < k->n ? k->handles[id] : 0;
    int t = TIER_STEP;

    if (handle == 0 || start < l->now - span_to_ms(l->reach(l->arg, handle - 1)))
        return 0;
    while (t < TIER_DAY && start < l->from[t])
        t++;
    return l->fn(l->arg, &(struct history_step){handle - 1, kind, (enum fact_tier)t,
                                                cut(start, tier_length((enum fact_tier)t)), b});
}

static int load_rows(struct loading *l)
{
    struct rollup *r = l->h->rollup;
    struct back k = {.l = l};
    int64_t first = l->now;
    int rc;

    for (uint32_t i = 0; i < r->n_ids; i++) {
        k.n = r->ids[i] >= k.n ? r->ids[i] + 1 : k.n;
        if (r->ids[i]) {
            int64_t from = l->now - span_to_ms(l->reach(l->arg, i));

            first = from < first ? from : first;
        }
    }
    k.handles = k.n > 1 ? mem_array(NULL, (size_t)k.n, sizeof *k.handles) : NULL;
    if (!k.handles)
        return k.n > 1 ? err_set(l->e, ERR_NOMEM, "history: no memory") : 0;
    for (uint32_t i = 0; i < r->n_ids; i++) {
        if (r->ids[i])
            k.handles[r->ids[i]] = i + 1;
    }
    rc = rollup_rows(r, l->db, first, on_row, &k, l->e);
    mem_free(NULL, k.handles, (size_t)k.n * sizeof *k.handles);
    return rc;
}

int history_load_steps(struct history *h, struct wall now, struct span (*reach)(void *arg, uint32_t handle),
                       int (*fn)(void *arg, const struct history_step *s), void *arg, struct err *e)
{
    struct loading l = {
        .h = h, .db = store_db(h->store), .now = now.ms, .reach = reach, .fn = fn, .arg = arg, .e = e};
    int rc = 0;

    l.from[TIER_STEP] = cut(now.ms - STEP_REACH_MS, FACT_MINUTE_MS);
    l.from[TIER_MINUTE] = cut(now.ms - MINUTE_REACH_MS, FACT_HOUR_MS);
    l.from[TIER_HOUR] = l.from[TIER_DAY] = INT64_MIN;
    for (uint32_t i = 0; i < h->rollup->n_ids && rc == 0; i++) {
        if (h->rollup->ids[i])
            rc = load_group(&l, i);
    }
    return rc ? rc : load_rows(&l);
}
