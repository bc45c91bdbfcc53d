/* Configuration: ini files in, typed values out, everything driven by rows.
 *
 * A program hands in its section rows; the parser, the bounds, --check-config, --print-config, the example
 * files and the option pages of the manual all come from them. A wrong value never becomes a default: it is
 * an error with file, line, key, what was found and what is allowed. Immutable once loaded: a reload loads a
 * second one and swaps. */
#ifndef SB_CONFIG_CONFIG_H
#define SB_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"

enum option_type {
    OPT_BOOL,     /* yes no true false on off 1 0 */
    OPT_INT,      /* min … max */
    OPT_DURATION, /* 250ms 10s 5m 1h 30d; min, max in ns */
    OPT_SIZE,     /* 64KiB 1MiB, bytes */
    OPT_RATIO,    /* 0.9995 or 99.95% ; 0 … 1 */
    OPT_STRING,
    OPT_PATH,      /* an absolute path */
    OPT_CHOICE,    /* one of `choices` */
    OPT_SECRET,    /* file:PATH, or cred:NAME ($CREDENTIALS_DIRECTORY); masked by --print-config */
    OPT_LIST,      /* words separated by commas or white space */
    OPT_NUMBERS,   /* finite numbers, in a list */
    OPT_DURATIONS, /* durations, in a list */
    OPT_LABELS,    /* name=value words: label matchers and labels */
    OPT_ADDRESS,   /* host:port, [v6]:port, or unix:/path */
    OPT_URLS,      /* http(s) URLs in a list */
};

struct option_row {
    const char *key; /* "*": any key (section [labels]); then `sentence` describes them all */
    enum option_type type;
    const char *dflt; /* as it would be written in a file; NULL: no default. "" is allowed for lists and
                         strings: empty */
    bool required;    /* an error when absent */
    bool reloadable;
    /* INT, DURATION (ns), SIZE; both 0: no bounds; for lists: how many members (max 0: any) */
    int64_t min, max;
    const char *choices;  /* CHOICE: words separated by spaces */
    const char *unit;     /* for the manual; may be NULL */
    const char *sentence; /* one sentence, ends with a full stop */
};

struct section_row {
    const char *name;
    bool named;    /* [name LABEL]: may occur many times, label [A-Za-z0-9._-]{1,64} */
    bool required; /* at least one must be there */
    const char *sentence;
    const struct option_row *rows;
    size_t n_rows;
    const char *example; /* for the example file of a named section: the label; may be NULL */
};

struct config;  /* owns everything below it */
struct section; /* one [section] or [section LABEL], all files merged */

/* Loads file (must exist) and then dir/<star>.ini in ASCII order (dir may be NULL or absent); later files
 * win. All mistakes are collected: *report gets a line each ("agent.ini:12: [agent] interval: found \"5
 * parsecs\", expected a duration from 100ms to 1h"), warnings likewise beginning with "warning: ". NULL and e
 * (the first mistake) when there was any; warnings alone do not fail. */
struct config *config_load(const char *file, const char *dir, const struct section_row *rows, size_t n_rows,
                           struct buf *report, struct err *e);
/* The pure part of config_load: the files' names and bytes are handed in, in the order in which they hold; at
 * least one. The first is the main file. rows are borrowed for the life of the configuration. */
struct config_source {
    const char *name;  /* as it is to stand in messages */
    struct bytes text; /* borrowed during the call */
};
struct config *config_parse(const struct config_source *sources, size_t n, const struct section_row *rows,
                            size_t n_rows, struct buf *report, struct err *e);
/* As config_load, with a source that holds before all files: what was derived from a first reading of them. NULL: none. */
struct config *config_load_after(const struct config_source *before, const char *file, const char *dir,
                                 const struct section_row *rows, size_t n_rows, struct buf *report,
                                 struct err *e);
void config_free(struct config **c);

/* [name] (a section not written in any file is there with its defaults, unless named). Never NULL for a row
 * that is not named. */
const struct section *config_section(const struct config *c, const char *name);
/* The i-th [name LABEL] in order of first appearance; NULL behind the last. */
const struct section *config_named(const struct config *c, const char *name, size_t i);
const char *section_label(const struct section *s);
/* "file:line" of its header, for messages about the whole section */
const char *section_origin(const struct section *s);

/* Values. The key must be a row's and the type must fit: anything else is our own mistake (assert). */
bool option_set(const struct section *s, const char *key); /* has a value (written or default) */
bool option_bool(const struct section *s, const char *key);
int64_t option_int(const struct section *s, const char *key);      /* INT, SIZE */
struct span option_span(const struct section *s, const char *key); /* DURATION */
double option_ratio(const struct section *s, const char *key);
/* STRING PATH CHOICE ADDRESS; NULL when not set */
const char *option_text(const struct section *s, const char *key);
size_t option_count(const struct section *s, const char *key);               /* members of a list */
const char *option_word(const struct section *s, const char *key, size_t i); /* LIST, URLS */
/* NUMBERS; option_word gives its text */
double option_number(const struct section *s, const char *key, size_t i);
/* DURATIONS; option_word gives its text */
struct span option_nth_span(const struct section *s, const char *key, size_t i);
/* LABELS */
void option_label(const struct section *s, const char *key, size_t i, const char **name, const char **value);
/* Keys of a "*" row, in order: name and text of the i-th; false behind the last. */
bool option_wild(const struct section *s, size_t i, const char **name, const char **value);
const char *option_origin(const struct section *s, const char *key); /* "file:line" or "default" */
/* Reads a secret (file:, cred:) into out, without the trailing
 * newline; 0 or ERR_IO with a sentence. In config_io.c. */
int option_secret(const struct section *s, const char *key, struct buf *out, struct err *e);
/* Whether it can be read, for checks before a start: 0 when it can, when it is not set, and for a credential
 * outside of the service, which alone has it. */
int option_secret_check(const struct section *s, const char *key, struct err *e);

/* Adds a mistake found by a check across options, in the same form; returns ERR_CONFIG. key may be NULL. */
int config_complain(struct buf *report, const struct section *s, const char *key, struct err *e,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Writers. Effective values with their origin, secrets
 * masked; reading it back gives the same configuration. */
void config_print(const struct config *c, struct buf *out);
/* The example file: each option commented out with its default,
 * its sentence above it; required ones not commented. */
void config_example(const struct section_row *rows, size_t n_rows, const char *title, struct buf *out);
/* The option part of a manual page, in man(7) source. */
void config_manual(const struct section_row *rows, size_t n_rows, struct buf *out);
/* Options that differ between two configurations and are not
 * reloadable: one line each into out; the number of them. */
size_t config_needs_restart(const struct config *old, const struct config *fresh, struct buf *out);

/* All options that differ, likewise: what a reload changes, for the log. */
size_t config_changes(const struct config *old, const struct config *fresh, struct buf *out);

/* Parsers for single values, pure; ERR_MALFORMED or ERR_RANGE with what is allowed. */
int parse_duration(const char *s, struct span *out, struct err *e);
int parse_size(const char *s, int64_t *out, struct err *e);
int parse_ratio(const char *s, double *out, struct err *e);
int parse_number(const char *s, double *out, struct err *e);
void format_duration(struct span d, char out[32]); /* "1m", "250ms": parses back to the same */

#endif
