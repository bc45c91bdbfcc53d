/* Telling, by parts: configuration and its mistakes, routes, rotas, links to acknowledge by, silences, what readers see. */
#include "tests/unit/notify_kit.h"

#define RECEIVERS "[receiver a]\ntype = log\n[receiver b]\ntype = log\n"

static struct sim *plain(const char *config)
{
    struct sim *s = sim_new(config, "east", NULL);

    s->ms = 1000;
    s->offset = INT64_C(1772445600000); /* 2026-03-02T10:00:00Z, a Monday */
    sim_start(&s->nodes[0]);
    return s;
}

/* ---- configuration ---- */

static void mistake(const char *text, const char *sentence)
{
    struct sim *s = sim_new("", "east", NULL);
    struct notify_zones z = {sim_zone, s};
    struct err e = {0};
    struct buf report;
    struct config *c;
    int rc = 0;

    buf_init(&report, NULL, 1 << 16);
    c = sim_config(s, text, &report, &e);
    if (c)
        rc = notify_check(c, &z, (struct wall){0}, &report, &e);
    if (c && rc == 0)
        fail_msg("taken: %s", text);
    if (!strstr(buf_text(&report), sentence))
        fail_msg("%s does not say: %s", buf_text(&report), sentence);
    if (!strstr(buf_text(&report), "notify.ini:"))
        fail_msg("%s names no line", buf_text(&report));
    config_free(&c);
    buf_free(&report);
    sim_free(s);
}

static void test_mistakes(void **state)
{
    (void)state;
    mistake(RECEIVERS "[route r]\nreceivers = c\n", "there is no [receiver c]");
    mistake(RECEIVERS "[route r]\n", "neither this route nor those above it name a receiver");
    mistake(RECEIVERS "[route r]\nreceivers = a\nmatch = x=1\n", "the root takes all alerts");
    mistake(RECEIVERS "[route r]\nreceivers = a\n[route q]\nreceivers = b\n",
            "[route r] is the root already");
    mistake(RECEIVERS "[route r]\nparent = q\n[route q]\nreceivers = b\n", "must stand before");
    mistake(RECEIVERS "[route r]\nreceivers = a\n[route q]\nparent = x\n", "there is no [route x]");
    mistake(RECEIVERS "[route r]\nreceivers = a\n[route q]\nparent = q\n", "must stand before");
    mistake(RECEIVERS "[route r]\nreceivers = a\n[route q]\nparent = r\nmatch = =x\n", "[route q] match");
    mistake(RECEIVERS "[route r]\nreceivers = a\ngroup_by = * x\n", "it stands alone");
    mistake(RECEIVERS "[route r]\nreceivers = a rota:x\n", "there is no [rota x]");
    mistake(RECEIVERS "[route r]\nreceivers = a\nmute = x\n", "there is no [mute x]");
    mistake(RECEIVERS "[route r]\nreceivers = a\nescalation = x\n", "there is no [escalation x]");
    mistake(RECEIVERS "[notify]\nfallback = x\n", "there is no [receiver x]");
    mistake(RECEIVERS "[notify]\nretry_most = 1s\nretry_least = 1m\n", "is shorter than retry_least");
    mistake(RECEIVERS "[inhibit i]\nsource =\ntarget = x=1\n", "[inhibit i] source");
    mistake(RECEIVERS "[escalation e]\nsteps = a\n", "expected: pager after 5m");
    mistake(RECEIVERS "[escalation e]\nsteps = a after 5m b after 6m\n", "expected: pager after 5m");
    mistake(RECEIVERS "[escalation e]\nsteps = a after 5m, b after 4m\n", "not in the order of their times");
    mistake(RECEIVERS "[escalation e]\nsteps = x after 5m\n", "there is no [receiver x]");
    mistake("[mute m]\nzone = Mars/Base\nwindows = * 00:00-01:00\n", "no time zone");
    mistake("[mute m]\nzone = UTC\nwindows = noon\n", "[mute m] windows");
    mistake("[maintenance m]\nmatch = a=b\nowner = o\nreason = r\n", "one of the two");
    mistake("[maintenance m]\nmatch = a=b\nowner = o\nreason = r\nfrom = 2026-01-02\nto = 2026-01-01\n",
            "not behind from");
    mistake("[maintenance m]\nmatch = \nowner = o\nreason = r\nwindows = * 00:00-01:00\n",
            "[maintenance m] match");
    mistake(RECEIVERS "[rota r]\nzone = UTC\nstart = 2026-01-05\npeople = al=x\n",
            "there is no [receiver x]");
    mistake(RECEIVERS "[rota r]\nzone = UTC\nstart = 2026-02-29\npeople = al=a\n", "expected a date");
    mistake(RECEIVERS "[rota r]\nzone = UTC\nstart = 2026-01-05\npeople = al=a\nhandover = noon\n",
            "daily 09:00");
    mistake(RECEIVERS "[rota r]\nzone = UTC\nstart = 2026-01-05\npeople = al=a\nhandover = mon 24:00\n",
            "23:59");
    mistake(
        RECEIVERS
        "[rota r]\nzone = UTC\nstart = 2026-01-05\npeople = al=a\noverrides = bo 2026-01-05 to 2026-01-06\n",
        "not among the people");
    mistake(
        RECEIVERS
        "[rota r]\nzone = UTC\nstart = 2026-01-05\npeople = al=a\noverrides = al 2026-01-06 to 2026-01-05\n",
        "ends before it begins");
}

