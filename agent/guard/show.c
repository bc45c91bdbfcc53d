/* How a guard stands, for people, scripts and Prometheus: see guards.h. */
#include "agent/guard/guards.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

enum row { SERVING, LEASE, STATE, EPOCH, FENCED_EPOCH, HELPER, FENCES, RELEASES, FAILURES, ROUNDS, ROWS };

static const struct metric_row rows[ROWS] = {
    [SERVING] = {"securebase_guard_serving", METRIC_GAUGE, 1, 1, "guard service",
                 "1 while the guard holds a serving lease for its service."},
    [LEASE] = {"securebase_guard_lease_remaining_seconds", METRIC_GAUGE, 1, 1000, "guard service",
               "Time until the guard fences its service, unless its lease is prolonged; 0 without a lease."},
    [STATE] =
        {"securebase_guard_state", METRIC_GAUGE, 1, 1, "guard service state",
         "1 for the state that the guard is in: unknown, serving, doubt, fencing, fenced or releasing."},
    [EPOCH] = {"securebase_guard_epoch", METRIC_GAUGE, 1, 1, "guard service",
               "The highest epoch of its service that the guard has heard of."},
    [FENCED_EPOCH] = {"securebase_guard_fenced_epoch", METRIC_GAUGE, 1, 1, "guard service",
                      "The highest epoch at which the guard has proven its fence."},
    [HELPER] = {"securebase_guard_helper_up", METRIC_GAUGE, 1, 1, "guard service",
                "1 while the process that can fence is there; without it nobody would."},
    [FENCES] = {"securebase_guard_fences_total", METRIC_COUNTER, 1, 1, "guard reason service",
                "Fences begun by this helper, by reason: denied, lapsed, started or broken."},
    [RELEASES] = {"securebase_guard_releases_total", METRIC_COUNTER, 1, 1, "guard service",
                  "Times that this helper has let its service go again."},
    [FAILURES] = {"securebase_guard_job_failures_total", METRIC_COUNTER, 1, 1, "guard service",
                  "Attempts to fence, to prove or to release that failed, of this helper."},
    [ROUNDS] = {"securebase_guard_rounds_total", METRIC_COUNTER, 1, 1, "guard result service",
                "Rounds of asking, by what they gave: renewed, promised, denied or nothing."},
};

static const char *const states[] = {"unknown", "serving", "doubt", "fencing", "fenced", "releasing"};

bool guard_view_serving(const struct guard_view *v)
{
    const struct helper_word *w = v->word;

    return w && (w->state == GUARD_SERVING || w->state == GUARD_RELEASING) && w->deadline > v->now;
}

const char *guard_view_state(const struct guard_view *v)
{
    if (!v->word)
        return "unknown";
    if (v->word->state == GUARD_SERVING && v->r->doubt && !v->r->renewed)
        return "doubt";
    return guard_state_name((enum guard_state)v->word->state);
}

static int64_t remaining(const struct guard_view *v)
{
    return guard_view_serving(v) ? v->word->deadline - v->now : 0;
}

/* ---- for people ---- */

void guard_view_text(const struct guard_view *v, struct buf *out)
{
    const struct helper_word *w = v->word;

    buf_fmt(out, "%s: service %s in %s: %s", v->s->name, v->s->service, v->s->region, guard_view_state(v));
    if (w && remaining(v))
        buf_fmt(out, ", lease ends in %.1f s", (double)remaining(v) / 1000);
    if (w && (w->state == GUARD_FENCING || w->state == GUARD_FENCED))
        buf_fmt(out, " (%s)", guard_reason_name((enum guard_reason)w->reason));
    if (w && w->broken)
        buf_str(out, ", but something lets it run");
    buf_fmt(out, "\n  epoch %u, fenced at %u; helper %s",
            w && w->seen_epoch > v->r->seen ? w->seen_epoch : v->r->seen, w ? w->fenced_epoch : 0,
            w ? "" : "is not there\n");
    if (w)
        buf_fmt(out, "process %d\n", (int)w->pid);
    if (w && *w->trouble)
        buf_fmt(out, "  last failure: %s\n", w->trouble);
    for (unsigned i = 0; i < v->s->n_endpoints; i++)
        buf_fmt(out, "  %s: %s\n", v->s->endpoints[i], v->endpoint(v->arg, i));
}

