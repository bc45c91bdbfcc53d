/* See answer.h. A question is answered from a selection of the same metric: the one that says the same, else one
 * with the same matchers and more labels, else one without matchers whose labels tell what the matchers ask. */
#include "aggregator/store/answer.h"

#include <math.h>
#include <string.h>

#include "common/base/number.h"

enum { RANK_WIDER = 1, RANK_FINER, RANK_SAME, TEXT_MOST = 4096, ARENA_MOST = 64 << 20 };

/* ---- the question ---- */

static bool by_is_all(const struct history_ask *q)
{
    return q->n_by == 1 && strcmp(q->by[0], "*") == 0;
}

static int64_t cut(int64_t t, int64_t length)
{
    return t - (t % length + length) % length;
}

/* The coarsest tier that the steps do not need finer; older than a tier is kept: the next one. */
static void choose_tier(struct answer *a)
{
    int64_t window = a->q->to.ms - a->q->from.ms, wanted = span_to_ms(a->q->step);

    if (wanted <= 0)
        wanted = window <= 2 * (int64_t)FACT_HOUR_MS   ? FACT_STEP_MS
                 : window <= 2 * (int64_t)FACT_DAY_MS  ? FACT_MINUTE_MS
                 : window <= 60 * (int64_t)FACT_DAY_MS ? FACT_HOUR_MS
                                                       : FACT_DAY_MS;
    a->tier = TIER_STEP;
    while (a->tier < TIER_DAY && (tier_length((enum fact_tier)(a->tier + 1)) <= wanted ||
                                  a->q->from.ms < a->q->now.ms - a->q->keep[a->tier]))
        a->tier++;
    a->step = wanted;
}

int answer_init(struct answer *a, const struct history_ask *q, struct err *e)
{
    int64_t length;

    *a = (struct answer){.q = q};
    arena_init(&a->arena, NULL, ARENA_MOST);
    map_init(&a->by_key, NULL, NULL);
    a->match = match_new(q->match, e);
    if (!a->match)
        return e->code;
    if (q->to.ms <= q->from.ms || q->from.ms < 0 || q->to.ms > INT64_MAX / 4)
        return err_set(e, ERR_MALFORMED, "the window ends before it begins");
    choose_tier(a);
    length = tier_length(a->tier);
    a->from = cut(q->from.ms, length);
    a->to = cut(q->to.ms - 1, length) + length;
    a->step = a->step < length ? length : cut(a->step + length - 1, length);
    if ((a->to - a->from) / a->step > ANSWER_POINTS)
        return err_set(e, ERR_LIMIT, "the window has more than %d steps: ask for longer ones", ANSWER_POINTS);
    return 0;
}

void answer_free(struct answer *a)
{
    for (uint32_t i = 0; i < a->n; i++)
        chunk_free(&a->groups[i]->steps);
    map_free(&a->by_key);
    match_free(&a->match);
    arena_free(&a->arena);
}

/* ---- which selection ---- */

/* Whether a list of names (by blanks; "*": all) has this one. */
static bool has_name(const char *list, const char *name, size_t n)
{
    if (strcmp(list, "*") == 0)
        return true;
    while (*list) {
        size_t len = strcspn(list, " ");

        if (len == n && memcmp(list, name, n) == 0)
            return true;
        list += len + (list[len] == ' ');
    }
    return false;
}

static bool has_all(const struct history_ask *q, const char *list)
{
    if (by_is_all(q))
        return true;
    for (uint32_t i = 0; i < q->n_by; i++) {
        if (!has_name(list, q->by[i], strlen(q->by[i])))
            return false;
    }
    return true;
}

static size_t count_names(const char *list)
{
    size_t n = *list != 0;

    for (; *list; list++)
        n += *list == ' ';
    return n;
}

/* Whether all names that the canonical text of matchers looks at are in the list. */
static bool tells_names(const char *list, const char *match)
{
    while (*match) {
        size_t n = strcspn(match, "=!");
        const char *p = match + n;

        if (!has_name(list, match, n))
            return false;
        p += strcspn(p, "\"");
        for (p += *p == '"'; *p && *p != '"'; p++)
            p += *p == '\\' && p[1];
        p += *p == '"';
        match = p + strspn(p, ", ");
    }
    return true;
}

