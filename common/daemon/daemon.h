/* What both daemons do at start: signals, readiness, the lock
 * on the state folder, limits. All in daemon_io.c. */
#ifndef SB_DAEMON_DAEMON_H
#define SB_DAEMON_DAEMON_H

#include "common/base/err.h"
#include "common/net/loop.h"

enum {
    EXIT_USAGE = 2,
    EXIT_CONFIG = 78,
    DAEMON_STOP_SECONDS = 10, /* from the first TERM or INT; then the process is ended with status 1 */
};

/* First thing in main: SIGPIPE and SIGXFSZ ignored, umask 0027. */
void daemon_early(void);

struct signal_calls {
    void (*reload)(void *arg); /* HUP */
    void (*reopen)(void *arg); /* USR1 */
    void (*dump)(void *arg);   /* USR2 */
    void (*stop)(void *arg);   /* TERM, INT; a second one ends the process at once with status 1 */
    void *arg;
};
/* Signals arrive in the loop, so the calls may do anything. */
struct signals;
/* calls is copied; all four must be set. The signals stay blocked in this thread and those it starts: a child
 * process needs its mask reset before exec (posix_spawnattr_setsigmask). */
struct signals *signals_new(struct loop *l, const struct signal_calls *calls, struct err *e);
void signals_free(struct signals **s);
/* First call of every thread other than the one with the loop above: signals go
 * there. `name` (at most 15 bytes) is what top -H, ps -L and the kernel call it. */
void daemon_thread(const char *name);

/* sd_notify(3) without the library: no effect without
 * $NOTIFY_SOCKET. state as in the manual: "READY=1\nSTATUS=…". */
void daemon_notify(const char *state);
/* Half of $WATCHDOG_USEC, or 0: how often to send WATCHDOG=1. */
struct span daemon_watchdog_interval(void);

/* Makes dir (0750, with its parents' last part) if absent, refuses a symbolic link, another owner or a mode
 * open to others, and takes an exclusive lock in it: a second instance gets ERR_STATE with a sentence.
 * Returns a descriptor to keep open, or a negative code. */
int daemon_lock_dir(const char *dir, struct err *e);

#endif
