/* The inside of telling: alerts as they are known here, groups of them by route, and one line for each receiver of
 * a group, which carries what this receiver has been told. All in lists that are owned by `struct notify`.
 *
 * Each line is on its own: one receiver that fails or is slow never makes another repeat or wait. Waits go by the
 * boot clock; in records they stand as wall times and are turned back at the first step after a restart. */
#ifndef SB_NOTIFY_PRIVATE_H
#define SB_NOTIFY_PRIVATE_H

#include "aggregator/notify/plan.h"
#include "common/base/map.h"
#include "common/base/rng.h"

#define NEVER_DUE INT64_MAX
/* Two aggregators see a firing begin within this of each other: they look at the same data, each at its own steps. */
#define SAME_FIRING_MS 60000

enum {
    ALERTS_MOST = 200000,
    SILENCES_MOST = 2000,
    WHO_MOST = 96,
    REASON_MOST = 240,
    SHOWN_MOST = 100, /* alerts that stand in one message */
    DIGEST_TOP = 10,
};

/* What a receiver knows of an alert. */
enum told_state {
    TOLD_NOT,
    TOLD_MAYBE,    /* an attempt was ordered, its answer is not known or it failed: may have arrived */
    TOLD_YES,      /* confirmed */
    TOLD_DIGEST,   /* within a digest, confirmed */
    TOLD_PEER,     /* the other aggregator says that it has told it */
    TOLD_OVER,     /* the end was told, or there is nobody to tell it to */
    TOLD_GIVEN_UP, /* never to be taken: the fallback has it */
    TOLD_STATES
};
enum told_flight { FLIGHT_NONE, FLIGHT_TRIGGER, FLIGHT_RESOLVE };

struct told {
    struct line *line;
    uint64_t epoch; /* that `state` speaks of */
    uint64_t flight_epoch;
    uint64_t waits;    /* the firing that waits to be told here … */
    struct mono ready; /* … and since when */
    uint8_t state, flight;
    bool by_digest; /* its receiver's next digest tells it, not the line's own message */
};

struct ack {
    uint64_t epoch; /* 0: none */
    struct wall t;
    char who[WHO_MOST], reason[REASON_MOST];
};

struct known { /* an alert */
    struct fingerprint id;
    char hex[33];
    uint64_t epoch; /* of its latest firing */
    bool firing, suppressed;
    bool confirmed; /* its room has spoken of it since the start */
    bool internal;  /* made here: a receiver fails */
    bool unsaved, saved;
    enum severity severity;
    struct wall since, ended;
    struct mono changed;
    double value, threshold;
    char *block; /* owned: texts and labels */
    size_t block_size;
    struct labels labels;
    const char *rule, *summary, *description, *runbook;
    struct ack ack;
    struct told *told; /* owned */
    uint32_t n_told, room_told;
    struct group **groups; /* owned; groups are not */
    uint32_t n_groups, room_groups;
    uint64_t sources, targets; /* inhibitions whose source, target it matches */
    struct known *next_unsaved;
};

enum line_state { LINE_IDLE, LINE_FLIGHT, LINE_WAIT };

struct line {
    struct group *group; /* NULL: a receiver's digest, or its heartbeat */
    struct receiver *receiver;
    bool active;   /* among those who are to be told now */
    bool fallback; /* stands in for another */
    bool gave_up;  /* this receiver can't be told of this group: its fallback is */
    bool forced;   /* an escalation orders it again */
    bool counted;  /* its order counts for the storm window */
    bool ack_due;  /* acknowledged, and the receiver is to know */
    uint8_t state;
    uint8_t tell; /* what is under way */
    uint32_t attempt;
    uint64_t delivery; /* 0: none under way */
    struct mono retry, started, deadline;
    struct mono told; /* last confirmed; ns 0: never */
    struct wall told_at;
    struct line *next;
};

