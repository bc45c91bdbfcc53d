/* See settings.h. */
#include "aggregator/failover/settings.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MS INT64_C(1000000)
#define S  (1000 * MS)

static const struct option_row voter_rows[] = {
    {.key = "region",
     .type = OPT_STRING,
     .required = true,
     .sentence = "Its failure domain: a region of a service, or one of its own."},
    {.key = "leads",
     .type = OPT_BOOL,
     .dflt = "yes",
     .sentence = "Whether it may lead, which a witness never does."},
};
const struct section_row voter_section = {
    .name = "voter",
    .named = true,
    .sentence = "One of those that look and vote, ourselves among them: the same list at every aggregator. A "
                "majority of "
                "the voters listed decides, silent ones included.",
    .rows = voter_rows,
    .n_rows = sizeof voter_rows / sizeof *voter_rows,
    .example = "west",
};

static const struct option_row canary_rows[] = {
    {.key = "url",
     .type = OPT_STRING,
     .required = true,
     .reloadable = true,
     .sentence = "http://, https:// or tcp://host:port."},
};
const struct section_row canary_section = {
    .name = "canary",
    .named = true,
    .sentence = "Something outside of all regions: unless most of them answer, it is our own network that is "
                "ill, and our "
                "vote is unknown.",
    .rows = canary_rows,
    .n_rows = sizeof canary_rows / sizeof *canary_rows,
    .example = "one",
};

/* Times of the core: key, default, least, most, sentence. */
#define TIMES(T)                                                                                             \
    T(boot, "60s", 1 * S, 3600 * S, "Without decisions after a start.")                                      \
    T(suspect_clear, "30s", 1 * S, 3600 * S, "Doubt ends when nobody doubts for so long.")                   \
    T(confirm, "10s", 1 * S, 3600 * S, "A region's death has to hold so long without a break.")              \
    T(gray_page, "60s", 1 * S, 3600 * S, "Users are hurt while monitors see nothing: told after so long.")   \
    T(gray_clear, "120s", 1 * S, 3600 * S, "A gray failure is over after so long.")                          \
    T(gray_auto, "5m", 60 * S, 86400 * S, "With act_on_gray, moved after so long.")                          \
    T(tilt, "30s", 1 * S, 600 * S, "No votes and no decisions after our own clock or loop has jumped.")      \
    T(lock_delay, "10s", 0, 120 * S,                                                                         \
      "A new holder waits before its first effect, unless the old one resigned.")                            \
    T(serving, "20s", 5 * S, 60 * S, "A guard's serving lease.")                                             \
    T(contract, "32s", 5 * S, 600 * S,                                                                       \
      "Guards that cannot be heard have fenced by then: their lease, the clocks' skew, and the time that a " \
      "fence "                                                                                               \
      "takes.")                                                                                              \
    T(fence, "60s", 5 * S, 3600 * S, "Fenced within, or the plan is taken back.")                            \
    T(catchup, "60s", 1 * S, 3600 * S,                                                                       \
      "Planned moves: the target has everything within, or the plan is taken back.")                         \
    T(target_up, "10m", 0, 86400 * S, "So long the target has to be up before a move.")                      \
    T(ready_age, "30m", 60 * S, 86400 * S, "Readiness that is older counts for nothing.")                    \
    T(rpo, "60s", 0, 86400 * S, "What may be lost at most.")                                                 \
    T(warm, "120s", 0, 3600 * S, "Warming up takes so long at most.")                                        \
    T(validate, "3m", 0, 3600 * S, "Outside validation has to be good so long in a row.")                    \
    T(validate_most, "10m", 1 * S, 86400 * S, "Good within, or a human has to look.")                        \
    T(hold, "30m", 0, 86400 * S, "No automatic move after a move.")                                          \
    T(failback_green, "60m", 0, 7 * 86400 * S, "Home has to be up so long before a failback.")               \
    T(retry, "500ms", 10 * MS, 60 * S, "Wait before the second attempt of an action.")                       \
    T(retry_most, "8s", 100 * MS, 600 * S, "Wait between attempts at most.")                                 \
    T(plan_most, "30m", 60 * S, 86400 * S, "A drill that takes longer is taken back.")

