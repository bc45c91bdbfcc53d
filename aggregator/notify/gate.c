/* What stops an alert from being told: its rule's suppressor, silences, maintenance, mutes of the route, inhibition.
 * Nothing that is stopped is forgotten: it is looked at again until it ends or the way is free. What was told before
 * is told to have ended whatever stands in the way: an incident that somebody has open has to close. */
#include "aggregator/notify/notify_private.h"

#include <string.h>

#define CONFIRM span_s(60)

static const char *const names[BLOCKS] = {
    [BLOCK_NONE] = "none",
    [BLOCK_SUPPRESSED] = "suppressed",
    [BLOCK_SILENCE] = "silenced",
    [BLOCK_MAINTENANCE] = "maintenance",
    [BLOCK_MUTE] = "muted",
    [BLOCK_INHIBITED] = "inhibited",
    [BLOCK_UNCONFIRMED] = "unconfirmed",
};

const char *block_name(enum block b)
{
    return (unsigned)b < BLOCKS ? names[b] : "unknown";
}

/* ---- inhibition: an index of firing sources by rule and equal labels, made anew when one of them changes ---- */

struct inhibitor {
    struct fingerprint key;
    const struct known *source;
};

static struct fingerprint equal_key(const struct inhibit *h, struct labels l)
{
    struct label v[GROUP_BY_MOST];

    for (uint32_t i = 0; i < h->n_equal; i++)
        v[i] = (struct label){h->equal[i], labels_get(l, h->equal[i])};
    labels_sort(v, h->n_equal);
    return labels_fingerprint(h->name, (struct labels){v, h->n_equal});
}

static void forget_inhibitors(struct notify *n)
{
    map_free(&n->inhibitors);
    mem_free(n->mem, n->inhibitors_block, n->inhibitors_size);
    n->inhibitors_block = NULL;
    n->inhibitors_size = 0;
}

static void index_inhibitors(struct notify *n)
{
    struct known *k;
    struct inhibitor *v;
    uint32_t count = 0, at = 0;

    n->inhibited_version = n->version;
    forget_inhibitors(n);
    for (size_t i = 0; (k = map_next(&n->alerts, &i));) {
        if (k->firing)
            count += (uint32_t)__builtin_popcountll(k->sources);
    }
    if (!count)
        return;
    v = mem_array(n->mem, count, sizeof *v);
    if (!v) {
        n->no_memory++; /* fails open: nothing is held back */
        return;
    }
    n->inhibitors_block = (char *)v;
    n->inhibitors_size = count * sizeof *v;
    map_init(&n->inhibitors, n->mem, NULL);
    for (size_t i = 0; (k = map_next(&n->alerts, &i));) {
        for (uint64_t bits = k->firing ? k->sources : 0; bits; bits &= bits - 1) {
            struct inhibitor *h = &v[at++];

            *h = (struct inhibitor){equal_key(&n->plan->inhibits[__builtin_ctzll(bits)], k->labels), k};
            if (!map_get(&n->inhibitors, h->key.b, sizeof h->key.b))
                (void)map_put(&n->inhibitors, h->key.b, sizeof h->key.b, h);
        }
    }
}

void gate_forget(struct notify *n)
{
    forget_inhibitors(n);
}

/* An alert that is source and target of one rule isn't held back by it: else two would hold back each other. */
static const struct inhibit *inhibited(struct notify *n, const struct known *k)
{
    if (n->inhibited_version != n->version)
        index_inhibitors(n);
    for (uint64_t bits = k->targets & ~k->sources; bits && n->inhibitors.count; bits &= bits - 1) {
        const struct inhibit *h = &n->plan->inhibits[__builtin_ctzll(bits)];
        struct fingerprint key = equal_key(h, k->labels);

        if (map_get(&n->inhibitors, key.b, sizeof key.b))
            return h;
    }
    return NULL;
}

void gate_mark(struct notify *n, struct known *k)
{
    k->sources = k->targets = 0;
    for (uint32_t i = 0; i < n->plan->n_inhibits; i++) {
        if (match_labels(n->plan->inhibits[i].source, k->labels))
            k->sources |= UINT64_C(1) << i;
        if (match_labels(n->plan->inhibits[i].target, k->labels))
            k->targets |= UINT64_C(1) << i;
    }
    n->version++;
}

/* ---- silences ---- */

bool silence_holds(const struct silence *s, struct wall now)
{
    return !s->ended && s->from.ms <= now.ms && now.ms < s->to.ms;
}

static const struct silence *silenced(const struct notify *n, const struct known *k)
{
    for (const struct silence *s = n->silences; s; s = s->next) {
        if (silence_holds(s, n->now) && match_labels(s->match, k->labels))
            return s;
    }
    return NULL;
}

/* ---- maintenance ---- */

static const struct maintenance_fact *maintained(const struct notify *n, const struct known *k)
{
    for (uint32_t i = 0; i < n->n_facts; i++) {
        if (n->facts[i].mutes && match_labels(n->facts[i].match, k->labels))
            return &n->facts[i];
    }
    return NULL;
}

/* What is made here about receivers is never held back: it tells that telling fails. */
enum block gate(struct notify *n, const struct group *g, const struct known *k, const char **what)
{
    const struct silence *s;
    const struct maintenance_fact *m;
    const struct inhibit *h;

    *what = "";
    if (k->internal)
        return BLOCK_NONE;
    if (k->suppressed)
        return BLOCK_SUPPRESSED;
    if (!k->confirmed && mono_sub(n->now_mono, n->start).ns < CONFIRM.ns)
        return BLOCK_UNCONFIRMED;
    if ((s = silenced(n, k))) {
        *what = s->id;
        return BLOCK_SILENCE;
    }
    if ((m = maintained(n, k))) {
        *what = m->name;
        return BLOCK_MAINTENANCE;
    }
    for (uint32_t i = 0; g && g->route && i < g->route->n_mutes; i++) {
        const struct mute *w = &n->plan->mutes[g->route->mutes[i]];

        if (mute_holds(w, n->now)) {
            *what = w->name;
            return BLOCK_MUTE;
        }
    }
    if ((h = inhibited(n, k))) {
        *what = h->name;
        return BLOCK_INHIBITED;
    }
    return BLOCK_NONE;
}
