/* Incidents: what opens, joins and ends them; each state over a restart; a storm; what is shown and written. A small
 * store keeps records and lines as the control store would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <cjson/cJSON.h>

#include "aggregator/incident/incident.h"

static const int64_t base = 1763976660000; /* 2025-11-24T09:31:00Z */

struct kept {
    char key[96];
    char *value;
};
struct told {
    char incident[32];
    char *json;
};
struct kit {
    struct mem mem;
    struct config *config;
    struct incidents *i;
    struct kept *records;
    size_t n_records, n_writes;
    struct told *lines;
    size_t n_lines;
    struct fingerprint acked[16];
    size_t n_acked;
    char id[32];
    struct err e;
    int64_t now; /* seconds after base */
};

static void record(void *arg, struct bytes key, struct bytes value)
{
    struct kit *k = arg;
    size_t at = 0;

    assert_true(key.n < sizeof k->records->key);
    k->n_writes++;
    while (at < k->n_records &&
           (strlen(k->records[at].key) != key.n || memcmp(k->records[at].key, key.p, key.n) != 0))
        at++;
    if (!value.p) {
        assert_true(at < k->n_records); /* nothing is deleted that was not there */
        free(k->records[at].value);
        k->records[at] = k->records[--k->n_records];
        return;
    }
    if (at == k->n_records) {
        k->records = realloc(k->records, ++k->n_records * sizeof *k->records);
        memcpy(k->records[at].key, key.p, key.n);
        k->records[at].key[key.n] = 0;
    } else {
        free(k->records[at].value);
    }
    k->records[at].value = strndup((const char *)value.p, value.n);
}

static void line(void *arg, const char *incident, struct wall t, const char *json)
{
    struct kit *k = arg;

    assert_true(t.ms > 0);
    k->lines = realloc(k->lines, ++k->n_lines * sizeof *k->lines);
    (void)snprintf(k->lines[k->n_lines - 1].incident, 32, "%s", incident);
    k->lines[k->n_lines - 1].json = strdup(json);
}

static void acknowledged(void *arg, const struct fingerprint *alert, const char *who, const char *reason)
{
    struct kit *k = arg;

    assert_string_equal(who, "alice");
    assert_string_equal(reason, "looking");
    if (k->n_acked < 16)
        k->acked[k->n_acked] = *alert;
    k->n_acked++;
}

static struct config *configure(const char *text)
{
    struct buf report;
    struct err e = {0};
    struct config_source s = {"aggregator.ini", {(const uint8_t *)text, strlen(text)}};
    struct config *c;

    buf_init(&report, NULL, 65536);
    c = config_parse(&s, 1, &incidents_section, 1, &report, &e);
    if (!c)
        fail_msg("%s", e.text);
    buf_free(&report);
    return c;
}

static void make(struct kit *k)
{
    k->i = incidents_new(
        &(struct incidents_params){.config = k->config, .mem = &k->mem, .region = "eu-west-1"}, &k->e);
    if (!k->i)
        fail_msg("%s", k->e.text);
}

static void setup(struct kit *k, const char *text)
{
    memset(k, 0, sizeof *k);
    k->config = configure(text);
    make(k);
}

static void forget_lines(struct kit *k)
{
    for (size_t n = 0; n < k->n_lines; n++)
        free(k->lines[n].json);
    k->n_lines = 0;
}

static void teardown(struct kit *k)
{
    incidents_free(&k->i);
    assert_null(k->i);
    assert_int_equal(k->mem.used, 0);
    for (size_t n = 0; n < k->n_records; n++)
        free(k->records[n].value);
    forget_lines(k);
    free(k->records);
    free(k->lines);
    config_free(&k->config);
}

/* As after a crash: all that is known is what was recorded, in another order. */
static void restart(struct kit *k)
{
    incidents_free(&k->i);
    make(k);
    for (size_t n = k->n_records; n-- > 0;)
        assert_int_equal(
            incidents_restore(
                k->i, (struct bytes){(const uint8_t *)k->records[n].key, strlen(k->records[n].key)},
                (struct bytes){(const uint8_t *)k->records[n].value, strlen(k->records[n].value)}, &k->e),
            0);
}

static int step(struct kit *k, struct incident_event ev)
{
    struct incident_effects out = {.arg = k, .record = record, .line = line, .acknowledged = acknowledged};

    memset(&k->e, 0, sizeof k->e);
    ev.now.ms = base + k->now * 1000;
    return incidents_step(k->i, &ev, &out, k->id, &k->e);
}