struct group {
    char key[33];
    const struct route *route; /* NULL: the configuration has it no more */
    char *block;               /* owned: route name and labels */
    size_t block_size;
    const char *route_name;
    struct labels labels;
    struct known **members; /* owned; alerts are not */
    uint32_t n_members, room_members;
    struct mono woke;                /* the firing whose wait counts */
    struct mono due, start, flushed; /* look at it; tell nothing new before; flushed.ns 0: never */
    struct wall restored_start, restored_flushed;
    struct line *lines; /* owned */
    /* escalation: from when its times count, the next step, the round; escalating.ns 0: nothing to escalate */
    struct mono escalating;
    struct wall escalating_at;
    uint32_t step, round;
    struct mono escalate_due; /* look at the escalation then */
    struct wall idle;         /* since when nothing is firing or to be told */
    bool unsaved, saved;
    struct group *next_unsaved, *next;
};

struct receiver {
    char *name; /* owned */
    size_t name_size;
    const struct receiver_plan *plan; /* NULL: the configuration has it no more */
    bool bad;                         /* DENIED: nothing is taken until somebody mends it */
    struct mono not_before, failing;  /* failing.ns 0: the last attempt was delivered */
    uint32_t failures, flights;       /* failures in a row; attempts under way */
    struct wall failing_at;
    char last[256];
    bool reported;       /* the alert about it fires */
    struct mono refused; /* it refused a message for good; ns 0: never */
    /* storms */
    enum severity worst;     /* that a digest of this storm has told */
    bool storm, digest_open; /* a digest was told whose end was not */
    struct mono window, digest_due;
    uint32_t in_window; /* messages about new alerts since `window` */
    uint32_t waiting;   /* alerts that wait for the digest */
    struct line digest; /* group NULL */
    /* counts */
    uint64_t attempts[4]; /* by outcome */
    uint64_t delivered, given_up, skipped, digests, by_digest, fallbacks;
    bool unsaved;
    struct receiver *next;
};

struct silence {
    char id[40];
    struct match *match; /* owned */
    char who[WHO_MOST], reason[REASON_MOST], request[64];
    struct wall made, from, to;
    bool end_when_resolved, matched, ended; /* ended: by somebody or by itself, before `to` */
    const char *how;                        /* it ended: "expired" "ended" "resolved" */
    struct silence *next;
};

struct runtime_maintenance {
    char id[40];
    struct match *match; /* owned */
    char who[WHO_MOST], reason[REASON_MOST], request[64];
    struct wall declared, from, to;
    bool excludes_sla, ended;
    struct runtime_maintenance *next;
};

struct runtime_override {
    char id[40];
    char rota[65], person[65], who[WHO_MOST], reason[REASON_MOST], request[64];
    struct wall from, to;
    struct runtime_override *next;
};

struct peer {
    char region[65];
    struct mono heard; /* ns 0: not since the start */
    bool telling;
    struct map told; /* of struct peer_key, by text */
    char *block;     /* owned: the keys */
    size_t block_size;
    struct peer *next;
};

struct notify {
    struct mem *mem;
    struct plan *plan; /* owned */
    char region[65], host[257], console[513];
    struct buf secret;
    struct rng rng;
    struct map alerts;     /* by fingerprint */
    struct map group_map;  /* by key */
    struct map deliveries; /* by number */
    struct group *groups;
    struct receiver *receivers;
    struct saved *saved; /* records until the first step */
    struct silence *silences;
    struct runtime_maintenance *maintenance;
    struct runtime_override *overrides;
    struct peer *peers;
    struct note *notes; /* changes on their way */
    struct known *unsaved_alerts;
    struct group *unsaved_groups;
    struct line **orders; /* owned: to be sent at the end of this step */
    uint32_t n_orders, room_orders;
    uint64_t next_delivery, next_id;
    struct line heartbeat; /* group NULL, receiver NULL */
    struct mono heartbeat_due;
    struct wall heartbeat_at; /* delivered */
    bool started;             /* a step was made: clocks are known */
    struct mono start;
    bool hold, held_before;
    struct mono now_mono;
    struct wall now;
    struct mono next_due;  /* nothing is to be done before */
    struct map inhibitors; /* in inhibitors_block, owned */
    char *inhibitors_block;
    size_t inhibitors_size;
    uint64_t version, inhibited_version, gated_version; /* of what inhibitions depend on */
    struct maintenance_fact *facts;
    uint32_t n_facts, room_facts;
    const struct notify_effects *out; /* during a step */
    /* counts */
    struct mono prune_due;
    struct wall maintenance_at; /* looked at in this second */
    uint64_t changes, bad_records, unknown_results, escalated, storms;
    uint64_t notices, unrouted, refused, untold_ends, by_peer, held, acks, no_memory, forgotten, heartbeats;
    uint64_t silences_ended[3];
};

