/* The decision: whether the service moves to another region, and each step of the move. Pure, integers only, no
 * allocation, no pointer in any state: the same object file runs in the daemon and in the simulator, and the same events
 * give the same bytes with every compiler.
 *
 *   fo_step(state, config, event) -> effects
 *
 * Every aggregator that may lead runs one `struct fo` for each [failover SERVICE]. All of them look; only the holder of the
 * service's lease decides and acts. What must outlive it stands in `struct fo_record`, which is committed to the authority
 * (etcd, or the local store) by a transaction guarded with the holder's token and the record's revision, BEFORE the effects
 * that it intends are started.
 *
 * Times: `now` is the boot clock in milliseconds, for every deadline; `wall` is the wall clock in milliseconds, for what
 * outlives a process (hold-down, budgets, suppressions). */
#ifndef SB_FAILOVER_FAILOVER_H
#define SB_FAILOVER_FAILOVER_H

#include "aggregator/actions/action.h"

enum {
    FO_REGIONS = 6,
    FO_VOTERS = 12,
    FO_ACTIONS = 24,
    FO_NAME = 65,
    FO_WHO = 64,
    FO_WHY = 128,
    FO_MOVES = 8
};
enum { FO_NONE = 255 }; /* no region, no voter, no action */

/* ---- evidence ---- */

enum fo_verdict { FO_UNKNOWN, FO_UP, FO_DEGRADED, FO_DOWN };
enum fo_class {                    /* bits */
                FO_PROBES = 1,     /* E1: outside-in, to names that lead to that region alone */
                FO_USERS = 2,      /* E2: what users see there, good of total */
                FO_HEARTBEAT = 4,  /* E3: that region's aggregators are not heard (phi) */
                FO_DATABASE = 8,   /* E4: the standby hears its primary, or does not */
                FO_AGENTS = 16,    /* agents of that region: soft, never sufficient */
                FO_DEPENDENCY = 32 /* E5, E6: soft, never sufficient */
};
enum { FO_HARD = FO_PROBES | FO_USERS | FO_HEARTBEAT | FO_DATABASE };
enum fo_users { FO_USERS_UNKNOWN, FO_USERS_GOOD, FO_USERS_BAD }; /* GOOD: enough events, success as usual */

/* What one voter says of all regions of a service. Missing is FO_UNKNOWN. */
struct fo_vote {
    uint64_t boot;               /* another process: seq begins anew */
    uint64_t seq;                /* grows with each look */
    int32_t tick_ms;             /* how often it looks now */
    uint8_t voter;               /* index in the configuration */
    uint8_t verdict[FO_REGIONS]; /* enum fo_verdict */
    uint8_t classes[FO_REGIONS]; /* that bear the verdict */
    uint8_t users[FO_REGIONS];   /* enum fo_users */
    uint8_t gray;                /* bit per region: users are hurt, probes say it is well */
    uint8_t self_ok;             /* its own canaries answer, no TILT: else all verdicts are FO_UNKNOWN */
};
struct fo_heard { /* the newest vote of a voter, and when its seq last grew by OUR clock */
    struct fo_vote vote;
    int64_t at; /* boot ms; 0: never */
};

/* Votes counted: tally.c. A vote counts while its seq grew within two of its ticks. */
struct fo_tally {
    uint8_t n[FO_REGIONS][4];    /* by verdict, of CONFIGURED voters; silent ones are FO_UNKNOWN */
    uint8_t hard_down;           /* bit per region: 4.3 (a)-(d) holds */
    uint8_t up;                  /* bit per region: a majority of configured voters says UP */
    uint8_t doubt;               /* bit per region: any voter says DOWN, or gray */
    uint8_t gray;                /* bit per region: a majority of votes that know users says gray */
    uint8_t fail_static;         /* a majority sees every region DOWN, or its own canaries failing */
    uint8_t quorum;              /* a majority of configured voters is heard, and not tilted */
    uint8_t classes[FO_REGIONS]; /* of DOWN votes, together */
    uint8_t
        down_elsewhere[FO_REGIONS]; /* different failure domains, other than that region's, that say DOWN */
};

