/* Pages: one for each state that people have to know of, told once when it is entered (again when its reasons change) and
 * resolved when it is left. The one who does not lead any more takes its pages back: the new holder tells its own. */
#include "aggregator/failover/core_private.h"

enum { FROZEN_FOR = 10 * FO_SECOND };

struct page {
    uint8_t about; /* the state that names it */
    uint8_t level;
};
static const struct page pages[] = {
    {FO_S_SUSPECT, FO_PAGE_WARNING},  {FO_S_GRAY, FO_PAGE_CRITICAL},  {FO_S_BLOCKED, FO_PAGE_CRITICAL},
    {FO_S_PREPARE, FO_PAGE_CRITICAL}, {FO_S_STUCK, FO_PAGE_CRITICAL}, {FO_S_FROZEN, FO_PAGE_CRITICAL},
};
enum { PAGES = sizeof pages / sizeof pages[0] };

static bool stands(const struct fo_turn *t, uint8_t about)
{
    const struct fo *s = t->s;

    switch (about) {
    case FO_S_SUSPECT: return s->state == FO_S_SUSPECT || s->state == FO_S_CONFIRM;
    case FO_S_PREPARE: return s->state >= FO_S_FENCE && s->state <= FO_S_TIDY;
    case FO_S_FROZEN: return s->state == FO_S_FROZEN && t->now - s->entered >= FROZEN_FOR;
    default: return s->state == about;
    }
}

/* A page is taken back at the level at which it was told: bits of the upper half remember those of moves that people have
 * ordered in peace. */
static uint8_t level_of(struct fo_turn *t, unsigned i, bool now, bool stood)
{
    struct fo *s = t->s;
    uint16_t mild = (uint16_t)(1U << (i + 8));

    if (now && !stood) {
        bool planned = pages[i].about == FO_S_PREPARE && s->record.plan.kind != FO_FAILOVER;

        s->pages = (uint16_t)(planned ? s->pages | mild : s->pages & ~mild);
    }
    return (s->pages & mild) != 0 ? FO_PAGE_WARNING : pages[i].level;
}

void fo_pages(struct fo_turn *t)
{
    struct fo *s = t->s;

    for (unsigned i = 0; i < PAGES; i++) {
        bool stood = (s->pages >> i & 1) != 0, now = stands(t, pages[i].about);
        bool news = now && s->state == FO_S_BLOCKED && s->told != s->reasons;
        struct fo_effect *e;

        if (now == stood && !news)
            continue;
        e = fo_emit(t, FO_DO_PAGE);
        e->on = now;
        e->to = pages[i].about;
        e->level = level_of(t, i, now, stood);
        e->reasons = s->reasons;
        s->pages = (uint16_t)(now ? s->pages | 1U << i : s->pages & ~(1U << i));
        if (now)
            s->told = s->reasons;
    }
}
