/* The rooms that judge, run together: a breach becomes orders; what was ordered to be stored is all that another judge
 * needs to go on; requests find their answers; words of peers are read whatever they hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/answers.h"
#include "aggregator/expose/pages.h"
#include "aggregator/options.h"
#include "aggregator/peers.h"

static const char ini[] =
    "[aggregator]\nregion = here\n"
    "[alert hot]\nmetric = temperature\nby = room\nstatistic = last\nwindow = 1m\nabove = 30\n"
    "severity = critical\nsummary = ${room} is hot\n"
    "[receiver log]\ntype = log\n[route all]\nreceivers = log\nwait = 0s\n";
enum { START_MS = 1790000000 };

struct env {
    struct section_row sections[AGGREGATOR_SECTIONS];
    struct option_row receivers[RECEIVER_ROWS], actions[ACTION_ROWS];
    struct config *config;
    struct selections *selections;
    struct mem mem;
    struct judge *j;
    struct orders orders;
    struct moment m;
    struct buf report;
    struct err e;
};

static const struct zone *no_zone(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return NULL;
}

static void open_judge(struct env *v)
{
    const struct judge_params p = {.config = v->config,
                                   .selections = v->selections,
                                   .zone = no_zone,
                                   .mem = &v->mem,
                                   .region = "here",
                                   .host = "host",
                                   .ack_secret = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32},
                                   .seed = 1};

    v->j = judge_new(&p, &v->report, &v->e);
    if (!v->j)
        print_message("%s\n", v->e.text);
    assert_non_null(v->j);
}

static struct env *env_new(void)
{
    struct env *v = calloc(1, sizeof *v);
    const struct config_source source = {"test.ini", {(const uint8_t *)ini, sizeof ini - 1}};
    size_t n;

    assert_non_null(v);
    buf_init(&v->report, NULL, 65536);
    n = aggregator_sections(v->sections, v->receivers, v->actions);
    v->config = config_parse(&source, 1, v->sections, n, &v->report, &v->e);
    if (!v->config)
        print_message("%s", buf_text(&v->report));
    assert_non_null(v->config);
    assert_int_equal(judge_check(v->config, no_zone, NULL, (struct wall){0}, &v->report, &v->e), 0);
    v->selections = judge_selections(v->config, NULL, &v->e);
    assert_non_null(v->selections);
    v->m = (struct moment){.now = {(int64_t)START_MS * 1000}, .mono = {1000000000}};
    orders_init(&v->orders, NULL);
    open_judge(v);
    return v;
}

static void env_free(struct env *v)
{
    orders_free(&v->orders);
    judge_free(&v->j);
    assert_int_equal(v->mem.used, 0);
    selections_free(&v->selections);
    config_free(&v->config);
    buf_free(&v->report);
    free(v);
}

static void after(struct env *v, int64_t seconds)
{
    v->m.now = wall_add(v->m.now, span_s(seconds));
    v->m.mono = mono_add(v->m.mono, span_s(seconds));
}

static void tell(struct env *v, double value)
{
    struct label label = {"room", "attic"};
    const struct fact_group_new group = {
        .selection = 0, .group = 0, .kind = FACT_GAUGE, .labels = {&label, 1}};
    const struct fact_delta delta = {.kind = FACT_GAUGE,
                                     .tier = TIER_STEP,
                                     .start = v->m.now.ms / FACT_STEP_MS * FACT_STEP_MS,
                                     .gain = {.n = 1,
                                              .last_t = v->m.now.ms,
                                              .last = value,
                                              .sum = value,
                                              .min = value,
                                              .max = value,
                                              .series = 1}};

    judge_telling(v->j, &(struct telling){.groups = &group, .n_groups = 1, .deltas = &delta, .n_deltas = 1});
}

/* The orders of a step, which replace those of the last one. */
static void step(struct env *v)
{
    orders_free(&v->orders);
    judge_step(v->j, &v->m, true, &v->orders);
    assert_int_equal(v->orders.lost, 0);
}

static unsigned count(const struct orders *o, const char *room, enum control_kind kind)
{
    unsigned n = 0;

    for (size_t i = 0; i < o->n_ops; i++)
        n += strcmp(o->ops[i].room, room) == 0 && o->ops[i].kind == kind;
    return n;
}

/* Gives what was stored to a judge that begins anew. */
static void restart(struct env *v, const struct orders *stored)
{
    judge_free(&v->j);
    open_judge(v);
    for (size_t i = 0; i < stored->n_ops; i++) {
        if (stored->ops[i].kind == CONTROL_PUT)
            assert_int_equal(
                judge_restore(v->j, stored->ops[i].room, stored->ops[i].key, stored->ops[i].value), 0);
    }
}

