/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base64.h"
#include "http/framing.h"
#include "model/model.h"
#include "policy/jwt_verify.h"
#include "policy/policy.h"
#include "read_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#define NOW    1000
#define ALICE  "00000000-0000-4000-8000-000000000001"
#define NOBODY "00000000-0000-4000-8000-000000000002"
#define ID(n)  "00000000-0000-4000-8000-0000000000" #n
#define BAD    "Bearer error=\"invalid_token\""

static struct kg_model *model;
static struct kg_snapshot *snapshot;
static struct kg_jwt_verifier *verifier;
static EVP_PKEY *ed25519;

/* ---- tokens ---- */

static const char *sign(const char *header, const char *claims, const char *secret)
{
    static char tokens[4][2048];
    static unsigned next;
    char *token = tokens[next++ % 4];
    struct kg_writer w = kg_writer_of(token, 2047);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    const EVP_MD *hash = strstr(header, "HS512") ? EVP_sha512() : EVP_sha256();

    kg_put_base64url(&w, kg_slice_str(header));
    kg_put_char(&w, '.');
    kg_put_base64url(&w, kg_slice_str(claims));
    assert_non_null(HMAC(hash, secret, (int)strlen(secret), (unsigned char *)w.buf, w.len, mac, &len));
    kg_put_char(&w, '.');
    kg_put_base64url(&w, kg_slice_of((const char *)mac, len));
    assert_false(w.overflow);
    token[w.len] = '\0';
    return token;
}

/* HS256 by alice's secret. */
static const char *token_of(const char *claims)
{
    return sign("{\"alg\":\"HS256\"}", claims, "secret");
}

static const char *good(void)
{
    return token_of("{\"iss\":\"alice-app\"}");
}

static const char *header_of(const char *token)
{
    static char line[4096];

    snprintf(line, sizeof(line), "Authorization: Bearer %s\r\n", token);
    return line;
}

/* ---- the world ---- */

static void put_key(const char *id, const char *key, const char *secret, const char *algorithm,
                    const char *pem)
{
    json_t *object = json_pack("{ss s{ss} ss ss ss ss?}", "id", id, "consumer", "id", ALICE, "key", key,
                               "secret", secret, "algorithm", algorithm, "rsa_public_key", pem);

    assert_non_null(object);
    kg_model_put(model, KG_JWT_SECRETS, object);
    json_decref(object);
}

static int set_up(void **state)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;

    kg_policies_register();
    verifier = kg_jwt_verifier_new();
    model = kg_model_new(NULL);
    kg_model_put_consumer(model, ALICE, "alice", NULL);
    kg_model_put_consumer(model, NOBODY, "nobody", NULL);
    ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    PEM_write_bio_PUBKEY(bio, ed25519);
    BIO_write(bio, "", 1);
    BIO_get_mem_data(bio, &pem);
    put_key(ID(11), "alice-app", "secret", "HS256", NULL);
    put_key(ID(12), "alice-512", "secret", "HS512", NULL);
    put_key(ID(13), "encoded", "c2VjcmV0", "HS256", NULL); /* "secret" */
    put_key(ID(14), "signed", "secret", "EdDSA", pem);
    put_key(ID(15), "keyless", "secret", "EdDSA", NULL);
    put_key(ID(16), "padded", "c2VjcmV0cw==", "HS256", NULL); /* "secrets" */
    snapshot = kg_model_snapshot(model);
    BIO_free(bio);
    return 0;
}

static int tear_down(void **state)
{
    kg_snapshot_free(snapshot);
    kg_model_free(model);
    kg_jwt_verifier_free(verifier);
    EVP_PKEY_free(ed25519);
    return 0;
}

/* ---- one pass ---- */

/* One request through one jwt, with all that the answers point into. */
struct pass {
    char text[8192];
    char space[16384];
    struct kg_head head;
    struct kg_target target;
    struct kg_writer scratch;
    struct kg_policy_request request;
    void *config;
    bool on;
};

