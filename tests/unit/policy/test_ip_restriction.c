/* SPDX-License-Identifier: BSD-2-Clause */
#include "pass.h"

static const struct kg_policy *const policy = &kg_policy_ip_restriction;

static void expect(const char *config, const char *address, bool on)
{
    struct pass *p = new_pass(policy, config, "GET /", "");

    assert_int_equal(kg_addr_parse(kg_slice_str(address), &p->address), 0);
    run(policy, p);
    if (p->on != on)
        fail_msg("%s with %s: %s", address, config, p->on ? "passes" : "is turned away");
    end(policy, p);
}

/* ---- configuration ---- */

static void has_kongs_defaults(void **state)
{
    assert_config(policy, "{\"allow\":[\"192.0.2.1\"]}",
                  "{\"allow\":[\"192.0.2.1\"],\"deny\":null,\"status\":403,\"message\":null}");
}

static void needs_one_list_that_is_not_empty(void **state)
{
    static const char words[] =
        "at least one of these fields must be non-empty: 'config.allow', 'config.deny'";

    assert_config_refused(policy, "{}", words);
    assert_config_refused(policy, "{\"allow\":[]}", words);
    assert_config_refused(policy, "{\"allow\":[],\"deny\":[]}", words);
    assert_config_refused(policy, "{\"status\":404}", words);
    assert_config(policy, "{\"allow\":[],\"deny\":[\"::1\"],\"status\":404,\"message\":\"No.\"}",
                  "{\"allow\":[],\"deny\":[\"::1\"],\"status\":404,\"message\":\"No.\"}");
}

static void takes_addresses_and_networks_of_both_families(void **state)
{
    assert_config(policy,
                  "{\"deny\":[\"192.0.2.1\",\"10.0.0.0/8\",\"2001:db8::/32\",\"::1\",\"10.1.2.3/8\"]}",
                  "{\"deny\":[\"192.0.2.1\",\"10.0.0.0/8\",\"2001:db8::/32\",\"::1\",\"10.1.2.3/8\"],"
                  "\"allow\":null,\"status\":403,\"message\":null}");
}

static void refuses_what_is_no_address(void **state)
{
    static const char *const bad[] = { "localhost", "192.0.2",      "192.0.2.256",    "10.0.0.0/33",
                                       "10.0.0.0/", "10.0.0.0/8/8", "2001:db8::/129", "[::1]",
                                       " 10.0.0.1", "fe80::1%eth0", "10.0.0.1:80" };
    char config[128], words[128];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(config, sizeof(config), "{\"allow\":[\"::1\",\"%s\"]}", bad[i]);
        snprintf(words, sizeof(words), "config.allow.2: invalid ip or cidr range: '%s'", bad[i]);
        assert_config_refused(policy, config, words);
        snprintf(config, sizeof(config), "{\"deny\":[\"%s\"]}", bad[i]);
        snprintf(words, sizeof(words), "config.deny.1: invalid ip or cidr range: '%s'", bad[i]);
        assert_config_refused(policy, config, words);
    }
    assert_config_refused(policy, "{\"deny\":\"10.0.0.1\"}", "config.deny: expected a set");
    assert_config_refused(policy, "{\"deny\":[1]}", "config.deny.1: expected a string");
}

static void refuses_a_status_or_a_message_that_cannot_be_answered(void **state)
{
    assert_config_refused(policy, "{\"deny\":[\"::1\"],\"status\":199}",
                          "config.status: value should be between 200 and 599");
    assert_config_refused(policy, "{\"deny\":[\"::1\"],\"status\":600}",
                          "config.status: value should be between 200 and 599");
    assert_config_refused(policy, "{\"deny\":[\"::1\"],\"status\":\"403\"}",
                          "config.status: expected an integer");
    assert_config_refused(policy, "{\"deny\":[\"::1\"],\"message\":1}", "config.message: expected a string");
    assert_config_refused(policy, "{\"deny\":[\"::1\"],\"whitelist\":[\"::1\"]}",
                          "config.whitelist: unknown field");
}

