/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contract between kernel, daemon and whoever reads the maps with bpftool: names, keys, values, limits.
 * Plain C for both gcc and clang -target bpf. Addresses are byte arrays in network order, so that a dump can
 * be read by a person. Times are CLOCK_MONOTONIC nanoseconds (bpf_ktime_get_ns) unless a field says
 * otherwise. A change of a size or an offset here is a change of KG_ABI_VERSION.
 */
#ifndef KEYGATE_ABI_H
#define KEYGATE_ABI_H

#include <linux/types.h>

#define KG_ABI_VERSION 1
#define KG_BPF_DIR     "/sys/fs/bpf/keygate"

/* The source of an IPv4 ban is one address; of an IPv6 ban its /64 (one customer's network, RFC 6177). */
struct kg_ban_key4 {
    __u8 addr[4];
};

struct kg_ban_key6 {
    __u8 prefix[8];
};

enum kg_ban_reason {
    KG_BAN_MANUAL = 1, /* asked for by an operator */
    KG_BAN_WRONG_KEY,  /* too many wrong or missing keys */
    KG_BAN_MALFORMED,  /* too much that is not HTTP */
};

struct kg_ban {
    __u64 expires_ns; /* passed again from this moment on, by the kernel's own clock; 0 = never */
    __u64 since_ns;
    __u64 drops; /* packets dropped for this ban, added to by the kernel */
    enum kg_ban_reason reason;
    __u32 reserved;
};

/* Keys of the LPM tries: the prefix length in bits comes first, by the kernel's rule. */
struct kg_net_key4 {
    __u32 prefix_len;
    __u8 addr[4];
};

struct kg_net_key6 {
    __u32 prefix_len;
    __u8 addr[16];
};

struct kg_allow {
    __u32 flags; /* none defined yet; 0 */
};

/* Why a packet was passed or dropped: the index into xdp_stats. */
enum kg_xdp_verdict {
    KG_XDP_PASS_CLEAN,   /* no ban on its source */
    KG_XDP_PASS_EXPIRED, /* a ban, but its time is over */
    KG_XDP_PASS_ALLOWED, /* a ban, but its source is on the allow-list */
    KG_XDP_PASS_NOT_IP,  /* ARP, LLDP, …: none of ours */
    KG_XDP_PASS_ND,      /* IPv6 neighbour discovery, passed even from a banned source */
    KG_XDP_PASS_BROKEN,  /* too short or malformed to find a source in */
    KG_XDP_DROP_BAN4,
    KG_XDP_DROP_BAN6,
    KG_XDP_VERDICTS,
};

struct kg_xdp_count {
    __u64 packets;
    __u64 bytes;
};

#define KG_CONSUMER_NAME 64
#define KG_CONSUMER_ID   40

/*
 * One consumer's counters, or, in slot 0, those of requests without a consumer, and in slot 1 those of all
 * consumers for whom no slot was left. A slot with an empty name is free.
 */
struct kg_consumer_stats {
    char name[KG_CONSUMER_NAME]; /* username or custom_id, cut to fit, NUL-terminated */
    char id[KG_CONSUMER_ID];     /* UUID, NUL-terminated */
    __u64 requests;
    __u64 status_2xx;
    __u64 status_3xx;
    __u64 status_4xx;
    __u64 status_5xx;
    __u64 denied;       /* answered 401 or 403 by a policy */
    __u64 rate_limited; /* answered 429 by a policy */
    __u64 bytes_in;     /* request heads and bodies, as received from the client */
    __u64 bytes_out;    /* answers' heads and bodies, as sent to the client */
    __u64 last_seen;    /* wall-clock seconds since 1970 */
    __u64 reserved;
};

#define KG_SLOT_NONE   0
#define KG_SLOT_OTHERS 1
#define KG_SLOT_FIRST  2

#define KG_ABI_ASSERT(type, size) _Static_assert(sizeof(type) == (size), #type " changed its size")
KG_ABI_ASSERT(struct kg_ban_key4, 4);
KG_ABI_ASSERT(struct kg_ban_key6, 8);
KG_ABI_ASSERT(struct kg_ban, 32);
KG_ABI_ASSERT(struct kg_net_key4, 8);
KG_ABI_ASSERT(struct kg_net_key6, 20);
KG_ABI_ASSERT(struct kg_xdp_count, 16);
KG_ABI_ASSERT(struct kg_consumer_stats, 192);

#endif
