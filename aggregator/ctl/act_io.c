/* sbctl: silences, maintenance, rotas, routes, events. Whoever adds a silence is shown what it matches now before it is
 * ordered. */
#include <stdio.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"

enum { PATH_MOST = 16384 };

/* The body of what has a beginning and an end. */
static cJSON *over_time(const struct ctl_options *o)
{
    cJSON *b = cJSON_CreateObject();

    if (o->from)
        cJSON_AddStringToObject(b, "from", o->from);
    if (o->to)
        cJSON_AddStringToObject(b, "to", o->to);
    if (o->last)
        cJSON_AddStringToObject(b, "for", o->last);
    return b;
}

static int end_one(struct ctl *c, const struct ctl_options *o, const char *resource, const char *id,
                   struct err *e)
{
    cJSON *body = cJSON_CreateObject();
    struct buf path;
    int rc;

    buf_init(&path, NULL, PATH_MOST);
    buf_fmt(&path, "/api/v1/%s", resource);
    path_part(&path, id);
    rc = ctl_order(c, o, "DELETE", buf_text(&path), &body, "ended", e);
    buf_free(&path);
    return rc;
}

/* ---- silences ---- */

static void show_silences(const cJSON *a, struct buf *out)
{
    static const struct column columns[] = {
        {"SILENCE", "id"},    {"STATE", "state"}, {"FROM", "from"},
        {"TO", "to"},         {"OWNER", "owner"}, {"MATCHES", "matches_now"},
        {"REASON", "reason"}, {"MATCH", "match"}, {NULL, NULL}};

    show_list(cJSON_GetObjectItemCaseSensitive(a, "silences"), columns, "No silence.", out);
}

static void show_preview(const cJSON *a, struct buf *out)
{
    static const struct column columns[] = {
        {"ALERT", "alert"}, {"SUMMARY", "summary"}, {"FINGERPRINT", "id"}, {NULL, NULL}};

    buf_fmt(out, "It matches %.0f of what fires now.\n", json_number(a, "matches_now"));
    if (json_number(a, "matches_now") > 0)
        show_list(cJSON_GetObjectItemCaseSensitive(a, "matches"), columns, "", out);
}

static int preview(struct ctl *c, const char *match, struct err *e)
{
    struct ctl_options people = {.json = false};
    struct buf path;
    int rc;

    buf_init(&path, NULL, PATH_MOST);
    buf_str(&path, "/api/v1/silences/preview");
    path_add(&path, "match", match);
    rc = ctl_fetch(c, &people, buf_text(&path), show_preview, e);
    buf_free(&path);
    return rc;
}

int ctl_silence(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    cJSON *body;
    int rc = 0;

    if (argc == 0 || ctl_verb("list", argc, argv, 0))
        return ctl_fetch(c, o, "/api/v1/silences", show_silences, e);
    if (ctl_verb("end", argc, argv, 1))
        return end_one(c, o, "silences", argv[1], e);
    if (!ctl_verb("add", argc, argv, 1))
        return err_set(e, ERR_CONFIG, "expected list, add MATCH --for D, or end ID");
    if (!o->reason)
        return err_set(e, ERR_CONFIG, "silence add: --reason TEXT is needed");
    if (!o->json)
        rc = preview(c, argv[1], e);
    if (rc)
        return rc;
    body = over_time(o);
    cJSON_AddStringToObject(body, "match", argv[1]);
    cJSON_AddBoolToObject(body, "end_when_resolved", o->until_resolved);
    return ctl_order(c, o, "POST", "/api/v1/silences", &body, "silenced", e);
}

/* ---- maintenance ---- */

static void show_maintenance(const cJSON *a, struct buf *out)
{
    static const struct column columns[] = {{"MAINTENANCE", "id"},
                                            {"STATE", "state"},
                                            {"FROM", "from"},
                                            {"TO", "to"},
                                            {"OWNER", "owner"},
                                            {"MUTES", "mutes"},
                                            {"SLA EXCLUDED", "excludes_sla"},
                                            {"REASON", "reason"},
                                            {"MATCH", "match"},
                                            {NULL, NULL}};

    show_list(cJSON_GetObjectItemCaseSensitive(a, "maintenance"), columns,
              "No maintenance is planned or under way.", out);
}

