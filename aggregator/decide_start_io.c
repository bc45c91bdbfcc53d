/* The decide thread: configuration, start and end. See decide.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "aggregator/decide_private.h"
#include "aggregator/failover/settings.h"
#include "common/daemon/daemon.h"

enum { SECRET_BYTES = 32 };

/* ---- configuration ---- */

static int read_secret(struct decide *d, const struct config *c, struct err *e)
{
    const struct section *s = config_section(c, "notify");
    struct buf text;
    int rc = 0;

    if (!option_set(s, "ack_secret"))
        return 0; /* the one of the control store */
    buf_init(&text, NULL, sizeof d->secret);
    rc = option_secret(s, "ack_secret", &text, e);
    if (rc == 0) {
        d->secret_n = text.len;
        memcpy(d->secret, text.data, text.len);
    }
    buf_free(&text);
    return rc;
}

static struct judge_params judge_params(struct decide *d, const struct config *c, const struct selections *s)
{
    return (struct judge_params){.config = c,
                                 .selections = s,
                                 .zone = zones_find,
                                 .zone_arg = d->p.zones,
                                 .mem = &d->mem,
                                 .region = d->region,
                                 .host = d->host,
                                 .ack_secret = {d->secret, d->secret_n},
                                 .seed = d->p.seed};
}

static bool wants_own(const struct selections *s)
{
    for (uint32_t i = 0; i < selections_count(s); i++) {
        if (selections_at(s, i)->own)
            return true;
    }
    return false;
}

struct reload_note {
    struct note note;
    const struct config *config;
    const struct selections *selections;
    uint32_t generation;
    struct buf *report;
    struct err *e;
    int rc;
    bool done;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
};

static void end_reload(struct reload_note *r, int rc)
{
    (void)pthread_mutex_lock(&r->mutex);
    r->rc = rc;
    r->done = true;
    (void)pthread_cond_signal(&r->cond);
    (void)pthread_mutex_unlock(&r->mutex);
}

static void drop_reload(struct note *n)
{
    end_reload((struct reload_note *)n, ERR_STATE);
}

/* When a plan has begun since decide_can_reload was asked, services stay as they are. */
static void reload_moves(struct decide *d, const struct config *c)
{
    struct err e = {0};

    if (d->moves && moves_reload(d->moves, c, &e) != 0)
        LOG(d->log, LOG_ERROR, "failover", "not all services could be changed", kv_e(&e));
    else if (!d->moves && failover_wanted(c))
        LOG0(d->log, LOG_WARN, "failover", "the first [failover] section needs a restart");
}

static void run_reload(struct decide *d, struct note *n)
{
    struct reload_note *r = (struct reload_note *)n;
    int rc = read_secret(d, r->config, r->e);

    if (!rc) {
        const struct judge_params p = judge_params(d, r->config, r->selections);

        rc = judge_reload(d->judge, &p, r->report, r->e);
        rc = rc ? ERR_NOMEM : 0;
        d->generation = r->generation;
        d->wants_own = wants_own(r->selections);
        peers_load(d, r->config);
        reload_moves(d, r->config);
        decide_run_held(d);
    }
    end_reload(r, rc);
}

static void run_can_reload(struct decide *d, struct note *n)
{
    struct reload_note *r = (struct reload_note *)n;

    end_reload(r, moves_can_reload(d->moves, r->config, r->e) ? 0 : ERR_STATE);
}

static int wait_for(struct decide *d, struct reload_note *r)
{
    decide_put(d, &r->note);
    (void)pthread_mutex_lock(&r->mutex);
    while (!r->done)
        (void)pthread_cond_wait(&r->cond, &r->mutex);
    (void)pthread_mutex_unlock(&r->mutex);
    return r->rc;
}

int decide_can_reload(struct decide *d, const struct config *c, struct err *e)
{
    struct reload_note r = {.note = {.run = run_can_reload, .drop = drop_reload},
                            .config = c,
                            .e = e,
                            .mutex = PTHREAD_MUTEX_INITIALIZER,
                            .cond = PTHREAD_COND_INITIALIZER};

    return wait_for(d, &r);
}

