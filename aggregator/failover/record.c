/* The record as text: `key value` lines in a fixed order, the first with the version, the last with the SHA-256 of all
 * before it. Regions, actions, states are written by name, so that a person reads it with etcdctl at night and two
 * configurations may differ in their order. What is zero is left out.
 *
 * Reading is total and strict: the checksum first, then every line has to be one that the writer writes. A region or an
 * action that this configuration has not got is refused while it means something (a live plan, where users are); in a plan
 * that has ended it is passed over. */
#include <openssl/sha.h>
#include <stddef.h>
#include <string.h>

#include "aggregator/failover/core_private.h"

enum { VERSION = 1, HEX = 2 * SHA256_DIGEST_LENGTH, KEY = 32, VALUE = 4 * FO_WHY + 1 };
static const char opening[] = "securebase-failover-record";
static const char closing[] = "sha256 ";

#define AT(field) offsetof(struct fo_record, field)

static const struct line_number {
    const char *key;
    uint16_t at;
    uint8_t width;
    int64_t least, most;
} numbers[] = {
    {"epoch", AT(epoch), 4, 0, UINT32_MAX},
    {"hold_until", AT(hold_until), 8, INT64_MIN, INT64_MAX},
    {"flap", AT(flap), 4, 0, FO_FLAP_MOST},
    {"flap_at", AT(flap_at), 8, INT64_MIN, INT64_MAX},
    {"plan.epoch", AT(plan.epoch), 4, 0, UINT32_MAX},
    {"plan.past_no_return", AT(plan.past_no_return), 1, 0, 1},
    {"plan.automatic", AT(plan.automatic), 1, 0, 1},
    {"plan.fenced", AT(plan.fenced), 1, 0, 3},
    {"plan.was_fenced", AT(plan.was_fenced), 1, 0, 1},
    {"plan.undoing", AT(plan.undoing), 1, 0, 1},
    {"plan.accepted_loss_ms", AT(plan.accepted_loss_ms), 8, INT64_MIN, INT64_MAX},
    {"plan.loss_ms", AT(plan.loss_ms), 8, INT64_MIN, INT64_MAX},
    {"plan.bad_since", AT(plan.bad_since), 8, INT64_MIN, INT64_MAX},
    {"plan.suspect_at", AT(plan.suspect_at), 8, INT64_MIN, INT64_MAX},
    {"plan.asked", AT(plan.asked), 8, INT64_MIN, INT64_MAX},
    {"plan.began", AT(plan.began), 8, INT64_MIN, INT64_MAX},
    {"plan.fence_said", AT(plan.fence_said), 8, INT64_MIN, INT64_MAX},
    {"plan.fenced_at", AT(plan.fenced_at), 8, INT64_MIN, INT64_MAX},
    {"plan.writable_at", AT(plan.writable_at), 8, INT64_MIN, INT64_MAX},
    {"plan.switched_at", AT(plan.switched_at), 8, INT64_MIN, INT64_MAX},
    {"plan.valid_at", AT(plan.valid_at), 8, INT64_MIN, INT64_MAX},
    {"plan.ended", AT(plan.ended), 8, INT64_MIN, INT64_MAX},
    {"lock.until", AT(lock.until), 8, INT64_MIN, INT64_MAX},
    {"must_not.until", AT(must_not.until), 8, INT64_MIN, INT64_MAX},
    {"maintenance.until", AT(maintenance.until), 8, INT64_MIN, INT64_MAX},
    {"automation.until", AT(automation.until), 8, INT64_MIN, INT64_MAX},
};

static const struct line_text {
    const char *key;
    uint16_t at, cap;
} texts[] = {
    {"plan.who", AT(plan.who), FO_WHO},
    {"plan.why", AT(plan.why), FO_WHY},
    {"lock.who", AT(lock.who), FO_WHO},
    {"lock.why", AT(lock.why), FO_WHY},
    {"must_not.who", AT(must_not.who), FO_WHO},
    {"must_not.why", AT(must_not.why), FO_WHY},
    {"maintenance.who", AT(maintenance.who), FO_WHO},
    {"maintenance.why", AT(maintenance.why), FO_WHY},
    {"automation.who", AT(automation.who), FO_WHO},
    {"automation.why", AT(automation.why), FO_WHY},
};

