/* Tokens of reasons, and the rules for names, labels and strings of docs/protocol.md. All comparisons are of
 * bytes: no locale, no case. */
#include "common/wire/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/sha.h>

static const struct {
    const char *name;
    int status;
} reasons[WIRE_REASONS] = {
    [WIRE_OK] = {"ok", 200},
    [WIRE_NOT_FOUND] = {"not_found", 404},
    [WIRE_METHOD] = {"method", 405},
    [WIRE_LENGTH] = {"length", 411},
    [WIRE_TYPE] = {"type", 415},
    [WIRE_TOO_LARGE] = {"too_large", 413},
    [WIRE_UNAUTHORIZED] = {"unauthorized", 401},
    [WIRE_FRAME] = {"frame", 400},
    [WIRE_MALFORMED] = {"malformed", 400},
    [WIRE_LIMIT] = {"limit", 400},
    [WIRE_BAD_VERSION] = {"version", 422},
    [WIRE_EPOCH] = {"epoch", 422},
    [WIRE_IDENTITY] = {"identity", 403},
    [WIRE_SUPERSEDED] = {"superseded", 410},
    [WIRE_CONFLICT] = {"conflict", 422},
    [WIRE_DEFINITIONS] = {"definitions", 409},
    [WIRE_BLOCK] = {"block", 400},
    [WIRE_SKETCH_REASON] = {"sketch", 400},
    [WIRE_EVENT] = {"event", 400},
    [WIRE_DEFINITION] = {"definition", 400},
    [WIRE_OVERLOAD] = {"overload", 503},
    [WIRE_QUOTA] = {"quota", 429},
    [WIRE_UNAVAILABLE] = {"unavailable", 503},
};

const char *wire_reason_name(enum wire_reason r)
{
    return (unsigned)r < WIRE_REASONS ? reasons[r].name : "unknown";
}

int wire_reason_status(enum wire_reason r)
{
    return (unsigned)r < WIRE_REASONS ? reasons[r].status : 503;
}

struct wire_hash wire_hash_of(const uint8_t *p, size_t n)
{
    unsigned char sum[SHA256_DIGEST_LENGTH];
    struct wire_hash h;

    (void)SHA256(p, n, sum);
    memcpy(h.b, sum, sizeof h.b);
    return h;
}

int wire_fail(enum wire_reason *reason, enum wire_reason r, struct err *e, int code, const char *fmt, ...)
{
    char text[sizeof e->text];
    va_list ap;

    if (reason)
        *reason = r;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(e, code, "%s", text);
}

int wire_no_memory(enum wire_reason *reason, struct err *e)
{
    return wire_fail(reason, WIRE_UNAVAILABLE, e, ERR_NOMEM, "no memory is left for this request");
}

int wire_str_cmp(struct wire_str a, struct wire_str b)
{
    uint32_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

/* RFC 3629: shortest forms only, no surrogates, nothing above
 * U+10FFFF. The second byte's range carries all of it. */
static size_t utf8_one(const uint8_t *p, size_t n)
{
    uint8_t c = p[0], low = 0x80, high = 0xbf;
    size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

    if (!len || len > n)
        return 0;
    if (c == 0xe0)
        low = 0xa0;
    else if (c == 0xed)
        high = 0x9f;
    else if (c == 0xf0)
        low = 0x90;
    else if (c == 0xf4)
        high = 0x8f;
    if (len > 1 && (p[1] < low || p[1] > high))
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

bool wire_utf8_ok(const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t i = 0;

    while (i < n) {
        uint64_t w;
        size_t len;

        if (n - i >= sizeof w) {
            memcpy(&w, p + i, sizeof w);
            if (!(w & 0x8080808080808080ULL)) {
                i += sizeof w;
                continue;
            }
        }
        len = utf8_one(p + i, n - i);
        if (!len)
            return false;
        i += len;
    }
    return true;
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool identifier(const char *p, size_t n, bool colons)
{
    if (!n || digit(p[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!letter(p[i]) && !digit(p[i]) && !(colons && p[i] == ':'))
            return false;
    return true;
}

bool wire_metric_name_ok(const char *p, size_t n)
{
    return n <= WIRE_MAX_NAME && identifier(p, n, true);
}

bool wire_label_name_ok(const char *p, size_t n)
{
    static const char *const reserved[] = {"instance", "job",        "le",     "quantile",
                                           "window",   "percentile", "metric", "tenant"};

    if (n > WIRE_MAX_LABEL_NAME || !identifier(p, n, false) || (n >= 2 && p[0] == '_' && p[1] == '_'))
        return false;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (wire_str_is((struct wire_str){p, (uint32_t)n}, reserved[i]))
            return false;
    return true;
}

bool wire_label_value_ok(const char *p, size_t n)
{
    return n >= 1 && n <= WIRE_MAX_LABEL_VALUE && !memchr(p, 0, n) && wire_utf8_ok(p, n);
}

static bool begins(const char *p, size_t n, const char *prefix)
{
    size_t len = strlen(prefix);

    return n >= len && !memcmp(p, prefix, len);
}

bool wire_metric_prefix_ok(const char *p, size_t n)
{
    static const char *const allowed[] = {"securebase_agent_",  "securebase_host_", "securebase_probe_",
                                          "securebase_cgroup_", "securebase_app_",  "securebase_guard_"};

    if (!begins(p, n, "securebase_"))
        return true;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (begins(p, n, allowed[i]))
            return true;
    return false;
}

bool wire_agent_ok(struct wire_str s)
{
    if (!s.n || s.n > WIRE_MAX_AGENT || s.p[0] == '.')
        return false;
    for (uint32_t i = 0; i < s.n; i++)
        if (!letter(s.p[i]) && !digit(s.p[i]) && s.p[i] != '.' && s.p[i] != '-')
            return false;
    return true;
}

bool wire_event_kind_ok(struct wire_str s)
{
    static const char *const kinds[] = {"deployment", "rollback",  "config", "service_check",
                                        "audit",      "violation", "note"};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (wire_str_is(s, kinds[i]))
            return true;
    return false;
}

const char *wire_refusal_name(enum wire_refusal r)
{
    static const char *const names[WIRE_REFUSALS] = {
        [WIRE_FUTURE] = "future",
        [WIRE_TOO_OLD] = "too_old",
        [WIRE_VALUE_QUOTA] = "quota",
        [WIRE_KIND_CONFLICT] = "kind_conflict",
    };

    return (unsigned)r < WIRE_REFUSALS ? names[r] : "unknown";
}
