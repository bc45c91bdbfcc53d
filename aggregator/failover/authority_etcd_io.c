/* The authority in etcd. Every decision is a transaction whose compares name our leader key by its create_revision and the
 * store's epoch; every read is linearizable. An unknown outcome is settled by asking again: the same transaction, sent twice,
 * finds what the first one has done.
 *
 * A lease alone proves nothing: a member that has lost its leadership without knowing goes on keeping leases alive (and old
 * releases revoke those of others, etcd-io/etcd#15247). Hence `keep` asks the same member for both, the lease and, by a
 * linearizable read, the leader key; it counts only when both came within one raft term. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/failover/authority_private.h"

enum { READ_MOST = 8 << 20, PAUSE_MS = 50, LEAST_MS = 30 };
enum { STEP_LOOK, STEP_GRANT, STEP_TAKE, STEP_KEEP }; /* of acquire */
static const char resigned[] = "resigned ", held[] = "held", held_after[] = "held after resigning";

/* etcd counts leases in whole seconds: never less than ours. */
static uint64_t ttl_of(const struct authority *a)
{
    return (uint64_t)((a->p.lease.ns + 999999999) / 1000000000);
}

/* ---- asking ---- */

static void next_step(struct authority_call *c);

static void away(struct authority_call *c, const char *why)
{
    (void)snprintf(c->answer.why, sizeof c->answer.why, "%s", why);
    authority_end(c, AUTHORITY_AWAY);
}

static enum etcd_fault read_txn(void *arg, int status, struct bytes body, char why[ETCD_WHY])
{
    struct authority_call *c = arg;

    arena_free(&c->arena);
    arena_init(&c->arena, NULL, READ_MOST);
    return etcd_txn_read(&c->txn, status, body, &c->arena, &c->result, why);
}

static enum etcd_fault read_grant(void *arg, int status, struct bytes body, char why[ETCD_WHY])
{
    struct authority_call *c = arg;
    struct arena a;
    enum etcd_fault f;

    arena_init(&a, NULL, 1 << 16);
    f = etcd_grant_read(status, body, &a, &c->id, &c->ttl, why);
    arena_free(&a);
    return f;
}

static enum etcd_fault read_keep(void *arg, int status, struct bytes body, char why[ETCD_WHY])
{
    struct authority_call *c = arg;
    struct arena a;
    enum etcd_fault f;

    arena_init(&a, NULL, 1 << 16);
    f = etcd_keep_read(c->s->lease, status, body, &a, &c->ttl, &c->term, why);
    arena_free(&a);
    return f;
}

static void answered(struct authority_call *c, int which, const struct etcd_answer *r)
{
    c->ask[which] = NULL;
    c->fault[which] = r->fault;
    c->sent[which] = r->sent;
    if (r->fault != ETCD_FINE)
        (void)snprintf(c->answer.why, sizeof c->answer.why, "%s", r->why);
    if (!c->ask[0] && !c->ask[1])
        next_step(c);
}

static void on_first(void *arg, const struct etcd_answer *r)
{
    answered(arg, 0, r);
}

static void on_second(void *arg, const struct etcd_answer *r)
{
    answered(arg, 1, r);
}

static bool ask_txn(struct authority_call *c, int which, bool once)
{
    struct buf body;
    const struct etcd_ask_params p = {.call = ETCD_TXN,
                                      .deadline = c->deadline,
                                      .once = once,
                                      .read = read_txn,
                                      .done = which ? on_second : on_first,
                                      .arg = c};
    struct etcd_ask_params full = p;

    buf_init(&body, NULL, 4 * AUTHORITY_RECORD);
    if (etcd_txn_write(&c->txn, &body) == 0) {
        full.body = buf_bytes(&body);
        c->ask[which] = etcd_ask(c->a->link, &full);
    }
    buf_free(&body);
    return c->ask[which] != NULL;
}

static bool ask_lease(struct authority_call *c, enum etcd_call call, bool once)
{
    struct etcd_ask_params p = {.call = call,
                                .deadline = c->deadline,
                                .once = once,
                                .read = call == ETCD_GRANT ? read_grant : read_keep,
                                .done = on_first,
                                .arg = c};
    struct buf body;

    buf_init(&body, NULL, 128);
    if ((call == ETCD_GRANT ? etcd_grant_write(ttl_of(c->a), &body) : etcd_lease_write(c->s->lease, &body)) ==
        0) {
        p.body = buf_bytes(&body);
        c->ask[0] = etcd_ask(c->a->link, &p);
    }
    buf_free(&body);
    return c->ask[0] != NULL;
}

