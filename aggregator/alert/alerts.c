/* The engine: rules and their alerts, made, reloaded and stepped. See alert.h and state.h.
 *
 * A step looks first, selection by selection, at each group's count of changes; only a group with news, or of a rule
 * whose window's end moved on, is measured again. Then it goes through the rules in the order in which they depend on
 * one another, and each alert is advanced with what was measured last. */
#include <stdio.h>
#include <string.h>

#include "aggregator/alert/state.h"

/* ---- making and reloading ---- */

static void states_free(struct alerts *a, struct rule_state *v, uint32_t n)
{
    for (uint32_t i = 0; v && i < n; i++) {
        while (v[i].first)
            alert_drop(a, &v[i].first);
        mem_free(a->mem, v[i].cells, v[i].cells_room * sizeof *v[i].cells);
    }
    mem_free(a->mem, v, (n ? n : 1) * sizeof *v);
}

void alerts_free(struct alerts **a)
{
    struct alerts *x = *a;
    struct mem *mem;

    *a = NULL;
    if (!x)
        return;
    mem = x->mem;
    states_free(x, x->states, x->rules.n);
    while (x->orphans)
        alert_drop(x, &x->orphans);
    map_free(&x->ids);
    arena_free(&x->arena);
    sketch_free(&x->sketch);
    buf_free(&x->text);
    mem_free(mem, x, sizeof *x);
}

void rule_state_adopt(struct alerts *a, struct rule_state *to, struct alert *al, bool anew)
{
    al->of = to;
    al->next = to->first;
    to->first = al;
    al->cell = UINT32_MAX;
    to->n++;
    to->count[al->state]++;
    to->told += al->told && !al->summary;
    to->over += al->mute == MUTE_LIMIT;
    if (al->summary)
        to->summary = al;
    alert_baseline_keep(a, al, to->rule);
    if (anew) {
        al->held = 0;
        al->points = 0;
        al->point = 0;
        al->resumed = true;
        al->dirty = true;
    }
}

/* The alerts of a rule that goes on are adopted, those of one that is gone wait for their end. */
static void hand_over(struct alerts *a, struct rule_state *old, struct rule_state *fresh)
{
    bool same = fresh && fresh->rule->groups_hash == old->rule->groups_hash;
    bool anew = !same || fresh->rule->condition_hash != old->rule->condition_hash;
    struct alert *al;

    for (struct alert **at = &old->first; *at;) {
        if ((*at)->state == ALERT_INACTIVE && !(same && (*at)->baseline))
            alert_drop(a, at);
        else
            at = &(*at)->next;
    }
    while ((al = old->first)) {
        old->first = al->next;
        if (same) {
            rule_state_adopt(a, fresh, al, anew);
            continue;
        }
        al->of = NULL;
        al->gone = true;
        al->next = a->orphans;
        a->orphans = al;
    }
    old->n = 0;
    if (same) {
        fresh->transitions = old->transitions;
        fresh->evaluations = old->evaluations;
        fresh->matched = old->matched;
        fresh->since = old->since;
    }
}

static uint32_t selection_of(const struct rule *r)
{
    return r->kind == RULE_RATIO ? r->of_selection : r->selection;
}

/* Rules that look at the same selection follow one another. */
static void chain(struct rule_state *v, uint32_t n, struct rule_state **last)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t selection = selection_of(v[i].rule);

        if (selection == RULE_NOTHING)
            continue;
        if (last[selection])
            last[selection]->same = &v[i];
        else
            v[i].first_of_same = true;
        last[selection] = &v[i];
    }
}

int alerts_reload(struct alerts *a, const struct alerts_params *p, struct buf *report, struct err *e)
{
    struct arena arena;
    struct rules rules = {0};
    struct rule_state *v = NULL, **last = NULL;
    int rc;

    arena_init(&arena, a->mem, 0);
    rc = rules_read(p->config, NULL, NULL, &arena, &rules, report, e);
    for (uint32_t i = 0; !rc && i < rules.n; i++)
        rc = rule_resolve(&rules.v[i], p->selections, e);
    if (!rc &&
        (!(last = arena_array(&arena, selections_count(p->selections) + 1, sizeof(struct rule_state *))) ||
         !(v = mem_array(a->mem, rules.n ? rules.n : 1, sizeof *v))))
        rc = err_set(e, ERR_NOMEM, "no memory for rules");
    if (rc) {
        arena_free(&arena);
        return rc;
    }
    for (uint32_t i = 0; i < rules.n; i++)
        v[i].rule = &rules.v[i];
    chain(v, rules.n, last);
    for (uint32_t i = 0; i < a->rules.n; i++) {
        const struct rule *r = rules_find(&rules, a->states[i].rule->name);

        hand_over(a, &a->states[i], r ? &v[r - rules.v] : NULL);
    }
    states_free(a, a->states, a->rules.n);
    arena_free(&a->arena);
    a->arena = arena;
    a->rules = rules;
    a->states = v;
    a->afresh = true;
    a->selections = p->selections;
    snprintf(a->region, sizeof a->region, "%s", p->region ? p->region : "");
    return 0;
}