int ctl_maintenance(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    cJSON *body;

    if (argc == 0 || ctl_verb("list", argc, argv, 0))
        return ctl_fetch(c, o, "/api/v1/maintenance", show_maintenance, e);
    if (ctl_verb("end", argc, argv, 1))
        return end_one(c, o, "maintenance", argv[1], e);
    if (!ctl_verb("start", argc, argv, 2))
        return err_set(e, ERR_CONFIG, "expected list, start NAME MATCH --for D, or end ID");
    body = over_time(o);
    cJSON_AddStringToObject(body, "name", argv[1]);
    cJSON_AddStringToObject(body, "match", argv[2]);
    cJSON_AddBoolToObject(body, "excludes_sla", o->excludes_sla);
    return ctl_order(c, o, "POST", "/api/v1/maintenance", &body, "in maintenance", e);
}

/* ---- rotas and routes ---- */

int ctl_rota(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    struct buf path;
    cJSON *body;
    int rc;

    if (!ctl_verb("show", argc, argv, 1) && !ctl_verb("override", argc, argv, 2))
        return err_set(e, ERR_CONFIG, "expected show NAME, or override NAME PERSON --for D");
    buf_init(&path, NULL, PATH_MOST);
    buf_str(&path, "/api/v1/rotas");
    path_part(&path, argv[1]);
    if (argc == 2) {
        path_add(&path, "from", o->from);
        path_add(&path, "to", o->to);
        rc = ctl_fetch(c, o, buf_text(&path), show_details, e);
    } else {
        buf_str(&path, "/override");
        body = over_time(o);
        cJSON_AddStringToObject(body, "user", argv[2]);
        rc = ctl_order(c, o, "POST", buf_text(&path), &body, "overridden", e);
    }
    buf_free(&path);
    return rc;
}

int ctl_route(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    struct buf path;
    int rc;

    if (argc > 1)
        return err_set(e, ERR_CONFIG, "expected LABELS (name=value,…), or no argument for the receivers");
    buf_init(&path, NULL, PATH_MOST);
    buf_str(&path, argc ? "/api/v1/routes" : "/api/v1/receivers");
    path_add(&path, "labels", argc ? argv[0] : NULL);
    rc = ctl_fetch(c, o, buf_text(&path), show_details, e);
    buf_free(&path);
    return rc;
}

/* ---- events ---- */

static void show_events(const cJSON *a, struct buf *out)
{
    static const struct column columns[] = {{"TIME", "time"}, {"KIND", "kind"},     {"NAME", "name"},
                                            {"WHO", "who"},   {"LABELS", "labels"}, {"TEXT", "text"},
                                            {NULL, NULL}};

    show_list(cJSON_GetObjectItemCaseSensitive(a, "events"), columns, "No event is known.", out);
}

/* "name=value,…" */
static int add_labels(cJSON *body, const char *text, struct err *e)
{
    cJSON *o = cJSON_AddObjectToObject(body, "labels");

    while (text && *text) {
        size_t n = strcspn(text, ","), name = strcspn(text, "=,");
        char key[128], value[256];

        if (name >= n || name == 0 || name >= sizeof key || n - name > sizeof value)
            return err_set(e, ERR_CONFIG, "--labels: found \"%.*s\", expected name=value,…", (int)n, text);
        (void)snprintf(key, sizeof key, "%.*s", (int)name, text);
        (void)snprintf(value, sizeof value, "%.*s", (int)(n - name - 1), text + name + 1);
        cJSON_AddStringToObject(o, key, value);
        text += n + (text[n] == ',');
    }
    return 0;
}

int ctl_event(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    cJSON *body;

    if (argc == 0 || ctl_verb("list", argc, argv, 0))
        return ctl_fetch(c, o, "/api/v1/events", show_events, e);
    if (!ctl_verb("add", argc, argv, 1))
        return err_set(e, ERR_CONFIG,
                       "expected list, or add NAME [--kind K] [--text T] [--labels NAME=VALUE,…]");
    body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "name", argv[1]);
    if (o->kind)
        cJSON_AddStringToObject(body, "kind", o->kind);
    if (o->text)
        cJSON_AddStringToObject(body, "text", o->text);
    if (o->at)
        cJSON_AddStringToObject(body, "time", o->at);
    if (add_labels(body, o->labels, e) != 0) {
        cJSON_Delete(body);
        return e->code;
    }
    return ctl_order(c, o, "POST", "/api/v1/events", &body, "kept", e);
}
