/* The simulator of failovers: a world in which everything fails, on virtual time and one seed, around the very objects that
 * the daemon runs (aggregator/failover/: core, table, gates, tally, vote, record). Same seed, same bytes.
 *
 * What is true outside (regions, links, databases, guards, targets, the store) is in `struct world`; each process that may
 * decide is a `struct node`, with its own clocks and a core that learns of the world only by events. The checkers
 * (check.c) look at the world and never ask the core whether it is right.
 *
 * Time is in milliseconds of the world; a node's boot and wall clocks drift from it and step. */
#ifndef SB_SIM_H
#define SB_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/failover/failover.h"
#include "aggregator/failover/vote.h"
#include "common/base/rng.h"

enum {
    SIM_NODES = 7,
    SIM_REGIONS = 3,
    SIM_DOMAINS = 8,
    SIM_GUARDS = 6,
    SIM_FAULTS = 48,
    SIM_ITEMS = 8192,
    SIM_WORDS = 512,
    SIM_REQUESTS = 128,
    SIM_CALLS = 256,
    SIM_HISTORY = 256,
    SIM_LOG = 40000
};

/* ---- faults ---- */

enum fault_kind {
    F_REGION_DEAD,   /* a: power is off: service, database, guards, nodes, links */
    F_REGION_CUT,    /* a: lives, and hears nobody */
    F_LINK_CUT,      /* a -> b; one way unless x */
    F_LINK_FLAP,     /* a <-> b, up and down every x ms */
    F_LINK_SLOW,     /* a <-> b, x ms more */
    F_LINK_LOSSY,    /* a <-> b, x % lost */
    F_STORE_DOWN,    /* no quorum */
    F_STORE_CUT,     /* domain a does not reach it */
    F_STORE_LEADER,  /* a new leader: away for x ms, all leases begin anew */
    F_STORE_REVOKE,  /* the lease that stands is taken away early */
    F_STORE_MUTE,    /* x % of the answers are lost */
    F_STORE_LATE,    /* x % of the commits are done after their time-out */
    F_STORE_SLOW,    /* x ms more */
    F_SERVICE_DOWN,  /* a: the service answers errors, its database lives */
    F_GRAY,          /* a: users are hurt, probes are well */
    F_PROBES_LIE,    /* a: probes fail, users are well */
    F_PROBE_ONE,     /* node a alone cannot probe region b */
    F_MUTED,         /* a: users' figures do not come */
    F_NO_TRAFFIC,    /* few users */
    F_LAG,           /* a: as a replica it falls behind by x ms a second */
    F_LAG_SILENT,    /* a: says nothing of its lag, and answers */
    F_PROMOTE_SLOW,  /* a: x ms */
    F_PROMOTE_FAIL,  /* a: a promotion does not end */
    F_CALL_LOST,     /* action a: x % of requests never arrive */
    F_CALL_MUTE,     /* action a: x % of answers are lost */
    F_CALL_LATE,     /* action a: x % take effect after the time-out */
    F_CALL_TWICE,    /* action a: x % take effect twice */
    F_CALL_RETRY,    /* action a: refused for now */
    F_CALL_DENIED,   /* action a: credentials */
    F_CALL_STRANGER, /* target of action a: somebody else has written a higher token */
    F_CRASH,         /* node a, back after x ms */
    F_CRASH_AT,      /* node a, at the x-th effect from then on */
    F_PAUSE,         /* node a sleeps until the end of the fault */
    F_PAUSE_AT,      /* node a sleeps at the x-th effect from then on */
    F_CLOCK_STEP,    /* node a: its wall clock jumps by x ms */
    F_CANARIES,      /* node a: its own network is bad */
    F_GUARD_DIE,     /* guard a dies: its watchdog fences */
    F_GUARD_SLEEP,   /* guard a and its database stand still, and wake */
    F_NOT_READY,     /* region a: x is the reason */
    F_READINESS_OLD, /* no reports */
    F_ALARM,         /* a blocking alarm; x: 1 outside the window */
    F_MOVING,        /* other services move */
    F_CALL_CONFLICT, /* action a: somebody else has changed its target */
    F_SERVICE_FLAP,  /* a: well and not, every x ms */
    F_COMMAND,       /* order a of the world's list, at node b */
    FAULT_KINDS
};
struct fault {
    uint8_t kind, a, b;
    uint8_t when; /* begins when the leader enters this state, after `from`; FO_STATES: at `from` */
    int32_t x;
    int64_t from, until;
};

