/* SPDX-License-Identifier: BSD-2-Clause */
/* Declarative files against a real database: ids, errors, and what a run leaves. */
#include "store_test.h"

#include "base/mem.h"
#include "policy/policy.h"
#include "store/declare.h"
#include "store/internal.h"

#include <stdio.h>
#include <stdlib.h>

static int run_file(struct kg_store *store, const char *text, bool dry_run, struct kg_declare_result *result)
{
    const struct kg_declare_file file = { "test.yaml", kg_slice_str(text) };
    const struct kg_declare_request request = {
        .files = &file, .file_count = 1, .limit = 4 << 20, .dry_run = dry_run
    };
    struct kg_error err = { "" };
    int rc = kg_declare(store, &request, result, &err);

    if (rc == -EIO)
        fail_msg("%s", err.text);
    return rc;
}

static void sync_file(struct kg_store *store, const char *text, size_t created, size_t updated,
                      size_t deleted)
{
    struct kg_declare_result result;

    if (run_file(store, text, false, &result) != 0) {
        char *errors = json_dumps(result.errors, 0);

        fail_msg("%s", errors);
    }
    assert_int_equal(result.created, created);
    assert_int_equal(result.updated, updated);
    assert_int_equal(result.deleted, deleted);
    kg_declare_free(&result);
}

static void assert_error(struct kg_store *store, const char *text, int line, int column, const char *message)
{
    struct kg_declare_result result;
    json_t *error;

    assert_int_equal(run_file(store, text, false, &result), -EINVAL);
    error = json_array_get(result.errors, 0);
    assert_string_equal(json_string_value(json_object_get(error, "message")), message);
    assert_int_equal(json_integer_value(json_object_get(error, "line")), line);
    assert_int_equal(json_integer_value(json_object_get(error, "column")), column);
    kg_declare_free(&result);
}

#define HEAD "_format_version: \"3.0\"\n"

static void ids_of_named_entities_are_kongs(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;

    sync_file(store,
              HEAD "services: [{name: my-service, host: h, routes: [{name: my-route, paths: [/]}]}]\n"
                   "consumers: [{username: my-user}]\n",
              3, 0, 0);
    assert_true(is_there(store, KG_SERVICES, "0855b320-0dd2-547d-891d-601e9b38647f"));
    assert_true(is_there(store, KG_ROUTES, "481a9539-f49c-51b6-b2e2-fe99ee68866c"));
    assert_true(is_there(store, KG_CONSUMERS, "4b1b701d-de2b-5588-9aa2-3b97061d9f52"));
}

static void an_entity_made_before_keeps_its_id(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;

    assert_int_equal(put(store, KG_SERVICES, "{\"id\":\"" ID_A "\",\"name\":\"s\",\"host\":\"h\"}", NULL), 0);
    sync_file(store, HEAD "services: [{name: s, host: other}]\n", 0, 1, 0);
    assert_true(is_there(store, KG_SERVICES, ID_A));
}

static void a_dry_run_counts_and_changes_nothing(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    struct kg_declare_result result;

    assert_int_equal(run_file(store, HEAD "consumers: [{id: " ID_A ", username: a}]\n", true, &result), 0);
    assert_int_equal(result.created, 1);
    assert_false(is_there(store, KG_CONSUMERS, ID_A));
    kg_declare_free(&result);
}

static void a_route_without_a_name_is_the_same_one_next_time(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;

    sync_file(store, HEAD "routes: [{paths: [/a]}, {paths: [/b]}]\n", 2, 0, 0);
    sync_file(store, HEAD "routes: [{paths: [/b]}, {paths: [/a]}]\n", 0, 0, 0);
    sync_file(store, HEAD "routes: [{paths: [/b]}]\n", 0, 0, 1);
    assert_error(store, HEAD "routes: [{paths: [/b]}, {paths: [/b]}]\n", 2, 25,
                 "uniqueness violation: the same 'routes' entity is already declared");
}

