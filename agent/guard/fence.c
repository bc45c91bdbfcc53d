/* The pure parts of fences: see fence.h. */
#include "agent/guard/fence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADMIN_STATE = 6, FORCED_MAINTENANCE = 1 };

/* ---- lines and words ---- */

/* The next line without its end; false behind the last. */
static bool next_line(struct bytes text, size_t *at, struct bytes *line)
{
    const uint8_t *p = text.p + *at, *end;

    if (*at >= text.n)
        return false;
    end = memchr(p, '\n', text.n - *at);
    *line = (struct bytes){p, end ? (size_t)(end - p) : text.n - *at};
    *at += line->n + 1;
    if (line->n && line->p[line->n - 1] == '\r')
        line->n--;
    return true;
}

/* The i-th word of a line, cut at cap. "" when there is none. */
static void word(struct bytes line, size_t i, char *out, size_t cap)
{
    size_t at = 0, n = 0;

    *out = 0;
    for (;; i--) {
        while (at < line.n && (line.p[at] == ' ' || line.p[at] == '\t'))
            at++;
        for (n = 0; at + n < line.n && line.p[at + n] != ' ' && line.p[at + n] != '\t';)
            n++;
        if (!n || i == 0)
            break;
        at += n;
    }
    if (n >= cap)
        n = cap - 1;
    memcpy(out, line.p + at, n);
    out[n] = 0;
}

/* ---- HAProxy ---- */

/* A line of a server; the format's number stands alone in the first line, names of the columns behind '#'. */
static bool server_line(struct bytes line, char backend[128], char name[128], char admin[16])
{
    word(line, 1, backend, 128);
    word(line, 3, name, 128);
    word(line, ADMIN_STATE, admin, 16);
    return line.n && *line.p != '#' && *admin;
}

int haproxy_servers(struct bytes answer, const char *backend, const char *server, struct haproxy_seen *out)
{
    struct bytes line;
    size_t at = 0;

    *out = (struct haproxy_seen){0, 0};
    if (!next_line(answer, &at, &line) || line.n != 1 || *line.p != '1')
        return ERR_MALFORMED;
    while (next_line(answer, &at, &line)) {
        char found[128], name[128], admin[16], *end;
        unsigned long state;

        if (!server_line(line, found, name, admin) || strcmp(found, backend) != 0 ||
            (server && strcmp(name, server) != 0))
            continue;
        state = strtoul(admin, &end, 10);
        if (*end)
            return ERR_MALFORMED;
        out->servers++;
        out->in_maintenance += (state & FORCED_MAINTENANCE) != 0;
    }
    return 0;
}

bool haproxy_next(struct bytes answer, size_t *at, char name[128])
{
    char backend[128], admin[16];
    struct bytes line;

    while (next_line(answer, at, &line))
        if (server_line(line, backend, name, admin))
            return true;
    return false;
}

/* ---- PostgreSQL ---- */

int postmaster_read(struct bytes file, struct postmaster *out)
{
    char text[128], *end;
    struct bytes line;
    size_t at = 0;

    *out = (struct postmaster){.pid = 0};
    for (int i = 1; i <= 6 && next_line(file, &at, &line); i++) {
        size_t n = line.n < sizeof text - 1 ? line.n : sizeof text - 1;

        memcpy(text, line.p, n);
        text[n] = 0;
        if (i == 1) {
            out->pid = strtoll(text, &end, 10);
            if (end == text || *end)
                return ERR_MALFORMED;
        } else if (i == 4) {
            out->port = (unsigned)strtoul(text, NULL, 10);
        } else if (i == 5) {
            (void)snprintf(out->socket_dir, sizeof out->socket_dir, "%.107s", text);
        } else if (i == 6) {
            (void)snprintf(out->address, sizeof out->address, "%.63s",
                           strcmp(text, "*") == 0 ? "127.0.0.1" : text);
        }
    }
    return out->pid > 1 && out->port < 65536 ? 0 : ERR_MALFORMED;
}

bool hba_is_cut(struct bytes file)
{
    size_t n = strlen(FENCE_HBA_MARK);

    return file.n > n && memcmp(file.p, FENCE_HBA_MARK, n) == 0 && file.p[n] == '\n';
}

