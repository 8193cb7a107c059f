/* SPDX-License-Identifier: BSD-2-Clause */
/* Entities in and out, uniqueness, references, paging, loading. */
#include "store_test.h"
#include "base/clock.h"

#include <sqlite3.h>

static const struct kg_field keys_config[] = {
    { .name = "key_names", .type = KG_F_STRING_SET, .required = true, .default_json = "[\"apikey\"]" },
    { 0 },
};
static const struct kg_plugin_type keys_plugin = { .name = "keys", .config = keys_config };

static void assert_round_trip(struct fixture *fixture, enum kg_entity_id entity, const char *input)
{
    json_t *object = entity_of(entity, input), *problem = NULL, *got;
    struct kg_error err = { "" };

    assert_int_equal(kg_store_put(fixture->store, entity, object, &problem, &err), 0);
    assert_null(problem);
    reopen(fixture);
    got = kg_store_get(fixture->store, entity, json_string_value(json_object_get(object, "id")));
    if (!json_equal(got, object))
        fail_msg("%s came back as %s", json_dumps(object, 0), json_dumps(got, 0));
    json_decref(object);
    json_decref(got);
}

static void every_entity_comes_back_as_it_went_in(void **state)
{
    struct fixture *f = *state;

    assert_round_trip(f, KG_SERVICES,
                      "{\"id\":\"" ID_A "\",\"name\":\"s\",\"url\":\"http://a.b:81/p\",\"enabled\":false,"
                      "\"tags\":[\"x\",\"y\"]}");
    assert_round_trip(f, KG_SERVICES, "{\"host\":\"a\"}");
    assert_round_trip(f, KG_ROUTES,
                      "{\"id\":\"" ID_B "\",\"name\":\"r\",\"service\":{\"id\":\"" ID_A
                      "\"},\"paths\":[\"/a\","
                      "\"/b\"],\"hosts\":[\"*.a\"],\"methods\":[\"GET\"],\"strip_path\":false}");
    assert_round_trip(f, KG_ROUTES, "{\"methods\":[\"GET\"],\"tags\":[]}");
    assert_round_trip(f, KG_CONSUMERS,
                      "{\"id\":\"" ID_C "\",\"username\":\"J\\u00fcrgen \\\"x\\\"\",\"custom_id\":\"42\"}");
    assert_round_trip(f, KG_KEYAUTH_CREDENTIALS,
                      "{\"consumer\":{\"id\":\"" ID_C "\"},\"key\":\"my key 1\",\"tags\":[\"t\"]}");
    assert_round_trip(f, KG_KEYAUTH_CREDENTIALS, "{\"consumer\":{\"id\":\"" ID_C "\"}}");
    assert_round_trip(f, KG_PLUGINS,
                      "{\"name\":\"keys\",\"instance_name\":\"i\",\"route\":{\"id\":\"" ID_B
                      "\"},\"service\":"
                      "{\"id\":\"" ID_A "\"},\"consumer\":{\"id\":\"" ID_C "\"},\"config\":{\"key_names\":"
                      "[\"a\",\"b\"]},\"protocols\":[\"http\"]}");
    assert_round_trip(f, KG_JWT_SECRETS,
                      "{\"consumer\":{\"id\":\"" ID_C "\"},\"key\":\"iss\",\"secret\":\"s\","
                      "\"algorithm\":\"HS384\"}");
    assert_round_trip(f, KG_JWT_SECRETS, "{\"consumer\":{\"id\":\"" ID_C "\"}}");
    assert_round_trip(f, KG_ACLS, "{\"consumer\":{\"id\":\"" ID_C "\"},\"group\":\"g\"}");
}

