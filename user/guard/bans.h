/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of live bans in user space: found by source, listed by age, reaped by expiry. It knows nothing of
 * kernel or store. Its size is fixed. Control thread only.
 */
#ifndef KG_GUARD_BANS_H
#define KG_GUARD_BANS_H

#include "base/addr.h"

/*
 * An entry is either in use (in its chain, in the list by age, and in the heap when it expires) or free. The
 * fields below the line belong to the table.
 */
struct kg_ban_entry {
    struct kg_addr source;
    uint32_t reason, offences;
    int64_t since, expires; /* wall-clock seconds; expires 0 = never */
    uint64_t since_ns,
        expires_ns; /* CLOCK_MONOTONIC, as in the map; change expires_ns through kg_bans_expire_at */
    bool in_kernel; /* the map holds it */
    bool in_store, over,
        stale; /* while loading: the store knows it; the store says it is over; the map must be written */
    /* ---- */
    uint32_t chain_next, older, newer, heap_at;
};

struct kg_bans;

struct kg_bans *kg_bans_new(uint32_t room);
void kg_bans_free(struct kg_bans *bans);
struct kg_ban_entry *kg_bans_find(const struct kg_bans *bans, const struct kg_addr *source);
/* A new entry without expiry, the youngest of all; NULL when the table is full. The source must not be there
 * yet. */
struct kg_ban_entry *kg_bans_add(struct kg_bans *bans, const struct kg_addr *source);
void kg_bans_remove(struct kg_bans *bans, struct kg_ban_entry *entry);
void kg_bans_expire_at(struct kg_bans *bans, struct kg_ban_entry *entry, uint64_t expires_ns);
/* The entry that expires first, or NULL when none does. */
struct kg_ban_entry *kg_bans_first_due(const struct kg_bans *bans);
struct kg_ban_entry *kg_bans_oldest(const struct kg_bans *bans);
struct kg_ban_entry *kg_bans_newer(const struct kg_bans *bans, const struct kg_ban_entry *entry);
/* Orders the list by `since`. */
void kg_bans_sort(struct kg_bans *bans);
uint32_t kg_bans_count(const struct kg_bans *bans);
bool kg_bans_full(const struct kg_bans *bans);

#endif
