/* Amazon SNS: Publish by the Query API (version 2010-03-31), signed with Signature Version 4, to a topic or to one phone.
 *
 * Limits of the service: subject 99 printable ASCII characters, message 256 KB, which attributes count towards. A topic whose
 * name ends in .fifo wants a group and an identity of the message: the group is the alert group, so that its messages keep
 * their order. Keys are long-lived ones from files: in a disaster they must not depend on another service of the region. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/judge.h"
#include "aggregator/notify/told.h"
#include "common/net/sigv4.h"

enum { MESSAGE_MOST = 60 * 1024, SMS_MOST = 480, SUBJECT_MOST = 99, FORM_MOST = 250 * 1024 };

struct channel_target {
    char *topic, *phone, *region, *url;
    char *access_key_id, *secret_key, *session_token;
    struct span timeout;
};

static const struct option_row rows[] = {
    {.key = "topic", .type = OPT_STRING, .dflt = "", .reloadable = true, .sentence = "ARN of the topic."},
    {.key = "phone",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "A phone number with its country (+4930123456) that gets the title as a text message, "
                 "instead of a topic."},
    {.key = "aws_region",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "Region of the service; empty: the one of the topic's ARN."},
    {.key = "access_key_id", .type = OPT_SECRET, .reloadable = true, .sentence = "Identity of the AWS key."},
    {.key = "secret_key", .type = OPT_SECRET, .reloadable = true, .sentence = "The AWS secret access key."},
    {.key = "session_token",
     .type = OPT_SECRET,
     .reloadable = true,
     .sentence = "Session token that belongs to temporary AWS keys."},
    ROW_URL,
    ROWS_HTTP,
};

/* The fourth part of arn:PARTITION:sns:REGION:ACCOUNT:NAME, copied; NULL when it is none. */
static char *arn_region(const char *arn)
{
    const char *p = arn, *start = NULL;

    if (strncmp(arn, "arn:", 4) != 0)
        return NULL;
    for (int i = 0; i < 5; i++) {
        p = strchr(p, ':');
        if (!p)
            return NULL;
        if (i == 2)
            start = p + 1;
        if (i == 3)
            return p > start && p[1] ? strndup(start, (size_t)(p - start)) : NULL;
        p++;
    }
    return NULL;
}

static const char region_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

static bool is_word(const char *s, const char *allowed)
{
    return *s && !s[strspn(s, allowed)];
}

static int sns_check(const struct section *s, const char **key, struct err *e)
{
    const char *topic = option_text(s, "topic"), *phone = option_text(s, "phone"),
               *region = option_text(s, "aws_region");
    char *of_topic = arn_region(topic);
    bool known = of_topic && strlen(of_topic) <= 40 && is_word(of_topic, region_letters);

    free(of_topic);
    *key = "topic";
    if (!*topic == !*phone)
        return err_set(e, ERR_CONFIG, "expected either `topic` or `phone`");
    if (*topic && !known)
        return err_set(e, ERR_CONFIG, "expected an ARN such as arn:aws:sns:us-east-1:123456789012:alerts");
    *key = "phone";
    if (*phone && (*phone != '+' || strlen(phone) > 16 || !is_word(phone + 1, "0123456789")))
        return err_set(e, ERR_CONFIG, "expected a number such as +4930123456");
    *key = "aws_region";
    if ((*region || *phone) && (strlen(region) > 40 || !is_word(region, region_letters)))
        return err_set(e, ERR_CONFIG, "expected a region such as eu-central-1");
    return one_url_check(s, key, e);
}

static void sns_close(struct channel_target **tp)
{
    struct channel_target *t = *tp;

    if (!t)
        return;
    free(t->topic);
    free(t->phone);
    free(t->region);
    free(t->url);
    free_secret(&t->access_key_id);
    free_secret(&t->secret_key);
    free_secret(&t->session_token);
    free(t);
    *tp = NULL;
}

static struct channel_target *sns_open(const struct section *s, struct log *log, struct err *e)
{
    struct channel_target *t = calloc(1, sizeof *t);
    char base[128];

    (void)log;
    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for a receiver");
        return NULL;
    }
    t->timeout = option_span(s, "timeout");
    t->topic = option_copy(s, "topic");
    t->phone = option_copy(s, "phone");
    t->region = option_copy(s, "aws_region");
    if (!t->region && t->topic)
        t->region = arn_region(t->topic);
    if (t->region)
        (void)snprintf(base, sizeof base, "https://sns.%s.amazonaws.com%s", t->region,
                       strncmp(t->region, "cn-", 3) == 0 ? ".cn" : "");
    if (t->region)
        t->url = url_join(option_count(s, "url") ? option_word(s, "url", 0) : base, "/");
    if (!t->url)
        err_set(e, ERR_NOMEM, "no memory for a receiver");
    if (!t->url || secret_copy(s, "access_key_id", &t->access_key_id, e) != 0 ||
        secret_copy(s, "secret_key", &t->secret_key, e) != 0 ||
        secret_copy(s, "session_token", &t->session_token, e) != 0)
        sns_close(&t);
    return t;
}

static void field(struct buf *b, const char *name, const char *value)
{
    if (b->len)
        buf_u8(b, '&');
    buf_str(b, name);
    buf_u8(b, '=');
    sigv4_encode(b, value, strlen(value), true);
}

static void attribute(struct buf *b, int i, const char *name, const char *value)
{
    char key[64];

    if (!*value)
        return;
    (void)snprintf(key, sizeof key, "MessageAttributes.entry.%d.Name", i);
    field(b, key, name);
    (void)snprintf(key, sizeof key, "MessageAttributes.entry.%d.Value.DataType", i);
    field(b, key, "String");
    (void)snprintf(key, sizeof key, "MessageAttributes.entry.%d.Value.StringValue", i);
    field(b, key, value);
}

