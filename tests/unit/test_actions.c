/* The framework of actions: rows of all drivers, what a configuration may say, marks at targets, runs in workers. */
#include "tests/unit/action_kit.h"

#include "common/net/loop.h"

/* The choices of `type` are the types that there are, and equal keys have equal rows. */
static void test_rows(void **state)
{
    struct option_row rows[ACTION_ROWS];
    size_t n = action_rows(rows);
    const char *types = rows[0].choices;

    (void)state;
    assert_string_equal(rows[0].key, "type");
    for (size_t i = 0; i < action_drivers_count; i++) {
        const struct action_driver *d = action_drivers[i];
        uint32_t always = 1U << ACTION_PRECHECK | 1U << ACTION_PROBE;

        assert_ptr_equal(action_driver_find(d->type), d);
        assert_non_null(strstr(types, d->type));
        assert_true(d->open && d->close && d->run && d->sentence);
        assert_int_equal(d->ops & always, always);
        assert_true(!d->steps || d->ops & 1U << ACTION_APPLY);
        for (size_t k = 0; k < d->n_rows; k++) {
            const struct option_row *a = &d->rows[k], *b = NULL;

            for (size_t j = 0; j < n; j++)
                if (strcmp(rows[j].key, a->key) == 0)
                    b = &rows[j];
            if (!b || strcmp(a->sentence, b->sentence) != 0 || a->type != b->type || a->min != b->min ||
                a->max != b->max || a->reloadable != b->reloadable ||
                !(a->dflt == b->dflt || (a->dflt && b->dflt && strcmp(a->dflt, b->dflt) == 0)))
                fail_msg("%s: the row of %s is not the one of another type", d->type, a->key);
        }
    }
    assert_null(action_driver_find("pigeon"));
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(plan_step_name(STEP_TIDY), "tidy");
    assert_string_equal(plan_step_name((enum plan_step)99), "unknown");
    assert_string_equal(action_op_name(ACTION_UNDO), "undo");
    assert_string_equal(action_class_name(ACTION_UNKNOWN), "unknown");
    assert_int_equal(action_settle(ACTION_PROBE, ACTION_ALREADY), ACTION_OK);
    assert_int_equal(action_settle(ACTION_PROBE, ACTION_UNKNOWN), ACTION_RETRY);
    assert_int_equal(action_settle(ACTION_APPLY, ACTION_UNKNOWN), ACTION_UNKNOWN);
    assert_int_equal(action_settle(ACTION_UNDO, ACTION_NOT_APPLIED), ACTION_RETRY);
}

static void refused(const char *ini, const char *expected)
{
    struct akit k;

    akit_parse(&k, ini);
    assert_int_equal(action_check(k.config, &k.report, &k.e), ERR_CONFIG);
    assert_string_equal(buf_text(&k.report), expected);
    akit_close(&k);
}

static void test_check(void **state)
{
    struct akit k;
    char value[64];

    (void)state;
    refused("[action a]\ntype = command\nservice = app\nstep = switch\n",
            "actions.ini:1: [action a]: an action of type command needs `command`\n");
    refused("[action a]\ntype = command\nservice = app\ncommand = /bin/true\n",
            "actions.ini:1: [action a]: an action of type command needs `step`\n");
    refused("[action a]\ntype = command\nservice = app\nstep = switch\ncommand = true\n",
            "actions.ini:5: [action a] command: found \"true\", expected an absolute path\n");
    refused("[action a]\ntype = command\nservice = app\nstep = switch\ncommand = /bin/true\non = failover "
            "drills\n",
            "actions.ini:6: [action a] on: found \"drills\", expected failover, switchover or drill\n");
    akit_parse(&k, "[action a]\ntype = command\nservice = app\nstep = gate\nfigures = yes\n"
                   "command = /bin/true east=1 west=2 east=3 bad=\n");
    assert_int_equal(action_check(k.config, &k.report, &k.e), 0);
    assert_int_equal(action_step_of(config_named(k.config, "action", 0)), PLAN_STEPS);
    assert_false(action_proves(config_named(k.config, "action", 0)));
    assert_true(action_figures(config_named(k.config, "action", 0)));
    assert_string_equal(
        action_by_region(config_named(k.config, "action", 0), "command", "west", value, sizeof value), "2");
    assert_string_equal(
        action_nth_by_region(config_named(k.config, "action", 0), "command", "east", 1, value, sizeof value),
        "3");
    assert_null(action_by_region(config_named(k.config, "action", 0), "command", "eas", value, sizeof value));
    assert_null(action_by_region(config_named(k.config, "action", 0), "command", "bad", value, sizeof value));
    assert_int_equal(action_regions_check(config_named(k.config, "action", 0), "command", &k.e), ERR_CONFIG);
    akit_close(&k);
}

