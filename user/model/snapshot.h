/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What workers read: an immutable picture of routes, plugins, consumers and keys. Built on the control thread
 * from a kg_model, published with one pointer store, adopted by each worker at its next loop turn, freed when
 * the last request that began under it has ended. It shares with its predecessor all that did not change.
 */
#ifndef KG_MODEL_SNAPSHOT_H
#define KG_MODEL_SNAPSHOT_H

#include "base/uuid.h"
#include "http/head.h"
#include "model/schema.h"

#include <netinet/in.h>
#include <stdatomic.h>

#define KG_WORKERS_MAX 64

/* An upstream address as far as known. Immutable inside a snapshot. */
struct kg_endpoint {
    const char *host; /* as in service.host; NUL-terminated */
    uint16_t port;
    bool resolved; /* addr holds; false: "name resolution failed" */
    struct sockaddr_storage addr;
    socklen_t addr_len;
};

struct kg_service {
    char id[KG_UUID_TEXT];
    struct kg_slice name;        /* may be empty */
    struct kg_slice path;        /* service.path, or "/" */
    struct kg_slice host_header; /* host[:port] for the upstream's Host header when preserve_host is false */
    struct kg_endpoint endpoint;
    uint32_t connect_timeout_ms, write_timeout_ms, read_timeout_ms;
};

/* One plugin instance that applies to a route, compiled. */
struct kg_plugin_use {
    const struct kg_plugin_type *type;
    const void *config; /* what type->compile made */
    char id[KG_UUID_TEXT];
};

struct kg_route {
    char id[KG_UUID_TEXT];
    struct kg_slice name;             /* may be empty */
    const struct kg_service *service; /* NULL: 503 "no Service found with those values" */
    bool strip_path, preserve_host;
    bool https_only;                /* what comes over http is answered 426, or redirected */
    unsigned https_redirect_status; /* 426, or 301, 302, 307, 308 */
    /* Effective plugins, one for each name, the most specific scope winning, highest priority first. */
    const struct kg_plugin_use *plugins;
    size_t plugin_count;
};

struct kg_consumer {
    char id[KG_UUID_TEXT];
    struct kg_slice username, custom_id; /* either may be empty */
    uint32_t slot;                       /* into consumer_stats */
};

struct kg_credential {
    char id[KG_UUID_TEXT];
    struct kg_slice name; /* reserved for named credentials; empty */
    const struct kg_consumer *consumer;
    uint8_t mac[32];      /* HMAC-SHA-256 of the key under the store's index key */
    int64_t expires_wall; /* seconds since 1970; 0 = never */
};

struct kg_regex_scratch; /* regex.h */

struct kg_snapshot; /* opaque; see the functions */

/* What a request shows the router. path is normalised (kg_path_normalize), host has neither port nor trailing
 * dot. */
struct kg_route_query {
    struct kg_slice method, host, path;
    uint16_t host_port;             /* port named in Host; 0 = none */
    const struct kg_head *head;     /* its headers; NULL: none */
    struct kg_regex_scratch *regex; /* the worker's own; NULL: routes that need a regex do not match */
};

struct kg_match {
    const struct kg_route *route;
    size_t prefix_len; /* bytes of path that the route's path matched; 0 for a route without paths */
};

/* The winning route (router.h has the rules) or false. Worker threads; no
 * allocation. */
bool kg_snapshot_route(const struct kg_snapshot *snapshot, const struct kg_route_query *query,
                       struct kg_match *match);

/* The credential with this MAC or NULL; does not look at its expiry. Cost does not depend on hit or miss.
 * Worker threads. */
const struct kg_credential *kg_snapshot_credential(const struct kg_snapshot *snapshot, const uint8_t mac[32]);

/*
 * Lifetime. A worker holds a snapshot for each running request; the counts are per worker, so that no cache
 * line is shared. hold/release: worker `w` only, and hold only on the snapshot the worker has adopted last.
 */
void kg_snapshot_hold(struct kg_snapshot *snapshot, unsigned worker);
void kg_snapshot_release(struct kg_snapshot *snapshot, unsigned worker);
/* Control thread: no request of any worker holds it. Meaningful only after every worker has adopted a newer
 * one. */
bool kg_snapshot_idle(const struct kg_snapshot *snapshot);
/* Control thread: drops it and all that no later snapshot shares. */
void kg_snapshot_free(struct kg_snapshot *snapshot);

#endif
