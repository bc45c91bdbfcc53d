/* The batch protocol's documents, both ways: docs/protocol.md. Encoders write the one canonical form (maps
 * sorted, smallest integers); decoders are total: any bytes give a value or an error, and limits are checked
 * by a walk over the bytes before anything is allocated by the sender's word. Views returned by decoders
 * borrow from the bytes handed in. A decoder that runs out of memory returns ERR_NOMEM with the reason
 * WIRE_UNAVAILABLE: the same bytes may be taken later. */
#ifndef SB_WIRE_WIRE_H
#define SB_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"

enum {
    WIRE_VERSION = 1,
    WIRE_MAX_BODY = 1 << 20,
    WIRE_MAX_INFLATED = 8 << 20,
    WIRE_MAX_DEPTH = 5,
    WIRE_MAX_BLOCKS = 64,
    WIRE_MAX_SERIES = 4096,
    WIRE_MAX_TICKS = 3600,
    WIRE_MAX_VALUES = 1 << 20,
    WIRE_MAX_EVENTS = 256,
    WIRE_MAX_KEYS = 256,
    WIRE_MAX_DEFINITIONS = 256,
    WIRE_MAX_NAME = 200,
    WIRE_MAX_LABEL_NAME = 100,
    WIRE_MAX_LABEL_VALUE = 500,
    WIRE_MAX_HELP = 1024,
    WIRE_MAX_LABELS = 32,
    WIRE_MAX_AGENT = 128,
    WIRE_MAX_EVENT_NAME = 200,
    WIRE_MAX_EVENT_TEXT = 8192,
};

#define WIRE_TYPE_BATCH       "application/vnd.securebase.batch"
#define WIRE_TYPE_DEFINITIONS "application/vnd.securebase.definitions"
#define WIRE_TYPE_ANSWER      "application/vnd.securebase.answer"

enum wire_kind { WIRE_GAUGE = 0, WIRE_COUNTER = 1, WIRE_SKETCH = 2, WIRE_UNTYPED = 3 };

/* Reasons of answers, in the order of docs/protocol.md; wire_reason_name gives the token. */
enum wire_reason {
    WIRE_OK = 0,
    WIRE_NOT_FOUND,
    WIRE_METHOD,
    WIRE_LENGTH,
    WIRE_TYPE,
    WIRE_TOO_LARGE,
    WIRE_UNAUTHORIZED,
    WIRE_FRAME,
    WIRE_MALFORMED,
    WIRE_LIMIT,
    WIRE_BAD_VERSION,
    WIRE_EPOCH,
    WIRE_IDENTITY,
    WIRE_SUPERSEDED,
    WIRE_CONFLICT,
    WIRE_DEFINITIONS,
    WIRE_BLOCK,
    WIRE_SKETCH_REASON,
    WIRE_EVENT,
    WIRE_DEFINITION,
    WIRE_OVERLOAD,
    WIRE_QUOTA,
    WIRE_UNAVAILABLE,
    WIRE_REASONS
};
const char *wire_reason_name(enum wire_reason r);
/* The HTTP status that goes with a reason (200 for WIRE_OK). */
int wire_reason_status(enum wire_reason r);

/* Names a definition: first 16 bytes of the SHA-256 of its bytes. */
struct wire_hash {
    uint8_t b[16];
};
struct wire_hash wire_hash_of(const uint8_t *p, size_t n);

struct wire_str {
    const char *p; /* not terminated; valid UTF-8 */
    uint32_t n;
};

struct wire_label {
    struct wire_str name, value;
};

/* ---- definitions ---- */

struct wire_resource {
    struct wire_label *labels; /* sorted by name */
    uint32_t n_labels;
};

struct wire_series {
    struct wire_str name;
    enum wire_kind kind;
    uint32_t mul, div;
    struct wire_label *labels; /* sorted by name */
    uint32_t n_labels;
    struct wire_str help;
};

struct wire_schema {
    struct wire_series *series;
    uint32_t n;
    uint32_t n_sketches; /* series of kind 2; the others have a byte in `mode` each */
};

/* Names and values are checked as the page says; labels may come in any order (they are sorted on the way
 * out). ERR_MALFORMED or ERR_LIMIT with a sentence; ERR_NOMEM when out is full. */
int wire_resource_encode(const struct wire_resource *r, struct buf *out, struct err *e);
int wire_schema_encode(const struct wire_schema *s, struct buf *out, struct err *e);

enum wire_sort { WIRE_SORT_RESOURCE, WIRE_SORT_SCHEMA };
/* Reads a definition, telling by its root which sort it is. The arrays come from the arena; strings borrow
 * from p. *reason is WIRE_DEFINITION or WIRE_LIMIT or WIRE_MALFORMED when it fails. */
