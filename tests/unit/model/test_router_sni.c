/* SPDX-License-Identifier: BSD-2-Clause */
/* Routes by the server name of the TLS handshake. */
#include "base/clock.h"
#include "base/mem.h"
#include "model/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define LIST_MAX   3
#define ROUTES_MAX 8
#define MANY       20000

/* A route as a test writes it: lists end with the first NULL. */
struct route {
    const char *snis[LIST_MAX], *hosts[LIST_MAX], *paths[LIST_MAX], *methods[LIST_MAX];
};

static struct kg_route routes[ROUTES_MAX];
static struct kg_router *router;

static size_t slices_of(const char *const texts[LIST_MAX], struct kg_slice out[LIST_MAX])
{
    size_t count = 0;

    for (; count < LIST_MAX && texts[count]; count++)
        out[count] = kg_slice_str(texts[count]);
    return count;
}

static void build(const struct route *from, size_t count)
{
    struct kg_slice slices[ROUTES_MAX][4][LIST_MAX];
    struct kg_route_spec specs[ROUTES_MAX];

    assert_true(count <= ROUTES_MAX);
    for (size_t i = 0; i < count; i++)
        specs[i] = (struct kg_route_spec){
            .route = &routes[i],
            .snis = slices[i][0],
            .hosts = slices[i][1],
            .paths = slices[i][2],
            .methods = slices[i][3],
            .sni_count = slices_of(from[i].snis, slices[i][0]),
            .host_count = slices_of(from[i].hosts, slices[i][1]),
            .path_count = slices_of(from[i].paths, slices[i][2]),
            .method_count = slices_of(from[i].methods, slices[i][3]),
        };
    router = kg_router_new(specs, count);
}

static int tear_down(void **state)
{
    kg_router_free(router);
    router = NULL;
    return 0;
}

/* sni NULL: plain HTTP. -1: no route. */
static int ask(const char *sni, const char *host, const char *path)
{
    struct kg_route_query query = { .method = KG_SLICE("GET"),
                                    .host = kg_slice_str(host),
                                    .path = kg_slice_str(path),
                                    .sni = kg_slice_str(sni),
                                    .tls = sni != NULL };
    struct kg_match match;

    return kg_router_match(router, &query, &match) ? (int)(match.route - routes) : -1;
}

#define BUILD(...)                                                                                           \
    do {                                                                                                     \
        static const struct route list[] = { __VA_ARGS__ };                                                  \
        build(list, sizeof(list) / sizeof(list[0]));                                                         \
    } while (0)

static void a_route_with_snis_takes_tls_with_one_of_them(void **state)
{
    BUILD({ .snis = { "a.com", "b.com" } });
    assert_int_equal(ask("a.com", "x", "/"), 0);
    assert_int_equal(ask("b.com", "x", "/"), 0);
    assert_int_equal(ask("c.com", "x", "/"), -1);
    assert_int_equal(ask("w.a.com", "x", "/"), -1);
    assert_int_equal(ask("", "a.com", "/"), -1);
}

static void plain_http_is_not_asked_for_a_name(void **state)
{
    BUILD({ .snis = { "a.com", "b.com" }, .paths = { "/p" } });
    assert_int_equal(ask(NULL, "x", "/p"), 0);
    assert_int_equal(ask(NULL, "x", "/q"), -1);
}

/* A caller that knows the name but does not say tls. */
static void a_name_alone_says_tls(void **state)
{
    struct kg_route_query query = { .method = KG_SLICE("GET"), .path = KG_SLICE("/"), .sni = KG_SLICE("b") };
    struct kg_match match;

    BUILD({ .snis = { "a" } });
    assert_false(kg_router_match(router, &query, &match));
    query.sni = KG_SLICE("a");
    assert_true(kg_router_match(router, &query, &match));
}

static void snis_are_a_kind_of_attribute_and_beat_a_longer_path(void **state)
{
    BUILD({ .paths = { "/long/path" } }, { .snis = { "a.com" }, .paths = { "/" } },
          { .snis = { "a.com" }, .paths = { "/long" }, .methods = { "GET" } },
          { .hosts = { "h" }, .paths = { "/" } });
    assert_int_equal(ask("a.com", "x", "/long/path"), 2);
    assert_int_equal(ask("a.com", "x", "/other"), 1);
    assert_int_equal(ask("b.com", "x", "/long/path"), 0);
    assert_int_equal(ask("a.com", "h", "/other"), 3); /* as many kinds, and a whole host among them */
    assert_int_equal(ask(NULL, "x", "/long/path"), 2);
}

static void names_hosts_and_methods_are_all_needed(void **state)
{
    BUILD({ .snis = { "a.com" }, .hosts = { "*.b.com" }, .methods = { "GET" } },
          { .snis = { "c.com" }, .hosts = { "x.b.com" } }, { .hosts = { "x.b.com" } });
    assert_int_equal(ask("a.com", "x.b.com", "/"), 0);
    assert_int_equal(ask("c.com", "x.b.com", "/"), 1);
    assert_int_equal(ask("d.com", "x.b.com", "/"), 2);
    assert_int_equal(ask("a.com", "b.com", "/"), -1);
}

static uint64_t time_of(size_t rounds)
{
    uint64_t start = kg_clock_ms();

    for (size_t i = 0; i < rounds; i++)
        assert_int_equal(ask("name7", "h", "/"), 7);
    return kg_clock_ms() - start;
}

/* A loop over all of them would be thousands of times slower, so that a wide margin leaves no doubt. */
static void the_cost_does_not_grow_with_the_number_of_names(void **state)
{
    struct kg_route_spec *specs = kg_calloc(MANY, sizeof(*specs));
    struct kg_slice *names = kg_calloc(MANY, sizeof(*names));
    char(*texts)[16] = kg_calloc(MANY, sizeof(*texts));
    uint64_t few, many;

    for (size_t i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof(texts[i]), "name%zu", i);
        names[i] = kg_slice_str(texts[i]);
        specs[i] =
            (struct kg_route_spec){ .route = &routes[i < 8 ? i : 0], .snis = &names[i], .sni_count = 1 };
    }
    router = kg_router_new(specs, 8);
    few = time_of(200000);
    kg_router_free(router);
    router = kg_router_new(specs, MANY);
    many = time_of(200000);
    assert_true(many < 20 * (few + 10));
    free(texts);
    free(names);
    free(specs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_route_with_snis_takes_tls_with_one_of_them, tear_down),
        cmocka_unit_test_teardown(plain_http_is_not_asked_for_a_name, tear_down),
        cmocka_unit_test_teardown(a_name_alone_says_tls, tear_down),
        cmocka_unit_test_teardown(snis_are_a_kind_of_attribute_and_beat_a_longer_path, tear_down),
        cmocka_unit_test_teardown(names_hosts_and_methods_are_all_needed, tear_down),
        cmocka_unit_test_teardown(the_cost_does_not_grow_with_the_number_of_names, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
