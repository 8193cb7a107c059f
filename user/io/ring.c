/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/ring.h"
#include "base/assert.h"
#include "base/mem.h"
#include "io/sock.h"
#include "io/tls_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SQ_ENTRIES 1024
/* Room for a burst from every socket: overflow is not loss (IORING_FEAT_NODROP), but a slow path. */
#define CQ_ENTRIES 16384
#define SLOT_END   UINT32_MAX
/* Send queues kept: as many as may send in one turn of a busy worker; some 600 bytes each. */
#define IDLE_QUEUES 1024
/* A kernel that takes nothing for so long is out of memory for good. */
#define SUBMIT_TRIES 1000

static int setup(struct io_uring *uring, unsigned entries, bool *deferred)
{
    const unsigned common = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    struct io_uring_params params = {
        .flags = common | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        .cq_entries = CQ_ENTRIES,
    };
    int rc = io_uring_queue_init_params(entries, uring, &params);

    *deferred = rc == 0;
    if (rc != -EINVAL)
        return rc;
    /* Before 6.1. */
    params =
        (struct io_uring_params){ .flags = common | IORING_SETUP_COOP_TASKRUN, .cq_entries = CQ_ENTRIES };
    return io_uring_queue_init_params(entries, uring, &params);
}

static int explain(int rc, struct kg_error *err)
{
    if (rc == -ENOSYS)
        return kg_error_set(err, -rc, "this kernel has no io_uring; keygate needs Linux 6.1 or newer");
    if (rc == -EPERM)
        return kg_error_set(
            err, -rc,
            "io_uring is not permitted here (sysctl kernel.io_uring_disabled, or a seccomp filter)");
    return kg_error_set(err, -rc, "cannot set up io_uring: %s", strerror(-rc));
}

int kg_ring_probe(struct kg_error *err)
{
    struct io_uring uring;
    bool deferred;
    int rc = setup(&uring, 8, &deferred);

    if (rc < 0)
        return explain(rc, err);
    io_uring_queue_exit(&uring);
    return 0;
}

static void init_slots(struct kg_ring *ring, uint32_t count)
{
    ring->slots = kg_calloc(count, sizeof(*ring->slots));
    ring->slot_count = count;
    for (uint32_t i = 0; i < count; i++)
        ring->slots[i] = (struct kg_slot){ .generation = 1, .next_free = i + 1 < count ? i + 1 : SLOT_END };
    ring->free_slot = 0;
}

static void arm_wake(struct kg_ring *ring)
{
    struct io_uring_sqe *sqe = kg_ring_sqe(ring);

    io_uring_prep_read(sqe, ring->wake_fd, &ring->wake_count, sizeof(ring->wake_count), 0);
    io_uring_sqe_set_data64(sqe, kg_tag(KG_OP_WAKE, 0, 0));
}

int kg_ring_init(struct kg_ring *ring, const struct kg_ring_config *config, struct kg_error *err)
{
    *ring = (struct kg_ring){ .wake_fd = config->wake_fd };
    int rc = setup(&ring->uring, SQ_ENTRIES, &ring->deferred);
    if (rc < 0)
        return explain(rc, err);
    io_uring_ring_dontfork(&ring->uring);
    rc = kg_buffers_init(&ring->buffers, &ring->uring, config->buffers, config->buffer_size, err);
    if (rc < 0) {
        io_uring_queue_exit(&ring->uring);
        return rc;
    }
    kg_blocks_init(&ring->blocks, config->block_size, 64);
    kg_send_queues_init(&ring->queues, IDLE_QUEUES);
    init_slots(ring, config->max_sockets);
    ring->starved_end = &ring->starved;
    arm_wake(ring);
    return 0;
}

void kg_ring_free(struct kg_ring *ring)
{
    kg_buffers_free(&ring->buffers, &ring->uring);
    io_uring_queue_exit(&ring->uring);
    kg_blocks_free(&ring->blocks);
    kg_send_queues_free(&ring->queues);
    kg_tls_free_ring(ring);
    free(ring->slots);
    ring->slots = NULL;
}

