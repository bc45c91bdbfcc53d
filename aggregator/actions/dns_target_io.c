/* See dns_target_io.h. */
#include "aggregator/actions/dns_target_io.h"

#include <stdio.h>
#include <string.h>

#include "common/net/loop.h"

enum { ASK_MOST_S = 3 };

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

static struct dns_choice *choice_of(struct dns_target *t, const char *region, size_t n)
{
    struct dns_choice *c;

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

static int choices_open(struct dns_target *t, const struct section *s, struct err *e)
{
    int rc = action_regions_check(s, "values", e);

    for (size_t i = 0; !rc && i < option_count(s, "values"); i++) {
        const char *word = option_word(s, "values", i), *mark = strchr(word, '=');
        struct dns_choice *c = choice_of(t, word, (size_t)(mark - word));
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

int dns_target_open(const struct section *s, struct dns_target *t, const char **key, struct err *e)
{
    int rc;

    *t = (struct dns_target){.ttl_most = (uint32_t)(option_span(s, "ttl_most").ns / 1000000000)};
    rc = place_open(s, &t->place, key, e);
    if (!rc) {
        *key = "values";
        rc = choices_open(t, s, e);
    }
    if (!rc && t->place.ttl > t->ttl_most) {
        *key = "ttl";
        rc = err_set(e, ERR_CONFIG, "expected at most `ttl_most`");
    }
    if (rc)
        dns_target_close(t);
    return rc;
}

void dns_target_close(struct dns_target *t)
{
    place_close(&t->place);
    for (size_t i = 0; i < t->n_choices; i++)
        ldns_rr_list_deep_free(t->choices[i].records);
    *t = (struct dns_target){0};
}

int dns_servers_open(const struct section *s, const char *key, struct dns_server *t, size_t most, size_t *n,
                     struct err *e)
{
    for (size_t i = 0; i < option_count(s, key) && *n < most; i++)
        if (dns_server_parse(option_word(s, key, i), &t[(*n)++], e) != 0)
            return ERR_CONFIG;
    return 0;
}

const ldns_rr_list *dns_target_want(const struct dns_target *t, const char *region, struct action_result *out)
{
    for (size_t i = 0; i < t->n_choices; i++)
        if (strcmp(t->choices[i].region, region) == 0 && ldns_rr_list_rr_count(t->choices[i].records))
            return t->choices[i].records;
    action_say(out, ACTION_DENIED, "`values` has none for %.60s: an empty record is never written", region);
    return NULL;
}

/* ---- judgements ---- */

bool dns_has(const struct dns_state *s, const ldns_rr_list *want, const struct action_order *o)
{
    return (!want || dns_same(s->records, want)) && s->epoch == o->epoch;
}

void dns_see(const struct dns_state *s, const struct dns_place *p, struct action_result *out)
{
    dns_state_text(s, p, out->seen, sizeof out->seen);
    out->found = s->token;
}

bool dns_refused(const struct dns_state *s, const struct action_order *o, struct action_result *out)
{
    if (fencing_cmp(s->token, o->token) > 0 || s->epoch > o->epoch)
        action_say(out, ACTION_CONFLICT,
                   "a later move stands there: epoch %u token %llu.%llu, ours is epoch %u token %llu.%llu",
                   s->epoch, (unsigned long long)s->token.store, (unsigned long long)s->token.rev, o->epoch,
                   (unsigned long long)o->token.store, (unsigned long long)o->token.rev);
    else if (s->cname)
        action_say(out, ACTION_DENIED,
                   "the name is an alias (CNAME): a record of another type cannot stand there");
    else if (s->other_marks)
        action_say(out, ACTION_DENIED,
                   "the token's name holds TXT records of somebody else: set `token_name`");
    else
        return false;
    return true;
}

static bool is_known(const struct dns_target *t, const struct dns_state *s)
{
    for (size_t i = 0; i < t->n_choices; i++)
        if (dns_same(s->records, t->choices[i].records))
            return true;
    return false;
}

bool dns_ready(const struct dns_target *t, const struct dns_state *s, struct action_result *out)
{
    if (!ldns_rr_list_rr_count(s->records))
        action_say(out, ACTION_DENIED,
                   "there is no such record: make it by hand once, so that its place is sure");
    else if (s->ttl > t->ttl_most)
        action_say(
            out, ACTION_DENIED,
            "its time to live is %u s, more than the %u s of `ttl_most`: clients would keep the old address "
            "for so long",
            s->ttl, t->ttl_most);
    else if (!is_known(t, s))
        action_say(out, ACTION_CONFLICT, "the record has values of no region: somebody else has changed it");
    else
        return true;
    return false;
}

struct mono dns_share(struct mono until, int parts)
{
    struct mono now = clock_mono();
    int64_t left = mono_sub(until, now).ns / (parts > 0 ? parts : 1);

    return mono_add(now, span_ns(left < span_s(ASK_MOST_S).ns || parts < 2 ? left : span_s(ASK_MOST_S).ns));
}

void dns_agree(const struct dns_agreement *a, struct action_result *out)
{
    char why[DNS_WHY], silent[160] = "", old[160] = "";
    size_t n_have = 0, n_old = 0;

    for (size_t i = 0; i < a->n; i++) {
        const char *text = a->servers[i].text;
        struct dns_state s;
        enum action_class c =
            dns_state_read(&a->servers[i], a->place, i == 0 ? a->key : NULL, a->udp, i >= a->n_own,
                           dns_share(a->until, (int)(a->n - i) + 1), &s, why);
        bool have =
            c == ACTION_OK && (a->unmarked ? dns_same(s.records, a->want) : dns_has(&s, a->want, a->order));
        char *list = c == ACTION_OK ? old : silent;
        size_t n = strlen(list);

        if (c == ACTION_OK && !have)
            n_old++;
        if (have)
            n_have++;
        else
            (void)snprintf(list + n, 160 - n, "%s%s", n ? " " : "", text);
        if (c == ACTION_OK && (i == 0 || !have))
            dns_see(&s, a->place, out);
        if (c == ACTION_OK && !a->unmarked && s.epoch > a->order->epoch)
            action_say(out, ACTION_CONFLICT, "%s: a later move stands there", text);
        dns_state_free(&s);
        if (out->class == ACTION_CONFLICT)
            return;
    }
    if (!n_have && !n_old)
        action_say(out, ACTION_RETRY, "no server answers: %s", silent);
    else if (!n_have)
        action_say(out, ACTION_NOT_APPLIED, "none has it: %s%s%s", old, *silent ? "; no answer from " : "",
                   silent);
    else if (n_old)
        action_say(out, ACTION_PROGRESS, "not yet: %s", old);
    else
        action_say(out, ACTION_OK, "%zu of %zu servers have it%s%s", n_have, a->n,
                   *silent ? "; no answer from " : "", silent);
}
