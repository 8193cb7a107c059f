/* SPDX-License-Identifier: BSD-2-Clause */
/* A client's connection: from accept to close, one request after the other. */
#include "proxy/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Where clients in this state are counted, as nginx counts them; NULL: they wait, or are gone. */
static _Atomic uint64_t *gauge_of(struct kg_worker_stats *stats, enum kg_client_state state)
{
    switch (state) {
    case KG_CLIENT_HEAD:
        return &stats->reading;
    case KG_CLIENT_COLLECT:
    case KG_CLIENT_CONNECT:
    case KG_CLIENT_RELAY:
    case KG_CLIENT_TUNNEL:
    case KG_CLIENT_LINGER:
        return &stats->writing;
    default:
        return NULL;
    }
}

void kg_client_enter(struct kg_client *client, enum kg_client_state state)
{
    struct kg_worker_stats *stats = &client->worker->stats;
    _Atomic uint64_t *from = gauge_of(stats, client->state), *to = gauge_of(stats, state);

    client->state = state;
    if (from == to)
        return;
    if (from)
        kg_usage_add(from, (uint64_t)-1);
    if (to)
        kg_count(to);
}

static void on_timer(struct kg_timer *timer);

void kg_client_arm(struct kg_client *client, uint64_t delay_ms)
{
    kg_timer_set(&client->worker->wheel, &client->timer, client->worker->now_ms, delay_ms, on_timer);
}

void kg_client_touch(struct kg_client *client)
{
    const struct kg_proxy_config *config = client->worker->config;

    switch (client->state) {
    case KG_CLIENT_IDLE:
        if (client->begun > 0)
            kg_client_arm(client, config->keepalive_timeout_ms);
        return;
    case KG_CLIENT_CONNECT:
        client->request.pace.turn = KG_TURN_NONE;
        kg_client_arm(client, client->request.service->connect_timeout_ms);
        return;
    case KG_CLIENT_COLLECT:
    case KG_CLIENT_RELAY:
        kg_pace_touch(client);
        return;
    case KG_CLIENT_TUNNEL:
        kg_client_arm(client, kg_tunnel_patience(client));
        return;
    default: /* HEAD and LINGER have one deadline each, whatever comes in */
        return;
    }
}

static void close_client(struct kg_client *client, bool reset)
{
    if (client->state == KG_CLIENT_CLOSED)
        return;
    if (client->state == KG_CLIENT_TUNNEL)
        kg_tunnel_end(client, reset);
    kg_client_enter(client, KG_CLIENT_CLOSED);
    kg_timer_stop(&client->timer);
    kg_request_end(client);
    kg_chain_clear(&client->backlog, &client->worker->ring.blocks);
    if (reset)
        kg_sock_reset(&client->sock);
    else
        kg_sock_close(&client->sock);
}

void kg_client_abort(struct kg_client *client)
{
    /* Who takes the end of the connection for the end of the body must see that this is none. */
    close_client(client, client->request.close_out);
}

void kg_client_reset(struct kg_client *client)
{
    close_client(client, true);
}

void kg_client_drain(struct kg_client *client)
{
    if (client->state == KG_CLIENT_IDLE || client->state == KG_CLIENT_PROXY_HEADER)
        close_client(client, false);
}

/*
 * Looks for a whole head at the front of `bytes`. True when one was there (worker->head holds it, *len its
 * length) or it was refused (*len is 0 and the client answered); false when more bytes are needed.
 */
static bool find_head(struct kg_client *client, struct kg_slice bytes, size_t *len)
{
    struct kg_worker *worker = client->worker;
    const char *why;
    int rc = kg_head_parse_request(bytes, &worker->config->limits, &worker->head, &why);

    *len = rc > 0 ? (size_t)rc : 0;
    if (rc < 0)
        kg_request_refuse(client, (unsigned)-rc);
    return rc != 0;
}

static void await_rest_of_head(struct kg_client *client)
{
    if (client->state == KG_CLIENT_HEAD)
        return;
    kg_client_enter(client, KG_CLIENT_HEAD);
    /* The time for the first one runs since the client came. */
    if (client->begun > 0)
        kg_client_arm(client, client->worker->config->header_timeout_ms);
}

