/* What a guard can do to a service, and how it knows that it is done. Each kind in a file of its own; all of them block, and
 * run in a process of their own that is killed at the deadline (helper_io.c). All are idempotent, and each ends with its
 * proof: what was asked to stop is looked at. The pure parts are in fence.c. */
#ifndef SB_GUARD_FENCE_H
#define SB_GUARD_FENCE_H

#include "agent/guard/guard.h"
#include "agent/guard/settings.h"
#include "common/base/arena.h"

struct fence_order {
    enum guard_job job; /* FENCE: do it and prove it; PROVE: look only; RELEASE: undo it */
    uint32_t epoch;
    const char *reason;
    struct mono until; /* it is killed then */
};

/* 0: done and proven (PROVE: it still holds). Else e says what is in the way. */
int fence_carry_out(enum fence_kind k, const struct guard_settings *s, const struct fence_order *o,
                    struct err *e);

int fence_unit(const struct guard_settings *s, const struct fence_order *o, struct err *e);
int fence_haproxy(const struct guard_settings *s, const struct fence_order *o, struct err *e);
int fence_postgresql(const struct guard_settings *s, const struct fence_order *o, struct err *e);
int fence_command(const struct guard_settings *s, const struct fence_order *o, struct err *e);

/* Runs words with `tail` behind them (either may be of 0 words) within the order's time; what it said, its end cut off, goes to
 * said[cap]. Its exit status; negative with e when there is none. */
struct child_user;
int fence_run(const char *const *words, size_t n, struct bytes input, const struct child_user *user,
              const struct fence_order *o, char *said, size_t cap, struct err *e);
struct span fence_left(const struct fence_order *o); /* at least 1 ms */

/* ---- fence.c: pure ---- */

/* How many servers of BACKEND (or the one BACKEND/SERVER) an answer to `show servers state BACKEND` names, and how many of
 * them are in maintenance by force (SRV_ADMF_FMAINT, haproxy's management guide, 9.3). ERR_MALFORMED: no such answer. */
struct haproxy_seen {
    unsigned servers, in_maintenance;
};
int haproxy_servers(struct bytes answer, const char *backend, const char *server, struct haproxy_seen *out);
/* The names of the servers, one after the other; NULL behind the last. `at` begins with 0. */
bool haproxy_next(struct bytes answer, size_t *at, char name[128]);

/* postmaster.pid (PostgreSQL's miscinit.c names its lines). */
struct postmaster {
    int64_t pid;
    unsigned port;
    char socket_dir[108], address[64]; /* "" : none */
};
int postmaster_read(struct bytes file, struct postmaster *out);

/* A pg_hba.conf by which only `owner` gets in by the unix socket, whoever replicates as before, and the roles of `keep` into
 * the database postgres by those of the old rules that let them in there. */
#define FENCE_HBA_MARK                                                                                       \
    "# securebase-guard: the service is fenced; the file before is beside this one, .securebase"
bool hba_is_cut(struct bytes file);
int hba_cut(struct bytes file, const char *owner, const char *const *keep, size_t n_keep, struct buf *out);

/* A connection's first message (protocol 3.0), and whether the first answer to it says that pg_hba.conf lets nobody in: an
 * ErrorResponse of SQLSTATE 28000 from ClientAuthentication. Anything else, a demand for a password too, is false. */
int pg_startup(const char *user, const char *database, struct buf *out);
bool pg_refused(struct bytes answer);

#endif
