/* A command of your own: started without a shell, the whole notification as JSON on its standard input.
 *
 * Exit status: 0 delivered; 64, 65 (EX_USAGE, EX_DATAERR) never; 77 (EX_NOPERM), 126, 127 nothing until somebody mends it;
 * everything else, a signal and the time limit: later. See child.h for what it finds and what ends with it. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/judge.h"
#include "aggregator/notify/told.h"
#include "common/daemon/child.h"

enum { WORDS_MOST = 32, JSON_MOST = 1 << 20, SAID_MOST = 4096, ARENA_MOST = 16 << 20 };

struct channel_target {
    char *argv[WORDS_MOST + 1];
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
    ROW_TIMEOUT,
};

static int command_check(const struct section *s, const char **key, struct err *e)
{
    *key = "command";
    return option_word(s, "command", 0)[0] == '/'
               ? 0
               : err_set(e, ERR_CONFIG, "found \"%.80s\", expected an absolute path",
                         option_word(s, "command", 0));
}

static void command_close(struct channel_target **tp)
{
    if (*tp)
        for (size_t i = 0; i < WORDS_MOST; i++)
            free((*tp)->argv[i]);
    free(*tp);
    *tp = NULL;
}

static struct channel_target *command_open(const struct section *s, struct log *log, struct err *e)
{
    struct channel_target *t = calloc(1, sizeof *t);

    (void)log;
    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for a receiver");
        return NULL;
    }
    for (size_t i = 0; i < option_count(s, "command") && i < WORDS_MOST; i++)
        t->argv[i] = option_word_copy(s, "command", i);
    if (child_user_find(option_text(s, "user"), &t->user, e) != 0)
        command_close(&t);
    return t;
}

static void judge_command(const struct child_result *r, const char *said, struct told_result *out)
{
    if (r->late)
        told_say(out, OUTCOME_RETRY, "killed: it took longer than `timeout`");
    else if (r->status < 0)
        told_say(out, OUTCOME_RETRY, "ended by signal %d", r->signal);
    else if (r->status == 0)
        told_say(out, OUTCOME_DELIVERED, "exit status 0");
    else if (r->status == 64 || r->status == 65)
        told_say(out, OUTCOME_NEVER, "exit status %d", r->status);
    else if (r->status == 77 || r->status == 126 || r->status == 127)
        told_say(out, OUTCOME_DENIED, "exit status %d%s", r->status,
                 r->status == 77    ? ""
                 : r->status == 126 ? ": it does not start"
                                    : ": it is not there");
    else
        told_say(out, OUTCOME_RETRY, "exit status %d", r->status);
    judge_quote(out, (struct bytes){(const uint8_t *)said, r->said});
}

static void command_send(const struct channel_target *t, const struct notification *n, struct span deadline,
                         struct told_result *out)
{
    struct child_order o = {.argv = t->argv, .user = &t->user, .deadline = deadline};
    struct child_result r;
    char said[SAID_MOST];
    struct arena a;

    *out = (struct told_result){.outcome = OUTCOME_RETRY};
    arena_init(&a, NULL, ARENA_MOST);
    o.input = told_json(&a, n, JSON_MOST);
    if (!o.input.p) {
        told_say(out, OUTCOME_RETRY, "no memory for the message");
    } else {
        child_run(&o, said, sizeof said, &r);
        if (r.started)
            judge_command(&r, said, out);
        else
            told_say(out, OUTCOME_RETRY, "it does not start: %s", strerror(r.error));
    }
    arena_free(&a);
}

const struct channel channel_command = {
    .type = "command",
    .sentence = "A program of your own, with the notification as JSON on its standard input.",
    .rows = rows,
    .n_rows = ROWS_COUNT(rows),
    .required = "command",
    .resolves = true,
    .heartbeats = true,
    .acknowledges = true,
    .changes = true,
    .check = command_check,
    .open = command_open,
    .close = command_close,
    .send = command_send,
};
