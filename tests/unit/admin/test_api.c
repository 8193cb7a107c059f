/* SPDX-License-Identifier: BSD-2-Clause */
/* What the Admin API answers: Kong's codes and bodies, entity by entity and verb by verb. */
#include "fixture.h"

#include <sqlite3.h>

#define UNREADABLE "{\"message\":\"the database cannot be read\"}"
#define ID_A       "11111111-1111-4111-8111-11111111111a"

#define NOT_FOUND "{\"message\":\"Not found\"}"

#define SERVICE(name, host, port, path, timeout)                                                             \
    "{\"name\":" name ",\"protocol\":\"http\",\"host\":\"" host "\",\"port\":" port ",\"path\":" path        \
    ",\"retries\":5,\"connect_timeout\":60000,\"write_timeout\":60000,\"read_timeout\":" timeout             \
    ",\"enabled\":true,\"tls_verify\":null,\"tls_verify_depth\":null,\"ca_certificates\":null,"              \
    "\"client_certificate\":null,\"tags\":null}"

static void make_service(struct api *api)
{
    assert_int_equal(status_of(api, "POST", "/services", "{\"name\":\"web\",\"host\":\"127.0.0.1\"}"), 201);
}

static void make_route(struct api *api)
{
    make_service(api);
    assert_int_equal(status_of(api, "POST", "/services/web/routes", "{\"name\":\"all\",\"paths\":[\"/\"]}"),
                     201);
}

static void make_consumers(struct api *api)
{
    assert_int_equal(status_of(api, "POST", "/consumers", "{\"username\":\"alice\"}"), 201);
    assert_int_equal(status_of(api, "POST", "/consumers", "{\"username\":\"bob\"}"), 201);
}

/* The string member of what a GET answers, copied into out. */
static void look(struct api *api, const char *path, const char *name, char out[128])
{
    struct reply reply = send_json(api, "GET", path, NULL);

    assert_int_equal(reply.status, 200);
    snprintf(out, 128, "%s", member(&reply, name));
    drop(&reply);
}

static void an_empty_collection_is_an_empty_list(void **state)
{
    static const char *const paths[] = { "/services", "/routes", "/consumers", "/key-auths", "/plugins" };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        expect_text(*state, "GET", paths[i], NULL, 200, "{\"data\":[],\"next\":null}");
}

static void create_answers_201_with_every_field(void **state)
{
    expect_entity(*state, "POST", "/services", "{\"name\":\"a\",\"url\":\"http://example.com:8080/x\"}", 201,
                  SERVICE("\"a\"", "example.com", "8080", "\"/x\"", "60000"));
}

static void an_entity_is_found_by_id_and_by_name(void **state)
{
    struct api *api = *state;
    char path[64];

    make_service(api);
    expect_entity(api, "GET", "/services/web", NULL, 200,
                  SERVICE("\"web\"", "127.0.0.1", "80", "null", "60000"));
    snprintf(path, sizeof(path), "/services/%s",
             expect_entity(api, "GET", "/services/web", NULL, 200,
                           SERVICE("\"web\"", "127.0.0.1", "80", "null", "60000")));
    expect_entity(api, "GET", path, NULL, 200, SERVICE("\"web\"", "127.0.0.1", "80", "null", "60000"));
    expect_text(api, "GET", "/services/other", NULL, 404, NOT_FOUND);
    expect_text(api, "GET", "/services/11111111-1111-4111-8111-111111111111", NULL, 404, NOT_FOUND);
}

static void names_in_paths_are_percent_decoded(void **state)
{
    struct api *api = *state;

    assert_int_equal(status_of(api, "POST", "/consumers", "{\"username\":\"a b/c+d\"}"), 201);
    assert_int_equal(status_of(api, "GET", "/consumers/a%20b%2Fc+d", NULL), 200);
    assert_int_equal(status_of(api, "GET", "/consumers/a%20b%2fc+d/key-auth/", NULL), 200);
    assert_int_equal(status_of(api, "GET", "/consumers/a%20b/c+d", NULL), 404);
    expect_text(api, "GET", "/consumers/%zz", NULL, 404, NOT_FOUND);
    expect_text(api, "GET", "/consumers/%00", NULL, 404, NOT_FOUND);
}

