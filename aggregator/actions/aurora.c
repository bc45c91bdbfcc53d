/* Aurora Global Database by the Query API of RDS (version 2014-10-31): which region's cluster writes.
 *
 * A planned move is SwitchoverGlobalCluster, which loses nothing. An unplanned one is FailoverGlobalCluster with
 * AllowDataLoss=true, and only when the order lets data go; without that word AWS takes it for a switchover, which needs the
 * region that is lost. The endpoint called is always that of the TARGET region. DescribeGlobalClusters is asked first: a
 * target that writes already is done, a move towards it is under way, anything else towards another is a conflict.
 *
 * AWS keeps no token of ours, so the mark of a move is a tag of the target's cluster, and the tags of both are read before
 * (the old region's only where it answers): whoever holds an older token is refused. Lag is CloudWatch's
 * AuroraGlobalDBRPOLag of the target's cluster, a figure each minute; it is as old as its period's beginning. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/actions/aws_query.h"
#include "common/config/copies.h"

enum {
    CLUSTERS = 8,
    ARENA_MOST = 8 << 20,
    FORM_MOST = 32 * 1024,
    OLD_SIDE_MS = 1500,
    FRESH_MS = 180000,
};

struct cluster {
    char *region, *arn; /* ours: "east"; AWS's name of it */
    char aws[AWS_REGION];
    const char *name; /* in arn */
    char rds[AWS_URL], cloudwatch[AWS_URL];
};
struct action_target {
    struct action_aws keys;
    char *global, *tag, *metric;
    struct cluster clusters[CLUSTERS];
    size_t n_clusters;
    bool catches_up; /* its step is catchup */
};

static const struct option_row rows[] = {
    {.key = "global_cluster",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "Identifier of the global cluster."},
    {.key = "clusters",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = CLUSTERS,
     .sentence = "ARN of each region's cluster: REGION=ARN."},
    {.key = "rds_endpoints",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = CLUSTERS,
     .sentence = "Address of RDS by region (REGION=URL), where it is not AWS's own: an endpoint in a VPC."},
    ACTION_ROW_CLOUDWATCH,
    {.key = "lag_metric",
     .type = OPT_STRING,
     .dflt = "AuroraGlobalDBRPOLag",
     .reloadable = true,
     .sentence =
         "CloudWatch's metric of the replication lag in ms, of the target's cluster; empty: no figures."},
    ACTION_ROWS_AWS,
    ACTION_ROWS_TLS,
};

/* ---- calls ---- */

struct job {
    const struct action_target *t;
    const struct action_order *o;
    struct action_result *out;
    struct mono until;
    struct arena a;
    char code[ACTION_AWS_CODE];
    const struct cluster *from, *to;
};

static struct mono soon(const struct job *j, int64_t ms)
{
    struct mono t = mono_add(clock_mono(), span_ms(ms));

    return mono_before(t, j->until) ? t : j->until;
}

static bool rds(struct job *j, const struct cluster *at, struct mono until, bool change, const char *what,
                struct buf *form, const struct xml **answer)
{
    struct aws_query q = {.keys = &j->t->keys,
                          .base = at->rds,
                          .service = "rds",
                          .region = at->aws,
                          .until = until,
                          .change = change,
                          .what = what};

    aws_field(form, "Version", "2014-10-31");
    return aws_query(&q, form, &j->a, answer, j->code, j->out);
}

/* ---- the token ---- */

/* The tag of one cluster. -1: it cannot be asked, and *out says why. */
static int read_tag(struct job *j, const struct cluster *at, struct mono until)
{
    const struct xml *answer, *tag;
    struct fencing found;
    uint32_t epoch;
    struct buf form;
    bool ok;

    buf_init(&form, NULL, FORM_MOST);
    aws_field(&form, "Action", "ListTagsForResource");
    aws_field(&form, "ResourceName", at->arn);
    ok = rds(j, at, until, false, "the cluster's tags", &form, &answer);
    buf_free(&form);
    if (!ok)
        return -1;
    tag = xml_child(xml_child(xml_child(answer, "ListTagsForResourceResult"), "TagList"), "Tag");
    for (; tag; tag = xml_next(tag)) {
        const char *key = xml_child_text(tag, "Key"), *value = xml_child_text(tag, "Value");

        if (!key || !value || strcmp(key, j->t->tag) != 0 || !action_mark_parse(value, &epoch, &found))
            continue;
        if (fencing_cmp(found, j->out->found) > 0)
            j->out->found = found;
    }
    return 0;
}

