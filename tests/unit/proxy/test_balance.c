/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/writer.h"
#include "proxy/balance.h"

#include <stdio.h>
#include <stdlib.h>

#define MANY 8
#define RING 1000

/* A balancer made by hand, and a worker's rotations. */
struct stage {
    struct kg_balancer balancer;
    struct kg_endpoint endpoints[MANY];
    struct kg_peer peers[MANY];
    uint16_t ring[RING];
    struct kg_rotations rotations;
    struct kg_choice last;
};

static struct stage *stage_new(enum kg_algorithm algorithm, const uint32_t *weights, size_t count)
{
    struct stage *stage = calloc(1, sizeof(*stage));

    for (size_t i = 0; i < count; i++) {
        stage->peers[i].number = i + 1;
        stage->endpoints[i] = (struct kg_endpoint){ .weight = weights[i], .peer = &stage->peers[i] };
    }
    stage->balancer = (struct kg_balancer){
        .number = 7, .algorithm = algorithm, .endpoints = stage->endpoints, .endpoint_count = count
    };
    kg_rotations_init(&stage->rotations, 0);
    return stage;
}

static void stage_free(struct stage *stage)
{
    kg_rotations_free(&stage->rotations);
    free(stage);
}

/* Endpoint 0, 1, 2, 0, 1, 2, … around the ring. */
static void put_ring(struct stage *stage)
{
    for (size_t i = 0; i < RING; i++)
        stage->ring[i] = (uint16_t)(i % stage->balancer.endpoint_count);
    stage->balancer.ring = stage->ring;
    stage->balancer.ring_len = RING;
}

/* The index that this choice falls on; -1 for none. */
static int choose(struct stage *stage, struct kg_choice *choice)
{
    if (!kg_balance_choose(&stage->rotations, &stage->balancer, choice)) {
        assert_null(choice->endpoint);
        return -1;
    }
    return (int)(choice->endpoint - stage->endpoints);
}

static int choose_once(struct stage *stage)
{
    struct kg_choice choice = { 0 };
    int index = choose(stage, &choice);

    kg_balance_leave(&choice);
    return index;
}

static void expect_turns(struct stage *stage, const char *want)
{
    char got[64] = "";

    for (size_t i = 0; i < strlen(want); i++) {
        int index = choose_once(stage);

        got[i] = index < 0 ? '-' : (char)('a' + index);
    }
    assert_string_equal(got, want);
}

static void set_healthy(struct stage *stage, size_t index, bool healthy)
{
    atomic_store(&stage->peers[index].unhealthy, !healthy);
}

/* ---- turns ---- */

static void turns_are_smooth_and_exact_by_weight(void **state)
{
    struct stage *stage = stage_new(KG_ROUND_ROBIN, (uint32_t[]){ 5, 1, 1 }, 3);

    expect_turns(stage, "aabacaaaabacaa");
    stage_free(stage);
}

static void every_round_of_the_weights_sum_gives_each_its_weight(void **state)
{
    const uint32_t weights[] = { 100, 37, 65535, 1, 500 };
    struct stage *stage = stage_new(KG_ROUND_ROBIN, weights, 5);
    uint32_t counts[5] = { 0 }, sum = 0;

    for (size_t i = 0; i < 5; i++)
        sum += weights[i];
    for (uint32_t i = 0; i < sum; i++)
        counts[choose_once(stage)]++;
    assert_memory_equal(counts, weights, sizeof(weights));
    stage_free(stage);
}

static void the_unhealthy_are_passed_over_and_come_back(void **state)
{
    struct stage *stage = stage_new(KG_ROUND_ROBIN, (uint32_t[]){ 1, 1, 1 }, 3);

    expect_turns(stage, "abc");
    set_healthy(stage, 1, false);
    expect_turns(stage, "acacac");
    set_healthy(stage, 1, true);
    expect_turns(stage, "abcabc");
    stage_free(stage);
}

static void without_a_healthy_one_there_is_none(void **state)
{
    struct stage *stage = stage_new(KG_ROUND_ROBIN, (uint32_t[]){ 1, 1 }, 2);

    set_healthy(stage, 0, false);
    set_healthy(stage, 1, false);
    expect_turns(stage, "---");
    set_healthy(stage, 1, true);
    expect_turns(stage, "bb");
    stage->balancer.endpoint_count = 1;
    expect_turns(stage, "-");
    stage->balancer.endpoint_count = 0;
    expect_turns(stage, "-");
    stage_free(stage);
}

