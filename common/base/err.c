/* Errors as values: see err.h. */
#include "common/base/err.h"

#include <stdio.h>
#include <string.h>

static void put(struct err *e, int code, const char *fmt, va_list ap)
{
    char text[sizeof e->text];

    (void)vsnprintf(text, sizeof text, fmt, ap);
    memcpy(e->text, text, sizeof text);
    e->code = code;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (e) {
        va_start(ap, fmt);
        put(e, code, fmt, ap);
        va_end(ap);
    }
    return code;
}

int err_sys(struct err *e, int code, int errnum, const char *fmt, ...)
{
    va_list ap;
    size_t n;

    if (e) {
        va_start(ap, fmt);
        put(e, code, fmt, ap);
        va_end(ap);
        n = strlen(e->text);
        (void)snprintf(e->text + n, sizeof e->text - n, ": %s", strerror(errnum));
    }
    return code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    char old[sizeof e->text];
    va_list ap;
    size_t n;

    if (!e)
        return 0;
    memcpy(old, e->text, sizeof old);
    va_start(ap, fmt);
    put(e, e->code, fmt, ap);
    va_end(ap);
    n = strlen(e->text);
    (void)snprintf(e->text + n, sizeof e->text - n, ": %s", old);
    return e->code;
}

const char *err_name(int code)
{
    static const char *const names[] = {
        "ok",    "nomem", "limit",   "malformed", "range", "config", "notfound", "exists",
        "state", "again", "timeout", "io",        "tls",   "denied", "version",  "unsupported",
    };

    if (code > 0 || code < ERR_UNSUPPORTED)
        return "unknown";
    return names[-code];
}