/* ---- configuration of one service ---- */

enum fo_automation { FO_OBSERVE, FO_PROPOSE, FO_AUTO };

struct fo_action {
    uint8_t step;     /* enum plan_step */
    uint8_t required; /* else best effort */
    uint8_t proves;   /* a fence that proves */
    uint8_t undo;     /* can be taken back */
    uint8_t on;       /* bits: 1 << enum fo_kind */
    int32_t timeout_ms, patience_ms;
};

struct fo_times {          /* milliseconds */
    int32_t boot;          /* 60 000 without decisions after start, and two windows of votes */
    int32_t suspect_clear; /* 30 000 */
    int32_t confirm;       /* 10 000 */
    int32_t gray_page, gray_clear, gray_auto; /* 60 000, 120 000, 300 000 */
    int32_t tilt;                             /* 30 000 */
    int32_t lease, keep,
        margin;         /* 15 000, 3 000, 4 000: no effect is begun later than sent + lease - margin */
    int32_t lock_delay; /* 10 000: a new holder waits before its first effect unless the old one resigned */
    int32_t serving;    /* 20 000: a guard's lease */
    int32_t contract;   /* 32 000: fenced by contract so long after the record said so */
    int32_t fence;      /* 60 000: then BLOCKED */
    int32_t catchup;    /* 60 000: planned moves: lag 0 within, else taken back */
    int32_t target_up;  /* 600 000: how long the target has been UP */
    int32_t ready_age;  /* 1 800 000: readiness not older */
    int32_t rpo;        /* 60 000 */
    int32_t warm;       /* 120 000: cap */
    int32_t validate;   /* 180 000 good in a row */
    int32_t validate_most;     /* 600 000: then STUCK */
    int32_t hold;              /* 1 800 000 from completion */
    int32_t failback_green;    /* 3 600 000: home UP for so long before a failback */
    int32_t retry, retry_most; /* 500, 8 000: full jitter between attempts */
    int32_t plan_most;         /* cap of drills, 1 800 000 */
};

struct fo_config {
    uint8_t n_regions;               /* of the service, 2 …; 0 is home, the others in order of preference */
    uint8_t n_voters, self;          /* self: our own index, FO_NONE when we have no vote */
    uint8_t voter_domain[FO_VOTERS]; /* failure domain: the region's index, or >= FO_REGIONS for others */
    uint8_t own_region;              /* index, FO_NONE elsewhere */
    uint8_t automation;              /* enum fo_automation */
    uint8_t auto_ok;                 /* the conditions of `auto` hold; else AUTO acts as PROPOSE */
    uint16_t witnesses;              /* bit per voter: it never leads */
    uint8_t may_lead;                /* role full */
    uint8_t local;                   /* the embedded authority */
    uint8_t gray_auto, accept_unknown_lag;
    uint8_t guarded; /* bit per region: guards are configured there */
    uint8_t n_guards[FO_REGIONS];
    uint8_t budget_day, budget_week; /* 1, 2 */
    uint8_t fence_required;          /* yes: without proof or contract nobody promotes */
    uint8_t n_actions;
    struct fo_action actions[FO_ACTIONS];
    struct fo_times t;
};

/* ---- the record: what outlives a process ---- */

enum fo_kind { FO_FAILOVER, FO_SWITCHOVER, FO_DRILL, FO_KINDS }; /* failback is a switchover to home */
enum fo_status { FO_STEADY_STATUS, FO_PLAN, FO_HOLD_STATUS, FO_STUCK_STATUS, FO_UNDO_STATUS };
enum fo_phase { /* of one action in a plan */
                FO_IDLE,
                FO_INTENT,
                FO_DONE,
                FO_FAILED,
                FO_SKIPPED,
                FO_UNDOING,
                FO_UNDONE
};

