/* Peers on the decide thread: each is told every five seconds, every second in doubt, by a client of its own, and what comes
 * from one is taken in. A peer that was not heard for 15 s is down. Words are kept for a day, one a minute of each peer. See
 * peers.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/peers_private.h"
#include "version.h"

enum {
    EVERY_S = 5,
    TIMEOUT_S = 4,
    FAST_S = 1,
    FAST_TIMEOUT_S = 2,
    LOST_S = 15,
    KEEP_S = 60,
    BODY_MOST = 1 << 20,
    READ_MOST = 4 << 20
};

/* ---- configuration ---- */

static void peer_free(struct peer *p)
{
    http_client_free(&p->client);
    free(p);
}

static int read_token(struct peer *p, const struct section *s, struct err *e)
{
    struct buf text;
    int rc;

    p->authorization[0] = 0;
    if (!option_set(s, "token"))
        return 0;
    buf_init(&text, NULL, 1024);
    rc = option_secret(s, "token", &text, e);
    if (rc == 0)
        (void)snprintf(p->authorization, sizeof p->authorization, "Bearer %s", buf_text(&text));
    buf_free(&text);
    return rc;
}

/* A peer whose files cannot be read is heard all the same. */
static void open_client(struct peer *p, const struct section *s)
{
    const struct http_client_params params = {.ca = option_text(s, "ca"),
                                              .cert = option_text(s, "cert"),
                                              .key = option_text(s, "key"),
                                              .max_connections = 1};
    const char *url = option_text(s, "url");
    size_t n = strlen(url);
    struct err e = {0};

    (void)snprintf(p->reading, sizeof p->reading, "%s", option_text(s, "reading"));
    (void)snprintf(p->url, sizeof p->url, "%.*s/v1/peer", (int)(n && url[n - 1] == '/' ? n - 1 : n), url);
    p->call = NULL;
    http_client_free(&p->client);
    if (read_token(p, s, &e) == 0)
        p->client = http_client_new(p->d->loop, &params, &e);
    if (!p->client)
        LOG(p->d->log, LOG_ERROR, "peers", "this peer cannot be spoken to", kv_s("peer", p->name), kv_e(&e));
}

static struct peer *find(struct peer *list, const char *name)
{
    while (list && strcmp(list->name, name) != 0)
        list = list->next;
    return list;
}

static void load_voters(struct decide *d, const struct config *c)
{
    const struct section *s;

    d->n_voters = 0;
    for (size_t i = 0; (s = config_named(c, "voter", i)) != NULL && i < FO_VOTERS; i++) {
        struct peer_voter *v = &d->voters[d->n_voters++];

        (void)snprintf(v->name, sizeof v->name, "%s", section_label(s));
        (void)snprintf(v->region, sizeof v->region, "%s", option_text(s, "region"));
    }
}

/* How many before it serve the same region. */
static uint8_t nth_of(const struct config *c, size_t i)
{
    const char *region = option_text(config_named(c, "peer", i), "region");
    uint8_t n = 0;

    for (size_t k = 0; k < i; k++)
        n = (uint8_t)(n + (strcmp(option_text(config_named(c, "peer", k), "region"), region) == 0));
    return n;
}

void peers_load(struct decide *d, const struct config *c)
{
    struct peer *old = d->peers, *next, **at = &d->peers, *kept = NULL;
    const struct section *s;

    load_voters(d, c);
    for (size_t i = 0; (s = config_named(c, "peer", i)) != NULL; i++) {
        struct peer *p = calloc(1, sizeof *p), *before = find(old, section_label(s));

        if (!p)
            continue;
        if (before) { /* what is known of it goes on; its client is made anew */
            *p = *before;
            p->client = NULL;
        }
        p->d = d;
        p->next = kept;
        p->nth = nth_of(c, i);
        kept = p;
        (void)snprintf(p->name, sizeof p->name, "%s", section_label(s));
        (void)snprintf(p->region, sizeof p->region, "%s", option_text(s, "region"));
        open_client(p, s);
    }
    *at = kept;
    for (; old; old = next) {
        next = old->next;
        peer_free(old);
    }
}

void peers_free(struct decide *d)
{
    while (d->peers) {
        struct peer *p = d->peers;

        d->peers = p->next;
        peer_free(p);
    }
}

/* ---- speaking ---- */

static void spoken(void *arg, const struct http_result *r)
{
    struct peer *p = arg;
    struct decide *d = p->d;

    p->call = NULL;
    if (r->code == 0 && r->status == 200) {
        if (p->complaint.active)
            log_recovered(d->log, &p->complaint, "peers", "the peer takes our words again");
        return;
    }
    p->failures++;
    COMPLAIN(d->log, &p->complaint, clock_mono(), LOG_WARN, "peers", "the peer could not be told",
             kv_s("peer", p->name), kv_s("why", r->code ? r->error : "refused"), kv_i("status", r->status));
}

