/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers that must be unique but not secret: request ids. xoshiro256** (Blackman and Vigna, 2018), seeded
 * once from getrandom(2), because a system call for each request would cost more than the id is worth. One
 * for each thread.
 */
#ifndef KG_BASE_PRNG_H
#define KG_BASE_PRNG_H

#include <stdint.h>

struct kg_prng {
    uint64_t s[4];
};

void kg_prng_seed(struct kg_prng *prng);
uint64_t kg_prng_next(struct kg_prng *prng);

#endif
