/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SipHash-2-4 with 128 bits of result (Aumasson and Bernstein, 2012): for tables whose keys strangers choose.
 * Who does not know the secret can neither foresee a hash nor find two texts with the same one. Any thread.
 */
#ifndef KG_BASE_SIPHASH_H
#define KG_BASE_SIPHASH_H

#include "base/slice.h"

struct kg_siphash_key {
    uint64_t words[2];
};

/* A new one, of random bytes. */
void kg_siphash_seed(struct kg_siphash_key *key);

/* Of `head` and `tail` as one text; head's length is a multiple of 8. */
void kg_siphash(const struct kg_siphash_key *key, struct kg_slice head, struct kg_slice tail,
                uint64_t hash[2]);

#endif
