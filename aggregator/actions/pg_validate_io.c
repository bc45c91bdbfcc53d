/* Whether the data in the target is the data that was there before: after a move, best effort.
 *
 * While all is well the precheck of this action takes a sample on the primary every `sample_every`: of each of `tables`, up to
 * CHUNKS runs of ROWS consecutive rows, evenly spread over its integer primary key, with their number and a checksum in the
 * order of the key. The sample lies in a table of ours and is replicated with everything else. After the move the same runs
 * are read in the target: they are the same unless rows were lost, damaged, or changed by the application since, so the
 * tables to name are those to which it only appends. Besides: each key's sequence has to be ahead of the highest key, and the
 * heartbeat says how much time is missing. */
#include "aggregator/actions/pg.h"

#include <stdio.h>
#include <string.h>

enum { CHUNKS = 8, ROWS = 500 };

struct table {
    char name[PG_NAME * 5], key[PG_NAME * 3]; /* quoted */
    char column[PG_NAME];                     /* key, not quoted */
};

static bool find(struct pg *p, const char *written, struct table *t, struct action_result *out)
{
    static const char sql[] =
        "select i.indrelid::regclass::text, a.attname, has_table_privilege(i.indrelid, 'select')"
        " from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]"
        " where i.indrelid = to_regclass($1) and i.indisprimary and i.indnkeyatts = 1"
        " and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)";
    PGresult *r = pg_ask(p, sql, 1, &written);
    bool ok = false;

    if (!r)
        pg_say(out, p, false, written);
    else if (PQntuples(r) != 1)
        action_say(out, ACTION_DENIED, "%.100s is no table with a primary key of one whole number", written);
    else if (!pg_true(r, 0, 2))
        action_say(out, ACTION_DENIED, "the role may not read %.100s", written);
    else
        ok = snprintf(t->name, sizeof t->name, "%s", PQgetvalue(r, 0, 0)) < (int)sizeof t->name &&
             snprintf(t->column, sizeof t->column, "%s", PQgetvalue(r, 0, 1)) < (int)sizeof t->column &&
             pg_identifier(p, PQgetvalue(r, 0, 1), t->key, sizeof t->key);
    PQclear(r);
    return ok;
}

/* ---- taking a sample ---- */

static bool take_chunk(struct pg *p, const struct action_target *t, const struct table *table,
                       const char *written, int64_t from, int chunk)
{
    char sql[PG_SQL], start[24], number[24];
    const char *values[] = {start, t->service, written, number};

    (void)snprintf(start, sizeof start, "%lld", (long long)from);
    (void)snprintf(number, sizeof number, "%d", chunk);
    (void)snprintf(sql, sizeof sql,
                   "insert into %1$s.sample as s (service, of, chunk, low, high, n, sum, at)"
                   " select $2, $3, $4::int, min(k), max(k), count(*), md5(string_agg(h, '' order by k)), "
                   "clock_timestamp()"
                   " from (select %3$s::bigint as k, md5(x::text) as h from %2$s x where %3$s >= $1::bigint "
                   "order by %3$s"
                   " limit %4$d) c having count(*) > 0"
                   " on conflict (service, of, chunk) do update set low = excluded.low, high = excluded.high,"
                   " n = excluded.n, sum = excluded.sum, at = excluded.at",
                   t->schema, table->name, table->key, ROWS);
    return pg_do(p, sql, 4, values);
}