struct alerts *alerts_new(const struct alerts_params *p, struct buf *report, struct err *e)
{
    struct alerts *a = mem_alloc(p->mem, sizeof *a);

    if (!a) {
        err_set(e, ERR_NOMEM, "no memory for alerts");
        return NULL;
    }
    a->mem = p->mem;
    arena_init(&a->arena, p->mem, 0);
    map_init(&a->ids, p->mem, NULL);
    sketch_init(&a->sketch, p->mem);
    buf_init(&a->text, p->mem, 16 << 10);
    if (alerts_reload(a, p, report, e) != 0)
        alerts_free(&a);
    return a;
}

/* ---- one rule, one step ---- */

static bool cells_fit(struct alerts *a, struct rule_state *rs, uint32_t n)
{
    if (n > rs->cells_room) {
        uint32_t room = n + n / 4 + 16;
        struct cell *v = mem_resize(a->mem, rs->cells, rs->cells_room * sizeof *v, room * sizeof *v);

        if (!v) {
            a->no_memory++;
            return false;
        }
        rs->cells = v;
        rs->cells_room = room;
    }
    for (uint32_t i = n; i < rs->n_cells; i++) {
        if (rs->cells[i].alert)
            rs->cells[i].alert->cell = UINT32_MAX;
    }
    for (uint32_t i = rs->n_cells; i < n; i++)
        rs->cells[i] = (struct cell){0};
    rs->n_cells = n;
    return true;
}

/* The alert of this group, if it has one; the cell remembers. */
static struct alert *cell_alert(struct alerts *a, struct rule_state *rs, uint32_t i,
                                const struct fact_group *g)
{
    struct cell *c = &rs->cells[i];
    struct fingerprint id;

    if (c->alert && labels_compare(c->alert->group, fact_labels(g)) == 0)
        return c->alert;
    c->alert = NULL;
    if (!rs->n)
        return NULL;
    id = labels_fingerprint(rs->rule->name, fact_labels(g));
    c->alert = alert_find(a, &id);
    if (c->alert && c->alert->of != rs)
        c->alert = NULL;
    if (c->alert)
        c->alert->cell = i;
    return c->alert;
}

/* Whether what was measured calls for an alert that is not there yet. */
static bool calls(const struct turn *t, const struct rule *r, const struct measured *m)
{
    if (t->in->hold)
        return false;
    if (r->baseline.kind != BASELINE_NONE && m->verdict != VERDICT_NONE)
        return true;
    return m->verdict == VERDICT_HOLDS ||
           (m->verdict == VERDICT_NONE && !m->few && r->no_data == NO_DATA_ALERT && !alert_early(t, r));
}

static void take(const struct turn *t, struct alert *al, const struct measured *m)
{
    al->m = *m;
    al->step = t->a->step;
}

void rule_offer(const struct turn *t, struct rule_state *rs, struct labels group, const struct measured *m)
{
    struct alert *al = NULL;
    struct fingerprint id;

    rs->evaluations++;
    t->a->evaluations++;
    if (rs->n) {
        id = labels_fingerprint(rs->rule->name, group);
        al = alert_find(t->a, &id);
    }
    if (!al && calls(t, rs->rule, m)) {
        al = alert_make(t->a, rs, group);
        if (al)
            al->seen = t->in->now.ms;
    }
    if (al && al->of == rs)
        take(t, al, m);
}

