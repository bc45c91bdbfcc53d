/* A channel: a way of telling people, one file each under notify/, ending in one `const struct channel channel_NAME`.
 *
 * A channel makes requests out of a notification and judges the answers; it never waits, retries or counts: that
 * is the delivery's business, so that all channels behave alike. HTTP channels fill in http requests; the others
 * (email, command, log) bring a `send` of their own, which runs in a worker with a deadline. */
#ifndef SB_NOTIFY_CHANNEL_H
#define SB_NOTIFY_CHANNEL_H

#include "aggregator/notify/notice.h"
#include "common/base/arena.h"
#include "common/base/metric.h"
#include "common/config/config.h"
#include "common/daemon/log.h"
#include "common/net/http_client.h"

enum { CALL_HEADERS = 12, CALLS_MOST = 16, TOLD_TEXT = 256 };

enum tell {
    TELL_TRIGGER,
    TELL_ACKNOWLEDGE,
    TELL_RESOLVE,
    TELL_DIGEST,
    TELL_CHANGE,
    TELL_HEARTBEAT,
    TELL_TEST
};
const char *tell_name(enum tell t);

struct told_alert {
    const char *rule;
    struct labels labels;
    char id[33];
    bool firing;
    enum severity severity;
    struct wall since, ended; /* ended {0} while firing */
    double value, threshold;
    const char *summary, *description, *runbook, *explain; /* explain: the command that explains it */
};

/* One message for one receiver. Immutable; owned by whoever delivers it. Texts are never NULL; channels cut and
 * clean them for their service. */
struct notification {
    enum tell tell;
    /* <= 255 bytes of [A-Za-z0-9._:/-]: same alert group, same key, from every aggregator, over restarts */
    const char *dedup_key;
    const char *title; /* one line */
    const char *text; /* several lines, plain, all that is to be said but the links, which the channel adds */
    enum severity severity; /* highest of the alerts */
    struct labels group;    /* labels that all share */
    const struct told_alert *alerts;
    uint32_t n_alerts;
    uint32_t more;           /* alerts that are not in `alerts` (a digest) */
    const char *source;      /* region and host of this aggregator */
    const char *link;        /* of the console; "" when none is configured */
    const char *ack_link;    /* signed, expiring; "" when none */
    struct wall t, first;    /* now; beginning of the oldest alert */
    uint32_t attempt;        /* 1 … */
    const char *change_kind; /* TELL_CHANGE: deployment, rollback, failover …; else "" */
};

/* How an answer is to be taken. */
enum outcome {
    OUTCOME_DELIVERED,
    OUTCOME_RETRY,  /* 429, 5xx, time-out, refused: later, not before retry_after */
    OUTCOME_NEVER,  /* 4xx: this message will never be taken */
    OUTCOME_DENIED, /* 401, 403, a bad key: nothing will be taken until somebody mends it */
};
const char *outcome_name(enum outcome o);

struct told_result {
    enum outcome outcome;
    struct span retry_after; /* 0: as the delivery thinks best */
    char text[TOLD_TEXT];    /* what was said, for people: status and the beginning of the body; no secrets */
};

struct channel_target; /* the channel's own: a receiver's options as read, secrets included */

struct channel_call { /* one HTTP request; texts in the arena */
    const char *method, *url;
    struct http_header headers[CALL_HEADERS];
    size_t n_headers;
    struct bytes body;
    struct span timeout;
    bool idempotent;
    const char *who; /* which of several replicas, for the result's text; NULL when there is one only */
};