static void tick(struct kit *k, int64_t seconds)
{
    k->now += seconds;
    assert_int_equal(step(k, (struct incident_event){.kind = INCIDENT_TICK}), 0);
}

struct alert {
    const char *rule, *service, *host;
    enum severity severity;
    bool suppressed;
};

static struct fingerprint send(struct kit *k, const struct alert *a, enum alert_state to)
{
    struct label l[] = {{"alertname", a->rule},
                        {"host", a->host ? a->host : ""},
                        {"region", "eu-west-1"},
                        {"service", a->service}};
    struct alert_notice n = {.rule = a->rule,
                             .labels = {l, 4},
                             .from = to == ALERT_FIRING ? ALERT_PENDING : ALERT_FIRING,
                             .to = to,
                             .severity = a->severity,
                             .t = {base + k->now * 1000},
                             .since = {base + k->now * 1000 - 120000},
                             .data = {base + k->now * 1000 - 800},
                             .epoch = (uint64_t)(base + k->now * 1000),
                             .value = 0.07,
                             .threshold = 0.05,
                             .summary = "errors of 7 % | \"all\" of them",
                             .runbook = "error-rate.md",
                             .reason = "0.01 is below 0.05",
                             .suppressed = a->suppressed};

    n.id = labels_fingerprint(a->rule, n.labels);
    assert_int_equal(step(k, (struct incident_event){.kind = INCIDENT_NOTICE, .notice = &n}), 0);
    return n.id;
}

static cJSON *list(struct kit *k, const char *state)
{
    struct buf json;
    cJSON *o;

    buf_init(&json, NULL, 1 << 20);
    assert_int_equal(incidents_list(k->i, state, 0, 1000, &json), 0);
    o = cJSON_Parse(buf_text(&json));
    assert_non_null(o);
    buf_free(&json);
    return o;
}

static int count(struct kit *k, const char *state)
{
    cJSON *o = list(k, state);
    int n = cJSON_GetArraySize(cJSON_GetObjectItem(o, "incidents"));

    cJSON_Delete(o);
    return n;
}

static cJSON *show(struct kit *k, const char *id)
{
    const char *lines[200];
    struct buf json;
    size_t n = 0;
    cJSON *o;

    for (size_t i = 0; i < k->n_lines && n < 200; i++)
        if (strcmp(k->lines[i].incident, id) == 0)
            lines[n++] = k->lines[i].json;
    buf_init(&json, NULL, 1 << 22);
    assert_int_equal(incidents_show(k->i, id, lines, n, &json, &k->e), 0);
    o = cJSON_Parse(buf_text(&json));
    assert_non_null(o);
    buf_free(&json);
    return o;
}

static const char *text(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItem(o, key);

    return cJSON_IsString(v) ? v->valuestring : "";
}

static double number(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItem(o, key);

    return cJSON_IsNumber(v) ? v->valuedouble : -1;
}

/* The text of the last line of that kind; "" when there is none. */
static const char *last(struct kit *k, const char *kind)
{
    static char out[8000];

    out[0] = 0;
    for (size_t n = 0; n < k->n_lines; n++) {
        cJSON *o = cJSON_Parse(k->lines[n].json);

        if (strcmp(text(o, "kind"), kind) == 0)
            (void)snprintf(out, sizeof out, "%s", text(o, "text"));
        cJSON_Delete(o);
    }
    return out;
}

static const struct alert errors = {"high-error-rate", "checkout", NULL, SEVERITY_ERROR, false};
static const struct alert slow = {"slow", "checkout", NULL, SEVERITY_WARNING, false};
static const struct alert down = {"down", "checkout", NULL, SEVERITY_CRITICAL, false};
static const struct alert elsewhere = {"high-error-rate", "login", NULL, SEVERITY_ERROR, false};

