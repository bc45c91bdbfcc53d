/* A question about the past, to the store's thread and back: see history.h. A question
 * that fails makes no transaction fail: others may stand in the same one. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/store/answer.h"
#include "aggregator/store/history_private.h"

enum { MOST_PENDING = 256 << 20, MOST_JSON = 64 << 20 };

struct history_pending {
    struct buf ops;
};

struct history_pending *history_pending_new(void)
{
    struct history_pending *p = calloc(1, sizeof *p);

    if (p)
        buf_init(&p->ops, NULL, MOST_PENDING);
    return p;
}

void history_pending_free(struct history_pending **p)
{
    if (!*p)
        return;
    buf_free(&(*p)->ops);
    free(*p);
    *p = NULL;
}

void history_pending_group(struct history_pending *p, const struct history_group *g)
{
    rollup_put_group(&p->ops, g);
}

int history_pending_gain(struct history_pending *p, enum fact_kind kind, int64_t start,
                         const struct fact_bucket *b)
{
    return rollup_put_gain(&p->ops, 0, kind, start, b);
}

struct question {
    struct store_job job;
    struct history *history;
    struct arena arena; /* of the copy */
    struct history_ask q;
    struct history_pending *pending;
    struct buf json;
    history_answer done;
    void *arg;
    int code;
    struct err e;
};

static void question_free(struct question *x)
{
    history_pending_free(&x->pending);
    buf_free(&x->json);
    arena_free(&x->arena);
    free(x);
}

static int run_question(struct db *db, struct store_job *job, struct err *e)
{
    struct question *x = (struct question *)job;

    x->code = rollup_ask(x->history->rollup, db, &x->q, buf_bytes(&x->pending->ops), &x->json, &x->e);
    if (x->code == ERR_MALFORMED) /* the file is damaged: the question itself was looked at before */
        return err_set(e, x->code, "%s", x->e.text);
    return 0;
}

static void done_question(struct store_job *job, int code)
{
    struct question *x = (struct question *)job;

    if (code != 0 && x->code == 0)
        x->code = err_set(&x->e, code, "the history cannot be read now");
    x->done(x->arg, x->code, &x->json, &x->e);
    question_free(x);
}

static const double *copy_numbers(struct arena *a, const double *v, uint32_t n)
{
    double *out = arena_array(a, n ? n : 1, sizeof *out);

    if (out && n)
        memcpy(out, v, n * sizeof *out);
    return out;
}

static bool copy_question(struct question *x, const struct history_ask *q)
{
    const char **by = arena_array(&x->arena, q->n_by ? q->n_by : 1, sizeof *by);

    x->q = *q;
    x->q.metric = arena_text(&x->arena, q->metric, strlen(q->metric));
    x->q.match = arena_text(&x->arena, q->match, strlen(q->match));
    x->q.quantiles = copy_numbers(&x->arena, q->quantiles, q->n_quantiles);
    x->q.le = copy_numbers(&x->arena, q->le, q->n_le);
    x->q.by = by;
    for (uint32_t i = 0; i < q->n_by && by; i++) {
        by[i] = arena_text(&x->arena, q->by[i], strlen(q->by[i]));
        if (!by[i])
            return false;
    }
    return by && x->q.metric && x->q.match && x->q.quantiles && x->q.le;
}

/* A mistake in the question is the asker's, and told at once. */
static int check(const struct history_ask *q, struct err *e)
{
    struct answer a;
    int rc = answer_init(&a, q, e);

    answer_free(&a);
    return rc;
}

int history_ask(struct history *h, const struct history_ask *q, struct history_pending **p,
                history_answer done, void *arg, struct err *e)
{
    struct question *x = *p && !(*p)->ops.full ? calloc(1, sizeof *x) : NULL;
    int rc;

    if (!x) {
        history_pending_free(p);
        return err_set(e, ERR_NOMEM, "no memory for the question");
    }
    x->job = (struct store_job){.run = run_question, .done = done_question, .bytes = (*p)->ops.len};
    x->history = h;
    x->pending = *p;
    *p = NULL;
    x->done = done;
    x->arg = arg;
    arena_init(&x->arena, NULL, 1 << 20);
    buf_init(&x->json, NULL, MOST_JSON);
    rc = copy_question(x, q) ? check(&x->q, e) : err_set(e, ERR_NOMEM, "no memory for the question");
    if (rc == 0 && (rc = store_submit(h->store, &x->job)) != 0)
        (void)err_set(e, rc, "the history cannot be asked now");
    if (rc != 0)
        question_free(x);
    return rc;
}
