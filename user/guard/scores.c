/* SPDX-License-Identifier: BSD-2-Clause */
#include "guard/scores.h"
#include "base/assert.h"
#include "base/mem.h"
#include "guard/sources.h"

#include <stdlib.h>

#define SLICES 8

/* LOW: less than half the threshold. HIGH: half of it or more. Each list is ordered by the last failure. */
enum { LOW, HIGH, LISTS };

struct entry {
    struct kg_addr source;
    uint8_t list;
    uint32_t chain_next;
    uint32_t newer, older;
    uint64_t slice;          /* number of the newest slice counted */
    uint32_t counts[SLICES]; /* slice n at n % SLICES */
};

struct list {
    uint32_t newest, oldest;
};

struct kg_scores {
    uint32_t room, used, threshold;
    uint64_t slice_ms;
    struct kg_source_hash hash;
    uint32_t *chains, chain_mask;
    uint32_t free; /* chained through chain_next */
    struct list lists[LISTS];
    struct entry *entries;
};

struct kg_scores *kg_scores_new(uint32_t sources, uint32_t threshold, uint64_t window_ms)
{
    struct kg_scores *s = kg_calloc(1, sizeof(*s));

    KG_ASSERT(sources > 0 && threshold > 0);
    s->room = sources;
    s->threshold = threshold;
    s->slice_ms = window_ms > SLICES ? window_ms / SLICES : 1;
    s->chain_mask = kg_chain_count(sources) - 1;
    s->chains = kg_calloc(s->chain_mask + 1, sizeof(*s->chains));
    s->entries = kg_calloc(sources, sizeof(*s->entries));
    kg_source_hash_init(&s->hash);
    for (uint32_t i = 0; i <= s->chain_mask; i++)
        s->chains[i] = KG_NO_ENTRY;
    for (uint32_t i = 0; i < sources; i++)
        s->entries[i].chain_next = i + 1 < sources ? i + 1 : KG_NO_ENTRY;
    for (unsigned i = 0; i < LISTS; i++)
        s->lists[i] = (struct list){ KG_NO_ENTRY, KG_NO_ENTRY };
    return s;
}

void kg_scores_free(struct kg_scores *scores)
{
    if (!scores)
        return;
    free(scores->chains);
    free(scores->entries);
    free(scores);
}

static uint32_t *chain_of(const struct kg_scores *s, const struct kg_addr *source)
{
    return &s->chains[kg_source_hash(&s->hash, source) & s->chain_mask];
}

static uint32_t find(const struct kg_scores *s, const struct kg_addr *source)
{
    uint32_t i = *chain_of(s, source);

    while (i != KG_NO_ENTRY && !kg_addr_eq(&s->entries[i].source, source))
        i = s->entries[i].chain_next;
    return i;
}

static void list_remove(struct kg_scores *s, uint32_t i)
{
    struct entry *e = &s->entries[i];
    struct list *list = &s->lists[e->list];

    *(e->newer == KG_NO_ENTRY ? &list->newest : &s->entries[e->newer].older) = e->older;
    *(e->older == KG_NO_ENTRY ? &list->oldest : &s->entries[e->older].newer) = e->newer;
}

static void list_add(struct kg_scores *s, uint32_t i, uint8_t which)
{
    struct entry *e = &s->entries[i];
    struct list *list = &s->lists[which];

    e->list = which;
    e->newer = KG_NO_ENTRY;
    e->older = list->newest;
    *(list->newest == KG_NO_ENTRY ? &list->oldest : &s->entries[list->newest].newer) = i;
    list->newest = i;
}

static void forget(struct kg_scores *s, uint32_t i)
{
    uint32_t *at = chain_of(s, &s->entries[i].source);

    while (*at != i)
        at = &s->entries[*at].chain_next;
    *at = s->entries[i].chain_next;
    list_remove(s, i);
    s->entries[i].chain_next = s->free;
    s->free = i;
    s->used--;
}

static bool is_stale(const struct kg_scores *s, uint32_t i, uint64_t slice)
{
    return slice - s->entries[i].slice >= SLICES;
}

/* Who makes room in a full table. */
static uint32_t victim(const struct kg_scores *s, uint64_t slice)
{
    uint32_t low = s->lists[LOW].oldest, high = s->lists[HIGH].oldest;

    if (low == KG_NO_ENTRY || (high != KG_NO_ENTRY && is_stale(s, high, slice)))
        return high;
    return low;
}

static uint32_t insert(struct kg_scores *s, const struct kg_addr *source, uint64_t slice)
{
    if (s->free == KG_NO_ENTRY)
        forget(s, victim(s, slice));
    uint32_t i = s->free, *chain = chain_of(s, source);

    s->free = s->entries[i].chain_next;
    s->entries[i] = (struct entry){ .source = *source, .chain_next = *chain, .slice = slice };
    *chain = i;
    list_add(s, i, LOW);
    s->used++;
    return i;
}

static uint32_t sum(const struct entry *e, uint64_t slice)
{
    uint64_t total = 0;

    for (uint64_t n = 0; n < SLICES; n++) {
        /* Slices e->slice - 7 … e->slice are stored; those that began a window ago or more are out. */
        if (e->slice >= n && slice - (e->slice - n) < SLICES)
            total += e->counts[(e->slice - n) % SLICES];
    }
    return total < UINT32_MAX ? (uint32_t)total : UINT32_MAX;
}

static void advance(struct entry *e, uint64_t slice)
{
    uint64_t steps = slice - e->slice;

    for (uint64_t n = 0; n < steps && n < SLICES; n++)
        e->counts[(slice - n) % SLICES] = 0;
    e->slice = slice;
}

bool kg_scores_add(struct kg_scores *scores, const struct kg_addr *source, uint64_t now_ms)
{
    uint64_t slice = now_ms / scores->slice_ms;
    uint32_t i = find(scores, source);

    if (i == KG_NO_ENTRY)
        i = insert(scores, source, slice);
    struct entry *e = &scores->entries[i];
    if (slice > e->slice)
        advance(e, slice);
    e->counts[e->slice % SLICES]++;
    uint32_t score = sum(e, e->slice);
    if (score >= scores->threshold) {
        forget(scores, i);
        return true;
    }
    list_remove(scores, i);
    list_add(scores, i, score >= scores->threshold - score ? HIGH : LOW);
    return false;
}

uint32_t kg_scores_get(const struct kg_scores *scores, const struct kg_addr *source, uint64_t now_ms)
{
    uint64_t slice = now_ms / scores->slice_ms;
    uint32_t i = find(scores, source);

    return i == KG_NO_ENTRY || slice < scores->entries[i].slice ? 0 : sum(&scores->entries[i], slice);
}

uint32_t kg_scores_count(const struct kg_scores *scores)
{
    return scores->used;
}
