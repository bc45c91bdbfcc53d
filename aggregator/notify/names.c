/* Names of what channels are told and of what comes of it, as they stand in JSON and metrics. Pure. */
#include <stddef.h>

#include "aggregator/notify/channel.h"

static const char *const tells[] = {
    [TELL_TRIGGER] = "trigger", [TELL_ACKNOWLEDGE] = "acknowledge", [TELL_RESOLVE] = "resolve",
    [TELL_DIGEST] = "digest",   [TELL_CHANGE] = "change",           [TELL_HEARTBEAT] = "heartbeat",
    [TELL_TEST] = "test",
};
static const char *const outcomes[] = {
    [OUTCOME_DELIVERED] = "delivered",
    [OUTCOME_RETRY] = "retry",
    [OUTCOME_NEVER] = "never",
    [OUTCOME_DENIED] = "denied",
};

#define NAME_OF(table, i) ((size_t)(i) < sizeof(table) / sizeof *(table) ? (table)[i] : "unknown")

const char *tell_name(enum tell t)
{
    return NAME_OF(tells, t);
}

const char *outcome_name(enum outcome o)
{
    return NAME_OF(outcomes, o);
}
