/* A record of a zone, changed by RFC 2136 messages that are signed with TSIG (RFC 8945).
 *
 * A move is one message: conditions on what was read before (the record and the TXT record that carries the token of the last
 * move, or their absence), then the deletion of exactly that and the new record with our own mark. The server takes it as a
 * whole or not at all, so that of two writers one finds the other's mark: NXRRSET or YXRRSET, and we read again. A higher
 * token or epoch found there is a conflict, and nothing is written. Servers are given by address: names would have to be
 * looked up by what may be broken. The first of them takes updates. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/actions/dns_rows.h"
#include "aggregator/actions/dns_target_io.h"
#include "common/config/copies.h"
#include "common/net/loop.h"

enum { TRIES = 4 };

struct action_target {
    struct dns_server servers[DNS_SERVERS];
    size_t n_servers, n_own; /* the first n_own have authority, the others are resolvers */
    struct dns_target record;
    char *key_name, *key_algorithm, *key_secret;
    struct dns_key key;
    bool udp;
};

static const struct option_row rows[] = {
    ACTION_ROWS_RECORD,
    ACTION_ROW_TOKEN_NAME,
    {.key = "name_servers",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = DNS_SERVERS / 2,
     .sentence =
         "Name servers of the zone, ADDRESS or ADDRESS:PORT; the first takes updates, and all are asked "
         "whether they have them."},
    {.key = "resolvers",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = DNS_SERVERS / 2,
     .sentence = "Resolvers of users that have to see the change too before it counts as done."},
    {.key = "tsig_name",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "Name of the key that signs updates."},
    {.key = "tsig_algorithm",
     .type = OPT_CHOICE,
     .choices = "hmac-sha256 hmac-sha512",
     .dflt = "hmac-sha256",
     .reloadable = true,
     .sentence = "Its algorithm."},
    {.key = "tsig_secret", .type = OPT_SECRET, .reloadable = true, .sentence = "The key itself, in base64."},
    {.key = "transport",
     .type = OPT_CHOICE,
     .choices = "tcp udp",
     .dflt = "tcp",
     .reloadable = true,
     .sentence = "How name servers are spoken to; over TCP it is known whether a message has reached them."},
};

/* ---- options ---- */

static int servers_open(struct action_target *t, const struct section *s, const char **key, struct err *e)
{
    int rc;

    *key = "name_servers";
    rc = dns_servers_open(s, *key, t->servers, DNS_SERVERS, &t->n_servers, e);
    if (rc)
        return rc;
    t->n_own = t->n_servers;
    *key = "resolvers";
    return dns_servers_open(s, *key, t->servers, DNS_SERVERS, &t->n_servers, e);
}

static void dns_update_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    dns_target_close(&t->record);
    free(t->key_name);
    free(t->key_algorithm);
    free_secret(&t->key_secret);
    free(t);
    *tp = NULL;
}

/* All but the key, which is in a file. */
static struct action_target *plain_open(const struct section *s, const char **key, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);

    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        return NULL;
    }
    t->udp = strcmp(option_text(s, "transport"), "udp") == 0;
    if (dns_target_open(s, &t->record, key, e) == 0 && servers_open(t, s, key, e) == 0)
        return t;
    dns_update_close(&t);
    return NULL;
}

static int dns_update_check(const struct section *s, const char **key, struct err *e)
{
    struct action_target *t = plain_open(s, key, e);

    if (!t)
        return e->code;
    dns_update_close(&t);
    *key = "tsig_secret";
    return option_set(s, "tsig_secret") ? 0 : err_set(e, ERR_CONFIG, "an action of this type needs it");
}

static struct action_target *dns_update_open(const struct section *s, struct log *log, struct err *e)
{
    const char *key = "";
    struct action_target *t = plain_open(s, &key, e);
    ldns_rdf *secret;

    (void)log;
    if (!t) {
        (void)err_prefix(e, "%s", key);
        return NULL;
    }
    t->key_name = option_copy(s, "tsig_name");
    t->key_algorithm = strdup(option_text(s, "tsig_algorithm"));
    if (secret_copy(s, "tsig_secret", &t->key_secret, e) != 0 || !t->key_name || !t->key_algorithm) {
        if (!e->code)
            err_set(e, ERR_NOMEM, "no memory for an action");
        dns_update_close(&t);
        return NULL;
    }
    secret = ldns_rdf_new_frm_str(LDNS_RDF_TYPE_B64, t->key_secret);
    if (!secret) {
        err_set(e, ERR_CONFIG, "tsig_secret: it is not base64 (it is not shown)");
        dns_update_close(&t);
        return NULL;
    }
    explicit_bzero(ldns_rdf_data(secret), ldns_rdf_size(secret));
    ldns_rdf_deep_free(secret);
    t->key = (struct dns_key){t->key_name, t->key_algorithm, t->key_secret};
    return t;
}

