/* See options.h. */
#include "aggregator/options.h"

#include "aggregator/alert/alert.h"
#include "aggregator/expose/serve.h"
#include "aggregator/failover/authority.h"
#include "aggregator/failover/drill.h"
#include "aggregator/failover/settings.h"
#include "aggregator/incident/incident.h"
#include "aggregator/ingest/ingest.h"
#include "aggregator/notify/notify.h"
#include "aggregator/peers.h"
#include "aggregator/series/series.h"
#include "aggregator/slo/slo.h"

#define SECONDS INT64_C(1000000000)

static const struct option_row rows[] = {
    {.key = "region",
     .type = OPT_STRING,
     .required = true,
     .sentence = "The region that this aggregator serves: a label of what it says, and its vote's origin."},
    {.key = "role",
     .type = OPT_CHOICE,
     .choices = "full witness",
     .dflt = "full",
     .sentence =
         "What this process does: full takes in batches, shows and judges them; a witness takes in none: "
         "it looks at regions, votes, speaks with its peers, and never leads."},
    {.key = "voter",
     .type = OPT_STRING,
     .dflt = "",
     .sentence = "Which of the [voter] sections this aggregator is; needed with [failover]."},
    {.key = "state_dir",
     .type = OPT_PATH,
     .dflt = "/var/lib/securebase/aggregator",
     .sentence = "Folder of journal.db, history.db and control.db; made with mode 0750 if absent."},
    {.key = "stale_after",
     .type = OPT_DURATION,
     .dflt = "60s",
     .reloadable = true,
     .min = 5 * SECONDS,
     .max = 3600 * SECONDS,
     .sentence = "A series without a new value for so long leaves the page; an agent without a batch for so "
                 "long is absent."},
    {.key = "agent_ttl",
     .type = OPT_DURATION,
     .dflt = "24h",
     .reloadable = true,
     .min = 60 * SECONDS,
     .max = 365 * 86400 * SECONDS,
     .sentence = "An absent agent is reported as absent for so long, then forgotten."},
};

static const struct section_row aggregator_section = {
    .name = "aggregator",
    .required = true,
    .sentence = "The aggregator itself.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
};

size_t aggregator_sections(struct section_row out[AGGREGATOR_SECTIONS],
                           struct option_row receivers[RECEIVER_ROWS], struct option_row actions[ACTION_ROWS])
{
    size_t n = 0;

    out[n++] = aggregator_section;
    out[n++] = ingest_section;
    out[n++] = token_section;
    out[n++] = http_section;
    out[n++] = public_section;
    out[n++] = percentile_section;
    out[n++] = history_section;
    out[n++] = retention_section;
    out[n++] = slo_section;
    out[n++] = alert_section;
    out[n++] = (struct section_row){.name = receiver_section_name,
                                    .named = true,
                                    .sentence = "Somebody, or something, that is told.",
                                    .rows = receivers,
                                    .n_rows = receiver_rows(receivers),
                                    .example = "pager"};
    n += notify_sections(out + n);
    out[n++] = incidents_section;
    out[n++] = peer_section;
    out[n++] = coordination_section;
    n += failover_sections(out + n);
    out[n++] = drill_section;
    out[n++] = (struct section_row){.name = action_section_name,
                                    .named = true,
                                    .sentence = "One thing that is changed outside when a service moves.",
                                    .rows = actions,
                                    .n_rows = action_rows(actions),
                                    .example = "dns-app"};
    out[n++] = (struct section_row)LOG_SECTION;
    return n;
}
