/* The ledger of minutes. Each minute of a group gets a verdict once, when it has settled; what is learned of it later
 * is appended as a correction with the next version. Entries cover time without gaps: an entry ends where the verdict
 * or its cause changes, and at the end of a day. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "aggregator/slo/slo_private.h"

enum {
    MINUTE_MS = 60000,
    CLOSE_MOST = 3000,         /* minutes of one group in one step */
    RETIRED = 7 * DAY_MINUTES, /* a group by labels without data for so long is over, until it comes back */
    NEIGHBOURS = 60,           /* minutes later whose completeness a minute takes part in */
};

#define ALL_ONE UINT64_C(0x111111111111111) /* the code 1 in each minute of a block */

void slo_touch(struct slo_group *g, int64_t minute)
{
    if (minute < g->tail)
        minute = g->tail;
    if (minute >= g->closed)
        return;
    if (minute < g->touched[0])
        g->touched[0] = minute;
    if (minute > g->touched[1])
        g->touched[1] = minute;
    g->hours[minute / 60 % HOURS / 64] |= UINT64_C(1) << (minute / 60 % HOURS % 64);
}

/* ---- the verdict of a minute ---- */

enum witness { WITNESS_NONE, WITNESS_UP, WITNESS_DOWN };

/* Labels that both have are the same. */
static bool agree(struct labels a, struct labels b)
{
    for (uint32_t i = 0; i < a.n; i++) {
        const char *other = labels_get(b, a.v[i].name);

        if (*other && strcmp(other, a.v[i].value) != 0)
            return false;
    }
    return true;
}

static enum witness witness_of(const struct slos *s, const struct slo_group *g, int64_t minute)
{
    const struct slo *w = g->slo->def->witness ? slos_find(s, g->slo->def->witness) : NULL;
    uint64_t good = 0, total = 0;

    for (uint32_t i = 0; w && i < w->n; i++) {
        const struct minute *m =
            agree(w->groups[i]->labels, g->labels) ? slo_group_minute(w->groups[i], minute) : NULL;

        good += m ? m->good : 0;
        total += m ? m->total : 0;
    }
    return !total ? WITNESS_NONE : good ? WITNESS_UP : WITNESS_DOWN;
}

static enum slo_code judge(const struct slos *s, const struct slo_group *g, int64_t minute)
{
    const struct slo_def *d = g->slo->def;
    const struct minute *x = slo_group_minute(g, minute);
    enum slo_code down = causes_of(s, g, minute);
    bool data = x && x->series;
    enum witness w;

    if (d->n_by && (!g->last || minute - g->last > RETIRED))
        return CODE_NONE;
    if (down == CODE_EXCLUDED)
        return CODE_EXCLUDED;
    if (data && x->total >= d->min_events && (double)x->good < d->contract * (double)x->total)
        return down;
    w = witness_of(s, g, minute);
    if (!data)
        return w == WITNESS_UP     ? CODE_UP_PROBE
               : w == WITNESS_NONE ? CODE_BLIND
               : down == CODE_DOWN ? CODE_DOWN_PROBE
                                   : down;
    if (x->total < d->min_events && w == WITNESS_DOWN)
        return down == CODE_DOWN ? CODE_DOWN_PROBE : down;
    if (x->series < d->complete * slo_group_expected(g, minute))
        return w == WITNESS_UP ? CODE_UP_PROBE : CODE_INCOMPLETE;
    return x->total < d->min_events ? CODE_UP_QUIET : CODE_UP;
}

/* ---- lines ---- */

struct line {
    const struct slo_group *g;
    int64_t from, to;        /* minutes */
    enum slo_code code, was; /* was: of a correction, else CODES */
    uint64_t good, total;
    unsigned version;
};

static void put_time(cJSON *o, const char *key, int64_t ms)
{
    char text[WALL_TEXT];

    cJSON_AddStringToObject(o, key, wall_text((struct wall){ms}, text));
}

static void append(struct slos *s, const struct line *l, int64_t now_ms, const struct slo_effects *out)
{
    const struct slo_def *d = l->g->slo->def;
    cJSON *o = cJSON_CreateObject(), *part;
    char *json;

    cJSON_AddStringToObject(o, "slo", d->name);
    part = cJSON_AddObjectToObject(o, "group");
    for (uint32_t i = 0; i < l->g->labels.n; i++)
        cJSON_AddStringToObject(part, l->g->labels.v[i].name, l->g->labels.v[i].value);
    put_time(o, "from", l->from * MINUTE_MS);
    put_time(o, "to", l->to * MINUTE_MS);
    cJSON_AddNumberToObject(o, "minutes", (double)(l->to - l->from));
    cJSON_AddStringToObject(o, "verdict", verdict_name(code_verdict(l->code)));
    cJSON_AddStringToObject(o, "cause", code_cause(l->code));
    part = cJSON_AddObjectToObject(o, "evidence");
    cJSON_AddNumberToObject(part, "good", (double)l->good);
    cJSON_AddNumberToObject(part, "total", (double)l->total);
    cJSON_AddNumberToObject(part, "down_below_ratio", d->contract);
    cJSON_AddNumberToObject(part, "min_events", (double)d->min_events);
    cJSON_AddNumberToObject(o, "version", l->version);
    if (l->was < CODES) {
        part = cJSON_AddObjectToObject(o, "corrects");
        cJSON_AddStringToObject(part, "verdict", verdict_name(code_verdict(l->was)));
        cJSON_AddStringToObject(part, "cause", code_cause(l->was));
    }
    put_time(o, "at", now_ms);
    json = cJSON_PrintUnformatted(o);
    if (json)
        out->ledger(out->arg, d->name, (struct wall){l->from * MINUTE_MS}, json);
    else
        s->no_memory++;
    cJSON_free(json);
    cJSON_Delete(o);
}

