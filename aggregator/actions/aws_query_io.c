/* See aws_query.h. */
#include "aggregator/actions/aws_query.h"

#include <stdio.h>
#include <string.h>

#include "common/net/sigv4.h"

void aws_field(struct buf *form, const char *name, const char *value)
{
    if (form->len)
        buf_u8(form, '&');
    buf_str(form, name);
    buf_u8(form, '=');
    sigv4_encode(form, value, strlen(value), true);
}

bool aws_query(const struct aws_query *q, struct buf *form, struct arena *a, const struct xml **answer,
               char code[ACTION_AWS_CODE], struct action_result *out)
{
    struct action_aws_call c = {.method = "POST",
                                .base = q->base,
                                .path = "/",
                                .service = q->service,
                                .region = q->region,
                                .content_type = "application/x-www-form-urlencoded; charset=utf-8",
                                .body = buf_bytes(form)};
    struct action_answer ans;
    struct err e = {0};

    code[0] = 0;
    if (form->full) {
        action_say(out, ACTION_RETRY, "%s: no memory", q->what);
        return false;
    }
    if (action_aws(q->keys, &c, mono_sub(q->until, clock_mono()), a, &ans, &e) != 0) {
        action_say(out, e.code == ERR_TLS ? ACTION_DENIED : ACTION_RETRY, "%s: %s", q->what, e.text);
        return false;
    }
    action_aws_judge(&ans, q->change, q->what, code, out);
    if (out->class != ACTION_OK)
        return false;
    if (xml_parse(a, ans.http.body, answer, &e) == 0)
        return true;
    action_say(out, q->change ? ACTION_UNKNOWN : ACTION_RETRY, "%s: %s", q->what, e.text);
    return false;
}

bool aws_arn(const char *arn, char region[AWS_REGION], const char **name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    const char *p = arn;
    size_t n;

    if (strncmp(arn, "arn:", 4) != 0)
        return false;
    for (int i = 0; i < 3; i++) { /* behind arn, the partition and the service */
        p = strchr(p, ':');
        if (!p)
            return false;
        p++;
    }
    n = strspn(p, letters);
    if (!n || n >= AWS_REGION || p[n] != ':')
        return false;
    (void)snprintf(region, AWS_REGION, "%.*s", (int)n, p);
    *name = strrchr(arn, ':') + 1;
    return **name != 0;
}

void aws_base(const struct section *s, const char *key, const char *of, const char *service,
              const char *region, char out[AWS_URL])
{
    if (!action_by_region(s, key, of, out, AWS_URL))
        (void)snprintf(out, AWS_URL, "https://%s.%s.amazonaws.com%s", service, region,
                       strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

int aws_endpoints_check(const struct section *s, const char *key, struct err *e)
{
    if (action_regions_check(s, key, e) != 0)
        return ERR_CONFIG;
    for (size_t i = 0; i < option_count(s, key); i++) {
        const char *url = strchr(option_word(s, key, i), '=') + 1;

        if ((strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0) || strlen(url) >= AWS_URL)
            return err_set(e, ERR_CONFIG, "found \"%.80s\", expected REGION=https://…",
                           option_word(s, key, i));
    }
    return 0;
}

void aws_place(const struct section *s, const char *of, const char *service, struct aws_place *p)
{
    if (!action_by_region(s, "aws_regions", of, p->region, sizeof p->region))
        (void)snprintf(p->region, sizeof p->region, "%s", of);
    aws_base(s, "aws_endpoints", of, service, p->region, p->base);
}
