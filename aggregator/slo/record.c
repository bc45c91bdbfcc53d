/* What a restart needs, by key:
 *
 *   g slo NUL labels                    a group: where its ledger stands
 *   h slo NUL hour(8) labels            an hour: 4 blocks, and 60 minutes while they may change
 *   c slo NUL minute(8) at(8) labels    a correction, for reports
 *   w …                                 causes.c
 *
 * Labels are name NUL value NUL …; numbers big-endian in keys, LEB128 in values, which begin with the number of their
 * form. */
#include <math.h>
#include <string.h>

#include "aggregator/slo/slo_private.h"
#include "common/base/varint.h"

enum { FORM = 1, KEY_MOST = 1 << 16, VALUE_MOST = 1 << 16 };

/* ---- writing ---- */

static void put_u64(struct buf *b, uint64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_u8(b, (uint8_t)(v >> shift));
}

static void put_var_minute(struct buf *b, int64_t minute)
{
    buf_varint(b, minute > 0 ? (uint64_t)minute : 0);
}

static void put_labels(struct buf *b, struct labels l)
{
    for (uint32_t i = 0; i < l.n; i++) {
        buf_put(b, l.v[i].name, strlen(l.v[i].name) + 1);
        buf_put(b, l.v[i].value, strlen(l.v[i].value) + 1);
    }
}

static void tell(struct slos *s, struct buf *key, struct buf *value, const struct slo_effects *out)
{
    if (key->full || (value && value->full))
        s->no_memory++;
    else
        out->record(out->arg, buf_bytes(key), value ? buf_bytes(value) : (struct bytes){NULL, 0});
}

static void key_begin(struct buf *key, char kind, const struct slo_group *g)
{
    const char *name = g->slo->def->name;

    buf_u8(key, (uint8_t)kind);
    buf_put(key, name, strlen(name) + 1);
}

void slo_record_group(struct slos *s, struct slo_group *g, const struct slo_effects *out)
{
    const struct slo_def *d = g->slo->def;
    struct buf key, value;
    uint64_t bound;

    buf_init(&key, s->mem, KEY_MOST);
    buf_init(&value, s->mem, VALUE_MOST);
    key_begin(&key, 'g', g);
    put_labels(&key, g->labels);
    buf_u8(&value, FORM);
    put_u64(&value, d->counted);
    put_u64(&value, d->judged);
    memcpy(&bound, &g->slo->bound, sizeof bound);
    put_u64(&value, bound);
    put_var_minute(&value, g->born);
    put_var_minute(&value, g->frozen);
    put_var_minute(&value, g->fixed);
    put_var_minute(&value, g->last);
    put_var_minute(&value, g->closed);
    put_var_minute(&value, g->entry.from);
    buf_varint(&value, g->entry.code);
    buf_varint(&value, g->entry.good);
    buf_varint(&value, g->entry.total);
    buf_varint(&value, g->corrected);
    buf_varint(&value, g->good.shown);
    buf_varint(&value, g->bad.shown);
    tell(s, &key, &value, out);
    buf_free(&key);
    buf_free(&value);
}

static void hour_key(struct buf *key, const struct slo_group *g, int64_t hour)
{
    key_begin(key, 'h', g);
    put_u64(key, (uint64_t)hour);
    put_labels(key, g->labels);
}

static void put_blocks(struct buf *value, const struct slo_group *g, int64_t hour)
{
    static const struct block none = {0, 0, 0};

    for (int64_t m = hour * 60; m < hour * 60 + 60; m += BLOCK) {
        const struct block *b = slo_group_block(g, m);

        b = b ? b : &none;
        buf_varint(value, b->good);
        buf_varint(value, b->total);
        put_u64(value, b->codes);
    }
}

