/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/balancers.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/writer.h"
#include "model/hash_ring.h"

#include <stdlib.h>

#define PORT_HTTP  80
#define PORT_HTTPS 443

/* Of balancers and of peers, each given once. */
static uint64_t last_number;

/* ---- peers ---- */

static const void *peer_key(const void *value)
{
    return &((const struct kg_peer_record *)value)->key;
}

static uint64_t hash_peer(const void *key)
{
    return kg_pmap_hash(key, sizeof(struct kg_peer_key));
}

static bool same_peer(const void *key, const void *other)
{
    const struct kg_peer_key *a = key, *b = other;

    return a->port == b->port && kg_addr_eq(&a->addr, &b->addr);
}

static void retain_peer(void *value)
{
    ((struct kg_peer_record *)value)->refs++;
}

static void release_peer(void *value)
{
    kg_peer_record_release(value);
}

const struct kg_pmap_type kg_peers_by_key = { peer_key, hash_peer, same_peer, retain_peer, release_peer };

struct kg_peer_record *kg_peer_record_new(const struct kg_peer_key *key)
{
    struct kg_peer_record *peer = kg_calloc(1, sizeof(*peer));

    peer->pub.number = ++last_number;
    peer->refs = 1;
    /* Byte for byte, the padding too: it is hashed. */
    memcpy(&peer->key, key, sizeof(*key));
    return peer;
}

void kg_peer_record_release(struct kg_peer_record *peer)
{
    KG_ASSERT(peer->refs > 0);
    if (--peer->refs == 0)
        free(peer);
}

/* ---- balancers ---- */

struct kg_balancer_record *kg_balancer_record_new(size_t room)
{
    struct kg_balancer_record *balancer = kg_calloc(1, sizeof(*balancer));

    balancer->refs = 1;
    balancer->endpoints = kg_arena_calloc(&balancer->arena, room, sizeof(*balancer->endpoints));
    balancer->peers = kg_arena_calloc(&balancer->arena, room, sizeof(struct kg_peer_record *));
    balancer->pub.endpoints = balancer->endpoints;
    return balancer;
}

struct kg_balancer_record *kg_balancer_record_hold(struct kg_balancer_record *balancer)
{
    balancer->refs++;
    return balancer;
}

void kg_balancer_record_release(struct kg_balancer_record *balancer)
{
    if (!balancer)
        return;
    KG_ASSERT(balancer->refs > 0);
    if (--balancer->refs > 0)
        return;
    for (size_t i = 0; !balancer->base && i < balancer->pub.endpoint_count; i++) {
        if (balancer->peers[i])
            kg_peer_record_release(balancer->peers[i]);
    }
    kg_balancer_record_release(balancer->base);
    kg_arena_free(&balancer->arena);
    free(balancer);
}

void kg_balancer_record_add(struct kg_balancer_record *balancer, const struct kg_endpoint *endpoint,
                            struct kg_peer_record *peer)
{
    size_t at = balancer->pub.endpoint_count++;

    KG_ASSERT(at < KG_ENDPOINTS_MAX && endpoint->weight > 0);
    balancer->endpoints[at] = *endpoint;
    balancer->endpoints[at].peer = peer ? &peer->pub : NULL;
    balancer->peers[at] = peer;
    if (peer)
        peer->refs++;
}

static bool same_rule(const struct kg_hash_rule *a, const struct kg_hash_rule *b)
{
    return a->kind == b->kind && kg_slice_eq(a->name, b->name);
}

static bool same_health(const struct kg_health_rules *a, const struct kg_health_rules *b)
{
    return a->tcp_only == b->tcp_only && a->successes == b->successes &&
           a->http_failures == b->http_failures && a->tcp_failures == b->tcp_failures &&
           a->timeouts == b->timeouts &&
           memcmp(a->healthy_statuses, b->healthy_statuses, sizeof(a->healthy_statuses)) == 0 &&
           memcmp(a->unhealthy_statuses, b->unhealthy_statuses, sizeof(a->unhealthy_statuses)) == 0;
}

static bool same_probe(const struct kg_probe *a, const struct kg_probe *b)
{
    return a->https == b->https && a->https_verify == b->https_verify && kg_slice_eq(a->path, b->path) &&
           kg_slice_eq(a->sni, b->sni) && kg_slice_eq(a->headers, b->headers) &&
           a->timeout_ms == b->timeout_ms && a->concurrency == b->concurrency &&
           a->healthy_interval_ms == b->healthy_interval_ms &&
           a->unhealthy_interval_ms == b->unhealthy_interval_ms;
}

