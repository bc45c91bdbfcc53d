/* Every rule of conf/alerts.d on virtual time, from tests/rules/shipped.ini: silent while all is good; pending, and
 * pending still after a restart; firing no earlier than its `for` and soon after; firing still after a restart, told
 * once; firing still while no data comes; clear after the recovery. And each runbook that a rule names is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <cjson/cJSON.h>

#include "aggregator/alert/trial_rig.h"

#define START INT64_C(1767571200000) /* 2026-01-05T00:00:00Z, a Monday */

enum {
    STEP = 10,
    BIRTH = 300, /* while series are young a rule may be pending */
    SERIES = 16,
    FILES = 16,
    RECORDS = 4000,
    LEAST_RULES = 45
};
static const char *const files[] = {"hosts",  "caches",  "databases", "services",
                                    "probes", "regions", "monitor",   "failover"};
enum { N_FILES = sizeof files / sizeof *files };

static const struct option_row case_rows[] = {
    {.key = "warm", .type = OPT_DURATION, .dflt = "20m", .sentence = "All is good for so long."},
    {.key = "patience",
     .type = OPT_DURATION,
     .dflt = "10m",
     .sentence = "It fires within so long after its hold."},
    {.key = "quiet", .type = OPT_DURATION, .dflt = "40m", .sentence = "No data for so long."},
    {.key = "clears",
     .type = OPT_DURATION,
     .dflt = "30m",
     .sentence = "It is over so long after the recovery."},
};
static const struct option_row series_rows[] = {
    {.key = "metric", .type = OPT_STRING, .required = true, .sentence = "Its name."},
    {.key = "labels", .type = OPT_LABELS, .dflt = "", .sentence = "Its labels."},
    {.key = "kind",
     .type = OPT_CHOICE,
     .choices = "gauge counter growing sketch",
     .dflt = "gauge",
     .sentence = "Kind."},
    {.key = "times", .type = OPT_INT, .dflt = "1", .min = 1, .max = 1000, .sentence = "Values in a step."},
    {.key = "good", .type = OPT_STRING, .required = true, .sentence = "Value of a step when all is good."},
    {.key = "bad", .type = OPT_STRING, .required = true, .sentence = "Value of a step when it is not."},
};
static const struct section_row case_sections[] = {
    {.name = "case",
     .named = true,
     .sentence = "A rule.",
     .rows = case_rows,
     .n_rows = sizeof case_rows / sizeof *case_rows},
    {.name = "series",
     .named = true,
     .sentence = "A series.",
     .rows = series_rows,
     .n_rows = sizeof series_rows / sizeof *series_rows},
};

enum phase { GOOD, BAD, NOTHING };

struct series {
    const char *metric, *text[2];
    enum fact_kind kind;
    bool grows;
    int64_t times;
    struct label labels[12];
    uint32_t n_labels;
    double value; /* of a counter or growing: the reading */
};

struct record {
    char *key, *value;
};

struct run {
    struct mem mem;
    struct rig rig;
    struct config *rules; /* borrowed */
    const char *name;     /* of the rule */
    struct series series[SERIES];
    uint32_t n_series;
    int64_t now; /* seconds since the start */
    enum phase phase;
    int64_t phase_began;
    struct record *records;
    uint32_t n_records;
    unsigned fired, cleared; /* transitions told, those told again left out */
    char summary[600], description[1200], runbook[300];
    struct buf report;
};

static char *read_file(const char *path)
{
    char name[4096], *text = calloc(1, 1 << 20);
    FILE *f;

    (void)snprintf(name, sizeof name, "%s/%s", getenv("TEST_SOURCE"), path);
    f = fopen(name, "re");
    if (!f)
        fail_msg("%s is not there", name);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    (void)fclose(f);
    return text;
}

static struct config *parse(const struct config_source *sources, size_t n, const struct section_row *rows,
                            size_t n_rows)
{
    struct buf report;
    struct err e = {0};
    struct config *c;

    buf_init(&report, NULL, 1 << 20);
    c = config_parse(sources, n, rows, n_rows, &report, &e);
    if (!c || report.len)
        fail_msg("%s\n%s", e.text, buf_text(&report));
    buf_free(&report);
    return c;
}

static struct config *shipped(char *texts[N_FILES])
{
    struct config_source sources[N_FILES];
    static char names[N_FILES][64];

