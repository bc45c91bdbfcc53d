/* Actions in workers: one thread for each run, answered on the loop at the latest at its deadline. See action.h.
 *
 * Ownership: the table is the configuration's and is swapped as a whole by a reload; a run holds its action, which lives
 * until its last run has come back. What is under way, and the counters, belong to the name and outlive reloads: an apply
 * that is stuck in its worker keeps its name closed, whatever the configuration says meanwhile, since it may still change
 * something. A driver is given a little less time than the caller waits, so that its own words come first. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/actions/action.h"
#include "common/base/arena.h"
#include "common/config/copies.h"
#include "common/config/text.h"

enum { WORKERS_MOST = 64, QUESTIONS_MOST = 3, SECRETS_MOST = 8, NAME_MOST = 64, ORDER_MOST = 4096 };

struct slot { /* of one name, until the end */
    struct slot *next;
    char name[NAME_MOST + 1];
    bool changing, stuck; /* an apply or undo is in its worker; past its deadline */
    unsigned questions;   /* others in their workers */
    uint64_t runs[ACTION_OPS][ACTION_CLASSES];
    int64_t ns[ACTION_OPS];
};

struct act {
    atomic_uint refs; /* the table, and each run */
    struct slot *slot;
    const struct action_driver *driver;
    struct action_target *target;
    char *secrets[SECRETS_MOST];
};

struct table {
    struct act **v;
    size_t n;
};

/* Who is through with a run first: whoever comes second releases it. */
enum { RUN_OUT, RUN_BACK, RUN_CLOSED };

struct run {
    struct run *prev, *next; /* in its list */
    struct run **list;
    atomic_int state;
    struct actions *actions;
    struct act *act;
    struct action_order order; /* texts in the arena */
    struct arena arena;
    struct action_result result; /* the worker's, until it has come back in time */
    struct timer *now;           /* answered without a worker */
    struct mono began;
    action_done done;
    void *arg;
};

struct actions {
    struct loop *loop;
    struct log *log;
    struct workers *workers;
    struct table table;
    struct slot *slots;
    struct run *waiting; /* those with a timer */
    struct run *out;     /* those in workers */
};

static bool changes(enum action_op op)
{
    return op == ACTION_APPLY || op == ACTION_UNDO;
}

/* ---- one action ---- */

static void act_unref(struct act *t)
{
    if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    if (t->target)
        t->driver->close(&t->target);
    for (size_t i = 0; i < SECRETS_MOST; i++)
        free_secret(&t->secrets[i]);
    free(t);
}

static int read_secrets(struct act *t, const struct section *s, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < t->driver->n_rows; i++) {
        const struct option_row *row = &t->driver->rows[i];

        if (row->type != OPT_SECRET || !option_set(s, row->key))
            continue;
        if (n == SECRETS_MOST)
            return err_set(e, ERR_LIMIT, "too many secrets");
        if (secret_copy(s, row->key, &t->secrets[n++], e) != 0)
            return e->code;
    }
    return 0;
}

static struct act *act_open(const struct section *s, struct log *log, struct err *e)
{
    struct act *t = calloc(1, sizeof *t);
    struct err why = {0};

    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        return NULL;
    }
    atomic_init(&t->refs, 1);
    t->driver = action_driver_of(s);
    if (!t->driver)
        err_set(&why, ERR_CONFIG, "no such type");
    else if (read_secrets(t, s, &why) == 0)
        t->target = t->driver->open(s, log, &why);
    if (t->target)
        return t;
    err_set(e, why.code ? why.code : ERR_NOMEM, "action %s: %s", section_label(s), why.text);
    act_unref(t);
    return NULL;
}

/* One clean line of UTF-8 without a secret. */
static void clean(const struct act *t, char text[ACTION_TEXT])
{
    size_t n = strnlen(text, ACTION_TEXT - 1), step;

    text[n] = 0;
    for (size_t i = 0; i < n; i += step ? step : 1) {
        step = utf8_len((const unsigned char *)text + i, n - i);
        if (!step || (step == 1 && ((unsigned char)text[i] < ' ' || text[i] == 0x7f)))
            text[i] = step ? ' ' : '?';
    }
    for (size_t i = 0; i < SECRETS_MOST && t->secrets[i]; i++)
        secret_scrub(text, t->secrets[i]);
}

