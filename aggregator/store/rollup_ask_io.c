/* Answering a question about stored steps: see answer.h. What is stored, and what the question
 * brings of gains that are not stored yet. */
#include "aggregator/store/rollup.h"

#include <stdlib.h>
#include <string.h>

#include "aggregator/store/answer.h"

enum { MOST_STORED = 20000, FEW = 64 };

struct stored_group {
    int64_t id;
    char *key; /* canonical text of all its labels */
    struct answer_group *to;
    struct chunk steps; /* by number of the step in the window */
};

struct asking {
    struct rollup *r;
    struct db *db;
    struct answer a;
    struct stored_group *groups; /* by id */
    uint32_t n, room;
    struct map by_key;
    struct chunk *into; /* the group that is read */
    struct err *e;
};

static int consider(void *arg, const struct rollup_group *g)
{
    struct asking *k = arg;

    return answer_consider(&k->a, g->selection, g->metric, g->match, g->by);
}

static char *key_of(struct asking *k, struct labels l)
{
    struct buf *b = &k->r->text;

    buf_clear(b);
    labels_text(l, b);
    return b->full ? NULL : arena_text(&k->a.arena, (const char *)b->data, b->len);
}

static int collect(void *arg, const struct rollup_group *g)
{
    struct asking *k = arg;
    struct stored_group *v;

    if (!answer_wants(&k->a, g->selection, g->labels))
        return 0;
    if (k->n == MOST_STORED)
        return err_set(k->e, ERR_LIMIT, "more than %d stored groups: give matchers", MOST_STORED);
    if (k->n == k->room) {
        v = realloc(k->groups, (k->room + 256) * sizeof *v);
        if (!v)
            return err_set(k->e, ERR_NOMEM, "no memory for the answer");
        k->groups = v;
        k->room += 256;
    }
    v = &k->groups[k->n];
    *v = (struct stored_group){.id = g->id, .to = answer_group(&k->a, g->labels, g->kind, k->e)};
    v->key = key_of(k, g->labels);
    if (!v->to || !v->key)
        return v->to ? ERR_NOMEM : k->e->code;
    if (v->to->steps.kind != g->kind)
        return 0; /* the same labels under another kind: the first one is told */
    chunk_init(&v->steps, g->kind, NULL);
    k->n++;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const struct stored_group *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

static int add(struct asking *k, struct chunk *to, int64_t start, const struct fact_bucket *b, bool finer)
{
    if (start < k->a.from || start >= k->a.to)
        return 0;
    return chunk_add(to, (start - k->a.from) / k->a.step, b, finer) ? err_set(k->e, ERR_NOMEM, "no memory")
                                                                    : 0;
}

static int on_step(void *arg, int64_t start, enum fact_kind kind, const struct fact_bucket *b)
{
    struct asking *k = arg;

    return kind == k->into->kind ? add(k, k->into, start, b, k->a.step > tier_length(k->a.tier)) : 0;
}

/* A row adds to a step of the finest tier; in a longer one its series may be the same. */
static int on_gain(void *arg, int64_t start, enum fact_kind kind, const struct fact_bucket *b)
{
    struct asking *k = arg;

    return kind == k->into->kind ? add(k, k->into, start, b, k->a.step > FACT_STEP_MS) : 0;
}

static int on_row(void *arg, int64_t id, int64_t start, enum fact_kind kind, const struct fact_bucket *b)
{
    struct asking *k = arg;
    struct stored_group key = {.id = id}, *g = bsearch(&key, k->groups, k->n, sizeof key, by_id);

    k->into = g ? &g->steps : NULL;
    return g ? on_gain(k, start, kind, b) : 0;
}

static int read_stored(struct asking *k)
{
    int rc = rollup_groups(k->r, k->db, consider, k, k->e);

    if (rc == 0)
        rc = rollup_groups(k->r, k->db, collect, k, k->e);
    if (rc != 0)
        return rc;
    if (k->n > 1)
        qsort(k->groups, k->n, sizeof *k->groups, by_id);
    for (uint32_t i = 0; i < k->n && rc == 0; i++) {
        if (map_put(&k->by_key, k->groups[i].key, strlen(k->groups[i].key), &k->groups[i]) != 0)
            return err_set(k->e, ERR_NOMEM, "no memory for the answer");
        k->into = &k->groups[i].steps;
        rc = rollup_chunks(k->r, k->db, k->groups[i].id, k->a.tier, k->a.from, k->a.to, on_step, k, k->e);
        if (rc == 0 && k->n <= FEW)
            rc = rollup_rows_of(k->r, k->db, k->groups[i].id, k->a.from, k->a.to, on_gain, k, k->e);
    }
    return rc || k->n <= FEW ? rc : rollup_rows(k->r, k->db, k->a.from, on_row, k, k->e);
}

/* ---- what is not stored yet ---- */

struct pending {
    struct asking *k;
    struct answer_group
        *to; /* of the group named last; NULL: not asked for, or its steps go on in what is stored */
    struct chunk steps;
};

static int pending_choice(void *arg, const struct history_group *g)
{
    struct pending *p = arg;

    return answer_consider(&p->k->a, g->selection, g->metric, g->match, g->by);
}

static int pending_end(struct pending *p)
{
    int rc = p->to ? answer_add(&p->k->a, p->to, &p->steps, p->k->e) : 0;

    chunk_free(&p->steps);
    p->to = NULL;
    p->k->into = NULL;
    return rc;
}

static int pending_group(void *arg, const struct history_group *g)
{
    struct pending *p = arg;
    struct asking *k = p->k;
    struct stored_group *had;
    int rc = pending_end(p);
    char *key;

    if (rc != 0 || !answer_wants(&k->a, g->selection, g->labels))
        return rc;
    key = key_of(k, g->labels);
    if (!key)
        return err_set(k->e, ERR_NOMEM, "no memory for the answer");
    had = map_get(&k->by_key, key, strlen(key));
    if (had) {
        k->into = &had->steps;
        return 0;
    }
    p->to = answer_group(&k->a, g->labels, g->kind, k->e);
    if (!p->to)
        return k->e->code;
    chunk_init(&p->steps, g->kind, NULL);
    k->into = p->to->steps.kind == g->kind ? &p->steps : NULL;
    return 0;
}

static int pending_gain(void *arg, int64_t start, enum fact_kind kind, const struct fact_bucket *b)
{
    struct pending *p = arg;

    return p->k->into ? on_gain(p->k, start, kind, b) : 0;
}

static int finish(struct asking *k, struct bytes pending)
{
    struct pending p = {.k = k};
    int rc = rollup_read_ops(k->r, pending, pending_group, pending_gain, &p, k->e);

    if (rc == 0)
        rc = pending_end(&p);
    chunk_free(&p.steps);
    for (uint32_t i = 0; i < k->n && rc == 0; i++)
        rc = answer_add(&k->a, k->groups[i].to, &k->groups[i].steps, k->e);
    return rc;
}

int rollup_ask(struct rollup *r, struct db *db, const struct history_ask *q, struct bytes pending,
               struct buf *out, struct err *e)
{
    struct asking k = {.r = r, .db = db, .e = e};
    struct pending p = {.k = &k};
    int rc = answer_init(&k.a, q, e);

    map_init(&k.by_key, NULL, NULL);
    if (rc == 0)
        rc = rollup_read_ops(r, pending, pending_choice, NULL, &p, e);
    if (rc == 0)
        rc = read_stored(&k);
    if (rc == 0)
        rc = finish(&k, pending);
    if (rc == 0)
        rc = answer_write(&k.a, out, e);
    for (uint32_t i = 0; i < k.n; i++)
        chunk_free(&k.groups[i].steps);
    free(k.groups);
    map_free(&k.by_key);
    answer_free(&k.a);
    return rc;
}
