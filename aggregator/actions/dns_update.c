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
#include "aggregator/actions/dns_state_io.h"
#include "common/config/copies.h"
#include "common/net/loop.h"

enum { SERVERS_MOST = 16, TRIES = 4, ASK_MOST_S = 3 };

struct choice { /* where the name points to while a region is active */
    char region[64];
    ldns_rr_list *records;
};

struct action_target {
    struct dns_server servers[SERVERS_MOST];
    size_t n_servers, n_own; /* the first n_own have authority, the others are resolvers */
    struct dns_place place;
    uint32_t ttl_most;
    struct choice choices[DNS_VALUES];
    size_t n_choices;
    char *key_name, *key_algorithm, *key_secret;
    struct dns_key key;
    bool udp;
};

static const struct option_row rows[] = {
    ACTION_ROWS_RECORD,
    ACTION_ROW_TOKEN_NAME,
    {.key = "servers",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = SERVERS_MOST / 2,
     .sentence =
         "Name servers of the zone, ADDRESS or ADDRESS:PORT; the first takes updates, and all are asked "
         "whether they have them."},
    {.key = "resolvers",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = SERVERS_MOST / 2,
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

static ldns_rr_type type_of(const struct section *s)
{
    return ldns_get_rr_type_by_name(option_text(s, "record"));
}

/* An absolute name; NULL when it is none. */
static ldns_rdf *name_of(const char *text)
{
    ldns_rdf *d = *text ? ldns_dname_new_frm_str(text) : NULL;

    if (d)
        ldns_dname2canonical(d);
    return d;
}

static int place_open(const struct section *s, struct dns_place *p, const char **key, struct err *e)
{
    const char *name = option_text(s, "name"), *token = option_text(s, "token_name");
    char mark[300];

    (void)snprintf(mark, sizeof mark, "%s%s", *token ? "" : "_fo.", *token ? token : name);
    *p = (struct dns_place){.zone = name_of(option_text(s, "zone")),
                            .name = name_of(name),
                            .token = name_of(mark),
                            .type = type_of(s),
                            .ttl = (uint32_t)(option_span(s, "ttl").ns / 1000000000)};
    *key = "zone";
    if (!p->zone)
        return err_set(e, ERR_CONFIG, "found \"%.80s\", expected a name", option_text(s, "zone"));
    *key = "name";
    if (!p->name || (ldns_dname_compare(p->name, p->zone) != 0 && !ldns_dname_is_subdomain(p->name, p->zone)))
        return err_set(e, ERR_CONFIG, "found \"%.80s\", expected a name within the zone", name);
    if (p->type == LDNS_RR_TYPE_CNAME && ldns_dname_compare(p->name, p->zone) == 0)
        return err_set(e, ERR_CONFIG, "the name of a zone itself cannot be an alias");
    *key = "token_name";
    if (!p->token || !ldns_dname_is_subdomain(p->token, p->zone) ||
        ldns_dname_compare(p->token, p->name) == 0)
        return err_set(e, ERR_CONFIG, "found \"%.80s\", expected another name within the zone", mark);
    return 0;
}

static void place_close(struct dns_place *p)
{
    ldns_rdf_deep_free(p->zone);
    ldns_rdf_deep_free(p->name);
    ldns_rdf_deep_free(p->token);
}

static struct choice *choice_of(struct action_target *t, const char *region, size_t n)
{
    struct choice *c;

    for (size_t i = 0; i < t->n_choices; i++)
        if (strlen(t->choices[i].region) == n && memcmp(t->choices[i].region, region, n) == 0)
            return &t->choices[i];
    if (n >= sizeof t->choices[0].region || t->n_choices == DNS_VALUES)
        return NULL;
    c = &t->choices[t->n_choices];
    c->records = ldns_rr_list_new();
    if (!c->records)
        return NULL;
    t->n_choices++;
    memcpy(c->region, region, n);
    return c;
}

static int choices_open(struct action_target *t, const struct section *s, struct err *e)
{
    int rc = action_regions_check(s, "values", e);

    for (size_t i = 0; !rc && i < option_count(s, "values"); i++) {
        const char *word = option_word(s, "values", i), *mark = strchr(word, '=');
        struct choice *c = choice_of(t, word, (size_t)(mark - word));
        ldns_rr *rr = c ? dns_record(t->place.name, t->place.type, t->place.ttl, mark + 1) : NULL;

        if (!rr || (t->place.type == LDNS_RR_TYPE_CNAME && ldns_rr_list_rr_count(c->records)))
            rc =
                err_set(e, ERR_CONFIG, "found \"%.80s\", expected REGION= and %s", word,
                        t->place.type == LDNS_RR_TYPE_CNAME ? "one name" : "an address of the record's type");
        if (rc || !ldns_rr_list_push_rr(c->records, rr)) {
            ldns_rr_free(rr);
            rc = rc ? rc : err_set(e, ERR_NOMEM, "no memory for an action");
        }
    }
    return rc;
}

static int servers_open(struct action_target *t, const struct section *s, const char **key, struct err *e)
{
    static const char *const lists[] = {"servers", "resolvers"};

    for (size_t k = 0; k < 2; k++) {
        *key = lists[k];
        for (size_t i = 0; i < option_count(s, lists[k]) && t->n_servers < SERVERS_MOST; i++)
            if (dns_server_parse(option_word(s, lists[k], i), &t->servers[t->n_servers++], e) != 0)
                return ERR_CONFIG;
        if (k == 0)
            t->n_own = t->n_servers;
    }
    return 0;
}

static void dns_update_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    place_close(&t->place);
    for (size_t i = 0; i < t->n_choices; i++)
        ldns_rr_list_deep_free(t->choices[i].records);
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
    t->ttl_most = (uint32_t)(option_span(s, "ttl_most").ns / 1000000000);
    t->udp = strcmp(option_text(s, "transport"), "udp") == 0;
    if (place_open(s, &t->place, key, e) == 0) {
        *key = "values";
        if (choices_open(t, s, e) == 0 && servers_open(t, s, key, e) == 0)
            return t;
    }
    dns_update_close(&t);
    return NULL;
}

static int dns_update_check(const struct section *s, const char **key, struct err *e)
{
    struct action_target *t = plain_open(s, key, e);

    if (!t)
        return e->code;
    dns_update_close(&t);
    *key = "ttl";
    if (option_span(s, "ttl").ns > option_span(s, "ttl_most").ns)
        return err_set(e, ERR_CONFIG, "expected at most `ttl_most`");
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

/* So much of what is left for one of `parts` exchanges. */
static struct mono share(const struct job *j, int parts)
{
    struct mono now = clock_mono();
    int64_t left = mono_sub(j->until, now).ns / (parts > 0 ? parts : 1);

    return mono_add(now, span_ns(left < span_s(ASK_MOST_S).ns || parts < 2 ? left : span_s(ASK_MOST_S).ns));
}

static const ldns_rr_list *want_of(const struct action_target *t, const char *region)
{
    for (size_t i = 0; i < t->n_choices; i++)
        if (strcmp(t->choices[i].region, region) == 0)
            return t->choices[i].records;
    return NULL;
}

static void see(struct job *j, const struct dns_state *s)
{
    dns_state_text(s, &j->t->place, j->out->seen, sizeof j->out->seen);
    j->out->found = s->token;
}

static enum action_class read_from(const struct job *j, size_t i, struct mono until, struct dns_state *s,
                                   char why[DNS_WHY])
{
    const struct action_target *t = j->t;

    return dns_state_read(&t->servers[i], &t->place, i == 0 ? &t->key : NULL, t->udp, i >= t->n_own, until, s,
                          why);
}

/* What forbids any change, whoever asks; true when something does. */
static bool refused(struct job *j, const struct dns_state *s)
{
    const struct action_order *o = j->o;

    if (fencing_cmp(s->token, o->token) > 0 || s->epoch > o->epoch)
        action_say(j->out, ACTION_CONFLICT,
                   "a later move stands there: epoch %u token %llu.%llu, ours is epoch %u token %llu.%llu",
                   s->epoch, (unsigned long long)s->token.store, (unsigned long long)s->token.rev, o->epoch,
                   (unsigned long long)o->token.store, (unsigned long long)o->token.rev);
    else if (s->cname)
        action_say(j->out, ACTION_DENIED,
                   "the name is an alias (CNAME): a record of another type cannot stand there");
    else if (s->other_marks)
        action_say(j->out, ACTION_DENIED,
                   "the token's name holds TXT records of somebody else: set `token_name`");
    else
        return false;
    return true;
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
    p = dns_update_packet(&j->t->place, was, fresh, mark);
    if (!p) {
        action_say(j->out, ACTION_RETRY, "no memory for the update");
        return false;
    }
    dns_ask(&j->t->servers[0], p, &j->t->key, j->t->udp, share(j, 1), &a);
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
    enum action_class c = read_from(j, 0, share(j, 2), &was, why);
    bool again = false;

    if (c != ACTION_OK) {
        action_say(j->out, c, "%s", why);
    } else {
        see(j, &was);
        if (refused(j, &was))
            ;
        else if (dns_same(was.records, j->want) && was.epoch == o->epoch &&
                 fencing_cmp(was.token, o->token) == 0)
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

        c = read_from(j, i, share(j, (int)(j->t->n_own - i) + 1), &s, why);
        there = c == ACTION_OK && dns_same(s.records, j->want) && s.epoch == j->o->epoch;
        if (c == ACTION_OK)
            see(j, &s);
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

/* All that answer have to agree; those that do not answer us do not answer others with an old address either, and are named. */
static void verify(struct job *j)
{
    char why[DNS_WHY], silent[160] = "", old[160] = "";
    size_t n_have = 0, n_old = 0;

    for (size_t i = 0; i < j->t->n_servers; i++) {
        const char *text = j->t->servers[i].text;
        struct dns_state s;
        enum action_class c = read_from(j, i, share(j, (int)(j->t->n_servers - i) + 1), &s, why);
        bool have = c == ACTION_OK && dns_same(s.records, j->want) && s.epoch == j->o->epoch;
        char *list = c == ACTION_OK ? old : silent;
        size_t n = strlen(list);

        if (c == ACTION_OK && !have)
            n_old++;
        if (have)
            n_have++;
        else
            (void)snprintf(list + n, 160 - n, "%s%s", n ? " " : "", text);
        if (c == ACTION_OK && (i == 0 || !have))
            see(j, &s);
        if (c == ACTION_OK && s.epoch > j->o->epoch)
            action_say(j->out, ACTION_CONFLICT, "%s: a later move stands there", text);
        dns_state_free(&s);
        if (j->out->class == ACTION_CONFLICT)
            return;
    }
    if (!n_have && !n_old)
        action_say(j->out, ACTION_RETRY, "no server answers: %s", silent);
    else if (!n_have)
        action_say(j->out, ACTION_NOT_APPLIED, "none has it: %s%s%s", old, *silent ? "; no answer from " : "",
                   silent);
    else if (n_old)
        action_say(j->out, ACTION_PROGRESS, "not yet: %s", old);
    else
        action_say(j->out, ACTION_OK, "%zu of %zu servers have it%s%s", n_have, j->t->n_servers,
                   *silent ? "; no answer from " : "", silent);
}

/* ---- before a move ---- */

static bool ttl_fits(struct job *j, const struct dns_state *s)
{
    if (!ldns_rr_list_rr_count(s->records))
        action_say(j->out, ACTION_DENIED,
                   "there is no such record: make it by hand once, so that its place is sure");
    else if (s->ttl > j->t->ttl_most)
        action_say(
            j->out, ACTION_DENIED,
            "its time to live is %u s, more than the %u s of `ttl_most`: clients would keep the old address "
            "for so long",
            s->ttl, j->t->ttl_most);
    else
        return true;
    return false;
}

static bool is_known(const struct job *j, const struct dns_state *s)
{
    for (size_t i = 0; i < j->t->n_choices; i++)
        if (dns_same(s->records, j->t->choices[i].records))
            return true;
    return false;
}

static void precheck(struct job *j)
{
    struct dns_state s;
    char why[DNS_WHY];
    enum action_class c = read_from(j, 0, share(j, 2), &s, why);

    if (c != ACTION_OK) {
        action_say(j->out, c, "%s", why);
    } else {
        see(j, &s);
        if (!refused(j, &s) && ttl_fits(j, &s)) {
            if (!is_known(j, &s))
                action_say(j->out, ACTION_CONFLICT,
                           "the record has values of no region: somebody else has changed it");
            else if (send_update(j, &s, NULL))
                action_say(j->out, ACTION_RETRY, "the record was changed just now");
            else if (j->out->class == ACTION_OK)
                action_say(j->out, ACTION_OK, "%s would take it", j->t->servers[0].text);
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

    j.want = want_of(t, region);
    if (!j.want || !ldns_rr_list_rr_count(j.want)) {
        action_say(out, ACTION_DENIED, "`values` has none for %.60s: an empty record is never written",
                   region);
        return;
    }
    switch (o->op) {
    case ACTION_PRECHECK: precheck(&j); return;
    case ACTION_PROBE: probe(&j); return;
    case ACTION_VERIFY: verify(&j); return;
    default: change(&j);
    }
}

const struct action_driver action_dns_update = {
    .type = "dns-update",
    .sentence = "A record in a zone that takes dynamic updates (RFC 2136, TSIG): BIND, Knot, PowerDNS.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = ACTION_RECORD_REQUIRED " servers tsig_name",
    .steps = 1U << STEP_SWITCH | 1U << STEP_TIDY,
    .ops = (1U << ACTION_OPS) - 1,
    .check = dns_update_check,
    .open = dns_update_open,
    .close = dns_update_close,
    .run = dns_update_run,
};