static const struct option_row failover_rows[] = {
    {.key = "regions",
     .type = OPT_LIST,
     .required = true,
     .min = 2,
     .max = FO_REGIONS,
     .sentence = "Where the service can live: home first, then in order of preference."},
    {.key = "automation",
     .type = OPT_CHOICE,
     .choices = "observe propose auto",
     .dflt = "propose",
     .reloadable = true,
     .sentence = "Only look and tell; ask for approval; or act, which needs voters in three failure domains, "
                 "two of them "
                 "outside home, an authority of which one side's loss takes no majority, and a fence."},
    {.key = "probes",
     .type = OPT_LIST,
     .dflt = "",
     .max = FO_PROBES_MOST,
     .reloadable = true,
     .sentence = "REGION=URL, several for a region: http://, https:// or tcp:// names that lead to that "
                 "region alone, "
                 "asked from here."},
    {.key = "probe_interval",
     .type = OPT_DURATION,
     .dflt = "5s",
     .min = 1 * S,
     .max = 300 * S,
     .reloadable = true,
     .sentence = "How often the probes are made."},
    {.key = "probe_fast",
     .type = OPT_DURATION,
     .dflt = "1s",
     .min = 200 * MS,
     .max = 60 * S,
     .reloadable = true,
     .sentence = "The same in doubt."},
    {.key = "probe_timeout",
     .type = OPT_DURATION,
     .dflt = "2s",
     .min = 100 * MS,
     .max = 60 * S,
     .reloadable = true,
     .sentence = "A probe fails after so long."},
    {.key = "probe_failures",
     .type = OPT_INT,
     .dflt = "3",
     .min = 1,
     .max = 100,
     .reloadable = true,
     .sentence = "So many in a row count as down."},
    {.key = "probe_successes",
     .type = OPT_INT,
     .dflt = "20",
     .min = 1,
     .max = 1000,
     .reloadable = true,
     .sentence = "So many in a row count as up again."},
    {.key = "up_after",
     .type = OPT_DURATION,
     .dflt = "120s",
     .min = 0,
     .max = 3600 * S,
     .reloadable = true,
     .sentence = "A region that was down has to answer so long before it counts as up."},
    {.key = "probe_ca",
     .type = OPT_PATH,
     .reloadable = true,
     .sentence =
         "PEM file of the authority that the probed certificates come from; without it, the system's."},
    {.key = "users",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "An objective whose groups carry the label region: what users see counts as evidence."},
    {.key = "users_least",
     .type = OPT_INT,
     .dflt = "30",
     .min = 1,
     .max = 1000000,
     .reloadable = true,
     .sentence = "With fewer events in a minute users say nothing."},
    {.key = "database",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "The action whose driver reads the replication's lag."},
    {.key = "guards",
     .type = OPT_LIST,
     .dflt = "",
     .max = FO_GUARDS,
     .sentence = "REGION=AGENT/GUARD of every host on which the service's writers run."},
    {.key = "act_on_gray",
     .type = OPT_BOOL,
     .dflt = "no",
     .reloadable = true,
     .sentence = "Moves also when users are hurt while monitors see nothing."},
    {.key = "fence_required",
     .type = OPT_BOOL,
     .dflt = "yes",
     .sentence = "Nobody is promoted before the old side is fenced. No: for services without writers."},
    {.key = "unknown_lag",
     .type = OPT_BOOL,
     .dflt = "no",
     .reloadable = true,
     .sentence = "Moves also when nobody knows what would be lost."},
    {.key = "budget_day",
     .type = OPT_INT,
     .dflt = "1",
     .min = 0,
     .max = 100,
     .reloadable = true,
     .sentence = "Automatic failovers within 24 hours."},
    {.key = "budget_week",
     .type = OPT_INT,
     .dflt = "2",
     .min = 0,
     .max = 100,
     .reloadable = true,
     .sentence = "Automatic failovers within 7 days."},
    {.key = "public",
     .type = OPT_BOOL,
     .dflt = "no",
     .sentence = "Answers /fo/v1/SERVICE/primary-off on the public listener, for inverted health checks."},
#define ROW(name, value, least, top, text)                                                                   \
    {.key = #name,                                                                                           \
     .type = OPT_DURATION,                                                                                   \
     .dflt = (value),                                                                                        \
     .min = (least),                                                                                         \
     .max = (top),                                                                                           \
     .reloadable = true,                                                                                     \
     .sentence = (text)},
    TIMES(ROW)
#undef ROW
};
const struct section_row failover_section = {
    .name = "failover",
    .named = true,
    .sentence = "A service that can move to another region.",
    .rows = failover_rows,
    .n_rows = sizeof failover_rows / sizeof *failover_rows,
    .example = "app",
};

