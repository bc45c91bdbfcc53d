/* What is durable, back into memory at start, and from memory to the history while
 * running. Roll-ups go by the position that they contain: what lies behind it in the
 * journal is applied again, what lies before it only fills the page of latest values. A
 * damaged file is set aside, and what the other one still tells is kept. */
#include <string.h>

#include "aggregator/ingest/ingest_private.h"

enum {
    EXPIRE_AT_ONCE = 256,
    AGENTS_AT_ONCE = 32,
    HOLD_MARGIN_S = 600, /* a definition outlives the batches that use it */
    REPLAY_MARGIN_S = 60,
};

/* ---- restoring ---- */

struct restore {
    struct ingest *g;
    struct err *e;
    uint64_t stale, bad_definitions, bad_watermarks, unreadable;
    bool doubtful; /* the journal lacks something: what else tells that a batch was taken counts */
    int64_t first; /* position replayed; 0: none */
};

static int on_record(void *arg, struct bytes key, struct bytes value)
{
    struct restore *r = arg;
    bool stale = false;
    int rc = series_restore(r->g->series, key, value, &stale, r->e);

    r->stale += stale;
    return rc;
}

static int on_definition(void *arg, struct wire_hash h, struct bytes value, struct wire_str agent)
{
    struct restore *r = arg;
    struct err e = {0};
    int rc = definitions_add(r->g->definitions, agent, &h, value, clock_wall(), &e);

    if (rc == ERR_NOMEM)
        return err_set(r->e, rc, "%s", e.text);
    r->bad_definitions += rc != 0;
    return 0;
}

static int on_watermark(void *arg, struct wire_str agent, uint64_t epoch, struct bytes state)
{
    struct restore *r = arg;
    struct err e = {0};
    int rc = admission_restore(r->g->admission, agent, epoch, state, &e);

    if (rc == ERR_NOMEM || rc == ERR_VERSION)
        return err_set(r->e, rc, "%s", e.text);
    r->bad_watermarks += rc != 0;
    return 0;
}

/* A batch that was taken, whatever the watermarks say. */
static int on_taken(void *arg, struct wire_str agent, uint64_t epoch, uint64_t seq)
{
    struct restore *r = arg;
    int rc = r->doubtful ? admission_restore_taken(r->g->admission, agent, epoch, seq, clock_wall()) : 0;

    return rc == ERR_NOMEM ? err_set(r->e, rc, "no memory for the state of the agents") : 0;
}

static int on_digest(void *arg, const struct journal_digest *d)
{
    struct restore *r = arg;
    int rc = on_taken(r, d->agent, d->epoch, d->seq);

    if (rc != 0)
        return rc;
    rc = admission_restore_digest(r->g->admission, d->agent, d->epoch, d->seq, d->digest, d->refused,
                                  d->position);

    return rc == ERR_NOMEM ? err_set(r->e, rc, "no memory for the state of the agents") : 0;
}

/* An agent without a watermark was forgotten after this batch: what the
 * roll-ups lack is still due to them, but nothing of it is shown. */
static int replay(struct ingest *g, const struct journal_entry *entry, struct err *e)
{
    bool known = admission_knows(g->admission, entry->batch.agent),
         contained = entry->position <= g->persisted;
    int rc = 0;

    if (known || !contained)
        rc = intake_replay(&g->in, entry, contained, e);
    if (!known) /* roll-ups that were written before it was forgotten have brought it back as well */
        (void)series_forget_agent(g->series, entry->batch.agent);
    return rc;
}

