/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/pmap.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define BITS      5
#define INDEX     ((1u << BITS) - 1)
#define HASH_BITS 64
#define DEPTH                                                                                                \
    (HASH_BITS / BITS + 2) /* 13 levels eat the hash, the last one holds what agrees in all 64 bits */

/*
 * slots holds first the values, then the children, both in the order of their bits. A node below the last bit
 * of the hash has no bitmap: all its values collide, and they are compared one after the other. Kept in
 * normal form: no node but the root holds a single value and no child; such a value lives in the parent.
 */
struct kg_pmap_node {
    uint32_t refs;
    uint32_t values, children; /* bitmaps by the level's five bits; disjoint */
    uint16_t value_count, child_count;
    void *slots[];
};

static uint32_t bit_at(uint64_t hash, unsigned shift)
{
    return 1u << ((unsigned)(hash >> shift) & INDEX);
}

static unsigned value_index(const struct kg_pmap_node *node, uint32_t bit)
{
    return (unsigned)__builtin_popcount(node->values & (bit - 1));
}

static unsigned child_index(const struct kg_pmap_node *node, uint32_t bit)
{
    return node->value_count + (unsigned)__builtin_popcount(node->children & (bit - 1));
}

static unsigned slot_count(const struct kg_pmap_node *node)
{
    return (unsigned)node->value_count + node->child_count;
}

static struct kg_pmap_node *resize(struct kg_pmap_node *node, unsigned slots)
{
    return kg_realloc(node, 1, sizeof(*node) + slots * sizeof(void *));
}

static struct kg_pmap_node *new_node(unsigned slots)
{
    struct kg_pmap_node *node = kg_calloc(1, sizeof(*node) + slots * sizeof(void *));

    node->refs = 1;
    return node;
}

static const void *find_colliding(const struct kg_pmap *map, const struct kg_pmap_node *node, const void *key,
                                  unsigned *index)
{
    for (unsigned i = 0; i < node->value_count; i++) {
        if (map->type->same(map->type->key(node->slots[i]), key)) {
            *index = i;
            return node->slots[i];
        }
    }
    return NULL;
}

void *kg_pmap_find(const struct kg_pmap *map, const void *key)
{
    const struct kg_pmap_node *node = map->root;
    unsigned index;

    if (!node) /* the key need not even be in a cache */
        return NULL;
    uint64_t hash = map->type->hash(key);
    for (unsigned shift = 0; node; shift += BITS) {
        if (shift >= HASH_BITS)
            return find_colliding(map, node, key, &index) ? node->slots[index] : NULL;
        uint32_t bit = bit_at(hash, shift);
        if (node->values & bit) {
            void *value = node->slots[value_index(node, bit)];
            return map->type->same(map->type->key(value), key) ? value : NULL;
        }
        if (!(node->children & bit))
            return NULL;
        node = node->slots[child_index(node, bit)];
    }
    return NULL;
}

/* Makes the node behind a link ours alone: copied when another version reaches it too. */
static struct kg_pmap_node *own(const struct kg_pmap *map, struct kg_pmap_node **link)
{
    struct kg_pmap_node *node = *link;
    unsigned slots = slot_count(node);

    if (node->refs == 1)
        return node;
    struct kg_pmap_node *copy = resize(NULL, slots);
    memcpy(copy, node, sizeof(*node) + slots * sizeof(void *));
    copy->refs = 1;
    for (unsigned i = 0; i < copy->value_count; i++)
        map->type->retain(copy->slots[i]);
    for (unsigned i = copy->value_count; i < slots; i++)
        ((struct kg_pmap_node *)copy->slots[i])->refs++;
    node->refs--;
    *link = copy;
    return copy;
}

/* The following four change an owned node and may move it. */
static struct kg_pmap_node *insert_value(struct kg_pmap_node *node, unsigned at, void *value)
{
    unsigned slots = slot_count(node);

    KG_ASSERT(node->value_count < UINT16_MAX);
    node = resize(node, slots + 1);
    memmove(&node->slots[at + 1], &node->slots[at], (slots - at) * sizeof(void *));
    node->slots[at] = value;
    node->value_count++;
    return node;
}

static struct kg_pmap_node *remove_value(struct kg_pmap_node *node, unsigned at)
{
    unsigned slots = slot_count(node);

    memmove(&node->slots[at], &node->slots[at + 1], (slots - at - 1) * sizeof(void *));
    node->value_count--;
    return resize(node, slots - 1);
}

