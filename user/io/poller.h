/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control thread's event loop: a thin epoll(7). Workers have the ring instead. Level-triggered. A handler
 * may remove any descriptor, also its own, while it runs.
 */
#ifndef KG_IO_POLLER_H
#define KG_IO_POLLER_H

#include "base/error.h"

#include <stdint.h>
#include <sys/epoll.h>

struct kg_poller;

/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, … as epoll reported them. */
typedef void (*kg_poll_handler)(void *ctx, uint32_t events);

int kg_poller_new(struct kg_poller **poller, struct kg_error *err);
void kg_poller_free(struct kg_poller *poller);

/* Watches fd, which stays the caller's. 0 or -errno. */
int kg_poller_add(struct kg_poller *poller, int fd, uint32_t events, kg_poll_handler handler, void *ctx);
int kg_poller_modify(struct kg_poller *poller, int fd, uint32_t events);
/* Before the fd is closed. */
void kg_poller_remove(struct kg_poller *poller, int fd);

/* Calls handler(ctx, 0) every period_ms until the poller is freed. */
int kg_poller_every(struct kg_poller *poller, uint32_t period_ms, kg_poll_handler handler, void *ctx);

/* Runs until kg_poller_stop(). */
void kg_poller_run(struct kg_poller *poller);
void kg_poller_stop(struct kg_poller *poller);
/* One round: waits at most timeout_ms. */
void kg_poller_step(struct kg_poller *poller, int timeout_ms);

#endif
