/* What operators order: acknowledgements, silences, maintenance, overrides of rotas. Each has an owner, a reason and
 * an end; an order that comes twice (same request id) is one. */
#include "aggregator/notify/notify_private.h"

#include <stdio.h>
#include <string.h>

#define LOOK_BACK_MS 86400000 /* what has ended is listed so long */

static void new_id(struct notify *n, char kind, char out[40])
{
    (void)snprintf(out, 40, "%c%llx-%llu", kind, (unsigned long long)n->now.ms / 1000,
                   (unsigned long long)++n->next_id);
}

#define SET(field, text) ((void)snprintf((field), sizeof(field), "%s", (text) ? (text) : ""))

static void look_at_all(struct notify *n)
{
    for (struct group *g = n->groups; g; g = g->next)
        g->due = mono_min(g->due, n->now_mono);
    n->next_due = n->now_mono;
}

static bool blank(const char *s)
{
    return !s || !s[strspn(s, " \t\n")];
}

/* What all orders with a beginning and an end must have. */
static int check_span(const struct notify *n, const struct act_order *o, struct wall *from, struct wall *to,
                      struct err *e)
{
    char most[32];

    *from = o->from.ms ? o->from : n->now;
    *to = o->to;
    if (blank(o->who))
        return err_set(e, ERR_MALFORMED, "an owner is needed");
    if (blank(o->reason))
        return err_set(e, ERR_MALFORMED, "a reason is needed");
    if (to->ms <= from->ms || to->ms <= n->now.ms)
        return err_set(e, ERR_RANGE, "the end must lie behind the beginning and in the future");
    format_duration(n->plan->silence_most, most);
    if (to->ms - from->ms > span_to_ms(n->plan->silence_most))
        return err_set(e, ERR_RANGE, "lasts too long: at most %s are allowed ([notify] max_silence)", most);
    return 0;
}

static struct match *check_match(const char *text, struct err *e)
{
    struct match *m = match_new(text ? text : "", e);

    if (m && !match_count(m)) {
        match_free(&m);
        (void)err_set(e, ERR_MALFORMED, "would match everything: name at least one label");
    } else if (m && match_labels(m, (struct labels){NULL, 0})) {
        match_free(&m);
        (void)err_set(e, ERR_MALFORMED,
                      "matches what has none of these labels: at least one must be asked for");
    }
    return m;
}

/* ---- silences ---- */

static uint32_t silences_count(const struct notify *n)
{
    uint32_t count = 0;

    for (const struct silence *s = n->silences; s; s = s->next)
        count++;
    return count;
}

static int silence_add(struct notify *n, const struct act_order *o, char id[64], struct err *e)
{
    struct silence *s;
    struct wall from, to;
    struct match *m;
    int rc;

    for (s = n->silences; s; s = s->next) {
        if (o->request_id && o->request_id[0] && strcmp(s->request, o->request_id) == 0) {
            (void)snprintf(id, 64, "%s", s->id);
            return 0;
        }
    }
    rc = check_span(n, o, &from, &to, e);
    if (rc)
        return rc;
    if (silences_count(n) >= SILENCES_MOST)
        return err_set(e, ERR_LIMIT, "there are %d silences already", SILENCES_MOST);
    m = check_match(o->match, e);
    if (!m)
        return e->code;
    s = mem_alloc(n->mem, sizeof *s);
    if (!s) {
        match_free(&m);
        return err_set(e, ERR_NOMEM, "no memory for a silence");
    }
    *s = (struct silence){.match = m,
                          .made = n->now,
                          .from = from,
                          .to = to,
                          .how = "",
                          .end_when_resolved = o->end_when_resolved,
                          .next = n->silences};
    new_id(n, 's', s->id);
    SET(s->who, o->who);
    SET(s->reason, o->reason);
    SET(s->request, o->request_id);
    n->silences = s;
    (void)snprintf(id, 64, "%s", s->id);
    record_silence(n, s);
    return 0;
}

static void end_silence(struct notify *n, struct silence *s, const char *how, unsigned which)
{
    s->ended = true;
    s->how = how;
    s->to = n->now.ms < s->to.ms ? n->now : s->to;
    n->silences_ended[which]++;
    record_silence(n, s);
    look_at_all(n);
}

static int silence_end(struct notify *n, const char *what, struct err *e)
{
    for (struct silence *s = n->silences; s; s = s->next) {
        if (strcmp(s->id, what) != 0)
            continue;
        if (s->ended)
            return err_set(e, ERR_STATE, "silence %s has ended already", what);
        end_silence(n, s, "ended", 1);
        return 0;
    }
    return err_set(e, ERR_NOTFOUND, "there is no silence %s", what);
}

