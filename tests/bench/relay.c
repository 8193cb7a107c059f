/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The floor of the benchmark: moves bytes between each client and an upstream connection of its own, on the
 * same ring, buffers and sockets that a worker uses, and knows nothing of HTTP. One thread, until a signal
 * ends it.
 *
 * Usage: relay LISTEN_PORT UPSTREAM_PORT, both on 127.0.0.1.
 */
#include "base/mem.h"
#include "io/listen.h"
#include "io/sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* As a worker has them by default. */
#define MAX_SOCKETS  (2 * 8192 + 4096)
#define BUFFERS      512
#define BUFFER_BYTES 32768
#define BLOCK_BYTES  (32768 + BUFFER_BYTES + 8192)
#define MAX_WAIT_MS  1000

struct end {
    struct kg_sock sock; /* first: handlers are given this */
    struct end *peer;
    struct pair *pair;
};

/* Lives until both of its sockets are closed. */
struct pair {
    struct end client, upstream;
    unsigned open;
};

struct relay {
    struct kg_ring ring;
    struct sockaddr_in upstream;
    int listener;
};

static void close_pair(struct pair *pair)
{
    kg_sock_close(&pair->client.sock);
    kg_sock_close(&pair->upstream.sock);
}

static void connected(struct kg_sock *sock, int res)
{
    struct pair *pair = ((struct end *)sock)->pair;

    if (res < 0) {
        fprintf(stderr, "relay: cannot connect: %s\n", strerror(-res));
        close_pair(pair);
        return;
    }
    kg_sock_receive_once(&pair->client.sock);
    kg_sock_receive_once(&pair->upstream.sock);
}

/* One buffer at a time, as the proxy does it: more only when the other side has room for it. */
static void received(struct kg_sock *sock, const struct kg_input *input)
{
    struct kg_sock *peer = &((struct end *)sock)->peer->sock;

    kg_sock_write_input(peer, input, kg_slice_of(input->ptr, input->len));
    kg_sock_flush(peer);
    if (kg_sock_can_write(peer))
        kg_sock_receive_once(sock);
}

static void sent(struct kg_sock *sock)
{
    if (kg_sock_can_write(sock))
        kg_sock_receive_once(&((struct end *)sock)->peer->sock);
}

static void ended(struct kg_sock *sock)
{
    close_pair(((struct end *)sock)->pair);
}

static void failed(struct kg_sock *sock, int error)
{
    close_pair(((struct end *)sock)->pair);
}

static void closed(struct kg_sock *sock)
{
    struct pair *pair = ((struct end *)sock)->pair;

    if (--pair->open == 0)
        free(pair);
}

static const struct kg_sock_ops ops = {
    .connected = connected,
    .received = received,
    .eof = ended,
    .sent = sent,
    .failed = failed,
    .closed = closed,
};

static void set_nodelay(int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void open_end(struct relay *relay, struct end *end, struct pair *pair, struct end *peer, int fd)
{
    /* The descriptor limit is met long before the slots run out. */
    if (kg_sock_open(&end->sock, &relay->ring, fd, &ops) < 0) {
        fprintf(stderr, "relay: no slot left\n");
        exit(EXIT_FAILURE);
    }
    set_nodelay(fd);
    end->pair = pair;
    end->peer = peer;
    pair->open++;
}

static void accepted(void *ctx, uint32_t listener, int res, bool more)
{
    struct relay *relay = ctx;

    if (!more)
        kg_ring_accept(&relay->ring, relay->listener, listener);
    if (res < 0)
        return;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        close(res);
        return;
    }
    struct pair *pair = kg_calloc(1, sizeof(*pair));
    open_end(relay, &pair->client, pair, &pair->upstream, res);
    open_end(relay, &pair->upstream, pair, &pair->client, fd);
    kg_sock_connect(&pair->upstream.sock, (const struct sockaddr *)&relay->upstream, sizeof(relay->upstream));
}

static void nothing(void *ctx)
{
}

static bool read_port(const char *text, uint16_t *port)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *port = (uint16_t)value;
    return *text && !*end && value > 0 && value <= UINT16_MAX;
}

static void raise_file_limit(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int start(struct relay *relay, uint16_t port, struct kg_error *err)
{
    struct kg_listen_addr at = { .port = port };
    struct kg_ring_config config = { .max_sockets = MAX_SOCKETS,
                                     .buffers = BUFFERS,
                                     .buffer_size = BUFFER_BYTES,
                                     .block_size = BLOCK_BYTES,
                                     .wake_fd = eventfd(0, EFD_CLOEXEC) };

    int rc = kg_addr_parse(KG_SLICE("127.0.0.1"), &at.addr);
    if (rc == 0)
        rc = kg_listen_open(&at, 1, &relay->listener, err);
    if (rc < 0)
        return rc;
    rc = kg_ring_init(&relay->ring, &config, err);
    if (rc < 0)
        return rc;
    relay->ring.accepted = accepted;
    relay->ring.woken = nothing;
    relay->ring.ctx = relay;
    kg_ring_accept(&relay->ring, relay->listener, 0);
    return 0;
}

int main(int argc, char **argv)
{
    static struct relay relay;
    struct kg_error err;
    uint16_t port, upstream;

    if (argc != 3 || !read_port(argv[1], &port) || !read_port(argv[2], &upstream)) {
        fprintf(stderr, "usage: relay LISTEN_PORT UPSTREAM_PORT\n");
        return 2;
    }
    raise_file_limit();
    relay.upstream = (struct sockaddr_in){ .sin_family = AF_INET,
                                           .sin_port = htons(upstream),
                                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (start(&relay, port, &err) < 0) {
        fprintf(stderr, "relay: %s\n", err.text);
        return EXIT_FAILURE;
    }
    for (;;)
        kg_ring_turn(&relay.ring, MAX_WAIT_MS, nothing);
}
