/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the guard share. Control thread only. */
#ifndef KG_GUARD_INTERNAL_H
#define KG_GUARD_INTERNAL_H

#include "base/assert.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "guard/bans.h"
#include "guard/guard.h"
#include "guard/scores.h"

#define KG_NS_PER_S     1000000000ull
#define KG_PINNED_LINKS 64
#define KG_PIN_NAME     48     /* "new:link_" and an interface name */
#define KG_PIN_NEW      "new:" /* what is pinned but not yet in force; no interface name holds a colon */
#define KG_PIN_LINK     "link_"
#define KG_PIN_PROG     "prog"
#define KG_USAGE_SUMMED 9 /* counters of kg_usage that are summed; last_seen is not */
#define KG_REAP_MAX     4096

enum kg_map { KG_MAP_BAN4, KG_MAP_BAN6, KG_MAP_ALLOW4, KG_MAP_ALLOW6, KG_MAP_CONSUMERS, KG_MAP_XDP, KG_MAPS };

/* A link found pinned below bpf_dir at start. */
struct kg_pinned_link {
    char file[KG_PIN_NAME];
    int fd;
    uint32_t ifindex; /* 0: its device is gone */
    uint32_t prog_id;
    bool used; /* by a configured interface */
};

/* What kg_links_attach did to an interface, so that it can be undone. */
enum kg_port_state { KG_PORT_IDLE, KG_PORT_CREATED, KG_PORT_UPDATED, KG_PORT_MOVED /* to another mode */ };

struct kg_port {
    enum kg_port_state state;
    uint32_t ifindex;
    int link;
    int old_prog;         /* -1 when none; open until the commit */
    uint32_t attached_id; /* the program that was there before; 0 = none */
    bool was_native;
    struct kg_pinned_link *pinned; /* the link that was there before, or NULL */
};

/* One slot of consumer_stats, beside what is published in the map. */
struct kg_slot {
    uint64_t base[KG_USAGE_SUMMED]; /* added to the workers' sums; wraps round, so it can be negative */
    bool taken;
    bool orphan;   /* found in the pinned map; waits for its consumer until the first tick */
    uint32_t next; /* in its chain of the index by consumer id */
};

struct kg_counters {
    uint32_t slots;
    struct kg_consumer_stats *published; /* the mapped consumer_stats */
    size_t mapped;
    struct kg_slot *slot;
    uint32_t *chains; /* heads, by hash of the consumer id */
    uint32_t chain_mask;
    uint32_t *free; /* a ring: the slot that has been free for longest goes first */
    uint32_t free_first, free_count;
    uint32_t orphans;
    bool settled;                                  /* the first tick has come: orphans have been let go */
    struct kg_usage_table *tables[KG_WORKERS_MAX]; /* as of the last tick */
    size_t table_count;
};

struct kg_guard {
    struct kg_store *store;
    struct kg_guard_config config; /* its allow and trusted pointers are not kept */
    char *dir;
    bool made_dir;
    int dir_lock; /* held while we live; -1 before */

    int map[KG_MAPS];
    int old_map[KG_MAPS]; /* pinned maps of another size, until the commit; else -1 */
    bool adopted[KG_MAPS];
    int prog;
    struct kg_port port[KG_INTERFACES_MAX];
    struct kg_guard_interface shown[KG_INTERFACES_MAX];
    struct kg_pinned_link pinned[KG_PINNED_LINKS];
    size_t pinned_count;

    void (*notify)(void *ctx, const struct kg_addr *source, uint64_t until_ms);
    void *notify_ctx;
    void (*tell)(void *ctx, enum kg_ban_event event, const struct kg_ban_info *info);
    void *tell_ctx;
    struct kg_scores *scores;
    struct kg_bans *bans;
    uint32_t outside_kernel; /* live bans that found no room in the map */

    struct kg_allow_record *allow; /* config_allow from keygate.yaml, then those of the store */
    size_t allow_count, config_allow;
    struct kg_net *trusted; /* proxies; config.trusted_count of them */
    struct kg_addr *own;    /* the host's addresses */
    size_t own_count;

    struct kg_counters counters;
    uint64_t flushed_ms, reaped_ms, own_ms, forgot_ms, full_ms;
};

/* bpffs.c: the folder of pins. */
int kg_bpffs_prepare(const char *dir, bool *made, struct kg_error *err);
/* A descriptor that keeps other daemons out until it is closed, or -EBUSY while one of them lives. */
int kg_bpffs_lock(const char *dir, struct kg_error *err);
void kg_pin_path(const char *dir, const char *prefix, const char *name, char out[static 512]);
int kg_pin_put(const char *dir, const char *name, int fd, struct kg_error *err); /* as KG_PIN_NEW name */
int kg_pin_commit(const char *dir, const char *name, struct kg_error *err); /* KG_PIN_NEW name becomes name */
void kg_pin_drop(const char *dir, const char *prefix, const char *name);
/* Files below dir that keygate could have made; stops when visit returns non-zero and returns that. */
int kg_pins_each(const char *dir, int (*visit)(void *ctx, const char *name), void *ctx);

/* program.c: program and maps. */
const char *kg_map_name(enum kg_map map);
int kg_program_load(struct kg_guard *guard, struct kg_error *err);
int kg_program_pin(struct kg_guard *guard, struct kg_error *err);
int kg_program_commit(struct kg_guard *guard, struct kg_error *err);
void kg_program_rollback(struct kg_guard *guard);
void kg_program_close(struct kg_guard *guard);

/* links.c: interfaces. Check looks only; attach changes; then either commit or rollback. */
int kg_links_check(struct kg_guard *guard, struct kg_error *err);
int kg_links_attach(struct kg_guard *guard, struct kg_error *err);
int kg_links_commit(struct kg_guard *guard, struct kg_error *err);
void kg_links_rollback(struct kg_guard *guard);
void kg_links_refresh(struct kg_guard *guard); /* notices devices that went away */
void kg_links_close(struct kg_guard *guard);
int kg_link_read(const char *dir, const char *name, struct kg_pinned_link *link);

/* allow.c: who can never be banned. */
int kg_allow_open(struct kg_guard *guard, const struct kg_net *nets, struct kg_error *err);
void kg_allow_close(struct kg_guard *guard);
bool kg_own_refresh(struct kg_guard *guard); /* true when they changed */
bool kg_net_overlaps(const struct kg_net *net, const struct kg_addr *source);
/* 0, or -EPERM with the reason. */
int kg_ban_permitted(const struct kg_guard *guard, const struct kg_addr *source, struct kg_error *err);

/* restore.c and enforce.c: bans in table, map and store. */
int kg_bans_open(struct kg_guard *guard, struct kg_error *err);
void kg_ban_automatic(struct kg_guard *guard, const struct kg_addr *source, enum kg_ban_reason reason);
/* Lifts the bans that a newly allowed network covers; without one, all that kg_ban_permitted no longer
 * permits. */
void kg_bans_review(struct kg_guard *guard, const struct kg_net *net);
void kg_bans_reap(struct kg_guard *guard, uint64_t now_ms);
int kg_ban_fd(const struct kg_guard *guard, const struct kg_addr *source);
void kg_ban_notify(const struct kg_guard *guard, const struct kg_ban_entry *entry);

/* counters.c */
int kg_counters_open(struct kg_guard *guard, struct kg_error *err);
void kg_counters_close(struct kg_guard *guard);
void kg_counters_flush(struct kg_guard *guard, struct kg_usage_table *const *tables, size_t count);

#endif
