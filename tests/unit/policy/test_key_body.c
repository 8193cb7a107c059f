/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys in bodies: what key-auth finds there, when it asks for the body, and what it leaves of it. */
#include "policy/key_body.h"
#include "read_request.h"

#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define CONSUMER   "00000000-0000-4000-8000-000000000001"
#define CREDENTIAL "00000000-0000-4000-8000-000000000002"
#define SPACED     "00000000-0000-4000-8000-000000000003"

#define FORM  "Content-Type: application/x-www-form-urlencoded\r\n"
#define JSON  "Content-Type: application/json\r\n"
#define PARTS "Content-Type: multipart/form-data; boundary=b\r\n"

/* A part of a multipart form. */
#define PART(name, content) "--b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" content "\r\n"
#define PARTS_END           "--b--\r\n"

static const uint8_t index_key[32] = { 42 };
static struct kg_key_hasher *hasher;
static struct kg_model *model;
static struct kg_snapshot *snapshot;

static void add_key(const char *id, const char *key)
{
    uint8_t mac[32];

    kg_key_hasher_mac(hasher, kg_slice_str(key), mac);
    kg_model_put_credential(model, id, CONSUMER, mac, 0, NULL);
}

static int set_up(void **state)
{
    hasher = kg_key_hasher_new(index_key);
    model = kg_model_new(NULL);
    kg_model_put_consumer(model, CONSUMER, "alice", NULL);
    add_key(CREDENTIAL, "kong");
    add_key(SPACED, "a key, b");
    snapshot = kg_model_snapshot(model);
    return 0;
}

static int tear_down(void **state)
{
    kg_snapshot_free(snapshot);
    kg_model_free(model);
    kg_key_hasher_free(hasher);
    return 0;
}

/* ---- one request ---- */

struct pass {
    char text[2048], space[4096], body[4096];
    struct kg_head head;
    struct kg_target target;
    struct kg_writer scratch;
    struct kg_policy_request request;
    bool on;
};

static void *compile(const char *json)
{
    json_error_t error;
    json_t *given = json_loads(json, 0, &error);
    json_t *config =
        json_pack("{s[s] sb sb sb sb sb sn}", "key_names", "apikey", "key_in_header", 1, "key_in_query", 1,
                  "key_in_body", 1, "hide_credentials", 0, "run_on_preflight", 1, "realm");

    assert_non_null(given);
    assert_int_equal(json_object_update(config, given), 0);
    void *compiled = kg_policy_key_auth.type.compile(config);
    json_decref(given);
    json_decref(config);
    return compiled;
}

/* headers: whole lines. payload: what is known of the body. */
static struct pass *ask(const char *config, const char *line, const char *headers, struct kg_payload payload)
{
    static struct pass p;
    struct kg_framing framing;
    void *compiled = compile(config);

    p = (struct pass){ .on = false };
    read_request(line, headers, p.text, sizeof(p.text), &p.head, &framing, &p.target);
    p.scratch = kg_writer_of(p.space, sizeof(p.space));
    p.request = (struct kg_policy_request){
        .snapshot = snapshot,
        .hasher = hasher,
        .head = &p.head,
        .target = &p.target,
        .query = p.target.query,
        .has_query = p.target.has_query,
        .scratch = &p.scratch,
        .payload = payload,
    };
    if (payload.ptr) {
        assert_true(payload.len <= sizeof(p.body));
        memcpy(p.body, payload.ptr, payload.len);
        p.request.payload.ptr = p.body;
    }
    p.on = kg_policy_key_auth.access(compiled, &p.request);
    kg_policy_key_auth.type.release(compiled);
    return &p;
}

static struct pass *pass(const char *config, const char *line, const char *headers, const char *body)
{
    size_t len = strlen(body);
    char *copy = malloc(len + 1);