/* In a worker, or in the caller's thread. */
static void act_run(const struct act *t, const struct action_order *o, struct action_result *out)
{
    *out = (struct action_result){.class = ACTION_RETRY};
    if (t->driver->ops & 1U << o->op) {
        t->driver->run(t->target, o, out);
    } else if (o->op == ACTION_VERIFY) {
        struct action_order probe = *o;

        probe.op = ACTION_PROBE;
        t->driver->run(t->target, &probe, out);
    } else {
        action_say(out, ACTION_DENIED, "an action of type %s cannot %s", t->driver->type,
                   action_op_name(o->op));
    }
    out->class = action_settle(o->op, out->class);
    clean(t, out->text);
    clean(t, out->seen);
}

int action_try(const struct section *s, const struct action_order *o, struct log *log,
               struct action_result *out, struct err *e)
{
    struct act *t = act_open(s, log, e);

    if (!t)
        return e->code;
    act_run(t, o, out);
    act_unref(t);
    return 0;
}

static int check_files(const struct section *s, struct buf *report, struct err *e)
{
    const struct action_driver *d = action_driver_of(s);
    struct err why = {0};
    struct act *t;

    for (size_t i = 0; i < d->n_rows; i++) {
        char *text = NULL;
        bool readable;

        if (d->rows[i].type != OPT_SECRET || !option_set(s, d->rows[i].key))
            continue;
        if (option_secret_check(s, d->rows[i].key, &why) != 0)
            return config_complain(report, s, d->rows[i].key, e, "%s", why.text);
        readable = secret_copy(s, d->rows[i].key, &text, NULL) == 0;
        free_secret(&text);
        if (!readable)
            return 0; /* a credential, outside of the service */
    }
    t = act_open(s, NULL, &why);
    if (!t)
        return config_complain(report, s, NULL, e, "%s", why.text);
    act_unref(t);
    return 0;
}

int action_check_files(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *s;
    int rc = 0;

    for (size_t i = 0; (s = config_named(c, action_section_name, i)); i++)
        if (action_driver_of(s) && check_files(s, report, e) != 0)
            rc = ERR_CONFIG;
    return rc;
}

/* ---- the table ---- */

static struct slot *slot_of(struct actions *a, const char *name)
{
    struct slot *s = a->slots;

    while (s && strcmp(s->name, name) != 0)
        s = s->next;
    if (!s && (s = calloc(1, sizeof *s))) {
        (void)memcpy(s->name, name, strnlen(name, NAME_MOST));
        s->next = a->slots;
        a->slots = s;
    }
    return s;
}

static void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        act_unref(t->v[i]);
    free(t->v);
    *t = (struct table){0};
}

static int table_open(struct actions *a, const struct config *c, struct table *t, struct err *e)
{
    const struct section *s;
    size_t n = 0;

    *t = (struct table){0};
    while (config_named(c, action_section_name, n))
        n++;
    t->v = calloc(n + 1, sizeof(struct act *));
    if (!t->v)
        return err_set(e, ERR_NOMEM, "no memory for actions");
    for (; t->n < n; t->n++) {
        s = config_named(c, action_section_name, t->n);
        t->v[t->n] = act_open(s, a->log, e);
        if (!t->v[t->n])
            break;
        t->v[t->n]->slot = slot_of(a, section_label(s));
        if (!t->v[t->n]->slot) {
            err_set(e, ERR_NOMEM, "no memory for actions");
            act_unref(t->v[t->n]);
            break;
        }
    }
    if (t->n == n)
        return 0;
    table_free(t);
    return e ? e->code : ERR_NOMEM;
}

struct actions *actions_open(const struct config *c, struct loop *loop, struct log *log, struct err *e)
{
    struct actions *a = calloc(1, sizeof *a);

    if (!a) {
        err_set(e, ERR_NOMEM, "no memory for actions");
        return NULL;
    }
    a->loop = loop;
    a->log = log;
    a->workers = workers_new(loop, WORKERS_MOST, e);
    if (!a->workers || table_open(a, c, &a->table, e) != 0)
        actions_close(&a);
    return a;
}

