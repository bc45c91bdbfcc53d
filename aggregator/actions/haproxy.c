/* HAProxy by its runtime socket: which servers of a backend get traffic. Management guide, "Unix Socket commands"; 2.6.
 *
 *   fence    servers of the old region: maint, and their sessions are shut down
 *   warm     servers of the new region: from maint to drain, so that they are checked, until one passes
 *   switch   servers of the new region: ready; then those of the old one: what `standby` says, unless they are in maint
 *   undo     the old region ready again; after a switch, the new one as `standby` says
 *
 * What is set is read back by `show servers state`. It lasts until HAProxy is reloaded: keep a state file
 * (load-server-state-from-file), or let the configuration follow. As a fence it proves what passes through these load
 * balancers and nothing else, hence `proves`. The token is kept in the process-wide variable proc.securebase_SERVICE, by a
 * command that counts as experimental there: without it nothing is kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/actions/haproxy.h"
#include "common/config/copies.h"

enum { SOCKETS = 16, SERVERS = 64, NAME = 128 };

/* srv_admin_state, src include/haproxy/server-t.h: forced, inherited and resolution's maintenance; forced, inherited drain */
enum { ADMIN_MAINT = 0x23, ADMIN_DRAIN = 0x18 };
enum { OPERATIONAL_RUNNING = 2, CHECK_PASSED = 3, CHECK_CONFIGURED = 2 };

struct server {
    char *region, *name; /* "app/east1" */
};
struct action_target {
    int step;
    char *service;
    bool maint; /* what servers of the region that is not active get: maint, else drain */
    char *sockets[SOCKETS];
    struct server servers[SERVERS];
    size_t n_sockets, n_servers;
};

static const struct option_row rows[] = {
    {.key = "sockets",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = SOCKETS,
     .sentence = "Runtime sockets of all load balancers that are to be told, level admin: "
                 "unix:/run/haproxy/admin.sock, or "
                 "an address and a port."},
    {.key = "servers",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = SERVERS,
     .sentence = "The servers of each region, as backend/server: us-east-1=app/east1 us-west-2=app/west1; "
                 "several for a "
                 "region are allowed."},
    {.key = "standby",
     .type = OPT_CHOICE,
     .dflt = "drain",
     .choices = "drain maint",
     .reloadable = true,
     .sentence =
         "State of servers that are to get no new traffic: drain keeps checking them, maint does not."},
    {.key = "proves",
     .type = OPT_BOOL,
     .dflt = "no",
     .reloadable = true,
     .sentence = "As a fence: whether its `ok` to a probe proves that the old region does not write."},
};

/* ---- what is true there ---- */

struct seen {
    bool known, maint, drain, running, passing;
};

/* The n-th word (from 0) of a line as a number; -1 when it is none. */
static long column(const char *line, size_t len, int n)
{
    const char *p = line, *end = line + len;

    while (n-- > 0) {
        p = memchr(p, ' ', (size_t)(end - p));
        if (!p)
            return -1;
        p++;
    }
    return p < end && *p >= '0' && *p <= '9' ? strtol(p, NULL, 10) : -1;
}

static bool is_server(const char *line, size_t len, const char *name)
{
    char a[NAME], b[NAME], full[2 * NAME];
    char copy[1024];

    if (len >= sizeof copy)
        return false;
    memcpy(copy, line, len);
    copy[len] = 0;
    if (sscanf(copy, "%*s %127s %*s %127s", a, b) != 2)
        return false;
    (void)snprintf(full, sizeof full, "%s/%s", a, b);
    return strcmp(full, name) == 0;
}

/* srv_op_state, srv_admin_state, srv_check_result and srv_check_state are columns 5, 6, 11 and 13 of format 1. A server
 * that has just left maint counts as running until a check says otherwise, so a warm one has to have passed. */
static void read_state(const char *text, const char *name, struct seen *s)
{
    *s = (struct seen){.known = false};
    text += strspn(text, "\r\n");
    if (text[0] != '1' || (text[1] != '\n' && text[1] != '\r')) /* the format's version */
        return;
    for (const char *line = text, *end; *line; line = end + (*end != 0)) {
        long admin;

        end = line + strcspn(line, "\n");
        if (*line == '#' || !is_server(line, (size_t)(end - line), name))
            continue;
        admin = column(line, (size_t)(end - line), 6);
        s->known = admin >= 0;
        s->maint = admin & ADMIN_MAINT;
        s->drain = admin & ADMIN_DRAIN;
        s->running = column(line, (size_t)(end - line), 5) == OPERATIONAL_RUNNING;
        s->passing = column(line, (size_t)(end - line), 11) >= CHECK_PASSED ||
                     !(column(line, (size_t)(end - line), 13) & CHECK_CONFIGURED);
        return;
    }
}

