/* What the test programs of objectives share beyond the kit: when their cases begin, a minute of requests, and how near a
 * figure has to be. Behind cmocka.h. */
#ifndef SB_TESTS_SLO_CASES_H
#define SB_TESTS_SLO_CASES_H

#include "tests/unit/slo_kit.h"

static inline int64_t begin(void)
{
    return kit_time("2026-11-02T00:00:00Z");
}

static inline void near(double found, double expected)
{
    double far = fabs(found - expected), allowed = 1e-9 * fmax(1, fabs(expected));

    if (!(far <= allowed))
        fail_msg("found %.15g, expected %.15g", found, expected);
}

/* One minute's requests, taken at its 5th second. */
static inline void minute(struct kit *k, int64_t start, unsigned good, unsigned bad)
{
    kit_count(k, "requests_total", "code=200", start + 5000, good);
    kit_count(k, "requests_total", "code=500", start + 5000, bad);
}

#endif
