/* See settings.h. */
#include <stdio.h>
#include <string.h>

#include "aggregator/failover/settings_private.h"

/* ---- small readers ---- */

static void keep(char *out, size_t cap, const char *text)
{
    (void)snprintf(out, cap, "%s", text ? text : "");
}

static int32_t ms_of(const struct section *s, const char *key)
{
    return (int32_t)span_to_ms(option_span(s, key));
}

uint8_t settings_region(const struct section *s, const char *region, size_t n)
{
    for (size_t i = 0; i < option_count(s, "regions") && i < FO_REGIONS; i++) {
        const char *word = option_word(s, "regions", i);

        if (strlen(word) == n && strncmp(word, region, n) == 0)
            return (uint8_t)i;
    }
    return FO_NONE;
}

const char *settings_split(const struct section *s, const char *word, uint8_t *region)
{
    const char *eq = strchr(word, '=');

    *region = eq ? settings_region(s, word, (size_t)(eq - word)) : FO_NONE;
    return eq && eq[1] ? eq + 1 : NULL;
}

const char *failover_voter(const struct config *c)
{
    const char *name = option_text(config_section(c, "aggregator"), "voter");

    return name ? name : "";
}

bool failover_wanted(const struct config *c)
{
    return config_named(c, "failover", 0) != NULL;
}

static bool is_witness(const struct config *c)
{
    return strcmp(option_text(config_section(c, "aggregator"), "role"), "witness") == 0;
}

const struct section *settings_find(const struct config *c, const char *name, const char *label)
{
    const struct section *s;

    for (size_t i = 0; (s = config_named(c, name, i)) != NULL; i++) {
        if (strcmp(section_label(s), label) == 0)
            return s;
    }
    return NULL;
}

/* ---- one service ---- */

static void read_times(const struct section *s, struct fo_times *t)
{
#define READ(name, value, least, top, text) t->name = ms_of(s, #name);
    TIMES(READ)
#undef READ
}

static void read_voters(const struct config *c, const struct section *s, struct fo_settings *out)
{
    const struct section *v;
    char other[FO_VOTERS][FO_NAME];
    uint8_t others = 0;

    out->core.self = FO_NONE;
    for (size_t i = 0; (v = config_named(c, "voter", i)) != NULL && i < FO_VOTERS; i++) {
        const char *region = option_text(v, "region");
        uint8_t domain = settings_region(s, region, strlen(region)), at = 0;

        if (domain == FO_NONE) {
            while (at < others && strcmp(other[at], region) != 0)
                at++;
            if (at == others)
                keep(other[others++], FO_NAME, region);
            domain = (uint8_t)(FO_REGIONS + at);
        }
        out->core.voter_domain[i] = domain;
        out->core.witnesses |= (uint16_t)(option_bool(v, "leads") ? 0 : 1U << i);
        keep(out->names.voter[i], FO_NAME, section_label(v));
        if (strcmp(section_label(v), failover_voter(c)) == 0) {
            out->core.self = (uint8_t)i;
            out->core.may_lead = option_bool(v, "leads") && !is_witness(c);
        }
        out->core.n_voters = (uint8_t)(i + 1);
    }
}

static uint8_t kinds_of(const struct section *a)
{
    uint8_t on = 0;

    for (size_t i = 0; i < option_count(a, "on"); i++) {
        for (uint8_t k = 0; k < FO_KINDS; k++) {
            if (strcmp(option_word(a, "on", i), fo_kind_name(k)) == 0)
                on |= (uint8_t)(1 << k);
        }
    }
    return on;
}

static void read_action(const struct section *a, struct fo_settings *out)
{
    const struct action_driver *d = action_driver_of(a);
    struct fo_action *to = &out->core.actions[out->core.n_actions];
    int step = action_step_of(a);

    if (step == PLAN_STEPS && out->n_gates < FO_GATES) /* asked between moves alone */
        keep(out->gate[out->n_gates++], FO_NAME, section_label(a));
    if (step < 0 || step >= PLAN_STEPS || out->core.n_actions == FO_ACTIONS)
        return;
    *to = (struct fo_action){.step = (uint8_t)step,
                             .required = option_bool(a, "required"),
                             .proves = step == STEP_FENCE && action_proves(a),
                             .undo = (d->ops & 1U << ACTION_UNDO) != 0,
                             .on = kinds_of(a),
                             .timeout_ms = ms_of(a, "timeout"),
                             .patience_ms = ms_of(a, "patience")};
    keep(out->names.action[out->core.n_actions], FO_NAME, section_label(a));
    out->core.n_actions++;
}

