/* See word.h. The names on the wire stand here, apart from those that are shown: they never change. */
#include "aggregator/failover/word.h"

#include <stdio.h>
#include <string.h>

enum { NUMBER_TEXT = 48, CLASSES = 6, AGE_MOST = 1 << 30 };
#define WHOLE_MOST 9007199254740992.0 /* 2^53: what a JSON number carries exactly (RFC 8259, section 6) */

static const char *const verdicts[] = {"unknown", "up", "degraded", "down"};
static const char *const users[] = {"unknown", "good", "bad"};
static const char *const classes[CLASSES] = {"probes",   "users",  "heartbeat",
                                             "database", "agents", "dependency"};

/* ---- writing ---- */

static void text_or_null(cJSON *o, const char *name, const char *text)
{
    if (*text)
        cJSON_AddStringToObject(o, name, text);
    else
        cJSON_AddNullToObject(o, name);
}

static void write_votes(const struct fo_word_service *s, cJSON *o)
{
    cJSON *list, *v, *names;

    cJSON_AddNumberToObject(o, "seq", (double)s->seq);
    cJSON_AddNumberToObject(o, "tick_ms", s->tick_ms);
    cJSON_AddBoolToObject(o, "self_ok", s->self_ok);
    list = cJSON_AddObjectToObject(o, "votes");
    for (uint8_t i = 0; i < s->n_votes; i++) {
        v = cJSON_AddObjectToObject(list, s->vote[i].region);
        cJSON_AddStringToObject(v, "verdict", verdicts[s->vote[i].verdict & 3]);
        names = cJSON_AddArrayToObject(v, "classes");
        for (unsigned k = 0; k < CLASSES; k++)
            if (s->vote[i].classes & 1u << k)
                cJSON_AddItemToArray(names, cJSON_CreateString(classes[k]));
        cJSON_AddStringToObject(v, "users", users[s->vote[i].users % 3]);
        cJSON_AddBoolToObject(v, "gray", s->vote[i].gray);
    }
}

static void write_record(const struct fo_word_service *s, cJSON *o)
{
    char token[NUMBER_TEXT];

    (void)snprintf(token, sizeof token, "%llu.%llu", (unsigned long long)s->token.store,
                   (unsigned long long)s->token.rev);
    cJSON_AddNumberToObject(o, "epoch", s->epoch);
    text_or_null(o, "active", s->active);
    text_or_null(o, "writer", s->writer);
    cJSON_AddStringToObject(o, "token", token);
}

static void write_guards(const struct fo_word_service *s, cJSON *o)
{
    cJSON *list = cJSON_AddArrayToObject(o, "guards"), *g;

    for (uint8_t i = 0; i < s->n_guards; i++) {
        g = cJSON_CreateObject();
        cJSON_AddStringToObject(g, "guard", s->guard[i].guard);
        cJSON_AddStringToObject(g, "region", s->guard[i].region);
        cJSON_AddNumberToObject(g, "fenced_epoch", s->guard[i].fenced_epoch);
        cJSON_AddBoolToObject(g, "serving", s->guard[i].serving);
        cJSON_AddNumberToObject(g, "age_ms", (double)s->guard[i].age_ms);
        cJSON_AddItemToArray(list, g);
    }
}

void fo_word_write(const struct fo_word *w, cJSON *into)
{
    cJSON *list, *o;
    char boot[NUMBER_TEXT];

    (void)snprintf(boot, sizeof boot, "%llu", (unsigned long long)w->boot);
    cJSON_AddStringToObject(into, "voter", w->voter);
    cJSON_AddStringToObject(into, "boot", boot);
    list = cJSON_AddArrayToObject(into, "failover");
    for (uint8_t i = 0; i < w->n; i++) {
        const struct fo_word_service *s = &w->service[i];

        o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "service", s->service);
        if (s->voting)
            write_votes(s, o);
        if (*s->state)
            cJSON_AddStringToObject(o, "state", s->state);
        cJSON_AddBoolToObject(o, "leading", s->leading);
        if (s->known)
            write_record(s, o);
        write_guards(s, o);
        cJSON_AddItemToArray(list, o);
    }
}

/* ---- reading ---- */

static const cJSON *item(const cJSON *o, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(o, name);
}

/* A name: not empty, within cap, no control characters. */
static bool name_into(const char *text, char *out, size_t cap)
{
    size_t n = text ? strlen(text) : 0;

    if (n == 0 || n >= cap)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            return false;
    memcpy(out, text, n + 1);
    return true;
}

static bool text_into(const cJSON *o, const char *name, char *out, size_t cap)
{
    return name_into(cJSON_GetStringValue(item(o, name)), out, cap);
}