struct run {
    const struct action_target *t;
    const struct action_order *o;
    struct haproxy_talk *k;
    struct action_result *out;
};

/* A command that did not come through, or was refused by its words. */
static bool trouble(struct run *r, const char *where, bool change)
{
    action_say(r->out, change && r->k->sent ? ACTION_UNKNOWN : ACTION_RETRY, "%.60s: %s", where, r->k->why);
    return false;
}

static bool look(struct run *r, const char *where, const char *name, struct seen *s)
{
    char text[NAME + 32];

    (void)snprintf(text, sizeof text, "show servers state %.*s\n", (int)strcspn(name, "/"), name);
    if (!haproxy_command(where, text, r->k))
        return trouble(r, where, false);
    read_state(r->k->text, name, s);
    if (!s->known)
        action_say(r->out, ACTION_DENIED, "%.60s shows no server %.100s: %.60s", where, name,
                   strncmp(r->k->text, "1\n", 2) == 0 ? "" : r->k->text);
    return s->known;
}

/* An answer is empty when it was done. */
static bool order(struct run *r, const char *where, const char *text)
{
    size_t n;

    if (!haproxy_command(where, text, r->k))
        return trouble(r, where, true);
    n = strspn(r->k->text, " \r\n");
    if (!r->k->text[n])
        return true;
    action_say(r->out, ACTION_DENIED, "%.60s refuses: %.*s", where, (int)strcspn(r->k->text + n, "\r\n"),
               r->k->text + n);
    return false;
}

static bool set_state(struct run *r, const char *where, const char *name, const char *state)
{
    char text[NAME + 48];

    (void)snprintf(text, sizeof text, "set server %s state %s\n", name, state);
    return order(r, where, text);
}

/* ---- the token ---- */

static void variable(const char *service, char out[NAME])
{
    size_t n = (size_t)snprintf(out, NAME, "proc.securebase_%.64s", service);

    for (size_t i = 5; i < n; i++)
        if (!((out[i] >= '0' && out[i] <= '9') || (out[i] >= 'a' && out[i] <= 'z') ||
              (out[i] >= 'A' && out[i] <= 'Z')))
            out[i] = '_';
}

/* False: a higher one stands there, or it cannot be asked. */
static bool token_allows(struct run *r, const char *where)
{
    char name[NAME], text[NAME + 16];
    struct fencing found;
    uint32_t epoch;
    char *value;

    variable(r->o->service, name);
    (void)snprintf(text, sizeof text, "get var %s\n", name);
    if (!haproxy_command(where, text, r->k))
        return trouble(r, where, false);
    value = strstr(r->k->text, "value=<");
    if (!value)
        return true;
    value += strlen("value=<");
    value[strcspn(value, ">")] = 0;
    if (!action_mark_parse(value, &epoch, &found))
        return true;
    if (fencing_cmp(found, r->out->found) > 0)
        r->out->found = found;
    if (fencing_cmp(found, r->o->token) <= 0)
        return true;
    action_say(r->out, ACTION_CONFLICT, "a higher token stands at %.60s: epoch %u, token %llu.%llu", where,
               epoch, (unsigned long long)found.store, (unsigned long long)found.rev);
    return false;
}

/* Best effort: where the command is refused nothing is kept. */
static void put_token(struct run *r, const char *where)
{
    char name[NAME], mark[ACTION_MARK], text[NAME + ACTION_MARK * 2 + 64];
    size_t n;

    variable(r->o->service, name);
    action_mark(r->o, mark);
    n = (size_t)snprintf(text, sizeof text, "experimental-mode on; set var %s fmt ", name);
    for (const char *p = mark; *p && n + 4 < sizeof text; p++) {
        if (*p == ' ')
            text[n++] = '\\';
        text[n++] = *p;
    }
    text[n++] = '\n';
    text[n] = 0;
    (void)haproxy_command(where, text, r->k);
}

/* ---- steps ---- */

enum want { WANT_READY, WANT_QUIET, WANT_MAINT, WANT_CHECKED };

