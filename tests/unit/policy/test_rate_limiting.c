/* SPDX-License-Identifier: BSD-2-Clause */
/* rate-limiting: each field of its config, each of its refusals, whom it counts, and what it tells the
 * client. */
#include "policy/counters.h"
#include "policy/policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOON  1785067200 /* 2026-07-26 12:00:00 UTC */
#define DAY   86400
#define ROUTE "00000000-0000-4000-8000-00000000000a"

static struct kg_counters *counters;
static const struct kg_policy *const policy = &kg_policy_rate_limiting;

/* ---- the config ---- */

static json_t *parse(const char *json)
{
    json_error_t error;
    json_t *value = json_loads(json, 0, &error);

    if (!value)
        fail_msg("%s in %s", error.text, json);
    return value;
}

/* The whole config of a plugin made with this one. */
static json_t *accepted(const char *config)
{
    json_t *plugin = json_pack("{s:s,s:o}", "name", "rate-limiting", "config", parse(config));
    json_t *whole = NULL, *problem = NULL;

    if (kg_schema_apply(&kg_entities[KG_PLUGINS], KG_WRITE_CREATE, plugin, NULL, &whole, &problem))
        fail_msg("%s: %s", config, json_string_value(json_object_get(problem, "message")));
    json_t *result = json_incref(json_object_get(whole, "config"));
    json_decref(whole);
    json_decref(plugin);
    return result;
}

static void assert_refused(const char *config, const char *fields)
{
    json_t *plugin = json_pack("{s:s,s:o}", "name", "rate-limiting", "config", parse(config));
    json_t *whole = NULL, *problem = NULL, *want = parse(fields);

    assert_int_equal(
        kg_schema_apply(&kg_entities[KG_PLUGINS], KG_WRITE_CREATE, plugin, NULL, &whole, &problem), -EINVAL);
    char *got = json_dumps(json_object_get(problem, "fields"), JSON_SORT_KEYS);
    if (!json_equal(json_object_get(problem, "fields"), want))
        fail_msg("got  %s\n  want %s", got, fields);
    free(got);
    json_decref(want);
    json_decref(problem);
    json_decref(plugin);
}

/* One field, beside a limit. */
static void assert_field_refused(const char *field, const char *value, const char *message)
{
    char config[2048], fields[512];

    snprintf(config, sizeof(config), "{\"second\":1,\"%s\":%s}", field, value);
    snprintf(fields, sizeof(fields), "{\"config\":{\"%s\":\"%s\"}}", field, message);
    assert_refused(config, fields);
}

static void has_kongs_fields_and_defaults(void **state)
{
    json_t *config = accepted("{\"minute\":5}");
    json_t *want =
        parse("{\"second\":null,\"minute\":5,\"hour\":null,\"day\":null,\"month\":null,\"year\":null,"
              "\"limit_by\":\"consumer\",\"header_name\":null,\"path\":null,\"policy\":\"local\","
              "\"fault_tolerant\":true,\"redis\":null,\"hide_client_headers\":false,"
              "\"error_code\":429,\"error_message\":\"API rate limit exceeded\",\"sync_rate\":-1}");

    assert_true(json_equal(config, want));
    json_decref(config);
    json_decref(want);
    assert_int_equal(policy->type.priority, 910);
    assert_false(policy->type.no_consumer);
}

static void needs_a_limit(void **state)
{
    assert_refused("{}", "{\"@entity\":[\"at least one of these fields must be non-empty: 'config.second', "
                         "'config.minute', 'config.hour', 'config.day', 'config.month', 'config.year'\"]}");
}

static void limits_are_numbers_over_zero(void **state)
{
    static const char *const names[] = { "minute", "hour", "day", "month", "year" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_field_refused(names[i], "0", "value must be greater than 0");
        assert_field_refused(names[i], "-1", "value must be greater than 0");
        assert_field_refused(names[i], "\"5\"", "expected a number");
        assert_field_refused(names[i], "9007199254740993", "value must be at most 9007199254740991");
    }
    assert_refused("{\"second\":0}", "{\"config\":{\"second\":\"value must be greater than 0\"}}");
    json_decref(accepted("{\"second\":0.5,\"year\":9007199254740991}"));
}