/* What stops an alert from being told. */
enum block {
    BLOCK_NONE,
    BLOCK_SUPPRESSED,
    BLOCK_SILENCE,
    BLOCK_MAINTENANCE,
    BLOCK_MUTE,
    BLOCK_INHIBITED,
    BLOCK_UNCONFIRMED, /* after a start, until its room has spoken of it, a minute at most */
    BLOCKS
};
const char *block_name(enum block b);

/* table.c: memory of alerts, groups, lines, receivers */
struct known *known_get(const struct notify *n, const struct fingerprint *id);
struct known *known_put(struct notify *n, const struct alert_notice *a); /* NULL: no memory */
void known_drop(struct notify *n, struct known *k);
struct told *told_get(const struct known *k, const struct line *l);
struct told *told_put(struct notify *n, struct known *k, struct line *l);
void told_drop(struct known *k, const struct line *l);
struct group *bunch_get(struct notify *n, const struct route *r, const char *route_name, struct labels l);
bool bunch_add(struct notify *n, struct group *g, struct known *k);
void bunch_remove(struct group *g, struct known *k);
void bunch_drop(struct notify *n, struct group *g);
struct line *line_get(struct notify *n, struct group *g, struct receiver *r);
struct receiver *receiver_get(struct notify *n, const char *name);
void unsaved_alert(struct notify *n, struct known *k);
void unsaved_group(struct notify *n, struct group *g);
void tables_free(struct notify *n);
char *pack_labels_block(struct mem *m, struct labels l, const char *const *texts, size_t n_texts,
                        size_t *size, struct labels *out, const char **out_texts);

/* route.c: which groups an alert belongs to */
uint32_t route_find(const struct plan *p, struct labels l, uint32_t *out, uint32_t most);
struct labels route_group_labels(const struct route *r, struct labels l, struct label *room, size_t most);
bool route_place(struct notify *n, struct known *k); /* puts it into its groups, and out of others */

/* gate.c */
enum block gate(struct notify *n, const struct group *g, const struct known *k, const char **what);
void gate_mark(struct notify *n, struct known *k); /* which inhibitions it belongs to */
void gate_forget(struct notify *n);
bool silence_holds(const struct silence *s, struct wall now);

/* calendar.c */
bool mute_holds(const struct mute *m, struct wall now);
bool maintenance_holds(const struct maintenance_plan *m, struct wall now, struct wall *from, struct wall *to);
/* Index of the person on call into rota->people; -1: nobody. *until: when that may change. */
int32_t rota_on_call(const struct notify *n, uint32_t rota, struct wall t, struct wall *until);
int32_t target_receiver(const struct notify *n, const struct target *t, struct wall now); /* -1: nobody */

/* speaker.c: which of two aggregators tells */
enum speak { SPEAK_WE, SPEAK_WAIT, SPEAK_DONE };
enum speak speaker_of(struct notify *n, const struct line *l, const struct known *k, const struct told *t,
                      struct mono *next);
enum speak speaker_of_end(struct notify *n, const struct line *l, const struct known *k, const struct told *t,
                          struct mono *next);
