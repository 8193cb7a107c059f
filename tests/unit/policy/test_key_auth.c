/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/framing.h"
#include "model/model.h"
#include "policy/policy.h"
#include "read_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW        1000
#define CONSUMER   "00000000-0000-4000-8000-000000000001"
#define CREDENTIAL "00000000-0000-4000-8000-000000000002"
#define EXPIRED    "00000000-0000-4000-8000-000000000003"
#define LIVES      "00000000-0000-4000-8000-000000000004"
#define NOBODY     "00000000-0000-4000-8000-000000000006"
#define SPACED     "00000000-0000-4000-8000-000000000005"

static const uint8_t index_key[32] = { 42 };
static struct kg_key_hasher *hasher;
static struct kg_model *model;
static struct kg_snapshot *snapshot;
/* Who a request comes from before it meets key-auth. */
static struct kg_principal before;
/* That another plugin was shown a wrong credential before. */
static bool guessed;

static void add_key(const char *id, const char *key, int64_t expires)
{
    uint8_t mac[32];

    kg_key_hasher_mac(hasher, kg_slice_str(key), mac);
    kg_model_put_credential(model, id, CONSUMER, mac, expires, NULL);
}

static int set_up(void **state)
{
    hasher = kg_key_hasher_new(index_key);
    model = kg_model_new(NULL);
    kg_model_put_consumer(model, CONSUMER, "alice", NULL);
    kg_model_put_consumer(model, NOBODY, "nobody", NULL);
    add_key(CREDENTIAL, "kong", 0);
    add_key(EXPIRED, "old", NOW);
    add_key(LIVES, "young", NOW + 1);
    add_key(SPACED, "a key, b", 0);
    snapshot = kg_model_snapshot(model);
    kg_policies_register();
    return 0;
}

static int tear_down(void **state)
{
    kg_snapshot_free(snapshot);
    kg_model_free(model);
    kg_key_hasher_free(hasher);
    return 0;
}

/* One pass of one request through one key-auth, with all that the answers point into. */
struct pass {
    char text[2048];
    char space[4096];
    struct kg_head head;
    struct kg_target target;
    struct kg_writer scratch;
    struct kg_policy_request request;
    void *config;
    bool on;
};

static void *compile(const char *json)
{
    json_error_t error;
    json_t *given = json_loads(json, 0, &error);
    json_t *config =
        json_pack("{s[s] sb sb sb sb sn sn}", "key_names", "apikey", "key_in_header", 1, "key_in_query", 1,
                  "hide_credentials", 0, "run_on_preflight", 1, "realm", "anonymous");

    assert_non_null(given);
    assert_int_equal(json_object_update(config, given), 0);
    void *compiled = kg_policy_key_auth.type.compile(config);
    json_decref(given);
    json_decref(config);
    return compiled;
}

/* headers: whole lines, each with its CRLF. */
static struct pass *pass(const char *config, const char *method, const char *target, const char *headers)
{
    static struct pass p;
    struct kg_framing framing;
    char line[1024];

    p = (struct pass){ .config = compile(config) };
    snprintf(line, sizeof(line), "%s %s", method, target);
    read_request(line, headers, p.text, sizeof(p.text), &p.head, &framing, &p.target);
    p.scratch = kg_writer_of(p.space, sizeof(p.space));
    p.request = (struct kg_policy_request){
        .snapshot = snapshot,
        .hasher = hasher,
        .head = &p.head,
        .target = &p.target,
        .now_wall = NOW,
        .query = p.target.query,
        .has_query = p.target.has_query,
        .scratch = &p.scratch,
        .principal = before,
        .has_signal = guessed,
        .signal = KG_SIGNAL_WRONG_KEY,
    };
    p.on = kg_policy_key_auth.access(p.config, &p.request);
    kg_policy_key_auth.type.release(p.config);
    return &p;
}

enum outcome { OK, MISSING, WRONG, SEVERAL };

