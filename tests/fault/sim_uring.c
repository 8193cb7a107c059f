/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_uring as liburing shows it, without a kernel. Submission entries are read in order; a cancellation takes
 * hold at once, as io_async_cancel() does, but what it cancelled may go on for a while; everything else may
 * happen in any later step and in any order, except that there is one receive and one send on a socket, whose
 * bytes keep theirs.
 *
 * Only what user/ calls is here: the test is linked without liburing, so that a function which is used one
 * day and is not simulated stops the build.
 */
#include "sim.h"

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OPS        1024
#define OVERFLOW   4096
#define GONE       64
#define IOV        16
#define SQ_MAX     1024
#define CQ_MAX     16384
#define IDLE_STEPS 3 /* steps without any movement before time leaps to what comes next */

struct op {
    uint8_t opcode;
    uint64_t tag;
    struct sim_sock *sock;
    bool multishot, select, no_wait, cancelled;
    bool may_finish; /* cancelled, but what it waited for may still come first */
    unsigned late;   /* steps to sleep */
    int res;         /* CONNECT: its end; ASYNC_CANCEL: its result */
    void *into;      /* READ: where to */
    int fd;
    struct iovec iov[IOV];
    unsigned iov_count;
};

static struct {
    struct io_uring *uring;
    unsigned sq_head, sq_tail, sq_flags, cq_head, cq_tail, zero;
    struct io_uring_sqe sqes[SQ_MAX];
    struct io_uring_cqe cqes[CQ_MAX];
    struct io_uring_cqe overflow[OVERFLOW];
    unsigned overflown;
    struct op ops[OPS];
    unsigned op_count;
    /* Tags of sockets that are no more, and since which turn. */
    struct gone {
        uint64_t tag, turn;
    } gone[GONE];
    uint64_t gone_count, turns;
    struct io_uring_buf_ring *buffers;
    unsigned buffer_count;
    uint16_t buffer_head, buffer_seen;
    uint64_t memory, memory_end; /* where the buffers lie */
} k;

void sim_uring_begin(void)
{
    k.uring = NULL;
    k.op_count = k.overflown = 0;
    k.gone_count = k.turns = 0;
    k.buffers = NULL;
}

void sim_uring_end(void)
{
    if (k.uring || k.buffers)
        sim_fail("the ring is still there");
}

/* ---- completions ---- */

static bool cq_full(void)
{
    return k.overflown > 0 || k.cq_tail - k.cq_head == sim.faults.cq_entries;
}

static void post(uint64_t tag, int res, unsigned flags)
{
    struct io_uring_cqe cqe = { .user_data = tag, .res = res, .flags = flags };

    sim_trace("  cqe op %u slot %u: %d%s", (unsigned)(tag >> 56), (unsigned)(tag >> 32 & 0xffffff), res,
              flags & IORING_CQE_F_MORE ? ", more" : "");
    if (!cq_full()) {
        k.cqes[k.cq_tail++ & (sim.faults.cq_entries - 1)] = cqe;
        return;
    }
    if (k.overflown == OVERFLOW)
        sim_fail("%u completions are not looked at", OVERFLOW);
    k.overflow[k.overflown++] = cqe;
    k.sq_flags |= IORING_SQ_CQ_OVERFLOW;
}

/* What found no room comes in order once there is some. */
static void flush_overflow(void)
{
    unsigned moved = 0;

    while (moved < k.overflown && k.cq_tail - k.cq_head < sim.faults.cq_entries)
        k.cqes[k.cq_tail++ & (sim.faults.cq_entries - 1)] = k.overflow[moved++];
    k.overflown -= moved;
    memmove(k.overflow, k.overflow + moved, k.overflown * sizeof(*k.overflow));
    if (k.overflown == 0)
        k.sq_flags &= ~IORING_SQ_CQ_OVERFLOW;
}

/* ---- provided buffers ---- */

static struct io_uring_buf *buffer_at(uint16_t index)
{
    return &k.buffers->bufs[index & (k.buffer_count - 1)];
}

static unsigned buffers_left(void)
{
    return (uint16_t)(k.buffers->tail - k.buffer_head);
}

