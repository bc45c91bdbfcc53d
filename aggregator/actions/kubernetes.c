/* Kubernetes: how many replicas of a deployment or stateful set run in a region. API apps/v1.
 *
 *   promote, warm   the new region's workloads have at least so many replicas, and they are ready. Never fewer than before.
 *   fence           the old region's workloads have none, and no pod of theirs is left, terminating ones included
 *   undo of fence   the old region has as many as are named here
 *
 * One merge patch sets the number and the token (annotation securebase/SERVICE) together, with the resourceVersion that was
 * read: the API server refuses it with 409 when anything has been written since, so it is a compare and swap. A pod on a node
 * that is not heard stays in the list until somebody removes it, so the fence is not proved while it may still run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "aggregator/actions/http_io.h"
#include "common/config/copies.h"
#include "common/net/sigv4.h"

enum {
    WORKLOADS = 32,
    APIS = 8,
    NAME = 254,
    PATH = 2048,
    ARENA_MOST = 16 << 20,
    ANSWER_MOST = 4 << 20,
    MANY = 100000
};

struct workload {
    char *region, *space, *kind, *name;
    long replicas;
};
struct api {
    char *region, *url;
};
struct action_target {
    int step;
    char *annotation, *authorization;
    struct action_tls tls;
    struct api apis[APIS];
    struct workload workloads[WORKLOADS];
    size_t n_apis, n_workloads;
};

static const struct option_row rows[] = {
    {.key = "apis",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = APIS,
     .sentence = "The API server of each region: us-west-2=https://10.1.0.5:6443."},
    {.key = "workloads",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = WORKLOADS,
     .sentence = "What runs in each region, and how many replicas it needs there to carry all users: "
                 "us-west-2=shop/deployments/web:12; statefulsets too."},
    {.key = "authorization",
     .type = OPT_SECRET,
     .reloadable = true,
     .sentence = "Text of the header Authorization, such as: Bearer 4fd1..."},
    {.key = "proves",
     .type = OPT_BOOL,
     .dflt = "no",
     .reloadable = true,
     .sentence = "As a fence: whether its `ok` to a probe proves that the old region does not write."},
    ACTION_ROWS_TLS,
};

struct job {
    const struct action_target *t;
    const struct action_order *o;
    struct action_result *out;
    struct mono until;
    struct arena a;
    const char *region, *api; /* whose workloads; its address */
};

/* ---- calls ---- */

/* The answer's JSON, to be deleted, or NULL and *out. */
static cJSON *call(struct job *j, const char *method, const char *path, const char *body, const char *what)
{
    struct http_header headers[3] = {{"Accept", "application/json"}};
    char *url = arena_alloc(&j->a, PATH);
    struct http_request r = {
        .method = method, .url = url, .headers = headers, .n_headers = 1, .max_answer = ANSWER_MOST};
    struct action_answer ans;
    struct err e = {0};
    cJSON *answer;

    if (j->t->authorization)
        headers[r.n_headers++] = (struct http_header){"Authorization", j->t->authorization};
    if (body) {
        headers[r.n_headers++] = (struct http_header){"Content-Type", "application/merge-patch+json"};
        r.body = body;
        r.body_len = strlen(body);
    }
    if (!url || snprintf(url, PATH, "%s%s", j->api, path) >= PATH) {
        action_say(j->out, ACTION_DENIED, "%s: the address is too long", what);
        return NULL;
    }
    if (action_http(&j->t->tls, &r, mono_sub(j->until, clock_mono()), &j->a, &ans, &e) != 0) {
        action_say(j->out, e.code == ERR_TLS ? ACTION_DENIED : ACTION_RETRY, "%s: %s", what, e.text);
        return NULL;
    }
    action_http_judge(&ans, body != NULL, what, j->out);
    if (j->out->class != ACTION_OK) {
        if (body && ans.http.code == 0 && ans.http.status == 409) /* written since it was read: read again */
            j->out->class = ACTION_RETRY;
        return NULL;
    }
    answer = cJSON_ParseWithLength((const char *)ans.http.body.p, ans.http.body.n);
    if (!cJSON_IsObject(answer)) {
        cJSON_Delete(answer);
        action_say(j->out, body ? ACTION_UNKNOWN : ACTION_RETRY, "%s: an answer that is no JSON", what);
        return NULL;
    }
    return answer;
}

