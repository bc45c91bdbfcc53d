/* Records back into state, at the first step: only then are both clocks known, and records come in any order. Records
 * are our own, yet nothing in them is trusted: what can't be read is counted and left out. */
#include "aggregator/notify/notify_private.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#define LONG_AGO_MS (INT64_C(86400000) * 400)

struct saved {
    struct saved *next;
    size_t size;
    const char *id; /* behind the kind */
    cJSON *value;
    char key[];
};

static const char *text(const cJSON *o, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

    return s ? s : "";
}

static int64_t whole(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble < 9e15 ? (int64_t)v->valuedouble : 0;
}

static double real(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static bool yes(const cJSON *o, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, key));
}

int notify_restore(struct notify *n, struct bytes key, struct bytes value, struct err *e)
{
    struct saved *s;
    const uint8_t *slash = memchr(key.p, '/', key.n);

    if (n->started)
        return err_set(e, ERR_STATE, "a step was made already");
    if (!slash || key.n > 300)
        return err_set(e, ERR_MALFORMED, "a record with a key of another form");
    s = mem_alloc(n->mem, sizeof *s + key.n + 1);
    if (!s)
        return err_set(e, ERR_NOMEM, "no memory for what was told");
    s->size = sizeof *s + key.n + 1;
    memcpy(s->key, key.p, key.n);
    s->key[slash - key.p] = 0;
    s->id = s->key + (slash - key.p) + 1;
    s->value = cJSON_ParseWithLength((const char *)value.p, value.n);
    if (!cJSON_IsObject(s->value)) {
        cJSON_Delete(s->value);
        mem_free(n->mem, s, s->size);
        n->bad_records++;
        return err_set(e, ERR_MALFORMED, "a record that can't be read: %.*s", (int)key.n,
                       (const char *)key.p);
    }
    s->next = n->saved;
    n->saved = s;
    return 0;
}

static struct labels read_labels(const cJSON *o, struct label *room, uint32_t most)
{
    const cJSON *l;
    uint32_t n = 0;

    cJSON_ArrayForEach(l, cJSON_GetObjectItemCaseSensitive(o, "labels"))
    {
        if (n < most && cJSON_IsString(l) && l->string)
            room[n++] = (struct label){l->string, l->valuestring};
    }
    labels_sort(room, n);
    return (struct labels){room, n};
}

/* A wall time as the boot clock would have it, at most `most` from now: a clock that was ahead makes nobody wait. It
 * may lie before the boot; 0 stands for none. */
static struct mono at_mono(const struct notify *n, int64_t ms, struct span most)
{
    int64_t away = ms - n->now.ms;
    struct mono t;

    if (!ms)
        return (struct mono){0};
    if (away > span_to_ms(most))
        away = span_to_ms(most);
    if (away < -LONG_AGO_MS)
        away = -LONG_AGO_MS;
    t = mono_add(n->now_mono, span_ms(away));
    return t.ns ? t : (struct mono){1};
}

enum { LABELS_MOST = 64 };

static void restore_group(struct notify *n, const struct saved *s)
{
    const struct route *r = NULL;
    struct label room[LABELS_MOST];
    struct group *g;
    const cJSON *l;

    for (uint32_t i = 0; i < n->plan->n_routes; i++)
        r = strcmp(n->plan->routes[i].name, text(s->value, "route")) == 0 ? &n->plan->routes[i] : r;
    g = bunch_get(n, r, text(s->value, "route"), read_labels(s->value, room, LABELS_MOST));
    if (!g) {
        n->no_memory++;
        return;
    }
    g->saved = true;
    g->flushed = at_mono(n, whole(s->value, "flushed"), span_s(0));
    g->start = at_mono(n, whole(s->value, "start"), r ? span_ns(r->wait.ns + r->interval.ns) : span_s(0));
    g->due = n->now_mono;
    g->escalating_at.ms = whole(s->value, "escalating");
    g->escalating = at_mono(n, g->escalating_at.ms, span_s(0));
    g->step = (uint32_t)whole(s->value, "step");
    g->round = (uint32_t)whole(s->value, "round");
    if (g->step > STEPS_MOST || g->round > 100)
        g->step = g->round = 0;
    cJSON_ArrayForEach(l, cJSON_GetObjectItemCaseSensitive(s->value, "lines"))
    {
        struct receiver *to = text(l, "receiver")[0] ? receiver_get(n, text(l, "receiver")) : NULL;
        struct line *line = to ? line_get(n, g, to) : NULL;

        if (!line)
            continue;
        line->told_at.ms = whole(l, "told_at");
        line->told = at_mono(n, line->told_at.ms, span_s(0));
        line->gave_up = yes(l, "gave_up");
    }
}

