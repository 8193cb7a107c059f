/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/net_set.h"

#include "base/prng.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NETS_MAX 64

static struct kg_addr addr(const char *text)
{
    struct kg_addr addr = { 0 };

    assert_int_equal(kg_addr_parse(kg_slice_str(text), &addr), 0);
    return addr;
}

/* A set of networks that are separated by blanks. */
static struct kg_net_set set_of(const char *text)
{
    struct kg_net nets[NETS_MAX];
    struct kg_net_set set;
    size_t count = 0;

    while (*text) {
        size_t len = strcspn(text, " ");

        assert_int_not_equal(kg_net_parse(kg_slice_of(text, len), &nets[count++]), -EINVAL);
        text += len + (text[len] == ' ');
    }
    kg_net_set_build(&set, nets, count);
    return set;
}

static bool has(const char *nets, const char *address)
{
    struct kg_net_set set = set_of(nets);
    struct kg_addr looked_for = addr(address);
    bool found = kg_net_set_has(&set, &looked_for);

    kg_net_set_free(&set);
    return found;
}

static void nothing_is_in_an_empty_set(void **state)
{
    assert_false(has("", "192.0.2.1"));
    assert_false(has("", "::"));
}

static void an_address_is_itself_alone(void **state)
{
    assert_true(has("192.0.2.7", "192.0.2.7"));
    assert_false(has("192.0.2.7", "192.0.2.6"));
    assert_false(has("192.0.2.7", "192.0.2.8"));
    assert_true(has("2001:db8::7", "2001:db8:0::7"));
    assert_false(has("2001:db8::7", "2001:db8::8"));
}

static void a_network_is_all_between_its_ends(void **state)
{
    assert_false(has("10.1.2.0/23", "10.1.1.255"));
    assert_true(has("10.1.2.0/23", "10.1.2.0"));
    assert_true(has("10.1.2.0/23", "10.1.3.255"));
    assert_false(has("10.1.2.0/23", "10.1.4.0"));
    assert_true(has("2001:db8::/33", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"));
    assert_false(has("2001:db8::/33", "2001:db8:8000::"));
    assert_true(has("0.0.0.0/0", "255.255.255.255"));
    assert_true(has("::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
}

static void families_do_not_mix(void **state)
{
    assert_false(has("0.0.0.0/0", "::1"));
    assert_false(has("::/0", "192.0.2.1"));
    assert_true(has("::/0 192.0.2.0/24", "192.0.2.1"));
    /* One client has one address. */
    assert_true(has("192.0.2.0/24", "::ffff:192.0.2.1"));
    assert_true(has("::ffff:192.0.2.0/120", "192.0.2.1"));
}

static void host_bits_are_not_looked_at(void **state)
{
    assert_true(has("10.1.2.3/8", "10.0.0.0"));
    assert_true(has("2001:db8::1/32", "2001:db8::"));
    assert_false(has("10.1.2.3/8", "11.1.2.3"));
}

static void networks_that_overlap_become_one(void **state)
{
    struct kg_net_set set = set_of("10.0.0.0/8 10.1.0.0/16 10.255.255.255 10.0.0.0/8 11.0.0.0/7 ::1");

    assert_int_equal(set.count, 2);
    kg_net_set_free(&set);
    /* A small one behind a large one does not hide what is left of the large one. */
    assert_true(has("10.0.0.0/8 10.1.0.0/16", "10.200.0.1"));
    assert_true(has("10.1.0.0/16 10.0.0.0/8 10.2.0.0/16", "10.200.0.1"));
    assert_false(has("10.1.0.0/16 10.3.0.0/16", "10.2.0.1"));
}

/* Against looking through all of them, in a space so small that networks meet. */
static void says_what_a_search_through_all_says(void **state)
{
    struct kg_prng prng = { { 1, 2, 3, 4 } };
    struct kg_net nets[NETS_MAX];

    for (unsigned round = 0; round < 300; round++) {
        size_t count = kg_prng_next(&prng) % NETS_MAX;
        struct kg_net_set set;
        for (size_t i = 0; i < count; i++) {
            char text[32];
            unsigned bits = 22 + (unsigned)(kg_prng_next(&prng) % 11), host = 32 - bits;
            unsigned low = (unsigned)(kg_prng_next(&prng) % 1024) >> host << host;
            snprintf(text, sizeof(text), "10.0.%u.%u/%u", low >> 8, low & 255, bits);
            assert_int_equal(kg_net_parse(kg_slice_str(text), &nets[i]), 0);
        }
        kg_net_set_build(&set, nets, count);
        for (unsigned low = 0; low < 1024; low++) {
            struct kg_addr address = { 4, { 10, 0, (uint8_t)(low >> 8), (uint8_t)low } };
            struct kg_net_list list = { nets, count };
            assert_int_equal(kg_net_set_has(&set, &address), kg_net_list_has(&list, &address));
        }
        kg_net_set_free(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_in_an_empty_set),
        cmocka_unit_test(an_address_is_itself_alone),
        cmocka_unit_test(a_network_is_all_between_its_ends),
        cmocka_unit_test(families_do_not_mix),
        cmocka_unit_test(host_bits_are_not_looked_at),
        cmocka_unit_test(networks_that_overlap_become_one),
        cmocka_unit_test(says_what_a_search_through_all_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
