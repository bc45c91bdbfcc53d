/* The authority and the core: every answer becomes an event, and each question gets exactly one. The embedded authority
 * keeps its states in the control store. */
#include "aggregator/moves_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STORE_ROOM = FO_RECORD_TEXT + 1024 };

/* ---- the embedded authority's states ---- */

struct local_state {
    struct local_state *next;
    char key[200];
    struct buf value;
};

static struct local_state *local_find(struct moves *all, struct bytes key, bool make)
{
    struct local_state *s = all->local;

    while (s && !(strlen(s->key) == key.n && memcmp(s->key, key.p, key.n) == 0))
        s = s->next;
    if (s || !make || key.n >= sizeof s->key)
        return s;
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    memcpy(s->key, key.p, key.n);
    buf_init(&s->value, NULL, 1 << 20);
    s->next = all->local;
    all->local = s;
    return s;
}

static int local_keep(void *arg, struct bytes key, struct bytes value)
{
    struct local_state *s = local_find(arg, key, true);

    if (!s)
        return ERR_NOMEM;
    buf_clear(&s->value);
    buf_put(&s->value, value.p, value.n);
    return s->value.full ? ERR_NOMEM : 0;
}

struct local_call {
    struct moves *all; /* NULL: it has ended, nobody waits for this any more */
    struct local_call *prev, *next;
    struct buf key, value;
    void (*wrote)(void *arg, int code);
    void (*read)(void *arg, int code, struct bytes value);
    void *arg;
    int code;
};

static struct local_call *local_call(struct moves *all, struct bytes key, struct bytes value)
{
    struct local_call *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->all = all;
    c->next = all->writes;
    if (c->next)
        c->next->prev = c;
    all->writes = c;
    buf_init(&c->key, NULL, 1024);
    buf_init(&c->value, NULL, 1 << 20);
    buf_put(&c->key, key.p, key.n);
    if (value.n)
        buf_put(&c->value, value.p, value.n);
    return c;
}

static void local_call_free(struct local_call *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else if (c->all)
        c->all->writes = c->next;
    if (c->next)
        c->next->prev = c->prev;
    buf_free(&c->key);
    buf_free(&c->value);
    free(c);
}

static void local_wrote(void *arg, int code)
{
    struct local_call *c = arg;

    if (c->all && code == 0) /* what is read is what is durable */
        code = local_keep(c->all, buf_bytes(&c->key), buf_bytes(&c->value));
    if (c->all)
        c->wrote(c->arg, code);
    local_call_free(c);
}

static int local_write(void *arg, struct bytes key, struct bytes value,
                       void (*done)(void *done_arg, int code), void *done_arg)
{
    struct moves *all = arg;
    const struct control_op op = {.kind = CONTROL_PUT, .room = "authority", .key = key, .value = value};
    struct local_call *c = local_call(all, key, value);
    int rc;

    if (!c)
        return ERR_NOMEM;
    c->wrote = done;
    c->arg = done_arg;
    rc = control_write(all->d->control, &op, 1, local_wrote, c);
    if (rc)
        local_call_free(c);
    return rc;
}

static void local_answer(void *arg)
{
    struct local_call *c = arg;
    const struct local_state *s = c->all ? local_find(c->all, buf_bytes(&c->key), false) : NULL;

    if (c->all)
        c->read(c->arg, 0, s ? buf_bytes(&s->value) : (struct bytes){NULL, 0});
    local_call_free(c);
}

static int local_read(void *arg, struct bytes key, void (*done)(void *done_arg, int code, struct bytes value),
                      void *done_arg)
{
    struct moves *all = arg;
    struct local_call *c = local_call(all, key, (struct bytes){NULL, 0});

    if (!c)
        return ERR_NOMEM;
    c->read = done;
    c->arg = done_arg;
    if (loop_post(all->d->loop, local_answer, c) == 0)
        return 0;
    local_call_free(c);
    return ERR_NOMEM;
}

/* The store's answers may come behind the end: they find nobody. */
static void local_orphan(struct moves *all)
{
    struct local_call *next;

    for (struct local_call *c = all->writes; c; c = next) {
        next = c->next;
        c->all = NULL;
        c->prev = c->next = NULL;
    }
    all->writes = NULL;
}

