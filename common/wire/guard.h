/* POST /v1/guard: what a guard on a service's host asks every aggregator, and what these answer (docs/protocol.md). JSON both
 * ways, one object each; members that are not known are passed over, numbers are whole and within bounds. Pure; every reader
 * is total on any bytes.
 *
 * The guard acts on `sent + lease`, so an answer that comes late is worth as much less: nothing here names a time of day. */
#ifndef SB_WIRE_GUARD_H
#define SB_WIRE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/wire/wire.h"

enum {
    GUARD_NAME = 65,     /* with the terminator: guards, services, regions */
    GUARD_BOOT = 33,     /* hexadecimal digits */
    GUARD_WHY = 200,     /* of an answer, for people */
    GUARD_BODY = 4096,   /* most bytes of a request, and of an answer */
    GUARD_LEASE = 60000, /* most milliseconds of a lease and of a promise */
    GUARD_LEASE_LEAST =
        2000 /* a shorter one could not be kept by a guard that asks again within two seconds */
};

struct guard_ask {
    char guard[GUARD_NAME], service[GUARD_NAME], region[GUARD_NAME];
    char agent[WIRE_MAX_AGENT + 1];
    char boot[GUARD_BOOT]; /* of the guard's process; seq begins anew with it */
    uint64_t seq;          /* grows with each round; the same for all aggregators */
    bool serving;          /* the service may be writing: false only while a fence is proven to hold */
    uint32_t fenced_epoch; /* the highest epoch at which a fence was proven; 0 never */
    uint32_t seen_epoch;   /* the highest heard of */
};

struct guard_answer {
    bool held;      /* the record was read linearizably just now; else the aggregator is away from it */
    bool serve;     /* held: this region may write */
    uint32_t epoch; /* of the record; away: the last one known, 0 none */
    char writer[GUARD_NAME]; /* the region that may write; "" none (null) */
    int32_t lease_ms;        /* held and serve: from when the request was sent */
    int32_t promise_ms;      /* away: so long this aggregator will not act; 0 no promise */
    char why[GUARD_WHY];     /* one sentence; may be "" */
};

/* 0, ERR_LIMIT (out), ERR_NOMEM. */
int guard_ask_write(const struct guard_ask *a, struct buf *out);
int guard_answer_write(const struct guard_answer *a, struct buf *out);
/* 0, ERR_MALFORMED, ERR_RANGE, ERR_LIMIT, ERR_VERSION. *out is only whole after 0. */
int guard_ask_read(struct bytes json, struct guard_ask *out, struct err *e);
int guard_answer_read(struct bytes json, struct guard_answer *out, struct err *e);

/* 1 to 64 of [A-Za-z0-9._-], not beginning with '.': guards and services. */
bool guard_name_ok(const char *s);

#endif
