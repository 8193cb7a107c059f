/* SPDX-License-Identifier: BSD-2-Clause */
/* Upstreams, targets and their health over the Admin API. */
#include "fixture.h"

#include <sqlite3.h>

#define NOT_FOUND "{\"message\":\"Not found\"}"

static void make_upstreams(struct api *api)
{
    assert_int_equal(status_of(api, "POST", "/upstreams", "{\"name\":\"pool\"}"), 201);
    assert_int_equal(status_of(api, "POST", "/upstreams", "{\"name\":\"second\"}"), 201);
}

static unsigned make_target(struct api *api, const char *upstream, const char *target)
{
    char path[64], body[128];

    snprintf(path, sizeof(path), "/upstreams/%s/targets", upstream);
    snprintf(body, sizeof(body), "{\"target\":\"%s\"}", target);
    return status_of(api, "POST", path, body);
}

/* The member of a list's element, as compact JSON, is this text. */
static void expect_member(struct api *api, const char *path, size_t at, const char *name, const char *want)
{
    struct reply reply = send_json(api, "GET", path, NULL);
    json_t *value = json_object_get(json_array_get(json_object_get(reply.json, "data"), at), name);
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    assert_int_equal(reply.status, 200);
    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
    drop(&reply);
}

static size_t length_of(struct api *api, const char *path)
{
    struct reply reply = send_json(api, "GET", path, NULL);
    size_t size = json_array_size(json_object_get(reply.json, "data"));

    assert_int_equal(reply.status, 200);
    drop(&reply);
    return size;
}

static void an_upstream_is_made_found_changed_and_deleted(void **state)
{
    struct api *api = *state;

    make_upstreams(api);
    assert_int_equal(status_of(api, "GET", "/upstreams/pool", NULL), 200);
    /* Names that differ in case alone would both mean one service's host. */
    expect_text(
        api, "POST", "/upstreams", "{\"name\":\"POOL\"}", 409,
        "{\"code\":5,\"name\":\"unique constraint violation\",\"message\":\"UNIQUE violation detected on "
        "'{name=\\\"POOL\\\"}'\",\"fields\":{\"name\":\"POOL\"}}");
    assert_int_equal(
        status_of(api, "PATCH", "/upstreams/pool", "{\"healthchecks\":{\"active\":{\"timeout\":0.1}}}"), 200);
    struct reply reply = send_json(api, "GET", "/upstreams/pool", NULL);
    assert_non_null(strstr(reply.body, "\"timeout\":0.1,\"concurrency\":10"));
    drop(&reply);
    assert_int_equal(length_of(api, "/upstreams"), 2);
    assert_int_equal(status_of(api, "DELETE", "/upstreams/pool", NULL), 204);
    expect_text(api, "GET", "/upstreams/pool", NULL, 404, NOT_FOUND);
}

static void targets_live_below_their_upstream(void **state)
{
    struct api *api = *state;

    make_upstreams(api);
    assert_int_equal(make_target(api, "pool", "Host.example"), 201);
    assert_int_equal(make_target(api, "second", "host.example:8000"), 201);
    assert_int_equal(make_target(api, "nowhere", "host.example"), 404);
    expect_text(api, "GET", "/targets", NULL, 404, NOT_FOUND);
    expect_text(api, "POST", "/targets", "{\"target\":\"h\"}", 404, NOT_FOUND);
    expect_text(api, "GET", "/targets/host.example:8000/upstream", NULL, 404, NOT_FOUND);
    expect_member(api, "/upstreams/pool/targets", 0, "target", "\"host.example:8000\"");
    expect_member(api, "/upstreams/pool/targets/all", 0, "target", "\"host.example:8000\"");
    assert_int_equal(length_of(api, "/upstreams/pool/targets"), 1);
}

static void a_target_is_named_by_id_or_by_host_and_port(void **state)
{
    struct api *api = *state;
    char second[40], path[128];

    make_upstreams(api);
    assert_int_equal(make_target(api, "pool", "host.example"), 201);
    struct reply reply = send_json(api, "POST", "/upstreams/second/targets", "{\"target\":\"host.example\"}");
    snprintf(second, sizeof(second), "%s", json_string_value(json_object_get(reply.json, "id")));
    drop(&reply);
    /* The one that is meant is this upstream's, in any spelling. */
    assert_int_equal(status_of(api, "PATCH", "/upstreams/second/targets/HOST.example", "{\"weight\":7}"),
                     200);
    expect_member(api, "/upstreams/second/targets", 0, "weight", "7");
    expect_member(api, "/upstreams/pool/targets", 0, "weight", "100");
    snprintf(path, sizeof(path), "/upstreams/second/targets/%s", second);
    assert_int_equal(status_of(api, "GET", path, NULL), 200);
    snprintf(path, sizeof(path), "/upstreams/pool/targets/%s", second);
    expect_text(api, "GET", path, NULL, 404, NOT_FOUND);
    expect_text(api, "PUT", path, "{\"target\":\"x\"}", 404, NOT_FOUND);
    expect_text(api, "DELETE", path, NULL, 404, NOT_FOUND);
    expect_text(api, "GET", "/upstreams/pool/targets/host.example:81", NULL, 404, NOT_FOUND);
    assert_int_equal(status_of(api, "DELETE", "/upstreams/pool/targets/host.example:8000", NULL), 204);
    assert_int_equal(length_of(api, "/upstreams/pool/targets"), 0);
    assert_int_equal(length_of(api, "/upstreams/second/targets"), 1);
}