int actions_reload(struct actions *a, const struct config *c, struct err *e)
{
    struct table fresh;
    int rc = table_open(a, c, &fresh, e);

    if (rc != 0)
        return rc;
    table_free(&a->table);
    a->table = fresh;
    return 0;
}

/* ---- runs ---- */

static void run_free(struct run *r)
{
    timer_free(&r->now);
    act_unref(r->act);
    arena_free(&r->arena);
    free(r);
}

static void run_link(struct run *r, struct run **list)
{
    r->list = list;
    r->prev = NULL;
    r->next = *list;
    if (r->next)
        r->next->prev = r;
    *list = r;
}

static void run_unlink(struct run *r)
{
    *(r->prev ? &r->prev->next : r->list) = r->next;
    if (r->next)
        r->next->prev = r->prev;
}

void actions_close(struct actions **ap)
{
    struct actions *a = *ap;

    if (!a)
        return;
    workers_free(&a->workers);
    while (a->out) { /* nobody is told of these any more */
        struct run *r = a->out;

        run_unlink(r);
        if (atomic_exchange(&r->state, RUN_CLOSED) == RUN_BACK)
            run_free(r);
    }
    while (a->waiting) {
        struct run *r = a->waiting;

        run_unlink(r);
        run_free(r);
    }
    table_free(&a->table);
    while (a->slots) {
        struct slot *s = a->slots;

        a->slots = s->next;
        free(s);
    }
    free(a);
    *ap = NULL;
}

static const char *copy(struct arena *a, const char *s, bool *failed)
{
    const char *t = arena_text(a, s ? s : "", s ? strlen(s) : 0);

    *failed = *failed || !t;
    return t;
}

static struct run *run_new(struct actions *a, struct act *t, const struct action_order *o)
{
    struct run *r = calloc(1, sizeof *r);
    bool failed = false;

    if (!r)
        return NULL;
    *r = (struct run){.actions = a, .act = t, .order = *o, .began = clock_mono()};
    atomic_fetch_add(&t->refs, 1);
    arena_init(&r->arena, NULL, ORDER_MOST);
    r->order.service = copy(&r->arena, o->service, &failed);
    r->order.from = copy(&r->arena, o->from, &failed);
    r->order.to = copy(&r->arena, o->to, &failed);
    r->order.plan = copy(&r->arena, o->plan, &failed);
    r->order.key = copy(&r->arena, o->key, &failed);
    if (failed) {
        run_free(r);
        return NULL;
    }
    return r;
}

static void count(struct run *r, const struct action_result *res)
{
    struct slot *s = r->act->slot;

    s->runs[r->order.op][res->class]++;
    s->ns[r->order.op] += mono_sub(clock_mono(), r->began).ns;
}

/* The name is open for the next before the caller hears of it: he may ask at once. */
static void leave(struct slot *s, enum action_op op)
{
    if (changes(op))
        s->changing = s->stuck = false;
    else
        s->questions--;
}

static void on_now(void *arg)
{
    struct run *r = arg;

    run_unlink(r);
    count(r, &r->result);
    r->done(r->arg, &r->result);
    run_free(r);
}

/* On the next turn of the loop, without a worker. */
static int answer(struct run *r, const char *text)
{
    action_say(&r->result, ACTION_RETRY, "%s", text);
    r->now = timer_new(r->actions->loop, on_now, r);
    if (!r->now) {
        run_free(r);
        return ERR_NOMEM;
    }
    run_link(r, &r->actions->waiting);
    timer_set(r->now, span_ms(0));
    return 0;
}

static void work(void *arg)
{
    struct run *r = arg;

    act_run(r->act, &r->order, &r->result);
    if (atomic_exchange(&r->state, RUN_BACK) == RUN_CLOSED)
        run_free(r);
}

