/* One service's failover as JSON, for the API, and its figures. Pure: it looks and changes nothing. */
#include "aggregator/moves_show.h"

#include <stdio.h>
#include <string.h>

cJSON *show_reasons(fo_reasons reasons, const char *service)
{
    cJSON *list = cJSON_CreateArray();

    for (int i = 1; i < FO_REASONS; i++) {
        cJSON *x;
        char command[300];
        const char *form = fo_reason_command((enum fo_reason)i), *at = strstr(form, "SERVICE");

        if (!(reasons & FO_BIT(i)))
            continue;
        x = cJSON_CreateObject();
        if (at)
            (void)snprintf(command, sizeof command, "%.*s%s%s", (int)(at - form), form, service, at + 7);
        else
            (void)snprintf(command, sizeof command, "%s", form);
        cJSON_AddStringToObject(x, "reason", fo_reason_name((enum fo_reason)i));
        cJSON_AddStringToObject(x, "text", fo_reason_text((enum fo_reason)i));
        cJSON_AddStringToObject(x, "command", command);
        cJSON_AddItemToArray(list, x);
    }
    return list;
}

static void add_reasons(cJSON *o, const char *name, fo_reasons reasons, const char *service)
{
    cJSON_AddItemToObject(o, name, show_reasons(reasons, service));
}

static void add_region(cJSON *o, const char *name, const struct fo_names *n, const struct fo_config *c,
                       uint8_t r)
{
    if (r < c->n_regions)
        cJSON_AddStringToObject(o, name, n->region[r]);
    else
        cJSON_AddNullToObject(o, name);
}

static void add_wall(cJSON *o, const char *name, int64_t ms)
{
    char text[WALL_TEXT];

    if (ms > 0)
        cJSON_AddStringToObject(o, name, wall_text((struct wall){ms}, text));
    else
        cJSON_AddNullToObject(o, name);
}

static void add_ms(cJSON *o, const char *name, int64_t ms)
{
    if (ms >= 0)
        cJSON_AddNumberToObject(o, name, (double)ms / 1000);
    else
        cJSON_AddNullToObject(o, name);
}

/* ---- votes ---- */

static void add_classes(cJSON *o, uint8_t classes)
{
    cJSON *list = cJSON_AddArrayToObject(o, "classes");

    for (uint8_t bit = 1; bit && bit <= FO_DEPENDENCY; bit = (uint8_t)(bit << 1)) {
        if (classes & bit)
            cJSON_AddItemToArray(list, cJSON_CreateString(fo_class_name(bit)));
    }
}

static cJSON *vote_json(const struct show *s, uint8_t voter)
{
    static const char *const users[] = {"unknown", "good", "bad"};
    const struct fo_heard *h = &s->fo->heard[voter];
    cJSON *o = cJSON_CreateObject(), *regions;

    cJSON_AddStringToObject(o, "voter", s->names->voter[voter]);
    cJSON_AddBoolToObject(o, "own", voter == s->config->self);
    add_ms(o, "age_seconds", h->at ? s->now_ms - h->at : -1);
    cJSON_AddBoolToObject(o, "self_ok", h->at && h->vote.self_ok);
    regions = cJSON_AddObjectToObject(o, "regions");
    for (uint8_t r = 0; r < s->config->n_regions && h->at; r++) {
        cJSON *x = cJSON_AddObjectToObject(regions, s->names->region[r]);

        cJSON_AddStringToObject(x, "verdict", fo_verdict_name(h->vote.verdict[r]));
        add_classes(x, h->vote.classes[r]);
        cJSON_AddStringToObject(x, "users", users[h->vote.users[r] % 3]);
        cJSON_AddBoolToObject(x, "gray", (h->vote.gray >> r & 1) != 0);
    }
    return o;
}

static cJSON *tally_json(const struct show *s, uint8_t r)
{
    const struct fo_tally *t = &s->fo->tally;
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "region", s->names->region[r]);
    for (uint8_t v = 0; v < 4; v++)
        cJSON_AddNumberToObject(o, fo_verdict_name(v), t->n[r][v]);
    cJSON_AddBoolToObject(o, "hard_down", (t->hard_down >> r & 1) != 0);
    cJSON_AddBoolToObject(o, "is_up", (t->up >> r & 1) != 0);
    cJSON_AddBoolToObject(o, "is_gray", (t->gray >> r & 1) != 0);
    cJSON_AddNumberToObject(o, "domains_down", t->down_elsewhere[r]);
    add_classes(o, t->classes[r]);
    add_ms(o, "up_seconds", s->fo->up_since[r] ? s->now_ms - s->fo->up_since[r] : -1);
    return o;
}

