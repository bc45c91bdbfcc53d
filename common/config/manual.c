/* What the rows say to people: the example file and the option part of a manual page. Pure. */
#include "common/config/model.h"

#include <string.h>

enum { WRAP = 100 };

/* Text as comment lines that begin with "# ". */
static void put_comment(const char *s, struct buf *out)
{
    size_t n, best, i;

    while (*s) {
        n = strlen(s);
        if (n > WRAP) {
            for (i = best = 0; i < WRAP; i++) {
                if (s[i] == ' ')
                    best = i;
            }
            n = best ? best : strcspn(s, " ");
        }
        buf_fmt(out, "# %.*s\n", (int)n, s);
        s += n + strspn(s + n, " ");
    }
}

/* "SENTENCE In UNIT. ALLOWED." */
static void describe(const struct option_row *row, struct buf *text)
{
    buf_str(text, row->sentence);
    if (row->unit && *row->unit)
        buf_fmt(text, " Unit: %s.", row->unit);
    if (row->type != OPT_STRING) {
        buf_str(text, " Takes ");
        option_allowed(row, text);
        buf_u8(text, '.');
    }
}

static void example_option(const struct option_row *row, bool commented, struct buf *out)
{
    struct buf text;

    buf_init(&text, out->mem, 4096);
    describe(row, &text);
    if (row->required)
        buf_str(&text, " Required.");
    put_comment(buf_text(&text), out);
    if (!strcmp(row->key, "*"))
        buf_str(out, ";key = value\n");
    else
        buf_fmt(out, "%s%s =%s%s\n", commented || !row->required ? ";" : "", row->key,
                row->dflt && *row->dflt ? " " : "", row->dflt ? row->dflt : "");
    buf_free(&text);
}

void config_example(const struct section_row *rows, size_t n_rows, const char *title, struct buf *out)
{
    const struct section_row *s;
    size_t i, k;

    put_comment(title, out);
    put_comment("Options that begin with ; have the default that is shown, or none. An indented line "
                "continues the value "
                "above it.",
                out);
    for (i = 0; i < n_rows; i++) {
        s = &rows[i];
        buf_u8(out, '\n');
        put_comment(s->sentence, out);
        if (s->named)
            buf_fmt(out, "%s[%s %s]\n", s->required ? "" : ";", s->name, s->example ? s->example : "NAME");
        else
            buf_fmt(out, "[%s]\n", s->name);
        for (k = 0; k < s->n_rows; k++)
            example_option(&s->rows[k], s->named && !s->required, out);
    }
}

/* ---- man(7) ---------------------------------------------------------------------------------- */

/* Text with what troff would take for its own escaped; `start`: it begins a line. */
static void put_roff(const char *s, bool start, struct buf *out)
{
    if (start && (*s == '.' || *s == '\''))
        buf_str(out, "\\&");
    for (; *s; s++) {
        if (*s == '\\')
            buf_str(out, "\\e");
        else if (*s == '-')
            buf_str(out, "\\-");
        else
            buf_u8(out, (uint8_t)*s);
    }
}

static void manual_option(const struct option_row *row, struct buf *out)
{
    struct buf text;

    buf_init(&text, out->mem, 4096);
    describe(row, &text);
    if (row->required)
        buf_str(&text, " Required.");
    else if (row->dflt && *row->dflt)
        buf_fmt(&text, " Default: %s.", row->dflt);
    buf_str(&text, row->reloadable ? " Taken over on reload." : " A change needs a restart.");
    buf_str(out, ".TP\n.B ");
    put_roff(strcmp(row->key, "*") ? row->key : "any key", false, out);
    buf_u8(out, '\n');
    put_roff(buf_text(&text), true, out);
    buf_u8(out, '\n');
    buf_free(&text);
}

void config_manual(const struct section_row *rows, size_t n_rows, struct buf *out)
{
    size_t i, k;

    for (i = 0; i < n_rows; i++) {
        buf_str(out, ".SS [");
        put_roff(rows[i].name, false, out);
        buf_str(out, rows[i].named ? " NAME]\n" : "]\n");
        put_roff(rows[i].sentence, true, out);
        if (rows[i].named)
            buf_str(out, "\nMay be there many times, each under a name of its own.");
        buf_u8(out, '\n');
        for (k = 0; k < rows[i].n_rows; k++)
            manual_option(&rows[i].rows[k], out);
    }
}
