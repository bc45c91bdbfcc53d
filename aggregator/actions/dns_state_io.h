/* What a zone holds at a name and at its token, as one server says it, and the update that changes what was read: compare and
 * swap (RFC 2136 §2.4.2, value-dependent prerequisites). */
#ifndef SB_ACTIONS_DNS_STATE_IO_H
#define SB_ACTIONS_DNS_STATE_IO_H

#include "aggregator/actions/action.h"
#include "aggregator/actions/dns_io.h"

enum { DNS_WHY = 256 };

struct dns_place { /* owned; what an action changes */
    ldns_rdf *zone, *name, *token;
    ldns_rr_type type;
    uint32_t ttl;
};

struct dns_state {
    ldns_rr_list *records; /* of our type at the name; owned */
    ldns_rr_list *marks;   /* TXT records at the token's name that carry a token */
    bool other_marks; /* there are others, which a condition on the whole set would have to name: refused */
    bool cname;       /* the name is an alias, and our type is another */
    uint32_t ttl;     /* longest of the records */
    uint32_t epoch;   /* the highest of the marks; 0 none */
    struct fencing token;
};

/* Reads both from one server. ACTION_OK, ACTION_RETRY (no answer) or ACTION_DENIED (it does not serve the zone, or us), the
 * last two with `why`. `recurse` for resolvers, whose answers need no authority. Free with dns_state_free in any case. */
enum action_class dns_state_read(const struct dns_server *s, const struct dns_place *p,
                                 const struct dns_key *key, bool udp, bool recurse, struct mono until,
                                 struct dns_state *out, char why[DNS_WHY]);
void dns_state_free(struct dns_state *s);
/* "A 192.0.2.1 ttl 30 epoch=7 token=1.5", "nothing" */
void dns_state_text(const struct dns_state *s, const struct dns_place *p, char *out, size_t cap);
bool dns_same(const ldns_rr_list *a,
              const ldns_rr_list *b); /* as sets of values; times to live do not count */
ldns_rr *dns_record(const ldns_rdf *owner, ldns_rr_type type, uint32_t ttl,
                    const char *value); /* NULL: no such value */

/* The update that makes `fresh` and the mark of what was read, under the condition that it is still so; NULL: no memory.
 * `fresh` NULL: the dry one, which deletes records that are not there, so that rights are checked and nothing changes. */
ldns_pkt *dns_update_packet(const struct dns_place *p, const struct dns_state *was, const ldns_rr_list *fresh,
                            const char *mark);

#endif
