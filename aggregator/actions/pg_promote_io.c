/* Opening the target for writes: pg_promote(), then the epoch row in the same session.
 *
 * Refused unless the server is in recovery, and whenever a higher token stands there. "recovery is not in progress" is
 * somebody's success: ours when no higher token is found, and then what is missing (the row, the open database) is made up
 * for. A lost answer is settled by the probe: in recovery, not applied; a primary with our token and an open database, done.
 *
 * The fence of a planned move closes the service's database by its catalogue, which is replicated: the standby comes up
 * closed, and is opened here. */
#include "aggregator/actions/pg.h"

#include <stdio.h>
#include <string.h>

enum { SPARE_MS = 1500 };

/* A mark that says `fenced` came from the old primary: no promotion has been completed since. */
static bool ours(const struct pg_state *s, const struct action_order *o)
{
    return !s->fenced && s->epoch == o->epoch && fencing_cmp(s->token, o->token) <= 0;
}

static bool higher(const struct pg_state *s, const struct action_order *o, struct action_result *out)
{
    out->found = s->token;
    if (fencing_cmp(s->token, o->token) <= 0)
        return false;
    action_say(out, ACTION_CONFLICT, "a higher token stands in %.64s: epoch %u, token %llu.%llu", o->to,
               s->epoch, (unsigned long long)s->token.store, (unsigned long long)s->token.rev);
    return true;
}

/* ---- precheck ---- */

static const char rights_sql[] =
    "select has_function_privilege('pg_promote(boolean, integer)', 'execute'),"
    " case when to_regclass($1) is null then has_database_privilege(current_database(), 'create')"
    "  else has_table_privilege(to_regclass($1), 'insert, update') end,"
    " (select count(*) from pg_database where datname = $2)";

/* Before PostgreSQL 15 a superuser alone may set it. */
static bool may_clear(struct pg *p)
{
    const char *sql = PQserverVersion(p->c) < 150000
                          ? "select current_setting('is_superuser') = 'on'"
                          : "select has_parameter_privilege('synchronous_standby_names', 'alter system')"
                            " and has_function_privilege('pg_reload_conf()', 'execute')";
    PGresult *r = pg_ask(p, sql, 0, NULL);
    bool may = r && pg_true(r, 0, 0);

    PQclear(r);
    return may;
}

static void check_rights(struct pg *p, const struct action_target *t, const struct pg_state *s,
                         struct action_result *out)
{
    char epochs[PG_NAME * 2];
    const char *values[] = {epochs, t->maintenance};
    PGresult *r;

    (void)snprintf(epochs, sizeof epochs, "%s.epoch", t->schema);
    r = pg_ask(p, rights_sql, 2, values);
    if (!r)
        pg_say(out, p, false, "the rights cannot be read");
    else if (!pg_true(r, 0, 0))
        action_say(out, ACTION_DENIED, "the role may not execute pg_promote(boolean, integer)");
    else if (!p->closed && !pg_true(r, 0, 1))
        action_say(out, ACTION_DENIED, "the role may not write %s", epochs);
    else if (t->clear_synchronous && !may_clear(p))
        action_say(out, ACTION_DENIED,
                   "clear_synchronous: the role may not set synchronous_standby_names and reload (grant "
                   "alter system on "
                   "parameter, execute on pg_reload_conf)");
    else
        action_say(out, ACTION_OK, "a standby that can be promoted%s%s",
                   s->paused ? "; its replay is paused, a promotion goes on with it" : "",
                   s->wait_names
                       ? "; synchronous_standby_names is set there: commits will wait for those names"
                       : "");
    PQclear(r);
}

static void precheck(const struct action_target *t, const struct action_order *o, struct mono until,
                     struct action_result *out)
{
    struct pg_state s;
    struct pg p;

    if (!pg_figures(t, o, until, &s, out) || higher(&s, o, out))
        return;
    if (!s.in_recovery) {
        action_say(out, ACTION_CONFLICT, "%.64s is a primary already", o->to);
        return;
    }
    if (pg_reach(&p, t, o->to, until))
        check_rights(&p, t, &s, out);
    else
        pg_say(out, &p, false, o->to);
    pg_close(&p);
}

/* ---- probe ---- */

static void probe(const struct action_target *t, const struct action_order *o, struct mono until,
                  struct action_result *out)
{
    struct pg_state s;

    if (!pg_figures(t, o, until, &s, out))
        return;
    if (s.in_recovery)
        action_say(out, ACTION_NOT_APPLIED, "in recovery: a standby");
    else if (higher(&s, o, out))
        return;
    else if (!s.open)
        action_say(out, ACTION_NOT_APPLIED, "promoted, and its database is still closed");
    else if (!ours(&s, o))
        action_say(out, ACTION_NOT_APPLIED, "a primary without the row of epoch %u", o->epoch);
    else
        action_say(out, ACTION_OK, "a primary, with the row of epoch %u", o->epoch);
}

/* ---- after the promotion ---- */

