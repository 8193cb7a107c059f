/* SPDX-License-Identifier: BSD-2-Clause */
#include "proxy/balance.h"

#include "base/mem.h"

#include <stdlib.h>

#define NONE SIZE_MAX

/* One look for an endpoint, and what it passes over. */
struct look {
    const struct kg_balancer *balancer;
    const struct kg_choice *choice;
    bool again; /* take also what has been tried before */
    bool tied;  /* only those with as much load for their weight as this: */
    uint32_t requests, weight;
};

void kg_rotations_init(struct kg_rotations *rotations, unsigned worker)
{
    *rotations = (struct kg_rotations){
        .places = kg_calloc((size_t)KG_ROTATION_SETS * KG_ROTATION_WAYS, sizeof(struct kg_rotation)),
        .ahead = worker,
    };
}

void kg_rotations_free(struct kg_rotations *rotations)
{
    for (size_t i = 0; rotations->places && i < (size_t)KG_ROTATION_SETS * KG_ROTATION_WAYS; i++)
        free(rotations->places[i].current);
    free(rotations->places);
    *rotations = (struct kg_rotations){ 0 };
}

static bool is_healthy(const struct kg_endpoint *endpoint)
{
    return !endpoint->peer || !atomic_load_explicit(&endpoint->peer->unhealthy, memory_order_relaxed);
}

static uint32_t load_of(const struct kg_endpoint *endpoint)
{
    return endpoint->peer ? atomic_load_explicit(&endpoint->peer->requests, memory_order_relaxed) : 0;
}

static bool was_tried(const struct kg_choice *choice, size_t index)
{
    for (size_t i = 0; i < choice->tried_count; i++) {
        if (choice->tried[i] == index)
            return true;
    }
    return false;
}

/* Load for weight, of two: r1/w1 < r2/w2. */
static bool is_lighter(uint32_t requests, uint32_t weight, uint32_t than_requests, uint32_t than_weight)
{
    return (uint64_t)requests * than_weight < (uint64_t)than_requests * weight;
}

static bool may_take(const struct look *look, size_t index)
{
    const struct kg_endpoint *endpoint = &look->balancer->endpoints[index];

    if (!is_healthy(endpoint) || (!look->again && was_tried(look->choice, index)))
        return false;
    return !look->tied || !is_lighter(look->requests, look->weight, load_of(endpoint), endpoint->weight);
}

/*
 * Smooth weighted round-robin: everyone gains its weight, the richest one is taken and pays what all have
 * gained. So 5:1:1 gives a b a c a a a and not five of a in a row.
 */
static size_t rotate(const struct look *look, int64_t *current)
{
    const struct kg_balancer *balancer = look->balancer;
    int64_t total = 0;
    size_t best = NONE;

    for (size_t i = 0; i < balancer->endpoint_count; i++) {
        if (!may_take(look, i))
            continue;
        current[i] += balancer->endpoints[i].weight;
        total += balancer->endpoints[i].weight;
        if (best == NONE || current[i] > current[best])
            best = i;
    }
    if (best != NONE)
        current[best] -= total;
    return best;
}

static void begin_rotation(struct kg_rotations *rotations, struct kg_rotation *rotation,
                           const struct kg_balancer *balancer)
{
    const struct kg_choice nothing = { 0 };
    const struct look look = { .balancer = balancer, .choice = &nothing };

    if (rotation->capacity < balancer->endpoint_count) {
        rotation->capacity = balancer->endpoint_count;
        rotation->current = kg_realloc(rotation->current, rotation->capacity, sizeof(*rotation->current));
    }
    memset(rotation->current, 0, balancer->endpoint_count * sizeof(*rotation->current));
    rotation->number = balancer->number;
    for (unsigned i = 0; i < rotations->ahead; i++)
        rotate(&look, rotation->current);
}

static int64_t *find_rotation(struct kg_rotations *rotations, const struct kg_balancer *balancer)
{
    struct kg_rotation *set = &rotations->places[balancer->number % KG_ROTATION_SETS * KG_ROTATION_WAYS];
    struct kg_rotation *found = set;

    rotations->clock++;
    for (size_t i = 0; i < KG_ROTATION_WAYS; i++) {
        if (set[i].used && set[i].number == balancer->number) {
            set[i].used = rotations->clock;
            return set[i].current;
        }
        if (set[i].used < found->used)
            found = &set[i];
    }
    found->used = rotations->clock;
    begin_rotation(rotations, found, balancer);
    return found->current;
}