static bool take(struct pg *p, const struct action_target *t, const char *written, struct action_result *out)
{
    char sql[PG_SQL];
    const char *values[] = {t->service, written};
    struct table table;
    int64_t low, high;
    PGresult *r;
    bool ok;

    if (!find(p, written, &table, out))
        return false;
    (void)snprintf(sql, sizeof sql, "select min(%1$s), max(%1$s) from %2$s", table.key, table.name);
    r = pg_ask(p, sql, 0, NULL);
    low = r ? pg_number(r, 0, 0, 0) : 0;
    high = r ? pg_number(r, 0, 1, 0) : 0;
    ok = r != NULL;
    PQclear(r);
    (void)snprintf(sql, sizeof sql, "delete from %s.sample where service = $1 and of = $2", t->schema);
    ok = ok && pg_do(p, sql, 2, values);
    for (int i = 0; ok && i < CHUNKS; i++) {
        /* halves first: the difference of two keys may not fit */
        int64_t from = low + (high / CHUNKS - low / CHUNKS) * i;

        ok = take_chunk(p, t, &table, written, from, i);
    }
    if (!ok)
        pg_say(out, p, false, "the sample");
    return ok;
}

/* On the primary, unless there is one that is young enough. */
static bool sample(const struct action_target *t, const struct action_order *o, struct mono until,
                   struct action_result *out)
{
    char sql[PG_SQL], seconds[24], count[24];
    const char *values[] = {t->service, seconds, count};
    PGresult *r = NULL;
    struct pg p;
    bool ok = pg_connect(&p, t, o->from, NULL, until);

    (void)snprintf(seconds, sizeof seconds, "%lld", (long long)(span_to_ms(t->sample_every) / 1000));
    (void)snprintf(count, sizeof count, "%zu", t->n_tables);
    (void)snprintf(sql, sizeof sql,
                   "select pg_is_in_recovery() or (select count(distinct of) >= $3::int from %s.sample where "
                   "service = $1"
                   " and at > clock_timestamp() - make_interval(secs => $2::int))",
                   t->schema);
    if (ok && !(r = pg_ask(&p, sql, 3, values)))
        ok = false;
    if (!ok)
        pg_say(out, &p, false, "the sample");
    else if (!pg_true(r, 0, 0)) {
        ok = pg_do(&p, "begin isolation level repeatable read", 0, NULL);
        for (size_t i = 0; ok && i < t->n_tables; i++)
            ok = take(&p, t, t->tables[i], out);
        ok = ok && pg_do(&p, "commit", 0, NULL);
    }
    PQclear(r);
    pg_close(&p);
    return ok;
}

/* ---- comparing ---- */

struct tally {
    int64_t chunks, differ, behind;
    int64_t sample_ms, beat_ms; /* how old; -1: none */
    char first[PG_NAME * 2];    /* that differs */
};

static bool compare_chunks(struct pg *p, const struct action_target *t, const struct table *table,
                           const char *written, struct tally *n)
{
    char sql[PG_SQL];
    const char *values[] = {t->service, written};
    int64_t differ;
    PGresult *r;

    (void)snprintf(sql, sizeof sql,
                   "select count(*), count(*) filter (where (s.n, s.sum) is distinct from (c.n, c.sum)),"
                   " (extract(epoch from clock_timestamp() - min(s.at)) * 1000)::bigint"
                   " from %1$s.sample s, lateral (select count(*) as n, md5(string_agg(md5(x::text), '' "
                   "order by %3$s)) as sum"
                   " from %2$s x where %3$s between s.low and s.high) c where s.service = $1 and s.of = $2",
                   t->schema, table->name, table->key);
    r = pg_ask(p, sql, 2, values);
    if (!r)
        return false;
    differ = pg_number(r, 0, 1, 0);
    n->chunks += pg_number(r, 0, 0, 0);
    n->differ += differ;
    if (pg_number(r, 0, 2, -1) > n->sample_ms)
        n->sample_ms = pg_number(r, 0, 2, -1);
    if (differ && !n->first[0])
        (void)snprintf(n->first, sizeof n->first, "%.120s", written);
    PQclear(r);
    return true;
}

