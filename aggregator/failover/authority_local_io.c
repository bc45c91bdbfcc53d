/* The authority of a single aggregator: the control store of this machine, which one process alone can have open. The same
 * meaning as in etcd: a token that grows with each acquire, a record with a revision, lines in the order of the commits.
 *
 * Revisions and tokens are counted by one counter that is kept with the record. It is never below the wall clock's
 * milliseconds, so that tokens go on growing when the store was lost or an older copy of it was put back.
 *
 * Under the service's key stands "1 COUNTER REV TOKEN LAST\n" and the record; a line of the journal has a key of its own, its
 * number the revision that it follows, and begins with the number of the line before. It is written before the record: when
 * the second write does not happen, the next commit after the same revision writes over it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/failover/authority_private.h"

enum { LINES_MOST = 100000 };

struct local_state {
    uint64_t counter, rev, token, last; /* token 0: nobody holds it; last: the newest line's number, 0 none */
    struct bytes record;
};

/* One question to the control store: it may be answered after the authority was closed. */
struct local_wait {
    struct local_wait *prev, *next;
    struct authority *a; /* NULL: closed */
    void (*written)(void *arg, int code);
    void (*have)(void *arg, int code, struct bytes value);
    void *arg;
    bool owned; /* arg is a list: it goes with us */
};

static void wait_end(struct local_wait *w)
{
    if (w->a && w->a->waits == w)
        w->a->waits = w->next;
    if (w->prev)
        w->prev->next = w->next;
    if (w->next)
        w->next->prev = w->prev;
    if (!w->a && w->owned)
        free(w->arg);
    free(w);
}

static void on_any_written(void *arg, int code)
{
    struct local_wait *w = arg, was = *w;

    wait_end(w);
    if (was.a)
        was.written(was.arg, code);
}

static void on_any_read(void *arg, int code, struct bytes value)
{
    struct local_wait *w = arg, was = *w;

    wait_end(w);
    if (was.a)
        was.have(was.arg, code, value);
}

static struct local_wait *wait_new(struct authority *a, void *arg)
{
    struct local_wait *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    *w = (struct local_wait){.next = a->waits, .a = a, .arg = arg};
    if (a->waits)
        a->waits->prev = w;
    a->waits = w;
    return w;
}

static int local_write(struct authority *a, const char *key, struct bytes value, void (*written)(void *, int),
                       void *arg)
{
    struct local_wait *w = wait_new(a, arg);
    int rc = ERR_NOMEM;

    if (w) {
        w->written = written;
        rc = a->p.local_write(a->p.local_arg, (struct bytes){(const uint8_t *)key, strlen(key)}, value,
                              on_any_written, w);
        if (rc)
            wait_end(w);
    }
    return rc;
}

static int local_read(struct authority *a, const char *key, void (*have)(void *, int, struct bytes),
                      void *arg, bool owned)
{
    struct local_wait *w = wait_new(a, arg);
    int rc = ERR_NOMEM;

    if (w) {
        w->have = have;
        w->owned = owned;
        rc = a->p.local_read(a->p.local_arg, (struct bytes){(const uint8_t *)key, strlen(key)}, on_any_read,
                             w);
        if (rc)
            wait_end(w);
    }
    return rc;
}

void authority_local_close(struct authority *a)
{
    struct local_wait *next;

    for (struct local_wait *w = a->waits; w; w = next) {
        next = w->next;
        w->a = NULL;
        w->prev = w->next = NULL;
    }
    a->waits = NULL;
}

static bool number(const char **at, uint64_t *out)
{
    size_t n = strspn(*at, "0123456789");
    char digits[21];

    if (n == 0 || n > 19)
        return false;
    memcpy(digits, *at, n);
    digits[n] = 0;
    *at += n;
    *at += **at == ' ';
    return etcd_number(digits, out);
}

/* Nothing there is a new service. False: not ours, or damaged. */
static bool state_read(struct bytes b, struct local_state *out)
{
    const uint8_t *end = b.n ? memchr(b.p, '\n', b.n) : NULL;
    char head[128];
    const char *at = head;
    uint64_t version;

    memset(out, 0, sizeof *out);
    if (b.n == 0)
        return true;
    if (!end || (size_t)(end - b.p) >= sizeof head)
        return false;
    memcpy(head, b.p, (size_t)(end - b.p));
    head[end - b.p] = 0;
    out->record = (struct bytes){end + 1, b.n - (size_t)(end - b.p) - 1};
    return number(&at, &version) && version == 1 && number(&at, &out->counter) && number(&at, &out->rev) &&
           number(&at, &out->token) && number(&at, &out->last) && *at == 0;
}

