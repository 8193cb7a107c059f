/* SPDX-License-Identifier: BSD-2-Clause */
#include "guard/bans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MANY 1000u

static struct kg_addr source(uint32_t n)
{
    struct kg_addr addr = { .family = n % 2 ? 4 : 6 };

    memcpy(addr.bytes, &n, sizeof(n));
    return addr;
}

static struct kg_ban_entry *add(struct kg_bans *bans, uint32_t n)
{
    struct kg_addr addr = source(n);

    return kg_bans_add(bans, &addr);
}

static struct kg_ban_entry *find(struct kg_bans *bans, uint32_t n)
{
    struct kg_addr addr = source(n);

    return kg_bans_find(bans, &addr);
}

static void a_ban_is_found_until_it_is_removed(void **state)
{
    struct kg_bans *bans = kg_bans_new(MANY);

    for (uint32_t n = 0; n < MANY; n++)
        add(bans, n)->offences = n;
    for (uint32_t n = 0; n < MANY; n++)
        assert_int_equal(find(bans, n)->offences, n);
    for (uint32_t n = 0; n < MANY; n += 2)
        kg_bans_remove(bans, find(bans, n));
    for (uint32_t n = 0; n < MANY; n++)
        assert_int_equal(find(bans, n) != NULL, n % 2);
    assert_int_equal(kg_bans_count(bans), MANY / 2);
    kg_bans_free(bans);
}

static void a_full_table_takes_no_more_until_one_goes(void **state)
{
    struct kg_bans *bans = kg_bans_new(2);

    assert_non_null(add(bans, 1));
    assert_false(kg_bans_full(bans));
    assert_non_null(add(bans, 2));
    assert_true(kg_bans_full(bans));
    assert_null(add(bans, 3));
    kg_bans_remove(bans, find(bans, 1));
    assert_non_null(add(bans, 3));
    assert_null(find(bans, 1));
    kg_bans_free(bans);
}

static void bans_fall_due_in_the_order_of_their_expiry(void **state)
{
    struct kg_bans *bans = kg_bans_new(MANY);
    uint64_t last = 0, x = 7;
    uint32_t seen = 0;

    for (uint32_t n = 0; n < MANY; n++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        kg_bans_expire_at(bans, add(bans, n), 1 + (x >> 50));
    }
    /* Some change their mind, some never expire, some go. */
    for (uint32_t n = 0; n < MANY; n += 3)
        kg_bans_expire_at(bans, find(bans, n), 1 + n);
    for (uint32_t n = 1; n < MANY; n += 9)
        kg_bans_expire_at(bans, find(bans, n), 0);
    for (uint32_t n = 2; n < MANY; n += 9)
        kg_bans_remove(bans, find(bans, n));
    for (struct kg_ban_entry *e; (e = kg_bans_first_due(bans)); seen++) {
        assert_true(e->expires_ns >= last);
        last = e->expires_ns;
        kg_bans_remove(bans, e);
    }
    assert_int_equal(seen, MANY - 111 - 111);
    assert_int_equal(kg_bans_count(bans), 111);
    kg_bans_free(bans);
}

static void the_list_goes_from_old_to_new_also_after_sorting(void **state)
{
    static const int64_t since[] = { 50, 10, 40, 20, 30 };
    struct kg_bans *bans = kg_bans_new(8);
    struct kg_ban_entry *e;
    int64_t last = 0;

    for (uint32_t n = 0; n < 5; n++)
        add(bans, n)->since = since[n];
    kg_bans_sort(bans);
    for (e = kg_bans_oldest(bans); e; e = kg_bans_newer(bans, e)) {
        assert_int_equal(e->since, last + 10);
        last = e->since;
    }
    assert_int_equal(last, 50);
    kg_bans_remove(bans, find(bans, 1)); /* the oldest */
    kg_bans_remove(bans, find(bans, 4)); /* in the middle */
    e = kg_bans_oldest(bans);
    assert_int_equal(e->since, 20);
    e = kg_bans_newer(bans, e);
    assert_int_equal(e->since, 40);
    e = kg_bans_newer(bans, e);
    assert_int_equal(e->since, 50);
    assert_null(kg_bans_newer(bans, e));
    kg_bans_free(bans);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ban_is_found_until_it_is_removed),
        cmocka_unit_test(a_full_table_takes_no_more_until_one_goes),
        cmocka_unit_test(bans_fall_due_in_the_order_of_their_expiry),
        cmocka_unit_test(the_list_goes_from_old_to_new_also_after_sorting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
