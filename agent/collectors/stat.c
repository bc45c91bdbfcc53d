/* The single lines of /proc/stat: boot, switches, interrupts, forks, runnable and blocked tasks (proc(5)). */
#include "agent/collector.h"
#include "agent/scan.h"

static const struct metric_row rows[] = {
    {"node_intr_total", METRIC_COUNTER, 1, 1, "", "Interrupts serviced since boot."},
    {"node_context_switches_total", METRIC_COUNTER, 1, 1, "", "Context switches since boot."},
    {"node_boot_time_seconds", METRIC_GAUGE, 1, 1, "", "When the system booted, in seconds since 1970."},
    {"node_forks_total", METRIC_COUNTER, 1, 1, "", "Processes and threads created since boot."},
    {"node_procs_running", METRIC_GAUGE, 1, 1, "", "Tasks that run or could run."},
    {"node_procs_blocked", METRIC_GAUGE, 1, 1, "", "Tasks that wait for I/O to complete."},
};
static const char *const keys[] = {"intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked"};
enum { KEYS = sizeof keys / sizeof *keys };

static int stat_read(void *state, const struct tick *t, const struct bytes *files, struct sink *out,
                     struct err *e)
{
    struct scan s = scan_of(files[0]), line;
    unsigned found = 0, bad = 0;

    (void)state;
    (void)t;
    while (scan_line(&s, &line)) {
        struct text key;
        uint64_t v;

        if (!scan_word(&line, &key))
            continue;
        for (size_t i = 0; i < KEYS; i++)
            if (text_is(key, keys[i])) {
                if (!scan_uint(&line, &v)) {
                    bad++;
                    break;
                }
                sink_uint(out, &rows[i], NULL, v);
                found++;
                break;
            }
    }
    if (bad)
        return err_set(e, ERR_MALFORMED, "proc/stat: %u lines could not be read", bad);
    return found < KEYS ? err_set(e, ERR_NOTFOUND, "proc/stat has %u of %d lines", found, KEYS) : 0;
}

static const char *const files[] = {"proc/stat", NULL};

const struct collector collector_stat = {
    .name = "stat",
    .summary = "Boot time, context switches, interrupts, forks and tasks, from /proc/stat.",
    .shape = COLLECTOR_READ,
    .enabled = true,
    .rows = rows,
    .n_rows = KEYS,
    .files = files,
    .read = stat_read,
};