static int on_entry(void *arg, const struct journal_entry *entry)
{
    struct restore *r = arg;
    struct ingest *g = r->g;
    struct err e = {0};
    int rc;

    if (atomic_load(&g->quit))
        return err_set(r->e, ERR_STATE, "told to stop in the middle of the replay");
    rc = on_taken(r, entry->batch.agent, entry->batch.epoch, entry->batch.seq);
    if (rc != 0)
        return rc;
    rc = replay(g, entry, &e);
    if (!r->first)
        r->first = entry->position;
    g->f.replayed += rc == 0;
    if (rc != 0 && r->unreadable++ == 0)
        LOG(g->log, LOG_ERROR, "ingest", "a journalled batch cannot be replayed",
            kv_i("position", entry->position), kv_e(&e));
    if (entry->position > g->position)
        g->position = entry->position;
    return rc == ERR_NOMEM ? err_set(r->e, rc, "no memory to replay the journal") : 0;
}

struct span ingest_epochs_keep(const struct section *ingest)
{
    return (struct span){option_span(ingest, "max_age").ns + span_s(3600).ns};
}

int ingest_begin_anew(struct ingest *g, struct buf *report, struct err *e)
{
    const struct section *s = config_section(g->config, "ingest");

    series_free(&g->series);
    admission_free(&g->admission);
    definitions_free(&g->definitions);
    g->series = series_new(&(struct series_params){.config = g->config,
                                                   .mem = &g->series_mem,
                                                   .seed = {g->seed[0], g->seed[1]},
                                                   .selections = g->selections,
                                                   .generation = g->generation},
                           report, e);
    if (!g->series)
        return e->code;
    g->admission = admission_new(&(struct admission_params){
        .mem = &g->state_mem, .seed = {g->seed[0], g->seed[1]}, .keep = ingest_epochs_keep(s)});
    g->definitions = definitions_new(&g->state_mem, g->seed);
    g->in = (struct intake){.codec = g->codec,
                            .admission = g->admission,
                            .definitions = g->definitions,
                            .series = g->series,
                            .work_mem = &g->work_mem};
    g->persisted = g->position = 0;
    return g->admission && g->definitions ? 0
                                          : err_set(e, ERR_NOMEM, "no memory for the state of the agents");
}

/* After damage: what was read so far is forgotten. */
static int again(struct ingest *g, struct err *e)
{
    struct buf report;
    int rc;

    buf_init(&report, NULL, 64 << 10);
    rc = ingest_begin_anew(g, &report, e);
    buf_free(&report);
    return rc;
}

static int load_history(struct restore *r, struct err *e)
{
    struct ingest *g = r->g;
    int64_t gained = 0;
    int rc = history_load(g->history, on_record, r, &g->persisted, e);

    if (rc == ERR_MALFORMED) {
        LOG(g->log, LOG_ERROR, "ingest", "the history is damaged: cumulative values begin anew", kv_e(e));
        rc = history_renew(g->history, e);
        if (rc == 0)
            rc = again(g, e);
    }
    if (rc == 0)
        rc = history_gained(g->history, &gained, e);
    if (rc == 0) {
        series_restored(g->series, g->persisted);
        series_gained(g->series, gained);
    }
    return rc;
}

static int keep_watermark(void *arg, struct wire_str agent, uint64_t epoch, struct bytes state)
{
    return journal_state_watermark(arg, agent, epoch, state);
}

static int no_digest(void *arg, struct wire_str agent, uint64_t epoch, uint64_t seq, const uint8_t digest[16],
                     const uint64_t refused[WIRE_REFUSALS], int64_t position)
{
    (void)arg, (void)agent, (void)epoch, (void)seq, (void)digest, (void)refused, (void)position;
    return 0;
}

/* The history tells of batches that the journal may have
 * lost; watermarks are written down as they are now. */
static int mend_journal(struct restore *r, struct err *e)
{
    struct ingest *g = r->g;
    struct journal_state *st;
    int rc = series_tell_agents(g->series, on_taken, r);

    if (rc != 0)
        return rc;
    st = journal_state_new();
    rc = st ? admission_tell(g->admission, &(struct admission_listener){keep_watermark, no_digest, st})
            : ERR_NOMEM;
    rc = rc ? err_set(e, rc, "no memory to mend the journal") : journal_write(g->journal, st, g->position, e);
    journal_state_free(&st);
    return rc;
}

