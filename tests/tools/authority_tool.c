/* Drives the authority by lines on stdin, for tests that run real stores around it.
 *
 *   authority_tool CONFIG VOTER BOOT LEASE_MS      [coordination] in CONFIG; type = local keeps its keys in the working folder
 *
 * In:  ID acquire|keep|resign|read SERVICE
 *      ID store SERVICE STORE REV SEEN RECORD LINE      ("-" for a LINE: none; words without blanks)
 *      ID journal SERVICE N
 *      ID place                                   answered "begun" at once
 * Out: one JSON object for each answer: {"id", "outcome", "token": [store, rev], "rev", "resigned", "known", "record", "holder",
 *      "why", "ms": how long it took, "sent_ms": age of `sent`}; a journal's: {"id", "code", "lines": […]}; a watch's hint:
 *      {"changed": service}. Ends with stdin. */
#include <cjson/cJSON.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aggregator/failover/authority.h"

enum { LINE_MOST = 200000, ID_MOST = 32 };

struct tool {
    struct loop *loop;
    struct authority *a;
    char in[LINE_MOST];
    size_t n;
};
struct question {
    struct tool *t;
    char id[ID_MOST];
    struct mono began;
    cJSON *lines;
};

static void say(cJSON *o)
{
    char *s = cJSON_PrintUnformatted(o);

    printf("%s\n", s);
    fflush(stdout);
    cJSON_free(s);
    cJSON_Delete(o);
}

static void number(cJSON *o, const char *name, uint64_t v)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRIu64, v);
    cJSON_AddRawToObject(o, name, text);
}

static void on_answer(void *arg, const struct authority_answer *a)
{
    static const char *const names[] = {"ok", "held", "lost", "conflict", "away"};
    struct question *q = arg;
    struct mono now = clock_mono();
    cJSON *o = cJSON_CreateObject();
    char *record = calloc(1, a->record.n + 1);

    if (record && a->record.n)
        memcpy(record, a->record.p, a->record.n);
    cJSON_AddStringToObject(o, "id", q->id);
    cJSON_AddStringToObject(o, "outcome", names[a->outcome]);
    number(o, "token_store", a->token.store);
    number(o, "token", a->token.rev);
    number(o, "rev", a->rev);
    cJSON_AddBoolToObject(o, "resigned", a->resigned);
    cJSON_AddBoolToObject(o, "known", a->known);
    cJSON_AddStringToObject(o, "record", record ? record : "");
    cJSON_AddStringToObject(o, "holder", a->holder);
    cJSON_AddStringToObject(o, "why", a->why);
    cJSON_AddNumberToObject(o, "ms", (double)mono_sub(now, q->began).ns / 1e6);
    cJSON_AddNumberToObject(o, "sent_ms", (double)mono_sub(now, a->sent).ns / 1e6);
    say(o);
    free(record);
    free(q);
}

static void on_line(void *arg, struct bytes line, int code)
{
    struct question *q = arg;
    cJSON *o;

    if (line.p) {
        char *s = calloc(1, line.n + 1);

        if (s && line.n)
            memcpy(s, line.p, line.n);
        cJSON_AddItemToArray(q->lines, cJSON_CreateString(s ? s : ""));
        free(s);
        return;
    }
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", q->id);
    cJSON_AddNumberToObject(o, "code", code);
    cJSON_AddItemToObject(o, "lines", q->lines);
    say(o);
    free(q);
}

static void on_changed(void *arg, const char *service)
{
    cJSON *o = cJSON_CreateObject();

    (void)arg;
    cJSON_AddStringToObject(o, "changed", service);
    say(o);
}

/* ---- the control store: a file for each key ---- */

struct local {
    void (*written)(void *arg, int code);
    void (*have)(void *arg, int code, struct bytes value);
    void *arg;
    uint8_t value[LINE_MOST];
    size_t n;
};

static void file_of(struct bytes key, char out[500])
{
    size_t n = key.n < 490 ? key.n : 490;

    for (size_t i = 0; i < n; i++)
        out[i] = key.p[i] == '/' ? '_' : (char)key.p[i];
    out[n] = 0;
}

static void local_done(void *arg)
{
    struct local *l = arg;

    if (l->written)
        l->written(l->arg, 0);
    else
        l->have(l->arg, 0, (struct bytes){l->n ? l->value : NULL, l->n});
    free(l);
}

static int local_write(void *arg, struct bytes key, struct bytes value, void (*done)(void *, int),
                       void *done_arg)
{
    struct tool *t = arg;
    struct local *l = calloc(1, sizeof *l);
    char name[500];
    FILE *f;

    file_of(key, name);
    f = fopen(name, "wb");
    if (!l || !f || fwrite(value.p, 1, value.n, f) != value.n || fclose(f) != 0)
        exit(1);
    l->written = done;
    l->arg = done_arg;
    return loop_post(t->loop, local_done, l);
}

