/* Routing controls of Route 53 Application Recovery Controller: switches that five regional endpoints of the cluster can turn
 * while control planes are down. JSON 1.0, target ToggleCustomerAPI; each endpoint is signed for its own region.
 *
 * An endpoint is expected to be away: they are tried in turn, and a change is sent again to the next one without asking, since
 * it sets states and does not turn them round. On and Off go in one call, which AWS does as a whole. There is no place for a
 * token here, so nothing but the holder's lease keeps an older holder away: what is read back is what counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "aggregator/actions/aws_query.h"
#include "common/config/copies.h"

enum { ENDPOINTS = 8, CONTROLS = 8, RULES = 8, ARENA_MOST = 2 << 20, SHARE_MS = 300 };

struct endpoint {
    char *base, *path;
    char aws[AWS_REGION];
};
struct control {
    char *region, *arn;
};
struct action_target {
    int step;
    struct action_aws keys;
    struct endpoint endpoints[ENDPOINTS];
    struct control controls[CONTROLS];
    char *rules[RULES];
    size_t n_endpoints, n_controls, n_rules;
};

static const struct option_row rows[] = {
    {.key = "endpoints",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = ENDPOINTS,
     .sentence = "The cluster's regional endpoints, tried in this order: REGION=https://HOST/v1."},
    {.key = "controls",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = CONTROLS,
     .sentence = "ARN of each region's routing control: us-east-1=arn:aws:route53-recovery-control::…"},
    {.key = "override_rules",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = RULES,
     .sentence = "ARNs of safety rules that an unplanned move overrides."},
    {.key = "proves",
     .type = OPT_BOOL,
     .dflt = "no",
     .reloadable = true,
     .sentence = "As a fence: whether its `ok` to a probe proves that the old region does not write."},
    ACTION_ROWS_AWS,
    ACTION_ROWS_TLS,
};

struct job {
    const struct action_target *t;
    const struct action_order *o;
    struct action_result *out;
    struct mono until;
    struct arena a;
    size_t first; /* endpoint that answered last */
};

/* ---- one call, by whichever endpoint answers ---- */

/* Of the time that is left, what each of the endpoints that are left may have. */
static struct span share(const struct job *j, size_t tried)
{
    struct span left = mono_sub(j->until, clock_mono());

    return span_ns(left.ns / (int64_t)(j->t->n_endpoints - tried));
}

static bool may_go_on(const struct action_result *out, const char *code)
{
    return out->class == ACTION_RETRY || out->class == ACTION_UNKNOWN || out->class == ACTION_THROTTLED ||
           strcmp(code, "EndpointTemporarilyUnavailableException") == 0;
}

static bool call_one(struct job *j, const struct endpoint *e, const char *target, const char *body,
                     bool change, struct span time, struct action_answer *ans, char code[ACTION_AWS_CODE])
{
    struct action_aws_call c = {.method = "POST",
                                .base = e->base,
                                .path = e->path,
                                .service = "route53-recovery-cluster",
                                .region = e->aws,
                                .content_type = "application/x-amz-json-1.0",
                                .target = target,
                                .body = {(const uint8_t *)body, strlen(body)}};
    struct err why = {0};

    code[0] = 0;
    if (action_aws(&j->t->keys, &c, time, &j->a, ans, &why) != 0) {
        action_say(j->out, why.code == ERR_TLS ? ACTION_DENIED : ACTION_RETRY, "%.40s: %s", e->aws, why.text);
        return false;
    }
    action_aws_judge(ans, change, e->aws, code, j->out);
    return j->out->class == ACTION_OK;
}

/* The answer's JSON, to be deleted, or NULL and *out. A change that one endpoint may have taken and none has confirmed stays
 * ACTION_UNKNOWN. */
static cJSON *call(struct job *j, const char *target, const cJSON *form, bool change)
{
    char *body = cJSON_PrintUnformatted(form);
    bool unknown = false, done = false;
    struct action_answer ans;
    char code[ACTION_AWS_CODE];
    cJSON *answer;

    for (size_t i = 0; body && !done && i < j->t->n_endpoints && span_to_ms(share(j, i)) >= SHARE_MS; i++) {
        size_t k = (j->first + i) % j->t->n_endpoints;

        done = call_one(j, &j->t->endpoints[k], target, body, change, share(j, i), &ans, code);
        unknown = unknown || j->out->class == ACTION_UNKNOWN;
        if (done)
            j->first = k;
        else if (!may_go_on(j->out, code))
            break;
    }
    if (!body)
        action_say(j->out, ACTION_RETRY, "no memory");
    cJSON_free(body);
    if (!done) {
        if (unknown && j->out->class != ACTION_DENIED && j->out->class != ACTION_CONFLICT)
            j->out->class = ACTION_UNKNOWN;
        return NULL;
    }
    answer = cJSON_ParseWithLength((const char *)ans.http.body.p, ans.http.body.n);
    if (!cJSON_IsObject(answer)) {
        cJSON_Delete(answer);
        answer = change ? cJSON_CreateObject() : NULL; /* taken; what is true is read back */
        if (!answer)
            action_say(j->out, ACTION_RETRY, "an answer that is no JSON");
    }
    return answer;
}

