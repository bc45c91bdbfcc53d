/* Who is behind a connection: see access.h. */
#include "aggregator/expose/access.h"

#include <stdio.h>
#include <string.h>

static bool has_role(const struct http_exchange *x, const char *uri)
{
    const struct tls_identity *id = http_identity(x);

    for (unsigned i = 0; id->verified && i < id->n; i++) {
        if (strcmp(id->uri[i], uri) == 0)
            return true;
    }
    return false;
}

bool access_may_read(const struct http_exchange *x)
{
    return has_role(x, "securebase://role/viewer") || has_role(x, "securebase://role/operator");
}

bool access_may_act(const struct http_exchange *x, char *who, size_t cap)
{
    uid_t uid;
    gid_t gid;
    pid_t pid;

    if (http_peer_cred(x, &uid, &gid, &pid)) {
        (void)snprintf(who, cap, "uid %u", (unsigned)uid);
        return true;
    }
    (void)snprintf(who, cap, "role operator from %.64s", http_peer_address(x));
    return has_role(x, "securebase://role/operator");
}