/* A lease that is not wanted any more: whether it hears of it or not, it ends. */
static void drop_lease(struct authority_service *s, struct authority *a)
{
    struct buf body;

    if (s->lease) {
        buf_init(&body, NULL, 128);
        if (etcd_lease_write(s->lease, &body) == 0)
            etcd_tell(a->link, ETCD_REVOKE, buf_bytes(&body));
        buf_free(&body);
    }
    s->lease = 0;
    s->holding = false;
}

/* ---- parts of transactions ---- */

static void compare_rev(struct etcd_txn *t, const char *key, enum etcd_target target, uint64_t rev)
{
    t->compare[t->n_compare++] = (struct etcd_compare){.key = key, .target = target, .rev = rev};
}

/* The store is still in the life in which the token was made. */
static void compare_epoch(struct authority_call *c)
{
    struct etcd_txn *t = &c->txn;

    if (!c->s->epoch[0])
        compare_rev(t, c->a->epoch_key, ETCD_CREATE, 0);
    else
        t->compare[t->n_compare++] =
            (struct etcd_compare){.key = c->a->epoch_key,
                                  .target = ETCD_VALUE,
                                  .value = {(const uint8_t *)c->s->epoch, strlen(c->s->epoch)}};
}

static void then(struct etcd_txn *t, enum etcd_op_kind kind, const char *key)
{
    t->then[t->n_then++] = (struct etcd_op){.kind = kind, .key = key};
}

static void otherwise(struct etcd_txn *t, enum etcd_op_kind kind, const char *key)
{
    t->other[t->n_other++] = (struct etcd_op){.kind = kind, .key = key};
}

static void then_put(struct etcd_txn *t, const char *key, struct bytes value, uint64_t lease)
{
    t->then[t->n_then++] = (struct etcd_op){.kind = ETCD_PUT, .key = key, .value = value, .lease = lease};
}

