/* Due or not, and the counts: see runner_plan.h; with the option rows that all collectors have. */
#include "agent/runner_plan.h"

#include <stdio.h>
#include <string.h>

#include "agent/runner.h"

static const struct metric_row runner_rows[] = {
    {"node_scrape_collector_duration_seconds", METRIC_GAUGE, 1, 1000000, "collector",
     "How long the collector's last run took, answers of workers and servers included."},
    {"node_scrape_collector_success", METRIC_GAUGE, 1, 1, "collector",
     "1 when the collector's last run went well, else 0."},
    {"securebase_agent_collector_failures_total", METRIC_COUNTER, 1, 1, "collector",
     "Runs that ended in an error."},
    {"securebase_agent_collector_overruns_total", METRIC_COUNTER, 1, 1, "collector",
     "Runs that took longer than their timeout, or were left out because the one before was not back."},
    {"securebase_agent_collector_missed_ticks_total", METRIC_COUNTER, 1, 1, "collector",
     "Ticks at which the collector should have run and the agent did not come to it."},
    {"securebase_agent_collector_late_total", METRIC_COUNTER, 1, 1, "collector",
     "Runs whose samples were dropped because their tick was already closed."},
    {"securebase_agent_collector_stuck_calls", METRIC_GAUGE, 1, 1, "collector",
     "Calls past their deadline that have not come back, such as into a mount whose server is gone."},
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

bool plan_due(struct plan *p, struct wall at, struct mono now, struct span *since)
{
    int64_t ms = p->interval.ns / 1000000;
    int64_t slot = floor_div(at.ms, ms > 0 ? ms : 1);
    int64_t slots;

    if (p->ran && slot == p->slot)
        return false;
    *since = p->ran ? mono_sub(now, p->last) : span_ns(0);
    if (p->ran) {
        slots = (since->ns + p->interval.ns / 2) / p->interval.ns;
        if (slots > 1)
            p->missed += (uint64_t)(slots - 1);
    }
    p->ran = true;
    p->slot = slot;
    p->last = now;
    return true;
}

void plan_again(struct plan *p)
{
    p->slot = INT64_MIN;
}

void plan_finished(struct plan *p, bool success, struct span took)
{
    p->success = success;
    p->known = true;
    p->took = took;
    p->failures += !success;
    p->overruns += took.ns > p->timeout.ns;
}

void plan_results(const struct plan *p, const char *name, struct sink *s)
{
    struct text label = text_of(name);

    if (!p->known)
        return;
    sink_int(s, &runner_rows[0], &label, p->took.ns / 1000);
    sink_int(s, &runner_rows[1], &label, p->success);
}

void plan_metrics(const struct plan *p, const char *name, struct sink *s)
{
    struct text label = text_of(name);

    plan_results(p, name, s);
    sink_uint(s, &runner_rows[2], &label, p->failures);
    sink_uint(s, &runner_rows[3], &label, p->overruns);
    sink_uint(s, &runner_rows[4], &label, p->missed);
    sink_uint(s, &runner_rows[5], &label, p->late);
    sink_uint(s, &runner_rows[6], &label, p->stuck);
}

struct span plan_interval(struct span wanted, struct span agent)
{
    int64_t n = agent.ns > 0 ? (wanted.ns + agent.ns - 1) / agent.ns : 0;

    return agent.ns > 0 ? span_ns((n > 1 ? n : 1) * agent.ns) : wanted;
}

static bool written(const struct section *s, const char *key)
{
    return option_set(s, key) && strcmp(option_origin(s, key), "default") != 0;
}

static int wrong(const struct section *s, const char *key, const char *what, struct span than,
                 struct buf *report, struct err *e)
{
    char text[32];

    format_duration(than, text);
    if (report)
        return config_complain(report, s, key, e, "%s, %s", what, text);
    return err_set(e, ERR_CONFIG, "%s: %s: %s, %s", option_origin(s, key), key, what, text);
}

int plan_times(const struct section *options, struct span agent, struct plan *p, struct buf *report,
               struct err *e)
{
    struct span asked = option_set(options, "interval") ? option_span(options, "interval") : span_ns(0);
    int rc = 0;

    p->interval = plan_interval(asked, agent);
    p->timeout = option_span(options, "timeout");
    if (written(options, "interval") && asked.ns % agent.ns != 0)
        rc = wrong(options, "interval", "expected a multiple of [agent] interval", agent, report, e);
    if (p->timeout.ns > p->interval.ns && written(options, "timeout"))
        rc = wrong(options, "timeout", "expected no more than the interval", p->interval, report, e);
    if (p->timeout.ns > p->interval.ns)
        p->timeout = p->interval;
    return rc;
}

int collectors_check(const struct config *c, struct span agent, struct buf *report, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < collectors_count; i++) {
        const struct section *s;
        struct plan p;
        char name[80];

        (void)snprintf(name, sizeof name, "collector %s", collectors[i]->name);
        if (!collectors[i]->instances && plan_times(config_section(c, name), agent, &p, report, e) != 0)
            rc = ERR_CONFIG;
        for (size_t k = 0; collectors[i]->instances && (s = config_named(c, collectors[i]->name, k)); k++)
            if (plan_times(s, agent, &p, report, e) != 0)
                rc = ERR_CONFIG;
    }
    return rc;
}