size_t failover_sections(struct section_row out[FO_SECTIONS])
{
    out[0] = voter_section;
    out[1] = canary_section;
    out[2] = failover_section;
    return FO_SECTIONS;
}

/* ---- small readers ---- */

static void keep(char *out, size_t cap, const char *text)
{
    (void)snprintf(out, cap, "%s", text ? text : "");
}

static int32_t ms_of(const struct section *s, const char *key)
{
    return (int32_t)span_to_ms(option_span(s, key));
}

static uint8_t region_of(const struct section *s, const char *region, size_t n)
{
    for (size_t i = 0; i < option_count(s, "regions") && i < FO_REGIONS; i++) {
        const char *word = option_word(s, "regions", i);

        if (strlen(word) == n && strncmp(word, region, n) == 0)
            return (uint8_t)i;
    }
    return FO_NONE;
}

/* REGION=VALUE; the value, or NULL. */
static const char *split(const struct section *s, const char *word, uint8_t *region)
{
    const char *eq = strchr(word, '=');

    *region = eq ? region_of(s, word, (size_t)(eq - word)) : FO_NONE;
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

static const struct section *find(const struct config *c, const char *name, const char *label)
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
        uint8_t domain = region_of(s, region, strlen(region)), at = 0;

        if (domain == FO_NONE) {
            while (at < others && strcmp(other[at], region) != 0)
                at++;
            if (at == others)
                keep(other[others++], FO_NAME, region);
            domain = (uint8_t)(FO_REGIONS + at);
        }
        out->core.voter_domain[i] = domain;
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
        const char *name = split(s, option_word(s, "guards", i), &g->region);

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
        const char *url = split(s, option_word(s, "probes", i), &p->region);

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
        uint8_t r = region_of(s, region, strlen(region));

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
    core->own_region = region_of(s, own, strlen(own));
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
    read_vote(c, s, out);
    judge_auto(c, out);
}

/* ---- mistakes ---- */

static int check_words(const struct section *s, const char *key, bool url, struct buf *report, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < option_count(s, key); i++) {
        const char *word = option_word(s, key, i), *value;
        uint8_t region;
        int bad = 0;

        value = split(s, word, &region);
        if (!value)
            bad = config_complain(report, s, key, e, "found \"%s\", expected REGION=%s", word,
                                  url ? "URL" : "AGENT/GUARD");
        else if (region == FO_NONE)
            bad = config_complain(report, s, key, e, "found \"%s\", whose region is not among regions", word);
        else if (url && strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0 &&
                 strncmp(value, "tcp://", 6) != 0)
            bad = config_complain(report, s, key, e, "found \"%s\", expected http://, https:// or tcp://",
                                  value);
        else if (!url && !strchr(value, '/'))
            bad = config_complain(report, s, key, e, "found \"%s\", expected AGENT/GUARD", value);
        else if (strlen(value) >= (url ? (size_t)FO_URL : (size_t)FO_GUARD_NAME))
            bad = config_complain(report, s, key, e, "at most %d bytes are allowed",
                                  url ? FO_URL : FO_GUARD_NAME);
        rc = rc ? rc : bad;
    }
    return rc;
}

