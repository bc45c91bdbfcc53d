/* What is true of one PostgreSQL server, read in one statement wherever it can be, and the figures of a pair.
 *
 * A primary without news says so every wal_sender_timeout/2, and a standby asks for it after wal_receiver_timeout/2: so
 * long, and 5 s, a quiet primary may stay silent before its standby counts as one that does not hear it. */
#include "aggregator/actions/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SILENCE_MS = 30000, SILENCE_MORE_MS = 5000, PRIMARY_MS = 2000 };

/* Times as milliseconds, positions as bytes. The functions of a primary fail on a standby and the other way round: `case`
 * keeps them apart. */
static const char state_sql[] =
    "with x as (select pg_is_in_recovery() as standby),"
    " y as (select x.standby, clock_timestamp() as now, d.*, w.*,"
    " case when standby then w.received_tli"
    "  else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end as timeline,"
    " case when standby then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
    "  else pg_current_wal_flush_lsn() end as wal_end,"
    " case when standby then pg_last_xact_replay_timestamp() end as xact,"
    " case when standby then pg_is_wal_replay_paused() else false end as paused"
    " from x join pg_database d on d.datname = $1 left join pg_stat_wal_receiver w on true)"
    "select standby, (select system_identifier from pg_control_system()), (extract(epoch from now) * "
    "1000)::bigint,"
    " timeline, (wal_end - '0/0')::bigint, (pg_last_wal_replay_lsn() - '0/0')::bigint,"
    " (extract(epoch from xact) * 1000)::bigint, paused, datallowconn, pg_has_role(datdba, 'usage'),"
    " coalesce(shobj_description(oid, 'pg_database'), ''), current_setting('synchronous_standby_names') <> "
    "'',"
    " pid is not null, status = 'streaming', (extract(epoch from last_msg_send_time) * 1000)::bigint,"
    " (extract(epoch from last_msg_receipt_time) * 1000)::bigint, (latest_end_lsn - '0/0')::bigint,"
    " (select setting::bigint from pg_settings where name = 'wal_receiver_timeout'),"
    " coalesce(has_table_privilege(to_regclass($2), 'select'), false),"
    " coalesce(has_table_privilege(to_regclass($3), 'select'), false) from y";

static bool read_tables(struct pg *p, const struct action_target *t, bool beats, bool epochs,
                        const char *service, struct pg_state *s)
{
    char sql[PG_SQL];
    PGresult *r;

    if (beats) {
        (void)snprintf(sql, sizeof sql,
                       "select (extract(epoch from max(at)) * 1000)::bigint from %s.heartbeat", t->schema);
        if (!(r = pg_ask(p, sql, 0, NULL)))
            return false;
        s->beat_ms = pg_number(r, 0, 0, -1);
        PQclear(r);
    }
    if (epochs) {
        (void)snprintf(sql, sizeof sql,
                       "select epoch, store, rev, (lsn - '0/0')::bigint from %s.epoch where service = $1 "
                       "order by store desc, rev desc, epoch desc limit 1",
                       t->schema);
        if (!(r = pg_ask(p, sql, 1, &service)))
            return false;
        struct fencing row = {(uint64_t)pg_number(r, 0, 1, 0), (uint64_t)pg_number(r, 0, 2, 0)};

        if (PQntuples(r) && fencing_cmp(row, s->token) >= 0) {
            s->token = row;
            s->epoch = (uint32_t)pg_number(r, 0, 0, 0);
            s->forked = pg_number(r, 0, 3, 0);
        }
        PQclear(r);
    }
    return true;
}

bool pg_look(struct pg *p, const struct action_target *t, struct pg_state *s)
{
    char beats[PG_NAME * 2], epochs[PG_NAME * 2];
    const char *values[] = {t->database, beats, epochs};
    PGresult *r;
    bool ok;

    *s = (struct pg_state){.known = false, .end = -1, .replayed = -1, .xact_ms = -1, .beat_ms = -1};
    (void)snprintf(beats, sizeof beats, "%s.heartbeat", t->schema);
    (void)snprintf(epochs, sizeof epochs, "%s.epoch", t->schema);
    r = pg_ask(p, state_sql, 3, values);
    if (!r)
        return false;
    if (PQntuples(r) != 1) {
        p->fault = PG_REFUSED;
        (void)snprintf(p->said, sizeof p->said, "there is no database %.64s", t->database);
        PQclear(r);
        return false;
    }
    s->in_recovery = pg_true(r, 0, 0);
    s->system = strtoull(PQgetvalue(r, 0, 1), NULL, 10);
    s->now_ms = pg_number(r, 0, 2, 0);
    s->timeline = pg_number(r, 0, 3, -1);
    s->end = pg_number(r, 0, 4, -1);
    s->replayed = pg_number(r, 0, 5, -1);
    s->xact_ms = pg_number(r, 0, 6, -1);
    s->paused = pg_true(r, 0, 7);
    s->open = pg_true(r, 0, 8);
    s->owner = pg_true(r, 0, 9);
    pg_read_mark(PQgetvalue(r, 0, 10), s);
    s->wait_names = pg_true(r, 0, 11);
    s->receiver = s->in_recovery && pg_true(r, 0, 12);
    s->streaming = pg_true(r, 0, 13);
    s->sent_ms = pg_number(r, 0, 14, -1);
    s->heard_ms = pg_number(r, 0, 15, -1);
    s->told = pg_number(r, 0, 16, -1);
    s->silence_ms = pg_number(r, 0, 17, 0) / 2;
    if (s->silence_ms <= 0)
        s->silence_ms = SILENCE_MS;
    s->silence_ms += SILENCE_MORE_MS;
    ok = read_tables(p, t, pg_true(r, 0, 18), pg_true(r, 0, 19), t->service, s);
    PQclear(r);
    s->known = ok;
    return ok;
}

