/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One TCP socket on a worker's ring: receives into shared buffers, sends from a bounded queue, closes in an
 * orderly way. Its owner embeds it as the first member and gets told by kg_sock_ops. Belongs to the ring's
 * thread.
 *
 * Life: idle (zeroed) → open (kg_sock_open) → closing (kg_sock_close: shutdown, cancel, drain completions,
 * close) → closed() → idle. `inflight` counts operations that still owe a final completion; the descriptor is
 * closed and the slot freed only at zero, so that no completion can ever meet a stranger.
 */
#ifndef KG_IO_SOCK_H
#define KG_IO_SOCK_H

#include "base/slice.h"
#include "io/ring.h"

#define KG_SOCK_MAGIC 0x6b67736bu
#define KG_NO_BUFFER  UINT16_MAX /* more than a ring has */

/*
 * Bytes just received. They are in a shared buffer that goes back when the handler returns, unless it is
 * queued by kg_sock_write_input; or, plain bytes of a TLS connection, in memory (KG_NO_BUFFER) that is used
 * again then.
 */
struct kg_input {
    char *ptr;
    uint32_t len;
    uint16_t buffer;
};

struct kg_sock_ops {
    /* 0, or the negative errno of connect(2). */
    void (*connected)(struct kg_sock *sock, int res);
    /* The TLS handshake is over and the peer is who it should be (tls.h). May be NULL. */
    void (*secured)(struct kg_sock *sock);
    /* Bytes, at least one. */
    void (*received)(struct kg_sock *sock, const struct kg_input *input);
    /* The peer has sent its last byte. Of a TLS connection: and has said so (close_notify); if it has not,
     * that is a failure with -ECONNRESET. */
    void (*eof)(struct kg_sock *sock);
    /* Some bytes have gone out; kg_sock_pending() says how many are left. */
    void (*sent)(struct kg_sock *sock);
    /* Receiving or sending failed (negative errno). The owner closes. */
    void (*failed)(struct kg_sock *sock, int error);
    /* All is over: the owner may free it. Called at the end of a turn, never from inside another call. */
    void (*closed)(struct kg_sock *sock);
};

#define KG_OUT_MAX 65536 /* bytes queued before kg_sock_can_write says no */

struct kg_tls;

struct kg_sock {
    uint32_t magic;
    int fd;
    struct kg_ring *ring;
    const struct kg_sock_ops *ops;
    uint32_t slot, generation;
    uint16_t inflight;
    bool receiving;    /* a receive is armed */
    bool multishot;    /* …and it is a multishot one */
    bool stopping;     /* …and its cancellation is on the way */
    bool want_receive; /* asked for again while it was stopping */
    bool want_multishot;
    bool starved; /* wants to receive, but there was no buffer */
    bool sending;
    bool blocked; /* the peer reads slowly: queued bytes are in blocks, sends wait for room */
    bool connecting;
    bool handshaking; /* TLS, and not secured yet: what is written waits */
    bool closing, reset, dead;
    struct kg_sock *next;        /* in ring->starved or ring->dead */
    uint32_t pending;            /* bytes in `queue`, and of their ciphertext on its way */
    struct kg_send_queue *queue; /* NULL: nothing to send */
    struct kg_tls *tls;          /* NULL: a plain socket */
};

/* Takes over fd. -ENOSPC when the ring has no slot left (the caller closes fd), else 0. */
int kg_sock_open(struct kg_sock *sock, struct kg_ring *ring, int fd, const struct kg_sock_ops *ops);

/* addr must stay valid until the turn after. */
void kg_sock_connect(struct kg_sock *sock, const struct sockaddr *addr, socklen_t len);

/* Wants bytes: until kg_sock_pause (multishot, kernel 6.0), or once. No effect when already armed the same
 * way. */
void kg_sock_receive_all(struct kg_sock *sock);
void kg_sock_receive_once(struct kg_sock *sock);
/* Wants no more bytes for now; a multishot receive may still deliver what was on its way. */
void kg_sock_pause(struct kg_sock *sock);
/* Whether the kernel holds neither bytes nor the peer's end for us right now. What it has handed over
 * already, but is not yet told to the owner, does not count. */
bool kg_sock_is_quiet(const struct kg_sock *sock);

/* Bytes queued and not yet taken by the kernel. */
static inline uint32_t kg_sock_pending(const struct kg_sock *sock)
{
    return sock->pending;
}

static inline bool kg_sock_has_room(const struct kg_sock *sock, unsigned segments)
{
    unsigned queued = sock->queue ? sock->queue->count : 0;

    return !sock->closing && queued + segments <= KG_SEGMENTS && sock->pending < KG_OUT_MAX;
}

/* Whether a body part with its framing (three segments) fits now. */
static inline bool kg_sock_can_write(const struct kg_sock *sock)
{
    return kg_sock_has_room(sock, 3);
}

/* Each queues bytes; kg_sock_flush sends them. The queue must have a free segment (asserted). */
void kg_sock_write_static(struct kg_sock *sock, struct kg_slice bytes);
void kg_sock_write_small(struct kg_sock *sock, struct kg_slice bytes);  /* copied; at most KG_SMALL_BYTES */
void kg_sock_write_block(struct kg_sock *sock, struct kg_block *block); /* takes the block over */
void kg_sock_write_input(struct kg_sock *sock, const struct kg_input *input,
                         struct kg_slice part);                       /* part of input's bytes */
void kg_sock_write_copy(struct kg_sock *sock, struct kg_slice bytes); /* copied; at most one block */
void kg_sock_flush(struct kg_sock *sock);

/* Sends FIN after what the kernel has; receiving goes on. Of a TLS socket: close_notify and FIN behind all
 * that is queued, pending until they have gone out. */
void kg_sock_shutdown(struct kg_sock *sock);
/* Orderly end; queued bytes are dropped. Safe to call from any handler, and twice. */
void kg_sock_close(struct kg_sock *sock);
/* The same with RST instead of FIN. */
void kg_sock_reset(struct kg_sock *sock);

/* For tls_filter.c: receive ciphertext, or no more of it (as above, for a plain socket); bytes of the queue
 * have been encrypted. */
void kg_sock_arm(struct kg_sock *sock, bool multishot);
void kg_sock_disarm(struct kg_sock *sock);
void kg_sock_unqueue(struct kg_sock *sock, uint32_t len);

/* For ring.c: a completion of one of this socket's operations; the end of a turn. */
void kg_sock_complete(struct kg_sock *sock, enum kg_op op, int res, uint32_t flags);
void kg_sock_feed_starved(struct kg_ring *ring);
void kg_sock_bury(struct kg_ring *ring);

#endif
