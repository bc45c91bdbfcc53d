/* Any bytes as what the room of alerts reads: the first byte says as what. Rules, a composite, a series, a text with
 * templates, a record of an alert, a file of tests: a value or mistakes, never harm. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/alert/fill.h"
#include "aggregator/alert/trial.h"
#include "aggregator/alert/trial_rig.h"
#include "aggregator/alert/trial_series.h"
#include "aggregator/alert/when.h"

static const char usual[] = "[alert hot]\nmetric = temperature\nabove = 80\n"
                            "[alert odd]\nmetric = temperature\nbaseline = ewma\nlearn = 1h\n";

static void on_notice(void *arg, const struct alert_notice *n)
{
    (void)arg;
    (void)n;
}

static void on_record(void *arg, struct bytes key, struct bytes value)
{
    (void)arg;
    (void)key;
    (void)value;
}

static void on_decision(void *arg, const struct fingerprint *alert, struct wall t, const char *json)
{
    (void)arg;
    (void)alert;
    (void)t;
    (void)json;
}

static const struct alert_effects effects = {NULL, on_notice, on_record, on_decision};

static struct config *rules(const char *text, size_t n)
{
    const struct config_source s = {"f.ini", {(const uint8_t *)text, n}};
    struct buf report;
    struct err e = {0};
    struct config *c;

    buf_init(&report, NULL, 1 << 20);
    c = config_parse(&s, 1, &alert_section, 1, &report, &e);
    buf_free(&report);
    return c;
}

/* What is right is run: a few values, a few steps. */
static void run_rules(const char *text, size_t n)
{
    struct config *c = rules(text, n);
    struct mem mem = {0};
    struct buf report;
    struct err e = {0};
    struct rig rig = {0};
    struct label l = {"host", "a"};

    if (!c)
        return;
    buf_init(&report, NULL, 1 << 20);
    if (rig_open(&rig, c, "eu", &mem, &report, &e) == 0) {
        for (int64_t t = 1000000; t < 1300000; t += 10000) {
            (void)trial_feed_value(rig.feed, rig.facts, "m", FACT_GAUGE, (struct labels){&l, 1},
                                   (struct wall){t}, (double)(t % 7));
            rig_step(&rig, (struct wall){t}, false, &effects);
        }
    } else if (!report.len && !e.code) {
        abort(); /* refused without a word */
    }
    rig_close(&rig);
    config_free(&c);
    buf_free(&report);
    if (mem.used)
        abort();
}

static void restore(const char *text, size_t n)
{
    static const char key[] = "alert/00112233445566778899aabbccddeeff";
    struct config *c = rules(usual, sizeof usual - 1);
    struct mem mem = {0};
    struct buf report;
    struct err e = {0};
    struct rig rig = {0};

    buf_init(&report, NULL, 1 << 20);
    if (c && rig_open(&rig, c, "eu", &mem, &report, &e) == 0) {
        (void)alerts_restore(rig.alerts, (struct bytes){(const uint8_t *)key, sizeof key - 1},
                             (struct bytes){(const uint8_t *)text, n}, &e);
        for (int64_t t = 1000000; t < 1020000; t += 5000)
            rig_step(&rig, (struct wall){t}, false, &effects);
    }
    rig_close(&rig);
    config_free(&c);
    buf_free(&report);
    if (mem.used)
        abort();
}

static int load(void *arg, const char *name, struct buf *out, struct err *e)
{
    (void)arg;
    (void)name;
    (void)e;
    buf_str(out, usual);
    return 0;
}

static void trial(const char *text, size_t n)
{
    struct mem mem = {.cap = 64 << 20};
    struct trial_params p = {.file = {"t.ini", {(const uint8_t *)text, n}}, .load = load, .mem = &mem};
    struct trial_result r;
    struct buf report;
    struct err e = {0};

    if (memmem(text, n, "at", 2)) /* time may be long: mistakes alone are looked for */
        return;
    buf_init(&report, NULL, 1 << 20);
    if (trial_run(&p, &r, &report, &e) != 0 && !report.len && !e.code)
        abort();
    buf_free(&report);
}

static void parts(const char *text)
{
    const struct label v[] = {{"a", "1"}, {"b", "2"}};
    struct arena arena;
    struct err e = {0};
    struct buf out;
    uint32_t steps;
    const struct when *w;

    arena_init(&arena, NULL, 0);
    buf_init(&out, NULL, 1 << 16);
    w = when_read(text, &arena, &e);
    if (w)
        (void)when_holds(w, 5);
    else if (!e.code)
        abort();
    (void)trial_series_check(text, &steps, &e);
    alert_fill(text, (struct labels){v, 2}, 3, 4, &out);
    arena_free(&arena);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (!size || size > 1 << 16)
        return 0;
    text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    switch (data[0] % 4) {
    case 0: run_rules(text, size - 1); break;
    case 1: parts(text); break;
    case 2: restore(text, size - 1); break;
    default: trial(text, size - 1); break;
    }
    free(text);
    return 0;
}
