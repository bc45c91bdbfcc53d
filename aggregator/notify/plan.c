/* Reads who is told what and when: see plan.h. Routes here; calendars and escalations in files of their own. */
#include "aggregator/notify/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void plan_complain(struct plan_reader *r, const struct section *s, const char *key, const char *fmt, ...)
{
    struct err text = {0};
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text.text, sizeof text.text, fmt, ap);
    va_end(ap);
    (void)config_complain(r->report, s, key, r->e, "%s", text.text);
    r->failed = true;
}

const char *plan_text(struct plan_reader *r, const char *s)
{
    const char *copy = s ? arena_text(&r->plan->arena, s, strlen(s)) : "";

    if (!copy) {
        (void)err_set(r->e, ERR_NOMEM, "no memory for routes");
        r->failed = true;
        return "";
    }
    return copy;
}

static void *rows(struct plan_reader *r, const char *name, size_t size, uint32_t *n)
{
    void *out;

    *n = 0;
    while (config_named(r->config, name, *n))
        ++*n;
    out = arena_array(&r->plan->arena, *n + 1, size);
    if (!out) {
        (void)err_set(r->e, ERR_NOMEM, "no memory for [%s ...] sections", name);
        r->failed = true;
        *n = 0;
    }
    return out;
}

static int32_t find_section(const struct config *c, const char *kind, const char *name)
{
    const struct section *s;

    for (size_t i = 0; (s = config_named(c, kind, i)); i++) {
        if (strcmp(section_label(s), name) == 0)
            return (int32_t)i;
    }
    return -1;
}

int32_t plan_receiver(const struct plan *p, const char *name)
{
    for (uint32_t i = 0; i < p->n_receivers; i++) {
        if (strcmp(p->receivers[i].name, name) == 0)
            return (int32_t)i;
    }
    return -1;
}

bool plan_target(struct plan_reader *r, const struct section *s, const char *key, const char *word,
                 struct target *out)
{
    bool rota = strncmp(word, "rota:", 5) == 0;
    int32_t i = rota ? find_section(r->config, "rota", word + 5) : plan_receiver(r->plan, word);

    if (i < 0) {
        plan_complain(r, s, key, "found \"%s\", but there is no [%s %s]", word, rota ? "rota" : "receiver",
                      rota ? word + 5 : word);
        return false;
    }
    *out = (struct target){.rota = rota, .index = (uint32_t)i};
    return true;
}

/* The receiver that a key names; -1 when it is not set or wrong. */
static int32_t named_receiver(struct plan_reader *r, const struct section *s, const char *key)
{
    const char *name = option_text(s, key);
    int32_t i = name ? plan_receiver(r->plan, name) : -1;

    if (name && i < 0)
        plan_complain(r, s, key, "found \"%s\", but there is no [receiver %s]", name, name);
    return i;
}

struct match *plan_match(struct plan_reader *r, const struct section *s, const char *key)
{
    struct err e = {0};
    const char *text = option_text(s, key);
    struct match *m = match_new(text ? text : "", &e);

    if (!m)
        plan_complain(r, s, key, "%s", e.text);
    return m;
}

static void read_receivers(struct plan_reader *r)
{
    struct plan *p = r->plan;

    p->receivers = rows(r, "receiver", sizeof *p->receivers, &p->n_receivers);
    for (uint32_t i = 0; i < p->n_receivers; i++) {
        const struct section *s = config_named(r->config, "receiver", i);
        const char *type = option_text(s, "type");
        const struct channel *c = type ? channel_find(type) : NULL;

        p->receivers[i] = (struct receiver_plan){
            .name = plan_text(r, section_label(s)),
            .type = plan_text(r, type),
            .resolves = !c || c->resolves,
            .acknowledges = c && c->acknowledges,
            .changes = c && c->changes,
            .heartbeats = c && c->heartbeats,
            .refresh = c ? c->refresh : span_s(0),
        };
    }
}