/* What --check-config tells beforehand. */
static void test_foresight(void **state)
{
    struct sim *s = sim_new("", "east", NULL);
    struct notify_zones z = {sim_zone, s};
    struct err e = {0};
    struct buf report;
    struct wall now;
    struct config *c;

    (void)state;
    buf_init(&report, NULL, 1 << 16);
    assert_int_equal(wall_parse("2026-03-27T12:00:00Z", &now), 0);
    c = sim_config(s,
                   RECEIVERS "[mute m]\nzone = Europe/Berlin\nwindows = sun 02:30-04:00\n"
                             "[rota r]\nzone = Europe/Berlin\nstart = 2026-01-05\npeople = al=a bo=b\n"
                             "hours = mon-fri 08:00-18:00\n",
                   &report, &e);
    assert_non_null(c);
    assert_int_equal(notify_check(c, &z, now, &report, &e), 0);
    /* 29 March: 02:30 is skipped, the window begins at 03:00 CEST = 01:00 UTC; in April 02:30 CEST = 00:30 UTC */
    if (!strstr(buf_text(&report),
                "2026-03-29T01:00:00.000Z to 2026-03-29T02:00:00.000Z, 2026-04-05T00:30:00.000Z"))
        fail_msg("%s", buf_text(&report));
    if (!strstr(buf_text(&report), "nobody is on call for"))
        fail_msg("%s", buf_text(&report));
    config_free(&c);
    buf_free(&report);
    sim_free(s);
}

/* ---- routes ---- */

static void test_routes(void **state)
{
    struct sim *s =
        plain(RECEIVERS "[route all]\nreceivers = a\n[route web]\nparent = all\nmatch = service=web\n"
                        "receivers = b\ngroup_by = service region\nwait = 1m\n");
    struct label web[] = {{"alertname", "X"}, {"region", "eu"}, {"service", "web"}};
    struct buf out;

    (void)state;
    buf_init(&out, NULL, 1 << 16);
    assert_int_equal(notify_routes(s->nodes[0].n, (struct labels){web, 3}, sim_wall(s), &out), 0);
    assert_string_equal(
        buf_text(&out),
        "{\"routes\":[{\"path\":[{\"route\":\"all\",\"match\":\"\"},{\"route\":\"web\",\"match\":\"service="
        "\\\"web\\\"\"}],"
        "\"route\":\"web\",\"group\":{\"region\":\"eu\",\"service\":\"web\"},\"wait_seconds\":60,"
        "\"interval_seconds\":300,\"repeat_seconds\":14400,\"receivers\":[{\"receiver\":\"b\"}]}]}");
    buf_free(&out);
    sim_free(s);
}

/* ---- rotas ---- */

