/* Configuration: typical mistakes with file, line, key and what is allowed; values and their bounds; lines as
 * files have them; printing that reads back; examples that load; secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config/config.h"
#include "common/config/text.h"

static const struct option_row agent_rows[] = {
    {.key = "id", .type = OPT_STRING, .sentence = "Name of this agent."},
    {.key = "region", .type = OPT_STRING, .required = true, .sentence = "Region it runs in."},
    {.key = "interval",
     .type = OPT_DURATION,
     .dflt = "1s",
     .min = 100000000,
     .max = 3600000000000,
     .reloadable = true,
     .sentence = "Pause between samples."},
    {.key = "workers", .type = OPT_INT, .dflt = "4", .min = 1, .max = 64, .sentence = "Threads."},
    {.key = "state_dir", .type = OPT_PATH, .dflt = "/var/lib/x", .sentence = "State."},
    {.key = "verbose", .type = OPT_BOOL, .dflt = "no", .reloadable = true, .sentence = "Says more."},
    {.key = "role", .type = OPT_CHOICE, .dflt = "full", .choices = "full witness", .sentence = "Role."},
    {.key = "goal", .type = OPT_RATIO, .dflt = "99.9%", .sentence = "Goal."},
};
static const struct option_row ship_rows[] = {
    {.key = "endpoints", .type = OPT_URLS, .dflt = "", .max = 3, .sentence = "Where to."},
    {.key = "token", .type = OPT_SECRET, .sentence = "Bearer token."},
    {.key = "listen", .type = OPT_ADDRESS, .dflt = "127.0.0.1:9871", .sentence = "Listener."},
    {.key = "batch", .type = OPT_DURATION, .dflt = "10s", .sentence = "Length of a batch."},
    {.key = "spool",
     .type = OPT_SIZE,
     .dflt = "64MiB",
     .min = 1 << 20,
     .max = 1LL << 40,
     .sentence = "Size."},
};
static const struct option_row percentile_rows[] = {
    {.key = "metric", .type = OPT_STRING, .required = true, .sentence = "Metric."},
    {.key = "match", .type = OPT_LABELS, .dflt = "", .reloadable = true, .sentence = "Which series."},
    {.key = "by", .type = OPT_LIST, .dflt = "", .sentence = "Groups."},
    {.key = "windows", .type = OPT_DURATIONS, .dflt = "1m 5m 1h", .min = 1, .max = 8, .sentence = "Windows."},
    {.key = "quantiles", .type = OPT_NUMBERS, .dflt = "0.5 0.99", .sentence = "Quantiles."},
};
static const struct option_row label_rows[] = {
    {.key = "*", .type = OPT_STRING, .reloadable = true, .sentence = "A label for the whole host."},
};
static const struct option_row perf_rows[] = {
    {.key = "enabled", .type = OPT_BOOL, .dflt = "yes", .sentence = "Whether it runs."},
};
#define ROWS(r) .rows = r, .n_rows = sizeof r / sizeof r[0]
static const struct section_row rows[] = {
    {.name = "agent", .sentence = "The agent.", .required = true, ROWS(agent_rows)},
    {.name = "ship", .sentence = "Shipping.", ROWS(ship_rows)},
    {.name = "labels", .sentence = "Labels.", ROWS(label_rows)},
    {.name = "percentile",
     .named = true,
     .example = "api",
     .sentence = "Percentiles.",
     ROWS(percentile_rows)},
    {.name = "collector perf", .sentence = "Counters of the processor.", ROWS(perf_rows)},
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

static struct config *parse_n(const char *text, size_t n, struct buf *report, struct err *e)
{
    struct config_source source = {"agent.ini", {(const uint8_t *)text, n}};

    return config_parse(&source, 1, rows, N_ROWS, report, e);
}

/* What the report says about text; the caller frees it. Whether it loads must be `loads`. */
static char *report_of(const char *text, bool loads)
{
    struct err e = {0};
    struct buf report;
    struct config *c;
    char *s;

    buf_init(&report, NULL, 1 << 20);
    c = parse_n(text, strlen(text), &report, &e);
    if ((c != NULL) != loads)
        fail_msg("\"%s\": %s", text, buf_text(&report));
    if (!loads) {
        assert_int_equal(e.code, ERR_CONFIG);
        assert_true(strlen(e.text) > 0);
        assert_non_null(strstr(buf_text(&report), strlen(e.text) < 380 ? e.text : ""));
    }
    s = strdup(buf_text(&report));
    config_free(&c);
    buf_free(&report);
    return s;
}

