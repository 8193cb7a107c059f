/* SPDX-License-Identifier: BSD-2-Clause */
/* The source itself, so that the shape of the trie can be looked at. */
#include "base/pmap.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define KEYS     512
#define VERSIONS 24

struct item {
    uint32_t refs;
    uint32_t key;
    uint32_t number;
};

static size_t alive;
/* How the test's hash spreads keys: all bits, only the last levels, or not at all. */
static uint64_t hash_mask = UINT64_MAX;

static const void *item_key(const void *value)
{
    return &((const struct item *)value)->key;
}

static uint64_t item_hash(const void *key)
{
    return kg_pmap_hash(key, sizeof(uint32_t)) & hash_mask;
}

static bool item_same(const void *key, const void *other)
{
    return *(const uint32_t *)key == *(const uint32_t *)other;
}

static void item_retain(void *value)
{
    ((struct item *)value)->refs++;
}

static void item_release(void *value)
{
    struct item *item = value;

    if (--item->refs > 0)
        return;
    free(item);
    alive--;
}

static const struct kg_pmap_type type = { item_key, item_hash, item_same, item_retain, item_release };

static void put(struct kg_pmap *map, uint32_t key, uint32_t number)
{
    struct item *item = kg_calloc(1, sizeof(*item));

    *item = (struct item){ .refs = 1, .key = key, .number = number };
    alive++;
    kg_pmap_set(map, item);
    item_release(item);
}

/* 0 = not there. */
static uint32_t get(const struct kg_pmap *map, uint32_t key)
{
    const struct item *item = kg_pmap_find(map, &key);

    return item ? item->number : 0;
}

struct version {
    struct kg_pmap map;
    uint32_t model[KEYS];
};

static void count_up(void *ctx, void *value)
{
    struct version *version = ((void **)ctx)[0];
    size_t *seen = ((void **)ctx)[1];
    const struct item *item = value;

    assert_int_equal(version->model[item->key], item->number);
    (*seen)++;
}

/* The bitmaps say what the slots hold, and no lonely value sits deeper than it must. */
static void check_shape(const struct kg_pmap_node *node, unsigned shift)
{
    assert_true(node->refs > 0);
    assert_true(slot_count(node) > 0);
    if (shift > 0)
        assert_false(node->value_count == 1 && node->child_count == 0);
    if (shift >= HASH_BITS) {
        assert_int_equal(node->child_count, 0);
        return;
    }
    assert_int_equal(node->values & node->children, 0);
    assert_int_equal(__builtin_popcount(node->values), node->value_count);
    assert_int_equal(__builtin_popcount(node->children), node->child_count);
    for (unsigned i = 0; i < node->child_count; i++)
        check_shape(node->slots[node->value_count + i], shift + BITS);
}

static void check(struct version *version)
{
    size_t expected = 0, seen = 0;
    void *ctx[] = { version, &seen };

    for (uint32_t key = 0; key < KEYS; key++) {
        assert_int_equal(get(&version->map, key), version->model[key]);
        expected += version->model[key] != 0;
    }
    assert_int_equal(version->map.count, expected);
    if (version->map.root)
        check_shape(version->map.root, 0);
    kg_pmap_each(&version->map, count_up, ctx);
    assert_int_equal(seen, expected);
}

static void random_write(struct version *version, uint32_t number)
{
    uint32_t key = (uint32_t)rand() % KEYS;

    if (rand() % 3 == 0) {
        assert_int_equal(kg_pmap_del(&version->map, &key), version->model[key] != 0);
        version->model[key] = 0;
        return;
    }
    put(&version->map, key, number);
    version->model[key] = number;
}

static void compare_with_array(uint64_t mask)
{
    static struct version now, kept[VERSIONS];

    hash_mask = mask;
    now = (struct version){ .map = kg_pmap_of(&type) };
    for (size_t i = 0; i < VERSIONS; i++)
        kept[i] = (struct version){ .map = kg_pmap_of(&type) };
    for (uint32_t i = 1; i <= 6000; i++) {
        random_write(&now, i);
        if (i % 50 != 0)
            continue;
        struct version *slot = &kept[(uint32_t)rand() % VERSIONS];
        check(slot);
        kg_pmap_free(&slot->map);
        *slot = now;
        slot->map = kg_pmap_share(&now.map);
        check(&now);
    }
    for (size_t i = 0; i < VERSIONS; i++) {
        check(&kept[i]);
        kg_pmap_free(&kept[i].map);
    }
    check(&now);
    kg_pmap_free(&now.map);
    assert_int_equal(alive, 0);
    hash_mask = UINT64_MAX;
}

