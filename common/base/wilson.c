/* See wilson.h. */
#include "common/base/wilson.h"

#include <math.h>

void wilson(uint64_t k, uint64_t count, double *low, double *high)
{
    const double z = 1.96;
    double n = (double)count, p, middle, half;

    *low = *high = NAN;
    if (!count)
        return;
    p = (double)k / n;
    middle = p + z * z / (2 * n);
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    *low = (middle - half) / (1 + z * z / n);
    *high = (middle + half) / (1 + z * z / n);
}
