/* What telling says of itself. Attempts and notifications that were given up are two things: an attempt that fails and
 * is followed by one that succeeds has hurt nobody. */
#include "aggregator/notify/notify_private.h"

#include <string.h>

static const struct metric_row notifications = {
    .name = "securebase_notifications_total",
    .kind = METRIC_COUNTER,
    .labels = "receiver result",
    .help = "Notifications by receiver and how they ended: delivered, given_up, skipped (the channel can't "
            "say it)."};
static const struct metric_row attempts = {.name = "securebase_notification_attempts_total",
                                           .kind = METRIC_COUNTER,
                                           .labels = "outcome receiver",
                                           .help =
                                               "Attempts to deliver a notification by receiver and outcome."};
static const struct metric_row failing = {
    .name = "securebase_notification_failing_seconds",
    .kind = METRIC_GAUGE,
    .labels = "receiver",
    .help =
        "How long this receiver has taken nothing that was tried; 0 when the last attempt was delivered."};
static const struct metric_row pending = {
    .name = "securebase_notifications_pending",
    .kind = METRIC_GAUGE,
    .labels = "receiver state",
    .help = "Notifications under way (flight) or waiting for a retry (wait)."};
static const struct metric_row oldest = {
    .name = "securebase_notification_oldest_seconds",
    .kind = METRIC_GAUGE,
    .labels = "receiver",
    .help = "Age of the oldest notification that was ordered and has not ended."};
static const struct metric_row digested = {.name = "securebase_notification_digest_alerts_total",
                                           .kind = METRIC_COUNTER,
                                           .labels = "receiver",
                                           .help = "Alerts that were told within a digest."};
static const struct metric_row alerts_row = {
    .name = "securebase_notification_alerts",
    .kind = METRIC_GAUGE,
    .labels = "",
    .help = "Alerts that telling knows, those that ended within a day included."};
static const struct metric_row groups_row = {.name = "securebase_notification_groups",
                                             .kind = METRIC_GAUGE,
                                             .labels = "",
                                             .help = "Groups of alerts by route."};
static const struct metric_row untold = {
    .name = "securebase_notification_untold_total",
    .kind = METRIC_COUNTER,
    .labels = "reason",
    .help =
        "Alerts that were not told here, by reason: ended (before its time), peer (the other aggregator told "
        "them), unrouted, no_memory, forgotten (its rule is gone), refused (a peer's word), unknown (a late "
        "answer), "
        "record (could not be read)."};
static const struct metric_row escalations = {.name = "securebase_notification_escalations_total",
                                              .kind = METRIC_COUNTER,
                                              .labels = "",
                                              .help = "Steps of escalations that were taken."};
static const struct metric_row storms = {.name = "securebase_notification_storms_total",
                                         .kind = METRIC_COUNTER,
                                         .labels = "",
                                         .help = "Times that a receiver went over to digests."};
static const struct metric_row acks = {.name = "securebase_acknowledgements_total",
                                       .kind = METRIC_COUNTER,
                                       .labels = "",
                                       .help = "Acknowledged alerts."};
static const struct metric_row silences = {
    .name = "securebase_silences", .kind = METRIC_GAUGE, .labels = "", .help = "Silences that hold now."};
static const struct metric_row silences_ended = {
    .name = "securebase_silences_ended_total",
    .kind = METRIC_COUNTER,
    .labels = "how",
    .help = "Silences that ended: expired, ended by somebody, resolved with their alerts."};
static const struct metric_row maintenance = {.name = "securebase_maintenance",
                                              .kind = METRIC_GAUGE,
                                              .labels = "",
                                              .help = "Maintenance windows that hold now."};
static const struct metric_row heartbeat = {.name = "securebase_heartbeat_delivered_timestamp_seconds",
                                            .kind = METRIC_GAUGE,
                                            .div = 1000,
                                            .labels = "",
                                            .help =
                                                "When the last heartbeat was delivered; 0 when none was."};
static const struct metric_row gap = {.name = "securebase_rota_covered",
                                      .kind = METRIC_GAUGE,
                                      .labels = "rota",
                                      .help = "Whether somebody is on call now."};

static void of_receiver(const struct notify *n, const struct receiver *r, struct sink *out)
{
    struct text name = text_of(r->name), l[2] = {name, {0}};
    uint32_t flight = 0, wait = 0;
    int64_t since = 0;

    for (int i = 0; i < 4; i++) {
        struct text two[2] = {text_of(outcome_name((enum outcome)i)), name};

        sink_uint(out, &attempts, two, r->attempts[i]);
    }
    l[1] = text_of("delivered");
    sink_uint(out, &notifications, l, r->delivered);
    l[1] = text_of("given_up");
    sink_uint(out, &notifications, l, r->given_up);
    l[1] = text_of("skipped");
    sink_uint(out, &notifications, l, r->skipped);
    sink_uint(out, &digested, &name, r->by_digest);
    sink_real(out, &failing, &name, r->failing.ns ? span_seconds(mono_sub(n->now_mono, r->failing)) : 0);
    for (const struct group *g = n->groups; g; g = g->next) {
        for (const struct line *k = g->lines; k; k = k->next) {
            if (k->receiver != r || k->state == LINE_IDLE)
                continue;
            flight += k->state == LINE_FLIGHT;
            wait += k->state == LINE_WAIT;
            if (!since || k->started.ns < since)
                since = k->started.ns;
        }
    }
    l[1] = text_of("flight");
    sink_uint(out, &pending, l, flight);
    l[1] = text_of("wait");
    sink_uint(out, &pending, l, wait);
    sink_real(out, &oldest, &name, since ? span_seconds(span_ns(n->now_mono.ns - since)) : 0);
}

static void reason(struct sink *out, const char *why, uint64_t v)
{
    struct text l = text_of(why);

    sink_uint(out, &untold, &l, v);
}

void notify_metrics(const struct notify *n, struct sink *out)
{
    static const char *const how[] = {"expired", "ended", "resolved"};
    uint32_t groups = 0, held = 0;

    for (const struct receiver *r = n->receivers; r; r = r->next)
        of_receiver(n, r, out);
    for (const struct group *g = n->groups; g; g = g->next)
        groups++;
    for (const struct silence *s = n->silences; s; s = s->next)
        held += silence_holds(s, n->now);
    sink_uint(out, &alerts_row, NULL, n->alerts.count);
    sink_uint(out, &groups_row, NULL, groups);
    reason(out, "ended", n->untold_ends);
    reason(out, "peer", n->by_peer);
    reason(out, "unrouted", n->unrouted);
    reason(out, "no_memory", n->no_memory);
    reason(out, "forgotten", n->forgotten);
    reason(out, "refused", n->refused);
    reason(out, "unknown", n->unknown_results);
    reason(out, "record", n->bad_records);
    sink_uint(out, &escalations, NULL, n->escalated);
    sink_uint(out, &storms, NULL, n->storms);
    sink_uint(out, &acks, NULL, n->acks);
    sink_uint(out, &silences, NULL, held);
    for (int i = 0; i < 3; i++) {
        struct text l = text_of(how[i]);

        sink_uint(out, &silences_ended, &l, n->silences_ended[i]);
    }
    sink_uint(out, &maintenance, NULL, n->n_facts);
    if (n->plan->heartbeat >= 0)
        sink_int(out, &heartbeat, NULL, n->heartbeat_at.ms);
    for (uint32_t i = 0; i < n->plan->n_rotas; i++) {
        struct text l = text_of(n->plan->rotas[i].name);
        struct wall until;

        sink_int(out, &gap, &l, rota_on_call(n, i, n->now, &until) >= 0);
    }
}
