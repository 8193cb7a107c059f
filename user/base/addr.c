/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/addr.h"
#include "base/writer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

struct kg_addr kg_addr_from_bytes(const void *bytes, size_t len)
{
    struct kg_addr addr = { .family = 6 };

    if (len == 16 && memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        bytes = (const uint8_t *)bytes + sizeof(mapped_prefix);
        len = 4;
    }
    if (len == 4)
        addr.family = 4;
    memcpy(addr.bytes, bytes, len);
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
    if (inet_pton(AF_INET, str, bytes) == 1)
        *addr = kg_addr_from_bytes(bytes, 4);
    else if (inet_pton(AF_INET6, str, bytes) == 1)
        *addr = kg_addr_from_bytes(bytes, 16);
    else
        return -EINVAL;
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
    if (sa->sa_family == AF_INET6)
        return kg_addr_from_bytes(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
    if (sa->sa_family == AF_INET)
        return kg_addr_from_bytes(&((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    return (struct kg_addr){ 0 };
}

socklen_t kg_sockaddr_of(const struct kg_addr *addr, uint16_t port, struct sockaddr_storage *out)
{
    *out = (struct sockaddr_storage){ .ss_family = addr->family == 4 ? AF_INET : AF_INET6 };
    if (addr->family == 4) {
        ((struct sockaddr_in *)out)->sin_port = htons(port);
        memcpy(&((struct sockaddr_in *)out)->sin_addr, addr->bytes, 4);
        return sizeof(struct sockaddr_in);
    }
    ((struct sockaddr_in6 *)out)->sin6_port = htons(port);
    memcpy(&((struct sockaddr_in6 *)out)->sin6_addr, addr->bytes, 16);
    return sizeof(struct sockaddr_in6);
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

bool kg_net_list_has(const struct kg_net_list *list, const struct kg_addr *addr)
{
    for (size_t i = 0; i < list->count; i++) {
        if (kg_net_contains(&list->nets[i], addr))
            return true;
    }
    return false;
}

uint32_t kg_addr_hash(const struct kg_addr *addr, uint64_t seed)
{
    uint64_t high, low;

    memcpy(&high, addr->bytes, 8);
    memcpy(&low, addr->bytes + 8, 8);
    uint64_t h = (high ^ seed) * 0x9e3779b97f4a7c15ull;
    h = (h ^ h >> 32 ^ low ^ addr->family) * 0xd6e8feb86659fd93ull;
    return (uint32_t)(h >> 32);
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
