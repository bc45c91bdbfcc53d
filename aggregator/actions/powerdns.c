/* A record of a zone of PowerDNS, changed by its HTTP API (4.6 or later).
 *
 * The API has no conditional update: what was read may have changed when the PATCH comes. So the token of the last move is
 * read first, a higher one is a conflict, record and token go out in one PATCH, which the server takes as a whole, and both are
 * read again: whoever finds a later mark says so. Between reading and writing an older writer that was held up can still write
 * over a newer one; where that must not be, the same server takes dns-update, which compares. The token stands in a TXT
 * record, as with dns-update, since not every backend keeps comments; the comment at the record is for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "aggregator/actions/dns_target_io.h"
#include "aggregator/actions/http_io.h"
#include "common/config/copies.h"
#include "common/net/loop.h"

enum { ARENA_MOST = 16 << 20, ANSWER_MOST = 4 << 20, MARK_TTL_S = 30, PATH_MOST = 1200 };

struct action_target {
    struct dns_target record;
    struct dns_server servers[DNS_SERVERS];
    size_t n_servers;
    struct action_tls tls;
    char *url; /* of the zone */
    char *api_key;
};

static const struct option_row rows[] = {
    ACTION_ROWS_RECORD,
    ACTION_ROW_TOKEN_NAME,
    ACTION_ROW_URL,
    {.key = "api_key", .type = OPT_SECRET, .reloadable = true, .sentence = "The key of the server's API."},
    {.key = "api_server",
     .type = OPT_STRING,
     .dflt = "localhost",
     .reloadable = true,
     .sentence = "The server's id within its API."},
    ACTION_ROW_AGREE,
    ACTION_ROWS_TLS,
};

/* ---- options ---- */

static void powerdns_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    dns_target_close(&t->record);
    action_tls_close(&t->tls);
    free(t->url);
    free_secret(&t->api_key);
    free(t);
    *tp = NULL;
}

static struct action_target *plain_open(const struct section *s, const char **key, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);

    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        return NULL;
    }
    if (dns_target_open(s, &t->record, key, e) == 0) {
        *key = "agree";
        if (dns_servers_open(s, *key, t->servers, DNS_SERVERS, &t->n_servers, e) == 0)
            return t;
    }
    powerdns_close(&t);
    return NULL;
}

static int powerdns_check(const struct section *s, const char **key, struct err *e)
{
    struct action_target *t = plain_open(s, key, e);
    const char *server = option_text(s, "api_server");

    if (!t)
        return e->code;
    powerdns_close(&t);
    *key = "url";
    if (action_secret_url_check(option_word(s, "url", 0), e) != 0)
        return ERR_CONFIG;
    *key = "api_key";
    if (!option_set(s, "api_key"))
        return err_set(e, ERR_CONFIG, "an action of this type needs it");
    *key = "api_server";
    return *server && !strpbrk(server, "/?#%") ? 0 : err_set(e, ERR_CONFIG, "expected one word");
}

/* PowerDNS's own form of a zone's id: what is not a letter, a digit, a dot or a hyphen as =XX. */
static char *zone_url(const struct section *s, const ldns_rdf *zone)
{
    char *name = ldns_rdf2str(zone), path[PATH_MOST], *url;
    size_t n = (size_t)snprintf(path, sizeof path, "/api/v1/servers/%s/zones/", option_text(s, "api_server"));

    for (const char *p = name ? name : ""; *p && n + 4 < sizeof path; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '.' || *p == '-';

        n += (size_t)(plain ? snprintf(path + n, sizeof path - n, "%c", *p)
                            : snprintf(path + n, sizeof path - n, "=%02X", (unsigned char)*p));
    }
    free(name);
    path[n] = 0;
    url = url_join(option_word(s, "url", 0), path);
    return url;
}

static struct action_target *powerdns_open(const struct section *s, struct log *log, struct err *e)
{
    const char *key = "";
    struct action_target *t = plain_open(s, &key, e);

    (void)log;
    if (!t)
        return NULL;
    t->url = zone_url(s, t->record.place.zone);
    if (!t->url)
        err_set(e, ERR_NOMEM, "no memory for an action");
    if (!t->url || secret_copy(s, "api_key", &t->api_key, e) != 0 || action_tls_open(s, &t->tls, e) != 0)
        powerdns_close(&t);
    return t;
}

/* ---- calls ---- */

struct job {
    const struct action_target *t;
    const struct action_order *o;
    struct action_result *out;
    struct mono until;
    const ldns_rr_list *want;
    struct arena a;
};

static bool call(struct job *j, const char *method, const char *url, const char *body,
                 struct action_answer *ans)
{
    struct http_header headers[] = {{"X-API-Key", j->t->api_key}, {"Content-Type", "application/json"}};
    struct http_request r = {.method = method,
                             .url = url,
                             .headers = headers,
                             .n_headers = body ? 2 : 1,
                             .body = body,
                             .body_len = body ? strlen(body) : 0,
                             .max_answer = ANSWER_MOST};
    struct err e = {0};

