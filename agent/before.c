/* Values of the tick before: see before.h. */
#include "agent/before.h"

#include <string.h>

void before_free(struct before *b)
{
    mem_free(b->mem, b->rows, b->room * sizeof *b->rows);
    b->rows = NULL;
    b->n = b->room = 0;
}

void before_round(struct before *b)
{
    b->round++;
    b->next = 0;
}

static struct before_row *find(struct before *b, struct text name)
{
    for (size_t k = 0; k < b->n; k++) {
        size_t i = b->next + k < b->n ? b->next + k : b->next + k - b->n;
        struct before_row *row = &b->rows[i];

        if (memcmp(row->name, name.p, name.n) == 0 && !row->name[name.n]) {
            b->next = i + 1 < b->n ? i + 1 : 0;
            return row;
        }
    }
    return NULL;
}

/* A new row, or that of a device that has gone. */
static struct before_row *make(struct before *b)
{
    size_t room = b->room ? b->room * 2 : 8;
    void *grown;

    for (size_t i = 0; b->n == b->room && i < b->n; i++)
        if (b->rows[i].round + 1 < b->round)
            return &b->rows[i];
    if (b->n == b->room) {
        grown = room <= BEFORE_MAX
                    ? mem_resize(b->mem, b->rows, b->room * sizeof *b->rows, room * sizeof *b->rows)
                    : NULL;
        if (!grown)
            return NULL;
        b->rows = grown;
        b->room = room;
    }
    return &b->rows[b->n++];
}

struct before_row *before_get(struct before *b, struct text name, int *fresh)
{
    struct before_row *row;

    if (!name.n || name.n >= BEFORE_NAME)
        return NULL;
    row = find(b, name);
    *fresh = !row || row->round + 1 < b->round;
    if (!row) {
        row = make(b);
        if (!row)
            return NULL;
        memset(row, 0, sizeof *row);
        memcpy(row->name, name.p, name.n);
    }
    if (*fresh)
        memset(row->v, 0, sizeof row->v);
    row->round = b->round;
    return row;
}