/* Absent or null: "". */
static bool maybe_into(const cJSON *o, const char *name, char *out, size_t cap)
{
    const cJSON *x = item(o, name);

    *out = 0;
    return !x || cJSON_IsNull(x) || text_into(o, name, out, cap);
}

static bool yes(const cJSON *o, const char *name)
{
    return cJSON_IsTrue(item(o, name));
}

/* A whole number within [least, most]. */
static bool number(const cJSON *o, const char *name, double least, double most, uint64_t *out)
{
    double d = cJSON_GetNumberValue(item(o, name)); /* NaN when there is none */

    if (!(d >= least && d <= most))
        return false;
    *out = (uint64_t)d;
    return true;
}

/* Decimal digits up to `end`. */
static bool digits(const char *text, const char **end, uint64_t *out)
{
    uint64_t v = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t d = (uint64_t)(*p - '0');

        if (v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    *out = v;
    *end = p;
    return p > text;
}

static bool boot_of(const cJSON *o, uint64_t *out)
{
    const char *text = cJSON_GetStringValue(item(o, "boot")), *end;

    return text && digits(text, &end, out) && *end == 0;
}

static bool token_of(const cJSON *o, struct fencing *out)
{
    const char *text = cJSON_GetStringValue(item(o, "token")), *end;

    return text && digits(text, &end, &out->store) && *end == '.' && digits(end + 1, &end, &out->rev) &&
           *end == 0;
}

static uint8_t index_of(const char *const *names, uint8_t n, const char *text)
{
    for (uint8_t i = 0; text && i < n; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    return n;
}

static int read_vote(const cJSON *x, struct fo_word_service *s, struct err *e)
{
    struct fo_word_vote *v = &s->vote[s->n_votes];
    uint8_t verdict = index_of(verdicts, 4, cJSON_GetStringValue(item(x, "verdict"))),
            user = index_of(users, 3, cJSON_GetStringValue(item(x, "users"))), class;
    const cJSON *list = item(x, "classes");

    if (s->n_votes == FO_REGIONS)
        return err_set(e, ERR_LIMIT, "votes: at most %d regions are taken", FO_REGIONS);
    if (!cJSON_IsObject(x) || !name_into(x->string, v->region, sizeof v->region))
        return err_set(e, ERR_MALFORMED, "votes: a region's name and an object are needed");
    for (uint8_t i = 0; i < s->n_votes; i++)
        if (strcmp(s->vote[i].region, v->region) == 0)
            return err_set(e, ERR_MALFORMED, "votes: \"%s\" twice", v->region);
    v->verdict = verdict < 4 ? verdict : FO_UNKNOWN;
    v->users = user < 3 ? user : FO_USERS_UNKNOWN;
    v->gray = yes(x, "gray");
    for (const cJSON *c = cJSON_IsArray(list) ? list->child : NULL; c; c = c->next)
        if ((class = index_of(classes, CLASSES, cJSON_GetStringValue(c))) < CLASSES)
            v->classes |= (uint8_t)(1u << class);
    s->n_votes++;
    return 0;
}

static int read_votes(const cJSON *o, struct fo_word_service *s, struct err *e)
{
    const cJSON *list = item(o, "votes");
    uint64_t tick = 0;
    int rc = 0;

    if (!list)
        return 0;
    if (!cJSON_IsObject(list) || !number(o, "seq", 0, WHOLE_MOST, &s->seq) ||
        !number(o, "tick_ms", 1, FO_WORD_TICK_MOST, &tick))
        return err_set(e, ERR_MALFORMED, "votes: an object, seq and tick_ms are needed");
    s->voting = true;
    s->tick_ms = (int32_t)tick;
    s->self_ok = yes(o, "self_ok");
    for (const cJSON *x = list->child; x && rc == 0; x = x->next)
        rc = read_vote(x, s, e);
    return rc;
}

static int read_record(const cJSON *o, struct fo_word_service *s, struct err *e)
{
    uint64_t epoch = 0;

    if (!item(o, "epoch"))
        return 0;
    if (!number(o, "epoch", 0, UINT32_MAX, &epoch) || !token_of(o, &s->token) ||
        !maybe_into(o, "active", s->active, sizeof s->active) ||
        !maybe_into(o, "writer", s->writer, sizeof s->writer))
        return err_set(e, ERR_MALFORMED, "failover: epoch, active, writer and token go together");
    s->known = true;
    s->epoch = (uint32_t)epoch;
    return 0;
}

static int read_guards(const cJSON *o, struct fo_word_service *s, struct err *e)
{
    const cJSON *list = item(o, "guards");

    for (const cJSON *x = cJSON_IsArray(list) ? list->child : NULL; x; x = x->next) {
        struct fo_word_guard *g = &s->guard[s->n_guards];
        uint64_t fenced = 0, age = 0;

        if (s->n_guards == FO_GUARDS)
            return err_set(e, ERR_LIMIT, "guards: at most %d are taken", FO_GUARDS);
        if (!text_into(x, "guard", g->guard, sizeof g->guard) ||
            !text_into(x, "region", g->region, sizeof g->region) ||
            !number(x, "fenced_epoch", 0, UINT32_MAX, &fenced) || !number(x, "age_ms", 0, AGE_MOST, &age))
            return err_set(e, ERR_MALFORMED, "guards: guard, region, fenced_epoch and age_ms are needed");
        g->fenced_epoch = (uint32_t)fenced;
        g->age_ms = (int64_t)age;
        g->serving = yes(x, "serving");
        s->n_guards++;
    }
    return 0;
}

static int read_service(const cJSON *x, struct fo_word *out, struct err *e)
{
    struct fo_word_service *s = &out->service[out->n];
    int rc;

    if (out->n == FO_SERVICES)
        return err_set(e, ERR_LIMIT, "failover: at most %d services are taken", FO_SERVICES);
    if (!text_into(x, "service", s->service, sizeof s->service) ||
        !maybe_into(x, "state", s->state, sizeof s->state))
        return err_set(e, ERR_MALFORMED, "failover: a service's name is needed");
    if (fo_word_find(out, s->service))
        return err_set(e, ERR_MALFORMED, "failover: \"%s\" twice", s->service);
    s->leading = yes(x, "leading");
    rc = read_votes(x, s, e);
    rc = rc ? rc : read_record(x, s, e);
    rc = rc ? rc : read_guards(x, s, e);
    out->n = (uint8_t)(out->n + (rc == 0));
    return rc;
}

int fo_word_read(const cJSON *o, struct fo_word *out, struct err *e)
{
    const cJSON *list = item(o, "failover");
    int rc = 0;

    memset(out, 0, sizeof *out);
    if (!item(o, "voter"))
        return 0;
    if (!text_into(o, "voter", out->voter, sizeof out->voter) || !boot_of(o, &out->boot))
        rc = err_set(e, ERR_MALFORMED, "a voter is a name and a boot");
    for (const cJSON *x = cJSON_IsArray(list) ? list->child : NULL; x && rc == 0; x = x->next)
        rc = read_service(x, out, e);
    if (rc)
        memset(out, 0, sizeof *out);
    return rc;
}

/* ---- votes by name and by index ---- */

const struct fo_word_service *fo_word_find(const struct fo_word *w, const char *service)
{
    for (uint8_t i = 0; w && i < w->n && i < FO_SERVICES; i++)
        if (strcmp(w->service[i].service, service) == 0)
            return &w->service[i];
    return NULL;
}

void fo_word_put_vote(struct fo_word_service *s, const struct fo_names *n, uint8_t n_regions,
                      const struct fo_vote *v)
{
    if (v->tick_ms <= 0 || v->tick_ms > FO_WORD_TICK_MOST) /* before the first look */
        return;
    s->voting = true;
    s->seq = v->seq;
    s->tick_ms = v->tick_ms;
    s->self_ok = v->self_ok;
    s->n_votes = n_regions < FO_REGIONS ? n_regions : FO_REGIONS;
    for (uint8_t i = 0; i < s->n_votes; i++) {
        s->vote[i] = (struct fo_word_vote){.verdict = v->verdict[i],
                                           .classes = v->classes[i],
                                           .users = v->users[i],
                                           .gray = (v->gray & 1u << i) != 0};
        (void)snprintf(s->vote[i].region, FO_NAME, "%s", n->region[i]);
    }
}

bool fo_word_get_vote(const struct fo_word *w, const struct fo_word_service *s, const struct fo_names *n,
                      uint8_t n_regions, uint8_t n_voters, struct fo_vote *out)
{
    uint8_t voter = 0;

    while (voter < n_voters && voter < FO_VOTERS && strcmp(n->voter[voter], w->voter) != 0)
        voter++;
    if (!s->voting || voter == n_voters || voter == FO_VOTERS)
        return false;
    memset(out, 0, sizeof *out); /* with its padding: states are compared byte by byte */
    out->boot = w->boot;
    out->seq = s->seq;
    out->tick_ms = s->tick_ms;
    out->voter = voter;
    out->self_ok = s->self_ok;
    for (uint8_t i = 0; s->self_ok && i < s->n_votes && i < FO_REGIONS; i++)
        for (uint8_t r = 0; r < n_regions && r < FO_REGIONS; r++)
            if (strcmp(n->region[r], s->vote[i].region) == 0) {
                out->verdict[r] = s->vote[i].verdict;
                out->classes[r] = s->vote[i].classes;
                out->users[r] = s->vote[i].users;
                out->gray |= (uint8_t)(s->vote[i].gray ? 1u << r : 0);
            }
    return true;
}