/* Whoever still reads from a buffer that is the kernel's again gets garbage. */
static void spoil_returned(void)
{
    if (!k.buffers)
        return;
    for (; k.buffer_seen != k.buffers->tail; k.buffer_seen++) {
        struct io_uring_buf *buffer = buffer_at(k.buffer_seen);

        memset((void *)(uintptr_t)buffer->addr, 0xdb, buffer->len);
        k.memory = buffer->addr < k.memory ? buffer->addr : k.memory;
        k.memory_end = buffer->addr + buffer->len > k.memory_end ? buffer->addr + buffer->len : k.memory_end;
    }
    if (buffers_left() > k.buffer_count)
        sim_fail("a buffer was given back twice");
}

/* ---- operations ---- */

static int part_of(size_t len)
{
    if (len > 1 && sim_chance(sim.faults.short_io))
        return (int)rnd_between(&sim.rnd, 1, (uint32_t)(rnd_chance(&sim.rnd, 50) && len > 20 ? 20 : len));
    return (int)len;
}

/* Each run_*: true when the operation is over. */
static bool run_recv(struct op *op)
{
    if (!op->select)
        sim_fail("a receive without a provided buffer is not simulated");
    if (buffers_left() == 0 || sim_chance(sim.faults.no_buffers)) {
        post(op->tag, -ENOBUFS, 0);
        return true;
    }
    struct io_uring_buf *buffer = buffer_at(k.buffer_head);
    unsigned flags = (unsigned)buffer->bid << IORING_CQE_BUFFER_SHIFT | IORING_CQE_F_BUFFER;
    int res = sim_sock_recv(op->sock, (void *)(uintptr_t)buffer->addr, (size_t)part_of(buffer->len));
    if (res <= 0) {
        /* An empty read may have picked a buffer already. */
        bool took = res == 0 && rnd_chance(&sim.rnd, 20);

        k.buffer_head += took;
        post(op->tag, res, took ? flags : 0);
        return true;
    }
    k.buffer_head++;
    bool more = op->multishot && !cq_full() && !sim_chance(sim.faults.end_multishot);
    post(op->tag, res, flags | (more ? IORING_CQE_F_MORE : 0));
    return !more;
}

static bool run_send(struct op *op)
{
    int sent = 0;

    if (sim_chance(sim.faults.no_send)) {
        post(op->tag, -ENOMEM, 0);
        return true;
    }
    for (unsigned i = 0; i < op->iov_count && (op->no_wait || sim_sock_writable(op->sock)); i++) {
        if (op->no_wait && i == 0 && sim_chance(sim.faults.again)) {
            sent = -EAGAIN;
            break;
        }
        size_t want = (size_t)part_of(op->iov[i].iov_len);
        int rc = sim_sock_send(op->sock, op->iov[i].iov_base, want);
        if (rc < 0 && sent == 0)
            sent = rc;
        if (rc < 0)
            break;
        sent += rc;
        /* An error that came of it is for the next call. */
        if ((size_t)rc < op->iov[i].iov_len || op->sock->error)
            break;
    }
    if (sent == -EAGAIN && !op->no_wait)
        return false;
    post(op->tag, sent, 0);
    return true;
}

static bool run_connect(struct op *op)
{
    if (op->res == 0)
        sim.world_connected(sim_accept_from(op->sock), (uint16_t)op->fd);
    post(op->tag, op->res, 0);
    return true;
}

static bool run_accept(struct op *op)
{
    static const int errors[] = { -EMFILE, -ECONNABORTED, -ENOBUFS, -ENFILE };

    if (sim_chance(sim.faults.no_accept)) {
        post(op->tag, errors[rnd_below(&sim.rnd, 4)], 0);
        return true;
    }
    int fd = sim_take_connection(op->sock);
    bool more = fd >= 0 && op->multishot && !cq_full() && !sim_chance(sim.faults.end_multishot);
    post(op->tag, fd, more ? IORING_CQE_F_MORE : 0);
    return !more;
}

static bool run_read(struct op *op)
{
    post(op->tag, (int)read(op->fd, op->into, op->iov[0].iov_len), 0);
    return true;
}

/* Whether what it waits for is there. */
static bool is_ready(const struct op *op)
{
    struct pollfd wait = { .fd = op->fd, .events = POLLIN };

    switch (op->opcode) {
    case IORING_OP_RECV:
        return sim_sock_readable(op->sock);
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
        return op->no_wait || sim_sock_writable(op->sock);
    case IORING_OP_CONNECT:
        return op->res <= 0;
    case IORING_OP_ACCEPT:
        return op->sock->no_recv || op->sock->waiting > 0;
    case IORING_OP_READ:
        return poll(&wait, 1, 0) == 1;
    default:
        return true;
    }
}

