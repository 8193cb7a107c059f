/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/poller.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BATCH 64

/*
 * One descriptor under watch. The table is indexed by descriptor; the generation tells an event that epoll
 * reported for an earlier owner of the same number from one for the present owner, so a handler may remove
 * and close anything.
 */
struct watch {
    kg_poll_handler handler; /* NULL: not watched */
    void *ctx;
    uint32_t generation;
};

/* A periodic call; owns its timerfd. */
struct period {
    struct period *next;
    int fd;
    kg_poll_handler handler;
    void *ctx;
};

struct kg_poller {
    int epoll;
    int wake; /* eventfd: ends a wait when kg_poller_stop() is called from elsewhere */
    atomic_bool stopped;
    struct watch *watches;
    size_t capacity;
    uint32_t generation;
    struct period *periods;
};

static uint64_t pack(int fd, uint32_t generation)
{
    return (uint64_t)generation << 32 | (uint32_t)fd;
}

static void drain_counter(int fd)
{
    uint64_t count;

    /* Both eventfd and timerfd are non-blocking: EAGAIN means that somebody has read it before, which is
     * fine. */
    if (read(fd, &count, sizeof(count)) < 0)
        return;
}

static void woken(void *ctx, uint32_t events)
{
    struct kg_poller *poller = ctx;

    drain_counter(poller->wake);
}

int kg_poller_new(struct kg_poller **poller, struct kg_error *err)
{
    struct kg_poller *p = kg_calloc(1, sizeof(*p));
    int rc;

    p->wake = -1;
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (p->epoll < 0) {
        rc = kg_error_set(err, errno, "cannot make an epoll instance: %s", strerror(errno));
        goto fail;
    }
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->wake < 0) {
        rc = kg_error_set(err, errno, "cannot make an eventfd: %s", strerror(errno));
        goto fail;
    }
    rc = kg_poller_add(p, p->wake, EPOLLIN, woken, p);
    if (rc < 0) {
        rc = kg_error_set(err, -rc, "cannot watch an eventfd: %s", strerror(-rc));
        goto fail;
    }
    *poller = p;
    return 0;

fail:
    kg_poller_free(p);
    return rc;
}

void kg_poller_free(struct kg_poller *poller)
{
    struct period *next;

    if (!poller)
        return;
    for (struct period *period = poller->periods; period; period = next) {
        next = period->next;
        close(period->fd);
        free(period);
    }
    if (poller->wake >= 0)
        close(poller->wake);
    if (poller->epoll >= 0)
        close(poller->epoll);
    free(poller->watches);
    free(poller);
}

static struct watch *find_watch(struct kg_poller *poller, int fd)
{
    if (fd < 0 || (size_t)fd >= poller->capacity || !poller->watches[fd].handler)
        return NULL;
    return &poller->watches[fd];
}

static void make_room(struct kg_poller *poller, int fd)
{
    size_t capacity = poller->capacity ? poller->capacity : 64;

    if ((size_t)fd < poller->capacity)
        return;
    while (capacity <= (size_t)fd)
        capacity *= 2;
    poller->watches = kg_realloc(poller->watches, capacity, sizeof(struct watch));
    memset(poller->watches + poller->capacity, 0, (capacity - poller->capacity) * sizeof(struct watch));
    poller->capacity = capacity;
}

int kg_poller_add(struct kg_poller *poller, int fd, uint32_t events, kg_poll_handler handler, void *ctx)
{
    uint32_t generation = poller->generation + 1;
    struct epoll_event event = { .events = events, .data.u64 = pack(fd, generation) };

    KG_ASSERT(handler);
    if (fd < 0)
        return -EBADF;
    if (epoll_ctl(poller->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    make_room(poller, fd);
    poller->generation = generation;
    poller->watches[fd] = (struct watch){ .handler = handler, .ctx = ctx, .generation = generation };
    return 0;
}

int kg_poller_modify(struct kg_poller *poller, int fd, uint32_t events)
{
    struct watch *watch = find_watch(poller, fd);
    struct epoll_event event = { .events = events };

    if (!watch)
        return -ENOENT;
    event.data.u64 = pack(fd, watch->generation);
    return epoll_ctl(poller->epoll, EPOLL_CTL_MOD, fd, &event) < 0 ? -errno : 0;
}

void kg_poller_remove(struct kg_poller *poller, int fd)
{
    struct watch *watch = find_watch(poller, fd);

    if (!watch)
        return;
    watch->handler = NULL;
    epoll_ctl(poller->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static void period_over(void *ctx, uint32_t events)
{
    struct period *period = ctx;

    drain_counter(period->fd);
    period->handler(period->ctx, 0);
}

int kg_poller_every(struct kg_poller *poller, uint32_t period_ms, kg_poll_handler handler, void *ctx)
{
    struct itimerspec when = { 0 };
    struct period *period;
    int fd, rc;

    KG_ASSERT(period_ms > 0);
    fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    when.it_value.tv_sec = when.it_interval.tv_sec = (time_t)(period_ms / 1000);
    when.it_value.tv_nsec = when.it_interval.tv_nsec = (long)(period_ms % 1000) * 1000000;
    if (timerfd_settime(fd, 0, &when, NULL) < 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    period = kg_calloc(1, sizeof(*period));
    *period = (struct period){ .next = poller->periods, .fd = fd, .handler = handler, .ctx = ctx };
    rc = kg_poller_add(poller, fd, EPOLLIN, period_over, period);
    if (rc < 0) {
        close(fd);
        free(period);
        return rc;
    }
    poller->periods = period;
    return 0;
}

static void dispatch(struct kg_poller *poller, const struct epoll_event *event)
{
    struct watch *found = find_watch(poller, (int)(uint32_t)event->data.u64);
    struct watch watch;

    if (!found || found->generation != event->data.u64 >> 32)
        return;
    watch = *found; /* the handler may add descriptors, and with that move the table */
    watch.handler(watch.ctx, event->events);
}

void kg_poller_step(struct kg_poller *poller, int timeout_ms)
{
    struct epoll_event events[BATCH];
    int count = epoll_wait(poller->epoll, events, BATCH, timeout_ms);

    KG_ASSERT(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++)
        dispatch(poller, &events[i]);
}

void kg_poller_run(struct kg_poller *poller)
{
    while (!atomic_load_explicit(&poller->stopped, memory_order_acquire))
        kg_poller_step(poller, -1);
    atomic_store_explicit(&poller->stopped, false, memory_order_relaxed);
}

void kg_poller_stop(struct kg_poller *poller)
{
    uint64_t one = 1;

    atomic_store_explicit(&poller->stopped, true, memory_order_release);
    /* A full counter (EAGAIN) wakes as well. */
    if (write(poller->wake, &one, sizeof(one)) < 0)
        return;
}