static void endpoints_that_nobody_checks_are_always_healthy(void **state)
{
    struct stage *stage = stage_new(KG_ROUND_ROBIN, (uint32_t[]){ 1, 1 }, 2);

    stage->endpoints[0].peer = stage->endpoints[1].peer = NULL;
    expect_turns(stage, "abab");
    stage_free(stage);
}

static void another_version_begins_anew_and_the_old_goes_on(void **state)
{
    struct stage *stage = stage_new(KG_ROUND_ROBIN, (uint32_t[]){ 1, 1, 1 }, 3);

    expect_turns(stage, "a");
    stage->balancer.number = 8;
    expect_turns(stage, "ab");
    stage->balancer.number = 7;
    expect_turns(stage, "bc");
    stage_free(stage);
}

static void more_versions_than_the_table_holds_take_turns_all_the_same(void **state)
{
    struct stage *stage = stage_new(KG_ROUND_ROBIN, (uint32_t[]){ 1, 1, 1 }, 3);

    for (uint64_t number = 1; number < 5 * KG_ROTATION_SETS * KG_ROTATION_WAYS; number++) {
        stage->balancer.number = number;
        /* A place that held a longer list before, and one that held a shorter one. */
        stage->balancer.endpoint_count = 2 + number / 3 % 2;
        expect_turns(stage, number / 3 % 2 ? "abcab" : "ababa");
    }
    stage_free(stage);
}

static void workers_do_not_all_begin_with_the_same_one(void **state)
{
    struct stage *stage = stage_new(KG_ROUND_ROBIN, (uint32_t[]){ 1, 1, 1 }, 3);
    const char *want[] = { "abc", "bca", "cab", "abc" };

    for (unsigned worker = 0; worker < 4; worker++) {
        kg_rotations_free(&stage->rotations);
        kg_rotations_init(&stage->rotations, worker);
        expect_turns(stage, want[worker]);
    }
    stage_free(stage);
}

/* ---- further tries ---- */

static void a_further_try_goes_to_each_other_one_first(void **state)
{
    struct stage *stage = stage_new(KG_ROUND_ROBIN, (uint32_t[]){ 100, 1, 1, 1 }, 4);
    struct kg_choice choice = { 0 };
    unsigned seen = 0;

    for (int i = 0; i < 4; i++)
        seen |= 1u << choose(stage, &choice);
    assert_int_equal(seen, 15);
    assert_int_not_equal(choose(stage, &choice), -1); /* all have been tried: again */
    stage_free(stage);
}

static void a_single_endpoint_is_tried_again(void **state)
{
    struct stage *stage = stage_new(KG_ROUND_ROBIN, (uint32_t[]){ 1 }, 1);
    struct kg_choice choice = { 0 };

    for (int i = 0; i < 5; i++)
        assert_int_equal(choose(stage, &choice), 0);
    set_healthy(stage, 0, false);
    assert_int_equal(choose(stage, &choice), -1);
    stage_free(stage);
}

static void more_tries_than_are_remembered_do_no_harm(void **state)
{
    struct stage *stage = stage_new(KG_ROUND_ROBIN, (uint32_t[]){ 1, 1, 1 }, 3);
    struct kg_choice choice = { 0 };

    for (int i = 0; i < 10 * KG_TRIED_MAX; i++)
        assert_int_not_equal(choose(stage, &choice), -1);
    stage_free(stage);
}

/* ---- threshold ---- */

static void too_little_healthy_weight_is_none_at_all(void **state)
{
    struct stage *stage = stage_new(KG_ROUND_ROBIN, (uint32_t[]){ 60, 20, 20 }, 3);

    stage->balancer.threshold = 40;
    set_healthy(stage, 0, false);
    expect_turns(stage, "bcbc"); /* 40 of 100 */
    stage->balancer.threshold = 41;
    expect_turns(stage, "--");
    set_healthy(stage, 0, true);
    set_healthy(stage, 1, false);
    set_healthy(stage, 2, false);
    expect_turns(stage, "aa"); /* 60 of 100 */
    stage_free(stage);
}

/* ---- least connections ---- */

