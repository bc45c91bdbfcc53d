/* sbctl's commands: see ctl.h. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "aggregator/ctl/ctl.h"
#include "common/net/loop.h"

enum { SHOWN_MOST = 64 << 20 };

int ctl_fetch(struct ctl *c, const struct ctl_options *o, const char *path,
              void (*show)(const cJSON *, struct buf *), struct err *e)
{
    struct buf out;
    cJSON *answer = NULL;
    int rc = 0;

    buf_init(&out, NULL, SHOWN_MOST);
    if (o->json) {
        rc = ctl_get(c, path, &out, e);
    } else {
        answer = ctl_json(c, path, e);
        rc = answer ? 0 : e->code;
        if (answer)
            show(answer, &out);
    }
    if (!rc)
        ctl_print(&out);
    cJSON_Delete(answer);
    buf_free(&out);
    return rc;
}

static int no_arguments(int argc, char **argv, struct err *e)
{
    return argc ? err_set(e, ERR_CONFIG, "found \"%s\", expected no argument", argv[0]) : 0;
}

int ctl_status(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    int rc = no_arguments(argc, argv, e);

    return rc ? rc : ctl_fetch(c, o, "/api/v1/status", show_status, e);
}

static void show_agents_now(const cJSON *agents, struct buf *out)
{
    char now[WALL_TEXT];

    show_agents(agents, wall_text(clock_wall(), now), out);
}

/* What the user gave, or one of our own. */
static const char *request_id(const struct ctl_options *o, char id[40])
{
    uint64_t r[2] = {0};

    if (o->request_id)
        return o->request_id;
    if (getrandom(r, sizeof r, 0) != sizeof r)
        r[0] = (uint64_t)clock_wall().ms;
    (void)snprintf(id, 40, "sbctl-%016llx%016llx", (unsigned long long)r[0], (unsigned long long)r[1]);
    return id;
}

int ctl_order(struct ctl *c, const struct ctl_options *o, const char *method, const char *path, cJSON **body,
              const char *said, struct err *e)
{
    struct buf out;
    char id[40], *json;
    cJSON *b = *body, *answer;
    int rc;

    *body = NULL;
    if (!o->reason) {
        cJSON_Delete(b);
        return err_set(e, ERR_CONFIG, "--reason TEXT is needed");
    }
    cJSON_AddStringToObject(b, "reason", o->reason);
    cJSON_AddStringToObject(b, "request_id", request_id(o, id));
    json = cJSON_PrintUnformatted(b);
    cJSON_Delete(b);
    if (!json)
        return err_set(e, ERR_NOMEM, "no memory");
    buf_init(&out, NULL, SHOWN_MOST);
    rc = ctl_send(c, method, path, json, &out, e);
    cJSON_free(json);
    if (!rc && o->json) {
        ctl_print(&out);
    } else if (!rc) {
        answer = cJSON_ParseWithLength((const char *)out.data, out.len);
        (void)printf("%s%s%s\n", said, *json_text(answer, "id") ? ": " : "", json_text(answer, "id"));
        cJSON_Delete(answer);
    }
    buf_free(&out);
    return rc;
}

static int forget(struct ctl *c, const struct ctl_options *o, const char *agent, struct err *e)
{
    struct buf path, out;
    char id[40];
    int rc;

    if (!o->reason)
        return err_set(e, ERR_CONFIG, "forget: --reason TEXT is needed");
    buf_init(&path, NULL, 8192);
    buf_init(&out, NULL, 65536);
    buf_str(&path, "/api/v1/agents/forget");
    path_add(&path, "agent", agent);
    path_add(&path, "reason", o->reason);
    path_add(&path, "request_id", request_id(o, id));
    rc = ctl_post(c, buf_text(&path), &out, e);
    if (!rc && o->json)
        ctl_print(&out);
    else if (!rc)
        (void)printf("%s is forgotten\n", agent);
    buf_free(&path);
    buf_free(&out);
    return rc;
}

int ctl_agents(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    if (argc == 2 && strcmp(argv[0], "forget") == 0)
        return forget(c, o, argv[1], e);
    if (argc)
        return err_set(e, ERR_CONFIG, "expected no argument, or forget AGENT --reason TEXT");
    return ctl_fetch(c, o, "/api/v1/agents?limit=10000", show_agents_now, e);
}

int ctl_percentiles(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    struct buf path;
    int rc;

    if (argc > 1)
        return err_set(e, ERR_CONFIG, "found %d arguments, expected one METRIC at most", argc);
    buf_init(&path, NULL, 16384);
    buf_str(&path, "/api/v1/percentiles");
    path_add(&path, "metric", argc ? argv[0] : NULL);
    path_add(&path, "by", o->by);
    path_add(&path, "window", o->window);
    rc = ctl_fetch(c, o, buf_text(&path), show_percentiles, e);
    buf_free(&path);
    return rc;
}
