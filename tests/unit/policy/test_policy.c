/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* Each policy's config is a letter that it appends to the message; "R" refuses. */
static char trace[8];

static bool append(const void *config, struct kg_policy_request *request)
{
    const char *letter = config;
    size_t len = strlen(trace);

    trace[len] = *letter;
    trace[len + 1] = '\0';
    request->status = *letter == 'R' ? 403 : 0;
    return *letter != 'R';
}

static const struct kg_policy appending = { .type = { .name = "appending" }, .access = append };

static bool run(const char *letters, struct kg_policy_request *request)
{
    struct kg_plugin_use uses[4] = { 0 };
    struct kg_route route = { .plugins = uses, .plugin_count = strlen(letters) };

    trace[0] = '\0';
    for (size_t i = 0; i < route.plugin_count; i++)
        uses[i] = (struct kg_plugin_use){ .type = &appending.type, .config = &letters[i] };
    request->route = &route;
    return kg_policies_run(request);
}

static void runs_every_plugin_in_order(void **state)
{
    struct kg_policy_request request = { 0 };

    assert_true(run("abc", &request));
    assert_string_equal(trace, "abc");
    assert_true(run("", &request));
    assert_string_equal(trace, "");
}

static void stops_at_the_first_that_answers(void **state)
{
    struct kg_policy_request request = { 0 };

    assert_false(run("aRc", &request));
    assert_string_equal(trace, "aR");
    assert_int_equal(request.status, 403);
}

static void registers_key_auth_with_kongs_priority(void **state)
{
    kg_policies_register();
    const struct kg_plugin_type *type = kg_plugin_find("key-auth");
    assert_ptr_equal(type, &kg_policy_key_auth.type);
    assert_int_equal(type->priority, 1250);
    assert_true(type->no_consumer);
    assert_ptr_equal(type, (const struct kg_policy *)type);
}

static void a_failure_takes_nothing_from_an_answer_before_it(void **state)
{
    struct kg_policy_request request = {
        .status = 401,
        .reason = KG_REASON_NO_KEY,
        .body = KG_SLICE("teapot"),
        .body_type = KG_SLICE("text/plain"),
        .www_authenticate = KG_SLICE("Key"),
    };

    assert_false(kg_policy_fail(&request));
    assert_int_equal(request.status, 500);
    assert_int_equal(request.reason, KG_REASON_OTHER);
    assert_int_equal(request.body.len + request.body_type.len + request.www_authenticate.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_every_plugin_in_order),
        cmocka_unit_test(a_failure_takes_nothing_from_an_answer_before_it),
        cmocka_unit_test(stops_at_the_first_that_answers),
        cmocka_unit_test(registers_key_auth_with_kongs_priority),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
