/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP as the calls of one machine see it: two byte streams, FIN, RST, a full receiver. What Linux answers in
 * corner cases is followed closely (tcp_recvmsg, tcp_sendmsg, tcp_reset), because the worker reads meaning
 * out of it.
 */
#include "sim.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FD_BASE 1000000 /* no real descriptor is that high */
#define FDS     512

static struct sim_sock *all;
static struct sim_sock *fds[FDS];

static struct sim_sock *new_sock(void)
{
    struct sim_sock *sock = calloc(1, sizeof(*sock));

    if (!sock)
        abort();
    sock->fd = -1;
    sock->next = all;
    all = sock;
    return sock;
}

/* The lowest free one, as the kernel does it: a descriptor that is used too late meets a stranger. */
static int give_fd(struct sim_sock *sock)
{
    for (int i = 0; i < FDS; i++) {
        if (fds[i])
            continue;
        fds[i] = sock;
        sock->fd = FD_BASE + i;
        return sock->fd;
    }
    sim_fail("more than %d descriptors are open", FDS);
}

void sim_net_begin(void)
{
    all = NULL;
    memset(fds, 0, sizeof(fds));
}

void sim_net_end(void)
{
    for (int i = 0; i < FDS; i++) {
        if (fds[i])
            sim_fail("descriptor %d (%s) is still open", i, fds[i]->listening ? "listener" : "connection");
    }
    for (struct sim_sock *sock = all, *next; sock; sock = next) {
        next = sock->next;
        free(sock->rx);
        free(sock);
    }
    all = NULL;
}

struct sim_sock *sim_sock_of(int fd)
{
    return fd >= FD_BASE && fd < FD_BASE + FDS ? fds[fd - FD_BASE] : NULL;
}

int sim_listen(uint16_t port)
{
    struct sim_sock *sock = new_sock();

    sock->listening = true;
    sock->port = port;
    return give_fd(sock);
}

static void link_ends(struct sim_sock *a, struct sim_sock *b)
{
    struct sim_sock *both[] = { a, b };

    for (int i = 0; i < 2; i++) {
        both[i]->room = sim.faults.room;
        both[i]->rx = malloc(both[i]->room);
        if (!both[i]->rx)
            abort();
        both[i]->peer = both[1 - i];
    }
}

struct sim_sock *sim_connect(uint16_t port, uint32_t from)
{
    for (int i = 0; i < FDS; i++) {
        struct sim_sock *listener = fds[i];

        if (!listener || !listener->listening || listener->port != port || listener->no_recv)
            continue;
        if (listener->waiting == sizeof(listener->backlog) / sizeof(*listener->backlog))
            return NULL;
        struct sim_sock *near = new_sock(), *far = new_sock();
        link_ends(near, far);
        near->addr = from;
        listener->backlog[listener->waiting++] = near;
        return far;
    }
    return NULL;
}

struct sim_sock *sim_accept_from(struct sim_sock *sock)
{
    struct sim_sock *far = new_sock();

    link_ends(sock, far);
    return far;
}

int sim_take_connection(struct sim_sock *listener)
{
    if (listener->no_recv)
        return -EINVAL;
    if (listener->waiting == 0)
        return -EAGAIN;
    struct sim_sock *sock = listener->backlog[0];
    memmove(listener->backlog, listener->backlog + 1, --listener->waiting * sizeof(sock));
    return give_fd(sock);
}

/*
 * tcp_reset(): behind a FIN it is a broken pipe. What was under way is lost, a FIN behind it as well: who
 * resets throws away what it has not got rid of.
 */
static void get_reset(struct sim_sock *sock)
{
    if (sock->closed)
        return;
    if (sock->len > 0 && rnd_chance(&sim.rnd, 50)) {
        sock->len = rnd_below(&sim.rnd, (uint32_t)sock->len);
        sock->done = false;
    }
    sock->error = sock->done ? EPIPE : ECONNRESET;
    sock->no_recv = sock->no_send = true;
}

int sim_sock_recv(struct sim_sock *sock, void *to, size_t len)
{
    if (sock->len > 0) {
        size_t part = sock->len < len ? sock->len : len;

        for (size_t i = 0; i < part; i++)
            ((char *)to)[i] = sock->rx[(sock->start + i) % sock->room];
        sock->start = (sock->start + part) % sock->room;
        sock->len -= part;
        sock->read += part;
        return (int)part;
    }
    if (sock->done)
        return 0;
    if (sock->error) {
        int error = sock->error;

        sock->error = 0;
        return -error;
    }
    return sock->no_recv ? 0 : -EAGAIN;
}

int sim_sock_send(struct sim_sock *sock, const void *from, size_t len)
{
    struct sim_sock *peer = sock->peer;

    if (sock->error) {
        int error = sock->error;

        sock->error = 0;
        return -error;
    }
    if (sock->no_send || !peer)
        return -EPIPE;
    /* Nobody will ever read it: taken all the same, and answered with RST. */
    if (peer->closed || (peer->no_recv && peer->no_send)) {
        get_reset(peer);
        get_reset(sock);
        return (int)len;
    }
    if (peer->len == peer->room)
        return -EAGAIN;
    size_t part = peer->room - peer->len < len ? peer->room - peer->len : len;
    for (size_t i = 0; i < part; i++)
        peer->rx[(peer->start + peer->len + i) % peer->room] = ((const char *)from)[i];
    peer->len += part;
    sock->acked += part;
    return (int)part;
}

