/* The desk's clerk: takes requests off the inbox, reads the lines that an answer needs, journals acts before they are
 * carried out, and answers when what was ordered is stored. An act whose request id is known already is not carried out
 * again: what was answered then is answered now. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/answers.h"
#include "aggregator/decide_private.h"

enum { ANSWER_MOST = 64 << 20, REQUEST_MOST = 128 << 20, LINES_ROOM = 64 };

struct clerk {
    struct note note;
    struct decide *d;
    struct arena arena; /* of the request and the lines */
    struct desk_request r;
    const struct desk_row *row;
    const char *part;
    struct desk_line *lines;
    size_t n_lines, room_lines;
    bool no_memory;
    bool again; /* this request id was ordered before */
    struct loop *loop;
    desk_done done;
    void *done_arg;
    int status;
    const char *type;
    struct buf out;
};

static void answer_now(void *arg)
{
    struct clerk *c = arg;

    c->done(c->done_arg, c->status, c->type, buf_bytes(&c->out));
    buf_free(&c->out);
    arena_free(&c->arena);
    free(c);
}

static void give_answer(struct clerk *c)
{
    if (loop_post(c->loop, answer_now, c) != 0) { /* that loop has gone, and who asked with it */
        buf_free(&c->out);
        arena_free(&c->arena);
        free(c);
    }
}

static struct desk desk_of(struct clerk *c, const struct moment *m, struct orders *orders)
{
    return (struct desk){.j = c->d->judge,
                         .moves = c->d->moves,
                         .m = m,
                         .r = &c->r,
                         .secret = {c->d->secret, c->d->secret_n},
                         .part = c->part,
                         .arena = &c->arena,
                         .lines = c->lines,
                         .n_lines = c->n_lines,
                         .orders = orders,
                         .out = &c->out,
                         .type = "application/json"};
}

static void fail(struct clerk *c, int status, const char *reason, const char *text)
{
    struct desk d = {.out = &c->out};

    c->status = desk_error(&d, status, reason, "%s", text);
    c->type = d.type;
    give_answer(c);
}

/* ---- reading ---- */

static void keep_line(void *arg, struct bytes key, struct wall t, struct bytes value)
{
    struct clerk *c = arg;
    struct desk_line *l;

    if (c->n_lines == c->room_lines) {
        size_t room = c->room_lines ? c->room_lines * 2 : LINES_ROOM;
        struct desk_line *v = arena_array(&c->arena, room, sizeof *v);

        if (!v) {
            c->no_memory = true;
            return;
        }
        if (c->n_lines)
            memcpy(v, c->lines, c->n_lines * sizeof *v);
        c->lines = v;
        c->room_lines = room;
    }
    l = &c->lines[c->n_lines];
    l->t = t;
    l->key = (struct bytes){(const uint8_t *)arena_text(&c->arena, (const char *)key.p, key.n), key.n};
    l->json = arena_text(&c->arena, (const char *)value.p, value.n);
    if (l->json && l->key.p)
        c->n_lines++;
    else
        c->no_memory = true;
}

static void answer_reading(void *arg, int code)
{
    struct clerk *c = arg;
    const struct moment m = decide_moment(c->d);
    struct desk d = desk_of(c, &m, NULL);

    if (code || c->no_memory) {
        fail(c, 503, "unavailable", code ? "the store cannot be read" : "the answer is too large");
        return;
    }
    d.regions = peers_regions(c->d, &c->arena);
    c->status = c->row->answer(&d);
    c->type = d.type;
    give_answer(c);
}

static void read_first(struct clerk *c)
{
    const struct moment m = decide_moment(c->d);
    struct desk d = desk_of(c, &m, NULL);
    struct control_lines q = {0};
    int rc;

    if (!c->row->read) {
        answer_reading(c, 0);
        return;
    }
    rc = c->row->read(&d, &q);
    if (rc) {
        c->status = rc;
        c->type = d.type;
        give_answer(c);
        return;
    }
    rc = control_read(c->d->control, &q, keep_line, answer_reading, c);
    if (rc)
        answer_reading(c, rc);
}

/* ---- acting ---- */

static void stored(struct decide *d, void *arg)
{
    (void)d;
    give_answer(arg);
}

