/* Sixteen bits for a value of a baseline: a sign, six bits of exponent, nine of fraction, relative to an exponent
 * that the whole series shares. 0 is 0; what is too small becomes 0, what is too large the largest. */
#include "aggregator/alert/baseline_private.h"

#include <math.h>

enum { FRACTION_BITS = 9, BIAS = 32, LARGEST = 62 };

uint16_t half_of(double v, int16_t *exponent)
{
    int e, k, fraction;
    double f;

    if (!isfinite(v))
        return HALF_NONE;
    if (v == 0)
        return 0;
    f = frexp(fabs(v), &e); /* [0.5, 1) × 2^e */
    fraction = (int)lround((f * 2 - 1) * (1 << FRACTION_BITS));
    if (fraction == 1 << FRACTION_BITS) {
        fraction = 0;
        e++;
    }
    if (*exponent == EXPONENT_NONE)
        *exponent = (int16_t)e;
    k = e - *exponent + BIAS;
    if (k < 1)
        return 0;
    if (k > LARGEST) {
        k = LARGEST;
        fraction = (1 << FRACTION_BITS) - 1;
    }
    return (uint16_t)((v < 0) << 15 | k << FRACTION_BITS | fraction);
}

double half_value(uint16_t h, int16_t exponent)
{
    int k = h >> FRACTION_BITS & 63;
    double f = 1 + (double)(h & ((1 << FRACTION_BITS) - 1)) / (1 << FRACTION_BITS), v;

    if (h == HALF_NONE)
        return (double)NAN;
    if (!k || exponent == EXPONENT_NONE)
        return 0;
    v = ldexp(f / 2, k - BIAS + exponent);
    return h >> 15 ? -v : v;
}