static bool same_choice(const struct kg_balancer *a, const struct kg_balancer *b)
{
    return a->algorithm == b->algorithm && same_rule(&a->hash_on, &b->hash_on) &&
           same_rule(&a->hash_fallback, &b->hash_fallback) && kg_slice_eq(a->cookie_path, b->cookie_path) &&
           kg_slice_eq(a->host_header, b->host_header) && a->ring_len == b->ring_len;
}

/* The socket addresses are zero where nothing is set. */
static bool same_endpoint(const struct kg_endpoint *a, const struct kg_endpoint *b)
{
    return a->addr_len == b->addr_len && memcmp(&a->addr, &b->addr, a->addr_len) == 0 &&
           kg_slice_eq(a->host, b->host) && kg_slice_eq(a->host_header, b->host_header) &&
           a->weight == b->weight && a->peer == b->peer;
}

static bool same_balancer(const struct kg_balancer *a, const struct kg_balancer *b)
{
    if (!kg_slice_eq(a->name, b->name) || !same_choice(a, b) || a->endpoint_count != b->endpoint_count ||
        a->unresolved != b->unresolved)
        return false;
    if (a->threshold != b->threshold || !same_health(&a->active, &b->active) ||
        !same_health(&a->passive, &b->passive) || !same_probe(&a->probe, &b->probe))
        return false;
    for (size_t i = 0; i < a->endpoint_count; i++) {
        if (!same_endpoint(&a->endpoints[i], &b->endpoints[i]))
            return false;
    }
    return true;
}

/* Who an endpoint is on the ring: its address and the name it was found by. */
static uint64_t ring_key(const struct kg_endpoint *endpoint)
{
    return kg_pmap_hash(&endpoint->addr, endpoint->addr_len) * 31 +
           kg_pmap_hash(endpoint->host.ptr, endpoint->host.len);
}

static void make_ring(struct kg_balancer_record *balancer)
{
    struct kg_balancer *pub = &balancer->pub;
    struct kg_ring_member *members;
    uint16_t *ring;

    if (pub->ring_len == 0)
        return;
    members = kg_calloc(pub->endpoint_count, sizeof(*members));
    for (size_t i = 0; i < pub->endpoint_count; i++)
        members[i] = (struct kg_ring_member){ ring_key(&pub->endpoints[i]), pub->endpoints[i].weight };
    ring = kg_arena_calloc(&balancer->arena, pub->ring_len, sizeof(*ring));
    kg_hash_ring_fill(members, pub->endpoint_count, ring, pub->ring_len);
    pub->ring = ring;
    free(members);
}

bool kg_balancer_record_replace(struct kg_balancer_record **current, struct kg_balancer_record *fresh)
{
    if (fresh->pub.endpoint_count == 0)
        fresh->pub.ring_len = 0;
    if (*current && same_balancer(&(*current)->pub, &fresh->pub)) {
        kg_balancer_record_release(fresh);
        return false;
    }
    kg_balancer_record_release(*current);
    *current = fresh;
    fresh->pub.number = ++last_number;
    make_ring(fresh);
    return true;
}

static uint16_t port_of(const struct kg_endpoint *endpoint)
{
    if (endpoint->addr.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&endpoint->addr)->sin_port);
    return ntohs(((const struct sockaddr_in6 *)&endpoint->addr)->sin6_port);
}

struct kg_balancer_record *kg_balancer_record_https(struct kg_balancer_record *plain)
{
    size_t count = plain->pub.endpoint_count;
    struct kg_balancer_record *https = kg_balancer_record_new(count);

    https->base = kg_balancer_record_hold(plain);
    https->pub = plain->pub;
    https->pub.number = ++last_number;
    https->pub.endpoints = https->endpoints;
    for (size_t i = 0; i < count; i++) {
        struct kg_endpoint *endpoint = &https->endpoints[i];

        *endpoint = plain->endpoints[i];
        endpoint->host_header = kg_host_header(&https->arena, endpoint->host, port_of(endpoint), true);
    }
    return https;
}

struct kg_slice kg_host_header(struct kg_arena *arena, struct kg_slice host, uint16_t port, bool https)
{
    size_t cap = host.len + sizeof("[]:65535");
    struct kg_writer w = kg_writer_of(kg_arena_calloc(arena, cap, 1), cap);
    bool bare6 = kg_slice_find(host, ':') < host.len && host.ptr[0] != '[';

    if (bare6)
        kg_put_char(&w, '[');
    kg_put(&w, host);
    if (bare6)
        kg_put_char(&w, ']');
    if (port != (https ? PORT_HTTPS : PORT_HTTP)) {
        kg_put_char(&w, ':');
        kg_put_u64(&w, port);
    }
    KG_ASSERT(!w.overflow);
    return kg_writer_slice(&w);
}
