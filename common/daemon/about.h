/* The version line, in a room of its own: OpenSSL's headers and common/base/err.h both define ERR_STATE. */
#ifndef SB_DAEMON_ABOUT_H
#define SB_DAEMON_ABOUT_H

#include <stddef.h>

/* "securebase-agent 0.1.0 (revision …, OpenSSL …, libevent …)" into out, without a newline; cut at room. The
 * libraries are those that are loaded, not those built against. */
void about_text(const char *name, char *out, size_t room);

#endif
