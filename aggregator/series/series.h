/* The series of all agents: latest values, kinds, expiry, and what percentiles are made from. Owned by one
 * thread (ingest). Pure: batches and times in, snapshots and roll-ups out.
 *
 * A batch is judged before it is journalled (which values are refused, and why) and applied after the commit,
 * with the verdict that was journalled with it, so that a replay gives the same state. */
#ifndef SB_SERIES_SERIES_H
#define SB_SERIES_SERIES_H

#include "aggregator/alert/facts.h"
#include "aggregator/expose/snapshot.h"
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/base/metric.h"
#include "common/config/config.h"
#include "common/wire/wire.h"

struct series_set;

extern const struct section_row percentile_section; /* [percentile NAME] */
extern const struct section_row history_section;    /* [history] */

/* What percentile sections look at, added to a list: so that their past is kept. */
int series_selections(const struct config *config, struct selections *to, struct err *e);

struct series_params {
    const struct config
        *config; /* borrowed for the call: [percentile …], [history], [aggregator] stale_after and agent_ttl
                        (durations), [ingest] max_age (duration) and max_series_per_agent (integer) */
    struct mem *mem; /* budget of the whole table, snapshots included; borrowed. From seven eighths of its cap
                        on, no series is begun any more (quota) */
    uint64_t seed[2]; /* of the hash tables */
    /* whose gains are gathered; borrowed until series_free, or until a reload puts another list in its place;
     * may be NULL. The generation that it is told under. */
    const struct selections *selections;
    uint32_t generation;
};
struct series_set *series_new(const struct series_params *p, struct buf *report, struct err *e);
void series_free(struct series_set **s); /* no snapshot may be in use any more */
/* New configuration: changed percentile sections begin anew,
 * the others go on. On error nothing has changed. */
int series_reload(struct series_set *s, const struct config *config, struct buf *report, struct err *e);
/* Another list of selections, borrowed from now on; what was gathered under an equal text goes on, and all groups
 * are told anew. Tell what is pending first: it would be told under the new generation. ERR_NOMEM: nothing has
 * changed, and the old list is still borrowed. */
int series_select(struct series_set *s, const struct selections *selections, uint32_t generation,
                  struct err *e);

/* A decoded batch with what it refers to. All borrowed. */
struct batch_in {
    struct wire_str agent, tenant; /* tenant from the identity; may be empty */
    const struct wire_batch *batch;
    const struct wire_resource *resource;
    const struct wire_schema *const *schemas; /* per block; the same pointer for the same definition */
    const struct wire_values *const *values;  /* per block */
    const struct wire_event *events;
    uint32_t n_events;
    struct wall received;
    struct wall sent; /* X-Securebase-Sent of the agent's own request; 0: unknown (a relay, a replay) */
};

/* Fills refused[] (values by reason) and verdict (bytes to be journalled, at most 66 KiB; empty
 * when nothing is refused). May reserve kinds for names; a batch that is then not committed
 * leaves nothing that is seen. Age and future are judged here, by received. ERR_NOMEM. */
int series_judge(struct series_set *s, const struct batch_in *in, struct buf *verdict,
                 uint64_t refused[WIRE_REFUSALS], struct err *e);
/* Whether the verdict refuses event i of its batch, and why. Total on any bytes. */
bool series_event_refused(struct bytes verdict, uint32_t i, enum wire_refusal *reason);
/* Applies a committed batch; positions rise. `latest_only`: the restored records contain it already, and
 * only the page of latest values is to be filled again. */
void series_apply(struct series_set *s, const struct batch_in *in, struct bytes verdict, int64_t position,
                  bool latest_only);

/* Time passes: windows slide, silent series and agents go. Call at least once a second.
 *
 * A series is visible while its newest tick is younger than stale_after by our clock:
 * a tick counts as seen at its time less the agent's clock skew (0 while that is
 * unknown) and never after its receipt. So what a spool delivers late, or an agent
 * with a slow clock sends at once, is each judged by when it was measured. */
