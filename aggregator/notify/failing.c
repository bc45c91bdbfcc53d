/* A receiver that can't be told is an alert of its own, told by way of the others: nobody should have to read a log to
 * learn that a key was refused. It ends with the next message that the receiver takes. */
#include "aggregator/notify/notify_private.h"

#include <stdio.h>

#define NAME "notifications-failing"

static void raise_alert(struct notify *n, struct receiver *r, bool fires, const char *why)
{
    char summary[400];
    struct label own[] = {{"receiver", r->name}, {"region", n->region}};
    struct label all[] = {
        {"alertname", NAME}, {"receiver", r->name}, {"region", n->region}, {"severity", "error"}};
    struct alert_notice a = {
        .rule = NAME,
        .labels = {all, 4},
        .id = labels_fingerprint(NAME, (struct labels){own, 2}),
        .epoch = (uint64_t)n->now.ms,
        .from = fires ? ALERT_INACTIVE : ALERT_FIRING,
        .to = fires ? ALERT_FIRING : ALERT_INACTIVE,
        .severity = SEVERITY_ERROR,
        .t = n->now,
        .since = n->now,
        .data = n->now,
        .summary = summary,
        .description = "Its notifications go to the fallback, where there is one.",
        .runbook = "",
        .reason = why,
    };

    (void)snprintf(summary, sizeof summary, "receiver %s can't be told: %s", r->name, why);
    notice_take(n, &a, true);
}

/* A single message that was refused says little of the next ones: an hour later, nobody need know it any more. */
void receivers_calm(struct notify *n)
{
    for (struct receiver *r = n->receivers; r; r = r->next) {
        struct mono since = r->refused.ns ? r->refused : n->start;

        if (r->reported && !r->bad && !r->failing.ns && mono_sub(n->now_mono, since).ns > span_s(3600).ns)
            receiver_report(n, r, OUTCOME_DELIVERED);
    }
}

void receiver_report(struct notify *n, struct receiver *r, enum outcome o)
{
    bool ill = o != OUTCOME_DELIVERED && (o == OUTCOME_NEVER || receiver_troubled(n, r));

    if (o == OUTCOME_NEVER)
        r->refused = n->now_mono;
    if (n->plan->n_receivers < 2 || ill == r->reported)
        return;
    if (o != OUTCOME_DELIVERED && !ill)
        return;
    r->reported = ill;
    if (ill)
        receiver_left(n, r);
    raise_alert(n, r, ill, r->last);
    record_receiver(n, r);
}
