/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/proxy_protocol.h"
#include "base/writer.h"
#include "http_test.h"

#include <errno.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* A literal that may hold NULs. */
#define BYTES(lit) KG_SLICE(lit)

/* From a buffer of exactly its size, so that AddressSanitizer sees every step outside. */
static int parse(struct kg_slice input, struct kg_proxy_header *header)
{
    char *copy = malloc(input.len > 0 ? input.len : 1);
    const char *why = NULL;

    assert_non_null(copy);
    if (input.len > 0)
        memcpy(copy, input.ptr, input.len);
    int rc = kg_proxy_header_parse(kg_slice_of(copy, input.len), header, &why);
    free(copy);
    if (rc < 0) {
        assert_int_equal(rc, -EINVAL);
        assert_non_null(why);
    }
    return rc;
}

static void assert_addr(const struct kg_addr *addr, const char *wanted)
{
    char text[KG_ADDR_TEXT];

    assert_int_not_equal(addr->family, 0);
    assert_string_equal(kg_addr_text(addr, text), wanted);
}

/* The header says this, whatever comes behind it, and no part of it says anything yet. */
static void says(struct kg_slice input, const char *source, uint16_t source_port, const char *destination,
                 uint16_t destination_port)
{
    struct kg_proxy_header header;
    char more[KG_PROXY_HEADER_MAX + 16];

    assert_int_equal(parse(input, &header), input.len);
    assert_addr(&header.source, source);
    assert_addr(&header.destination, destination);
    assert_int_equal(header.source_port, source_port);
    assert_int_equal(header.destination_port, destination_port);
    for (size_t len = 0; len < input.len; len++)
        assert_int_equal(parse(kg_slice_of(input.ptr, len), &header), 0);
    memcpy(more, input.ptr, input.len);
    memcpy(more + input.len, "GET / HTTP/1.1\r\n", 16);
    assert_int_equal(parse(kg_slice_of(more, input.len + 16), &header), input.len);
}

/* A whole header without an address. */
static void says_nothing(struct kg_slice input)
{
    struct kg_proxy_header header;

    assert_int_equal(parse(input, &header), input.len);
    assert_int_equal(header.source.family, 0);
    assert_int_equal(header.destination.family, 0);
    for (size_t len = 0; len < input.len; len++)
        assert_int_equal(parse(kg_slice_of(input.ptr, len), &header), 0);
}

static void is_refused(struct kg_slice input)
{
    struct kg_proxy_header header;

    if (parse(input, &header) != -EINVAL)
        fail_msg("not refused: %.*s", (int)input.len, input.ptr);
}

static void lines_name_both_ends(void **state)
{
    says(BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), "192.0.2.1", 56324, "198.51.100.2", 443);
    says(BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n"), "255.255.255.255", 65535,
         "255.255.255.255", 0);
    says(BYTES("PROXY TCP6 2001:db8::1 2001:db8::2 1 80\r\n"), "2001:db8::1", 1, "2001:db8::2", 80);
    says(BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
               "65535 65535\r\n"),
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 65535, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
}

static void a_mapped_address_is_the_ipv4_one(void **state)
{
    says(BYTES("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 80\r\n"), "192.0.2.1", 1, "2001:db8::2", 80);
    says(BYTES(SIGNATURE "\x21\x21\0\x24"
                         "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01"
                         "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
                         "\0\x01\0\x50"),
         "192.0.2.1", 1, "2001:db8::2", 80);
}

static void an_unknown_line_says_nothing(void **state)
{
    says_nothing(BYTES("PROXY UNKNOWN\r\n"));
    says_nothing(BYTES("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"));
    says_nothing(BYTES("PROXY UNKNOWN  whatever, it is ignored\r\n"));
}

