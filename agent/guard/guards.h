/* All guards of an agent: on its loop they ask the aggregators, tell their helpers, and say how it stands. */
#ifndef SB_GUARD_GUARDS_H
#define SB_GUARD_GUARDS_H

#include "agent/guard/helper.h"
#include "agent/guard/settings.h"
#include "common/base/metric.h"
#include "common/net/loop.h"

struct guards;
struct guards_params {
    const struct config *config; /* borrowed for the call: what guards are is not reloadable */
    const char *file;            /* of the configuration, for helpers of our own; NULL: there can be none */
    const char *agent;           /* its id; borrowed for good */
    struct loop *loop;
    struct log *log;
};
/* NULL and e on an error. Without a [guard] section there are none, and it costs nothing. */
struct guards *guards_new(const struct guards_params *p, struct err *e);
void guards_free(struct guards **g); /* their helpers go on to the end of their leases */
/* Certificates and token from now on. */
int guards_reload(struct guards *g, const struct config *fresh, struct err *e);

/* Whether the service of guard `name` may start now: asks the aggregators anew. done is called once, on the loop, within ten
 * seconds; why is a sentence either way. Not after guards_free. */
typedef void (*guard_checked)(void *arg, bool may, const char *why);
void guards_ask(struct guards *g, const char *name, guard_checked done, void *arg);

/* ---- show.c: pure ---- */
struct guard_view {
    const struct guard_settings *s;
    const struct round *r;
    const struct helper_word *word;                 /* NULL: no helper, or it has not spoken yet */
    const char *(*endpoint)(void *arg, unsigned i); /* what the endpoint last said, or why it did not */
    void *arg;
    uint64_t rounds, renewed, promised, denied, failures;
    int64_t now; /* boot clock, ms */
};
/* With DOUBT: serving, and the last round has not prolonged the lease. */
const char *guard_view_state(const struct guard_view *v);
bool guard_view_serving(const struct guard_view *v); /* the lease holds now */
void guard_view_text(const struct guard_view *v, struct buf *out);
int guard_view_json(const struct guard_view *v, struct buf *out); /* one object; ERR_NOMEM */
void guard_view_metrics(const struct guard_view *v, struct sink *out);

/* guards_io.c: of all. */
void guards_text(const struct guards *g, struct buf *out);
int guards_json(const struct guards *g, struct buf *out); /* {"guards": […]} */
void guards_metrics(const struct guards *g, struct sink *out);

#endif