static void put_creates_under_the_name_or_id_of_its_path(void **state)
{
    struct api *api = *state;
    char id[128];

    expect_entity(api, "PUT", "/services/new", "{\"host\":\"h\",\"name\":\"ignored\"}", 200,
                  SERVICE("\"new\"", "h", "80", "null", "60000"));
    expect_entity(api, "PUT", "/services/11111111-1111-4111-8111-11111111111A", "{\"host\":\"h\"}", 200,
                  SERVICE("null", "h", "80", "null", "60000"));
    look(api, "/services/11111111-1111-4111-8111-11111111111a", "id", id);
    assert_string_equal(id, "11111111-1111-4111-8111-11111111111a");
    /* And it is the same one the next time, not a name. */
    expect_entity(api, "PUT", "/services/11111111-1111-4111-8111-11111111111A", "{\"host\":\"g\"}", 200,
                  SERVICE("null", "g", "80", "null", "60000"));
}

static void put_replaces_and_returns_the_rest_to_defaults(void **state)
{
    struct api *api = *state;
    char before[128], after[128];

    assert_int_equal(
        status_of(api, "POST", "/services", "{\"name\":\"web\",\"host\":\"h\",\"read_timeout\":5}"), 201);
    look(api, "/services/web", "id", before);
    expect_entity(api, "PUT", "/services/web", "{\"host\":\"g\"}", 200,
                  SERVICE("\"web\"", "g", "80", "null", "60000"));
    look(api, "/services/web", "id", after);
    assert_string_equal(before, after);
}

static void patch_merges_and_null_clears(void **state)
{
    struct api *api = *state;

    assert_int_equal(status_of(api, "POST", "/services",
                               "{\"name\":\"web\",\"host\":\"h\",\"path\":\"/p\",\"read_timeout\":5}"),
                     201);
    expect_entity(api, "PATCH", "/services/web", "{\"port\":81,\"path\":null}", 200,
                  SERVICE("\"web\"", "h", "81", "null", "5"));
    expect_text(api, "PATCH", "/services/other", "{\"port\":81}", 404, NOT_FOUND);
}

static void a_refused_write_changes_nothing_and_is_not_published(void **state)
{
    struct api *api = *state;

    make_service(api);
    assert_int_equal(api->published, 1);
    expect_text(
        api, "PATCH", "/services/web", "{\"port\":81,\"colour\":\"red\"}", 400,
        "{\"code\":2,\"name\":\"schema violation\",\"message\":\"schema violation (colour: unknown field)\","
        "\"fields\":{\"colour\":\"unknown field\"}}");
    expect_text(api, "POST", "/services", "{}", 400,
                "{\"code\":2,\"name\":\"schema violation\",\"message\":\"schema violation (host: required "
                "field missing)\","
                "\"fields\":{\"host\":\"required field missing\"}}");
    assert_int_equal(status_of(api, "PUT", "/services/web", "{\"host\":5}"), 400);
    expect_entity(api, "GET", "/services/web", NULL, 200,
                  SERVICE("\"web\"", "127.0.0.1", "80", "null", "60000"));
    assert_int_equal(api->published, 1);
}

static void every_commit_is_published_once(void **state)
{
    struct api *api = *state;

    make_route(api);
    assert_int_equal(api->published, 2);
    assert_int_equal(status_of(api, "PATCH", "/routes/all", "{\"strip_path\":false}"), 200);
    assert_int_equal(status_of(api, "PUT", "/routes/all", "{\"paths\":[\"/b\"]}"), 200);
    assert_int_equal(status_of(api, "DELETE", "/routes/all", NULL), 204);
    assert_int_equal(api->published, 5);
    assert_int_equal(status_of(api, "DELETE", "/routes/all", NULL), 204);
    assert_int_equal(status_of(api, "GET", "/routes", NULL), 200);
    assert_int_equal(api->published, 5);
}

static void delete_answers_204_also_for_what_is_not_there(void **state)
{
    struct api *api = *state;

    make_service(api);
    expect_text(api, "DELETE", "/services/web", NULL, 204, "");
    expect_text(api, "DELETE", "/services/web", NULL, 204, "");
    expect_text(api, "GET", "/services/web", NULL, 404, NOT_FOUND);
}

static void a_service_with_routes_stays(void **state)
{
    struct api *api = *state;

    make_route(api);
    expect_text(api, "DELETE", "/services/web", NULL, 400,
                "{\"code\":4,\"name\":\"foreign key violation\","
                "\"message\":\"an existing 'routes' entity references this 'services' entity\","
                "\"fields\":{\"@referenced_by\":\"routes\"}}");
    assert_int_equal(status_of(api, "GET", "/services/web", NULL), 200);
}

