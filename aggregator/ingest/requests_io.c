/* Requests on the ingest thread: judged by their head, then led along intake.h, journalled,
 * answered. Batches of one agent go one after the other in a lane: while one is in the
 * journal, the next waits for its fate (so that a repetition that comes on another connection
 * meanwhile is judged by it); group commit comes about across agents. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aggregator/ingest/ingest_private.h"

enum { ANSWER_CAP = 64 << 10 };

/* Of an agent while a batch of it is under way. */
struct lane {
    struct ingest *g;
    struct work *active, *waiting, **last;
    uint32_t id_len;
    char id[WIRE_MAX_AGENT];
};

/* ---- answers ---- */

static const char *retry_after(const struct wire_answer *a)
{
    switch (a->reason) {
    case WIRE_QUOTA: return "60";
    case WIRE_UNAVAILABLE: return "5";
    default: return "2";
    }
}

void ingest_answer(struct ingest *g, struct http_exchange *x, enum request_path path,
                   const struct wire_answer *a)
{
    struct http_header extra[2];
    size_t n = 0;
    struct buf b;

    figures_answer(&g->f, path, a);
    if (a->status == 429 || a->status == 503)
        extra[n++] = (struct http_header){"Retry-After", retry_after(a)};
    if (a->status == 405)
        extra[n++] = (struct http_header){"Allow", "POST"};
    if (a->status == 401 && g->kind == AUTH_TOKEN)
        extra[n++] = (struct http_header){"WWW-Authenticate", "Bearer"};
    buf_init(&b, NULL, ANSWER_CAP);
    if (wire_answer_encode(a, path == PATH_DEFINITIONS, &b) != 0 || b.full)
        http_answer(x, 503, WIRE_TYPE_ANSWER, NULL, 0, "\x80", 1); /* an empty map */
    else
        http_answer(x, a->status, WIRE_TYPE_ANSWER, extra, n, b.data, b.len);
    buf_free(&b);
}

/* Answers the request of a work, and lets go of it. */
static void finish(struct ingest *g, struct work *w, enum request_path path, const struct wire_answer *a)
{
    ingest_answer(g, w->exchange, path, a);
    g->under_way--;
    work_free(&w);
}

/* ---- judging the head ---- */

/* Whether the media type is the one wanted; case and parameters do not matter (RFC 9110, section 8.3). */
static bool has_type(const struct http_exchange *x, const char *want)
{
    const char *type = http_header(x, "Content-Type");
    size_t n = strlen(want);

    return type && !http_header_twice(x, "Content-Type") && strncasecmp(type, want, n) == 0 &&
           strspn(type + n, " \t") == strcspn(type + n, ";");
}

static enum wire_reason judge_head(const struct http_exchange *x, enum request_path path)
{
    enum http_refusal refusal = http_refusal(x);

    if (path == PATH_OTHER)
        return WIRE_NOT_FOUND;
    if (strcmp(http_method(x), "POST") != 0)
        return WIRE_METHOD;
    if (refusal == HTTP_CHUNKED || refusal == HTTP_BAD_LENGTH || !http_header(x, "Content-Length"))
        return WIRE_LENGTH;
    if (http_header(x, "Content-Encoding") || !has_type(x, path == PATH_BATCHES       ? WIRE_TYPE_BATCH
                                                           : path == PATH_DEFINITIONS ? WIRE_TYPE_DEFINITIONS
                                                                                      : "application/json"))
        return WIRE_TYPE;
    if (refusal == HTTP_TOO_LARGE)
        return WIRE_TOO_LARGE;
    return WIRE_OK;
}

static const char *head_text(enum wire_reason reason)
{
    switch (reason) {
    case WIRE_NOT_FOUND: return "there is nothing under this path";
    case WIRE_METHOD: return "this path takes POST";
    case WIRE_LENGTH: return "one well-formed Content-Length is needed, and no transfer coding";
    case WIRE_TYPE: return "this path takes one content type, without a content encoding";
    default: return "the body is larger than 1 MiB";
    }
}

