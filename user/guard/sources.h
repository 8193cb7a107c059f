/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hashing of sources (kg_addr_source() form) with a random key, so that nobody can choose addresses that
 * collide: multiply-shift over 128 bits, which is universal (Dietzfelbinger et al.). Any thread.
 */
#ifndef KG_GUARD_SOURCES_H
#define KG_GUARD_SOURCES_H

#include "base/addr.h"
#include "base/uuid.h"

#define KG_NO_ENTRY UINT32_MAX

struct kg_source_hash {
    unsigned __int128 factor, offset[2]; /* one offset for each family */
};

static inline void kg_source_hash_init(struct kg_source_hash *hash)
{
    kg_random(hash, sizeof(*hash));
}

static inline uint32_t kg_source_hash(const struct kg_source_hash *hash, const struct kg_addr *source)
{
    uint64_t bits;

    memcpy(&bits, source->bytes, sizeof(bits)); /* all of an IPv4 address, all of a /64 */
    return (uint32_t)((hash->factor * bits + hash->offset[source->family == 6]) >> 96);
}

/* The smallest power of two that is at least n: the number of chains for n entries. */
static inline uint32_t kg_chain_count(uint32_t n)
{
    uint32_t count = 1;

    while (count < n && count < 1u << 31)
        count *= 2;
    return count;
}

#endif
