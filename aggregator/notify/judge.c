/* See judge.h. */
#include "aggregator/notify/judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/config/text.h"

enum { WAIT_MOST_S = 3600, QUOTE_MOST = 160 };

static int month_of(const char *name)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const char *p = strlen(name) == 3 ? strstr(months, name) : NULL;

    return p && (p - months) % 3 == 0 ? (int)(p - months) / 3 + 1 : 0;
}

/* Any form's fields; false when the text has another. */
static bool date_fields(const char *s, int *year, char month[4], int *day, int clock[3])
{
    const char *comma = strchr(s, ',');
    int used = 0;

    if (comma) {
        s = comma + 1;
        if (sscanf(s, " %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", day, month, year, &clock[0], &clock[1],
                   &clock[2], &used) == 6 &&
            used)
            return *year > 1900;
        if (sscanf(s, " %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", day, month, year, &clock[0], &clock[1],
                   &clock[2], &used) != 6 ||
            !used)
            return false;
        *year += *year < 70 ? 2000 : 1900;
        return true;
    }
    return sscanf(s, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d", month, day, &clock[0], &clock[1],
                  &clock[2], year) == 6 &&
           *year > 1900;
}

static bool date_parse(const char *s, struct wall *out)
{
    int year = 0, day = 0, clock[3] = {0}, m;
    char month[4] = "", text[96];

    if (!date_fields(s, &year, month, &day, clock) || !(m = month_of(month)))
        return false;
    if (day < 0 || clock[0] < 0 || clock[1] < 0 || clock[2] < 0)
        return false;
    (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", year, m, day, clock[0], clock[1],
                   clock[2]);
    return wall_parse(text, out) == 0;
}

struct span retry_after_parse(const char *text, struct wall now)
{
    int64_t s = 0;
    struct wall date;
    size_t digits;

    text += strspn(text, " \t");
    digits = strspn(text, "0123456789");
    if (digits && !text[digits + strspn(text + digits, " \t")]) {
        for (size_t i = 0; i < digits && s <= WAIT_MOST_S; i++)
            s = s * 10 + (text[i] - '0');
    } else if (!digits && date_parse(text, &date)) {
        s = date.ms > now.ms ? (date.ms - now.ms + 999) / 1000 : 0;
    }
    return span_s(s > WAIT_MOST_S ? WAIT_MOST_S : s);
}

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
