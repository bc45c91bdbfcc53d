/* Golden traces: each file of tests/golden/alerts is rules, what happens to the series, and the transitions that
 * follow. README.md there has the language. Over all files every row of the state table is reached. With GOLDEN=write
 * the files are written anew with what follows now, to be read before they are kept. */
#include <dirent.h>

#include "aggregator/alert/table.h"
#include "tests/unit/alert_kit.h"

enum { FILES = 64, TEXT = 1 << 16 };

static uint64_t reached[ALERT_ROW_MOST + 1];

struct golden {
    const char *name;
    unsigned line;
    struct kit k;
    char *rules[3];   /* as the file has them */
    struct buf fresh; /* the file as it would be now */
};

static int64_t seconds_of(const struct golden *g, const char *text)
{
    struct span d;

    if (parse_duration(text, &d, NULL) != 0)
        fail_msg("%s:%u: \"%s\" is no duration", g->name, g->line, text);
    return d.ns / 1000000000;
}

static void note_rows(struct golden *g)
{
    for (int i = 0; i <= ALERT_ROW_MOST; i++)
        reached[i] += g->k.rig.alerts->rows[i];
}

/* "SERIES VALUE": cuts the last word off. */
static char *last_word(struct golden *g, char *text)
{
    char *blank = strrchr(text, ' ');

    if (!blank)
        fail_msg("%s:%u: a word is missing", g->name, g->line);
    *blank = 0;
    return blank + 1;
}

static void command(struct golden *g, char *text)
{
    char *rest = strchr(text, ' '), *word, *more;

    if (rest)
        *rest++ = 0;
    if (!strcmp(text, "set")) {
        word = last_word(g, rest);
        kit_set(&g->k, rest, strtod(word, NULL));
    } else if (!strcmp(text, "drop")) {
        kit_drop(&g->k, rest);
    } else if (!strcmp(text, "every")) {
        word = last_word(g, rest);
        kit_source(&g->k, rest)->every = seconds_of(g, word) * 1000;
    } else if (!strcmp(text, "late")) {
        word = last_word(g, rest);
        more = last_word(g, rest);
        kit_value(&g->k, rest, seconds_of(g, more) * 1000, strtod(word, NULL));
    } else if (!strcmp(text, "many")) { /* many N SERIES VALUE: host=0 … N-1 */
        unsigned n = (unsigned)strtoul(rest, &more, 10);
        char series[256];

        word = last_word(g, more);
        for (unsigned i = 0; i < n; i++) {
            snprintf(series, sizeof series, "%s host=%u", more + 1, i);
            kit_set(&g->k, series, strtod(word, NULL));
        }
    } else if (!strcmp(text, "until")) {
        kit_until(&g->k, seconds_of(g, rest));
    } else if (!strcmp(text, "skip")) { /* nothing runs, time passes */
        g->k.at += seconds_of(g, rest) * 1000;
        for (uint32_t i = 0; i < g->k.n_sources; i++)
            g->k.sources[i].next = g->k.at;
    } else if (!strcmp(text, "clock")) {
        g->k.offset += (*rest == '-' ? -1000 : 1000) * seconds_of(g, rest + 1);
    } else if (!strcmp(text, "hold")) {
        g->k.hold = !strcmp(rest, "on");
    } else if (!strcmp(text, "restart")) {
        note_rows(g);
        kit_restart(&g->k, g->rules[rest ? 1 : 0]);
    } else if (!strcmp(text, "reload")) {
        kit_reload(&g->k, g->rules[1]);
    } else if (!strcmp(text, "records")) {
        if (g->k.n_records != strtoul(rest, NULL, 10))
            fail_msg("%s:%u: %u records", g->name, g->line, g->k.n_records);
    } else if (!strcmp(text, "summary")) {
        if (strcmp(g->k.summary, rest))
            fail_msg("%s:%u: the summary is \"%s\"", g->name, g->line, g->k.summary);
    } else {
        fail_msg("%s:%u: unknown command %s", g->name, g->line, text);
    }
}

