/* What is told of a probe: see probe.h. Counters begin at 0
 * with the first run, so that a first failure is a rise. */
#include "common/probe/probe.h"

static const struct metric_row probe_metric_rows[] = {
    {.name = "securebase_probe_success",
     .labels = "probe",
     .help = "Whether the last run of the probe was good."},
    {.name = "securebase_probe_phase_seconds",
     .mul = 1,
     .div = 1000000000,
     .labels = "phase probe",
     .help = "How long each phase of the last run took; they sum to the duration, and are 0 where not needed "
             "or reached."},
    {.name = "securebase_probe_duration_seconds",
     .mul = 1,
     .div = 1000000000,
     .labels = "probe",
     .help = "How long the last run took."},
    {.name = "securebase_probe_runs_total",
     .kind = METRIC_COUNTER,
     .labels = "probe",
     .help = "Runs of the probe."},
    {.name = "securebase_probe_failures_total",
     .kind = METRIC_COUNTER,
     .labels = "probe reason",
     .help = "Runs that failed, by what went wrong first."},
    {.name = "securebase_probe_skipped_total",
     .kind = METRIC_COUNTER,
     .labels = "probe",
     .help = "Runs that fell due while the one before was still under way."},
    {.name = "securebase_probe_certificate_expiry_timestamp_seconds",
     .mul = 1,
     .div = 1000,
     .labels = "probe",
     .help = "When the certificate that the server showed last ceases to be valid."},
    {.name = "securebase_probe_status_code",
     .labels = "probe",
     .help = "HTTP status of the last run; 0 when no answer came."},
};

enum { SUCCESS, PHASE, DURATION, RUNS, FAILURES, SKIPPED, EXPIRY, STATUS };

void probe_count(struct probe_tally *t, const struct probe_result *r)
{
    struct wall known = t->last.cert_not_after;

    t->runs++;
    if (r->reason != PROBE_OK)
        t->failures[r->reason]++;
    t->last = *r;
    if (!r->cert_not_after.ms)
        t->last.cert_not_after = known; /* a failure before the handshake makes no certificate younger */
}

void probe_metrics(const struct probe_tally *t, const char *label, struct sink *out)
{
    const struct metric_row *row = probe_metric_rows;
    struct text probe = text_of(label);

    if (!t->runs)
        return;
    sink_int(out, &row[SUCCESS], &probe, t->last.reason == PROBE_OK);
    for (int i = 0; i < PROBE_PHASES; i++)
        sink_int(out, &row[PHASE], (struct text[]){text_of(probe_phase_name((enum probe_phase)i)), probe},
                 t->last.phase[i].ns);
    sink_int(out, &row[DURATION], &probe, t->last.total.ns);
    sink_uint(out, &row[RUNS], &probe, t->runs);
    for (int i = PROBE_OK + 1; i < PROBE_REASONS; i++)
        sink_uint(out, &row[FAILURES],
                  (struct text[]){probe, text_of(probe_reason_name((enum probe_reason)i))}, t->failures[i]);
    sink_uint(out, &row[SKIPPED], &probe, t->skipped);
    if (t->last.cert_not_after.ms)
        sink_int(out, &row[EXPIRY], &probe, t->last.cert_not_after.ms);
    sink_int(out, &row[STATUS], &probe, t->last.status);
}
