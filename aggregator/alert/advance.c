/* One alert, one step: what was measured becomes an event, the table's row follows, and what it orders is done.
 *
 * Holds are counted in the time of the samples: each verdict adds the time since the last one, when that is no
 * longer than the tolerated gap. So a batch of ten seconds counts ten seconds when it arrives; a clock that steps
 * back adds nothing and takes nothing; a gap that is too long begins the hold anew; after a restart or a hold of
 * decisions, time that passed unseen and is too long is left out, and what was counted before stays.
 *
 * When our clock steps back, windows end before samples that were judged already; such a verdict is about the past and
 * is not taken, for steps of up to ten minutes (went_back in alerts.c has the rest). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/alert/fill.h"
#include "aggregator/alert/state.h"

static const struct rule *rule_of(const struct alert *al)
{
    return al->of ? al->of->rule : NULL;
}

/* ---- points: M of N ---- */

static enum verdict by_points(struct alert *al, const struct rule *r)
{
    int64_t step = span_to_ms(r->every), k = al->m.t / step;
    uint32_t mask = r->of_points == 32 ? UINT32_MAX : (UINT32_C(1) << r->of_points) - 1;

    if (al->m.verdict == VERDICT_NONE)
        return VERDICT_NONE;
    if ((k - al->point) * step > span_to_ms(r->gap)) /* too long ago to be of the same N */
        al->points = 0;
    if (k > al->point || !al->point) {
        al->points = (al->points << 1) & mask;
        al->point = k;
        if (al->n_points < r->of_points)
            al->n_points++;
        al->dirty = true;
    }
    if (al->m.verdict == VERDICT_HOLDS && !(al->points & 1)) {
        al->points |= 1;
        al->dirty = true;
    }
    if (__builtin_popcount(al->points) >= (int)r->points)
        return VERDICT_HOLDS;
    return al->m.verdict == VERDICT_BETWEEN ? VERDICT_BETWEEN : VERDICT_CLEAR;
}

/* ---- what happened ---- */

/* A window that moves on while nothing new comes in loses what made the condition hold; that is missing data, not a
 * recovery. Only a newer sample than those that it held with can end it. */
static bool slid(const struct alert *al, enum verdict v)
{
    return (al->state == ALERT_PENDING || al->state == ALERT_FIRING) &&
           (v == VERDICT_CLEAR || v == VERDICT_BETWEEN) && al->m.data && al->m.data <= al->data;
}

enum { EARLY_MS = 900000 };

bool alert_early(const struct turn *t, const struct rule *r)
{
    int64_t window = span_to_ms(r->kind == RULE_BURN ? r->burn_short : r->window);

    return t->in->now.ms - t->a->awake < (window < EARLY_MS ? window : EARLY_MS);
}

/* Since when it has been without a value while we looked. */
static int64_t silent_since(const struct turn *t, const struct alert *al)
{
    return al->seen > t->a->awake ? al->seen : t->a->awake;
}

static enum alert_event event_of(const struct turn *t, struct alert *al)
{
    const struct rule *r = rule_of(al);
    enum verdict v;

    if (!r || al->gone)
        return EVENT_GONE;
    if (al->m.verdict != VERDICT_NONE && al->m.data && al->m.data < al->data)
        return EVENT_PAST;
    v = r->points && !al->summary ? by_points(al, r) : al->m.verdict;
    if (slid(al, v))
        v = VERDICT_NONE;
    if (v != VERDICT_NONE) {
        al->seen = t->in->now.ms;
        if (al->m.data)
            al->data = al->m.data;
    }
    switch (v) {
    case VERDICT_HOLDS: return EVENT_HOLDS;
    case VERDICT_BETWEEN: return EVENT_BETWEEN;
    case VERDICT_CLEAR: return EVENT_CLEAR;
    default: break;
    }
    if (al->m.few) { /* nothing to judge by, whatever no_data says */
        al->seen = t->in->now.ms;
        return EVENT_MISSING;
    }
    if (r->no_data == NO_DATA_ALERT && !alert_early(t, r))
        return EVENT_MISSING_ALERT;
    if (r->no_data == NO_DATA_OK && !alert_early(t, r))
        return EVENT_MISSING_OK;
    return t->in->now.ms - silent_since(t, al) > span_to_ms(r->forget) ? EVENT_STALE : EVENT_MISSING;
}

/* The hold that the state waits for, ms. */
static int64_t hold_asked(const struct alert *al, const struct rule *r)
{
    int64_t clear = span_to_ms(r->clear_hold), quiet = span_to_ms(r->quiet);

    if (al->summary)
        return 0;
    if (al->state == ALERT_INACTIVE || al->state == ALERT_PENDING)
        return span_to_ms(r->hold);
    return al->flapping && quiet > clear ? quiet : clear;
}

