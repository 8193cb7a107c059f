/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared counters, among them what threads that hammer on the same ones must never break. */
#include "policy/counters.c"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NOW     1785000000 /* the first second of a minute and of an hour */
#define THREADS 4

/* What the clock says when it is asked again. */
static _Atomic int64_t wall;

static int64_t read_wall(void)
{
    return atomic_load(&wall);
}

static struct kg_counters *counters_with(uint32_t most)
{
    struct kg_counters *counters;
    struct kg_error err;

    assert_int_equal(kg_counters_new(most, &counters, &err), 0);
    atomic_store(&wall, NOW);
    for (int i = 0; i < KG_PERIODS; i++)
        counters->tables[i].clock = read_wall;
    return counters;
}

static struct kg_counter_name named(const struct kg_counters *counters, unsigned who, bool made_up)
{
    return kg_counters_name(counters, KG_SLICE("scope   "), kg_slice_of((const char *)&who, sizeof(who)),
                            made_up);
}

/* One request of `who`: what became of it. */
static enum kg_counted count(struct kg_counters *counters, unsigned who, enum kg_period period, int64_t now,
                             uint64_t limit, uint64_t *value)
{
    struct kg_counter_name name = named(counters, who, false);
    struct kg_counter counter;
    enum kg_counted counted;

    do {
        KG_ASSERT(kg_counters_get(counters, &name, period, now, &counter));
        counted = kg_counter_add(&counter, limit, value);
    } while (counted == KG_ENDED);
    return counted;
}

static uint64_t value_at(struct kg_counters *counters, unsigned who, enum kg_period period, int64_t now)
{
    struct kg_counter_name name = named(counters, who, false);
    struct kg_counter counter;

    kg_counters_peek(counters, &name, period, now, &counter);
    return kg_counter_value(&counter);
}

static void counts_up_to_the_limit_and_not_over_it(void **state)
{
    struct kg_counters *counters = counters_with(16);
    uint64_t value;

    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(count(counters, 1, KG_MINUTE, NOW, 5, &value), KG_COUNTED);
        assert_int_equal(value, i);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(count(counters, 1, KG_MINUTE, NOW, 5, &value), KG_AT_LIMIT);
        assert_int_equal(value, 5);
    }
    /* A limit that has been raised or lowered meets the same counter. */
    assert_int_equal(count(counters, 1, KG_MINUTE, NOW, 6, &value), KG_COUNTED);
    assert_int_equal(count(counters, 1, KG_MINUTE, NOW, 2, &value), KG_AT_LIMIT);
    assert_int_equal(value, 6);
    kg_counters_free(counters);
}

static void names_and_periods_are_counted_apart(void **state)
{
    struct kg_counters *counters = counters_with(64);
    uint64_t value;

    for (int period = 0; period < KG_PERIODS; period++) {
        for (unsigned who = 0; who < 3; who++) {
            assert_int_equal(count(counters, who, (enum kg_period)period, NOW, 1, &value), KG_COUNTED);
            assert_int_equal(count(counters, who, (enum kg_period)period, NOW, 1, &value), KG_AT_LIMIT);
        }
    }
    struct kg_counter_name a = kg_counters_name(counters, KG_SLICE("scope  1"), KG_SLICE("x"), false);
    struct kg_counter_name b = kg_counters_name(counters, KG_SLICE("scope  2"), KG_SLICE("x"), false);
    assert_memory_not_equal(a.hash, b.hash, sizeof(a.hash));
    kg_counters_free(counters);
}

static void a_new_window_begins_with_nothing(void **state)
{
    static const int64_t next[KG_PERIODS] = { 1, 60, 3600, 86400, 31 * 86400, 365 * 86400 };
    struct kg_counters *counters = counters_with(16);
    uint64_t value;

    for (int p = 0; p < KG_PERIODS; p++) {
        enum kg_period period = (enum kg_period)p;

        assert_int_equal(count(counters, 1, period, NOW, 1, &value), KG_COUNTED);
        assert_int_equal(count(counters, 1, period, NOW, 1, &value), KG_AT_LIMIT);
        assert_int_equal(value_at(counters, 1, period, NOW), 1);
        assert_int_equal(count(counters, 1, period, NOW + next[p], 1, &value), KG_COUNTED);
        assert_int_equal(value, 1);
    }
    kg_counters_free(counters);
}

static void peeking_takes_no_place(void **state)
{
    struct kg_counters *counters = counters_with(16);

    assert_int_equal(value_at(counters, 1, KG_DAY, NOW), 0);
    assert_int_equal(kg_counters_in_use(counters, NOW), 0);
    kg_counters_free(counters);
}

