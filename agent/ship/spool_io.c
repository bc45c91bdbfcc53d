/* The spool's thread: requests of the loop are carried out in order against the store, answers come back as
 * posts to the loop. So a slow fsync delays no sample. Totals are copied under the lock after each request;
 * what is queued counts as in memory, so the balance holds at every moment. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ship/spool.h"
#include "common/daemon/daemon.h"
#include "common/daemon/log.h"
#include "common/net/loop.h"

enum op {
    OP_PUT,
    OP_LOST,
    OP_FRONT,
    OP_ACK,
    OP_DROP,
    OP_DEAD,
    OP_DEFS,
    OP_RENUMBER,
    OP_VERIFY,
    OP_DROP_ALL,
    OP_STOP
};

struct request {
    struct request *next;
    struct spool *spool;
    enum op op;
    spool_done done;
    void *arg;
    uint64_t epoch, seq;
    enum spool_drop why;
    uint64_t values;
    uint64_t refused[SPOOL_REFUSALS];
    bool dies;                /* a dead letter */
    struct spool_death death; /* its texts are these: */
    char reason[64], error[256];
    uint32_t n;
    struct wire_hash *hashes; /* owned */
    struct batch batch;       /* its bytes are owned, in `copy` */
    uint8_t *copy;
    struct spool_answer answer;
    struct buf bytes;
};

struct spool {
    struct spool_params p;
    struct spool_store *store; /* the thread's */
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t more;
    struct request *head, *tail;
    struct spool_totals totals; /* of the store, as of the last request */
    struct spool_count queued;  /* puts that wait */
    uint64_t requests;          /* that wait or are being carried out */
    /* the loop's own */
    uint64_t epoch, next_seq;
    uint64_t known_troubles;
    bool known_disk;
    bool closing;
};

static void free_request(struct request *r)
{
    free(r->hashes);
    free(r->copy);
    buf_free(&r->bytes);
    free(r);
}

static void carry_out(struct spool_store *s, struct request *r)
{
    struct spool_answer *a = &r->answer;

    switch (r->op) {
    case OP_PUT: spool_store_put(s, &r->batch); break;
    case OP_LOST: spool_store_lost(s, r->why, r->values); break;
    case OP_FRONT: a->code = spool_store_front(s, &a->item, &r->bytes); break;
    case OP_ACK: (void)spool_store_ack(s, r->epoch, r->seq, r->refused); break;
    case OP_DROP: (void)spool_store_drop(s, r->epoch, r->seq, r->why, r->dies ? &r->death : NULL); break;
    case OP_DEAD: a->code = spool_store_dead(s, &r->bytes, &a->err); break;
    case OP_DEFS: a->code = spool_store_defs(s, r->hashes, r->n, &r->bytes, &a->found, &a->err); break;
    case OP_RENUMBER: a->code = spool_store_renumber(s, r->epoch, &a->err); break;
    case OP_VERIFY: a->code = spool_store_verify(s, &a->checked, &a->err); break;
    case OP_DROP_ALL: spool_store_drop_all(s, r->why); break;
    case OP_STOP: spool_store_finish(s); break;
    }
    a->bytes = buf_bytes(&r->bytes);
}

/* Says what changed about the disk, once per change. */
static void tell(struct spool *s, const struct spool_totals *t)
{
    if (t->troubles > s->known_troubles && (s->known_disk != t->disk || t->disk))
        LOG(s->p.log, LOG_ERROR, "spool",
            t->disk ? "the spool was damaged" : "the disk refuses: batches stay in memory",
            kv_s("error", t->trouble), kv_u("epoch", t->epoch));
    if (!s->known_disk && t->disk)
        LOG(s->p.log, LOG_INFO, "spool", "the disk takes batches again", kv_u("batches", t->spooled.batches));
    s->known_troubles = t->troubles;
    s->known_disk = t->disk;
}

/* On the loop. */
static void finished(void *arg)
{
    struct request *r = arg;
    struct spool *s = r->spool;
    struct spool_totals t;

    (void)pthread_mutex_lock(&s->lock);
    t = s->totals;
    (void)pthread_mutex_unlock(&s->lock);
    if (t.epoch != s->epoch) {
        s->epoch = t.epoch;
        s->next_seq = t.next_seq;
    } else if (t.next_seq > s->next_seq) {
        s->next_seq = t.next_seq;
    }
    if (!s->closing) {
        tell(s, &t);
        if (r->done)
            r->done(r->arg, &r->answer);
        if (s->p.changed)
            s->p.changed(s->p.arg);
    }
    free_request(r);
}