static bool counts(const struct alert *al, enum alert_event e)
{
    if (al->state == ALERT_PENDING)
        return e == EVENT_HOLDS || e == EVENT_MISSING_ALERT;
    return al->state == ALERT_CLEARING && (e == EVENT_CLEAR || e == EVENT_MISSING_OK);
}

static int64_t moment(const struct turn *t, const struct alert *al, enum alert_event e)
{
    return e == EVENT_MISSING_ALERT || e == EVENT_MISSING_OK ? t->in->now.ms : al->m.t;
}

static void count_hold(struct alert *al, const struct rule *r, int64_t t)
{
    int64_t passed = t - al->mark;

    if (passed > span_to_ms(r->gap)) {
        if (!al->resumed) {
            al->held = 0;
            al->dirty = true;
            if (al->state == ALERT_PENDING)
                al->since = t;
        }
    } else if (passed > 0) {
        al->held += passed;
    }
    al->mark = t;
    al->resumed = false;
}

/* ---- muting ---- */

bool alert_in_force(enum alert_state s)
{
    return s == ALERT_FIRING || s == ALERT_CLEARING;
}

static bool active(const struct alert *al)
{
    return alert_in_force(al->state);
}

static bool joined(const struct rule *r, const struct alert *al, const struct alert *by)
{
    for (uint32_t i = 0; i < r->n_on; i++) {
        if (strcmp(labels_get(al->labels, r->on[i]), labels_get(by->labels, r->on[i])))
            return false;
    }
    for (uint32_t i = 0; !r->n_on && i < by->group.n; i++) {
        const char *own = labels_get(al->labels, by->group.v[i].name);

        if (*own && strcmp(own, by->group.v[i].value))
            return false;
    }
    return true;
}

static bool suppressed(const struct alerts *a, const struct alert *al, const struct rule *r)
{
    for (uint32_t i = 0; i < a->rules.n && r->n_suppressors; i++) {
        uint32_t k = 0;

        while (k < r->n_suppressors && strcmp(r->suppressors[k], a->rules.v[i].name))
            k++;
        for (struct alert *by = k < r->n_suppressors ? a->states[i].first : NULL; by; by = by->next) {
            if (active(by) && !by->summary && joined(r, al, by))
                return true;
        }
    }
    return false;
}

static enum mute mute_now(const struct turn *t, struct alert *al)
{
    const struct rule *r = rule_of(al);
    int64_t now = t->in->now.ms;

    if (!r || al->summary)
        return MUTE_NOT;
    if (suppressed(t->a, al, r)) {
        al->muted_from = now;
        return MUTE_SUPPRESSED;
    }
    if (al->muted_from && now - al->muted_from < span_to_ms(r->suppress_extend))
        return MUTE_SUPPRESSED;
    /* an epoch ahead of the clock, which went back, waits for nothing */
    if (r->n_suppressors && !al->muted_from && now >= (int64_t)al->epoch &&
        now - (int64_t)al->epoch < span_to_ms(r->suppress_wait))
        return MUTE_WAIT;
    return al->of->told >= r->limit ? MUTE_LIMIT : MUTE_NOT;
}

static void set_told(struct alert *al, bool told)
{
    if (al->of && !al->summary && told != al->told)
        al->of->told += told ? 1 : UINT32_MAX;
    al->told = told;
}

static void set_mute(struct alert *al, enum mute m)
{
    if (al->of && !al->summary) {
        al->of->over -= al->mute == MUTE_LIMIT;
        al->of->over += m == MUTE_LIMIT;
    }
    al->mute = m;
}

/* ---- doing what a row orders ---- */

static void fire(const struct turn *t, struct alert *al)
{
    const struct rule *r = rule_of(al);
    int64_t now = t->in->now.ms;

    if (al->ended && now - al->ended <= span_to_ms(r->quiet))
        al->fires++;
    else
        al->fires = 1;
    al->epoch = now > (int64_t)al->epoch ? (uint64_t)now : al->epoch + 1;
    al->muted_from = 0;
    set_mute(al, mute_now(t, al));
    set_told(al, al->mute == MUTE_NOT);
}

static void end(const struct turn *t, struct alert *al)
{
    al->ended = t->in->now.ms;
    if (al->flapping)
        al->fires = 0;
    al->flapping = false;
}

static void begin(const struct turn *t, struct alert *al, const struct alert_row *row)
{
    al->held = 0;
    al->mark = moment(t, al, row->event);
    al->resumed = false;
    if (row->from == ALERT_INACTIVE)
        al->since = al->mark;
}

