/* The times of [failover NAME] as they are by default, for tests. */
#ifndef SB_TESTS_FO_PRODUCTION_H
#define SB_TESTS_FO_PRODUCTION_H

#include "aggregator/failover/failover.h"

static const struct fo_times fo_production = {.boot = 60000,
                                              .suspect_clear = 30000,
                                              .confirm = 10000,
                                              .gray_page = 60000,
                                              .gray_clear = 120000,
                                              .gray_auto = 300000,
                                              .tilt = 30000,
                                              .lease = 15000,
                                              .keep = 3000,
                                              .margin = 4000,
                                              .lock_delay = 10000,
                                              .serving = 20000,
                                              .contract = 32000,
                                              .fence = 60000,
                                              .catchup = 60000,
                                              .target_up = 600000,
                                              .ready_age = 1800000,
                                              .rpo = 60000,
                                              .warm = 120000,
                                              .validate = 180000,
                                              .validate_most = 600000,
                                              .hold = 1800000,
                                              .failback_green = 3600000,
                                              .retry = 500,
                                              .retry_most = 8000,
                                              .plan_most = 1800000};

#endif
