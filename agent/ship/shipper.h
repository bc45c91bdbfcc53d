/* Sending, as a machine: step(state, event) -> effects. One
 * batch at a time, in order, to one endpoint at a time.
 *
 *   idle      nothing to send                       asks the spool when told that something came
 *   asking    the spool looks for the oldest batch
 *   sending   a batch is on its way
 *   finding   the spool puts needed definitions together
 *   defining  definitions are on their way
 *   waiting   until a deadline, then asks again
 *   moving    the spool numbers everything anew
 *   stopped   this spool is a copy: nothing is sent until the agent is started anew
 *
 * Endpoints stand in order of preference. One that fails makes the next one be tried at once; when all
 * have failed in a row, the whole waits: exponential back-off with full jitter (Brooker, "Exponential
 * Backoff and Jitter"), at most 60 s. What an endpoint says with Retry-After holds for that endpoint.
 * While another than the first is in use, the first is tried again now and then, between batches. */
#ifndef SB_AGENT_SHIPPER_H
#define SB_AGENT_SHIPPER_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/ship/spool.h"
#include "common/base/clock.h"
#include "common/base/metric.h"
#include "common/base/rng.h"
#include "common/wire/wire.h"

enum { SHIP_MAX_ENDPOINTS = 16, SHIP_MAX_EFFECTS = 4, SHIP_MAX_DEFINING = 64 };

enum ship_state {
    SHIP_IDLE,
    SHIP_ASKING,
    SHIP_SENDING,
    SHIP_FINDING,
    SHIP_DEFINING,
    SHIP_WAITING,
    SHIP_MOVING,
    SHIP_STOPPED,
    SHIP_STATES
};
const char *ship_state_name(enum ship_state s);

enum ship_event_type {
    SHIP_EV_CHANGED, /* the spool may have something */
    SHIP_EV_FRONT,   /* what it has: ok, item; or that it could not look: failed */
    SHIP_EV_ANSWER,  /* to a batch or to definitions */
    SHIP_EV_BODY,    /* definitions are put together: found tells how many */
    SHIP_EV_MOVED,   /* numbered anew; ok false: it could not */
    SHIP_EV_TIMER,   /* the deadline passed */
};

struct ship_event {
    enum ship_event_type type;
    struct mono now;
    struct wall wall;
    bool ok;                          /* FRONT: one is there; ANSWER: an HTTP answer came; MOVED */
    bool failed;                      /* FRONT, BODY: the spool could not be read */
    bool ours;                        /* ANSWER: of our content type, and it could be read */
    int status;                       /* ANSWER */
    struct span retry_after;          /* ANSWER; 0: not told */
    const struct wire_answer *answer; /* ANSWER, when ours */
    const char *why;                  /* ANSWER, when not ok: the client's reason token */
    struct spool_item item;           /* FRONT */
    uint32_t found;                   /* BODY */
    uint64_t acked_epoch;             /* ANSWER: the spool's */
};

enum ship_effect_type {
    SHIP_DO_FRONT,     /* ask the spool for the oldest batch */
    SHIP_DO_POST,      /* send it to the endpoint */
    SHIP_DO_FIND,      /* have the definitions that the answer named put together */
    SHIP_DO_POST_DEFS, /* send those to the endpoint */
    SHIP_DO_ACK,       /* delivered */
    SHIP_DO_DROP,      /* dead letter */
    SHIP_DO_MOVE,      /* number everything anew, into `epoch` */
    SHIP_DO_TIMER,     /* TIMER after `wait` */
    SHIP_DO_COMPLAIN,  /* say it, once per change of state */
    SHIP_DO_RECOVERED,
};

struct ship_effect {
    enum ship_effect_type type;
    unsigned endpoint;
    uint64_t epoch, seq;
    uint64_t refused[SPOOL_REFUSALS];
    struct span wait;
    const char *say; /* COMPLAIN, DROP: what is wrong, a constant */
    int status;
};

/* Why a request brought no usable answer: the tokens of the HTTP client, and an answer that is nobody's we know. */
enum ship_failure {
    SHIP_FAIL_DNS,
    SHIP_FAIL_CONNECT,
    SHIP_FAIL_TLS,
    SHIP_FAIL_CERTIFICATE,
    SHIP_FAIL_TIMEOUT,
    SHIP_FAIL_SEND,
    SHIP_FAIL_RECEIVE,
    SHIP_FAIL_TOO_LARGE,
    SHIP_FAIL_PROTOCOL,
    SHIP_FAIL_STRANGER,
    SHIP_FAILURES
};

struct ship_stats {
    uint64_t sent;       /* requests with a batch */
    uint64_t duplicates; /* acknowledged as known already */
    uint64_t failures[SHIP_FAILURES];
    uint64_t denied;      /* 401, 403 */
    uint64_t held;        /* 429, 503 */
    uint64_t dead;        /* dead letters */
    uint64_t definitions; /* requests with definitions */
    uint64_t failovers;   /* changes of endpoint */
};

struct shipper {
    enum ship_state state;
    unsigned n_endpoints, endpoint;
    struct mono not_before[SHIP_MAX_ENDPOINTS]; /* by Retry-After */
    unsigned failed_in_row;                     /* since the last usable answer; n_endpoints of them: wait */
    unsigned round;                             /* of waiting: the exponent */
    struct mono first_again;                    /* when to try the first endpoint again */
    struct span failback;
    struct spool_item item;
    unsigned defining; /* times that definitions were posted for this batch */
    bool complaining;
    struct rng rng;
    struct ship_stats stats;
};

void shipper_init(struct shipper *s, unsigned n_endpoints, struct span failback, uint64_t seed);
/* Effects, in order, into out[SHIP_MAX_EFFECTS]; the number of them. */
unsigned shipper_step(struct shipper *s, const struct ship_event *e, struct ship_effect *out);

uint64_t shipper_failures(const struct shipper *s); /* of all sorts */
void shipper_metrics(const struct shipper *s, struct sink *out);

/* ---- the shell: shipper_io.c ---- */

struct shipping;
struct http_client;
struct shipping_params {
    struct loop *loop;
    struct log *log; /* may be NULL */
    struct spool *spool;
    const char *const *endpoints; /* base URLs; copied */
    unsigned n_endpoints;
    const char *ca, *cert, *key; /* may be NULL */
    const char *token;           /* copied; NULL: none */
    struct span timeout, failback;
    uint64_t seed;
};
struct shipping *shipping_new(const struct shipping_params *p, struct err *e);
void shipping_free(struct shipping **s);
/* New endpoints, files, token, from the next request on. */
int shipping_reload(struct shipping *s, const struct shipping_params *p, struct err *e);
void shipping_wake(struct shipping *s); /* the spool changed */
/* Something is under way that does not wait for time to pass: for an orderly stop. */
bool shipping_busy(const struct shipping *s);
const struct shipper *shipping_state(const struct shipping *s);
const char *shipping_endpoint(const struct shipping *s);
/* What was last wrong, "" for nothing yet; *at since when,
 * *over whether batches have been delivered since. */
const char *shipping_trouble(const struct shipping *s, struct wall *at, bool *over);
struct wall shipping_last(const struct shipping *s); /* of the last acknowledgement; 0: none */

#endif