static void entry_end(struct slos *s, struct slo_group *g, int64_t to, int64_t now_ms,
                      const struct slo_effects *out)
{
    const struct line l = {.g = g,
                           .from = g->entry.from,
                           .to = to,
                           .code = (enum slo_code)g->entry.code,
                           .was = CODES,
                           .good = g->entry.good,
                           .total = g->entry.total,
                           .version = 1};

    if (g->entry.from && g->entry.from < to && g->entry.code != CODE_NONE)
        append(s, &l, now_ms, out);
    g->entry.from = 0;
}

/* ---- closing ---- */

static void close_minute(struct slos *s, struct slo_group *g, int64_t minute, int64_t now_ms,
                         const struct slo_effects *out)
{
    enum slo_code code = judge(s, g, minute);
    struct minute *x = slo_group_minute(g, minute);

    if (slo_group_code_put(g, minute, code, s->mem) != 0)
        s->no_memory++;
    if (g->entry.from && (g->entry.code != code || minute % DAY_MINUTES == 0))
        entry_end(s, g, minute, now_ms, out);
    if (!g->entry.from) {
        g->entry.from = minute;
        g->entry.code = (uint8_t)code;
        g->entry.good = g->entry.total = 0;
    }
    if (x) {
        g->entry.good += x->good;
        g->entry.total += x->total;
        x->version = 1;
    }
    g->closed = minute + 1;
    g->dirty = true;
    if (x && (x->series || code != CODE_NONE))
        g->hours[minute / 60 % HOURS / 64] |= UINT64_C(1) << (minute / 60 % HOURS % 64);
    else if (!x && minute % 60 == 59)
        slo_record_compact(s, g, minute / 60, out); /* nobody was there for days */
    if (minute % 60 == 0 && minute / 60 >= HOURS)
        slo_record_compact(s, g, minute / 60 - HOURS, out);
    if (minute % DAY_MINUTES == g->tidied) {
        slo_forget_day(s, g, minute / DAY_MINUTES - g->n_days, out);
        g->over = g->slo->def->n_by && g->last &&
                  minute - g->last > (int64_t)g->n_days * DAY_MINUTES + RETIRED + DAY_MINUTES;
    }
}

static void close_group(struct slos *s, struct slo_group *g, int64_t now_ms, const struct slo_effects *out)
{
    int64_t limit = minute_of(now_ms - g->slo->def->settle_ms);

    if (!g->born || now_ms - s->started < g->slo->def->settle_ms)
        return;
    if (!g->closed)
        g->closed = g->born;
    for (unsigned n = 0; g->closed < limit && n < CLOSE_MOST; n++)
        close_minute(s, g, g->closed, now_ms, out);
}

/* ---- corrections ---- */

static void correct(struct slos *s, struct slo_group *g, struct line *run, int64_t now_ms,
                    const struct slo_effects *out)
{
    const struct correction c = {.at_ms = now_ms,
                                 .from = run->from,
                                 .n = (uint32_t)(run->to - run->from),
                                 .was = (uint8_t)run->was,
                                 .is = (uint8_t)run->code,
                                 .version = (uint8_t)run->version};

    if (run->from == run->to)
        return;
    append(s, run, now_ms, out);
    if (slo_correction_add(s, g, &c) != 0)
        s->no_memory++;
    slo_record_correction(s, g, &c, false, out);
    g->corrected += c.n;
    run->from = run->to;
}

