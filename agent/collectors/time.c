/* The host's wall clock: with node_boot_time_seconds it gives
 * the uptime, and against the receiver's clock the skew. */
#include "agent/collector.h"

static const struct metric_row rows[] = {
    {"node_time_seconds", METRIC_GAUGE, 1, 1000, "",
     "Wall clock of the host at the tick, in seconds since 1970."},
};

static int time_read(void *state, const struct tick *t, const struct bytes *files, struct sink *out,
                     struct err *e)
{
    (void)state;
    (void)files;
    (void)e;
    sink_int(out, &rows[0], NULL, t->wall.ms);
    return 0;
}

static const char *const files[] = {NULL};

const struct collector collector_time = {
    .name = "time",
    .summary = "The wall clock of the host.",
    .shape = COLLECTOR_READ,
    .enabled = true,
    .rows = rows,
    .n_rows = 1,
    .files = files,
    .read = time_read,
};
