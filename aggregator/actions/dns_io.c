/* See dns_io.h. RFC 1035 §4.2, RFC 7766 (TCP), RFC 8945 (TSIG). */
#include "aggregator/actions/dns_io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/net/host.h"
#include "common/net/loop.h"

enum { PORT = 53, MESSAGE_MOST = 65535, FUDGE_S = 300 };

/* ---- names ---- */

const char *dns_rcode_name(int rcode)
{
    static const char *const names[] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
                                        "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};

    return rcode >= 0 && rcode < (int)(sizeof names / sizeof *names) ? names[rcode] : "an unknown rcode";
}

const char *dns_tsig_name(int tsig)
{
    static const char *const names[] = {"BADSIG", "BADKEY", "BADTIME"};

    return tsig >= 16 && tsig < 19 ? names[tsig - 16] : tsig ? "an unknown error" : "";
}

int dns_server_parse(const char *text, struct dns_server *out, struct err *e)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char name[64];
    unsigned port = 0;

    *out = (struct dns_server){0};
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) != 1) {
        if (!host_split(text, name, sizeof name, &port))
            return err_set(e, ERR_MALFORMED, "found \"%.80s\", expected ADDRESS or ADDRESS:PORT", text);
        if (inet_pton(AF_INET, name, &v4.sin_addr) == 1) {
            v4.sin_port = htons((uint16_t)(port ? port : PORT));
            memcpy(&out->address, &v4, sizeof v4);
            out->n = sizeof v4;
        } else if (inet_pton(AF_INET6, name, &v6.sin6_addr) != 1) {
            return err_set(e, ERR_MALFORMED, "found \"%.80s\", expected an address, not a name", text);
        }
    }
    if (!out->n) {
        v6.sin6_port = htons((uint16_t)(port ? port : PORT));
        memcpy(&out->address, &v6, sizeof v6);
        out->n = sizeof v6;
    }
    (void)snprintf(out->text, sizeof out->text, "%s", text);
    return 0;
}

/* ---- bytes ---- */

struct talk {
    int fd;
    struct mono until;
    bool sent;
    struct dns_answer *out;
};

__attribute__((format(printf, 2, 3))) static bool fail(struct talk *t, const char *fmt, ...)
{
    va_list ap;

    t->out->end = t->sent ? DNS_LOST : DNS_NOT_SENT;
    va_start(ap, fmt);
    (void)vsnprintf(t->out->why, sizeof t->out->why, fmt, ap);
    va_end(ap);
    return false;
}

static bool wait_for(struct talk *t, short what)
{
    for (;;) {
        struct pollfd p = {.fd = t->fd, .events = what};
        int64_t left = span_to_ms(mono_sub(t->until, clock_mono())) + 1;
        int n = left > 0 ? poll(&p, 1, left > 60000 ? 60000 : (int)left) : 0;

        if (n > 0)
            return true;
        if (n == 0 && mono_before(clock_mono(), t->until))
            continue;
        if (n == 0)
            return fail(t, "no answer in time");
        if (errno != EINTR)
            return fail(t, "%s", strerror(errno));
    }
}

static bool open_socket(struct talk *t, const struct dns_server *s, bool udp)
{
    int error = 0;
    socklen_t n = sizeof error;

    t->fd = socket(s->address.ss_family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (t->fd < 0)
        return fail(t, "%s", strerror(errno));
    if (connect(t->fd, (const struct sockaddr *)&s->address, s->n) == 0)
        return true;
    if (errno != EINPROGRESS)
        return fail(t, "%s", strerror(errno));
    if (!wait_for(t, POLLOUT))
        return false;
    if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error)
        return fail(t, "%s", strerror(error ? error : errno));
    return true;
}

static bool put(struct talk *t, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t k;

        if (!wait_for(t, POLLOUT))
            return false;
        k = send(t->fd, p, n, MSG_NOSIGNAL);
        if (k < 0 && errno != EAGAIN && errno != EINTR)
            return fail(t, "%s", strerror(errno));
        if (k > 0) {
            t->sent = true;
            p += k;
            n -= (size_t)k;
        }
    }
    return true;
}

static bool get(struct talk *t, uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t k;

        if (!wait_for(t, POLLIN))
            return false;
        k = recv(t->fd, p, n, 0);
        if (k == 0)
            return fail(t, "the server has closed the connection before its answer");
        if (k < 0 && errno != EAGAIN && errno != EINTR)
            return fail(t, "%s", strerror(errno));
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        }
    }
    return true;
}

static bool get_datagram(struct talk *t, uint8_t *p, size_t *n)
{
    ssize_t k = -1;

    while (k < 0) {
        if (!wait_for(t, POLLIN))
            return false;
        k = recv(t->fd, p, MESSAGE_MOST, 0);
        if (k < 0 && errno != EAGAIN && errno != EINTR)
            return fail(t, "%s", strerror(errno));
    }
    *n = (size_t)k;
    return true;
}

/* ---- messages ---- */

static unsigned field(const ldns_rr *tsig, size_t i)
{
    const ldns_rdf *f = ldns_rr_rdf(tsig, i);

    return f && ldns_rdf_size(f) == 2 ? ldns_rdf2native_int16(f) : 0;
}

