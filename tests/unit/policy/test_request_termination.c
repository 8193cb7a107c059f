/* SPDX-License-Identifier: BSD-2-Clause */
#include "pass.h"

static const struct kg_policy *const policy = &kg_policy_request_termination;

static struct pass *pass(const char *config, const char *line, const char *headers)
{
    return run(policy, new_pass(policy, config, line, headers));
}

/* ---- configuration ---- */

static void has_kongs_defaults(void **state)
{
    assert_config(policy, "{}",
                  "{\"status_code\":503,\"message\":null,\"content_type\":null,\"body\":null,\"echo\":false,"
                  "\"trigger\":null}");
    assert_int_equal(policy->type.priority, 2);
    assert_false(policy->type.no_consumer);
}

static void a_message_is_no_body(void **state)
{
    static const char *const bad[] = { "{\"message\":\"m\",\"body\":\"b\"}",
                                       "{\"message\":\"m\",\"content_type\":\"text/plain\"}",
                                       "{\"message\":\"m\",\"body\":\"b\",\"content_type\":\"text/plain\"}" };

    for (size_t i = 0; i < 3; i++)
        assert_config_refused(policy, bad[i], "message cannot be used with content_type or body");
}

static void a_type_needs_a_body(void **state)
{
    assert_config_refused(policy, "{\"content_type\":\"text/plain\"}", "content_type requires a body");
}

static void an_echo_is_its_own_body(void **state)
{
    assert_config_refused(policy, "{\"echo\":true,\"body\":\"b\"}",
                          "echo cannot be used with content_type and body");
    assert_config_refused(policy, "{\"echo\":true,\"body\":\"b\",\"content_type\":\"text/plain\"}",
                          "echo cannot be used with content_type and body");
    json_decref(whole_config(policy, "{\"echo\":true,\"message\":\"m\",\"trigger\":\"X-Debug\"}"));
}

static void a_rule_of_the_config_is_noted_under_it(void **state)
{
    json_t *input = plugin_input(policy, "{\"content_type\":\"text/plain\"}"), *plugin = NULL,
           *problem = NULL;
    json_t *expected = parsed("{\"config\":{\"@entity\":[\"content_type requires a body\"]}}");

    assert_int_not_equal(
        kg_schema_apply(&kg_entities[KG_PLUGINS], KG_WRITE_CREATE, input, NULL, &plugin, &problem), 0);
    assert_true(json_equal(json_object_get(problem, "fields"), expected));
    json_decref(expected);
    json_decref(problem);
    json_decref(input);
}

static void refuses_what_cannot_be_answered(void **state)
{
    static const int bad[] = { 0, 100, 101, 199, 600 };
    char config[64];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(config, sizeof(config), "{\"status_code\":%d}", bad[i]);
        assert_config_refused(policy, config, "config.status_code: value should be between 200 and 599");
    }
    assert_config_refused(policy, "{\"status_code\":\"503\"}", "config.status_code: expected an integer");
    assert_config_refused(policy, "{\"body\":\"b\",\"content_type\":\"a\\r\\nX: y\"}",
                          "config.content_type: must not contain control characters");
    assert_config_refused(policy, "{\"trigger\":\"a b\"}",
                          "config.trigger: 'a b' is not a valid header name");
    assert_config_refused(policy, "{\"message\":1}", "config.message: expected a string");
    assert_config_refused(policy, "{\"body\":{}}", "config.body: expected a string");
    assert_config_refused(policy, "{\"echo\":1}", "config.echo: expected a boolean");
    assert_config_refused(policy, "{\"echo_trigger\":\"x\"}", "config.echo_trigger: unknown field");
}

static void texts_have_a_length(void **state)
{
    char *config = malloc(33000);

    snprintf(config, 33000, "{\"message\":\"%01025d\"}", 0);
    assert_config_refused(policy, config, "config.message: length must be at most 1024");
    snprintf(config, 33000, "{\"body\":\"%032769d\"}", 0);
    assert_config_refused(policy, config, "config.body: length must be at most 32768");
    snprintf(config, 33000, "{\"body\":\"b\",\"content_type\":\"%0257d\"}", 0);
    assert_config_refused(policy, config, "config.content_type: length must be at most 256");
    snprintf(config, 33000, "{\"trigger\":\"%0257d\"}", 0);
    assert_config_refused(policy, config, "config.trigger: length must be at most 256");
    snprintf(config, 33000, "{\"body\":\"%032768d\"}", 0);
    json_decref(whole_config(policy, config));
    free(config);
}