/* Of a ratio the groups are those below the line; what is above it may not be there yet. */
static void look(const struct turn *t, struct rule_state *rs, uint32_t i, const struct fact_group *g,
                 bool all)
{
    const struct rule *r = rs->rule;
    const struct fact_group *above =
        r->kind == RULE_RATIO ? facts_group_find(t->in->facts, r->selection, fact_labels(g)) : g;
    struct cell *c = &rs->cells[i];
    uint64_t changes = fact_changes(g) + (r->kind == RULE_RATIO && above ? fact_changes(above) + 1 : 0);
    struct measured m;
    struct alert *al;

    if (!all && c->g == g && c->changes == changes)
        return;
    rule_measure(r, above, g, t->in->now, &t->a->sketch, &m);
    if (r->kind == RULE_ABSENT && m.verdict == VERDICT_HOLDS && alert_early(t, r)) {
        m.verdict = VERDICT_NONE;
        m.why = "we have not looked for long enough to call it absent";
    }
    rs->evaluations++;
    t->a->evaluations++;
    c->g = g;
    c->changes = changes;
    al = cell_alert(t->a, rs, i, g);
    if (!al && calls(t, r, &m)) {
        al = alert_make(t->a, rs, fact_labels(g));
        if (al) {
            c->alert = al;
            al->cell = i;
            al->seen = t->in->now.ms;
        }
    }
    if (al && r->baseline.kind != BASELINE_NONE)
        alert_baseline_judge(t, al, &m);
    if (al)
        take(t, al, &m);
}

/* Of rules that look at one selection: a group that brought nothing to the first brought nothing to any, but for ratios,
 * which look at another one as well. */
static bool unchanged(const struct rule_state *first, uint32_t i, const struct fact_group *g)
{
    const struct cell *c = &first->cells[i];

    return c->g == g && c->changes == fact_changes(g);
}

/* All rules that look at one selection, group by group: what one of them read of a group is still at hand for the next. */
static void look_together(const struct turn *t, struct rule_state *first)
{
    uint32_t selection = selection_of(first->rule), n = facts_groups(t->in->facts, selection);
    const struct rule_state *like = NULL; /* whose cells tell of all but ratios */
    bool any = false, ratios = false;

    for (struct rule_state *rs = first; rs; rs = rs->same) {
        int64_t end = window_end(rs->rule->window, t->in->now);

        rs->groups = n;
        rs->all = end != rs->slid || t->a->afresh;
        rs->fits = cells_fit(t->a, rs, n);
        if (rs->fits)
            rs->slid = end;
        any |= rs->all || !rs->fits;
        ratios |= rs->rule->kind == RULE_RATIO;
        if (rs->rule->kind != RULE_RATIO && !like)
            like = rs;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct fact_group *g = facts_group_at(t->in->facts, selection, i);
        bool quiet = !any && like && unchanged(like, i, g);

        for (struct rule_state *rs = first; rs && (!quiet || ratios); rs = rs->same) {
            if (rs->fits && (!quiet || rs->rule->kind == RULE_RATIO))
                look(t, rs, i, g, rs->all);
        }
    }
    for (struct rule_state *rs = first; rs; rs = rs->same) {
        if (rs->rule->kind == RULE_ABSENT)
            absent_look(t, rs);
    }
}

static void look_burns(const struct turn *t, struct rule_state *rs)
{
    struct measured m;

    rs->groups = 0;
    for (uint32_t i = 0; i < t->in->n_burns; i++) {
        const struct burn_fact *b = &t->in->burns[i];

        if (strcmp(b->slo, rs->rule->slo))
            continue;
        rs->groups++;
        rule_measure_burn(rs->rule, b, t->in->now, &m);
        rule_offer(t, rs, b->group, &m);
    }
}

/* An inactive alert is kept only for what it remembers. */
static bool idle(const struct turn *t, const struct alert *al)
{
    if (al->state != ALERT_INACTIVE || al->summary)
        return false;
    if (al->points && al->of->rule->points)
        return false;
    if (al->baseline && t->in->now.ms - al->seen < span_to_ms(al->of->rule->baseline.learn))
        return false;
    return !al->fires || t->in->now.ms - al->ended > span_to_ms(al->of->rule->quiet);
}

/* Whether the alert's group was there in this step: it has a cell, or was offered. */
static bool met(const struct turn *t, const struct rule_state *rs, const struct alert *al)
{
    return al->step == t->a->step || (al->cell < rs->n_cells && rs->cells[al->cell].alert == al);
}

