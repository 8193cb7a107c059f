/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a worker would make of a request, without a worker: the request goes through the very functions that
 * decide about real ones, and nothing of it is sent, counted or told to the guard. Control thread.
 */
#ifndef KG_PROXY_REHEARSE_H
#define KG_PROXY_REHEARSE_H

#include "policy/policy.h"
#include "proxy/worker.h"

struct kg_rehearsal;

/* config outlives it. Frees all that the last result points to. */
struct kg_rehearsal *kg_rehearsal_new(const struct kg_proxy_config *config);
void kg_rehearsal_free(struct kg_rehearsal *rehearsal);

/* The request, and the connection that it comes by. */
struct kg_rehearsed_request {
    struct kg_slice head; /* as the client sends it, all of it */
    struct kg_slice body; /* decoded; empty: none is known */
    bool too_long;        /* …but for what was too much of it to be kept */
    struct kg_addr peer;
    uint16_t port; /* of ours */
    bool tls;
    struct kg_slice sni; /* lower case; empty: none */
    /* Whether a source (kg_addr_source form) is banned. */
    bool (*is_banned)(void *ctx, const struct kg_addr *source);
    void *ctx;
};

struct kg_rehearsed {
    bool dropped;                         /* no request is read: the peer is banned; nothing below is known */
    unsigned status;                      /* that we answer ourselves; 0: it goes to the upstream */
    bool understood;                      /* the head can be read; else only status and message are known */
    struct kg_slice message, detail;      /* detail: Location of a redirection, else WWW-Authenticate */
    bool trusted;                         /* the peer is a trusted proxy */
    bool https;                           /* how the client came, as far as it is believed */
    struct kg_addr address;               /* the client's, likewise */
    bool routed;                          /* it came as far as the router: */
    struct kg_route_query query;          /* what that was asked */
    const struct kg_route *route;         /* NULL: none */
    size_t prefix_len;                    /* of query.path, what the route's path matched */
    bool checked;                         /* its plugins ran: */
    const struct kg_plugin_use *answered; /* the one that answered, or NULL */
    const struct kg_policy_turns *turns;  /* all that had their turn; NULL: nothing is known */
    uint64_t max_body;                    /* of the request, as they limit it; 0: not at all */
    struct kg_slice answer_lines;         /* header lines that they add to whatever answer there is */
    struct kg_slice body_type;            /* of an answer that is a body of their own; else empty */
    struct kg_principal principal;
    const struct kg_endpoint *endpoint; /* one that it may go to; NULL: none */
    bool hashed;                        /* …and by its hash to no other while this one is healthy */
    struct kg_slice upstream_head;      /* what would be sent to it; empty: nothing */
};

/* Rehearses one request under this snapshot, which must live as long as the result is used; the result lives
 * until the rehearsal is freed. Once for each rehearsal. */
void kg_rehearse(struct kg_rehearsal *rehearsal, struct kg_snapshot *snapshot,
                 const struct kg_rehearsed_request *request, struct kg_rehearsed *result);

#endif
