/* Configuration files and secrets, from the disk. See config.h. */
#include "common/config/model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MAX_BYTES = 16 << 20,
    FILES_MAX = 1000,
    SECRET_MAX = 16 << 10,
};

/* Everything of fd into out, of which no more than max bytes may be there. */
static int read_all(int fd, const char *path, size_t max, struct buf *out, struct err *e)
{
    uint8_t part[4096];
    ssize_t n;

    for (;;) {
        n = read(fd, part, sizeof part);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_IO, errno, "%s: cannot be read", path);
        if (n == 0)
            return 0;
        if ((size_t)n > max)
            return err_set(e, ERR_IO, "%s: is larger than allowed", path);
        max -= (size_t)n;
        buf_put(out, part, (size_t)n);
        if (out->full)
            return err_set(e, ERR_NOMEM, "%s: no memory to read it", path);
    }
}

/* Opens a regular file; its state in *st. */
static int open_regular(const char *path, struct stat *st, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return err_sys(e, ERR_IO, errno, "%s: cannot be opened", path);
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    (void)close(fd);
    return err_set(e, ERR_IO, "%s: is not a regular file", path);
}

/* ---- files ----------------------------------------------------------------------------------- */

struct files {
    struct config_source sources[FILES_MAX + 1];
    struct buf bytes[FILES_MAX + 1];
    size_t n;
};

static int add_file(struct files *f, const char *path, struct err *e)
{
    struct stat st;
    int fd, rc;

    if (f->n > FILES_MAX)
        return err_set(e, ERR_LIMIT, "%s: more than %d files", path, FILES_MAX);
    f->sources[f->n].name = strdup(path);
    if (!f->sources[f->n].name)
        return err_set(e, ERR_NOMEM, "no memory for the configuration");
    buf_init(&f->bytes[f->n], NULL, FILE_MAX_BYTES + 1);
    fd = open_regular(path, &st, e);
    rc = fd < 0 ? fd : read_all(fd, path, FILE_MAX_BYTES, &f->bytes[f->n], e);
    f->sources[f->n].text = buf_bytes(&f->bytes[f->n]);
    f->n++;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* A copy of a source that is in memory already. */
static int add_source(struct files *f, const struct config_source *s, struct err *e)
{
    f->sources[f->n].name = strdup(s->name);
    buf_init(&f->bytes[f->n], NULL, FILE_MAX_BYTES + 1);
    buf_put(&f->bytes[f->n], s->text.p, s->text.n);
    f->sources[f->n].text = buf_bytes(&f->bytes[f->n]);
    f->n++;
    return f->sources[f->n - 1].name && !f->bytes[f->n - 1].full
               ? 0
               : err_set(e, ERR_NOMEM, "no memory for the configuration");
}

static int is_ini(const struct dirent *d)
{
    size_t n = strlen(d->d_name);

    return n > 4 && d->d_name[0] != '.' && !strcmp(d->d_name + n - 4, ".ini");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_dir(struct files *f, const char *dir, struct err *e)
{
    struct dirent **names = NULL;
    char path[4096];
    int n = scandir(dir, &names, is_ini, by_bytes), i, rc = 0;

    if (n < 0)
        return errno == ENOENT ? 0 : err_sys(e, ERR_IO, errno, "%s: cannot be read", dir);
    for (i = 0; i < n; i++) {
        if (!rc && (size_t)snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name) >= sizeof path)
            rc = err_set(e, ERR_LIMIT, "%.200s: the path is too long", dir);
        if (!rc)
            rc = add_file(f, path, e);
        free(names[i]);
    }
    free(names);
    return rc;
}

struct config *config_load(const char *file, const char *dir, const struct section_row *rows, size_t n_rows,
                           struct buf *report, struct err *e)
{
    return config_load_after(NULL, file, dir, rows, n_rows, report, e);
}

struct config *config_load_after(const struct config_source *before, const char *file, const char *dir,
                                 const struct section_row *rows, size_t n_rows, struct buf *report,
                                 struct err *e)
{
    struct files *f = calloc(1, sizeof *f);
    struct err local = {0};
    struct config *c = NULL;
    size_t i;
    int rc;

    if (!f) {
        err_set(e, ERR_NOMEM, "no memory for the configuration");
        return NULL;
    }
    rc = before ? add_source(f, before, &local) : 0;
    if (!rc)
        rc = add_file(f, file, &local);
    if (!rc && dir)
        rc = add_dir(f, dir, &local);
    if (!rc) {
        c = config_parse(f->sources, f->n, rows, n_rows, report, e);
    } else {
        if (report)
            buf_fmt(report, "%s\n", local.text);
        err_set(e, ERR_CONFIG, "%s", local.text);
    }
    for (i = 0; i < f->n; i++) {
        free((char *)(uintptr_t)f->sources[i].name);
        buf_free(&f->bytes[i]);
    }
    free(f);
    return c;
}

/* ---- secrets --------------------------------------------------------------------------------- */

/* Where the reference points to, into path. */
static int secret_path(const char *reference, char *path, size_t room, bool *credential, struct err *e)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    int n;

    *credential = !strncmp(reference, "cred:", 5);
    if (!*credential) {
        n = snprintf(path, room, "%s", reference + 5);
    } else {
        if (!dir || dir[0] != '/')
            return err_set(
                e, ERR_IO,
                "%s: $CREDENTIALS_DIRECTORY is not set; it is what systemd sets for LoadCredential=",
                reference);
        n = snprintf(path, room, "%s/%s", dir, reference + 5);
    }
    return n > 0 && (size_t)n < room ? 0 : err_set(e, ERR_IO, "%.100s: the path is too long", reference);
}

