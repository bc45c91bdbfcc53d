/* Any bytes as a configuration file: a value or mistakes, never harm. What loads must print to a file that
 * loads to the same; what does not must have said why. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"

static const struct option_row kinds[] = {
    {.key = "bool", .type = OPT_BOOL, .dflt = "no", .sentence = "S."},
    {.key = "int", .type = OPT_INT, .dflt = "4", .min = -5, .max = 64, .sentence = "S."},
    {.key = "duration", .type = OPT_DURATION, .dflt = "1s", .sentence = "S."},
    {.key = "size", .type = OPT_SIZE, .dflt = "1KiB", .min = 1, .max = 1 << 30, .sentence = "S."},
    {.key = "ratio", .type = OPT_RATIO, .dflt = "99.9%", .sentence = "S."},
    {.key = "string", .type = OPT_STRING, .sentence = "S."},
    {.key = "path", .type = OPT_PATH, .sentence = "S."},
    {.key = "choice", .type = OPT_CHOICE, .choices = "full witness", .sentence = "S."},
    {.key = "secret", .type = OPT_SECRET, .sentence = "S."},
    {.key = "list", .type = OPT_LIST, .dflt = "a b", .sentence = "S."},
    {.key = "numbers", .type = OPT_NUMBERS, .max = 9, .sentence = "S."},
    {.key = "durations", .type = OPT_DURATIONS, .min = 1, .max = 8, .sentence = "S."},
    {.key = "labels", .type = OPT_LABELS, .sentence = "S."},
    {.key = "address", .type = OPT_ADDRESS, .sentence = "S."},
    {.key = "urls", .type = OPT_URLS, .sentence = "S."},
};
static const struct option_row wild[] = {{.key = "*", .type = OPT_STRING, .sentence = "S."}};
static const struct section_row rows[] = {
    {.name = "a", .sentence = "S.", .rows = kinds, .n_rows = sizeof kinds / sizeof kinds[0]},
    {.name = "n", .named = true, .sentence = "S.", .rows = kinds, .n_rows = sizeof kinds / sizeof kinds[0]},
    {.name = "labels", .sentence = "S.", .rows = wild, .n_rows = 1},
};

static struct config *parse(const uint8_t *p, size_t n, struct buf *report, struct err *e)
{
    struct config_source source = {"f.ini", {p, n}};

    return config_parse(&source, 1, rows, 3, report, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf report, out;
    struct err e = {0};
    struct config *c, *again;

    buf_init(&report, NULL, 1 << 24);
    buf_init(&out, NULL, 1 << 24);
    c = parse(data, size, &report, &e);
    if (!c && (!e.text[0] || e.code != ERR_CONFIG || !report.len))
        abort();
    if (c) {
        config_print(c, &out);
        again = parse(out.data, out.len, NULL, &e);
        if (!again)
            abort();
        buf_clear(&out);
        if (config_changes(c, again, &out))
            abort();
        config_free(&again);
    }
    config_free(&c);
    buf_free(&report);
    buf_free(&out);
    return 0;
}
