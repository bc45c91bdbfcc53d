/* The log: both forms, what strangers put into values, the
 * bound of a line, levels, complaints, reopening, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "common/daemon/log.h"

#define PAIRS(...)                                                                                           \
    (const struct kv[]){__VA_ARGS__}, sizeof((const struct kv[]){__VA_ARGS__}) / sizeof(struct kv)

static const struct wall t0 = {1774245600123};

static void test_logfmt(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 1 << 16);
    log_format_line(&b, LOG_LOGFMT, true, t0, LOG_WARN, "ship", "endpoint failed",
                    PAIRS(kv_s("url", "https://a:9870"), kv_i("status", -503), kv_u("n", UINT64_MAX),
                          kv_d("ratio", 0.5), kv_d("nan", NAN), kv_t("wait", span_ms(1500)),
                          kv_s("empty", "")));
    assert_string_equal(
        buf_text(&b),
        "<4>ts=2026-03-23T06:00:00.123Z level=warn msg=\"endpoint failed\" component=ship "
        "url=https://a:9870 status=-503 n=18446744073709551615 ratio=0.5 nan=NaN wait=1.5s empty=\"\"\n");
    buf_clear(&b);
    log_format_line(&b, LOG_LOGFMT, false, t0, LOG_INFO, "x", "m",
                    PAIRS(kv_s("v", "a\nlevel=error \"q\" \\ \x01 \xFF \xC3\xA9")));
    assert_string_equal(buf_text(&b), "ts=2026-03-23T06:00:00.123Z level=info msg=m component=x "
                                      "v=\"a\\nlevel=error \\\"q\\\" \\\\ \\u0001 \\ufffd \xC3\xA9\"\n");
    buf_free(&b);
}

static void test_json_of_any_bytes_is_json(void **state)
{
    char text[257];
    struct buf b;
    cJSON *j;
    int i;

    (void)state;
    for (i = 0; i < 256; i++)
        text[i] = (char)(i < 255 ? i + 1 : 'x');
    text[256] = 0;
    buf_init(&b, NULL, 1 << 16);
    log_format_line(
        &b, LOG_JSON, false, t0, LOG_ERROR, "x", "m",
        PAIRS(kv_s("v", text), kv_d("inf", -INFINITY), kv_i("i", INT64_MIN), kv_t("d", span_ns(1))));
    j = cJSON_Parse(buf_text(&b));
    assert_non_null(j);
    assert_string_equal(cJSON_GetObjectItem(j, "level")->valuestring, "error");
    assert_string_equal(cJSON_GetObjectItem(j, "inf")->valuestring, "-Inf");
    assert_string_equal(cJSON_GetObjectItem(j, "d")->valuestring, "1e-09s");
    assert_memory_equal(cJSON_GetObjectItem(j, "v")->valuestring, text, 127);
    cJSON_Delete(j);
    buf_free(&b);
}

static void check_long(enum log_format format, const char *unit)
{
    char *big = malloc(20001);
    struct kv kv[12];
    struct buf b;
    cJSON *j;
    size_t i;

    for (i = 0; i < 20000; i++)
        big[i] = unit[i % strlen(unit)];
    big[20000] = 0;
    for (i = 0; i < 12; i++)
        kv[i] = kv_s("key", big);
    buf_init(&b, NULL, 1 << 16);
    log_format_line(&b, format, true, t0, LOG_INFO, big, big, kv, 12);
    assert_in_range(b.len, 1000, LOG_LINE_MAX);
    assert_int_equal(b.data[b.len - 1], '\n');
    assert_non_null(strstr(buf_text(&b), format == LOG_JSON ? "\"cut\":" : " cut="));
    if (format == LOG_JSON) {
        j = cJSON_Parse(buf_text(&b) + 3);
        assert_non_null(j);
        cJSON_Delete(j);
    }
    buf_free(&b);
    free(big);
}

static void test_long_lines_are_cut_whole(void **state)
{
    (void)state;
    check_long(LOG_LOGFMT, "a");
    check_long(LOG_JSON, "a");
    check_long(LOG_LOGFMT, "\x01");
    check_long(LOG_JSON, "\x01");
    check_long(LOG_JSON, "\xF0\x9F\x98\x80");
}

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "r");
    char *s = calloc(1, 1 << 21);

    assert_non_null(f);
    assert_non_null(s);
    s[fread(s, 1, (1 << 21) - 1, f)] = 0;
    (void)fclose(f);
    return s;
}

static size_t count(const char *s, const char *what)
{
    size_t n = 0;

    for (; (s = strstr(s, what)); s++)
        n++;
    return n;
}

static void test_complaints(void **state)
{
    struct complaint c = {.active = false};
    struct err e = {0};
    struct log *l = log_new(&(struct log_params){.level = LOG_INFO, .file = "c.log"}, &e);
    char *s;
    int i;

    (void)state;
    assert_non_null(l);
    log_recovered(l, &c, "x", "back");
    assert_int_equal(log_lines(l, LOG_INFO), 0);
    for (i = 0; i < 3000; i++) /* every 100 ms for 5 minutes: lines at 0, 1, 3, 7, 15, 31, 63, 127, 255 s */
        COMPLAIN(l, &c, ((struct mono){i * 100000000LL}), LOG_WARN, "x", "failed", kv_i("i", i));
    assert_int_equal(log_lines(l, LOG_WARN), 9);
    log_recovered(l, &c, "x", "back");
    log_recovered(l, &c, "x", "back");
    s = slurp("c.log");
    assert_int_equal(count(s, "msg=failed"), 9);
    assert_non_null(strstr(s, "i=10 repeats=9\n"));
    assert_non_null(strstr(s, "i=30 repeats=19\n"));
    assert_int_equal(count(s, "msg=back component=x repeats=449\n"), 1);
    free(s);
    for (i = 0; i < 100; i++) /* hourly from now on: each is said */
        COMPLAIN(l, &c, ((struct mono){(int64_t)i * 3600 * 1000000000LL}), LOG_ERROR, "x", "failed",
                 kv_i("i", i));
    assert_int_equal(log_lines(l, LOG_ERROR), 100);
    assert_int_equal(c.wait.ns, 600 * 1000000000LL);
    log_free(&l);
    assert_null(l);
}

