/* Asking and answering of guards as JSON: see guard.h. A reader takes nothing on trust: names of the wrong letters, numbers
 * that are not whole, bytes behind the object are errors, and an error is for the guard as no answer. */
#include "common/wire/guard.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

enum { VERSION = 1 };

static const char hex[] = "0123456789abcdef";
static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

bool guard_name_ok(const char *s)
{
    size_t n = strlen(s);

    return n && n < GUARD_NAME && *s != '.' && strspn(s, letters) == n;
}

/* Regions are labels of any bytes of UTF-8; control bytes would break lines of logs. */
static bool region_ok(const char *s)
{
    size_t n = strlen(s);

    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
            return false;
    return n && n < GUARD_NAME && wire_utf8_ok(s, n);
}

/* ---- writing ---- */

static int print(cJSON *o, struct buf *out)
{
    char *text = cJSON_PrintUnformatted(o);

    cJSON_Delete(o);
    if (!text)
        return ERR_NOMEM;
    buf_str(out, text);
    cJSON_free(text);
    return out->full ? ERR_LIMIT : 0;
}

int guard_ask_write(const struct guard_ask *a, struct buf *out)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddNumberToObject(o, "version", VERSION);
    cJSON_AddStringToObject(o, "guard", a->guard);
    cJSON_AddStringToObject(o, "agent", a->agent);
    cJSON_AddStringToObject(o, "service", a->service);
    cJSON_AddStringToObject(o, "region", a->region);
    cJSON_AddStringToObject(o, "boot", a->boot);
    cJSON_AddNumberToObject(o, "seq", (double)a->seq);
    cJSON_AddBoolToObject(o, "serving", a->serving);
    cJSON_AddNumberToObject(o, "fenced_epoch", a->fenced_epoch);
    cJSON_AddNumberToObject(o, "seen_epoch", a->seen_epoch);
    return print(o, out);
}

int guard_answer_write(const struct guard_answer *a, struct buf *out)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddNumberToObject(o, "version", VERSION);
    cJSON_AddStringToObject(o, "authority", a->held ? "held" : "away");
    cJSON_AddBoolToObject(o, "serve", a->held && a->serve);
    cJSON_AddNumberToObject(o, "epoch", a->epoch);
    if (*a->writer)
        cJSON_AddStringToObject(o, "writer", a->writer);
    else
        cJSON_AddNullToObject(o, "writer");
    cJSON_AddNumberToObject(o, "lease_ms", a->held && a->serve ? a->lease_ms : 0);
    cJSON_AddNumberToObject(o, "promise_ms", a->held ? 0 : a->promise_ms);
    cJSON_AddStringToObject(o, "why", a->why);
    return print(o, out);
}

/* ---- reading ---- */

/* The object of version 1, owned by the caller; NULL with e. Only white space may stand behind it. */
static cJSON *parse(struct bytes json, struct err *e)
{
    const char *p = (const char *)json.p, *end = NULL;
    cJSON *o, *v;

    if (json.n > GUARD_BODY) {
        (void)err_set(e, ERR_LIMIT, "more than %d bytes", GUARD_BODY);
        return NULL;
    }
    o = json.n && !memchr(p, 0, json.n) ? cJSON_ParseWithLengthOpts(p, json.n, &end, 0) : NULL;
    while (o && end < p + json.n && strchr(" \t\r\n", *end))
        end++;
    if (!cJSON_IsObject(o) || end != p + json.n) {
        (void)err_set(e, ERR_MALFORMED, "one JSON object is needed");
        cJSON_Delete(o);
        return NULL;
    }
    v = cJSON_GetObjectItemCaseSensitive(o, "version");
    if (!cJSON_IsNumber(v) || v->valuedouble != VERSION) {
        (void)err_set(e, ERR_VERSION, "version: expected %d", VERSION);
        cJSON_Delete(o);
        return NULL;
    }
    return o;
}

static int text(const cJSON *o, const char *name, char *out, size_t cap, struct err *e)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

    if (!s || strlen(s) >= cap)
        return err_set(e, ERR_MALFORMED, "%s: expected a text of at most %zu bytes", name, cap - 1);
    memcpy(out, s, strlen(s) + 1);
    return 0;
}

static int name_of(const cJSON *o, const char *name, char out[GUARD_NAME], struct err *e)
{
    int rc = text(o, name, out, GUARD_NAME, e);

    if (rc == 0 && !guard_name_ok(out))
        rc = err_set(e, ERR_MALFORMED, "%s: expected letters, digits, '.', '_' or '-'", name);
    return rc;
}

static int whole(const cJSON *o, const char *name, double most, double *out, struct err *e)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= most) ||
        v->valuedouble != (double)(uint64_t)v->valuedouble)
        return err_set(e, ERR_RANGE, "%s: expected a whole number from 0 to %.0f", name, most);
    *out = v->valuedouble;
    return 0;
}

