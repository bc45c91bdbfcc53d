/* The agent's state, rendered: see status.h. */
#include "agent/status.h"

#include <cjson/cJSON.h>
#include <stdio.h>

static void put_count(cJSON *o, const char *name, struct spool_count c)
{
    cJSON *v = cJSON_AddObjectToObject(o, name);

    (void)cJSON_AddNumberToObject(v, "batches", (double)c.batches);
    (void)cJSON_AddNumberToObject(v, "values", (double)c.values);
}

static void put_time(cJSON *o, const char *name, struct wall t)
{
    char text[WALL_TEXT];

    if (t.ms)
        (void)cJSON_AddStringToObject(o, name, wall_text(t, text));
    else
        (void)cJSON_AddNullToObject(o, name);
}

static const char *refusal(int i)
{
    return i < WIRE_REFUSALS ? wire_refusal_name((enum wire_refusal)i) : "unknown";
}

static void put_spool(cJSON *root, const struct spool_totals *t)
{
    cJSON *o = cJSON_AddObjectToObject(root, "spool"), *by;

    (void)cJSON_AddNumberToObject(o, "epoch", (double)t->epoch);
    (void)cJSON_AddNumberToObject(o, "next_seq", (double)t->next_seq);
    (void)cJSON_AddNumberToObject(o, "low", (double)t->low);
    put_count(o, "produced", t->produced);
    put_count(o, "delivered", t->delivered);
    put_count(o, "spooled", t->spooled);
    put_count(o, "in_memory", t->in_memory);
    by = cJSON_AddObjectToObject(o, "dropped");
    for (int i = 0; i < SPOOL_DROPS; i++)
        put_count(by, spool_drop_name((enum spool_drop)i), t->dropped[i]);
    by = cJSON_AddObjectToObject(o, "refused");
    for (int i = 0; i < SPOOL_REFUSALS; i++)
        (void)cJSON_AddNumberToObject(by, refusal(i), (double)t->refused[i]);
    (void)cJSON_AddNumberToObject(o, "bytes", (double)t->bytes);
    (void)cJSON_AddNumberToObject(o, "max_bytes", (double)t->max_bytes);
    (void)cJSON_AddNumberToObject(o, "dead_letters", (double)t->dead_letters);
    put_time(o, "oldest", t->oldest);
    (void)cJSON_AddBoolToObject(o, "on_disk", t->disk);
    (void)cJSON_AddStringToObject(o, "trouble", t->trouble);
    (void)cJSON_AddBoolToObject(o, "balanced", spool_balanced(t));
}

static void put_ship(cJSON *root, const struct status *s)
{
    cJSON *o = cJSON_AddObjectToObject(root, "ship");

    (void)cJSON_AddStringToObject(o, "state", ship_state_name(s->ship.state));
    (void)cJSON_AddStringToObject(o, "endpoint", s->endpoint);
    (void)cJSON_AddStringToObject(o, "trouble", s->trouble_over ? "" : s->trouble);
    (void)cJSON_AddStringToObject(o, "last_trouble", s->trouble);
    put_time(o, "last_trouble_at", s->trouble_at);
    put_time(o, "last_acknowledged", s->last);
    (void)cJSON_AddNumberToObject(o, "requests", (double)s->ship.stats.sent);
    (void)cJSON_AddNumberToObject(o, "failures", (double)shipper_failures(&s->ship));
    (void)cJSON_AddNumberToObject(o, "duplicates", (double)s->ship.stats.duplicates);
    (void)cJSON_AddNumberToObject(o, "dead_letters", (double)s->ship.stats.dead);
}

int status_json(const struct status *s, struct buf *out)
{
    cJSON *root = cJSON_CreateObject(), *o;
    char *text;

    (void)cJSON_AddStringToObject(root, "id", s->id);
    (void)cJSON_AddStringToObject(root, "region", s->region);
    (void)cJSON_AddStringToObject(root, "env", s->env);
    (void)cJSON_AddStringToObject(root, "version", s->self.version);
    put_time(root, "now", s->now);
    put_time(root, "started", (struct wall){s->self.start_ms});
    put_time(root, "last_sealed", s->last_seal);
    o = cJSON_AddObjectToObject(root, "sampling");
    (void)cJSON_AddNumberToObject(o, "ticks", (double)s->self.ticks);
    (void)cJSON_AddNumberToObject(o, "ticks_missed", (double)s->self.missed);
    (void)cJSON_AddNumberToObject(o, "series", s->self.grids.series);
    (void)cJSON_AddNumberToObject(o, "samples", (double)s->self.grids.samples);
    (void)cJSON_AddNumberToObject(o, "cpu_seconds", s->self.cpu_seconds);
    (void)cJSON_AddNumberToObject(o, "resident_bytes", (double)s->self.resident_bytes);
    put_spool(root, &s->spool);
    put_ship(root, s);
    text = cJSON_Print(root);
    if (text)
        buf_str(out, text);
    buf_str(out, "\n");
    cJSON_free(text);
    cJSON_Delete(root);
    return text && !out->full ? 0 : ERR_NOMEM;
}

