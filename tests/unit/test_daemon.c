/* What daemons do at start, against real files, a real notification socket, real signals; and the shared
 * command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/daemon/cli.h"
#include "common/daemon/daemon.h"

/* ---- the state folder ------------------------------------------------------------------------ */

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void refused(const char *dir, int code, const char *why)
{
    struct err e = {0};

    assert_int_equal(daemon_lock_dir(dir, &e), code);
    if (!strstr(e.text, why))
        fail_msg("%s", e.text);
}

static void test_lock_dir(void **state)
{
    struct err e = {0};
    struct rlimit was, none;
    char pid[64];
    int fd, status;
    pid_t child;

    (void)state;
    daemon_early();
    fd = daemon_lock_dir("lib/agent/", &e);
    assert_true(fd >= 0);
    assert_int_equal(mode_of("lib"), 0755);
    assert_int_equal(mode_of("lib/agent"), 0750);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    (void)snprintf(pid, sizeof pid, "lib/agent is in use by another instance (process %d)", (int)getpid());
    refused("lib/agent", ERR_STATE, pid);
    child = fork();
    if (!child)
        _exit(daemon_lock_dir("lib/agent", NULL) == ERR_STATE ? 7 : 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 7);
    (void)close(fd);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0); /* a full disk keeps nobody from starting */
    none = was;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    fd = daemon_lock_dir("lib/agent", &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_true(fd >= 0);
    (void)close(fd);

    assert_int_equal(symlink("lib/agent", "link"), 0);
    refused("link", ERR_DENIED, "symbolic link");
    refused("link///", ERR_DENIED, "symbolic link");
    assert_int_equal(chmod("lib/agent", 0755), 0);
    refused("lib/agent", ERR_DENIED, "open to others (mode 0755); chmod 0750");
    assert_int_equal(chmod("lib/agent", 0770), 0);
    refused("lib/agent", ERR_DENIED, "open to others (mode 0770)");
    assert_int_equal(chmod("lib/agent", 0700), 0);
    assert_int_equal(unlink("lib/agent/lock"), 0);
    assert_int_equal(symlink("/dev/null", "lib/agent/lock"), 0);
    refused("lib/agent", ERR_IO, "lib/agent/lock");
    refused("no/such/parent/dir", ERR_IO, "cannot make the state folder");
    refused("", ERR_CONFIG, "empty");
    if (geteuid() == 0) {
        assert_int_equal(mkdir("foreign", 0750), 0);
        assert_int_equal(chown("foreign", 12345, 12345), 0);
        refused("foreign", ERR_DENIED, "belongs to user 12345");
    }
}

/* ---- readiness ------------------------------------------------------------------------------- */

static void notified(const char *variable, const struct sockaddr_un *at, socklen_t n)
{
    char got[256] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)at, n), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", variable, 1), 0);
    daemon_notify("READY=1\nSTATUS=all is well");
    assert_int_equal(recv(fd, got, sizeof got - 1, MSG_DONTWAIT), 26);
    assert_string_equal(got, "READY=1\nSTATUS=all is well");
    (void)close(fd);
}

static void test_notify(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char here[1024], path[108], name[100];

    (void)state;
    assert_non_null(getcwd(here, sizeof here));
    if (strlen(here) > 80) /* too long for a socket's name */
        (void)snprintf(here, sizeof here, "/tmp");
    (void)snprintf(path, sizeof path, "%.80s/notify-%d", here, (int)getpid());
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    notified(path, &at, sizeof at);
    (void)unlink(path);
    memset(at.sun_path, 0, sizeof at.sun_path);
    (void)snprintf(name, sizeof name, "@sb-notify-%d", (int)getpid());
    memcpy(at.sun_path + 1, name + 1, strlen(name) - 1);
    notified(name, &at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name)));
    assert_int_equal(setenv("NOTIFY_SOCKET", "relative", 1), 0);
    daemon_notify("READY=1"); /* nothing to be seen, and nothing goes wrong */
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    daemon_notify("READY=1");
}

static void test_watchdog(void **state)
{
    char pid[32];

    (void)state;
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    assert_int_equal(daemon_watchdog_interval().ns, 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
    assert_int_equal(daemon_watchdog_interval().ns, 15000000000);
    assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
    assert_int_equal(daemon_watchdog_interval().ns, 0);
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    assert_int_equal(daemon_watchdog_interval().ns, 15000000000);
    assert_int_equal(setenv("WATCHDOG_USEC", "99999999999999999999", 1), 0);
    assert_int_equal(daemon_watchdog_interval().ns, 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "soon", 1), 0);
    assert_int_equal(daemon_watchdog_interval().ns, 0);
}

/* ---- signals --------------------------------------------------------------------------------- */

struct seen {
    struct loop *loop;
    char text[16];
    size_t n;
    bool hang; /* stop does not end the loop but sleeps in it */
};

