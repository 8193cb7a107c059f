/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/distance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void counts_the_edits_between_two_words(void **state)
{
    assert_int_equal(kg_distance("", ""), 0);
    assert_int_equal(kg_distance("", "abc"), 3);
    assert_int_equal(kg_distance("abc", ""), 3);
    assert_int_equal(kg_distance("route", "route"), 0);
    assert_int_equal(kg_distance("rout", "route"), 1);
    assert_int_equal(kg_distance("rotue", "route"), 2);
    assert_int_equal(kg_distance("kitten", "sitting"), 3);
}

static void is_the_same_in_both_directions(void **state)
{
    assert_int_equal(kg_distance("threshhold", "threshold"), 1);
    assert_int_equal(kg_distance("threshold", "threshhold"), 1);
}

static void words_too_long_are_as_far_as_can_be(void **state)
{
    char longest[KG_DISTANCE_MAX + 1], longer[KG_DISTANCE_MAX + 2];

    memset(longest, 'a', sizeof(longest));
    memset(longer, 'a', sizeof(longer));
    longest[sizeof(longest) - 1] = longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(kg_distance(longest, longest), 0);
    assert_int_equal(kg_distance(longest, longer), KG_DISTANCE_MAX);
    assert_int_equal(kg_distance(longer, longest), KG_DISTANCE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_the_edits_between_two_words),
        cmocka_unit_test(is_the_same_in_both_directions),
        cmocka_unit_test(words_too_long_are_as_far_as_can_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
