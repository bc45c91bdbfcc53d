/* A command of your own: started without a shell, the whole notification as JSON on its standard input.
 *
 * Exit status: 0 delivered; 64, 65 (EX_USAGE, EX_DATAERR) never; 77 (EX_NOPERM), 126, 127 nothing until somebody mends it;
 * everything else, a signal and the time limit: later. It runs in a process group of its own, which is killed as a whole at
 * the limit and also when the command ends, so that nothing it started stays behind; with the environment PATH alone, no
 * file but its three, in /. Between fork and exec only what signal-safety(7) allows is called: other threads may have held
 * any lock. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/judge.h"
#include "aggregator/notify/told.h"
#include "common/net/loop.h"

enum { WORDS_MOST = 32, GROUPS_MOST = 64, JSON_MOST = 1 << 20, SAID_MOST = 4096, ARENA_MOST = 16 << 20 };

struct channel_target {
    char *argv[WORDS_MOST + 1];
    bool other; /* as another user */
    uid_t uid;
    gid_t gid, groups[GROUPS_MOST];
    int n_groups;
};

static const struct option_row rows[] = {
    {.key = "command",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = WORDS_MOST,
     .sentence = "Absolute path of the program, and its arguments; there is no shell."},
    {.key = "user",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence =
         "Run it as this user, which the aggregator can do as root only; empty: as the aggregator itself."},
    ROW_TIMEOUT,
};

static int command_check(const struct section *s, const char **key, struct err *e)
{
    *key = "command";
    return option_word(s, "command", 0)[0] == '/'
               ? 0
               : err_set(e, ERR_CONFIG, "found \"%.80s\", expected an absolute path",
                         option_word(s, "command", 0));
}

static void command_close(struct channel_target **tp)
{
    if (*tp)
        for (size_t i = 0; i < WORDS_MOST; i++)
            free((*tp)->argv[i]);
    free(*tp);
    *tp = NULL;
}

static int become(struct channel_target *t, const char *user, struct err *e)
{
    char room[16384];
    struct passwd entry, *found = NULL;

    if (!*user)
        return 0;
    if (getpwnam_r(user, &entry, room, sizeof room, &found) != 0 || !found)
        return err_set(e, ERR_CONFIG, "user: there is no user \"%.60s\"", user);
    t->uid = entry.pw_uid;
    t->gid = entry.pw_gid;
    t->other = t->uid != geteuid();
    if (t->other && geteuid() != 0)
        return err_set(e, ERR_CONFIG, "user: only root can run a command as \"%.60s\"", user);
    t->n_groups = GROUPS_MOST;
    if (getgrouplist(user, t->gid, t->groups, &t->n_groups) < 0)
        return err_set(e, ERR_LIMIT, "user: \"%.60s\" is in more than %d groups", user, GROUPS_MOST);
    return 0;
}

static struct channel_target *command_open(const struct section *s, struct log *log, struct err *e)
{
    struct channel_target *t = calloc(1, sizeof *t);

    (void)log;
    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for a receiver");
        return NULL;
    }
    for (size_t i = 0; i < option_count(s, "command") && i < WORDS_MOST; i++)
        t->argv[i] = option_word_copy(s, "command", i);
    if (become(t, option_text(s, "user"), e) != 0)
        command_close(&t);
    return t;
}

/* ---- the child ---- */

static _Noreturn void child(const struct channel_target *t, int in, int out)
{
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
         *environment[] = {path, NULL};
    struct sigaction plain = {.sa_handler = SIG_DFL};
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
    if (t->other && (syscall(SYS_setgroups, (size_t)t->n_groups, t->groups) != 0 ||
                     syscall(SYS_setresgid, t->gid, t->gid, t->gid) != 0 ||
                     syscall(SYS_setresuid, t->uid, t->uid, t->uid) != 0))
        _exit(126);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* with the aggregator it goes */
    (void)umask(077);
    execve(t->argv[0], t->argv, environment);
    _exit(errno == ENOENT ? 127 : 126);
}

/* ---- the conversation ---- */

struct talk {
    pid_t pid;
    int in, out; /* ours; -1: closed */
    struct bytes left;
    char said[SAID_MOST];
    size_t n;
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

static int start(const struct channel_target *t, struct talk *k)
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
        child(t, in[0], out[1]);
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

/* SIGPIPE is blocked in a worker, so a command that does not read gives EPIPE. */
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

/* The beginning is kept, the rest is read and forgotten, so that a talkative command does not stand still. */
static void listen_to(struct talk *k)
{
    char block[16384];
    ssize_t n = read(k->out, block, sizeof block);
    size_t room = sizeof k->said - k->n;

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
 * long after: the end of the command itself counts. */
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

static void judge_command(const struct talk *k, struct told_result *out)
{
    int status = WIFEXITED(k->status) ? WEXITSTATUS(k->status) : -1;

    if (k->late)
        told_say(out, OUTCOME_RETRY, "killed: it took longer than `timeout`");
    else if (status < 0)
        told_say(out, OUTCOME_RETRY, "ended by signal %d", WIFSIGNALED(k->status) ? WTERMSIG(k->status) : 0);
    else if (status == 0)
        told_say(out, OUTCOME_DELIVERED, "exit status 0");
    else if (status == 64 || status == 65)
        told_say(out, OUTCOME_NEVER, "exit status %d", status);
    else if (status == 77 || status == 126 || status == 127)
        told_say(out, OUTCOME_DENIED, "exit status %d%s", status,
                 status == 77    ? ""
                 : status == 126 ? ": it does not start"
                                 : ": it is not there");
    else
        told_say(out, OUTCOME_RETRY, "exit status %d", status);
    judge_quote(out, (struct bytes){(const uint8_t *)k->said, k->n});
}

static void command_send(const struct channel_target *t, const struct notification *n, struct span deadline,
                         struct told_result *out)
{
    struct talk k = {.until = mono_add(clock_mono(), deadline)};
    struct arena a;

    *out = (struct told_result){.outcome = OUTCOME_RETRY};
    arena_init(&a, NULL, ARENA_MOST);
    k.left = told_json(&a, n, JSON_MOST);
    if (!k.left.p) {
        told_say(out, OUTCOME_RETRY, "no memory for the message");
    } else if (start(t, &k) != 0) {
        told_say(out, OUTCOME_RETRY, "it does not start: %s", strerror(errno));
    } else {
        converse(&k);
        judge_command(&k, out);
    }
    arena_free(&a);
}

const struct channel channel_command = {
    .type = "command",
    .sentence = "A program of your own, with the notification as JSON on its standard input.",
    .rows = rows,
    .n_rows = ROWS_COUNT(rows),
    .required = "command",
    .resolves = true,
    .heartbeats = true,
    .acknowledges = true,
    .changes = true,
    .check = command_check,
    .open = command_open,
    .close = command_close,
    .send = command_send,
};
