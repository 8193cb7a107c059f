/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/net_set.h"

#include "base/mem.h"

#include <stdlib.h>

/* By family, then by the address as a number. */
static int compare(const struct kg_addr *a, const struct kg_addr *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static int lower_first(const void *left, const void *right)
{
    const struct kg_net_range *a = left, *b = right;

    return compare(&a->first, &b->first);
}

static struct kg_net_range range_of(const struct kg_net *net)
{
    struct kg_net_range range = { net->addr, net->addr };
    unsigned bytes = net->addr.family == 4 ? 4 : 16;

    for (unsigned i = 0; i < bytes; i++) {
        unsigned bits = net->prefix_len > i * 8 ? net->prefix_len - i * 8 : 0;
        uint8_t host = bits >= 8 ? 0 : (uint8_t)(0xff >> bits);

        range.first.bytes[i] &= (uint8_t)~host;
        range.last.bytes[i] |= host;
    }
    return range;
}

void kg_net_set_build(struct kg_net_set *set, const struct kg_net *nets, size_t count)
{
    struct kg_net_range *ranges = kg_calloc(count, sizeof(*ranges));
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        ranges[i] = range_of(&nets[i]);
    if (count > 0)
        qsort(ranges, count, sizeof(*ranges), lower_first);
    for (size_t i = 0; i < count; i++) {
        struct kg_net_range *before = kept > 0 ? &ranges[kept - 1] : NULL;

        if (!before || compare(&before->last, &ranges[i].first) < 0)
            ranges[kept++] = ranges[i];
        else if (compare(&before->last, &ranges[i].last) < 0)
            before->last = ranges[i].last;
    }
    *set = (struct kg_net_set){ ranges, kept };
}

void kg_net_set_free(struct kg_net_set *set)
{
    free(set->ranges);
    *set = (struct kg_net_set){ 0 };
}

bool kg_net_set_has(const struct kg_net_set *set, const struct kg_addr *addr)
{
    size_t low = 0, high = set->count;

    /* How many begin at the address or before it: only the last of them can hold it. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(&set->ranges[middle].first, addr) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && compare(addr, &set->ranges[low - 1].last) <= 0;
}