    if (action_http(&j->t->tls, &r, mono_sub(dns_share(j->until, body ? 1 : 3), clock_mono()), &j->a, ans,
                    &e) == 0)
        return true;
    action_say(j->out, e.code == ERR_TLS ? ACTION_DENIED : ACTION_RETRY, "%s", e.text);
    return false;
}

static const char *text_at(const cJSON *j, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, key));

    return s ? s : "";
}

/* As a record of libldns, so that equal ones compare as equal whatever their spelling; a disabled one is not there. */
static bool take(struct job *j, const cJSON *set, const cJSON *record, struct dns_state *s)
{
    const struct dns_place *p = &j->t->record.place;
    const char *content = text_at(record, "content");
    double ttl = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(set, "ttl"));
    uint32_t seconds = ttl >= 0 && ttl <= INT32_MAX ? (uint32_t)ttl : 0;
    ldns_rr_type type = ldns_get_rr_type_by_name(text_at(set, "type"));
    uint32_t epoch;
    struct fencing token;
    ldns_rr *rr;

    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(record, "disabled")))
        return true;
    if (type == LDNS_RR_TYPE_CNAME && p->type != type)
        s->cname = true;
    if (type == LDNS_RR_TYPE_TXT && !action_mark_parse(content, &epoch, &token)) {
        s->other_marks = true;
        return true;
    }
    if (type == LDNS_RR_TYPE_TXT) {
        s->token = fencing_cmp(token, s->token) > 0 ? token : s->token;
        s->epoch = epoch > s->epoch ? epoch : s->epoch;
    } else if (type != p->type) {
        return true;
    } else if (seconds > s->ttl) {
        s->ttl = seconds;
    }
    rr = dns_record(type == LDNS_RR_TYPE_TXT ? p->token : p->name, type, seconds, content);
    if (rr && ldns_rr_list_push_rr(type == LDNS_RR_TYPE_TXT ? s->marks : s->records, rr))
        return true;
    ldns_rr_free(rr);
    return false;
}

/* Of the whole answer those sets whose name is the one that was asked for: an older server sends all of the zone. */
static bool take_all(struct job *j, const cJSON *zone, const ldns_rdf *name, bool mark, struct dns_state *s)
{
    const cJSON *set, *record;

    cJSON_ArrayForEach(set, cJSON_GetObjectItemCaseSensitive(zone, "rrsets"))
    {
        ldns_rdf *owner = ldns_dname_new_frm_str(text_at(set, "name"));
        bool ours = owner && ldns_dname_compare(owner, name) == 0 &&
                    (strcmp(text_at(set, "type"), "TXT") == 0) == mark;

        ldns_rdf_deep_free(owner);
        if (!ours)
            continue;
        cJSON_ArrayForEach(record, cJSON_GetObjectItemCaseSensitive(set, "records"))
        {
            if (!take(j, set, record, s))
                return false;
        }
    }
    return true;
}

static bool read_name(struct job *j, const ldns_rdf *name, bool mark, struct dns_state *s)
{
    char *text = ldns_rdf2str(name);
    struct action_answer ans;
    struct buf url;
    cJSON *zone = NULL;
    bool good = false;

    buf_init(&url, NULL, 4096);
    buf_fmt(&url, "%s?rrset_name=%s%s", j->t->url, text ? text : "", mark ? "&rrset_type=TXT" : "");
    free(text);
    if (!call(j, "GET", buf_text(&url), NULL, &ans))
        goto out;
    action_http_judge(&ans, false, "reading", j->out);
    if (j->out->class != ACTION_OK)
        goto out;
    zone = cJSON_ParseWithLength((const char *)ans.http.body.p, ans.http.body.n);
    good =
        cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(zone, "rrsets")) && take_all(j, zone, name, mark, s);
    if (!good)
        action_say(j->out, ACTION_DENIED, "reading: an answer that is none of PowerDNS's API");
out:
    cJSON_Delete(zone);
    buf_free(&url);
    return good;
}

/* What the server holds; false: said in the result. Free *s in any case. */
static bool read_state(struct job *j, struct dns_state *s)
{
    *s = (struct dns_state){.records = ldns_rr_list_new(), .marks = ldns_rr_list_new()};
    if (!s->records || !s->marks) {
        action_say(j->out, ACTION_RETRY, "no memory");
        return false;
    }
    if (!read_name(j, j->t->record.place.name, false, s) || !read_name(j, j->t->record.place.token, true, s))
        return false;
    dns_see(s, &j->t->record.place, j->out);
    return true;
}

/* ---- a change ---- */

static cJSON *rrset(const ldns_rdf *name, const char *type, uint32_t ttl)
{
    cJSON *set = cJSON_CreateObject();
    char *text = ldns_rdf2str(name);

    cJSON_AddStringToObject(set, "name", text ? text : "");
    cJSON_AddStringToObject(set, "type", type);
    cJSON_AddNumberToObject(set, "ttl", ttl);
    cJSON_AddStringToObject(set, "changetype", "REPLACE");
    free(text);
    return set;
}

static void add_record(cJSON *records, const char *content)
{
    cJSON *r = cJSON_CreateObject();

    cJSON_AddStringToObject(r, "content", content);
    cJSON_AddBoolToObject(r, "disabled", false);
    cJSON_AddItemToArray(records, r);
}

