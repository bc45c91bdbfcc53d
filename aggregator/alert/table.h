/* The state table of alerts: numbered rows, as data. What happened to an alert is an event; the first row of its
 * state and event, whose guard holds, says what follows. docs/alerts.md shows the same rows. Pure. */
#ifndef SB_ALERT_TABLE_H
#define SB_ALERT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "aggregator/notify/notice.h"

enum alert_event {
    EVENT_HOLDS,         /* the condition holds */
    EVENT_BETWEEN,       /* neither the condition nor the clear condition */
    EVENT_CLEAR,         /* the clear condition holds */
    EVENT_MISSING,       /* no data, no_data = keep */
    EVENT_MISSING_ALERT, /* no data, no_data = alert */
    EVENT_MISSING_OK,    /* no data, no_data = ok */
    EVENT_STALE,         /* no data for longer than `forget` */
    EVENT_GONE,          /* the rule is gone or groups otherwise */
    EVENT_WAITED,        /* no suppressor came within suppress_wait */
    EVENT_RELEASED,      /* its suppressor is over, and so is suppress_extend */
    EVENT_ROOM,          /* others ended: it is within the limit again */
    EVENT_FLAPS,         /* it fired too often in a row */
    EVENT_PAST,          /* what was measured is older than what was judged already: no row follows */
    EVENTS
};
const char *alert_event_name(enum alert_event e);

/* What a row orders beside the next state. */
enum {
    DO_BEGIN = 1,   /* the hold begins at 0 */
    DO_COUNT = 2,   /* … goes on */
    DO_FIRE = 4,    /* a new firing: epoch, count of flaps */
    DO_END = 8,     /* the firing is over */
    DO_TELL = 16,   /* others hear of it */
    DO_PREVENT = 32 /* a page was prevented: kept as a decision */
};

enum { ALERT_ROW_MOST = 43 };

struct alert_row {
    int number;
    enum alert_state from;
    enum alert_event event;
    bool held; /* guard: the hold is complete (`for`; `clear_for`, and `quiet` of one that flaps) */
    enum alert_state to;
    unsigned effects;
    const char *sentence;
};

extern const struct alert_row alert_table[];
extern const size_t alert_table_rows;

/* NULL: nothing follows (an inactive alert that stays so). */
const struct alert_row *alert_row_find(enum alert_state from, enum alert_event event, bool held);
const struct alert_row *alert_row_number(int number);
/* The table as Markdown, as docs/alerts.md has it. */
void alert_table_text(struct buf *out);

#endif
