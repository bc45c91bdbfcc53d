/* A program of somebody's own, run once with a deadline: no shell, something on its standard input, the beginning of what it
 * says, its exit status. For channels and actions of type command. Blocking, for workers; in child_io.c. */
#ifndef SB_DAEMON_CHILD_H
#define SB_DAEMON_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"

enum { CHILD_GROUPS = 64 };

/* Whom it runs as. */
struct child_user {
    bool other; /* than we are */
    uid_t uid;
    gid_t gid, groups[CHILD_GROUPS];
    int n_groups;
};
/* "" or NULL: as we are. 0, ERR_CONFIG (no such user, or we are not root), ERR_LIMIT. */
int child_user_find(const char *name, struct child_user *out, struct err *e);

struct child_order {
    char *const *argv; /* argv[0] an absolute path; NULL at the end */
    const struct child_user *user;
    bool no_new_privs;  /* neither set-user-ID programs nor sudo work in it */
    struct bytes input; /* it may leave it unread */
    struct span deadline;
};
struct child_result {
    int status;   /* exit status; negative: it ended by a signal, or did not start */
    int signal;   /* that ended it; 0 none */
    bool started; /* false: `error` is the errno */
    bool late;    /* it was killed at the deadline */
    int error;
    size_t said; /* bytes put into the buffer: the beginning of its output and its errors, as they came */
};

/* It runs in a process group of its own, in /, with the environment PATH alone, no file but its three, umask 077, and goes
 * with the thread that calls. The group is killed as a whole at the deadline, and also when the program ends, so that
 * nothing it started stays behind. SIGPIPE has to be blocked or ignored in the calling thread. */
void child_run(const struct child_order *o, char *said, size_t cap, struct child_result *out);

#endif
