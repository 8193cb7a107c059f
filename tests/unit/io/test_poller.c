/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/poller.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct kg_poller *poller;
    int pair[2];
    int other[2];
    int calls;
    uint32_t events;
};

static int set_up(void **state)
{
    static struct fixture f;
    struct kg_error err;

    memset(&f, 0, sizeof(f));
    assert_int_equal(kg_poller_new(&f.poller, &err), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f.pair), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f.other), 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    kg_poller_free(f->poller);
    for (int i = 0; i < 2; i++) {
        close(f->pair[i]);
        close(f->other[i]);
    }
    return 0;
}

static void note(void *ctx, uint32_t events)
{
    struct fixture *f = ctx;

    f->calls++;
    f->events |= events;
}

static void poke(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

static void reports_readable_until_read(void **state)
{
    struct fixture *f = *state;
    char byte;

    assert_int_equal(kg_poller_add(f->poller, f->pair[0], EPOLLIN, note, f), 0);
    kg_poller_step(f->poller, 0);
    assert_int_equal(f->calls, 0);
    poke(f->pair[1]);
    kg_poller_step(f->poller, 0);
    kg_poller_step(f->poller, 0);
    assert_int_equal(f->calls, 2);
    assert_int_equal(f->events, EPOLLIN);
    assert_int_equal(read(f->pair[0], &byte, 1), 1);
    kg_poller_step(f->poller, 0);
    assert_int_equal(f->calls, 2);
}

static void modify_changes_what_is_waited_for(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(kg_poller_add(f->poller, f->pair[0], EPOLLIN, note, f), 0);
    assert_int_equal(kg_poller_modify(f->poller, f->pair[0], EPOLLOUT), 0);
    poke(f->pair[1]);
    kg_poller_step(f->poller, 0);
    assert_int_equal(f->events, EPOLLOUT);
    assert_int_equal(kg_poller_modify(f->poller, f->other[0], EPOLLIN), -ENOENT);
}

static void hang_up_is_reported_unasked(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(kg_poller_add(f->poller, f->pair[0], 0, note, f), 0);
    close(f->pair[1]);
    f->pair[1] = -1;
    kg_poller_step(f->poller, 0);
    assert_true(f->events & EPOLLHUP);
}

static void refuses_bad_and_repeated_descriptors(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(kg_poller_add(f->poller, -1, EPOLLIN, note, f), -EBADF);
    assert_int_equal(kg_poller_add(f->poller, f->pair[0], EPOLLIN, note, f), 0);
    assert_int_equal(kg_poller_add(f->poller, f->pair[0], EPOLLIN, note, f), -EEXIST);
    kg_poller_remove(f->poller, 100000);
}

static void remove_both(void *ctx, uint32_t events)
{
    struct fixture *f = ctx;

    f->calls++;
    kg_poller_remove(f->poller, f->pair[0]);
    kg_poller_remove(f->poller, f->other[0]);
}

static void a_handler_may_remove_itself_and_others_of_the_same_round(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(kg_poller_add(f->poller, f->pair[0], EPOLLIN, remove_both, f), 0);
    assert_int_equal(kg_poller_add(f->poller, f->other[0], EPOLLIN, remove_both, f), 0);
    poke(f->pair[1]);
    poke(f->other[1]);
    kg_poller_step(f->poller, 0);
    kg_poller_step(f->poller, 0);
    assert_int_equal(f->calls, 1);
}

static void stale_handler(void *ctx, uint32_t events)
{
    fail_msg("an event of a removed descriptor reached its successor");
}

static void replace_other(void *ctx, uint32_t events)
{
    struct fixture *f = ctx;

    f->calls++;
    kg_poller_remove(f->poller, f->pair[0]);
    kg_poller_remove(f->poller, f->other[0]);
    /* The same number again, under watch for something that has not happened. */
    assert_int_equal(kg_poller_add(f->poller, f->pair[0], EPOLLPRI, stale_handler, f), 0);
    assert_int_equal(kg_poller_add(f->poller, f->other[0], EPOLLPRI, stale_handler, f), 0);
}

static void an_event_never_reaches_the_next_owner_of_a_number(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(kg_poller_add(f->poller, f->pair[0], EPOLLIN, replace_other, f), 0);
    assert_int_equal(kg_poller_add(f->poller, f->other[0], EPOLLIN, replace_other, f), 0);
    poke(f->pair[1]);
    poke(f->other[1]);
    kg_poller_step(f->poller, 0);
    assert_int_equal(f->calls, 1);
}

static void add_many(void *ctx, uint32_t events)
{
    struct fixture *f = ctx;
    int high = fcntl(f->other[0], F_DUPFD_CLOEXEC, 500);

    assert_true(high >= 500);
    assert_int_equal(kg_poller_add(f->poller, high, EPOLLIN, note, f), 0);
    kg_poller_remove(f->poller, high);
    close(high);
    f->calls++;
}

static void a_handler_may_add_descriptors_of_any_size(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(kg_poller_add(f->poller, f->pair[0], EPOLLIN, add_many, f), 0);
    poke(f->pair[1]);
    kg_poller_step(f->poller, 0);
    assert_int_equal(f->calls, 1);
}

static void stop_after_three(void *ctx, uint32_t events)
{
    struct fixture *f = ctx;

    assert_int_equal(events, 0);
    if (++f->calls == 3)
        kg_poller_stop(f->poller);
}

static void periods_come_again_and_not_early(void **state)
{
    struct fixture *f = *state;
    uint64_t start = kg_clock_ms();

    assert_int_equal(kg_poller_every(f->poller, 10, stop_after_three, f), 0);
    kg_poller_run(f->poller);
    assert_int_equal(f->calls, 3);
    assert_true(kg_clock_ms() - start >= 29);
}

static void *stop_from_elsewhere(void *ctx)
{
    kg_poller_stop(ctx);
    return NULL;
}

static void another_thread_can_stop_a_waiting_poller(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, stop_from_elsewhere, f->poller), 0);
    kg_poller_run(f->poller);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reports_readable_until_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(modify_changes_what_is_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hang_up_is_reported_unasked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_bad_and_repeated_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_handler_may_remove_itself_and_others_of_the_same_round, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_event_never_reaches_the_next_owner_of_a_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_handler_may_add_descriptors_of_any_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(periods_come_again_and_not_early, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_thread_can_stop_a_waiting_poller, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