static void a_taken_name_is_409(void **state)
{
    struct api *api = *state;

    make_service(api);
    expect_text(
        api, "POST", "/services", "{\"name\":\"web\",\"host\":\"h\"}", 409,
        "{\"code\":5,\"name\":\"unique constraint violation\","
        "\"message\":\"UNIQUE violation detected on '{name=\\\"web\\\"}'\",\"fields\":{\"name\":\"web\"}}");
}

static void a_taken_id_is_400_and_overwrites_nothing(void **state)
{
    struct api *api = *state;
    const char *body = "{\"id\":\"11111111-1111-4111-8111-111111111111\",\"name\":\"n\",\"host\":\"h\"}";

    assert_int_equal(status_of(api, "POST", "/services", body), 201);
    expect_text(
        api, "POST", "/services", "{\"id\":\"11111111-1111-4111-8111-111111111111\",\"host\":\"g\"}", 400,
        "{\"code\":3,\"name\":\"primary key violation\","
        "\"message\":\"primary key violation on key '{id=\\\"11111111-1111-4111-8111-111111111111\\\"}'\","
        "\"fields\":{\"id\":\"11111111-1111-4111-8111-111111111111\"}}");
    expect_entity(api, "GET", "/services/n", NULL, 200, SERVICE("\"n\"", "h", "80", "null", "60000"));
}

/* A PUT creates under the name in its path; an id in its body must not make it overwrite another entity. */
static void a_put_by_name_with_anothers_id_is_400_and_overwrites_nothing(void **state)
{
    struct api *api = *state;
    struct reply reply;

    assert_int_equal(status_of(api, "PUT", "/consumers/alice", "{\"id\":\"" ID_A "\"}"), 200);
    reply = send_json(api, "PUT", "/consumers/bob", "{\"id\":\"" ID_A "\"}");
    assert_int_equal(reply.status, 400);
    assert_int_equal(json_integer_value(json_object_get(reply.json, "code")), 3);
    drop(&reply);
    reply = send_json(api, "GET", "/consumers/" ID_A, NULL);
    assert_string_equal(member(&reply, "username"), "alice");
    drop(&reply);
    assert_int_equal(status_of(api, "GET", "/consumers/bob", NULL), 404);
    assert_int_equal(api->published, 1);
}

static void a_create_below_a_parent_belongs_to_it(void **state)
{
    struct api *api = *state;
    char service[128], owner[128];

    make_route(api);
    look(api, "/services/web", "id", service);
    look(api, "/routes/all", "service.id", owner);
    assert_string_equal(service, owner);
    look(api, "/services/web/routes/all", "service.id", owner);
    assert_string_equal(service, owner);
    expect_text(api, "POST", "/services/other/routes", "{\"paths\":[\"/\"]}", 404, NOT_FOUND);
    expect_text(api, "GET", "/services/other/routes", NULL, 404, NOT_FOUND);
}

static void a_nested_list_holds_only_the_parents_own(void **state)
{
    struct api *api = *state;
    struct reply reply;

    make_route(api);
    assert_int_equal(status_of(api, "POST", "/services", "{\"name\":\"two\",\"host\":\"h\"}"), 201);
    assert_int_equal(status_of(api, "POST", "/services/two/routes", "{\"name\":\"r2\",\"paths\":[\"/2\"]}"),
                     201);
    reply = send_json(api, "GET", "/services/two/routes", NULL);
    assert_int_equal(json_array_size(json_object_get(reply.json, "data")), 1);
    drop(&reply);
    expect_text(api, "GET", "/services/two/routes/all", NULL, 404, NOT_FOUND);
    expect_text(api, "DELETE", "/services/two/routes/all", NULL, 404, NOT_FOUND);
    expect_text(api, "PATCH", "/services/two/routes/all", "{\"strip_path\":false}", 404, NOT_FOUND);
    assert_int_equal(status_of(api, "DELETE", "/services/two/routes/r2", NULL), 204);
    expect_text(api, "DELETE", "/services/two/routes/r2", NULL, 404, NOT_FOUND);
}

static void put_below_a_parent_takes_it_over(void **state)
{
    struct api *api = *state;
    char two[128], owner[128];

    make_route(api);
    assert_int_equal(status_of(api, "POST", "/services", "{\"name\":\"two\",\"host\":\"h\"}"), 201);
    assert_int_equal(status_of(api, "PUT", "/services/two/routes/all", "{\"paths\":[\"/\"]}"), 200);
    look(api, "/services/two", "id", two);
    look(api, "/routes/all", "service.id", owner);
    assert_string_equal(two, owner);
}

