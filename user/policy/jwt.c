/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jwt: who a request comes from, by a signed token in a query argument, a cookie or a header, found and
 * judged as Kong does it. The credential alone says how a token must be signed; what the token says of that
 * must only agree.
 */
#include "policy/policy.h"

#include "base/assert.h"
#include "base/mem.h"
#include "http/cookie.h"
#include "model/arena.h"
#include "model/checks.h"
#include "model/json.h"
#include "model/jwt_algorithm.h"
#include "policy/challenge.h"
#include "policy/jwt_token.h"
#include "policy/jwt_verify.h"

#include <stdlib.h>

#define PRIORITY       1450
#define EXPIRATION_MAX 31536000 /* seconds: a year */
#define CLAIM_NAME_MAX 255      /* it stands in messages */

struct names {
    struct kg_slice *items;
    size_t count;
};

struct jwt {
    struct kg_arena arena; /* for all below */
    struct names arguments, cookies;
    struct names headers, dashed; /* dashed: in lower case and with '-' for '_', the other spelling of each */
    struct kg_slice key_claim, anonymous;
    bool secret_is_base64, run_on_preflight, verify_exp, verify_nbf;
    int64_t maximum_expiration;                     /* seconds; 0: any */
    struct kg_slice challenge, bad_token;           /* WWW-Authenticate, without and with an error */
    struct kg_slice no_key, empty_key, unknown_key; /* messages that name the claim */
};

/* ---- configuration ---- */

static const char *const claims[] = { "exp", "nbf", NULL };

static const struct kg_field config_fields[] = {
    { .name = "uri_param_names", .type = KG_F_STRING_SET, .default_json = "[\"jwt\"]" },
    { .name = "cookie_names", .type = KG_F_STRING_SET, .default_json = "[]", .check = kg_check_cookie_name },
    { .name = "header_names",
      .type = KG_F_STRING_SET,
      .default_json = "[\"authorization\"]",
      .check = kg_check_hash_header },
    { .name = "key_claim_name",
      .type = KG_F_STRING,
      .required = true,
      .max_len = CLAIM_NAME_MAX,
      .default_json = "\"iss\"" },
    { .name = "secret_is_base64", .type = KG_F_BOOLEAN, .required = true, .default_json = "false" },
    { .name = "claims_to_verify", .type = KG_F_STRING_SET, .one_of = claims },
    { .name = "anonymous", .type = KG_F_STRING, .check = kg_check_identity },
    { .name = "run_on_preflight", .type = KG_F_BOOLEAN, .required = true, .default_json = "true" },
    { .name = "maximum_expiration",
      .type = KG_F_INTEGER,
      .default_json = "0",
      .bounded = true,
      .max = EXPIRATION_MAX },
    { .name = "realm", .type = KG_F_STRING, .check = kg_check_realm },
    { 0 },
};

static bool lists(const json_t *config, const char *claim)
{
    json_t *name = json_string(claim);
    bool found = kg_json_contains(json_object_get(config, "claims_to_verify"), name);

    json_decref(name);
    return found;
}

/* A token without exp would otherwise be taken for ever. */
static void check(const json_t *config, json_t *violations)
{
    if (json_integer_value(json_object_get(config, "maximum_expiration")) == 0 || lists(config, "exp"))
        return;
    kg_violate(violations, NULL,
               "failed conditional validation given value of field 'config.maximum_expiration'");
    kg_violate_config(violations, "claims_to_verify", "expected to contain: exp");
}

static struct names copy_names(struct kg_arena *arena, const json_t *array)
{
    struct names names = { .count = json_array_size(array) };

    names.items = kg_arena_calloc(arena, names.count, sizeof(*names.items));
    for (size_t i = 0; i < names.count; i++)
        names.items[i] = kg_arena_copy(arena, kg_json_text(json_array_get(array, i)));
    return names;
}

static struct names copy_dashed(struct kg_arena *arena, struct names names)
{
    struct names dashed = { .count = names.count };

    dashed.items = kg_arena_calloc(arena, names.count, sizeof(*dashed.items));
    for (size_t i = 0; i < names.count; i++) {
        struct kg_slice name = names.items[i];
        struct kg_writer w = kg_writer_of(kg_arena_calloc(arena, name.len, 1), name.len);

        for (size_t k = 0; k < name.len; k++)
            kg_put_char(&w, name.ptr[k] == '_' ? '-' : kg_lower(name.ptr[k]));
        dashed.items[i] = kg_writer_slice(&w);
    }
    return dashed;
}