static bool run(struct op *op)
{
    switch (op->opcode) {
    case IORING_OP_RECV:
        return run_recv(op);
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
        return run_send(op);
    case IORING_OP_CONNECT:
        return run_connect(op);
    case IORING_OP_ACCEPT:
        return run_accept(op);
    case IORING_OP_READ:
        return run_read(op);
    default: /* IORING_OP_ASYNC_CANCEL: it is its completion alone that is late */
        post(op->tag, op->res, 0);
        return true;
    }
}

static void remove_op(struct op *op)
{
    if (op->sock)
        op->sock->ops--;
    *op = k.ops[--k.op_count];
}

/* One step of one operation: true when something moved, or may move soon. */
static bool step(struct op *op)
{
    bool ready = is_ready(op);

    if (op->late > 0) {
        op->late--;
        if (!op->cancelled || !op->may_finish || !ready || rnd_chance(&sim.rnd, 50))
            return true;
    }
    if (!ready && !op->cancelled)
        return false;
    if (!sim_chance(sim.faults.eager))
        return true;
    if (op->cancelled && (!ready || !op->may_finish || (op->late == 0 && rnd_chance(&sim.rnd, 50)))) {
        post(op->tag, op->opcode != IORING_OP_READ && rnd_chance(&sim.rnd, 10) ? -EINTR : -ECANCELED, 0);
        remove_op(op);
        return true;
    }
    if (run(op))
        remove_op(op);
    return true;
}

static bool step_all(void)
{
    bool moved = false;

    /* Each about once, from a random start: those that end are replaced by the last. */
    for (unsigned i = 0, count = k.op_count; i < count && k.op_count > 0; i++)
        moved |= step(&k.ops[rnd_below(&sim.rnd, k.op_count)]);
    /* None may be left out for ever. */
    for (unsigned i = 0; !moved && i < k.op_count; i++)
        moved |= step(&k.ops[i]);
    return moved;
}

/* ---- submission ---- */

static void check_alone(const struct op *op)
{
    bool sends = op->opcode == IORING_OP_SEND || op->opcode == IORING_OP_SENDMSG;

    for (unsigned i = 0; i < k.op_count; i++) {
        const struct op *other = &k.ops[i];
        bool other_sends = other->opcode == IORING_OP_SEND || other->opcode == IORING_OP_SENDMSG;

        if (other->sock != op->sock || !op->sock)
            continue;
        if ((sends && other_sends) || (op->opcode == IORING_OP_RECV && other->opcode == IORING_OP_RECV))
            sim_fail("two %s at once on one socket: their order is open", sends ? "sends" : "receives");
    }
}

/* What io_async_cancel() finds; the order of its own completion and those of what it cancelled is open. */
static int cancel(const struct io_uring_sqe *sqe)
{
    bool by_fd = sqe->cancel_flags & IORING_ASYNC_CANCEL_FD,
         every = sqe->cancel_flags & IORING_ASYNC_CANCEL_ALL;
    const struct sim_sock *sock = by_fd ? sim_sock_of(sqe->fd) : NULL;
    bool late = false;
    int found = 0;

    if (by_fd && !sock)
        return -EBADF;
    for (unsigned i = 0; i < k.op_count && (every || found == 0); i++) {
        struct op *op = &k.ops[i];

        if (op->opcode == IORING_OP_ASYNC_CANCEL || (by_fd ? op->sock != sock : op->tag != sqe->addr))
            continue;
        found++;
        op->cancelled = true;
        op->may_finish = sim_chance(sim.faults.late_cancel);
        op->late = sim_chance(sim.faults.late_cancel) ? rnd_between(&sim.rnd, 1, 6) : 0;
        late |= op->late > 0;
    }
    if (found == 0)
        return -ENOENT;
    if (every)
        return found;
    return late && rnd_chance(&sim.rnd, 50) ? -EALREADY : 0;
}

static void take_bytes(struct op *op, const struct io_uring_sqe *sqe)
{
    const struct msghdr *message = (const struct msghdr *)(uintptr_t)sqe->addr;

    op->no_wait = sqe->msg_flags & MSG_DONTWAIT;
    if (!(sqe->msg_flags & MSG_NOSIGNAL))
        sim_fail("a send without MSG_NOSIGNAL");
    if (op->opcode == IORING_OP_SEND) {
        op->iov[0] = (struct iovec){ (void *)(uintptr_t)sqe->addr, sqe->len };
        op->iov_count = 1;
        return;
    }
    if (message->msg_iovlen > IOV)
        sim_fail("a send of %zu parts", (size_t)message->msg_iovlen);
    op->iov_count = (unsigned)message->msg_iovlen;
    memcpy(op->iov, message->msg_iov, message->msg_iovlen * sizeof(*op->iov));
}

