/* Lambda: the target's functions are ready, with so much provisioned concurrency behind their alias. REST, JSON.
 *
 *   precheck   the alias is there, its version is active, and runs the same code as the old region's (when that answers)
 *   apply      PutProvisionedConcurrencyConfig, only ever upwards: a higher number is left, nothing is taken back
 *   probe      so much is available (READY)
 *
 * The same code is told by CodeSha256 of what the aliases lead to. An old region that does not answer is not asked long and
 * stands in nobody's way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "aggregator/actions/aws_query.h"
#include "common/config/copies.h"

enum { FUNCTIONS = 32, NAME = 65, ARENA_MOST = 8 << 20, OLD_SIDE_MS = 1500, MANY = 100000, HASH = 64 };

struct function {
    char *region;
    char name[NAME], alias[NAME];
    long wanted; /* 0: only that it is ready */
    struct aws_place place;
};
struct action_target {
    struct action_aws keys;
    struct function functions[FUNCTIONS];
    size_t n_functions;
};

static const struct option_row rows[] = {
    {.key = "functions",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = FUNCTIONS,
     .sentence = "Functions of each region with their alias and the provisioned concurrency that carries all "
                 "users, 0 for "
                 "none: us-west-2=checkout/live:50."},
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

/* ---- calls ---- */

/* The answer's JSON, to be deleted, or NULL and *out and j->code. */
static cJSON *call(struct job *j, const struct function *f, struct mono until, const char *path,
                   const char *body)
{
    char query[NAME + 16];
    struct action_aws_call c = {.method = body ? "PUT" : "GET",
                                .base = f->place.base,
                                .path = path,
                                .query = query,
                                .service = "lambda",
                                .region = f->place.region,
                                .content_type = body ? "application/json" : NULL,
                                .body = {(const uint8_t *)body, body ? strlen(body) : 0}};
    struct action_answer ans;
    struct err e = {0};
    cJSON *answer;

    j->code[0] = 0;
    (void)snprintf(query, sizeof query, "Qualifier=%s", f->alias);
    if (action_aws(&j->t->keys, &c, mono_sub(until, clock_mono()), &j->a, &ans, &e) != 0) {
        action_say(j->out, e.code == ERR_TLS ? ACTION_DENIED : ACTION_RETRY, "%s: %s", f->name, e.text);
        return NULL;
    }
    action_aws_judge(&ans, body != NULL, f->name, j->code, j->out);
    if (j->out->class != ACTION_OK)
        return NULL;
    answer = cJSON_ParseWithLength((const char *)ans.http.body.p, ans.http.body.n);
    if (cJSON_IsObject(answer))
        return answer;
    cJSON_Delete(answer);
    action_say(j->out, body ? ACTION_UNKNOWN : ACTION_RETRY, "%s: an answer that is no JSON", f->name);
    return NULL;
}

static bool said(const cJSON *j, const char *key, const char *value)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, key));

    return text && strcmp(text, value) == 0;
}

/* Lambda leaves out LastUpdateStatus of versions. False: *out. */
static bool is_ready(struct job *j, const struct function *f, struct mono until, char hash[HASH])
{
    char path[NAME + 64];
    const char *sum;
    cJSON *c;
    bool ok;

    (void)snprintf(path, sizeof path, "/2015-03-31/functions/%s/configuration", f->name);
    c = call(j, f, until, path, NULL);
    if (!c)
        return false;
    sum = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "CodeSha256"));
    (void)snprintf(hash, HASH, "%s", sum ? sum : "");
    ok = said(c, "State", "Active") && !said(c, "LastUpdateStatus", "InProgress") &&
         !said(c, "LastUpdateStatus", "Failed");
    if (!ok)
        action_say(j->out, ACTION_NOT_APPLIED, "%s/%s is not active", f->name, f->alias);
    cJSON_Delete(c);
    return ok;
}

struct provisioned {
    long asked, there; /* 0 when there is no such configuration */
    bool failed;
};

static long whole(const cJSON *j, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(j, key);

    return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble < 1e9 ? (long)v->valuedouble : 0;
}