static void a_foreign_key_leads_to_its_entity(void **state)
{
    struct api *api = *state;

    make_route(api);
    expect_entity(api, "GET", "/routes/all/service", NULL, 200,
                  SERVICE("\"web\"", "127.0.0.1", "80", "null", "60000"));
    expect_entity(api, "PATCH", "/routes/all/service", "{\"port\":81}", 200,
                  SERVICE("\"web\"", "127.0.0.1", "81", "null", "60000"));
    expect_entity(api, "PUT", "/routes/all/service", "{\"name\":\"web\",\"host\":\"h\"}", 200,
                  SERVICE("\"web\"", "h", "80", "null", "60000"));
    expect_text(api, "DELETE", "/routes/all/service", NULL, 405, "{\"message\":\"Method not allowed\"}");
    expect_text(api, "GET", "/routes/none/service", NULL, 404, NOT_FOUND);
    assert_int_equal(status_of(api, "PATCH", "/routes/all", "{\"service\":null}"), 200);
    expect_text(api, "GET", "/routes/all/service", NULL, 404, NOT_FOUND);
    expect_text(api, "PUT", "/routes/all/service", "{\"host\":\"h\"}", 404, NOT_FOUND);
}

static void a_foreign_key_may_be_given_by_name(void **state)
{
    struct api *api = *state;
    char service[128], owner[128];

    make_service(api);
    assert_int_equal(status_of(api, "POST", "/routes",
                               "{\"name\":\"r\",\"paths\":[\"/\"],\"service\":{\"name\":\"web\"}}"),
                     201);
    look(api, "/services/web", "id", service);
    look(api, "/routes/r", "service.id", owner);
    assert_string_equal(service, owner);
}

static void a_foreign_key_that_leads_nowhere_is_told(void **state)
{
    expect_text(
        *state, "POST", "/routes", "{\"paths\":[\"/\"],\"service\":{\"name\":\"x\"}}", 400,
        "{\"code\":13,\"name\":\"foreign keys unresolved\",\"message\":\"foreign key unresolved "
        "(service.name: "
        "the foreign key cannot be resolved with '{name=\\\"x\\\"}' for an existing 'services' entity)\","
        "\"fields\":{\"service\":{\"name\":\"the foreign key cannot be resolved with '{name=\\\"x\\\"}' "
        "for an existing 'services' entity\"}}}");
    expect_text(*state, "POST", "/routes",
                "{\"paths\":[\"/\"],\"service\":{\"id\":\"11111111-1111-4111-8111-111111111111\"}}", 400,
                "{\"code\":4,\"name\":\"foreign key violation\",\"message\":\"the foreign key "
                "'{id=\\\"11111111-1111-4111-8111-111111111111\\\"}' does not reference an existing "
                "'services' entity.\","
                "\"fields\":{\"service\":{\"id\":\"11111111-1111-4111-8111-111111111111\"}}}");
    expect_text(*state, "GET", "/routes", NULL, 200, "{\"data\":[],\"next\":null}");
}

/* Whether the workers would know this key by now. */
static bool key_works(struct api *api, const char *key)
{
    struct kg_snapshot *snapshot = kg_model_snapshot(api->model);
    uint8_t mac[32];
    bool works;

    kg_store_mac(api->store, kg_slice_str(key), mac);
    works = kg_snapshot_credential(snapshot, mac) != NULL;
    kg_snapshot_free(snapshot);
    return works;
}

static void a_key_is_made_found_by_workers_and_gone_when_deleted(void **state)
{
    struct api *api = *state;
    struct reply reply;
    char key[128], path[160];

    make_consumers(api);
    reply = send_json(api, "POST", "/consumers/alice/key-auth", NULL);
    assert_int_equal(reply.status, 201);
    snprintf(key, sizeof(key), "%s", member(&reply, "key"));
    snprintf(path, sizeof(path), "/consumers/alice/key-auth/%s", member(&reply, "id"));
    assert_int_equal(strlen(key), 32);
    assert_true(json_is_null(json_object_get(reply.json, "ttl")));
    drop(&reply);
    assert_true(key_works(api, key));
    assert_int_equal(status_of(api, "GET", path, NULL), 200);
    assert_int_equal(status_of(api, "DELETE", path, NULL), 204);
    assert_false(key_works(api, key));
    expect_text(api, "DELETE", path, NULL, 404, NOT_FOUND);
}