static void speak(struct peer *p, const struct buf *body)
{
    const struct http_header h[] = {{"Content-Type", "application/json"},
                                    {"Authorization", p->authorization}};
    const struct http_request r = {.method = "POST",
                                   .url = p->url,
                                   .headers = h,
                                   .n_headers = *p->authorization ? 2 : 1,
                                   .body = body->data,
                                   .body_len = body->len,
                                   .idempotent = true,
                                   .timeout = span_s(p->d->peers_fast ? FAST_TIMEOUT_S : TIMEOUT_S)};
    struct err e = {0};

    p->sends++;
    p->call = http_client_send(p->client, &r, spoken, p, &e);
    p->failures += p->call == NULL;
}

static void look(struct peer *p, struct mono now)
{
    struct decide *d = p->d;

    p->up = p->heard.ns && mono_sub(now, p->heard).ns <= span_s(LOST_S).ns;
    if (p->up != p->was_up)
        LOG(d->log, p->up ? LOG_INFO : LOG_WARN, "peers",
            p->up ? "the peer is heard" : "the peer is not heard any more", kv_s("peer", p->name),
            kv_s("region", p->region));
    p->was_up = p->up;
}

static bool write_word(struct decide *d, bool light, struct buf *body)
{
    struct peer_self self = {.region = d->region,
                             .host = d->host,
                             .version = SB_VERSION,
                             .telling = d->teller != NULL,
                             .light = light};
    struct fo_word *w = d->peer_hooks.speak ? calloc(1, sizeof *w) : NULL;
    bool good;

    if (w)
        d->peer_hooks.speak(d->peer_hooks.arg, w);
    self.failover = w && *w->voter ? w : NULL;
    good = peer_write(&self, d->judge, loop_wall(d->loop), body) == 0;
    free(w);
    return good;
}

void peers_hook(struct decide *d, const struct peer_hooks *h)
{
    d->peer_hooks = *h;
}

void peers_fast(struct decide *d, bool fast)
{
    d->peers_fast = fast;
}

/* ---- whom processes before us have heard ---- */

struct past_ask {
    struct decide *d;
    char region[128];
    bool found;
};

static void past_line(void *arg, struct bytes key, struct wall t, struct bytes value)
{
    struct past_ask *a = arg;

    (void)key;
    (void)t;
    (void)value;
    a->found = true;
}

static void past_done(void *arg, int code)
{
    struct past_ask *a = arg;
    const struct peer_hooks *h = &a->d->peer_hooks;

    for (struct peer *p = a->d->peers; p; p = p->next)
        p->known = p->known || (a->found && strcmp(p->region, a->region) == 0);
    if (a->found && h->known)
        h->known(h->arg, a->region);
    (void)code; /* not readable: as if there were none */
    free(a);
}

static void ask_past(struct decide *d)
{
    for (const struct peer *p = d->peers; p; p = p->next) {
        struct past_ask *a = p->nth == 0 ? calloc(1, sizeof *a) : NULL;
        struct control_lines q = {.room = "peer", .limit = 1, .newest = true};

        if (!a)
            continue;
        a->d = d;
        (void)snprintf(a->region, sizeof a->region, "%s", p->region);
        q.key = bytes_of(a->region);
        if (control_read(d->control, &q, past_line, past_done, a) != 0)
            free(a);
    }
}

bool peers_known(const struct decide *d, const char *region)
{
    for (const struct peer *p = d->peers; p; p = p->next)
        if (p->known && strcmp(p->region, region) == 0)
            return true;
    return false;
}

void peers_tick(struct decide *d, struct mono now)
{
    const struct span whole = span_ms(EVERY_S * 1000 - 50),
                      every = d->peers_fast ? span_ms(FAST_S * 1000 - 50) : whole;
    bool light;
    struct buf word[2]; /* whole, light: written when the first peer needs it */
    bool written[2] = {false, false}, good[2] = {false, false};

    if (!d->peers)
        return;
    if (!d->peers_asked)
        ask_past(d);
    d->peers_asked = true;
    buf_init(&word[0], NULL, BODY_MOST);
    buf_init(&word[1], NULL, BODY_MOST);
    for (struct peer *p = d->peers; p; p = p->next) {
        look(p, now);
        if (!p->client || p->call || d->ending || (p->tried.ns && mono_sub(now, p->tried).ns < every.ns))
            continue;
        p->tried = now;
        light = p->whole.ns && mono_sub(now, p->whole).ns < whole.ns;
        if (!light)
            p->whole = now;
        if (!written[light])
            good[light] = write_word(d, light, &word[light]);
        written[light] = true;
        if (good[light])
            speak(p, &word[light]);
        else
            p->failures++;
    }
    buf_free(&word[0]);
    buf_free(&word[1]);
}

