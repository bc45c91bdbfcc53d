/* The road of a batch: see intake.h. Everything that a request makes lives in its work
 * and goes with it; what outlives it (admission, holds, series) changes in
 * intake_commit alone, but for room made beforehand so that a commit cannot fail. */
#include "aggregator/ingest/intake.h"

#include <assert.h>
#include <string.h>

enum { ARENA_CAP = 96 << 20, VERDICT_CAP = 1 << 20, STATE_CAP = 64 << 10 };

struct work *work_new(struct intake *in)
{
    struct work *w = mem_alloc(in->work_mem, sizeof *w);

    if (!w)
        return NULL;
    w->in = in;
    w->mem = in->work_mem;
    arena_init(&w->arena, w->mem, ARENA_CAP);
    buf_init(&w->payload, w->mem, WIRE_MAX_INFLATED);
    buf_init(&w->verdict, w->mem, VERDICT_CAP);
    buf_init(&w->state, w->mem, STATE_CAP);
    return w;
}

static void unpin(struct work *w, int64_t position)
{
    if (w->resource)
        definitions_unpin(w->in->definitions, w->resource, position, w->facts.now);
    for (uint32_t i = 0; w->schemas && i < w->batch.n_blocks; i++)
        if (w->schemas[i])
            definitions_unpin(w->in->definitions, w->schemas[i], position, w->facts.now);
    w->resource = NULL;
    w->schemas = NULL;
}

void work_free(struct work **wp)
{
    struct work *w = *wp;

    if (!w)
        return;
    unpin(w, 0);
    buf_free(&w->payload);
    buf_free(&w->verdict);
    buf_free(&w->state);
    arena_free(&w->arena);
    mem_free(w->mem, w, sizeof *w);
    *wp = NULL;
}

void intake_refuse(struct wire_answer *a, enum wire_reason reason, const char *text)
{
    size_t n = strlen(text);

    *a = (struct wire_answer){.status = wire_reason_status(reason), .reason = reason};
    if (n >= sizeof a->error)
        n = sizeof a->error - 1;
    memcpy(a->error, text, n);
}

/* A failure of a decoder: without memory it is not the sender's fault. */
static bool refuse(struct wire_answer *a, int rc, enum wire_reason reason, const struct err *e)
{
    intake_refuse(a, rc == ERR_NOMEM ? WIRE_OVERLOAD : reason, e->text);
    return true;
}

static void name_caller(struct work *w, const struct caller *who)
{
    struct admission_facts *f = &w->facts;

    f->own = who->anyone;
    f->relay = who->relay;
    for (unsigned i = 0; i < who->n && !f->own; i++)
        f->own = strlen(who->agent[i]) == w->batch.agent.n &&
                 memcmp(who->agent[i], w->batch.agent.p, w->batch.agent.n) == 0;
    memcpy(w->tenant, who->tenant, sizeof w->tenant);
}

/* The first 16 bytes of SHA-256 of the frame: what tells a repetition from a conflict. */
static void digest_of(struct bytes frame, uint8_t out[16])
{
    struct wire_hash h = wire_hash_of(frame.p, frame.n);

    memcpy(out, h.b, sizeof h.b);
}

static int read_root(struct work *w, struct bytes body, enum wire_reason *reason, struct err *e)
{
    int rc = wire_inflate(w->in->codec, body.p, body.n, &w->payload, reason, e);

    if (rc == 0)
        rc = wire_walk(w->payload.data, w->payload.len, reason, e);
    if (rc == 0)
        rc = wire_batch_decode(w->payload.data, w->payload.len, &w->arena, &w->batch, reason, e);
    w->frame = body;
    return rc;
}

bool intake_read(struct work *w, struct bytes body, const struct caller *who, struct wire_answer *a)
{
    enum wire_reason reason = WIRE_MALFORMED;
    struct err e = {0};
    int rc = read_root(w, body, &reason, &e);

    if (rc != 0)
        return refuse(a, rc, reason, &e);
    w->facts = (struct admission_facts){
        .agent = w->batch.agent, .epoch = w->batch.epoch, .seq = w->batch.seq, .low = w->batch.low};
    digest_of(body, w->facts.digest);
    name_caller(w, who);
    return false;
}

