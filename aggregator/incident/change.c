/* What was changed: deployments, failovers, configuration. Most incidents begin with one, often minutes before the
 * first alert; so the latest changes are remembered, and an incident that opens takes in those of the hour before. */
#include <string.h>

#include "aggregator/incident/incident_private.h"

static const int64_t before_ms = 3600000;

/* A change concerns a group when no label of both differs. */
static bool concerns(struct labels change, const struct incident *in)
{
    for (uint32_t k = 0; k < in->group.n; k++) {
        const char *mine = in->group.v[k].value, *theirs = labels_get(change, in->group.v[k].name);

        if (mine[0] && theirs[0] && strcmp(mine, theirs) != 0)
            return false;
    }
    return true;
}

static void tell(struct incidents *i, struct incident *in, const struct change *c,
                 const struct incident_effects *out)
{
    incident_line(i, in, &(struct line){.kind = c->kind, .who = c->who, .t = c->t}, out, "%s", c->text);
}

static struct change *fresh(struct incidents *i, uint32_t at)
{
    struct change *c = &i->changes[at];

    if (c->used)
        arena_free(&c->arena);
    *c = (struct change){.used = true};
    arena_init(&c->arena, i->mem, 16384);
    return c;
}

void incident_change(struct incidents *i, const struct incident_event *ev, const struct incident_effects *out)
{
    uint32_t at = i->change_at++ % CHANGES_MOST;
    struct change *c = fresh(i, at);
    bool ok;

    c->t = ev->now;
    incident_copy(c->kind, sizeof c->kind, ev->story_kind && ev->story_kind[0] ? ev->story_kind : "change");
    incident_copy(c->who, sizeof c->who, ev->who ? ev->who : "");
    incident_copy(c->text, sizeof c->text, ev->text ? ev->text : "");
    c->labels = labels_copy(ev->labels, &c->arena, &ok);
    for (size_t k = 0; k < i->n; k++)
        if (incident_active(i->v[k]) && concerns(ev->labels, i->v[k]))
            tell(i, i->v[k], c, out);
    change_record(c, at, out);
}

void incident_changes_before(struct incidents *i, struct incident *in, const struct incident_effects *out)
{
    for (uint32_t k = 0; k < CHANGES_MOST; k++) {
        const struct change *c = &i->changes[(i->change_at + k) % CHANGES_MOST]; /* oldest first */

        if (c->used && c->t.ms <= in->opened.ms && in->opened.ms - c->t.ms < before_ms &&
            concerns(c->labels, in))
            tell(i, in, c, out);
    }
}

int change_restore(struct incidents *i, uint32_t at, const cJSON *o)
{
    struct change *c;

    if (at >= CHANGES_MOST)
        return ERR_MALFORMED;
    c = fresh(i, at);
    c->t = incident_json_wall(o, "t");
    incident_copy(c->kind, sizeof c->kind,
                  incident_json_text(o, "kind")[0] ? incident_json_text(o, "kind") : "change");
    incident_copy(c->who, sizeof c->who, incident_json_text(o, "who"));
    incident_copy(c->text, sizeof c->text, incident_json_text(o, "text"));
    if (!incident_json_read_labels(cJSON_GetObjectItemCaseSensitive(o, "labels"), &c->arena, &c->labels))
        return ERR_NOMEM;
    /* goes on behind the newest */
    if (c->t.ms >= i->changes[(i->change_at + CHANGES_MOST - 1) % CHANGES_MOST].t.ms)
        i->change_at = at + 1;
    return 0;
}

void changes_free(struct incidents *i)
{
    for (uint32_t k = 0; k < CHANGES_MOST; k++)
        if (i->changes[k].used)
            arena_free(&i->changes[k].arena);
}
