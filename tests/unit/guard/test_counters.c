/* SPDX-License-Identifier: BSD-2-Clause */
/* Consumers' counters: from the workers' tables to the map that bpftool reads. */
#include "fixture.h"

#define ALICE "11111111-1111-4111-8111-111111111111"
#define BOB   "22222222-2222-4222-8222-222222222222"

static struct kg_usage_table worker[2];
static struct kg_usage_table *const workers[] = { &worker[0], &worker[1] };

static int counters_open(void **state)
{
    int rc = fixture_open(state);
    struct fixture *f = *state;

    for (unsigned i = 0; i < 2; i++)
        kg_usage_table_init(&worker[i], f->config.consumer_slots);
    return rc;
}

static int counters_free(void **state)
{
    int rc = fixture_free(state);

    for (unsigned i = 0; i < 2; i++)
        kg_usage_table_free(&worker[i]);
    return rc;
}

static uint32_t take(struct fixture *f, const char *id, const char *name)
{
    struct kg_slot_source slots = kg_guard_slots(f->guard);

    return slots.take(slots.ctx, id, name);
}

static void give_back(struct fixture *f, uint32_t slot, const char *id)
{
    struct kg_slot_source slots = kg_guard_slots(f->guard);

    slots.give_back(slots.ctx, slot, id);
}

/* What a worker does after a request. */
static void count(unsigned w, uint32_t slot, uint64_t requests)
{
    struct kg_usage *usage = &worker[w].usage[slot];

    kg_usage_add(&usage->requests, requests);
    kg_usage_add(&usage->status_2xx, 1);
    kg_usage_add(&usage->status_3xx, 2);
    kg_usage_add(&usage->status_4xx, 3);
    kg_usage_add(&usage->status_5xx, 4);
    kg_usage_add(&usage->denied, 5);
    kg_usage_add(&usage->rate_limited, 6);
    kg_usage_add(&usage->bytes_in, 7);
    kg_usage_add(&usage->bytes_out, 8);
    atomic_store(&usage->last_seen, 1000 + w);
    kg_usage_touch(&worker[w], slot);
}

/* Ticks are far enough apart that each one flushes. */
static void flush(struct fixture *f)
{
    static uint64_t later;

    later += 1000;
    kg_guard_tick(f->guard, workers, 2, kg_clock_ms() + later);
}

/* As bpftool reads it. */
static struct kg_consumer_stats published(struct fixture *f, uint32_t slot)
{
    struct kg_consumer_stats stats = { 0 };
    int fd = pinned(f, "consumer_stats");

    assert_true(fd >= 0);
    assert_int_equal(bpf_map_lookup_elem(fd, &slot, &stats), 0);
    close(fd);
    return stats;
}

static void sums_over_the_workers_are_published_under_the_consumers_name(void **state)
{
    struct fixture *f = *state;
    uint32_t slot = take(f, ALICE, "alice");
    struct kg_consumer_stats stats;

    assert_true(slot >= KG_SLOT_FIRST);
    count(0, slot, 10);
    count(1, slot, 32);
    flush(f);
    stats = published(f, slot);
    assert_string_equal(stats.name, "alice");
    assert_string_equal(stats.id, ALICE);
    assert_int_equal(stats.requests, 42);
    assert_int_equal(stats.status_2xx, 2);
    assert_int_equal(stats.status_3xx, 4);
    assert_int_equal(stats.status_4xx, 6);
    assert_int_equal(stats.status_5xx, 8);
    assert_int_equal(stats.denied, 10);
    assert_int_equal(stats.rate_limited, 12);
    assert_int_equal(stats.bytes_in, 14);
    assert_int_equal(stats.bytes_out, 16);
    assert_int_equal(stats.last_seen, 1001);
    assert_true(kg_guard_consumer(f->guard, slot, &stats));
    assert_int_equal(stats.requests, 42);
    assert_int_equal(atomic_load(&worker[0].dirty[0]), 0);
}

static void requests_without_a_consumer_and_without_a_slot_are_counted_apart(void **state)
{
    struct fixture *f = *state;

    count(0, KG_SLOT_NONE, 3);
    count(1, KG_SLOT_OTHERS, 4);
    flush(f);
    assert_string_equal(published(f, KG_SLOT_NONE).name, "(none)");
    assert_int_equal(published(f, KG_SLOT_NONE).requests, 3);
    assert_string_equal(published(f, KG_SLOT_OTHERS).name, "(others)");
    assert_int_equal(published(f, KG_SLOT_OTHERS).requests, 4);
}

static void ticks_closer_than_50_ms_do_not_flush(void **state)
{
    struct fixture *f = *state;
    uint64_t now = kg_clock_ms();

    kg_guard_tick(f->guard, workers, 2, now);
    count(0, KG_SLOT_NONE, 1);
    kg_guard_tick(f->guard, workers, 2, now + 49);
    assert_int_equal(published(f, KG_SLOT_NONE).requests, 0);
    kg_guard_tick(f->guard, workers, 2, now + 50);
    assert_int_equal(published(f, KG_SLOT_NONE).requests, 1);
}

static void after_a_restart_a_consumer_goes_on_where_it_was(void **state)
{
    struct fixture *f = *state;
    uint32_t bob = take(f, BOB, "bob"), alice = take(f, ALICE, "alice");

    count(0, alice, 10);
    count(0, bob, 1);
    count(0, KG_SLOT_NONE, 5);
    flush(f);
    close_guard(f);
    for (unsigned i = 0; i < 2; i++) {
        kg_usage_table_free(&worker[i]);
        kg_usage_table_init(&worker[i], f->config.consumer_slots);
    }
    must_open(f);
    /* Asked for in another order, each finds its own slot again. */
    assert_int_equal(take(f, ALICE, "alice"), alice);
    assert_int_equal(take(f, BOB, "bob"), bob);
    flush(f);
    assert_int_equal(published(f, alice).requests, 10);
    count(1, alice, 2);
    count(1, KG_SLOT_NONE, 1);
    flush(f);
    assert_int_equal(published(f, alice).requests, 12);
    assert_int_equal(published(f, alice).bytes_out, 16);
    assert_int_equal(published(f, bob).requests, 1);
    assert_int_equal(published(f, KG_SLOT_NONE).requests, 6);
}

