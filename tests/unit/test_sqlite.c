/* The hold on SQLite: versions, damage, full disks, transactions, what an exclusive owner means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aggregator/store/sqlite_io.h"

static const char *const one[] = {"CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB UNIQUE)"};
static const char *const two[] = {"CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB UNIQUE)",
                                  "ALTER TABLE t ADD COLUMN c; INSERT INTO t(b, c) VALUES('new', 1)"};

static int64_t count(struct db *db)
{
    struct err e = {0};
    sqlite3_stmt *st = db_prepare(db, "SELECT count(*) FROM t", &e);
    int64_t n;

    assert_non_null(st);
    assert_int_equal(db_row(db, st, &e), 1);
    n = sqlite3_column_int64(st, 0);
    assert_int_equal(db_row(db, st, &e), 0);
    return n;
}

static int put(struct db *db, const char *b, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "INSERT INTO t(b) VALUES(?)", e);

    assert_non_null(st);
    assert_int_equal(sqlite3_bind_text(st, 1, b, -1, SQLITE_TRANSIENT), SQLITE_OK);
    return db_run(db, st, e);
}

static void test_versions(void **state)
{
    struct err e = {0};
    struct db *db = db_open("v.db", one, 1, &e);
    struct stat st;

    (void)state;
    assert_non_null(db);
    assert_int_equal(put(db, "x", &e), 0);
    assert_int_equal(put(db, "x", &e), ERR_EXISTS);
    assert_int_equal(count(db), 1);
    assert_int_equal(db_last_id(db), 1);
    assert_true(db_bytes(db) > 0);
    db_close(&db);
    assert_null(db);
    db_close(&db);
    assert_int_equal(stat("v.db", &st), 0);
    assert_int_equal(st.st_mode & 07777 & ~0640U, 0);
    assert_int_not_equal(access("v.db-wal", F_OK), 0);
    db = db_open("v.db", two, 2, &e);
    assert_non_null(db);
    assert_int_equal(count(db), 2);
    db_close(&db);
    assert_null(db_open("v.db", one, 1, &e));
    assert_int_equal(e.code, ERR_VERSION);
    db = db_open("v.db", two, 2, &e); /* the refusal left it as it was */
    assert_int_equal(count(db), 2);
    db_close(&db);
}

static void test_failed_step_leaves_the_old_version(void **state)
{
    const char *const bad[] = {one[0], "CREATE TABLE u(a); INSERT INTO nowhere VALUES(1)"};
    struct err e = {0};
    struct db *db = db_open("s.db", one, 1, &e);

    (void)state;
    db_close(&db);
    assert_null(db_open("s.db", bad, 2, &e));
    db = db_open("s.db", one, 1, &e);
    assert_non_null(db);
    assert_int_equal(db_exec(db, "SELECT * FROM u", &e), ERR_IO);
    db_close(&db);
}

static void test_transactions(void **state)
{
    struct err e = {0};
    struct db *db = db_open("t.db", one, 1, &e);

    (void)state;
    assert_int_equal(db_begin(db, &e), 0);
    assert_int_equal(put(db, "a", &e), 0);
    db_rollback(db);
    assert_int_equal(count(db), 0);
    db_rollback(db);
    assert_int_equal(db_begin(db, &e), 0);
    assert_int_equal(put(db, "a", &e), 0);
    assert_int_equal(db_commit(db, &e), 0);
    assert_int_equal(db_commit(db, &e), ERR_IO); /* none under way */
    assert_int_equal(count(db), 1);
    db_close(&db);
}

static void test_one_owner(void **state)
{
    struct err e = {0};
    struct db *db = db_open("o.db", one, 1, &e);

    (void)state;
    assert_int_equal(put(db, "a", &e), 0);
    assert_null(db_open("o.db", one, 1, &e));
    assert_int_equal(e.code, ERR_STATE);
    assert_int_not_equal(access("o.db-shm", F_OK), 0);
    db_close(&db);
}

static void test_full_disk(void **state)
{
    static const char big[100000] = {0};
    struct err e = {0};
    struct db *db = db_open("f.db", one, 1, &e);
    sqlite3_stmt *st;

    (void)state;
    assert_int_equal(db_exec(db, "PRAGMA max_page_count=8", &e), 0);
    assert_int_equal(db_begin(db, &e), 0);
    st = db_prepare(db, "INSERT INTO t(b) VALUES(?)", &e);
    assert_int_equal(sqlite3_bind_blob(st, 1, big, sizeof big, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(db_run(db, st, &e), ERR_LIMIT);
    db_rollback(db);
    assert_int_equal(put(db, "small", &e), 0);
    db_close(&db);
}

static void scribble(const char *path, long at, size_t n)
{
    FILE *f = fopen(path, "r+");

    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    while (n--)
        assert_int_equal(fputc('x', f), 'x');
    assert_int_equal(fclose(f), 0);
}

static void test_damage_is_set_aside(void **state)
{
    struct err e = {0};
    struct db *db = db_open("d.db", one, 1, &e);

    (void)state;
    db_close(&db);
    scribble("d.db", 0, 2000);
    assert_null(db_open("d.db", one, 1, &e));
    assert_int_equal(e.code, ERR_MALFORMED);
    assert_int_equal(db_set_aside("d.db", &e), 0);
    assert_int_equal(access("d.db.damaged-1", F_OK), 0);
    db = db_open("d.db", one, 1, &e);
    assert_non_null(db);
    assert_int_equal(put(db, "a", &e), 0);
    db_close(&db);
    scribble("d.db", 100, 20); /* the root page of the schema */
    assert_null(db_open("d.db", one, 1, &e));
    assert_int_equal(e.code, ERR_MALFORMED);
    assert_int_equal(db_set_aside("d.db", &e), 0);
    assert_int_equal(access("d.db.damaged-2", F_OK), 0);
}

static void test_only_plain_files(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(symlink("v.db", "link.db"), 0);
    assert_null(db_open("link.db", one, 1, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_int_equal(mkfifo("pipe.db", 0600), 0);
    assert_null(db_open("pipe.db", one, 1, &e));
    assert_int_equal(mkdir("dir.db", 0700), 0);
    assert_null(db_open("dir.db", one, 1, &e));
    assert_null(db_open("absent/x.db", one, 1, &e));
    assert_non_null(strstr(e.text, "absent/x.db"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),         cmocka_unit_test(test_failed_step_leaves_the_old_version),
        cmocka_unit_test(test_transactions),     cmocka_unit_test(test_one_owner),
        cmocka_unit_test(test_full_disk),        cmocka_unit_test(test_damage_is_set_aside),
        cmocka_unit_test(test_only_plain_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