static void who(struct sim *s, const char *from, const char *to, const char *expected)
{
    struct wall a, b;
    struct err e = {0};
    struct buf out;

    buf_init(&out, NULL, 1 << 20);
    assert_int_equal(wall_parse(from, &a), 0);
    assert_int_equal(wall_parse(to, &b), 0);
    assert_int_equal(notify_rota(s->nodes[0].n, "r", a, b, &out, &e), 0);
    if (!strstr(buf_text(&out), expected))
        fail_msg("%s is not in %s", expected, buf_text(&out));
    buf_free(&out);
}

/* Over ten years of daily handovers in three zones: no gap, no overlap, turns of 23, 24 or 25 hours. */
static void no_gap(const char *zone, const char *handover)
{
    char config[512];
    struct sim *s;
    struct wall from, to;
    struct err e = {0};
    struct buf out;

    (void)snprintf(config, sizeof config,
                   RECEIVERS "[rota r]\nzone = %s\nstart = 2020-01-01\npeople = al=a bo=b\nhandover = %s\n",
                   zone, handover);
    s = plain(config);
    buf_init(&out, NULL, 4 << 20);
    for (int year = 2024; year < 2034; year++) {
        char t[32], last[64] = "", person[8] = "";
        const char *p;

        (void)snprintf(t, sizeof t, "%d-01-01T00:00:00Z", year);
        assert_int_equal(wall_parse(t, &from), 0);
        to = wall_add(from, span_s(366 * 86400));
        buf_clear(&out);
        assert_int_equal(notify_rota(s->nodes[0].n, "r", from, to, &out, &e), 0);
        assert_non_null(strstr(buf_text(&out), "\"uncovered_seconds\":0}"));
        p = buf_text(&out);
        while ((p = strstr(p, "{\"from\":\""))) {
            struct wall a, b;
            char text[64], name[8];

            (void)snprintf(text, sizeof text, "%.24s", p + 9);
            assert_int_equal(wall_parse(text, &a), 0);
            if (last[0])
                assert_string_equal(text, last);
            (void)snprintf(last, sizeof last, "%.24s", strstr(p, "\"to\":\"") + 6);
            assert_int_equal(wall_parse(last, &b), 0);
            (void)snprintf(name, sizeof name, "%.2s", strstr(p, "\"person\":\"") + 10);
            assert_string_not_equal(name, person);
            (void)snprintf(person, sizeof person, "%s", name);
            assert_true(b.ms - a.ms <= 25 * 3600000);
            if (a.ms != from.ms && b.ms != to.ms)
                assert_true(b.ms - a.ms >= 23 * 3600000);
            p++;
        }
    }
    buf_free(&out);
    sim_free(s);
}

static void test_rota(void **state)
{
    struct sim *s =
        plain(RECEIVERS "[rota r]\nzone = Europe/Berlin\nstart = 2026-03-02\npeople = al=a bo=b\n"
                        "handover = mon 09:00\noverrides = bo 2026-03-04 18:00 to 2026-03-05 08:00\n");

    (void)state;
    who(s, "2026-03-02T07:59:00Z", "2026-03-02T08:01:00Z",
        "{\"from\":\"2026-03-02T07:59:00.000Z\",\"to\":\"2026-03-02T08:00:00.000Z\",\"person\":\"bo\","
        "\"receiver\":\"b\"},"
        "{\"from\":\"2026-03-02T08:00:00.000Z\",\"to\":\"2026-03-02T08:01:00.000Z\",\"person\":\"al\"");
    who(s, "2026-03-04T00:00:00Z", "2026-03-06T00:00:00Z",
        "{\"from\":\"2026-03-04T17:00:00.000Z\",\"to\":\"2026-03-05T07:00:00.000Z\",\"person\":\"bo\"");
    /* nine o'clock in winter and in summer */
    who(s, "2026-03-30T00:00:00Z", "2026-03-31T00:00:00Z", "\"to\":\"2026-03-30T07:00:00.000Z\"");
    sim_free(s);
    no_gap("Europe/Berlin", "daily 02:30");
    no_gap("America/New_York", "daily 02:00");
    no_gap("Australia/Lord_Howe", "daily 02:15");
}