static void on_done(void *arg, bool late)
{
    struct run *r = arg;
    bool change = changes(r->order.op);
    struct action_result lost = {.class = change ? ACTION_UNKNOWN : ACTION_RETRY};

    if (late) {
        action_say(&lost, lost.class, "no answer within %lld ms", (long long)span_to_ms(r->order.deadline));
        r->act->slot->stuck = r->act->slot->stuck || change;
        count(r, &lost);
        r->done(r->arg, &lost);
        return;
    }
    run_unlink(r);
    leave(r->act->slot, r->order.op);
    count(r, &r->result);
    r->done(r->arg, &r->result);
    run_free(r);
}

static void on_abandoned(void *arg)
{
    struct run *r = arg;

    run_unlink(r);
    leave(r->act->slot, r->order.op);
    run_free(r);
}

/* NULL, or why it is not to begin now. */
static const char *closed(const struct slot *s, enum action_op op)
{
    if (s->stuck)
        return "an earlier change is past its deadline and has not come back: nothing is asked meanwhile";
    if (changes(op) && s->changing)
        return "another change of this action is under way";
    if (!changes(op) && s->questions >= QUESTIONS_MOST)
        return "questions to this action are under way and have no answer";
    return NULL;
}

/* What the driver gets: a tenth less, at most half a second. */
static struct span drivers_time(struct span all)
{
    int64_t margin = all.ns / 10;

    return span_ns(all.ns - (margin < 500000000 ? margin : 500000000));
}

static int begin(struct run *r)
{
    struct slot *s = r->act->slot;
    struct span all = r->order.deadline;
    const char *why = closed(s, r->order.op);
    struct err e = {0};

    if (why)
        return answer(r, why);
    r->order.deadline = drivers_time(all);
    run_link(r, &r->actions->out);
    if (workers_run(r->actions->workers, work, on_done, on_abandoned, r, all, &e) != 0) {
        run_unlink(r);
        return answer(r, e.text);
    }
    if (changes(r->order.op))
        s->changing = true;
    else
        s->questions++;
    return 0;
}

int actions_run(struct actions *a, const char *action, const struct action_order *o, action_done done,
                void *arg)
{
    for (size_t i = 0; i < a->table.n; i++) {
        struct run *r;

        if (strcmp(a->table.v[i]->slot->name, action) != 0)
            continue;
        r = run_new(a, a->table.v[i], o);
        if (!r)
            return ERR_NOMEM;
        r->done = done;
        r->arg = arg;
        return begin(r);
    }
    return ERR_NOTFOUND;
}

/* ---- figures ---- */

static const struct metric_row runs_row = {
    .name = "securebase_action_runs_total",
    .kind = METRIC_COUNTER,
    .labels = "action class op",
    .help = "Runs of a failover action, by operation and by what came of them."};
static const struct metric_row seconds_row = {
    .name = "securebase_action_seconds_total",
    .kind = METRIC_COUNTER,
    .div = 1000000000,
    .labels = "action op",
    .help = "Time that runs of a failover action have taken until they were answered, summed up."};
static const struct metric_row under_way_row = {
    .name = "securebase_action_under_way",
    .kind = METRIC_GAUGE,
    .labels = "action",
    .help = "Runs of a failover action that are in their worker now."};
static const struct metric_row stuck_row = {
    .name = "securebase_action_stuck",
    .kind = METRIC_GAUGE,
    .labels = "action",
    .help = "1 while a change is past its deadline and has not come back: the action is closed meanwhile."};

void actions_metrics(const struct actions *a, struct sink *out)
{
    for (size_t i = 0; i < a->table.n; i++) {
        const struct slot *s = a->table.v[i]->slot;
        struct text name = text_of(s->name);

        for (int op = 0; op < ACTION_OPS; op++) {
            struct text op_name = text_of(action_op_name((enum action_op)op));

            for (int c = 0; c < ACTION_CLASSES; c++)
                if (s->runs[op][c])
                    sink_uint(
                        out, &runs_row,
                        (struct text[]){name, text_of(action_class_name((enum action_class)c)), op_name},
                        s->runs[op][c]);
            if (s->ns[op])
                sink_int(out, &seconds_row, (struct text[]){name, op_name}, s->ns[op]);
        }
        sink_int(out, &under_way_row, &name, (int64_t)s->questions + s->changing);
        sink_int(out, &stuck_row, &name, s->stuck);
    }
}