/* False: a later move has left its mark, or the target cannot be asked. */
static bool token_allows(struct job *j)
{
    struct action_result aside = {.found = {0}};
    struct action_result *out = j->out;

    if (read_tag(j, j->to, j->until) != 0)
        return false;
    if (j->from) { /* it may be dead: what it says then is of no interest */
        j->out = &aside;
        (void)read_tag(j, j->from, soon(j, OLD_SIDE_MS));
        j->out = out;
        if (fencing_cmp(aside.found, out->found) > 0)
            out->found = aside.found;
    }
    if (fencing_cmp(out->found, j->o->token) <= 0)
        return true;
    action_say(out, ACTION_CONFLICT, "a later move has left its mark: token %llu.%llu",
               (unsigned long long)out->found.store, (unsigned long long)out->found.rev);
    return false;
}

static bool put_tag(struct job *j)
{
    const struct xml *answer;
    char mark[ACTION_MARK];
    struct buf form;
    bool ok;

    action_mark(j->o, mark);
    buf_init(&form, NULL, FORM_MOST);
    aws_field(&form, "Action", "AddTagsToResource");
    aws_field(&form, "ResourceName", j->to->arn);
    aws_field(&form, "Tags.Tag.1.Key", j->t->tag);
    aws_field(&form, "Tags.Tag.1.Value", mark);
    ok = rds(j, j->to, j->until, false, "the mark", &form, &answer); /* alone it moves nothing */
    buf_free(&form);
    return ok;
}

/* ---- what is true ---- */

struct state {
    const char *status, *moving, *moving_to, *writer, *sync; /* "" where there is none */
    bool member;                                             /* the target belongs to it */
};

static const char *part_of(const struct xml *x, const char *name)
{
    const char *t = xml_child_text(x, name);

    return t ? t : "";
}

static void read_members(const struct job *j, const struct xml *cluster, struct state *s)
{
    const struct xml *m = xml_child(xml_child(cluster, "GlobalClusterMembers"), "GlobalClusterMember");

    for (; m; m = xml_next(m)) {
        const char *arn = part_of(m, "DBClusterArn");

        if (strcmp(part_of(m, "IsWriter"), "true") == 0)
            s->writer = arn;
        if (strcmp(arn, j->to->arn) == 0) {
            s->member = true;
            s->sync = part_of(m, "SynchronizationStatus");
        }
    }
}

/* In the target's region. */
static bool describe(struct job *j, struct state *s)
{
    const struct xml *answer, *cluster, *move;
    struct buf form;
    bool ok;

    *s = (struct state){"", "", "", "", "", false};
    buf_init(&form, NULL, FORM_MOST);
    aws_field(&form, "Action", "DescribeGlobalClusters");
    aws_field(&form, "GlobalClusterIdentifier", j->t->global);
    ok = rds(j, j->to, j->until, false, "the global cluster", &form, &answer);
    buf_free(&form);
    if (!ok)
        return false;
    cluster = xml_child(xml_child(xml_child(answer, "DescribeGlobalClustersResult"), "GlobalClusters"),
                        "GlobalClusterMember");
    if (!cluster) {
        action_say(j->out, ACTION_DENIED, "there is no global cluster %.60s", j->t->global);
        return false;
    }
    move = xml_child(cluster, "FailoverState");
    s->status = part_of(cluster, "Status");
    s->moving = part_of(move, "Status");
    s->moving_to = part_of(move, "ToDbClusterArn");
    read_members(j, cluster, s);
    action_seen(j->out, "%.30s, writer %.100s%s%.30s%s%.100s", s->status, *s->writer ? s->writer : "none",
                *s->moving ? ", " : "", s->moving, *s->moving ? " to " : "", s->moving_to);
    return true;
}

static bool is_moving(const struct state *s)
{
    return *s->moving || strcmp(s->status, "failing-over") == 0 || strcmp(s->status, "switching-over") == 0;
}

/* OK, PROGRESS, NOT_APPLIED or CONFLICT. */
static void settle(struct job *j, const struct state *s)
{
    bool here = strcmp(s->writer, j->to->arn) == 0, old = j->from && strcmp(s->writer, j->from->arn) == 0;

    j->out->writable = here && !is_moving(s) && strcmp(s->status, "available") == 0;
    if (!s->member)
        action_say(j->out, ACTION_DENIED, "%.100s is no member of %.60s", j->to->arn, j->t->global);
    else if (*s->moving_to && strcmp(s->moving_to, j->to->arn) != 0)
        action_say(j->out, ACTION_CONFLICT, "it is being moved to %.120s", s->moving_to);
    else if (is_moving(s) || (here && strcmp(s->status, "available") != 0))
        action_say(j->out, ACTION_PROGRESS, "on its way: %.30s", *s->moving ? s->moving : s->status);
    else if (here)
        action_say(j->out, ACTION_OK, "the target writes");
    else if (old)
        action_say(j->out, ACTION_NOT_APPLIED, "the old region writes");
    else
        action_say(j->out, ACTION_CONFLICT, "%.120s writes", *s->writer ? s->writer : "nobody");
}

