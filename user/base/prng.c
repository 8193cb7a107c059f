/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/prng.h"
#include "base/uuid.h"

void kg_prng_seed(struct kg_prng *prng)
{
    kg_random(prng->s, sizeof(prng->s));
    prng->s[0] |= 1; /* all zero is the one state it cannot leave */
}

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

uint64_t kg_prng_next(struct kg_prng *prng)
{
    uint64_t *s = prng->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9, shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}