    assert_non_null(copy);
    memcpy(copy, body, len + 1);
    struct pass *p = ask(config, line, headers, (struct kg_payload){ .ptr = copy, .len = len });
    free(copy);
    return p;
}

enum outcome { OK, MISSING, WRONG, SEVERAL };

static const char *outcome_of(const struct pass *p)
{
    static char text[128];
    const struct kg_policy_request *r = &p->request;

    if (p->on)
        return r->principal.key ? r->principal.key->id : "nobody";
    snprintf(text, sizeof(text), "%u %.*s", r->status, (int)r->message.len, r->message.ptr);
    return text;
}

static void expect_of(const char *config, const char *line, const char *headers, const char *body,
                      enum outcome outcome)
{
    static const char *const outcomes[] = {
        [OK] = CREDENTIAL,
        [MISSING] = "401 No API key found in request",
        [WRONG] = "401 Unauthorized",
        [SEVERAL] = "401 Duplicate API key found",
    };
    const struct pass *p = pass(config, line, headers, body);

    if (strcmp(outcome_of(p), outcomes[outcome]) != 0)
        fail_msg("%s, %s with [%s] and [%s]: %s", config, line, headers, body, outcome_of(p));
    assert_false(p->request.payload.wanted);
}

static void expect(const char *headers, const char *body, enum outcome outcome)
{
    expect_of("{}", "POST /", headers, body, outcome);
}

/* ---- finding ---- */

static void a_key_in_a_form(void **state)
{
    expect(FORM, "apikey=kong", OK);
    expect(FORM, "a=1&apikey=kong&b=2", OK);
    expect(FORM, "api%6B%65%79=%6bong", OK);
    expect(FORM, "apikey=bad", WRONG);
    expect(FORM, "apikey=", MISSING);
    expect(FORM, "apikey", MISSING);
    expect(FORM, "", MISSING);
    expect(FORM, "APIKEY=kong", MISSING);
    expect(FORM, "apikey=kong&apikey=kong", SEVERAL);
    expect(FORM, "apikey&apikey=kong", SEVERAL);
    expect(FORM, "apikey[]=kong", MISSING);
    expect(FORM, "apikey[1]=kong&apikey[]=kong", MISSING);
    expect(FORM, "{\"apikey\":\"kong\"}", MISSING);
    assert_string_equal(outcome_of(pass("{}", "POST /", FORM, "apikey=a+key,%20b")), SPACED);
}

static void a_key_in_json(void **state)
{
    expect(JSON, "{\"apikey\":\"kong\"}", OK);
    expect(JSON, " { \"a\" : { \"apikey\" : \"bad\" } , \"apikey\" : \"kong\" } ", OK);
    expect(JSON, "{\"ap\\u0069key\":\"k\\u006fng\"}", OK);
    expect(JSON, "{\"apikey\":\"bad\"}", WRONG);
    expect(JSON, "{\"apikey\":\" kong\"}", WRONG);
    expect(JSON, "{\"apikey\":\"\"}", MISSING);
    expect(JSON, "{\"Apikey\":\"kong\"}", MISSING);
    expect(JSON, "{\"a\":{\"apikey\":\"kong\"}}", MISSING);
    expect(JSON, "{\"apikey\":[\"kong\"]}", SEVERAL);
    expect(JSON, "{\"apikey\":[]}", SEVERAL);
    expect(JSON, "{\"apikey\":{}}", SEVERAL);
    expect(JSON, "{\"apikey\":\"kong\",\"apikey\":\"kong\"}", SEVERAL);
    expect(JSON, "{\"apikey\":1,\"apikey\":\"kong\"}", SEVERAL);
    expect(JSON, "{\"apikey\":\"kong\",\"ap\\u0069key\":\"kong\"}", SEVERAL);
    expect(JSON, "{\"apikey\":1}", MISSING);
    expect(JSON, "{\"apikey\":true}", MISSING);
    expect(JSON, "{\"apikey\":null}", MISSING);
    expect(JSON, "{\"apikey\":\"kong\"", MISSING);
    expect(JSON, "{\"apikey\":\"kong\"}x", MISSING);
    expect(JSON, "[{\"apikey\":\"kong\"}]", MISSING);
    expect(JSON, "\"apikey\"", MISSING);
    expect(JSON, "", MISSING);
    expect(JSON, "apikey=kong", MISSING);
}