static bool know_caller(const struct ingest *g, const struct http_exchange *x, struct caller *who)
{
    switch (g->kind) {
    case AUTH_NONE: *who = (struct caller){.anyone = true}; return true;
    case AUTH_TOKEN: return auth_caller(&g->auth, http_header(x, "Authorization"), who);
    default: return caller_of_tls(http_identity(x), g->use_cn, who);
    }
}

/* The sender's clock, or 0. */
static struct wall sent_at(const struct http_exchange *x)
{
    const char *s = http_header(x, "X-Securebase-Sent");
    char *end;
    long long v;

    if (!s || *s < '0' || *s > '9')
        return (struct wall){0};
    errno = 0;
    v = strtoll(s, &end, 10);
    return (struct wall){errno || *end ? 0 : v};
}

/* ---- batches ---- */

static void run_lane(struct lane *lane);

bool ingest_busy(const struct ingest *g, struct wire_str agent)
{
    return map_get(&g->lanes, agent.p, agent.n) != NULL;
}

static void end_lane(struct lane *lane)
{
    (void)map_del(&lane->g->lanes, lane->id, lane->id_len);
    mem_free(&lane->g->state_mem, lane, sizeof *lane);
}

static void committed(void *arg, int64_t position, int code)
{
    struct lane *lane = arg;
    struct ingest *g = lane->g;
    struct work *w = lane->active;
    struct wire_answer a;

    if (code == 0) {
        intake_commit(w, position, &a);
        ingest_gained(g);
        g->position = position;
        g->f.values += w->n_values + w->n_events;
        g->f.frame_bytes += w->frame.n;
        g->f.payload_bytes += w->payload.len;
        (void)sketch_add(&g->f.took, span_seconds(mono_sub(clock_mono(), w->begun)), 1);
    } else {
        intake_abort(w, code, &a);
    }
    lane->active = NULL;
    finish(g, w, PATH_BATCHES, &a);
    run_lane(lane);
}

/* Judges the batches that wait, one after the other, until one
 * is in the journal; ends the lane when none is left. */
static void run_lane(struct lane *lane)
{
    struct ingest *g = lane->g;
    struct wire_answer a;
    struct work *w;

    while ((w = lane->waiting)) {
        struct journal_batch b;
        int rc;

        lane->waiting = w->next;
        if (!lane->waiting)
            lane->last = &lane->waiting;
        if (!intake_judge(w, loop_wall(g->loop), &a)) {
            intake_journal(w, &b);
            lane->active = w;
            rc = journal_append(g->journal, &b, committed, lane);
            if (rc == 0)
                return;
            lane->active = NULL;
            intake_abort(w, rc, &a);
        }
        finish(g, w, PATH_BATCHES, &a);
    }
    end_lane(lane);
}

static struct lane *new_lane(struct ingest *g, struct wire_str agent)
{
    struct lane *lane = mem_alloc(&g->state_mem, sizeof *lane);

    if (!lane)
        return NULL;
    *lane = (struct lane){.g = g, .id_len = agent.n};
    memcpy(lane->id, agent.p, agent.n);
    lane->last = &lane->waiting;
    if (map_put(&g->lanes, lane->id, lane->id_len, lane) != 0) {
        mem_free(&g->state_mem, lane, sizeof *lane);
        return NULL;
    }
    return lane;
}

static void take_batch(struct ingest *g, struct work *w, struct http_exchange *x, const struct caller *who)
{
    struct wire_answer a;
    struct lane *lane;
    bool parked;

    if (intake_read(w, http_body(x), who, &a) || intake_greet(w, loop_wall(g->loop), &a)) {
        finish(g, w, PATH_BATCHES, &a);
        return;
    }
    w->sent = w->facts.own ? sent_at(x) : (struct wall){0};
    lane = map_get(&g->lanes, w->batch.agent.p, w->batch.agent.n);
    parked = lane != NULL;
    if (!lane && !(lane = new_lane(g, w->batch.agent))) {
        intake_refuse(&a, WIRE_OVERLOAD, "no memory");
        finish(g, w, PATH_BATCHES, &a);
        return;
    }
    *lane->last = w;
    lane->last = &w->next;
    g->f.parked += parked;
    if (!parked)
        run_lane(lane);
}

/* ---- definitions ---- */