    for (size_t i = 0; i < N_FILES; i++) {
        (void)snprintf(names[i], sizeof names[i], "conf/alerts.d/%s.ini", files[i]);
        texts[i] = read_file(names[i]);
        sources[i] = (struct config_source){names[i], {(const uint8_t *)texts[i], strlen(texts[i])}};
    }
    return parse(sources, N_FILES, &alert_section, 1);
}

static void told(void *arg, const struct alert_notice *n)
{
    struct run *r = arg;

    if (strcmp(n->rule, r->name) != 0 || n->restored)
        return;
    r->fired += n->to == ALERT_FIRING && n->from != ALERT_CLEARING && n->from != ALERT_FIRING;
    r->cleared += n->to == ALERT_INACTIVE && n->from != ALERT_PENDING;
    if (n->to == ALERT_FIRING) {
        (void)snprintf(r->summary, sizeof r->summary, "%s", n->summary);
        (void)snprintf(r->description, sizeof r->description, "%s", n->description);
        (void)snprintf(r->runbook, sizeof r->runbook, "%s", n->runbook);
        assert_true(labels_get(n->labels, "severity")[0] && labels_get(n->labels, "team")[0]);
        assert_true(labels_get(n->labels, "service")[0] || strcmp(n->rule, "region-degraded") == 0);
    }
}

static void record(void *arg, struct bytes key, struct bytes value)
{
    struct run *r = arg;
    uint32_t i = 0;

    while (i < r->n_records &&
           (strlen(r->records[i].key) != key.n || memcmp(r->records[i].key, key.p, key.n) != 0))
        i++;
    if (i < r->n_records) {
        free(r->records[i].value);
        r->records[i].value = NULL;
    } else if (value.p) {
        assert_true(i < RECORDS);
        r->records[r->n_records++].key = strndup((const char *)key.p, key.n);
    } else {
        return;
    }
    if (value.p) {
        r->records[i].value = strndup((const char *)value.p, value.n);
        return;
    }
    free(r->records[i].key);
    r->records[i] = r->records[--r->n_records];
}

static void decision(void *arg, const struct fingerprint *alert, struct wall t, const char *json)
{
    (void)arg;
    (void)alert;
    (void)t;
    (void)json;
}

/* "300", "300+10", "100e9-2e7": a value, and what is added with each step of the phase. */
static double value_of(const struct run *r, const char *text)
{
    char *end;
    double v = strtod(text, &end);

    return *end ? v + strtod(end, NULL) * (double)((r->now - r->phase_began) / STEP) : v;
}

static void feed(struct run *r)
{
    for (uint32_t i = 0; i < r->n_series && r->phase != NOTHING; i++) {
        struct series *s = &r->series[i];
        double v = value_of(r, s->text[r->phase]);

        s->value = s->grows ? s->value + v : v;
        for (int64_t k = 0; k < s->times; k++)
            assert_int_equal(trial_feed_value(r->rig.feed, r->rig.facts, s->metric, s->kind,
                                              (struct labels){s->labels, s->n_labels},
                                              (struct wall){START + r->now * 1000}, s->value),
                             0);
    }
}

static void step(struct run *r)
{
    const struct alert_effects out = {r, told, record, decision};

    r->now += STEP;
    facts_advance(r->rig.facts, (struct wall){START + r->now * 1000});
    feed(r);
    rig_step(&r->rig, (struct wall){START + r->now * 1000}, false, &out);
}

static void enter(struct run *r, enum phase p)
{
    r->phase = p;
    r->phase_began = r->now;
}

/* Alerts of the rule in a state. */
static unsigned alerts_in(struct run *r, const char *state)
{
    struct buf json;
    unsigned n = 0;
    cJSON *o, *x;

    buf_init(&json, NULL, 8 << 20);
    assert_int_equal(alerts_list(r->rig.alerts, &(struct alert_query){.rule = r->name, .limit = 1000}, &json),
                     0);
    o = cJSON_Parse(buf_text(&json));
    assert_non_null(o);
    cJSON_ArrayForEach(x, cJSON_GetObjectItem(o, "alerts")) n +=
        strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(x, "state")), state) == 0;
    cJSON_Delete(o);
    buf_free(&json);
    return n;
}

