/* One voter's verdicts. See vote.h. Pure, integers only.
 *
 * A run, not a result, is what counts, both ways: a saturated server that answers one probe in many is not well, and one
 * lost answer is not a death. So a target fails after down_probes bad results in a row and stops to fail after as many good
 * ones; in between DOWN neither comes nor goes. UP after a DOWN takes much longer (up_probes, up_ms): between the two the
 * region is DEGRADED, which moves nothing.
 *
 * The silence of peers is judged by phi (Hayashibara et al., "The phi accrual failure detector", SRDS 2004): how unlikely a
 * silence of this length is, given the gaps seen before. Gaps shorter than beat_ms count as beat_ms, since a peer that spoke
 * every second while something was in doubt may fall back to its usual pace at any time; longer than twice that as twice,
 * so that an outage of an hour does not teach us that hours are usual.
 *
 * What was seen while this voter did not trust itself is forgotten, not kept: after its own network has come back, the failed
 * probes and the silence of that time would otherwise accuse everybody else. */
#include "aggregator/failover/vote.h"

#include <string.h>

enum {
    GAPS_LEAST = 3,
    NEVER_TICKS = 12,
    CANARY_BAD = 2,
    RUN_MOST = 1 << 30,
    MILLION = 1000000,
    STALE_TICKS = 3,
    SLEPT_TICKS = 2
};

void voter_init(struct voter *v, const struct vote_config *c, int64_t now, uint64_t boot)
{
    (void)c;
    memset(v, 0, sizeof *v);
    v->boot = boot;
    v->began = now;
}

static bool has_region(const struct vote_config *c, uint8_t region)
{
    return region < c->n_regions && region < FO_REGIONS;
}

/* ---- targets ---- */

static bool stale(const struct vote_target *t, const struct vote_config *c, int64_t now)
{
    return t->at == 0 || now - t->at > STALE_TICKS * (int64_t)c->tick_ms;
}

static void target_result(struct vote_target *t, const struct vote_config *c, bool good, int64_t now)
{
    if (stale(t, c, now))
        *t = (struct vote_target){.run = VOTE_RUN_UNKNOWN};
    t->at = now;
    if (good) {
        if (t->good == 0)
            t->good_since = now;
        t->good += t->good < RUN_MOST;
        t->bad = 0;
    } else {
        t->bad += t->bad < RUN_MOST;
        t->good = 0;
        t->good_since = 0;
    }
    if (t->bad >= c->down_probes)
        t->run = VOTE_RUN_FAILED;
    else if (t->good >= c->down_probes)
        t->run = VOTE_RUN_GOOD;
}

void voter_probe(struct voter *v, const struct vote_config *c, uint8_t region, uint8_t probe, bool good,
                 int64_t now)
{
    if (has_region(c, region) && probe < c->n_probes[region] && probe < VOTE_PROBES)
        target_result(&v->region[region].read[probe], c, good, now);
}

void voter_canary(struct voter *v, const struct vote_config *c, uint8_t canary, bool good, int64_t now)
{
    if (canary < c->n_canaries && canary < VOTE_CANARIES)
        target_result(&v->canary[canary], c, good, now);
}

struct runs {
    uint8_t n, good, failed;
    bool long_good; /* each of them long enough for UP after a DOWN */
};

static struct runs runs_of(const struct vote_region *r, const struct vote_config *c, uint8_t n, int64_t now)
{
    struct runs out = {.n = n < VOTE_PROBES ? n : VOTE_PROBES, .long_good = true};

    for (uint8_t i = 0; i < out.n; i++) {
        const struct vote_target *t = &r->read[i];

        if (stale(t, c, now)) {
            out.long_good = false;
            continue;
        }
        out.good = (uint8_t)(out.good + (t->run == VOTE_RUN_GOOD));
        out.failed = (uint8_t)(out.failed + (t->run == VOTE_RUN_FAILED));
        if (t->good < c->up_probes || now - t->good_since < c->up_ms)
            out.long_good = false;
    }
    return out;
}

/* ---- the silence of peers ---- */

static void push(struct vote_beat *b, int64_t gap)
{
    b->gap[b->at] = (int32_t)(gap < RUN_MOST ? gap : RUN_MOST);
    b->at = (uint8_t)((b->at + 1) % VOTE_GAPS);
    b->n = (uint8_t)(b->n + (b->n < VOTE_GAPS));
}

/* How often peers speak is agreed, so that the first word is enough to expect the next one: a region that dies soon after our
 * own start is missed all the same. */
