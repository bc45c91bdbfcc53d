/* See dns_state_io.h. */
#include "aggregator/actions/dns_state_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/loop.h"

enum { MARK_TTL_S = 30 };

/* ---- reading ---- */

/* The texts of a TXT record as one, terminated. */
static void txt_text(const ldns_rr *rr, char *out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        const ldns_rdf *f = ldns_rr_rdf(rr, i);
        size_t k = ldns_rdf_size(f) ? ldns_rdf_data(f)[0] : 0;

        if (k + 1 > ldns_rdf_size(f) || n + k >= cap)
            break;
        memcpy(out + n, ldns_rdf_data(f) + 1, k);
        n += k;
    }
    out[n] = 0;
}

static bool keep(ldns_rr_list *list, const ldns_rr *rr)
{
    ldns_rr *copy = ldns_rr_clone(rr);

    if (copy && ldns_rr_list_push_rr(list, copy))
        return true;
    ldns_rr_free(copy);
    return false;
}

static bool take_record(struct dns_state *s, const ldns_rr *rr, ldns_rr_type type)
{
    if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_CNAME && type != LDNS_RR_TYPE_CNAME)
        s->cname = true;
    if (ldns_rr_get_type(rr) != type)
        return true;
    if (ldns_rr_ttl(rr) > s->ttl)
        s->ttl = ldns_rr_ttl(rr);
    return keep(s->records, rr);
}

static bool take_mark(struct dns_state *s, const ldns_rr *rr)
{
    char text[1024];
    struct fencing token;
    uint32_t epoch;

    if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_TXT)
        return true;
    txt_text(rr, text, sizeof text);
    if (!action_mark_parse(text, &epoch, &token)) {
        s->other_marks = true;
        return true;
    }
    if (fencing_cmp(token, s->token) > 0)
        s->token = token;
    if (epoch > s->epoch)
        s->epoch = epoch;
    return keep(s->marks, rr);
}

static bool take_all(struct dns_state *s, const ldns_pkt *p, const ldns_rdf *name, ldns_rr_type type,
                     bool mark)
{
    const ldns_rr_list *list = ldns_pkt_answer(p);

    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(list, i);

        if (ldns_dname_compare(ldns_rr_owner(rr), name) == 0 &&
            !(mark ? take_mark(s, rr) : take_record(s, rr, type)))
            return false;
    }
    return true;
}

/* One question and the judgement of its answer. */
static enum action_class ask(const struct dns_server *server, const struct dns_place *p,
                             const struct dns_key *key, bool udp, bool recurse, bool mark, struct mono until,
                             struct dns_state *out, char why[DNS_WHY])
{
    const ldns_rdf *name = mark ? p->token : p->name;
    ldns_rr_type type = mark ? LDNS_RR_TYPE_TXT : p->type;
    ldns_pkt *q = dns_question(name, type, recurse);
    enum action_class c = ACTION_DENIED;
    struct dns_answer a;

    if (!q) {
        (void)snprintf(why, DNS_WHY, "no memory");
        return ACTION_RETRY;
    }
    dns_ask(server, q, key, udp, until, &a);
    ldns_pkt_free(q);
    if (a.end != DNS_ANSWERED) {
        (void)snprintf(why, DNS_WHY, "%s: %s", server->text, a.why);
        c = ACTION_RETRY;
    } else if (a.tsig || (key && key->name && !a.proven && a.rcode != LDNS_RCODE_REFUSED)) {
        (void)snprintf(why, DNS_WHY, "%s: %s %s", server->text, dns_rcode_name(a.rcode),
                       a.tsig ? dns_tsig_name(a.tsig) : "without a valid signature");
    } else if (a.rcode == LDNS_RCODE_SERVFAIL) {
        (void)snprintf(why, DNS_WHY, "%s: SERVFAIL", server->text);
        c = ACTION_RETRY;
    } else if (a.rcode != LDNS_RCODE_NOERROR && a.rcode != LDNS_RCODE_NXDOMAIN) {
        (void)snprintf(why, DNS_WHY, "%s: %s", server->text, dns_rcode_name(a.rcode));
    } else if (!recurse && !ldns_pkt_aa(a.packet)) {
        (void)snprintf(why, DNS_WHY, "%s: it does not serve the zone", server->text);
    } else if (!take_all(out, a.packet, name, type, mark)) {
        (void)snprintf(why, DNS_WHY, "no memory");
        c = ACTION_RETRY;
    } else {
        c = ACTION_OK;
    }
    dns_answer_free(&a);
    return c;
}

