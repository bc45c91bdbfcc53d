/* One frame of `sbctl top`: the aggregator, its hosts by how busy they are, and percentiles. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"

enum { HOSTS = 1024, BAR = 10, CHECKS = 64 };

struct host {
    const char *id;
    const cJSON *agent;
    double cpu, memory, disk, filesystem, network; /* highest of their devices; NaN: not known */
};

static double *field_of(struct host *h, const char *name)
{
    static const char prefix[] = "securebase_host_";

    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return NULL;
    name += sizeof prefix - 1;
    return strcmp(name, "cpu_utilization_ratio") == 0          ? &h->cpu
           : strcmp(name, "memory_utilization_ratio") == 0     ? &h->memory
           : strcmp(name, "disk_utilization_ratio") == 0       ? &h->disk
           : strcmp(name, "filesystem_utilization_ratio") == 0 ? &h->filesystem
           : strcmp(name, "network_utilization_ratio") == 0    ? &h->network
                                                               : NULL;
}

static int busier(const void *a, const void *b)
{
    const struct host *x = a, *y = b;
    double cx = isnan(x->cpu) ? -1 : x->cpu, cy = isnan(y->cpu) ? -1 : y->cpu;

    return cx != cy ? (cx < cy) - (cx > cy) : strcmp(x->id, y->id);
}

static size_t gather(const cJSON *agents, const cJSON *series, struct host *hosts)
{
    const cJSON *a, *s;
    size_t n = 0;

    cJSON_ArrayForEach(a, cJSON_GetObjectItemCaseSensitive(agents, "agents"))
    {
        if (n < HOSTS)
            hosts[n++] = (struct host){.id = json_text(a, "id"),
                                       .agent = a,
                                       .cpu = NAN,
                                       .memory = NAN,
                                       .disk = NAN,
                                       .filesystem = NAN,
                                       .network = NAN};
    }
    cJSON_ArrayForEach(s, cJSON_GetObjectItemCaseSensitive(series, "series"))
    {
        const char *instance = json_text(cJSON_GetObjectItemCaseSensitive(s, "labels"), "instance");
        double v = json_number(s, "value");

        for (size_t i = 0; i < n; i++) {
            double *to =
                strcmp(hosts[i].id, instance) == 0 ? field_of(&hosts[i], json_text(s, "name")) : NULL;

            if (to && !(*to >= v))
                *to = v;
        }
    }
    qsort(hosts, n, sizeof *hosts, busier);
    return n;
}

static void ratio_cell(struct table *t, double v, bool bar)
{
    static const char full[] = "##########", none[] = "..........";
    int on = v >= 1 ? BAR : v > 0 ? (int)(v * BAR + 0.5) : 0;

    if (isnan(v))
        table_cell(t, "-");
    else if (bar)
        table_cell(t, "%.*s%.*s %5.1f%%", on, full, BAR - on, none, v * 100);
    else
        table_cell(t, "%5.1f%%", v * 100);
}

static void host_table(const struct host *hosts, size_t n, const char *now, int most, struct buf *out)
{
    struct table t;
    char age[32];

    table_init(&t, 8, "llrrrrrr");
    for (const char *const *h = (const char *const[]){"HOST", "STATE", "CPU", "MEMORY", "DISK BUSY",
                                                      "FILESYSTEM", "NETWORK", "LAST BATCH", NULL};
         *h; h++)
        table_cell(&t, "%s", *h);
    for (size_t i = 0; i < n && (!most || (int)i < most); i++) {
        age_text(now, json_text(hosts[i].agent, "last_received"), age);
        table_cell(&t, "%s", hosts[i].id);
        table_cell(&t, "%s",
                   cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(hosts[i].agent, "up")) ? "up" : "absent");
        ratio_cell(&t, hosts[i].cpu, true);
        ratio_cell(&t, hosts[i].memory, true);
        ratio_cell(&t, hosts[i].disk, false);
        ratio_cell(&t, hosts[i].filesystem, false);
        ratio_cell(&t, hosts[i].network, false);
        table_cell(&t, "%s", age);
    }
    table_print(&t, out);
    table_free(&t);
    if (most && (int)n > most)
        buf_fmt(out, "… and %zu more\n", n - (size_t)most);
}

/* ---- probes and caches ---- */

struct check {
    const char *what, *name, *host;
    double up, seconds, hits;
};