/* ---- what is true ---- */

struct seen {
    long wanted, running, ready; /* spec.replicas; status.replicas, readyReplicas */
    bool observed;               /* the status is of this spec */
    char version[64];
    char selector[1024]; /* "" when it cannot be said in a query */
    struct fencing token;
    uint32_t epoch;
};

static const cJSON *at(const cJSON *j, const char *a, const char *b)
{
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(j, a), b);
}

static long whole(const cJSON *j, long absent)
{
    double v = cJSON_GetNumberValue(j);

    return cJSON_IsNumber(j) && v >= 0 && v <= 1e9 ? (long)v : absent;
}

/* matchLabels as "a=b,c=d", percent-encoded. matchExpressions are not said here: then there is none. */
static void read_selector(const cJSON *j, struct seen *s)
{
    const cJSON *selector = at(j, "spec", "selector"),
                *labels = cJSON_GetObjectItemCaseSensitive(selector, "matchLabels");
    struct buf b;

    s->selector[0] = 0;
    if (cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(selector, "matchExpressions")) > 0)
        return;
    buf_init(&b, NULL, sizeof s->selector - 1);
    for (const cJSON *l = labels ? labels->child : NULL; l; l = l->next) {
        const char *value = cJSON_GetStringValue(l);

        if (b.len)
            buf_str(&b, "%2C");
        sigv4_encode(&b, l->string, strlen(l->string), true);
        buf_str(&b, "%3D");
        sigv4_encode(&b, value ? value : "", strlen(value ? value : ""), true);
    }
    (void)snprintf(s->selector, sizeof s->selector, "%s", buf_text(&b));
    buf_free(&b);
}

static bool look(struct job *j, const struct workload *w, struct seen *s)
{
    char path[PATH];
    const char *version, *mark;
    cJSON *answer;

    (void)snprintf(path, sizeof path, "/apis/apps/v1/namespaces/%s/%s/%s", w->space, w->kind, w->name);
    answer = call(j, "GET", path, NULL, w->name);
    if (!answer)
        return false;
    version = cJSON_GetStringValue(at(answer, "metadata", "resourceVersion"));
    mark = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(at(answer, "metadata", "annotations"), j->t->annotation));
    *s = (struct seen){.wanted = whole(at(answer, "spec", "replicas"), -1),
                       .running = whole(at(answer, "status", "replicas"), 0),
                       .ready = whole(at(answer, "status", "readyReplicas"), 0)};
    s->observed = whole(at(answer, "status", "observedGeneration"), 0) >=
                  whole(at(answer, "metadata", "generation"), 0);
    if (mark)
        (void)action_mark_parse(mark, &s->epoch, &s->token);
    if (version)
        (void)snprintf(s->version, sizeof s->version, "%s", version);
    read_selector(answer, s);
    cJSON_Delete(answer);
    if (s->wanted >= 0 && s->version[0] && s->version[strspn(s->version, "0123456789")] == 0)
        return true;
    action_say(j->out, ACTION_RETRY, "%.100s: an answer without replicas or version", w->name);
    return false;
}

static bool higher(struct job *j, const struct workload *w, const struct seen *s)
{
    if (fencing_cmp(s->token, j->out->found) > 0)
        j->out->found = s->token;
    if (fencing_cmp(s->token, j->o->token) <= 0)
        return false;
    action_say(j->out, ACTION_CONFLICT, "a higher token stands at %.100s: epoch %u, token %llu.%llu", w->name,
               s->epoch, (unsigned long long)s->token.store, (unsigned long long)s->token.rev);
    return true;
}

