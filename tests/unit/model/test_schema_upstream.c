/* SPDX-License-Identifier: BSD-2-Clause */
/* Upstreams and targets through the schema: defaults, rules over several fields, records within records. */
#include "schema_test.h"

static int apply(enum kg_entity_id entity, const char *input, const json_t *old, json_t **result,
                 json_t **problem)
{
    json_t *given = parse(input);
    int rc = kg_schema_apply(&kg_entities[entity], old ? KG_WRITE_PATCH : KG_WRITE_CREATE, given, old, result,
                             problem);

    json_decref(given);
    return rc;
}

/* A new reference; old NULL creates, else it is patched. */
static json_t *write_one(enum kg_entity_id entity, const char *input, const json_t *old)
{
    json_t *result = NULL, *problem = NULL;

    if (apply(entity, input, old, &result, &problem))
        fail_msg("%s", json_string_value(json_object_get(problem, "message")));
    return result;
}

static void assert_refused(enum kg_entity_id entity, const char *input, const json_t *old,
                           const char *message, const char *fields)
{
    json_t *result = NULL, *problem = NULL;

    assert_int_equal(apply(entity, input, old, &result, &problem), -EINVAL);
    assert_string_equal(json_string_value(json_object_get(problem, "message")), message);
    assert_json(json_object_get(problem, "fields"), fields);
    json_decref(problem);
}

static void forget_automatic(json_t *entity)
{
    json_object_del(entity, "id");
    json_object_del(entity, "created_at");
    json_object_del(entity, "updated_at");
}

static void assert_field(const json_t *entity, const char *field, const char *text)
{
    assert_string_equal(json_string_value(json_object_get(entity, field)), text);
}

/* What an upstream of this input hashes on, and by which algorithm. */
static void assert_choice(const char *input, const json_t *old, const char *algorithm, const char *hash_on,
                          const char *hash_fallback)
{
    json_t *upstream = write_one(KG_UPSTREAMS, input, old);

    assert_field(upstream, "algorithm", algorithm);
    assert_field(upstream, "hash_on", hash_on);
    assert_field(upstream, "hash_fallback", hash_fallback);
    json_decref(upstream);
}

#define CHECKS(threshold, path)                                                                              \
    "{\"threshold\":" threshold                                                                              \
    ",\"active\":{\"type\":\"http\",\"timeout\":1,\"concurrency\":10,\"http_path\":\"" path                  \
    "\",\"https_sni\":null,\"https_verify_certificate\":true,\"headers\":null,\"healthy\":{\"interval\":0,"  \
    "\"successes\":0,\"http_statuses\":[200,302]},\"unhealthy\":{\"interval\":0,\"http_statuses\":[429,404," \
    "500,501,502,503,504,505],\"tcp_failures\":0,\"timeouts\":0,\"http_failures\":0}},\"passive\":{"         \
    "\"type\":\"http\",\"healthy\":{\"successes\":0,\"http_statuses\":[200,201,202,203,204,205,206,207,208," \
    "226,300,301,302,303,304,305,306,307,308]},\"unhealthy\":{\"http_statuses\":[429,500,503],"              \
    "\"tcp_failures\":0,\"timeouts\":0,\"http_failures\":0}}}"

static void an_upstream_gets_every_field_and_its_defaults(void **state)
{
    json_t *upstream = write_one(KG_UPSTREAMS, "{\"name\":\"pool\"}", NULL);

    forget_automatic(upstream);
    assert_json(
        upstream,
        "{\"name\":\"pool\",\"algorithm\":\"round-robin\",\"hash_on\":\"none\",\"hash_fallback\":\"none\","
        "\"hash_on_header\":null,\"hash_fallback_header\":null,\"hash_on_cookie\":null,"
        "\"hash_on_cookie_path\":\"/\",\"hash_on_query_arg\":null,\"hash_fallback_query_arg\":null,"
        "\"slots\":10000,\"host_header\":null,\"use_srv_name\":false,\"tags\":null,\"healthchecks\":" CHECKS(
            "0", "/") "}");
    json_decref(upstream);
}

static void a_target_gets_its_defaults(void **state)
{
    json_t *target = write_one(KG_TARGETS, "{\"target\":\"h\",\"upstream\":{\"id\":\"" ID_A "\"}}", NULL);

    forget_automatic(target);
    assert_json(target,
                "{\"target\":\"h:8000\",\"weight\":100,\"upstream\":{\"id\":\"" ID_A "\"},\"tags\":null}");
    json_decref(target);
    assert_refused(
        KG_TARGETS, "{\"target\":\"h\",\"weight\":65536}", NULL,
        "2 schema violations (upstream: required field missing; weight: value should be between 0 and "
        "65535)",
        "{\"upstream\":\"required field missing\",\"weight\":\"value should be between 0 and 65535\"}");
}