/* ---- links ---- */

static void test_links(void **state)
{
    struct bytes secret = {(const uint8_t *)"sesame", 6}, other = {(const uint8_t *)"sesamf", 6};
    struct fingerprint f = sim_id("x"), g;
    struct wall now = {1000000}, until = {2000000};
    struct err e = {0};
    struct buf b;
    uint64_t epoch = 0;
    char link[512];

    (void)state;
    buf_init(&b, NULL, 1024);
    assert_int_equal(ack_link_make(secret, &f, 77, until, &b), 0);
    (void)snprintf(link, sizeof link, "%s", buf_text(&b));
    assert_int_equal(ack_link_verify(secret, link, now, &g, &epoch, &e), 0);
    assert_memory_equal(&f, &g, sizeof f);
    assert_int_equal(epoch, 77);
    assert_int_equal(ack_link_verify(other, link, now, &g, &epoch, &e), ERR_DENIED);
    assert_int_equal(ack_link_verify((struct bytes){NULL, 0}, link, now, &g, &epoch, &e), ERR_DENIED);
    assert_int_equal(ack_link_verify(secret, link, until, &g, &epoch, &e), ERR_TIMEOUT);
    for (size_t i = strcspn(link, "?") + 1; i < strlen(link); i++) { /* any other character anywhere */
        char wrong[512];

        memcpy(wrong, link, sizeof link);
        wrong[i] = wrong[i] == '1' ? '2' : '1';
        if (wrong[i] == link[i])
            continue;
        assert_int_equal(ack_link_verify(secret, wrong, now, &g, &epoch, &e), ERR_DENIED);
    }
    (void)snprintf(link, sizeof link, "%s&epoch=78", buf_text(&b));
    assert_int_equal(ack_link_verify(secret, link, now, &g, &epoch, &e), ERR_DENIED);
    assert_int_equal(ack_link_verify(secret, "", now, &g, &epoch, &e), ERR_DENIED);
    assert_int_equal(ack_link_make((struct bytes){NULL, 0}, &f, 1, until, &b), ERR_STATE);
    buf_free(&b);
}

/* ---- orders ---- */

static int order(struct sim *s, struct act_order o, char id[64])
{
    struct err e = {0};

    return sim_event(&s->nodes[0], (struct notify_event){.kind = NOTIFY_ACT, .act = &o}, id, &e);
}

static bool says(struct sim *s, int (*fn)(const struct notify *, struct wall, struct buf *), const char *what)
{
    struct buf out;
    bool yes;

    buf_init(&out, NULL, 1 << 16);
    assert_int_equal(fn(s->nodes[0].n, sim_wall(s), &out), 0);
    yes = strstr(buf_text(&out), what) != NULL;
    if (!yes)
        print_message("%s\n", buf_text(&out));
    buf_free(&out);
    return yes;
}

