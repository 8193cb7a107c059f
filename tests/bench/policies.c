/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each policy adds to a request: the CPU time of a whole pass over a route's plugins with it, less that
 * of the same requests without it. Consumers and keys by the million, taken at random, so that what is looked
 * up is seldom in a cache. Usage: policies KEYS ROUNDS; a line "NAME MICROSECONDS" for each policy and round.
 */
#include "model/model.h"
#include "policy/counters.h"
#include "policy/jwt_verify.h"
#include "policy/policy.h"

#include "base/base64.h"
#include "base/mem.h"
#include "base/prng.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REQUESTS  200000
#define KEY_LEN   32
#define UP_ROOM   4096
#define QUERY     131072
#define TOKENS    10000 /* of HS256, or fewer when there are fewer consumers */
#define TOKEN_MAX 256

/* A policy, and what goes before it that is not its own cost. */
struct row {
    const char *name;
    const char *before; /* JSON of a plugin, or NULL */
    const char *plugin;
    bool by_token; /* its requests come with a JWT instead of a key */
};

#define KEY_AUTH "{\"name\":\"key-auth\"}"

static const struct row rows[] = {
    { "key_auth", NULL, KEY_AUTH, false },
    { "jwt_hs256", NULL, "{\"name\":\"jwt\",\"config\":{\"claims_to_verify\":[\"exp\"]}}", true },
    { "rate_limiting", KEY_AUTH, "{\"name\":\"rate-limiting\",\"config\":{\"minute\":1000000}}", false },
    { "acl", KEY_AUTH, "{\"name\":\"acl\",\"config\":{\"deny\":[\"nobody\"]}}", false },
    { "ip_restriction", KEY_AUTH,
      "{\"name\":\"ip-restriction\",\"config\":{\"allow\":[\"127.0.0.0/8\",\"192.0.2.0/24\"]}}", false },
    { "request_size_limiting", KEY_AUTH, "{\"name\":\"request-size-limiting\"}", false },
    { "correlation_id", KEY_AUTH, "{\"name\":\"correlation-id\"}", false },
};

struct bench {
    struct kg_prng prng;
    struct kg_key_hasher *hasher;
    struct kg_jwt_verifier *verifier;
    struct kg_counters *counters;
    struct kg_model *model;
    struct kg_snapshot *snapshot;
    char (*keys)[KEY_LEN + 1];
    size_t count;
    char (*tokens)[TOKEN_MAX];
    size_t token_count;
    char *up, *down, *scratch;
};

static void fail(const char *why)
{
    fprintf(stderr, "policies: %s\n", why);
    exit(EXIT_FAILURE);
}

static void put(struct bench *bench, enum kg_entity_id entity, const char *json)
{
    json_error_t error;
    json_t *input = json_loads(json, 0, &error), *object = NULL, *problem = NULL;

    if (!input || kg_schema_apply(&kg_entities[entity], KG_WRITE_CREATE, input, NULL, &object, &problem) < 0)
        fail("an entity is not as the schema wants it");
    kg_model_put(bench->model, entity, object);
    json_decref(input);
    json_decref(object);
}

static void make_key(struct bench *bench, char key[KEY_LEN + 1])
{
    struct kg_writer w = kg_writer_of(key, KEY_LEN);
    uint64_t words[2] = { kg_prng_next(&bench->prng), kg_prng_next(&bench->prng) };

    kg_put_hex_bytes(&w, (const uint8_t *)words, sizeof(words));
}

/* A credential of a consumer's, and a token that it has signed. */
static void make_token(struct bench *bench, unsigned at)
{
    struct kg_writer w = kg_writer_of(bench->tokens[at], TOKEN_MAX - 1);
    const char *secret = bench->keys[at];
    unsigned char mac[EVP_MAX_MD_SIZE];
    char json[512], claims[96];
    unsigned len = 0;

    snprintf(json, sizeof(json),
             "{\"consumer\":{\"id\":\"00000000-0000-4000-8000-%012x\"},\"key\":\"app-%u\",\"secret\":\"%s\"}",
             at, at, secret);
    put(bench, KG_JWT_SECRETS, json);
    snprintf(claims, sizeof(claims),
             "{\"iss\":\"app-%u\",\"sub\":\"1234567890\",\"iat\":1516239022,\"exp\":9999999999}", at);
    kg_put_base64url(&w, KG_SLICE("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"));
    kg_put_char(&w, '.');
    kg_put_base64url(&w, kg_slice_str(claims));
    HMAC(EVP_sha256(), secret, KEY_LEN, (const unsigned char *)w.buf, w.len, mac, &len);
    kg_put_char(&w, '.');
    kg_put_base64url(&w, kg_slice_of((const char *)mac, len));
    if (w.overflow)
        fail("a token is too long");
}

