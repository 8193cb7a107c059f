/* SPDX-License-Identifier: BSD-2-Clause */
/* What explains the router agrees with the router. */
#include "model/candidates.h"
#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define ROUTES  10
#define QUERIES 400
#define ROUNDS  120

#define ID_FORMAT "00000000-0000-4000-8000-%012d"
#define ON        "11111111-1111-4111-8111-111111111111"
#define OFF       "22222222-2222-4222-8222-222222222222"

#define PICK(list) (list)[rand() % (int)(sizeof(list) / sizeof((list)[0]))]

static const char *const some_hosts[] = { "a.com",   "*.a.com", "b.*",      "A.COM:80", "*.com",
                                          "x.a.com", "[::1]",   "b.com:81", "c.b.*",    "a.com." };
static const char *const some_paths[] = {
    "/", "/a", "/a/", "/a/b", "/ab", "/b", "~/a.*b", "~/[ab]", "~/a/b$"
};
static const char *const some_methods[] = { "GET", "POST", "PURGE" };
static const char *const some_snis[] = { "a.com", "x.a.com", "b.com" };
static const char *const some_values[] = { "1", "2", "~*^[12]$" };

static void put(struct kg_model *model, enum kg_entity_id entity, json_t *object)
{
    assert_non_null(object);
    kg_model_put(model, entity, object);
    json_decref(object);
}

static void put_service(struct kg_model *model, const char *id, bool enabled)
{
    put(model, KG_SERVICES,
        json_pack("{s:s,s:s,s:s,s:i,s:b}", "id", id, "protocol", "http", "host", "127.0.0.1", "port", 80,
                  "enabled", (int)enabled));
}

/* Up to two different ones, or null. */
static json_t *some_of(const char *const *list, int count)
{
    int first = rand() % count, second = rand() % count;
    json_t *array;

    if (rand() % 2)
        return json_null();
    array = json_pack("[s]", list[first]);
    if (rand() % 2 && second != first)
        json_array_append_new(array, json_string(list[second]));
    return array;
}
#define SOME_OF(list) some_of((list), (int)(sizeof(list) / sizeof((list)[0])))

static void put_random_route(struct kg_model *model, int number)
{
    char id[40];
    json_t *headers =
        rand() % 3 ? json_null() : json_pack("{s:[s]}", rand() % 2 ? "X-A" : "x-b", PICK(some_values));

    snprintf(id, sizeof(id), ID_FORMAT, number);
    put(model, KG_ROUTES,
        json_pack("{s:s,s:{s:s},s:[s,s],s:o,s:o,s:o,s:o,s:o,s:i,s:b}", "id", id, "service", "id",
                  rand() % 5 ? ON : OFF, "protocols", "http", "https", "hosts", SOME_OF(some_hosts), "paths",
                  SOME_OF(some_paths), "methods", SOME_OF(some_methods), "snis", SOME_OF(some_snis),
                  "headers", headers, "regex_priority", rand() % 3, "strip_path", 1));
}

/* The best of those that match, as the explanation has it. */
struct best {
    const char *id;
    uint64_t rank, order;
    size_t seen;
};

static void take_best(void *ctx, const struct kg_candidate *candidate)
{
    struct best *best = ctx;

    best->seen++;
    if (candidate->misses)
        return;
    if (best->id &&
        (candidate->rank < best->rank || (candidate->rank == best->rank && candidate->order > best->order)))
        return;
    best->id = candidate->id;
    best->rank = candidate->rank;
    best->order = candidate->order;
}

static void random_query(struct kg_route_query *query, struct kg_head *head, struct kg_regex_scratch *scratch)
{
    static const char *const hosts[] = { "a.com", "x.a.com", "y.x.a.com", "A.com", "b.org", "c.b.org",
                                         "com",   ".a.com",  "b.com",     "[::1]", "" };
    static const char *const paths[] = { "/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/c", "*" };
    static const char *const names[] = { "x-a", "X-B", "x-c" };
    static const char *const values[] = { "1", "2", "3" };

    *head = (struct kg_head){ .count = (size_t)(rand() % 3) };
    for (size_t i = 0; i < head->count; i++)
        head->headers[i] =
            (struct kg_header){ .name = kg_slice_str(PICK(names)), .value = kg_slice_str(PICK(values)) };
    *query = (struct kg_route_query){
        .method = kg_slice_str(PICK(some_methods)),
        .host = kg_slice_str(PICK(hosts)),
        .path = kg_slice_str(PICK(paths)),
        .host_port = rand() % 2 ? 80 : 81,
        .head = rand() % 8 ? head : NULL,
        .regex = rand() % 8 ? scratch : NULL,
        .tls = rand() % 2,
    };
    if (query->tls && rand() % 4)
        query->sni = kg_slice_str(PICK(some_snis));
}