/* ---- the plan ---- */

static cJSON *plan_json(const struct show *s)
{
    static const char *const fences[] = {"no", "proof", "contract", "operator"};
    const struct fo_plan *p = &s->fo->record.plan;
    cJSON *o, *list;

    if (p->epoch == 0)
        return cJSON_CreateNull();
    o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "epoch", p->epoch);
    cJSON_AddStringToObject(o, "kind", fo_kind_name(p->kind));
    add_region(o, "from", s->names, s->config, p->from);
    add_region(o, "to", s->names, s->config, p->to);
    cJSON_AddBoolToObject(o, "live",
                          s->fo->record.status == FO_PLAN || s->fo->record.status == FO_STUCK_STATUS ||
                              s->fo->record.status == FO_UNDO_STATUS);
    cJSON_AddBoolToObject(o, "automatic", p->automatic);
    cJSON_AddStringToObject(o, "step", plan_step_name((enum plan_step)p->step));
    cJSON_AddBoolToObject(o, "past_no_return", p->past_no_return);
    cJSON_AddStringToObject(o, "fenced", fences[p->fenced & 3]);
    add_ms(o, "accepted_loss_seconds", p->accepted_loss_ms);
    add_ms(o, "loss_seconds", p->loss_ms);
    add_wall(o, "bad_since", p->bad_since);
    add_wall(o, "suspect", p->suspect_at);
    add_wall(o, "began", p->began);
    add_wall(o, "fence_said", p->fence_said);
    add_wall(o, "fenced_at", p->fenced_at);
    add_wall(o, "writable", p->writable_at);
    add_wall(o, "switched", p->switched_at);
    add_wall(o, "valid", p->valid_at);
    add_wall(o, "ended", p->ended);
    cJSON_AddStringToObject(o, "who", p->who);
    cJSON_AddStringToObject(o, "why", p->why);
    list = cJSON_AddArrayToObject(o, "actions");
    for (uint8_t i = 0; i < s->config->n_actions; i++) {
        cJSON *x = cJSON_CreateObject();

        cJSON_AddStringToObject(x, "action", s->names->action[i]);
        cJSON_AddStringToObject(x, "step", plan_step_name((enum plan_step)s->config->actions[i].step));
        cJSON_AddBoolToObject(x, "required", s->config->actions[i].required);
        cJSON_AddStringToObject(x, "phase", fo_phase_name(p->phase[i]));
        cJSON_AddNumberToObject(x, "tries", p->tries[i]);
        cJSON_AddItemToArray(list, x);
    }
    return o;
}

static void add_suppression(cJSON *list, const char *kind, const struct fo_suppression *x, const char *what,
                            struct wall now)
{
    cJSON *o;

    if (x->until <= now.ms)
        return;
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "kind", kind);
    cJSON_AddStringToObject(o, "what", what);
    add_wall(o, "until", x->until);
    cJSON_AddStringToObject(o, "who", x->who);
    cJSON_AddStringToObject(o, "why", x->why);
    cJSON_AddItemToArray(list, o);
}

static void add_suppressions(cJSON *o, const struct show *s)
{
    const struct fo_record *r = &s->fo->record;
    cJSON *list = cJSON_AddArrayToObject(o, "suppressions");

    add_suppression(list, "lock", &r->lock, "", s->wall);
    add_suppression(list, "must_not", &r->must_not,
                    r->must_not.region < s->config->n_regions ? s->names->region[r->must_not.region] : "",
                    s->wall);
    add_suppression(list, "maintenance", &r->maintenance, "", s->wall);
    add_suppression(list, "automation", &r->automation, fo_automation_name(r->automation.region), s->wall);
}

/* ---- what would happen ---- */

