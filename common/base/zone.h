/* Civil time in IANA zones: TZif data (RFC 8536, versions 1 to 4, with the POSIX TZ footer) and what calendars
 * need of it. Pure: zone_io.c reads the files. The C library's localtime has one zone per process; here each
 * rota, window and objective has its own.
 *
 * A local time that a zone skips (spring) is taken as the instant of the gap's end; one that it has twice
 * (autumn) as the first of the two, unless told. So each local minute names one instant, and what lasts
 * "from 02:30 to 03:30" is never negative. */
#ifndef SB_BASE_ZONE_H
#define SB_BASE_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"

struct zone; /* immutable */

/* Reads TZif bytes. `name` is kept for zone_name. ERR_MALFORMED. Total on any bytes. */
struct zone *zone_parse(const char *name, struct bytes tzif, struct err *e);
/* zone_io.c: by its IANA name ("Europe/Berlin", "UTC") from /usr/share/zoneinfo, or $ZONEINFO if that is set.
 * ERR_NOTFOUND with a sentence; names that would leave the folder are refused. "UTC" needs no file. */
struct zone *zone_load(const char *name, struct err *e);
void zone_free(struct zone **z);
const char *zone_name(const struct zone *z);

struct civil {
    int32_t year;        /* 1 … 9999 */
    int8_t month, day;   /* 1 …; in: any values are carried over (day 0, month 13) */
    int8_t hour, minute; /* 0 … */
    int8_t second;
    int8_t weekday;  /* out: 0 Monday … 6 Sunday (ISO 8601) */
    int16_t yearday; /* out: 1 … 366 */
    int32_t offset;  /* out: seconds east of UTC */
};
struct civil zone_civil(const struct zone *z, struct wall t);
/* The instant of a local time; `later`: of two, the second. weekday, yearday, offset are ignored. */
struct wall zone_instant(const struct zone *z, const struct civil *c, bool later);
/* Next change of offset after t; false when there is none any more. */
bool zone_next_change(const struct zone *z, struct wall t, struct wall *change);

/* Half-open calendar periods that hold t: [*from, *to). */
enum period { PERIOD_HOUR, PERIOD_DAY, PERIOD_WEEK, PERIOD_MONTH, PERIOD_QUARTER, PERIOD_YEAR };
void zone_period(const struct zone *z, enum period p, struct wall t, struct wall *from, struct wall *to);
/* The same n periods further on (n may be negative): of the period that holds t, moved. */
void zone_period_at(const struct zone *z, enum period p, struct wall t, int n, struct wall *from,
                    struct wall *to);

/* Weekly windows: "mon-fri 22:00-06:00", "sat,sun 00:00-24:00", "* 02:00-03:00", several separated by ';'.
 * A window that ends before it begins goes over midnight into the next day. Local wall time of a zone. */
struct weekly {
    uint8_t days;     /* bit 0 Monday */
    int16_t from, to; /* minutes 0 … 1440; to <= from: into the next day */
};
enum { WEEKLY_MOST = 32 };
int weekly_parse(const char *text, struct weekly out[WEEKLY_MOST], unsigned *n, struct err *e);
bool weekly_holds(const struct weekly *w, unsigned n, const struct zone *z, struct wall t);
/* The next beginning at or after t, and its end; false when n is 0. */
bool weekly_next(const struct weekly *w, unsigned n, const struct zone *z, struct wall t, struct wall *from,
                 struct wall *to);

/* "2026-11-24 22:00", "2026-11-24T22:00:30", "2026-11-24": local time in z; RFC 3339 with an offset: as it says. */
int zone_read(const struct zone *z, const char *text, struct wall *out, struct err *e);

#endif
