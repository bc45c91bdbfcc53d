/* Shared by the files that read and check the configuration of failover. */
#ifndef SB_FAILOVER_SETTINGS_PRIVATE_H
#define SB_FAILOVER_SETTINGS_PRIVATE_H

#include "aggregator/failover/settings.h"

#define MS INT64_C(1000000)
#define S  (1000 * MS)

/* Times of the core: key, default, least, most, sentence. */
#define TIMES(T)                                                                                             \
    T(boot, "60s", 1 * S, 3600 * S,                                                                          \
      "Without decisions after a start; with guards never shorter than `serving`.")                          \
    T(suspect_clear, "30s", 1 * S, 3600 * S, "Doubt ends when nobody doubts for so long.")                   \
    T(confirm, "10s", 1 * S, 3600 * S, "A region's death has to hold so long without a break.")              \
    T(gray_page, "60s", 1 * S, 3600 * S, "Users are hurt while monitors see nothing: told after so long.")   \
    T(gray_clear, "120s", 1 * S, 3600 * S, "A gray failure is over after so long.")                          \
    T(gray_auto, "5m", 60 * S, 86400 * S, "With act_on_gray, moved after so long.")                          \
    T(tilt, "30s", 1 * S, 600 * S, "No votes and no decisions after our own clock or loop has jumped.")      \
    T(lock_delay, "10s", 0, 120 * S,                                                                         \
      "A new holder waits before its first effect, unless the old one resigned.")                            \
    T(serving, "20s", 5 * S, 60 * S, "A guard's serving lease.")                                             \
    T(contract, "32s", 5 * S, 600 * S,                                                                       \
      "Guards that cannot be heard have fenced by then: their lease, the clocks' skew, and the time that a " \
      "fence "                                                                                               \
      "takes.")                                                                                              \
    T(fence, "60s", 5 * S, 3600 * S, "Fenced within, or the plan is taken back.")                            \
    T(catchup, "60s", 1 * S, 3600 * S,                                                                       \
      "Planned moves: the target has everything within, or the plan is taken back.")                         \
    T(target_up, "10m", 0, 86400 * S, "So long the target has to be up before a move.")                      \
    T(ready_age, "30m", 60 * S, 86400 * S, "Readiness that is older counts for nothing.")                    \
    T(rpo, "60s", 0, 86400 * S, "What may be lost at most.")                                                 \
    T(warm, "120s", 0, 3600 * S, "Warming up takes so long at most.")                                        \
    T(validate, "3m", 0, 3600 * S, "Outside validation has to be good so long in a row.")                    \
    T(validate_most, "10m", 1 * S, 86400 * S, "Good within, or a human has to look.")                        \
    T(hold, "30m", 0, 86400 * S, "No automatic move after a move.")                                          \
    T(failback_green, "60m", 0, 7 * 86400 * S, "Home has to be up so long before a failback.")               \
    T(retry, "500ms", 10 * MS, 60 * S, "Wait before the second attempt of an action.")                       \
    T(retry_most, "8s", 100 * MS, 600 * S, "Wait between attempts at most.")                                 \
    T(plan_most, "30m", 60 * S, 86400 * S, "A drill that takes longer is taken back.")

/* The region's index among those of the service; FO_NONE. */
uint8_t settings_region(const struct section *s, const char *region, size_t n);
/* REGION=VALUE; the value, or NULL. */
const char *settings_split(const struct section *s, const char *word, uint8_t *region);
const struct section *settings_find(const struct config *c, const char *name, const char *label);

#endif
