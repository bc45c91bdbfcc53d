/* What the files of the PostgreSQL driver share: connections with deadlines, and what is read of one server.
 *
 * A server is looked at through the service's database. While that database is closed (the fence of a planned move
 * closes it, and the closing is replicated to the standby) through the maintenance database: `closed` says so. */
#ifndef SB_ACTIONS_PG_H
#define SB_ACTIONS_PG_H

#include <libpq-fe.h>

#include "aggregator/actions/http_io.h"

enum { PG_REGIONS = 8, PG_NAME = 64, PG_TABLES = 16, PG_SQL = 2048 };

struct pg_region {
    char *region, *uri;
    char *standby; /* application_name under which it follows a primary; NULL: not told */
};
struct action_target {
    struct log *log;
    char *service;
    int step;               /* enum plan_step; PLAN_STEPS: a gate */
    char database[PG_NAME]; /* of the service, as all URIs name it */
    char *maintenance, *application, *schema;
    struct action_tls tls;
    char *passfile;
    char *password; /* overwritten when freed */
    struct pg_region regions[PG_REGIONS];
    size_t n_regions;
    char *tables[PG_TABLES]; /* to sample and compare */
    size_t n_tables;
    struct span sample_every;
    bool heartbeat, clear_synchronous;
};

/* Why something did not work. */
enum pg_fault {
    PG_FINE,
    PG_AWAY,    /* no connection: refused, no route, a name that is not known, a TLS or start-up error */
    PG_CLOSED,  /* the database takes no connections (55000, datallowconn) */
    PG_REFUSED, /* password, pg_hba.conf, rights, a database or a table that is not there */
    PG_BUSY,    /* too many connections, starting up, shutting down */
    PG_ERROR,   /* the server refused a statement: `state` says why */
    PG_LATE,    /* the deadline passed */
    PG_LOST     /* the connection broke after a statement was sent */
};

struct pg {
    PGconn *c; /* NULL: none */
    struct mono until;
    enum pg_fault fault;
    bool closed;            /* this is the maintenance database, since the service's takes no connections */
    char state[6];          /* SQLSTATE of the last error; "" none */
    char said[ACTION_TEXT]; /* one line; no secrets */
};

/* ---- pg_conn_io.c ---- */

/* Connects to that database (NULL: the service's), until the deadline. False: *p says why; it is safe to pg_close. */
bool pg_connect(struct pg *p, const struct action_target *t, const char *region, const char *database,
                struct mono until);
/* The service's database; where that is closed, the maintenance database, and p->closed. */
bool pg_reach(struct pg *p, const struct action_target *t, const char *region, struct mono until);
void pg_close(struct pg *p);
/* One statement with text parameters (NULL: null). The result, owned by the caller (PQclear), or NULL and a fault. */
PGresult *pg_ask(struct pg *p, const char *sql, int n, const char *const *values);
bool pg_do(struct pg *p, const char *sql, int n, const char *const *values); /* the same, without a result */
int64_t pg_number(const PGresult *r, int row, int column, int64_t absent);
bool pg_true(const PGresult *r, int row, int column);
/* A fault as a class. `sent`: the statement changes something, so that a lost answer is ACTION_UNKNOWN. */
enum action_class pg_class(const struct pg *p, bool sent);
/* Quoted, for SQL; false when it does not fit. */
bool pg_identifier(const struct pg *p, const char *name, char *out, size_t cap);
bool pg_literal(const struct pg *p, const char *text, char *out, size_t cap);
void pg_wait(struct mono until, int64_t most_ms); /* sleeps, not past the deadline */

/* ---- pg_state_io.c ---- */

/* Positions in the log are bytes since its beginning; times are wall clocks in ms. Negative: not known. */
struct pg_state {
    bool known, in_recovery, paused, open, owner;
    uint64_t system;
    int64_t timeline, now_ms;
    int64_t end;      /* primary: all that is flushed; standby: all that it has received */
    int64_t replayed; /* standby */
    int64_t xact_ms,
        beat_ms; /* newest commit and newest heartbeat that are visible here, by the primary's clock */
    bool receiver, streaming; /* the standby has a walreceiver; it is in the state streaming */
    int64_t sent_ms,
        heard_ms;         /* newest message of the primary: sent by its clock, received by the standby's */
    int64_t told;         /* the primary's end as that message told it */
    int64_t silence_ms;   /* how long a quiet primary may stay silent: see pg_state_io.c */
    bool wait_names;      /* synchronous_standby_names is not empty here */
    bool fenced;          /* the mark on the database says fenced */
    struct fencing token; /* highest of the epoch table and the mark; {0} none */
    uint32_t epoch;       /* that goes with it */
    int64_t forked;       /* where that epoch was opened, in bytes of log; 0 not known */
};
bool pg_look(struct pg *p, const struct action_target *t, struct pg_state *s);
/* Primary: whether every acknowledged write is in that standby. False as well when nobody can tell. */
bool pg_synchronous(struct pg *p, const char *standby);
bool pg_beat(struct pg *p, const struct action_target *t, const struct action_order *o); /* a heartbeat row */

/* ---- pg_lag.c, pg_text.c: pure ---- */

/* Figures of a standby from what was read of it, and before that of its primary (known false: not reached). */
void pg_lag(const struct pg_state *primary, const struct pg_state *standby, struct action_result *out);
/* Of synchronous_standby_names: whether all that it lists have to confirm. "*" is nobody in particular: false. */
bool pg_waits_for_all(const char *names);

/* The mark on the service's database: "[securebase epoch=8 token=1.4711 plan=x fenced]", behind whatever comment it has.
 * pg_mark writes `old` with its mark replaced by a new one; pg_read_mark fills in token, epoch and fenced. */
void pg_mark(const char *old, const char *mark, const char *word, char *out, size_t cap);
void pg_read_mark(const char *comment, struct pg_state *s);

/* ---- what an action does ---- */

/* Reads both sides for an order, fills in the figures, and the target's state. False: the target was not reached, and
 * *out says why. */
bool pg_figures(const struct action_target *t, const struct action_order *o, struct mono until,
                struct pg_state *target, struct action_result *out);
void pg_run_gate(const struct action_target *t, const struct action_order *o, struct mono until,
                 struct action_result *out);
void pg_run_promote(const struct action_target *t, const struct action_order *o, struct mono until,
                    struct action_result *out);
void pg_run_fence(const struct action_target *t, const struct action_order *o, struct mono until,
                  struct action_result *out);
void pg_run_catchup(const struct action_target *t, const struct action_order *o, struct mono until,
                    struct action_result *out);
void pg_run_test(const struct action_target *t, const struct action_order *o, struct mono until,
                 struct action_result *out);
void pg_run_validate(const struct action_target *t, const struct action_order *o, struct mono until,
                     struct action_result *out);
void pg_run_tidy(const struct action_target *t, const struct action_order *o, struct mono until,
                 struct action_result *out);
/* What a fault of `p` means for this order, with "what: why" as the sentence. */
void pg_say(struct action_result *out, const struct pg *p, bool sent, const char *what);

#endif
