/* Connections to PostgreSQL with a deadline for each step: libpq without blocking, and poll.
 *
 * libpq resolves host names by itself and waits for it, so the examples name addresses; the runner's own deadline stands
 * behind. Errors are told with their SQLSTATE even before a session exists (PQERRORS_VERBOSE), since their words depend on
 * the server's language. */
#include "aggregator/actions/pg.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 20 };

static int left_ms(struct mono until)
{
    int64_t ms = span_to_ms(mono_sub(until, clock_mono()));

    return ms < 0 ? 0 : ms > 600000 ? 600000 : (int)ms;
}

void pg_wait(struct mono until, int64_t most_ms)
{
    int ms = left_ms(until);

    (void)poll(NULL, 0, ms < most_ms ? ms : (int)most_ms);
}

/* ---- what went wrong ---- */

/* "FATAL:  28P01: password authentication failed": the five characters. */
static void state_of_text(const char *text, char state[6])
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    state[0] = 0;
    for (const char *p = strstr(text, ":  "); p; p = strstr(p + 1, ":  "))
        if (strspn(p + 3, letters) == 5 && p[8] == ':')
            (void)snprintf(state, 6, "%.5s", p + 3);
}

static enum pg_fault fault_of_state(const char *state, enum pg_fault otherwise)
{
    if (strcmp(state, "55000") == 0 && otherwise == PG_AWAY)
        return PG_CLOSED;
    if (strncmp(state, "28", 2) == 0 || strncmp(state, "3D", 2) == 0 || strncmp(state, "42", 2) == 0)
        return PG_REFUSED;
    if (strncmp(state, "53", 2) == 0 || strncmp(state, "57P", 3) == 0)
        return PG_BUSY;
    return otherwise;
}

/* A certificate that is not the right one, or none where one is asked for: waiting does not help. */
static bool distrusted(const char *text)
{
    return strstr(text, "certificate") || strstr(text, "does not support SSL");
}

/* The first line. */
static void say(struct pg *p, enum pg_fault fault, const char *text)
{
    size_t n = strcspn(text, "\n");

    p->fault = fault;
    (void)snprintf(p->said, sizeof p->said, "%.*s", n > 250 ? 250 : (int)n, text);
}

enum action_class pg_class(const struct pg *p, bool sent)
{
    switch (p->fault) {
    case PG_FINE: return ACTION_OK;
    case PG_REFUSED: return ACTION_DENIED;
    case PG_BUSY: return strncmp(p->state, "53", 2) == 0 ? ACTION_THROTTLED : ACTION_RETRY;
    case PG_LATE:
    case PG_LOST: return sent ? ACTION_UNKNOWN : ACTION_RETRY;
    case PG_ERROR: /* rolled back: serialisation, objects in use, a lock or a statement that took too long */
        return strncmp(p->state, "40", 2) == 0 || strncmp(p->state, "55", 2) == 0 ||
                       strncmp(p->state, "57", 2) == 0 || strncmp(p->state, "25", 2) == 0
                   ? ACTION_RETRY
                   : ACTION_DENIED;
    case PG_AWAY:
    case PG_CLOSED: break;
    }
    return ACTION_RETRY;
}

void pg_say(struct action_result *out, const struct pg *p, bool sent, const char *what)
{
    action_say(out, pg_class(p, sent), "%s: %s", what, p->said);
}

/* ---- connecting ---- */

static const struct pg_region *region_of(const struct action_target *t, const char *region)
{
    for (size_t i = 0; i < t->n_regions; i++)
        if (strcmp(t->regions[i].region, region) == 0)
            return &t->regions[i];
    return NULL;
}

struct words {
    const char *keys[WORDS + 1], *values[WORDS + 1];
    size_t n;
};

static void word(struct words *w, const char *key, const char *value)
{
    if (!value || !*value || w->n == WORDS)
        return;
    w->keys[w->n] = key;
    w->values[w->n++] = value;
}

/* Where a key occurs twice the last one holds: so what stands before the URI is a default, and what is behind it holds. */
static PGconn *begin(const struct action_target *t, const char *uri, const char *database, struct mono until)
{
    char options[160];
    struct words w = {.n = 0};
    int ms = left_ms(until);

    (void)snprintf(options, sizeof options,
                   "-c statement_timeout=%d -c lock_timeout=%d -c search_path=", ms + 200, ms / 2 + 100);
    word(&w, "sslmode", t->tls.ca ? "verify-full" : NULL);
    word(&w, "gssencmode", "disable");
    word(&w, "dbname", uri);
    word(&w, "dbname", database);
    word(&w, "password", t->password);
    word(&w, "passfile", t->passfile);
    word(&w, "sslrootcert", t->tls.ca);
    word(&w, "sslcert", t->tls.cert);
    word(&w, "sslkey", t->tls.key);
    word(&w, "application_name", t->application);
    word(&w, "client_encoding", "UTF8");
    word(&w, "options", options);
    return PQconnectStartParams(w.keys, w.values, 1);
}