static int load_journal(struct restore *r, struct err *e)
{
    struct ingest *g = r->g;
    struct wall since =
        wall_add(clock_wall(), (struct span){-g->stale_after.ns - span_s(REPLAY_MARGIN_S).ns});
    int rc = journal_raise(g->journal, g->persisted, e);

    if (rc < 0)
        return rc;
    r->doubtful = rc == 1 || journal_was_damaged(g->journal);
    r->first = 0;
    rc = journal_load_definitions(g->journal, on_definition, r, e);
    if (rc == 0)
        rc = journal_load_watermarks(g->journal, on_watermark, r, e);
    if (rc == 0)
        rc = journal_load_digests(g->journal, on_digest, r, e);
    g->position = g->persisted;
    if (rc == 0)
        rc = journal_replay(g->journal, g->persisted, since, on_entry, r, e);
    definitions_used_until(g->definitions, g->position);
    if (rc == 0 && r->doubtful)
        rc = mend_journal(r, e);
    return rc;
}

/* What could not be replayed, because it stands in no file any more. */
static void tell_gone(const struct restore *r)
{
    if (r->g->persisted == 0 && r->first > 1)
        LOG(r->g->log, LOG_ERROR, "ingest",
            "the history holds nothing: roll-ups are made again from the batches in the journal, those of "
            "earlier "
            "ones are gone",
            kv_i("first_position", r->first), kv_i("batches_gone", r->first - 1));
}

int ingest_restore(struct ingest *g, struct err *e)
{
    struct restore r = {.g = g, .e = e};
    struct mono begun = clock_mono();
    int rc = load_history(&r, e);

    if (rc == 0)
        rc = load_journal(&r, e);
    if (rc == ERR_MALFORMED) {
        LOG(g->log, LOG_ERROR, "ingest", "the journal is damaged: going on with what can be read from it",
            kv_e(e));
        rc = journal_renew(g->journal, e);
        if (rc == 0)
            rc = again(g, e);
        r = (struct restore){.g = g, .e = e};
        g->f.replayed = 0;
        if (rc == 0)
            rc = load_history(&r, e);
        if (rc == 0)
            rc = load_journal(&r, e);
    }
    g->f.unreadable = r.unreadable;
    if (rc != 0)
        return rc;
    tell_gone(&r);
    series_gained(g->series, 0);
    series_advance(g->series, clock_wall());
    ingest_tell_stored(g);
    LOG(g->log, r.unreadable + r.bad_definitions + r.bad_watermarks ? LOG_ERROR : LOG_INFO, "ingest",
        "restored", kv_i("persisted", g->persisted), kv_i("position", g->position),
        kv_u("replayed", g->f.replayed), kv_u("unreadable", r.unreadable),
        kv_u("bad_definitions", r.bad_definitions), kv_u("bad_watermarks", r.bad_watermarks),
        kv_u("stale_records", r.stale), kv_t("took", mono_sub(clock_mono(), begun)));
    return 0;
}

/* ---- persisting ---- */

struct drops {
    struct journal_drop v[EXPIRE_AT_ONCE];
    size_t n;
};

static void on_dropped(void *arg, const struct wire_hash *hash, struct wire_str agent)
{
    struct drops *d = arg;

    d->v[d->n].hash = *hash;
    d->v[d->n++].agent = agent;
}

static void dropped(void *arg, int code)
{
    (void)arg; /* the store says it; with the next start they are known again, and go in their time */
    (void)code;
}

/* How far back the journal reaches: a start must find all that is fresh enough to be shown. */
static struct wall kept_since(const struct ingest *g)
{
    struct span shown = {g->stale_after.ns + span_s(REPLAY_MARGIN_S).ns};

    return wall_add(loop_wall(g->loop), (struct span){-(g->keep.ns > shown.ns ? g->keep.ns : shown.ns)});
}

