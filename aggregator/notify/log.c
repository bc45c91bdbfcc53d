/* The log as a receiver: a line in the daemon's own log, or one line of JSON appended to a file. The file is opened for each
 * line, so that whoever rotates it has to tell nobody. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/told.h"

enum { LINE_MOST = 1 << 20, ARENA_MOST = 16 << 20 };

struct channel_target {
    char *file; /* NULL: the daemon's log */
    struct log *log;
};

static const struct option_row rows[] = {
    {.key = "file",
     .type = OPT_PATH,
     .reloadable = true,
     .sentence = "Append each message to this file as a line of JSON; without, to the aggregator's own log."},
};

static void log_close(struct channel_target **tp)
{
    if (*tp)
        free((*tp)->file);
    free(*tp);
    *tp = NULL;
}

static struct channel_target *log_open(const struct section *s, struct log *log, struct err *e)
{
    struct channel_target *t = calloc(1, sizeof *t);

    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for a receiver");
        return NULL;
    }
    *t = (struct channel_target){.file = option_copy(s, "file"), .log = log};
    return t;
}

/* One write: lines of several writers do not mix (O_APPEND). */
static void append(const struct channel_target *t, struct bytes line, struct told_result *out)
{
    int fd = open(t->file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640), err = 0;
    ssize_t n = fd < 0 ? -1 : write(fd, line.p, line.n);

    if (n < 0)
        err = errno;
    if (fd >= 0 && close(fd) != 0 && !err)
        err = errno;
    if (err || n != (ssize_t)line.n) {
        bool denied =
            err == EACCES || err == EPERM || err == ENOENT || err == EISDIR || err == EROFS || err == ENOTDIR;

        out->outcome = denied ? OUTCOME_DENIED : OUTCOME_RETRY;
        (void)snprintf(out->text, sizeof out->text, "%.150s: %s", t->file,
                       err ? strerror(err) : "written in part");
        return;
    }
    (void)snprintf(out->text, sizeof out->text, "%zu bytes", line.n);
}

static void log_send(const struct channel_target *t, const struct notification *n, struct span deadline,
                     struct told_result *out)
{
    enum log_level level = n->tell != TELL_TRIGGER           ? LOG_INFO
                           : n->severity >= SEVERITY_ERROR   ? LOG_ERROR
                           : n->severity == SEVERITY_WARNING ? LOG_WARN
                                                             : LOG_INFO;
    struct arena a;
    struct bytes b;

    (void)deadline;
    arena_init(&a, NULL, ARENA_MOST);
    *out = (struct told_result){.outcome = OUTCOME_DELIVERED, .text = "logged"};
    if (!t->file) {
        LOG(t->log, level, "notify", told_line(&a, n->title, 1024), kv_s("tell", tell_name(n->tell)),
            kv_s("severity", severity_name(n->severity)), kv_s("dedup_key", n->dedup_key),
            kv_u("alerts", n->n_alerts), kv_u("more", n->more), kv_s("text", told_text(&a, n, 4096)));
    } else if ((b = told_json(&a, n, LINE_MOST)).p) {
        ((uint8_t *)(uintptr_t)b.p)[b.n] = '\n'; /* the terminator's place */
        append(t, (struct bytes){b.p, b.n + 1}, out);
    } else {
        *out = (struct told_result){.outcome = OUTCOME_RETRY, .text = "no memory for the line"};
    }
    arena_free(&a);
}

const struct channel channel_log = {
    .type = "log",
    .sentence = "A line in the aggregator's log or in a file.",
    .rows = rows,
    .n_rows = ROWS_COUNT(rows),
    .required = "",
    .resolves = true,
    .heartbeats = true,
    .acknowledges = true,
    .changes = true,
    .open = log_open,
    .close = log_close,
    .send = log_send,
};
