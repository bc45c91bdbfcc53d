/* Pages of the console that are made from what the desk says. Everything in them is escaped. Pure. */
#ifndef SB_EXPOSE_PAGES_H
#define SB_EXPOSE_PAGES_H

#include "common/base/buf.h"

struct page_kind {
    const char *path;     /* "/alerts" */
    const char *title;    /* of its link */
    const char *resource; /* behind /api/v1/ */
    void (*show)(struct bytes json, struct buf *out);
};
const struct page_kind *page_find(const char *path); /* NULL: no such page */
const struct page_kind *page_at(size_t i);           /* NULL behind the last */

/* Text of HTML, escaped. */
void page_escape(const char *s, struct buf *out);
/* The beginning of every page, with links to all of them, and its end. */
void page_head(const char *title, struct buf *out);
void page_foot(struct buf *out);

#endif
