/* Any request and any answer of a guard's conversation; what is read can be written, and reads back as the same. */
#include <stdlib.h>
#include <string.h>

#include "common/wire/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = {data, size};
    struct guard_answer answer, answer2;
    struct guard_ask ask, ask2;
    struct buf b, b2;

    buf_init(&b, NULL, 1 << 16);
    buf_init(&b2, NULL, 1 << 16);
    if (guard_ask_read(in, &ask, NULL) == 0) {
        if (guard_ask_write(&ask, &b) != 0 || guard_ask_read(buf_bytes(&b), &ask2, NULL) != 0 ||
            guard_ask_write(&ask2, &b2) != 0 || b.len != b2.len || memcmp(b.data, b2.data, b.len) != 0)
            abort();
        buf_clear(&b);
    }
    if (guard_answer_read(in, &answer, NULL) == 0) {
        if (answer.held && answer.serve &&
            (answer.lease_ms < GUARD_LEASE_LEAST || answer.lease_ms > GUARD_LEASE))
            abort();
        if (guard_answer_write(&answer, &b) != 0 || guard_answer_read(buf_bytes(&b), &answer2, NULL) != 0 ||
            answer.held != answer2.held || answer.serve != answer2.serve || answer.epoch != answer2.epoch ||
            answer.promise_ms != answer2.promise_ms || strcmp(answer.writer, answer2.writer) != 0 ||
            strcmp(answer.why, answer2.why) != 0)
            abort();
    }
    buf_free(&b);
    buf_free(&b2);
    return 0;
}
