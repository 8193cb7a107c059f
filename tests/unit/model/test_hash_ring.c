/* SPDX-License-Identifier: BSD-2-Clause */
/* Rings measured: shares by weight, and what moves when a member comes or goes. */
#include "model/hash_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LEN     10000
#define MEMBERS 20

/* Hashes as those of real members are. */
static uint64_t key(unsigned i)
{
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 29) * 0xff51afd7ed558ccdu;
    return x ^ x >> 32;
}

static void count_shares(const uint16_t *ring, size_t len, size_t *shares, size_t members)
{
    memset(shares, 0, members * sizeof(*shares));
    for (size_t i = 0; i < len; i++) {
        assert_true(ring[i] < members);
        shares[ring[i]]++;
    }
}

static void each_member_has_the_share_of_its_weight(void **state)
{
    struct kg_ring_member members[MEMBERS];
    size_t shares[MEMBERS], weights = 0;
    uint16_t ring[LEN];

    for (unsigned i = 0; i < MEMBERS; i++) {
        members[i] = (struct kg_ring_member){ key(i), 100 * (1 + i % 4) };
        weights += members[i].weight;
    }
    kg_hash_ring_fill(members, MEMBERS, ring, LEN);
    count_shares(ring, LEN, shares, MEMBERS);
    for (unsigned i = 0; i < MEMBERS; i++) {
        double wanted = (double)LEN * members[i].weight / (double)weights;

        /* 200 to 800 entries each: a quarter off would be more than 3.5 times the spread of chance. */
        assert_true((double)shares[i] > wanted * 0.75 && (double)shares[i] < wanted * 1.25);
    }
}

static void a_small_weight_has_its_entries_beside_a_large_one(void **state)
{
    const struct kg_ring_member members[] = { { key(1), 1 }, { key(2), 65535 }, { key(3), 655 } };
    size_t shares[3];
    static uint16_t ring[65536];

    kg_hash_ring_fill(members, 3, ring, 65536);
    count_shares(ring, 65536, shares, 3);
    assert_true(shares[0] <= 8);
    assert_true(shares[2] > 400 && shares[2] < 900);
}

static void the_order_of_the_members_does_not_matter(void **state)
{
    struct kg_ring_member members[MEMBERS], turned[MEMBERS];
    uint16_t ring[LEN], other[LEN];

    for (unsigned i = 0; i < MEMBERS; i++)
        turned[MEMBERS - 1 - i] = members[i] = (struct kg_ring_member){ key(i), 1 + i };
    kg_hash_ring_fill(members, MEMBERS, ring, LEN);
    kg_hash_ring_fill(turned, MEMBERS, other, LEN);
    for (size_t i = 0; i < LEN; i++)
        assert_int_equal(ring[i], MEMBERS - 1 - other[i]);
}

/* Exactly so: no entry changes hands between two members that were there before. */
static void a_new_member_takes_its_share_and_moves_nothing_else(void **state)
{
    struct kg_ring_member members[MEMBERS];
    uint16_t before[LEN], after[LEN];
    size_t moved = 0;

    for (unsigned i = 0; i < MEMBERS; i++)
        members[i] = (struct kg_ring_member){ key(i), 100 };
    kg_hash_ring_fill(members, MEMBERS - 1, before, LEN);
    kg_hash_ring_fill(members, MEMBERS, after, LEN);
    for (size_t i = 0; i < LEN; i++) {
        if (before[i] == after[i])
            continue;
        assert_int_equal(after[i], MEMBERS - 1);
        moved++;
    }
    assert_true(moved > LEN / MEMBERS * 3 / 4 && moved < LEN / MEMBERS * 5 / 4);
}

static void a_larger_weight_only_gains(void **state)
{
    struct kg_ring_member members[MEMBERS];
    uint16_t before[LEN], after[LEN];

    for (unsigned i = 0; i < MEMBERS; i++)
        members[i] = (struct kg_ring_member){ key(i), 100 };
    kg_hash_ring_fill(members, MEMBERS, before, LEN);
    members[7].weight = 200;
    kg_hash_ring_fill(members, MEMBERS, after, LEN);
    for (size_t i = 0; i < LEN; i++)
        assert_true(before[i] == after[i] || after[i] == 7);
}

static void one_member_has_it_all_and_many_fit(void **state)
{
    struct kg_ring_member *many = calloc(65536, sizeof(*many));
    uint16_t ring[10];
    size_t shares[1];

    assert_non_null(many);
    for (unsigned i = 0; i < 65536; i++)
        many[i] = (struct kg_ring_member){ key(i), 1 + i % 100 };
    kg_hash_ring_fill(many, 1, ring, 10);
    count_shares(ring, 10, shares, 1);
    assert_int_equal(shares[0], 10);
    kg_hash_ring_fill(many, 65536, ring, 10);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_member_has_the_share_of_its_weight),
        cmocka_unit_test(a_small_weight_has_its_entries_beside_a_large_one),
        cmocka_unit_test(the_order_of_the_members_does_not_matter),
        cmocka_unit_test(a_new_member_takes_its_share_and_moves_nothing_else),
        cmocka_unit_test(a_larger_weight_only_gains),
        cmocka_unit_test(one_member_has_it_all_and_many_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