void moves_local_free(struct moves *all)
{
    local_orphan(all);
    while (all->local) {
        struct local_state *s = all->local;

        all->local = s->next;
        buf_free(&s->value);
        free(s);
    }
}

/* ---- opening ---- */

static void changed(void *arg, const char *service)
{
    struct moves *all = arg;
    struct move *m = moves_of(all, service);

    if (m && !m->fo.leading)
        move_do_lease(m, FO_DO_READ);
}

int moves_authority_open(struct moves *all, const struct config *c, struct err *e)
{
    const struct section *s = config_section(c, "coordination");
    const struct authority_params p = {.config = c,
                                       .loop = all->d->loop,
                                       .log = all->d->log,
                                       .voter = all->voter,
                                       .host = all->d->host,
                                       .boot = all->boot,
                                       .lease = option_span(s, "lease"),
                                       .local_write = local_write,
                                       .local_read = local_read,
                                       .local_arg = all,
                                       .changed = changed,
                                       .arg = all};
    int rc = control_load(all->d->control, "authority", local_keep, all, e);

    if (rc)
        return rc;
    all->authority = authority_open(&p, e);
    return all->authority ? 0 : e->code;
}

/* ---- answers ---- */

static void note_away(struct move *m, const struct authority_answer *a)
{
    if (a->outcome == AUTHORITY_AWAY) {
        if (m->away_since.ns == 0) {
            m->away_since = clock_mono();
            LOG(m->all->d->log, LOG_WARN, "failover", "the authority does not answer",
                kv_s("service", move_service(m)), kv_s("why", a->why));
        }
        (void)snprintf(m->away, sizeof m->away, "%s", a->why);
    } else if (m->away_since.ns) {
        LOG(m->all->d->log, LOG_INFO, "failover", "the authority answers again",
            kv_s("service", move_service(m)), kv_t("away", mono_sub(clock_mono(), m->away_since)));
        m->away_since = (struct mono){0};
        m->away[0] = 0;
    }
    if (*a->holder)
        (void)snprintf(m->holder, sizeof m->holder, "%s", a->holder);
}

static void lease_event(struct move *m, const struct authority_answer *a, uint8_t good)
{
    static const uint8_t what[] = {[AUTHORITY_OK] = FO_LEASE_KEPT,
                                   [AUTHORITY_HELD] = FO_LEASE_HELD_BY_OTHER,
                                   [AUTHORITY_LOST] = FO_LEASE_LOST,
                                   [AUTHORITY_CONFLICT] = FO_LEASE_ERROR,
                                   [AUTHORITY_AWAY] = FO_LEASE_ERROR};
    struct fo_event e;

    note_away(m, a);
    move_event(m, &e, FO_E_LEASE);
    e.u.lease.what = a->outcome == AUTHORITY_OK ? good : what[a->outcome];
    e.u.lease.token = a->token;
    e.u.lease.sent = mono_to_ms(a->sent);
    e.u.lease.resigned = a->resigned;
    (void)move_feed(m, &e);
    move_release(m);
}

static void acquired(void *arg, const struct authority_answer *a)
{
    struct move *m = arg;

    if (a->outcome == AUTHORITY_OK) {
        (void)snprintf(m->holder, sizeof m->holder, "%.62s %.62s", m->all->voter, m->all->d->host);
        m->head_known = false; /* another one has written meanwhile */
        m->read_from = clock_mono();
    }
    lease_event(m, a, FO_LEASE_GRANTED);
}

static void newer(struct move *m, struct mono began)
{
    if (mono_before(m->read_began, began))
        m->read_began = began;
}

/* While the lease is ours the record is ours alone to change: what was read, or committed, under this token is current as long
 * as no commit is open and none is of unknown outcome. */
static bool current(const struct move *m, const struct authority_answer *a)
{
    const struct fo *s = &m->fo;

    return s->leading && s->known && !s->reading && !s->storing && !s->unsure && !m->unreadable &&
           fencing_cmp(a->token, s->token) == 0;
}

