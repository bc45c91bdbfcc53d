/* A command of your own: started without a shell, the order as JSON on its standard input, its answer on its standard output.
 *
 * Exit status, and what it means:
 *   0   ok, or the "class" of the JSON that it said
 *   3   already    4  not applied    5  progress    6  conflict
 *   75  retry (EX_TEMPFAIL)          64 65 77 78 126 127  denied (EX_USAGE EX_DATAERR EX_NOPERM EX_CONFIG; it does not start)
 *   any other, a signal, the deadline: unknown for apply and undo, retry for questions
 * Its answer is the last line that is a JSON object: {"class", "text", "seen", "lag_ms", "lag_age_ms", "synchronous",
 * "receiving", "writable", "token"}, each of them optional; without one its output is the text. See child.h for what it finds
 * and what ends with it; besides, no program that it starts can gain rights (PR_SET_NO_NEW_PRIVS). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "aggregator/actions/order.h"
#include "common/config/copies.h"
#include "common/daemon/child.h"

enum { WORDS_MOST = 32, SAID_MOST = 64 * 1024 };

struct action_target {
    char *argv[WORDS_MOST + 1];
    char *name;
    struct child_user user;
};

static const struct option_row rows[] = {
    {.key = "command",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = WORDS_MOST,
     .sentence = "Absolute path of the program, and its arguments; there is no shell."},
    {.key = "user",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence =
         "Run it as this user, which the aggregator can do as root only; empty: as the aggregator itself."},
    {.key = "proves",
     .type = OPT_BOOL,
     .dflt = "no",
     .reloadable = true,
     .sentence = "As a fence: whether its `ok` to a probe proves that the old region does not write."},
    {.key = "figures",
     .type = OPT_BOOL,
     .dflt = "no",
     .reloadable = true,
     .sentence =
         "Whether its probe tells the lag of a replication, so that `database` of [failover] may name it."},
};

static int command_check(const struct section *s, const char **key, struct err *e)
{
    *key = "command";
    return option_word(s, "command", 0)[0] == '/'
               ? 0
               : err_set(e, ERR_CONFIG, "found \"%.80s\", expected an absolute path",
                         option_word(s, "command", 0));
}

static void command_close(struct action_target **tp)
{
    if (*tp) {
        for (size_t i = 0; i < WORDS_MOST; i++)
            free((*tp)->argv[i]);
        free((*tp)->name);
    }
    free(*tp);
    *tp = NULL;
}

static struct action_target *command_open(const struct section *s, struct log *log, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);

    (void)log;
    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        return NULL;
    }
    for (size_t i = 0; i < option_count(s, "command") && i < WORDS_MOST; i++)
        t->argv[i] = option_word_copy(s, "command", i);
    t->name = strdup(section_label(s));
    if (child_user_find(option_text(s, "user"), &t->user, e) != 0)
        command_close(&t);
    return t;
}

/* ---- the answer ---- */

static enum action_class by_status(const struct child_result *r, bool change)
{
    static const struct {
        int status;
        enum action_class class;
    } known[] = {{0, ACTION_OK},       {3, ACTION_ALREADY}, {4, ACTION_NOT_APPLIED}, {5, ACTION_PROGRESS},
                 {6, ACTION_CONFLICT}, {75, ACTION_RETRY},  {64, ACTION_DENIED},     {65, ACTION_DENIED},
                 {77, ACTION_DENIED},  {78, ACTION_DENIED}, {126, ACTION_DENIED},    {127, ACTION_DENIED}};

    for (size_t i = 0; !r->late && i < sizeof known / sizeof *known; i++)
        if (r->status == known[i].status)
            return known[i].class;
    return change ? ACTION_UNKNOWN : ACTION_RETRY;
}

/* The last line that is a JSON object; NULL when there is none. */
static cJSON *answer_json(const char *said, size_t n)
{
    while (n > 0) {
        const char *end = said + n, *nl = memrchr(said, '\n', n), *line = nl ? nl + 1 : said;
        cJSON *j = line < end && *line == '{' ? cJSON_ParseWithLength(line, (size_t)(end - line)) : NULL;

        if (cJSON_IsObject(j))
            return j;
        cJSON_Delete(j);
        n = nl ? (size_t)(nl - said) : 0;
    }
    return NULL;
}

static void judge(const struct child_result *r, const char *said, bool change, struct action_result *out)
{
    enum action_class class = by_status(r, change);
    cJSON *j = answer_json(said, r->said);
    int quoted = r->said > 200 ? 200 : (int)r->said;

    while (quoted > 0 && said[quoted - 1] == '\n')
        quoted--;
    if (r->late)
        action_say(out, class, "killed: it took longer than `timeout`");
    else if (r->status < 0)
        action_say(out, class, "ended by signal %d", r->signal);
    else if (r->status == 127)
        action_say(out, class, "exit status 127: it is not there");
    else if (r->status == 126)
        action_say(out, class, "exit status 126: it does not start");
    else
        action_say(out, class, "exit status %d%s%.*s", r->status, quoted ? ": " : "", quoted, said);
    if (j && !r->late && r->status >= 0)
        order_answer(j, r->status == 0, out);
    cJSON_Delete(j);
}

static void command_run(const struct action_target *t, const struct action_order *o,
                        struct action_result *out)
{
    struct child_order c = {.argv = t->argv, .user = &t->user, .no_new_privs = true, .deadline = o->deadline};
    char *said = malloc(SAID_MOST), *json = order_json(o, t->name);
    struct child_result r;

    if (!said || !json) {
        action_say(out, ACTION_RETRY, "no memory for the order");
    } else {
        c.input = (struct bytes){(const uint8_t *)json, strlen(json)};
        child_run(&c, said, SAID_MOST, &r);
        if (r.started)
            judge(&r, said, o->op == ACTION_APPLY || o->op == ACTION_UNDO, out);
        else
            action_say(out, ACTION_RETRY, "it does not start: %s", strerror(r.error));
    }
    free(said);
    cJSON_free(json);
}

const struct action_driver action_command = {
    .type = "command",
    .sentence = "A program of your own, with the order as JSON on its standard input.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = "command",
    .steps = (1U << PLAN_STEPS) - 1,
    .ops = (1U << ACTION_OPS) - 1,
    .proves = true,
    .figures = true,
    .check = command_check,
    .open = command_open,
    .close = command_close,
    .run = command_run,
};
