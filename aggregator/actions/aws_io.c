/* See aws_io.h. */
#include "aggregator/actions/aws_io.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "aggregator/actions/xml.h"
#include "common/config/copies.h"
#include "common/net/loop.h"
#include "common/net/sigv4.h"

enum { HEADERS_MOST = 16, MESSAGE_MOST = 256, URL_MOST = 4096, XML_ARENA = 1 << 20, WAIT_S = 2 };

int action_aws_open(const struct section *s, struct action_aws *t, struct err *e)
{
    *t = (struct action_aws){0};
    if (secret_copy(s, "access_key_id", &t->access_key_id, e) == 0 &&
        secret_copy(s, "secret_key", &t->secret_key, e) == 0 &&
        secret_copy(s, "session_token", &t->session_token, e) == 0 && action_tls_open(s, &t->tls, e) == 0)
        return 0;
    action_aws_close(t);
    return e->code;
}

void action_aws_close(struct action_aws *t)
{
    free_secret(&t->access_key_id);
    free_secret(&t->secret_key);
    free_secret(&t->session_token);
    action_tls_close(&t->tls);
}

/* As libcurl sends it: with the port when it is not the scheme's own. */
static const char *host_of(struct arena *a, const char *base)
{
    bool tls = strncasecmp(base, "https", 5) == 0;
    const char *host = strstr(base, "://"), *end;
    size_t n, port = tls ? 4 : 3;

    host = host ? host + 3 : base;
    end = host + strcspn(host, "/?");
    n = (size_t)(end - host);
    if (n > port && memcmp(end - port, tls ? ":443" : ":80", port) == 0)
        n -= port;
    return arena_text(a, host, n);
}

static size_t fill_headers(const struct action_aws_call *c, const char *host, struct http_header *h)
{
    size_t n = 0;

    h[n++] = (struct http_header){"Host", host};
    if (c->content_type)
        h[n++] = (struct http_header){"Content-Type", c->content_type};
    if (c->target)
        h[n++] = (struct http_header){"X-Amz-Target", c->target};
    for (size_t i = 0; i < c->n_headers; i++)
        h[n++] = c->headers[i];
    return n;
}

int action_aws(const struct action_aws *t, const struct action_aws_call *c, struct span deadline,
               struct arena *a, struct action_answer *out, struct err *e)
{
    struct sigv4_credentials keys = {t->access_key_id, t->secret_key, t->session_token};
    struct http_header h[HEADERS_MOST + SIGV4_ADDED];
    struct sigv4_request sign = {.method = c->method,
                                 .path = c->path,
                                 .query = c->query,
                                 .headers = h,
                                 .payload = c->body,
                                 .region = c->region,
                                 .service = c->service,
                                 .now = clock_wall(),
                                 .s3 = c->s3};
    struct http_request r = {.method = c->method,
                             .headers = h + 1, /* Host is libcurl's */
                             .body = c->body.p,
                             .body_len = c->body.n,
                             .collect_headers = c->collect_headers,
                             .max_answer = c->max_answer};
    struct sigv4_signature sig;
    size_t base = strlen(c->base);
    char *url = arena_alloc(a, URL_MOST);
    const char *host = host_of(a, c->base);
    int rc;

    if (!url || !host || c->n_headers > HEADERS_MOST - 4)
        return err_set(e, ERR_NOMEM, "no memory for a call");
    while (base && c->base[base - 1] == '/')
        base--;
    if (snprintf(url, URL_MOST, "%.*s%s%s%s", (int)base, c->base, c->path, c->query ? "?" : "",
                 c->query ? c->query : "") >= URL_MOST)
        return err_set(e, ERR_LIMIT, "the address of the call is too long");
    sign.n_headers = fill_headers(c, host, h);
    rc = sigv4_sign(&sign, &keys, a, &sig, e);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < sig.n_added; i++)
        h[sign.n_headers + i] = sig.added[i];
    r.url = url;
    r.n_headers = sign.n_headers - 1 + sig.n_added;
    return action_http(&t->tls, &r, deadline, a, out, e);
}

/* ---- codes ---- */

struct fault {
    char code[ACTION_AWS_CODE], message[MESSAGE_MOST];
};

static void take_fault(struct fault *f, const char *code, const char *message)
{
    const char *mark = code ? strchr(code, '#') : NULL; /* "com.amazonaws.x#ThrottlingException" */

    (void)snprintf(f->code, sizeof f->code, "%s", mark ? mark + 1 : code ? code : "");
    (void)snprintf(f->message, sizeof f->message, "%s", message ? message : "");
}

static void fault_of_json(struct bytes body, struct fault *f)
{
    static const char *const codes[] = {"__type", "code", "Code"}, *const messages[] = {"message", "Message"};
    cJSON *j = cJSON_ParseWithLength((const char *)body.p, body.n);
    const char *code = NULL, *message = NULL;

    for (size_t i = 0; i < 3 && !code; i++)
        code = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, codes[i]));
    for (size_t i = 0; i < 2 && !message; i++)
        message = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, messages[i]));
    take_fault(f, code, message);
    cJSON_Delete(j);
}

/* <ErrorResponse><Error> of most, <Response><Errors><Error> of EC2, <Error> of S3, and Route 53's own form for a batch. */
static void fault_of_xml(struct bytes body, struct fault *f)
{
    const struct xml *root, *error;
    struct arena a;

    arena_init(&a, NULL, XML_ARENA);
    if (xml_parse(&a, body, &root, NULL) == 0) {
        error = strcmp(root->name, "Error") == 0 ? root : xml_child(root, "Error");
        if (!error)
            error = xml_child(xml_child(root, "Errors"), "Error");
        if (error)
            take_fault(f, xml_child_text(error, "Code"), xml_child_text(error, "Message"));
        else if (strcmp(root->name, "InvalidChangeBatch") == 0)
            take_fault(f, root->name, xml_child_text(xml_child(root, "Messages"), "Message"));
    }
    arena_free(&a);
}

static bool is_one_of(const char *code, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(code, *list) == 0)
            return true;
    return false;
}

void action_aws_judge(const struct action_answer *ans, bool change, const char *what,
                      char code[ACTION_AWS_CODE], struct action_result *out)
{
    static const char *const slower[] = {
        "Throttling", "ThrottlingException", "RequestLimitExceeded",    "TooManyRequestsException",
        "SlowDown",   "RequestThrottled",    "PriorRequestNotComplete", "LimitExceededException",
        NULL};
    static const char *const again[] = {"ServiceUnavailable", "ServiceUnavailableException", NULL};
    const struct http_result *r = &ans->http;
    struct fault f = {0};

    code[0] = 0;
    action_http_judge(ans, change, what, out);
    if (r->code != 0 || r->status < 300)
        return;
    if (r->body.n && r->body.p[0] == '{')
        fault_of_json(r->body, &f);
    else if (r->body.n)
        fault_of_xml(r->body, &f);
    (void)snprintf(code, ACTION_AWS_CODE, "%s", f.code);
    if (*f.code)
        action_say(out, out->class, "%s: status %d %s: %s", what, r->status, f.code, f.message);
    if (is_one_of(code, slower))
        out->class = ACTION_THROTTLED;
    else if (is_one_of(code, again))
        out->class = ACTION_RETRY;
    if (out->class == ACTION_THROTTLED && out->retry_after.ns == 0)
        out->retry_after = span_s(WAIT_S);
}