/* Pushes the value under `bit` down into a new child of its own. */
static void value_to_child(const struct kg_pmap *map, struct kg_pmap_node *node, uint32_t bit,
                           unsigned child_shift)
{
    unsigned from = value_index(node, bit);
    void *value = node->slots[from];
    struct kg_pmap_node *child = insert_value(new_node(0), 0, value);

    if (child_shift < HASH_BITS)
        child->values = bit_at(map->type->hash(map->type->key(value)), child_shift);
    node->values &= ~bit;
    node->value_count--;
    unsigned to = child_index(node, bit);
    memmove(&node->slots[from], &node->slots[from + 1], (to - from) * sizeof(void *));
    node->slots[to] = child;
    node->children |= bit;
    node->child_count++;
}

/* The reverse: takes the only value of the child under `bit` up. */
static void child_to_value(struct kg_pmap_node *node, uint32_t bit)
{
    unsigned from = child_index(node, bit);
    struct kg_pmap_node *child = node->slots[from];
    void *value = child->slots[0];
    unsigned to = value_index(node, bit);

    KG_ASSERT(child->refs == 1 && child->value_count == 1 && child->child_count == 0);
    free(child);
    memmove(&node->slots[to + 1], &node->slots[to], (from - to) * sizeof(void *));
    node->slots[to] = value;
    node->values |= bit;
    node->children &= ~bit;
    node->value_count++;
    node->child_count--;
}

static void replace_value(const struct kg_pmap *map, struct kg_pmap_node *node, unsigned at, void *value)
{
    void *old = node->slots[at];

    node->slots[at] = value;
    map->type->release(old);
}

static void set_colliding(struct kg_pmap *map, struct kg_pmap_node **link, const void *key, void *value)
{
    struct kg_pmap_node *node = *link;
    unsigned index;

    if (find_colliding(map, node, key, &index)) {
        replace_value(map, node, index, value);
        return;
    }
    *link = insert_value(node, node->value_count, value);
    map->count++;
}

void kg_pmap_set(struct kg_pmap *map, void *value)
{
    const void *key = map->type->key(value);
    uint64_t hash = map->type->hash(key);
    struct kg_pmap_node **link = &map->root;
    unsigned shift = 0;

    map->type->retain(value);
    if (!map->root)
        map->root = new_node(0);
    for (; shift < HASH_BITS; shift += BITS) {
        struct kg_pmap_node *node = own(map, link);
        uint32_t bit = bit_at(hash, shift);
        if (!((node->values | node->children) & bit)) {
            node = *link = insert_value(node, value_index(node, bit), value);
            node->values |= bit;
            map->count++;
            return;
        }
        if (node->values & bit) {
            unsigned at = value_index(node, bit);
            if (map->type->same(map->type->key(node->slots[at]), key)) {
                replace_value(map, node, at, value);
                return;
            }
            value_to_child(map, node, bit, shift + BITS);
        }
        link = (struct kg_pmap_node **)&node->slots[child_index(node, bit)];
    }
    own(map, link);
    set_colliding(map, link, key, value);
}

struct entry {
    uint64_t hash;
    void *value;
};

/* Sorts by the level's five bits into `to`; the start of each of their values goes into starts, the last one
 * is the end. */
static void distribute(const struct entry *from, struct entry *to, size_t count, unsigned shift,
                       size_t starts[INDEX + 2])
{
    size_t at[INDEX + 1];

    memset(starts, 0, (INDEX + 2) * sizeof(*starts));
    for (size_t i = 0; i < count; i++)
        starts[((from[i].hash >> shift) & INDEX) + 1]++;
    for (unsigned i = 0; i <= INDEX; i++)
        starts[i + 1] += starts[i];
    memcpy(at, starts, sizeof(at));
    for (size_t i = 0; i < count; i++)
        to[at[(from[i].hash >> shift) & INDEX]++] = from[i];
}

static struct kg_pmap_node *build_colliding(const struct kg_pmap *map, const struct entry *entries,
                                            size_t count)
{
    struct kg_pmap_node *node = new_node(0);
    unsigned index;

    for (size_t i = 0; i < count; i++) {
        KG_ASSERT(!find_colliding(map, node, map->type->key(entries[i].value), &index));
        node = insert_value(node, (unsigned)i, entries[i].value);
    }
    return node;
}

/* Recursive, but never deeper than DEPTH. `spare` has room for as many. */
static struct kg_pmap_node *build(const struct kg_pmap *map, struct entry *entries, struct entry *spare,
                                  size_t count, unsigned shift)
{
    size_t starts[INDEX + 2];
    unsigned slots = 0;

    if (shift >= HASH_BITS)
        return build_colliding(map, entries, count);
    distribute(entries, spare, count, shift, starts);
    for (unsigned i = 0; i <= INDEX; i++)
        slots += starts[i + 1] > starts[i];
    struct kg_pmap_node *node = new_node(slots);
    for (unsigned i = 0; i <= INDEX; i++) {
        if (starts[i + 1] - starts[i] != 1)
            continue;
        node->values |= 1u << i;
        node->slots[node->value_count++] = spare[starts[i]].value;
    }
    for (unsigned i = 0; i <= INDEX; i++) {
        size_t size = starts[i + 1] - starts[i];
        if (size < 2)
            continue;
        node->children |= 1u << i;
        node->slots[slot_count(node)] =
            build(map, spare + starts[i], entries + starts[i], size, shift + BITS);
        node->child_count++;
    }
    return node;
}

