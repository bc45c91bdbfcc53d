/* The inside of incidents.
 *
 * An incident owns one arena with its members; a member is one alert (rule and group of labels) that belongs to it.
 * `alerts` finds the member by its fingerprint: an alert is a member of at most one incident, its latest. */
#ifndef SB_INCIDENT_PRIVATE_H
#define SB_INCIDENT_PRIVATE_H

#include <cjson/cJSON.h>

#include "aggregator/incident/incident.h"
#include "common/base/arena.h"
#include "common/base/map.h"

enum {
    INCIDENTS_MOST = 1000, /* kept; the oldest resolved one makes room */
    MEMBERS_MOST = 10000,  /* of one incident; further alerts are counted */
    MEMBERS_KEPT = 100,    /* once it is resolved: the gravest, then the earliest */
    LINES_MOST = 1000,     /* lines of a timeline that alerts may write; what people do is always written */
    CHANGES_MOST = 64,     /* remembered for incidents to come */
    BY_MOST = 8,           /* labels of grouping */
    LINE_MOST = 4600,      /* bytes of a line's sentence: a note of 4000 and who wrote it */
    TEXT_MOST = 500,       /* bytes of a sentence */
    ARENA_MOST = 32 << 20
};

enum incident_state { INCIDENT_OPEN, INCIDENT_ACKNOWLEDGED, INCIDENT_RESOLVED, INCIDENT_STATES };

struct incident;

struct member {
    struct fingerprint id;
    uint64_t epoch;
    struct incident *in;
    struct member *next;
    const char *rule, *labels, *summary, *runbook; /* in the incident's arena; never NULL */
    enum severity severity;
    bool firing, suppressed, acknowledged;
    uint32_t fired; /* how often */
    struct wall since, data, at, cleared;
    double value, threshold;
};

struct incident {
    char id[32];
    long number; /* ascending with the opening */
    enum incident_state state;
    enum severity severity; /* worst of all its alerts so far */
    bool headed;            /* its own record is there; false: only members of it were restored */
    char title[TEXT_MOST + 1];
    char owner[129], resolver[129], reason[TEXT_MOST + 1];
    struct wall began; /* the earliest condition became true */
    struct wall data;  /* newest sample behind the alert that opened it */
    struct wall opened, acknowledged, resolved, fired, cleared; /* 0: not yet; fired, cleared: the last */
    uint32_t n_alerts, n_firing;                                /* members ever; firing now */
    uint32_t untracked;                                         /* beyond MEMBERS_MOST */
    uint32_t lines, left_out;                                   /* of the timeline, by alerts */
    uint32_t reopened, notes;
    struct labels group;
    struct member *members; /* oldest first */
    struct member **tail;
    struct arena arena;
};

struct change {
    struct wall t;
    char kind[65], who[129], text[TEXT_MOST + 1];
    struct arena arena;
    struct labels labels;
    bool used;
};

struct incidents {
    struct mem *mem;
    char region[129];
    char by[BY_MOST][65];
    uint32_t n_by;
    bool opens[SEVERITY_CRITICAL + 1];
    struct span window, reopen, resolve_after, keep;
    struct incident **v; /* by number */
    size_t n, room;
    struct map ids, alerts;
    long next;
    struct change changes[CHANGES_MOST];
    uint32_t change_at; /* where the next one goes */
    struct {
        uint64_t opened, reopened, detected, acknowledged, resolved, lines, left_out, untracked, refused,
            dropped, damaged;
        double detect_s, acknowledge_s, resolve_s;
    } count;
};

static inline bool incident_active(const struct incident *in)
{
    return in->state != INCIDENT_RESOLVED;
}
const char *incident_state_name(enum incident_state s);

/* table.c: incidents and members as they are held. */
struct incident *incident_add(struct incidents *i, const char *id, struct err *e); /* number not set yet */
void incident_place(struct incidents *i, struct incident *in);                     /* by its number */
struct incident *incident_find(const struct incidents *i, const char *id);
void incident_remove(struct incidents *i, struct incident *in,
                     const struct incident_effects *out); /* out NULL: no records */
struct member *member_find(const struct incidents *i, const struct fingerprint *f);
struct member *member_add(struct incidents *i, struct incident *in, const struct fingerprint *f,
                          const char *rule, const char *labels, const char *summary, const char *runbook);
int member_enter(struct incidents *i, struct member *m); /* is found by its alert from now on */
/* Leaves MEMBERS_KEPT of a resolved incident. */
void incident_compact(struct incidents *i, struct incident *in, const struct incident_effects *out);

/* record.c */
void incident_record(const struct incident *in, const struct incident_effects *out);
void member_record(const struct member *m, const struct incident_effects *out);
void member_forget(const struct member *m, const struct incident_effects *out);
void incident_forget(const struct incident *in, const struct incident_effects *out);
void change_record(const struct change *c, uint32_t at, const struct incident_effects *out);

/* line.c: one line of a timeline. `alert` and who may be NULL. by_alert: counts against LINES_MOST. */
struct line {
    const char *kind, *who;
    const struct member *alert;
    struct wall t;
    bool by_alert;
};
void incident_line(struct incidents *i, struct incident *in, const struct line *l,
                   const struct incident_effects *out, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* "45s" "12m" "1h 5m" "3d 4h": as people say it. */
const char *incident_for(struct wall from, struct wall to, char out[32]);
/* Copies at most size - 1 bytes, never half a character. */
void incident_copy(char *out, size_t size, const char *s);

/* change.c: deployments, failovers and the like, before and during an incident */
void incident_change(struct incidents *i, const struct incident_event *ev,
                     const struct incident_effects *out);
void incident_changes_before(struct incidents *i, struct incident *in, const struct incident_effects *out);
int change_restore(struct incidents *i, uint32_t at, const cJSON *o);
void changes_free(struct incidents *i);

/* objectives.c: the section of a postmortem that tells of SLAs. slo_json may be NULL. */
void postmortem_objectives(const struct incident *in, const char *slo_json, struct buf *out);
/* One line of it, without what Markdown would read as a cell, a tag or emphasis. */
void markdown_plain(struct buf *out, const char *s);

/* JSON by hand: times in ms; texts never NULL. */
static inline const char *incident_json_text(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsString(v) && v->valuestring ? v->valuestring : "";
}
double incident_json_number(const cJSON *o, const char *key);
struct wall incident_json_wall(const cJSON *o, const char *key);
void incident_json_time(cJSON *o, const char *key, struct wall t); /* RFC 3339; null when t is 0 */
cJSON *incident_json_labels(struct labels l);
/* Labels of a JSON object into the arena; false when there is no memory. */
bool incident_json_read_labels(const cJSON *o, struct arena *a, struct labels *out);
int incident_json_into(cJSON **o, struct buf *out, struct err *e); /* prints and frees *o */

#endif