struct wire_definition {
    enum wire_sort sort;
    struct wire_resource resource;
    struct wire_schema schema;
};
int wire_definition_decode(const uint8_t *p, size_t n, struct arena *a, struct wire_definition *out,
                           enum wire_reason *reason, struct err *e);

/* Name and label rules, for those who make names. */
bool wire_metric_name_ok(const char *p, size_t n);
bool wire_label_name_ok(const char *p, size_t n);  /* syntax, "__" and the reserved ones */
bool wire_label_value_ok(const char *p, size_t n); /* UTF-8 without NUL, 1 … 500 bytes */
bool wire_utf8_ok(const char *p, size_t n);
/* True when the name does not begin with securebase_, or with one of the prefixes that agents may use. */
bool wire_metric_prefix_ok(const char *p, size_t n);

/* ---- frames ---- */

struct wire_codec;                            /* owns zstd contexts; one per thread */
struct wire_codec *wire_codec_new(int level); /* NULL without memory */
void wire_codec_free(struct wire_codec **c);
/* Appends one zstd frame with content size and checksum. ERR_LIMIT when the payload exceeds WIRE_MAX_INFLATED
 * or the frame exceeds WIRE_MAX_BODY. */
int wire_deflate(struct wire_codec *c, const uint8_t *p, size_t n, struct buf *out, struct err *e);
/* Inflates exactly one frame as the page demands into out
 * (cleared first). *reason: WIRE_FRAME or WIRE_TOO_LARGE. */
int wire_inflate(struct wire_codec *c, const uint8_t *p, size_t n, struct buf *out, enum wire_reason *reason,
                 struct err *e);

/* ---- batches: writing ---- */

/* Columns of one block. For series j of kind 0, 1, 3: mode[j] tells whether ints or reals are read; values of
 * tick i stand at column[j].ints[i] / reals[i]; present[j] is a bitmap of n bits (NULL: all present). For
 * kind 2: sketches[i] is encoded bytes (made by sketch_encode), {NULL, 0} where absent. */
struct wire_column {
    uint8_t mode;        /* 0 integers, 1 float64 */
    const int64_t *ints; /* n entries; those not present are ignored */
    const double *reals; /* n entries */
    const struct bytes *sketches;
    const uint8_t *present; /* ceil(n / 8) bytes or NULL */
};

struct wire_block_out {
    struct wire_hash schema;
    const struct wire_schema *layout; /* kinds in order */
    int64_t t0;
    uint32_t dt, n;
    bool has_start;
    int64_t start;
    const int32_t *jitter;             /* n entries, or NULL */
    const struct wire_column *columns; /* layout->n entries */
};

struct wire_event {
    int64_t t;
    struct wire_str kind, name, text;
    struct wire_label *labels;
    uint32_t n_labels;
};

struct wire_batch_out {
    struct wire_str agent;
    uint64_t epoch, seq, low;
    int64_t sealed;
    struct wire_hash resource;
    const struct wire_block_out *blocks;
    uint32_t n_blocks;
    const struct wire_event *events;
    uint32_t n_events;
};
/* Appends the msgpack payload (not yet a frame). The caller
 * keeps to the limits; they are checked again here. */
int wire_batch_encode(const struct wire_batch_out *b, struct buf *out, struct err *e);

/* ---- batches: reading ---- */

struct wire_block {
    struct wire_hash schema;
    int64_t t0;
    uint32_t dt, n;
    bool has_start;
    int64_t start;
    struct bytes jitter, present; /* p NULL when the key is absent */
    struct bytes mode, ints, reals, sketches;
    /* A key other than schema that is missing or wrong, or NULL; then the fields above are not to be read,
     * and wire_block_decode answers with bad_reason (WIRE_BLOCK or WIRE_LIMIT). */
    const char *bad;
    enum wire_reason bad_reason;
};

struct wire_batch {
    struct wire_str agent;
    uint64_t epoch, seq, low;
    int64_t sealed;
    struct wire_hash resource;
    struct wire_block *blocks; /* arena */
    uint32_t n_blocks;
    struct bytes events; /* the raw array, or {NULL, 0}; wire_events_decode */
};

/* Step 1: walk over the whole payload: well formed, depth, keys, no duplicate keys, UTF-8, nothing behind the
 * root. WIRE_MALFORMED or WIRE_LIMIT. */
