/* A notification out of a line: what fires and what has ended of its group, as this attempt tells it. Everything
 * stands in an arena that lives as long as the attempt is handed over. */
#include "aggregator/notify/notify_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *arena_fmt(struct arena *a, const char *fmt, ...)
{
    char text[1024];
    const char *copy;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    copy = arena_text(a, text, strlen(text));
    return copy ? copy : "";
}

void told_alert_of(struct notify *n, const struct known *k, struct arena *a, struct told_alert *out)
{
    (void)n;
    *out = (struct told_alert){
        .rule = k->rule,
        .labels = k->labels,
        .firing = k->firing,
        .severity = k->severity,
        .since = k->since,
        .ended = k->ended,
        .value = k->value,
        .threshold = k->threshold,
        .summary = k->summary,
        .description = k->description,
        .runbook = k->runbook,
        .explain = arena_fmt(a, "sbctl explain %s", k->hex),
    };
    memcpy(out->id, k->hex, sizeof out->id);
}

/* Firing before ended, worse before milder, older before newer. */
static int order(const void *a, const void *b)
{
    const struct known *x = *(const struct known *const *)a, *y = *(const struct known *const *)b;

    if (x->firing != y->firing)
        return x->firing ? -1 : 1;
    if (x->severity != y->severity)
        return x->severity > y->severity ? -1 : 1;
    if (x->since.ms != y->since.ms)
        return x->since.ms < y->since.ms ? -1 : 1;
    return strcmp(x->hex, y->hex);
}

/* What all have in common. */
static struct labels common_labels(const struct known *const *v, uint32_t n, struct arena *a)
{
    struct label *out = n ? arena_array(a, v[0]->labels.n, sizeof *out) : NULL;
    uint32_t count = 0;

    for (uint32_t i = 0; out && i < v[0]->labels.n; i++) {
        struct label l = v[0]->labels.v[i];
        bool all = true;

        for (uint32_t j = 1; all && j < n; j++)
            all = strcmp(labels_get(v[j]->labels, l.name), l.value) == 0;
        if (all)
            out[count++] = l;
    }
    return (struct labels){out, count};
}

static const char *title(struct arena *a, const struct notification *m, const struct known *const *v,
                         uint32_t n, uint32_t firing)
{
    const char *word = m->tell == TELL_RESOLVE       ? "resolved"
                       : m->tell == TELL_ACKNOWLEDGE ? "acknowledged"
                                                     : severity_name(m->severity);

    if (n == 1)
        return arena_fmt(a, "[%s] %s: %s", word, v[0]->rule, v[0]->summary[0] ? v[0]->summary : "no summary");
    if (m->tell == TELL_RESOLVE)
        return arena_fmt(a, "[%s] %u alerts have ended: %s", word, n, v[0]->rule);
    if (firing == n)
        return arena_fmt(a, "[%s] %u alerts: %s: %s", word, n, v[0]->rule, v[0]->summary);
    return arena_fmt(a, "[%s] %u alerts, %u ended: %s: %s", word, firing, n - firing, v[0]->rule,
                     v[0]->summary);
}

enum { TEXT_ENOUGH = 64 << 10 }; /* bytes; nobody reads further */

static const char *text_of_alerts(struct notify *n, struct arena *a, const struct notification *m)
{
    struct buf b;
    char t[WALL_TEXT];
    const char *copy;
    uint32_t i;

    buf_init(&b, n->mem, 4 * TEXT_ENOUGH);
    for (i = 0; i < m->n_alerts && i < SHOWN_MOST && b.len < TEXT_ENOUGH; i++) {
        const struct told_alert *k = &m->alerts[i];

        buf_fmt(&b, "%s %s %s{", k->firing ? "firing" : "ended", severity_name(k->severity), k->rule);
        labels_text(k->labels, &b);
        buf_fmt(&b, "} since %s", wall_text(k->since, t));
        if (!k->firing)
            buf_fmt(&b, " until %s", wall_text(k->ended, t));
        buf_fmt(&b, ": %s\n", k->summary);
    }
    if (m->more || i < m->n_alerts)
        buf_fmt(&b, "and %u more\n", m->more + (m->n_alerts - i));
    copy = arena_text(a, buf_text(&b), strlen(buf_text(&b)));
    buf_free(&b);
    return copy ? copy : "";
}

static void links(struct notify *n, struct arena *a, const struct known *first, struct notification *out)
{
    struct buf b;

    if (!n->console[0] || !first)
        return;
    out->link = arena_fmt(a, "%s/?alert=%s", n->console, first->hex);
    if (!n->secret.len || !first->firing)
        return;
    buf_init(&b, n->mem, 2048);
    buf_str(&b, n->console);
    if (ack_link_make(buf_bytes(&n->secret), &first->id, first->epoch, wall_add(n->now, n->plan->ack_for),
                      &b) == 0)
        out->ack_link = arena_fmt(a, "%s", buf_text(&b));
    buf_free(&b);
}

/* Which members stand in this message: by what the order has marked; an acknowledgement shows what fires. */
static uint32_t choose(struct line *l, const struct known **v)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < l->group->n_members; i++) {
        const struct known *k = l->group->members[i];
        const struct told *t = told_get(k, l);

        if (t && (t->flight != FLIGHT_NONE || (l->tell == TELL_ACKNOWLEDGE && k->firing)))
            v[count++] = k;
    }
    return count;
}

/* A receiver that has to be told again takes for ended what a message leaves out. */
static uint32_t shown_most(const struct line *l, uint32_t members)
{
    const struct receiver_plan *to = l->receiver->plan;

    return to && to->refresh.ns ? members : SHOWN_MOST;
}

void compose(struct notify *n, struct line *l, struct arena *a, struct notification *out)
{
    const struct known **v;
    struct told_alert *shown;
    uint32_t count = 0, firing = 0, most;

    *out = (struct notification){
        .tell = (enum tell)l->tell,
        .dedup_key = "",
        .title = "",
        .text = "",
        .link = n->console,
        .ack_link = "",
        .source = arena_fmt(a, "%s/%s", n->region, n->host),
        .t = n->now,
        .first = n->now,
        .attempt = l->attempt,
        .change_kind = "",
    };
    if (!l->group) {
        special_compose(n, l, a, out);
        if (out->n_alerts)
            out->text = text_of_alerts(n, a, out);
        return;
    }
    v = arena_array(a, l->group->n_members, sizeof *v);
    most = shown_most(l, l->group->n_members);
    shown = arena_array(a, most, sizeof *shown);
    if (v && shown)
        count = choose(l, v);
    if (count)
        qsort(v, count, sizeof *v, order);
    for (uint32_t i = 0; i < count; i++) {
        firing += v[i]->firing;
        if (v[i]->severity > out->severity && (v[i]->firing || !firing))
            out->severity = v[i]->severity;
        if (v[i]->since.ms < out->first.ms)
            out->first = v[i]->since;
        if (i < most)
            told_alert_of(n, v[i], a, &shown[i]);
    }
    out->dedup_key = l->group->key;
    out->group = count ? common_labels(v, count, a) : l->group->labels;
    out->alerts = shown;
    out->n_alerts = count < most ? count : most;
    out->more = count - out->n_alerts;
    if (count) {
        out->title = title(a, out, v, count, firing);
        out->text = text_of_alerts(n, a, out);
        links(n, a, v[0], out);
    }
}
