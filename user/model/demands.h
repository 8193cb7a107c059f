/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What routes demand of a request's headers. Routes that demand the same share one demand; the router keeps
 * a table of hosts and paths for each and looks only into those that a request meets. Which they may be is
 * found by the request's own headers in a sorted index, so that a thousand routes that differ in one value
 * cost a request no more than one. Only demands of nothing but regexes are all tried.
 * Inside the model room. Built on the control thread, read by any worker.
 */
#ifndef KG_MODEL_DEMANDS_H
#define KG_MODEL_DEMANDS_H

#include "model/arena.h"
#include "model/router.h"

struct kg_demand {
    uint32_t id;                           /* from 1 */
    const struct kg_route_header *headers; /* by name */
    size_t count;
};

struct kg_demands {
    struct kg_demand *items; /* items[i].id == i + 1 */
    size_t count;
    struct kg_demand_key *keys; /* sorted by name and value, ignoring case */
    size_t key_count;
    const struct kg_demand **keyless; /* nothing but regexes */
    size_t keyless_count;
};

/* ids[i] becomes the id of what specs[i] demands; 0 = nothing. All memory is the arena's. */
void kg_demands_build(struct kg_demands *demands, struct kg_arena *arena, const struct kg_route_spec *specs,
                      size_t count, uint32_t *ids);

/* Calls visit for every demand that the head may meet, and some more than once. */
void kg_demands_each(const struct kg_demands *demands, const struct kg_head *head,
                     void (*visit)(void *ctx, const struct kg_demand *demand), void *ctx);

bool kg_demand_met(const struct kg_demand *demand, const struct kg_head *head,
                   struct kg_regex_scratch *scratch);

#endif