/* row NULL: told again after a restart. */
static void notify(const struct turn *t, struct alert *al, const struct alert_row *row, enum alert_state from,
                   const char *reason)
{
    enum alert_state to = row ? row->to : from;
    const struct rule *r = rule_of(al);
    struct buf *b = &t->a->text;
    size_t description, why;

    buf_clear(b);
    if (al->summary)
        buf_fmt(b, "%.0f more alerts of %s fire, beyond its limit of %.0f", al->m.value, al->rule,
                al->m.threshold);
    else
        alert_fill(r ? r->summary : "", al->labels, al->m.value, al->m.threshold, b);
    buf_u8(b, 0);
    description = b->len;
    alert_fill(r ? r->description : "", al->labels, al->m.value, al->m.threshold, b);
    buf_u8(b, 0);
    why = b->len;
    buf_str(b, reason);
    buf_u8(b, 0);
    t->a->notices++;
    t->out->notice(t->out->arg, &(struct alert_notice){
                                    .rule = al->rule,
                                    .labels = al->labels,
                                    .id = al->id,
                                    .epoch = al->epoch,
                                    .from = from,
                                    .to = to,
                                    .row = row ? row->number : al->row,
                                    .severity = al->severity,
                                    .t = t->in->now,
                                    .since = {al->since},
                                    .data = {al->data},
                                    .value = al->m.value,
                                    .threshold = al->m.threshold,
                                    .summary = b->full ? "" : (const char *)b->data,
                                    .description = b->full ? "" : (const char *)b->data + description,
                                    .runbook = r ? r->runbook : "",
                                    .reason = b->full ? "" : (const char *)b->data + why,
                                    .suppressed = !al->told && (alert_in_force(from) || alert_in_force(to)),
                                    .restored = !row,
                                });
}

void alert_say_again(const struct turn *t, struct alert *al)
{
    if (alert_in_force(al->state))
        notify(t, al, NULL, al->state, "It was so before the restart.");
}

void alert_apply(const struct turn *t, struct alert *al, const struct alert_row *row, const char *reason)
{
    enum alert_state from = al->state;
    bool was_active = active(al), over = al->mute == MUTE_LIMIT;

    t->a->rows[row->number]++;
    if (row->effects & DO_BEGIN)
        begin(t, al, row);
    if (row->effects & DO_FIRE)
        fire(t, al);
    if (row->effects & DO_END)
        end(t, al);
    alert_state_set(al, row->to);
    if (!(row->effects & DO_TELL) && from == row->to)
        return;
    al->row = row->number;
    al->changed = t->in->now.ms;
    if (al->of)
        al->of->transitions++;
    alert_record(t, al);
    if (row->effects & DO_TELL && !(was_active ? over : al->mute == MUTE_LIMIT))
        notify(t, al, row, from, reason);
    alert_decide(t, al, row, from, reason);
    if (!active(al)) {
        set_mute(al, MUTE_NOT);
        set_told(al, false);
    }
}

/* ---- what keeps a firing alert from being told may end ---- */

static void retell(const struct turn *t, struct alert *al)
{
    enum mute was = al->mute, now;
    enum alert_event e;

    if (al->state != ALERT_FIRING || al->told)
        return;
    now = mute_now(t, al);
    set_mute(al, now);
    if (now != MUTE_NOT)
        return;
    set_told(al, true);
    e = was == MUTE_WAIT ? EVENT_WAITED : was == MUTE_LIMIT ? EVENT_ROOM : EVENT_RELEASED;
    alert_apply(t, al, alert_row_find(ALERT_FIRING, e, false),
                alert_row_find(ALERT_FIRING, e, false)->sentence);
}

static void flap(const struct turn *t, struct alert *al)
{
    const struct rule *r = rule_of(al);
    const struct alert_row *row = alert_row_find(ALERT_FIRING, EVENT_FLAPS, false);

    if (!r || !r->flaps || al->summary || al->flapping || al->state != ALERT_FIRING || al->fires < r->flaps)
        return;
    al->flapping = true;
    alert_apply(t, al, row, row->sentence);
}

void alert_advance(const struct turn *t, struct alert *al)
{
    const struct rule *r = rule_of(al);
    enum alert_event e = event_of(t, al);
    const struct alert_row *row;
    int64_t asked = r ? hold_asked(al, r) : 0;

    if (r && counts(al, e))
        count_hold(al, r, moment(t, al, e));
    row = alert_row_find(al->state, e,
                         al->state == ALERT_PENDING || al->state == ALERT_CLEARING ? al->held >= asked
                                                                                   : asked == 0);
    if (row)
        alert_apply(t, al, row,
                    al->m.why && e >= EVENT_MISSING && e <= EVENT_STALE ? al->m.why : row->sentence);
    flap(t, al);
    retell(t, al);
    if (al->dirty || (al->stored >= 0 && al->held - al->stored > (asked > 80000 ? asked / 8 : 10000)))
        alert_record(t, al);
}
