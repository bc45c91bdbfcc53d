/* Requests to an etcd cluster, member by member. See etcd_link.h. */
#include "aggregator/failover/etcd_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MEMBERS = 9,
    URL = 300,
    ANSWER_MOST = 4 << 20,
    LEAST_MS = 30,  /* less than that is no try */
    PAUSE_MS = 100, /* after all members have failed, before the first is asked again */
};

struct etcd_link {
    struct loop *loop;
    struct log *log;
    struct http_client *client;
    struct etcd_ask *asks; /* all that are under way */
    struct span timeout;
    uint32_t n, at;
    char url[MEMBERS][URL];
    char *user, *password; /* NULL: no authentication; owned */
    char token[ETCD_TOKEN];
    uint64_t logins; /* good ones: a token is known by its number */
    uint64_t tries[ETCD_CALLS][2], switches;
    struct complaint complaint;
};

struct etcd_ask {
    struct etcd_ask *prev, *next;
    struct etcd_link *l;
    struct http_call *call;
    struct timer *timer; /* a pause, or an end that has to wait for the loop */
    struct etcd_ask_params p;
    struct buf body;
    struct mono sent;
    uint32_t member, failed; /* that is asked; tries that were of no use */
    uint64_t login;          /* the token that was sent */
    bool authenticating, was_refused;
    enum etcd_fault fault;
    char why[ETCD_WHY];
};

/* ---- opening ---- */

static int read_user(struct etcd_link *l, const struct section *s, struct err *e)
{
    struct buf text;
    int rc;

    if (!option_set(s, "user"))
        return 0;
    buf_init(&text, NULL, ETCD_TOKEN);
    rc = option_secret(s, "password", &text, e);
    if (rc == 0) {
        l->user = strdup(option_text(s, "user"));
        l->password = strdup(buf_text(&text));
        if (!l->user || !l->password)
            rc = err_set(e, ERR_NOMEM, "no memory for etcd's password");
    }
    if (text.data)
        explicit_bzero(text.data, text.room);
    buf_free(&text);
    return rc;
}

struct etcd_link *etcd_link_new(const struct section *s, struct loop *loop, struct log *log, struct err *e)
{
    struct etcd_link *l = calloc(1, sizeof *l);

    if (!l) {
        err_set(e, ERR_NOMEM, "no memory for the way to etcd");
        return NULL;
    }
    *l = (struct etcd_link){.loop = loop, .log = log, .timeout = option_span(s, "timeout")};
    for (size_t i = 0; i < option_count(s, "endpoints") && l->n < MEMBERS; i++) {
        const char *url = option_word(s, "endpoints", i);
        size_t n = strlen(url);

        while (n && url[n - 1] == '/')
            n--;
        if (n < URL - 64)
            (void)snprintf(l->url[l->n++], URL, "%.*s", (int)n, url);
    }
    l->client =
        http_client_new(loop,
                        &(struct http_client_params){.ca = option_text(s, "ca"),
                                                     .cert = option_text(s, "cert"),
                                                     .key = option_text(s, "key"),
                                                     .connect_timeout = span_ms(span_to_ms(l->timeout) / 2),
                                                     .max_connections = 16},
                        e);
    if (!l->client || read_user(l, s, e) != 0)
        etcd_link_free(&l);
    return l;
}

static void ask_free(struct etcd_ask *k)
{
    if (k->prev)
        k->prev->next = k->next;
    else
        k->l->asks = k->next;
    if (k->next)
        k->next->prev = k->prev;
    http_call_cancel(&k->call);
    timer_free(&k->timer);
    buf_free(&k->body);
    free(k);
}

void etcd_link_free(struct etcd_link **lp)
{
    struct etcd_link *l = *lp;

    if (!l)
        return;
    while (l->asks)
        ask_free(l->asks);
    http_client_free(&l->client);
    if (l->password)
        explicit_bzero(l->password, strlen(l->password));
    free(l->user);
    free(l->password);
    free(l);
    *lp = NULL;
}

struct span etcd_link_timeout(const struct etcd_link *l)
{
    return l->timeout;
}

uint32_t etcd_link_member(const struct etcd_link *l)
{
    return l->at;
}

uint32_t etcd_link_members(const struct etcd_link *l)
{
    return l->n;
}

const char *etcd_link_url(const struct etcd_link *l, uint32_t member)
{
    return l->url[member];
}

void etcd_link_blame(struct etcd_link *l, uint32_t member)
{
    if (l->n < 2 || l->at != member)
        return; /* somebody else has moved on already */
    l->at = (l->at + 1) % l->n;
    l->switches++;
}

/* ---- one request ---- */

static void try_now(struct etcd_ask *k);