/* Opens the database, if it came up closed. */
static bool open_database(struct pg *p, const struct action_target *t)
{
    char name[PG_NAME * 3], sql[PG_SQL];

    if (!pg_identifier(p, t->database, name, sizeof name))
        return false;
    (void)snprintf(sql, sizeof sql, "alter database %s with allow_connections true", name);
    return pg_do(p, sql, 0, NULL);
}

static bool make_table(struct pg *p, const struct action_target *t)
{
    char sql[PG_SQL], table[PG_NAME * 2];
    const char *value = table;
    PGresult *r;
    bool there;

    (void)snprintf(table, sizeof table, "%s.epoch", t->schema);
    r = pg_ask(p, "select to_regclass($1) is not null", 1, &value);
    there = r && pg_true(r, 0, 0);
    PQclear(r);
    if (!r || there)
        return r != NULL;
    (void)snprintf(sql, sizeof sql, "create schema if not exists %s", t->schema);
    if (!pg_do(p, sql, 0, NULL))
        return false;
    (void)snprintf(sql, sizeof sql,
                   "create table if not exists %s (service text, epoch bigint, store bigint not null,"
                   " rev bigint not null, plan text not null, timeline bigint not null, lsn pg_lsn not null,"
                   " beat bigint, beat_at timestamptz,"
                   " at timestamptz not null, primary key (service, epoch))",
                   table);
    return pg_do(p, sql, 0, NULL);
}

/* The newest heartbeat that came over, before the test writes another. */
static void read_beat(struct pg *p, const struct action_target *t, char seq[32], char at[64])
{
    char sql[PG_SQL];
    const char *value = t->service;
    PGresult *r;

    (void)snprintf(sql, sizeof sql, "select seq, at from %s.heartbeat where service = $1", t->schema);
    r = pg_ask(p, sql, 1, &value);
    seq[0] = at[0] = 0;
    if (r && PQntuples(r) == 1) {
        (void)snprintf(seq, 32, "%s", PQgetvalue(r, 0, 0));
        (void)snprintf(at, 64, "%s", PQgetvalue(r, 0, 1));
    }
    PQclear(r);
}

/* The row, unless a higher token has come meanwhile: the statement itself compares. Where the recovery ended is the fork of
 * the timelines (until the next restart); the first row of an epoch keeps it. */
static bool put_row(struct pg *p, const struct action_target *t, const struct action_order *o, bool *written)
{
    char sql[PG_SQL], epoch[24], store[24], rev[24];
    char seq[32], at[64];
    const char *values[] = {o->service, epoch, store, rev, o->plan, seq, at};
    PGresult *r;

    read_beat(p, t, seq, at);
    (void)snprintf(epoch, sizeof epoch, "%u", o->epoch);
    (void)snprintf(store, sizeof store, "%llu", (unsigned long long)o->token.store);
    (void)snprintf(rev, sizeof rev, "%llu", (unsigned long long)o->token.rev);
    (void)snprintf(
        sql, sizeof sql,
        "insert into %1$s.epoch as e (service, epoch, store, rev, plan, timeline, lsn, beat, beat_at, at)"
        " select $1, $2::bigint, $3::bigint, $4::bigint, $5,"
        " ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int,"
        " coalesce(pg_last_wal_replay_lsn(), pg_current_wal_lsn()), nullif($6, '')::bigint,"
        " nullif($7, '')::timestamptz, clock_timestamp()"
        " where not exists (select from %1$s.epoch where service = $1"
        " and (store, rev) > ($3::bigint, $4::bigint))"
        " on conflict (service, epoch) do update set store = excluded.store, rev = excluded.rev,"
        " plan = excluded.plan, at = excluded.at"
        " where (e.store, e.rev) <= (excluded.store, excluded.rev) returning 1",
        t->schema);
    r = pg_ask(p, sql, 7, values);
    *written = r && PQntuples(r) == 1;
    PQclear(r);
    return r != NULL;
}

/* The mark on the database as well, where the role owns it: a fence looks there. */
static bool put_mark(struct pg *p, const struct action_target *t, const struct action_order *o)
{
    char mark[ACTION_MARK], name[PG_NAME * 3], comment[PG_SQL / 2], text[PG_SQL / 2 + 64], sql[PG_SQL];
    const char *value = t->database;
    PGresult *r =
        pg_ask(p,
               "select coalesce(shobj_description(oid, 'pg_database'), ''), pg_has_role(datdba, 'usage')"
               " from pg_database where datname = $1",
               1, &value);

    if (!r || !pg_true(r, 0, 1)) {
        PQclear(r);
        return r != NULL;
    }
    action_mark(o, mark);
    pg_mark(PQgetvalue(r, 0, 0), mark, "open", comment, sizeof comment);
    PQclear(r);
    if (!pg_identifier(p, t->database, name, sizeof name) || !pg_literal(p, comment, text, sizeof text))
        return false;
    (void)snprintf(sql, sizeof sql, "comment on database %s is %s", name, text);
    return pg_do(p, sql, 0, NULL);
}

