/* zstd frames (RFC 8878), as strict as docs/protocol.md: one frame and nothing else, content size and
 * checksum in its header, no dictionary. The header is read by hand because the library's reader takes
 * skippable and concatenated frames as well, and because the size must be known to be allowed before a byte
 * is inflated: 8 MiB of zeros fit into 300 bytes.
 *
 * For a level of 1 or below, which is the agent's, window and tables are bounded as well. A batch is
 * some tens of kilobytes; what costs memory in a context are the buffers of one block, which follow
 * the window: 32 KiB of window make it 180 KB instead of 550 KB, for less than 0.5 % of size. */
#include "common/wire/text.h"

#include <zstd.h>

#include "common/base/mem.h"

enum { SMALL_WINDOW_LOG = 15, SMALL_HASH_LOG = 13, HEADER_LEAST = 6 };

struct wire_codec {
    int level;
    ZSTD_CCtx *deflate; /* owned; made at first use: most processes need one direction alone */
    ZSTD_DCtx *inflate; /* owned; likewise */
};

struct wire_codec *wire_codec_new(int level)
{
    struct wire_codec *c = mem_alloc(NULL, sizeof *c);

    if (c)
        c->level = level;
    return c;
}

void wire_codec_free(struct wire_codec **c)
{
    if (!*c)
        return;
    (void)ZSTD_freeCCtx((*c)->deflate);
    (void)ZSTD_freeDCtx((*c)->inflate);
    mem_free(NULL, *c, sizeof **c);
    *c = NULL;
}

static bool deflate_ready(struct wire_codec *c)
{
    size_t bad = 0;

    if (c->deflate)
        return true;
    c->deflate = ZSTD_createCCtx();
    if (!c->deflate)
        return false;
    bad |= ZSTD_isError(ZSTD_CCtx_setParameter(c->deflate, ZSTD_c_compressionLevel, c->level));
    bad |= ZSTD_isError(ZSTD_CCtx_setParameter(c->deflate, ZSTD_c_checksumFlag, 1));
    bad |= ZSTD_isError(ZSTD_CCtx_setParameter(c->deflate, ZSTD_c_contentSizeFlag, 1));
    bad |= ZSTD_isError(ZSTD_CCtx_setParameter(c->deflate, ZSTD_c_dictIDFlag, 0));
    if (c->level <= 1) {
        bad |= ZSTD_isError(ZSTD_CCtx_setParameter(c->deflate, ZSTD_c_windowLog, SMALL_WINDOW_LOG));
        bad |= ZSTD_isError(ZSTD_CCtx_setParameter(c->deflate, ZSTD_c_hashLog, SMALL_HASH_LOG));
    }
    if (bad) {
        (void)ZSTD_freeCCtx(c->deflate);
        c->deflate = NULL;
    }
    return !bad;
}

int wire_deflate(struct wire_codec *c, const uint8_t *p, size_t n, struct buf *out, struct err *e)
{
    size_t room, got;

    if (n > WIRE_MAX_INFLATED)
        return err_set(e, ERR_LIMIT, "the payload has %zu bytes; at most %d are allowed", n,
                       WIRE_MAX_INFLATED);
    room = ZSTD_compressBound(n);
    if (room > WIRE_MAX_BODY)
        room = WIRE_MAX_BODY;
    if (!deflate_ready(c) || !buf_reserve(out, room))
        return err_set(e, ERR_NOMEM, "no memory is left to compress %zu bytes", n);
    got = ZSTD_compress2(c->deflate, out->data + out->len, room, p, n);
    if (ZSTD_isError(got)) {
        if (ZSTD_compressBound(n) > room)
            return err_set(e, ERR_LIMIT, "the frame would exceed %d bytes", WIRE_MAX_BODY);
        return err_set(e, ERR_NOMEM, "zstd: %s", ZSTD_getErrorName(got));
    }
    out->len += got;
    return 0;
}

/* Reads what the header must say (RFC 8878, section 3.1.1.1). Returns a complaint or NULL. */
static const char *read_header(const uint8_t *p, size_t n, uint64_t *size)
{
    static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd}, widths[4] = {0, 2, 4, 8};
    size_t at, width;
    uint8_t d;

    for (size_t i = 0; i < sizeof magic; i++)
        if (n < HEADER_LEAST || p[i] != magic[i])
            return "not a zstd frame";
    d = p[4];
    if (d & 0x08)
        return "a reserved bit is set in the header of the frame";
    if (d & 0x03)
        return "the frame asks for a dictionary";
    if (!(d & 0x04))
        return "the frame has no content checksum";
    width = widths[d >> 6];
    at = 5;
    if (d & 0x20)
        width = width ? width : 1; /* a single segment: size for window, always there */
    else
        at++; /* the window */
    if (!width)
        return "the frame does not tell the size of its content";
    if (n < at + width)
        return "the header of the frame is cut";
    *size = width == 2 ? 256 : 0;
    for (size_t i = 0; i < width; i++)
        *size += (uint64_t)p[at + i] << (8 * i);
    return NULL;
}

int wire_inflate(struct wire_codec *c, const uint8_t *p, size_t n, struct buf *out, enum wire_reason *reason,
                 struct err *e)
{
    uint64_t size = 0;
    const char *complaint;
    size_t frame, got;

    buf_clear(out);
    if (n > WIRE_MAX_BODY)
        return wire_fail(reason, WIRE_TOO_LARGE, e, ERR_LIMIT, "a body of %zu bytes; at most %d are allowed",
                         n, WIRE_MAX_BODY);
    complaint = read_header(p, n, &size);
    if (complaint)
        return wire_fail(reason, WIRE_FRAME, e, ERR_MALFORMED, "%s", complaint);
    if (size > WIRE_MAX_INFLATED)
        return wire_fail(reason, WIRE_TOO_LARGE, e, ERR_LIMIT,
                         "the frame holds %llu bytes; at most %d are allowed", (unsigned long long)size,
                         WIRE_MAX_INFLATED);
    frame = ZSTD_findFrameCompressedSize(p, n);
    if (ZSTD_isError(frame) || frame != n)
        return wire_fail(reason, WIRE_FRAME, e, ERR_MALFORMED, "the body is not exactly one frame");
    if (!c->inflate)
        c->inflate = ZSTD_createDCtx();
    if (!c->inflate || !buf_reserve(out, size ? (size_t)size : 1))
        return wire_no_memory(reason, e);
    got = ZSTD_decompressDCtx(c->inflate, out->data, (size_t)size, p, n);
    if (ZSTD_isError(got) || got != size)
        return wire_fail(reason, WIRE_FRAME, e, ERR_MALFORMED, "the frame is damaged: %s",
                         ZSTD_isError(got) ? ZSTD_getErrorName(got) : "it holds less than it tells");
    out->len = (size_t)size;
    return 0;
}
