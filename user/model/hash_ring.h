/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rings for consistent hashing: each entry names a member, and each member has about as many entries as its
 * weight asks for. Which ones depends on the members alone, not on their order; a member that comes or goes
 * takes or gives its own share and moves no other. Control thread.
 */
#ifndef KG_MODEL_HASH_RING_H
#define KG_MODEL_HASH_RING_H

#include <stddef.h>
#include <stdint.h>

struct kg_ring_member {
    uint64_t key;    /* a hash of who it is */
    uint32_t weight; /* at least 1 */
};

/* Fills all `len` entries with indexes into members, of which there are 1 to 65536. Takes about
 * len * ln(len) + count steps. Aborts on no memory. */
void kg_hash_ring_fill(const struct kg_ring_member *members, size_t count, uint16_t *ring, size_t len);

#endif
