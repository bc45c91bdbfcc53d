/* See fill.h. */
#include "aggregator/alert/fill.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/number.h"

static bool is(const char *p, size_t n, const char *word)
{
    return strlen(word) == n && !memcmp(p, word, n);
}

static void put_bytes(double v, struct buf *out)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    unsigned u = 0;

    while (fabs(v) >= 1024 && u + 1 < sizeof units / sizeof *units) {
        v /= 1024;
        u++;
    }
    buf_fmt(out, "%.4g %s", v, units[u]);
}

static void put_duration(double s, struct buf *out)
{
    if (s < 0) {
        buf_str(out, "-");
        s = -s;
    }
    if (s < 1)
        buf_fmt(out, "%.3gms", s * 1e3);
    else if (s < 60)
        buf_fmt(out, "%.3gs", s);
    else if (s < 3600)
        buf_fmt(out, "%dm%ds", (int)(s / 60), (int)fmod(s, 60));
    else if (s < 86400)
        buf_fmt(out, "%dh%dm", (int)(s / 3600), (int)(fmod(s, 3600) / 60));
    else if (s < 86400e5)
        buf_fmt(out, "%dd%dh", (int)(s / 86400), (int)(fmod(s, 86400) / 3600));
    else
        buf_fmt(out, "%.3gd", s / 86400);
}

void alert_fill_number(double v, const char *form, size_t n, struct buf *out)
{
    char text[NUMBER_TEXT];

    if (isnan(v) || isinf(v)) {
        number_text(v, text);
        buf_str(out, isnan(v) ? "no value" : text);
    } else if (is(form, n, "percent")) {
        buf_fmt(out, "%.4g%%", v * 100);
    } else if (is(form, n, "duration")) {
        put_duration(v, out);
    } else if (is(form, n, "bytes")) {
        put_bytes(v, out);
    } else {
        buf_fmt(out, "%.6g", v);
    }
}

static void put_name(const char *p, size_t n, struct labels labels, double value, double threshold,
                     struct buf *out)
{
    const char *bar = memchr(p, '|', n);
    size_t name = bar ? (size_t)(bar - p) : n;
    const char *form = bar ? bar + 1 : "";
    size_t form_n = bar ? n - name - 1 : 0;

    if (is(p, name, "value") || is(p, name, "threshold")) {
        alert_fill_number(*p == 'v' ? value : threshold, form, form_n, out);
        return;
    }
    for (uint32_t i = 0; i < labels.n; i++) {
        if (is(p, name, labels.v[i].name))
            buf_str(out, labels.v[i].value);
    }
}

void alert_fill(const char *text, struct labels labels, double value, double threshold, struct buf *out)
{
    const char *open, *close;

    while ((open = strstr(text, "${")) && (close = strchr(open, '}'))) {
        buf_put(out, text, (size_t)(open - text));
        put_name(open + 2, (size_t)(close - open) - 2, labels, value, threshold, out);
        text = close + 1;
    }
    buf_str(out, text);
}
