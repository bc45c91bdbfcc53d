/* One text against one row: bounds, forms, members of lists; and what a row allows, in words. Pure.
 *
 * The sentence of every refusal is made here: found "…", expected …. What was found for a secret is never
 * repeated: a password put where a reference belongs must not end up in a log. */
#include "common/config/model.h"
#include "common/config/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MEMBERS_MAX = 10000 };

static const char separators[] = ", \t";

bool option_is_list(enum option_type type)
{
    return type == OPT_LIST || type == OPT_NUMBERS || type == OPT_DURATIONS || type == OPT_LABELS ||
           type == OPT_URLS;
}

/* ---- what is allowed ------------------------------------------------------------------------- */

static void put_bound(struct buf *out, enum option_type type, int64_t v)
{
    char text[32];

    if (type == OPT_DURATION)
        format_duration(span_ns(v), text);
    else if (type == OPT_SIZE)
        format_size(v, text);
    else
        (void)snprintf(text, sizeof text, "%" PRId64, v);
    buf_str(out, text);
}

static bool bounded(const struct option_row *row)
{
    return row->min || row->max;
}

static void put_bounds(const struct option_row *row, struct buf *out)
{
    if (!bounded(row))
        return;
    if (row->max < row->min) {
        buf_str(out, " of at least ");
        put_bound(out, row->type, row->min);
        return;
    }
    buf_str(out, " from ");
    put_bound(out, row->type, row->min);
    buf_str(out, " to ");
    put_bound(out, row->type, row->max);
}

static void put_such_as(const struct option_row *row, const char *otherwise, struct buf *out)
{
    buf_str(out, " such as ");
    if (row->dflt && *row->dflt)
        buf_str(out, row->dflt);
    else if (row->min > 0)
        put_bound(out, row->type, row->min);
    else
        buf_str(out, otherwise);
}

static void put_choices(const char *choices, struct buf *out)
{
    size_t n;

    buf_str(out, "one of");
    for (; *choices; choices += n) {
        choices += strspn(choices, " ");
        n = strcspn(choices, " ");
        buf_fmt(out, " %.*s%s", (int)n, choices, choices[n + strspn(choices + n, " ")] ? "," : "");
    }
}

static void put_count(const struct option_row *row, struct buf *out)
{
    if (row->min && row->max)
        buf_fmt(out, ", %" PRId64 " to %" PRId64 " of them", row->min, row->max);
    else if (row->min)
        buf_fmt(out, ", at least %" PRId64, row->min);
    else if (row->max)
        buf_fmt(out, ", at most %" PRId64, row->max);
}

void option_allowed(const struct option_row *row, struct buf *out)
{
    static const char *const words[] = {
        [OPT_BOOL] = "yes or no",
        [OPT_INT] = "a whole number",
        [OPT_DURATION] = "a duration",
        [OPT_SIZE] = "a size",
        [OPT_RATIO] = "a ratio from 0 to 1 such as 0.9995 or 99.95%",
        [OPT_STRING] = "text",
        [OPT_PATH] = "an absolute path, without quotes",
        [OPT_CHOICE] = "",
        [OPT_SECRET] = "a reference: file:/absolute/path, or cred:NAME for a systemd credential",
        [OPT_LIST] = "words separated by commas or white space",
        [OPT_NUMBERS] = "numbers separated by commas or white space",
        [OPT_DURATIONS] = "durations such as 1m 5m 1h",
        [OPT_LABELS] = "name=value words such as service=checkout",
        [OPT_ADDRESS] = "host:port, [IPv6]:port or unix:/absolute/path",
        [OPT_URLS] = "URLs that begin with http:// or https://, without a user in them",
    };

    buf_str(out, words[row->type]);
    switch (row->type) {
    case OPT_CHOICE: put_choices(row->choices, out); break;
    case OPT_INT: put_bounds(row, out); break;
    case OPT_DURATION:
        put_bounds(row, out);
        put_such_as(row, "10s", out);
        break;
    case OPT_SIZE:
        put_bounds(row, out);
        put_such_as(row, "64KiB", out);
        break;
    default:
        if (option_is_list(row->type))
            put_count(row, out);
        break;
    }
}

