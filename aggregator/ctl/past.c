/* See past.h. Steps are kept in the order of their time; the arena is emptied whenever all of them were told, which is
 * after each hour that is asked for. */
#include "aggregator/ctl/past.h"
#include "aggregator/ctl/ctl.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/map.h"

enum { LABELS_MOST = 64, STEPS_MOST = 20000000 };

struct past {
    struct mem *mem;
    const struct selections *selections;
    struct fact_delta *v; /* owned; room entries */
    size_t n, at, room;
    bool sorted;
    struct arena arena; /* keys of groups */
    struct map groups;  /* selection and labels -> number + 1 */
    uint32_t *next;     /* by selection */
    struct fact_group_new *fresh;
    size_t n_fresh, fresh_room;
    uint64_t left_out;
};

struct past *past_new(const struct selections *s, struct mem *mem)
{
    struct past *p = mem_alloc(mem, sizeof *p);

    if (!p)
        return NULL;
    p->mem = mem;
    p->selections = s;
    arena_init(&p->arena, mem, 0);
    map_init(&p->groups, mem, NULL);
    p->next = arena_array(&p->arena, selections_count(s) + 1, sizeof *p->next);
    if (!p->next)
        past_free(&p);
    return p;
}

void past_free(struct past **p)
{
    struct past *x = *p;

    *p = NULL;
    if (!x)
        return;
    mem_free(x->mem, x->v, x->room * sizeof *x->v);
    mem_free(x->mem, x->fresh, x->fresh_room * sizeof *x->fresh);
    map_free(&x->groups);
    arena_free(&x->arena);
    mem_free(x->mem, x, sizeof *x);
}

uint64_t past_left_out(const struct past *p)
{
    return p->left_out;
}

/* ---- asking ---- */

void past_path(struct buf *out, const struct selection *s, struct wall from, struct wall to,
               enum fact_tier tier)
{
    static const char *const steps[] = {"10s", "1m", "1h", "1d"};
    char time[WALL_TEXT];
    struct buf by;

    buf_init(&by, NULL, 8192);
    for (uint32_t i = 0; i < s->n_by; i++)
        buf_fmt(&by, "%s%s", i ? "," : "", s->by[i]);
    buf_clear(out);
    buf_fmt(out, "/api/v1/history?step=%s", steps[tier]);
    path_add(out, "metric", s->metric);
    path_add(out, "match", match_text(s->match));
    path_add(out, "by", s->by_all ? "*" : buf_text(&by));
    path_add(out, "from", wall_text(from, time));
    path_add(out, "to", wall_text(to, time));
    buf_free(&by);
}

/* ---- taking ---- */

static bool room_for(struct past *p)
{
    size_t room = p->room ? p->room * 2 : 4096;
    struct fact_delta *v;

    if (p->n < p->room)
        return true;
    v = p->n < STEPS_MOST ? mem_resize(p->mem, p->v, p->room * sizeof *v, room * sizeof *v) : NULL;
    if (!v)
        return false;
    p->v = v;
    p->room = room;
    return true;
}

static bool keep_fresh(struct past *p, const struct fact_group_new *g)
{
    if (p->n_fresh == p->fresh_room) {
        size_t room = p->fresh_room ? p->fresh_room * 2 : 64;
        struct fact_group_new *v = mem_resize(p->mem, p->fresh, p->fresh_room * sizeof *v, room * sizeof *v);

        if (!v)
            return false;
        p->fresh = v;
        p->fresh_room = room;
    }
    p->fresh[p->n_fresh++] = *g;
    return true;
}

/* The number of a group, given one if it is new. */
static int group_of(struct past *p, uint32_t selection, enum fact_kind kind, const cJSON *labels,
                    uint32_t *number)
{
    struct label v[LABELS_MOST];
    struct fact_group_new g = {.selection = selection, .kind = kind, .labels = {v, 0}};
    struct buf key;
    bool ok = true;
    char *kept;
    void *had;
    int rc = ERR_NOMEM;

    for (const cJSON *x = cJSON_IsObject(labels) ? labels->child : NULL; x; x = x->next) {
        if (!cJSON_IsString(x) || g.labels.n == LABELS_MOST)
            return ERR_MALFORMED;
        v[g.labels.n++] = (struct label){x->string, x->valuestring};
    }
    labels_sort(v, g.labels.n);
    buf_init(&key, p->mem, 64 << 10);
    buf_fmt(&key, "%u ", (unsigned)selection);
    labels_text(g.labels, &key);
    had = map_get(&p->groups, buf_text(&key), key.len);
    if (had) {
        *number = (uint32_t)(uintptr_t)had - 1;
        rc = 0;
    } else if (!key.full) {
        *number = g.group = p->next[selection]++;
        g.labels = labels_copy(g.labels, &p->arena, &ok);
        kept = arena_text(&p->arena, (const char *)key.data, key.len);
        if (ok && kept && map_put(&p->groups, kept, key.len, (void *)(uintptr_t)(g.group + 1u)) == 0 &&
            keep_fresh(p, &g))
            rc = 0;
    }
    buf_free(&key);
    return rc;
}

