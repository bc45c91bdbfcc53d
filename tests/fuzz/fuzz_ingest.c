/* Any payload on the road of a batch: framed here, so that the fuzzer need not know zstd,
 * judged against two definitions, and where it is to be taken committed (or aborted, by the
 * first byte), then brought again: a duplicate. Also any bytes as the state of an epoch. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/ingest/intake.h"
#include "tests/unit/ingest_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1700000000000LL

struct room {
    struct mem mem, work_mem;
    struct intake in;
    struct kit_host *host;
};

static void open_room(struct room *r)
{
    static const uint64_t seed[2] = {1, 2};
    struct err e = {0};
    struct config *c = kit_config("[ingest]\nauth = none\nlisten = 127.0.0.1:0\n", &e);

    *r = (struct room){.host = kit_host("web-1", 8, 4)};
    r->in = (struct intake){
        .codec = r->host->codec,
        .admission = admission_new(&(struct admission_params){.mem = &r->mem, .keep = span_s(86400)}),
        .definitions = definitions_new(&r->mem, seed),
        .series = series_new(&(struct series_params){.config = c, .mem = &r->mem, .seed = {1, 2}}, NULL, &e),
        .work_mem = &r->work_mem};
    if (!r->in.series)
        abort();
    for (int i = 0; i < 2; i++)
        if (definitions_add(r->in.definitions, kit_text(""), &r->host->entries[i].hash,
                            r->host->entries[i].value, (struct wall){NOW}, &e))
            abort();
    config_free(&c);
}

static void close_room(struct room *r)
{
    series_free(&r->in.series);
    admission_free(&r->in.admission);
    definitions_free(&r->in.definitions);
    kit_host_free(&r->host);
    if (r->mem.used || r->work_mem.used)
        abort(); /* a leak, or something given back twice */
}

/* 1 when it was taken. */
static bool bring(struct room *r, struct bytes frame, bool fails, struct wire_answer *a)
{
    static const struct caller anyone = {.anyone = true};
    struct work *w = work_new(&r->in);
    bool taken = false;

    if (!intake_read(w, frame, &anyone, a) && !intake_greet(w, (struct wall){NOW}, a) &&
        !intake_judge(w, (struct wall){NOW}, a)) {
        struct journal_batch b;

        intake_journal(w, &b);
        taken = !fails;
        if (fails)
            intake_abort(w, ERR_IO, a);
        else
            intake_commit(w, 1, a);
    }
    work_free(&w);
    return taken;
}

static void any_state(const uint8_t *data, size_t size)
{
    struct admission *a = admission_new(&(struct admission_params){.keep = span_s(1)});
    struct err e = {0};
    struct admission_facts f = {
        .agent = kit_text("a"), .epoch = 5, .seq = 9, .low = 1, .own = true, .now = {NOW}};
    struct admission_verdict v;

    if (admission_restore(a, kit_text("a"), 5, (struct bytes){data, size}, &e) == 0) {
        admission_judge(a, &f, &v);
        if (v.reason == WIRE_OK && !v.duplicate) {
            static const uint64_t none[WIRE_REFUSALS];
            struct admission_prepared p;
            struct buf b;

            buf_init(&b, NULL, 1 << 20);
            if (admission_prepare(a, &f, none, &b, &p) != 0)
                abort();
            admission_commit(a, &f, 1);
            admission_judge(a, &f, &v);
            if (!v.duplicate)
                abort();
            buf_free(&b);
        }
    }
    admission_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_answer a;
    struct buf frame;
    struct err e = {0};
    struct room r;

    if (size < 1)
        return 0;
    any_state(data, size);
    open_room(&r);
    buf_init(&frame, NULL, 1 << 20);
    if (wire_deflate(r.in.codec, data + 1, size - 1, &frame, &e) == 0) {
        bool taken = bring(&r, buf_bytes(&frame), data[0] & 1, &a);

        if (taken && (bring(&r, buf_bytes(&frame), false, &a) || a.status != 200 || !a.duplicate))
            abort();
    }
    buf_free(&frame);
    close_room(&r);
    return 0;
}
