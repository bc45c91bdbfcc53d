/* A service's guard: see guard.h. */
#include "agent/guard/guard.h"

#include <string.h>

const char *guard_state_name(enum guard_state s)
{
    static const char *const names[GUARD_STATES] = {"unknown", "serving", "fencing", "fenced", "releasing"};

    return (unsigned)s < GUARD_STATES ? names[s] : "?";
}

const char *guard_reason_name(enum guard_reason r)
{
    static const char *const names[GUARD_REASONS] = {"none", "denied", "lapsed", "started", "broken"};

    return (unsigned)r < GUARD_REASONS ? names[r] : "?";
}

static void enter(struct guard *g, enum guard_state s, int64_t now)
{
    g->state = (uint8_t)s;
    g->since = now;
    g->retry_at = now;
}

static void begin_fence(struct guard *g, enum guard_reason why, int64_t now)
{
    g->reason = (uint8_t)why;
    g->fences[why]++;
    g->deadline = 0;
    g->proven = g->letting = false;
    g->broken_at = 0;
    if (g->want < g->kept.seen_epoch)
        g->want = g->kept.seen_epoch;
    enter(g, GUARD_FENCING, now);
}

void guard_init(struct guard *g, const struct guard_times *t, const struct guard_kept *kept,
                const struct guard_lease_kept *lease, int64_t now)
{
    bool sound = lease && lease->deadline <= now + t->longest;

    *g = (struct guard){.t = *t, .kept = *kept};
    g->want = kept->fenced_epoch > kept->seen_epoch ? kept->fenced_epoch : kept->seen_epoch;
    if (kept->state == GUARD_KEPT_FENCED || (lease && lease->deadline <= now) ||
        (kept->state == GUARD_KEPT_RELEASING && !(sound && lease->serving))) {
        begin_fence(g, GUARD_R_STARTED, now);
        return;
    }
    g->deadline = sound ? lease->deadline : now + t->grace;
    enter(g,
          !sound || !lease->serving             ? GUARD_UNKNOWN
          : kept->state == GUARD_KEPT_RELEASING ? GUARD_RELEASING
                                                : GUARD_SERVING,
          now);
}

void guard_lease_of(const struct guard *g, struct guard_lease_kept *l)
{
    l->serving = g->state == GUARD_SERVING || g->state == GUARD_RELEASING;
    l->deadline = l->serving || g->state == GUARD_UNKNOWN ? g->deadline : 1;
}

static void see(struct guard *g, uint32_t epoch)
{
    if (epoch > g->kept.seen_epoch) {
        g->kept.seen_epoch = epoch;
        g->dirty = true;
    }
}

/* Before anything that is told is believed: what came while the machine slept finds the deadline passed. */
static void look_at_clock(struct guard *g, int64_t now)
{
    bool runs = g->state == GUARD_UNKNOWN || g->state == GUARD_SERVING || g->state == GUARD_RELEASING;

    if (runs && now >= g->deadline)
        begin_fence(g, g->state == GUARD_UNKNOWN ? GUARD_R_STARTED : GUARD_R_LAPSED, now);
}

void guard_lease(struct guard *g, int64_t deadline, uint32_t epoch, bool agreed, int64_t now)
{
    look_at_clock(g, now);
    if (deadline <= now || deadline > now + g->t.longest || epoch < g->kept.seen_epoch) {
        g->ignored++;
        return;
    }
    see(g, epoch);
    switch ((enum guard_state)g->state) {
    case GUARD_SERVING:
    case GUARD_RELEASING:
        if (deadline > g->deadline)
            g->deadline = deadline;
        break;
    case GUARD_UNKNOWN:
        if (agreed) {
            g->deadline = deadline;
            enter(g, GUARD_SERVING, now);
        }
        break;
    case GUARD_FENCED:
        if (agreed && epoch >= g->kept.fenced_epoch) {
            g->deadline = deadline;
            g->letting = g->dirty = true;
            g->kept.state = GUARD_KEPT_RELEASING;
        }
        break;
    case GUARD_FENCING: /* it is brought to its end first: half a fence is neither */
    case GUARD_STATES: break;
    }
}

void guard_deny(struct guard *g, uint32_t epoch, enum guard_reason why, int64_t now)
{
    look_at_clock(g, now);
    if (epoch < g->kept.seen_epoch) {
        g->ignored++;
        return;
    }
    see(g, epoch);
    if (g->state == GUARD_FENCING) {
        if (g->want < epoch) {
            g->want = epoch;
            g->proven = false; /* what was proven was proven before this was asked for */
        }
    } else if (g->state != GUARD_FENCED || g->letting || epoch > g->kept.fenced_epoch) {
        if (g->letting) { /* nothing has been let go yet */
            g->kept.state = GUARD_KEPT_FENCED;
            g->dirty = true;
        }
        begin_fence(g, why, now);
    }
}