static void a_group_is_found_by_its_name_below_its_consumer_alone(void **state)
{
    struct fixture *f = *state;
    json_t *found;

    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_B "\",\"username\":\"b\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_ACLS,
                         "{\"id\":\"" ID_C "\",\"consumer\":{\"id\":\"" ID_A "\"},\"group\":\"g\"}", NULL),
                     0);
    assert_null(kg_store_find(f->store, KG_ACLS, KG_SLICE("g")));
    assert_null(kg_store_find_child(f->store, KG_ACLS, KG_SLICE("g"), "consumer", ID_B));
    found = kg_store_find_child(f->store, KG_ACLS, KG_SLICE("g"), "consumer", ID_A);
    assert_string_equal(json_string_value(json_object_get(found, "id")), ID_C);
    json_decref(found);
}

static void a_put_replaces_and_keeps_the_place(void **state)
{
    struct fixture *f = *state;
    json_t *page;
    int64_t after = 0;

    assert_int_equal(put(f->store, KG_SERVICES, "{\"id\":\"" ID_B "\",\"host\":\"b\",\"path\":\"/x\"}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_SERVICES, "{\"id\":\"" ID_A "\",\"host\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_SERVICES, "{\"id\":\"" ID_B "\",\"host\":\"new\"}", NULL), 0);
    page = kg_store_list(f->store, KG_SERVICES, NULL, NULL, 10, &after);
    assert_int_equal(json_array_size(page), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(page, 0), "host")), "new");
    assert_true(json_is_null(json_object_get(json_array_get(page, 0), "path")));
    json_decref(page);
}

static void find_takes_an_id_or_the_endpoint_key(void **state)
{
    static const struct {
        enum kg_entity_id entity;
        const char *ref, *id;
    } cases[] = {
        { KG_SERVICES, "s", ID_A },
        { KG_SERVICES, ID_A, ID_A },
        { KG_ROUTES, "r", ID_B },
        { KG_CONSUMERS, "alice", ID_C },
        { KG_CONSUMERS, "nobody", NULL },
        { KG_KEYAUTH_CREDENTIALS, "k3y", ID_D },
        { KG_KEYAUTH_CREDENTIALS, "", NULL },
        { KG_PLUGINS, "inst", ID_A },
        { KG_CONSUMERS, ID_D, ID_B },
        { KG_SERVICES, "AAAAAAAA-1111-4111-8111-111111111111", NULL },
    };
    struct fixture *f = *state;

    assert_int_equal(put(f->store, KG_SERVICES, "{\"id\":\"" ID_A "\",\"name\":\"s\",\"host\":\"a\"}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_ROUTES, "{\"id\":\"" ID_B "\",\"name\":\"r\",\"paths\":[\"/\"]}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_C "\",\"username\":\"alice\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_B "\",\"username\":\"" ID_D "\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS,
                         "{\"id\":\"" ID_D "\",\"consumer\":{\"id\":\"" ID_C "\"},\"key\":\"k3y\"}", NULL),
                     0);
    assert_int_equal(
        put(f->store, KG_PLUGINS, "{\"id\":\"" ID_A "\",\"name\":\"keys\",\"instance_name\":\"inst\"}", NULL),
        0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *found = kg_store_find(f->store, cases[i].entity, kg_slice_str(cases[i].ref));

        if (!cases[i].id)
            assert_null(found);
        else
            assert_string_equal(json_string_value(json_object_get(found, "id")), cases[i].id);
        json_decref(found);
    }
}

static void ids_are_found_in_either_case(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(
        put(f->store, KG_SERVICES, "{\"id\":\"abcdefab-1111-4111-8111-111111111111\",\"host\":\"a\"}", NULL),
        0);
    assert_true(is_there(f->store, KG_SERVICES, "ABCDEFAB-1111-4111-8111-111111111111"));
    assert_false(is_there(f->store, KG_SERVICES, "not an id"));
}

static void a_taken_unique_value_is_refused_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    json_t *problem;

    assert_int_equal(
        put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"bob\",\"custom_id\":\"1\"}", NULL),
        0);
    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_B "\",\"username\":\"bob\"}", &problem),
                     -EEXIST);
    assert_message(problem, 5, "UNIQUE violation detected on '{username=\"bob\"}'");
    assert_int_equal(
        put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_B "\",\"username\":\"x\",\"custom_id\":\"1\"}", &problem),
        -EEXIST);
    assert_message(problem, 5, "UNIQUE violation detected on '{custom_id=\"1\"}'");
    assert_false(is_there(f->store, KG_CONSUMERS, ID_B));
    assert_int_equal(
        put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"bob\",\"tags\":[\"t\"]}", NULL), 0);
    assert_int_equal(
        put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_B "\",\"username\":\"x\",\"custom_id\":\"1\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_C "\",\"username\":\"y\"}", NULL), 0);
}

