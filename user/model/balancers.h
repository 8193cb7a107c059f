/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Balancers and peers as the model keeps them: counted, so that snapshots share those that did not change and
 * a peer lives as long as a balancer that names it. Control thread only, but for what lies inside `pub`.
 */
#ifndef KG_MODEL_BALANCERS_H
#define KG_MODEL_BALANCERS_H

#include "base/addr.h"
#include "base/pmap.h"
#include "model/arena.h"
#include "model/balancer.h"

/* The most endpoints that a balancer has: their index has 16 bits. */
#define KG_ENDPOINTS_MAX 65535

/* One address of one upstream. */
struct kg_peer_key {
    struct kg_addr addr;
    uint16_t port;
};

struct kg_peer_record {
    struct kg_peer pub;
    uint32_t refs;
    uint64_t seen; /* the pool's last count of its addresses that this one was in */
    struct kg_peer_key key;
};

extern const struct kg_pmap_type kg_peers_by_key;

/* With one reference, the caller's, and a number of its own. */
struct kg_peer_record *kg_peer_record_new(const struct kg_peer_key *key);
void kg_peer_record_release(struct kg_peer_record *peer);

struct kg_balancer_record {
    struct kg_balancer pub;
    uint32_t refs;
    struct kg_arena arena;
    struct kg_endpoint *endpoints;   /* pub.endpoints, while it is built */
    struct kg_peer_record **peers;   /* of the endpoints: one reference each */
    struct kg_balancer_record *base; /* whose texts, peers and ring this one shares, or NULL */
};

/* An empty one with room for so many endpoints and one reference, the caller's. */
struct kg_balancer_record *kg_balancer_record_new(size_t room);
struct kg_balancer_record *kg_balancer_record_hold(struct kg_balancer_record *balancer);
void kg_balancer_record_release(struct kg_balancer_record *balancer);

/* Adds an endpoint; texts are the arena's or live as long. peer may be NULL. There must be room. */
void kg_balancer_record_add(struct kg_balancer_record *balancer, const struct kg_endpoint *endpoint,
                            struct kg_peer_record *peer);

/* Once all is added: `fresh` takes the place of *current, which may be NULL, and gets a number and its ring;
 * but when the two say the same, *current stays. Takes over the caller's reference. True when it was new. */
bool kg_balancer_record_replace(struct kg_balancer_record **current, struct kg_balancer_record *fresh);

/* The same balancer for services that speak https: port 443 is left out of Host, not 80. */
struct kg_balancer_record *kg_balancer_record_https(struct kg_balancer_record *plain);

/* RFC 9110, 7.2: host[:port] into the arena; the port that goes without saying is left out, a bare IPv6
 * address gets its brackets. */
struct kg_slice kg_host_header(struct kg_arena *arena, struct kg_slice host, uint16_t port, bool https);

#endif