/* ---- hearing ---- */

struct peer_note {
    struct note note;
    struct bytes body; /* behind the struct */
};

static void drop_peer(struct note *n)
{
    free(n);
}

/* Who has spoken: of several that serve one region the one on this host, else one that was not heard yet. */
static struct peer *of_region(struct decide *d, const char *region, const char *host)
{
    struct peer *found = NULL;

    for (struct peer *p = d->peers; p; p = p->next) {
        if (strcmp(p->region, region) != 0)
            continue;
        if (strcmp(p->host, host) == 0)
            return p;
        if (!found || (*found->host && !*p->host))
            found = p;
    }
    return found;
}

/* Whether the word is of a voter that stands where this peer does. */
static bool is_voter(const struct decide *d, const struct peer *p, const char *voter)
{
    for (uint8_t i = 0; i < d->n_voters; i++)
        if (strcmp(d->voters[i].name, voter) == 0)
            return strcmp(d->voters[i].region, p->region) == 0;
    return false;
}

/* Everything but a vote: a peer that is heard lives, whoever votes there. */
static void take_vote(struct decide *d, struct peer *p, struct peer_word *w)
{
    if (w->failover && !is_voter(d, p, w->failover->voter)) {
        (void)err_set(&w->failover_error, ERR_NOTFOUND, "no [voter %.64s] stands in region \"%.100s\"",
                      w->failover->voter, p->region);
        w->failover = NULL;
    }
    if (w->failover_error.code) {
        d->strange_votes++;
        COMPLAIN(d->log, &d->vote_complaint, loop_mono(d->loop), LOG_WARN, "peers",
                 "a vote that is of no use", kv_s("peer", p->name), kv_e(&w->failover_error));
    }
    (void)snprintf(p->voter, sizeof p->voter, "%s", w->failover ? w->failover->voter : "");
    if (d->peer_hooks.heard)
        d->peer_hooks.heard(d->peer_hooks.arg, p->name, p->region, p->nth, w->failover);
}

static void take_word(struct decide *d, struct peer *p, struct peer_word *w, struct bytes body)
{
    const struct moment m = decide_moment(d);
    struct batch *b;

    p->words++;
    p->heard = m.mono;
    p->known = true;
    p->skew_ms = w->telling.sent.ms - m.now.ms;
    memcpy(p->host, w->host, sizeof p->host);
    memcpy(p->version, w->version, sizeof p->version);
    look(p, m.mono);
    take_vote(d, p, w);
    if (w->light)
        return;
    p->slos = w->slos;
    p->told = w->telling.n_told;
    memcpy(p->firing, w->firing, sizeof p->firing);
    b = batch_new(d);
    if (!b)
        return;
    judge_peer(d->judge, &m, &w->telling, &b->orders);
    if (!p->kept.ns || mono_sub(m.mono, p->kept).ns >= span_s(KEEP_S).ns) {
        orders_line(&b->orders, "peer", bytes_of(p->region), m.now, body);
        p->kept = m.mono;
    }
    batch_give(b);
}

static void run_peer(struct decide *d, struct note *n)
{
    struct peer_note *x = (struct peer_note *)n;
    struct peer_word w;
    struct arena a;
    struct err e = {0};
    struct peer *p = NULL;

    arena_init(&a, NULL, READ_MOST);
    if (peer_read(x->body, &a, &w, &e) == 0 && !(p = of_region(d, w.region, w.host)))
        (void)err_set(&e, ERR_NOTFOUND, "no [peer] serves region \"%.100s\"", w.region);
    if (p) {
        take_word(d, p, &w, x->body);
    } else {
        d->strange_words++;
        COMPLAIN(d->log, &d->peer_complaint, loop_mono(d->loop), LOG_WARN, "peers",
                 "a word that is of no use", kv_e(&e));
    }
    arena_free(&a);
    free(n);
}

void decide_peer(struct decide *d, struct bytes body)
{
    struct peer_note *n = malloc(sizeof *n + body.n);
    uint8_t *to;

    if (!n)
        return; /* the next one comes in five seconds */
    to = (uint8_t *)(n + 1);
    memcpy(to, body.n ? body.p : (const uint8_t *)"", body.n);
    *n = (struct peer_note){{.run = run_peer, .drop = drop_peer}, {to, body.n}};
    decide_put(d, &n->note);
}