static int state_write(const struct local_state *s, struct bytes record, struct buf *out)
{
    buf_clear(out);
    buf_fmt(out, "1 %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", s->counter, s->rev, s->token,
            s->last);
    buf_put(out, record.p, record.n);
    return out->full ? ERR_LIMIT : 0;
}

static void count_up(struct local_state *s)
{
    const int64_t now = clock_wall().ms;

    s->counter++;
    if (now > 0 && s->counter < (uint64_t)now)
        s->counter = (uint64_t)now;
}

static void on_written(void *arg, int code)
{
    struct authority_call *c = arg;

    if (code) {
        (void)snprintf(c->answer.why, sizeof c->answer.why, "the control store could not be written (%s)",
                       err_name(code));
        authority_end(c, AUTHORITY_AWAY);
        return;
    }
    if (c->kind == AUTHORITY_ACQUIRE) {
        c->s->token = c->answer.token;
        c->s->holding = true;
    }
    if (c->kind == AUTHORITY_RESIGN) {
        c->s->token = (struct fencing){0};
        c->s->holding = false;
    }
    authority_end(c, AUTHORITY_OK);
}

static void write_state(struct authority_call *c, const struct local_state *s, struct bytes record)
{
    struct buf out;
    int rc;

    buf_init(&out, NULL, 2 * AUTHORITY_RECORD);
    rc = state_write(s, record, &out);
    if (rc == 0)
        rc = local_write(c->a, c->s->record, buf_bytes(&out), on_written, c);
    buf_free(&out);
    if (rc)
        authority_end_soon(c, AUTHORITY_AWAY, "the control store takes nothing");
}

/* ---- store ---- */

static void on_line_written(void *arg, int code)
{
    struct authority_call *c = arg;
    struct local_state s;

    if (code || !state_read(buf_bytes(&c->state), &s)) {
        (void)snprintf(c->answer.why, sizeof c->answer.why, "the journal's line could not be written (%s)",
                       err_name(code));
        authority_end(c, AUTHORITY_AWAY);
        return;
    }
    s.last = c->seen ? c->seen : c->token.rev;
    count_up(&s);
    s.rev = c->answer.rev = s.counter;
    write_state(c, &s, buf_bytes(&c->record));
}

static void store_it(struct authority_call *c, struct local_state *s)
{
    struct buf line;
    int rc;

    c->answer.token = c->token;
    c->answer.rev = s->rev;
    if (s->token != c->token.rev) {
        authority_end(c, AUTHORITY_LOST);
        return;
    }
    if (s->rev != c->seen) { /* an earlier try, whose answer said that it had failed, may have done it */
        const bool done = s->rev > c->seen && s->record.n == c->record.len && c->record.len &&
                          memcmp(s->record.p, c->record.data, c->record.len) == 0 &&
                          (!c->line.len || s->last == (c->seen ? c->seen : c->token.rev));

        authority_end(c, done ? AUTHORITY_OK : AUTHORITY_CONFLICT);
        return;
    }
    if (c->line.len == 0) {
        count_up(s);
        s->rev = c->answer.rev = s->counter;
        write_state(c, s, buf_bytes(&c->record));
        return;
    }
    (void)snprintf(c->line_key, sizeof c->line_key, "%s%020" PRIu64, c->s->journal,
                   c->seen ? c->seen : c->token.rev);
    buf_init(&line, NULL, 2 * AUTHORITY_LINE);
    buf_fmt(&line, "%" PRIu64 "\n", s->last);
    buf_put(&line, c->line.data, c->line.len);
    rc = local_write(c->a, c->line_key, buf_bytes(&line), on_line_written, c);
    buf_free(&line);
    if (rc)
        authority_end_soon(c, AUTHORITY_AWAY, "the control store takes nothing");
}

/* ---- the others ---- */

static void acquire_it(struct authority_call *c, struct local_state *s)
{
    c->answer.resigned = s->token == 0;
    count_up(s);
    s->token = s->counter;
    c->answer.token = (struct fencing){.rev = s->token};
    write_state(c, s, s->record);
}

