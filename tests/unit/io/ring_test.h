/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests of sockets: one real ring, made anew for each test, which gives back all it took of it. */
#ifndef KG_RING_TEST_H
#define KG_RING_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "io/ring.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define BUFFERS   16
#define TURNS_MAX 20000

static struct kg_ring ring;

static inline void nothing(void *ctx)
{
}

static inline void turn(void)
{
    kg_ring_turn(&ring, 5, nothing);
}

#define TURN_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        for (int turns_ = 0; !(condition); turns_++) {                                                       \
            assert_true(turns_ < TURNS_MAX);                                                                 \
            turn();                                                                                          \
        }                                                                                                    \
    } while (0)

static inline int open_ring(uint32_t buffer_size, uint32_t block_size)
{
    struct kg_error err;
    struct kg_ring_config config = {
        .max_sockets = 64, .buffers = BUFFERS, .buffer_size = buffer_size, .block_size = block_size
    };

    config.wake_fd = eventfd(0, EFD_CLOEXEC);
    return kg_ring_init(&ring, &config, &err);
}

static inline int tear_down(void **state)
{
    int wake_fd = ring.wake_fd;

    assert_int_equal(ring.slots_used, 0);
    assert_int_equal(ring.blocks.in_use, 0);
    assert_int_equal(ring.queues.in_use, 0);
    assert_int_equal(ring.buffers.with_kernel + ring.buffers.returned, BUFFERS);
    assert_int_equal(ring.stats.stale, 0);
    kg_ring_free(&ring);
    close(wake_fd);
    return 0;
}

#define RING_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
