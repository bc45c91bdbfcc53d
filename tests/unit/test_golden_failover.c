/* Golden traces of failover: each file of tests/golden/failover is an incident that has happened to somebody, the rule that
 * it gives, and what our voters, tally and core do in it. README.md there has the language. Lines that begin with "=" are
 * what is done; "rule" lines say what has to hold of it, whatever else changes. With GOLDEN=write the files are written anew
 * with what is done now, to be read before they are kept; rules bind even then. */
#include <dirent.h>
#include <inttypes.h>

#include "tests/unit/fo_world.h"

enum { FILES = 80, TEXT = 1 << 17, INCIDENTS = 34, WORDS = 12 };

struct golden {
    const char *name;
    unsigned line;
    struct world w;
    bool steady;
    struct buf fresh; /* the file as it would be now */
    char *words[WORDS];
    int n;
};

#define WRONG(g, ...)                                                                                        \
    do {                                                                                                     \
        if (getenv("SHOW"))                                                                                  \
            fputs(buf_text(&(g)->w.whole), stderr);                                                          \
        print_error("%s:%u: ", (g)->name, (g)->line);                                                        \
        fail_msg(__VA_ARGS__);                                                                               \
    } while (0)

/* ---- words ---- */

static int64_t ms_of(struct golden *g, const char *text)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"ms", 1}, {"h", 3600000}, {"m", 60000}, {"s", 1000}};
    double out = 0;

    for (char *end; *text;) { /* 1h2m3.5s */
        double v = strtod(text, &end);
        size_t u = 0;

        while (u < 4 && strncmp(end, units[u].name, strlen(units[u].name)) != 0)
            u++;
        if (end == text || u == 4)
            WRONG(g, "\"%s\" is no duration", text);
        out += v * units[u].ms;
        text = end + strlen(units[u].name);
    }
    return (int64_t)(out + 0.5);
}

static char *word(struct golden *g, int i)
{
    if (i >= g->n)
        WRONG(g, "a word is missing");
    return g->words[i];
}

/* The value of "key=value" among the words; NULL. */
static const char *value(struct golden *g, const char *key)
{
    size_t n = strlen(key);

    for (int i = 1; i < g->n; i++)
        if (strncmp(g->words[i], key, n) == 0 && g->words[i][n] == '=')
            return g->words[i] + n + 1;
    return NULL;
}

static uint8_t region_of(struct golden *g, const char *name)
{
    for (uint8_t r = 0; r < REGIONS; r++)
        if (strcmp(name, region_names[r]) == 0)
            return r;
    WRONG(g, "\"%s\" is no region", name);
    return 0;
}

static uint8_t action_of(struct golden *g, const char *name)
{
    for (uint8_t i = 0; i < ACTIONS; i++)
        if (strcmp(name, action_names[i]) == 0)
            return i;
    WRONG(g, "\"%s\" is no action", name);
    return 0;
}

static enum action_class class_of(struct golden *g, const char *name)
{
    for (int i = 0; i < ACTION_CLASSES; i++)
        if (strcmp(name, action_class_name((enum action_class)i)) == 0)
            return (enum action_class)i;
    WRONG(g, "\"%s\" is no class of an action's answer", name);
    return ACTION_OK;
}

static struct leader *leader_of(struct golden *g, const char *name)
{
    for (int i = 0; i < g->w.n_leaders; i++)
        if (strcmp(g->w.leaders[i].name, name) == 0)
            return &g->w.leaders[i];
    WRONG(g, "\"%s\" leads nothing", name);
    return NULL;
}

/* "*", a name, or "*-name": all but that one. */
static bool is_voter(const struct watcher *x, const char *who)
{
    return who[0] == '*' ? who[1] != '-' || strcmp(who + 2, x->name) != 0 : strcmp(x->name, who) == 0;
}

/* ---- before `steady` ---- */

static void set_time(struct golden *g, const char *key, const char *text)
{
    struct fo_times *t = &g->w.base.t;
    const struct {
        const char *name;
        int32_t *at;
    } all[] = {{"confirm", &t->confirm},   {"hold", &t->hold},   {"rpo", &t->rpo},
               {"contract", &t->contract}, {"lease", &t->lease}, {"target_up", &t->target_up},
               {"fence", &t->fence}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, key) == 0) {
            *all[i].at = (int32_t)ms_of(g, text);
            return;
        }
    WRONG(g, "nothing is called %s", key);
}

