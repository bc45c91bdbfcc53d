/* A record in a hosted zone of Route 53, changed by compare and swap: one batch deletes exactly what was read and creates the
 * new record and the mark of the move (route53_set.h). Never UPSERT, which would write over whatever stands there.
 *
 * The API that changes records lives in one region of AWS; in December 2021 changes failed for seven hours while answers went
 * on. Where the primary is there, put `inverted-health` or a routing control before this, and this into the step tidy. A change
 * is taken at once and on all servers usually within a minute: apply waits for that as long as its time allows;
 * verify asks the zone's name servers themselves when `agree` names them. Routing policies and health checks are
 * not moved: a set that has them is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aggregator/actions/aws_io.h"
#include "aggregator/actions/dns_target_io.h"
#include "aggregator/actions/route53_set.h"
#include "common/config/copies.h"
#include "common/net/loop.h"
#include "common/net/sigv4.h"

enum { TRIES = 3, ARENA_MOST = 32 << 20, BATCH_MOST = 256 * 1024, WORD_MOST = 1200 };

struct choice {
    char region[64];
    char *owned[R53_VALUES + 2]; /* the texts of `want` */
    size_t n_owned;
    struct r53_want want;
};

struct action_target {
    struct action_aws aws;
    struct r53_place place;
    char *base, *zone, *name, *token, *region;
    uint32_t ttl_most;
    struct choice choices[DNS_VALUES];
    size_t n_choices;
    struct dns_server servers[DNS_SERVERS];
    size_t n_servers;
    struct dns_place dns; /* the same place, for its name servers */
};

static const struct option_row rows[] = {
    ACTION_ROWS_RECORD,
    ACTION_ROW_TOKEN_NAME,
    ACTION_ROW_URL,
    ACTION_ROWS_AWS,
    {.key = "signing_region",
     .type = OPT_STRING,
     .dflt = "us-east-1",
     .reloadable = true,
     .sentence = "Region of the signature of Route 53, which has one for each partition of AWS."},
    ACTION_ROW_AGREE,
    ACTION_ROWS_TLS,
};

/* ---- options ---- */

static void route53_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    action_aws_close(&t->aws);
    for (size_t i = 0; i < t->n_choices; i++)
        for (size_t k = 0; k < sizeof t->choices[i].owned / sizeof *t->choices[i].owned; k++)
            free(t->choices[i].owned[k]);
    free(t->base);
    free(t->zone);
    free(t->name);
    free(t->token);
    free(t->region);
    ldns_rdf_deep_free(t->dns.name);
    ldns_rdf_deep_free(t->dns.token);
    free(t);
    *tp = NULL;
}

/* A copy that goes with the choice. */
static const char *own(struct choice *c, const char *text, size_t n)
{
    return c->n_owned < R53_VALUES + 2 ? c->owned[c->n_owned++] = strndup(text, n) : NULL;
}

/* ZONE:NAME or ZONE:NAME:evaluate behind "alias:". */
static bool alias_open(const char *text, struct choice *c)
{
    struct r53_want *w = &c->want;
    const char *name = strchr(text, ':'), *rest = name ? strchr(name + 1, ':') : NULL;
    char form[R53_NAME];

    if (!name || w->n || w->alias_zone || (rest && strcmp(rest, ":evaluate") != 0))
        return false;
    w->alias_zone = own(c, text, (size_t)(name - text));
    w->alias_name = own(c, name + 1, rest ? (size_t)(rest - name - 1) : strlen(name + 1));
    w->alias_evaluate = rest != NULL;
    return w->alias_zone && w->alias_name && *w->alias_zone && r53_name(w->alias_name, form) == 0;
}

static bool value_open(const struct action_target *t, const char *text, struct choice *c)
{
    struct r53_want *w = &c->want;
    bool cname = strcmp(t->place.type, "CNAME") == 0;
    ldns_rr *rr;

    if (strncmp(text, "alias:", 6) == 0)
        return !cname && alias_open(text + 6, c);
    rr = dns_record(t->dns.name, ldns_get_rr_type_by_name(t->place.type), 1, text);
    ldns_rr_free(rr);
    if (!rr || w->alias_zone || w->n == (cname ? 1 : R53_VALUES) ||
        !(w->values[w->n] = own(c, text, strlen(text))))
        return false;
    w->n++;
    return true;
}

