/* Telling the decide thread what was gained: gathered for a moment, so that
 * many small batches are one telling, and a breach is still known at once. */
#include "aggregator/ingest/ingest_private.h"

enum { TELL_MS = 100 };

void ingest_tell(struct ingest *g, bool restored)
{
    bool more = true;

    while (more) {
        struct telling *t = series_tell(g->series, clock_wall(), restored, &more);

        if (!t)
            return;
        if (g->tell)
            g->tell(g->tell_arg, t);
        else
            telling_free(&t);
    }
}

void ingest_tell_soon(void *arg)
{
    struct ingest *g = arg;

    g->telling = false;
    ingest_tell(g, false);
}

void ingest_gained(struct ingest *g)
{
    if (g->telling || !g->selections)
        return;
    g->telling = true;
    timer_set(g->teller, span_ms(TELL_MS));
}
