/* See told.h.
 *
 * Everything that people or programs wrote (labels, summaries) is cleaned here before it goes into a document: several
 * services refuse a whole request for one byte that is no UTF-8. Decoding follows RFC 3629. */
#include "aggregator/notify/told.h"

#include <stdio.h>
#include <string.h>

#include "common/config/text.h"
#include "common/net/openssl.h"

enum { LABEL_MOST = 2048, TEXT_MOST = 16384, LINE_MOST = 1024 };

static const char elided[] = "\xe2\x80\xa6";      /* … */
static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

static size_t put(char *out, size_t at, const char *s, size_t n)
{
    memcpy(out + at, s, n);
    return at + n;
}

static bool is_control(unsigned char c, bool line)
{
    return (c < 0x20 || c == 0x7f) && (line || (c != '\n' && c != '\t'));
}

static bool is_clean(const char *s, size_t n, bool line)
{
    for (size_t i = 0, step; i < n; i += step) {
        step = utf8_len((const unsigned char *)s + i, n - i);
        if (!step || (step == 1 && is_control((unsigned char)s[i], line)))
            return false;
    }
    return true;
}

static const char *clean(struct arena *a, const char *s, size_t most, bool line)
{
    size_t n = strlen(s), in = 0, at = 0, kept = 0, step, take, room;
    char *out;

    if (is_clean(s, n, line) && n <= most)
        return s;
    room = 3 * n < most ? 3 * n : most; /* a byte that is no UTF-8 becomes three */
    out = arena_alloc(a, room + 8);
    if (!out)
        return "";
    while (in < n) {
        unsigned char c = (unsigned char)s[in];

        step = utf8_len((const unsigned char *)s + in, n - in);
        take = step ? step : sizeof replacement - 1;
        if (at + take > most)
            break;
        if (!step)
            at = put(out, at, replacement, take);
        else if (step == 1 && is_control(c, line))
            out[at++] = ' ';
        else
            at = put(out, at, s + in, step);
        in += step ? step : 1;
        if (at + sizeof elided - 1 <= most)
            kept = at;
    }
    if (in < n) /* cut: the ellipsis counts */
        at = most >= sizeof elided - 1 ? put(out, kept, elided, sizeof elided - 1) : 0;
    out[at] = 0;
    return out;
}

const char *told_clean(struct arena *a, const char *s, size_t most)
{
    return clean(a, s, most, false);
}

const char *told_line(struct arena *a, const char *s, size_t most)
{
    return clean(a, s, most, true);
}

const char *told_status(const struct notification *n)
{
    switch (n->tell) {
    case TELL_TRIGGER: return "firing";
    case TELL_ACKNOWLEDGE: return "acknowledged";
    case TELL_RESOLVE: return "resolved";
    default: return tell_name(n->tell);
    }
}

const char *told_label(const struct notification *n, const char *name)
{
    struct labels sets[2] = {n->group, {0}};

    if (n->n_alerts)
        sets[1] = n->alerts[0].labels;
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < sets[k].n; i++)
            if (strcmp(sets[k].v[i].name, name) == 0 && *sets[k].v[i].value)
                return sets[k].v[i].value;
    return "";
}

const char *told_text(struct arena *a, const struct notification *n, size_t most)
{
    const char *link = told_line(a, n->link, 1024), *ack = told_line(a, n->ack_link, 1024);
    char tail[2200], *out = arena_alloc(a, most + 1);
    size_t len = 0, room;
    const char *text;

    if (!out)
        return "";
    if (*link)
        len += (size_t)snprintf(tail + len, sizeof tail - len, "\nConsole: %s", link);
    if (*ack)
        len += (size_t)snprintf(tail + len, sizeof tail - len, "\nAcknowledge: %s", ack);
    if (len > most / 2)
        len = 0;
    tail[len] = 0;
    room = most - len;
    text = told_clean(a, *n->text ? n->text : n->title, room);
    (void)snprintf(out, most + 1, "%s%s", text, tail);
    return out;
}

/* ---- JSON ---- */

void told_add(cJSON *o, struct arena *a, const char *key, const char *value, size_t most)
{
    cJSON_AddStringToObject(o, key, told_clean(a, value, most));
}

void told_add_line(cJSON *o, struct arena *a, const char *key, const char *value, size_t most)
{
    cJSON_AddStringToObject(o, key, told_line(a, value, most));
}

void told_add_time(cJSON *o, const char *key, struct wall t)
{
    char text[WALL_TEXT];

    if (t.ms)
        cJSON_AddStringToObject(o, key, wall_text(t, text));
    else
        cJSON_AddNullToObject(o, key);
}

cJSON *told_labels(struct arena *a, struct labels l)
{
    cJSON *o = cJSON_CreateObject();

    for (uint32_t i = 0; i < l.n; i++)
        told_add(o, a, told_line(a, l.v[i].name, 256), l.v[i].value, LABEL_MOST);
    return o;
}

