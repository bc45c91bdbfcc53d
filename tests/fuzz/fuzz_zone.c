/* Any bytes as a TZif file: read or refused, and whatever was read answers every question about any instant
 * without a fault: periods hold their instant, local times come back, windows that are next begin no earlier. The
 * first 8 bytes are an instant, the 9th says how long a text of weekly windows follows. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void ask(const struct zone *z, struct wall t)
{
    struct civil c = zone_civil(z, t);
    struct wall a = zone_instant(z, &c, false), b = zone_instant(z, &c, true), next;

    must(c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= 31 && c.year >= 1 && c.year <= 9999,
         "a date");
    must(a.ms <= b.ms, "the first instant is not after the later");
    for (int p = 0; p <= PERIOD_YEAR; p++) {
        zone_period(z, (enum period)p, t, &a, &b);
        must(a.ms <= b.ms, "a period backwards");
        zone_period_at(z, (enum period)p, t, (int)(t.ms % 40), &a, &b);
    }
    for (int i = 0; i < 4 && zone_next_change(z, t, &next); i++) {
        must(next.ms > t.ms, "a change that is not later");
        t = next;
    }
}

static void windows(const struct zone *z, const char *text, struct wall t)
{
    struct weekly w[WEEKLY_MOST];
    struct wall from, to;
    unsigned n;

    if (weekly_parse(text, w, &n, NULL) < 0)
        return;
    (void)weekly_holds(w, n, z, t);
    if (weekly_next(w, n, z, t, &from, &to))
        must(from.ms >= t.ms && from.ms < to.ms, "the next window");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zone *z;
    struct wall t;
    struct err e = {0};
    char text[256] = "";
    size_t n;

    if (size < 9)
        return 0;
    memcpy(&t.ms, data, 8);
    n = data[8] < size - 9 ? data[8] : size - 9;
    memcpy(text, data + 9, n);
    z = zone_parse("Fuzz/Zone", (struct bytes){data + 9 + n, size - 9 - n}, &e);
    must((z != NULL) == (e.code == 0), "refused without a sentence");
    if (!z)
        return 0;
    ask(z, t);
    ask(z, (struct wall){t.ms % 8000000000000});
    windows(z, text, (struct wall){t.ms % 8000000000000});
    (void)zone_read(z, text, &t, NULL);
    zone_free(&z);
    return 0;
}
