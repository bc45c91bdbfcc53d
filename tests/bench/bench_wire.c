/* What a batch costs: encode, deflate, inflate, decode, in ns per sample, and bytes per sample; a host of 724
 * series, 10 ticks. The peer of the same run is what one would write first: msgpack rows [id, time, value]
 * through msgpack-c, the same zstd.
 *
 * "quiet": 10 % of the samples differ from the one before; "busy": 70 % (as measured on loaded hosts). Values
 * are counters of six to ten digits and some floats. Medians over passes. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <msgpack.h>
#include <zstd.h>

#include "common/base/rng.h"
#include "common/wire/pack.h"
#include "common/wire/wire.h"

enum { SERIES = 724, TICKS = 10, SAMPLES = SERIES * TICKS, PASSES = 301, PEER_PASSES = 51 };

struct host {
    struct wire_series series[SERIES];
    struct wire_column columns[SERIES];
    int64_t ints[SERIES][TICKS];
    double reals[SERIES][TICKS];
    struct wire_schema schema;
    struct wire_block_out block;
    struct wire_batch_out batch;
};

enum { ENCODE, DEFLATE, INFLATE, WALK, DECODE, PEER_ENCODE, PEER_DEFLATE, PEER_INFLATE, PEER_DECODE, STAGES };

struct run {
    struct host *h;
    struct wire_codec *codec;
    ZSTD_CCtx *plain; /* the peer's: level 1, the library's own window */
    struct buf payload, frame, back;
    double ns[STAGES][PASSES];
    double check; /* keeps the optimiser honest */
};

static double now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_wire: %s\n", what);
    exit(1);
}

static void fill(struct host *h, unsigned percent)
{
    struct rng r;

    rng_seed(&r, percent);
    *h = (struct host){0};
    for (uint32_t j = 0; j < SERIES; j++) {
        bool real = j % 20 == 19;
        int64_t v = (int64_t)(rng_next(&r) >> (30 + rng_below(&r, 30)));

        h->series[j] =
            (struct wire_series){.name = {"x", 1}, .kind = j % 3 ? WIRE_COUNTER : WIRE_GAUGE, .mul = 1};
        h->series[j].div = j % 4 ? 1 : 100;
        for (uint32_t i = 0; i < TICKS; i++) {
            if (rng_below(&r, 100) < percent)
                v += (int64_t)rng_below(&r, 1ULL << rng_below(&r, 14));
            h->ints[j][i] = v;
            h->reals[j][i] = (double)v / 1024;
        }
        h->columns[j] = (struct wire_column){.mode = real, .ints = h->ints[j], .reals = h->reals[j]};
    }
    h->schema = (struct wire_schema){h->series, SERIES, 0};
    h->block = (struct wire_block_out){
        .layout = &h->schema, .t0 = 1700000000000, .dt = 1000, .n = TICKS, .columns = h->columns};
    h->batch = (struct wire_batch_out){
        .agent = {"web-1", 5}, .epoch = 1, .seq = 1, .low = 1, .blocks = &h->block, .n_blocks = 1};
}

static void ours(struct run *r, int pass)
{
    struct wire_batch b;
    struct wire_values v;
    enum wire_reason reason;
    uint64_t values = 0;
    struct arena a;
    double t[6];

    arena_init(&a, NULL, 0);
    buf_clear(&r->payload);
    buf_clear(&r->frame);
    t[0] = now_ns();
    if (wire_batch_encode(&r->h->batch, &r->payload, NULL))
        die("encode");
    t[1] = now_ns();
    if (wire_deflate(r->codec, r->payload.data, r->payload.len, &r->frame, NULL))
        die("deflate");
    t[2] = now_ns();
    if (wire_inflate(r->codec, r->frame.data, r->frame.len, &r->back, &reason, NULL))
        die("inflate");
    t[3] = now_ns();
    if (wire_walk(r->back.data, r->back.len, &reason, NULL) ||
        wire_batch_decode(r->back.data, r->back.len, &a, &b, &reason, NULL))
        die("walk");
    t[4] = now_ns();
    if (wire_block_decode(&b.blocks[0], &r->h->schema, &a, &v, &values, &reason, NULL))
        die("decode");
    t[5] = now_ns();
    r->check += v.num[SERIES - 1][TICKS - 1];
    for (int i = 0; i < 5; i++)
        r->ns[ENCODE + i][pass] = t[i + 1] - t[i];
    arena_free(&a);
}

static void peer_encode(const struct host *h, struct buf *out)
{
    msgpack_packer pk = pack_into(out);

    (void)msgpack_pack_array(&pk, SAMPLES);
    for (uint32_t i = 0; i < TICKS; i++) {
        for (uint32_t j = 0; j < SERIES; j++) {
            (void)msgpack_pack_array(&pk, 3);
            (void)msgpack_pack_uint32(&pk, j);
            (void)msgpack_pack_int64(&pk, 1700000000000 + (int64_t)i * 1000);
            if (h->columns[j].mode)
                (void)msgpack_pack_double(&pk, h->reals[j][i]);
            else
                (void)msgpack_pack_int64(&pk, h->ints[j][i]);
        }
    }
}

