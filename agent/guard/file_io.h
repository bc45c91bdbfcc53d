/* The state file of a guard, open for the life of its helper, which holds the lock on it. */
#ifndef SB_GUARD_FILE_IO_H
#define SB_GUARD_FILE_IO_H

#include "agent/guard/guard.h"

struct guard_file {
    int fd;
    uint64_t turn;
    char boot[37];
    struct guard_lease_kept lease; /* as written last */
    int told;                      /* the file for the service itself; -1: none */
};

/* DIR/guard-NAME.state: made when absent; locked, for which the helper that holds the lock is killed. *found: there is a lease
 * of this boot of the machine. What cannot be read counts as never written. */
int guard_file_open(struct guard_file *f, const char *dir, const char *name, struct guard_kept *kept,
                    struct guard_lease_kept *lease, bool *found, struct err *e);
int guard_file_keep(struct guard_file *f, const struct guard_kept *k, struct err *e); /* durable when 0 */
/* The file at path, made when absent and readable by all, that tells the service itself until when it may write: one line,
 * "MS BOOT MS": the end of the lease by CLOCK_BOOTTIME in milliseconds, 0 when there is none; the boot to which that belongs
 * (boot_id); the end again, so that who reads while it is written sees two that differ. From here on guard_file_lease writes
 * it as well. After guard_file_open. 0, ERR_IO. */
int guard_file_tell(struct guard_file *f, const char *path, struct err *e);
/* Writes the lease if it has changed. It outlives the process; it need not outlive the machine. */
void guard_file_lease(struct guard_file *f, const struct guard *g);

#endif
