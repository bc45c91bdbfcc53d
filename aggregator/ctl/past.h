/* Stored steps, as /api/v1/history answers them, back into facts: what sbctl replay judges. Pure. */
#ifndef SB_CTL_PAST_H
#define SB_CTL_PAST_H

#include "aggregator/alert/facts.h"

struct past; /* owns steps that wait for their time, and the numbers of groups */

struct past *past_new(const struct selections *s,
                      struct mem *mem); /* borrows the selections; NULL: no memory */
void past_free(struct past **p);
/* The path of a question for a selection's steps in [from, to), in steps of a tier. */
void past_path(struct buf *out, const struct selection *s, struct wall from, struct wall to,
               enum fact_tier tier);
/* Takes an answer's steps that begin at or after `from`. Where the tier that was asked for is not kept that long the answer
 * is in longer steps: each of them then stands at its end, in one step of that tier. ERR_MALFORMED, ERR_NOMEM. Steps of
 * sketches are counted and left out: an answer does not have their values. */
int past_take(struct past *p, uint32_t selection, struct wall from, enum fact_tier asked, const char *json,
              struct err *e);
uint64_t past_left_out(const struct past *p);
/* Tells the facts all that was taken and begins before `upto`, oldest first. */
int past_tell(struct past *p, struct facts *into, struct wall upto, struct err *e);
/* RFC 3339, now, or a duration ago: "2h", "-2h". */
int past_time(const char *option, const char *text, struct wall now, struct wall *out, struct err *e);

#endif
