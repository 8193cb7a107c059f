/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tunnel: two connections that a 101 has switched to another protocol (RFC 9110, 7.8). Bytes go both ways
 * as they come and mean nothing here; they are counted at once, for a tunnel may last for days. Who cannot be
 * written to holds the other side back, as in relay.c: a side is asked for bytes only while the other has
 * room for them. Each end of a stream is passed on by itself; a connection that breaks breaks the other one
 * too.
 *
 * The client's end is client->eof, the upstream's request.tunnel.upstream_ended; `told` is set once the FIN
 * of the one has been passed on to the other, behind all bytes. With both told the tunnel is over.
 */
#include "proxy/internal.h"

#include "base/assert.h"

/* The only protocol that goes through: of any other we would not know what it lets a client do. */
#define PROTOCOL "websocket"

bool kg_tunnel_wanted(const struct kg_framing *framing, enum kg_method method)
{
    /*
     * WebSocket begins with GET (RFC 6455, 4.1). A request with a body has none: whether what follows it are
     * bytes of the tunnel would depend on when the 101 comes.
     */
    return framing->upgrade && framing->body == KG_BODY_NONE && method == KG_METHOD_GET &&
           kg_slice_eq_nocase(framing->upgrade_to, KG_SLICE(PROTOCOL));
}

static void count_tunnels(struct kg_worker *worker, int change)
{
    uint64_t now = atomic_load_explicit(&worker->stats.tunnels, memory_order_relaxed);

    atomic_store_explicit(&worker->stats.tunnels, now + (uint64_t)change, memory_order_relaxed);
}

bool kg_tunnel_begin(struct kg_upstream *upstream, const struct kg_response_framing *framing)
{
    struct kg_client *client = upstream->client;
    struct kg_request *request = &client->request;
    struct kg_block *block = kg_block_new(&client->worker->ring.blocks);
    struct kg_writer out = kg_writer_of(block->data, block->size);

    request->status = client->worker->head.status;
    if (!request->upgrade || !kg_slice_eq_nocase(framing->upgrade_to, KG_SLICE(PROTOCOL)) ||
        !kg_forward_response_head(client, framing, &out)) {
        kg_block_release(&client->worker->ring.blocks, block);
        return false;
    }
    block->end = (uint32_t)out.len;
    request->bytes_out += out.len;
    request->answering = true;
    request->keep_alive = false;
    kg_sock_write_block(&client->sock, block);
    upstream->body = KG_BODY_TUNNEL;
    upstream->state = KG_UPSTREAM_TUNNEL;
    kg_client_enter(client, KG_CLIENT_TUNNEL);
    count_tunnels(client->worker, 1);
    /* From here on one receive at a time. What came behind the request has waited for this. */
    kg_sock_pause(&client->sock);
    kg_tunnel_pump(client);
    return true;
}

void kg_tunnel_end(struct kg_client *client, bool reset)
{
    KG_ASSERT(client->request.upstream && client->request.upstream->state == KG_UPSTREAM_TUNNEL);
    count_tunnels(client->worker, -1);
    if (reset)
        kg_sock_reset(&client->request.upstream->sock);
}

void kg_tunnel_timeout(struct kg_client *client)
{
    bool cut = client->backlog.bytes > 0 || kg_sock_pending(&client->sock) > 0 ||
               kg_sock_pending(&client->request.upstream->sock) > 0;

    if (cut)
        kg_client_reset(client);
    else
        kg_client_abort(client);
}

uint32_t kg_tunnel_patience(const struct kg_client *client)
{
    const struct kg_service *service = client->request.service;

    /* Whoever has to move next sets the time, as for a body. */
    if (kg_sock_pending(&client->sock) > 0)
        return client->worker->config->send_timeout_ms;
    if (kg_sock_pending(&client->request.upstream->sock) > 0)
        return service->write_timeout_ms;
    return service->read_timeout_ms;
}

/* One side has ended, and all its bytes are with the kernel: the other side is told. */
static void pass_end(struct kg_client *client, struct kg_sock *to, bool *told)
{
    struct kg_tunnel *tunnel = &client->request.tunnel;

    if (kg_sock_pending(to) > 0)
        return;
    if (!*told)
        kg_sock_shutdown(to);
    *told = true;
    /* Of TLS the end itself may have to wait for room. */
    bool both = tunnel->upstream_told && tunnel->client_told;
    if (both && kg_sock_pending(to) == 0 && kg_sock_pending(&client->sock) == 0)
        kg_client_abort(client);
}

void kg_tunnel_pump(struct kg_client *client)
{
    struct kg_sock *to = &client->request.upstream->sock;
    struct kg_chain *backlog = &client->backlog;

    while (backlog->bytes > 0 && kg_sock_can_write(to)) {
        struct kg_block *first = backlog->first;
        uint32_t len = kg_block_used(first);

        kg_sock_write_copy(to, kg_slice_of(first->data + first->start, len));
        kg_chain_consume(backlog, &client->worker->ring.blocks, len);
        kg_request_count_bytes(client, len, 0);
    }
    kg_sock_flush(to);
    if (backlog->bytes > 0)
        return;
    if (client->eof)
        pass_end(client, to, &client->request.tunnel.upstream_told);
    else if (kg_sock_can_write(to))
        kg_sock_receive_once(&client->sock);
}

void kg_tunnel_client_bytes(struct kg_client *client, const struct kg_input *input)
{
    struct kg_sock *to = &client->request.upstream->sock;

    /* More may come than there is room for while a multishot receive is being cancelled. */
    if (client->backlog.bytes > 0 || !kg_sock_can_write(to)) {
        kg_chain_append(&client->backlog, &client->worker->ring.blocks, input->ptr, input->len);
    } else {
        kg_sock_write_input(to, input, kg_slice_of(input->ptr, input->len));
        kg_request_count_bytes(client, input->len, 0);
    }
    kg_client_touch(client);
    kg_tunnel_pump(client);
}

void kg_tunnel_upstream_bytes(struct kg_upstream *upstream, const char *ptr, size_t len,
                              const struct kg_input *input)
{
    struct kg_client *client = upstream->client;
    struct kg_sock *to = &client->sock;

    /* Asked for only while there is room, one buffer at a time. */
    if (len > 0 && input)
        kg_sock_write_input(to, input, kg_slice_of(ptr, len));
    else if (len > 0)
        kg_sock_write_copy(to, kg_slice_of(ptr, len));
    kg_request_count_bytes(client, 0, len);
    kg_client_touch(client);
    kg_sock_flush(to);
    if (kg_sock_can_write(to))
        kg_sock_receive_once(&upstream->sock);
}

void kg_tunnel_upstream_eof(struct kg_upstream *upstream)
{
    struct kg_client *client = upstream->client;
    struct kg_tunnel *tunnel = &client->request.tunnel;

    tunnel->upstream_ended = true;
    pass_end(client, &client->sock, &tunnel->client_told);
}

void kg_tunnel_client_sent(struct kg_client *client)
{
    struct kg_upstream *upstream = client->request.upstream;
    struct kg_tunnel *tunnel = &client->request.tunnel;

    kg_client_touch(client);
    if (tunnel->upstream_ended)
        pass_end(client, &client->sock, &tunnel->client_told);
    else if (kg_sock_can_write(&client->sock))
        kg_sock_receive_once(&upstream->sock);
}
