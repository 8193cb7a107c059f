/* SPDX-License-Identifier: BSD-2-Clause */
/* Upstream addresses and their idle connections. */
#include "proxy/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdlib.h>

static struct kg_pool_key **bucket(struct kg_worker *worker, const struct sockaddr_storage *addr,
                                   socklen_t len)
{
    const unsigned char *bytes = (const unsigned char *)addr;
    uint32_t hash = 2166136261u; /* FNV-1a: addresses come from the operator, nobody can choose collisions */

    for (socklen_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return &worker->pool[hash % KG_POOL_BUCKETS];
}

struct kg_pool_key *kg_pool_key_get(struct kg_worker *worker, const struct sockaddr_storage *addr,
                                    socklen_t len)
{
    struct kg_pool_key **at = bucket(worker, addr, len), *key;

    for (key = *at; key; key = key->next) {
        if (key->addr_len == len && memcmp(&key->addr, addr, len) == 0)
            break;
    }
    if (!key) {
        key = kg_calloc(1, sizeof(*key));
        memcpy(&key->addr, addr, len);
        key->addr_len = len;
        key->next = *at;
        *at = key;
    }
    key->users++;
    return key;
}

void kg_pool_key_put(struct kg_worker *worker, struct kg_pool_key *key)
{
    KG_ASSERT(key->users > 0);
    if (--key->users > 0)
        return;
    struct kg_pool_key **at = bucket(worker, &key->addr, key->addr_len);

    while (*at != key)
        at = &(*at)->next;
    *at = key->next;
    free(key);
}