/* before 'claim' after */
static struct kg_slice say(struct jwt *config, struct kg_slice before, struct kg_slice after)
{
    size_t room = before.len + config->key_claim.len + after.len + 2;
    struct kg_writer w = kg_writer_of(kg_arena_calloc(&config->arena, room, 1), room);

    kg_put(&w, before);
    kg_put_char(&w, '\'');
    kg_put(&w, config->key_claim);
    kg_put_char(&w, '\'');
    kg_put(&w, after);
    return kg_writer_slice(&w);
}

static struct kg_slice challenge_of(struct jwt *config, struct kg_slice realm, bool bad_token)
{
    size_t room = 2 * realm.len + 64;
    struct kg_writer w = kg_writer_of(kg_arena_calloc(&config->arena, room, 1), room);

    KG_PUT(&w, "Bearer");
    if (realm.len > 0) {
        kg_put_char(&w, ' ');
        kg_put_realm(&w, realm);
    }
    if (bad_token)
        kg_put(&w,
               realm.len > 0 ? KG_SLICE(", error=\"invalid_token\"") : KG_SLICE(" error=\"invalid_token\""));
    return kg_writer_slice(&w);
}

static void *compile(const json_t *json)
{
    struct jwt *config = kg_calloc(1, sizeof(*config));
    struct kg_arena *arena = &config->arena;
    struct kg_slice realm = kg_json_text(json_object_get(json, "realm"));

    config->arguments = copy_names(arena, json_object_get(json, "uri_param_names"));
    config->cookies = copy_names(arena, json_object_get(json, "cookie_names"));
    config->headers = copy_names(arena, json_object_get(json, "header_names"));
    config->dashed = copy_dashed(arena, config->headers);
    config->key_claim = kg_arena_copy(arena, kg_json_text(json_object_get(json, "key_claim_name")));
    config->anonymous = kg_arena_copy(arena, kg_json_text(json_object_get(json, "anonymous")));
    config->secret_is_base64 = json_is_true(json_object_get(json, "secret_is_base64"));
    config->run_on_preflight = json_is_true(json_object_get(json, "run_on_preflight"));
    config->verify_exp = lists(json, "exp");
    config->verify_nbf = lists(json, "nbf");
    config->maximum_expiration = json_integer_value(json_object_get(json, "maximum_expiration"));
    config->challenge = challenge_of(config, realm, false);
    config->bad_token = challenge_of(config, realm, true);
    config->no_key = say(config, KG_SLICE("No mandatory "), KG_SLICE(" in claims"));
    config->empty_key = say(config, KG_SLICE("Invalid "), KG_SLICE(" in claims"));
    config->unknown_key = say(config, KG_SLICE("No credentials found for given "), KG_SLICE(""));
    return config;
}

static void release(void *compiled)
{
    struct jwt *config = compiled;

    kg_arena_free(&config->arena);
    free(config);
}

/* ---- finding the token ---- */

struct find {
    struct kg_slice token;   /* empty: none */
    bool several;            /* different ones */
    struct kg_writer *space; /* for what has to be decoded */
};

static void add(struct find *find, struct kg_slice token)
{
    if (find->token.len == 0)
        find->token = token;
    else if (token.len > 0 && !kg_slice_eq(find->token, token))
        find->several = true;
}

static void add_encoded(struct find *find, struct kg_slice value)
{
    size_t start = find->space->len;

    kg_query_decode(value, find->space);
    add(find, kg_slice_of(find->space->buf + start, find->space->len - start));
}

/* All arguments of that name. */
static void find_in_query(const struct kg_policy_request *request, struct kg_slice name, struct find *find)
{
    struct kg_slice query = request->query, argument;
    bool more = request->has_query && query.len > 0;

    while (kg_query_next(&query, &more, &argument)) {
        size_t equals = kg_slice_find(argument, '=');

        if (equals < argument.len && kg_query_is_named(argument, name))
            add_encoded(find, kg_slice_of(argument.ptr + equals + 1, argument.len - equals - 1));
    }
}

/* The first header of this name; what is hop-by-hop is not there. */
static bool find_header(const struct kg_head *head, struct kg_slice name, struct kg_slice *value)
{
    for (size_t i = 0; i < head->count; i++) {
        const struct kg_header *header = &head->headers[i];

        if (header->hop || !kg_slice_eq_nocase(header->name, name))
            continue;
        *value = kg_slice_trim(header->value);
        return true;
    }
    return false;
}

/* What is behind "Bearer", of which Kong lets only the B be small as well. */
static struct kg_slice cut_scheme(struct kg_slice value)
{
    static const struct kg_slice rest = { "earer", 5 };

