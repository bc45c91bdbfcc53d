/* Telling the decide thread what was gained: gathered for a moment, so that many small batches are one
 * telling, and a breach is still known at once. At start, first what the history holds. */
#include "aggregator/ingest/ingest_private.h"

enum { TELL_MS = 100 };

static void deliver(struct ingest *g, struct telling **t)
{
    if (*t && g->tell)
        g->tell(g->tell_arg, *t);
    else
        telling_free(t);
    *t = NULL;
}

void ingest_tell(struct ingest *g, bool restored)
{
    bool more = true;

    while (more) {
        struct telling *t = series_tell(g->series, clock_wall(), restored, &more);

        if (!t)
            return;
        deliver(g, &t);
    }
}

void ingest_tell_soon(void *arg)
{
    struct ingest *g = arg;

    g->telling = false;
    ingest_tell(g, false);
}

void ingest_gained(struct ingest *g)
{
    if (g->telling || !g->selections)
        return;
    g->telling = true;
    timer_set(g->teller, span_ms(TELL_MS));
}

/* ---- at start ---- */

struct stored {
    struct ingest *g;
    struct telling *t;
    uint64_t groups, steps, lost;
};

static int on_group(void *arg, const struct history_group *h, uint32_t *handle)
{
    struct stored *s = arg;
    struct series_group group = {.kind = h->kind,
                                 .selection = {h->selection, h->metric, h->match, h->by},
                                 .env = h->env,
                                 .labels = h->labels};
    int rc = series_restore_group(s->g->series, &group, handle);

    s->groups += rc == 1;
    return rc == 1;
}

static struct span reach(void *arg, uint32_t handle)
{
    struct stored *s = arg;

    return series_reach(s->g->series, handle);
}

static int on_step(void *arg, const struct history_step *step)
{
    struct stored *s = arg;
    struct fact_delta d = {.kind = step->kind, .tier = step->tier, .start = step->start, .gain = *step->b};
    int rc = series_tell_stored(s->g->series, &s->t, &d, step->handle);

    if (rc == ERR_LIMIT) {
        s->t->now = clock_wall();
        deliver(s->g, &s->t);
        rc = series_tell_stored(s->g->series, &s->t, &d, step->handle);
    }
    s->steps += rc == 0;
    s->lost += rc != 0;
    return atomic_load(&s->g->quit) ? ERR_STATE : 0;
}

/* Groups that the store knows are told with the first telling of those that the replay has found. */
void ingest_tell_stored(struct ingest *g)
{
    struct mono begun = clock_mono();
    struct stored s = {.g = g};
    struct err e = {0};
    int rc = history_load_groups(g->history, on_group, &s, &e);

    if (!g->selections)
        return;
    ingest_tell(g, false);
    if (rc == 0)
        rc = history_load_steps(g->history, clock_wall(), reach, on_step, &s, &e);
    if (s.t)
        s.t->now = clock_wall();
    deliver(g, &s.t);
    if (rc != 0 && !atomic_load(&g->quit))
        LOG(g->log, LOG_ERROR, "ingest", "the stored steps cannot all be read: windows begin with what was",
            kv_e(&e));
    LOG(g->log, s.lost ? LOG_ERROR : LOG_INFO, "ingest", "stored steps told", kv_u("groups", s.groups),
        kv_u("steps", s.steps), kv_u("lost", s.lost), kv_t("took", mono_sub(clock_mono(), begun)));
}