/* The engine begins anew from its records; facts come back as history tells them. */
static void restart(struct run *r)
{
    struct alerts_params p = {
        .config = r->rules, .selections = r->rig.selections, .mem = &r->mem, .region = "eu-west-1"};
    struct err e = {0};

    alerts_free(&r->rig.alerts);
    r->rig.alerts = alerts_new(&p, &r->report, &e);
    assert_non_null(r->rig.alerts);
    for (uint32_t i = 0; i < r->n_records; i++)
        assert_int_equal(
            alerts_restore(
                r->rig.alerts, (struct bytes){(const uint8_t *)r->records[i].key, strlen(r->records[i].key)},
                (struct bytes){(const uint8_t *)r->records[i].value, strlen(r->records[i].value)}, &e),
            0);
}

static void take_series(struct run *r, const struct config *cases)
{
    const struct section *s;
    size_t n = strlen(r->name);
    const char *kind, *name, *value;

    for (size_t i = 0; (s = config_named(cases, "series", i)); i++) {
        struct series *x = &r->series[r->n_series];

        if (strncmp(section_label(s), r->name, n) != 0 || section_label(s)[n] != '.')
            continue;
        assert_true(r->n_series < SERIES);
        kind = option_text(s, "kind");
        *x = (struct series){.metric = option_text(s, "metric"),
                             .text = {option_text(s, "good"), option_text(s, "bad")},
                             .kind = strcmp(kind, "counter") == 0  ? FACT_COUNTER
                                     : strcmp(kind, "sketch") == 0 ? FACT_SKETCH
                                                                   : FACT_GAUGE,
                             .grows = strcmp(kind, "counter") == 0 || strcmp(kind, "growing") == 0,
                             .times = option_int(s, "times")};
        for (; x->n_labels < option_count(s, "labels"); x->n_labels++) {
            option_label(s, "labels", x->n_labels, &name, &value);
            x->labels[x->n_labels] = (struct label){name, value};
        }
        labels_sort(x->labels, x->n_labels);
        r->n_series++;
    }
    if (!r->n_series)
        fail_msg("%s: tests/rules/shipped.ini has no series", r->name);
}

static int64_t seconds(const struct section *s, const char *key)
{
    return span_to_ms(option_span(s, key)) / 1000;
}

static void until_firing(struct run *r, const struct section *rule, const struct section *c)
{
    int64_t hold = seconds(rule, "for"), pending = -1;

    enter(r, BAD);
    while (!alerts_in(r, "firing")) {
        if (pending < 0 && alerts_in(r, "pending")) {
            pending = r->now;
            restart(r);
        }
        if (r->now - r->phase_began > hold + seconds(c, "patience"))
            fail_msg("%s does not fire within %lld s", r->name, (long long)(r->now - r->phase_began));
        step(r);
        if (pending >= 0 && !alerts_in(r, "pending") && !alerts_in(r, "firing"))
            fail_msg("%s: not pending any more %lld s after a restart", r->name,
                     (long long)(r->now - pending));
    }
    if (hold > STEP && pending < 0)
        fail_msg("%s fired without having been pending", r->name);
    if (pending >= 0 && (r->now - pending < hold - STEP || r->now - pending > hold + 3 * STEP))
        fail_msg("%s fired %lld s after it was pending, and is to wait %lld s", r->name,
                 (long long)(r->now - pending), (long long)hold);
    assert_int_equal(r->fired, alerts_in(r, "firing"));
}

static void told_well(const struct run *r, const struct section *rule)
{
    if (strstr(r->summary, "${") || strstr(r->description, "${") || !r->summary[0] || !r->description[0] ||
        strstr(r->summary, "  ") || strstr(r->summary, " .") || strstr(r->summary, " :"))
        fail_msg("%s says \"%s\", \"%s\"", r->name, r->summary, r->description);
    assert_string_equal(r->runbook, option_text(rule, "runbook"));
}

