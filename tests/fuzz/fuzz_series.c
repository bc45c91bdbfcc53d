/* Any bytes as a verdict, and as a stored record: applying and restoring
 * are total, what is counted adds up, and nothing is left behind. */
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/series_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
    if (!truth)
        abort();
}

static const double ones[] = {1, 2, 3};
static const struct kit_series kinds[] = {{"g{a=1}", WIRE_GAUGE, ones, NULL},
                                          {"g{a=2}", WIRE_GAUGE, ones, NULL},
                                          {"c", WIRE_COUNTER, ones, NULL},
                                          {"u", WIRE_UNTYPED, ones, NULL},
                                          {"g2", WIRE_GAUGE, ones, NULL}};
static const struct kit_series others[] = {{"c", WIRE_GAUGE, ones, NULL}, {"g{a=1}", WIRE_GAUGE, ones, NULL}};

static void one_verdict(const uint8_t *data, size_t size)
{
    struct wire_event events[3] = {{.t = KIT_NOW}, {.t = KIT_NOW}, {.t = KIT_NOW}};
    uint64_t refused = 0;
    struct snapshot *s;
    struct kit k = {0};

    kit_open(&k, "[percentile p]\nmetric = g\nby = a\n");
    kit_batch(&k, "a", "region=r", KIT_NOW);
    kit_block(&k, KIT_NOW - 2, 1, 3, kinds, 5);
    kit_block(&k, KIT_NOW - 2, 1, 2, others, 2);
    kit_block(&k, KIT_NOW - 1, 1, 1, kinds, 5);
    k.in.events = events;
    k.in.n_events = 3;
    series_apply(k.set, &k.in, (struct bytes){data, size}, 1, false);
    s = series_snapshot(k.set, (struct wall){KIT_NOW});
    must(s && s->n_agents == 1);
    for (int i = 0; i < WIRE_REFUSALS; i++)
        refused += s->agents[0].refused[i];
    for (uint32_t i = 0; i < 3; i++) {
        enum wire_refusal why;

        refused -= series_event_refused((struct bytes){data, size}, i, &why);
    }
    must(refused + s->agents[0].values == 5 * 3 + 2 * 2 + 5);
    snapshot_release(s);
    kit_close(&k);
    must(k.mem.used == 0);
}

static int ignore(void *arg, struct bytes key, struct bytes value)
{
    (void)arg;
    must(!value.p || (key.n > 0 && value.n > 9)); /* a foreign key is deleted, even an empty one */
    return 0;
}

/* The first byte says how long the key is; the fingerprint of
 * the only section is put in, or nothing would get far. */
static int fingerprint(void *arg, struct bytes key, struct bytes value)
{
    if (key.p[0] == 'M')
        memcpy(arg, value.p + 1, 8);
    return 0;
}

static void one_record(const uint8_t *data, size_t size)
{
    struct kit k = {0};
    uint8_t value[4096] = {1};
    size_t n_key;
    int64_t position;
    bool stale;

    if (!size || size > 4000 || data[0] >= size)
        return;
    n_key = data[0];
    kit_open(&k, "[percentile p]\nmetric = g\nby = a\n");
    kit_batch(&k, "a", "region=r", KIT_NOW);
    kit_gauge(&k, "g", KIT_NOW, 1);
    kit_take(&k);
    must(series_take(k.set, &position, fingerprint, value + 1) == 0);
    series_taken(k.set, true);
    memcpy(value + 9, data + 1 + n_key, size - 1 - n_key);
    (void)series_restore(k.set, (struct bytes){data + 1, n_key}, (struct bytes){value, 9 + size - 1 - n_key},
                         &stale, &k.e);
    kit_apply(&k);
    snapshot_release(series_snapshot(k.set, (struct wall){KIT_NOW}));
    must(series_take(k.set, &position, ignore, NULL) == 0);
    series_taken(k.set, false);
    series_advance(k.set, (struct wall){KIT_NOW + 100000000});
    kit_close(&k);
    must(k.mem.used == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && data[0] & 1)
        one_verdict(data + 1, size - 1);
    else if (size)
        one_record(data + 1, size - 1);
    return 0;
}