void voter_beat(struct voter *v, const struct vote_config *c, uint8_t region, uint8_t peer, int64_t now)
{
    int64_t usual = c->beat_ms > 0 ? c->beat_ms : c->tick_ms, gap;
    struct vote_beat *b;

    if (!has_region(c, region) || region == c->own_region || peer >= c->n_peers[region] || peer >= VOTE_PEERS)
        return;
    b = &v->region[region].beat[peer];
    gap = now - b->last;
    gap = gap < usual ? usual : gap > 2 * usual ? 2 * usual : gap;
    v->region[region].known = 1;
    if (b->last)
        push(b, gap);
    for (int i = 0; b->last == 0 && i < GAPS_LEAST; i++)
        push(b, usual);
    b->last = now;
}

void voter_known(struct voter *v, uint8_t region)
{
    if (region < FO_REGIONS)
        v->region[region].known = 1;
}

static int64_t root(int64_t n)
{
    int64_t lo = 0, hi = INT64_C(3037000499);

    while (lo < hi) {
        int64_t mid = lo + (hi - lo + 1) / 2;

        if (mid <= n / mid)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

/* -1000 log10 of the normal distribution's tail at z = i / 4: 0.5 erfc(z / sqrt 2). */
static const int32_t tail[] = {301,   397,   511,   645,   800,   976,   1175,  1397,  1643,  1913,
                               2207,  2526,  2870,  3239,  3633,  4053,  4499,  4971,  5469,  5993,
                               6543,  7119,  7721,  8350,  9006,  9688,  10396, 11131, 11893, 12681,
                               13496, 14338, 15206, 16101, 17023, 17972, 18947, 19950, 20979, 22035,
                               23118, 24228, 25365, 26528, 27719, 28936, 30181, 31452, 32750};
enum { TAIL_LAST = sizeof tail / sizeof *tail - 1, TAIL_STEP = 250 };

int32_t vote_phi(const struct vote_beat *b, int64_t now)
{
    int64_t mean = 0, spread = 0, z;

    if (b->n < GAPS_LEAST || b->last == 0)
        return 0;
    for (uint8_t i = 0; i < b->n; i++)
        mean += b->gap[i];
    mean /= b->n;
    for (uint8_t i = 0; i < b->n; i++)
        spread += (b->gap[i] - mean) * (b->gap[i] - mean);
    spread = root(spread / b->n);
    if (spread < mean / 8) /* a clockwork would make any delay a death */
        spread = mean / 8 > 0 ? mean / 8 : 1;
    if (now - b->last <= mean)
        return 0;
    z = now - b->last - mean;
    if (z / spread >= TAIL_LAST * TAIL_STEP / 1000)
        return tail[TAIL_LAST];
    z = z * 1000 / spread;
    return (int32_t)(tail[z / TAIL_STEP] +
                     (tail[z / TAIL_STEP + 1] - tail[z / TAIL_STEP]) * (z % TAIL_STEP) / TAIL_STEP);
}

struct beats {
    bool heard, silent; /* neither: no peer was ever heard */
};

/* A peer that we have not heard yet is silent after twelve ticks, else a voter that was started while a region is dead would never
 * see it; but only where somebody was heard at some time, be it by a process before us. What has never spoken at all is not set up
 * yet, and not ready is not dead (as with new targets whose network was not there, in the us-east-1 outage of 2025). */
static struct beats beats_of(const struct voter *v, const struct vote_config *c, uint8_t region, int64_t now)
{
    const struct vote_region *r = &v->region[region];
    struct beats out = {false, false};

    for (uint8_t i = 0; region != c->own_region && i < c->n_peers[region] && i < VOTE_PEERS; i++) {
        if (r->beat[i].n < GAPS_LEAST) {
            int64_t from = r->beat[i].last > v->began ? r->beat[i].last : v->began;

            if (r->known && now - from >= NEVER_TICKS * (int64_t)c->tick_ms)
                out.silent = true;
            continue;
        }
        if (vote_phi(&r->beat[i], now) >= c->phi_milli)
            out.silent = true;
        else
            out.heard = true;
    }
    out.silent = out.silent && !out.heard;
    return out;
}

/* ---- users, database, agents ---- */

enum hurt { USERS_NONE, USERS_WELL, USERS_SOME, USERS_HURT };

static bool users_fresh(const struct vote_region *r, const struct vote_config *c, int64_t now)
{
    return r->users_at != 0 && now - r->users_at <= c->users_window_ms / 2;
}

static enum hurt users_of(const struct vote_region *r, const struct vote_config *c, int64_t now)
{
    uint64_t total = r->total, good = r->good;
    int64_t ppm;

    if (!c->has_users || !users_fresh(r, c, now) || c->users_least < 0 || total < (uint64_t)c->users_least ||
        total == 0)
        return USERS_NONE;
    while (total > UINT32_MAX) {
        total >>= 1;
        good >>= 1;
    }
    ppm = (int64_t)(good * MILLION / total);
    return ppm < c->users_bad_ppm ? USERS_HURT : ppm < c->users_good_ppm ? USERS_SOME : USERS_WELL;
}

void voter_users(struct voter *v, const struct vote_config *c, uint8_t region, uint64_t good, uint64_t total,
                 int64_t now)
{
    struct vote_region *r;

    if (!has_region(c, region))
        return;
    r = &v->region[region];
    if (!users_fresh(r, c, now))
        r->users_bad_since = r->gray_since = 0;
    r->users_at = now;
    r->total = total;
    r->good = good < total ? good : total;
    if (users_of(r, c, now) != USERS_HURT)
        r->users_bad_since = 0;
    else if (!r->users_bad_since)
        r->users_bad_since = now;
}

void voter_users_elsewhere(struct voter *v, const struct vote_config *c, uint8_t region, int64_t now)
{
    if (has_region(c, region))
        v->region[region].hurt_elsewhere = now;
}

/* As fresh as a vote has to be to count, and only where we know nothing better. */
static bool users_elsewhere(const struct vote_region *r, const struct vote_config *c, enum hurt own,
                            int64_t now)
{
    return c->has_users && own == USERS_NONE && r->hurt_elsewhere != 0 &&
           now - r->hurt_elsewhere <= 2 * (int64_t)c->tick_ms;
}

void voter_database(struct voter *v, const struct vote_config *c, uint8_t region, int64_t heard_ago_ms,
                    int64_t now)
{
    if (!has_region(c, region) || heard_ago_ms < 0)
        return;
    v->region[region].database_at = now;
    v->region[region].database_heard = now - heard_ago_ms;
}

/* As of the sample: what has come since then nobody knows, and an old sample says nothing. */
static bool database_silent(const struct vote_region *r, const struct vote_config *c, int64_t now)
{
    return c->has_database && r->database_at != 0 &&
           now - r->database_at <= STALE_TICKS * (int64_t)c->tick_ms &&
           r->database_at - r->database_heard >= c->database_ms;
}

void voter_agents(struct voter *v, uint8_t region, uint32_t up, uint32_t known)
{
    if (region >= FO_REGIONS)
        return;
    v->region[region].agents = known;
    v->region[region].agents_up = up;
}

/* ---- ourselves ---- */

static void forget(struct voter *v, int64_t now)
{
    v->began = now;
    for (uint8_t i = 0; i < FO_REGIONS; i++) {
        struct vote_region *r = &v->region[i];

        memset(r->read, 0, sizeof r->read);
        for (uint8_t k = 0; k < VOTE_PEERS; k++)
            if (r->beat[k].last)
                r->beat[k].last = now;
        r->users_at = r->users_bad_since = r->gray_since = r->database_at = r->up_since = r->hurt_elsewhere =
            0;
    }
}

void voter_tilt(struct voter *v, const struct vote_config *c, int64_t now)
{
    int64_t until = now + c->tilt_ms;

    v->tilt_until = until > v->tilt_until ? until : v->tilt_until;
    forget(v, now);
}

void voter_fast(struct voter *v, bool fast)
{
    v->fast = fast;
}

/* Most of the canaries answer; one that has not been asked, or not of late, does not. */
static bool trusts_itself(const struct voter *v, const struct vote_config *c, int64_t now)
{
    uint8_t n = c->n_canaries < VOTE_CANARIES ? c->n_canaries : VOTE_CANARIES, well = 0;

    for (uint8_t i = 0; i < n; i++) {
        const struct vote_target *t = &v->canary[i];

        well = (uint8_t)(well + (!stale(t, c, now) && t->bad < CANARY_BAD));
    }
    return now >= v->tilt_until && (n == 0 || 2 * well > n);
}

/* ---- the look ---- */

struct seen { /* of one region, now */
    struct runs runs;
    struct beats beats;
    enum hurt users;
    bool probes_down, users_long, users_elsewhere, database;
};

/* DOWN is borne by what suffices for it alone: a target among others, or users between bad and good, degrade. */
static uint8_t against(const struct seen *s, const struct vote_region *r)
{
    const bool down = r->verdict == FO_DOWN;
    unsigned out = 0;

    out |= (down ? s->probes_down : s->runs.failed > 0) ? FO_PROBES : 0;
    out |= s->users == USERS_HURT || (!down && s->users == USERS_SOME) ? FO_USERS : 0;
    out |= down && s->users_elsewhere ? FO_USERS : 0;
    out |= s->beats.silent ? FO_HEARTBEAT : 0;
    out |= s->database ? FO_DATABASE : 0;
    out |= r->agents && 2 * (uint64_t)r->agents_up < r->agents ? FO_AGENTS : 0;
    return (uint8_t)out;
}

static uint8_t in_favour(const struct seen *s)
{
    unsigned out = 0;

    out |= s->runs.n && s->runs.good == s->runs.n ? FO_PROBES : 0;
    out |= s->users == USERS_WELL ? FO_USERS : 0;
    out |= s->beats.heard ? FO_HEARTBEAT : 0;
    return (uint8_t)out;
}

static bool is_down(const struct seen *s)
{
    return s->users_long || (s->probes_down && (s->beats.silent || s->users == USERS_HURT ||
                                                s->users_elsewhere || s->database));
}

/* Nothing speaks against it that users or probes could feel, and something speaks for it. */
static bool is_well(const struct seen *s)
{
    if (s->runs.n ? s->runs.good != s->runs.n : !s->beats.heard && s->users != USERS_WELL)
        return false;
    return s->users == USERS_NONE || s->users == USERS_WELL;
}

static uint8_t verdict_of(struct vote_region *r, const struct vote_config *c, const struct seen *s,
                          int64_t now)
{
    bool well = is_well(s);

    r->up_since = !well ? 0 : r->up_since ? r->up_since : now;
    if (is_down(s)) {
        r->down_at = now;
        return FO_DOWN;
    }
    if (s->runs.failed || s->users == USERS_SOME || s->users == USERS_HURT)
        return FO_DEGRADED;
    if (!well)
        return FO_UNKNOWN;
    if (r->down_at && (!s->runs.long_good || now - r->up_since < c->up_ms))
        return FO_DEGRADED;
    r->down_at = 0;
    return FO_UP;
}

/* Whether users are hurt while probes say that all is well, for long enough. */
static bool is_gray(struct vote_region *r, const struct vote_config *c, const struct seen *s, int64_t now)
{
    bool differ = s->users == USERS_HURT && s->runs.n && s->runs.good == s->runs.n;

    r->gray_since = !differ ? 0 : r->gray_since ? r->gray_since : now;
    return differ && now - r->gray_since >= c->gray_ms;
}

static void look_at(struct voter *v, const struct vote_config *c, uint8_t i, int64_t now, struct fo_vote *out)
{
    struct vote_region *r = &v->region[i];
    struct seen s = {.runs = runs_of(r, c, c->n_probes[i], now),
                     .beats = beats_of(v, c, i, now),
                     .users = users_of(r, c, now),
                     .database = database_silent(r, c, now)};

    s.users_elsewhere = users_elsewhere(r, c, s.users, now);
    s.probes_down = s.runs.n && s.runs.failed == s.runs.n;
    s.users_long =
        s.users == USERS_HURT && r->users_bad_since && now - r->users_bad_since >= c->users_window_ms;
    r->verdict = verdict_of(r, c, &s, now);
    r->users = s.users == USERS_WELL   ? FO_USERS_GOOD
               : s.users == USERS_HURT ? FO_USERS_BAD
                                       : FO_USERS_UNKNOWN;
    r->classes = r->verdict == FO_UP ? in_favour(&s) : r->verdict == FO_UNKNOWN ? 0 : against(&s, r);
    if (is_gray(r, c, &s, now))
        out->gray |= (uint8_t)(1u << i);
    out->verdict[i] = r->verdict;
    out->classes[i] = r->classes;
    out->users[i] = r->users;
}

void voter_look(struct voter *v, const struct vote_config *c, int64_t now, struct fo_vote *out)
{
    memset(out, 0, sizeof *out); /* with its padding: states are compared byte by byte */
    out->boot = v->boot;
    out->seq = ++v->seq;
    out->tick_ms = v->fast ? c->fast_ms : c->tick_ms;
    out->voter = FO_NONE;
    if (v->looked && now - v->looked > SLEPT_TICKS * (int64_t)c->tick_ms)
        voter_tilt(v, c, now);
    v->looked = now;
    out->self_ok = trusts_itself(v, c, now);
    if (!out->self_ok) {
        forget(v, now);
        for (uint8_t i = 0; i < FO_REGIONS; i++)
            v->region[i].verdict = v->region[i].classes = v->region[i].users = 0;
        return;
    }
    for (uint8_t i = 0; i < c->n_regions && i < FO_REGIONS; i++)
        look_at(v, c, i, now, out);
}
