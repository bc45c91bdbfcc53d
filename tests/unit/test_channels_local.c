/* Channels that are no HTTP: mail as it is made, commands as they run, lines as they are written. */
#include "tests/unit/tell_kit.h"

#include <signal.h>
#include <time.h>

#include "aggregator/notify/mail.h"
#include "common/net/loop.h"

/* ---- mail ---- */

static void test_mail(void **state)
{
    static const char *const to[] = {"ops@example.com", "ann@example.net"};
    struct mail m = {"alerts@example.org", to, 2};
    struct notification n = kit_notification;
    struct arena a;
    struct buf out;

    (void)state;
    arena_init(&a, NULL, 0);
    buf_init(&out, NULL, 1 << 20);
    n.text = "25% of checkout fails\n.hidden\ncaf\xc3\xa9 = bad \n";
    mail_make(&m, &n, (struct wall){T0 + 1000}, &a, &out);
    assert_string_equal(buf_text(&out),
                        "From: <alerts@example.org>\r\n"
                        "To: <ops@example.com>,\r\n <ann@example.net>\r\n"
                        "Subject: [critical] high-error-rate: checkout\r\n"
                        "Date: Tue, 24 Nov 2026 06:00:01 +0000\r\n"
                        "Message-ID: <8c0ebe94fdc9a28b843d06294b301b66.23b355651fdbecf9@example.org>\r\n"
                        "In-Reply-To: <23b355651fdbecf901b76c6b495914ed@example.org>\r\n"
                        "References: <23b355651fdbecf901b76c6b495914ed@example.org>\r\n"
                        "Auto-Submitted: auto-generated\r\n"
                        "Importance: high\r\n"
                        "X-Securebase-Status: firing\r\n"
                        "X-Securebase-Severity: critical\r\n"
                        "X-Securebase-Dedup-Key: checkout/high-error-rate:1\r\n"
                        "MIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\n"
                        "Content-Transfer-Encoding: quoted-printable\r\n"
                        "\r\n"
                        "25% of checkout fails\r\n"
                        "=2Ehidden\r\n"
                        "caf=C3=A9 =3D bad=20\r\n"
                        "\r\n"
                        "Console: https://console.example.com/alerts\r\n"
                        "Acknowledge: https://console.example.com/ack?id=3D1\r\n"
                        "\r\n"
                        "--=20\r\n"
                        "us-east-1/agg-1\r\n");
    buf_free(&out);
    arena_free(&a);
}

/* Whatever stands in a title: the head stays a head. */
static void test_mail_injection(void **state)
{
    static const char *const to[] = {"ops@example.com"};
    struct mail m = {"alerts@example.org", to, 1};
    struct notification n = kit_notification;
    struct arena a;
    struct buf out;

    (void)state;
    arena_init(&a, NULL, 0);
    buf_init(&out, NULL, 1 << 20);
    n.title = "down\r\nBcc: all@example.com\r\n\r\nhello";
    n.dedup_key = "x\r\nBcc: all@example.com";
    mail_make(&m, &n, (struct wall){T0}, &a, &out);
    assert_null(strstr(buf_text(&out), "\nBcc:"));
    assert_non_null(strstr(buf_text(&out), "\r\nSubject: down  Bcc: all@example.com    hello\r\n"));
    for (const char *p = buf_text(&out); *p;) { /* lines by CRLF alone, short enough for anybody */
        size_t len = strcspn(p, "\r\n");

        assert_in_range(len, 0, 998);
        assert_int_equal(strncmp(p + len, "\r\n", 2), 0);
        p += len + 2;
    }
    buf_free(&out);
    arena_free(&a);
}

static void subject_is(const char *title, const char *expected)
{
    struct buf out;

    buf_init(&out, NULL, 65536);
    mail_subject(&out, title);
    assert_string_equal(buf_text(&out), expected);
    buf_free(&out);
}

static void encoded_is(const char *text, const char *expected)
{
    struct buf out;

    buf_init(&out, NULL, 65536);
    mail_quoted_printable(&out, text);
    assert_string_equal(buf_text(&out), expected);
    buf_free(&out);
}