static void *work(void *arg)
{
    struct spool *s = arg;
    bool stop = false;

    daemon_thread("spool");
    while (!stop) {
        struct request *r;

        (void)pthread_mutex_lock(&s->lock);
        while (!s->head)
            (void)pthread_cond_wait(&s->more, &s->lock);
        r = s->head;
        s->head = r->next;
        if (!s->head)
            s->tail = NULL;
        (void)pthread_mutex_unlock(&s->lock);
        carry_out(s->store, r);
        stop = r->op == OP_STOP;
        (void)pthread_mutex_lock(&s->lock);
        if (!stop) /* what the end made of it is told by spool_free */
            s->totals = *spool_store_totals(s->store);
        s->requests--;
        if (r->op == OP_PUT) {
            s->queued.batches--;
            s->queued.values -= r->batch.values;
        }
        (void)pthread_mutex_unlock(&s->lock);
        if (stop || loop_post(s->p.loop, finished, r) != 0)
            free_request(r);
    }
    return NULL;
}

static struct request *request(struct spool *s, enum op op, spool_done done, void *arg)
{
    struct request *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    *r = (struct request){.spool = s, .op = op, .done = done, .arg = arg};
    buf_init(&r->bytes, NULL, WIRE_MAX_BODY);
    return r;
}

static int submit(struct spool *s, struct request *r)
{
    if (!r)
        return ERR_NOMEM;
    (void)pthread_mutex_lock(&s->lock);
    if (s->tail)
        s->tail->next = r;
    else
        s->head = r;
    s->tail = r;
    s->requests++;
    if (r->op == OP_PUT) {
        s->queued.batches++;
        s->queued.values += r->batch.values;
    }
    (void)pthread_cond_signal(&s->more);
    (void)pthread_mutex_unlock(&s->lock);
    return 0;
}

struct spool *spool_new(const struct spool_params *p, struct err *e)
{
    struct spool *s = calloc(1, sizeof *s);

    if (!s) {
        (void)err_set(e, ERR_NOMEM, "no memory for the spool");
        return NULL;
    }
    s->p = *p;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->more, NULL);
    s->store = spool_store_open(&p->store);
    if (!s->store) {
        (void)err_set(e, ERR_NOMEM, "no memory for the spool");
        spool_free(&s);
        return NULL;
    }
    s->totals = *spool_store_totals(s->store);
    s->epoch = s->totals.epoch;
    s->next_seq = s->totals.next_seq;
    s->known_disk = true;
    tell(s, &s->totals);
    if (pthread_create(&s->thread, NULL, work, s) != 0) {
        (void)err_set(e, ERR_IO, "no thread for the spool");
        spool_free(&s);
        return NULL;
    }
    s->running = true;
    return s;
}

/* What the disk did not take at the end: it could not take the count either. */
static void tell_lost(struct spool *s)
{
    const struct spool_count *c = &spool_store_totals(s->store)->dropped[SPOOL_DROP_SHUTDOWN];
    uint64_t before = s->totals.dropped[SPOOL_DROP_SHUTDOWN].batches;

    if (c->batches > before)
        LOG(s->p.log, LOG_ERROR, "spool", "batches in memory alone are lost",
            kv_u("batches", c->batches - before),
            kv_u("values", c->values - s->totals.dropped[SPOOL_DROP_SHUTDOWN].values),
            kv_s("error", spool_store_totals(s->store)->trouble));
}

void spool_free(struct spool **sp)
{
    struct spool *s = *sp;

    if (!s)
        return;
    s->closing = true;
    if (s->running) {
        struct request *r = request(s, OP_STOP, NULL, NULL);

        if (submit(s, r) == 0)
            (void)pthread_join(s->thread, NULL);
        tell_lost(s);
    }
    spool_store_close(&s->store);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->more);
    free(s);
    *sp = NULL;
}

void spool_next(const struct spool *s, uint64_t *epoch, uint64_t *seq, uint64_t *low)
{
    struct spool_totals t = spool_totals(s);

    *epoch = s->epoch;
    *seq = s->next_seq;
    *low = t.epoch == s->epoch && t.low < s->next_seq ? t.low : 1;
    if (t.epoch == s->epoch && t.low >= s->next_seq)
        *low = s->next_seq;
}