/* ---- runs ---- */

struct job {
    const struct action_target *t;
    const struct action_order *o;
    struct action_result *out;
    struct mono until;
    const ldns_rr_list *want;
};

static enum action_class read_from(const struct job *j, size_t i, struct mono until, struct dns_state *s,
                                   char why[DNS_WHY])
{
    const struct action_target *t = j->t;

    return dns_state_read(&t->servers[i], &t->record.place, i == 0 ? &t->key : NULL, t->udp, i >= t->n_own,
                          until, s, why);
}

/* Judges the answer to an update; true: read again and try again. */
static bool judge_update(struct job *j, const struct dns_answer *a)
{
    const char *server = j->t->servers[0].text, *name = dns_rcode_name(a->rcode);

    if (a->end != DNS_ANSWERED)
        action_say(j->out, a->end == DNS_LOST ? ACTION_UNKNOWN : ACTION_RETRY, "%s: %s", server, a->why);
    else if (a->tsig)
        action_say(j->out, ACTION_DENIED, "%s: %s %s: %s", server, name, dns_tsig_name(a->tsig),
                   a->tsig == 18 ? "the clocks differ by more than five minutes"
                                 : "the server does not take our key here");
    else if (!a->proven && (a->rcode == LDNS_RCODE_REFUSED || a->rcode == LDNS_RCODE_NOTAUTH))
        action_say(j->out, ACTION_DENIED, "%s: %s, without a signature", server, name);
    else if (!a->proven)
        action_say(j->out, ACTION_UNKNOWN, "%s: %s, and the answer is not signed with our key", server, name);
    else if (a->rcode == LDNS_RCODE_NOERROR)
        action_say(j->out, ACTION_OK, "%s has taken it", server);
    else if (a->rcode == LDNS_RCODE_NXRRSET || a->rcode == LDNS_RCODE_YXRRSET ||
             a->rcode == LDNS_RCODE_NXDOMAIN || a->rcode == LDNS_RCODE_YXDOMAIN)
        return true;
    else if (a->rcode == LDNS_RCODE_SERVFAIL)
        action_say(j->out, ACTION_RETRY, "%s: SERVFAIL: it could not store the change", server);
    else
        action_say(j->out, ACTION_DENIED, "%s: %s", server, name);
    return false;
}

static bool send_update(struct job *j, const struct dns_state *was, const ldns_rr_list *fresh)
{
    char mark[ACTION_MARK];
    struct dns_answer a;
    ldns_pkt *p;
    bool again;

    action_mark(j->o, mark);
    p = dns_update_packet(&j->t->record.place, was, fresh, mark);
    if (!p) {
        action_say(j->out, ACTION_RETRY, "no memory for the update");
        return false;
    }
    dns_ask(&j->t->servers[0], p, &j->t->key, j->t->udp, dns_share(j->until, 1), &a);
    again = judge_update(j, &a);
    dns_answer_free(&a);
    ldns_pkt_free(p);
    return again;
}

/* True: read again and try again. */
static bool change_once(struct job *j)
{
    const struct action_order *o = j->o;
    struct dns_state was;
    char why[DNS_WHY];
    enum action_class c = read_from(j, 0, dns_share(j->until, 2), &was, why);
    bool again = false;

    if (c != ACTION_OK) {
        action_say(j->out, c, "%s", why);
    } else {
        dns_see(&was, &j->t->record.place, j->out);
        if (dns_refused(&was, j->o, j->out))
            ;
        else if (dns_has(&was, j->want, o) && fencing_cmp(was.token, o->token) == 0)
            action_say(j->out, ACTION_ALREADY, "it is so already");
        else
            again = send_update(j, &was, j->want);
    }
    dns_state_free(&was);
    return again;
}

static void change(struct job *j)
{
    for (int i = 0; i < TRIES; i++)
        if (!change_once(j))
            return;
    action_say(j->out, ACTION_RETRY, "others change the record at the same time");
}