static json_t *apply(const char *config, json_t **problem)
{
    json_t *given = json_loads(config, 0, NULL), *plugin = NULL;

    assert_non_null(given);
    json_t *input = json_pack("{ss so}", "name", "jwt", "config", given);
    kg_schema_apply(&kg_entities[KG_PLUGINS], KG_WRITE_CREATE, input, NULL, &plugin, problem);
    json_decref(input);
    return plugin;
}

static void *compile(const char *config)
{
    json_t *problem = NULL, *plugin = apply(config, &problem);

    if (!plugin)
        fail_msg("%s: %s", config, json_dumps(problem, 0));
    void *compiled = kg_policy_jwt.type.compile(json_object_get(plugin, "config"));
    json_decref(plugin);
    return compiled;
}

static struct pass p;

/* headers: whole lines, each with its CRLF. */
static void begin(const char *config, const char *method, const char *target, const char *headers)
{
    struct kg_framing framing;
    char line[1024];

    p = (struct pass){ .config = compile(config) };
    snprintf(line, sizeof(line), "%s %s", method, target);
    read_request(line, headers, p.text, sizeof(p.text), &p.head, &framing, &p.target);
    p.scratch = kg_writer_of(p.space, sizeof(p.space));
    p.request = (struct kg_policy_request){
        .snapshot = snapshot,
        .verifier = verifier,
        .head = &p.head,
        .target = &p.target,
        .now_wall = NOW,
        .query = p.target.query,
        .has_query = p.target.has_query,
        .scratch = &p.scratch,
    };
}

static void end(void)
{
    p.on = kg_policy_jwt.access(p.config, &p.request);
    /* What it answers with may point into its config: copied, so that it can be compared afterwards. */
    static char kept[2][2048];
    const struct kg_slice slices[2] = { p.request.message, p.request.www_authenticate };
    for (size_t i = 0; i < 2; i++) {
        assert_true(slices[i].len < sizeof(kept[i]));
        if (slices[i].len > 0)
            memcpy(kept[i], slices[i].ptr, slices[i].len);
    }
    p.request.message.ptr = kept[0];
    p.request.www_authenticate.ptr = kept[1];
    kg_policy_jwt.type.release(p.config);
}

static void pass(const char *config, const char *method, const char *target, const char *headers)
{
    begin(config, method, target, headers);
    end();
}

/* "alice", or "401 MESSAGE; CHALLENGE; missing" or "…; wrong". */
static const char *outcome(void)
{
    static char text[4096];
    const struct kg_policy_request *r = &p.request;

    if (p.on) {
        snprintf(text, sizeof(text), "%s%.*s", r->principal.anonymous ? "anonymous " : "",
                 r->principal.consumer ? (int)r->principal.consumer->username.len : 0,
                 r->principal.consumer ? r->principal.consumer->username.ptr : "");
        return text;
    }
    snprintf(text, sizeof(text), "%u %.*s; %.*s; %s", r->status, (int)r->message.len, r->message.ptr,
             (int)r->www_authenticate.len, r->www_authenticate.ptr,
             !r->has_signal                       ? "no signal"
             : r->signal == KG_SIGNAL_MISSING_KEY ? "missing"
             : r->signal == KG_SIGNAL_WRONG_KEY   ? "wrong"
                                                  : "?");
    return text;
}

static void expect(const char *config, const char *target, const char *headers, const char *wanted)
{
    pass(config, "GET", target, headers);
    if (strcmp(outcome(), wanted) != 0)
        fail_msg("%s with %s and [%s]: %s", config, target, headers, outcome());
}

#define UNAUTHORIZED "401 Unauthorized; Bearer; missing"
#define SEVERAL      "401 Multiple tokens provided; " BAD "; wrong"

static void expect_token(const char *config, const char *token, const char *message)
{
    char wanted[1024];

    snprintf(wanted, sizeof(wanted), "401 %s; " BAD "; wrong", message);
    expect(config, "/", header_of(token), message[0] ? wanted : "alice");
}

/* ---- where a token is looked for ---- */

