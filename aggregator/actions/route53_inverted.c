/* A switch of the data plane alone: a failover record of Route 53 whose primary has an inverted health check, which asks our
 * own public endpoints ("standby takes over primary"). Nothing is changed at Route 53 in a move: the record says active = to,
 * with that every aggregator's /fo/v1/SERVICE/primary-off answers 200, the inverted check fails, and Route 53 answers with the
 * secondary. This driver looks whether the endpoints do answer so, and, with `agree`, whether Route 53's servers do.
 *
 * Its own failure moves nobody before a move, but would send users back after one, since an endpoint that is gone reads as
 * healthy: hence at least two endpoints, and a change of the record itself in the step tidy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/actions/dns_target_io.h"
#include "aggregator/actions/http_io.h"
#include "common/config/copies.h"
#include "common/net/loop.h"

enum { ENDPOINTS_MOST = 16, ARENA_MOST = 1 << 20, ANSWER_MOST = 4096, LIST_MOST = 200 };

struct endpoint {
    char region[64];
    char *url;
};

struct action_target {
    char *home;
    struct endpoint endpoints[ENDPOINTS_MOST];
    size_t n;
    struct action_tls tls;
    bool asks_dns;
    struct dns_target record;
    struct dns_server servers[DNS_SERVERS];
    size_t n_servers;
};

static const struct option_row rows[] = {
    {.key = "home",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "The region whose record has the inverted health check."},
    {.key = "pages",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .min = 0,
     .max = ENDPOINTS_MOST,
     .sentence = "REGION=URL of each aggregator's public page that health checks ask, such as "
                 "us-west-2=https://lookout.example.com/fo/v1/app/primary-off; at least two."},
    ACTION_ROWS_RECORD,
    ACTION_ROW_TOKEN_NAME,
    ACTION_ROW_AGREE,
    ACTION_ROWS_TLS,
};

/* ---- options ---- */

static void inverted_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        free(t->endpoints[i].url);
    free(t->home);
    action_tls_close(&t->tls);
    if (t->asks_dns)
        dns_target_close(&t->record);
    free(t);
    *tp = NULL;
}

static int endpoints_open(struct action_target *t, const struct section *s, struct err *e)
{
    int rc = action_regions_check(s, "pages", e);

    if (!rc && option_count(s, "pages") < 2)
        rc = err_set(e, ERR_CONFIG,
                     "expected at least two: after a move an endpoint that is gone sends users back");
    for (size_t i = 0; !rc && i < option_count(s, "pages"); i++) {
        const char *word = option_word(s, "pages", i), *url = strchr(word, '=') + 1;
        size_t n = (size_t)(url - 1 - word);
        struct endpoint *p = &t->endpoints[t->n];

        if (n >= sizeof p->region || (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0) ||
            strpbrk(url, "@#"))
            return err_set(e, ERR_CONFIG, "found \"%.120s\", expected REGION=https://...", word);
        memcpy(p->region, word, n);
        p->url = strdup(url);
        if (!p->url)
            return err_set(e, ERR_NOMEM, "no memory for an action");
        t->n++;
    }
    return rc;
}

static struct action_target *plain_open(const struct section *s, const char **key, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);
    int rc;

    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        return NULL;
    }
    *key = "pages";
    t->home = option_copy(s, "home");
    rc = t->home ? endpoints_open(t, s, e) : err_set(e, ERR_NOMEM, "no memory for an action");
    if (!rc && option_count(s, "agree")) {
        rc = dns_target_open(s, &t->record, key, e);
        t->asks_dns = !rc;
        if (!rc) {
            *key = "agree";
            rc = dns_servers_open(s, *key, t->servers, DNS_SERVERS, &t->n_servers, e);
        }
    }
    if (rc)
        inverted_close(&t);
    return t;
}

static int inverted_check(const struct section *s, const char **key, struct err *e)
{
    struct action_target *t = plain_open(s, key, e);

    if (!t)
        return e->code;
    inverted_close(&t);
    return 0;
}

static struct action_target *inverted_open(const struct section *s, struct log *log, struct err *e)
{
    const char *key = "";
    struct action_target *t = plain_open(s, &key, e);

    (void)log;
    if (t && action_tls_open(s, &t->tls, e) != 0)
        inverted_close(&t);
    return t;
}

/* ---- runs ---- */

struct job {
    const struct action_target *t;
    const struct action_order *o;
    struct action_result *out;
    struct mono until;
    char silent[LIST_MOST], wrong[LIST_MOST], strange[LIST_MOST];
    size_t n_right, n_right_outside; /* outside of the region that is left */
};

static void note(char list[LIST_MOST], const char *fmt, const char *text, int number)
{
    size_t n = strlen(list);

    if (n)
        (void)snprintf(list + n, LIST_MOST - n, " ");
    n = strlen(list);
    (void)snprintf(list + n, LIST_MOST - n, fmt, text, number);
}

