/* Action drivers: the hands of a failover. One file each in this folder, ending in one `const struct action_driver
 * action_<type>`; the Makefile finds it. A driver changes one thing outside (a record, a database's role, a load
 * balancer's backend) and can say what is true there.
 *
 * The contract of every driver:
 *  - `probe` reads the truth outside and changes nothing. It alone settles what became of an `apply` whose answer was
 *    lost: a time-out is ACTION_UNKNOWN, never a failure.
 *  - `apply` is idempotent, and compares before it sets (CAS): where the target can hold a token, it refuses with
 *    ACTION_CONFLICT when the token found there is higher than its own, and it never deletes what it has not read.
 *  - whatever is written to a target that can hold text carries "epoch=E token=S.R plan=ID".
 *  - it blocks, in a worker, and ends within the deadline.
 *  - it keeps nothing between calls but what `open` has read: any aggregator may go on with a plan of another one. */
#ifndef SB_ACTIONS_ACTION_H
#define SB_ACTIONS_ACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/metric.h"
#include "common/config/config.h"
#include "common/daemon/log.h"
#include "common/net/loop.h"

/* The steps of a plan, in order. An action belongs to one. */
enum plan_step {
    STEP_FENCE,    /* the old region stops writing */
    STEP_CATCHUP,  /* planned moves: the target has everything (lag 0) */
    STEP_PROMOTE,  /* the target may write; actions that only prepare (scale) may run beside it */
    STEP_WARM,     /* capacity, caches, pools */
    STEP_TEST,     /* a write and a read in the target, before anybody is sent there */
    STEP_SWITCH,   /* traffic */
    STEP_VALIDATE, /* from outside */
    STEP_TIDY,     /* best effort: make it permanent, protect the old side again */
    PLAN_STEPS
};
const char *plan_step_name(enum plan_step s); /* "fence" … */

enum action_op { ACTION_PRECHECK, ACTION_PROBE, ACTION_APPLY, ACTION_VERIFY, ACTION_UNDO, ACTION_OPS };
const char *action_op_name(enum action_op op); /* "precheck" … */

enum action_class {
    ACTION_OK,          /* precheck: could be done now; probe, verify: it is so; apply, undo: taken */
    ACTION_ALREADY,     /* apply, undo: it was so before */
    ACTION_NOT_APPLIED, /* probe, verify: it is not so */
    ACTION_PROGRESS,    /* probe, verify, apply: on its way: ask again */
    ACTION_RETRY,       /* nothing has changed, later it may work */
    ACTION_THROTTLED,   /* the same, and more slowly */
    ACTION_CONFLICT, /* somebody else has changed it, or a higher token stands there: a human has to look */
    ACTION_DENIED,   /* credentials, rights, a wrong name: it will not work until somebody mends it */
    ACTION_UNKNOWN,  /* asked, and the answer was lost: only `probe` tells */
    ACTION_CLASSES
};
const char *action_class_name(enum action_class c); /* "ok" "already" "not_applied" … */

/* A fencing token: greater is later. */
struct fencing {
    uint64_t store; /* epoch of the store's life: raised when a store is restored */
    uint64_t rev;   /* within it */
};
static inline int fencing_cmp(struct fencing a, struct fencing b)
{
    return a.store != b.store ? (a.store < b.store ? -1 : 1) : a.rev != b.rev ? (a.rev < b.rev ? -1 : 1) : 0;
}

struct action_order {
    enum action_op op;
    const char *service, *from, *to; /* regions; for UNDO as well: the move that is taken back */
    const char *plan;                /* its id: [a-z0-9-]{1,64} */
    uint32_t epoch;
    struct fencing token;
    const char *key;      /* idempotency key: service/epoch/action */
    bool planned, drill;  /* nobody is dead: a switchover, a drill */
    bool accept_loss;     /* the gates let data go that the target has not got */
    struct span deadline; /* from now */
    struct wall now;
};

enum { ACTION_TEXT = 320 };
struct action_result {
    enum action_class class;
    char text[ACTION_TEXT];  /* one sentence for people: what was seen or refused; no secrets */
    char seen[ACTION_TEXT];  /* what is true outside, short: "A 192.0.2.1 ttl 30 epoch=7"; "" unknown */
    struct span retry_after; /* 0: as the core thinks best */
    /* precheck: what stands in the way, as a reason's name of the gates: "capacity" "quota" "credentials" "versions" "ttl"
     * "dns_protected" "placement"; "" when it is something else */
    char blocker[24];
    bool have_lag;      /* figures that a driver can read besides: a replication's lag … */
    int64_t lag_ms;     /* … what would be lost now; 0 when nothing */
    int64_t lag_age_ms; /* how old that figure is */
    bool synchronous;   /* every acknowledged write is in the target */
    bool
        primary_asked; /* `synchronous` is of now; else nobody could tell, and what was told last may still hold */
    bool receiving;       /* the standby hears its primary (E4); valid with have_lag */
    bool writable;        /* the target takes writes */
    struct fencing found; /* token that stands at the target; {0} none */
};

struct action_target; /* the driver's own: an action's options as read, secrets included */