static void test_marks(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint32_t epoch;
        struct fencing t;
    } rows[] = {
        {"epoch=8 token=2.4711 plan=p", true, 8, {2, 4711}},
        {"\"epoch=8 token=2.4711 plan=p\"", true, 8, {2, 4711}},
        {"plan=x token=0.18446744073709551615", true, 0, {0, UINT64_MAX}},
        {"token=1.18446744073709551616", false, 0, {0}},
        {"token=1", false, 0, {0}},
        {"token=1.", false, 0, {0}},
        {"token=1.2x", false, 0, {0}},
        {"xtoken=1.2", false, 0, {0}},
        {"token=1.2 token=3.4", false, 0, {0}},
        {"epoch=4294967296 token=1.2", false, 0, {0}},
        {"epoch=", false, 0, {0}},
        {"", false, 0, {0}},
    };
    struct action_order o = akit_order(ACTION_APPLY);
    char mark[ACTION_MARK];
    struct fencing t;
    uint32_t epoch;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        t = (struct fencing){0};
        epoch = 0;
        if (action_mark_parse(rows[i].text, &epoch, &t) != rows[i].good || epoch != rows[i].epoch ||
            fencing_cmp(t, rows[i].t) != 0)
            fail_msg("%s", rows[i].text);
    }
    action_mark(&o, mark);
    assert_string_equal(mark, "epoch=7 token=1.100 plan=p-7");
}

/* ---- runs ---- */

struct wait {
    struct loop *loop;
    struct actions *actions;
    int left;
    struct action_result r[8];
    int n;
};

static void on_done(void *arg, const struct action_result *r)
{
    struct wait *w = arg;

    w->r[w->n++ & 7] = *r;
    if (--w->left == 0)
        loop_stop(w->loop);
}

static struct wait begin(struct akit *k)
{
    struct wait w = {.loop = loop_new(&k->e)};

    assert_int_equal(action_check(k->config, &k->report, &k->e), 0);
    w.actions = actions_open(k->config, w.loop, NULL, &k->e);
    assert_non_null(w.actions);
    return w;
}

static void end(struct wait *w, struct akit *k)
{
    actions_close(&w->actions);
    loop_free(&w->loop);
    akit_close(k);
}

static void go(struct wait *w, struct action_order o, int n)
{
    w->left = n;
    w->n = 0;
    for (int i = 0; i < n; i++)
        assert_int_equal(actions_run(w->actions, "a", &o, on_done, w), 0);
    assert_int_equal(loop_run(w->loop), 0);
}

static void with_script(struct akit *k, const char *name, const char *script)
{
    char path[512], ini[1024];

    snprintf(ini, sizeof ini, "[action a]\ntype = command\nservice = app\nstep = fence\ncommand = %s arg\n",
             akit_script(name, script, path));
    akit_parse(k, ini);
}