static void read_notify(struct plan_reader *r)
{
    const struct section *s = config_section(r->config, "notify");
    struct plan *p = r->plan;

    p->fallback = named_receiver(r, s, "fallback");
    p->heartbeat = named_receiver(r, s, "heartbeat");
    if (p->heartbeat >= 0 && !p->receivers[p->heartbeat].heartbeats)
        plan_complain(r, s, "heartbeat", "receiver %s is of type %s, which has no heartbeats",
                      p->receivers[p->heartbeat].name, p->receivers[p->heartbeat].type);
    p->heartbeat_every = option_span(s, "heartbeat_every");
    p->fallback_after = option_span(s, "fallback_after");
    p->give_up = option_span(s, "give_up");
    p->retry_least = option_span(s, "retry_least");
    p->retry_most = option_span(s, "retry_most");
    p->peer_wait = option_span(s, "peer_wait");
    p->peer_lost = option_span(s, "peer_lost");
    p->storm_messages = (uint32_t)option_int(s, "storm_messages");
    p->storm_window = option_span(s, "storm_window");
    p->storm_interval = option_span(s, "storm_interval");
    p->silence_most = option_span(s, "max_silence");
    p->ack_for = option_span(s, "ack_for");
    if (p->retry_most.ns < p->retry_least.ns)
        plan_complain(r, s, "retry_most", "is shorter than retry_least");
}

static void read_words(struct plan_reader *r, const struct section *s, const char *key,
                       const char *out[GROUP_BY_MOST], uint32_t *n)
{
    size_t count = option_count(s, key);

    *n = 0;
    if (count > GROUP_BY_MOST) {
        plan_complain(r, s, key, "names %zu labels; at most %d", count, GROUP_BY_MOST);
        return;
    }
    for (size_t i = 0; i < count; i++)
        out[(*n)++] = plan_text(r, option_word(s, key, i));
}

/* What the route says itself. */
static void read_route(struct plan_reader *r, const struct section *s, struct route *t)
{
    const char *escalation = option_text(s, "escalation");
    size_t n = option_count(s, "receivers");

    *t = (struct route){.name = plan_text(r, section_label(s)), .parent = -1, .escalation = -1};
    t->match = plan_match(r, s, "match");
    t->go_on = option_bool(s, "continue");
    t->fallback = named_receiver(r, s, "fallback");
    if (n > TARGETS_MOST)
        plan_complain(r, s, "receivers", "names %zu; at most %d", n, TARGETS_MOST);
    for (size_t i = 0; i < n && i < TARGETS_MOST; i++) {
        if (plan_target(r, s, "receivers", option_word(s, "receivers", i), &t->targets[t->n_targets]))
            t->n_targets++;
    }
    read_words(r, s, "group_by", t->group_by, &t->n_group_by);
    for (uint32_t i = 0; i < t->n_group_by; i++)
        t->group_all = t->group_all || strcmp(t->group_by[i], "*") == 0;
    if (t->group_all && t->n_group_by != 1)
        plan_complain(r, s, "group_by", "* stands for all labels: it stands alone");
    n = option_count(s, "mute");
    for (size_t i = 0; i < n && i < TARGETS_MOST; i++) {
        int32_t m = find_section(r->config, "mute", option_word(s, "mute", i));

        if (m < 0)
            plan_complain(r, s, "mute", "found \"%s\", but there is no [mute %s]", option_word(s, "mute", i),
                          option_word(s, "mute", i));
        else
            t->mutes[t->n_mutes++] = (uint32_t)m;
    }
    if (n > TARGETS_MOST)
        plan_complain(r, s, "mute", "names %zu; at most %d", n, TARGETS_MOST);
    if (escalation && (t->escalation = find_section(r->config, "escalation", escalation)) < 0)
        plan_complain(r, s, "escalation", "found \"%s\", but there is no [escalation %s]", escalation,
                      escalation);
}

static struct span inherited(const struct section *s, const char *key, struct span above)
{
    return option_set(s, key) ? option_span(s, key) : above;
}

/* What it does not say is its parent's. */
static void inherit(struct plan_reader *r, const struct section *s, struct route *t)
{
    const struct route *up = t->parent >= 0 ? &r->plan->routes[t->parent] : NULL;

    t->wait = inherited(s, "wait", up ? up->wait : span_s(10));
    t->interval = inherited(s, "interval", up ? up->interval : span_s(300));
    t->repeat = inherited(s, "repeat", up ? up->repeat : span_s(4 * 3600));
    if (!option_set(s, "receivers") && up) {
        memcpy(t->targets, up->targets, sizeof t->targets);
        t->n_targets = up->n_targets;
    }
    if (!option_set(s, "group_by")) {
        t->n_group_by = up ? up->n_group_by : 1;
        t->group_all = up && up->group_all;
        if (up)
            memcpy(t->group_by, up->group_by, sizeof t->group_by);
        else
            t->group_by[0] = "alertname";
    }
    if (!option_set(s, "escalation") && up)
        t->escalation = up->escalation;
    if (!option_set(s, "fallback"))
        t->fallback = up ? up->fallback : r->plan->fallback;
    if (t->n_targets == 0 && !r->failed)
        plan_complain(r, s, "receivers", "is needed: neither this route nor those above it name a receiver");
}