/* ---- lag ---- */

/* Without a point there is no figure: a missing lag is never 0. A fault of CloudWatch leaves the answer about the cluster as
 * it is. */
static void figures(struct job *j)
{
    struct aws_query q = {.keys = &j->t->keys,
                          .base = j->to->cloudwatch,
                          .service = "monitoring",
                          .region = j->to->aws,
                          .until = j->until,
                          .what = "the lag"};
    struct aws_metric m = {"AWS/RDS", j->t->metric, {{"DBClusterIdentifier", j->to->name}}};
    double ms;

    if (!*j->t->metric || !aws_newest(&q, &m, j->o->now, &j->a, &ms, &j->out->lag_age_ms))
        return;
    j->out->have_lag = true;
    j->out->lag_ms = (int64_t)ms + (ms > (double)(int64_t)ms ? 1 : 0);
    j->out->receiving = j->out->lag_age_ms <= FRESH_MS;
}

/* ---- operations ---- */

static void probe(struct job *j)
{
    struct state s;

    if (!describe(j, &s))
        return;
    settle(j, &s);
    if (j->out->class == ACTION_NOT_APPLIED)
        figures(j);
}

static void precheck(struct job *j)
{
    struct state s;

    if (!describe(j, &s))
        return;
    settle(j, &s);
    if (j->out->class != ACTION_NOT_APPLIED) {
        if (j->out->class == ACTION_OK)
            action_say(j->out, ACTION_CONFLICT, "the target writes already");
        return;
    }
    if (!token_allows(j))
        return;
    if (strcmp(s.status, "available") != 0)
        action_say(j->out, ACTION_RETRY, "the global cluster is %.40s", s.status);
    else if (*s.sync && strcmp(s.sync, "connected") != 0)
        action_say(j->out, ACTION_RETRY, "the target's cluster is %.40s", s.sync);
    else
        action_say(j->out, ACTION_OK, "the target's cluster can take over");
    figures(j);
}

static bool move(struct job *j)
{
    const struct xml *answer;
    struct buf form;
    bool ok;

    buf_init(&form, NULL, FORM_MOST);
    aws_field(&form, "Action", j->o->planned ? "SwitchoverGlobalCluster" : "FailoverGlobalCluster");
    aws_field(&form, "GlobalClusterIdentifier", j->t->global);
    aws_field(&form, "TargetDbClusterIdentifier", j->to->arn);
    if (!j->o->planned)
        aws_field(&form, "AllowDataLoss", "true");
    ok = rds(j, j->to, j->until, true, j->o->planned ? "the switchover" : "the failover", &form, &answer);
    buf_free(&form);
    return ok;
}

/* Somebody was faster, or it is not in a state for it: what is true decides. */
static void refused(struct job *j)
{
    struct action_result said = *j->out;
    struct state s;

    if (strcmp(j->code, "InvalidDBClusterStateFault") != 0 &&
        strcmp(j->code, "InvalidGlobalClusterStateFault") != 0)
        return;
    if (!describe(j, &s))
        return;
    settle(j, &s);
    if (j->out->class == ACTION_NOT_APPLIED) {
        *j->out = said;
        j->out->class = ACTION_RETRY;
    } else if (j->out->class == ACTION_OK) {
        j->out->class = ACTION_ALREADY;
    }
}

static void apply(struct job *j)
{
    struct state s;

    if (!j->o->planned && !j->o->accept_loss) {
        action_say(j->out, ACTION_DENIED,
                   "a failover of a global cluster may lose data, and the order does not let any go");
        return;
    }
    if (!token_allows(j) || !describe(j, &s))
        return;
    settle(j, &s);
    if (j->out->class == ACTION_OK)
        j->out->class = ACTION_ALREADY;
    if (j->out->class != ACTION_NOT_APPLIED || !put_tag(j))
        return;
    if (move(j))
        action_say(j->out, ACTION_PROGRESS, "%s has begun",
                   j->o->planned ? "the switchover" : "the failover");
    else
        refused(j);
}

static const struct cluster *cluster_of(const struct action_target *t, const char *region)
{
    for (size_t i = 0; i < t->n_clusters; i++)
        if (strcmp(t->clusters[i].region, region) == 0)
            return &t->clusters[i];
    return NULL;
}

/* Before a planned move: SwitchoverGlobalCluster itself waits until the target has everything, so nothing is changed here. Its
 * figures come by the minute and are hardly ever 0: that it is connected has to do. */
