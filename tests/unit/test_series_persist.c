/* Storing and restoring: after a crash at any moment, restored records and a replay of the journal give what
 * an uninterrupted run gives, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/unit/series_kit.h"

#define SECTIONS                                                                                             \
    "[percentile all]\nmetric = lat\nwindows = 10s 5m\n"                                                     \
    "[percentile routes]\nmetric = lat\nmatch = env=prod\nby = route zone\nwindows = 1m\nbuckets =\n"        \
    "[percentile load]\nmetric = load\nby = zone\nwindows = 10s 1h\n"                                        \
    "[percentile none]\nmetric = hits\n"

/* ---- a store in memory ---- */

enum { RECORDS = 4096 };
struct record {
    uint8_t *key, *value;
    size_t n_key, n_value;
};
struct store {
    struct record r[RECORDS];
    size_t n;
    int64_t position;
    size_t writes, deletes, fail_after; /* 0: never */
};

static uint8_t *copy(struct bytes b)
{
    uint8_t *p = malloc(b.n + 1);

    memcpy(p, b.p, b.n);
    return p;
}

static int put(void *arg, struct bytes key, struct bytes value)
{
    struct store *s = arg;
    size_t i = 0;

    if (s->fail_after && s->writes + s->deletes >= s->fail_after)
        return ERR_IO;
    while (i < s->n && (s->r[i].n_key != key.n || memcmp(s->r[i].key, key.p, key.n)))
        i++;
    if (!value.p) {
        s->deletes++;
        if (i == s->n)
            return 0;
        free(s->r[i].key);
        free(s->r[i].value);
        s->r[i] = s->r[--s->n];
        return 0;
    }
    assert_true(i < RECORDS);
    s->writes++;
    if (i == s->n)
        s->r[s->n++] = (struct record){.key = copy(key), .n_key = key.n};
    free(s->r[i].value);
    s->r[i].value = copy(value);
    s->r[i].n_value = value.n;
    return 0;
}

static void store_free(struct store *s)
{
    while (s->n) {
        free(s->r[--s->n].key);
        free(s->r[s->n].value);
    }
}

static void store_take(struct kit *k, struct store *s)
{
    assert_int_equal(series_take(k->set, &s->position, put, s), 0);
    series_taken(k->set, true);
}

/* Number of stale records. */
static size_t store_load(struct kit *k, const struct store *s)
{
    size_t n_stale = 0;

    for (size_t i = 0; i < s->n; i++) {
        bool stale;
        struct bytes key = {s->r[i].key, s->r[i].n_key}, value = {s->r[i].value, s->r[i].n_value};

        assert_int_equal(series_restore(k->set, key, value, &stale, &k->e), 0);
        n_stale += stale;
    }
    series_restored(k->set, s->position);
    return n_stale;
}

/* ---- batches that depend on their number alone ---- */

enum { BATCHES = 300 };

struct journal {
    uint8_t *verdict[BATCHES];
    size_t n_verdict[BATCHES];
    int64_t received[BATCHES];
};

static void make(struct kit *k, uint64_t seed, int i, int64_t received)
{
    static const char *const hosts[] = {"env=prod zone=a", "env=prod zone=b", "env=test zone=a"};
    static const char *const routes[] = {"lat{route=/x}", "lat{route=/y}", "lat{route=/z}", "lat{route=/w}"};
    struct rng r;
    static const char *const ids[] = {"h0", "h1", "h2", "h3", "h4"};
    double v[6], w[6], h[6];
    struct bytes sketches[6];
    int64_t t0;
    uint32_t n;

    rng_seed(&r, seed * 100000 + (uint64_t)i);
    n = 1 + (uint32_t)rng_below(&r, 5);
    t0 = received - 1000 * n + (int64_t)rng_below(&r, 2000) -
         (rng_below(&r, 5) ? 0 : (int64_t)rng_below(&r, 400000));
    kit_batch(k, ids[rng_below(&r, 5)], hosts[rng_below(&r, 3)], received);
    k->batch.seq = (uint64_t)i + 1;
    for (uint32_t j = 0; j < n; j++) {
        double values[3] = {exp(20 * rng_unit(&r) - 10), rng_unit(&r), -rng_unit(&r)};

        sketches[j] = rng_below(&r, 4) ? kit_sketch(k, values, 3) : (struct bytes){NULL, 0};
        v[j] = rng_below(&r, 5) ? rng_unit(&r) : NAN;
        w[j] = rng_below(&r, 5) ? rng_unit(&r) * 1e10 : KIT_ABSENT;
        h[j] = (double)i;
    }
    kit_block(k, t0, 1000, n,
              (struct kit_series[]){{routes[rng_below(&r, 4)], WIRE_SKETCH, NULL, sketches},
                                    {"load", WIRE_GAUGE, v, NULL},
                                    {"hits", WIRE_COUNTER, h, NULL}},
              3);
    kit_block(k, t0 + 1000, 1000, n, &(struct kit_series){"load", WIRE_GAUGE, w, NULL}, 1);
    kit_block(k, t0, 1000, n, &(struct kit_series){"load{cpu=1}", WIRE_GAUGE, w, NULL}, 1);
    if (rng_below(&r, 5) == 0)
        kit_block(k, t0 - 8 * 86400000LL, 1000, n, &(struct kit_series){"hits", WIRE_COUNTER, h, NULL}, 1);
}

