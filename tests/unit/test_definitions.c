/* The cache of definitions: sharing, quotas, holds that keep
 * and pins that keep holds, expiry by position and time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/ingest/definitions.h"
#include "tests/unit/ingest_kit.h"

static const uint64_t seed[2] = {1, 2};

static int add(struct definitions *d, const char *agent, const struct kit_host *h, int i, int64_t received)
{
    struct err e = {0};

    return definitions_add(d, kit_text(agent), &h->entries[i].hash, h->entries[i].value,
                           (struct wall){received}, &e);
}

static void forget(void *arg, const struct wire_hash *hash, struct wire_str agent)
{
    (void)hash;
    (void)agent;
    ++*(unsigned *)arg;
}

static size_t expire(struct definitions *d, int64_t position, int64_t before)
{
    unsigned told = 0;
    size_t n = definitions_expire(d, position, (struct wall){before}, 100, forget, &told);

    assert_int_equal(told, n);
    return n;
}

static void test_sharing_and_expiry(void **state)
{
    struct kit_host *h = kit_host("web-1", 4, 2);
    struct mem mem = {0};
    struct definitions *d = definitions_new(&mem, seed);
    const struct definition *def;
    struct hold *one, *two;

    (void)state;
    assert_null(definitions_get(d, &h->entries[0].hash));
    assert_int_equal(add(d, "web-1", h, 0, 100), 0);
    assert_int_equal(add(d, "web-2", h, 0, 200), 0);
    assert_int_equal(add(d, "web-2", h, 1, 200), 0);
    def = definitions_get(d, &h->entries[0].hash);
    assert_int_equal(def->is.sort, WIRE_SORT_RESOURCE);
    assert_int_equal(definitions_stats(d).definitions, 2);
    assert_int_equal(definitions_stats(d).holds, 3);
    assert_int_equal(expire(d, 0, 100), 0); /* none received before 100 */
    assert_int_equal(definitions_pin(d, kit_text("web-1"), def, &one), 0);
    assert_int_equal(definitions_pin(d, kit_text("web-2"), def, &two), 0);
    assert_true(one->durable);
    assert_int_equal(expire(d, 10, 1000), 1); /* web-2's schema: the others are pinned */
    definitions_unpin(d, one, 11, (struct wall){500});
    definitions_unpin(d, two, 0, (struct wall){0});
    assert_int_equal(expire(d, 10, 1000), 1); /* web-2's; web-1 used it behind the position */
    assert_ptr_equal(definitions_get(d, &h->entries[0].hash), def);
    assert_int_equal(expire(d, 11, 500), 0);
    definitions_touch(d, kit_text("web-1"), &h->entries[0].hash, (struct wall){600});
    assert_int_equal(expire(d, 11, 501), 0);
    assert_int_equal(expire(d, 11, 601), 1);
    assert_null(definitions_get(d, &h->entries[0].hash));
    definitions_free(&d);
    assert_int_equal(mem.used, 0);
    kit_host_free(&h);
}

/* What is restored may be used by any batch stored by then, whatever the
 * clocks said; replaying an older one does not bring that down. */
static void test_restored_holds_stay_for_all_kept_batches(void **state)
{
    struct kit_host *h = kit_host("web-1", 4, 2);
    struct mem mem = {0};
    struct definitions *d = definitions_new(&mem, seed);
    struct hold *one;

    (void)state;
    assert_int_equal(add(d, "web-1", h, 0, 100), 0);
    definitions_used_until(d, 50);
    assert_int_equal(definitions_pin(d, kit_text("web-1"), definitions_get(d, &h->entries[0].hash), &one), 0);
    definitions_unpin(d, one, 20, (struct wall){50});
    assert_int_equal(expire(d, 49, 1000), 0); /* a clock far ahead */
    assert_int_equal(expire(d, 50, 100), 0);
    assert_int_equal(expire(d, 50, 1000), 1);
    definitions_free(&d);
    kit_host_free(&h);
}

static void test_a_hold_made_in_vain_ends(void **state)
{
    struct kit_host *h = kit_host("web-1", 4, 2);
    struct mem mem = {0};
    struct definitions *d = definitions_new(&mem, seed);
    struct hold *a, *b;

    (void)state;
    assert_int_equal(add(d, "", h, 0, 100), 0);
    assert_int_equal(definitions_pin(d, kit_text("web-1"), definitions_get(d, &h->entries[0].hash), &a), 0);
    assert_int_equal(definitions_pin(d, kit_text("web-1"), definitions_get(d, &h->entries[0].hash), &b), 0);
    assert_ptr_equal(a, b);
    assert_false(a->durable);
    definitions_unpin(d, a, 0, (struct wall){0});
    assert_int_equal(definitions_stats(d).holds, 2);
    definitions_unpin(d, b, 0, (struct wall){0});
    assert_int_equal(definitions_stats(d).holds, 1);
    assert_int_equal(definitions_pin(d, kit_text("web-1"), definitions_get(d, &h->entries[0].hash), &a), 0);
    definitions_made_durable(a);
    definitions_unpin(d, a, 0, (struct wall){0});
    assert_int_equal(definitions_stats(d).holds, 2);
    definitions_free(&d);
    assert_int_equal(mem.used, 0);
    kit_host_free(&h);
}

static void test_quota(void **state)
{
    struct wire_label label = {kit_text("host"), {NULL, 0}};
    struct wire_resource r = {&label, 1};
    struct wire_entry more[2] = {{.hash = {{1}}}, {.hash = {{2}}}};
    struct definitions *d = definitions_new(NULL, seed);
    struct err e = {0};
    char name[16];
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 1 << 16);
    for (int i = 0; i < DEFINITIONS_PER_AGENT - 1; i++) {
        struct wire_label all[3] = {{kit_text("env"), kit_text("x")},
                                    {kit_text("host"), kit_text(name)},
                                    {kit_text("region"), kit_text("y")}};
        struct wire_hash h;

        (void)snprintf(name, sizeof name, "web-%d", i);
        all[1].value = kit_text(name);
        r = (struct wire_resource){all, 3};
        buf_clear(&b);
        assert_int_equal(wire_resource_encode(&r, &b, &e), 0);
        h = wire_hash_of(b.data, b.len);
        assert_int_equal(definitions_add(d, kit_text("web-1"), &h, buf_bytes(&b), (struct wall){1}, &e), 0);
    }
    assert_true(definitions_room(d, kit_text("web-1"), more, 1));
    assert_false(definitions_room(d, kit_text("web-1"), more, 2));
    assert_true(definitions_room(d, kit_text("web-2"), more, 2));
    definitions_free(&d);
    buf_free(&b);
}

static void test_without_memory_nothing_changes(void **state)
{
    struct kit_host *h = kit_host("web-1", 4, 2);

    (void)state;
    for (size_t cap = 300; cap < 20000; cap += 40) {
        struct mem mem = {.cap = cap};
        struct definitions *d = definitions_new(&mem, seed);
        int rc;

        if (!d)
            continue;
        rc = add(d, "web-1", h, 1, 1);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        assert_int_equal(definitions_stats(d).definitions, rc == 0);
        assert_int_equal(definitions_get(d, &h->entries[1].hash) != NULL, rc == 0);
        definitions_free(&d);
        assert_int_equal(mem.used, 0);
    }
    kit_host_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sharing_and_expiry),
        cmocka_unit_test(test_restored_holds_stay_for_all_kept_batches),
        cmocka_unit_test(test_a_hold_made_in_vain_ends),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_without_memory_nothing_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
