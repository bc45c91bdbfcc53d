/* Alerts come and go: each is one block with its labels and texts, found by its fingerprint. See state.h. */
#include <string.h>

#include "aggregator/alert/fill.h"
#include "aggregator/alert/state.h"

struct alert *alert_find(const struct alerts *a, const struct fingerprint *id)
{
    return map_get(&a->ids, id->b, sizeof id->b);
}

/* ---- one block ---- */

static size_t texts_size(struct labels l)
{
    size_t n = l.n * sizeof(struct label);

    for (uint32_t i = 0; i < l.n; i++)
        n += strlen(l.v[i].name) + strlen(l.v[i].value) + 2;
    return n;
}

static const char *pack_text(char **at, const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = memcpy(*at, s, n);

    *at += n;
    return p;
}

static struct labels pack(struct label *v, char **at, struct labels l)
{
    for (uint32_t i = 0; i < l.n; i++) {
        v[i].name = pack_text(at, l.v[i].name);
        v[i].value = pack_text(at, l.v[i].value);
    }
    return (struct labels){v, l.n};
}

static struct alert *make(struct alerts *a, const char *rule, struct labels group, struct labels all,
                          enum severity severity)
{
    size_t size = sizeof(struct alert) + texts_size(group) + texts_size(all) + strlen(rule) + 1;
    struct alert *al = a->n_alerts < ALERTS_MOST ? mem_alloc(a->mem, size) : NULL;
    struct label *v;
    char *at;

    if (!al) {
        a->no_memory++;
        return NULL;
    }
    v = (struct label *)(al + 1);
    at = (char *)(v + group.n + all.n);
    al->size = size;
    al->group = pack(v, &at, group);
    al->labels = pack(v + group.n, &at, all);
    al->rule = pack_text(&at, rule);
    al->id = labels_fingerprint(rule, group);
    al->severity = severity;
    al->stored = -1;
    al->cell = UINT32_MAX;
    if (alert_find(a, &al->id) || map_put(&a->ids, al->id.b, sizeof al->id.b, al) != 0) {
        a->no_memory++;
        mem_free(a->mem, al, size);
        return NULL;
    }
    a->n_alerts++;
    return al;
}

/* ---- labels of an alert ---- */

struct gathering {
    struct label v[ALERT_LABELS_MOST];
    uint32_t n;
};

static void gather(struct gathering *g, const char *name, const char *value)
{
    if (!*value)
        return;
    for (uint32_t i = 0; i < g->n; i++) {
        if (!strcmp(g->v[i].name, name))
            return; /* what was said first holds */
    }
    if (g->n < ALERT_LABELS_MOST)
        g->v[g->n++] = (struct label){name, value};
}

struct alert *alert_make(struct alerts *a, struct rule_state *rs, struct labels group)
{
    const struct rule *r = rs->rule;
    struct gathering g = {.n = 0};
    struct alert *al;

    buf_clear(&a->text);
    alert_fill(r->service, group, 0, 0, &a->text);
    gather(&g, "alertname", r->name);
    gather(&g, "severity", severity_name(r->severity));
    gather(&g, "team", r->team);
    gather(&g, "service", buf_text(&a->text));
    for (uint32_t i = 0; i < r->n_labels; i++)
        gather(&g, r->labels[i].name, r->labels[i].value);
    for (uint32_t i = 0; i < group.n; i++)
        gather(&g, group.v[i].name, group.v[i].value);
    gather(&g, "region", a->region);
    labels_sort(g.v, g.n);
    al = make(a, r->name, group, (struct labels){g.v, g.n}, r->severity);
    if (!al) {
        rs->refused++;
        return NULL;
    }
    al->of = rs;
    al->next = rs->first;
    rs->first = al;
    rs->n++;
    rs->count[ALERT_INACTIVE]++;
    return al;
}

struct alert *alert_make_orphan(struct alerts *a, const char *rule, struct labels group, struct labels all,
                                enum severity severity)
{
    struct alert *al = make(a, rule, group, all, severity);

    if (al) {
        al->next = a->orphans;
        a->orphans = al;
    }
    return al;
}

void alert_state_set(struct alert *al, enum alert_state s)
{
    if (al->of) {
        al->of->count[al->state]--;
        al->of->count[s]++;
    }
    al->state = s;
}

void alert_drop(struct alerts *a, struct alert **at)
{
    struct alert *al = *at;

    *at = al->next;
    map_del(&a->ids, al->id.b, sizeof al->id.b);
    a->n_alerts--;
    if (al->of) {
        al->of->n--;
        al->of->count[al->state]--;
        if (al->of->summary == al)
            al->of->summary = NULL;
        if (al->cell < al->of->n_cells && al->of->cells[al->cell].alert == al)
            al->of->cells[al->cell].alert = NULL;
    }
    alert_baseline_drop(a, al);
    mem_free(a->mem, al, al->size);
}