static void read_actions(const struct config *c, const char *service, struct fo_settings *out)
{
    const struct section *a;

    for (size_t i = 0; (a = config_named(c, "action", i)) != NULL; i++) {
        if (strcmp(option_text(a, "service"), service) == 0)
            read_action(a, out);
    }
}

static void read_guards(const struct section *s, struct fo_settings *out)
{
    for (size_t i = 0; i < option_count(s, "guards") && i < FO_GUARDS; i++) {
        struct fo_guard_name *g = &out->guard[out->n_guards];
        const char *name = settings_split(s, option_word(s, "guards", i), &g->region);

        if (!name || g->region == FO_NONE)
            continue;
        keep(g->name, sizeof g->name, name);
        out->core.n_guards[g->region]++;
        out->core.guarded |= (uint8_t)(1U << g->region);
        out->n_guards++;
    }
}

static void read_probes(const struct section *s, struct fo_settings *out)
{
    for (size_t i = 0; i < option_count(s, "probes") && out->n_probes < FO_PROBES_MOST; i++) {
        struct fo_probe_target *p = &out->probe[out->n_probes];
        const char *url = settings_split(s, option_word(s, "probes", i), &p->region);

        if (!url || p->region == FO_NONE || out->vote.n_probes[p->region] == VOTE_PROBES)
            continue;
        keep(p->url, sizeof p->url, url);
        p->index = out->vote.n_probes[p->region]++;
        out->n_probes++;
    }
}

static void read_vote(const struct config *c, const struct section *s, struct fo_settings *out)
{
    struct vote_config *v = &out->vote;
    const struct section *p;

    v->n_regions = out->core.n_regions;
    v->own_region = out->core.own_region;
    v->tick_ms = ms_of(s, "probe_interval");
    v->fast_ms = ms_of(s, "probe_fast");
    v->down_probes = (int32_t)option_int(s, "probe_failures");
    v->up_probes = (int32_t)option_int(s, "probe_successes");
    v->up_ms = ms_of(s, "up_after");
    v->phi_milli = 8000;
    v->users_window_ms = 60000;
    v->users_least = (int32_t)option_int(s, "users_least");
    v->users_bad_ppm = 500000;
    v->users_good_ppm = 900000;
    v->gray_ms = ms_of(s, "gray_page");
    v->database_ms = 10000;
    v->tilt_ms = ms_of(s, "tilt");
    v->has_users = *out->users != 0;
    v->has_database = *out->database != 0;
    for (size_t i = 0; config_named(c, "canary", i) && i < VOTE_CANARIES; i++)
        v->n_canaries = (uint8_t)(i + 1);
    for (size_t i = 0; (p = config_named(c, "peer", i)) != NULL; i++) {
        const char *region = option_text(p, "region");
        uint8_t r = settings_region(s, region, strlen(region));

        if (r != FO_NONE && v->n_peers[r] < VOTE_PEERS)
            v->n_peers[r]++;
    }
    read_probes(s, out);
}

/* ---- the conditions of `auto` ---- */

static bool has_fence(const struct fo_settings *f)
{
    if (f->core.guarded & 1 || !f->core.fence_required)
        return true;
    for (uint8_t i = 0; i < f->core.n_actions; i++) {
        if (f->core.actions[i].step == STEP_FENCE && f->core.actions[i].proves)
            return true;
    }
    return false;
}

