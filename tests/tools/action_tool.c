/* Runs one operation of one action, for tests in other languages: the drivers as the aggregator uses them.
 *
 *   action_tool FILE.ini check                            what a start would say of the file; status 78 when it is wrong
 *   action_tool FILE.ini ACTION OP [key=value ...]        prints {"class", "text", "seen", "found", ...} on one line
 *
 * FILE.ini has [action NAME] sections only. Keys: service from to plan epoch token=S.R key planned drill accept_loss
 * deadline_ms; what is left out is of the order app, east to west, epoch 7, token 1.100. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "aggregator/actions/action.h"

struct tool {
    struct option_row rows[ACTION_ROWS];
    struct section_row section;
    struct buf report;
    struct err e;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "action_tool: %s\n", what);
    exit(2);
}

static const struct section *find(const struct config *c, const char *name)
{
    const struct section *s = NULL;

    for (size_t i = 0; (s = config_named(c, action_section_name, i)); i++)
        if (strcmp(section_label(s), name) == 0)
            return s;
    die("there is no such action");
    return NULL;
}

static enum action_op op_of(const char *name)
{
    for (int i = 0; i < ACTION_OPS; i++)
        if (strcmp(action_op_name((enum action_op)i), name) == 0)
            return (enum action_op)i;
    die("there is no such operation");
    return ACTION_PROBE;
}

static uint64_t number(const char *s, const char **end)
{
    char *rest;
    unsigned long long v = strtoull(s, &rest, 10);

    if (rest == s)
        die("a number that is none");
    *end = rest;
    return v;
}

static void take(struct action_order *o, const char *word)
{
    const char *mark = strchr(word, '='), *end = "";
    size_t n = mark ? (size_t)(mark - word) : 0;
    const struct {
        const char *key;
        const char **text;
        bool *flag;
    } known[] = {{"service", &o->service, NULL}, {"from", &o->from, NULL},
                 {"to", &o->to, NULL},           {"plan", &o->plan, NULL},
                 {"key", &o->key, NULL},         {"planned", NULL, &o->planned},
                 {"drill", NULL, &o->drill},     {"accept_loss", NULL, &o->accept_loss}};

    if (!mark)
        die("expected key=value");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i].key) != n || strncmp(known[i].key, word, n) != 0)
            continue;
        if (known[i].text)
            *known[i].text = mark + 1;
        else
            *known[i].flag = strcmp(mark + 1, "yes") == 0;
        return;
    }
    if (strncmp(word, "epoch=", 6) == 0) {
        o->epoch = (uint32_t)number(mark + 1, &end);
    } else if (strncmp(word, "deadline_ms=", 12) == 0) {
        o->deadline = span_ms((int64_t)number(mark + 1, &end));
    } else if (strncmp(word, "token=", 6) == 0) {
        o->token.store = number(mark + 1, &end);
        if (*end++ != '.')
            die("a token that is none");
        o->token.rev = number(end, &end);
    } else {
        die("an unknown key");
    }
    if (*end)
        die("a number that is none");
}

static void print(const struct action_result *r)
{
    cJSON *j = cJSON_CreateObject();
    char token[64], *text;

    (void)snprintf(token, sizeof token, "%llu.%llu", (unsigned long long)r->found.store,
                   (unsigned long long)r->found.rev);
    cJSON_AddStringToObject(j, "class", action_class_name(r->class));
    cJSON_AddStringToObject(j, "text", r->text);
    cJSON_AddStringToObject(j, "seen", r->seen);
    cJSON_AddStringToObject(j, "found", token);
    cJSON_AddNumberToObject(j, "retry_after", span_seconds(r->retry_after));
    cJSON_AddBoolToObject(j, "have_lag", r->have_lag);
    cJSON_AddNumberToObject(j, "lag_ms", (double)r->lag_ms);
    cJSON_AddNumberToObject(j, "lag_age_ms", (double)r->lag_age_ms);
    cJSON_AddBoolToObject(j, "synchronous", r->synchronous);
    cJSON_AddBoolToObject(j, "primary_asked", r->primary_asked);
    cJSON_AddBoolToObject(j, "receiving", r->receiving);
    cJSON_AddBoolToObject(j, "writable", r->writable);
    text = cJSON_PrintUnformatted(j);
    if (!text)
        die("no memory");
    (void)puts(text);
    cJSON_free(text);
    cJSON_Delete(j);
}

int main(int argc, char **argv)
{
    struct action_order o = {.service = "app",
                             .from = "east",
                             .to = "west",
                             .plan = "p-7",
                             .epoch = 7,
                             .token = {1, 100},
                             .key = "app/7/a",
                             .deadline = span_s(5),
                             .now = clock_wall()};
    static struct tool t;
    struct action_result r;
    struct config *c;
    int status = 0;

    if (argc < 3)
        die("usage: action_tool FILE.ini ACTION OP [key=value ...] | FILE.ini check");
    buf_init(&t.report, NULL, 1 << 20);
    t.section = (struct section_row){.name = action_section_name,
                                     .named = true,
                                     .sentence = "An action.",
                                     .rows = t.rows,
                                     .n_rows = action_rows(t.rows)};
    c = config_load(argv[1], NULL, &t.section, 1, &t.report, &t.e);
    if (!c || action_check(c, &t.report, &t.e) != 0) {
        (void)fprintf(stderr, "%s", buf_text(&t.report));
        status = 78;
    } else if (argc > 3) {
        o.op = op_of(argv[3]);
        for (int i = 4; i < argc; i++)
            take(&o, argv[i]);
        if (action_try(find(c, argv[2]), &o, NULL, &r, &t.e) == 0) {
            print(&r);
        } else {
            (void)fprintf(stderr, "action_tool: %s\n", t.e.text);
            status = 1;
        }
    }
    config_free(&c);
    buf_free(&t.report);
    return status;
}
