/* The control store's states and lines: durable together, read back after a restart, saved from damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aggregator/store/control.h"

struct env {
    struct loop *loop;
    struct log *log;
    struct control *c;
    struct err e;
    unsigned left;
    int code;
    char seen[8192]; /* what came back, "key=value;" */
};

static void open_store(struct env *v, const char *path)
{
    struct control_params p = {.path = path, .loop = v->loop, .log = v->log};

    v->c = control_open(&p, &v->e);
    if (!v->c)
        print_message("%s\n", v->e.text);
    assert_non_null(v->c);
}

static struct env *env_new(const char *path)
{
    struct env *v = calloc(1, sizeof *v);

    assert_non_null(v);
    v->loop = loop_new(&v->e);
    v->log = log_new(&(struct log_params){.level = LOG_INFO, .file = "log"}, &v->e);
    open_store(v, path);
    return v;
}

static void env_free(struct env *v)
{
    control_close(&v->c);
    loop_free(&v->loop);
    log_free(&v->log);
    free(v);
}

static void answered(void *arg, int code)
{
    struct env *v = arg;

    v->code = code;
    if (--v->left == 0)
        loop_stop(v->loop);
}

static struct bytes text(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

static int write_now(struct env *v, const struct control_op *ops, size_t n)
{
    v->left = 1;
    assert_int_equal(control_write(v->c, ops, n, answered, v), 0);
    assert_int_equal(loop_run(v->loop), 0);
    return v->code;
}

static int on_state(void *arg, struct bytes key, struct bytes value)
{
    struct env *v = arg;
    size_t n = strlen(v->seen);

    (void)snprintf(v->seen + n, sizeof v->seen - n, "%.*s=%.*s;", (int)key.n, (const char *)key.p,
                   (int)value.n, (const char *)value.p);
    return 0;
}

static void on_line(void *arg, struct bytes key, struct wall t, struct bytes value)
{
    struct env *v = arg;
    size_t n = strlen(v->seen);

    (void)snprintf(v->seen + n, sizeof v->seen - n, "%lld ", (long long)t.ms);
    (void)on_state(arg, key, value);
}

static const char *lines(struct env *v, struct control_lines q)
{
    v->seen[0] = 0;
    v->left = 1;
    assert_int_equal(control_read(v->c, &q, on_line, answered, v), 0);
    assert_int_equal(loop_run(v->loop), 0);
    assert_int_equal(v->code, 0);
    return v->seen;
}

static const char *states(struct env *v, const char *room)
{
    v->seen[0] = 0;
    assert_int_equal(control_load(v->c, room, on_state, v, &v->e), 0);
    return v->seen;
}

static void test_states(void **state)
{
    struct env *v = env_new("s.db");
    const struct control_op ops[] = {
        {CONTROL_PUT, "alert", text("b"), text("1"), {0}},
        {CONTROL_PUT, "alert", text("a"), text("2"), {0}},
        {CONTROL_PUT, "notify", text("a"), {NULL, 0}, {0}},
        {CONTROL_PUT, "alert", text("b"), text("3"), {0}},
        {CONTROL_PUT, "alert", text("gone"), text("4"), {0}},
        {CONTROL_DELETE, "alert", text("gone"), {NULL, 0}, {0}},
        {CONTROL_DELETE, "alert", text("never there"), {NULL, 0}, {0}},
    };

    (void)state;
    assert_int_equal(write_now(v, ops, sizeof ops / sizeof *ops), 0);
    control_close(&v->c);
    open_store(v, "s.db");
    assert_string_equal(states(v, "alert"), "a=2;b=3;");
    assert_string_equal(states(v, "notify"), "a=;");
    assert_string_equal(states(v, "incident"), "");
    env_free(v);
}

static void test_lines(void **state)
{
    struct env *v = env_new("l.db");
    struct control_op ops[] = {
        {CONTROL_APPEND, "timeline", text("7"), text("one"), {10}},
        {CONTROL_APPEND, "timeline", text("7"), text("two"), {10}},
        {CONTROL_APPEND, "timeline", text("8"), text("three"), {20}},
        {CONTROL_APPEND, "timeline", text("7"), text("four"), {30}},
        {CONTROL_APPEND, "peer", text("7"), text("five"), {10}},
    };

    (void)state;
    assert_int_equal(write_now(v, ops, 5), 0);
    assert_string_equal(lines(v, (struct control_lines){.room = "timeline", .key = text("7")}),
                        "10 7=one;10 7=two;30 7=four;");
    assert_string_equal(lines(v, (struct control_lines){.room = "timeline", .newest = true, .limit = 2}),
                        "30 7=four;20 8=three;");
    assert_string_equal(lines(v, (struct control_lines){.room = "timeline", .from = {20}, .to = {30}}),
                        "20 8=three;");
    assert_int_equal(control_prune(v->c, "timeline", (struct wall){20}), 0);
    assert_string_equal(lines(v, (struct control_lines){.room = "timeline"}), "20 8=three;30 7=four;");
    assert_string_equal(lines(v, (struct control_lines){.room = "peer"}), "10 7=five;");
    env_free(v);
}

/* A file as 0.1 wrote it is carried on with, its audit kept. */
static void test_an_older_file(void **state)
{
    sqlite3 *db;
    struct env *v;

    (void)state;
    assert_int_equal(sqlite3_open("old.db", &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "CREATE TABLE store_mark(n INTEGER NOT NULL); INSERT INTO store_mark VALUES(0);"
                     "CREATE TABLE audit(id INTEGER PRIMARY KEY AUTOINCREMENT, t INTEGER NOT NULL, who TEXT"
                     " NOT NULL, what TEXT NOT NULL, reason TEXT NOT NULL, request_id TEXT NOT NULL UNIQUE);"
                     "INSERT INTO audit VALUES(1, 5, 'w', 'x', 'y', 'r1'); PRAGMA user_version = 1;",
                     NULL, NULL, NULL),
        SQLITE_OK);
    (void)sqlite3_close(db);
    v = env_new("old.db");
    assert_string_equal(states(v, "alert"), "");
    v->left = 1;
    assert_int_equal(control_audit(v->c, &(struct control_audit){{5}, "w", "x", "y", "r1"}, answered, v), 0);
    assert_int_equal(loop_run(v->loop), 0);
    assert_int_equal(v->code, ERR_EXISTS);
    env_free(v);
}

static void spoil_table(const char *path, const char *name)
{
    char sql[200];
    sqlite3_stmt *st;
    sqlite3 *db;
    long page;
    FILE *f;

    (void)snprintf(sql, sizeof sql, "SELECT rootpage FROM sqlite_master WHERE name = '%s'", name);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    page = sqlite3_column_int(st, 0);
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, (page - 1) * 4096, SEEK_SET), 0);
    for (int i = 0; i < 4096; i++)
        (void)fputc(0xa5, f);
    (void)fclose(f);
}

static void test_damage(void **state)
{
    struct env *v = env_new("d.db");
    const struct control_op ops[] = {
        {CONTROL_PUT, "alert", text("a"), text("1"), {0}},
        {CONTROL_APPEND, "ledger", text("slo"), text("down"), {10}},
    };

    (void)state;
    assert_int_equal(write_now(v, ops, 2), 0);
    control_close(&v->c);
    spoil_table("d.db", "line_by_time");
    open_store(v, "d.db");
    assert_string_equal(states(v, "alert"), "a=1;");
    control_close(&v->c);
    spoil_table("d.db", "sqlite_autoindex_state_1");
    open_store(v, "d.db");
    assert_string_equal(states(v, "alert"), "a=1;"); /* read past the index */
    assert_string_equal(lines(v, (struct control_lines){.room = "ledger"}), "10 slo=down;");
    env_free(v);
    assert_int_equal(access("d.db.damaged-1", F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_an_older_file),
        cmocka_unit_test(test_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
