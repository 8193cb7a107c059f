/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What proxies in front of us say about the client: the address in X-Forwarded-For and its like, and single
 * values. Whether they are to be believed is the caller's business. Pure; any thread.
 */
#ifndef KG_HTTP_FORWARDED_H
#define KG_HTTP_FORWARDED_H

#include "base/addr.h"
#include "http/head.h"

/*
 * Walks all values of the header `name` from the last backwards, beginning at *addr, the address of a trusted
 * peer: *addr becomes what the peer says it talked to, with `recursive` on and on for as long as that is
 * trusted too. The walk ends at the first that is not, and at one that is no address: then the one before
 * counts. Elements are separated by commas or spaces and may have a port, IPv6 with brackets then.
 */
void kg_forwarded_walk(const struct kg_head *head, struct kg_slice name, const struct kg_net_list *trusted,
                       bool recursive, struct kg_addr *addr);

/* The value of the first header of this name (any case), empty when there is none. */
struct kg_slice kg_forwarded_value(const struct kg_head *head, struct kg_slice name);

#endif