static void a_life(void **state)
{
    struct kit k;
    char id[32];
    cJSON *o;

    (void)state;
    setup(&k, "[incidents]\n");
    send(&k, &slow, ALERT_FIRING); /* a warning opens nothing */
    assert_string_equal(k.id, "");
    k.now = 10;
    send(&k, &errors, ALERT_FIRING);
    memcpy(id, k.id, sizeof id);
    assert_int_equal(strncmp(id, "20251124-0931-", 14), 0);
    assert_int_equal(strlen(id), 18);
    k.now = 20;
    send(&k, &elsewhere, ALERT_FIRING); /* another service */
    assert_string_not_equal(k.id, id);
    assert_int_equal(count(&k, "open"), 2);
    k.now = 30;
    send(&k, &slow, ALERT_FIRING); /* joins what is open */
    assert_string_equal(k.id, id);
    assert_string_equal(last(&k, "severity"), "");
    send(&k, &down, ALERT_FIRING);
    assert_string_equal(last(&k, "severity"), "severity raised to critical by down");
    k.now = 70;
    assert_int_equal(step(&k,
                          (struct incident_event){
                              .kind = INCIDENT_ACK, .incident = id, .who = "alice", .text = "looking"}),
                     0);
    assert_string_equal(k.id, id);
    assert_int_equal(k.n_acked, 3);
    assert_int_equal(count(&k, "acknowledged"), 1);
    assert_int_equal(count(&k, "active"), 2);
    k.now = 100;
    send(&k, &errors, ALERT_INACTIVE);
    send(&k, &slow, ALERT_INACTIVE);
    send(&k, &down, ALERT_CLEARING); /* fires still */
    tick(&k, 3600);
    assert_int_equal(count(&k, "acknowledged"), 1);
    send(&k, &down, ALERT_INACTIVE);
    tick(&k, 599);
    assert_int_equal(count(&k, "acknowledged"), 1);
    tick(&k, 1);
    assert_int_equal(count(&k, "acknowledged"), 0);
    assert_string_equal(last(&k, "resolved"), "resolved by itself: none of its alerts has fired for 10m");
    o = show(&k, id);
    assert_string_equal(text(o, "severity"), "critical");
    assert_string_equal(text(o, "owner"), "alice");
    assert_string_equal(text(o, "state"), "resolved");
    assert_true(number(o, "detect_seconds") == 120);
    assert_true(number(o, "data_to_alert_seconds") == 0.8);
    assert_true(number(o, "acknowledge_seconds") == 60);
    assert_true(number(o, "resolve_seconds") == 100 + 3600 + 600 - 10);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "contributing")), 3);
    assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(o, "timeline")) == 9);
    cJSON_Delete(o);
    teardown(&k);
}

static void again(void **state)
{
    struct kit k;
    char id[32];

    (void)state;
    setup(&k, "[incidents]\nreopen = 30m\nresolve_after = 0s\nwindow = 1h\n");
    send(&k, &errors, ALERT_FIRING);
    memcpy(id, k.id, sizeof id);
    send(&k, &errors, ALERT_FIRING); /* told twice */
    assert_int_equal(k.n_lines, 1);
    k.now += 60;
    send(&k, &errors, ALERT_INACTIVE);
    tick(&k, 1);
    assert_int_equal(count(&k, "resolved"), 1);
    k.now += 1800;
    send(&k, &slow, ALERT_FIRING); /* a warning opens none again either */
    assert_int_equal(count(&k, "resolved"), 1);
    send(&k, &down, ALERT_FIRING);
    assert_string_equal(k.id, id);
    assert_int_equal(count(&k, "open"), 1);
    assert_string_equal(last(&k, "reopened"), "opened again 30m after it was resolved: down fired");
    send(&k, &down, ALERT_INACTIVE);
    tick(&k, 1);
    k.now += 1801; /* too late: another one */
    send(&k, &down, ALERT_FIRING);
    assert_string_not_equal(k.id, id);
    assert_int_equal(count(&k, "all"), 2);
    k.now += 3601; /* open, but nothing new for longer than the window */
    send(&k, &errors, ALERT_FIRING);
    assert_int_equal(count(&k, "open"), 2);
    teardown(&k);
}

