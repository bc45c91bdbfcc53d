/* Sends notifications through receivers, for tests in other languages: the channels as the aggregator uses them.
 *
 *   tell_tool FILE.ini                   < one JSON object per line      > one JSON object per line
 *
 * FILE.ini has [receiver NAME] sections only. A line in: {"receiver": NAME, "tell": "trigger", "dedup_key", "title", "text",
 * "severity", "group": {}, "alerts": [{"rule", "labels": {}, "firing", "since", "ended", "summary", ...}], "more", "link",
 * "ack_link", "time"}; what is left out is empty. A line out for each, in the order in which they end: {"line": N from 1,
 * "outcome", "retry_after": seconds, "text"}, or {"line", "error"} when it was not taken. {"reload": true} reads the file
 * again. {"metrics": true} prints all figures as {"line", "name{labels}": value}. Ends when all have ended after the end of
 * its input; {"stop": true} stops at once, as the aggregator does. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/channel.h"
#include "aggregator/notify/told.h"
#include "common/net/loop.h"

enum { LINE_MOST = 8 << 20 };

struct tool {
    pthread_mutex_t lock;
    pthread_cond_t change;
    unsigned open;
    struct option_row rows[RECEIVER_ROWS];
    struct section_row section;
    struct teller *teller;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "tell_tool: %s\n", what);
    exit(2);
}

static void print(cJSON *j)
{
    char *s = cJSON_PrintUnformatted(j);

    if (!s)
        die("no memory");
    (void)puts(s);
    (void)fflush(stdout);
    cJSON_free(s);
    cJSON_Delete(j);
}

static void on_ended(void *arg, uint64_t delivery, const struct told_result *r)
{
    struct tool *t = arg;
    cJSON *o = cJSON_CreateObject();

    cJSON_AddNumberToObject(o, "line", (double)delivery);
    cJSON_AddStringToObject(o, "outcome", outcome_name(r->outcome));
    cJSON_AddNumberToObject(o, "retry_after", span_seconds(r->retry_after));
    cJSON_AddStringToObject(o, "text", r->text);
    pthread_mutex_lock(&t->lock);
    print(o);
    t->open--;
    pthread_cond_signal(&t->change);
    pthread_mutex_unlock(&t->lock);
}

static const char *text(const cJSON *o, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

    return s ? s : "";
}

static struct wall when(const cJSON *o, const char *key)
{
    struct wall t = {0};

    if (*text(o, key) && wall_parse(text(o, key), &t) != 0)
        die("a time that is none");
    return t;
}

static struct labels labels(struct arena *a, const cJSON *o)
{
    struct label *v = arena_array(a, (size_t)cJSON_GetArraySize(o) + 1, sizeof *v);
    uint32_t n = 0;

    for (const cJSON *i = o ? o->child : NULL; i; i = i->next)
        v[n++] = (struct label){i->string, i->valuestring};
    return (struct labels){v, n};
}

static enum severity severity(const cJSON *o)
{
    enum severity s = SEVERITY_CRITICAL;

    if (*text(o, "severity") && severity_parse(text(o, "severity"), &s) != 0)
        die("a severity that is none");
    return s;
}

static struct told_alert alert(struct arena *a, const cJSON *o)
{
    struct told_alert t = {
        .rule = text(o, "rule"),
        .labels = labels(a, cJSON_GetObjectItemCaseSensitive(o, "labels")),
        .firing = !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(o, "firing")),
        .severity = severity(o),
        .since = when(o, "since"),
        .ended = when(o, "ended"),
        .value = 1,
        .threshold = 0.5,
        .summary = text(o, "summary"),
        .description = text(o, "description"),
        .runbook = text(o, "runbook"),
        .explain = text(o, "explain"),
    };

    (void)snprintf(t.id, sizeof t.id, "%.32s", text(o, "id"));
    return t;
}

static int send_one(struct tool *t, const cJSON *o, unsigned line)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "alerts"), *item;
    struct notification n = {
        .dedup_key = text(o, "dedup_key"),
        .title = text(o, "title"),
        .text = text(o, "text"),
        .severity = severity(o),
        .source = "us-east-1/test",
        .link = text(o, "link"),
        .ack_link = text(o, "ack_link"),
        .t = when(o, "time"),
        .attempt = 1,
        .change_kind = text(o, "change_kind"),
    };
    struct told_alert *v;
    struct arena a;
    int rc;

    arena_init(&a, NULL, 0);
    if (!n.t.ms)
        n.t = clock_wall();
    n.first = n.t;
    while (strcmp(tell_name(n.tell), *text(o, "tell") ? text(o, "tell") : "trigger") != 0)
        if (++n.tell > TELL_TEST)
            die("a tell that is none");
    if (cJSON_HasObjectItem(o, "more"))
        n.more = (uint32_t)cJSON_GetObjectItemCaseSensitive(o, "more")->valueint;
    n.group = labels(&a, cJSON_GetObjectItemCaseSensitive(o, "group"));
    n.alerts = v = arena_array(&a, (size_t)cJSON_GetArraySize(list) + 1, sizeof *v);
    cJSON_ArrayForEach(item, list) v[n.n_alerts++] = alert(&a, item);
    rc = teller_send(t->teller, line, text(o, "receiver"), &n);
    arena_free(&a);
    return rc;
}

static struct config *load(struct tool *t, const char *file, struct err *e)
{
    struct buf report;
    struct config *c;

    buf_init(&report, NULL, 65536);
    c = config_load(file, NULL, &t->section, 1, &report, e);
    if (c && receiver_check(c, &report, e) != 0)
        config_free(&c);
    (void)fputs(buf_text(&report), stderr);
    buf_free(&report);
    return c;
}

struct figures {
    struct sink sink;
    cJSON *o;
};

static void figure(struct sink *s, const struct metric_row *row, const struct text *l, double v)
{
    char name[512];
    size_t n = (size_t)snprintf(name, sizeof name, "%s{", row->name);

    for (size_t i = 0; i < metric_label_count(row); i++)
        n += (size_t)snprintf(name + n, sizeof name - n, "%s%.*s=%.*s", i ? "," : "",
                              (int)metric_label_name(row, i).n, metric_label_name(row, i).p, (int)l[i].n,
                              l[i].p);
    (void)snprintf(name + n, sizeof name - n, "}");
    cJSON_AddNumberToObject(((struct figures *)(void *)s)->o, name, v);
}

static void figure_int(struct sink *s, const struct metric_row *row, const struct text *l, int64_t v)
{
    figure(s, row, l, (double)v / (row->div ? row->div : 1));
}

static void metrics(struct tool *t, unsigned line)
{
    struct figures f = {.sink = {.integer = figure_int, .real = figure}, .o = cJSON_CreateObject()};

    cJSON_AddNumberToObject(f.o, "line", line);
    teller_metrics(t->teller, &f.sink);
    print(f.o);
}

static void reload(struct tool *t, const char *file, unsigned line)
{
    struct err e = {0};
    struct config *c = load(t, file, &e);
    cJSON *o = cJSON_CreateObject();

    cJSON_AddNumberToObject(o, "line", line);
    if (!c || teller_reload(t->teller, c, &e) != 0)
        cJSON_AddStringToObject(o, "error", e.text);
    config_free(&c);
    print(o);
}

/* False: stop at once. */
static bool act(struct tool *t, const char *file, const cJSON *o, unsigned line)
{
    int rc;

    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "stop")))
        return false;
    pthread_mutex_lock(&t->lock);
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "reload"))) {
        reload(t, file, line);
    } else if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "metrics"))) {
        metrics(t, line);
    } else {
        t->open++;
        rc = send_one(t, o, line);
        if (rc != 0) {
            cJSON *answer = cJSON_CreateObject();

            t->open--;
            cJSON_AddNumberToObject(answer, "line", line);
            cJSON_AddStringToObject(answer, "error", err_name(rc));
            print(answer);
        }
    }
    pthread_mutex_unlock(&t->lock);
    return true;
}