static void an_id_that_a_file_gives_is_that_entitys(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;

    sync_file(store, HEAD "consumers: [{id: " ID_A ", username: a}]\n", 1, 0, 0);
    /* The name goes to another one, though it comes first. */
    sync_file(store, HEAD "consumers: [{username: a}, {id: " ID_A ", username: b}]\n", 1, 1, 0);
    assert_error(
        store, HEAD "consumers:\n- {id: " ID_A ", username: a}\n- {id: " ID_A ", username: b}\n", 4, 3,
        "uniqueness violation: 'consumers' entity with primary key set to '" ID_A "' already declared");
}

static void yaml_that_is_none_has_its_place(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;

    assert_error(store, HEAD "services: *nowhere\n", 2, 11, "there is no anchor &nowhere before this alias");
    assert_error(store, HEAD "services: &s [*s]\n", 2, 15, "there is no anchor &s before this alias");
    assert_error(store, HEAD "_comment: 1\n_comment: 2\n", 3, 1,
                 "the name \"_comment\" is given twice in this map");
    assert_error(store, HEAD "_ignore: !!binary x\n", 2, 10,
                 "the tag tag:yaml.org,2002:binary is not known here");
    assert_error(store, HEAD "_ignore: [{<<: 1}]\n", 2, 17, "only maps can be merged by <<");
    assert_error(store, HEAD "consumers: [{\"username\\0x\": a}]\n", 2, 14,
                 "a NUL byte is no part of a text");
    assert_error(store, HEAD "---\na: b\n", 2, 1, "only one document is taken from one file");
    assert_error(store, "", 0, 0, "expected a declarative configuration: a map with _format_version in it");
}

static void a_number_of_many_digits_is_the_same_one_next_time(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    static const char text[] =
        HEAD "upstreams: [{name: u.internal, healthchecks: {active: {timeout: 0.33333333333333331}}}]\n";

    sync_file(store, text, 1, 0, 0);
    sync_file(store, text, 0, 0, 0);
}

static char *dump_of(struct kg_store *store, const json_t *select_tags)
{
    const struct kg_dump_options options = { .select_tags = select_tags };
    struct kg_error err = { "" };
    char *text = NULL;
    size_t len;

    if (kg_declare_dump(store, &options, &text, &len, &err) != 0)
        fail_msg("%s", err.text);
    return text;
}

static void assert_route_order(struct kg_store *store, const char *names)
{
    int64_t after = 0;
    json_t *routes = kg_store_list(store, KG_ROUTES, NULL, NULL, 100, &after), *route;
    char order[128] = "";
    size_t i;

    json_array_foreach(routes, i, route)
    {
        size_t used = strlen(order);

        snprintf(order + used, sizeof(order) - used, "%s%s", i > 0 ? " " : "",
                 json_string_value(json_object_get(route, "name")));
    }
    json_decref(routes);
    assert_string_equal(order, names);
}

/* Everything is deleted and comes back from its own dump. */
static char *dump_and_come_back(struct kg_store *store, const char *file, size_t entities)
{
    char *text;

    sync_file(store, file, entities, 0, 0);
    text = dump_of(store, NULL);
    sync_file(store, text, 0, 0, 0);
    sync_file(store, HEAD, 0, 0, entities);
    sync_file(store, text, entities, 0, 0);
    return text;
}

static void routes_that_may_tie_keep_their_order_in_a_dump(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    char *text = dump_and_come_back(
        store,
        HEAD "services: [{name: a, host: h}, {name: b, host: h}]\n"
             "routes: [{name: r1, service: b, paths: [/x]}, {name: r2, service: a, paths: [/x]},\n"
             "         {name: r3, service: b, paths: [/x, /y]}, {name: r4, service: a, paths: [/y]}]\n",
        6);

    assert_route_order(store, "r1 r2 r3 r4");
    free(text);
}

