/* The effective configuration as a file that reads back to the same, and the differences between two. Pure.
 *
 * A secret appears as its reference, which is what the file says; its content is never read here. The reader
 * refuses lines of more than 199 bytes, so that longer values are written over several, each but the last
 * ending in \. */
#include "common/config/model.h"

#include <string.h>

enum { LINE = 199, ROOMY = 160 };

/* How many of the n bytes at s to put on a line that has room for `room`: all, or as many as leave a next
 * piece that begins neither with white space, which the reader strips, nor like a comment. As each line that
 * was read began so, there is such a place; 0 where only the next line has the room. */
static size_t piece(const char *s, size_t n, size_t room)
{
    size_t k;

    if (n <= room)
        return n;
    for (k = room; k > 0; k--) {
        if (((unsigned char)s[k] & 0xC0) != 0x80 && !strchr(" \t;#", s[k]))
            break;
    }
    return k;
}

/* A value that does not fit well on one line with its origin. */
static void print_long(const char *key, const char *text, size_t n, const char *origin, struct buf *out)
{
    size_t used = strlen(key) + 1, k = used + n <= LINE ? n : piece(text, n, LINE - used - (used < LINE));

    buf_fmt(out, "; %s\n%s=", origin, key);
    buf_put(out, text, k);
    for (;;) {
        text += k;
        n -= k;
        if (!n)
            break;
        buf_str(out, k ? "\\\n " : "\n ");
        k = piece(text, n, LINE - 2);
        if (!k)
            k = n < LINE - 2 ? n : LINE - 2;
        buf_put(out, text, k);
    }
    buf_u8(out, '\n');
}

static void print_value(const char *key, const char *text, const char *origin, struct buf *out)
{
    size_t n = strlen(text);

    if (strlen(key) + n + strlen(origin) > ROOMY || *text == ';') /* " ;" would begin a comment */
        print_long(key, text, n, origin, out);
    else
        buf_fmt(out, "%s =%s%s ; %s\n", key, n ? " " : "", text, origin);
}

static void print_section(const struct section *s, struct buf *out)
{
    const struct value *v;
    size_t i;

    buf_fmt(out, "\n[%s%s%s]\n", s->row->name, s->label ? " " : "", s->label ? s->label : "");
    for (i = 0; i < s->row->n_rows; i++) {
        v = &s->values[i];
        if (v->text)
            print_value(v->key, v->text, v->origin ? v->origin : "default", out);
        else if (strcmp(v->key, "*"))
            buf_fmt(out, "; %s is not set\n", v->key);
    }
    for (v = s->wild; v; v = v->next)
        print_value(v->key, v->text, v->origin, out);
}

void config_print(const struct config *c, struct buf *out)
{
    const struct section *s;
    size_t i;

    buf_fmt(out, "; The effective configuration, each value with its origin. Main file: %s\n", c->name);
    for (i = 0; i < c->n_rows; i++) {
        for (s = c->first[i]; s; s = s->next)
            print_section(s, out);
    }
}

/* ---- differences ----------------------------------------------------------------------------- */

static bool same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static void put_name(const struct section *s, struct buf *out)
{
    buf_fmt(out, "[%s%s%s]", s->row->name, s->label ? " " : "", s->label ? s->label : "");
}

static size_t differ(const struct section *s, const struct value *old, const struct value *fresh, bool all,
                     struct buf *out)
{
    const struct value *any = old ? old : fresh;
    const char *a = old ? old->text : NULL, *b = fresh ? fresh->text : NULL;

    if (same(a, b) || (!all && any->row->reloadable))
        return 0;
    put_name(s, out);
    buf_fmt(out, " %s: %.200s -> %.200s\n", any->key, a ? a : "(not set)", b ? b : "(not set)");
    return 1;
}

static const struct value *wild_of(const struct section *s, const char *key)
{
    const struct value *v = s->wild;

    while (v && strcmp(v->key, key))
        v = v->next;
    return v;
}

static size_t differ_sections(const struct section *old, const struct section *fresh, bool all,
                              struct buf *out)
{
    const struct value *v;
    size_t i, n = 0;

    for (i = 0; i < old->row->n_rows; i++)
        n += differ(fresh, &old->values[i], &fresh->values[i], all, out);
    for (v = old->wild; v; v = v->next)
        n += differ(fresh, v, wild_of(fresh, v->key), all, out);
    for (v = fresh->wild; v; v = v->next)
        n += wild_of(old, v->key) ? 0 : differ(fresh, NULL, v, all, out);
    return n;
}

/* A named section that only one of the two has. */
static size_t lone(const struct section *s, const char *what, bool all, struct buf *out)
{
    size_t i;

    for (i = 0; i < s->row->n_rows; i++)
        all = all || !s->row->rows[i].reloadable;
    if (!all)
        return 0;
    put_name(s, out);
    buf_fmt(out, ": %s\n", what);
    return 1;
}

static const struct section *twin(const struct section *s, const struct config *other, size_t row)
{
    const struct section *t = other->first[row];

    while (t && !same(t->label, s->label))
        t = t->next;
    return t;
}

static size_t differences(const struct config *old, const struct config *fresh, bool all, struct buf *out)
{
    const struct section *s, *t;
    size_t i, n = 0;

    for (i = 0; i < old->n_rows; i++) {
        for (s = old->first[i]; s; s = s->next) {
            t = twin(s, fresh, i);
            n += t ? differ_sections(s, t, all, out) : lone(s, "removed", all, out);
        }
        for (s = fresh->first[i]; s; s = s->next)
            n += twin(s, old, i) ? 0 : lone(s, "added", all, out);
    }
    return n;
}

size_t config_needs_restart(const struct config *old, const struct config *fresh, struct buf *out)
{
    return differences(old, fresh, false, out);
}

size_t config_changes(const struct config *old, const struct config *fresh, struct buf *out)
{
    return differences(old, fresh, true, out);
}
