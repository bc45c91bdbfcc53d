/* Golden traces of telling: each tests/golden/notify/NAME.txt holds a configuration, a script on virtual time, and line by
 * line what was sent. GOLDEN=write writes the second half anew, for review.
 *
 *   at TIME                      wall time of the beginning (RFC 3339)
 *   pair A B                     two aggregators; events go to both unless the line begins with @A
 *   stories                      shows what timelines are told, too
 *   fire NAME label=value …      (alertname is added: the part of NAME before the first digit or dash)
 *   end NAME | suppress NAME | unsuppress NAME
 *   storm N label=value … | calm N
 *   answer RECEIVER delivered|retry|never|denied|silent [delay D] [after D]
 *   run D | step D | hold | go | restart | reboot | down | up | link up|down
 *   silence D resolved|timed MATCH… | unsilence | maintenance D MATCH… | ack NAME WHO | unack NAME
 *   override ROTA PERSON D
 *   change KIND NAME label=value …
 *   say TEXT                     a line in the trace */
#include <dirent.h>
#include <unistd.h>

#include "tests/unit/notify_kit.h"

static char last_id[64];

static int64_t duration(const char *w)
{
    struct span d;
    struct err e = {0};
    int sign = w[0] == '-' ? -1 : 1;

    if (parse_duration(w + (sign < 0), &d, &e) != 0)
        fail_msg("%s", e.text);
    return sign * span_to_ms(d);
}

static void answer(struct sim *s, char *rest)
{
    static const struct {
        const char *word;
        enum outcome o;
    } words[] = {{"delivered", OUTCOME_DELIVERED},
                 {"retry", OUTCOME_RETRY},
                 {"never", OUTCOME_NEVER},
                 {"denied", OUTCOME_DENIED},
                 {"silent", OUTCOME_RETRY}};
    char name[65], how[32], key[2][16] = {"", ""}, value[2][16] = {"", ""};
    struct sim_receiver *r;

    (void)sscanf(rest, "%64s %31s %15s %15s %15s %15s", name, how, key[0], value[0], key[1], value[1]);
    r = sim_receiver(s, name);
    r->delay_ms = 100;
    r->retry_after_ms = 0;
    r->silent = strcmp(how, "silent") == 0;
    for (size_t i = 0; i < 5; i++)
        r->outcome = strcmp(how, words[i].word) == 0 ? words[i].o : r->outcome;
    for (int i = 0; i < 2; i++) {
        if (strcmp(key[i], "delay") == 0)
            r->delay_ms = duration(value[i]);
        else if (strcmp(key[i], "after") == 0)
            r->retry_after_ms = duration(value[i]);
    }
}

static void fire(struct sim_node *node, const char *name, const char *labels)
{
    char text[600];
    size_t n = strcspn(name, "0123456789-");

    (void)snprintf(text, sizeof text, "alertname=%.*s %s", (int)n, name, labels);
    sim_fire(node, name, strstr(labels, "alertname=") ? labels : text);
}

static void storm(struct sim_node *node, const char *rest, bool fires)
{
    int n = 0, used = 0;

    (void)sscanf(rest, "%d %n", &n, &used);
    for (int i = 0; i < n; i++) {
        char name[32], labels[300];

        (void)snprintf(name, sizeof name, "Storm%d", i);
        (void)snprintf(labels, sizeof labels, "alertname=Storm instance=h%04d %s", i, rest + used);
        if (fires)
            fire(node, name, labels);
        else
            sim_end(node, name);
    }
}

static void act(struct sim_node *node, const char *verb, char *rest)
{
    char word[65] = "", arg[65] = "", hex[33], id[64] = "";
    int used = 0;
    struct act_order o = {.who = "ops", .reason = "because", .match = "", .what = last_id, .request_id = ""};
    struct fingerprint f;
    struct err e = {0};

    (void)sscanf(rest, "%64s %64s %n", word, arg, &used);
    if (strcmp(verb, "silence") == 0) {
        o.act = ACT_SILENCE_ADD;
        o.to.ms = sim_wall(node->sim).ms + duration(word);
        o.end_when_resolved = strcmp(arg, "resolved") == 0;
        o.match = rest + used;
    } else if (strcmp(verb, "maintenance") == 0) {
        o.act = ACT_MAINTENANCE_START;
        o.to.ms = sim_wall(node->sim).ms + duration(word);
        o.match = strchr(rest, ' ') + 1;
    } else if (strcmp(verb, "override") == 0) {
        char length[16] = "";

        (void)sscanf(rest, "%*s %*s %15s", length);
        o.act = ACT_ROTA_OVERRIDE;
        o.what = word;
        o.user = arg;
        o.to.ms = sim_wall(node->sim).ms + duration(length);
    } else if (strcmp(verb, "unsilence") == 0) {
        o.act = ACT_SILENCE_END;
    } else {
        o.act = strcmp(verb, "ack") == 0 ? ACT_ACK : ACT_UNACK;
        f = sim_id(word);
        fingerprint_text(&f, hex);
        o.what = hex;
        o.who = arg[0] ? arg : "ops";
    }
    if (sim_event(node, (struct notify_event){.kind = NOTIFY_ACT, .act = &o}, id, &e) != 0)
        buf_fmt(&node->sim->out, "refused: %s\n", e.text);
    if (id[0])
        (void)snprintf(last_id, sizeof last_id, "%s", id);
}

