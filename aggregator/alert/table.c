/* The rows: see table.h. Order matters within one state and event: guarded rows stand first. */
#include "aggregator/alert/table.h"

const struct alert_row alert_table[] = {
    {1, ALERT_INACTIVE, EVENT_HOLDS, true, ALERT_FIRING, DO_BEGIN | DO_FIRE | DO_TELL,
     "The condition holds and `for` asks for no more: it fires."},
    {2, ALERT_INACTIVE, EVENT_HOLDS, false, ALERT_PENDING, DO_BEGIN | DO_TELL,
     "The condition holds: `for` begins to run."},
    {3, ALERT_INACTIVE, EVENT_MISSING_ALERT, true, ALERT_FIRING, DO_BEGIN | DO_FIRE | DO_TELL,
     "No data, which counts as the condition, and `for` asks for no more: it fires."},
    {4, ALERT_INACTIVE, EVENT_MISSING_ALERT, false, ALERT_PENDING, DO_BEGIN | DO_TELL,
     "No data, which counts as the condition: `for` begins to run."},

    {10, ALERT_PENDING, EVENT_HOLDS, true, ALERT_FIRING, DO_COUNT | DO_FIRE | DO_TELL,
     "The condition held for `for`: it fires."},
    {11, ALERT_PENDING, EVENT_HOLDS, false, ALERT_PENDING, DO_COUNT,
     "The condition holds: `for` goes on running."},
    {12, ALERT_PENDING, EVENT_MISSING_ALERT, true, ALERT_FIRING, DO_COUNT | DO_FIRE | DO_TELL,
     "No data, which counts as the condition, for `for`: it fires."},
    {13, ALERT_PENDING, EVENT_MISSING_ALERT, false, ALERT_PENDING, DO_COUNT,
     "No data, which counts as the condition: `for` goes on running."},
    {14, ALERT_PENDING, EVENT_BETWEEN, false, ALERT_INACTIVE, DO_TELL | DO_PREVENT,
     "The condition holds no longer, though the clear condition does not hold either: it never fired."},
    {15, ALERT_PENDING, EVENT_CLEAR, false, ALERT_INACTIVE, DO_TELL | DO_PREVENT,
     "The condition ended before `for` was over: it never fired."},
    {16, ALERT_PENDING, EVENT_MISSING_OK, false, ALERT_INACTIVE, DO_TELL | DO_PREVENT,
     "No data, which counts as good: it never fired."},
    {17, ALERT_PENDING, EVENT_MISSING, false, ALERT_PENDING, 0,
     "No data: it stays as it is, and `for` stands still."},
    {18, ALERT_PENDING, EVENT_STALE, false, ALERT_INACTIVE, DO_TELL | DO_PREVENT,
     "No data for longer than `forget`: it is given up."},
    {19, ALERT_PENDING, EVENT_GONE, false, ALERT_INACTIVE, DO_TELL | DO_PREVENT,
     "The rule is gone or groups otherwise: it ends."},

    {20, ALERT_FIRING, EVENT_HOLDS, false, ALERT_FIRING, 0, "The condition holds: it goes on firing."},
    {21, ALERT_FIRING, EVENT_MISSING_ALERT, false, ALERT_FIRING, 0,
     "No data, which counts as the condition: it goes on firing."},
    {22, ALERT_FIRING, EVENT_BETWEEN, false, ALERT_FIRING, 0,
     "The condition holds no longer, but the clear condition does not hold yet: it goes on firing."},
    {23, ALERT_FIRING, EVENT_CLEAR, true, ALERT_INACTIVE, DO_END | DO_TELL,
     "The clear condition holds and `clear_for` asks for no more: it is resolved."},
    {24, ALERT_FIRING, EVENT_CLEAR, false, ALERT_CLEARING, DO_BEGIN | DO_TELL,
     "The clear condition holds: `clear_for` (of one that flaps: `quiet`) begins to run."},
    {25, ALERT_FIRING, EVENT_MISSING_OK, true, ALERT_INACTIVE, DO_END | DO_TELL,
     "No data, which counts as good, and `clear_for` asks for no more: it is resolved."},
    {26, ALERT_FIRING, EVENT_MISSING_OK, false, ALERT_CLEARING, DO_BEGIN | DO_TELL,
     "No data, which counts as good: `clear_for` begins to run."},
    {27, ALERT_FIRING, EVENT_MISSING, false, ALERT_FIRING, 0,
     "No data: it goes on firing, for only a good value resolves it."},
    {28, ALERT_FIRING, EVENT_STALE, false, ALERT_INACTIVE, DO_END | DO_TELL,
     "No data for longer than `forget`: it is given up without a good value."},
    {29, ALERT_FIRING, EVENT_GONE, false, ALERT_INACTIVE, DO_END | DO_TELL,
     "The rule is gone or groups otherwise: it ends without a good value."},

    {30, ALERT_CLEARING, EVENT_HOLDS, false, ALERT_FIRING, DO_TELL,
     "The condition holds again before `clear_for` was over: it is the same firing."},
    {31, ALERT_CLEARING, EVENT_MISSING_ALERT, false, ALERT_FIRING, DO_TELL,
     "No data, which counts as the condition, before `clear_for` was over: it is the same firing."},
    {32, ALERT_CLEARING, EVENT_BETWEEN, false, ALERT_FIRING, DO_TELL,
     "The clear condition ended before `clear_for` was over: it is the same firing."},
    {33, ALERT_CLEARING, EVENT_CLEAR, true, ALERT_INACTIVE, DO_COUNT | DO_END | DO_TELL,
     "The clear condition held for `clear_for` (of one that flaps: `quiet`): it is resolved."},
    {34, ALERT_CLEARING, EVENT_CLEAR, false, ALERT_CLEARING, DO_COUNT,
     "The clear condition holds: `clear_for` goes on running."},
    {35, ALERT_CLEARING, EVENT_MISSING_OK, true, ALERT_INACTIVE, DO_COUNT | DO_END | DO_TELL,
     "No data, which counts as good, for `clear_for`: it is resolved."},
    {36, ALERT_CLEARING, EVENT_MISSING_OK, false, ALERT_CLEARING, DO_COUNT,
     "No data, which counts as good: `clear_for` goes on running."},
    {37, ALERT_CLEARING, EVENT_MISSING, false, ALERT_CLEARING, 0,
     "No data: it stays as it is, and `clear_for` stands still."},
    {38, ALERT_CLEARING, EVENT_STALE, false, ALERT_INACTIVE, DO_END | DO_TELL,
     "No data for longer than `forget`: it is given up without a good value at the end."},
    {39, ALERT_CLEARING, EVENT_GONE, false, ALERT_INACTIVE, DO_END | DO_TELL,
     "The rule is gone or groups otherwise: it ends."},

    {40, ALERT_FIRING, EVENT_WAITED, false, ALERT_FIRING, DO_TELL,
     "No suppressor came within `suppress_wait`: it is told now."},
    {41, ALERT_FIRING, EVENT_RELEASED, false, ALERT_FIRING, DO_TELL,
     "Its suppressor is over, and so is `suppress_extend`, and it still fires: it is told now."},
    {42, ALERT_FIRING, EVENT_ROOM, false, ALERT_FIRING, DO_TELL,
     "Others ended, and it is within `limit` again: it is told now."},
    {43, ALERT_FIRING, EVENT_FLAPS, false, ALERT_FIRING, DO_TELL,
     "It fired `flaps` times, each within `quiet` of the last: it flaps, and fires until it was good for "
     "`quiet`."},
};
const size_t alert_table_rows = sizeof alert_table / sizeof *alert_table;