    if (value.len < 7 || kg_lower(value.ptr[0]) != 'b' ||
        !kg_slice_eq(kg_slice_of(value.ptr + 1, rest.len), rest) ||
        (value.ptr[6] != ' ' && value.ptr[6] != '\t'))
        return KG_SLICE("");
    return kg_slice_trim(kg_slice_of(value.ptr + 6, value.len - 6));
}

static struct find find_token(const struct jwt *config, const struct kg_policy_request *request,
                              struct kg_writer *space)
{
    struct find find = { .space = space };
    struct kg_slice value;

    for (size_t i = 0; i < config->arguments.count; i++)
        find_in_query(request, config->arguments.items[i], &find);
    for (size_t i = 0; i < config->cookies.count; i++) {
        if (kg_cookie_find(request->head, config->cookies.items[i], &value))
            add(&find, value);
    }
    for (size_t i = 0; i < config->headers.count; i++) {
        if (find_header(request->head, config->headers.items[i], &value) ||
            find_header(request->head, config->dashed.items[i], &value))
            add(&find, cut_scheme(value));
    }
    return find;
}

/* ---- judging it ---- */

/* All that comes of a token: who it is from, or a message. */
struct verdict {
    const struct kg_jwt_key *key; /* NULL: of nobody */
    struct kg_slice message;
    struct kg_slice exp, nbf; /* what is wrong with these claims; the message is made of them */
};

static const struct kg_slice faults[] = {
    [KG_JWT_INVALID_JSON] = { "Bad token; invalid JSON", 23 },
    [KG_JWT_INVALID_ALG] = { "Bad token; invalid alg", 22 },
    [KG_JWT_INVALID_CRIT] = { "Bad token; invalid crit", 23 },
    [KG_JWT_INVALID_CLAIMS] = { "Bad token; invalid claims", 25 },
    [KG_JWT_INVALID_SIGNATURE] = { "Bad token; invalid signature", 28 },
};

/* Empty when the key that the token names has signed it. */
static struct kg_slice judge_signature(const struct jwt *config, const struct kg_policy_request *request,
                                       const struct kg_jwt *token, const struct kg_jwt_key *key)
{
    struct kg_slice secret = config->secret_is_base64 ? key->decoded : key->secret;
    bool by_secret = key->algorithm->family == KG_JWT_HMAC, good;

    if (token->algorithm != key->algorithm)
        return KG_SLICE("Invalid algorithm");
    if (by_secret ? secret.len == 0 : !key->public_key)
        return KG_SLICE("Invalid key/secret");
    if (by_secret)
        good = kg_jwt_verify_secret(request->verifier, key->algorithm, secret, token->signed_part,
                                    token->signature);
    else
        good = kg_jwt_verify_public(request->verifier, key->algorithm, key->public_key, token->signed_part,
                                    token->signature);
    return good ? KG_SLICE("") : KG_SLICE("Invalid signature");
}

static void judge_times(const struct jwt *config, int64_t now, const struct kg_jwt *token,
                        struct verdict *verdict)
{
    if (config->verify_exp && token->exp.kind != KG_JWT_NUMBER)
        verdict->exp = KG_SLICE("must be a number");
    else if (config->verify_exp && !kg_jwt_is_above(&token->exp, now))
        verdict->exp = KG_SLICE("token expired");
    if (config->verify_nbf && token->nbf.kind != KG_JWT_NUMBER)
        verdict->nbf = KG_SLICE("must be a number");
    else if (config->verify_nbf && kg_jwt_is_above(&token->nbf, now))
        verdict->nbf = KG_SLICE("token not valid yet");
    if (verdict->exp.len > 0 || verdict->nbf.len > 0)
        return;
    if (config->maximum_expiration == 0)
        return;
    if (token->exp.kind != KG_JWT_NUMBER || kg_jwt_is_above(&token->exp, now + config->maximum_expiration))
        verdict->exp = KG_SLICE("exceeds maximum allowed expiration");
}

static void judge(const struct jwt *config, const struct kg_policy_request *request,
                  const struct kg_jwt *token, struct verdict *verdict)
{
    const struct kg_jwt_key *key;

    if (token->key.kind == KG_JWT_ABSENT) {
        verdict->message = config->no_key;
        return;
    }
    if (token->key.text.len == 0) {
        verdict->message = config->empty_key;
        return;
    }
    key = kg_snapshot_jwt_key(request->snapshot, token->key.text);
    verdict->message = key ? judge_signature(config, request, token, key) : config->unknown_key;
    if (verdict->message.len > 0)
        return;
    judge_times(config, request->now_wall, token, verdict);
    verdict->key = key;
}

