/* Series as a page: see page.h. */
#include "agent/page.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/number.h"

void page_add(void *page, const struct wire_series *def, double value)
{
    struct page *p = page;

    if (p->n == p->room) {
        size_t room = p->room ? p->room * 2 : 1024;
        struct page_line *v = arena_array(p->arena, room, sizeof *v);

        if (!v) {
            p->full = true;
            return;
        }
        if (p->n)
            memcpy(v, p->lines, p->n * sizeof *v);
        p->lines = v;
        p->room = room;
    }
    p->lines[p->n++] = (struct page_line){def, value};
}

static int compare_str(struct wire_str a, struct wire_str b)
{
    uint32_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Labels are sorted by name already. */
static int compare_labels(const struct wire_series *a, const struct wire_series *b)
{
    int c = 0;

    for (uint32_t i = 0; !c && i < a->n_labels && i < b->n_labels; i++) {
        c = compare_str(a->labels[i].name, b->labels[i].name);
        c = c ? c : compare_str(a->labels[i].value, b->labels[i].value);
    }
    return c ? c : (a->n_labels > b->n_labels) - (a->n_labels < b->n_labels);
}

static int compare(const void *pa, const void *pb)
{
    const struct wire_series *a = ((const struct page_line *)pa)->def,
                             *b = ((const struct page_line *)pb)->def;
    int c = compare_str(a->name, b->name);

    c = c ? c : (a->kind > b->kind) - (a->kind < b->kind);
    return c ? c : compare_labels(a, b);
}

static void put_escaped(struct buf *out, struct wire_str s, bool quotes)
{
    for (uint32_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '\\' || c == '\n' || (quotes && c == '"')) {
            buf_u8(out, '\\');
            c = c == '\n' ? 'n' : c;
        }
        buf_u8(out, (uint8_t)c);
    }
}

static void put_head(struct buf *out, const struct wire_series *d)
{
    static const char *const types[] = {"gauge", "counter", "summary", "untyped"};

    buf_str(out, "# HELP ");
    buf_put(out, d->name.p, d->name.n);
    buf_u8(out, ' ');
    put_escaped(out, d->help, false);
    buf_str(out, "\n# TYPE ");
    buf_put(out, d->name.p, d->name.n);
    buf_fmt(out, " %s\n", types[d->kind]);
}

static void put_line(struct buf *out, const struct page_line *l)
{
    const struct wire_series *d = l->def;
    char text[NUMBER_TEXT];

    buf_put(out, d->name.p, d->name.n);
    for (uint32_t i = 0; i < d->n_labels; i++) {
        buf_u8(out, i ? ',' : '{');
        buf_put(out, d->labels[i].name.p, d->labels[i].name.n);
        buf_str(out, "=\"");
        put_escaped(out, d->labels[i].value, true);
        buf_u8(out, '"');
    }
    buf_str(out, d->n_labels ? "} " : " ");
    buf_put(out, text, number_text(l->value, text));
    buf_u8(out, '\n');
}

int page_render(struct page *p, struct buf *out, struct err *e)
{
    const struct wire_series *head = NULL;

    if (p->n)
        qsort(p->lines, p->n, sizeof *p->lines, compare);
    for (size_t i = 0; i < p->n; i++) {
        const struct wire_series *d = p->lines[i].def;

        if (!head || compare_str(head->name, d->name) != 0) {
            head = d;
            put_head(out, d);
        } else if (d->kind != head->kind || compare_labels(d, p->lines[i - 1].def) == 0) {
            continue;
        }
        put_line(out, &p->lines[i]);
    }
    return p->full || out->full ? err_set(e, ERR_NOMEM, "no memory for all series") : 0;
}
