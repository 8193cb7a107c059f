/* SPDX-License-Identifier: BSD-2-Clause */
/* Upstream connections: connect or take from the pool, carry one request at a time, go back or close. */
#include "proxy/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

static const struct kg_sock_ops upstream_ops;

static void leave_idle_list(struct kg_upstream *upstream)
{
    if (upstream->state != KG_UPSTREAM_IDLE)
        return;
    *upstream->link = upstream->next;
    if (upstream->next)
        upstream->next->link = upstream->link;
    upstream->key->idle_count--;
    kg_timer_stop(&upstream->idle_timer);
}

static void close_upstream(struct kg_upstream *upstream)
{
    KG_ASSERT(!upstream->client);
    if (upstream->state == KG_UPSTREAM_CLOSED)
        return;
    leave_idle_list(upstream);
    upstream->state = KG_UPSTREAM_CLOSED;
    kg_chain_clear(&upstream->partial, &upstream->worker->ring.blocks);
    kg_sock_close(&upstream->sock);
}

static void idle_too_long(struct kg_timer *timer)
{
    close_upstream((struct kg_upstream *)((char *)timer - offsetof(struct kg_upstream, idle_timer)));
}

static void keep(struct kg_upstream *upstream)
{
    struct kg_worker *worker = upstream->worker;

    upstream->state = KG_UPSTREAM_IDLE;
    upstream->next = upstream->key->idle;
    upstream->link = &upstream->key->idle;
    if (upstream->next)
        upstream->next->link = &upstream->next;
    upstream->key->idle = upstream;
    upstream->key->idle_count++;
    kg_timer_set(&worker->wheel, &upstream->idle_timer, worker->now_ms, worker->config->idle_timeout_ms,
                 idle_too_long);
    /* To hear of its end at once: a connection that the upstream has closed must not be picked. */
    kg_sock_receive_once(&upstream->sock);
}

void kg_upstream_release(struct kg_upstream *upstream, bool reusable)
{
    struct kg_worker *worker = upstream->worker;

    KG_ASSERT(upstream->client && upstream->client->request.upstream == upstream);
    upstream->client->request.upstream = NULL;
    upstream->client = NULL;
    if (reusable && !worker->draining && upstream->key->idle_count < worker->config->max_idle &&
        kg_sock_pending(&upstream->sock) == 0)
        keep(upstream);
    else
        close_upstream(upstream);
}

void kg_upstream_close_idle(struct kg_worker *worker)
{
    for (size_t i = 0; i < KG_POOL_BUCKETS; i++) {
        for (struct kg_pool_key *key = worker->pool[i]; key; key = key->next) {
            while (key->idle)
                close_upstream(key->idle);
        }
    }
}

static void attach(struct kg_upstream *upstream, struct kg_client *client)
{
    upstream->client = client;
    client->request.upstream = upstream;
}

/* The connection stands: the request head goes out, and the response is awaited. */
static void send_head(struct kg_client *client)
{
    struct kg_request *request = &client->request;
    struct kg_upstream *upstream = request->upstream;
    struct kg_block *head = request->head;

    kg_client_enter(client, KG_CLIENT_RELAY);
    upstream->state = KG_UPSTREAM_HEAD;
    upstream->spoken = false;
    upstream->chunked = (struct kg_chunked){ 0 };
    /* What can be sent again (RFC 9110, 9.2.2) is kept until it is answered: a kept connection may have died
     * meanwhile (RFC 9112, 9.3.1), a new one may fail. */
    if (request->idempotent && (upstream->reused || kg_attempt_is_left(client))) {
        kg_sock_write_copy(&upstream->sock, kg_slice_of(head->data, head->end));
    } else {
        kg_sock_write_block(&upstream->sock, head);
        request->head = NULL;
    }
    kg_sock_flush(&upstream->sock);
    kg_sock_receive_once(&upstream->sock);
    kg_client_touch(client);
}