static struct config *must(const char *text)
{
    struct err e = {0};
    struct config *c = parse_n(text, strlen(text), NULL, &e);

    if (!c)
        fail_msg("%s", e.text);
    return c;
}

static void has(const char *text, const char *wanted, bool loads)
{
    char *s = report_of(text, loads);

    if (strcmp(s, wanted))
        fail_msg("for \"%s\"\n  found:  %s\n  wanted: %s", text, s, wanted);
    free(s);
}

#define A "[agent]\nregion = r\n"

static void test_typical_mistakes(void **state)
{
    (void)state;
    has(A "\ninterval = 5 parsecs\n",
        "agent.ini:4: [agent] interval: found \"5 parsecs\", expected a duration from 100ms to 1h such as "
        "1s\n",
        false);
    has(A "interval = 30\n",
        "agent.ini:3: [agent] interval: found \"30\", expected a duration from 100ms to 1h such as 1s\n",
        false);
    has(A "interval = 2h\n",
        "agent.ini:3: [agent] interval: found \"2h\", expected a duration from 100ms to 1h such as 1s\n",
        false);
    has(A "intervall = 1s\n",
        "agent.ini:3: [agent]: \"intervall\" is no option here; did you mean \"interval\"?\n", false);
    has(A "batch = 1s\n",
        "agent.ini:3: [agent]: \"batch\" is no option here; did you mean the one of [ship]?\n", false);
    has(A "[shpi]\nbatch = 1s\n", "agent.ini:3: [shpi] is no known section; did you mean [ship]?\n", false);
    has(A "[percentlie api]\n",
        "agent.ini:3: [percentlie api] is no known section; did you mean [percentile api]?\n", false);
    has(A "[collector prf]\n",
        "agent.ini:3: [collector prf] is no known section; did you mean [collector perf]?\n", false);
    has(A "[nothing like it]\nx = 1\n", "agent.ini:3: [nothing like it] is no known section\n", false);
    has(A "workers = many\n",
        "agent.ini:3: [agent] workers: found \"many\", expected a whole number from 1 to 64\n", false);
    has(A "workers = 65\n",
        "agent.ini:3: [agent] workers: found \"65\", expected a whole number from 1 to 64\n", false);
    has(A "verbose = maybe\n", "agent.ini:3: [agent] verbose: found \"maybe\", expected yes or no\n", false);
    has(A "role = leader\n", "agent.ini:3: [agent] role: found \"leader\", expected one of full, witness\n",
        false);
    has(A "goal = 99.95\n",
        "agent.ini:3: [agent] goal: found \"99.95\", expected a ratio from 0 to 1 such as 0.9995 or 99.95%\n",
        false);
    has(A "state_dir = \"/var/lib\"\n",
        "agent.ini:3: [agent] state_dir: found \"\"/var/lib\"\", expected an absolute path, without quotes\n",
        false);
    has("[agent]\nid = a\n", "agent.ini:1: [agent] region: is required and not there: Region it runs in.\n",
        false);
    has("[agent]\nregion =\n", "agent.ini:2: [agent] region: found nothing, expected text\n", false);
    has("",
        "agent.ini: section [agent] is required and not there: The agent.\n"
        "agent.ini: [agent] region: is required and not there: Region it runs in.\n",
        false);
    has(A "[ship]\nspool = 64MB\n",
        "agent.ini:4: [ship] spool: found \"64MB\", expected a size from 1MiB to 1TiB such as 64MiB\n",
        false);
    has(A "[ship]\nlisten = 9870\n",
        "agent.ini:4: [ship] listen: found \"9870\", expected host:port, [IPv6]:port or "
        "unix:/absolute/path\n",
        false);
    has(A "[ship]\nendpoints = https://a:9870 b:9870\n",
        "agent.ini:4: [ship] endpoints: found \"b:9870\", expected URLs that begin with http:// or https://, "
        "without a user "
        "in them, at most 3\n",
        false);
    has(A "[ship]\ntoken = hunter2\n",
        "agent.ini:4: [ship] token: found something else (not shown), expected a reference: "
        "file:/absolute/path, or "
        "cred:NAME for a systemd credential\n",
        false);
    has(A "[percentile]\nmetric = m\n", "agent.ini:3: section [percentile] needs a name: [percentile api]\n",
        false);
    has(A "[ship west]\n", "agent.ini:3: [ship west]: section [ship] takes no name\n", false);
    has(A "[percentile a b]\n",
        "agent.ini:3: found the name \"a b\", expected one word of at most 64 letters, digits, '.', "
        "'_' and '-'\n",
        false);
    has(A "[percentile a]\nmetric = m\nwindows = 1m 5 1h\n",
        "agent.ini:5: [percentile a] windows: found \"5\", expected durations such as 1m 5m 1h, 1 to 8 of "
        "them\n",
        false);
    has(A "[percentile a]\nmetric = m\nmatch = service:checkout\n",
        "agent.ini:5: [percentile a] match: found \"service:checkout\", expected name=value words such as "
        "service=checkout\n",
        false);
    has(A "[percentile a]\nmetric = m\nquantiles = 0.5 nan\n",
        "agent.ini:5: [percentile a] quantiles: found \"nan\", expected numbers separated by commas or white "
        "space\n",
        false);
}

