/* Any bytes: a stored step is refused with a sentence, or written and read as the same; matchers are refused with a
 * sentence, or their own text makes the same again; a baseline is refused, or goes on learning and says nothing that
 * is infinite. The first byte chooses. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/alert/baseline.h"
#include "aggregator/alert/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
    if (!truth)
        abort();
}

static void step(const uint8_t *data, size_t size)
{
    struct sketch s, t;
    struct fact_bucket a, b;
    enum fact_kind kind, again;
    struct err e = {0};
    struct buf out;

    sketch_init(&s, NULL);
    sketch_init(&t, NULL);
    buf_init(&out, NULL, 1 << 18);
    if (fact_decode((struct bytes){data, size}, &kind, &a, &s, &e)) {
        must(e.code == ERR_MALFORMED && e.text[0]);
    } else {
        must(!fact_encode(kind, &a, &out));
        must(!fact_decode(buf_bytes(&out), &again, &b, &t, &e) && again == kind);
        must(a.n == b.n && a.last_t == b.last_t && a.last == b.last && a.sum == b.sum &&
             a.series == b.series);
        must(a.min == b.min && a.max == b.max && !isnan(a.sum) && !isnan(a.last));
        must(kind == FACT_SKETCH ? a.sketch == &s && b.sketch == &t : !a.sketch);
    }
    buf_free(&out);
    sketch_free(&s);
    sketch_free(&t);
}

static void matchers(const uint8_t *data, size_t size)
{
    struct label l[] = {{"a", "aaaaaaaaaab"}, {"b", "1"}};
    struct labels set = {l, 2};
    struct match *m, *again;
    struct err e = {0};
    char *text = malloc(size + 1);

    must(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    m = match_new(text, &e);
    if (!m) {
        must(e.code && e.text[0]);
    } else if (strlen(match_text(m)) <= MATCH_TEXT_MOST) { /* quoting may make it longer than is allowed */
        again = match_new(match_text(m), &e);
        must(again && !strcmp(match_text(again), match_text(m)) && match_count(again) == match_count(m));
        must(match_labels(again, set) == match_labels(m, set));
        match_free(&again);
    }
    match_free(&m);
    free(text);
}

static void learn(const uint8_t *data, size_t size)
{
    const struct baseline_params p = {true, true, true, 4, 0, 0, span_s(3600)};
    struct baseline *b;
    struct baseline_answer a;
    struct err e = {0};
    struct buf out;
    int64_t t = 1700000000000;

    if (baseline_decode((struct bytes){data, size}, NULL, &b, &e)) {
        must(e.code == ERR_MALFORMED && e.text[0]);
        return;
    }
    for (int i = 0; i < 100; i++, t += 1000000) {
        baseline_observe(b, &p, i * 3, (struct wall){t}, i % 10 == 9, &a);
        must(!isinf(a.expected) && !isinf(a.spread));
    }
    buf_init(&out, NULL, BASELINE_BYTES_MOST);
    must(!baseline_encode(b, &out));
    buf_free(&out);
    baseline_free(&b, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size)
        (data[0] == '2' ? learn : data[0] % 2 ? step : matchers)(data + 1, size - 1);
    return 0;
}
