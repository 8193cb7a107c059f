/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a socket has still to send: pieces of memory, and what keeps each of them alive. A socket has a queue
 * only while it sends, taken from its ring's free list: most connections of a gateway are idle, and what they
 * cost is what limits their number. Belongs to the ring's thread.
 */
#ifndef KG_IO_SEND_QUEUE_H
#define KG_IO_SEND_QUEUE_H

#include "io/buffers.h"

#include <sys/socket.h>
#include <sys/uio.h>

struct kg_ring;

enum kg_segment_kind { KG_SEG_STATIC, KG_SEG_SMALL, KG_SEG_BUFFER, KG_SEG_BLOCK };

#define KG_SEGMENTS    8
#define KG_SMALL_BYTES 24

/* One piece of the send queue, and what keeps its bytes alive. */
struct kg_segment {
    const char *ptr;
    uint32_t len;
    uint16_t buffer; /* KG_SEG_BUFFER */
    uint8_t kind;
    struct kg_block *block; /* KG_SEG_BLOCK */
    char small[KG_SMALL_BYTES];
};

/* Segments [head, head + count), the first of them cut by `offset`. iov and msg are the kernel's while a send
 * is in flight. */
struct kg_send_queue {
    struct kg_send_queue *next; /* in the free list */
    uint8_t head, count;
    uint32_t offset;
    struct kg_segment segments[KG_SEGMENTS];
    struct iovec iov[KG_SEGMENTS];
    struct msghdr msg;
};

struct kg_send_queues {
    struct kg_send_queue *free;
    uint32_t idle, idle_max; /* queues kept for reuse; more are given back to the allocator */
    uint64_t in_use;
};

void kg_send_queues_init(struct kg_send_queues *pool, uint32_t idle_max);
void kg_send_queues_free(struct kg_send_queues *pool);
/* An empty queue; never NULL (the number of sockets bounds how many there are). */
struct kg_send_queue *kg_send_queue_new(struct kg_send_queues *pool);
/* The queue must be empty. */
void kg_send_queue_release(struct kg_send_queues *pool, struct kg_send_queue *queue);

/* The i-th segment from the front. */
static inline struct kg_segment *kg_send_queue_at(struct kg_send_queue *queue, unsigned i)
{
    return &queue->segments[(queue->head + i) % KG_SEGMENTS];
}

/* Adds a segment at the end; there must be a free one (asserted). */
struct kg_segment *kg_send_queue_add(struct kg_send_queue *queue, uint8_t kind, const char *ptr, size_t len);
/* The bytes that are left of the i-th segment. */
struct iovec kg_send_queue_bytes(struct kg_send_queue *queue, unsigned i);
/* Takes bytes off the front, and gives back what held them. */
void kg_send_queue_consume(struct kg_send_queue *queue, struct kg_ring *ring, uint32_t len);
void kg_send_queue_clear(struct kg_send_queue *queue, struct kg_ring *ring);
/* Moves bytes out of the shared buffers, which others need, into blocks. */
void kg_send_queue_spill(struct kg_send_queue *queue, struct kg_ring *ring);

#endif
