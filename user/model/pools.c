/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/pools.h"

#include "base/assert.h"
#include "base/mem.h"
#include "model/names.h"

#include <stdlib.h>

/* What is kept of an upstream while it is there, through all versions of its record. */
struct kg_pool {
    struct kg_target_record **targets; /* in order of their creation; the references are the map's */
    size_t target_count, target_room;
    struct kg_pmap peers;
    uint64_t counted;                 /* how often the addresses were gone through */
    struct kg_balancer_record *plain; /* NULL: not made yet */
    struct kg_balancer_record *https; /* made from plain when it is asked for */
    uint64_t names_version;           /* of the host names it was made from */
    bool stale;                       /* the upstream or a target has changed since */
    bool checked;                     /* somebody looked at the peers' health */
};

/* ---- the maps ---- */

static const void *upstream_name(const void *value)
{
    return ((const struct kg_upstream_record *)value)->lower_name.ptr;
}

static const struct kg_pmap_type upstreams_by_name = { upstream_name, kg_pmap_hash_text, kg_pmap_same_text,
                                                       kg_records_retain, kg_records_release };

void kg_pools_init(struct kg_pools *pools, struct kg_pmap *names)
{
    *pools = (struct kg_pools){ .names = names };
    pools->upstreams = pools->targets = kg_pmap_of(&kg_records_by_id);
    pools->by_name = kg_pmap_of(&upstreams_by_name);
}

/* ---- the balancer of one upstream ---- */

const struct kg_addr *kg_pools_addresses(const struct kg_pools *pools, const struct kg_target_record *target,
                                         struct kg_addr *numeric, size_t *count)
{
    return kg_names_addresses(pools->names, target->host, numeric, count);
}

static struct kg_peer_key key_of(const struct kg_addr *addr, uint16_t port)
{
    struct kg_peer_key key;

    memset(&key, 0, sizeof(key));
    key.addr = *addr;
    key.port = port;
    return key;
}

static struct kg_peer_record *peer_of(struct kg_pool *pool, const struct kg_addr *addr, uint16_t port)
{
    struct kg_peer_key key = key_of(addr, port);
    struct kg_peer_record *peer = kg_pmap_find(&pool->peers, &key);

    if (!peer) {
        peer = kg_peer_record_new(&key);
        kg_pmap_set(&pool->peers, peer);
        kg_peer_record_release(peer);
    }
    peer->seen = pool->counted;
    return peer;
}

/* All addresses of one target: peers for each, endpoints unless its weight is 0. Each has the target's whole
 * weight, as in Kong. False when it has none. */
static bool add_target(const struct kg_pools *pools, struct kg_pool *pool,
                       struct kg_balancer_record *balancer, const struct kg_target_record *target)
{
    struct kg_addr numeric;
    size_t count;
    const struct kg_addr *addrs = kg_pools_addresses(pools, target, &numeric, &count);
    struct kg_endpoint endpoint = { .weight = target->weight };

    if (count == 0)
        return false;
    endpoint.host = kg_arena_copy(&balancer->arena, target->host);
    endpoint.host_header = kg_host_header(&balancer->arena, target->host, target->port, false);
    for (size_t i = 0; i < count; i++) {
        struct kg_peer_record *peer = peer_of(pool, &addrs[i], target->port);

        if (target->weight == 0 || balancer->pub.endpoint_count == KG_ENDPOINTS_MAX)
            continue;
        endpoint.addr_len = kg_sockaddr_of(&addrs[i], target->port, &endpoint.addr);
        kg_balancer_record_add(balancer, &endpoint, peer);
    }
    return true;
}

static struct kg_slice copy(struct kg_balancer_record *balancer, struct kg_slice text)
{
    return kg_arena_copy(&balancer->arena, text);
}

/* The rules' texts lie in the record, which goes before the balancer does. */
static void copy_rules(struct kg_balancer_record *balancer, const struct kg_upstream_record *upstream)
{
    struct kg_balancer *pub = &balancer->pub;
    const struct kg_endpoint *endpoints = pub->endpoints;

    *pub = upstream->rules;
    pub->endpoints = endpoints;
    pub->name = copy(balancer, pub->name);
    pub->hash_on.name = copy(balancer, pub->hash_on.name);
    pub->hash_fallback.name = copy(balancer, pub->hash_fallback.name);
    pub->cookie_path = copy(balancer, pub->cookie_path);
    pub->host_header = copy(balancer, pub->host_header);
    pub->probe.path = copy(balancer, pub->probe.path);
    pub->probe.sni = copy(balancer, pub->probe.sni);
    pub->probe.headers = copy(balancer, pub->probe.headers);
    if (pub->algorithm == KG_CONSISTENT_HASHING)
        pub->ring_len = upstream->slots;
}