static void a_signed_token_says_who_it_is(void **state)
{
    pass("{}", "GET", "/", header_of(good()));
    assert_true(p.on);
    assert_string_equal(p.request.principal.consumer->id, ALICE);
    assert_false(p.request.principal.anonymous);
    assert_null(p.request.principal.key);
    assert_true(kg_slice_eq(p.request.principal.credential_id, KG_SLICE(ID(11))));
    assert_true(kg_slice_eq(p.request.principal.credential_identifier, KG_SLICE("alice-app")));
    assert_false(p.request.has_signal);
    assert_int_equal(p.request.www_authenticate.len, 0);
    /* Nothing of it stays in the scratch space. */
    assert_int_equal(p.scratch.len, 0);
    assert_null(memmem(p.space, sizeof(p.space), "alice-app", 9));
}

static void is_found_in_arguments_of_the_query(void **state)
{
    char target[4096];

    snprintf(target, sizeof(target), "/?a=1&jwt=%s&b=2", good());
    expect("{}", target, "", "alice");
    expect("{\"uri_param_names\":[\"token\"]}", target, "", UNAUTHORIZED);
    expect("{\"uri_param_names\":[\"token\",\"jwt\"]}", target, "", "alice");
    expect("{\"uri_param_names\":[]}", target, "", UNAUTHORIZED);
    expect("{\"uri_param_names\":null}", target, "", "alice");
    snprintf(target, sizeof(target), "/?j%%77t=%%65%s", good() + 1); /* its first letter is an e */
    expect("{}", target, "", "alice");
    snprintf(target, sizeof(target), "/?JWT=%s", good());
    expect("{}", target, "", UNAUTHORIZED);
    expect("{}", "/?jwt=", "", UNAUTHORIZED);
    expect("{}", "/?jwt", "", UNAUTHORIZED);
    expect("{}", "/?", "", UNAUTHORIZED);
    expect("{}", "/?jwt=x", "", "401 Bad token; invalid JSON; " BAD "; wrong");
}

static void is_found_in_cookies(void **state)
{
    char line[4096];

    snprintf(line, sizeof(line), "Cookie: a=1; jwt=%s; b=2\r\n", good());
    expect("{}", "/", line, UNAUTHORIZED);
    expect("{\"cookie_names\":[\"jwt\"]}", "/", line, "alice");
    expect("{\"cookie_names\":[\"other\",\"jwt\"]}", "/", line, "alice");
    expect("{\"cookie_names\":[\"other\"]}", "/", line, UNAUTHORIZED);
    snprintf(line, sizeof(line), "Cookie: a=1\r\nCookie: jwt=%s; jwt=x\r\n", good());
    expect("{\"cookie_names\":[\"jwt\"]}", "/", line, "alice");
    expect("{\"cookie_names\":[\"jwt\"]}", "/", "Cookie: jwt=\r\n", UNAUTHORIZED);
}

static void is_found_in_headers_behind_bearer(void **state)
{
    static const char *const schemes[] = { "Bearer ", "bearer ", "Bearer   ", " Bearer\t " };
    static const char *const others[] = { "BEARER ", "Basic ", "", "Bearer", "xBearer ", "Token Bearer " };
    char line[4096];

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        snprintf(line, sizeof(line), "authorization:%s%s \r\n", schemes[i], good());
        expect("{}", "/", line, "alice");
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        snprintf(line, sizeof(line), "Authorization: %s%s\r\n", others[i], good());
        expect("{}", "/", line, UNAUTHORIZED);
    }
    expect("{}", "/", "Authorization: Bearer\r\n", UNAUTHORIZED);
    expect("{}", "/", "Authorization:\r\n", UNAUTHORIZED);
    snprintf(line, sizeof(line), "X_Token: Bearer %s\r\n", good());
    expect("{\"header_names\":[\"x_token\"]}", "/", line, "alice");
    expect("{\"header_names\":[\"x-token\"]}", "/", line, UNAUTHORIZED);
    snprintf(line, sizeof(line), "X-Token: Bearer %s\r\n", good());
    expect("{\"header_names\":[\"X_Token\"]}", "/", line, "alice");
    expect("{\"header_names\":[]}", "/", header_of(good()), UNAUTHORIZED);
    snprintf(line, sizeof(line), "Connection: authorization\r\nAuthorization: Bearer %s\r\n", good());
    expect("{}", "/", line, UNAUTHORIZED);
}

