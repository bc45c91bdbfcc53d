/* Any datagram is taken or refused; a tick afterwards makes a batch that the wire's own reader takes. */
#include <stdlib.h>

#include "agent/inputs/statsd.h"
#include "agent/ship/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(void *arg, const struct wire_block_out *b, struct bytes schema)
{
    struct arena *a = arg;
    struct wire_definition d;
    enum wire_reason why;
    struct err e;

    if (!b->n || wire_definition_decode(schema.p, schema.n, a, &d, &why, &e) != 0)
        abort(); /* a schema that would be refused */
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct statsd_params p = {.max_series = 200, .max_memory = 1 << 20, .expire = 2};
    struct grid_params gp = {
        .interval = span_s(1), .max_ticks = 4, .max_series = 200, .block_series = 64, .forget = 2};
    struct statsd *s = statsd_new(&p);
    struct grid *g = grid_new(&gp, NULL);
    struct arena a;
    struct err e;

    arena_init(&a, NULL, 0);
    for (int i = 0; i < 3; i++) {
        statsd_packet(s, (struct wall){1000}, (const char *)data, i == 1 ? size / 2 : size);
        if (grid_begin(g, (struct wall){1000 + i * 1000}) != 0)
            abort();
        statsd_flush(s, g);
        grid_end(g);
        if (grid_blocks(g, take, &a, &e) != 0)
            abort();
        grid_sealed(g);
        statsd_events_clear(s);
    }
    arena_free(&a);
    grid_free(&g);
    statsd_free(&s);
    return 0;
}
