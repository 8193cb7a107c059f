/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Consumers' counters, published in the mapped consumer_stats by plain stores. What is published is a base
 * and the sum over the workers, whose counters of a slot only ever grow. A consumer that takes a slot over
 * gets a base that cancels what the workers had counted there before; one that was there before a restart
 * gets what it had reached.
 */
#include "guard/internal.h"
#include "guard/sources.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIELD(name)                                                                                          \
    {                                                                                                        \
        offsetof(struct kg_usage, name), offsetof(struct kg_consumer_stats, name)                            \
    }

static const struct {
    size_t usage, published;
} fields[KG_USAGE_SUMMED] = {
    FIELD(requests), FIELD(status_2xx),   FIELD(status_3xx), FIELD(status_4xx), FIELD(status_5xx),
    FIELD(denied),   FIELD(rate_limited), FIELD(bytes_in),   FIELD(bytes_out),
};

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t usage_field(const struct kg_usage *usage, unsigned field)
{
    return load((const _Atomic uint64_t *)(const void *)((const char *)usage + fields[field].usage));
}

static __u64 *published_field(struct kg_consumer_stats *stats, unsigned field)
{
    return (__u64 *)(void *)((char *)stats + fields[field].published);
}

/* Readers in other processes see each counter whole. */
static void publish(__u64 *to, uint64_t value)
{
    __atomic_store_n(to, value, __ATOMIC_RELAXED);
}

static uint64_t sum_over_workers(const struct kg_counters *c, uint32_t slot, unsigned field)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < c->table_count; i++)
        sum += usage_field(&c->tables[i]->usage[slot], field);
    return sum;
}

/* The index by consumer id */

static uint32_t *chain_of(const struct kg_counters *c, const char *id)
{
    uint32_t hash = 2166136261u; /* FNV-1a; the ids are our own random UUIDs */

    for (; *id; id++)
        hash = (hash ^ (unsigned char)*id) * 16777619u;
    return &c->chains[hash & c->chain_mask];
}

static uint32_t find(const struct kg_counters *c, const char *id)
{
    uint32_t i = *chain_of(c, id);

    while (i != KG_NO_ENTRY && strcmp(c->published[i].id, id) != 0)
        i = c->slot[i].next;
    return i;
}

static void link_slot(struct kg_counters *c, uint32_t slot)
{
    uint32_t *chain = chain_of(c, c->published[slot].id);

    c->slot[slot].next = *chain;
    *chain = slot;
}

static void unlink_slot(struct kg_counters *c, uint32_t slot)
{
    uint32_t *at = chain_of(c, c->published[slot].id);

    while (*at != slot)
        at = &c->slot[*at].next;
    *at = c->slot[slot].next;
}

static void put_free(struct kg_counters *c, uint32_t slot)
{
    c->free[(c->free_first + c->free_count) % c->slots] = slot;
    c->free_count++;
}

static void clear(struct kg_counters *c, uint32_t slot)
{
    struct kg_consumer_stats *stats = &c->published[slot];

    memset(stats->name, 0, sizeof(stats->name)); /* first: an empty name says that the slot is free */
    memset(stats->id, 0, sizeof(stats->id));
    for (unsigned i = 0; i < KG_USAGE_SUMMED; i++)
        publish(published_field(stats, i), 0);
    publish(&stats->last_seen, 0);
}

static void release(struct kg_counters *c, uint32_t slot)
{
    unlink_slot(c, slot);
    clear(c, slot);
    c->slot[slot] = (struct kg_slot){ 0 };
    put_free(c, slot);
}

static void release_orphans(struct kg_counters *c)
{
    for (uint32_t i = KG_SLOT_FIRST; c->orphans > 0 && i < c->slots; i++) {
        if (!c->slot[i].orphan)
            continue;
        release(c, i);
        c->orphans--;
    }
}

/* Cut to fit, but never inside a UTF-8 character. */
static void set_text(char *to, size_t size, const char *text)
{
    size_t len = strlen(text);

    if (len >= size) {
        len = size - 1;
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    memset(to, 0, size);
    snprintf(to, size, "%.*s", (int)len, text);
}

/* ---- The model's side ---- */

static uint32_t take(void *ctx, const char *consumer_id, const char *name)
{
    struct kg_counters *c = &((struct kg_guard *)ctx)->counters;
    uint32_t slot = find(c, consumer_id);

    if (!name || !name[0])
        name = consumer_id;
    if (slot == KG_NO_ENTRY) {
        if (!c->free_count)
            release_orphans(c);
        if (!c->free_count)
            return KG_SLOT_OTHERS;
        slot = c->free[c->free_first];
        c->free_first = (c->free_first + 1) % c->slots;
        c->free_count--;
        for (unsigned i = 0; i < KG_USAGE_SUMMED; i++)
            c->slot[slot].base[i] = 0 - sum_over_workers(c, slot, i);
        set_text(c->published[slot].id, KG_CONSUMER_ID, consumer_id);
        link_slot(c, slot);
    }
    c->slot[slot].taken = true;
    c->orphans -= c->slot[slot].orphan;
    c->slot[slot].orphan = false;
    set_text(c->published[slot].name, KG_CONSUMER_NAME, name);
    return slot;
}

/* The tables are not looked at here: at shutdown the model gives back after the workers are gone. */
static void give_back(void *ctx, uint32_t slot, const char *consumer_id)
{
    struct kg_counters *c = &((struct kg_guard *)ctx)->counters;

    if (slot < KG_SLOT_FIRST || slot >= c->slots || !c->slot[slot].taken)
        return;
    if (consumer_id && strcmp(c->published[slot].id, consumer_id) != 0)
        return;
    release(c, slot);
}

struct kg_slot_source kg_guard_slots(struct kg_guard *guard)
{
    return (struct kg_slot_source){ guard, take, give_back };
}

/* ---- Publishing ---- */

static void flush_slot(struct kg_counters *c, uint32_t slot)
{
    struct kg_consumer_stats *stats = &c->published[slot];
    uint64_t last_seen = stats->last_seen;

    if (!c->slot[slot].taken)
        return; /* a request that outlived its consumer */
    for (unsigned i = 0; i < KG_USAGE_SUMMED; i++)
        publish(published_field(stats, i), c->slot[slot].base[i] + sum_over_workers(c, slot, i));
    for (size_t i = 0; i < c->table_count; i++) {
        uint64_t seen = load(&c->tables[i]->usage[slot].last_seen);

        last_seen = seen > last_seen ? seen : last_seen;
    }
    publish(&stats->last_seen, last_seen);
}

static void flush_word(struct kg_counters *c, uint32_t word, uint64_t bits)
{
    while (bits) {
        uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);

        bits &= bits - 1;
        if (slot < c->slots)
            flush_slot(c, slot);
    }
}

