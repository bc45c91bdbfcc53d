/* Closing the old primary: the service's database takes no connections any more, by its catalogue, and every session in it
 * is ended. A read-only default would be no fence, since each session may override it.
 *
 * Proof, in this order, on one connection to the maintenance database:
 *   1. pg_database.datallowconn is false, committed.
 *   2. nobody holds the lock on the database object that every starting session takes (RowExclusiveLock, InitPostgres) until
 *      its start is complete: whoever takes it later sees 1 and is refused, superusers included.
 *   3. nobody is left in the database in pg_stat_activity, read after 2: whoever gave the lock back before stands there.
 *   4. a connection of our own is refused with just that reason.
 * Autovacuum may go on, since it changes no user's data. A superuser may open the database again from another one, and
 * other databases of the server stay open: the fence is of the service's database. It is in the catalogue, so it outlives a
 * restart; and it is replicated, so the promotion opens the target's.
 *
 * The token stands in the comment on the database, behind whatever comment it has: it can be read while nobody can
 * connect. */
#include "aggregator/actions/pg.h"

#include <stdio.h>
#include <string.h>

enum { LOOK_MS = 50 };

static bool higher(const struct pg_state *s, const struct action_order *o, struct action_result *out)
{
    out->found = s->token;
    if (fencing_cmp(s->token, o->token) <= 0)
        return false;
    action_say(out, ACTION_CONFLICT, "a higher token stands in %.64s: epoch %u, token %llu.%llu", o->from,
               s->epoch, (unsigned long long)s->token.store, (unsigned long long)s->token.rev);
    return true;
}

/* Connects to the maintenance database of the old side and looks; the epoch table is read through the service's while that
 * is open. False: *out says why. */
static bool look(struct pg *p, const struct action_target *t, const struct action_order *o, struct mono until,
                 struct pg_state *s, struct action_result *out)
{
    struct pg_state inside = {.known = false};
    bool ok = pg_reach(p, t, o->from, until) && pg_look(p, t, s);

    if (ok && !p->closed) {
        inside = *s;
        pg_close(p);
        ok = pg_connect(p, t, o->from, t->maintenance, until) && pg_look(p, t, s);
    }
    if (!ok) {
        pg_say(out, p, false, o->from);
        return false;
    }
    if (inside.known && fencing_cmp(inside.token, s->token) > 0) {
        s->token = inside.token;
        s->epoch = inside.epoch;
    }
    action_seen(out, "%s, database %s%s, epoch=%u token=%llu.%llu", s->in_recovery ? "standby" : "primary",
                s->open ? "open" : "closed", s->fenced ? ", fenced" : "", s->epoch,
                (unsigned long long)s->token.store, (unsigned long long)s->token.rev);
    return true;
}

/* ---- proof ---- */

/* Sessions that are left, in the order that makes it a proof. -1: not known. `who`: the first of them. */
static int64_t left_inside(struct pg *p, const struct action_target *t, char *who, size_t cap)
{
    static const char starting[] = "select count(*) from pg_locks l join pg_database d on l.objid = d.oid"
                                   " where l.locktype = 'object' and l.classid = 'pg_database'::regclass"
                                   " and l.mode = 'RowExclusiveLock' and l.pid <> pg_backend_pid()"
                                   " and d.datname = $1";
    static const char looked[] =
        "select count(*), max(coalesce(usename::text, '') || ' (' || backend_type || ')')"
        " from pg_stat_activity where datname = $1"
        " and backend_type <> 'autovacuum worker' and pid <> pg_backend_pid()";
    const char *value = t->database;
    PGresult *r = pg_ask(p, starting, 1, &value);
    int64_t n = r ? pg_number(r, 0, 0, -1) : -1, m;

    PQclear(r);
    if (n < 0)
        return -1;
    r = pg_ask(p, looked, 1, &value);
    m = r ? pg_number(r, 0, 0, -1) : -1;
    if (m > 0)
        (void)snprintf(who, cap, "%.80s", PQgetvalue(r, 0, 1));
    else if (n > 0)
        (void)snprintf(who, cap, "a session that is starting");
    PQclear(r);
    return m < 0 ? -1 : n + m;
}

