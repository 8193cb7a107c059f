/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TICK     ((uint64_t)KG_WHEEL_TICK_MS)
#define LEVEL(n) (1ull << (6 * (n))) /* ticks in one slot of level n */
#define HOUR_MS  3600000ull
#define NEVER    UINT64_MAX

/* One timer and the naive model of it: the tick at which it must fire. */
struct probe {
    struct kg_timer timer;
    uint64_t expected; /* NEVER: not armed */
    unsigned fired;
    uint64_t fired_at; /* tick */
};

static struct kg_wheel wheel;
static uint64_t now_ms;

static struct probe *probe_of(struct kg_timer *timer)
{
    return (struct probe *)(void *)((char *)timer - offsetof(struct probe, timer));
}

static void check_fire(struct probe *p)
{
    assert_false(kg_timer_pending(&p->timer));
    assert_int_equal(p->expected, wheel.now);
    p->expected = NEVER;
    p->fired++;
    p->fired_at = wheel.now;
}

static void fire(struct kg_timer *timer)
{
    check_fire(probe_of(timer));
}

static void start_at(uint64_t ms)
{
    now_ms = ms;
    kg_wheel_init(&wheel, ms);
}

/* Never early: the first whole tick at or after the deadline; a tick that has begun is over. */
static void arm_with(struct probe *p, uint64_t delay_ms, void (*handler)(struct kg_timer *))
{
    uint64_t due = (now_ms + delay_ms + TICK - 1) / TICK;

    kg_timer_set(&wheel, &p->timer, now_ms, delay_ms, handler);
    p->expected = due > wheel.now ? due : wheel.now + 1;
    assert_true(kg_timer_pending(&p->timer));
}

static void arm(struct probe *p, uint64_t delay_ms)
{
    arm_with(p, delay_ms, fire);
}

static void disarm(struct probe *p)
{
    kg_timer_stop(&p->timer);
    p->expected = NEVER;
    assert_false(kg_timer_pending(&p->timer));
}

static void advance_to(uint64_t ms)
{
    now_ms = ms;
    kg_wheel_advance(&wheel, ms);
    assert_int_equal(wheel.now, ms / TICK);
}

/* The event loop of a worker: sleeps exactly as long as the wheel says, until the tick. */
static void live_until(uint64_t tick)
{
    while (wheel.now < tick) {
        uint64_t wait = kg_wheel_next(&wheel, now_ms, tick * TICK - now_ms);

        assert_true(wait > 0);
        advance_to(now_ms + wait);
    }
}

static void a_timer_never_fires_early_and_at_most_one_tick_late(void **state)
{
    for (uint64_t start = 1000; start < 1000 + 2 * TICK; start++) {
        for (uint64_t delay = 0; delay < 300; delay++) {
            struct probe p = { 0 };
            uint64_t due = start + delay;

            start_at(start);
            arm(&p, delay);
            for (uint64_t ms = start; ms < due; ms++) {
                advance_to(ms);
                assert_int_equal(p.fired, 0);
            }
            /* The end of the tick that the deadline falls into, and one more when that tick has already
             * begun. */
            advance_to(due + TICK);
            assert_int_equal(p.fired, 1);
            assert_true(p.fired_at * TICK >= due);
            assert_true(p.fired_at * TICK <= due + TICK);
        }
    }
}

static void it_fires_once(void **state)
{
    struct probe p = { 0 };

    start_at(0);
    arm(&p, 100);
    advance_to(HOUR_MS);
    advance_to(100 * HOUR_MS);
    assert_int_equal(p.fired, 1);
}

static void zeroed_memory_is_idle_and_may_be_stopped(void **state)
{
    struct probe p = { 0 };

    start_at(0);
    assert_false(kg_timer_pending(&p.timer));
    kg_timer_stop(&p.timer);
    kg_timer_stop(&p.timer);
    assert_false(kg_timer_pending(&p.timer));
}