static void catch_up(struct job *j)
{
    struct state s;

    if (!describe(j, &s))
        return;
    settle(j, &s);
    if (j->out->class == ACTION_NOT_APPLIED && strcmp(s.status, "available") == 0 &&
        (!*s.sync || strcmp(s.sync, "connected") == 0))
        action_say(j->out, ACTION_OK,
                   "the target's cluster is connected; the switchover waits until it has everything");
    else if (j->out->class == ACTION_NOT_APPLIED)
        action_say(j->out, ACTION_PROGRESS, "the global cluster is %.40s, the target %.40s", s.status,
                   *s.sync ? s.sync : "not told");
}

static void aurora_run(const struct action_target *t, const struct action_order *o, struct action_result *out)
{
    struct job j = {.t = t,
                    .o = o,
                    .out = out,
                    .until = mono_add(clock_mono(), o->deadline),
                    .from = cluster_of(t, o->from),
                    .to = cluster_of(t, o->to)};

    if (!j.to) {
        action_say(out, ACTION_DENIED, "`clusters` has none of %.64s", o->to);
        return;
    }
    arena_init(&j.a, NULL, ARENA_MOST);
    switch (o->op) {
    case ACTION_PRECHECK: precheck(&j); break;
    case ACTION_PROBE:
    case ACTION_VERIFY: (t->catches_up ? catch_up : probe)(&j); break;
    case ACTION_APPLY: (t->catches_up ? catch_up : apply)(&j); break;
    case ACTION_UNDO:
    case ACTION_OPS: break;
    }
    arena_free(&j.a);
}

/* ---- options ---- */

static int aurora_check(const struct section *s, const char **key, struct err *e)
{
    char region[AWS_REGION];
    const char *name;

    *key = "clusters";
    if (action_regions_check(s, "clusters", e) != 0)
        return ERR_CONFIG;
    for (size_t i = 0; i < option_count(s, "clusters"); i++) {
        const char *arn = strchr(option_word(s, "clusters", i), '=') + 1;

        if (!aws_arn(arn, region, &name) || !strstr(arn, ":cluster:"))
            return err_set(e, ERR_CONFIG,
                           "found \"%.80s\", expected an ARN such as "
                           "arn:aws:rds:us-east-1:123456789012:cluster:app-east",
                           arn);
    }
    *key = "rds_endpoints";
    if (aws_endpoints_check(s, "rds_endpoints", e) != 0)
        return ERR_CONFIG;
    *key = "cloudwatch_endpoints";
    return aws_endpoints_check(s, "cloudwatch_endpoints", e);
}

static void aurora_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    for (size_t i = 0; i < t->n_clusters; i++) {
        free(t->clusters[i].region);
        free(t->clusters[i].arn);
    }
    action_aws_close(&t->keys);
    free(t->global);
    free(t->tag);
    free(t->metric);
    free(t);
    *tp = NULL;
}

static bool copy_clusters(const struct section *s, struct action_target *t)
{
    for (size_t i = 0; i < option_count(s, "clusters") && i < CLUSTERS; i++) {
        const char *word = option_word(s, "clusters", i), *mark = strchr(word, '=');
        struct cluster *c = &t->clusters[t->n_clusters];

        if (!mark)
            continue;
        t->n_clusters++;
        c->region = strndup(word, (size_t)(mark - word));
        c->arn = strdup(mark + 1);
        if (!c->region || !c->arn || !aws_arn(c->arn, c->aws, &c->name))
            return false;
        aws_base(s, "rds_endpoints", c->region, "rds", c->aws, c->rds);
        aws_base(s, "cloudwatch_endpoints", c->region, "monitoring", c->aws, c->cloudwatch);
    }
    return true;
}

static struct action_target *aurora_open(const struct section *s, struct log *log, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);

    (void)log;
    if (t) {
        t->global = option_copy(s, "global_cluster");
        t->catches_up = action_step_of(s) == STEP_CATCHUP;
        t->tag = text_join("securebase-", option_text(s, "service"));
        t->metric = option_set(s, "lag_metric") ? strdup(option_text(s, "lag_metric")) : strdup("");
    }
    if (!t || !t->global || !t->tag || !t->metric || !copy_clusters(s, t)) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        aurora_close(&t);
    } else if (action_aws_open(s, &t->keys, e) != 0) {
        aurora_close(&t);
    }
    return t;
}

const struct action_driver action_aurora = {
    .type = "aurora",
    .sentence = "Aurora Global Database: switchover, failover and lag by the APIs of the target's region.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = "global_cluster clusters " ACTION_AWS_REQUIRED,
    .steps = 1U << STEP_PROMOTE | 1U << STEP_CATCHUP,
    .ops = 1U << ACTION_PRECHECK | 1U << ACTION_PROBE | 1U << ACTION_APPLY,
    .figures = true,
    .check = aurora_check,
    .open = aurora_open,
    .close = aurora_close,
    .run = aurora_run,
};
