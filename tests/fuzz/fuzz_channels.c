/* Any texts in a notification and any answer of a service: each channel makes a request that its service would read (JSON in
 * UTF-8 within the limits, headers of one line, mail of short lines), and each answer gives an outcome with a sane wait and a
 * clean text. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aggregator/notify/channel.h"
#include "aggregator/notify/judge.h"
#include "aggregator/notify/mail.h"
#include "aggregator/notify/told.h"
#include "common/wire/wire.h"

enum { FIELDS = 14, TARGETS = 16 };

static const char ini[] =
    "[receiver a]\ntype = webhook\nurl = http://h/\nsecret = file:%s/s\nauthorization = file:%s/s\n"
    "[receiver b]\ntype = alertmanager\nurl = http://a http://b\n"
    "[receiver c]\ntype = pagerduty\nrouting_key = file:%s/s\n"
    "[receiver d]\ntype = slack\nsecret_url = file:%s/u\n"
    "[receiver e]\ntype = opsgenie\napi_key = file:%s/s\nheartbeat = x\n"
    "[receiver f]\ntype = sns\ntopic = arn:aws:sns:r-1:1:t.fifo\naccess_key_id = file:%s/s\n"
    "secret_key = file:%s/s\n"
    "[receiver g]\ntype = sns\nphone = +491\naws_region = r-1\naccess_key_id = file:%s/s\n"
    "secret_key = file:%s/s\n";

struct open_target {
    const struct channel *ch;
    struct channel_target *t;
};
static struct open_target targets[TARGETS];
static size_t n_targets;

static void check_at(int good, int line)
{
    if (good)
        return;
    (void)fprintf(stderr, "fuzz_channels.c:%d does not hold\n", line);
    abort();
}
#define check(good) check_at((good), __LINE__)

static void put_file(const char *dir, const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    check(f && fputs(text, f) >= 0 && fchmod(fileno(f), 0600) == 0 && fclose(f) == 0);
}

static void remove_file(const char *dir, const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    (void)unlink(path);
}

static void open_all(void)
{
    char dir[] = "/tmp/fuzz_channels.XXXXXX", text[4096];
    struct option_row rows[RECEIVER_ROWS];
    struct section_row section = {
        .name = receiver_section_name, .named = true, .sentence = "S.", .rows = rows};
    struct config_source source;
    const struct section *s;
    struct config *c;
    struct buf report;
    struct err e;

    check(mkdtemp(dir) != NULL);
    put_file(dir, "s", "0123456789abcdef0123456789abcdef");
    put_file(dir, "u", "https://hooks.example.com/x");
    snprintf(text, sizeof text, ini, dir, dir, dir, dir, dir, dir, dir, dir, dir);
    section.n_rows = receiver_rows(rows);
    buf_init(&report, NULL, 4096);
    source = (struct config_source){"f.ini", {(const uint8_t *)text, strlen(text)}};
    c = config_parse(&source, 1, &section, 1, &report, &e);
    check(c && receiver_check(c, &report, &e) == 0);
    for (; (s = config_named(c, receiver_section_name, n_targets)); n_targets++) {
        targets[n_targets].ch = receiver_channel(s);
        targets[n_targets].t = targets[n_targets].ch->open(s, NULL, &e);
        check(targets[n_targets].t != NULL);
    }
    config_free(&c);
    buf_free(&report);
    remove_file(dir, "s");
    remove_file(dir, "u");
    (void)rmdir(dir);
}

static void check_calls(const struct channel *ch, const struct channel_call *calls, int n)
{
    for (int i = 0; i < n; i++) {
        const struct channel_call *c = &calls[i];

        check(c->url && strncmp(c->url, "http", 4) == 0 && !strpbrk(c->url, " \r\n\t"));
        check(c->body.p && c->body.n <= 1 << 20 && wire_utf8_ok((const char *)c->body.p, c->body.n));
        for (size_t k = 0; k < c->n_headers; k++)
            check(!strpbrk(c->headers[k].value, "\r\n"));
        if (strcmp(ch->type, "sns") != 0) {
            cJSON *j = cJSON_ParseWithLength((const char *)c->body.p, c->body.n);

            check(j != NULL);
            cJSON_Delete(j);
        }
        if (strcmp(ch->type, "pagerduty") == 0)
            check(c->body.n <= 512 * 1024);
    }
}

static void check_mail(const struct notification *n, struct arena *a)
{
    static const char *const to[] = {"a@example.com"};
    struct mail m = {"b@example.org", to, 1};
    struct buf out;
    const char *p;

    buf_init(&out, NULL, 1 << 20);
    mail_make(&m, n, n->t, a, &out);
    check(!out.full);
    for (p = buf_text(&out); *p;) {
        size_t len = strcspn(p, "\r\n");

        check(len <= 998 && *p != '.' && strncmp(p + len, "\r\n", 2) == 0);
        for (size_t i = 0; i < len; i++)
            check((p[i] >= ' ' && p[i] <= '~') || p[i] == '\t');
        p += len + 2;
    }
    buf_free(&out);
}

static void check_answers(const char *body, size_t n, const char *retry_after, int status)
{
    for (size_t i = 0; i < n_targets; i++) {
        struct http_result r = {.reason = "",
                                .status = status,
                                .content_type = "",
                                .retry_after = retry_after,
                                .body = {(const uint8_t *)body, n}};
        struct told_result out;

        memset(&out, 0x5a, sizeof out);
        targets[i].ch->judge(targets[i].t, &r, &out);
        check(out.outcome >= OUTCOME_DELIVERED && out.outcome <= OUTCOME_DENIED);
        check(out.retry_after.ns >= 0 && out.retry_after.ns <= span_s(3600).ns);
        check(memchr(out.text, 0, sizeof out.text) != NULL && wire_utf8_ok(out.text, strlen(out.text)));
        for (const char *p = out.text; *p; p++)
            check((unsigned char)*p >= ' ' && *p != 0x7f);
    }
}

/* Fields of the input end at a byte of 0; those that are missing are empty. */
static void split(char *text, size_t n, const char *out[FIELDS])
{
    char *end = text + n;

    for (size_t i = 0; i < FIELDS; i++) {
        out[i] = text;
        text = text < end ? text + strlen(text) + 1 : end;
        if (text > end)
            text = end;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channel_call calls[CALLS_MOST];
    const char *f[FIELDS];
    struct label labels[2];
    struct told_alert alerts[2];
    struct notification n;
    struct arena a;
    char *text;

    if (size < 2 || size > 65536)
        return 0;
    if (!n_targets)
        open_all();
    text = calloc(1, size + 1);
    memcpy(text, data + 2, size - 2);
    split(text, size - 2, f);
    labels[0] = (struct label){f[0], f[1]};
    labels[1] = (struct label){"service", f[2]};
    alerts[0] = (struct told_alert){.rule = f[3],
                                    .labels = {labels, 2},
                                    .id = "00112233445566778899aabbccddeeff",
                                    .firing = data[0] & 1,
                                    .since = {1},
                                    .summary = f[4],
                                    .description = f[5],
                                    .runbook = f[6],
                                    .explain = f[7]};
    alerts[1] = alerts[0];
    n = (struct notification){.tell = (enum tell)(data[0] % (TELL_TEST + 1)),
                              .dedup_key = f[8],
                              .title = f[9],
                              .text = f[10],
                              .severity = (enum severity)(data[1] % 4),
                              .group = {labels, 2},
                              .alerts = alerts,
                              .n_alerts = data[1] % 3,
                              .source = f[11],
                              .link = f[12],
                              .ack_link = f[12],
                              .t = {INT64_C(1795500000000)},
                              .change_kind = ""};
    for (size_t i = 0; i < n_targets; i++) {
        struct err e = {0};
        int made;

        arena_init(&a, NULL, 0);
        made = targets[i].ch->prepare(targets[i].t, &n, n.t, &a, calls, CALLS_MOST, &e);
        check(made > 0 || (made < 0 && *e.text));
        check_calls(targets[i].ch, calls, made);
        arena_free(&a);
    }
    arena_init(&a, NULL, 0);
    check_mail(&n, &a);
    arena_free(&a);
    check_answers(f[13], strlen(f[13]), f[13], data[0] * 2 + data[1]);
    free(text);
    return 0;
}
