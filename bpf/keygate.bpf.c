// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Drops packets of banned sources before the network stack sees them. Fails open: what it cannot parse it
 * passes and counts. It never answers XDP_ABORTED, whose tracepoint a stranger could make us pay for. A ban's
 * expiry is checked here, so that a dead daemon leaves nobody banned for ever.
 */
#include <stdbool.h>
#include <stddef.h>

#include "maps.h"
#include "parse.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Called on a hit only: even the coarse clock (5.11) costs more than the rest of a clean packet's way. */
static __always_inline bool is_over(const struct kg_ban *ban)
{
    return ban->expires_ns && bpf_ktime_get_coarse_ns() >= ban->expires_ns;
}

static __always_inline enum kg_xdp_verdict judge4(void *at, void *end)
{
    struct iphdr *ip = ipv4_header(at, end);
    struct kg_net_key4 net = { .prefix_len = 32 };
    struct kg_ban_key4 key;
    struct kg_ban *ban;

    if (!ip)
        return KG_XDP_PASS_BROKEN;
    __builtin_memcpy(key.addr, &ip->saddr, sizeof(key.addr));
    ban = bpf_map_lookup_elem(&ban_v4, &key);
    if (!ban)
        return KG_XDP_PASS_CLEAN;
    if (is_over(ban))
        return KG_XDP_PASS_EXPIRED;
    __builtin_memcpy(net.addr, key.addr, sizeof(net.addr));
    if (bpf_map_lookup_elem(&allow_net4, &net))
        return KG_XDP_PASS_ALLOWED;
    __sync_fetch_and_add(&ban->drops, 1);
    return KG_XDP_DROP_BAN4;
}

static __always_inline enum kg_xdp_verdict judge6(void *at, void *end)
{
    struct ipv6hdr *ip = ipv6_header(at, end);
    struct kg_net_key6 net = { .prefix_len = 128 };
    struct kg_ban_key6 key;
    struct kg_ban *ban;

    if (!ip)
        return KG_XDP_PASS_BROKEN;
    if (is_neighbour_discovery(ip, end))
        return KG_XDP_PASS_ND;
    __builtin_memcpy(key.prefix, &ip->saddr, sizeof(key.prefix));
    ban = bpf_map_lookup_elem(&ban_v6, &key);
    if (!ban)
        return KG_XDP_PASS_CLEAN;
    if (is_over(ban))
        return KG_XDP_PASS_EXPIRED;
    __builtin_memcpy(net.addr, &ip->saddr, sizeof(net.addr));
    if (bpf_map_lookup_elem(&allow_net6, &net))
        return KG_XDP_PASS_ALLOWED;
    __sync_fetch_and_add(&ban->drops, 1);
    return KG_XDP_DROP_BAN6;
}

static __always_inline enum kg_xdp_verdict judge(void *data, void *end)
{
    __be16 proto = 0;
    void *at = network_header(data, end, &proto);

    if (!at)
        return KG_XDP_PASS_BROKEN;
    if (proto == bpf_htons(ETH_P_IP))
        return judge4(at, end);
    if (proto == bpf_htons(ETH_P_IPV6))
        return judge6(at, end);
    return KG_XDP_PASS_NOT_IP;
}

static __always_inline void count(enum kg_xdp_verdict verdict, __u64 bytes)
{
    __u32 index = verdict;
    struct kg_xdp_count *sum = bpf_map_lookup_elem(&xdp_stats, &index);

    if (!sum)
        return;
    sum->packets++;
    sum->bytes += bytes;
}

/* frags (5.18): without it a driver refuses to attach while the MTU is above one page. */
SEC("xdp.frags")
int keygate_xdp(struct xdp_md *ctx)
{
    enum kg_xdp_verdict verdict = judge((void *)(long)ctx->data, (void *)(long)ctx->data_end);

    count(verdict, bpf_xdp_get_buff_len(ctx));
    return verdict == KG_XDP_DROP_BAN4 || verdict == KG_XDP_DROP_BAN6 ? XDP_DROP : XDP_PASS;
}