static void a_taken_key_is_refused_without_repeating_it(void **state)
{
    struct fixture *f = *state;
    json_t *problem;
    char *text;

    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS,
                         "{\"consumer\":{\"id\":\"" ID_A "\"},\"key\":\"hush-hush\"}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS,
                         "{\"consumer\":{\"id\":\"" ID_A "\"},\"key\":\"hush-hush\"}", &problem),
                     -EEXIST);
    text = json_dumps(problem, 0);
    assert_null(strstr(text, "hush"));
    free(text);
    assert_message(problem, 5, "UNIQUE violation detected on '{key}'");
}

static void a_plugin_is_unique_in_its_scope(void **state)
{
    struct fixture *f = *state;
    json_t *problem;

    assert_int_equal(put(f->store, KG_SERVICES, "{\"id\":\"" ID_A "\",\"host\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_PLUGINS, "{\"id\":\"" ID_B "\",\"name\":\"keys\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_PLUGINS, "{\"name\":\"keys\"}", &problem), -EEXIST);
    assert_message(problem, 5,
                   "UNIQUE violation detected on '{consumer=null,name=\"keys\",route=null,service=null}'");
    assert_int_equal(put(f->store, KG_PLUGINS, "{\"name\":\"keys\",\"service\":{\"id\":\"" ID_A "\"}}", NULL),
                     0);
    assert_int_equal(
        put(f->store, KG_PLUGINS, "{\"name\":\"keys\",\"service\":{\"id\":\"" ID_A "\"}}", &problem),
        -EEXIST);
    assert_message(problem, 5,
                   "UNIQUE violation detected on '{consumer=null,name=\"keys\",route=null,service={id=\"" ID_A
                   "\"}}'");
    assert_int_equal(
        put(f->store, KG_PLUGINS, "{\"id\":\"" ID_B "\",\"name\":\"keys\",\"enabled\":false}", NULL), 0);
}

static void a_dangling_reference_is_refused(void **state)
{
    struct fixture *f = *state;
    json_t *problem;

    assert_int_equal(
        put(f->store, KG_ROUTES, "{\"paths\":[\"/\"],\"service\":{\"id\":\"" ID_A "\"}}", &problem), -ENOENT);
    assert_message(problem, 4,
                   "the foreign key '{id=\"" ID_A "\"}' does not reference an existing 'services' entity.");
    assert_int_equal(put(f->store, KG_ROUTES, "{\"paths\":[\"/\"],\"service\":{\"name\":\"x\"}}", &problem),
                     -ENOENT);
    assert_message(problem, 13,
                   "foreign key unresolved (service.name: the foreign key cannot be resolved with "
                   "'{name=\"x\"}' for an existing 'services' entity)");
}

static void deleting_a_service_is_restricted_by_routes_and_takes_its_plugins(void **state)
{
    struct fixture *f = *state;
    json_t *problem;

    assert_int_equal(put(f->store, KG_SERVICES, "{\"id\":\"" ID_A "\",\"host\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_ROUTES,
                         "{\"id\":\"" ID_B "\",\"paths\":[\"/\"],\"service\":{\"id\":\"" ID_A "\"}}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_PLUGINS,
                         "{\"id\":\"" ID_C "\",\"name\":\"keys\",\"service\":{\"id\":\"" ID_A "\"}}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_PLUGINS,
                         "{\"id\":\"" ID_D "\",\"name\":\"keys\",\"route\":{\"id\":\"" ID_B "\"}}", NULL),
                     0);
    assert_int_equal(delete (f->store, KG_SERVICES, ID_A, &problem), -EBUSY);
    assert_message(problem, 4, "an existing 'routes' entity references this 'services' entity");
    assert_true(is_there(f->store, KG_PLUGINS, ID_C));
    assert_int_equal(delete (f->store, KG_ROUTES, ID_B, NULL), 0);
    assert_false(is_there(f->store, KG_PLUGINS, ID_D));
    assert_int_equal(delete (f->store, KG_SERVICES, ID_A, NULL), 0);
    assert_false(is_there(f->store, KG_PLUGINS, ID_C));
    assert_int_equal(delete (f->store, KG_SERVICES, ID_A, NULL), 1);
}

static void deleting_a_consumer_takes_its_keys_and_plugins(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_B "\",\"username\":\"b\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS,
                         "{\"id\":\"" ID_A "\",\"consumer\":{\"id\":\"" ID_A "\"}}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS,
                         "{\"id\":\"" ID_B "\",\"consumer\":{\"id\":\"" ID_B "\"}}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_PLUGINS,
                         "{\"id\":\"" ID_C "\",\"name\":\"keys\",\"consumer\":{\"id\":\"" ID_A "\"}}", NULL),
                     0);
    assert_int_equal(delete (f->store, KG_CONSUMERS, ID_A, NULL), 0);
    assert_false(is_there(f->store, KG_KEYAUTH_CREDENTIALS, ID_A));
    assert_true(is_there(f->store, KG_KEYAUTH_CREDENTIALS, ID_B));
    assert_false(is_there(f->store, KG_PLUGINS, ID_C));
}

