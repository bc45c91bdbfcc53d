/* What objectives are, as metrics. A row's labels are fixed, a group's are not: the usual ones stand for themselves, the
 * others together as text in `group`. */
#include <math.h>
#include <string.h>

#include "aggregator/slo/slo_private.h"

#define WINDOWED(metric, sentence)                                                                           \
    {                                                                                                        \
        .name = metric, .kind = METRIC_GAUGE, .labels = "env group region service slo tenant window",        \
        .help = sentence                                                                                     \
    }
#define PLAIN(metric, sentence)                                                                              \
    {                                                                                                        \
        .name = metric, .kind = METRIC_GAUGE, .labels = "env group region service slo tenant",               \
        .help = sentence                                                                                     \
    }

enum { ENV, GROUP, REGION, SERVICE, SLO, TENANT, WINDOW, LABELS };

static const struct metric_row objective = {.name = "securebase_slo_objective_ratio",
                                            .kind = METRIC_GAUGE,
                                            .labels = "slo",
                                            .help = "Share of events that has to be good."};
static const struct metric_row compliance =
    WINDOWED("securebase_slo_compliance_ratio",
             "Share of the window's events that was good; NaN when there was none.");
static const struct metric_row burn =
    WINDOWED("securebase_slo_burn_rate",
             "Share of the window's events that was bad, as a multiple of what the objective allows; NaN "
             "when there was none.");
static const struct metric_row remaining =
    PLAIN("securebase_slo_error_budget_remaining_ratio",
          "What is left of the period's error budget: 1 all, negative when overspent.");
static const struct metric_row exhaustion =
    PLAIN("securebase_slo_error_budget_exhaustion_seconds",
          "Time until the budget is spent at the rate of the last hour; +Inf: never.");
static const struct metric_row completeness = PLAIN(
    "securebase_slo_data_completeness_ratio", "Share of the last five minutes' sources that was heard.");
static const struct metric_row downtime =
    WINDOWED("securebase_slo_downtime_seconds",
             "Time, in whole minutes, that was down: within this calendar month, and within 30 days.");
static const struct metric_row unknown = WINDOWED(
    "securebase_slo_unknown_seconds",
    "Time, in whole minutes, that could not be measured: within this calendar month, and within 30 days.");
static const struct metric_row events = {.name = "securebase_slo_events_total",
                                         .kind = METRIC_COUNTER,
                                         .labels = "env group region result service slo tenant",
                                         .help = "Events of the objective by result: good or bad."};
static const struct metric_row dropped = {.name = "securebase_slo_dropped_total",
                                          .kind = METRIC_COUNTER,
                                          .labels = "reason",
                                          .help = "What objectives could not take in, by reason."};
static const struct metric_row refused = {
    .name = "securebase_slo_groups_refused",
    .kind = METRIC_GAUGE,
    .labels = "slo",
    .help = "Groups beyond the objective's max_groups, which are left out."};

static const char *const window_names[BURN_WINDOWS] = {"5m", "30m", "1h", "2h", "6h", "1d", "3d", "period"};

const char *slo_window_name(unsigned i)
{
    return window_names[i < BURN_WINDOWS ? i : BURN_WINDOWS - 1];
}

/* The labels of a group into out[LABELS]; what has no place of its own goes into rest as text. */
static void place(const struct slo_group *g, struct text out[LABELS], struct buf *rest)
{
    static const char *const own[LABELS] = {
        [ENV] = "env", [REGION] = "region", [SERVICE] = "service", [TENANT] = "tenant"};

    for (unsigned i = 0; i < LABELS; i++)
        out[i] = (struct text){"", 0};
    for (uint32_t i = 0; i < g->labels.n; i++) {
        const struct label *l = &g->labels.v[i];
        unsigned k = 0;

        while (k < LABELS && (!own[k] || strcmp(own[k], l->name) != 0))
            k++;
        if (k < LABELS) {
            out[k] = text_of(l->value);
            continue;
        }
        if (rest->len)
            buf_u8(rest, ',');
        labels_text((struct labels){l, 1}, rest);
    }
    if (!out[SERVICE].n)
        out[SERVICE] = text_of(g->slo->def->service);
    out[GROUP] = (struct text){rest->len ? (const char *)rest->data : "", (uint32_t)rest->len};
    out[SLO] = text_of(g->slo->def->name);
}

static void put_events(const struct slo_group *g, const struct text l[LABELS], struct sink *out)
{
    struct text labels[] = {l[ENV], l[GROUP], l[REGION], text_of("good"), l[SERVICE], l[SLO], l[TENANT]};

    sink_uint(out, &events, labels, g->good.shown);
    labels[3] = text_of("bad");
    sink_uint(out, &events, labels, g->bad.shown);
}

static void put_group(const struct slos *s, const struct slo_group *g, struct sink *out)
{
    const struct burn_fact *b = &s->burns[g->burn];
    struct text l[LABELS];
    struct buf rest;

    buf_init(&rest, s->mem, 4096);
    place(g, l, &rest);
    for (unsigned i = 0; i < BURN_WINDOWS; i++) {
        const struct burn_window *w = &b->w[i];

        l[WINDOW] = text_of(window_names[i]);
        sink_real(out, &compliance, l, w->total ? (double)w->good / (double)w->total : NAN);
        sink_real(out, &burn, l, w->burn);
    }
    sink_real(out, &remaining, l, b->remaining);
    sink_real(out, &exhaustion, l, b->exhausted_after);
    sink_real(out, &completeness, l, b->completeness);
    l[WINDOW] = text_of("month");
    sink_int(out, &downtime, l, (int64_t)g->month.down * 60);
    sink_int(out, &unknown, l, (int64_t)g->month.unknown * 60);
    l[WINDOW] = text_of("30d");
    sink_int(out, &downtime, l, (int64_t)g->rolling.down * 60);
    sink_int(out, &unknown, l, (int64_t)g->rolling.unknown * 60);
    put_events(g, l, out);
    buf_free(&rest);
}

void slos_metrics(const struct slos *s, struct sink *out)
{
    const struct {
        const char *reason;
        uint64_t n;
    } lost[] = {{"saturated", s->saturated},
                {"more_good_than_total", s->clamped},
                {"memory", s->no_memory},
                {"record_damaged", s->bad_records},
                {"record_unknown", s->unknown_records}};

    for (uint32_t i = 0; i < s->n; i++) {
        struct text name = text_of(s->list[i]->def->name);

        sink_real(out, &objective, &name, s->list[i]->def->objective);
        sink_uint(out, &refused, &name, s->list[i]->refused);
        for (uint32_t k = 0; k < s->list[i]->n; k++) {
            if (s->list[i]->groups[k]->burn < s->n_burns)
                put_group(s, s->list[i]->groups[k], out);
        }
    }
    for (unsigned i = 0; s->n && i < sizeof lost / sizeof *lost; i++) {
        struct text reason = text_of(lost[i].reason);

        sink_uint(out, &dropped, &reason, lost[i].n);
    }
}
