/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guard: loads and attaches the XDP program, keeps bans and the allow-list in kernel maps and in the
 * store, turns signals into bans, and publishes consumers' counters. Control thread only. BPF objects are
 * opened as root at start; all later map writes go through their open descriptors and need no privilege
 * (kernel 5.19).
 */
#ifndef KG_GUARD_GUARD_H
#define KG_GUARD_GUARD_H

#include "keygate/abi.h"
#include "model/usage.h"
#include "store/store.h"

#define KG_INTERFACES_MAX     16
#define KG_CONSUMER_SLOTS_MAX 65536 /* /stats shows all of them in one answer */

enum kg_xdp_mode { KG_XDP_AUTO, KG_XDP_NATIVE, KG_XDP_GENERIC };

struct kg_guard_config {
    char interfaces[KG_INTERFACES_MAX][16];
    size_t interface_count;  /* 0: no XDP program is attached; bans are enforced in user space only */
    enum kg_xdp_mode mode;   /* AUTO: native, and generic where the driver cannot */
    const char *bpf_dir;     /* KG_BPF_DIR */
    uint32_t max_bans;       /* entries of ban_v4 and of ban_v6 */
    uint32_t max_allow;      /* entries of allow_net4 and of allow_net6 */
    uint32_t consumer_slots; /* at most KG_CONSUMER_SLOTS_MAX */
    uint32_t threshold;      /* failures within the window that make a ban; 0 = never ban by itself */
    uint32_t window_s;
    uint32_t ban_s; /* first ban; doubles with each further one */
    uint32_t ban_max_s;
    uint32_t memory_s;          /* how long after its end a ban still counts for doubling */
    uint32_t sources;           /* size of the table of sources with failures */
    const struct kg_net *allow; /* never banned, from keygate.yaml */
    size_t allow_count;
    const struct kg_net *trusted; /* proxies: never banned either */
    size_t trusted_count;
    unsigned workers;
};

struct kg_guard;

/* How an interface ended up, for the start summary and /status. */
struct kg_guard_interface {
    char name[16];
    bool attached;
    bool native;
    char note[160]; /* why native was not possible, or empty */
};

/*
 * Loads, pins, attaches (replacing our own earlier program atomically, never anyone else's) and puts the
 * stored bans back. All or nothing: on error nothing that was not there before stays attached or pinned. The
 * sentence names the interface, or what the kernel lacks. -EBUSY while another daemon has bpf_dir open.
 */
int kg_guard_open(const struct kg_guard_config *config, struct kg_store *store, struct kg_guard **guard,
                  struct kg_error *err);
/* Frees memory and descriptors; program, links and maps stay pinned and in force. */
void kg_guard_close(struct kg_guard *guard);
/* Whether an earlier start has left its program pinned below bpf_dir: then that one is in force, with or
 * without us. */
bool kg_guard_pinned(const char *bpf_dir);
/* Removes all traces of keygate below bpf_dir: links (so the program is detached), maps, the folder. 0 also
 * when there was nothing. */
int kg_guard_detach(const char *bpf_dir, struct kg_error *err);

size_t kg_guard_interfaces(const struct kg_guard *guard, const struct kg_guard_interface **list);
struct kg_slot_source kg_guard_slots(struct kg_guard *guard);

/*
 * Called for each ban set or lifted, so that workers keep their own set and close connections; at once for
 * each ban that is in force already. expires_ms: kg_clock_ms() time, 0 = never; lifted: until_ms is 1. A ban
 * that ends by itself is not told: the workers know its end.
 */
void kg_guard_on_ban(struct kg_guard *guard,
                     void (*notify)(void *ctx, const struct kg_addr *source, uint64_t until_ms), void *ctx);

enum kg_ban_event { KG_BAN_ADDED, KG_BAN_LIFTED, KG_BAN_EXPIRED };
struct kg_ban_info;

/* Called for each ban that begins or ends, the end of one that is over too, at most a second late. One at a
 * time. */
void kg_guard_on_ban_event(struct kg_guard *guard,
                           void (*tell)(void *ctx, enum kg_ban_event event, const struct kg_ban_info *info),
                           void *ctx);

/* One signal of abuse: counts, and bans over the threshold. */
void kg_guard_signal(struct kg_guard *guard, const struct kg_signal *signal);

struct kg_ban_info {
    struct kg_addr source;
    int64_t since, expires; /* wall-clock seconds; expires 0 = never */
    uint64_t drops;
    uint32_t reason, offences;
};

/*
 * An operator's ban; lifetime in seconds, 0 = for ever. Stored and in force in the kernel before it returns.
 * -EPERM for what can never be banned (allow-listed, the host's own), -ENOSPC when the map is full (the ban
 * is then still stored and enforced in user space), each with a sentence.
 */
int kg_guard_ban(struct kg_guard *guard, const struct kg_addr *source, uint32_t lifetime_s,
                 struct kg_ban_info *info, struct kg_error *err);
/* 0 when a ban of this address would be allowed, else -EPERM with a sentence. */
int kg_guard_may_ban(const struct kg_guard *guard, const struct kg_addr *address, struct kg_error *err);
/* 0, or -ENOENT when there is no live ban. */
int kg_guard_unban(struct kg_guard *guard, const struct kg_addr *source, struct kg_error *err);
int kg_guard_ban_get(struct kg_guard *guard, const struct kg_addr *source, struct kg_ban_info *info);
/* Live bans, oldest first. */
void kg_guard_each_ban(struct kg_guard *guard, void (*visit)(void *ctx, const struct kg_ban_info *info),
                       void *ctx);

/* Allow-list at run time; putting a network lifts the bans inside it. */
int kg_guard_allow(struct kg_guard *guard, const struct kg_net *net, const char *comment,
                   struct kg_error *err);
/* -ENOENT when it is not there, -EPERM when it is there by keygate.yaml. */
int kg_guard_disallow(struct kg_guard *guard, const struct kg_net *net, struct kg_error *err);
void kg_guard_each_allow(struct kg_guard *guard,
                         void (*visit)(void *ctx, const struct kg_allow_record *record, bool from_config),
                         void *ctx);

/* Sum over all CPUs; out has KG_XDP_VERDICTS entries. */
void kg_guard_xdp_counts(const struct kg_guard *guard, struct kg_xdp_count *out);
/* Snake-case name of a verdict ("drop_ban4"), for /status. */
const char *kg_xdp_verdict_name(enum kg_xdp_verdict verdict);
const char *kg_ban_reason_name(uint32_t reason); /* "manual", "wrong_key", "malformed" */

/* Reads a slot of consumer_stats as published. False when it is free or out of range. */
bool kg_guard_consumer(const struct kg_guard *guard, uint32_t slot, struct kg_consumer_stats *out);

/*
 * Every 50 ms: sums the workers' dirty slots into consumer_stats by plain stores; every second: reaps expired
 * bans in batches. Call it first when the model has been loaded: slots that nobody has taken by then are
 * freed. The tables must live until the last call of a slot source's take. What comes within 50 ms of the
 * call before waits for the next one.
 */
void kg_guard_tick(struct kg_guard *guard, struct kg_usage_table *const *tables, size_t count,
                   uint64_t now_ms);

#endif