const char *alert_event_name(enum alert_event e)
{
    static const char *const names[EVENTS] = {
        [EVENT_HOLDS] = "the condition holds",
        [EVENT_BETWEEN] = "neither condition holds",
        [EVENT_CLEAR] = "the clear condition holds",
        [EVENT_MISSING] = "no data (keep)",
        [EVENT_MISSING_ALERT] = "no data (alert)",
        [EVENT_MISSING_OK] = "no data (ok)",
        [EVENT_STALE] = "no data for `forget`",
        [EVENT_GONE] = "the rule is gone",
        [EVENT_WAITED] = "`suppress_wait` is over",
        [EVENT_RELEASED] = "suppressor and extension are over",
        [EVENT_ROOM] = "room within `limit`",
        [EVENT_FLAPS] = "fired too often",
        [EVENT_PAST] = "measured before what was judged",
    };

    return names[e];
}

const struct alert_row *alert_row_find(enum alert_state from, enum alert_event event, bool held)
{
    for (size_t i = 0; i < alert_table_rows; i++) {
        const struct alert_row *r = &alert_table[i];

        if (r->from == from && r->event == event && (held || !r->held))
            return r;
    }
    return NULL;
}

const struct alert_row *alert_row_number(int number)
{
    for (size_t i = 0; i < alert_table_rows; i++) {
        if (alert_table[i].number == number)
            return &alert_table[i];
    }
    return NULL;
}

static void effects_text(unsigned effects, struct buf *out)
{
    static const char *const names[] = {"hold begins", "hold runs", "fires", "ends", "told", "prevented"};
    const char *comma = "";

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(effects >> i & 1))
            continue;
        buf_fmt(out, "%s%s", comma, names[i]);
        comma = ", ";
    }
}

void alert_table_text(struct buf *out)
{
    buf_str(out, "| row | state | when | next | effects | in words |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < alert_table_rows; i++) {
        const struct alert_row *r = &alert_table[i];

        buf_fmt(out, "| %d | %s | %s%s | %s | ", r->number, alert_state_name(r->from),
                alert_event_name(r->event), r->held ? ", hold complete" : "", alert_state_name(r->to));
        effects_text(r->effects, out);
        buf_fmt(out, " | %s |\n", r->sentence);
    }
}
