/* The helper's loop: see helper.h. One thread, no library in between: what it waits for is a message, the end of a job, or
 * the guard's next moment, and whatever woke it, the clock is read and looked at first. */
#include "agent/guard/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/guard/file_io.h"
#include "agent/guard/jobs_io.h"
#include "common/daemon/daemon.h"
#include "common/net/loop.h"

/* Even if nothing is due it looks twice a second: poll(2) does not count the time that the machine sleeps. */
enum { LOOK_MS = 500, JOB_LOOK_MS = 10, GRACE_MS = 10000, RETRY_MS = 1000, BROKEN_MS = 6000 };

struct helper {
    const struct guard_settings *s;
    struct log *log;
    struct guard g;
    struct guard_file file;
    struct jobs jobs;
    int link, listener; /* -1: none */
    struct helper_word told;
    uint8_t state; /* as last logged */
    struct complaint complaint;
};

static int64_t now_ms(void)
{
    return mono_to_ms(clock_mono());
}

/* ---- telling ---- */

static void tell(struct helper *h, bool always)
{
    const struct guard *g = &h->g;
    struct helper_word w;

    memset(&w, 0, sizeof w); /* it goes out byte by byte */
    w.magic = HELPER_MAGIC;
    w.state = g->state;
    w.reason = g->reason;
    w.job = g->job;
    w.kept_state = g->kept.state;
    w.may_write = guard_may_write(g);
    w.letting = g->letting;
    w.broken = g->broken_at != 0;
    w.seen_epoch = g->kept.seen_epoch;
    w.fenced_epoch = g->kept.fenced_epoch;
    w.pid = (int32_t)getpid();
    w.deadline = g->deadline;
    w.since = g->since;
    memcpy(w.fences, g->fences, sizeof w.fences);
    w.releases = g->releases;
    w.attempts = g->attempts;
    w.failures = g->failures;
    w.ignored = g->ignored;
    (void)snprintf(w.trouble, sizeof w.trouble, "%.*s", HELPER_TROUBLE - 1, h->jobs.trouble);
    if (!always && memcmp(&w, &h->told, sizeof w) == 0)
        return;
    h->told = w;
    if (h->link >= 0)
        (void)send(h->link, &w, sizeof w, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void say_state(struct helper *h)
{
    const struct guard *g = &h->g;

    if (g->state == h->state)
        return;
    LOG(h->log, g->state == GUARD_SERVING ? LOG_INFO : LOG_WARN, "guard",
        guard_state_name((enum guard_state)g->state), kv_s("guard", h->s->name),
        kv_s("service", h->s->service), kv_s("was", guard_state_name((enum guard_state)h->state)),
        kv_s("reason", guard_reason_name((enum guard_reason)g->reason)), kv_u("epoch", g->kept.seen_epoch),
        kv_u("fenced_epoch", g->kept.fenced_epoch));
    h->state = g->state;
}

/* ---- doing ---- */

static void keep(struct helper *h)
{
    struct err e = {0};
    bool ok = guard_file_keep(&h->file, &h->g.kept, &e) == 0;

    if (!ok)
        COMPLAIN(h->log, &h->complaint, clock_mono(), LOG_ERROR, "guard", "the state cannot be written down",
                 kv_s("guard", h->s->name), kv_e(&e));
    else
        log_recovered(h->log, &h->complaint, "guard", "the state is written down again");
    guard_is_kept(&h->g, ok, now_ms());
}

static void begin(struct helper *h, enum guard_job job)
{
    struct fence_order o = {.job = job,
                            .epoch = h->g.want > h->g.kept.seen_epoch ? h->g.want : h->g.kept.seen_epoch,
                            .reason = guard_reason_name((enum guard_reason)h->g.reason),
                            .until = mono_add(clock_mono(), h->s->timeout)};

    jobs_begin(&h->jobs, h->s, &o);
}

static void look_at_jobs(struct helper *h)
{
    enum guard_job job = (enum guard_job)h->g.job;
    bool ok;

    if (job == GUARD_IDLE || !jobs_ended(&h->jobs, &ok))
        return;
    if (!ok)
        LOG(h->log, LOG_ERROR, "guard", job == GUARD_RELEASE ? "not let go" : "no proof",
            kv_s("guard", h->s->name), kv_s("error", h->jobs.trouble));
    guard_done(&h->g, ok, now_ms());
}

/* The lease in the file is put right before anything is begun. */
static void work(struct helper *h)
{
    for (;;) {
        enum guard_do what;

        look_at_jobs(h);
        what = guard_next(&h->g, now_ms());
        guard_file_lease(&h->file, &h->g);
        say_state(h);
        switch (what) {
        case GUARD_WAIT: tell(h, false); return;
        case GUARD_DO_KEEP: keep(h); break;
        case GUARD_DO_STOP:
            jobs_stop(&h->jobs);
            guard_stopped(&h->g, now_ms());
            break;
        case GUARD_DO_FENCE: begin(h, GUARD_FENCE); break;
        case GUARD_DO_PROVE: begin(h, GUARD_PROVE); break;
        case GUARD_DO_RELEASE: begin(h, GUARD_RELEASE); break;
        }
    }
}

/* ---- hearing ---- */

static void hang_up(struct helper *h)
{
    LOG(h->log, LOG_WARN, "guard", "the agent is gone", kv_s("guard", h->s->name),
        kv_i("lease_ms", h->g.deadline ? h->g.deadline - now_ms() : 0));
    (void)close(h->link);
    h->link = -1;
}

static void obey(struct helper *h, const struct helper_order *o)
{
    int64_t now = now_ms();

    if (o->kind == HELPER_LEASE)
        guard_lease(&h->g, o->deadline, o->epoch, o->agreed, now);
    else if (o->kind == HELPER_DENY)
        guard_deny(&h->g, o->epoch, GUARD_R_DENIED, now);
}

static void hear(struct helper *h)
{
    for (int i = 0; i < 16 && h->link >= 0; i++) {
        struct helper_order o;
        ssize_t n = recv(h->link, &o, sizeof o, MSG_DONTWAIT | MSG_TRUNC);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n != sizeof o || o.magic != HELPER_MAGIC) { /* the end, or somebody of another version */
            hang_up(h);
            return;
        }
        obey(h, &o);
        work(h);
        tell(h, true);
    }
}

/* The newest agent is the one that counts. */
static void take(struct helper *h)
{
    int fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    if (h->link >= 0)
        (void)close(h->link);
    h->link = fd;
    tell(h, true);
}

static int patience(const struct helper *h)
{
    int64_t left = guard_due(&h->g) - now_ms();

    if (h->g.job != GUARD_IDLE)
        return JOB_LOOK_MS;
    return left < 0 ? 0 : left < LOOK_MS ? (int)left : LOOK_MS;
}

/* An agent's own helper has no more to do once the agent is gone and the fence is proven and written down. */
static bool is_through(const struct helper *h)
{
    return h->link < 0 && h->listener < 0 && !guard_may_write(&h->g) && h->g.job == GUARD_IDLE && !h->g.dirty;
}

static void loop(struct helper *h)
{
    while (!is_through(h)) {
        struct pollfd p[2] = {{.fd = h->link, .events = POLLIN}, {.fd = h->listener, .events = POLLIN}};

        (void)poll(p, 2, patience(h));
        work(h);
        if (p[0].revents && h->link >= 0)
            hear(h);
        if (p[1].revents)
            take(h);
    }
    LOG(h->log, LOG_INFO, "guard", "fenced, and the agent is gone: ended", kv_s("guard", h->s->name));
}

/* ---- beginning ---- */

static int listen_at(const char *path, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof a.sun_path)
        return err_set(e, ERR_CONFIG, "helper: the path is too long");
    memcpy(a.sun_path, path, strlen(path) + 1);
    (void)unlink(path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || chmod(path, 0660) != 0 ||
        listen(fd, 4) != 0) {
        (void)err_sys(e, ERR_IO, errno, "helper: %s", path);
        if (fd >= 0)
            (void)close(fd);
        return e->code;
    }
    return fd;
}