/* Asks each endpoint; it is right when it answers as it has to while `region` is active. */
static void ask_all(struct job *j, const char *region)
{
    bool off = strcmp(region, j->t->home) != 0;

    for (size_t i = 0; i < j->t->n; i++) {
        const struct endpoint *p = &j->t->endpoints[i];
        struct http_request r = {.method = "GET", .url = p->url, .max_answer = ANSWER_MOST};
        struct action_answer ans;
        struct err e = {0};
        struct arena a;

        arena_init(&a, NULL, ARENA_MOST);
        if (action_http(&j->t->tls, &r, mono_sub(dns_share(j->until, (int)(j->t->n - i) + 1), clock_mono()),
                        &a, &ans, &e) != 0 ||
            ans.http.code != 0) {
            note(j->silent, "%.60s", p->region, 0);
        } else if (ans.http.status == (off ? 200 : 503)) {
            j->n_right++;
            j->n_right_outside += strcmp(p->region, j->o->from) != 0;
        } else if (ans.http.status == (off ? 503 : 200)) {
            note(j->wrong, "%.60s", p->region, 0);
        } else {
            note(j->strange, "%.60s (status %d)", p->region, ans.http.status);
        }
        arena_free(&a);
    }
    action_seen(j->out, "%zu of %zu endpoints say that the primary is %s%s%s", j->n_right, j->t->n,
                off ? "off" : "on", *j->silent ? "; no answer: " : "", j->silent);
}

/* What users' resolvers are told, by Route 53's own servers. */
static void ask_dns(struct job *j, const char *region)
{
    const ldns_rr_list *want = dns_target_want(&j->t->record, region, j->out);

    if (!want)
        return;
    dns_agree(&(struct dns_agreement){.servers = j->t->servers,
                                      .n = j->t->n_servers,
                                      .n_own = j->t->n_servers,
                                      .place = &j->t->record.place,
                                      .want = want,
                                      .unmarked = true,
                                      .order = j->o,
                                      .until = j->until},
              j->out);
    if (j->out->class == ACTION_NOT_APPLIED)
        j->out->class = ACTION_PROGRESS;
}

static void look(struct job *j, const char *region)
{
    ask_all(j, region);
    if (*j->strange)
        action_say(j->out, ACTION_DENIED, "an endpoint answers something else: %s", j->strange);
    else if (*j->wrong && j->n_right)
        action_say(j->out, ACTION_PROGRESS, "not yet: %s", j->wrong);
    else if (*j->wrong)
        action_say(j->out, ACTION_NOT_APPLIED, "no endpoint says so");
    else if (!j->n_right)
        action_say(j->out, ACTION_RETRY, "no endpoint answers: %s", j->silent);
    else
        action_say(j->out, ACTION_OK, "all endpoints that answer say so");
}

/* Nothing is sent: the record has been committed before this is called, and the endpoints follow it. */
static void follow(struct job *j, const char *region)
{
    look(j, region);
    if (j->out->class == ACTION_OK)
        action_say(j->out, ACTION_ALREADY, "all endpoints that answer follow the record");
    else if (j->out->class == ACTION_NOT_APPLIED)
        j->out->class = ACTION_PROGRESS;
}

/* Endpoints in the region that is to be left may be as dead as it is. */
static void precheck(struct job *j)
{
    ask_all(j, j->o->from);
    if (*j->strange)
        action_say(j->out, ACTION_DENIED, "an endpoint answers something else: %s", j->strange);
    else if (*j->wrong)
        action_say(j->out, ACTION_RETRY, "an endpoint says that another region is active: %s", j->wrong);
    else if (!j->n_right_outside)
        action_say(j->out, ACTION_RETRY, "no endpoint outside of %.60s answers: %s", j->o->from, j->silent);
    else
        action_say(j->out, ACTION_OK, "%zu of %zu endpoints answer", j->n_right, j->t->n);
}

static void inverted_run(const struct action_target *t, const struct action_order *o,
                         struct action_result *out)
{
    struct job j = {.t = t, .o = o, .out = out, .until = mono_add(clock_mono(), o->deadline)};

    switch (o->op) {
    case ACTION_PRECHECK: precheck(&j); break;
    case ACTION_PROBE: look(&j, o->to); break;
    case ACTION_VERIFY:
        look(&j, o->to);
        if (out->class == ACTION_OK && t->asks_dns)
            ask_dns(&j, o->to);
        break;
    case ACTION_APPLY: follow(&j, o->to); break;
    default: follow(&j, o->from);
    }
}

const struct action_driver action_route53_inverted = {
    .type = "inverted-health",
    .sentence = "An inverted health check of Route 53 that asks our own public endpoints: no API is called "
                "in a move.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = "home pages",
    .steps = 1U << STEP_SWITCH,
    .ops = (1U << ACTION_OPS) - 1,
    .check = inverted_check,
    .open = inverted_open,
    .close = inverted_close,
    .run = inverted_run,
};