static void regexes_and_routes_without_a_path_keep_their_order_too(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    char *text = dump_and_come_back(
        store,
        HEAD
        "services: [{name: a, host: h}, {name: b, host: h}]\n"
        "routes: [{name: r1, paths: [~/p]}, {name: r2, service: b, paths: [\"~/[a-z]\"]},\n"
        "         {name: r3, service: b, methods: [GET]}, {name: r4, service: a, methods: [GET, PUT]}]\n",
        6);

    assert_route_order(store, "r3 r1 r2 r4");
    free(text);
}

static void routes_that_cannot_tie_lie_in_their_services(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    char *text =
        dump_and_come_back(store,
                           HEAD "services: [{name: a, host: h}, {name: b, host: h}]\n"
                                "routes: [{name: r1, service: b, paths: [/x]}, {name: r2, service: a, "
                                "paths: [/x], hosts: [h]}]\n",
                           4);

    assert_null(strstr(text, "\nroutes:"));
    free(text);
}

/* JSON bodies refuse it, too. As a name it would be the one that ends there. */
static void a_nul_in_a_text_is_refused(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;

    assert_error(store, HEAD "consumers:\n- {\"username\\0x\": a}\n", 3, 4,
                 "a NUL byte is no part of a text");
    assert_error(store, HEAD "consumers:\n- {username: \"a\\0b\"}\n", 3, 14,
                 "a NUL byte is no part of a text");
}

/* What a sentence has no room for may end inside of a character. */
static void an_error_keeps_its_words_where_a_text_is_cut(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    char name[128] = "", text[512], message[256];

    for (size_t i = 0; i < 30; i++)
        snprintf(name + 3 * i, sizeof(name) - 3 * i, "\u20ac");
    snprintf(text, sizeof(text), HEAD "_ignore: {%s: 1, %s: 2}\n", name, name);
    snprintf(message, sizeof(message), "the name \"%.78s\" is given twice in this map", name);
    assert_error(store, text, 2, 46, message);
}

static void what_refers_to_something_that_goes_is_refused(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;

    sync_file(store, HEAD "services: [{name: s, host: h}]\n", 1, 0, 0);
    assert_error(store, HEAD "routes: [{paths: [/], service: s}]\n", 2, 32,
                 "invalid reference 'service: s' (no such entry in 'services')");
}

/* What one entity may hold is bounded, so that aliases cannot blow it up; a file holds as many as it likes.
 */
static void a_file_may_hold_more_values_than_one_entity(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    const size_t count = 14000, room = count * 64;
    struct kg_declare_request request = { .file_count = 1, .limit = room, .dry_run = true };
    struct kg_declare_result result;
    struct kg_declare_file file = { .name = "large.yaml" };
    struct kg_error err = { "" };
    char *text = kg_calloc(1, room);
    size_t len = (size_t)snprintf(text, room, HEAD "consumers:\n");

    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, room - len, "- {username: u%zu, tags: [a, b, c]}\n", i);
    file.text = kg_slice_of(text, len);
    request.files = &file;
    assert_int_equal(kg_declare(store, &request, &result, &err), 0);
    assert_int_equal(result.created, count);
    kg_declare_free(&result);
    free(text);
}

/* What it prints changes nothing when it is synced. */
static void assert_dump_is_stable(struct kg_store *store)
{
    const struct kg_dump_options options = { .select_tags = NULL };
    struct kg_error err = { "" };
    char *text = NULL;
    size_t len = 0;

    assert_int_equal(kg_declare_dump(store, &options, &text, &len, &err), 0);
    sync_file(store, text, 0, 0, 0);
    free(text);
}

static void owner_of(struct kg_store *store, const char *route, char id[64])
{
    json_t *object = kg_store_find(store, KG_ROUTES, kg_slice_str(route));

    snprintf(id, 64, "%s", json_string_value(json_object_get(json_object_get(object, "service"), "id")));
    json_decref(object);
}