static void test_a_breach_becomes_orders(void **state)
{
    struct env *v = env_new();

    (void)state;
    step(v);
    assert_true(orders_none(&v->orders));
    after(v, 5);
    tell(v, 35);
    step(v);
    assert_int_equal(v->orders.n_sends, 1);
    assert_string_equal(v->orders.sends[0].receiver, "log");
    assert_string_equal(v->orders.sends[0].n->alerts[0].summary, "attic is hot");
    assert_true(count(&v->orders, "alert", CONTROL_PUT) >= 1);
    assert_true(count(&v->orders, "notify", CONTROL_PUT) >= 1);
    assert_true(count(&v->orders, "incident", CONTROL_PUT) >= 1);
    assert_int_equal(count(&v->orders, "decision", CONTROL_APPEND), 1);
    assert_true(count(&v->orders, "timeline", CONTROL_APPEND) >= 1);
    env_free(v);
}

/* Stored, but the process ended before anybody knew what became of the message: it goes again, with the same key. */
static void test_what_is_in_doubt_goes_again(void **state)
{
    struct env *v = env_new();
    struct orders stored;
    char key[300];

    (void)state;
    step(v);
    after(v, 5);
    tell(v, 35);
    step(v);
    assert_int_equal(v->orders.n_sends, 1);
    (void)snprintf(key, sizeof key, "%s", v->orders.sends[0].n->dedup_key);
    stored = v->orders;
    orders_init(&v->orders, NULL);
    after(v, 2);
    restart(v, &stored);
    tell(v, 36);
    step(v);
    if (v->orders.n_sends == 0) { /* with the next look at its group */
        after(v, 1);
        step(v);
    }
    assert_int_equal(v->orders.n_sends, 1);
    assert_string_equal(v->orders.sends[0].n->dedup_key, key);
    orders_free(&stored);
    env_free(v);
}

/* ---- the desk ---- */

static int ask(struct env *v, const char *method, const char *path, const char *body, struct buf *out)
{
    struct arena a;
    struct desk_request r = {.method = method, .path = path, .query = ""};
    struct desk d = {.j = v->j, .m = &v->m, .r = &r, .arena = &a, .orders = &v->orders, .out = out};
    const struct desk_row *row;
    int status;

    buf_clear(out);
    arena_init(&a, NULL, 1 << 20);
    (void)snprintf(r.actor.who, sizeof r.actor.who, "uid 0");
    (void)snprintf(r.actor.reason, sizeof r.actor.reason, "why");
    (void)snprintf(r.actor.request_id, sizeof r.actor.request_id, "r-%s-%zu", method, strlen(path));
    r.body = (struct bytes){(const uint8_t *)body, body ? strlen(body) : 0};
    row = desk_find(moves_rows, moves_rows_count, method, path, &a, &d.part, &status);
    if (row)
        status = row->answer(&d);
    arena_free(&a);
    return status;
}

static void test_the_desk_answers(void **state)
{
    static const char *const lists[] = {"slos",        "alerts",    "rules",  "silences",
                                        "maintenance", "incidents", "routes", "receivers"};
    struct env *v = env_new();
    struct buf out;

    (void)state;
    buf_init(&out, NULL, 1 << 20);
    step(v);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        assert_int_equal(ask(v, "GET", lists[i], NULL, &out), 200);
    assert_int_equal(ask(v, "GET", "slos/none", NULL, &out), 404);
    assert_int_equal(ask(v, "GET", "slos/", NULL, &out), 404);
    assert_int_equal(ask(v, "GET", "nothing", NULL, &out), 404);
    assert_int_equal(ask(v, "POST", "rules", NULL, &out), 405);
    assert_int_equal(ask(v, "DELETE", "silences/none", NULL, &out), 404);
    assert_int_equal(ask(v, "POST", "silences", "{\"match\":\"room=attic\"}", &out), 400);
    assert_non_null(strstr(buf_text(&out), "for"));
    assert_int_equal(ask(v, "POST", "silences", "{\"match\":\"room=attic\",\"for\":\"1h\"}", &out), 200);
    assert_int_equal(count(&v->orders, "notify", CONTROL_PUT) > 0, 1);
    assert_int_equal(ask(v, "POST", "events", "{\"name\":\"attic\",\"labels\":{\"room\":\"attic\"}}", &out),
                     200);
    assert_int_equal(count(&v->orders, "event", CONTROL_APPEND), 1);
    buf_free(&out);
    env_free(v);
}

