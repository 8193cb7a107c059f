/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who a request comes from, and what its sender is believed: only a trusted proxy may name another address,
 * scheme, host, port or request id than those of its own connection.
 */
#include "proxy/internal.h"

#include "http/bytes.h"
#include "http/forwarded.h"

void kg_trust_peer(struct kg_client *client, const struct kg_addr *peer)
{
    client->peer = client->near = *peer;
    client->source = kg_addr_source(peer);
    client->trusted = kg_net_list_has(&client->worker->config->trusted, peer);
}

struct kg_slice kg_trust_value(const struct kg_client *client, struct kg_slice name)
{
    return client->trusted ? kg_forwarded_value(&client->worker->head, name) : KG_SLICE("");
}

static void find_address(struct kg_client *client)
{
    const struct kg_proxy_config *config = client->worker->config;
    struct kg_addr addr = client->near;

    if (config->real_ip_header.len == 0)
        return;
    kg_forwarded_walk(&client->worker->head, config->real_ip_header, &config->trusted,
                      config->real_ip_recursive, &addr);
    client->request.address = addr;
}

static bool is_request_id(struct kg_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (kg_bytes_hex[(unsigned char)text.ptr[i]] < 0)
            return false;
    }
    return text.len == KG_REQUEST_ID;
}

void kg_trust_begin(struct kg_client *client)
{
    struct kg_request *request = &client->request;

    if (!client->trusted)
        return;
    find_address(client);
    struct kg_slice proto = kg_trust_value(client, KG_SLICE("X-Forwarded-Proto"));
    if (proto.len > 0)
        request->https = kg_slice_eq_nocase(proto, KG_SLICE("https"));
    struct kg_slice id = kg_trust_value(client, KG_SLICE("X-Request-Id"));
    if (is_request_id(id))
        memcpy(request->id, id.ptr, id.len);
}

bool kg_trust_is_banned(struct kg_client *client)
{
    struct kg_worker *worker = client->worker;
    const struct kg_addr *address = kg_request_address(client);

    /* A ban of the peer itself has ended its connections already. */
    if (worker->bans.count == 0 || kg_addr_eq(address, &client->peer))
        return false;
    struct kg_addr source = kg_addr_source(address);
    return kg_banset_has(&worker->bans, &source, worker->now_ms);
}