/* ---- for scripts ---- */

static cJSON *fences(const struct helper_word *w)
{
    cJSON *o = cJSON_CreateObject();

    for (int r = GUARD_R_NONE + 1; r < GUARD_REASONS; r++)
        cJSON_AddNumberToObject(o, guard_reason_name((enum guard_reason)r), (double)w->fences[r]);
    return o;
}

int guard_view_json(const struct guard_view *v, struct buf *out)
{
    cJSON *o = cJSON_CreateObject(), *list;
    const struct helper_word *w = v->word;
    char *text;

    cJSON_AddStringToObject(o, "guard", v->s->name);
    cJSON_AddStringToObject(o, "service", v->s->service);
    cJSON_AddStringToObject(o, "region", v->s->region);
    cJSON_AddStringToObject(o, "state", guard_view_state(v));
    cJSON_AddBoolToObject(o, "serving", guard_view_serving(v));
    cJSON_AddNumberToObject(o, "lease_ms", (double)remaining(v));
    cJSON_AddBoolToObject(o, "helper", w != NULL);
    cJSON_AddNumberToObject(o, "rounds", (double)v->rounds);
    if (w) {
        cJSON_AddBoolToObject(o, "may_write", w->may_write);
        cJSON_AddNumberToObject(o, "seen_epoch", w->seen_epoch);
        cJSON_AddNumberToObject(o, "fenced_epoch", w->fenced_epoch);
        cJSON_AddStringToObject(o, "reason", guard_reason_name((enum guard_reason)w->reason));
        cJSON_AddBoolToObject(o, "broken", w->broken);
        cJSON_AddNumberToObject(o, "pid", w->pid);
        cJSON_AddItemToObject(o, "fences", fences(w));
        cJSON_AddNumberToObject(o, "releases", (double)w->releases);
        cJSON_AddNumberToObject(o, "failures", (double)w->failures);
        cJSON_AddStringToObject(o, "trouble", w->trouble);
    }
    list = cJSON_AddArrayToObject(o, "endpoints");
    for (unsigned i = 0; i < v->s->n_endpoints; i++) {
        cJSON *x = cJSON_CreateObject();

        cJSON_AddStringToObject(x, "url", v->s->endpoints[i]);
        cJSON_AddStringToObject(x, "said", v->endpoint(v->arg, i));
        cJSON_AddItemToArray(list, x);
    }
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (!text)
        return ERR_NOMEM;
    buf_str(out, text);
    cJSON_free(text);
    return out->full ? ERR_NOMEM : 0;
}

/* ---- for Prometheus ---- */

void guard_view_metrics(const struct guard_view *v, struct sink *out)
{
    struct text l[3] = {text_of(v->s->name), text_of(v->s->service), {NULL, 0}};
    struct text by[3] = {l[0], {NULL, 0}, l[1]}; /* sorted: guard, reason or result, service */
    const char *state = guard_view_state(v);
    const struct helper_word *w = v->word;
    const struct {
        const char *name;
        uint64_t n;
    } results[] = {{"renewed", v->renewed},
                   {"promised", v->promised},
                   {"denied", v->denied},
                   {"nothing", v->rounds - v->renewed - v->promised - v->denied}};

    sink_int(out, &rows[SERVING], l, guard_view_serving(v));
    sink_int(out, &rows[LEASE], l, remaining(v));
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        l[2] = text_of(states[i]);
        sink_int(out, &rows[STATE], l, strcmp(states[i], state) == 0);
    }
    sink_uint(out, &rows[EPOCH], l, w && w->seen_epoch > v->r->seen ? w->seen_epoch : v->r->seen);
    sink_int(out, &rows[HELPER], l, w != NULL);
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        by[1] = text_of(results[i].name);
        sink_uint(out, &rows[ROUNDS], by, results[i].n);
    }
    if (!w)
        return;
    sink_uint(out, &rows[FENCED_EPOCH], l, w->fenced_epoch);
    for (int r = GUARD_R_NONE + 1; r < GUARD_REASONS; r++) {
        by[1] = text_of(guard_reason_name((enum guard_reason)r));
        sink_uint(out, &rows[FENCES], by, w->fences[r]);
    }
    sink_uint(out, &rows[RELEASES], l, w->releases);
    sink_uint(out, &rows[FAILURES], l, w->failures);
}
