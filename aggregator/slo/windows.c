/* Burns over windows, and the budget. A window of W holds the W whole minutes before the running one and what that one
 * has so far: at a whole minute it is exactly (now - W, now], between them a little more, never less. The period, when
 * it is longer than 3 days, begins at a quarter of an hour. */
#include <math.h>

#include "aggregator/slo/burn.h"
#include "aggregator/slo/slo_private.h"

static const uint16_t minutes[BURN_WINDOWS - 1] = {5, 30, 60, 120, 360, 1440, 4320};
enum { HOUR_WINDOW = 2, HOUR = 60 };

struct slo_span slo_period_at(const struct slo_def *d, int64_t now, int64_t *end)
{
    static const enum period periods[] = {
        [SLO_WEEK] = PERIOD_WEEK, [SLO_MONTH] = PERIOD_MONTH, [SLO_QUARTER] = PERIOD_QUARTER};
    struct slo_span s = {.to = now + 1};

    if (d->period == SLO_ROLLING || !d->zone) {
        int64_t n = span_to_ms(d->span) / 60000;

        s.from = now - n;
        if (n > minutes[BURN_WINDOWS - 2])
            s.from -= s.from % BLOCK;
        *end = s.to;
    } else {
        struct wall from, to;

        zone_period(d->zone, periods[d->period], (struct wall){now * 60000}, &from, &to);
        s.from = minute_of(from.ms);
        *end = minute_of(to.ms);
    }
    return s;
}

uint32_t slo_group_expected(const struct slo_group *g, int64_t minute)
{
    uint32_t most = 0;

    for (int64_t m = minute - HOUR + 1; m <= minute; m++) {
        const struct minute *x = slo_group_minute(g, m);

        if (x && x->series > most)
            most = x->series;
    }
    return most;
}

double slo_group_completeness(const struct slo_group *g, int64_t from, int64_t to)
{
    uint32_t expected = slo_group_expected(g, to - 1);
    double heard = 0;

    if (g->born && from < g->born)
        from = g->born;
    if (from >= to)
        from = to - 1;
    for (int64_t m = from; expected && m < to; m++) {
        const struct minute *x = slo_group_minute(g, m);

        if (x)
            heard += x->series < expected ? (double)x->series / expected : 1;
    }
    return heard / (double)(to - from);
}

static struct burn_window weigh(const struct slo_group *g, struct slo_span in, struct span window)
{
    const struct slo_def *d = g->slo->def;
    struct events v = slo_group_events(g, in.from, in.to);

    return (struct burn_window){
        .window = window,
        .good = v.good,
        .total = v.total,
        .burn = burn_rate(v.good, v.total, d->objective),
        .burn_least = burn_least(v.good, v.total, d->objective),
        .enough = v.total >= d->min_events && v.total - v.good >= d->min_bad,
    };
}

static void weigh_group(struct slo_group *g, int64_t now, struct burn_fact *out)
{
    const struct slo_def *d = g->slo->def;
    struct burn_window *period = &out->w[BURN_WINDOWS - 1];
    struct slo_span in;
    int64_t end;
    double elapsed;

    *out = (struct burn_fact){.slo = d->name, .group = g->labels};
    for (unsigned i = 0; i < BURN_WINDOWS - 1; i++)
        out->w[i] = weigh(g, (struct slo_span){now - minutes[i], now + 1}, span_s(minutes[i] * 60));
    in = slo_period_at(d, now, &end);
    *period = weigh(g, in, d->period == SLO_ROLLING ? d->span : span_s((end - in.from) * 60));
    elapsed = (double)(in.to - in.from) / (double)(end - in.from);
    out->remaining =
        budget_remaining(period->good, period->total, d->objective, d->period == SLO_ROLLING ? 1 : elapsed);
    out->exhausted_after = budget_exhausted_after(out->remaining, out->w[HOUR_WINDOW].burn, period->window);
    out->completeness = slo_group_completeness(g, now - minutes[0], now);
}

static int burns_room(struct slos *s, uint32_t n)
{
    struct burn_fact *p;

    if (n <= s->room_burns)
        return 0;
    p = mem_resize(s->mem, s->burns, s->room_burns * sizeof *p, n * 2 * sizeof *p);
    if (!p)
        return ERR_NOMEM;
    s->burns = p;
    s->room_burns = n * 2;
    return 0;
}

void slos_weigh(struct slos *s, int64_t now_ms)
{
    int64_t now = minute_of(now_ms);
    uint32_t n = 0, at = 0;

    for (uint32_t i = 0; i < s->n; i++)
        n += s->list[i]->n;
    if (burns_room(s, n) != 0) {
        s->no_memory++;
        s->n_burns = 0;
        return;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        for (uint32_t k = 0; k < s->list[i]->n; k++, at++) {
            struct slo_group *g = s->list[i]->groups[k];

            if (g->stale || g->counted_minute != now || g->burn != at || s->n_burns != n)
                weigh_group(g, now, &s->burns[at]);
            g->stale = false;
            g->counted_minute = now;
            g->burn = at;
        }
    }
    s->n_burns = n;
}
