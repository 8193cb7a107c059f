/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#define BACKLOG 4096

const char *kg_listen_text(const struct kg_listen_addr *at, char out[KG_ADDR_TEXT])
{
    char addr[KG_ADDR_TEXT];

    kg_addr_text(&at->addr, addr);
    snprintf(out, KG_ADDR_TEXT, at->addr.family == 6 ? "[%.48s]:%u" : "%.48s:%u", addr, at->port);
    return out;
}

static int open_socket(const struct kg_listen_addr *at, bool share)
{
    struct sockaddr_storage addr;
    socklen_t len = kg_sockaddr_of(&at->addr, at->port, &addr);
    int on = 1, fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (share)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (at->addr.family == 6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    /* Accepted sockets inherit it: answers are written whole, waiting for more only adds latency. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&addr, len) == 0 && (!share || listen(fd, BACKLOG) == 0))
        return fd;
    int failed = errno;
    close(fd);
    return -failed;
}

static int explain(const struct kg_listen_addr *at, int rc, struct kg_error *err)
{
    char text[KG_ADDR_TEXT];

    kg_listen_text(at, text);
    if (rc == -EADDRINUSE)
        return kg_error_set(err, -rc, "cannot listen on %s: another process listens there already", text);
    return kg_error_set(err, -rc, "cannot listen on %s: %s", text, strerror(-rc));
}

int kg_listen_open(const struct kg_listen_addr *at, unsigned count, int *fds, struct kg_error *err)
{
    /* Bound without SO_REUSEPORT: fails when anybody has the port. */
    int fd = open_socket(at, false);

    if (fd < 0)
        return explain(at, fd, err);
    close(fd);
    for (unsigned i = 0; i < count; i++) {
        fds[i] = open_socket(at, true);
        if (fds[i] >= 0)
            continue;
        int rc = explain(at, fds[i], err);
        while (i-- > 0)
            close(fds[i]);
        return rc;
    }
    return 0;
}