static void a_patch_merges_the_healthchecks(void **state)
{
    json_t *old = write_one(KG_UPSTREAMS, "{\"name\":\"pool\",\"healthchecks\":{\"threshold\":5}}", NULL),
           *new;

    new = write_one(KG_UPSTREAMS, "{\"healthchecks\":{\"active\":{\"http_path\":\"/up\"}}}", old);
    assert_json(json_object_get(new, "healthchecks"), CHECKS("5", "/up"));
    json_decref(old);
    old = new;
    new = write_one(KG_UPSTREAMS, "{\"healthchecks\":{\"active\":null}}", old);
    assert_json(json_object_get(new, "healthchecks"), CHECKS("5", "/"));
    json_decref(old);
    json_decref(new);
}

static void wrong_healthchecks_are_named_where_they_are(void **state)
{
    assert_refused(
        KG_UPSTREAMS,
        "{\"name\":\"pool\",\"healthchecks\":{\"active\":{\"healthy\":{\"interval\":-1,\"http_statuses\":["
        "200,"
        "99]},\"headers\":{\"Host\":[\"x\"]},\"nope\":1},\"passive\":{\"type\":\"grpc\"}}}",
        NULL,
        "5 schema violations (healthchecks.active.headers.Host: a probe sends its own 'Host' header; "
        "healthchecks.active.healthy.http_statuses.2: value should be between 100 and 999; "
        "healthchecks.active.healthy.interval: value should be between 0 and 65535; "
        "healthchecks.active.nope: unknown field; "
        "healthchecks.passive.type: expected one of: tcp, http, https)",
        "{\"healthchecks\":{\"active\":{\"headers\":{\"Host\":\"a probe sends its own 'Host' header\"},"
        "\"healthy\":{\"http_statuses\":[null,\"value should be between 100 and 999\"],\"interval\":\"value "
        "should be between 0 and 65535\"},\"nope\":\"unknown field\"},\"passive\":{\"type\":\"expected one "
        "of: "
        "tcp, http, https\"}}}");
}

static void names_are_host_names(void **state)
{
    static const char *const wrong[][2] = {
        { "10.0.0.1", "Invalid name; no ip addresses allowed" },
        { "[::1]", "Invalid name; no ip addresses allowed" },
        { "pool:80", "Invalid name; no port allowed" },
        { "po ol", "Invalid name; must be a valid hostname" },
    };
    char input[64], message[128], fields[128];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(input, sizeof(input), "{\"name\":\"%s\"}", wrong[i][0]);
        snprintf(message, sizeof(message), "schema violation (name: %s)", wrong[i][1]);
        snprintf(fields, sizeof(fields), "{\"name\":\"%s\"}", wrong[i][1]);
        assert_refused(KG_UPSTREAMS, input, NULL, message, fields);
    }
}

static void to_hash_on_something_is_to_hash(void **state)
{
    json_t *hashing =
        write_one(KG_UPSTREAMS, "{\"name\":\"p\",\"hash_on\":\"ip\",\"hash_fallback\":\"path\"}", NULL);

    assert_choice("{\"name\":\"p\",\"hash_on\":\"consumer\",\"hash_fallback\":\"ip\"}", NULL,
                  "consistent-hashing", "consumer", "ip");
    assert_choice("{\"name\":\"p\",\"hash_on\":\"ip\",\"algorithm\":\"round-robin\"}", NULL,
                  "consistent-hashing", "ip", "none");
    assert_choice("{\"hash_on\":\"none\"}", hashing, "round-robin", "none", "none");
    assert_choice("{\"algorithm\":\"least-connections\"}", hashing, "least-connections", "none", "none");
    assert_choice("{\"hash_on\":\"none\",\"algorithm\":\"least-connections\"}", hashing, "least-connections",
                  "none", "none");
    assert_choice("{\"tags\":[\"x\"]}", hashing, "consistent-hashing", "ip", "path");
    json_decref(hashing);
}

#define GIVEN(field) "failed conditional validation given value of field '" field "'"