static void a_longer_window_may_not_have_the_smaller_limit(void **state)
{
    assert_refused(
        "{\"second\":20,\"hour\":10}",
        "{\"config\":\"The limit for hour(10.0) cannot be lower than the limit for second(20.0)\"}");
    assert_refused("{\"minute\":2.5,\"day\":100,\"year\":99}",
                   "{\"config\":\"The limit for year(99.0) cannot be lower than the limit for day(100.0)\"}");
    json_decref(accepted("{\"second\":10,\"hour\":10}"));
}

static void limit_by_is_one_of_kongs(void **state)
{
    assert_field_refused("limit_by", "\"consumer-group\"",
                         "expected one of: consumer, credential, ip, service, header, path");
}

static void what_limit_by_needs_must_be_there(void **state)
{
    assert_refused("{\"second\":1,\"limit_by\":\"header\"}",
                   "{\"config\":{\"header_name\":\"required field missing\"}}");
    assert_refused("{\"second\":1,\"limit_by\":\"path\"}",
                   "{\"config\":{\"path\":\"required field missing\"}}");
    json_decref(accepted("{\"second\":1,\"limit_by\":\"header\",\"header_name\":\"X-Team\"}"));
    json_decref(accepted("{\"second\":1,\"limit_by\":\"path\",\"path\":\"/a\"}"));
    assert_field_refused("header_name", "\"a b\"", "'a b' is not a valid header name");
    assert_field_refused("path", "\"a\"", "should start with: /");
    assert_field_refused("path", "\"~/a\"", "should start with: /");
    assert_field_refused("path", "\"/a/../b\"", "non-normalized path, consider use '/b' instead");
}

static void policies_with_a_store_are_refused_by_name(void **state)
{
    assert_field_refused(
        "policy", "\"redis\"",
        "keygate does not have policy 'redis': it counts in its own memory, for all its workers "
        "together (local)");
    assert_field_refused("policy", "\"cluster\"",
                         "keygate does not have policy 'cluster': it counts in its own memory, for all its "
                         "workers together (local)");
    assert_field_refused("policy", "\"none\"", "expected one of: local");
    assert_refused("{\"second\":1,\"sync_rate\":1}",
                   "{\"config\":\"sync_rate can only be used with the redis policy\"}");
}

/* decK writes Kong's defaults into its files. */
static void redis_may_only_say_nothing(void **state)
{
    static const char *const given[][2] = {
        { "host", "\"h\"" },     { "port", "6380" },       { "timeout", "1" },
        { "username", "\"u\"" }, { "password", "\"p\"" },  { "database", "1" },
        { "ssl", "true" },       { "ssl_verify", "true" }, { "server_name", "\"s\"" },
    };

    json_decref(
        accepted("{\"second\":1,\"redis\":{\"host\":null,\"port\":6379,\"timeout\":2000,\"username\":null,"
                 "\"password\":null,\"database\":0,\"ssl\":false,\"ssl_verify\":false,"
                 "\"server_name\":null}}"));
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        char value[64], message[128];

        snprintf(value, sizeof(value), "{\"%s\":%s}", given[i][0], given[i][1]);
        snprintf(message, sizeof(message), "keygate does not keep counters in Redis: '%s' has no use here",
                 given[i][0]);
        assert_field_refused("redis", value, message);
    }
    assert_refused("{\"second\":1,\"redis_host\":\"h\"}", "{\"config\":{\"redis_host\":\"unknown field\"}}");
}

