/* sbctl: failover. What is read costs nothing and changes nothing; what acts needs a reason, and says what it has done. */
#include <stdio.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"
#include "aggregator/ctl/failover.h"

enum { PATH_MOST = 16384 };

/* Acting verbs: what is asked of the API under the same name, and what is said when it is done. */
static const struct act {
    const char *verb, *path, *said;
    bool to; /* --to is needed */
} acts[] = {
    {"start", "start", "the failover has begun: sbctl failover status", false},
    {"switchover", "switchover", "the switchover has begun: sbctl failover status", true},
    {"failback", "failback", "the way home has begun: sbctl failover status", false},
    {"approve", "approve", "approved: sbctl failover status", false},
    {"abort", "abort", "it is taken back: sbctl failover status", false},
    {"resume", "resume", "it goes on: sbctl failover status", false},
    {"retry-step", "retry-step", "the step is tried again: sbctl failover status", false},
    {"skip-step", "skip-step", "the action is skipped: sbctl failover status", false},
    {"ack", "ack", "acknowledged", false},
    {"lock", "lock", "locked: nothing moves by itself until it ends, or sbctl failover unlock", false},
    {"unlock", "unlock", "unlocked", false},
    {"must-not", "must-not", "this region is no target until that ends, or sbctl failover unlock", true},
    {"maintenance", "maintenance", "in maintenance: nothing moves by itself meanwhile", false},
    {"automation", "automation", "set", false},
    {"fence", "fence", "fenced", true},
    {"unfence", "unfence", "not fenced any more", true},
    {"break-glass", "break-glass", "the record is as you say", true},
};

static bool is(const char *word, const char *text)
{
    return strcmp(word, text) == 0;
}

int ctl_service(struct ctl *c, const char *named, char out[128], struct err *e)
{
    cJSON *o;
    const cJSON *list;
    int n;

    if (named) {
        (void)snprintf(out, 128, "%s", named);
        return 0;
    }
    o = ctl_json(c, "/api/v1/failover", e);
    if (!o)
        return e->code;
    list = cJSON_GetObjectItemCaseSensitive(o, "services");
    n = cJSON_GetArraySize(list);
    if (n == 1)
        (void)snprintf(out, 128, "%s", json_text(cJSON_GetArrayItem(list, 0), "service"));
    else if (n == 0)
        (void)err_set(e, ERR_NOTFOUND, "there is no [failover] section at this aggregator");
    else
        (void)err_set(e, ERR_CONFIG, "there are %d services: name the one that you mean", n);
    cJSON_Delete(o);
    return n == 1 ? 0 : e->code;
}

static int get(struct ctl *c, const struct ctl_options *o, const char *service, const char *tail,
               void (*show)(const cJSON *, struct buf *), struct err *e)
{
    struct buf path;
    int rc;

    buf_init(&path, NULL, PATH_MOST);
    buf_str(&path, "/api/v1/failover");
    if (service)
        path_part(&path, service);
    if (tail) {
        buf_fmt(&path, "/%s", tail);
        path_add(&path, "to", o->to);
        path_add(&path, "kind", o->kind);
        path_add(&path, "accept_data_loss", o->accept_data_loss);
    }
    rc = ctl_fetch(c, o, buf_text(&path), show, e);
    buf_free(&path);
    return rc;
}

/* Where all is as it was before, the operator types the service's name: what cannot be taken back is not typed by habit. */
static int confirm(const struct ctl_options *o, const char *service, struct err *e)
{
    if (!o->confirm || !is(o->confirm, service))
        return err_set(e, ERR_CONFIG, "break-glass: --confirm %s is needed: the service's name, typed",
                       service);
    if (!o->fenced_by_hand)
        return err_set(
            e, ERR_CONFIG,
            "break-glass: --fenced-by-hand is needed: you vouch that the old side does not write, and "
            "--reason says how it was stopped");
    return 0;
}

