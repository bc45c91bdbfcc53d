/* Any bytes as Route 53's list of record sets: what is taken from it gives a batch that is sound XML, and whose deletions are
 * read as the same state again. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/actions/route53_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_batch(struct arena *a, const struct r53_state *s, const struct r53_place *p)
{
    static const struct r53_want want = {.values = {"192.0.2.1"}, .n = 1};
    const struct xml *x = NULL;
    struct err e = {0};
    struct buf b;

    buf_init(&b, NULL, 16 << 20);
    r53_batch(s, p, &want, "epoch=1 token=1.1 plan=p", &b);
    if (!b.full && xml_parse(a, buf_bytes(&b), &x, &e) != 0 && e.code == ERR_MALFORMED)
        abort();
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct r53_place places[] = {{"app.example.test.", "_fo.app.example.test.", "A", 30},
                                              {"a.", "b.", "CNAME", 30}};
    const struct xml *x = NULL;
    char text[64];
    struct arena a;

    arena_init(&a, NULL, 16 << 20);
    if (xml_parse(&a, (struct bytes){data, size}, &x, NULL) == 0) {
        for (size_t i = 0; i < 2; i++) {
            struct r53_state s = {0};

            if (r53_take(x, &places[i], false, &s) != 0 || r53_take(x, &places[i], true, &s) != 0)
                continue;
            r53_text(&s, &places[i], text, sizeof text);
            if (strlen(text) >= sizeof text)
                abort();
            check_batch(&a, &s, &places[i]);
        }
    }
    arena_free(&a);
    return 0;
}