/* One by one: a session that we may not end must not keep the others alive. */
static void end_sessions(struct pg *p, const struct action_target *t, char *denied, size_t cap)
{
    const char *value = t->database;
    PGresult *r =
        pg_ask(p,
               "select pid::text, coalesce(usename::text, backend_type) from pg_stat_activity"
               " where datname = $1 and backend_type <> 'autovacuum worker' and pid <> pg_backend_pid()",
               1, &value);

    denied[0] = 0;
    for (int i = 0; r && i < PQntuples(r); i++) {
        const char *pid = PQgetvalue(r, i, 0);

        if (pg_do(p, "select pg_terminate_backend($1::int)", 1, &pid))
            continue;
        if (p->fault == PG_REFUSED)
            (void)snprintf(denied, cap, "%.80s", PQgetvalue(r, i, 1));
        else
            break;
    }
    PQclear(r);
}

/* Our own connection has to be refused for that very reason. */
static bool refused(const struct action_target *t, const struct action_order *o, struct mono until)
{
    struct pg p;
    bool ok = !pg_connect(&p, t, o->from, NULL, until) && p.fault == PG_CLOSED;

    pg_close(&p);
    return ok;
}

static void prove(struct pg *p, const struct action_target *t, const struct action_order *o,
                  const struct pg_state *s, struct action_result *out)
{
    char who[120] = "";
    int64_t n;

    if (s->in_recovery) {
        action_say(out, ACTION_NOT_APPLIED,
                   "%.64s is in recovery: it is not the primary that was to be fenced", o->from);
        return;
    }
    if (s->open) {
        action_say(out, ACTION_NOT_APPLIED, "the database takes connections");
        return;
    }
    n = left_inside(p, t, who, sizeof who);
    if (n < 0)
        pg_say(out, p, false, "the sessions cannot be read");
    else if (n > 0)
        action_say(out, ACTION_NOT_APPLIED, "%lld sessions are left in the database: %s", (long long)n, who);
    else if (!refused(t, o, p->until))
        action_say(out, ACTION_NOT_APPLIED, "a connection to the database was not refused");
    else
        action_say(out, ACTION_OK, "the database takes no connections, nobody is left in it");
}

static void probe(const struct action_target *t, const struct action_order *o, struct mono until,
                  struct action_result *out)
{
    struct pg_state s;
    struct pg p;

    if (look(&p, t, o, until, &s, out) && !higher(&s, o, out))
        prove(&p, t, o, &s, out);
    pg_close(&p);
}

/* ---- closing and opening ---- */

/* In one transaction, after the token has been read again under a lock that all of us take. 1: done, 0: a higher token, -1: a
 * fault. It waits for no standby: the fence of a primary whose synchronous standby is gone must not hang. */
static int set_open(struct pg *p, const struct action_target *t, const struct action_order *o, bool open,
                    struct action_result *out)
{
    char mark[ACTION_MARK], name[PG_NAME * 3], comment[PG_SQL / 2], text[PG_SQL / 2 + 64], sql[PG_SQL];
    const char *value = t->database;
    struct pg_state s;
    PGresult *r;

    if (!pg_do(p, "begin", 0, NULL) || !pg_do(p, "set local synchronous_commit = local", 0, NULL) ||
        !pg_do(p, "select pg_advisory_xact_lock(hashtextextended('securebase ' || $1, 0))", 1, &value) ||
        !pg_look(p, t, &s))
        return -1;
    if (higher(&s, o, out))
        return pg_do(p, "rollback", 0, NULL) ? 0 : -1;
    r = pg_ask(
        p, "select coalesce(shobj_description(oid, 'pg_database'), '') from pg_database where datname = $1",
        1, &value);
    if (!r)
        return -1;
    action_mark(o, mark);
    pg_mark(PQgetvalue(r, 0, 0), mark, open ? "open" : "fenced", comment, sizeof comment);
    PQclear(r);
    if (!pg_identifier(p, t->database, name, sizeof name) || !pg_literal(p, comment, text, sizeof text))
        return -1;
    (void)snprintf(sql, sizeof sql, "comment on database %s is %s", name, text);
    if (!pg_do(p, sql, 0, NULL))
        return -1;
    (void)snprintf(sql, sizeof sql, "alter database %s with allow_connections %s", name,
                   open ? "true" : "false");
    return pg_do(p, sql, 0, NULL) && pg_do(p, "commit", 0, NULL) ? 1 : -1;
}