struct channel {
    const char *type; /* "pagerduty" */
    const char *sentence;
    /* keys of [receiver NAME] that this type reads; equal keys of two types have equal rows */
    const struct option_row *rows;
    size_t n_rows;
    const char *required; /* keys that must be set, separated by blanks */
    /* What beyond triggers it can say; what it can't is not sent to it. */
    bool resolves, acknowledges, changes, heartbeats;
    /* While an alert fires it has to be told again at least so often, else the receiver takes it for resolved
     * (Alertmanager); 0: once is enough. Such a repetition is no news: it is sent as TELL_TRIGGER and told to
     * nobody else. */
    struct span refresh;
    /* Checks across options, without touching files; 0, or ERR_CONFIG with the key at fault. May be NULL. */
    int (*check)(const struct section *s, const char **key, struct err *e);
    /* Reads the options, secrets too. Freed by `close`; immutable between, and used by several threads at once.
     * The section is borrowed for the call, the log until the target is closed. */
    struct channel_target *(*open)(const struct section *s, struct log *log, struct err *e);
    void (*close)(struct channel_target **t);
    /* HTTP channels: at most `most` calls for this notification; their number, or an error when it can't be said
     * at all. Several calls go to replicas of one service: it is delivered when one of them has taken it. */
    int (*prepare)(const struct channel_target *t, const struct notification *n, struct wall now,
                   struct arena *a, struct channel_call *calls, size_t most, struct err *e);
    void (*judge)(const struct channel_target *t, const struct http_result *r, struct told_result *out);
    /* The others: blocking, in a worker, within the deadline. */
    void (*send)(const struct channel_target *t, const struct notification *n, struct span deadline,
                 struct told_result *out);
};

extern const struct channel *const channels[]; /* generated */
extern const size_t channels_count;
const struct channel *channel_find(const char *type);

/* [receiver NAME]: type, and the rows of all channels together. */
extern const char receiver_section_name[];
enum { RECEIVER_ROWS = 48 };
/* Fills in the union of the rows, `type` first; their number, at most RECEIVER_ROWS. The array has to live as long as
 * configurations that are read by it. */
size_t receiver_rows(struct option_row out[RECEIVER_ROWS]);
/* Each receiver by its type: what has to be set, what belongs to another type, what does not fit together. Touches no
 * file. 0 or ERR_CONFIG, each mistake in the report. */
int receiver_check(const struct config *c, struct buf *report, struct err *e);
/* Besides, what the machine has: opens each receiver as the start will and closes it again. Secrets that only the service
 * can see (cred:) are left to it. In receiver_io.c. */
int receiver_check_files(const struct config *c, struct buf *report, struct err *e);
const struct channel *receiver_channel(
    const struct section *s); /* by its type; never NULL after receiver_check */

/* What all HTTP channels do with an answer unless they know better: 2xx delivered; 408, 425, 429, 5xx and no answer
 * retry, with Retry-After in seconds or as a date; 401, 403, 407 denied; other 4xx and 3xx never. */
void judge_http(const struct http_result *r, struct told_result *out);

/* ---- the telling thread ---- */

/* Delivers on a thread of its own: HTTP through one client per set of TLS files, the others in workers. Never
 * retries: it reports each attempt, and who ordered it decides. */
struct teller;
struct teller_params {
    const struct config *config; /* [receiver …]; borrowed for the call */
    struct log *log;
    /* On the telling thread: an attempt has ended. */
    void (*ended)(void *arg, uint64_t delivery, const struct told_result *r);
    void *arg;
};
struct teller *teller_start(const struct teller_params *p, struct err *e);
void teller_stop(struct teller **t); /* attempts under way get 5 s, then end without an answer */
int teller_reload(struct teller *t, const struct config *c,
                  struct err *e); /* from any thread; on error nothing has changed */
/* From any thread. The notification is copied. ERR_NOTFOUND: no such receiver; ERR_LIMIT: too many wait. */
int teller_send(struct teller *t, uint64_t delivery, const char *receiver, const struct notification *n);
void teller_metrics(struct teller *t,
                    struct sink *out); /* any thread: attempts, seconds, under way, by receiver */

/* Sends one notification through one receiver from the calling thread and waits for what comes of it: for
 * --check-config --online and tools. 0 when there was a result (look at its outcome), else the receiver can't even be
 * opened: a secret that is not there, say. */
int receiver_try(const struct section *s, const struct notification *n, struct log *log,
                 struct told_result *out, struct err *e);

#endif