static void a_name_that_looks_like_an_id_is_told_from_that_id(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    char id[64];

    sync_file(store,
              HEAD "services: [{id: " ID_A ", name: " ID_B ", host: h}, {id: " ID_B ", name: b, host: h}]\n"
                   "routes: [{name: r1, paths: [/1], service: {name: " ID_B "}},"
                   " {name: r2, paths: [/2], service: {id: " ID_B "}}, {name: r3, paths: [/3], service: " ID_B
                   "}]\n"
                   "plugins: [{name: key-auth, service: {name: " ID_B "}, route: r2}]\n",
              6, 0, 0);
    owner_of(store, "r1", id);
    assert_string_equal(id, ID_A);
    owner_of(store, "r2", id);
    assert_string_equal(id, ID_B);
    owner_of(store, "r3", id);
    assert_string_equal(id, ID_B);
    assert_dump_is_stable(store);
    assert_error(store, HEAD "routes: [{paths: [/], service: {id: web}}]\nservices: [{name: web, host: h}]\n",
                 2, 32, "invalid reference 'service: web' (no such entry in 'services')");
}

static void what_is_unique_together_may_go_to_another_id(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;

    sync_file(store,
              HEAD "consumers: [{username: a, acls: [{group: g}]}]\n"
                   "upstreams: [{name: u, targets: [{target: \"h:1\"}]}]\nplugins: [{name: key-auth}]\n",
              5, 0, 0);
    sync_file(store,
              HEAD "consumers: [{username: a, acls: [{group: g, id: " ID_A "}]}]\n"
                   "upstreams: [{name: u, targets: [{target: \"h:1\", id: " ID_A "}]}]\n"
                   "plugins: [{name: key-auth, id: " ID_A "}]\n",
              3, 0, 3);
    assert_true(is_there(store, KG_ACLS, ID_A));
}

static void what_goes_with_a_selected_parent_is_told(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;

    sync_file(store,
              HEAD "consumers: [{username: a, tags: [team], keyauth_credentials: [{key: untagged-untagged}]},"
                   " {username: b, acls: [{group: g}]}]\n",
              4, 0, 0);
    sync_file(store, HEAD "_info: {select_tags: [team]}\n", 0, 0, 2);
    sync_file(store, HEAD "consumers: [{username: b, acls: [{group: g}]}]\n", 0, 0, 0);
}