static void errors_have_a_status_and_one_line(void **state)
{
    char text[1200] = "\"";

    assert_field_refused("error_code", "399", "value should be between 400 and 599");
    assert_field_refused("error_code", "600", "value should be between 400 and 599");
    assert_field_refused("error_code", "429.5", "expected an integer");
    assert_field_refused("error_message", "\"a\\nb\"", "must not contain control characters");
    assert_field_refused("error_message", "\"\"", "length must be at least 1");
    memset(text + 1, 'x', 1025);
    text[1026] = '"';
    assert_field_refused("error_message", text, "length must be at most 1024");
    assert_field_refused("fault_tolerant", "1", "expected a boolean");
    assert_field_refused("hide_client_headers", "1", "expected a boolean");
}

/* ---- requests ---- */

static const struct kg_service service = { .id = "00000000-0000-4000-8000-00000000000b" };
static const struct kg_route with_service = { .id = ROUTE, .service = &service }, without = { .id = ROUTE };
static const struct kg_consumer alice = { .id = "00000000-0000-4000-8000-000000000001" },
                                bob = { .id = "00000000-0000-4000-8000-000000000002" };

/* Who asks, and when. Empty: from 192.0.2.1, nobody, by the route with a service, at noon. */
struct asking {
    const struct kg_consumer *consumer;
    const char *credential, *address, *team, *path;
    const struct kg_route *route;
    int64_t now;
    bool rehearsal, hidden_team;
};

static struct answer {
    bool passed, limited;
    unsigned status;
    char headers[2048], message[1100];
} answer;

static struct kg_addr address_of(const char *text)
{
    struct kg_addr address;

    assert_int_equal(kg_addr_parse(kg_slice_str(text), &address), 0);
    return address;
}

static const struct answer *ask(const void *config, struct asking asking)
{
    static char headers[2032];
    struct kg_head head = { .count = asking.team ? 1 : 0 };
    struct kg_addr address = address_of(asking.address ? asking.address : "192.0.2.1");
    struct kg_policy_request request = {
        .route = asking.route ? asking.route : &with_service,
        .counters = counters,
        .head = &head,
        .path = kg_slice_str(asking.path ? asking.path : "/"),
        .address = &address,
        .now_wall = asking.now ? asking.now : NOON,
        .rehearsal = asking.rehearsal,
        .to_client = kg_writer_of(headers, sizeof(headers)),
        .principal = { .consumer = asking.consumer, .credential_id = kg_slice_str(asking.credential) },
    };

    head.headers[0].name = KG_SLICE("X-TEAM");
    head.headers[0].value = kg_slice_str(asking.team);
    head.headers[0].hop = asking.hidden_team;
    answer.passed = policy->access(config, &request);
    answer.limited = request.limited;
    answer.status = request.status;
    assert_false(request.to_client.overflow);
    snprintf(answer.headers, sizeof(answer.headers), "%.*s", (int)request.to_client.len, headers);
    snprintf(answer.message, sizeof(answer.message), "%.*s", (int)request.message.len, request.message.ptr);
    return &answer;
}

/* An instance of a route and a service; the empty string is none. */
static void *placed(const char *json, const char *route, const char *service_id)
{
    json_t *config = accepted(json);
    void *compiled = policy->type.compile(config);

    policy->type.place(compiled, route, service_id);
    json_decref(config);
    return compiled;
}

static void *compiled(const char *json)
{
    return placed(json, "", "");
}

static int set_up(void **state)
{
    struct kg_error err;

    return kg_counters_new(4096, &counters, &err);
}

static int tear_down(void **state)
{
    kg_counters_free(counters);
    return 0;
}

