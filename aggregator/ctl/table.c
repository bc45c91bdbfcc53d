/* Tables and small texts for people: see ctl.h. Width is counted in code points. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"
#include "common/base/clock.h"

void table_init(struct table *t, size_t columns, const char *alignment)
{
    *t = (struct table){.columns = columns};
    buf_init(&t->cells, NULL, 64 << 20);
    for (size_t i = 0; i < columns && alignment[i]; i++)
        t->right[i] = alignment[i] == 'r';
}

void table_free(struct table *t)
{
    buf_free(&t->cells);
}

void table_cell(struct table *t, const char *fmt, ...)
{
    va_list ap;
    size_t from = t->cells.len;

    va_start(ap, fmt);
    buf_vfmt(&t->cells, fmt, ap);
    va_end(ap);
    for (size_t i = from; i < t->cells.len; i++) {
        if (t->cells.data[i] < 0x20 || t->cells.data[i] == 0x7f)
            t->cells.data[i] = '?'; /* what came from outside does not steer a terminal */
    }
    buf_u8(&t->cells, 0);
    t->n++;
}

static size_t width(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void blanks(struct buf *out, size_t n)
{
    while (n--)
        buf_u8(out, ' ');
}

void table_print(const struct table *t, struct buf *out)
{
    size_t widest[16] = {0};
    const char *s = (const char *)t->cells.data;

    for (size_t i = 0; i < t->n; i++, s += strlen(s) + 1) {
        if (width(s) > widest[i % t->columns])
            widest[i % t->columns] = width(s);
    }
    s = (const char *)t->cells.data;
    for (size_t i = 0; i < t->n; i++, s += strlen(s) + 1) {
        size_t column = i % t->columns;
        bool last = column == t->columns - 1;

        if (t->right[column])
            blanks(out, widest[column] - width(s));
        buf_str(out, s);
        if (!t->right[column] && !last)
            blanks(out, widest[column] - width(s));
        buf_str(out, last ? "\n" : "  ");
    }
}

const char *json_text(const cJSON *o, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

    return s ? s : "";
}

double json_number(const cJSON *o, const char *key)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsNumber(x) ? cJSON_GetNumberValue(x) : NAN;
}

void age_text(const char *now, const char *then, char out[32])
{
    struct wall a, b;
    long s;

    if (wall_parse(now, &a) != 0 || wall_parse(then, &b) != 0) {
        (void)snprintf(out, 32, "-");
        return;
    }
    s = (long)((a.ms - b.ms) / 1000);
    if (s < 0)
        s = 0;
    if (s < 120)
        (void)snprintf(out, 32, "%ld s", s);
    else if (s < 7200)
        (void)snprintf(out, 32, "%ld min", s / 60);
    else if (s < 172800)
        (void)snprintf(out, 32, "%ld h %ld min", s / 3600, s / 60 % 60);
    else
        (void)snprintf(out, 32, "%ld d", s / 86400);
}

void short_number(double v, char out[32])
{
    if (isnan(v))
        (void)snprintf(out, 32, "-");
    else if (fabs(v) >= 1e5 && fabs(v) < 1e15 && v == floor(v))
        (void)snprintf(out, 32, "%.0f", v);
    else
        (void)snprintf(out, 32, "%.4g", v);
}