static double peer_value(const msgpack_object *o)
{
    return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? (double)o->via.u64 : o->via.f64;
}

static void peer(struct run *r, int pass)
{
    static double column[SERIES];
    enum wire_reason reason;
    msgpack_unpacked u;
    size_t at = 0;
    double t[5];

    buf_clear(&r->payload);
    buf_clear(&r->frame);
    t[0] = now_ns();
    peer_encode(r->h, &r->payload);
    t[1] = now_ns();
    if (!buf_reserve(&r->frame, ZSTD_compressBound(r->payload.len)))
        die("memory");
    r->frame.len = ZSTD_compress2(r->plain, r->frame.data, r->frame.room, r->payload.data, r->payload.len);
    if (ZSTD_isError(r->frame.len))
        die("peer deflate");
    t[2] = now_ns();
    if (wire_inflate(r->codec, r->frame.data, r->frame.len, &r->back, &reason, NULL))
        die("peer inflate");
    t[3] = now_ns();
    msgpack_unpacked_init(&u);
    if (msgpack_unpack_next(&u, (const char *)r->back.data, r->back.len, &at) != MSGPACK_UNPACK_SUCCESS)
        die("peer decode");
    for (uint32_t i = 0; i < u.data.via.array.size; i++) {
        const msgpack_object *row = u.data.via.array.ptr[i].via.array.ptr;

        column[row[0].via.u64] = peer_value(&row[2]);
    }
    msgpack_unpacked_destroy(&u);
    t[4] = now_ns();
    r->check += column[SERIES - 1];
    for (int i = 0; i < 4; i++)
        r->ns[PEER_ENCODE + i][pass] = t[i + 1] - t[i];
}

static int cmp(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, cmp);
    return v[n / 2] / SAMPLES;
}

static void report(struct run *r, const char *name, unsigned percent)
{
    size_t raw, body, peer_raw, peer_body;
    double m[STAGES], sum = 0, peer_sum = 0;

    fill(r->h, percent);
    for (int i = 0; i < PASSES; i++)
        ours(r, i);
    raw = r->payload.len;
    body = r->frame.len;
    for (int i = 0; i < PEER_PASSES; i++)
        peer(r, i);
    peer_raw = r->payload.len;
    peer_body = r->frame.len;
    for (int i = 0; i < STAGES; i++) {
        m[i] = median(r->ns[i], i < PEER_ENCODE ? PASSES : PEER_PASSES);
        *(i < PEER_ENCODE ? &sum : &peer_sum) += m[i];
    }
    (void)printf("%-6s ours  %8.2f %8.2f %8.2f %8.2f %8.2f %8.2f %8.3f %8.3f\n", name, m[ENCODE], m[DEFLATE],
                 m[INFLATE], m[WALK], m[DECODE], sum, (double)raw / SAMPLES, (double)body / SAMPLES);
    (void)printf("%-6s peer  %8.2f %8.2f %8.2f %8s %8.2f %8.2f %8.3f %8.3f\n", name, m[PEER_ENCODE],
                 m[PEER_DEFLATE], m[PEER_INFLATE], "-", m[PEER_DECODE], peer_sum, (double)peer_raw / SAMPLES,
                 (double)peer_body / SAMPLES);
    (void)printf("%-6s ratio %8.1f %8.1f %8.1f %8s %8.1f %8.1f %8.1f %8.1f\n", name,
                 m[PEER_ENCODE] / m[ENCODE], m[PEER_DEFLATE] / m[DEFLATE], m[PEER_INFLATE] / m[INFLATE], "",
                 m[PEER_DECODE] / (m[WALK] + m[DECODE]), peer_sum / sum, (double)peer_raw / (double)raw,
                 (double)peer_body / (double)body);
}

int main(void)
{
    static struct host h;
    static struct run r;

    r.h = &h;
    r.codec = wire_codec_new(1);
    r.plain = ZSTD_createCCtx();
    if (!r.codec || !r.plain)
        die("memory");
    (void)ZSTD_CCtx_setParameter(r.plain, ZSTD_c_compressionLevel, 1);
    (void)ZSTD_CCtx_setParameter(r.plain, ZSTD_c_checksumFlag, 1);
    buf_init(&r.payload, NULL, 1 << 24);
    buf_init(&r.frame, NULL, 1 << 24);
    buf_init(&r.back, NULL, 1 << 24);
    (void)printf(
        "%d series x %d ticks, zstd 1; ns per sample (median of %d and %d passes), bytes per sample\n",
        SERIES, TICKS, PASSES, PEER_PASSES);
    (void)printf("%-12s %8s %8s %8s %8s %8s %8s %8s %8s\n", "", "encode", "deflate", "inflate", "walk",
                 "decode", "sum", "raw B", "body B");
    report(&r, "quiet", 10);
    report(&r, "busy", 70);
    (void)printf("peer: msgpack-c rows [id, time, value] in a zstd 1 frame; ratio: peer / ours\n");
    wire_codec_free(&r.codec);
    (void)ZSTD_freeCCtx(r.plain);
    buf_free(&r.payload);
    buf_free(&r.frame);
    buf_free(&r.back);
    return r.check == 0;
}