static uint32_t domains(const struct fo_settings *f, bool elsewhere)
{
    uint32_t n = 0;

    for (uint8_t i = 0; i < f->core.n_voters; i++) {
        bool seen = elsewhere && f->core.voter_domain[i] == 0;

        for (uint8_t j = 0; j < i && !seen; j++)
            seen = f->core.voter_domain[j] == f->core.voter_domain[i];
        n += !seen;
    }
    return n;
}

static bool sole_leader(const struct config *c, const struct fo_settings *f)
{
    const struct section *v;
    uint32_t leads = 0;

    for (size_t i = 0; (v = config_named(c, "voter", i)) != NULL; i++)
        leads += option_bool(v, "leads");
    return leads == 1 && f->core.may_lead && f->core.own_region != 0;
}

/* DOWN takes two classes of evidence (tally.c). Probes are one; users and a standby's word on its primary speak of whatever
 * region is active; a heartbeat comes from a region that has a voter. */
static bool probes_alone(const struct fo_settings *f)
{
    if (*f->users || *f->database)
        return false;
    for (uint8_t r = 0; r < f->core.n_regions; r++) {
        bool beats = false;

        for (uint8_t i = 0; i < f->core.n_voters; i++)
            beats |= f->core.voter_domain[i] == r;
        if (!beats)
            return true;
    }
    return false;
}

static void judge_auto(const struct config *c, struct fo_settings *f)
{
    const char *why = "";

    if (f->core.n_voters < 3 || domains(f, false) < 3)
        why = "three voters in three failure domains are needed";
    else if (domains(f, true) < 2)
        why = "two voters outside home, in two failure domains, are needed";
    else if (!has_fence(f))
        why = "no way to fence home: guards there, or a fence action that proves";
    else if (f->core.local && !sole_leader(c, f))
        why = "with [coordination] type = local exactly one voter may lead, and it has to stand outside home";
    else if (f->n_probes == 0)
        why = "no probes: nothing is seen from outside";
    else if (probes_alone(f))
        why = "probes alone speak of a region: users, database, or a voter in each region is needed";
    keep(f->why_not_auto, sizeof f->why_not_auto, why);
    f->core.auto_ok = !*why;
}

void failover_settings(const struct config *c, const struct section *s, struct fo_settings *out)
{
    const char *own = option_text(config_section(c, "aggregator"), "region");
    const char *automation = option_text(s, "automation");
    struct fo_config *core = &out->core;
    size_t n = option_count(s, "regions");

    memset(out, 0, sizeof *out);
    keep(out->names.service, FO_NAME, section_label(s));
    core->n_regions = (uint8_t)(n < FO_REGIONS ? n : FO_REGIONS);
    for (uint8_t i = 0; i < core->n_regions; i++)
        keep(out->names.region[i], FO_NAME, option_word(s, "regions", i));
    core->own_region = settings_region(s, own, strlen(own));
    while (core->automation < FO_AUTO && strcmp(automation, fo_automation_name(core->automation)) != 0)
        core->automation++;
    core->gray_auto = option_bool(s, "act_on_gray");
    core->accept_unknown_lag = option_bool(s, "unknown_lag");
    core->fence_required = option_bool(s, "fence_required");
    core->budget_day = (uint8_t)option_int(s, "budget_day");
    core->budget_week = (uint8_t)option_int(s, "budget_week");
    core->local = strcmp(option_text(config_section(c, "coordination"), "type"), "local") == 0;
    core->t = (struct fo_times){.keep = 3000, .margin = 4000};
    read_times(s, &core->t);
    core->t.lease = ms_of(config_section(c, "coordination"), "lease");
    keep(out->users, sizeof out->users, option_text(s, "users"));
    keep(out->database, sizeof out->database, option_text(s, "database"));
    keep(out->probe_ca, sizeof out->probe_ca, option_text(s, "probe_ca"));
    out->probe_timeout_ms = ms_of(s, "probe_timeout");
    out->public = option_bool(s, "public");
    read_voters(c, s, out);
    read_actions(c, section_label(s), out);
    read_guards(s, out);
    if (out->n_guards && core->t.boot < core->t.serving)
        core->t.boot = core->t.serving; /* what the process before this one has promised to guards holds */
    read_vote(c, s, out);
    judge_auto(c, out);
}