/* Printable ASCII only, and not beginning with a blank. */
static const char *subject(struct arena *a, const char *title)
{
    const char *line = told_line(a, title, 4 * SUBJECT_MOST);
    char *t = arena_alloc(a, SUBJECT_MOST + 1);
    size_t n = 0;

    if (!t)
        return "alert";
    for (line += strspn(line, " "); *line && n < SUBJECT_MOST; line++)
        if (((unsigned char)*line & 0xc0) != 0x80) /* one mark for each character */
            t[n++] = *line >= ' ' && *line <= '~' ? *line : '?';
    return n ? t : "alert";
}

static void identity(struct buf *b, const struct notification *n)
{
    char group[65], once[65], when[32], attempt[32];

    (void)snprintf(when, sizeof when, "%lld", (long long)n->t.ms);
    (void)snprintf(attempt, sizeof attempt, "%u", n->attempt);
    told_hash(group, (const char *const[]){n->dedup_key, NULL});
    told_hash(once, (const char *const[]){n->dedup_key, tell_name(n->tell), when, attempt, n->source, n->text,
                                          NULL});
    field(b, "MessageDeduplicationId", once);
    field(b, "MessageGroupId", group);
}

static void form(const struct channel_target *t, const struct notification *n, struct arena *a, struct buf *b)
{
    field(b, "Action", "Publish");
    if (t->phone) {
        field(b, "Message", told_line(a, *n->title ? n->title : told_status(n), SMS_MOST));
        field(b, "PhoneNumber", t->phone);
    } else {
        attribute(b, 1, "status", told_status(n));
        attribute(b, 2, "severity", severity_name(n->severity));
        attribute(b, 3, "dedup_key", told_line(a, n->dedup_key, 255));
        field(b, "Message", told_text(a, n, MESSAGE_MOST));
        if (strlen(t->topic) > 5 && strcmp(t->topic + strlen(t->topic) - 5, ".fifo") == 0)
            identity(b, n);
        field(b, "Subject", subject(a, n->title));
        field(b, "TopicArn", t->topic);
    }
    field(b, "Version", "2010-03-31");
}

/* As libcurl sends it: with the port when it is not the scheme's own. */
static const char *host_of(struct arena *a, const char *url, const char **path)
{
    bool tls = strncasecmp(url, "https", 5) == 0;
    const char *host = strstr(url, "://") + 3, *end = host + strcspn(host, "/?");
    size_t n = (size_t)(end - host), port = tls ? 4 : 3;

    *path = *end == '/' ? end : "/";
    if (n > port && memcmp(end - port, tls ? ":443" : ":80", port) == 0)
        n -= port;
    return arena_text(a, host, n);
}

static int sns_prepare(const struct channel_target *t, const struct notification *n, struct wall now,
                       struct arena *a, struct channel_call *calls, size_t most, struct err *e)
{
    static const char type[] = "application/x-www-form-urlencoded; charset=utf-8";
    struct sigv4_credentials keys = {t->access_key_id, t->secret_key, t->session_token};
    struct http_header signed_too[] = {{"Host", NULL}, {"Content-Type", type}};
    struct sigv4_request r = {.method = "POST",
                              .headers = signed_too,
                              .n_headers = 2,
                              .region = t->region,
                              .service = "sns",
                              .now = now};
    struct sigv4_signature sig;
    struct buf b;
    int rc;

    (void)most;
    buf_init(&b, NULL, FORM_MOST);
    form(t, n, a, &b);
    signed_too[0].value = host_of(a, t->url, &r.path);
    r.payload = (struct bytes){(const uint8_t *)arena_text(a, (const char *)b.data, b.len), b.len};
    if (b.full)
        rc = err_set(e, ERR_LIMIT, "the message is too long");
    else if (!r.payload.p || !signed_too[0].value)
        rc = err_set(e, ERR_NOMEM, "no memory for the message");
    else
        rc = sigv4_sign(&r, &keys, a, &sig, e);
    buf_free(&b);
    if (rc != 0)
        return rc;
    calls[0] =
        (struct channel_call){.method = "POST", .url = t->url, .body = r.payload, .timeout = t->timeout};
    call_header(&calls[0], "Content-Type", type);
    for (size_t i = 0; i < sig.n_added; i++)
        call_header(&calls[0], sig.added[i].name, sig.added[i].value);
    return 1;
}

static void sns_judge(const struct channel_target *t, const struct http_result *r, struct told_result *out)
{
    static const char *const mend[] = {"ExpiredToken",     "InvalidClientTokenId", "SignatureDoesNotMatch",
                                       "NotFound",         "AuthorizationError",   "AccessDenied",
                                       "EndpointDisabled", "KMSAccessDenied"};

    (void)t;
    judge_http(r, out);
    if (r->code != 0 || r->status < 400 || r->status >= 500)
        return;
    if (judge_says(r, "<Code>Throttl"))
        out->outcome = OUTCOME_RETRY;
    else
        for (size_t i = 0; i < sizeof mend / sizeof *mend; i++)
            if (judge_says(r, mend[i]))
                out->outcome = OUTCOME_DENIED;
}

const struct channel channel_sns = {
    .type = "sns",
    .sentence = "Amazon SNS: a topic, or a text message.",
    .rows = rows,
    .n_rows = ROWS_COUNT(rows),
    .required = "access_key_id secret_key",
    .resolves = true,
    .heartbeats = true,
    .acknowledges = true,
    .changes = true,
    .check = sns_check,
    .open = sns_open,
    .close = sns_close,
    .prepare = sns_prepare,
    .judge = sns_judge,
};
