/* The steps that change no role: that the target has everything, that it takes a write, and what is left to do. */
#include "aggregator/actions/pg.h"

#include <stdio.h>
#include <string.h>

/* A position in the log may stand behind a page's header of so many bytes with nothing in between (SizeOfXLogLongPHD). */
enum { PAGE_HEADER = 40, LOOK_MS = 100, SPARE_MS = 200 };

/* ---- catch up ---- */

/* The end of the old primary's log when nothing is left to be flushed; -1 and *out says why. Acknowledged commits are in it,
 * and after a fence no others come. */
static int64_t old_end(struct pg *p, struct action_result *out)
{
    static const char sql[] = "select (pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn())::bigint,"
                              " (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint";
    int64_t end = -1;

    for (;;) {
        PGresult *r = pg_ask(p, sql, 0, NULL);
        int64_t open = r ? pg_number(r, 0, 0, -1) : -1;

        end = r ? pg_number(r, 0, 1, -1) : -1;
        PQclear(r);
        if (!r || open < 0) {
            pg_say(out, p, false, "the end of the old primary's log");
            return -1;
        }
        if (open <= PAGE_HEADER)
            return end;
        if (span_to_ms(mono_sub(p->until, clock_mono())) < SPARE_MS) {
            action_say(out, ACTION_PROGRESS, "the old primary is still writing its log");
            return -1;
        }
        pg_wait(p->until, LOOK_MS);
    }
}

static int64_t end_of_old(const struct action_target *t, const struct action_order *o, struct mono until,
                          struct pg_state *old, struct action_result *out)
{
    int64_t end = -1;
    struct pg p;

    if (!pg_reach(&p, t, o->from, until) || !pg_look(&p, t, old))
        pg_say(out, &p, false, o->from);
    else if (old->in_recovery)
        action_say(out, ACTION_CONFLICT, "%.64s is in recovery: it has no end of its own", o->from);
    else
        end = old_end(&p, out);
    pg_close(&p);
    return end;
}

static void catchup(const struct action_target *t, const struct action_order *o, struct mono until, bool wait,
                    struct action_result *out)
{
    struct pg_state old, now;
    int64_t end = end_of_old(t, o, until, &old, out);
    struct pg p;

    if (end < 0)
        return;
    if (!pg_reach(&p, t, o->to, until)) {
        pg_say(out, &p, false, o->to);
        pg_close(&p);
        return;
    }
    for (;;) {
        if (!pg_look(&p, t, &now)) {
            pg_say(out, &p, false, o->to);
            break;
        }
        if (now.system != old.system || !now.in_recovery) {
            action_say(out, ACTION_CONFLICT, "%.64s is no standby of %.64s", o->to, o->from);
            break;
        }
        pg_lag(&old, &now, out);
        action_seen(out, "%lld bytes to replay%s", (long long)(end > now.replayed ? end - now.replayed : 0),
                    now.paused ? ", replay is paused" : "");
        action_say(out, now.replayed >= end ? ACTION_OK : ACTION_PROGRESS,
                   now.replayed >= end ? "the target has replayed all that the old primary wrote%s"
                                       : "the target has not replayed all that the old primary wrote%s",
                   old.open ? ", whose database still takes connections" : "");
        if (out->class == ACTION_OK || !wait || span_to_ms(mono_sub(until, clock_mono())) < SPARE_MS)
            break;
        pg_wait(until, LOOK_MS);
    }
    pg_close(&p);
}

static void catchup_precheck(const struct action_target *t, const struct action_order *o, struct mono until,
                             struct action_result *out)
{
    struct pg_state s;

    if (!pg_figures(t, o, until, &s, out))
        return;
    if (!s.in_recovery)
        action_say(out, ACTION_CONFLICT, "%.64s is no standby", o->to);
    else if (s.paused)
        action_say(out, ACTION_RETRY, "the replay of %.64s is paused", o->to);
    else if (!out->have_lag || !out->receiving)
        action_say(out, ACTION_RETRY, "%.64s does not follow its primary", o->to);
    else
        action_say(out, ACTION_OK, "the target follows");
}