/* ---- what is true ---- */

static const struct control *control_of(const struct action_target *t, const char *region)
{
    for (size_t i = 0; i < t->n_controls; i++)
        if (strcmp(t->controls[i].region, region) == 0)
            return &t->controls[i];
    return NULL;
}

/* 1 on, 0 off, -1: *out. */
static int state_of(struct job *j, const struct control *c)
{
    cJSON *form = cJSON_CreateObject(), *answer;
    const char *state;
    int on = -1;

    cJSON_AddStringToObject(form, "RoutingControlArn", c->arn);
    answer = call(j, "ToggleCustomerAPI.GetRoutingControlState", form, false);
    cJSON_Delete(form);
    if (!answer)
        return -1;
    state = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "RoutingControlState"));
    if (state && (strcmp(state, "On") == 0 || strcmp(state, "Off") == 0))
        on = strcmp(state, "On") == 0;
    else
        action_say(j->out, ACTION_RETRY, "an answer without a state");
    cJSON_Delete(answer);
    return on;
}

struct want {
    const struct control *c;
    bool on;
};

/* The controls and states that an operation asks for; 0 and *out when a region has none. */
static size_t wanted(struct job *j, struct want w[2])
{
    bool undo = j->o->op == ACTION_UNDO, fence = j->t->step == STEP_FENCE;
    const struct control *from = control_of(j->t, j->o->from), *to = control_of(j->t, j->o->to);

    if (!from || (!fence && !to)) {
        action_say(j->out, ACTION_DENIED, "`controls` has none of %.64s", from ? j->o->to : j->o->from);
        return 0;
    }
    w[0] = (struct want){from, undo};
    w[1] = (struct want){to, !undo};
    return fence ? 1 : 2;
}

static void probe(struct job *j)
{
    struct want w[2];
    size_t n = wanted(j, w), so = 0;
    char seen[ACTION_TEXT] = "";

    if (!n)
        return;
    for (size_t i = 0; i < n; i++) {
        int on = state_of(j, w[i].c);
        size_t len = strlen(seen);

        if (on < 0)
            return;
        so += on == w[i].on;
        (void)snprintf(seen + len, sizeof seen - len, "%s%.64s %s", len ? ", " : "", w[i].c->region,
                       on ? "on" : "off");
    }
    action_seen(j->out, "%s", seen);
    action_say(j->out, so == n ? ACTION_OK : ACTION_NOT_APPLIED, "%s", seen);
}

/* ---- a change ---- */

static cJSON *form_of(const struct job *j, const struct want *w, size_t n)
{
    cJSON *form = cJSON_CreateObject(),
          *entries = cJSON_AddArrayToObject(form, "UpdateRoutingControlStateEntries");

    for (size_t i = 0; i < n; i++) {
        cJSON *e = cJSON_CreateObject();

        cJSON_AddStringToObject(e, "RoutingControlArn", w[i].c->arn);
        cJSON_AddStringToObject(e, "RoutingControlState", w[i].on ? "On" : "Off");
        cJSON_AddItemToArray(entries, e);
    }
    if (j->t->n_rules && !j->o->planned) {
        cJSON *rules = cJSON_AddArrayToObject(form, "SafetyRulesToOverride");

        for (size_t i = 0; i < j->t->n_rules; i++)
            cJSON_AddItemToArray(rules, cJSON_CreateString(j->t->rules[i]));
    }
    return form;
}

static void apply(struct job *j)
{
    struct want w[2];
    size_t n = wanted(j, w);
    cJSON *form, *answer;

    if (!n)
        return;
    probe(j);
    if (j->out->class == ACTION_OK)
        j->out->class = ACTION_ALREADY;
    if (j->out->class != ACTION_NOT_APPLIED)
        return;
    form = form_of(j, w, n);
    answer = call(j, "ToggleCustomerAPI.UpdateRoutingControlStates", form, true);
    cJSON_Delete(form);
    if (!answer)
        return;
    cJSON_Delete(answer);
    probe(j);
    if (j->out->class != ACTION_OK)
        j->out->class = ACTION_PROGRESS; /* taken; this endpoint does not show it yet */
}