static void of_a_repeated_header_the_first_counts(void **state)
{
    char line[4096];

    snprintf(line, sizeof(line), "Authorization: Bearer %s\r\nAuthorization: Bearer x\r\n", good());
    expect("{}", "/", line, "alice");
    snprintf(line, sizeof(line), "Authorization: Basic x\r\nAuthorization: Bearer %s\r\n", good());
    expect("{}", "/", line, UNAUTHORIZED);
}

static void the_same_token_in_several_places_is_one_and_different_ones_are_refused(void **state)
{
    static const char all[] = "{\"cookie_names\":[\"jwt\"],\"header_names\":[\"authorization\",\"x-jwt\"]}";
    char target[4096], line[8000];

    snprintf(target, sizeof(target), "/?jwt=%s&jwt=%s", good(), good());
    snprintf(line, sizeof(line), "Cookie: jwt=%s\r\nAuthorization: Bearer %s\r\nX-Jwt: bearer %s\r\n", good(),
             good(), good());
    expect(all, target, line, "alice");
    snprintf(line, sizeof(line), "Cookie: jwt=x\r\n");
    expect(all, target, line, SEVERAL);
    expect(all, target, header_of("x"), SEVERAL);
    expect(all, "/?jwt=x&jwt=y", "", SEVERAL);
    expect(all, "/?jwt=&jwt=x", "Cookie: jwt=\r\n", "401 Bad token; invalid JSON; " BAD "; wrong");
    expect(all, "/?jwt=%78", "Cookie: jwt=x\r\n", "401 Bad token; invalid JSON; " BAD "; wrong");
}

/* ---- what is wrong with it ---- */

static void bad_tokens_have_their_messages(void **state)
{
    expect_token("{}", "nonsense", "Bad token; invalid JSON");
    expect_token("{}", sign("{\"alg\":\"none\"}", "{\"iss\":\"alice-app\"}", "secret"),
                 "Bad token; invalid alg");
    expect_token("{}", sign("{\"alg\":\"HS256\",\"crit\":[\"x\"]}", "{\"iss\":\"alice-app\"}", "secret"),
                 "Bad token; invalid crit");
    expect_token("{}", sign("{\"alg\":\"HS256\"}", "[]", "secret"), "Bad token; invalid claims");
    expect_token("{}", "eyJhbGciOiJIUzI1NiJ9.e30.=", "Bad token; invalid signature");
    expect_token("{}", token_of("{}"), "No mandatory 'iss' in claims");
    expect_token("{}", token_of("{\"iss\":\"\"}"), "Invalid 'iss' in claims");
    expect_token("{}", token_of("{\"iss\":5}"), "Invalid 'iss' in claims");
    expect_token("{}", token_of("{\"iss\":null}"), "Invalid 'iss' in claims");
    expect_token("{}", token_of("{\"iss\":\"stranger\"}"), "No credentials found for given 'iss'");
    expect_token("{}", token_of("{\"iss\":\"alice-512\"}"), "Invalid algorithm");
    expect_token("{}", token_of("{\"iss\":\"signed\"}"), "Invalid algorithm");
    expect_token("{}", sign("{\"alg\":\"EdDSA\"}", "{\"iss\":\"keyless\"}", "secret"), "Invalid key/secret");
    expect_token("{}", sign("{\"alg\":\"HS256\"}", "{\"iss\":\"alice-app\"}", "wrong"), "Invalid signature");
    expect_token("{}", sign("{\"alg\":\"EdDSA\"}", "{\"iss\":\"signed\"}", "secret"), "Invalid signature");
    expect_token("{}", sign("{\"alg\":\"HS512\"}", "{\"iss\":\"alice-512\"}", "secret"), "");
}