static void lets_as_many_through_as_the_limit_says(void **state)
{
    void *config = compiled("{\"minute\":6}");

    for (int left = 5; left >= 0; left--) {
        char want[256];

        snprintf(want, sizeof(want),
                 "X-RateLimit-Limit-Minute: 6\r\nX-RateLimit-Remaining-Minute: %d\r\n"
                 "RateLimit-Limit: 6\r\nRateLimit-Remaining: %d\r\nRateLimit-Reset: 60\r\n",
                 left, left);
        assert_true(ask(config, (struct asking){ 0 })->passed);
        assert_string_equal(answer.headers, want);
        assert_false(answer.limited);
    }
    for (int i = 0; i < 2; i++) {
        assert_false(ask(config, (struct asking){ .now = NOON + 59 })->passed);
        assert_int_equal(answer.status, 429);
        assert_true(answer.limited);
        assert_string_equal(answer.message, "API rate limit exceeded");
        assert_string_equal(answer.headers,
                            "X-RateLimit-Limit-Minute: 6\r\nX-RateLimit-Remaining-Minute: 0\r\n"
                            "RateLimit-Limit: 6\r\nRateLimit-Remaining: 0\r\nRateLimit-Reset: 1\r\n"
                            "Retry-After: 1\r\n");
    }
    assert_true(ask(config, (struct asking){ .now = NOON + 60 })->passed);
    policy->type.release(config);
}

static void a_fraction_lets_one_more_through(void **state)
{
    void *config = compiled("{\"minute\":2.5}");

    for (int i = 0; i < 3; i++)
        assert_true(ask(config, (struct asking){ .now = NOON + 300 })->passed);
    assert_false(ask(config, (struct asking){ .now = NOON + 300 })->passed);
    assert_non_null(strstr(answer.headers, "X-RateLimit-Limit-Minute: 3\r\n"));
    policy->type.release(config);
}

static void every_window_has_its_headers_and_its_end(void **state)
{
    static const struct {
        const char *name, *header;
        int left;
    } windows[] = {
        { "second", "Second", 1 },
        { "minute", "Minute", 20 },
        { "hour", "Hour", 3600 - 1900 },
        { "day", "Day", 12 * 3600 - 1900 },
        { "month", "Month", 12 * 3600 - 1900 + 5 * DAY },
        { "year", "Year", 12 * 3600 - 1900 + (5 + 31 + 30 + 31 + 30 + 31) * DAY },
    };

    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        char json[64], want[512];
        void *config;

        snprintf(json, sizeof(json), "{\"%s\":1,\"limit_by\":\"ip\"}", windows[i].name);
        config = compiled(json);
        struct asking asking = { .address = "192.0.2.77", .now = NOON + 1900 };
        assert_true(ask(config, asking)->passed);
        assert_false(ask(config, asking)->passed);
        snprintf(want, sizeof(want),
                 "X-RateLimit-Limit-%s: 1\r\nX-RateLimit-Remaining-%s: 0\r\nRateLimit-Limit: 1\r\n"
                 "RateLimit-Remaining: 0\r\nRateLimit-Reset: %d\r\nRetry-After: %d\r\n",
                 windows[i].header, windows[i].header, windows[i].left, windows[i].left);
        assert_string_equal(answer.headers, want);
        policy->type.release(config);
    }
}