/* The definitions that no batch of the journal needs any more go when the batches
 * have gone: in memory now, in the journal before anything that comes after. */
static void pruned(void *arg, int64_t left, int code)
{
    struct ingest *g = arg;
    struct drops d = {.n = 0};

    g->pruning = false;
    if (code != 0)
        return; /* the store says it; the next time tries again */
    (void)definitions_expire(g->definitions, left <= g->persisted ? left - 1 : g->persisted,
                             wall_add(kept_since(g), span_s(-HOLD_MARGIN_S)), EXPIRE_AT_ONCE, on_dropped, &d);
    g->f.pruned_definitions += d.n;
    if (d.n)
        (void)journal_drop_holds(g->journal, d.v, d.n, dropped, g);
}

static void on_past(void *arg, struct wire_str agent)
{
    struct ingest *g = arg;

    (void)journal_forget_agent(g->journal, agent, dropped, g);
}

/* Agents that will not come back, a few at a time: should
 * the wall clock leap ahead for a moment, few are lost. */
static void expire_agents(struct ingest *g)
{
    g->f.expired_agents += admission_expire(g->admission, loop_wall(g->loop), AGENTS_AT_ONCE, on_past, g);
}

/* Batches that the roll-ups contain and that are old enough go. */
static void prune(struct ingest *g)
{
    if (!g->pruning && g->journal)
        g->pruning =
            journal_prune(g->journal, g->persisted, kept_since(g), loop_wall(g->loop), pruned, g) == 0;
}

struct persist {
    struct ingest *g;
    int64_t position;
    bool saves; /* begun after the journal was lost: holds all there was */
};

static void persisted(void *arg, int code)
{
    struct persist *p = arg;
    struct ingest *g = p->g;

    g->persisting = false;
    series_taken(g->series, code == 0);
    g->f.persists++;
    g->f.failed_persists += code != 0;
    if (code == 0) {
        g->persisted = p->position;
        g->saved = g->saved || p->saves;
        prune(g);
        if (g->journal)
            expire_agents(g);
        ingest_renew(g);
    }
    mem_free(&g->state_mem, p, sizeof *p);
}

static int put_record(void *arg, struct bytes key, struct bytes value)
{
    return history_put(arg, key, value);
}

static int put_group(void *arg, const struct series_group *from)
{
    struct ingest *g = arg;
    struct history_group to = {.handle = from->handle,
                               .kind = from->kind,
                               .selection = from->selection.text,
                               .metric = from->selection.metric,
                               .match = from->selection.match,
                               .by = from->selection.by,
                               .env = from->env,
                               .labels = from->labels,
                               .now = loop_wall(g->loop)};

    return history_group(g->history, &to);
}

static int put_gain(void *arg, uint32_t handle, enum fact_kind kind, int64_t start,
                    const struct fact_bucket *gain)
{
    struct ingest *g = arg;

    return history_gain(g->history, handle, kind, start, gain);
}

void ingest_persist(struct ingest *g)
{
    struct persist *p;
    int rc;

    if (g->persisting || !(p = mem_alloc(&g->state_mem, sizeof *p)))
        return;
    *p = (struct persist){.g = g, .saves = g->journal_lost};
    if (history_begin(g->history) != 0) {
        mem_free(&g->state_mem, p, sizeof *p);
        return;
    }
    ingest_tell(g, false);
    rc = series_take(g->series, &p->position, put_record, g->history);
    if (rc == 0)
        rc = series_take_gains(g->series, &(struct series_gains){put_group, put_gain, g});
    if (rc != 0) {
        COMPLAIN(g->log, &g->complaint, loop_mono(g->loop), LOG_ERROR, "ingest",
                 "no memory to write roll-ups down", kv_i("code", rc));
        series_taken(g->series, false);
        history_abandon(g->history);
        g->f.failed_persists++;
        mem_free(&g->state_mem, p, sizeof *p);
        return;
    }
    g->persisting = true;
    history_commit(g->history, p->position, persisted, p);
}
