/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/sock.h"
#include "base/assert.h"
#include "io/tls_filter.h"

#include <errno.h>
#include <unistd.h>

static uint64_t tag(const struct kg_sock *sock, enum kg_op op)
{
    return kg_tag(op, sock->slot, sock->generation);
}

/* A submission entry for one of this socket's operations, counted as in flight. The caller preps it, then
 * tags it. */
static struct io_uring_sqe *begin(struct kg_sock *sock)
{
    sock->inflight++;
    return kg_ring_sqe(sock->ring);
}

int kg_sock_open(struct kg_sock *sock, struct kg_ring *ring, int fd, const struct kg_sock_ops *ops)
{
    if (ring->free_slot == UINT32_MAX)
        return -ENOSPC;
    uint32_t index = ring->free_slot;
    struct kg_slot *slot = &ring->slots[index];

    ring->free_slot = slot->next_free;
    ring->slots_used++;
    slot->sock = sock;
    *sock = (struct kg_sock){ .magic = KG_SOCK_MAGIC,
                              .fd = fd,
                              .ring = ring,
                              .ops = ops,
                              .slot = index,
                              .generation = slot->generation };
    return 0;
}

void kg_sock_connect(struct kg_sock *sock, const struct sockaddr *addr, socklen_t len)
{
    struct io_uring_sqe *sqe = begin(sock);

    sock->connecting = true;
    io_uring_prep_connect(sqe, sock->fd, addr, len);
    io_uring_sqe_set_data64(sqe, tag(sock, KG_OP_CONNECT));
}