int decide_reload(struct decide *d, const struct config *c, const struct selections *s, uint32_t generation,
                  struct buf *report, struct err *e)
{
    struct reload_note r = {.note = {.run = run_reload, .drop = drop_reload},
                            .config = c,
                            .selections = s,
                            .generation = generation,
                            .report = report,
                            .e = e,
                            .mutex = PTHREAD_MUTEX_INITIALIZER,
                            .cond = PTHREAD_COND_INITIALIZER};

    return wait_for(d, &r);
}

int decide_reload_receivers(struct decide *d, const struct config *c, struct err *e)
{
    return teller_reload(d->teller, c, e);
}

/* ---- start ---- */

static void *run(void *arg)
{
    struct decide *d = arg;

    daemon_thread("decide");
    loop_watch(d->loop, span_ms(TICK_LATE_MS), decide_noticed, d);
    ticks_begin(&d->ticks, clock_mono());
    timer_set(d->tick, span_ms(TICK_MS));
    decide_step(d); /* what was restored takes effect before anybody can ask */
    (void)loop_run(d->loop);
    return NULL;
}

static int keep_secret(void *arg, struct bytes key, struct bytes value)
{
    struct decide *d = arg;

    if (key.n == 10 && memcmp(key.p, "ack_secret", 10) == 0 && value.n <= sizeof d->secret) {
        memcpy(d->secret, value.p, value.n);
        d->secret_n = value.n;
    }
    return 0;
}

static int make_secret(struct decide *d, struct err *e)
{
    int rc = control_load(d->control, "own", keep_secret, d, e);

    if (rc || d->secret_n)
        return rc;
    if (getrandom(d->secret, SECRET_BYTES, 0) != SECRET_BYTES)
        return err_sys(e, ERR_IO, errno, "random secret of signed links");
    d->secret_n = SECRET_BYTES;
    return 0;
}

static int restore_one(void *arg, struct bytes key, struct bytes value)
{
    const struct {
        struct decide *d;
        const char *room;
    } *r = arg;

    return judge_restore(r->d->judge, r->room, key, value);
}

static int restore(struct decide *d, struct err *e)
{
    for (int i = 0; i < JUDGE_ROOMS; i++) {
        struct {
            struct decide *d;
            const char *room;
        } r = {d, judge_rooms[i]};
        int rc = control_load(d->control, judge_rooms[i], restore_one, &r, e);

        if (rc)
            return rc;
    }
    return 0;
}

/* The first write to the control store: nothing can be loaded from it any more. */
static int store_secret(struct decide *d)
{
    const struct control_op op = {
        .kind = CONTROL_PUT, .room = "own", .key = bytes_of("ack_secret"), .value = {d->secret, d->secret_n}};

    return control_write(d->control, &op, 1, NULL, NULL);
}

static int open_rooms(struct decide *d, struct buf *report, struct err *e)
{
    const struct control_params control = {.path = d->p.control, .loop = d->loop, .log = d->log};
    const struct teller_params teller = {
        .config = d->p.config, .log = d->log, .ended = decide_ended, .arg = d};
    struct judge_params judge;
    int rc;

    d->control = control_open(&control, e);
    if (!d->control)
        return e->code;
    rc = make_secret(d, e);
    rc = rc ? rc : read_secret(d, d->p.config, e);
    if (rc)
        return rc;
    judge = judge_params(d, d->p.config, d->p.selections);
    d->judge = judge_new(&judge, report, e);
    if (!d->judge)
        return e->code;
    rc = restore(d, e);
    if (rc)
        return rc;
    rc = moves_open(d, d->p.config, &d->moves, e);
    if (rc)
        return rc;
    peers_load(d, d->p.config);
    (void)store_secret(d); /* without it links end with this process */
    d->teller = teller_start(&teller, e);
    return d->teller ? 0 : e->code;
}

