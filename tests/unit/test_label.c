/* Label sets, their names, and matchers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/label.h"
#include "common/base/rng.h"

static struct labels set(const struct label *v, uint32_t n)
{
    return (struct labels){v, n};
}

#define SET(...)                                                                                             \
    set((const struct label[]){__VA_ARGS__},                                                                 \
        sizeof((const struct label[]){__VA_ARGS__}) / sizeof(struct label))

static void sets_compare_and_sort(void **state)
{
    struct label v[] = {{"z", "1"}, {"a", "2"}, {"m", "3"}};

    (void)state;
    labels_sort(v, 3);
    assert_string_equal(v[0].name, "a");
    assert_string_equal(v[2].name, "z");
    assert_string_equal(labels_get(set(v, 3), "m"), "3");
    assert_string_equal(labels_get(set(v, 3), "n"), "");
    assert_int_equal(labels_compare(set(v, 3), set(v, 3)), 0);
    assert_true(labels_compare(set(v, 2), set(v, 3)) < 0);
    assert_true(labels_compare(set(v, 3), set(v, 2)) > 0);
    assert_true(labels_compare(SET({"a", "1"}), SET({"a", "2"})) < 0);
    assert_true(labels_compare(SET({"b", "1"}), SET({"a", "2"})) > 0);
    assert_int_equal(labels_compare(SET({"a", "1"}, {"b", ""}), SET({"a", "1"})), 0);
    assert_int_equal(labels_compare(SET({"a", ""}, {"b", "1"}), SET({"b", "1"}, {"c", ""})), 0);
    assert_int_equal(labels_compare(set(NULL, 0), SET({"c", ""})), 0);
    labels_sort(NULL, 0);
}

static void a_set_has_one_text(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 1000);
    labels_text(SET({"a", "x\"y\\z\nw"}, {"b", ""}, {"c", "\xc3\xa9"}), &b);
    assert_string_equal(buf_text(&b), "a=\"x\\\"y\\\\z\\nw\",c=\"\xc3\xa9\"");
    buf_clear(&b);
    labels_text(set(NULL, 0), &b);
    assert_string_equal(buf_text(&b), "");
    buf_free(&b);
}

static void copies_are_deep(void **state)
{
    char value[] = "web-1";
    struct label v[] = {{"host", value}};
    struct mem little = {.cap = 100};
    struct arena a;
    struct labels c;
    bool ok;

    (void)state;
    arena_init(&a, NULL, 0);
    c = labels_copy(set(v, 1), &a, &ok);
    assert_true(ok);
    value[0] = 'x';
    assert_string_equal(labels_get(c, "host"), "web-1");
    c = labels_copy(set(NULL, 0), &a, &ok);
    assert_true(ok && c.n == 0);
    arena_free(&a);
    arena_init(&a, &little, 0);
    c = labels_copy(set(v, 1), &a, &ok);
    assert_true(!ok && c.n == 0);
    arena_free(&a);
}

/* The digests are what `printf 'name\na="1"' | sha256sum` prints: they are written into other systems. */
static void fingerprints_never_change(void **state)
{
    struct fingerprint f = labels_fingerprint("high", SET({"region", "eu"}, {"service", "checkout"})), g;
    char hex[33];

    (void)state;
    fingerprint_text(&f, hex);
    assert_string_equal(hex, "41717920bcd0fd5244a8845279c4666f");
    assert_int_equal(fingerprint_parse(hex, &g), 0);
    assert_memory_equal(&f, &g, sizeof f);
    f = labels_fingerprint("", set(NULL, 0));
    fingerprint_text(&f, hex);
    assert_string_equal(hex, "01ba4719c80b6fe911b091a7c05124b6");
    g = labels_fingerprint("", SET({"x", ""}));
    assert_memory_equal(&f, &g, sizeof f);
    g = labels_fingerprint("x", set(NULL, 0));
    assert_memory_not_equal(&f, &g, sizeof f);
    assert_int_equal(fingerprint_parse("01BA4719C80B6FE911B091A7C05124B6", &g), 0);
    assert_memory_equal(&f, &g, sizeof f);
    assert_int_equal(fingerprint_parse("01ba4719c80b6fe911b091a7c05124b", &g), ERR_MALFORMED);
    assert_int_equal(fingerprint_parse("01ba4719c80b6fe911b091a7c05124b60", &g), ERR_MALFORMED);
    assert_int_equal(fingerprint_parse("g1ba4719c80b6fe911b091a7c05124b6", &g), ERR_MALFORMED);
    assert_int_equal(fingerprint_parse("", &g), ERR_MALFORMED);
}

static bool matches(const char *text, struct labels l)
{
    struct err e = {0};
    struct match *m = match_new(text, &e);
    bool yes;

    if (!m)
        fail_msg("%s: %s", text, e.text);
    yes = match_labels(m, l);
    match_free(&m);
    assert_null(m);
    return yes;
}