static void a_key_belongs_to_its_consumer_alone(void **state)
{
    struct api *api = *state;
    char alice[128], owner[128];

    make_consumers(api);
    assert_int_equal(status_of(api, "POST", "/consumers/alice/key-auth", "{\"key\":\"wonderland\"}"), 201);
    expect_text(api, "GET", "/consumers/bob/key-auth/wonderland", NULL, 404, NOT_FOUND);
    expect_text(api, "DELETE", "/consumers/bob/key-auth/wonderland", NULL, 404, NOT_FOUND);
    expect_text(api, "GET", "/consumers/bob/key-auth", NULL, 200, "{\"data\":[],\"next\":null}");
    look(api, "/consumers/alice", "id", alice);
    look(api, "/key-auths/wonderland", "consumer.id", owner);
    assert_string_equal(alice, owner);
    look(api, "/key-auths/wonderland/consumer", "username", owner);
    assert_string_equal(owner, "alice");
}

static void a_taken_key_is_409_and_never_repeated(void **state)
{
    struct api *api = *state;
    struct reply reply;

    make_consumers(api);
    assert_int_equal(status_of(api, "POST", "/consumers/alice/key-auth", "{\"key\":\"wonderland\"}"), 201);
    reply =
        send_json(api, "POST", "/key-auths", "{\"key\":\"wonderland\",\"consumer\":{\"username\":\"bob\"}}");
    assert_int_equal(reply.status, 409);
    assert_null(strstr(reply.body, "wonderland"));
    drop(&reply);
}

static void a_changed_key_replaces_the_old_one(void **state)
{
    struct api *api = *state;

    make_consumers(api);
    assert_int_equal(status_of(api, "POST", "/consumers/alice/key-auth", "{\"key\":\"old\"}"), 201);
    assert_int_equal(status_of(api, "PATCH", "/key-auths/old", "{\"key\":\"new\"}"), 200);
    assert_false(key_works(api, "old"));
    assert_true(key_works(api, "new"));
}

static void deleting_a_consumer_takes_its_keys_along(void **state)
{
    struct api *api = *state;

    make_consumers(api);
    assert_int_equal(status_of(api, "POST", "/consumers/alice/key-auth", "{\"key\":\"wonderland\"}"), 201);
    assert_int_equal(status_of(api, "DELETE", "/consumers/alice", NULL), 204);
    assert_false(key_works(api, "wonderland"));
    expect_text(api, "GET", "/key-auths", NULL, 200, "{\"data\":[],\"next\":null}");
}

static void a_ttl_reaches_the_model_and_shows_what_is_left(void **state)
{
    struct api *api = *state;
    struct kg_snapshot *snapshot;
    const struct kg_credential *credential;
    uint8_t mac[32];
    struct reply reply;

    make_consumers(api);
    assert_int_equal(status_of(api, "POST", "/consumers/alice/key-auth", "{\"key\":\"k\",\"ttl\":1000}"),
                     201);
    kg_store_mac(api->store, KG_SLICE("k"), mac);
    snapshot = kg_model_snapshot(api->model);
    credential = kg_snapshot_credential(snapshot, mac);
    assert_non_null(credential);
    assert_in_range(credential->expires_wall, kg_clock_wall() + 990, kg_clock_wall() + 1000);
    kg_snapshot_free(snapshot);
    reply = send_json(api, "GET", "/key-auths/k", NULL);
    assert_in_range(json_integer_value(json_object_get(reply.json, "ttl")), 990, 1000);
    drop(&reply);
}

static void a_key_needs_its_consumer(void **state)
{
    expect_text(*state, "POST", "/key-auths", "{\"key\":\"k\"}", 400,
                "{\"code\":2,\"name\":\"schema violation\","
                "\"message\":\"schema violation (consumer: required field missing)\","
                "\"fields\":{\"consumer\":\"required field missing\"}}");
}