static int check_regions(const struct section *s, struct buf *report, struct err *e)
{
    for (size_t i = 0; i < option_count(s, "regions"); i++) {
        const char *word = option_word(s, "regions", i);

        if (strlen(word) >= FO_NAME)
            return config_complain(report, s, "regions", e, "at most %d bytes are allowed", FO_NAME - 1);
        if (region_of(s, word, strlen(word)) != i)
            return config_complain(report, s, "regions", e, "found \"%s\" twice", word);
    }
    return 0;
}

static int check_service(const struct config *c, const struct section *s, struct buf *report, struct err *e)
{
    struct fo_settings f;
    int rc = check_regions(s, report, e), bad = check_words(s, "probes", true, report, e);

    rc = rc ? rc : bad;
    bad = check_words(s, "guards", false, report, e);
    rc = rc ? rc : bad;
    if (rc)
        return rc;
    failover_settings(c, s, &f);
    if (*f.users && !find(c, "slo", f.users))
        rc = config_complain(report, s, "users", e, "found \"%s\", but there is no [slo %s]", f.users,
                             f.users);
    if (*f.database && !find(c, "action", f.database))
        rc = config_complain(report, s, "database", e, "found \"%s\", but there is no [action %s]",
                             f.database, f.database);
    else if (*f.database && !action_figures(find(c, "action", f.database)))
        rc = config_complain(report, s, "database", e, "[action %s] tells no lag of a replication",
                             f.database);
    if (f.core.automation == FO_AUTO && !f.core.auto_ok)
        rc = config_complain(report, s, "automation", e, "auto is not allowed: %s", f.why_not_auto);
    if (f.core.t.contract <
        f.core.t.serving + 10000) /* an answer may be 3.5 s old, and fencing takes its time */
        rc = config_complain(report, s, "contract", e, "it has to be 10s longer than serving at least");
    if (f.core.t.validate_most < f.core.t.validate)
        rc = config_complain(report, s, "validate_most", e, "it cannot be shorter than validate");
    return rc;
}

static int check_actions(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *a;
    int rc = 0, bad;

    for (size_t i = 0; (a = config_named(c, "action", i)) != NULL; i++) {
        const char *service = option_text(a, "service");

        bad = 0;
        if (!find(c, "failover", service))
            bad = config_complain(report, a, "service", e, "found \"%s\", but there is no [failover %s]",
                                  service, service);
        rc = rc ? rc : bad;
    }
    return rc;
}

static int check_own(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *own = config_section(c, "aggregator"), *v;
    const char *name = failover_voter(c);

    if (!*name)
        return failover_wanted(c) ? config_complain(report, own, "voter", e,
                                                    "it is needed with [failover]: which [voter] is this?")
                                  : 0;
    v = find(c, "voter", name);
    if (!v)
        return config_complain(report, own, "voter", e, "found \"%s\", but there is no [voter %s]", name,
                               name);
    if (strcmp(option_text(v, "region"), option_text(own, "region")) != 0)
        return config_complain(report, own, "voter", e, "[voter %s] stands in %s, this aggregator in %s",
                               name, option_text(v, "region"), option_text(own, "region"));
    return 0;
}

int failover_check(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *s;
    int rc = check_own(c, report, e), bad = check_actions(c, report, e);

    rc = rc ? rc : bad;
    if (config_named(c, "voter", FO_VOTERS))
        rc = config_complain(report, config_named(c, "voter", FO_VOTERS), NULL, e,
                             "at most %d voters are allowed", FO_VOTERS);
    if (config_named(c, "failover", FO_SERVICES))
        rc = config_complain(report, config_named(c, "failover", FO_SERVICES), NULL, e,
                             "at most %d services are allowed", FO_SERVICES);
    for (size_t i = 0; (s = config_named(c, "failover", i)) != NULL; i++) {
        bad = check_service(c, s, report, e);
        rc = rc ? rc : bad;
    }
    return rc;
}