/* The window with the least left speaks for all; of two the longer. */
static void of_several_windows_the_tightest_speaks(void **state)
{
    void *config = compiled("{\"minute\":2,\"hour\":3,\"day\":100}");
    struct asking asking = { .address = "192.0.2.2" };

    assert_true(ask(config, asking)->passed);
    assert_string_equal(answer.headers,
                        "X-RateLimit-Limit-Minute: 2\r\nX-RateLimit-Remaining-Minute: 1\r\n"
                        "X-RateLimit-Limit-Hour: 3\r\nX-RateLimit-Remaining-Hour: 2\r\n"
                        "X-RateLimit-Limit-Day: 100\r\nX-RateLimit-Remaining-Day: 99\r\n"
                        "RateLimit-Limit: 2\r\nRateLimit-Remaining: 1\r\nRateLimit-Reset: 60\r\n");
    assert_true(ask(config, asking)->passed);
    /* Refused by the minute: the hour and the day have lost nothing by it. */
    assert_false(ask(config, asking)->passed);
    assert_string_equal(answer.headers,
                        "X-RateLimit-Limit-Minute: 2\r\nX-RateLimit-Remaining-Minute: 0\r\n"
                        "X-RateLimit-Limit-Hour: 3\r\nX-RateLimit-Remaining-Hour: 1\r\n"
                        "X-RateLimit-Limit-Day: 100\r\nX-RateLimit-Remaining-Day: 98\r\n"
                        "RateLimit-Limit: 2\r\nRateLimit-Remaining: 0\r\nRateLimit-Reset: 60\r\n"
                        "Retry-After: 60\r\n");
    asking.now = NOON + 60;
    assert_true(ask(config, asking)->passed);
    assert_non_null(strstr(answer.headers, "X-RateLimit-Remaining-Day: 97\r\n"));
    assert_non_null(strstr(answer.headers, "RateLimit-Limit: 3\r\nRateLimit-Remaining: 0\r\n"));
    assert_false(ask(config, asking)->passed);
    assert_non_null(strstr(answer.headers, "X-RateLimit-Remaining-Minute: 1\r\n"));
    assert_non_null(strstr(answer.headers, "Retry-After: 3540\r\n"));
    policy->type.release(config);
    config = compiled("{\"minute\":1,\"hour\":1}");
    assert_true(ask(config, (struct asking){ .address = "192.0.2.3" })->passed);
    assert_non_null(strstr(answer.headers, "RateLimit-Reset: 3600\r\n"));
    policy->type.release(config);
}

static void hides_every_header_when_told_to(void **state)
{
    void *config = compiled("{\"minute\":1,\"hide_client_headers\":true}");
    struct asking asking = { .address = "192.0.2.4" };

    assert_true(ask(config, asking)->passed);
    assert_string_equal(answer.headers, "");
    assert_false(ask(config, asking)->passed);
    assert_string_equal(answer.headers, "");
    policy->type.release(config);
}

static void answers_with_the_status_and_message_of_the_config(void **state)
{
    void *config = compiled("{\"minute\":1,\"error_code\":503,\"error_message\":\"Slow \\\"down\\\"\"}");
    struct asking asking = { .address = "192.0.2.5" };

    assert_true(ask(config, asking)->passed);
    assert_false(ask(config, asking)->passed);
    assert_int_equal(answer.status, 503);
    assert_true(answer.limited);
    assert_string_equal(answer.message, "Slow \"down\"");
    policy->type.release(config);
}

/* Under a limit of one: whether the second one is somebody else to the plugin. */
static void assert_apart(const char *json, struct asking one, struct asking other, bool apart)
{
    static int64_t now = NOON + 3 * DAY;
    void *config = compiled(json);

    one.now = other.now = now += 60;
    assert_true(ask(config, one)->passed);
    assert_int_equal(ask(config, other)->passed, apart);
    assert_false(ask(config, one)->passed);
    policy->type.release(config);
}

static void by_consumer_else_credential_else_address(void **state)
{
    const char *json = "{\"minute\":1,\"limit_by\":\"consumer\"}";

    assert_apart(json, (struct asking){ &alice, "k1" }, (struct asking){ &bob, "k1" }, true);
    assert_apart(json, (struct asking){ &alice, "k1" }, (struct asking){ &alice, "k2", "192.0.2.9" }, false);
    assert_apart(json, (struct asking){ NULL, "k1" }, (struct asking){ NULL, "k2" }, true);
    assert_apart(json, (struct asking){ NULL, "k1" }, (struct asking){ NULL, "k1", "192.0.2.9" }, false);
    assert_apart(json, (struct asking){ 0 }, (struct asking){ .address = "192.0.2.9" }, true);
    assert_apart(json, (struct asking){ 0 }, (struct asking){ .path = "/other" }, false);
}

static void by_credential_else_address(void **state)
{
    const char *json = "{\"minute\":1,\"limit_by\":\"credential\"}";

    assert_apart(json, (struct asking){ &alice, "k1" }, (struct asking){ &alice, "k2" }, true);
    assert_apart(json, (struct asking){ &alice, "k1" }, (struct asking){ &bob, "k1", "192.0.2.9" }, false);
    assert_apart(json, (struct asking){ &alice }, (struct asking){ &bob }, false);
}