/* A send that may wait must not keep a shared buffer from the others meanwhile. */
static void check_patience(const struct op *op)
{
    for (unsigned i = 0; i < op->iov_count && !op->no_wait; i++) {
        uint64_t at = (uint64_t)(uintptr_t)op->iov[i].iov_base;

        if (at >= k.memory && at < k.memory_end)
            sim_fail("a send that may wait holds a receive buffer");
    }
}

static int connect_result(uint16_t port)
{
    static const int errors[] = { -ECONNREFUSED, -ETIMEDOUT, -ENETUNREACH, -ECONNRESET };
    int refused = sim.world_refuses(port);

    if (refused)
        return refused;
    if (sim_chance(sim.faults.connect_hangs))
        return 1; /* until it is cancelled */
    return sim_chance(sim.faults.no_connect) ? errors[rnd_below(&sim.rnd, 4)] : 0;
}

/* What an entry asks for; its pointers are read now, as IORING_FEAT_SUBMIT_STABLE promises. */
static void describe(struct op *op, const struct io_uring_sqe *sqe)
{
    switch (sqe->opcode) {
    case IORING_OP_RECV:
        op->multishot = sqe->ioprio & IORING_RECV_MULTISHOT;
        op->select = sqe->flags & IOSQE_BUFFER_SELECT;
        return;
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
        take_bytes(op, sqe);
        check_patience(op);
        return;
    case IORING_OP_CONNECT:
        op->fd = ntohs(((const struct sockaddr_in *)(uintptr_t)sqe->addr)->sin_port);
        op->res = connect_result((uint16_t)op->fd);
        return;
    case IORING_OP_ACCEPT:
        op->multishot = sqe->ioprio & IORING_ACCEPT_MULTISHOT;
        return;
    case IORING_OP_READ:
        op->fd = sqe->fd;
        op->into = (void *)(uintptr_t)sqe->addr;
        op->iov[0].iov_len = sqe->len;
        return;
    case IORING_OP_ASYNC_CANCEL:
        op->res = cancel(sqe);
        return;
    default:
        sim_fail("operation %u is not simulated", sqe->opcode);
    }
}

static void submit_one(const struct io_uring_sqe *sqe)
{
    bool with_sock = sqe->opcode != IORING_OP_READ && sqe->opcode != IORING_OP_ASYNC_CANCEL;
    struct op op = { .opcode = sqe->opcode, .tag = sqe->user_data };

    sim_trace("  sqe op %u slot %u (opcode %u, fd %d)", (unsigned)(op.tag >> 56),
              (unsigned)(op.tag >> 32 & 0xffffff), sqe->opcode, sqe->fd);
    if (with_sock && !(op.sock = sim_sock_of(sqe->fd))) {
        post(op.tag, -EBADF, 0);
        return;
    }
    describe(&op, sqe);
    check_alone(&op);
    if (k.op_count == OPS)
        sim_fail("more than %d operations in flight", OPS);
    if (sim_chance(sim.faults.late) && !op.no_wait)
        op.late = rnd_between(&sim.rnd, 1, 8);
    if (op.sock) {
        op.sock->ops++;
        op.sock->tag = op.tag;
    }
    k.ops[k.op_count++] = op;
    struct op *placed = &k.ops[k.op_count - 1];
    /* A receive looks for its buffer before it looks for bytes. */
    bool starved = op.select && buffers_left() == 0;
    bool now = op.no_wait || (op.late == 0 && sim_chance(sim.faults.at_once) && (is_ready(&op) || starved));
    if (now && run(placed))
        remove_op(placed);
}

/* How many entries were taken, or -errno. */
static int submit(struct io_uring *ring)
{
    unsigned waiting = ring->sq.sqe_tail - ring->sq.sqe_head, limit = waiting;

    spoil_returned();
    if (waiting > 0 && sim_chance(sim.faults.refuse))
        limit = rnd_below(&sim.rnd, waiting);
    if (waiting > 0 && limit == 0)
        return rnd_chance(&sim.rnd, 50) ? -EAGAIN : -EBUSY;
    for (unsigned i = 0; i < limit; i++) {
        /* A copy, and the original spoilt: the entry is the application's again, and reading it twice is not
         * what the kernel does. */
        struct io_uring_sqe *sqe = &ring->sq.sqes[ring->sq.sqe_head & ring->sq.ring_mask], copy = *sqe;

        memset(sqe, 0xdb, sizeof(*sqe));
        k.sq_head = ++ring->sq.sqe_head;
        submit_one(&copy);
    }
    return (int)limit;
}

