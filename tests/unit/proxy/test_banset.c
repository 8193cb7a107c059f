/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proxy/banset.h"
#include "base/prng.h"

#define SOURCES 4096
#define STEPS   200000u

static struct kg_addr source_of(unsigned n)
{
    struct kg_addr addr = { .family = n % 3 == 0 ? 6 : 4 };

    addr.bytes[0] = (uint8_t)(n >> 8);
    addr.bytes[1] = (uint8_t)n;
    return addr;
}

static void a_ban_holds_until_its_time_and_not_longer(void **state)
{
    struct kg_banset set;
    struct kg_addr source = source_of(7);

    kg_banset_init(&set);
    assert_false(kg_banset_has(&set, &source, 0));
    kg_banset_put(&set, &source, 1000, 1);
    assert_true(kg_banset_has(&set, &source, 999));
    assert_false(kg_banset_has(&set, &source, 1000));
    assert_int_equal(set.count, 0);
    kg_banset_free(&set);
}

static void a_ban_without_end_has_none(void **state)
{
    struct kg_banset set;
    struct kg_addr source = source_of(7);

    kg_banset_init(&set);
    kg_banset_put(&set, &source, 0, 1);
    assert_true(kg_banset_has(&set, &source, UINT64_MAX));
    kg_banset_free(&set);
}

static void families_do_not_mix(void **state)
{
    struct kg_banset set;
    struct kg_addr four = { .family = 4, .bytes = { 10 } }, six = { .family = 6, .bytes = { 10 } };

    kg_banset_init(&set);
    kg_banset_put(&set, &four, 0, 1);
    assert_true(kg_banset_has(&set, &four, 1));
    assert_false(kg_banset_has(&set, &six, 1));
    kg_banset_free(&set);
}

static void bans_that_are_over_do_not_pile_up(void **state)
{
    struct kg_banset set;
    struct kg_addr forever = { .family = 6, .bytes = { 1 } };

    kg_banset_init(&set);
    kg_banset_put(&set, &forever, 0, 1);
    for (unsigned i = 0; i < 60000; i++) {
        struct kg_addr source = { .family = 4, .bytes = { 10, 0, (uint8_t)(i >> 8), (uint8_t)i } };

        kg_banset_put(&set, &source, i + 20, i);
        assert_true(kg_banset_has(&set, &source, i));
    }
    assert_in_range(set.capacity, 64, 128);
    assert_true(kg_banset_has(&set, &forever, UINT64_MAX));
    kg_banset_free(&set);
}

/* Random puts, removals and questions against a plain array. */
static void it_agrees_with_a_plain_array(void **state)
{
    static uint64_t model[SOURCES]; /* until; 0 = not banned */
    struct kg_prng prng;
    struct kg_banset set;

    kg_prng_seed(&prng);
    kg_banset_init(&set);
    for (unsigned i = 0; i < SOURCES; i++)
        model[i] = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned n = (unsigned)(kg_prng_next(&prng) % SOURCES);
        struct kg_addr source = source_of(n);

        switch (kg_prng_next(&prng) % 3) {
        case 0:
            model[n] = 2 + kg_prng_next(&prng) % (2 * STEPS);
            kg_banset_put(&set, &source, model[n], step);
            break;
        case 1:
            model[n] = 0;
            kg_banset_remove(&set, &source);
            break;
        default:
            assert_int_equal(kg_banset_has(&set, &source, step), model[n] > step);
            if (model[n] <= step)
                model[n] = 0;
        }
    }
    for (unsigned n = 0; n < SOURCES; n++) {
        struct kg_addr source = source_of(n);

        assert_int_equal(kg_banset_has(&set, &source, STEPS), model[n] > STEPS);
    }
    kg_banset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ban_holds_until_its_time_and_not_longer),
        cmocka_unit_test(a_ban_without_end_has_none),
        cmocka_unit_test(families_do_not_mix),
        cmocka_unit_test(bans_that_are_over_do_not_pile_up),
        cmocka_unit_test(it_agrees_with_a_plain_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
