/* Auto Scaling groups by the Query API (version 2011-01-01): the target's groups want at least so many instances, and they
 * are in service.
 *
 * Never fewer than before: a number that somebody has raised is left, so there is nothing to compare and swap, and nothing to
 * take back. A group whose MaxSize is below the number, or whose process Launch is suspended, is found by the precheck. The
 * calls go to the target's region alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/actions/aws_query.h"
#include "common/config/copies.h"

enum { GROUPS = 32, NAME = 256, ARENA_MOST = 8 << 20, FORM_MOST = 16 * 1024, MANY = 100000 };

struct group {
    char *region, *name;
    long wanted;
    struct aws_place place;
};
struct action_target {
    struct action_aws keys;
    struct group groups[GROUPS];
    size_t n_groups;
};

static const struct option_row rows[] = {
    {.key = "groups",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = GROUPS,
     .sentence = "Auto Scaling groups of each region and how many instances each needs to carry all users: "
                 "us-west-2=shop-web:12."},
    ACTION_ROW_AWS_REGIONS,
    ACTION_ROW_AWS_ENDPOINTS,
    ACTION_ROWS_AWS,
    ACTION_ROWS_TLS,
};

struct job {
    const struct action_target *t;
    const struct action_order *o;
    struct action_result *out;
    struct mono until;
    struct arena a;
    char code[ACTION_AWS_CODE];
};

static bool call(struct job *j, const struct group *g, bool change, struct buf *form,
                 const struct xml **answer)
{
    struct aws_query q = {.keys = &j->t->keys,
                          .base = g->place.base,
                          .service = "autoscaling",
                          .region = g->place.region,
                          .until = j->until,
                          .change = change,
                          .what = g->name};

    aws_field(form, "Version", "2011-01-01");
    return aws_query(&q, form, &j->a, answer, j->code, j->out);
}

struct seen {
    long desired, most, serving;
    bool suspended; /* Launch */
};

static long whole(const struct xml *x, const char *name)
{
    const char *text = xml_child_text(x, name);
    char *end;
    long v;

    if (!text || *text < '0' || *text > '9')
        return -1;
    v = strtol(text, &end, 10);
    return *end || v > 1000000 ? -1 : v;
}

static bool said(const struct xml *x, const char *name, const char *value)
{
    const char *text = xml_child_text(x, name);

    return text && strcmp(text, value) == 0;
}

static void read_group(const struct xml *group, struct seen *s)
{
    const struct xml *i = xml_child(xml_child(group, "Instances"), "member"),
                     *p = xml_child(xml_child(group, "SuspendedProcesses"), "member");

    *s = (struct seen){.desired = whole(group, "DesiredCapacity"), .most = whole(group, "MaxSize")};
    for (; i; i = xml_next(i))
        s->serving += said(i, "LifecycleState", "InService") && said(i, "HealthStatus", "Healthy");
    for (; p; p = xml_next(p))
        s->suspended = s->suspended || said(p, "ProcessName", "Launch");
}

static bool look(struct job *j, const struct group *g, struct seen *s)
{
    const struct xml *answer, *group = NULL;
    struct buf form;
    bool ok;

    buf_init(&form, NULL, FORM_MOST);
    aws_field(&form, "Action", "DescribeAutoScalingGroups");
    aws_field(&form, "AutoScalingGroupNames.member.1", g->name);
    ok = call(j, g, false, &form, &answer);
    buf_free(&form);
    if (!ok)
        return false;
    group = xml_child(xml_child(xml_child(answer, "DescribeAutoScalingGroupsResult"), "AutoScalingGroups"),
                      "member");
    if (!group || !said(group, "AutoScalingGroupName", g->name)) {
        action_say(j->out, ACTION_DENIED, "there is no group %.100s", g->name);
        return false;
    }
    read_group(group, s);
    if (s->desired >= 0 && s->most >= 0)
        return true;
    action_say(j->out, ACTION_RETRY, "%.100s: an answer without sizes", g->name);
    return false;
}

/* OK, PROGRESS, NOT_APPLIED, or what a call said. */
static void settle(struct job *j, const struct group *g)
{
    struct seen s;

    if (!look(j, g, &s))
        return;
    if (s.desired < g->wanted)
        action_say(j->out, ACTION_NOT_APPLIED, "%.100s: %ld instances are asked for, %ld are wanted", g->name,
                   s.desired, g->wanted);
    else if (s.serving < g->wanted)
        action_say(j->out, ACTION_PROGRESS, "%.100s: %ld of %ld instances are in service", g->name, s.serving,
                   g->wanted);
    else
        action_say(j->out, ACTION_OK, "%.100s: %ld instances are in service", g->name, s.serving);
}

static void probe(struct job *j)
{
    struct action_worst worst = {.class = ACTION_OK};
    size_t n = 0;

    for (size_t i = 0; i < j->t->n_groups; i++) {
        if (strcmp(j->t->groups[i].region, j->o->to) != 0)
            continue;
        n++;
        settle(j, &j->t->groups[i]);
        if (!action_worst(&worst, j->out))
            return;
    }
    if (worst.class == ACTION_OK)
        action_say(j->out, ACTION_OK, "%zu groups of %.64s have what is wanted", n, j->o->to);
    else
        action_say(j->out, worst.class, "%s", worst.text);
    action_seen(j->out, "%s", j->out->text);
}

