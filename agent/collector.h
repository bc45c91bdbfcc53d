/* The contract of a collector: one file in agent/collectors/ that ends in one `const struct collector
 * collector_<file>`, with its own metric rows and option rows. Shapes:
 *
 *   read    the runner reads the named files with kept descriptors and hands over their bytes;
 *   call    the collector names jobs (a path for statvfs, say); each runs in a worker with a deadline, at
 *           most one per key, and a stuck one is not replaced; what a round gave is handed over as soon as
 *           its last job is back or late;
 *   ask     one request and one answer over a stream socket, by its own instance section ([redis main]).
 *
 * Datagrams that arrive by themselves are inputs (agent/inputs/), with a contract of their own.
 * A read collector may name jobs as well (netdev asks for link speeds now and then).
 * Collectors are pure: bytes in, samples out. State lives in `state_size` zeroed bytes that the runner owns.
 */
#ifndef SB_AGENT_COLLECTOR_H
#define SB_AGENT_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/base/metric.h"
#include "common/config/config.h"

enum collector_shape { COLLECTOR_READ, COLLECTOR_CALL, COLLECTOR_ASK };

/* What a tick knows. */
struct tick {
    struct wall wall; /* of the tick, on the grid */
    struct mono mono;
    struct span since; /* since this collector's previous sample; 0 at the first */
};

/* What jobs may call; the runner binds paths to its root prefix, tests bring answers of their own. */
enum call_kind { CALL_STATVFS, CALL_UNAME, CALL_NUMBER };
struct call_job {
    enum call_kind kind;
    char key[256]; /* STATVFS: the path below the root ("/home"); NUMBER: a file ("sys/class/net/eth0/speed");
                      UNAME: "" */
};
struct call_answer {
    int code; /* 0, or errno; ETIMEDOUT while the job is stuck; EAGAIN when no worker was free */
    /* STATVFS: bsize frsize blocks bfree bavail files ffree favail flag; NUMBER: v[0], as int64 */
    uint64_t v[9];
    char text[6][130]; /* UNAME: sysname nodename release version machine domainname */
};

/* What a collector is set up with; all of it borrowed for the call but `mem`, which outlives the state. */
struct collector_setup {
    const struct section *options; /* its section, never NULL */
    const char *secret; /* text of the option named by collector.secret; NULL when that is not set */
    struct mem *mem;    /* for what the state has to grow */
};

struct collector {
    const char *name;    /* [collector NAME], --test NAME; a collector with instances: [NAME LABEL] */
    const char *summary; /* one sentence */
    enum collector_shape shape;
    bool enabled;         /* by default */
    bool instances;       /* one for each section [NAME LABEL] instead of one for the host */
    const char *instance; /* with instances: the name of the label that carries LABEL ("server") */
    const char *interval; /* default of the option `interval`; NULL: that of the agent */
    const struct metric_row *rows;
    size_t n_rows;
    const struct option_row *options; /* besides `enabled`, `interval`, `timeout`, which all have */
    size_t n_options;
    const char *secret; /* key of an OPT_SECRET option that the runner reads for setup; NULL: none */
    size_t state_size;

    /* At start, with the section's options; may fill in the state. May be NULL. */
    int (*setup)(void *state, const struct collector_setup *s, struct err *e);
    void (*teardown)(void *state); /* releases what the state has grown; may be NULL */

    /* read, call: files below the root ("proc/stat"), ends in
     * NULL; one that is not there is given as {NULL, 0} */
    const char *const *files;
    int (*read)(void *state, const struct tick *t, const struct bytes *files, struct sink *out,
                struct err *e);

    /* call: which jobs this round runs, the number of them (when more than max,
     * the runner asks again with more room, if it has any; else the first max are
     * run); then what the round gave. No round begins while one is out. */
    size_t (*jobs)(void *state, const struct bytes *files, struct call_job *jobs, size_t max);
    int (*called)(void *state, const struct tick *t, const struct call_job *jobs,
                  const struct call_answer *answers, size_t n, struct sink *out, struct err *e);

    /* ask: where to is the option `address`. `request` is sent on a kept connection; `complete` tells how
     * long the answer is (0: more is needed, negative: it is no answer); `answered` turns it into samples,
     * took is from request to last byte; `failed` when nothing usable came, with one of the tokens of
     * ask_reasons. `fresh` in request tells that the connection is new. */
    int (*request)(void *state, bool fresh, struct buf *out, struct err *e);
    int64_t (*complete)(void *state, const uint8_t *p, size_t n, struct err *e);
    int (*answered)(void *state, const struct tick *t, struct bytes answer, struct span took,
                    struct sink *out, struct err *e);
    void (*failed)(void *state, const struct tick *t, const char *reason, struct sink *out);
};

/* Why an ask gave nothing: no address for the name, no connection, the deadline, closed before the end, not
 * an answer (or one that makes no sense), longer than allowed, refused by the server. The runner and the
 * collector itself (from answered) use these. */
#define ASK_REASONS "resolve connect timeout closed protocol too_large denied"

/* The generated registry. */
extern const struct collector *const collectors[]; /* ends in NULL */
extern const size_t collectors_count;

#endif