/* The first server that answers tells the truth, the one for updates before all: a change that it has lost would be there. */
static void probe(struct job *j)
{
    char why[DNS_WHY], first[DNS_WHY] = "";
    enum action_class c = ACTION_RETRY, first_class = ACTION_RETRY;

    for (size_t i = 0; i < j->t->n_own; i++) {
        struct dns_state s;
        bool there;

        c = read_from(j, i, dns_share(j->until, (int)(j->t->n_own - i) + 1), &s, why);
        there = c == ACTION_OK && dns_has(&s, j->want, j->o);
        if (c == ACTION_OK)
            dns_see(&s, &j->t->record.place, j->out);
        else if (i == 0)
            (void)snprintf(first, sizeof first, "%s", why);
        first_class = i == 0 ? c : first_class;
        if (c == ACTION_OK && (s.epoch > j->o->epoch || fencing_cmp(s.token, j->o->token) > 0))
            action_say(j->out, ACTION_CONFLICT, "%s: a later move stands there", j->t->servers[i].text);
        else if (there)
            action_say(j->out, ACTION_OK, "%s has it", j->t->servers[i].text);
        else if (c == ACTION_OK && i == 0)
            action_say(j->out, ACTION_NOT_APPLIED, "%s has it not", j->t->servers[0].text);
        else
            c = ACTION_RETRY; /* a secondary may be behind: it proves a change, never its absence */
        dns_state_free(&s);
        if (c == ACTION_OK)
            return;
    }
    action_say(j->out, first_class == ACTION_DENIED ? ACTION_DENIED : ACTION_RETRY, "%s", first);
}

/* ---- before a move ---- */

/* A secondary that is silent now may be back when it counts; one that refuses is a mistake of the configuration. */
static void others_ready(struct job *j)
{
    char why[DNS_WHY];

    action_say(j->out, ACTION_OK, "%s would take it", j->t->servers[0].text);
    for (size_t i = 1; i < j->t->n_servers && j->out->class == ACTION_OK; i++) {
        struct dns_state s;

        if (read_from(j, i, dns_share(j->until, (int)(j->t->n_servers - i) + 1), &s, why) == ACTION_DENIED)
            action_say(j->out, ACTION_DENIED, "%s", why);
        dns_state_free(&s);
    }
}

static void precheck(struct job *j)
{
    struct dns_state s;
    char why[DNS_WHY];
    enum action_class c = read_from(j, 0, dns_share(j->until, 2), &s, why);

    if (c != ACTION_OK) {
        action_say(j->out, c, "%s", why);
    } else {
        dns_see(&s, &j->t->record.place, j->out);
        if (!dns_refused(&s, j->o, j->out) && dns_ready(&j->t->record, &s, j->out)) {
            if (send_update(j, &s, NULL))
                action_say(j->out, ACTION_RETRY, "the record was changed just now");
            else if (j->out->class == ACTION_OK)
                others_ready(j);
            else if (j->out->class == ACTION_UNKNOWN)
                j->out->class = ACTION_RETRY;
        }
    }
    dns_state_free(&s);
}

static void dns_update_run(const struct action_target *t, const struct action_order *o,
                           struct action_result *out)
{
    const char *region = o->op == ACTION_UNDO ? o->from : o->to;
    struct job j = {.t = t, .o = o, .out = out, .until = mono_add(clock_mono(), o->deadline)};

    j.want = dns_target_want(&t->record, region, out);
    if (!j.want)
        return;
    switch (o->op) {
    case ACTION_PRECHECK: precheck(&j); return;
    case ACTION_PROBE: probe(&j); return;
    case ACTION_VERIFY:
        dns_agree(&(struct dns_agreement){.servers = t->servers,
                                          .n = t->n_servers,
                                          .n_own = t->n_own,
                                          .key = &t->key,
                                          .udp = t->udp,
                                          .place = &t->record.place,
                                          .want = j.want,
                                          .order = o,
                                          .until = j.until},
                  out);
        return;
    default: change(&j);
    }
}

const struct action_driver action_dns_update = {
    .type = "dns-update",
    .sentence = "A record in a zone that takes dynamic updates (RFC 2136, TSIG): BIND, Knot, PowerDNS.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = ACTION_RECORD_REQUIRED " name_servers tsig_name",
    .steps = 1U << STEP_SWITCH | 1U << STEP_TIDY,
    .ops = (1U << ACTION_OPS) - 1,
    .check = dns_update_check,
    .open = dns_update_open,
    .close = dns_update_close,
    .run = dns_update_run,
};