/* All that is decided here is decided from outside: two deciders that want the store's leader near would pull at it. */
static bool decides_all_from_outside(const struct moves *all)
{
    for (const struct move *m = all->first; m; m = m->next) {
        const struct fo *s = &m->fo;

        if (m->gone || !s->leading || !s->known || s->record.active == m->set.core.own_region ||
            (s->state != FO_S_STEADY && s->state != FO_S_HOLD))
            return false;
    }
    return true;
}

static void kept(void *arg, const struct authority_answer *a)
{
    struct move *m = arg;

    if (a->outcome == AUTHORITY_OK && current(m, a))
        newer(m, a->sent);
    if (a->outcome == AUTHORITY_OK && decides_all_from_outside(m->all))
        authority_place(m->all->authority);
    lease_event(m, a, FO_LEASE_KEPT);
}

static void resigned(void *arg, const struct authority_answer *a)
{
    struct authority_answer gone = *a;

    if (gone.outcome == AUTHORITY_OK)
        gone.outcome = AUTHORITY_LOST;
    lease_event(arg, &gone, FO_LEASE_LOST);
}

static void unreadable(struct move *m, const struct err *e)
{
    if (!m->unreadable)
        LOG(m->all->d->log, LOG_ERROR, "failover", "the record cannot be read: nothing is decided here",
            kv_s("service", move_service(m)), kv_e(e));
    m->unreadable = true;
}

static void have_read(void *arg, const struct authority_answer *a)
{
    struct move *m = arg;
    struct fo_event e;
    struct err err = {0};

    note_away(m, a);
    if (a->outcome == AUTHORITY_OK && mono_before(a->sent, m->read_from) && !m->gone) {
        /* begun before the lease was ours, or before a commit whose outcome is to be found out */
        move_do_lease(m, FO_DO_READ);
        move_release(m);
        return;
    }
    if (a->outcome == AUTHORITY_OK && a->token.rev == 0 && !m->set.core.local)
        m->holder[0] = 0; /* an embedded one knows of itself alone: who leads elsewhere is heard in words */
    move_event(m, &e, FO_E_RECORD);
    e.u.record.known = a->known;
    e.u.record.rev = a->rev;
    if (a->outcome == AUTHORITY_OK && a->known &&
        fo_record_read(a->record, &m->set.core, &m->set.names, &e.u.record.record, &err) != 0) {
        unreadable(m, &err);
    } else if (a->outcome == AUTHORITY_OK) {
        m->unreadable = false;
        (void)move_feed(m, &e);
        if (m->fo.known && !m->fo.storing && m->fo.rev == a->rev) /* the core has taken it */
            newer(m, a->sent);
        move_release(m);
        return;
    }
    move_event(m, &e, FO_E_LEASE); /* nothing is known */
    e.u.lease.what = FO_LEASE_ERROR;
    (void)move_feed(m, &e);
    move_release(m);
}

static void at_once(struct move *m, uint8_t kind)
{
    struct authority_answer away = {.outcome = AUTHORITY_AWAY, .why = "no memory"};

    if (kind == FO_DO_READ)
        have_read(m, &away);
    else
        lease_event(m, &away, FO_LEASE_ERROR);
}

void move_do_lease(struct move *m, uint8_t kind)
{
    struct authority *a = m->all->authority;
    int rc;

    move_hold(m);
    switch (kind) {
    case FO_DO_ACQUIRE: rc = authority_acquire(a, move_service(m), acquired, m); break;
    case FO_DO_KEEP: rc = authority_keep(a, move_service(m), kept, m); break;
    case FO_DO_RESIGN: rc = authority_resign(a, move_service(m), resigned, m); break;
    default: rc = authority_read(a, move_service(m), have_read, m); break;
    }
    if (rc == ERR_STATE)
        move_release(m); /* one is under way, whose answer will do */
    else if (rc)
        at_once(m, kind);
}

/* ---- commits ---- */

struct commit {
    struct move_call call;
    uint64_t id, seen;
    struct fencing token;
    struct fo_journal_line line; /* what is said of it; its number comes when the line before is known */
    struct fo_journal_head head; /* behind it */
    struct buf record, text;
};

static void commit_drop(struct move_call *call)
{
    struct commit *c = (struct commit *)call;

    buf_free(&c->record);
    buf_free(&c->text);
    free(c);
}

