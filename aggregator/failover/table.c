/* The table: every way from one state to another, as a numbered row. The first row whose condition holds fires. Numbers are
 * never used again for something else: they stand in journals.
 *
 *   1xx authority   2xx detection   3xx gate   4xx plan   5xx after it   6xx commands   7xx break glass by hand
 *   80x the record says otherwise   85x authority away   90x lease lost     (last two digits: the state)
 *
 * So states keep their place in enum fo_state.
 *
 * Conditions of rows that write, or that follow the record, ask for fo_quiet: nothing is being committed, nothing has to be
 * read first, nothing is decided yet in this step. */
#include "aggregator/failover/core_private.h"
#include "aggregator/failover/when_private.h"

/* clang-format off */
#define ANY_LEADING(X, S)                                                                                             \
    X(900 + FO_S_##S, S, FOLLOW, lost, nothing, "lost", "The lease is lost: somebody else decides.")                  \
    X(850 + FO_S_##S, S, FROZEN, away, nothing, "away", "The authority is away past the deadline of the lease.")
#define ANY_SETTLED(X, S)                                                                                             \
    ANY_LEADING(X, S)                                                                                                 \
    X(700 + FO_S_##S, S, HOLD, glass, break_glass, "break_glass",                                                     \
       "By hand: somebody vouches for the fence and names the region that serves.")
#define ANY_OTHERWISE(X, S)                                                                                           \
    X(800 + FO_S_##S, S, RESUME, otherwise, read_first, "otherwise",                                                  \
       "The record says something else than this state: it is taken up anew.")
#define ABORTABLE(X, S)                                                                                               \
    X(600 + FO_S_##S, S, UNDO, abort_asked, undo_asked, "abort", "Somebody has called the move off.")                 \
    X(620 + FO_S_##S, S, STUCK, token_higher, stuck_token, "token_higher",                                            \
       "A target holds a higher token than ours: somebody decided after us.")                                         \
    X(640 + FO_S_##S, S, UNDO, recovered, undo, "recovered",                                                          \
       "The old region is back before anything was promoted.")                                                        \
    X(660 + FO_S_##S, S, UNDO, cap, undo_cap, "cap", "The drill takes too long.")
#define PAST(X, S)                                                                                                    \
    X(620 + FO_S_##S, S, STUCK, token_higher, stuck_token, "token_higher",                                            \
       "A target holds a higher token than ours: somebody decided after us.")
#define ASK(X, S)                                                                                                     \
    X(680 + FO_S_##S, S, GATE, asked, asked_anew, "asked", "Somebody asks for a move.")

#define ROWS(X)                                                                                                       \
    X(100, BOOT, BOOT, never, nothing, "start", "The process has started: it only looks.")                            \
    X(101, BOOT, FOLLOW, boot_over, nothing, "boot_over", "Votes of two windows are in.")                             \
    X(110, FOLLOW, RESUME, granted, read_first, "granted", "The lease is ours.")                                      \
    X(115, FROZEN, FOLLOW, lost, nothing, "lost", "The lease is lost: somebody else decides.")                        \
    X(116, FROZEN, RESUME, granted, read_first, "back",                                                               \
       "The authority answers again and the lease is still ours.")                                                    \
    ANY_SETTLED(X, RESUME)                                                                                            \
    X(119, RESUME, FOLLOW, unread, resign, "unread", "The record cannot be read here: somebody else may.")            \
    X(120, RESUME, STEADY, is_steady, settle_in, "steady", "The record is ours: no move is under way.")               \
    X(121, RESUME, HOLD, is_hold, settle_in, "hold", "The record is ours: a move has ended not long ago.")            \
    X(122, RESUME, STUCK, is_stuck, settle_in_stuck, "stuck", "The record is ours: a move waits for people.")         \
    X(123, RESUME, UNDO, is_undo, settle_in, "undo", "The record is ours: a move is being taken back.")               \
    X(600 + FO_S_RESUME, RESUME, UNDO, abort_asked, undo_asked, "abort", "Somebody has called the move off.")         \
    X(124, RESUME, UNDO, is_over, undo, "recovered", "A move was open, and the old region is back.")                  \
    X(125, RESUME, FENCE, may_go_on, settle_in, "fence",                                                              \
       "A move was open and may still be made: open intents are probed first.")                                       \
    X(126, RESUME, UNDO, may_not_go_on, undo_look, "not_any_more",                                                    \
       "A move was open and may not be made any more.")                                                               \
    X(127, RESUME, PROMOTE, at_promote, settle_in, "promote", "Past the point of no return: on with promoting.")      \
    X(128, RESUME, WARM, at_warm, settle_in, "warm", "Past the point of no return: on with warming.")                 \
    X(129, RESUME, TEST, at_test, settle_in, "test", "Past the point of no return: on with the test.")                \
    X(130, RESUME, SWITCH, at_switch, settle_in, "switch", "Past the point of no return: on with the switch.")        \
    X(131, RESUME, VALIDATE, at_validate, settle_in, "validate",                                                      \
       "Past the point of no return: on with validation.")                                                            \
    X(132, RESUME, TIDY, at_tidy, settle_in, "tidy", "Past the point of no return: on with tidying.")                 \
    ANY_SETTLED(X, STEADY)                                                                                            \
    ANY_OTHERWISE(X, STEADY)                                                                                          \
    ASK(X, STEADY)                                                                                                    \
    X(201, STEADY, SUSPECT, doubt, nothing, "doubt",                                                                  \
       "A voter says that the active region is down, or that users are hurt there.")                                  \
    X(202, STEADY, FOLLOW, outside_heard, resign, "outside",                                                          \
       "The decider shall stand outside the active region, and one is heard there.")                                  \
    ANY_SETTLED(X, SUSPECT)                                                                                           \
    ANY_OTHERWISE(X, SUSPECT)                                                                                         \
    ASK(X, SUSPECT)                                                                                                   \
    X(210, SUSPECT, CONFIRM, hard_down, nothing, "hard_down",                                                         \
       "A majority of voters, from two other regions, by two kinds of evidence.")                                     \
    X(211, SUSPECT, GRAY, gray_held, say_gray, "gray", "Users are hurt and monitors see nothing.")                    \
    X(214, SUSPECT, BLOCKED, majority, say_why, "majority",                                                           \
      "A majority says that it is not well, and it is not certain that it is down.")                                  \
    X(212, SUSPECT, STEADY, cleared, forgive, "cleared", "No doubt for long enough.")                                 \
    X(213, SUSPECT, HOLD, cleared_hold, forgive, "cleared_hold",                                                      \
       "No doubt for long enough; the hold-down goes on.")                                                            \
    ANY_SETTLED(X, GRAY)                                                                                              \
    ANY_OTHERWISE(X, GRAY)                                                                                            \
    ASK(X, GRAY)                                                                                                      \
    X(220, GRAY, CONFIRM, hard_down, nothing, "hard_down", "Now monitors agree that it is down.")                     \
    X(221, GRAY, GATE, gray_acts, nothing, "gray_acts",                                                               \
       "Users are hurt for so long that this service shall move by itself.")                                          \
    X(222, GRAY, STEADY, gray_clear, forgive, "gray_clear", "Users are well again for long enough.")                  \
    X(223, GRAY, HOLD, gray_clear_hold, forgive, "gray_clear_hold",                                                   \
       "Users are well again; the hold-down goes on.")                                                                \
    ANY_SETTLED(X, CONFIRM)                                                                                           \
    ANY_OTHERWISE(X, CONFIRM)                                                                                         \
    ASK(X, CONFIRM)                                                                                                   \
    X(230, CONFIRM, SUSPECT, broken, nothing, "broken", "It is not down without a break.")                            \
    X(231, CONFIRM, GATE, confirmed, nothing, "confirmed", "It is down without a break for long enough.")             \
    ANY_SETTLED(X, GATE)                                                                                              \
    ANY_OTHERWISE(X, GATE)                                                                                            \
    X(301, GATE, PREPARE, passes, begin, "pass", "Nothing forbids the move: its plan is committed.")                  \
    X(302, GATE, BLOCKED, fails_unasked, say_why, "fail", "A move is wanted and not allowed.")                        \
    X(303, GATE, BLOCKED, fails_asked_down, refuse, "refused_down",                                                   \
       "The move that was asked for is not allowed, and the region is down.")                                         \
    X(304, GATE, HOLD, fails_asked_hold, refuse, "refused_hold",                                                      \
       "The move that was asked for is not allowed; the hold-down goes on.")                                          \
    X(305, GATE, STEADY, fails_asked, refuse, "refused", "The move that was asked for is not allowed.")               \
    ANY_SETTLED(X, BLOCKED)                                                                                           \
    ANY_OTHERWISE(X, BLOCKED)                                                                                         \
    ASK(X, BLOCKED)                                                                                                   \
    X(310, BLOCKED, GATE, reasons_clear, nothing, "reasons_clear", "What forbade the move is gone.")                  \
    X(311, BLOCKED, SUSPECT, health_back, nothing, "health_back", "The region is not down any more.")                 \
    ANY_LEADING(X, PREPARE)                                                                                           \
    X(401, PREPARE, FENCE, committed, say_begun, "committed",                                                         \
       "The plan is committed: nobody may write from now on.")                                                        \
    X(402, PREPARE, GATE, not_committed, nothing, "not_committed",                                                    \
       "The plan was not committed: looked at anew.")                                                                 \
    ANY_SETTLED(X, FENCE)                                                                                             \
    ANY_OTHERWISE(X, FENCE)                                                                                           \
    ABORTABLE(X, FENCE)                                                                                               \
    X(410, FENCE, LASTLOOK, fence_word, take_word, "fence_word",                                                      \
       "Somebody vouches that the old region does not write.")                                                        \
    X(411, FENCE, LASTLOOK, fenced, take_fence, "fenced",                                                             \
       "The old region does not write: by proof, or by contract.")                                                    \
    X(412, FENCE, CATCHUP, fenced_planned, take_fence, "fenced_planned", "The old region has stopped writing.")       \
    X(413, FENCE, UNDO, fence_step_failed, undo_fence_step, "fence_step_failed",                                      \
       "A required action failed and nothing else can fence.")                                                        \
    X(414, FENCE, UNDO, fence_failed, undo_fence, "fence_failed", "Neither proof nor contract in time.")              \
    ANY_SETTLED(X, CATCHUP)                                                                                           \
    ANY_OTHERWISE(X, CATCHUP)                                                                                         \
    ABORTABLE(X, CATCHUP)                                                                                             \
    X(420, CATCHUP, LASTLOOK, caught_up, nothing, "caught_up", "The target has everything.")                          \
    X(421, CATCHUP, UNDO, catchup_failed, undo_catchup, "catchup_failed", "A required action failed.")                \
    X(422, CATCHUP, UNDO, not_caught_up, undo_lag, "not_caught_up", "The target has not caught up in time.")          \
    ANY_SETTLED(X, LASTLOOK)                                                                                          \
    ANY_OTHERWISE(X, LASTLOOK)                                                                                        \
    ABORTABLE(X, LASTLOOK)                                                                                            \
    X(430, LASTLOOK, PROMOTE, still_so, nothing, "still_so",                                                          \
       "Still down, fenced, and the loss is within the limit: from here only forward.")                               \
    X(431, LASTLOOK, UNDO, not_so, undo_look, "not_so", "At the last look something forbids the move.")               \
    ANY_SETTLED(X, UNDO)                                                                                              \
    X(440, UNDO, STUCK, undo_failed, stuck_undo, "undo_failed", "What was done cannot be taken back.")                \
    X(441, UNDO, BLOCKED, undone_down, say_why, "undone_down", "All is taken back; the region is down.")              \
    X(442, UNDO, STEADY, undone, back_to_rest, "undone", "All is taken back.")                                             \
    ANY_OTHERWISE(X, UNDO)                                                                                            \
    ANY_SETTLED(X, PROMOTE)                                                                                           \
    ANY_OTHERWISE(X, PROMOTE)                                                                                         \
    PAST(X, PROMOTE)                                                                                                  \
    X(450, PROMOTE, WARM, promoted, nothing, "promoted", "The target is writable.")                                   \
    X(451, PROMOTE, STUCK, promote_failed, stuck_promote, "promote_failed", "A required action failed.")              \
    ANY_SETTLED(X, WARM)                                                                                              \
    ANY_OTHERWISE(X, WARM)                                                                                            \
    PAST(X, WARM)                                                                                                     \
    X(460, WARM, TEST, warm, nothing, "warm", "The target is warm.")                                                  \
    X(461, WARM, STUCK, warm_failed, stuck_warm, "warm_failed", "A required action failed.")                          \
    X(462, WARM, TEST, warm_cap, give_up_warm, "warm_cap", "Users wait: warm enough.")                                \
    ANY_SETTLED(X, TEST)                                                                                              \
    ANY_OTHERWISE(X, TEST)                                                                                            \
    PAST(X, TEST)                                                                                                     \
    X(470, TEST, SWITCH, tested, nothing, "tested", "The target writes and reads.")                                   \
    X(471, TEST, STUCK, test_failed, stuck_test, "test_failed", "The target does not write and read.")                \
    X(472, TEST, STUCK, target_down, stuck_target, "target_down", "The target is not up: nobody is sent there.")      \
    ANY_SETTLED(X, SWITCH)                                                                                            \
    ANY_OTHERWISE(X, SWITCH)                                                                                          \
    PAST(X, SWITCH)                                                                                                   \
    X(480, SWITCH, VALIDATE, switched, nothing, "switched", "Users are sent to the target.")                          \
    X(481, SWITCH, STUCK, switch_failed, stuck_switch, "switch_failed", "Users cannot be sent to the target.")        \
    X(482, SWITCH, STUCK, target_down, stuck_target, "target_down", "The target is not up: nobody is sent there.")    \
    ANY_SETTLED(X, VALIDATE)                                                                                          \
    ANY_OTHERWISE(X, VALIDATE)                                                                                        \
    PAST(X, VALIDATE)                                                                                                 \
    X(490, VALIDATE, TIDY, valid, take_valid, "valid", "From outside all is well for long enough.")                   \
    X(491, VALIDATE, STUCK, not_valid, stuck_valid, "not_valid", "From outside it does not become well.")             \
    ANY_SETTLED(X, TIDY)                                                                                              \
    ANY_OTHERWISE(X, TIDY)                                                                                            \
    PAST(X, TIDY)                                                                                                     \
    X(495, TIDY, HOLD, tidy, hold, "tidy", "The move has ended: hold-down.")                                          \
    ANY_SETTLED(X, HOLD)                                                                                              \
    ANY_OTHERWISE(X, HOLD)                                                                                            \
    ASK(X, HOLD)                                                                                                      \
    X(501, HOLD, STEADY, acked, steady_acked, "acked", "Somebody has looked: the hold-down ends.")                    \
    X(502, HOLD, STEADY, hold_over, steady, "hold_over", "The hold-down is over.")                                    \
    X(503, HOLD, SUSPECT, down_again, nothing, "hard_down", "The region that was moved to is down as well.")           \
    ANY_SETTLED(X, STUCK)                                                                                             \
    ANY_OTHERWISE(X, STUCK)                                                                                           \
    X(600 + FO_S_STUCK, STUCK, UNDO, abort_asked, undo_asked, "abort", "Somebody has called the move off.")           \
    X(510, STUCK, RESUME, unstuck, unstick, "unstuck", "Somebody lets it go on.")

#define PUBLIC(n, a, b, when, then, name, sentence) {n, FO_S_##a, FO_S_##b, name, sentence},
#define PRIVATE(n, a, b, when, then, name, sentence) {when_##when, then_##then},
const struct fo_row fo_rows[] = {ROWS(PUBLIC)};
const struct fo_rule fo_rules[] = {ROWS(PRIVATE)};
/* clang-format on */

const uint32_t fo_rows_count = sizeof fo_rows / sizeof fo_rows[0];

const struct fo_row *fo_row_find(uint16_t number)
{
    for (uint32_t i = 0; i < fo_rows_count; i++)
        if (fo_rows[i].number == number)
            return &fo_rows[i];
    return NULL;
}
