/* For tests of channels: a notification with everything in it, receivers from an ini text, JSON compared as it is. */
#ifndef SB_TESTS_TELL_KIT_H
#define SB_TESTS_TELL_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "aggregator/notify/channel.h"
#include "aggregator/notify/told.h"

#define T0 INT64_C(1795500000000) /* 2026-11-24T06:00:00Z */

static const struct label kit_labels[] = {{"alertname", "high-error-rate"},
                                          {"region", "us-east-1"},
                                          {"service", "checkout"},
                                          {"severity", "critical"}};
static const struct label kit_group[] = {{"region", "us-east-1"}, {"service", "checkout"}};

static const struct told_alert kit_alerts[] = {
    {
        .rule = "high-error-rate",
        .labels = {kit_labels, 4},
        .id = "00112233445566778899aabbccddeeff",
        .firing = true,
        .severity = SEVERITY_CRITICAL,
        .since = {T0 - 120000},
        .value = 0.25,
        .threshold = 0.05,
        .summary = "25% of checkout fails",
        .description = "More than 5% for 2m.",
        .runbook = "https://runbooks.example.com/errors",
        .explain = "sbctl explain 00112233",
    },
    {
        .rule = "high-error-rate",
        .labels = {kit_labels, 3},
        .id = "ffeeddccbbaa99887766554433221100",
        .severity = SEVERITY_WARNING,
        .since = {T0 - 600000},
        .ended = {T0 - 60000},
        .value = 0.01,
        .threshold = 0.05,
        .summary = "over",
        .description = "",
        .runbook = "",
        .explain = "",
    },
};

static const struct notification kit_notification = {
    .tell = TELL_TRIGGER,
    .dedup_key = "checkout/high-error-rate:1",
    .title = "[critical] high-error-rate: checkout",
    .text = "25% of checkout fails\nvalue 0.25, threshold 0.05",
    .severity = SEVERITY_CRITICAL,
    .group = {kit_group, 2},
    .alerts = kit_alerts,
    .n_alerts = 2,
    .source = "us-east-1/agg-1",
    .link = "https://console.example.com/alerts",
    .ack_link = "https://console.example.com/ack?id=1",
    .t = {T0},
    .first = {T0 - 600000},
    .attempt = 1,
    .change_kind = "",
};

struct kit {
    struct option_row rows[RECEIVER_ROWS];
    struct section_row section;
    struct config *config;
    struct buf report;
    struct err e;
    const struct section *s;
    const struct channel *ch;
    struct channel_target *target;
    struct arena arena;
    struct channel_call calls[CALLS_MOST];
    int n;
};

static inline void kit_parse(struct kit *k, const char *ini)
{
    struct config_source source = {"receivers.ini", {(const uint8_t *)ini, strlen(ini)}};

    memset(k, 0, sizeof *k);
    buf_init(&k->report, NULL, 65536);
    arena_init(&k->arena, NULL, 0);
    k->section = (struct section_row){.name = receiver_section_name,
                                      .named = true,
                                      .sentence = "Receivers.",
                                      .rows = k->rows,
                                      .n_rows = receiver_rows(k->rows)};
    k->config = config_parse(&source, 1, &k->section, 1, &k->report, &k->e);
    if (!k->config)
        fail_msg("%s", buf_text(&k->report));
    k->s = config_named(k->config, receiver_section_name, 0);
    k->ch = receiver_channel(k->s);
    assert_non_null(k->ch);
}

static inline void kit_open(struct kit *k, const char *ini)
{
    kit_parse(k, ini);
    if (receiver_check(k->config, &k->report, &k->e) != 0)
        fail_msg("%s", buf_text(&k->report));
    k->target = k->ch->open(k->s, NULL, &k->e);
    if (!k->target)
        fail_msg("%s", k->e.text);
}

static inline void kit_close(struct kit *k)
{
    if (k->target)
        k->ch->close(&k->target);
    config_free(&k->config);
    buf_free(&k->report);
    arena_free(&k->arena);
}

/* Prepares; the number of calls, or the error. */
static inline int kit_prepare(struct kit *k, const struct notification *n)
{
    k->n = k->ch->prepare(k->target, n, n->t, &k->arena, k->calls, CALLS_MOST, &k->e);
    return k->n;
}

static inline const char *kit_header(const struct kit *k, int call, const char *name)
{
    for (size_t i = 0; i < k->calls[call].n_headers; i++)
        if (strcmp(k->calls[call].headers[i].name, name) == 0)
            return k->calls[call].headers[i].value;
    return NULL;
}

/* The body is this JSON: as values, and their order counts as well. */
static inline void kit_body(const struct kit *k, int call, const char *expected)
{
    cJSON *want = cJSON_Parse(expected);
    char *text;

    if (!want)
        fail_msg("what is expected is no JSON: %s", cJSON_GetErrorPtr());
    text = cJSON_PrintUnformatted(want);
    assert_string_equal((const char *)k->calls[call].body.p, text);
    assert_int_equal(k->calls[call].body.n, strlen(text));
    cJSON_free(text);
    cJSON_Delete(want);
}

static inline void kit_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    (void)fputs(text, f);
    assert_int_equal(fchmod(fileno(f), 0600), 0);
    assert_int_equal(fclose(f), 0);
}

/* The text with each ^ in it replaced by the working folder. */
static inline char *kit_here(char *out, size_t room, const char *fmt)
{
    char cwd[512], *at = out;

    if (!getcwd(cwd, sizeof cwd))
        abort();
    for (; *fmt && (size_t)(at - out) + 1 < room; fmt++) {
        if (*fmt == '^')
            at += snprintf(at, room - (size_t)(at - out), "%s", cwd);
        else
            *at++ = *fmt;
    }
    *at = 0;
    return out;
}

static inline struct told_result kit_judge(struct kit *k, int code, int status, const char *body,
                                           const char *retry_after)
{
    struct http_result r = {.code = code,
                            .reason = code ? "timeout" : "",
                            .error = "what libcurl says",
                            .status = status,
                            .content_type = "text/plain",
                            .retry_after = retry_after,
                            .body = {(const uint8_t *)body, strlen(body)}};
    struct told_result out;

    memset(&out, 0x5a, sizeof out);
    k->ch->judge(k->target, &r, &out);
    assert_true(memchr(out.text, 0, sizeof out.text) != NULL);
    return out;
}

#endif
