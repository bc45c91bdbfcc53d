/* See child.h. Between fork and exec only what signal-safety(7) allows is called: other threads may have held any lock. */
#include "common/daemon/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/net/loop.h"

int child_user_find(const char *name, struct child_user *out, struct err *e)
{
    char room[16384];
    struct passwd entry, *found = NULL;

    *out = (struct child_user){0};
    if (!name || !*name)
        return 0;
    if (getpwnam_r(name, &entry, room, sizeof room, &found) != 0 || !found)
        return err_set(e, ERR_CONFIG, "user: there is no user \"%.60s\"", name);
    out->uid = entry.pw_uid;
    out->gid = entry.pw_gid;
    out->other = out->uid != geteuid();
    if (out->other && geteuid() != 0)
        return err_set(e, ERR_CONFIG, "user: only root can run a command as \"%.60s\"", name);
    out->n_groups = CHILD_GROUPS;
    if (getgrouplist(name, out->gid, out->groups, &out->n_groups) < 0)
        return err_set(e, ERR_LIMIT, "user: \"%.60s\" is in more than %d groups", name, CHILD_GROUPS);
    return 0;
}

/* ---- the child ---- */

static _Noreturn void child(const struct child_order *o, int in, int out)
{
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
         *environment[] = {path, NULL};
    struct sigaction plain = {.sa_handler = SIG_DFL};
    const struct child_user *u = o->user;
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        (void)sigaction(i, &plain, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || chdir("/") != 0)
        _exit(126);
    if (syscall(SYS_close_range, 3U, ~0U, 0U) != 0)
        for (int fd = 3; fd < 1024; fd++)
            (void)close(fd);
    if (u && u->other &&
        (syscall(SYS_setgroups, (size_t)u->n_groups, u->groups) != 0 ||
         syscall(SYS_setresgid, u->gid, u->gid, u->gid) != 0 ||
         syscall(SYS_setresuid, u->uid, u->uid, u->uid) != 0))
        _exit(126);
    if (o->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
        _exit(126);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* with our own process it goes */
    (void)umask(077);
    execve(o->argv[0], o->argv, environment);
    _exit(errno == ENOENT ? 127 : 126);
}

/* ---- the conversation ---- */

struct talk {
    pid_t pid;
    int in, out; /* ours; -1: closed */
    struct bytes left;
    char *said;
    size_t n, cap;
    struct mono until;
    bool late;
    int status;
};

static void shut(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static int start(const struct child_order *o, struct talk *k)
{
    int in[2], out[2], err;

    if (pipe2(in, O_CLOEXEC) != 0)
        return -1;
    if (pipe2(out, O_CLOEXEC) != 0) {
        err = errno;
        (void)close(in[0]);
        (void)close(in[1]);
        errno = err;
        return -1;
    }
    k->pid = fork();
    if (k->pid == 0)
        child(o, in[0], out[1]);
    err = errno;
    (void)close(in[0]);
    (void)close(out[1]);
    k->in = in[1];
    k->out = out[0];
    if (k->pid < 0) {
        shut(&k->in);
        shut(&k->out);
        errno = err;
        return -1;
    }
    (void)setpgid(k->pid, k->pid); /* whoever of the two comes first */
    (void)fcntl(k->in, F_SETFL, O_NONBLOCK);
    (void)fcntl(k->out, F_SETFL, O_NONBLOCK);
    return 0;
}

/* A program that does not read gives EPIPE. */
static void feed(struct talk *k)
{
    ssize_t n = write(k->in, k->left.p, k->left.n);

    if (n > 0) {
        k->left.p += n;
        k->left.n -= (size_t)n;
    }
    if (!k->left.n || (n < 0 && errno != EAGAIN && errno != EINTR))
        shut(&k->in);
}

/* The beginning is kept, the rest is read and forgotten, so that a talkative program does not stand still. */
static void listen_to(struct talk *k)
{
    char block[16384];
    ssize_t n = read(k->out, block, sizeof block);
    size_t room = k->cap - k->n;

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        shut(&k->out);
    if (n <= 0)
        return;
    if (room > (size_t)n)
        room = (size_t)n;
    memcpy(k->said + k->n, block, room);
    k->n += room;
}

/* Looks without taking it: as long as nobody has, its number is no other group's. */
static bool has_ended(const struct talk *k)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)k->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == k->pid;
}

/* Until it has ended or the time is over. It may close its output long before it ends, and its children may hold it open
 * long after: the end of the program itself counts. */
static void converse(struct talk *k)
{
    while (!has_ended(k)) {
        struct pollfd fds[2] = {{.fd = k->in, .events = POLLOUT}, {.fd = k->out, .events = POLLIN}};
        int64_t left = span_to_ms(mono_sub(k->until, clock_mono()));

        if (left <= 0) {
            k->late = true;
            break;
        }
        (void)poll(fds, 2, left < 20 ? (int)left : 20);
        if (k->in >= 0 && fds[0].revents)
            feed(k);
        if (k->out >= 0 && fds[1].revents)
            listen_to(k);
    }
    (void)kill(-k->pid, SIGKILL);
    while (waitpid(k->pid, &k->status, 0) < 0 && errno == EINTR)
        ;
    for (int i = 0; i < 64 && k->out >= 0; i++) { /* what it said at last */
        size_t before = k->n;

        listen_to(k);
        if (k->n == before)
            break;
    }
    shut(&k->in);
    shut(&k->out);
}

void child_run(const struct child_order *o, char *said, size_t cap, struct child_result *out)
{
    struct talk k = {
        .until = mono_add(clock_mono(), o->deadline), .left = o->input, .said = said, .cap = cap};

    *out = (struct child_result){.status = -1};
    if (start(o, &k) != 0) {
        out->error = errno;
        return;
    }
    converse(&k);
    out->started = true;
    out->late = k.late;
    out->status = WIFEXITED(k.status) ? WEXITSTATUS(k.status) : -1;
    out->signal = WIFSIGNALED(k.status) ? WTERMSIG(k.status) : 0;
    out->said = k.n;
}