/* A parent stands before its children, so that the tree is one by its form. */
static void read_routes(struct plan_reader *r)
{
    struct plan *p = r->plan;

    p->root = -1;
    p->routes = rows(r, "route", sizeof *p->routes, &p->n_routes);
    for (uint32_t i = 0; i < p->n_routes; i++) {
        const struct section *s = config_named(r->config, "route", i);
        const char *parent = option_text(s, "parent");
        struct route *t = &p->routes[i];

        read_route(r, s, t);
        if (parent) {
            t->parent = find_section(r->config, "route", parent);
            if (t->parent < 0)
                plan_complain(r, s, "parent", "found \"%s\", but there is no [route %s]", parent, parent);
            else if (t->parent >= (int32_t)i)
                plan_complain(r, s, "parent", "[route %s] must stand before this one", parent);
            if (t->parent >= (int32_t)i)
                t->parent = -1;
        } else if (p->root >= 0) {
            plan_complain(r, s, "parent", "is needed: [route %s] is the root already",
                          p->routes[p->root].name);
        } else {
            p->root = (int32_t)i;
            if (t->match && match_count(t->match))
                plan_complain(r, s, "match", "the root takes all alerts: write routes below it instead");
        }
        inherit(r, s, t);
    }
}

static void read_inhibits(struct plan_reader *r)
{
    struct plan *p = r->plan;

    p->inhibits = rows(r, "inhibit", sizeof *p->inhibits, &p->n_inhibits);
    for (uint32_t i = 0; i < p->n_inhibits; i++) {
        const struct section *s = config_named(r->config, "inhibit", i);
        struct inhibit *h = &p->inhibits[i];

        h->name = plan_text(r, section_label(s));
        h->source = plan_match(r, s, "source");
        h->target = plan_match(r, s, "target");
        read_words(r, s, "equal", h->equal, &h->n_equal);
        if (i >= INHIBITS_MOST)
            plan_complain(r, s, NULL, "is one too many: at most %d are taken", INHIBITS_MOST);
        else if (h->source && h->target && (!match_count(h->source) || !match_count(h->target)))
            plan_complain(r, s, match_count(h->source) ? "target" : "source", "would match every alert");
    }
    if (p->n_inhibits > INHIBITS_MOST)
        p->n_inhibits = INHIBITS_MOST;
}

struct plan *plan_new(const struct config *c, const struct notify_zones *zones, struct buf *report,
                      struct err *e)
{
    struct plan *p = mem_alloc(NULL, sizeof *p);
    struct plan_reader r = {.config = c, .zones = zones, .report = report, .e = e, .plan = p};

    if (!p) {
        (void)err_set(e, ERR_NOMEM, "no memory for routes");
        return NULL;
    }
    arena_init(&p->arena, &p->mem, PLAN_MEMORY);
    read_receivers(&r);
    read_notify(&r);
    p->mutes = rows(&r, "mute", sizeof *p->mutes, &p->n_mutes);
    p->maintenance = rows(&r, "maintenance", sizeof *p->maintenance, &p->n_maintenance);
    p->rotas = rows(&r, "rota", sizeof *p->rotas, &p->n_rotas);
    p->escalations = rows(&r, "escalation", sizeof *p->escalations, &p->n_escalations);
    if (!r.failed || e->code != ERR_NOMEM) {
        plan_read_calendars(&r);
        plan_read_escalations(&r);
        read_routes(&r);
        read_inhibits(&r);
    }
    if (r.failed)
        plan_free(&p);
    return p;
}

void plan_free(struct plan **pp)
{
    struct plan *p = *pp;

    if (!p)
        return;
    for (uint32_t i = 0; p->routes && i < p->n_routes; i++)
        match_free(&p->routes[i].match);
    for (uint32_t i = 0; p->inhibits && i < p->n_inhibits; i++) {
        match_free(&p->inhibits[i].source);
        match_free(&p->inhibits[i].target);
    }
    for (uint32_t i = 0; p->maintenance && i < p->n_maintenance; i++)
        match_free(&p->maintenance[i].match);
    arena_free(&p->arena);
    mem_free(NULL, p, sizeof *p);
    *pp = NULL;
}
