/* The pure half of the log: one line from typed pairs, and the holding back of repeats. See log.h.
 *
 * A line is never longer than LOG_LINE_MAX and always whole: a text too long ends in "...", and pairs that do
 * not fit are left out and counted in `cut=N`, so that JSON stays JSON. Texts come from strangers (URLs,
 * answers of servers): control characters, quotes and bytes that are not UTF-8 are escaped, so that no value
 * can forge a line (CWE-117). */
#include "common/daemon/log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/config/text.h"

enum {
    MSG_MAX = 512, /* bytes of a text before escaping, which makes at most 6 of one */
    TEXT_MAX = 1024,
    NAME_MAX_LOG = 64,
    TAIL = 32, /* kept free for cut=N and what closes the line */
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const int priorities[] = {7, 6, 4, 3}; /* sd-daemon(3) */

/* n bytes of text within quotes that the caller writes. Escapes
 * are JSON's, which logfmt readers understand as well. */
static void put_escaped(struct buf *out, const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t i, len;

    for (i = 0; i < n; i += len) {
        len = utf8_len(p + i, n - i);
        if (!len) {
            buf_str(out, "\\ufffd");
            len = 1;
        } else if (p[i] == '"' || p[i] == '\\') {
            buf_fmt(out, "\\%c", p[i]);
        } else if (p[i] == '\n') {
            buf_str(out, "\\n");
        } else if (p[i] == '\t') {
            buf_str(out, "\\t");
        } else if (p[i] < 0x20 || p[i] == 0x7F) {
            buf_fmt(out, "\\u%04x", p[i]);
        } else {
            buf_put(out, p + i, len);
        }
    }
}

/* Whether logfmt may show the text without quotes. */
static bool is_plain(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t i, len;

    for (i = 0; i < n; i += len) {
        len = utf8_len(p + i, n - i);
        if (!len || p[i] <= ' ' || p[i] == '"' || p[i] == '=' || p[i] == '\\' || p[i] == 0x7F)
            return false;
    }
    return n > 0;
}

static void put_text(struct buf *out, bool json, const char *s, size_t max)
{
    size_t n = strlen(s);
    bool cut = n > max;

    n = utf8_cut(s, n, max);
    if (!json && !cut && is_plain(s, n)) {
        buf_put(out, s, n);
        return;
    }
    buf_u8(out, '"');
    put_escaped(out, s, n);
    buf_str(out, cut ? "...\"" : "\"");
}

static void put_key(struct buf *out, bool json, const char *key)
{
    if (json) {
        buf_u8(out, ',');
        put_text(out, true, key, NAME_MAX_LOG);
        buf_u8(out, ':');
    } else {
        buf_fmt(out, " %.64s=", key);
    }
}

static void put_real(struct buf *out, bool json, double d)
{
    const char *odd = isnan(d) ? "NaN" : d > 0 ? "+Inf" : "-Inf";
    char text[40];

    if (!isfinite(d)) {
        put_text(out, json, odd, TEXT_MAX);
        return;
    }
    (void)snprintf(text, sizeof text, "%.12g", d);
    buf_str(out, text);
}

static void put_value(struct buf *out, bool json, const struct kv *kv)
{
    char text[40];

    switch (kv->type) {
    case KV_STR: put_text(out, json, kv->v.s, TEXT_MAX); break;
    case KV_INT: buf_fmt(out, "%lld", (long long)kv->v.i); break;
    case KV_UINT: buf_fmt(out, "%llu", (unsigned long long)kv->v.u); break;
    case KV_REAL: put_real(out, json, kv->v.d); break;
    case KV_SPAN: /* seconds, which Go's and systemd's readers of durations take */
        (void)snprintf(text, sizeof text, "%.9gs", (double)kv->v.i / 1e9);
        put_text(out, json, text, TEXT_MAX);
        break;
    }
}

void log_format_line(struct buf *out, enum log_format format, bool journald, struct wall now,
                     enum log_level level, const char *component, const char *msg, const struct kv *kv,
                     size_t n)
{
    const size_t start = out->len;
    const bool json = format == LOG_JSON;
    char ts[WALL_TEXT];
    size_t i, before, cut = 0;

    if (journald)
        buf_fmt(out, "<%d>", priorities[level]);
    buf_fmt(out,
            json ? "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":" : "ts=%s level=%s msg=", wall_text(now, ts),
            level_names[level]);
    put_text(out, json, msg, MSG_MAX);
    put_key(out, json, "component");
    put_text(out, json, component, NAME_MAX_LOG);
    for (i = 0; i < n; i++) {
        before = out->len;
        put_key(out, json, kv[i].key);
        put_value(out, json, &kv[i]);
        if (out->full || out->len - start > LOG_LINE_MAX - TAIL) {
            out->len = before;
            out->full = false;
            cut++;
        }
    }
    if (cut)
        buf_fmt(out, json ? ",\"cut\":%zu" : " cut=%zu", cut);
    buf_str(out, json ? "}\n" : "\n");
}

/* ---- complaints ------------------------------------------------------------------------------ */

static const int64_t first_wait = 1000000000LL, longest_wait = 600 * 1000000000LL;

bool complaint_due(struct complaint *c, struct mono now, uint64_t *held)
{
    if (c->active && mono_before(now, c->next)) {
        c->held++;
        return false;
    }
    *held = c->held;
    c->wait = span_ns(!c->active                      ? first_wait
                      : c->wait.ns < longest_wait / 2 ? c->wait.ns * 2
                                                      : longest_wait);
    c->next = mono_add(now, c->wait);
    c->active = true;
    c->held = 0;
    return true;
}

bool complaint_over(struct complaint *c, uint64_t *held)
{
    bool active = c->active;

    *held = c->held;
    *c = (struct complaint){.active = false};
    return active;
}