bool sim_sock_readable(const struct sim_sock *sock)
{
    return sock->len > 0 || sock->done || sock->error || sock->no_recv;
}

bool sim_sock_writable(const struct sim_sock *sock)
{
    const struct sim_sock *peer = sock->peer;

    return sock->error || sock->no_send || !peer || peer->closed || peer->no_recv || peer->len < peer->room;
}

void sim_sock_shutdown(struct sim_sock *sock)
{
    if (sock->no_send)
        return;
    sock->no_send = true;
    if (sock->peer)
        sock->peer->done = true;
}

static void refuse_backlog(struct sim_sock *listener)
{
    for (unsigned i = 0; i < listener->waiting; i++)
        sim_sock_close(listener->backlog[i], true);
    listener->waiting = 0;
}

void sim_sock_close(struct sim_sock *sock, bool reset)
{
    if (sock->closed)
        return;
    refuse_backlog(sock);
    /* Closing with bytes unread is a reset as well (RFC 2525, 2.17). */
    if (sock->peer && (reset || sock->hard || sock->len > 0) && !(sock->no_recv && sock->error))
        get_reset(sock->peer);
    else
        sim_sock_shutdown(sock);
    sock->closed = true;
}

/* ---- system calls of user/ ---- */

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_socket(int domain, int type, int protocol);
int __real_shutdown(int fd, int how);
int __wrap_shutdown(int fd, int how);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
ssize_t __real_recv(int fd, void *to, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *to, size_t len, int flags);
ssize_t __real_send(int fd, const void *from, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *from, size_t len, int flags);
int __real_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *addr, socklen_t *len);

int __wrap_close(int fd)
{
    struct sim_sock *sock = sim_sock_of(fd);

    if (!sock && fd >= FD_BASE)
        sim_fail("descriptor %d is closed twice", fd - FD_BASE);
    if (!sock)
        return __real_close(fd);
    if (sock->ops > 0)
        sim_fail("descriptor %d is closed with %u operations in flight", fd - FD_BASE, sock->ops);
    fds[fd - FD_BASE] = NULL;
    sock->fd = -1;
    sim_uring_forget(sock);
    sim_sock_close(sock, false);
    return 0;
}

int __wrap_socket(int domain, int type, int protocol)
{
    if (sim_chance(sim.faults.no_socket)) {
        errno = EMFILE;
        return -1;
    }
    return give_fd(new_sock());
}

int __wrap_shutdown(int fd, int how)
{
    struct sim_sock *sock = sim_sock_of(fd);

    if (!sock)
        return __real_shutdown(fd, how);
    if (how != SHUT_WR)
        sock->no_recv = true;
    if (how != SHUT_RD)
        sim_sock_shutdown(sock);
    if (sock->listening)
        refuse_backlog(sock);
    return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct sim_sock *sock = sim_sock_of(fd);

    if (!sock)
        return __real_setsockopt(fd, level, name, value, len);
    if (level == SOL_SOCKET && name == SO_LINGER)
        sock->hard = ((const struct linger *)value)->l_onoff && !((const struct linger *)value)->l_linger;
    return 0;
}

/* Only ever asked how much of what was sent has arrived. */
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    struct sim_sock *sock = sim_sock_of(fd);
    struct tcp_info info = { 0 };

    if (!sock)
        return __real_getsockopt(fd, level, name, value, len);
    if (level != IPPROTO_TCP || name != TCP_INFO)
        sim_fail("getsockopt(2) of %d is not simulated", name);
    info.tcpi_bytes_acked = sock->acked;
    *len = *len < sizeof(info) ? *len : sizeof(info);
    memcpy(value, &info, *len);
    return 0;
}

/* Only ever asked to peek. */
ssize_t __wrap_recv(int fd, void *to, size_t len, int flags)
{
    struct sim_sock *sock = sim_sock_of(fd);

    if (!sock)
        return __real_recv(fd, to, len, flags);
    if (!(flags & MSG_PEEK))
        sim_fail("recv(2) without MSG_PEEK is not simulated");
    if (sock->len > 0)
        return 1;
    if (sock->done || (sock->no_recv && !sock->error))
        return 0;
    errno = sock->error ? sock->error : EAGAIN;
    return -1;
}

/* The last words of a connection that is about to close. */
ssize_t __wrap_send(int fd, const void *from, size_t len, int flags)
{
    struct sim_sock *sock = sim_sock_of(fd);

    if (!sock)
        return __real_send(fd, from, len, flags);
    if ((flags & (MSG_DONTWAIT | MSG_NOSIGNAL)) != (MSG_DONTWAIT | MSG_NOSIGNAL))
        sim_fail("send(2) that waits, or that may raise SIGPIPE");
    int rc = sim_chance(sim.faults.again) ? -EAGAIN : sim_sock_send(sock, from, len);
    if (rc >= 0)
        return rc;
    errno = -rc;
    return -1;
}

int __wrap_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    struct sim_sock *sock = sim_sock_of(fd);

    if (!sock)
        return __real_getpeername(fd, addr, len);
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(40000),
                              .sin_addr = { htonl(sock->addr) } };
    memcpy(addr, &in, *len < sizeof(in) ? *len : sizeof(in));
    *len = sizeof(in);
    return 0;
}