static char *patch_text(const struct job *j)
{
    const struct dns_place *p = &j->t->record.place;
    char *type = ldns_rr_type2str(p->type), mark[ACTION_MARK], quoted[ACTION_MARK + 2], *text;
    cJSON *body = cJSON_CreateObject(), *sets = cJSON_AddArrayToObject(body, "rrsets"),
          *record = rrset(p->name, type ? type : "", p->ttl), *token = rrset(p->token, "TXT", MARK_TTL_S),
          *values = cJSON_AddArrayToObject(record, "records"), *comment = cJSON_CreateObject();

    action_mark(j->o, mark);
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", mark);
    for (size_t i = 0; i < ldns_rr_list_rr_count(j->want); i++) {
        char *value = ldns_rdf2str(ldns_rr_rdf(ldns_rr_list_rr(j->want, i), 0));

        add_record(values, value ? value : "");
        free(value);
    }
    cJSON_AddStringToObject(comment, "content", mark);
    cJSON_AddStringToObject(comment, "account", "securebase");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(record, "comments"), comment);
    add_record(cJSON_AddArrayToObject(token, "records"), quoted);
    cJSON_AddItemToArray(sets, record);
    cJSON_AddItemToArray(sets, token);
    text = cJSON_PrintUnformatted(body);
    cJSON_Delete(body);
    free(type);
    return text;
}

static bool patch(struct job *j)
{
    struct action_answer ans;
    char *body = patch_text(j);
    bool sent = false;

    if (!body)
        action_say(j->out, ACTION_RETRY, "no memory for the change");
    else if (call(j, "PATCH", j->t->url, body, &ans)) {
        action_http_judge(&ans, true, "writing", j->out);
        sent = j->out->class == ACTION_OK;
    }
    cJSON_free(body);
    return sent;
}

/* Whether what stands there now is what was written; a reading that fails leaves the outcome unknown. */
static void read_again(struct job *j)
{
    struct dns_state now;

    if (!read_state(j, &now))
        j->out->class = ACTION_UNKNOWN;
    else if (dns_refused(&now, j->o, j->out))
        ; /* a later one came in between, and stands */
    else if (dns_has(&now, j->want, j->o))
        action_say(j->out, ACTION_OK, "taken, and read again");
    else
        action_say(j->out, ACTION_RETRY, "taken, and somebody has changed it since");
    dns_state_free(&now);
}

static void change(struct job *j)
{
    struct dns_state was;

    if (read_state(j, &was) && !dns_refused(&was, j->o, j->out)) {
        if (dns_has(&was, j->want, j->o) && fencing_cmp(was.token, j->o->token) == 0)
            action_say(j->out, ACTION_ALREADY, "it is so already");
        else if (patch(j))
            read_again(j);
    }
    dns_state_free(&was);
}

/* ---- questions ---- */

static void probe(struct job *j)
{
    struct dns_state s;

    if (read_state(j, &s) && !dns_refused(&s, j->o, j->out)) {
        bool there = dns_has(&s, j->want, j->o);

        action_say(j->out, there ? ACTION_OK : ACTION_NOT_APPLIED, "the server has it%s",
                   there ? "" : " not");
    }
    dns_state_free(&s);
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
                                          .place = &j->t->record.place,
                                          .want = j->want,
                                          .order = j->o,
                                          .until = j->until},
                  j->out);
    if (has && j->out->class == ACTION_NOT_APPLIED)
        j->out->class = ACTION_PROGRESS;
}

/* The key of the API may do everything or nothing: that it reads says that it writes. */
static void precheck(struct job *j)
{
    struct dns_state s;

    if (read_state(j, &s) && !dns_refused(&s, j->o, j->out) && dns_ready(&j->t->record, &s, j->out))
        action_say(j->out, ACTION_OK, "the server would take it");
    dns_state_free(&s);
}

static void powerdns_run(const struct action_target *t, const struct action_order *o,
                         struct action_result *out)
{
    struct job j = {.t = t, .o = o, .out = out, .until = mono_add(clock_mono(), o->deadline)};

    j.want = dns_target_want(&t->record, o->op == ACTION_UNDO ? o->from : o->to, out);
    if (!j.want)
        return;
    arena_init(&j.a, NULL, ARENA_MOST);
    switch (o->op) {
    case ACTION_PRECHECK: precheck(&j); break;
    case ACTION_PROBE: probe(&j); break;
    case ACTION_VERIFY: verify(&j); break;
    default: change(&j);
    }
    arena_free(&j.a);
}

const struct action_driver action_powerdns = {
    .type = "powerdns",
    .sentence = "A record in a zone of PowerDNS, by its HTTP API; without compare and swap.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = ACTION_RECORD_REQUIRED " url",
    .steps = 1U << STEP_SWITCH | 1U << STEP_TIDY,
    .ops = (1U << ACTION_OPS) - 1,
    .check = powerdns_check,
    .open = powerdns_open,
    .close = powerdns_close,
    .run = powerdns_run,
};
