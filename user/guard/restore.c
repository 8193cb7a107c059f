/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bans at start. Three sources are brought together: the map of an earlier start, which is still in force;
 * the store, which knows everything but counts wall-clock seconds; and the list of those who can no longer be
 * banned. A ban that is
 *
 * - in both: stays; written anew when the store's expiry is another (a crash between the two writes)
 * - in the store only: put into the map with the time it has left (a reboot)
 * - in the map only: adopted, and stored
 * - over in the store: taken out of the map (a crash after lifting it)
 */
#include "guard/internal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#define BATCH 4096
#define SLACK_NS                                                                                             \
    (2 * KG_NS_PER_S) /* the store's seconds are cut off, and the wall clock may be slewed meanwhile */

struct restore {
    struct kg_guard *guard;
    uint64_t now_ns;
    int64_t wall;
    uint32_t lost; /* no room in the table */
};

static struct kg_ban_entry *add(struct restore *r, const struct kg_addr *source)
{
    struct kg_ban_entry *entry = kg_bans_add(r->guard->bans, source);

    r->lost += entry == NULL;
    r->guard->outside_kernel += entry != NULL;
    return entry;
}

static int64_t to_wall(const struct restore *r, uint64_t ns)
{
    return r->wall + ((int64_t)ns - (int64_t)r->now_ns) / (int64_t)KG_NS_PER_S;
}

/* A ban of an earlier start's map. Copied is false when that map goes on being used. */
static void take_from_map(struct restore *r, const struct kg_addr *source, const struct kg_ban *value, int fd,
                          bool copied)
{
    struct kg_guard *guard = r->guard;

    if (value->expires_ns && value->expires_ns <= r->now_ns) {
        if (!copied)
            bpf_map_delete_elem(fd, source->bytes);
        return;
    }
    struct kg_ban_entry *entry = add(r, source);
    if (!entry)
        return;
    if (copied && bpf_map_update_elem(kg_ban_fd(guard, source), source->bytes, value, BPF_ANY) == 0)
        copied = false;
    entry->in_kernel = !copied;
    guard->outside_kernel -= entry->in_kernel;
    entry->reason = value->reason;
    entry->offences = 1;
    entry->since_ns = value->since_ns;
    entry->since = to_wall(r, value->since_ns);
    entry->expires = value->expires_ns ? to_wall(r, value->expires_ns) : 0;
    kg_bans_expire_at(guard->bans, entry, value->expires_ns);
}

static void take_batch(struct restore *r, uint8_t family, const uint8_t *keys, const struct kg_ban *values,
                       uint32_t count, int fd, bool copied)
{
    size_t size = family == 4 ? sizeof(struct kg_ban_key4) : sizeof(struct kg_ban_key6);

    for (uint32_t i = 0; i < count; i++) {
        struct kg_addr source = { .family = family };

        memcpy(source.bytes, keys + i * size, size);
        take_from_map(r, &source, &values[i], fd, copied);
    }
}

/* Batches read in a quarter of the time of key by key. Deleting meanwhile is safe: a batch is whole hash
 * buckets. */
static int read_map(struct restore *r, enum kg_map map, uint8_t family)
{
    struct kg_guard *guard = r->guard;
    bool copied = guard->old_map[map] >= 0;
    int fd = copied ? guard->old_map[map] : guard->map[map];
    uint8_t *keys = kg_calloc(BATCH, sizeof(struct kg_ban_key6));
    struct kg_ban *values = kg_calloc(BATCH, sizeof(*values));
    LIBBPF_OPTS(bpf_map_batch_opts, opts);
    uint32_t from = 0, next = 0;
    bool first = true;
    int rc = 0;

    while (rc == 0 && (copied || guard->adopted[map])) {
        uint32_t count = BATCH;

        rc = bpf_map_lookup_batch(fd, first ? NULL : &from, &next, keys, values, &count, &opts);
        if (rc == 0 || rc == -ENOENT)
            take_batch(r, family, keys, values, count, fd, copied);
        from = next;
        first = false;
    }
    free(keys);
    free(values);
    return rc == -ENOENT ? 0 : rc;
}

static bool is_far(uint64_t a, uint64_t b)
{
    if (!a || !b)
        return a != b;
    return (a > b ? a - b : b - a) > SLACK_NS;
}

/* Never more than the ban's whole length: a clock that is set only after the start may be decades behind. */
static uint64_t time_left(const struct restore *r, const struct kg_ban_record *record)
{
    int64_t left = record->expires - r->wall, whole = record->expires - record->since;

    return (uint64_t)(whole > 0 && whole < left ? whole : left) * KG_NS_PER_S;
}

