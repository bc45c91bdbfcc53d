/* See route53_set.h. */
#include "aggregator/actions/route53_set.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MARK_TTL_S = 30 };

#define XMLNS "https://route53.amazonaws.com/doc/2013-04-01/"

int r53_name(const char *text, char out[R53_NAME])
{
    size_t n = 0;

    if (!*text || *text == '.')
        return ERR_MALFORMED;
    for (; *text; text++) {
        char c = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';

        if (n + 6 > R53_NAME)
            return ERR_LIMIT;
        if (c == '.' && text[1] == '.')
            return ERR_MALFORMED;
        if (plain) {
            out[n++] = c;
        } else if (c == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] && text[3]) {
            memcpy(out + n, text, 4); /* in its form already */
            n += 4;
            text += 3;
        } else {
            n += (size_t)snprintf(out + n, R53_NAME - n, "\\%03o", (unsigned char)c);
        }
    }
    if (out[n - 1] != '.')
        out[n++] = '.';
    out[n] = 0;
    return 0;
}

static bool same_name(const char *a, const char *b)
{
    char x[R53_NAME], y[R53_NAME];

    return a && b && r53_name(a, x) == 0 && r53_name(b, y) == 0 && strcmp(x, y) == 0;
}

/* ---- reading ---- */

/* A set that more than its values decide about (a routing policy, a health check) is not ours to replace. */
static const char *foreign(const struct xml *set)
{
    static const char *const ours[] = {"Name", "Type", "TTL", "ResourceRecords", "AliasTarget"};

    for (const struct xml *c = set->child; c; c = c->next) {
        bool known = false;

        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            known = known || strcmp(c->name, ours[i]) == 0;
        if (!known)
            return "the record has a routing policy or a health check, which this type does not move";
    }
    return NULL;
}

static void take_record(const struct xml *set, const char *type, const struct r53_place *p,
                        struct r53_state *s)
{
    const char *why = foreign(set), *ttl = xml_child_text(set, "TTL");

    if (strcmp(type, p->type) != 0) {
        if (strcmp(type, "CNAME") == 0)
            s->in_the_way = "the name is an alias (CNAME): a record of another type cannot stand there";
        return;
    }
    if (why || s->record)
        s->in_the_way = why ? why : "there is more than one set of this name and type";
    s->record = set;
    s->ttl = ttl ? (uint32_t)strtoul(ttl, NULL, 10) : 0;
}

static void take_mark(const struct xml *set, const char *type, struct r53_state *s)
{
    const struct xml *values = xml_child(set, "ResourceRecords"), *r = xml_child(values, "ResourceRecord");
    struct fencing token;
    uint32_t epoch;

    if (strcmp(type, "TXT") != 0)
        return;
    if (s->mark || foreign(set))
        s->in_the_way = "the token's name holds TXT records with a routing policy: set `token_name`";
    s->mark = set;
    for (; r; r = xml_next(r)) {
        const char *value = xml_child_text(r, "Value");

        if (!value || !action_mark_parse(value, &epoch, &token)) {
            s->in_the_way = "the token's name holds TXT records of somebody else: set `token_name`";
            continue;
        }
        s->token = fencing_cmp(token, s->token) > 0 ? token : s->token;
        s->epoch = epoch > s->epoch ? epoch : s->epoch;
    }
}

int r53_take(const struct xml *answer, const struct r53_place *p, bool mark, struct r53_state *s)
{
    const struct xml *list = xml_child(answer, "ResourceRecordSets"),
                     *set = xml_child(list, "ResourceRecordSet");

    if (!list || strcmp(answer->name, "ListResourceRecordSetsResponse") != 0)
        return ERR_MALFORMED;
    for (; set; set = xml_next(set)) {
        const char *name = xml_child_text(set, "Name"), *type = xml_child_text(set, "Type");

        if (!name || !type)
            return ERR_MALFORMED;
        if (!same_name(name, mark ? p->token : p->name))
            continue;
        if (mark)
            take_mark(set, type, s);
        else
            take_record(set, type, p, s);
    }
    return 0;
}

/* ---- comparing ---- */

static bool same_value(const char *type, const char *a, const char *b)
{
    unsigned char x[16], y[16];
    int family = strcmp(type, "AAAA") == 0 ? AF_INET6 : AF_INET;

    if (strcmp(type, "CNAME") == 0)
        return same_name(a, b);
    if (inet_pton(family, a, x) != 1 || inet_pton(family, b, y) != 1)
        return strcmp(a, b) == 0;
    return memcmp(x, y, family == AF_INET6 ? 16 : 4) == 0;
}

static bool same_alias(const struct xml *alias, const struct r53_want *w)
{
    const char *zone = xml_child_text(alias, "HostedZoneId"),
               *evaluate = xml_child_text(alias, "EvaluateTargetHealth");

    return zone && strcmp(zone, w->alias_zone) == 0 &&
           same_name(xml_child_text(alias, "DNSName"), w->alias_name) && evaluate &&
           (strcmp(evaluate, "true") == 0) == w->alias_evaluate;
}