struct fo_plan {
    uint32_t epoch; /* one plan for each */
    uint8_t kind;   /* enum fo_kind */
    uint8_t from, to;
    uint8_t step;              /* enum plan_step under way */
    uint8_t past_no_return;    /* promote was intended: only forward */
    uint8_t automatic;         /* nobody asked: counts for the budget */
    uint8_t fenced;            /* 0 no, 1 proof, 2 contract, 3 an operator's word */
    uint8_t was_fenced;        /* nobody wrote before it began (FO_C_FENCE): taking it back leaves that so */
    uint8_t undoing;           /* it is being, or was, taken back */
    uint8_t phase[FO_ACTIONS]; /* enum fo_phase */
    uint8_t tries[FO_ACTIONS];
    int64_t accepted_loss_ms; /* -1: none */
    int64_t loss_ms;          /* as estimated at last look; -1 unknown */
    int64_t asked, began, fence_said, fenced_at, writable_at, switched_at, valid_at,
        ended;                     /* wall ms; 0 not yet */
    int64_t bad_since, suspect_at; /* t0, t1 */
    char who[FO_WHO], why[FO_WHY];
};

struct fo_suppression { /* all of them end */
    int64_t until;      /* wall ms; 0: not in force */
    uint8_t region;     /* must_not: which; else FO_NONE */
    char who[FO_WHO], why[FO_WHY];
};

struct fo_record {
    uint32_t version; /* of this layout */
    uint32_t epoch;   /* highest ever given */
    uint8_t active;   /* region to which users are sent */
    uint8_t writer;   /* region that may write; FO_NONE while a move is between fence and promote */
    uint8_t status;   /* enum fo_status */
    uint8_t
        left; /* bit per region that automation moved away from: it does not move back by itself; a move by command
                     or FO_C_ACK clears them */
    struct fencing token;                                          /* of whoever wrote it */
    struct fo_plan plan;                                           /* of `epoch`; kept when it has ended */
    struct fo_suppression lock, must_not, maintenance, automation; /* automation: region holds the mode */
    int64_t moves[FO_MOVES]; /* wall ms of automatic failovers, newest first */
    int64_t hold_until;      /* wall ms */
    int64_t flap_at;         /* wall ms, and the penalty then */
    int32_t flap;
    uint32_t stuck_reason; /* enum fo_reason */
};

/* ---- why ---- */