static void test_mail_parts(void **state)
{
    char date[40];

    (void)state;
    subject_is("plain", "plain");
    subject_is("=?no?", "=?UTF-8?B?PT9ubz8=?=");
    subject_is("St\xc3\xb6rung", "=?UTF-8?B?U3TDtnJ1bmc=?=");
    /* 46 bytes, the cut falls between characters */
    subject_is(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xc3\xa9",
        "=?UTF-8?B?YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=?=\r\n =?UTF-8?B?w6k=?=");
    encoded_is("", "");
    encoded_is("a\r\nb\n", "a\r\nb\r\n");
    encoded_is("a \nb\t", "a=20\r\nb=09\r\n");
    encoded_is("=\x7f", "=3D=7F\r\n");
    encoded_is(".\n..\na.b", "=2E\r\n=2E.\r\na.b\r\n");
    encoded_is("0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
               "0123456789012345678901234567890123456789012345678901234567890123456789012="
               "\r\n345678901234567890\r\n");
    encoded_is("012345678901234567890123456789012345678901234567890123456789012345678901.\xc3\xa9.",
               "012345678901234567890123456789012345678901234567890123456789012345678901.=\r\n=C3=A9.\r\n");
    mail_date((struct wall){0}, date);
    assert_string_equal(date, "Thu, 01 Jan 1970 00:00:00 +0000");
    mail_date((struct wall){INT64_C(951782400000)}, date);
    assert_string_equal(date, "Tue, 29 Feb 2000 00:00:00 +0000");
    mail_date((struct wall){-1000}, date);
    assert_string_equal(date, "Wed, 31 Dec 1969 23:59:59 +0000");
    assert_true(mail_address_ok("a.b+c@example.com"));
    assert_false(mail_address_ok("a"));
    assert_false(mail_address_ok("@b"));
    assert_false(mail_address_ok("a@"));
    assert_false(mail_address_ok("a@b@c"));
    assert_false(mail_address_ok("a b@c"));
    assert_false(mail_address_ok("<a@c>"));
    assert_false(mail_address_ok("a@c\r\nX"));
    assert_false(mail_address_ok("\xc3\xa9@c"));
}

/* ---- commands ---- */

static struct told_result run_command(const char *script, int64_t ms, const struct notification *n)
{
    char path[600], ini[1024];
    struct told_result r;
    struct kit k;

    kit_file("script", script);
    assert_int_equal(chmod("script", 0700), 0);
    snprintf(ini, sizeof ini, "[receiver c]\ntype = command\ncommand = %s one two\n",
             kit_here(path, sizeof path, "^/script"));
    kit_open(&k, ini);
    k.ch->send(k.target, n, span_ms(ms), &r);
    kit_close(&k);
    return r;
}

