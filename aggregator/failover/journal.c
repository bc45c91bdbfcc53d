/* Lines of the journal: written, read, and checked as a chain. See journal.h. */
#include "aggregator/failover/journal.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/failover/etcd.h"
#include "common/config/text.h"
#include "common/net/openssl.h"

static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
static const char mark[] = ",\"hash\":\"";
enum { HEX = FO_JOURNAL_HASH - 1, MARK = sizeof mark - 1, TAIL = MARK + HEX + 2 };

const char *fo_journal_phase_name(enum fo_journal_phase p)
{
    static const char *const names[FO_JOURNAL_PHASES] = {"INTENT", "RESULT", "NOTE", "TRANSITION"};

    return (unsigned)p < FO_JOURNAL_PHASES ? names[p] : "NOTE";
}

static void hash_of(struct bytes b, char out[FO_JOURNAL_HASH])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char d[SHA256_DIGEST_LENGTH];

    SHA256(b.n ? b.p : (const uint8_t *)"", b.n, d);
    for (size_t i = 0; i < sizeof d; i++) {
        out[2 * i] = digits[d[i] >> 4];
        out[2 * i + 1] = digits[d[i] & 15];
    }
    out[HEX] = 0;
}

/* ---- writing ---- */

static void put_text(cJSON *o, const char *name, const char *s)
{
    char clean[FO_JOURNAL_TEXT + 1];
    size_t n = 0, len = strlen(s);

    for (size_t i = 0; i < len && n < FO_JOURNAL_TEXT;) {
        size_t k = utf8_len((const unsigned char *)s + i, len - i);

        if (k && n + k <= FO_JOURNAL_TEXT)
            memcpy(clean + n, s + i, k);
        else
            clean[n] = '?';
        n += k && n + k <= FO_JOURNAL_TEXT ? k : 1;
        i += k ? k : 1;
    }
    clean[n] = 0;
    cJSON_AddStringToObject(o, name, clean);
}

static cJSON *line_json(const struct fo_journal_line *l, const struct fo_journal_head *head)
{
    cJSON *o = cJSON_CreateObject();
    char text[48], when[WALL_TEXT];

    (void)snprintf(text, sizeof text, "%" PRIu64, head->seq + 1);
    cJSON_AddRawToObject(o, "seq", text);
    cJSON_AddStringToObject(o, "t", wall_text(l->t, when));
    put_text(o, "service", l->service);
    put_text(o, "plan", l->plan);
    cJSON_AddNumberToObject(o, "epoch", l->epoch);
    (void)snprintf(text, sizeof text, "%" PRIu64 ".%" PRIu64, l->token.store, l->token.rev);
    cJSON_AddStringToObject(o, "token", text);
    put_text(o, "step", l->step);
    put_text(o, "action", l->action);
    cJSON_AddStringToObject(o, "phase", fo_journal_phase_name(l->phase));
    put_text(o, "class", l->class_name);
    cJSON_AddNumberToObject(o, "row", l->row);
    put_text(o, "actor", l->actor);
    put_text(o, "text", l->text);
    cJSON_AddStringToObject(o, "prev", head->seq ? head->hash : zeros);
    return o;
}

int fo_journal_write(const struct fo_journal_line *l, struct fo_journal_head *head, struct buf *out)
{
    cJSON *o = line_json(l, head);
    char *text = cJSON_PrintUnformatted(o), hash[FO_JOURNAL_HASH];
    size_t n = text ? strlen(text) : 0;
    int rc = ERR_LIMIT;

    if (n > 2 && n - 1 + TAIL < FO_JOURNAL_LINE && buf_reserve(out, n - 1 + TAIL)) {
        hash_of((struct bytes){(const uint8_t *)text, n - 1}, hash);
        buf_put(out, text, n - 1);
        buf_fmt(out, "%s%s\"}", mark, hash);
        head->seq++;
        memcpy(head->hash, hash, sizeof hash);
        rc = 0;
    }
    cJSON_free(text);
    cJSON_Delete(o);
    return rc;
}

