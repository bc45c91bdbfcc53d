/* Services that can move between regions, in one line each: read off the metrics that the decide thread publishes. Pure. */
#ifndef SB_EXPOSE_SERVICES_H
#define SB_EXPOSE_SERVICES_H

#include "aggregator/expose/view.h"

enum { SERVICES_MOST = 64 };
struct service_line { /* texts are borrowed from the view; "" unknown, of the writer: nobody writes */
    const char *service, *state, *active, *writer;
    bool leading;
};
/* In the order in which they are configured; returns how many. */
size_t services_of(const struct view *v, struct service_line out[SERVICES_MOST]);

#endif