static void a_key_in_a_multipart_form(void **state)
{
    expect(PARTS, PART("a", "1") PART("apikey", "kong") PARTS_END, OK);
    expect(PARTS, PART("apikey", "kong") PART("b", "") PARTS_END, OK);
    expect(PARTS, PART("apikey", "bad") PARTS_END, WRONG);
    expect(PARTS, PART("apikey", "%6bong") PARTS_END, WRONG);
    expect(PARTS, PART("apikey", "") PARTS_END, MISSING);
    expect(PARTS, PART("APIKEY", "kong") PARTS_END, MISSING);
    expect(PARTS, PART("apikey", "kong") PART("apikey", "kong") PARTS_END, SEVERAL);
    expect(PARTS, PART("apikey", "kong"), MISSING);
    expect(PARTS, PART("apikey", "kong") "--b\r\nbroken", MISSING);
    expect("Content-Type: multipart/form-data\r\n", PART("apikey", "kong") PARTS_END, MISSING);
    assert_string_equal(outcome_of(pass("{}", "POST /", PARTS, PART("apikey", "a key, b") PARTS_END)),
                        SPACED);
}

static void only_these_media_types_are_looked_into(void **state)
{
    expect("Content-Type: Application/X-WWW-Form-URLEncoded ; charset=utf-8\r\n", "apikey=kong", OK);
    expect("Content-Type: APPLICATION/JSON;charset=utf-8\r\n", "{\"apikey\":\"kong\"}", OK);
    expect("Content-Type: Multipart/Form-Data; Boundary=\"b\"\r\n", PART("apikey", "kong") PARTS_END, OK);
    expect("", "apikey=kong", MISSING);
    expect("Content-Type: text/plain\r\n", "apikey=kong", MISSING);
    expect("Content-Type: application/json-seq\r\n", "{\"apikey\":\"kong\"}", MISSING);
    expect("Content-Type: application/vnd.api+json\r\n", "{\"apikey\":\"kong\"}", MISSING);
    expect(FORM FORM, "apikey=kong", MISSING);
    expect(FORM "Connection: content-type\r\n", "apikey=kong", MISSING);
}

static void the_body_comes_after_header_and_query_and_before_the_next_name(void **state)
{
    static const char two[] = "{\"key_names\":[\"first\",\"second\"]}";

    expect_of("{}", "POST /", FORM "apikey: kong\r\n", "apikey=bad", OK);
    expect_of("{}", "POST /", FORM "apikey: bad\r\n", "apikey=kong", WRONG);
    expect_of("{}", "POST /", FORM "apikey:\r\n", "apikey=kong", MISSING);
    expect_of("{}", "POST /?apikey=kong", FORM, "apikey=bad", OK);
    expect_of("{}", "POST /?apikey=bad", FORM, "apikey=kong", WRONG);
    expect_of("{}", "POST /?apikey=", FORM, "apikey=kong", MISSING);
    /* What is there and is no key keeps the name's later places from being looked at, not the next name's. */
    expect_of("{}", "POST /?apikey", FORM, "apikey=kong", MISSING);
    expect_of(two, "POST /?first", FORM, "first=bad&second=kong", OK);
    expect_of(two, "POST /", FORM, "first&second=kong", OK);
    expect_of(two, "POST /", JSON, "{\"first\":7,\"second\":\"kong\"}", OK);
    expect_of(two, "POST /", JSON "second: kong\r\n", "{\"first\":\"bad\"}", WRONG);
    expect_of(two, "POST /", JSON "second: bad\r\n", "{\"first\":\"kong\"}", OK);
    expect_of(two, "POST /", JSON "second: kong\r\n", "{\"second\":\"bad\"}", OK);
    expect_of("{\"key_in_header\":false,\"key_in_query\":false}", "POST /?apikey=bad", FORM "apikey: bad\r\n",
              "apikey=kong", OK);
    expect_of("{\"key_in_body\":false}", "POST /", FORM, "apikey=kong", MISSING);
    /* In a body names are what they are. */
    expect_of("{\"key_names\":[\"Api_Key\"]}", "POST /", FORM, "Api_Key=kong", OK);
    expect_of("{\"key_names\":[\"Api_Key\"]}", "POST /", FORM, "api_key=kong&Api-Key=kong", MISSING);
}