bool r53_has(const struct r53_state *s, const struct r53_place *p, const struct r53_want *w)
{
    const struct xml *alias = s->record ? xml_child(s->record, "AliasTarget") : NULL,
                     *values = s->record ? xml_child(s->record, "ResourceRecords") : NULL;
    size_t n = 0;

    if (w->alias_zone)
        return alias && same_alias(alias, w);
    for (const struct xml *r = xml_child(values, "ResourceRecord"); r; r = xml_next(r), n++) {
        const char *value = xml_child_text(r, "Value");
        bool found = false;

        for (size_t i = 0; value && i < w->n; i++)
            found = found || same_value(p->type, value, w->values[i]);
        if (!found)
            return false;
    }
    return n == w->n && n > 0;
}

void r53_text(const struct r53_state *s, const struct r53_place *p, char *out, size_t cap)
{
    const struct xml *alias = s->record ? xml_child(s->record, "AliasTarget") : NULL;
    const char *name = xml_child_text(alias, "DNSName");
    struct buf b;

    buf_init(&b, NULL, cap - 1);
    buf_fmt(&b, "%s", s->record ? p->type : "nothing");
    for (const struct xml *r =
             xml_child(s->record ? xml_child(s->record, "ResourceRecords") : NULL, "ResourceRecord");
         r; r = xml_next(r))
        buf_fmt(&b, " %s", xml_child_text(r, "Value") ? xml_child_text(r, "Value") : "?");
    if (alias)
        buf_fmt(&b, " alias of %s", name ? name : "?");
    else if (s->record)
        buf_fmt(&b, " ttl %u", s->ttl);
    if (s->mark && (s->epoch || s->token.rev))
        buf_fmt(&b, " epoch=%u token=%llu.%llu", s->epoch, (unsigned long long)s->token.store,
                (unsigned long long)s->token.rev);
    (void)snprintf(out, cap, "%.*s", (int)b.len, b.len ? (const char *)b.data : "");
    buf_free(&b);
}

/* ---- writing ---- */

static void element(struct buf *b, const char *name, const char *text)
{
    buf_fmt(b, "<%s>", name);
    xml_put(b, text);
    buf_fmt(b, "</%s>", name);
}

static void echo(struct buf *b, const struct xml *x)
{
    buf_fmt(b, "<%s>", x->name);
    if (!x->child)
        xml_put(b, x->text);
    for (const struct xml *c = x->child; c; c = c->next)
        echo(b, c);
    buf_fmt(b, "</%s>", x->name);
}

static void delete_set(struct buf *b, const struct xml *set)
{
    buf_str(b, "<Change><Action>DELETE</Action>");
    echo(b, set);
    buf_str(b, "</Change>");
}

static void put_set(struct buf *b, const char *action, const char *name, const char *type, uint32_t ttl,
                    const char *const *values, size_t n)
{
    buf_fmt(b, "<Change><Action>%s</Action><ResourceRecordSet>", action);
    element(b, "Name", name);
    element(b, "Type", type);
    buf_fmt(b, "<TTL>%u</TTL><ResourceRecords>", ttl);
    for (size_t i = 0; i < n; i++) {
        buf_str(b, "<ResourceRecord>");
        element(b, "Value", values[i]);
        buf_str(b, "</ResourceRecord>");
    }
    buf_str(b, "</ResourceRecords></ResourceRecordSet></Change>");
}

static void create_alias(struct buf *b, const struct r53_place *p, const struct r53_want *w)
{
    buf_str(b, "<Change><Action>CREATE</Action><ResourceRecordSet>");
    element(b, "Name", p->name);
    element(b, "Type", p->type);
    buf_str(b, "<AliasTarget>");
    element(b, "HostedZoneId", w->alias_zone);
    element(b, "DNSName", w->alias_name);
    element(b, "EvaluateTargetHealth", w->alias_evaluate ? "true" : "false");
    buf_str(b, "</AliasTarget></ResourceRecordSet></Change>");
}

static void begin(struct buf *b, const char *comment)
{
    buf_str(b, "<ChangeResourceRecordSetsRequest xmlns=\"" XMLNS "\"><ChangeBatch>");
    element(b, "Comment", comment);
    buf_str(b, "<Changes>");
}

static void end(struct buf *b)
{
    buf_str(b, "</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>");
}

void r53_batch(const struct r53_state *was, const struct r53_place *p, const struct r53_want *w,
               const char *mark, struct buf *out)
{
    char quoted[ACTION_MARK + 2];
    const char *values[] = {quoted};

    (void)snprintf(quoted, sizeof quoted, "\"%.*s\"", ACTION_MARK - 1, mark);
    begin(out, mark);
    if (was->record)
        delete_set(out, was->record);
    if (was->mark)
        delete_set(out, was->mark);
    if (w->alias_zone)
        create_alias(out, p, w);
    else
        put_set(out, "CREATE", p->name, p->type, p->ttl, w->values, w->n);
    put_set(out, "CREATE", p->token, "TXT", MARK_TTL_S, values, 1);
    end(out);
}

void r53_batch_dry(const struct r53_place *p, struct buf *out)
{
    const char *nothing[] = {strcmp(p->type, "A") == 0      ? "0.0.0.0"
                             : strcmp(p->type, "AAAA") == 0 ? "::"
                                                            : "nothing.invalid."};
    static const char *const test[] = {"\"securebase: a test of rights\""};

    begin(out, "securebase: a test of rights, which changes nothing");
    put_set(out, "DELETE", p->name, p->type, 1, nothing, 1);
    put_set(out, "DELETE", p->token, "TXT", 1, test, 1);
    end(out);
}