static void apply(struct kit *k, const struct journal *j, uint64_t seed, int i, bool latest_only)
{
    make(k, seed, i, j->received[i]);
    series_apply(k->set, &k->in, (struct bytes){j->verdict[i], j->n_verdict[i]}, i + 1, latest_only);
}

static void compare(struct kit *a, struct kit *b, int64_t now)
{
    struct buf x, y;

    buf_init(&x, NULL, 1 << 24);
    buf_init(&y, NULL, 1 << 24);
    series_advance(a->set, (struct wall){now});
    series_advance(b->set, (struct wall){now});
    kit_show(a, now, &x);
    kit_show(b, now, &y);
    kit_show_agents(a, now, &x);
    kit_show_agents(b, now, &y);
    assert_true(x.len > 1000 && !x.full);
    if (x.len != y.len || memcmp(x.data, y.data, x.len)) {
        fprintf(stderr, "%s\n---\n%s\n", buf_text(&x), buf_text(&y));
        fail();
    }
    buf_free(&x);
    buf_free(&y);
}

/* The process dies: everything but store and journal is gone. */
static void crash(struct kit *k, struct store *s, const struct journal *j, uint64_t seed, int n)
{
    kit_close(k);
    assert_int_equal(k->mem.used, 0);
    *k = (struct kit){0};
    kit_open(k, SECTIONS);
    assert_int_equal(store_load(k, s), 0);
    for (int i = 0; i < n; i++)
        apply(k, j, seed, i, i + 1 <= s->position);
}

static void one_run(uint64_t seed)
{
    struct kit a = {0}, b = {0};
    struct store *s = calloc(1, sizeof *s), *failed = calloc(1, sizeof *failed);
    struct journal j = {0};
    int64_t now = KIT_NOW;
    struct rng r;

    rng_seed(&r, seed);
    kit_open(&a, SECTIONS);
    kit_open(&b, SECTIONS);
    for (int i = 0; i < BATCHES; i++) {
        now += (int64_t)rng_below(&r, rng_below(&r, 20) ? 2000 : 90000);
        j.received[i] = now;
        make(&a, seed, i, now);
        assert_int_equal(kit_judge(&a), 0);
        j.verdict[i] = copy(buf_bytes(&a.verdict));
        j.n_verdict[i] = a.verdict.len;
        kit_apply(&a);
        apply(&b, &j, seed, i, false);
        if (rng_below(&r, 3) == 0)
            series_advance(a.set, (struct wall){now});
        if (rng_below(&r, 3) == 0)
            series_advance(b.set, (struct wall){now});
        if (rng_below(&r, 10) == 0)
            compare(&a, &b, now += (int64_t)rng_below(&r, 1000));
        if (rng_below(&r, 15) == 0)
            store_take(&b, s);
        if (rng_below(&r, 30) == 0) { /* a commit that fails: none of it is in the store */
            int64_t position;

            failed->fail_after = rng_below(&r, 2) ? 1 + rng_below(&r, 50) : 0;
            (void)series_take(b.set, &position, put, failed);
            series_taken(b.set, false);
        }
        if (rng_below(&r, 25) == 0)
            crash(&b, s, &j, seed, i + 1);
    }
    compare(&a, &b, now);
    assert_true(s->writes > 100);
    for (int i = 0; i < BATCHES; i++)
        free(j.verdict[i]);
    store_free(s);
    store_free(failed);
    free(s);
    free(failed);
    kit_close(&a);
    kit_close(&b);
}

static void test_crashes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        one_run(seed);
}

static uint64_t count_of(struct kit *k, uint32_t section)
{
    struct snapshot *s = series_snapshot(k->set, (struct wall){KIT_NOW});
    uint64_t n = 0;

    for (uint32_t g = 0; g < s->percentiles[section].n_groups; g++)
        n += s->percentiles[section].groups[g].count;
    snapshot_release(s);
    return n;
}

static void give(struct kit *k, const char *zone)
{
    double v[] = {1, 2};
    struct bytes b;

    kit_batch(k, "a", zone, KIT_NOW);
    b = kit_sketch(k, v, 2);
    kit_block(k, KIT_NOW, 0, 1, &(struct kit_series){"lat", WIRE_SKETCH, NULL, &b}, 1);
    kit_take(k);
}

#define ONE "[percentile one]\nmetric = lat\n"
#define TWO "[percentile two]\nmetric = lat\nby = zone\n"

/* Only what changed is taken. A changed section begins anew,
 * its records go; the other goes on, in whatever order. */
