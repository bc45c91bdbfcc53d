/* DynamoDB global tables, as a gate: every region writes anyway, so there is nothing to promote; what counts before traffic
 * moves is that the target's replica is active and how far it is behind. JSON 1.0, DynamoDB_20120810; CloudWatch.
 *
 * ReplicationLatency is measured where the writes are made and lies in that region's CloudWatch: with the old region gone there
 * is no figure any more, and the last one that was read counts, as old as it is. Two regions that write to one item settle it
 * by the last writer's clock, so what was lost is not seen in the table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "aggregator/actions/aws_query.h"
#include "common/config/copies.h"

enum { PLACES = AWS_PLACES, ARENA_MOST = 8 << 20, OLD_SIDE_MS = 2000, FRESH_MS = 180000, REGION = 65 };

struct place {
    char region[REGION];
    struct aws_place table;
    char cloudwatch[AWS_URL];
};
struct action_target {
    struct action_aws keys;
    char *table;
    struct place places[PLACES];
    size_t n_places;
};

static const struct option_row rows[] = {
    {.key = "table",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "Name of the global table."},
    {.key = "replicas",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = AWS_PLACES,
     .sentence =
         "Regions that have a replica of the table, with AWS's name: us-east-1=us-east-1 west=us-west-2."},
    ACTION_ROW_AWS_ENDPOINTS,
    ACTION_ROW_CLOUDWATCH,
    ACTION_ROWS_AWS,
    ACTION_ROWS_TLS,
};

struct job {
    const struct action_target *t;
    const struct action_order *o;
    struct action_result *out;
    struct mono until;
    struct arena a;
    const struct place *from, *to;
};

/* The target's view of the table, to be deleted; NULL and *out. */
static cJSON *describe(struct job *j)
{
    char body[320], code[ACTION_AWS_CODE];
    struct action_aws_call c = {.method = "POST",
                                .base = j->to->table.base,
                                .path = "/",
                                .service = "dynamodb",
                                .region = j->to->table.region,
                                .content_type = "application/x-amz-json-1.0",
                                .target = "DynamoDB_20120810.DescribeTable"};
    struct action_answer ans;
    struct err e = {0};
    cJSON *answer;

    c.body = (struct bytes){(const uint8_t *)body,
                            (size_t)snprintf(body, sizeof body, "{\"TableName\":\"%s\"}", j->t->table)};
    if (action_aws(&j->t->keys, &c, mono_sub(j->until, clock_mono()), &j->a, &ans, &e) != 0) {
        action_say(j->out, e.code == ERR_TLS ? ACTION_DENIED : ACTION_RETRY, "the table: %s", e.text);
        return NULL;
    }
    action_aws_judge(&ans, false, "the table", code, j->out);
    if (j->out->class != ACTION_OK)
        return NULL;
    answer = cJSON_ParseWithLength((const char *)ans.http.body.p, ans.http.body.n);
    if (!cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(answer, "Table"))) {
        action_say(j->out, ACTION_RETRY, "the table: an answer without one");
        cJSON_Delete(answer);
        return NULL;
    }
    return answer;
}

static const char *text(const cJSON *j, const char *key)
{
    const char *t = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, key));

    return t ? t : "";
}

/* Whether the old region has a replica beside the target's: else it is no global table of the two. */
static bool has_other(const struct job *j, const cJSON *table)
{
    const cJSON *replicas = cJSON_GetObjectItemCaseSensitive(table, "Replicas"), *r;

    for (r = replicas ? replicas->child : NULL; r; r = r->next)
        if (strcmp(text(r, "RegionName"), j->from->table.region) == 0)
            return true;
    return false;
}

static void figures(struct job *j)
{
    struct mono soon = mono_add(clock_mono(), span_ms(OLD_SIDE_MS));
    struct aws_query q = {.keys = &j->t->keys,
                          .base = j->from->cloudwatch,
                          .service = "monitoring",
                          .region = j->from->table.region,
                          .until = mono_before(soon, j->until) ? soon : j->until,
                          .what = "the lag"};
    struct aws_metric m = {"AWS/DynamoDB",
                           "ReplicationLatency",
                           {{"TableName", j->t->table}, {"ReceivingRegion", j->to->table.region}}};
    double ms;

    if (!aws_newest(&q, &m, j->o->now, &j->a, &ms, &j->out->lag_age_ms))
        return;
    j->out->have_lag = true;
    j->out->lag_ms = (int64_t)ms + (ms > (double)(int64_t)ms ? 1 : 0);
    j->out->receiving = j->out->lag_age_ms <= FRESH_MS;
}