static const char *outcome_of(const struct pass *p)
{
    static char text[128];
    const struct kg_policy_request *r = &p->request;

    if (p->on)
        return r->principal.key ? r->principal.key->id : "nobody";
    snprintf(text, sizeof(text), "%u %.*s %s", r->status, (int)r->message.len, r->message.ptr,
             !r->has_signal                       ? ""
             : r->signal == KG_SIGNAL_MISSING_KEY ? "missing"
             : r->signal == KG_SIGNAL_WRONG_KEY   ? "wrong"
                                                  : "?");
    return text;
}

static const char *const outcomes[] = {
    [OK] = CREDENTIAL,
    [MISSING] = "401 No API key found in request missing",
    [WRONG] = "401 Unauthorized wrong",
    [SEVERAL] = "401 Duplicate API key found wrong",
};

static void expect(const char *config, const char *target, const char *headers, enum outcome outcome)
{
    const char *got = outcome_of(pass(config, "GET", target, headers));

    if (strcmp(got, outcomes[outcome]) != 0)
        fail_msg("%s with %s and [%s]: %s", config, target, headers, got);
}

static void a_key_in_the_header_or_the_query_says_who_it_is(void **state)
{
    struct pass *p = pass("{}", "GET", "/x", "apikey: kong\r\n");

    assert_true(p->on);
    assert_string_equal(p->request.principal.consumer->id, CONSUMER);
    assert_string_equal(p->request.principal.key->id, CREDENTIAL);
    assert_false(p->request.has_signal);
    assert_int_equal(p->request.www_authenticate.len, 0);
    expect("{}", "/x?apikey=kong", "", OK);
    expect("{}", "/x?a=1&apikey=kong&b=2", "", OK);
}

/* One name: what header and query hold, and who wins. */
static void header_and_query_in_every_combination(void **state)
{
    static const struct {
        const char *line;
        enum outcome alone; /* OK here means: nothing in the header decides */
    } headers[] = {
        { "", OK },
        { "apikey: kong\r\n", OK },
        { "apikey: bad\r\n", WRONG },
        { "apikey:\r\n", MISSING },
        { "apikey: kong\r\nAPIKEY: kong\r\n", SEVERAL },
        { "x-apikey: bad\r\n", OK },
    };
    static const struct {
        const char *target;
        enum outcome alone;
    } queries[] = {
        { "/", MISSING },
        { "/?", MISSING },
        { "/?apikey=kong", OK },
        { "/?apikey=bad", WRONG },
        { "/?apikey=", MISSING },
        { "/?apikey", MISSING },
        { "/?apikey=kong&apikey=kong", SEVERAL },
        { "/?apikey&apikey=kong", SEVERAL },
        { "/?APIKEY=kong", MISSING },
        { "/?xapikey=kong&apikeyx=kong", MISSING },
    };

    for (size_t h = 0; h < 6; h++) {
        /* A header of that name decides alone, also when it is empty. */
        bool decides = h >= 1 && h <= 4;
        for (size_t q = 0; q < 10; q++) {
            enum outcome query_too = decides ? headers[h].alone : queries[q].alone;
            enum outcome header_only = decides ? headers[h].alone : MISSING;
            expect("{}", queries[q].target, headers[h].line, query_too);
            expect("{\"key_in_query\":false}", queries[q].target, headers[h].line, header_only);
            expect("{\"key_in_header\":false}", queries[q].target, headers[h].line, queries[q].alone);
            expect("{\"key_in_header\":false,\"key_in_query\":false}", queries[q].target, headers[h].line,
                   MISSING);
        }
    }
}

static void names_are_tried_in_order_and_the_first_present_decides(void **state)
{
    static const char two[] = "{\"key_names\":[\"first\",\"second\"]}";

    expect(two, "/", "second: kong\r\n", OK);
    expect(two, "/?second=kong", "", OK);
    expect(two, "/?first=bad", "second: kong\r\n", WRONG);
    expect(two, "/?first=kong", "second: bad\r\n", OK);
    expect(two, "/?first=kong&second=bad", "", OK);
    expect(two, "/?second=kong", "first: bad\r\n", WRONG);
    expect(two, "/?second=kong", "first:\r\n", MISSING);
    expect(two, "/?first=&second=kong", "", MISSING);
    /* Present but no key: this name is done with, the next one has its turn. */
    expect(two, "/?first&second=kong", "", OK);
    expect(two, "/?first", "second: kong\r\n", OK);
    expect(two, "/?first=x&first=y&second=kong", "", SEVERAL);
    expect("{\"key_names\":[\"second\",\"first\"]}", "/?first=bad", "second: kong\r\n", OK);
    expect("{\"key_names\":[]}", "/?apikey=kong", "apikey: kong\r\n", MISSING);
}