static void a_stopped_timer_does_not_fire(void **state)
{
    struct probe p = { 0 }, q = { 0 };

    start_at(5);
    arm(&p, 40);
    arm(&q, 40);
    disarm(&p);
    advance_to(1000);
    assert_int_equal(p.fired, 0);
    assert_int_equal(q.fired, 1);
}

static void setting_it_anew_replaces_the_deadline(void **state)
{
    struct probe p = { 0 };

    start_at(0);
    arm(&p, 40);
    arm(&p, 40000);
    advance_to(30000);
    assert_int_equal(p.fired, 0);
    arm(&p, 16);
    advance_to(30016);
    assert_int_equal(p.fired, 1);
    advance_to(HOUR_MS);
    assert_int_equal(p.fired, 1);
}

/* All distances around each level's width, from all kinds of positions relative to its boundaries. */
static void deadlines_on_level_boundaries_are_kept(void **state)
{
    for (unsigned from = 0; from <= 4; from++) {
        for (unsigned to = 0; to <= 4; to++) {
            for (unsigned shift = 0; shift < 25; shift++) {
                uint64_t start = 3 * LEVEL(4) + LEVEL(from) + shift / 5 - 2;
                uint64_t ahead = LEVEL(to) + shift % 5 - 2;
                struct probe jump = { 0 }, live = { 0 };

                if (ahead == 0 || ahead > NEVER / 2)
                    continue;
                start_at(start * TICK);
                arm(&jump, ahead * TICK);
                assert_int_equal(jump.expected, start + ahead);
                advance_to((start + ahead) * TICK - 1);
                assert_int_equal(jump.fired, 0);
                advance_to((start + ahead) * TICK);
                assert_int_equal(jump.fired, 1);

                start_at(start * TICK);
                arm(&live, ahead * TICK);
                live_until(start + ahead);
                assert_int_equal(live.fired, 1);
            }
        }
    }
}

/* A timer for each tick of several turns, so that every cascade carries some that are due in its own tick. */
static void every_tick_of_three_turns_fires_its_own_timer(void **state)
{
    enum { COUNT = 3 * 4096 };
    struct probe *probes = calloc(COUNT, sizeof(*probes));

    assert_non_null(probes);
    start_at(4000 * TICK + 3);
    for (unsigned i = 0; i < COUNT; i++)
        arm(&probes[i], (uint64_t)i * TICK);
    for (uint64_t tick = 4000; tick <= 4000 + COUNT + 1; tick++) {
        advance_to(tick * TICK);
        for (unsigned i = 0; i < COUNT; i += 61)
            assert_int_equal(probes[i].fired, probes[i].expected == NEVER);
    }
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(probes[i].fired, 1);
    free(probes);
}

static void deadlines_beyond_the_horizon_go_round_again(void **state)
{
    static const uint64_t hours[] = { 37, 38, 74, 75, 100, 24 * 365 };

    for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++) {
        struct probe jump = { 0 }, live = { 0 };

        start_at(1234567);
        arm(&jump, hours[i] * HOUR_MS);
        advance_to(1234567 + hours[i] * HOUR_MS - 1);
        assert_int_equal(jump.fired, 0);
        advance_to(1234567 + hours[i] * HOUR_MS + TICK);
        assert_int_equal(jump.fired, 1);

        start_at(1234567);
        arm(&live, hours[i] * HOUR_MS);
        live_until(live.expected);
        assert_int_equal(live.fired, 1);
    }
}

static void the_longest_delay_does_not_wrap_round(void **state)
{
    static const uint64_t delays[] = { UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 5000, UINT64_MAX - 5003 };

    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        struct probe p = { 0 };

        start_at(5000);
        kg_timer_set(&wheel, &p.timer, now_ms, delays[i], fire);
        advance_to(1000 * HOUR_MS);
        assert_int_equal(p.fired, 0);
        assert_true(kg_timer_pending(&p.timer));
        disarm(&p);
    }
}

