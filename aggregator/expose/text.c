/* The two text formats. They differ in the names of counter families (OpenMetrics: without _total), in
 * "unknown" for untyped, and in the closing # EOF. In both, help escapes \ and newline (OpenMetrics also "),
 * label values \ " and newline. */
#include "aggregator/expose/page.h"

#include <string.h>

#include "common/base/number.h"

static void escaped(struct buf *out, const char *s, bool quotes)
{
    for (;;) {
        size_t n = strcspn(s, quotes ? "\\\n\"" : "\\\n");

        buf_put(out, s, n);
        s += n;
        if (!*s)
            return;
        buf_u8(out, '\\');
        buf_u8(out, *s == '\n' ? 'n' : (uint8_t)*s);
        s++;
    }
}

static uint8_t *copy(uint8_t *p, const char *s, size_t n)
{
    memcpy(p, s, n);
    return p + n;
}

static uint8_t *copy_escaped(uint8_t *p, const char *s)
{
    for (; *s; s++) {
        if (*s == '\\' || *s == '"' || *s == '\n')
            *p++ = '\\';
        *p++ = *s == '\n' ? 'n' : (uint8_t)*s;
    }
    return p;
}

/* Most of a page are labels, so room is made once for all of a
 * line, as if every byte of the values had to be escaped. */
static void put_labels(struct buf *out, const struct label *labels, size_t n, const char *le)
{
    size_t most = le ? strlen(le) + 8 : 2;
    uint8_t *p;

    if (!n && !le)
        return;
    for (size_t i = 0; i < n; i++)
        most += strlen(labels[i].name) + 2 * strlen(labels[i].value) + 4;
    if (!buf_reserve(out, most))
        return;
    p = out->data + out->len;
    for (size_t i = 0; i < n; i++) {
        *p++ = i ? ',' : '{';
        p = copy(p, labels[i].name, strlen(labels[i].name));
        p = copy(p, "=\"", 2);
        p = copy_escaped(p, labels[i].value);
        *p++ = '"';
    }
    if (le) {
        p = copy(p, n ? ",le=\"" : "{le=\"", 5);
        p = copy(p, le, strlen(le));
        *p++ = '"';
    }
    *p++ = '}';
    out->len = (size_t)(p - out->data);
}

static void put_value(struct buf *out, double v)
{
    char text[NUMBER_TEXT + 1];
    size_t n = number_text(v, text);

    buf_u8(out, ' ');
    text[n] = '\n';
    buf_put(out, text, n + 1);
}

static void head(struct page_writer *w, const char *name, size_t n, const char *help, const char *type,
                 bool quotes)
{
    buf_str(w->out, "# HELP ");
    buf_put(w->out, name, n);
    buf_u8(w->out, ' ');
    escaped(w->out, help, quotes);
    buf_str(w->out, "\n# TYPE ");
    buf_put(w->out, name, n);
    buf_u8(w->out, ' ');
    buf_str(w->out, type);
    buf_u8(w->out, '\n');
}

static void text_family(struct page_writer *w, const char *name, const char *help, enum page_kind kind)
{
    static const char *const types[] = {"gauge", "counter", "untyped", "histogram"};

    w->name = name;
    w->kind = kind;
    head(w, name, strlen(name), help, types[kind], false);
}

static void open_family(struct page_writer *w, const char *name, const char *help, enum page_kind kind)
{
    static const char *const types[] = {"gauge", "counter", "unknown", "histogram"};
    size_t n = strlen(name);
    bool total = n > 6 && strcmp(name + n - 6, "_total") == 0;

    if (kind == PAGE_COUNTER && !total)
        kind = PAGE_UNTYPED; /* its samples would have to be named otherwise than they are */
    w->name = name;
    w->kind = kind;
    head(w, name, kind == PAGE_COUNTER ? n - 6 : n, help, types[kind], true);
}

static void text_sample(struct page_writer *w, const struct label *labels, size_t n, double v)
{
    buf_str(w->out, w->name);
    put_labels(w->out, labels, n, NULL);
    put_value(w->out, v);
}

static void bucket(struct page_writer *w, const struct label *labels, size_t n, const char *le,
                   uint64_t count)
{
    buf_str(w->out, w->name);
    buf_str(w->out, "_bucket");
    put_labels(w->out, labels, n, le);
    put_value(w->out, (double)count);
}

static void text_histogram(struct page_writer *w, const struct label *labels, size_t n,
                           const struct page_histogram *h)
{
    for (uint32_t i = 0; i < h->n; i++)
        bucket(w, labels, n, h->bound_text[i], h->buckets[i]);
    bucket(w, labels, n, "+Inf", h->count);
    buf_str(w->out, w->name);
    buf_str(w->out, "_sum");
    put_labels(w->out, labels, n, NULL);
    put_value(w->out, h->sum);
    buf_str(w->out, w->name);
    buf_str(w->out, "_count");
    put_labels(w->out, labels, n, NULL);
    put_value(w->out, (double)h->count);
}

static void text_end(struct page_writer *w)
{
    (void)w;
}

static void open_end(struct page_writer *w)
{
    buf_str(w->out, "# EOF\n");
}

void page_text_writer(struct page_writer *w, struct buf *out)
{
    *w = (struct page_writer){.out = out,
                              .family = text_family,
                              .sample = text_sample,
                              .histogram = text_histogram,
                              .end = text_end};
}

void page_openmetrics_writer(struct page_writer *w, struct buf *out)
{
    *w = (struct page_writer){.out = out,
                              .family = open_family,
                              .sample = text_sample,
                              .histogram = text_histogram,
                              .end = open_end};
}