static int start_thread(struct decide *d, struct err *e)
{
    int rc = pthread_create(&d->thread, NULL, run, d);

    if (rc)
        return err_sys(e, ERR_IO, rc, "decide thread");
    d->running = true;
    return 0;
}

struct decide *decide_start(const struct decide_params *p, struct buf *report, struct err *e)
{
    struct decide *d = calloc(1, sizeof *d);

    if (!d) {
        (void)err_set(e, ERR_NOMEM, "no memory");
        return NULL;
    }
    d->p = *p;
    d->log = p->log;
    d->generation = p->generation;
    d->wants_own = wants_own(p->selections);
    d->in_last = &d->in;
    d->held_last = &d->held;
    d->last = &d->first;
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_mutex_init(&d->published_lock, NULL);
    (void)pthread_mutex_init(&d->public_lock, NULL);
    (void)snprintf(d->region, sizeof d->region, "%s",
                   option_text(config_section(p->config, "aggregator"), "region"));
    if (gethostname(d->host, sizeof d->host - 1) != 0)
        (void)snprintf(d->host, sizeof d->host, "localhost");
    d->loop = loop_new(e);
    d->tick = d->loop ? timer_new(d->loop, decide_tick, d) : NULL;
    if (!d->tick)
        (void)err_set(e, ERR_NOMEM, "decide loop");
    if (!d->tick || open_rooms(d, report, e) != 0 || start_thread(d, e) != 0) {
        decide_stop(d);
        decide_free(&d);
        return NULL;
    }
    d->p.config = NULL;
    return d;
}

/* ---- stop ---- */

static void *stop_teller(void *arg)
{
    struct decide *d = arg;

    daemon_thread("teller-end");
    teller_stop(&d->going);
    return NULL;
}

/* What is being told gets its time while this thread goes on answering. */
static void end_telling(void *arg)
{
    struct decide *d = arg;

    if (d->ending)
        return;
    d->ending = true;
    d->going = d->teller;
    d->teller = NULL;
    if (!d->going)
        return;
    d->goes = pthread_create(&d->teller_thread, NULL, stop_teller, d) == 0;
    if (!d->goes)
        teller_stop(&d->going);
}

void decide_end(struct decide *d)
{
    (void)loop_post(d->loop, end_telling, d);
}

void decide_end_asking(struct decide *d)
{
    if (d->last_turn && !d->asking_own)
        loop_stop(d->loop);
}

/* Outcomes that came while the teller ended are taken in; what could not be told is told after the next start. */
static void end(void *arg)
{
    struct decide *d = arg;

    end_telling(d);
    if (d->goes)
        (void)pthread_join(d->teller_thread, NULL);
    timer_stop(d->tick);
    decide_take_in(d);
    moves_close(&d->moves);
    carry_end(d);
    d->last_turn = true;
    decide_end_asking(d); /* a view that is still to come has to go back to its thread */
}

void decide_stop(struct decide *d)
{
    struct note *n, *next;

    if (d->running) {
        (void)loop_post(d->loop, end, d);
        (void)pthread_join(d->thread, NULL);
        d->running = false;
    }
    moves_close(&d->moves);
    teller_stop(&d->teller);
    (void)pthread_mutex_lock(&d->lock);
    d->ended = true;
    n = d->in;
    d->in = NULL;
    (void)pthread_mutex_unlock(&d->lock);
    for (; n; n = next) {
        next = n->next;
        n->drop(n);
    }
    control_close(&d->control);
    carry_free(d);
}

void decide_free(struct decide **dp)
{
    struct decide *d = *dp;

    if (!d)
        return;
    for (struct note *n = d->held, *next; n; n = next) {
        next = n->next;
        n->drop(n);
    }
    peers_free(d);
    decide_public_free(d);
    judge_free(&d->judge);
    published_free(&d->published);
    timer_free(&d->tick);
    loop_free(&d->loop);
    (void)pthread_mutex_destroy(&d->lock);
    (void)pthread_mutex_destroy(&d->published_lock);
    (void)pthread_mutex_destroy(&d->public_lock);
    free(d);
    *dp = NULL;
}