/* Of IPv6 it is the /64, as everywhere: whoever has one has all addresses in it. */
static void by_address(void **state)
{
    const char *json = "{\"minute\":1,\"limit_by\":\"ip\"}";

    assert_apart(json, (struct asking){ &alice }, (struct asking){ &bob }, false);
    assert_apart(json, (struct asking){ .address = "192.0.2.1" }, (struct asking){ .address = "192.0.2.2" },
                 true);
    assert_apart(json, (struct asking){ .address = "2001:db8::1" },
                 (struct asking){ .address = "2001:db8::ffff:1" }, false);
    assert_apart(json, (struct asking){ .address = "2001:db8::1" },
                 (struct asking){ .address = "2001:db8:0:1::1" }, true);
}

static void by_service_else_address(void **state)
{
    const char *json = "{\"minute\":1,\"limit_by\":\"service\"}";

    assert_apart(json, (struct asking){ &alice }, (struct asking){ &bob, .address = "192.0.2.9" }, false);
    assert_apart(json, (struct asking){ .route = &without },
                 (struct asking){ .route = &without, .address = "192.0.2.9" }, true);
}

static void by_header_else_address(void **state)
{
    const char *json = "{\"minute\":1,\"limit_by\":\"header\",\"header_name\":\"X-Team\"}";

    assert_apart(json, (struct asking){ .team = "a" }, (struct asking){ .team = "b" }, true);
    assert_apart(json, (struct asking){ .team = " a " },
                 (struct asking){ .team = "a", .address = "192.0.2.9" }, false);
    /* An empty value is one. */
    assert_apart(json, (struct asking){ .team = "" }, (struct asking){ .team = "", .address = "192.0.2.9" },
                 false);
    assert_apart(json, (struct asking){ 0 }, (struct asking){ .address = "192.0.2.9" }, true);
    /* One that another policy has taken away is not there. */
    assert_apart(json, (struct asking){ .team = "a", .hidden_team = true }, (struct asking){ 0 }, false);
}

static void by_path_else_address(void **state)
{
    const char *json = "{\"minute\":1,\"limit_by\":\"path\",\"path\":\"/a\"}";

    assert_apart(json, (struct asking){ .path = "/a" },
                 (struct asking){ .path = "/a", .address = "192.0.2.9" }, false);
    assert_apart(json, (struct asking){ .path = "/a" }, (struct asking){ .path = "/a/b" }, true);
    assert_apart(json, (struct asking){ .path = "/a/b" },
                 (struct asking){ .path = "/a/b", .address = "192.0.2.9" }, true);
}

/* Neither by an address in text nor by its bytes: the kind of who is counted is part of the counter's name.
 */
static void a_header_cannot_spend_what_is_an_addresses(void **state)
{
    const char *json = "{\"minute\":1,\"limit_by\":\"header\",\"header_name\":\"X-Team\"}";

    assert_apart(json, (struct asking){ .team = "192.0.2.1" }, (struct asking){ 0 }, true);
    assert_apart(json, (struct asking){ .team = "\x04\xc0" }, (struct asking){ .address = "192.0.0.0" },
                 true);
    assert_apart("{\"minute\":1}", (struct asking){ NULL, alice.id }, (struct asking){ &alice }, true);
}

/* Its counters are those of its route and service, whatever its numbers are. */
static void counters_belong_to_where_the_instance_is(void **state)
{
    struct asking asking = { .address = "192.0.2.6" };
    void *here = placed("{\"hour\":1}", ROUTE, ""), *there = placed("{\"hour\":1}", "", ROUTE),
         *raised = placed("{\"hour\":2}", ROUTE, "");

    assert_true(ask(here, asking)->passed);
    assert_false(ask(here, asking)->passed);
    assert_true(ask(there, asking)->passed);
    assert_true(ask(raised, asking)->passed);
    assert_false(ask(raised, asking)->passed);
    assert_false(ask(here, asking)->passed);
    policy->type.release(here);
    policy->type.release(there);
    policy->type.release(raised);
}