static void test_mistakes_of_form(void **state)
{
    (void)state;
    has("x = 1\n" A, "agent.ini:1: \"x\" stands before the first [section]\n", false);
    has(A "interval 5s\n", "agent.ini:3: [agent]: expected \"key = value\" or [section], found neither\n",
        false);
    has(A "interval 5s", "agent.ini:3: [agent]: expected \"key = value\" or [section], found neither\n",
        false);
    has(A "[ship\nbatch = 1s\n", "agent.ini:3: a section's ] is missing\n", false);
    has(A "[ship] batch = 1s\n", "agent.ini:3: found more behind the ] of a section\n", false);
    has(A "[]\n", "agent.ini:3: a section's name is empty or too long\n", false);
    has(A "= 5\n", "agent.ini:3: [agent]: there is no key before the \"=\"\n", false);
    has(A "id = a\xFF\n", "agent.ini:3: [agent]: the line holds bytes that are not UTF-8\n", false);
    has(A "id = a\x01\n", "agent.ini:3: [agent]: the line holds a control character\n", false);
    has("[agent]\nregion = r\n  interval = 5s\n",
        "agent.ini:3: [agent]: an indented line continues the option above it (region); begin an option at "
        "the start of its "
        "line\n",
        false);
    has(A "interval = 5s\n  6s\n",
        "agent.ini:4: [agent] interval: found an indented line behind it, expected a value on one line\n",
        false);
    /* what continues a refused line is refused with it, and goes nowhere else */
    has(A "id = a\nintervall = 1s\n  and more\nnonsense\n  more\nworkers = 0\n",
        "agent.ini:4: [agent]: \"intervall\" is no option here; did you mean \"interval\"?\n"
        "agent.ini:6: [agent]: expected \"key = value\" or [section], found neither\n"
        "agent.ini:8: [agent] workers: found \"0\", expected a whole number from 1 to 64\n",
        false);
}

static void test_nul_bytes(void **state)
{
    static const char text[] = A "id = a\0b\n";
    struct err e = {0};

    (void)state;
    assert_null(parse_n(text, sizeof text - 1, NULL, &e));
    assert_string_equal(e.text, "agent.ini:3: [agent]: the line holds a NUL byte");
}

static void test_all_mistakes_are_told(void **state)
{
    char text[1 << 14] = "[agent]\n", *s;
    size_t i, n = 0;

    (void)state;
    for (i = 0; i < 500; i++)
        strcat(text, "workers = no\n");
    s = report_of(text, false);
    assert_non_null(strstr(s, "agent.ini:2: [agent] workers:"));
    assert_non_null(strstr(s, "agent.ini:40: [agent] workers:"));
    assert_non_null(strstr(s, "agent.ini: and 401 more mistakes\n"));
    for (i = 0; s[i]; i++)
        n += s[i] == '\n';
    assert_in_range(n, 600, 601); /* 100, 499 repeats, the rest as a number */
    free(s);
}