/* What is answered to the same request id from now on: the status, then the content. */
static void keep_answer(struct clerk *c, struct orders *o)
{
    struct buf text;

    buf_init(&text, NULL, ANSWER_MOST);
    buf_fmt(&text, "%d %s\n", c->status, c->type);
    buf_put(&text, c->out.data, c->out.len);
    orders_line(o, "act", bytes_of(c->r.actor.request_id), loop_wall(c->d->loop), buf_bytes(&text));
    buf_free(&text);
}

static void acted(struct clerk *c, struct batch *b)
{
    LOG(c->d->log, LOG_INFO, "desk", "act", kv_s("method", c->r.method), kv_s("path", c->r.path),
        kv_s("who", c->r.actor.who), kv_s("reason", c->r.actor.reason), kv_i("status", c->status));
    keep_answer(c, &b->orders);
    b->then = stored;
    b->then_arg = c;
    batch_give(b);
}

static void answered(void *arg, uint16_t code, fo_reasons reasons, const char *holder)
{
    struct clerk *c = arg;
    const struct moment m = decide_moment(c->d);
    struct answer_leader leader = {.holder = holder};
    struct batch *b = batch_new(c->d);
    struct desk d;

    if (!b) {
        fail(c, 503, "unavailable", "no memory");
        return;
    }
    peers_leader(c->d, holder, &leader.region, &leader.reading);
    d = desk_of(c, &m, &b->orders);
    c->status = answer_order(&d, code, reasons, &leader);
    c->type = d.type;
    acted(c, b);
}

/* True: the core of failover has it, and answers when it is committed. */
static bool order(struct clerk *c, struct desk *d)
{
    struct fo_order o;
    int rc;

    c->status = c->row->order(d, &o);
    if (c->status)
        return false;
    rc = moves_order(c->d->moves, c->part, &o, answered, c);
    if (rc == 0)
        return true;
    c->status = desk_error(d, 503, "unavailable", "too many orders wait for this service");
    return false;
}

static void carry_out(struct clerk *c)
{
    const struct moment m = decide_moment(c->d);
    struct batch *b = batch_new(c->d);
    struct desk d;

    if (!b) {
        fail(c, 503, "unavailable", "no memory");
        return;
    }
    d = desk_of(c, &m, &b->orders);
    if (c->row->order && order(c, &d)) {
        batch_give(b);
        return;
    }
    if (!c->row->order)
        c->status = c->row->answer(&d);
    c->type = d.type;
    acted(c, b);
}

static void take_answer(void *arg, struct bytes key, struct wall t, struct bytes value)
{
    keep_line(arg, key, t, value);
}

/* Ordered before. When no answer is kept the process ended between the journal and the act, or the store failed. */
static void answer_again(void *arg, int code)
{
    struct clerk *c = arg;
    const char *text = c->n_lines ? c->lines[0].json : NULL, *end = text ? strchr(text, '\n') : NULL;

    if (code || c->no_memory) {
        fail(c, 503, "unavailable", "the store cannot be read");
        return;
    }
    if (!end) {
        carry_out(c);
        return;
    }
    c->status = (int)strtol(text, NULL, 10);
    c->type = arena_text(&c->arena, text + 4, (size_t)(end - text - 4));
    buf_str(&c->out, end + 1);
    if (!c->type)
        c->type = "application/json";
    give_answer(c);
}

static void audited(void *arg, int code)
{
    struct clerk *c = arg;
    const struct control_lines q = {
        .room = "act", .key = bytes_of(c->r.actor.request_id), .limit = 1, .newest = true};

    if (code == 0)
        carry_out(c);
    else if (code != ERR_EXISTS)
        fail(c, 503, "unavailable", "the audit could not be written, so nothing was done");
    else if (control_read(c->d->control, &q, take_answer, answer_again, c) != 0)
        fail(c, 503, "unavailable", "the store cannot be read");
}

/* Of a signed link: who and what for stand in the form, and the signature is the request's id. */
static void actor_of_link(struct clerk *c)
{
    struct serve_actor *a = &c->r.actor;
    const char *sig = query_get(&c->r.params, "sig"), *who, *note;
    struct query form = {.n = 0};

    if (query_read((const char *)c->r.body.p, c->r.body.n, &c->arena, &form) != 0)
        form.n = 0;
    who = query_get(&form, "who");
    note = query_get(&form, "note");
    (void)snprintf(a->who, sizeof a->who, "%.60s (signed link)", who && *who ? who : "somebody");
    (void)snprintf(a->reason, sizeof a->reason, "%.200s",
                   note && *note ? note : "acknowledged by a signed link");
    (void)snprintf(a->request_id, sizeof a->request_id, "link-%.100s", sig ? sig : "");
}