enum action_class dns_state_read(const struct dns_server *s, const struct dns_place *p,
                                 const struct dns_key *key, bool udp, bool recurse, struct mono until,
                                 struct dns_state *out, char why[DNS_WHY])
{
    enum action_class c;

    *out = (struct dns_state){.records = ldns_rr_list_new(), .marks = ldns_rr_list_new()};
    if (!out->records || !out->marks) {
        (void)snprintf(why, DNS_WHY, "no memory");
        return ACTION_RETRY;
    }
    c = ask(s, p, key, udp, recurse, false, until, out, why);
    return c == ACTION_OK ? ask(s, p, key, udp, recurse, true, until, out, why) : c;
}

void dns_state_free(struct dns_state *s)
{
    ldns_rr_list_deep_free(s->records);
    ldns_rr_list_deep_free(s->marks);
    *s = (struct dns_state){0};
}

void dns_state_text(const struct dns_state *s, const struct dns_place *p, char *out, size_t cap)
{
    char *type = ldns_rr_type2str(p->type);
    size_t n, count = ldns_rr_list_rr_count(s->records);

    if (!count)
        (void)snprintf(out, cap, s->cname ? "an alias (CNAME)" : "nothing");
    else
        (void)snprintf(out, cap, "%s", type ? type : "");
    free(type);
    for (size_t i = 0; i < count; i++) {
        char *value = ldns_rdf2str(ldns_rr_rdf(ldns_rr_list_rr(s->records, i), 0));

        n = strlen(out);
        (void)snprintf(out + n, cap - n, " %s", value ? value : "?");
        free(value);
    }
    n = strlen(out);
    if (count)
        (void)snprintf(out + n, cap - n, " ttl %u", s->ttl);
    n = strlen(out);
    if (ldns_rr_list_rr_count(s->marks))
        (void)snprintf(out + n, cap - n, " epoch=%u token=%llu.%llu", s->epoch,
                       (unsigned long long)s->token.store, (unsigned long long)s->token.rev);
}

/* ---- records ---- */

static bool same_value(const ldns_rr *a, const ldns_rr *b)
{
    const ldns_rdf *x = ldns_rr_rdf(a, 0), *y = ldns_rr_rdf(b, 0);

    if (!x || !y)
        return x == y;
    return ldns_rr_get_type(a) == LDNS_RR_TYPE_CNAME ? ldns_dname_compare(x, y) == 0
                                                     : ldns_rdf_compare(x, y) == 0;
}

static bool has_value(const ldns_rr_list *list, const ldns_rr *rr)
{
    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++)
        if (same_value(ldns_rr_list_rr(list, i), rr))
            return true;
    return false;
}

static bool has_all(const ldns_rr_list *list, const ldns_rr_list *of)
{
    for (size_t i = 0; i < ldns_rr_list_rr_count(of); i++)
        if (!has_value(list, ldns_rr_list_rr(of, i)))
            return false;
    return true;
}

bool dns_same(const ldns_rr_list *a, const ldns_rr_list *b)
{
    return has_all(a, b) && has_all(b, a);
}

static ldns_rr *bare(const ldns_rdf *owner, ldns_rr_type type, ldns_rr_class class)
{
    ldns_rr *rr = ldns_rr_new();
    ldns_rdf *copy = ldns_rdf_clone(owner);

    if (!rr || !copy) {
        ldns_rr_free(rr);
        ldns_rdf_deep_free(copy);
        return NULL;
    }
    ldns_rr_set_owner(rr, copy);
    ldns_rr_set_type(rr, type);
    ldns_rr_set_class(rr, class);
    ldns_rr_set_ttl(rr, 0);
    return rr;
}

ldns_rr *dns_record(const ldns_rdf *owner, ldns_rr_type type, uint32_t ttl, const char *value)
{
    ldns_rdf_type form = type == LDNS_RR_TYPE_A      ? LDNS_RDF_TYPE_A
                         : type == LDNS_RR_TYPE_AAAA ? LDNS_RDF_TYPE_AAAA
                         : type == LDNS_RR_TYPE_TXT  ? LDNS_RDF_TYPE_STR
                                                     : LDNS_RDF_TYPE_DNAME;
    ldns_rdf *data = ldns_rdf_new_frm_str(form, value);
    ldns_rr *rr = data ? bare(owner, type, LDNS_RR_CLASS_IN) : NULL;

    if (rr && ldns_rr_push_rdf(rr, data)) {
        ldns_rr_set_ttl(rr, ttl);
        return rr;
    }
    ldns_rdf_deep_free(data);
    ldns_rr_free(rr);
    return NULL;
}

/* ---- the update ---- */

