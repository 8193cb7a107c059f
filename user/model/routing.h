/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A routing: services, routes, their effective plugins and the router over them, as one immutable whole.
 * Built anew when any of these changes and shared by all snapshots until then, so that a new key costs
 * nothing here. Control thread only; what it holds is read by workers through a snapshot.
 */
#ifndef KG_MODEL_ROUTING_H
#define KG_MODEL_ROUTING_H

#include "base/pmap.h"
#include "model/certificates.h"
#include "model/pools.h"
#include "model/router.h"

struct kg_routing {
    uint32_t refs;
    struct kg_router *router;
    /* Private to routing.c. */
    struct kg_routing_parts *parts;
};

/* From the model's maps, of kg_records_by_id, and its upstreams. One reference, the caller's. */
struct kg_routing *kg_routing_new(const struct kg_pmap *services, const struct kg_pmap *routes,
                                  const struct kg_pmap *plugins, struct kg_pools *pools,
                                  struct kg_certificates *certificates);
void kg_routing_release(struct kg_routing *routing);

/* The balancers of all upstreams, oldest first. */
void kg_routing_each_balancer(const struct kg_routing *routing,
                              void (*visit)(void *ctx, const struct kg_balancer *balancer), void *ctx);

/* The plugins that are for the consumer with this id, or NULL. Any thread. */
const struct kg_consumer_plugins *kg_routing_consumer_plugins(const struct kg_routing *routing,
                                                              const char *consumer_id);

/* What a snapshot takes of a model's maps, as they are now. */
struct kg_snapshot_maps {
    const struct kg_pmap *credentials_by_mac;
    const struct kg_pmap *jwt_keys;              /* by key */
    const struct kg_pmap *consumers, *usernames; /* by id; by kg_consumers_by_username */
    const struct kg_pmap *groups;                /* by the consumer's id: groups.h */
};

/* A snapshot of a routing and of versions of the maps and certificates, all of which it shares. */
struct kg_snapshot *kg_snapshot_new(struct kg_routing *routing, const struct kg_snapshot_maps *maps,
                                    const struct kg_certificates *certificates);

/* What the router is given of a route. */
struct kg_route_spec kg_route_record_spec(const struct kg_route_record *record, const struct kg_route *route);
/* Whether it is in the router at all: routes of a service that is switched off are left out, those without a
 * service are in. service: its own, or NULL. */
bool kg_route_record_is_served(const struct kg_route_record *record, const struct kg_service_record *service);

#endif
