/* See cron.h. */
#include "aggregator/failover/cron.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FIELDS = 5, WORD = 64, DAYS_AHEAD = 5 * 366 };

static const struct field {
    const char *name;
    int least, most;
} fields[FIELDS] = {{"minute", 0, 59}, {"hour", 0, 23}, {"day", 1, 31}, {"month", 1, 12}, {"weekday", 0, 7}};

static int malformed(struct err *e, const struct field *f, const char *word)
{
    return err_set(e, ERR_MALFORMED,
                   "%s: found \"%.40s\", expected *, a number from %d to %d, a range, a step or a list",
                   f->name, word, f->least, f->most);
}

/* A number or, for weekdays, a name; the rest of the text, or NULL. */
static const char *number(const struct field *f, const char *s, int *out)
{
    static const char *const days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    char *end;

    if (f->most == 7 && isalpha((unsigned char)*s)) {
        for (int i = 0; i < 7; i++) {
            if (strncasecmp(s, days[i], 3) == 0) {
                *out = i;
                return s + 3;
            }
        }
        return NULL;
    }
    if (!isdigit((unsigned char)*s))
        return NULL;
    *out = (int)strtol(s, &end, 10);
    return *out >= f->least && *out <= f->most ? end : NULL;
}

struct part {
    int from, to, step, nth; /* nth 0: any week */
};

/* One member of a list. */
static int read_part(const struct field *f, const char *word, struct part *p, struct err *e)
{
    const char *s = word;

    *p = (struct part){f->least, f->most, 1, 0};
    if (*s == '*') {
        s++;
    } else {
        s = number(f, s, &p->from);
        if (!s)
            return malformed(e, f, word);
        p->to = p->from;
        if (*s == '-')
            s = number(f, s + 1, &p->to);
        else if (*s == '/')
            p->to = f->most;
    }
    if (s && *s == '#' && f->most == 7 && s[1] >= '1' && s[1] <= '5' && *word != '*') {
        p->nth = s[1] - '0';
        s += 2;
    }
    if (s && *s == '/' && isdigit((unsigned char)s[1])) {
        char *end;

        p->step = (int)strtol(s + 1, &end, 10);
        s = end;
    }
    if (!s || *s || p->step < 1 || p->step > 60 || p->from > p->to)
        return malformed(e, f, word);
    return 0;
}

static void put(struct cron *c, int field, int value, int nth)
{
    switch (field) {
    case 0: c->minutes |= UINT64_C(1) << value; break;
    case 1: c->hours |= UINT32_C(1) << value; break;
    case 2: c->days |= UINT32_C(1) << value; break;
    case 3: c->months = (uint16_t)(c->months | 1U << value); break;
    default: c->weekdays[nth] = (uint8_t)(c->weekdays[nth] | 1U << ((value + 6) % 7)); break;
    }
}

static int read_field(int field, const char *text, size_t n, struct cron *c, struct err *e)
{
    while (n) {
        size_t len = 0;
        char word[WORD];
        struct part p;
        int rc;

        while (len < n && text[len] != ',')
            len++;
        if (len == 0 || len >= sizeof word)
            return malformed(e, &fields[field], text);
        (void)snprintf(word, sizeof word, "%.*s", (int)len, text);
        rc = read_part(&fields[field], word, &p, e);
        if (rc)
            return rc;
        for (int v = p.from; v <= p.to; v += p.step)
            put(c, field, v, p.nth);
        if (len == n)
            return 0;
        text += len + 1;
        n -= len + 1;
    }
    return malformed(e, &fields[field], text); /* a comma at the end */
}

int cron_parse(const char *text, struct cron *out, struct err *e)
{
    const char *s = text + strspn(text, " \t");

    *out = (struct cron){.minutes = 0};
    for (int i = 0; i < FIELDS; i++) {
        size_t n = strcspn(s, " \t");
        int rc;

        if (n == 0)
            return err_set(e, ERR_MALFORMED,
                           "found \"%.60s\", expected five fields: minute hour day month weekday", text);
        rc = read_field(i, s, n, out, e);
        if (rc)
            return rc;
        s += n;
        s += strspn(s, " \t");
    }
    return *s ? err_set(e, ERR_MALFORMED, "found \"%.40s\" behind the five fields", s) : 0;
}

static bool day_fits(const struct cron *c, const struct civil *d)
{
    int nth = (d->day - 1) / 7 + 1;

    return (c->months >> d->month & 1) && (c->days >> d->day & 1) &&
           ((c->weekdays[0] >> d->weekday & 1) || (c->weekdays[nth] >> d->weekday & 1));
}

bool cron_next(const struct cron *c, const struct zone *z, struct wall t, struct wall *out)
{
    struct civil first = zone_civil(z, t);

    for (int ahead = 0; ahead < DAYS_AHEAD; ahead++) {
        struct civil noon = {.year = first.year, .month = first.month, .hour = 12}, day;
        struct wall best = {INT64_MAX};

        noon.day = first.day;
        day = zone_civil(z, wall_add(zone_instant(z, &noon, false), span_s(86400LL * ahead)));
        if (!day_fits(c, &day))
            continue;
        for (int8_t h = 0; h < 24; h++) {
            for (int8_t m = 0; (c->hours >> h & 1) && m < 60; m++) {
                struct civil at = {
                    .year = day.year, .month = day.month, .day = day.day, .hour = h, .minute = m};
                struct wall w;

                if (!(c->minutes >> m & 1))
                    continue;
                w = zone_instant(z, &at, false);
                if (wall_before(t, w) && wall_before(w, best))
                    best = w;
            }
        }
        if (best.ms != INT64_MAX) {
            *out = best;
            return true;
        }
    }
    return false;
}
