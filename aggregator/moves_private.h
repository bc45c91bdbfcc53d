/* Shared by the files of the shell around the core of failover. All of it is the decide thread's. */
#ifndef SB_AGGREGATOR_MOVES_PRIVATE_H
#define SB_AGGREGATOR_MOVES_PRIVATE_H

#include "aggregator/decide_private.h"
#include "aggregator/failover/authority.h"
#include "aggregator/failover/drill.h"
#include "aggregator/failover/journal.h"
#include "aggregator/failover/settings.h"
#include "aggregator/failover/word.h"
#include "aggregator/moves.h"
#include "aggregator/watch.h"

enum { MOVE_QUEUE = 48, MOVE_WAITING = 16, MOVE_HOLDER = 128, MOVE_LINE = 4096 };

struct move_guard { /* as last heard, by whomever */
    uint32_t fenced_epoch;
    bool serving, own; /* own: it was told to us */
    struct mono at;    /* 0: never */
};

struct move_waiting { /* an operator's order under way */
    uint64_t id;
    moves_done done;
    void *arg;
    struct mono until; /* then nobody knows what became of it */
};

/* Something asked on behalf of a service and not answered yet: first member of what the answer needs. What is still under
 * way when all ends is dropped, since answers that are outstanding then never come. */
struct move_call {
    struct move_call *prev, *next;
    struct move *m;
    uint32_t shape; /* as it was: after a reload that changed what indices mean the answer is of no use */
    void (*drop)(struct move_call *c);
};

struct move_readiness { /* of one target region */
    uint32_t left;      /* prechecks still to come */
    bool under_way;
    fo_reasons blockers;
    struct mono done;                              /* 0: never */
    char text[FO_ACTIONS + FO_GATES][ACTION_TEXT]; /* of each action; "" when well */
};

struct move {
    struct move *next;
    struct moves *all;
    uint32_t refs;  /* calls under way that hold it */
    bool gone;      /* taken out by a reload */
    uint32_t shape; /* grows when a reload changes what indices mean */
    struct fo_settings set;
    struct fo fo;
    struct watch *watch;
    struct mono stepped;
    /* events that wait until the one under way is done with */
    struct fo_event queue[MOVE_QUEUE];
    uint32_t first, queued;
    bool draining;
    uint64_t lost_events;
    /* operators */
    struct move_waiting waiting[MOVE_WAITING];
    uint64_t order_ids;
    /* facts */
    struct fo_facts facts;
    struct mono facts_at, figures_at, ready_at, users_at;
    uint8_t ready_from; /* active region when readiness was looked at */
    bool figures_under_way;
    char figures_text[ACTION_TEXT];
    int64_t lag_kept[FO_REGIONS]; /* boot ms: when what a primary said was last stored */
    int64_t asked_at[FO_REGIONS]; /* boot ms: when a primary last said whether that region is synchronous */
    struct move_readiness ready[FO_REGIONS];
    struct wall bad_since;
    /* authority */
    char holder[MOVE_HOLDER], away[200];
    struct mono read_began,
        away_since;              /* the record held here is not older; the authority is away, 0: it is not */
    struct mono read_from;       /* a reading that began before this one has not seen what has to be seen */
    bool unreadable;             /* the record cannot be read by this program */
    struct fo_journal_head head; /* of the journal, as committed */
    bool head_known;
    /* guards */
    struct move_guard guard[FO_GUARDS];
    uint32_t told_fenced; /* epoch of the newest FO_E_FENCED */
    /* counts */
    uint32_t page[2]; /* by enum fo_page: a bit for each state about which people are told now */
    uint64_t transitions;
};

struct move_drill {
    struct move_drill *next;
    struct moves *all;
    struct drill_settings set;
    struct drill_run run;
    bool abort, told, was_running; /* was_running: when the process before this one ended */
    char who[FO_WHO], why[FO_WHY];
    uint64_t runs[DRILL_LOST + 1];
};

struct moves {
    struct decide *d;
    struct move_drill *drills;
    struct mono drills_at;
    struct wall drills_looked;    /* up to here nothing is due any more */
    struct move *first, *leaving; /* leaving: gone, and held by calls under way */
    struct move_call *calls;
    struct authority *authority;
    struct actions *actions;
    char voter[FO_NAME];
    uint64_t boot;
    /* the local store's states, as last written */
    struct local_state *local;
    struct local_call *writes;                /* under way */
    struct canaries *canaries, *retired;      /* retired: still used by a watch that could not be made anew */
    char canary_urls[VOTE_CANARIES * FO_URL]; /* that they ask */
    uint64_t strange_votes;
};

/* ---- moves_io.c ---- */
int64_t move_now(const struct move *m);
void move_event(const struct move *m, struct fo_event *e, uint8_t kind); /* zeroed, with the times of now */
bool move_feed(struct move *m, const struct fo_event *e);                /* false: it is lost, and counted */
struct move *moves_of(const struct moves *all, const char *service);
const char *move_service(const struct move *m);
void move_hold(struct move *m);
void move_own_vote(void *arg, const struct fo_vote *v); /* arg: a move */
void move_free(struct move *m);
void move_release(struct move *m); /* the last one frees a service that is gone */
void move_call_begin(struct move_call *c, struct move *m, void (*drop)(struct move_call *c));
void move_call_end(struct move_call *c); /* before its memory is freed; it may free the service */
bool move_call_fits(const struct move_call *c);

/* ---- moves_authority_io.c ---- */
int moves_authority_open(struct moves *all, const struct config *c, struct err *e);
void moves_local_free(struct moves *all);
void move_do_lease(struct move *m, uint8_t effect); /* ACQUIRE, KEEP, RESIGN, READ */
void move_do_store(struct move *m, const struct fo_effect *x);

/* ---- moves_actions_io.c ---- */
void move_do_action(struct move *m, const struct fo_effect *x);
void move_facts_tick(struct move *m, struct mono now); /* figures, readiness, users: FO_E_FACTS */
void move_facts_velocity(struct move *m);              /* at once, when another service has begun or ended */

/* ---- moves_say_io.c ---- */
void move_do_tell(struct move *m, const struct fo_effect *x);
void move_do_page(struct move *m, const struct fo_effect *x);
void move_unsay(struct move *m); /* a state and pages that nobody takes back any more */
/* The journal's line of what is being committed; the core's `next` against its `record`. */
void move_line(struct move *m, const struct fo_effect *x, struct fo_journal_line *out);
/* The plan's id: "app-7", of [a-z0-9-]. */
void move_plan_id(const struct move *m, uint32_t epoch, char out[FO_NAME]);

/* ---- moves_drill_io.c ---- */
int moves_drills_load(struct moves *all, const struct config *c, bool first, struct err *e);
void moves_drills_free(struct moves *all);
void moves_drills_tick(struct moves *all, struct mono now);
void moves_drills_metrics(const struct moves *all, struct sink *out);

int moves_lag_load(struct moves *all, struct err *e); /* what primaries said before this process began */

/* ---- moves_public_io.c ---- */
int moves_public_load(struct moves *all, struct err *e);
void move_public_note(struct move *m); /* after a step: what was committed may be shown */

/* ---- moves_word_io.c ---- */
void moves_words(struct moves *all); /* hooks into what peers say to each other */

/* ---- moves_guard_io.c ---- */
void move_guard_told(struct move *m, const char *guard, uint32_t fenced_epoch, bool serving, int64_t age_ms);
void move_guards_tick(struct move *m); /* FO_E_FENCED when all have said so */

#endif