static void pages_follow_the_order_of_creation(void **state)
{
    struct fixture *f = *state;
    int64_t after = 0;
    char input[64], seen[64] = "";
    size_t pages = 0;

    for (int i = 0; i < 7; i++) {
        snprintf(input, sizeof(input), "{\"host\":\"h\",\"name\":\"%c\"}", "gcaebfd"[i]);
        assert_int_equal(put(f->store, KG_SERVICES, input, NULL), 0);
    }
    do {
        json_t *page = kg_store_list(f->store, KG_SERVICES, NULL, NULL, 3, &after), *item;
        size_t i;

        json_array_foreach(page, i, item)
            snprintf(seen + strlen(seen), 8, "%s", json_string_value(json_object_get(item, "name")));
        pages++;
        json_decref(page);
    } while (after != 0);
    assert_string_equal(seen, "gcaebfd");
    assert_int_equal(pages, 3);
}

static void a_full_last_page_says_so(void **state)
{
    struct fixture *f = *state;
    int64_t after = 0;
    json_t *page;

    for (int i = 0; i < 3; i++)
        assert_int_equal(put(f->store, KG_SERVICES, "{\"host\":\"h\"}", NULL), 0);
    page = kg_store_list(f->store, KG_SERVICES, NULL, NULL, 3, &after);
    assert_int_equal(json_array_size(page), 3);
    assert_int_equal(after, 0);
    json_decref(page);
}

static void pages_of_a_parent_hold_only_its_children(void **state)
{
    struct fixture *f = *state;
    char input[128];
    int64_t after = 0;
    json_t *page;

    assert_int_equal(put(f->store, KG_SERVICES, "{\"id\":\"" ID_A "\",\"host\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_SERVICES, "{\"id\":\"" ID_B "\",\"host\":\"b\"}", NULL), 0);
    for (int i = 0; i < 6; i++) {
        snprintf(input, sizeof(input), "{\"paths\":[\"/%d\"],\"service\":{\"id\":\"%s\"}}", i,
                 i % 2 ? ID_B : ID_A);
        assert_int_equal(put(f->store, KG_ROUTES, input, NULL), 0);
    }
    page = kg_store_list(f->store, KG_ROUTES, "service", ID_B, 2, &after);
    assert_int_equal(json_array_size(page), 2);
    assert_true(after > 0);
    json_decref(page);
    page = kg_store_list(f->store, KG_ROUTES, "service", ID_B, 2, &after);
    assert_int_equal(json_array_size(page), 1);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(json_array_get(page, 0), "paths"), 0)), "/5");
    assert_int_equal(after, 0);
    json_decref(page);
}

