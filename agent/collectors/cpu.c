/* Time of the processors by mode, from /proc/stat (proc(5)).
 *
 * The kernel counts in USER_HZ, 100 a second on every architecture we build for, whatever
 * HZ is. `user` and `nice` contain the guests' time, as node_exporter has it. Idle and
 * iowait may step back a little (a known weakness of tick accounting), which must not look
 * like a restart of the counter: a mode that fell keeps its highest value, unless idle fell
 * by more than three seconds, which is a processor that went and came back. */
#include "agent/collector.h"
#include "agent/scan.h"

enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, GUEST, GUEST_NICE, MODES };
enum { CPUS_MAX = 8192, BACK_IN_TIME = 300 };

static const char *const mode_names[MODES] = {"user", "nice",    "system", "idle", "iowait",
                                              "irq",  "softirq", "steal",  "user", "nice"};

static const struct metric_row rows[] = {
    {"node_cpu_seconds_total", METRIC_COUNTER, 1, 100, "cpu mode",
     "Seconds that each processor spent in each mode."},
    {"node_cpu_guest_seconds_total", METRIC_COUNTER, 1, 100, "cpu mode",
     "Seconds that each processor ran guest systems, contained in its user and nice time."},
    {"securebase_host_cpu_utilization_ratio", METRIC_GAUGE, 1, RATIO_DIV, "",
     "Share of all processors' time that was neither idle nor waiting for I/O since the previous tick."},
};

struct cpu {
    uint64_t v[MODES];
};

struct state {
    struct mem *mem;
    struct cpu *cpus; /* owned; by number */
    size_t room;
    uint64_t total, idle;
    bool seen;
};

static int setup(void *p, const struct collector_setup *s, struct err *e)
{
    struct state *st = p;

    (void)e;
    st->mem = s->mem;
    return 0;
}

static void teardown(void *p)
{
    struct state *st = p;

    mem_free(st->mem, st->cpus, st->room * sizeof *st->cpus);
}

static struct cpu *cpu_at(struct state *st, uint64_t n)
{
    size_t room = st->room ? st->room : 4;
    void *grown;

    if (n >= CPUS_MAX)
        return NULL;
    while (room <= n)
        room *= 2;
    if (room > st->room) {
        grown = mem_resize(st->mem, st->cpus, st->room * sizeof *st->cpus, room * sizeof *st->cpus);
        if (!grown)
            return NULL;
        st->cpus = grown;
        st->room = room;
    }
    return &st->cpus[n];
}

/* Old kernels have fewer columns: those missing are 0. Four at least. */
static bool scan_modes(struct scan *line, uint64_t v[MODES])
{
    size_t n = 0;

    memset(v, 0, MODES * sizeof *v);
    while (n < MODES && scan_uint(line, &v[n]))
        n++;
    scan_blanks(line);
    return n >= 4 && (n == MODES || line->p == line->end);
}

static void put_cpu(struct cpu *c, const uint64_t v[MODES], struct text number, struct sink *out)
{
    bool again = v[IDLE] + BACK_IN_TIME < c->v[IDLE];
    struct text labels[2] = {number, {NULL, 0}};

    for (size_t m = 0; m < MODES; m++) {
        if (again || v[m] > c->v[m])
            c->v[m] = v[m];
        labels[1] = text_of(mode_names[m]);
        sink_uint(out, m < GUEST ? &rows[0] : &rows[1], labels, c->v[m]);
    }
}

static void put_utilization(struct state *st, const uint64_t v[MODES], struct sink *out)
{
    uint64_t total = 0, idle = v[IDLE] + v[IOWAIT];

    for (size_t m = 0; m < GUEST; m++)
        total += v[m];
    if (st->seen && total > st->total) {
        uint64_t waited = idle > st->idle ? idle - st->idle : 0;

        sink_int(out, &rows[2], NULL, ratio_sample(1 - (double)waited / (double)(total - st->total)));
    }
    st->seen = true;
    st->total = total;
    st->idle = idle;
}

static int cpu_read(void *p, const struct tick *t, const struct bytes *files, struct sink *out, struct err *e)
{
    struct state *st = p;
    struct scan s = scan_of(files[0]), line;
    unsigned bad = 0, good = 0;

    (void)t;
    while (scan_line(&s, &line) && scan_prefix(&line, "cpu")) {
        uint64_t v[MODES], n = 0;
        struct text number = {line.p, 0};
        struct cpu *c;

        if (line.p < line.end && *line.p == ' ') {
            if (scan_modes(&line, v))
                put_utilization(st, v, out);
            else
                bad++;
            continue;
        }
        if (!scan_digits(&line, &n) || (number.n = (uint32_t)(line.p - number.p)) > 5 ||
            !scan_modes(&line, v) || !(c = cpu_at(st, n))) {
            bad++;
            continue;
        }
        put_cpu(c, v, number, out);
        good++;
    }
    if (!good && !bad)
        return err_set(e, ERR_NOTFOUND, "proc/stat names no processor");
    return bad ? err_set(e, ERR_MALFORMED, "proc/stat: %u processor lines could not be read", bad) : 0;
}

static const char *const files[] = {"proc/stat", NULL};

const struct collector collector_cpu = {
    .name = "cpu",
    .summary = "Time of the processors by mode, from /proc/stat.",
    .shape = COLLECTOR_READ,
    .enabled = true,
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .state_size = sizeof(struct state),
    .setup = setup,
    .teardown = teardown,
    .files = files,
    .read = cpu_read,
};