static struct kg_balancer_record *build(const struct kg_pools *pools,
                                        const struct kg_upstream_record *upstream)
{
    struct kg_pool *pool = upstream->pool;
    struct kg_balancer_record *balancer;
    struct kg_addr numeric;
    size_t room = 0, count, lost = 0;

    for (size_t i = 0; i < pool->target_count; i++) {
        kg_pools_addresses(pools, pool->targets[i], &numeric, &count);
        room += count;
    }
    balancer = kg_balancer_record_new(room < KG_ENDPOINTS_MAX ? room : KG_ENDPOINTS_MAX);
    copy_rules(balancer, upstream);
    pool->counted++;
    for (size_t i = 0; i < pool->target_count; i++)
        lost += !add_target(pools, pool, balancer, pool->targets[i]) && pool->targets[i]->weight > 0;
    balancer->pub.unresolved = balancer->pub.endpoint_count == 0 && lost > 0;
    return balancer;
}

static void drop_unseen(void *ctx, void *value)
{
    struct kg_pool *pool = ctx;
    const struct kg_peer_record *peer = value;

    if (peer->seen != pool->counted)
        kg_pmap_del(&pool->peers, &peer->key);
}

static void set_healthy(void *ctx, void *value)
{
    struct kg_peer *peer = &((struct kg_peer_record *)value)->pub;

    atomic_store_explicit(&peer->unhealthy, false, memory_order_relaxed);
}

bool kg_upstream_is_checked(const struct kg_upstream_record *upstream)
{
    const struct kg_balancer *rules = &upstream->rules;

    return rules->probe.healthy_interval_ms > 0 || rules->probe.unhealthy_interval_ms > 0 ||
           rules->passive.successes > 0 || rules->passive.http_failures > 0 ||
           rules->passive.tcp_failures > 0 || rules->passive.timeouts > 0;
}

static void refresh(struct kg_pools *pools, struct kg_upstream_record *upstream)
{
    struct kg_pool *pool = upstream->pool;
    bool checked = kg_upstream_is_checked(upstream);

    if (pool->plain && !pool->stale && pool->names_version == pools->names_version)
        return;
    if (kg_balancer_record_replace(&pool->plain, build(pools, upstream))) {
        kg_balancer_record_release(pool->https);
        pool->https = NULL;
    }
    struct kg_pmap walked = kg_pmap_share(&pool->peers);
    kg_pmap_each(&walked, drop_unseen, pool);
    kg_pmap_free(&walked);
    /* What nobody looks at any more would stay unhealthy for ever. */
    if (pool->checked && !checked)
        kg_pmap_each(&pool->peers, set_healthy, NULL);
    pool->checked = checked;
    pool->names_version = pools->names_version;
    pool->stale = false;
}

struct kg_balancer_record *kg_pools_balancer(struct kg_pools *pools, struct kg_upstream_record *upstream,
                                             bool https)
{
    struct kg_pool *pool = upstream->pool;

    refresh(pools, upstream);
    if (https && !pool->https)
        pool->https = kg_balancer_record_https(pool->plain);
    return https ? pool->https : pool->plain;
}

struct kg_peer *kg_pools_peer(struct kg_pools *pools, const struct kg_target_record *target,
                              const struct kg_addr *addr)
{
    struct kg_upstream_record *upstream = kg_pmap_find(&pools->upstreams, target->upstream_id);
    struct kg_peer_key key = key_of(addr, target->port);

    KG_ASSERT(upstream != NULL);
    refresh(pools, upstream);
    struct kg_peer_record *peer = kg_pmap_find(&upstream->pool->peers, &key);
    return peer ? &peer->pub : NULL;
}

struct kg_upstream_record *kg_pools_find(const struct kg_pools *pools, const char *lower_name)
{
    return kg_pmap_find(&pools->by_name, lower_name);
}

/* ---- taking in and giving up ---- */

/* Unless another one has the name by now: in one change names may pass from one to the next. */
static void forget_name(struct kg_pools *pools, const struct kg_upstream_record *upstream)
{
    if (kg_pmap_find(&pools->by_name, upstream->lower_name.ptr) == upstream)
        kg_pmap_del(&pools->by_name, upstream->lower_name.ptr);
}

