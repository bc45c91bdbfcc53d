/* The floor under every agent on this kernel: once a second, each file named is read whole with pread(2)
 * and dropped, and the root file system is asked once. bare_read FILE…; runs until it is killed. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { FILES_MAX = 64, ROOM = 1 << 16 };

int main(int argc, char **argv)
{
    static char into[ROOM];
    int fd[FILES_MAX], n = 0;
    struct timespec next;

    for (int i = 1; i < argc && n < FILES_MAX; i++)
        if ((fd[n] = open(argv[i], O_RDONLY | O_CLOEXEC)) >= 0)
            n++;
    if (n == 0 || clock_gettime(CLOCK_MONOTONIC, &next) != 0)
        return 1;
    for (;;) {
        struct statvfs s;

        for (int i = 0; i < n; i++) {
            off_t at = 0;
            ssize_t got;

            while ((got = pread(fd[i], into, sizeof into, at)) > 0)
                at += got;
        }
        if (statvfs("/", &s) != 0)
            return 1;
        next.tv_sec++;
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}
