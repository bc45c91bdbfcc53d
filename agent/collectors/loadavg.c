/* Load averages, from /proc/loadavg (proc_loadavg(5)). The
 * kernel prints two decimals, which are kept as an integer. */
#include "agent/collector.h"
#include "agent/scan.h"

static const struct metric_row rows[] = {
    {"node_load1", METRIC_GAUGE, 1, 100, "", "Load average over one minute."},
    {"node_load5", METRIC_GAUGE, 1, 100, "", "Load average over five minutes."},
    {"node_load15", METRIC_GAUGE, 1, 100, "", "Load average over fifteen minutes."},
};

/* "12.34" as 1234; further decimals, which no kernel prints, are cut. */
static bool scan_hundredths(struct scan *s, uint64_t *v)
{
    struct scan part;
    struct text word;
    uint64_t whole;
    unsigned d = 0;

    if (!scan_word(s, &word))
        return false;
    part = (struct scan){word.p, word.p + word.n};
    if (!scan_digits(&part, &whole) || whole > UINT32_MAX || part.p == part.end || *part.p++ != '.')
        return false;
    for (int i = 0; i < 2; i++) {
        d *= 10;
        if (part.p < part.end && *part.p >= '0' && *part.p <= '9')
            d += (unsigned)(*part.p++ - '0');
        else if (part.p < part.end || i == 0)
            return false;
    }
    *v = whole * 100 + d;
    return true;
}

static int loadavg_read(void *state, const struct tick *t, const struct bytes *files, struct sink *out,
                        struct err *e)
{
    struct scan s = scan_of(files[0]), line;
    uint64_t v[3];

    (void)state;
    (void)t;
    if (!scan_line(&s, &line))
        return err_set(e, ERR_NOTFOUND, "proc/loadavg has no line");
    for (size_t i = 0; i < 3; i++)
        if (!scan_hundredths(&line, &v[i]))
            return err_set(e, ERR_MALFORMED, "proc/loadavg: its line could not be read");
    for (size_t i = 0; i < 3; i++)
        sink_uint(out, &rows[i], NULL, v[i]);
    return 0;
}

static const char *const files[] = {"proc/loadavg", NULL};

const struct collector collector_loadavg = {
    .name = "loadavg",
    .summary = "Load averages over 1, 5 and 15 minutes, from /proc/loadavg.",
    .shape = COLLECTOR_READ,
    .enabled = true,
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .files = files,
    .read = loadavg_read,
};