static void test_a_silence_keeps_quiet(void **state)
{
    struct env *v = env_new();
    struct buf out;

    (void)state;
    buf_init(&out, NULL, 1 << 20);
    step(v);
    assert_int_equal(ask(v, "POST", "silences", "{\"match\":\"room=attic\",\"for\":\"1h\"}", &out), 200);
    after(v, 5);
    tell(v, 35);
    step(v);
    assert_int_equal(v->orders.n_sends, 0);
    assert_int_equal(ask(v, "GET", "alerts", NULL, &out), 200);
    assert_non_null(strstr(buf_text(&out), "\"firing\""));
    buf_free(&out);
    env_free(v);
}

static void test_times(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
        int status;
    } rows[] = {{"now", 0, 0}, {"1h", 3600, 0},  {"+1h", 3600, 0}, {"-30m", -1800, 0},
                {"", 0, 0},    {"soon", 0, 400}, {"-", 0, 400},    {"2026-13-01T00:00:00Z", 0, 400}};
    struct moment m = {.now = {(int64_t)START_MS * 1000}};
    struct buf out;

    (void)state;
    buf_init(&out, NULL, 4096);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct desk d = {.m = &m, .out = &out};
        struct wall t = m.now;

        assert_int_equal(desk_time(&d, "at", rows[i].text, &t), rows[i].status);
        if (rows[i].status == 0)
            assert_int_equal(t.ms, m.now.ms + rows[i].seconds * 1000);
    }
    buf_free(&out);
}

/* ---- queries, pages, peers ---- */

static void test_queries(void **state)
{
    static const struct {
        const char *text;
        int rc;
        const char *name, *value;
    } rows[] = {{"a=1&b=x%20y+z", 0, "b", "x y z"},
                {"a", 0, "a", ""},
                {"a=%4", ERR_MALFORMED, NULL, NULL},
                {"a=%00", ERR_MALFORMED, NULL, NULL},
                {"&&a=2&", 0, "a", "2"},
                {"", 0, NULL, NULL},
                {"a=b=c", 0, "a", "b=c"}};
    char many[400] = "";
    struct query q;
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 16);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(query_read(rows[i].text, strlen(rows[i].text), &a, &q), rows[i].rc);
        if (rows[i].name)
            assert_string_equal(query_get(&q, rows[i].name), rows[i].value);
    }
    for (int i = 0; i <= QUERY_PARAMS; i++)
        (void)snprintf(many + strlen(many), sizeof many - strlen(many), "p%d=1&", i);
    assert_int_equal(query_read(many, strlen(many), &a, &q), ERR_LIMIT);
    arena_free(&a);
}

static void test_pages_escape(void **state)
{
    static const char json[] = "{\"alerts\":[{\"alert\":\"<b>&\\\"'\",\"labels\":{\"<i>\":\"</td>\"}}]}";
    struct buf out;

    (void)state;
    buf_init(&out, NULL, 1 << 16);
    page_find("/alerts")->show((struct bytes){(const uint8_t *)json, sizeof json - 1}, &out);
    assert_null(strstr(buf_text(&out), "<b>"));
    assert_null(strstr(buf_text(&out), "<i>"));
    assert_non_null(strstr(buf_text(&out), "&lt;b&gt;&amp;&quot;&#39;"));
    buf_clear(&out);
    page_find("/slos")->show((struct bytes){(const uint8_t *)"{", 1}, &out);
    assert_non_null(strstr(buf_text(&out), "</html>"));
    assert_null(page_find("/none"));
    buf_free(&out);
}