static void test_command(void **state)
{
    static const struct {
        const char *script;
        enum outcome outcome;
        const char *text;
    } rows[] = {
        {"#!/bin/sh\nexit 0\n", OUTCOME_DELIVERED, "exit status 0"},
        {"#!/bin/sh\necho took it\n", OUTCOME_DELIVERED, "exit status 0: took it "},
        {"#!/bin/sh\necho \"$1,$2,$#\" >&2; exit 1\n", OUTCOME_RETRY, "exit status 1: one,two,2 "},
        {"#!/bin/sh\nexit 75\n", OUTCOME_RETRY, "exit status 75"},
        {"#!/bin/sh\nexit 64\n", OUTCOME_NEVER, "exit status 64"},
        {"#!/bin/sh\nexit 65\n", OUTCOME_NEVER, "exit status 65"},
        {"#!/bin/sh\nexit 77\n", OUTCOME_DENIED, "exit status 77"},
        {"#!/bin/sh\nkill -9 $$\n", OUTCOME_RETRY, "ended by signal 9"},
        {"#!/bin/sh\nkill -PIPE $$\n", OUTCOME_RETRY, "ended by signal 13"},
        {"#!/nowhere\n", OUTCOME_DENIED, "exit status 127: it is not there"},
        {"not a program\n", OUTCOME_DENIED, "exit status 126: it does not start"},
        {"#!/bin/sh\npwd; env | sort | cut -d= -f1 | tr '\\n' ' '\n", OUTCOME_DELIVERED,
         "exit status 0: / PATH PWD "},
        {"#!/bin/sh\nexec ls /proc/self/fd\n", OUTCOME_DELIVERED,
         "exit status 0: 0 1 2 3 "}, /* 3: the folder */
        {"#!/bin/sh\ncat /proc/$$/stat | cut -d' ' -f5 | grep -qx $$ && echo a group\n", OUTCOME_DELIVERED,
         "exit status 0: a group "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct told_result r = run_command(rows[i].script, 20000, &kit_notification);

        if (r.outcome != rows[i].outcome || strcmp(r.text, rows[i].text) != 0)
            fail_msg("%s gives %s \"%s\"", rows[i].script, outcome_name(r.outcome), r.text);
    }
}

/* It gets the whole notification, however large; and one that never reads it gets none of our time. */
static void test_command_input(void **state)
{
    static struct told_alert many[200];
    struct notification n = kit_notification;
    struct told_result r;
    char *filler = calloc(1, 4001);

    (void)state;
    memset(filler, 'x', 4000);
    for (size_t i = 0; i < 200; i++) {
        many[i] = kit_alerts[0];
        many[i].description = filler;
    }
    n.alerts = many;
    n.n_alerts = 200;
    r = run_command("#!/bin/sh\nhead -c 13; wc -c\n", 20000, &n);
    assert_int_equal(r.outcome, OUTCOME_DELIVERED);
    assert_non_null(strstr(r.text, "{\"version\":1,"));
    assert_true(strtol(strstr(r.text, ":1,") + 3, NULL, 10) > 800000);
    assert_int_equal(run_command("#!/bin/sh\nexec 0<&-; exit 0\n", 20000, &n).outcome, OUTCOME_DELIVERED);
    r = run_command("#!/bin/sh\nhead -c 10000000 /dev/zero | tr '\\0' 'y'\n", 20000, &n);
    assert_int_equal(r.outcome, OUTCOME_DELIVERED);
    assert_int_equal(strncmp(r.text, "exit status 0: yyyyyyyy", 23), 0);
    free(filler);
}

static bool is_alive(long pid)
{
    char path[64], state = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    f = fopen(path, "r");
    if (!f)
        return false;
    if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 'X';
    (void)fclose(f);
    return state != 'Z' && state != 'X';
}

static long pid_in(const char *file)
{
    FILE *f = fopen(file, "r");
    long pid = 0;

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld", &pid), 1);
    (void)fclose(f);
    return pid;
}

static void wait_gone(long pid)
{
    for (int i = 0; i < 3000 && is_alive(pid); i++)
        (void)usleep(10000);
    assert_false(is_alive(pid));
}

/* At the limit it is killed with what it started; and what it left behind when it ended is killed as well. */
static void test_command_group(void **state)
{
    char script[1200];
    struct told_result r;

    (void)state;
    r = run_command(kit_here(script, sizeof script, "#!/bin/sh\nsleep 300 & echo $! > ^/pid; wait\n"), 1000,
                    &kit_notification);
    assert_int_equal(r.outcome, OUTCOME_RETRY);
    assert_string_equal(r.text, "killed: it took longer than `timeout`");
    wait_gone(pid_in("pid"));
    r = run_command(kit_here(script, sizeof script, "#!/bin/sh\nsleep 300 & echo $! > ^/pid\n"), 20000,
                    &kit_notification);
    assert_int_equal(r.outcome, OUTCOME_DELIVERED);
    wait_gone(pid_in("pid"));
}

static void test_command_user(void **state)
{
    struct told_result r;
    struct kit k;

    (void)state;
    kit_parse(&k, "[receiver c]\ntype = command\ncommand = /bin/true\nuser = nobody-of-that-name\n");
    assert_null(k.ch->open(k.s, NULL, &k.e));
    assert_non_null(strstr(k.e.text, "there is no user"));
    kit_close(&k);
    kit_parse(&k, "[receiver c]\ntype = command\ncommand = /usr/bin/id\nuser = nobody\n");
    k.target = k.ch->open(k.s, NULL, &k.e);
    if (geteuid() != 0) {
        assert_null(k.target);
        assert_non_null(strstr(k.e.text, "only root"));
    } else {
        k.ch->send(k.target, &kit_notification, span_s(20), &r);
        assert_int_equal(r.outcome, OUTCOME_DELIVERED);
        assert_non_null(strstr(r.text, "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)"));
    }
    kit_close(&k);
}

/* ---- the log ---- */

static void test_log(void **state)
{
    char ini[1024], line[8192];
    struct told_result r;
    struct kit k;
    FILE *f;

    (void)state;
    kit_open(&k, kit_here(ini, sizeof ini, "[receiver l]\ntype = log\nfile = ^/lines.jsonl\n"));
    for (int i = 0; i < 2; i++) {
        k.ch->send(k.target, &kit_notification, span_s(1), &r);
        assert_int_equal(r.outcome, OUTCOME_DELIVERED);
    }
    f = fopen("lines.jsonl", "r");
    assert_non_null(f);
    for (int i = 0; i < 2; i++) {
        cJSON *o;

        assert_non_null(fgets(line, sizeof line, f));
        o = cJSON_Parse(line);
        assert_string_equal(cJSON_GetObjectItem(o, "dedup_key")->valuestring, kit_notification.dedup_key);
        cJSON_Delete(o);
    }
    assert_null(fgets(line, sizeof line, f));
    (void)fclose(f);
    kit_close(&k);
    kit_open(&k, kit_here(ini, sizeof ini, "[receiver l]\ntype = log\nfile = ^/no/such/folder\n"));
    k.ch->send(k.target, &kit_notification, span_s(1), &r);
    assert_int_equal(r.outcome, OUTCOME_DENIED);
    assert_non_null(strstr(r.text, "No such file"));
    kit_close(&k);
}

/* ---- one message without the telling thread ---- */

static void test_try(void **state)
{
    char ini[1024];
    struct told_result r;
    struct kit k;

    (void)state;
    kit_parse(&k, kit_here(ini, sizeof ini, "[receiver l]\ntype = log\nfile = ^/tried.jsonl\n"));
    assert_int_equal(receiver_try(k.s, &kit_notification, NULL, &r, &k.e), 0);
    assert_int_equal(r.outcome, OUTCOME_DELIVERED);
    assert_int_equal(access("tried.jsonl", F_OK), 0);
    kit_close(&k);
    kit_parse(&k, "[receiver w]\ntype = webhook\nurl = http://127.0.0.1:1/\n"); /* tcpmux: nobody's */
    assert_int_equal(receiver_try(k.s, &kit_notification, NULL, &r, &k.e), 0);
    assert_int_equal(r.outcome, OUTCOME_RETRY);
    assert_non_null(strstr(r.text, "connect: "));
    kit_close(&k);
    kit_parse(&k, "[receiver p]\ntype = pagerduty\nrouting_key = file:/no/such/file\n");
    assert_true(receiver_try(k.s, &kit_notification, NULL, &r, &k.e) < 0);
    assert_non_null(strstr(k.e.text, "receiver p: "));
    assert_int_equal(receiver_check_files(k.config, &k.report, &k.e), ERR_CONFIG);
    kit_close(&k);
    kit_file("short.secret", "hush-hush\n");
    kit_parse(
        &k, kit_here(ini, sizeof ini, "[receiver p]\ntype = pagerduty\nrouting_key = file:^/short.secret\n"));
    assert_int_equal(receiver_check_files(k.config, &k.report, &k.e), ERR_CONFIG);
    assert_non_null(strstr(buf_text(&k.report), "has not 32 characters"));
    assert_null(strstr(buf_text(&k.report), "hush"));
    kit_close(&k);
    kit_parse(&k,
              "[receiver p]\ntype = pagerduty\nrouting_key = cred:pager\n"); /* the service alone has it */
    assert_int_equal(receiver_check_files(k.config, &k.report, &k.e), 0);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail),          cmocka_unit_test(test_mail_injection),
        cmocka_unit_test(test_mail_parts),    cmocka_unit_test(test_command),
        cmocka_unit_test(test_command_input), cmocka_unit_test(test_command_group),
        cmocka_unit_test(test_command_user),  cmocka_unit_test(test_log),
        cmocka_unit_test(test_try),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon has it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