static int yes_no(const cJSON *o, const char *name, bool *out, struct err *e)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

    if (!cJSON_IsBool(v))
        return err_set(e, ERR_MALFORMED, "%s: expected true or false", name);
    *out = cJSON_IsTrue(v);
    return 0;
}

static int agent_of(const cJSON *o, char out[WIRE_MAX_AGENT + 1], struct err *e)
{
    int rc = text(o, "agent", out, WIRE_MAX_AGENT + 1, e);

    if (rc == 0 && (!*out || *out == '.' || strspn(out, letters) != strlen(out)))
        rc = err_set(e, ERR_MALFORMED, "agent: expected letters, digits, '.', '_' or '-'");
    return rc;
}

int guard_ask_read(struct bytes json, struct guard_ask *out, struct err *e)
{
    double seq = 0, fenced = 0, seen = 0;
    cJSON *o = parse(json, e);
    int rc;

    *out = (struct guard_ask){.seq = 0};
    if (!o)
        return e ? e->code : ERR_MALFORMED;
    if ((rc = name_of(o, "guard", out->guard, e)) == 0 &&
        (rc = name_of(o, "service", out->service, e)) == 0 && (rc = agent_of(o, out->agent, e)) == 0 &&
        (rc = text(o, "region", out->region, GUARD_NAME, e)) == 0 &&
        (rc = text(o, "boot", out->boot, GUARD_BOOT, e)) == 0 &&
        (rc = whole(o, "seq", 9007199254740991.0, &seq, e)) == 0 &&
        (rc = yes_no(o, "serving", &out->serving, e)) == 0 &&
        (rc = whole(o, "fenced_epoch", UINT32_MAX, &fenced, e)) == 0)
        rc = whole(o, "seen_epoch", UINT32_MAX, &seen, e);
    if (rc == 0 && !region_ok(out->region))
        rc = err_set(e, ERR_MALFORMED, "region: expected 1 to %d bytes of UTF-8", GUARD_NAME - 1);
    if (rc == 0 && (!*out->boot || strspn(out->boot, hex) != strlen(out->boot)))
        rc = err_set(e, ERR_MALFORMED, "boot: expected hexadecimal digits");
    cJSON_Delete(o);
    out->seq = (uint64_t)seq;
    out->fenced_epoch = (uint32_t)fenced;
    out->seen_epoch = (uint32_t)seen;
    return rc;
}

static int writer_of(const cJSON *o, char out[GUARD_NAME], struct err *e)
{
    if (cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(o, "writer")))
        return 0;
    if (text(o, "writer", out, GUARD_NAME, e) != 0 || !region_ok(out))
        return err_set(e, ERR_MALFORMED, "writer: expected a region, or null");
    return 0;
}

/* For people and of no weight: cut where it is too long, or not fit to be shown. */
static void why_of(const cJSON *o, char out[GUARD_WHY])
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "why"));
    size_t n = s ? strlen(s) : 0;

    if (n >= GUARD_WHY)
        n = GUARD_WHY - 1;
    while (n && !wire_utf8_ok(s, n))
        n--;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)s[i] < ' ' || s[i] == 0x7f ? ' ' : s[i];
    out[n] = 0;
}

int guard_answer_read(struct bytes json, struct guard_answer *out, struct err *e)
{
    double epoch = 0, lease = 0, promise = 0;
    char authority[8] = "";
    cJSON *o = parse(json, e);
    int rc;

    *out = (struct guard_answer){.epoch = 0};
    if (!o)
        return e ? e->code : ERR_MALFORMED;
    if ((rc = text(o, "authority", authority, sizeof authority, e)) == 0 &&
        (rc = yes_no(o, "serve", &out->serve, e)) == 0 &&
        (rc = whole(o, "epoch", UINT32_MAX, &epoch, e)) == 0 && (rc = writer_of(o, out->writer, e)) == 0 &&
        (rc = whole(o, "lease_ms", GUARD_LEASE, &lease, e)) == 0)
        rc = whole(o, "promise_ms", GUARD_LEASE, &promise, e);
    out->held = strcmp(authority, "held") == 0;
    if (rc == 0 && !out->held && strcmp(authority, "away") != 0)
        rc = err_set(e, ERR_MALFORMED, "authority: expected held or away");
    if (rc == 0 && out->held && out->serve && lease < GUARD_LEASE_LEAST)
        rc = err_set(e, ERR_RANGE, "lease_ms: expected %d to %d", GUARD_LEASE_LEAST, GUARD_LEASE);
    if (rc == 0 && ((!out->held && out->serve) || (out->held && promise > 0)))
        rc = err_set(e, ERR_MALFORMED, "serve goes with held, promise_ms with away");
    if (rc == 0)
        why_of(o, out->why);
    cJSON_Delete(o);
    out->epoch = (uint32_t)epoch;
    out->lease_ms = (int32_t)lease;
    out->promise_ms = (int32_t)promise;
    return rc;
}