/* What admission says, as an answer; false when the batch is to be taken. */
static bool admit(struct work *w, const struct admission_verdict *v, struct wire_answer *a)
{
    switch (v->reason) {
    case WIRE_EPOCH: intake_refuse(a, v->reason, "the epoch lies more than a day ahead of this clock"); break;
    case WIRE_IDENTITY: intake_refuse(a, v->reason, "this connection may not speak for that agent"); break;
    case WIRE_CONFLICT:
        intake_refuse(a, v->reason, "other bytes were accepted under this epoch and seq");
        break;
    case WIRE_QUOTA: intake_refuse(a, v->reason, "this agent has too many epochs"); break;
    case WIRE_SUPERSEDED:
        intake_refuse(a, v->reason, "a newer spool of this agent exists");
        a->epoch = v->highest;
        break;
    default:
        if (!v->duplicate)
            return false;
        *a = (struct wire_answer){.status = 200,
                                  .epoch = w->batch.epoch,
                                  .seq = w->batch.seq,
                                  .time = w->facts.now.ms,
                                  .duplicate = true};
        memcpy(a->refused, v->refused, sizeof a->refused);
        break;
    }
    return true;
}

bool intake_greet(struct work *w, struct wall now, struct wire_answer *a)
{
    struct admission_verdict v;

    w->facts.now = now;
    admission_judge(w->in->admission, &w->facts, &v);
    return (v.reason == WIRE_EPOCH || v.reason == WIRE_IDENTITY) && admit(w, &v, a);
}

/* ---- definitions of a batch ---- */

static void need(struct wire_answer *a, const struct wire_hash *h)
{
    for (uint32_t i = 0; i < a->n_need; i++)
        if (memcmp(a->need[i].b, h->b, sizeof h->b) == 0)
            return;
    a->need[a->n_need++] = *h;
}

/* All that are missing: 409. */
static bool find_missing(struct work *w, struct wire_answer *a)
{
    const struct definitions *d = w->in->definitions;
    struct wire_hash *missing = arena_array(&w->arena, (size_t)w->batch.n_blocks + 1, sizeof *missing);

    if (!missing) {
        intake_refuse(a, WIRE_OVERLOAD, "no memory");
        return true;
    }
    *a = (struct wire_answer){.status = 409, .reason = WIRE_DEFINITIONS, .need = missing};
    if (!definitions_get(d, &w->batch.resource))
        need(a, &w->batch.resource);
    for (uint32_t i = 0; i < w->batch.n_blocks; i++)
        if (!definitions_get(d, &w->batch.blocks[i].schema))
            need(a, &w->batch.blocks[i].schema);
    return a->n_need > 0;
}

static int pin(struct work *w, const struct wire_hash *hash, enum wire_sort sort, struct hold **out,
               enum wire_reason *reason, struct err *e)
{
    const struct definition *def = definitions_get(w->in->definitions, hash);
    struct hold *h;
    int rc;

    *reason = WIRE_DEFINITION;
    if (!def)
        return err_set(e, ERR_NOTFOUND, "a definition is not known");
    if (def->is.sort != sort)
        return err_set(e, ERR_MALFORMED, "a hash names a %s where a %s belongs",
                       sort == WIRE_SORT_SCHEMA ? "resource" : "schema",
                       sort == WIRE_SORT_SCHEMA ? "schema" : "resource");
    *reason = WIRE_QUOTA;
    rc = definitions_pin(w->in->definitions, w->batch.agent, def, &h);
    if (rc != 0)
        return err_set(e, rc, rc == ERR_LIMIT ? "this agent holds too many definitions" : "no memory");
    *out = h;
    if (!h->durable)
        w->fresh[w->n_fresh++] = *hash;
    return 0;
}

/* Pins what the batch refers to, and checks that it goes together. */
static int pin_all(struct work *w, enum wire_reason *reason, struct err *e)
{
    uint32_t n = w->batch.n_blocks;
    int rc;

    w->schemas = arena_array(&w->arena, n, sizeof(struct hold *));
    w->layouts = arena_array(&w->arena, n, sizeof(struct wire_schema *));
    w->values = arena_array(&w->arena, n, sizeof(struct wire_values *));
    w->fresh = arena_array(&w->arena, (size_t)n + 1, sizeof *w->fresh);
    if (!w->schemas || !w->layouts || !w->values || !w->fresh)
        return err_set(e, ERR_NOMEM, "no memory");
    rc = pin(w, &w->batch.resource, WIRE_SORT_RESOURCE, &w->resource, reason, e);
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        rc = pin(w, &w->batch.blocks[i].schema, WIRE_SORT_SCHEMA, &w->schemas[i], reason, e);
        if (rc == 0)
            rc = definitions_fit(w->schemas[i], w->resource, reason, e);
        if (rc == 0)
            w->layouts[i] = &w->schemas[i]->def->is.schema;
    }
    return rc;
}

