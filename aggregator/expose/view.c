/* See view.h. */
#include "aggregator/expose/view.h"

void gathered_free(struct gathered **g)
{
    if (!*g)
        return;
    if ((*g)->snap)
        snapshot_release((*g)->snap);
    arena_free(&(*g)->arena);
    mem_free(NULL, *g, sizeof **g);
    *g = NULL;
}
