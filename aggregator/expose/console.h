/* The page at /: what an operator wants to see first, without scripts. */
#ifndef SB_EXPOSE_CONSOLE_H
#define SB_EXPOSE_CONSOLE_H

#include "aggregator/expose/view.h"
#include "common/base/buf.h"

void console_page(const struct view *v, struct buf *out);

#endif
