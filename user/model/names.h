/* SPDX-License-Identifier: BSD-2-Clause */
/* The host names that services name, and the address each has now. Names ignore case. Control thread only. */
#ifndef KG_MODEL_NAMES_H
#define KG_MODEL_NAMES_H

#include "base/addr.h"
#include "base/pmap.h"

struct kg_host_name {
    uint32_t refs;
    size_t users;       /* services that name it */
    socklen_t addr_len; /* 0: it has no address */
    struct sockaddr_storage addr;
    char text[]; /* lower case */
};

extern const struct kg_pmap_type kg_names_by_text;

/* Whether host is an address, with or without brackets: then *addr is it, with this port, and the length is
 * returned; else 0. */
socklen_t kg_host_numeric(struct kg_slice host, uint16_t port, struct sockaddr_storage *addr);

/* Sets the port of an IPv4 or IPv6 socket address. */
void kg_sockaddr_set_port(struct sockaddr_storage *addr, uint16_t port);

/* One more service names this host, or one less; a name that nobody names any more is forgotten. Numeric ones
 * are left out. */
void kg_names_use(struct kg_pmap *names, struct kg_slice host);
void kg_names_drop(struct kg_pmap *names, struct kg_slice host);
struct kg_host_name *kg_names_find(const struct kg_pmap *names, struct kg_slice host);

#endif