/* A sequence that gives keys which are there already. */
static bool compare_sequence(struct pg *p, const struct table *table, const char *written, struct tally *n)
{
    char sql[PG_SQL];
    const char *values[] = {written, table->column};
    PGresult *r = pg_ask(p, "select pg_get_serial_sequence($1, $2)", 2, values);

    if (!r)
        return false;
    if (PQgetisnull(r, 0, 0)) {
        PQclear(r);
        return true;
    }
    (void)snprintf(
        sql, sizeof sql,
        "select case when s.is_called then s.last_value else s.last_value - 1 end < (select max(%s) from %s)"
        " from %.300s s",
        table->key, table->name, PQgetvalue(r, 0, 0));
    PQclear(r);
    r = pg_ask(p, sql, 0, NULL);
    if (r && pg_true(r, 0, 0)) {
        n->behind++;
        if (!n->first[0])
            (void)snprintf(n->first, sizeof n->first, "%.120s", written);
    }
    PQclear(r);
    return r != NULL;
}

/* How long before the target was opened the newest heartbeat had been written that it has. */
static void heartbeat_gap(struct pg *p, const struct action_target *t, struct tally *n)
{
    char sql[PG_SQL];
    const char *value = t->service;
    PGresult *r;

    (void)snprintf(sql, sizeof sql,
                   "select (extract(epoch from at - beat_at) * 1000)::bigint from %s.epoch where service = $1"
                   " order by store desc, rev desc, epoch desc limit 1",
                   t->schema);
    r = pg_ask(p, sql, 1, &value);
    n->beat_ms = r ? pg_number(r, 0, 0, -1) : -1;
    PQclear(r);
}

static void judge(const struct tally *n, struct action_result *out)
{
    char beat[64] = "no heartbeat to tell by", age[64] = "no sample";

    if (n->beat_ms >= 0)
        (void)snprintf(beat, sizeof beat, "newest heartbeat %lld ms before it was opened",
                       (long long)n->beat_ms);
    if (n->sample_ms >= 0)
        (void)snprintf(age, sizeof age, "sample of %lld s ago", (long long)(n->sample_ms / 1000));
    action_seen(out, "%lld of %lld runs of rows differ, %lld sequences behind, %s, %s", (long long)n->differ,
                (long long)n->chunks, (long long)n->behind, age, beat);
    if (n->differ)
        action_say(out, ACTION_CONFLICT, "%lld of %lld runs of rows are not as they were, the first in %s",
                   (long long)n->differ, (long long)n->chunks, n->first);
    else if (n->behind)
        action_say(out, ACTION_CONFLICT, "the sequence of %s would give keys that are there already",
                   n->first);
    else if (n->chunks)
        action_say(out, ACTION_OK, "a row was written and read, and %lld runs of rows are as they were",
                   (long long)n->chunks);
    else
        action_say(out, ACTION_OK, "a row was written and read; there is no sample to compare with");
}

static void compare(const struct action_target *t, const struct action_order *o, struct mono until,
                    struct action_result *out)
{
    struct tally n = {.sample_ms = -1, .beat_ms = -1};
    struct pg p;
    bool ok = pg_connect(&p, t, o->to, NULL, until);

    if (!ok)
        pg_say(out, &p, false, o->to);
    for (size_t i = 0; ok && i < t->n_tables; i++) {
        struct table table;

        ok = find(&p, t->tables[i], &table, out);
        if (ok && (!compare_chunks(&p, t, &table, t->tables[i], &n) ||
                   !compare_sequence(&p, &table, t->tables[i], &n))) {
            pg_say(out, &p, false, t->tables[i]);
            ok = false;
        }
    }
    if (ok) {
        heartbeat_gap(&p, t, &n);
        judge(&n, out);
    }
    pg_close(&p);
}

void pg_run_validate(const struct action_target *t, const struct action_order *o, struct mono until,
                     struct action_result *out)
{
    pg_run_test(t, o, until, out);
    if (out->class != ACTION_OK)
        return;
    if (o->op == ACTION_PRECHECK && t->n_tables)
        (void)sample(t, o, until, out);
    else if (o->op == ACTION_APPLY || o->op == ACTION_PROBE || o->op == ACTION_VERIFY)
        compare(t, o, until, out);
}
