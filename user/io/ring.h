/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker's io_uring: set up for one issuing thread with deferred task work (kernel 6.1), one enter a loop
 * turn, operations named by {op, slot, generation} and never by a pointer. Everything here belongs to one
 * worker thread.
 */
#ifndef KG_IO_RING_H
#define KG_IO_RING_H

#include "io/buffers.h"
#include "io/send_queue.h"

struct kg_sock;
struct kg_tls_ring;

enum kg_op {
    KG_OP_RECV = 1,
    KG_OP_SEND,
    KG_OP_CONNECT,
    KG_OP_CANCEL,
    KG_OP_ACCEPT,
    KG_OP_WAKE,
    KG_OP_IGNORE
};

/* user_data: op in bits 56-63, slot in bits 32-55, generation in bits 0-31. */
static inline uint64_t kg_tag(enum kg_op op, uint32_t slot, uint32_t generation)
{
    return (uint64_t)op << 56 | (uint64_t)(slot & 0xffffff) << 32 | generation;
}

/* Where a socket lives while the ring may name it. A slot is free (sock == NULL) or owned by one socket. */
struct kg_slot {
    struct kg_sock *sock;
    uint32_t generation;
    uint32_t next_free;
};

struct kg_ring_stats {
    uint64_t turns, completions, starved, stale, cq_overflows;
};

struct kg_ring {
    struct io_uring uring;
    bool deferred; /* DEFER_TASKRUN is on; else COOP_TASKRUN */
    struct kg_buffers buffers;
    struct kg_blocks blocks;
    struct kg_send_queues queues;
    struct kg_slot *slots;
    uint32_t slot_count, free_slot, slots_used;
    struct kg_sock *starved, **starved_end; /* waiting for a receive buffer, the longest first */
    struct kg_sock *dead;                   /* closed in this turn, to be handed back at its end */
    struct kg_tls_ring *tls;                /* what its TLS sockets share; NULL before the first of them */
    struct kg_ring_stats stats;
    /* The owner's handlers for what is not a socket's. */
    void (*accepted)(void *ctx, uint32_t listener, int res, bool more);
    void (*woken)(void *ctx);
    void *ctx;
    int wake_fd;         /* the owner's eventfd: other threads write to it to end the wait */
    uint64_t wake_count; /* where the kernel puts what it read */
};

struct kg_ring_config {
    uint32_t max_sockets;          /* slots */
    uint32_t buffers, buffer_size; /* receive buffers */
    uint32_t block_size;
    int wake_fd; /* stays the caller's, and open until the ring is gone */
};

/*
 * On the thread that will use it (SINGLE_ISSUER). 0 or -errno with a sentence that says what the kernel or
 * the system's settings refuse. `ring` must stay where it is.
 */
int kg_ring_init(struct kg_ring *ring, const struct kg_ring_config *config, struct kg_error *err);
void kg_ring_free(struct kg_ring *ring);

/* Whether this kernel lets us make such a ring at all: for one clear sentence before anything else is
 * started. Any thread. */
int kg_ring_probe(struct kg_error *err);

/* An empty submission entry; flushes when the queue is full. Never NULL. */
struct io_uring_sqe *kg_ring_sqe(struct kg_ring *ring);

/* Multishot accept (kernel 5.19) on a listening socket; `listener` comes back in accepted(). */
void kg_ring_accept(struct kg_ring *ring, int fd, uint32_t listener);
void kg_ring_cancel_accept(struct kg_ring *ring, uint32_t listener);

/* Ends the wait of the thread whose ring reads this eventfd. Any thread. */
void kg_ring_wake(int wake_fd);

/*
 * One turn: submits, waits at most timeout_ms for something to happen, calls before_dispatch(ctx), handles
 * all completions, then gives back buffers and dead sockets.
 */
void kg_ring_turn(struct kg_ring *ring, uint64_t timeout_ms, void (*before_dispatch)(void *ctx));

#endif