static void a_plugin_is_made_below_a_route_and_its_config_merges(void **state)
{
    struct api *api = *state;
    struct reply reply;
    char path[160];

    make_route(api);
    reply = send_json(api, "POST", "/routes/all/plugins",
                      "{\"name\":\"key-auth\",\"config\":{\"key_names\":[\"k\"]}}");
    assert_int_equal(reply.status, 201);
    snprintf(path, sizeof(path), "/plugins/%s", member(&reply, "id"));
    drop(&reply);
    reply = send_json(api, "PATCH", path, "{\"config\":{\"hide_credentials\":true}}");
    assert_int_equal(reply.status, 200);
    assert_true(json_is_true(json_object_get(json_object_get(reply.json, "config"), "hide_credentials")));
    assert_string_equal(json_string_value(json_array_get(
                            json_object_get(json_object_get(reply.json, "config"), "key_names"), 0)),
                        "k");
    drop(&reply);
    assert_int_equal(status_of(api, "POST", "/routes/all/plugins", "{\"name\":\"key-auth\"}"), 409);
    assert_int_equal(status_of(api, "POST", "/plugins", "{\"name\":\"no-such\"}"), 400);
}

static void form_bodies_are_taken(void **state)
{
    struct api *api = *state;
    const char *type = "application/x-www-form-urlencoded; charset=utf-8";
    struct reply reply = send_as(api, "POST", "/services", type, "name=web&host=h&port=81&path=");

    assert_int_equal(reply.status, 201);
    drop(&reply);
    expect_entity(api, "GET", "/services/web", NULL, 200, SERVICE("\"web\"", "h", "81", "null", "60000"));
    reply = send_as(api, "POST", "/routes", type,
                    "name=r&paths[]=/a&paths[]=/b&service.name=web&strip_path=false");
    assert_int_equal(reply.status, 201);
    assert_int_equal(json_array_size(json_object_get(reply.json, "paths")), 2);
    assert_true(json_is_false(json_object_get(reply.json, "strip_path")));
    drop(&reply);
}

static void bodies_of_other_types_are_415_without_a_body(void **state)
{
    struct api *api = *state;
    static const char *const types[] = { "text/plain", "application/xml", NULL };

    for (size_t i = 0; i < 3; i++) {
        struct reply reply = send_as(api, "POST", "/services", types[i], "{\"host\":\"h\"}");

        assert_int_equal(reply.status, 415);
        assert_string_equal(reply.body, "");
        drop(&reply);
    }
}

static void broken_json_is_400(void **state)
{
    static const char *const bodies[] = {
        "", "{", "[]", "5", "{\"host\":\"a\",\"host\":\"b\"}", "{\"host\":\"h\"} x", "{\"host\":\"\xff\"}"
    };

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct reply reply = send_as(*state, "POST", "/services", "application/json", bodies[i]);

        assert_string_equal(reply.body, "{\"message\":\"Cannot parse JSON body\"}");
        assert_int_equal(reply.status, 400);
        drop(&reply);
    }
    assert_int_equal(((struct api *)*state)->published, 0);
}

static void pages_follow_one_another(void **state)
{
    struct api *api = *state;
    char path[256] = "/consumers?size=2";
    size_t seen = 0, pages = 0;

    for (int i = 0; i < 5; i++) {
        char body[64];

        snprintf(body, sizeof(body), "{\"username\":\"u%d\"}", i);
        assert_int_equal(status_of(api, "POST", "/consumers", body), 201);
    }
    while (path[0]) {
        struct reply reply = send_json(api, "GET", path, NULL);
        json_t *data = json_object_get(reply.json, "data");
        char name[8];

        assert_int_equal(reply.status, 200);
        for (size_t i = 0; i < json_array_size(data); i++) {
            snprintf(name, sizeof(name), "u%zu", seen++);
            assert_string_equal(json_string_value(json_object_get(json_array_get(data, i), "username")),
                                name);
        }
        pages++;
        snprintf(path, sizeof(path), "%s", member(&reply, "next"));
        assert_int_equal(path[0] != '\0', json_is_string(json_object_get(reply.json, "offset")));
        if (path[0])
            assert_non_null(strstr(path, "size=2"));
        drop(&reply);
    }
    assert_int_equal(seen, 5);
    assert_int_equal(pages, 3);
}