/* ---- asking for it ---- */

static bool asks(const char *config, const char *line, const char *headers)
{
    struct pass *p = ask(config, line, headers, (struct kg_payload){ .obtainable = true });

    assert_false(p->on && p->request.payload.wanted);
    if (p->request.payload.wanted)
        assert_false(p->request.has_signal);
    return p->request.payload.wanted;
}

static void the_body_is_asked_for_only_when_it_may_decide(void **state)
{
    static const char two[] = "{\"key_names\":[\"first\",\"second\"]}";

    assert_true(asks("{}", "POST /", FORM));
    assert_true(asks("{}", "GET /", JSON));
    assert_true(asks("{}", "HEAD /", PARTS));
    assert_true(asks(two, "POST /", FORM "second: kong\r\n"));
    assert_false(asks(two, "POST /", FORM "first: kong\r\n"));
    assert_false(asks("{}", "POST /", FORM "apikey: kong\r\n"));
    assert_false(asks("{}", "POST /?apikey=kong", FORM));
    assert_false(asks("{}", "POST /", "Content-Type: text/plain\r\n"));
    assert_false(asks("{}", "POST /", ""));
    assert_false(asks("{\"key_in_body\":false}", "POST /", FORM));
    /* A copy of the key in it would have to be hidden too. */
    assert_true(asks("{\"hide_credentials\":true}", "POST /", FORM "apikey: kong\r\n"));
    assert_true(asks("{\"hide_credentials\":true}", "POST /?apikey=kong", JSON));
    assert_false(
        asks("{\"hide_credentials\":true,\"key_in_body\":false}", "POST /", FORM "apikey: kong\r\n"));
    assert_false(asks("{\"hide_credentials\":true}", "POST /", "apikey: kong\r\n"));
    assert_false(asks("{\"run_on_preflight\":false}", "OPTIONS /", FORM));
    assert_true(asks("{\"run_on_preflight\":false,\"hide_credentials\":true}", "OPTIONS /", FORM));
}

static void a_body_that_cannot_be_had_holds_no_key(void **state)
{
    assert_string_equal(outcome_of(ask("{}", "POST /", FORM, (struct kg_payload){ 0 })),
                        "401 No API key found in request");
    assert_string_equal(outcome_of(ask("{}", "POST /", FORM "apikey: kong\r\n", (struct kg_payload){ 0 })),
                        CREDENTIAL);
    assert_string_equal(outcome_of(ask("{\"hide_credentials\":true}", "POST /", FORM "apikey: kong\r\n",
                                       (struct kg_payload){ 0 })),
                        CREDENTIAL);
}

/* ---- hiding ---- */

static void leaves_of(const char *line, const char *headers, const char *body, const char *rest)
{
    struct pass *p = pass("{\"hide_credentials\":true}", line, headers, body);
    const struct kg_payload *payload = &p->request.payload;

    if (payload->len != strlen(rest) || memcmp(payload->ptr, rest, payload->len) != 0)
        fail_msg("[%s] becomes [%.*s]", body, (int)payload->len, payload->ptr);
    assert_int_equal(payload->changed, strcmp(body, rest) != 0);
}