static int read_secret(const char *path, bool credential, struct buf *out, struct err *e)
{
    struct stat st;
    size_t start = out->len;
    int fd = open_regular(path, &st, e), rc = 0;

    if (fd < 0)
        return fd;
    if (!credential && (st.st_mode & S_IRWXO)) /* systemd answers for the modes of its own folder */
        rc = err_set(e, ERR_IO, "%s: everybody may read it (mode %04o); chmod 0640 or less", path,
                     (unsigned)(st.st_mode & 07777));
    if (!rc)
        rc = read_all(fd, path, SECRET_MAX, out, e);
    (void)close(fd);
    if (!rc && out->len > start && out->data[out->len - 1] == '\n')
        out->len--;
    if (!rc && out->len > start && out->data[out->len - 1] == '\r')
        out->len--;
    if (!rc && out->len == start)
        rc = err_set(e, ERR_IO, "%s: is empty", path);
    if (!rc && memchr(out->data + start, 0, out->len - start))
        rc = err_set(e, ERR_IO, "%s: holds a NUL byte", path);
    return rc;
}

/* As written: "file:…", "cred:…"; NULL when not set. */
static const char *reference_of(const struct section *s, const char *key)
{
    const char *reference = NULL;

    for (size_t i = 0; i < s->row->n_rows; i++) {
        if (!strcmp(s->values[i].key, key) && s->values[i].row->type == OPT_SECRET)
            reference = s->values[i].text;
    }
    return reference;
}

int option_secret(const struct section *s, const char *key, struct buf *out, struct err *e)
{
    const char *reference = reference_of(s, key);
    char path[4096];
    bool credential;
    int rc;

    if (!reference)
        return err_set(e, ERR_IO, "[%s] %s: is not set", s->row->name, key);
    rc = secret_path(reference, path, sizeof path, &credential, e);
    return rc ? rc : read_secret(path, credential, out, e);
}

int option_secret_check(const struct section *s, const char *key, struct err *e)
{
    const char *reference = reference_of(s, key);
    struct buf out;
    int rc;

    if (!reference || (strncmp(reference, "file:", 5) && !getenv("CREDENTIALS_DIRECTORY")))
        return 0;
    buf_init(&out, NULL, SECRET_MAX + 2);
    rc = option_secret(s, key, &out, e);
    if (out.data)
        explicit_bzero(out.data, out.room);
    buf_free(&out);
    return rc;
}