static void a_bad_page_is_told(void **state)
{
    const char *range =
        "{\"code\":9,\"name\":\"invalid size\",\"message\":\"size must be an integer between 1 and 1000\"}";

    expect_text(*state, "GET", "/services?size=x", NULL, 400,
                "{\"code\":9,\"name\":\"invalid size\",\"message\":\"size must be a number\"}");
    expect_text(*state, "GET", "/services?size=0", NULL, 400, range);
    expect_text(*state, "GET", "/services?size=1001", NULL, 400, range);
    expect_text(*state, "GET", "/services?size=-1", NULL, 400, range);
    expect_text(*state, "GET", "/services?size=99999999999999999999", NULL, 400, range);
    expect_text(*state, "GET", "/services?offset=x%21", NULL, 400,
                "{\"code\":7,\"name\":\"invalid offset\","
                "\"message\":\"'x!' is not a valid offset: bad base64 encoding\"}");
    assert_int_equal(status_of(*state, "GET", "/services?offset=%ff%00", NULL), 400);
    assert_int_equal(status_of(*state, "GET", "/services?size=1000&unknown=1", NULL), 200);
}

static void what_is_not_there_is_404(void **state)
{
    static const char *const paths[] = { "/nothing",
                                         "/services/web/nothing",
                                         "/services/web/consumer",
                                         "//",
                                         "/services//",
                                         "/services/a/routes/b/c",
                                         "/status/x",
                                         "/services/a/routes/b/service" };

    make_route(*state);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        expect_text(*state, "GET", paths[i], NULL, 404, NOT_FOUND);
}

static void a_slash_at_the_end_is_tolerated(void **state)
{
    make_service(*state);
    assert_int_equal(status_of(*state, "GET", "/services/", NULL), 200);
    assert_int_equal(status_of(*state, "GET", "/services/web/", NULL), 200);
}

static void wrong_methods_are_405_and_options_lists_the_right_ones(void **state)
{
    struct reply reply = send_json(*state, "DELETE", "/services", NULL);

    assert_string_equal(reply.body, "{\"message\":\"Method not allowed\"}");
    assert_int_equal(reply.status, 405);
    assert_non_null(strstr(reply.head, "\r\nAllow: GET, HEAD, OPTIONS, POST\r\n"));
    drop(&reply);
    assert_int_equal(status_of(*state, "BREW", "/services", NULL), 405);
    assert_int_equal(status_of(*state, "POST", "/status", "{}"), 405);
    reply = send_json(*state, "OPTIONS", "/services/web", NULL);
    assert_int_equal(reply.status, 204);
    assert_non_null(strstr(reply.head, "\r\nAllow: DELETE, GET, HEAD, OPTIONS, PATCH, PUT\r\n"));
    assert_null(strstr(reply.head, "Content-Length"));
    drop(&reply);
}

static void head_is_get_without_its_body(void **state)
{
    struct reply get = send_json(*state, "GET", "/services", NULL);
    struct reply head = send_json(*state, "HEAD", "/services", NULL);
    char length[64];

    snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", strlen(get.body));
    assert_int_equal(head.status, 200);
    assert_non_null(strstr(head.head, length));
    drop(&get);
    drop(&head);
    assert_int_equal(status_of(*state, "HEAD", "/services/none", NULL), 404);
}

static void answers_carry_the_usual_headers(void **state)
{
    struct reply reply = send_json(*state, "GET", "/services", NULL);

    assert_non_null(strstr(reply.head, "\r\nContent-Type: application/json; charset=utf-8\r\n"));
    assert_non_null(strstr(reply.head, "\r\nServer: keygate/0.1.0\r\n"));
    assert_non_null(strstr(reply.head, "\r\nX-Keygate-Admin-Latency: "));
    assert_non_null(strstr(reply.head, "\r\nDate: "));
    drop(&reply);
}

static void the_root_says_what_it_is(void **state)
{
    struct reply reply = send_json(*state, "GET", "/", NULL);

    assert_string_equal(member(&reply, "version"), "0.1.0");
    assert_int_equal(
        json_integer_value(json_object_get(
            json_object_get(json_object_get(json_object_get(reply.json, "plugins"), "available_on_server"),
                            "key-auth"),
            "priority")),
        1250);
    drop(&reply);
    expect_text(*state, "GET", "/plugins/enabled", NULL, 200,
                "{\"enabled_plugins\":[\"key-auth\",\"rate-limiting\"]}");
}