/* Ends sessions until a look finds none, or the time is over. */
static void clear_out(struct pg *p, const struct action_target *t, const struct action_order *o,
                      struct pg_state *s, bool before, struct action_result *out)
{
    char denied[120];

    for (;;) {
        end_sessions(p, t, denied, sizeof denied);
        s->open = false;
        prove(p, t, o, s, out);
        if (out->class == ACTION_OK && before)
            out->class = ACTION_ALREADY;
        if (out->class == ACTION_OK || out->class == ACTION_ALREADY)
            return;
        if (out->class != ACTION_NOT_APPLIED) { /* closed by then: what is left inside is not known */
            out->class = ACTION_UNKNOWN;
            return;
        }
        if (denied[0]) {
            action_say(out, ACTION_DENIED, "closed, but the role may not end the sessions of %s", denied);
            return;
        }
        if (span_to_ms(mono_sub(p->until, clock_mono())) < 4 * LOOK_MS) {
            out->class = ACTION_PROGRESS;
            return;
        }
        pg_wait(p->until, LOOK_MS);
    }
}

static void apply(const struct action_target *t, const struct action_order *o, struct mono until,
                  struct action_result *out)
{
    struct pg_state s;
    bool before;
    struct pg p;
    int done = 1;

    if (!look(&p, t, o, until, &s, out) || higher(&s, o, out)) {
        pg_close(&p);
        return;
    }
    if (s.in_recovery) {
        action_say(out, ACTION_CONFLICT, "%.64s is in recovery: it is not the primary that was to be fenced",
                   o->from);
        pg_close(&p);
        return;
    }
    before = !s.open && s.epoch == o->epoch && s.fenced;
    if (!before)
        done = set_open(&p, t, o, false, out);
    if (done < 0)
        pg_say(out, &p, true, "it cannot be closed");
    else if (done)
        clear_out(&p, t, o, &s, before, out);
    pg_close(&p);
}

static void undo(const struct action_target *t, const struct action_order *o, struct mono until,
                 struct action_result *out)
{
    struct pg_state s;
    struct pg p;
    int done;

    if (!look(&p, t, o, until, &s, out) || higher(&s, o, out)) {
        pg_close(&p);
        return;
    }
    if (s.in_recovery)
        action_say(out, ACTION_CONFLICT, "%.64s is in recovery", o->from);
    else if (s.open)
        action_say(out, ACTION_ALREADY, "the database takes connections");
    else if ((done = set_open(&p, t, o, true, out)) < 0)
        pg_say(out, &p, true, "it cannot be opened");
    else if (done)
        action_say(out, ACTION_OK, "the database takes connections again");
    pg_close(&p);
}

static void precheck(const struct action_target *t, const struct action_order *o, struct mono until,
                     struct action_result *out)
{
    static const char sql[] = "select pg_has_role('pg_signal_backend', 'usage') or (select rolsuper from "
                              "pg_roles where rolname = current_user)";
    struct pg_state s;
    struct pg p;
    PGresult *r;

    if (!look(&p, t, o, until, &s, out) || higher(&s, o, out)) {
        pg_close(&p);
        return;
    }
    r = pg_ask(&p, sql, 0, NULL);
    if (!r)
        pg_say(out, &p, false, "the rights cannot be read");
    else if (s.in_recovery)
        action_say(out, ACTION_CONFLICT, "%.64s is in recovery: it is no primary", o->from);
    else if (!s.owner)
        action_say(out, ACTION_DENIED, "the role is no member of the database's owner and cannot close it");
    else if (!pg_true(r, 0, 0))
        action_say(out, ACTION_DENIED, "the role is no member of pg_signal_backend and cannot end sessions");
    else
        action_say(out, ACTION_OK, "the database can be closed");
    PQclear(r);
    pg_close(&p);
}

void pg_run_fence(const struct action_target *t, const struct action_order *o, struct mono until,
                  struct action_result *out)
{
    switch (o->op) {
    case ACTION_PRECHECK: precheck(t, o, until, out); return;
    case ACTION_PROBE:
    case ACTION_VERIFY: probe(t, o, until, out); return;
    case ACTION_APPLY: apply(t, o, until, out); return;
    case ACTION_UNDO: undo(t, o, until, out); return;
    case ACTION_OPS: break;
    }
}