static void compare(struct kg_model *model, const struct kg_snapshot *snapshot,
                    const struct kg_route_query *query, int *matched)
{
    struct best best = { 0 };
    struct kg_match match = { 0 };
    bool routed = kg_snapshot_route(snapshot, query, &match);

    kg_model_each_candidate(model, query, take_best, &best);
    assert_int_equal(best.seen, ROUTES);
    if (routed != (best.id != NULL) || (routed && strcmp(match.route->id, best.id) != 0))
        fail_msg("%.*s %.*s:%u %.*s: the router says %s, the explanation %s", (int)query->method.len,
                 query->method.ptr, (int)query->host.len, query->host.ptr, query->host_port,
                 (int)query->path.len, query->path.ptr, routed ? match.route->id : "none",
                 best.id ? best.id : "none");
    *matched += routed;
}

static void the_explanation_agrees_with_the_router(void **state)
{
    struct kg_regex_scratch *scratch = kg_regex_scratch_new();
    struct kg_route_query query;
    struct kg_head head;
    int matched = 0;

    srand(7);
    for (int round = 0; round < ROUNDS; round++) {
        struct kg_model *model = kg_model_new(NULL);

        put_service(model, ON, true);
        put_service(model, OFF, false);
        for (int i = 0; i < ROUTES; i++)
            put_random_route(model, i);
        struct kg_snapshot *snapshot = kg_model_snapshot(model);
        for (int i = 0; i < QUERIES; i++) {
            random_query(&query, &head, scratch);
            compare(model, snapshot, &query, &matched);
        }
        kg_snapshot_free(snapshot);
        kg_model_free(model);
    }
    kg_regex_scratch_free(scratch);
    /* Neither all nor none, else little was compared. */
    assert_in_range(matched, ROUNDS * QUERIES / 10, ROUNDS * QUERIES * 99 / 100);
}

static uint64_t rank_of(struct kg_route_spec spec, const char *path)
{
    return kg_route_rank_path(&spec, strlen(path));
}

static void the_rule_that_decides_is_named(void **state)
{
    static struct kg_slice host = { "a.com", 5 }, wild = { "*.a.com", 7 }, path = { "/a", 2 };
    const struct kg_route_header header[2] = { { .name = KG_SLICE("a") }, { .name = KG_SLICE("b") } };
    const struct kg_route_spec one = { .hosts = &host, .host_count = 1 },
                               wide = { .hosts = &wild, .host_count = 1 },
                               two = { .hosts = &host, .host_count = 1, .paths = &path, .path_count = 1 },
                               headed = { .headers = header, .header_count = 1 },
                               more = { .headers = header, .header_count = 2 }, low = { .regex_count = 1 },
                               high = { .regex_count = 1, .regex_priority = 1 },
                               plain = { .paths = &path, .path_count = 1 };

    assert_string_equal(kg_route_rank_rule(rank_of(two, "/a"), rank_of(one, "")), "more kinds of conditions");
    assert_string_equal(kg_route_rank_rule(rank_of(one, ""), rank_of(wide, "")), "whole host names");
    assert_string_equal(kg_route_rank_rule(rank_of(more, ""), rank_of(headed, "")), "more headers");
    assert_string_equal(kg_route_rank_rule(kg_route_rank_regex(&low), rank_of(plain, "/a")), "regex path");
    assert_string_equal(kg_route_rank_rule(kg_route_rank_regex(&high), kg_route_rank_regex(&low)),
                        "regex_priority");
    assert_string_equal(kg_route_rank_rule(rank_of(plain, "/ab"), rank_of(plain, "/a")), "longer path");
    assert_string_equal(kg_route_rank_rule(rank_of(plain, "/a"), rank_of(plain, "/a")), "older");
}

static void all_that_does_not_fit_is_told(void **state)
{
    static struct kg_slice host = { "a.com", 5 }, path = { "/a", 2 }, method = { "GET", 3 }, sni = { "s", 1 };
    static const struct kg_route_header header = { .name = { "x-a", 3 } };
    const struct kg_route_spec spec = {
        .hosts = &host,
        .host_count = 1,
        .paths = &path,
        .path_count = 1,
        .methods = &method,
        .method_count = 1,
        .snis = &sni,
        .sni_count = 1,
        .headers = &header,
        .header_count = 1,
    };
    static const struct kg_head head = { 0 };
    struct kg_route_query query = { .method = KG_SLICE("POST"),
                                    .host = KG_SLICE("b.com"),
                                    .path = KG_SLICE("/b"),
                                    .head = &head,
                                    .tls = true };
    uint64_t rank;

    assert_int_equal(kg_route_misses(&spec, &query, &rank),
                     KG_MISS_HOST | KG_MISS_PATH | KG_MISS_METHOD | KG_MISS_HEADER | KG_MISS_SNI);
    query.method = KG_SLICE("GET");
    query.path = KG_SLICE("/a/b");
    assert_int_equal(kg_route_misses(&spec, &query, &rank), KG_MISS_HOST | KG_MISS_HEADER | KG_MISS_SNI);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_explanation_agrees_with_the_router),
        cmocka_unit_test(the_rule_that_decides_is_named),
        cmocka_unit_test(all_that_does_not_fit_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
