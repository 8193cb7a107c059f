/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a frame to its source address. The source is all that is looked for: fragments, options and extension
 * headers come after it and cannot hide it. Every read is checked against the end of the linear part, which
 * on every driver holds at least the headers (multi-buffer packets included).
 */
#ifndef KG_BPF_PARSE_H
#define KG_BPF_PARSE_H

#include <linux/bpf.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define KG_VLAN_TAGS 2 /* what the kernel itself takes off: 802.1ad outside, 802.1Q inside */

struct kg_vlan_tag {
    __be16 tci;
    __be16 proto;
};

/* RFC 4861, 4.1 to 4.5: router and neighbour solicitations and advertisements, redirect. */
#define KG_ND_FIRST     133
#define KG_ND_LAST      137
#define KG_ND_HOP_LIMIT 255

static __always_inline bool is_vlan(__be16 proto)
{
    return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

/* The network header, and its protocol in *proto; NULL for a frame that ends before it. */
static __always_inline void *network_header(void *data, void *end, __be16 *proto)
{
    struct ethhdr *eth = data;
    struct kg_vlan_tag *tag;

    if ((void *)(eth + 1) > end)
        return NULL;
    *proto = eth->h_proto;
    tag = (void *)(eth + 1);
#pragma unroll
    for (int i = 0; i < KG_VLAN_TAGS; i++) {
        if (!is_vlan(*proto))
            break;
        if ((void *)(tag + 1) > end)
            return NULL;
        *proto = tag->proto;
        tag++;
    }
    return tag;
}

static __always_inline struct iphdr *ipv4_header(void *at, void *end)
{
    struct iphdr *ip = at;

    if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
        return NULL;
    return ip;
}

static __always_inline struct ipv6hdr *ipv6_header(void *at, void *end)
{
    struct ipv6hdr *ip = at;

    if ((void *)(ip + 1) > end || ip->version != 6)
        return NULL;
    return ip;
}

/*
 * Neighbour discovery, without which a host falls off its link. With a lower hop limit it came from a router
 * away and every receiver must discard it (RFC 4861, 6.1 and 7.1): no way round a ban.
 */
static __always_inline bool is_neighbour_discovery(struct ipv6hdr *ip, void *end)
{
    struct icmp6hdr *icmp = (void *)(ip + 1);
    __u8 *type = &icmp->icmp6_type;

    if (ip->nexthdr != IPPROTO_ICMPV6 || ip->hop_limit != KG_ND_HOP_LIMIT || (void *)(type + 1) > end)
        return false;
    return *type >= KG_ND_FIRST && *type <= KG_ND_LAST;
}

#endif