struct io_uring_sqe *kg_ring_sqe(struct kg_ring *ring)
{
    struct io_uring_sqe *sqe;

    /* The kernel may refuse what waits, or take a part of it only: for want of memory (EAGAIN), which each
     * try makes it look for. */
    for (unsigned tries = 0; (sqe = io_uring_get_sqe(&ring->uring)) == NULL; tries++) {
        KG_ASSERT(tries < SUBMIT_TRIES);
        io_uring_submit(&ring->uring);
    }
    return sqe;
}

void kg_ring_accept(struct kg_ring *ring, int fd, uint32_t listener)
{
    struct io_uring_sqe *sqe = kg_ring_sqe(ring);

    io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, kg_tag(KG_OP_ACCEPT, listener, 0));
}

void kg_ring_cancel_accept(struct kg_ring *ring, uint32_t listener)
{
    struct io_uring_sqe *sqe = kg_ring_sqe(ring);

    io_uring_prep_cancel64(sqe, kg_tag(KG_OP_ACCEPT, listener, 0), 0);
    io_uring_sqe_set_data64(sqe, kg_tag(KG_OP_IGNORE, 0, 0));
}

void kg_ring_wake(int wake_fd)
{
    uint64_t one = 1;

    /* Fails only when the counter is full: then the thread is being woken already. */
    if (write(wake_fd, &one, sizeof(one)) < 0)
        return;
}

static void dispatch_sock(struct kg_ring *ring, uint64_t tag, int res, uint32_t flags)
{
    uint32_t index = (uint32_t)(tag >> 32) & 0xffffff;
    struct kg_slot *slot = &ring->slots[index];

    KG_ASSERT(index < ring->slot_count);
    /* Cannot be: a slot is freed only when nothing is in flight for it. Counted, so that a test can prove it.
     */
    if (KG_COUNT_IF(!slot->sock || slot->generation != (uint32_t)tag, ring->stats.stale))
        return;
    kg_sock_complete(slot->sock, (enum kg_op)(tag >> 56), res, flags);
}

static void dispatch(struct kg_ring *ring, uint64_t tag, int res, uint32_t flags)
{
    switch ((enum kg_op)(tag >> 56)) {
    case KG_OP_ACCEPT:
        ring->accepted(ring->ctx, (uint32_t)(tag >> 32) & 0xffffff, res, flags & IORING_CQE_F_MORE);
        return;
    case KG_OP_WAKE:
        arm_wake(ring);
        ring->woken(ring->ctx);
        return;
    case KG_OP_IGNORE:
        return;
    default:
        dispatch_sock(ring, tag, res, flags);
    }
}

static void handle_completions(struct kg_ring *ring)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;

    io_uring_for_each_cqe(&ring->uring, head, cqe)
    {
        seen++;
        dispatch(ring, cqe->user_data, cqe->res, cqe->flags);
    }
    io_uring_cq_advance(&ring->uring, seen);
    ring->stats.completions += seen;
}

void kg_ring_turn(struct kg_ring *ring, uint64_t timeout_ms, void (*before_dispatch)(void *ctx))
{
    /* Closed or given back since the last turn, by a timer: the end of this one is waited for. */
    if (ring->dead || ring->buffers.returned > 0 || kg_tls_has_work(ring))
        timeout_ms = 0;
    struct __kernel_timespec wait = {
        .tv_sec = (long long)(timeout_ms / 1000),
        .tv_nsec = (long long)(timeout_ms % 1000) * 1000000,
    };
    struct io_uring_cqe *cqe;

    /* -ETIME, -EINTR, -EBUSY (completion queue full: reap first): all mean "look at what is there". */
    io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, &wait, NULL);
    ring->stats.turns++;
    before_dispatch(ring->ctx);
    handle_completions(ring);
    kg_buffers_publish(&ring->buffers);
    kg_sock_feed_starved(ring);
    kg_tls_work(ring);
    kg_sock_bury(ring);
    ring->stats.cq_overflows += io_uring_cq_has_overflow(&ring->uring) ? 1 : 0;
}