static void what_is_given_back_may_be_taken_again(void **state)
{
    struct kg_counters *counters = counters_with(16);
    struct kg_counter_name name = named(counters, 1, false);
    struct kg_counter counter;
    uint64_t value;

    assert_true(kg_counters_get(counters, &name, KG_HOUR, NOW, &counter));
    assert_int_equal(kg_counter_add(&counter, 1, &value), KG_COUNTED);
    kg_counter_give_back(&counter);
    assert_int_equal(kg_counter_value(&counter), 0);
    kg_counter_give_back(&counter);
    assert_int_equal(kg_counter_value(&counter), 0);
    assert_int_equal(kg_counter_add(&counter, 1, &value), KG_COUNTED);
    assert_int_equal(kg_counter_add(&counter, 1, &value), KG_AT_LIMIT);
    kg_counters_free(counters);
}

/* A worker's time is as old as its turn. */
static void who_comes_late_is_counted_in_the_latest_window(void **state)
{
    struct kg_counters *counters = counters_with(16);
    uint64_t value;

    assert_int_equal(count(counters, 1, KG_SECOND, NOW, 3, &value), KG_COUNTED);
    atomic_store(&wall, NOW + 5);
    assert_int_equal(count(counters, 1, KG_SECOND, NOW + 5, 3, &value), KG_COUNTED);
    assert_int_equal(value, 1);
    assert_int_equal(count(counters, 1, KG_SECOND, NOW, 3, &value), KG_COUNTED);
    assert_int_equal(value, 2);
    kg_counters_free(counters);
}

/* Held up between finding its counter and counting. */
static void a_window_that_has_ended_meanwhile_is_told(void **state)
{
    struct kg_counters *counters = counters_with(16);
    struct kg_counter_name name = named(counters, 1, false);
    struct kg_counter counter;
    uint64_t value;

    assert_true(kg_counters_get(counters, &name, KG_SECOND, NOW, &counter));
    assert_int_equal(count(counters, 1, KG_SECOND, NOW + 1, 1, &value), KG_COUNTED);
    assert_int_equal(kg_counter_add(&counter, 9, &value), KG_ENDED);
    kg_counter_give_back(&counter);
    assert_int_equal(value_at(counters, 1, KG_SECOND, NOW + 1), 1);
    kg_counters_free(counters);
}

static void a_clock_that_is_set_back_locks_nobody_out(void **state)
{
    struct kg_counters *counters = counters_with(16);
    uint64_t value;

    assert_int_equal(count(counters, 1, KG_YEAR, NOW + 400 * 86400, 1, &value), KG_COUNTED);
    assert_int_equal(count(counters, 1, KG_YEAR, NOW, 1, &value), KG_COUNTED);
    assert_int_equal(count(counters, 1, KG_YEAR, NOW, 1, &value), KG_AT_LIMIT);
    kg_counters_free(counters);
}

/* Takes places until there is none: how many. */
static unsigned fill(struct kg_counters *counters, unsigned first, bool made_up)
{
    unsigned taken = 0;

    for (unsigned i = 0; i < 4096; i++) {
        struct kg_counter_name name = named(counters, first + i, made_up);
        struct kg_counter counter;
        uint64_t value;

        if (!kg_counters_get(counters, &name, KG_DAY, NOW, &counter)) {
            assert_null(counter.entry);
            continue;
        }
        assert_int_equal(kg_counter_add(&counter, 1, &value), KG_COUNTED);
        assert_int_equal(value, 1);
        taken++;
    }
    return taken;
}

static void a_full_table_keeps_what_it_has_and_says_so(void **state)
{
    struct kg_counters *counters = counters_with(64);
    uint64_t value;

    assert_int_equal(count(counters, 1, KG_DAY, NOW, 5, &value), KG_COUNTED);
    assert_int_equal(fill(counters, 1000, false), 63);
    assert_int_equal(kg_counters_refused(counters), 4096 - 63);
    assert_int_equal(kg_counters_in_use(counters, NOW), 64);
    assert_int_equal(count(counters, 1, KG_DAY, NOW, 5, &value), KG_COUNTED);
    assert_int_equal(value, 2);
    /* All of it is free at the end of the day. */
    assert_int_equal(kg_counters_in_use(counters, NOW + 86400), 0);
    assert_int_equal(count(counters, 9, KG_DAY, NOW + 86400, 5, &value), KG_COUNTED);
    assert_int_equal(kg_counters_in_use(counters, NOW + 86400), 1);
    kg_counters_free(counters);
}

static void strangers_leave_a_quarter_to_those_we_know(void **state)
{
    struct kg_counters *counters = counters_with(256);

    assert_int_equal(fill(counters, 0, true), 192);
    assert_int_equal(kg_counters_in_use(counters, NOW), 192);
    assert_true(fill(counters, 10000, false) >= 60);
    kg_counters_free(counters);
}