void pg_run_catchup(const struct action_target *t, const struct action_order *o, struct mono until,
                    struct action_result *out)
{
    if (o->op == ACTION_PRECHECK)
        catchup_precheck(t, o, until, out);
    else
        catchup(t, o, until, o->op == ACTION_APPLY, out);
}

/* ---- a write and a read ---- */

static bool write_row(struct pg *p, const struct action_target *t, const struct action_order *o, char *seq,
                      size_t cap)
{
    char sql[PG_SQL], mark[ACTION_MARK];
    const char *values[] = {o->service, o->to, mark};
    PGresult *r;

    action_mark(o, mark);
    (void)snprintf(
        sql, sizeof sql,
        "insert into %s.heartbeat as h (service, region, seq, at, note) values ($1, $2, 1, "
        "clock_timestamp(), $3)"
        " on conflict (service) do update set region = $2, seq = h.seq + 1, at = clock_timestamp(), note = $3"
        " returning seq",
        t->schema);
    r = pg_ask(p, sql, 3, values);
    if (r && PQntuples(r) == 1)
        (void)snprintf(seq, cap, "%s", PQgetvalue(r, 0, 0));
    PQclear(r);
    return r != NULL;
}

/* The note that the test of this epoch has left, read in a session of its own. False: it is not there, or a fault. */
static bool read_row(struct pg *p, const struct action_target *t, const struct action_order *o)
{
    char sql[PG_SQL];
    const char *value = o->service;
    struct fencing token;
    uint32_t epoch = 0;
    PGresult *r;
    bool there;

    (void)snprintf(sql, sizeof sql, "select note from %s.heartbeat where service = $1", t->schema);
    r = pg_ask(p, sql, 1, &value);
    there =
        r && PQntuples(r) == 1 && action_mark_parse(PQgetvalue(r, 0, 0), &epoch, &token) && epoch == o->epoch;
    PQclear(r);
    return there;
}

static bool primary_there(struct pg *p, const struct action_target *t, const struct action_order *o,
                          struct pg_state *s, struct mono until, struct action_result *out)
{
    if (!pg_connect(p, t, o->to, NULL, until) || !pg_look(p, t, s)) {
        pg_say(out, p, false, o->to);
        return false;
    }
    if (s->in_recovery)
        action_say(out, ACTION_NOT_APPLIED, "%.64s is a standby: it takes no writes", o->to);
    return !s->in_recovery;
}

static void test_apply(const struct action_target *t, const struct action_order *o, struct mono until,
                       struct action_result *out)
{
    char seq[32] = "";
    struct pg_state s;
    struct pg p;
    bool ok = primary_there(&p, t, o, &s, until, out);

    out->writable = false;
    if (ok && !write_row(&p, t, o, seq, sizeof seq)) {
        pg_say(out, &p, true, "the write");
        if (p.fault == PG_LATE && s.wait_names)
            action_say(out, ACTION_UNKNOWN,
                       "the write had no answer: commits wait for the names in synchronous_standby_names");
        ok = false;
    }
    pg_close(&p);
    if (!ok)
        return;
    ok = pg_connect(&p, t, o->to, NULL, until) && read_row(&p, t, o);
    if (p.fault != PG_FINE)
        pg_say(out, &p, true, "the read");
    else if (!ok)
        action_say(out, ACTION_RETRY, "what was written is not what was read");
    else
        action_say(out, ACTION_OK, "a row was written and read");
    out->writable = ok;
    action_seen(out, "heartbeat %s, timeline %lld", seq, (long long)s.timeline);
    pg_close(&p);
}

static void test_probe(const struct action_target *t, const struct action_order *o, struct mono until,
                       struct action_result *out)
{
    struct pg_state s;
    struct pg p;

    if (primary_there(&p, t, o, &s, until, out)) {
        out->writable = s.open;
        if (read_row(&p, t, o))
            action_say(out, ACTION_OK, "a row of epoch %u stands there", o->epoch);
        else if (p.fault != PG_FINE)
            pg_say(out, &p, false, "the read");
        else
            action_say(out, ACTION_NOT_APPLIED, "no row of epoch %u was written yet", o->epoch);
    }
    pg_close(&p);
}

