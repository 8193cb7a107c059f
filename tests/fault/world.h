/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everybody whom the worker meets in one schedule: clients, each with a script of requests, and the service
 * behind it, one actor for each of its connections. They move one small step at a time, between the steps of
 * the simulated kernel, and check every byte that reaches them.
 */
#ifndef TESTS_FAULT_WORLD_H
#define TESTS_FAULT_WORLD_H

#include "message.h"
#include "wire.h"

#define WORLD_CLIENTS   6
#define WORLD_REQUESTS  8 /* of a client */
#define WORLD_UPSTREAMS 512
#define WORLD_TAGS      (WORLD_CLIENTS * WORLD_REQUESTS)
#define WORLD_PORT      80   /* of the worker */
#define WORLD_SERVICE   9000 /* of the service that is one */
#define WORLD_TARGETS   3    /* of each upstream */
#define WORLD_INTERIMS  32   /* that go on to a client for one request */
#define WORLD_RETRIES   5    /* as the services say; a kept connection that was dead is no try */

/* A target as an upstream names it, the port it means, and the Host it is to be called by. */
struct world_target {
    const char *target, *host;
    uint16_t port;
};

extern const struct world_target world_targets[WORLD_TARGETS];

/* Which of the clients are trusted proxies. */
enum trust { TRUST_NOBODY, TRUST_SOME, TRUST_ALL };

/* How a client leaves: after its last answer, by a FIN behind its last byte, never by itself; or before its
 * time. */
enum ending { ENDS_AFTER, ENDS_HALF, ENDS_NEVER, ENDS_MIDWAY, ENDS_HARD, ENDS_STALLED };

struct client {
    struct sim_sock *sock; /* NULL: still to come */
    struct wire *wire;     /* NULL: not yet behind the PROXY header */
    struct text intro;     /* that header */
    size_t introduced;
    uint32_t number;
    char near[64];      /* whom its connection comes from, as the gateway is to see it */
    bool trusted;       /* …and what that one says of others is believed */
    bool misintroduced; /* by a PROXY header that is none */
    struct plan plans[WORLD_REQUESTS];
    size_t starts[WORLD_REQUESTS + 1], bodies[WORLD_REQUESTS];
    unsigned count, answered, interims;
    struct text out;
    size_t sent, stop;
    enum ending ending;
    bool pipelines, slow;
    bool impatient; /* does not wait for 100 Continue */
    bool continued; /* has got it */
    bool tunnel;    /* has got 101: */
    bool heard_end, told_end;
    uint64_t passed; /* bytes that have come through it */
    bool deaf;       /* what it sends is not taken any more */
    bool broken;     /* …because of a reset */
    bool ended;      /* the worker has said that this answer was the last */
    bool stopped, finished;
    uint64_t wake_ns;
    struct message in;
};

struct upstream {
    struct wire *wire;
    struct message in;
    struct plan plan;
    bool known;  /* the head of a request is there: plan is its */
    bool asked;  /* …and its body */
    bool saying; /* out holds the answer */
    bool served; /* out is out */
    bool used;   /* has carried a request */
    bool stray;  /* has sent what nobody asked for */
    bool bodied; /* some of the body is there */
    bool hello;  /* out holds a 100 Continue only */
    bool tunnel; /* answers 101 */
    bool heard_end, told_end;
    uint64_t passed;
    bool leaving, finished;
    uint16_t port;
    uint64_t before; /* bytes it had said when the request came */
    struct text out;
    size_t sent, stop, whole; /* whole: where the answer itself ends */
    uint64_t wake_ns;
};

struct world {
    bool rough;
    bool tls_clients, tls_service;
    bool proxied; /* clients are introduced by a PROXY header */
    enum trust trust;
    uint16_t dead_port; /* nobody is there: connections are refused, or hang; 0: none */
    bool dead_hangs;
    unsigned chatter; /* percent: how often an idle connection of the service says something */
    struct client clients[WORLD_CLIENTS];
    unsigned client_count;
    struct upstream *upstreams[WORLD_UPSTREAMS];
    unsigned upstream_count;
    unsigned tries[WORLD_TAGS], answers[WORLD_TAGS]; /* of each request, as the service saw them */
    unsigned bodies[WORLD_TAGS];                     /* tries that had something of its body */
    uint16_t failed_at[WORLD_TAGS]; /* the port where a new connection failed it last; 0: none */
    /* Sums over all schedules, so that a test can prove that it has tested something. */
    uint64_t whole, own, cuts, retries, elsewhere, tunnels, too_large, continued, trailers;
};

extern struct world world;

/* A new schedule; sim.rnd and sim.faults are set. */
void world_begin(bool rough);
void world_end(void);
/* One step of everybody: whether anything moved, or could have. */
bool world_step(void);
bool world_is_over(void);
uint64_t world_wake_ns(void);
void world_connected(struct sim_sock *far, uint16_t port);
int world_refuses(uint16_t port);
bool world_trusts(const char *addr);
void world_dump(void);

void client_begin(struct client *client, uint32_t number);
bool client_step(struct client *client);
bool upstream_step(struct upstream *upstream);

/* How many bytes to try at a time. */
size_t world_piece(size_t most);

#endif