static bool is_so(const struct seen *s, enum want w)
{
    switch (w) {
    case WANT_READY: return !s->maint && !s->drain;
    case WANT_QUIET: return s->maint || s->drain;
    case WANT_MAINT: return s->maint;
    case WANT_CHECKED: return !s->maint;
    }
    return false;
}

/* What a region's servers are to be, in an operation; false: nothing is asked of them. */
static bool wanted(const struct run *r, const char *region, enum want *w)
{
    bool old = strcmp(region, r->o->from) == 0, fresh = strcmp(region, r->o->to) == 0,
         undo = r->o->op == ACTION_UNDO;

    if (r->t->step == STEP_FENCE)
        *w = undo ? WANT_READY : WANT_MAINT;
    else if (r->t->step == STEP_WARM)
        *w = undo ? WANT_QUIET : WANT_CHECKED;
    else
        *w = old == undo ? WANT_READY : WANT_QUIET;
    return r->t->step == STEP_FENCE ? old : r->t->step == STEP_WARM ? fresh : old || fresh;
}

struct count {
    size_t asked, so, alive;
};

static bool count_all(struct run *r, const char *where, struct count *n)
{
    for (size_t i = 0; i < r->t->n_servers; i++) {
        const struct server *s = &r->t->servers[i];
        struct seen seen;
        enum want w;

        if (!wanted(r, s->region, &w))
            continue;
        if (!look(r, where, s->name, &seen))
            return false;
        n->asked++;
        n->so += is_so(&seen, w);
        n->alive += w == WANT_READY ? seen.running : w == WANT_CHECKED && seen.passing;
    }
    return true;
}

static bool needs_alive(const struct run *r)
{
    return r->o->op != ACTION_UNDO && (r->t->step == STEP_SWITCH || r->t->step == STEP_WARM);
}

/* Reads all load balancers; OK, NOT_APPLIED, or PROGRESS while nobody of the new region is up. */
static void probe(struct run *r)
{
    struct count n = {0};

    for (size_t i = 0; i < r->t->n_sockets; i++) {
        struct count here = {0};

        if (!token_allows(r, r->t->sockets[i]) || !count_all(r, r->t->sockets[i], &here))
            return;
        if (here.so == here.asked && needs_alive(r) && !here.alive) {
            action_say(r->out, ACTION_PROGRESS, "no server of %.64s is up at %.60s", r->o->to,
                       r->t->sockets[i]);
            return;
        }
        n.asked += here.asked;
        n.so += here.so;
    }
    action_seen(r->out, "%zu of %zu servers at %zu load balancers are as they are to be", n.so, n.asked,
                r->t->n_sockets);
    action_say(r->out, n.so == n.asked ? ACTION_OK : ACTION_NOT_APPLIED, "%s", r->out->seen);
}

/* First those that are to get traffic, so that somebody always does. */
static bool change(struct run *r, const char *where, bool ready, bool *changed)
{
    for (size_t i = 0; i < r->t->n_servers; i++) {
        const struct server *s = &r->t->servers[i];
        const char *state = r->t->maint ? "maint" : "drain";
        struct seen seen;
        enum want w;

        if (!wanted(r, s->region, &w) || (w == WANT_READY) != ready)
            continue;
        if (!look(r, where, s->name, &seen))
            return false;
        if (w == WANT_MAINT || w == WANT_READY)
            state = w == WANT_READY ? "ready" : "maint";
        else if (w == WANT_CHECKED)
            state = "drain";
        if (!is_so(&seen, w)) {
            *changed = true;
            if (!set_state(r, where, s->name, state))
                return false;
        }
        if (w == WANT_MAINT) {
            char text[NAME + 32];

            (void)snprintf(text, sizeof text, "shutdown sessions server %s\n", s->name);
            if (!order(r, where, text))
                return false;
        }
    }
    return true;
}

static void apply(struct run *r)
{
    bool changed = false;

    for (size_t i = 0; i < r->t->n_sockets; i++)
        if (!token_allows(r, r->t->sockets[i]))
            return;
    for (size_t i = 0; i < r->t->n_sockets; i++) {
        if (!change(r, r->t->sockets[i], true, &changed) || !change(r, r->t->sockets[i], false, &changed))
            return;
        put_token(r, r->t->sockets[i]);
    }
    probe(r);
    if (r->out->class == ACTION_OK && !changed)
        r->out->class = ACTION_ALREADY;
}