/* Whether a field of a rule, a list with commas in it, names one of two words. */
static bool has_name(const char *field, const char *one, const char *other)
{
    for (const char *p = field; *p;) {
        size_t n = strcspn(p, ","), quoted = n > 1 && *p == '"' && p[n - 1] == '"';

        if ((n == strlen(one) && strncmp(p, one, n) == 0) ||
            (n == strlen(other) && strncmp(p, other, n) == 0) ||
            (quoted && n - 2 == strlen(other) && strncmp(p + 1, other, n - 2) == 0))
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

/* What stands behind the first n words of a line. */
static struct bytes behind(struct bytes line, size_t n)
{
    size_t at = 0;

    for (; n; n--) {
        while (at < line.n && (line.p[at] == ' ' || line.p[at] == '\t'))
            at++;
        while (at < line.n && line.p[at] != ' ' && line.p[at] != '\t')
            at++;
    }
    return (struct bytes){line.p + at, line.n - at};
}

/* `all` does not include replication (PostgreSQL's manual, 21.1). */
static void keep_rule(struct bytes line, const char *const *keep, size_t n_keep, struct buf *out)
{
    char type[32], database[256], user[256];
    struct bytes rest = behind(line, 3);

    word(line, 0, type, sizeof type);
    word(line, 1, database, sizeof database);
    word(line, 2, user, sizeof user);
    if (strcmp(type, "local") != 0 && strncmp(type, "host", 4) != 0)
        return;
    if (strcmp(database, "replication") == 0) {
        buf_put(out, line.p, line.n);
        buf_str(out, "\n");
    }
    for (size_t i = 0; i < n_keep && has_name(database, "all", "postgres"); i++) {
        if (!has_name(user, "all", keep[i]))
            continue;
        buf_fmt(out, "%s postgres \"%s\"", type, keep[i]);
        buf_put(out, rest.p, rest.n);
        buf_str(out, "\n");
    }
}

int hba_cut(struct bytes file, const char *owner, const char *const *keep, size_t n_keep, struct buf *out)
{
    struct bytes line;
    size_t at = 0;

    buf_fmt(out, "%s\n", FENCE_HBA_MARK);
    buf_fmt(out, "local all \"%s\" peer\n", owner);
    while (next_line(file, &at, &line))
        keep_rule(line, keep, n_keep, out);
    buf_str(out, "local all all reject\nhost all all all reject\n");
    return out->full ? ERR_LIMIT : 0;
}

static void put32(struct buf *b, uint32_t v)
{
    for (int i = 24; i >= 0; i -= 8)
        buf_u8(b, (uint8_t)(v >> i));
}

int pg_startup(const char *user, const char *database, struct buf *out)
{
    static const uint32_t protocol = 3U << 16;

    put32(out, (uint32_t)(4 + 4 + sizeof "user" + strlen(user) + 1 + sizeof "database" + strlen(database) +
                          1 + 1));
    put32(out, protocol);
    buf_put(out, "user", sizeof "user");
    buf_put(out, user, strlen(user) + 1);
    buf_put(out, "database", sizeof "database");
    buf_put(out, database, strlen(database) + 1);
    buf_u8(out, 0);
    return out->full ? ERR_LIMIT : 0;
}

bool pg_refused(struct bytes answer)
{
    bool state = false, routine = false;
    size_t at = 5, length;

    if (answer.n < 6 || answer.p[0] != 'E')
        return false;
    length = (size_t)answer.p[1] << 24 | (size_t)answer.p[2] << 16 | (size_t)answer.p[3] << 8 | answer.p[4];
    if (length < 5 || length > answer.n - 1)
        return false;
    while (at < length + 1 && answer.p[at]) { /* fields: a letter, a text, a zero */
        const char *text = (const char *)answer.p + at + 1;
        const uint8_t *end = memchr(text, 0, length + 1 - at - 1);

        if (!end)
            return false;
        state = state || (answer.p[at] == 'C' && strcmp(text, "28000") == 0);
        routine = routine || (answer.p[at] == 'R' && strcmp(text, "ClientAuthentication") == 0);
        at = (size_t)(end - answer.p) + 1;
    }
    return state && routine;
}