/* ---- what is to be done ---- */

static enum guard_job wanted(const struct guard *g, int64_t now)
{
    switch ((enum guard_state)g->state) {
    case GUARD_FENCING: return g->proven || now < g->retry_at ? GUARD_IDLE : GUARD_FENCE;
    case GUARD_FENCED: return g->letting || now < g->look_at ? GUARD_IDLE : GUARD_PROVE;
    case GUARD_RELEASING: return now < g->retry_at ? GUARD_IDLE : GUARD_RELEASE;
    default: return GUARD_IDLE;
    }
}

static bool fits(const struct guard *g)
{
    return (g->job == GUARD_FENCE && g->state == GUARD_FENCING) ||
           (g->job == GUARD_PROVE && g->state == GUARD_FENCED) ||
           (g->job == GUARD_RELEASE && g->state == GUARD_RELEASING);
}

enum guard_do guard_next(struct guard *g, int64_t now)
{
    enum guard_job job;

    look_at_clock(g, now);
    if (g->job != GUARD_IDLE && !fits(g))
        return GUARD_DO_STOP;
    /* a fence that has to be begun waits for no disk */
    job = g->job == GUARD_IDLE ? wanted(g, now) : GUARD_IDLE;
    if (job == GUARD_FENCE) {
        g->job = (uint8_t)job;
        g->attempts++;
        return GUARD_DO_FENCE;
    }
    if (g->dirty && now >= g->keep_at)
        return GUARD_DO_KEEP;
    if (job == GUARD_IDLE || (g->dirty && job == GUARD_RELEASE))
        return GUARD_WAIT;
    g->job = (uint8_t)job;
    return job == GUARD_PROVE ? GUARD_DO_PROVE : GUARD_DO_RELEASE;
}

void guard_is_kept(struct guard *g, bool ok, int64_t now)
{
    if (!ok) {
        g->keep_at = now + g->t.retry;
        return;
    }
    g->dirty = false;
    if (g->state == GUARD_FENCING && g->proven) {
        g->proven = false;
        g->look_at = now + g->t.look;
        enter(g, GUARD_FENCED, now);
    } else if (g->state == GUARD_FENCED && g->letting) {
        g->letting = false;
        enter(g, GUARD_RELEASING, now);
    }
}

void guard_stopped(struct guard *g, int64_t now)
{
    g->job = GUARD_IDLE;
    g->retry_at = now;
}

static void looked(struct guard *g, bool ok, int64_t now)
{
    g->look_at = now + (ok ? g->t.look : g->t.retry);
    if (ok)
        g->broken_at = 0;
    else if (!g->broken_at)
        g->broken_at = now;
    else if (now - g->broken_at >= g->t.broken)
        begin_fence(g, GUARD_R_BROKEN, now);
}

void guard_done(struct guard *g, bool ok, int64_t now)
{
    bool mine = fits(g);
    enum guard_job job = (enum guard_job)g->job;

    g->job = GUARD_IDLE;
    if (!ok)
        g->failures++;
    if (!mine)
        return;
    if (job == GUARD_PROVE) {
        looked(g, ok, now);
    } else if (!ok) {
        g->retry_at = now + g->t.retry;
    } else if (job == GUARD_FENCE) {
        g->proven = g->dirty = true;
        g->keep_at = now;
        g->kept.state = GUARD_KEPT_FENCED;
        if (g->want > g->kept.fenced_epoch)
            g->kept.fenced_epoch = g->want;
    } else {
        g->releases++;
        g->reason = GUARD_R_NONE;
        g->kept.state = GUARD_KEPT_FREE;
        g->dirty = true;
        enter(g, GUARD_SERVING, now);
    }
}

int64_t guard_due(const struct guard *g)
{
    int64_t due = INT64_MAX;

    if (g->state == GUARD_UNKNOWN || g->state == GUARD_SERVING || g->state == GUARD_RELEASING)
        due = g->deadline;
    if (g->job == GUARD_IDLE && ((g->state == GUARD_FENCING && !g->proven) || g->state == GUARD_RELEASING) &&
        g->retry_at < due)
        due = g->retry_at;
    if (g->job == GUARD_IDLE && g->state == GUARD_FENCED && g->look_at < due)
        due = g->look_at;
    if (g->dirty && g->keep_at < due)
        due = g->keep_at;
    return due;
}

bool guard_may_write(const struct guard *g)
{
    return g->state != GUARD_FENCED || g->letting || g->broken_at;
}