static void test_repeats_warn(void **state)
{
    (void)state;
    has(A "interval = 2s\ninterval = 3s\n",
        "warning: agent.ini:4: [agent] interval: given at agent.ini:3 already; the later one holds\n", true);
    has(A "[ship]\n[agent]\nid = x\n",
        "warning: agent.ini:4: [agent]: begun at agent.ini:1 already; the two are read as one\n", true);
    has(A "id = \"x\"\n", "warning: agent.ini:3: [agent] id: the quotes are taken as part of the text\n",
        true);
}

static void test_values(void **state)
{
    struct config *c =
        must("\xEF\xBB\xBF; comment\r\n[ agent ] ; note\r\nregion = us-east-1 ; inline\r\n# "
             "x\r\ninterval=250ms\r\n"
             "verbose: On\r\ngoal = 99.95%\r\nid = a;b # c = d\r\n[labels]\nnode_role = web x\nempty =\n"
             "[percentile  api]\nmetric = m\nmatch = service=checkout, env=\"prod eu\"\n"
             "by = service,region\n  zone ; the third\n\n; between\n  host\nquantiles = 0.5 1e-3\n"
             "[ship]\nspool = 1048576\nendpoints =\n   https://a:9870/x?y=z\n   http://[::1]:80\n"
             "[percentile second]\nmetric = \xC3\xA9\n");
    const struct section *a = config_section(c, "agent"), *p = config_named(c, "percentile", 0);
    const struct section *ship = config_section(c, "ship"), *labels = config_section(c, "labels");
    const char *name, *value;

    (void)state;
    assert_string_equal(option_text(a, "region"), "us-east-1");
    assert_string_equal(option_text(a, "id"), "a;b # c = d");
    assert_int_equal(option_span(a, "interval").ns, 250000000);
    assert_true(option_bool(a, "verbose"));
    assert_true(option_ratio(a, "goal") == 0.9995);
    assert_int_equal(option_int(a, "workers"), 4);
    assert_string_equal(option_text(a, "role"), "full");
    assert_string_equal(option_origin(a, "interval"), "agent.ini:5");
    assert_string_equal(option_origin(a, "workers"), "default");
    assert_string_equal(section_origin(a), "agent.ini:2");
    assert_string_equal(section_origin(config_section(c, "collector perf")), "agent.ini");
    assert_true(option_bool(config_section(c, "collector perf"), "enabled"));

    assert_string_equal(section_label(p), "api");
    assert_int_equal(option_count(p, "match"), 2);
    option_label(p, "match", 1, &name, &value);
    assert_string_equal(name, "env");
    assert_string_equal(value, "prod eu");
    assert_int_equal(option_count(p, "by"), 4);
    assert_string_equal(option_word(p, "by", 2), "zone");
    assert_string_equal(option_word(p, "by", 3), "host");
    assert_int_equal(option_count(p, "windows"), 3);
    assert_int_equal(option_nth_span(p, "windows", 2).ns, 3600000000000);
    assert_string_equal(option_word(p, "windows", 2), "1h");
    assert_true(option_number(p, "quantiles", 1) == 1e-3);
    assert_string_equal(section_label(config_named(c, "percentile", 1)), "second");
    assert_null(config_named(c, "percentile", 2));

    assert_int_equal(option_int(ship, "spool"), 1 << 20);
    assert_int_equal(option_count(ship, "endpoints"), 2);
    assert_string_equal(option_word(ship, "endpoints", 1), "http://[::1]:80");
    assert_false(option_set(ship, "token"));
    assert_true(option_wild(labels, 0, &name, &value));
    assert_string_equal(name, "node_role");
    assert_string_equal(value, "web x");
    assert_true(option_wild(labels, 1, &name, &value));
    assert_string_equal(value, "");
    assert_false(option_wild(labels, 2, &name, &value));
    assert_string_equal(option_origin(labels, "node_role"), "agent.ini:10");
    config_free(&c);
    assert_null(c);
}