static void a_header_name_ignores_case_and_takes_dashes_for_underscores(void **state)
{
    expect("{\"key_names\":[\"Api_Key\"]}", "/", "api_key: kong\r\n", OK);
    expect("{\"key_names\":[\"Api_Key\"]}", "/", "API-KEY: kong\r\n", OK);
    expect("{\"key_names\":[\"api-key\"]}", "/", "api_key: kong\r\n", MISSING);
    /* Two names, so no duplicate; the spelling that was configured comes first. */
    expect("{\"key_names\":[\"api_key\"]}", "/", "api-key: bad\r\napi_key: kong\r\n", OK);
    expect("{\"key_names\":[\"api_key\"]}", "/", "api-key: kong\r\napi_key: bad\r\n", WRONG);
    expect("{\"key_names\":[\"api_key\"]}", "/", "api-key: kong\r\napi-key: kong\r\n", SEVERAL);
    /* Not in the query. */
    expect("{\"key_names\":[\"api_key\"]}", "/?api-key=kong", "", MISSING);
    expect("{\"key_names\":[\"Api_Key\"]}", "/?api_key=kong", "", MISSING);
}

static void values_are_trimmed_or_decoded_and_otherwise_exact(void **state)
{
    expect("{}", "/", "apikey: \t kong \t\r\n", OK);
    expect("{}", "/", "apikey: Kong\r\n", WRONG);
    expect("{}", "/", "apikey: kon\r\n", WRONG);
    expect("{}", "/", "apikey: kongo\r\n", WRONG);
    expect("{}", "/?api%6B%65%79=%6bong", "", OK);
    expect("{}", "/", "apikey: %6bong\r\n", WRONG);
    expect("{}", "/?apikey=%20kong", "", WRONG);
    assert_string_equal(outcome_of(pass("{}", "GET", "/", "apikey: a key, b\r\n")), SPACED);
    assert_string_equal(outcome_of(pass("{}", "GET", "/?apikey=a+key,%20b", "")), SPACED);
}

static void a_header_that_connection_names_is_not_there(void **state)
{
    expect("{}", "/", "apikey: kong\r\nConnection: apikey\r\n", MISSING);
    expect("{}", "/?apikey=kong", "apikey: bad\r\nConnection: apikey\r\n", OK);
}

static void an_expired_key_is_refused_like_an_unknown_one(void **state)
{
    expect("{}", "/?apikey=old", "", WRONG);
    assert_string_equal(outcome_of(pass("{}", "GET", "/?apikey=young", "")), LIVES);
    struct pass *p = pass("{}", "GET", "/", "apikey: old\r\n");
    assert_null(p->request.principal.key);
    assert_null(p->request.principal.consumer);
}

static void every_refusal_has_a_challenge(void **state)
{
    static const char *const targets[] = { "/", "/?apikey=bad", "/?apikey=a&apikey=b" };
    static const struct {
        const char *config, *challenge;
    } cases[] = {
        { "{}", "Key" },
        { "{\"realm\":\"my api\"}", "Key realm=\"my api\"" },
        { "{\"realm\":\"a\\\"b\\\\c\"}", "Key realm=\"a\\\"b\\\\c\"" },
    };

    for (size_t i = 0; i < 9; i++) {
        void *config = compile(cases[i / 3].config);
        struct pass *p = pass("{}", "GET", targets[i % 3], "");
        p->request.has_signal = false;
        assert_false(kg_policy_key_auth.access(config, &p->request));
        assert_int_equal(p->request.status, 401);
        assert_true(p->request.has_signal);
        assert_true(kg_slice_eq(p->request.www_authenticate, kg_slice_str(cases[i / 3].challenge)));
        kg_policy_key_auth.type.release(config);
    }
}

