/* What ingest counts of itself. Pure. */
#ifndef SB_INGEST_FIGURES_H
#define SB_INGEST_FIGURES_H

#include "aggregator/ingest/admission.h"
#include "aggregator/ingest/definitions.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/metric.h"
#include "common/net/http_server.h"
#include "common/sketch/sketch.h"
#include "common/wire/wire.h"

enum request_path { PATH_BATCHES, PATH_DEFINITIONS, PATH_PEER, PATH_GUARD, PATH_OTHER, REQUEST_PATHS };

struct figures {
    uint64_t requests[REQUEST_PATHS][WIRE_REASONS];
    uint64_t accepted, duplicates;
    uint64_t values, frame_bytes, payload_bytes; /* of accepted batches */
    uint64_t parked;                             /* batches that waited for another one of their agent */
    uint64_t replayed, unreadable;               /* journal entries at start */
    uint64_t renewals;                           /* journals begun from memory */
    uint64_t persists, failed_persists, pruned_definitions, expired_agents, snapshots;
    struct sketch took; /* seconds from a batch's receipt to its answer, accepted ones only */
};
void figures_init(struct figures *f, struct mem *mem);
void figures_free(struct figures *f);
void figures_answer(struct figures *f, enum request_path path, const struct wire_answer *a);

/* The state at the moment of telling. */
struct figures_now {
    struct admission_stats admission;
    struct definitions_stats definitions;
    struct http_server_stats http;
    const struct mem *state_mem, *work_mem, *series_mem;
    uint64_t under_way;
    int64_t position, persisted;
    struct wall certificate; /* {0}: none */
};
void figures_metrics(const struct figures *f, const struct figures_now *now, struct sink *out);

#endif