static bool raise(struct job *j, const struct group *g)
{
    const struct xml *answer;
    struct buf form;
    char number[24];
    bool ok;

    (void)snprintf(number, sizeof number, "%ld", g->wanted);
    buf_init(&form, NULL, FORM_MOST);
    aws_field(&form, "Action", "SetDesiredCapacity");
    aws_field(&form, "AutoScalingGroupName", g->name);
    aws_field(&form, "DesiredCapacity", number);
    aws_field(&form, "HonorCooldown", "false");
    ok = call(j, g, true, &form, &answer);
    buf_free(&form);
    if (!ok &&
        (strcmp(j->code, "ScalingActivityInProgress") == 0 || strcmp(j->code, "ResourceContention") == 0))
        j->out->class = ACTION_RETRY;
    return ok;
}

static void apply(struct job *j)
{
    bool changed = false;

    for (size_t i = 0; i < j->t->n_groups; i++) {
        const struct group *g = &j->t->groups[i];
        struct seen s;

        if (strcmp(g->region, j->o->to) != 0)
            continue;
        if (!look(j, g, &s))
            return;
        if (s.desired >= g->wanted)
            continue;
        if (!raise(j, g))
            return;
        changed = true;
    }
    probe(j);
    if (j->out->class == ACTION_OK && !changed)
        j->out->class = ACTION_ALREADY;
}

static void precheck(struct job *j)
{
    for (size_t i = 0; i < j->t->n_groups; i++) {
        const struct group *g = &j->t->groups[i];
        struct seen s;

        if (strcmp(g->region, j->o->to) != 0)
            continue;
        if (!look(j, g, &s))
            return;
        if (s.most < g->wanted) {
            action_say(j->out, ACTION_DENIED, "%.100s may have %ld instances, %ld are wanted", g->name,
                       s.most, g->wanted);
            return;
        }
        if (s.suspended) {
            action_say(j->out, ACTION_DENIED, "%.100s: its process Launch is suspended", g->name);
            return;
        }
    }
    action_say(j->out, ACTION_OK, "the groups of %.64s can grow", j->o->to);
}

static void autoscaling_run(const struct action_target *t, const struct action_order *o,
                            struct action_result *out)
{
    struct job j = {.t = t, .o = o, .out = out, .until = mono_add(clock_mono(), o->deadline)};

    arena_init(&j.a, NULL, ARENA_MOST);
    switch (o->op) {
    case ACTION_PRECHECK: precheck(&j); break;
    case ACTION_PROBE:
    case ACTION_VERIFY: probe(&j); break;
    case ACTION_APPLY: apply(&j); break;
    case ACTION_UNDO:
    case ACTION_OPS: break;
    }
    arena_free(&j.a);
}

/* ---- options ---- */

/* "us-west-2=shop-web:12" */
static bool group_read(const char *word, struct group *g)
{
    const char *mark = strchr(word, '='), *colon = strrchr(word, ':');
    char *end = NULL;
    long n;

    *g = (struct group){0};
    if (!mark || !colon || colon <= mark + 1 || colon - mark > NAME || colon[1] < '0' || colon[1] > '9')
        return false;
    n = strtol(colon + 1, &end, 10);
    if (*end || n < 1 || n > MANY)
        return false;
    g->wanted = n;
    g->region = strndup(word, (size_t)(mark - word));
    g->name = strndup(mark + 1, (size_t)(colon - mark - 1));
    return true;
}

static void group_free(struct group *g)
{
    free(g->region);
    free(g->name);
    *g = (struct group){0};
}

static int autoscaling_check(const struct section *s, const char **key, struct err *e)
{
    *key = "groups";
    for (size_t i = 0; i < option_count(s, "groups"); i++) {
        struct group g;

        if (!group_read(option_word(s, "groups", i), &g))
            return err_set(e, ERR_CONFIG, "found \"%.80s\", expected REGION=group:instances",
                           option_word(s, "groups", i));
        group_free(&g);
    }
    *key = "aws_regions";
    if (action_regions_check(s, "aws_regions", e) != 0)
        return ERR_CONFIG;
    *key = "aws_endpoints";
    return aws_endpoints_check(s, "aws_endpoints", e);
}

static void autoscaling_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    for (size_t i = 0; i < t->n_groups; i++)
        group_free(&t->groups[i]);
    action_aws_close(&t->keys);
    free(t);
    *tp = NULL;
}

static struct action_target *autoscaling_open(const struct section *s, struct log *log, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);
    bool ok = t != NULL;

    (void)log;
    for (size_t i = 0; ok && i < option_count(s, "groups") && i < GROUPS; i++) {
        struct group *g = &t->groups[t->n_groups++];

        ok = group_read(option_word(s, "groups", i), g) && g->region && g->name;
        if (ok)
            aws_place(s, g->region, "autoscaling", &g->place);
    }
    if (!ok) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        autoscaling_close(&t);
    } else if (action_aws_open(s, &t->keys, e) != 0) {
        autoscaling_close(&t);
    }
    return t;
}

const struct action_driver action_autoscaling = {
    .type = "autoscaling",
    .sentence = "EC2 Auto Scaling: the new region's groups grow to what all users need.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = "groups " ACTION_AWS_REQUIRED,
    .steps = 1U << STEP_PROMOTE | 1U << STEP_WARM,
    .ops = 1U << ACTION_PRECHECK | 1U << ACTION_PROBE | 1U << ACTION_APPLY,
    .check = autoscaling_check,
    .open = autoscaling_open,
    .close = autoscaling_close,
    .run = autoscaling_run,
};