static void test_precheck(const struct action_target *t, const struct action_order *o, struct mono until,
                          struct action_result *out)
{
    char table[PG_NAME * 2];
    const char *value = table;
    PGresult *r = NULL;
    struct pg p;

    (void)snprintf(table, sizeof table, "%s.heartbeat", t->schema);
    if (pg_connect(&p, t, o->to, NULL, until))
        r = pg_ask(&p,
                   "select to_regclass($1) is not null,"
                   " coalesce(has_table_privilege(to_regclass($1), 'select, insert, update'), false)",
                   1, &value);
    if (!r)
        pg_say(out, &p, false, o->to);
    else if (!pg_true(r, 0, 0))
        action_say(out, ACTION_DENIED, "there is no table %s", table);
    else if (!pg_true(r, 0, 1))
        action_say(out, ACTION_DENIED, "the role may not read and write %s", table);
    else
        action_say(out, ACTION_OK, "%s can be written once its server is promoted", table);
    PQclear(r);
    pg_close(&p);
}

void pg_run_test(const struct action_target *t, const struct action_order *o, struct mono until,
                 struct action_result *out)
{
    switch (o->op) {
    case ACTION_PRECHECK: test_precheck(t, o, until, out); return;
    case ACTION_PROBE: test_probe(t, o, until, out); return;
    case ACTION_APPLY:
    case ACTION_VERIFY: test_apply(t, o, until, out); return;
    case ACTION_UNDO: action_say(out, ACTION_ALREADY, "there is nothing to take back"); return;
    case ACTION_OPS: break;
    }
}

/* ---- afterwards ---- */

/* Bytes of log that the old side has beyond the point at which the new one was opened; 0 when none, or not known. */
static int64_t diverged(const struct pg_state *a, const struct pg_state *b)
{
    return !b->in_recovery && a->forked > 0 && b->timeline < a->timeline && b->end > a->forked
               ? b->end - a->forked
               : 0;
}

static void follows(const struct pg_state *a, const struct pg_state *b, const struct action_order *o,
                    struct action_result *out)
{
    action_seen(out, "%.64s %s, %.64s %s, %lld bytes of log beyond the fork", o->to,
                a->in_recovery ? "standby" : "primary", o->from,
                b->in_recovery ? (b->streaming ? "standby, streaming" : "standby, not streaming") : "primary",
                (long long)diverged(a, b));
    if (b->in_recovery && b->streaming && b->timeline == a->timeline)
        action_say(out, ACTION_OK, "%.64s follows the new primary", o->from);
    else if (b->in_recovery)
        action_say(out, ACTION_NOT_APPLIED, "%.64s is a standby and does not follow the new primary yet",
                   o->from);
    else
        action_say(out, ACTION_NOT_APPLIED,
                   "%.64s is no standby yet: keep it fenced, save what only it has, stop it, pg_rewind it "
                   "against %.64s, write standby.signal, start it",
                   o->from, o->to);
}

/* Nothing is changed here: to rewind a server, a command stands on its host. */
void pg_run_tidy(const struct action_target *t, const struct action_order *o, struct mono until,
                 struct action_result *out)
{
    struct pg_state a, b;
    struct pg p;
    bool ok = pg_reach(&p, t, o->to, until) && pg_look(&p, t, &a);

    if (!ok) {
        pg_say(out, &p, false, o->to);
        pg_close(&p);
        return;
    }
    pg_close(&p);
    if (pg_reach(&p, t, o->from, until) && pg_look(&p, t, &b))
        follows(&a, &b, o, out);
    else
        pg_say(out, &p, false, o->from);
    pg_close(&p);
    if (o->op == ACTION_PRECHECK) /* it can always be asked */
        out->class = ACTION_OK;
    else if (o->op == ACTION_APPLY && out->class == ACTION_NOT_APPLIED)
        out->class = ACTION_DENIED; /* by itself it will not come about */
    else if (o->op == ACTION_APPLY && out->class == ACTION_OK)
        out->class = ACTION_ALREADY;
}