/* ---- the world ---- */

struct link {
    uint8_t cuts, flap_down, loss; /* cuts: of faults; counted, since they overlap */
    int32_t more;
};

struct region {
    uint8_t dead, cut, service_down, gray, probes_lie, muted, lag_silent, promote_fail; /* counts of faults */
    int32_t lag_rate, promote_slow;
    fo_reasons not_ready;
    bool flapping;     /* at this moment its service is not well */
    bool writable;     /* its database would take writes */
    int64_t promoting; /* when the promotion under way ends; 0 none */
    uint8_t fenced_by; /* bit per fence action that has fenced it */
    int64_t applied;   /* as a replica: it has every write until then */
    int64_t heard;     /* as a replica: when its primary was last heard */
    uint64_t lineage;  /* of its writes: the highest is what replicas follow */
    struct fencing promoted_by;
    uint32_t promoted_epoch;
};

struct guard {
    uint8_t region, index;
    bool dead, asleep, serving, fencing;
    uint32_t fenced_epoch, seen_epoch;
    int64_t deadline;         /* true ms: its own clock is behind by at most its drift */
    int64_t round_at;         /* when its round began */
    uint16_t round, promised; /* bits of nodes that have promised in this round */
    uint16_t inc;
};

struct target { /* what one action changes */
    struct fencing found;
    uint8_t value;                                            /* SWITCH: the region routed to */
    uint32_t epoch;                                           /* of what was applied */
    uint8_t lost, mute, late, twice, retry, denied, conflict; /* faults */
    bool cas;
    bool inside; /* a fence: it has to be reached in the region itself */
    bool hollow; /* a fence that proves nothing, and does not keep anybody from writing */
};

struct request { /* to the store */
    uint8_t op, node, busy;
    uint16_t inc;
    bool executed, answered, mute,
        own; /* own: of the shell, for its guards; mute: its answer does not come */
    uint64_t id, seen;
    struct fencing token;
    int64_t sent; /* the node's boot ms */
    /* what the store did */
    uint8_t outcome;
    bool resigned, known;
    uint64_t rev;
    struct fencing got;
    struct fo_record record;
};
enum { OP_ACQUIRE, OP_KEEP, OP_RESIGN, OP_READ, OP_STORE };

struct store {
    uint8_t down; /* count of faults */
    uint8_t cut[SIM_DOMAINS];
    uint8_t mute, late;
    int32_t more;
    int64_t away_until, down_since; /* -1: it is there */
    uint64_t rev, life;
    bool held, given_up, ever;
    uint8_t holder;
    uint16_t holder_inc;
    uint64_t token;
    int64_t expires;
    bool known;
    uint64_t record_rev;
    struct fo_record record;
    int64_t prepared_at;  /* true ms of the newest plan's commit */
    int64_t writer_since; /* true ms of the newest change of `writer` */
    struct {
        uint64_t rev;
        struct fencing token;
        uint32_t epoch;
        uint8_t phase[FO_ACTIONS], status, fenced, writer;
    } history[SIM_HISTORY];
};

struct call { /* of a driver */
    uint8_t node, action, op, busy;
    uint16_t inc;
    bool answered, mute;
    uint8_t executions; /* still to come */
    uint64_t id;
    uint8_t from, to;
    uint32_t epoch;
    struct fencing token;
    uint8_t class, writable;
    struct fencing found;
    bool accept;
};