static void arc_run(const struct action_target *t, const struct action_order *o, struct action_result *out)
{
    struct job j = {.t = t, .o = o, .out = out, .until = mono_add(clock_mono(), o->deadline)};

    arena_init(&j.a, NULL, ARENA_MOST);
    switch (o->op) {
    case ACTION_PRECHECK:
        probe(&j);
        if (out->class == ACTION_NOT_APPLIED)
            out->class = ACTION_OK; /* the controls can be read: that is all that can be tried */
        break;
    case ACTION_PROBE:
    case ACTION_VERIFY: probe(&j); break;
    case ACTION_APPLY:
    case ACTION_UNDO: apply(&j); break;
    case ACTION_OPS: break;
    }
    arena_free(&j.a);
}

/* ---- options ---- */

static int arc_check(const struct section *s, const char **key, struct err *e)
{
    *key = "endpoints";
    if (aws_endpoints_check(s, "endpoints", e) != 0)
        return ERR_CONFIG;
    for (size_t i = 0; i < option_count(s, "endpoints"); i++)
        if (strchr(option_word(s, "endpoints", i), '=') - option_word(s, "endpoints", i) >= AWS_REGION)
            return err_set(e, ERR_CONFIG, "found \"%.80s\", expected a region of AWS before the =",
                           option_word(s, "endpoints", i));
    *key = "controls";
    if (action_regions_check(s, "controls", e) != 0)
        return ERR_CONFIG;
    for (size_t i = 0; i < option_count(s, "controls"); i++)
        if (strncmp(strchr(option_word(s, "controls", i), '=') + 1, "arn:", 4) != 0)
            return err_set(e, ERR_CONFIG, "found \"%.80s\", expected REGION=arn:…",
                           option_word(s, "controls", i));
    return 0;
}

static void arc_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    for (size_t i = 0; i < t->n_endpoints; i++) {
        free(t->endpoints[i].base);
        free(t->endpoints[i].path);
    }
    for (size_t i = 0; i < t->n_controls; i++) {
        free(t->controls[i].region);
        free(t->controls[i].arn);
    }
    for (size_t i = 0; i < t->n_rules; i++)
        free(t->rules[i]);
    action_aws_close(&t->keys);
    free(t);
    *tp = NULL;
}

/* "us-west-2=https://host/v1": region, base and path apart. */
static bool copy_endpoint(const char *word, struct endpoint *e)
{
    const char *mark = strchr(word, '='), *host = mark ? strstr(mark, "://") : NULL, *path;

    if (!host)
        return false;
    path = host + 3 + strcspn(host + 3, "/");
    (void)snprintf(e->aws, sizeof e->aws, "%.*s", (int)(mark - word), word);
    e->base = strndup(mark + 1, (size_t)(path - mark - 1));
    e->path = strdup(*path ? path : "/");
    return e->base && e->path;
}

static bool copy_all(const struct section *s, struct action_target *t)
{
    for (size_t i = 0; i < option_count(s, "endpoints") && i < ENDPOINTS; i++) {
        t->n_endpoints++;
        if (!copy_endpoint(option_word(s, "endpoints", i), &t->endpoints[i]))
            return false;
    }
    for (size_t i = 0; i < option_count(s, "controls") && i < CONTROLS; i++) {
        const char *word = option_word(s, "controls", i), *mark = strchr(word, '=');

        t->n_controls++;
        t->controls[i].region = mark ? strndup(word, (size_t)(mark - word)) : NULL;
        t->controls[i].arn = mark ? strdup(mark + 1) : NULL;
        if (!t->controls[i].region || !t->controls[i].arn)
            return false;
    }
    for (size_t i = 0; i < option_count(s, "override_rules") && i < RULES; i++) {
        t->rules[i] = option_word_copy(s, "override_rules", i);
        if (!t->rules[i])
            return false;
        t->n_rules++;
    }
    return true;
}

static struct action_target *arc_open(const struct section *s, struct log *log, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);

    (void)log;
    if (t)
        t->step = action_step_of(s);
    if (!t || !copy_all(s, t)) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        arc_close(&t);
    } else if (action_aws_open(s, &t->keys, e) != 0) {
        arc_close(&t);
    }
    return t;
}

const struct action_driver action_arc = {
    .type = "arc",
    .sentence = "Route 53 Application Recovery Controller: routing controls, by five endpoints in turn.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = "endpoints controls " ACTION_AWS_REQUIRED,
    .steps = 1U << STEP_FENCE | 1U << STEP_SWITCH,
    .ops = 1U << ACTION_PRECHECK | 1U << ACTION_PROBE | 1U << ACTION_APPLY | 1U << ACTION_UNDO,
    .proves = true,
    .check = arc_check,
    .open = arc_open,
    .close = arc_close,
    .run = arc_run,
};
