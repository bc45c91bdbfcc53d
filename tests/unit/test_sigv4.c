/* AWS signatures against the published vectors: the example of the IAM user guide and cases of AWS's signature version 4
 * test suite (all with AKIDEXAMPLE at 2015-08-30T12:36:00Z). tests/e2e/test_sigv4.py holds the signer against botocore. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/net/sigv4.h"

static const struct sigv4_credentials keys = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                                              NULL};
static const struct wall then = {INT64_C(1440938160000)};

struct vector {
    const char *name, *method, *path, *query;
    struct http_header headers[4];
    size_t n_headers;
    const char *body, *region, *service, *signature;
};

static const struct vector vectors[] = {
    {"IAM ListUsers",
     "GET",
     "/",
     "Action=ListUsers&Version=2010-05-08",
     {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}, {"Host", "iam.amazonaws.com"}},
     2,
     "",
     "us-east-1",
     "iam",
     "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
    {"get-vanilla",
     "GET",
     "/",
     "",
     {{"Host", "example.amazonaws.com"}},
     1,
     "",
     "us-east-1",
     "service",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-query-order-key-case",
     "GET",
     "/",
     "Param2=value2&Param1=value1",
     {{"Host", "example.amazonaws.com"}},
     1,
     "",
     "us-east-1",
     "service",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-unreserved",
     "GET",
     "/",
     "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
     "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     {{"Host", "example.amazonaws.com"}},
     1,
     "",
     "us-east-1",
     "service",
     "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    {"get-utf8",
     "GET",
     "/\xe1\x88\xb4",
     "",
     {{"Host", "example.amazonaws.com"}},
     1,
     "",
     "us-east-1",
     "service",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-header-value-trim",
     "GET",
     "/",
     "",
     {{"Host", "example.amazonaws.com"}, {"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
     3,
     "",
     "us-east-1",
     "service",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-header-key-duplicate",
     "GET",
     "/",
     "",
     {{"Host", "example.amazonaws.com"},
      {"My-Header1", "value2"},
      {"My-Header1", "value2"},
      {"My-Header1", "value1"}},
     4,
     "",
     "us-east-1",
     "service",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"post-vanilla",
     "POST",
     "/",
     "",
     {{"Host", "example.amazonaws.com"}},
     1,
     "",
     "us-east-1",
     "service",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-x-www-form-urlencoded",
     "POST",
     "/",
     "",
     {{"Host", "example.amazonaws.com"}, {"Content-Type", "application/x-www-form-urlencoded"}},
     2,
     "Param1=value1",
     "us-east-1",
     "service",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    {"get-relative",
     "GET",
     "/example/..",
     "",
     {{"Host", "example.amazonaws.com"}},
     1,
     "",
     "us-east-1",
     "service",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-dot-slash",
     "GET",
     "/./",
     "",
     {{"Host", "example.amazonaws.com"}},
     1,
     "",
     "us-east-1",
     "service",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
};

static struct sigv4_request request_of(const struct vector *v)
{
    return (struct sigv4_request){
        .method = v->method,
        .path = v->path,
        .query = v->query,
        .headers = v->headers,
        .n_headers = v->n_headers,
        .payload = {(const uint8_t *)v->body, strlen(v->body)},
        .region = v->region,
        .service = v->service,
        .now = then,
    };
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct sigv4_request r = request_of(&vectors[i]);
        struct sigv4_signature s;
        struct arena a;
        struct err e = {0};

        arena_init(&a, NULL, 0);
        assert_int_equal(sigv4_sign(&r, &keys, &a, &s, &e), 0);
        if (strcmp(s.signature, vectors[i].signature) != 0)
            fail_msg("%s: %s of\n%s", vectors[i].name, s.signature, s.canonical);
        arena_free(&a);
    }
}

/* The whole of what the user guide shows for the first. */
static void test_texts(void **state)
{
    struct sigv4_request r = request_of(&vectors[0]);
    struct sigv4_signature s;
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 0);
    assert_int_equal(sigv4_sign(&r, &keys, &a, &s, NULL), 0);
    assert_string_equal(s.canonical, "GET\n/\nAction=ListUsers&Version=2010-05-08\n"
                                     "content-type:application/x-www-form-urlencoded; charset=utf-8\n"
                                     "host:iam.amazonaws.com\nx-amz-date:20150830T123600Z\n\n"
                                     "content-type;host;x-amz-date\n"
                                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(s.to_sign, "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n"
                                   "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59");
    assert_int_equal(s.n_added, 2);
    assert_string_equal(s.added[0].name, "X-Amz-Date");
    assert_string_equal(s.added[0].value, "20150830T123600Z");
    assert_string_equal(s.added[1].name, "Authorization");
    assert_string_equal(s.added[1].value,
                        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
                        "SignedHeaders=content-type;host;x-amz-date, "
                        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
    arena_free(&a);
}

static const char *line_of(const char *text, int line, char out[1024])
{
    while (line-- > 0)
        text = strchr(text, '\n') + 1;
    snprintf(out, 1024, "%.*s", (int)strcspn(text, "\n"), text);
    return out;
}

static void test_forms(void **state)
{
    static const struct {
        const char *path, *query, *uri, *canonical;
        bool s3;
    } rows[] = {
        {"/a%20b/c:d", "", "/a%2520b/c%3Ad", "", false},
        {"/a%20b/c:d", "", "/a%20b/c:d", "", true},
        {"/a//b/./c/../d/", "", "/a/b/d/", "", false},
        {"/a//b/../c", "", "/a//b/../c", "", true},
        {"/../..", "", "/", "", false},
        {"", "", "/", "", false},
        {"/", "b=2&a=2&a=1&c", "/", "a=1&a=2&b=2&c=", false},
        {"/", "a=%7e%2f&%C3%a9=1&&", "/", "%C3%A9=1&a=~%2F", false},
        {"/", "a=b=c&d=+", "/", "a=b%3Dc&d=%2B", false},
        {"/", "a-b=1&a=2", "/", "a=2&a-b=1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sigv4_request r = request_of(&vectors[1]);
        struct sigv4_signature s;
        struct arena a;
        char line[1024];

        arena_init(&a, NULL, 0);
        r.path = rows[i].path;
        r.query = rows[i].query;
        r.s3 = rows[i].s3;
        assert_int_equal(sigv4_sign(&r, &keys, &a, &s, NULL), 0);
        assert_string_equal(line_of(s.canonical, 1, line), rows[i].uri);
        assert_string_equal(line_of(s.canonical, 2, line), rows[i].canonical);
        assert_int_equal(s.n_added, rows[i].s3 ? 3 : 2);
        arena_free(&a);
    }
}

static void test_token(void **state)
{
    struct sigv4_credentials with = keys;
    struct sigv4_request r = request_of(&vectors[1]);
    struct sigv4_signature s;
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 0);
    with.session_token = "AQoDYXdzEPT//////////wEXAMPLE";
    assert_int_equal(sigv4_sign(&r, &with, &a, &s, NULL), 0);
    assert_int_equal(s.n_added, 3);
    assert_string_equal(s.added[1].name, "X-Amz-Security-Token");
    assert_string_equal(s.added[1].value, with.session_token);
    assert_non_null(strstr(s.canonical, "\nx-amz-security-token:AQoDYXdzEPT//////////wEXAMPLE\n"));
    assert_null(strstr(s.added[2].value, keys.secret_key));
    arena_free(&a);
}

static int sign_with(const char *name, const char *value, const char *query)
{
    struct http_header h[2] = {{"Host", "example.com"}, {name, value}};
    struct sigv4_request r = request_of(&vectors[1]);
    struct sigv4_signature s;
    struct arena a;
    struct err e = {0};
    int rc;

    arena_init(&a, NULL, 0);
    r.headers = h;
    r.n_headers = 2;
    r.query = query;
    rc = sigv4_sign(&r, &keys, &a, &s, &e);
    arena_free(&a);
    return rc;
}

static void test_refused(void **state)
{
    struct sigv4_request r = request_of(&vectors[1]);
    struct sigv4_signature s;
    struct arena a;
    struct err e = {0};
    char many[2048] = "";

    (void)state;
    assert_int_equal(sign_with("X", "y", ""), 0);
    assert_int_equal(sign_with("X", "y\r\nZ: 1", ""), ERR_MALFORMED);
    assert_int_equal(sign_with("X:", "y", ""), ERR_MALFORMED);
    assert_int_equal(sign_with("", "y", ""), ERR_MALFORMED);
    assert_int_equal(sign_with("X", "y", "a=%"), ERR_MALFORMED);
    assert_int_equal(sign_with("X", "y", "a=%4"), ERR_MALFORMED);
    assert_int_equal(sign_with("X", "y", "a=%zz"), ERR_MALFORMED);
    assert_int_equal(sign_with("X", "y", "a=%41"), 0);
    for (int i = 0; i < SIGV4_PARAMETERS + 1; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "a=1&");
    assert_int_equal(sign_with("X", "y", many), ERR_LIMIT);
    r.n_headers = 0;
    arena_init(&a, NULL, 0);
    assert_int_equal(sigv4_sign(&r, &keys, &a, &s, &e), ERR_MALFORMED);
    arena_free(&a);
}

/* Refusing the n-th allocation of the arena, for every n, ends in an error and nothing else. */
static void test_memory(void **state)
{
    struct sigv4_request r = request_of(&vectors[0]);
    struct sigv4_signature s;
    int refused = 0;

    (void)state;
    for (size_t cap = 16; cap < 32768; cap += 64) {
        struct arena a;
        struct err e = {0};
        int rc;

        arena_init(&a, NULL, cap);
        rc = sigv4_sign(&r, &keys, &a, &s, &e);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        if (rc == 0)
            assert_string_equal(s.signature, vectors[0].signature);
        else
            refused++;
        arena_free(&a);
    }
    assert_true(refused > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_texts),   cmocka_unit_test(test_forms),
        cmocka_unit_test(test_token),   cmocka_unit_test(test_refused), cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
