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
#include "io/tls.h"
#include "model/balancer.h"
#include "model/schema.h"

#include <netinet/in.h>
#include <stdatomic.h>

#define KG_WORKERS_MAX 64

/* How a service's connections are secured; only for protocol https. */
struct kg_service_tls {
    bool verify;
    int verify_depth;                       /* -1: OpenSSL's own */
    X509_STORE *store;                      /* NULL: the one that the settings name, or the system's */
    const struct kg_tls_identity *identity; /* client_certificate; may be NULL */
    /* Differs when anything above does: connections are shared only between equals. Never 0. */
    uint64_t number;
};

struct kg_service {
    char id[KG_UUID_TEXT];
    struct kg_slice name; /* may be empty */
    struct kg_slice path; /* service.path, or "/" */
    const struct kg_balancer *balancer;
    const struct kg_service_tls *tls; /* NULL: plain */
    uint32_t connect_timeout_ms, write_timeout_ms, read_timeout_ms;
    uint32_t retries; /* further tries after the first */
};

/* One plugin instance that applies to a route, compiled. */
struct kg_plugin_use {
    const struct kg_plugin_type *type;
    const void *config;       /* what type->compile made */
    int priority;             /* the higher runs first */
    unsigned rank;            /* of its scope: of two of one type and priority the higher runs */
    bool not_http, not_https; /* its protocols leave this one out */
    char id[KG_UUID_TEXT];
};

/* Negative when `a` runs before `b`; 0 when they are of one type and only one of them runs. */
static inline int kg_plugin_use_order(const struct kg_plugin_use *a, const struct kg_plugin_use *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    return strcmp(a->type->name, b->type->name);
}

/* One that is for a consumer's requests alone. */
struct kg_scoped_use {
    struct kg_plugin_use use;
    char route_id[KG_UUID_TEXT], service_id[KG_UUID_TEXT]; /* empty: any */
};

/* All that are for one consumer, in the order in which they run; of one type the higher rank first. */
struct kg_consumer_plugins {
    char consumer_id[KG_UUID_TEXT];
    const struct kg_scoped_use *uses;
    size_t count;
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

/* What a request asks for stands in front, in as few cache lines as it can. */
struct kg_credential {
    uint8_t mac[32];      /* HMAC-SHA-256 of the key under the store's index key */
    int64_t expires_wall; /* seconds since 1970; 0 = never */
    const struct kg_consumer *consumer;
    struct kg_slice name; /* empty: it has none */
    char id[KG_UUID_TEXT];
};

/* The groups that a consumer is in: at least one, in the order of their bytes. */
struct kg_consumer_groups {
    const struct kg_slice *names;
    size_t count;
    struct kg_slice list; /* all of them, as the value of a header: "a, b" */
};

struct kg_jwt_algorithm; /* jwt_algorithm.h */

/* What a consumer's JWTs are signed with. */
struct kg_jwt_key {
    char id[KG_UUID_TEXT];
    struct kg_slice key; /* that its tokens name; no secret */
    const struct kg_consumer *consumer;
    const struct kg_jwt_algorithm *algorithm;
    struct kg_slice secret, decoded; /* decoded: from base64; empty when it is none */
    /* For algorithms without a secret; NULL: there is none that suits. Read by all threads at once. */
    EVP_PKEY *public_key;
};

struct kg_regex_scratch; /* regex.h */

struct kg_snapshot; /* opaque; see the functions */

/* What a request shows the router. path is normalised (kg_path_normalize), host has neither port nor trailing
 * dot. */
struct kg_route_query {
    struct kg_slice method, host, path;
    struct kg_slice sni;            /* server name of the TLS handshake, lower case; empty: plain, or none */
    bool tls;                       /* the connection is TLS; else a route's snis are not looked at */
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

/* The JWT credential with this key or NULL. Worker threads. */
const struct kg_jwt_key *kg_snapshot_jwt_key(const struct kg_snapshot *snapshot, struct kg_slice key);

/* The consumer with this id or, else, this username; NULL when there is none. Worker threads. */
const struct kg_consumer *kg_snapshot_consumer(const struct kg_snapshot *snapshot, struct kg_slice name);

/* The plugins that are for this consumer, or NULL. Worker threads. */
const struct kg_consumer_plugins *kg_snapshot_consumer_plugins(const struct kg_snapshot *snapshot,
                                                               const struct kg_consumer *consumer);

/* The groups of this consumer; NULL: it is in none. Worker threads. */
const struct kg_consumer_groups *kg_snapshot_groups(const struct kg_snapshot *snapshot,
                                                    const struct kg_consumer *consumer);

/*
 * The certificate for a server name (lower case; may be empty): the SNI entity that is equal to it, else the
 * longest "*.suffix", else the longest "prefix.*", else the one named "*"; NULL when there is none. Worker
 * threads.
 */
const struct kg_tls_identity *kg_snapshot_certificate(const struct kg_snapshot *snapshot,
                                                      struct kg_slice name);

/* All balancers with an upstream behind them, for the prober. Control thread. */
void kg_snapshot_each_balancer(const struct kg_snapshot *snapshot,
                               void (*visit)(void *ctx, const struct kg_balancer *balancer), void *ctx);

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
