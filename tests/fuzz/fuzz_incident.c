/* Any bytes as records of incidents and as what happens to them: nothing is read beyond its end, what is shown is JSON,
 * counts never fall below zero, and everything is released. Pieces are separated by a byte 0xff: the first letter of each
 * says what it is, r a record (its key up to a NUL), n a notice, a t l k p what people and the clock do. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "aggregator/incident/incident.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct mem mem;
    struct incidents *i;
    int64_t now;
    char last[32]; /* the incident that a line was written to last */
};

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void record(void *arg, struct bytes key, struct bytes value)
{
    (void)arg;
    must(key.n > 2 && (!value.p || value.n), "a record");
}

static void line(void *arg, const char *incident, struct wall t, const char *json)
{
    struct world *w = arg;
    cJSON *o = cJSON_Parse(json);

    (void)t;
    must(cJSON_IsObject(o), "a line that is no JSON");
    cJSON_Delete(o);
    snprintf(w->last, sizeof w->last, "%s", incident);
}

static const struct config *defaults(void)
{
    static struct config *c;
    static const struct config_source source = {"x.ini", {(const uint8_t *)"[incidents]\n", 12}};
    struct buf report;
    struct err e;

    if (!c) {
        buf_init(&report, NULL, 1 << 20);
        c = config_parse(&source, 1, &incidents_section, 1, &report, &e);
        buf_free(&report);
    }
    return c;
}

static void step(struct world *w, struct incident_event ev)
{
    const struct incident_effects out = {.arg = w, .record = record, .line = line};
    struct err e = {0};
    char id[32];
    int rc;

    ev.now.ms = w->now;
    rc = incidents_step(w->i, &ev, &out, id, &e);
    must(rc <= 0 && (rc == 0 || e.text[0]), "an error without a sentence");
}

static void notice(struct world *w, const char *text, uint8_t how)
{
    struct label l[] = {{"host", text}, {"region", how & 1 ? "a" : "b"}, {"service", how & 2 ? "x" : ""}};
    struct alert_notice n = {.rule = how & 4 ? "one" : "two",
                             .labels = {l, 3},
                             .to = how & 8 ? ALERT_FIRING : ALERT_INACTIVE,
                             .severity = (enum severity)(how >> 4 & 3),
                             .suppressed = how & 64,
                             .epoch = how >> 3,
                             .t = {w->now},
                             .since = {w->now - how},
                             .summary = text};

    n.id = labels_fingerprint(n.rule, n.labels);
    step(w, (struct incident_event){.kind = INCIDENT_NOTICE, .notice = &n});
}

static void piece(struct world *w, char *p, size_t n)
{
    size_t key = strnlen(p + 1, n - 1);
    struct incident_event ev = {.incident = w->last, .who = p + 1, .text = p + 1};

    w->now += (uint8_t)p[0] * 1000;
    switch (p[0]) {
    case 'r':
        if (key + 1 < n)
            (void)incidents_restore(w->i, (struct bytes){(uint8_t *)p + 1, key},
                                    (struct bytes){(uint8_t *)p + key + 2, n - key - 2}, NULL);
        return;
    case 'n':
        if (n > 1)
            notice(w, p + 2, (uint8_t)p[1]);
        return;
    case 'a': ev.kind = INCIDENT_ACK; break;
    case 'l': ev.kind = INCIDENT_RESOLVE; break;
    case 'k': ev.kind = INCIDENT_NOTE; break;
    case 'c': ev.kind = INCIDENT_CHANGE; break;
    case 'p': w->now += 86400000; /* and a day goes by */
    default: ev.kind = INCIDENT_TICK;
    }
    step(w, ev);
}

static void look(struct world *w)
{
    const char *lines[] = {"{\"t\":\"2026-01-01T00:00:00Z\",\"kind\":\"x\",\"text\":\"|\"}", "nonsense",
                           "[]"};
    struct buf out;
    cJSON *o;

    buf_init(&out, NULL, 64 << 20);
    must(incidents_list(w->i, NULL, 0, 10, &out) == 0, "a list");
    o = cJSON_ParseWithLength((const char *)out.data, out.len);
    must(cJSON_IsObject(o), "a list that is no JSON");
    cJSON_Delete(o);
    buf_clear(&out);
    if (incidents_show(w->i, w->last, lines, 3, &out, NULL) == 0) {
        o = cJSON_ParseWithLength((const char *)out.data, out.len);
        must(cJSON_IsObject(o), "an incident that is no JSON");
        cJSON_Delete(o);
        buf_clear(&out);
        must(incidents_postmortem(w->i, w->last, lines, 3, lines[0], &out, NULL) == 0, "a postmortem");
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.now = 1767571200000};
    struct incidents_params p = {.config = defaults(), .mem = &w.mem, .region = "a"};
    struct err e;
    char *text = malloc(size + 1), *at = text, *end = text + size;

    memcpy(text, data, size);
    text[size] = 0;
    w.i = incidents_new(&p, &e);
    must(w.i != NULL, "no incidents");
    while (at < end) {
        char *stop = memchr(at, 0xff, (size_t)(end - at));

        stop = stop ? stop : end;
        *stop = 0;
        if (stop > at)
            piece(&w, at, (size_t)(stop - at));
        at = stop + 1;
    }
    look(&w);
    incidents_free(&w.i);
    must(w.mem.used == 0, "memory that was not released");
    free(text);
    return 0;
}
