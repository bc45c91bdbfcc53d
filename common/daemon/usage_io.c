/* See usage.h. */
#include "common/daemon/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* The second number of statm: resident pages. */
static uint64_t resident(void)
{
    char text[128], *second;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = 0;
    (void)strtoull(text, &second, 10);
    return strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint64_t n = 0;

    if (!d)
        return 0;
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", "..", and the one that reads */
}

struct usage usage_now(void)
{
    struct rusage r = {0};

    (void)getrusage(RUSAGE_SELF, &r);
    return (struct usage){.user_seconds = seconds(r.ru_utime),
                          .system_seconds = seconds(r.ru_stime),
                          .resident_bytes = resident(),
                          .descriptors = descriptors()};
}