cJSON *show_plan(const struct show *s, enum fo_kind kind, uint8_t to, int64_t accept_loss_ms)
{
    cJSON *o = cJSON_CreateObject(), *list;
    fo_reasons stands = fo_gates(s->fo, s->config, kind, to, accept_loss_ms, s->now_ms, s->wall.ms);
    const struct fo_region_facts *f = &s->fo->facts.region[to];

    cJSON_AddStringToObject(o, "service", s->names->service);
    cJSON_AddStringToObject(o, "kind", fo_kind_name((uint8_t)kind));
    add_region(o, "from", s->names, s->config, s->fo->record.active);
    add_region(o, "to", s->names, s->config, to);
    cJSON_AddBoolToObject(o, "possible", stands == 0);
    add_reasons(o, "blockers", stands, s->names->service);
    add_ms(o, "loss_seconds", fo_loss(s->fo, s->config, to, s->now_ms));
    add_ms(o, "rpo_seconds", s->config->t.rpo);
    add_ms(o, "lag_seconds", f->lag_ms);
    add_ms(o, "lag_age_seconds", f->lag_at ? s->now_ms - f->lag_at : -1);
    cJSON_AddBoolToObject(o, "synchronous", f->synchronous);
    add_ms(o, "readiness_age_seconds", f->ready_at ? s->now_ms - f->ready_at : -1);
    list = cJSON_AddArrayToObject(o, "steps");
    for (int step = 0; step < PLAN_STEPS; step++) {
        for (uint8_t i = 0; i < s->config->n_actions; i++) {
            const struct fo_action *a = &s->config->actions[i];
            cJSON *x;

            if (a->step != step || !(a->on >> kind & 1))
                continue;
            x = cJSON_CreateObject();
            cJSON_AddStringToObject(x, "step", plan_step_name((enum plan_step)step));
            cJSON_AddStringToObject(x, "action", s->names->action[i]);
            cJSON_AddBoolToObject(x, "required", a->required);
            cJSON_AddBoolToObject(x, "ready", !s->ready_text || !*s->ready_text(s->arg, to, i));
            cJSON_AddStringToObject(x, "text", s->ready_text ? s->ready_text(s->arg, to, i) : "");
            cJSON_AddItemToArray(list, x);
        }
    }
    return o;
}

static void add_targets(cJSON *o, const struct show *s)
{
    cJSON *list = cJSON_AddArrayToObject(o, "targets");

    for (uint8_t r = 0; r < s->config->n_regions; r++) {
        if (r != s->fo->record.active)
            cJSON_AddItemToArray(list, show_plan(s, FO_FAILOVER, r, -1));
    }
}

cJSON *show_service(const struct show *s)
{
    const struct fo *fo = s->fo;
    cJSON *o = cJSON_CreateObject(), *list;

    cJSON_AddStringToObject(o, "service", s->names->service);
    add_region(o, "home", s->names, s->config, 0);
    cJSON_AddBoolToObject(o, "known", fo->known);
    add_region(o, "active", s->names, s->config, fo->known ? fo->record.active : FO_NONE);
    add_region(o, "writer", s->names, s->config, fo->known ? fo->record.writer : FO_NONE);
    cJSON_AddNumberToObject(o, "epoch", fo->record.epoch);
    cJSON_AddStringToObject(o, "state", fo_state_name(fo->state));
    cJSON_AddStringToObject(o, "text", fo_state_text(fo->state));
    add_ms(o, "state_seconds", s->now_ms - fo->entered);
    cJSON_AddNumberToObject(o, "rule", fo->row);
    cJSON_AddBoolToObject(o, "leading", fo->leading);
    cJSON_AddStringToObject(o, "holder", s->holder);
    cJSON_AddStringToObject(o, "automation", fo_automation_name(s->config->automation));
    cJSON_AddStringToObject(o, "why_not_auto", s->why_not_auto);
    cJSON_AddStringToObject(o, "authority", s->config->local ? "local" : "etcd");
    cJSON_AddStringToObject(o, "authority_away", s->away);
    add_wall(o, "hold_until", fo->record.hold_until > s->wall.ms ? fo->record.hold_until : 0);
    add_reasons(o, "reasons", fo->reasons, s->names->service);
    cJSON_AddBoolToObject(o, "quorum", fo->tally.quorum);
    cJSON_AddBoolToObject(o, "fail_static", fo->tally.fail_static);
    list = cJSON_AddArrayToObject(o, "regions");
    for (uint8_t r = 0; r < s->config->n_regions; r++)
        cJSON_AddItemToArray(list, tally_json(s, r));
    list = cJSON_AddArrayToObject(o, "votes");
    for (uint8_t v = 0; v < s->config->n_voters; v++)
        cJSON_AddItemToArray(list, vote_json(s, v));
    cJSON_AddItemToObject(o, "plan", plan_json(s));
    add_targets(o, s);
    add_suppressions(o, s);
    return o;
}
