/* Spoils a file of SQLite's as a bad disk would. Behind cmocka.h. */
#ifndef SB_TESTS_DAMAGE_H
#define SB_TESTS_DAMAGE_H

#include <sqlite3.h>
#include <stdio.h>

/* Damages the root page of a tree of a file that nobody has open: the start does not read it, work does. */
static inline void damage_tree(const char *path, const char *tree)
{
    sqlite3_stmt *st;
    sqlite3 *db;
    FILE *f;
    int page;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name = ?", -1, &st, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_bind_text(st, 1, tree, -1, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    page = sqlite3_column_int(st, 0);
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, (page - 1) * 4096L, SEEK_SET), 0);
    for (int i = 0; i < 4096; i++)
        assert_int_equal(fputc('x', f), 'x');
    assert_int_equal(fclose(f), 0);
}

#endif
