/* The HTTP client's connections: see http_client.h.
 *
 * libcurl's multi interface on our loop, by its rules (libcurl-multi(3),
 * CURLMOPT_TIMERFUNCTION(3)): no libcurl call is made from within its callbacks, the timer
 * callback only sets a timer, after each action all messages are drained. A pool is one multi
 * handle with its connections, session cache and CA store; a reload starts a new pool, so that
 * nothing made with the old files is used again, and the old one goes with its last call. */
#include "common/net/http_call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/net/x509.h"
#include "version.h"

enum { KEEP_IDLE_S = 45, CONNECT_S = 5, CONNECTIONS = 8 };

struct sock {
    struct event *ev;
    struct pool *pool;
};

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct sock *s = arg;
    struct pool *p = s->pool; /* s may go meanwhile */
    int running,
        flags = ((what & EV_READ) ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0);

    p->holds++;
    curl_multi_socket_action(p->multi, fd, flags, &running);
    pool_drain(p);
}

static void on_timeout(void *arg)
{
    struct pool *p = arg;
    int running;

    p->holds++;
    curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    pool_drain(p);
}

static int curl_wants_timer(CURLM *multi, long ms, void *arg)
{
    struct pool *p = arg;

    (void)multi;
    if (ms < 0)
        timer_stop(p->timer);
    else
        timer_set(p->timer, span_ms(ms));
    return 0;
}

static int curl_wants_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sockp)
{
    struct pool *p = arg;
    struct sock *s = sockp;
    int events = EV_PERSIST | ((what & CURL_POLL_IN) ? EV_READ : 0) | ((what & CURL_POLL_OUT) ? EV_WRITE : 0);

    (void)easy;
    if (s && s->ev) {
        event_free(s->ev);
        s->ev = NULL;
    }
    if (what == CURL_POLL_REMOVE) {
        free(s);
        curl_multi_assign(p->multi, fd, NULL);
        return 0;
    }
    if (!s) {
        s = calloc(1, sizeof(*s));
        if (!s)
            return -1;
        s->pool = p;
        curl_multi_assign(p->multi, fd, s);
    }
    s->ev = event_new(loop_base(p->loop), fd, (short)events, on_socket, s);
    return s->ev && event_add(s->ev, NULL) == 0 ? 0 : -1;
}

static char *copy_text(const char *s, bool *failed)
{
    char *c = s ? strdup(s) : NULL;

    if (s && !c)
        *failed = true;
    return c;
}

static bool files_copy(struct files *f, const struct http_client_params *p)
{
    bool failed = false;

    *f = (struct files){
        .ca = copy_text(p->ca, &failed),
        .cert = copy_text(p->cert, &failed),
        .key = copy_text(p->key, &failed),
        .agent = copy_text(p->user_agent ? p->user_agent : "securebase/" SB_VERSION, &failed),
        .proxy = copy_text(p->proxy ? p->proxy : "", &failed),
        .connect_timeout = p->connect_timeout.ns > 0 ? p->connect_timeout : span_s(CONNECT_S),
        .keep_idle = p->keep_idle.ns > 0 ? p->keep_idle : span_s(KEEP_IDLE_S),
        .max_connections = p->max_connections ? p->max_connections : CONNECTIONS,
    };
    return !failed;
}

void pool_release(struct pool *p)
{
    if (--p->holds > 0)
        return;
    assert(!p->calls);
    if (p->multi)
        curl_multi_cleanup(p->multi); /* closes the connections, which takes their events away */
    if (p->share)
        curl_share_cleanup(p->share);
    timer_free(&p->timer);
    free(p->files.ca);
    free(p->files.cert);
    free(p->files.key);
    free(p->files.agent);
    free(p->files.proxy);
    free(p);
}

struct pool *pool_new(struct loop *l, const struct http_client_params *params, struct err *e)
{
    struct pool *p = calloc(1, sizeof(*p));
    struct {
        const char *what, *path;
    } want[] = {{"ca", params->ca}, {"cert", params->cert}, {"key", params->key}};

    if (!p)
        goto out;
    *p = (struct pool){.loop = l, .holds = 1};
    if (!files_copy(&p->files, params))
        goto out;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        if (want[i].path && x509_check_pem(want[i].what, want[i].path, e) != 0) {
            pool_release(p);
            return NULL;
        }
    }
    p->multi = curl_multi_init();
    p->share = curl_share_init();
    p->timer = timer_new(l, on_timeout, p);
    if (!p->multi || !p->share || !p->timer)
        goto out;
    curl_share_setopt(p->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, curl_wants_socket);
    curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
    curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, curl_wants_timer);
    curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
    curl_multi_setopt(p->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(p->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)p->files.max_connections);
    curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)p->files.max_connections);
    return p;
out:
    if (p)
        pool_release(p);
    err_set(e, ERR_NOMEM, "no memory for an HTTP client");
    return NULL;
}