void sim_uring_forget(const struct sim_sock *sock)
{
    if (!sock->listening && sock->tag)
        k.gone[k.gone_count++ % GONE] = (struct gone){ sock->tag, k.turns };
}

/* ---- what liburing exports ---- */

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
    const struct sim_faults *faults = &sim.faults;

    k.sq_head = k.sq_flags = k.cq_head = k.cq_tail = k.zero = 0;
    *ring = (struct io_uring){ .flags = params->flags, .ring_fd = -1, .enter_ring_fd = -1 };
    ring->sq.khead = &k.sq_head;
    ring->sq.ktail = &k.sq_tail;
    ring->sq.kflags = &k.sq_flags;
    ring->sq.kdropped = &k.zero;
    ring->sq.sqes = k.sqes;
    ring->sq.ring_entries = faults->sq_entries;
    ring->sq.ring_mask = faults->sq_entries - 1;
    ring->cq.khead = &k.cq_head;
    ring->cq.ktail = &k.cq_tail;
    ring->cq.koverflow = &k.zero;
    ring->cq.cqes = k.cqes;
    ring->cq.ring_entries = faults->cq_entries;
    ring->cq.ring_mask = faults->cq_entries - 1;
    k.uring = ring;
    return 0;
}

int io_uring_ring_dontfork(struct io_uring *ring)
{
    return 0;
}

void io_uring_queue_exit(struct io_uring *ring)
{
    for (unsigned i = 0; i < k.op_count; i++) {
        if (k.ops[i].sock)
            k.ops[i].sock->ops--;
    }
    k.op_count = 0;
    k.uring = NULL;
}

int io_uring_register_buf_ring(struct io_uring *ring, struct io_uring_buf_reg *reg, unsigned flags)
{
    k.buffers = (struct io_uring_buf_ring *)(uintptr_t)reg->ring_addr;
    k.buffer_count = reg->ring_entries;
    k.buffer_head = k.buffer_seen = 0;
    k.memory = UINT64_MAX;
    k.memory_end = 0;
    return 0;
}

int io_uring_unregister_buf_ring(struct io_uring *ring, int group)
{
    sim.ring_ends(ring);
    k.buffers = NULL;
    return 0;
}

int io_uring_submit(struct io_uring *ring)
{
    return submit(ring);
}

/* An older socket's tag comes by once more. Its slot has another generation by now, or none. */
static void repeat_stale(void)
{
    if (k.gone_count == 0 || !sim_chance(sim.faults.stale))
        return;
    const struct gone *gone =
        &k.gone[rnd_below(&sim.rnd, k.gone_count < GONE ? (uint32_t)k.gone_count : GONE)];
    /* A slot is given up at the end of the turn after the descriptor's at the latest. */
    if (gone->turn + 1 < k.turns)
        post(gone->tag, -ECANCELED, 0);
}

static void pass_time(uint64_t deadline_ns, bool idle)
{
    uint64_t wake = sim.world_wake_ns(), until = wake < deadline_ns ? wake : deadline_ns;

    if (!idle)
        sim.now_ns += rnd_below(&sim.rnd, 1000000);
    else if (until > sim.now_ns)
        sim.now_ns = until;
}

int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned wanted,
                                     struct __kernel_timespec *timeout, sigset_t *mask)
{
    uint64_t deadline = sim.now_ns + (uint64_t)timeout->tv_sec * 1000000000 + (uint64_t)timeout->tv_nsec;
    unsigned idle = 0;
    int rc = submit(ring);

    k.turns++;
    if (rc < 0)
        return rc;
    if (sim_chance(sim.faults.jump))
        sim_ms_pass(rnd_below(&sim.rnd, 10000));
    for (;;) {
        sim.steps++;
        flush_overflow();
        bool moved = sim.world_step();
        moved |= step_all();
        repeat_stale();
        if (k.cq_tail != k.cq_head)
            return rc;
        if (sim.now_ns >= deadline)
            return -ETIME;
        idle = moved ? 0 : idle + 1;
        pass_time(deadline, idle >= IDLE_STEPS);
    }
}