/* Lines "= …" follow the command that caused them. */
static char *expected(struct golden *g, char *p, struct buf *want)
{
    static const char blank[] = "\n";

    while (*p) {
        size_t n = strcspn(p, "\n");

        if (p[0] != '=' && p[0] != '#' && n)
            break;
        if (p[0] == '=')
            buf_put(want, p + 2, n - 2), buf_str(want, blank);
        else
            buf_put(&g->fresh, p, n + (p[n] == '\n'));
        p += n + (p[n] == '\n');
        g->line++;
    }
    return p;
}

static void put_found(struct golden *g, const char *command)
{
    const char *p = buf_text(&g->k.log), *end;

    buf_fmt(&g->fresh, "%s\n", command);
    for (; (end = strchr(p, '\n')); p = end + 1)
        buf_fmt(&g->fresh, "= %.*s\n", (int)(end - p), p);
}

static void play(struct golden *g, char *p)
{
    struct buf want;
    char said[512];

    buf_init(&want, NULL, 1 << 20);
    p = expected(g, p, &want);
    kit_open(&g->k, g->rules[0]);
    while (*p) {
        size_t n = strcspn(p, "\n");
        unsigned line = ++g->line;

        if (p[n])
            p[n++] = 0;
        snprintf(said, sizeof said, "%s", p);
        command(g, p);
        buf_clear(&want);
        put_found(g, said);
        p = expected(g, p + n, &want);
        if (!getenv("GOLDEN") && strcmp(buf_text(&want), buf_text(&g->k.log)))
            fail_msg("%s:%u: expected\n%sfound\n%s", g->name, line, buf_text(&want), buf_text(&g->k.log));
        buf_clear(&g->k.log);
    }
    note_rows(g);
    kit_close(&g->k);
    buf_free(&want);
}

/* [rules], perhaps [rules again], [trace] */
static void run_file(const char *name, const char *path, char *text)
{
    struct golden g = {.name = name};
    FILE *f;
    char *at = strstr(text, "\n[rules]\n"), *again, *trace = NULL;

    if (!at || !(trace = strstr(at, "\n[trace]\n")))
        fail_msg("%s: has no [rules] and [trace]", name);
    buf_init(&g.fresh, NULL, 1 << 22);
    buf_put(&g.fresh, text, (size_t)(trace - text) + 9);
    *trace = 0;
    again = strstr(at, "\n[rules again]\n");
    if (again)
        *again = 0;
    g.rules[0] = at + 9;
    g.rules[1] = again ? again + 15 : NULL;
    for (const char *p = text; p < trace; p++)
        g.line += *p == '\n' || !*p;
    g.line += 2;
    play(&g, trace + 9);
    if (getenv("GOLDEN")) {
        f = fopen(path, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(g.fresh.data, 1, g.fresh.len, f), g.fresh.len);
        fclose(f);
    }
    buf_free(&g.fresh);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void test_files(void **state)
{
    char folder[512], path[1024], *names[FILES], *text = malloc(TEXT);
    struct dirent *d;
    unsigned n = 0;
    DIR *dir;

    (void)state;
    snprintf(folder, sizeof folder, "%s/tests/golden/alerts", getenv("TEST_SOURCE"));
    dir = opendir(folder);
    assert_non_null(dir);
    while ((d = readdir(dir))) {
        size_t len = strlen(d->d_name);

        if (len > 4 && !strcmp(d->d_name + len - 4, ".txt") && n < FILES)
            names[n++] = strdup(d->d_name);
    }
    closedir(dir);
    qsort(names, n, sizeof *names, by_name);
    assert_true(n >= 8);
    for (unsigned i = 0; i < n; i++) {
        FILE *f;
        size_t len;

        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        f = fopen(path, "r");
        assert_non_null(f);
        len = fread(text, 1, TEXT - 1, f);
        fclose(f);
        assert_true(len < TEXT - 1);
        text[len] = 0;
        print_message("             %s\n", names[i]);
        run_file(names[i], path, text);
        free(names[i]);
    }
    free(text);
}

static void test_every_row_is_reached(void **state)
{
    (void)state;
    for (size_t i = 0; i < alert_table_rows; i++) {
        if (!reached[alert_table[i].number])
            fail_msg("no trace reaches row %d", alert_table[i].number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_every_row_is_reached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