static void one_long_jump_fires_everything_in_its_own_tick(void **state)
{
    struct probe probes[300] = { 0 };

    start_at(77);
    for (unsigned i = 0; i < 300; i++)
        arm(&probes[i], i * i * i * 10ull); /* up to 74 hours */
    advance_to(80 * HOUR_MS);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(probes[i].fired, 1); /* fire() has compared the tick */
}

static void time_that_stands_still_or_goes_back_changes_nothing(void **state)
{
    struct probe p = { 0 };

    start_at(10000);
    arm(&p, 100);
    kg_wheel_advance(&wheel, 10000);
    kg_wheel_advance(&wheel, 0);
    assert_int_equal(wheel.now, 10000 / TICK);
    assert_int_equal(p.fired, 0);
    advance_to(10104);
    assert_int_equal(p.fired, 1);
}

/* A worker that was busy sets timers before it has advanced its wheel. */
static void a_timer_set_on_a_stale_wheel_keeps_its_deadline(void **state)
{
    struct probe p = { 0 }, q = { 0 };

    start_at(0);
    now_ms = 5 * HOUR_MS;
    arm(&p, 1000);
    arm(&q, 50 * HOUR_MS);
    assert_true(kg_wheel_next(&wheel, now_ms, HOUR_MS) <= 1000 + TICK);
    advance_to(5 * HOUR_MS + 999);
    assert_int_equal(p.fired, 0);
    advance_to(5 * HOUR_MS + 1000 + TICK);
    assert_int_equal(p.fired, 1);
    advance_to(55 * HOUR_MS - 1);
    assert_int_equal(q.fired, 0);
    advance_to(55 * HOUR_MS + TICK);
    assert_int_equal(q.fired, 1);
}

/* --- handlers that meddle --- */

static struct probe pair[2];

static void stop_the_other(struct kg_timer *timer)
{
    struct probe *p = probe_of(timer);

    check_fire(p);
    disarm(&pair[p == &pair[0]]);
}

static void a_handler_may_stop_a_timer_of_the_same_tick(void **state)
{
    memset(pair, 0, sizeof(pair));
    start_at(0);
    arm_with(&pair[0], 80, stop_the_other);
    arm_with(&pair[1], 80, stop_the_other);
    advance_to(1000);
    assert_int_equal(pair[0].fired + pair[1].fired, 1);
}

static void postpone_the_other(struct kg_timer *timer)
{
    struct probe *p = probe_of(timer);

    check_fire(p);
    arm(&pair[p == &pair[0]], 5000);
}

static void a_handler_may_postpone_a_timer_of_the_same_tick(void **state)
{
    memset(pair, 0, sizeof(pair));
    start_at(0);
    arm_with(&pair[0], 80, postpone_the_other);
    arm_with(&pair[1], 80, postpone_the_other);
    advance_to(80);
    assert_int_equal(pair[0].fired + pair[1].fired, 1);
    advance_to(80 + 5000 + TICK);
    assert_int_equal(pair[0].fired + pair[1].fired, 2);
    assert_int_equal(pair[0].fired, 1);
}

static void rearm_without_delay(struct kg_timer *timer)
{
    check_fire(probe_of(timer));
    arm_with(probe_of(timer), 0, rearm_without_delay);
}

static void a_handler_that_sets_itself_without_delay_fires_once_a_tick(void **state)
{
    struct probe p = { 0 };

    start_at(0);
    arm_with(&p, 0, rearm_without_delay);
    for (unsigned tick = 1; tick <= 200; tick++) {
        advance_to(tick * TICK);
        assert_int_equal(p.fired, tick);
    }
}

static void rearm_on_a_boundary(struct kg_timer *timer)
{
    check_fire(probe_of(timer));
    now_ms = wheel.now * TICK;
    arm_with(probe_of(timer), LEVEL(1) * TICK, rearm_on_a_boundary);
}

