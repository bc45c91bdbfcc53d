/* What an HTTP answer says of a message: the pure half of judge_http. */
#ifndef SB_NOTIFY_JUDGE_H
#define SB_NOTIFY_JUDGE_H

#include "aggregator/notify/channel.h"
#include "common/net/retry_after.h"

/* The outcome by status or by what went wrong, the wait and the text. */
void judge_answer(const struct http_result *r, struct wall now, struct told_result *out);
/* Sets outcome and text, cut where it does not fit. */
void told_say(struct told_result *out, enum outcome o, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The beginning of a body as one clean line behind what stands in out->text. */
void judge_quote(struct told_result *out, struct bytes body);
/* Whether the body, as text, has the word. */
bool judge_says(const struct http_result *r, const char *word);

#endif
