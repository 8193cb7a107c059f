/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct kg_addr addr_of(const char *text)
{
    struct kg_addr addr;

    assert_int_equal(kg_addr_parse(kg_slice_str(text), &addr), 0);
    return addr;
}

static struct kg_net net_of(const char *text)
{
    struct kg_net net;

    assert_int_equal(kg_net_parse(kg_slice_str(text), &net), 0);
    return net;
}

static void assert_text(const char *text, const char *expected)
{
    struct kg_addr addr = addr_of(text);
    char out[KG_ADDR_TEXT];

    assert_string_equal(kg_addr_text(&addr, out), expected);
}

static void reads_and_writes_addresses(void **state)
{
    assert_text("192.0.2.7", "192.0.2.7");
    assert_text("2001:DB8:0:0::1", "2001:db8::1");
    assert_text("::", "::");
    assert_int_equal(addr_of("192.0.2.7").family, 4);
    assert_int_equal(addr_of("::1").family, 6);
}

static void a_mapped_network_counts_its_bits_from_the_ipv6_start(void **state)
{
    struct kg_net net;
    char text[KG_ADDR_TEXT];

    assert_int_equal(kg_net_parse(KG_SLICE("::ffff:10.0.0.0/104"), &net), 0);
    assert_string_equal(kg_net_text(&net, text), "10.0.0.0/8");
    assert_int_equal(kg_net_parse(KG_SLICE("::ffff:0:0/96"), &net), 0);
    assert_string_equal(kg_net_text(&net, text), "0.0.0.0/0");
    assert_int_equal(kg_net_parse(KG_SLICE("::ffff:10.0.0.1"), &net), 0);
    assert_string_equal(kg_net_text(&net, text), "10.0.0.1");
    assert_true(kg_net_parse(KG_SLICE("::ffff:10.0.0.0/8"), &net) < 0);
    assert_true(kg_net_parse(KG_SLICE("::ffff:10.0.0.0/129"), &net) < 0);
    assert_true(kg_net_parse(KG_SLICE("10.0.0.0/0008"), &net) < 0);
}

static void a_mapped_address_is_the_ipv4_address(void **state)
{
    struct kg_addr mapped = addr_of("::ffff:192.0.2.7"), plain = addr_of("192.0.2.7");
    struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
    struct sockaddr_in sin = { .sin_family = AF_INET };

    assert_true(kg_addr_eq(&mapped, &plain));
    inet_pton(AF_INET6, "::ffff:192.0.2.7", &sin6.sin6_addr);
    inet_pton(AF_INET, "192.0.2.7", &sin.sin_addr);
    struct kg_addr from6 = kg_addr_from_sockaddr((const struct sockaddr *)&sin6);
    struct kg_addr from4 = kg_addr_from_sockaddr((const struct sockaddr *)&sin);
    assert_true(kg_addr_eq(&from6, &plain));
    assert_true(kg_addr_eq(&from4, &plain));
    struct sockaddr other = { .sa_family = AF_UNIX };
    assert_int_equal(kg_addr_from_sockaddr(&other).family, 0);
}

static void refuses_what_is_no_address(void **state)
{
    static const char *const wrong[] = { "",
                                         "1.2.3",
                                         "1.2.3.4.5",
                                         "1.2.3.256",
                                         "01.2.3.4",
                                         " 1.2.3.4",
                                         "[::1]",
                                         "::1%lo",
                                         "1.2.3.4:5",
                                         ":::",
                                         "1.2.3.4/8",
                                         "localhost",
                                         "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb" };
    struct kg_addr addr;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(kg_addr_parse(kg_slice_str(wrong[i]), &addr), -EINVAL);
    assert_int_equal(kg_addr_parse(KG_SLICE("1.2.3.4\0"), &addr), -EINVAL);
}

static void reads_and_writes_networks(void **state)
{
    struct kg_net net = net_of("10.0.0.0/8");
    char out[KG_ADDR_TEXT];

    assert_string_equal(kg_net_text(&net, out), "10.0.0.0/8");
    net = net_of("192.0.2.7");
    assert_int_equal(net.prefix_len, 32);
    assert_string_equal(kg_net_text(&net, out), "192.0.2.7");
    net = net_of("2001:db8::/32");
    assert_string_equal(kg_net_text(&net, out), "2001:db8::/32");
    net = net_of("0.0.0.0/0");
    assert_int_equal(net.prefix_len, 0);
}

static void refuses_what_is_no_network(void **state)
{
    static const char *const wrong[] = { "10.0.0.0/33", "::/129",       "10.0.0.0/",
                                         "10.0.0.0/-1", "10.0.0.0/8/8", "/8" };
    struct kg_net net;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(kg_net_parse(kg_slice_str(wrong[i]), &net), -EINVAL);
    assert_int_equal(kg_net_parse(KG_SLICE("10.0.0.1/8"), &net), -EDOM);
    assert_int_equal(kg_net_parse(KG_SLICE("10.64.0.0/9"), &net), -EDOM);
    assert_int_equal(kg_net_parse(KG_SLICE("2001:db8::1/127"), &net), -EDOM);
}

static bool contains(const char *net_text, const char *addr_text)
{
    struct kg_net net = net_of(net_text);
    struct kg_addr addr = addr_of(addr_text);

    return kg_net_contains(&net, &addr);
}

static void a_network_holds_its_addresses_and_no_others(void **state)
{
    assert_true(contains("10.128.0.0/9", "10.255.255.255"));
    assert_false(contains("10.128.0.0/9", "10.127.255.255"));
    assert_true(contains("0.0.0.0/0", "203.0.113.9"));
    assert_false(contains("0.0.0.0/0", "::1"));
    assert_true(contains("::/0", "2001:db8::1"));
    assert_false(contains("::/0", "192.0.2.1"));
    assert_true(contains("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(contains("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(contains("192.0.2.7", "192.0.2.7"));
    assert_false(contains("192.0.2.7", "192.0.2.6"));
}

static void the_source_of_an_ipv6_address_is_its_64(void **state)
{
    struct kg_addr addr = addr_of("2001:db8:1:2:3:4:5:6"), expected = addr_of("2001:db8:1:2::");
    struct kg_addr source = kg_addr_source(&addr);

    assert_true(kg_addr_eq(&source, &expected));
    addr = addr_of("192.0.2.7");
    source = kg_addr_source(&addr);
    assert_true(kg_addr_eq(&source, &addr));
}

static void knows_loopback(void **state)
{
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = { { "127.0.0.1", true },  { "127.255.0.9", true }, { "::1", true },
                  { "128.0.0.1", false }, { "::2", false },        { "::ffff:127.0.0.1", true } };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kg_addr addr = addr_of(cases[i].text);
        assert_int_equal(kg_addr_is_loopback(&addr), cases[i].loopback);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_addresses),
        cmocka_unit_test(a_mapped_address_is_the_ipv4_address),
        cmocka_unit_test(a_mapped_network_counts_its_bits_from_the_ipv6_start),
        cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(reads_and_writes_networks),
        cmocka_unit_test(refuses_what_is_no_network),
        cmocka_unit_test(a_network_holds_its_addresses_and_no_others),
        cmocka_unit_test(the_source_of_an_ipv6_address_is_its_64),
        cmocka_unit_test(knows_loopback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