/* Only a standby without which nothing is acknowledged has every acknowledged write: it is streaming, and the primary waits
 * for all of the names that are listed, whoever else may be down. Roles and databases with another synchronous_commit
 * void it; single sessions that ask for less cannot be seen. */
bool pg_synchronous(struct pg *p, const char *standby)
{
    static const char sql[] =
        "select current_setting('synchronous_standby_names'),"
        " current_setting('synchronous_commit') in ('on', 'remote_apply')"
        " and not exists (select from pg_db_role_setting s, unnest(s.setconfig) c"
        "  where c ~ '^synchronous_commit=' and c !~ '=(on|remote_apply)$')"
        " and (select count(*) = 1 and bool_and(state = 'streaming' and sync_state in ('sync', 'quorum'))"
        "  from pg_stat_replication where application_name = $1)";
    PGresult *r;
    bool ok;

    if (!standby)
        return false;
    r = pg_ask(p, sql, 1, &standby);
    if (!r)
        return false;
    ok = pg_true(r, 0, 1) && pg_waits_for_all(PQgetvalue(r, 0, 0));
    PQclear(r);
    return ok;
}

/* A row each few seconds, so that the age of what a standby has replayed can be told while nobody else writes. It waits for
 * no standby, and for no lock. */
bool pg_beat(struct pg *p, const struct action_target *t, const struct action_order *o)
{
    char sql[PG_SQL];
    const char *values[] = {o->service, o->from};
    bool ok;

    (void)snprintf(
        sql, sizeof sql,
        "insert into %s.heartbeat as h (service, region, seq, at) values ($1, $2, 1, clock_timestamp())"
        " on conflict (service) do update set region = $2, seq = h.seq + 1, at = clock_timestamp()",
        t->schema);
    ok = pg_do(p, "set synchronous_commit = local", 0, NULL) && pg_do(p, sql, 2, values);
    (void)(ok && pg_do(p, "reset synchronous_commit", 0, NULL));
    return ok;
}

/* ---- a pair ---- */

static const char *standby_name(const struct action_target *t, const char *region)
{
    for (size_t i = 0; i < t->n_regions; i++)
        if (strcmp(t->regions[i].region, region) == 0)
            return t->regions[i].standby;
    return NULL;
}

/* The primary comes first, so that what the standby has is compared with something older. A dead one costs two seconds. */
static void ask_primary(const struct action_target *t, const struct action_order *o, struct mono until,
                        struct pg_state *primary, struct action_result *out)
{
    struct mono soon = mono_add(clock_mono(), span_ms(PRIMARY_MS));
    struct pg p;

    *primary = (struct pg_state){.known = false};
    if (!*o->from || strcmp(o->from, o->to) == 0)
        return;
    if (pg_reach(&p, t, o->from, mono_before(soon, until) ? soon : until)) {
        if (pg_look(&p, t, primary) && !primary->in_recovery) {
            out->synchronous = pg_synchronous(&p, standby_name(t, o->to));
            out->primary_asked = p.fault == PG_FINE;
            if (t->heartbeat && primary->open && !p.closed)
                (void)pg_beat(&p, t,
                              o); /* may fail for want of rights: then there is none, and the lag says so */
        }
    }
    pg_close(&p);
}

static void see(const struct pg_state *a, const struct pg_state *b, struct action_result *out)
{
    long long behind = a->known && !a->in_recovery && a->end > b->end ? a->end - b->end : 0;
    long long backlog = b->end > b->replayed ? b->end - b->replayed : 0;
    const char *paused = b->paused ? ", replay is paused" : "";
    const char *hears = out->receiving ? ", hears its primary" : ", does not hear its primary";
    char lag[64] = "lag unknown";

    if (!b->in_recovery) {
        action_seen(out, "primary, timeline %lld, %s, epoch=%u token=%llu.%llu", (long long)b->timeline,
                    b->open ? "open" : "closed", b->epoch, (unsigned long long)b->token.store,
                    (unsigned long long)b->token.rev);
        return;
    }
    if (out->have_lag)
        (void)snprintf(lag, sizeof lag, "lag %lld ms as of %lld ms ago", (long long)out->lag_ms,
                       (long long)out->lag_age_ms);
    action_seen(out, "standby, timeline %lld, %s, %lld bytes to receive, %lld bytes to replay%s%s%s",
                (long long)b->timeline, lag, behind, backlog, paused, hears,
                out->synchronous ? ", synchronous" : "");
}

bool pg_figures(const struct action_target *t, const struct action_order *o, struct mono until,
                struct pg_state *target, struct action_result *out)
{
    struct pg_state primary;
    struct pg p;
    bool ok;

    ask_primary(t, o, until, &primary, out);
    *target = (struct pg_state){.known = false};
    ok = pg_reach(&p, t, o->to, until) && pg_look(&p, t, target);
    if (ok) {
        pg_lag(&primary, target, out);
        see(&primary, target, out);
        out->found = target->token;
    } else {
        pg_say(out, &p, false, o->to);
    }
    if (!ok || !target->in_recovery || primary.system != target->system)
        out->synchronous = false;
    if (ok && primary.known && primary.system != target->system)
        action_say(out, ACTION_CONFLICT, "%.64s and %.64s are not of one system: %llu and %llu", o->from,
                   o->to, (unsigned long long)primary.system, (unsigned long long)target->system);
    pg_close(&p);
    return ok && out->class != ACTION_CONFLICT;
}