static void test_orders(void **state)
{
    struct sim *s =
        plain(RECEIVERS
              "[route all]\nreceivers = a\n[rota r]\nzone = UTC\nstart = 2026-03-02\npeople = al=a bo=b\n");
    struct wall later = wall_add(sim_wall(s), span_s(3600)), far = wall_add(sim_wall(s), span_s(31 * 86400));
    struct act_order o = {.act = ACT_SILENCE_ADD,
                          .match = "service=web",
                          .who = "al",
                          .reason = "r",
                          .to = later,
                          .request_id = "q1"};
    struct buf out;
    struct err e = {0};
    char id[64], again[64];

    (void)state;
    buf_init(&out, NULL, 1 << 16);
    sim_fire(&s->nodes[0], "N1", "alertname=N service=web");
    assert_int_equal(notify_preview(s->nodes[0].n, "service=web", &out, &e), 0);
    assert_non_null(strstr(buf_text(&out), "\"matches_now\":1"));
    assert_int_equal(notify_preview(s->nodes[0].n, "=", &out, &e), ERR_MALFORMED);
    assert_int_equal(order(s, o, id), 0);
    assert_int_equal(order(s, o, again), 0); /* the same request */
    assert_string_equal(id, again);
    assert_true(says(s, notify_silences, "\"matches_now\":1"));
    assert_true(says(s, notify_silences, "\"state\":\"active\""));
    o.request_id = "q2";
    o.to = far;
    assert_int_equal(order(s, o, again), ERR_RANGE);
    o.to = later;
    o.who = " ";
    assert_int_equal(order(s, o, again), ERR_MALFORMED);
    o.who = "al";
    o.reason = "";
    assert_int_equal(order(s, o, again), ERR_MALFORMED);
    o.reason = "r";
    o.from = later;
    assert_int_equal(order(s, o, again), ERR_RANGE);
    o.from = wall_add(later, span_s(-60));
    assert_int_equal(order(s, o, again), 0);
    assert_true(says(s, notify_silences, "\"state\":\"pending\""));
    assert_int_equal(order(s, (struct act_order){.act = ACT_SILENCE_END, .what = "s0"}, again), ERR_NOTFOUND);
    assert_int_equal(order(s, (struct act_order){.act = ACT_SILENCE_END, .what = id}, again), 0);
    assert_int_equal(order(s, (struct act_order){.act = ACT_SILENCE_END, .what = id}, again), ERR_STATE);
    o = (struct act_order){
        .act = ACT_ROTA_OVERRIDE, .what = "r", .user = "bo", .who = "al", .reason = "ill", .to = later};
    assert_int_equal(order(s, o, id), 0);
    who(s, "2026-03-02T10:30:00Z", "2026-03-02T10:31:00Z", "\"person\":\"bo\"");
    o.user = "cy";
    assert_int_equal(order(s, o, id), ERR_NOTFOUND);
    o.what = "x";
    assert_int_equal(order(s, o, id), ERR_NOTFOUND);
    o = (struct act_order){.act = ACT_MAINTENANCE_START,
                           .match = "service=db",
                           .who = "al",
                           .reason = "x",
                           .to = later,
                           .excludes_sla = true};
    assert_int_equal(order(s, o, id), 0);
    assert_true(says(s, notify_maintenance_list, "\"excludes_sla\":true"));
    {
        uint32_t n = 0;
        const struct maintenance_fact *f = notify_maintenance(s->nodes[0].n, &n);

        assert_int_equal(n, 1);
        assert_true(f[0].excludes_sla && f[0].mutes && f[0].declared.ms == sim_wall(s).ms);
    }
    assert_int_equal(order(s, (struct act_order){.act = ACT_MAINTENANCE_END, .what = id}, again), 0);
    assert_int_equal(order(s, (struct act_order){.act = ACT_ACK, .what = "beef", .who = "al"}, again),
                     ERR_NOTFOUND);
    buf_free(&out);
    sim_free(s);
}

/* ---- explaining ---- */

static void explains(struct sim *s, const char *name, const char *what)
{
    struct fingerprint f = sim_id(name);
    struct buf out;
    struct err e = {0};

    buf_init(&out, NULL, 1 << 16);
    assert_int_equal(notify_explain(s->nodes[0].n, &f, sim_wall(s), &out, &e), 0);
    if (!strstr(buf_text(&out), what))
        fail_msg("%s is not in %s", what, buf_text(&out));
    buf_free(&out);
}

static void test_explain(void **state)
{
    struct sim *s = plain(RECEIVERS "[route all]\nreceivers = a b\ngroup_by = alertname\n");
    struct act_order o = {.act = ACT_SILENCE_ADD, .match = "alertname=M", .who = "al", .reason = "r"};
    struct err e = {0};
    struct fingerprint unknown = sim_id("unknown");
    struct buf out;
    char id[64];

    (void)state;
    buf_init(&out, NULL, 1024);
    o.to = wall_add(sim_wall(s), span_s(3600));
    s->quiet = true;
    sim_receiver(s, "b")->outcome = OUTCOME_RETRY;
    assert_int_equal(order(s, o, id), 0);
    sim_fire(&s->nodes[0], "N1", "alertname=N");
    sim_fire(&s->nodes[0], "M1", "alertname=M");
    sim_run(s, 11000);
    explains(s, "N1", "\"receiver\":\"a\",\"active\":true,\"fallback\":false,\"state\":\"told\"");
    explains(s, "N1", "\"state\":\"maybe\",\"waits_because\":\"waits for a retry\"");
    explains(s, "N1", "\"last_error\":\"503 try later\"");
    explains(s, "M1", "\"stopped_by\":\"silenced\"");
    explains(s, "M1", id);
    assert_int_equal(notify_explain(s->nodes[0].n, &unknown, sim_wall(s), &out, &e), ERR_NOTFOUND);
    buf_free(&out);
    sim_free(s);
}

