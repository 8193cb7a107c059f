/* SPDX-License-Identifier: BSD-2-Clause */
/* The schema: every rule with the exact error object that a client sees. */
#include "schema_test.h"

static json_t *apply(enum kg_entity_id entity, enum kg_write write, const char *input, const json_t *old)
{
    json_t *given = parse(input), *result = NULL, *problem = NULL;
    int rc = kg_schema_apply(&kg_entities[entity], write, given, old, &result, &problem);

    if (rc)
        fail_msg("refused: %s", json_string_value(json_object_get(problem, "message")));
    json_decref(given);
    return result;
}

static json_t *create(enum kg_entity_id entity, const char *input)
{
    return apply(entity, KG_WRITE_CREATE, input, NULL);
}

static json_t *refuse(enum kg_entity_id entity, enum kg_write write, const char *input, const json_t *old)
{
    json_t *given = parse(input), *result = NULL, *problem = NULL;

    assert_int_equal(kg_schema_apply(&kg_entities[entity], write, given, old, &result, &problem), -EINVAL);
    assert_null(result);
    json_decref(given);
    return problem;
}

/* The whole error object of a refused create: its message's inside, and its fields. */
static void assert_refused(enum kg_entity_id entity, const char *input, const char *message,
                           const char *fields)
{
    json_t *problem = refuse(entity, KG_WRITE_CREATE, input, NULL);

    assert_string_equal(json_string_value(json_object_get(problem, "message")), message);
    assert_json(json_object_get(problem, "fields"), fields);
    assert_int_equal(json_integer_value(json_object_get(problem, "code")), 2);
    assert_string_equal(json_string_value(json_object_get(problem, "name")), "schema violation");
    assert_int_equal(json_object_size(problem), 4);
    json_decref(problem);
}

static void assert_member(const json_t *object, const char *name, const char *expected)
{
    assert_json(json_object_get(object, name), expected);
}

/* A one-element value in an array field of a route is refused with this message. */
static void assert_element_refused(const char *field, const char *value, const char *message)
{
    char input[6000], fields[512], whole[512];

    snprintf(input, sizeof(input), "{\"paths\":[\"/ok\"],\"%s\":[\"%s\"]}", field, value);
    if (strcmp(field, "paths") == 0)
        snprintf(input, sizeof(input), "{\"paths\":[\"%s\"]}", value);
    snprintf(fields, sizeof(fields), "{\"%s\":[\"%s\"]}", field, message);
    snprintf(whole, sizeof(whole), "schema violation (%s.1: %s)", field, message);
    assert_refused(KG_ROUTES, input, whole, fields);
}

static void assert_string_refused(enum kg_entity_id entity, const char *rest, const char *field,
                                  const char *value, const char *message)
{
    char input[6000], fields[512], whole[512];

    snprintf(input, sizeof(input), "{%s\"%s\":\"%s\"}", rest, field, value);
    snprintf(fields, sizeof(fields), "{\"%s\":\"%s\"}", field, message);
    snprintf(whole, sizeof(whole), "schema violation (%s: %s)", field, message);
    assert_refused(entity, input, whole, fields);
}

static void service_gets_every_field_and_its_defaults(void **state)
{
    int64_t now = kg_clock_wall();
    json_t *service = create(KG_SERVICES, "{\"host\":\"example.com\"}");

    assert_true(kg_uuid_valid(kg_slice_str(json_string_value(json_object_get(service, "id")))));
    assert_in_range(json_integer_value(json_object_get(service, "created_at")), now, now + 2);
    assert_in_range(json_integer_value(json_object_get(service, "updated_at")), now, now + 2);
    json_object_del(service, "id");
    json_object_del(service, "created_at");
    json_object_del(service, "updated_at");
    assert_json(service,
                "{\"name\":null,\"protocol\":\"http\",\"host\":\"example.com\",\"port\":80,\"path\":null,"
                "\"retries\":5,\"connect_timeout\":60000,\"write_timeout\":60000,\"read_timeout\":60000,"
                "\"enabled\":true,\"tls_verify\":null,\"tls_verify_depth\":null,\"ca_certificates\":null,"
                "\"client_certificate\":null,\"tags\":null}");
    json_decref(service);
}