/* ---- reading ---- */

static bool take_text(const cJSON *o, const char *name, char *out, size_t room)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    size_t n = cJSON_IsString(v) ? strlen(v->valuestring) : room;

    if (n >= room)
        return false;
    memcpy(out, v->valuestring, n + 1);
    return true;
}

static bool take_number(const cJSON *o, const char *name, uint64_t most, uint64_t *out)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= (double)most))
        return false;
    *out = (uint64_t)v->valuedouble;
    return (double)*out == v->valuedouble; /* else it is no whole number */
}

static bool take_token(const cJSON *o, struct fencing *out)
{
    char text[48], *dot;

    if (!take_text(o, "token", text, sizeof text) || !(dot = strchr(text, '.')))
        return false;
    *dot = 0;
    return etcd_number(text, &out->store) && etcd_number(dot + 1, &out->rev);
}

static bool take_phase(const cJSON *o, enum fo_journal_phase *out)
{
    char text[FO_JOURNAL_WORD];

    if (!take_text(o, "phase", text, sizeof text))
        return false;
    for (int p = 0; p < FO_JOURNAL_PHASES; p++)
        if (strcmp(text, fo_journal_phase_name((enum fo_journal_phase)p)) == 0) {
            *out = (enum fo_journal_phase)p;
            return true;
        }
    return false;
}

static bool is_hash(const char *s)
{
    return strspn(s, "0123456789abcdef") == HEX && s[HEX] == 0;
}

static bool take_line(const cJSON *o, struct fo_journal_line *l)
{
    uint64_t epoch, row;
    char when[WALL_TEXT];

    if (!take_number(o, "seq", UINT64_C(1) << 53, &l->seq) || !take_number(o, "epoch", UINT32_MAX, &epoch) ||
        !take_number(o, "row", UINT16_MAX, &row) || !take_text(o, "t", when, sizeof when) ||
        wall_parse(when, &l->t) != 0)
        return false;
    l->epoch = (uint32_t)epoch;
    l->row = (uint16_t)row;
    return take_token(o, &l->token) && take_phase(o, &l->phase) &&
           take_text(o, "service", l->service, sizeof l->service) &&
           take_text(o, "plan", l->plan, sizeof l->plan) && take_text(o, "step", l->step, sizeof l->step) &&
           take_text(o, "action", l->action, sizeof l->action) &&
           take_text(o, "class", l->class_name, sizeof l->class_name) &&
           take_text(o, "actor", l->actor, sizeof l->actor) &&
           take_text(o, "text", l->text, sizeof l->text) && take_text(o, "prev", l->prev, sizeof l->prev) &&
           is_hash(l->prev) && l->seq > 0;
}

/* The bytes that are hashed, and the hash that stands behind them; nothing may follow. */
static bool split(struct bytes line, struct bytes *body, char hash[FO_JOURNAL_HASH])
{
    if (line.n <= TAIL || memcmp(line.p + line.n - TAIL, mark, MARK) != 0 ||
        memcmp(line.p + line.n - 2, "\"}", 2) != 0)
        return false;
    *body = (struct bytes){line.p, line.n - TAIL};
    memcpy(hash, line.p + line.n - TAIL + MARK, HEX);
    hash[HEX] = 0;
    return is_hash(hash);
}

int fo_journal_read(struct bytes line, struct fo_journal_line *out, struct err *e)
{
    struct bytes body;
    char right[FO_JOURNAL_HASH];
    cJSON *o;
    bool good;

    memset(out, 0, sizeof *out);
    if (line.n > FO_JOURNAL_LINE)
        return err_set(e, ERR_LIMIT, "the line is longer than %d bytes", (int)FO_JOURNAL_LINE);
    if (!split(line, &body, out->hash))
        return err_set(e, ERR_MALFORMED, "the line does not end in a hash");
    hash_of(body, right);
    if (strcmp(right, out->hash) != 0)
        return err_set(e, ERR_MALFORMED, "the line is not what its hash was made of");
    o = cJSON_ParseWithLength((const char *)line.p, line.n);
    good = cJSON_IsObject(o) && take_line(o, out);
    cJSON_Delete(o);
    return good ? 0 : err_set(e, ERR_MALFORMED, "the line has not the fields of a journal");
}