static void malformed_lines_are_refused(void **state)
{
    static const char *const lines[] = {
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
        "PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 100000 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2x\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n",
        "PROXY TCP6 2001:db8::1%eth0 2001:db8::2 1 2\r\n",
        "PROXY TCP6 2001:db8::g 2001:db8::2 1 2\r\n",
        "PROXY\r\n",
        "PROXYTCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        " PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "GET / HTTP/1.1\r\n",
        "\r\nPROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "\n",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        is_refused(kg_slice_str(lines[i]));
    is_refused(BYTES("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"));
}

static void a_line_has_at_most_107_bytes(void **state)
{
    char line[200];
    struct kg_proxy_header header;

    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    assert_int_equal(parse(kg_slice_of(line, 106), &header), 0);
    assert_int_equal(parse(kg_slice_of(line, 107), &header), -EINVAL);
    memcpy(line + 105, "\r\n", 2);
    assert_int_equal(parse(kg_slice_of(line, 107), &header), 107);
    memset(line + 105, 'x', 2);
    memcpy(line + 106, "\r\n", 2);
    assert_int_equal(parse(kg_slice_of(line, 108), &header), -EINVAL);
}

static void what_can_be_none_is_refused_at_its_first_byte(void **state)
{
    is_refused(BYTES("G"));
    is_refused(BYTES("PROXI"));
    is_refused(BYTES("\r\n\r\n\r"));
    is_refused(BYTES("\x16\x03\x01"));
    is_refused(BYTES(SIGNATURE "\x11"));
    is_refused(BYTES(SIGNATURE "\x22"));
}

static void binary_headers_name_both_ends(void **state)
{
    says(BYTES(SIGNATURE "\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"), "192.0.2.1", 56324,
         "198.51.100.2", 443);
    says(BYTES(SIGNATURE "\x21\x21\0\x24"
                         "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                         "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
                         "\0\x01\xff\xff"),
         "2001:db8::1", 1, "2001:db8::2", 65535);
}

static void extensions_are_skipped(void **state)
{
    /* PP2_TYPE_ALPN "h2", then one whose length would lead past the end: nobody looks. */
    says(BYTES(SIGNATURE "\x21\x11\0\x14\xc0\0\x02\x01\xc6\x33\x64\x02\0\x01\0\x02"
                         "\x01\0\x02h2\x03\xff\xff"),
         "192.0.2.1", 1, "198.51.100.2", 2);
}

static void what_has_no_address_says_nothing(void **state)
{
    char unix_header[16 + 216] = SIGNATURE "\x21\x31\0\xd8";

    says_nothing(BYTES(SIGNATURE "\x20\0\0\0"));       /* LOCAL */
    says_nothing(BYTES(SIGNATURE "\x20\x11\0\x01z"));  /* whatever it carries */
    says_nothing(BYTES(SIGNATURE "\x20\xff\0\x02zz")); /* of whatever family */
    says_nothing(BYTES(SIGNATURE "\x21\0\0\0"));       /* UNSPEC */
    says_nothing(BYTES(SIGNATURE "\x21\0\0\x03zzz"));
    says_nothing(BYTES(SIGNATURE "\x21\x12\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"));
    says_nothing(kg_slice_of(unix_header, sizeof(unix_header)));
}

static void malformed_binary_headers_are_refused(void **state)
{
    static const struct kg_slice headers[] = {
        BYTES(SIGNATURE "\x01\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"), /* version */
        BYTES(SIGNATURE "\x31\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"),
        BYTES(SIGNATURE "\x22\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"), /* command */
        BYTES(SIGNATURE "\x21\x13\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"), /* protocol */
        BYTES(SIGNATURE "\x21\x10\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"),
        BYTES(SIGNATURE "\x21\x41\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"), /* family */
        BYTES(SIGNATURE "\x21\x01\0\0"),
        BYTES(SIGNATURE "\x21\x11\0\x0b\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01"), /* too short for it */
        BYTES(SIGNATURE "\x21\x11\0\0"),
        BYTES(SIGNATURE "\x21\x12\0\x01z"),
        BYTES(SIGNATURE "\x21\x21\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"),
        BYTES(SIGNATURE "\x21\x22\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"),
        BYTES(SIGNATURE "\x21\x31\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"),
        BYTES("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c"), /* signature */
    };

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        is_refused(headers[i]);
}

static void a_binary_header_has_at_most_4_kib(void **state)
{
    char bytes[KG_PROXY_HEADER_MAX] = SIGNATURE "\x21\x11\x0f\xf0\xc0\0\x02\x01\xc6\x33\x64\x02\0\x01\0\x02";
    struct kg_proxy_header header;

    assert_int_equal(parse(kg_slice_of(bytes, sizeof(bytes)), &header), sizeof(bytes));
    assert_addr(&header.source, "192.0.2.1");
    bytes[15] = '\xf1';
    assert_int_equal(parse(kg_slice_of(bytes, 16), &header), -EINVAL);
    bytes[12] = '\x20';
    assert_int_equal(parse(kg_slice_of(bytes, 16), &header), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_name_both_ends),
        cmocka_unit_test(a_mapped_address_is_the_ipv4_one),
        cmocka_unit_test(an_unknown_line_says_nothing),
        cmocka_unit_test(malformed_lines_are_refused),
        cmocka_unit_test(a_line_has_at_most_107_bytes),
        cmocka_unit_test(what_can_be_none_is_refused_at_its_first_byte),
        cmocka_unit_test(binary_headers_name_both_ends),
        cmocka_unit_test(extensions_are_skipped),
        cmocka_unit_test(what_has_no_address_says_nothing),
        cmocka_unit_test(malformed_binary_headers_are_refused),
        cmocka_unit_test(a_binary_header_has_at_most_4_kib),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
