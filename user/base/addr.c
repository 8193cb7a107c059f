/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/addr.h"
#include "base/writer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static struct kg_addr from_in6(const uint8_t bytes[16])
{
    struct kg_addr addr = { .family = 6 };

    if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        addr.family = 4;
        memcpy(addr.bytes, bytes + 12, 4);
        return addr;
    }
    memcpy(addr.bytes, bytes, 16);
    return addr;
}

int kg_addr_parse(struct kg_slice text, struct kg_addr *addr)
{
    char str[INET6_ADDRSTRLEN];
    uint8_t bytes[16];

    if (text.len == 0 || text.len >= sizeof(str) || memchr(text.ptr, '\0', text.len))
        return -EINVAL;
    memcpy(str, text.ptr, text.len);
    str[text.len] = '\0';
    if (inet_pton(AF_INET, str, bytes) == 1) {
        *addr = (struct kg_addr){ .family = 4 };
        memcpy(addr->bytes, bytes, 4);
        return 0;
    }
    if (inet_pton(AF_INET6, str, bytes) != 1)
        return -EINVAL;
    *addr = from_in6(bytes);
    return 0;
}

static unsigned addr_bits(const struct kg_addr *addr)
{
    return addr->family == 4 ? 32 : 128;
}

static struct kg_addr mask(struct kg_addr addr, unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits > i * 8 ? bits - i * 8 : 0;

        if (keep < 8)
            addr.bytes[i] &= (uint8_t)(0xff00 >> keep);
    }
    return addr;
}

int kg_net_parse(struct kg_slice text, struct kg_net *net)
{
    size_t slash = kg_slice_find(text, '/');
    uint64_t bits;

    if (kg_addr_parse(kg_slice_of(text.ptr, slash), &net->addr))
        return -EINVAL;
    /* "::ffff:10.0.0.0/104" is written in IPv6's bits and means IPv4's last 32 of them. */
    bool mapped = net->addr.family == 4 && kg_slice_find(kg_slice_of(text.ptr, slash), ':') < slash;
    unsigned skipped = mapped ? 96 : 0, width = addr_bits(&net->addr) + skipped;
    bits = width;
    if (slash < text.len) {
        struct kg_slice digits = kg_slice_of(text.ptr + slash + 1, text.len - slash - 1);

        if (digits.len > 3 || kg_slice_u64(digits, &bits) || bits > width || bits < skipped)
            return -EINVAL;
    }
    bits -= skipped;
    net->prefix_len = (uint8_t)bits;
    struct kg_addr masked = mask(net->addr, net->prefix_len);
    return kg_addr_eq(&masked, &net->addr) ? 0 : -EDOM;
}

struct kg_addr kg_addr_from_sockaddr(const struct sockaddr *sa)
{
    struct kg_addr addr = { 0 };

    if (sa->sa_family == AF_INET6)
        return from_in6(((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr);
    if (sa->sa_family != AF_INET)
        return addr;
    addr.family = 4;
    memcpy(addr.bytes, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    return addr;
}

/* Once for each request: inet_ntop() would take printf's way. */
static const char *ipv4_text(const uint8_t bytes[4], char out[KG_ADDR_TEXT])
{
    struct kg_writer w = kg_writer_of(out, KG_ADDR_TEXT - 1);

    for (unsigned i = 0; i < 4; i++) {
        if (i > 0)
            kg_put_char(&w, '.');
        kg_put_u64(&w, bytes[i]);
    }
    out[w.len] = '\0';
    return out;
}

const char *kg_addr_text(const struct kg_addr *addr, char out[KG_ADDR_TEXT])
{
    if (addr->family == 4)
        return ipv4_text(addr->bytes, out);
    if (!inet_ntop(AF_INET6, addr->bytes, out, KG_ADDR_TEXT))
        out[0] = '\0';
    return out;
}

const char *kg_net_text(const struct kg_net *net, char out[KG_ADDR_TEXT])
{
    kg_addr_text(&net->addr, out);
    if (net->prefix_len == addr_bits(&net->addr))
        return out;
    size_t len = strlen(out);
    snprintf(out + len, KG_ADDR_TEXT - len, "/%u", net->prefix_len);
    return out;
}

bool kg_addr_eq(const struct kg_addr *a, const struct kg_addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, 16) == 0;
}

bool kg_net_contains(const struct kg_net *net, const struct kg_addr *addr)
{
    struct kg_addr masked = mask(*addr, net->prefix_len);

    return kg_addr_eq(&masked, &net->addr);
}

struct kg_addr kg_addr_source(const struct kg_addr *addr)
{
    return addr->family == 6 ? mask(*addr, 64) : *addr;
}

bool kg_addr_is_loopback(const struct kg_addr *addr)
{
    static const uint8_t loopback6[16] = { [15] = 1 };

    if (addr->family == 4)
        return addr->bytes[0] == 127;
    return addr->family == 6 && memcmp(addr->bytes, loopback6, 16) == 0;
}