/* Pods that its selector finds; -1 and *out when that cannot be told. */
static long pods(struct job *j, const struct workload *w, const struct seen *s)
{
    char path[PATH];
    cJSON *answer;
    const cJSON *items;
    long n;

    if (!s->selector[0]) {
        action_say(j->out, ACTION_DENIED,
                   "%.100s selects its pods by expressions: they cannot be counted here", w->name);
        return -1;
    }
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/%s/pods?limit=10&labelSelector=%s", w->space,
                   s->selector);
    answer = call(j, "GET", path, NULL, "the pods");
    if (!answer)
        return -1;
    items = cJSON_GetObjectItemCaseSensitive(answer, "items");
    n = cJSON_IsArray(items) ? cJSON_GetArraySize(items) : -1;
    if (n < 0)
        action_say(j->out, ACTION_RETRY, "the pods: an answer without a list");
    cJSON_Delete(answer);
    return n;
}

/* ---- what is wanted ---- */

static bool is_fence(const struct job *j)
{
    return j->t->step == STEP_FENCE;
}

static long wanted(const struct job *j, const struct workload *w)
{
    return is_fence(j) && j->o->op != ACTION_UNDO ? 0 : w->replicas;
}

/* Set as it is to be: for capacity, at least so many. */
static bool is_set(const struct job *j, const struct workload *w, const struct seen *s)
{
    return wanted(j, w) == 0 ? s->wanted == 0 : s->wanted >= wanted(j, w);
}

/* OK, NOT_APPLIED, PROGRESS, or what a call said, of one workload. */
static void settle(struct job *j, const struct workload *w)
{
    struct seen s;
    long n = 0;

    if (!look(j, w, &s) || higher(j, w, &s))
        return;
    if (!is_set(j, w, &s)) {
        action_say(j->out, ACTION_NOT_APPLIED, "%.100s: %ld replicas are set, %ld are wanted", w->name,
                   s.wanted, wanted(j, w));
        return;
    }
    if (wanted(j, w) == 0)
        n = pods(j, w, &s);
    if (n < 0)
        return;
    if (!s.observed || n > 0 || (wanted(j, w) == 0 ? s.running > 0 : s.ready < wanted(j, w)))
        action_say(j->out, ACTION_PROGRESS, "%.100s: %ld of %ld replicas are ready, %ld pods are left",
                   w->name, s.ready, wanted(j, w), wanted(j, w) ? 0 : n);
    else
        action_say(j->out, ACTION_OK, "%.100s: %ld replicas are ready", w->name, s.ready);
}

/* Over all workloads of the region. */
static void probe(struct job *j)
{
    struct action_worst worst = {.class = ACTION_OK};
    size_t n = 0;

    for (size_t i = 0; i < j->t->n_workloads; i++) {
        const struct workload *w = &j->t->workloads[i];

        if (strcmp(w->region, j->region) != 0)
            continue;
        n++;
        settle(j, w);
        if (!action_worst(&worst, j->out))
            return;
    }
    if (worst.class != ACTION_OK)
        action_say(j->out, worst.class, "%s", worst.text);
    else
        action_say(j->out, ACTION_OK, "%zu workloads of %.64s are as they are to be", n, j->region);
    action_seen(j->out, "%s", j->out->text);
}

/* ---- a change ---- */

static bool set(struct job *j, const struct workload *w, const struct seen *s)
{
    char path[PATH], mark[ACTION_MARK], *body;
    cJSON *patch = cJSON_CreateObject(), *meta = cJSON_AddObjectToObject(patch, "metadata"),
          *notes = cJSON_AddObjectToObject(meta, "annotations"),
          *spec = cJSON_AddObjectToObject(patch, "spec"), *answer = NULL;

    action_mark(j->o, mark);
    cJSON_AddStringToObject(meta, "resourceVersion", s->version);
    cJSON_AddStringToObject(notes, j->t->annotation, mark);
    cJSON_AddNumberToObject(spec, "replicas", (double)wanted(j, w));
    body = cJSON_PrintUnformatted(patch);
    cJSON_Delete(patch);
    (void)snprintf(path, sizeof path, "/apis/apps/v1/namespaces/%s/%s/%s?fieldManager=securebase", w->space,
                   w->kind, w->name);
    if (body)
        answer = call(j, "PATCH", path, body, w->name);
    else
        action_say(j->out, ACTION_RETRY, "no memory");
    cJSON_free(body);
    cJSON_Delete(answer);
    return answer != NULL;
}