static struct kg_slice say_times(const struct verdict *verdict, struct kg_writer *scratch)
{
    size_t start = scratch->len;

    if (verdict->exp.len > 0) {
        KG_PUT(scratch, "exp: ");
        kg_put(scratch, verdict->exp);
    }
    if (verdict->exp.len > 0 && verdict->nbf.len > 0)
        KG_PUT(scratch, ", ");
    if (verdict->nbf.len > 0) {
        KG_PUT(scratch, "nbf: ");
        kg_put(scratch, verdict->nbf);
    }
    return kg_slice_of(scratch->buf + start, scratch->len - start);
}

/* ---- what follows ---- */

static bool refuse(const struct jwt *config, struct kg_policy_request *request, bool missing,
                   struct kg_slice message)
{
    request->www_authenticate = missing ? config->challenge : config->bad_token;
    kg_policy_signal(request, missing ? KG_SIGNAL_MISSING_KEY : KG_SIGNAL_WRONG_KEY);
    kg_policy_answer(request, 401, message);
    return config->anonymous.len > 0 && kg_policy_go_anonymous(request, config->anonymous);
}

static bool let_pass(struct kg_policy_request *request, const struct kg_jwt_key *key)
{
    request->principal = (struct kg_principal){
        .consumer = key->consumer,
        .credential_id = kg_slice_str(key->id),
        .credential_identifier = key->key,
    };
    return true;
}

/* False when the scratch space is too small. */
static bool ask(const struct jwt *config, const struct kg_policy_request *request, struct kg_writer *space,
                bool *missing, struct verdict *verdict)
{
    struct find find = find_token(config, request, space);
    struct kg_jwt token;

    *missing = find.token.len == 0;
    if (space->overflow)
        return false;
    if (*missing || find.several) {
        verdict->message = *missing ? KG_SLICE("Unauthorized") : KG_SLICE("Multiple tokens provided");
        return true;
    }
    enum kg_jwt_fault fault = kg_jwt_parse(find.token, config->key_claim, space, &token);
    if (fault == KG_JWT_NO_ROOM)
        return false;
    if (fault != KG_JWT_GOOD)
        verdict->message = faults[fault];
    else
        judge(config, request, &token, verdict);
    return true;
}

static bool jwt_access(const void *compiled, struct kg_policy_request *request)
{
    const struct jwt *config = compiled;
    struct kg_writer *scratch = request->scratch;
    struct kg_writer space = kg_writer_of(scratch->buf + scratch->len, scratch->cap - scratch->len);
    struct verdict verdict = { 0 };
    bool missing;

    if (request->head->method == KG_METHOD_OPTIONS && !config->run_on_preflight)
        return true;
    if (config->anonymous.len > 0 && kg_policy_has_credential(request))
        return true;
    bool fits = ask(config, request, &space, &missing, &verdict);
    /* What the token says of its owner is needed no longer than this. */
    kg_wipe(space.buf, space.len);
    if (!fits)
        return kg_policy_fail(request);
    if (verdict.exp.len > 0 || verdict.nbf.len > 0)
        return refuse(config, request, false, say_times(&verdict, scratch));
    return verdict.key ? let_pass(request, verdict.key) : refuse(config, request, missing, verdict.message);
}

static bool is_spelling(struct kg_slice name, struct kg_slice dashed)
{
    return name.len == dashed.len && kg_header_starts(name, dashed);
}

static bool jwt_is_secret(const void *compiled, struct kg_slice name)
{
    const struct jwt *config = compiled;

    for (size_t i = 0; i < config->dashed.count; i++) {
        if (is_spelling(name, config->dashed.items[i]))
            return true;
    }
    for (size_t i = 0; i < config->arguments.count; i++) {
        if (kg_slice_eq(name, config->arguments.items[i]))
            return true;
    }
    return config->cookies.count > 0 && is_spelling(name, KG_SLICE("cookie"));
}

const struct kg_policy kg_policy_jwt = {
    .type = { .name = "jwt",
              .priority = PRIORITY,
              .config = config_fields,
              .no_consumer = true,
              .check = check,
              .rules_json =
                  "[{\"conditional\":{\"if_field\":\"config.maximum_expiration\",\"if_match\":{\"gt\":0},"
                  "\"then_field\":\"config.claims_to_verify\",\"then_match\":{\"contains\":\"exp\"}}}]",
              .compile = compile,
              .release = release },
    .access = jwt_access,
    .is_secret = jwt_is_secret,
};