struct node {
    uint8_t index, domain;
    bool alive, may_lead;
    uint16_t inc;
    uint8_t canaries_bad, cannot_probe[SIM_REGIONS];
    int32_t drift_ppm;
    int64_t boot_off, wall_off;
    int64_t paused_until, last_turn;
    int32_t crash_at, pause_at; /* effects until then; < 0 none */
    int32_t pause_for;
    struct fo_config config; /* the world's, with what differs by node */
    struct vote_config votes;
    struct fo core, twin;
    struct voter voter;
    bool fast, has_twin;
    uint16_t looks;    /* one chain of looks at a time */
    int64_t kept_sent; /* boot ms, by our own book: newest successful keep */
    uint64_t kept_token;
    struct fo_record view; /* newest record read or committed, for the guards */
    bool view_known;
    int64_t view_started; /* boot ms; INT64_MIN never */
    struct {
        bool known, serving;
        uint32_t fenced_epoch;
    } guards[SIM_GUARDS];
    struct {
        struct fo_vote vote;
        int64_t at; /* true ms when its seq grew */
    } heard[SIM_NODES];
    int64_t tilt_at;         /* true ms of the newest anomaly */
    int64_t promised_until;  /* boot ms, by our own book */
    int64_t state_at, begun; /* true ms */
    uint32_t pages;          /* bit per state that names one */
    fo_reasons page_reasons;
    uint64_t denied_token[FO_ACTIONS]; /* a higher token was seen there under this token */
    bool commanded;                    /* an operator spoke since */
    uint64_t digest;
};

struct item {
    uint8_t kind, node;
    uint16_t inc, a, b;
    uint32_t y;
    int64_t x;
};
enum item_kind {
    I_TICK,
    I_LOOK,
    I_FACTS,
    I_WORD,
    I_EXEC,
    I_REPLY,
    I_CALL,
    I_RESULT,
    I_ROUND,
    I_ASK,
    I_TOLD,
    I_DEADLINE,
    I_FENCED,
    I_SERVE,
    I_FAULT,
    I_MENDED,
    I_FLAP,
    I_WAKE,
    I_RESTART,
    I_PROMOTED,
    I_REBUILD,
    I_READ,
    I_HEAL,
    I_END
};
struct heap_key {
    int64_t at;
    uint32_t seq, slot;
};
struct queue {
    uint32_t n, seq, free_n;
    struct heap_key heap[SIM_ITEMS];
    struct item items[SIM_ITEMS];
    uint32_t free[SIM_ITEMS];
};

enum cut {              /* what befalls one effect */
           CUT_DIES,    /* the leader dies before it, and is back in a moment */
           CUT_DEAD,    /* the leader dies before it, and is back in a minute and a half */
           CUT_DIED,    /* the leader dies behind it */
           CUT_SLEEPS,  /* the leader stands still behind it, for 40 s */
           CUT_LOST,    /* the request never arrives */
           CUT_MUTE,    /* it is done, and nobody hears of it */
           CUT_REVOKED, /* the lease is taken away before it */
           CUT_AWAY,    /* the store is away for 20 s from then on */
           CUTS
};
enum plan_tried { TRIED_DEATH, TRIED_SWITCHOVER, TRIED_DRILL, PLANS_TRIED };
enum scenario { SCENARIO_SWARM, SCENARIO_CONFINED, SCENARIO_DEATH, SCENARIO_COMMANDS, SCENARIOS };

struct marks { /* what a campaign has reached */
    uint64_t state[FO_STATES], reason[FO_REASONS], command[FO_COMMANDS], fault[FAULT_KINDS], answers;
    uint64_t row[1024];
    uint64_t plans[FO_KINDS], ended[FO_KINDS], undone, stuck, automatic, contract, proofs, seeds, events;
    uint64_t liveness, converged_ms_sum, converged_most;
    uint32_t converged[64]; /* histogram: 10 s each */
};