static void apply(struct job *j)
{
    bool changed = false;

    for (size_t i = 0; i < j->t->n_workloads; i++) {
        const struct workload *w = &j->t->workloads[i];
        struct seen s;

        if (strcmp(w->region, j->region) != 0)
            continue;
        if (!look(j, w, &s) || higher(j, w, &s))
            return;
        if (is_set(j, w, &s))
            continue;
        if (!set(j, w, &s))
            return;
        changed = true;
    }
    probe(j);
    if (j->out->class == ACTION_OK && !changed)
        j->out->class = ACTION_ALREADY;
    else if (j->out->class == ACTION_NOT_APPLIED) /* somebody has changed it in the same moment */
        j->out->class = ACTION_RETRY;
}

static void precheck(struct job *j)
{
    for (size_t i = 0; i < j->t->n_workloads; i++) {
        const struct workload *w = &j->t->workloads[i];
        struct seen s;

        if (strcmp(w->region, j->region) != 0)
            continue;
        if (!look(j, w, &s) || higher(j, w, &s) || (is_fence(j) && pods(j, w, &s) < 0))
            return;
    }
    action_say(j->out, ACTION_OK, "the workloads of %.64s can be read", j->region);
}

static const char *api_of(const struct action_target *t, const char *region)
{
    for (size_t i = 0; i < t->n_apis; i++)
        if (strcmp(t->apis[i].region, region) == 0)
            return t->apis[i].url;
    return NULL;
}

static void kubernetes_run(const struct action_target *t, const struct action_order *o,
                           struct action_result *out)
{
    struct job j = {.t = t,
                    .o = o,
                    .out = out,
                    .until = mono_add(clock_mono(), o->deadline),
                    .region = t->step == STEP_FENCE ? o->from : o->to};

    j.api = api_of(t, j.region);
    if (!j.api) { /* clusters with credentials of their own have actions of their own */
        action_say(out, o->op == ACTION_APPLY || o->op == ACTION_UNDO ? ACTION_ALREADY : ACTION_OK,
                   "nothing is asked of %.64s here", j.region);
        if (t->step == STEP_FENCE &&
            (o->op == ACTION_PROBE || o->op == ACTION_VERIFY || o->op == ACTION_APPLY))
            action_say(out, ACTION_DENIED, "`apis` has none of %.64s: nothing is fenced", j.region);
        return;
    }
    arena_init(&j.a, NULL, ARENA_MOST);
    switch (o->op) {
    case ACTION_PRECHECK: precheck(&j); break;
    case ACTION_PROBE:
    case ACTION_VERIFY: probe(&j); break;
    case ACTION_APPLY: apply(&j); break;
    case ACTION_UNDO:
        if (is_fence(&j))
            apply(&j);
        else
            action_say(out, ACTION_ALREADY, "capacity is left as it is");
        break;
    case ACTION_OPS: break;
    }
    arena_free(&j.a);
}

/* ---- options ---- */

static char *part(const char **p, const char *end)
{
    const char *from = *p;
    size_t n = strspn(from, "abcdefghijklmnopqrstuvwxyz0123456789-.");

    if (!n || n >= NAME || from + n > end)
        return NULL;
    *p = from + n;
    return strndup(from, n);
}

static void workload_free(struct workload *w)
{
    free(w->region);
    free(w->space);
    free(w->kind);
    free(w->name);
    *w = (struct workload){0};
}

/* "us-west-2=shop/deployments/web:12" */
static bool workload_read(const char *word, struct workload *w)
{
    const char *mark = strchr(word, '='), *p = mark ? mark + 1 : NULL, *end = word + strlen(word);
    char *rest = NULL;

    *w = (struct workload){.region = mark ? strndup(word, (size_t)(mark - word)) : NULL};
    if (p)
        w->space = part(&p, end);
    if (w->space && *p == '/') {
        p++;
        w->kind = part(&p, end);
    }
    if (w->kind && *p == '/') {
        p++;
        w->name = part(&p, end);
    }
    if (w->name && *p == ':' && p[1] >= '0' && p[1] <= '9') {
        w->replicas = strtol(p + 1, &rest, 10);
        if (!*rest && w->replicas > 0 && w->replicas <= MANY &&
            (strcmp(w->kind, "deployments") == 0 || strcmp(w->kind, "statefulsets") == 0))
            return true;
    }
    workload_free(w);
    return false;
}