static void agrees_with_a_plain_array_while_old_versions_stay(void **state)
{
    srand(1);
    compare_with_array(UINT64_MAX);
}

static void agrees_when_hashes_differ_only_in_their_last_bits(void **state)
{
    srand(2);
    compare_with_array(0xffull << 56);
}

static void agrees_when_all_hashes_collide(void **state)
{
    srand(3);
    compare_with_array(0);
}

static void a_write_to_one_handle_leaves_the_other(void **state)
{
    struct kg_pmap first = kg_pmap_of(&type);
    uint32_t key = 7;

    put(&first, 7, 70);
    put(&first, 8, 80);
    struct kg_pmap second = kg_pmap_share(&first);
    put(&first, 7, 71);
    assert_true(kg_pmap_del(&second, &(uint32_t){ 8 }));
    assert_int_equal(get(&first, 7), 71);
    assert_int_equal(get(&first, 8), 80);
    assert_int_equal(get(&second, 7), 70);
    assert_int_equal(get(&second, 8), 0);
    assert_int_equal(first.count, 2);
    assert_int_equal(second.count, 1);
    kg_pmap_free(&first);
    assert_non_null(kg_pmap_find(&second, &key));
    kg_pmap_free(&second);
    assert_int_equal(alive, 0);
}

/* Then writes go on as if the values had come one after the other. */
static void fill_and_write(uint64_t mask, uint32_t count)
{
    struct item *items[KEYS] = { NULL };
    struct version now = { .map = kg_pmap_of(&type) };

    hash_mask = mask;
    for (uint32_t i = 0; i < count; i++) {
        items[i] = kg_calloc(1, sizeof(*items[i]));
        *items[i] = (struct item){ .refs = 1, .key = i, .number = i + 1 };
        now.model[i] = i + 1;
        alive++;
    }
    kg_pmap_fill(&now.map, (void *const *)items, count);
    for (uint32_t i = 0; i < count; i++)
        item_release(items[i]);
    check(&now);
    for (uint32_t i = 1; i <= 2000; i++)
        random_write(&now, i);
    check(&now);
    kg_pmap_free(&now.map);
    assert_int_equal(alive, 0);
    hash_mask = UINT64_MAX;
}

static void a_map_filled_at_once_is_like_one_filled_by_and_by(void **state)
{
    static const uint64_t masks[] = { UINT64_MAX, 0xffull << 56, 0x3ff, 0 };

    srand(4);
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        fill_and_write(masks[i], 0);
        fill_and_write(masks[i], 1);
        fill_and_write(masks[i], 2);
        fill_and_write(masks[i], KEYS);
    }
}

static void an_empty_map_finds_and_deletes_nothing(void **state)
{
    struct kg_pmap map = kg_pmap_of(&type);
    uint32_t key = 1;

    assert_null(kg_pmap_find(&map, &key));
    assert_false(kg_pmap_del(&map, &key));
    put(&map, 1, 10);
    assert_true(kg_pmap_del(&map, &key));
    assert_null(map.root);
    kg_pmap_free(&map);
    assert_int_equal(alive, 0);
}

static void a_hash_sees_every_byte_and_the_length(void **state)
{
    char text[] = "0123456789abcdef-0123";
    uint64_t whole = kg_pmap_hash(text, sizeof(text) - 1);

    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        text[i] ^= 1;
        assert_true(kg_pmap_hash(text, sizeof(text) - 1) != whole);
        text[i] ^= 1;
    }
    assert_true(kg_pmap_hash("\0", 1) != kg_pmap_hash("\0\0", 2));
    assert_true(kg_pmap_hash("", 0) != kg_pmap_hash("\0", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_plain_array_while_old_versions_stay),
        cmocka_unit_test(agrees_when_hashes_differ_only_in_their_last_bits),
        cmocka_unit_test(agrees_when_all_hashes_collide),
        cmocka_unit_test(a_write_to_one_handle_leaves_the_other),
        cmocka_unit_test(a_map_filled_at_once_is_like_one_filled_by_and_by),
        cmocka_unit_test(an_empty_map_finds_and_deletes_nothing),
        cmocka_unit_test(a_hash_sees_every_byte_and_the_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
