/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A persistent hash map: a hash array mapped trie, 5 bits of a 64-bit hash a level. A handle (struct kg_pmap)
 * is one version; kg_pmap_share makes another of the same content in O(1), and after that a write to either
 * copies only the O(log n) nodes on its way and leaves the other as it was. A node that only one handle
 * reaches is changed in place.
 *
 * Reference counts of nodes and values are touched by the control thread alone: it alone shares, writes and
 * frees. Workers read versions that it has published, without a lock, and never touch a count.
 */
#ifndef KG_BASE_PMAP_H
#define KG_BASE_PMAP_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the map must know of its values. Several nodes of several versions may hold a value: retain and
 * release count them. */
struct kg_pmap_type {
    const void *(*key)(const void *value); /* points into the value; the value never changes it */
    uint64_t (*hash)(const void *key);
    bool (*same)(
        const void *key,
        const void *other); /* the full comparison, for keys whose hashes agree as far as looked at */
    void (*retain)(void *value);
    void (*release)(void *value);
};

struct kg_pmap_node;

struct kg_pmap {
    const struct kg_pmap_type *type;
    struct kg_pmap_node *root; /* NULL when empty */
    size_t count;
};

static inline struct kg_pmap kg_pmap_of(const struct kg_pmap_type *type)
{
    return (struct kg_pmap){ .type = type };
}

/* The value with this key, or NULL. Any thread that can see this version. */
void *kg_pmap_find(const struct kg_pmap *map, const void *key);

/* Adds the value, or puts it in the place of the one with the same key, which is released. The map retains
 * it. */
void kg_pmap_set(struct kg_pmap *map, void *value);

/* The values at once, into a map that is empty: several times as fast as one after the other, and each node
 * is as large as it must be from the start. No two have the same key. The map retains them. */
void kg_pmap_fill(struct kg_pmap *map, void *const *values, size_t count);

/* Takes the value with this key out: false when there is none. */
bool kg_pmap_del(struct kg_pmap *map, const void *key);

/* Another handle on the same version, to be freed for itself. */
struct kg_pmap kg_pmap_share(const struct kg_pmap *map);

/* Drops a version and all that no other one shares. The handle is empty afterwards. */
void kg_pmap_free(struct kg_pmap *map);

/* Calls visit for each value, in no order. The map must not change meanwhile; walk a shared handle to change
 * the other. */
void kg_pmap_each(const struct kg_pmap *map, void (*visit)(void *ctx, void *value), void *ctx);

/* A good hash of bytes for kg_pmap_type.hash. Not keyed: not for keys that a stranger puts into a map. */
uint64_t kg_pmap_hash(const void *bytes, size_t len);

/* hash and same for keys that are NUL-terminated text. */
uint64_t kg_pmap_hash_text(const void *key);
bool kg_pmap_same_text(const void *key, const void *other);

/* The same for keys that are a struct kg_slice. */
uint64_t kg_pmap_hash_slice(const void *key);
bool kg_pmap_same_slice(const void *key, const void *other);

#endif