/* The public key is known to all: it must not serve as a secret (RFC 8725, 2.1). */
static void a_public_key_is_no_secret(void **state)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem;

    PEM_write_bio_PUBKEY(bio, ed25519);
    BIO_write(bio, "", 1);
    BIO_get_mem_data(bio, &pem);
    expect_token("{}", sign("{\"alg\":\"HS256\"}", "{\"iss\":\"signed\"}", pem), "Invalid algorithm");
    BIO_free(bio);
}

static void a_token_by_a_private_key_is_good(void **state)
{
    char token[1024];
    struct kg_writer w = kg_writer_of(token, sizeof(token) - 1);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char signature[64];
    size_t len = sizeof(signature);

    kg_put_base64url(&w, KG_SLICE("{\"alg\":\"EdDSA\"}"));
    kg_put_char(&w, '.');
    kg_put_base64url(&w, KG_SLICE("{\"iss\":\"signed\"}"));
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, ed25519), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &len, (unsigned char *)w.buf, w.len), 1);
    EVP_MD_CTX_free(ctx);
    kg_put_char(&w, '.');
    kg_put_base64url(&w, kg_slice_of((const char *)signature, len));
    token[w.len] = '\0';
    expect_token("{}", token, "");
    expect_token("{\"secret_is_base64\":true}", token, "");
}

static void a_secret_may_be_base64(void **state)
{
    static const char base64[] = "{\"secret_is_base64\":true}";

    expect_token("{}", token_of("{\"iss\":\"encoded\"}"), "Invalid signature");
    expect_token("{}", sign("{\"alg\":\"HS256\"}", "{\"iss\":\"encoded\"}", "c2VjcmV0"), "");
    expect_token(base64, token_of("{\"iss\":\"encoded\"}"), "");
    expect_token(base64, sign("{\"alg\":\"HS256\"}", "{\"iss\":\"encoded\"}", "c2VjcmV0"),
                 "Invalid signature");
    expect_token(base64, sign("{\"alg\":\"HS256\"}", "{\"iss\":\"padded\"}", "secrets"), "");
    /* "secret" is six characters, whose last has bits to spare: no base64. */
    expect_token(base64, good(), "Invalid key/secret");
}

static void another_claim_may_name_the_credential(void **state)
{
    static const char kid[] = "{\"key_claim_name\":\"kid\"}";

    expect_token(kid, good(), "No mandatory 'kid' in claims");
    expect_token(kid, token_of("{\"kid\":\"alice-app\"}"), "");
    expect_token(kid, sign("{\"alg\":\"HS256\",\"kid\":\"alice-app\"}", "{}", "secret"), "");
    expect_token(kid, sign("{\"alg\":\"HS256\",\"kid\":\"x\"}", "{\"kid\":\"alice-app\"}", "secret"), "");
    expect_token(kid, sign("{\"alg\":\"HS256\",\"kid\":\"x\"}", "{}", "secret"),
                 "No credentials found for given 'kid'");
    expect_token(kid, token_of("{\"kid\":\"\"}"), "Invalid 'kid' in claims");
}

