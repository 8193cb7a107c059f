/* SPDX-License-Identifier: BSD-2-Clause */
#include "proxy/banset.h"
#include "base/mem.h"
#include "base/uuid.h"

#include <stdlib.h>

void kg_banset_init(struct kg_banset *set)
{
    *set = (struct kg_banset){ 0 };
    kg_random(&set->seed, sizeof(set->seed));
}

void kg_banset_free(struct kg_banset *set)
{
    free(set->entries);
    *set = (struct kg_banset){ 0 };
}

static uint32_t home(const struct kg_banset *set, const struct kg_addr *source)
{
    return kg_addr_hash(source, set->seed) & (set->capacity - 1);
}

/* Where the source is, or the free place where it would go. */
static uint32_t locate(const struct kg_banset *set, const struct kg_addr *source)
{
    uint32_t at = home(set, source);

    while (set->entries[at].source.family != 0 && !kg_addr_eq(&set->entries[at].source, source))
        at = (at + 1) & (set->capacity - 1);
    return at;
}

static bool is_over(const struct kg_banset_entry *entry, uint64_t now_ms)
{
    return entry->until_ms != 0 && entry->until_ms <= now_ms;
}

static uint32_t count_live(const struct kg_banset *set, uint64_t now_ms)
{
    uint32_t live = 0;

    for (uint32_t i = 0; i < set->capacity; i++)
        live += set->entries[i].source.family != 0 && !is_over(&set->entries[i], now_ms);
    return live;
}

/* Nobody tells of bans that end by themselves: those whose sources never came back go here, so that they do
 * not pile up. */
static void make_room(struct kg_banset *set, uint64_t now_ms)
{
    struct kg_banset_entry *old = set->entries;
    uint32_t old_capacity = set->capacity;

    set->count = count_live(set, now_ms);
    if (set->count * 4 >= old_capacity)
        set->capacity = old_capacity ? old_capacity * 2 : 64;
    set->entries = kg_calloc(set->capacity, sizeof(*set->entries));
    for (uint32_t i = 0; i < old_capacity; i++) {
        if (old[i].source.family != 0 && !is_over(&old[i], now_ms))
            set->entries[locate(set, &old[i].source)] = old[i];
    }
    free(old);
}

void kg_banset_put(struct kg_banset *set, const struct kg_addr *source, uint64_t until_ms, uint64_t now_ms)
{
    if ((set->count + 1) * 2 > set->capacity)
        make_room(set, now_ms);
    struct kg_banset_entry *entry = &set->entries[locate(set, source)];

    set->count += entry->source.family == 0;
    *entry = (struct kg_banset_entry){ .source = *source, .until_ms = until_ms };
}

/* Takes entry `at` out and moves up those behind it that probing would no longer find. */
static void remove_at(struct kg_banset *set, uint32_t at)
{
    uint32_t mask = set->capacity - 1;

    set->count--;
    for (uint32_t next = (at + 1) & mask; set->entries[next].source.family != 0; next = (next + 1) & mask) {
        uint32_t want = home(set, &set->entries[next].source);

        if (((next - want) & mask) < ((next - at) & mask))
            continue;
        set->entries[at] = set->entries[next];
        at = next;
    }
    set->entries[at] = (struct kg_banset_entry){ 0 };
}

void kg_banset_remove(struct kg_banset *set, const struct kg_addr *source)
{
    if (set->count == 0)
        return;
    uint32_t at = locate(set, source);

    if (set->entries[at].source.family != 0)
        remove_at(set, at);
}

bool kg_banset_has(struct kg_banset *set, const struct kg_addr *source, uint64_t now_ms)
{
    if (set->count == 0)
        return false;
    uint32_t at = locate(set, source);
    const struct kg_banset_entry *entry = &set->entries[at];

    if (entry->source.family == 0)
        return false;
    if (!is_over(entry, now_ms))
        return true;
    remove_at(set, at);
    return false;
}