static double number(const cJSON *o, const char *name)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, name);

    return cJSON_IsNumber(x) ? cJSON_GetNumberValue(x) : 0;
}

static const int64_t lengths[] = {FACT_STEP_MS, FACT_MINUTE_MS, FACT_HOUR_MS, FACT_DAY_MS};

/* What is being taken: length: ms of a step of the answer. */
struct taking {
    uint32_t selection;
    enum fact_kind kind;
    enum fact_tier asked;
    int64_t from, length;
};

static int take_step(struct past *p, const struct taking *k, uint32_t group, const cJSON *step)
{
    struct fact_delta d = {.selection = k->selection, .group = group, .kind = k->kind, .tier = k->asked};
    const char *time = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(step, "time"));
    struct wall at;

    if (!time || wall_parse(time, &at) != 0)
        return ERR_MALFORMED;
    if (at.ms < k->from)
        return 0;
    if (!room_for(p))
        return ERR_NOMEM;
    d.start = at.ms + k->length - lengths[k->asked];
    d.gain = (struct fact_bucket){
        .n = (uint64_t)number(step, "count"),
        .series = (uint32_t)number(step, "series"),
        .last = number(step, "last"),
        .last_t = at.ms + k->length,
        .sum = number(step, d.kind == FACT_COUNTER ? "increase" : "sum"),
        .min = number(step, "min"),
        .max = number(step, "max"),
    };
    if (!d.gain.n)
        d.gain.last_t = 0;
    p->v[p->n++] = d;
    p->sorted = false;
    return 0;
}

static int take_groups(struct past *p, const struct taking *k, const cJSON *groups)
{
    int rc = 0;

    for (const cJSON *g = groups->child; g && !rc; g = g->next) {
        const cJSON *steps = cJSON_GetObjectItemCaseSensitive(g, "steps");
        uint32_t group = 0;

        if (!cJSON_IsArray(steps))
            return ERR_MALFORMED;
        if (k->kind == FACT_SKETCH) {
            p->left_out += (uint64_t)cJSON_GetArraySize(steps);
            continue;
        }
        rc = group_of(p, k->selection, k->kind, cJSON_GetObjectItemCaseSensitive(g, "labels"), &group);
        for (const cJSON *x = steps->child; x && !rc; x = x->next)
            rc = take_step(p, k, group, x);
    }
    return rc;
}

int past_take(struct past *p, uint32_t selection, struct wall from, enum fact_tier asked, const char *json,
              struct err *e)
{
    cJSON *o = cJSON_ParseWithLength(json, strlen(json));
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(o, "groups");
    const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "kind"));
    struct taking k = {.selection = selection,
                       .asked = asked,
                       .from = from.ms,
                       .length = (int64_t)number(o, "step_seconds") * 1000};
    int rc = ERR_MALFORMED;

    if (k.length < lengths[asked])
        k.length = lengths[asked];
    if (cJSON_IsArray(groups) && kind) {
        k.kind = !strcmp(kind, "counter") ? FACT_COUNTER : !strcmp(kind, "sketch") ? FACT_SKETCH : FACT_GAUGE;
        rc = take_groups(p, &k, groups);
    }
    cJSON_Delete(o);
    return rc ? err_set(e, rc, "an answer about the past could not be taken: %s", err_name(rc)) : 0;
}

/* ---- telling ---- */

static int by_time(const void *a, const void *b)
{
    const struct fact_delta *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

int past_tell(struct past *p, struct facts *into, struct wall upto, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < p->n_fresh && !rc; i++)
        rc = facts_group(into, &p->fresh[i]);
    p->n_fresh = 0;
    if (!p->sorted) {
        qsort(p->v + p->at, p->n - p->at, sizeof *p->v, by_time);
        p->sorted = true;
    }
    for (; p->at < p->n && p->v[p->at].start < upto.ms && !rc; p->at++) {
        rc = facts_gain(into, &p->v[p->at]);
        if (rc == ERR_RANGE)
            rc = 0; /* beyond what a window reaches */
    }
    if (p->at == p->n)
        p->at = p->n = 0;
    return rc ? err_set(e, rc, "stored steps could not be told: %s", err_name(rc)) : 0;
}

int past_time(const char *option, const char *text, struct wall now, struct wall *out, struct err *e)
{
    struct span ago;

    if (!strcmp(text, "now"))
        *out = now;
    else if (parse_duration(text + (*text == '-'), &ago, NULL) == 0)
        *out = wall_add(now, span_ns(-ago.ns));
    else if (wall_parse(text, out) != 0)
        return err_set(e, ERR_CONFIG,
                       "%s: found \"%.60s\", expected a time in RFC 3339, now, or a duration ago (2h)",
                       option, text);
    return 0;
}
