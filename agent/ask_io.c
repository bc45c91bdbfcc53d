/* A question over a kept connection: see ask_io.h.
 *
 * A server may close a connection that has been idle, which is noticed only when the next question meets it:
 * so a kept connection that ends before the first byte of the answer is replaced once, within the same
 * deadline. Whatever goes wrong else, or bytes beyond the answer, ends the connection: the next question
 * begins on a clean one. */
#include "agent/ask_io.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { ADDRESS_MAX = 300 };

/* A look-up in a worker; held by the loop and by the thread. */
struct lookup {
    atomic_uint holders;
    struct ask *owner; /* NULL: given up. The loop's alone */
    char host[ADDRESS_MAX], port[8];
    struct sockaddr_storage found;
    socklen_t found_len; /* 0: nothing */
    char sentence[128];
};

struct ask {
    struct ask_params p;
    char address[ADDRESS_MAX];
    struct bufferevent *link; /* owned; NULL: not connected */
    struct timer *deadline;   /* owned */
    struct lookup *lookup;    /* owned while a look-up is out, a stuck one too */
    struct buf request;
    struct mono sent;
    bool busy, connected, kept; /* kept: the connection served an earlier question */
};

static void let_go(struct lookup *l)
{
    if (atomic_fetch_sub(&l->holders, 1) == 1)
        free(l);
}

static void hang_up(struct ask *a)
{
    if (a->link)
        bufferevent_free(a->link);
    a->link = NULL;
    a->connected = a->kept = false;
}

static void fail(struct ask *a, const char *reason, const struct err *e)
{
    a->busy = false;
    timer_stop(a->deadline);
    hang_up(a);
    (void)a->p.done(a->p.arg, (struct bytes){NULL, 0}, span_ns(0), reason, e);
}

static void on_deadline(void *arg)
{
    struct ask *a = arg;
    struct err e = {0};

    if (!a->busy)
        return;
    err_set(&e, ERR_TIMEOUT, "%s: no answer in time (%s)", a->address,
            a->link ? a->connected ? "the request was sent" : "not yet connected" : "looking up its name");
    fail(a, "timeout", &e);
}

static void send_request(struct ask *a)
{
    struct err e = {0};

    buf_clear(&a->request);
    if (a->p.shape->request(a->p.state, !a->kept, &a->request, &e) != 0 || a->request.full) {
        fail(a, "protocol", &e);
        return;
    }
    a->sent = clock_mono();
    if (bufferevent_write(a->link, a->request.data, a->request.len) != 0) {
        err_set(&e, ERR_NOMEM, "%s: no memory for a request", a->address);
        fail(a, "connect", &e);
    }
}

static void on_read(struct bufferevent *link, void *arg)
{
    struct ask *a = arg;
    struct evbuffer *in = bufferevent_get_input(link);
    size_t n = evbuffer_get_length(in);
    struct err e = {0};
    const uint8_t *p;
    struct span took;
    int64_t whole;

    if (!a->busy) {
        hang_up(a); /* it speaks without being asked */
        return;
    }
    p = evbuffer_pullup(in, -1);
    whole = p ? a->p.shape->complete(a->p.state, p, n, &e) : ERR_NOMEM;
    if (whole < 0) {
        fail(a, "protocol", &e);
    } else if (whole == 0 || (size_t)whole > n) {
        if (n >= ANSWER_MAX) {
            err_set(&e, ERR_LIMIT, "%s: an answer longer than %d bytes", a->address, ANSWER_MAX);
            fail(a, "too_large", &e);
        }
    } else {
        took = mono_sub(clock_mono(), a->sent);
        a->busy = false;
        timer_stop(a->deadline);
        a->kept =
            a->p.done(a->p.arg, (struct bytes){p, (size_t)whole}, took, NULL, NULL) && (size_t)whole == n;
        if (a->kept)
            (void)evbuffer_drain(in, n);
        else
            hang_up(a);
    }
}

static void dial(struct ask *a, const struct sockaddr *to, socklen_t len);
static void find(struct ask *a);

static void on_event(struct bufferevent *link, short what, void *arg)
{
    struct ask *a = arg;
    struct err e = {0};
    int why = EVUTIL_SOCKET_ERROR();

    if (what & BEV_EVENT_CONNECTED) {
        a->connected = true;
        send_request(a);
        return;
    }
    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
        return;
    if (!a->busy) {
        hang_up(a);
    } else if (!a->connected) {
        err_sys(&e, ERR_IO, why, "%s: no connection", a->address);
        fail(a, "connect", &e);
    } else if (a->kept && !evbuffer_get_length(bufferevent_get_input(link))) {
        hang_up(a);
        find(a);
    } else {
        err_set(&e, ERR_IO, "%s: closed before the end of its answer", a->address);
        fail(a, "closed", &e);
    }
}