static void every_refusal_has_its_reason(void **state)
{
    assert_int_equal(pass("{}", "GET", "/", "")->request.reason, KG_REASON_NO_KEY);
    assert_int_equal(pass("{}", "GET", "/?apikey=", "")->request.reason, KG_REASON_NO_KEY);
    assert_int_equal(pass("{}", "GET", "/?apikey=bad", "")->request.reason, KG_REASON_WRONG_KEY);
    assert_int_equal(pass("{}", "GET", "/?apikey=old", "")->request.reason, KG_REASON_WRONG_KEY);
    assert_int_equal(pass("{}", "GET", "/?apikey=a&apikey=b", "")->request.reason, KG_REASON_SEVERAL_KEYS);
    assert_int_equal(pass("{}", "GET", "/?apikey=kong", "")->request.reason, KG_REASON_OTHER);
}

static void preflight_requests_pass_when_they_are_exempt(void **state)
{
    static const char exempt[] = "{\"run_on_preflight\":false}";

    assert_string_equal(outcome_of(pass(exempt, "OPTIONS", "/", "")), "nobody");
    assert_string_equal(outcome_of(pass(exempt, "OPTIONS", "/?apikey=bad", "")), "nobody");
    assert_string_equal(outcome_of(pass(exempt, "OPTIONS", "/?apikey=kong", "")), "nobody");
    assert_string_equal(outcome_of(pass("{}", "OPTIONS", "/", "")), outcomes[MISSING]);
    assert_string_equal(outcome_of(pass(exempt, "GET", "/", "")), outcomes[MISSING]);
}

/* ---- anonymous ---- */

#define ANONYMOUS "\"anonymous\":\"nobody\""

static void goes_on_as_nobody(const char *config, const char *target, bool signalled)
{
    const struct pass *p = pass(config, "GET", target, "");
    const struct kg_policy_request *r = &p->request;

    assert_true(p->on);
    assert_string_equal(r->principal.consumer->id, NOBODY);
    assert_true(r->principal.anonymous);
    assert_null(r->principal.key);
    assert_int_equal(r->principal.credential_id.len, 0);
    assert_int_equal(r->principal.credential_identifier.len, 0);
    assert_int_equal(r->status, 0);
    assert_int_equal(r->www_authenticate.len, 0);
    /* A guess is a guess, whatever became of it; to have no key is no fault here. */
    assert_int_equal(r->has_signal, signalled);
}

static void whoever_has_no_good_key_goes_on_as_the_anonymous_consumer(void **state)
{
    goes_on_as_nobody("{" ANONYMOUS "}", "/", false);
    goes_on_as_nobody("{" ANONYMOUS "}", "/?apikey=", false);
    goes_on_as_nobody("{" ANONYMOUS "}", "/?apikey=bad", true);
    goes_on_as_nobody("{" ANONYMOUS "}", "/?apikey=old", true);
    goes_on_as_nobody("{" ANONYMOUS "}", "/?apikey=kong&apikey=kong", true);
    goes_on_as_nobody("{\"anonymous\":\"" NOBODY "\"}", "/", false);
}

static void no_key_behind_another_plugins_wrong_credential_is_still_a_guess(void **state)
{
    guessed = true;
    goes_on_as_nobody("{" ANONYMOUS "}", "/", true);
    const struct pass *p = pass("{}", "GET", "/", "");
    guessed = false;
    assert_string_equal(outcome_of(p), "401 No API key found in request wrong");
}

static void a_good_key_is_asked_for_first(void **state)
{
    struct pass *p = pass("{" ANONYMOUS "}", "GET", "/?apikey=kong", "");

    assert_true(p->on);
    assert_string_equal(p->request.principal.key->id, CREDENTIAL);
    assert_false(p->request.principal.anonymous);
}

