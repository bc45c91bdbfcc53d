/* Active probes: a request made every so often, what it took, phase by phase, and whether the answer
 * was good. Used by agents and by voting aggregators alike. What is good and what is measured is
 * decided by pure functions (http.c, tally.c); probe_io.c carries it out on a loop. */
#ifndef SB_PROBE_PROBE_H
#define SB_PROBE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/metric.h"
#include "common/config/config.h"
#include "common/net/http_client.h"
#include "common/net/loop.h"

/* [probe LABEL]. */
extern const struct section_row probe_section;

/* Why a probe failed; the label `reason`. PROBE_OK is no reason. */
enum probe_reason {
    PROBE_OK,
    PROBE_FAIL_DNS,         /* dns: no address for the name */
    PROBE_FAIL_CONNECT,     /* connect: refused or unreachable */
    PROBE_FAIL_TLS,         /* tls: no handshake */
    PROBE_FAIL_CERTIFICATE, /* certificate: expired, of another name, not of a trusted issuer */
    PROBE_FAIL_EXPIRY,      /* expiry: valid, but not for certificate_days more */
    PROBE_FAIL_TIMEOUT,     /* timeout, in any phase */
    PROBE_FAIL_SEND,        /* send: the connection broke before the request was out */
    PROBE_FAIL_RECEIVE,     /* receive: it broke before the answer was complete */
    PROBE_FAIL_PROTOCOL,    /* protocol: what came is not HTTP */
    PROBE_FAIL_TOO_LARGE,   /* too_large: more than max_answer */
    PROBE_FAIL_STATUS,      /* status: not one of the statuses wanted */
    PROBE_FAIL_BODY,        /* body: the text wanted is not in it */
    PROBE_FAIL_INTERNAL,    /* internal: the probe itself could not be made */
    PROBE_REASONS
};
const char *probe_reason_name(enum probe_reason r); /* the token; "" for PROBE_OK */

enum probe_phase { PROBE_DNS, PROBE_CONNECT, PROBE_TLS, PROBE_FIRST_BYTE, PROBE_TRANSFER, PROBE_PHASES };
const char *probe_phase_name(enum probe_phase p); /* "dns" "connect" "tls" "first_byte" "transfer" */

struct probe_result {
    enum probe_reason reason; /* PROBE_OK: success */
    char error[256];          /* a sentence; "" on success */
    int status;               /* HTTP; 0 when none came */
    /* How long each phase took. They sum to total; a phase that was not needed or not
     * reached is 0, the one in which a failure happened has the time until then. */
    struct span phase[PROBE_PHASES];
    struct span total;
    struct wall at;             /* when it began */
    struct wall cert_not_after; /* {0}: not known */
    char remote[64];            /* the address used; "" */
};

/* ---- http.c: pure ---- */

/* What is asked and what is wanted. Borrows from the configuration, which must outlive it. */
struct probe_spec {
    const char *label, *url, *method;
    struct span interval, timeout;
    size_t max_answer;
    const struct section *section; /* statuses are read from here */
    const char *body_contains;     /* NULL: any */
    struct span certificate_left;  /* fails when the certificate is valid for less; 0: no such wish */
    const char *ca;                /* NULL: the system's */
    bool insecure;
};

/* Reads a section of probe_section's rows. 0, or ERR_CONFIG
 * with a sentence and, if report is given, a line in it. */
int probe_spec_read(struct probe_spec *spec, const struct section *s, struct buf *report, struct err *e);
/* The request for it; borrows from spec. */
struct http_request probe_request(const struct probe_spec *spec);
/* The verdict on what came of it. now: the wall clock at the end. */
void probe_judge(const struct probe_spec *spec, const struct http_result *r, struct wall now,
                 struct probe_result *out);

/* ---- tally.c: pure ---- */

/* What is known of a probe after some runs. Zero-initialise. */
struct probe_tally {
    uint64_t runs, failures[PROBE_REASONS];
    uint64_t skipped;         /* runs that were due while the one before was still under way */
    struct probe_result last; /* valid when runs > 0 */
};
void probe_count(struct probe_tally *t, const struct probe_result *r);
/* Nothing before the first run. */
void probe_metrics(const struct probe_tally *t, const char *label, struct sink *out);

/* ---- probe_io.c ---- */

struct probe;
typedef void (*probe_done)(void *arg, const struct probe *p, const struct probe_result *r);
struct probe_params {
    const struct section *section; /* borrowed; must outlive the probe */
    struct http_client *client; /* borrowed, for probes without a ca of their own; NULL: each has its own */
    probe_done done;            /* after each run, on the loop; must not free the probe; may be NULL */
    void *arg;
};
struct probe *probe_new(struct loop *l, const struct probe_params *p, struct err *e);
void probe_free(struct probe **p); /* a run under way ends without done */
/* From now on every interval, the first after `first`, so that probes can be spread. */
void probe_start(struct probe *p, struct span first);
/* Once, now. 0, or ERR_STATE when one is under way. */
int probe_run(struct probe *p);
const struct probe_spec *probe_spec_of(const struct probe *p);
const struct probe_tally *probe_tally_of(const struct probe *p);

#endif