/* Whether anything that fires is matched. */
static bool any_firing(const struct notify *n, const struct match *m)
{
    const struct known *k;

    for (size_t i = 0; (k = map_next(&n->alerts, &i));) {
        if (k->firing && match_labels(m, k->labels))
            return true;
    }
    return false;
}

void gate_silences(struct notify *n)
{
    for (struct silence **at = &n->silences, *s; (s = *at);) {
        if (!s->ended && s->to.ms <= n->now.ms)
            end_silence(n, s, "expired", 0);
        if (s->end_when_resolved && silence_holds(s, n->now)) {
            bool fires = any_firing(n, s->match);

            if (fires && !s->matched) {
                s->matched = true;
                record_silence(n, s);
            } else if (!fires && s->matched) {
                end_silence(n, s, "resolved", 2);
            }
        }
        if (s->ended && s->to.ms + LOOK_BACK_MS < n->now.ms) {
            record_gone(n, "silence", s->id);
            *at = s->next;
            match_free(&s->match);
            mem_free(n->mem, s, sizeof *s);
        } else {
            at = &s->next;
        }
    }
}

/* ---- maintenance ---- */

static int maintenance_start(struct notify *n, const struct act_order *o, char id[64], struct err *e)
{
    struct runtime_maintenance *m;
    struct wall from, to;
    struct match *match;
    int rc;

    for (m = n->maintenance; m; m = m->next) {
        if (o->request_id && o->request_id[0] && strcmp(m->request, o->request_id) == 0) {
            (void)snprintf(id, 64, "%s", m->id);
            return 0;
        }
    }
    rc = check_span(n, o, &from, &to, e);
    if (rc)
        return rc;
    match = check_match(o->match, e);
    if (!match)
        return e->code;
    m = mem_alloc(n->mem, sizeof *m);
    if (!m) {
        match_free(&match);
        return err_set(e, ERR_NOMEM, "no memory for maintenance");
    }
    *m = (struct runtime_maintenance){.match = match,
                                      .declared = n->now,
                                      .from = from,
                                      .to = to,
                                      .excludes_sla = o->excludes_sla,
                                      .next = n->maintenance};
    new_id(n, 'm', m->id);
    SET(m->who, o->who);
    SET(m->reason, o->reason);
    SET(m->request, o->request_id);
    n->maintenance = m;
    (void)snprintf(id, 64, "%s", m->id);
    record_maintenance(n, m);
    gate_maintenance(n);
    return 0;
}

static int maintenance_end(struct notify *n, const char *what, struct err *e)
{
    for (struct runtime_maintenance *m = n->maintenance; m; m = m->next) {
        if (strcmp(m->id, what) != 0)
            continue;
        if (m->ended || m->to.ms <= n->now.ms)
            return err_set(e, ERR_STATE, "maintenance %s has ended already", what);
        m->ended = true;
        m->to = n->now;
        record_maintenance(n, m);
        gate_maintenance(n);
        look_at_all(n);
        return 0;
    }
    return err_set(e, ERR_NOTFOUND,
                   "there is no started maintenance %s; those of the configuration end by it", what);
}

static void add_fact(struct notify *n, const struct maintenance_fact *f)
{
    if (n->n_facts == n->room_facts) {
        uint32_t room = n->room_facts ? n->room_facts * 2 : 16;
        struct maintenance_fact *v =
            mem_resize(n->mem, n->facts, n->room_facts * sizeof *v, room * sizeof *v);

        if (!v) {
            n->no_memory++;
            return;
        }
        n->facts = v;
        n->room_facts = room;
    }
    n->facts[n->n_facts++] = *f;
}

void gate_maintenance(struct notify *n)
{
    const uint32_t before = n->n_facts;

    n->n_facts = 0;
    for (uint32_t i = 0; i < n->plan->n_maintenance; i++) {
        const struct maintenance_plan *m = &n->plan->maintenance[i];
        struct wall from = m->from, to = m->to;

        if (m->zone && maintenance_holds(m, n->now, &from, &to))
            add_fact(n, &(struct maintenance_fact){.name = m->name,
                                                   .match = m->match,
                                                   .from = from,
                                                   .to = to,
                                                   .declared = {0},
                                                   .excludes_sla = m->excludes_sla,
                                                   .mutes = m->mutes});
    }
    for (struct runtime_maintenance **at = &n->maintenance, *m; (m = *at);) {
        if (m->to.ms + LOOK_BACK_MS < n->now.ms) {
            record_gone(n, "maintenance", m->id);
            *at = m->next;
            match_free(&m->match);
            mem_free(n->mem, m, sizeof *m);
            continue;
        }
        if (!m->ended && m->from.ms <= n->now.ms && n->now.ms < m->to.ms)
            add_fact(n, &(struct maintenance_fact){.name = m->id,
                                                   .match = m->match,
                                                   .from = m->from,
                                                   .to = m->to,
                                                   .declared = m->declared,
                                                   .excludes_sla = m->excludes_sla,
                                                   .mutes = true});
        at = &m->next;
    }
    if (n->n_facts < before)
        look_at_all(n);
}

