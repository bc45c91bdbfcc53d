/* One step of the decision: the event is taken into the state, votes are counted anew, rows of the table fire until none
 * does, then the record and the actions are driven to what the state asks for.
 *
 * Invariants:
 *  - The state of the machine is never ahead of the record for longer than one commit: whatever a row decides is written
 *    into one draft, committed at the end of the step, and effects start only from what is committed under our own token.
 *    A commit that failed, or whose outcome is not known, is followed by a reading; then rows compare state and record.
 *  - All that depends on time is compared with the event's `now`. Every struct was zeroed and is filled field by field, so
 *    that the same events give the same bytes. */
#include <string.h>

#include "aggregator/failover/core_private.h"

enum { ROUNDS = 24 }; /* the longest walk of one event is BOOT to FENCE; more would be a loop of the table */

struct fo_effect *fo_emit(struct fo_turn *t, enum fo_effect_kind kind)
{
    struct fo_effects *o = t->out;
    struct fo_effect *e;

    if (o->n == FO_EFFECTS_MOST) {
        o->lost++;
        e = &o->v[FO_EFFECTS_MOST - 1];
    } else
        e = &o->v[o->n++];
    memset(e, 0, sizeof *e);
    e->kind = (uint8_t)kind;
    e->row = t->s->row;
    e->action = FO_NONE;
    e->from = e->to = t->s->state;
    return e;
}

