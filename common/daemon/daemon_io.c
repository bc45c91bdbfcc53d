/* Signals, readiness and the lock on the state folder: see daemon.h.
 *
 * Signals come through signalfd(2): blocked in every thread, read in the loop, so that what they call may do
 * anything. The first TERM or INT changes those two for good: from then on they are not blocked and end the
 * process in the handler, which works also while the loop is stuck. The same handler is set for an alarm at
 * the end of the time that stopping may take. */
#include "common/daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

void daemon_early(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is then a failed write, as a full disk is */
    (void)umask(0027);
}

/* ---- signals --------------------------------------------------------------------------------- */

struct signals {
    struct signal_calls calls;
    struct event *event;
    int fd;
    bool stopping;
};

static void our_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGHUP);
    (void)sigaddset(set, SIGUSR1);
    (void)sigaddset(set, SIGUSR2);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
}

static void block_signals(void)
{
    sigset_t set;

    our_signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void daemon_thread(const char *name)
{
    block_signals();
    (void)pthread_setname_np(pthread_self(), name);
}

static void end_now(int number)
{
    static const char again[] = "ended by a second signal\n",
                      late[] = "ended: the orderly stop took too long\n";
    ssize_t n;

    n = number == SIGALRM ? write(STDERR_FILENO, late, sizeof late - 1)
                          : write(STDERR_FILENO, again, sizeof again - 1);
    (void)n;
    _exit(1);
}

static void begin_stop(struct signals *s)
{
    struct sigaction end = {.sa_handler = end_now};
    sigset_t set;

    s->stopping = true;
    (void)sigaction(SIGTERM, &end, NULL);
    (void)sigaction(SIGINT, &end, NULL);
    (void)sigaction(SIGALRM, &end, NULL);
    (void)alarm(DAEMON_STOP_SECONDS);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGALRM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    s->calls.stop(s->calls.arg);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    struct signals *s = arg;
    struct signalfd_siginfo info;

    (void)what;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
        switch (info.ssi_signo) {
        case SIGHUP: s->calls.reload(s->calls.arg); break;
        case SIGUSR1: s->calls.reopen(s->calls.arg); break;
        case SIGUSR2: s->calls.dump(s->calls.arg); break;
        default:
            if (!s->stopping)
                begin_stop(s);
            break;
        }
    }
}

struct signals *signals_new(struct loop *l, const struct signal_calls *calls, struct err *e)
{
    struct signals *s = calloc(1, sizeof *s);
    sigset_t set;

    if (!s) {
        err_set(e, ERR_NOMEM, "no memory for signals");
        return NULL;
    }
    s->calls = *calls;
    our_signals(&set);
    block_signals();
    s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->fd < 0) {
        err_sys(e, ERR_IO, errno, "cannot wait for signals");
        signals_free(&s);
        return NULL;
    }
    s->event = event_new(loop_base(l), s->fd, EV_READ | EV_PERSIST, on_signal, s);
    if (!s->event || event_add(s->event, NULL)) {
        err_set(e, ERR_NOMEM, "no memory for signals");
        signals_free(&s);
    }
    return s;
}

void signals_free(struct signals **s)
{
    if (!*s)
        return;
    if ((*s)->event)
        event_free((*s)->event);
    if ((*s)->fd >= 0)
        (void)close((*s)->fd);
    free(*s);
    *s = NULL;
}

/* ---- readiness ------------------------------------------------------------------------------- */

void daemon_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    int fd;

    if (n < 2 || n >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, n);
    if (to.sun_path[0] == '@')
        to.sun_path[0] = 0; /* the abstract namespace, unix(7): the name's length counts, no terminator */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&to,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    (void)close(fd);
}

struct span daemon_watchdog_interval(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    unsigned long long v;
    char *end;

    if (!usec || (pid && strtoll(pid, NULL, 10) != (long long)getpid()))
        return span_ns(0);
    errno = 0;
    v = strtoull(usec, &end, 10);
    if (errno || end == usec || *end || v > (unsigned long long)INT64_MAX / 1000)
        return span_ns(0);
    return span_ns((int64_t)v * 1000 / 2);
}

