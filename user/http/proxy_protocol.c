/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/proxy_protocol.h"
#include "base/cursor.h"

#include <errno.h>

#define V1_MAX  107 /* section 2.1: the longest line, CRLF included */
#define V2_HEAD 16  /* section 2.2: signature, command, family, length */

#define V1_START     "PROXY "
#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static int refuse(const char **why, const char *text)
{
    *why = text;
    return -EINVAL;
}

/* Whether the bytes there are so far could be the beginning of `start`. */
static bool may_be(struct kg_slice input, struct kg_slice start)
{
    size_t len = input.len < start.len ? input.len : start.len;

    return len == 0 || memcmp(input.ptr, start.ptr, len) == 0;
}

/* A part of the line up to the next single space, or to its end. */
static struct kg_slice next_part(struct kg_cursor *line)
{
    struct kg_slice rest = kg_slice_of(line->pos, kg_cursor_left(line)), part = { 0 };

    kg_cursor_bytes(line, kg_slice_find(rest, ' '), &part);
    kg_cursor_take(line, ' ');
    return part;
}

/* Only the family that was announced; an IPv4-mapped IPv6 address becomes IPv4, as everywhere. */
static bool read_address(struct kg_slice text, bool is_v6, struct kg_addr *addr)
{
    return (kg_slice_find(text, ':') < text.len) == is_v6 && kg_addr_parse(text, addr) == 0;
}

static bool read_port(struct kg_slice text, uint16_t *port)
{
    uint64_t value;

    if (text.len > 5 || (text.len > 1 && text.ptr[0] == '0') || kg_slice_u64(text, &value) || value > 65535)
        return false;
    *port = (uint16_t)value;
    return true;
}

static bool read_line(struct kg_slice text, struct kg_proxy_header *header)
{
    struct kg_cursor line = kg_cursor_of(text);
    struct kg_slice protocol = next_part(&line);
    bool is_v6 = kg_slice_eq(protocol, KG_SLICE("TCP6"));

    /* Whatever stands behind UNKNOWN is to be ignored. */
    if (kg_slice_eq(protocol, KG_SLICE("UNKNOWN")))
        return true;
    if (!is_v6 && !kg_slice_eq(protocol, KG_SLICE("TCP4")))
        return false;
    if (!read_address(next_part(&line), is_v6, &header->source) ||
        !read_address(next_part(&line), is_v6, &header->destination))
        return false;
    if (!read_port(next_part(&line), &header->source_port))
        return false;
    /* The last part ends with the line, so a space behind it is one too many. */
    struct kg_slice last = kg_slice_of(line.pos, kg_cursor_left(&line));
    return read_port(last, &header->destination_port);
}

static int parse_v1(struct kg_slice input, struct kg_proxy_header *header, const char **why)
{
    size_t start = sizeof(V1_START) - 1, most = input.len < V1_MAX ? input.len : V1_MAX;

    if (input.len < start)
        return 0;
    size_t end = kg_slice_find(kg_slice_of(input.ptr, most), '\n');
    if (end == most)
        return most == V1_MAX ? refuse(why, "PROXY line too long") : 0;
    if (input.ptr[end - 1] != '\r')
        return refuse(why, "PROXY line without CRLF");
    if (!read_line(kg_slice_of(input.ptr + start, end - 1 - start), header))
        return refuse(why, "malformed PROXY line");
    return (int)end + 1;
}

static uint16_t read_u16(const char *bytes)
{
    return (uint16_t)((unsigned char)bytes[0] << 8 | (unsigned char)bytes[1]);
}

static bool take_addresses(struct kg_slice block, size_t len, struct kg_proxy_header *header)
{
    if (block.len < 2 * len + 4)
        return false;
    header->source = kg_addr_from_bytes(block.ptr, len);
    header->destination = kg_addr_from_bytes(block.ptr + len, len);
    header->source_port = read_u16(block.ptr + 2 * len);
    header->destination_port = read_u16(block.ptr + 2 * len + 2);
    return true;
}

/* What is behind the addresses, extensions of (type, length, value), is skipped. */
static bool read_block(unsigned family, struct kg_slice block, struct kg_proxy_header *header)
{
    switch (family) {
    case 0x11: /* TCP over IPv4 */
        return take_addresses(block, 4, header);
    case 0x21: /* TCP over IPv6 */
        return take_addresses(block, 16, header);
    case 0x12: /* UDP over either, of which a TCP connection cannot come: no address */
        return block.len >= 12;
    case 0x22:
        return block.len >= 36;
    case 0x31: /* UNIX, stream and datagram: two paths */
    case 0x32:
        return block.len >= 216;
    default: /* UNSPEC; all else "must be rejected" */
        return family == 0;
    }
}

static int parse_v2(struct kg_slice input, struct kg_proxy_header *header, const char **why)
{
    unsigned command, family;

    if (input.len > 12 && (unsigned char)input.ptr[12] >> 4 != 2)
        return refuse(why, "PROXY header of an unknown version");
    if (input.len > 12 && ((unsigned char)input.ptr[12] & 15) > 1)
        return refuse(why, "PROXY header with an unknown command");
    if (input.len < V2_HEAD)
        return 0;
    command = (unsigned char)input.ptr[12] & 15;
    family = (unsigned char)input.ptr[13];
    size_t len = read_u16(input.ptr + 14);
    if (V2_HEAD + len > KG_PROXY_HEADER_MAX)
        return refuse(why, "PROXY header too long");
    if (input.len < V2_HEAD + len)
        return 0;
    /* LOCAL: whatever it carries is to be ignored. */
    if (command == 1 && !read_block(family, kg_slice_of(input.ptr + V2_HEAD, len), header))
        return refuse(why, "malformed PROXY header");
    return (int)(V2_HEAD + len);
}

int kg_proxy_header_parse(struct kg_slice input, struct kg_proxy_header *header, const char **why)
{
    *header = (struct kg_proxy_header){ 0 };
    if (may_be(input, KG_SLICE(V1_START)))
        return parse_v1(input, header, why);
    if (may_be(input, KG_SLICE(V2_SIGNATURE)))
        return parse_v2(input, header, why);
    return refuse(why, "no PROXY header");
}
