/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proxy/health.h"

static void put_status(uint64_t set[15], unsigned status)
{
    set[(status - 100) / 64] |= 1ull << (status - 100) % 64;
}

/* 200 is good, 500 is bad, others say nothing. */
static struct kg_health_rules rules_of(uint32_t successes, uint32_t http, uint32_t tcp, uint32_t timeouts)
{
    struct kg_health_rules rules = {
        .successes = successes, .http_failures = http, .tcp_failures = tcp, .timeouts = timeouts
    };

    put_status(rules.healthy_statuses, 200);
    put_status(rules.unhealthy_statuses, 500);
    return rules;
}

static bool unhealthy(struct kg_peer *peer)
{
    return atomic_load(&peer->unhealthy);
}

static void each_kind_of_failure_has_its_own_limit(void **state)
{
    struct kg_health_rules rules = rules_of(0, 3, 2, 1);

    for (int kind = KG_FAILED_HTTP; kind <= KG_FAILED_TIMEOUT; kind++) {
        struct kg_peer peer = { 0 };
        int limit = 3 - kind;

        for (int i = 1; i <= limit; i++) {
            assert_false(unhealthy(&peer));
            kg_health_failed(&rules, &peer, (enum kg_failure)kind);
        }
        assert_true(unhealthy(&peer));
    }
}

static void failures_of_different_kinds_do_not_add_up(void **state)
{
    struct kg_health_rules rules = rules_of(0, 2, 2, 2);
    struct kg_peer peer = { 0 };

    kg_health_failed(&rules, &peer, KG_FAILED_HTTP);
    kg_health_failed(&rules, &peer, KG_FAILED_TCP);
    kg_health_failed(&rules, &peer, KG_FAILED_TIMEOUT);
    assert_false(unhealthy(&peer));
}

static void a_success_makes_failures_forgotten(void **state)
{
    struct kg_health_rules rules = rules_of(0, 2, 2, 2);
    struct kg_peer peer = { 0 };

    for (int i = 0; i < 5; i++) {
        kg_health_failed(&rules, &peer, KG_FAILED_TCP);
        kg_health_answered(&rules, &peer, 500);
        kg_health_answered(&rules, &peer, 200);
    }
    assert_false(unhealthy(&peer));
}

static void a_failure_makes_successes_forgotten(void **state)
{
    struct kg_health_rules rules = rules_of(2, 1, 0, 0);
    struct kg_peer peer = { .unhealthy = true };

    for (int i = 0; i < 5; i++) {
        kg_health_answered(&rules, &peer, 200);
        kg_health_answered(&rules, &peer, 500);
    }
    assert_true(unhealthy(&peer));
    kg_health_answered(&rules, &peer, 200);
    assert_true(unhealthy(&peer));
    kg_health_answered(&rules, &peer, 200);
    assert_false(unhealthy(&peer));
}

static void each_time_out_of_health_takes_all_the_failures_again(void **state)
{
    struct kg_health_rules rules = rules_of(1, 2, 0, 0);
    struct kg_peer peer = { 0 };

    for (int i = 0; i < 3; i++) {
        kg_health_answered(&rules, &peer, 500);
        assert_false(unhealthy(&peer));
        kg_health_answered(&rules, &peer, 500);
        assert_true(unhealthy(&peer));
        kg_health_answered(&rules, &peer, 200);
        assert_false(unhealthy(&peer));
    }
}

static void a_limit_of_0_is_off(void **state)
{
    struct kg_health_rules rules = rules_of(0, 0, 1, 0);
    struct kg_peer peer = { 0 };

    for (int i = 0; i < 300; i++) {
        kg_health_answered(&rules, &peer, 500);
        kg_health_failed(&rules, &peer, KG_FAILED_TIMEOUT);
    }
    assert_false(unhealthy(&peer));
    kg_health_failed(&rules, &peer, KG_FAILED_TCP);
    assert_true(unhealthy(&peer));
    for (int i = 0; i < 300; i++)
        kg_health_answered(&rules, &peer, 200);
    assert_true(unhealthy(&peer));
}

static void a_status_in_neither_set_says_nothing(void **state)
{
    struct kg_health_rules rules = rules_of(1, 2, 0, 0);
    struct kg_peer peer = { 0 };

    kg_health_answered(&rules, &peer, 500);
    kg_health_answered(&rules, &peer, 404);
    kg_health_answered(&rules, &peer, 101);
    kg_health_answered(&rules, &peer, 999);
    kg_health_answered(&rules, &peer, 500);
    assert_true(unhealthy(&peer));
    kg_health_answered(&rules, &peer, 404);
    assert_true(unhealthy(&peer));
}

static void with_tcp_only_any_answer_is_a_success(void **state)
{
    struct kg_health_rules rules = rules_of(1, 1, 2, 0);
    struct kg_peer peer = { 0 };

    rules.tcp_only = true;
    kg_health_failed(&rules, &peer, KG_FAILED_TCP);
    kg_health_answered(&rules, &peer, 500);
    kg_health_failed(&rules, &peer, KG_FAILED_TCP);
    assert_false(unhealthy(&peer));
    kg_health_failed(&rules, &peer, KG_FAILED_TCP);
    assert_true(unhealthy(&peer));
    kg_health_answered(&rules, &peer, 500);
    assert_false(unhealthy(&peer));
}

static void a_side_that_is_off_does_not_meddle_with_the_other(void **state)
{
    struct kg_health_rules active = rules_of(2, 2, 0, 0), passive = rules_of(0, 0, 0, 0);
    struct kg_peer peer = { 0 };

    kg_health_answered(&active, &peer, 500);
    kg_health_answered(&passive, &peer, 200);
    kg_health_answered(&active, &peer, 500);
    assert_true(unhealthy(&peer));
    kg_health_answered(&active, &peer, 200);
    kg_health_failed(&passive, &peer, KG_FAILED_TCP);
    kg_health_answered(&active, &peer, 200);
    assert_false(unhealthy(&peer));
}

static void nobody_to_check_is_no_harm(void **state)
{
    struct kg_health_rules rules = rules_of(1, 1, 1, 1);

    kg_health_answered(&rules, NULL, 500);
    kg_health_succeeded(&rules, NULL);
    kg_health_failed(&rules, NULL, KG_FAILED_TCP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_failure_has_its_own_limit),
        cmocka_unit_test(failures_of_different_kinds_do_not_add_up),
        cmocka_unit_test(a_success_makes_failures_forgotten),
        cmocka_unit_test(a_failure_makes_successes_forgotten),
        cmocka_unit_test(each_time_out_of_health_takes_all_the_failures_again),
        cmocka_unit_test(a_limit_of_0_is_off),
        cmocka_unit_test(a_status_in_neither_set_says_nothing),
        cmocka_unit_test(with_tcp_only_any_answer_is_a_success),
        cmocka_unit_test(a_side_that_is_off_does_not_meddle_with_the_other),
        cmocka_unit_test(nobody_to_check_is_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