static bool finish(struct pg *p)
{
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;

    while (want != PGRES_POLLING_OK) {
        struct pollfd fd = {.fd = PQsocket(p->c), .events = want == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int n = fd.fd < 0 ? -1 : poll(&fd, 1, left_ms(p->until));

        if (n == 0 || left_ms(p->until) == 0) {
            say(p, PG_LATE, "no connection within the time");
            return false;
        }
        want = PQconnectPoll(p->c);
        if (want == PGRES_POLLING_FAILED) {
            state_of_text(PQerrorMessage(p->c), p->state);
            say(p, fault_of_state(p->state, distrusted(PQerrorMessage(p->c)) ? PG_REFUSED : PG_AWAY),
                PQerrorMessage(p->c));
            return false;
        }
    }
    return PQsetnonblocking(p->c, 1) == 0;
}

bool pg_connect(struct pg *p, const struct action_target *t, const char *region, const char *database,
                struct mono until)
{
    const struct pg_region *r = region_of(t, region);

    *p = (struct pg){.until = until};
    if (!r) {
        p->fault = PG_REFUSED;
        (void)snprintf(p->said, sizeof p->said, "`hosts` has no server of %.64s", region);
        return false;
    }
    p->c = begin(t, r->uri, database, until);
    if (!p->c) {
        say(p, PG_AWAY, "no memory for a connection");
        return false;
    }
    (void)PQsetErrorVerbosity(p->c, PQERRORS_VERBOSE);
    if (PQstatus(p->c) == CONNECTION_BAD) {
        say(p, PG_AWAY, PQerrorMessage(p->c));
        return false;
    }
    return finish(p);
}

bool pg_reach(struct pg *p, const struct action_target *t, const char *region, struct mono until)
{
    if (pg_connect(p, t, region, NULL, until))
        return true;
    if (p->fault != PG_CLOSED && strcmp(p->state, "28000") != 0) /* the latter: a guard's cut (agent/guard) */
        return false;
    pg_close(p);
    if (!pg_connect(p, t, region, t->maintenance, until))
        return false;
    p->closed = true;
    return true;
}

void pg_close(struct pg *p)
{
    if (p->c)
        PQfinish(p->c);
    p->c = NULL;
}

/* ---- asking ---- */

/* Until the whole answer is there. */
static bool settle(struct pg *p)
{
    for (;;) {
        int flush = PQflush(p->c);
        struct pollfd fd = {.fd = PQsocket(p->c), .events = POLLIN};
        int ms = left_ms(p->until);

        if (flush == 0 && !PQisBusy(p->c))
            return true;
        if (flush > 0)
            fd.events |= POLLOUT;
        if (ms == 0 || flush < 0 || fd.fd < 0) {
            say(p, ms == 0 ? PG_LATE : PG_LOST, ms == 0 ? "no answer within the time" : PQerrorMessage(p->c));
            return false;
        }
        (void)poll(&fd, 1, ms);
        if (!PQconsumeInput(p->c)) {
            say(p, PG_LOST, PQerrorMessage(p->c));
            return false;
        }
    }
}

static bool judge(struct pg *p, const PGresult *r)
{
    ExecStatusType s = PQresultStatus(r);
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

    if (s == PGRES_TUPLES_OK || s == PGRES_COMMAND_OK)
        return true;
    (void)snprintf(p->state, sizeof p->state, "%s", state ? state : "");
    if (!state || strncmp(state, "57P", 3) == 0 || PQstatus(p->c) == CONNECTION_BAD)
        say(p, PG_LOST, PQresultErrorMessage(r));
    else
        say(p, strncmp(state, "42", 2) == 0 ? PG_REFUSED : PG_ERROR, PQresultErrorMessage(r));
    return false;
}

PGresult *pg_ask(struct pg *p, const char *sql, int n, const char *const *values)
{
    PGresult *r, *last = NULL;

    p->fault = PG_FINE;
    p->state[0] = 0;
    if (!PQsendQueryParams(p->c, sql, n, NULL, values, NULL, NULL, 0)) {
        say(p, PG_LOST, PQerrorMessage(p->c));
        return NULL;
    }
    for (;;) {
        if (!settle(p))
            break;
        r = PQgetResult(p->c);
        if (!r)
            break;
        PQclear(last);
        last = r;
    }
    if (p->fault == PG_FINE && last && judge(p, last))
        return last;
    if (p->fault == PG_FINE)
        say(p, PG_LOST, "no answer");
    PQclear(last);
    return NULL;
}

bool pg_do(struct pg *p, const char *sql, int n, const char *const *values)
{
    PGresult *r = pg_ask(p, sql, n, values);

    PQclear(r);
    return r != NULL;
}

int64_t pg_number(const PGresult *r, int row, int column, int64_t absent)
{
    char *end;
    int64_t v;

    if (row >= PQntuples(r) || PQgetisnull(r, row, column))
        return absent;
    v = strtoll(PQgetvalue(r, row, column), &end, 10);
    return *end ? absent : v;
}

bool pg_true(const PGresult *r, int row, int column)
{
    return row < PQntuples(r) && !PQgetisnull(r, row, column) && PQgetvalue(r, row, column)[0] == 't';
}

static bool quoted(char *text, char *out, size_t cap)
{
    bool fits = text && strlen(text) < cap;

    if (fits)
        memcpy(out, text, strlen(text) + 1);
    PQfreemem(text);
    return fits;
}

bool pg_identifier(const struct pg *p, const char *name, char *out, size_t cap)
{
    return quoted(PQescapeIdentifier(p->c, name, strlen(name)), out, cap);
}

bool pg_literal(const struct pg *p, const char *text, char *out, size_t cap)
{
    return quoted(PQescapeLiteral(p->c, text, strlen(text)), out, cap);
}