/* Every text of it may have come from outside: none is taken for a tag, and whatever is missing is left out. */
static void test_the_page_of_moves(void **state)
{
    static const char json[] = "{\"services\":[{\"service\":\"<s>\",\"state\":\"BLOCKED\",\"text\":\"<t>\","
                               "\"active\":\"<a>\",\"writer\":null,"
                               "\"home\":\"east\",\"epoch\":7,\"leading\":false,\"holder\":\"<h>\","
                               "\"automation\":\"propose\",\"reasons\":[{"
                               "\"text\":\"<r>\",\"command\":\"sbctl failover approve "
                               "app\"}],\"regions\":[{\"region\":\"east\"},{\"region\":"
                               "\"west\"}],\"votes\":[{\"voter\":\"<v>\",\"age_seconds\":1.5,\"self_ok\":"
                               "true,\"regions\":{\"east\":{\"verdict\":"
                               "\"down\",\"classes\":[\"<c>\"]}}}],\"plan\":{\"epoch\":7,\"kind\":"
                               "\"failover\",\"live\":true,\"step\":\"fence\","
                               "\"who\":\"<w>\",\"why\":\"<y>\",\"began\":\"<p>\",\"actions\":[{\"action\":"
                               "\"<x>\"}]},\"suppressions\":[{\"kind\":"
                               "\"<k>\"}]}]}";
    static const char *const parts[] = {"<s>", "<t>", "<a>", "<h>", "<r>", "<v>",
                                        "<c>", "<w>", "<y>", "<p>", "<x>", "<k>"};
    struct buf out;

    (void)state;
    buf_init(&out, NULL, 1 << 16);
    page_find("/failover")->show((struct bytes){(const uint8_t *)json, sizeof json - 1}, &out);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char escaped[12];

        (void)snprintf(escaped, sizeof escaped, "&lt;%c&gt;", parts[i][1]);
        if (strcmp(parts[i], "<p>") != 0) /* our own paragraphs */
            assert_null(strstr(buf_text(&out), parts[i]));
        assert_non_null(strstr(buf_text(&out), escaped));
    }
    assert_non_null(strstr(buf_text(&out), "nobody writes"));
    assert_non_null(strstr(buf_text(&out), "<code>sbctl failover approve app</code>"));
    assert_non_null(strstr(buf_text(&out), "</html>"));
    for (size_t n = 0; n < sizeof json; n++) { /* cut anywhere it is a page all the same */
        buf_clear(&out);
        page_find("/failover")->show((struct bytes){(const uint8_t *)json, n}, &out);
        assert_non_null(strstr(buf_text(&out), "</html>"));
    }
    buf_clear(&out);
    page_find("/drills")->show((struct bytes){(const uint8_t *)"{}", 2}, &out);
    assert_non_null(strstr(buf_text(&out), "No [drill NAME]"));
    buf_free(&out);
}

static void test_words_of_peers(void **state)
{
    static const char *const broken[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"region\":\"west\"}",
        "{\"region\":\"west\",\"sent\":\"yesterday\"}",
        "{\"region\":\"w\",\"sent\":\"2026-11-24T05:59:00Z\",\"told\":[{}]}",
        ("{\"region\":\"w\",\"sent\":\"2026-11-24T05:59:00Z\",\"told\":[{\"key\":\"k\","
         "\"epoch\":-1}]}")};
    struct peer_self self = {.region = "here", .host = "host", .version = "1", .telling = true};
    struct env *v = env_new();
    struct peer_word w;
    struct arena a;
    struct buf json;
    size_t whole;

    (void)state;
    buf_init(&json, NULL, 1 << 20);
    arena_init(&a, NULL, 1 << 20);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_int_equal(
            peer_read((struct bytes){(const uint8_t *)broken[i], strlen(broken[i])}, &a, &w, &v->e),
            ERR_MALFORMED);
    step(v);
    after(v, 5);
    tell(v, 35);
    step(v);
    for (size_t i = 0; i < v->orders.n_sends; i++) {
        const struct told_result r = {.outcome = OUTCOME_DELIVERED};
        struct orders more;

        orders_init(&more, NULL);
        judge_ended(v->j, &v->m, v->orders.sends[i].delivery, &r, &more);
        orders_free(&more);
    }
    assert_int_equal(peer_write(&self, v->j, v->m.now, &json), 0);
    assert_int_equal(peer_read(buf_bytes(&json), &a, &w, &v->e), 0);
    assert_string_equal(w.region, "here");
    assert_true(w.telling.telling);
    assert_int_equal(w.telling.sent.ms, v->m.now.ms);
    assert_int_equal(w.telling.n_told, 1);
    assert_true(w.telling.told[0].delivered);
    whole = json.len;
    for (size_t n = 0; n < whole; n++) /* cut anywhere: an error, never a fault */
        assert_int_not_equal(peer_read((struct bytes){json.data, n}, &a, &w, &v->e), 0);
    assert_false(w.light);
    self.light = true; /* says nothing of what is told, which is not that nothing is told */
    buf_clear(&json);
    assert_int_equal(peer_write(&self, v->j, v->m.now, &json), 0);
    assert_int_equal(peer_read(buf_bytes(&json), &a, &w, &v->e), 0);
    assert_true(w.light);
    assert_int_equal(w.telling.n_told, 0);
    assert_true(json.len < whole);
    arena_free(&a);
    buf_free(&json);
    env_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_breach_becomes_orders),
        cmocka_unit_test(test_what_is_in_doubt_goes_again),
        cmocka_unit_test(test_the_desk_answers),
        cmocka_unit_test(test_a_silence_keeps_quiet),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_pages_escape),
        cmocka_unit_test(test_the_page_of_moves),
        cmocka_unit_test(test_words_of_peers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
