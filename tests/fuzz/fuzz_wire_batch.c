/* Any payload, judged as an aggregator does, its blocks against a schema of all kinds. The first byte of the
 * input picks how many series that has. */
#include <stdlib.h>

#include "common/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SERIES = 8 };

static void make_schema(struct wire_series s[SERIES], uint32_t n, struct wire_schema *out)
{
    *out = (struct wire_schema){s, n, 0};
    for (uint32_t i = 0; i < n; i++) {
        s[i] = (struct wire_series){
            .name = {"x", 1}, .kind = (enum wire_kind)(i % 4), .mul = 1 + i / 4, .div = 1 + i / 2};
        out->n_sketches += s[i].kind == WIRE_SKETCH;
    }
}

static int judge_blocks(const struct wire_batch *b, const struct wire_schema *s, struct arena *a,
                        enum wire_reason *r)
{
    struct wire_values *v = arena_array(a, b->n_blocks, sizeof *v);
    const struct wire_values **list = arena_array(a, b->n_blocks, sizeof(const struct wire_values *));
    uint64_t count = 0, seen = 0;

    for (uint32_t i = 0; i < b->n_blocks; i++) {
        int rc = wire_block_decode(&b->blocks[i], s, a, &v[i], &count, r, NULL);

        if (rc)
            return rc;
        list[i] = &v[i];
        for (uint32_t j = 0; j < s->n; j++)
            for (uint32_t t = wire_next_tick(&v[i], j, 0); t < v[i].n; t = wire_next_tick(&v[i], j, t + 1))
                seen++;
    }
    if (seen != count)
        abort(); /* counted, but not to be found */
    return wire_batch_check_ticks(b, list, r, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_series series[SERIES];
    struct wire_schema schema;
    enum wire_reason r = WIRE_OK;
    struct wire_event *events;
    struct wire_batch b;
    struct arena a;
    uint32_t n;
    int rc;

    if (!size)
        return 0;
    make_schema(series, 1 + data[0] % SERIES, &schema);
    arena_init(&a, NULL, 0);
    rc = wire_walk(data + 1, size - 1, &r, NULL);
    if (!rc)
        rc = wire_batch_decode(data + 1, size - 1, &a, &b, &r, NULL);
    if (!rc)
        rc = judge_blocks(&b, &schema, &a, &r);
    if (!rc)
        rc = wire_events_decode(b.events, &a, &events, &n, &r, NULL);
    if ((rc == 0) != (r == WIRE_OK))
        abort(); /* refused without a reason, or taken with one */
    arena_free(&a);
    return 0;
}
