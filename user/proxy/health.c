/* SPDX-License-Identifier: BSD-2-Clause */
#include "proxy/health.h"

/* Most of the time it is 0 already, and a line that is only read is shared by all workers. */
static void clear(_Atomic uint32_t *counter)
{
    if (atomic_load_explicit(counter, memory_order_relaxed) != 0)
        atomic_store_explicit(counter, 0, memory_order_relaxed);
}

static bool is_unhealthy(struct kg_peer *peer)
{
    return atomic_load_explicit(&peer->unhealthy, memory_order_relaxed);
}

/* A side that checks nothing says nothing: else the traffic's good answers would outweigh the bad ones of a
 * probed path. */
static bool is_off(const struct kg_health_rules *rules)
{
    return (rules->successes | rules->http_failures | rules->tcp_failures | rules->timeouts) == 0;
}

/* Counts towards a limit that is on: true when it is reached. */
static bool reaches(_Atomic uint32_t *counter, uint32_t limit)
{
    return atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) + 1 >= limit;
}

void kg_health_succeeded(const struct kg_health_rules *rules, struct kg_peer *peer)
{
    if (!peer || is_off(rules))
        return;
    clear(&peer->http_failures);
    clear(&peer->tcp_failures);
    clear(&peer->timeouts);
    if (rules->successes == 0 || !is_unhealthy(peer) || !reaches(&peer->successes, rules->successes))
        return;
    clear(&peer->successes);
    atomic_store_explicit(&peer->unhealthy, false, memory_order_relaxed);
}

void kg_health_failed(const struct kg_health_rules *rules, struct kg_peer *peer, enum kg_failure failure)
{
    if (!peer || is_off(rules))
        return;
    struct {
        _Atomic uint32_t *counter;
        uint32_t limit;
    } kinds[] = {
        [KG_FAILED_HTTP] = { &peer->http_failures, rules->http_failures },
        [KG_FAILED_TCP] = { &peer->tcp_failures, rules->tcp_failures },
        [KG_FAILED_TIMEOUT] = { &peer->timeouts, rules->timeouts },
    };

    clear(&peer->successes);
    if (kinds[failure].limit == 0 || is_unhealthy(peer) ||
        !reaches(kinds[failure].counter, kinds[failure].limit))
        return;
    atomic_store_explicit(&peer->unhealthy, true, memory_order_relaxed);
}

void kg_health_answered(const struct kg_health_rules *rules, struct kg_peer *peer, unsigned status)
{
    if (rules->tcp_only || kg_status_in(rules->healthy_statuses, status))
        kg_health_succeeded(rules, peer);
    else if (kg_status_in(rules->unhealthy_statuses, status))
        kg_health_failed(rules, peer, KG_FAILED_HTTP);
}