static void a_rehearsal_tells_and_counts_nothing(void **state)
{
    void *config = compiled("{\"minute\":1}");
    struct asking asking = { .address = "192.0.2.7" },
                  rehearsal = { .address = "192.0.2.7", .rehearsal = true };

    for (int i = 0; i < 3; i++) {
        assert_true(ask(config, rehearsal)->passed);
        assert_non_null(strstr(answer.headers, "X-RateLimit-Remaining-Minute: 0\r\n"));
    }
    assert_true(ask(config, asking)->passed);
    assert_false(ask(config, rehearsal)->passed);
    assert_int_equal(answer.status, 429);
    policy->type.release(config);
}

/* With a table that strangers have filled. */
static void where_no_counter_is_left_a_tolerant_limit_lets_pass(void **state)
{
    void *tolerant = compiled("{\"day\":1,\"limit_by\":\"ip\"}"),
         *strict = compiled("{\"day\":1,\"limit_by\":\"ip\",\"fault_tolerant\":false}"),
         *both = compiled("{\"second\":1,\"day\":1,\"limit_by\":\"ip\"}"),
         *known = compiled("{\"day\":1,\"fault_tolerant\":false}");
    char address[32];

    for (int i = 0; i < 4096; i++) {
        snprintf(address, sizeof(address), "198.18.%d.%d", i / 256, i % 256);
        assert_true(ask(tolerant, (struct asking){ .address = address })->passed);
    }
    struct asking asking = { .address = "203.0.113.1" };
    assert_true(ask(tolerant, asking)->passed);
    assert_true(ask(tolerant, asking)->passed);
    assert_string_equal(answer.headers, "");
    assert_false(ask(strict, asking)->passed);
    assert_int_equal(answer.status, 500);
    assert_string_equal(answer.message, "An unexpected error occurred");
    assert_false(answer.limited);
    /* Those that have theirs keep it, the other windows hold, and who is known has room. */
    assert_false(ask(tolerant, (struct asking){ .address = "198.18.0.0" })->passed);
    assert_true(ask(both, asking)->passed);
    assert_false(ask(both, asking)->passed);
    assert_true(ask(known, (struct asking){ &alice })->passed);
    assert_false(ask(known, (struct asking){ &alice })->passed);
    assert_true(kg_counters_refused(counters) > 0);
    policy->type.release(tolerant);
    policy->type.release(strict);
    policy->type.release(both);
    policy->type.release(known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_kongs_fields_and_defaults),
        cmocka_unit_test(needs_a_limit),
        cmocka_unit_test(limits_are_numbers_over_zero),
        cmocka_unit_test(a_longer_window_may_not_have_the_smaller_limit),
        cmocka_unit_test(limit_by_is_one_of_kongs),
        cmocka_unit_test(what_limit_by_needs_must_be_there),
        cmocka_unit_test(policies_with_a_store_are_refused_by_name),
        cmocka_unit_test(redis_may_only_say_nothing),
        cmocka_unit_test(errors_have_a_status_and_one_line),
        cmocka_unit_test_setup_teardown(lets_as_many_through_as_the_limit_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fraction_lets_one_more_through, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_window_has_its_headers_and_its_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_several_windows_the_tightest_speaks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hides_every_header_when_told_to, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers_with_the_status_and_message_of_the_config, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_consumer_else_credential_else_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_credential_else_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_service_else_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_header_else_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_path_else_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_header_cannot_spend_what_is_an_addresses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counters_belong_to_where_the_instance_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rehearsal_tells_and_counts_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(where_no_counter_is_left_a_tolerant_limit_lets_pass, set_up,
                                        tear_down),
    };

    kg_policies_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
