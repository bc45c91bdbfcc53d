/* The contract of a collector: one file in agent/collectors/ that ends in one `const struct collector collector_<file>`, with
 * its own metric rows and option rows. Shapes:
 *
 *   read    the runner reads the named files with kept descriptors, one pread each, and hands over their bytes;
 *   call    the collector names jobs (a path for statvfs, say); each runs in a worker with a deadline, at most one per
 *           key, and a stuck one is not replaced; results are handed over at the next tick;
 *   ask     one request and one answer over a stream socket, by its own instance section ([redis main]);
 *   listen  datagrams arrive by themselves: agent/inputs/ has its own contract.
 *
 * Collectors are pure: bytes in, samples out. State lives in `state_size` zeroed bytes that the runner owns. */
#ifndef SB_AGENT_COLLECTOR_H
#define SB_AGENT_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/metric.h"
#include "common/config/config.h"

enum collector_shape { COLLECTOR_READ, COLLECTOR_CALL, COLLECTOR_ASK };

/* What a tick knows. */
struct tick {
    struct wall wall; /* of the tick, on the grid */
    struct mono mono;
    struct span since; /* since this collector's previous sample; 0 at the first */
};

/* What the call shape may call; the runner binds paths to its root prefix, tests bring answers of their own. */
enum call_kind { CALL_STATVFS, CALL_UNAME };
struct call_job {
    enum call_kind kind;
    char key[256]; /* STATVFS: the path below the root; UNAME: "" */
};
struct call_answer {
    int code;          /* 0, or errno; ETIMEDOUT while the job is stuck */
    uint64_t v[12];    /* STATVFS: bsize frsize blocks bfree bavail files ffree favail flag */
    char text[6][130]; /* UNAME: sysname nodename release version machine domainname */
};

struct collector {
    const char *name;    /* [collector NAME], --test NAME */
    const char *summary; /* one sentence */
    enum collector_shape shape;
    bool enabled;   /* by default */
    bool instances; /* one for each section [NAME LABEL] instead of one for the host */
    const struct metric_row *rows;
    size_t n_rows;
    const struct option_row *options; /* besides `enabled`, `interval`, `timeout`, which all have */
    size_t n_options;
    size_t state_size;

    /* At start and after a reload, with the section's options; may fill in the state. May be NULL. */
    int (*setup)(void *state, const struct section *options, struct err *e);
    void (*teardown)(void *state); /* may be NULL */

    /* read, call: files below the root ("proc/stat"), ends in NULL; one that is not there is given as {NULL, 0} */
    const char *const *files;
    int (*read)(void *state, const struct tick *t, const struct bytes *files, struct sink *out, struct err *e);

    /* call: which jobs the next round runs, then what the last finished round gave */
    size_t (*jobs)(void *state, const struct bytes *files, struct call_job *jobs, size_t max);
    int (*called)(void *state, const struct tick *t, const struct call_job *jobs, const struct call_answer *answers,
                  size_t n, struct sink *out, struct err *e);

    /* ask: where to is the option `address`. `request` is sent on a kept connection; `complete` tells how long the
     * answer is (0: more is needed, negative: it is no answer); `answered` turns it into samples, took is from request
     * to last byte; `failed` when nothing usable came. */
    int (*request)(void *state, struct buf *out, struct err *e);
    int64_t (*complete)(void *state, const uint8_t *p, size_t n, struct err *e);
    int (*answered)(void *state, const struct tick *t, struct bytes answer, struct span took, struct sink *out,
                    struct err *e);
    void (*failed)(void *state, const struct tick *t, const char *reason, struct sink *out);
};

/* The generated registry. */
extern const struct collector *const collectors[]; /* ends in NULL */
extern const size_t collectors_count;

#endif