static void note(struct seen *s, char c)
{
    s->text[s->n++] = c;
}

static void on_reload(void *arg)
{
    note(arg, 'r');
    (void)raise(SIGUSR1);
}

static void on_reopen(void *arg)
{
    note(arg, 'o');
    (void)raise(SIGUSR2);
}

static void on_dump(void *arg)
{
    note(arg, 'd');
    (void)raise(SIGTERM);
}

static void on_stop(void *arg)
{
    struct seen *s = arg;

    note(s, 's');
    if (!s->hang) {
        loop_stop(s->loop);
        return;
    }
    (void)raise(SIGINT); /* the loop never turns again: the handler has to end it */
    for (;;)
        (void)pause();
}

/* In a process of its own, since signals change it for good. Exits 0 when all four were seen in order. */
static void child_of_signals(bool hang)
{
    struct err e = {0};
    struct seen seen = {.hang = hang};
    const struct signal_calls calls = {on_reload, on_reopen, on_dump, on_stop, &seen};
    struct signals *s;

    (void)close(STDERR_FILENO);
    seen.loop = loop_new(&e);
    s = seen.loop ? signals_new(seen.loop, &calls, &e) : NULL;
    if (!s)
        _exit(50);
    (void)raise(SIGPIPE);
    (void)raise(SIGHUP);
    if (loop_run(seen.loop))
        _exit(51);
    signals_free(&s);
    loop_free(&seen.loop);
    _exit(s || strcmp(seen.text, "rods") ? 52 : 0);
}

