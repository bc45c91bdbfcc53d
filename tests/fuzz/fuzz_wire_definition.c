/* Any bytes as a definition and as a definitions request. What is taken can be written again and has one
 * canonical form. */
#include <stdlib.h>
#include <string.h>

#include "common/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct wire_definition *d, struct buf *out)
{
    if (d->sort == WIRE_SORT_SCHEMA ? wire_schema_encode(&d->schema, out, NULL)
                                    : wire_resource_encode(&d->resource, out, NULL))
        abort(); /* read, but not to be written */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_definition d;
    enum wire_reason r = WIRE_OK;
    struct wire_entry *list;
    struct buf one, two;
    struct arena a;
    uint32_t n;

    arena_init(&a, NULL, 64 << 20);
    buf_init(&one, NULL, 1 << 24);
    buf_init(&two, NULL, 1 << 24);
    if (!wire_definition_decode(data, size, &a, &d, &r, NULL)) {
        write_again(&d, &one);
        if (wire_definition_decode(one.data, one.len, &a, &d, &r, NULL))
            abort();
        write_again(&d, &two);
        if (one.len != two.len || memcmp(one.data, two.data, one.len) != 0)
            abort(); /* two canonical forms */
    } else if (r == WIRE_OK) {
        abort();
    }
    if (!wire_walk(data, size, &r, NULL))
        (void)wire_definitions_decode(data, size, &a, &list, &n, &r, NULL);
    buf_free(&one);
    buf_free(&two);
    arena_free(&a);
    return 0;
}
