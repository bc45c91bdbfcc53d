/* Rounds of asking: see round.h. */
#include "agent/guard/round.h"

#include <string.h>

void round_init(struct round *r, uint8_t n, uint32_t seen)
{
    *r = (struct round){.n = n, .seen = seen, .doubt = true};
}

void round_begin(struct round *r, int64_t now)
{
    r->doubt = r->seq == 0 || !(r->renewed || r->denied);
    r->seq++;
    r->begun = now;
    r->open = true;
    r->renewed = r->denied = false;
    for (uint8_t i = 0; i < r->n; i++) {
        r->answer[i] = ROUND_WAITING;
        r->sent[i] = now;
        r->deadline[i] = 0;
        r->epoch[i] = 0;
    }
}

/* By a reader of the record, at the highest epoch heard of. */
static bool somebody(const struct round *r, enum round_answer what)
{
    for (uint8_t i = 0; i < r->n; i++)
        if (r->answer[i] == what && r->epoch[i] == r->seen)
            return true;
    return false;
}

static int64_t longest(const struct round *r)
{
    int64_t d = 0;

    for (uint8_t i = 0; i < r->n; i++)
        if (r->answer[i] == ROUND_SERVE && r->epoch[i] == r->seen && r->deadline[i] > d)
            d = r->deadline[i];
    return d;
}

/* The earliest end of all promises; 0 when one is missing. */
static int64_t promised(const struct round *r)
{
    int64_t d = 0;

    for (uint8_t i = 0; i < r->n; i++) {
        if (r->answer[i] != ROUND_AWAY || !r->deadline[i] || r->epoch[i] > r->seen)
            return 0;
        if (!d || r->deadline[i] < d)
            d = r->deadline[i];
    }
    return d;
}

/* What all answers together say, once none is awaited. */
static struct round_said sum_up(struct round *r, int64_t now)
{
    struct round_said s = {.verdict = ROUND_NOTHING, .epoch = r->seen};

    r->open = false;
    if (r->denied)
        return s;
    if (somebody(r, ROUND_SERVE)) {
        s.verdict = ROUND_AGREED;
        s.deadline = longest(r);
    } else if ((s.deadline = promised(r)) > 0) {
        s.verdict = ROUND_PROMISED;
    }
    if (s.deadline <= now)
        return (struct round_said){.verdict = ROUND_NOTHING};
    r->renewed = true;
    return s;
}

static bool waits(const struct round *r)
{
    for (uint8_t i = 0; i < r->n; i++)
        if (r->answer[i] == ROUND_WAITING)
            return true;
    return false;
}

/* What one answer says by itself. */
static struct round_said judge(struct round *r, uint8_t i, int64_t now)
{
    struct round_said s = {.verdict = ROUND_NOTHING, .epoch = r->epoch[i], .deadline = r->deadline[i]};

    if (r->answer[i] == ROUND_DENY) {
        r->denied = true;
        s.verdict = ROUND_FENCE;
    } else if (r->answer[i] == ROUND_SERVE && !somebody(r, ROUND_DENY) && s.deadline > now) {
        r->renewed = true;
        s.verdict = ROUND_LEASE;
    }
    return s;
}

struct round_said round_take(struct round *r, uint8_t i, const struct guard_answer *a, int64_t now)
{
    struct round_said s = {.verdict = ROUND_NOTHING};

    if (!r->open || i >= r->n || r->answer[i] != ROUND_WAITING)
        return s;
    if (!a) {
        r->answer[i] = ROUND_SILENT;
    } else {
        r->epoch[i] = a->epoch;
        r->answer[i] = (uint8_t)(!a->held             ? ROUND_AWAY
                                 : a->epoch < r->seen ? ROUND_STALE
                                 : a->serve           ? ROUND_SERVE
                                                      : ROUND_DENY);
        if (a->held && a->serve)
            r->deadline[i] = r->sent[i] + a->lease_ms;
        else if (!a->held && a->promise_ms > 0)
            r->deadline[i] = r->sent[i] + a->promise_ms;
        if (a->epoch > r->seen && a->held) {
            r->seen = a->epoch;
            r->denied = false; /* of an epoch that is over */
        }
        s = judge(r, i, now);
    }
    if (s.verdict != ROUND_FENCE && !waits(r))
        s = sum_up(r, now);
    else if (!waits(r))
        r->open = false;
    return s;
}

struct round_said round_end(struct round *r, int64_t now)
{
    if (!r->open)
        return (struct round_said){.verdict = ROUND_NOTHING};
    for (uint8_t i = 0; i < r->n; i++)
        if (r->answer[i] == ROUND_WAITING)
            r->answer[i] = ROUND_SILENT;
    return sum_up(r, now);
}

int64_t round_next(const struct round *r, int64_t interval, int64_t doubt_interval)
{
    bool settled = r->renewed || r->denied;

    return r->seq == 0 ? 0 : r->begun + (settled ? interval : doubt_interval);
}