static void put_upstream(struct kg_pools *pools, struct kg_upstream_record *upstream)
{
    struct kg_upstream_record *old = kg_pmap_find(&pools->upstreams, upstream->record.id);

    if (old) {
        upstream->record.order = old->record.order;
        upstream->pool = old->pool;
        forget_name(pools, old);
    } else {
        upstream->pool = kg_calloc(1, sizeof(*upstream->pool));
        upstream->pool->peers = kg_pmap_of(&kg_peers_by_key);
    }
    upstream->pool->stale = true;
    kg_pmap_set(&pools->upstreams, upstream);
    kg_pmap_set(&pools->by_name, upstream);
}

static void add_to_pool(struct kg_pool *pool, struct kg_target_record *target)
{
    if (pool->target_count == pool->target_room) {
        pool->target_room = pool->target_room ? pool->target_room * 2 : 8;
        pool->targets = kg_realloc(pool->targets, pool->target_room, sizeof(struct kg_target_record *));
    }
    pool->targets[pool->target_count++] = target;
    pool->stale = true;
}

static size_t place_in_pool(const struct kg_pool *pool, const struct kg_target_record *target)
{
    size_t at = 0;

    while (pool->targets[at] != target) {
        at++;
        KG_ASSERT(at < pool->target_count);
    }
    return at;
}

static struct kg_pool *pool_of(const struct kg_pools *pools, const struct kg_target_record *target)
{
    struct kg_upstream_record *upstream = kg_pmap_find(&pools->upstreams, target->upstream_id);

    KG_ASSERT(upstream != NULL);
    return upstream->pool;
}

static void take_out(struct kg_pools *pools, struct kg_target_record *target)
{
    struct kg_pool *pool = pool_of(pools, target);
    size_t at = place_in_pool(pool, target);

    pool->target_count--;
    memmove(pool->targets + at, pool->targets + at + 1,
            (pool->target_count - at) * sizeof(struct kg_target_record *));
    pool->stale = true;
    kg_names_drop(pools->names, target->host, KG_NAMED_BY_TARGET);
    kg_pmap_del(&pools->targets, target->record.id);
}

static void put_target(struct kg_pools *pools, struct kg_target_record *target)
{
    struct kg_target_record *old = kg_pmap_find(&pools->targets, target->record.id);
    struct kg_pool *pool = pool_of(pools, target);

    /* The new one first, so that a name that both have is not forgotten in between. */
    kg_names_use(pools->names, target->host, KG_NAMED_BY_TARGET);
    if (old && pool_of(pools, old) == pool) {
        target->record.order = old->record.order;
        pool->targets[place_in_pool(pool, old)] = target;
        pool->stale = true;
        kg_names_drop(pools->names, old->host, KG_NAMED_BY_TARGET);
    } else {
        if (old)
            take_out(pools, old);
        add_to_pool(pool, target);
    }
    kg_pmap_set(&pools->targets, target);
}

void kg_pools_put(struct kg_pools *pools, struct kg_record *record)
{
    if (record->entity == KG_UPSTREAMS) {
        put_upstream(pools, (struct kg_upstream_record *)record);
        return;
    }
    KG_ASSERT(record->entity == KG_TARGETS);
    put_target(pools, (struct kg_target_record *)record);
}

static void free_pool(struct kg_pool *pool)
{
    kg_balancer_record_release(pool->https);
    kg_balancer_record_release(pool->plain);
    kg_pmap_free(&pool->peers);
    free(pool->targets);
    free(pool);
}

static void remove_upstream(struct kg_pools *pools, struct kg_upstream_record *upstream)
{
    struct kg_pool *pool = upstream->pool;

    while (pool->target_count > 0)
        take_out(pools, pool->targets[pool->target_count - 1]);
    free_pool(pool);
    forget_name(pools, upstream);
    kg_pmap_del(&pools->upstreams, upstream->record.id);
}

void kg_pools_remove(struct kg_pools *pools, enum kg_entity_id entity, const char *id)
{
    if (entity == KG_UPSTREAMS) {
        struct kg_upstream_record *upstream = kg_pmap_find(&pools->upstreams, id);

        if (upstream)
            remove_upstream(pools, upstream);
        return;
    }
    struct kg_target_record *target = kg_pmap_find(&pools->targets, id);
    if (target)
        take_out(pools, target);
}

static void free_pool_of(void *ctx, void *value)
{
    free_pool(((struct kg_upstream_record *)value)->pool);
}

void kg_pools_free(struct kg_pools *pools)
{
    kg_pmap_each(&pools->upstreams, free_pool_of, NULL);
    kg_pmap_free(&pools->targets);
    kg_pmap_free(&pools->by_name);
    kg_pmap_free(&pools->upstreams);
}