static bool in_time(const ldns_rr *tsig)
{
    const ldns_rdf *f = ldns_rr_rdf(tsig, 1);
    int64_t signed_at = 0, now = clock_wall().ms / 1000;

    if (!f || ldns_rdf_size(f) != 6)
        return false;
    for (int i = 0; i < 6; i++)
        signed_at = signed_at << 8 | ldns_rdf_data(f)[i];
    return signed_at >= now - FUDGE_S && signed_at <= now + FUDGE_S;
}

/* The question as it was asked, so that an answer to another one is none. */
static bool same_question(const ldns_pkt *q, const ldns_pkt *a)
{
    ldns_rr *x = ldns_rr_list_rr(ldns_pkt_question(q), 0), *y = ldns_rr_list_rr(ldns_pkt_question(a), 0);

    return y && ldns_rr_get_type(x) == ldns_rr_get_type(y) && ldns_rr_get_class(x) == ldns_rr_get_class(y) &&
           ldns_dname_compare(ldns_rr_owner(x), ldns_rr_owner(y)) == 0;
}

/* Takes the bytes of an answer; false: it is none to this message. */
static bool take(struct talk *t, const ldns_pkt *q, const struct dns_key *key, const uint8_t *wire, size_t n)
{
    struct dns_answer *out = t->out;
    const ldns_rr *tsig;

    if (ldns_wire2pkt(&out->packet, wire, n) != LDNS_STATUS_OK) {
        out->packet = NULL;
        return fail(t, "an answer that is not DNS");
    }
    out->rcode = (int)ldns_pkt_get_rcode(out->packet);
    if (!ldns_pkt_qr(out->packet) || ldns_pkt_id(out->packet) != ldns_pkt_id(q) ||
        ldns_pkt_get_opcode(out->packet) != ldns_pkt_get_opcode(q) ||
        (ldns_pkt_qdcount(out->packet) && !same_question(q, out->packet))) {
        dns_answer_free(out);
        return fail(t, "an answer to something else");
    }
    tsig = ldns_pkt_tsig(out->packet);
    out->tsig = tsig ? (int)field(tsig, 5) : 0;
    out->proven = tsig && key && key->name &&
                  ldns_pkt_tsig_verify(out->packet, wire, n, key->name, key->secret,
                                       ldns_rr_rdf(ldns_pkt_tsig(q), 3)) &&
                  in_time(tsig);
    out->end = DNS_ANSWERED;
    return true;
}

static bool exchange(struct talk *t, const struct dns_server *s, const ldns_pkt *q, const struct dns_key *key,
                     bool udp, uint8_t *wire, size_t wire_n)
{
    uint8_t head[2] = {(uint8_t)(wire_n >> 8), (uint8_t)wire_n}, *room;
    size_t n = 0;
    bool good;

    if (!open_socket(t, s, udp) || (!udp && !put(t, head, 2)) || !put(t, wire, wire_n))
        return false;
    room = malloc(MESSAGE_MOST);
    if (!room)
        return fail(t, "no memory for an answer");
    if (udp) {
        do { /* a datagram that is no answer to this is somebody's try: wait on */
            good = get_datagram(t, room, &n);
        } while (good && !take(t, q, key, room, n));
    } else {
        good = get(t, head, 2);
        n = (size_t)(head[0] << 8 | head[1]);
        good = good && get(t, room, n) && take(t, q, key, room, n);
    }
    free(room);
    return good;
}

static bool once(const struct dns_server *s, const ldns_pkt *q, const struct dns_key *key, bool udp,
                 struct mono until, uint8_t *wire, size_t n, struct dns_answer *out)
{
    struct talk t = {.fd = -1, .until = until, .out = out};
    bool good = exchange(&t, s, q, key, udp, wire, n);

    if (t.fd >= 0)
        (void)close(t.fd);
    return good;
}

void dns_ask(const struct dns_server *s, ldns_pkt *message, const struct dns_key *key, bool udp,
             struct mono until, struct dns_answer *out)
{
    struct talk t = {.fd = -1, .out = out};
    uint8_t *wire = NULL;
    size_t n = 0;

    *out = (struct dns_answer){.end = DNS_NOT_SENT};
    ldns_pkt_set_random_id(message);
    if (key && key->name &&
        ldns_pkt_tsig_sign(message, key->name, key->secret, FUDGE_S, key->algorithm, NULL) !=
            LDNS_STATUS_OK) {
        (void)fail(&t, "the message cannot be signed with this key");
        return;
    }
    if (ldns_pkt2wire(&wire, message, &n) != LDNS_STATUS_OK || n > MESSAGE_MOST) {
        free(wire);
        (void)fail(&t, "the message does not fit");
        return;
    }
    if (once(s, message, key, udp, until, wire, n, out) && udp && ldns_pkt_tc(out->packet)) {
        dns_answer_free(out);
        (void)once(s, message, key, false, until, wire, n, out);
    }
    free(wire);
}

void dns_answer_free(struct dns_answer *a)
{
    if (a->packet)
        ldns_pkt_free(a->packet);
    a->packet = NULL;
}

ldns_pkt *dns_question(const ldns_rdf *name, ldns_rr_type type, bool recurse)
{
    ldns_rdf *copy = ldns_rdf_clone(name);
    ldns_pkt *p = copy ? ldns_pkt_query_new(copy, type, LDNS_RR_CLASS_IN, recurse ? LDNS_RD : 0) : NULL;

    if (!p)
        ldns_rdf_deep_free(copy);
    return p;
}
