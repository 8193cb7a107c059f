/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps of the XDP program. keygated sets the sizes before it loads them and pins each under its name.
 * Keys and values are named types, so that bpftool prints their fields; an array's key must be a plain
 * integer for that.
 */
#ifndef KG_BPF_MAPS_H
#define KG_BPF_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "keygate/abi.h"

/* A plain hash, not an LRU: an LRU evicts live bans long before it is full. Bans are written rarely, so no
 * preallocation. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, struct kg_ban_key4);
    __type(value, struct kg_ban);
} ban_v4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, struct kg_ban_key6);
    __type(value, struct kg_ban);
} ban_v6 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1024);
    __type(key, struct kg_net_key4);
    __type(value, struct kg_allow);
} allow_net4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1024);
    __type(key, struct kg_net_key6);
    __type(value, struct kg_allow);
} allow_net6 SEC(".maps");

/* Not touched by the program: keygated writes it through its own mapping, so that counting costs no system
 * call. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1024);
    __type(key, __u32);
    __type(value, struct kg_consumer_stats);
} consumer_stats SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, KG_XDP_VERDICTS);
    __type(key, __u32);
    __type(value, struct kg_xdp_count);
} xdp_stats SEC(".maps");

#endif