enum fo_reason {
    FO_R_NONE,
    FO_R_QUORUM,      /* too few voters are heard */
    FO_R_NOT_DOWN,    /* votes do not say that it is down */
    FO_R_FAIL_STATIC, /* everything looks down: suspect the judge */
    FO_R_LEASE,       /* not the holder, or its lease ends too soon */
    FO_R_STORE,       /* the authority does not answer */
    FO_R_TILT,        /* our own clock or loop jumped */
    FO_R_PROMISED,    /* a guard was promised that we do not act */
    FO_R_LOCKED,
    FO_R_MAINTENANCE,
    FO_R_MUST_NOT,
    FO_R_AUTOMATION, /* observe, or propose: somebody has to approve */
    FO_R_HOLD,       /* hold-down after a move */
    FO_R_PLAN_LIVE,  /* one plan at a time */
    FO_R_TARGET_DOWN,
    FO_R_TARGET_YOUNG,
    FO_R_READINESS_OLD,
    FO_R_CAPACITY,
    FO_R_QUOTA,
    FO_R_CREDENTIALS,
    FO_R_VERSIONS,
    FO_R_TTL,
    FO_R_DNS_PROTECTED,
    FO_R_PLACEMENT, /* authority or deciders stand on one side */
    FO_R_ACTION,    /* a required action's precheck fails */
    FO_R_LAG_UNKNOWN,
    FO_R_RPO,
    FO_R_LAG_NOT_ZERO,
    FO_R_BUDGET_DAY,
    FO_R_BUDGET_WEEK,
    FO_R_VELOCITY,
    FO_R_FLAP,
    FO_R_NO_FENCE,     /* there is no way to fence */
    FO_R_FENCE_FAILED, /* neither proof nor contract in time */
    FO_R_ONE_REGION,   /* at least one region stays on */
    FO_R_STEP_FAILED,
    FO_R_STEP_CONFLICT,
    FO_R_STEP_DENIED,
    FO_R_TOKEN_HIGHER,
    FO_R_NOT_VALID,  /* outside validation did not turn good */
    FO_R_HOME_YOUNG, /* failback: home is not green for long enough */
    FO_R_BLOCKING_ALARM,
    FO_R_WINDOW,
    FO_R_CAP,  /* drills */
    FO_R_GRAY, /* users hurt, monitors split */
    FO_R_LEFT, /* automation moved away from that region, and nobody has looked since */
    /* answers to commands alone */
    FO_R_BUSY,     /* another command is being committed */
    FO_R_NO_PLAN,  /* there is nothing to approve, abort, resume … */
    FO_R_TOO_LATE, /* past the point of no return: only forward */
    FO_R_INVALID,  /* a region, an action or a plan that is not meant */
    FO_REASONS
};
/* "quorum", one sentence, and the command that helps ("" none). Never NULL. */
const char *fo_reason_name(enum fo_reason r);
const char *fo_reason_text(enum fo_reason r);
const char *fo_reason_command(enum fo_reason r);
typedef uint64_t fo_reasons; /* bit per reason */
#define FO_BIT(r) (UINT64_C(1) << (r))
void fo_reasons_text(fo_reasons which, char *out, size_t cap); /* "target_down, rpo"; cut at cap */

/* ---- facts for the gates, gathered by the shell ---- */

struct fo_region_facts {
    int64_t ready_at; /* boot ms of the last readiness; 0 never */
    fo_reasons
        blockers; /* of readiness, as a target: CAPACITY QUOTA CREDENTIALS VERSIONS TTL DNS_PROTECTED PLACEMENT ACTION */
    int64_t lag_ms; /* what this region lacks as a target; -1 unknown */
    int64_t lag_at; /* boot ms of that sample; 0 never */
    uint8_t synchronous;
};
struct fo_facts {
    struct fo_region_facts region[FO_REGIONS];
    int64_t
        writes_stopped_at; /* boot ms since when the active region's users write nothing; 0: not known to have stopped */
    int64_t bad_since;                 /* wall ms of the first bad user minute; 0 unknown */
    uint8_t others_moving, services;   /* services under way elsewhere; of how many: velocity */
    uint8_t blocking_alarm, in_window; /* drills, failback; in_window also when no window is configured */
};

/* ---- events ---- */

enum fo_event_kind {
    FO_E_TICK, /* at least every second; timers */
    FO_E_VOTE,
    FO_E_FACTS,
    FO_E_LEASE,    /* granted, kept, lost, refused (somebody else holds it), error */
    FO_E_RECORD,   /* the record as read; absent: the service is new */
    FO_E_STORED,   /* what became of FO_DO_STORE */
    FO_E_ACTION,   /* what became of FO_DO_ACTION */
    FO_E_FENCED,   /* every guard of a region says that it is fenced at `epoch` */
    FO_E_PROMISED, /* we have promised a guard not to act until `until` */
    FO_E_COMMAND,
    FO_E_ANOMALY, /* our clock stepped, the loop stalled, the machine slept: TILT */
    FO_EVENTS
};
enum fo_lease { FO_LEASE_GRANTED, FO_LEASE_KEPT, FO_LEASE_LOST, FO_LEASE_HELD_BY_OTHER, FO_LEASE_ERROR };
enum fo_stored {
    FO_STORED_OK,
    FO_STORED_CONFLICT,
    FO_STORED_LOST,
    FO_STORED_UNKNOWN
}; /* LOST: the lease's guard failed */