static void one_rule(struct config *rules, const struct config *cases, const struct section *rule,
                     const struct section *c)
{
    struct run r = {.rules = rules, .name = section_label(rule)};
    struct err e = {0};
    unsigned firing;

    r.records = calloc(RECORDS, sizeof *r.records);
    buf_init(&r.report, NULL, 1 << 20);
    if (rig_open(&r.rig, rules, "eu-west-1", &r.mem, &r.report, &e) != 0)
        fail_msg("%s\n%s", e.text, buf_text(&r.report));
    take_series(&r, cases);
    for (enter(&r, GOOD); r.now < seconds(c, "warm");) {
        step(&r);
        if (alerts_in(&r, "firing") || (r.now > BIRTH && alerts_in(&r, "pending")))
            fail_msg("%s fires or is pending while all is good, after %lld s", r.name, (long long)r.now);
    }
    until_firing(&r, rule, c);
    told_well(&r, rule);
    if (getenv("VERBOSE"))
        printf("%s: %s\n", r.name, r.summary);
    firing = alerts_in(&r, "firing");
    restart(&r);
    step(&r);
    if (alerts_in(&r, "firing") != firing || r.fired != firing)
        fail_msg("%s: after a restart %u of %u fire, and %u were told", r.name, alerts_in(&r, "firing"),
                 firing, r.fired);
    for (enter(&r, NOTHING); r.now < r.phase_began + seconds(c, "quiet");) {
        if (r.now == r.phase_began + 60)
            restart(&r); /* also while nothing comes */
        step(&r);
        if (alerts_in(&r, "firing") < firing)
            fail_msg("%s does not hold without data, after %lld s", r.name,
                     (long long)(r.now - r.phase_began));
    }
    for (enter(&r, GOOD); alerts_in(&r, "firing") + alerts_in(&r, "clearing") > 0; step(&r))
        if (r.now > r.phase_began + seconds(c, "clears"))
            fail_msg("%s does not clear within %lld s", r.name, (long long)(r.now - r.phase_began));
    assert_int_equal(r.cleared, r.fired);
    rig_close(&r.rig);
    for (uint32_t i = 0; i < r.n_records; i++) {
        free(r.records[i].key);
        free(r.records[i].value);
    }
    free(r.records);
    buf_free(&r.report);
    assert_int_equal(r.mem.used, 0);
}

static void every_rule(void **state)
{
    char *texts[N_FILES], *text = read_file("tests/rules/shipped.ini");
    struct config_source source = {"tests/rules/shipped.ini", {(const uint8_t *)text, strlen(text)}};
    struct config *rules = shipped(texts), *cases = parse(&source, 1, case_sections, 2);
    const struct section *rule, *c;
    size_t n = 0;

    (void)state;
    for (; (rule = config_named(rules, "alert", n)); n++) {
        size_t k = 0;

        while ((c = config_named(cases, "case", k)) && strcmp(section_label(c), section_label(rule)) != 0)
            k++;
        if (!c)
            fail_msg("%s has no case in tests/rules/shipped.ini", section_label(rule));
        if (!getenv("RULE") || strcmp(getenv("RULE"), section_label(rule)) == 0)
            one_rule(rules, cases, rule, c);
    }
    assert_true(n >= LEAST_RULES);
    for (size_t k = 0; (c = config_named(cases, "case", k)); k++) { /* and no case without a rule */
        size_t i = 0;

        while ((rule = config_named(rules, "alert", i)) && strcmp(section_label(c), section_label(rule)) != 0)
            i++;
        if (!rule)
            fail_msg("tests/rules/shipped.ini has a case of %s, which is not shipped", section_label(c));
    }
    config_free(&rules);
    config_free(&cases);
    free(text);
    for (size_t i = 0; i < N_FILES; i++)
        free(texts[i]);
}

/* /usr/share/doc/securebase/runbooks/FILE.md#SECTION is docs/runbooks/FILE.md, with the heading "## SECTION". */
static void every_runbook(void **state)
{
    static const char folder[] = "/usr/share/doc/securebase/runbooks/";
    char *texts[N_FILES], path[256], heading[256], *page;
    struct config *rules = shipped(texts);
    const struct section *rule;

    (void)state;
    for (size_t n = 0; (rule = config_named(rules, "alert", n)); n++) {
        const char *link = option_text(rule, "runbook"), *name = section_label(rule), *hash = NULL;

        hash = link ? strchr(link, '#') : NULL;
        if (!hash || strncmp(link, folder, sizeof folder - 1) != 0)
            fail_msg("%s names no section of a runbook", name);
        if (!option_text(rule, "summary") || !option_text(rule, "description") || !option_text(rule, "team"))
            fail_msg("%s has no summary, description or team", name);
        link += sizeof folder - 1;
        (void)snprintf(path, sizeof path, "docs/runbooks/%.*s", (int)(hash - link), link);
        (void)snprintf(heading, sizeof heading, "\n## %s\n", hash + 1);
        page = read_file(path);
        if (!strstr(page, heading))
            fail_msg("%s: %s has no section \"%s\"", name, path, hash + 1);
        free(page);
    }
    config_free(&rules);
    for (size_t i = 0; i < N_FILES; i++)
        free(texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_runbook),
        cmocka_unit_test(every_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