/* Moves the end of a credential's life, as time would. */
static void set_expiry(struct fixture *f, const char *id, int64_t expires)
{
    char path[128], sql[256];
    sqlite3 *db;

    snprintf(path, sizeof(path), "%s/keygate.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    snprintf(sql, sizeof(sql), "UPDATE keyauth_credentials SET expires_at = %lld WHERE id = '%s'",
             (long long)expires, id);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(db), 1);
    sqlite3_close(db);
}

static int64_t ttl_of(struct fixture *f, const char *id)
{
    json_t *object = kg_store_get(f->store, KG_KEYAUTH_CREDENTIALS, id);
    int64_t ttl = json_integer_value(json_object_get(object, "ttl"));

    json_decref(object);
    return ttl;
}

#define KEY_INPUT(id, rest) "{\"id\":\"" id "\",\"consumer\":{\"id\":\"" ID_A "\"}," rest "}"

static void ttl_is_shown_as_what_is_left(void **state)
{
    struct fixture *f = *state;
    json_t *object;

    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(
        put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_B, "\"key\":\"b\",\"ttl\":3600"), NULL), 0);
    assert_in_range(ttl_of(f, ID_B), 3598, 3600);
    set_expiry(f, ID_B, kg_clock_wall() + 100);
    assert_in_range(ttl_of(f, ID_B), 98, 100);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_C, "\"key\":\"c\",\"ttl\":0"), NULL),
                     0);
    object = kg_store_get(f->store, KG_KEYAUTH_CREDENTIALS, ID_C);
    assert_true(json_is_null(json_object_get(object, "ttl")));
    json_decref(object);
}

static void writing_back_what_was_read_does_not_lengthen_a_life(void **state)
{
    struct fixture *f = *state;
    int64_t end = kg_clock_wall() + 1000;
    json_t *object, *problem = NULL;
    struct kg_error err;
    sqlite3 *db;
    sqlite3_stmt *stmt;
    char path[128];

    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(
        put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_B, "\"key\":\"b\",\"ttl\":1000"), NULL), 0);
    set_expiry(f, ID_B, end);
    object = kg_store_get(f->store, KG_KEYAUTH_CREDENTIALS, ID_B);
    json_object_set_new(object, "ttl", json_integer(json_integer_value(json_object_get(object, "ttl")) + 1));
    assert_int_equal(kg_store_put(f->store, KG_KEYAUTH_CREDENTIALS, object, &problem, &err), 0);
    json_decref(object);
    snprintf(path, sizeof(path), "%s/keygate.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT expires_at FROM keyauth_credentials", -1, &stmt, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int64(stmt, 0), end);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static void what_has_expired_is_gone(void **state)
{
    struct fixture *f = *state;
    struct kg_model model = { "" };
    struct kg_error err = { "" };
    int64_t after = 0;
    json_t *page, *found;

    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_B, "\"key\":\"b\",\"ttl\":60"), NULL),
                     0);
    set_expiry(f, ID_B, kg_clock_wall());
    assert_false(is_there(f->store, KG_KEYAUTH_CREDENTIALS, ID_B));
    found = kg_store_find(f->store, KG_KEYAUTH_CREDENTIALS, KG_SLICE("b"));
    assert_null(found);
    page = kg_store_list(f->store, KG_KEYAUTH_CREDENTIALS, NULL, NULL, 10, &after);
    assert_int_equal(json_array_size(page), 0);
    json_decref(page);
    assert_int_equal(kg_store_load(f->store, &model, &err), 0);
    assert_int_equal(model.credentials, 0);
    /* Its key is free again. */
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_C, "\"key\":\"b\""), NULL), 0);
    assert_true(is_there(f->store, KG_KEYAUTH_CREDENTIALS, ID_C));
}