static struct bytes bytes_of_text(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

static bool same(struct bytes a, struct bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static bool begins(struct bytes b, const char *s)
{
    return b.n >= strlen(s) && memcmp(b.p, s, strlen(s)) == 0;
}

/* The store's epoch as read; false: it is no number, and nothing can be said. */
static bool epoch_of(const struct etcd_kv *kv, char text[24], uint64_t *out)
{
    text[0] = 0;
    *out = 0;
    if (!kv->there)
        return true;
    if (kv->value.n == 0 || kv->value.n > 19)
        return false;
    memcpy(text, kv->value.p, kv->value.n);
    text[kv->value.n] = 0;
    return etcd_number(text, out);
}

static void holder_text(struct authority_answer *a, struct bytes value)
{
    size_t n = 0;
    int words = 0;

    for (; n < value.n && n < sizeof a->holder - 1; n++) {
        if (value.p[n] == ' ' && ++words == 2)
            break;
        a->holder[n] = value.p[n] > ' ' && value.p[n] < 127 ? (char)value.p[n]
                       : value.p[n] == ' '                  ? ' '
                                                            : '?';
    }
    a->holder[n] = 0;
}

/* ---- keep ---- */

static void ask_keep(struct authority_call *c)
{
    struct etcd_txn *t = &c->txn;

    *t = (struct etcd_txn){.n_compare = 0};
    compare_rev(t, c->s->leader, ETCD_CREATE, c->s->token.rev);
    compare_epoch(c);
    then(t, ETCD_GET_KEY, c->s->leader);
    otherwise(t, ETCD_GET_KEY, c->s->leader);
    otherwise(t, ETCD_GET, c->a->epoch_key);
    c->member = etcd_link_member(c->a->link);
    if (!ask_lease(c, ETCD_KEEPALIVE, true) || !ask_txn(c, 1, true)) {
        etcd_ask_cancel(&c->ask[0]);
        authority_end_soon(c, AUTHORITY_AWAY, "no memory");
    }
}

static void keep_again(struct authority_call *c, const char *why)
{
    if (why)
        (void)snprintf(c->answer.why, sizeof c->answer.why, "%s", why);
    if (mono_sub(c->deadline, clock_mono()).ns < span_ms(LEAST_MS + PAUSE_MS).ns)
        authority_end(c, AUTHORITY_AWAY);
    else
        timer_set(c->timer, span_ms(PAUSE_MS));
}

static bool epoch_is(const struct authority_call *c, const struct etcd_kv *kv)
{
    return kv->there ? same(kv->value, bytes_of_text(c->s->epoch)) : !c->s->epoch[0];
}

static void keep_lost(struct authority_call *c)
{
    drop_lease(c->s, c->a);
    if (c->kind == AUTHORITY_KEEP)
        authority_end(c, AUTHORITY_LOST);
    else
        away(c, "the leader key was ours, and is gone");
}

static void keep_done(struct authority_call *c)
{
    struct authority_service *s = c->s;
    const struct etcd_kv *kv = c->result.kv;

    if (c->fault[1] == ETCD_FINE && !c->result.succeeded &&
        (!kv[0].there || kv[0].create != s->token.rev || !epoch_is(c, &kv[1])))
        keep_lost(c);
    else if (c->fault[0] != ETCD_FINE || c->fault[1] != ETCD_FINE)
        keep_again(c, NULL);
    else if (!c->result.succeeded || !kv[0].there || kv[0].create != s->token.rev)
        keep_again(c, "the leader key is not as its compare says");
    else if (c->result.term != c->term)
        keep_again(c, "there was an election between the lease and the leader key");
    else if (c->ttl == 0)
        keep_lost(c);
    else if (c->ttl < ttl_of(c->a))
        away(c, "etcd keeps our lease for less time than it granted");
    else {
        s->holding = true;
        c->answer.sent = mono_before(c->sent[0], c->sent[1]) ? c->sent[0] : c->sent[1];
        c->answer.token = s->token;
        c->answer.resigned = s->after_resigned;
        authority_end(c, AUTHORITY_OK);
    }
}

/* ---- acquire ---- */

static void ask_look(struct authority_call *c)
{
    struct etcd_txn *t = &c->txn;

    *t = (struct etcd_txn){.n_compare = 0};
    then(t, ETCD_GET, c->s->leader);
    then(t, ETCD_GET, c->s->last);
    then(t, ETCD_GET, c->a->epoch_key);
    c->step = STEP_LOOK;
    if (!ask_txn(c, 0, false))
        authority_end_soon(c, AUTHORITY_AWAY, "no memory");
}

/* Ours: of this process, under the lease that we have. */
static bool is_ours(const struct authority_call *c, const struct etcd_kv *leader)
{
    return c->s->lease && leader->lease == c->s->lease && same(leader->value, bytes_of_text(c->a->self));
}

static void adopt(struct authority_call *c, uint64_t rev, uint64_t store)
{
    c->s->token = (struct fencing){.store = store, .rev = rev};
    c->step = STEP_KEEP;
    ask_keep(c);
}

static void looked(struct authority_call *c)
{
    const struct etcd_kv *leader = &c->result.kv[0], *last = &c->result.kv[1], *epoch = &c->result.kv[2];
    struct authority_service *s = c->s;
    uint64_t store;

    if (!epoch_of(epoch, s->epoch, &store)) {
        away(c, "the key store-epoch is no decimal number");
        return;
    }
    if (leader->there && is_ours(c, leader)) {
        s->after_resigned = same(last->value, bytes_of_text(held_after));
        adopt(c, leader->create, store);
        return;
    }
    drop_lease(s, c->a);
    if (leader->there) {
        holder_text(&c->answer, leader->value);
        authority_end(c, AUTHORITY_HELD);
        return;
    }
    s->after_resigned = !last->there || begins(last->value, resigned);
    s->last_mod = last->there ? last->mod : 0;
    s->token = (struct fencing){.store = store};
    c->step = STEP_GRANT;
    if (!ask_lease(c, ETCD_GRANT, false))
        authority_end_soon(c, AUTHORITY_AWAY, "no memory");
}

static void granted(struct authority_call *c)
{
    struct authority_service *s = c->s;
    struct etcd_txn *t = &c->txn;

    s->lease = c->id;
    c->answer.sent = c->sent[0]; /* the lease counts from here */
    if (c->ttl < ttl_of(c->a)) {
        drop_lease(s, c->a);
        away(c, "etcd grants less time than was asked for");
        return;
    }
    *t = (struct etcd_txn){.n_compare = 0};
    compare_rev(t, s->leader, ETCD_CREATE, 0);
    compare_rev(t, s->last, ETCD_MOD, s->last_mod);
    compare_epoch(c);
    then_put(t, s->leader, bytes_of_text(c->a->self), s->lease);
    then_put(t, s->last, bytes_of_text(s->after_resigned ? held_after : held), 0);
    then(t, ETCD_GET_KEY, s->leader);
    otherwise(t, ETCD_GET, s->leader);
    c->step = STEP_TAKE;
    if (!ask_txn(c, 0, false))
        authority_end_soon(c, AUTHORITY_AWAY, "no memory");
}

static void taken(struct authority_call *c)
{
    struct authority_service *s = c->s;
    const struct etcd_kv *leader = &c->result.kv[c->result.succeeded ? 2 : 0];

    if (c->result.succeeded ? !leader->there || leader->lease != s->lease || leader->create != c->result.rev
                            : !leader->there) {
        away(c,
             c->result.succeeded ? "the leader key is not what was put" : "the store has changed meanwhile");
        return;
    }
    if (!c->result.succeeded && !is_ours(c, leader)) {
        drop_lease(s, c->a);
        holder_text(&c->answer, leader->value);
        authority_end(c, AUTHORITY_HELD);
        return;
    }
    s->token.rev = leader->create; /* also when an earlier try of ours, whose answer was lost, had won */
    s->holding = true;
    c->answer.token = s->token;
    c->answer.resigned = s->after_resigned;
    authority_end(c, AUTHORITY_OK);
}

/* ---- resign ---- */

static void ask_resign(struct authority_call *c)
{
    struct etcd_txn *t = &c->txn;

    (void)snprintf(c->line_key, sizeof c->line_key, "%s%" PRIu64, resigned, c->s->token.rev);
    compare_rev(t, c->s->leader, ETCD_CREATE, c->s->token.rev);
    compare_epoch(c);
    then(t, ETCD_DELETE, c->s->leader);
    then_put(t, c->s->last, bytes_of_text(c->line_key), 0);
    otherwise(t, ETCD_GET, c->s->last);
    if (!ask_txn(c, 0, false))
        authority_end_soon(c, AUTHORITY_AWAY, "no memory");
}

static void resign_done(struct authority_call *c)
{
    const bool good = c->result.succeeded || same(c->result.kv[0].value, bytes_of_text(c->line_key));

    drop_lease(c->s, c->a);
    authority_end(c, good ? AUTHORITY_OK : AUTHORITY_LOST);
}

/* ---- read ---- */

static void ask_read(struct authority_call *c)
{
    then(&c->txn, ETCD_GET, c->s->record);
    then(&c->txn, ETCD_GET, c->s->leader);
    then(&c->txn, ETCD_GET, c->a->epoch_key);
    if (!ask_txn(c, 0, false))
        authority_end_soon(c, AUTHORITY_AWAY, "no memory");
}

static void read_done(struct authority_call *c)
{
    const struct etcd_kv *record = &c->result.kv[0], *leader = &c->result.kv[1];
    char text[24];

    if (!epoch_of(&c->result.kv[2], text, &c->answer.token.store)) {
        away(c, "the key store-epoch is no decimal number");
        return;
    }
    c->answer.sent = c->sent[0];
    c->answer.known = record->there;
    c->answer.rev = record->there ? record->mod : 0;
    c->answer.record = record->value;
    if (leader->there) {
        c->answer.token.rev = leader->create;
        holder_text(&c->answer, leader->value);
    }
    authority_end(c, AUTHORITY_OK);
}

/* ---- store ---- */

/* A line's number: the revision that its record follows, which no other commit can follow as well; of the first record the
 * holder's token, a revision too. So the lines sort in the order of the commits. */
static void ask_store(struct authority_call *c)
{
    struct etcd_txn *t = &c->txn;

    (void)snprintf(c->line_key, sizeof c->line_key, "%s%020" PRIu64, c->s->journal,
                   c->seen ? c->seen : c->token.rev);
    compare_rev(t, c->s->leader, ETCD_CREATE, c->token.rev);
    compare_rev(t, c->s->record, ETCD_MOD, c->seen);
    compare_epoch(c);
    then_put(t, c->s->record, buf_bytes(&c->record), 0);
    then(t, ETCD_GET_KEY, c->s->record);
    if (c->line.len)
        then_put(t, c->line_key, buf_bytes(&c->line), 0);
    otherwise(t, ETCD_GET_KEY, c->s->leader);
    otherwise(t, ETCD_GET, c->a->epoch_key);
    otherwise(t, ETCD_GET, c->s->record);
    otherwise(t, ETCD_GET, c->line_key);
    if (!ask_txn(c, 0, false))
        authority_end_soon(c, AUTHORITY_AWAY, "no memory");
}

static void store_done(struct authority_call *c)
{
    const struct etcd_kv *kv = c->result.kv;

    c->answer.sent = c->sent[0];
    c->answer.token = c->token;
    if (c->result.succeeded) {
        c->answer.rev = kv[1].mod;
        if (kv[1].there && kv[1].mod == c->result.rev)
            authority_end(c, AUTHORITY_OK);
        else
            away(c, "the record is not what was put");
        return;
    }
    c->answer.rev = kv[2].there ? kv[2].mod : 0;
    if (!kv[0].there || kv[0].create != c->token.rev || !epoch_is(c, &kv[1]))
        authority_end(c, AUTHORITY_LOST);
    else if (c->answer.rev == c->seen)
        away(c, "the transaction failed, and all its compares hold");
    else if (c->answer.rev > c->seen && same(kv[2].value, buf_bytes(&c->record)) &&
             (c->line.len ? kv[3].there && same(kv[3].value, buf_bytes(&c->line)) : !kv[3].there))
        authority_end(c, AUTHORITY_OK); /* an earlier try, whose answer was lost, has done it */
    else
        authority_end(c, AUTHORITY_CONFLICT);
}

/* ---- steps ---- */

static void acquire_step(struct authority_call *c)
{
    switch (c->step) {
    case STEP_LOOK: looked(c); break;
    case STEP_GRANT: granted(c); break;
    case STEP_TAKE: taken(c); break;
    default: keep_done(c);
    }
}

static bool keeping(const struct authority_call *c)
{
    return c->kind == AUTHORITY_KEEP || (c->kind == AUTHORITY_ACQUIRE && c->step == STEP_KEEP);
}

static void next_step(struct authority_call *c)
{
    if (!keeping(c) && c->fault[0] != ETCD_FINE) {
        if (c->fault[0] == ETCD_NO_LEASE)
            c->s->lease = 0;
        authority_end(c, AUTHORITY_AWAY);
        return;
    }
    switch (c->kind) {
    case AUTHORITY_ACQUIRE: acquire_step(c); break;
    case AUTHORITY_KEEP: keep_done(c); break;
    case AUTHORITY_RESIGN: resign_done(c); break;
    case AUTHORITY_READ: read_done(c); break;
    default: store_done(c);
    }
}

void authority_etcd_again(struct authority_call *c)
{
    if (keeping(c))
        ask_keep(c);
}

void authority_etcd_start(struct authority_call *c)
{
    c->deadline = mono_add(c->began, etcd_link_timeout(c->a->link));
    if ((c->kind == AUTHORITY_KEEP || c->kind == AUTHORITY_RESIGN) && (!c->s->lease || !c->s->token.rev)) {
        authority_end_soon(c, AUTHORITY_LOST, "");
        return;
    }
    if (c->kind == AUTHORITY_STORE && fencing_cmp(c->token, c->s->token) != 0) {
        authority_end_soon(c, AUTHORITY_LOST, ""); /* acquired anew since, or never */
        return;
    }
    switch (c->kind) {
    case AUTHORITY_ACQUIRE: ask_look(c); break;
    case AUTHORITY_KEEP: ask_keep(c); break;
    case AUTHORITY_RESIGN: ask_resign(c); break;
    case AUTHORITY_READ: ask_read(c); break;
    default: ask_store(c);
    }
}