static cJSON *body_of(const struct ctl_options *o, const char *mode, const char *action)
{
    cJSON *b = cJSON_CreateObject();
    const struct {
        const char *name, *text;
    } texts[] = {{"to", o->to},
                 {"for", o->last},
                 {"accept_data_loss", o->accept_data_loss},
                 {"mode", mode},
                 {"action", action}};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].text)
            cJSON_AddStringToObject(b, texts[i].name, texts[i].text);
    }
    if (o->fenced_by_hand)
        cJSON_AddBoolToObject(b, "fenced_by_hand", true);
    return b;
}

static int act(struct ctl *c, const struct ctl_options *o, const struct act *a, int argc, char **argv,
               struct err *e)
{
    bool automation = is(a->verb, "automation"), step = is(a->verb, "skip-step") || is(a->verb, "retry-step");
    const char *mode = NULL, *action = NULL;
    char service[128];
    struct buf path;
    cJSON *body;
    int rc;

    if (automation && argc >= 1)
        mode = argv[--argc];
    if (automation && !mode)
        return err_set(e, ERR_CONFIG, "automation: expected [SERVICE] observe, propose or auto");
    if (step && argc >= 1 && (argc == 2 || is(a->verb, "skip-step")))
        action = argv[--argc];
    if (argc > 1)
        return err_set(e, ERR_CONFIG, "%s: found \"%s\" behind the service", a->verb, argv[1]);
    if (a->to && !o->to)
        return err_set(e, ERR_CONFIG, "%s: --to REGION is needed", a->verb);
    if (!o->reason)
        return err_set(e, ERR_CONFIG, "%s: --reason TEXT is needed", a->verb);
    rc = ctl_service(c, argc ? argv[0] : NULL, service, e);
    if (rc == 0 && is(a->verb, "break-glass"))
        rc = confirm(o, service, e);
    if (rc)
        return rc;
    body = body_of(o, mode, action);
    buf_init(&path, NULL, PATH_MOST);
    buf_str(&path, "/api/v1/failover");
    path_part(&path, service);
    buf_fmt(&path, "/%s", a->path);
    rc = ctl_order(c, o, "POST", buf_text(&path), &body, a->said, e);
    if (rc && *ctl_leader(c)) {
        const struct leader_order there = {
            .url = ctl_leader(c), .verb = a->verb, .service = service, .last = mode ? mode : action};

        show_leader_order(o, &there, &path);
        (void)fprintf(stderr, "%s", buf_text(&path));
    }
    buf_free(&path);
    return rc;
}

static int no_such(const char *verb, struct err *e)
{
    char orders[400] = "";
    size_t n = 0;

    for (size_t i = 0; i < sizeof acts / sizeof *acts && n < sizeof orders; i++)
        n += (size_t)snprintf(orders + n, sizeof orders - n, "%s%s", i ? ", " : "", acts[i].verb);
    return err_set(e, ERR_CONFIG,
                   "found \"%.40s\", expected status, explain, plan, readiness, or an order: %s", verb,
                   orders);
}

int ctl_failover(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    static const struct {
        const char *verb, *tail;
        void (*show)(const cJSON *a, struct buf *out);
        bool one; /* of one service */
    } reads[] = {{"status", NULL, show_failover, false},
                 {"explain", NULL, show_failover_why, false},
                 {"readiness", NULL, show_readiness, false},
                 {"plan", "plan", show_failover_plan, true}};
    const char *verb = argc ? argv[0] : "status";
    char service[128];

    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        if (!is(verb, reads[i].verb))
            continue;
        if (argc > 2)
            return err_set(e, ERR_CONFIG, "%s: found \"%s\" behind the service", verb, argv[2]);
        if (!reads[i].one)
            return get(c, o, argc == 2 ? argv[1] : NULL, reads[i].tail, reads[i].show, e);
        return ctl_service(c, argc == 2 ? argv[1] : NULL, service, e)
                   ? e->code
                   : get(c, o, service, reads[i].tail, reads[i].show, e);
    }
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (is(verb, acts[i].verb))
            return act(c, o, &acts[i], argc - 1, argv + 1, e);
    }
    return no_such(verb, e);
}