/* ---- rotas and acknowledgements ---- */

static int rota_override(struct notify *n, const struct act_order *o, char id[64], struct err *e)
{
    struct runtime_override *v, **at = &n->overrides;
    const struct rota *r = NULL;
    struct wall from, to;
    bool known = false;
    unsigned count = 0;
    int rc = check_span(n, o, &from, &to, e);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < n->plan->n_rotas; i++)
        r = strcmp(n->plan->rotas[i].name, o->what) == 0 ? &n->plan->rotas[i] : r;
    if (!r)
        return err_set(e, ERR_NOTFOUND, "there is no [rota %s]", o->what);
    for (uint32_t i = 0; i < r->n_people; i++)
        known = known || strcmp(r->people[i].name, o->user ? o->user : "") == 0;
    if (!known)
        return err_set(e, ERR_NOTFOUND, "%s is not among the people of rota %s", o->user ? o->user : "",
                       o->what);
    for (; *at; at = &(*at)->next, count++) {
        if (o->request_id && o->request_id[0] && strcmp((*at)->request, o->request_id) == 0) {
            (void)snprintf(id, 64, "%s", (*at)->id);
            return 0;
        }
    }
    if (count >= OVERRIDES_MOST)
        return err_set(e, ERR_LIMIT, "there are %d overrides already", OVERRIDES_MOST);
    v = mem_alloc(n->mem, sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for an override");
    *v = (struct runtime_override){.from = from, .to = to};
    new_id(n, 'o', v->id);
    SET(v->rota, o->what);
    SET(v->person, o->user);
    SET(v->who, o->who);
    SET(v->reason, o->reason);
    SET(v->request, o->request_id);
    *at = v; /* behind the others: the latest wins */
    (void)snprintf(id, 64, "%s", v->id);
    record_override(n, v);
    return 0;
}

static int acknowledge(struct notify *n, const struct act_order *o, char id[64], struct err *e)
{
    struct fingerprint f;
    struct known *k;

    if (fingerprint_parse(o->what, &f) != 0 || !(k = known_get(n, &f)))
        return err_set(e, ERR_NOTFOUND, "no alert %s is known here", o->what);
    if (blank(o->who))
        return err_set(e, ERR_MALFORMED, "who acknowledges is needed");
    if (!k->firing)
        return err_set(e, ERR_STATE, "alert %s does not fire", o->what);
    (void)snprintf(id, 64, "%s", k->hex);
    if (o->epoch && o->epoch + SAME_FIRING_MS < k->epoch)
        return err_set(e, ERR_STATE, "that firing of alert %s has ended; it fires anew", o->what);
    if (o->act == ACT_ACK) {
        if (!known_acked(k))
            ack_set(n, k, o->who, o->reason ? o->reason : "");
        return 0;
    }
    if (!known_acked(k))
        return err_set(e, ERR_STATE, "alert %s is not acknowledged", o->what);
    ack_clear(n, k);
    return 0;
}

int act_take(struct notify *n, const struct act_order *o, char id[64], struct err *e)
{
    switch (o->act) {
    case ACT_ACK:
    case ACT_UNACK: return acknowledge(n, o, id, e);
    case ACT_SILENCE_ADD: return silence_add(n, o, id, e);
    case ACT_SILENCE_END: return silence_end(n, o->what, e);
    case ACT_MAINTENANCE_START: return maintenance_start(n, o, id, e);
    case ACT_MAINTENANCE_END: return maintenance_end(n, o->what, e);
    case ACT_ROTA_OVERRIDE: return rota_override(n, o, id, e);
    }
    return err_set(e, ERR_UNSUPPORTED, "no such order");
}

void acts_free(struct notify *n)
{
    for (struct silence *s = n->silences, *next; s; s = next) {
        next = s->next;
        match_free(&s->match);
        mem_free(n->mem, s, sizeof *s);
    }
    for (struct runtime_maintenance *m = n->maintenance, *next; m; m = next) {
        next = m->next;
        match_free(&m->match);
        mem_free(n->mem, m, sizeof *m);
    }
    for (struct runtime_override *o = n->overrides, *next; o; o = next) {
        next = o->next;
        mem_free(n->mem, o, sizeof *o);
    }
    mem_free(n->mem, n->facts, n->room_facts * sizeof *n->facts);
}