static void judge_again(struct slos *s, struct slo_group *g, int64_t now_ms, const struct slo_effects *out)
{
    int64_t last = g->touched[1] + NEIGHBOURS;
    struct line run = {.g = g};

    if (last >= g->closed)
        last = g->closed - 1;
    for (int64_t m = g->touched[0] > g->fixed ? g->touched[0] : g->fixed; m <= last; m++) {
        struct minute *x = slo_group_minute(g, m);
        enum slo_code was = slo_group_code(g, m), is;

        if (!x || m < g->born)
            continue;
        is = judge(s, g, m);
        if (is == was)
            continue;
        x->version = x->version < UINT8_MAX ? (uint8_t)(x->version + 1) : UINT8_MAX;
        if (run.to != m || run.code != is || run.was != was) {
            correct(s, g, &run, now_ms, out);
            run = (struct line){.g = g, .from = m, .to = m, .code = is, .was = was};
        }
        run.to = m + 1;
        run.good += x->good;
        run.total += x->total;
        run.version = x->version > run.version ? x->version : run.version;
        if (slo_group_code_put(g, m, is, s->mem) != 0)
            s->no_memory++;
        g->hours[m / 60 % HOURS / 64] |= UINT64_C(1) << (m / 60 % HOURS % 64);
        g->dirty = true;
    }
    correct(s, g, &run, now_ms, out);
    g->touched[0] = INT64_MAX;
    g->touched[1] = 0;
}

static void touch_range(struct slo_group *g, int64_t first, int64_t last)
{
    if (first > last || first >= g->closed)
        return;
    slo_touch(g, first);
    slo_touch(g, last < g->closed ? last : g->closed - 1);
}

/* What a witness learned of minutes concerns those who ask it, whether or not it has judged them itself. */
static void touch_dependents(const struct slos *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct slo *w = s->list[i]->def->witness ? slos_find(s, s->list[i]->def->witness) : NULL;

        for (uint32_t k = 0; w && k < w->n; k++) {
            const struct slo_group *from = w->groups[k];

            for (uint32_t n = 0; n < s->list[i]->n; n++)
                touch_range(s->list[i]->groups[n], from->told[0], from->told[1]);
        }
    }
}

/* A block's codes from its i-th minute to before its n-th; most blocks are of one code. */
static void tally_block(struct tally *t, uint64_t codes, int64_t i, int64_t n)
{
    if (codes == (codes & 15) * ALL_ONE) {
        if ((codes & 15) < CODES)
            t->n[codes & 15] += (uint32_t)(n - i);
        return;
    }
    for (codes >>= i * 4; i < n; i++, codes >>= 4) {
        if ((codes & 15) < CODES)
            t->n[codes & 15]++;
    }
}

struct tally slo_group_tally(const struct slo_group *g, int64_t from, int64_t to)
{
    struct tally t = {{0}};

    for (int64_t m = from - from % BLOCK; m < to; m += BLOCK) {
        const struct block *b = slo_group_block(g, m);

        tally_block(&t, b ? b->codes : 0, m < from ? from - m : 0, m + BLOCK > to ? to - m : BLOCK);
    }
    return t;
}

static struct account account_of(const struct slo_group *g, int64_t from, int64_t to)
{
    struct tally t = slo_group_tally(g, from, to);
    uint32_t n[VERDICTS] = {0};

    for (unsigned i = 0; i < CODES; i++)
        n[code_verdict((enum slo_code)i)] += t.n[i];
    return (struct account){n[VERDICT_UP], n[VERDICT_DOWN], n[VERDICT_UNKNOWN], n[VERDICT_EXCLUDED]};
}

static void accounts(struct slo_group *g)
{
    int64_t to = g->closed, from = to - 30 * DAY_MINUTES, month = from;

    if (g->slo->def->zone) {
        struct wall a, b;

        zone_period(g->slo->def->zone, PERIOD_MONTH, (struct wall){(to - 1) * MINUTE_MS}, &a, &b);
        month = minute_of(a.ms);
    }
    g->rolling = account_of(g, from > 0 ? from : 0, to);
    g->month = account_of(g, month > 0 ? month : 0, to);
}

static void told_all(struct slos *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        for (uint32_t k = 0; k < s->list[i]->n; k++) {
            s->list[i]->groups[k]->told[0] = INT64_MAX;
            s->list[i]->groups[k]->told[1] = 0;
        }
    }
}

static void judge_group(struct slos *s, struct slo_group *g, int64_t now_ms, const struct slo_effects *out)
{
    if (g->touched[0] <= g->touched[1])
        judge_again(s, g, now_ms, out);
    close_group(s, g, now_ms, out);
    if (g->hours[0] | g->hours[1])
        slo_record_hours(s, g, out);
    if (g->dirty) {
        accounts(g);
        slo_record_group(s, g, out);
        g->dirty = false;
    }
}

void slos_judge(struct slos *s, const struct slo_effects *out, int64_t now_ms)
{
    touch_dependents(s);
    told_all(s);
    for (uint32_t i = 0; i < s->n; i++) {
        struct slo *slo = s->list[i];
        uint32_t kept = 0;

        for (uint32_t k = 0; k < slo->n; k++) {
            judge_group(s, slo->groups[k], now_ms, out);
            slo->groups[kept] = slo->groups[k];
            if (!slo->groups[k]->over) {
                kept++;
                continue;
            }
            slo_forget_group(s, slo->groups[k], out);
            slo_group_free(&slo->groups[k], s->mem);
        }
        slo->n = kept;
    }
}