static int local_read(void *arg, struct bytes key, void (*done)(void *, int, struct bytes), void *done_arg)
{
    struct tool *t = arg;
    struct local *l = calloc(1, sizeof *l);
    char name[500];
    FILE *f;

    file_of(key, name);
    f = fopen(name, "rb");
    if (!l)
        exit(1);
    l->n = f ? fread(l->value, 1, sizeof l->value, f) : 0;
    if (f)
        (void)fclose(f);
    l->have = done;
    l->arg = done_arg;
    return loop_post(t->loop, local_done, l);
}

/* ---- lines ---- */

static struct bytes word(char **at)
{
    char *w = *at + strspn(*at, " ");
    size_t n = strcspn(w, " ");

    *at = w + n + (w[n] != 0);
    w[n] = 0;
    return (struct bytes){(const uint8_t *)w, n};
}

static uint64_t whole(char **at)
{
    return strtoull((const char *)word(at).p, NULL, 10);
}

static int ask(struct tool *t, struct question *q, char *at)
{
    const char *what = (const char *)word(&at).p, *service = (const char *)word(&at).p;
    struct fencing token;
    struct bytes record, line;
    uint64_t seen;

    if (strcmp(what, "acquire") == 0)
        return authority_acquire(t->a, service, on_answer, q);
    if (strcmp(what, "keep") == 0)
        return authority_keep(t->a, service, on_answer, q);
    if (strcmp(what, "resign") == 0)
        return authority_resign(t->a, service, on_answer, q);
    if (strcmp(what, "read") == 0)
        return authority_read(t->a, service, on_answer, q);
    if (strcmp(what, "journal") == 0) {
        q->lines = cJSON_CreateArray();
        return authority_journal(t->a, service, (uint32_t)whole(&at), on_line, q);
    }
    token.store = whole(&at);
    token.rev = whole(&at);
    seen = whole(&at);
    record = word(&at);
    line = word(&at);
    if (line.n == 1 && line.p[0] == '-')
        line.n = 0;
    return authority_store(t->a, service, token, seen, record, line, on_answer, q);
}

static void say_outcome(const struct question *q, const char *what)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "id", q->id);
    cJSON_AddStringToObject(o, "outcome", what);
    say(o);
}

static void take(struct tool *t, char *line)
{
    struct question *q = calloc(1, sizeof *q);
    char *at = line;
    int rc;

    if (!q)
        exit(1);
    q->t = t;
    q->began = clock_mono();
    (void)snprintf(q->id, sizeof q->id, "%s", (const char *)word(&at).p);
    if (strcmp(at, "place") == 0) {
        authority_place(t->a);
        say_outcome(q, "begun");
        free(q);
        return;
    }
    rc = ask(t, q, at);
    if (rc) {
        say_outcome(q, err_name(rc));
        cJSON_Delete(q->lines);
        free(q);
    }
}

static void on_stdin(int fd, short what, void *arg)
{
    struct tool *t = arg;
    ssize_t n = read(fd, t->in + t->n, sizeof t->in - t->n - 1);
    char *end;

    (void)what;
    if (n <= 0) {
        loop_stop(t->loop);
        return;
    }
    t->n += (size_t)n;
    t->in[t->n] = 0;
    while ((end = memchr(t->in, '\n', t->n)) != NULL) {
        size_t used = (size_t)(end - t->in) + 1;

        *end = 0;
        take(t, t->in);
        memmove(t->in, t->in + used, t->n - used);
        t->n -= used;
    }
}

int main(int argc, char **argv)
{
    static struct tool t;
    struct err e = {0};
    struct buf report;
    struct config *c;
    struct event *in;
    struct authority_params p = {
        .local_write = local_write, .local_read = local_read, .local_arg = &t, .changed = on_changed};

    if (argc != 5)
        return 2;
    buf_init(&report, NULL, 1 << 16);
    c = config_load(argv[1], NULL, &coordination_section, 1, &report, &e);
    if (!c || authority_check(c, &report, &e) != 0) {
        fprintf(stderr, "%s", buf_text(&report));
        return 1;
    }
    t.loop = loop_new(&e);
    p.config = c;
    p.loop = t.loop;
    p.voter = argv[2];
    p.host = "host";
    p.boot = strtoull(argv[3], NULL, 10);
    p.lease = span_ms(strtoll(argv[4], NULL, 10));
    p.log = log_new(&(struct log_params){.level = LOG_DEBUG}, &e);
    t.a = t.loop ? authority_open(&p, &e) : NULL;
    if (!t.a) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    in = event_new(loop_base(t.loop), 0, EV_READ | EV_PERSIST, on_stdin, &t);
    event_add(in, NULL);
    (void)loop_run(t.loop);
    event_free(in);
    authority_close(&t.a);
    loop_free(&t.loop);
    config_free(&c);
    buf_free(&report);
    log_free(&p.log);
    return 0;
}
