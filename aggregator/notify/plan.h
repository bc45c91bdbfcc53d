/* The configuration of telling people, read once into values: routes, inhibitions, escalations, rotas, mutes,
 * maintenance. Immutable; a reload makes a second one. */
#ifndef SB_NOTIFY_PLAN_H
#define SB_NOTIFY_PLAN_H

#include "aggregator/notify/notify.h"

enum {
    PLAN_MEMORY = 16 << 20,
    ROUTES_MOST = 1000,
    TARGETS_MOST = 16,
    GROUP_BY_MOST = 16,
    INHIBITS_MOST = 64, /* bits of a word */
    STEPS_MOST = 32,
    PEOPLE_MOST = 64,
    OVERRIDES_MOST = 256,
};

/* Who is told: a receiver, or whoever a rota names at that time. */
struct target {
    bool rota;
    uint32_t index;
};

struct receiver_plan {
    const char *name, *type;
    bool resolves, acknowledges, changes, heartbeats;
    struct span refresh; /* told again so often while it fires; 0: never */
};

struct route {
    const char *name;
    int32_t parent; /* -1: the root */
    struct match *match;
    struct target targets[TARGETS_MOST];
    uint32_t n_targets;
    const char *group_by[GROUP_BY_MOST];
    uint32_t n_group_by;
    bool group_all; /* `*`: each alert for itself */
    struct span wait, interval, repeat;
    bool go_on;
    uint32_t mutes[TARGETS_MOST];
    uint32_t n_mutes;
    int32_t escalation, fallback; /* -1: none */
};

struct inhibit {
    const char *name;
    struct match *source, *target;
    const char *equal[GROUP_BY_MOST];
    uint32_t n_equal;
};

struct escalation_step {
    struct target target;
    struct span after; /* since the alert was first told */
};
struct escalation {
    const char *name;
    struct escalation_step steps[STEPS_MOST];
    uint32_t n_steps;
    uint32_t rounds;   /* how often all steps are gone through */
    struct span pause; /* between the last step and the next round */
};

/* Half-open, as local times were written. */
struct override {
    const char *person;
    struct wall from, to;
};
struct person {
    const char *name;
    uint32_t receiver;
};
struct rota {
    const char *name;
    const struct zone *zone; /* NULL: UTC is not loaded; nobody is on call */
    struct person people[PEOPLE_MOST];
    uint32_t n_people;
    int8_t weekday; /* of the handover: 0 Monday …; -1: daily */
    int16_t minute; /* of the day */
    int32_t every;  /* handovers per turn: 1 = each week or day another */
    int32_t start;  /* local day number of the first person's first handover */
    struct weekly hours[WEEKLY_MOST];
    unsigned n_hours; /* 0: round the clock */
    const struct override *overrides;
    uint32_t n_overrides;
};

struct mute {
    const char *name;
    const struct zone *zone;
    struct weekly windows[WEEKLY_MOST];
    unsigned n_windows;
};

struct maintenance_plan {
    const char *name;
    struct match *match;
    const struct zone *zone;
    struct weekly windows[WEEKLY_MOST];
    unsigned n_windows; /* 0: from and to */
    struct wall from, to;
    bool excludes_sla, mutes;
    const char *owner, *reason;
};

struct plan {
    struct mem mem;
    struct arena arena;
    struct receiver_plan *receivers;
    struct route *routes;
    struct inhibit *inhibits;
    struct escalation *escalations;
    struct rota *rotas;
    struct mute *mutes;
    struct maintenance_plan *maintenance;
    uint32_t n_receivers, n_routes, n_inhibits, n_escalations, n_rotas, n_mutes, n_maintenance;
    int32_t root; /* -1: nothing is routed */
    int32_t fallback, heartbeat;
    struct span heartbeat_every, peer_wait, peer_lost, storm_window, storm_interval, silence_most, ack_for,
        fallback_after, give_up, retry_least, retry_most;
    uint32_t storm_messages; /* 0: never a digest */
};

/* NULL and the first mistake in e, all of them in report. zones may be NULL: calendars are then empty. */
struct plan *plan_new(const struct config *c, const struct notify_zones *zones, struct buf *report,
                      struct err *e);
void plan_free(struct plan **p);
int32_t plan_receiver(const struct plan *p, const char *name); /* -1: none */

/* What plan.c hands to its helpers: where to read, where to complain. */
struct plan_reader {
    const struct config *config;
    const struct notify_zones *zones;
    struct buf *report;
    struct err *e;
    struct plan *plan;
    bool failed;
};
void plan_complain(struct plan_reader *r, const struct section *s, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
const char *plan_text(struct plan_reader *r, const char *s); /* a copy that lives as long as the plan */
bool plan_target(struct plan_reader *r, const struct section *s, const char *key, const char *word,
                 struct target *out);
struct match *plan_match(struct plan_reader *r, const struct section *s, const char *key);
int handover_parse(const char *text, int8_t *weekday, int16_t *minute, struct err *e);
int date_parse(const char *text, int32_t *day, struct err *e);
int32_t day_number(int32_t year, int month, int day); /* since 1970-01-01 */
void plan_read_calendars(struct plan_reader *r);      /* mutes, maintenance, rotas */
void plan_read_escalations(struct plan_reader *r);    /* after rotas */

#endif