static void precheck(struct run *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->t->n_sockets; i++) {
        if (!token_allows(r, r->t->sockets[i]))
            return;
        for (size_t k = 0; k < r->t->n_servers; k++) {
            struct seen seen;
            enum want w;

            if (!wanted(r, r->t->servers[k].region, &w))
                continue;
            if (!look(r, r->t->sockets[i], r->t->servers[k].name, &seen))
                return;
            n++;
        }
    }
    if (n)
        action_say(r->out, ACTION_OK, "%zu load balancers show all servers", r->t->n_sockets);
    else
        action_say(r->out, ACTION_DENIED, "`servers` has none of these regions");
}

static void haproxy_run(const struct action_target *t, const struct action_order *o,
                        struct action_result *out)
{
    struct haproxy_talk *k = calloc(1, sizeof *k);
    struct run r = {t, o, k, out};

    if (!k) {
        action_say(out, ACTION_RETRY, "no memory");
        return;
    }
    k->until = mono_add(clock_mono(), o->deadline);
    switch (o->op) {
    case ACTION_PRECHECK: precheck(&r); break;
    case ACTION_PROBE:
    case ACTION_VERIFY: probe(&r); break;
    case ACTION_APPLY:
    case ACTION_UNDO: apply(&r); break;
    case ACTION_OPS: break;
    }
    free(k);
}

/* ---- options ---- */

static bool is_name(const char *s)
{
    const char *slash = strchr(s, '/');

    return slash && slash != s && slash[1] && !strchr(slash + 1, '/') && strlen(s) < NAME &&
           !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-/")];
}

static int haproxy_check(const struct section *s, const char **key, struct err *e)
{
    *key = "sockets";
    for (size_t i = 0; i < option_count(s, "sockets"); i++)
        if (!haproxy_address_ok(option_word(s, "sockets", i)))
            return err_set(e, ERR_CONFIG, "found \"%.80s\", expected unix:/path, or an address and a port",
                           option_word(s, "sockets", i));
    *key = "servers";
    if (action_regions_check(s, "servers", e) != 0)
        return ERR_CONFIG;
    for (size_t i = 0; i < option_count(s, "servers"); i++)
        if (!is_name(strchr(option_word(s, "servers", i), '=') + 1))
            return err_set(e, ERR_CONFIG, "found \"%.80s\", expected REGION=backend/server",
                           option_word(s, "servers", i));
    return 0;
}

static void haproxy_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    for (size_t i = 0; i < t->n_sockets; i++)
        free(t->sockets[i]);
    for (size_t i = 0; i < t->n_servers; i++) {
        free(t->servers[i].region);
        free(t->servers[i].name);
    }
    free(t->service);
    free(t);
    *tp = NULL;
}

static bool copy_all(const struct section *s, struct action_target *t)
{
    t->service = option_copy(s, "service");
    for (size_t i = 0; i < option_count(s, "sockets") && i < SOCKETS; i++) {
        if (!(t->sockets[i] = option_word_copy(s, "sockets", i)))
            return false;
        t->n_sockets++;
    }
    for (size_t i = 0; i < option_count(s, "servers") && i < SERVERS; i++) {
        const char *word = option_word(s, "servers", i), *mark = strchr(word, '=');
        struct server *to = &t->servers[t->n_servers];

        if (!mark)
            continue;
        t->n_servers++;
        to->region = strndup(word, (size_t)(mark - word));
        to->name = strdup(mark + 1);
        if (!to->region || !to->name)
            return false;
    }
    return t->service != NULL;
}

static struct action_target *haproxy_open(const struct section *s, struct log *log, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);

    (void)log;
    if (t) {
        t->step = action_step_of(s);
        t->maint = strcmp(option_text(s, "standby"), "maint") == 0;
    }
    if (!t || !copy_all(s, t)) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        haproxy_close(&t);
    }
    return t;
}

const struct action_driver action_haproxy = {
    .type = "haproxy",
    .sentence = "HAProxy's runtime socket: servers of a region get traffic, or get none.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = "sockets servers",
    .steps = 1U << STEP_FENCE | 1U << STEP_WARM | 1U << STEP_SWITCH,
    .ops = 1U << ACTION_PRECHECK | 1U << ACTION_PROBE | 1U << ACTION_APPLY | 1U << ACTION_VERIFY |
           1U << ACTION_UNDO,
    .proves = true,
    .check = haproxy_check,
    .open = haproxy_open,
    .close = haproxy_close,
    .run = haproxy_run,
};