static void record_hour(struct slos *s, const struct slo_group *g, int64_t hour, bool minutes,
                        const struct slo_effects *out)
{
    struct buf key, value;

    buf_init(&key, s->mem, KEY_MOST);
    buf_init(&value, s->mem, VALUE_MOST);
    minutes = minutes && hour * 60 >= g->tail;
    hour_key(&key, g, hour);
    buf_u8(&value, FORM);
    put_blocks(&value, g, hour);
    for (int64_t m = hour * 60; minutes && m < hour * 60 + 60; m++) {
        static const struct minute none = {0, 0, 0, 0};
        const struct minute *x = slo_group_minute(g, m);

        x = x ? x : &none;
        buf_varint(&value, x->total);
        buf_varint(&value, x->total - x->good);
        buf_varint(&value, x->series);
        buf_varint(&value, x->version);
    }
    tell(s, &key, &value, out);
    buf_free(&key);
    buf_free(&value);
}

void slo_record_hours(struct slos *s, struct slo_group *g, const struct slo_effects *out)
{
    int64_t newest = g->head / 60;

    for (int64_t hour = newest - HOURS + 1; hour <= newest; hour++) {
        uint64_t *word = &g->hours[hour % HOURS / 64], bit = UINT64_C(1) << (hour % HOURS % 64);

        if (*word & bit)
            record_hour(s, g, hour, true, out);
        *word &= ~bit;
    }
}

static bool any_code(const struct slo_group *g, int64_t hour)
{
    bool any = false;

    for (int64_t m = hour * 60; m < hour * 60 + 60; m += BLOCK) {
        const struct block *b = slo_group_block(g, m);

        any = any || (b && (b->codes || b->total));
    }
    return any;
}

void slo_record_compact(struct slos *s, struct slo_group *g, int64_t hour, const struct slo_effects *out)
{
    if (any_code(g, hour))
        record_hour(s, g, hour, false, out);
}

void slo_record_correction(struct slos *s, struct slo_group *g, const struct correction *c, bool gone,
                           const struct slo_effects *out)
{
    struct buf key, value;

    buf_init(&key, s->mem, KEY_MOST);
    buf_init(&value, s->mem, VALUE_MOST);
    key_begin(&key, 'c', g);
    put_u64(&key, (uint64_t)c->from);
    put_u64(&key, (uint64_t)c->at_ms);
    put_labels(&key, g->labels);
    buf_u8(&value, FORM);
    buf_varint(&value, c->n);
    buf_varint(&value, c->was);
    buf_varint(&value, c->is);
    buf_varint(&value, c->version);
    tell(s, &key, gone ? NULL : &value, out);
    buf_free(&key);
    buf_free(&value);
}

void slo_forget_group(struct slos *s, struct slo_group *g, const struct slo_effects *out)
{
    struct buf key;

    buf_init(&key, s->mem, KEY_MOST);
    key_begin(&key, 'g', g);
    put_labels(&key, g->labels);
    tell(s, &key, NULL, out);
    buf_free(&key);
}

/* Hours and corrections of a day that is kept no longer, and of two before it, in case nobody was there then. */
void slo_forget_day(struct slos *s, struct slo_group *g, int64_t day, const struct slo_effects *out)
{
    struct buf key;
    uint32_t kept = 0;

    buf_init(&key, s->mem, KEY_MOST);
    for (int64_t hour = (day - 2) * 24; hour < (day + 1) * 24; hour++) {
        buf_clear(&key);
        hour_key(&key, g, hour);
        tell(s, &key, NULL, out);
    }
    buf_free(&key);
    for (uint32_t i = 0; i < g->n_corrections; i++) {
        const struct correction *c = &g->corrections[i];

        if (c->from < (day + 1) * DAY_MINUTES)
            slo_record_correction(s, g, c, true, out);
        else
            g->corrections[kept++] = *c;
    }
    g->n_corrections = kept;
}

