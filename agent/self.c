/* Metrics of the agent itself: see self.h. */
#include "agent/self.h"

enum row {
    BUILD,
    START,
    CPU,
    RESIDENT,
    TICKS,
    MISSED,
    SAMPLES,
    REFUSED,
    SERIES,
    STALLS,
    STALL,
    STEPS,
    MEMORY,
    MEMORY_LIMIT,
    LOG_LINES,
    LOG_LOST,
    ROWS
};

static const struct metric_row self_rows[] = {
    [BUILD] = {"securebase_agent_build_info", METRIC_GAUGE, 1, 1, "revision version",
               "Version of the agent; always 1."},
    [START] = {"securebase_agent_start_timestamp_seconds", METRIC_GAUGE, 1, 1000, "",
               "When the agent was started."},
    [CPU] = {"securebase_agent_cpu_seconds_total", METRIC_COUNTER, 1, 1, "",
             "CPU time that the agent has used."},
    [RESIDENT] = {"securebase_agent_resident_memory_bytes", METRIC_GAUGE, 1, 1, "",
                  "Memory of the agent that is resident."},
    [TICKS] = {"securebase_agent_ticks_total", METRIC_COUNTER, 1, 1, "",
               "Ticks at which samples were taken."},
    [MISSED] = {"securebase_agent_ticks_missed_total", METRIC_COUNTER, 1, 1, "",
                "Ticks left out because the agent came too late or was suspended."},
    [SAMPLES] = {"securebase_agent_samples_total", METRIC_COUNTER, 1, 1, "", "Samples taken into batches."},
    [REFUSED] = {"securebase_agent_samples_refused_total", METRIC_COUNTER, 1, 1, "reason",
                 "Samples not taken into a batch, by reason."},
    [SERIES] = {"securebase_agent_series", METRIC_GAUGE, 1, 1, "", "Series that the agent holds."},
    [STALLS] = {"securebase_agent_loop_stalls_total", METRIC_COUNTER, 1, 1, "",
                "Times that the event loop came later than it should."},
    [STALL] = {"securebase_agent_loop_worst_stall_seconds", METRIC_GAUGE, 1, 1, "",
               "Longest delay of the event loop since the batch before."},
    [STEPS] = {"securebase_agent_clock_steps_total", METRIC_COUNTER, 1, 1, "",
               "Times that the wall clock was set while the agent ran."},
    [MEMORY] = {"securebase_agent_series_memory_bytes", METRIC_GAUGE, 1, 1, "",
                "Memory that series and their columns take."},
    [MEMORY_LIMIT] = {"securebase_agent_series_memory_limit_bytes", METRIC_GAUGE, 1, 1, "",
                      "Most that series and their columns may take."},
    [LOG_LINES] = {"securebase_agent_log_lines_total", METRIC_COUNTER, 1, 1, "level",
                   "Lines logged, by level."},
    [LOG_LOST] = {"securebase_agent_log_lines_lost_total", METRIC_COUNTER, 1, 1, "",
                  "Log lines that could not be written."},
};

static void labelled(struct sink *out, enum row row, const char *label, uint64_t v)
{
    struct text l = text_of(label);

    sink_uint(out, &self_rows[row], &l, v);
}

void self_metrics(const struct self *s, struct sink *out)
{
    const struct metric_row *r = self_rows;
    struct text build[2] = {text_of(s->revision), text_of(s->version)};

    sink_int(out, &r[BUILD], build, 1);
    sink_int(out, &r[START], NULL, s->start_ms);
    sink_real(out, &r[CPU], NULL, s->cpu_seconds);
    sink_uint(out, &r[RESIDENT], NULL, s->resident_bytes);
    sink_uint(out, &r[TICKS], NULL, s->ticks);
    sink_uint(out, &r[MISSED], NULL, s->missed);
    sink_uint(out, &r[SAMPLES], NULL, s->grids.samples);
    labelled(out, REFUSED, "limit", s->grids.refused_limit);
    labelled(out, REFUSED, "twice", s->grids.refused_twice);
    labelled(out, REFUSED, "value", s->grids.refused_value);
    labelled(out, REFUSED, "late", s->grids.refused_late);
    labelled(out, REFUSED, "kind", s->grids.refused_kind);
    sink_uint(out, &r[SERIES], NULL, s->grids.series);
    sink_uint(out, &r[STALLS], NULL, s->stalls);
    sink_real(out, &r[STALL], NULL, span_seconds(s->worst_stall));
    sink_uint(out, &r[STEPS], NULL, s->steps);
    sink_uint(out, &r[MEMORY], NULL, s->mem.used);
    sink_uint(out, &r[MEMORY_LIMIT], NULL, s->mem.cap);
    labelled(out, LOG_LINES, "warn", s->log_warnings);
    labelled(out, LOG_LINES, "error", s->log_errors);
    sink_uint(out, &r[LOG_LOST], NULL, s->log_lost);
}
