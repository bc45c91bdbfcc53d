/* Mail by SMTP: libcurl, with STARTTLS or TLS from the start, in a worker thread with a deadline.
 *
 * The server's certificate is always judged. A password goes over TLS only. Codes of the server decide (RFC 5321
 * §4.2.1): 4xx may pass later, 5xx will not; 530, 534, 535 and 538 are about who we are. One recipient that is refused
 * does not keep the others from getting it; it is logged. When the connection dies behind the message's end nobody
 * knows whether it was taken: it is sent again, with the same thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/judge.h"
#include "aggregator/notify/mail.h"
#include "common/net/loop.h"

enum { TO_MOST = 50, MAIL_MOST = 1 << 20 };

struct channel_target {
    char *url, *from, *to[TO_MOST], *username, *password, *ca;
    size_t n_to;
    bool starttls;
    struct log *log;
};

static const struct option_row rows[] = {
    {.key = "server",
     .type = OPT_ADDRESS,
     .reloadable = true,
     .sentence = "SMTP server, such as smtp.example.com:587."},
    {.key = "tls",
     .type = OPT_CHOICE,
     .choices = "starttls tls none",
     .dflt = "starttls",
     .reloadable = true,
     .sentence =
         "starttls: required, on an ordinary port; tls: from the start (port 465); none: in the clear."},
    {.key = "from", .type = OPT_STRING, .reloadable = true, .sentence = "Address of the sender."},
    {.key = "to",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = TO_MOST,
     .sentence = "Addresses of the recipients."},
    {.key = "username",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "User at the SMTP server."},
    {.key = "password", .type = OPT_SECRET, .reloadable = true, .sentence = "Password of `username`."},
    {.key = "helo",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "Name that we give ourselves to the server; empty: this host's."},
    ROW_TIMEOUT,
    ROW_CA,
};

static int email_check(const struct section *s, const char **key, struct err *e)
{
    const char *helo = option_text(s, "helo");

    *key = "server";
    if (strncmp(option_text(s, "server"), "unix:", 5) == 0)
        return err_set(e, ERR_CONFIG, "expected host:port");
    *key = "from";
    if (!mail_address_ok(option_text(s, "from")))
        return err_set(e, ERR_CONFIG, "expected an address such as alerts@example.com");
    *key = "to";
    for (size_t i = 0; i < option_count(s, "to"); i++)
        if (!mail_address_ok(option_word(s, "to", i)))
            return err_set(e, ERR_CONFIG, "found \"%.60s\", expected addresses such as ops@example.com",
                           option_word(s, "to", i));
    *key = "helo";
    for (; *helo; helo++)
        if (!((*helo >= 'a' && *helo <= 'z') || (*helo >= 'A' && *helo <= 'Z') ||
              (*helo >= '0' && *helo <= '9') || strchr("-.", *helo)))
            return err_set(e, ERR_CONFIG, "expected a host name");
    *key = "password";
    if (!*option_text(s, "username") != !option_set(s, "password"))
        return err_set(e, ERR_CONFIG, "expected `username` and `password`, or none of them");
    if (option_set(s, "password") && strcmp(option_text(s, "tls"), "none") == 0)
        return err_set(e, ERR_CONFIG, "a password is not sent in the clear: set `tls`");
    return 0;
}

static void email_close(struct channel_target **tp)
{
    struct channel_target *t = *tp;

    if (!t)
        return;
    for (size_t i = 0; i < TO_MOST; i++)
        free(t->to[i]);
    free(t->url);
    free(t->from);
    free(t->username);
    free_secret(&t->password);
    free(t->ca);
    free(t);
    *tp = NULL;
}

static struct channel_target *email_open(const struct section *s, struct log *log, struct err *e)
{
    struct channel_target *t = calloc(1, sizeof *t);
    const char *tls = option_text(s, "tls"), *helo = option_text(s, "helo");
    char url[600];

    if (!t || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        err_set(e, ERR_NOMEM, "no memory for a receiver");
        free(t);
        return NULL;
    }
    (void)snprintf(url, sizeof url, "%s://%.300s/%.255s", strcmp(tls, "tls") == 0 ? "smtps" : "smtp",
                   option_text(s, "server"), helo);
    t->log = log;
    t->starttls = strcmp(tls, "starttls") == 0;
    t->url = strdup(url);
    t->from = option_copy(s, "from");
    t->username = option_copy(s, "username");
    t->ca = option_copy(s, "ca");
    for (; t->n_to < option_count(s, "to") && t->n_to < TO_MOST; t->n_to++)
        t->to[t->n_to] = option_word_copy(s, "to", t->n_to);
    if (!t->url || !t->from || (t->n_to && !t->to[t->n_to - 1]))
        err_set(e, ERR_NOMEM, "no memory for a receiver");
    else if (secret_copy(s, "password", &t->password, e) == 0)
        return t;
    email_close(&t);
    return NULL;
}

struct upload {
    const uint8_t *p;
    size_t left;
};

static size_t on_read(char *to, size_t size, size_t n, void *arg)
{
    struct upload *u = arg;
    size_t take = size * n < u->left ? size * n : u->left;

    memcpy(to, u->p, take);
    u->p += take;
    u->left -= take;
    return take;
}

/* What the server says: its last answer, and the first that refused something. */
struct answers {
    struct told_result last, refusal;
    unsigned refused;
};

static void keep_line(struct told_result *to, struct bytes line)
{
    memcpy(to->text, "server", 7);
    judge_quote(to, line);
}

