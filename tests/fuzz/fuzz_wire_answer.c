/* Any answer of any status; the first byte of the input picks the status. */
#include <stdlib.h>
#include <string.h>

#include "common/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 400, 401, 403, 404, 405, 409, 410,
                                   411, 413, 415, 422, 429, 503, 500, 301};
    struct wire_answer a, again;
    struct arena ar;
    struct buf b;
    bool for_definitions;
    int status;

    if (!size)
        return 0;
    status = statuses[data[0] % 16];
    for_definitions = data[0] & 16;
    arena_init(&ar, NULL, 0);
    buf_init(&b, NULL, 1 << 20);
    if (!wire_answer_decode(status, data + 1, size - 1, for_definitions, &ar, &a, NULL)) {
        if (!memchr(a.error, 0, sizeof a.error) || !wire_utf8_ok(a.error, strlen(a.error)))
            abort(); /* a text that may not be shown */
        if (status == 200 || a.reason != WIRE_OK) {
            if (wire_answer_encode(&a, for_definitions, &b) ||
                wire_answer_decode(status, b.data, b.len, for_definitions, &ar, &again, NULL))
                abort();
            if (again.epoch != a.epoch || again.n_need != a.n_need || again.reason != a.reason)
                abort();
        }
    }
    buf_free(&b);
    arena_free(&ar);
    return 0;
}