static void by_hand(void **state)
{
    struct kit k;
    char id[32];
    struct fingerprint f;

    (void)state;
    setup(&k, "[incidents]\n");
    f = send(&k, &errors, ALERT_FIRING);
    memcpy(id, k.id, sizeof id);
    k.now = 5;
    assert_int_equal(step(&k, (struct incident_event){.kind = INCIDENT_STORY,
                                                      .alert = &f,
                                                      .story_kind = "notification",
                                                      .text = "delivered to pager"}),
                     0);
    assert_string_equal(last(&k, "notification"), "delivered to pager");
    assert_int_equal(
        step(&k, (struct incident_event){.kind = INCIDENT_ACK, .alert = &f, .who = "bob", .text = "mine"}),
        0);
    assert_string_equal(last(&k, "acknowledged"), "bob acknowledged high-error-rate: mine");
    assert_int_equal(k.n_acked, 0);
    assert_int_equal(count(&k, "acknowledged"), 1);
    assert_int_equal(step(&k,
                          (struct incident_event){
                              .kind = INCIDENT_NOTE, .incident = id, .who = "bob", .text = "scaling up"}),
                     0);
    assert_int_equal(
        step(&k, (struct incident_event){.kind = INCIDENT_NOTE, .incident = id, .who = "bob", .text = ""}),
        ERR_MALFORMED);
    assert_int_equal(
        step(&k, (struct incident_event){.kind = INCIDENT_NOTE, .incident = "none", .text = "x"}),
        ERR_NOTFOUND);
    assert_string_equal(k.e.text, "there is no incident \"none\"");
    assert_int_equal(step(&k,
                          (struct incident_event){
                              .kind = INCIDENT_RESOLVE, .incident = id, .who = "bob", .text = "mended"}),
                     0);
    assert_string_equal(last(&k, "resolved"), "bob resolved it while 1 alert fired still: mended");
    assert_int_equal(
        step(&k, (struct incident_event){.kind = INCIDENT_RESOLVE, .incident = id, .who = "bob"}), ERR_STATE);
    assert_int_equal(step(&k, (struct incident_event){.kind = INCIDENT_ACK, .incident = id, .who = "bob"}),
                     ERR_STATE);
    assert_int_equal(
        step(&k,
             (struct incident_event){.kind = INCIDENT_NOTE, .incident = id, .who = "bob", .text = "later"}),
        0);
    k.now = 50; /* what fired on ends in the timeline, and opens nothing */
    send(&k, &errors, ALERT_INACTIVE);
    assert_string_equal(last(&k, "cleared"), "high-error-rate is over after 50s: 0.01 is below 0.05");
    assert_int_equal(count(&k, "resolved"), 1);
    { /* a long note is kept whole; of one that is longer yet no character is cut in two */
        char text[6001];

        for (size_t n = 0; n < 6000; n += 2)
            memcpy(text + n, "\xc3\xa4", 2);
        text[4000] = 0;
        assert_int_equal(
            step(&k,
                 (struct incident_event){.kind = INCIDENT_NOTE, .incident = id, .who = "bob", .text = text}),
            0);
        assert_string_equal(last(&k, "note"), text);
        text[4000] = '\xc3';
        text[4999] = 'a';
        text[6000] = 0;
        assert_int_equal(
            step(&k,
                 (struct incident_event){.kind = INCIDENT_NOTE, .incident = id, .who = "bob", .text = text}),
            0);
        assert_int_equal(strlen(last(&k, "note")) % 2, 0);
    }
    teardown(&k);
}

static void suppressed_ones(void **state)
{
    struct kit k;
    struct alert a = down;
    char id[32];
    cJSON *o;

    (void)state;
    setup(&k, "[incidents]\nopen = critical\nby =\n");
    a.suppressed = true;
    send(&k, &a, ALERT_FIRING);
    assert_int_equal(count(&k, NULL), 0);
    send(&k, &a, ALERT_INACTIVE);
    send(&k, &errors, ALERT_FIRING); /* not of an opening severity */
    assert_int_equal(count(&k, NULL), 0);
    send(&k, &(struct alert){"gone", "other", NULL, SEVERITY_CRITICAL, false}, ALERT_FIRING);
    memcpy(id, k.id, sizeof id);
    send(&k, &a, ALERT_FIRING); /* without labels of grouping there is one group */
    o = show(&k, id);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "contributing")), 2);
    cJSON_Delete(o);
    teardown(&k);
}

static void changes(void **state)
{
    struct kit k;
    struct label mine[] = {{"env", "prod"}, {"service", "checkout"}}, other[] = {{"service", "login"}};
    struct incident_event e = {.kind = INCIDENT_CHANGE, .story_kind = "deployment", .who = "ci"};

    (void)state;
    setup(&k, "[incidents]\n");
    e.text = "checkout 41";
    e.labels = (struct labels){mine, 2};
    assert_int_equal(step(&k, e), 0);
    k.now = 3599;
    e.text = "checkout 42";
    assert_int_equal(step(&k, e), 0);
    e.text = "login 7";
    e.labels = (struct labels){other, 1};
    assert_int_equal(step(&k, e), 0);
    restart(&k);
    k.now = 3700;
    send(&k, &errors, ALERT_FIRING); /* of the hour before: one */
    assert_int_equal(k.n_lines, 2);
    assert_string_equal(last(&k, "deployment"), "checkout 42");
    e.text = "login 8";
    assert_int_equal(step(&k, e), 0);
    assert_int_equal(k.n_lines, 2);
    e.text = "rollback";
    e.labels = (struct labels){mine, 2};
    assert_int_equal(step(&k, e), 0);
    assert_string_equal(last(&k, "deployment"), "rollback");
    for (int n = 0; n < 200; n++) /* bounded */
        assert_int_equal(step(&k, e), 0);
    assert_int_equal(k.n_records, 64 + 2);
    teardown(&k);
}