static void test_long_lines(void **state)
{
    char text[512], key[260];
    struct config *c;
    size_t n;

    (void)state;
    for (n = 190; n < 212; n++) { /* "id = " and n - 5 letters: n bytes in the line */
        memset(key, 'x', n - 5);
        key[n - 5] = 0;
        (void)snprintf(text, sizeof text, A "id = %s\n  more\n", key);
        if (n <= 199) {
            c = must(text);
            assert_int_equal(strlen(option_text(config_section(c, "agent"), "id")), n - 5 + 5);
            config_free(&c);
        } else {
            char want[300];

            (void)snprintf(want, sizeof want,
                           "agent.ini:3: [agent]: the line has %zu bytes, more than the 199 allowed: "
                           "continue it on a next "
                           "line that begins with white space (a \\ at the end joins without a space)\n",
                           n);
            has(text, want, false);
        }
    }
    (void)snprintf(text, sizeof text, A "# %0300d\nid = a\\\n  b\\\n  c\n  d\nstate_dir = /a\\\n /b\n", 0);
    c = must(text);
    assert_string_equal(option_text(config_section(c, "agent"), "id"), "abc d");
    assert_string_equal(option_text(config_section(c, "agent"), "state_dir"), "/a/b");
    config_free(&c);
}

static void duration(const char *s, int64_t ns)
{
    struct span d = {-1}, again;
    struct err e = {0};
    char text[32];

    if (ns < 0) {
        assert_int_not_equal(parse_duration(s, &d, &e), 0);
        assert_true(e.text[0]);
        return;
    }
    assert_int_equal(parse_duration(s, &d, &e), 0);
    assert_int_equal(d.ns, ns);
    format_duration(d, text);
    assert_int_equal(parse_duration(text, &again, &e), 0);
    assert_int_equal(again.ns, ns);
}

static void test_single_values(void **state)
{
    static const char *const bad_sizes[] = {
        "", "1KB", "64MB", "1.5MiB", "-1", "KiB", "8388608TiB", "1 MiB", "99999999999999999999"};
    static const char *const bad_ratios[] = {"",     "1.1",  "101%", "-0.1", "nan",   "0x1p-1",
                                             "50 %", "1e2%", "%",    ".",    "1e-2%x"};
    static const char *const bad_numbers[] = {"",    "inf",   "nan", "1e999", "0x10",
                                              "1,5", "1.2.3", "--1", "e5",    "1e"};
    int64_t n;
    double d;
    size_t i;
    char text[32];

    (void)state;
    duration("0", 0);
    duration("0s", 0);
    duration("1ns", 1);
    duration("15us", 15000);
    duration("250ms", 250000000);
    duration("1m", 60000000000);
    duration("90s", 90000000000);
    duration("30d", 30LL * 86400 * 1000000000);
    duration("106751d", 106751LL * 86400 * 1000000000);
    duration("106752d", -1);
    duration("9223372036854775807ns", INT64_MAX);
    duration("9223372036854775808ns", -1);
    duration("5", -1);
    duration("", -1);
    duration("s", -1);
    duration("-1s", -1);
    duration("1.5s", -1);
    duration("1s ", -1);
    duration("1S", -1);
    duration("00000000000000000000000000000000000001s", -1);
    format_duration(span_ms(1500), text);
    assert_string_equal(text, "1500ms");
    format_duration(span_s(3600), text);
    assert_string_equal(text, "1h");

    assert_int_equal(parse_size("64KiB", &n, NULL), 0);
    assert_int_equal(n, 65536);
    assert_int_equal(parse_size("8388607TiB", &n, NULL), 0);
    assert_int_equal(parse_size("12B", &n, NULL), 0);
    for (i = 0; i < sizeof bad_sizes / sizeof bad_sizes[0]; i++)
        assert_int_not_equal(parse_size(bad_sizes[i], &n, NULL), 0);
    for (i = 0; i <= 10000; i++) { /* n/100 per cent is the same double as n/10000 */
        double e;
        char a[32], b[32];

        (void)snprintf(a, sizeof a, "%zu.%02zu%%", i / 100, i % 100);
        (void)snprintf(b, sizeof b, "%zu.%04zu", i / 10000, i % 10000);
        assert_int_equal(parse_ratio(a, &d, NULL), 0);
        assert_int_equal(parse_ratio(b, &e, NULL), 0);
        assert_true(d == e);
    }
    for (i = 0; i < sizeof bad_ratios / sizeof bad_ratios[0]; i++)
        assert_int_not_equal(parse_ratio(bad_ratios[i], &d, NULL), 0);
    assert_int_equal(parse_number("-1.5e-3", &d, NULL), 0);
    assert_true(d == -1.5e-3);
    assert_int_equal(parse_number(".5", &d, NULL), 0);
    for (i = 0; i < sizeof bad_numbers / sizeof bad_numbers[0]; i++)
        assert_int_not_equal(parse_number(bad_numbers[i], &d, NULL), 0);
}