static void a_database_that_cannot_be_read_is_told_and_not_taken_for_an_empty_one(void **state)
{
    struct api *api = *state;
    char path[128];
    struct reply reply;
    sqlite3 *db;

    snprintf(path, sizeof(path), "%s/keygate.db", api->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE services RENAME TO away", NULL, NULL, NULL), SQLITE_OK);
    expect_text(api, "GET", "/services", NULL, 500, UNREADABLE);
    expect_text(api, "GET", "/services/web", NULL, 500, UNREADABLE);
    expect_text(api, "PUT", "/services/web", "{\"host\":\"h\"}", 500, UNREADABLE);
    /* 204 would say that it is gone. */
    expect_text(api, "DELETE", "/services/web", NULL, 500, UNREADABLE);
    expect_text(api, "GET", "/services/web/routes", NULL, 500, UNREADABLE);
    reply = send_json(api, "GET", "/status", NULL);
    assert_true(json_is_false(json_object_get(json_object_get(reply.json, "database"), "reachable")));
    drop(&reply);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE away RENAME TO services", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    reply = send_json(api, "GET", "/status", NULL);
    assert_true(json_is_true(json_object_get(json_object_get(reply.json, "database"), "reachable")));
    drop(&reply);
}

static void without_a_guard_status_is_empty_and_bans_are_503(void **state)
{
    expect_text(*state, "GET", "/status", NULL, 200,
                "{\"database\":{\"reachable\":true},\"server\":{\"workers\":2},\"xdp\":{\"interfaces\":[],"
                "\"packets\":{}},"
                "\"guard\":{\"bans\":0}}");
    expect_text(*state, "GET", "/stats", NULL, 200, "{\"data\":[],\"next\":null}");
    expect_text(*state, "GET", "/bans", NULL, 503, "{\"message\":\"the guard is not running\"}");
    expect_text(*state, "POST", "/bans", "{\"address\":\"192.0.2.7\"}", 503,
                "{\"message\":\"the guard is not running\"}");
    expect_text(*state, "GET", "/bans/192.0.2.7", NULL, 503, "{\"message\":\"the guard is not running\"}");
    expect_text(*state, "GET", "/allow", NULL, 503, "{\"message\":\"the guard is not running\"}");
    expect_text(*state, "DELETE", "/allow/10.0.0.0%2F8", NULL, 503,
                "{\"message\":\"the guard is not running\"}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_collection_is_an_empty_list),
        TEST(create_answers_201_with_every_field),
        TEST(an_entity_is_found_by_id_and_by_name),
        TEST(names_in_paths_are_percent_decoded),
        TEST(put_creates_under_the_name_or_id_of_its_path),
        TEST(put_replaces_and_returns_the_rest_to_defaults),
        TEST(patch_merges_and_null_clears),
        TEST(a_refused_write_changes_nothing_and_is_not_published),
        TEST(every_commit_is_published_once),
        TEST(delete_answers_204_also_for_what_is_not_there),
        TEST(a_service_with_routes_stays),
        TEST(a_taken_name_is_409),
        TEST(a_taken_id_is_400_and_overwrites_nothing),
        TEST(a_put_by_name_with_anothers_id_is_400_and_overwrites_nothing),
        TEST(a_create_below_a_parent_belongs_to_it),
        TEST(a_nested_list_holds_only_the_parents_own),
        TEST(put_below_a_parent_takes_it_over),
        TEST(a_foreign_key_leads_to_its_entity),
        TEST(a_foreign_key_may_be_given_by_name),
        TEST(a_foreign_key_that_leads_nowhere_is_told),
        TEST(a_key_is_made_found_by_workers_and_gone_when_deleted),
        TEST(a_key_belongs_to_its_consumer_alone),
        TEST(a_taken_key_is_409_and_never_repeated),
        TEST(a_changed_key_replaces_the_old_one),
        TEST(deleting_a_consumer_takes_its_keys_along),
        TEST(a_ttl_reaches_the_model_and_shows_what_is_left),
        TEST(a_key_needs_its_consumer),
        TEST(a_plugin_is_made_below_a_route_and_its_config_merges),
        TEST(form_bodies_are_taken),
        TEST(bodies_of_other_types_are_415_without_a_body),
        TEST(broken_json_is_400),
        TEST(pages_follow_one_another),
        TEST(a_bad_page_is_told),
        TEST(what_is_not_there_is_404),
        TEST(a_slash_at_the_end_is_tolerated),
        TEST(wrong_methods_are_405_and_options_lists_the_right_ones),
        TEST(head_is_get_without_its_body),
        TEST(answers_carry_the_usual_headers),
        TEST(the_root_says_what_it_is),
        TEST(a_database_that_cannot_be_read_is_told_and_not_taken_for_an_empty_one),
        TEST(without_a_guard_status_is_empty_and_bans_are_503),
    };

    kg_policies_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
