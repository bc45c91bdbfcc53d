/* Why minutes are down: maintenance as the steps bring it, failovers and drills as they are told. What has ended is
 * remembered, since a minute is judged after it is over, and late values have it judged again. */
#include <string.h>

#include "aggregator/slo/slo_private.h"

enum { CAUSES_MOST = 4096, LABELS_MOST = SLO_BY_MAX + 3, FORM = 1 };
#define KEPT_MS (INT64_C(96) * 3600 * 1000)

static void cause_drop(struct slos *s, uint32_t i)
{
    struct cause *c = &s->causes[i];

    mem_free(s->mem, c->name, strlen(c->name) + 1);
    match_free(&c->match);
    s->causes[i] = s->causes[--s->n_causes];
}

void causes_free(struct slos *s)
{
    while (s->n_causes)
        cause_drop(s, s->n_causes - 1);
    mem_free(s->mem, s->causes, s->room_causes * sizeof *s->causes);
    s->causes = NULL;
    s->room_causes = 0;
}

static struct cause *cause_find(const struct slos *s, enum slo_cause kind, const char *name, int64_t from_ms)
{
    for (uint32_t i = 0; i < s->n_causes; i++) {
        struct cause *c = &s->causes[i];

        if (c->kind == kind && c->from_ms == from_ms && !strcmp(c->name, name))
            return c;
    }
    return NULL;
}

static int causes_room(struct slos *s)
{
    uint32_t room = s->room_causes ? s->room_causes * 2 : 8;
    struct cause *p;

    if (s->n_causes < s->room_causes)
        return 0;
    if (s->n_causes >= CAUSES_MOST)
        return ERR_LIMIT;
    p = mem_resize(s->mem, s->causes, s->room_causes * sizeof *p, room * sizeof *p);
    if (!p)
        return ERR_NOMEM;
    s->causes = p;
    s->room_causes = room;
    return 0;
}

/* Finds or makes; *out is valid until the next call. */
static int cause_make(struct slos *s, enum slo_cause kind, const char *name, const char *match,
                      int64_t from_ms, struct cause **out, struct err *e)
{
    struct cause *c = cause_find(s, kind, name, from_ms);
    struct match *m;
    char *copy;
    int rc;

    *out = c;
    if (c)
        return 0;
    rc = causes_room(s);
    if (rc)
        return err_set(e, rc, "no room for more causes of down time");
    m = match_new(match, e);
    if (!m)
        return e && e->code ? e->code : ERR_MALFORMED;
    copy = mem_text(s->mem, name, strlen(name));
    if (!copy) {
        match_free(&m);
        return err_set(e, ERR_NOMEM, "no memory for the causes of down time");
    }
    c = &s->causes[s->n_causes++];
    *c = (struct cause){
        .kind = kind, .name = copy, .match = m, .from_ms = from_ms, .to_ms = INT64_MAX, .dirty = true};
    *out = c;
    return 0;
}

/* Verdicts within [from, to) are to be looked at again. */
static void touch_all(struct slos *s, int64_t from_ms, int64_t to_ms)
{
    for (uint32_t i = 0; i < s->n; i++) {
        for (uint32_t k = 0; k < s->list[i]->n; k++) {
            struct slo_group *g = s->list[i]->groups[k];
            int64_t last = to_ms == INT64_MAX ? g->closed : minute_of(to_ms);

            slo_touch(g, minute_of(from_ms));
            slo_touch(g, last < g->closed ? last : g->closed - 1);
        }
    }
}

int slos_cause(struct slos *s, enum slo_cause kind, const char *name, const char *match, struct wall from,
               struct wall to, struct err *e)
{
    int64_t to_ms = to.ms ? to.ms : INT64_MAX, was;
    struct cause *c;
    int rc = cause_make(s, kind, name, match, from.ms, &c, e);

    if (rc)
        return rc;
    was = c->to_ms;
    c->to_ms = to_ms;
    c->dirty = true;
    touch_all(s, from.ms, was > to_ms ? was : to_ms);
    return 0;
}

void causes_take(struct slos *s, const struct slo_input *in)
{
    for (uint32_t i = 0; i < s->n_causes; i++)
        s->causes[i].seen = false;
    for (uint32_t i = 0; i < in->n_maintenance; i++) {
        const struct maintenance_fact *m = &in->maintenance[i];
        struct cause *c;

        if (cause_make(s, SLO_CAUSE_MAINTENANCE, m->name, match_text(m->match), m->from.ms, &c, NULL) != 0) {
            s->no_memory++;
            continue;
        }
        c->dirty |=
            c->to_ms != m->to.ms || c->declared_ms != m->declared.ms || c->excludes != m->excludes_sla;
        c->to_ms = m->to.ms ? m->to.ms : INT64_MAX;
        c->declared_ms = m->declared.ms;
        c->excludes = m->excludes_sla;
        c->seen = true;
    }
    for (uint32_t i = 0; i < s->n_causes; i++) {
        struct cause *c = &s->causes[i];

        if (c->kind != SLO_CAUSE_MAINTENANCE || c->seen || c->to_ms <= in->now.ms)
            continue;
        c->to_ms = in->now.ms; /* it was ended early */
        c->dirty = true;
    }
}

