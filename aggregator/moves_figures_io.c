/* What failover says of itself: metrics, and the API's views of services. */
#include "aggregator/moves_private.h"

#include <stdio.h>
#include <string.h>

#include "aggregator/moves_show.h"

/* ---- the API ---- */

static const char *ready_text(void *arg, uint8_t to, uint8_t action)
{
    const struct move *m = arg;

    return m->ready[to].text[action];
}

static struct show show_of(const struct move *m, struct wall wall, struct mono now)
{
    union {
        const struct move *in;
        void *out;
    } arg = {.in = m};

    return (struct show){.fo = &m->fo,
                         .config = &m->set.core,
                         .names = &m->set.names,
                         .holder = m->holder,
                         .away = m->away,
                         .why_not_auto = m->set.why_not_auto,
                         .now_ms = mono_to_ms(now),
                         .wall = wall,
                         .ready_text = ready_text,
                         .arg = arg.out};
}

static void add_guards(cJSON *o, const struct move *m, struct mono now)
{
    cJSON *list = cJSON_AddArrayToObject(o, "guards");

    for (int i = 0; i < m->set.n_guards; i++) {
        const struct move_guard *g = &m->guard[i];
        cJSON *x = cJSON_CreateObject();

        cJSON_AddStringToObject(x, "guard", m->set.guard[i].name);
        cJSON_AddStringToObject(x, "region", m->set.names.region[m->set.guard[i].region]);
        if (g->at.ns)
            cJSON_AddNumberToObject(x, "age_seconds", span_seconds(mono_sub(now, g->at)));
        else
            cJSON_AddNullToObject(x, "age_seconds");
        cJSON_AddBoolToObject(x, "serving", g->at.ns && g->serving);
        cJSON_AddNumberToObject(x, "fenced_epoch", g->fenced_epoch);
        cJSON_AddItemToArray(list, x);
    }
}

cJSON *moves_json(const struct moves *all, const char *service, struct wall wall, struct mono now)
{
    cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "services");

    for (const struct move *m = all ? all->first : NULL; m; m = m->next) {
        struct show s = show_of(m, wall, now);
        cJSON *x;

        if (service && strcmp(service, move_service(m)) != 0)
            continue;
        x = show_service(&s);
        cJSON_AddBoolToObject(x, "unreadable", m->unreadable);
        cJSON_AddStringToObject(x, "replication", m->figures_text);
        add_guards(x, m, now);
        cJSON_AddItemToObject(x, "evidence", watch_json(m->watch));
        cJSON_AddItemToArray(list, x);
    }
    cJSON_AddNullToObject(o, "next");
    return o;
}

cJSON *moves_plan_json(const struct moves *all, uint32_t i, enum fo_kind kind, uint8_t to,
                       int64_t accept_loss_ms, struct wall wall, struct mono now)
{
    const struct move *m = all->first;
    struct show s;

    while (i--)
        m = m->next;
    s = show_of(m, wall, now);
    return show_plan(&s, kind, to, accept_loss_ms);
}

/* ---- metrics ---- */

#define GAUGE(name, labels, help)                                                                            \
    {                                                                                                        \
        name, METRIC_GAUGE, 1, 1, labels, help                                                               \
    }
static const struct metric_row state_row = GAUGE("securebase_failover_state", "service state",
                                                 "1 for the state in which the service's failover is, here.");
static const struct metric_row ready_row =
    GAUGE("securebase_failover_ready", "from service to",
          "1 when nothing stands in the way of a planned move now; told by the one that leads.");
static const struct metric_row blocker_row =
    GAUGE("securebase_failover_blocker", "reason service to",
          "1 for each reason that stands in the way of a planned move.");
static const struct metric_row duration_row =
    GAUGE("securebase_failover_last_duration_seconds", "phase service",
          "How long each phase of the last move took; phase total: from the first bad moment until users "
          "were sent to "
          "the new region and it was good.");
static const struct metric_row lag_row = GAUGE("securebase_replication_lag_seconds", "region service",
                                               "What the region would lack if it were promoted now.");
static const struct metric_row lag_age_row =
    GAUGE("securebase_replication_lag_age_seconds", "region service", "How old the figure of the lag is.");
static const struct metric_row active_row =
    GAUGE("securebase_failover_active", "region service", "1 for the region to which users are sent.");
static const struct metric_row writer_row =
    GAUGE("securebase_failover_writer", "region service",
          "1 for the region that may write; none while a move is between "
          "fence and promotion.");
static const struct metric_row leading_row =
    GAUGE("securebase_failover_leading", "service", "1 when this aggregator holds the lease and decides.");
static const struct metric_row epoch_row =
    GAUGE("securebase_failover_epoch", "service", "Number of the newest plan.");
static const struct metric_row quorum_row =
    GAUGE("securebase_failover_quorum", "service", "1 while a majority of the configured voters is heard.");
static const struct metric_row away_row =
    GAUGE("securebase_failover_authority_away", "service", "1 while the authority does not answer.");
static const struct metric_row page_row =
    GAUGE("securebase_failover_page", "service severity", "1 while people are to be told.");
static const struct metric_row guard_row =
    GAUGE("securebase_failover_guard_age_seconds", "guard service", "Since a guard was last heard here.");
static const struct metric_row transitions_row = {
    "securebase_failover_transitions_total", METRIC_COUNTER, 1, 1, "service",
    "Transitions of the service's failover."};