/* Restarted in each state; what follows happens as if nothing had been. */
static void restarts(void **state)
{
    struct kit k;
    char id[32];
    cJSON *a, *b;

    (void)state;
    setup(&k, "[incidents]\n");
    send(&k, &errors, ALERT_FIRING);
    memcpy(id, k.id, sizeof id);
    send(&k, &slow, ALERT_FIRING);
    a = list(&k, NULL);
    restart(&k); /* open */
    b = list(&k, NULL);
    assert_true(cJSON_Compare(a, b, true));
    cJSON_Delete(a);
    cJSON_Delete(b);
    forget_lines(&k);
    send(&k, &errors, ALERT_FIRING); /* alerts are told again: the same epoch, nothing new */
    assert_int_equal(k.n_lines, 0);
    k.now = 60;
    assert_int_equal(step(&k,
                          (struct incident_event){
                              .kind = INCIDENT_ACK, .incident = id, .who = "alice", .text = "looking"}),
                     0);
    restart(&k); /* acknowledged */
    assert_int_equal(count(&k, "acknowledged"), 1);
    k.now = 90;
    send(&k, &errors, ALERT_INACTIVE);
    restart(&k); /* one of two is over */
    send(&k, &slow, ALERT_INACTIVE);
    restart(&k); /* waiting to be resolved */
    tick(&k, 600);
    assert_int_equal(count(&k, "resolved"), 1);
    a = show(&k, id);
    restart(&k); /* resolved */
    b = show(&k, id);
    cJSON_DeleteItemFromObject(a, "contributing"); /* in any order */
    cJSON_DeleteItemFromObject(b, "contributing");
    assert_true(cJSON_Compare(a, b, true));
    assert_string_equal(text(b, "owner"), "alice");
    cJSON_Delete(a);
    cJSON_Delete(b);
    k.now += 60;
    send(&k, &down, ALERT_FIRING);
    restart(&k); /* opened again */
    assert_int_equal(count(&k, "acknowledged"), 1);
    send(&k, &down, ALERT_INACTIVE);
    tick(&k, 600);
    restart(&k);
    tick(&k, 365 * 86400);
    assert_int_equal(count(&k, NULL), 1);
    tick(&k, 1); /* kept no longer: every record of it goes */
    assert_int_equal(count(&k, NULL), 0);
    assert_int_equal(k.n_records, 0);
    teardown(&k);
}

static void a_storm(void **state)
{
    struct kit k;
    char id[32] = "", host[16];
    struct alert a = {"host-down", "", host, SEVERITY_WARNING, false};
    size_t peak;
    cJSON *o;

    (void)state;
    setup(&k, "[incidents]\nby = region\n");
    send(&k, &errors, ALERT_FIRING);
    memcpy(id, k.id, sizeof id);
    for (int n = 0; n < 5000; n++) {
        k.now = n / 100;
        (void)snprintf(host, sizeof host, "web-%d", n);
        send(&k, &a, ALERT_FIRING);
        assert_string_equal(k.id, id);
    }
    peak = k.mem.used;
    assert_true(peak < 16 << 20);
    assert_int_equal(k.n_lines, 1 + 1000);
    o = show(&k, id);
    assert_true(number(o, "alerts") == 5001);
    assert_true(number(o, "alerts_firing") == 5001);
    assert_true(number(o, "lines_left_out") == 4000);
    cJSON_Delete(o);
    assert_int_equal(step(&k,
                          (struct incident_event){
                              .kind = INCIDENT_NOTE, .incident = id, .who = "bob", .text = "all of it"}),
                     0);
    assert_string_equal(last(&k, "note"), "all of it"); /* people are always heard */
    send(&k, &down, ALERT_FIRING);
    assert_string_equal(last(&k, "severity"), "severity raised to critical by down");
    send(&k, &down, ALERT_INACTIVE);
    send(&k, &errors, ALERT_INACTIVE);
    for (int n = 0; n < 5000; n++) {
        (void)snprintf(host, sizeof host, "web-%d", n);
        send(&k, &a, ALERT_INACTIVE);
    }
    assert_int_equal(k.n_records, 5003);
    tick(&k, 600);
    assert_int_equal(count(&k, "resolved"), 1);
    assert_int_equal(k.n_records, 101); /* the gravest are kept */
    assert_true(k.mem.used < peak / 5);
    o = show(&k, id);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "contributing")), 100);
    assert_true(number(o, "alerts") == 5002);
    assert_string_equal(text(cJSON_GetArrayItem(cJSON_GetObjectItem(o, "contributing"), 0), "alert"), "down");
    cJSON_Delete(o);
    restart(&k);
    assert_int_equal(count(&k, "resolved"), 1);
    teardown(&k);
}