static void test_levels_and_reopen(void **state)
{
    struct err e = {0};
    struct log *l = log_new(&(struct log_params){.level = LOG_WARN, .file = "r.log"}, &e);
    char *s;

    (void)state;
    LOG0(l, LOG_INFO, "x", "unseen");
    LOG0(l, LOG_WARN, "x", "first");
    assert_int_equal(rename("r.log", "r.log.1"), 0);
    LOG0(l, LOG_WARN, "x", "second");
    assert_int_equal(log_reopen(l, &e), 0);
    log_set_level(l, LOG_DEBUG);
    LOG0(l, LOG_DEBUG, "x", "third");
    s = slurp("r.log.1");
    assert_int_equal(count(s, "\n"), 2);
    free(s);
    s = slurp("r.log");
    assert_int_equal(count(s, "\n"), 1);
    assert_non_null(strstr(s, "level=debug msg=third component=x\n"));
    free(s);
    log_free(&l);
    assert_null(log_new(&(struct log_params){.file = "no/such/folder.log"}, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.text, "no/such/folder.log"));
    l = log_new(&(struct log_params){.file = "/dev/full"}, &e);
    LOG0(l, LOG_ERROR, "x", "lost");
    assert_int_equal(log_lines(l, LOG_ERROR), 0);
    assert_int_equal(log_lost(l), 1);
    log_free(&l);
}

static void *writer(void *arg)
{
    int i;

    for (i = 0; i < 2000; i++)
        LOG(arg, LOG_INFO, "thread", "a line that must not mix with another", kv_i("i", i));
    return NULL;
}

static void test_threads(void **state)
{
    struct err e = {0};
    struct log *l = log_new(&(struct log_params){.level = LOG_INFO, .file = "t.log"}, &e);
    pthread_t t[4];
    char *s, *line, *save = NULL;
    size_t i, n = 0;

    (void)state;
    for (i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, writer, l), 0);
    for (i = 0; i < 50; i++) {
        assert_int_equal(log_reopen(l, &e), 0);
        log_set_level(l, LOG_INFO);
    }
    for (i = 0; i < 4; i++)
        (void)pthread_join(t[i], NULL);
    assert_int_equal(log_lines(l, LOG_INFO), 8000);
    s = slurp("t.log");
    for (line = strtok_r(s, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++) {
        assert_int_equal(strncmp(line, "ts=2", 4), 0);
        assert_int_equal(count(line, "ts="), 1);
        assert_non_null(strstr(line, " i="));
    }
    assert_int_equal(n, 8000);
    free(s);
    log_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logfmt),
        cmocka_unit_test(test_json_of_any_bytes_is_json),
        cmocka_unit_test(test_long_lines_are_cut_whole),
        cmocka_unit_test(test_complaints),
        cmocka_unit_test(test_levels_and_reopen),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
