/* See online.h. Addresses are bound for a moment, so a running aggregator
 * makes them fail: check before the start, or with other ports. */
#include "aggregator/online.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aggregator/actions/action.h"
#include "aggregator/notify/channel.h"
#include "common/daemon/daemon.h"
#include "common/net/http_server.h"
#include "common/net/tls.h"

static int say(const char *what, int code, const struct err *e)
{
    if (code)
        (void)printf("FAILS  %s: %s\n", what, e->text);
    else
        (void)printf("good   %s\n", what);
    return code ? 1 : 0;
}

static void nobody(void *arg, struct http_exchange *x)
{
    (void)arg;
    http_answer(x, 503, "text/plain", NULL, 0, "", 0);
}

static int check_address(const char *section, const char *address)
{
    struct http_server_params p = {.listen = address};
    struct http_server *s = NULL;
    struct err e = {0};
    struct loop *l = loop_new(&e);
    char what[400];
    int bad;

    if (l)
        s = http_server_new(l, &p, nobody, NULL, &e);
    (void)snprintf(what, sizeof what, "[%s] listen = %s", section, address);
    bad = say(what, s ? 0 : e.code, &e);
    http_server_free(&s);
    loop_free(&l);
    return bad;
}

static int check_tls(const char *section, const struct section *s)
{
    struct tls_files f = {
        .ca = option_text(s, "ca"), .cert = option_text(s, "cert"), .key = option_text(s, "key")};
    struct tls_server *t;
    struct err e = {0};
    char what[100];
    int bad;

    if (!f.cert)
        return 0;
    f.accept_client = f.ca != NULL;
    if (strcmp(section, "ingest") == 0)
        f.crl = option_text(s, "crl");
    t = tls_server_new(&f, &e);
    (void)snprintf(what, sizeof what, "[%s] certificate, key and authority", section);
    bad = say(what, t ? 0 : e.code, &e);
    if (t && tls_server_not_after(t).ms < clock_wall().ms)
        bad = say(what, ERR_TLS, &(struct err){.text = "the certificate has expired"});
    tls_server_free(&t);
    return bad;
}

/* The folder, or where it would be made. */
static int check_state(const char *dir)
{
    struct err e = {0};
    char what[4200], parent[4096];
    struct stat st;
    int code = 0;

    (void)snprintf(what, sizeof what, "[aggregator] state_dir = %s", dir);
    if (stat(dir, &st) == 0) {
        if (!S_ISDIR(st.st_mode) || access(dir, W_OK | X_OK) != 0)
            code = err_sys(&e, ERR_IO, S_ISDIR(st.st_mode) ? errno : ENOTDIR, "cannot be written");
    } else {
        (void)snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(dir, '/') - dir), dir);
        if (*parent && access(parent, W_OK | X_OK) != 0)
            code = err_sys(&e, ERR_IO, errno, "is not there, and cannot be made in %s", parent);
    }
    return say(what, code, &e);
}

/* Each is opened as the start will; nothing is sent. */
static int check_opened(const struct config *c, const char *section, const char *what,
                        int (*check)(const struct config *c, struct buf *report, struct err *e))
{
    struct buf report;
    struct err e = {0};
    int code;

    if (!config_named(c, section, 0))
        return 0;
    buf_init(&report, NULL, 1 << 20);
    code = check(c, &report, &e);
    for (const char *p = buf_text(&report); *p; p += strcspn(p, "\n") + 1)
        (void)printf("FAILS  %.*s\n", (int)strcspn(p, "\n"), p);
    buf_free(&report);
    return code ? 1 : say(what, 0, &e);
}

int online_check(const struct config *c)
{
    const struct section *ingest = config_section(c, "ingest"), *http = config_section(c, "http");
    int bad = check_state(option_text(config_section(c, "aggregator"), "state_dir"));

    bad += check_tls("ingest", ingest);
    bad += check_tls("http", http);
    bad += check_address("ingest", option_text(ingest, "listen"));
    bad += check_address("http", option_text(http, "listen"));
    bad += check_opened(c, receiver_section_name, "receivers", receiver_check_files);
    bad += check_opened(c, action_section_name, "actions", action_check_files);
    return bad ? EXIT_CONFIG : 0;
}
