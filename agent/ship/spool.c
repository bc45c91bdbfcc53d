/* The spool's counters: their names, their balance, their metrics. */
#include "agent/ship/spool.h"

#include <string.h>

const char *spool_drop_name(enum spool_drop d)
{
    static const char *const names[SPOOL_DROPS] = {
        [SPOOL_DROP_FULL] = "spool_full",   [SPOOL_DROP_MEMORY] = "memory",
        [SPOOL_DROP_DEAD] = "dead_letter",  [SPOOL_DROP_LIMIT] = "limit",
        [SPOOL_DROP_DAMAGED] = "damaged",   [SPOOL_DROP_OPERATOR] = "operator",
        [SPOOL_DROP_SHUTDOWN] = "shutdown",
    };

    return d < SPOOL_DROPS ? names[d] : "unknown";
}

bool spool_balanced(const struct spool_totals *t)
{
    struct spool_count sum = {t->delivered.batches + t->spooled.batches + t->in_memory.batches,
                              t->delivered.values + t->spooled.values + t->in_memory.values};

    for (int i = 0; i < SPOOL_DROPS; i++) {
        sum.batches += t->dropped[i].batches;
        sum.values += t->dropped[i].values;
    }
    for (int i = 0; i < SPOOL_REFUSALS; i++)
        sum.values += t->refused[i];
    return sum.batches == t->produced.batches && sum.values == t->produced.values;
}

enum row {
    PRODUCED_BATCHES,
    PRODUCED_VALUES,
    DELIVERED_BATCHES,
    DELIVERED_VALUES,
    SPOOL_BATCHES,
    SPOOL_VALUES,
    MEMORY_BATCHES,
    MEMORY_VALUES,
    DROPPED_BATCHES,
    DROPPED_VALUES,
    REFUSED_VALUES,
    SPOOL_BYTES,
    SPOOL_MAX_BYTES,
    SPOOL_OLDEST,
    SPOOL_DISK,
    SPOOL_TROUBLES,
    EPOCH,
    ROWS
};

static const struct metric_row spool_rows[] = {
    [PRODUCED_BATCHES] = {"securebase_agent_batches_produced_total", METRIC_COUNTER, 1, 1, "",
                          "Batches sealed, over the life of the spool."},
    [PRODUCED_VALUES] = {"securebase_agent_values_produced_total", METRIC_COUNTER, 1, 1, "",
                         "Values in the batches sealed, over the life of the spool."},
    [DELIVERED_BATCHES] = {"securebase_agent_batches_delivered_total", METRIC_COUNTER, 1, 1, "",
                           "Batches that an aggregator acknowledged as durable."},
    [DELIVERED_VALUES] = {"securebase_agent_values_delivered_total", METRIC_COUNTER, 1, 1, "",
                          "Values that an aggregator acknowledged as durable and did not refuse."},
    [SPOOL_BATCHES] = {"securebase_agent_spool_batches", METRIC_GAUGE, 1, 1, "",
                       "Batches on disk that nobody acknowledged yet."},
    [SPOOL_VALUES] = {"securebase_agent_spool_values", METRIC_GAUGE, 1, 1, "",
                      "Values in the batches on disk that nobody acknowledged yet."},
    [MEMORY_BATCHES] = {"securebase_agent_memory_batches", METRIC_GAUGE, 1, 1, "",
                        "Batches sealed and not on disk."},
    [MEMORY_VALUES] = {"securebase_agent_memory_values", METRIC_GAUGE, 1, 1, "",
                       "Values in the batches sealed and not on disk."},
    [DROPPED_BATCHES] = {"securebase_agent_batches_dropped_total", METRIC_COUNTER, 1, 1, "reason",
                         "Batches given up, by reason."},
    [DROPPED_VALUES] = {"securebase_agent_values_dropped_total", METRIC_COUNTER, 1, 1, "reason",
                        "Values in the batches given up, by reason."},
    [REFUSED_VALUES] = {"securebase_agent_values_refused_total", METRIC_COUNTER, 1, 1, "reason",
                        "Values of acknowledged batches that the aggregator did not take, by its reason."},
    [SPOOL_BYTES] = {"securebase_agent_spool_bytes", METRIC_GAUGE, 1, 1, "",
                     "Bytes of batches and definitions in the spool."},
    [SPOOL_MAX_BYTES] = {"securebase_agent_spool_limit_bytes", METRIC_GAUGE, 1, 1, "",
                         "Bytes beyond which the oldest batches are given up."},
    [SPOOL_OLDEST] = {"securebase_agent_spool_oldest_timestamp_seconds", METRIC_GAUGE, 1, 1000, "",
                      "When the oldest batch in the spool was sealed; 0 when there is none."},
    [SPOOL_DISK] = {"securebase_agent_spool_on_disk", METRIC_GAUGE, 1, 1, "",
                    "1 while batches are written to disk, 0 while they are kept in memory alone."},
    [SPOOL_TROUBLES] = {"securebase_agent_spool_errors_total", METRIC_COUNTER, 1, 1, "",
                        "Times that the disk refused to take or give a batch, since the start."},
    [EPOCH] = {"securebase_agent_spool_epoch_timestamp_seconds", METRIC_GAUGE, 1, 1000, "",
               "The epoch of the spool: when it was created, or later when another took its place."},
};

void spool_metrics(const struct spool_totals *t, struct sink *s)
{
    static const char *const unknown = "unknown";
    const struct metric_row *r = spool_rows;
    struct text why;

    sink_uint(s, &r[PRODUCED_BATCHES], NULL, t->produced.batches);
    sink_uint(s, &r[PRODUCED_VALUES], NULL, t->produced.values);
    sink_uint(s, &r[DELIVERED_BATCHES], NULL, t->delivered.batches);
    sink_uint(s, &r[DELIVERED_VALUES], NULL, t->delivered.values);
    sink_uint(s, &r[SPOOL_BATCHES], NULL, t->spooled.batches);
    sink_uint(s, &r[SPOOL_VALUES], NULL, t->spooled.values);
    sink_uint(s, &r[MEMORY_BATCHES], NULL, t->in_memory.batches);
    sink_uint(s, &r[MEMORY_VALUES], NULL, t->in_memory.values);
    for (int i = 0; i < SPOOL_DROPS; i++) {
        why = text_of(spool_drop_name((enum spool_drop)i));
        sink_uint(s, &r[DROPPED_BATCHES], &why, t->dropped[i].batches);
        sink_uint(s, &r[DROPPED_VALUES], &why, t->dropped[i].values);
    }
    for (int i = 0; i < SPOOL_REFUSALS; i++) {
        why = text_of(i < WIRE_REFUSALS ? wire_refusal_name((enum wire_refusal)i) : unknown);
        sink_uint(s, &r[REFUSED_VALUES], &why, t->refused[i]);
    }
    sink_uint(s, &r[SPOOL_BYTES], NULL, t->bytes);
    sink_uint(s, &r[SPOOL_MAX_BYTES], NULL, t->max_bytes);
    sink_int(s, &r[SPOOL_OLDEST], NULL, t->oldest.ms);
    sink_int(s, &r[SPOOL_DISK], NULL, t->disk);
    sink_uint(s, &r[SPOOL_TROUBLES], NULL, t->troubles);
    sink_uint(s, &r[EPOCH], NULL, t->epoch);
}