enum fo_command {
    FO_C_START,
    FO_C_SWITCHOVER,
    FO_C_FAILBACK,
    FO_C_APPROVE,
    FO_C_ABORT,
    FO_C_RESUME,
    FO_C_RETRY,
    FO_C_SKIP,
    FO_C_ACK, /* somebody has looked: hold-down ends, regions that were left may be moved to again */
    FO_C_LOCK,
    FO_C_UNLOCK, /* with a region: takes its must_not back */
    FO_C_MUST_NOT,
    FO_C_MAINTENANCE,
    FO_C_AUTOMATION,
    FO_C_FENCE,
    FO_C_UNFENCE,
    FO_C_BREAK_GLASS, /* the record's writer and active are set by hand; local root alone, see docs */
    FO_C_DRILL,
    FO_C_DRILL_ABORT,
    FO_COMMANDS
};
struct fo_order {
    uint8_t command; /* enum fo_command */
    uint8_t region;  /* to …, must_not …, fence …; FO_NONE */
    uint8_t mode;    /* AUTOMATION: enum fo_automation */
    uint8_t action;  /* SKIP, RETRY: index; FO_NONE: all that stand in the way */
    uint8_t
        fenced_by_hand; /* BREAK_GLASS, RESUME at FENCE: the operator vouches that the old region does not write */
    uint64_t id;        /* answered by FO_DO_ANSWER */
    uint32_t epoch;         /* APPROVE, ABORT …: of the plan meant; 0: whichever is live */
    int64_t accept_loss_ms; /* -1 none */
    int64_t until; /* wall ms of a suppression's end; bounded to 24 h; 0: 4 h; in the past: it ends now */
    char who[FO_WHO], why[FO_WHY];
};

struct fo_event {
    uint8_t kind;
    int64_t now, wall;
    union {
        struct fo_vote vote;
        struct fo_facts facts;
        struct {
            uint8_t what;         /* enum fo_lease */
            struct fencing token; /* granted, kept */
            int64_t sent;         /* boot ms when the request left: deadlines count from there */
            uint8_t resigned;     /* granted: the holder before gave it up on purpose */
        } lease;
        struct {
            uint8_t known; /* else the service is new */
            uint64_t rev;  /* mod revision */
            struct fo_record record;
        } record;
        struct {
            uint8_t what;     /* enum fo_stored */
            uint64_t rev, id; /* id of the FO_DO_STORE */
        } stored;
        struct {
            uint8_t action, op, class; /* op: enum action_op, class: enum action_class */
            uint64_t id;               /* of the FO_DO_ACTION; a late answer of an older one is dropped */
            int32_t retry_after_ms;
            uint8_t writable;
            struct fencing found;
        } action;
        struct {
            uint8_t region;
            uint32_t epoch;
        } fenced;
        struct {
            int64_t until; /* boot ms */
        } promised;
        struct fo_order order;
    } u;
};

/* ---- effects ---- */

enum fo_effect_kind {
    FO_DO_ACQUIRE,
    FO_DO_KEEP,
    FO_DO_RESIGN,
    FO_DO_READ,
    FO_DO_STORE,  /* commit state.next; answered by FO_E_STORED */
    FO_DO_ACTION, /* answered by FO_E_ACTION */
    FO_DO_FAST,   /* probes every second (on) or every five (off) */
    FO_DO_PAGE,   /* on: told; off: resolved */
    FO_DO_TELL,   /* a transition: row, from, to. Event, journal, log */
    FO_DO_ANSWER, /* to a command */
    FO_EFFECTS
};
enum fo_page { FO_PAGE_WARNING, FO_PAGE_CRITICAL };