/* Makes the first block hold as much of the backlog as fits, so that a head is in one piece. */
static void gather(struct kg_client *client)
{
    struct kg_block *first = client->backlog.first;

    /* Any head lies whole in what is there: moving it for each of many small requests would cost more than
     * they do. */
    if (!first->next || kg_block_used(first) > client->worker->config->limits.bytes)
        return;
    if (first->start > 0) {
        memmove(first->data, first->data + first->start, kg_block_used(first));
        first->end -= first->start;
        first->start = 0;
    }
    while (first->next && kg_block_room(first) > 0) {
        struct kg_block *second = first->next;
        uint32_t part =
            kg_block_used(second) < kg_block_room(first) ? kg_block_used(second) : kg_block_room(first);

        memcpy(first->data + first->end, second->data + second->start, part);
        first->end += part;
        second->start += part;
        if (kg_block_used(second) > 0)
            return;
        first->next = second->next;
        if (client->backlog.last == second)
            client->backlog.last = first;
        kg_block_release(&client->worker->ring.blocks, second);
    }
}

/* The request at the front of the backlog is begun when its head is whole. */
static void take_head(struct kg_client *client)
{
    gather(client);
    struct kg_block *first = client->backlog.first;
    size_t len;

    const char *start = first->data + first->start;
    if (!find_head(client, kg_slice_of(start, kg_block_used(first)), &len)) {
        if (client->eof) {
            close_client(client, false);
            return;
        }
        await_rest_of_head(client);
        kg_sock_receive_all(&client->sock);
        return;
    }
    if (len == 0)
        return;
    /* Consumed after it has been looked at: worker->head points into the block. */
    kg_request_begin(client, kg_slice_of(start, len));
    if (client->state == KG_CLIENT_CLOSED)
        return;
    kg_chain_consume(&client->backlog, &client->worker->ring.blocks, len);
    kg_relay_pump(client);
}

/* The next request is taken from the backlog, or awaited. */
static void next_request(struct kg_client *client)
{
    kg_client_enter(client, KG_CLIENT_IDLE);
    if (client->backlog.bytes > 0) {
        take_head(client);
        return;
    }
    if (client->eof || client->worker->draining) {
        close_client(client, false);
        return;
    }
    kg_client_touch(client);
    kg_sock_receive_all(&client->sock);
}

void kg_client_begin(struct kg_client *client)
{
    if (client->tls && !kg_client_secure(client)) {
        kg_count(&client->worker->stats.refused);
        kg_client_reset(client);
        return;
    }
    next_request(client);
}

/*
 * More of a head that was incomplete: whether another look can tell anything new. Without it, a head that
 * comes byte by byte would be parsed from its start for each of them.
 */
static bool may_end_head(const struct kg_client *client, const struct kg_input *input)
{
    const struct kg_head_limits *limits = &client->worker->config->limits;
    size_t after = client->backlog.bytes, before = after - input->len;

    return after >= limits->bytes || (before <= limits->line && after > limits->line) ||
           memchr(input->ptr, '\n', input->len);
}

/* Bytes of a head, the first or more. The usual case, a whole head in one piece, is served where it lies. */
static void head_bytes(struct kg_client *client, const struct kg_input *input)
{
    struct kg_blocks *blocks = &client->worker->ring.blocks;
    size_t len;

    if (client->backlog.bytes > 0) {
        kg_chain_append(&client->backlog, blocks, input->ptr, input->len);
        if (may_end_head(client, input))
            take_head(client);
        return;
    }
    if (!find_head(client, kg_slice_of(input->ptr, input->len), &len)) {
        kg_chain_append(&client->backlog, blocks, input->ptr, input->len);
        await_rest_of_head(client);
        return;
    }
    if (len == 0)
        return;
    kg_request_begin(client, kg_slice_of(input->ptr, len));
    if (client->state == KG_CLIENT_CLOSED)
        return;
    size_t rest = input->len - len;
    size_t taken = rest ? kg_relay_request_body(client, input->ptr + len, rest, input) : 0;
    if (client->state == KG_CLIENT_CLOSED)
        return;
    if (taken < rest)
        kg_chain_append(&client->backlog, blocks, input->ptr + len + taken, rest - taken);
    kg_relay_pump(client);
}

/* Bytes while a request is running: its body, or the next request, which has to wait. */
static void running_bytes(struct kg_client *client, const struct kg_input *input)
{
    size_t taken = 0;

    if (client->backlog.bytes == 0)
        taken = kg_relay_request_body(client, input->ptr, input->len, input);
    if (client->state == KG_CLIENT_CLOSED)
        return;
    if (taken < input->len)
        kg_chain_append(&client->backlog, &client->worker->ring.blocks, input->ptr + taken,
                        input->len - taken);
    kg_relay_pump(client);
}

static void linger_bytes(struct kg_client *client, const struct kg_input *input)
{
    kg_sock_receive_once(&client->sock);
}

static void closed_bytes(struct kg_client *client, const struct kg_input *input)
{
}

