/* DNS messages to one server from a worker: built and signed by libldns, sent and awaited here with a deadline. For the
 * driver dns-update, and for drivers that look whether name servers agree. */
#ifndef SB_ACTIONS_DNS_IO_H
#define SB_ACTIONS_DNS_IO_H

#include <stdbool.h>
#include <sys/socket.h>

#include "common/net/openssl.h" /* which ldns.h includes, and err.h clashes with */

#include <ldns/ldns.h>

#include "common/base/clock.h"
#include "common/base/err.h"

struct dns_server {
    struct sockaddr_storage address;
    socklen_t n;
    char text[80];
};
/* "192.0.2.53", "192.0.2.53:5353", "[2001:db8::53]:53", "2001:db8::53": addresses only, since a name would have to be looked
 * up by what may be broken. ERR_MALFORMED. */
int dns_server_parse(const char *text, struct dns_server *out, struct err *e);

struct dns_key {                           /* borrowed texts; name NULL: messages are not signed (RFC 8945) */
    const char *name, *algorithm, *secret; /* secret in base64 */
};

enum dns_end {
    DNS_ANSWERED,
    DNS_NOT_SENT, /* nothing has reached the server */
    DNS_LOST      /* it may have had the message; the answer did not come, or cannot be believed */
};
struct dns_answer {
    enum dns_end end;
    ldns_pkt *packet; /* owned; NULL unless answered */
    bool proven;      /* signed with our key, and in time */
    int rcode, tsig;  /* RFC 1035, 2136; TSIG's own error, 0 none */
    char why[160];    /* for people, unless answered */
};
/* Sends the message (its id is set here) and waits until `until`. An answer to a signed message that is not signed is
 * DNS_ANSWERED and not proven. Free with dns_answer_free. */
void dns_ask(const struct dns_server *s, ldns_pkt *message, const struct dns_key *key, bool udp,
             struct mono until, struct dns_answer *out);
void dns_answer_free(struct dns_answer *a);

/* A question for name and type; NULL when there is no memory. `recurse` for resolvers. */
ldns_pkt *dns_question(const ldns_rdf *name, ldns_rr_type type, bool recurse);
const char *dns_rcode_name(int rcode);     /* "NXRRSET"; "rcode 23" has no name: "UNKNOWN" */
const char *dns_tsig_name(int tsig_error); /* "BADSIG" */

#endif
