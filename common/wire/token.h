/* MessagePack, token by token, over bytes that a stranger wrote. msgpack-c's own reader allocates an array by
 * the length that its header claims and takes duplicate keys, any string and bytes behind the root; here
 * nothing is allocated, and a container whose header claims more elements than there are bytes left is
 * refused at the header. */
#ifndef SB_WIRE_TOKEN_H
#define SB_WIRE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/wire/wire.h"

enum tok_type {
    TOK_BAD, /* the byte 0xc1 */
    TOK_NIL,
    TOK_BOOL,
    TOK_UINT, /* any integer >= 0 */
    TOK_NEG,  /* an integer < 0 */
    TOK_FLOAT,
    TOK_STR,
    TOK_BIN,
    TOK_EXT,
    TOK_ARRAY,
    TOK_MAP,
};

struct tok {
    enum tok_type type;
    uint32_t n;       /* bytes of a str, bin or ext; elements of an array; pairs of a map */
    uint64_t u;       /* integer in two's complement, boolean, bits of a float */
    const uint8_t *p; /* content of str, bin */
};

struct reader {
    const uint8_t *p, *end;
};

/* Takes the next token (of a container its header alone). False when the bytes end or break the format; r is
 * then anywhere in its bounds. */
bool tok_next(struct reader *r, struct tok *t);
/* Skips one whole value. False as above. Iterative: depth costs nothing. */
bool tok_skip(struct reader *r);

/* One key of a map that is wanted: the name is filled in by the
 * caller, at.p is NULL while the key has not been seen. */
struct field {
    const char *name;
    struct reader at; /* the bytes of the value */
};
#define FIELD(key)                                                                                           \
    {                                                                                                        \
        .name = key                                                                                          \
    }
/* Reads a map with str keys and notes where the values of f[n] stand; other keys are skipped. False when the
 * value is not such a map. */
bool fields_read(struct reader *r, struct field *f, size_t n);

/* The value of a field; false when it is missing or of another type or range. */
bool field_uint(const struct field *f, uint64_t min, uint64_t max, uint64_t *v);
bool field_int(const struct field *f, int64_t *v);
bool field_bool(const struct field *f, bool *v);
bool field_str(const struct field *f, struct wire_str *s);
bool field_bin(const struct field *f, struct bytes *b);
bool field_hash(const struct field *f, struct wire_hash *h);

#endif