static void slots_of_consumers_deleted_meanwhile_are_freed_at_the_first_tick(void **state)
{
    struct fixture *f = *state;
    uint32_t bob = take(f, BOB, "bob"), alice = take(f, ALICE, "alice");
    struct kg_consumer_stats stats;

    count(0, bob, 1);
    flush(f);
    restart(f);
    assert_int_equal(take(f, ALICE, "alice"), alice);
    flush(f);
    assert_false(kg_guard_consumer(f->guard, bob, &stats));
    assert_string_equal(published(f, bob).name, "");
    assert_int_equal(published(f, bob).requests, 0);
    assert_true(kg_guard_consumer(f->guard, alice, &stats));
}

static void a_given_back_slot_leaks_nothing_to_the_next_consumer(void **state)
{
    struct fixture *f = *state;
    uint32_t alice = take(f, ALICE, "alice"), again;
    struct kg_consumer_stats stats;
    char id[KG_CONSUMER_ID];

    count(0, alice, 10);
    flush(f);
    give_back(f, alice, ALICE);
    assert_false(kg_guard_consumer(f->guard, alice, &stats));
    assert_int_equal(published(f, alice).requests, 0);
    /* A request that was still under way; and one more between the last flush and the next owner. */
    count(1, alice, 5);
    flush(f);
    assert_int_equal(published(f, alice).requests, 0);
    count(1, alice, 7);
    for (unsigned i = 0;; i++) {
        snprintf(id, sizeof(id), "consumer-%u", i);
        again = take(f, id, "someone");
        if (again == alice)
            break;
        assert_true(i < f->config.consumer_slots);
    }
    flush(f);
    assert_int_equal(published(f, alice).requests, 0);
    count(0, alice, 1);
    flush(f);
    assert_int_equal(published(f, alice).requests, 1);
    assert_int_equal(published(f, alice).status_5xx, 4);
}

static void when_slots_run_out_the_rest_share_the_slot_of_the_others(void **state)
{
    struct fixture *f = *state;
    uint32_t room = f->config.consumer_slots - KG_SLOT_FIRST;
    char id[KG_CONSUMER_ID];

    for (uint32_t i = 0; i < room; i++) {
        snprintf(id, sizeof(id), "consumer-%u", i);
        assert_true(take(f, id, "someone") >= KG_SLOT_FIRST);
    }
    assert_int_equal(take(f, ALICE, "alice"), KG_SLOT_OTHERS);
    give_back(f, KG_SLOT_OTHERS, ALICE);
    assert_string_equal(published(f, KG_SLOT_OTHERS).name, "(others)");
    give_back(f, 5, "not the owner");
    assert_int_equal(take(f, ALICE, "alice"), KG_SLOT_OTHERS);
    snprintf(id, sizeof(id), "%s", published(f, 5).id);
    give_back(f, 5, id);
    assert_int_equal(take(f, ALICE, "alice"), 5);
}

static void a_renamed_consumer_keeps_slot_and_figures(void **state)
{
    struct fixture *f = *state;
    uint32_t slot = take(f, ALICE, "alice");

    count(0, slot, 10);
    flush(f);
    assert_int_equal(take(f, ALICE, "alicia"), slot);
    assert_string_equal(published(f, slot).name, "alicia");
    flush(f);
    assert_int_equal(published(f, slot).requests, 10);
}

static void long_names_are_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    char name[2 * KG_CONSUMER_NAME];

    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    memcpy(name + 62, "\xc3\xa9", 2); /* would be cut in two */
    uint32_t slot = take(f, ALICE, name);
    assert_int_equal(strlen(published(f, slot).name), 62);
    slot = take(f, BOB, "");
    assert_string_equal(published(f, slot).name, BOB);
}

static void more_slots_bring_the_old_figures_along(void **state)
{
    struct fixture *f = *state;
    uint32_t slot = take(f, ALICE, "alice");

    count(0, slot, 10);
    flush(f);
    close_guard(f);
    f->config.consumer_slots = 130;
    for (unsigned i = 0; i < 2; i++) {
        kg_usage_table_free(&worker[i]);
        kg_usage_table_init(&worker[i], f->config.consumer_slots);
    }
    must_open(f);
    assert_int_equal(take(f, ALICE, "alice"), slot);
    count(0, slot, 1);
    flush(f);
    assert_int_equal(published(f, slot).requests, 11);
}

#define T(test) cmocka_unit_test_setup_teardown(test, counters_open, counters_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(sums_over_the_workers_are_published_under_the_consumers_name),
        T(requests_without_a_consumer_and_without_a_slot_are_counted_apart),
        T(ticks_closer_than_50_ms_do_not_flush),
        T(after_a_restart_a_consumer_goes_on_where_it_was),
        T(slots_of_consumers_deleted_meanwhile_are_freed_at_the_first_tick),
        T(a_given_back_slot_leaks_nothing_to_the_next_consumer),
        T(when_slots_run_out_the_rest_share_the_slot_of_the_others),
        T(a_renamed_consumer_keeps_slot_and_figures),
        T(long_names_are_cut_between_characters),
        T(more_slots_bring_the_old_figures_along),
    };

    return cmocka_run_group_tests(tests, own_namespaces, NULL);
}