/* Fills e with: found "text", expected …. `part` is the member of a list that is wrong, or the text. */
static int refuse(const struct option_row *row, const char *part, int code, struct err *e)
{
    uint8_t room[256];
    struct buf allowed = {.data = room, .room = sizeof room, .cap = sizeof room};
    size_t n = strlen(part), cut = utf8_cut(part, n, 60);

    option_allowed(row, &allowed);
    if (row->type == OPT_SECRET)
        return err_set(e, code, "found something else (not shown), expected %s", buf_text(&allowed));
    if (!n)
        return err_set(e, code, "found nothing, expected %s", buf_text(&allowed));
    return err_set(e, code, "found \"%.*s%s\", expected %s", (int)cut, part, cut < n ? "..." : "",
                   buf_text(&allowed));
}

/* ---- forms ----------------------------------------------------------------------------------- */

static bool parse_bool(const char *s, int64_t *out)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    size_t i;

    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!strcasecmp(s, words[i])) {
            *out = (int64_t)(i % 2);
            return true;
        }
    }
    return false;
}

static bool in_choices(const char *choices, const char *s)
{
    size_t n, len = strlen(s);

    for (; len && *choices; choices += n) {
        choices += strspn(choices, " ");
        n = strcspn(choices, " ");
        if (n == len && !memcmp(choices, s, n))
            return true;
    }
    return false;
}

static bool is_name(const char *s, size_t n, const char *more)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') ||
              (s[i] && strchr(more, s[i]))))
            return false;
    }
    return n > 0;
}

static bool is_path(const char *s)
{
    return s[0] == '/';
}

static bool is_secret(const char *s)
{
    if (!strncmp(s, "file:", 5))
        return is_path(s + 5);
    if (!strncmp(s, "cred:", 5))
        return is_name(s + 5, strlen(s + 5), "._-") && s[5] != '.';
    return false;
}

static bool is_port(const char *s)
{
    int64_t v;

    return s[0] != '+' && s[0] != '-' && strlen(s) <= 5 && parse_int(s, &v) == 0 && v <= 65535;
}

/* host:port or [v6]:port; of a URL the port may be absent. */
static bool is_host_port(const char *s, bool port_needed)
{
    const char *end;
    size_t n;

    if (*s == '[') {
        end = strchr(s, ']');
        n = strspn(s + 1, "0123456789abcdefABCDEF:.");
        if (!end || n < 2)
            return false;
        if (s[1 + n] == '%' && !is_name(s + 2 + n, (size_t)(end - s) - 2 - n, "._-")) /* a zone */
            return false;
        if (s[1 + n] != '%' && s + 1 + n != end)
            return false;
        s = end + 1;
    } else {
        n = strcspn(s, ":");
        if (!is_name(s, n, ".-_"))
            return false;
        s += n;
    }
    return *s == ':' ? is_port(s + 1) : !*s && !port_needed;
}

static bool is_address(const char *s)
{
    return strncmp(s, "unix:", 5) ? is_host_port(s, true) : is_path(s + 5);
}