static int open_socket(const struct kg_endpoint *endpoint)
{
    int on = 1, fd = socket(endpoint->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void cannot_connect(struct kg_client *client)
{
    /* Out of descriptors or slots: what is kept for later must not be in the way of what is wanted now. */
    kg_upstream_close_idle(client->worker);
    kg_request_answer(client, 503, KG_SLICE("The upstream server is currently unavailable"), KG_SLICE(""));
}

static void connect_new(struct kg_client *client)
{
    struct kg_worker *worker = client->worker;
    const struct kg_endpoint *endpoint = client->request.choice.endpoint;
    const struct kg_service_tls *tls = client->request.service->tls;
    struct kg_upstream *upstream = kg_calloc(1, sizeof(*upstream));
    int fd = open_socket(endpoint);

    if (fd < 0 || kg_sock_open(&upstream->sock, &worker->ring, fd, &upstream_ops)) {
        if (fd >= 0)
            close(fd);
        free(upstream);
        cannot_connect(client);
        return;
    }
    upstream->worker = worker;
    upstream->key = kg_pool_key_get(worker, endpoint, tls);
    upstream->state = KG_UPSTREAM_CONNECTING;
    worker->upstream_count++;
    if (tls && !kg_upstream_secure(upstream, tls)) {
        close_upstream(upstream);
        cannot_connect(client);
        return;
    }
    attach(upstream, client);
    kg_client_enter(client, KG_CLIENT_CONNECT);
    kg_count(&worker->stats.upstream_connects);
    kg_sock_connect(&upstream->sock, (const struct sockaddr *)&upstream->key->addr, upstream->key->addr_len);
    kg_client_touch(client);
}

/* The connection used last. One that holds bytes or has ended is not for use: they are no answer to what
 * comes now. */
static struct kg_upstream *pick_idle(struct kg_pool_key *key)
{
    while (key->idle && !kg_sock_is_quiet(&key->idle->sock))
        close_upstream(key->idle);
    return key->idle;
}

void kg_upstream_start(struct kg_client *client)
{
    struct kg_worker *worker = client->worker;
    const struct kg_endpoint *endpoint = client->request.choice.endpoint;
    struct kg_pool_key *key = kg_pool_key_get(worker, endpoint, client->request.service->tls);
    struct kg_upstream *upstream = pick_idle(key);

    if (client->request.retries == 0)
        client->request.upstream_ms = worker->now_ms;
    if (!upstream) {
        connect_new(client);
        kg_pool_key_put(worker, key);
        return;
    }
    leave_idle_list(upstream);
    upstream->reused = true;
    attach(upstream, client);
    kg_count(&worker->stats.upstream_reuses);
    send_head(client);
    kg_pool_key_put(worker, key);
}

static void connected(struct kg_sock *sock, int res)
{
    struct kg_client *client = ((struct kg_upstream *)sock)->client;

    if (res < 0) {
        kg_attempt_failed(client, 502);
        return;
    }
    if (client->request.service->tls)
        return; /* the handshake comes next */
    send_head(client);
    kg_relay_pump(client);
}

static void secured(struct kg_sock *sock)
{
    struct kg_client *client = ((struct kg_upstream *)sock)->client;

    send_head(client);
    kg_relay_pump(client);
}

/* The whole response is queued for the client. */
static void finish_response(struct kg_upstream *upstream, bool leftover)
{
    struct kg_client *client = upstream->client;

    kg_attempt_done(client);
    if (!upstream->reused)
        kg_upstream_remember(upstream);
    kg_upstream_release(upstream, upstream->keep_alive && !leftover && client->request.body_done &&
                                      !client->request.ahead.first);
    kg_client_answered(client);
}

/* The connection ended before the response did. */
static void cut_short(struct kg_upstream *upstream)
{
    struct kg_client *client = upstream->client;
    struct kg_request *request = &client->request;

    if (upstream->state == KG_UPSTREAM_BODY) {
        kg_attempt_cut(client);
        return;
    }
    if (upstream->reused && request->head && !request->renewed && !request->body_touched) {
        request->renewed = true;
        kg_upstream_release(upstream, false);
        connect_new(client);
        return;
    }
    kg_attempt_failed(client, 502);
}

static void body_bytes(struct kg_upstream *upstream, char *ptr, size_t len, const struct kg_input *input)
{
    struct kg_client *client = upstream->client;
    size_t used;

    if (!kg_relay_response_body(upstream, ptr, len, input, &used)) {
        cut_short(upstream);
        return;
    }
    if (kg_relay_response_done(upstream)) {
        finish_response(upstream, used < len);
        return;
    }
    kg_client_touch(client);
    kg_sock_flush(&client->sock);
    if (kg_sock_can_write(&client->sock))
        kg_sock_receive_once(&upstream->sock);
}

/* It has answered, so it is alive: the request will not be sent again. */
static void forget_head(struct kg_client *client)
{
    if (!client->request.head)
        return;
    kg_block_release(&client->worker->ring.blocks, client->request.head);
    client->request.head = NULL;
}

static void interim(struct kg_upstream *upstream)
{
    struct kg_client *client = upstream->client;

    forget_head(client);
    if (client->worker->head.status == 100)
        client->request.expects = false;
    /*
     * HTTP/1.0 knows no 1xx (RFC 9110, 15.2). One that finds no room may be left out; room is also kept for
     * what must not wait: the answer's head and the part of the body that came with it.
     */
    if (client->request.http10 || !kg_sock_has_room(&client->sock, 1 + 1 + 3))
        return;
    struct kg_block *block = kg_block_new(&client->worker->ring.blocks);
    struct kg_writer out = kg_writer_of(block->data, block->size);

    if (kg_forward_interim_head(client, &out))
        block->end = (uint32_t)out.len;
    kg_sock_write_block(&client->sock, block);
    kg_sock_flush(&client->sock);
}

/* A final response head is in worker->head: false when it is not to be trusted. */
static bool begin_response(struct kg_upstream *upstream, const struct kg_response_framing *framing)
{
    struct kg_client *client = upstream->client;
    struct kg_request *request = &client->request;
    struct kg_block *block = kg_block_new(&client->worker->ring.blocks);
    struct kg_writer out = kg_writer_of(block->data, block->size);

    forget_head(client);
    request->status = client->worker->head.status;
    bool unframed = framing->body == KG_BODY_CHUNKED || framing->body == KG_BODY_CLOSE;
    request->chunk_out = unframed && !request->http10;
    request->close_out = unframed && request->http10;
    if (framing->body == KG_BODY_CHUNKED && request->te_trailers)
        kg_trailers_expect(upstream->worker, &request->trailers_down);
    /* An answer before the request's end, or one that only the connection's end can delimit, is the last. */
    if (!request->body_done || request->close_out || client->worker->draining)
        request->keep_alive = false;
    if (!kg_forward_response_head(client, framing, &out)) {
        kg_block_release(&client->worker->ring.blocks, block);
        return false;
    }
    block->end = (uint32_t)out.len;
    request->bytes_out += out.len;
    request->answering = true;
    upstream->body = framing->body;
    upstream->body_left = framing->length;
    upstream->keep_alive = framing->keep_alive && framing->body != KG_BODY_CLOSE;
    upstream->state = KG_UPSTREAM_BODY;
    kg_sock_write_block(&client->sock, block);
    return true;
}

/*
 * One response head at the front of the bytes: its length, 0 when it is incomplete (the bytes are kept), or
 * -1 when the upstream was given up.
 */
static ssize_t head_bytes(struct kg_upstream *upstream, char *ptr, size_t len)
{
    struct kg_client *client = upstream->client;
    struct kg_worker *worker = upstream->worker;
    struct kg_response_framing framing;
    const char *why;
    int rc = kg_head_parse_response(kg_slice_of(ptr, len), &worker->config->limits, &worker->head, &why);

    if (rc == 0)
        return 0;
    bool bad = rc < 0 || kg_framing_response(&worker->head, client->request.to_head, &framing, &why) != 0;
    if (!bad && worker->head.status == 101 && kg_tunnel_begin(upstream, &framing)) {
        forget_head(client);
        return rc;
    }
    /* Of what was not asked for, a 101 is no answer. */
    bad = bad || worker->head.status == 101;
    bool is_interim = !bad && worker->head.status < 200;
    if (is_interim && client->request.interims++ < KG_INTERIM_MAX) {
        interim(upstream);
        return rc;
    }
    bad = bad || is_interim;
    if (bad || !begin_response(upstream, &framing)) {
        forget_head(client);
        kg_attempt_failed(client, 502);
        return -1;
    }
    return rc;
}

static void response_bytes(struct kg_upstream *upstream, char *ptr, size_t len, const struct kg_input *input)
{
    while (upstream->state == KG_UPSTREAM_HEAD && len > 0) {
        ssize_t head = head_bytes(upstream, ptr, len);

        if (head < 0)
            return;
        if (head == 0) {
            forget_head(upstream->client);
            kg_chain_append(&upstream->partial, &upstream->worker->ring.blocks, ptr, len);
            break;
        }
        ptr += head;
        len -= (size_t)head;
    }
    if (upstream->state == KG_UPSTREAM_HEAD) {
        kg_client_touch(upstream->client);
        kg_sock_receive_once(&upstream->sock);
        return;
    }
    if (upstream->state == KG_UPSTREAM_TUNNEL)
        kg_tunnel_upstream_bytes(upstream, ptr, len, input);
    else
        body_bytes(upstream, ptr, len, input);
}

static void received(struct kg_sock *sock, const struct kg_input *input)
{
    struct kg_upstream *upstream = (struct kg_upstream *)sock;
    struct kg_blocks *blocks = &upstream->worker->ring.blocks;

    if (!upstream->client) {
        /* Bytes nobody asked for: whatever they are, they are not the next answer. */
        close_upstream(upstream);
        return;
    }
    /* They came before the request went out, so they are no answer to it: a leftover of the connection's
     * earlier use. */
    if (!upstream->spoken) {
        cut_short(upstream);
        return;
    }
    if (upstream->partial.bytes == 0) {
        response_bytes(upstream, input->ptr, input->len, input);
        return;
    }
    kg_chain_append(&upstream->partial, blocks, input->ptr, input->len);
    /* Taken off while it is read: what is still incomplete is put back. A block holds any head and one buffer
     * more. */
    struct kg_chain whole = upstream->partial;
    KG_ASSERT(whole.first == whole.last);
    upstream->partial = (struct kg_chain){ 0 };
    response_bytes(upstream, whole.first->data + whole.first->start, kg_block_used(whole.first), NULL);
    kg_chain_clear(&whole, blocks);
}

static void on_eof(struct kg_sock *sock)
{
    struct kg_upstream *upstream = (struct kg_upstream *)sock;
    struct kg_client *client = upstream->client;

    if (!client) {
        close_upstream(upstream);
        return;
    }
    if (upstream->state == KG_UPSTREAM_TUNNEL) {
        kg_tunnel_upstream_eof(upstream);
        return;
    }
    if (upstream->state != KG_UPSTREAM_BODY || upstream->body != KG_BODY_CLOSE || upstream->broken) {
        cut_short(upstream);
        return;
    }
    if (client->request.chunk_out)
        kg_sock_write_static(&client->sock, KG_SLICE("0\r\n\r\n"));
    upstream->keep_alive = false;
    finish_response(upstream, false);
}

static void sent(struct kg_sock *sock)
{
    struct kg_upstream *upstream = (struct kg_upstream *)sock;

    if (!upstream->client)
        return;
    upstream->spoken = true;
    kg_client_touch(upstream->client);
    if (upstream->state == KG_UPSTREAM_TUNNEL)
        kg_tunnel_pump(upstream->client);
    else if (!upstream->client->request.body_done || upstream->client->request.ahead.first)
        kg_relay_pump(upstream->client);
}

static void on_failed(struct kg_sock *sock, int error)
{
    struct kg_upstream *upstream = (struct kg_upstream *)sock;

    if (!upstream->client) {
        close_upstream(upstream);
        return;
    }
    /* Of TLS 1.3 also behind the handshake: a certificate of ours that is refused. */
    if (upstream->state == KG_UPSTREAM_CONNECTING || error == -EPROTO)
        kg_upstream_insecure(upstream);
    if (upstream->state == KG_UPSTREAM_TUNNEL) {
        kg_client_reset(upstream->client);
        return;
    }
    if (upstream->state == KG_UPSTREAM_CONNECTING) {
        kg_attempt_failed(upstream->client, 502);
        return;
    }
    /*
     * Sending failed: it takes no more of the request, but its answer may lie there to be read; receiving
     * will tell. That will not tell of a reset again; EPIPE is one behind an orderly end.
     */
    if ((sock->receiving || sock->starved) && error != -EPROTO) {
        upstream->deaf = true;
        upstream->broken = error != -EPIPE;
        return;
    }
    cut_short(upstream);
}

static void on_closed(struct kg_sock *sock)
{
    struct kg_upstream *upstream = (struct kg_upstream *)sock;

    upstream->worker->upstream_count--;
    kg_pool_key_put(upstream->worker, upstream->key);
    free(upstream);
}

static const struct kg_sock_ops upstream_ops = {
    .connected = connected,
    .secured = secured,
    .received = received,
    .eof = on_eof,
    .sent = sent,
    .failed = on_failed,
    .closed = on_closed,
};
