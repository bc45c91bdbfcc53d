/* sbctl: the operator's hand on an aggregator. One command per row; each asks the API and shows the answer as
 * a table or, with --json, as it came. */
#ifndef SB_CTL_CTL_H
#define SB_CTL_CTL_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/err.h"

struct ctl_options {
    const char *url;    /* NULL: the unix socket */
    const char *socket; /* its path */
    const char *ca, *cert, *key, *token;
    bool json, once;
    const char *by, *window, *reason, *request_id;
    int interval; /* seconds, of top; 0: not given */
    /* what is looked at, and what is ordered */
    const char *month, *format, *state, *match, *at, *from, *to, *last, *rules, *kind, *text, *labels;
    bool excludes_sla, until_resolved;
    const char *accept_data_loss, *confirm;
    bool fenced_by_hand;
};

struct ctl; /* a connection to one aggregator: client_io.c */
struct ctl *ctl_new(const struct ctl_options *o, struct err *e);
void ctl_free(struct ctl **c);
/* GET or POST of a path with its query; the body into out (cleared). 0 for 2xx, ERR_NOTFOUND for 404, else a
 * negative code with the aggregator's own sentence. */
int ctl_get(struct ctl *c, const char *path, struct buf *out, struct err *e);
int ctl_post(struct ctl *c, const char *path, struct buf *out, struct err *e);
/* Any method, with a body of JSON (or NULL). */
int ctl_send(struct ctl *c, const char *method, const char *path, const char *json, struct buf *out,
             struct err *e);
/* As ctl_get, parsed; release with cJSON_Delete. NULL and e. */
cJSON *ctl_json(struct ctl *c, const char *path, struct err *e);
/* Of the last answer that was refused: where who leads is asked; "" not known. */
const char *ctl_leader(const struct ctl *c);
/* Whether standard output is a terminal, and its size. */
bool ctl_terminal(int *columns, int *rows);
void ctl_print(const struct buf *b); /* to standard output */

/* Commands: argv behind the verb. 0, or a negative code with e. */
int ctl_status(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_agents(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_percentiles(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_top(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
/* judge_io.c: reading what is judged */
int ctl_slo(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_alerts(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_rules(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_explain(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_incident(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_regions(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
/* failover_io.c */
int ctl_failover(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
/* The service named, or the only one that there is. */
int ctl_service(struct ctl *c, const char *named, char out[128], struct err *e);
/* drill_io.c */
int ctl_drill(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_journal(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
/* trial_io.c: trying rules */
int ctl_test_rules(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_replay(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
/* act_io.c: what is silenced, maintained, on duty; what happened */
int ctl_silence(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_maintenance(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_rota(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_route(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
int ctl_event(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);

/* Whether the words are this verb with so many arguments. */
bool ctl_verb(const char *verb, int argc, char **argv, int arguments);

/* A path with a query that grows: path_add appends ?name=value or &name=value, escaped; nothing for NULL. */
void path_add(struct buf *path, const char *name, const char *value);
void path_part(struct buf *path, const char *part); /* /part, escaped */
/* Prints the answer as it came (--json), or what `show` makes of it. */
int ctl_fetch(struct ctl *c, const struct ctl_options *o, const char *path,
              void (*show)(const cJSON *, struct buf *), struct err *e);
/* Orders an act: adds reason and request id to the body (taken), and prints the answer or `said`. */
int ctl_order(struct ctl *c, const struct ctl_options *o, const char *method, const char *path, cJSON **body,
              const char *said, struct err *e);

/* ---- what is shown: pure ---- */

/* A table: cells by rows, the first row the heading; right[i] aligns column i to the right. */
struct table {
    struct buf cells;  /* texts, each terminated */
    size_t columns, n; /* n: cells so far */
    bool right[16];
};
/* alignment: 'l' or 'r' for each column */
void table_init(struct table *t, size_t columns, const char *alignment);
void table_free(struct table *t);
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_print(const struct table *t, struct buf *out);

const char *json_text(const cJSON *o, const char *key); /* "" when absent */
double json_number(const cJSON *o, const char *key);    /* NaN when absent */
/* "12 s", "3 min", "2 h 5 min", "4 d": how long before now the RFC 3339 text lies; "-" when it is none. */
void age_text(const char *now, const char *then, char out[32]);
/* A number for people: 3 significant digits. */
void short_number(double v, char out[32]);

/* A list of objects as a table: columns are {heading, member} up to NULL; a member "a.b" is b of a. `none`: what an
 * empty list says. */
struct column {
    const char *head, *member;
};
void show_list(const cJSON *list, const struct column *columns, const char *none, struct buf *out);
/* An object: one member a line; lists of objects as tables below. */
void show_details(const cJSON *o, struct buf *out);

void show_explanation(const cJSON *a, struct buf *out); /* of alerts/explain */
void show_status(const cJSON *status, struct buf *out);
void show_agents(const cJSON *agents, const char *now, struct buf *out);
void show_percentiles(const cJSON *percentiles, struct buf *out);
/* One frame of top. before: the status of the frame before,
 * for rates; NULL at first. rows: lines to fill, 0: all. */
void show_top(const cJSON *status, const cJSON *before, const cJSON *agents, const cJSON *series,
              const cJSON *percentiles, int rows, struct buf *out);

#endif
