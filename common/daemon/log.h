/* The log: logfmt (or JSON lines) on stderr or a file, journald priorities under systemd. One line per change
 * of state; repeated complaints are held back by a `struct complaint`, which says afterwards how many were.
 *
 * Values are typed, so that both forms quote them rightly:
 *   LOG(log, LOG_WARN, "ship", "endpoint failed", kv_s("endpoint", url), kv_i("status", 503));
 * Safe from any thread: one write(2) per line. The handle is passed, never global. */
#ifndef SB_DAEMON_LOG_H
#define SB_DAEMON_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum kv_type { KV_STR, KV_INT, KV_UINT, KV_REAL, KV_SPAN };
struct kv {
    const char *key;
    enum kv_type type;
    union {
        const char *s;
        int64_t i;
        uint64_t u;
        double d;
    } v;
};
static inline struct kv kv_s(const char *key, const char *s)
{
    return (struct kv){key, KV_STR, {.s = s ? s : ""}};
}
static inline struct kv kv_i(const char *key, int64_t i)
{
    return (struct kv){key, KV_INT, {.i = i}};
}
static inline struct kv kv_u(const char *key, uint64_t u)
{
    return (struct kv){key, KV_UINT, {.u = u}};
}
static inline struct kv kv_d(const char *key, double d)
{
    return (struct kv){key, KV_REAL, {.d = d}};
}
static inline struct kv kv_t(const char *key, struct span d) /* a duration */
{
    return (struct kv){key, KV_SPAN, {.i = d.ns}};
}
static inline struct kv kv_e(const struct err *e) /* error="..." */
{
    return (struct kv){"error", KV_STR, {.s = e->text}};
}

enum log_format { LOG_LOGFMT, LOG_JSON };

enum {
    LOG_LINE_MAX = 8192
}; /* bytes of a line with its newline; what does not fit is left out and counted in cut=N */

struct log; /* opaque */
struct log_params {
    enum log_level level; /* least level written */
    enum log_format format;
    const char *file; /* NULL: stderr */
    bool journald;    /* "<N>" before each line */
};
struct log *log_new(const struct log_params *p, struct err *e);
void log_free(struct log **l);
int log_reopen(struct log *l, struct err *e); /* USR1 */
void log_set_level(struct log *l, enum log_level level);
uint64_t log_lines(const struct log *l, enum log_level level); /* written so far, for metrics */
uint64_t log_lost(const struct log *l); /* lines that could not be written (disk full, pipe) */

/* l may be NULL: nothing is written. Keeps errno. */
void log_write(struct log *l, enum log_level level, const char *component, const char *msg,
               const struct kv *kv, size_t n);
#define LOG(l, level, component, msg, ...)                                                                   \
    log_write((l), (level), (component), (msg), (const struct kv[]){__VA_ARGS__},                            \
              sizeof((const struct kv[]){__VA_ARGS__}) / sizeof(struct kv))
#define LOG0(l, level, component, msg) log_write((l), (level), (component), (msg), NULL, 0)

/* Holds repeats back: zero-initialise. The first failure is logged, the next
 * after 1 s, 2 s, 4 s … at most every 10 min, each with repeats=N (those held
 * back since the line before); recovery is logged once, at info. */
struct complaint {
    bool active;
    struct mono next;
    struct span wait;
    uint64_t held; /* since the last line */
};
void log_complain(struct log *l, struct complaint *c, struct mono now, enum log_level level,
                  const char *component, const char *msg, const struct kv *kv, size_t n);
void log_recovered(struct log *l, struct complaint *c, const char *component, const char *msg);
#define COMPLAIN(l, c, now, level, component, msg, ...)                                                      \
    log_complain((l), (c), (now), (level), (component), (msg), (const struct kv[]){__VA_ARGS__},             \
                 sizeof((const struct kv[]){__VA_ARGS__}) / sizeof(struct kv))

/* The pure half, for those who write elsewhere: whether a line is due now, and how many were held back since
 * the last; whether there was something to recover from. */
bool complaint_due(struct complaint *c, struct mono now, uint64_t *held);
bool complaint_over(struct complaint *c, uint64_t *held);

/* The pure formatter, for tests: one line with its newline. */
void log_format_line(struct buf *out, enum log_format format, bool journald, struct wall now,
                     enum log_level level, const char *component, const char *msg, const struct kv *kv,
                     size_t n);

#endif