/* In the bounds of a ttl, whenever the key says that it was made. */
static void a_dump_of_a_lifetime_can_be_synced(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    const struct kg_dump_options options = { .select_tags = NULL };
    struct kg_error err = { "" };
    struct kg_declare_result result;
    char *text = NULL;
    size_t len = 0;

    assert_int_equal(put(store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(put(store, KG_KEYAUTH_CREDENTIALS,
                         "{\"id\":\"" ID_A "\",\"consumer\":{\"id\":\"" ID_A
                         "\"},\"key\":\"first-first-first\","
                         "\"ttl\":500,\"created_at\":9223372036854774000}",
                         NULL),
                     0);
    assert_int_equal(put(store, KG_KEYAUTH_CREDENTIALS,
                         "{\"id\":\"" ID_B "\",\"consumer\":{\"id\":\"" ID_A
                         "\"},\"key\":\"other-other-other\","
                         "\"ttl\":500,\"created_at\":1}",
                         NULL),
                     0);
    assert_int_equal(kg_declare_dump(store, &options, &text, &len, &err), 0);
    assert_int_equal(run_file(store, text, false, &result), 0);
    kg_declare_free(&result);
    free(text);
    assert_true(is_there(store, KG_KEYAUTH_CREDENTIALS, ID_A) &&
                is_there(store, KG_KEYAUTH_CREDENTIALS, ID_B));
    assert_dump_is_stable(store);
}

static void a_moment_far_away_does_not_overflow(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    const char *text = HEAD "consumers: [{username: a, keyauth_credentials: [{key: far-far-far-far-far, "
                            "ttl: 100000000, created_at: 9223372036854774000}]}]\n";

    sync_file(store, text, 2, 0, 0);
    sync_file(store, text, 0, 0, 0);
}

static int64_t count(struct kg_store *store, const char *sql)
{
    sqlite3_stmt *stmt;
    int64_t value;

    assert_int_equal(sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

#define SCHEMA "SELECT count(*) FROM sqlite_schema WHERE type IN ('index', 'trigger')"

static char *many(int consumers)
{
    size_t cap = 64 + (size_t)consumers * 96, len;
    char *text = kg_calloc(cap, 1);

    len = (size_t)snprintf(text, cap, HEAD "consumers:\n");
    for (int i = 0; i < consumers; i++)
        len += (size_t)snprintf(text + len, cap - len,
                                "- {username: u%d, keyauth_credentials: [{key: k%d}]%s}\n", i, i,
                                i % 2 ? ", tags: [odd]" : "");
    return text;
}

static void many_at_once_leave_their_tags_indexes_and_triggers(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    int64_t before = count(store, SCHEMA);
    char *text = many(2000);

    sync_file(store, text, 4000, 0, 0);
    assert_int_equal(count(store, SCHEMA), before);
    assert_int_equal(count(store, "SELECT count(*) FROM tags WHERE tag = 'odd'"), 1000);
    sync_file(store, HEAD "consumers: [{username: u1, tags: [other]}]\n", 0, 1, 3999);
    assert_int_equal(count(store, "SELECT count(*) FROM tags"), 1);
    free(text);
}

static void what_many_say_twice_is_refused_and_leaves_nothing(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    int64_t before = count(store, SCHEMA);
    char *text = many(2000), *last = strstr(text, "{key: k1999}");

    memcpy(last, "{key: k1000}", 12);
    assert_error(store, text, 2002, 43,
                 "uniqueness violation: 'keyauth_credentials' entity with this key already declared");
    assert_int_equal(count(store, SCHEMA), before);
    assert_int_equal(count(store, "SELECT count(*) FROM consumers"), 0);
    free(text);
}

/* Two values each, more in all than any one entity may have. */
#define CONSUMERS 33000

static void a_file_may_have_many_more_values_than_one_entity(void **state)
{
    struct kg_store *store = ((struct fixture *)*state)->store;
    size_t cap = 64 + CONSUMERS * (size_t)64;
    char *text = kg_calloc(cap, 1);
    size_t len = (size_t)snprintf(text, cap, HEAD "consumers:\n");

    for (int i = 0; i < CONSUMERS; i++)
        len += (size_t)snprintf(text + len, cap - len, "- {username: u%d, custom_id: c%d}\n", i, i);
    sync_file(store, text, CONSUMERS, 0, 0);
    sync_file(store, text, 0, 0, 0);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_may_hold_more_values_than_one_entity, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(a_name_that_looks_like_an_id_is_told_from_that_id, set_up_open,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_unique_together_may_go_to_another_id, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(a_dump_of_a_lifetime_can_be_synced, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(a_moment_far_away_does_not_overflow, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(an_error_keeps_its_words_where_a_text_is_cut, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(what_goes_with_a_selected_parent_is_told, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(ids_of_named_entities_are_kongs, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(an_entity_made_before_keeps_its_id, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(a_dry_run_counts_and_changes_nothing, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(a_route_without_a_name_is_the_same_one_next_time, set_up_open,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_id_that_a_file_gives_is_that_entitys, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(yaml_that_is_none_has_its_place, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(a_number_of_many_digits_is_the_same_one_next_time, set_up_open,
                                        tear_down),
        cmocka_unit_test_setup_teardown(routes_that_may_tie_keep_their_order_in_a_dump, set_up_open,
                                        tear_down),
        cmocka_unit_test_setup_teardown(regexes_and_routes_without_a_path_keep_their_order_too, set_up_open,
                                        tear_down),
        cmocka_unit_test_setup_teardown(routes_that_cannot_tie_lie_in_their_services, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(a_nul_in_a_text_is_refused, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(what_refers_to_something_that_goes_is_refused, set_up_open,
                                        tear_down),
        cmocka_unit_test_setup_teardown(many_at_once_leave_their_tags_indexes_and_triggers, set_up_open,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_many_say_twice_is_refused_and_leaves_nothing, set_up_open,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_may_have_many_more_values_than_one_entity, set_up_open,
                                        tear_down),
    };

    kg_policies_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