static void a_message_has_a_length(void **state)
{
    char config[KG_MESSAGE_MAX + 64], text[KG_MESSAGE_MAX + 2] = "";

    memset(text, 'm', KG_MESSAGE_MAX + 1);
    snprintf(config, sizeof(config), "{\"deny\":[\"::1\"],\"message\":\"%s\"}", text);
    assert_config_refused(policy, config, "config.message: length must be at most 1024");
    snprintf(config, sizeof(config), "{\"deny\":[\"::1\"],\"message\":\"%s\"}", text + 1);
    json_decref(whole_config(policy, config));
}

static void may_be_for_one_consumer(void **state)
{
    assert_false(policy->type.no_consumer);
    assert_int_equal(policy->type.priority, 990);
    /* Without one it runs before key-auth. */
    assert_int_equal(policy->type.unscoped_priority, 3000);
}

/* ---- the check ---- */

static void with_allow_only_those_pass(void **state)
{
    static const char config[] = "{\"allow\":[\"192.0.2.0/24\",\"2001:db8::/32\"]}";

    expect(config, "192.0.2.0", true);
    expect(config, "192.0.2.255", true);
    expect(config, "::ffff:192.0.2.9", true);
    expect(config, "192.0.3.0", false);
    expect(config, "2001:db8::1", true);
    expect(config, "2001:db9::1", false);
}

static void with_deny_all_others_pass(void **state)
{
    static const char config[] = "{\"deny\":[\"192.0.2.7\",\"2001:db8::/64\"]}";

    expect(config, "192.0.2.7", false);
    expect(config, "192.0.2.8", true);
    expect(config, "2001:db8::1", false);
    expect(config, "2001:db8:0:1::1", true);
    /* An empty list is none. */
    expect("{\"deny\":[\"192.0.2.7\"],\"allow\":[]}", "192.0.2.8", true);
}

static void deny_wins_over_an_allow_that_says_more(void **state)
{
    static const char config[] = "{\"allow\":[\"10.1.2.3\",\"10.9.0.0/16\"],\"deny\":[\"10.1.0.0/16\"]}";

    expect(config, "10.1.2.3", false);
    expect(config, "10.9.2.3", true);
    expect(config, "10.8.2.3", false);
}

static void the_answer_names_the_address(void **state)
{
    static const struct {
        const char *address, *message;
    } cases[] = {
        { "192.0.2.7", "IP address not allowed: 192.0.2.7" },
        { "2001:DB8:0:0::7", "IP address not allowed: 2001:db8::7" },
    };

    for (size_t i = 0; i < 2; i++) {
        struct pass *p = new_pass(policy, "{\"allow\":[\"::1\"]}", "GET /", "");
        assert_int_equal(kg_addr_parse(kg_slice_str(cases[i].address), &p->address), 0);
        assert_answer(run(policy, p), 403, cases[i].message);
        assert_false(p->request.has_signal);
        end(policy, p);
    }
}

static void status_and_message_can_be_said(void **state)
{
    struct pass *p =
        new_pass(policy, "{\"allow\":[\"::1\"],\"status\":404,\"message\":\"Not here\"}", "GET /", "");

    assert_int_equal(kg_addr_parse(KG_SLICE("192.0.2.7"), &p->address), 0);
    assert_answer(run(policy, p), 404, "Not here");
    end(policy, p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_kongs_defaults),
        cmocka_unit_test(needs_one_list_that_is_not_empty),
        cmocka_unit_test(takes_addresses_and_networks_of_both_families),
        cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(refuses_a_status_or_a_message_that_cannot_be_answered),
        cmocka_unit_test(a_message_has_a_length),
        cmocka_unit_test(may_be_for_one_consumer),
        cmocka_unit_test(with_allow_only_those_pass),
        cmocka_unit_test(with_deny_all_others_pass),
        cmocka_unit_test(deny_wins_over_an_allow_that_says_more),
        cmocka_unit_test(the_answer_names_the_address),
        cmocka_unit_test(status_and_message_can_be_said),
    };

    return cmocka_run_group_tests(tests, register_policies, NULL);
}