int slo_correction_add(struct slos *s, struct slo_group *g, const struct correction *c)
{
    if (g->n_corrections == CORRECTIONS_KEPT) /* the ledger has them all */
        memmove(g->corrections, g->corrections + 1, --g->n_corrections * sizeof *c);
    if (g->n_corrections == g->room_corrections) {
        uint32_t room = g->room_corrections ? g->room_corrections * 2 : 8;
        struct correction *p =
            mem_resize(s->mem, g->corrections, g->room_corrections * sizeof *p, room * sizeof *p);

        if (!p)
            return ERR_NOMEM;
        g->corrections = p;
        g->room_corrections = room;
    }
    g->corrections[g->n_corrections++] = *c;
    return 0;
}

/* ---- reading ---- */

struct reader {
    const uint8_t *p;
    size_t n;
    bool bad;
};

static uint64_t get_u64(struct reader *r)
{
    uint64_t v = 0;

    if (r->n < 8) {
        r->bad = true;
        r->n = 0;
        return 0;
    }
    for (int i = 0; i < 8; i++)
        v = v << 8 | r->p[i];
    r->p += 8;
    r->n -= 8;
    return v;
}

static uint64_t get_var(struct reader *r)
{
    struct bytes left = {r->p, r->n};
    uint64_t v = 0;

    if (!bytes_varint(&left, &v)) {
        r->bad = true;
        left.n = 0;
    }
    r->p = left.p;
    r->n = left.n;
    return v;
}

static int64_t get_minute(struct reader *r)
{
    uint64_t v = get_var(r);

    if (v > INT64_MAX / 120000)
        r->bad = true;
    return r->bad ? 0 : (int64_t)v;
}

static const char *get_text(struct reader *r)
{
    const char *s = (const char *)r->p;
    const uint8_t *nul = r->n ? memchr(r->p, 0, r->n) : NULL;

    if (!nul) {
        r->bad = true;
        r->n = 0;
        return "";
    }
    r->n -= (size_t)(nul + 1 - r->p);
    r->p = nul + 1;
    return s;
}

static bool grouped_so(const struct slo_def *d, struct labels l)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < l.n; i++) {
        for (uint32_t k = 0; k < d->n_by; k++)
            found += strcmp(l.v[i].name, d->by[k]) == 0;
    }
    return found == l.n;
}

/* The group that the rest of a key names, made when absent. */
static struct slo_group *get_group(struct slos *s, struct slo *slo, struct reader *key)
{
    struct label v[SLO_BY_MAX];
    uint32_t n = 0;

    while (key->n && !key->bad && n < SLO_BY_MAX) {
        v[n].name = get_text(key);
        v[n++].value = get_text(key);
    }
    if (key->bad || key->n || !grouped_so(slo->def, (struct labels){v, n}))
        return NULL;
    return slo_group_make(s, slo, (struct labels){v, n});
}

static int restore_group(struct slo_group *g, struct reader *r)
{
    struct slo_group x = *g;
    struct slo_def *d = g->slo->def;
    uint64_t counted = get_u64(r), judged = get_u64(r), bits = get_u64(r);

    x.born = get_minute(r);
    x.frozen = get_minute(r);
    x.fixed = get_minute(r);
    x.last = get_minute(r);
    x.closed = get_minute(r);
    x.entry.from = get_minute(r);
    x.entry.code = (uint8_t)(get_var(r) % CODES);
    x.entry.good = get_var(r);
    x.entry.total = get_var(r);
    x.corrected = get_var(r);
    x.good.now = x.good.shown = get_var(r);
    x.bad.now = x.bad.shown = get_var(r);
    if (r->bad)
        return ERR_MALFORMED;
    if (counted != d->counted)
        x.frozen = x.closed;
    if (judged != d->judged || counted != d->counted)
        x.fixed = x.closed;
    *g = x;
    if (counted == d->counted && d->source == SOURCE_SKETCH)
        memcpy(&g->slo->bound, &bits, sizeof bits);
    return 0;
}

