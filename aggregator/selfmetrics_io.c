/* See selfmetrics.h. CPU from getrusage(2), memory from /proc/self/statm (proc(5)). */
#include "aggregator/selfmetrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "version.h"

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Resident bytes, or 0. */
static long resident(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    char *second;

    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = 0;
    (void)strtol(text, &second, 10);
    return strtol(second, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static long descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    long n = -3; /* ".", "..", and the one that reads */

    if (!d)
        return 0;
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n;
}

static void log_metrics(const struct log *log, struct sink *out)
{
    static const struct metric_row lines = {
        "securebase_aggregator_log_lines_total", METRIC_COUNTER, 1, 1, "level", "Lines written to the log."};
    static const char *const levels[] = {"debug", "info", "warn", "error"};

    for (int i = 0; i < 4; i++) {
        struct text level = text_of(levels[i]);

        sink_uint(out, &lines, &level, log_lines(log, (enum log_level)i));
    }
}

void self_metrics(const struct self_facts *f, const struct log *log, struct sink *out)
{
    static const struct metric_row build = {"securebase_build_info",      METRIC_GAUGE,          1, 1,
                                            "component revision version", "Which build this is."};
    static const struct metric_row started = {"securebase_aggregator_start_timestamp_seconds",
                                              METRIC_GAUGE,
                                              1,
                                              1000,
                                              "",
                                              "When this process started."};
    static const struct metric_row cpu = {
        "securebase_aggregator_cpu_seconds_total", METRIC_COUNTER, 1, 1, "mode",
        "Processor time of this process."};
    static const struct metric_row memory = {
        "securebase_aggregator_resident_memory_bytes", METRIC_GAUGE, 1, 1, "",
        "Memory of this process that is in RAM."};
    static const struct metric_row fds = {
        "securebase_aggregator_open_descriptors", METRIC_GAUGE, 1, 1, "", "File descriptors in use."};
    static const struct metric_row reloads = {"securebase_aggregator_config_reloads_total",
                                              METRIC_COUNTER,
                                              1,
                                              1,
                                              "result",
                                              "Reloads of the configuration."};
    static const struct metric_row reloaded = {"securebase_aggregator_config_last_reload_timestamp_seconds",
                                               METRIC_GAUGE,
                                               1,
                                               1000,
                                               "",
                                               "When the configuration in force was read."};
    struct text labels[] = {text_of("aggregator"), text_of(SB_REVISION), text_of(SB_VERSION)};
    struct text user = text_of("user"), kernel = text_of("system"), done = text_of("done"),
                refused = text_of("refused");
    struct rusage r = {0};

    (void)getrusage(RUSAGE_SELF, &r);
    sink_int(out, &build, labels, 1);
    sink_int(out, &started, NULL, f->started.ms);
    sink_real(out, &cpu, &user, seconds(r.ru_utime));
    sink_real(out, &cpu, &kernel, seconds(r.ru_stime));
    sink_int(out, &memory, NULL, resident());
    sink_int(out, &fds, NULL, descriptors());
    sink_int(out, &reloads, &done, f->reloads);
    sink_int(out, &reloads, &refused, f->failed_reloads);
    sink_int(out, &reloaded, NULL, f->reloaded.ms);
    log_metrics(log, out);
}
