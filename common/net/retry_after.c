/* See retry_after.h. */
#include "common/net/retry_after.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WAIT_MOST_S = 3600 };

static int month_of(const char *name)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const char *p = strlen(name) == 3 ? strstr(months, name) : NULL;

    return p && (p - months) % 3 == 0 ? (int)(p - months) / 3 + 1 : 0;
}

/* Any form's fields; false when the text has another. */
static bool date_fields(const char *s, int *year, char month[4], int *day, int clock[3])
{
    const char *comma = strchr(s, ',');
    int used = 0;

    if (comma) {
        s = comma + 1;
        if (sscanf(s, " %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", day, month, year, &clock[0], &clock[1],
                   &clock[2], &used) == 6 &&
            used)
            return *year > 1900;
        if (sscanf(s, " %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", day, month, year, &clock[0], &clock[1],
                   &clock[2], &used) != 6 ||
            !used)
            return false;
        *year += *year < 70 ? 2000 : 1900;
        return true;
    }
    return sscanf(s, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d", month, day, &clock[0], &clock[1],
                  &clock[2], year) == 6 &&
           *year > 1900;
}

static bool date_parse(const char *s, struct wall *out)
{
    int year = 0, day = 0, clock[3] = {0}, m;
    char month[4] = "", text[96];

    if (!date_fields(s, &year, month, &day, clock) || !(m = month_of(month)))
        return false;
    if (day < 0 || clock[0] < 0 || clock[1] < 0 || clock[2] < 0)
        return false;
    (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", year, m, day, clock[0], clock[1],
                   clock[2]);
    return wall_parse(text, out) == 0;
}

struct span retry_after_parse(const char *text, struct wall now)
{
    int64_t s = 0;
    struct wall date;
    size_t digits;

    text += strspn(text, " \t");
    digits = strspn(text, "0123456789");
    if (digits && !text[digits + strspn(text + digits, " \t")]) {
        for (size_t i = 0; i < digits && s <= WAIT_MOST_S; i++)
            s = s * 10 + (text[i] - '0');
    } else if (!digits && date_parse(text, &date)) {
        s = date.ms > now.ms ? (date.ms - now.ms + 999) / 1000 : 0;
    }
    return span_s(s > WAIT_MOST_S ? WAIT_MOST_S : s);
}