static cJSON *alert_item(struct arena *a, const struct told_alert *t)
{
    cJSON *o = cJSON_CreateObject();

    told_add_line(o, a, "rule", t->rule, LABEL_MOST);
    cJSON_AddStringToObject(o, "id", t->id);
    cJSON_AddBoolToObject(o, "firing", t->firing);
    cJSON_AddStringToObject(o, "severity", severity_name(t->severity));
    cJSON_AddItemToObject(o, "labels", told_labels(a, t->labels));
    told_add_time(o, "since", t->since);
    told_add_time(o, "ended", t->ended);
    cJSON_AddNumberToObject(o, "value", t->value);
    cJSON_AddNumberToObject(o, "threshold", t->threshold);
    told_add(o, a, "summary", t->summary, TEXT_MOST);
    told_add(o, a, "description", t->description, TEXT_MOST);
    told_add_line(o, a, "runbook", t->runbook, LABEL_MOST);
    told_add_line(o, a, "explain", t->explain, LABEL_MOST);
    return o;
}

cJSON *told_item(struct arena *a, const struct notification *n, uint32_t alerts)
{
    cJSON *o = cJSON_CreateObject(), *list;

    cJSON_AddNumberToObject(o, "version", 1);
    cJSON_AddStringToObject(o, "tell", tell_name(n->tell));
    cJSON_AddStringToObject(o, "status", told_status(n));
    told_add_line(o, a, "dedup_key", n->dedup_key, 255);
    told_add_line(o, a, "title", n->title, LINE_MOST);
    told_add(o, a, "text", n->text, TEXT_MOST);
    cJSON_AddStringToObject(o, "severity", severity_name(n->severity));
    cJSON_AddItemToObject(o, "group", told_labels(a, n->group));
    list = cJSON_AddArrayToObject(o, "alerts");
    for (uint32_t i = 0; i < alerts && i < n->n_alerts; i++)
        cJSON_AddItemToArray(list, alert_item(a, &n->alerts[i]));
    cJSON_AddNumberToObject(o, "more", (double)n->more + (n->n_alerts - (double)alerts));
    told_add_line(o, a, "source", n->source, LINE_MOST);
    told_add_line(o, a, "link", n->link, LABEL_MOST);
    told_add_line(o, a, "ack_link", n->ack_link, LABEL_MOST);
    told_add_time(o, "time", n->t);
    told_add_time(o, "first", n->first);
    cJSON_AddNumberToObject(o, "attempt", n->attempt);
    told_add_line(o, a, "change_kind", n->change_kind, LABEL_MOST);
    return o;
}

struct bytes told_print(struct arena *a, cJSON **j)
{
    char *text = *j ? cJSON_PrintUnformatted(*j) : NULL, *copy;
    size_t n;

    cJSON_Delete(*j);
    *j = NULL;
    if (!text)
        return (struct bytes){0};
    n = strlen(text);
    copy = arena_text(a, text, n);
    cJSON_free(text);
    return copy ? (struct bytes){(const uint8_t *)copy, n} : (struct bytes){0};
}

struct bytes told_json(struct arena *a, const struct notification *n, size_t most)
{
    uint32_t alerts = n->n_alerts;

    for (;;) {
        cJSON *j = told_item(a, n, alerts);
        struct bytes b = told_print(a, &j);

        if (!b.p || b.n <= most || !alerts)
            return b;
        alerts /= 2;
    }
}

/* ---- copies ---- */

struct copier {
    struct arena *a;
    bool failed;
};

static const char *copy_text(struct copier *c, const char *s)
{
    char *t = arena_text(c->a, s ? s : "", s ? strlen(s) : 0);

    c->failed = c->failed || !t;
    return t;
}

static struct labels copy_labels(struct copier *c, struct labels l)
{
    struct label *v = arena_array(c->a, l.n ? l.n : 1, sizeof *v);

    if (!v) {
        c->failed = true;
        return (struct labels){0};
    }
    for (uint32_t i = 0; i < l.n; i++)
        v[i] = (struct label){copy_text(c, l.v[i].name), copy_text(c, l.v[i].value)};
    return (struct labels){v, l.n};
}

static const struct told_alert *copy_alerts(struct copier *c, const struct told_alert *from, uint32_t n)
{
    struct told_alert *v = arena_array(c->a, n ? n : 1, sizeof *v);

    if (!v) {
        c->failed = true;
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        v[i] = from[i];
        v[i].rule = copy_text(c, from[i].rule);
        v[i].labels = copy_labels(c, from[i].labels);
        v[i].summary = copy_text(c, from[i].summary);
        v[i].description = copy_text(c, from[i].description);
        v[i].runbook = copy_text(c, from[i].runbook);
        v[i].explain = copy_text(c, from[i].explain);
    }
    return v;
}

struct notification *told_copy(struct arena *a, const struct notification *n)
{
    struct notification *m = arena_alloc(a, sizeof *m);
    struct copier c = {.a = a};

    if (!m)
        return NULL;
    *m = *n;
    m->dedup_key = copy_text(&c, n->dedup_key);
    m->title = copy_text(&c, n->title);
    m->text = copy_text(&c, n->text);
    m->group = copy_labels(&c, n->group);
    m->alerts = copy_alerts(&c, n->alerts, n->n_alerts);
    m->source = copy_text(&c, n->source);
    m->link = copy_text(&c, n->link);
    m->ack_link = copy_text(&c, n->ack_link);
    m->change_kind = copy_text(&c, n->change_kind);
    return c.failed ? NULL : m;
}

void told_hash(char out[65], const char *const *parts)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct buf all;

    buf_init(&all, NULL, 1 << 20);
    for (; *parts; parts++) {
        buf_str(&all, *parts);
        buf_u8(&all, '\n');
    }
    SHA256(all.data ? all.data : (const uint8_t *)"", all.len, digest);
    buf_free(&all);
    for (size_t i = 0; i < sizeof digest; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
