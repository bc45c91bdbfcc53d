/* The reader of XML: what services send is read, what reaches outside or is broken is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/actions/xml.h"

static int parse(struct arena *a, const char *text, const struct xml **x)
{
    struct err e = {0};

    return xml_parse(a, (struct bytes){(const uint8_t *)text, strlen(text)}, x, &e);
}

static void test_good(void **state)
{
    const struct xml *x, *r;
    struct arena a;
    struct buf b;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(
        parse(&a,
              "\xef\xbb\xbf<?xml version=\"1.0\" encoding='UTF-8' ?>\n<!-- c --><L a=\"&lt;\" b = '\"'>"
              "<R><N>a.example.</N><N>b&amp;&#x20AC;<![CDATA[<]]></N></R><R/>t</L >\n",
              &x),
        0);
    assert_string_equal(x->name, "L");
    assert_string_equal(x->text, "t");
    r = xml_child(x, "R");
    assert_string_equal(xml_child_text(r, "N"), "a.example.");
    assert_string_equal(xml_next(xml_child(r, "N"))->text, "b&\xe2\x82\xac<");
    assert_null(xml_next(xml_next(xml_child(r, "N"))));
    assert_null(xml_child_text(xml_next(r), "N"));
    assert_null(xml_child(NULL, "N"));
    buf_init(&b, NULL, 1024);
    xml_put(&b, "a<b>&\"'");
    assert_string_equal(buf_text(&b), "a&lt;b&gt;&amp;&quot;'");
    buf_free(&b);
    arena_free(&a);
}

static void test_bad(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "x",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "</a>",
        "<a><b></a></b>",
        "<a",
        "<a b>",
        "<a b=1/>",
        "<a b=\"<\"/>",
        "<a b=\"1\"c=\"2\"/>",
        "<!DOCTYPE a><a/>",
        "<a>&x;</a>",
        "<a>&#0;</a>",
        "<a>&#xD800;</a>",
        "<a>&#1114112;</a>",
        "<a>&#99999999999;</a>",
        "<a>&#;</a>",
        "<a>\xff</a>",
        "<a>\x01</a>",
        "<a><?php ?></a>",
        "<a><!-- </a>",
        "<a><![CDATA[</a>",
        "<![CDATA[x]]><a/>",
        "<1/>",
        "<a/>x",
        "<?xml version=\"1.0\"><a/>",
        "<a>&lt</a>",
    };
    const struct xml *x;
    char deep[XML_DEPTH * 3 + 64] = "";
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse(&a, bad[i], &x) != ERR_MALFORMED || x)
            fail_msg("%s", bad[i]);
    for (int i = 0; i < XML_DEPTH + 1; i++)
        memcpy(deep + strlen(deep), "<a>", 4);
    assert_int_equal(parse(&a, deep, &x), ERR_LIMIT);
    assert_int_equal(xml_parse(&a, (struct bytes){(const uint8_t *)"<a>\0</a>", 8}, &x, NULL), ERR_MALFORMED);
    arena_free(&a);
    arena_init(&a, NULL, 64);
    assert_int_equal(parse(&a, "<a><b>text</b></a>", &x), ERR_NOMEM);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
