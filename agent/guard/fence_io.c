/* Fences by programs: units of systemd, and commands of somebody's own. See fence.h. */
#include "agent/guard/fence.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/daemon/child.h"
#include "common/net/loop.h"

enum { SAID = 4096 };

struct span fence_left(const struct fence_order *o)
{
    struct span left = mono_sub(o->until, clock_mono());

    return left.ns > 1000000 ? left : span_ms(1);
}

int fence_run(const char *const *words, size_t n, struct bytes input, const struct child_user *user,
              const struct fence_order *o, char *said, size_t cap, struct err *e)
{
    char *argv[2 * FENCE_WORDS + 1] = {NULL};
    struct child_order order = {
        .argv = argv, .user = user, .no_new_privs = true, .input = input, .deadline = fence_left(o)};
    struct child_result r;

    if (n > 2 * FENCE_WORDS)
        return err_set(e, ERR_LIMIT, "too many words");
    for (size_t i = 0; i < n; i++)
        memcpy(&argv[i], &words[i], sizeof *argv); /* execve(2) takes them without const and changes none */
    child_run(&order, said, cap - 1, &r);
    said[r.said] = 0;
    while (r.said && strchr("\r\n ", said[r.said - 1]))
        said[--r.said] = 0;
    if (r.started && r.status >= 0)
        return r.status;
    if (!r.started)
        return err_sys(e, ERR_IO, r.error, "%s did not start", argv[0]);
    return err_set(e, r.late ? ERR_TIMEOUT : ERR_IO, "%s %s", argv[0],
                   r.late ? "did not end in time" : "was killed");
}

static size_t add_list(const struct section *s, const char *key, const char **words, size_t n)
{
    for (size_t i = 0; i < option_count(s, key) && n < 2 * FENCE_WORDS; i++)
        words[n++] = option_word(s, key, i);
    return n;
}

/* ---- units ---- */

static int systemctl(const struct guard_settings *s, const char *const *verb, size_t n_verb,
                     const struct fence_order *o, char said[SAID], struct err *e)
{
    const char *words[2 * FENCE_WORDS] = {"/usr/bin/systemctl", "--no-ask-password"};
    size_t n = 2;
    int rc;

    for (size_t i = 0; i < n_verb; i++)
        words[n++] = verb[i];
    words[n++] = "--";
    n = add_list(s->section, "unit", words, n);
    rc = fence_run(words, n, (struct bytes){NULL, 0}, NULL, o, said, SAID, e);
    if (rc > 0)
        return err_set(e, ERR_IO, "systemctl %s: status %d: %.200s", verb[0], rc, said);
    return rc;
}

/* ActiveState of each, a line apiece: stopped is `inactive`, and `failed` (systemd's manual: neither has processes left). A
 * unit that does not exist is inactive as well. */
static int none_runs(const struct guard_settings *s, const struct fence_order *o, struct err *e)
{
    static const char *const show[] = {"show", "--property=ActiveState", "--value"};
    char said[SAID], *line = said;
    size_t stopped = 0;
    int rc = systemctl(s, show, 3, o, said, e);

    if (rc != 0)
        return rc;
    while (*line) {
        size_t n = strcspn(line, "\n");

        if ((n == 8 && strncmp(line, "inactive", n) == 0) || (n == 6 && strncmp(line, "failed", n) == 0))
            stopped++;
        else if (n)
            return err_set(e, ERR_STATE, "a unit is %.*s", (int)(n < 40 ? n : 40), line);
        line += n + (line[n] == '\n');
    }
    return stopped == option_count(s->section, "unit") ? 0
                                                       : err_set(e, ERR_STATE, "not all units could be seen");
}

int fence_unit(const struct guard_settings *s, const struct fence_order *o, struct err *e)
{
    static const char *const stop[] = {"stop"}, *const start[] = {"start", "--no-block"};
    static const char *const end[] = {"kill", "--signal=SIGKILL"};
    struct fence_order half = *o;
    char said[SAID];
    int rc = 0;

    if (o->job == GUARD_RELEASE)
        return systemctl(s, start, 2, o, said, e);
    if (o->job == GUARD_FENCE) {
        /* what does not stop by being asked is killed while there is time to see that it is gone */
        half.until = mono_add(clock_mono(), span_ns(fence_left(o).ns / 2));
        if (systemctl(s, stop, 1, &half, said, e) != 0) {
            (void)systemctl(s, end, 2, o, said, NULL);
            rc = systemctl(s, stop, 1, o, said, e);
        }
    }
    return rc == 0 ? none_runs(s, o, e) : rc;
}

/* ---- commands ---- */

static int run_command(const struct guard_settings *s, const char *key, const struct fence_order *o,
                       struct err *e)
{
    static const char *const jobs[] = {"", "fence", "prove", "release"};
    const char *words[2 * FENCE_WORDS];
    size_t n = add_list(s->section, key, words, 0);
    cJSON *j = cJSON_CreateObject();
    char said[SAID], *text;
    int rc;

    cJSON_AddStringToObject(j, "do", jobs[o->job]);
    cJSON_AddStringToObject(j, "guard", s->name);
    cJSON_AddStringToObject(j, "service", s->service);
    cJSON_AddStringToObject(j, "region", s->region);
    cJSON_AddNumberToObject(j, "epoch", o->epoch);
    cJSON_AddStringToObject(j, "reason", o->reason);
    text = cJSON_PrintUnformatted(j);
    cJSON_Delete(j);
    if (!text)
        return err_set(e, ERR_NOMEM, "no memory");
    rc = fence_run(words, n, (struct bytes){(const uint8_t *)text, strlen(text)}, NULL, o, said, sizeof said,
                   e);
    cJSON_free(text);
    return rc > 0 ? err_set(e, ERR_STATE, "%s: status %d: %.200s", key, rc, said) : rc;
}

int fence_command(const struct guard_settings *s, const struct fence_order *o, struct err *e)
{
    bool can_prove = option_count(s->section, "prove_command") > 0;
    int rc = 0;

    if (o->job == GUARD_RELEASE)
        return option_count(s->section, "release_command") ? run_command(s, "release_command", o, e) : 0;
    if (o->job == GUARD_FENCE)
        rc = run_command(s, "command", o, e);
    return rc == 0 && can_prove ? run_command(s, "prove_command", o, e) : rc;
}

int fence_carry_out(enum fence_kind k, const struct guard_settings *s, const struct fence_order *o,
                    struct err *e)
{
    switch (k) {
    case FENCE_UNIT: return fence_unit(s, o, e);
    case FENCE_HAPROXY: return fence_haproxy(s, o, e);
    case FENCE_POSTGRESQL: return fence_postgresql(s, o, e);
    default: return fence_command(s, o, e);
    }
}
