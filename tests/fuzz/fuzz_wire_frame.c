/* Any body: it is one frame as the page demands, or it is refused with a reason; what it holds is walked. */
#include <stdlib.h>

#include "common/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_codec *c = wire_codec_new(1);
    enum wire_reason r = WIRE_OK;
    struct buf out, again;

    buf_init(&out, NULL, WIRE_MAX_INFLATED);
    buf_init(&again, NULL, WIRE_MAX_BODY);
    if (c && !wire_inflate(c, data, size, &out, &r, NULL)) {
        (void)wire_walk(out.data, out.len, &r, NULL);
        if (wire_deflate(c, out.data, out.len, &again, NULL) == 0 &&
            wire_inflate(c, again.data, again.len, &out, &r, NULL) != 0)
            abort(); /* our own frame is not taken */
    } else if (c && r == WIRE_OK) {
        abort(); /* refused without a reason */
    }
    buf_free(&out);
    buf_free(&again);
    wire_codec_free(&c);
    return 0;
}