/* ---- the answer ---- */

static void answers_instead_of_the_service(void **state)
{
    struct pass *p = pass("{}", "GET /", "");

    assert_answer(p, 503, "Service unavailable");
    assert_int_equal(p->request.body_type.len, 0);
    assert_false(p->request.has_signal);
    end(policy, p);
}

static void each_status_has_kongs_message_or_none(void **state)
{
    static const struct {
        unsigned status;
        const char *message;
    } cases[] = {
        { 401, "Unauthorized" },
        { 404, "Not found" },
        { 405, "Method not allowed" },
        { 502, "Bad Gateway" },
        { 200, "" },
        { 500, "An unexpected error occurred" },
        { 403, "" },
        { 204, "" },
    };
    char config[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(config, sizeof(config), "{\"status_code\":%u}", cases[i].status);
        struct pass *p = pass(config, "GET /", "");
        assert_answer(p, cases[i].status, cases[i].message);
        assert_slice(p->request.www_authenticate, cases[i].status == 401 ? "Key" : "");
        end(policy, p);
    }
}

static void a_message_can_be_said(void **state)
{
    struct pass *p = pass("{\"status_code\":403,\"message\":\"So long\"}", "GET /", "");

    assert_answer(p, 403, "So long");
    assert_int_equal(p->request.body_type.len, 0);
    end(policy, p);
}

static void a_body_is_sent_as_it_is(void **state)
{
    struct pass *p =
        pass("{\"status_code\":200,\"body\":\"<p>\\n\",\"content_type\":\"text/html\"}", "GET /", "");

    assert_false(p->on);
    assert_int_equal(p->request.status, 200);
    assert_slice(p->request.body, "<p>\n");
    assert_slice(p->request.body_type, "text/html");
    end(policy, p);
    p = pass("{\"body\":\"{}\"}", "GET /", "");
    assert_slice(p->request.body_type, "application/json; charset=utf-8");
    end(policy, p);
}

static void a_trigger_is_a_header_or_a_query_argument(void **state)
{
    static const struct {
        const char *line, *headers;
        bool on;
    } cases[] = {
        { "GET /", "", true },
        { "GET /", "x-debug: 1\r\n", false },
        { "GET /", "X-Debug:\r\n", false },
        { "GET /?X-Debug=1", "", false },
        { "GET /?X%2dDebug", "", false },
        { "GET /?x-debug=1", "", true },
        { "GET /", "X-Debugger: 1\r\n", true },
        { "GET /", "Connection: x-debug\r\nX-Debug: 1\r\n", true },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pass *p = pass("{\"trigger\":\"X-Debug\"}", cases[i].line, cases[i].headers);
        if (p->on != cases[i].on)
            fail_msg("%s with [%s]", cases[i].line, cases[i].headers);
        end(policy, p);
    }
}

/* ---- echo ---- */

static json_t *echoed(const char *config, const char *line, const char *headers)
{
    struct pass *p = new_pass(policy, config, line, headers);
    json_error_t error;

    memcpy(p->route.id, "r1", 3);
    memcpy(p->service.id, "s1", 3);
    p->route.name = KG_SLICE("anything");
    p->request.connection.port = 9080;
    run(policy, p);
    assert_false(p->on);
    assert_slice(p->request.body_type, "application/json; charset=utf-8");
    json_t *body = json_loadb(p->request.body.ptr, p->request.body.len, JSON_REJECT_DUPLICATES, &error);
    if (!body)
        fail_msg("%s: %.*s", error.text, (int)p->request.body.len, p->request.body.ptr);
    end(policy, p);
    return body;
}

static void assert_echo(const char *config, const char *line, const char *headers, const char *expected)
{
    json_t *body = echoed(config, line, headers), *wanted = parsed(expected);

    if (!json_equal(body, wanted))
        fail_msg("%s", json_dumps(body, 0));
    json_decref(wanted);
    json_decref(body);
}

static void an_echo_tells_what_came(void **state)
{
    assert_echo(
        "{\"echo\":true,\"status_code\":418,\"message\":\"I \\\"see\\\"\"}", "POST /a//b?x=1",
        "Accept: a\r\nX-Twice: 1\r\nx-twice: 2\r\n",
        "{\"message\":\"I \\\"see\\\"\",\"request\":{\"scheme\":\"http\",\"host\":\"h\",\"port\":9080,"
        "\"method\":\"POST\",\"path\":\"/a//b\",\"headers\":{\"host\":\"h\",\"accept\":\"a\","
        "\"x-twice\":[\"1\",\"2\"]},\"query\":{\"x\":\"1\"}},\"matched_route\":{\"id\":\"r1\","
        "\"name\":\"anything\"},\"matched_service\":{\"id\":\"s1\",\"name\":null}}");
}

