/* What would be lost if the standby were opened now. Pure.
 *
 * A standby's content is complete as of some moment of its primary's clock: that of the newest commit or heartbeat that it
 * has replayed, or of the newest message of a primary that had nothing more to send. Its lag is the way from there to the
 * last moment at which anything was known of the primary: now, when the primary was asked just before; else the newest
 * message; else that very moment, and the figure is as old as it.
 *
 * `now() - pg_last_xact_replay_timestamp()` alone is not a lag: it grows while nobody writes. What has been received counts
 * as safe though it is not replayed yet, since a promotion replays all of it first. Without any such moment there is no
 * figure: a missing lag is never 0. */
#include "aggregator/actions/pg.h"

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The moment as of which the standby has everything; negative: not known. */
static int64_t complete_as_of(const struct pg_state *s)
{
    int64_t t = later(s->xact_ms, s->beat_ms);

    if (s->receiver && s->told >= 0 && s->end >= s->told)
        t = later(t, s->sent_ms);
    return t;
}

static void figure(struct action_result *out, int64_t lag, int64_t age)
{
    out->have_lag = true;
    out->lag_ms = later(lag, 0);
    out->lag_age_ms = later(age, 0);
}

void pg_lag(const struct pg_state *primary, const struct pg_state *standby, struct action_result *out)
{
    bool asked =
        primary->known && !primary->in_recovery && primary->system == standby->system && primary->end >= 0;
    int64_t as_of = complete_as_of(standby);

    out->have_lag = false;
    out->writable = standby->known && !standby->in_recovery && standby->open;
    out->receiving =
        standby->receiver && standby->streaming && standby->now_ms - standby->heard_ms <= standby->silence_ms;
    if (!standby->known || !standby->in_recovery || (primary->known && primary->system != standby->system))
        return;
    if (asked && standby->end >= primary->end)
        figure(out, 0, 0);
    else if (as_of < 0)
        return;
    else if (asked)
        figure(out, later(primary->now_ms - as_of, 1), 0);
    else if (standby->receiver && standby->heard_ms >= 0)
        figure(out, standby->heard_ms - as_of, standby->now_ms - standby->heard_ms);
    else
        figure(out, 0, standby->now_ms - as_of);
}