void series_advance(struct series_set *s, struct wall now);
int series_forget_agent(struct series_set *s, struct wire_str agent); /* by an operator; ERR_NOTFOUND */

/* A consistent copy for readers, or NULL without memory: snapshot.h. */
struct snapshot *series_snapshot(struct series_set *s, struct wall now);

/* Persistence: what changed since the last taking, as opaque records keyed by bytes, with the position that
 * they contain (history.h stores them in one transaction). value.p NULL: delete the key. */
typedef int (*series_record)(void *arg, struct bytes key, struct bytes value);
int series_take(struct series_set *s, int64_t *position, series_record fn, void *arg);
void series_taken(struct series_set *s, bool stored); /* false: what was taken counts as changed again */
/* The store has lost all that it held: everything counts as changed again. No taking may be under way. */
void series_untaken(struct series_set *s);
/* At start, each stored record, then the position. *stale: the record belongs to a section that is gone or
 * changed, and will be deleted with the next taking. */
int series_restore(struct series_set *s, struct bytes key, struct bytes value, bool *stale, struct err *e);
void series_restored(struct series_set *s, int64_t position);
/* Tells of each agent the latest batch that was applied. The text
 * is borrowed for the call. Ends with the first code not 0. */
int series_tell_agents(const struct series_set *s,
                       int (*fn)(void *arg, struct wire_str agent, uint64_t epoch, uint64_t seq), void *arg);

/* ---- what the series of selections gain in steps of 10 seconds ---- */

/* What was gained since the last telling, or NULL when nothing was, or without memory. The caller takes it. *more:
 * call again, at most 20 000 deltas are told at a time. `restored` is said with what is told last. */
struct telling *series_tell(struct series_set *s, struct wall now, bool restored, bool *more);

/* A selection for the store; texts are borrowed for the call. */
struct series_selection {
    const char *text, *metric, *match; /* match: canonical */
    const char *by;                    /* the names with blanks between them, "*" for all labels */
};
struct series_group {
    uint32_t handle; /* small; another group may have it once this one is gone, and is told then */
    enum fact_kind kind;
    struct series_selection selection;
    const char *env; /* of its label, or of the series that it began with; "" */
    struct labels labels;
};
struct series_gains {
    int (*group)(void *arg,
                 const struct series_group *g); /* before its first gain; again after series_untaken */
    int (*gain)(void *arg, uint32_t handle, enum fact_kind kind, int64_t start, const struct fact_bucket *b);
    void *arg;
};
/* Directly after series_take, for the same transaction: what was gained since
 * the last one; series_taken settles both. Ends with the first code not 0. */
int series_take_gains(struct series_set *s, const struct series_gains *to);

/* What was gained and is not on its way to the store: each group of a metric, then its gains. Changes nothing. */
int series_pending(const struct series_set *s, const char *metric, const struct series_gains *to);

/* Batches up to this position gain nothing (their readings count): the store holds it. 0: none, after the replay. */
void series_gained(struct series_set *s, int64_t position);

/* At start, after the replay: a group that the store knows. 1: it goes on under *handle (the store calls it that
 * from now on); 0: nobody asks for it any more; ERR_NOMEM also when there are too many, which is counted. */
int series_restore_group(struct series_set *s, const struct series_group *g, uint32_t *handle);
struct span series_reach(const struct series_set *s, uint32_t handle); /* how far back it is looked at */
/* A stored step of it (selection and group of d are filled in here) into *to, which is made when it is NULL. Groups
 * must have been told. ERR_LIMIT: it is full: send it, and try again with another; ERR_NOMEM: left out. */
int series_tell_stored(struct series_set *s, struct telling **to, const struct fact_delta *d,
                       uint32_t handle);

void series_metrics(const struct series_set *s, struct sink *out);

#endif
