/* Questions about the past: from the asker's loop to the ingest thread, which adds what is not stored yet, to the
 * store's thread, and back the same way. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/ingest/ingest_private.h"

enum { ARENA_CAP = 1 << 20 };

struct past {
    struct ingest *g;
    struct arena arena; /* of the question */
    struct history_ask q;
    struct loop *loop;
    history_answer done;
    void *arg;
    int code;
    struct buf json;
    struct err e;
};

static void past_free(struct past *p)
{
    arena_free(&p->arena);
    buf_free(&p->json);
    free(p);
}

static void deliver(void *arg)
{
    struct past *p = arg;

    p->done(p->arg, p->code, &p->json, &p->e);
    past_free(p);
}

static void answer(struct past *p, int code)
{
    p->code = code;
    if (loop_post(p->loop, deliver, p) != 0)
        past_free(p);
}

static void answered(void *arg, int code, struct buf *json, const struct err *e)
{
    struct past *p = arg;

    if (code == 0) {
        p->json = *json;
        buf_init(json, NULL, 0);
    }
    p->e = *e;
    answer(p, code);
}

static int put_group(void *arg, const struct series_group *from)
{
    history_pending_group(arg, &(struct history_group){.kind = from->kind,
                                                       .selection = from->selection.text,
                                                       .metric = from->selection.metric,
                                                       .match = from->selection.match,
                                                       .by = from->selection.by,
                                                       .env = from->env,
                                                       .labels = from->labels});
    return 0;
}

static int put_gain(void *arg, uint32_t handle, enum fact_kind kind, int64_t start,
                    const struct fact_bucket *gain)
{
    (void)handle;
    return history_pending_gain(arg, kind, start, gain);
}

/* A set under way is in the store before this question is read. */
static void ask(void *arg)
{
    struct past *p = arg;
    struct ingest *g = p->g;
    struct history_pending *pending;
    int rc;

    if (!atomic_load(&g->ready) || g->stopping) {
        answer(p, err_set(&p->e, ERR_AGAIN, "the aggregator is not ready"));
        return;
    }
    pending = history_pending_new();
    rc = pending
             ? series_pending(g->series, p->q.metric, &(struct series_gains){put_group, put_gain, pending})
             : ERR_NOMEM;
    if (rc != 0) {
        history_pending_free(&pending);
        answer(p, err_set(&p->e, rc, "no memory for the question"));
        return;
    }
    p->q.now = loop_wall(g->loop);
    memcpy(p->q.keep, g->retention.dflt, sizeof p->q.keep);
    rc = history_ask(g->history, &p->q, &pending, answered, p, &p->e);
    if (rc != 0)
        answer(p, rc);
}

static const double *numbers(struct arena *a, const double *v, uint32_t n)
{
    double *out = arena_array(a, n ? n : 1, sizeof *out);

    if (out && n)
        memcpy(out, v, n * sizeof *out);
    return out;
}

static bool copy(struct past *p, const struct history_ask *q)
{
    const char **by = arena_array(&p->arena, q->n_by ? q->n_by : 1, sizeof *by);

    p->q = *q;
    p->q.metric = arena_text(&p->arena, q->metric, strlen(q->metric));
    p->q.match = arena_text(&p->arena, q->match, strlen(q->match));
    p->q.quantiles = numbers(&p->arena, q->quantiles, q->n_quantiles);
    p->q.le = numbers(&p->arena, q->le, q->n_le);
    p->q.by = by;
    for (uint32_t i = 0; i < q->n_by && by; i++) {
        by[i] = arena_text(&p->arena, q->by[i], strlen(q->by[i]));
        if (!by[i])
            return false;
    }
    return by && p->q.metric && p->q.match && p->q.quantiles && p->q.le;
}

int ingest_history(struct ingest *g, const struct history_ask *q, struct loop *loop, history_answer done,
                   void *done_arg, struct err *e)
{
    struct past *p = calloc(1, sizeof *p);
    int rc;

    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for the question");
    p->g = g;
    p->loop = loop;
    p->done = done;
    p->arg = done_arg;
    arena_init(&p->arena, NULL, ARENA_CAP);
    buf_init(&p->json, NULL, 0);
    rc = copy(p, q) ? loop_post(g->loop, ask, p) : ERR_NOMEM;
    if (rc != 0) {
        past_free(p);
        return err_set(e, rc, "the aggregator cannot be asked now");
    }
    return 0;
}
