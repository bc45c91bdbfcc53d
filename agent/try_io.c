/* --test: one thing of the configuration by itself. See once.h. */
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/statsd.h"
#include "agent/once.h"
#include "agent/runner.h"
#include "common/probe/probe.h"

enum { LISTEN_SECONDS = 5, LISTENERS = 16, PROBES = 256 };

/* ---- probes ---- */

struct probing {
    struct loop *loop;
    struct buf *out;
    unsigned left, failed;
};

static void milliseconds(struct buf *out, struct span d)
{
    buf_fmt(out, "%.3f ms", (double)d.ns / 1e6);
}

static void on_probed(void *arg, const struct probe *p, const struct probe_result *r)
{
    struct probing *t = arg;
    char time[WALL_TEXT];

    buf_fmt(t->out, "probe %s: ", probe_spec_of(p)->label);
    if (r->reason == PROBE_OK)
        buf_fmt(t->out, "good, status %d", r->status);
    else
        buf_fmt(t->out, "FAILED, %s: %s", probe_reason_name(r->reason), r->error);
    if (*r->remote)
        buf_fmt(t->out, ", from %s", r->remote);
    buf_str(t->out, ", after ");
    milliseconds(t->out, r->total);
    for (int i = 0; i < PROBE_PHASES; i++) {
        buf_fmt(t->out, "%s%s ", i ? ", " : "\n  ", probe_phase_name((enum probe_phase)i));
        milliseconds(t->out, r->phase[i]);
    }
    if (r->cert_not_after.ms)
        buf_fmt(t->out, "\n  certificate valid until %s", wall_text(r->cert_not_after, time));
    buf_u8(t->out, '\n');
    t->failed += r->reason != PROBE_OK;
    if (!--t->left)
        loop_stop(t->loop);
}

/* All probes, or the one with the label. */
static int try_probes(struct loop *l, const struct once_params *p, const char *label, struct buf *out,
                      struct err *e)
{
    struct probing t = {.loop = l, .out = out};
    struct probe *v[PROBES] = {NULL};
    const struct section *s;
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; n < PROBES && (s = config_named(p->config, "probe", i)); i++) {
        struct probe_params params = {.section = s, .done = on_probed, .arg = &t};

        if (label && strcmp(label, section_label(s)) != 0)
            continue;
        v[n] = probe_new(l, &params, e);
        if (!v[n]) {
            rc = e->code;
            goto out;
        }
        n++;
    }
    if (!n) {
        rc = err_set(e, ERR_NOTFOUND, "there is no [probe %s] in this configuration", label ? label : "NAME");
        goto out;
    }
    t.left = (unsigned)n;
    for (size_t i = 0; i < n; i++)
        (void)probe_run(v[i]);
    rc = t.left ? loop_run(l) : 0;
    if (!rc && t.failed)
        rc = err_set(e, ERR_STATE, "%u of %zu probes failed", t.failed, n);
out:
    for (size_t i = 0; i < n; i++)
        probe_free(&v[i]);
    return rc;
}

/* ---- StatsD ---- */

static void on_listened(void *arg)
{
    loop_stop(arg);
}

static void say_labels(void *arg, const struct wire_label *labels, uint32_t n)
{
    once_extra(arg, labels, n);
}

/* What came, and whether all of it could be taken in. */
static int show_statsd(const struct statsd *s, const struct once_params *p, struct span listened,
                       struct buf *out, struct err *e)
{
    struct statsd_stats stats = statsd_stats(s);
    struct once *o = once_new(NULL);
    uint64_t wrong = 0;
    int rc, first = 0;

    if (!o)
        return err_set(e, ERR_NOMEM, "no memory for what came");
    statsd_show(s, once_sink(o), say_labels, o);
    rc = once_render(o, p->format, out, e);
    once_free(&o);
    for (int i = STATSD_OK + 1; i < STATSD_ERRORS; i++) {
        wrong += stats.errors[i];
        first = first || !stats.errors[i] ? first : i;
    }
    if (rc)
        return rc;
    if (!stats.packets)
        return err_set(e, ERR_TIMEOUT, "nothing came within %.0f s", span_seconds(listened));
    if (wrong)
        return err_set(e, ERR_MALFORMED, "%llu lines could not be taken in, the first sort for: %s",
                       (unsigned long long)wrong, statsd_error_name((enum statsd_error)first));
    return 0;
}

static int try_statsd(struct loop *l, const struct once_params *p, struct buf *out, struct err *e)
{
    const struct section *section = config_section(p->config, "statsd");
    struct statsd_params params = {.max_series = (uint32_t)option_int(section, "max_series"),
                                   .max_memory = (size_t)option_int(section, "max_memory"),
                                   .expire = UINT32_MAX,
                                   .seed = {(uint64_t)clock_mono().ns, 0}};
    struct span wait = p->listen.ns > 0 ? p->listen : span_s(LISTEN_SECONDS);
    int wrong = statsd_thresholds(section, &params, e);
    struct statsd *s = wrong ? NULL : statsd_new(&params);
    struct timer *timer = timer_new(l, on_listened, l);
    struct statsd_listener *v[LISTENERS] = {NULL};
    size_t n = 0;
    int rc = wrong ? wrong : s && timer ? 0 : err_set(e, ERR_NOMEM, "no memory for StatsD");

    for (; !rc && n < LISTENERS && n < option_count(section, "listen"); n++) {
        v[n] = statsd_listen(l, p->log, option_word(section, "listen", n),
                             (int)option_int(section, "receive_buffer"), s, e);
        if (!v[n]) {
            rc = e->code;
            break;
        }
    }
    if (!rc && !n)
        rc = err_set(e, ERR_NOTFOUND, "[statsd] listen is empty");
    if (!rc) {
        timer_set(timer, wait);
        rc = loop_run(l);
    }
    rc = rc ? rc : show_statsd(s, p, wait, out, e);
    for (size_t i = 0; i < n; i++)
        statsd_listener_free(&v[i]);
    timer_free(&timer);
    statsd_free(&s);
    return rc;
}

int once_try(const struct once_params *p, struct buf *out, struct err *e)
{
    bool probes = strncmp(p->only, "probe", 5) == 0 && (!p->only[5] || p->only[5] == ' ');
    bool statsd = strcmp(p->only, "statsd") == 0;
    struct once_params judged = *p;
    struct loop *l;
    int rc;

    judged.judged = true;
    if (!probes && !statsd)
        return once_run(&judged, out, e);
    l = loop_new(e);
    if (!l)
        return e->code;
    rc = probes ? try_probes(l, p, p->only[5] ? p->only + 6 : NULL, out, e) : try_statsd(l, p, out, e);
    loop_free(&l);
    return rc;
}

void once_list(struct buf *out)
{
    collector_list(out);
    buf_fmt(out, "%-12s [statsd]  %s\n", "statsd",
            "Input: measurements of applications, by StatsD and DogStatsD.");
    buf_fmt(out, "%-12s [%s NAME]  %s\n", probe_section.name, probe_section.name, probe_section.sentence);
}