static void set_one(struct golden *g, const char *key, const char *text)
{
    struct fo_config *c = &g->w.base;

    if (strcmp(key, "automation") == 0) {
        for (uint8_t m = FO_OBSERVE; m <= FO_AUTO; m++)
            if (strcmp(text, fo_automation_name(m)) == 0)
                c->automation = m;
    } else if (strcmp(key, "auto_ok") == 0) {
        c->auto_ok = text[0] == 'y';
    } else if (strcmp(key, "gray_auto") == 0) {
        c->gray_auto = text[0] == 'y';
    } else if (strcmp(key, "guards") == 0) { /* none */
        c->guarded = 0;
        g->w.guards[EAST].none = g->w.guards[WEST].none = true;
    } else if (strcmp(key, "fence") == 0) { /* proves: a required action that can say so */
        c->actions[A_FENCE].required = c->actions[A_FENCE].proves = 1;
    } else {
        set_time(g, key, text);
    }
}

static void set_up(struct golden *g)
{
    if (strcmp(g->words[0], "set") == 0) {
        set_one(g, word(g, 1), word(g, 2));
    } else if (strcmp(g->words[0], "voters") == 0) {
        for (int i = 1; i < g->n; i++) {
            const char *name = g->words[i];
            bool east = strncmp(name, "east", 4) == 0, west = strncmp(name, "west", 4) == 0;

            add_voter(&g->w, name, (uint8_t)(east ? EAST : west ? WEST : FO_REGIONS + i));
        }
    } else if (strcmp(g->words[0], "leaders") == 0) {
        for (int i = 1; i < g->n; i++)
            for (int v = 0; v < g->w.n_voters; v++)
                if (strcmp(g->w.voters[v].name, g->words[i]) == 0)
                    add_leader(&g->w, g->words[i], (uint8_t)v);
    } else if (strcmp(g->words[0], "steady") == 0) {
        world_steady(&g->w);
        g->steady = true;
    } else {
        WRONG(g, "%s before steady", g->words[0]);
    }
}

/* ---- the world ---- */

static void place_see(struct golden *g, struct watcher *x, struct place *p)
{
    const char *v;

    if ((v = value(g, "probes"))) {
        p->of = strcmp(v, "none") == 0 ? 0 : 1;
        p->good = strcmp(v, "good") == 0;
        if (strchr(v, '/'))
            p->good = (int)strtol(v, NULL, 10), p->of = (int)strtol(strchr(v, '/') + 1, NULL, 10);
    }
    if ((v = value(g, "beats")))
        p->beats = strcmp(v, "on") == 0;
    if ((v = value(g, "users"))) {
        p->users = (int)strtol(v, NULL, 10);
        p->total = strchr(v, '/') ? (int)strtol(strchr(v, '/') + 1, NULL, 10) : 0;
    }
    if ((v = value(g, "database"))) {
        x->c.has_database = 1;
        x->database_ms = (int)ms_of(g, v);
    }
}

static void see(struct golden *g) /* see VOTERS REGION probes=… beats=… users=… database=… */
{
    for (int i = 0; i < g->w.n_voters; i++)
        if (is_voter(&g->w.voters[i], word(g, 1)))
            place_see(g, &g->w.voters[i], &g->w.voters[i].place[region_of(g, word(g, 2))]);
}

/* A region that dies: nobody hears it, its guards and its fence are gone with it. Cut: the same for all outside. */
static void region(struct golden *g)
{
    const uint8_t r = region_of(g, word(g, 1));
    const bool dead = strcmp(word(g, 2), "dead") == 0, cut = strcmp(word(g, 2), "cut") == 0;
    struct world *w = &g->w;

    for (int i = 0; i < w->n_voters; i++) {
        struct watcher *x = &w->voters[i];
        bool inside = w->base.voter_domain[i] == r;

        x->place[r].of = 1;
        x->place[r].good = !dead && (inside || !cut);
        x->place[r].beats = !dead && !cut;
        if (!inside || dead)
            x->place[r].total = dead || cut ? 0 : 1000;
        if (inside)
            x->silent = dead || cut;
        if (inside && cut)
            x->place[!r].good = 0;
        if (inside && !cut && !dead)
            x->place[!r].good = 1;
        if (x->place[r].total)
            x->place[r].users = 990;
        if (w->record.active != r)
            x->place[r].total = 0;
    }
    w->guards[r].dead = dead;
    w->guards[r].cut = cut;
    if (dead)
        w->guards[r].serving = false;
    w->lag_stalled[!r] = dead || cut;
    w->facts.writes_stopped_at =
        dead ? w->now : 0; /* users write nothing; of one that is cut off nobody knows */
    w->targets[A_FENCE].script[ACTION_APPLY] = ACTION_UNKNOWN + 1;
    w->targets[A_FENCE].script[ACTION_PROBE] = ACTION_RETRY + 1;
    w->targets[A_FENCE].script[ACTION_UNDO] = ACTION_RETRY + 1;
    for (int op = 0; op < ACTION_OPS; op++)
        w->targets[A_FENCE].left[op] = dead || cut ? -1 : 0;
}

