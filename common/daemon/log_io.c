/* The log's hands: one write(2) per line, so that lines of several threads (and, on a file opened with
 * O_APPEND, of several processes) do not mix. The descriptor's number never changes: reopening puts the new
 * file under the old number with dup3, which is atomic towards writers. Level and counters are atomics;
 * nothing is locked. */
#include "common/daemon/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LEVELS = LOG_ERROR + 1,
    PAIRS_MAX = 24, /* of a complaint, its repeats among them */
};

struct log {
    int fd; /* ours when file is set, else 2 */
    char *file;
    enum log_format format;
    bool journald;
    _Atomic int level;
    _Atomic uint64_t lines[LEVELS];
    _Atomic uint64_t lost;
};

static int open_file(const char *file, struct err *e)
{
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

    if (fd < 0)
        return err_sys(e, ERR_IO, errno, "cannot open the log file %s", file);
    return fd;
}

struct log *log_new(const struct log_params *p, struct err *e)
{
    struct log *l = calloc(1, sizeof *l);
    int i;

    if (!l) {
        err_set(e, ERR_NOMEM, "no memory for the log");
        return NULL;
    }
    l->fd = STDERR_FILENO;
    l->format = p->format;
    l->journald = p->journald;
    atomic_init(&l->level, (int)p->level);
    atomic_init(&l->lost, 0);
    for (i = 0; i < LEVELS; i++)
        atomic_init(&l->lines[i], 0);
    if (p->file) {
        l->file = strdup(p->file);
        l->fd = l->file ? open_file(p->file, e) : err_set(e, ERR_NOMEM, "no memory for the log");
        if (l->fd < 0)
            log_free(&l);
    }
    return l;
}

void log_free(struct log **l)
{
    if (!*l)
        return;
    if ((*l)->file && (*l)->fd >= 0)
        (void)close((*l)->fd);
    free((*l)->file);
    free(*l);
    *l = NULL;
}

int log_reopen(struct log *l, struct err *e)
{
    int fd, rc = 0;

    if (!l->file)
        return 0;
    fd = open_file(l->file, e);
    if (fd < 0)
        return fd;
    if (dup3(fd, l->fd, O_CLOEXEC) < 0)
        rc = err_sys(e, ERR_IO, errno, "cannot reopen the log file %s", l->file);
    (void)close(fd);
    return rc;
}

void log_set_level(struct log *l, enum log_level level)
{
    atomic_store_explicit(&l->level, (int)level, memory_order_relaxed);
}

uint64_t log_lines(const struct log *l, enum log_level level)
{
    return atomic_load_explicit(&l->lines[level], memory_order_relaxed);
}

uint64_t log_lost(const struct log *l)
{
    return atomic_load_explicit(&l->lost, memory_order_relaxed);
}

/* False when the whole line could not be written: the disk is
 * full, the reader gone, or a pipe without room. */
static bool write_all(int fd, const uint8_t *p, size_t n)
{
    ssize_t k;

    while (n) {
        k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

void log_write(struct log *l, enum log_level level, const char *component, const char *msg,
               const struct kv *kv, size_t n)
{
    uint8_t line[LOG_LINE_MAX];
    struct buf b = {.data = line, .room = sizeof line, .cap = sizeof line}; /* at its cap: never grows */
    struct timespec t = {0};
    int saved = errno;

    if (!l || (int)level < atomic_load_explicit(&l->level, memory_order_relaxed))
        return;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    log_format_line(&b, l->format, l->journald, (struct wall){t.tv_sec * 1000 + t.tv_nsec / 1000000}, level,
                    component, msg, kv, n);
    if (write_all(l->fd, b.data, b.len))
        atomic_fetch_add_explicit(&l->lines[level], 1, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&l->lost, 1, memory_order_relaxed);
    errno = saved;
}

static void write_with_repeats(struct log *l, enum log_level level, const char *component, const char *msg,
                               const struct kv *kv, size_t n, uint64_t held)
{
    struct kv all[PAIRS_MAX];
    size_t i, m = n < PAIRS_MAX - 1 ? n : PAIRS_MAX - 1;

    for (i = 0; i < m; i++)
        all[i] = kv[i];
    if (held)
        all[m++] = kv_u("repeats", held);
    log_write(l, level, component, msg, all, m);
}

void log_complain(struct log *l, struct complaint *c, struct mono now, enum log_level level,
                  const char *component, const char *msg, const struct kv *kv, size_t n)
{
    uint64_t held;

    if (complaint_due(c, now, &held))
        write_with_repeats(l, level, component, msg, kv, n, held);
}

void log_recovered(struct log *l, struct complaint *c, const char *component, const char *msg)
{
    uint64_t held;

    if (complaint_over(c, &held))
        write_with_repeats(l, LOG_INFO, component, msg, NULL, 0, held);
}