static void an_anonymous_consumer_that_is_not_there_is_a_500(void **state)
{
    const struct pass *p = pass("{\"anonymous\":\"ghost\"}", "GET", "/", "");

    assert_false(p->on);
    assert_int_equal(p->request.status, 500);
    assert_int_equal(p->request.reason, KG_REASON_OTHER);
    assert_int_equal(p->request.www_authenticate.len, 0);
    assert_true(kg_slice_eq(p->request.message,
                            KG_SLICE("anonymous consumer ghost is configured but doesn't exist")));
    /* Nobody misses it as long as keys are good. */
    assert_true(pass("{\"anonymous\":\"ghost\"}", "GET", "/?apikey=kong", "")->on);
}

static void with_an_anonymous_consumer_another_plugins_credential_is_enough(void **state)
{
    static const struct kg_consumer other = { .id = "00000000-0000-4000-8000-000000000007" };

    before = (struct kg_principal){ .consumer = &other, .credential_id = KG_SLICE("jwt") };
    struct pass *p = pass("{" ANONYMOUS "}", "GET", "/?apikey=bad", "");
    assert_true(p->on);
    assert_ptr_equal(p->request.principal.consumer, &other);
    assert_false(p->request.has_signal);
    p = pass("{" ANONYMOUS "}", "GET", "/?apikey=kong", "");
    assert_ptr_equal(p->request.principal.consumer, &other);
    /* The key goes no further all the same. */
    p = pass("{" ANONYMOUS ",\"hide_credentials\":true}", "GET", "/?apikey=kong", "");
    assert_true(p->on);
    assert_false(p->request.has_query);
    /* Without one, both must be good, and the last says who it is. */
    assert_false(pass("{}", "GET", "/?apikey=bad", "")->on);
    p = pass("{}", "GET", "/?apikey=kong", "");
    assert_string_equal(p->request.principal.consumer->id, CONSUMER);
    /* Another plugin's anonymous consumer is nobody's credential. */
    before = (struct kg_principal){ .consumer = &other, .anonymous = true };
    p = pass("{" ANONYMOUS "}", "GET", "/?apikey=kong", "");
    assert_string_equal(p->request.principal.consumer->id, CONSUMER);
    assert_false(p->request.principal.anonymous);
    before = (struct kg_principal){ 0 };
}

/* ---- hiding ---- */

#define HIDE "\"hide_credentials\":true"

static void expect_query(const struct pass *p, const char *query)
{
    const struct kg_policy_request *r = &p->request;
    struct kg_slice expected = kg_slice_str(query);

    if (!kg_slice_eq(r->query, expected) || r->has_query != (query != NULL))
        fail_msg("the query is [%.*s]%s", (int)r->query.len, r->query.ptr,
                 r->has_query ? "" : " and not there");
}

static unsigned visible(const struct pass *p, const char *name)
{
    unsigned count = 0;

    for (size_t i = 0; i < p->head.count; i++)
        count += !p->head.headers[i].hop && kg_slice_eq_nocase(p->head.headers[i].name, kg_slice_str(name));
    return count;
}

static void a_hidden_key_leaves_the_query_and_the_rest_stays_byte_for_byte(void **state)
{
    struct pass *p = pass("{" HIDE "}", "GET", "/?b=%7e&apikey=kong&c=valu%651&flag&&d=a+b", "");

    assert_true(p->on);
    expect_query(p, "b=%7e&c=valu%651&flag&&d=a+b");
    p = pass("{" HIDE "}", "GET", "/?api%6bey=kong&x=1", "");
    assert_true(p->on);
    expect_query(p, "x=1");
    p = pass("{" HIDE "}", "GET", "/?apikey=kong", "");
    assert_true(p->on);
    expect_query(p, NULL);
}

static void a_hidden_key_leaves_headers_in_both_spellings_wherever_it_was(void **state)
{
    struct pass *p =
        pass("{\"key_names\":[\"api_key\",\"other\"]," HIDE "}", "GET", "/?api_key=x&api-key=y&other=z",
             "API_Key: kong\r\nApi-Key: again\r\nother: stays\r\n");

    assert_true(p->on);
    assert_int_equal(visible(p, "api_key"), 0);
    assert_int_equal(visible(p, "api-key"), 0);
    assert_int_equal(visible(p, "other"), 1);
    assert_int_equal(visible(p, "host"), 1);
    expect_query(p, "api-key=y&other=z");
    p = pass("{\"key_names\":[\"api-key\"]," HIDE "}", "GET", "/?api-key=kong", "api_key: again\r\n");
    assert_true(p->on);
    assert_int_equal(visible(p, "api_key"), 0);
}