static void voters_do(struct golden *g)
{
    for (int i = 0; i < g->w.n_voters; i++) {
        struct watcher *x = &g->w.voters[i];

        if (!is_voter(x, word(g, 1)))
            continue;
        if (strcmp(g->words[0], "canaries") == 0)
            x->canaries = strcmp(word(g, 2), "good") == 0;
        else if (strcmp(g->words[0], "silent") == 0)
            x->silent = true;
        else
            x->silent = false;
    }
}

/* An aggregator and its voter are one process. */
static struct watcher *voter_of(struct golden *g, struct leader *l)
{
    return &g->w.voters[l->c.self];
}

static void anomaly(struct golden *g, struct leader *l)
{
    struct fo_event e;

    memset(&e, 0, sizeof e);
    e.kind = FO_E_ANOMALY;
    voter_tilt(&voter_of(g, l)->v, &voter_of(g, l)->c, g->w.now);
    feed(&g->w, l, &e);
}

static void process(struct golden *g)
{
    struct leader *l = leader_of(g, word(g, 1));
    const char *what = g->words[0];

    if (strcmp(what, "pause") == 0) {
        l->paused = voter_of(g, l)->paused = true;
    } else if (strcmp(what, "wake") == 0) { /* the loop notices first */
        l->paused = voter_of(g, l)->paused = false;
        anomaly(g, l);
    } else if (strcmp(what, "tilt") == 0) {
        anomaly(g, l);
    } else if (strcmp(what, "crash") == 0) {
        l->up = false;
        voter_of(g, l)->paused = true;
    } else {
        voter_of(g, l)->paused = false;
        voter_init(&voter_of(g, l)->v, &voter_of(g, l)->c, g->w.now, 1000 + g->w.seed);
        boot(&g->w, l);
    }
}

static void store(struct golden *g)
{
    const char *what = word(g, 1);
    struct world *w = &g->w;

    if (strcmp(what, "away") == 0 || strcmp(what, "up") == 0) {
        bool away = what[0] == 'a';

        if (g->n > 2)
            leader_of(g, word(g, 2))->away = away;
        else
            w->away = away;
    } else if (strcmp(what, "loses") == 0) { /* the next commit is done, its answer lost */
        w->lose_next = true;
    } else if (strcmp(what, "drops") == 0) { /* the next commit is not done, its answer lost */
        w->drop_next = true;
    } else if (strcmp(what, "revokes") == 0) {
        w->holder = NULL;
        w->was_resigned = false;
    } else if (strcmp(what, "extends") == 0) { /* what expires lives so much longer */
        w->extra = ms_of(g, word(g, 2));
    } else {
        WRONG(g, "the store does not know \"%s\"", what);
    }
}

static fo_reasons reasons_of(struct golden *g, int from)
{
    fo_reasons out = 0;

    for (int i = from; i < g->n; i++) {
        fo_reasons before = out;

        for (int r = 1; r < FO_REASONS; r++)
            if (strcmp(g->words[i], fo_reason_name((enum fo_reason)r)) == 0)
                out |= FO_BIT(r);
        if (out == before)
            WRONG(g, "\"%s\" is no reason", g->words[i]);
    }
    return out;
}

