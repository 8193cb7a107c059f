/* SPDX-License-Identifier: BSD-2-Clause */
#include "guard/scores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define WINDOW_MS 8000 /* slices of one second */

static struct kg_addr source(uint32_t n)
{
    struct kg_addr addr = { .family = 4 };

    memcpy(addr.bytes, &n, sizeof(n));
    return addr;
}

static bool fail_once(struct kg_scores *scores, uint32_t n, uint64_t now_ms)
{
    struct kg_addr addr = source(n);

    return kg_scores_add(scores, &addr, now_ms);
}

static uint32_t score(struct kg_scores *scores, uint32_t n, uint64_t now_ms)
{
    struct kg_addr addr = source(n);

    return kg_scores_get(scores, &addr, now_ms);
}

static void the_threshold_is_reached_by_exactly_that_many_failures(void **state)
{
    struct kg_scores *scores = kg_scores_new(16, 3, WINDOW_MS);

    assert_false(fail_once(scores, 1, 100));
    assert_false(fail_once(scores, 1, 100));
    assert_false(fail_once(scores, 2, 100));
    assert_true(fail_once(scores, 1, 100));
    assert_int_equal(score(scores, 1, 100), 0);
    assert_false(fail_once(scores, 1, 100));
    kg_scores_free(scores);
}

static void a_threshold_of_one_bans_at_once(void **state)
{
    struct kg_scores *scores = kg_scores_new(1, 1, WINDOW_MS);

    assert_true(fail_once(scores, 1, 5));
    assert_true(fail_once(scores, 2, 5));
    assert_int_equal(kg_scores_count(scores), 0);
    kg_scores_free(scores);
}

/* Whatever moment in a slice they begin at. */
static void failures_within_seven_eighths_of_the_window_always_count_together(void **state)
{
    for (uint64_t start = 50000; start < 51000; start += 37) {
        struct kg_scores *scores = kg_scores_new(16, 8, WINDOW_MS);

        for (unsigned i = 0; i < 7; i++)
            assert_false(fail_once(scores, 1, start + i * 1000));
        assert_true(fail_once(scores, 1, start + 7000));
        kg_scores_free(scores);
    }
}

static void failures_further_apart_than_the_window_never_count_together(void **state)
{
    for (uint64_t start = 50000; start < 51000; start += 37) {
        struct kg_scores *scores = kg_scores_new(16, 10, WINDOW_MS);

        for (unsigned i = 0; i < 9; i++)
            assert_false(fail_once(scores, 1, start));
        assert_false(fail_once(scores, 1, start + WINDOW_MS));
        assert_int_equal(score(scores, 1, start + WINDOW_MS), 1);
        kg_scores_free(scores);
    }
}

static void scores_fade_slice_by_slice(void **state)
{
    struct kg_scores *scores = kg_scores_new(16, 100, WINDOW_MS);

    for (uint64_t second = 0; second < 8; second++)
        fail_once(scores, 1, 80000 + second * 1000);
    for (uint64_t second = 0; second <= 8; second++)
        assert_int_equal(score(scores, 1, 87000 + second * 1000), 8 - second);
    assert_int_equal(score(scores, 1, UINT64_MAX), 0);
    kg_scores_free(scores);
}

static void a_slow_source_is_never_banned(void **state)
{
    struct kg_scores *scores = kg_scores_new(16, 3, WINDOW_MS);

    for (unsigned i = 0; i < 200; i++)
        assert_false(fail_once(scores, 1, 1000 + i * 4000));
    kg_scores_free(scores);
}

static void a_full_table_replaces_whoever_failed_longest_ago(void **state)
{
    struct kg_scores *scores = kg_scores_new(4, 100, WINDOW_MS);

    for (uint32_t n = 1; n <= 4; n++)
        fail_once(scores, n, 1000);
    fail_once(scores, 1, 1001); /* now 2 is the oldest */
    fail_once(scores, 5, 1002);
    assert_int_equal(kg_scores_count(scores), 4);
    assert_int_equal(score(scores, 2, 1002), 0);
    assert_int_equal(score(scores, 1, 1002), 2);
    assert_int_equal(score(scores, 3, 1002), 1);
    assert_int_equal(score(scores, 5, 1002), 1);
    kg_scores_free(scores);
}

static void a_flood_of_single_failures_does_not_push_out_a_source_half_way_to_its_ban(void **state)
{
    struct kg_scores *scores = kg_scores_new(64, 10, WINDOW_MS);

    for (unsigned i = 0; i < 5; i++)
        fail_once(scores, 1, 1000);
    for (uint32_t n = 1000; n < 101000; n++)
        assert_false(fail_once(scores, n, 1500));
    assert_int_equal(score(scores, 1, 1500), 5);
    for (unsigned i = 0; i < 4; i++)
        assert_false(fail_once(scores, 1, 1600));
    assert_true(fail_once(scores, 1, 1600));
    kg_scores_free(scores);
}

static void whoever_stopped_failing_makes_room_even_if_it_was_half_way(void **state)
{
    struct kg_scores *scores = kg_scores_new(4, 4, WINDOW_MS);

    for (uint32_t n = 1; n <= 4; n++) {
        fail_once(scores, n, 1000);
        fail_once(scores, n, 1000);
    }
    /* All are half-way; the oldest goes. Later all are stale and go before the newcomers. */
    fail_once(scores, 5, 2000);
    assert_int_equal(score(scores, 1, 2000), 0);
    for (uint32_t n = 10; n < 13; n++)
        fail_once(scores, n, 20000);
    assert_int_equal(score(scores, 10, 20000), 1);
    assert_int_equal(score(scores, 11, 20000), 1);
    assert_int_equal(score(scores, 12, 20000), 1);
    kg_scores_free(scores);
}

static void an_ipv4_source_and_a_64_of_the_same_bytes_are_two(void **state)
{
    struct kg_scores *scores = kg_scores_new(16, 2, WINDOW_MS);
    struct kg_addr v4 = { .family = 4, .bytes = { 10, 1, 2, 3 } };
    struct kg_addr v6 = { .family = 6, .bytes = { 10, 1, 2, 3 } };

    assert_false(kg_scores_add(scores, &v4, 1));
    assert_false(kg_scores_add(scores, &v6, 1));
    assert_true(kg_scores_add(scores, &v6, 1));
    assert_int_equal(kg_scores_get(scores, &v4, 1), 1);
    kg_scores_free(scores);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_threshold_is_reached_by_exactly_that_many_failures),
        cmocka_unit_test(a_threshold_of_one_bans_at_once),
        cmocka_unit_test(failures_within_seven_eighths_of_the_window_always_count_together),
        cmocka_unit_test(failures_further_apart_than_the_window_never_count_together),
        cmocka_unit_test(scores_fade_slice_by_slice),
        cmocka_unit_test(a_slow_source_is_never_banned),
        cmocka_unit_test(a_full_table_replaces_whoever_failed_longest_ago),
        cmocka_unit_test(a_flood_of_single_failures_does_not_push_out_a_source_half_way_to_its_ban),
        cmocka_unit_test(whoever_stopped_failing_makes_room_even_if_it_was_half_way),
        cmocka_unit_test(an_ipv4_source_and_a_64_of_the_same_bytes_are_two),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
