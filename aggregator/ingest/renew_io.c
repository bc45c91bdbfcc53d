/* Damage met while running. What memory knows counts: first the roll-ups are brought to the history, so
 * that no accepted batch is needed any more from the damaged journal; then watermarks, digests and
 * definitions make a new journal. Until that stands, each batch is answered 503 and comes again; nothing
 * changes meanwhile, for nothing can be committed. A crash on the way finds the damaged file still in its
 * place, and reads from it what can be read. The history is made anew from the same memory. */
#include "aggregator/ingest/ingest_private.h"

static int tell_watermark(void *arg, struct wire_str agent, uint64_t epoch, struct bytes state)
{
    return journal_state_watermark(arg, agent, epoch, state);
}

static int tell_digest(void *arg, struct wire_str agent, uint64_t epoch, uint64_t seq,
                       const uint8_t digest[16], const uint64_t refused[WIRE_REFUSALS], int64_t position)
{
    struct journal_digest d = {.position = position, .agent = agent, .epoch = epoch, .seq = seq};

    memcpy(d.digest, digest, sizeof d.digest);
    memcpy(d.refused, refused, sizeof d.refused);
    return journal_state_digest(arg, &d);
}

static int tell_definition(void *arg, const struct wire_entry *entry)
{
    return journal_state_definition(arg, entry);
}

static int tell_hold(void *arg, const struct wire_hash *hash, struct wire_str agent)
{
    return journal_state_hold(arg, hash, agent);
}

static void filled(void *arg, int code)
{
    struct ingest *g = arg;

    g->filling = false;
    if (code != 0)
        return; /* the store says why; the next tick tries again */
    g->journal_lost = false;
    g->f.renewals++;
    LOG(g->log, LOG_WARN, "ingest", "taking batches again: the new journal holds what memory knew",
        kv_i("position", g->position));
}

static void fill(struct ingest *g)
{
    struct journal_state *st = journal_state_new();
    int rc = st ? 0 : ERR_NOMEM;

    if (rc == 0)
        rc = admission_tell(g->admission, &(struct admission_listener){tell_watermark, tell_digest, st});
    if (rc == 0)
        rc = definitions_tell(g->definitions, &(struct definitions_listener){tell_definition, tell_hold, st});
    if (rc != 0)
        journal_state_free(&st);
    else
        rc = journal_fill(g->journal, st, g->position, filled, g);
    g->filling = rc == 0;
    if (rc != 0)
        COMPLAIN(g->log, &g->complaint, loop_mono(g->loop), LOG_ERROR, "ingest",
                 "a new journal cannot be written yet", kv_i("code", rc));
}

void ingest_renew(struct ingest *g)
{
    if (!g->journal_lost || g->filling || g->persisting || !g->journal)
        return;
    if (!g->saved)
        ingest_persist(g); /* comes back here when it is done */
    else
        fill(g);
}

void ingest_journal_damaged(void *arg)
{
    struct ingest *g = arg;

    g->journal_lost = true;
    g->saved = false;
    ingest_renew(g);
}

void ingest_history_damaged(void *arg)
{
    struct ingest *g = arg;

    series_untaken(g->series);
    ingest_persist(g);
}
