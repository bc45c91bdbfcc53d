/* Votes counted: what all voters together say of each region. Pure, integers only. See failover.h.
 *
 * Two things make a vote worth less than it looks. One is silence: a majority is of CONFIGURED voters, so that the few who
 * remain beside a partition never decide alone, and a vote is believed only while its seq keeps growing by our own clock: a
 * paused or cut off voter says nothing, whatever its last word was. The other is a common cause: voters of one failure domain
 * count once, a single class of evidence never suffices (what breaks one probe breaks them all), and who sees everything
 * down is more likely cut off itself (as in the outage where every site of a DNS service judged itself unwell and withdrew).
 *
 * A vote is fresh for two of its voter's ticks, but for three seconds at least: with ticks of a second one lost segment
 * (retransmitted after 200 ms to 1 s, RFC 6298) would otherwise look like a silent voter and begin each confirmation anew. */
#include "aggregator/failover/failover.h"

enum { FRESH_LEAST_MS = 3000, TICK_MOST_MS = 30000, CLASSES_LEAST = 2 };

struct view { /* one voter's word as it counts */
    const struct fo_vote *vote;
    bool heard, well; /* fresh; and it trusts itself */
};

static bool fresh(const struct fo_heard *h, int64_t now)
{
    int64_t tick = h->vote.tick_ms < TICK_MOST_MS ? h->vote.tick_ms : TICK_MOST_MS;
    int64_t least = 2 * tick > FRESH_LEAST_MS ? 2 * tick : FRESH_LEAST_MS;

    return h->at != 0 && tick > 0 && now - h->at <= least;
}

/* Users speak of the region to which they are sent. Those who go elsewhere, with an old answer of the DNS in their hands, fail
 * there because it is the standby, and would keep it from ever being a target: what they alone bear is left out there. */
static uint8_t verdict(const struct view *w, uint8_t region, uint8_t active)
{
    uint8_t v = w->well ? w->vote->verdict[region] : FO_UNKNOWN;

    if (region != active && (v == FO_DOWN || v == FO_DEGRADED) &&
        (w->vote->classes[region] & FO_HARD) == FO_USERS)
        return FO_UP;
    return v <= FO_DOWN ? v : FO_UNKNOWN;
}

static uint8_t bit(uint8_t region)
{
    return (uint8_t)(1u << region);
}

static int classes_of(uint8_t classes)
{
    int n = 0;

    for (unsigned c = classes & FO_HARD; c; c &= c - 1)
        n++;
    return n;
}

/* Voters outside the region that say DOWN, each failure domain once. */
static uint8_t domains_down(const struct fo_config *c, const struct view *w, uint8_t n, uint8_t region,
                            uint8_t active)
{
    uint8_t found = 0;

    for (uint8_t i = 0; i < n; i++) {
        bool first = c->voter_domain[i] != region && verdict(&w[i], region, active) == FO_DOWN;

        for (uint8_t j = 0; first && j < i; j++)
            first = c->voter_domain[j] != c->voter_domain[i] || verdict(&w[j], region, active) != FO_DOWN;
        found = (uint8_t)(found + first);
    }
    return found;
}

/* How many say of one and the same other region that it is UP, while they say DOWN of this one: the best such region. */
static uint8_t with_target(const struct fo_config *c, const struct view *w, uint8_t n, uint8_t region,
                           uint8_t active)
{
    uint8_t best = 0;

    for (uint8_t to = 0; to < c->n_regions && to < FO_REGIONS; to++) {
        uint8_t same = 0;

        for (uint8_t i = 0; to != region && i < n; i++)
            same = (uint8_t)(same + (verdict(&w[i], region, active) == FO_DOWN &&
                                     verdict(&w[i], to, active) == FO_UP));
        best = same > best ? same : best;
    }
    return best;
}

/* A voter inside the region that says UP is listened to only if its users are well: from inside a cut off region everything
 * looks well, except the users. */
static bool vetoed(const struct fo_config *c, const struct view *w, uint8_t n, uint8_t region, uint8_t active)
{
    for (uint8_t i = 0; i < n; i++)
        if (c->voter_domain[i] == region && verdict(&w[i], region, active) == FO_UP &&
            w[i].vote->users[region] == FO_USERS_GOOD)
            return true;
    return false;
}

/* What a standby hears speaks of its primary: it bears on the active region alone. */
static bool two_classes(uint8_t classes, bool active)
{
    return classes_of(active ? classes : (uint8_t)(classes & ~(unsigned)FO_DATABASE)) >= CLASSES_LEAST;
}

static void count_region(const struct fo_config *c, const struct view *w, uint8_t n, uint8_t region,
                         uint8_t active, struct fo_tally *out)
{
    const uint8_t most = (uint8_t)(n / 2 + 1);
    uint8_t know = 0, gray = 0;

    for (uint8_t i = 0; i < n; i++) {
        uint8_t v = verdict(&w[i], region, active);
        bool hurt = w[i].well && (w[i].vote->gray & bit(region)) != 0;

        out->n[region][v]++;
        if (v == FO_DOWN)
            out->classes[region] |= w[i].vote->classes[region];
        if (v == FO_DOWN || hurt)
            out->doubt |= bit(region);
        know = (uint8_t)(know + (w[i].well && w[i].vote->users[region] != FO_USERS_UNKNOWN));
        gray = (uint8_t)(gray + (hurt && w[i].vote->users[region] != FO_USERS_UNKNOWN));
    }
    out->down_elsewhere[region] = domains_down(c, w, n, region, active);
    if (out->n[region][FO_UP] >= most)
        out->up |= bit(region);
    if (2 * gray > know)
        out->gray |= bit(region);
    if (out->n[region][FO_DOWN] >= most && out->down_elsewhere[region] >= 2 &&
        two_classes(out->classes[region], region == active) && with_target(c, w, n, region, active) >= most &&
        !vetoed(c, w, n, region, active))
        out->hard_down |= bit(region);
}

/* It says that nothing is left, or does not trust itself. */
static bool sees_nothing(const struct view *w, uint8_t regions, uint8_t active)
{
    if (!w->heard || !w->well)
        return w->heard;
    for (uint8_t r = 0; r < regions; r++)
        if (verdict(w, r, active) != FO_DOWN)
            return false;
    return regions > 0;
}

void fo_count(const struct fo_config *c, const struct fo_heard heard[FO_VOTERS], uint8_t active, int64_t now,
              struct fo_tally *out)
{
    const uint8_t n = c->n_voters < FO_VOTERS ? c->n_voters : FO_VOTERS,
                  regions = c->n_regions < FO_REGIONS ? c->n_regions : FO_REGIONS;
    struct view w[FO_VOTERS] = {{NULL, false, false}};
    uint8_t well = 0, blind = 0;

    *out = (struct fo_tally){.hard_down = 0};
    for (uint8_t i = 0; i < n; i++) {
        w[i].vote = &heard[i].vote;
        w[i].heard = fresh(&heard[i], now);
        w[i].well = w[i].heard && heard[i].vote.self_ok;
        well = (uint8_t)(well + w[i].well);
        blind = (uint8_t)(blind + sees_nothing(&w[i], regions, active));
    }
    for (uint8_t r = 0; r < regions; r++)
        count_region(c, w, n, r, active, out);
    /* Two majorities share a voter, and who sees a target UP is not blind: hard_down and fail_static exclude each other. */
    out->quorum = n > 0 && well >= n / 2 + 1;
    out->fail_static = n > 0 && blind >= n / 2 + 1;
}