static void a_period_set_by_its_handler_is_kept_through_one_long_jump(void **state)
{
    struct probe p = { 0 };

    start_at(0);
    arm_with(&p, LEVEL(1) * TICK, rearm_on_a_boundary);
    kg_wheel_advance(&wheel, 100 * HOUR_MS);
    assert_int_equal(p.fired, 100 * HOUR_MS / TICK / LEVEL(1));
}

static void free_itself(struct kg_timer *timer)
{
    struct probe *p = probe_of(timer);

    check_fire(p);
    pair[0].fired++;
    free(p);
}

static void a_handler_may_free_its_timer(void **state)
{
    memset(pair, 0, sizeof(pair));
    start_at(0);
    for (unsigned i = 0; i < 10; i++) {
        struct probe *p = calloc(1, sizeof(*p));

        assert_non_null(p);
        arm_with(p, i < 5 ? 48 : HOUR_MS, free_itself);
    }
    advance_to(2 * HOUR_MS);
    assert_int_equal(pair[0].fired, 10);
}

/* --- kg_wheel_next --- */

static void an_empty_wheel_sleeps_to_the_limit(void **state)
{
    struct probe p = { 0 };

    start_at(123);
    assert_int_equal(kg_wheel_next(&wheel, 123, 5000), 5000);
    assert_int_equal(kg_wheel_next(&wheel, 123, UINT64_MAX), UINT64_MAX);
    arm(&p, 80);
    assert_int_equal(kg_wheel_next(&wheel, 123, 7), 7);
    assert_int_equal(kg_wheel_next(&wheel, 123, 0), 0);
}

static void a_near_timer_is_slept_to_exactly(void **state)
{
    for (unsigned ahead = 1; ahead < 64; ahead++) {
        for (unsigned start = 0; start < 64; start++) {
            struct probe p = { 0 };

            start_at((6400 + start) * TICK);
            arm(&p, ahead * TICK);
            /* Level 0 alone holds it, so there is nothing to wake up for before. */
            assert_int_equal(kg_wheel_next(&wheel, now_ms, HOUR_MS), ahead * TICK);
            disarm(&p);
        }
    }
}

static void an_overdue_wheel_is_not_slept_on(void **state)
{
    struct probe p = { 0 };

    start_at(0);
    arm(&p, 80);
    assert_int_equal(kg_wheel_next(&wheel, 500, 1000), 0);
}

/* An idle worker with one far timer must not be woken much more often than a cascade asks for. */
static void a_far_timer_wakes_rarely(void **state)
{
    struct probe p = { 0 };
    unsigned wakes = 0;

    start_at(0);
    arm(&p, HOUR_MS);
    while (!p.fired) {
        advance_to(now_ms + kg_wheel_next(&wheel, now_ms, HOUR_MS));
        wakes++;
    }
    assert_true(wakes <= HOUR_MS / TICK / LEVEL(1) + 64);
}

/* --- random timers against the naive model --- */

#define PROBES 150

static struct probe crowd[PROBES];
static uint64_t seed;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1dull >> 8;
}

/* Every magnitude as likely as another, and often a round one. */
static uint64_t draw_ms(unsigned max_bits)
{
    uint64_t bits = draw() % (max_bits + 1), ms = draw() & ((1ull << bits) - 1);

    return draw() % 4 ? ms : (1ull << bits) * TICK / 2 + draw() % 3 - (bits > 2);
}

static void meddle(struct kg_timer *timer)
{
    check_fire(probe_of(timer));
    if (draw() % 4 == 0)
        disarm(&crowd[draw() % PROBES]);
    if (draw() % 2 == 0)
        arm_with(&crowd[draw() % PROBES], draw_ms(24), meddle);
    if (draw() % 4 == 0)
        arm_with(probe_of(timer), draw_ms(20), meddle);
}

