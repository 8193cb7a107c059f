/* SPDX-License-Identifier: BSD-2-Clause */
/* The PROXY protocol on a client's connection: the header before anything else, TLS included. */
#include "proxy/internal.h"

#include "http/proxy_protocol.h"

void kg_proxy_header_bytes(struct kg_client *client, const struct kg_input *input)
{
    struct kg_blocks *blocks = &client->worker->ring.blocks;
    struct kg_proxy_header header;
    const char *why;

    /* A block is larger than any header, so what there is of one lies whole in the first. */
    kg_chain_append(&client->backlog, blocks, input->ptr, input->len);
    const struct kg_block *first = client->backlog.first;
    int rc =
        kg_proxy_header_parse(kg_slice_of(first->data + first->start, kg_block_used(first)), &header, &why);
    if (rc == 0)
        return;
    if (rc < 0) {
        kg_count(&client->worker->stats.malformed);
        kg_request_signal(client, KG_SIGNAL_MALFORMED);
        kg_client_reset(client);
        return;
    }
    kg_chain_consume(&client->backlog, blocks, (size_t)rc);
    /* Read from anyone, believed only from those in trusted_proxies. */
    if (client->trusted && header.source.family) {
        client->near = header.source;
        client->trusted = kg_net_list_has(&client->worker->config->trusted, &client->near);
    }
    if (kg_trust_is_banned(client)) {
        kg_count(&client->worker->stats.banned);
        kg_client_reset(client);
        return;
    }
    /* Unlike headers, this is one client's for as long as the connection lives. */
    struct kg_addr source = kg_addr_source(&client->near);
    if (!client->trusted && !client->counted_as.family && !kg_client_count_source(client, &source)) {
        kg_client_reset(client);
        return;
    }
    kg_client_begin(client);
}
