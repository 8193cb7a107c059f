/* SPDX-License-Identifier: BSD-2-Clause */
#include "pass.h"

#include "model/model.h"

#define ALICE "00000000-0000-4000-8000-00000000000a"
#define BOB   "00000000-0000-4000-8000-00000000000b"

static const struct kg_policy *const policy = &kg_policy_acl;
static struct kg_model *model;
static struct kg_snapshot *snapshot;

static void put(const char *id, const char *consumer, const char *group)
{
    json_t *acl = json_pack("{s:s,s:{s:s},s:s}", "id", id, "consumer", "id", consumer, "group", group);

    kg_model_put(model, KG_ACLS, acl);
    json_decref(acl);
}

/* alice is staff and on call, bob is in no group. */
static int set_up(void **state)
{
    kg_policies_register();
    model = kg_model_new(NULL);
    kg_model_put_consumer(model, ALICE, "alice", NULL);
    kg_model_put_consumer(model, BOB, "bob", NULL);
    put("00000000-0000-4000-8000-000000000001", ALICE, "staff");
    put("00000000-0000-4000-8000-000000000002", ALICE, "on call");
    snapshot = kg_model_snapshot(model);
    return 0;
}

static int tear_down(void **state)
{
    kg_snapshot_free(snapshot);
    kg_model_free(model);
    return 0;
}

/* As this consumer; empty: as nobody. */
static struct pass *pass_as(const char *username, const char *config)
{
    struct pass *p = new_pass(policy, config, "GET /", "X-Consumer-Groups: admin\r\n");

    p->request.snapshot = snapshot;
    p->request.principal.consumer = kg_snapshot_consumer(snapshot, kg_slice_str(username));
    run(policy, p);
    end(policy, p);
    return p;
}

static void expect(const char *username, const char *config, bool on)
{
    const struct pass *p = pass_as(username, config);

    if (on)
        assert_true(p->on);
    else
        assert_answer(p, 403, "You cannot consume this service");
    assert_int_equal(p->request.www_authenticate.len, 0);
}

/* ---- configuration ---- */

static void has_kongs_defaults(void **state)
{
    assert_config(policy, "{\"allow\":[\"a\",\"b\",\"a\"]}",
                  "{\"allow\":[\"a\",\"b\"],\"deny\":null,\"hide_groups_header\":false,"
                  "\"always_use_authenticated_groups\":false}");
    assert_config(policy,
                  "{\"allow\":[],\"deny\":[\"c\"],\"hide_groups_header\":true,"
                  "\"always_use_authenticated_groups\":true}",
                  "{\"allow\":[],\"deny\":[\"c\"],\"hide_groups_header\":true,"
                  "\"always_use_authenticated_groups\":true}");
}