int answer_consider(struct answer *a, const char *selection, const char *metric, const char *match,
                    const char *by)
{
    const struct history_ask *q = a->q;
    bool equal = strcmp(match, match_text(a->match)) == 0;
    int rank = 0;

    if (strcmp(metric, q->metric) != 0 || !has_all(q, by))
        return 0;
    if (equal)
        rank = !by_is_all(q) && strcmp(by, "*") != 0 && count_names(by) == q->n_by ? RANK_SAME : RANK_FINER;
    else if (!*match && tells_names(by, match_text(a->match)))
        rank = RANK_WIDER;
    if (rank <= a->rank || (a->selection && strcmp(a->selection, selection) == 0))
        return 0;
    a->selection = arena_text(&a->arena, selection, strlen(selection));
    a->rank = rank;
    return a->selection ? 0 : ERR_NOMEM;
}

bool answer_wants(const struct answer *a, const char *selection, struct labels labels)
{
    return a->selection && strcmp(a->selection, selection) == 0 &&
           (a->rank != RANK_WIDER || match_labels(a->match, labels));
}

/* ---- groups ---- */

struct answer_group *answer_group(struct answer *a, struct labels labels, enum fact_kind kind, struct err *e)
{
    struct label room[WIRE_MAX_LABELS + 8];
    struct labels l = {room, 0};
    struct answer_group *g;
    struct buf key;
    bool ok = true;

    for (uint32_t i = 0; i < labels.n && l.n < sizeof room / sizeof room[0]; i++) {
        bool wanted = by_is_all(a->q);

        for (uint32_t k = 0; k < a->q->n_by; k++)
            wanted = wanted || strcmp(a->q->by[k], labels.v[i].name) == 0;
        if (wanted)
            room[l.n++] = labels.v[i];
    }
    buf_init(&key, NULL, 64 << 10);
    labels_text(l, &key);
    g = key.full ? NULL : map_get(&a->by_key, buf_text(&key), key.len);
    if (!g && !key.full && a->n == ANSWER_GROUPS) {
        (void)err_set(e, ERR_LIMIT, "more than %d groups: ask for fewer labels, or give matchers",
                      ANSWER_GROUPS);
    } else if (!g) {
        g = arena_alloc(&a->arena, sizeof *g);
        if (g) {
            g->key = arena_text(&a->arena, buf_text(&key), key.len);
            g->labels = labels_copy(l, &a->arena, &ok);
            chunk_init(&g->steps, kind, NULL);
        }
        if (!g || !g->key || !ok || map_put(&a->by_key, g->key, strlen(g->key), g) != 0) {
            (void)err_set(e, ERR_NOMEM, "no memory for the answer");
            g = NULL;
        } else {
            a->groups[a->n++] = g;
        }
    }
    buf_free(&key);
    if (g && a->kind == FACT_UNKNOWN)
        a->kind = kind;
    return g;
}

int answer_add(struct answer *a, struct answer_group *g, const struct chunk *steps, struct err *e)
{
    for (uint32_t i = 0; i < steps->n; i++) {
        uint32_t had = g->steps.n;
        struct fact_bucket b = steps->v[i].b;

        b.sketch = steps->v[i].sketch;
        if (chunk_add(&g->steps, steps->v[i].at, &b, false) != 0)
            return err_set(e, ERR_NOMEM, "no memory for the answer");
        a->cells += g->steps.n - had;
    }
    return a->cells > ANSWER_CELLS
               ? err_set(e, ERR_LIMIT, "more than %d values: ask for longer steps, or fewer groups",
                         ANSWER_CELLS)
               : 0;
}

/* ---- writing ---- */

static void put_text(struct buf *out, const char *s)
{
    buf_u8(out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\')
            buf_fmt(out, "\\%c", c);
        else if (c < 0x20)
            buf_fmt(out, "\\u%04x", c);
        else
            buf_u8(out, c);
    }
    buf_u8(out, '"');
}

static void put_number(struct buf *out, double v)
{
    char text[NUMBER_TEXT];

    if (!isfinite(v)) {
        buf_str(out, "null");
        return;
    }
    (void)number_text(v, text);
    buf_str(out, text);
}

