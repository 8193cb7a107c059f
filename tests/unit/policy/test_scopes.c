/* SPDX-License-Identifier: BSD-2-Clause */
/* Which instances of plugins run for whom, and in which order. */
#include "model/model.h"
#include "policy/policy.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define ID(n)   "00000000-0000-4000-8000-0000000000" #n
#define ALICE   ID(01)
#define BOB     ID(02)
#define SERVICE ID(11)
#define ROUTE   ID(12)
#define OTHER   ID(13)

/* What ran, by the tags in the configs. */
static char trace[256];

static void *compile(const json_t *config)
{
    return kg_strdup(json_string_value(json_object_get(config, "tag")));
}

static bool leave_trace(const void *config, struct kg_policy_request *request)
{
    size_t len = strlen(trace);

    snprintf(trace + len, sizeof(trace) - len, "%s ", (const char *)config);
    return true;
}

/* Says that the request is from whom its config names. */
static bool say_who(const void *config, struct kg_policy_request *request)
{
    request->principal.consumer = kg_snapshot_consumer(request->snapshot, kg_slice_str(config));
    return leave_trace(config, request);
}

static const struct kg_field fields[] = { { .name = "tag", .type = KG_F_STRING }, { 0 } };

#define POLICY(name_, priority_, unscoped_, access_)                                                         \
    {                                                                                                        \
        .type = { .name = name_,                                                                             \
                  .priority = priority_,                                                                     \
                  .unscoped_priority = unscoped_,                                                            \
                  .config = fields,                                                                          \
                  .compile = compile,                                                                        \
                  .release = free },                                                                         \
        .access = access_                                                                                    \
    }

static const struct kg_policy early = POLICY("early", 300, 0, leave_trace);
static const struct kg_policy who = POLICY("who", 200, 0, say_who);
static const struct kg_policy again = POLICY("again", 150, 0, say_who);
static const struct kg_policy late = POLICY("late", 100, 0, leave_trace);
static const struct kg_policy both = POLICY("both", 50, 250, leave_trace);

static void put(struct kg_model *model, enum kg_entity_id entity, const char *json)
{
    json_error_t error;
    json_t *object = json_loads(json, 0, &error);

    assert_non_null(object);
    kg_model_put(model, entity, object);
    json_decref(object);
}

static void put_route(struct kg_model *model, const char *id, const char *path)
{
    char json[512];

    snprintf(json, sizeof(json),
             "{\"id\":\"%s\",\"paths\":[\"%s\"],\"strip_path\":false,\"preserve_host\":true,"
             "\"service\":{\"id\":\"" SERVICE "\"}}",
             id, path);
    put(model, KG_ROUTES, json);
}

static int set_up(void **state)
{
    struct kg_model *model = kg_model_new(NULL);

    put(model, KG_SERVICES,
        "{\"id\":\"" SERVICE "\",\"host\":\"127.0.0.1\",\"port\":8000,\"enabled\":true,"
        "\"connect_timeout\":1,\"write_timeout\":1,\"read_timeout\":1}");
    put_route(model, ROUTE, "/a");
    put_route(model, OTHER, "/b");
    kg_model_put_consumer(model, ALICE, "alice", NULL);
    kg_model_put_consumer(model, BOB, "bob", "robert");
    *state = model;
    return 0;
}

static int tear_down(void **state)
{
    kg_model_free(*state);
    return 0;
}

/* scope: some of c(alice), r(oute), s(ervice). */
static void plug(struct kg_model *model, const char *name, const char *scope, const char *tag)
{
    static int last = 50;
    char json[512];

    snprintf(json, sizeof(json),
             "{\"id\":\"00000000-0000-4000-8000-0000000000%d\",\"name\":\"%s\",\"enabled\":%s,"
             "\"consumer\":%s,\"route\":%s,\"service\":%s,\"config\":{\"tag\":\"%s\"},\"protocols\":null}",
             last++, name, strchr(scope, '-') ? "false" : "true",
             strchr(scope, 'c') ? "{\"id\":\"" ALICE "\"}" : "null",
             strchr(scope, 'r') ? "{\"id\":\"" ROUTE "\"}" : "null",
             strchr(scope, 's') ? "{\"id\":\"" SERVICE "\"}" : "null", tag);
    put(model, KG_PLUGINS, json);
}