static int connect_up(struct helper *h, struct err *e)
{
    struct stat st;

    if (h->s->socket) {
        h->listener = listen_at(h->s->socket, e);
        return h->listener < 0 ? h->listener : 0;
    }
    if (fstat(HELPER_FD, &st) != 0 || !S_ISSOCK(st.st_mode))
        return err_set(e, ERR_STATE,
                       "the agent starts its helpers itself; one that runs alone needs [guard] helper");
    h->link = HELPER_FD;
    (void)fcntl(HELPER_FD, F_SETFD, FD_CLOEXEC);
    (void)setsid();
    (void)signal(SIGTERM,
                 SIG_IGN); /* it is over when the lease is, and not when the service manager clears up */
    (void)signal(SIGINT, SIG_IGN);
    return 0;
}

static int start(struct helper *h, struct err *e)
{
    struct guard_times t = {.grace = GRACE_MS,
                            .retry = RETRY_MS,
                            .look = span_to_ms(h->s->interval),
                            .broken = BROKEN_MS,
                            .longest = GUARD_LEASE};
    struct guard_lease_kept lease;
    struct guard_kept kept;
    bool found;
    int rc = connect_up(h, e);

    /* As far as it is let: a deadline waits for no swap. What is mapped later is not locked: that could fail for the lock. */
    (void)mlockall(MCL_CURRENT | MCL_ONFAULT);
    if (rc == 0)
        rc = guard_file_open(&h->file, h->s->state_dir, h->s->name, &kept, &lease, &found, e);
    if (rc == 0 && h->s->lease_file)
        rc = guard_file_tell(&h->file, h->s->lease_file, e);
    if (rc == 0)
        rc = rights_drop(h->s, e);
    if (rc != 0)
        return rc;
    guard_init(&h->g, &t, &kept, found ? &lease : NULL, now_ms());
    h->state = GUARD_STATES;
    return 0;
}

int helper_run(const struct config *c, const char *name, struct log *log)
{
    const struct section *section = guard_section_find(c, name);
    struct guard_settings s;
    struct helper h = {.s = &s, .log = log, .link = -1, .listener = -1, .file = {.fd = -1, .told = -1}};
    struct err e = {0};

    if (!section) {
        LOG(log, LOG_ERROR, "guard", "there is no such guard", kv_s("guard", name));
        return EXIT_CONFIG;
    }
    guard_settings_read(c, section, &s);
    jobs_init(&h.jobs);
    if (start(&h, &e) != 0) {
        LOG(log, LOG_ERROR, "guard", "the helper cannot start", kv_s("guard", name), kv_e(&e));
        return e.code == ERR_CONFIG ? EXIT_CONFIG : 1;
    }
    work(&h);
    daemon_notify("READY=1");
    tell(&h, true);
    loop(&h);
    return 0;
}