int wire_walk(const uint8_t *p, size_t n, enum wire_reason *reason, struct err *e);
/* Step 2, after wire_walk: `v` first (missing is WIRE_MALFORMED, another is WIRE_BAD_VERSION), then the other
 * keys of the root, the number of blocks and events, and the schema of each block: WIRE_MALFORMED or
 * WIRE_LIMIT. The other keys of a block are read, but what is wrong with them waits in wire_block.bad for its
 * turn, which comes after unknown definitions. */
int wire_batch_decode(const uint8_t *p, size_t n, struct arena *a, struct wire_batch *out,
                      enum wire_reason *reason, struct err *e);
/* Step 3, once the schema is known: everything else that the page says of a block. Values are packed: those
 * of absent ticks take no room, so that memory is bounded by what was sent and not by series × ticks. All
 * arrays are in the arena; sketches and bitmaps borrow from the payload. *values is raised by the number of
 * values present (bounded over the batch by WIRE_MAX_VALUES: WIRE_LIMIT). *reason: WIRE_BLOCK,
 * WIRE_SKETCH_REASON, WIRE_LIMIT. */
struct wire_values {
    uint32_t n;      /* ticks */
    int64_t *times;  /* n wall ms, strictly increasing */
    uint32_t *count; /* per series: ticks present */
    double **num;    /* per series of kind 0, 1, 3: count[j] doubles, scaled, in the order of ticks; NULL for
                        sketches */
    struct bytes **sketch;   /* per series of kind 2: count[j] encoded, checked sketches; NULL for others */
    const uint8_t **present; /* per series: bitmap of n bits, or NULL when every tick is present;
                                wire_next_tick reads it */
};
int wire_block_decode(const struct wire_block *b, const struct wire_schema *s, struct arena *a,
                      struct wire_values *out, uint64_t *values, enum wire_reason *reason, struct err *e);
/* The first tick >= from at which the series is present, or v->n. The values of series j:
 * for (k = 0, i = wire_next_tick(v, j, 0); i < v->n; k++, i = wire_next_tick(v, j, i + 1))
 *     … v->times[i], v->num[j][k] */
static inline uint32_t wire_next_tick(const struct wire_values *v, uint32_t series, uint32_t from)
{
    const uint8_t *bits = v->present[series];

    while (bits && from < v->n && !(bits[from / 8] >> (from % 8) & 1))
        from++;
    return from < v->n ? from : v->n;
}
/* Two blocks of a batch with the same schema may not share a tick time: call after the blocks are decoded. */
int wire_batch_check_ticks(const struct wire_batch *b, const struct wire_values *const *values,
                           enum wire_reason *reason, struct err *e);
int wire_events_decode(struct bytes raw, struct arena *a, struct wire_event **out, uint32_t *n,
                       enum wire_reason *reason, struct err *e);
/* A series may not use a label name of its resource: for the caller that has both. 0, or ERR_MALFORMED with
 * *reason WIRE_DEFINITION. */
int wire_schema_fits(const struct wire_schema *s, const struct wire_resource *r, enum wire_reason *reason,
                     struct err *e);

/* ---- definitions request, answers ---- */

struct wire_entry {
    struct wire_hash hash;
    struct bytes value;
};
int wire_definitions_encode(const struct wire_entry *e, uint32_t n, struct buf *out, struct err *err);
/* After wire_walk; checks each hash. Entries in the arena, values borrow from p. */
int wire_definitions_decode(const uint8_t *p, size_t n, struct arena *a, struct wire_entry **out,
                            uint32_t *count, enum wire_reason *reason, struct err *e);

enum wire_refusal { WIRE_FUTURE, WIRE_TOO_OLD, WIRE_VALUE_QUOTA, WIRE_KIND_CONFLICT, WIRE_REFUSALS };
const char *wire_refusal_name(enum wire_refusal r);

/* Any answer: which fields count is told by the status. */
struct wire_answer {
    int status;
    /* 200 */
    uint64_t epoch, seq;
    int64_t time;
    bool duplicate;
    uint64_t refused[WIRE_REFUSALS];
    uint64_t refused_other; /* of reasons that this version does not know; decoding only */
    /* 409 */
    struct wire_hash *need; /* arena when decoded */
    uint32_t n_need;
    /* the rest */
    enum wire_reason reason;
    char error[256];
};
/* for_definitions: a 200 with `time` only. */
int wire_answer_encode(const struct wire_answer *a, bool for_definitions, struct buf *out);
/* Total; an unknown reason token is kept as WIRE_OK with the text in error. ERR_MALFORMED. */
int wire_answer_decode(int status, const uint8_t *p, size_t n, bool for_definitions, struct arena *ar,
                       struct wire_answer *out, struct err *e);

#endif
