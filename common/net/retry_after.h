/* When a service wants to be asked again. Pure. */
#ifndef SB_NET_RETRY_AFTER_H
#define SB_NET_RETRY_AFTER_H

#include "common/base/clock.h"

/* Retry-After (RFC 9110 §10.2.3): seconds, or a date in any of the three forms of §5.6.7 against `now`. 0 when there is none
 * or it makes no sense or lies in the past; at most an hour, since no service may silence us for longer. */
struct span retry_after_parse(const char *text, struct wall now);

#endif
