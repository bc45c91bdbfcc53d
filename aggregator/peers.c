/* See peers.h. */
#include "aggregator/peers.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

enum { TOLD_MOST = 4000, SLOS_MOST = 1000, TEXT_MOST = 512, LOOK_BACK_S = 300 };

static const struct option_row rows[] = {
    {.key = "url",
     .type = OPT_STRING,
     .required = true,
     .reloadable = true,
     .sentence = "Where it listens for agents and peers: https://host:9870."},
    {.key = "region",
     .type = OPT_STRING,
     .required = true,
     .reloadable = true,
     .sentence = "The region that it serves."},
    {.key = "ca",
     .type = OPT_PATH,
     .reloadable = true,
     .sentence = "PEM file of the authority that its certificate comes from; without it, the system's."},
    {.key = "cert",
     .type = OPT_PATH,
     .reloadable = true,
     .sentence = "PEM file of our certificate, with the identity securebase://role/peer."},
    {.key = "key", .type = OPT_PATH, .reloadable = true, .sentence = "PEM file of its key."},
    {.key = "token",
     .type = OPT_SECRET,
     .reloadable = true,
     .sentence = "A bearer token instead of a certificate."},
    {.key = "reading",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence =
         "Where it is read and ordered (its [http] listener): while it leads, people who order a move "
         "here are told to ask there."},
};

const struct section_row peer_section = {
    .name = "peer",
    .named = true,
    .sentence = "Another aggregator, which is told every five seconds what is delivered and counted here.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .example = "west",
};

int peers_check(const struct config *c, struct buf *report, struct err *e)
{
    const char *own = option_text(config_section(c, "aggregator"), "region");
    const struct section *s;
    int rc = 0, bad;

    for (size_t i = 0; (s = config_named(c, "peer", i)) != NULL; i++) {
        const char *url = option_text(s, "url"), *region = option_text(s, "region");

        bad = 0;
        if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
            bad = config_complain(report, s, "url", e, "found \"%s\", expected http:// or https://", url);
        else if (strcmp(region, own) == 0)
            bad = config_complain(report, s, "region", e, "found our own region");
        else if (option_set(s, "cert") != option_set(s, "key"))
            bad = config_complain(report, s, "cert", e, "cert and key go together");
        rc = rc ? rc : bad;
    }
    return rc;
}

/* ---- writing ---- */

struct list {
    cJSON *array;
    int n, most;
    uint32_t left_off;
};

static int add_told(void *arg, const struct peer_told *t)
{
    struct list *l = arg;
    cJSON *o;

    if (l->n >= l->most) {
        l->left_off++;
        return 0;
    }
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "key", t->dedup_key);
    cJSON_AddNumberToObject(o, "epoch", (double)t->epoch);
    cJSON_AddBoolToObject(o, "delivered", t->delivered);
    cJSON_AddBoolToObject(o, "acknowledged", t->acknowledged);
    cJSON_AddBoolToObject(o, "resolved", t->resolved);
    cJSON_AddItemToArray(l->array, o);
    l->n++;
    return 0;
}

static int add_slo(void *arg, const char *slo, struct labels group, uint64_t good, uint64_t total)
{
    struct list *l = arg;
    cJSON *o, *labels;

    if (l->n >= l->most) {
        l->left_off++;
        return 0;
    }
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "slo", slo);
    labels = cJSON_AddObjectToObject(o, "group");
    for (uint32_t i = 0; i < group.n; i++)
        cJSON_AddStringToObject(labels, group.v[i].name, group.v[i].value);
    cJSON_AddNumberToObject(o, "good", (double)good);
    cJSON_AddNumberToObject(o, "total", (double)total);
    cJSON_AddItemToArray(l->array, o);
    l->n++;
    return 0;
}

static void write_firing(const struct judge *j, cJSON *o)
{
    for (int s = SEVERITY_INFO; s <= SEVERITY_CRITICAL; s++)
        cJSON_AddNumberToObject(o, severity_name((enum severity)s),
                                alerts_firing(judge_alerts(j), (enum severity)s));
}

static void write_whole(const struct judge *j, struct wall now, cJSON *o)
{
    struct list told = {.most = TOLD_MOST}, slos = {.most = SLOS_MOST};
    struct wall since = wall_add(now, span_s(-LOOK_BACK_S));
    char text[WALL_TEXT];

    told.array = cJSON_AddArrayToObject(o, "told");
    (void)notify_tell_peer(judge_notify(j), add_told, &told);
    slos.array = cJSON_AddArrayToObject(o, "slos");
    cJSON_AddStringToObject(o, "slos_since", wall_text(since, text));
    (void)slos_tell(judge_slos(j), since, add_slo, &slos);
    cJSON_AddNumberToObject(o, "left_off", told.left_off + slos.left_off);
    write_firing(j, cJSON_AddObjectToObject(o, "alerts"));
}