static void head_timeout(struct kg_client *client)
{
    kg_request_refuse(client, 408);
}

static void connect_timeout(struct kg_client *client)
{
    kg_attempt_failed(client, 504);
}

/* The life of a client's connection: what bytes and what silence mean in each state. */
static const struct {
    void (*bytes)(struct kg_client *client, const struct kg_input *input);
    void (*timeout)(struct kg_client *client);
} states[KG_CLIENT_STATES] = {
    [KG_CLIENT_PROXY_HEADER] = { kg_proxy_header_bytes, kg_client_abort },
    [KG_CLIENT_IDLE] = { head_bytes, kg_client_abort },
    [KG_CLIENT_HEAD] = { head_bytes, head_timeout },
    [KG_CLIENT_COLLECT] = { kg_collect_bytes, kg_pace_expired },
    [KG_CLIENT_CONNECT] = { running_bytes, connect_timeout },
    [KG_CLIENT_RELAY] = { running_bytes, kg_pace_expired },
    [KG_CLIENT_TUNNEL] = { kg_tunnel_client_bytes, kg_tunnel_timeout },
    [KG_CLIENT_LINGER] = { linger_bytes, kg_client_abort },
    [KG_CLIENT_CLOSED] = { closed_bytes, NULL },
};

static void on_timer(struct kg_timer *timer)
{
    struct kg_client *client = (struct kg_client *)((char *)timer - offsetof(struct kg_client, timer));

    states[client->state].timeout(client);
}

static void received(struct kg_sock *sock, const struct kg_input *input)
{
    struct kg_client *client = (struct kg_client *)sock;

    states[client->state].bytes(client, input);
}

static void on_eof(struct kg_sock *sock)
{
    struct kg_client *client = (struct kg_client *)sock;

    client->eof = true;
    if (client->state == KG_CLIENT_TUNNEL) {
        kg_tunnel_pump(client);
        return;
    }
    /* A client may end its side after a whole request (RFC 9112, 9.6) and still wants the answer. */
    bool running = client->state == KG_CLIENT_CONNECT || client->state == KG_CLIENT_RELAY;
    if (running && (client->request.body_done || client->request.answered))
        return;
    if (running && client->backlog.bytes > 0) {
        kg_relay_pump(client);
        return;
    }
    kg_client_abort(client);
}

static void on_failed(struct kg_sock *sock, int error)
{
    struct kg_client *client = (struct kg_client *)sock;

    if (error == -EPROTO)
        kg_count(&client->worker->stats.tls_errors);
    if (client->state == KG_CLIENT_TUNNEL)
        kg_client_reset(client);
    else
        kg_client_abort(client);
}

/*
 * Whether the client has sent more than we take, or may be sending it: closing now would answer that with
 * RST, which can destroy the answer on its way (RFC 9112, 9.6). Who has said that this is its last request
 * may have sent something all the same, which nobody has asked the kernel for.
 */
static bool is_sending(const struct kg_client *client)
{
    if (client->eof)
        return false;
    return !client->request.body_done || client->backlog.bytes > 0 || client->request.asks_more ||
           !kg_sock_is_quiet(&client->sock);
}

/* The answer has gone out to the last byte. */
static void finish_answer(struct kg_client *client)
{
    bool again = client->request.keep_alive && client->request.body_done && !client->worker->draining;
    bool sending = !again && is_sending(client);

    kg_request_end(client);
    if (again) {
        next_request(client);
        return;
    }
    if (!sending) {
        close_client(client, false);
        return;
    }
    kg_client_enter(client, KG_CLIENT_LINGER);
    kg_chain_clear(&client->backlog, &client->worker->ring.blocks);
    kg_client_arm(client, KG_LINGER_MS);
    kg_sock_shutdown(&client->sock);
    kg_sock_receive_once(&client->sock);
}

void kg_client_answered(struct kg_client *client)
{
    client->request.answered = true;
    kg_client_enter(client, KG_CLIENT_RELAY);
    /* Where the connection's end is the body's, it is a part of the answer and takes its time like one. */
    if (client->tls && client->request.close_out)
        kg_sock_shutdown(&client->sock);
    kg_client_touch(client);
    kg_sock_flush(&client->sock);
    /* All of it has gone out already: no completion will come to end the request. */
    if (kg_sock_pending(&client->sock) == 0)
        finish_answer(client);
}

