/* The road of one request, from its bytes to what is to be journalled and back from
 * the commit to its effect and answer, in the order of docs/protocol.md, section 4.
 * Pure: the shell (ingest_io.c) brings bytes and time, journals, and answers. */
#ifndef SB_INGEST_INTAKE_H
#define SB_INGEST_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "aggregator/ingest/admission.h"
#include "aggregator/ingest/definitions.h"
#include "aggregator/series/series.h"
#include "aggregator/store/journal.h"
#include "common/base/arena.h"
#include "common/net/tls.h"
#include "common/wire/wire.h"

enum { INTAKE_TENANT = 64 };

/* Who speaks on a connection. */
struct caller {
    bool anyone; /* auth = none: each agent's own connection */
    bool relay;
    bool peer;  /* another aggregator */
    unsigned n; /* agents that this connection is */
    char agent[TLS_MAX_IDENTITIES][WIRE_MAX_AGENT + 1];
    char tenant[INTAKE_TENANT + 1]; /* "" : none */
};
/* From `securebase://agent/<id>`, `securebase://role/relay`, `securebase://tenant/<name>`; the CN counts as
 * an agent id with use_cn. What does not read as one of these is passed over. False without a certificate. */
bool caller_of_tls(const struct tls_identity *id, bool use_cn, struct caller *out);
bool caller_name_ok(const char *id, size_t n); /* an agent id as the wire knows it */

/* What the road passes through. All borrowed. */
struct intake {
    struct wire_codec *codec;
    struct admission *admission;
    struct definitions *definitions;
    struct series_set *series;
    struct mem *work_mem; /* budget of all requests under way */
};

/* A request under way: owns what was made of it. */
struct work {
    struct intake *in;
    struct mem *mem;
    struct arena arena;
    struct buf payload, verdict, state;
    struct bytes frame; /* borrowed: the body */
    struct wall sent;   /* 0: unknown */
    char tenant[INTAKE_TENANT + 1];

    /* a batch */
    struct wire_batch batch;
    struct admission_facts facts;
    struct admission_prepared prepared;
    struct hold *resource, **schemas; /* pinned; NULL: not (yet) */
    struct wire_hash *fresh;          /* holds that are not durable yet */
    uint32_t n_fresh;
    const struct wire_schema **layouts;
    const struct wire_values **values;
    struct wire_event *events;
    uint32_t n_events;
    uint64_t n_values, refused[WIRE_REFUSALS];

    /* definitions */
    struct wire_entry *entries;
    uint32_t n_entries;
    struct wire_str holder;

    /* the shell's */
    void *exchange, *owner;
    struct mono begun;
    struct work *next;
};
struct work *work_new(struct intake *in); /* NULL without memory */
void work_free(struct work **w);          /* unpins what is pinned */

/* Each returns true when the answer is final (in *a), false when
 * the road goes on. Texts in *a stay valid until work_free. */
/* Frame, walk, root. */
bool intake_read(struct work *w, struct bytes body, const struct caller *who, struct wire_answer *a);
/* What does not depend on batches of the agent under way: epoch and identity. */
bool intake_greet(struct work *w, struct wall now, struct wire_answer *a);
/* All the rest, up to what is to be journalled. No other batch of this agent may be under way. */
bool intake_judge(struct work *w, struct wall now, struct wire_answer *a);
void intake_journal(const struct work *w, struct journal_batch *out);
/* After the commit (position > 0): takes effect and makes the answer. */
void intake_commit(struct work *w, int64_t position, struct wire_answer *a);
/* The journal did not take it, or the commit failed with the code. */
void intake_abort(struct work *w, int code, struct wire_answer *a);

/* Definitions: reads and checks all entries. Then the shell journals w->entries in the name of w->holder. */
bool intake_definitions(struct work *w, struct bytes body, const struct caller *who, struct wall now,
                        struct wire_answer *a);
void intake_defined(struct work *w, int code, struct wall now, struct wire_answer *a);

/* A batch from the journal, at start. ERR_NOTFOUND: a definition is missing; ERR_MALFORMED, ERR_NOMEM. */
int intake_replay(struct intake *in, const struct journal_entry *entry, bool latest_only, struct err *e);

void intake_refuse(struct wire_answer *a, enum wire_reason reason, const char *text);

#endif