int peer_write(const struct peer_self *self, const struct judge *j, struct wall now, struct buf *json)
{
    cJSON *o = cJSON_CreateObject();
    char text[WALL_TEXT], *out;

    cJSON_AddNumberToObject(o, "version", 1);
    cJSON_AddStringToObject(o, "region", self->region);
    cJSON_AddStringToObject(o, "host", self->host);
    cJSON_AddStringToObject(o, "program", self->version);
    cJSON_AddStringToObject(o, "sent", wall_text(now, text));
    cJSON_AddBoolToObject(o, "telling", self->telling);
    if (!self->light)
        write_whole(j, now, o);
    if (self->failover)
        fo_word_write(self->failover, o);
    out = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (!out)
        return ERR_NOMEM;
    buf_str(json, out);
    cJSON_free(out);
    return json->full ? ERR_LIMIT : 0;
}

/* ---- reading ---- */

static bool text_into(const cJSON *o, const char *name, char *out, size_t cap)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

    return s && *s && (size_t)snprintf(out, cap, "%s", s) < cap;
}

static bool yes(const cJSON *o, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, name));
}

static int read_told(const cJSON *list, struct arena *a, struct peer_word *out, struct err *e)
{
    int n = cJSON_GetArraySize(list);
    struct peer_told *v;

    if (n > TOLD_MOST)
        return err_set(e, ERR_LIMIT, "told: at most %d are taken", TOLD_MOST);
    v = arena_array(a, (size_t)n + 1, sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory");
    for (const cJSON *x = list ? list->child : NULL; x; x = x->next) {
        const char *key = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(x, "key"));
        double epoch = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(x, "epoch"));
        struct peer_told *t = &v[out->telling.n_told];

        if (!key || strlen(key) > TEXT_MOST || !(epoch >= 0 && epoch < 9007199254740992.0))
            return err_set(e, ERR_MALFORMED, "told: key and epoch are needed");
        t->dedup_key = arena_text(a, key, strlen(key));
        t->epoch = (uint64_t)epoch;
        t->delivered = yes(x, "delivered");
        t->acknowledged = yes(x, "acknowledged");
        t->resolved = yes(x, "resolved");
        if (!t->dedup_key)
            return err_set(e, ERR_NOMEM, "no memory");
        out->telling.n_told++;
    }
    out->telling.told = v;
    return 0;
}

static void read_firing(const cJSON *o, struct peer_word *out)
{
    for (int s = SEVERITY_INFO; s <= SEVERITY_CRITICAL; s++) {
        double n = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, severity_name((enum severity)s)));

        out->firing[s] = n >= 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
    }
}

/* Mistakes in this part do not silence the rest: who tells what has to be known in any case. */
static void read_failover(const cJSON *o, struct arena *a, struct peer_word *out)
{
    if (!cJSON_GetObjectItemCaseSensitive(o, "voter"))
        return;
    out->failover = arena_alloc(a, sizeof *out->failover);
    if (!out->failover)
        (void)err_set(&out->failover_error, ERR_NOMEM, "no memory");
    else if (fo_word_read(o, out->failover, &out->failover_error) != 0)
        out->failover = NULL;
}

int peer_read(struct bytes json, struct arena *a, struct peer_word *out, struct err *e)
{
    cJSON *o = cJSON_ParseWithLength((const char *)json.p, json.n);
    char sent[WALL_TEXT] = "";
    int rc;

    *out = (struct peer_word){.slos = 0};
    if (!cJSON_IsObject(o) || !text_into(o, "region", out->region, sizeof out->region) ||
        !text_into(o, "sent", sent, sizeof sent) || wall_parse(sent, &out->telling.sent) != 0) {
        cJSON_Delete(o);
        return err_set(e, ERR_MALFORMED, "an object with region and sent is needed");
    }
    (void)text_into(o, "host", out->host, sizeof out->host);
    (void)text_into(o, "program", out->version, sizeof out->version);
    out->telling.region = arena_text(a, out->region, strlen(out->region));
    out->telling.telling = yes(o, "telling");
    out->light = !cJSON_GetObjectItemCaseSensitive(o, "told");
    out->slos = (uint32_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(o, "slos"));
    read_firing(cJSON_GetObjectItemCaseSensitive(o, "alerts"), out);
    read_failover(o, a, out);
    rc = out->telling.region ? read_told(cJSON_GetObjectItemCaseSensitive(o, "told"), a, out, e)
                             : err_set(e, ERR_NOMEM, "no memory");
    cJSON_Delete(o);
    return rc;
}
