/* The agent's end of a helper: see link_io.h. */
#include "agent/guard/link_io.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AGAIN_MS = 500, AGAIN_MOST_MS = 16000, ENVIRONMENT = 256 };

struct link {
    struct link_params p;
    int fd;    /* -1: none */
    pid_t pid; /* of a helper that we have started and not seen end; 0 none */
    struct event *event;
    struct timer *again;
    int64_t wait_ms; /* until it is tried again: grows while none of them says a word */
    struct complaint complaint;
};

static void try_again(void *arg);

static void lose(struct link *l)
{
    if (l->event)
        event_free(l->event);
    l->event = NULL;
    if (l->fd >= 0)
        (void)close(l->fd);
    l->fd = -1;
    l->p.heard(l->p.arg, NULL);
    timer_set(l->again, span_ms(l->wait_ms));
    l->wait_ms = l->wait_ms < AGAIN_MOST_MS ? l->wait_ms * 2 : AGAIN_MOST_MS;
}

static void on_word(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    struct helper_word w;
    ssize_t n = recv(fd, &w, sizeof w, MSG_DONTWAIT | MSG_TRUNC);

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != sizeof w || w.magic != HELPER_MAGIC || w.state >= GUARD_STATES || w.reason >= GUARD_REASONS) {
        LOG(l->p.log, LOG_ERROR, "guard", n > 0 ? "the helper is of another version" : "the helper is gone",
            kv_s("guard", l->p.s->name));
        lose(l);
        return;
    }
    w.trouble[sizeof w.trouble - 1] = 0;
    l->wait_ms = AGAIN_MS;
    log_recovered(l->p.log, &l->complaint, "guard", "the helper is there");
    l->p.heard(l->p.arg, &w);
}

/* ---- one of our own ---- */

/* Readiness and the watchdog are the agent's own affair. */
static size_t environment(char *out[ENVIRONMENT])
{
    static const char *const not [] = {"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="};
    size_t n = 0;

    for (char **v = environ; v && *v && n < ENVIRONMENT - 1; v++) {
        bool take = true;

        for (size_t i = 0; i < sizeof not / sizeof *not ; i++)
            take = take && strncmp(*v, not [i], strlen(not [i])) != 0;
        if (take)
            out[n++] = *v;
    }
    out[n] = NULL;
    return n;
}

static int spawn(struct link *l, int theirs, struct err *e)
{
    char self[] = "/proc/self/exe", config[] = "-c", guard[] = "guard", helper[] = "helper",
         name[GUARD_NAME + 1];
    char file[4096], *argv[] = {self, config, file, guard, helper, name, NULL}, *env[ENVIRONMENT];
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none;
    int rc;

    (void)snprintf(name, sizeof name, "%s", l->p.s->name);
    (void)snprintf(file, sizeof file, "%s", l->p.file);
    (void)environment(env);
    sigemptyset(&none);
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawnattr_init(&attr);
    rc = posix_spawn_file_actions_adddup2(&files, theirs, HELPER_FD);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(&files, HELPER_FD + 1);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(&attr, &none);
    if (rc == 0)
        rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    if (rc == 0)
        rc = posix_spawn(&l->pid, self, &files, &attr, argv, env);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attr);
    if (rc != 0)
        l->pid = 0;
    return rc ? err_sys(e, ERR_IO, rc, "the helper does not start") : 0;
}

static int start_own(struct link *l, struct err *e)
{
    int pair[2], rc;

    if (!l->p.file)
        return err_set(e, ERR_STATE, "no configuration file for a helper to read");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return err_sys(e, ERR_IO, errno, "no socket for a helper");
    rc = spawn(l, pair[1], e);
    (void)close(pair[1]);
    if (rc != 0)
        (void)close(pair[0]);
    else
        l->fd = pair[0];
    return rc;
}

static int connect_to(struct link *l, const char *path, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof a.sun_path)
        return err_set(e, ERR_CONFIG, "helper: the path is too long");
    memcpy(a.sun_path, path, strlen(path) + 1);
    l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd >= 0 && connect(l->fd, (struct sockaddr *)&a, sizeof a) == 0)
        return 0;
    (void)err_sys(e, ERR_IO, errno, "%s", path);
    if (l->fd >= 0)
        (void)close(l->fd);
    l->fd = -1;
    return e->code;
}

static void try_again(void *arg)
{
    struct link *l = arg;
    struct err e = {0};
    int rc;

    if (l->pid && waitpid(l->pid, NULL, WNOHANG) != 0)
        l->pid = 0;
    rc = l->p.s->socket ? connect_to(l, l->p.s->socket, &e) : start_own(l, &e);
    if (rc == 0) {
        l->event = event_new(loop_base(l->p.loop), l->fd, EV_READ | EV_PERSIST, on_word, l);
        if (l->event && event_add(l->event, NULL) == 0) {
            link_tell(l, HELPER_LOOK, 0, 0, false);
            return;
        }
        (void)err_set(&e, ERR_NOMEM, "no memory");
    }
    COMPLAIN(l->p.log, &l->complaint, loop_mono(l->p.loop), LOG_ERROR, "guard",
             "nobody can fence: the helper is not there", kv_s("guard", l->p.s->name), kv_e(&e));
    lose(l);
}

struct link *link_new(const struct link_params *p, struct err *e)
{
    struct link *l = calloc(1, sizeof *l);

    if (l) {
        l->p = *p;
        l->fd = -1;
        l->wait_ms = AGAIN_MS;
        l->again = timer_new(p->loop, try_again, l);
    }
    if (!l || !l->again) {
        free(l);
        (void)err_set(e, ERR_NOMEM, "no memory for a guard");
        return NULL;
    }
    timer_set(l->again, span_ns(0));
    return l;
}

void link_free(struct link **lp)
{
    struct link *l = *lp;

    if (!l)
        return;
    if (l->event)
        event_free(l->event);
    if (l->fd >= 0)
        (void)close(l->fd);
    timer_free(&l->again);
    free(l);
    *lp = NULL;
}

void link_tell(struct link *l, enum helper_kind kind, uint32_t epoch, int64_t deadline, bool agreed)
{
    struct helper_order o = {
        .magic = HELPER_MAGIC, .kind = (uint8_t)kind, .agreed = agreed, .epoch = epoch, .deadline = deadline};

    if (l->fd >= 0)
        (void)send(l->fd, &o, sizeof o,
                   MSG_NOSIGNAL | MSG_DONTWAIT); /* a helper that is full gets the next one */
}