static int decode_blocks(struct work *w, enum wire_reason *reason, struct err *e)
{
    int rc = 0;

    for (uint32_t i = 0; i < w->batch.n_blocks && rc == 0; i++) {
        struct wire_values *v = arena_alloc(&w->arena, sizeof *v);

        *reason = WIRE_BLOCK;
        rc = v ? wire_block_decode(&w->batch.blocks[i], w->layouts[i], &w->arena, v, &w->n_values, reason, e)
               : err_set(e, ERR_NOMEM, "no memory");
        w->values[i] = v;
    }
    if (rc == 0)
        rc = wire_batch_check_ticks(&w->batch, w->values, reason, e);
    if (rc == 0)
        rc = wire_events_decode(w->batch.events, &w->arena, &w->events, &w->n_events, reason, e);
    return rc;
}

static struct batch_in batch_in(const struct work *w)
{
    return (struct batch_in){.agent = w->batch.agent,
                             .tenant = {w->tenant, (uint32_t)strlen(w->tenant)},
                             .batch = &w->batch,
                             .resource = &w->resource->def->is.resource,
                             .schemas = w->layouts,
                             .values = w->values,
                             .events = w->events,
                             .n_events = w->n_events,
                             .received = w->facts.now,
                             .sent = w->sent};
}

/* What the batch will be journalled with. */
static int prepare(struct work *w, struct err *e)
{
    struct batch_in in = batch_in(w);
    int rc;

    memset(w->refused, 0, sizeof w->refused);
    rc = series_judge(w->in->series, &in, &w->verdict, w->refused, e);
    if (rc == 0 && w->verdict.full)
        rc = err_set(e, ERR_NOMEM, "no memory");
    if (rc == 0 && admission_prepare(w->in->admission, &w->facts, w->refused, &w->state, &w->prepared) != 0)
        rc = err_set(e, ERR_NOMEM, "no memory for the state of this agent");
    return rc;
}

bool intake_judge(struct work *w, struct wall now, struct wire_answer *a)
{
    enum wire_reason reason = WIRE_MALFORMED;
    struct admission_verdict v;
    struct err e = {0};
    int rc;

    w->facts.now = now;
    admission_judge(w->in->admission, &w->facts, &v);
    if (admit(w, &v, a) || find_missing(w, a))
        return true;
    rc = pin_all(w, &reason, &e);
    if (rc == 0)
        rc = decode_blocks(w, &reason, &e);
    if (rc != 0)
        return refuse(a, rc, reason, &e);
    rc = prepare(w, &e);
    if (rc == 0)
        return false;
    intake_refuse(a, WIRE_UNAVAILABLE, e.text);
    return true;
}

void intake_journal(const struct work *w, struct journal_batch *out)
{
    *out = (struct journal_batch){.agent = w->batch.agent,
                                  .tenant = {w->tenant, (uint32_t)strlen(w->tenant)},
                                  .epoch = w->batch.epoch,
                                  .seq = w->batch.seq,
                                  .received = w->facts.now,
                                  .expired = w->prepared.expired,
                                  .drop_epoch = w->prepared.drop_epoch,
                                  .holds = w->fresh,
                                  .n_holds = w->n_fresh,
                                  .verdict = buf_bytes(&w->verdict),
                                  .watermark = buf_bytes(&w->state),
                                  .frame = w->frame};
    memcpy(out->digest, w->facts.digest, sizeof out->digest);
    memcpy(out->refused, w->refused, sizeof out->refused);
}

void intake_commit(struct work *w, int64_t position, struct wire_answer *a)
{
    struct batch_in in = batch_in(w);

    admission_commit(w->in->admission, &w->facts, position);
    series_apply(w->in->series, &in, buf_bytes(&w->verdict), position, false);
    definitions_made_durable(w->resource);
    for (uint32_t i = 0; i < w->batch.n_blocks; i++)
        definitions_made_durable(w->schemas[i]);
    unpin(w, position);
    *a = (struct wire_answer){.status = 200,
                              .epoch = w->batch.epoch,
                              .seq = w->batch.seq,
                              .time = w->facts.now.ms,
                              .duplicate = false};
    memcpy(a->refused, w->refused, sizeof a->refused);
}

