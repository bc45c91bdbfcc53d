/* What aggregators say to each other of failover: our votes and guards into a word, and those of another out of it. See
 * failover/word.h. */
#include "aggregator/moves_private.h"

#include <stdio.h>
#include <string.h>

static void keep(char *out, size_t cap, const char *text)
{
    (void)snprintf(out, cap, "%s", text);
}

static const char *region_name(const struct move *m, uint8_t r)
{
    return r < m->set.core.n_regions ? m->set.names.region[r] : "";
}

static void say_guards(const struct move *m, struct fo_word_service *s, struct mono now)
{
    for (int i = 0; i < m->set.n_guards; i++) {
        const struct move_guard *g = &m->guard[i];
        struct fo_word_guard *to = &s->guard[s->n_guards];

        if (!g->at.ns || !g->own) /* what others have told is theirs to tell */
            continue;
        keep(to->guard, sizeof to->guard, m->set.guard[i].name);
        keep(to->region, sizeof to->region, region_name(m, m->set.guard[i].region));
        to->fenced_epoch = g->fenced_epoch;
        to->serving = g->serving;
        to->age_ms = span_to_ms(mono_sub(now, g->at));
        s->n_guards++;
    }
}

static void say(const struct move *m, struct fo_word_service *s, struct mono now)
{
    const struct fo_record *r = &m->fo.record;

    memset(s, 0, sizeof *s);
    keep(s->service, sizeof s->service, move_service(m));
    if (m->set.core.self != FO_NONE)
        fo_word_put_vote(s, &m->set.names, m->set.core.n_regions, watch_vote(m->watch));
    keep(s->state, sizeof s->state, fo_state_name(m->fo.state));
    s->leading = m->fo.leading;
    s->known = m->fo.known;
    s->epoch = r->epoch;
    s->token = r->token;
    if (m->fo.known) {
        keep(s->active, sizeof s->active, region_name(m, r->active));
        keep(s->writer, sizeof s->writer, region_name(m, r->writer));
    }
    say_guards(m, s, now);
}

static void speak(void *arg, struct fo_word *w)
{
    const struct moves *all = arg;

    keep(w->voter, sizeof w->voter, all->voter);
    w->boot = all->boot;
    for (const struct move *m = all->first; m && w->n < FO_SERVICES; m = m->next)
        say(m, &w->service[w->n++], loop_mono(all->d->loop));
}

/* ---- hearing ---- */

static void beat(struct moves *all, const char *region, uint8_t nth)
{
    for (struct move *m = all->first; m; m = m->next) {
        uint8_t r = fo_region_index(&m->set.names, m->set.core.n_regions, region);

        if (r != FO_NONE)
            watch_peer_heard(m->watch, r, nth);
    }
}

static void hear(struct move *m, const struct fo_word *w, const struct fo_word_service *s)
{
    struct fo_event e;

    for (uint8_t i = 0; i < s->n_guards; i++)
        move_guard_told(m, s->guard[i].guard, s->guard[i].fenced_epoch, s->guard[i].serving,
                        s->guard[i].age_ms);
    if (s->leading)
        keep(m->holder, sizeof m->holder, w->voter);
    move_event(m, &e, FO_E_VOTE);
    if (!fo_word_get_vote(w, s, &m->set.names, m->set.core.n_regions, m->set.core.n_voters, &e.u.vote) ||
        e.u.vote.voter == m->set.core.self) {
        m->all->strange_votes += s->voting;
        return;
    }
    for (uint8_t r = 0; r < m->set.core.n_regions; r++)
        if (e.u.vote.self_ok && e.u.vote.users[r] == FO_USERS_BAD)
            watch_users_elsewhere(m->watch, r);
    (void)move_feed(m, &e);
}

static void heard(void *arg, const char *peer, const char *region, uint8_t nth, const struct fo_word *w)
{
    struct moves *all = arg;

    (void)peer;
    beat(all, region, nth);
    for (struct move *m = all->first; m && w; m = m->next) {
        const struct fo_word_service *s = fo_word_find(w, move_service(m));

        if (s)
            hear(m, w, s);
    }
}

static void known(void *arg, const char *region)
{
    struct moves *all = arg;

    for (struct move *m = all->first; m; m = m->next) {
        uint8_t r = fo_region_index(&m->set.names, m->set.core.n_regions, region);

        if (r != FO_NONE)
            watch_known(m->watch, r);
    }
}

void moves_words(struct moves *all)
{
    peers_hook(all->d, &(struct peer_hooks){.arg = all, .speak = speak, .heard = heard, .known = known});
}

void moves_agents(struct moves *all, const char *region, uint32_t up, uint32_t known)
{
    for (struct move *m = all->first; m; m = m->next) {
        uint8_t r = fo_region_index(&m->set.names, m->set.core.n_regions, region);

        if (r != FO_NONE)
            watch_agents(m->watch, r, up, known);
    }
}