static void restore_told(struct notify *n, struct known *k, const cJSON *r)
{
    struct group *g = map_get(&n->group_map, text(r, "group"), strlen(text(r, "group")));
    struct receiver *to = g && text(r, "receiver")[0] ? receiver_get(n, text(r, "receiver")) : NULL;
    struct line *l = to && bunch_add(n, g, k) ? line_get(n, g, to) : NULL;
    struct told *t = l ? told_put(n, k, l) : NULL;

    if (!t) {
        n->bad_records++;
        return;
    }
    t->epoch = (uint64_t)whole(r, "epoch");
    t->by_digest = yes(r, "by_digest");
    if (t->by_digest) { /* the storm goes on where it was */
        to->waiting++;
        to->storm = true;
        to->window = n->now_mono;
    }
    for (uint8_t i = 0; i < TOLD_STATES; i++)
        t->state = strcmp(told_state_name(i), text(r, "state")) == 0 ? i : t->state;
}

static void restore_alert(struct notify *n, const struct saved *s)
{
    struct label room[LABELS_MOST];
    struct alert_notice a = {
        .rule = text(s->value, "rule"),
        .labels = read_labels(s->value, room, LABELS_MOST),
        .summary = text(s->value, "summary"),
        .description = text(s->value, "description"),
        .runbook = text(s->value, "runbook"),
    };
    struct known *k;
    const cJSON *r;

    if (fingerprint_parse(s->id, &a.id) != 0 || !(k = known_put(n, &a))) {
        n->bad_records++;
        return;
    }
    k->saved = true;
    k->epoch = (uint64_t)whole(s->value, "epoch");
    k->firing = yes(s->value, "firing");
    k->suppressed = yes(s->value, "suppressed");
    k->internal = k->confirmed = yes(s->value, "internal");
    (void)severity_parse(text(s->value, "severity"), &k->severity);
    k->since.ms = whole(s->value, "since");
    k->ended.ms = whole(s->value, "ended");
    k->changed = k->firing ? n->now_mono : at_mono(n, k->ended.ms, span_s(0));
    k->value = real(s->value, "value");
    k->threshold = real(s->value, "threshold");
    k->ack.epoch = (uint64_t)whole(s->value, "ack_epoch");
    k->ack.t.ms = whole(s->value, "ack_at");
    (void)snprintf(k->ack.who, sizeof k->ack.who, "%s", text(s->value, "ack_who"));
    (void)snprintf(k->ack.reason, sizeof k->ack.reason, "%s", text(s->value, "ack_reason"));
    cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(s->value, "told"))
    {
        restore_told(n, k, r);
    }
    gate_mark(n, k);
    if (k->firing && !route_place(n, k))
        n->unrouted++;
    for (uint32_t i = 0; i < k->n_groups; i++)
        k->groups[i]->due = n->now_mono;
}

static void restore_silence(struct notify *n, const struct saved *s)
{
    struct err e = {0};
    struct match *m = match_new(text(s->value, "match"), &e);
    struct silence *v = m ? mem_alloc(n->mem, sizeof *v) : NULL;
    const char *how = text(s->value, "how");

    if (!v) {
        match_free(&m);
        n->bad_records++;
        return;
    }
    *v = (struct silence){
        .match = m,
        .made = {whole(s->value, "made")},
        .from = {whole(s->value, "from")},
        .to = {whole(s->value, "to")},
        .end_when_resolved = yes(s->value, "end_when_resolved"),
        .matched = yes(s->value, "matched"),
        .ended = yes(s->value, "ended"),
        .how = strcmp(how, "expired") == 0    ? "expired"
               : strcmp(how, "resolved") == 0 ? "resolved"
               : how[0]                       ? "ended"
                                              : "",
        .next = n->silences,
    };
    (void)snprintf(v->id, sizeof v->id, "%s", s->id);
    (void)snprintf(v->who, sizeof v->who, "%s", text(s->value, "who"));
    (void)snprintf(v->reason, sizeof v->reason, "%s", text(s->value, "reason"));
    (void)snprintf(v->request, sizeof v->request, "%s", text(s->value, "request"));
    n->silences = v;
}