static bool stop_waiting(struct pg *p, const struct action_target *t)
{
    PGresult *r = t->clear_synchronous
                      ? pg_ask(p, "select current_setting('synchronous_standby_names') = ''", 0, NULL)
                      : NULL;
    bool clear = r && pg_true(r, 0, 0); /* so already: nothing is to be set */

    PQclear(r);
    return !t->clear_synchronous || clear ||
           (pg_do(p, "alter system set synchronous_standby_names = ''", 0, NULL) &&
            pg_do(p, "select pg_reload_conf()", 0, NULL));
}

/* A primary now: what belongs to it. No commit here waits for another server; whether those of users do, the test tells. */
static void complete(struct pg *p, const struct action_target *t, const struct action_order *o, bool before,
                     struct action_result *out)
{
    bool written = false;

    if (!pg_do(p, "set synchronous_commit = local", 0, NULL) || !stop_waiting(p, t)) {
        pg_say(out, p, true, "promoted, but");
        return;
    }
    if (p->closed) {
        struct mono until = p->until;

        if (!open_database(p, t)) {
            pg_say(out, p, true, "promoted, but its database cannot be opened");
            return;
        }
        pg_close(p);
        if (!pg_connect(p, t, o->to, NULL, until) || !pg_do(p, "set synchronous_commit = local", 0, NULL)) {
            pg_say(out, p, true, "promoted, but its database cannot be reached");
            return;
        }
    }
    if (!make_table(p, t) || !put_row(p, t, o, &written) || (written && !put_mark(p, t, o)))
        pg_say(out, p, true, "promoted, but its epoch cannot be written");
    else if (!written)
        action_say(out, ACTION_CONFLICT, "a higher token has come to stand in %.64s", o->to);
    else
        action_say(out, before ? ACTION_ALREADY : ACTION_OK, "%s, epoch %u written",
                   before ? "a primary already" : "promoted", o->epoch);
    out->writable = written;
    if (written)
        out->found = o->token;
}

/* ---- apply ---- */

static bool promote(struct pg *p, const struct action_order *o, bool *before, struct action_result *out)
{
    int64_t ms = span_to_ms(mono_sub(p->until, clock_mono())) - SPARE_MS;
    char seconds[24];
    const char *value = seconds;
    PGresult *r;
    bool done;

    if (ms < 1000) {
        action_say(out, ACTION_RETRY, "too little time is left to promote: nothing was done");
        return false;
    }
    (void)snprintf(seconds, sizeof seconds, "%lld", (long long)(ms / 1000));
    r = pg_ask(p, "select pg_promote(true, $1::int)", 1, &value);
    if (!r && strcmp(p->state, "55000") == 0) { /* recovery is not in progress */
        *before = true;
        return true;
    }
    if (!r) {
        pg_say(out, p, true, "pg_promote");
        return false;
    }
    done = pg_true(r, 0, 0);
    PQclear(r);
    if (!done)
        action_say(out, ACTION_PROGRESS, "%.64s has been told and is still replaying", o->to);
    return done;
}

static void apply(const struct action_target *t, const struct action_order *o, struct mono until,
                  struct action_result *out)
{
    struct pg_state s;
    bool before = false;
    struct pg p;

    if (!pg_reach(&p, t, o->to, until) || !pg_look(&p, t, &s))
        pg_say(out, &p, false, o->to);
    else if (higher(&s, o, out))
        ;
    else if (!s.in_recovery)
        complete(&p, t, o, true, out);
    else if (promote(&p, o, &before, out))
        complete(&p, t, o, before, out);
    pg_close(&p);
}

void pg_run_promote(const struct action_target *t, const struct action_order *o, struct mono until,
                    struct action_result *out)
{
    switch (o->op) {
    case ACTION_PRECHECK: precheck(t, o, until, out); return;
    case ACTION_PROBE: probe(t, o, until, out); return;
    case ACTION_APPLY: apply(t, o, until, out); return;
    case ACTION_VERIFY:
        probe(t, o, until, out);
        if (out->class == ACTION_OK)
            pg_run_test(t, o, until, out);
        return;
    case ACTION_UNDO:
        action_say(out, ACTION_DENIED,
                   "a promotion cannot be taken back: rewind the server and let it follow");
        return;
    case ACTION_OPS: break;
    }
}

void pg_run_gate(const struct action_target *t, const struct action_order *o, struct mono until,
                 struct action_result *out)
{
    struct pg_state s;

    if (!pg_figures(t, o, until, &s, out))
        return;
    if (!s.in_recovery)
        action_say(out, ACTION_NOT_APPLIED, "%.64s is no standby", o->to);
    else if (!out->have_lag)
        action_say(out, ACTION_NOT_APPLIED, "what %.64s lacks is not known", o->to);
    else
        action_say(out, ACTION_OK, "a standby with a known lag");
}