static void times_are_looked_at_when_they_are_asked_for(void **state)
{
    static const char both[] = "{\"claims_to_verify\":[\"exp\",\"nbf\"]}",
                      exp[] = "{\"claims_to_verify\":[\"exp\"]}", nbf[] = "{\"claims_to_verify\":[\"nbf\"]}";

    expect_token("{}", token_of("{\"iss\":\"alice-app\",\"exp\":1,\"nbf\":9999}"), "");
    expect_token(exp, token_of("{\"iss\":\"alice-app\",\"exp\":1001}"), "");
    expect_token(exp, token_of("{\"iss\":\"alice-app\",\"exp\":1000.5}"), "");
    expect_token(exp, token_of("{\"iss\":\"alice-app\",\"exp\":1e300}"), "");
    expect_token(exp, token_of("{\"iss\":\"alice-app\",\"exp\":1000}"), "exp: token expired");
    expect_token(exp, token_of("{\"iss\":\"alice-app\",\"exp\":-1e300}"), "exp: token expired");
    expect_token(exp, token_of("{\"iss\":\"alice-app\"}"), "exp: must be a number");
    expect_token(exp, token_of("{\"iss\":\"alice-app\",\"exp\":\"2000\"}"), "exp: must be a number");
    expect_token(exp, token_of("{\"iss\":\"alice-app\",\"exp\":null}"), "exp: must be a number");
    expect_token(nbf, token_of("{\"iss\":\"alice-app\",\"nbf\":1000}"), "");
    expect_token(nbf, token_of("{\"iss\":\"alice-app\",\"nbf\":-5}"), "");
    expect_token(nbf, token_of("{\"iss\":\"alice-app\",\"nbf\":1000.5}"), "nbf: token not valid yet");
    expect_token(nbf, token_of("{\"iss\":\"alice-app\",\"nbf\":1001}"), "nbf: token not valid yet");
    expect_token(nbf, token_of("{\"iss\":\"alice-app\"}"), "nbf: must be a number");
    expect_token(both, token_of("{\"iss\":\"alice-app\",\"exp\":1001,\"nbf\":1000}"), "");
    expect_token(both, token_of("{\"iss\":\"alice-app\",\"exp\":1,\"nbf\":1001}"),
                 "exp: token expired, nbf: token not valid yet");
    expect_token(both, token_of("{\"iss\":\"alice-app\"}"), "exp: must be a number, nbf: must be a number");
    /* They are not told to who cannot sign. */
    expect_token(both, sign("{\"alg\":\"HS256\"}", "{\"iss\":\"alice-app\",\"exp\":1}", "wrong"),
                 "Invalid signature");
}

static void no_token_may_last_too_long(void **state)
{
    static const char most[] = "{\"claims_to_verify\":[\"exp\"],\"maximum_expiration\":60}";

    expect_token(most, token_of("{\"iss\":\"alice-app\",\"exp\":1060}"), "");
    expect_token(most, token_of("{\"iss\":\"alice-app\",\"exp\":1060.1}"),
                 "exp: exceeds maximum allowed expiration");
    expect_token(most, token_of("{\"iss\":\"alice-app\",\"exp\":1061}"),
                 "exp: exceeds maximum allowed expiration");
    expect_token(most, token_of("{\"iss\":\"alice-app\",\"exp\":1e300}"),
                 "exp: exceeds maximum allowed expiration");
    expect_token(most, token_of("{\"iss\":\"alice-app\",\"exp\":1000}"), "exp: token expired");
    expect_token(most, token_of("{\"iss\":\"alice-app\"}"), "exp: must be a number");
}

/* ---- around it ---- */

static void a_realm_is_quoted_in_the_challenge(void **state)
{
    static const char realm[] = "{\"realm\":\"a \\\"b\\\\\"}";

    expect(realm, "/", "", "401 Unauthorized; Bearer realm=\"a \\\"b\\\\\"; missing");
    expect(realm, "/", header_of("x"),
           "401 Bad token; invalid JSON; Bearer realm=\"a \\\"b\\\\\", error=\"invalid_token\"; wrong");
}

static void a_preflight_may_pass_unasked(void **state)
{
    pass("{\"run_on_preflight\":false}", "OPTIONS", "/", header_of("x"));
    assert_string_equal(outcome(), "");
    pass("{\"run_on_preflight\":false}", "GET", "/", "");
    assert_string_equal(outcome(), UNAUTHORIZED);
    pass("{}", "OPTIONS", "/", "");
    assert_string_equal(outcome(), UNAUTHORIZED);
}

