/* Jobs of a guard: see jobs_io.h. They are forked, not executed anew: the helper has one thread and its memory is small. */
#include "agent/guard/jobs_io.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/net/loop.h"

void jobs_init(struct jobs *j)
{
    *j = (struct jobs){.failed = false};
}

static _Noreturn void job(enum fence_kind k, const struct guard_settings *s, const struct fence_order *o,
                          pid_t parent, int said)
{
    struct err e = {0};
    int rc;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    (void)signal(SIGTERM, SIG_DFL);
    if (getppid() != parent) /* it went before we could hear of it */
        _exit(1);
    rc = fence_carry_out(k, s, o, &e);
    if (rc != 0) {
        char text[300];
        int n = snprintf(text, sizeof text, "%s: %.250s", fence_kind_name(k), e.text);

        if (write(said, text, (size_t)n) != n)
            _exit(2);
    }
    _exit(rc == 0 ? 0 : 1);
}

static void trouble(struct jobs *j, enum fence_kind k, const char *text)
{
    j->failed = true;
    (void)snprintf(j->trouble, sizeof j->trouble, "%s%s%.200s", text ? "" : fence_kind_name(k),
                   text ? "" : ": ", text ? text : "not done in time");
}

static void begin_one(struct jobs *j, enum fence_kind k, const struct guard_settings *s,
                      const struct fence_order *o)
{
    pid_t parent = getpid();
    int fd[2];

    if (pipe2(fd, O_CLOEXEC) != 0) {
        trouble(j, k, "no pipe for a job");
        return;
    }
    j->pid[k] = fork();
    if (j->pid[k] == 0)
        job(k, s, o, parent, fd[1]);
    (void)close(fd[1]);
    if (j->pid[k] < 0) {
        j->pid[k] = 0;
        (void)close(fd[0]);
        trouble(j, k, "no process for a job");
        return;
    }
    j->said[k] = fd[0];
}

void jobs_begin(struct jobs *j, const struct guard_settings *s, const struct fence_order *o)
{
    j->failed = false;
    j->until = mono_to_ms(o->until);
    for (int k = 0; k < FENCE_KINDS; k++)
        if (s->kinds & 1U << k)
            begin_one(j, (enum fence_kind)k, s, o);
}

static void end_one(struct jobs *j, enum fence_kind k, int status)
{
    char text[300] = "";
    ssize_t n = 0;

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        if (WIFEXITED(status))
            n = read(j->said[k], text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        trouble(j, k, *text ? text : NULL);
    }
    (void)close(j->said[k]);
    j->pid[k] = 0;
}

static void reap_strays(struct jobs *j)
{
    for (int i = 0; i < JOBS_STRAY; i++)
        if (j->stray[i] && waitpid(j->stray[i], NULL, WNOHANG) != 0)
            j->stray[i] = 0;
}

static void give_up(struct jobs *j, enum fence_kind k)
{
    int i = 0;

    (void)kill(j->pid[k], SIGKILL);
    reap_strays(j);
    while (i < JOBS_STRAY - 1 && j->stray[i])
        i++;
    j->stray[i] = j->pid[k];
    j->pid[k] = 0;
    (void)close(j->said[k]);
}

bool jobs_ended(struct jobs *j, bool *ok)
{
    bool late = mono_to_ms(clock_mono()) >= j->until, all = true;

    for (int k = 0; k < FENCE_KINDS; k++) {
        int status;

        if (!j->pid[k])
            continue;
        if (waitpid(j->pid[k], &status, WNOHANG) == j->pid[k]) {
            end_one(j, (enum fence_kind)k, status);
        } else if (late) {
            give_up(j, (enum fence_kind)k);
            trouble(j, (enum fence_kind)k, NULL);
        } else {
            all = false;
        }
    }
    reap_strays(j);
    *ok = all && !j->failed;
    if (*ok)
        *j->trouble = 0;
    return all;
}

void jobs_stop(struct jobs *j)
{
    for (int k = 0; k < FENCE_KINDS; k++)
        if (j->pid[k])
            give_up(j, (enum fence_kind)k);
}