static uint32_t requests_of(const struct stage *stage, size_t index)
{
    return atomic_load(&stage->peers[index].requests);
}

static void the_least_loaded_for_its_weight_is_taken(void **state)
{
    struct stage *stage = stage_new(KG_LEAST_CONNECTIONS, (uint32_t[]){ 3, 1 }, 2);
    struct kg_choice running[40] = { 0 };

    /* Nobody leaves: requests pile up as 3:1. */
    for (int i = 0; i < 40; i++)
        assert_int_not_equal(choose(stage, &running[i]), -1);
    assert_int_equal(requests_of(stage, 0), 30);
    assert_int_equal(requests_of(stage, 1), 10);
    for (int i = 0; i < 40; i++) {
        if (running[i].endpoint == &stage->endpoints[1])
            kg_balance_leave(&running[i]);
    }
    /* One has become idle: all go there until it has its share. */
    expect_turns(stage, "bbbb");
    for (int i = 0; i < 40; i++)
        kg_balance_leave(&running[i]);
    assert_int_equal(requests_of(stage, 0), 0);
    stage_free(stage);
}

static void equally_loaded_ones_take_turns_by_weight(void **state)
{
    struct stage *stage = stage_new(KG_LEAST_CONNECTIONS, (uint32_t[]){ 2, 1, 1 }, 3);

    expect_turns(stage, "abcaabca");
    stage_free(stage);
}

static void a_request_counts_once_wherever_it_goes(void **state)
{
    struct stage *stage = stage_new(KG_LEAST_CONNECTIONS, (uint32_t[]){ 1, 1, 1 }, 3);
    struct kg_choice choice = { 0 };

    for (int i = 0; i < 7; i++) {
        choose(stage, &choice);
        assert_int_equal(requests_of(stage, 0) + requests_of(stage, 1) + requests_of(stage, 2), 1);
    }
    for (size_t i = 0; i < 3; i++)
        set_healthy(stage, i, false);
    assert_int_equal(choose(stage, &choice), -1); /* nowhere: it counts nowhere */
    assert_int_equal(requests_of(stage, 0) + requests_of(stage, 1) + requests_of(stage, 2), 0);
    kg_balance_leave(&choice);
    kg_balance_leave(&choice);
    assert_int_equal(requests_of(stage, 0) + requests_of(stage, 1) + requests_of(stage, 2), 0);
    stage_free(stage);
}

static void the_busy_are_taken_when_the_idle_are_unhealthy(void **state)
{
    struct stage *stage = stage_new(KG_LEAST_CONNECTIONS, (uint32_t[]){ 1, 1 }, 2);

    atomic_store(&stage->peers[0].requests, 1000);
    expect_turns(stage, "bb");
    set_healthy(stage, 1, false);
    expect_turns(stage, "aa");
    stage_free(stage);
}

/* ---- hashing ---- */

/* A request with these headers, "name: value" each, and what is hashed of it. */
struct asked {
    struct kg_head head;
    struct kg_hash_input input;
    struct kg_prng prng;
    struct kg_addr client;
};

static struct asked *ask(const char *query, size_t count, const char *const (*headers)[2])
{
    struct asked *asked = calloc(1, sizeof(*asked));

    for (size_t i = 0; i < count; i++)
        asked->head.headers[i] =
            (struct kg_header){ .name = kg_slice_str(headers[i][0]), .value = kg_slice_str(headers[i][1]) };
    asked->head.count = count;
    kg_prng_seed(&asked->prng);
    assert_int_equal(kg_addr_parse(KG_SLICE("192.0.2.1"), &asked->client), 0);
    asked->input = (struct kg_hash_input){ .head = &asked->head,
                                           .path = KG_SLICE("/a/b"),
                                           .query = kg_slice_str(query),
                                           .client = &asked->client,
                                           .prng = &asked->prng };
    return asked;
}

static struct kg_choice hashed(struct stage *stage, const struct asked *asked)
{
    struct kg_choice choice = { 0 };

    kg_balance_hash(&stage->balancer, &asked->input, &choice);
    return choice;
}

static struct stage *hashing_by(enum kg_hash_kind kind, const char *name, enum kg_hash_kind fallback)
{
    struct stage *stage = stage_new(KG_CONSISTENT_HASHING, (uint32_t[]){ 1, 1, 1 }, 3);