/* Takes the record. */
static bool push(ldns_pkt *p, ldns_pkt_section section, ldns_rr *rr)
{
    if (rr && ldns_pkt_push_rr(p, section, rr))
        return true;
    ldns_rr_free(rr);
    return false;
}

/* A copy of what was read, as a condition (class IN) or to be deleted (class NONE); both with a time to live of 0. */
static bool push_read(ldns_pkt *p, ldns_pkt_section section, const ldns_rr_list *list, ldns_rr_class class)
{
    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
        ldns_rr *rr = ldns_rr_clone(ldns_rr_list_rr(list, i));

        if (rr) {
            ldns_rr_set_ttl(rr, 0);
            ldns_rr_set_class(rr, class);
        }
        if (!push(p, section, rr))
            return false;
    }
    return true;
}

static bool push_conditions(ldns_pkt *p, const struct dns_place *at, const struct dns_state *was)
{
    const ldns_pkt_section s = LDNS_SECTION_ANSWER;
    bool records = ldns_rr_list_rr_count(was->records) > 0, marks = ldns_rr_list_rr_count(was->marks) > 0;

    if (records && !push_read(p, s, was->records, LDNS_RR_CLASS_IN))
        return false;
    if (!records && at->type == LDNS_RR_TYPE_CNAME) { /* an alias goes to a name that has nothing */
        if (!push(p, s, bare(at->name, LDNS_RR_TYPE_ANY, LDNS_RR_CLASS_NONE)))
            return false;
    } else if (!records && !push(p, s, bare(at->name, at->type, LDNS_RR_CLASS_NONE))) {
        return false;
    }
    if (at->type != LDNS_RR_TYPE_CNAME && !push(p, s, bare(at->name, LDNS_RR_TYPE_CNAME, LDNS_RR_CLASS_NONE)))
        return false;
    return marks ? push_read(p, s, was->marks, LDNS_RR_CLASS_IN)
                 : push(p, s, bare(at->token, LDNS_RR_TYPE_TXT, LDNS_RR_CLASS_NONE));
}

static bool push_changes(ldns_pkt *p, const struct dns_place *at, const struct dns_state *was,
                         const ldns_rr_list *fresh, const char *mark)
{
    const ldns_pkt_section s = LDNS_SECTION_AUTHORITY;

    if (!push_read(p, s, was->records, LDNS_RR_CLASS_NONE) ||
        !push_read(p, s, was->marks, LDNS_RR_CLASS_NONE))
        return false;
    for (size_t i = 0; i < ldns_rr_list_rr_count(fresh); i++)
        if (!push(p, s, ldns_rr_clone(ldns_rr_list_rr(fresh, i))))
            return false;
    return push(p, s, dns_record(at->token, LDNS_RR_TYPE_TXT, MARK_TTL_S, mark));
}

/* Deletes what cannot be there. */
static bool push_dry(ldns_pkt *p, const struct dns_place *at)
{
    const char *nothing = at->type == LDNS_RR_TYPE_A      ? "0.0.0.0"
                          : at->type == LDNS_RR_TYPE_AAAA ? "::"
                                                          : "nothing.invalid.";
    ldns_rr *record = dns_record(at->name, at->type, 0, nothing),
            *mark = dns_record(at->token, LDNS_RR_TYPE_TXT, 0, "securebase: a test of rights");

    if (record)
        ldns_rr_set_class(record, LDNS_RR_CLASS_NONE);
    if (mark)
        ldns_rr_set_class(mark, LDNS_RR_CLASS_NONE);
    if (!push(p, LDNS_SECTION_AUTHORITY, record)) {
        ldns_rr_free(mark);
        return false;
    }
    return push(p, LDNS_SECTION_AUTHORITY, mark);
}

ldns_pkt *dns_update_packet(const struct dns_place *at, const struct dns_state *was,
                            const ldns_rr_list *fresh, const char *mark)
{
    ldns_pkt *p = ldns_pkt_new();
    ldns_rr *zone = bare(at->zone, LDNS_RR_TYPE_SOA, LDNS_RR_CLASS_IN);

    if (zone)
        ldns_rr_set_question(zone, true);
    if (p)
        ldns_pkt_set_opcode(p, LDNS_PACKET_UPDATE);
    if (!p || !push(p, LDNS_SECTION_QUESTION, zone) || !push_conditions(p, at, was) ||
        !(fresh ? push_changes(p, at, was, fresh, mark) : push_dry(p, at))) {
        if (!p)
            ldns_rr_free(zone);
        ldns_pkt_free(p);
        return NULL;
    }
    return p;
}
