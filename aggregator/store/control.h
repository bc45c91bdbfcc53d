/* The control store: what operators and decisions leave behind, in control.db, with a thread of its own so
 * that no intent waits behind a batch. Here: the audit, one row for each act of an operator, told apart by
 * its request id. */
#ifndef SB_STORE_CONTROL_H
#define SB_STORE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/metric.h"
#include "common/daemon/log.h"
#include "common/net/loop.h"

struct control;

struct control_params {
    const char *path;  /* state_dir/control.db */
    struct loop *loop; /* where answers arrive; borrowed */
    struct log *log;   /* borrowed */
};
struct control *control_open(const struct control_params *p, struct err *e);
void control_close(struct control **c); /* finishes what waits; callbacks are called before it returns */

struct control_audit {
    struct wall t;
    const char *who;        /* identity of the operator, or uid */
    const char *what;       /* the act with its arguments */
    const char *reason;     /* theirs */
    const char *request_id; /* not empty */
};
/* done(arg, 0): durable. ERR_EXISTS: this request id stands there already, so the act was ordered before;
 * another code: not stored, and the act must not be carried out. Texts are copied. Returns ERR_NOMEM or
 * ERR_STATE when done will not be called. */
int control_audit(struct control *c, const struct control_audit *a, void (*done)(void *arg, int code),
                  void *arg);
/* The latest n entries, newest first; the texts given to `fn` are borrowed for the call, which happens on the
 * loop, then done. */
struct control_entry {
    int64_t id;
    struct control_audit audit;
};
int control_audit_tail(struct control *c, unsigned n,
                       void (*fn)(void *arg, const struct control_entry *entry),
                       void (*done)(void *arg, int code), void *arg);

/* What rooms keep: the state of a room by key, and lines that are only ever appended. All operations of one call are
 * one transaction. done(arg, 0): durable. Contents are copied. Returns ERR_NOMEM, ERR_AGAIN (too much waits) or ERR_STATE
 * when done will not be called. */
enum control_kind { CONTROL_PUT, CONTROL_DELETE, CONTROL_APPEND };
struct control_op {
    enum control_kind kind;
    const char
        *room; /* "alert", "notify", "incident", "slo"; lines: "decision", "timeline", "ledger", "peer" */
    struct bytes key; /* lines: whose they are; the same key any number of times */
    struct bytes value;
    struct wall t; /* lines only */
};
int control_write(struct control *c, const struct control_op *ops, size_t n,
                  void (*done)(void *arg, int code), void *arg);
/* At start, before the first write, blocking: all state of a room. */
int control_load(struct control *c, const char *room,
                 int (*fn)(void *arg, struct bytes key, struct bytes value), void *arg, struct err *e);
/* Lines of one room, by time: with exactly this key, or any when key.p is NULL; t in [from, to); at most `limit`, newest
 * first when `newest`. fn and then done on the loop; what fn gets is borrowed for the call. */
struct control_lines {
    const char *room;
    struct bytes key;
    struct wall from, to; /* to {0}: no end */
    size_t limit;
    bool newest;
};
int control_read(struct control *c, const struct control_lines *q,
                 void (*fn)(void *arg, struct bytes key, struct wall t, struct bytes value),
                 void (*done)(void *arg, int code), void *arg);
/* Lines of a room older than that go, a bounded number at a time. */
int control_prune(struct control *c, const char *room, struct wall before);

/* verify-store: whether a file that no program has open is whole; lines into report, ERR_MALFORMED. */
int control_verify(const char *path, struct buf *report, struct err *e);

void control_metrics(const struct control *c, struct sink *out); /* from the owner's thread */

#endif
