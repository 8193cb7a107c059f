/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/slice.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define assert_slice(slice, text) assert_true(kg_slice_eq((slice), kg_slice_str(text)))

static void compares_bytes_and_length(void **state)
{
    assert_true(kg_slice_eq(KG_SLICE("abc"), KG_SLICE("abc")));
    assert_false(kg_slice_eq(KG_SLICE("abc"), KG_SLICE("abd")));
    assert_false(kg_slice_eq(KG_SLICE("abc"), KG_SLICE("ab")));
    assert_false(kg_slice_eq(KG_SLICE("a\0b"), KG_SLICE("a\0c")));
    assert_true(kg_slice_eq(kg_slice_str(NULL), KG_SLICE("")));
    assert_true(kg_slice_eq_nocase(KG_SLICE("Content-LENGTH"), KG_SLICE("content-length")));
    assert_false(kg_slice_eq_nocase(KG_SLICE("abc"), KG_SLICE("abcd")));
    /* Only letters fold: '@' and '`', '[' and '{' differ by the same bit. */
    assert_false(kg_slice_eq_nocase(KG_SLICE("@["), KG_SLICE("`{")));
    assert_false(kg_slice_eq_nocase(KG_SLICE("\xc4"), KG_SLICE("\xe4")));
}

static void knows_prefixes(void **state)
{
    assert_true(kg_slice_starts_with(KG_SLICE("abc"), KG_SLICE("ab")));
    assert_true(kg_slice_starts_with(KG_SLICE("abc"), KG_SLICE("")));
    assert_true(kg_slice_starts_with(kg_slice_str(NULL), kg_slice_str(NULL)));
    assert_false(kg_slice_starts_with(KG_SLICE("abc"), KG_SLICE("abcd")));
    assert_false(kg_slice_starts_with(KG_SLICE("abc"), KG_SLICE("b")));
}

static void trims_blanks_and_tabs_only(void **state)
{
    assert_slice(kg_slice_trim(KG_SLICE(" \t a b\t ")), "a b");
    assert_slice(kg_slice_trim(KG_SLICE(" \t ")), "");
    assert_slice(kg_slice_trim(KG_SLICE("\va\n")), "\va\n");
    assert_int_equal(kg_slice_trim(kg_slice_of(NULL, 0)).len, 0);
}

static void finds_a_byte_or_gives_the_length(void **state)
{
    assert_int_equal(kg_slice_find(KG_SLICE("a=b=c"), '='), 1);
    assert_int_equal(kg_slice_find(KG_SLICE("abc"), '='), 3);
    assert_int_equal(kg_slice_find(kg_slice_str(NULL), '='), 0);
}

static void reads_whole_decimal_numbers(void **state)
{
    uint64_t value = 7;

    assert_int_equal(kg_slice_u64(KG_SLICE("0"), &value), 0);
    assert_true(value == 0);
    assert_int_equal(kg_slice_u64(KG_SLICE("00018446744073709551615"), &value), 0);
    assert_true(value == UINT64_MAX);
    value = 7;
    assert_int_equal(kg_slice_u64(KG_SLICE("18446744073709551616"), &value), -ERANGE);
    assert_int_equal(kg_slice_u64(KG_SLICE("99999999999999999999999"), &value), -ERANGE);
    assert_int_equal(kg_slice_u64(KG_SLICE(""), &value), -EINVAL);
    assert_int_equal(kg_slice_u64(KG_SLICE("+1"), &value), -EINVAL);
    assert_int_equal(kg_slice_u64(KG_SLICE("-1"), &value), -EINVAL);
    assert_int_equal(kg_slice_u64(KG_SLICE(" 1"), &value), -EINVAL);
    assert_int_equal(kg_slice_u64(KG_SLICE("1 "), &value), -EINVAL);
    assert_int_equal(kg_slice_u64(KG_SLICE("0x1"), &value), -EINVAL);
    assert_true(value == 7);
}

static void cuts_lists_and_skips_empty_elements(void **state)
{
    struct kg_slice list = KG_SLICE(" , a ,,b c\t,\t,d"), element;

    assert_true(kg_slice_next_element(&list, &element));
    assert_slice(element, "a");
    assert_true(kg_slice_next_element(&list, &element));
    assert_slice(element, "b c");
    assert_true(kg_slice_next_element(&list, &element));
    assert_slice(element, "d");
    assert_false(kg_slice_next_element(&list, &element));
    list = KG_SLICE(" ,, ");
    assert_false(kg_slice_next_element(&list, &element));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_bytes_and_length),   cmocka_unit_test(knows_prefixes),
        cmocka_unit_test(trims_blanks_and_tabs_only),  cmocka_unit_test(finds_a_byte_or_gives_the_length),
        cmocka_unit_test(reads_whole_decimal_numbers), cmocka_unit_test(cuts_lists_and_skips_empty_elements),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
