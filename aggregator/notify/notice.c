/* Names of states and severities: see notice.h. They stand in labels, records and the API, so none ever changes. */
#include "aggregator/notify/notice.h"

#include <string.h>

static const char *const states[ALERT_STATES] = {
    [ALERT_INACTIVE] = "inactive",
    [ALERT_PENDING] = "pending",
    [ALERT_FIRING] = "firing",
    [ALERT_CLEARING] = "clearing",
};

/* As PagerDuty's Events API v2 names them. */
static const char *const severities[] = {
    [SEVERITY_INFO] = "info",
    [SEVERITY_WARNING] = "warning",
    [SEVERITY_ERROR] = "error",
    [SEVERITY_CRITICAL] = "critical",
};

const char *alert_state_name(enum alert_state s)
{
    return (unsigned)s < ALERT_STATES ? states[s] : "unknown";
}

const char *severity_name(enum severity s)
{
    return (unsigned)s <= SEVERITY_CRITICAL ? severities[s] : "unknown";
}

int severity_parse(const char *s, enum severity *out)
{
    for (unsigned i = 0; i <= SEVERITY_CRITICAL; i++) {
        if (strcmp(s, severities[i]) == 0) {
            *out = (enum severity)i;
            return 0;
        }
    }
    return ERR_MALFORMED;
}