/* ---- the chain ---- */

int fo_journal_follows(const struct fo_journal_line *l, struct fo_journal_head *head,
                       const struct fo_journal_line *before, struct err *e)
{
    if (head->seq && l->seq != head->seq + 1)
        return err_set(e, ERR_MALFORMED, "line %" PRIu64 " stands behind line %" PRIu64, l->seq, head->seq);
    if (head->seq && strcmp(l->prev, head->hash) != 0)
        return err_set(e, ERR_MALFORMED,
                       "line %" PRIu64 " was written behind another line than stands before it", l->seq);
    if ((l->seq == 1) != (strcmp(l->prev, zeros) == 0))
        return err_set(e, ERR_MALFORMED, "line %" PRIu64 " %s", l->seq,
                       l->seq == 1 ? "is the first, and names one before" : "names no line before");
    if (before && fencing_cmp(l->token, before->token) < 0)
        return err_set(e, ERR_MALFORMED, "line %" PRIu64 " has a lower token than the one before", l->seq);
    if (before && l->epoch < before->epoch)
        return err_set(e, ERR_MALFORMED, "line %" PRIu64 " has a lower epoch than the one before", l->seq);
    head->seq = l->seq;
    memcpy(head->hash, l->hash, sizeof head->hash);
    return 0;
}

/* Cuts the next line off; false behind the last. */
static bool next_line(struct bytes *text, struct bytes *line)
{
    const uint8_t *end;

    if (text->n == 0)
        return false;
    end = memchr(text->p, '\n', text->n);
    *line = (struct bytes){text->p, end ? (size_t)(end - text->p) : text->n};
    text->p += end ? line->n + 1 : line->n;
    text->n -= end ? line->n + 1 : line->n;
    return true;
}

int fo_journal_verify(struct bytes text, struct fo_journal_report *out)
{
    struct fo_journal_line two[2];
    struct bytes line;
    struct err e = {0};

    memset(out, 0, sizeof *out);
    while (next_line(&text, &line)) {
        struct fo_journal_line *l = &two[out->lines & 1];
        int rc = fo_journal_read(line, l, &e);

        out->lines++;
        if (rc == 0)
            rc = fo_journal_follows(l, &out->head, out->good ? &two[(out->good - 1) & 1] : NULL, &e);
        if (rc) {
            out->bad = out->lines;
            (void)snprintf(out->why, sizeof out->why, "%.190s", e.text);
            return ERR_MALFORMED;
        }
        out->good++;
        out->first = out->first ? out->first : l->seq;
        out->last = l->seq;
    }
    return 0;
}

/* Skips the lines before seq. */
static uint64_t skip(struct bytes *text, uint64_t first, uint64_t seq)
{
    struct bytes line;
    uint64_t n = 0;

    while (first + n < seq && next_line(text, &line))
        n++;
    return n;
}

int fo_journal_compare(struct bytes a, struct bytes b, struct fo_journal_difference *out)
{
    struct bytes la, lb;
    uint64_t from;
    int bad;

    memset(out, 0, sizeof *out);
    bad = fo_journal_verify(a, &out->a);
    bad = fo_journal_verify(b, &out->b) || bad;
    if (bad)
        return ERR_MALFORMED;
    from = out->a.first > out->b.first ? out->a.first : out->b.first;
    out->only_a = skip(&a, out->a.first, from);
    out->only_b = skip(&b, out->b.first, from);
    while (a.n && b.n && next_line(&a, &la) && next_line(&b, &lb)) {
        if (la.n != lb.n || memcmp(la.p, lb.p, la.n) != 0) {
            out->seq = from + out->same;
            return ERR_STATE;
        }
        out->same++;
    }
    while (next_line(&a, &la))
        out->only_a++;
    while (next_line(&b, &lb))
        out->only_b++;
    return 0;
}
