/* See mail.h.
 *
 * A mail is threaded by In-Reply-To and References, which name an identity made from the dedup key alone: every message of
 * one alert group, from every aggregator, answers the same one, which need not exist (RFC 5322 §3.6.4). Message-ID differs for
 * each attempt: servers drop a second message of the same identity, and a reminder is one that is meant to be seen. */
#include "aggregator/notify/mail.h"

#include <stdio.h>
#include <string.h>

#include "aggregator/notify/told.h"
#include "common/config/text.h"
#include "common/net/openssl.h"

enum { TITLE_MOST = 300, TEXT_MOST = 256 * 1024, WORD_BYTES = 45, LINE_MOST = 76 };

bool mail_address_ok(const char *s)
{
    const char *at = strrchr(s, '@');

    if (!at || at == s || !at[1] || strlen(s) > 254 || strchr(s, '@') != at)
        return false;
    for (; *s; s++)
        if (*s <= ' ' || *s > '~' || strchr("<>()[]\\,;:\"", *s))
            return false;
    return true;
}

void mail_date(struct wall t, char out[40])
{
    static const char days[] = "ThuFriSatSunMonTueWed", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char text[WALL_TEXT]; /* 2026-11-24T05:59:00.000Z */
    int64_t day = t.ms / 86400000 - (t.ms % 86400000 < 0);
    int month;

    (void)wall_text(t, text);
    month = (text[5] - '0') * 10 + (text[6] - '0');
    (void)snprintf(out, 40, "%.3s, %.2s %.3s %.4s %.8s +0000", days + 3 * (((day % 7) + 7) % 7), text + 8,
                   months + 3 * (month - 1), text, text + 11);
}

void mail_subject(struct buf *out, const char *title)
{
    size_t n = strlen(title), plain = 0;

    while (plain < n && title[plain] >= ' ' && title[plain] <= '~')
        plain++;
    if (plain == n && !strstr(title, "=?")) {
        buf_str(out, title);
        return;
    }
    for (size_t at = 0, take; at < n; at += take) {
        char word[WORD_BYTES * 2];

        take = utf8_cut(title + at, n - at, WORD_BYTES);
        take = take ? take : 1;
        (void)EVP_EncodeBlock((unsigned char *)word, (const unsigned char *)title + at, (int)take);
        buf_fmt(out, "%s=?UTF-8?B?%s?=", at ? "\r\n " : "", word);
    }
}

/* Bytes that a line may hold as they are. A blank at its end and a dot at its beginning are not among them: the one gets lost
 * on the way, the other means something to SMTP. */
static bool is_literal(unsigned char c, bool first, bool last)
{
    if (c == '\t' || c == ' ')
        return !last;
    if (c == '.')
        return !first;
    return c > ' ' && c <= '~' && c != '=';
}

void mail_quoted_printable(struct buf *out, const char *text)
{
    size_t column = 0;

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool last = !text[1] || text[1] == '\n' || (text[1] == '\r' && text[2] == '\n'), literal;

        if (c == '\r' && text[1] == '\n')
            continue;
        if (c == '\n') {
            buf_str(out, "\r\n");
            column = 0;
            continue;
        }
        if (column + 3 > LINE_MOST - 1) { /* room for this and for the mark at the end */
            buf_str(out, "=\r\n");
            column = 0;
        }
        literal = is_literal(c, !column, last);
        if (literal)
            buf_u8(out, c);
        else
            buf_fmt(out, "=%02X", c);
        column += literal ? 1 : 3;
    }
    if (column)
        buf_str(out, "\r\n");
}

/* Text of a header that we make ourselves: nothing but printable ASCII gets in. */
static void header(struct buf *out, const char *name, const char *value)
{
    buf_fmt(out, "%s: ", name);
    for (size_t i = 0; value[i] && i < 900; i++)
        buf_u8(out, value[i] >= ' ' && value[i] <= '~' ? (uint8_t)value[i] : '?');
    buf_str(out, "\r\n");
}

static void identities(struct buf *out, const struct mail *m, const struct notification *n, struct wall now)
{
    const char *domain = strrchr(m->from, '@') + 1;
    char key[65], once[65], when[32], attempt[16];

    (void)snprintf(when, sizeof when, "%lld", (long long)now.ms);
    (void)snprintf(attempt, sizeof attempt, "%u", n->attempt);
    told_hash(key, (const char *const[]){n->dedup_key, NULL});
    told_hash(once, (const char *const[]){n->dedup_key, tell_name(n->tell), when, attempt, n->source,
                                          m->to[0], NULL});
    buf_fmt(out, "Message-ID: <%.32s.%.16s@%s>\r\n", once, key, domain);
    if (*n->dedup_key) {
        buf_fmt(out, "In-Reply-To: <%.32s@%s>\r\n", key, domain);
        buf_fmt(out, "References: <%.32s@%s>\r\n", key, domain);
    }
}

void mail_make(const struct mail *m, const struct notification *n, struct wall now, struct arena *a,
               struct buf *out)
{
    char date[40];

    mail_date(now, date);
    buf_fmt(out, "From: <%s>\r\nTo: ", m->from);
    for (size_t i = 0; i < m->n_to; i++)
        buf_fmt(out, "%s<%s>", i ? ",\r\n " : "", m->to[i]);
    buf_str(out, "\r\nSubject: ");
    mail_subject(out, told_line(a, *n->title ? n->title : told_status(n), TITLE_MOST));
    buf_fmt(out, "\r\nDate: %s\r\n", date);
    identities(out, m, n, now);
    header(out, "Auto-Submitted", "auto-generated"); /* RFC 3834: nobody's holiday answers this */
    if (n->tell == TELL_TRIGGER && n->severity == SEVERITY_CRITICAL)
        header(out, "Importance", "high");
    header(out, "X-Securebase-Status", told_status(n));
    header(out, "X-Securebase-Severity", severity_name(n->severity));
    header(out, "X-Securebase-Dedup-Key", n->dedup_key);
    header(out, "MIME-Version", "1.0");
    header(out, "Content-Type", "text/plain; charset=utf-8");
    header(out, "Content-Transfer-Encoding", "quoted-printable");
    buf_str(out, "\r\n");
    mail_quoted_printable(out, told_text(a, n, TEXT_MOST));
    mail_quoted_printable(out, "\n-- \n");
    mail_quoted_printable(out, told_line(a, n->source, 256));
}