static int restore_minutes(struct slo_group *g, int64_t hour, struct reader *r)
{
    struct minute v[60];
    int64_t end = hour * 60 + 59;

    for (unsigned i = 0; i < 60; i++) {
        uint64_t total = get_var(r), bad = get_var(r), series = get_var(r), version = get_var(r);

        if (r->bad || total > UINT32_MAX || bad > total || series > UINT16_MAX || version > UINT8_MAX)
            return ERR_MALFORMED;
        v[i] = (struct minute){(uint32_t)(total - bad), (uint32_t)total, (uint16_t)series, (uint8_t)version};
    }
    if (end > g->head)
        slo_group_advance(g, end);
    for (unsigned i = 0; i < 60; i++) {
        struct minute *x = slo_group_minute(g, hour * 60 + i);

        if (x)
            *x = v[i];
    }
    return 0;
}

static int restore_hour(struct slos *s, struct slo_group *g, int64_t hour, struct reader *r)
{
    struct block blocks[4];
    bool had_minutes;

    for (unsigned i = 0; i < 4; i++) {
        blocks[i].good = get_var(r);
        blocks[i].total = get_var(r);
        blocks[i].codes = get_u64(r);
        if (r->bad || blocks[i].good > blocks[i].total)
            return ERR_MALFORMED;
    }
    had_minutes = r->n > 0;
    if (had_minutes && restore_minutes(g, hour, r) != 0)
        return ERR_MALFORMED;
    if (!had_minutes && g->tail < hour * 60 + 60)
        g->tail = hour * 60 + 60; /* its counts are in the blocks; they are not made up anew */
    for (unsigned i = 0; i < 4; i++) {
        struct block *b = slo_group_block_make(g, hour * 60 + i * BLOCK, s->mem);

        if (b)
            *b = blocks[i];
    }
    g->stale = true;
    return 0;
}

static int restore_correction(struct slos *s, struct slo_group *g, struct correction c, struct reader *r)
{
    uint64_t n = get_var(r), was = get_var(r), is = get_var(r), version = get_var(r);

    if (r->bad || n > 1000000 || was >= CODES || is >= CODES || version > UINT8_MAX)
        return ERR_MALFORMED;
    c.n = (uint32_t)n;
    c.was = (uint8_t)was;
    c.is = (uint8_t)is;
    c.version = (uint8_t)version;
    return slo_correction_add(s, g, &c);
}

static int restore(struct slos *s, struct reader *key, struct reader *value)
{
    char kind = (char)*key->p;
    struct correction c = {0};
    struct slo_group *g;
    struct slo *slo;
    int64_t hour = 0;

    key->p++;
    key->n--;
    slo = slos_find(s, get_text(key));
    if (key->bad)
        return ERR_MALFORMED;
    if (!slo)
        return ERR_NOTFOUND;
    if (kind == 'h')
        hour = (int64_t)get_u64(key);
    if (kind == 'c') {
        c.from = (int64_t)get_u64(key);
        c.at_ms = (int64_t)get_u64(key);
    }
    if (key->bad || hour < 0 || hour > INT64_MAX / 120000 / 60 || !value->n || *value->p != FORM)
        return ERR_MALFORMED;
    value->p++;
    value->n--;
    g = get_group(s, slo, key);
    if (!g)
        return key->bad ? ERR_MALFORMED : ERR_NOTFOUND; /* grouped otherwise by now, or too many */
    return kind == 'g'   ? restore_group(g, value)
           : kind == 'h' ? restore_hour(s, g, hour, value)
           : kind == 'c' ? restore_correction(s, g, c, value)
                         : ERR_MALFORMED;
}

int slos_restore(struct slos *s, struct bytes key, struct bytes value, struct err *e)
{
    struct reader k = {key.p, key.n, false}, v = {value.p, value.n, false};
    int rc = !key.n ? ERR_MALFORMED : *key.p == 'w' ? causes_restore(s, key, value) : restore(s, &k, &v);

    if (rc == ERR_NOTFOUND)
        s->unknown_records++;
    else if (rc)
        s->bad_records++;
    return rc ? err_set(e, rc, "a record of the objectives: %s",
                        rc == ERR_NOTFOUND ? "of none that is configured" : err_name(rc))
              : 0;
}