static bool look(struct job *j, const struct function *f, struct provisioned *p)
{
    char path[NAME + 64];
    cJSON *c;

    *p = (struct provisioned){0};
    (void)snprintf(path, sizeof path, "/2019-09-30/functions/%s/provisioned-concurrency", f->name);
    c = call(j, f, j->until, path, NULL);
    if (!c)
        return strcmp(j->code, "ProvisionedConcurrencyConfigNotFoundException") == 0;
    p->asked = whole(c, "RequestedProvisionedConcurrentExecutions");
    p->there = whole(c, "AvailableProvisionedConcurrentExecutions");
    p->failed = said(c, "Status", "FAILED");
    cJSON_Delete(c);
    return true;
}

/* ---- operations ---- */

/* OK, PROGRESS, NOT_APPLIED, or what a call said. */
static void settle(struct job *j, const struct function *f)
{
    struct provisioned p = {0};
    char hash[HASH];

    if (!is_ready(j, f, j->until, hash) || (f->wanted && !look(j, f, &p)))
        return;
    if (p.asked < f->wanted || (p.failed && p.there < f->wanted))
        action_say(j->out, ACTION_NOT_APPLIED, "%s/%s: concurrency of %ld is asked for, %ld is wanted%s",
                   f->name, f->alias, p.asked, f->wanted, p.failed ? ", and it has failed" : "");
    else if (p.there < f->wanted)
        action_say(j->out, ACTION_PROGRESS, "%s/%s: concurrency of %ld of %ld is there", f->name, f->alias,
                   p.there, f->wanted);
    else
        action_say(j->out, ACTION_OK, "%s/%s is ready", f->name, f->alias);
}

static void probe(struct job *j)
{
    struct action_worst worst = {.class = ACTION_OK};
    size_t n = 0;

    for (size_t i = 0; i < j->t->n_functions; i++) {
        if (strcmp(j->t->functions[i].region, j->o->to) != 0)
            continue;
        n++;
        settle(j, &j->t->functions[i]);
        if (!action_worst(&worst, j->out))
            return;
    }
    if (worst.class == ACTION_OK)
        action_say(j->out, ACTION_OK, "%zu functions of %.64s are ready", n, j->o->to);
    else
        action_say(j->out, worst.class, "%s", worst.text);
    action_seen(j->out, "%s", j->out->text);
}

static bool provision(struct job *j, const struct function *f)
{
    char path[NAME + 64], body[64];
    cJSON *answer;

    (void)snprintf(path, sizeof path, "/2019-09-30/functions/%s/provisioned-concurrency", f->name);
    (void)snprintf(body, sizeof body, "{\"ProvisionedConcurrentExecutions\":%ld}", f->wanted);
    answer = call(j, f, j->until, path, body);
    cJSON_Delete(answer);
    if (!answer && strcmp(j->code, "ResourceConflictException") == 0)
        j->out->class = ACTION_RETRY; /* another change of the function is under way */
    return answer != NULL;
}

static void apply(struct job *j)
{
    bool changed = false;

    for (size_t i = 0; i < j->t->n_functions; i++) {
        const struct function *f = &j->t->functions[i];
        struct provisioned p;

        if (strcmp(f->region, j->o->to) != 0 || !f->wanted)
            continue;
        if (!look(j, f, &p))
            return;
        if (p.asked >= f->wanted && !p.failed)
            continue;
        if (!provision(j, f))
            return;
        changed = true;
    }
    probe(j);
    if (j->out->class == ACTION_OK && !changed)
        j->out->class = ACTION_ALREADY;
}

/* The old region's function of the same name, or NULL. */
static const struct function *other_of(const struct job *j, const struct function *f)
{
    for (size_t i = 0; i < j->t->n_functions; i++)
        if (strcmp(j->t->functions[i].region, j->o->from) == 0 &&
            strcmp(j->t->functions[i].name, f->name) == 0)
            return &j->t->functions[i];
    return NULL;
}