static int kubernetes_check(const struct section *s, const char **key, struct err *e)
{
    struct workload w;
    char region[NAME], url[NAME];

    *key = "apis";
    if (action_regions_check(s, "apis", e) != 0)
        return ERR_CONFIG;
    for (size_t i = 0; i < option_count(s, "apis"); i++) {
        const char *at_url = strchr(option_word(s, "apis", i), '=') + 1;

        if ((strncmp(at_url, "https://", 8) != 0 && strncmp(at_url, "http://", 7) != 0) ||
            strlen(at_url) >= NAME)
            return err_set(e, ERR_CONFIG, "found \"%.80s\", expected REGION=https://host:6443",
                           option_word(s, "apis", i));
        if (option_set(s, "authorization") && action_secret_url_check(at_url, e) != 0)
            return ERR_CONFIG;
    }
    *key = "workloads";
    for (size_t i = 0; i < option_count(s, "workloads"); i++) {
        if (!workload_read(option_word(s, "workloads", i), &w))
            return err_set(e, ERR_CONFIG,
                           "found \"%.80s\", expected REGION=namespace/deployments/name:replicas",
                           option_word(s, "workloads", i));
        (void)snprintf(region, sizeof region, "%s", w.region);
        workload_free(&w);
        if (!action_by_region(s, "apis", region, url, sizeof url))
            return err_set(e, ERR_CONFIG, "`apis` has none of the region of \"%.80s\"",
                           option_word(s, "workloads", i));
    }
    return 0;
}

static void kubernetes_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    for (size_t i = 0; i < t->n_apis; i++) {
        free(t->apis[i].region);
        free(t->apis[i].url);
    }
    for (size_t i = 0; i < t->n_workloads; i++)
        workload_free(&t->workloads[i]);
    free(t->annotation);
    free_secret(&t->authorization);
    action_tls_close(&t->tls);
    free(t);
    *tp = NULL;
}

static bool copy_all(const struct section *s, struct action_target *t)
{
    t->annotation = text_join("securebase/", option_text(s, "service"));
    for (size_t i = 0; i < option_count(s, "apis") && i < APIS; i++) {
        const char *word = option_word(s, "apis", i), *mark = strchr(word, '=');
        struct api *a = &t->apis[t->n_apis++];
        size_t n;

        a->region = mark ? strndup(word, (size_t)(mark - word)) : NULL;
        a->url = mark ? strdup(mark + 1) : NULL;
        if (!a->region || !a->url)
            return false;
        for (n = strlen(a->url); n && a->url[n - 1] == '/'; n--)
            a->url[n - 1] = 0;
    }
    for (size_t i = 0; i < option_count(s, "workloads") && i < WORKLOADS; i++)
        if (!workload_read(option_word(s, "workloads", i), &t->workloads[t->n_workloads++]))
            return false;
    return t->annotation != NULL;
}

static struct action_target *kubernetes_open(const struct section *s, struct log *log, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);

    (void)log;
    if (t)
        t->step = action_step_of(s);
    if (!t || !copy_all(s, t)) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        kubernetes_close(&t);
    } else if (secret_copy(s, "authorization", &t->authorization, e) != 0 ||
               action_tls_open(s, &t->tls, e) != 0) {
        kubernetes_close(&t);
    }
    return t;
}

const struct action_driver action_kubernetes = {
    .type = "kubernetes",
    .sentence =
        "Kubernetes: replicas of deployments and stateful sets, up in the new region, none in the old one.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = "apis workloads",
    .steps = 1U << STEP_FENCE | 1U << STEP_PROMOTE | 1U << STEP_WARM,
    .ops = 1U << ACTION_PRECHECK | 1U << ACTION_PROBE | 1U << ACTION_APPLY | 1U << ACTION_UNDO,
    .proves = true,
    .check = kubernetes_check,
    .open = kubernetes_open,
    .close = kubernetes_close,
    .run = kubernetes_run,
};