static void check_word(const char *key, const char *value, bool good)
{
    char text[256];
    struct err e = {0};
    struct config *c;

    (void)snprintf(text, sizeof text, A "[ship]\n%s = %s\n", key, value);
    c = parse_n(text, strlen(text), NULL, &e);
    if ((c != NULL) != good)
        fail_msg("%s = %s: %s", key, value, e.text);
    config_free(&c);
}

static void test_addresses_and_urls(void **state)
{
    static const char *const good[] = {"127.0.0.1:0", "a-b.c:65535", "[::1]:1", "[fe80::1%eth0]:80",
                                       "unix:/run/x.sock"};
    static const char *const bad[] = {"",      ":80",        "a",     "a:",     "a:65536", "a:-1",
                                      "a:+1",  "::1:80",     "[::1]", "[]:1",   "[x]:1",   "unix:run",
                                      "a b:1", "http://a:1", "a:1x",  "[::1]80"};
    static const char *const good_urls[] = {"http://127.0.0.1:1", "https://a/b?c=d#e", "HTTPS://A",
                                            "https://[::1]/"};
    static const char *const bad_urls[] = {"ftp://a",     "https://",        "https://u:p@a",
                                           "https://u@a", "https://a:b",     "https:///x",
                                           "a",           "https://a:70000/"};
    static const char *const bad_secrets[] = {
        "", "file:", "file:x", "cred:", "cred:../x", "cred:.x", "cred:a/b", "env:X"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof good / sizeof good[0]; i++)
        check_word("listen", good[i], true);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_word("listen", bad[i], false);
    for (i = 0; i < sizeof good_urls / sizeof good_urls[0]; i++)
        check_word("endpoints", good_urls[i], true);
    for (i = 0; i < sizeof bad_urls / sizeof bad_urls[0]; i++)
        check_word("endpoints", bad_urls[i], false);
    for (i = 0; i < sizeof bad_secrets / sizeof bad_secrets[0]; i++)
        check_word("token", bad_secrets[i], false);
    check_word("token", "cred:agent-token", true);
    check_word("endpoints", "http://a,http://b http://c", true);
    check_word("endpoints", "http://a,http://b http://c http://d", false);
    check_word("endpoints", "", true);
}

static const char full[] =
    A "id = ends in backslash\\\nstate_dir = /x\ngoal = 0.5\n[ship]\ntoken = file:/etc/secret\nendpoints = "
      "https://a https://b\n[labels]\nb = ;semicolon\na = ;\nc =;kept\n[percentile z]\nmetric = m\n"
      "[percentile a]\nmetric = n\nmatch = x=\"a, b\"\nby = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
      "  bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
      "  cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\n"
      "  dddddddddddddddddddddddddddddddddd eeeeeeeeeeeeeeeeeeeeeeeeeeeeee\n";

static void test_print_reads_back(void **state)
{
    struct config *c = must(full), *again;
    struct buf out, diff;

    (void)state;
    buf_init(&out, NULL, 1 << 20);
    buf_init(&diff, NULL, 1 << 20);
    config_print(c, &out);
    again = must(buf_text(&out));
    assert_int_equal(config_changes(c, again, &diff), 0);
    assert_string_equal(option_text(config_section(again, "agent"), "id"), "ends in backslash\\");
    assert_int_equal(option_count(config_named(again, "percentile", 1), "by"), 5);
    assert_string_equal(section_label(config_named(again, "percentile", 0)), "z");
    assert_non_null(strstr(buf_text(&out), "token = file:/etc/secret ; agent.ini:7\n"));
    assert_non_null(strstr(buf_text(&out), "interval = 1s ; default\n"));
    config_free(&again);
    config_free(&c);
    buf_free(&out);
    buf_free(&diff);
}

static void test_needs_restart(void **state)
{
    struct config *a = must(A "[percentile a]\nmetric = m\n[labels]\nx = 1\n");
    struct config *b = must("[agent]\nregion = s\ninterval = 5s\nworkers = 5\n[percentile b]\nmetric = "
                            "m\n[labels]\nx = 2\ny = 3\n");
    struct buf out;

    (void)state;
    buf_init(&out, NULL, 1 << 16);
    assert_int_equal(config_needs_restart(a, a, &out), 0);
    assert_int_equal(config_needs_restart(a, b, &out), 4);
    assert_string_equal(buf_text(&out),
                        "[agent] region: r -> s\n[agent] workers: 4 -> 5\n[percentile a]: removed\n"
                        "[percentile b]: added\n");
    buf_clear(&out);
    assert_int_equal(config_changes(a, b, &out), 7);
    assert_non_null(strstr(buf_text(&out), "[agent] interval: 1s -> 5s\n"));
    assert_non_null(strstr(buf_text(&out), "[labels] y: (not set) -> 3\n"));
    config_free(&a);
    config_free(&b);
    buf_free(&out);
}