static void arm_receive(struct kg_sock *sock, bool multishot)
{
    struct io_uring_sqe *sqe = begin(sock);

    if (multishot)
        io_uring_prep_recv_multishot(sqe, sock->fd, NULL, 0, 0);
    else
        io_uring_prep_recv(sqe, sock->fd, NULL, sock->ring->buffers.size, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = KG_BUFFER_GROUP;
    io_uring_sqe_set_data64(sqe, tag(sock, KG_OP_RECV));
    sock->receiving = true;
    sock->multishot = multishot;
    sock->stopping = false;
}

void kg_sock_arm(struct kg_sock *sock, bool multishot)
{
    if (sock->closing)
        return;
    if (sock->receiving && !sock->stopping && sock->multishot == multishot)
        return;
    sock->want_receive = true;
    sock->want_multishot = multishot;
    if (sock->receiving || sock->starved)
        return; /* armed again as soon as the old one has ended, or there is a buffer */
    sock->want_receive = false;
    arm_receive(sock, multishot);
}

void kg_sock_receive_all(struct kg_sock *sock)
{
    if (sock->tls)
        kg_tls_want(sock, true);
    else
        kg_sock_arm(sock, true);
}

void kg_sock_receive_once(struct kg_sock *sock)
{
    if (sock->tls) {
        kg_tls_want(sock, false);
        return;
    }
    /* A multishot receive that goes on anyway will bring what is wanted. */
    if (sock->receiving && !sock->stopping)
        return;
    kg_sock_arm(sock, false);
}

void kg_sock_pause(struct kg_sock *sock)
{
    if (sock->tls)
        kg_tls_pause(sock);
    else
        kg_sock_disarm(sock);
}

void kg_sock_disarm(struct kg_sock *sock)
{
    sock->want_receive = false;
    if (!sock->receiving || sock->stopping || !sock->multishot)
        return;
    struct io_uring_sqe *sqe = begin(sock);

    io_uring_prep_cancel64(sqe, tag(sock, KG_OP_RECV), 0);
    io_uring_sqe_set_data64(sqe, tag(sock, KG_OP_CANCEL));
    sock->stopping = true;
}

bool kg_sock_is_quiet(const struct kg_sock *sock)
{
    char byte;

    if (sock->tls && !kg_tls_is_quiet(sock))
        return false;
    return recv(sock->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static struct kg_segment *add_segment(struct kg_sock *sock, uint8_t kind, const char *ptr, size_t len)
{
    KG_ASSERT(sock->magic == KG_SOCK_MAGIC);
    if (!sock->queue)
        sock->queue = kg_send_queue_new(&sock->ring->queues);
    sock->pending += (uint32_t)len;
    return kg_send_queue_add(sock->queue, kind, ptr, len);
}

void kg_sock_write_static(struct kg_sock *sock, struct kg_slice bytes)
{
    if (bytes.len > 0)
        add_segment(sock, KG_SEG_STATIC, bytes.ptr, bytes.len);
}

void kg_sock_write_small(struct kg_sock *sock, struct kg_slice bytes)
{
    KG_ASSERT(bytes.len > 0 && bytes.len <= KG_SMALL_BYTES);
    struct kg_segment *segment = add_segment(sock, KG_SEG_SMALL, NULL, bytes.len);

    memcpy(segment->small, bytes.ptr, bytes.len);
    segment->ptr = segment->small;
}

void kg_sock_write_block(struct kg_sock *sock, struct kg_block *block)
{
    if (kg_block_used(block) == 0) {
        kg_block_release(&sock->ring->blocks, block);
        return;
    }
    add_segment(sock, KG_SEG_BLOCK, block->data + block->start, kg_block_used(block))->block = block;
}

void kg_sock_write_copy(struct kg_sock *sock, struct kg_slice bytes)
{
    struct kg_block *block = kg_block_new(&sock->ring->blocks);

    KG_ASSERT(bytes.len <= block->size);
    memcpy(block->data, bytes.ptr, bytes.len);
    block->end = (uint32_t)bytes.len;
    kg_sock_write_block(sock, block);
}

void kg_sock_write_input(struct kg_sock *sock, const struct kg_input *input, struct kg_slice part)
{
    if (part.len == 0)
        return;
    /* What cannot be sent, or encrypted, at once must not keep a shared buffer. */
    if (sock->blocked || sock->handshaking || input->buffer == KG_NO_BUFFER) {
        kg_sock_write_copy(sock, part);
        return;
    }
    kg_buffers_hold(&sock->ring->buffers, input->buffer);
    add_segment(sock, KG_SEG_BUFFER, part.ptr, part.len)->buffer = input->buffer;
}

static void give_queue_back(struct kg_sock *sock)
{
    kg_send_queue_release(&sock->ring->queues, sock->queue);
    sock->queue = NULL;
}

static void drop_queue(struct kg_sock *sock)
{
    if (!sock->queue)
        return;
    kg_send_queue_clear(sock->queue, sock->ring);
    give_queue_back(sock);
    sock->pending = 0;
}

static void prep_send(struct kg_sock *sock, struct io_uring_sqe *sqe, int flags)
{
    struct kg_send_queue *queue = sock->queue;

    for (unsigned i = 0; i < queue->count; i++)
        queue->iov[i] = kg_send_queue_bytes(queue, i);
    if (queue->count == 1) {
        io_uring_prep_send(sqe, sock->fd, queue->iov[0].iov_base, queue->iov[0].iov_len, flags);
        return;
    }
    queue->msg = (struct msghdr){ .msg_iov = queue->iov, .msg_iovlen = queue->count };
    io_uring_prep_sendmsg(sqe, sock->fd, &queue->msg, (unsigned)flags);
}

void kg_sock_flush(struct kg_sock *sock)
{
    if (sock->closing)
        return;
    /* Even while a send is under way: shared buffers must not wait for it. */
    if (sock->tls)
        kg_tls_seal(sock);
    struct iovec bytes;
    if (sock->sending || sock->connecting ||
        !(sock->tls ? kg_tls_outgoing(sock, &bytes) : sock->queue != NULL))
        return;
    struct io_uring_sqe *sqe = begin(sock);

    /* The first try must not wait in the kernel: it may hold shared buffers. Ciphertext holds none. */
    if (sock->tls)
        io_uring_prep_send(sqe, sock->fd, bytes.iov_base, bytes.iov_len, MSG_NOSIGNAL);
    else
        prep_send(sock, sqe, sock->blocked ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_DONTWAIT);
    io_uring_sqe_set_data64(sqe, tag(sock, KG_OP_SEND));
    sock->sending = true;
}

void kg_sock_unqueue(struct kg_sock *sock, uint32_t len)
{
    KG_ASSERT(len <= sock->pending);
    sock->pending -= len;
    kg_send_queue_consume(sock->queue, sock->ring, len);
    if (sock->queue->count == 0)
        give_queue_back(sock);
}

/* True when something of the owner's has gone out. */
static bool consume_sent(struct kg_sock *sock, uint32_t sent)
{
    if (sock->tls)
        return kg_tls_sent(sock, sent);
    kg_sock_unqueue(sock, sent);
    sock->blocked = sock->queue != NULL;
    if (sock->blocked)
        kg_send_queue_spill(sock->queue, sock->ring);
    return sent > 0;
}

static void complete_send(struct kg_sock *sock, int res)
{
    sock->sending = false;
    if (sock->closing) {
        drop_queue(sock);
        return;
    }
    if (res < 0 && res != -EAGAIN) {
        if (!sock->tls || kg_tls_send_failed(sock))
            sock->ops->failed(sock, res);
        return;
    }
    if (consume_sent(sock, res > 0 ? (uint32_t)res : 0))
        sock->ops->sent(sock);
    kg_sock_flush(sock);
}

static void park_starved(struct kg_sock *sock)
{
    struct kg_ring *ring = sock->ring;

    /* What has been asked for meanwhile goes before what had been armed. */
    if (!sock->want_receive)
        sock->want_multishot = sock->multishot;
    sock->want_receive = true;
    sock->receiving = sock->stopping = false;
    sock->starved = true;
    sock->next = NULL;
    *ring->starved_end = sock;
    ring->starved_end = &sock->next;
    ring->stats.starved++;
}

static void unpark_starved(struct kg_sock *sock)
{
    struct kg_ring *ring = sock->ring;
    struct kg_sock **at = &ring->starved;

    while (*at != sock)
        at = &(*at)->next;
    *at = sock->next;
    if (!*at)
        ring->starved_end = at;
    sock->next = NULL;
    sock->starved = false;
}

/* The armed receive has ended (no F_MORE): note it, and arm what has been asked for meanwhile. */
static void receive_ended(struct kg_sock *sock, bool more)
{
    if (more)
        return;
    sock->receiving = sock->stopping = false;
    if (sock->closing || !sock->want_receive)
        return;
    sock->want_receive = false;
    arm_receive(sock, sock->want_multishot);
}

static void deliver(struct kg_sock *sock, int res, uint32_t flags, bool more)
{
    struct kg_buffers *buffers = &sock->ring->buffers;
    uint16_t id = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);
    struct kg_input input = { .ptr = kg_buffers_at(buffers, id), .len = (uint32_t)res, .buffer = id };

    kg_buffers_took(buffers, id);
    /* Before the handler: it may ask to receive again. A multishot one that the kernel ended of itself goes
     * on. */
    if (!more && sock->multishot && !sock->stopping && !sock->closing)
        sock->want_receive = sock->want_multishot = true;
    receive_ended(sock, more);
    if (!sock->closing && sock->tls)
        kg_tls_received(sock, input.ptr, input.len);
    else if (!sock->closing)
        sock->ops->received(sock, &input);
    kg_buffers_release(buffers, id);
}

static void complete_receive(struct kg_sock *sock, int res, uint32_t flags)
{
    bool more = flags & IORING_CQE_F_MORE;

    if (res > 0) {
        deliver(sock, res, flags, more);
        return;
    }
    /* An empty read may still have taken a buffer. */
    if (flags & IORING_CQE_F_BUFFER) {
        kg_buffers_took(&sock->ring->buffers, (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT));
        kg_buffers_release(&sock->ring->buffers, (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT));
    }
    if (res == -ENOBUFS && !sock->closing && (!sock->stopping || sock->want_receive)) {
        park_starved(sock);
        return;
    }
    bool cancelled = res == -ECANCELED || res == -ENOBUFS || res == -EINTR;
    if (res == 0 || !cancelled)
        sock->want_receive = false;
    receive_ended(sock, more);
    if (sock->closing || cancelled)
        return;
    if (sock->tls)
        kg_tls_ended(sock, res);
    else if (res == 0)
        sock->ops->eof(sock);
    else
        sock->ops->failed(sock, res);
}

static void free_slot(struct kg_sock *sock)
{
    struct kg_ring *ring = sock->ring;
    struct kg_slot *slot = &ring->slots[sock->slot];

    KG_ASSERT(slot->sock == sock && sock->inflight == 0);
    slot->sock = NULL;
    slot->generation++;
    slot->next_free = ring->free_slot;
    ring->free_slot = sock->slot;
    ring->slots_used--;
}

/* Nothing is in flight any more: the descriptor can go, and with it the slot. */
static void finish_close(struct kg_sock *sock)
{
    struct kg_ring *ring = sock->ring;

    if (sock->inflight > 0 || sock->dead)
        return;
    sock->dead = true;
    if (sock->starved)
        unpark_starved(sock);
    drop_queue(sock);
    if (sock->reset) {
        struct linger hard = { .l_onoff = 1, .l_linger = 0 };

        setsockopt(sock->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    }
    close(sock->fd);
    sock->fd = -1;
    sock->next = ring->dead;
    ring->dead = sock;
}

static void complete_connect(struct kg_sock *sock, int res)
{
    sock->connecting = false;
    if (!sock->closing)
        sock->ops->connected(sock, res);
    if (!sock->closing && sock->tls && res == 0)
        kg_tls_connected(sock);
}

void kg_sock_complete(struct kg_sock *sock, enum kg_op op, int res, uint32_t flags)
{
    KG_ASSERT(sock->magic == KG_SOCK_MAGIC && sock->inflight > 0);
    if (!(flags & IORING_CQE_F_MORE))
        sock->inflight--;
    switch (op) {
    case KG_OP_RECV:
        complete_receive(sock, res, flags);
        break;
    case KG_OP_SEND:
        complete_send(sock, res);
        break;
    case KG_OP_CONNECT:
        complete_connect(sock, res);
        break;
    default: /* KG_OP_CANCEL: what it cancelled tells its own end */
        break;
    }
    if (sock->closing)
        finish_close(sock);
}

void kg_sock_shutdown(struct kg_sock *sock)
{
    if (sock->closing)
        return;
    if (sock->tls)
        kg_tls_shutdown(sock);
    else
        shutdown(sock->fd, SHUT_WR);
}

void kg_sock_close(struct kg_sock *sock)
{
    if (sock->closing)
        return;
    if (sock->tls && !sock->reset)
        kg_tls_say_goodbye(sock);
    sock->closing = true;
    if (!sock->reset)
        shutdown(sock->fd, SHUT_RDWR);
    if (sock->inflight > 0) {
        struct io_uring_sqe *sqe = begin(sock);

        /* close(2) does not cancel: a pending receive would keep the socket alive. */
        io_uring_prep_cancel_fd(sqe, sock->fd, IORING_ASYNC_CANCEL_ALL);
        io_uring_sqe_set_data64(sqe, tag(sock, KG_OP_CANCEL));
    }
    finish_close(sock);
}

void kg_sock_reset(struct kg_sock *sock)
{
    sock->reset = true;
    kg_sock_close(sock);
}

void kg_sock_feed_starved(struct kg_ring *ring)
{
    uint32_t can = ring->buffers.with_kernel;

    while (ring->starved && can > 0) {
        struct kg_sock *sock = ring->starved;

        unpark_starved(sock);
        can--;
        if (sock->closing || !sock->want_receive)
            continue;
        sock->want_receive = false;
        arm_receive(sock, sock->want_multishot);
    }
}

void kg_sock_bury(struct kg_ring *ring)
{
    while (ring->dead) {
        struct kg_sock *sock = ring->dead;

        ring->dead = sock->next;
        free_slot(sock);
        if (sock->tls)
            kg_tls_free(sock);
        sock->magic = 0;
        sock->ops->closed(sock);
    }
}
