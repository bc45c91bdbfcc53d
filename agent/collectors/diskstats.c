/* Block devices, from /proc/diskstats (Documentation/admin-guide/iostats.rst). A sector is 512 bytes here,
 * whatever the device's is. Kernels before 4.18 have no discards, before 5.5 no flushes. Times are 32 bits of
 * ms that begin again. */
#include "agent/before.h"
#include "agent/collector.h"
#include "agent/pattern.h"
#include "agent/scan.h"

#define DISK(name, kind, mul, div, help)                                                                     \
    {                                                                                                        \
        "node_disk_" name, kind, mul, div, "device", help                                                    \
    }
#define DEVICE_COUNT(name, help) DISK(name "_total", METRIC_COUNTER, 1, 1, help)
#define DEVICE_TIME(name, help)  DISK(name "_seconds_total", METRIC_COUNTER, 1, 1000, help)

/* In the order of the columns. */
static const struct metric_row rows[] = {
    DEVICE_COUNT("reads_completed", "Reads completed."),
    DEVICE_COUNT("reads_merged", "Reads merged with a neighbour before they were issued."),
    DISK("read_bytes_total", METRIC_COUNTER, 512, 1, "Bytes read."),
    DEVICE_TIME("read_time", "Seconds that all reads took together."),
    DEVICE_COUNT("writes_completed", "Writes completed."),
    DEVICE_COUNT("writes_merged", "Writes merged with a neighbour before they were issued."),
    DISK("written_bytes_total", METRIC_COUNTER, 512, 1, "Bytes written."),
    DEVICE_TIME("write_time", "Seconds that all writes took together."),
    DISK("io_now", METRIC_GAUGE, 1, 1, "Requests in flight."),
    DEVICE_TIME("io_time", "Seconds in which the device had something to do."),
    DEVICE_TIME("io_time_weighted", "Seconds that requests have spent in flight, all together."),
    DEVICE_COUNT("discards_completed", "Discards completed."),
    DEVICE_COUNT("discards_merged", "Discards merged with a neighbour before they were issued."),
    DEVICE_COUNT("discarded_sectors", "Sectors of 512 bytes discarded."),
    DEVICE_TIME("discard_time", "Seconds that all discards took together."),
    DEVICE_COUNT("flush_requests", "Flushes completed."),
    DEVICE_TIME("flush_requests_time", "Seconds that all flushes took together."),
    {"securebase_host_disk_utilization_ratio", METRIC_GAUGE, 1, RATIO_DIV, "device",
     "Share of the time since the previous tick in which the device had something to do."},
};
enum { COLUMNS = sizeof rows / sizeof *rows - 1, COLUMNS_LEAST = 11, IO_TIME = 9 };

static const struct option_row options[] = {
    {.key = "exclude_devices",
     .type = OPT_LIST,
     .dflt = "ram# zram# loop# fd# hd?# sd?# vd?# xvd?# nvme#n#p#",
     .reloadable = true,
     .sentence = "Devices left out: patterns in which * is anything, ? a letter and # a number."},
};

struct state {
    struct patterns exclude;
    struct before before;
};

static int setup(void *p, const struct collector_setup *s, struct err *e)
{
    struct state *st = p;

    st->before.mem = s->mem;
    return patterns_set(&st->exclude, s->mem, s->options, "exclude_devices", e);
}

static void teardown(void *p)
{
    struct state *st = p;

    patterns_free(&st->exclude);
    before_free(&st->before);
}

static void put_ratio(struct state *st, const struct tick *t, struct text device, uint64_t io_ms,
                      struct sink *out)
{
    int fresh;
    struct before_row *row = before_get(&st->before, device, &fresh);

    if (!row)
        return;
    if (!fresh && t->since.ns > 0 && io_ms >= row->v[0])
        sink_int(out, &rows[COLUMNS], &device,
                 ratio_sample((double)(io_ms - row->v[0]) / (double)t->since.ns * 1e6));
    row->v[0] = io_ms;
}

static bool put_line(struct state *st, const struct tick *t, struct scan line, struct sink *out)
{
    uint64_t v[COLUMNS], skip;
    struct text device;
    size_t n = 0;

    if (!scan_uint(&line, &skip) || !scan_uint(&line, &skip) || !scan_word(&line, &device))
        return false;
    if (patterns_match(&st->exclude, device))
        return true;
    while (n < COLUMNS && scan_uint(&line, &v[n]))
        n++;
    if (n < COLUMNS_LEAST)
        return false;
    for (size_t i = 0; i < n; i++)
        sink_uint(out, &rows[i], &device, v[i]);
    put_ratio(st, t, device, v[IO_TIME], out);
    return true;
}

static int diskstats_read(void *p, const struct tick *t, const struct bytes *files, struct sink *out,
                          struct err *e)
{
    struct state *st = p;
    struct scan s = scan_of(files[0]), line;
    unsigned bad = 0;

    before_round(&st->before);
    while (scan_line(&s, &line))
        bad += !put_line(st, t, line, out);
    if (bad)
        return err_set(e, ERR_MALFORMED, "proc/diskstats: %u lines could not be read", bad);
    return files[0].p ? 0 : err_set(e, ERR_NOTFOUND, "proc/diskstats cannot be read");
}

static const char *const files[] = {"proc/diskstats", NULL};

const struct collector collector_diskstats = {
    .name = "diskstats",
    .summary = "Reads, writes, discards and flushes of block devices, from /proc/diskstats.",
    .shape = COLLECTOR_READ,
    .enabled = true,
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .state_size = sizeof(struct state),
    .setup = setup,
    .teardown = teardown,
    .files = files,
    .read = diskstats_read,
};
