/* DogStatsD events and service checks as events of the wire.
 *
 *   _e{TITLE_LENGTH,TEXT_LENGTH}:TITLE|TEXT[|d:SECONDS][|h:HOST][|k:KEY][|p:PRIORITY][|s:SOURCE][|t:ALERT_TYPE][|#TAGS]
 *   _sc|NAME|STATUS[|d:SECONDS][|h:HOST][|#TAGS][|m:MESSAGE]
 *
 * An event is of kind note, unless a tag kind: says deployment, rollback, config or note. */
#include <string.h>

#include "agent/inputs/statsd_in.h"
#include "agent/utf8.h"

struct draft {
    struct statsd *s;
    struct wire_event e;
    struct wire_label labels[WIRE_MAX_LABELS];
};

static struct wire_str str(const char *s)
{
    return (struct wire_str){s, (uint32_t)strlen(s)};
}

static bool is(struct wire_str s, const char *t)
{
    return s.n == strlen(t) && memcmp(s.p, t, s.n) == 0;
}

static bool add_label(struct draft *d, struct wire_str name, struct wire_str value)
{
    static const char exported[] = "exported_";

    for (bool again = true; again;) {
        again = !wire_label_name_ok(name.p, name.n);
        for (uint32_t i = 0; i < d->e.n_labels; i++)
            again |= name.n == d->labels[i].name.n && memcmp(name.p, d->labels[i].name.p, name.n) == 0;
        if (again) {
            char *p = arena_alloc(&d->s->event_mem, name.n + sizeof exported);

            if (!p || name.n + sizeof exported > WIRE_MAX_LABEL_NAME)
                return false;
            memcpy(p, exported, sizeof exported - 1);
            memcpy(p + sizeof exported - 1, name.p, name.n);
            name = (struct wire_str){p, name.n + (uint32_t)sizeof exported - 1};
        }
    }
    if (d->e.n_labels == WIRE_MAX_LABELS)
        return false;
    d->labels[d->e.n_labels++] = (struct wire_label){name, value};
    return true;
}

/* The text with `\n` for newlines turned into those, mended, in the event's memory. */
static struct wire_str text_of_event(struct statsd *s, const char *p, size_t n, uint32_t max)
{
    char *to = arena_alloc(&s->event_mem, n + 1);
    size_t len = 0;

    for (size_t i = 0; to && i < n; i++) {
        if (p[i] == '\\' && i + 1 < n && p[i + 1] == 'n') {
            to[len++] = '\n';
            i++;
        } else {
            to[len++] = p[i];
        }
    }
    return to ? utf8_mend(&s->event_mem, to, (uint32_t)len, max) : (struct wire_str){"", 0};
}

static bool add_tags(struct draft *d, const char *p, size_t n)
{
    static const char *const kinds[] = {"deployment", "rollback", "config", "note"};
    char *copy = arena_text(&d->s->event_mem, p, n);
    struct wire_label l[WIRE_MAX_LABELS];
    uint32_t count = 0;

    if (!copy || !statsd_labels(&d->s->event_mem, (struct bytes){(const uint8_t *)copy, n}, l,
                                WIRE_MAX_LABELS - 8, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        bool kind = false;

        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            if (!is(l[i].name, "kind") || !is(l[i].value, kinds[k]) || is(d->e.kind, "service_check"))
                continue;
            d->e.kind = str(kinds[k]);
            kind = true;
        }
        if (!kind && !add_label(d, l[i].name, l[i].value))
            return false;
    }
    return true;
}

static bool digits(const char *p, size_t n, int64_t max, int64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9' || *out > max / 10)
            return false;
        *out = *out * 10 + (p[i] - '0');
    }
    return n > 0 && *out <= max;
}

