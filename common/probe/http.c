/* HTTP(S) probes: what is asked, and the verdict on what came. See probe.h. */
#include "common/probe/probe.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct option_row rows[] = {
    {.key = "type",
     .type = OPT_CHOICE,
     .dflt = "http",
     .reloadable = true,
     .choices = "http",
     .sentence = "What is spoken: http, which is HTTPS when the URL says so."},
    {.key = "url",
     .type = OPT_URLS,
     .required = true,
     .reloadable = true,
     .min = 1,
     .max = 1,
     .sentence = "What is asked for; redirects are not followed."},
    {.key = "interval",
     .type = OPT_DURATION,
     .dflt = "30s",
     .reloadable = true,
     .min = INT64_C(1000000000),
     .max = INT64_C(86400000000000),
     .sentence = "How often."},
    {.key = "timeout",
     .type = OPT_DURATION,
     .dflt = "10s",
     .reloadable = true,
     .min = INT64_C(10000000),
     .max = INT64_C(300000000000),
     .sentence = "For the whole, from the look-up of the name to the last byte; not longer than interval, "
                 "which bounds the default."},
    {.key = "method",
     .type = OPT_CHOICE,
     .dflt = "GET",
     .reloadable = true,
     .choices = "GET HEAD POST",
     .sentence = "The method; POST is sent without a body."},
    {.key = "status",
     .type = OPT_LIST,
     .dflt = "2xx",
     .reloadable = true,
     .min = 1,
     .sentence = "Which statuses are good: 200, 2xx or 200-299."},
    {.key = "body_contains",
     .type = OPT_STRING,
     .reloadable = true,
     .sentence = "A text that the body must hold, byte for byte."},
    {.key = "max_answer",
     .type = OPT_SIZE,
     .dflt = "1MiB",
     .reloadable = true,
     .min = 1,
     .max = INT64_C(67108864),
     .unit = "bytes",
     .sentence = "A longer body is a failure."},
    {.key = "certificate_days",
     .type = OPT_INT,
     .dflt = "0",
     .reloadable = true,
     .min = 0,
     .max = 3650,
     .unit = "days",
     .sentence = "The server's certificate must be valid for so long yet; 0 asks only that it is valid now."},
    {.key = "ca",
     .type = OPT_PATH,
     .reloadable = true,
     .sentence =
         "Who may have issued the server's certificate, in PEM; without it, the system's authorities."},
    {.key = "insecure",
     .type = OPT_BOOL,
     .dflt = "no",
     .reloadable = true,
     .sentence = "Take any certificate; its end is still measured, and held against certificate_days."},
};

const struct section_row probe_section = {
    .name = "probe",
    .named = true,
    .sentence = "An active probe: a request made every so often, timed phase by phase and judged.",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(rows[0]),
    .example = "login",
};

/* "200", "2xx", "200-299" as a range. */
static bool parse_status(const char *s, int *low, int *high)
{
    const char *digits = "0123456789";

    if (s[0] < '1' || s[0] > '5')
        return false;
    if (strcmp(s + 1, "xx") == 0) {
        *low = (s[0] - '0') * 100;
        *high = *low + 99;
        return true;
    }
    if (strspn(s, digits) != 3)
        return false;
    *low = *high = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
    if (!s[3])
        return true;
    s += 4;
    if (s[-1] != '-' || s[0] < '1' || s[0] > '5' || strspn(s, digits) != 3 || s[3])
        return false;
    *high = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
    return *high >= *low;
}

static int complain(struct buf *report, const struct section *s, const char *key, struct err *e,
                    const char *what, const char *found)
{
    if (report)
        return config_complain(report, s, key, e, "found \"%s\", expected %s", found, what);
    return err_set(e, ERR_CONFIG, "%s: [probe %s] %s: found \"%s\", expected %s", option_origin(s, key),
                   section_label(s), key, found, what);
}

int probe_spec_read(struct probe_spec *spec, const struct section *s, struct buf *report, struct err *e)
{
    int low, high, rc = 0;

    *spec = (struct probe_spec){
        .label = section_label(s),
        .url = option_word(s, "url", 0),
        .method = option_text(s, "method"),
        .interval = option_span(s, "interval"),
        .timeout = option_span(s, "timeout"),
        .max_answer = (size_t)option_int(s, "max_answer"),
        .section = s,
        .body_contains = option_text(s, "body_contains"),
        .certificate_left = span_s(option_int(s, "certificate_days") * 86400),
        .ca = option_text(s, "ca"),
        .insecure = option_bool(s, "insecure"),
    };
    if (spec->body_contains && !*spec->body_contains)
        spec->body_contains = NULL;
    if (spec->timeout.ns > spec->interval.ns && strcmp(option_origin(s, "timeout"), "default") == 0)
        spec->timeout = spec->interval;
    if (spec->timeout.ns > spec->interval.ns) {
        char text[32];

        format_duration(spec->timeout, text);
        rc = complain(report, s, "timeout", e, "not more than interval", text);
    }
    for (size_t i = 0; i < option_count(s, "status"); i++)
        if (!parse_status(option_word(s, "status", i), &low, &high))
            rc = complain(report, s, "status", e, "statuses like 200, 2xx or 200-299",
                          option_word(s, "status", i));
    if (spec->body_contains && strcmp(spec->method, "HEAD") == 0)
        rc = complain(report, s, "body_contains", e, "nothing, as HEAD brings no body", spec->body_contains);
    return rc;
}