struct fo_effect {
    uint8_t kind;
    uint8_t on;
    uint8_t action, op; /* ACTION */
    uint8_t level;      /* PAGE: enum fo_page */
    uint8_t from,
        to; /* TELL, STORE: enum fo_state; PAGE: `to` is the state that it is about, FO_S_PREPARE: a move;
                           TELL with from == to: a best-effort `action` failed with class `code` and is passed over */
    uint16_t row;  /* of the table: which rule ordered this; never 0 */
    uint16_t code; /* ANSWER: 0 done, else enum fo_reason that forbids it */
    fo_reasons reasons;
    uint64_t id;        /* STORE, ACTION, ANSWER */
    int32_t timeout_ms; /* ACTION */
};
enum { FO_EFFECTS_MOST = 64 };
struct fo_effects {
    uint32_t n, lost; /* lost: more than fit: our own bug, counted */
    struct fo_effect v[FO_EFFECTS_MOST];
};

/* ---- the machine ---- */

enum fo_state {
    FO_S_BOOT,
    FO_S_FOLLOW, /* FOLLOW: another one holds the lease */
    FO_S_STEADY,
    FO_S_SUSPECT,
    FO_S_GRAY,
    FO_S_CONFIRM,
    FO_S_GATE,
    FO_S_BLOCKED,
    FO_S_PREPARE,
    FO_S_FENCE,
    FO_S_CATCHUP,
    FO_S_LASTLOOK,
    FO_S_UNDO,
    FO_S_PROMOTE,
    FO_S_WARM,
    FO_S_TEST,
    FO_S_SWITCH,
    FO_S_VALIDATE,
    FO_S_TIDY,
    FO_S_HOLD,
    FO_S_STUCK,
    FO_S_RESUME,
    FO_S_FROZEN,
    FO_STATES
};
const char *fo_state_name(uint8_t s); /* "STEADY" */
const char *fo_state_text(uint8_t s); /* one sentence */

/* Running of one action, of this process alone. */
struct fo_run {
    uint8_t op;     /* enum action_op under way or next */
    uint8_t flying; /* asked, not answered */
    uint64_t id;
    int64_t next, until; /* boot ms: next attempt; patience */
    int64_t ends;        /* boot ms: an answer that has not come by then is taken for lost */
    int32_t backoff;
    uint8_t last;    /* enum action_class of the last answer */
    uint8_t settled; /* enum fo_phase that it has come to and that is not committed yet; FO_IDLE: none */
    uint8_t tries, missed;
};

struct fo {
    uint8_t state, before; /* before: where BLOCKED, FROZEN … came from */
    uint8_t fast, tilted, leading, storing, known, reading, resigning;
    int64_t entered, since; /* boot ms of this state; of the condition that has to hold without a break */
    int64_t started, tilt_until, promised_until, deadline, first_effect, kept_at, tried_at, read_at;
    int64_t up_since[FO_REGIONS]; /* boot ms since when `up` holds without a break; 0 not */
    struct fencing token;
    uint64_t rev, ids, store_id;
    int64_t store_at; /* boot ms of the FO_DO_STORE under way */
    uint8_t
        unsure; /* a commit's outcome is not known: it may still come true, until another one is through */
    struct fo_heard heard[FO_VOTERS];
    struct fo_tally tally;
    struct fo_facts facts;
    struct fo_record record, next; /* committed; being committed */
    struct fo_run runs[FO_ACTIONS];
    struct fo_order pending; /* a command under way: answered when committed */
    uint8_t pending_on;      /* 0 none, 1 waits, 2 stands in `next` */
    uint8_t rung;            /* how the old region is fenced, as plan.fenced, before it is committed */
    uint8_t was_down;        /* bit per region: hard down and not UP since */
    uint8_t flaps;           /* changes from down to up that are not in the record yet */
    int64_t suspect_at;      /* wall ms of the present doubt; 0 none */
    int64_t gray_since;      /* boot ms, of the active region without a break; 0 not */
    int64_t down_since;      /* … hard down */
    int64_t ill_since;       /* … down for one voter and not well for a majority */
    uint8_t fenced_region;   /* of the newest FO_E_FENCED */
    uint32_t fenced_epoch;
    fo_reasons reasons; /* why BLOCKED, STUCK, or not acting */
    fo_reasons sticky;  /* of `reasons`: those that no gate sees and that an operator or health takes away */
    fo_reasons told;    /* as on the page that stands */
    uint16_t row;       /* last rule that fired */
    uint16_t pages;     /* bit per page that stands; in the upper half: told as a warning */
    uint64_t seed;      /* of jitter */
};