    put_ring(stage);
    stage->balancer.hash_on = (struct kg_hash_rule){ .kind = kind, .name = kg_slice_str(name) };
    stage->balancer.hash_fallback = (struct kg_hash_rule){ .kind = fallback };
    return stage;
}

static uint64_t hash_with_header(struct stage *stage, const char *name, const char *value)
{
    struct asked *asked = ask("", 1, (const char *const[1][2]){ { name, value } });
    struct kg_choice choice = hashed(stage, asked);

    assert_true(choice.hashed);
    free(asked);
    return choice.hash;
}

static void equal_values_have_one_place_whatever_the_names_case(void **state)
{
    struct stage *stage = hashing_by(KG_HASH_HEADER, "x-user", KG_HASH_NONE);
    uint64_t hash = hash_with_header(stage, "x-user", "alice");

    assert_int_equal(hash_with_header(stage, "X-User", "alice"), hash);
    assert_int_not_equal(hash_with_header(stage, "x-user", "Alice"), hash);
    assert_int_not_equal(hash_with_header(stage, "x-user", "bob"), hash);
    stage_free(stage);
}

static void values_spread_over_the_ring_by_its_shares(void **state)
{
    struct stage *stage = hashing_by(KG_HASH_HEADER, "x", KG_HASH_NONE);
    unsigned counts[3] = { 0 };

    for (unsigned i = 0; i < 30000; i++) {
        char value[16];
        struct kg_choice choice = { .hashed = true };

        snprintf(value, sizeof(value), "%u", i);
        choice.hash = hash_with_header(stage, "x", value);
        counts[choose(stage, &choice)]++;
    }
    for (size_t i = 0; i < 3; i++)
        assert_in_range(counts[i], 9700, 10300);
    stage_free(stage);
}

static void the_next_on_the_ring_stands_in(void **state)
{
    struct stage *stage = hashing_by(KG_HASH_HEADER, "x", KG_HASH_NONE);
    struct kg_choice at_one = { .hashed = true, .hash = 1 }, last = { .hashed = true, .hash = RING - 1 };
    struct kg_choice fresh = at_one;

    assert_int_equal(choose(stage, &at_one), 1);
    assert_int_equal(choose(stage, &at_one), 2); /* 1 was tried */
    assert_int_equal(choose(stage, &at_one), 0);
    assert_int_equal(choose(stage, &at_one), 1); /* all were */
    set_healthy(stage, 1, false);
    assert_int_equal(choose(stage, &fresh), 2);
    set_healthy(stage, 0, false);
    assert_int_equal(choose(stage, &last), 2); /* 999 % 3 == 0: around the end, past 0 and 1 */
    set_healthy(stage, 2, false);
    assert_int_equal(choose(stage, &last), -1);
    stage_free(stage);
}

static void what_the_request_lacks_falls_back(void **state)
{
    struct stage *stage = hashing_by(KG_HASH_CONSUMER, "", KG_HASH_IP);
    struct asked *asked = ask("", 0, NULL);
    struct kg_choice by_address = hashed(stage, asked), by_consumer;

    assert_true(by_address.hashed);
    asked->input.consumer = KG_SLICE("4b1b701d-de2b-5588-9aa2-3b97061d9f52");
    by_consumer = hashed(stage, asked);
    assert_true(by_consumer.hashed);
    assert_int_not_equal(by_consumer.hash, by_address.hash);
    free(asked);
    stage_free(stage);
}

static void without_anything_to_hash_it_is_round_robin(void **state)
{
    struct stage *stage = hashing_by(KG_HASH_HEADER, "x", KG_HASH_QUERY_ARG);
    struct asked *asked = ask("", 0, NULL);

    assert_false(hashed(stage, asked).hashed);
    expect_turns(stage, "abcabc");
    free(asked);
    stage_free(stage);
}

static void a_query_argument_and_a_path_hash(void **state)
{
    struct stage *stage = hashing_by(KG_HASH_QUERY_ARG, "user", KG_HASH_PATH);
    struct asked *one = ask("a=1&user=7", 0, NULL), *other = ask("user=7&b=2", 0, NULL),
                 *none = ask("b=7", 0, NULL);

    assert_int_equal(hashed(stage, one).hash, hashed(stage, other).hash);
    assert_int_not_equal(hashed(stage, none).hash, hashed(stage, one).hash);
    uint64_t path = hashed(stage, none).hash;
    none->input.path = KG_SLICE("/a/c");
    assert_true(hashed(stage, none).hashed);
    assert_int_not_equal(hashed(stage, none).hash, path);
    free(one);
    free(other);
    free(none);
    stage_free(stage);
}