void kg_pmap_fill(struct kg_pmap *map, void *const *values, size_t count)
{
    struct entry *entries = kg_calloc(count, 2 * sizeof(*entries));

    KG_ASSERT(!map->root);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct entry){ map->type->hash(map->type->key(values[i])), values[i] };
        map->type->retain(values[i]);
    }
    if (count > 0)
        map->root = build(map, entries, entries + count, count, 0);
    map->count = count;
    free(entries);
}

/* Removes the value from the node behind the last link, and returns it. */
static void *take_value(const struct kg_pmap *map, struct kg_pmap_node **link, uint64_t hash, unsigned shift,
                        const void *key)
{
    struct kg_pmap_node *node = *link;
    unsigned at = 0;

    if (shift < HASH_BITS) {
        uint32_t bit = bit_at(hash, shift);
        at = value_index(node, bit);
        node->values &= ~bit;
    } else {
        KG_ASSERT(find_colliding(map, node, key, &at) != NULL);
    }
    void *value = node->slots[at];
    *link = remove_value(node, at);
    return value;
}

bool kg_pmap_del(struct kg_pmap *map, const void *key)
{
    struct kg_pmap_node **links[DEPTH] = { &map->root };
    uint64_t hash = map->type->hash(key);
    unsigned level = 0;

    if (!kg_pmap_find(map, key))
        return false;
    struct kg_pmap_node *node = own(map, links[0]);
    while (level * BITS < HASH_BITS && node->children & bit_at(hash, level * BITS)) {
        uint32_t bit = bit_at(hash, level * BITS);
        links[++level] = (struct kg_pmap_node **)&node->slots[child_index(node, bit)];
        node = own(map, links[level]);
    }
    void *value = take_value(map, links[level], hash, level * BITS, key);
    map->count--;
    for (; level > 0; level--) {
        node = *links[level];
        if (node->value_count != 1 || node->child_count != 0)
            break;
        child_to_value(*links[level - 1], bit_at(hash, (level - 1) * BITS));
    }
    if (map->count == 0) {
        free(map->root);
        map->root = NULL;
    }
    /* Last: the key may live in it. */
    map->type->release(value);
    return true;
}

struct kg_pmap kg_pmap_share(const struct kg_pmap *map)
{
    if (map->root)
        map->root->refs++;
    return *map;
}

/* Recursive, but never deeper than DEPTH. */
static void release_node(const struct kg_pmap *map, struct kg_pmap_node *node)
{
    if (--node->refs > 0)
        return;
    for (unsigned i = 0; i < node->value_count; i++)
        map->type->release(node->slots[i]);
    for (unsigned i = 0; i < node->child_count; i++)
        release_node(map, node->slots[node->value_count + i]);
    free(node);
}

void kg_pmap_free(struct kg_pmap *map)
{
    if (map->root)
        release_node(map, map->root);
    map->root = NULL;
    map->count = 0;
}

static void visit_node(const struct kg_pmap_node *node, void (*visit)(void *ctx, void *value), void *ctx)
{
    for (unsigned i = 0; i < node->value_count; i++)
        visit(ctx, node->slots[i]);
    for (unsigned i = 0; i < node->child_count; i++)
        visit_node(node->slots[node->value_count + i], visit, ctx);
}

void kg_pmap_each(const struct kg_pmap *map, void (*visit)(void *ctx, void *value), void *ctx)
{
    if (map->root)
        visit_node(map->root, visit, ctx);
}

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15ull;
    return h ^ h >> 29;
}

uint64_t kg_pmap_hash(const void *bytes, size_t len)
{
    const char *at = bytes;
    uint64_t h = mix(len + 1);
    uint64_t word;

    for (; len >= sizeof(word); at += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        h = mix(h ^ word);
    }
    word = 0;
    if (len > 0)
        memcpy(&word, at, len);
    return mix(mix(h ^ word));
}

uint64_t kg_pmap_hash_text(const void *key)
{
    return kg_pmap_hash(key, strlen(key));
}

bool kg_pmap_same_text(const void *key, const void *other)
{
    return strcmp(key, other) == 0;
}

uint64_t kg_pmap_hash_slice(const void *key)
{
    const struct kg_slice *slice = key;

    return kg_pmap_hash(slice->ptr, slice->len);
}

bool kg_pmap_same_slice(const void *key, const void *other)
{
    return kg_slice_eq(*(const struct kg_slice *)key, *(const struct kg_slice *)other);
}
