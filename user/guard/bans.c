/* SPDX-License-Identifier: BSD-2-Clause */
#include "guard/bans.h"
#include "base/assert.h"
#include "base/mem.h"
#include "guard/sources.h"

#include <stdlib.h>

struct kg_bans {
    uint32_t room, used,
        fresh; /* entries from `fresh` on were never used, so their pages were never touched */
    uint32_t free;
    struct kg_source_hash hash;
    uint32_t *chains, chain_mask;
    uint32_t oldest, newest;
    uint32_t *heap, heap_count; /* a binary heap of entries by expires_ns */
    struct kg_ban_entry *entries;
};

struct kg_bans *kg_bans_new(uint32_t room)
{
    struct kg_bans *b = kg_calloc(1, sizeof(*b));

    KG_ASSERT(room > 0);
    b->room = room;
    b->chain_mask = kg_chain_count(room) - 1;
    b->chains = kg_calloc(b->chain_mask + 1, sizeof(*b->chains));
    b->heap = kg_calloc(room, sizeof(*b->heap));
    b->entries = kg_calloc(room, sizeof(*b->entries));
    kg_source_hash_init(&b->hash);
    for (uint32_t i = 0; i <= b->chain_mask; i++)
        b->chains[i] = KG_NO_ENTRY;
    b->free = b->oldest = b->newest = KG_NO_ENTRY;
    return b;
}

void kg_bans_free(struct kg_bans *bans)
{
    if (!bans)
        return;
    free(bans->chains);
    free(bans->heap);
    free(bans->entries);
    free(bans);
}

static uint32_t index_of(const struct kg_bans *b, const struct kg_ban_entry *entry)
{
    return (uint32_t)(entry - b->entries);
}

static struct kg_ban_entry *entry_at(const struct kg_bans *b, uint32_t i)
{
    return i == KG_NO_ENTRY ? NULL : &b->entries[i];
}

static uint32_t *chain_of(const struct kg_bans *b, const struct kg_addr *source)
{
    return &b->chains[kg_source_hash(&b->hash, source) & b->chain_mask];
}

struct kg_ban_entry *kg_bans_find(const struct kg_bans *bans, const struct kg_addr *source)
{
    uint32_t i = *chain_of(bans, source);

    while (i != KG_NO_ENTRY && !kg_addr_eq(&bans->entries[i].source, source))
        i = bans->entries[i].chain_next;
    return entry_at(bans, i);
}

/* The heap */

static void place(struct kg_bans *b, uint32_t at, uint32_t i)
{
    b->heap[at] = i;
    b->entries[i].heap_at = at;
}

static bool is_before(const struct kg_bans *b, uint32_t i, uint32_t j)
{
    return b->entries[i].expires_ns < b->entries[j].expires_ns;
}

/* Moves the entry at a position up or down to where it belongs. */
static void sift(struct kg_bans *b, uint32_t at)
{
    uint32_t i = b->heap[at];

    while (at > 0 && is_before(b, i, b->heap[(at - 1) / 2])) {
        place(b, at, b->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < b->heap_count && is_before(b, b->heap[child + 1], b->heap[child]))
            child++;
        if (child >= b->heap_count || !is_before(b, b->heap[child], i))
            break;
        place(b, at, b->heap[child]);
        at = child;
    }
    place(b, at, i);
}

static void heap_remove(struct kg_bans *b, struct kg_ban_entry *entry)
{
    uint32_t at = entry->heap_at;

    if (at == KG_NO_ENTRY)
        return;
    entry->heap_at = KG_NO_ENTRY;
    b->heap_count--;
    if (at == b->heap_count)
        return;
    place(b, at, b->heap[b->heap_count]);
    sift(b, at);
}

void kg_bans_expire_at(struct kg_bans *bans, struct kg_ban_entry *entry, uint64_t expires_ns)
{
    heap_remove(bans, entry);
    entry->expires_ns = expires_ns;
    if (!expires_ns)
        return;
    place(bans, bans->heap_count++, index_of(bans, entry));
    sift(bans, bans->heap_count - 1);
}

struct kg_ban_entry *kg_bans_first_due(const struct kg_bans *bans)
{
    return bans->heap_count ? &bans->entries[bans->heap[0]] : NULL;
}

/* The list by age */

static void list_append(struct kg_bans *b, uint32_t i)
{
    struct kg_ban_entry *e = &b->entries[i];

    e->older = b->newest;
    e->newer = KG_NO_ENTRY;
    *(b->newest == KG_NO_ENTRY ? &b->oldest : &b->entries[b->newest].newer) = i;
    b->newest = i;
}

struct kg_ban_entry *kg_bans_oldest(const struct kg_bans *bans)
{
    return entry_at(bans, bans->oldest);
}

struct kg_ban_entry *kg_bans_newer(const struct kg_bans *bans, const struct kg_ban_entry *entry)
{
    return entry_at(bans, entry->newer);
}

static int by_since(const void *a, const void *b)
{
    const struct kg_ban_entry *x = *(struct kg_ban_entry *const *)a, *y = *(struct kg_ban_entry *const *)b;

    return (x->since > y->since) - (x->since < y->since);
}

void kg_bans_sort(struct kg_bans *bans)
{
    struct kg_ban_entry **all;
    uint32_t count = 0;

    if (bans->used < 2)
        return;
    all = kg_calloc(bans->used, sizeof(struct kg_ban_entry *));
    for (struct kg_ban_entry *e = kg_bans_oldest(bans); e; e = kg_bans_newer(bans, e))
        all[count++] = e;
    KG_ASSERT(count == bans->used);
    qsort(all, count, sizeof(struct kg_ban_entry *), by_since);
    bans->oldest = bans->newest = KG_NO_ENTRY;
    for (uint32_t i = 0; i < count; i++)
        list_append(bans, index_of(bans, all[i]));
    free(all);
}

/* Entries */

static uint32_t take_free(struct kg_bans *b)
{
    uint32_t i = b->free;

    if (i == KG_NO_ENTRY)
        return b->fresh < b->room ? b->fresh++ : KG_NO_ENTRY;
    b->free = b->entries[i].chain_next;
    return i;
}

struct kg_ban_entry *kg_bans_add(struct kg_bans *bans, const struct kg_addr *source)
{
    uint32_t i = take_free(bans), *chain = chain_of(bans, source);

    if (i == KG_NO_ENTRY)
        return NULL;
    bans->entries[i] =
        (struct kg_ban_entry){ .source = *source, .chain_next = *chain, .heap_at = KG_NO_ENTRY };
    *chain = i;
    list_append(bans, i);
    bans->used++;
    return &bans->entries[i];
}

void kg_bans_remove(struct kg_bans *bans, struct kg_ban_entry *entry)
{
    uint32_t i = index_of(bans, entry), *at = chain_of(bans, &entry->source);

    while (*at != i)
        at = &bans->entries[*at].chain_next;
    *at = entry->chain_next;
    heap_remove(bans, entry);
    *(entry->older == KG_NO_ENTRY ? &bans->oldest : &bans->entries[entry->older].newer) = entry->newer;
    *(entry->newer == KG_NO_ENTRY ? &bans->newest : &bans->entries[entry->newer].older) = entry->older;
    entry->chain_next = bans->free;
    bans->free = i;
    bans->used--;
}

uint32_t kg_bans_count(const struct kg_bans *bans)
{
    return bans->used;
}

bool kg_bans_full(const struct kg_bans *bans)
{
    return bans->used == bans->room;
}
