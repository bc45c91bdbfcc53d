/* Paging and out-of-memory counts, from /proc/vmstat: the fields that node_exporter takes unless told
 * otherwise, untyped as there, since the file does not tell counters from gauges. */
#include "agent/collector.h"
#include "agent/scan.h"

#define ROW(key, help)                                                                                       \
    {                                                                                                        \
        "node_vmstat_" key, METRIC_UNTYPED, 1, 1, "", help                                                   \
    }
static const struct metric_row rows[] = {
    ROW("pgpgin", "KiB paged in from block devices since boot (pgpgin of /proc/vmstat)."),
    ROW("pgpgout", "KiB paged out to block devices since boot (pgpgout of /proc/vmstat)."),
    ROW("pswpin", "Pages swapped in since boot (pswpin of /proc/vmstat)."),
    ROW("pswpout", "Pages swapped out since boot (pswpout of /proc/vmstat)."),
    ROW("pgfault", "Page faults since boot, minor and major (pgfault of /proc/vmstat)."),
    ROW("pgmajfault", "Page faults since boot that needed I/O (pgmajfault of /proc/vmstat)."),
    ROW("oom_kill", "Processes killed for want of memory since boot (oom_kill of /proc/vmstat)."),
};
enum { ROWS = sizeof rows / sizeof *rows, PREFIX = sizeof "node_vmstat_" - 1 };

static int vmstat_read(void *state, const struct tick *t, const struct bytes *files, struct sink *out,
                       struct err *e)
{
    struct scan s = scan_of(files[0]), line;
    unsigned found = 0, bad = 0;

    (void)state;
    (void)t;
    while (found < ROWS && scan_line(&s, &line)) {
        struct text key;
        uint64_t v;

        if (line.p == line.end || (*line.p != 'p' && *line.p != 'o') || !scan_word(&line, &key))
            continue;
        for (size_t i = 0; i < ROWS; i++)
            if (text_is(key, rows[i].name + PREFIX)) {
                if (scan_uint(&line, &v)) {
                    sink_uint(out, &rows[i], NULL, v);
                    found++;
                } else {
                    bad++;
                }
                break;
            }
    }
    if (bad)
        return err_set(e, ERR_MALFORMED, "proc/vmstat: %u lines could not be read", bad);
    return found ? 0 : err_set(e, ERR_NOTFOUND, "proc/vmstat has none of the fields");
}

static const char *const files[] = {"proc/vmstat", NULL};

const struct collector collector_vmstat = {
    .name = "vmstat",
    .summary = "Paging, faults and out-of-memory kills, from /proc/vmstat.",
    .shape = COLLECTOR_READ,
    .enabled = true,
    .rows = rows,
    .n_rows = ROWS,
    .files = files,
    .read = vmstat_read,
};
