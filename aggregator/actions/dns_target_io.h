/* What drivers that change a record have in common, whatever they change it by: the place and its values from the options, what
 * forbids a change, what is asked before a move, and whether name servers agree afterwards. */
#ifndef SB_ACTIONS_DNS_TARGET_IO_H
#define SB_ACTIONS_DNS_TARGET_IO_H

#include "aggregator/actions/dns_rows.h"
#include "aggregator/actions/dns_state_io.h"

struct dns_choice { /* where the name points to while a region is active */
    char region[64];
    ldns_rr_list *records;
};
struct dns_target { /* owned */
    struct dns_place place;
    uint32_t ttl_most;
    struct dns_choice choices[DNS_VALUES];
    size_t n_choices;
};
/* By ACTION_ROWS_RECORD and ACTION_ROW_TOKEN_NAME. 0, or ERR_CONFIG with the key at fault, ERR_NOMEM; then there is nothing to
 * close. */
int dns_target_open(const struct section *s, struct dns_target *t, const char **key, struct err *e);
void dns_target_close(struct dns_target *t);
/* Never empty; NULL when there is none, said in *out: an empty record is never written. */
const ldns_rr_list *dns_target_want(const struct dns_target *t, const char *region,
                                    struct action_result *out);

/* The order's values stand there, put there in its epoch; `want` NULL: the mark alone is looked at. */
bool dns_has(const struct dns_state *s, const ldns_rr_list *want, const struct action_order *o);
/* Whether something forbids any change, said in *out: a later move, an alias in the way, somebody else's marks. */
bool dns_refused(const struct dns_state *s, const struct action_order *o, struct action_result *out);
/* Before a move: the record is there, with a time to live that fits and the values of a region; what is not, in *out. */
bool dns_ready(const struct dns_target *t, const struct dns_state *s, struct action_result *out);
void dns_see(const struct dns_state *s, const struct dns_place *p,
             struct action_result *out); /* `seen`, `found` */

/* So much of the time until then for one of `parts` exchanges, at most three seconds unless it is the only one. */
struct mono dns_share(struct mono until, int parts);

struct dns_agreement {
    const struct dns_server *servers;
    size_t n, n_own;           /* the first n_own have authority, the others are resolvers */
    const struct dns_key *key; /* for the first; NULL none */
    bool udp;
    const struct dns_place *place;
    const ldns_rr_list *want; /* NULL: the mark alone */
    bool unmarked;            /* the values alone are looked at: nobody writes a mark */
    const struct action_order *order;
    struct mono until;
};
/* Asks each: ok, progress, not_applied, retry (none answers) or conflict into *out. All that answer have to agree; those that
 * do not answer us do not answer others with an old address either, and are named. */
void dns_agree(const struct dns_agreement *a, struct action_result *out);
/* The words of an option as servers, from t[*n] on. 0 or ERR_CONFIG. */
int dns_servers_open(const struct section *s, const char *key, struct dns_server *t, size_t most, size_t *n,
                     struct err *e);

#endif