/* splitmix64 (Steele, Lea, Flood 2014): one word of state. */
uint64_t fo_random(struct fo *s)
{
    uint64_t z = s->seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

bool fo_can_write(const struct fo_turn *t)
{
    const struct fo *s = t->s;

    return s->leading && !s->storing && !s->reading && t->now < s->deadline;
}

bool fo_quiet(const struct fo_turn *t)
{
    return fo_can_write(t) && !t->dirty;
}

struct fo_record *fo_draft(struct fo_turn *t)
{
    if (!t->dirty) {
        t->s->next = t->s->record;
        t->s->next.token = t->s->token;
        t->dirty = true;
    }
    return &t->s->next;
}

static void commit(struct fo_turn *t)
{
    struct fo *s = t->s;
    struct fo_effect *e;

    if (!fo_can_write(t))
        return;
    /* A commit whose answer got lost may be done yet, also after a reading that did not find it. Both are guarded by the
     * same revision: once another one is through, that one never will be. */
    if (s->unsure && s->known)
        (void)fo_draft(t);
    if (!t->dirty)
        return;
    if (!s->unsure && s->known && memcmp(&s->next, &s->record, sizeof s->next) == 0) {
        if (s->pending_on == 2) /* it was so before */
            fo_answer(t, FO_R_NONE, 0);
        return;
    }
    s->storing = 1;
    s->store_id = ++s->ids;
    s->store_at = t->now;
    e = fo_emit(t, FO_DO_STORE);
    e->id = s->store_id;
    e->reasons = s->reasons;
}

static void count(struct fo_turn *t)
{
    struct fo *s = t->s;
    uint8_t active = s->known ? s->record.active : 0;

    fo_count(t->c, s->heard, active, t->now, &s->tally);
    for (uint8_t r = 0; r < t->c->n_regions && r < FO_REGIONS; r++) {
        bool up = fo_bit(s->tally.up, r), down = fo_bit(s->tally.hard_down, r);

        if (!up)
            s->up_since[r] = 0;
        else if (s->up_since[r] == 0)
            s->up_since[r] = t->now;
        if (down)
            s->was_down = (uint8_t)(s->was_down | 1U << r);
        else if (up && fo_bit(s->was_down, r)) {
            s->was_down = (uint8_t)(s->was_down & ~(1U << r));
            if (r == active && s->leading && s->flaps < 100)
                s->flaps++;
        }
    }
}

static void since(int64_t *at, bool holds, int64_t now)
{
    if (!holds)
        *at = 0;
    else if (*at == 0)
        *at = now;
}

/* Nobody doubts because nobody sees is not enough. */
static bool seen_well(const struct fo_turn *t, uint8_t region)
{
    const uint8_t *n = t->s->tally.n[region < FO_REGIONS ? region : 0];

    return n[FO_UP] + n[FO_DEGRADED] > t->c->n_voters / 2;
}

/* Somebody says DOWN, and a majority that it is not well. */
static bool seen_ill(const struct fo_turn *t, uint8_t region)
{
    const uint8_t *n = t->s->tally.n[region < FO_REGIONS ? region : 0];

    return fo_bit(t->s->tally.doubt, region) && n[FO_DOWN] > 0 &&
           n[FO_DOWN] + n[FO_DEGRADED] > t->c->n_voters / 2;
}

/* Since when what this state waits for has held without a break. */
static void watch(struct fo_turn *t)
{
    struct fo *s = t->s;
    uint8_t a = s->record.active;
    bool gray = fo_bit(s->tally.gray, a), down = fo_bit(s->tally.hard_down, a);
    bool doubt = fo_bit(s->tally.doubt, a), ill = seen_ill(t, a), holds;

    s->tilted = t->now < s->tilt_until;
    switch (s->state) {
    case FO_S_FOLLOW: holds = true; break;
    case FO_S_SUSPECT: holds = !doubt && seen_well(t, a); break;
    case FO_S_GRAY: holds = !gray && s->tally.quorum; break;
    case FO_S_CONFIRM: holds = down; break;
    case FO_S_BLOCKED: holds = !down && !gray && !ill; break;
    case FO_S_VALIDATE: holds = fo_validating(t); break;
    default: holds = false;
    }
    since(&s->since, holds && !s->tilted, t->now);
    since(&s->gray_since, gray && !s->tilted, t->now);
    since(&s->down_since, down && !s->tilted, t->now);
    since(&s->ill_since, ill && !s->tilted, t->now);
    if (s->state == FO_S_BLOCKED)
        fo_say_why(t);
    if (s->state == FO_S_STEADY && !doubt)
        s->suspect_at = 0;
    else if (s->suspect_at == 0 && doubt && s->state >= FO_S_STEADY && s->state <= FO_S_BLOCKED)
        s->suspect_at = t->wall;
}

static void enter(struct fo_turn *t, const struct fo_row *row, const struct fo_rule *rule)
{
    struct fo *s = t->s;
    struct fo_effect *e;

    s->row = row->number;
    rule->then(t);
    e = fo_emit(t, FO_DO_TELL);
    e->from = row->from;
    e->to = row->to;
    e->reasons = s->reasons;
    s->before = row->from;
    s->state = row->to;
    s->entered = t->now;
    s->since = 0;
    watch(t);
}

static void walk(struct fo_turn *t)
{
    /* what is decided is committed before anything stands on it */
    for (unsigned round = 0; round < ROUNDS && !t->dirty; round++) {
        uint32_t i = 0;

        while (i < fo_rows_count && (fo_rows[i].from != t->s->state || !fo_rules[i].when(t)))
            i++;
        if (i == fo_rows_count)
            return;
        enter(t, &fo_rows[i], &fo_rules[i]);
    }
}

/* Everybody looks closely while there is doubt about where users are, or a move is under way. */
static void look_closely(struct fo_turn *t)
{
    struct fo *s = t->s;
    bool moving = s->state >= FO_S_SUSPECT && s->state <= FO_S_TIDY;
    bool fast =
        moving || (s->known && fo_plan_is_live(&s->record)) || fo_bit(s->tally.doubt, s->record.active);

    if (fast != (s->fast != 0)) {
        s->fast = fast;
        fo_emit(t, FO_DO_FAST)->on = fast;
    }
}

/* The penalty grows with each change from down to up (route-flap damping, RFC 2439 in its form). */
static void count_flaps(struct fo_turn *t)
{
    struct fo *s = t->s;
    struct fo_record *r;
    int32_t p;

    if (s->flaps == 0 || !fo_can_write(t) || !s->known || s->record.token.rev != s->token.rev)
        return;
    r = fo_draft(t);
    p = fo_flap(r->flap, r->flap_at, t->wall) + s->flaps * FO_FLAP_STEP;
    r->flap = p > FO_FLAP_MOST ? FO_FLAP_MOST : p;
    r->flap_at = t->wall;
    s->flaps = 0;
}

void fo_init(struct fo *s, const struct fo_config *c, int64_t now, uint64_t seed)
{
    (void)c;
    memset(s, 0, sizeof *s);
    s->state = s->before = FO_S_BOOT;
    s->row = fo_rows[0].number;
    s->entered = s->started = now;
    s->seed = seed;
    s->fenced_region = FO_NONE;
    s->pending.region = s->pending.action = FO_NONE;
    s->record.writer = FO_NONE;
}

void fo_step(struct fo *s, const struct fo_config *c, const struct fo_event *e, struct fo_effects *out)
{
    struct fo_turn t = {.s = s, .c = c, .out = out, .now = e->now, .wall = e->wall};

    out->n = out->lost = 0;
    fo_take(&t, e);
    fo_store_overdue(&t);
    fo_run_overdue(&t);
    count(&t);
    watch(&t);
    walk(&t);
    fo_keep_lease(&t);
    fo_command_drive(&t);
    count_flaps(&t);
    fo_plan_drive(&t);
    commit(&t);
    look_closely(&t);
    fo_pages(&t);
}
