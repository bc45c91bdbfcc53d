/* Request heads, queries and chunked bodies, byte by byte. What
 * the server does with them is tested in test_http.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/net/http_head.h"

static char text[8192];

static int parse(struct http_head *h, const char *s)
{
    size_t n = strlen(s);

    assert_int_equal(http_head_end(s, n), n);
    memcpy(text, s, n);
    return http_head_parse(h, text, n);
}

static void a_head_ends_at_its_empty_line(void **state)
{
    static const char s[] = "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nrest";
    size_t end = strlen(s) - 4;

    (void)state;
    for (size_t n = 0; n < end; n++)
        assert_int_equal(http_head_end(s, n), 0);
    for (size_t n = end; n <= strlen(s); n++)
        assert_int_equal(http_head_end(s, n), end);
}

static void a_head_is_taken_apart(void **state)
{
    struct http_head h;

    (void)state;
    assert_int_equal(parse(&h, "POST /p/a?x=1&y HTTP/1.1\r\nHost: h\r\nA:  b c \t\r\nempty:\r\na: 2\r\n"
                               "Content-Length: 12\r\nExpect: 100-Continue\r\n\r\n"),
                     0);
    assert_string_equal(h.method, "POST");
    assert_string_equal(h.path, "/p/a");
    assert_string_equal(h.query, "x=1&y");
    assert_string_equal(http_head_field(&h, "a"), "b c");
    assert_string_equal(http_head_field(&h, "Empty"), "");
    assert_null(http_head_field(&h, "absent"));
    assert_int_equal(http_head_count(&h, "A"), 2);
    assert_true(h.has_length && !h.bad_length && h.expect_continue && !h.close);
    assert_int_equal(h.length, 12);
}

static void absolute_targets_and_old_versions(void **state)
{
    struct http_head h;

    (void)state;
    assert_int_equal(parse(&h, "GET http://host:1/path?q HTTP/1.1\r\nHost: host:1\r\n\r\n"), 0);
    assert_string_equal(h.path, "/path");
    assert_string_equal(h.query, "q");
    assert_int_equal(parse(&h, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_string_equal(h.path, "*");
    assert_int_equal(parse(&h, "GET / HTTP/1.0\r\n\r\n"), 0);
    assert_true(h.close);
    assert_int_equal(parse(&h, "GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n"), 0);
    assert_false(h.close);
    assert_int_equal(parse(&h, "GET / HTTP/1.1\r\nHost: x\r\nConnection: te , close\r\n\r\n"), 0);
    assert_true(h.close);
}

static void what_could_be_read_two_ways_is_refused(void **state)
{
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n",
        "G ET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    struct http_head h;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parse(&h, bad[i]) == 0)
            fail_msg("taken: %s", bad[i]);
}

static void lengths(void **state)
{
    static const char *const bad[] = {"", "+1", "1 2", "1,1", "0x1", "9999999999999999999"};
    struct http_head h;
    char s[256];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(s, sizeof(s), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %s\r\n\r\n", bad[i]);
        assert_int_equal(parse(&h, s), 0);
        assert_true(h.bad_length);
    }
    assert_int_equal(
        parse(&h, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
        0);
    assert_true(h.bad_length);
}

static void fields_have_a_limit(void **state)
{
    struct http_head h;
    char s[4096] = "GET / HTTP/1.1\r\nHost: a\r\n";
    size_t n = strlen(s);

    (void)state;
    for (int i = 1; i < HTTP_HEAD_FIELDS; i++)
        n += (size_t)snprintf(s + n, sizeof(s) - n, "F%d: x\r\n", i);
    snprintf(s + n, sizeof(s) - n, "\r\n");
    assert_int_equal(parse(&h, s), 0);
    snprintf(s + n, sizeof(s) - n, "One: more\r\n\r\n");
    assert_int_equal(parse(&h, s), 431);
}

static void parameters(void **state)
{
    static const char q[] = "a=1&match%5B%5D=%7Bx%3D%22y%22%7D&a=two+words&b&c=%zz&d=%00&e=%4";
    char out[16];

    (void)state;
    assert_int_equal(http_query_param(q, "a", 0, out, sizeof(out)), 0);
    assert_string_equal(out, "1");
    assert_int_equal(http_query_param(q, "a", 1, out, sizeof(out)), 0);
    assert_string_equal(out, "two words");
    assert_int_equal(http_query_param(q, "a", 2, out, sizeof(out)), ERR_NOTFOUND);
    assert_int_equal(http_query_param(q, "match[]", 0, out, sizeof(out)), 0);
    assert_string_equal(out, "{x=\"y\"}");
    assert_int_equal(http_query_param(q, "match[]", 0, out, 5), ERR_LIMIT);
    assert_int_equal(http_query_param(q, "b", 0, out, sizeof(out)), 0);
    assert_string_equal(out, "");
    assert_int_equal(http_query_param(q, "c", 0, out, sizeof(out)), ERR_MALFORMED);
    assert_int_equal(http_query_param(q, "d", 0, out, sizeof(out)), ERR_MALFORMED);
    assert_int_equal(http_query_param(q, "e", 0, out, sizeof(out)), ERR_MALFORMED);
    assert_int_equal(http_query_param("", "a", 0, out, sizeof(out)), ERR_NOTFOUND);
}

/* Feeds pieces of a size; the body ends up in out. */
static int chunks(const char *s, size_t piece, uint64_t max, char *out)
{
    struct http_chunks c = {0};
    size_t at = 0, n = strlen(s), have = 0;
    int rc = 0;

    *out = 0;
    while (rc == 0 && c.state != CHUNK_DONE && have < n) {
        size_t used = 1, len;
        const char *data;

        have = have + piece < n ? have + piece : n;
        while (rc == 0 && used && c.state != CHUNK_DONE) {
            rc = http_chunks_take(&c, s + at, have - at, max, &used, &data, &len);
            at += used;
            snprintf(out + strlen(out), 64 - strlen(out), "%.*s", (int)len, data);
        }
    }
    return rc ? rc : c.state == CHUNK_DONE ? 0 : -1;
}

