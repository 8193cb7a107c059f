/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host names to addresses by c-ares, on the control thread's poller: never blocks, reads /etc/hosts and
 * resolv.conf. Names that are watched are looked up at once and again when their TTL ends (at least 1 s, at
 * most 300 s; 5 s after a failure), until nobody watches them. localhost and what ends in it are 127.0.0.1
 * (RFC 6761, section 6.3). Control thread only.
 */
#ifndef KG_IO_RESOLVER_H
#define KG_IO_RESOLVER_H

#include "base/addr.h"
#include "io/poller.h"

#define KG_RESOLVER_ADDRESSES 32 /* of one name; more are left out */

struct kg_resolver;

/*
 * Called when a watched name's set of addresses changes, or is lost (count 0: no such name; a mere timeout
 * keeps the old ones). All are IPv4; IPv6 only when there is no IPv4. They are sorted, so that another order
 * in the answer is no change. The owner may tell the set of names anew meanwhile, but not free the resolver;
 * host and addrs live until it returns.
 */
typedef void (*kg_resolver_changed)(void *ctx, const char *host, const struct kg_addr *addrs, size_t count);

int kg_resolver_new(struct kg_poller *poller, kg_resolver_changed changed, void *ctx,
                    struct kg_resolver **resolver, struct kg_error *err);
void kg_resolver_free(struct kg_resolver *resolver);

/*
 * The set of names to watch, told anew: begin, one watch for each name, commit. Names no longer named are
 * forgotten; names already known keep their addresses and their timer. Of more than 65536 names the rest is
 * not looked up, and the log says so.
 */
void kg_resolver_begin(struct kg_resolver *resolver);
void kg_resolver_watch(struct kg_resolver *resolver, const char *host);
void kg_resolver_commit(struct kg_resolver *resolver);

#endif
