/* Lines for timelines: what happened to an alert on its way to people. */
#include "aggregator/notify/notify_private.h"

#include <stdarg.h>
#include <stdio.h>

void story(struct notify *n, const struct known *k, const char *kind, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (!n->out || !n->out->story)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    n->out->story(n->out->arg, &k->id, n->now, kind, text);
}