static void resign_it(struct authority_call *c, struct local_state *s)
{
    if (!c->s->token.rev || s->token != c->s->token.rev) {
        authority_end(c, AUTHORITY_LOST);
        return;
    }
    s->token = 0;
    write_state(c, s, s->record);
}

static void local_step(void *arg, int code, struct bytes value)
{
    struct authority_call *c = arg;
    struct local_state s;

    buf_put(&c->state, value.p, value.n);
    if (code || c->state.full || !state_read(buf_bytes(&c->state), &s)) {
        (void)snprintf(c->answer.why, sizeof c->answer.why, "%s",
                       code ? "the control store could not be read" : "the control store's entry is damaged");
        authority_end(c, AUTHORITY_AWAY);
        return;
    }
    switch (c->kind) {
    case AUTHORITY_ACQUIRE: acquire_it(c, &s); break;
    case AUTHORITY_RESIGN: resign_it(c, &s); break;
    case AUTHORITY_STORE: store_it(c, &s); break;
    default:
        c->answer.known = s.rev > 0;
        c->answer.rev = s.rev;
        c->answer.record = s.record;
        c->answer.token.rev = s.token;
        authority_end(c, AUTHORITY_OK);
    }
}

void authority_local_start(struct authority_call *c)
{
    if (c->kind == AUTHORITY_KEEP) { /* nobody else can have the store while this process lives */
        c->answer.token = c->s->token;
        authority_end_soon(c, c->s->holding ? AUTHORITY_OK : AUTHORITY_LOST, "");
        return;
    }
    if (local_read(c->a, c->s->record, local_step, c, false) != 0)
        authority_end_soon(c, AUTHORITY_AWAY, "the control store gives nothing");
}

/* ---- the journal ---- */

struct local_list {
    struct authority_service *s;
    struct authority *a;
    uint32_t left;
    void (*line)(void *arg, struct bytes line, int code);
    void *arg;
};

static void on_line(void *arg, int code, struct bytes value);

static void list_end(struct local_list *l, int code)
{
    void (*line)(void *, struct bytes, int) = l->line;
    void *arg = l->arg;

    free(l);
    line(arg, (struct bytes){NULL, 0}, code);
}

static void list_on(struct local_list *l, uint64_t number)
{
    char key[AUTHORITY_KEY + 24];
    int rc;

    if (number == 0 || l->left == 0) {
        list_end(l, 0);
        return;
    }
    l->left--;
    (void)snprintf(key, sizeof key, "%s%020" PRIu64, l->s->journal, number);
    rc = local_read(l->a, key, on_line, l, true);
    if (rc)
        list_end(l, rc);
}

static void on_line(void *arg, int code, struct bytes value)
{
    struct local_list *l = arg;
    const uint8_t *end = value.n ? memchr(value.p, '\n', value.n) : NULL;
    char digits[24];
    const char *at = digits;
    uint64_t before;

    if (code || !end || end - value.p > 20) {
        list_end(l, code ? code : ERR_MALFORMED);
        return;
    }
    memcpy(digits, value.p, (size_t)(end - value.p));
    digits[end - value.p] = 0;
    if (!number(&at, &before) || *at) {
        list_end(l, ERR_MALFORMED);
        return;
    }
    l->line(l->arg, (struct bytes){end + 1, value.n - (size_t)(end - value.p) - 1}, 0);
    list_on(l, before);
}

static void on_head(void *arg, int code, struct bytes value)
{
    struct local_list *l = arg;
    struct local_state s;

    if (code || !state_read(value, &s))
        list_end(l, code ? code : ERR_MALFORMED);
    else
        list_on(l, s.last);
}

int authority_local_journal(struct authority *a, struct authority_service *s, uint32_t n,
                            void (*line)(void *arg, struct bytes line, int code), void *arg)
{
    struct local_list *l = calloc(1, sizeof *l);
    int rc;

    if (!l)
        return ERR_NOMEM;
    *l = (struct local_list){
        .s = s, .a = a, .left = n < LINES_MOST ? n : LINES_MOST, .line = line, .arg = arg};
    rc = local_read(a, s->record, on_head, l, true);
    if (rc)
        free(l);
    return rc;
}