void intake_abort(struct work *w, int code, struct wire_answer *a)
{
    admission_abort(w->in->admission, &w->facts);
    intake_refuse(a, code == ERR_AGAIN ? WIRE_OVERLOAD : WIRE_UNAVAILABLE,
                  code == ERR_AGAIN   ? "too many batches wait to be stored"
                  : code == ERR_LIMIT ? "the disk of this aggregator is full"
                                      : "this aggregator cannot store batches now");
}

int intake_replay(struct intake *in, const struct journal_entry *entry, bool latest_only, struct err *e)
{
    struct work *w = work_new(in);
    enum wire_reason reason;
    struct batch_in batch;
    int rc;

    if (!w)
        return err_set(e, ERR_NOMEM, "no memory to replay a batch");
    rc = read_root(w, entry->batch.frame, &reason, e);
    w->facts.now = entry->batch.received;
    if (entry->batch.tenant.n <= INTAKE_TENANT)
        memcpy(w->tenant, entry->batch.tenant.p, entry->batch.tenant.n);
    if (rc == 0)
        rc = pin_all(w, &reason, e);
    if (rc == 0)
        rc = decode_blocks(w, &reason, e);
    if (rc == 0) {
        batch = batch_in(w);
        series_apply(in->series, &batch, entry->batch.verdict, entry->position, latest_only);
        unpin(w, entry->position);
    }
    work_free(&w);
    return rc;
}

/* ---- definitions ---- */

/* The name under which a connection holds what it brings. */
static void name_holder(struct work *w, const struct caller *who)
{
    size_t n = who->n ? strlen(who->agent[0]) : 0;
    char *p = arena_text(&w->arena, who->agent[0], n);

    w->holder = (struct wire_str){p ? p : "", p ? (uint32_t)n : 0};
}

static bool check_entries(struct work *w, struct wire_answer *a)
{
    for (uint32_t i = 0; i < w->n_entries; i++) {
        struct err e = {0};
        enum wire_reason reason;

        if (definitions_get(w->in->definitions, &w->entries[i].hash))
            continue;
        reason = definitions_check(w->mem, w->entries[i].value, &e);
        if (reason != WIRE_OK) {
            intake_refuse(a, reason == WIRE_UNAVAILABLE ? WIRE_OVERLOAD : reason, e.text);
            return true;
        }
    }
    return false;
}

bool intake_definitions(struct work *w, struct bytes body, const struct caller *who, struct wall now,
                        struct wire_answer *a)
{
    enum wire_reason reason = WIRE_MALFORMED;
    struct err e = {0};
    int rc = wire_inflate(w->in->codec, body.p, body.n, &w->payload, &reason, &e);

    if (rc == 0)
        rc = wire_walk(w->payload.data, w->payload.len, &reason, &e);
    if (rc == 0)
        rc = wire_definitions_decode(w->payload.data, w->payload.len, &w->arena, &w->entries, &w->n_entries,
                                     &reason, &e);
    if (rc != 0)
        return refuse(a, rc, reason, &e);
    if (!who->anyone && !who->relay && who->n == 0) {
        intake_refuse(a, WIRE_IDENTITY, "this connection speaks for no agent");
        return true;
    }
    if (check_entries(w, a))
        return true;
    name_holder(w, who);
    if (!definitions_room(w->in->definitions, w->holder, w->entries, w->n_entries)) {
        intake_refuse(a, WIRE_QUOTA, "this agent would hold too many definitions");
        return true;
    }
    for (uint32_t i = 0; i < w->n_entries; i++)
        definitions_touch(w->in->definitions, w->holder, &w->entries[i].hash, now);
    return false;
}

void intake_defined(struct work *w, int code, struct wall now, struct wire_answer *a)
{
    struct err e = {0};

    for (uint32_t i = 0; i < w->n_entries && code == 0; i++)
        code =
            definitions_add(w->in->definitions, w->holder, &w->entries[i].hash, w->entries[i].value, now, &e);
    if (code == 0) {
        *a = (struct wire_answer){.status = 200, .time = now.ms};
        return;
    }
    intake_refuse(a, code == ERR_AGAIN ? WIRE_OVERLOAD : WIRE_UNAVAILABLE,
                  "this aggregator cannot store definitions now");
}
