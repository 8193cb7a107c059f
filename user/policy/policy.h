/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Policies: each plugin's check on a request, one file a plugin. Worker threads; no I/O, no lock, no
 * allocation. A policy reads the request, may set who the consumer is, may take headers or query arguments
 * away, and either lets the request pass or answers it.
 */
#ifndef KG_POLICY_POLICY_H
#define KG_POLICY_POLICY_H

#include "http/uri.h"
#include "model/snapshot.h"
#include "model/usage.h"

/* Computes HMACs under the index key; one for each worker, made by kg_key_hasher_new. */
struct kg_key_hasher;
struct kg_key_hasher *kg_key_hasher_new(const uint8_t index_key[32]);
void kg_key_hasher_free(struct kg_key_hasher *hasher);
void kg_key_hasher_mac(struct kg_key_hasher *hasher, struct kg_slice key, uint8_t mac[32]);

/* The request as policies see and change it. Lives as long as one pass over the plugins. */
struct kg_policy_request {
    /* In. */
    const struct kg_snapshot *snapshot;
    struct kg_key_hasher *hasher;
    struct kg_head *head; /* a policy hides a header by setting its `hop` */
    const struct kg_target *target;
    int64_t now_wall;
    bool https; /* how the client came, as far as it is believed */
    /* In and out: the query to send upstream; a policy that takes an argument away rewrites it into
     * `scratch`. */
    struct kg_slice query;
    bool has_query;
    struct kg_writer *scratch;
    /* Out. */
    const struct kg_consumer *consumer;     /* NULL until authenticated */
    const struct kg_credential *credential; /* NULL for nobody */
    /* Out, when it answers. */
    const struct kg_plugin_use *answered; /* which instance did */
    unsigned status;
    struct kg_slice message;          /* static text */
    struct kg_slice www_authenticate; /* value for WWW-Authenticate, or empty */
    bool has_signal;
    enum kg_signal_kind signal;
};

/* A plugin's type as the model knows it, and its check. */
struct kg_policy {
    struct kg_plugin_type type; /* first: a kg_plugin_type pointer is a kg_policy pointer */
    /* True: go on. False: answer with request->status and message. */
    bool (*access)(const void *config, struct kg_policy_request *request);
    /* Whether what a header or a query argument of this name holds is a secret, which nobody is shown. */
    bool (*is_secret)(const void *config, struct kg_slice name);
};

extern const struct kg_policy kg_policy_key_auth;

/* Tells the model about every policy; once at start. */
void kg_policies_register(void);

/* Whether some plugin of the route looks for a secret in a header or a query argument of this name. */
bool kg_policies_keep_secret(const struct kg_route *route, struct kg_slice name);

/* Whether a plugin of a route looks at requests that came over https, or not over it. */
static inline bool kg_plugin_use_applies(const struct kg_plugin_use *use, bool https)
{
    return !(https ? use->not_https : use->not_http);
}

/* Runs a route's plugins in order: true to go on, false to answer. */
bool kg_policies_run(const struct kg_route *route, struct kg_policy_request *request);

#endif