static void fill(struct bench *bench)
{
    static const uint8_t index_key[32] = { 1 };
    struct kg_error err = { "" };
    char id[KG_UUID_TEXT], name[32];
    uint8_t mac[32];

    kg_mem_load_begin();
    kg_prng_seed(&bench->prng);
    bench->hasher = kg_key_hasher_new(index_key);
    bench->verifier = kg_jwt_verifier_new();
    if (kg_counters_new(2 * (uint32_t)bench->count, &bench->counters, &err))
        fail(err.text);
    bench->model = kg_model_new(NULL);
    bench->keys = kg_calloc(bench->count, sizeof(*bench->keys));
    for (size_t i = 0; i < bench->count; i++) {
        snprintf(id, sizeof(id), "00000000-0000-4000-8000-%012x", (unsigned)i);
        snprintf(name, sizeof(name), "u%zu", i);
        kg_model_load_consumer(bench->model, id, name, NULL);
    }
    for (size_t i = 0; i < bench->count; i++) {
        snprintf(id, sizeof(id), "00000000-0000-4000-8000-%012x", (unsigned)i);
        make_key(bench, bench->keys[i]);
        kg_key_hasher_mac(bench->hasher, kg_slice_of(bench->keys[i], KEY_LEN), mac);
        kg_model_load_credential(bench->model, id, id, mac, 0, NULL);
    }
    kg_model_load_end(bench->model);
    bench->token_count = bench->count < TOKENS ? bench->count : TOKENS;
    bench->tokens = kg_calloc(bench->token_count, sizeof(*bench->tokens));
    for (size_t i = 0; i < bench->token_count; i++)
        make_token(bench, (unsigned)i);
    kg_mem_load_end();
    put(bench, KG_SERVICES, "{\"name\":\"up\",\"host\":\"127.0.0.1\"}");
}

/* A route of its own, with these plugins. */
static const struct kg_route *set_route(struct bench *bench, const char *before, const char *plugin)
{
    const char *plugins[] = { before, plugin };
    struct kg_route_query query = { .method = KG_SLICE("GET"), .path = KG_SLICE("/") };
    struct kg_match match;

    kg_snapshot_free(bench->snapshot);
    for (unsigned i = 0; i < 2; i++) {
        char id[KG_UUID_TEXT];

        snprintf(id, sizeof(id), "00000000-0000-4000-8000-00000000000%u", i);
        kg_model_remove(bench->model, KG_PLUGINS, id);
        if (!plugins[i])
            continue;
        char json[512];
        snprintf(json, sizeof(json), "{\"id\":\"%s\",%s", id, plugins[i] + 1);
        put(bench, KG_PLUGINS, json);
    }
    bench->snapshot = kg_model_snapshot(bench->model);
    if (!kg_snapshot_route(bench->snapshot, &query, &match))
        fail("there is no route");
    return match.route;
}

static void pass(struct bench *bench, const struct kg_route *route, const char *name, const char *value)
{
    static const struct kg_head_limits limits = { .line = 8192, .bytes = 32768, .headers = 100 };
    static const struct kg_addr address = { .family = 4, .bytes = { 127, 0, 0, 1 } };
    static struct kg_head head;
    char text[TOKEN_MAX + 128];
    int len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: bench\r\n%s%s\r\n\r\n", name, value);
    struct kg_framing framing;
    struct kg_target target;
    const char *why;

    if (kg_head_parse_request(kg_slice_of(text, (size_t)len), &limits, &head, &why) != len ||
        kg_framing_request(&head, &framing, &why) || kg_target_parse(&head, framing.host, &target, &why))
        fail("the request is not understood");
    struct kg_writer scratch = kg_writer_of(bench->scratch, QUERY);
    struct kg_policy_request request = {
        .snapshot = bench->snapshot,
        .route = route,
        .hasher = bench->hasher,
        .verifier = bench->verifier,
        .counters = bench->counters,
        .head = &head,
        .framing = &framing,
        .target = &target,
        .path = target.path,
        .address = &address,
        .id = KG_SLICE("0123456789abcdef0123456789abcdef"),
        .now_wall = time(NULL),
        .scratch = &scratch,
        .to_upstream = kg_writer_of(bench->up, UP_ROOM),
        .to_client = kg_writer_of(bench->down, UP_ROOM),
    };
    if (!kg_policies_run(&request))
        fail("a request was refused");
    if (route->plugin_count > 0 && !request.principal.consumer)
        fail("nobody was found behind a key");
}

/* Microseconds of CPU time a request. */
static double measure(struct bench *bench, const struct kg_route *route, bool by_token)
{
    struct timespec from, to;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (int i = 0; i < REQUESTS; i++) {
        uint64_t random = kg_prng_next(&bench->prng);

        if (by_token)
            pass(bench, route, "Authorization: Bearer ", bench->tokens[random % bench->token_count]);
        else
            pass(bench, route, "apikey: ", bench->keys[random % bench->count]);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    return ((double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3) / REQUESTS;
}

int main(int argc, char **argv)
{
    struct bench bench = { 0 };
    unsigned long rounds = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

    bench.count = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    if (bench.count == 0 || rounds == 0)
        fail("usage: policies KEYS ROUNDS");
    bench.up = kg_calloc(1, UP_ROOM);
    bench.down = kg_calloc(1, UP_ROOM);
    bench.scratch = kg_calloc(1, QUERY);
    kg_policies_register();
    fill(&bench);
    put(&bench, KG_ROUTES, "{\"paths\":[\"/\"]}");
    for (unsigned long round = 0; round < rounds; round++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            double without = measure(&bench, set_route(&bench, rows[i].before, NULL), rows[i].by_token);
            double with =
                measure(&bench, set_route(&bench, rows[i].before, rows[i].plugin), rows[i].by_token);

            printf("%s %.4f\n", rows[i].name, with - without);
        }
    }
    kg_snapshot_free(bench.snapshot);
    kg_model_free(bench.model);
    kg_key_hasher_free(bench.hasher);
    kg_counters_free(bench.counters);
    kg_jwt_verifier_free(bench.verifier);
    free(bench.tokens);
    free(bench.keys);
    free(bench.up);
    free(bench.down);
    free(bench.scratch);
    return 0;
}
