/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which endpoint of a balancer takes a request: by turns, by load, or by a hash of something in it. Endpoints
 * that a health check has taken out, and those that failed this request before, are passed over. Worker
 * threads; what is kept between requests belongs to one worker.
 */
#ifndef KG_PROXY_BALANCE_H
#define KG_PROXY_BALANCE_H

#include "base/addr.h"
#include "base/prng.h"
#include "http/head.h"
#include "model/balancer.h"

/* Endpoints that a request remembers to have tried; with more tries than this the earliest are forgotten. */
#define KG_TRIED_MAX 16

/* One request's choice. Zeroed memory is the start of a request. */
struct kg_choice {
    const struct kg_endpoint *endpoint; /* of this try; NULL before the first */
    struct kg_peer *counted;            /* whose `requests` count this one */
    uint64_t hash;                      /* when `hashed` */
    uint64_t cookie;                    /* the client is to be given this one, as 16 hex digits; 0: none */
    bool hashed;
    uint8_t tried_next;
    uint16_t tried_count;
    uint16_t tried[KG_TRIED_MAX];
};

/*
 * Where each balancer's turn stands, by its number. The table has a fixed number of places: when more
 * balancers than that are in use, those used least lately begin their turns anew.
 */
#define KG_ROTATION_SETS 256
#define KG_ROTATION_WAYS 4

struct kg_rotation {
    uint64_t number, used; /* used: the table's clock at the last choice; 0 = a free place */
    size_t capacity;
    int64_t *current; /* one for each endpoint */
};

struct kg_rotations {
    struct kg_rotation *places;
    uint64_t clock;
    unsigned ahead; /* turns that a new rotation has behind it, so that workers do not all begin with the same
                       endpoint */
};

void kg_rotations_init(struct kg_rotations *rotations, unsigned worker);
void kg_rotations_free(struct kg_rotations *rotations);

/* What hash rules look at. */
struct kg_hash_input {
    const struct kg_head *head;
    struct kg_slice path, query;  /* path: normalised; query: as the client sent it */
    const struct kg_addr *client; /* its address */
    struct kg_slice consumer;     /* id of the consumer, else of the credential; empty: neither */
    struct kg_prng *prng;         /* for the value of a new cookie */
};

/* balance_hash.c: sets choice->hash by balancer->hash_on, else by its fallback, when the request has what
 * they name. */
void kg_balance_hash(const struct kg_balancer *balancer, const struct kg_hash_input *input,
                     struct kg_choice *choice);

/*
 * Chooses the next endpoint into choice->endpoint and, for least-connections, counts the request there
 * instead of where it was counted. An endpoint tried before is taken again only when no other one is healthy.
 * False, and no endpoint: there is none, or fewer are healthy than balancer->threshold asks for.
 */
bool kg_balance_choose(struct kg_rotations *rotations, const struct kg_balancer *balancer,
                       struct kg_choice *choice);
/* The request is no longer on its way to its endpoint. May be called more than once. */
void kg_balance_leave(struct kg_choice *choice);

#endif
