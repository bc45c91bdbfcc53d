/* The state of one run over the files: what reader.c (lines) and parse.c (sections and options) share. */
#ifndef SB_CONFIG_PARSE_H
#define SB_CONFIG_PARSE_H

#include "common/config/model.h"

struct parser {
    struct config *c;
    struct buf *report;
    struct err *e; /* gets the first mistake */
    size_t mistakes;
    int rc; /* ERR_NOMEM ends all */

    /* the line at hand */
    const char *file;
    struct bytes text;
    size_t at;
    unsigned line;
    bool indented; /* it begins with white space */
    bool awaited;  /* the ini parser owes us a call for it */

    /* the section at hand */
    struct section *section; /* NULL before the first, and within one that is refused */
    bool before_sections;

    /* the option at hand, whose indented lines may follow */
    bool continues;        /* one was begun in this section: an indented line belongs to it */
    bool swallow;          /* it was refused: so are its indented lines, without another word */
    struct value *pending; /* NULL when it was unknown */
    unsigned pending_line;
    struct buf value; /* what was gathered for it */
};

/* A mistake at line `line` of the file at hand. key and s may be NULL. */
void parser_mistake(struct parser *p, unsigned line, const struct section *s, const char *key,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void parser_warning(struct parser *p, unsigned line, const struct section *s, const char *key,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void parser_no_memory(struct parser *p);
/* Copies into the configuration; NULL (and parser_no_memory) when there is no more. */
char *parser_keep(struct parser *p, const char *s, size_t n);
char *parser_origin(struct parser *p, unsigned line); /* "file:line" */

/* The reader that is handed to the ini parser, in the manner of fgets(3): the next line, without its end;
 * NULL behind the last. */
char *parser_read(char *to, int room, void *arg);

/* Called by the reader: a header with this inside of its brackets. */
void parser_header(struct parser *p, const char *inside, size_t n);
/* Ends the option at hand: checks and stores what was gathered. */
void parser_commit(struct parser *p);

/* An empty section of the row; NULL and parser_no_memory. */
struct section *section_new(struct parser *p, const struct section_row *row);

#endif