static void an_anonymous_consumer_stands_in_for_whoever_has_no_good_token(void **state)
{
    static const char by_name[] = "{\"anonymous\":\"nobody\"}", by_id[] = "{\"anonymous\":\"" NOBODY "\"}";

    expect(by_name, "/", "", "anonymous nobody");
    assert_false(p.request.has_signal);
    assert_int_equal(p.request.www_authenticate.len, 0);
    assert_int_equal(p.request.principal.credential_identifier.len, 0);
    expect(by_id, "/", "", "anonymous nobody");
    expect(by_name, "/", header_of("x"), "anonymous nobody");
    expect(by_name, "/", header_of(good()), "alice");
    expect("{\"anonymous\":\"missing\"}", "/", "",
           "500 anonymous consumer missing is configured but doesn't exist; ; no signal");
    expect("{\"anonymous\":\"missing\"}", "/", header_of(good()), "alice");
}

static void with_anonymous_nothing_is_asked_of_whom_another_policy_knows(void **state)
{
    const struct kg_consumer *known = kg_snapshot_consumer(snapshot, KG_SLICE("nobody"));

    for (int anonymous = 0; anonymous <= 1; anonymous++) {
        begin(anonymous ? "{\"anonymous\":\"alice\"}" : "{}", "GET", "/", "");
        p.request.principal = (struct kg_principal){ .consumer = known, .credential_id = KG_SLICE("some") };
        end();
        assert_string_equal(outcome(), anonymous ? "nobody" : UNAUTHORIZED);
    }
}

static void what_shows_a_token_is_secret(void **state)
{
    static const char *const yes[] = { "authorization", "Authorization", "X-Jwt", "x_jwt", "jwt", "Cookie" };
    static const char *const no[] = { "x-jw", "JWT", "accept", "cookie2", "" };
    void *config = compile("{\"header_names\":[\"authorization\",\"x_jwt\"],\"cookie_names\":[\"c\"]}");

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(kg_policy_jwt.is_secret(config, kg_slice_str(yes[i])));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(kg_policy_jwt.is_secret(config, kg_slice_str(no[i])));
    kg_policy_jwt.type.release(config);
    config = compile("{}");
    assert_false(kg_policy_jwt.is_secret(config, KG_SLICE("cookie")));
    kg_policy_jwt.type.release(config);
}

static void too_little_scratch_is_our_own_fault(void **state)
{
    for (size_t room = 0; room < 40; room += 8) {
        begin("{}", "GET", "/", header_of(good()));
        p.scratch.cap = room;
        end();
        assert_string_equal(outcome(), "500 An unexpected error occurred; ; no signal");
    }
}

/* ---- the schema ---- */

static void defaults_are_kongs(void **state)
{
    json_t *problem = NULL, *plugin = apply("{}", &problem);
    json_t *wanted =
        json_loads("{\"uri_param_names\":[\"jwt\"],\"cookie_names\":[],\"header_names\":[\"authorization\"],"
                   "\"key_claim_name\":\"iss\",\"secret_is_base64\":false,\"claims_to_verify\":null,"
                   "\"anonymous\":null,\"run_on_preflight\":true,\"maximum_expiration\":0,\"realm\":null}",
                   0, NULL);

    assert_true(json_equal(json_object_get(plugin, "config"), wanted));
    json_decref(wanted);
    json_decref(plugin);
}

static void expect_refused(const char *config, const char *path, const char *wanted)
{
    json_t *problem = NULL, *plugin = apply(config, &problem);

    if (plugin)
        fail_msg("%s was taken", config);
    char *text = json_dumps(json_object_get(problem, "fields"), JSON_SORT_KEYS);
    char expected[512];
    snprintf(expected, sizeof(expected), "%s: %s", path, wanted);
    if (!strstr(text, expected))
        fail_msg("%s: %s", config, text);
    free(text);
    json_decref(problem);
}