static void route_consumer_credential_and_plugin_get_their_defaults(void **state)
{
    json_t *route = create(KG_ROUTES, "{\"id\":\"" ID_A "\",\"created_at\":7,\"paths\":[\"/a\"]}");
    json_t *plugin = create(KG_PLUGINS, "{\"name\":\"keys\"}");
    json_t *key = create(KG_KEYAUTH_CREDENTIALS, "{\"consumer\":{\"id\":\"" ID_A "\"}}");
    const char *text = json_string_value(json_object_get(key, "key"));

    json_object_del(route, "updated_at");
    assert_json(route,
                "{\"id\":\"" ID_A
                "\",\"created_at\":7,\"name\":null,\"service\":null,\"protocols\":[\"http\",\"https\"],"
                "\"methods\":null,\"hosts\":null,\"paths\":[\"/"
                "a\"],\"headers\":null,\"snis\":null,\"regex_priority\":0,\"https_redirect_status_code\":426,"
                "\"strip_path\":true,"
                "\"preserve_host\":false,\"tags\":null}");
    assert_member(plugin, "config",
                  "{\"key_names\":[\"apikey\"],\"key_in_header\":true,\"factor\":null,"
                  "\"realm\":null,\"more\":{\"depth\":null,\"note\":null}}");
    assert_member(plugin, "protocols", "[\"grpc\",\"grpcs\",\"http\",\"https\"]");
    assert_member(plugin, "service", "null");
    assert_member(plugin, "enabled", "true");
    assert_int_equal(strlen(text), 32);
    assert_int_equal(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"), 32);
    assert_member(key, "ttl", "null");
    assert_null(json_object_get(key, "updated_at"));
    json_decref(route);
    json_decref(plugin);
    json_decref(key);
}

static void null_means_the_default(void **state)
{
    json_t *service = create(KG_SERVICES, "{\"host\":\"a\",\"port\":null,\"protocol\":null,\"id\":null}");

    assert_member(service, "port", "80");
    assert_member(service, "protocol", "\"http\"");
    assert_true(json_is_string(json_object_get(service, "id")));
    json_decref(service);
}

static void ids_are_lower_case_and_sets_are_distinct_in_order(void **state)
{
    json_t *route = create(
        KG_ROUTES, "{\"id\":\"ABCDEF00-1111-4111-8111-111111111111\",\"paths\":[\"/b\",\"/a\",\"/b\"]}");

    assert_member(route, "id", "\"abcdef00-1111-4111-8111-111111111111\"");
    assert_member(route, "paths", "[\"/b\",\"/a\"]");
    json_decref(route);
}

static void wrong_types_are_named(void **state)
{
    assert_refused(
        KG_SERVICES, "{\"host\":1,\"port\":\"x\",\"enabled\":1,\"tags\":\"t\",\"id\":\"x\"}",
        "5 schema violations (enabled: expected a boolean; host: expected a string; id: expected a valid "
        "UUID; "
        "port: expected an integer; tags: expected a set)",
        "{\"host\":\"expected a string\",\"port\":\"expected an integer\",\"enabled\":\"expected a boolean\","
        "\"tags\":\"expected a set\",\"id\":\"expected a valid UUID\"}");
    assert_refused(KG_PLUGINS, "{\"name\":\"keys\",\"config\":3,\"route\":\"r\"}",
                   "2 schema violations (config: expected a record; route: expected a record)",
                   "{\"config\":\"expected a record\",\"route\":\"expected a record\"}");
    assert_refused(KG_PLUGINS, "{\"name\":\"keys\",\"config\":{\"factor\":\"1\"}}",
                   "schema violation (config.factor: expected a number)",
                   "{\"config\":{\"factor\":\"expected a number\"}}");
    assert_refused(KG_SERVICES, "{\"host\":\"a\",\"created_at\":0}",
                   "schema violation (created_at: expected a valid timestamp)",
                   "{\"created_at\":\"expected a valid timestamp\"}");
    assert_refused(KG_SERVICES, "[]", "schema violation (expected a record)",
                   "{\"@entity\":[\"expected a record\"]}");
}

static void unknown_fields_are_refused_by_name(void **state)
{
    assert_refused(KG_SERVICES, "{\"host\":\"a\",\"attempts\":5}",
                   "schema violation (attempts: unknown field)", "{\"attempts\":\"unknown field\"}");
    assert_refused(KG_ROUTES,
                   "{\"paths\":[\"/\"],\"sources\":{},\"destinations\":0,\"path_handling\":\"v0\"}",
                   "3 schema violations (destinations: unknown field; path_handling: unknown field; "
                   "sources: unknown field)",
                   "{\"sources\":\"unknown field\",\"destinations\":\"unknown field\","
                   "\"path_handling\":\"unknown field\"}");
    assert_refused(KG_PLUGINS, "{\"name\":\"keys\",\"config\":{\"more\":{\"x\":1},\"key_in_body\":true}}",
                   "2 schema violations (config.key_in_body: unknown field; config.more.x: unknown field)",
                   "{\"config\":{\"key_in_body\":\"unknown field\",\"more\":{\"x\":\"unknown field\"}}}");
}

static void required_and_empty_values_are_refused(void **state)
{
    assert_refused(KG_SERVICES, "{}", "schema violation (host: required field missing)",
                   "{\"host\":\"required field missing\"}");
    assert_refused(KG_KEYAUTH_CREDENTIALS, "{}", "schema violation (consumer: required field missing)",
                   "{\"consumer\":\"required field missing\"}");
    assert_string_refused(KG_SERVICES, "\"host\":\"a\",", "name", "", "length must be at least 1");
    assert_refused(KG_ROUTES, "{\"paths\":[\"/\"],\"protocols\":[]}",
                   "schema violation (protocols: length must be at least 1)",
                   "{\"protocols\":\"length must be at least 1\"}");
}

static void numbers_have_bounds(void **state)
{
    assert_refused(
        KG_SERVICES, "{\"host\":\"a\",\"port\":0,\"connect_timeout\":0,\"read_timeout\":2147483647}",
        "3 schema violations (connect_timeout: value should be between 1 and 2147483646; port: value should "
        "be between 1 and 65535; read_timeout: value should be between 1 and 2147483646)",
        "{\"port\":\"value should be between 1 and 65535\",\"connect_timeout\":\"value should be between 1 "
        "and 2147483646\",\"read_timeout\":\"value should be between 1 and 2147483646\"}");
    assert_refused(KG_SERVICES, "{\"host\":\"a\",\"port\":65536}",
                   "schema violation (port: value should be between 1 and 65535)",
                   "{\"port\":\"value should be between 1 and 65535\"}");
    assert_refused(KG_KEYAUTH_CREDENTIALS, "{\"consumer\":{\"id\":\"" ID_A "\"},\"ttl\":100000001}",
                   "schema violation (ttl: value should be between 0 and 100000000)",
                   "{\"ttl\":\"value should be between 0 and 100000000\"}");
    assert_refused(KG_PLUGINS, "{\"name\":\"keys\",\"config\":{\"factor\":2.5}}",
                   "schema violation (config.factor: value should be between 0 and 2)",
                   "{\"config\":{\"factor\":\"value should be between 0 and 2\"}}");
    json_decref(create(KG_SERVICES, "{\"host\":\"a\",\"port\":65535,\"write_timeout\":2147483646}"));
}

static void protocols_are_those_that_there_are(void **state)
{
    assert_string_refused(KG_SERVICES, "\"host\":\"a\",", "protocol", "tls", "expected one of: http, https");
    static const char *const others[] = { "grpc", "grpcs", "tcp", "tls", "tls_passthrough", "udp", "ws" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_element_refused("protocols", others[i], "expected one of: http, https");
    assert_refused(KG_ROUTES, "{\"paths\":[\"/\"],\"https_redirect_status_code\":303}",
                   "schema violation (https_redirect_status_code: expected one of: 426, 301, 302, 307, 308)",
                   "{\"https_redirect_status_code\":\"expected one of: 426, 301, 302, 307, 308\"}");
    json_decref(create(KG_ROUTES,
                       "{\"paths\":[\"/\"],\"protocols\":[\"https\"],\"https_redirect_status_code\":308}"));
    assert_string_refused(KG_SERVICES, "\"host\":\"a\",", "protocol", "HTTP", "expected one of: http, https");
    assert_refused(KG_PLUGINS, "{\"name\":\"keys\",\"protocols\":[\"http\",\"tcp\"]}",
                   "schema violation (protocols.2: expected one of: grpc, grpcs, http, https)",
                   "{\"protocols\":[null,\"expected one of: grpc, grpcs, http, https\"]}");
    /* Such a plugin would look at no request at all. */
    assert_refused(
        KG_PLUGINS, "{\"name\":\"keys\",\"protocols\":[\"grpcs\",\"grpc\"]}",
        "schema violation (protocols: must contain 'http' or 'https', the protocols that requests come by)",
        "{\"protocols\":\"must contain 'http' or 'https', the protocols that requests come by\"}");
    json_decref(create(KG_PLUGINS, "{\"name\":\"keys\",\"protocols\":[\"https\",\"http\"]}"));
    json_decref(create(KG_PLUGINS, "{\"name\":\"keys\",\"protocols\":[\"https\"]}"));
}

static void service_hosts_are_names_or_addresses_without_port(void **state)
{
    static const char *const good[] = { "example.com", "127.0.0.1", "[::1]", "my_host", "a-b.c" };
    static const char *const bad[] = { "a b",     "a..b", ".a",        "a.",  "a/b",
                                       "*.a.com", "[zz]", "[1.2.3.4]", "::1", "a\\u00e9" };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char input[128];

        snprintf(input, sizeof(input), "{\"host\":\"%s\"}", good[i]);
        json_decref(create(KG_SERVICES, input));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char message[128];

        snprintf(message, sizeof(message), "invalid value: %s", i == 9 ? "aé" : bad[i]);
        assert_string_refused(KG_SERVICES, "", "host", bad[i], message);
    }
    assert_string_refused(KG_SERVICES, "", "host", "example.com:80", "must not have a port");
    assert_string_refused(KG_SERVICES, "", "host", "[::1]:80", "must not have a port");
}

static void service_paths_are_clean(void **state)
{
    static const char rest[] = "\"host\":\"a\",";

    assert_string_refused(KG_SERVICES, rest, "path", "a", "should start with: /");
    assert_string_refused(KG_SERVICES, rest, "path", "/a//b", "must not have empty segments");
    assert_string_refused(KG_SERVICES, rest, "path", "/a?b",
                          "invalid path: '/a?b' (characters outside of the reserved list of RFC 3986 found)");
    assert_string_refused(KG_SERVICES, rest, "path", "/a b",
                          "invalid path: '/a b' (characters outside of the reserved list of RFC 3986 found)");
    assert_string_refused(KG_SERVICES, rest, "path", "/a%2", "invalid url-encoded value: '%2'");
    assert_string_refused(KG_SERVICES, rest, "path", "/a%zzb", "invalid url-encoded value: '%zz'");
    json_decref(create(KG_SERVICES, "{\"host\":\"a\",\"path\":\"/v1/%20;a=b,c@d:e\"}"));
}

static void names_are_ascii_words_or_utf8(void **state)
{
    json_decref(create(KG_SERVICES, "{\"host\":\"a\",\"name\":\"a.B-c_d~9\\u00e9\"}"));
    assert_string_refused(
        KG_SERVICES, "\"host\":\"a\",", "name", "a b",
        "invalid value 'a b': the only accepted ascii characters are alphanumerics or ., -, _, and ~");
}

static void long_values_are_cut_in_messages_at_a_character(void **state)
{
    char name[1200] = "", input[1300];
    json_t *problem;
    const char *text;

    for (size_t i = 0; i < 400; i++)
        memcpy(name + 2 * i, "\xc3\xa9", 2);
    memcpy(name + 800, " ", 2);
    snprintf(input, sizeof(input), "{\"host\":\"a\",\"name\":\"%s\"}", name);
    problem = refuse(KG_SERVICES, KG_WRITE_CREATE, input, NULL);
    text = json_string_value(json_object_get(json_object_get(problem, "fields"), "name"));
    assert_true(strncmp(text, "invalid value '\xc3\xa9", 17) == 0);
    assert_true(strstr(text, "\xc3\xa9': the only accepted") != NULL);
    json_decref(problem);
}

static void url_is_a_shorthand(void **state)
{
    static const struct {
        const char *url, *host, *path;
        int port;
    } cases[] = {
        { "http://example.com", "example.com", NULL, 80 },
        { "http://example.com:8080/v1/x", "example.com", "/v1/x", 8080 },
        { "HTTP://example.com:443/", "example.com", "/", 443 },
        { "http://[::1]:9000", "[::1]", NULL, 9000 },
        { "example.com:80/a", "example.com", "/a", 80 },
        { "example.com", "example.com", NULL, 80 },
        { "https://example.com", "example.com", NULL, 443 },
        { "https://example.com:80/x", "example.com", "/x", 80 },
        { "example.com:443", "example.com", NULL, 443 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char input[128];
        json_t *service;

        snprintf(input, sizeof(input), "{\"url\":\"%s\",\"path\":\"/old\"}", cases[i].url);
        service = create(KG_SERVICES, input);
        assert_member(service, "protocol", i < 6 ? "\"http\"" : "\"https\"");
        assert_string_equal(json_string_value(json_object_get(service, "host")), cases[i].host);
        assert_int_equal(json_integer_value(json_object_get(service, "port")), cases[i].port);
        if (cases[i].path)
            assert_string_equal(json_string_value(json_object_get(service, "path")), cases[i].path);
        else
            assert_true(json_is_null(json_object_get(service, "path")));
        assert_null(json_object_get(service, "url"));
        json_decref(service);
    }
}

static void broken_urls_are_refused(void **state)
{
    assert_string_refused(KG_SERVICES, "", "url", "", "missing host in url");
    assert_string_refused(KG_SERVICES, "", "url", "  ", "missing host in url");
    assert_string_refused(KG_SERVICES, "", "url", "http:///a", "missing host in url");
    assert_string_refused(KG_SERVICES, "", "url", "http://u@a/",
                          "must consist of scheme, host, port and path only");
    assert_string_refused(KG_SERVICES, "", "url", "http://a/?b",
                          "must consist of scheme, host, port and path only");
    assert_string_refused(KG_SERVICES, "", "url", "http://a:0",
                          "value of port should be between 1 and 65535");
    assert_string_refused(KG_SERVICES, "", "url", "http://a:99999999999999999999",
                          "value of port should be between 1 and 65535");
    assert_string_refused(KG_SERVICES, "", "url", "/a://b", "could not parse url");
    assert_refused(KG_SERVICES, "{\"url\":5}", "schema violation (url: expected a string)",
                   "{\"url\":\"expected a string\"}");
    assert_refused(KG_SERVICES, "{\"url\":\"tcp://a\"}",
                   "schema violation (protocol: expected one of: http, https)",
                   "{\"protocol\":\"expected one of: http, https\"}");
    assert_refused(KG_SERVICES, "{\"url\":\"http://a b\"}",
                   "schema violation (url: must consist of scheme, host, port and path only)",
                   "{\"url\":\"must consist of scheme, host, port and path only\"}");
}

static void a_route_needs_something_to_match(void **state)
{
    static const char message[] =
        "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'";
    static const char plain[] =
        "must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'";
    char whole[256], fields[256];

    snprintf(whole, sizeof(whole), "schema violation (%s)", message);
    snprintf(fields, sizeof(fields), "{\"@entity\":[\"%s\"]}", message);
    assert_refused(KG_ROUTES, "{}", whole, fields);
    assert_refused(KG_ROUTES, "{\"paths\":[],\"hosts\":null}", whole, fields);
    snprintf(whole, sizeof(whole), "2 schema violations (%s; x: unknown field)", message);
    snprintf(fields, sizeof(fields), "{\"@entity\":[\"%s\"],\"x\":\"unknown field\"}", message);
    assert_refused(KG_ROUTES, "{\"x\":1}", whole, fields);
    snprintf(whole, sizeof(whole), "schema violation (%s)", plain);
    snprintf(fields, sizeof(fields), "{\"@entity\":[\"%s\"]}", plain);
    assert_refused(KG_ROUTES, "{\"protocols\":[\"http\"]}", whole, fields);
    json_decref(create(KG_ROUTES, "{\"methods\":[\"GET\"]}"));
    json_decref(create(KG_ROUTES, "{\"hosts\":[\"a\"]}"));
    json_decref(create(KG_ROUTES, "{\"snis\":[\"a\"]}"));
}

static void assert_headers_refused(const char *headers, const char *part, const char *error)
{
    char input[512], whole[512], fields[512];

    snprintf(input, sizeof(input), "{\"paths\":[\"/\"],\"headers\":%s}", headers);
    snprintf(whole, sizeof(whole), "schema violation (headers%s: %s)", part, error);
    if (part[0] == '\0')
        snprintf(fields, sizeof(fields), "{\"headers\":\"%s\"}", error);
    else
        snprintf(fields, sizeof(fields), "{\"headers\":{\"%s\":\"%s\"}}", part + 1, error);
    assert_refused(KG_ROUTES, input, whole, fields);
}

static void route_headers_are_a_map_of_lists(void **state)
{
    json_t *route =
        create(KG_ROUTES, "{\"headers\":{\"X-Team\":[\"blue\",\"red\",\"blue\"],\"b\":[\"~*^v[0-9]+$\"]}}");

    assert_member(route, "headers", "{\"X-Team\":[\"blue\",\"red\"],\"b\":[\"~*^v[0-9]+$\"]}");
    json_decref(route);
    json_decref(create(KG_ROUTES, "{\"headers\":{\"a\":[\"~*(\",\"b\"]}}"));
    assert_headers_refused("[]", "", "expected a map");
    assert_headers_refused("{\"a\":[]}", ".a", "length must be at least 1");
    assert_headers_refused("{\"a\":\"b\"}", ".a", "expected a set");
    assert_headers_refused("{\"Host\":[\"b\"]}", ".Host",
                           "cannot contain 'host' header, which must be specified in the 'hosts' attribute");
    assert_headers_refused("{\"a b\":[\"c\"]}", ".a b", "'a b' is not a valid header name");
    assert_headers_refused("{\"a\":[\"c\"],\"A\":[\"d\"]}", ".a", "is given twice");
    assert_headers_refused("{\"a\":[\"~*(\"]}", ".a",
                           "invalid regex: missing closing parenthesis at character 2");
    assert_refused(KG_ROUTES, "{\"headers\":{\"a\":[\"x\",\" b\"]}}",
                   "schema violation (headers.a.2: must not start or end with a blank)",
                   "{\"headers\":{\"a\":[null,\"must not start or end with a blank\"]}}");
}

static void a_patch_replaces_a_map_as_a_whole(void **state)
{
    json_t *route = create(KG_ROUTES, "{\"headers\":{\"a\":[\"1\"],\"b\":[\"2\"]}}");
    json_t *input = json_loads("{\"headers\":{\"c\":[\"3\"]}}", 0, NULL), *patched = NULL, *problem = NULL;

    assert_int_equal(
        kg_schema_apply(&kg_entities[KG_ROUTES], KG_WRITE_PATCH, input, route, &patched, &problem), 0);
    assert_member(patched, "headers", "{\"c\":[\"3\"]}");
    json_decref(patched);
    json_decref(input);
    json_decref(route);
}

static void route_paths_are_normal(void **state)
{
    assert_element_refused("paths", "a", "should start with: / (fixed path) or ~/ (regex path)");
    assert_element_refused("paths", "/a//b", "must not have empty segments");
    assert_element_refused("paths", "/a/../b", "non-normalized path, consider use '/b' instead");
    assert_element_refused("paths", "/%61%2f", "non-normalized path, consider use '/a%2F' instead");
    assert_element_refused("paths", "~/a[0-9",
                           "invalid regex: missing terminating ] for character class at character 7");
    assert_element_refused("paths", "~a", "should start with: / (fixed path) or ~/ (regex path)");
    assert_element_refused("paths", "~", "should start with: / (fixed path) or ~/ (regex path)");
    json_decref(create(KG_ROUTES, "{\"paths\":[\"~/a[0-9]+$\",\"~/a//b\"],\"regex_priority\":-7}"));
    assert_refused(KG_ROUTES, "{\"paths\":[\"/\"],\"regex_priority\":2147483648}",
                   "schema violation (regex_priority: value should be between -2147483648 and 2147483647)",
                   "{\"regex_priority\":\"value should be between -2147483648 and 2147483647\"}");
    assert_element_refused("paths", "/a%", "invalid url-encoded value: '%'");
    assert_element_refused("paths", "", "length must be at least 1");
    assert_refused(KG_ROUTES, "{\"paths\":[\"/ok\",\"b\",\"/ok2\",7]}",
                   "2 schema violations (paths.2: should start with: / (fixed path) or ~/ (regex path); "
                   "paths.4: expected a string)",
                   "{\"paths\":[null,\"should start with: / (fixed path) or ~/ (regex "
                   "path)\",null,\"expected a string\"]}");
    json_decref(create(KG_ROUTES, "{\"paths\":[\"/\",\"/a/\",\"/a%2Fb\",\"/a;b=c\"]}"));
}

static void route_hosts_take_one_wildcard_label_at_an_end(void **state)
{
    json_decref(create(KG_ROUTES,
                       "{\"hosts\":[\"a.com\",\"*.a.com\",\"a.*\",\"a.com:8080\",\"*.a.com:80\",\"[::1]\","
                       "\"[::1]:80\",\"127.0.0.1\",\"A.com\"]}"));
    assert_element_refused("hosts", "*.a.*", "invalid wildcard: must have at most one wildcard");
    assert_element_refused("hosts", "a.*.com",
                           "invalid wildcard: must be placed at leftmost or rightmost label");
    assert_element_refused("hosts", "*a.com",
                           "invalid wildcard: must be placed at leftmost or rightmost label");
    assert_element_refused("hosts", "*", "invalid wildcard: must be placed at leftmost or rightmost label");
    assert_element_refused("hosts", "*.", "invalid wildcard: must be placed at leftmost or rightmost label");
    assert_element_refused("hosts", "*..a", "invalid value: *..a");
    assert_element_refused("hosts", "a b", "invalid value: a b");
    assert_element_refused("hosts", "a.com:0", "invalid port number");
    assert_element_refused("hosts", "a.com:65536", "invalid port number");
    assert_element_refused("hosts", "a.com:", "invalid value: a.com:");
}

static void methods_are_upper_case_tokens(void **state)
{
    json_decref(create(KG_ROUTES, "{\"methods\":[\"GET\",\"M-SEARCH\"]}"));
    assert_element_refused("methods", "get", "invalid value: get");
    assert_element_refused("methods", "G T", "invalid value: G T");
}

static void a_consumer_needs_a_name_that_cannot_forge_headers(void **state)
{

    assert_refused(
        KG_CONSUMERS, "{}",
        "schema violation (at least one of these fields must be non-empty: 'custom_id', 'username')",
        "{\"@entity\":[\"at least one of these fields must be non-empty: 'custom_id', 'username'\"]}");
    assert_string_refused(KG_CONSUMERS, "", "username", "a\\r\\nX-Admin: 1",
                          "must not contain control characters");
    assert_string_refused(KG_CONSUMERS, "", "custom_id", "a\\u007f", "must not contain control characters");
    assert_string_refused(KG_CONSUMERS, "", "username", " a", "must not start or end with a blank");
    assert_string_refused(KG_CONSUMERS, "", "username", "a ", "must not start or end with a blank");
    json_decref(create(KG_CONSUMERS, "{\"custom_id\":\"42\"}"));
    json_decref(create(KG_CONSUMERS, "{\"username\":\"J\\u00fcrgen Example\"}"));
}

static void tags_are_printable(void **state)
{
    json_decref(create(KG_CONSUMERS, "{\"username\":\"a\",\"tags\":[\"a b\",\"\\u00e9\",\"x:y\"]}"));
    assert_refused(
        KG_CONSUMERS, "{\"username\":\"a\",\"tags\":[\"ok\",\"a,b\",\"a/b\"]}",
        "2 schema violations (tags.2: invalid tag 'a,b': expected printable ascii (except `,` and `/`) or "
        "valid utf-8 sequences; tags.3: invalid tag 'a/b': expected printable ascii (except `,` and `/`) or "
        "valid utf-8 sequences)",
        "{\"tags\":[null,\"invalid tag 'a,b': expected printable ascii (except `,` and `/`) or valid utf-8 "
        "sequences\",\"invalid tag 'a/b': expected printable ascii (except `,` and `/`) or valid utf-8 "
        "sequences\"]}");
}

static void keys_are_printable_and_never_repeated(void **state)
{
    static const char rest[] = "\"consumer\":{\"id\":\"" ID_A "\"},";
    char key[600];
    json_t *made;

    memset(key, 'k', sizeof(key));
    key[512] = '\0';
    assert_string_refused(KG_KEYAUTH_CREDENTIALS, rest, "key", "se\\tcret",
                          "must consist of printable ascii characters");
    assert_string_refused(KG_KEYAUTH_CREDENTIALS, rest, "key", "\\u00e9",
                          "must consist of printable ascii characters");
    assert_string_refused(KG_KEYAUTH_CREDENTIALS, rest, "key", " secret",
                          "must not start or end with a blank");
    assert_string_refused(KG_KEYAUTH_CREDENTIALS, rest, "key", "secret ",
                          "must not start or end with a blank");
    assert_string_refused(KG_KEYAUTH_CREDENTIALS, rest, "key", "", "length must be at least 1");
    made = json_pack("{s:{s:s},s:s}", "consumer", "id", ID_A, "key", key);
    json_t *result = NULL, *problem = NULL;
    assert_int_equal(
        kg_schema_apply(&kg_entities[KG_KEYAUTH_CREDENTIALS], KG_WRITE_CREATE, made, NULL, &result, &problem),
        0);
    json_decref(result);
    json_decref(made);
    key[512] = 'k';
    key[513] = '\0';
    assert_string_refused(KG_KEYAUTH_CREDENTIALS, rest, "key", key, "length must be at most 512");
}

static void foreign_keys_have_a_shape(void **state)
{
    json_t *route = create(KG_ROUTES, "{\"paths\":[\"/\"],\"service\":{\"id\":\"" ID_A
                                      "\",\"name\":\"s\",\"host\":\"h\"}}");
    json_t *named = create(KG_ROUTES, "{\"paths\":[\"/\"],\"service\":{\"name\":\"s\"}}");

    assert_member(route, "service", "{\"id\":\"" ID_A "\"}");
    assert_member(named, "service", "{\"name\":\"s\"}");
    assert_refused(KG_ROUTES, "{\"paths\":[\"/\"],\"service\":{\"id\":\"x\"}}",
                   "schema violation (service.id: expected a valid UUID)",
                   "{\"service\":{\"id\":\"expected a valid UUID\"}}");
    assert_refused(KG_ROUTES, "{\"paths\":[\"/\"],\"service\":{}}",
                   "schema violation (service.id: missing primary key)",
                   "{\"service\":{\"id\":\"missing primary key\"}}");
    assert_refused(KG_ROUTES, "{\"paths\":[\"/\"],\"service\":{\"name\":4}}",
                   "schema violation (service.name: expected a string)",
                   "{\"service\":{\"name\":\"expected a string\"}}");
    json_decref(route);
    json_decref(named);
}

static void plugins_are_checked_by_their_type(void **state)
{
    assert_refused(
        KG_PLUGINS, "{\"name\":\"nope\",\"config\":{\"a\":1}}",
        "schema violation (name: plugin 'nope' not enabled; add it to the 'plugins' configuration property)",
        "{\"name\":\"plugin 'nope' not enabled; add it to the 'plugins' configuration property\"}");
    assert_refused(KG_PLUGINS, "{}", "schema violation (name: required field missing)",
                   "{\"name\":\"required field missing\"}");
    assert_refused(KG_PLUGINS, "{\"name\":\"keys\",\"consumer\":{\"id\":\"" ID_A "\"}}",
                   "schema violation (consumer: value must be null)",
                   "{\"consumer\":\"value must be null\"}");
    assert_refused(KG_PLUGINS, "{\"name\":\"limit\"}",
                   "schema violation (config.minute: required field missing)",
                   "{\"config\":{\"minute\":\"required field missing\"}}");
    assert_refused(
        KG_PLUGINS, "{\"name\":\"keys\",\"config\":{\"key_names\":[\"ok\",\"a b\"],\"more\":{\"depth\":10}}}",
        "2 schema violations (config.key_names.2: bad header name; config.more.depth: value should be "
        "between 1 and 9)",
        "{\"config\":{\"key_names\":[null,\"bad header name\"],\"more\":{\"depth\":\"value should be between "
        "1 and 9\"}}}");
    json_decref(create(KG_PLUGINS,
                       "{\"name\":\"limit\",\"config\":{\"minute\":5},\"consumer\":{\"id\":\"" ID_A "\"}}"));
}

static void a_type_has_rules_over_its_whole_config(void **state)
{
    assert_refused(KG_PLUGINS, "{\"name\":\"limit\",\"config\":{\"minute\":7}}",
                   "schema violation (not a good limit)", "{\"@entity\":[\"not a good limit\"]}");
    assert_refused(KG_PLUGINS, "{\"name\":\"limit\",\"config\":{\"minute\":8}}",
                   "schema violation (not a good config)",
                   "{\"config\":{\"@entity\":[\"not a good config\"]}}");
    assert_refused(KG_PLUGINS, "{\"name\":\"limit\",\"config\":{\"minute\":9}}",
                   "schema violation (config.minute: not a good minute)",
                   "{\"config\":{\"minute\":\"not a good minute\"}}");
    json_t *schema = kg_plugin_schema_json(&limit_plugin);
    assert_member(schema, "entity_checks", "[{\"at_least_one_of\":[\"x\"]}]");
    json_decref(schema);
}

static void plugins_register_and_are_found(void **state)
{
    assert_ptr_equal(kg_plugin_find("keys"), &keys_plugin);
    assert_null(kg_plugin_find("key"));
    assert_ptr_equal(kg_plugin_at(1), &limit_plugin);
    assert_null(kg_plugin_at(2));
}

static void patch_merges_records_and_replaces_sets(void **state)
{
    json_t *old = create(KG_PLUGINS,
                         "{\"name\":\"keys\",\"tags\":[\"a\",\"b\"],\"config\":{\"key_names\":[\"x\",\"y\"],"
                         "\"realm\":\"r\",\"more\":{\"depth\":3,\"note\":\"n\"}}}");
    json_t *new = apply(
        KG_PLUGINS, KG_WRITE_PATCH,
        "{\"tags\":[\"c\"],\"config\":{\"key_names\":[\"z\"],\"realm\":null,\"more\":{\"depth\":4}}}", old);

    assert_member(new, "config",
                  "{\"key_names\":[\"z\"],\"key_in_header\":true,\"factor\":null,\"realm\":null,"
                  "\"more\":{\"depth\":4,\"note\":\"n\"}}");
    assert_member(new, "tags", "[\"c\"]");
    assert_true(json_equal(json_object_get(new, "id"), json_object_get(old, "id")));
    assert_member(old, "tags", "[\"a\",\"b\"]");
    json_decref(old);
    json_decref(new);
}

static void patch_keeps_what_it_does_not_name(void **state)
{
    json_t *old =
        create(KG_SERVICES, "{\"url\":\"http://a:81/p\",\"name\":\"n\",\"created_at\":7,\"enabled\":false}");
    json_t *new = apply(KG_SERVICES, KG_WRITE_PATCH, "{\"name\":null,\"read_timeout\":5}", old);
    json_t *moved = apply(KG_SERVICES, KG_WRITE_PATCH, "{\"url\":\"http://b\"}", old), *problem;

    assert_member(new, "host", "\"a\"");
    assert_member(new, "port", "81");
    assert_member(new, "name", "null");
    assert_member(new, "read_timeout", "5");
    assert_member(new, "enabled", "false");
    assert_member(new, "created_at", "7");
    assert_member(moved, "host", "\"b\"");
    assert_member(moved, "port", "80");
    assert_member(moved, "path", "null");
    problem = refuse(KG_SERVICES, KG_WRITE_PATCH, "{\"host\":null,\"bogus\":1}", old);
    assert_string_equal(json_string_value(json_object_get(problem, "message")),
                        "2 schema violations (bogus: unknown field; host: required field missing)");
    json_decref(problem);
    json_decref(old);
    json_decref(new);
    json_decref(moved);
}

static void patch_keeps_the_key(void **state)
{
    json_t *old = create(KG_KEYAUTH_CREDENTIALS,
                         "{\"consumer\":{\"id\":\"" ID_A "\"},\"key\":\"secret-1\",\"ttl\":60}");
    json_t *new = apply(KG_KEYAUTH_CREDENTIALS, KG_WRITE_PATCH, "{\"tags\":[\"t\"]}", old);

    assert_member(new, "key", "\"secret-1\"");
    assert_member(new, "ttl", "60");
    json_decref(old);
    json_decref(new);
}

static void replace_returns_to_defaults_but_keeps_identity(void **state)
{
    json_t *old = create(KG_SERVICES, "{\"host\":\"a\",\"port\":81,\"created_at\":7,\"tags\":[\"t\"]}");
    json_t *new = apply(KG_SERVICES, KG_WRITE_REPLACE, "{\"host\":\"b\",\"updated_at\":3}", old);
    json_t *made = apply(KG_SERVICES, KG_WRITE_REPLACE, "{\"host\":\"b\",\"id\":\"" ID_B "\"}", NULL);

    assert_member(new, "port", "80");
    assert_member(new, "tags", "null");
    assert_member(new, "created_at", "7");
    assert_true(json_equal(json_object_get(new, "id"), json_object_get(old, "id")));
    assert_true(json_integer_value(json_object_get(new, "updated_at")) > 3);
    assert_member(made, "id", "\"" ID_B "\"");
    json_decref(old);
    json_decref(new);
    json_decref(made);
}

static void an_id_never_changes(void **state)
{
    json_t *old = create(KG_SERVICES, "{\"host\":\"a\",\"id\":\"" ID_A "\"}");
    json_t *problem = refuse(KG_SERVICES, KG_WRITE_PATCH, "{\"id\":\"" ID_B "\"}", old);

    assert_json(json_object_get(problem, "fields"), "{\"id\":\"immutable field cannot be updated\"}");
    json_decref(problem);
    json_decref(apply(KG_SERVICES, KG_WRITE_PATCH, "{\"id\":\"" ID_A "\"}", old));
    json_decref(old);
}

static void inputs_are_not_changed(void **state)
{
    json_t *input = parse("{\"url\":\"http://a\",\"tags\":[\"x\",\"x\"]}"), *before = json_deep_copy(input);
    json_t *result = NULL, *problem = NULL;

    assert_int_equal(
        kg_schema_apply(&kg_entities[KG_SERVICES], KG_WRITE_CREATE, input, NULL, &result, &problem), 0);
    assert_true(json_equal(input, before));
    json_decref(result);
    json_decref(input);
    json_decref(before);
}

static void many_violations_do_not_break_the_message(void **state)
{
    json_t *input = json_object(), *result = NULL, *problem = NULL;
    char name[64];
    const char *message;

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "unknown_field_with_a_long_name_%d", i);
        json_object_set_new(input, name, json_true());
    }
    assert_int_equal(
        kg_schema_apply(&kg_entities[KG_SERVICES], KG_WRITE_CREATE, input, NULL, &result, &problem), -EINVAL);
    message = json_string_value(json_object_get(problem, "message"));
    assert_true(strncmp(message, "1001 schema violations (host: required field missing; unknown_", 62) == 0);
    assert_int_equal(message[strlen(message) - 1], ')');
    assert_int_equal(json_object_size(json_object_get(problem, "fields")), 1001);
    json_decref(input);
    json_decref(problem);
}

