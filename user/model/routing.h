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
#include "model/router.h"

struct kg_routing {
    uint32_t refs;
    struct kg_router *router;
    /* Private to routing.c. */
    struct kg_routing_parts *parts;
};

/* From the model's maps: of kg_records_by_id for the first three, of kg_names_by_text for names. One
 * reference, the caller's. */
struct kg_routing *kg_routing_new(const struct kg_pmap *services, const struct kg_pmap *routes,
                                  const struct kg_pmap *plugins, const struct kg_pmap *names,
                                  struct kg_certificates *certificates);
void kg_routing_release(struct kg_routing *routing);

/* A snapshot of a routing and of versions of the credentials and certificates, all of which it shares. */
struct kg_snapshot *kg_snapshot_new(struct kg_routing *routing, const struct kg_pmap *credentials_by_mac,
                                    const struct kg_certificates *certificates);

#endif