static void advance_all(const struct turn *t, struct rule_state *rs)
{
    for (struct alert **at = &rs->first; *at;) {
        struct alert *al = *at;

        if (!al->summary) {
            if (!met(t, rs, al)) { /* its group is not known any more */
                al->m.verdict = VERDICT_NONE;
                al->m.why = "the group is not there any more";
            }
            alert_advance(t, al);
        }
        if (!idle(t, al)) {
            at = &al->next;
            continue;
        }
        alert_record_delete(t, al);
        alert_drop(t->a, at);
    }
}

/* One alert tells of those beyond the limit. */
static void sum_up(const struct turn *t, struct rule_state *rs)
{
    const struct label label = {"over_limit", "yes"};

    if (!rs->summary && !rs->over)
        return;
    if (!rs->summary) {
        rs->summary = alert_make(t->a, rs, (struct labels){&label, 1});
        if (!rs->summary)
            return;
        rs->summary->summary = true;
    }
    rs->summary->m = (struct measured){.value = rs->over,
                                       .threshold = rs->rule->limit,
                                       .t = t->in->now.ms,
                                       .verdict = rs->over ? VERDICT_HOLDS : VERDICT_CLEAR};
    alert_advance(t, rs->summary);
    for (struct alert **at = &rs->first; *at && rs->summary->state == ALERT_INACTIVE; at = &(*at)->next) {
        if (*at != rs->summary)
            continue;
        alert_record_delete(t, *at);
        alert_drop(t->a, at);
        break;
    }
}

/* ---- the step ---- */

enum { PAST_MS = 600000 };

static void step_rule(const struct turn *t, struct rule_state *rs)
{
    if (rs->rule->kind == RULE_COMPOSITE)
        composite_look(t, rs);
    else if (rs->rule->kind == RULE_BURN)
        look_burns(t, rs);
    if (t->in->hold)
        return;
    rule_silence(t, rs);
    advance_all(t, rs);
    sum_up(t, rs);
}

static void clamp(int64_t *t, int64_t now)
{
    if (*t > now)
        *t = now;
}

/* The wall clock went back: marks of the wall clock that lie ahead of it would never pass. */
static void went_back(struct alert *al, int64_t now)
{
    if (al->data - now > PAST_MS)
        al->data = 0;
    clamp(&al->changed, now);
    clamp(&al->seen, now);
    clamp(&al->ended, now);
    clamp(&al->muted_from, now);
}

static void each_alert(struct alerts *a, void (*fn)(struct alert *al, int64_t now), int64_t now)
{
    for (uint32_t i = 0; i < a->rules.n; i++) {
        for (struct alert *al = a->states[i].first; al; al = al->next)
            fn(al, now);
    }
}

static void resume(struct alert *al, int64_t now)
{
    (void)now;
    al->resumed = true;
}

static void say_again(const struct turn *t)
{
    for (uint32_t i = 0; i < t->a->rules.n; i++) {
        for (struct alert *al = t->a->states[i].first; al; al = al->next)
            alert_say_again(t, al);
    }
}

static void end_orphans(const struct turn *t)
{
    while (t->a->orphans) {
        struct alert *al = t->a->orphans;

        alert_advance(t, al);
        alert_record_delete(t, al);
        alert_drop(t->a, &t->a->orphans);
    }
}

void alerts_step(struct alerts *a, const struct alert_input *in, const struct alert_effects *out)
{
    const struct turn t = {a, in, out};

    a->step++;
    a->steps++;
    if (!a->started) {
        a->started = a->awake = in->now.ms;
        say_again(&t);
    }
    if (in->now.ms < a->last) {
        a->backwards++;
        each_alert(a, went_back, in->now.ms);
    }
    if (in->hold || a->held || in->now.ms < a->awake)
        a->awake = in->now.ms;
    if (in->hold)
        a->holds++;
    else if (a->held) {
        each_alert(a, resume, 0);
        a->afresh = true; /* what began to hold meanwhile has no alert yet */
    }
    for (uint32_t i = 0; i < a->rules.n; i++) {
        if (a->states[i].first_of_same)
            look_together(&t, &a->states[i]);
    }
    for (uint32_t i = 0; i < a->rules.n; i++)
        step_rule(&t, &a->states[i]);
    if (!in->hold)
        end_orphans(&t);
    a->held = in->hold;
    a->last = in->now.ms;
    a->afresh = false;
}

void alerts_spent(struct alerts *a, struct span took)
{
    a->spent.ns += took.ns;
}