static void restore_maintenance(struct notify *n, const struct saved *s)
{
    struct err e = {0};
    struct match *m = match_new(text(s->value, "match"), &e);
    struct runtime_maintenance *v = m ? mem_alloc(n->mem, sizeof *v) : NULL;

    if (!v) {
        match_free(&m);
        n->bad_records++;
        return;
    }
    *v = (struct runtime_maintenance){
        .match = m,
        .declared = {whole(s->value, "declared")},
        .from = {whole(s->value, "from")},
        .to = {whole(s->value, "to")},
        .excludes_sla = yes(s->value, "excludes_sla"),
        .ended = yes(s->value, "ended"),
        .next = n->maintenance,
    };
    (void)snprintf(v->id, sizeof v->id, "%s", s->id);
    (void)snprintf(v->who, sizeof v->who, "%s", text(s->value, "who"));
    (void)snprintf(v->reason, sizeof v->reason, "%s", text(s->value, "reason"));
    (void)snprintf(v->request, sizeof v->request, "%s", text(s->value, "request"));
    n->maintenance = v;
}

/* In the order of their ids, which is that of their making: the latest wins. */
static void restore_override(struct notify *n, const struct saved *s)
{
    struct runtime_override *v = mem_alloc(n->mem, sizeof *v), **at = &n->overrides;

    if (!v) {
        n->no_memory++;
        return;
    }
    *v = (struct runtime_override){.from = {whole(s->value, "from")}, .to = {whole(s->value, "to")}};
    (void)snprintf(v->id, sizeof v->id, "%s", s->id);
    (void)snprintf(v->rota, sizeof v->rota, "%s", text(s->value, "rota"));
    (void)snprintf(v->person, sizeof v->person, "%s", text(s->value, "person"));
    (void)snprintf(v->who, sizeof v->who, "%s", text(s->value, "who"));
    (void)snprintf(v->reason, sizeof v->reason, "%s", text(s->value, "reason"));
    (void)snprintf(v->request, sizeof v->request, "%s", text(s->value, "request"));
    while (*at && strverscmp((*at)->id, v->id) < 0)
        at = &(*at)->next;
    v->next = *at;
    *at = v;
}

static void restore_other(struct notify *n, const struct saved *s)
{
    struct receiver *r;

    if (strcmp(s->key, "receiver") == 0 && s->id[0] && (r = receiver_get(n, s->id))) {
        r->reported = yes(s->value, "reported");
        r->digest_open = yes(s->value, "digest_open");
    } else if (strcmp(s->key, "silence") == 0) {
        restore_silence(n, s);
    } else if (strcmp(s->key, "maintenance") == 0) {
        restore_maintenance(n, s);
    } else if (strcmp(s->key, "override") == 0) {
        restore_override(n, s);
    } else if (strcmp(s->key, "peer") == 0) {
        (void)peer_get(n, s->id);
    }
}

void restore_all(struct notify *n)
{
    static const char *const order[] = {"group", "alert"};

    for (struct saved *s = n->saved; s; s = s->next)
        restore_other(n, s);
    for (unsigned i = 0; i < 2; i++) {
        for (struct saved *s = n->saved; s; s = s->next) {
            if (strcmp(s->key, order[i]) != 0)
                continue;
            if (i == 0)
                restore_group(n, s);
            else
                restore_alert(n, s);
        }
    }
    saved_free(n);
}

void saved_free(struct notify *n)
{
    for (struct saved *s = n->saved, *next; s; s = next) {
        next = s->next;
        cJSON_Delete(s->value);
        mem_free(n->mem, s, s->size);
    }
    n->saved = NULL;
}
