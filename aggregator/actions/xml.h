/* A small strict reader of XML, for the answers of services: elements and text, nothing that reaches outside. Pure.
 *
 * After XML 1.0 (fifth edition), of which it takes what services send: an optional declaration, elements with attributes
 * (which are checked and forgotten), text, the five named entities and character references, CDATA sections, comments.
 * Document types, other entities and processing instructions are refused: they are how a reader is made to open files
 * (XXE) or to swell (billion laughs). UTF-8 only. */
#ifndef SB_ACTIONS_XML_H
#define SB_ACTIONS_XML_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"

enum { XML_DEPTH = 32, XML_NAME = 128 };

struct xml {
    const char *name; /* as written, a prefix included */
    const char *text; /* its character data, without that of its children; never NULL */
    const struct xml *child, *next;
};

/* Everything made lives in the arena. 0, ERR_MALFORMED, ERR_LIMIT (too deep, a name too long), ERR_NOMEM. */
int xml_parse(struct arena *a, struct bytes in, const struct xml **root, struct err *e);

/* The first child of that name; NULL when there is none, or x is NULL. */
const struct xml *xml_child(const struct xml *x, const char *name);
/* The next sibling of the same name. */
const struct xml *xml_next(const struct xml *x);
/* Its text; NULL when there is no such child. */
const char *xml_child_text(const struct xml *x, const char *name);
/* Appends text with what XML reserves escaped. */
void xml_put(struct buf *out, const char *text);

#endif
