/* SPDX-License-Identifier: BSD-2-Clause */
/* The use of keys, told once a minute. */
#include "model/key_uses.h"
#include "model/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NOON 1700000000ll

static struct kg_key_uses uses;

static int begin(void **state)
{
    uses.head = uses.tail = 0;
    return 0;
}

static void the_first_use_of_a_minute_is_told_and_no_other(void **state)
{
    struct kg_credential_record credential = { .pub.id = "a" };
    struct kg_key_use use;

    kg_key_uses_note(&uses, &credential.pub, NOON);
    kg_key_uses_note(&uses, &credential.pub, NOON + 1);
    assert_true(kg_key_uses_take(&uses, &use));
    assert_string_equal(use.id, "a");
    assert_int_equal(use.at, NOON / 60 * 60);
    assert_false(kg_key_uses_take(&uses, &use));
    kg_key_uses_note(&uses, &credential.pub, NOON + 60);
    assert_true(kg_key_uses_take(&uses, &use));
    assert_int_equal(use.at, NOON / 60 * 60 + 60);
    assert_false(kg_key_uses_take(&uses, &use));
}

static void what_finds_no_room_is_told_by_a_later_use(void **state)
{
    static struct kg_credential_record filler[KG_KEY_USES];
    struct kg_credential_record late = { .pub.id = "late" };
    struct kg_key_use use;

    for (size_t i = 0; i < KG_KEY_USES; i++)
        kg_key_uses_note(&uses, &filler[i].pub, NOON);
    kg_key_uses_note(&uses, &late.pub, NOON);
    for (size_t i = 0; i < KG_KEY_USES; i++)
        assert_true(kg_key_uses_take(&uses, &use));
    assert_string_equal(use.id, "");
    assert_false(kg_key_uses_take(&uses, &use));
    kg_key_uses_note(&uses, &late.pub, NOON);
    assert_true(kg_key_uses_take(&uses, &use));
    assert_string_equal(use.id, "late");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_use_of_a_minute_is_told_and_no_other, begin),
        cmocka_unit_test_setup(what_finds_no_room_is_told_by_a_later_use, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