static const char *run_on(struct kg_model *model, const char *path)
{
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    struct kg_route_query query = { .method = KG_SLICE("GET"), .path = kg_slice_str(path) };
    struct kg_policy_request request = { .snapshot = snapshot };
    struct kg_match match;

    assert_true(kg_snapshot_route(snapshot, &query, &match));
    request.route = match.route;
    trace[0] = '\0';
    assert_true(kg_policies_run(&request));
    kg_snapshot_free(snapshot);
    return trace;
}

static const char *run(struct kg_model *model)
{
    return run_on(model, "/a");
}

static void a_consumers_instances_run_once_it_is_known(void **state)
{
    plug(*state, "early", "c", "too-early");
    plug(*state, "late", "c", "alices");
    assert_string_equal(run(*state), "");
    plug(*state, "who", "", "bob");
    assert_string_equal(run(*state), "bob ");
    plug(*state, "again", "", "alice");
    assert_string_equal(run(*state), "bob alice alices ");
}

static void each_narrower_scope_takes_the_place_of_a_wider_one(void **state)
{
    static const struct {
        const char *scope, *tag;
    } steps[] = { { "", "global" }, { "s", "s" },   { "r", "r" },   { "c", "c" },
                  { "rs", "rs" },   { "cs", "cs" }, { "cr", "cr" }, { "crs", "crs" } };

    plug(*state, "who", "", "alice");
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        char expected[32];

        plug(*state, "late", steps[i].scope, steps[i].tag);
        snprintf(expected, sizeof(expected), "alice %s ", steps[i].tag);
        assert_string_equal(run(*state), expected);
    }
}

static void the_narrowest_scope_wins_whichever_came_first(void **state)
{
    plug(*state, "who", "", "alice");
    plug(*state, "late", "crs", "crs");
    plug(*state, "late", "c", "c");
    plug(*state, "late", "rs", "rs");
    plug(*state, "late", "", "global");
    assert_string_equal(run(*state), "alice crs ");
    assert_string_equal(run_on(*state, "/b"), "alice c ");
}

static void a_route_and_service_together_beat_a_consumer(void **state)
{
    plug(*state, "who", "", "alice");
    plug(*state, "late", "c", "c");
    plug(*state, "late", "rs", "rs");
    assert_string_equal(run(*state), "alice rs ");
}

static void others_are_not_touched_by_a_consumers_instance(void **state)
{
    plug(*state, "who", "", "bob");
    plug(*state, "late", "c", "alices");
    plug(*state, "late", "", "everyones");
    assert_string_equal(run(*state), "bob everyones ");
}

static void an_instance_that_is_switched_off_is_not_there(void **state)
{
    plug(*state, "who", "", "alice");
    plug(*state, "late", "c-", "alices");
    plug(*state, "late", "r-", "routes");
    plug(*state, "late", "", "everyones");
    assert_string_equal(run(*state), "alice everyones ");
}

static void one_without_a_consumer_may_run_first_and_besides(void **state)
{
    plug(*state, "who", "", "alice");
    plug(*state, "both", "c", "alices");
    plug(*state, "both", "", "everyones");
    assert_string_equal(run(*state), "everyones alice alices ");
}

static void a_consumer_takes_its_instances_along(void **state)
{
    plug(*state, "who", "", "alice");
    plug(*state, "late", "c", "alices");
    assert_string_equal(run(*state), "alice alices ");
    kg_model_remove(*state, KG_CONSUMERS, ALICE);
    assert_string_equal(run(*state), "alice ");
}

