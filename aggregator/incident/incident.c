/* Making, configuring and measuring: see incident.h. */
#include "aggregator/incident/incident.h"

#include <string.h>

#include "aggregator/incident/incident_private.h"

static const char *const states[INCIDENT_STATES] = {
    [INCIDENT_OPEN] = "open",
    [INCIDENT_ACKNOWLEDGED] = "acknowledged",
    [INCIDENT_RESOLVED] = "resolved",
};

const char *incident_state_name(enum incident_state s)
{
    return states[s];
}

int incidents_reload(struct incidents *i, const struct incidents_params *p, struct err *e)
{
    const struct section *s = config_section(p->config, "incidents");
    bool opens[SEVERITY_CRITICAL + 1] = {false};
    enum severity v;

    for (size_t k = 0; k < option_count(s, "open"); k++) {
        if (severity_parse(option_word(s, "open", k), &v) < 0)
            return err_set(e, ERR_CONFIG,
                           "%s: [incidents] open: found \"%.40s\", expected critical, error, warning or info",
                           option_origin(s, "open"), option_word(s, "open", k));
        opens[v] = true;
    }
    for (size_t k = 0; k < option_count(s, "by"); k++)
        if (strlen(option_word(s, "by", k)) >= sizeof i->by[0])
            return err_set(e, ERR_CONFIG, "%s: [incidents] by: \"%.80s\" is longer than 64 bytes",
                           option_origin(s, "by"), option_word(s, "by", k));
    memcpy(i->opens, opens, sizeof opens);
    i->n_by = 0;
    for (size_t k = 0; k < option_count(s, "by") && k < BY_MOST; k++)
        incident_copy(i->by[i->n_by++], sizeof i->by[0], option_word(s, "by", k));
    i->window = option_span(s, "window");
    i->reopen = option_span(s, "reopen");
    i->resolve_after = option_span(s, "resolve_after");
    i->keep = option_span(s, "keep");
    incident_copy(i->region, sizeof i->region, p->region);
    return 0;
}

struct incidents *incidents_new(const struct incidents_params *p, struct err *e)
{
    struct incidents *i = mem_alloc(p->mem, sizeof *i);

    if (!i) {
        err_set(e, ERR_NOMEM, "no memory for incidents");
        return NULL;
    }
    i->mem = p->mem;
    i->next = 1;
    map_init(&i->ids, p->mem, NULL);
    map_init(&i->alerts, p->mem, NULL); /* keys are digests */
    if (incidents_reload(i, p, e) < 0)
        incidents_free(&i);
    return i;
}

void incidents_free(struct incidents **ip)
{
    struct incidents *i = *ip;

    if (!i)
        return;
    while (i->n)
        incident_remove(i, i->v[i->n - 1], NULL);
    changes_free(i);
    map_free(&i->ids);
    map_free(&i->alerts);
    mem_free(i->mem, i->v, i->room * sizeof *i->v);
    mem_free(i->mem, i, sizeof *i);
    *ip = NULL;
}

static const struct metric_row state_row = {
    .name = "securebase_incidents",
    .labels = "state",
    .help = "Incidents by state: open, acknowledged, and resolved ones that are kept.",
};
static const struct metric_row alerts_row = {
    .name = "securebase_incident_alerts_firing",
    .labels = "",
    .help = "Firing alerts that belong to an incident that is not resolved.",
};
static const struct metric_row phases_row = {
    .name = "securebase_incident_phases_total",
    .kind = METRIC_COUNTER,
    .labels = "phase",
    .help = "Incidents opened, reopened, detected, acknowledged for the first time, and resolved.",
};
static const struct metric_row seconds_row = {
    .name = "securebase_incident_phase_seconds_total",
    .kind = METRIC_COUNTER,
    .mul = 1,
    .labels = "phase",
    .help = "Seconds until incidents were detected (from the condition's beginning), acknowledged and "
            "resolved (from the "
            "opening); divided by securebase_incident_phases_total of the same phase: the mean.",
};
static const struct metric_row lines_row = {
    .name = "securebase_incident_lines_total",
    .kind = METRIC_COUNTER,
    .labels = "result",
    .help = "Lines of timelines: kept, or left out because alerts had filled an incident's.",
};
static const struct metric_row lost_row = {
    .name = "securebase_incident_lost_total",
    .kind = METRIC_COUNTER,
    .labels = "reason",
    .help = "Incidents and alerts of incidents that are not there: untracked (too many alerts in one), "
            "refused (too many "
            "incidents open, or no memory), dropped (resolved ones beyond the limit), damaged records.",
};

static void counted(struct sink *out, const struct metric_row *row, const char *label, uint64_t v)
{
    struct text t = text_of(label);

    sink_uint(out, row, &t, v);
}

static void seconds(struct sink *out, const char *phase, double v)
{
    struct text t = text_of(phase);

    sink_real(out, &seconds_row, &t, v);
}

void incidents_metrics(const struct incidents *i, struct sink *out)
{
    uint64_t n[INCIDENT_STATES] = {0}, firing = 0;

    for (size_t k = 0; k < i->n; k++) {
        n[i->v[k]->state]++;
        firing += incident_active(i->v[k]) ? i->v[k]->n_firing : 0;
    }
    for (unsigned s = 0; s < INCIDENT_STATES; s++)
        counted(out, &state_row, states[s], n[s]);
    sink_uint(out, &alerts_row, NULL, firing);
    counted(out, &phases_row, "opened", i->count.opened);
    counted(out, &phases_row, "reopened", i->count.reopened);
    counted(out, &phases_row, "detected", i->count.detected);
    counted(out, &phases_row, "acknowledged", i->count.acknowledged);
    counted(out, &phases_row, "resolved", i->count.resolved);
    seconds(out, "detected", i->count.detect_s);
    seconds(out, "acknowledged", i->count.acknowledge_s);
    seconds(out, "resolved", i->count.resolve_s);
    counted(out, &lines_row, "kept", i->count.lines);
    counted(out, &lines_row, "left_out", i->count.left_out);
    counted(out, &lost_row, "untracked", i->count.untracked);
    counted(out, &lost_row, "refused", i->count.refused);
    counted(out, &lost_row, "dropped", i->count.dropped);
    counted(out, &lost_row, "damaged", i->count.damaged);
}
