/* Records of objectives from anywhere, then a step, a report, and its two written forms. */
#include "aggregator/ctl/report.h"
#include "tests/unit/slo_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] =
    "[slo a]\ngood = g_total\ntotal = t_total\nobjective = 99.9%\nby = region\nwitness = p\n"
    "[slo p]\nkind = probe\nmetric = up\nobjective = 99%\n"
    "[slo s]\nkind = slices\nslice = 5m\nbad = b_total\ntotal = t_total\nobjective = 99%\n";

/* Length-prefixed: a byte for the key's, two for the value's. */
static size_t restore(struct kit *k, const uint8_t *p, size_t n)
{
    size_t n_key, n_value;

    if (n < 3)
        return n;
    n_key = p[0];
    n_value = (size_t)p[1] << 8 | p[2];
    if (n_key > n - 3)
        n_key = n - 3;
    if (n_value > n - 3 - n_key)
        n_value = n - 3 - n_key;
    (void)slos_restore(k->slos, (struct bytes){p + 3, n_key}, (struct bytes){p + 3 + n_key, n_value}, NULL);
    return 3 + n_key + n_value;
}

static void report(struct kit *k, const char *name)
{
    struct buf out;
    cJSON *o = kit_report(k, name, "rolling");

    buf_init(&out, NULL, 16 << 20);
    if (o) {
        (void)report_text(o, &out);
        (void)report_markdown(o, &out);
    }
    buf_free(&out);
    cJSON_Delete(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t now = INT64_C(1793577600000);
    struct kit k;

    kit_open(&k, text, now);
    for (size_t at = 0; at < size;)
        at += restore(&k, data + at, size - at);
    for (int i = 0; i < 4; i++) {
        kit_count(&k, "t_total", "region=east", k.now, 100);
        kit_gauge(&k, "up", "", k.now, 1);
        kit_step(&k, now + i * 3 * KIT_MINUTE);
    }
    report(&k, "a");
    report(&k, "a,p,s");
    kit_close(&k);
    return 0;
}
