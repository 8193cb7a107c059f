/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A race: each member calls out entries of the ring, one after the other by a sequence of its own, as often
 * in a second as its weight says. Whoever calls out an entry first has it. What one member calls does not
 * depend on the others, so one more of them takes nothing but what it calls first; and as all are called at
 * rates that stand like the weights, so do the shares. The race is run in rounds until every entry has been
 * called.
 */
#include "model/hash_ring.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>

struct runner {
    const struct kg_ring_member *member;
    uint64_t seed; /* of its sequence: keys that are near to each other have nothing in common here */
    double offset; /* of its first call, in calls: 0 to 1, so that not all begin at once */
    uint64_t calls;
};

struct claim {
    double time; /* of the first call */
    uint64_t key;
    bool called;
};

/* The finalizer of splitmix64: every bit of the input moves half of the output's. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static double call_time(const struct runner *runner)
{
    return ((double)runner->calls + runner->offset) / runner->member->weight;
}

/* Where the runner's next call falls. */
static size_t next_entry(struct runner *runner, size_t len)
{
    uint64_t random = mix(runner->seed + ++runner->calls * 0x9e3779b97f4a7c15u);

    return (size_t)((unsigned __int128)random * len >> 64);
}

/* One call at this time: whether the entry had not been called before. */
static bool call(struct runner *runner, double time, struct claim *claims, uint16_t *ring, size_t len,
                 size_t index)
{
    struct claim *claim = &claims[next_entry(runner, len)];
    uint64_t key = runner->member->key;
    bool fresh = !claim->called;

    if (claim->called && (claim->time < time || (claim->time == time && claim->key <= key)))
        return false;
    *claim = (struct claim){ time, key, true };
    ring[claim - claims] = (uint16_t)index;
    return fresh;
}

/* All of one runner's calls up to a time; how many entries had not been called before. */
static size_t run_until(struct runner *runner, double limit, struct claim *claims, uint16_t *ring, size_t len,
                        size_t index)
{
    double time = call_time(runner);
    size_t fresh = 0;

    while (time < limit) {
        fresh += call(runner, time, claims, ring, len, index);
        time = call_time(runner);
    }
    return fresh;
}

void kg_hash_ring_fill(const struct kg_ring_member *members, size_t count, uint16_t *ring, size_t len)
{
    struct runner *runners = kg_calloc(count, sizeof(*runners));
    struct claim *claims = kg_calloc(len, sizeof(*claims));
    double weights = 0, limit = 0;
    size_t left = len;

    KG_ASSERT(count > 0 && count <= UINT16_MAX + 1u);
    for (size_t i = 0; i < count; i++) {
        KG_ASSERT(members[i].weight > 0);
        runners[i].member = &members[i];
        runners[i].seed = mix(members[i].key);
        runners[i].offset = (double)(mix(~members[i].key) >> 11) / (double)(1ull << 53);
        weights += members[i].weight;
    }
    while (left > 0) {
        limit += (double)len / weights; /* about one call for each entry */
        for (size_t i = 0; i < count; i++)
            left -= run_until(&runners[i], limit, claims, ring, len, i);
    }
    free(claims);
    free(runners);
}