/* Does the status satisfy one of the words, "200", "2xx", "200-299"? */
static bool status_wanted(const struct probe_spec *spec, int status)
{
    int low, high;

    for (size_t i = 0; i < option_count(spec->section, "status"); i++)
        if (parse_status(option_word(spec->section, "status", i), &low, &high) && status >= low &&
            status <= high)
            return true;
    return false;
}

struct http_request probe_request(const struct probe_spec *spec)
{
    return (struct http_request){
        .method = spec->method,
        .url = spec->url,
        .timeout = spec->timeout,
        .max_answer = spec->max_answer,
        .fresh = true, /* all phases, every time */
        .insecure = spec->insecure,
    };
}

/* ---- the verdict ---- */

static const char *const reason_names[PROBE_REASONS] = {
    [PROBE_OK] = "",
    [PROBE_FAIL_DNS] = "dns",
    [PROBE_FAIL_CONNECT] = "connect",
    [PROBE_FAIL_TLS] = "tls",
    [PROBE_FAIL_CERTIFICATE] = "certificate",
    [PROBE_FAIL_EXPIRY] = "expiry",
    [PROBE_FAIL_TIMEOUT] = "timeout",
    [PROBE_FAIL_SEND] = "send",
    [PROBE_FAIL_RECEIVE] = "receive",
    [PROBE_FAIL_PROTOCOL] = "protocol",
    [PROBE_FAIL_TOO_LARGE] = "too_large",
    [PROBE_FAIL_STATUS] = "status",
    [PROBE_FAIL_BODY] = "body",
    [PROBE_FAIL_INTERNAL] = "internal",
};

const char *probe_reason_name(enum probe_reason r)
{
    assert(r < PROBE_REASONS);
    return reason_names[r];
}

const char *probe_phase_name(enum probe_phase p)
{
    static const char *const names[PROBE_PHASES] = {"dns", "connect", "tls", "first_byte", "transfer"};

    assert(p < PROBE_PHASES);
    return names[p];
}

/* The client's reasons are named alike. */
static enum probe_reason reason_of(const char *token)
{
    for (int i = PROBE_OK + 1; i < PROBE_REASONS; i++)
        if (strcmp(reason_names[i], token) == 0)
            return (enum probe_reason)i;
    return PROBE_FAIL_INTERNAL;
}

/* Differences of times since the start. What is left after the
 * last phase reached belongs to the one that was under way. */
static void split_phases(const struct http_result *r, bool tls, struct probe_result *out)
{
    const struct span at[PROBE_PHASES] = {r->times.dns, r->times.connect, r->times.tls, r->times.first_byte,
                                          r->times.total};
    struct span before = {0};

    out->total = r->times.total.ns > 0 ? r->times.total : (struct span){0};
    for (int i = 0; i < PROBE_PHASES; i++) {
        if (i == PROBE_TLS && !tls)
            continue;
        if (at[i].ns < 0 || i == PROBE_TRANSFER) {
            out->phase[i] = span_ns(out->total.ns - before.ns);
            return;
        }
        if (at[i].ns > before.ns) {
            struct span end = at[i].ns < out->total.ns ? at[i] : out->total;

            out->phase[i] = span_ns(end.ns - before.ns);
            before = end;
        }
    }
}

static void fail(struct probe_result *out, enum probe_reason reason, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void fail(struct probe_result *out, enum probe_reason reason, const char *fmt, ...)
{
    va_list ap;

    out->reason = reason;
    va_start(ap, fmt);
    (void)vsnprintf(out->error, sizeof(out->error), fmt, ap);
    va_end(ap);
}

void probe_judge(const struct probe_spec *spec, const struct http_result *r, struct wall now,
                 struct probe_result *out)
{
    struct span left = wall_sub(r->cert_not_after, now);
    const char *want = spec->body_contains;

    *out = (struct probe_result){.status = r->status, .cert_not_after = r->cert_not_after};
    memcpy(out->remote, r->remote, sizeof(out->remote));
    split_phases(r, strncmp(spec->url, "https:", 6) == 0, out);
    out->at = wall_add(now, span_ns(-out->total.ns));
    if (r->code) {
        fail(out, reason_of(r->reason), "%s", r->error);
    } else if (!status_wanted(spec, r->status)) {
        fail(out, PROBE_FAIL_STATUS, "status %d", r->status);
    } else if (want && (!r->body.n || !memmem(r->body.p, r->body.n, want, strlen(want)))) {
        fail(out, PROBE_FAIL_BODY, "the body does not hold \"%.100s\"", want);
    } else if (spec->certificate_left.ns && r->cert_not_after.ms && left.ns < spec->certificate_left.ns) {
        fail(out, PROBE_FAIL_EXPIRY, "the certificate ends in %.1f days", span_seconds(left) / 86400);
    }
}