static void change(struct sim_node *node, char *rest)
{
    char kind[32] = "", name[65] = "";
    int used = 0;
    struct label v[16];
    struct change_event c = {
        .kind = kind, .name = name, .text = "by ci", .labels = {v, 0}, .t = sim_wall(node->sim)};

    (void)sscanf(rest, "%31s %64s %n", kind, name, &used);
    sim_labels(rest + used, v, &c.labels.n);
    (void)sim_event(node, (struct notify_event){.kind = NOTIFY_CHANGE, .change = &c}, NULL, NULL);
}

/* What concerns one aggregator. */
static void node_line(struct sim_node *node, const char *verb, char *rest)
{
    char name[65] = "";
    int used = 0;

    (void)sscanf(rest, "%64s %n", name, &used);
    if (strcmp(verb, "fire") == 0)
        fire(node, name, rest + used);
    else if (strcmp(verb, "end") == 0)
        sim_end(node, name);
    else if (strcmp(verb, "suppress") == 0 || strcmp(verb, "unsuppress") == 0)
        sim_notice(node, sim_alert(node, name), false, verb[0] == 's');
    else if (strcmp(verb, "change") == 0)
        change(node, rest);
    else if (strcmp(verb, "storm") == 0 || strcmp(verb, "calm") == 0)
        storm(node, rest, verb[0] == 's');
    else if (strcmp(verb, "hold") == 0 || strcmp(verb, "go") == 0)
        node->hold = verb[0] == 'h';
    else if (strcmp(verb, "restart") == 0)
        sim_restart(node);
    else if (strcmp(verb, "down") == 0)
        node->down = true;
    else if (strcmp(verb, "up") == 0) {
        node->down = false;
        sim_restart(node);
    } else
        act(node, verb, rest);
}

static void line(struct sim *s, char *text)
{
    const char *only = NULL;
    char verb[32] = "", *rest;
    int used = 0;

    if (text[0] == '@') {
        only = text + 1;
        text = strchr(text, ' ');
        *text++ = 0;
    }
    (void)sscanf(text, "%31s %n", verb, &used);
    rest = text + used;
    if (!verb[0] || verb[0] == '#')
        return;
    if (strcmp(verb, "run") == 0)
        sim_run(s, duration(rest));
    else if (strcmp(verb, "step") == 0)
        s->offset += duration(rest);
    else if (strcmp(verb, "say") == 0)
        buf_fmt(&s->out, "-- %s\n", rest);
    else if (strcmp(verb, "answer") == 0)
        answer(s, rest);
    else if (strcmp(verb, "link") == 0)
        s->link = strcmp(rest, "up") == 0;
    else if (strcmp(verb, "stories") == 0)
        s->stories = true;
    else if (strcmp(verb, "reboot") == 0) {
        s->boot = s->ms;
        for (unsigned i = 0; i < s->n_nodes; i++)
            sim_restart(&s->nodes[i]);
    } else {
        for (unsigned i = 0; i < s->n_nodes; i++) {
            if (!only || strcmp(only, s->nodes[i].region) == 0)
                node_line(&s->nodes[i], verb, rest);
        }
    }
}

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 1 << 20);

    assert_non_null(f);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    (void)fclose(f);
    return text;
}

static void play(const char *path)
{
    char *text = slurp(path), *script, *expected, *config = calloc(1, 1 << 16), region[33] = "east",
         other[33] = "";
    struct sim *s;
    struct wall at = {0};

    script = strstr(text, "\n---- script\n");
    expected = strstr(text, "\n---- sent\n");
    assert_non_null(script);
    assert_non_null(expected);
    memcpy(config, text, (size_t)(script - text) + 1);
    script += 13;
    expected += 11;
    (void)sscanf(script, "pair %32s %32s", region, other);
    s = sim_new(config, region, other[0] ? other : NULL);
    last_id[0] = 0;
    for (char *l = script, *end; l < expected - 11; l = end + 1) {
        end = strchr(l, '\n');
        *end = 0;
        if (strncmp(l, "at ", 3) == 0) {
            assert_int_equal(wall_parse(l + 3, &at), 0);
            s->offset = at.ms;
            for (unsigned i = 0; i < s->n_nodes; i++)
                sim_start(&s->nodes[i]);
        } else if (strncmp(l, "pair ", 5) != 0) {
            char copy[1024];

            assert_true(s->nodes[0].n != NULL || !l[0] || l[0] == '#');
            (void)snprintf(copy, sizeof copy, "%s", l);
            line(s, copy);
        }
        *end = '\n';
    }
    if (getenv("GOLDEN")) {
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        (void)fwrite(text, 1, (size_t)(expected - text), f);
        (void)fputs(buf_text(&s->out), f);
        (void)fclose(f);
    } else {
        assert_string_equal(buf_text(&s->out), expected);
    }
    sim_free(s);
    free(config);
    free(text);
}

static void test_trace(void **state)
{
    play(*state);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[64];
    char folder[512], *paths[64];
    size_t n = 0;
    DIR *d;
    int rc;

    (void)snprintf(folder, sizeof folder, "%s/tests/golden/notify", getenv("TEST_SOURCE"));
    d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d)) && n < 64;) {
        if (!strstr(e->d_name, ".txt") || (argc > 1 && !strstr(e->d_name, argv[1])))
            continue;
        paths[n] = malloc(1024);
        (void)snprintf(paths[n], 1024, "%s/%s", folder, e->d_name);
        tests[n] = (struct CMUnitTest){
            .name = strrchr(paths[n], '/') + 1, .test_func = test_trace, .initial_state = paths[n]};
        n++;
    }
    if (d)
        (void)closedir(d);
    if (!n)
        return 1;
    rc = _cmocka_run_group_tests("golden_notify", tests, n, NULL, NULL);
    while (n)
        free(paths[--n]);
    return rc;
}