/* A gate: OK when the replica is active and belongs together with the old region's. */
static void gate(struct job *j)
{
    cJSON *answer = describe(j);
    const cJSON *table = cJSON_GetObjectItemCaseSensitive(answer, "Table");
    const char *status = text(table, "TableStatus");

    if (!answer)
        return;
    action_seen(j->out, "%.40s in %.40s", status, j->to->table.region);
    if (!has_other(j, table))
        action_say(j->out, j->o->op == ACTION_PRECHECK ? ACTION_DENIED : ACTION_NOT_APPLIED,
                   "the table in %.64s has no replica in %.64s", j->o->to, j->o->from);
    else if (strcmp(status, "ACTIVE") != 0 && strcmp(status, "UPDATING") != 0)
        action_say(j->out, j->o->op == ACTION_PRECHECK ? ACTION_RETRY : ACTION_NOT_APPLIED,
                   "the replica is %.40s", status);
    else
        action_say(j->out, ACTION_OK, "the replica is active");
    j->out->writable = j->out->class == ACTION_OK;
    cJSON_Delete(answer);
    figures(j);
}

static const struct place *place_of(const struct action_target *t, const char *region)
{
    for (size_t i = 0; i < t->n_places; i++)
        if (strcmp(t->places[i].region, region) == 0)
            return &t->places[i];
    return NULL;
}

static void dynamodb_run(const struct action_target *t, const struct action_order *o,
                         struct action_result *out)
{
    struct job j = {.t = t,
                    .o = o,
                    .out = out,
                    .until = mono_add(clock_mono(), o->deadline),
                    .from = place_of(t, o->from),
                    .to = place_of(t, o->to)};

    if (!j.from || !j.to) {
        action_say(out, ACTION_DENIED, "`replicas` has none of %.64s", j.from ? o->to : o->from);
        return;
    }
    arena_init(&j.a, NULL, ARENA_MOST);
    gate(&j);
    if (o->op == ACTION_APPLY && out->class == ACTION_OK)
        out->class = ACTION_ALREADY; /* nothing is changed by a gate */
    arena_free(&j.a);
}

/* ---- options ---- */

static int dynamodb_check(const struct section *s, const char **key, struct err *e)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const char *table = option_text(s, "table");

    *key = "table";
    if (strlen(table) > 255 || table[strspn(table, letters)])
        return err_set(e, ERR_CONFIG, "found \"%.80s\", expected a table's name", table);
    *key = "replicas";
    if (action_regions_check(s, "replicas", e) != 0)
        return ERR_CONFIG;
    *key = "aws_endpoints";
    if (aws_endpoints_check(s, "aws_endpoints", e) != 0)
        return ERR_CONFIG;
    *key = "cloudwatch_endpoints";
    return aws_endpoints_check(s, "cloudwatch_endpoints", e);
}

static void dynamodb_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    action_aws_close(&t->keys);
    free(t->table);
    free(t);
    *tp = NULL;
}

static int copy_places(const struct section *s, struct action_target *t, struct err *e)
{
    for (size_t i = 0; i < option_count(s, "replicas") && i < PLACES; i++) {
        const char *word = option_word(s, "replicas", i), *mark = strchr(word, '=');
        struct place *p = &t->places[t->n_places++];

        if (!mark || mark - word >= REGION || strlen(mark + 1) >= AWS_REGION)
            return err_set(e, ERR_CONFIG, "`replicas`: \"%.80s\" is too long", word);
        (void)snprintf(p->region, sizeof p->region, "%.*s", (int)(mark - word), word);
        (void)snprintf(p->table.region, sizeof p->table.region, "%s", mark + 1);
        aws_base(s, "aws_endpoints", p->region, "dynamodb", p->table.region, p->table.base);
        aws_base(s, "cloudwatch_endpoints", p->region, "monitoring", p->table.region, p->cloudwatch);
    }
    return 0;
}

static struct action_target *dynamodb_open(const struct section *s, struct log *log, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);

    (void)log;
    if (t)
        t->table = option_copy(s, "table");
    if (!t || !t->table) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        dynamodb_close(&t);
    } else if (copy_places(s, t, e) != 0 || action_aws_open(s, &t->keys, e) != 0) {
        dynamodb_close(&t);
    }
    return t;
}

const struct action_driver action_dynamodb = {
    .type = "dynamodb",
    .sentence =
        "DynamoDB global tables, as a gate: the target's replica is active, and how far it is behind.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = "table replicas " ACTION_AWS_REQUIRED,
    .steps = 0,
    .ops = 1U << ACTION_PRECHECK | 1U << ACTION_PROBE | 1U << ACTION_APPLY,
    .figures = true,
    .check = dynamodb_check,
    .open = dynamodb_open,
    .close = dynamodb_close,
    .run = dynamodb_run,
};
