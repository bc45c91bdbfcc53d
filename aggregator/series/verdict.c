/* The bytes of a verdict, journalled with a batch so that a replay takes the same values.
 *
 * Empty when everything is taken. Else: two bits for each event (ceil(n / 4) bytes, the first in the lowest
 * bits), then for each block one byte, 0 taken, 1 future, 2 too old, 3 some series refused; after a 3 two
 * bits for each series of the schema: 0 taken, 1 quota, 2 kind conflict. The reader is total: what is
 * missing, or has a meaning that this version does not know, is taken. */
#include "aggregator/series/table.h"

void verdict_start(struct verdict *v, struct bytes all, uint32_t n_events)
{
    *v = (struct verdict){.all = all, .at = ((size_t)n_events + 3) / 4};
}

void verdict_block(struct verdict *v, uint32_t n_series)
{
    size_t n = ((size_t)n_series + 3) / 4;
    uint8_t code = v->at < v->all.n ? v->all.p[v->at] : TAKE;

    v->at += v->at < v->all.n;
    v->bits = NULL;
    v->n_bits = 0;
    v->block = code == REFUSE_FUTURE || code == REFUSE_OLD ? (enum taken)code : TAKE;
    if (code != REFUSE_SOME)
        return;
    v->block = REFUSE_SOME;
    if (n > v->all.n - v->at)
        n = v->all.n - v->at;
    v->bits = v->all.p + v->at;
    v->n_bits = n;
    v->at += n;
}

enum value_taken verdict_series(const struct verdict *v, uint32_t j)
{
    unsigned two;

    if (j / 4 >= v->n_bits)
        return VALUE_TAKE;
    two = v->bits[j / 4] >> 2 * (j % 4) & 3;
    return two == 3 ? VALUE_TAKE : (enum value_taken)two;
}

bool series_event_refused(struct bytes verdict, uint32_t i, enum wire_refusal *reason)
{
    unsigned two = i / 4 < verdict.n ? verdict.p[i / 4] >> 2 * (i % 4) & 3u : 0;

    if (two != REFUSE_FUTURE && two != REFUSE_OLD)
        return false;
    *reason = two == REFUSE_FUTURE ? WIRE_FUTURE : WIRE_TOO_OLD;
    return true;
}

uint64_t values_in(const struct wire_values *v, uint32_t n_series)
{
    uint64_t n = 0;

    for (uint32_t j = 0; j < n_series; j++)
        n += v->count[j];
    return n;
}