static void assert_query(const char *query, const char *expected)
{
    char line[2048];
    snprintf(line, sizeof(line), "GET /%s", query);
    json_t *body = echoed("{\"echo\":true}", line, ""), *wanted = parsed(expected);
    json_t *seen = json_object_get(json_object_get(body, "request"), "query");

    if (!json_equal(seen, wanted))
        fail_msg("%s: %s", query, json_dumps(seen, 0));
    json_decref(wanted);
    json_decref(body);
}

static void an_echo_shows_the_query_decoded(void **state)
{
    assert_query("", "{}");
    assert_query("?", "{}");
    assert_query("?a=1&b=%22+x&a=2&&c&a", "{\"a\":[\"1\",\"2\",true],\"b\":\"\\\" x\",\"c\":true}");
    assert_query("?%61=&a=1", "{\"a\":[\"\",\"1\"]}");
    assert_query("?u=%C3%A9%F0%9F%98%80", "{\"u\":\"\xc3\xa9\xf0\x9f\x98\x80\"}");
    assert_query("?n=%01%0a", "{\"n\":\"\\u0001\\n\"}");
}

/* RFC 3629: alone, cut off, overlong, surrogates, beyond the last. */
static void an_echo_is_utf_8_whatever_came(void **state)
{
    assert_query(
        "?a=%FF&b=%C3&c=%C0%AF&d=%E0%80%AF&e=%ED%A0%80&f=%F4%90%80%80&g=%F0%80%80%AFz",
        "{\"a\":\"?\",\"b\":\"?\",\"c\":\"??\",\"d\":\"???\",\"e\":\"???\",\"f\":\"????\",\"g\":\"????z\"}");
}

static void an_echo_shows_a_hundred_arguments(void **state)
{
    char query[1024] = "?";
    size_t len = 1;

    for (int i = 0; i < 101; i++)
        len += (size_t)snprintf(query + len, sizeof(query) - len, "%d=1&", i);
    char line[1100];
    snprintf(line, sizeof(line), "GET /%s", query);
    json_t *body = echoed("{\"echo\":true}", line, "");
    json_t *seen = json_object_get(json_object_get(body, "request"), "query");
    assert_int_equal(json_object_size(seen), 100);
    assert_null(json_object_get(seen, "100"));
    json_decref(body);
}

static void an_echo_shows_no_header_that_was_taken_away(void **state)
{
    struct pass *p = new_pass(policy, "{\"echo\":true}", "GET /", "apikey: secret\r\n");

    p->head.headers[1].hop = true;
    run(policy, p);
    assert_null(memmem(p->request.body.ptr, p->request.body.len, "secret", 6));
    end(policy, p);
}

static void an_echo_that_does_not_fit_is_an_error(void **state)
{
    struct pass *p = new_pass(policy, "{\"echo\":true}", "GET /", "");

    p->scratch.cap = 200;
    assert_answer(run(policy, p), 500, "An unexpected error occurred");
    end(policy, p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_kongs_defaults),
        cmocka_unit_test(a_message_is_no_body),
        cmocka_unit_test(a_type_needs_a_body),
        cmocka_unit_test(an_echo_is_its_own_body),
        cmocka_unit_test(a_rule_of_the_config_is_noted_under_it),
        cmocka_unit_test(refuses_what_cannot_be_answered),
        cmocka_unit_test(texts_have_a_length),
        cmocka_unit_test(answers_instead_of_the_service),
        cmocka_unit_test(each_status_has_kongs_message_or_none),
        cmocka_unit_test(a_message_can_be_said),
        cmocka_unit_test(a_body_is_sent_as_it_is),
        cmocka_unit_test(a_trigger_is_a_header_or_a_query_argument),
        cmocka_unit_test(an_echo_tells_what_came),
        cmocka_unit_test(an_echo_shows_the_query_decoded),
        cmocka_unit_test(an_echo_is_utf_8_whatever_came),
        cmocka_unit_test(an_echo_shows_a_hundred_arguments),
        cmocka_unit_test(an_echo_shows_no_header_that_was_taken_away),
        cmocka_unit_test(an_echo_that_does_not_fit_is_an_error),
    };

    return cmocka_run_group_tests(tests, register_policies, NULL);
}
