/* SPDX-License-Identifier: BSD-2-Clause */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world world;

/* Hosts of different lengths: what a further try writes over the first one's is longer, or shorter. */
const struct world_target world_targets[WORLD_TARGETS] = {
    { "127.0.0.1:9001", "127.0.0.1:9001", 9001 },
    { "127.0.100.200:19002", "127.0.100.200:19002", 19002 },
    { "127.0.0.3:80", "127.0.0.3", 80 },
};

size_t world_piece(size_t most)
{
    if (most > 1 && rnd_chance(&sim.rnd, 30))
        return rnd_between(&sim.rnd, 1, (uint32_t)(most < 30 ? most : 30));
    return most;
}

void world_begin(bool rough)
{
    world.rough = rough;
    world.chatter = rough && stray_is_told(&sim.faults) ? rnd_below(&sim.rnd, 30) : 0;
    world.upstream_count = 0;
    memset(world.tries, 0, sizeof(world.tries));
    memset(world.answers, 0, sizeof(world.answers));
    memset(world.bodies, 0, sizeof(world.bodies));
    memset(world.failed_at, 0, sizeof(world.failed_at));
    world.dead_port = rnd_chance(&sim.rnd, 30) ? world_targets[rnd_below(&sim.rnd, WORLD_TARGETS)].port : 0;
    world.dead_hangs = rnd_chance(&sim.rnd, 30);
    world.client_count = rnd_between(&sim.rnd, 1, WORLD_CLIENTS);
    for (unsigned i = 0; i < world.client_count; i++)
        client_begin(&world.clients[i], i);
}

void world_end(void)
{
    for (unsigned i = 0; i < world.client_count; i++) {
        text_free(&world.clients[i].out);
        text_free(&world.clients[i].intro);
    }
    for (unsigned i = 0; i < world.upstream_count; i++) {
        struct upstream *upstream = world.upstreams[i];

        if (!upstream->finished && !wire_peer_closed(upstream->wire))
            sim_fail("a connection to the service stays open");
        text_free(&upstream->out);
        free(upstream);
    }
}

static bool is_served(uint16_t port)
{
    for (unsigned i = 0; i < WORLD_TARGETS; i++) {
        if (world_targets[i].port == port)
            return true;
    }
    return port == WORLD_SERVICE;
}

int world_refuses(uint16_t port)
{
    if (world.dead_port == 0 || port != world.dead_port)
        return 0;
    return world.dead_hangs ? 1 : -ECONNREFUSED;
}

bool world_trusts(const char *addr)
{
    unsigned last;

    if (world.trust == TRUST_NOBODY || sscanf(addr, "10.0.0.%u", &last) != 1)
        return false;
    return world.trust == TRUST_ALL || last < 4;
}

void world_connected(struct sim_sock *far, uint16_t port)
{
    struct upstream *upstream = calloc(1, sizeof(*upstream));

    if (!upstream || world.upstream_count == WORLD_UPSTREAMS)
        sim_fail("too many connections to the service");
    if (!is_served(port))
        sim_fail("a connection to port %u", port);
    sim_trace("service: a connection to port %u", port);
    upstream->wire = world.tls_service ? wire_server(far) : wire_plain(far);
    upstream->port = port;
    message_begin(&upstream->in, false, false);
    world.upstreams[world.upstream_count++] = upstream;
}

bool world_is_over(void)
{
    for (unsigned i = 0; i < world.client_count; i++) {
        if (!world.clients[i].finished)
            return false;
    }
    return true;
}

bool world_step(void)
{
    bool moved = wire_step();

    for (unsigned i = 0; i < world.client_count; i++)
        moved |= client_step(&world.clients[i]);
    for (unsigned i = 0; i < world.upstream_count; i++)
        moved |= upstream_step(world.upstreams[i]);
    return moved;
}

uint64_t world_wake_ns(void)
{
    uint64_t wake = UINT64_MAX;

    for (unsigned i = 0; i < world.client_count; i++) {
        const struct client *client = &world.clients[i];

        if (!client->finished && client->wake_ns > sim.now_ns && client->wake_ns < wake)
            wake = client->wake_ns;
    }
    for (unsigned i = 0; i < world.upstream_count; i++) {
        const struct upstream *upstream = world.upstreams[i];

        if (!upstream->finished && upstream->wake_ns > sim.now_ns && upstream->wake_ns < wake)
            wake = upstream->wake_ns;
    }
    return wake;
}

void world_dump(void)
{
    for (unsigned i = 0; i < world.client_count; i++) {
        const struct client *client = &world.clients[i];

        fprintf(stderr, "client %u: %s, answered %u of %u, sent %zu of %zu (%zu), ending %d%s%s\n", i,
                client->finished ? "gone"
                : client->sock   ? "there"
                                 : "to come",
                client->answered, client->count, client->sent, client->stop, client->out.len, client->ending,
                client->ended    ? ", ended"
                : client->tunnel ? ", in a tunnel"
                                 : "",
                client->deaf ? ", deaf" : "");
    }
    for (unsigned i = 0; i < world.upstream_count; i++) {
        const struct upstream *upstream = world.upstreams[i];

        if (!upstream->finished)
            fprintf(stderr, "service: request %u,%s%s%s sent %zu of %zu\n", upstream->plan.tag,
                    upstream->known ? " known" : "", upstream->asked ? " asked" : "",
                    upstream->served ? " served" : "", upstream->sent, upstream->stop);
    }
}