static void a_cookie_is_found_among_others(void **state)
{
    struct stage *stage = hashing_by(KG_HASH_COOKIE, "place", KG_HASH_NONE);
    const char *const plain[1][2] = { { "Cookie", "place=abc" } };
    const char *const amid[2][2] = { { "cookie", "a=b; myplace=x" },
                                     { "Cookie", "places=y;  place=abc ; z=1" } };
    struct asked *one = ask("", 1, plain), *other = ask("", 2, amid);

    assert_int_equal(hashed(stage, one).hash, hashed(stage, other).hash);
    assert_int_equal(hashed(stage, one).cookie, 0);
    free(one);
    free(other);
    stage_free(stage);
}

static void a_new_cookie_leads_to_where_the_first_request_went(void **state)
{
    struct stage *stage = hashing_by(KG_HASH_COOKIE, "place", KG_HASH_NONE);
    struct asked *first = ask("", 0, NULL);
    struct kg_choice given = hashed(stage, first), next = hashed(stage, first);
    char text[64];

    assert_true(given.hashed);
    assert_int_not_equal(given.cookie, 0);
    assert_int_not_equal(given.cookie, next.cookie);
    snprintf(text, sizeof(text), "place=%016llx", (unsigned long long)given.cookie);
    struct asked *second = ask("", 1, (const char *const[1][2]){ { "cookie", text } });
    assert_int_equal(hashed(stage, second).hash, given.hash);
    free(first);
    free(second);
    stage_free(stage);
}

static void another_algorithm_hashes_nothing_and_gives_no_cookie(void **state)
{
    struct stage *stage = hashing_by(KG_HASH_COOKIE, "place", KG_HASH_IP);
    struct asked *asked = ask("", 0, NULL);

    stage->balancer.algorithm = KG_ROUND_ROBIN;
    assert_false(hashed(stage, asked).hashed);
    assert_int_equal(hashed(stage, asked).cookie, 0);
    free(asked);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_are_smooth_and_exact_by_weight),
        cmocka_unit_test(every_round_of_the_weights_sum_gives_each_its_weight),
        cmocka_unit_test(the_unhealthy_are_passed_over_and_come_back),
        cmocka_unit_test(without_a_healthy_one_there_is_none),
        cmocka_unit_test(endpoints_that_nobody_checks_are_always_healthy),
        cmocka_unit_test(another_version_begins_anew_and_the_old_goes_on),
        cmocka_unit_test(more_versions_than_the_table_holds_take_turns_all_the_same),
        cmocka_unit_test(workers_do_not_all_begin_with_the_same_one),
        cmocka_unit_test(a_further_try_goes_to_each_other_one_first),
        cmocka_unit_test(a_single_endpoint_is_tried_again),
        cmocka_unit_test(more_tries_than_are_remembered_do_no_harm),
        cmocka_unit_test(too_little_healthy_weight_is_none_at_all),
        cmocka_unit_test(the_least_loaded_for_its_weight_is_taken),
        cmocka_unit_test(equally_loaded_ones_take_turns_by_weight),
        cmocka_unit_test(a_request_counts_once_wherever_it_goes),
        cmocka_unit_test(the_busy_are_taken_when_the_idle_are_unhealthy),
        cmocka_unit_test(equal_values_have_one_place_whatever_the_names_case),
        cmocka_unit_test(values_spread_over_the_ring_by_its_shares),
        cmocka_unit_test(the_next_on_the_ring_stands_in),
        cmocka_unit_test(what_the_request_lacks_falls_back),
        cmocka_unit_test(without_anything_to_hash_it_is_round_robin),
        cmocka_unit_test(a_query_argument_and_a_path_hash),
        cmocka_unit_test(a_cookie_is_found_among_others),
        cmocka_unit_test(a_new_cookie_leads_to_where_the_first_request_went),
        cmocka_unit_test(another_algorithm_hashes_nothing_and_gives_no_cookie),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