/* A byte that is written as a word. Regions have names from the configuration; `zero` is left out. */
enum words { REGION, STATUS, KIND, STEP, MODE };
static const struct line_word {
    const char *key;
    uint16_t at;
    uint8_t words;
    uint8_t always; /* it binds also without a live plan */
} words[] = {
    {"active", AT(active), REGION, 1},
    {"writer", AT(writer), REGION, 1},
    {"status", AT(status), STATUS, 1},
    {"plan.kind", AT(plan.kind), KIND, 0},
    {"plan.from", AT(plan.from), REGION, 0},
    {"plan.to", AT(plan.to), REGION, 0},
    {"plan.step", AT(plan.step), STEP, 0},
    {"lock.region", AT(lock.region), REGION, 0},
    {"must_not.region", AT(must_not.region), REGION, 0},
    {"maintenance.region", AT(maintenance.region), REGION, 0},
    {"automation.mode", AT(automation.region), MODE, 0},
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const char *status_name(uint8_t s)
{
    static const char *const names[] = {"steady", "plan", "hold", "stuck", "undo"};

    return s < COUNT(names) ? names[s] : "?";
}

static const char *word_name(uint8_t kind, uint8_t v, const struct fo_config *c, const struct fo_names *n)
{
    switch (kind) {
    case REGION: return v < c->n_regions && v < FO_REGIONS ? n->region[v] : "-";
    case STATUS: return status_name(v);
    case KIND: return fo_kind_name(v);
    case STEP: return v < PLAN_STEPS ? plan_step_name((enum plan_step)v) : "?";
    default: return v == FO_NONE ? "-" : fo_automation_name(v);
    }
}

static void escaped(struct buf *out, const char *key, const char *s, size_t cap)
{
    size_t n = strnlen(s, cap);

    if (n == 0)
        return;
    buf_fmt(out, "%s ", key);
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)s[i];

        if (ch < 0x20 || ch == '\\' || ch == 0x7f)
            buf_fmt(out, "\\%02x", ch);
        else
            buf_u8(out, ch);
    }
    buf_u8(out, '\n');
}

static int64_t get(const struct fo_record *r, const struct line_number *f)
{
    const char *p = (const char *)r + f->at;
    uint32_t w;
    int64_t d;

    if (f->width == 1)
        return *(const uint8_t *)p;
    if (f->width == 8) {
        memcpy(&d, p, sizeof d);
        return d;
    }
    memcpy(&w, p, sizeof w);
    return w;
}

static void put(struct fo_record *r, const struct line_number *f, int64_t v)
{
    char *p = (char *)r + f->at;
    uint32_t w = (uint32_t)v;

    if (f->width == 1)
        *(uint8_t *)p = (uint8_t)v;
    else if (f->width == 8)
        memcpy(p, &v, sizeof v);
    else
        memcpy(p, &w, sizeof w);
}

