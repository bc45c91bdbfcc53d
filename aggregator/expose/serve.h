/* The serve thread: scrapes, API and console, from snapshots. It never touches the series; it asks for a
 * view, and all requests that wait meanwhile share it. */
#ifndef SB_EXPOSE_SERVE_H
#define SB_EXPOSE_SERVE_H

#include <stdbool.h>

#include "aggregator/expose/desk.h"
#include "aggregator/expose/view.h"
#include "common/base/err.h"
#include "common/config/config.h"
#include "common/daemon/log.h"
#include "common/net/loop.h"

extern const struct section_row http_section;   /* [http] */
extern const struct section_row public_section; /* [public] */

typedef void (*serve_done)(void *done_arg, int code, const char *text);

struct serve_params {
    const struct config *config; /* borrowed for the call: [http], [aggregator] region and role */
    struct log *log;
    struct wall started;
    bool (*ready)(void *arg); /* any thread */
    /* Makes a view and posts it: done(done_arg, g) on `loop`; takes g over.
     * NULL when there was no memory. A code: done will not be called. */
    int (*ask)(void *arg, struct loop *loop, void (*done)(void *done_arg, struct gathered *g),
               void *done_arg);
    /* Adds what rooms outside the ingest thread tell of themselves. */
    void (*more)(void *arg, struct sink *out);
    /* An operator's act: journalled, then carried out; done(done_arg,
     * code, text) is posted on `loop`, text borrowed for the call. */
    void (*forget_agent)(void *arg, const char *agent, const struct serve_actor *actor, struct loop *loop,
                         serve_done done, void *done_arg);
    /* What the decide thread answers; done is posted on `loop`. The request is borrowed for the call. NULL: no desk. */
    void (*desk)(void *arg, const struct desk_request *r, struct loop *loop, desk_done done, void *done_arg);
    /* Of the public listener: 1 when users are not to be sent to the home of this service, 0 when they are, -1: not shown.
     * NULL: none is. */
    int (*primary_off)(void *arg, const char *service);
    void *arg;
};

struct serve;
struct serve *serve_start(const struct serve_params *p, struct err *e); /* binds, then starts the thread */
/* Takes no more requests and ends those that wait; done(arg) is posted on `loop` when
 * no view and no act that was asked for is still to come. From then on serve_stop may
 * be called: it must not be before, since they come to the loop of this thread. */
void serve_drain(struct serve *s, struct loop *loop, void (*done)(void *arg), void *arg);
void serve_stop(struct serve **s);
/* Whether the certificates that a reload would take can be read. */
int serve_check_files(const struct config *config, struct err *e);
/* what is reloadable, certificates */
int serve_reload(struct serve *s, const struct config *config, struct err *e);
unsigned serve_port(const struct serve *s);

/* Mistakes across options of [http]. 0 or ERR_CONFIG. */
int serve_check(const struct config *config, struct buf *report, struct err *e);

#endif
