/* What the configuration says of failover: [failover SERVICE], [voter NAME], [canary NAME], and the actions and peers that
 * belong to a service, brought into the forms that the core and the voter go by. Pure. */
#ifndef SB_FAILOVER_SETTINGS_H
#define SB_FAILOVER_SETTINGS_H

#include "aggregator/failover/failover.h"
#include "aggregator/failover/vote.h"
#include "common/config/config.h"

enum {
    FO_URL = 512,
    FO_PROBES_MOST = FO_REGIONS * VOTE_PROBES,
    FO_GUARDS = 32,
    FO_GUARD_NAME = 200,
    FO_SERVICES = 16,
    FO_GATES = 16,
    FO_SECTIONS = 3
};

struct fo_probe_target {
    uint8_t region, index; /* index: among that region's */
    char url[FO_URL];      /* http://, https:// or tcp:// */
};
struct fo_guard_name {
    uint8_t region;
    char name[FO_GUARD_NAME]; /* agent/guard */
};

/* One service. A value without pointers; about 40 KiB. */
struct fo_settings {
    struct fo_config core;
    struct fo_names names;
    struct vote_config vote;
    uint8_t n_probes, n_guards, n_gates;
    struct fo_probe_target probe[FO_PROBES_MOST];
    struct fo_guard_name guard[FO_GUARDS];
    char gate[FO_GATES][FO_NAME]; /* actions that are prechecked alone */
    char users[FO_NAME];          /* objective; "" none */
    char database[FO_NAME];       /* action whose driver reads the lag; "" none */
    char probe_ca[FO_URL];
    int32_t probe_timeout_ms;
    uint8_t public;         /* answers for inverted health checks */
    char why_not_auto[160]; /* which condition of `auto` does not hold; "" when all do */
};

extern const struct section_row voter_section, canary_section, failover_section;
/* All of the rows above into out; their number. */
size_t failover_sections(struct section_row out[FO_SECTIONS]);

/* The name of our own voter; "" when this aggregator has no vote. */
const char *failover_voter(const struct config *c);
/* Whether any service is to be looked after here. */
bool failover_wanted(const struct config *c);
/* Of a [failover NAME] section, after failover_check has found the configuration good. own_region: of this aggregator. */
void failover_settings(const struct config *c, const struct section *s, struct fo_settings *out);
/* Every mistake into the report: regions and voters that are not there, `auto` without its conditions, actions of a service
 * that there is not. 0 or ERR_CONFIG. */
int failover_check(const struct config *c, struct buf *report, struct err *e);

#endif