static bool is_url(const char *s)
{
    char authority[300];
    size_t n = !strncasecmp(s, "http://", 7) ? 7 : !strncasecmp(s, "https://", 8) ? 8 : 0, len;

    if (!n)
        return false;
    len = strcspn(s + n, "/?#");
    if (len >= sizeof authority)
        return false;
    memcpy(authority, s + n, len);
    authority[len] = 0;
    return is_host_port(authority, false); /* a user before '@' is no host */
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Length of the member at s. Behind the `=` of a label a text in double quotes may hold separators. */
static size_t member_len(const char *s, bool labels)
{
    size_t n = strcspn(s, separators), name = labels ? strcspn(s, "=, \t") : n;
    const char *end;

    if (labels && s[name] == '=' && s[name + 1] == '"') {
        end = strchr(s + name + 2, '"');
        if (end)
            n = (size_t)(end - s) + 1 + strcspn(end + 1, separators);
    }
    return n;
}

static size_t count_members(const char *s, bool labels)
{
    size_t n = 0;

    for (s += strspn(s, separators); *s; s += strspn(s, separators), n++)
        s += member_len(s, labels);
    return n;
}

/* Splits the word of *m (a copy of ours) at its '='. */
static bool split_label(struct member *m, char *word)
{
    char *eq = strchr(word, '='), *end;

    if (!eq || !is_name(word, (size_t)(eq - word), "_") || (word[0] >= '0' && word[0] <= '9'))
        return false;
    *eq++ = 0;
    if (*eq == '"') {
        end = strchr(++eq, '"');
        if (!end || end[1])
            return false;
        *end = 0;
    }
    m->value = eq;
    return true;
}

static int check_member(const struct option_row *row, char *word, struct value *v, struct err *e)
{
    struct member *m = &v->members[v->n_members];
    struct span d;
    size_t i;
    int rc = 0;

    m->word = word;
    switch (row->type) {
    case OPT_NUMBERS: rc = parse_number(word, &m->number, NULL); break;
    case OPT_DURATIONS:
        rc = parse_duration(word, &d, NULL);
        m->ns = rc ? 0 : d.ns;
        break;
    case OPT_URLS: rc = is_url(word) ? 0 : ERR_MALFORMED; break;
    default: break;
    }
    if (rc)
        return refuse(row, word, rc, e);
    for (i = 0; row->type == OPT_LABELS && i < v->n_members; i++) {
        if (!strcmp(v->members[i].word, word))
            return err_set(e, ERR_MALFORMED, "the label \"%.60s\" is there twice", word);
    }
    v->n_members++;
    return 0;
}

static int check_list(const struct option_row *row, const char *text, struct arena *a, struct value *v,
                      struct err *e)
{
    const bool labels = row->type == OPT_LABELS;
    size_t n = count_members(text, labels), len;
    char *word, *whole;
    int rc;

    if (n > MEMBERS_MAX || (row->max && (int64_t)n > row->max) || (int64_t)n < row->min)
        return n ? err_set(e, ERR_RANGE,
                           "found %zu members, expected at least %" PRId64 " and at most %" PRId64, n,
                           row->min, row->max && row->max < MEMBERS_MAX ? row->max : (int64_t)MEMBERS_MAX)
                 : refuse(row, "", ERR_RANGE, e);
    v->members = arena_array(a, n, sizeof *v->members);
    if (!v->members)
        return err_set(e, ERR_NOMEM, "the configuration takes too much memory");
    v->n_members = 0;
    for (text += strspn(text, separators); *text; text += len + strspn(text + len, separators)) {
        len = member_len(text, labels);
        word = arena_text(a, text, len);
        whole = labels ? arena_text(a, text, len) : word;
        if (!word || !whole)
            return err_set(e, ERR_NOMEM, "the configuration takes too much memory");
        if (labels && !split_label(&v->members[v->n_members], word))
            return refuse(row, whole, ERR_MALFORMED, e);
        rc = check_member(row, word, v, e);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* The typed form of what is not a list, without bounds. */
static int check_single(const struct option_row *row, const char *text, struct value *v)
{
    struct span d;
    int rc;

    switch (row->type) {
    case OPT_BOOL: return parse_bool(text, &v->whole) ? 0 : ERR_MALFORMED;
    case OPT_INT: return parse_int(text, &v->whole);
    case OPT_SIZE: return parse_size(text, &v->whole, NULL);
    case OPT_DURATION:
        rc = parse_duration(text, &d, NULL);
        v->whole = rc ? 0 : d.ns;
        return rc;
    case OPT_RATIO: return parse_ratio(text, &v->real, NULL);
    case OPT_PATH: return is_path(text) ? 0 : ERR_MALFORMED;
    case OPT_CHOICE: return in_choices(row->choices, text) ? 0 : ERR_MALFORMED;
    case OPT_SECRET: return is_secret(text) ? 0 : ERR_MALFORMED;
    case OPT_ADDRESS: return is_address(text) ? 0 : ERR_MALFORMED;
    default: return 0;
    }
}

int value_check(const struct option_row *row, const char *text, struct arena *a, struct value *v,
                struct err *e)
{
    bool numeric = row->type == OPT_INT || row->type == OPT_SIZE || row->type == OPT_DURATION;
    int rc;

    if (option_is_list(row->type)) {
        rc = check_list(row, text, a, v, e);
    } else {
        rc = row->required && !*text ? ERR_MALFORMED : check_single(row, text, v);
        if (!rc && numeric && bounded(row) &&
            (v->whole < row->min || (row->max >= row->min && v->whole > row->max)))
            rc = ERR_RANGE;
        if (rc)
            return refuse(row, text, rc, e);
    }
    if (!rc) {
        v->text = arena_text(a, text, strlen(text));
        if (!v->text)
            return err_set(e, ERR_NOMEM, "the configuration takes too much memory");
    }
    return rc;
}
