/* A notification as an Internet message (RFC 5322, MIME), made in memory. Pure. */
#ifndef SB_NOTIFY_MAIL_H
#define SB_NOTIFY_MAIL_H

#include "aggregator/notify/channel.h"

struct mail {
    const char *from;
    const char *const *to;
    size_t n_to;
};

/* Lines end in CRLF, none is longer than 998 bytes, none begins with a dot, all bytes are printable ASCII. out->full when it
 * does not fit. */
void mail_make(const struct mail *m, const struct notification *n, struct wall now, struct arena *a,
               struct buf *out);
/* local@domain of printable ASCII without blanks, quotes, commas and angle brackets. */
bool mail_address_ok(const char *s);

/* Parts, for tests. */
void mail_subject(struct buf *out, const char *title);         /* RFC 2047 where it has to be */
void mail_quoted_printable(struct buf *out, const char *text); /* RFC 2045 §6.7, text lines */
void mail_date(struct wall t, char out[40]);                   /* RFC 5322 §3.3 */

#endif