static int choices_open(struct action_target *t, const struct section *s, struct err *e)
{
    int rc = action_regions_check(s, "values", e);

    for (size_t i = 0; !rc && i < option_count(s, "values"); i++) {
        const char *word = option_word(s, "values", i), *mark = strchr(word, '=');
        size_t n = (size_t)(mark - word), k = 0;

        while (k < t->n_choices &&
               (strlen(t->choices[k].region) != n || memcmp(t->choices[k].region, word, n) != 0))
            k++;
        if (k == DNS_VALUES || n >= sizeof t->choices[k].region)
            return err_set(e, ERR_LIMIT, "too many regions, or a name that is too long");
        if (k == t->n_choices)
            memcpy(t->choices[t->n_choices++].region, word, n);
        if (!value_open(t, mark + 1, &t->choices[k]))
            rc = err_set(e, ERR_CONFIG,
                         "found \"%.80s\", expected REGION= and a value of the record's type, or "
                         "alias:HOSTEDZONE:NAME or alias:HOSTEDZONE:NAME:evaluate",
                         word);
    }
    return rc;
}

static int names_open(struct action_target *t, const struct section *s, const char **key, struct err *e)
{
    const char *zone = option_text(s, "zone"), *name = option_text(s, "name"),
               *token = option_text(s, "token_name");
    char form[R53_NAME], mark[R53_NAME];

    zone += strncmp(zone, "/hostedzone/", 12) == 0 ? 12 : 0;
    *key = "zone";
    if (!*zone || strlen(zone) > 32 || zone[strspn(zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")])
        return err_set(e, ERR_CONFIG, "expected the id of a hosted zone, such as Z2FDTNDATAQYW2");
    *key = "name";
    if (r53_name(name, form) != 0)
        return err_set(e, ERR_CONFIG, "found \"%.80s\", expected a name", name);
    t->name = strdup(form);
    (void)snprintf(mark, sizeof mark, "%s%.1000s", *token ? "" : "_fo.", *token ? token : name);
    *key = "token_name";
    if (r53_name(mark, form) != 0 || (t->name && strcmp(form, t->name) == 0))
        return err_set(e, ERR_CONFIG, "found \"%.80s\", expected another name of the zone", mark);
    t->token = strdup(form);
    t->zone = strdup(zone);
    t->dns.name = ldns_dname_new_frm_str(name);
    t->dns.token = ldns_dname_new_frm_str(mark);
    if (!t->name || !t->token || !t->zone || !t->dns.name || !t->dns.token)
        return err_set(e, ERR_CONFIG, "found \"%.80s\", expected a name", mark);
    return 0;
}

static const char *type_name(const struct section *s)
{
    static const char *const types[] = {"A", "AAAA", "CNAME"};
    size_t i = 0;

    while (i < 2 && strcmp(types[i], option_text(s, "record")) != 0)
        i++;
    return types[i];
}

static struct action_target *plain_open(const struct section *s, const char **key, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);
    int rc;

    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        return NULL;
    }
    t->ttl_most = (uint32_t)(option_span(s, "ttl_most").ns / 1000000000);
    t->region = strdup(option_text(s, "signing_region"));
    t->base =
        option_count(s, "url") ? option_word_copy(s, "url", 0) : strdup("https://route53.amazonaws.com");
    rc = names_open(t, s, key, e);
    t->place = (struct r53_place){t->name, t->token, type_name(s),
                                  (uint32_t)(option_span(s, "ttl").ns / 1000000000)};
    t->dns.type = ldns_get_rr_type_by_name(t->place.type);
    if (!rc) {
        *key = "values";
        rc = choices_open(t, s, e);
    }
    if (!rc && t->place.ttl > t->ttl_most) {
        *key = "ttl";
        rc = err_set(e, ERR_CONFIG, "expected at most `ttl_most`");
    }
    if (!rc) {
        *key = "agree";
        rc = dns_servers_open(s, *key, t->servers, DNS_SERVERS, &t->n_servers, e);
    }
    if (!rc && (!t->region || !t->base))
        rc = err_set(e, ERR_NOMEM, "no memory for an action");
    if (rc)
        route53_close(&t);
    return t;
}

static int route53_check(const struct section *s, const char **key, struct err *e)
{
    struct action_target *t = plain_open(s, key, e);

    if (!t)
        return e->code;
    route53_close(&t);
    return 0;
}

static struct action_target *route53_open(const struct section *s, struct log *log, struct err *e)
{
    const char *key = "";
    struct action_target *t = plain_open(s, &key, e);

    (void)log;
    if (t && action_aws_open(s, &t->aws, e) != 0)
        route53_close(&t);
    return t;
}

/* ---- calls ---- */

struct job {
    const struct action_target *t;
    const struct action_order *o;
    struct action_result *out;
    struct mono until;
    const struct r53_want *want;
    struct arena a;
    char code[ACTION_AWS_CODE];
};

static struct span left(const struct job *j)
{
    return mono_sub(j->until, clock_mono());
}

/* One call; false when it has no answer or one that is an error, which the result tells then. */
static bool call(struct job *j, const char *what, const char *path, const char *query, const struct buf *body,
                 const struct xml **answer)
{
    struct action_aws_call c = {.method = body ? "POST" : "GET",
                                .base = j->t->base,
                                .path = path,
                                .query = query,
                                .service = "route53",
                                .region = j->t->region,
                                .content_type = body ? "application/xml" : NULL,
                                .body = body ? buf_bytes(body) : (struct bytes){0}};
    struct action_answer ans;
    struct err e = {0};

    j->code[0] = 0;
    if (action_aws(&j->t->aws, &c, mono_sub(dns_share(j->until, body ? 1 : 2), clock_mono()), &j->a, &ans,
                   &e) != 0) {
        action_say(j->out, e.code == ERR_TLS ? ACTION_DENIED : ACTION_RETRY, "%s: %s", what, e.text);
        return false;
    }
    action_aws_judge(&ans, body != NULL, what, j->code, j->out);
    if (j->out->class != ACTION_OK)
        return false;
    if (xml_parse(&j->a, ans.http.body, answer, &e) == 0)
        return true;
    action_say(j->out, body ? ACTION_UNKNOWN : ACTION_RETRY, "%s: %s", what, e.text);
    return false;
}

static bool list(struct job *j, const char *name, const char *type, const char *kind, const char *most,
                 const struct xml **answer)
{
    char path[128];
    struct buf query;
    bool good;

    (void)snprintf(path, sizeof path, "/2013-04-01/hostedzone/%s/%s", j->t->zone, kind);
    buf_init(&query, NULL, 8192);
    buf_fmt(&query, "%s&name=", most);
    sigv4_encode(&query, name, strlen(name), true);
    if (type)
        buf_fmt(&query, "&type=%s", type);
    good = call(j, "reading", path, buf_text(&query), NULL, answer);
    buf_free(&query);
    return good;
}

/* What stands in the zone; false: said in the result. */
static bool read_state(struct job *j, struct r53_state *s)
{
    const struct r53_place *p = &j->t->place;
    const struct xml *record, *mark;

    *s = (struct r53_state){0};
    if (!list(j, p->name, NULL, "rrset", "maxitems=20", &record) ||
        !list(j, p->token, "TXT", "rrset", "maxitems=2", &mark))
        return false;
    if (r53_take(record, p, false, s) != 0 || r53_take(mark, p, true, s) != 0) {
        action_say(j->out, ACTION_RETRY, "reading: an answer of another kind");
        return false;
    }
    r53_text(s, p, j->out->seen, sizeof j->out->seen);
    j->out->found = s->token;
    return true;
}

static bool refused(struct job *j, const struct r53_state *s)
{
    const struct action_order *o = j->o;

    if (fencing_cmp(s->token, o->token) > 0 || s->epoch > o->epoch)
        action_say(j->out, ACTION_CONFLICT,
                   "a later move stands there: epoch %u token %llu.%llu, ours is epoch %u token %llu.%llu",
                   s->epoch, (unsigned long long)s->token.store, (unsigned long long)s->token.rev, o->epoch,
                   (unsigned long long)o->token.store, (unsigned long long)o->token.rev);
    else if (s->in_the_way)
        action_say(j->out, ACTION_DENIED, "%s", s->in_the_way);
    else
        return false;
    return true;
}

static bool there(const struct job *j, const struct r53_state *s)
{
    return r53_has(s, &j->t->place, j->want) && s->epoch == j->o->epoch;
}

/* ---- a change ---- */

/* Polls until all servers have it, as long as there is time: 2 s, then 3, 4 … for the account may ask five times a second,
 * whoever asks. */
static void wait_in_sync(struct job *j, const struct xml *answer)
{
    const char *id = xml_child_text(xml_child(answer, "ChangeInfo"), "Id"),
               *status = xml_child_text(xml_child(answer, "ChangeInfo"), "Status");
    char path[160];
    int64_t pause = 2;

    id = id && strncmp(id, "/change/", 8) == 0 ? id + 8 : id;
    if (!id || strlen(id) > 64 ||
        id[strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")]) {
        action_say(j->out, ACTION_OK, "taken; the answer has no id to ask for");
        return;
    }
    (void)snprintf(path, sizeof path, "/2013-04-01/change/%s", id);
    while (!status || strcmp(status, "INSYNC") != 0) {
        struct timespec nap = {.tv_sec = pause};

        if (left(j).ns < span_s(pause + 1).ns) {
            action_say(j->out, ACTION_OK, "taken, change %s; not yet on all servers", id);
            return;
        }
        (void)nanosleep(&nap, NULL);
        pause = pause < 10 ? pause + 1 : 10;
        if (call(j, "asking for the change", path, NULL, NULL, &answer))
            status = xml_child_text(xml_child(answer, "ChangeInfo"), "Status");
    }
    action_say(j->out, ACTION_OK, "taken, change %s; on all servers", id);
}

static bool same_state(const struct r53_state *a, const struct r53_state *b, const struct r53_place *p)
{
    char x[2048], y[2048];

    r53_text(a, p, x, sizeof x);
    r53_text(b, p, y, sizeof y);
    return strcmp(x, y) == 0;
}

static bool send_batch(struct job *j, const struct r53_state *was, const struct xml **answer)
{
    char path[128], mark[ACTION_MARK];
    struct buf body;
    bool good = false;

    action_mark(j->o, mark);
    (void)snprintf(path, sizeof path, "/2013-04-01/hostedzone/%s/rrset/", j->t->zone);
    buf_init(&body, NULL, BATCH_MOST);
    if (was)
        r53_batch(was, &j->t->place, j->want, mark, &body);
    else
        r53_batch_dry(&j->t->place, &body);
    if (body.full)
        action_say(j->out, ACTION_DENIED, "the change does not fit into a request");
    else
        good = call(j, "changing", path, NULL, &body, answer);
    buf_free(&body);
    return good;
}

static void change(struct job *j)
{
    struct r53_state was, before = {0};
    const struct xml *answer;
    char refusal[ACTION_TEXT] = "";

    for (int i = 0; i < TRIES; i++) {
        if (!read_state(j, &was) || refused(j, &was))
            return;
        if (there(j, &was) && fencing_cmp(was.token, j->o->token) == 0) {
            action_say(j->out, ACTION_ALREADY, "it is so already");
            return;
        }
        if (i > 0 && same_state(&was, &before, &j->t->place)) {
            action_say(j->out, ACTION_DENIED,
                       "nothing has changed there, and the zone refuses the change: %s", refusal);
            return;
        }
        if (send_batch(j, &was, &answer)) {
            wait_in_sync(j, answer);
            return;
        }
        if (strcmp(j->code, "InvalidChangeBatch") != 0)
            return;
        before = was; /* somebody was faster, or something forbids it: what stands there now tells */
        memcpy(refusal, j->out->text, sizeof refusal);
    }
    action_say(j->out, ACTION_RETRY, "others change the record at the same time");
}

/* ---- questions ---- */

static void probe(struct job *j)
{
    struct r53_state s;
    bool has;

    if (!read_state(j, &s) || refused(j, &s))
        return;
    has = there(j, &s);
    action_say(j->out, has ? ACTION_OK : ACTION_NOT_APPLIED, "the zone has it%s", has ? "" : " not");
}

static void verify(struct job *j)
{
    bool has;

    probe(j);
    has = j->out->class == ACTION_OK;
    if (has && j->t->n_servers)
        dns_agree(&(struct dns_agreement){.servers = j->t->servers,
                                          .n = j->t->n_servers,
                                          .n_own = j->t->n_servers,
                                          .place = &j->t->dns,
                                          .order = j->o,
                                          .until = j->until},
                  j->out);
    if (has && j->out->class == ACTION_NOT_APPLIED)
        j->out->class = ACTION_PROGRESS;
}

/* Whether a protection forbids changes of a set; true: the result says so. */
static bool protected(struct job *j, const char *name, const char *type)
{
    const struct xml *answer, *p;

    if (!list(j, name, type, "rrsetprotection", "maxresults=1", &answer)) {
        bool unknown = j->out->class == ACTION_DENIED && strcmp(j->code, "AccessDenied") != 0;

        return !unknown; /* a partition that has no protections refuses the question */
    }
    p = xml_child(xml_child(answer, "ResourceRecordSetProtections"), "ResourceRecordSetProtection");
    for (; p; p = xml_next(p)) {
        const char *its_name = xml_child_text(p, "RecordName"), *its_type = xml_child_text(p, "RecordType");
        char form[R53_NAME];

        if (its_name && its_type && r53_name(its_name, form) == 0 && strcmp(form, name) == 0 &&
            strcmp(its_type, type) == 0) {
            action_say(j->out, ACTION_DENIED,
                       "a protection of %.100s %s forbids every change: delete it first", name, type);
            return true;
        }
    }
    return false;
}

static bool is_known(const struct job *j, const struct r53_state *s)
{
    for (size_t i = 0; i < j->t->n_choices; i++)
        if (r53_has(s, &j->t->place, &j->t->choices[i].want))
            return true;
    return false;
}

static bool ready(struct job *j, const struct r53_state *s)
{
    if (!s->record)
        action_say(j->out, ACTION_DENIED,
                   "there is no such record: make it by hand once, so that its place is sure");
    else if (s->ttl > j->t->ttl_most)
        action_say(
            j->out, ACTION_DENIED,
            "its time to live is %u s, more than the %u s of `ttl_most`: clients would keep the old address "
            "for so long",
            s->ttl, j->t->ttl_most);
    else if (!is_known(j, s))
        action_say(j->out, ACTION_CONFLICT,
                   "the record has values of no region: somebody else has changed it");
    else
        return true;
    return false;
}

static void precheck(struct job *j)
{
    const struct r53_place *p = &j->t->place;
    const struct xml *answer;
    struct r53_state s;

    if (!read_state(j, &s) || refused(j, &s) || !ready(j, &s) || protected(j, p->name, p->type) ||
        protected(j, p->token, "TXT"))
        return;
    if (send_batch(j, NULL, &answer))
        action_say(j->out, ACTION_DENIED, "a change that cannot be was taken: this is not Route 53");
    else if (strcmp(j->code, "InvalidChangeBatch") == 0)
        action_say(j->out, ACTION_OK, "the zone would take it");
    else if (j->out->class == ACTION_UNKNOWN)
        j->out->class = ACTION_RETRY;
}

static void route53_run(const struct action_target *t, const struct action_order *o,
                        struct action_result *out)
{
    const char *region = o->op == ACTION_UNDO ? o->from : o->to;
    struct job j = {.t = t, .o = o, .out = out, .until = mono_add(clock_mono(), o->deadline)};

    for (size_t i = 0; i < t->n_choices; i++)
        if (strcmp(t->choices[i].region, region) == 0)
            j.want = &t->choices[i].want;
    if (!j.want) {
        action_say(out, ACTION_DENIED, "`values` has none for %.60s: an empty record is never written",
                   region);
        return;
    }
    arena_init(&j.a, NULL, ARENA_MOST);
    switch (o->op) {
    case ACTION_PRECHECK: precheck(&j); break;
    case ACTION_PROBE: probe(&j); break;
    case ACTION_VERIFY: verify(&j); break;
    default: change(&j);
    }
    arena_free(&j.a);
}

const struct action_driver action_route53 = {
    .type = "route53",
    .sentence = "A record in a hosted zone of Amazon Route 53, by compare and swap.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = ACTION_RECORD_REQUIRED " " ACTION_AWS_REQUIRED,
    .steps = 1U << STEP_SWITCH | 1U << STEP_TIDY,
    .ops = (1U << ACTION_OPS) - 1,
    .check = route53_check,
    .open = route53_open,
    .close = route53_close,
    .run = route53_run,
};