/* A link is looked at before it is journalled: strangers write no journal. */
static bool link_holds(struct clerk *c)
{
    struct fingerprint alert;
    struct err e = {0};
    uint64_t epoch;

    return ack_link_verify((struct bytes){c->d->secret, c->d->secret_n}, c->r.query, loop_wall(c->d->loop),
                           &alert, &epoch, &e) == 0;
}

static void act(struct clerk *c)
{
    struct control_audit audit = {.t = loop_wall(c->d->loop),
                                  .who = c->r.actor.who,
                                  .reason = c->r.actor.reason,
                                  .request_id = c->r.actor.request_id};
    char what[1200];
    int n;

    if (strcmp(c->r.path, "ack") == 0) {
        if (!link_holds(c)) {
            answer_reading(c, 0); /* the page that says so: nothing is ordered without a signature */
            return;
        }
        actor_of_link(c);
    }
    n = snprintf(what, 300, c->row->act, c->part);
    (void)snprintf(what + n, sizeof what - (size_t)n, " %.*s", (int)(c->r.body.n < 800 ? c->r.body.n : 800),
                   (const char *)c->r.body.p);
    audit.what = what;
    if (control_audit(c->d->control, &audit, audited, c) != 0)
        audited(c, ERR_STATE);
}

/* ---- the inbox ---- */

static void run_clerk(struct decide *d, struct note *n)
{
    struct clerk *c = (struct clerk *)n;

    d->desk_requests++;
    if (c->row->act)
        act(c);
    else
        read_first(c);
}

static void drop_clerk(struct note *n)
{
    fail((struct clerk *)n, 503, "unavailable", "this aggregator is stopping");
}

static const char *copy(struct clerk *c, const char *s)
{
    const char *kept = arena_text(&c->arena, s ? s : "", s ? strlen(s) : 0);

    c->no_memory |= !kept;
    return kept;
}

static void copy_request(struct clerk *c, const struct desk_request *r)
{
    c->r = (struct desk_request){.method = copy(c, r->method),
                                 .path = copy(c, r->path),
                                 .query = copy(c, r->query),
                                 .actor = r->actor};
    for (uint32_t i = 0; i < r->params.n; i++)
        c->r.params.v[i] = (struct query_param){copy(c, r->params.v[i].name), copy(c, r->params.v[i].value)};
    c->r.params.n = r->params.n;
    c->r.body = (struct bytes){
        (const uint8_t *)arena_text(&c->arena, r->body.n ? (const char *)r->body.p : "", r->body.n),
        r->body.n};
    c->no_memory |= !c->r.body.p;
}

void decide_desk(struct decide *d, const struct desk_request *r, struct loop *loop, desk_done done,
                 void *done_arg)
{
    static const char none[] = "{\"error\":\"no memory\",\"reason\":\"unavailable\"}\n";
    struct clerk *c = calloc(1, sizeof *c);
    int status = 503;

    if (!c) {
        done(done_arg, 503, "application/json", bytes_of(none));
        return;
    }
    *c = (struct clerk){.note = {.run = run_clerk, .drop = drop_clerk},
                        .d = d,
                        .loop = loop,
                        .done = done,
                        .done_arg = done_arg};
    arena_init(&c->arena, NULL, REQUEST_MOST);
    buf_init(&c->out, NULL, ANSWER_MOST);
    copy_request(c, r);
    c->row = c->no_memory
                 ? NULL
                 : desk_find(moves_rows, moves_rows_count, r->method, r->path, &c->arena, &c->part, &status);
    if (c->row)
        decide_put(d, &c->note);
    else if (status == 405)
        fail(c, 405, "method", "this method is not allowed here");
    else if (status == 404)
        fail(c, 404, "not_found", "there is no such resource: see docs/protocol.md for what /api/v1/ has");
    else
        fail(c, 503, "unavailable", "no memory");
}
