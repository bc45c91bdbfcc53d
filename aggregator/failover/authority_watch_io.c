/* Hints from etcd that something of a service has changed: one watch on all our keys, of one member, begun anew behind the
 * last revision seen when it ends, when the member is not the first one any more, and from now on when the store has
 * forgotten what lies between. Nothing is decided by it: whoever is told reads, and callers read every few seconds as well. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/failover/authority_private.h"

enum { EVERY_S = 2, MOST_S = 900, LINE_MOST = 1 << 20 };

struct etcd_watcher {
    struct authority *a;
    struct http_call *call;
    struct timer *timer, *tell;
    struct buf line;
    uint64_t next; /* revision from which to go on; 0: from now */
    uint32_t member;
    bool broken; /* it has to begin anew */
};

static bool is_key(struct bytes b, const char *key)
{
    return b.n == strlen(key) && memcmp(b.p, key, b.n) == 0;
}

/* Told from the loop and not from within libcurl, so that whoever is told can ask at once. */
static void hint(struct etcd_watcher *w, struct authority_service *s)
{
    s->hinted = true;
    timer_set(w->tell, span_ns(0));
}

static void hint_all(struct etcd_watcher *w)
{
    for (struct authority_service *s = w->a->services; s; s = s->next)
        hint(w, s);
}

static void hint_of(struct etcd_watcher *w, struct bytes key)
{
    if (is_key(key, w->a->epoch_key))
        hint_all(w);
    for (struct authority_service *s = w->a->services; s; s = s->next)
        if (is_key(key, s->leader) || is_key(key, s->record))
            hint(w, s);
}

static void on_tell(void *arg)
{
    struct etcd_watcher *w = arg;

    for (struct authority_service *s = w->a->services; s; s = s->next) {
        if (s->hinted)
            w->a->p.changed(w->a->p.arg, s->name);
        s->hinted = false;
    }
}

static void take_line(struct etcd_watcher *w, struct bytes line)
{
    struct etcd_news news;
    char why[ETCD_WHY];
    struct arena mem;

    if (line.n == 0)
        return;
    arena_init(&mem, NULL, 4 * LINE_MOST);
    if (etcd_watch_read(line, &mem, &news, why) != ETCD_FINE) {
        w->broken = true;
    } else if (news.ended) {
        w->broken = true;
        w->next = 0;
    } else {
        if (news.created && w->next == 0)
            hint_all(w); /* what was before is not told */
        w->next = news.rev + 1;
        for (uint32_t i = 0; i < news.n && i < ETCD_OPS; i++)
            hint_of(w, news.key[i]);
        if (news.n > ETCD_OPS)
            hint_all(w);
    }
    arena_free(&mem);
}

static void on_piece(void *arg, struct bytes b)
{
    struct etcd_watcher *w = arg;

    for (size_t i = 0; i < b.n && !w->broken;) {
        const uint8_t *end = memchr(b.p + i, '\n', b.n - i);
        const size_t n = end ? (size_t)(end - b.p) - i : b.n - i;

        buf_put(&w->line, b.p + i, n);
        w->broken = w->broken || w->line.full;
        if (end && !w->broken) {
            take_line(w, buf_bytes(&w->line));
            buf_clear(&w->line);
        }
        i += n + (end != NULL);
    }
}

static void on_end(void *arg, const struct http_result *r)
{
    struct etcd_watcher *w = arg;

    (void)r;
    w->call = NULL;
}

static void begin(struct etcd_watcher *w)
{
    struct buf body;
    char prefix[AUTHORITY_KEY];
    const size_t n = strlen(w->a->prefix);

    memcpy(prefix, w->a->prefix, n);
    memcpy(prefix + n, "/", 2);
    buf_clear(&w->line);
    w->broken = false;
    w->member = etcd_link_member(w->a->link);
    buf_init(&body, NULL, 1024);
    if (etcd_watch_write(prefix, w->next, &body) == 0)
        w->call = etcd_stream(w->a->link, ETCD_WATCH, buf_bytes(&body), span_s(MOST_S), on_piece, on_end, w);
    buf_free(&body);
}

static void on_timer(void *arg)
{
    struct etcd_watcher *w = arg;

    if (w->broken || w->member != etcd_link_member(w->a->link))
        http_call_cancel(&w->call);
    if (!w->call)
        begin(w);
    timer_set(w->timer, span_s(EVERY_S));
}

struct etcd_watcher *etcd_watcher_new(struct authority *a)
{
    struct etcd_watcher *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    *w = (struct etcd_watcher){
        .a = a, .timer = timer_new(a->p.loop, on_timer, w), .tell = timer_new(a->p.loop, on_tell, w)};
    buf_init(&w->line, NULL, LINE_MOST);
    if (!w->timer || !w->tell) {
        etcd_watcher_free(&w);
        return NULL;
    }
    timer_set(w->timer, span_ns(0));
    return w;
}

void etcd_watcher_free(struct etcd_watcher **wp)
{
    struct etcd_watcher *w = *wp;

    if (!w)
        return;
    http_call_cancel(&w->call);
    timer_free(&w->timer);
    timer_free(&w->tell);
    buf_free(&w->line);
    free(w);
    *wp = NULL;
}
