/* See cloudfront_text.h. CloudFront refuses a configuration that lacks what it does not know of, so nothing is taken apart and
 * put together again: the bytes between the replaced texts are the ones that came. */
#include "aggregator/actions/cloudfront_text.h"

#include <stdio.h>
#include <string.h>

#include "aggregator/actions/xml.h"

static const char target_open[] = "<TargetOriginId>", comment_open[] = "<Comment>",
                  comment_end[] = "</Comment>", comment_empty[] = "<Comment/>", mark_open[] = "[securebase ";

/* ---- reading ---- */

static void count_target(const struct xml *behaviour, const char *want, const char *other,
                         struct cloudfront_state *s)
{
    const char *id = xml_child_text(behaviour, "TargetOriginId");

    if (id && strcmp(id, want) == 0)
        s->here++;
    else if (id && strcmp(id, other) == 0)
        s->there++;
    else if (id)
        s->elsewhere++;
}

static bool has_id(const struct xml *list, const char *item, const char *id)
{
    for (const struct xml *x = xml_child(xml_child(list, "Items"), item); x; x = xml_next(x)) {
        const char *found = xml_child_text(x, "Id");

        if (found && strcmp(found, id) == 0)
            return true;
    }
    return false;
}

int cloudfront_read(struct bytes config, const char *want, const char *other, struct arena *a,
                    struct cloudfront_state *s, struct err *e)
{
    const struct xml *root, *b;
    const char *comment, *mark;
    int rc = xml_parse(a, config, &root, e);

    *s = (struct cloudfront_state){0};
    if (rc != 0)
        return rc;
    if (strcmp(root->name, "DistributionConfig") != 0)
        return err_set(e, ERR_MALFORMED, "no configuration of a distribution");
    count_target(xml_child(root, "DefaultCacheBehavior"), want, other, s);
    b = xml_child(xml_child(xml_child(root, "CacheBehaviors"), "Items"), "CacheBehavior");
    for (; b; b = xml_next(b))
        count_target(b, want, other, s);
    s->origin = has_id(xml_child(root, "Origins"), "Origin", want) ||
                has_id(xml_child(root, "OriginGroups"), "OriginGroup", want);
    comment = xml_child_text(root, "Comment");
    mark = comment ? strstr(comment, mark_open) : NULL;
    if (mark && !action_mark_parse(mark, &s->epoch, &s->token)) {
        char word[CLOUDFRONT_COMMENT];

        (void)snprintf(word, sizeof word, "%.*s", (int)strcspn(mark, "]"),
                       mark); /* the bracket ends the last word */
        (void)action_mark_parse(word, &s->epoch, &s->token);
    }
    return 0;
}

/* ---- writing ---- */

static const char *find(struct bytes in, size_t from, const char *what)
{
    return from <= in.n ? memmem(in.p + from, in.n - from, what, strlen(what)) : NULL;
}

/* The comment's text: where it begins and ends; `empty`: the whole of <Comment/>. */
static int find_comment(struct bytes in, size_t *from, size_t *to, bool *empty, struct err *e)
{
    const char *at = find(in, 0, comment_open), *none = find(in, 0, comment_empty), *end;
    const char *base = (const char *)in.p;

    *empty = !at;
    if (at && !none && !find(in, (size_t)(at - base) + 1, comment_open)) {
        end = find(in, (size_t)(at - base), comment_end);
        if (end) {
            *from = (size_t)(at - base) + strlen(comment_open);
            *to = (size_t)(end - base);
            return 0;
        }
    } else if (!at && none && !find(in, (size_t)(none - base) + 1, comment_empty)) {
        *from = (size_t)(none - base);
        *to = *from + strlen(comment_empty);
        return 0;
    }
    return err_set(e, ERR_MALFORMED, "its comment is not where it is expected");
}

static int put_comment(struct bytes old, const char *mark, struct buf *out, struct err *e)
{
    const char *was = old.n ? memmem(old.p, old.n, mark_open, strlen(mark_open)) : NULL;
    size_t keep = was ? (size_t)(was - (const char *)old.p) : old.n, n;
    int cut = (int)(strstr(mark, " plan=") ? strstr(mark, " plan=") - mark : (ptrdiff_t)strlen(mark));

    while (keep && old.p[keep - 1] == ' ')
        keep--;
    n = keep + (keep ? 1 : 0) + strlen(mark_open) + 1;
    if (n + strlen(mark) <= CLOUDFRONT_COMMENT)
        cut = (int)strlen(mark);
    else if (n + (size_t)cut > CLOUDFRONT_COMMENT)
        return err_set(e, ERR_LIMIT, "its comment leaves no room for the mark of a move");
    buf_put(out, old.p, keep);
    buf_fmt(out, "%s%s%.*s]", keep ? " " : "", mark_open, cut, mark);
    return 0;
}

/* Bytes of the text from…to, with the targets replaced. */
static void put_targets(struct bytes in, size_t from, size_t to, const char *want, const char *other,
                        struct buf *out)
{
    struct bytes part = {in.p + from, to - from};
    size_t at = 0, n = strlen(other);

    for (const char *p; (p = find(part, at, target_open));) {
        size_t value = (size_t)(p - (const char *)part.p) + strlen(target_open);
        bool is_other =
            value + n < part.n && memcmp(part.p + value, other, n) == 0 && part.p[value + n] == '<';

        buf_put(out, part.p + at, value - at);
        if (is_other)
            buf_str(out, want);
        at = value + (is_other ? n : 0);
    }
    buf_put(out, part.p + at, part.n - at);
}

int cloudfront_rewrite(struct bytes config, const char *want, const char *other, const char *mark,
                       struct buf *out, struct err *e)
{
    size_t from = 0, to = 0;
    bool empty = false;
    int rc = find_comment(config, &from, &to, &empty, e);

    if (rc != 0)
        return rc;
    put_targets(config, 0, from, want, other, out);
    if (empty)
        buf_str(out, comment_open);
    rc = put_comment(empty ? (struct bytes){NULL, 0} : (struct bytes){config.p + from, to - from}, mark, out,
                     e);
    if (empty)
        buf_str(out, comment_end);
    put_targets(config, to, config.n, want, other, out);
    return rc ? rc : out->full ? err_set(e, ERR_NOMEM, "no memory for a configuration") : 0;
}