static void defined(void *arg, int code)
{
    struct work *w = arg;
    struct ingest *g = w->owner;
    struct wire_answer a;

    intake_defined(w, code, loop_wall(g->loop), &a);
    finish(g, w, PATH_DEFINITIONS, &a);
}

static void take_definitions(struct ingest *g, struct work *w, struct http_exchange *x,
                             const struct caller *who)
{
    struct wire_answer a;
    int rc;

    if (intake_definitions(w, http_body(x), who, loop_wall(g->loop), &a)) {
        finish(g, w, PATH_DEFINITIONS, &a);
        return;
    }
    rc = journal_define(g->journal, w->holder, w->entries, w->n_entries, defined, w);
    if (rc != 0)
        defined(w, rc);
}

/* ---- another aggregator ---- */

static void take_peer(struct ingest *g, struct http_exchange *x, const struct caller *who)
{
    const struct wire_answer good = {.status = 200, .reason = WIRE_OK};
    struct wire_answer a;

    if (!g->peer || (!who->peer && !who->anyone)) {
        intake_refuse(&a, WIRE_IDENTITY, "this takes the role peer");
        ingest_answer(g, x, PATH_PEER, &a);
        return;
    }
    g->peer(g->peer_arg, http_body(x));
    figures_answer(&g->f, PATH_PEER, &good);
    http_answer(x, 200, "application/json", NULL, 0, "{}\n", 3);
}

/* ---- the handler ---- */

static void refuse_head(struct ingest *g, struct http_exchange *x, enum request_path path,
                        enum wire_reason reason, const char *text)
{
    struct wire_answer a;

    intake_refuse(&a, reason, text);
    ingest_answer(g, x, path, &a);
}

static enum request_path path_of(const struct http_exchange *x)
{
    const char *p = http_path(x);

    return strcmp(p, "/v1/batches") == 0       ? PATH_BATCHES
           : strcmp(p, "/v1/definitions") == 0 ? PATH_DEFINITIONS
           : strcmp(p, "/v1/peer") == 0        ? PATH_PEER
           : strcmp(p, "/v1/guard") == 0       ? PATH_GUARD
                                               : PATH_OTHER;
}

/* Whether an agent delivers where nobody takes anything in: not let in, so that it keeps what it has for another one. */
static bool delivers_to_witness(const struct ingest *g, enum request_path path)
{
    return g->witness && (path == PATH_BATCHES || path == PATH_DEFINITIONS);
}

/* The body of a request that its head refuses is not read, lest strangers use up what all bodies may take. */
bool ingest_wants(void *arg, const struct http_exchange *x)
{
    const struct ingest *g = arg;
    struct caller who;

    return judge_head(x, path_of(x)) == WIRE_OK && know_caller(g, x, &who) && !g->stopping &&
           !delivers_to_witness(g, path_of(x));
}

void ingest_request(void *arg, struct http_exchange *x)
{
    struct ingest *g = arg;
    enum request_path path = path_of(x);
    enum wire_reason reason = judge_head(x, path);
    struct caller who;
    struct work *w;

    if (reason != WIRE_OK) {
        refuse_head(g, x, path, reason, head_text(reason));
    } else if (!know_caller(g, x, &who)) {
        refuse_head(g, x, path, WIRE_UNAUTHORIZED, "who speaks is not known");
    } else if (delivers_to_witness(g, path)) {
        refuse_head(g, x, path, WIRE_IDENTITY, "this is a witness: it takes in no batches");
    } else if (g->stopping) {
        refuse_head(g, x, path, WIRE_UNAVAILABLE, "this aggregator is stopping");
    } else if (path == PATH_PEER && http_refusal(x) == HTTP_FINE) {
        take_peer(g, x, &who);
    } else if (path == PATH_GUARD && http_refusal(x) == HTTP_FINE) {
        ingest_guard(g, x, &who);
    } else if (http_refusal(x) != HTTP_FINE || !(w = work_new(&g->in))) {
        refuse_head(g, x, path, WIRE_OVERLOAD, "too many requests are under way");
    } else {
        w->exchange = x;
        w->owner = g;
        w->begun = loop_mono(g->loop);
        g->under_way++;
        if (path == PATH_BATCHES)
            take_batch(g, w, x, &who);
        else
            take_definitions(g, w, x, &who);
    }
}