static void sent(struct kg_sock *sock)
{
    struct kg_client *client = (struct kg_client *)sock;

    if (client->state == KG_CLIENT_TUNNEL) {
        kg_tunnel_client_sent(client);
        return;
    }
    if (client->state != KG_CLIENT_RELAY && client->state != KG_CLIENT_CONNECT)
        return;
    if (client->request.answered && kg_sock_pending(sock) == 0) {
        finish_answer(client);
        return;
    }
    kg_client_touch(client);
    struct kg_upstream *upstream = client->request.upstream;
    /* For its head it is receiving already, and before that it is not even connected. */
    if (upstream && upstream->state == KG_UPSTREAM_BODY && kg_sock_can_write(sock))
        kg_sock_receive_once(&upstream->sock);
}

static void on_closed(struct kg_sock *sock)
{
    struct kg_client *client = (struct kg_client *)sock;
    struct kg_worker *worker = client->worker;

    *client->link = client->next;
    if (client->next)
        client->next->link = client->link;
    worker->client_count--;
    kg_admission_leave(worker->config->admission);
    if (client->counted_as.family)
        kg_admission_leave_source(worker->config->admission, &client->counted_as);
    atomic_store_explicit(&worker->stats.active, worker->client_count, memory_order_relaxed);
    free(client);
}

static void secured(struct kg_sock *sock)
{
    struct kg_worker_stats *stats = &((struct kg_client *)sock)->worker->stats;

    kg_count(&stats->tls_handshakes);
    if (SSL_session_reused(kg_sock_ssl(sock)))
        kg_count(&stats->tls_resumed);
}

static const struct kg_sock_ops client_ops = {
    .secured = secured,
    .received = received,
    .eof = on_eof,
    .sent = sent,
    .failed = on_failed,
    .closed = on_closed,
};

static void refuse(int fd, _Atomic uint64_t *counter)
{
    struct linger hard = { .l_onoff = 1, .l_linger = 0 };

    kg_count(counter);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
}

bool kg_client_count_source(struct kg_client *client, const struct kg_addr *source)
{
    struct kg_worker *worker = client->worker;

    if (!kg_admission_enter_source(worker->config->admission, source)) {
        kg_count(&worker->stats.limited);
        return false;
    }
    client->counted_as = *source;
    return true;
}

/* NULL when the ring has no slot for it. */
static struct kg_client *new_client(struct kg_worker *worker, int fd, const struct kg_addr *peer)
{
    struct kg_client *client = kg_calloc(1, sizeof(*client));

    if (kg_sock_open(&client->sock, &worker->ring, fd, &client_ops)) {
        free(client);
        return NULL;
    }
    client->worker = worker;
    client->number =
        atomic_load_explicit(&worker->stats.accepted, memory_order_relaxed) * KG_WORKERS_MAX + worker->index;
    kg_trust_peer(client, peer);
    client->next = worker->clients;
    client->link = &worker->clients;
    if (client->next)
        client->next->link = &client->next;
    worker->clients = client;
    worker->client_count++;
    atomic_store_explicit(&worker->stats.active, worker->client_count, memory_order_relaxed);
    return client;
}

static void begin(struct kg_client *client, const struct kg_listen_addr *at)
{
    kg_count(&client->worker->stats.handled);
    client->port = at->port;
    client->tls = at->tls;
    /* For all that comes before the first request is begun. */
    kg_client_arm(client, client->worker->config->header_timeout_ms);
    if (!at->proxy_protocol) {
        kg_client_begin(client);
        return;
    }
    kg_client_enter(client, KG_CLIENT_PROXY_HEADER);
    kg_sock_receive_all(&client->sock);
}

void kg_client_accept(struct kg_worker *worker, int fd, uint32_t listener)
{
    struct kg_admission *admission = worker->config->admission;
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);

    kg_count(&worker->stats.accepted);
    if (worker->client_count >= worker->config->max_connections || worker->draining ||
        getpeername(fd, (struct sockaddr *)&peer, &len)) {
        refuse(fd, &worker->stats.refused);
        return;
    }
    struct kg_addr addr = kg_addr_from_sockaddr((const struct sockaddr *)&peer),
                   source = kg_addr_source(&addr);
    if (kg_banset_has(&worker->bans, &source, worker->now_ms)) {
        refuse(fd, &worker->stats.banned);
        return;
    }
    if (!kg_admission_enter(admission)) {
        refuse(fd, &worker->stats.limited);
        return;
    }
    struct kg_client *client = new_client(worker, fd, &addr);
    if (!client) {
        kg_admission_leave(admission);
        refuse(fd, &worker->stats.refused);
        return;
    }
    /* A trusted proxy brings many clients. */
    if (!client->trusted && !kg_client_count_source(client, &client->source)) {
        kg_client_reset(client);
        return;
    }
    begin(client, &worker->config->listen[listener]);
}