static void configs_that_cannot_be_are_refused(void **state)
{
    expect_refused("{\"nonsense\":1}", "\"nonsense\"", "\"unknown field\"");
    expect_refused("{\"header_names\":[\"a b\"]}", "\"header_names\"", "[\"'a b' is not a valid header name");
    expect_refused("{\"cookie_names\":[\"a;b\"]}", "\"cookie_names\"", "[\"'a;b' is not a valid cookie name");
    expect_refused("{\"uri_param_names\":[1]}", "\"uri_param_names\"", "[\"expected a string\"]");
    expect_refused("{\"claims_to_verify\":[\"iat\"]}", "\"claims_to_verify\"",
                   "[\"expected one of: exp, nbf\"]");
    expect_refused("{\"key_claim_name\":\"\"}", "\"key_claim_name\"", "\"length must be at least 1\"");
    expect_refused("{\"secret_is_base64\":1}", "\"secret_is_base64\"", "\"expected a boolean\"");
    expect_refused("{\"run_on_preflight\":\"x\"}", "\"run_on_preflight\"", "\"expected a boolean\"");
    expect_refused("{\"realm\":\"a\\nb\"}", "\"realm\"", "\"control characters are not allowed\"");
    expect_refused("{\"anonymous\":5}", "\"anonymous\"", "\"expected a string\"");
    expect_refused("{\"anonymous\":\"a\\nb\"}", "\"anonymous\"", "\"must not contain control characters\"");
    /* It stands in a message, which has its limit. */
    char name[700], config[1024];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    snprintf(config, sizeof(config), "{\"anonymous\":\"%s\"}", name);
    expect_refused(config, "\"anonymous\"", "\"length must be at most 512\"");
    expect_refused("{\"maximum_expiration\":-1}", "\"maximum_expiration\"",
                   "\"value should be between 0 and 31536000\"");
    expect_refused("{\"maximum_expiration\":31536001}", "\"maximum_expiration\"",
                   "\"value should be between 0 and 31536000\"");
    expect_refused("{\"maximum_expiration\":60}", "\"claims_to_verify\"", "\"expected to contain: exp\"");
    expect_refused("{\"maximum_expiration\":60,\"claims_to_verify\":[\"nbf\"]}", "\"@entity\"",
                   "[\"failed conditional validation given value of field 'config.maximum_expiration'\"]");
}

static void is_for_no_consumer_alone(void **state)
{
    json_t *input = json_loads("{\"name\":\"jwt\",\"consumer\":{\"id\":\"" ALICE "\"}}", 0, NULL),
           *plugin = NULL, *problem = NULL;

    assert_true(kg_schema_apply(&kg_entities[KG_PLUGINS], KG_WRITE_CREATE, input, NULL, &plugin, &problem) <
                0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(problem, "fields"), "consumer")),
                        "value must be null");
    json_decref(problem);
    json_decref(input);
    assert_int_equal(kg_policy_jwt.type.priority, 1450);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_token_says_who_it_is),
        cmocka_unit_test(is_found_in_arguments_of_the_query),
        cmocka_unit_test(is_found_in_cookies),
        cmocka_unit_test(is_found_in_headers_behind_bearer),
        cmocka_unit_test(of_a_repeated_header_the_first_counts),
        cmocka_unit_test(the_same_token_in_several_places_is_one_and_different_ones_are_refused),
        cmocka_unit_test(bad_tokens_have_their_messages),
        cmocka_unit_test(a_public_key_is_no_secret),
        cmocka_unit_test(a_token_by_a_private_key_is_good),
        cmocka_unit_test(a_secret_may_be_base64),
        cmocka_unit_test(another_claim_may_name_the_credential),
        cmocka_unit_test(times_are_looked_at_when_they_are_asked_for),
        cmocka_unit_test(no_token_may_last_too_long),
        cmocka_unit_test(a_realm_is_quoted_in_the_challenge),
        cmocka_unit_test(a_preflight_may_pass_unasked),
        cmocka_unit_test(an_anonymous_consumer_stands_in_for_whoever_has_no_good_token),
        cmocka_unit_test(with_anonymous_nothing_is_asked_of_whom_another_policy_knows),
        cmocka_unit_test(what_shows_a_token_is_secret),
        cmocka_unit_test(too_little_scratch_is_our_own_fault),
        cmocka_unit_test(defaults_are_kongs),
        cmocka_unit_test(configs_that_cannot_be_are_refused),
        cmocka_unit_test(is_for_no_consumer_alone),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
