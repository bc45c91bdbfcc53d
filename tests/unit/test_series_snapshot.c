/* Snapshots: unchanged while the table moves on, in the order they promise, and handed to another thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>

#include "common/base/rng.h"
#include "tests/unit/series_kit.h"

static char *shown(const struct snapshot *s)
{
    struct buf b;
    char *out;

    buf_init(&b, NULL, 1 << 24);
    for (uint32_t f = 0; f < s->n_families; f++) {
        buf_fmt(&b, "# %s %s\n", s->families[f].name, s->families[f].help);
        for (uint32_t i = 0; i < s->families[f].n; i++) {
            const struct series_value *v = &s->families[f].values[i];

            for (uint32_t l = 0; l < v->desc->n_labels; l++)
                buf_fmt(&b, "%s=%s,", v->desc->labels[l].name, v->desc->labels[l].value);
            buf_fmt(&b, " %g\n", v->value);
        }
    }
    for (uint32_t i = 0; i < s->n_agents; i++)
        buf_fmt(&b, "agent %s %s %s\n", s->agents[i].id, s->agents[i].region, s->agents[i].tenant);
    for (uint32_t p = 0; p < s->n_percentiles; p++) {
        const struct percentile_view *v = &s->percentiles[p];

        buf_fmt(&b, "percentile %s %s %s\n", v->name, v->help, v->bucket_text[0]);
        for (uint32_t g = 0; g < v->n_groups; g++)
            kit_show_group(&b, v, &v->groups[g]);
    }
    out = malloc(b.len + 1);
    memcpy(out, buf_text(&b), b.len + 1);
    buf_free(&b);
    return out;
}

static void move_on(struct kit *k, int i)
{
    static const char *const ids[] = {"b", "a", "c"};
    static const char *const hosts[] = {"region=r1 zone=1", "region=r2 zone=2"};
    char name[32];
    double v[] = {1, 2, i};
    int64_t now = KIT_NOW + i * 2000;
    struct bytes b;

    snprintf(name, sizeof name, "m%d{i=%d}", i % 17, i % 5);
    kit_batch(k, ids[i % 3], hosts[i / 20 % 2], now);
    b = kit_sketch(k, v, 3);
    kit_gauge(k, name, now, i);
    kit_block(k, now, 0, 1, &(struct kit_series){"lat", WIRE_SKETCH, NULL, &b}, 1);
    kit_take(k);
    if (i % 40 == 39)
        (void)series_forget_agent(k->set, kit_str(ids[i / 40 % 3]));
    series_advance(k->set, (struct wall){now});
}

static void reload(struct kit *k, int i)
{
    struct config *c = kit_config(k, i % 2 ? "[percentile p]\nmetric = lat\nby = zone\nwindows = 10s\n"
                                           : "[percentile p]\nmetric = lat\nwindows = 1m\n");

    assert_int_equal(series_reload(k->set, c, &k->report, &k->e), 0);
    config_free(&c);
}

/* Several snapshots out at once, released in any order. */
static void test_unchanged(void **state)
{
    struct kit k = {0};
    struct snapshot *held[8] = {NULL};
    char *text[8] = {NULL};
    struct rng r;

    (void)state;
    rng_seed(&r, 1);
    kit_open(&k, "[percentile p]\nmetric = lat\nby = region\n");
    for (int i = 0; i < 600; i++) {
        size_t at = rng_below(&r, 8);

        move_on(&k, i);
        if (i % 50 == 49)
            reload(&k, i / 50);
        if (held[at]) {
            char *now = shown(held[at]);

            assert_string_equal(now, text[at]);
            free(now);
            snapshot_release(held[at]);
        }
        free(text[at]);
        held[at] = series_snapshot(k.set, (struct wall){KIT_NOW + i * 2000});
        text[at] = shown(held[at]);
    }
    for (int i = 0; i < 8; i++) {
        snapshot_release(held[i]);
        free(text[i]);
    }
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

static void test_order(void **state)
{
    struct kit k = {0};
    struct snapshot *s;

    (void)state;
    kit_open(&k, "");
    for (int i = 0; i < 100; i++)
        move_on(&k, i);
    s = series_snapshot(k.set, (struct wall){KIT_NOW + 198000});
    assert_true(s->n_families > 5 && s->n_agents > 1);
    for (uint32_t i = 1; i < s->n_families; i++)
        assert_true(strcmp(s->families[i - 1].name, s->families[i].name) < 0);
    for (uint32_t i = 1; i < s->n_agents; i++)
        assert_true(strcmp(s->agents[i - 1].id, s->agents[i].id) < 0);
    for (uint32_t f = 0; f < s->n_families; f++) {
        const struct series_desc *d = s->families[f].values[0].desc;

        assert_true(s->families[f].kind != METRIC_SKETCH);
        for (uint32_t i = 1; i < d->n_labels; i++)
            assert_true(strcmp(d->labels[i - 1].name, d->labels[i].name) < 0);
    }
    assert_int_equal(s->position, 100);
    snapshot_release(s);
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* ---- a reader on another thread ---- */

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct snapshot *waiting;
    bool end;
    size_t read, bytes;
};

static void *reader(void *arg)
{
    struct mailbox *m = arg;

    for (;;) {
        struct snapshot *s;
        char *text;

        pthread_mutex_lock(&m->lock);
        while (!m->waiting && !m->end)
            pthread_cond_wait(&m->changed, &m->lock);
        s = m->waiting;
        m->waiting = NULL;
        pthread_mutex_unlock(&m->lock);
        if (!s)
            return NULL;
        text = shown(s);
        m->bytes += strlen(text);
        m->read++;
        free(text);
        snapshot_release(s);
    }
}

static void test_threads(void **state)
{
    struct kit k = {0};
    struct mailbox m = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t thread;

    (void)state;
    kit_open(&k, "[percentile p]\nmetric = lat\nby = region\n");
    assert_int_equal(pthread_create(&thread, NULL, reader, &m), 0);
    for (int i = 0; i < 1000; i++) {
        struct snapshot *s, *missed;

        move_on(&k, i);
        if (i % 100 == 99)
            reload(&k, i / 100);
        s = series_snapshot(k.set, (struct wall){KIT_NOW + i * 2000});
        pthread_mutex_lock(&m.lock);
        missed = m.waiting;
        m.waiting = s;
        pthread_cond_signal(&m.changed);
        pthread_mutex_unlock(&m.lock);
        if (missed)
            snapshot_release(missed);
    }
    pthread_mutex_lock(&m.lock);
    m.end = true;
    pthread_cond_signal(&m.changed);
    pthread_mutex_unlock(&m.lock);
    pthread_join(thread, NULL);
    assert_true(m.read > 0 && m.bytes > 0);
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* Whatever allocation fails: a value or an error, and nothing leaks. */
static void test_no_memory(void **state)
{
    size_t cap = 20000, made = 0, refused = 0;

    (void)state;
    for (; cap < 600000; cap += 1777) {
        struct kit k = {.mem.cap = cap};

        kit_open(&k, "[percentile p]\nmetric = lat\nby = zone\n[percentile q]\nmetric = m1\nby = i\n");
        for (int i = 0; k.set && i < 60; i++) {
            char name[32];
            double v[] = {1, 2, i};
            struct bytes b;
            struct snapshot *s;

            snprintf(name, sizeof name, "m%d{i=%d}", i % 7, i);
            kit_batch(&k, i % 2 ? "a" : "b", "region=r", KIT_NOW + i);
            b = kit_sketch(&k, v, 3);
            kit_gauge(&k, name, KIT_NOW, i);
            kit_block(&k, KIT_NOW, 0, 1, &(struct kit_series){"lat", WIRE_SKETCH, NULL, &b}, 1);
            if (kit_judge(&k) != 0)
                buf_clear(&k.verdict);
            kit_apply(&k);
            series_advance(k.set, (struct wall){KIT_NOW + i * 3000});
            s = series_snapshot(k.set, (struct wall){KIT_NOW + i * 3000});
            made += s != NULL;
            refused += s == NULL;
            snapshot_release(s);
        }
        assert_true(k.mem.used <= cap);
        kit_close(&k);
        assert_int_equal(k.mem.used, 0);
    }
    assert_true(made > 100 && refused > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unchanged),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
