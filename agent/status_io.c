/* The verbs of the command line, spoken to a running agent by its unix socket: see status.h. */
#include <stdio.h>
#include <string.h>

#include "agent/status.h"
#include "common/wire/guard.h"
#include "common/daemon/daemon.h"
#include "common/net/http_client.h"
#include "common/net/loop.h"

struct asking {
    struct loop *loop;
    int status; /* to exit with */
};

static void answered(void *arg, const struct http_result *r)
{
    struct asking *a = arg;

    a->status = r->code == 0 && r->status == 200 ? 0 : 1;
    if (r->code != 0)
        (void)fprintf(stderr, "securebase-agent: no answer from the agent: %s\n", r->error);
    else
        (void)fwrite(r->body.p, 1, r->body.n, a->status ? stderr : stdout);
    loop_stop(a->loop);
}

static const struct {
    const char *verb, *word, *method, *path;
    bool json;
} verbs[] = {
    {"status", NULL, "GET", "/status", false},           {"status", NULL, "GET", "/status.json", true},
    {"spool", "stat", "GET", "/spool", false},           {"spool", "stat", "GET", "/status.json", true},
    {"spool", "verify", "POST", "/spool/verify", false}, {"spool", "drop", "POST", "/spool/drop", false},
    {"spool", "dead", "POST", "/spool/dead", false},     {"guard", "status", "GET", "/guards", false},
    {"guard", "status", "GET", "/guards.json", true},    {"guard", "check", "GET", "/guards/check", false},
};

/* The index of what the words ask for; -1. */
static int find(char **words, size_t n, bool json)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        size_t want = verbs[i].word ? 2 : 1;

        want += verbs[i].word && strcmp(verbs[i].word, "check") == 0;
        if (n == want && strcmp(words[0], verbs[i].verb) == 0 && verbs[i].json == json &&
            (!verbs[i].word || strcmp(words[1], verbs[i].word) == 0))
            return (int)i;
    }
    return -1;
}

bool status_is_verb(char **words, size_t n, bool json)
{
    return find(words, n, json) >= 0;
}

int status_verb(const char *socket, char **words, size_t n, bool json)
{
    struct http_client_params p = {.max_connections = 1};
    struct asking a = {.status = 1};
    struct http_request r = {.unix_socket = socket, .timeout = span_s(60), .fresh = true};
    struct http_client *c = NULL;
    int i = find(words, n, json);
    char url[256];
    struct err e = {0};

    if (i < 0)
        return EXIT_USAGE;
    if (n > 2 && (!guard_name_ok(words[2]))) {
        (void)fprintf(stderr, "securebase-agent: found \"%.100s\", expected the name of a guard\n", words[2]);
        return EXIT_USAGE;
    }
    (void)snprintf(url, sizeof url, "http://localhost%s%s%s", verbs[i].path, n > 2 ? "?name=" : "",
                   n > 2 ? words[2] : "");
    r.method = verbs[i].method;
    r.url = url;
    a.loop = loop_new(&e);
    if (a.loop)
        c = http_client_new(a.loop, &p, &e);
    if (!c || !http_client_send(c, &r, answered, &a, &e))
        (void)fprintf(stderr, "securebase-agent: %s\n", e.text);
    else
        (void)loop_run(a.loop);
    http_client_free(&c);
    loop_free(&a.loop);
    return a.status;
}