/* All bytes of a batch in one block, the views pointing into it. */
static bool copy_batch(struct request *r, const struct batch *b)
{
    size_t n = b->frame.n + b->n_defs * sizeof *b->defs, at;
    struct batch_def *defs;

    for (uint32_t i = 0; i < b->n_defs; i++)
        n += b->defs[i].value.n;
    r->copy = malloc(n);
    if (!r->copy)
        return false;
    defs = (struct batch_def *)(void *)r->copy;
    at = b->n_defs * sizeof *defs;
    r->batch = *b;
    r->batch.defs = defs;
    memcpy(r->copy + at, b->frame.p, b->frame.n);
    r->batch.frame.p = r->copy + at;
    at += b->frame.n;
    for (uint32_t i = 0; i < b->n_defs; i++) {
        memcpy(r->copy + at, b->defs[i].value.p, b->defs[i].value.n);
        defs[i] = (struct batch_def){b->defs[i].hash, {r->copy + at, b->defs[i].value.n}};
        at += b->defs[i].value.n;
    }
    return true;
}

int spool_put(struct spool *s, const struct batch *b, struct err *e)
{
    struct request *r = request(s, OP_PUT, NULL, NULL);

    if (!r || !copy_batch(r, b)) {
        if (r)
            free_request(r);
        return err_set(e, ERR_NOMEM, "no memory to hand a batch to the spool");
    }
    s->next_seq = b->seq + 1;
    return submit(s, r);
}

void spool_lost(struct spool *s, enum spool_drop why, uint64_t values)
{
    struct request *r = request(s, OP_LOST, NULL, NULL);

    if (!r)
        return;
    r->why = why;
    r->values = values;
    (void)submit(s, r);
}

int spool_front(struct spool *s, spool_done done, void *arg)
{
    return submit(s, request(s, OP_FRONT, done, arg));
}

int spool_ack(struct spool *s, uint64_t epoch, uint64_t seq, const uint64_t refused[SPOOL_REFUSALS])
{
    struct request *r = request(s, OP_ACK, NULL, NULL);

    if (!r)
        return ERR_NOMEM;
    r->epoch = epoch;
    r->seq = seq;
    memcpy(r->refused, refused, sizeof r->refused);
    return submit(s, r);
}

int spool_drop(struct spool *s, uint64_t epoch, uint64_t seq, enum spool_drop why,
               const struct spool_death *death)
{
    struct request *r = request(s, OP_DROP, NULL, NULL);

    if (!r)
        return ERR_NOMEM;
    r->epoch = epoch;
    r->seq = seq;
    r->why = why;
    if (death) {
        r->dies = true;
        (void)snprintf(r->reason, sizeof r->reason, "%s", death->reason ? death->reason : "");
        (void)snprintf(r->error, sizeof r->error, "%s", death->error ? death->error : "");
        r->death = (struct spool_death){
            .at = death->at, .status = death->status, .reason = r->reason, .error = r->error};
    }
    return submit(s, r);
}

int spool_dead(struct spool *s, spool_done done, void *arg)
{
    return submit(s, request(s, OP_DEAD, done, arg));
}

int spool_defs(struct spool *s, const struct wire_hash *h, uint32_t n, spool_done done, void *arg)
{
    struct request *r = request(s, OP_DEFS, done, arg);

    if (!r)
        return ERR_NOMEM;
    r->hashes = calloc(n ? n : 1, sizeof *h);
    if (!r->hashes) {
        free_request(r);
        return ERR_NOMEM;
    }
    memcpy(r->hashes, h, n * sizeof *h);
    r->n = n;
    return submit(s, r);
}

int spool_renumber(struct spool *s, uint64_t epoch, spool_done done, void *arg)
{
    struct request *r = request(s, OP_RENUMBER, done, arg);

    if (r)
        r->epoch = epoch;
    return submit(s, r);
}

int spool_verify(struct spool *s, spool_done done, void *arg)
{
    return submit(s, request(s, OP_VERIFY, done, arg));
}

int spool_drop_all(struct spool *s, enum spool_drop why, spool_done done, void *arg)
{
    struct request *r = request(s, OP_DROP_ALL, done, arg);

    if (r)
        r->why = why;
    return submit(s, r);
}

struct spool_totals spool_totals(const struct spool *s)
{
    struct spool *w = (struct spool *)(uintptr_t)s; /* the lock alone */
    struct spool_totals t;

    (void)pthread_mutex_lock(&w->lock);
    t = s->totals;
    t.produced.batches += s->queued.batches;
    t.produced.values += s->queued.values;
    t.in_memory.batches += s->queued.batches;
    t.in_memory.values += s->queued.values;
    (void)pthread_mutex_unlock(&w->lock);
    return t;
}

bool spool_idle(const struct spool *s)
{
    struct spool *w = (struct spool *)(uintptr_t)s;
    bool idle;

    (void)pthread_mutex_lock(&w->lock);
    idle = s->requests == 0;
    (void)pthread_mutex_unlock(&w->lock);
    return idle;
}
