/* Time zones from the system's database (Debian's tzdata). The folder is /usr/share/zoneinfo, or the absolute path
 * in $ZONEINFO. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/zone.h"

enum { FILE_MOST = 1 << 20, NAME_MOST = 64 };

/* UTC as a version 1 file: no times, one type of 0 s. */
static const uint8_t utc[] = {
    'T', 'Z', 'i', 'f', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   0,   0,   0,
    0,   0,   0,   0,   0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 'U', 'T', 'C', 0,
};

/* Names have no dots, so none can leave the folder. */
static bool named(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n > NAME_MOST || name[0] == '/' || name[n - 1] == '/' || strstr(name, "//"))
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+-") == n;
}

static int read_all(int fd, uint8_t *out, size_t *n)
{
    *n = 0;
    while (*n < FILE_MOST) {
        ssize_t got = read(fd, out + *n, FILE_MOST - *n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            return 0;
        *n += (size_t)got;
    }
    return 0;
}

struct zone *zone_load(const char *name, struct err *e)
{
    const char *folder = getenv("ZONEINFO");
    struct zone *z = NULL;
    char path[4096];
    uint8_t *data = NULL;
    size_t n;
    int fd = -1;

    if (strcmp(name, "UTC") == 0)
        return zone_parse(name, (struct bytes){utc, sizeof utc}, e);
    if (!named(name)) {
        err_set(e, ERR_NOTFOUND, "\"%.80s\" is not the name of a time zone, as \"Europe/Berlin\" is", name);
        return NULL;
    }
    if (!folder || folder[0] != '/')
        folder = "/usr/share/zoneinfo";
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_sys(e, ERR_NOTFOUND, errno, "time zone \"%s\": %s (package tzdata)", name, path);
        goto out;
    }
    data = malloc(FILE_MOST);
    if (!data) {
        err_set(e, ERR_NOMEM, "no memory for time zone \"%s\"", name);
        goto out;
    }
    if (read_all(fd, data, &n) < 0)
        err_sys(e, errno == EISDIR ? ERR_NOTFOUND : ERR_IO, errno, "time zone \"%s\": %s", name, path);
    else
        z = zone_parse(name, (struct bytes){data, n}, e);
out:
    free(data);
    if (fd >= 0)
        (void)close(fd);
    return z;
}
