/* Small worlds, tried out whole: one plan (a dead region, a switchover, a drill) without any other fault, and everything that
 * can befall one effect of its leaders, at each effect in turn, and at each two of them. Every run keeps the invariants and
 * ends where the plan ends that nobody disturbed (15): or stuck, with a reason; or, where nobody was dead, taken back. */
#include "tests/sim/sim.h"

#include <stdlib.h>

struct outside {
    uint8_t active, writer, routed, commits, status;
};

static const char *const names[CUTS] = {
    "dies before",  "dies before, for long", "dies behind",   "sleeps behind",
    "request lost", "answer lost",           "lease revoked", "store away"};

struct trial {
    struct world *w;
    struct marks *m;
    struct options o;
    uint64_t seed, runs, stuck, back;
    struct outside whole;
    int bad, most;
};

static struct outside outside(const struct world *w)
{
    const struct fo_record *r = &w->store.record;

    return (struct outside){r->active, r->writer, routed(w), w->converged_commits, r->status};
}

static void say(const struct trial *t)
{
    for (uint8_t i = 0; i < t->o.n_cuts; i++)
        printf("  cut at effect %d: %s\n", t->o.cut[i].at, names[t->o.cut[i].how]);
}

static void one(struct trial *t)
{
    struct outside end;
    bool planned = t->seed % PLANS_TRIED != TRIED_DEATH;

    t->runs++;
    if (!once(t->w, t->seed, &t->o, t->m, NULL)) {
        t->bad++;
        explain(t->w, t->seed, t->o, t->most == 1);
        say(t);
        return;
    }
    end = outside(t->w);
    if (end.status == FO_STUCK_STATUS)
        t->stuck++;
    else if (planned && end.active == 0 && end.writer == 0 && end.routed == 0 && end.commits == 1)
        t->back++;
    else if (end.active != t->whole.active || end.writer != t->whole.writer ||
             end.routed != t->whole.routed || end.commits != t->whole.commits) {
        t->bad++;
        printf("seed %llu: invariant 15: active %u writer %u routed %u commits %x; undisturbed %u %u %u %x\n",
               (unsigned long long)t->seed, end.active, end.writer, end.routed, end.commits, t->whole.active,
               t->whole.writer, t->whole.routed, t->whole.commits);
        say(t);
    }
}

static void try_plan(struct trial *t, int cuts)
{
    int32_t effects;

    t->o.n_cuts = 0;
    if (!once(t->w, t->seed, &t->o, t->m, NULL)) {
        t->bad++;
        explain(t->w, t->seed, t->o, t->most == 1);
        return;
    }
    t->whole = outside(t->w);
    effects = (int32_t)t->w->effects;
    for (int32_t a = 0; a < effects; a++)
        for (uint8_t how = 0; how < CUTS && t->bad < t->most; how++) {
            t->o.n_cuts = 1;
            t->o.cut[0].at = a;
            t->o.cut[0].how = how;
            one(t);
            for (int32_t b = a + 1; cuts > 1 && b < effects + 6; b++)
                for (uint8_t other = 0; other < CUTS && t->bad < t->most; other++) {
                    t->o.n_cuts = 2;
                    t->o.cut[1].at = b;
                    t->o.cut[1].how = other;
                    one(t);
                }
        }
}

int cuts_try(uint64_t first, uint64_t n, int cuts, const struct options *o, int most, struct marks *m)
{
    struct trial t = {.w = calloc(1, sizeof(*t.w)), .m = m, .o = *o, .most = most};

    t.o.cuts = true;
    for (t.seed = first; t.seed < first + n && t.bad < most; t.seed++)
        try_plan(&t, cuts);
    printf(
        "cuts: %llu plans, %llu runs: %llu ended stuck with a reason, %llu planned moves were taken back\n",
        (unsigned long long)n, (unsigned long long)t.runs, (unsigned long long)t.stuck,
        (unsigned long long)t.back);
    free(t.w);
    return t.bad;
}