static void an_exempt_preflight_request_loses_its_key_too(void **state)
{
    struct pass *p = pass("{\"run_on_preflight\":false," HIDE "}", "OPTIONS", "/?apikey=kong&a=1", "");

    assert_true(p->on);
    assert_null(p->request.principal.key);
    expect_query(p, "a=1");
    p = pass("{\"run_on_preflight\":false," HIDE "}", "OPTIONS", "/?apikey=a&apikey=b", "");
    assert_true(p->on);
    expect_query(p, NULL);
}

static void nothing_is_hidden_unless_asked_for(void **state)
{
    struct pass *p = pass("{}", "GET", "/?apikey=kong&a=1", "");

    assert_true(p->on);
    expect_query(p, "apikey=kong&a=1");
    p = pass("{}", "GET", "/?", "apikey: kong\r\n");
    assert_true(p->on);
    assert_int_equal(visible(p, "apikey"), 1);
    assert_true(p->request.has_query);
    /* An empty query that held no key stays as it is, also when keys are hidden. */
    p = pass("{" HIDE "}", "GET", "/?", "apikey: kong\r\n");
    assert_true(p->request.has_query);
}

static void no_key_stays_behind_in_the_scratch_space(void **state)
{
    struct pass *p = pass("{}", "GET", "/?apikey=%6bong&a=1", "");

    assert_true(p->on);
    assert_int_equal(p->scratch.len, 0);
    for (size_t i = 0; i < sizeof(p->space); i++)
        assert_int_equal(p->space[i], 0);
}

static void too_little_scratch_space_refuses_instead_of_leaking(void **state)
{
    struct pass *p = pass("{}", "GET", "/?apikey=kong&a=123456789", "");
    void *config = compile("{" HIDE "}");

    for (size_t cap = 0; cap < 11; cap++) {
        p->scratch = kg_writer_of(p->space, cap);
        p->request.query = p->target.query;
        p->request.has_query = true;
        assert_false(kg_policy_key_auth.access(config, &p->request));
        assert_int_equal(p->request.status, 500);
    }
    kg_policy_key_auth.type.release(config);
}

/* ---- configuration ---- */

static json_t *apply(const char *config, json_t **problem)
{
    json_error_t error;
    json_t *input = json_pack("{ss so}", "name", "key-auth", "config", json_loads(config, 0, &error));
    json_t *result = NULL;

    assert_non_null(input);
    *problem = NULL;
    int rc = kg_schema_apply(&kg_entities[KG_PLUGINS], KG_WRITE_CREATE, input, NULL, &result, problem);
    assert_int_equal(rc == 0, result != NULL);
    json_decref(input);
    return result;
}

static void the_config_has_kongs_defaults(void **state)
{
    json_t *problem, *plugin = apply("{}", &problem);
    json_t *expected =
        json_pack("{s[s] sb sb sb sb sb sn sn}", "key_names", "apikey", "key_in_header", 1, "key_in_query", 1,
                  "key_in_body", 0, "hide_credentials", 0, "run_on_preflight", 1, "realm", "anonymous");

    assert_non_null(plugin);
    assert_true(json_equal(json_object_get(plugin, "config"), expected));
    json_decref(plugin);
    json_decref(expected);
}

static void expect_refused(const char *config, const char *message)
{
    json_t *problem, *plugin = apply(config, &problem);

    assert_null(plugin);
    const char *got = json_string_value(json_object_get(problem, "message"));
    if (!got || !strstr(got, message))
        fail_msg("%s: %s", config, got ? got : "no message");
    json_decref(problem);
}

