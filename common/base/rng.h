/* Randomness as a seeded state (xoshiro256++ by Blackman and Vigna, seeded with splitmix64): the same seed
 * gives the same run. For jitter and simulation, never for secrets. */
#ifndef SB_BASE_RNG_H
#define SB_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* A number in [0, n); n ≥ 1. Unbiased. */
uint64_t rng_below(struct rng *r, uint64_t n);
double rng_unit(struct rng *r); /* in [0, 1) */

#endif