struct options {
    bool trace;
    uint64_t dropped; /* faults left out, by bit: shrinking */
    bool digest;
    uint32_t ignored; /* invariants, by bit: to look behind one that is known */
    bool cuts;        /* one plan without other faults, cut at chosen effects */
    uint8_t n_cuts;
    struct {
        int32_t at; /* how many effects of leaders are before it */
        uint8_t how;
    } cut[3];
};

struct world {
    uint64_t seed;
    struct options o;
    struct rng rng; /* of the run; configuration and faults have their own */
    int64_t now;
    enum scenario scenario;
    struct queue q;
    uint8_t n_nodes, n_domains, n_regions, n_guards, n_faults, n_orders;
    struct fo_config config; /* self and own_region differ by node */
    struct vote_config votes;
    struct fo_names names;
    struct node nodes[SIM_NODES];
    struct region regions[SIM_REGIONS];
    struct guard guards[SIM_GUARDS];
    struct target targets[FO_ACTIONS];
    struct link links[SIM_DOMAINS][SIM_DOMAINS];
    struct store store;
    struct request requests[SIM_REQUESTS];
    struct call calls[SIM_CALLS];
    struct fo_vote words[SIM_WORDS];
    uint32_t next_request, next_call, next_word;
    struct fault faults[SIM_FAULTS];
    struct fo_order orders[SIM_FAULTS];
    uint64_t waiting;    /* faults that wait for a state, by bit */
    int64_t heals, ends; /* true ms */
    bool healed;
    uint8_t dead_for_good;           /* region; FO_NONE */
    int64_t last_write[SIM_REGIONS]; /* true ms: it could commit */
    uint8_t commits;                 /* bits of regions that can commit now */
    uint8_t no_traffic, readiness_old, alarm, out_of_window, moving;
    uint8_t promotes;                /* the action that opens the database */
    uint32_t epoch_row[SIM_REGIONS]; /* in each database: the highest epoch of which it knows */
    int64_t wrote, wrote_at;         /* ms of writes so far, and as of when */
    bool lied;                       /* an operator vouched for what was not so */
    bool broke_glass, skipped;
    bool stranger;                   /* somebody else wrote at a target */
    bool late_calls;                 /* effects may come after their plan is over */
    uint32_t commands;               /* orders given so far */
    uint32_t helped;                 /* orders given after all was well */
    uint32_t commands_then;          /* at the newest automatic plan */
    uint32_t automatic_plans, plans; /* automatic: without those that were taken back */
    uint8_t last_auto_from, last_auto_to;
    struct fo_plan plan_seen; /* as committed first, of plan_seen.epoch */
    uint32_t effects;         /* that leaders have begun: where a plan can be cut */
    bool cut_lost, cut_mute;  /* of the effect that is being begun */
    uint32_t late_fences;
    uint32_t switched_epoch[FO_ACTIONS];
    int64_t converged_at;
    uint8_t converged_commits; /* regions that could commit then */
    /* violation */
    uint8_t broken; /* invariant; 0 none */
    int64_t broken_at;
    char broken_why[256];
    struct marks *m; /* borrowed; shared by all seeds of a process */
    uint64_t digest;
    FILE *trace_to;
};

/* queue.c */
void queue_init(struct queue *q);
void queue_push(struct world *w, int64_t at, struct item it);
bool queue_pop(struct queue *q, int64_t *at, struct item *it);

/* world.c: configuration, links, regions, users */
void world_init(struct world *w, uint64_t seed, const struct options *o, struct marks *m);
bool world_run(struct world *w);                              /* false: an invariant is broken */
bool reach(struct world *w, uint8_t from, uint8_t to);        /* now; draws for lossy links */
bool linked(const struct world *w, uint8_t from, uint8_t to); /* without a draw */
int64_t delay(struct world *w, uint8_t from, uint8_t to);
bool chance(struct world *w, uint32_t percent);
int64_t between(struct world *w, int64_t least, int64_t most);
void world_changed(struct world *w); /* who may commit has changed, perhaps */
bool region_commits(const struct world *w, uint8_t r);
uint8_t source(const struct world *w); /* the region whose writes are the newest: replicas follow it */
uint8_t routed(const struct world *w); /* the region that users are sent to */
int64_t lag_of(const struct world *w, uint8_t r); /* what region r lacks now, ms */
bool region_well(const struct world *w, uint8_t r);