static void what_is_hashed_by_name_needs_the_name(void **state)
{
    assert_refused(KG_UPSTREAMS, "{\"name\":\"p\",\"hash_on\":\"header\"}", NULL,
                   "2 schema violations (" GIVEN("hash_on") "; hash_on_header: required field missing)",
                   "{\"@entity\":[\"" GIVEN("hash_on") "\"],\"hash_on_header\":\"required field missing\"}");
    assert_refused(
        KG_UPSTREAMS, "{\"name\":\"p\",\"hash_on\":\"ip\",\"hash_fallback\":\"query_arg\"}", NULL,
        "2 schema violations (" GIVEN("hash_fallback") "; hash_fallback_query_arg: required field missing)",
        "{\"@entity\":[\"" GIVEN(
            "hash_fallback") "\"],\"hash_fallback_query_arg\":\"required field missing\"}");
    assert_refused(KG_UPSTREAMS, "{\"name\":\"p\",\"hash_on\":\"cookie\"}", NULL,
                   "2 schema violations (" GIVEN("hash_on") "; hash_on_cookie: required field missing)",
                   "{\"@entity\":[\"" GIVEN("hash_on") "\"],\"hash_on_cookie\":\"required field missing\"}");
}

static void a_fallback_falls_back_on_something_else(void **state)
{
    static const char none[] =
        "{\"@entity\":[\"" GIVEN("hash_on") "\"],\"hash_fallback\":\"expected one of: none\"}";

    assert_refused(KG_UPSTREAMS, "{\"name\":\"p\",\"hash_fallback\":\"ip\"}", NULL,
                   "2 schema violations (" GIVEN("hash_on") "; hash_fallback: expected one of: none)", none);
    assert_refused(
        KG_UPSTREAMS,
        "{\"name\":\"p\",\"hash_on\":\"cookie\",\"hash_on_cookie\":\"c\",\"hash_fallback\":\"ip\"}", NULL,
        "2 schema violations (" GIVEN("hash_on") "; hash_fallback: expected one of: none)", none);
    assert_refused(
        KG_UPSTREAMS, "{\"name\":\"p\",\"hash_on\":\"ip\",\"hash_fallback\":\"ip\"}", NULL,
        "2 schema violations (" GIVEN("hash_on") "; hash_fallback: must not be equal to hash_on)",
        "{\"@entity\":[\"" GIVEN("hash_on") "\"],\"hash_fallback\":\"must not be equal to hash_on\"}");
    /* Two headers are two things; one header is not. */
    json_decref(write_one(
        KG_UPSTREAMS,
        "{\"name\":\"p\",\"hash_on\":\"header\",\"hash_on_header\":\"a\",\"hash_fallback\":\"header\","
        "\"hash_fallback_header\":\"b\"}",
        NULL));
    assert_refused(
        KG_UPSTREAMS,
        "{\"name\":\"p\",\"hash_on\":\"header\",\"hash_on_header\":\"a\",\"hash_fallback\":\"header\","
        "\"hash_fallback_header\":\"A\"}",
        NULL,
        "schema violation (values of these fields must be distinct: 'hash_on_header', "
        "'hash_fallback_header')",
        "{\"@entity\":[\"values of these fields must be distinct: 'hash_on_header', "
        "'hash_fallback_header'\"]}");
}

static void what_keygate_cannot_do_is_refused_by_name(void **state)
{
    assert_refused(
        KG_UPSTREAMS,
        "{\"name\":\"p\",\"algorithm\":\"latency\",\"use_srv_name\":true,\"hash_on_uri_capture\":\"x\"}",
        NULL,
        "3 schema violations (algorithm: expected one of: consistent-hashing, least-connections, "
        "round-robin; hash_on_uri_capture: unknown field; use_srv_name: value must be false: SRV records are "
        "not looked up)",
        "{\"algorithm\":\"expected one of: consistent-hashing, least-connections, round-robin\","
        "\"hash_on_uri_capture\":\"unknown field\",\"use_srv_name\":\"value must be false: SRV records are "
        "not "
        "looked up\"}");
}

static void slots_cookies_and_host_headers_have_bounds(void **state)
{
    assert_refused(
        KG_UPSTREAMS,
        "{\"name\":\"p\",\"slots\":9,\"hash_on_cookie\":\"a "
        "b\",\"hash_on_cookie_path\":\"x\",\"host_header\":\"a/b\"}",
        NULL,
        "4 schema violations (hash_on_cookie: 'a b' is not a valid cookie name; hash_on_cookie_path: should "
        "start with: /; host_header: invalid value: a/b; slots: value should be between 10 and 65536)",
        "{\"slots\":\"value should be between 10 and 65536\",\"hash_on_cookie\":\"'a b' is not a valid "
        "cookie "
        "name\",\"hash_on_cookie_path\":\"should start with: /\",\"host_header\":\"invalid value: a/b\"}");
    json_decref(
        write_one(KG_UPSTREAMS, "{\"name\":\"p\",\"slots\":65536,\"host_header\":\"a.example:8080\"}", NULL));
}