/* A reload keeps what was told, and refuses what is wrong without a change. A receiver that is gone is told nothing. */
static void test_reload(void **state)
{
    struct sim *s = plain(RECEIVERS "[route all]\nreceivers = a\ngroup_by = alertname\n");
    struct sim_node *node = &s->nodes[0];
    struct err e = {0};
    struct buf report;
    const char *texts[] = {RECEIVERS "[route all]\nreceivers = a b\ngroup_by = alertname\n",
                           RECEIVERS "[route all]\nreceivers = x\n",
                           "[receiver b]\ntype = log\n[route all]\nreceivers = b\ngroup_by = alertname\n"};
    int expected[] = {0, ERR_CONFIG, 0};

    (void)state;
    buf_init(&report, NULL, 1 << 16);
    sim_fire(node, "N1", "alertname=N");
    sim_run(s, 15000);
    for (int i = 0; i < 3; i++) {
        struct config *c = sim_config(s, texts[i], &report, &e);

        assert_non_null(c);
        assert_int_equal(
            notify_reload(
                node->n,
                &(struct notify_params){
                    .config = c, .zones = {sim_zone, s}, .mem = &node->mem, .region = "east", .host = "host"},
                &report, &e),
            expected[i]);
        config_free(&c);
        sim_run(s, 301000);
    }
    sim_end(node, "N1");
    sim_run(s, 301000);
    assert_string_equal(buf_text(&s->out),
                        "03-02T10:00:11 a          trigger k1 attempt 1: [error] N: N1 is wrong\n"
                        "03-02T10:05:11 b          trigger k1 attempt 1: [error] N: N1 is wrong\n"
                        "03-02T10:15:19 b          resolve k1 attempt 1: [resolved] N: N1 is wrong\n");
    buf_free(&report);
    sim_free(s);
}

/* Records that are not ours are refused or left out; nothing breaks. */
static void test_records(void **state)
{
    static const char *const wrong[][2] = {
        {"alert", "{}"},
        {"alert/x", "{}"},
        {"alert/x", "["},
        {"alert/x", ""},
        {"group/x", "{\"labels\":[1]}"},
        {"silence/x", "{\"match\":\"=\"}"},
        {"override/x", "{}"},
        {"peer/", "{}"},
        {"what/x", "{\"a\":1}"},
        {"alert/00112233445566778899aabbccddeeff",
         "{\"told\":[{\"group\":\"g\"},3],\"labels\":{\"a\":\"b\"},\"epoch\":-5}"}};
    struct sim *s = plain(RECEIVERS "[route all]\nreceivers = a\n");
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        (void)notify_restore(s->nodes[0].n, (struct bytes){(const uint8_t *)wrong[i][0], strlen(wrong[i][0])},
                             (struct bytes){(const uint8_t *)wrong[i][1], strlen(wrong[i][1])}, &e);
    sim_run(s, 60000);
    assert_string_equal(buf_text(&s->out), "");
    assert_int_equal(notify_restore(s->nodes[0].n, (struct bytes){(const uint8_t *)"peer/x", 6},
                                    (struct bytes){(const uint8_t *)"{}", 2}, &e),
                     ERR_STATE);
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_foresight), cmocka_unit_test(test_routes),
        cmocka_unit_test(test_rota),     cmocka_unit_test(test_links),     cmocka_unit_test(test_orders),
        cmocka_unit_test(test_explain),  cmocka_unit_test(test_reload),    cmocka_unit_test(test_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
