/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a service's requests may go: the addresses behind its host, or the targets of the upstream that its
 * host names, with the rule of choice. Immutable inside a snapshot, but for what lies in kg_peer.
 */
#ifndef KG_MODEL_BALANCER_H
#define KG_MODEL_BALANCER_H

#include "base/slice.h"
#include "base/uuid.h"

#include <netinet/in.h>
#include <stdatomic.h>

/*
 * What workers and the prober know of one address of one upstream. It outlives snapshots: the same address of
 * the same upstream keeps its peer while it is there. Written by many threads, relaxed.
 */
struct kg_peer {
    uint64_t number;           /* never given twice while the daemon runs */
    _Atomic bool unhealthy;    /* takes no requests while another one can */
    _Atomic uint32_t requests; /* on their way, of all workers: for least-connections */
    /* In a row, as Kong's checker counts them: a success sets all failures to 0, a failure the successes. */
    _Atomic uint32_t successes, http_failures, tcp_failures, timeouts;
    bool told_unhealthy; /* what has been told of it; control thread alone */
};

struct kg_endpoint {
    struct sockaddr_storage addr;
    socklen_t addr_len;
    struct kg_slice host;        /* as the service or target names it, without port; NUL-terminated */
    struct kg_slice host_header; /* host[:port] for the Host header, RFC 9110, 7.2 */
    uint32_t weight;             /* at least 1 */
    struct kg_peer *peer;        /* NULL for a service's own host: nobody checks it */
};

/* What a handshake calls it: its host, of IPv6 without brackets. */
static inline struct kg_slice kg_endpoint_name(const struct kg_endpoint *endpoint)
{
    struct kg_slice host = endpoint->host;

    return host.len > 2 && host.ptr[0] == '[' ? kg_slice_of(host.ptr + 1, host.len - 2) : host;
}

enum kg_algorithm { KG_ROUND_ROBIN, KG_LEAST_CONNECTIONS, KG_CONSISTENT_HASHING };

enum kg_hash_kind {
    KG_HASH_NONE,
    KG_HASH_CONSUMER, /* consumer, else credential; without either the next rule */
    KG_HASH_IP,       /* the client's address, as trusted proxies tell it */
    KG_HASH_HEADER,
    KG_HASH_COOKIE, /* a client without it is given one */
    KG_HASH_PATH,
    KG_HASH_QUERY_ARG,
};

struct kg_hash_rule {
    enum kg_hash_kind kind;
    struct kg_slice name; /* of header, cookie or query argument */
};

/* One side (active or passive) of an upstream's healthchecks; 0 = that counter is off. */
struct kg_health_rules {
    bool tcp_only; /* type tcp: HTTP statuses say nothing */
    uint32_t successes, http_failures, tcp_failures, timeouts;
    /* Bit (status - 100) of each status that counts, 100 to 999. */
    uint64_t healthy_statuses[15], unhealthy_statuses[15];
};

static inline bool kg_status_in(const uint64_t set[15], unsigned status)
{
    return status >= 100 && status < 1000 && set[(status - 100) / 64] >> (status - 100) % 64 & 1;
}

struct kg_probe {
    bool https, https_verify;
    struct kg_slice path, sni; /* sni may be empty */
    struct kg_slice headers;   /* whole lines, each with its CRLF; may be empty */
    uint32_t timeout_ms, concurrency;
    uint32_t healthy_interval_ms, unhealthy_interval_ms; /* 0 = healthy (unhealthy) ones are not probed */
};

struct kg_balancer {
    char id[KG_UUID_TEXT]; /* of the upstream; empty for a service's own host */
    struct kg_slice name;  /* of the upstream; empty likewise */
    uint64_t number;       /* of this version: another one means other endpoints or rules */
    enum kg_algorithm algorithm;
    struct kg_hash_rule hash_on, hash_fallback;
    struct kg_slice cookie_path;
    struct kg_slice host_header; /* of the upstream; empty: the endpoint's own */
    const struct kg_endpoint *endpoints;
    size_t endpoint_count; /* 0: nothing to send to */
    bool unresolved;       /* …because no host name of it has an address: "name resolution failed" */
    /* Consistent hashing: a ring of endpoint indexes; an entry may be any but each endpoint has its share. */
    const uint16_t *ring;
    size_t ring_len;
    uint32_t threshold; /* percent of the weight that must be healthy, else no endpoint is taken; 0 = off */
    struct kg_health_rules active, passive;
    struct kg_probe probe;
};

#endif
