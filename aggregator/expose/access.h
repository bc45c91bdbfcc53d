/* Who may read and act over the reading listener. A browser that was lured to another name (DNS rebinding)
 * sends that name in Host, so only names that are ours are served; a page of another site sends its Origin,
 * so only ours is. */
#ifndef SB_EXPOSE_ACCESS_H
#define SB_EXPOSE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config/config.h"
#include "common/net/http_server.h"

enum { ACCESS_HOSTS = 32 };

struct access {
    char hosts[ACCESS_HOSTS][256]; /* names without port */
    size_t n;
    unsigned port;
};

int access_read(struct access *a, const struct section *http); /* [http] listen and hosts. 0 */
void access_port(struct access *a, unsigned port);             /* as bound */

/* host: the header, NULL when absent (refused). origin: NULL when absent. */
bool access_host_ok(const struct access *a, const char *host, const char *origin);

bool access_may_read(const struct http_exchange *x);
/* The unix socket, or TLS with the role operator; who gets a text for the journal. */
bool access_may_act(const struct http_exchange *x, char *who, size_t cap);

#endif