static void test_reload(void **state)
{
    struct store *s = calloc(1, sizeof *s);
    struct kit k = {0};
    struct config *c;
    size_t before;

    (void)state;
    kit_open(&k, ONE TWO);
    give(&k, "zone=a");
    give(&k, "zone=b");
    store_take(&k, s);
    /* a mode, then for each group its total and three windows; the agent */
    assert_int_equal(s->writes, 1 + 4 + 1 + 8 + 1);
    store_take(&k, s);
    assert_int_equal(s->writes, 15);
    give(&k, "zone=b");
    store_take(&k, s);
    assert_int_equal(s->writes, 15 + 8 + 1);
    assert_int_equal(s->position, 3);

    c = kit_config(&k, TWO "[percentile one]\nmetric = lat\nbuckets = 1\n");
    assert_int_equal(series_reload(k.set, c, &k.report, &k.e), 0);
    config_free(&c);
    assert_int_equal(count_of(&k, 0), 6);
    assert_int_equal(count_of(&k, 1), 0);
    give(&k, "zone=b");
    assert_int_equal(count_of(&k, 0), 8);
    assert_int_equal(count_of(&k, 1), 2);
    before = s->n;
    store_take(&k, s);
    assert_int_equal(s->deletes, 5);
    assert_int_equal(s->n, before); /* deleted first, then written anew */
    kit_close(&k);

    k = (struct kit){0};
    kit_open(&k, ONE); /* changed back while down, and the other one gone */
    assert_int_equal(store_load(&k, s), s->n - 1);
    assert_int_equal(count_of(&k, 0), 0);
    store_take(&k, s);
    assert_int_equal(s->n, 1); /* the agent */
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
    store_free(s);
    free(s);
}

/* An agent that is absent when the process dies is absent afterwards, though no batch
 * of it is replayed; it is forgotten, record and all, at the end of its time. */
static void test_agents(void **state)
{
    const int64_t day = 86400000;
    struct store *s = calloc(1, sizeof *s);
    struct kit k = {0};
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 1 << 20);
    kit_open(&k, "");
    kit_batch(&k, "a", "env=prod host=h region=r", KIT_NOW);
    kit_gauge(&k, "x", KIT_NOW, 1);
    k.in.sent = (struct wall){KIT_NOW + 7};
    kit_take(&k);
    store_take(&k, s);
    kit_close(&k);
    assert_int_equal(s->n, 1);

    k = (struct kit){0};
    kit_open(&k, "");
    assert_int_equal(store_load(&k, s), 0);
    series_advance(k.set, (struct wall){KIT_NOW + day - 1});
    kit_show_agents(&k, KIT_NOW + day - 1, &b);
    assert_string_equal(buf_text(&b),
                        "agent a r prod since +0 received +0 sealed -5 skew 7 at 1/1: 1 1 0 0 0 0\n");
    series_advance(k.set, (struct wall){KIT_NOW + day + 1});
    buf_clear(&b);
    kit_show_agents(&k, KIT_NOW + day + 1, &b);
    assert_int_equal(b.len, 0);
    store_take(&k, s);
    assert_int_equal(s->n, 0);
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
    buf_free(&b);
    free(s);
}

/* Records cut short or spoilt give an error or a state, never more; and are to be deleted. */
static void test_broken(void **state)
{
    struct store *s = calloc(1, sizeof *s);
    struct kit k = {0};
    struct rng r;
    bool stale;

    (void)state;
    rng_seed(&r, 5);
    kit_open(&k, SECTIONS);
    for (int i = 0; i < 20; i++) {
        make(&k, 1, i, KIT_NOW + i * 1000);
        kit_take(&k);
    }
    store_take(&k, s);
    kit_close(&k);
    for (size_t i = 0; i < s->n; i++) {
        struct bytes key = {s->r[i].key, s->r[i].n_key}, value = {s->r[i].value, s->r[i].n_value};

        k = (struct kit){0};
        kit_open(&k, SECTIONS);
        for (size_t n = 0; n < value.n; n++) {
            int code = series_restore(k.set, key, (struct bytes){value.p, n}, &stale, &k.e);

            /* the tallies of a host are a list of any length */
            assert_true(stale || (code == 0 && key.p[0] == 'H' && (n - 9) % 32 == 0));
        }
        for (int n = 0; n < 50; n++) {
            uint8_t *spoilt = copy(value), *spoilt_key = copy(key);

            spoilt[9 + rng_below(&r, value.n - 9)] ^= (uint8_t)(1u << rng_below(&r, 8));
            spoilt_key[rng_below(&r, key.n)] ^= (uint8_t)(rng_below(&r, 3) == 0);
            (void)series_restore(k.set, (struct bytes){spoilt_key, key.n}, (struct bytes){spoilt, value.n},
                                 &stale, &k.e);
            free(spoilt);
            free(spoilt_key);
        }
        snapshot_release(series_snapshot(k.set, (struct wall){KIT_NOW + 20000}));
        kit_close(&k);
        assert_int_equal(k.mem.used, 0);
    }
    store_free(s);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_agents),
        cmocka_unit_test(test_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