bool speaker_repeats(struct notify *n, const struct line *l);
enum { PEERS_MOST = 8 };
struct peer *peer_get(struct notify *n, const char *region); /* NULL: too many, or no memory */
void peer_take(struct notify *n, const struct peer_telling *e);
void peer_forget(struct notify *n, struct peer *p);

/* act.c */
void ack_set(struct notify *n, struct known *k, const char *who, const char *reason);
void ack_clear(struct notify *n, struct known *k);
void acts_free(struct notify *n);
int act_take(struct notify *n, const struct act_order *o, char id[64], struct err *e);
void gate_silences(struct notify *n);    /* ends those whose time has come */
void gate_maintenance(struct notify *n); /* what holds now */

/* group.c: what a line needs */
struct need {
    uint32_t fresh, over, firing, unacknowledged;
    bool repeat, ack;
    struct mono next; /* look again then */
};
struct need line_need(struct notify *n, struct group *g, struct line *l);
void bunch_touch(struct notify *n, struct group *g, bool first);
void bunches_step(struct notify *n);
bool known_acked(const struct known *k);
bool told_current(const struct told *t,
                  const struct known *k); /* this firing was told, or somebody else has it */

/* delivery.c */
enum { FLIGHTS_MOST = 32 }; /* attempts under way for one receiver */
void line_order(struct notify *n, struct line *l, const struct need *need);
void line_launch(struct notify *n, struct line *l, enum tell tell);
bool receiver_troubled(const struct notify *n, const struct receiver *r);
struct span retry_wait(struct notify *n, uint32_t failures); /* full jitter */
void receiver_left(struct notify *n, const struct receiver *r);
void receiver_well(struct notify *n, struct receiver *r);
void receiver_ill(struct notify *n, struct receiver *r, const struct told_result *res);
void delivery_ended(struct notify *n, uint64_t delivery, const struct told_result *r);
void delivery_send_all(struct notify *n);
void heartbeat_step(struct notify *n);

/* storm.c */
bool storm_takes(struct notify *n, struct line *l, uint32_t fresh);
void storm_step(struct notify *n);
void special_ended(struct notify *n, struct line *l, const struct told_result *r);
void special_compose(struct notify *n, struct line *l, struct arena *a, struct notification *out);

/* change.c */
void told_change_take(struct notify *n, const struct change_event *e);
void told_changes_step(struct notify *n);
void told_change_ended(struct notify *n, struct line *l, const struct told_result *r);
void told_change_compose(struct notify *n, struct line *l, struct arena *a, struct notification *out);
void told_changes_free(struct notify *n);

/* failing.c: a receiver that fails is an alert of its own */
void receivers_calm(struct notify *n); /* ends what is about single messages, after an hour */
void receiver_report(struct notify *n, struct receiver *r, enum outcome o);

/* compose.c */
void told_alert_of(struct notify *n, const struct known *k, struct arena *a, struct told_alert *out);
const char *arena_fmt(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void compose(struct notify *n, struct line *l, struct arena *a, struct notification *out);

/* story for all alerts that a line has under way */
void story(struct notify *n, const struct known *k, const char *kind, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* notice_in.c */
void notice_take(struct notify *n, const struct alert_notice *a, bool internal);
void notices_prune(struct notify *n); /* what has long ended, and what nobody speaks of any more */

/* record.c */
void records_write(struct notify *n);
void record_receiver(struct notify *n, const struct receiver *r);
void record_peer(struct notify *n, const struct peer *p);
void record_silence(struct notify *n, const struct silence *s);
void record_maintenance(struct notify *n, const struct runtime_maintenance *m);
void record_override(struct notify *n, const struct runtime_override *o);
const char *told_state_name(unsigned s);
void record_gone(struct notify *n, const char *kind, const char *id);

/* restore.c */
void restore_all(struct notify *n);
void saved_free(struct notify *n);

/* escalate.c */
void escalate_step(struct notify *n, struct group *g);
void bunch_targets(struct notify *n, struct group *g);

static inline struct mono mono_min(struct mono a, struct mono b)
{
    return a.ns < b.ns ? a : b;
}

#endif
