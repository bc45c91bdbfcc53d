/* Series as promtool's unit tests write them: words separated by blanks.
 *
 *   7        one value                     a+bxn   a, a+b, … a+b·n: n + 1 values
 *   axn      a, n + 1 times                a-bxn   a, a-b, … a-b·n
 *   _        no value, one step            _xn     no value, n steps
 *   stale    the series ends here: no value, and none is carried over
 *
 * Total on any text; at most TRIAL_VALUES_MOST steps. Pure. */
#ifndef SB_ALERT_TRIAL_SERIES_H
#define SB_ALERT_TRIAL_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

enum { TRIAL_VALUES_MOST = 1000000 };
enum trial_value { TRIAL_NONE, TRIAL_VALUE, TRIAL_STALE };

/* Walks a text step by step. */
struct trial_walk {
    const char *p;
    uint32_t step; /* of the value given last, from 0 */
    uint32_t left; /* of the word under way */
    uint32_t given;
    enum trial_value kind;
    double value, delta;
};
void trial_walk_init(struct trial_walk *w, const char *text);
/* 1: a step (w->step, w->kind, w->value); 0: the end; ERR_MALFORMED, ERR_LIMIT with the word. */
int trial_walk_next(struct trial_walk *w, struct err *e);
/* Checks all of it; *steps: how many. */
int trial_series_check(const char *text, uint32_t *steps, struct err *e);

#endif
