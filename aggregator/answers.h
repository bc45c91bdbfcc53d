/* What the desk answers and does, resource by resource: a table of methods and paths. The rooms say it in JSON; lines of
 * the control store that an answer needs are read by the caller before. Pure. */
#ifndef SB_AGGREGATOR_ANSWERS_H
#define SB_AGGREGATOR_ANSWERS_H

#include <cjson/cJSON.h>

#include "aggregator/expose/desk.h"
#include "aggregator/judge.h"
#include "aggregator/moves.h"

struct desk_line {
    struct bytes key;
    struct wall t;
    const char *json;
};

struct desk {
    struct judge *j;
    struct moves *moves; /* NULL: no service can move */
    const struct moment *m;
    const struct desk_request *r;
    struct bytes secret;           /* of signed links */
    const char *part;              /* the path's part in the place of *; "" when there is none */
    struct arena *arena;           /* of what an answer needs meanwhile */
    struct bytes regions;          /* JSON: this region and its peers */
    const struct desk_line *lines; /* oldest first, or as the row reads them */
    size_t n_lines;
    struct orders *orders; /* acting: what it orders */
    struct buf *out;
    const char *type; /* of the content; preset to JSON */
};

/* A method and a path. */
struct desk_row {
    const char *method, *path; /* * stands for one part */
    int (*answer)(struct desk *d);
    /* What is read before: fills in the question, or NULL. d->lines are what came. 0, or a status with its answer. */
    int (*read)(struct desk *d, struct control_lines *q);
    const char *act; /* acting: as it is to stand in the audit; %s is the part. NULL: reading */
    /* Instead of `answer`: what the core of failover is ordered. 0, or a status with its answer; when the core has
     * answered, answer_order says so. */
    int (*order)(struct desk *d, struct fo_order *o);
};

/* NULL and an HTTP status (404, 405) when there is none, here or among `more`. *part: what * stands for, in the arena. */
const struct desk_row *desk_find(const struct desk_row *more, size_t n_more, const char *method,
                                 const char *path, struct arena *a, const char **part, int *status);

/* {error, reason} into d->out; returns status. */
int desk_error(struct desk *d, int status, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The status of an error of a room. */
int desk_fault(struct desk *d, int code, const struct err *e);
/* A parameter, "" never: NULL when absent or empty. */
const char *desk_param(const struct desk *d, const char *name);
/* The object as the answer, which is cleared before; takes it. 200, or 503 when it is too large or memory was short. */
int desk_print(struct desk *d, cJSON **o);
/* A member of the body, or else a parameter; NULL when absent. Copied into the arena. */
const char *desk_field(const struct desk *d, const cJSON *body, const char *name);
/* A moment: RFC 3339, "now", or a duration before (-1h) or after (+1h, 1h) now. *t stays as it is when absent. 0 or 400. */
int desk_time(struct desk *d, const char *name, const char *text, struct wall *t);

/* ---- acts.c ---- */
int act_silence_add(struct desk *d);
int act_silence_end(struct desk *d);
int act_maintenance_start(struct desk *d);
int act_maintenance_end(struct desk *d);
int act_alert_ack(struct desk *d);
int act_alert_unack(struct desk *d);
int act_rota_override(struct desk *d);
int act_incident_ack(struct desk *d);
int act_incident_resolve(struct desk *d);
int act_incident_note(struct desk *d);
int act_event(struct desk *d);
/* ---- moves_desk_io.c: failover and drills ---- */
extern const struct desk_row moves_rows[];
extern const size_t moves_rows_count;
/* Who leads, as far as it is known here: voter and host, its region, where its API is; each may be "". */
struct answer_leader {
    const char *holder, *region, *reading;
};
int answer_order(struct desk *d, uint16_t code, fo_reasons reasons, const struct answer_leader *leader);
/* ---- ack_page.c: signed links ---- */
int ack_page(struct desk *d);
int ack_page_act(struct desk *d);

#endif