static void targets_are_stored_in_one_form(void **state)
{
    static const char *const forms[][2] = {
        { "10.0.0.1", "10.0.0.1:8000" },
        { "10.0.0.1:80", "10.0.0.1:80" },
        { "App.Example", "app.example:8000" },
        { "app.example:065", "app.example:65" },
        { "[2001:DB8:0::1]:80", "[2001:db8::1]:80" },
        { "[::1]", "[::1]:8000" },
        { "2001:db8::1", "[2001:db8::1]:8000" },
    };
    static const char *const wrong[] = { "h:0",  "h:65536", "h:99999999999999999999",
                                         "h:",   "a b",     "http://h",
                                         "[::1", "::g",     ":80" };
    char input[128];

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        snprintf(input, sizeof(input), "{\"target\":\"%s\",\"upstream\":{\"id\":\"" ID_A "\"}}", forms[i][0]);
        json_t *target = write_one(KG_TARGETS, input, NULL);
        assert_field(target, "target", forms[i][1]);
        json_decref(target);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char message[160], fields[160];

        snprintf(input, sizeof(input), "{\"target\":\"%s\",\"upstream\":{\"id\":\"" ID_A "\"}}", wrong[i]);
        snprintf(fields, sizeof(fields),
                 "{\"target\":\"Invalid target ('%s'); not a valid hostname or ip address\"}", wrong[i]);
        snprintf(message, sizeof(message),
                 "schema violation (target: Invalid target ('%s'); not a valid hostname or ip address)",
                 wrong[i]);
        assert_refused(KG_TARGETS, input, NULL, message, fields);
    }
}

static void a_fraction_of_a_second_is_left_off(void **state)
{
    json_t *target = write_one(
        KG_TARGETS, "{\"target\":\"h\",\"upstream\":{\"id\":\"" ID_A "\"},\"created_at\":1712345678.123}",
        NULL);

    assert_json(json_object_get(target, "created_at"), "1712345678");
    json_decref(target);
}

static void forms_reach_into_records(void **state)
{
    struct kg_error err = { "" };
    json_t *got = kg_schema_from_form(&kg_entities[KG_UPSTREAMS],
                                      KG_SLICE("name=p&slots=20&healthchecks.active.healthy.http_statuses[]="
                                               "200&healthchecks.active.healthy.http_statuses"
                                               "[]=204&healthchecks.active.timeout=0.5&healthchecks.active."
                                               "headers.x-a=b&healthchecks.passive.healthy."
                                               "http_statuses=201"),
                                      &err);

    assert_json(got, "{\"name\":\"p\",\"slots\":20,\"healthchecks\":{\"active\":{\"healthy\":{\"http_"
                     "statuses\":[200,204]},"
                     "\"timeout\":0.5,\"headers\":{\"x-a\":[\"b\"]}},\"passive\":{\"healthy\":{\"http_"
                     "statuses\":[201]}}}}");
    json_decref(got);
}

static void retries_have_bounds(void **state)
{
    assert_refused(KG_SERVICES, "{\"host\":\"h\",\"retries\":32768}", NULL,
                   "schema violation (retries: value should be between 0 and 32767)",
                   "{\"retries\":\"value should be between 0 and 32767\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upstream_gets_every_field_and_its_defaults),
        cmocka_unit_test(a_target_gets_its_defaults),
        cmocka_unit_test(a_patch_merges_the_healthchecks),
        cmocka_unit_test(wrong_healthchecks_are_named_where_they_are),
        cmocka_unit_test(names_are_host_names),
        cmocka_unit_test(to_hash_on_something_is_to_hash),
        cmocka_unit_test(what_is_hashed_by_name_needs_the_name),
        cmocka_unit_test(a_fallback_falls_back_on_something_else),
        cmocka_unit_test(what_keygate_cannot_do_is_refused_by_name),
        cmocka_unit_test(slots_cookies_and_host_headers_have_bounds),
        cmocka_unit_test(targets_are_stored_in_one_form),
        cmocka_unit_test(a_fraction_of_a_second_is_left_off),
        cmocka_unit_test(forms_reach_into_records),
        cmocka_unit_test(retries_have_bounds),
    };

    return cmocka_run_group_tests(tests, register_plugins, NULL);
}
