/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/usage.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct kg_signal signal_number(uint32_t number)
{
    struct kg_signal signal = { .source.family = 4, .kind = number % 3 };

    memcpy(signal.source.bytes, &number, sizeof(number));
    return signal;
}

static uint32_t number_of(const struct kg_signal *signal)
{
    uint32_t number;

    memcpy(&number, signal->source.bytes, sizeof(number));
    return number;
}

static void counters_start_at_zero_and_add_up(void **state)
{
    struct kg_usage_table table;

    kg_usage_table_init(&table, 65);
    assert_int_equal(table.slots, 65);
    for (uint32_t i = 0; i < 65; i++)
        assert_int_equal(atomic_load(&table.usage[i].requests), 0);
    kg_usage_add(&table.usage[64].bytes_in, 40);
    kg_usage_add(&table.usage[64].bytes_in, 2);
    assert_int_equal(atomic_load(&table.usage[64].bytes_in), 42);
    kg_usage_table_free(&table);
    assert_null(table.usage);
    assert_null(table.dirty);
}

static void touching_sets_exactly_the_bit_of_the_slot(void **state)
{
    struct kg_usage_table table;

    kg_usage_table_init(&table, 130);
    kg_usage_touch(&table, 0);
    kg_usage_touch(&table, 63);
    kg_usage_touch(&table, 64);
    kg_usage_touch(&table, 129);
    kg_usage_touch(&table, 129);
    assert_true(atomic_load(&table.dirty[0]) == (1ull | 1ull << 63));
    assert_true(atomic_load(&table.dirty[1]) == 1);
    assert_true(atomic_load(&table.dirty[2]) == 2);
    kg_usage_table_free(&table);
}

/* Aligned to a cache line, which kg_calloc does not promise. */
static struct kg_signal_queue *fresh_queue(void)
{
    static struct kg_signal_queue queue;

    queue = (struct kg_signal_queue){ 0 };
    return &queue;
}

static void signals_come_out_in_order_and_only_the_first_wakes(void **state)
{
    struct kg_signal_queue *queue = fresh_queue();
    struct kg_signal one = signal_number(1), two = signal_number(2), out;

    assert_false(kg_signal_pop(queue, &out));
    assert_true(kg_signal_push(queue, &one));
    assert_false(kg_signal_push(queue, &two));
    assert_true(kg_signal_pop(queue, &out));
    assert_int_equal(number_of(&out), 1);
    assert_int_equal(out.kind, 1);
    assert_true(kg_signal_pop(queue, &out));
    assert_int_equal(number_of(&out), 2);
    assert_false(kg_signal_pop(queue, &out));
    assert_true(kg_signal_push(queue, &one));
}

static void a_full_queue_drops_and_counts(void **state)
{
    struct kg_signal_queue *queue = fresh_queue();
    struct kg_signal out;

    /* Positions close to wrapping round. */
    atomic_store(&queue->head, UINT32_MAX - 10);
    atomic_store(&queue->tail, UINT32_MAX - 10);
    for (uint32_t i = 0; i < KG_SIGNALS + 5; i++) {
        struct kg_signal signal = signal_number(i);

        assert_int_equal(kg_signal_push(queue, &signal), i == 0);
    }
    assert_int_equal(atomic_load(&queue->dropped), 5);
    for (uint32_t i = 0; i < KG_SIGNALS; i++) {
        assert_true(kg_signal_pop(queue, &out));
        assert_int_equal(number_of(&out), i);
    }
    assert_false(kg_signal_pop(queue, &out));
}

#define MANY 200000u

struct race {
    struct kg_signal_queue queue;
    _Atomic uint32_t wakes;
};

static void *produce(void *arg)
{
    struct race *race = arg;

    for (uint32_t i = 0; i < MANY;) {
        struct kg_signal signal = signal_number(i);
        uint64_t dropped = atomic_load(&race->queue.dropped);

        if (kg_signal_push(&race->queue, &signal))
            atomic_fetch_add(&race->wakes, 1);
        if (atomic_load(&race->queue.dropped) != dropped)
            sched_yield();
        else
            i++;
    }
    return NULL;
}

/* The consumer looks at the queue only when it was woken, as the control thread does: a lost wake-up would
 * hang here. */
static void no_wakeup_is_lost_between_two_threads(void **state)
{
    static struct race race_state;
    struct race *race = &race_state;
    uint32_t next = 0, handled = 0;
    struct kg_signal out;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, produce, race), 0);
    while (next < MANY) {
        if (atomic_load(&race->wakes) == handled) {
            sched_yield();
            continue;
        }
        handled++;
        while (kg_signal_pop(&race->queue, &out)) {
            assert_int_equal(number_of(&out), next);
            next++;
        }
    }
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_start_at_zero_and_add_up),
        cmocka_unit_test(touching_sets_exactly_the_bit_of_the_slot),
        cmocka_unit_test(signals_come_out_in_order_and_only_the_first_wakes),
        cmocka_unit_test(a_full_queue_drops_and_counts),
        cmocka_unit_test(no_wakeup_is_lost_between_two_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