/* The least loaded for its weight; whoever ties takes turns. */
static size_t take_lightest(struct look *look, int64_t *current)
{
    const struct kg_balancer *balancer = look->balancer;
    size_t best = NONE;

    for (size_t i = 0; i < balancer->endpoint_count; i++) {
        const struct kg_endpoint *endpoint = &balancer->endpoints[i];
        uint32_t requests = load_of(endpoint);

        if (!may_take(look, i) ||
            (best != NONE && !is_lighter(requests, endpoint->weight, look->requests, look->weight)))
            continue;
        best = i;
        look->requests = requests;
        look->weight = endpoint->weight;
    }
    if (best == NONE)
        return NONE;
    look->tied = true;
    size_t taken = rotate(look, current);
    look->tied = false;
    /* Other workers count too: meanwhile all may have become busier than that. */
    return taken != NONE ? taken : best;
}

/* From the hash's place on the ring on, the first that can be taken. */
static size_t walk_ring(const struct look *look)
{
    const struct kg_balancer *balancer = look->balancer;
    size_t at = look->choice->hash % balancer->ring_len;

    for (size_t i = 0; i < balancer->ring_len; i++) {
        size_t index = balancer->ring[at];

        if (may_take(look, index))
            return index;
        at = at + 1 < balancer->ring_len ? at + 1 : 0;
    }
    return NONE;
}

static size_t find(struct look *look, struct kg_rotations *rotations)
{
    const struct kg_balancer *balancer = look->balancer;

    /* The usual service: one address, and nobody to check it. */
    if (balancer->endpoint_count == 1)
        return may_take(look, 0) ? 0 : NONE;
    if (balancer->algorithm == KG_CONSISTENT_HASHING && look->choice->hashed && balancer->ring_len > 0)
        return walk_ring(look);
    int64_t *current = find_rotation(rotations, balancer);
    if (balancer->algorithm == KG_LEAST_CONNECTIONS)
        return take_lightest(look, current);
    return rotate(look, current);
}

static bool enough_are_healthy(const struct kg_balancer *balancer)
{
    uint64_t all = 0, healthy = 0;

    if (balancer->threshold == 0)
        return true;
    for (size_t i = 0; i < balancer->endpoint_count; i++) {
        all += balancer->endpoints[i].weight;
        healthy += is_healthy(&balancer->endpoints[i]) ? balancer->endpoints[i].weight : 0;
    }
    return healthy * 100 >= all * balancer->threshold;
}

static void enter(const struct kg_balancer *balancer, struct kg_choice *choice, size_t index)
{
    choice->endpoint = &balancer->endpoints[index];
    choice->tried[choice->tried_next] = (uint16_t)index;
    choice->tried_next = (uint8_t)((choice->tried_next + 1) % KG_TRIED_MAX);
    if (choice->tried_count < KG_TRIED_MAX)
        choice->tried_count++;
    /* Nobody else looks at it, and a counter that all workers write costs them all. */
    if (balancer->algorithm != KG_LEAST_CONNECTIONS || !choice->endpoint->peer)
        return;
    choice->counted = choice->endpoint->peer;
    atomic_fetch_add_explicit(&choice->counted->requests, 1, memory_order_relaxed);
}

bool kg_balance_choose(struct kg_rotations *rotations, const struct kg_balancer *balancer,
                       struct kg_choice *choice)
{
    struct look look = { .balancer = balancer, .choice = choice };

    kg_balance_leave(choice);
    choice->endpoint = NULL;
    if (balancer->endpoint_count == 0 || !enough_are_healthy(balancer))
        return false;
    size_t index = find(&look, rotations);
    if (index == NONE && choice->tried_count > 0) {
        look.again = true;
        index = find(&look, rotations);
    }
    if (index == NONE)
        return false;
    enter(balancer, choice, index);
    return true;
}

void kg_balance_leave(struct kg_choice *choice)
{
    if (!choice->counted)
        return;
    atomic_fetch_sub_explicit(&choice->counted->requests, 1, memory_order_relaxed);
    choice->counted = NULL;
}
