/* Acknowledging: somebody sees to it. Stops repeats and escalation of this very firing; the next one begins anew.
 *
 * A link to acknowledge by is signed with HMAC-SHA256 (RFC 2104) over alert, epoch and expiry, so that it can't be
 * made without the secret, nor moved to another alert, nor used for ever. Signatures compare in constant time. */
#include "aggregator/notify/notify_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/openssl.h"

enum { SIGNATURE = 32, SIGNED = 96 };

static bool sign(struct bytes secret, const char *text, char hex[2 * SIGNATURE + 1])
{
    uint8_t mac[SIGNATURE];
    unsigned n = 0;

    if (!secret.n || secret.n > 4096 ||
        !HMAC(EVP_sha256(), secret.p, (int)secret.n, (const uint8_t *)text, strlen(text), mac, &n) ||
        n != SIGNATURE)
        return false;
    for (int i = 0; i < SIGNATURE; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", mac[i]);
    return true;
}

int ack_link_make(struct bytes secret, const struct fingerprint *alert, uint64_t epoch, struct wall until,
                  struct buf *out)
{
    char id[33], text[SIGNED], hex[2 * SIGNATURE + 1];

    fingerprint_text(alert, id);
    (void)snprintf(text, sizeof text, "%s|%llu|%lld", id, (unsigned long long)epoch,
                   (long long)(until.ms / 1000));
    if (!sign(secret, text, hex))
        return ERR_STATE;
    buf_fmt(out, "/ack?id=%s&epoch=%llu&until=%lld&sig=%s", id, (unsigned long long)epoch,
            (long long)(until.ms / 1000), hex);
    return out->full ? ERR_LIMIT : 0;
}

/* The value of a parameter; false unless it is there exactly once and fits. */
static bool parameter(const char *query, const char *name, char *out, size_t room)
{
    size_t len = strlen(name);
    unsigned found = 0;

    for (const char *p = query; *p;) {
        size_t n = strcspn(p, "&");

        if (n > len && strncmp(p, name, len) == 0 && p[len] == '=') {
            if (n - len - 1 >= room || ++found > 1)
                return false;
            memcpy(out, p + len + 1, n - len - 1);
            out[n - len - 1] = 0;
        }
        p += n + (p[n] == '&');
    }
    return found == 1;
}

static bool digits(const char *s)
{
    size_t n = strspn(s, "0123456789");

    return n > 0 && n < 19 && !s[n];
}

int ack_link_verify(struct bytes secret, const char *query, struct wall now, struct fingerprint *alert,
                    uint64_t *epoch, struct err *e)
{
    char id[40], firing[24], until[24], sig[80], text[SIGNED], hex[2 * SIGNATURE + 1];
    const char *mark = strchr(query, '?');

    query = mark ? mark + 1 : query;
    if (!parameter(query, "id", id, sizeof id) || !parameter(query, "epoch", firing, sizeof firing) ||
        !parameter(query, "until", until, sizeof until) || !parameter(query, "sig", sig, sizeof sig) ||
        !digits(firing) || !digits(until) || fingerprint_parse(id, alert) != 0)
        return err_set(e, ERR_DENIED, "this is no link to acknowledge by");
    (void)snprintf(text, sizeof text, "%s|%s|%s", id, firing, until);
    if (!sign(secret, text, hex) || strlen(sig) != 2 * SIGNATURE ||
        CRYPTO_memcmp(sig, hex, 2 * SIGNATURE) != 0)
        return err_set(e, ERR_DENIED, "the signature of this link is wrong");
    if (now.ms >= strtoll(until, NULL, 10) * 1000)
        return err_set(e, ERR_TIMEOUT, "this link has expired");
    *epoch = strtoull(firing, NULL, 10);
    return 0;
}

/* ---- what an acknowledgement does ---- */

static void touch(struct notify *n, struct known *k, bool tell)
{
    for (uint32_t i = 0; i < k->n_groups; i++) {
        struct group *g = k->groups[i];

        g->escalate_due = n->now_mono;
        for (struct line *l = g->lines; l; l = l->next)
            l->ack_due = tell && l->told.ns && l->receiver->plan && l->receiver->plan->acknowledges;
        g->due = mono_min(g->due, n->now_mono);
    }
    n->next_due = n->now_mono;
    unsaved_alert(n, k);
}

void ack_set(struct notify *n, struct known *k, const char *who, const char *reason)
{
    k->ack = (struct ack){.epoch = k->epoch, .t = n->now};
    (void)snprintf(k->ack.who, sizeof k->ack.who, "%s", who);
    (void)snprintf(k->ack.reason, sizeof k->ack.reason, "%s", reason);
    n->acks++;
    story(n, k, "acknowledgement", "by %s: %s", who, reason);
    touch(n, k, true);
}

void ack_clear(struct notify *n, struct known *k)
{
    story(n, k, "acknowledgement", "taken back; it was %s's", k->ack.who);
    k->ack.epoch = 0;
    touch(n, k, false);
}
