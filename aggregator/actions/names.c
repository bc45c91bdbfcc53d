/* Names of steps, operations and classes; what a driver says and writes. Pure. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/actions/action.h"
#include "common/config/text.h"

#define NAME(table, i) ((size_t)(i) < sizeof(table) / sizeof *(table) ? (table)[i] : "unknown")

const char *plan_step_name(enum plan_step s)
{
    static const char *const names[PLAN_STEPS] = {"fence", "catchup", "promote",  "warm",
                                                  "test",  "switch",  "validate", "tidy"};

    return NAME(names, s);
}

const char *action_op_name(enum action_op op)
{
    static const char *const names[ACTION_OPS] = {"precheck", "probe", "apply", "verify", "undo"};

    return NAME(names, op);
}

const char *action_class_name(enum action_class c)
{
    static const char *const names[ACTION_CLASSES] = {
        "ok", "already", "not_applied", "progress", "retry", "throttled", "conflict", "denied", "unknown"};

    return NAME(names, c);
}

enum action_class action_settle(enum action_op op, enum action_class c)
{
    bool changes = op == ACTION_APPLY || op == ACTION_UNDO;

    if (changes)
        return c == ACTION_NOT_APPLIED ? ACTION_RETRY : c;
    return c == ACTION_ALREADY ? ACTION_OK : c == ACTION_UNKNOWN ? ACTION_RETRY : c;
}

__attribute__((format(printf, 2, 0))) static void put(char out[ACTION_TEXT], const char *fmt, va_list ap)
{
    char text[1024];

    (void)vsnprintf(text, sizeof text, fmt, ap);
    text[utf8_cut(text, strlen(text), ACTION_TEXT - 1)] = 0;
    memcpy(out, text, strlen(text) + 1);
}

void action_say(struct action_result *out, enum action_class c, const char *fmt, ...)
{
    va_list ap;

    out->class = c;
    va_start(ap, fmt);
    put(out->text, fmt, ap);
    va_end(ap);
}

void action_seen(struct action_result *out, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    put(out->seen, fmt, ap);
    va_end(ap);
}

void action_mark(const struct action_order *o, char out[ACTION_MARK])
{
    (void)snprintf(out, ACTION_MARK, "epoch=%u token=%llu.%llu plan=%.64s", o->epoch,
                   (unsigned long long)o->token.store, (unsigned long long)o->token.rev, o->plan);
}

/* Digits up to `end`; false for none, or what does not fit. */
static bool number(const char **p, uint64_t *out)
{
    uint64_t v = 0;
    const char *s = *p;

    for (; *s >= '0' && *s <= '9'; s++) {
        if (v > (UINT64_MAX - (uint64_t)(*s - '0')) / 10)
            return false;
        v = v * 10 + (uint64_t)(*s - '0');
    }
    if (s == *p)
        return false;
    *p = s;
    *out = v;
    return true;
}

static bool ends(char c)
{
    return c == 0 || c == ' ' || c == '"';
}

bool action_mark_parse(const char *text, uint32_t *epoch, struct fencing *token)
{
    const char *p = text;
    struct fencing t;
    uint64_t e = 0;
    bool found = false;

    for (; *p; p += *p != 0) {
        if ((p != text && p[-1] != ' ' && p[-1] != '"') || !*p)
            continue;
        if (strncmp(p, "epoch=", 6) == 0) {
            p += 6;
            if (!number(&p, &e) || !ends(*p) || e > UINT32_MAX)
                return false;
        } else if (strncmp(p, "token=", 6) == 0) {
            p += 6;
            if (found || !number(&p, &t.store) || *p++ != '.' || !number(&p, &t.rev) || !ends(*p))
                return false;
            found = true;
        }
        if (!*p)
            break;
    }
    if (found) {
        *token = t;
        *epoch = (uint32_t)e;
    }
    return found;
}

bool action_worst(struct action_worst *w, const struct action_result *one)
{
    if (one->class != ACTION_OK && one->class != ACTION_PROGRESS && one->class != ACTION_NOT_APPLIED)
        return false;
    if (one->class == ACTION_NOT_APPLIED || (one->class == ACTION_PROGRESS && w->class == ACTION_OK)) {
        w->class = one->class;
        (void)snprintf(w->text, sizeof w->text, "%s", one->text);
    }
    return true;
}