static void put_field(struct buf *out, const char *name, double v)
{
    buf_fmt(out, ",\"%s\":", name);
    put_number(out, v);
}

static void put_time(struct buf *out, const char *name, int64_t ms)
{
    char text[WALL_TEXT];

    buf_fmt(out, "\"%s\":\"%s\"", name, wall_text((struct wall){ms}, text));
}

static void put_sketch(const struct history_ask *q, const struct sketch *x, struct buf *out)
{
    char text[NUMBER_TEXT];

    if (q->n_quantiles)
        buf_str(out, ",\"quantiles\":{");
    for (uint32_t i = 0; i < q->n_quantiles; i++) {
        (void)number_text(q->quantiles[i], text);
        buf_fmt(out, "%s\"%s\":", i ? "," : "", text);
        put_number(out, sketch_quantile(x, q->quantiles[i]));
    }
    buf_str(out, q->n_quantiles ? "}" : "");
    if (q->n_le)
        buf_str(out, ",\"le\":{");
    for (uint32_t i = 0; i < q->n_le; i++) {
        (void)number_text(q->le[i], text);
        buf_fmt(out, "%s\"%s\":%llu", i ? "," : "", text, (unsigned long long)sketch_count_le(x, q->le[i]));
    }
    buf_str(out, q->n_le ? "}" : "");
}

static void put_step(const struct answer *a, const struct chunk *c, const struct chunk_step *x,
                     struct buf *out)
{
    const struct fact_bucket *b = &x->b;

    buf_u8(out, '{');
    put_time(out, "time", a->from + x->at * a->step);
    buf_fmt(out, ",\"count\":%llu,\"series\":%u", (unsigned long long)b->n, b->series);
    if (c->kind == FACT_COUNTER) {
        put_field(out, "increase", b->sum);
        put_field(out, "last", b->last_t ? b->last : (double)NAN);
    } else if (b->n) {
        put_field(out, "sum", b->sum);
        put_field(out, "min", b->min);
        put_field(out, "max", b->max);
        if (c->kind == FACT_GAUGE)
            put_field(out, "last", b->last);
    }
    if (x->sketch)
        put_sketch(a->q, x->sketch, out);
    buf_u8(out, '}');
}

static void put_group(const struct answer *a, const struct answer_group *g, struct buf *out)
{
    buf_str(out, "{\"labels\":{");
    for (uint32_t i = 0; i < g->labels.n; i++) {
        buf_str(out, i ? "," : "");
        put_text(out, g->labels.v[i].name);
        buf_u8(out, ':');
        put_text(out, g->labels.v[i].value);
    }
    buf_str(out, "},\"steps\":[");
    for (uint32_t i = 0; i < g->steps.n; i++) {
        buf_str(out, i ? "," : "");
        put_step(a, &g->steps, &g->steps.v[i], out);
    }
    buf_str(out, "]}");
}

int answer_write(const struct answer *a, struct buf *out, struct err *e)
{
    static const char *const kinds[] = {"unknown", "gauge", "counter", "sketch"};

    buf_str(out, "{\"metric\":");
    put_text(out, a->q->metric);
    buf_str(out, ",\"match\":");
    put_text(out, match_text(a->match));
    buf_str(out, ",\"selection\":");
    if (a->selection)
        put_text(out, a->selection);
    else
        buf_str(out, "null");
    buf_fmt(out, ",\"kind\":\"%s\",", kinds[a->kind]);
    put_time(out, "from", a->from);
    buf_u8(out, ',');
    put_time(out, "to", a->to);
    put_field(out, "step_seconds", (double)a->step / 1000);
    put_field(out, "tier_seconds", (double)tier_length(a->tier) / 1000);
    buf_str(out, ",\"groups\":[");
    for (uint32_t i = 0; i < a->n; i++) {
        buf_str(out, i ? "," : "");
        put_group(a, a->groups[i], out);
    }
    buf_str(out, "]}\n");
    return out->full ? err_set(e, ERR_LIMIT, "the answer is too large: ask for longer steps, or fewer groups")
                     : 0;
}
