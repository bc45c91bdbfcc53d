/* --check-config for who is told what and when: the same reading as at a start, and for each window and rota what comes
 * next, because a window that is not where one believes it to be is found out at night. */
#include "aggregator/notify/notify_private.h"

#include <string.h>

enum { NEXT = 3, LOOK_DAYS = 60 };

static void note(struct buf *report, const struct section *s, const char *kind, const char *text)
{
    if (s && report)
        buf_fmt(report, "warning: %s: [%s %s] %s\n", section_origin(s), kind, section_label(s), text);
}

static void occurrences(const struct weekly *w, unsigned n, const struct zone *z, struct wall now,
                        struct buf *text)
{
    struct wall at = now, from, to;
    char a[WALL_TEXT], b[WALL_TEXT];

    buf_str(text, "holds next");
    for (int i = 0; i < NEXT && weekly_next(w, n, z, at, &from, &to); i++) {
        buf_fmt(text, "%s %s to %s", i ? "," : "", wall_text(from, a), wall_text(to, b));
        at = wall_add(from, span_ms(1));
    }
}

static void show_mutes(const struct plan *p, const struct config *c, struct wall now, struct buf *report)
{
    struct buf text;

    buf_init(&text, NULL, 4096);
    for (uint32_t i = 0; i < p->n_mutes; i++) {
        buf_clear(&text);
        if (!p->mutes[i].zone)
            continue;
        occurrences(p->mutes[i].windows, p->mutes[i].n_windows, p->mutes[i].zone, now, &text);
        note(report, config_named(c, "mute", i), "mute", buf_text(&text));
    }
    for (uint32_t i = 0; i < p->n_maintenance; i++) {
        const struct maintenance_plan *m = &p->maintenance[i];
        char a[WALL_TEXT], b[WALL_TEXT];

        buf_clear(&text);
        if (!m->zone)
            continue;
        if (m->n_windows)
            occurrences(m->windows, m->n_windows, m->zone, now, &text);
        else
            buf_fmt(&text, "holds %s to %s", wall_text(m->from, a), wall_text(m->to, b));
        note(report, config_named(c, "maintenance", i), "maintenance", buf_text(&text));
    }
    buf_free(&text);
}

/* Shifts, and the gaps of the next weeks. */
static void show_rotas(struct plan *p, const struct config *c, struct wall now, struct buf *report)
{
    struct notify n = {.plan = p, .now = now};
    struct buf text;

    buf_init(&text, NULL, 4096);
    for (uint32_t i = 0; i < p->n_rotas; i++) {
        struct wall t = now, end = wall_add(now, span_s(LOOK_DAYS * 86400)), until, gap = {0};
        int64_t uncovered = 0;
        char a[WALL_TEXT];

        buf_clear(&text);
        buf_str(&text, "on call next:");
        for (int k = 0; p->rotas[i].zone && t.ms < end.ms && k < 2000; k++) {
            int32_t who = rota_on_call(&n, i, t, &until);

            if (k < NEXT)
                buf_fmt(&text, "%s %s until %s", k ? "," : "",
                        who < 0 ? "nobody" : p->rotas[i].people[who].name, wall_text(until, a));
            if (who < 0) {
                gap = gap.ms ? gap : t;
                uncovered += until.ms - t.ms;
            }
            t = until;
        }
        note(report, config_named(c, "rota", i), "rota", buf_text(&text));
        if (uncovered) {
            buf_clear(&text);
            buf_fmt(&text,
                    "nobody is on call for %lld of the next %d hours, first at %s: the fallback is told",
                    (long long)(uncovered / 3600000), LOOK_DAYS * 24, wall_text(gap, a));
            note(report, config_named(c, "rota", i), "rota", buf_text(&text));
        }
    }
    buf_free(&text);
}

int notify_check(const struct config *c, const struct notify_zones *z, struct wall now, struct buf *report,
                 struct err *e)
{
    struct plan *p = plan_new(c, z, report, e);

    if (!p)
        return e->code ? e->code : ERR_CONFIG;
    if (now.ms) {
        show_mutes(p, c, now, report);
        show_rotas(p, c, now, report);
    }
    if (p->root < 0 && config_named(c, "receiver", 0))
        note(report, config_named(c, "receiver", 0), "receiver", "is told nothing: there is no [route NAME]");
    plan_free(&p);
    return 0;
}