/* More incidents than are kept: resolved ones make room, open ones never. */
static void many(void **state)
{
    struct kit k;
    char service[16];
    struct alert a = {"down", service, NULL, SEVERITY_CRITICAL, false};
    struct buf json;
    cJSON *o;

    (void)state;
    setup(&k, "[incidents]\nresolve_after = 0s\n");
    for (int n = 0; n < 1001; n++) {
        (void)snprintf(service, sizeof service, "s%d", n);
        k.now++;
        send(&k, &a, ALERT_FIRING);
        if (n == 0) {
            send(&k, &a, ALERT_INACTIVE);
            tick(&k, 0);
        }
    }
    assert_int_equal(count(&k, "open"), 1000);
    assert_int_equal(count(&k, "resolved"), 0);
    {
        struct label l[] = {{"service", "one-more"}};
        struct alert_notice n = {.rule = "down",
                                 .labels = {l, 1},
                                 .to = ALERT_FIRING,
                                 .severity = SEVERITY_CRITICAL,
                                 .t = {base},
                                 .epoch = 5};

        n.id = labels_fingerprint(n.rule, n.labels);
        assert_int_equal(step(&k, (struct incident_event){.kind = INCIDENT_NOTICE, .notice = &n}), ERR_NOMEM);
        assert_true(k.e.text[0]);
    }
    buf_init(&json, NULL, 1 << 20);
    assert_int_equal(incidents_list(k.i, NULL, 0, 300, &json), 0);
    o = cJSON_Parse(buf_text(&json));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "incidents")), 300);
    for (int pages = 1; cJSON_IsNumber(cJSON_GetObjectItem(o, "next")); pages++) { /* each once */
        long next = (long)number(o, "next");

        cJSON_Delete(o);
        buf_clear(&json);
        assert_int_equal(incidents_list(k.i, NULL, next, 300, &json), 0);
        o = cJSON_Parse(buf_text(&json));
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "incidents")), pages < 3 ? 300 : 100);
        assert_true(pages <= 3);
    }
    cJSON_Delete(o);
    assert_int_equal(incidents_list(k.i, "broken", 0, 10, &json), ERR_RANGE);
    buf_free(&json);
    teardown(&k);
}

static void damaged_records(void **state)
{
    static const char *const wrong[][2] = {{"i/x", "{}"},
                                           {"i/", "{\"number\":1}"},
                                           {"i/x", "{\"number\":1,\"state\":9}"},
                                           {"i/x", "nonsense"},
                                           {"q/x", "{}"},
                                           {"a/x", "{}"},
                                           {"a/x/12", "{}"},
                                           {"c/99", "{}"},
                                           {"c/1", "{}"},
                                           {"i/x", "[1]"},
                                           {"", ""},
                                           {"a/x/00000000000000000000000000000000", "{}"},
                                           {"i/a-name-that-is-much-too-long-to-be-one", "{\"number\":1}"}};
    struct kit k;
    const char orphan[] =
        "{\"rule\":\"r\",\"firing\":1,\"labels\":7,\"severity\":77,\"at\":1e300,\"group\":[]}";

    (void)state;
    setup(&k, "[incidents]\n");
    for (size_t n = 0; n < sizeof wrong / sizeof *wrong; n++)
        assert_int_equal(
            incidents_restore(k.i, (struct bytes){(const uint8_t *)wrong[n][0], strlen(wrong[n][0])},
                              (struct bytes){(const uint8_t *)wrong[n][1], strlen(wrong[n][1])}, &k.e),
            ERR_MALFORMED);
    record(&k, (struct bytes){(const uint8_t *)"i/lost", 6}, (struct bytes){(const uint8_t *)"x", 1});
    record(&k, (struct bytes){(const uint8_t *)"a/lost/0123456789abcdef0123456789abcdef", 39},
           (struct bytes){(const uint8_t *)orphan, sizeof orphan - 1});
    assert_int_equal(incidents_restore(k.i, (struct bytes){(const uint8_t *)k.records[1].key, 39},
                                       (struct bytes){(const uint8_t *)orphan, sizeof orphan - 1}, &k.e),
                     0);
    assert_int_equal(count(&k, NULL), 0);
    tick(&k, 0); /* members of an incident that is not there go */
    assert_int_equal(k.n_records, 0);
    teardown(&k);
}

