/* Names of the records in the store: a letter, the section's name and the group's values, each terminated
 * (none can hold a NUL), then which part of the group it is. An agent's: a letter and its id, terminated. */
#include <string.h>

#include "aggregator/series/percentile.h"

static void begin(struct series_set *s, enum record r, const struct percentile *p)
{
    buf_clear(&s->key);
    buf_u8(&s->key, (uint8_t)r);
    buf_put(&s->key, p->def->name, strlen(p->def->name) + 1);
}

static void begin_group(struct series_set *s, enum record r, const struct group *g)
{
    begin(s, r, g->percentile);
    for (uint32_t i = 0; i < g->percentile->def->n_by; i++)
        buf_put(&s->key, g->values[i]->text, g->values[i]->n + 1);
}

static struct bytes of_agent(struct series_set *s, enum record r, const struct agent *a)
{
    buf_clear(&s->key);
    buf_u8(&s->key, (uint8_t)r);
    buf_put(&s->key, a->id->text, a->id->n + 1);
    return buf_bytes(&s->key);
}

struct bytes key_agent(struct series_set *s, const struct agent *a)
{
    return of_agent(s, RECORD_AGENT, a);
}

struct bytes key_readings(struct series_set *s, const struct agent *a)
{
    return of_agent(s, RECORD_READINGS, a);
}

struct bytes key_mode(struct series_set *s, const struct percentile *p)
{
    begin(s, RECORD_MODE, p);
    return buf_bytes(&s->key);
}

struct bytes key_total(struct series_set *s, const struct group *g)
{
    begin_group(s, RECORD_TOTAL, g);
    return buf_bytes(&s->key);
}

struct bytes key_cell(struct series_set *s, const struct group *g, uint32_t window, uint32_t place)
{
    begin_group(s, RECORD_CELL, g);
    buf_u8(&s->key, (uint8_t)window);
    buf_u8(&s->key, (uint8_t)place);
    return buf_bytes(&s->key);
}

struct bytes key_host(struct series_set *s, const struct group *g, const struct host *h)
{
    begin_group(s, RECORD_HOST, g);
    buf_put(&s->key, h->id->text, h->id->n + 1);
    return buf_bytes(&s->key);
}

void bury(struct series_set *s, struct bytes key, uint8_t state)
{
    struct dead_key *k;

    if (!(state & (STORED | TAKEN)))
        return;
    k = mem_alloc(s->mem, sizeof *k + key.n);
    if (!k) { /* the record stays; the next start finds that nobody owns it */
        s->lost[LOSS_MEMORY]++;
        return;
    }
    memcpy(k->key, key.p, key.n);
    k->n = (uint32_t)key.n;
    k->next = s->dead;
    s->dead = k;
    s->n_dead++;
}