void kg_counters_flush(struct kg_guard *guard, struct kg_usage_table *const *tables, size_t count)
{
    struct kg_counters *c = &guard->counters;

    KG_ASSERT(count <= KG_WORKERS_MAX);
    c->table_count = count;
    for (size_t t = 0; t < count; t++) {
        KG_ASSERT(tables[t]->slots >= c->slots);
        c->tables[t] = tables[t];
    }
    for (uint32_t word = 0; word < (c->slots + 63) / 64; word++) {
        uint64_t bits = 0;

        /* Acquire pairs with the release of kg_usage_touch: what made a bit set is in the sums. */
        for (size_t t = 0; t < count; t++) {
            if (load(&tables[t]->dirty[word]))
                bits |= atomic_exchange_explicit(&tables[t]->dirty[word], 0, memory_order_acquire);
        }
        flush_word(c, word, bits);
    }
    if (c->settled)
        return;
    /* The model was loaded before the first tick: what nobody has taken belongs to consumers deleted
     * meanwhile. */
    c->settled = true;
    release_orphans(c);
}

bool kg_guard_consumer(const struct kg_guard *guard, uint32_t slot, struct kg_consumer_stats *out)
{
    const struct kg_counters *c = &guard->counters;

    if (slot >= c->slots || !c->slot[slot].taken)
        return false;
    *out = c->published[slot];
    return true;
}

/* ---- Start and end ---- */

/* A map of another size: what fits of the old one comes along. */
static void copy_old(const struct kg_guard *guard)
{
    int old = guard->old_map[KG_MAP_CONSUMERS];
    struct kg_consumer_stats stats;

    for (uint32_t i = 0; old >= 0 && i < guard->counters.slots; i++) {
        if (bpf_map_lookup_elem(old, &i, &stats))
            return;
        guard->counters.published[i] = stats;
    }
}

static void adopt(struct kg_counters *c, uint32_t slot)
{
    struct kg_consumer_stats *stats = &c->published[slot];

    stats->name[KG_CONSUMER_NAME - 1] = '\0';
    stats->id[KG_CONSUMER_ID - 1] = '\0';
    for (unsigned i = 0; i < KG_USAGE_SUMMED; i++)
        c->slot[slot].base[i] = *published_field(stats, i);
    if (slot < KG_SLOT_FIRST) {
        set_text(stats->name, KG_CONSUMER_NAME, slot == KG_SLOT_NONE ? "(none)" : "(others)");
        c->slot[slot].taken = true;
        return;
    }
    /* A second slot of the same consumer: a kill while a slot was being given out. */
    if (stats->id[0] && stats->name[0] && find(c, stats->id) == KG_NO_ENTRY) {
        c->slot[slot].orphan = true;
        c->orphans++;
        link_slot(c, slot);
        return;
    }
    clear(c, slot);
    c->slot[slot] = (struct kg_slot){ 0 };
    put_free(c, slot);
}

int kg_counters_open(struct kg_guard *guard, struct kg_error *err)
{
    struct kg_counters *c = &guard->counters;
    long page = sysconf(_SC_PAGESIZE);

    c->slots = guard->config.consumer_slots;
    c->mapped = ((size_t)c->slots * sizeof(*c->published) + (size_t)page - 1) / (size_t)page * (size_t)page;
    void *mapped = mmap(NULL, c->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, guard->map[KG_MAP_CONSUMERS], 0);
    if (mapped == MAP_FAILED)
        return kg_error_set(err, errno, "the map consumer_stats cannot be mapped: %s", strerror(errno));
    c->published = mapped;
    c->slot = kg_calloc(c->slots, sizeof(*c->slot));
    c->free = kg_calloc(c->slots, sizeof(*c->free));
    c->chain_mask = kg_chain_count(c->slots) - 1;
    c->chains = kg_calloc(c->chain_mask + 1, sizeof(*c->chains));
    for (uint32_t i = 0; i <= c->chain_mask; i++)
        c->chains[i] = KG_NO_ENTRY;
    copy_old(guard);
    for (uint32_t i = 0; i < c->slots; i++)
        adopt(c, i);
    return 0;
}

void kg_counters_close(struct kg_guard *guard)
{
    struct kg_counters *c = &guard->counters;

    if (c->published)
        munmap(c->published, c->mapped);
    free(c->slot);
    free(c->free);
    free(c->chains);
    *c = (struct kg_counters){ 0 };
}
