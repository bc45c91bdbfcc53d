/* Any bytes as what the history's file holds. A chunk of stored steps that is read is written and read as the same;
 * a record of counters' readings gives a state or an error, and what is taken of that state is read again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/store/chunk.h"
#include "tests/unit/series_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
    if (!truth)
        abort();
}

static void chunk(const uint8_t *data, size_t size)
{
    struct wire_codec *codec = wire_codec_new(1);
    struct buf scratch, out;
    struct chunk a, b;

    buf_init(&scratch, NULL, 1 << 24);
    buf_init(&out, NULL, 1 << 24);
    chunk_init(&a, FACT_GAUGE, NULL);
    chunk_init(&b, FACT_GAUGE, NULL);
    if (chunk_decode(&a, (struct bytes){data, size}, codec, &scratch, NULL) == 0) {
        must(chunk_encode(&a, codec, &scratch, &out, NULL) == 0);
        must(chunk_decode(&b, buf_bytes(&out), codec, &scratch, NULL) == 0);
        must(a.n == b.n && a.kind == b.kind);
        for (uint32_t i = 0; i < a.n; i++) {
            must(a.v[i].at == b.v[i].at && !memcmp(&a.v[i].b.sum, &b.v[i].b.sum, sizeof(double)));
            must(a.v[i].b.n == b.v[i].b.n && a.v[i].b.last_t == b.v[i].b.last_t);
            must((a.v[i].sketch != NULL) == (b.v[i].sketch != NULL));
        }
    }
    chunk_free(&a);
    chunk_free(&b);
    buf_free(&scratch);
    buf_free(&out);
    wire_codec_free(&codec);
}

struct taken {
    struct buf value; /* of the record of readings */
};

static int take(void *arg, struct bytes key, struct bytes value)
{
    struct taken *t = arg;

    if (key.n && key.p[0] == 'R' && value.p)
        buf_put(&t->value, value.p, value.n);
    return 0;
}

static void readings(const uint8_t *data, size_t size)
{
    static const uint8_t key[] = "Rweb-1";
    double v[] = {1, 2};
    struct taken t;
    int64_t position;
    bool stale = false;
    struct kit k = {0};
    struct buf in;

    buf_init(&in, NULL, 1 << 20);
    buf_init(&t.value, NULL, 1 << 20);
    buf_put(&in, (const uint8_t[9]){1}, 9);
    buf_put(&in, data, size);
    kit_open(&k, "");
    (void)series_restore(k.set, (struct bytes){key, sizeof key}, buf_bytes(&in), &stale, &k.e);
    kit_batch(&k, "web-1", "env=prod host=h region=r", KIT_NOW);
    kit_block(&k, KIT_NOW - 1000, 1000, 2, &(struct kit_series){"req", WIRE_COUNTER, v, NULL}, 1);
    kit_take(&k);
    series_untaken(k.set);
    must(series_take(k.set, &position, take, &t) == 0);
    kit_close(&k);
    must(k.mem.used == 0);
    if (t.value.len && !stale) {
        struct kit again = {0};

        kit_open(&again, "");
        must(series_restore(again.set, (struct bytes){key, sizeof key}, buf_bytes(&t.value), &stale,
                            &again.e) == 0);
        kit_close(&again);
    }
    buf_free(&in);
    buf_free(&t.value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1 << 16)
        return 0;
    if (data[0] == 0)
        readings(data + 1, size - 1);
    else
        chunk(data, size);
    return 0;
}
