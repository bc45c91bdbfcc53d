/* The state file of a guard: see file_io.h and kept.c. */
#include "agent/guard/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE = GUARD_SLOT * GUARD_SLOTS, TAKE_OVER_TRIES = 500, TAKE_OVER_US = 10000 };

/* The lock (fcntl(2), of the process: what it forks does not share it) tells who holds it, without doubt as long as it is
 * held. The one before may be stopped, or wait for its agent, which is gone: it is ended, and what it was doing with it. */
static int take_over(int fd, struct err *e)
{
    struct flock want = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    for (int i = 0; i < TAKE_OVER_TRIES; i++) {
        struct flock who = want;

        if (fcntl(fd, F_SETLK, &want) == 0)
            return 0;
        if (fcntl(fd, F_GETLK, &who) == 0 && who.l_type != F_UNLCK && who.l_pid > 0 && i % 50 == 0 &&
            kill(who.l_pid, SIGKILL) != 0 && errno != ESRCH)
            return err_sys(e, ERR_STATE, errno, "the helper before, %d, cannot be ended", (int)who.l_pid);
        (void)usleep(TAKE_OVER_US);
    }
    return err_set(e, ERR_STATE, "the helper before does not end");
}

static void read_boot(char out[37])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, 36) : -1;

    out[n == 36 ? 36 : 0] = 0;
    if (fd >= 0)
        (void)close(fd);
}

static int put(int fd, const uint8_t *p, size_t n, off_t at)
{
    return pwrite(fd, p, n, at) == (ssize_t)n ? 0 : ERR_IO;
}

/* Its whole size at once, and its name: later writes need no room. */
static int make_whole(int fd, const char *dir, struct err *e)
{
    uint8_t zero[SIZE] = {0};
    struct stat st;
    int folder, rc = 0;

    if (fstat(fd, &st) != 0)
        return err_sys(e, ERR_IO, errno, "the state file");
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_IO, "the state file is no file");
    if (st.st_size >= SIZE)
        return 0;
    folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (put(fd, zero, sizeof zero, 0) != 0 || fsync(fd) != 0 || folder < 0 || fsync(folder) != 0)
        rc = err_sys(e, ERR_IO, errno, "the state file");
    if (folder >= 0)
        (void)close(folder);
    return rc;
}

int guard_file_open(struct guard_file *f, const char *dir, const char *name, struct guard_kept *kept,
                    struct guard_lease_kept *lease, bool *found, struct err *e)
{
    uint8_t slots[SIZE] = {0};
    char path[4096];
    ssize_t n;
    int rc;

    *f = (struct guard_file){.fd = -1, .told = -1};
    *kept = (struct guard_kept){0};
    (void)snprintf(path, sizeof path, "%s/guard-%s.state", dir, name);
    f->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (f->fd < 0)
        return err_sys(e, ERR_IO, errno, "%s", path);
    rc = take_over(f->fd, e);
    if (rc == 0)
        rc = make_whole(f->fd, dir, e);
    n = rc == 0 ? pread(f->fd, slots, sizeof slots, 0) : 0;
    if (n < 0)
        rc = err_sys(e, ERR_IO, errno, "%s", path);
    if (rc != 0)
        return rc;
    read_boot(f->boot);
    (void)guard_kept_read(slots, (size_t)n, kept, &f->turn);
    *found = *f->boot && guard_lease_read(slots, (size_t)n, lease) && strcmp(lease->boot, f->boot) == 0;
    return 0;
}

int guard_file_keep(struct guard_file *f, const struct guard_kept *k, struct err *e)
{
    uint8_t slot[GUARD_SLOT];
    uint64_t turn = f->turn + 1;

    guard_kept_write(k, turn, slot);
    if (put(f->fd, slot, sizeof slot, (off_t)(turn % 2 * GUARD_SLOT)) != 0 || fdatasync(f->fd) != 0)
        return err_sys(e, ERR_IO, errno, "the state file");
    f->turn = turn;
    return 0;
}

static int tell(const struct guard_file *f, int64_t until)
{
    char line[2 * 20 + sizeof f->boot + 3];
    int n = snprintf(line, sizeof line, "%020lld %s %020lld\n", (long long)until, f->boot, (long long)until);

    return put(f->told, (const uint8_t *)line, (size_t)n, 0);
}

int guard_file_tell(struct guard_file *f, const char *path, struct err *e)
{
    f->told = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (f->told < 0 || fchmod(f->told, 0644) != 0 || ftruncate(f->told, 0) != 0 || tell(f, 0) != 0)
        return err_sys(e, ERR_IO, errno, "lease_file: %s", path);
    return 0;
}

void guard_file_lease(struct guard_file *f, const struct guard *g)
{
    struct guard_lease_kept now = f->lease;
    uint8_t slot[GUARD_SLOT];
    bool told;

    guard_lease_of(g, &now);
    if (now.deadline == f->lease.deadline && now.serving == f->lease.serving)
        return;
    /* Where it cannot be written there is no line, which is no lease. If even that fails, what stands there ends by itself,
     * and all is written again at the next look. */
    told = f->told < 0 || (*f->boot && tell(f, now.serving ? now.deadline : 0) == 0) ||
           ftruncate(f->told, 0) == 0;
    memcpy(now.boot, f->boot, sizeof now.boot);
    guard_lease_write(&now, slot);
    if (put(f->fd, slot, sizeof slot, 2 * GUARD_SLOT) == 0 && told)
        f->lease = now;
}