/* ---- which minutes ---- */

static void label_put(struct label *v, uint32_t *n, const char *name, const char *value)
{
    for (uint32_t i = 0; i < *n; i++) {
        if (!strcmp(v[i].name, name))
            return;
    }
    if (*value)
        v[(*n)++] = (struct label){name, value};
}

static bool concerns(const struct cause *c, const struct slo_group *g)
{
    const struct slo_def *d = g->slo->def;
    struct label v[LABELS_MOST];
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->labels.n && i < SLO_BY_MAX; i++)
        v[n++] = g->labels.v[i];
    label_put(v, &n, "slo", d->name);
    label_put(v, &n, "service", d->service);
    label_put(v, &n, "team", d->team);
    labels_sort(v, n);
    return match_labels(c->match, (struct labels){v, n});
}

enum slo_code causes_of(const struct slos *s, const struct slo_group *g, int64_t minute)
{
    int64_t begins = minute * 60000, ends = begins + 60000;
    enum slo_code code = CODE_DOWN;

    for (uint32_t i = 0; i < s->n_causes; i++) {
        const struct cause *c = &s->causes[i];
        bool within = begins >= c->from_ms && ends <= c->to_ms;

        if (begins >= c->to_ms || ends <= c->from_ms || !concerns(c, g))
            continue;
        if (c->kind == SLO_CAUSE_MAINTENANCE && within && c->excludes && c->declared_ms <= c->from_ms &&
            g->slo->def->maintenance_excluded)
            return CODE_EXCLUDED;
        if (c->kind == SLO_CAUSE_DRILL)
            code = CODE_DOWN_DRILL;
        else if (c->kind == SLO_CAUSE_FAILOVER && code != CODE_DOWN_DRILL)
            code = CODE_DOWN_FAILOVER;
        else if (c->kind == SLO_CAUSE_MAINTENANCE && code == CODE_DOWN)
            code = CODE_DOWN_MAINTENANCE;
    }
    return code;
}

/* ---- records: w, kind, name, NUL, beginning -> form, to, declared, excludes, match ---- */

static void put_i64(struct buf *b, int64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_u8(b, (uint8_t)((uint64_t)v >> shift));
}

static int64_t get_i64(const uint8_t *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return (int64_t)v;
}

int causes_record(struct slos *s, const struct slo_effects *out, int64_t now_ms)
{
    struct buf key, value;
    int rc = 0;

    buf_init(&key, s->mem, 1 << 16);
    buf_init(&value, s->mem, 1 << 16);
    for (uint32_t i = s->n_causes; i-- > 0;) {
        struct cause *c = &s->causes[i];
        bool gone = c->to_ms < now_ms - KEPT_MS;

        if (!c->dirty && !gone)
            continue;
        buf_clear(&key);
        buf_clear(&value);
        buf_u8(&key, 'w');
        buf_u8(&key, (uint8_t)c->kind);
        buf_put(&key, c->name, strlen(c->name) + 1);
        put_i64(&key, c->from_ms);
        buf_u8(&value, FORM);
        put_i64(&value, c->to_ms);
        put_i64(&value, c->declared_ms);
        buf_u8(&value, c->excludes);
        buf_str(&value, match_text(c->match));
        if (key.full || value.full)
            rc = ERR_NOMEM;
        else
            out->record(out->arg, buf_bytes(&key), gone ? (struct bytes){NULL, 0} : buf_bytes(&value));
        c->dirty = false;
        if (gone)
            cause_drop(s, i);
    }
    buf_free(&key);
    buf_free(&value);
    return rc;
}

int causes_restore(struct slos *s, struct bytes key, struct bytes value)
{
    const uint8_t *nul = key.n > 2 ? memchr(key.p + 2, 0, key.n - 2) : NULL;
    struct cause *c;
    char *match;
    int rc;

    if (!nul || key.p[1] >= SLO_CAUSES || key.p + key.n - nul != 9 || value.n < 18 || value.p[0] != FORM)
        return ERR_MALFORMED;
    match = mem_text(s->mem, (const char *)value.p + 18, value.n - 18);
    if (!match)
        return ERR_NOMEM;
    rc = cause_make(s, (enum slo_cause)key.p[1], (const char *)key.p + 2, match, get_i64(nul + 1), &c, NULL);
    mem_free(s->mem, match, value.n - 18 + 1);
    if (rc)
        return rc;
    c->to_ms = get_i64(value.p + 1);
    c->declared_ms = get_i64(value.p + 9);
    c->excludes = value.p[17] != 0;
    c->dirty = false;
    return 0;
}
