/* See aws_query.h. */
#include "aggregator/actions/aws_query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/sigv4.h"

enum { MINUTES = 10, FORM_MOST = 8192 };

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

/* ---- CloudWatch ---- */

static void ask_metric(const struct aws_metric *m, struct wall now, struct buf *form)
{
    char key[40], t[WALL_TEXT];

    aws_field(form, "Action", "GetMetricStatistics");
    aws_field(form, "Namespace", m->space);
    aws_field(form, "MetricName", m->name);
    for (int i = 0; i < 2 && m->dimensions[i][0]; i++) {
        (void)snprintf(key, sizeof key, "Dimensions.member.%d.Name", i + 1);
        aws_field(form, key, m->dimensions[i][0]);
        (void)snprintf(key, sizeof key, "Dimensions.member.%d.Value", i + 1);
        aws_field(form, key, m->dimensions[i][1]);
    }
    aws_field(form, "StartTime", wall_text(wall_add(now, span_s(-60 * MINUTES)), t));
    aws_field(form, "EndTime", wall_text(wall_add(now, span_s(60)), t));
    aws_field(form, "Period", "60");
    aws_field(form, "Statistics.member.1", "Maximum");
    aws_field(form, "Version", "2010-08-01");
}

static bool take_newest(const struct xml *answer, struct wall now, double *value, int64_t *age_ms)
{
    const struct xml *p =
        xml_child(xml_child(xml_child(answer, "GetMetricStatisticsResult"), "Datapoints"), "member");
    struct wall newest = {0};

    for (; p; p = xml_next(p)) {
        const char *when = xml_child_text(p, "Timestamp"), *text = xml_child_text(p, "Maximum");
        struct wall t;
        char *end;
        double v;

        if (!when || !text || !*text || wall_parse(when, &t) != 0 || !wall_before(newest, t))
            continue;
        v = strtod(text, &end);
        if (*end || !(v >= 0 && v < 1e12))
            continue;
        newest = t;
        *value = v;
    }
    *age_ms = wall_before(now, newest) ? 0 : span_to_ms(wall_sub(now, newest));
    return newest.ms != 0;
}

bool aws_newest(const struct aws_query *q, const struct aws_metric *m, struct wall now, struct arena *a,
                double *value, int64_t *age_ms)
{
    struct action_result aside = {.class = ACTION_OK};
    char code[ACTION_AWS_CODE];
    const struct xml *answer;
    struct buf form;
    bool ok;

    buf_init(&form, NULL, FORM_MOST);
    ask_metric(m, now, &form);
    ok = aws_query(q, &form, a, &answer, code, &aside) && take_newest(answer, now, value, age_ms);
    buf_free(&form);
    return ok;
}