static void leaves(const char *headers, const char *body, const char *rest)
{
    leaves_of("POST /", headers, body, rest);
}

static void a_hidden_key_leaves_a_form_and_the_rest_stays_byte_for_byte(void **state)
{
    leaves(FORM, "apikey=kong", "");
    leaves(FORM, "apikey=kong&b=%7e&a=valu%651", "b=%7e&a=valu%651");
    leaves(FORM, "b=%7e&apikey=kong&a=1", "b=%7e&a=1");
    leaves(FORM, "b=%7e&&api%6bey=kong", "b=%7e&");
    leaves(FORM, "apikey=kong&&b", "&b");
    leaves(FORM, "apikey=a&apikey=b&c=1&apikey=d&e&apikey=f", "c=1&e");
    leaves(FORM, "apikey=a&apikey=b", "");
    leaves(FORM, "a=1&b=2", "a=1&b=2");
}

static void a_hidden_key_leaves_json_and_the_rest_stays_byte_for_byte(void **state)
{
    leaves(JSON, "{\"apikey\":\"kong\"}", "{}");
    leaves(JSON, " { \"apikey\" : \"kong\" } ", " {  } ");
    leaves(JSON, "{\"apikey\":\"kong\", \"b\": [1,\t2]}", "{\"b\": [1,\t2]}");
    leaves(JSON, "{\"z\":1.0, \"apikey\":\"kong\",\n\"a\":{\"apikey\":\"kong\"}}",
           "{\"z\":1.0,\n\"a\":{\"apikey\":\"kong\"}}");
    leaves(JSON, "{\"b\":\"\\u0041\" ,\"ap\\u0069key\":\"kong\"}\n", "{\"b\":\"\\u0041\"}\n");
    leaves(JSON,
           "{\"apikey\":\"a\",\"apikey\":[{}], \"b\":2,\"apikey\":{\"x\":1} , \"c\":3,\"apikey\":\"d\"}",
           "{\"b\":2 , \"c\":3}");
    leaves(JSON, "{\"apikey\":\"a\" , \"apikey\":\"b\"}", "{}");
    leaves(JSON, "{\"a\":1}", "{\"a\":1}");
}

static void a_hidden_key_leaves_a_multipart_form_and_the_rest_stays_byte_for_byte(void **state)
{
    static const char file[] = "--b\r\nContent-Type: image/png\r\nContent-Disposition: form-data; "
                               "name=f; filename=\"x.png\"\r\n\r\n\x89PNG\r\n\r\n--bnot--\r\n";
    char body[1024], rest[1024];

    leaves(PARTS, PART("apikey", "kong") PARTS_END, PARTS_END);
    leaves(PARTS, "preamble\r\n" PART("z", "1") PART("apikey", "kong") PART("a", "\r\n") PARTS_END "epilogue",
           "preamble\r\n" PART("z", "1") PART("a", "\r\n") PARTS_END "epilogue");
    leaves(PARTS, PART("apikey", "a") PART("apikey", "b") PART("a", "1") PART("apikey", "c") PARTS_END,
           PART("a", "1") PARTS_END);
    leaves(PARTS, PART("a", "1") PARTS_END, PART("a", "1") PARTS_END);
    /* A boundary that goes on is none: the form is malformed, and nothing is found in it. */
    snprintf(body, sizeof(body), "%s%s%s", PART("apikey", "kong"), file, PARTS_END);
    leaves(PARTS, body, body);
    snprintf(body, sizeof(body), "%s%.*s\r\n%s", PART("apikey", "kong"), (int)strlen(file) - 10, file,
             PARTS_END);
    snprintf(rest, sizeof(rest), "%.*s\r\n%s", (int)strlen(file) - 10, file, PARTS_END);
    leaves(PARTS, body, rest);
}

