/* See past.h. metric, match, by (names with commas or blanks; "*": as stored), from and to (RFC 3339, now, or a
 * duration from now: -1h), step (a duration), quantiles and le (numbers with commas or blanks). */
#include "aggregator/past.h"

#include <stdio.h>
#include <string.h>

enum { BY_MOST = 32, NUMBERS_MOST = 32 };

static const char *param(const struct desk_request *r, const char *name, const char *dflt)
{
    const char *text = query_get(&r->params, name);

    return text && *text ? text : dflt;
}

/* The next word of a list, copied into the arena; NULL at its end. */
static char *word(const char **p, struct arena *a)
{
    const char *s = *p + strspn(*p, ", ");
    size_t n = strcspn(s, ", ");

    *p = s + n;
    return n ? arena_text(a, s, n) : NULL;
}

static int read_by(const char *text, struct arena *a, struct history_ask *out, struct err *e)
{
    const char **by = arena_array(a, BY_MOST, sizeof *by);
    const char *name;

    while (by && (name = word(&text, a))) {
        if (out->n_by == BY_MOST)
            return err_set(e, ERR_MALFORMED, "by: more than %d labels", BY_MOST);
        by[out->n_by++] = name;
    }
    out->by = by;
    return by ? 0 : err_set(e, ERR_NOMEM, "no memory");
}

static int read_numbers(const char *name, const char *text, struct arena *a, const double **out, uint32_t *n,
                        struct err *e)
{
    double *v = arena_array(a, NUMBERS_MOST, sizeof *v);
    const char *x;

    *n = 0;
    *out = v;
    while (v && (x = word(&text, a))) {
        struct err why = {0};

        if (*n == NUMBERS_MOST)
            return err_set(e, ERR_MALFORMED, "%s: more than %d numbers", name, NUMBERS_MOST);
        if (parse_number(x, &v[(*n)++], &why) != 0)
            return err_set(e, ERR_MALFORMED, "%s: found \"%.60s\", expected a number", name, x);
    }
    return v ? 0 : err_set(e, ERR_NOMEM, "no memory");
}

static int read_time(const char *name, const char *text, struct wall now, struct wall *out, struct err *e)
{
    struct err why = {0};
    struct span s;

    if (strcmp(text, "now") == 0)
        *out = now;
    else if (wall_parse(text, out) == 0)
        return 0;
    else if (parse_duration(text + (*text == '-' || *text == '+'), &s, &why) == 0)
        *out = wall_add(now, *text == '-' ? span_ns(-s.ns) : s);
    else
        return err_set(e, ERR_MALFORMED,
                       "%s: found \"%.60s\", expected a time in RFC 3339, now, or a duration from now (-1h)",
                       name, text);
    return 0;
}

int past_read(const struct desk_request *r, struct wall now, struct arena *a, struct history_ask *out,
              struct err *e)
{
    const char *step = param(r, "step", NULL);
    struct err why = {0};
    int rc;

    *out = (struct history_ask){.metric = param(r, "metric", ""), .match = param(r, "match", ""), .now = now};
    if (strcmp(r->method, "GET") != 0)
        return err_set(e, ERR_MALFORMED, "the past can only be read");
    if (!*out->metric)
        return err_set(e, ERR_MALFORMED, "metric is needed");
    if (step && parse_duration(step, &out->step, &why) != 0)
        return err_set(e, ERR_MALFORMED, "step: found \"%.60s\", expected a duration (10s, 5m)", step);
    rc = read_by(param(r, "by", ""), a, out, e);
    if (rc == 0)
        rc = read_time("to", param(r, "to", "now"), now, &out->to, e);
    if (rc == 0)
        rc = read_time("from", param(r, "from", "-1h"), now, &out->from, e);
    if (rc == 0)
        rc = read_numbers("quantiles", param(r, "quantiles", ""), a, &out->quantiles, &out->n_quantiles, e);
    if (rc == 0)
        rc = read_numbers("le", param(r, "le", ""), a, &out->le, &out->n_le, e);
    for (uint32_t i = 0; i < out->n_quantiles && rc == 0; i++) {
        if (!(out->quantiles[i] >= 0 && out->quantiles[i] <= 1))
            rc = err_set(e, ERR_MALFORMED, "quantiles: numbers from 0 to 1 are allowed");
    }
    return rc;
}

int past_fault(int code, const struct err *e, struct buf *out)
{
    bool theirs = code == ERR_MALFORMED || code == ERR_LIMIT;

    buf_clear(out);
    buf_str(out, "{\"error\":\"");
    for (const char *s = *e->text ? e->text : err_name(code); *s; s++) {
        if (*s == '"' || *s == '\\')
            buf_u8(out, '\\');
        buf_u8(out, (unsigned char)*s < 0x20 ? (uint8_t)' ' : (uint8_t)*s);
    }
    buf_fmt(out, "\",\"reason\":\"%s\"}\n", theirs ? "parameter" : "unavailable");
    return theirs ? 400 : 503;
}
