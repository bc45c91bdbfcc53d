/* Shared by the files of pages: see pages.h. */
#ifndef SB_EXPOSE_PAGES_PRIVATE_H
#define SB_EXPOSE_PAGES_PRIVATE_H

#include <cjson/cJSON.h>

#include "aggregator/expose/pages.h"

enum { PAGE_COLUMNS = 9 };
struct page_columns {
    const char *list; /* member of the answer that holds the objects */
    const char *title, *none;
    struct {
        const char *head, *member;
    } v[PAGE_COLUMNS];
};
void page_rows(const struct page_columns *c, const cJSON *list, struct buf *out);
void page_table(const struct page_columns *c, struct bytes json, struct buf *out); /* a whole page */

void page_failover(struct bytes json, struct buf *out); /* GET /api/v1/failover */
void page_drills(struct bytes json, struct buf *out);   /* GET /api/v1/drills */

#endif
