/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A simulated kernel for one worker: clock, TCP sockets and io_uring, all in memory and driven by one seeded
 * generator, so that a schedule can be run again to the last byte. The production code above it is linked
 * unchanged: sim_uring.c defines liburing's functions, sim_net.c and sim.c stand in for the system calls that
 * user/ makes itself (ld --wrap).
 *
 * Everything here runs on the worker's own thread, inside its wait for completions; the test's thread only
 * waits for the end.
 */
#ifndef TESTS_FAULT_SIM_H
#define TESTS_FAULT_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io_uring;
struct sim_sock;

/* splitmix64. */
struct rnd {
    uint64_t state;
};

uint64_t rnd_next(struct rnd *rnd);
/* 0 … below - 1; below > 0. */
uint32_t rnd_below(struct rnd *rnd, uint32_t below);
/* from … to, both included. */
uint32_t rnd_between(struct rnd *rnd, uint32_t from, uint32_t to);
bool rnd_chance(struct rnd *rnd, unsigned percent);

/* How the simulated kernel behaves in one schedule. All but the sizes are percentages. */
struct sim_faults {
    uint32_t sq_entries, cq_entries; /* powers of two */
    uint32_t room;                   /* bytes that a socket takes before it has been read */
    unsigned eager;                  /* what could happen happens in this step */
    unsigned at_once;                /* an operation is tried while it is submitted */
    unsigned short_io;               /* receives and sends move a part only */
    unsigned late;                   /* an operation sleeps for some steps first */
    unsigned no_buffers;             /* ENOBUFS although there are buffers */
    unsigned again;                  /* EAGAIN although there is room */
    unsigned end_multishot;          /* a multishot operation ends for no reason */
    unsigned late_cancel;            /* a cancelled operation goes on for some steps */
    unsigned refuse;                 /* a submission is refused, or taken in part */
    unsigned stale;                  /* a completion comes again after its socket has gone */
    /* What no gateway can hide from its clients. */
    unsigned no_connect, connect_hangs, no_accept, no_send, no_socket;
    unsigned jump; /* the clock leaps by seconds */
};

struct sim {
    struct rnd rnd;
    uint64_t now_ns;
    struct sim_faults faults;
    unsigned steps; /* of this schedule */
    /* What tells this schedule from all others, for messages. */
    const char *profile;
    uint64_t seed;
    bool trace;
    /* The world outside: one step of everybody there, true when something moved; the time of the next who
     * waits; a connection of the worker's that has come in there. */
    bool (*world_step)(void);
    uint64_t (*world_wake_ns)(void);
    void (*world_connected)(struct sim_sock *far, uint16_t port);
    /* What becomes of one that goes to this port: 0, -errno, or 1 when it hangs. */
    int (*world_refuses)(uint16_t port);
    /* Receive buffers are about to go: the worker must have given up all it held. */
    void (*ring_ends)(struct io_uring *uring);
};

extern struct sim sim;

static inline bool sim_chance(unsigned percent)
{
    return percent > 0 && rnd_chance(&sim.rnd, percent);
}

/* Ends the program, with the seed that leads here. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_ms_pass(uint64_t ms);

/* ---- sim_net.c ---- */

/*
 * One end of a TCP connection, or a listening socket. Life: made with a descriptor (socket(2), accept) or as
 * the far end of one, without; connected when it has a peer; closed. Its memory stays until sim_net_end().
 */
struct sim_sock {
    struct sim_sock *next; /* of all */
    int fd;                /* -1: the world's end */
    struct sim_sock *peer;
    uint32_t addr; /* IPv4 of the far end, host order */
    char *rx;      /* circular */
    size_t start, len, room;
    uint64_t acked, read;  /* bytes that have reached the other end, and that this one has read */
    int error;             /* told once */
    bool done;             /* FIN has come */
    bool no_recv, no_send; /* shut down */
    bool hard;             /* closes with RST */
    bool closed, listening;
    uint16_t port;
    struct sim_sock *backlog[32];
    unsigned waiting;
    unsigned ops; /* operations in flight */
    uint64_t tag; /* of the last one */
};

void sim_net_begin(void);
/* Fails when the worker has left a descriptor open. */
void sim_net_end(void);
/* A listening descriptor for the worker. */
int sim_listen(uint16_t port);
/* The world connects to the worker, from this address: its end, or NULL when nobody listens any more. */
struct sim_sock *sim_connect(uint16_t port, uint32_t from);
/* The worker's socket connects to the world: the world's end. */
struct sim_sock *sim_accept_from(struct sim_sock *sock);
struct sim_sock *sim_sock_of(int fd);
/* The next connection of a listener as a descriptor, -EAGAIN, or -EINVAL when it is shut down. */
int sim_take_connection(struct sim_sock *listener);
/* Bytes moved, 0 at the end, or -errno. */
int sim_sock_recv(struct sim_sock *sock, void *to, size_t len);
int sim_sock_send(struct sim_sock *sock, const void *from, size_t len);
bool sim_sock_readable(const struct sim_sock *sock);
bool sim_sock_writable(const struct sim_sock *sock);
void sim_sock_shutdown(struct sim_sock *sock);
void sim_sock_close(struct sim_sock *sock, bool reset);

/* ---- sim_uring.c ---- */

void sim_uring_begin(void);
void sim_uring_end(void);
/* A descriptor of the worker's is gone: what carries its tags from now on is stale. */
void sim_uring_forget(const struct sim_sock *sock);

#endif