/* now: boot ms. */
void fo_init(struct fo *s, const struct fo_config *c, int64_t now, uint64_t seed);
/* A changed configuration between two events: regions and voters may not change their meaning while a plan is live
 * (the shell refuses such a reload); actions may not change their index then. */
void fo_step(struct fo *s, const struct fo_config *c, const struct fo_event *e, struct fo_effects *out);
/* The same, as readable names. */
const char *fo_verdict_name(uint8_t v);
const char *fo_class_name(uint8_t bit);
const char *fo_kind_name(uint8_t k);
const char *fo_command_name(uint8_t c);
const char *fo_phase_name(uint8_t p);
const char *fo_automation_name(uint8_t m);

/* The table, for --dump-fsm, `explain` and the diagram in docs/failover.md. */
struct fo_row {
    uint16_t number;  /* never reused */
    uint8_t from, to; /* enum fo_state */
    const char *name; /* of the condition: "hard_down" */
    const char *sentence;
};
extern const struct fo_row fo_rows[];
extern const uint32_t fo_rows_count;
const struct fo_row *fo_row_find(uint16_t number);

/* tally.c */
void fo_count(const struct fo_config *c, const struct fo_heard heard[FO_VOTERS], uint8_t active, int64_t now,
              struct fo_tally *out);
/* gates.c: everything that forbids moving to `to` now, as one snapshot; 0: nothing. */
fo_reasons fo_gates(const struct fo *s, const struct fo_config *c, enum fo_kind kind, uint8_t to,
                    int64_t accepted_loss_ms, int64_t now, int64_t wall);
/* What would be lost by promoting `to` now (4.6): -1 unknown. */
int64_t fo_loss(const struct fo *s, const struct fo_config *c, uint8_t to, int64_t now);
/* The flap penalty as of `wall`: half-life 15 min, in integers. */
int32_t fo_flap(int32_t penalty, int64_t at, int64_t wall);
/* The region that a failover from `active` would go to: of those that are UP the first in order that is allowed, else the
 * first that automation left, else the first that is ruled out (so that the gates say what is in the way); FO_NONE. */
uint8_t fo_target(const struct fo *s, const struct fo_config *c, int64_t wall);

/* ---- record.c: the record as text, versioned, checksummed: for etcdctl's reader at night, and the same everywhere ---- */
enum { FO_RECORD_TEXT = 8192 };
/* Names of the regions and actions, in the order of the indices: they stand in the text, so that configurations may differ
 * in their order. */
struct fo_names {
    char service[FO_NAME], region[FO_REGIONS][FO_NAME], voter[FO_VOTERS][FO_NAME],
        action[FO_ACTIONS][FO_NAME];
};
/* The index of that region among the first n; FO_NONE, also for NULL. */
uint8_t fo_region_index(const struct fo_names *names, uint8_t n, const char *region);
/* 0, ERR_LIMIT. */
int fo_record_write(const struct fo_record *r, const struct fo_config *c, const struct fo_names *n,
                    struct buf *out);
/* Total on any bytes. ERR_MALFORMED (also a checksum), ERR_LIMIT, ERR_STATE: a later version, or a region or action that
 * this configuration has not. */
int fo_record_read(struct bytes text, const struct fo_config *c, const struct fo_names *n,
                   struct fo_record *out, struct err *e);
/* Whether a guard of `region` may let its service run. */
bool fo_may_serve(const struct fo_record *r, uint8_t region);

#endif