static size_t on_line(char *line, size_t size, size_t n, void *arg)
{
    struct answers *a = arg;
    struct bytes b = {(const uint8_t *)line, size * n};

    if (b.n > 3 && line[3] == ' ') { /* the last line of an answer */
        keep_line(&a->last, b);
        if ((line[0] == '4' || line[0] == '5') && !a->refused++)
            keep_line(&a->refusal, b);
    }
    return size * n;
}

static void judge_mail(CURLcode rc, long status, const char *error, const struct answers *a,
                       struct told_result *out)
{
    if (rc == CURLE_OK) {
        told_say(out, OUTCOME_DELIVERED, "%s%s%s", a->last.text, a->refused ? "; refused a recipient: " : "",
                 a->refusal.text);
        return;
    }
    if (rc == CURLE_LOGIN_DENIED || status == 530 || status == 534 || status == 535 || status == 538)
        out->outcome = OUTCOME_DENIED;
    else if (status >= 500 && status < 600 && rc != CURLE_OPERATION_TIMEDOUT)
        out->outcome = OUTCOME_NEVER;
    else
        out->outcome = OUTCOME_RETRY;
    told_say(out, out->outcome, "%.150s%s%s", *error ? error : curl_easy_strerror(rc),
             status >= 400 ? "; " : "", status >= 400 ? a->last.text : "");
}

static struct curl_slist *recipients(const struct channel_target *t)
{
    struct curl_slist *list = NULL;

    for (size_t i = 0; i < t->n_to; i++) {
        char word[260];
        struct curl_slist *longer;

        (void)snprintf(word, sizeof word, "<%s>", t->to[i]);
        longer = curl_slist_append(list, word);
        if (!longer) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = longer;
    }
    return list;
}

static void set_up(CURL *h, const struct channel_target *t, struct span deadline, char *error)
{
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_URL, t->url);
    curl_easy_setopt(h, CURLOPT_USE_SSL, (long)(t->starttls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L);
    if (t->ca) {
        curl_easy_setopt(h, CURLOPT_CAINFO, t->ca);
        curl_easy_setopt(h, CURLOPT_CAPATH, NULL);
    }
    if (t->username) {
        curl_easy_setopt(h, CURLOPT_USERNAME, t->username);
        curl_easy_setopt(h, CURLOPT_PASSWORD, t->password);
    }
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)span_to_ms(deadline));
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)span_to_ms(deadline) / 2 + 1);
    curl_easy_setopt(h, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)(span_to_ms(deadline) / 1000 + 1));
    curl_easy_setopt(h, CURLOPT_QUICK_EXIT, 1L); /* a name server that hangs holds a thread of its own */
    curl_easy_setopt(h, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(h, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
}

/* The connection that is still there says QUIT when it is closed, and libcurl waits up to two minutes for the answer to
 * that, whatever the deadline. The outcome is known by then: nothing more is read. */
static void hang_up(CURL *h)
{
    curl_socket_t fd = CURL_SOCKET_BAD;

    if (curl_easy_getinfo(h, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD)
        (void)shutdown(fd, SHUT_RD);
}

static void transfer(CURL *h, const struct channel_target *t, struct bytes mail, struct span deadline,
                     struct told_result *out)
{
    struct curl_slist *to = recipients(t);
    struct upload u = {mail.p, mail.n};
    struct answers answers = {0};
    char error[CURL_ERROR_SIZE] = "", from[260];
    long status = 0;
    CURLcode rc;

    if (!to) {
        told_say(out, OUTCOME_RETRY, "no memory for the recipients");
        return;
    }
    (void)snprintf(from, sizeof from, "<%s>", t->from);
    set_up(h, t, deadline, error);
    curl_easy_setopt(h, CURLOPT_MAIL_FROM, from);
    curl_easy_setopt(h, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(h, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(h, CURLOPT_READDATA, &u);
    curl_easy_setopt(h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)mail.n);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_line);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, &answers);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_line);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &answers);
    rc = curl_easy_perform(h);
    hang_up(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    judge_mail(rc, status, error, &answers, out);
    if (rc == CURLE_OK && answers.refused)
        LOG(t->log, LOG_WARN, "notify", "a mail was taken, but not for everybody", kv_s("to", t->to[0]),
            kv_u("refusals", answers.refused), kv_s("first", answers.refusal.text));
    curl_slist_free_all(to);
}

static void email_send(const struct channel_target *t, const struct notification *n, struct span deadline,
                       struct told_result *out)
{
    struct mail m = {.from = t->from, .to = (const char *const *)t->to, .n_to = t->n_to};
    CURL *h = curl_easy_init();
    struct arena a;
    struct buf text;

    *out = (struct told_result){.outcome = OUTCOME_RETRY};
    arena_init(&a, NULL, 8 << 20);
    buf_init(&text, NULL, MAIL_MOST);
    mail_make(&m, n, clock_wall(), &a, &text);
    if (!h || text.full)
        told_say(out, OUTCOME_RETRY, "no memory for the mail");
    else
        transfer(h, t, buf_bytes(&text), deadline, out);
    if (h)
        curl_easy_cleanup(h);
    buf_free(&text);
    arena_free(&a);
}

const struct channel channel_email = {
    .type = "email",
    .sentence = "Mail by SMTP.",
    .rows = rows,
    .n_rows = ROWS_COUNT(rows),
    .required = "server from to",
    .resolves = true,
    .heartbeats = true,
    .acknowledges = true,
    .changes = true,
    .check = email_check,
    .open = email_open,
    .close = email_close,
    .send = email_send,
};