/* The example with the edits that a user may make: the required options filled in and, if all, each option
 * that has a default and each named section brought in as it stands there. The caller frees it. */
static char *edited(const char *example, bool all)
{
    struct buf out;
    char *s;
    size_t n;

    buf_init(&out, NULL, 1 << 20);
    for (; *example; example += n + 1) {
        n = strcspn(example, "\n");
        if (!strncmp(example, "region =", n) || (all && !strncmp(example, ";metric =", n)))
            buf_fmt(&out, "%.6s = r\n", example + (*example == ';')); /* region and metric have six letters */
        else if (all && *example == ';' && example[n - 1] != '=' && strncmp(example, ";key = value", n) != 0)
            buf_fmt(&out, "%.*s\n", (int)n - 1, example + 1);
        else
            buf_fmt(&out, "%.*s\n", (int)n, example);
    }
    s = strdup(buf_text(&out));
    buf_free(&out);
    return s;
}

static void test_example_and_manual(void **state)
{
    struct config *c, *bare = must(A), *named = must(A "[percentile api]\nmetric = r\n");
    struct buf out, diff;
    char *s;

    (void)state;
    buf_init(&out, NULL, 1 << 20);
    buf_init(&diff, NULL, 1 << 20);
    config_example(rows, N_ROWS, "An example.", &out);
    assert_non_null(strstr(buf_text(&out), "\nregion =\n"));
    assert_non_null(strstr(buf_text(&out), "\n;interval = 1s\n"));
    assert_non_null(strstr(buf_text(&out), "\n;[percentile api]\n"));
    s = report_of(buf_text(&out), false); /* as it is, it asks for one edit and no more */
    assert_null(strchr(strchr(s, '\n') + 1, '\n'));
    assert_non_null(strstr(s, "[agent] region: found nothing"));
    free(s);
    s = edited(buf_text(&out), false);
    c = must(s);
    assert_int_equal(config_changes(bare, c, &diff), 0);
    config_free(&c);
    free(s);
    s = edited(buf_text(&out), true);
    c = must(s);
    assert_int_equal(config_changes(named, c, &diff), 0);
    config_free(&c);
    free(s);
    buf_clear(&out);
    config_manual(rows, N_ROWS, &out);
    assert_non_null(strstr(buf_text(&out), ".SS [percentile NAME]\n"));
    assert_non_null(strstr(
        buf_text(&out), ".TP\n.B interval\nPause between samples. Takes a duration from 100ms to 1h such as "
                        "1s. Default: 1s. Taken over on reload.\n"));
    buf_free(&out);
    buf_free(&diff);
    config_free(&bare);
    config_free(&named);
}

static void put_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_files(void **state)
{
    struct err e = {0};
    struct buf report;
    struct config *c;

    (void)state;
    buf_init(&report, NULL, 1 << 16);
    assert_int_equal(mkdir("agent.d", 0755), 0);
    put_file("agent.ini", A "interval = 2s\n", 0644);
    put_file("agent.d/20-b.ini", "[agent]\ninterval = 4s\n", 0644);
    put_file("agent.d/10-a.ini", "[agent]\ninterval = 3s\n", 0644);
    put_file("agent.d/.hidden.ini", "nonsense\n", 0644);
    put_file("agent.d/30.ini.dpkg-old", "nonsense\n", 0644);
    c = config_load("agent.ini", "agent.d", rows, N_ROWS, &report, &e);
    assert_non_null(c);
    assert_int_equal(option_span(config_section(c, "agent"), "interval").ns, 4000000000);
    assert_string_equal(option_origin(config_section(c, "agent"), "interval"), "agent.d/20-b.ini:2");
    assert_string_equal(
        buf_text(&report),
        "warning: agent.d/10-a.ini:2: [agent] interval: given at agent.ini:3 already; the later one holds\n"
        "warning: agent.d/20-b.ini:2: [agent] interval: given at agent.d/10-a.ini:2 already; the later one "
        "holds\n");
    assert_int_equal(
        config_complain(&report, config_section(c, "agent"), "interval", &e, "is longer than %d", 3),
        ERR_CONFIG);
    assert_string_equal(e.text, "agent.d/20-b.ini:2: [agent] interval: is longer than 3");
    config_free(&c);
    c = config_load("agent.ini", "absent.d", rows, N_ROWS, NULL, &e);
    assert_non_null(c);
    config_free(&c);
    assert_null(config_load("absent.ini", NULL, rows, N_ROWS, NULL, &e));
    assert_non_null(strstr(e.text, "absent.ini: cannot be opened"));
    assert_null(config_load("agent.d", NULL, rows, N_ROWS, NULL, &e));
    assert_non_null(strstr(e.text, "not a regular file"));
    buf_free(&report);
}