static void facts(struct golden *g)
{
    struct world *w = &g->w;
    const char *what = g->words[0];

    if (strcmp(what, "lag") == 0) {
        uint8_t r = region_of(g, word(g, 1));

        w->lag_stalled[r] = strcmp(word(g, 2), "stalls") == 0;
        if (!w->lag_stalled[r])
            w->facts.region[r].lag_ms = strcmp(word(g, 2), "unknown") == 0 ? -1 : ms_of(g, word(g, 2));
    } else if (strcmp(what, "block") == 0) {
        w->facts.region[region_of(g, word(g, 1))].blockers = reasons_of(g, 2);
    } else if (strcmp(what, "ready") == 0) {
        w->ready_old[region_of(g, word(g, 1))] = strcmp(word(g, 2), "old") == 0;
    } else if (strcmp(what, "others") == 0) { /* N moving of M services */
        w->facts.others_moving = (uint8_t)strtoul(word(g, 1), NULL, 10);
        w->facts.services = (uint8_t)strtoul(word(g, 2), NULL, 10);
    } else {
        w->guards[region_of(g, word(g, 1))].cut = strcmp(word(g, 2), "cut") == 0;
    }
}

/* action NAME OP CLASS N|all [done]; action NAME well; action NAME token REV */
static void action(struct golden *g)
{
    struct target *x = &g->w.targets[action_of(g, word(g, 1))];

    if (strcmp(word(g, 2), "well") == 0) {
        memset(x->left, 0, sizeof x->left);
        return;
    }
    if (strcmp(word(g, 2), "delay") == 0) {
        x->delay = ms_of(g, word(g, 3));
        return;
    }
    if (strcmp(word(g, 2), "token") == 0) {
        x->token = (struct fencing){1, strtoull(word(g, 3), NULL, 10)};
        return;
    }
    for (int op = 0; op < ACTION_OPS; op++)
        if (strcmp(word(g, 2), action_op_name((enum action_op)op)) == 0) {
            x->script[op] = (uint8_t)(class_of(g, word(g, 3)) + 1);
            x->left[op] = strcmp(word(g, 4), "all") == 0 ? -1 : (int)strtol(word(g, 4), NULL, 10);
            x->lost[op] = g->n > 5 && strcmp(g->words[5], "done") == 0;
        }
}

/* order LEADER COMMAND to=… accept=… until=… mode=… action=… fenced=yes why=… */
static void order(struct golden *g)
{
    struct leader *l = leader_of(g, word(g, 1));
    struct fo_event e;
    struct fo_order *o = &e.u.order;
    const char *v;
    int c = 0;

    memset(&e, 0, sizeof e);
    e.kind = FO_E_COMMAND;
    while (c < FO_COMMANDS && strcmp(fo_command_name((uint8_t)c), word(g, 2)) != 0)
        c++;
    if (c == FO_COMMANDS)
        WRONG(g, "\"%s\" is no command", word(g, 2));
    o->command = (uint8_t)c;
    o->region = (v = value(g, "to")) ? region_of(g, v) : FO_NONE;
    o->accept_loss_ms = (v = value(g, "accept")) ? ms_of(g, v) : -1;
    o->until = (v = value(g, "until")) ? wall_of(&g->w) + ms_of(g, v) : 0;
    o->action = (v = value(g, "action")) ? action_of(g, v) : FO_NONE;
    o->fenced_by_hand = value(g, "fenced") != NULL;
    if ((v = value(g, "mode")))
        for (uint8_t m = FO_OBSERVE; m <= FO_AUTO; m++)
            if (strcmp(v, fo_automation_name(m)) == 0)
                o->mode = m;
    o->id = ++g->w.orders;
    (void)snprintf(o->who, sizeof o->who, "%s", (v = value(g, "who")) ? v : "anna");
    (void)snprintf(o->why, sizeof o->why, "%s", (v = value(g, "why")) ? v : "");
    feed(&g->w, l, &e);
}

/* ---- rules ---- */

static char *rest_of(struct golden *g, int from, char out[512])
{
    size_t n = 0;

    out[0] = 0;
    for (int i = from; i < g->n && n < 500; i++)
        n += (size_t)snprintf(out + n, 512 - n, "%s%s", i > from ? " " : "", g->words[i]);
    return out;
}

static const char *found(struct golden *g, const char *text)
{
    return strstr(buf_text(&g->w.whole), text);
}

static void rule_order(struct golden *g)
{
    char text[512], *second;
    const char *a, *b;

    rest_of(g, 2, text);
    second = strstr(text, " | ");
    if (!second)
        WRONG(g, "order wants A | B");
    *second = 0;
    a = found(g, text);
    b = found(g, second + 3);
    if (!a || !b || a > b)
        WRONG(g, "\"%s\" does not come before \"%s\"", text, second + 3);
}