static void finish(struct etcd_ask *k)
{
    const struct etcd_answer a = {.fault = k->fault, .why = k->why, .sent = k->sent};
    void (*done)(void *, const struct etcd_answer *) = k->p.done;
    void *arg = k->p.arg;
    char why[ETCD_WHY];

    memcpy(why, k->why, sizeof why);
    ask_free(k);
    done(arg, &(struct etcd_answer){a.fault, why, a.sent});
}

static void on_timer(void *arg)
{
    struct etcd_ask *k = arg;

    if (k->fault == ETCD_AWAY && mono_sub(k->p.deadline, clock_mono()).ns >= span_ms(LEAST_MS).ns &&
        !k->p.once)
        try_now(k);
    else
        finish(k);
}

/* On: at the next member, at once or after a pause; or that was it. */
static void no_use(struct etcd_ask *k)
{
    struct etcd_link *l = k->l;

    l->tries[k->p.call][1]++;
    if (k->p.only) {
        finish(k);
        return;
    }
    COMPLAIN(l->log, &l->complaint, clock_mono(), LOG_WARN, "coordination", "an etcd member was of no use",
             kv_s("endpoint", l->url[k->member]), kv_s("call", etcd_name(k->p.call)), kv_s("why", k->why));
    etcd_link_blame(l, k->member);
    k->failed++;
    if (k->p.once || mono_sub(k->p.deadline, clock_mono()).ns < span_ms(LEAST_MS).ns)
        finish(k);
    else if (k->failed % l->n)
        try_now(k);
    else
        timer_set(k->timer, span_ms(PAUSE_MS));
}

static void on_answer(void *arg, const struct http_result *r)
{
    struct etcd_ask *k = arg;

    k->call = NULL;
    k->fault = ETCD_AWAY;
    if (r->code)
        (void)snprintf(k->why, sizeof k->why, "%s: %.150s", r->reason, r->error);
    else
        k->fault = k->p.read(k->p.arg, r->status, r->body, k->why);
    if (k->fault == ETCD_STRANGER && k->l->user && !k->was_refused) {
        k->was_refused = true; /* once: a fresh token that is refused does not get better */
        if (k->login == k->l->logins)
            k->l->token[0] = 0;
        k->fault = ETCD_AWAY;
        try_now(k);
        return;
    }
    if (k->fault == ETCD_STRANGER)
        k->fault = ETCD_AWAY;
    if (k->fault == ETCD_AWAY) {
        no_use(k);
        return;
    }
    k->l->tries[k->p.call][0]++;
    if (!k->p.only)
        log_recovered(k->l->log, &k->l->complaint, "coordination", "etcd answers again");
    finish(k);
}

static void on_login(void *arg, const struct http_result *r)
{
    struct etcd_ask *k = arg;
    struct etcd_link *l = k->l;
    enum etcd_fault f = ETCD_AWAY;
    char token[ETCD_TOKEN];
    struct arena a;

    k->call = NULL;
    k->authenticating = false;
    arena_init(&a, NULL, 1 << 16);
    if (r->code)
        (void)snprintf(k->why, sizeof k->why, "%s: %.150s", r->reason, r->error);
    else
        f = etcd_login_read(r->status, r->body, &a, token, k->why);
    arena_free(&a);
    l->tries[ETCD_LOGIN][f != ETCD_FINE]++;
    if (f != ETCD_FINE) {
        k->fault = ETCD_AWAY;
        no_use(k);
        return;
    }
    memcpy(l->token, token, sizeof token);
    l->logins++;
    try_now(k);
}

static bool send_it(struct etcd_ask *k, enum etcd_call call, struct bytes body, http_done done)
{
    struct etcd_link *l = k->l;
    const int64_t left = span_to_ms(mono_sub(k->p.deadline, clock_mono())), half = span_to_ms(l->timeout) / 2;
    const struct http_header h[] = {{"Content-Type", "application/json"}, {"Authorization", l->token}};
    char url[URL + 64];
    /* Every request of ours may be sent twice: its compares, or the lease's name, make the second one harmless. */
    struct http_request r = {.method = "POST",
                             .url = url,
                             .headers = h,
                             .n_headers = call != ETCD_LOGIN && l->token[0] ? 2 : 1,
                             .body = body.p,
                             .body_len = body.n,
                             .timeout = span_ms(left < half ? left : half),
                             .max_answer = ANSWER_MOST,
                             .idempotent = true};
    struct err e = {0};

    (void)snprintf(url, sizeof url, "%s%s", l->url[k->member], etcd_path(call));
    k->login = l->logins;
    k->sent = clock_mono();
    k->call = http_client_send(l->client, &r, done, k, &e);
    if (!k->call)
        (void)snprintf(k->why, sizeof k->why, "%.190s", e.text);
    return k->call != NULL;
}