/* A line of 10 MB is refused with its number, and does not take the memory of the process. */
static void test_huge_line(void **state)
{
    size_t n = 10 << 20;
    char *big = malloc(n);
    struct err e = {0};

    (void)state;
    assert_non_null(big);
    memset(big, 'x', n);
    memcpy(big, A "id =", sizeof A "id =" - 1);
    assert_null(parse_n(big, n, NULL, &e));
    assert_non_null(strstr(e.text, "agent.ini:3: [agent]: the line has 10485"));
    free(big);
}

static void secret(const char *reference, const char *want, const char *wrong)
{
    struct err e = {0};
    struct config *c;
    struct buf out;
    char text[1024];

    (void)snprintf(text, sizeof text, A "[ship]\ntoken = %s\n", reference);
    c = must(text);
    buf_init(&out, NULL, 1 << 20);
    if (want) {
        assert_int_equal(option_secret(config_section(c, "ship"), "token", &out, &e), 0);
        assert_string_equal(buf_text(&out), want);
    } else {
        assert_int_equal(option_secret(config_section(c, "ship"), "token", &out, &e), ERR_IO);
        if (!strstr(e.text, wrong))
            fail_msg("%s", e.text);
    }
    buf_free(&out);
    config_free(&c);
}

static void test_secrets(void **state)
{
    char here[512], ref[600], *big = calloc(1, 20000);

    (void)state;
    assert_non_null(getcwd(here, sizeof here));
    put_file("s1", "hunter2\n", 0600);
    put_file("s2", "hunter2\r\n", 0640);
    put_file("s3", "hunter2", 0644);
    put_file("s4", "\n", 0600);
    memset(big, 'x', 19999);
    put_file("s5", big, 0600);
    free(big);
#define AT(name) ((void)snprintf(ref, sizeof ref, "file:%s/" name, here), ref)
    secret(AT("s1"), "hunter2", NULL);
    secret(AT("s2"), "hunter2", NULL);
    secret(AT("s3"), NULL, "everybody may read it (mode 0644); chmod 0640 or less");
    secret(AT("s4"), NULL, "is empty");
    secret(AT("s5"), NULL, "larger than allowed");
    secret(AT("s6"), NULL, "s6: cannot be opened: No such file");
    secret("file:/dev/zero", NULL, "not a regular file");
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    secret("cred:s1", NULL, "$CREDENTIALS_DIRECTORY is not set");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", here, 1), 0);
    secret("cred:s3", "hunter2", NULL);
    secret("cred:s9", NULL, "cannot be opened");
}

static void test_distance(void **state)
{
    (void)state;
    assert_int_equal(word_distance("", "abc"), 3);
    assert_int_equal(word_distance("kitten", "sitting"), 3);
    assert_int_equal(word_distance("interval", "intreval"), 1);
    assert_int_equal(word_distance("Batch", "batch"), 0);
    assert_int_equal(word_distance("ca", "abc"), 3); /* each stretch is edited once */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typical_mistakes),
        cmocka_unit_test(test_mistakes_of_form),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_all_mistakes_are_told),
        cmocka_unit_test(test_repeats_warn),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_single_values),
        cmocka_unit_test(test_addresses_and_urls),
        cmocka_unit_test(test_print_reads_back),
        cmocka_unit_test(test_needs_restart),
        cmocka_unit_test(test_example_and_manual),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_huge_line),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_distance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
