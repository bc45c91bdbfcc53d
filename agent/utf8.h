/* Text from strangers made fit for the wire. */
#ifndef SB_AGENT_UTF8_H
#define SB_AGENT_UTF8_H

#include "common/base/arena.h"
#include "common/wire/wire.h"

/* The text with each byte that is no UTF-8, and each NUL, replaced by U+FFFD,
 * cut at a character so that it has at most max bytes. Borrows from p when
 * nothing had to change, else from the arena; empty without memory. */
struct wire_str utf8_mend(struct arena *a, const char *p, uint32_t n, uint32_t max);

#endif