/* The options of every collector, before its own. `enabled`
 * and `interval` have defaults of the collector's. */
static void common_options(const struct collector *c, struct option_row *o)
{
    o[0] = (struct option_row){.key = "enabled",
                               .type = OPT_BOOL,
                               .dflt = c->enabled ? "yes" : "no",
                               .reloadable = true,
                               .sentence = "Whether it runs."};
    o[1] = (struct option_row){
        .key = "interval",
        .type = OPT_DURATION,
        .dflt = c->interval,
        .reloadable = true,
        .min = 100 * INT64_C(1000000),
        .max = 3600 * INT64_C(1000000000),
        .sentence = "How often it runs: a multiple of the agent's interval, which it is unless given."};
    o[2] = (struct option_row){.key = "timeout",
                               .type = OPT_DURATION,
                               .dflt = "500ms",
                               .reloadable = true,
                               .min = 10 * INT64_C(1000000),
                               .max = 60 * INT64_C(1000000000),
                               .sentence =
                                   "How long what may block can take before it is given up and counted; not "
                                   "longer than interval, which bounds the default."};
}

struct section_row *collector_sections(struct arena *a, size_t *n)
{
    struct section_row *rows = arena_array(a, collectors_count, sizeof *rows);

    for (size_t i = 0; rows && i < collectors_count; i++) {
        const struct collector *c = collectors[i];
        struct option_row *o = arena_array(a, 3 + c->n_options, sizeof *o);
        const char *name = c->name;
        struct buf text;

        buf_init(&text, NULL, 256);
        if (!c->instances) {
            buf_fmt(&text, "collector %s", c->name);
            name = arena_text(a, buf_text(&text), text.len);
        }
        buf_free(&text);
        if (!o || !name)
            return NULL;
        common_options(c, o);
        if (c->n_options)
            memcpy(o + 3, c->options, c->n_options * sizeof *o);
        rows[i] = (struct section_row){.name = name,
                                       .named = c->instances,
                                       .sentence = c->summary,
                                       .rows = o,
                                       .n_rows = 3 + c->n_options,
                                       .example = c->instances ? "main" : NULL};
    }
    *n = rows ? collectors_count : 0;
    return rows;
}

void collector_list(struct buf *out)
{
    for (size_t i = 0; i < collectors_count; i++) {
        const struct collector *c = collectors[i];

        buf_fmt(out, "%-12s [%s%s%s]%s  %s\n", c->name, c->instances ? "" : "collector ", c->name,
                c->instances ? " NAME" : "", c->enabled ? "" : " (off)", c->summary);
    }
}