static void test_command(void **state)
{
    static const struct {
        const char *script;
        enum action_op op;
        enum action_class class;
        const char *text;
    } rows[] = {
        {"echo fine", ACTION_APPLY, ACTION_OK, "exit status 0: fine"},
        {"exit 3", ACTION_APPLY, ACTION_ALREADY, "exit status 3"},
        {"exit 3", ACTION_PROBE, ACTION_OK, "exit status 3"},
        {"exit 4", ACTION_PROBE, ACTION_NOT_APPLIED, "exit status 4"},
        {"exit 75", ACTION_APPLY, ACTION_RETRY, "exit status 75"},
        {"exit 77", ACTION_APPLY, ACTION_DENIED, "exit status 77"},
        {"exit 1", ACTION_APPLY, ACTION_UNKNOWN, "exit status 1"},
        {"exit 1", ACTION_PROBE, ACTION_RETRY, "exit status 1"},
        {"kill -9 $$", ACTION_UNDO, ACTION_UNKNOWN, "ended by signal 9"},
        {"echo warning; echo '{\"class\":\"conflict\",\"text\":\"a newer one\"}'", ACTION_APPLY,
         ACTION_CONFLICT, "a newer one"},
        {"echo '{\"class\":\"wonderful\"}'", ACTION_APPLY, ACTION_DENIED,
         "it said a class that there is not: \"wonderful\""},
        {"echo '{\"class\":\"ok\",\"text\":\"no\"}'; exit 6", ACTION_APPLY, ACTION_CONFLICT, "no"},
        {"grep -q '\"op\":\"apply\",\"action\":\"a\",\"service\":\"app\",\"from\":\"east\",\"to\":\"west\","
         "\"plan\":\"p-7\",\"epoch\":7,\"token\":\"1.100\"' && test \"$1\" = arg && test $(ls /proc/self/fd "
         "| wc -l) "
         "-le 4 && grep -q 'NoNewPrivs:.1' /proc/self/status",
         ACTION_APPLY, ACTION_OK, "exit status 0"},
    };
    char name[32];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct akit k;
        struct wait w;

        snprintf(name, sizeof name, "s%zu", i);
        with_script(&k, name, rows[i].script);
        w = begin(&k);
        go(&w, akit_order(rows[i].op), 1);
        if (w.r[0].class != rows[i].class || strcmp(w.r[0].text, rows[i].text) != 0)
            fail_msg("%s: %s: %s", rows[i].script, action_class_name(w.r[0].class), w.r[0].text);
        end(&w, &k);
    }
}

static void test_figures(void **state)
{
    struct akit k;
    struct wait w;

    (void)state;
    with_script(
        &k, "figures",
        "echo "
        "'{\"lag_ms\":1500,\"lag_age_ms\":20,\"receiving\":true,\"token\":\"3.9\",\"seen\":\"a\\u0007b\"}'");
    w = begin(&k);
    go(&w, akit_order(ACTION_PROBE), 1);
    assert_true(w.r[0].have_lag && w.r[0].receiving && !w.r[0].writable && !w.r[0].synchronous);
    assert_int_equal(w.r[0].lag_ms, 1500);
    assert_int_equal(w.r[0].lag_age_ms, 20);
    assert_int_equal(w.r[0].found.store, 3);
    assert_int_equal(w.r[0].found.rev, 9);
    assert_string_equal(w.r[0].seen, "a b");
    end(&w, &k);
}

/* The program is killed at the driver's deadline, with all that it started; the outcome of a change is unknown. */
static void test_late(void **state)
{
    struct action_order o = akit_order(ACTION_APPLY);
    struct akit k;
    struct wait w;

    (void)state;
    with_script(&k, "late", "sleep 1000 & sleep 1000");
    w = begin(&k);
    o.deadline = span_ms(200);
    go(&w, o, 1);
    assert_int_equal(w.r[0].class, ACTION_UNKNOWN);
    assert_string_equal(w.r[0].text, "killed: it took longer than `timeout`");
    o.op = ACTION_PROBE;
    go(&w, o, 1);
    assert_int_equal(w.r[0].class, ACTION_RETRY);
    end(&w, &k);
}

