/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many networks to look addresses up in: sorted ranges without overlap, so that thousands cost no more than a
 * dozen comparisons. Built once; read by any thread after that.
 */
#ifndef KG_BASE_NET_SET_H
#define KG_BASE_NET_SET_H

#include "base/addr.h"

struct kg_net_range {
    struct kg_addr first, last;
};

struct kg_net_set {
    struct kg_net_range *ranges;
    size_t count;
};

/* Host bits of a network are taken for zero. */
void kg_net_set_build(struct kg_net_set *set, const struct kg_net *nets, size_t count);
void kg_net_set_free(struct kg_net_set *set);
bool kg_net_set_has(const struct kg_net_set *set, const struct kg_addr *addr);

#endif