static void rule_is(struct golden *g)
{
    const struct world *w = &g->w;
    const char *what = word(g, 1);
    unsigned n = g->n > 3 ? (unsigned)strtoul(g->words[3], NULL, 10) : 0;

    if (strcmp(what, "state") == 0) {
        if (strcmp(fo_state_name(leader_of(g, word(g, 2))->s.state), word(g, 3)) != 0)
            WRONG(g, "%s is %s (east %u/%u/%u/%u west %u/%u/%u/%u unknown/up/degraded/down)", word(g, 2),
                  fo_state_name(leader_of(g, word(g, 2))->s.state),
                  leader_of(g, word(g, 2))->s.tally.n[EAST][0], leader_of(g, word(g, 2))->s.tally.n[EAST][1],
                  leader_of(g, word(g, 2))->s.tally.n[EAST][2], leader_of(g, word(g, 2))->s.tally.n[EAST][3],
                  leader_of(g, word(g, 2))->s.tally.n[WEST][0], leader_of(g, word(g, 2))->s.tally.n[WEST][1],
                  leader_of(g, word(g, 2))->s.tally.n[WEST][2], leader_of(g, word(g, 2))->s.tally.n[WEST][3]);
    } else if (strcmp(what, "users") == 0) {
        if (w->record.active != region_of(g, word(g, 2)))
            WRONG(g, "users are sent to %s", region_name(w->record.active));
    } else if (strcmp(what, "writer") == 0) {
        if (strcmp(region_name(w->record.writer), word(g, 2)) != 0)
            WRONG(g, "the writer is %s", region_name(w->record.writer));
    } else if (strcmp(what, "serves") == 0) {
        if (w->guards[region_of(g, word(g, 2))].serving != (word(g, 3)[0] == 'y'))
            WRONG(g, "%s: it is otherwise", word(g, 2));
    } else if (strcmp(what, "holder") == 0) {
        if (strcmp(w->holder ? w->holder->name : "nobody", word(g, 2)) != 0)
            WRONG(g, "the holder is %s", w->holder ? w->holder->name : "nobody");
    } else if (strcmp(what, "epoch") == 0) {
        if (w->record.epoch != strtoul(word(g, 2), NULL, 10))
            WRONG(g, "the epoch is %u", w->record.epoch);
    } else if (strcmp(what, "applied") == 0) {
        if ((unsigned)w->targets[action_of(g, word(g, 2))].applies != n)
            WRONG(g, "%s was applied %d times", word(g, 2), w->targets[action_of(g, word(g, 2))].applies);
    } else if (strcmp(what, "fenced-by") == 0) {
        static const char *const rungs[] = {"nothing", "proof", "contract", "word"};

        if (strcmp(rungs[w->record.plan.fenced % 4], word(g, 2)) != 0)
            WRONG(g, "fenced by %s", rungs[w->record.plan.fenced % 4]);
    } else {
        WRONG(g, "no rule is called %s", what);
    }
}

static void rule(struct golden *g)
{
    char text[512];

    if (strcmp(word(g, 1), "never") == 0) {
        if (found(g, rest_of(g, 2, text)))
            WRONG(g, "never \"%s\", and yet it is so", text);
    } else if (strcmp(word(g, 1), "has") == 0) {
        if (!found(g, rest_of(g, 2, text)))
            WRONG(g, "there is no \"%s\"", text);
    } else if (strcmp(word(g, 1), "order") == 0) {
        rule_order(g);
    } else {
        rule_is(g);
    }
}

/* ---- the language ---- */

struct verb {
    const char *names;
    void (*run)(struct golden *g);
};

static void until(struct golden *g)
{
    run_until(&g->w, g->w.origin + ms_of(g, word(g, 1)));
}

static void command(struct golden *g, char *text)
{
    static const struct verb verbs[] = {
        {" until ", until},
        {" see ", see},
        {" region ", region},
        {" canaries silent heard ", voters_do},
        {" pause wake tilt crash boot ", process},
        {" store ", store},
        {" lag block ready others guards ", facts},
        {" action ", action},
        {" order ", order},
        {" rule ", rule},
    };
    char name[64];

    g->n = 0;
    for (char *p = text; *p && g->n < WORDS;) {
        size_t n = strcspn(p, " ");

        g->words[g->n++] = p;
        p += n + (p[n] == ' ');
        if (p[-1] == ' ')
            p[-1] = 0;
    }
    (void)snprintf(name, sizeof name, " %s ", word(g, 0));
    if (!g->steady) {
        set_up(g);
        return;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strstr(verbs[i].names, name)) {
            verbs[i].run(g);
            return;
        }
    WRONG(g, "nothing is called %s", g->words[0]);
}