static void load_gives_everything_in_order(void **state)
{
    struct fixture *f = *state;
    struct kg_model model = { "" };
    struct kg_error err = { "" };
    uint8_t mac[32];

    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_C "\",\"custom_id\":\"42\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"alice\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_SERVICES, "{\"id\":\"" ID_A "\",\"host\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_ROUTES,
                         "{\"id\":\"" ID_B "\",\"paths\":[\"/\"],\"service\":{\"id\":\"" ID_A "\"}}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_ROUTES, "{\"id\":\"" ID_A "\",\"paths\":[\"/\"]}", NULL), 0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_D, "\"key\":\"d\",\"ttl\":60"), NULL),
                     0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_B, "\"key\":\"b\""), NULL), 0);
    assert_int_equal(put(f->store, KG_ACLS,
                         "{\"id\":\"" ID_B "\",\"consumer\":{\"id\":\"" ID_A "\"},\"group\":\"g\"}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_PLUGINS, "{\"id\":\"" ID_D "\",\"name\":\"keys\"}", NULL), 0);
    reopen(f);
    assert_int_equal(kg_store_load(f->store, &model, &err), 0);
    assert_string_equal(model.notes, "services 11111111\n"
                                     "routes 22222222\n"
                                     "routes 11111111\n"
                                     "consumer 33333333 - 42\n"
                                     "consumer 11111111 alice -\n"
                                     "credential 44444444 of 11111111 expires\n"
                                     "credential 22222222 of 11111111 stays\n"
                                     "group 22222222 of 11111111 g\n"
                                     "loaded\n"
                                     "plugins 44444444\n");
    kg_store_mac(f->store, KG_SLICE("b"), mac);
    assert_memory_equal(model.mac, mac, 32);
}

#define TARGET(id, upstream, target)                                                                         \
    "{\"id\":\"" id "\",\"target\":\"" target "\",\"upstream\":{\"id\":\"" upstream "\"}}"