static void put_changes_a_target_and_makes_none(void **state)
{
    struct api *api = *state;

    make_upstreams(api);
    assert_int_equal(make_target(api, "pool", "host.example"), 201);
    assert_int_equal(status_of(api, "PUT", "/upstreams/pool/targets/host.example:8000", "{\"weight\":3}"),
                     200);
    expect_member(api, "/upstreams/pool/targets", 0, "weight", "3");
    expect_text(api, "PUT", "/upstreams/pool/targets/other.example:8000", "{\"weight\":3}", 404, NOT_FOUND);
}

static void the_same_target_twice_is_409(void **state)
{
    struct api *api = *state;

    make_upstreams(api);
    assert_int_equal(make_target(api, "pool", "host.example"), 201);
    assert_int_equal(make_target(api, "pool", "HOST.example:8000"), 409);
    assert_int_equal(make_target(api, "pool", "host.example:8001"), 201);
    assert_int_equal(
        status_of(api, "PATCH", "/upstreams/pool/targets/host.example:8001", "{\"target\":\"host.example\"}"),
        409);
}

static void an_upstream_takes_its_targets_along(void **state)
{
    struct api *api = *state;

    make_upstreams(api);
    assert_int_equal(make_target(api, "pool", "10.0.0.1"), 201);
    assert_int_equal(status_of(api, "DELETE", "/upstreams/pool", NULL), 204);
    assert_int_equal(status_of(api, "POST", "/upstreams", "{\"name\":\"pool\"}"), 201);
    assert_int_equal(length_of(api, "/upstreams/pool/targets"), 0);
}

#define ADDRESSES(ip, health)                                                                                \
    "{\"addresses\":[{\"ip\":\"" ip "\",\"port\":8000,\"health\":\"" health "\",\"weight\":100}]}"

static void health_shows_each_address(void **state)
{
    struct api *api = *state;
    const struct kg_addr two[] = { { 4, { 192, 0, 2, 7 } }, { 4, { 192, 0, 2, 8 } } };

    make_upstreams(api);
    assert_int_equal(make_target(api, "pool", "10.0.0.1"), 201);
    assert_int_equal(make_target(api, "pool", "lost.example"), 201);
    assert_int_equal(make_target(api, "pool", "two.example"), 201);
    assert_true(kg_model_set_addresses(api->model, "two.example", two, 2));
    expect_member(api, "/upstreams/pool/health", 0, "health", "\"HEALTHCHECKS_OFF\"");
    expect_member(api, "/upstreams/pool/health", 0, "data", ADDRESSES("10.0.0.1", "HEALTHCHECKS_OFF"));
    expect_member(api, "/upstreams/pool/health", 1, "health", "\"DNS_ERROR\"");
    expect_member(api, "/upstreams/pool/health", 1, "data", "{\"addresses\":[]}");
    assert_int_equal(status_of(api, "PATCH", "/upstreams/pool",
                               "{\"healthchecks\":{\"passive\":{\"unhealthy\":{\"timeouts\":2}}}}"),
                     200);
    expect_member(api, "/upstreams/pool/health", 0, "health", "\"HEALTHY\"");
    expect_member(api, "/upstreams/pool/health?size=1", 0, "target", "\"10.0.0.1:8000\"");
    assert_int_equal(length_of(api, "/upstreams/pool/health?size=1"), 1);
    expect_text(api, "GET", "/upstreams/nowhere/health", NULL, 404, NOT_FOUND);
    expect_text(api, "POST", "/upstreams/pool/health", "{}", 405, "{\"message\":\"Method not allowed\"}");
}