static const struct {
    const char *metric, *what, *label;
    size_t field;
} check_fields[] = {
    {"securebase_probe_success", "probe", "probe", offsetof(struct check, up)},
    {"securebase_probe_duration_seconds", "probe", "probe", offsetof(struct check, seconds)},
    {"redis_up", "redis", "server", offsetof(struct check, up)},
    {"securebase_app_redis_last_reply_seconds", "redis", "server", offsetof(struct check, seconds)},
    {"securebase_app_redis_hit_ratio", "redis", "server", offsetof(struct check, hits)},
};

static void check_add(struct check *checks, size_t *n, const cJSON *s, size_t f)
{
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(s, "labels");
    struct check c = {.what = check_fields[f].what,
                      .name = json_text(labels, check_fields[f].label),
                      .host = json_text(labels, "instance"),
                      .up = NAN,
                      .seconds = NAN,
                      .hits = NAN};
    double v = json_number(s, "value");
    size_t i = 0;

    while (i < *n && (checks[i].what != c.what || strcmp(checks[i].name, c.name) != 0 ||
                      strcmp(checks[i].host, c.host) != 0))
        i++;
    if (i == CHECKS)
        return;
    if (i == *n)
        checks[(*n)++] = c;
    memcpy((char *)&checks[i] + check_fields[f].field, &v, sizeof v);
}

static void check_table(const cJSON *series, struct buf *out)
{
    struct check checks[CHECKS];
    const cJSON *s;
    struct table t;
    char text[32];
    size_t n = 0;

    cJSON_ArrayForEach(s, cJSON_GetObjectItemCaseSensitive(series, "series"))
    {
        for (size_t f = 0; f < sizeof check_fields / sizeof *check_fields; f++) {
            if (strcmp(json_text(s, "name"), check_fields[f].metric) == 0)
                check_add(checks, &n, s, f);
        }
    }
    if (!n)
        return;
    table_init(&t, 6, "llllrr");
    for (const char *const *h =
             (const char *const[]){"CHECK", "NAME", "FROM", "STATE", "TOOK", "CACHE HITS", NULL};
         *h; h++)
        table_cell(&t, "%s", *h);
    for (size_t i = 0; i < n; i++) {
        table_cell(&t, "%s", checks[i].what);
        table_cell(&t, "%s", checks[i].name);
        table_cell(&t, "%s", checks[i].host);
        table_cell(&t, "%s", isnan(checks[i].up) ? "-" : checks[i].up > 0 ? "up" : "FAILS");
        short_number(checks[i].seconds * 1000, text);
        table_cell(&t, "%s%s", text, isnan(checks[i].seconds) ? "" : " ms");
        ratio_cell(&t, checks[i].hits, false);
    }
    table_print(&t, out);
    table_free(&t);
    buf_u8(out, '\n');
}

/* Per second between two frames; NaN at the first, or over a restart. */
static double rate(const cJSON *status, const cJSON *before, double now, double then)
{
    double t = json_number(status, "uptime_seconds") - json_number(before, "uptime_seconds");

    return t > 0 && now >= then ? (now - then) / t : NAN;
}

static double values_of(const cJSON *status)
{
    return json_number(cJSON_GetObjectItemCaseSensitive(status, "self"),
                       "securebase_aggregator_values_total");
}

void show_top(const cJSON *status, const cJSON *before, const cJSON *agents, const cJSON *series,
              const cJSON *percentiles, int rows, struct buf *out)
{
    struct host *hosts = mem_array(NULL, HOSTS, sizeof *hosts);
    const char *now = json_text(status, "now");
    char up[32], values[32], batches[32];
    size_t n;

    if (!hosts)
        return;
    n = gather(agents, series, hosts);
    age_text(now, json_text(status, "started"), up);
    short_number(rate(status, before, values_of(status), values_of(before)), values);
    short_number(rate(status, before, json_number(status, "journal_position"),
                      json_number(before, "journal_position")),
                 batches);
    buf_fmt(out, "SecureBase %s  up %s  %s\n", json_text(status, "region"), up, now);
    buf_fmt(out, "agents %.0f up, %.0f absent   series %.0f   values/s %s   batches/s %s\n\n",
            json_number(status, "agents_up"), json_number(status, "agents_absent"),
            json_number(status, "series"), values, batches);
    host_table(hosts, n, now, rows > 12 ? rows / 2 : rows ? 5 : 0, out);
    buf_u8(out, '\n');
    check_table(series, out);
    show_percentiles(percentiles, out);
    mem_free(NULL, hosts, HOSTS * sizeof *hosts);
}
