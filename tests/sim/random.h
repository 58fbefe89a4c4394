/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulator's random numbers: xoshiro256** filled by splitmix64, so that one printed seed of 64
 * bits repeats a whole run on any machine. */
#ifndef SIPHERD_SIM_RANDOM_H
#define SIPHERD_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t s[4];
};

static inline uint64_t random_mix(uint64_t *x)
{
	uint64_t z = *x += 0x9e3779b97f4a7c15ull;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline void random_seed(struct random *random, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		random->s[i] = random_mix(&seed);
}

static inline uint64_t random_rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static inline uint64_t random_next(struct random *random)
{
	uint64_t *s = random->s, result = random_rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = random_rotate(s[3], 45);
	return result;
}

/* Uniform in 0..n-1; n of at least 1. */
static inline uint32_t random_below(struct random *random, uint32_t n)
{
	return (uint32_t)((random_next(random) >> 32) * n >> 32);
}

/* Uniform in low..high, both included. */
static inline uint32_t random_between(struct random *random, uint32_t low, uint32_t high)
{
	return low + random_below(random, high - low + 1);
}

/* True in ppm of a million cases. */
static inline bool random_chance(struct random *random, uint32_t ppm)
{
	return ppm > 0 && random_below(random, 1000000) < ppm;
}

#endif
