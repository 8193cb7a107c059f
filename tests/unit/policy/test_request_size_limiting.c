/* SPDX-License-Identifier: BSD-2-Clause */
#include "pass.h"

static const struct kg_policy *const policy = &kg_policy_request_size_limiting;

#define LENGTH(n)  "Content-Length: " #n "\r\n"
#define CHUNKED    "Transfer-Encoding: chunked\r\n"
#define EXPECTS    "Expect: 100-continue\r\n"
#define FIVE_BYTES "\"allowed_payload_size\":5,\"size_unit\":\"bytes\""

/* status 0: it goes on, with this limit. */
static void expect(const char *config, const char *headers, unsigned status, const char *message,
                   uint64_t max_body)
{
    struct pass *p = new_pass(policy, config, "POST /", headers);

    run(policy, p);
    if (status)
        assert_answer(p, status, message);
    else
        assert_true(p->on);
    assert_int_equal(p->request.max_body, max_body);
    end(policy, p);
}

static void expect_refused(const char *config, const char *headers, unsigned status)
{
    expect(config, headers, status, "Request size limit exceeded", 0);
}

/* ---- configuration ---- */

static void has_kongs_defaults(void **state)
{
    assert_config(
        policy, "{}",
        "{\"allowed_payload_size\":128,\"size_unit\":\"megabytes\",\"require_content_length\":false}");
    assert_int_equal(policy->type.priority, 951);
}

static void refuses_what_is_no_size(void **state)
{
    assert_config_refused(policy, "{\"allowed_payload_size\":-1}",
                          "config.allowed_payload_size: value should be between 0 and 8796093022207");
    assert_config_refused(policy, "{\"allowed_payload_size\":8796093022208}",
                          "config.allowed_payload_size: value should be between 0 and 8796093022207");
    assert_config_refused(policy, "{\"allowed_payload_size\":1.5}",
                          "config.allowed_payload_size: expected an integer");
    assert_config_refused(policy, "{\"size_unit\":\"gigabytes\"}",
                          "config.size_unit: expected one of: megabytes, kilobytes, bytes");
    assert_config_refused(policy, "{\"require_content_length\":\"no\"}",
                          "config.require_content_length: expected a boolean");
    assert_config_refused(policy, "{\"limit\":1}", "config.limit: unknown field");
}

static void a_unit_is_a_power_of_two(void **state)
{
    expect("{}", LENGTH(134217728), 0, NULL, 134217728);
    expect_refused("{}", LENGTH(134217729), 413);
    expect("{\"allowed_payload_size\":2,\"size_unit\":\"kilobytes\"}", LENGTH(2048), 0, NULL, 2048);
    expect_refused("{\"allowed_payload_size\":2,\"size_unit\":\"kilobytes\"}", LENGTH(2049), 413);
    expect("{" FIVE_BYTES "}", LENGTH(5), 0, NULL, 5);
    expect("{\"allowed_payload_size\":8796093022207}", CHUNKED, 0, NULL, UINT64_C(8796093022207) << 20);
}

/* ---- the check ---- */

static void an_announced_length_is_judged_at_once(void **state)
{
    expect_refused("{" FIVE_BYTES "}", LENGTH(6), 413);
    expect_refused("{" FIVE_BYTES "}", LENGTH(9223372036854775807), 413);
    expect("{" FIVE_BYTES "}", LENGTH(0), 0, NULL, 5);
    expect("{" FIVE_BYTES "}", "", 0, NULL, 5);
}

static void who_waits_for_100_continue_is_told_that_it_will_not_come(void **state)
{
    expect_refused("{" FIVE_BYTES "}", LENGTH(6) EXPECTS, 417);
    expect("{" FIVE_BYTES "}", LENGTH(5) EXPECTS, 0, NULL, 5);
}

static void a_chunked_body_is_left_to_the_proxy(void **state)
{
    expect("{" FIVE_BYTES "}", CHUNKED, 0, NULL, 5);
}

static void a_limit_of_nothing_lets_no_body_pass(void **state)
{
    static const char none[] = "{\"allowed_payload_size\":0}";

    expect_refused(none, LENGTH(1), 413);
    expect_refused(none, CHUNKED, 413);
    expect_refused(none, CHUNKED EXPECTS, 417);
    expect(none, LENGTH(0), 0, NULL, 0);
    expect(none, "", 0, NULL, 0);
}

static void a_length_can_be_required(void **state)
{
    static const char strict[] = "{" FIVE_BYTES ",\"require_content_length\":true}";

    expect(strict, CHUNKED, 411, "A valid Content-Length header is required", 0);
    expect_refused(strict, LENGTH(6), 413);
    expect(strict, LENGTH(5), 0, NULL, 5);
    /* Without a body there is no length to tell. */
    expect(strict, "", 0, NULL, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_kongs_defaults),
        cmocka_unit_test(refuses_what_is_no_size),
        cmocka_unit_test(a_unit_is_a_power_of_two),
        cmocka_unit_test(an_announced_length_is_judged_at_once),
        cmocka_unit_test(who_waits_for_100_continue_is_told_that_it_will_not_come),
        cmocka_unit_test(a_chunked_body_is_left_to_the_proxy),
        cmocka_unit_test(a_limit_of_nothing_lets_no_body_pass),
        cmocka_unit_test(a_length_can_be_required),
    };

    return cmocka_run_group_tests(tests, register_policies, NULL);
}
