/* Network devices, from /proc/net/dev. The kernel counts in 64 bits and begins anew with the device.
 *
 * How busy a link is needs its speed, which sysfs tells for physical devices that are up; reading it takes
 * the lock of the whole network configuration, so it is asked for in a worker, once a minute. */
#include "agent/before.h"
#include "agent/collector.h"
#include "agent/pattern.h"
#include "agent/scan.h"

#include <stdio.h>

#define NET(name, help)                                                                                      \
    {                                                                                                        \
        "node_network_" name "_total", METRIC_COUNTER, 1, 1, "device", help                                  \
    }

/* In the order of the columns. */
static const struct metric_row rows[] = {
    NET("receive_bytes", "Bytes received."),
    NET("receive_packets", "Packets received."),
    NET("receive_errs", "Packets received with errors."),
    NET("receive_drop", "Packets received and dropped, those missed by the device among them."),
    NET("receive_fifo", "Packets lost because the receive queue was full."),
    NET("receive_frame", "Packets received with framing errors."),
    NET("receive_compressed", "Compressed packets received."),
    NET("receive_multicast", "Multicast packets received."),
    NET("transmit_bytes", "Bytes sent."),
    NET("transmit_packets", "Packets sent."),
    NET("transmit_errs", "Packets not sent because of errors."),
    NET("transmit_drop", "Packets dropped before they were sent."),
    NET("transmit_fifo", "Packets not sent because the queue of the device ran empty or full."),
    NET("transmit_colls", "Collisions."),
    NET("transmit_carrier", "Packets not sent for want of a carrier."),
    NET("transmit_compressed", "Compressed packets sent."),
    {"securebase_host_network_utilization_ratio", METRIC_GAUGE, 1, RATIO_DIV, "device",
     "Share of the link's speed in use since the previous tick, in its busier direction; absent where no "
     "speed is known."},
};
enum { COLUMNS = sizeof rows / sizeof *rows - 1, RECEIVED = 0, SENT = 8 };
enum { SPEED_ROUNDS = 60, SPEED_SOON = 5 }; /* the latter after a device has come */

static const struct option_row options[] = {
    {.key = "exclude_devices",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .sentence = "Devices left out: patterns in which * is anything, ? a letter and # a number."},
};

struct state {
    struct patterns exclude;
    struct before before; /* v: received, sent, speed in Mbit/s */
    unsigned until_speed; /* rounds */
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

static void put_ratio(struct state *st, const struct tick *t, struct text device, const uint64_t *v,
                      struct sink *out)
{
    int fresh;
    struct before_row *row = before_get(&st->before, device, &fresh);

    if (!row)
        return;
    if (fresh && st->until_speed > SPEED_SOON)
        st->until_speed = SPEED_SOON;
    if (!fresh && t->since.ns > 0 && row->v[2] && v[RECEIVED] >= row->v[0] && v[SENT] >= row->v[1]) {
        uint64_t in = v[RECEIVED] - row->v[0], sent = v[SENT] - row->v[1];
        double bits = 8 * (double)(in > sent ? in : sent);

        sink_int(out, &rows[COLUMNS], &device,
                 ratio_sample(bits / ((double)row->v[2] * 1e6 * span_seconds(t->since))));
    }
    row->v[0] = v[RECEIVED];
    row->v[1] = v[SENT];
}

static bool put_line(struct state *st, const struct tick *t, struct scan line, struct sink *out)
{
    const char *colon = memrchr(line.p, ':', (size_t)(line.end - line.p));
    uint64_t v[COLUMNS];
    struct text device;

    scan_blanks(&line);
    if (!colon || colon <= line.p)
        return false;
    device = (struct text){line.p, (uint32_t)(colon - line.p)};
    if (patterns_match(&st->exclude, device))
        return true;
    line.p = colon + 1;
    for (size_t i = 0; i < COLUMNS; i++)
        if (!scan_uint(&line, &v[i]))
            return false;
    for (size_t i = 0; i < COLUMNS; i++)
        sink_uint(out, &rows[i], &device, v[i]);
    put_ratio(st, t, device, v, out);
    return true;
}

static int netdev_read(void *p, const struct tick *t, const struct bytes *files, struct sink *out,
                       struct err *e)
{
    struct state *st = p;
    struct scan s = scan_of(files[0]), line;
    unsigned bad = 0, n = 0;

    before_round(&st->before);
    while (scan_line(&s, &line))
        if (n++ >= 2) /* two lines of headings */
            bad += !put_line(st, t, line, out);
    if (bad)
        return err_set(e, ERR_MALFORMED, "proc/net/dev: %u lines could not be read", bad);
    return files[0].p ? 0 : err_set(e, ERR_NOTFOUND, "proc/net/dev cannot be read");
}

static size_t netdev_jobs(void *p, const struct bytes *files, struct call_job *jobs, size_t max)
{
    struct state *st = p;
    size_t n = 0;

    (void)files;
    if (st->until_speed) {
        st->until_speed--;
        return 0;
    }
    for (size_t i = 0; i < st->before.n; i++) {
        if (st->before.rows[i].round != st->before.round)
            continue;
        if (n < max) {
            jobs[n].kind = CALL_NUMBER;
            (void)snprintf(jobs[n].key, sizeof jobs[n].key, "sys/class/net/%s/speed",
                           st->before.rows[i].name);
        }
        n++;
    }
    if (n <= max)
        st->until_speed = SPEED_ROUNDS;
    return n;
}

static int netdev_called(void *p, const struct tick *t, const struct call_job *jobs,
                         const struct call_answer *answers, size_t n, struct sink *out, struct err *e)
{
    static const char prefix[] = "sys/class/net/";
    struct state *st = p;

    (void)t;
    (void)out;
    (void)e;
    for (size_t i = 0; i < n; i++) {
        const char *name = jobs[i].key + sizeof prefix - 1;
        size_t len = strlen(name) - strlen("/speed");
        int64_t mbits = answers[i].code ? 0 : (int64_t)answers[i].v[0];

        for (size_t k = 0; k < st->before.n; k++) {
            struct before_row *row = &st->before.rows[k];

            if (strlen(row->name) == len && memcmp(row->name, name, len) == 0)
                row->v[2] = mbits > 0 ? (uint64_t)mbits : 0; /* -1: not known */
        }
    }
    return 0;
}

static const char *const files[] = {"proc/net/dev", NULL};

const struct collector collector_netdev = {
    .name = "netdev",
    .summary = "Bytes, packets, errors and drops of network devices, from /proc/net/dev.",
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
    .read = netdev_read,
    .jobs = netdev_jobs,
    .called = netdev_called,
};
