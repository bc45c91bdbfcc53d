/* Which of two aggregators tells. Both know the alerts; the one whose region the alert names speaks (without such a
 * label, the lower region name), the other waits `peer_wait` for its word that it has delivered. Fails open: an
 * aggregator that was not heard for `peer_lost`, or whose channels don't work, is not waited for, so that in doubt
 * both tell, with one dedup key. What counts is the word about this very alert and receiver, never a role. */
#include "aggregator/notify/notify_private.h"

#include <stdio.h>
#include <string.h>

struct peer_key {
    bool delivered, acknowledged, resolved;
    uint64_t epoch;
    const char *key;
};

static bool lost(const struct notify *n, const struct peer *p)
{
    struct mono heard = p->heard.ns ? p->heard : n->start;

    return mono_sub(n->now_mono, heard).ns > n->plan->peer_lost.ns;
}

/* NULL: we. */
static const struct peer *speaker(const struct notify *n, const struct known *k)
{
    const char *region = labels_get(k->labels, "region");
    const struct peer *lowest = NULL;

    if (strcmp(region, n->region) == 0)
        return NULL;
    for (const struct peer *p = n->peers; p; p = p->next) {
        if (strcmp(p->region, region) == 0)
            return p;
        if (strcmp(p->region, lowest ? lowest->region : n->region) < 0)
            lowest = p;
    }
    return lowest;
}

static bool trusted(const struct notify *n, const struct peer *p)
{
    return p && p->telling && !lost(n, p);
}

/* What a peer said of this firing of this alert to this receiver; NULL: nothing. */
static const struct peer_key *word(const struct notify *n, const struct line *l, const struct known *k,
                                   const struct peer **whose)
{
    char key[300];
    int len = snprintf(key, sizeof key, "%s/%s", k->hex, l->receiver->name);

    for (const struct peer *p = n->peers; p; p = p->next) {
        const struct peer_key *w = map_get(&p->told, key, (size_t)len);

        if (w && w->delivered && w->epoch + SAME_FIRING_MS >= k->epoch) {
            *whose = p;
            return w;
        }
    }
    return NULL;
}

static enum speak wait_until(const struct notify *n, struct mono t, struct mono *next)
{
    if (!mono_before(n->now_mono, t))
        return SPEAK_WE;
    *next = mono_min(*next, mono_min(t, mono_add(n->now_mono, span_s(2))));
    return SPEAK_WAIT;
}

/* Just started: what the other one has told is not known yet, and is soon, or it is lost. */
static bool first_word(const struct notify *n)
{
    for (const struct peer *p = n->peers; p; p = p->next) {
        if (!p->heard.ns && !lost(n, p))
            return true;
    }
    return false;
}

/* How long the other one may take: while it tells of this group, its changes wait for the interval. */
static struct span patience(const struct notify *n, const struct line *l)
{
    for (uint32_t i = 0; l->group->route && i < l->group->n_members; i++) {
        const struct told *t = told_get(l->group->members[i], l);

        if (t && t->state != TOLD_NOT)
            return span_ns(n->plan->peer_wait.ns + l->group->route->interval.ns);
    }
    return n->plan->peer_wait;
}

enum speak speaker_of(struct notify *n, const struct line *l, const struct known *k, const struct told *t,
                      struct mono *next)
{
    const struct peer *p, *whose;
    const struct peer_key *w;

    if (!n->peers || k->internal)
        return SPEAK_WE;
    if (t->epoch == k->epoch && t->state == TOLD_MAYBE)
        return SPEAK_WE; /* begun here: it is brought to an end here */
    w = word(n, l, k, &whose);
    if (w && !w->resolved && !lost(n, whose))
        return SPEAK_DONE;
    if (first_word(n))
        return wait_until(n, mono_add(n->now_mono, span_s(1)), next);
    p = speaker(n, k);
    return trusted(n, p) ? wait_until(n, mono_add(t->ready, patience(n, l)), next) : SPEAK_WE;
}

enum speak speaker_of_end(struct notify *n, const struct line *l, const struct known *k, const struct told *t,
                          struct mono *next)
{
    const struct peer *whose = NULL;
    const struct peer_key *w;

    if (!n->peers || k->internal)
        return SPEAK_WE;
    w = word(n, l, k, &whose);
    if (w && w->resolved)
        return SPEAK_DONE;
    if (first_word(n))
        return wait_until(n, mono_add(n->now_mono, span_s(1)), next);
    if (t->state == TOLD_PEER || (w && speaker(n, k))) {
        if (w && !trusted(n, whose))
            return SPEAK_WE;
        return wait_until(n, mono_add(k->changed, patience(n, l)), next);
    }
    return SPEAK_WE;
}

bool speaker_repeats(struct notify *n, const struct line *l)
{
    if (!n->peers)
        return true;
    if (first_word(n))
        return false;
    for (uint32_t i = 0; i < l->group->n_members; i++) {
        const struct known *k = l->group->members[i];
        const struct told *t = told_get(k, l);
        const struct peer *whose;
        const struct peer_key *w;

        if (!k->firing || known_acked(k) || !t || t->epoch != k->epoch)
            continue;
        w = word(n, l, k, &whose);
        if (!w || w->resolved || !trusted(n, whose) || (!speaker(n, k) && t->state != TOLD_PEER))
            return true;
    }
    return false;
}