/* One field behind the fixed ones. */
static bool field(struct draft *d, const char *p, size_t n)
{
    static const struct {
        char c;
        const char *label;
    } named[] = {
        {'h', "host"}, {'k', "aggregation_key"}, {'p', "priority"}, {'s', "source"}, {'t', "alert_type"}};
    int64_t seconds;

    if (n && *p == '#')
        return add_tags(d, p + 1, n - 1);
    if (n < 2 || p[1] != ':')
        return n > 0;
    if (*p == 'd') {
        if (!digits(p + 2, n - 2, 253402300799, &seconds))
            return false;
        d->e.t = seconds * 1000;
    }
    if (*p == 'm')
        d->e.text = text_of_event(d->s, p + 2, n - 2, WIRE_MAX_EVENT_TEXT);
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (*p == named[i].c && n > 2)
            return add_label(d, str(named[i].label), text_of_event(d->s, p + 2, n - 2, WIRE_MAX_LABEL_VALUE));
    return true;
}

static bool fields(struct draft *d, const char *p, const char *end)
{
    while (p < end) {
        const char *bar = memchr(p, '|', (size_t)(end - p)), *stop = bar ? bar : end;

        if (!field(d, p, (size_t)(stop - p)))
            return false;
        p = bar ? bar + 1 : end;
    }
    return true;
}

static bool event(struct draft *d, const char *p, size_t n)
{
    const char *end = p + n, *comma = memchr(p, ',', n), *close = memchr(p, '}', n);
    int64_t title, text;

    if (!comma || !close || comma > close || !digits(p + 3, (size_t)(comma - p - 3), 65535, &title) ||
        !digits(comma + 1, (size_t)(close - comma - 1), 65535, &text) || !title)
        return false;
    p = close + 1;
    if (end - p < 2 + title + text || p[0] != ':' || p[1 + title] != '|')
        return false;
    d->e.kind = str("note");
    d->e.name = text_of_event(d->s, p + 1, (size_t)title, WIRE_MAX_EVENT_NAME);
    d->e.text = text_of_event(d->s, p + 2 + title, (size_t)text, WIRE_MAX_EVENT_TEXT);
    p += 2 + title + text;
    return p == end || (*p == '|' && fields(d, p + 1, end));
}

static bool service_check(struct draft *d, const char *p, size_t n)
{
    static const char *const states[] = {"ok", "warning", "critical", "unknown"};
    const char *end = p + n, *name = p + 4, *bar, *after;

    if (n < 6 || memcmp(p, "_sc|", 4) != 0)
        return false;
    bar = memchr(name, '|', (size_t)(end - name));
    if (!bar || bar == name || end - bar < 2 || bar[1] < '0' || bar[1] > '3')
        return false;
    after = bar + 2;
    d->e.kind = str("service_check");
    d->e.name = text_of_event(d->s, name, (size_t)(bar - name), WIRE_MAX_EVENT_NAME);
    if (!add_label(d, str("status"), str(states[bar[1] - '0'])))
        return false;
    return after == end || (*after == '|' && fields(d, after + 1, end));
}

enum statsd_error statsd_event_line(struct statsd *s, struct wall now, const char *p, size_t n)
{
    struct draft d = {.s = s, .e = {.t = now.ms, .text = {"", 0}}};
    bool ok;

    if (s->n_events == STATSD_MAX_EVENTS)
        return STATSD_EVENTS;
    ok = p[1] == 'e' ? event(&d, p, n) : service_check(&d, p, n);
    if (!ok)
        return STATSD_EVENT;
    d.e.labels = arena_array(&s->event_mem, d.e.n_labels ? d.e.n_labels : 1, sizeof *d.e.labels);
    if (!d.e.labels || !d.e.name.n)
        return STATSD_MEMORY;
    memcpy(d.e.labels, d.labels, d.e.n_labels * sizeof *d.e.labels);
    s->events[s->n_events++] = d.e;
    s->stats.events++;
    return STATSD_OK;
}

const struct wire_event *statsd_events(const struct statsd *s, uint32_t *n)
{
    *n = s->n_events;
    return s->events;
}

void statsd_events_clear(struct statsd *s)
{
    s->n_events = 0;
    arena_free(&s->event_mem);
}