static void without_memory(void **state)
{
    struct kit k;

    (void)state;
    for (size_t cap = 1; cap < 40000; cap += 977) {
        memset(&k, 0, sizeof k);
        k.config = configure("[incidents]\n");
        make(&k);
        k.mem.cap = k.mem.used + cap;
        for (int n = 0; n < 40; n++) {
            char host[16];
            struct label l[2] = {{"host", host}, {"service", "checkout"}};
            struct alert_notice a = {.rule = "down",
                                     .labels = {l, 2},
                                     .to = ALERT_FIRING,
                                     .severity = SEVERITY_ERROR,
                                     .t = {base},
                                     .epoch = 5,
                                     .summary = "down"};

            (void)snprintf(host, sizeof host, "%d", n);
            a.id = labels_fingerprint(a.rule, a.labels);
            (void)step(&k, (struct incident_event){.kind = INCIDENT_NOTICE, .notice = &a});
        }
        assert_true(k.mem.used <= k.mem.cap);
        k.mem.cap = 0;
        teardown(&k);
    }
}

static void configuration(void **state)
{
    struct config *c = configure("[incidents]\nopen = critical fatal\n");
    struct mem mem = {0};
    struct err e = {0};

    (void)state;
    assert_null(incidents_new(&(struct incidents_params){.config = c, .mem = &mem, .region = "r"}, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_string_equal(
        e.text,
        "aggregator.ini:2: [incidents] open: found \"fatal\", expected critical, error, warning or info");
    assert_int_equal(mem.used, 0);
    config_free(&c);
}

struct counting {
    struct sink sink; /* first */
    double open, resolved, opened, resolve_s, kept;
};

static void counts(struct sink *s, const struct metric_row *row, const struct text *labels, double v)
{
    struct counting *c = (struct counting *)s;
    const char *l = labels ? labels->p : "";

    if (strcmp(row->name, "securebase_incidents") == 0 && strcmp(l, "open") == 0)
        c->open = v;
    if (strcmp(row->name, "securebase_incidents") == 0 && strcmp(l, "resolved") == 0)
        c->resolved = v;
    if (strcmp(row->name, "securebase_incident_phases_total") == 0 && strcmp(l, "opened") == 0)
        c->opened = v;
    if (strcmp(row->name, "securebase_incident_phase_seconds_total") == 0 && strcmp(l, "resolved") == 0)
        c->resolve_s = v;
    if (strcmp(row->name, "securebase_incident_lines_total") == 0 && strcmp(l, "kept") == 0)
        c->kept = v;
}

static void count_integer(struct sink *s, const struct metric_row *row, const struct text *labels, int64_t v)
{
    counts(s, row, labels, (double)v);
}

static void metrics(void **state)
{
    struct counting c = {.sink = {.integer = count_integer, .real = counts}};
    struct kit k;

    (void)state;
    setup(&k, "[incidents]\nresolve_after = 0s\n");
    send(&k, &errors, ALERT_FIRING);
    send(&k, &elsewhere, ALERT_FIRING);
    k.now = 30;
    send(&k, &elsewhere, ALERT_INACTIVE);
    tick(&k, 0);
    incidents_metrics(k.i, &c.sink);
    assert_true(c.open == 1 && c.resolved == 1 && c.opened == 2 && c.resolve_s == 30 && c.kept == 4);
    teardown(&k);
}

/* The document, word for word: tests/golden/incident/postmortem.md. GOLDEN=write writes it anew. */
static void postmortem(void **state)
{
    static const char slo[] =
        "{\"slos\":[{\"show\":{\"slo\":\"checkout\",\"service\":\"checkout\",\"objective_ratio\":0.9995,"
        "\"groups\":["
        "{\"labels\":{\"service\":\"checkout\",\"region\":\"eu-west-1\"},\"windows\":[{\"window\":\"5m\"},"
        "{\"window\":\"period\",\"good\":9987,\"total\":10000,\"compliance_ratio\":0.9987}],"
        "\"error_budget_remaining_ratio\":-1.6},"
        "{\"labels\":{\"service\":\"checkout\",\"region\":\"us-east-1\"},\"windows\":[]}]},"
        "\"report\":{\"downtime\":{\"allowed_minutes\":21.6},\"intervals\":["
        "{\"from\":\"2025-11-23T00:00:00.000Z\",\"to\":\"2025-11-23T01:00:00.000Z\",\"verdict\":\"down\"},"
        "{\"from\":\"2025-11-24T09:34:00.000Z\",\"to\":\"2025-11-24T09:44:00.000Z\",\"verdict\":\"down\"},"
        "{\"from\":\"2025-11-24T09:44:00.000Z\",\"to\":\"2025-11-24T09:46:00.000Z\",\"verdict\":\"unknown\"},"
        "{\"from\":\"2025-11-24T10:30:00.000Z\",\"to\":\"2025-11-24T12:00:00.000Z\",\"verdict\":\"down\"}]}},"
        "{\"show\":{\"slo\":\"login\",\"service\":\"login\",\"groups\":[{\"labels\":{\"region\":\"eu-west-"
        "1\"}}]},"
        "\"report\":null}]}";
    char path[4096], was[32768] = "", id[32];
    const char *lines[64];
    struct kit k;
    struct label mine[] = {{"service", "checkout"}};
    struct buf md;
    size_t n;
    FILE *f;

    (void)state;
    setup(&k, "[incidents]\n");
    assert_int_equal(step(&k, (struct incident_event){.kind = INCIDENT_CHANGE,
                                                      .story_kind = "deployment",
                                                      .who = "ci",
                                                      .text = "checkout 42 <b>canary</b>",
                                                      .labels = {mine, 1}}),
                     0);
    k.now = 300;
    send(&k, &errors, ALERT_FIRING);
    memcpy(id, k.id, sizeof id);
    k.now = 330;
    send(&k, &down, ALERT_FIRING);
    k.now = 420;
    assert_int_equal(step(&k,
                          (struct incident_event){
                              .kind = INCIDENT_ACK, .incident = id, .who = "alice", .text = "looking"}),
                     0);
    assert_int_equal(step(&k, (struct incident_event){.kind = INCIDENT_NOTE,
                                                      .incident = id,
                                                      .who = "alice",
                                                      .text = "rolled back | 41 serves"}),
                     0);
    k.now = 3000;
    send(&k, &errors, ALERT_INACTIVE);
    send(&k, &down, ALERT_INACTIVE);
    tick(&k, 600);
    for (n = 0; n < k.n_lines; n++)
        lines[n] = k.lines[n].json;
    buf_init(&md, NULL, 1 << 20);
    assert_int_equal(incidents_postmortem(k.i, id, lines, n, slo, &md, &k.e), 0);
    (void)snprintf(path, sizeof path, "%s/tests/golden/incident/postmortem.md", getenv("TEST_SOURCE"));
    if (getenv("GOLDEN") && strcmp(getenv("GOLDEN"), "write") == 0) {
        f = fopen(path, "we");
        assert_non_null(f);
        (void)fwrite(md.data, 1, md.len, f);
        (void)fclose(f);
    }
    f = fopen(path, "re");
    assert_non_null(f);
    n = fread(was, 1, sizeof was - 1, f);
    (void)fclose(f);
    assert_string_equal(buf_text(&md), was);
    buf_clear(&md);
    assert_int_equal(incidents_postmortem(k.i, "nothing", NULL, 0, NULL, &md, &k.e), ERR_NOTFOUND);
    assert_int_equal(incidents_postmortem(k.i, id, (const char *const[]){"not JSON"}, 1, NULL, &md, &k.e), 0);
    assert_non_null(strstr(buf_text(&md), "No objective is known"));
    buf_free(&md);
    teardown(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life),          cmocka_unit_test(again),         cmocka_unit_test(by_hand),
        cmocka_unit_test(suppressed_ones), cmocka_unit_test(changes),       cmocka_unit_test(restarts),
        cmocka_unit_test(a_storm),         cmocka_unit_test(many),          cmocka_unit_test(damaged_records),
        cmocka_unit_test(without_memory),  cmocka_unit_test(configuration), cmocka_unit_test(metrics),
        cmocka_unit_test(postmortem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