/* faults.c */
void faults_choose(struct world *w, struct rng *r);
void fault_begin(struct world *w, uint8_t i);
void faults_at_state(struct world *w, uint8_t state); /* the leader has entered it */
void fault_end(struct world *w, uint8_t i);
void operator_helps(struct world *w);
const char *fault_name(uint8_t kind);
void faults_print(const struct world *w, FILE *to);

/* node.c: the shell around one core */
int64_t node_boot(const struct world *w, const struct node *n);
int64_t node_wall(const struct world *w, const struct node *n);
void node_start(struct world *w, struct node *n);
void node_crash(struct world *w, struct node *n, int64_t back_after);
void node_pause(struct world *w, struct node *n, int64_t until);
void node_event(struct world *w, struct node *n, struct fo_event *e);
void node_tick(struct world *w, struct node *n);
void node_look(struct world *w, struct node *n);
void node_facts(struct world *w, struct node *n);
void node_word(struct world *w, struct node *n, const struct item *it);
void node_anomaly(struct world *w, struct node *n);

/* store.c */
void store_ask(struct world *w, struct node *n, uint8_t op, uint64_t id, bool own);
void store_exec(struct world *w, struct request *r);
void store_reply(struct world *w, struct request *r);
bool store_there(const struct world *w);
void store_new_leader(struct world *w, int64_t away);
void store_revoke(struct world *w);

/* targets.c */
void call_begin(struct world *w, struct node *n, const struct fo_effect *e);
void call_exec(struct world *w, struct call *c);
void call_result(struct world *w, struct call *c);
void promoted(struct world *w, uint8_t region);

/* guards.c */
void guards_init(struct world *w);
void guard_round(struct world *w, uint8_t g);
void guard_ask(struct world *w, struct node *n, const struct item *it);
void guard_told(struct world *w, const struct item *it);
void guard_deadline(struct world *w, uint8_t g);
void guard_fenced(struct world *w, uint8_t g, uint32_t epoch);
void guard_serves(struct world *w, uint8_t g);
void guard_boot(struct world *w, uint8_t g);
bool guards_let(const struct world *w, uint8_t region);

/* check.c: one function for each invariant of the design; numbers as there */
void broken(struct world *w, uint8_t invariant, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void check_commits(struct world *w);
void check_begin(struct world *w, struct node *n, const struct fo_effect *e);
void check_commit(struct world *w, struct node *n, const struct fo_record *before, const struct fo_record *r);
void check_ask_store(struct world *w, struct node *n);
void check_step(struct world *w, struct node *n, const struct fo_effects *out);
void check_accepted(struct world *w, const struct call *c);
void check_promotion(struct world *w, uint8_t region, int64_t loss);
void check_end(struct world *w);
void order_again(struct world *w);
void check_told(struct world *w, const struct fo_order *o);
void check_twin(struct world *w, struct node *n, const struct fo_event *e, const struct fo_effects *out);

/* main.c, cuts.c */
bool once(struct world *w, uint64_t seed, const struct options *o, struct marks *m, FILE *to);
void explain(struct world *w, uint64_t seed, struct options o, bool brief);
int cuts_try(uint64_t first, uint64_t n, int cuts, const struct options *o, int most, struct marks *m);

/* trace.c */
void trace(struct world *w, const struct node *n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void marks_effects(struct world *w, const struct node *n, const struct fo_effects *out);
int marks_report(const struct marks *m, FILE *to); /* how many are missing */
uint64_t mix(uint64_t digest, const void *p, size_t n);

#endif