static void hash(const uint8_t *p, size_t n, char out[HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char d[SHA256_DIGEST_LENGTH];

    SHA256(p, n, d);
    for (unsigned i = 0; i < sizeof d; i++) {
        out[2 * i] = digits[d[i] >> 4];
        out[2 * i + 1] = digits[d[i] & 15];
    }
    out[HEX] = '\0';
}

int fo_record_write(const struct fo_record *r, const struct fo_config *c, const struct fo_names *n,
                    struct buf *out)
{
    size_t from = out->len;
    char hex[HEX + 1];

    buf_fmt(out, "%s %d\nservice %s\n", opening, VERSION, n->service);
    buf_fmt(out, "token %llu.%llu\n", (unsigned long long)r->token.store, (unsigned long long)r->token.rev);
    for (unsigned i = 0; i < COUNT(words); i++)
        buf_fmt(out, "%s %s\n", words[i].key,
                word_name(words[i].words, *((const uint8_t *)r + words[i].at), c, n));
    for (unsigned i = 0; i < COUNT(numbers); i++)
        if (get(r, &numbers[i]) != 0)
            buf_fmt(out, "%s %lld\n", numbers[i].key, (long long)get(r, &numbers[i]));
    for (unsigned i = 0; i < COUNT(texts); i++)
        escaped(out, texts[i].key, (const char *)r + texts[i].at, texts[i].cap);
    for (uint8_t i = 0; i < c->n_regions && i < FO_REGIONS; i++)
        if (fo_bit(r->left, i))
            buf_fmt(out, "left %s\n", n->region[i]);
    if (r->stuck_reason != FO_R_NONE)
        buf_fmt(out, "stuck %s\n", fo_reason_name((enum fo_reason)r->stuck_reason));
    for (unsigned i = 0; i < FO_MOVES; i++)
        if (r->moves[i] != 0)
            buf_fmt(out, "move %lld\n", (long long)r->moves[i]);
    for (unsigned i = 0; i < c->n_actions && i < FO_ACTIONS; i++)
        if (r->plan.phase[i] != FO_IDLE || r->plan.tries[i] != 0)
            buf_fmt(out, "action %s %s %u\n", n->action[i], fo_phase_name(r->plan.phase[i]),
                    r->plan.tries[i]);
    if (out->full)
        return ERR_LIMIT;
    hash(out->data + from, out->len - from, hex);
    buf_fmt(out, "%s%s\n", closing, hex);
    return out->full || out->len - from > FO_RECORD_TEXT ? ERR_LIMIT : 0;
}

/* ---- reading ---- */

struct reading {
    const struct fo_config *c;
    const struct fo_names *n;
    struct fo_record *r;
    struct err *e;
    bool service, token, status;
    unsigned moves;
};

static int bad(struct reading *g, const char *key)
{
    return err_set(g->e, ERR_MALFORMED, "the failover record's line \"%s\" is not one that can be", key);
}

static bool number(const char *s, int64_t least, int64_t most, int64_t *out)
{
    bool minus = *s == '-';
    uint64_t v = 0, limit = minus ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;

    s += minus;
    if (*s == '\0' || (*s == '0' && s[1] != '\0'))
        return false;
    for (; *s; s++) {
        unsigned digit = (unsigned)(*s - '0');

        if (digit > 9 || v > (limit - digit) / 10)
            return false;
        v = 10 * v + digit;
    }
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return *out >= least && *out <= most;
}

static bool unsigned_number(const char *s, size_t n, uint64_t *out)
{
    uint64_t v = 0;

    if (n == 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned digit = (unsigned)(s[i] - '0');

        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = 10 * v + digit;
    }
    *out = v;
    return true;
}

static int on_token(struct reading *g, const char *value)
{
    const char *dot = strchr(value, '.');

    if (g->token || !dot || !unsigned_number(value, (size_t)(dot - value), &g->r->token.store) ||
        !unsigned_number(dot + 1, strlen(dot + 1), &g->r->token.rev))
        return bad(g, "token");
    g->token = true;
    return 0;
}

static int on_word(struct reading *g, const struct line_word *w, const char *value)
{
    uint8_t *to = (uint8_t *)g->r + w->at;
    unsigned most = w->words == REGION   ? g->c->n_regions
                    : w->words == STATUS ? 5
                    : w->words == STEP   ? PLAN_STEPS
                                         : 3;

    for (uint8_t v = 0; v < most; v++)
        if (strcmp(value, word_name(w->words, v, g->c, g->n)) == 0) {
            *to = v;
            g->status |= w->words == STATUS;
            return 0;
        }
    if (w->words != REGION && !(w->words == MODE && strcmp(value, "-") == 0))
        return bad(g, w->key);
    *to = FO_NONE;
    /* users are somewhere; and what a live plan is about has to be known */
    if (strcmp(value, "-") == 0 && strcmp(w->key, "active") != 0)
        return 0;
    if (w->always || fo_plan_is_live(g->r))
        return err_set(g->e, ERR_STATE,
                       "the failover record names the region \"%s\" (%s), which is not configured", value,
                       w->key);
    return 0;
}

static int on_text(struct reading *g, const struct line_text *x, const char *value)
{
    char *to = (char *)g->r + x->at;
    size_t n = 0;

    for (; *value; value++) {
        unsigned ch = (unsigned char)*value;

        if (ch == '\\') {
            static const char digits[] = "0123456789abcdef";
            const char *a = value[1] ? strchr(digits, value[1]) : NULL;
            const char *b = a && value[2] ? strchr(digits, value[2]) : NULL;

            if (!b)
                return bad(g, x->key);
            ch = (unsigned)(a - digits) << 4 | (unsigned)(b - digits);
            value += 2;
        }
        if (ch == 0 || n + 1 >= x->cap)
            return bad(g, x->key);
        to[n++] = (char)ch;
    }
    memset(to + n, 0, x->cap - n);
    return 0;
}

static int on_action(struct reading *g, char *value)
{
    char *phase = strchr(value, ' '), *tries = phase ? strchr(phase + 1, ' ') : NULL;
    int64_t n;
    uint8_t p = 0;

    if (!tries)
        return bad(g, "action");
    *phase++ = *tries++ = '\0';
    while (p <= FO_UNDONE && strcmp(phase, fo_phase_name(p)) != 0)
        p++;
    if (p > FO_UNDONE || !number(tries, 0, UINT8_MAX, &n))
        return bad(g, "action");
    for (unsigned i = 0; i < g->c->n_actions && i < FO_ACTIONS; i++)
        if (strcmp(value, g->n->action[i]) == 0) {
            g->r->plan.phase[i] = p;
            g->r->plan.tries[i] = (uint8_t)n;
            return 0;
        }
    if (fo_plan_is_live(g->r))
        return err_set(g->e, ERR_STATE,
                       "the failover record's plan has the action \"%s\", which is not configured", value);
    return 0;
}

/* A region that was left and is not configured any more cannot be moved to. */
static int on_left(struct reading *g, const char *value)
{
    uint8_t i = fo_region_index(g->n, g->c->n_regions < FO_REGIONS ? g->c->n_regions : FO_REGIONS, value);

    if (i != FO_NONE)
        g->r->left = (uint8_t)(g->r->left | 1U << i);
    return 0;
}

static int on_stuck(struct reading *g, const char *value)
{
    for (unsigned i = 1; i < FO_REASONS; i++)
        if (strcmp(value, fo_reason_name((enum fo_reason)i)) == 0) {
            g->r->stuck_reason = i;
            return 0;
        }
    return bad(g, "stuck");
}

static int on_line(struct reading *g, const char *key, char *value)
{
    int64_t v;

    for (unsigned i = 0; i < COUNT(numbers); i++)
        if (strcmp(key, numbers[i].key) == 0) {
            if (!number(value, numbers[i].least, numbers[i].most, &v) || v == 0)
                return bad(g, key);
            put(g->r, &numbers[i], v);
            return 0;
        }
    for (unsigned i = 0; i < COUNT(words); i++)
        if (strcmp(key, words[i].key) == 0)
            return on_word(g, &words[i], value);
    for (unsigned i = 0; i < COUNT(texts); i++)
        if (strcmp(key, texts[i].key) == 0)
            return on_text(g, &texts[i], value);
    if (strcmp(key, "service") == 0) {
        g->service = strcmp(value, g->n->service) == 0;
        return g->service ? 0 : err_set(g->e, ERR_STATE, "the failover record is that of \"%s\"", value);
    }
    if (strcmp(key, "token") == 0)
        return on_token(g, value);
    if (strcmp(key, "action") == 0)
        return on_action(g, value);
    if (strcmp(key, "left") == 0)
        return on_left(g, value);
    if (strcmp(key, "stuck") == 0)
        return on_stuck(g, value);
    if (strcmp(key, "move") == 0 && g->moves < FO_MOVES && number(value, INT64_MIN, INT64_MAX, &v) &&
        v != 0) {
        g->r->moves[g->moves++] = v;
        return 0;
    }
    return bad(g, key);
}

/* The bytes between the first line and the checksum's, when that is right. */
static int open_text(struct bytes text, struct bytes *lines, struct err *e)
{
    size_t tail = sizeof closing - 1 + HEX + 1, first = sizeof opening - 1;
    const uint8_t *end;
    char hex[HEX + 1];

    if (text.n > FO_RECORD_TEXT)
        return err_set(e, ERR_LIMIT, "the failover record has %zu bytes; at most %d", text.n, FO_RECORD_TEXT);
    if (text.n < tail + first || memcmp(text.p, opening, first) != 0 || text.p[first] != ' ')
        return err_set(e, ERR_MALFORMED, "this is not a failover record");
    hash(text.p, text.n - tail, hex);
    if (memcmp(text.p + text.n - tail, closing, sizeof closing - 1) != 0 ||
        memcmp(text.p + text.n - HEX - 1, hex, HEX) != 0 || text.p[text.n - 1] != '\n' ||
        memchr(text.p, 0, text.n))
        return err_set(e, ERR_MALFORMED, "the failover record is damaged: its checksum is another one");
    end = memchr(text.p, '\n', text.n);
    if (end != text.p + first + 2 || text.p[first + 1] != '0' + VERSION)
        return err_set(e, ERR_STATE, "the failover record is of a later version than %d", VERSION);
    *lines = (struct bytes){end + 1, text.n - tail - (size_t)(end + 1 - text.p)};
    return 0;
}

int fo_record_read(struct bytes text, const struct fo_config *c, const struct fo_names *n,
                   struct fo_record *out, struct err *e)
{
    struct reading g = {.c = c, .n = n, .r = out, .e = e};
    char line[KEY + VALUE];
    struct bytes rest = {0};
    int code;

    memset(out, 0, sizeof *out);
    out->active = out->writer = FO_NONE;
    code = open_text(text, &rest, e);
    while (code == 0 && rest.n > 0) {
        const uint8_t *end = memchr(rest.p, '\n', rest.n);
        size_t len = end ? (size_t)(end - rest.p) : sizeof line;
        char *blank;

        if (len >= sizeof line)
            return err_set(e, ERR_MALFORMED, "a line of the failover record is too long");
        memcpy(line, rest.p, len);
        line[len] = '\0';
        rest = (struct bytes){end + 1, rest.n - len - 1};
        blank = strchr(line, ' ');
        if (!blank)
            return bad(&g, "");
        *blank = '\0';
        code = on_line(&g, line, blank + 1);
    }
    if (code == 0 && !(g.service && g.token && g.status && out->active != FO_NONE))
        code = err_set(e, ERR_MALFORMED, "the failover record is not whole");
    out->version = VERSION;
    return code;
}

bool fo_may_serve(const struct fo_record *r, uint8_t region)
{
    return region < FO_REGIONS && r->writer == region;
}