static const struct metric_row lost_row = {
    "securebase_failover_lost_events_total",
    METRIC_COUNTER,
    1,
    1,
    "service",
    "Events that could not be taken: memory was short, or too many waited."};
static const struct metric_row strange_row = {"securebase_failover_strange_votes_total",
                                              METRIC_COUNTER,
                                              1,
                                              1,
                                              "",
                                              "Votes of voters or services that are not configured here."};

static void metric2(struct sink *out, const struct metric_row *row, const struct move *m, const char *second,
                    double x)
{
    const struct text service = text_of(move_service(m)), other = text_of(second);
    bool first = strncmp(row->labels, "service", 7) == 0; /* names are sorted */

    sink_real(out, row, (const struct text[]){first ? service : other, first ? other : service}, x);
}

static void states(const struct move *m, struct sink *out)
{
    for (uint8_t i = 0; i < FO_STATES; i++)
        metric2(out, &state_row, m, fo_state_name(i), m->fo.state == i);
}

static void targets(const struct move *m, struct sink *out, struct wall wall, int64_t now)
{
    uint8_t from = m->fo.record.active;

    if (!m->fo.leading || !m->fo.known) /* for everybody else the lease alone stands in the way */
        return;
    for (uint8_t to = 0; from < m->set.core.n_regions && to < m->set.core.n_regions; to++) {
        fo_reasons stands;

        if (to == from)
            continue;
        stands = fo_gates(&m->fo, &m->set.core, FO_SWITCHOVER, to, -1, now, wall.ms);
        sink_real(out, &ready_row,
                  (const struct text[]){text_of(m->set.names.region[from]), text_of(move_service(m)),
                                        text_of(m->set.names.region[to])},
                  stands == 0);
        for (int r = 1; r < FO_REASONS; r++) {
            if (stands & FO_BIT(r))
                sink_real(out, &blocker_row,
                          (const struct text[]){text_of(fo_reason_name((enum fo_reason)r)),
                                                text_of(move_service(m)), text_of(m->set.names.region[to])},
                          1);
        }
    }
}

static void durations(const struct move *m, struct sink *out)
{
    const struct fo_plan *p = &m->fo.record.plan;
    const struct {
        const char *phase;
        int64_t from, to;
    } phases[] = {{"detect", p->bad_since, p->suspect_at},
                  {"decide", p->suspect_at, p->began},
                  {"fence", p->began, p->fenced_at},
                  {"promote", p->fenced_at, p->writable_at},
                  {"switch", p->writable_at, p->switched_at},
                  {"validate", p->switched_at, p->valid_at},
                  {"total", p->bad_since ? p->bad_since : p->began, p->valid_at}};

    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        if (phases[i].from && phases[i].to >= phases[i].from)
            metric2(out, &duration_row, m, phases[i].phase, (double)(phases[i].to - phases[i].from) / 1000);
    }
}

static void regions(const struct move *m, struct sink *out, int64_t now)
{
    for (uint8_t r = 0; r < m->set.core.n_regions; r++) {
        const struct fo_region_facts *f = &m->facts.region[r];
        const char *name = m->set.names.region[r];

        metric2(out, &active_row, m, name, m->fo.known && m->fo.record.active == r);
        metric2(out, &writer_row, m, name, m->fo.known && m->fo.record.writer == r);
        if (*m->set.database && f->lag_at && r != m->fo.record.active) { /* of what could be promoted */
            metric2(out, &lag_row, m, name, (double)f->lag_ms / 1000);
            metric2(out, &lag_age_row, m, name, (double)(now - f->lag_at) / 1000);
        }
    }
}

static void one(const struct move *m, struct sink *out, struct wall wall, struct mono now)
{
    const struct text service = text_of(move_service(m));

    states(m, out);
    targets(m, out, wall, mono_to_ms(now));
    durations(m, out);
    regions(m, out, mono_to_ms(now));
    sink_real(out, &leading_row, &service, m->fo.leading);
    sink_real(out, &epoch_row, &service, m->fo.record.epoch);
    sink_real(out, &quorum_row, &service, m->fo.tally.quorum);
    sink_real(out, &away_row, &service, m->away_since.ns != 0);
    metric2(out, &page_row, m, "warning", m->page[FO_PAGE_WARNING] != 0);
    metric2(out, &page_row, m, "critical", m->page[FO_PAGE_CRITICAL] != 0);
    sink_uint(out, &transitions_row, &service, m->transitions);
    sink_uint(out, &lost_row, &service, m->lost_events);
    for (int i = 0; i < m->set.n_guards; i++) {
        if (m->guard[i].at.ns)
            metric2(out, &guard_row, m, m->set.guard[i].name, span_seconds(mono_sub(now, m->guard[i].at)));
    }
    watch_metrics(m->watch, out);
}

void moves_metrics(const struct moves *all, struct sink *out)
{
    struct wall wall = loop_wall(all->d->loop);
    struct mono now = loop_mono(all->d->loop);

    for (const struct move *m = all->first; m; m = m->next)
        one(m, out, wall, now);
    sink_uint(out, &strange_row, NULL, all->strange_votes);
    moves_drills_metrics(all, out);
    canaries_metrics(all->canaries, out);
    actions_metrics(all->actions, out);
    authority_metrics(all->authority, out);
}
