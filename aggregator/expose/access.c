/* Names under which the reading listener may be asked: see access.h. */
#include "aggregator/expose/access.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/net/host.h"

int access_read(struct access *a, const struct section *http)
{
    static const char *const always[] = {"localhost", "127.0.0.1", "::1"};
    unsigned port;

    a->n = 0;
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(a->hosts[a->n++], sizeof a->hosts[0], "%s", always[i]);
    if (host_split(option_text(http, "listen"), a->hosts[a->n], sizeof a->hosts[0], &port))
        a->n++;
    for (size_t i = 0; i < option_count(http, "hosts") && a->n < ACCESS_HOSTS; i++)
        (void)snprintf(a->hosts[a->n++], sizeof a->hosts[0], "%s", option_word(http, "hosts", i));
    return 0;
}

void access_port(struct access *a, unsigned port)
{
    a->port = port;
}

static bool ours(const struct access *a, const char *text)
{
    char name[256];
    unsigned port;

    if (!host_split(text, name, sizeof name, &port))
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (strcasecmp(a->hosts[i], name) == 0)
            return true;
    }
    return false;
}

bool access_host_ok(const struct access *a, const char *host, const char *origin)
{
    if (!host || !ours(a, host))
        return false;
    if (!origin)
        return true;
    if (strncmp(origin, "http://", 7) == 0)
        return ours(a, origin + 7);
    return strncmp(origin, "https://", 8) == 0 && ours(a, origin + 8);
}