/* Lines "= …" follow the command that caused them. */
static char *expected(struct golden *g, char *p, struct buf *want)
{
    while (*p) {
        size_t n = strcspn(p, "\n");

        if (p[0] != '=' && p[0] != '#' && n)
            break;
        if (p[0] == '=')
            buf_fmt(want, "%.*s\n", (int)n - 2, p + 2);
        else
            buf_put(&g->fresh, p, n + (p[n] == '\n'));
        p += n + (p[n] == '\n');
        g->line++;
    }
    return p;
}

static void put_found(struct golden *g, const char *said)
{
    const char *p = buf_text(&g->w.log), *end;

    buf_fmt(&g->fresh, "%s\n", said);
    for (; (end = strchr(p, '\n')); p = end + 1)
        buf_fmt(&g->fresh, "= %.*s\n", (int)(end - p), p);
}

static void play(struct golden *g, char *p)
{
    struct buf want;
    char said[512];

    buf_init(&want, NULL, 1 << 22);
    p = expected(g, p, &want);
    while (*p) {
        size_t n = strcspn(p, "\n");
        unsigned line;

        g->line++;
        line = g->line;
        if (p[n])
            p[n++] = 0;
        (void)snprintf(said, sizeof said, "%s", p);
        command(g, p);
        buf_clear(&want);
        put_found(g, said);
        p = expected(g, p + n, &want);
        if (!getenv("GOLDEN") && strcmp(buf_text(&want), buf_text(&g->w.log)) != 0) {
            print_error("%s:%u: expected\n%s\nfound\n%s\n", g->name, line, buf_text(&want),
                        buf_text(&g->w.log));
            fail();
        }
        buf_clear(&g->w.log);
    }
    buf_free(&want);
}

static bool has_opening(const char *text)
{
    return strncmp(text, "# ", 2) == 0 && strstr(text, "\n# What happened: ") && strstr(text, "\n# Rule: ") &&
           strstr(text, "\nrule ");
}

static void run_file(const char *name, const char *path, char *text)
{
    static struct golden g;
    FILE *f;

    memset(&g, 0, sizeof g);
    g.name = name;
    if (!has_opening(text))
        fail_msg("%s: wants an opening (\"# What happened: \", \"# Rule: \") and a rule", name);
    world_make(&g.w);
    buf_init(&g.fresh, NULL, 1 << 22);
    play(&g, text);
    if (getenv("GOLDEN")) {
        f = fopen(path, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(g.fresh.data, 1, g.fresh.len, f), g.fresh.len);
        fclose(f);
    }
    buf_free(&g.fresh);
    world_free(&g.w);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void test_files(void **state)
{
    char folder[512], path[1024], *names[FILES], *text = malloc(TEXT);
    bool have[INCIDENTS + 1] = {false};
    struct dirent *d;
    unsigned n = 0;
    DIR *dir;

    (void)state;
    snprintf(folder, sizeof folder, "%s/tests/golden/failover", getenv("TEST_SOURCE"));
    dir = opendir(folder);
    assert_non_null(dir);
    while ((d = readdir(dir))) {
        size_t len = strlen(d->d_name);

        if (len > 4 && !strcmp(d->d_name + len - 4, ".txt") && n < FILES &&
            (!getenv("ONLY") || strstr(d->d_name, getenv("ONLY"))))
            names[n++] = strdup(d->d_name);
    }
    closedir(dir);
    qsort(names, n, sizeof *names, by_name);
    for (unsigned i = 0; i < n; i++) {
        unsigned long number = strtoul(names[i], NULL, 10);
        FILE *f;
        size_t len;

        if (number >= 1 && number <= INCIDENTS)
            have[number] = true;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        f = fopen(path, "r");
        assert_non_null(f);
        len = fread(text, 1, TEXT - 1, f);
        fclose(f);
        assert_true(len < TEXT - 1);
        text[len] = 0;
        print_message("             %s\n", names[i]);
        run_file(names[i], path, text);
        free(names[i]);
    }
    free(text);
    for (int i = 1; i <= INCIDENTS && !getenv("ONLY"); i++)
        if (!have[i])
            fail_msg("there is no trace of incident %d", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
