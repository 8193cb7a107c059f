/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/snapshot.h"

#include "base/assert.h"
#include "model/groups.h"
#include "model/jwt_keys.h"
#include "model/records.h"
#include "model/routing.h"

#include <stdlib.h>

#define CACHE_LINE 64

struct kg_snapshot {
    struct kg_routing *routing;
    struct kg_pmap credentials; /* by MAC */
    struct kg_pmap jwt_keys;    /* by key */
    struct kg_pmap consumers, usernames, groups;
    struct kg_pmap certificates, server_names;
    /* Written by its worker alone, each on a line of its own. */
    struct hold {
        _Alignas(CACHE_LINE) _Atomic uint64_t count;
    } holds[KG_WORKERS_MAX];
};

struct kg_snapshot *kg_snapshot_new(struct kg_routing *routing, const struct kg_snapshot_maps *maps,
                                    const struct kg_certificates *certificates)
{
    struct kg_snapshot *snapshot = aligned_alloc(CACHE_LINE, sizeof(*snapshot));

    KG_ASSERT(snapshot != NULL);
    memset(snapshot, 0, sizeof(*snapshot));
    routing->refs++;
    snapshot->routing = routing;
    snapshot->credentials = kg_pmap_share(maps->credentials_by_mac);
    snapshot->jwt_keys = kg_pmap_share(maps->jwt_keys);
    snapshot->consumers = kg_pmap_share(maps->consumers);
    snapshot->usernames = kg_pmap_share(maps->usernames);
    snapshot->groups = kg_pmap_share(maps->groups);
    snapshot->certificates = kg_pmap_share(&certificates->certificates);
    snapshot->server_names = kg_pmap_share(&certificates->names);
    return snapshot;
}

bool kg_snapshot_route(const struct kg_snapshot *snapshot, const struct kg_route_query *query,
                       struct kg_match *match)
{
    return kg_router_match(snapshot->routing->router, query, match);
}

void kg_snapshot_each_balancer(const struct kg_snapshot *snapshot,
                               void (*visit)(void *ctx, const struct kg_balancer *balancer), void *ctx)
{
    kg_routing_each_balancer(snapshot->routing, visit, ctx);
}

const struct kg_credential *kg_snapshot_credential(const struct kg_snapshot *snapshot, const uint8_t mac[32])
{
    const struct kg_credential_record *found = kg_pmap_find(&snapshot->credentials, mac);

    return found ? &found->pub : NULL;
}

const struct kg_jwt_key *kg_snapshot_jwt_key(const struct kg_snapshot *snapshot, struct kg_slice key)
{
    return kg_jwt_keys_find(&snapshot->jwt_keys, key);
}

const struct kg_consumer *kg_snapshot_consumer(const struct kg_snapshot *snapshot, struct kg_slice name)
{
    const struct kg_consumer_record *found = NULL;
    char id[KG_UUID_TEXT];

    if (kg_uuid_valid(name)) {
        memcpy(id, name.ptr, name.len);
        id[name.len] = '\0';
        found = kg_pmap_find(&snapshot->consumers, id);
    }
    if (!found)
        found = kg_pmap_find(&snapshot->usernames, &name);
    return found ? &found->pub : NULL;
}

const struct kg_consumer_plugins *kg_snapshot_consumer_plugins(const struct kg_snapshot *snapshot,
                                                               const struct kg_consumer *consumer)
{
    return kg_routing_consumer_plugins(snapshot->routing, consumer->id);
}

const struct kg_consumer_groups *kg_snapshot_groups(const struct kg_snapshot *snapshot,
                                                    const struct kg_consumer *consumer)
{
    return kg_groups_of(&snapshot->groups, consumer->id);
}

const struct kg_tls_identity *kg_snapshot_certificate(const struct kg_snapshot *snapshot,
                                                      struct kg_slice name)
{
    return kg_certificates_find(&snapshot->certificates, &snapshot->server_names, name);
}

/* The worker is the only writer of its count, so plain loads and stores do; no locked instruction on the
 * request path. */
void kg_snapshot_hold(struct kg_snapshot *snapshot, unsigned worker)
{
    KG_ASSERT(worker < KG_WORKERS_MAX);
    _Atomic uint64_t *count = &snapshot->holds[worker].count;
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Release: all that the request read from the snapshot has been read when kg_snapshot_idle sees the count. */
void kg_snapshot_release(struct kg_snapshot *snapshot, unsigned worker)
{
    KG_ASSERT(worker < KG_WORKERS_MAX);
    _Atomic uint64_t *count = &snapshot->holds[worker].count;
    uint64_t held = atomic_load_explicit(count, memory_order_relaxed);

    KG_ASSERT(held > 0);
    atomic_store_explicit(count, held - 1, memory_order_release);
}

bool kg_snapshot_idle(const struct kg_snapshot *snapshot)
{
    for (unsigned worker = 0; worker < KG_WORKERS_MAX; worker++) {
        if (atomic_load_explicit(&snapshot->holds[worker].count, memory_order_acquire) > 0)
            return false;
    }
    return true;
}

void kg_snapshot_free(struct kg_snapshot *snapshot)
{
    if (!snapshot)
        return;
    kg_pmap_free(&snapshot->server_names);
    kg_pmap_free(&snapshot->certificates);
    kg_pmap_free(&snapshot->groups);
    kg_pmap_free(&snapshot->usernames);
    kg_pmap_free(&snapshot->consumers);
    kg_pmap_free(&snapshot->jwt_keys);
    kg_pmap_free(&snapshot->credentials);
    kg_routing_release(snapshot->routing);
    free(snapshot);
}