/* One change at a time; questions beside it; the second change has done nothing. */
static void test_one_at_a_time(void **state)
{
    struct action_order change = akit_order(ACTION_APPLY), question = akit_order(ACTION_PROBE);
    char path[512], script[2000], line[64] = "";
    struct akit k;
    struct wait w;
    FILE *f;

    (void)state;
    assert_non_null(getcwd(path, sizeof path));
    snprintf(
        script, sizeof script,
        "if grep -q '\"op\":\"apply\"'; then echo once >> %s/log; while [ ! -e %s/go ]; do sleep 0.01; done; "
        "else : > %s/go; fi",
        path, path, path);
    with_script(&k, "one", script);
    w = begin(&k);
    w.left = 3;
    assert_int_equal(actions_run(w.actions, "a", &change, on_done, &w), 0);
    assert_int_equal(actions_run(w.actions, "a", &change, on_done, &w), 0);
    assert_int_equal(w.n, 0); /* never from within */
    assert_int_equal(actions_run(w.actions, "a", &question, on_done, &w), 0);
    assert_int_equal(actions_run(w.actions, "b", &question, on_done, &w), ERR_NOTFOUND);
    assert_int_equal(loop_run(w.loop), 0);
    assert_int_equal(w.r[0].class, ACTION_RETRY);
    assert_string_equal(w.r[0].text, "another change of this action is under way");
    assert_int_equal(w.r[1].class, ACTION_OK);
    assert_int_equal(w.r[2].class, ACTION_OK);
    f = fopen("log", "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    assert_null(fgets(line, sizeof line, f));
    fclose(f);
    end(&w, &k);
}

/* A run goes on with what it began with; a wrong reload changes nothing; what has not ended at the close never does. */
static void test_reload_and_close(void **state)
{
    struct action_order o = akit_order(ACTION_APPLY);
    struct akit k, second, third;
    struct wait w;

    (void)state;
    with_script(&k, "old", "sleep 0.1; echo old");
    with_script(&second, "new", "echo new");
    akit_parse(&third, "[action a]\ntype = command\nservice = app\nstep = fence\ncommand = /bin/true\n"
                       "user = nobody-there\n");
    w = begin(&k);
    w.left = 1;
    assert_int_equal(actions_run(w.actions, "a", &o, on_done, &w), 0);
    assert_int_equal(actions_reload(w.actions, third.config, &third.e), ERR_CONFIG);
    assert_string_equal(third.e.text, "action a: user: there is no user \"nobody-there\"");
    assert_int_equal(actions_reload(w.actions, second.config, &second.e), 0);
    assert_int_equal(loop_run(w.loop), 0);
    assert_string_equal(w.r[0].text, "exit status 0: old");
    go(&w, o, 1);
    assert_string_equal(w.r[0].text, "exit status 0: new");
    w.n = 0;
    w.left = 3;
    assert_int_equal(actions_run(w.actions, "a", &o, on_done, &w), 0);
    assert_int_equal(actions_run(w.actions, "a", &o, on_done, &w), 0);
    akit_close(&second);
    akit_close(&third);
    end(&w, &k);
    assert_int_equal(w.n, 0);
}

/* What a machine has not: named with its section and key, without being asked for anything. */
static void test_files(void **state)
{
    static const char ini[] =
        "[action good]\ntype = command\nservice = app\nstep = fence\ncommand = /bin/true\n"
        "[action who]\ntype = command\nservice = app\nstep = fence\ncommand = /bin/true\n"
        "user = nobody-there\n"
        "[action hook]\ntype = webhook\nservice = app\nstep = warm\nurl = https://x/\n"
        "authorization = file:/nowhere/secret\n"
        "[action service]\ntype = webhook\nservice = app\nstep = warm\nurl = https://x/\n"
        "authorization = cred:hook\n";
    struct akit k;

    (void)state;
    akit_parse(&k, ini);
    assert_int_equal(action_check_files(k.config, &k.report, &k.e), ERR_CONFIG);
    assert_non_null(strstr(buf_text(&k.report), "[action who]: action who: user: there is no user"));
    assert_non_null(strstr(buf_text(&k.report), "[action hook] authorization: "));
    assert_null(strstr(buf_text(&k.report), "good"));
    assert_null(strstr(buf_text(&k.report), "service]"));
    akit_close(&k);
}

struct figures {
    struct sink sink;
    int64_t runs, under_way;
};

static void on_integer(struct sink *s, const struct metric_row *row, const struct text *labels, int64_t v)
{
    struct figures *f = (struct figures *)s;

    if (strcmp(row->name, "securebase_action_runs_total") == 0) {
        assert_memory_equal(labels[0].p, "a", 1);
        assert_memory_equal(labels[1].p, "already", 7);
        assert_memory_equal(labels[2].p, "apply", 5);
        f->runs += v;
    }
    if (strcmp(row->name, "securebase_action_under_way") == 0)
        f->under_way += v;
}

static void test_metrics(void **state)
{
    struct figures f = {.sink = {.integer = on_integer}};
    struct akit k;
    struct wait w;

    (void)state;
    with_script(&k, "metrics", "exit 3");
    w = begin(&k);
    for (int i = 0; i < 3; i++)
        go(&w, akit_order(ACTION_APPLY), 1);
    actions_metrics(w.actions, &f.sink);
    assert_int_equal(f.runs, 3);
    assert_int_equal(f.under_way, 0);
    end(&w, &k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_reload_and_close),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
