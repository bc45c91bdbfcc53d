/* See judge.h. */
#include "aggregator/notify/judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/config/text.h"

enum { QUOTE_MOST = 160 };

void told_say(struct told_result *out, enum outcome o, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    out->outcome = o;
    text[utf8_cut(text, strlen(text), TOLD_TEXT - 1)] = 0;
    memcpy(out->text, text, strlen(text) + 1);
}

void judge_quote(struct told_result *out, struct bytes body)
{
    size_t at = strlen(out->text), most = at + QUOTE_MOST, in = 0, step;
    bool blank = true;

    if (!body.n || at + 8 > sizeof out->text)
        return;
    out->text[at++] = ':';
    out->text[at++] = ' ';
    if (most > sizeof out->text - 5)
        most = sizeof out->text - 5;
    for (; in < body.n && at < most; in += step) {
        step = utf8_len(body.p + in, body.n - in);
        if (step == 1 && (body.p[in] <= ' ' || body.p[in] == 0x7f)) {
            if (!blank)
                out->text[at++] = ' ';
            blank = true;
            continue;
        }
        blank = false;
        if (!step) {
            out->text[at++] = '?';
            step = 1;
            continue;
        }
        memcpy(out->text + at, body.p + in, step);
        at += step;
    }
    out->text[at] = 0;
}

bool judge_says(const struct http_result *r, const char *word)
{
    return r->body.n && memmem(r->body.p, r->body.n, word, strlen(word)) != NULL;
}

static enum outcome by_status(int status)
{
    if (status >= 200 && status < 300)
        return OUTCOME_DELIVERED;
    if (status == 408 || status == 425 || status == 429 || status >= 500 || status < 200)
        return OUTCOME_RETRY;
    if (status == 401 || status == 403 || status == 407)
        return OUTCOME_DENIED;
    return OUTCOME_NEVER;
}

void judge_answer(const struct http_result *r, struct wall now, struct told_result *out)
{
    *out = (struct told_result){.outcome = OUTCOME_RETRY};
    if (r->code == ERR_LIMIT && r->status >= 200 && r->status < 300) {
        /* it has taken the message and talks on */
        out->outcome = OUTCOME_DELIVERED;
        (void)snprintf(out->text, sizeof out->text, "status %d, and an answer that is too large", r->status);
        return;
    }
    if (r->code != 0) {
        (void)snprintf(out->text, sizeof out->text, "%s: %.200s", *r->reason ? r->reason : err_name(r->code),
                       r->error);
        return;
    }
    out->outcome = by_status(r->status);
    if (out->outcome == OUTCOME_RETRY)
        out->retry_after = retry_after_parse(r->retry_after, now);
    (void)snprintf(out->text, sizeof out->text, "status %d", r->status);
    judge_quote(out, r->body);
}