/* ---- the state folder ------------------------------------------------------------------------ */

/* Makes path, and the folder that it stands in. That one is
 * often shared by both daemons: it is open to pass through. */
static int make_dir(char *path, struct err *e)
{
    char *slash = strrchr(path, '/');

    if (slash && slash != path) {
        *slash = 0;
        if (mkdir(path, 0755) == 0)
            (void)chmod(path, 0755); /* whatever the umask took */
        *slash = '/';
    }
    if (mkdir(path, 0750) == 0 || errno == EEXIST)
        return 0;
    return err_sys(e, ERR_IO, errno, "cannot make the state folder %s", path);
}

static int check_dir(int dir, const char *path, struct err *e)
{
    struct stat st;

    if (fstat(dir, &st))
        return err_sys(e, ERR_IO, errno, "cannot look at the state folder %s", path);
    if (st.st_uid != geteuid())
        return err_set(e, ERR_DENIED,
                       "the state folder %s belongs to user %u, and this program runs as user %u", path,
                       (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_mode & (S_IWGRP | S_IRWXO))
        return err_set(e, ERR_DENIED, "the state folder %s is open to others (mode %04o); chmod 0750 or less",
                       path, (unsigned)(st.st_mode & 07777));
    return 0;
}

/* The file to lock; where the file system is mounted read-only, the one that is there, or the folder
 * itself: a program that can do without its folder is not to be kept from starting by it. */
static int open_lock(int dir, bool *writable)
{
    int fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);

    *writable = fd >= 0;
    if (fd < 0 && errno == EROFS)
        fd = openat(dir, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && !*writable && errno == ENOENT)
        fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd;
}

/* A full disk has no room for the number of the process, which is for people alone. */
static int write_pid(int fd, const char *path, struct err *e)
{
    char pid[24];

    (void)snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) == 0 && write(fd, pid, strlen(pid)) == (ssize_t)strlen(pid))
        return 0;
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        return 0;
    return err_sys(e, ERR_IO, errno, "cannot write %s/lock", path);
}

static int take_lock(int dir, const char *path, struct err *e)
{
    bool writable;
    int fd = open_lock(dir, &writable), rc;
    char pid[24] = "";
    ssize_t n;

    if (fd < 0)
        return err_sys(e, ERR_IO, errno, "cannot open %s/lock", path);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK) {
            n = read(fd, pid, sizeof pid - 1);
            pid[n > 0 ? strspn(pid, "0123456789") : 0] = 0;
            rc = err_set(e, ERR_STATE, "the state folder %s is in use by another instance%s%s%s", path,
                         *pid ? " (process " : "", pid, *pid ? ")" : "");
        } else {
            rc = err_sys(e, ERR_IO, errno, "cannot lock %s/lock", path);
        }
        (void)close(fd);
        return rc;
    }
    rc = writable ? write_pid(fd, path, e) : 0;
    if (rc == 0)
        return fd;
    (void)close(fd);
    return rc;
}

int daemon_lock_dir(const char *dir, struct err *e)
{
    char path[4096];
    size_t n = strlen(dir);
    int fd, rc;

    while (n > 1 && dir[n - 1] == '/')
        n--; /* behind a slash a symbolic link would be followed */
    if (!n || n >= sizeof path)
        return err_set(e, ERR_CONFIG, "the name of the state folder is empty or too long");
    memcpy(path, dir, n);
    path[n] = 0;
    rc = make_dir(path, e);
    if (rc)
        return rc;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return err_set(e, ERR_DENIED, "the state folder %s is not a folder but a symbolic link or a file",
                       path);
    if (fd < 0)
        return err_sys(e, ERR_IO, errno, "cannot open the state folder %s", path);
    rc = check_dir(fd, path, e);
    if (!rc)
        rc = take_lock(fd, path, e);
    (void)close(fd);
    return rc;
}