int main(int argc, char **argv)
{
    struct tool t = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};
    char *line = malloc(LINE_MOST);
    struct err e = {0};
    struct log *log = log_new(&(struct log_params){.level = LOG_DEBUG}, &e);
    struct config *c;
    unsigned n = 0;
    bool go = true;

    if (argc != 2 || !line)
        die("usage: tell_tool FILE.ini");
    t.section = (struct section_row){
        .name = receiver_section_name, .named = true, .sentence = "Receivers.", .rows = t.rows};
    t.section.n_rows = receiver_rows(t.rows);
    c = load(&t, argv[1], &e);
    if (c)
        t.teller =
            teller_start(&(struct teller_params){.config = c, .log = log, .ended = on_ended, .arg = &t}, &e);
    config_free(&c);
    if (!t.teller)
        die(e.text);
    while (go && fgets(line, LINE_MOST, stdin)) {
        cJSON *o = cJSON_Parse(line);

        if (!o)
            die("a line that is no JSON");
        go = act(&t, argv[1], o, ++n);
        cJSON_Delete(o);
    }
    pthread_mutex_lock(&t.lock);
    while (go && t.open)
        pthread_cond_wait(&t.change, &t.lock);
    pthread_mutex_unlock(&t.lock);
    teller_stop(&t.teller);
    log_free(&log);
    free(line);
    return 0;
}
