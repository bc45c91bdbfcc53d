/* What the process itself takes from its host: getrusage(2), /proc/self (proc(5)). In usage_io.c. */
#ifndef SB_DAEMON_USAGE_H
#define SB_DAEMON_USAGE_H

#include <stdint.h>

struct usage {
    double user_seconds, system_seconds; /* CPU time of all its threads */
    uint64_t resident_bytes;
    uint64_t descriptors; /* open files and sockets */
};

/* As of now; what cannot be read is 0. Any thread. */
struct usage usage_now(void);

#endif