static void keep_line(struct commit *c)
{
    struct decide *d = c->call.m->all->d;
    struct batch *b = c->text.len ? batch_new(d) : NULL;

    if (!b)
        return;
    orders_line(&b->orders, "failover", bytes_of(move_service(c->call.m)), loop_wall(d->loop),
                buf_bytes(&c->text));
    batch_give(b);
}

static void commit_end(struct commit *c, const struct authority_answer *a)
{
    static const uint8_t what[] = {[AUTHORITY_OK] = FO_STORED_OK,
                                   [AUTHORITY_HELD] = FO_STORED_LOST,
                                   [AUTHORITY_LOST] = FO_STORED_LOST,
                                   [AUTHORITY_CONFLICT] = FO_STORED_CONFLICT,
                                   [AUTHORITY_AWAY] = FO_STORED_UNKNOWN};
    struct move *m = c->call.m;
    struct fo_event e;

    note_away(m, a);
    m->head_known = a->outcome == AUTHORITY_OK; /* else the line may stand there, or not */
    if (m->head_known) {
        m->head = c->head;
        keep_line(c); /* in this store too */
    } else {
        m->read_from = clock_mono(); /* what became of it tells only a reading from now on */
    }
    move_event(m, &e, FO_E_STORED);
    e.u.stored.what = what[a->outcome];
    e.u.stored.rev = a->rev;
    e.u.stored.id = c->id;
    (void)move_feed(m, &e);
    move_call_end(&c->call);
    commit_drop(&c->call);
}

static void committed(void *arg, const struct authority_answer *a)
{
    commit_end(arg, a);
}

static void commit_away(struct commit *c, const char *why)
{
    struct authority_answer away = {.outcome = AUTHORITY_AWAY};

    (void)snprintf(away.why, sizeof away.why, "%s", why);
    commit_end(c, &away);
}

static void commit_now(struct commit *c)
{
    struct move *m = c->call.m;

    c->head = m->head;
    if (fo_journal_write(&c->line, &c->head, &c->text) != 0) { /* nothing is committed without its line */
        commit_away(c, "the journal's line could not be written down");
        return;
    }
    if (authority_store(m->all->authority, move_service(m), c->token, c->seen, buf_bytes(&c->record),
                        buf_bytes(&c->text), committed, c) != 0)
        commit_away(c, "no memory, or a commit is under way");
}

/* The newest line, then the end of the list. */
static void have_head(void *arg, struct bytes line, int code)
{
    struct commit *c = arg;
    struct move *m = c->call.m;
    struct fo_journal_line l;
    struct err e = {0};

    if (line.p) {
        if (fo_journal_read(line, &l, &e) != 0) {
            LOG(m->all->d->log, LOG_ERROR, "failover",
                "the journal's newest line is damaged: its chain begins anew",
                kv_s("service", move_service(m)), kv_e(&e));
            return;
        }
        m->head.seq = l.seq;
        memcpy(m->head.hash, l.hash, sizeof m->head.hash);
        return;
    }
    m->head_known = code == 0;
    if (m->head_known)
        commit_now(c);
    else
        commit_away(c, "the journal could not be read");
}

void move_do_store(struct move *m, const struct fo_effect *x)
{
    struct commit *c = calloc(1, sizeof *c);

    if (!c) { /* the core's own time-out settles it */
        m->lost_events++;
        return;
    }
    move_call_begin(&c->call, m, commit_drop);
    c->id = x->id;
    c->token = m->fo.token;
    c->seen = m->fo.rev;
    buf_init(&c->record, NULL, STORE_ROOM);
    buf_init(&c->text, NULL, FO_JOURNAL_LINE);
    move_line(m, x, &c->line);
    if (fo_record_write(&m->fo.next, &m->set.core, &m->set.names, &c->record) != 0) {
        commit_away(c, "the record could not be written down");
    } else if (m->head_known) {
        commit_now(c);
    } else {
        memset(&m->head, 0, sizeof m->head);
        memset(m->head.hash, '0', sizeof m->head.hash - 1);
        if (authority_journal(m->all->authority, move_service(m), 1, have_head, c) != 0)
            commit_away(c, "no memory");
    }
}