static void a_hidden_key_leaves_the_body_wherever_it_was_found(void **state)
{
    leaves(FORM "apikey: kong\r\n", "a=1&apikey=x", "a=1");
    leaves(JSON "apikey: kong\r\n", "{\"apikey\":1,\"a\":1}", "{\"a\":1}");
    leaves(PARTS "apikey: kong\r\n", PART("apikey", "x") PARTS_END, PARTS_END);
    leaves_of("POST /?apikey=kong", FORM, "a=1&apikey=x", "a=1");
    leaves_of("POST /?apikey=kong", FORM, "a=1&apikey", "a=1");
    struct pass *p = pass("{\"hide_credentials\":true}", "POST /?apikey=x&b=1", FORM, "apikey=kong");
    assert_int_equal(p->request.query.len, 3);
    /* Of what cannot be read nothing is known. */
    leaves(JSON "apikey: kong\r\n", "{\"apikey\":\"x\"", "{\"apikey\":\"x\"");
    leaves("Content-Type: text/plain\r\napikey: kong\r\n", "apikey=x", "apikey=x");
}

static void only_the_name_that_decided_leaves_the_body(void **state)
{
    struct pass *p = pass("{\"hide_credentials\":true,\"key_names\":[\"first\",\"second\"]}", "POST /", FORM,
                          "second=bad&first=kong");

    assert_true(p->on);
    assert_int_equal(p->request.payload.len, strlen("second=bad"));
}

static void an_exempt_preflight_request_loses_the_key_in_its_body_too(void **state)
{
    struct pass *p =
        pass("{\"hide_credentials\":true,\"run_on_preflight\":false}", "OPTIONS /", FORM, "apikey=bad&a=1");

    assert_true(p->on);
    assert_null(p->request.principal.key);
    assert_int_equal(p->request.payload.len, 3);
}

static void nothing_of_the_body_is_changed_unless_asked_for(void **state)
{
    struct pass *p = pass("{}", "POST /", FORM, "apikey=kong&a=1");

    assert_true(p->on);
    assert_false(p->request.payload.changed);
    assert_int_equal(p->request.payload.len, strlen("apikey=kong&a=1"));
}

static void no_key_of_a_body_stays_behind_in_the_scratch_space(void **state)
{
    static const char *const bodies[][2] = { { FORM, "apikey=%6bong" }, { JSON, "{\"apikey\":\"kong\"}" } };

    for (size_t i = 0; i < 2; i++) {
        struct pass *p = pass("{}", "POST /", bodies[i][0], bodies[i][1]);

        assert_true(p->on);
        for (size_t at = 0; at < sizeof(p->space); at++)
            assert_int_equal(p->space[at], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_in_a_form),
        cmocka_unit_test(a_key_in_json),
        cmocka_unit_test(a_key_in_a_multipart_form),
        cmocka_unit_test(only_these_media_types_are_looked_into),
        cmocka_unit_test(the_body_comes_after_header_and_query_and_before_the_next_name),
        cmocka_unit_test(the_body_is_asked_for_only_when_it_may_decide),
        cmocka_unit_test(a_body_that_cannot_be_had_holds_no_key),
        cmocka_unit_test(a_hidden_key_leaves_a_form_and_the_rest_stays_byte_for_byte),
        cmocka_unit_test(a_hidden_key_leaves_json_and_the_rest_stays_byte_for_byte),
        cmocka_unit_test(a_hidden_key_leaves_a_multipart_form_and_the_rest_stays_byte_for_byte),
        cmocka_unit_test(a_hidden_key_leaves_the_body_wherever_it_was_found),
        cmocka_unit_test(only_the_name_that_decided_leaves_the_body),
        cmocka_unit_test(an_exempt_preflight_request_loses_the_key_in_its_body_too),
        cmocka_unit_test(nothing_of_the_body_is_changed_unless_asked_for),
        cmocka_unit_test(no_key_of_a_body_stays_behind_in_the_scratch_space),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
