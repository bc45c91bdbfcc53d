/* Pressure stall information (Documentation/accounting/psi.rst): how long tasks waited
 * for a resource. "some" is one task at least, "full" is all of them at once; of the
 * processor only "some" means anything for a whole host, of interrupts there is only
 * "full". A kernel without it, or without interrupts, has no such file. */
#include "agent/collector.h"
#include "agent/scan.h"

static const struct metric_row rows[] = {
    {"node_pressure_cpu_waiting_seconds_total", METRIC_COUNTER, 1, 1000000, "",
     "Seconds in which some task waited for a processor."},
    {"node_pressure_io_waiting_seconds_total", METRIC_COUNTER, 1, 1000000, "",
     "Seconds in which some task waited for I/O."},
    {"node_pressure_io_stalled_seconds_total", METRIC_COUNTER, 1, 1000000, "",
     "Seconds in which no task could go on for want of I/O."},
    {"node_pressure_memory_waiting_seconds_total", METRIC_COUNTER, 1, 1000000, "",
     "Seconds in which some task waited for memory."},
    {"node_pressure_memory_stalled_seconds_total", METRIC_COUNTER, 1, 1000000, "",
     "Seconds in which no task could go on for want of memory."},
    {"node_pressure_irq_stalled_seconds_total", METRIC_COUNTER, 1, 1000000, "",
     "Seconds in which no task could go on because of interrupts."},
};

static const char *const files[] = {"proc/pressure/cpu", "proc/pressure/io", "proc/pressure/memory",
                                    "proc/pressure/irq", NULL};
/* For each file the row of "some" and of "full"; -1: not shown. */
static const signed char which[4][2] = {{0, -1}, {1, 2}, {3, 4}, {-1, 5}};

/* The number of "total=" in a line. */
static bool scan_total(struct scan line, uint64_t *v)
{
    struct text word;

    while (scan_word(&line, &word)) {
        struct scan w = {word.p, word.p + word.n};

        if (scan_prefix(&w, "total="))
            return scan_uint(&w, v);
    }
    return false;
}

static int pressure_read(void *state, const struct tick *t, const struct bytes *in, struct sink *out,
                         struct err *e)
{
    unsigned found = 0, bad = 0;

    (void)state;
    (void)t;
    for (size_t f = 0; f < 4; f++) {
        struct scan s = scan_of(in[f]), line;

        while (scan_line(&s, &line)) {
            int row = scan_prefix(&line, "some ")   ? which[f][0]
                      : scan_prefix(&line, "full ") ? which[f][1]
                                                    : -1;
            uint64_t v;

            if (row < 0)
                continue;
            if (scan_total(line, &v)) {
                sink_uint(out, &rows[row], NULL, v);
                found++;
            } else {
                bad++;
            }
        }
    }
    if (bad)
        return err_set(e, ERR_MALFORMED, "proc/pressure: %u lines could not be read", bad);
    return found ? 0
                 : err_set(e, ERR_NOTFOUND, "the kernel tells no pressure (CONFIG_PSI, or psi=1 at boot)");
}

const struct collector collector_pressure = {
    .name = "pressure",
    .summary = "How long tasks waited for processor, memory, I/O and interrupts, from /proc/pressure.",
    .shape = COLLECTOR_READ,
    .enabled = true,
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .files = files,
    .read = pressure_read,
};
