/* Any bytes as an answer in XML. What is read is written again from the tree and has to be read as the same tree. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/actions/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_node(struct buf *b, const struct xml *x)
{
    buf_fmt(b, "<%s>", x->name);
    xml_put(b, x->text);
    for (const struct xml *c = x->child; c; c = c->next)
        write_node(b, c);
    buf_fmt(b, "</%s>", x->name);
}

static int same(const struct xml *a, const struct xml *b)
{
    for (; a && b; a = a->next, b = b->next)
        if (strcmp(a->name, b->name) != 0 || strcmp(a->text, b->text) != 0 || !same(a->child, b->child))
            return 0;
    return !a && !b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct xml *x = NULL, *again = NULL;
    struct arena a;
    struct err e = {0};
    struct buf b;
    int rc;

    arena_init(&a, NULL, 16 << 20);
    buf_init(&b, NULL, 64 << 20);
    rc = xml_parse(&a, (struct bytes){data, size}, &x, &e);
    if ((rc == 0) != (x != NULL) || rc > 0 || (rc && !e.code))
        abort();
    if (x) {
        write_node(&b, x);
        if (!b.full && xml_parse(&a, buf_bytes(&b), &again, &e) == 0 && !same(x, again))
            abort();
        if (!again && e.code != ERR_NOMEM)
            abort();
    }
    buf_free(&b);
    arena_free(&a);
    return 0;
}
