/* Wilson's score interval for a share (JASA 22, 1927), at 95 %: honest where few of few are counted, and also where all or none
 * are. Pure. */
#ifndef SB_BASE_WILSON_H
#define SB_BASE_WILSON_H

#include <stdint.h>

/* k of n; both ends NaN when n is 0. */
void wilson(uint64_t k, uint64_t n, double *low, double *high);

#endif