static void check_crowd(void)
{
    uint64_t limit = 1 + draw_ms(20), wait = kg_wheel_next(&wheel, now_ms, limit);

    assert_true(wait <= limit);
    if (now_ms / TICK == wheel.now)
        assert_true(wait > 0); /* else the caller would spin */
    for (unsigned i = 0; i < PROBES; i++) {
        struct probe *p = &crowd[i];

        assert_int_equal(kg_timer_pending(&p->timer), p->expected != NEVER);
        assert_true(p->expected > wheel.now);
        if (p->expected != NEVER && p->expected * TICK > now_ms)
            assert_true(now_ms + wait <= p->expected * TICK);
    }
}

static void live_at_random(uint64_t with_seed, unsigned steps)
{
    seed = with_seed;
    memset(crowd, 0, sizeof(crowd));
    for (unsigned i = 0; i < PROBES; i++)
        crowd[i].expected = NEVER;
    start_at(draw_ms(40));
    for (unsigned i = 0; i < steps; i++) {
        for (unsigned n = draw() % 8; n > 0; n--)
            arm_with(&crowd[draw() % PROBES], draw_ms(draw() % 50 ? 22 : 32), meddle);
        if (draw() % 3 == 0)
            disarm(&crowd[draw() % PROBES]);
        check_crowd();
        uint64_t step = draw() % 2 ? kg_wheel_next(&wheel, now_ms, 1000) : draw_ms(draw() % 100 ? 14 : 26);
        if (draw() % 16 == 0)
            now_ms += step; /* forgot to advance: the wheel is stale for a while */
        else
            advance_to(now_ms + step);
        check_crowd();
    }
}

static void random_timers_fire_in_the_very_tick_of_the_naive_model(void **state)
{
    uint64_t fired = 0;

    for (uint64_t run = 1; run <= 40; run++) {
        live_at_random(run * 0x9e3779b97f4a7c15ull, 1500);
        for (unsigned i = 0; i < PROBES; i++)
            fired += crowd[i].fired;
    }
    assert_true(fired > 10000); /* the test has tested something */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_never_fires_early_and_at_most_one_tick_late),
        cmocka_unit_test(it_fires_once),
        cmocka_unit_test(zeroed_memory_is_idle_and_may_be_stopped),
        cmocka_unit_test(a_stopped_timer_does_not_fire),
        cmocka_unit_test(setting_it_anew_replaces_the_deadline),
        cmocka_unit_test(deadlines_on_level_boundaries_are_kept),
        cmocka_unit_test(every_tick_of_three_turns_fires_its_own_timer),
        cmocka_unit_test(deadlines_beyond_the_horizon_go_round_again),
        cmocka_unit_test(the_longest_delay_does_not_wrap_round),
        cmocka_unit_test(one_long_jump_fires_everything_in_its_own_tick),
        cmocka_unit_test(time_that_stands_still_or_goes_back_changes_nothing),
        cmocka_unit_test(a_timer_set_on_a_stale_wheel_keeps_its_deadline),
        cmocka_unit_test(a_handler_may_stop_a_timer_of_the_same_tick),
        cmocka_unit_test(a_handler_may_postpone_a_timer_of_the_same_tick),
        cmocka_unit_test(a_handler_that_sets_itself_without_delay_fires_once_a_tick),
        cmocka_unit_test(a_period_set_by_its_handler_is_kept_through_one_long_jump),
        cmocka_unit_test(a_handler_may_free_its_timer),
        cmocka_unit_test(an_empty_wheel_sleeps_to_the_limit),
        cmocka_unit_test(a_near_timer_is_slept_to_exactly),
        cmocka_unit_test(an_overdue_wheel_is_not_slept_on),
        cmocka_unit_test(a_far_timer_wakes_rarely),
        cmocka_unit_test(random_timers_fire_in_the_very_tick_of_the_naive_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