/* ---- what the other one says ---- */

struct peer *peer_get(struct notify *n, const char *region)
{
    struct peer **at = &n->peers;
    unsigned count = 0;

    for (; *at; at = &(*at)->next, count++) {
        if (strcmp((*at)->region, region) == 0)
            return *at;
    }
    if (count >= PEERS_MOST || !region[0] || strlen(region) >= sizeof(*at)->region)
        return NULL;
    *at = mem_alloc(n->mem, sizeof **at);
    if (*at)
        (void)snprintf((*at)->region, sizeof(*at)->region, "%s", region);
    return *at;
}

void peer_forget(struct notify *n, struct peer *p)
{
    map_free(&p->told);
    mem_free(n->mem, p->block, p->block_size);
    p->block = NULL;
    p->block_size = 0;
}

/* An acknowledgement given over there holds here, and goes with it. */
static void take_ack(struct notify *n, const struct peer *p, const struct peer_told *t)
{
    struct fingerprint id;
    struct known *k;
    char hex[33], who[WHO_MOST];

    (void)snprintf(hex, sizeof hex, "%.32s", t->dedup_key);
    (void)snprintf(who, sizeof who, "by way of %s", p->region);
    if (fingerprint_parse(hex, &id) != 0 || !(k = known_get(n, &id)) || !k->firing || t->resolved ||
        t->epoch + SAME_FIRING_MS < k->epoch)
        return;
    if (t->acknowledged && !known_acked(k))
        ack_set(n, k, who, "acknowledged there");
    else if (!t->acknowledged && known_acked(k) && strcmp(k->ack.who, who) == 0)
        ack_clear(n, k);
}

static bool copy_told(struct notify *n, struct peer *p, const struct peer_telling *e)
{
    size_t size = e->n_told * sizeof(struct peer_key) + 1;
    struct peer_key *v;
    char *text;

    for (uint32_t i = 0; i < e->n_told; i++)
        size += strlen(e->told[i].dedup_key) + 1;
    p->block = mem_alloc(n->mem, size);
    if (!p->block)
        return false;
    p->block_size = size;
    v = (struct peer_key *)(void *)p->block;
    text = p->block + e->n_told * sizeof *v;
    for (uint32_t i = 0; i < e->n_told; i++) {
        const struct peer_told *t = &e->told[i];
        size_t len = strlen(t->dedup_key);

        memcpy(text, t->dedup_key, len + 1);
        v[i] = (struct peer_key){t->delivered, t->acknowledged, t->resolved, t->epoch, text};
        if (map_put(&p->told, text, len, &v[i]) != 0)
            return false;
        text += len + 1;
    }
    return true;
}

void peer_take(struct notify *n, const struct peer_telling *e)
{
    struct peer *p = strcmp(e->region, n->region) == 0 ? NULL : peer_get(n, e->region);

    if (!p) {
        n->refused++;
        return;
    }
    if (!p->heard.ns)
        record_peer(n, p);
    p->heard = n->now_mono;
    p->telling = e->telling;
    peer_forget(n, p);
    map_init(&p->told, n->mem, NULL);
    if (!copy_told(n, p, e)) {
        n->no_memory++; /* fails open: its word is not known, so we tell */
        peer_forget(n, p);
        map_init(&p->told, n->mem, NULL);
    }
    for (uint32_t i = 0; i < e->n_told; i++)
        take_ack(n, p, &e->told[i]);
}

/* What fires stands before what has ended, as the other one may not take all. */
static int tell_those(const struct notify *n, bool firing, int (*fn)(void *arg, const struct peer_told *t),
                      void *arg)
{
    struct known *k;
    int rc = 0;

    for (size_t i = 0; rc == 0 && (k = map_next(&n->alerts, &i));) {
        if (k->firing != firing)
            continue;
        for (uint32_t j = 0; rc == 0 && j < k->n_told; j++) {
            const struct told *t = &k->told[j];
            char key[300];

            if (k->internal || t->state == TOLD_NOT || t->state == TOLD_PEER)
                continue;
            (void)snprintf(key, sizeof key, "%s/%s", k->hex, t->line->receiver->name);
            rc = fn(arg,
                    &(struct peer_told){
                        .dedup_key = key,
                        .epoch = t->epoch,
                        .delivered = t->state == TOLD_YES || t->state == TOLD_DIGEST || t->state == TOLD_OVER,
                        .acknowledged = k->ack.epoch && k->ack.epoch == t->epoch &&
                                        strncmp(k->ack.who, "by way of ", 10) != 0,
                        .resolved = t->state == TOLD_OVER,
                    });
        }
    }
    return rc;
}

int notify_tell_peer(const struct notify *n, int (*fn)(void *arg, const struct peer_told *t), void *arg)
{
    int rc = tell_those(n, true, fn, arg);

    return rc ? rc : tell_those(n, false, fn, arg);
}
