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
    (void)cJSON_AddStringToObject(o, "trouble", s->trouble);
    put_time(o, "last_acknowledged", s->last);
    (void)cJSON_AddNumberToObject(o, "requests", (double)s->ship.stats.sent);
    (void)cJSON_AddNumberToObject(o, "failures", (double)s->ship.stats.failures);
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

static void line(struct buf *out, const char *name, struct spool_count c)
{
    buf_fmt(out, "  %-28s %12llu batches %14llu values\n", name, (unsigned long long)c.batches,
            (unsigned long long)c.values);
}

int status_spool_text(const struct spool_totals *t, struct buf *out)
{
    char name[64], time[WALL_TEXT];

    buf_fmt(out, "spool %s, epoch %llu, next batch %llu, %llu of %llu bytes\n",
            t->disk ? "on disk" : "IN MEMORY ONLY", (unsigned long long)t->epoch,
            (unsigned long long)t->next_seq, (unsigned long long)t->bytes, (unsigned long long)t->max_bytes);
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
            buf_fmt(out, "  refused, %-41s %20llu values\n", refusal(i), (unsigned long long)t->refused[i]);
    if (t->oldest.ms)
        buf_fmt(out, "  oldest sealed %s\n", wall_text(t->oldest, time));
    if (*t->trouble)
        buf_fmt(out, "  last trouble: %s\n", t->trouble);
    return out->full ? ERR_NOMEM : 0;
}

int status_text(const struct status *s, struct buf *out)
{
    char time[WALL_TEXT];

    buf_fmt(out, "agent %s in %s, %s, version %s\n", s->id, s->region, s->env, s->self.version);
    buf_fmt(out, "%llu ticks (%llu missed), %u series, %llu samples, %.1f s of CPU, %llu KiB resident\n",
            (unsigned long long)s->self.ticks, (unsigned long long)s->self.missed, s->self.grids.series,
            (unsigned long long)s->self.grids.samples, s->self.cpu_seconds,
            (unsigned long long)s->self.resident_bytes / 1024);
    buf_fmt(out, "shipping: %s to %s, last acknowledged %s\n", ship_state_name(s->ship.state), s->endpoint,
            s->last.ms ? wall_text(s->last, time) : "never");
    if (*s->trouble)
        buf_fmt(out, "  trouble: %s\n", s->trouble);
    return status_spool_text(&s->spool, out);
}