static int run_signals(bool hang)
{
    pid_t child = fork();
    int status = 0;

    if (!child)
        child_of_signals(hang);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_signals(void **state)
{
    (void)state;
    daemon_early();
    assert_int_equal(run_signals(false), 0);
    assert_int_equal(run_signals(true), 1); /* a second stop ends it at once, whatever the loop does */
}

/* ---- the command line ------------------------------------------------------------------------ */

static const struct option_row main_rows[] = {
    {.key = "name", .type = OPT_STRING, .required = true, .sentence = "A name."},
    {.key = "pause", .type = OPT_DURATION, .dflt = "1s", .sentence = "A pause."},
    {.key = "token", .type = OPT_SECRET, .sentence = "A token."},
};
static const struct section_row sections[] = {
    {.name = "main", .required = true, .sentence = "All of it.", .rows = main_rows, .n_rows = 3},
    LOG_SECTION,
};
static const struct cli_flag flags[] = {
    {"once", CLI_NOTHING, NULL, "do it once"},
    {"format", CLI_MAYBE, "FORM", "how"},
    {"root", CLI_VALUE, "PREFIX", "where"},
};

static int check(const struct config *c, const struct cli *cli, struct buf *report, struct err *e);
static const struct cli_program program = {
    .name = "prog",
    .sentence = "A program.",
    .file = "/etc/prog/prog.ini",
    .usage = "       prog status\n",
    .rows = sections,
    .n_rows = 2,
    .flags = flags,
    .n_flags = 3,
    .max_words = 1,
    .check = check,
};

static int check(const struct config *c, const struct cli *cli, struct buf *report, struct err *e)
{
    const struct section *s = config_section(c, "main");

    if (!strcmp(option_text(s, "name"), "taken") && !cli_given(&program, cli, "once"))
        return config_complain(report, s, "name", e, "is taken");
    return 0;
}

/* Runs cli_parse and cli_config with these words; the status,
 * and what was printed in the files out and err. */
static int run(const char *const *words, char *out, char *err, size_t room)
{
    char *argv[16] = {(char *)(uintptr_t) "prog"};
    int argc = 1, status = 0, fd, k;
    pid_t child;
    ssize_t n;

    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    (void)fflush(stdout);
    child = fork();
    if (!child) {
        struct config *c = NULL;
        struct cli cli;

        if (!freopen("out", "w", stdout) || !freopen("err", "w", stderr))
            _exit(50);
        status = cli_parse(&program, argc, argv, &cli);
        if (status == CLI_GO_ON)
            status = cli_config(&program, &cli, &c);
        config_free(&c);
        (void)fflush(stdout);
        (void)fflush(stderr);
        _exit(status == CLI_GO_ON ? 99 : status);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    for (k = 0; k < 2; k++) {
        char *to = k ? err : out;

        fd = open(k ? "err" : "out", O_RDONLY | O_CLOEXEC);
        n = read(fd, to, room - 1);
        to[n > 0 ? n : 0] = 0;
        (void)close(fd);
    }
    return WEXITSTATUS(status);
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL}, out, err, sizeof out)

static void test_cli_statuses(void **state)
{
    char out[8192], err[8192];

    (void)state;
    assert_int_equal(RUN("--help"), 0);
    assert_non_null(strstr(out, "Usage: prog [-c FILE] [FLAGS]\n       prog status\n"));
    assert_non_null(strstr(out, "  --format[=FORM]          how\n"));
    assert_int_equal(RUN("--version"), 0);
    assert_int_equal(strncmp(out, "prog 0.", 7), 0);
    assert_non_null(strstr(out, "OpenSSL 3."));
    assert_non_null(strstr(out, "libevent 2."));
    assert_int_equal(RUN("--nonsense"), 2);
    assert_non_null(strstr(err, "Try 'prog --help'."));
    assert_int_equal(RUN("--root"), 2);
    assert_int_equal(RUN("a", "b"), 2);
    assert_non_null(strstr(err, "prog: unexpected word 'b'"));
    assert_int_equal(RUN("-c", "absent.ini", "--check-config"), 78);
    assert_non_null(strstr(err, "absent.ini: cannot be opened"));
    assert_int_equal(RUN("--print-example"), 0);
    assert_non_null(strstr(out, "\n[main]\n"));
    assert_non_null(strstr(out, "\n;level = info\n"));
    assert_int_equal(RUN("--print-manual"), 0);
    assert_non_null(strstr(out, ".SS [log]\n"));
}

static void test_cli_config(void **state)
{
    char out[8192], err[8192];

    (void)state;
    put_file("good.ini", "[main]\nname = n\ntoken = file:/etc/secret\n");
    put_file("bad.ini", "[main]\npuase = 2s\npause = soon\n");
    put_file("taken.ini", "[main]\nname = taken\n");
    assert_int_equal(RUN("-c", "good.ini"), 99);
    assert_int_equal(RUN("--config=good.ini", "--check-config"), 0);
    assert_string_equal(out, "good.ini: the configuration is good\n");
    assert_int_equal(RUN("-c", "good.ini", "--print-config"), 0);
    assert_non_null(strstr(
        out, "[main]\nname = n ; good.ini:2\npause = 1s ; default\ntoken = file:/etc/secret ; good.ini:3\n"));
    assert_int_equal(RUN("-c", "bad.ini", "--check-config"), 78);
    assert_string_equal(err, "bad.ini:2: [main]: \"puase\" is no option here; did you mean \"pause\"?\n"
                             "bad.ini:3: [main] pause: found \"soon\", expected a duration such as 1s\n"
                             "bad.ini:1: [main] name: is required and not there: A name.\n");
    assert_int_equal(RUN("-c", "taken.ini", "--check-config"), 78);
    assert_string_equal(err, "taken.ini:2: [main] name: is taken\n");
    assert_int_equal(RUN("-c", "taken.ini", "--once", "--check-config"), 0);
    assert_int_equal(mkdir("good.d", 0755), 0);
    put_file("good.d/x.ini", "[main]\npause = 3s\n");
    assert_int_equal(RUN("-c", "good.ini", "--print-config"), 0);
    assert_non_null(strstr(out, "pause = 3s ; good.d/x.ini:2\n"));
}

static void test_cli_flags(void **state)
{
    char *argv[] = {(char *)(uintptr_t) "prog",   (char *)(uintptr_t) "--format=json",
                    (char *)(uintptr_t) "status", (char *)(uintptr_t) "--root",
                    (char *)(uintptr_t) "/x",     NULL};
    struct cli cli;

    (void)state;
    assert_int_equal(cli_parse(&program, 5, argv, &cli), CLI_GO_ON);
    assert_string_equal(cli_value(&program, &cli, "format"), "json");
    assert_string_equal(cli_value(&program, &cli, "root"), "/x");
    assert_false(cli_given(&program, &cli, "once"));
    assert_int_equal(cli.n_words, 1);
    assert_string_equal(cli.words[0], "status");
    assert_string_equal(cli.file, "/etc/prog/prog.ini");
    assert_string_equal(cli.dir, "/etc/prog/prog.d");
}

static void test_cli_log(void **state)
{
    static const char text[] = "[main]\nname = n\n[log]\nlevel = warn\nformat = json\n";
    struct config_source source = {"x.ini", {(const uint8_t *)text, sizeof text - 1}};
    struct err e = {0};
    struct config *c = config_parse(&source, 1, sections, 2, NULL, &e);
    struct log *l;

    (void)state;
    assert_non_null(c);
    l = cli_log(c, &e);
    assert_non_null(l);
    LOG0(l, LOG_INFO, "x", "not written");
    assert_int_equal(log_lines(l, LOG_INFO), 0);
    log_free(&l);
    config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock_dir),   cmocka_unit_test(test_notify),
        cmocka_unit_test(test_watchdog),   cmocka_unit_test(test_signals),
        cmocka_unit_test(test_cli_flags),  cmocka_unit_test(test_cli_statuses),
        cmocka_unit_test(test_cli_config), cmocka_unit_test(test_cli_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