static void upstreams_come_before_their_targets_and_take_them_along(void **state)
{
    struct fixture *f = *state;
    struct kg_model model = { "" };
    struct kg_error err = { "" };
    json_t *problem = NULL;

    assert_int_equal(put(f->store, KG_UPSTREAMS, "{\"id\":\"" ID_A "\",\"name\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_UPSTREAMS, "{\"id\":\"" ID_B "\",\"name\":\"b\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_TARGETS, TARGET(ID_C, ID_A, "h"), NULL), 0);
    assert_int_equal(put(f->store, KG_TARGETS, TARGET(ID_D, ID_B, "h"), NULL), 0);
    assert_int_equal(put(f->store, KG_TARGETS, TARGET(ID_B, ID_A, "H:8000"), &problem), -EEXIST);
    assert_message(problem, 5,
                   "UNIQUE violation detected on '{target=\"h:8000\",upstream={id=\"" ID_A "\"}}'");
    assert_int_equal(put(f->store, KG_UPSTREAMS, "{\"id\":\"" ID_C "\",\"name\":\"A\"}", &problem), -EEXIST);
    json_decref(problem);
    reopen(f);
    json_t *child = kg_store_find_child(f->store, KG_TARGETS, KG_SLICE("H"), "upstream", ID_B);
    assert_string_equal(json_string_value(json_object_get(child, "id")), ID_D);
    json_decref(child);
    assert_int_equal(delete (f->store, KG_UPSTREAMS, ID_A, NULL), 0);
    assert_int_equal(kg_store_load(f->store, &model, &err), 0);
    assert_string_equal(model.notes, "upstreams 22222222\ntargets 44444444\nloaded\n");
}

static void records_within_records_are_kept(void **state)
{
    struct fixture *f = *state;
    json_t *upstream = entity_of(
        KG_UPSTREAMS, "{\"id\":\"" ID_A "\",\"name\":\"a\",\"healthchecks\":{\"active\":{\"timeout\":0.1,"
                      "\"headers\":{\"X-A\":[\"1\",\"2\"]},\"healthy\":{\"http_statuses\":[204]}}}}");
    json_t *problem = NULL, *found;
    struct kg_error err = { "" };

    assert_int_equal(kg_store_put(f->store, KG_UPSTREAMS, upstream, &problem, &err), 0);
    reopen(f);
    found = kg_store_get(f->store, KG_UPSTREAMS, ID_A);
    assert_true(json_equal(found, upstream));
    json_decref(found);
    json_decref(upstream);
}

static void load_refuses_a_plugin_that_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct kg_model model = { "" };
    struct kg_error err = { "" };
    json_t *object = entity_of(KG_PLUGINS, "{\"name\":\"keys\",\"id\":\"" ID_A "\"}"), *problem = NULL;
    char expected[256];

    json_object_set_new(object, "name", json_string("gone"));
    assert_int_equal(kg_store_put(f->store, KG_PLUGINS, object, &problem, &err), 0);
    json_decref(object);
    assert_int_equal(kg_store_load(f->store, &model, &err), -EINVAL);
    snprintf(expected, sizeof(expected),
             "%s/keygate.db holds the plugin 'gone' (" ID_A "), which this keygate does not have", f->dir);
    assert_string_equal(err.text, expected);
}

static void a_disk_error_is_reported_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    json_t *object = entity_of(KG_SERVICES, "{\"id\":\"" ID_A "\",\"host\":\"a\"}"), *problem = NULL;
    struct kg_error err = { "" };
    char path[128];
    sqlite3 *db;

    snprintf(path, sizeof(path), "%s/keygate.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "CREATE TRIGGER t BEFORE INSERT ON services BEGIN SELECT RAISE(ABORT, 'disk on fire');"
                     " END",
                     NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(kg_store_put(f->store, KG_SERVICES, object, &problem, &err), -EIO);
    assert_null(problem);
    assert_non_null(strstr(err.text, "disk on fire"));
    assert_false(is_there(f->store, KG_SERVICES, ID_A));
    assert_int_equal(sqlite3_exec(db, "DROP TRIGGER t", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(kg_store_put(f->store, KG_SERVICES, object, &problem, &err), 0);
    json_decref(object);
}

static int register_plugins(void **state)
{
    kg_plugin_register(&keys_plugin);
    return 0;
}

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_open, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(every_entity_comes_back_as_it_went_in),
        STORE_TEST(a_group_is_found_by_its_name_below_its_consumer_alone),
        STORE_TEST(a_put_replaces_and_keeps_the_place),
        STORE_TEST(find_takes_an_id_or_the_endpoint_key),
        STORE_TEST(ids_are_found_in_either_case),
        STORE_TEST(a_taken_unique_value_is_refused_and_changes_nothing),
        STORE_TEST(a_taken_key_is_refused_without_repeating_it),
        STORE_TEST(a_plugin_is_unique_in_its_scope),
        STORE_TEST(a_dangling_reference_is_refused),
        STORE_TEST(deleting_a_service_is_restricted_by_routes_and_takes_its_plugins),
        STORE_TEST(deleting_a_consumer_takes_its_keys_and_plugins),
        STORE_TEST(pages_follow_the_order_of_creation),
        STORE_TEST(a_full_last_page_says_so),
        STORE_TEST(pages_of_a_parent_hold_only_its_children),
        STORE_TEST(ttl_is_shown_as_what_is_left),
        STORE_TEST(writing_back_what_was_read_does_not_lengthen_a_life),
        STORE_TEST(what_has_expired_is_gone),
        STORE_TEST(load_gives_everything_in_order),
        STORE_TEST(upstreams_come_before_their_targets_and_take_them_along),
        STORE_TEST(records_within_records_are_kept),
        STORE_TEST(load_refuses_a_plugin_that_is_not_there),
        STORE_TEST(a_disk_error_is_reported_and_changes_nothing),
    };

    return cmocka_run_group_tests(tests, register_plugins, NULL);
}
