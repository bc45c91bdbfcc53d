/* Who is told what, and when: routes, grouping, waiting, repeating, inhibition, silences, mutes, maintenance,
 * escalation, rotas, digests, acknowledgements, and which of two aggregators speaks. step(state, event) -> effects.
 *
 * Delivered at least once: a message that may not have arrived is sent again with the same dedup key. When it is in
 * doubt whether the other aggregator speaks, both do. State is told as records, durable before a message goes out,
 * except when the store fails: then it is sent all the same. Pure but for notify_io.c and the channels. */
#ifndef SB_NOTIFY_NOTIFY_H
#define SB_NOTIFY_NOTIFY_H

#include "aggregator/notify/channel.h"
#include "common/base/mem.h"
#include "common/base/metric.h"
#include "common/base/zone.h"

/* [route NAME] [inhibit NAME] [escalation NAME] [rota NAME] [mute NAME] [maintenance NAME] [notify] */
enum { NOTIFY_SECTIONS = 7 };
size_t notify_sections(struct section_row out[NOTIFY_SECTIONS]);
/* zone(arg, name): a loaded zone, or NULL. */
struct notify_zones {
    const struct zone *(*zone)(void *arg, const char *name);
    void *arg;
};
/* now {0}: mistakes alone; else warnings tell the next three occurrences of each window and turn. */
int notify_check(const struct config *c, const struct notify_zones *z, struct wall now, struct buf *report,
                 struct err *e);

struct notify;
struct notify_params {
    const struct config *config; /* borrowed for the call */
    struct notify_zones zones;   /* borrowed until the next reload */
    struct mem *mem;
    const char *region, *host; /* of this aggregator */
    const char *console;       /* base of links; "" for none */
    struct bytes ack_secret;   /* of signed links */
    uint64_t seed;             /* of jitter */
};
struct notify *notify_new(const struct notify_params *p, struct buf *report, struct err *e);
void notify_free(struct notify **n);
int notify_reload(struct notify *n, const struct notify_params *p, struct buf *report, struct err *e);
int notify_restore(struct notify *n, struct bytes key, struct bytes value,
                   struct err *e); /* before the first step */

enum act {
    ACT_ACK,
    ACT_UNACK,
    ACT_SILENCE_ADD,
    ACT_SILENCE_END,
    ACT_MAINTENANCE_START,
    ACT_MAINTENANCE_END,
    ACT_ROTA_OVERRIDE
};
struct act_order {
    enum act act;
    uint64_t epoch;    /* ACT_ACK: of the firing that is meant; 0: the present one */
    const char *what;  /* alert fingerprint or incident; silence or maintenance id; rota */
    const char *match; /* silences, maintenance */
    const char *who;   /* the operator; rota override: see `user` */
    const char *user;  /* rota override */
    const char *reason;
    struct wall from, to;
    bool end_when_resolved, excludes_sla;
    const char *request_id;
};

enum notify_event_kind {
    NOTIFY_TICK,
    NOTIFY_NOTICE,
    NOTIFY_ENDED,
    NOTIFY_ACT,
    NOTIFY_PEER,
    NOTIFY_CHANGE,
    NOTIFY_STORED
};
struct notify_event {
    enum notify_event_kind kind;
    struct wall now;
    struct mono mono; /* waits and repeats go by this */
    bool hold;        /* TILT: send nothing new for now */
    const struct alert_notice *notice;
    uint64_t delivery;                 /* NOTIFY_ENDED */
    const struct told_result *result;  /* NOTIFY_ENDED */
    const struct act_order *act;       /* NOTIFY_ACT */
    const struct peer_telling *peer;   /* NOTIFY_PEER */
    const struct change_event *change; /* NOTIFY_CHANGE: a deployment, a failover step */
};
struct peer_told { /* what the other aggregator says of one dedup key */
    const char *dedup_key;
    uint64_t epoch;
    bool delivered, acknowledged, resolved;
};
struct peer_telling {
    const char *region;
    struct wall sent;
    bool telling; /* its channels work */
    const struct peer_told *told;
    uint32_t n_told;
};
struct change_event {
    const char *kind, *name, *text;
    struct labels labels;
    struct wall t;
};

struct notify_effects {
    void *arg;
    /* An attempt is to be made now; n is borrowed for the call. */
    void (*send)(void *arg, uint64_t delivery, const char *receiver, const struct notification *n);
    void (*record)(void *arg, struct bytes key, struct bytes value); /* before the sends of the same step */
    /* For timelines: what happened to this alert (delivered to pager, muted by nightly, escalated to step 2 …). */
    void (*story)(void *arg, const struct fingerprint *alert, struct wall t, const char *kind,
                  const char *text);
};
/* NOTIFY_ACT: 0, or ERR_NOTFOUND, ERR_RANGE (too long), ERR_MALFORMED with a sentence; *id: of what was made. */
int notify_step(struct notify *n, const struct notify_event *ev, const struct notify_effects *out,
                char id[64], struct err *e);
struct span notify_wake(const struct notify *n,
                        struct mono now); /* until the next NOTIFY_TICK is worth while, at most 1 s */

/* Maintenance windows that hold now; borrowed until the next step. */
const struct maintenance_fact *notify_maintenance(const struct notify *n, uint32_t *count);

/* Reading, JSON. */
/* What a silence with these matchers would match now: {"match", "matches_now", "matches": up to ten}. */
int notify_preview(const struct notify *n, const char *match, struct buf *json, struct err *e);
int notify_silences(const struct notify *n, struct wall now, struct buf *json);
int notify_maintenance_list(const struct notify *n, struct wall now, struct buf *json);
int notify_rota(const struct notify *n, const char *name, struct wall from, struct wall to, struct buf *json,
                struct err *e);
int notify_receivers(const struct notify *n, struct buf *json);
int notify_routes(const struct notify *n, struct labels l, struct wall now,
                  struct buf *json); /* where an alert with these would go, and why */
/* What stops or carries a notice of this alert: part of explain. */
int notify_explain(struct notify *n, const struct fingerprint *alert, struct wall now, struct buf *json,
                   struct err *e);
/* What the peer is to be told: keys under way and done within the last day. */
int notify_tell_peer(const struct notify *n, int (*fn)(void *arg, const struct peer_told *t), void *arg);
/* Signed links: path and query "/ack?id=…&until=…&sig=…"; verify: ERR_DENIED, ERR_TIMEOUT (expired). */
int ack_link_make(struct bytes secret, const struct fingerprint *alert, uint64_t epoch, struct wall until,
                  struct buf *out);
int ack_link_verify(struct bytes secret, const char *query, struct wall now, struct fingerprint *alert,
                    uint64_t *epoch, struct err *e);

void notify_metrics(
    const struct notify *n,
    struct sink *out); /* securebase_notifications_total{receiver,result}, queues, oldest, … */

#endif
