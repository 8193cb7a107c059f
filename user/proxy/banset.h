/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker's own set of banned sources: what keeps a ban in force where the kernel cannot (no XDP, a full
 * map). Open addressing with linear probing, keyed hash. One worker thread.
 */
#ifndef KG_PROXY_BANSET_H
#define KG_PROXY_BANSET_H

#include "base/addr.h"

struct kg_banset_entry {
    struct kg_addr source; /* family 0: free */
    uint64_t until_ms;     /* 0 = for ever */
};

struct kg_banset {
    struct kg_banset_entry *entries;
    uint32_t capacity, count; /* capacity is 0 or a power of two, at most half full */
    uint64_t seed;
};

void kg_banset_init(struct kg_banset *set);
void kg_banset_free(struct kg_banset *set);
/* Forgets bans that are over at now_ms when it needs their room. */
void kg_banset_put(struct kg_banset *set, const struct kg_addr *source, uint64_t until_ms, uint64_t now_ms);
void kg_banset_remove(struct kg_banset *set, const struct kg_addr *source);
/* Whether the source (kg_addr_source form) is banned at now_ms. Forgets a ban that is over. */
bool kg_banset_has(struct kg_banset *set, const struct kg_addr *source, uint64_t now_ms);

#endif