struct action_driver {
    const char *type; /* "dns-update" */
    const char *sentence;
    /* keys of [action NAME] that this type reads; equal keys of two types have equal rows */
    const struct option_row *rows;
    size_t n_rows;
    const char *required; /* keys that must be set, separated by blanks */
    uint32_t steps;       /* 1 << plan_step of those it can serve; 0: a gate, precheck and probe only */
    uint32_t
        ops; /* 1 << action_op of those it has; PRECHECK, PROBE and APPLY always; without VERIFY, PROBE does */
    bool proves;  /* as a fence: an OK of probe proves that the old region does not write */
    bool figures; /* probe fills in lag: it is asked every few seconds */
    /* Checks across options, without touching files; 0, or ERR_CONFIG with the key at fault. May be NULL. */
    int (*check)(const struct section *s, const char **key, struct err *e);
    struct action_target *(*open)(const struct section *s, struct log *log, struct err *e);
    void (*close)(struct action_target **t);
    /* Blocking, in a worker, within the deadline. Several threads may be in it at once with one target. */
    void (*run)(const struct action_target *t, const struct action_order *o, struct action_result *out);
};

extern const struct action_driver *const action_drivers[]; /* generated */
extern const size_t action_drivers_count;
extern const char action_drivers_types[]; /* "command dns-update …" */
const struct action_driver *action_driver_find(const char *type);

/* [action NAME]: type, service, step, required, timeout, order …, and the rows of all drivers together. The common keys:
 *   type     = …            (choice: action_drivers_types, which is generated)
 *   service  = app          (a [failover] section's name)
 *   step     = fence | catchup | promote | warm | test | switch | validate | tidy | gate
 *   required = yes          no: best effort, its failure is told and the plan goes on
 *   timeout  = 10s          of one call
 *   patience = 2m           of the action with all its attempts
 *   on       = failover switchover drill   (list; default all three)                                       */
extern const char action_section_name[]; /* "action" */
enum { ACTION_ROWS = 128 };
size_t action_rows(struct option_row out[ACTION_ROWS]);
/* Each action by its type: what has to be set, what belongs to another type, whether the type can serve that step.
 * Touches no file. 0 or ERR_CONFIG, each mistake in the report. */
int action_check(const struct config *c, struct buf *report, struct err *e);
/* Besides, what the machine has: opens each action as the start will and closes it again; nothing is asked of a target.
 * Secrets that only the service can see (cred:) are left to it. In runner_io.c. */
int action_check_files(const struct config *c, struct buf *report, struct err *e);
const struct action_driver *action_driver_of(
    const struct section *s); /* by its type; never NULL after action_check */
/* The step that it belongs to: as written, or the only one that its type can serve; PLAN_STEPS for a gate, and -1 when it
 * is to be written. */
int action_step_of(const struct section *s);
/* What the driver says of all its actions, unless an option of its own (`proves`, `figures`: the command) says it of
 * each. */
bool action_proves(const struct section *s);
bool action_figures(const struct section *s);

/* Values by region: a list of words "us-east-1=VALUE us-west-2=VALUE". NULL when the region has none. The text lives in
 * `out`. */
const char *action_by_region(const struct section *s, const char *key, const char *region, char *out,
                             size_t cap);
/* The i-th of several words of one region: "east=192.0.2.1 east=192.0.2.2". */
const char *action_nth_by_region(const struct section *s, const char *key, const char *region, size_t i,
                                 char *out, size_t cap);
/* Whether each word of the list is REGION=VALUE; ERR_CONFIG names the first that is not. For a driver's check. */
int action_regions_check(const struct section *s, const char *key, struct err *e);

/* For drivers: class and text of a result, cut where it does not fit. */
void action_say(struct action_result *out, enum action_class c, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void action_seen(struct action_result *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "epoch=E token=S.R plan=ID", and back: false when the text has no token. Other words in it are read over. */
enum { ACTION_MARK = 160 };
void action_mark(const struct action_order *o, char out[ACTION_MARK]);
bool action_mark_parse(const char *text, uint32_t *epoch, struct fencing *token);
/* Of several things that all have to be so, what is not: begin with {ACTION_OK}, and take in each answer of probe's classes.
 * False: it is another answer, which is the result. */
struct action_worst {
    enum action_class class; /* OK, PROGRESS, NOT_APPLIED */
    char text[ACTION_TEXT];  /* of the latest NOT_APPLIED, else of the first PROGRESS; "" when all is so */
};
bool action_worst(struct action_worst *w, const struct action_result *one);
/* What an operation may answer, whatever the driver says: `already` is an answer of apply and undo only, and so is
 * `unknown`, since a question that was lost can be asked again. */
enum action_class action_settle(enum action_op op, enum action_class c);

/* ---- runner_io.c: actions in workers ---- */

/* Opens every [action NAME]; owned by one loop's thread. */
struct actions;
struct actions *actions_open(const struct config *c, struct loop *loop, struct log *log, struct err *e);
void actions_close(struct actions **a); /* runs under way end without an answer */
/* On error nothing has changed. Runs under way finish with what they began with. */
int actions_reload(struct actions *a, const struct config *c, struct err *e);
/* Starts one run; done is called exactly once, on the loop and never from within this function, at the latest at the
 * deadline (then with ACTION_UNKNOWN for apply and undo, ACTION_RETRY for the others). One apply or undo of an action is
 * under way at a time, and up to three questions beside it: what is asked beyond that, or while an apply is stuck in its
 * worker past its deadline, is answered with ACTION_RETRY and has done nothing. The order is copied. 0, ERR_NOTFOUND,
 * ERR_NOMEM. */
typedef void (*action_done)(void *arg, const struct action_result *r);
int actions_run(struct actions *a, const char *action, const struct action_order *o, action_done done,
                void *arg);
void actions_metrics(const struct actions *a,
                     struct sink *out); /* the loop's thread: runs by action, op, class; seconds */

/* One run from the calling thread, for --check-config --online and tools. */
int action_try(const struct section *s, const struct action_order *o, struct log *log,
               struct action_result *out, struct err *e);

#endif
