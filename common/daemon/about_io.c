/* The version line: see about.h. */
#include "common/daemon/about.h"

#include <stdio.h>

#include <event2/event.h>
#include <openssl/crypto.h>

#include "version.h"

void about_text(const char *name, char *out, size_t room)
{
    (void)snprintf(out, room, "%s %s (revision %s, OpenSSL %s, libevent %s)", name, SB_VERSION, SB_REVISION,
                   OpenSSL_version(OPENSSL_VERSION_STRING), event_get_version());
}
