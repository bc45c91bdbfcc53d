/* Shared by the files of the serve thread; all of it is that thread's alone. */
#ifndef SB_EXPOSE_SERVE_PRIVATE_H
#define SB_EXPOSE_SERVE_PRIVATE_H

#include <pthread.h>

#include "aggregator/expose/access.h"
#include "aggregator/expose/serve.h"
#include "common/net/http_server.h"

struct waiting {
    struct http_exchange *x;
    struct mono since;
    struct waiting *next;
};

struct serve {
    struct serve_params p;
    struct loop *loop;
    struct http_server *tcp, *local, *public;
    struct tls_server *tls, *public_tls;
    struct access access;
    uint64_t hosts_max_series;
    char region[128], role[32];
    struct timer *watch;
    struct waiting *head, **tail;
    unsigned n_waiting, acting;
    bool asked, draining;
    struct loop *drain_loop; /* borrowed; NULL: told already, or nobody waits */
    void (*drained)(void *arg);
    void *drain_arg;
    struct mono asked_at;
    size_t sending; /* memory of pages that their readers have not taken yet */
    uint64_t scrapes, shed, refused_host, public_requests;
    struct span worst_page;
    struct complaint late;
    pthread_t thread;
    bool running;
};

/* ---- serve_io.c ---- */

void serve_look_drained(struct serve *s); /* an act or a question has ended */

/* ---- public_io.c ---- */

int public_listen(struct serve *s, const struct config *c, struct err *e);
int public_reload(struct serve *s, const struct config *c, struct err *e);
void public_close(struct serve *s);

/* ---- ask_io.c ---- */

/* True: the request is the decide thread's, and is taken. */
bool serve_ask(struct serve *s, struct http_exchange *x);

/* ---- show_io.c: each ends the exchange ---- */

void show(struct serve *s, struct http_exchange *x, const struct view *v); /* by its path */
void answer_error(struct http_exchange *x, int status, const char *reason, const char *text);
void answer_text(struct http_exchange *x, int status, const char *text);

#endif
