/* SPDX-License-Identifier: BSD-2-Clause */
#include "keygated/tell.h"

#include "base/clock.h"
#include "io/listen.h"

#define SAMPLE_MS 100

void kg_tell_ban(struct kg_events *events, enum kg_ban_event event, const struct kg_ban_info *info)
{
    static const char *const actions[] = { "added", "lifted", "expired" };
    char address[KG_ADDR_TEXT];

    kg_event(events, "ban",
             json_pack("{s:s,s:s,s:s,s:o,s:I,s:I}", "action", actions[event], "address",
                       kg_addr_text(&info->source, address), "reason", kg_ban_reason_name(info->reason),
                       "expires", info->expires ? json_integer(info->expires) : json_null(), "offences",
                       (json_int_t)info->offences, "drops", (json_int_t)info->drops));
}

void kg_tell_signal(struct kg_events *events, struct kg_signal_sample *sample, const struct kg_signal *signal)
{
    static const char *const kinds[] = {
        [KG_SIGNAL_WRONG_KEY] = "wrong_key",
        [KG_SIGNAL_MISSING_KEY] = "missing_key",
        [KG_SIGNAL_MALFORMED] = "malformed",
    };
    uint64_t now = kg_clock_ms();
    char source[KG_ADDR_TEXT];

    if (sample->told_ms && now < sample->told_ms + SAMPLE_MS) {
        sample->untold++;
        return;
    }
    kg_event(events, "signal",
             json_pack("{s:s,s:s,s:I}", "source", kg_addr_text(&signal->source, source), "kind",
                       kinds[signal->kind], "untold", (json_int_t)sample->untold));
    *sample = (struct kg_signal_sample){ .told_ms = now };
}

static void tell_endpoint(struct kg_events *events, const struct kg_balancer *balancer,
                          const struct kg_endpoint *endpoint)
{
    struct kg_peer *peer = endpoint->peer;
    bool unhealthy = peer && atomic_load_explicit(&peer->unhealthy, memory_order_relaxed);
    struct kg_listen_addr at;
    char address[KG_ADDR_TEXT];

    if (!peer || unhealthy == peer->told_unhealthy)
        return;
    peer->told_unhealthy = unhealthy;
    at = (struct kg_listen_addr){
        .addr = kg_addr_from_sockaddr((const struct sockaddr *)&endpoint->addr),
        /* At the same place in both families. */
        .port = ntohs(((const struct sockaddr_in *)(const void *)&endpoint->addr)->sin_port),
    };
    kg_event(events, "health",
             json_pack("{s:s%,s:s%,s:s,s:s}", "upstream", balancer->name.ptr, balancer->name.len, "target",
                       endpoint->host.ptr, endpoint->host.len, "address", kg_listen_text(&at, address),
                       "health", unhealthy ? "UNHEALTHY" : "HEALTHY"));
}

static void tell_balancer(void *ctx, const struct kg_balancer *balancer)
{
    for (size_t i = 0; i < balancer->endpoint_count; i++)
        tell_endpoint(ctx, balancer, &balancer->endpoints[i]);
}

void kg_tell_health(struct kg_events *events, const struct kg_snapshot *snapshot)
{
    kg_snapshot_each_balancer(snapshot, tell_balancer, events);
}

void kg_tell_addresses(struct kg_events *events, const char *host, size_t count)
{
    kg_event(events, "dns", json_pack("{s:s,s:I}", "host", host, "addresses", (json_int_t)count));
}
