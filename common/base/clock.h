/* Time with types. Monotonic (boot clock), wall and duration are different one-member structs: mixing them
 * does not compile. Nothing here reads a clock; common/net/loop.h does, once per turn. */
#ifndef SB_BASE_CLOCK_H
#define SB_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct mono {
    int64_t ns; /* CLOCK_BOOTTIME */
};
struct wall {
    int64_t ms; /* since 1970-01-01 UTC */
};
struct span {
    int64_t ns; /* a duration; may be negative */
};

static inline struct span span_ns(int64_t ns)
{
    return (struct span){ns};
}
static inline struct span span_ms(int64_t ms)
{
    return (struct span){ms * 1000000};
}
static inline struct span span_s(int64_t s)
{
    return (struct span){s * 1000000000};
}
static inline int64_t span_to_ms(struct span d)
{
    return d.ns / 1000000;
}
static inline int64_t mono_to_ms(struct mono t)
{
    return t.ns / 1000000;
}
static inline double span_seconds(struct span d)
{
    return (double)d.ns / 1e9;
}
static inline struct mono mono_add(struct mono t, struct span d)
{
    return (struct mono){t.ns + d.ns};
}
static inline struct span mono_sub(struct mono a, struct mono b)
{
    return (struct span){a.ns - b.ns};
}
static inline bool mono_before(struct mono a, struct mono b)
{
    return a.ns < b.ns;
}
static inline struct wall wall_add(struct wall t, struct span d)
{
    return (struct wall){t.ms + d.ns / 1000000};
}
static inline struct span wall_sub(struct wall a, struct wall b)
{
    return span_ms(a.ms - b.ms);
}
static inline bool wall_before(struct wall a, struct wall b)
{
    return a.ms < b.ms;
}

enum { WALL_TEXT = 64 };
/* Writes RFC 3339 UTC with milliseconds ("2026-11-24T05:59:00.000Z") into out[WALL_TEXT]; returns out. Times
 * outside the years 1 to 9999 are clamped. */
char *wall_text(struct wall t, char out[WALL_TEXT]);
/* Reads RFC 3339 (any offset, optional fraction). 0 or ERR_MALFORMED. */
int wall_parse(const char *s, struct wall *out);

#endif
