/* Setting damaged files aside, and putting new ones in their place: see sqlite_io.h. The new
 * file becomes complete as path.new, then is called path.ready, in one step; only then the
 * damaged one moves away. So whoever finds path.ready at a start knows that it holds
 * everything, and whoever finds path.new knows that the damaged file is still to be read. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aggregator/store/sqlite_io.h"

enum { MAX_PATH = 4096, MAX_NAME = MAX_PATH + 32, MAX_ASIDE = 64 };

static const char *const parts[] = {"-wal", "-shm", ""};

/* Moves from<part> to to<part>; one that is not there is no mistake. The log
 * goes first: a new database must never meet the log of the old one. */
static int move_parts(const char *from, const char *to, struct err *e)
{
    char a[MAX_NAME + 8], b[MAX_NAME + 8];

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)snprintf(a, sizeof a, "%s%s", from, parts[i]);
        (void)snprintf(b, sizeof b, "%s%s", to, parts[i]);
        if (rename(a, b) != 0 && errno != ENOENT)
            return err_sys(e, ERR_IO, errno, "%s", a);
    }
    return 0;
}

static int remove_parts(const char *path, struct err *e)
{
    char a[MAX_NAME + 8];

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)snprintf(a, sizeof a, "%s%s", path, parts[i]);
        if (unlink(a) != 0 && errno != ENOENT)
            return err_sys(e, ERR_IO, errno, "%s", a);
    }
    return 0;
}

static int name_beside(const char *path, const char *ending, char out[MAX_NAME], struct err *e)
{
    if (strlen(path) >= MAX_PATH)
        return err_set(e, ERR_LIMIT, "the path is too long");
    (void)snprintf(out, MAX_NAME, "%s%s", path, ending);
    return 0;
}

/* The first name that is free for a damaged file. */
static int free_name(const char *path, char out[MAX_NAME], struct err *e)
{
    struct stat st;

    for (int i = 1; i <= MAX_ASIDE; i++) {
        char ending[32];
        int rc;

        (void)snprintf(ending, sizeof ending, ".damaged-%d", i);
        if ((rc = name_beside(path, ending, out, e)) != 0)
            return rc;
        if (lstat(out, &st) != 0 && errno == ENOENT)
            return 0;
    }
    return err_set(e, ERR_LIMIT, "%s: %d damaged files stand beside it already", path, MAX_ASIDE);
}

static int set_aside(const char *path, char to[MAX_NAME], struct err *e)
{
    int rc = free_name(path, to, e);

    if (rc == 0)
        rc = move_parts(path, to, e);
    return rc ? rc : db_sync_folder(path, e);
}

int db_set_aside(const char *path, struct err *e)
{
    char to[MAX_NAME];

    return set_aside(path, to, e);
}

struct db *db_begin_new(const char *path, const char *const *steps, size_t n_steps, struct err *e)
{
    char fresh[MAX_NAME];

    if (name_beside(path, ".new", fresh, e) != 0 || remove_parts(fresh, e) != 0)
        return NULL;
    return db_open(fresh, steps, n_steps, e);
}

/* From path.ready to path. */
static int put_ready(const char *path, char kept[MAX_NAME], struct err *e)
{
    char ready[MAX_NAME];
    int rc = name_beside(path, ".ready", ready, e);

    if (rc == 0)
        rc = set_aside(path, kept, e);
    if (rc == 0 && rename(ready, path) != 0)
        rc = err_sys(e, ERR_IO, errno, "%s", ready);
    return rc ? rc : db_sync_folder(path, e);
}

int db_put_new(const char *path, struct db **db, char *kept, size_t n, struct err *e)
{
    char fresh[MAX_NAME], ready[MAX_NAME], log[MAX_NAME + 8], to[MAX_NAME] = "";
    struct stat st;
    int rc = db_exec(*db, "PRAGMA wal_checkpoint(TRUNCATE)", e);

    db_close(db);
    if (rc != 0 || (rc = name_beside(path, ".new", fresh, e)) != 0 ||
        (rc = name_beside(path, ".ready", ready, e)) != 0)
        return rc;
    (void)snprintf(log, sizeof log, "%s-wal", fresh);
    if (lstat(log, &st) == 0)
        return err_set(e, ERR_IO, "%s: its log could not be written into it", fresh);
    if (rename(fresh, ready) != 0)
        return err_sys(e, ERR_IO, errno, "%s", fresh);
    if ((rc = db_sync_folder(path, e)) == 0)
        rc = put_ready(path, to, e);
    (void)snprintf(kept, n, "%s", to);
    return rc;
}

int db_finish_new(const char *path, struct err *e)
{
    char fresh[MAX_NAME], ready[MAX_NAME], kept[MAX_NAME];
    struct stat st;
    int rc = name_beside(path, ".new", fresh, e);

    if (rc == 0)
        rc = name_beside(path, ".ready", ready, e);
    if (rc == 0 && lstat(ready, &st) == 0)
        rc = put_ready(path, kept, e);
    return rc ? rc : remove_parts(fresh, e);
}

static void list_one(const char *path, const char *ending, const char *what, struct buf *report)
{
    char name[MAX_NAME];
    struct stat st;

    if (name_beside(path, ending, name, NULL) == 0 && lstat(name, &st) == 0)
        buf_fmt(report, "%s: %s, %lld bytes\n", name, what, (long long)st.st_size);
}

void db_list_aside(const char *path, struct buf *report)
{
    list_one(path, ".new", "begun in the place of a damaged file, not complete: the next start removes it",
             report);
    list_one(path, ".ready", "complete: the next start puts it in the place of the damaged file", report);
    for (int i = 1; i <= MAX_ASIDE; i++) {
        char ending[64];

        (void)snprintf(ending, sizeof ending, ".damaged-%d", i);
        list_one(path, ending, "damaged, set aside", report);
        (void)snprintf(ending, sizeof ending, ".damaged-%d-wal", i);
        list_one(path, ending, "its log", report);
    }
}