static void a_wrong_config_is_refused(void **state)
{
    expect_refused("{\"key_names\":[\"ok\",\"no good\"]}",
                   "bad header name 'no good', allowed characters are A-Z, a-z, 0-9, '_', and '-'");
    expect_refused("{\"key_names\":\"apikey\"}", "key_names");
    expect_refused("{\"anonymous\":\"a\\nb\"}", "anonymous");
    expect_refused("{\"key_in_body\":\"yes\"}", "expected a boolean");
    expect_refused("{\"key_in_header\":\"yes\"}", "expected a boolean");
    expect_refused("{\"realm\":\"a\\r\\nSet-Cookie: b\"}", "control characters are not allowed");
}

/* What a plugin that names no key_names gets. */
static char *default_names(void)
{
    json_t *schema = kg_plugin_config_json(&kg_policy_key_auth.type), *field;
    char *text = NULL;
    size_t i;

    json_array_foreach(json_object_get(schema, "fields"), i, field)
    {
        const json_t *names = json_object_get(field, "key_names");

        if (names)
            text = json_dumps(json_object_get(names, "default"), JSON_COMPACT);
    }
    json_decref(schema);
    return text;
}

static void expect_default(const char *expected)
{
    char *got = default_names();

    assert_string_equal(got, expected);
    free(got);
}

static void the_default_name_can_be_another_one(void **state)
{
    static const char longest[] = "0123456789-0123456789-0123456789-0123456789_0123456789_012345678";
    static const char *const wrong[] = { "", "a b", "a\"b", "a.b", "a:", "\xc3\xa4" };
    char too_long[KG_KEY_NAME_MAX + 1];

    expect_default("[\"apikey\"]");
    assert_int_equal(strlen(longest), KG_KEY_NAME_MAX);
    assert_true(kg_key_auth_set_default(kg_slice_str(longest)));
    char *names = default_names();
    assert_memory_equal(names + 2, longest, KG_KEY_NAME_MAX);
    free(names);
    assert_true(kg_key_auth_set_default(KG_SLICE("x-apim-key")));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(kg_key_auth_set_default(kg_slice_str(wrong[i])));
    memset(too_long, 'a', sizeof(too_long));
    assert_false(kg_key_auth_set_default(kg_slice_of(too_long, sizeof(too_long))));
    expect_default("[\"x-apim-key\"]");
    assert_true(kg_key_auth_set_default(KG_SLICE("apikey")));
    expect_default("[\"apikey\"]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_in_the_header_or_the_query_says_who_it_is),
        cmocka_unit_test(header_and_query_in_every_combination),
        cmocka_unit_test(names_are_tried_in_order_and_the_first_present_decides),
        cmocka_unit_test(a_header_name_ignores_case_and_takes_dashes_for_underscores),
        cmocka_unit_test(values_are_trimmed_or_decoded_and_otherwise_exact),
        cmocka_unit_test(a_header_that_connection_names_is_not_there),
        cmocka_unit_test(an_expired_key_is_refused_like_an_unknown_one),
        cmocka_unit_test(every_refusal_has_a_challenge),
        cmocka_unit_test(every_refusal_has_its_reason),
        cmocka_unit_test(whoever_has_no_good_key_goes_on_as_the_anonymous_consumer),
        cmocka_unit_test(no_key_behind_another_plugins_wrong_credential_is_still_a_guess),
        cmocka_unit_test(a_good_key_is_asked_for_first),
        cmocka_unit_test(an_anonymous_consumer_that_is_not_there_is_a_500),
        cmocka_unit_test(with_an_anonymous_consumer_another_plugins_credential_is_enough),
        cmocka_unit_test(preflight_requests_pass_when_they_are_exempt),
        cmocka_unit_test(a_hidden_key_leaves_the_query_and_the_rest_stays_byte_for_byte),
        cmocka_unit_test(a_hidden_key_leaves_headers_in_both_spellings_wherever_it_was),
        cmocka_unit_test(an_exempt_preflight_request_loses_its_key_too),
        cmocka_unit_test(nothing_is_hidden_unless_asked_for),
        cmocka_unit_test(no_key_stays_behind_in_the_scratch_space),
        cmocka_unit_test(too_little_scratch_space_refuses_instead_of_leaking),
        cmocka_unit_test(the_config_has_kongs_defaults),
        cmocka_unit_test(a_wrong_config_is_refused),
        cmocka_unit_test(the_default_name_can_be_another_one),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
