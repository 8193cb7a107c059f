/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Upstreams and their targets, and the balancers made from them. A balancer is made anew only when something
 * it is made from has changed. Control thread only.
 */
#ifndef KG_MODEL_POOLS_H
#define KG_MODEL_POOLS_H

#include "model/balancers.h"
#include "model/records.h"

struct kg_pools {
    struct kg_pmap upstreams, targets; /* by id */
    struct kg_pmap by_name;            /* upstreams by their name in lower case */
    struct kg_pmap *names;             /* the model's host names */
    uint64_t names_version;            /* rises with each change of an address */
};

void kg_pools_init(struct kg_pools *pools, struct kg_pmap *names);
void kg_pools_free(struct kg_pools *pools);

/* An upstream or a target, new or in the place of the one with the same id. A target's upstream must be
 * there. It is retained. */
void kg_pools_put(struct kg_pools *pools, struct kg_record *record);
/* Unknown ids are ignored. An upstream takes its targets along. */
void kg_pools_remove(struct kg_pools *pools, enum kg_entity_id entity, const char *id);

/* The upstream with this name (lower case), or NULL. */
struct kg_upstream_record *kg_pools_find(const struct kg_pools *pools, const char *lower_name);

/* The upstream's balancer as it is now, for services that speak https or not; the pools' reference. */
struct kg_balancer_record *kg_pools_balancer(struct kg_pools *pools, struct kg_upstream_record *upstream,
                                             bool https);

/* A target's addresses, each with its peer; *addrs points to the name's own list or to *numeric. */
const struct kg_addr *kg_pools_addresses(const struct kg_pools *pools, const struct kg_target_record *target,
                                         struct kg_addr *numeric, size_t *count);
struct kg_peer *kg_pools_peer(struct kg_pools *pools, const struct kg_target_record *target,
                              const struct kg_addr *addr);

/* Whether anything looks at the health of the upstream's targets. */
bool kg_upstream_is_checked(const struct kg_upstream_record *upstream);

#endif