/* ---- for people ---- */

enum { HUMAN = 32 };

/* "4.2 s", "3m 12s", "5h 2m", "12d 3h". */
static const char *human_span(struct span d, char out[HUMAN])
{
    long long s = d.ns > 0 ? (long long)(d.ns / 1000000000) : 0;

    if (s < 60)
        (void)snprintf(out, HUMAN, "%.1f s", d.ns > 0 ? span_seconds(d) : 0.0);
    else if (s < 3600)
        (void)snprintf(out, HUMAN, "%lldm %llds", s / 60, s % 60);
    else if (s < 2 * 86400)
        (void)snprintf(out, HUMAN, "%lldh %lldm", s / 3600, s / 60 % 60);
    else
        (void)snprintf(out, HUMAN, "%lldd %lldh", s / 86400, s / 3600 % 24);
    return out;
}

static const char *human_bytes(uint64_t n, char out[HUMAN])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double v = (double)n / 1024;
    size_t i = 0;

    if (n < 1024) {
        (void)snprintf(out, HUMAN, "%llu bytes", (unsigned long long)n);
        return out;
    }
    while (v >= 1024 && i + 1 < sizeof units / sizeof *units) {
        v /= 1024;
        i++;
    }
    (void)snprintf(out, HUMAN, "%.1f %s", v, units[i]);
    return out;
}

static void line(struct buf *out, const char *name, struct spool_count c)
{
    buf_fmt(out, "  %-28s %12llu batches %14llu values\n", name, (unsigned long long)c.batches,
            (unsigned long long)c.values);
}

int status_spool_text(const struct spool_totals *t, struct wall now, struct buf *out)
{
    char name[64], time[WALL_TEXT], have[HUMAN], most[HUMAN];

    buf_fmt(out, "spool %s, %s of %s, epoch %llu, next batch %llu\n", t->disk ? "on disk" : "IN MEMORY ONLY",
            human_bytes(t->bytes, have), human_bytes(t->max_bytes, most), (unsigned long long)t->epoch,
            (unsigned long long)t->next_seq);
    line(out, "produced", t->produced);
    line(out, "delivered", t->delivered);
    line(out, "spooled", t->spooled);
    line(out, "in memory", t->in_memory);
    for (int i = 0; i < SPOOL_DROPS; i++) {
        if (!t->dropped[i].batches && !t->dropped[i].values)
            continue;
        (void)snprintf(name, sizeof name, "dropped, %s", spool_drop_name((enum spool_drop)i));
        line(out, name, t->dropped[i]);
    }
    for (int i = 0; i < SPOOL_REFUSALS; i++)
        if (t->refused[i])
            buf_fmt(out, "  refused, %-41s %14llu values\n", refusal(i), (unsigned long long)t->refused[i]);
    if (t->dead_letters)
        buf_fmt(out, "  dead letters kept: %llu, %s (spool dead lists them)\n",
                (unsigned long long)t->dead_letters, human_bytes(t->dead_bytes, have));
    if (t->oldest.ms)
        buf_fmt(out, "  oldest sealed %s ago, at %s\n", human_span(wall_sub(now, t->oldest), have),
                wall_text(t->oldest, time));
    if (*t->trouble)
        buf_fmt(out, "  last trouble of the disk: %s\n", t->trouble);
    return out->full ? ERR_NOMEM : 0;
}

static void shipping_text(const struct status *s, struct buf *out)
{
    char time[WALL_TEXT], ago[HUMAN];

    buf_fmt(out, "shipping: %s, to %s, last acknowledged ", ship_state_name(s->ship.state), s->endpoint);
    if (s->last.ms)
        buf_fmt(out, "%s ago\n", human_span(wall_sub(s->now, s->last), ago));
    else
        buf_str(out, "never\n");
    if (*s->trouble)
        buf_fmt(out, "  %s at %s: %s\n", s->trouble_over ? "last trouble, over by now," : "TROUBLE",
                wall_text(s->trouble_at, time), s->trouble);
}

int status_text(const struct status *s, struct buf *out)
{
    char up[HUMAN], used[HUMAN], memory[HUMAN];

    buf_fmt(out, "agent %s in %s, %s, version %s, for %s\n", s->id, s->region, s->env, s->self.version,
            human_span(wall_sub(s->now, (struct wall){s->self.start_ms}), up));
    buf_fmt(out, "sampling: %llu ticks (%llu missed), %u series, %llu samples; %s of CPU, %s of memory\n",
            (unsigned long long)s->self.ticks, (unsigned long long)s->self.missed, s->self.grids.series,
            (unsigned long long)s->self.grids.samples,
            human_span(span_ns((int64_t)(s->self.cpu_seconds * 1e9)), used),
            human_bytes(s->self.resident_bytes, memory));
    shipping_text(s, out);
    return status_spool_text(&s->spool, s->now, out);
}