static void dial(struct ask *a, const struct sockaddr *to, socklen_t len)
{
    struct err e = {0};

    a->link =
        bufferevent_socket_new(loop_base(a->p.loop), -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!a->link) {
        err_set(&e, ERR_NOMEM, "%s: no memory for a connection", a->address);
        fail(a, "connect", &e);
        return;
    }
    bufferevent_setcb(a->link, on_read, NULL, on_event, a);
    bufferevent_setwatermark(a->link, EV_READ, 0, ANSWER_MAX);
    (void)bufferevent_enable(a->link, EV_READ | EV_WRITE);
    if (bufferevent_socket_connect(a->link, to, (int)len) != 0 && a->link && a->busy) {
        err_sys(&e, ERR_IO, errno, "%s: no connection", a->address);
        fail(a, "connect", &e);
    }
}

static void look_up(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV},
                    *found = NULL;
    int rc = getaddrinfo(l->host, l->port, &hints, &found);
    struct err e;

    if (rc == 0 && found && found->ai_addrlen <= sizeof l->found) {
        memcpy(&l->found, found->ai_addr, found->ai_addrlen);
        l->found_len = found->ai_addrlen;
    } else {
        err_set(&e, ERR_NOTFOUND, "%s", gai_strerror(rc));
        memcpy(l->sentence, e.text, sizeof l->sentence - 1);
    }
    if (found)
        freeaddrinfo(found);
    let_go(l);
}

static void on_looked_up(void *arg, bool late)
{
    struct lookup *l = arg;
    struct ask *a = l->owner;
    struct err e = {0};

    if (!a && !late)
        let_go(l);
    if (late || !a)
        return; /* the deadline of the question says so itself; on_back follows */
    a->lookup = NULL;
    if (a->busy && l->found_len) {
        dial(a, (const struct sockaddr *)&l->found, l->found_len);
    } else if (a->busy) {
        err_set(&e, ERR_NOTFOUND, "%s: no address: %s", a->address, l->sentence);
        fail(a, "resolve", &e);
    }
    let_go(l);
}

static void on_back(void *arg)
{
    struct lookup *l = arg;

    if (l->owner)
        l->owner->lookup = NULL;
    let_go(l);
}

/* Looks a name up in a worker; while an earlier look-up has not
 * come back, no other is begun and the deadline answers. */
static void find_name(struct ask *a)
{
    const char *colon = strrchr(a->address, ':');
    struct err e = {0};
    struct lookup *l;

    if (a->lookup)
        return;
    if (!colon || strlen(colon + 1) >= sizeof l->port || !(l = calloc(1, sizeof *l))) {
        err_set(&e, ERR_NOTFOUND, "%s is no address", a->address);
        fail(a, "resolve", &e);
        return;
    }
    atomic_init(&l->holders, 2);
    l->owner = a;
    memcpy(l->host, a->address, (size_t)(colon - a->address));
    memcpy(l->port, colon + 1, strlen(colon + 1));
    if (workers_run(a->p.workers, look_up, on_looked_up, on_back, l, a->p.timeout, &e) != 0) {
        free(l);
        fail(a, "resolve", &e);
        return;
    }
    a->lookup = l;
}

static void find(struct ask *a)
{
    struct sockaddr_storage to = {0};
    struct sockaddr_un *un = (struct sockaddr_un *)&to;
    int len = sizeof to;

    if (strncmp(a->address, "unix:", 5) == 0) {
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, a->address + 5, strnlen(a->address + 5, sizeof un->sun_path - 1));
        dial(a, (struct sockaddr *)un, sizeof *un);
    } else if (evutil_parse_sockaddr_port(a->address, (struct sockaddr *)&to, &len) == 0) {
        dial(a, (struct sockaddr *)&to, (socklen_t)len);
    } else {
        find_name(a);
    }
}

/* Begins in the next turn, so that done never runs from within ask_begin. */
static void start(void *arg)
{
    struct ask *a = arg;

    if (a->busy && a->link && a->connected)
        send_request(a);
    else if (a->busy)
        find(a);
}

static void on_timer(void *arg)
{
    struct ask *a = arg;

    if (a->sent.ns < 0) {
        a->sent = (struct mono){0};
        timer_set(a->deadline, a->p.timeout);
        start(a);
    } else {
        on_deadline(a);
    }
}

struct ask *ask_new(const struct ask_params *p)
{
    size_t n = strlen(p->address);
    struct ask *a = n < ADDRESS_MAX ? mem_alloc(p->mem, sizeof *a) : NULL;

    if (!a)
        return NULL;
    a->p = *p;
    memcpy(a->address, p->address, n);
    buf_init(&a->request, p->mem, 64 << 10);
    a->deadline = timer_new(p->loop, on_timer, a);
    if (!a->deadline)
        ask_free(&a);
    return a;
}

void ask_free(struct ask **ap)
{
    struct ask *a = *ap;

    if (!a)
        return;
    hang_up(a);
    timer_free(&a->deadline);
    if (a->lookup) {
        a->lookup->owner = NULL;
        let_go(a->lookup);
    }
    buf_free(&a->request);
    mem_free(a->p.mem, a, sizeof *a);
    *ap = NULL;
}

void ask_use(struct ask *a, struct workers *pool)
{
    if (a->lookup)
        a->lookup->owner = NULL;
    a->lookup = NULL;
    a->p.workers = pool;
}

void ask_begin(struct ask *a)
{
    a->busy = true;
    a->sent = (struct mono){-1};
    timer_set(a->deadline, span_ns(0));
}

bool ask_busy(const struct ask *a)
{
    return a->busy;
}