static void chunked_bodies(void **state)
{
    static const struct {
        const char *s;
        int rc;
        const char *body;
    } cases[] = {
        {"5\r\nhello\r\n0\r\n\r\n", 0, "hello"},
        {"00A;x=y\r\n0123456789\r\n1 \r\nz\r\n0\r\nA: b\r\nC: d\r\n\r\n", 0, "0123456789z"},
        {"0\r\n\r\n", 0, ""},
        {"5\r\nhello\r\n0\r\n", -1, "hello"},
        {"5\r\nhelloX\r\n", 400, "hello"},
        {"5\nhello\r\n0\r\n\r\n", 400, ""},
        {"\r\n", 400, ""},
        {"x\r\n", 400, ""},
        {"-1\r\n", 400, ""},
        {"5x\r\n", 400, ""},
        {"15\r\n", 413, ""},
        {"fffffffffffffffff\r\n", 413, ""},
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t piece = 1; piece < 40; piece++) {
            int rc = chunks(cases[i].s, piece, 20, out);

            if (rc != cases[i].rc || strcmp(out, cases[i].body) != 0)
                fail_msg("case %zu in pieces of %zu: %d \"%s\"", i, piece, rc, out);
        }
    }
}

static void trailers_without_end_are_refused(void **state)
{
    static char s[8192] = "0\r\n";
    size_t n = strlen(s);
    char out[64];

    (void)state;
    while (n + 200 < sizeof(s))
        n += (size_t)snprintf(s + n, sizeof(s) - n, "X: %0150d\r\n", 0);
    assert_int_equal(chunks(s, 100, 20, out), 413);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_ends_at_its_empty_line),
        cmocka_unit_test(a_head_is_taken_apart),
        cmocka_unit_test(absolute_targets_and_old_versions),
        cmocka_unit_test(what_could_be_read_two_ways_is_refused),
        cmocka_unit_test(lengths),
        cmocka_unit_test(fields_have_a_limit),
        cmocka_unit_test(parameters),
        cmocka_unit_test(chunked_bodies),
        cmocka_unit_test(trailers_without_end_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
