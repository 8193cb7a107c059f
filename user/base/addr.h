/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IP addresses and networks as values. IPv4-mapped IPv6 addresses (RFC 4291, 2.5.5.2) become IPv4 on the way
 * in, so that one client has one address. Any thread.
 */
#ifndef KG_BASE_ADDR_H
#define KG_BASE_ADDR_H

#include "base/slice.h"

#include <sys/socket.h>

struct kg_addr {
    uint8_t family;    /* 4, 6, or 0 for none */
    uint8_t bytes[16]; /* network order; IPv4 uses the first four, the rest is zero */
};

struct kg_net {
    struct kg_addr addr; /* host bits are zero */
    uint8_t prefix_len;
};

/* Networks; the caller's. */
struct kg_net_list {
    const struct kg_net *nets;
    size_t count;
};

#define KG_ADDR_TEXT 64 /* room for any address or network and a NUL */

/* From text without brackets, port or zone: 0 or -EINVAL. */
int kg_addr_parse(struct kg_slice text, struct kg_addr *addr);

/* "ADDRESS" or "ADDRESS/BITS": 0, or -EINVAL; host bits set in a network are an error (-EDOM). */
int kg_net_parse(struct kg_slice text, struct kg_net *net);

/* From a socket address; family 0 when it is neither AF_INET nor AF_INET6. */
struct kg_addr kg_addr_from_sockaddr(const struct sockaddr *sa);
/* From 4 or 16 bytes in network order. */
struct kg_addr kg_addr_from_bytes(const void *bytes, size_t len);

/* The socket address of an address; its length. */
socklen_t kg_sockaddr_of(const struct kg_addr *addr, uint16_t port, struct sockaddr_storage *out);

/* Writes the usual text form (RFC 5952) and returns out. */
const char *kg_addr_text(const struct kg_addr *addr, char out[KG_ADDR_TEXT]);
const char *kg_net_text(const struct kg_net *net, char out[KG_ADDR_TEXT]);

bool kg_addr_eq(const struct kg_addr *a, const struct kg_addr *b);
bool kg_net_contains(const struct kg_net *net, const struct kg_addr *addr);
bool kg_net_list_has(const struct kg_net_list *list, const struct kg_addr *addr);

/* 32 bits that nobody can foresee, nor choose addresses by, who does not know the (random) seed. */
uint32_t kg_addr_hash(const struct kg_addr *addr, uint64_t seed);

/* What abuse is counted and banned by: the address itself for IPv4, its /64 for IPv6. */
struct kg_addr kg_addr_source(const struct kg_addr *addr);

/* 127.0.0.0/8 and ::1. */
bool kg_addr_is_loopback(const struct kg_addr *addr);

#endif