static void rounds_its_size_up_to_a_power_of_two(void **state)
{
    struct kg_counters *counters = counters_with(100);

    assert_int_equal((counters->tables[KG_YEAR].line_mask + 1) * IN_LINE, 128);
    kg_counters_free(counters);
}

/* ---- threads ---- */

struct crowd {
    struct kg_counters *counters;
    unsigned names, steps;
    uint64_t limit;
    _Atomic unsigned ready;
    _Atomic uint64_t counted[512]; /* by name and window */
};

static void wait_for_all(struct crowd *crowd)
{
    atomic_fetch_add(&crowd->ready, 1);
    while (atomic_load(&crowd->ready) < THREADS)
        ;
}

static void *hammer(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t value;

    wait_for_all(crowd);
    for (unsigned i = 0; i < crowd->steps; i++) {
        unsigned who = i % crowd->names;

        if (count(crowd->counters, who, KG_HOUR, NOW, crowd->limit, &value) == KG_COUNTED)
            atomic_fetch_add(&crowd->counted[who], 1);
    }
    return NULL;
}

static void run_threads(struct crowd *crowd, void *(*body)(void *))
{
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, body, crowd), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void threads_together_are_let_through_to_the_limit_exactly(void **state)
{
    struct crowd crowd = { .counters = counters_with(16), .names = 1, .steps = 20000, .limit = 1000 };

    run_threads(&crowd, hammer);
    assert_int_equal(atomic_load(&crowd.counted[0]), 1000);
    kg_counters_free(crowd.counters);
}

/* Many names that all begin at once in a table that they nearly fill: each gets one place, never two. */
static void threads_that_begin_the_same_names_share_their_counters(void **state)
{
    for (int round = 0; round < 20; round++) {
        struct crowd crowd = { .counters = counters_with(256), .names = 200, .steps = 2000, .limit = 7 };

        run_threads(&crowd, hammer);
        for (unsigned i = 0; i < crowd.names; i++)
            assert_int_equal(atomic_load(&crowd.counted[i]), 7);
        assert_int_equal(kg_counters_in_use(crowd.counters, NOW), 200);
        kg_counters_free(crowd.counters);
    }
}

#define SECONDS 25

/* Each thread's time goes on by itself, one ahead of another, while the clock has come to what the fastest
 * says: what is counted under a second is never more than its limit. */
static void *hammer_on(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t value;

    wait_for_all(crowd);
    for (int64_t second = 0; second < SECONDS; second++) {
        int64_t now = NOW + second, known = atomic_load(&wall);

        while (known < now && !atomic_compare_exchange_weak(&wall, &known, now))
            ;
        for (unsigned i = 0; i < crowd->steps; i++) {
            struct kg_counter_name name = named(crowd->counters, i % crowd->names, false);
            struct kg_counter counter;

            KG_ASSERT(kg_counters_get(crowd->counters, &name, KG_SECOND, now, &counter));
            if (kg_counter_add(&counter, crowd->limit, &value) != KG_COUNTED)
                continue;
            uint64_t window = counter.window - (NOW + 1);
            KG_ASSERT(window < SECONDS);
            atomic_fetch_add(&crowd->counted[window * crowd->names + i % crowd->names], 1);
        }
    }
    return NULL;
}

static void windows_that_change_under_the_threads_are_exact_too(void **state)
{
    struct crowd crowd = { .counters = counters_with(32), .names = 20, .steps = 4000, .limit = 50 };

    run_threads(&crowd, hammer_on);
    for (size_t i = 0; i < SECONDS * crowd.names; i++)
        assert_true(atomic_load(&crowd.counted[i]) <= 50);
    /* The last window was open to all that came to it. */
    for (size_t i = 0; i < crowd.names; i++)
        assert_int_equal(atomic_load(&crowd.counted[(SECONDS - 1) * crowd.names + i]), 50);
    kg_counters_free(crowd.counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_up_to_the_limit_and_not_over_it),
        cmocka_unit_test(names_and_periods_are_counted_apart),
        cmocka_unit_test(a_new_window_begins_with_nothing),
        cmocka_unit_test(peeking_takes_no_place),
        cmocka_unit_test(what_is_given_back_may_be_taken_again),
        cmocka_unit_test(who_comes_late_is_counted_in_the_latest_window),
        cmocka_unit_test(a_window_that_has_ended_meanwhile_is_told),
        cmocka_unit_test(a_clock_that_is_set_back_locks_nobody_out),
        cmocka_unit_test(a_full_table_keeps_what_it_has_and_says_so),
        cmocka_unit_test(strangers_leave_a_quarter_to_those_we_know),
        cmocka_unit_test(rounds_its_size_up_to_a_power_of_two),
        cmocka_unit_test(threads_together_are_let_through_to_the_limit_exactly),
        cmocka_unit_test(threads_that_begin_the_same_names_share_their_counters),
        cmocka_unit_test(windows_that_change_under_the_threads_are_exact_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