static void entities_are_found_by_collection_path(void **state)
{
    assert_ptr_equal(kg_entity_by_path(KG_SLICE("key-auths")), &kg_entities[KG_KEYAUTH_CREDENTIALS]);
    assert_null(kg_entity_by_path(KG_SLICE("key-auth")));
    assert_true(kg_entity_field(&kg_entities[KG_KEYAUTH_CREDENTIALS], "key")->secret);
    assert_null(kg_entity_field(&kg_entities[KG_SERVICES], "attempts"));
    for (int i = 0; i < KG_ENTITIES; i++)
        assert_int_equal(kg_entities[i].id, i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(service_gets_every_field_and_its_defaults),
        cmocka_unit_test(route_consumer_credential_and_plugin_get_their_defaults),
        cmocka_unit_test(null_means_the_default),
        cmocka_unit_test(ids_are_lower_case_and_sets_are_distinct_in_order),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(unknown_fields_are_refused_by_name),
        cmocka_unit_test(required_and_empty_values_are_refused),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(protocols_are_those_that_there_are),
        cmocka_unit_test(service_hosts_are_names_or_addresses_without_port),
        cmocka_unit_test(service_paths_are_clean),
        cmocka_unit_test(names_are_ascii_words_or_utf8),
        cmocka_unit_test(long_values_are_cut_in_messages_at_a_character),
        cmocka_unit_test(url_is_a_shorthand),
        cmocka_unit_test(broken_urls_are_refused),
        cmocka_unit_test(a_route_needs_something_to_match),
        cmocka_unit_test(route_headers_are_a_map_of_lists),
        cmocka_unit_test(a_patch_replaces_a_map_as_a_whole),
        cmocka_unit_test(route_paths_are_normal),
        cmocka_unit_test(route_hosts_take_one_wildcard_label_at_an_end),
        cmocka_unit_test(methods_are_upper_case_tokens),
        cmocka_unit_test(a_consumer_needs_a_name_that_cannot_forge_headers),
        cmocka_unit_test(tags_are_printable),
        cmocka_unit_test(keys_are_printable_and_never_repeated),
        cmocka_unit_test(foreign_keys_have_a_shape),
        cmocka_unit_test(plugins_are_checked_by_their_type),
        cmocka_unit_test(a_type_has_rules_over_its_whole_config),
        cmocka_unit_test(plugins_register_and_are_found),
        cmocka_unit_test(patch_merges_records_and_replaces_sets),
        cmocka_unit_test(patch_keeps_what_it_does_not_name),
        cmocka_unit_test(patch_keeps_the_key),
        cmocka_unit_test(replace_returns_to_defaults_but_keeps_identity),
        cmocka_unit_test(an_id_never_changes),
        cmocka_unit_test(inputs_are_not_changed),
        cmocka_unit_test(many_violations_do_not_break_the_message),
        cmocka_unit_test(entities_are_found_by_collection_path),
    };

    return cmocka_run_group_tests(tests, register_plugins, NULL);
}
