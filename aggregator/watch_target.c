/* See watch_target.h. Pure. */
#include "aggregator/watch_target.h"

#include <stdio.h>
#include <string.h>

#include "common/net/host.h"

bool target_judge(bool any_answer, int code, int status, const char *reason, char *out, size_t cap)
{
    bool answered = code == 0 || (any_answer && strcmp(reason, "too_large") == 0);
    bool good = answered && (any_answer || (status >= 200 && status < 300));

    (void)snprintf(out, cap, "%s", good ? "" : code == 0 ? "status" : *reason ? reason : "internal");
    return good;
}

bool target_split(const char *url, char *host, size_t host_cap, char *port, size_t port_cap)
{
    unsigned n = 0;

    if (strncmp(url, "tcp://", 6) != 0 || !host_split(url + 6, host, host_cap, &n) || n == 0 || !*host)
        return false;
    return (size_t)snprintf(port, port_cap, "%u", n) < port_cap;
}