/* Whether both run the same code; true as well when the old region does not answer. */
static bool same_code(struct job *j, const struct function *f, const char *hash)
{
    struct mono soon = mono_add(clock_mono(), span_ms(OLD_SIDE_MS));
    const struct function *other = other_of(j, f);
    struct action_result aside = {.class = ACTION_OK}, *out = j->out;
    char theirs[HASH] = "";
    bool known;

    if (!other)
        return true;
    j->out = &aside;
    known = is_ready(j, other, mono_before(soon, j->until) ? soon : j->until, theirs);
    j->out = out;
    if (!known || !*theirs || strcmp(theirs, hash) == 0)
        return true;
    action_say(out, ACTION_DENIED, "%s/%s runs other code in %.64s than in %.64s", f->name, f->alias,
               j->o->to, j->o->from);
    return false;
}

static void precheck(struct job *j)
{
    for (size_t i = 0; i < j->t->n_functions; i++) {
        const struct function *f = &j->t->functions[i];
        struct provisioned p;
        char hash[HASH];

        if (strcmp(f->region, j->o->to) != 0)
            continue;
        if (!is_ready(j, f, j->until, hash)) {
            if (j->out->class == ACTION_NOT_APPLIED)
                j->out->class = ACTION_RETRY;
            return;
        }
        if (!same_code(j, f, hash) || (f->wanted && !look(j, f, &p)))
            return;
    }
    action_say(j->out, ACTION_OK, "the functions of %.64s are active", j->o->to);
}

static void lambda_run(const struct action_target *t, const struct action_order *o, struct action_result *out)
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

static bool part(const char **p, char out[NAME])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t n = strspn(*p, letters);

    if (!n || n >= NAME)
        return false;
    (void)snprintf(out, NAME, "%.*s", (int)n, *p);
    *p += n;
    return true;
}

/* "us-west-2=checkout/live:50" */
static bool function_read(const char *word, struct function *f)
{
    const char *mark = strchr(word, '='), *p = mark ? mark + 1 : "";
    char *end = NULL;

    *f = (struct function){0};
    if (!mark || !part(&p, f->name) || *p++ != '/' || !part(&p, f->alias) || *p++ != ':' || *p < '0' ||
        *p > '9')
        return false;
    f->wanted = strtol(p, &end, 10);
    if (*end || f->wanted > MANY)
        return false;
    f->region = strndup(word, (size_t)(mark - word));
    return f->region != NULL;
}

static int lambda_check(const struct section *s, const char **key, struct err *e)
{
    *key = "functions";
    for (size_t i = 0; i < option_count(s, "functions"); i++) {
        struct function f;

        if (!function_read(option_word(s, "functions", i), &f))
            return err_set(e, ERR_CONFIG, "found \"%.80s\", expected REGION=function/alias:concurrency",
                           option_word(s, "functions", i));
        free(f.region);
    }
    *key = "aws_regions";
    if (action_regions_check(s, "aws_regions", e) != 0)
        return ERR_CONFIG;
    *key = "aws_endpoints";
    return aws_endpoints_check(s, "aws_endpoints", e);
}

static void lambda_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    for (size_t i = 0; i < t->n_functions; i++)
        free(t->functions[i].region);
    action_aws_close(&t->keys);
    free(t);
    *tp = NULL;
}

static struct action_target *lambda_open(const struct section *s, struct log *log, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);
    bool ok = t != NULL;

    (void)log;
    for (size_t i = 0; ok && i < option_count(s, "functions") && i < FUNCTIONS; i++) {
        struct function *f = &t->functions[t->n_functions++];

        ok = function_read(option_word(s, "functions", i), f);
        if (ok)
            aws_place(s, f->region, "lambda", &f->place);
    }
    if (!ok) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        lambda_close(&t);
    } else if (action_aws_open(s, &t->keys, e) != 0) {
        lambda_close(&t);
    }
    return t;
}

const struct action_driver action_lambda = {
    .type = "lambda",
    .sentence = "Lambda: the new region's functions are active, with their provisioned concurrency.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = "functions " ACTION_AWS_REQUIRED,
    .steps = 1U << STEP_PROMOTE | 1U << STEP_WARM,
    .ops = 1U << ACTION_PRECHECK | 1U << ACTION_PROBE | 1U << ACTION_APPLY,
    .check = lambda_check,
    .open = lambda_open,
    .close = lambda_close,
    .run = lambda_run,
};
