/* Kept descriptors: see files_io.h.
 *
 * A seq_file gives about a page at a time, so a file is whole only when pread says 0; the last call costs a
 * fraction of a microsecond. Every read begins at offset 0, which makes procfs print anew. */
#include "agent/files_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"

enum { ABSENT_GENERATIONS = 30, FIRST_ROOM = 4096 };

struct file {
    char *path; /* owned; with the root before it */
    size_t path_room;
    int fd;              /* -1: not open */
    int why;             /* errno of the last attempt */
    uint64_t generation; /* of what the buffer holds; 0: none */
    uint64_t retry;      /* not opened before this generation */
    struct buf buf;
};

struct files {
    struct mem *mem;
    char root[PATH_MAX];
    struct file *v; /* owned */
    size_t n, room;
};

struct files *files_new(const char *root, struct mem *mem)
{
    struct files *f = strlen(root) < sizeof f->root ? mem_alloc(mem, sizeof *f) : NULL;

    if (f) {
        f->mem = mem;
        memcpy(f->root, root, strlen(root) + 1);
    }
    return f;
}

void files_free(struct files **fp)
{
    struct files *f = *fp;

    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].fd >= 0)
            (void)close(f->v[i].fd);
        mem_free(f->mem, f->v[i].path, f->v[i].path_room);
        buf_free(&f->v[i].buf);
    }
    mem_free(f->mem, f->v, f->room * sizeof *f->v);
    mem_free(f->mem, f, sizeof *f);
    *fp = NULL;
}

int files_add(struct files *f, const char *path)
{
    char whole[PATH_MAX];
    int n = snprintf(whole, sizeof whole, "%s/%s", f->root, path);
    struct file *x;

    if (n < 0 || (size_t)n >= sizeof whole)
        return ERR_LIMIT;
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->v[i].path, whole) == 0)
            return (int)i;
    if (f->n == f->room) {
        size_t room = f->room ? f->room * 2 : 16;
        void *v = mem_resize(f->mem, f->v, f->room * sizeof *f->v, room * sizeof *f->v);

        if (!v)
            return ERR_NOMEM;
        f->v = v;
        f->room = room;
    }
    x = &f->v[f->n];
    *x = (struct file){.fd = -1, .path_room = (size_t)n + 1, .path = mem_text(f->mem, whole, (size_t)n)};
    if (!x->path)
        return ERR_NOMEM;
    buf_init(&x->buf, f->mem, FILE_MAX);
    return (int)f->n++;
}

/* Fills the buffer from offset 0. 0 or errno. */
static int fill(struct file *x)
{
    buf_clear(&x->buf);
    for (;;) {
        ssize_t got;

        if (!buf_reserve(&x->buf, x->buf.room > x->buf.len ? 1 : FIRST_ROOM))
            return x->buf.len >= FILE_MAX - FIRST_ROOM ? EFBIG : ENOMEM;
        got = pread(x->fd, x->buf.data + x->buf.len, x->buf.room - x->buf.len, (off_t)x->buf.len);
        if (got == 0)
            return 0;
        if (got > 0)
            x->buf.len += (size_t)got;
        else if (errno != EINTR)
            return errno;
    }
}

static int open_and_fill(struct file *x, uint64_t generation)
{
    int why;

    if (x->fd >= 0) {
        why = fill(x);
        if (why != ENODEV && why != ESTALE && why != EIO && why != EBADF && why != ESRCH)
            return why;
        (void)close(x->fd);
        x->fd = -1;
    }
    x->fd = open(x->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (x->fd < 0) {
        x->retry = generation + ABSENT_GENERATIONS;
        return errno;
    }
    return fill(x);
}

struct bytes files_read(struct files *f, int index, uint64_t generation, int *why)
{
    struct file *x = &f->v[index];

    if (x->generation != generation) {
        if (x->fd >= 0 || generation >= x->retry)
            x->why = open_and_fill(x, generation);
        x->generation = generation;
    }
    if (why)
        *why = x->why;
    if (x->why)
        return (struct bytes){NULL, 0};
    return (struct bytes){x->buf.data ? x->buf.data : (const uint8_t *)"", x->buf.len};
}
