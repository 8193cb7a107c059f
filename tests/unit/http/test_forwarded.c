/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/forwarded.h"
#include "http_test.h"

#include <stdio.h>

static struct kg_net trusted_nets[3];
static const struct kg_net_list trusted = { trusted_nets, 3 };

static int know_the_proxies(void **state)
{
    return kg_net_parse(KG_SLICE("10.0.0.0/8"), &trusted_nets[0]) ||
           kg_net_parse(KG_SLICE("192.0.2.7"), &trusted_nets[1]) ||
           kg_net_parse(KG_SLICE("2001:db8:a::/48"), &trusted_nets[2]);
}

/* What a request with these header lines, from the trusted 10.0.0.1, comes from. */
static const char *client_of(const char *lines, const char *name, bool recursive)
{
    static char bytes[4096], text[KG_ADDR_TEXT];
    static struct kg_head head;
    struct kg_addr addr;
    const char *why;

    snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\n%s\r\n", lines);
    assert_true(kg_head_parse_request(kg_slice_str(bytes), &usual_limits, &head, &why) > 0);
    assert_int_equal(kg_addr_parse(KG_SLICE("10.0.0.1"), &addr), 0);
    kg_forwarded_walk(&head, kg_slice_str(name), &trusted, recursive, &addr);
    return kg_addr_text(&addr, text);
}

static const char *from_list(const char *list)
{
    char lines[2048];

    snprintf(lines, sizeof(lines), "X-Forwarded-For: %s\r\n", list);
    return client_of(lines, "X-Forwarded-For", true);
}

static void the_last_address_that_is_not_trusted_is_the_client(void **state)
{
    assert_string_equal(from_list("198.51.100.1"), "198.51.100.1");
    assert_string_equal(from_list("203.0.113.9, 198.51.100.1"), "198.51.100.1");
    assert_string_equal(from_list("203.0.113.9, 198.51.100.1, 10.1.2.3"), "198.51.100.1");
    assert_string_equal(from_list("203.0.113.9,198.51.100.1,192.0.2.7,10.1.2.3"), "198.51.100.1");
    assert_string_equal(from_list("2001:db8:b::1, 2001:db8:a::1"), "2001:db8:b::1");
    assert_string_equal(from_list("::ffff:198.51.100.1"), "198.51.100.1");
}

static void when_all_are_trusted_the_first_is_the_client(void **state)
{
    assert_string_equal(from_list("10.9.9.9, 10.1.2.3"), "10.9.9.9");
}

static void elements_may_have_ports_and_stand_apart_in_any_way(void **state)
{
    assert_string_equal(from_list("198.51.100.1:4711"), "198.51.100.1");
    assert_string_equal(from_list("[2001:db8:b::1]:4711"), "2001:db8:b::1");
    assert_string_equal(from_list("[2001:db8:b::1]"), "2001:db8:b::1");
    assert_string_equal(from_list("203.0.113.9 ,  198.51.100.1 , , 10.1.2.3 ,"), "198.51.100.1");
    assert_string_equal(from_list("203.0.113.9 198.51.100.1"), "198.51.100.1");
}

static void the_walk_ends_at_what_is_no_address(void **state)
{
    static const char *const bad[] = { "unknown",
                                       "_hidden",
                                       "198.51.100",
                                       "198.51.100.1:",
                                       "198.51.100.1:x",
                                       "198.51.100.1:70000",
                                       "[198.51.100.1]",
                                       "[2001:db8::1",
                                       "2001:db8::1]",
                                       "[2001:db8::1]4711",
                                       "[]",
                                       "[2001:db8::1]:",
                                       ":4711",
                                       "\"198.51.100.1\"",
                                       "198.51.100.1%1",
                                       "[" };
    char list[200];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_string_equal(from_list(bad[i]), "10.0.0.1");
        snprintf(list, sizeof(list), "198.51.100.1, %s, 10.1.2.3", bad[i]);
        assert_string_equal(from_list(list), "10.1.2.3");
    }
    assert_string_equal(from_list(""), "10.0.0.1");
    assert_string_equal(from_list(" , "), "10.0.0.1");
}

static void several_headers_are_one_list(void **state)
{
    assert_string_equal(
        client_of("X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.1, 10.1.2.3\r\n",
                  "x-forwarded-FOR", true),
        "198.51.100.1");
    assert_string_equal(client_of("X-Forwarded-For: 203.0.113.9, 198.51.100.1\r\nX-Real-IP: 203.0.113.1\r\n"
                                  "X-Forwarded-For: 10.1.2.3\r\n",
                                  "X-Forwarded-For", true),
                        "198.51.100.1");
    assert_string_equal(
        client_of("X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: nobody\r\n", "X-Forwarded-For", true),
        "10.0.0.1");
}

static void without_recursion_the_very_last_counts(void **state)
{
    const char *lines = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.1, 10.1.2.3\r\n";

    assert_string_equal(client_of(lines, "X-Forwarded-For", false), "10.1.2.3");
}

static void other_headers_do_not_count(void **state)
{
    assert_string_equal(client_of("X-Real-IP: 203.0.113.1\r\n", "X-Forwarded-For", true), "10.0.0.1");
    assert_string_equal(client_of("X-Real-IP: 203.0.113.1\r\n", "X-Real-IP", true), "203.0.113.1");
    assert_string_equal(client_of("CF-Connecting-IP: 203.0.113.1\r\n", "cf-connecting-ip", true),
                        "203.0.113.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_address_that_is_not_trusted_is_the_client),
        cmocka_unit_test(when_all_are_trusted_the_first_is_the_client),
        cmocka_unit_test(elements_may_have_ports_and_stand_apart_in_any_way),
        cmocka_unit_test(the_walk_ends_at_what_is_no_address),
        cmocka_unit_test(several_headers_are_one_list),
        cmocka_unit_test(without_recursion_the_very_last_counts),
        cmocka_unit_test(other_headers_do_not_count),
    };

    return cmocka_run_group_tests(tests, know_the_proxies, NULL);
}