static void consumers_are_found_by_id_and_by_name(void **state)
{
    struct kg_model *model = *state;
    struct kg_snapshot *snapshot = kg_model_snapshot(model);

    assert_string_equal(kg_snapshot_consumer(snapshot, KG_SLICE(BOB))->id, BOB);
    assert_string_equal(kg_snapshot_consumer(snapshot, KG_SLICE("bob"))->id, BOB);
    assert_null(kg_snapshot_consumer(snapshot, KG_SLICE("robert")));
    assert_null(kg_snapshot_consumer(snapshot, KG_SLICE("")));
    assert_null(kg_snapshot_consumer(snapshot, KG_SLICE(ROUTE)));
    kg_snapshot_free(snapshot);
}

static void names_that_change_owners_are_those_of_the_new_ones(void **state)
{
    struct kg_model *model = *state;

    kg_model_put_consumer(model, ALICE, "bob", NULL);
    kg_model_put_consumer(model, BOB, "alice", NULL);
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_string_equal(kg_snapshot_consumer(snapshot, KG_SLICE("bob"))->id, ALICE);
    assert_string_equal(kg_snapshot_consumer(snapshot, KG_SLICE("alice"))->id, BOB);
    kg_snapshot_free(snapshot);
    kg_model_put_consumer(model, ALICE, NULL, "a");
    kg_model_remove(model, KG_CONSUMERS, BOB);
    snapshot = kg_model_snapshot(model);
    assert_null(kg_snapshot_consumer(snapshot, KG_SLICE("bob")));
    assert_null(kg_snapshot_consumer(snapshot, KG_SLICE("alice")));
    kg_snapshot_free(snapshot);
}

static void who_is_refused_may_go_on_as_anonymous(void **state)
{
    struct kg_snapshot *snapshot = kg_model_snapshot(*state);
    char space[256];
    struct kg_writer scratch = kg_writer_of(space, sizeof(space));
    struct kg_policy_request request = {
        .snapshot = snapshot,
        .scratch = &scratch,
        .status = 401,
        .www_authenticate = KG_SLICE("Key"),
        .has_signal = true,
        .signal = KG_SIGNAL_WRONG_KEY,
    };

    assert_true(kg_policy_go_anonymous(&request, KG_SLICE("bob")));
    assert_string_equal(request.principal.consumer->id, BOB);
    assert_true(request.principal.anonymous);
    assert_false(kg_policy_has_credential(&request));
    assert_int_equal(request.status, 0);
    assert_int_equal(request.www_authenticate.len, 0);
    assert_true(request.has_signal);
    request.signal = KG_SIGNAL_MISSING_KEY;
    assert_true(kg_policy_go_anonymous(&request, KG_SLICE(ALICE)));
    assert_false(request.has_signal);
    assert_false(kg_policy_go_anonymous(&request, KG_SLICE("carol")));
    assert_int_equal(request.status, 500);
    assert_true(
        kg_slice_eq(request.message, KG_SLICE("anonymous consumer carol is configured but doesn't exist")));
    kg_snapshot_free(snapshot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_consumers_instances_run_once_it_is_known),
        TEST(each_narrower_scope_takes_the_place_of_a_wider_one),
        TEST(the_narrowest_scope_wins_whichever_came_first),
        TEST(a_route_and_service_together_beat_a_consumer),
        TEST(others_are_not_touched_by_a_consumers_instance),
        TEST(an_instance_that_is_switched_off_is_not_there),
        TEST(one_without_a_consumer_may_run_first_and_besides),
        TEST(a_consumer_takes_its_instances_along),
        TEST(consumers_are_found_by_id_and_by_name),
        TEST(names_that_change_owners_are_those_of_the_new_ones),
        TEST(who_is_refused_may_go_on_as_anonymous),
    };

    kg_plugin_register(&early.type);
    kg_plugin_register(&who.type);
    kg_plugin_register(&again.type);
    kg_plugin_register(&late.type);
    kg_plugin_register(&both.type);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
