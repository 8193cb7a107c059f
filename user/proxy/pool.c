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

static bool is_for(const struct kg_pool_key *key, const struct kg_endpoint *endpoint,
                   const struct kg_service_tls *tls)
{
    if (key->addr_len != endpoint->addr_len || memcmp(&key->addr, &endpoint->addr, key->addr_len) != 0)
        return false;
    if (key->tls_number != (tls ? tls->number : 0))
        return false;
    return !tls || kg_slice_eq(kg_slice_str(key->name), kg_endpoint_name(endpoint));
}

static struct kg_pool_key *new_key(const struct kg_endpoint *endpoint, const struct kg_service_tls *tls)
{
    struct kg_slice name = tls ? kg_endpoint_name(endpoint) : KG_SLICE("");
    struct kg_pool_key *key = kg_calloc(1, sizeof(*key) + name.len + 1);

    memcpy(&key->addr, &endpoint->addr, endpoint->addr_len);
    key->addr_len = endpoint->addr_len;
    key->tls_number = tls ? tls->number : 0;
    memcpy(key->name, name.ptr, name.len);
    return key;
}

static void leave_sessions(struct kg_worker *worker, struct kg_pool_key *key)
{
    if (key == worker->oldest)
        worker->oldest = key->newer;
    if (key == worker->newest)
        worker->newest = key->older;
    if (key->older)
        key->older->newer = key->newer;
    if (key->newer)
        key->newer->older = key->older;
    key->older = key->newer = NULL;
    worker->session_count--;
}

static void join_sessions(struct kg_worker *worker, struct kg_pool_key *key)
{
    key->older = worker->newest;
    if (key->older)
        key->older->newer = key;
    else
        worker->oldest = key;
    worker->newest = key;
    worker->session_count++;
}

static void free_key(struct kg_worker *worker, struct kg_pool_key *key)
{
    struct kg_pool_key **at = bucket(worker, &key->addr, key->addr_len);

    while (*at != key)
        at = &(*at)->next;
    *at = key->next;
    SSL_SESSION_free(key->session);
    free(key);
}

struct kg_pool_key *kg_pool_key_get(struct kg_worker *worker, const struct kg_endpoint *endpoint,
                                    const struct kg_service_tls *tls)
{
    struct kg_pool_key **at = bucket(worker, &endpoint->addr, endpoint->addr_len), *key = *at;

    while (key && !is_for(key, endpoint, tls))
        key = key->next;
    if (!key) {
        key = new_key(endpoint, tls);
        key->next = *at;
        *at = key;
    } else if (key->users == 0) {
        leave_sessions(worker, key);
    }
    key->users++;
    return key;
}

static void forget_oldest(struct kg_worker *worker)
{
    struct kg_pool_key *key = worker->oldest;

    leave_sessions(worker, key);
    free_key(worker, key);
}

void kg_pool_key_put(struct kg_worker *worker, struct kg_pool_key *key)
{
    KG_ASSERT(key->users > 0);
    if (--key->users > 0)
        return;
    if (!key->session) {
        free_key(worker, key);
        return;
    }
    join_sessions(worker, key);
    if (worker->session_count > KG_POOL_SESSIONS)
        forget_oldest(worker);
}

void kg_pool_forget_sessions(struct kg_worker *worker)
{
    while (worker->oldest)
        forget_oldest(worker);
}
