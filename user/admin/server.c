/* SPDX-License-Identifier: BSD-2-Clause */
#include "admin/server.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define TICK_MS      250
#define ACCEPT_BATCH 16

static const char busy[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\n"
    "Content-Length: 34\r\nConnection: close\r\n\r\n{\"message\":\"Too many connections\"}";
static const char forbidden[] = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json; charset=utf-8\r\n"
                                "Content-Length: 23\r\nConnection: close\r\n\r\n{\"message\":\"Forbidden\"}";

/* A connection for whom there is no slot: told so as far as its empty socket buffer takes it, and let go. */
static void turn_away(int fd, const char *answer, size_t len)
{
    if (send(fd, answer, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        kg_log(KG_LOG_DEBUG, "admin: a client was turned away unheard");
    close(fd);
}

/* A free slot, or one freed by ending the connection that has been idle longest; -1 when all are at work. */
static int take_slot(struct kg_admin *admin)
{
    struct kg_conn *oldest = NULL;

    for (int i = 0; i < KG_ADMIN_CONNECTIONS; i++) {
        struct kg_conn *conn = admin->conns[i];

        if (!conn)
            return i;
        if (kg_conn_idle(conn) && (!oldest || conn->deadline < oldest->deadline))
            oldest = conn;
    }
    if (!oldest)
        return -1;
    int slot = (int)oldest->slot;

    kg_conn_close(oldest);
    return slot;
}

static void welcome(struct kg_admin *admin, int fd)
{
    bool refused = !kg_admin_may(admin, fd);
    int slot;

    if (refused && admin->refused >= KG_ADMIN_REFUSED) {
        turn_away(fd, forbidden, sizeof(forbidden) - 1);
        return;
    }
    slot = take_slot(admin);
    if (slot < 0) {
        turn_away(fd, busy, sizeof(busy) - 1);
        return;
    }
    kg_conn_open(admin, (size_t)slot, fd, refused);
}

static void on_listen(void *ctx, uint32_t events)
{
    struct kg_admin *admin = ctx;

    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(admin->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            welcome(admin, fd);
            continue;
        }
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
            return;
        /* Out of descriptors or memory: the listening socket stays readable, so look away until the next
         * tick. */
        kg_log(KG_LOG_WARN, "admin: cannot accept: %s", strerror(errno));
        admin->paused = kg_poller_modify(admin->parts.poller, admin->listen_fd, 0) == 0;
        return;
    }
}

static void on_tick(void *ctx, uint32_t events)
{
    struct kg_admin *admin = ctx;
    uint64_t now = kg_clock_ms();
    uint64_t count;

    if (read(admin->timer_fd, &count, sizeof(count)) < 0)
        return;
    for (size_t i = 0; i < KG_ADMIN_CONNECTIONS; i++) {
        if (admin->conns[i])
            kg_conn_tick(admin->conns[i], now);
    }
    if (admin->paused)
        admin->paused = kg_poller_modify(admin->parts.poller, admin->listen_fd, EPOLLIN) < 0;
}

/* Not kg_poller_every(): that cannot be taken back, and the Admin API may end before the poller does. */
static int start_timer(struct kg_admin *admin, struct kg_error *err)
{
    const struct timespec tick = { .tv_nsec = TICK_MS * 1000000L };
    const struct itimerspec when = { .it_interval = tick, .it_value = tick };
    int rc;

    admin->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (admin->timer_fd < 0 || timerfd_settime(admin->timer_fd, 0, &when, NULL) < 0)
        return kg_error_set(err, errno, "cannot make a timer: %s", strerror(errno));
    rc = kg_poller_add(admin->parts.poller, admin->timer_fd, EPOLLIN, on_tick, admin);
    return rc < 0 ? kg_error_set(err, -rc, "cannot watch a timer: %s", strerror(-rc)) : 0;
}

int kg_admin_open(const struct kg_admin_config *config, const struct kg_admin_parts *parts,
                  struct kg_admin **admin, struct kg_error *err)
{
    struct kg_admin *a = kg_calloc(1, sizeof(*a));
    int rc;

    KG_ASSERT(parts->poller && parts->store && parts->model && parts->publish);
    a->parts = *parts;
    a->ban_s = config->ban_s;
    a->config_max = config->config_max ? config->config_max : KG_ADMIN_CONFIG_MAX;
    a->path = kg_strdup(config->socket_path);
    a->listen_fd = a->timer_fd = -1;
    rc = kg_admin_listen(a, config->group, err);
    if (rc == 0)
        rc = start_timer(a, err);
    if (rc == 0) {
        rc = kg_poller_add(parts->poller, a->listen_fd, EPOLLIN, on_listen, a);
        if (rc < 0)
            kg_error_set(err, -rc, "cannot watch the admin socket: %s", strerror(-rc));
    }
    if (rc < 0) {
        kg_admin_close(a);
        return rc;
    }
    *admin = a;
    return 0;
}

void kg_admin_set_guard(struct kg_admin *admin, struct kg_guard *guard)
{
    admin->parts.guard = guard;
}

static void forget(struct kg_admin *admin, int fd)
{
    if (fd < 0)
        return;
    kg_poller_remove(admin->parts.poller, fd);
    close(fd);
}

void kg_admin_close(struct kg_admin *admin)
{
    if (!admin)
        return;
    for (size_t i = 0; i < KG_ADMIN_CONNECTIONS; i++) {
        if (admin->conns[i])
            kg_conn_close(admin->conns[i]);
    }
    forget(admin, admin->timer_fd);
    forget(admin, admin->listen_fd);
    kg_admin_unlink(admin);
    KG_ASSERT(admin->bodies == 0 && admin->refused == 0);
    free(admin->path);
    free(admin);
}