static void needs_exactly_one_list(void **state)
{
    static const char *const bad[] = { "{}", "{\"allow\":[],\"deny\":[]}",
                                       "{\"allow\":[\"a\"],\"deny\":[\"b\"]}" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_config_refused(policy, bad[i],
                              "exactly one of these fields must be non-empty: 'config.allow', 'config.deny'");
}

static void refuses_what_can_be_no_group(void **state)
{
    assert_config_refused(policy, "{\"allow\":[\"a\",\"\"]}", "config.allow.2: length must be at least 1");
    assert_config_refused(policy, "{\"deny\":[\" a\"]}", "config.deny.1: must not start or end with a blank");
    assert_config_refused(policy, "{\"allow\":\"a\"}", "config.allow: expected a set");
    assert_config_refused(policy, "{\"allow\":[\"a\"],\"hide_groups_header\":\"yes\"}",
                          "config.hide_groups_header: expected a boolean");
    assert_config_refused(policy, "{\"allow\":[\"a\"],\"always_use_authenticated_groups\":1}",
                          "config.always_use_authenticated_groups: expected a boolean");
    assert_config_refused(policy, "{\"allow\":[\"a\"],\"whitelist\":[\"a\"]}",
                          "config.whitelist: unknown field");
}

static void is_for_no_consumer_alone(void **state)
{
    json_t *input =
        json_pack("{s:s,s:{s:[s]},s:{s:s}}", "name", "acl", "config", "allow", "a", "consumer", "id", ALICE);
    json_t *plugin = NULL, *problem = NULL;

    assert_int_not_equal(
        kg_schema_apply(&kg_entities[KG_PLUGINS], KG_WRITE_CREATE, input, NULL, &plugin, &problem), 0);
    assert_string_equal(json_string_value(json_object_get(problem, "message")),
                        "schema violation (consumer: value must be null)");
    json_decref(problem);
    json_decref(input);
    assert_int_equal(policy->type.priority, 950);
}

/* ---- the check ---- */

static void nobody_is_unauthorized_and_told_so(void **state)
{
    static const char *const configs[] = { "{\"allow\":[\"staff\"]}", "{\"deny\":[\"staff\"]}" };

    for (size_t i = 0; i < 2; i++) {
        const struct pass *p = pass_as("", configs[i]);
        assert_answer(p, 401, "Unauthorized");
        assert_slice(p->request.www_authenticate, "Key");
        assert_false(p->request.has_signal);
    }
}

static void with_allow_only_members_pass(void **state)
{
    expect("alice", "{\"allow\":[\"staff\"]}", true);
    expect("alice", "{\"allow\":[\"x\",\"on call\",\"y\"]}", true);
    expect("alice", "{\"allow\":[\"Staff\",\"staf\",\"staffs\"]}", false);
    expect("bob", "{\"allow\":[\"staff\"]}", false);
}

static void with_deny_all_but_members_pass(void **state)
{
    expect("alice", "{\"deny\":[\"staff\"]}", false);
    expect("alice", "{\"deny\":[\"x\",\"on call\",\"y\"]}", false);
    expect("alice", "{\"deny\":[\"x\"]}", true);
    expect("bob", "{\"deny\":[\"staff\"]}", true);
}

static void an_anonymous_consumer_is_a_consumer(void **state)
{
    struct pass *p = new_pass(policy, "{\"allow\":[\"staff\"]}", "GET /", "");

    p->request.snapshot = snapshot;
    p->request.principal.consumer = kg_snapshot_consumer(snapshot, KG_SLICE("bob"));
    p->request.principal.anonymous = true;
    assert_answer(run(policy, p), 403, "You cannot consume this service");
    end(policy, p);
}

static void the_upstream_is_told_the_groups(void **state)
{
    const struct pass *p = pass_as("alice", "{\"allow\":[\"staff\"]}");

    assert_slice(kg_writer_slice(&p->request.to_upstream), "X-Consumer-Groups: on call, staff\r\n");
    assert_int_equal(p->request.to_client.len, 0);
}

static void it_is_told_nothing_when_hidden_or_without_groups(void **state)
{
    assert_int_equal(
        pass_as("alice", "{\"allow\":[\"staff\"],\"hide_groups_header\":true}")->request.to_upstream.len, 0);
    assert_int_equal(pass_as("bob", "{\"deny\":[\"staff\"]}")->request.to_upstream.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_kongs_defaults),
        cmocka_unit_test(needs_exactly_one_list),
        cmocka_unit_test(refuses_what_can_be_no_group),
        cmocka_unit_test(is_for_no_consumer_alone),
        cmocka_unit_test(nobody_is_unauthorized_and_told_so),
        cmocka_unit_test(with_allow_only_members_pass),
        cmocka_unit_test(with_deny_all_but_members_pass),
        cmocka_unit_test(an_anonymous_consumer_is_a_consumer),
        cmocka_unit_test(the_upstream_is_told_the_groups),
        cmocka_unit_test(it_is_told_nothing_when_hidden_or_without_groups),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