static void an_operator_says_who_is_healthy(void **state)
{
    struct api *api = *state;
    const struct kg_addr two[] = { { 4, { 192, 0, 2, 7 } }, { 6, { 0x20, 1, [15] = 1 } } };

    make_upstreams(api);
    assert_int_equal(make_target(api, "pool", "10.0.0.1"), 201);
    assert_int_equal(make_target(api, "pool", "two.example"), 201);
    assert_int_equal(make_target(api, "pool", "lost.example"), 201);
    assert_true(kg_model_set_addresses(api->model, "two.example", two, 2));
    expect_text(api, "PUT", "/upstreams/pool/targets/10.0.0.1:8000/unhealthy", NULL, 204, "");
    expect_member(api, "/upstreams/pool/health", 0, "data", ADDRESSES("10.0.0.1", "UNHEALTHY"));
    expect_member(api, "/upstreams/pool/health", 0, "health", "\"UNHEALTHY\"");
    expect_text(api, "PUT", "/upstreams/pool/targets/10.0.0.1:8000/healthy", "{}", 204, "");
    expect_member(api, "/upstreams/pool/health", 0, "health", "\"HEALTHCHECKS_OFF\"");
    /* One address of two: the target is still there. */
    expect_text(api, "PUT", "/upstreams/pool/targets/two.example/[2001::1]:8000/unhealthy", NULL, 204, "");
    expect_member(api, "/upstreams/pool/health", 1, "health", "\"HEALTHCHECKS_OFF\"");
    expect_text(api, "PUT", "/upstreams/pool/targets/two.example/192.0.2.7/unhealthy", NULL, 204, "");
    expect_member(api, "/upstreams/pool/health", 1, "health", "\"UNHEALTHY\"");
    expect_text(api, "PUT", "/upstreams/pool/targets/two.example/192.0.2.9/unhealthy", NULL, 404, NOT_FOUND);
    expect_text(api, "PUT", "/upstreams/pool/targets/two.example/192.0.2.7:8001/healthy", NULL, 404,
                NOT_FOUND);
    expect_text(api, "PUT", "/upstreams/pool/targets/two.example/nonsense/healthy", NULL, 404, NOT_FOUND);
    expect_text(api, "PUT", "/upstreams/pool/targets/two.example/]:80/healthy", NULL, 404, NOT_FOUND);
    expect_text(api, "PUT", "/upstreams/second/targets/two.example/healthy", NULL, 404, NOT_FOUND);
    expect_text(api, "PUT", "/upstreams/pool/targets/lost.example/healthy", NULL, 400,
                "{\"message\":\"the target has no address\"}");
    struct reply reply = send_as(api, "PUT", "/upstreams/pool/targets/two.example/healthy",
                                 "application/x-www-form-urlencoded", "a=b");
    assert_int_equal(reply.status, 204);
    drop(&reply);
    expect_text(api, "GET", "/upstreams/pool/targets/two.example/healthy", NULL, 405,
                "{\"message\":\"Method not allowed\"}");
}

static void the_upstream_as_a_whole_has_a_health(void **state)
{
    struct api *api = *state;

    assert_int_equal(
        status_of(api, "POST", "/upstreams",
                  "{\"id\":\"11111111-1111-4111-8111-111111111111\",\"name\":\"pool\",\"healthchecks\":{"
                  "\"threshold\":60,\"passive\":{\"unhealthy\":{\"timeouts\":2}}}}"),
        201);
    assert_int_equal(make_target(api, "pool", "10.0.0.1"), 201);
    assert_int_equal(make_target(api, "pool", "10.0.0.2"), 201);
    expect_text(
        api, "GET", "/upstreams/pool/health?balancer_health=1", NULL, 200,
        "{\"data\":{\"id\":\"11111111-1111-4111-8111-111111111111\",\"health\":\"HEALTHY\",\"details\":{"
        "\"weight\":{\"total\":200,\"available\":200,\"unavailable\":0}}}}");
    assert_int_equal(status_of(api, "PUT", "/upstreams/pool/targets/10.0.0.1/unhealthy", NULL), 204);
    expect_text(
        api, "GET", "/upstreams/pool/health?balancer_health=1", NULL, 200,
        "{\"data\":{\"id\":\"11111111-1111-4111-8111-111111111111\",\"health\":\"UNHEALTHY\",\"details\":{"
        "\"weight\":{\"total\":200,\"available\":100,\"unavailable\":100}}}}");
}

static void health_is_not_told_of_targets_that_cannot_be_read(void **state)
{
    struct api *api = *state;
    char path[128];
    sqlite3 *db;

    assert_int_equal(status_of(api, "POST", "/upstreams", "{\"name\":\"pool\"}"), 201);
    snprintf(path, sizeof(path), "%s/keygate.db", api->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE targets RENAME TO away", NULL, NULL, NULL), SQLITE_OK);
    expect_text(api, "GET", "/upstreams/pool/health", NULL, 500,
                "{\"message\":\"the database cannot be read\"}");
    expect_text(api, "GET", "/upstreams/pool/health?balancer_health=1", NULL, 500,
                "{\"message\":\"the database cannot be read\"}");
    sqlite3_close(db);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_upstream_is_made_found_changed_and_deleted),
        TEST(targets_live_below_their_upstream),
        TEST(a_target_is_named_by_id_or_by_host_and_port),
        TEST(put_changes_a_target_and_makes_none),
        TEST(the_same_target_twice_is_409),
        TEST(an_upstream_takes_its_targets_along),
        TEST(health_shows_each_address),
        TEST(an_operator_says_who_is_healthy),
        TEST(the_upstream_as_a_whole_has_a_health),
        TEST(health_is_not_told_of_targets_that_cannot_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