static void matchers_match(void **state)
{
    struct labels l = SET({"code", "503"}, {"path", "a b,c\"d"}, {"service", "checkout"});

    (void)state;
    assert_true(matches("", l));
    assert_true(matches(" \t, ,", l));
    assert_true(matches("service=checkout code!=200", l));
    assert_true(matches("service=checkout,code!=200", l));
    assert_false(matches("service=checkout code!=503", l));
    assert_true(matches("code=~5..", l));
    assert_true(matches("code=~\"5..\"", l));
    assert_false(matches("code=~50", l)); /* the whole value */
    assert_false(matches("code=~\"0|5\"", l));
    assert_true(matches("code=~\"2..|5..\"", l));
    assert_true(matches("code!~2..", l));
    assert_false(matches("code!~\".*3\"", l));
    assert_true(matches("path=\"a b,c\\\"d\"", l));
    assert_true(matches("absent=", l));
    assert_true(matches("absent=\"\"", l));
    assert_false(matches("absent!=\"\"", l));
    assert_true(matches("absent=~.*", l));
    assert_false(matches("absent=~.+", l));
    assert_true(matches("code=~[0-9]{3}", l));
    assert_true(matches("path=~\"a b.*\"", SET({"path", "a b\nc"})));
    assert_true(matches("v=~\"a\\.b\"", SET({"v", "a.b"})));
    assert_false(matches("v=~\"a\\.b\"", SET({"v", "axb"})));
    assert_true(matches("v=~[]a]+", SET({"v", "]a"})));
    assert_true(matches("v=~\"(a|b+c?)*d{2,3}(-[a-z]*)?e{1,}x{0}\"", SET({"v", "abbcdd-xyee"})));
    assert_true(matches("v=~\"(ab?)?c|\"", SET({"v", ""})));
    assert_true(matches("v=~[[:digit:]]+", SET({"v", "12"})));
}

static void mistakes_name_the_word(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"service", "\"service\""},
        {"=x", "\"=x\""},
        {"a=b 9c=d", "\"9c=d\""},
        {"a.b=c", "\"a.b=c\""},
        {"a=\"b", "not closed"},
        {"a=\"b\"c", "closing quote"},
        {"a=b\"c", "quote within"},
        {"a=~(", "(\" is not a regular"},
        {"a=~b)|(c", "not opened"},
        {"a=~[", "[\" is not a regular"},
        {"a=~(x)\\1", "back-references"},
        {"a~b", "\"a~b\""},
        {"a=~a++++++++++++++++++++++++++++", "of a repetition"},
        {"a=~*a", "repetition of nothing"},
        {"a=~a|*b", "repetition of nothing"},
        {"a=~(a?b?)+", "may be empty"},
        {"a=~(a|)*", "may be empty"},
        {"a=~((x{0}){9})+", "may be empty"},
        {"a=~(|(a)b*c*){2}", "may be empty"},
        {"a=~(((((((((a+)+)+)+)+)+)+)+)+)+", "repeats too much"},
        {"a=~(^)*", "may be empty"},
        {"a=~(\\b)*", "may be empty"},
        {"a=~(((x{99}){99}){99})", "repeats too much"},
        {"a=~\"x{1,99999}\"", "repeats too much"},
        {"a=~((((((((((((((((((a))))))))))))))))))", "groups within"},
    };
    char long_text[MATCH_TEXT_MOST + 2];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e = {0};

        assert_null(match_new(rows[i].text, &e));
        assert_true(e.code == ERR_MALFORMED || e.code == ERR_LIMIT);
        if (!strstr(e.text, rows[i].says))
            fail_msg("%s: %s", rows[i].text, e.text);
    }
    memset(long_text, ' ', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    assert_null(match_new(long_text, NULL));
    assert_null(match_new("a=1 a=2 a=3 a=4 a=5 a=6 a=7 a=8 a=9 b=1 b=2 b=3 b=4 b=5 b=6 b=7 b=8", NULL));
}

static void equal_matchers_have_one_text(void **state)
{
    struct match *a = match_new("b!~x.* a=\"1\", a!=2 a=1", NULL),
                 *b = match_new("a!=2,a=1 b!~\"x.*\"", NULL);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(match_text(a), "a=\"1\",a!=\"2\",b!~\"x.*\"");
    assert_string_equal(match_text(a), match_text(b));
    assert_int_equal(match_count(a), 3);
    match_free(&b);
    b = match_new(match_text(a), NULL); /* the text is itself readable */
    assert_string_equal(match_text(a), match_text(b));
    assert_true(match_labels(b, SET({"a", "1"}, {"b", "y"})));
    assert_false(match_labels(b, SET({"a", "1"}, {"b", "xy"})));
    match_free(&a);
    match_free(&b);
    a = match_new("", NULL);
    assert_string_equal(match_text(a), "");
    match_free(&a);
    match_free(&a);
}

/* Whatever stands there: an answer with a sentence, or a match that its own text makes again. */
static void any_text_is_answered(void **state)
{
    static const char letters[] = "ab=!~\"\\ ,.*+?()[]{}|^$1,5\n";
    struct rng r;

    (void)state;
    rng_seed(&r, 7);
    for (int i = 0; i < 20000; i++) {
        char text[40] = "a=~";
        size_t n = 3 + rng_below(&r, 30);
        struct err e = {0};
        struct match *m, *again;

        for (size_t k = i % 2 ? 3 : 0; k < n; k++)
            text[k] = letters[rng_below(&r, sizeof letters - 1)];
        text[n] = 0;
        m = match_new(text, &e);
        if (!m) {
            assert_true(e.code && e.text[0]);
            continue;
        }
        (void)match_labels(m, SET({"a", "aaaaaaaaaaab"}, {"b", "1"}));
        again = match_new(match_text(m), &e);
        if (!again)
            fail_msg("%s -> %s: %s", text, match_text(m), e.text);
        assert_string_equal(match_text(m), match_text(again));
        match_free(&m);
        match_free(&again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_compare_and_sort),
        cmocka_unit_test(a_set_has_one_text),
        cmocka_unit_test(copies_are_deep),
        cmocka_unit_test(fingerprints_never_change),
        cmocka_unit_test(matchers_match),
        cmocka_unit_test(mistakes_name_the_word),
        cmocka_unit_test(equal_matchers_have_one_text),
        cmocka_unit_test(any_text_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
