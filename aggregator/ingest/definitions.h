/* Definitions, decoded once and shared: hash to resource or schema, and which agents hold which. A
 * hold keeps its definition; pins keep a hold while a batch that uses it is under way. Pure. */
#ifndef SB_INGEST_DEFINITIONS_H
#define SB_INGEST_DEFINITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/wire/wire.h"

enum {
    DEFINITIONS_PER_AGENT = 4096,
    DEFINITIONS_NOBODY = 65536, /* held by "": brought by a relay or by someone unnamed */
};

struct definitions;
struct definitions *definitions_new(struct mem *mem, const uint64_t seed[2]); /* NULL without memory */
void definitions_free(struct definitions **d);                                /* nothing may be pinned */

struct definition {
    struct wire_hash hash;
    struct wire_definition is;
    /* the cache's own */
    struct bytes raw; /* owned */
    struct arena arena;
    uint32_t holds;
};
/* NULL: not known. Stays while somebody holds it. */
const struct definition *definitions_get(const struct definitions *d, const struct wire_hash *hash);
/* Whether value is a definition that would be taken: WIRE_OK, or
 * the reason with a sentence. ERR_NOMEM is WIRE_UNAVAILABLE. */
enum wire_reason definitions_check(struct mem *mem, struct bytes value, struct err *e);
/* Whether those of the entries that the agent does not hold yet find room in its quota. */
bool definitions_room(const struct definitions *d, struct wire_str agent, const struct wire_entry *entries,
                      uint32_t n);

/* An agent's hold on a definition. Read only. */
struct hold {
    const struct definition *def;
    bool durable; /* stands in the journal; else the next batch brings it there */
    /* the cache's own */
    struct holder *by;
    int64_t position, received; /* of the last batch that used it */
    uint32_t pins;
    bool fits; /* with the resource below */
    struct wire_hash resource;
};
/* Adds a definition, already checked, that has become durable with this hold. ERR_NOMEM, ERR_MALFORMED. */
int definitions_add(struct definitions *d, struct wire_str agent, const struct wire_hash *hash,
                    struct bytes value, struct wall received, struct err *e);
/* Each hold counts as used by the batch at this position: of those restored, nobody knows
 * the last batch that uses them, but none that was stored by then lies behind it. */
void definitions_used_until(struct definitions *d, int64_t position);
/* What the agent holds already counts as used just now, so that
 * it does not expire under a request that brings it again. */
void definitions_touch(struct definitions *d, struct wire_str agent, const struct wire_hash *hash,
                       struct wall received);
/* The agent's hold on a known definition, made when it is not
 * there, pinned once more. ERR_LIMIT: quota. ERR_NOMEM. */
int definitions_pin(struct definitions *d, struct wire_str agent, const struct definition *def,
                    struct hold **out);
/* position 0: it was not used after all; a hold that is not durable
 * ends then, lest it outlive the definition in the journal. */
void definitions_unpin(struct definitions *d, struct hold *h, int64_t position, struct wall received);
void definitions_made_durable(struct hold *h);
/* wire_schema_fits, remembered for each hold. */
int definitions_fit(struct hold *schema, const struct hold *resource, enum wire_reason *reason,
                    struct err *e);

/* Lets go each hold not pinned whose last batch is at or below position and was
 * received before `before`; fn is told each. Stops after `most`. Returns how many. */
typedef void (*definitions_dropped)(void *arg, const struct wire_hash *hash, struct wire_str agent);
size_t definitions_expire(struct definitions *d, int64_t position, struct wall before, size_t most,
                          definitions_dropped fn, void *arg);

/* Tells each definition, and each hold that is durable. Texts and bytes
 * are borrowed for the call. Ends with the first code that is not 0. */
struct definitions_listener {
    int (*definition)(void *arg, const struct wire_entry *entry);
    int (*hold)(void *arg, const struct wire_hash *hash, struct wire_str agent);
    void *arg;
};
int definitions_tell(const struct definitions *d, const struct definitions_listener *to);

struct definitions_stats {
    uint64_t definitions, holds, bytes;
};
struct definitions_stats definitions_stats(const struct definitions *d);

#endif