static void fill_from_record(struct restore *r, struct kg_ban_entry *entry,
                             const struct kg_ban_record *record)
{
    uint64_t age = record->since < r->wall ? (uint64_t)(r->wall - record->since) * KG_NS_PER_S : 0;
    uint64_t expires_ns = record->expires ? r->now_ns + time_left(r, record) : 0;

    entry->reason = record->reason;
    entry->offences = record->offences;
    entry->since = record->since;
    entry->expires = record->expires;
    if (entry->in_kernel && !is_far(entry->expires_ns, expires_ns))
        return;
    entry->stale = true;
    entry->since_ns = age < r->now_ns ? r->now_ns - age : 1;
    kg_bans_expire_at(r->guard->bans, entry, expires_ns);
}

/* Called while the store reads: only notes, writes nothing. */
static void take_from_store(void *ctx, const struct kg_ban_record *record)
{
    struct restore *r = ctx;
    struct kg_ban_entry *entry = kg_bans_find(r->guard->bans, &record->source);
    bool live = record->active && (!record->expires || record->expires > r->wall);

    if (!entry && !live)
        return;
    if (!entry)
        entry = add(r, &record->source);
    if (!entry)
        return;
    entry->in_store = true;
    entry->over = !live;
    if (live)
        fill_from_record(r, entry, record);
}

static void put_in_map(struct kg_guard *guard, struct kg_ban_entry *entry)
{
    int fd = kg_ban_fd(guard, &entry->source);
    struct kg_ban value = { 0 };

    bpf_map_lookup_elem(fd, entry->source.bytes, &value); /* for the drops so far; 0 without */
    value.expires_ns = entry->expires_ns;
    value.since_ns = entry->since_ns;
    value.reason = entry->reason;
    if (bpf_map_update_elem(fd, entry->source.bytes, &value, BPF_ANY))
        return;
    guard->outside_kernel -= !entry->in_kernel;
    entry->in_kernel = true;
}

static void drop(struct kg_guard *guard, struct kg_ban_entry *entry)
{
    bpf_map_delete_elem(kg_ban_fd(guard, &entry->source), entry->source.bytes);
    guard->outside_kernel -= !entry->in_kernel;
    kg_bans_remove(guard->bans, entry);
}

/* Brings map and store to what was found out. */
static int settle(struct kg_guard *guard, struct kg_ban_entry *entry, struct kg_error *err)
{
    struct kg_ban_record record = { .source = entry->source,
                                    .since = entry->since,
                                    .expires = entry->expires,
                                    .reason = entry->reason,
                                    .offences = entry->offences,
                                    .active = true };

    if (entry->over) {
        drop(guard, entry);
        return 0;
    }
    if (!entry->in_store) {
        int rc = kg_store_put_ban(guard->store, &record, err);

        if (rc)
            return rc;
    }
    if (entry->stale || !entry->in_kernel)
        put_in_map(guard, entry);
    return 0;
}

int kg_bans_open(struct kg_guard *guard, struct kg_error *err)
{
    struct restore r = { .guard = guard, .now_ns = kg_clock_ns(), .wall = kg_clock_wall() };
    struct kg_ban_entry *next;
    int rc = read_map(&r, KG_MAP_BAN4, 4);

    rc = rc ? rc : read_map(&r, KG_MAP_BAN6, 6);
    if (rc)
        return kg_error_set(err, -rc, "the bans in the kernel cannot be read: %s", strerror(-rc));
    rc = kg_store_each_ban(guard->store, take_from_store, &r);
    if (rc)
        return kg_error_set(err, -rc, "the stored bans cannot be read: %s", strerror(-rc));
    for (struct kg_ban_entry *e = kg_bans_oldest(guard->bans); e; e = next) {
        next = kg_bans_newer(guard->bans, e);
        rc = settle(guard, e, err);
        if (rc)
            return rc;
    }
    kg_bans_sort(guard->bans);
    kg_bans_review(guard, NULL);
    if (r.lost)
        kg_log(KG_LOG_WARN, "%u stored bans find no room: guard.max_bans is %u", r.lost,
               guard->config.max_bans);
    if (guard->outside_kernel)
        kg_log(KG_LOG_WARN, "%u bans are enforced in user space only: guard.max_bans is %u",
               guard->outside_kernel, guard->config.max_bans);
    return 0;
}
