/* The inside of a configuration, shared by the files of this room alone.
 *
 * Everything of a configuration stands in its arena and does not change once
 * it is loaded. A value's `text` is what the files said, continuation lines
 * joined; the typed forms are made from it once, when it is checked. */
#ifndef SB_CONFIG_MODEL_H
#define SB_CONFIG_MODEL_H

#include "common/base/arena.h"
#include "common/config/config.h"

enum {
    CONFIG_MEMORY = 64 << 20, /* bytes that one configuration may take */
    SECTION_NAME_MAX = 64,    /* of [name LABEL]: the label */
    MISTAKES_MAX = 100,       /* written out; the others are counted */
};

/* One member of a list. */
struct member {
    const char *word;  /* LABELS: the name */
    const char *value; /* LABELS, else NULL */
    double number;     /* NUMBERS */
    int64_t ns;        /* DURATIONS */
};

struct value {
    const struct option_row *row;
    const char *key;    /* row->key, or what was written for a row "*" */
    const char *text;   /* NULL: not set */
    const char *origin; /* "file:line"; NULL: the default */
    int64_t whole;      /* BOOL 0 or 1, INT, SIZE, DURATION (ns) */
    double real;        /* RATIO */
    struct member *members;
    size_t n_members;
    struct value *next; /* among the values of a row "*" */
};

struct section {
    const struct config *config; /* borrowed: its owner */
    const struct section_row *row;
    const char *label;     /* NULL unless named */
    const char *origin;    /* of its first header; the main file's name when it is written nowhere */
    const char *last_file; /* that wrote its header, to tell repeats within a file */
    bool written;
    struct value *values; /* one for each row, in order; that of a row "*" stays unset */
    struct value *wild;   /* in order of appearance */
    struct section *next; /* among the named ones of a row */
};

struct config {
    struct mem mem;
    struct arena arena;
    const char *name; /* of the main file */
    const struct section_row *rows;
    size_t n_rows;
    struct section **first; /* for each row: its section, or the first of its named ones (then NULL: none) */
};

/* Checks text against the row and fills in the typed forms of *v (row, key and origin are the caller's). 0;
 * ERR_NOMEM; or ERR_MALFORMED, ERR_RANGE with "found …, expected …" in e, which never shows what was found
 * for a secret. */
int value_check(const struct option_row *row, const char *text, struct arena *a, struct value *v,
                struct err *e);
bool option_is_list(enum option_type type);
/* What the row allows, as the end of "expected …": "a duration from 100ms to 1h such as 10s". */
void option_allowed(const struct option_row *row, struct buf *out);

/* A line of the report: "origin: [name label] key: sentence"; key, and s, may be NULL. */
void report_line(struct buf *report, const char *kind, const char *origin, const struct section *s,
                 const char *key, const char *sentence);

int parse_int(const char *s, int64_t *out); /* 0, ERR_MALFORMED, ERR_RANGE */
void format_size(int64_t n, char out[32]);  /* "64KiB": parses back to the same; n ≥ 0 */

#endif