static void try_now(struct etcd_ask *k)
{
    struct etcd_link *l = k->l;
    struct buf login;
    bool sent;

    k->member = k->p.only ? k->p.only - 1 : l->at;
    if (mono_sub(k->p.deadline, clock_mono()).ns < span_ms(LEAST_MS).ns) {
        if (!k->why[0])
            (void)snprintf(k->why, sizeof k->why, "there is no time left");
        sent = false;
    } else if (l->user && !l->token[0]) {
        buf_init(&login, NULL, 4 * ETCD_TOKEN);
        k->authenticating = true;
        sent = etcd_login_write(l->user, l->password, &login) == 0 &&
               send_it(k, ETCD_LOGIN, buf_bytes(&login), on_login);
        if (login.data)
            explicit_bzero(login.data, login.room);
        buf_free(&login);
    } else {
        sent = send_it(k, k->p.call, buf_bytes(&k->body), on_answer);
    }
    if (sent)
        return;
    k->fault = ETCD_AWAY;
    k->p.once = true; /* ended from the loop: not from within etcd_ask */
    timer_set(k->timer, span_ns(0));
}

struct etcd_ask *etcd_ask(struct etcd_link *l, const struct etcd_ask_params *p)
{
    struct etcd_ask *k = calloc(1, sizeof *k);

    if (!k)
        return NULL;
    *k = (struct etcd_ask){.l = l, .p = *p, .next = l->asks, .timer = timer_new(l->loop, on_timer, k)};
    buf_init(&k->body, NULL, 2 << 20);
    buf_put(&k->body, p->body.p, p->body.n);
    if (l->asks)
        l->asks->prev = k;
    l->asks = k;
    if (!k->timer || k->body.full) {
        ask_free(k);
        return NULL;
    }
    try_now(k);
    return k;
}

void etcd_ask_cancel(struct etcd_ask **k)
{
    if (*k)
        ask_free(*k);
    *k = NULL;
}

static enum etcd_fault read_told(void *arg, int status, struct bytes body, char why[ETCD_WHY])
{
    struct arena a;
    enum etcd_fault f;

    (void)arg;
    arena_init(&a, NULL, 1 << 16);
    f = etcd_plain_read(status, body, &a, why);
    arena_free(&a);
    return f;
}

static void told(void *arg, const struct etcd_answer *a)
{
    (void)arg;
    (void)a;
}

void etcd_tell(struct etcd_link *l, enum etcd_call call, struct bytes body)
{
    (void)etcd_ask(l, &(struct etcd_ask_params){.call = call,
                                                .body = body,
                                                .deadline = mono_add(clock_mono(), l->timeout),
                                                .read = read_told,
                                                .done = told});
}

struct http_call *etcd_stream(struct etcd_link *l, enum etcd_call call, struct bytes body, struct span most,
                              void (*piece)(void *arg, struct bytes b), http_done done, void *arg)
{
    const struct http_header h[] = {{"Content-Type", "application/json"}, {"Authorization", l->token}};
    char url[URL + 64];
    const struct http_request r = {.method = "POST",
                                   .url = url,
                                   .headers = h,
                                   .n_headers = l->token[0] ? 2 : 1,
                                   .body = body.p,
                                   .body_len = body.n,
                                   .timeout = most,
                                   .fresh = true,
                                   .piece = piece};
    struct err e = {0};

    (void)snprintf(url, sizeof url, "%s%s", l->url[l->at], etcd_path(call));
    return http_client_send(l->client, &r, done, arg, &e);
}

void etcd_link_metrics(const struct etcd_link *l, struct sink *out)
{
    static const struct metric_row tries = {"securebase_coordination_tries_total",
                                            METRIC_COUNTER,
                                            1,
                                            1,
                                            "call result",
                                            "Requests to members of etcd: answered, and of no use."};
    static const struct metric_row switches = {"securebase_coordination_switches_total",
                                               METRIC_COUNTER,
                                               1,
                                               1,
                                               "",
                                               "Times that another member of etcd became the first to ask."};
    static const struct metric_row member = {"securebase_coordination_endpoint",
                                             METRIC_GAUGE,
                                             1,
                                             1,
                                             "endpoint",
                                             "1 for the member of etcd that is asked first."};
    static const char *const results[] = {"answered", "failed"};

    for (int c = 0; c < ETCD_CALLS; c++)
        for (int r = 0; r < 2; r++)
            if (c != ETCD_WATCH)
                sink_uint(out, &tries,
                          (struct text[]){text_of(etcd_name((enum etcd_call)c)), text_of(results[r])},
                          l->tries[c][r]);
    sink_uint(out, &switches, NULL, l->switches);
    for (uint32_t i = 0; i < l->n; i++)
        sink_int(out, &member, (struct text[]){text_of(l->url[i])}, i == l->at);
}
