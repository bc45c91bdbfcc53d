/* Names of listeners: see host.h. */
#include "common/net/host.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAME = 256 };

bool host_split(const char *text, char *name, size_t cap, unsigned *port)
{
    const char *from = text, *end;
    unsigned long n;
    char *rest;

    *port = 0;
    if (*text == '[') {
        from = text + 1;
        end = strchr(from, ']');
    } else {
        end = from + strcspn(from, ":/");
    }
    if (!end || end == from || (size_t)(end - from) >= cap)
        return false;
    memcpy(name, from, (size_t)(end - from));
    name[end - from] = 0;
    end += *end == ']';
    if (!*end)
        return true;
    if (*end != ':' || end[1] < '0' || end[1] > '9')
        return false;
    n = strtoul(end + 1, &rest, 10);
    *port = n <= 65535 ? (unsigned)n : 0;
    return !*rest && n <= 65535;
}

/* An address, all of it: "127.0.0.1.example.com" is a name. */
static bool loopback_v4(const char *name)
{
    struct in_addr a;

    return inet_pton(AF_INET, name, &a) == 1 && ntohl(a.s_addr) >> 24 == 127;
}

bool host_is_loopback(const char *address)
{
    char name[NAME];
    unsigned port;

    return host_split(address, name, sizeof name, &port) &&
           (loopback_v4(name) || strcmp(name, "::1") == 0 || strcasecmp(name, "localhost") == 0);
}

bool host_url_is_loopback(const char *url)
{
    char authority[NAME];
    size_t n;

    if (strncasecmp(url, "http://", 7) != 0)
        return false;
    url += 7;
    n = strcspn(url, "/?#");
    if (n >= sizeof authority || strchr(url, '@'))
        return false;
    memcpy(authority, url, n);
    authority[n] = 0;
    return host_is_loopback(authority);
}

bool host_is_ours(const char *host, const char *listen)
{
    static const char *const always[] = {"localhost", "127.0.0.1", "::1"};
    char name[NAME], own[NAME];
    unsigned port;

    if (!host || !host_split(host, name, sizeof name, &port))
        return false;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (strcasecmp(name, always[i]) == 0)
            return true;
    return host_split(listen, own, sizeof own, &port) && strcasecmp(name, own) == 0;
}
