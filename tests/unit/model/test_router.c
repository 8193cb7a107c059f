/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/mem.h"
#include "model/router.h"

#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define LIST_MAX   4
#define ROUTES_MAX 40

/* A route as a test writes it: lists end with the first NULL. */
struct route {
    const char *hosts[LIST_MAX], *paths[LIST_MAX], *methods[LIST_MAX];
    const char *headers[LIST_MAX]; /* "name: value, value", or "name: ~*regex" */
    int regex_priority;            /* of the paths that begin with '~' */
};

struct table {
    struct kg_route routes[ROUTES_MAX];
    struct kg_slice slices[ROUTES_MAX][3][LIST_MAX];
    struct kg_route_header headers[ROUTES_MAX][LIST_MAX];
    struct kg_slice values[ROUTES_MAX][LIST_MAX][LIST_MAX];
    struct kg_regex *regexes[ROUTES_MAX * LIST_MAX * 2];
    const struct kg_regex *paths[ROUTES_MAX][LIST_MAX];
    size_t regex_count;
    struct kg_regex_scratch *scratch;
    struct kg_route_spec specs[ROUTES_MAX];
    size_t count;
    struct kg_router *router;
};

static size_t slices_of(const char *const texts[LIST_MAX], struct kg_slice out[LIST_MAX])
{
    size_t count = 0;

    while (count < LIST_MAX && texts[count]) {
        out[count] = kg_slice_str(texts[count]);
        count++;
    }
    return count;
}

static const struct kg_regex *compile(struct table *table, enum kg_regex_kind kind, struct kg_slice pattern)
{
    struct kg_error err;
    struct kg_regex *regex = kg_regex_new(kind, pattern, &err);

    assert_non_null(regex);
    table->regexes[table->regex_count++] = regex;
    return regex;
}

static struct kg_slice after(struct kg_slice s, size_t len)
{
    return kg_slice_of(s.ptr + len, s.len - len);
}

static size_t headers_of(struct table *table, const char *const texts[LIST_MAX],
                         struct kg_route_header out[LIST_MAX], struct kg_slice values[LIST_MAX][LIST_MAX])
{
    size_t count = 0;

    for (; count < LIST_MAX && texts[count]; count++) {
        struct kg_slice text = kg_slice_str(texts[count]), element;
        struct kg_route_header *header = &out[count];

        header->name = kg_slice_of(text.ptr, kg_slice_find(text, ':'));
        header->values = values[count];
        text = after(text, header->name.len + 2);
        if (kg_slice_starts_with(text, KG_SLICE("~*"))) {
            header->regex = compile(table, KG_REGEX_HEADER, after(text, 2));
            continue;
        }
        while (kg_slice_next_element(&text, &element))
            values[count][header->value_count++] = element;
    }
    return count;
}

/* Takes the regexes out of the paths. */
static void split_paths(struct table *table, struct kg_slice paths[LIST_MAX],
                        const struct kg_regex *regexes[LIST_MAX], struct kg_route_spec *spec)
{
    size_t plain = 0;

    for (size_t i = 0; i < spec->path_count; i++) {
        if (paths[i].ptr[0] == '~')
            regexes[spec->regex_count++] = compile(table, KG_REGEX_PATH, after(paths[i], 1));
        else
            paths[plain++] = paths[i];
    }
    spec->path_count = plain;
    spec->regexes = regexes;
}

static struct table *table_of(const struct route *routes, size_t count)
{
    struct table *table = kg_calloc(1, sizeof(*table));

    assert_true(count <= ROUTES_MAX);
    table->count = count;
    for (size_t i = 0; i < count; i++) {
        struct kg_slice(*lists)[LIST_MAX] = table->slices[i];
        table->specs[i] = (struct kg_route_spec){
            .route = &table->routes[i],
            .hosts = lists[0],
            .paths = lists[1],
            .methods = lists[2],
            .host_count = slices_of(routes[i].hosts, lists[0]),
            .path_count = slices_of(routes[i].paths, lists[1]),
            .method_count = slices_of(routes[i].methods, lists[2]),
            .headers = table->headers[i],
            .header_count = headers_of(table, routes[i].headers, table->headers[i], table->values[i]),
        };
        table->specs[i].regex_priority = routes[i].regex_priority;
        split_paths(table, lists[1], table->paths[i], &table->specs[i]);
    }
    table->scratch = kg_regex_scratch_new();
    table->router = kg_router_new(table->specs, count);
    return table;
}

static void table_free(struct table *table)
{
    kg_router_free(table->router);
    for (size_t i = 0; i < table->regex_count; i++)
        kg_regex_free(table->regexes[i]);
    kg_regex_scratch_free(table->scratch);
    free(table);
}

static struct kg_route_query query_of(const char *method, const char *host, uint16_t port, const char *path)
{
    return (struct kg_route_query){ .method = kg_slice_str(method),
                                    .host = kg_slice_str(host),
                                    .path = kg_slice_str(path),
                                    .host_port = port };
}

/* The index of the winner, or -1. */
static int winner(const struct table *table, const char *method, const char *host, uint16_t port,
                  const char *path)
{
    struct kg_route_query query = query_of(method, host, port, path);
    struct kg_match match;

    query.regex = table->scratch;
    return kg_router_match(table->router, &query, &match) ? (int)(match.route - table->routes) : -1;
}

/* A head with these headers, "name: value"; ended by NULL. */
static struct kg_head head_of(const char *const *lines)
{
    struct kg_head head = { .count = 0 };

    for (; *lines; lines++) {
        struct kg_slice line = kg_slice_str(*lines);
        size_t colon = kg_slice_find(line, ':');
        head.headers[head.count++] =
            (struct kg_header){ .name = kg_slice_of(line.ptr, colon), .value = after(line, colon + 2) };
    }
    return head;
}

/* The winner for GET / with these headers. */
static int winner_with(const struct table *table, const char *path, const char *const *lines)
{
    struct kg_head head = head_of(lines);
    struct kg_route_query query = query_of("GET", "h", 0, path);
    struct kg_match match;

    query.head = &head;
    query.regex = table->scratch;
    return kg_router_match(table->router, &query, &match) ? (int)(match.route - table->routes) : -1;
}

#define WITH(table, path, ...)                                                                               \
    winner_with(table, path, (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

#define TABLE(...)                                                                                           \
    table_of((const struct route[]){ __VA_ARGS__ },                                                          \
             sizeof((const struct route[]){ __VA_ARGS__ }) / sizeof(struct route))

static void a_path_is_a_plain_prefix_not_a_segment(void **state)
{
    struct table *t = TABLE({ .paths = { "/foo" } });

    assert_int_equal(winner(t, "GET", "h", 0, "/foo"), 0);
    assert_int_equal(winner(t, "GET", "h", 0, "/foobar"), 0);
    assert_int_equal(winner(t, "GET", "h", 0, "/foo/bar"), 0);
    assert_int_equal(winner(t, "GET", "h", 0, "/fo"), -1);
    assert_int_equal(winner(t, "GET", "h", 0, "/Foo"), -1);
    table_free(t);
}

static void the_longest_path_wins_whatever_the_order(void **state)
{
    struct table *t = TABLE({ .paths = { "/a" } }, { .paths = { "/a/b/c" } }, { .paths = { "/a/b" } },
                            { .paths = { "/" } });

    assert_int_equal(winner(t, "GET", "", 0, "/a/b/c/d"), 1);
    assert_int_equal(winner(t, "GET", "", 0, "/a/b/x"), 2);
    assert_int_equal(winner(t, "GET", "", 0, "/a/x"), 0);
    assert_int_equal(winner(t, "GET", "", 0, "/x"), 3);
    table_free(t);
}

static void the_match_says_how_much_of_the_path_it_took(void **state)
{
    struct table *t = TABLE({ .paths = { "/foo", "/foo/bar" } }, { .hosts = { "only.host" } });
    struct kg_route_query query = query_of("GET", "x", 0, "/foo/barbaz");
    struct kg_match match;

    assert_true(kg_router_match(t->router, &query, &match));
    assert_int_equal(match.prefix_len, 8);
    query.path = KG_SLICE("/foo/ba");
    assert_true(kg_router_match(t->router, &query, &match));
    assert_int_equal(match.prefix_len, 4);
    query.host = KG_SLICE("only.host");
    query.path = KG_SLICE("/x");
    assert_true(kg_router_match(t->router, &query, &match));
    assert_int_equal(match.prefix_len, 0);
    table_free(t);
}

static void more_kinds_of_attributes_beat_a_longer_path(void **state)
{
    struct table *t = TABLE({ .paths = { "/a/b/c/d" } }, { .hosts = { "h" }, .paths = { "/a" } },
                            { .methods = { "PUT" }, .paths = { "/" } });

    assert_int_equal(winner(t, "GET", "h", 0, "/a/b/c/d"), 1);
    assert_int_equal(winner(t, "GET", "other", 0, "/a/b/c/d"), 0);
    assert_int_equal(winner(t, "PUT", "other", 0, "/a/b/c/d"), 2);
    assert_int_equal(winner(t, "PUT", "h", 0, "/a/b"), 1);
    table_free(t);
}

static void whole_host_names_beat_wildcards_even_with_a_shorter_path(void **state)
{
    struct table *t =
        TABLE({ .hosts = { "*.a.com" }, .paths = { "/x/y" } }, { .hosts = { "b.a.com" }, .paths = { "/x" } },
              { .hosts = { "b.a.com", "b.*" }, .paths = { "/x/y/z" } });

    assert_int_equal(winner(t, "GET", "b.a.com", 0, "/x/y/z"), 1);
    assert_int_equal(winner(t, "GET", "c.a.com", 0, "/x/y/z"), 0);
    assert_int_equal(winner(t, "GET", "b.net", 0, "/x/y/z"), 2);
    table_free(t);
}

static void a_whole_host_beats_more_methods_only_within_the_same_number_of_kinds(void **state)
{
    struct table *t = TABLE({ .hosts = { "h" } }, { .paths = { "/long/path" } },
                            { .methods = { "GET" }, .paths = { "/" } });

    assert_int_equal(winner(t, "POST", "h", 0, "/long/path"), 0);
    assert_int_equal(winner(t, "GET", "h", 0, "/long/path"), 2);
    table_free(t);
}

static void hosts_ignore_case(void **state)
{
    struct table *t = TABLE({ .hosts = { "Api.Example.COM" } }, { .hosts = { "*.Wild.com" } });

    assert_int_equal(winner(t, "GET", "aPI.eXAMPLE.com", 0, "/"), 0);
    assert_int_equal(winner(t, "GET", "X.WILD.COM", 0, "/"), 1);
    table_free(t);
}

static void a_leading_wildcard_takes_one_or_more_labels(void **state)
{
    struct table *t = TABLE({ .hosts = { "*.a.com" } });

    assert_int_equal(winner(t, "GET", "x.a.com", 0, "/"), 0);
    assert_int_equal(winner(t, "GET", "x.y.a.com", 0, "/"), 0);
    assert_int_equal(winner(t, "GET", "a.com", 0, "/"), -1);
    assert_int_equal(winner(t, "GET", ".a.com", 0, "/"), -1);
    assert_int_equal(winner(t, "GET", "xa.com", 0, "/"), -1);
    assert_int_equal(winner(t, "GET", "x.a.com.net", 0, "/"), -1);
    table_free(t);
}

static void a_trailing_wildcard_takes_one_or_more_labels(void **state)
{
    struct table *t = TABLE({ .hosts = { "a.*" } });

    assert_int_equal(winner(t, "GET", "a.com", 0, "/"), 0);
    assert_int_equal(winner(t, "GET", "a.co.uk", 0, "/"), 0);
    assert_int_equal(winner(t, "GET", "a", 0, "/"), -1);
    assert_int_equal(winner(t, "GET", "a.", 0, "/"), -1);
    assert_int_equal(winner(t, "GET", "b.a.com", 0, "/"), -1);
    table_free(t);
}

static void a_host_with_a_port_needs_that_port_and_one_without_takes_any(void **state)
{
    struct table *t =
        TABLE({ .hosts = { "a.com:8443" } }, { .hosts = { "a.com" } }, { .hosts = { "*.b.com:81" } },
              { .hosts = { "[::1]:82" } }, { .hosts = { "[::2]" } });

    assert_int_equal(winner(t, "GET", "a.com", 8443, "/"), 0);
    assert_int_equal(winner(t, "GET", "a.com", 80, "/"), 1);
    assert_int_equal(winner(t, "GET", "a.com", 0, "/"), 1);
    assert_int_equal(winner(t, "GET", "x.b.com", 81, "/"), 2);
    assert_int_equal(winner(t, "GET", "x.b.com", 82, "/"), -1);
    assert_int_equal(winner(t, "GET", "[::1]", 82, "/"), 3);
    assert_int_equal(winner(t, "GET", "[::1]", 83, "/"), -1);
    assert_int_equal(winner(t, "GET", "[::2]", 83, "/"), 4);
    table_free(t);
}

static void methods_are_exact(void **state)
{
    struct table *t = TABLE({ .methods = { "GET", "PURGE" }, .paths = { "/" } });

    assert_int_equal(winner(t, "GET", "", 0, "/"), 0);
    assert_int_equal(winner(t, "PURGE", "", 0, "/"), 0);
    assert_int_equal(winner(t, "get", "", 0, "/"), -1);
    assert_int_equal(winner(t, "GETX", "", 0, "/"), -1);
    assert_int_equal(winner(t, "HEAD", "", 0, "/"), -1);
    table_free(t);
}

static void a_longer_path_for_another_method_does_not_hide_a_shorter_one(void **state)
{
    struct table *t =
        TABLE({ .methods = { "GET" }, .paths = { "/a" } }, { .methods = { "PUT" }, .paths = { "/a/b" } },
              { .methods = { "GET" }, .paths = { "/a/b/c" } });

    assert_int_equal(winner(t, "GET", "", 0, "/a/b"), 0);
    assert_int_equal(winner(t, "PUT", "", 0, "/a/b/c"), 1);
    assert_int_equal(winner(t, "GET", "", 0, "/a/b/cd"), 2);
    table_free(t);
}

static void values_of_one_field_are_alternatives_and_fields_are_all_needed(void **state)
{
    struct table *t = TABLE({ .hosts = { "a", "b" }, .paths = { "/x", "/y" }, .methods = { "GET", "PUT" } });

    assert_int_equal(winner(t, "PUT", "b", 0, "/y"), 0);
    assert_int_equal(winner(t, "GET", "a", 0, "/y"), 0);
    assert_int_equal(winner(t, "GET", "c", 0, "/y"), -1);
    assert_int_equal(winner(t, "GET", "a", 0, "/z"), -1);
    assert_int_equal(winner(t, "POST", "a", 0, "/x"), -1);
    table_free(t);
}

static void ties_go_to_the_oldest_route(void **state)
{
    struct table *t =
        TABLE({ .hosts = { "other" } }, { .paths = { "/a" } }, { .paths = { "/a" } },
              { .methods = { "GET" } }, { .methods = { "GET" } }, { .hosts = { "h" }, .paths = { "/b" } },
              { .methods = { "GET" }, .paths = { "/b" } });

    assert_int_equal(winner(t, "PUT", "", 0, "/a"), 1);
    assert_int_equal(winner(t, "GET", "", 0, "/x"), 3);
    /* Not a tie: whole host names come before the path. */
    assert_int_equal(winner(t, "GET", "h", 0, "/b"), 5);
    table_free(t);
}

static void a_route_with_several_paths_has_the_priority_of_the_one_that_matches(void **state)
{
    struct table *t = TABLE({ .paths = { "/foo", "/something/much/longer" } }, { .paths = { "/foo/bar" } });

    assert_int_equal(winner(t, "GET", "", 0, "/foo/bar"), 1);
    assert_int_equal(winner(t, "GET", "", 0, "/foo/x"), 0);
    assert_int_equal(winner(t, "GET", "", 0, "/something/much/longer"), 0);
    table_free(t);
}

static void all_headers_are_needed_and_any_of_their_values(void **state)
{
    struct table *t = TABLE({ .headers = { "x-a: 1, 2", "x-b: 3" } });

    assert_int_equal(WITH(t, "/", "x-a: 1", "x-b: 3"), 0);
    assert_int_equal(WITH(t, "/", "x-b: 3", "x-a: 2"), 0);
    assert_int_equal(WITH(t, "/", "x-a: 3", "x-b: 3"), -1);
    assert_int_equal(WITH(t, "/", "x-a: 1"), -1);
    assert_int_equal(WITH(t, "/", "x-b: 3"), -1);
    assert_int_equal(WITH(t, "/", "x-a: 1, 2", "x-b: 3"), -1);
    assert_int_equal(WITH(t, "/", "x-a: 9", "x-a: 2", "x-b: 3"), 0);
    assert_int_equal(WITH(t, "/"), -1);
    table_free(t);
}

static void header_names_and_values_ignore_case(void **state)
{
    struct table *t = TABLE({ .headers = { "X-Team: Blue" } }, { .headers = { "X-Team: ~*^re[Dd]+$" } });

    assert_int_equal(WITH(t, "/", "x-TEAM: bLUE"), 0);
    assert_int_equal(WITH(t, "/", "x-TEAM: REDD"), 1);
    assert_int_equal(WITH(t, "/", "x-team: blues"), -1);
    table_free(t);
}

static void a_regex_is_found_anywhere_in_a_header_and_only_when_alone(void **state)
{
    struct table *t = TABLE({ .headers = { "a: ~*v[0-9]" } });

    assert_int_equal(WITH(t, "/", "a: api-v2-x"), 0);
    assert_int_equal(WITH(t, "/", "a: vx"), -1);
    assert_int_equal(WITH(t, "/", "b: v2"), -1);
    table_free(t);
}

static void headers_are_a_kind_and_beat_a_longer_path(void **state)
{
    struct table *t = TABLE({ .paths = { "/a/b/c" } }, { .headers = { "x: 1" }, .paths = { "/a" } },
                            { .headers = { "x: 1", "y: 1" } });

    assert_int_equal(WITH(t, "/a/b/c", "x: 1"), 1);
    assert_int_equal(WITH(t, "/a/b/c", "x: 1", "y: 1"), 1);
    assert_int_equal(WITH(t, "/a/b/c", "x: 2"), 0);
    assert_int_equal(WITH(t, "/b", "x: 1", "y: 1"), 2);
    table_free(t);
}

static void more_header_names_win_after_whole_hosts_and_before_the_path(void **state)
{
    struct table *t = TABLE({ .headers = { "x: 1" }, .paths = { "/long/path" } },
                            { .headers = { "x: 1", "y: 1" }, .paths = { "/l" } },
                            { .hosts = { "h" }, .headers = { "x: 1" } },
                            { .hosts = { "*.net", "h" }, .headers = { "x: 1", "y: 1" } });

    assert_int_equal(WITH(t, "/long/path", "x: 1", "y: 1"), 2);
    struct table *no_whole = TABLE({ .headers = { "x: 1" }, .paths = { "/long/path" } },
                                   { .headers = { "x: 1", "y: 1" }, .paths = { "/l" } });
    assert_int_equal(WITH(no_whole, "/long/path", "x: 1", "y: 1"), 1);
    assert_int_equal(WITH(no_whole, "/long/path", "x: 1"), 0);
    table_free(no_whole);
    table_free(t);
}

static void a_regex_path_is_anchored_and_takes_what_it_matched(void **state)
{
    struct table *t = TABLE({ .paths = { "~/v[0-9]+" } }, { .paths = { "~/x/.*$", "~/y" } });
    struct kg_route_query query = query_of("GET", "h", 0, "/v12/a");
    struct kg_match match;

    query.regex = t->scratch;
    assert_true(kg_router_match(t->router, &query, &match));
    assert_int_equal(match.prefix_len, 4);
    assert_int_equal(winner(t, "GET", "h", 0, "/x/v1"), 1);
    assert_int_equal(winner(t, "GET", "h", 0, "/yy"), 1);
    assert_int_equal(winner(t, "GET", "h", 0, "/a/v1"), -1);
    assert_int_equal(winner(t, "GET", "h", 0, "/V1"), -1);
    table_free(t);
}

static void a_regex_beats_a_longer_path_but_not_more_kinds(void **state)
{
    struct table *t = TABLE(
        { .paths = { "/v1/long/path" } }, { .paths = { "~/v" } }, { .methods = { "PUT" }, .paths = { "/v" } },
        { .hosts = { "*.a" }, .paths = { "~/w" } }, { .hosts = { "b.a" }, .paths = { "/w" } });

    assert_int_equal(winner(t, "GET", "h", 0, "/v1/long/path"), 1);
    assert_int_equal(winner(t, "PUT", "h", 0, "/v1/long/path"), 2);
    assert_int_equal(winner(t, "GET", "b.a", 0, "/w"), 4);
    assert_int_equal(winner(t, "GET", "c.a", 0, "/w"), 3);
    table_free(t);
}

static void more_header_names_beat_a_regex(void **state)
{
    struct table *t = TABLE({ .headers = { "x: 1" }, .paths = { "~/v" }, .regex_priority = 9 },
                            { .headers = { "x: 1", "y: 1" }, .paths = { "/" } });

    assert_int_equal(WITH(t, "/v", "x: 1", "y: 1"), 1);
    assert_int_equal(WITH(t, "/v", "x: 1"), 0);
    table_free(t);
}

static void regex_priority_decides_between_regexes_alone_then_age(void **state)
{
    struct table *t =
        TABLE({ .paths = { "~/a", "/b/c" }, .regex_priority = -1 }, { .paths = { "~/a" } },
              { .paths = { "~/.b" }, .regex_priority = 2 }, { .paths = { "~/aaaa" }, .regex_priority = 0 },
              { .paths = { "/b" }, .regex_priority = 9 });

    assert_int_equal(winner(t, "GET", "h", 0, "/ab"), 2);
    assert_int_equal(winner(t, "GET", "h", 0, "/aaaa"), 1);
    assert_int_equal(winner(t, "GET", "h", 0, "/b/c"), 0);
    table_free(t);
}

static void a_route_of_paths_and_regexes_is_split(void **state)
{
    struct table *t =
        TABLE({ .paths = { "/foo", "~/x" } }, { .paths = { "/foo/bar" } }, { .paths = { "/x/long" } });

    assert_int_equal(winner(t, "GET", "h", 0, "/foo/bar"), 1);
    assert_int_equal(winner(t, "GET", "h", 0, "/foo"), 0);
    assert_int_equal(winner(t, "GET", "h", 0, "/x/long"), 0);
    table_free(t);
}

static void a_regex_that_does_not_compile_matches_nothing(void **state)
{
    struct kg_route route;
    const struct kg_regex *none = NULL;
    struct kg_route_spec spec = { .route = &route, .regexes = &none, .regex_count = 1 };
    struct kg_router *router = kg_router_new(&spec, 1);
    struct kg_route_query query = query_of("GET", "h", 0, "/");
    struct kg_match match;

    assert_false(kg_router_match(router, &query, &match));
    kg_router_free(router);
}

static void no_routes_match_nothing(void **state)
{
    struct kg_router *router = kg_router_new(NULL, 0);
    struct kg_route_query query = query_of("GET", "a", 0, "/");
    struct kg_match match;

    assert_false(kg_router_match(router, &query, &match));
    kg_router_free(router);
}

static void an_overlong_host_still_reaches_routes_without_hosts(void **state)
{
    static char host[70000];
    struct table *t = TABLE({ .hosts = { "*.a" }, .paths = { "/x" } }, { .paths = { "/" } });

    for (size_t i = 0; i < sizeof(host) - 1; i++)
        host[i] = i % 2 ? '.' : 'a';
    assert_int_equal(winner(t, "GET", host, 0, "/x"), 1);
    table_free(t);
}

/* ---- the same rules, written down once more as one loop over all routes ---- */

static bool ends_with(const char *s, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);

    return len > n && strncasecmp(s + len - n, suffix, n) == 0;
}

static bool host_matches(const char *spec, const char *host, uint16_t port)
{
    char name[64];
    unsigned spec_port = 0;

    assert_true(sscanf(spec, "%63[^:]:%u", name, &spec_port) >= 1);
    if (spec_port != 0 && spec_port != port)
        return false;
    if (name[0] == '*')
        return ends_with(host, strlen(host), name + 1);
    if (name[strlen(name) - 1] != '*')
        return strcasecmp(name, host) == 0;
    return strlen(host) > strlen(name) - 1 && strncasecmp(host, name, strlen(name) - 1) == 0;
}

static bool header_matches(const char *spec, const struct kg_head *head)
{
    struct kg_slice text = kg_slice_str(spec), name = kg_slice_of(spec, kg_slice_find(text, ':'));

    text = after(text, name.len + 2);
    for (size_t i = 0; i < head->count; i++) {
        struct kg_slice rest = text, element, value = head->headers[i].value;
        if (!kg_slice_eq_nocase(head->headers[i].name, name))
            continue;
        /* The only regex that the random routes have: ends in b. */
        if (kg_slice_eq(text, KG_SLICE("~*b$")) && kg_lower(value.ptr[value.len - 1]) == 'b')
            return true;
        while (kg_slice_next_element(&rest, &element)) {
            if (kg_slice_eq_nocase(element, value))
                return true;
        }
    }
    return false;
}

struct naive {
    long kinds, whole_names, headers, regex, path_len;
    long matched;
};

/* POSIX's own; for patterns in which the longest match is also the first one. The first regex of a route that
 * matches takes the place of whatever plain path matches. */
static bool regex_matches(const struct route *route, const char *pattern, const char *path, struct naive *out)
{
    regex_t regex;
    regmatch_t match;

    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED), 0);
    bool matches = regexec(&regex, path, 1, &match, 0) == 0 && match.rm_so == 0;
    regfree(&regex);
    if (!matches)
        return false;
    out->regex = 1;
    out->path_len = route->regex_priority;
    out->matched = (long)match.rm_eo;
    return true;
}

static bool judge(const struct route *route, const char *method, const char *host, uint16_t port,
                  const char *path, const struct kg_head *head, struct naive *out)
{
    bool host_ok = !route->hosts[0], method_ok = !route->methods[0], path_ok = !route->paths[0];

    *out = (struct naive){ (route->hosts[0] != NULL) + (route->methods[0] != NULL) +
                               (route->headers[0] != NULL) + (route->paths[0] != NULL),
                           route->hosts[0] != NULL,
                           0,
                           0,
                           0,
                           0 };
    for (size_t i = 0; i < LIST_MAX && route->hosts[i]; i++) {
        host_ok |= host_matches(route->hosts[i], host, port);
        if (strchr(route->hosts[i], '*'))
            out->whole_names = 0;
    }
    for (size_t i = 0; i < LIST_MAX && route->methods[i]; i++)
        method_ok |= strcmp(route->methods[i], method) == 0;
    for (size_t i = 0; i < LIST_MAX && route->paths[i]; i++) {
        long len = (long)strlen(route->paths[i]);
        if (route->paths[i][0] == '~') {
            path_ok |= !out->regex && regex_matches(route, route->paths[i] + 1, path, out);
            continue;
        }
        if (strncmp(path, route->paths[i], (size_t)len) != 0)
            continue;
        path_ok = true;
        if (!out->regex && len > out->path_len)
            out->path_len = out->matched = len;
    }
    for (size_t i = 0; i < LIST_MAX && route->headers[i]; i++) {
        out->headers++;
        if (!header_matches(route->headers[i], head))
            return false;
    }
    return host_ok && method_ok && path_ok;
}

static int naive_winner(const struct route *routes, size_t count, const char *method, const char *host,
                        uint16_t port, const char *path, const struct kg_head *head, long *prefix_len)
{
    struct naive best = { -1, 0, 0, 0, 0, 0 };
    int found = -1;

    for (size_t i = 0; i < count; i++) {
        struct naive now;
        if (!judge(&routes[i], method, host, port, path, head, &now))
            continue;
        bool wins = now.kinds != best.kinds               ? now.kinds > best.kinds
                    : now.whole_names != best.whole_names ? now.whole_names > best.whole_names
                    : now.headers != best.headers         ? now.headers > best.headers
                    : now.regex != best.regex             ? now.regex > best.regex
                                                          : now.path_len > best.path_len;
        if (!wins)
            continue;
        best = now;
        found = (int)i;
    }
    *prefix_len = best.matched;
    return found;
}

static const char *const some_hosts[] = { "a.com",     "b.a.com",  "c.b.a.com", "a.net",     "*.a.com",
                                          "*.b.a.com", "*.com",    "a.*",       "b.a.*",     "b.*",
                                          "a.com:81",  "*.com:81", "a.*:82",    "B.A.com:82" };
static const char *const asked_hosts[] = { "a.com", "A.com", "b.a.com", "c.b.a.com", "d.c.b.a.com",
                                           "a.net", "a.b.c", "x",       "" };
static const char *const some_regexes[] = { "~/a+", "~/[ab]*b", "~/(a|b)/", "~/..$", "~/a", "~/.*/a?b" };
static const char *const some_methods[] = { "GET", "PUT", "POST", "PURGE" };
static const char *const asked_methods[] = { "GET", "PUT", "POST", "PURGE", "DELETE" };

/* No two of one place have the same name, so that a route takes any of each. */
static const char *const some_headers[2][5] = {
    { "x-a: a", "X-A: A, b", "x-a: bb, c", "x-a: ~*b$", "x-c: a" },
    { "x-b: a", "x-b: b, c", "X-b: ~*b$", "x-b: C", "x-b: d" },
};
static const char *const asked_headers[] = { "x-a: a", "x-a: B",  "X-A: c", "x-b: a", "X-B: B",
                                             "x-b: c", "x-b: ab", "x-c: a", "x-d: a", "x-a: bb" };

#define PICK(list) (list[(size_t)rand() % (sizeof(list) / sizeof((list)[0]))])

/* Paths over a tiny alphabet, so that they share prefixes in every way; one buffer each, kept for the round.
 */
static const char *random_path(char buffer[12], int max)
{
    int len = rand() % max;

    buffer[0] = '/';
    for (int i = 1; i <= len; i++)
        buffer[i] = "ab/"[rand() % 3];
    buffer[len + 1] = '\0';
    return buffer;
}

static void random_route(struct route *route, char paths[LIST_MAX][12])
{
    *route = (struct route){ 0 };
    int hosts = rand() % 3, methods = rand() % 3, path_count = rand() % LIST_MAX;

    for (int i = 0, place = 0; i < 2; i++) {
        if (rand() % 3 == 0)
            route->headers[place++] = PICK(some_headers[i]);
    }
    if (hosts + methods + path_count == 0)
        path_count = 1;
    for (int i = 0; i < hosts; i++)
        route->hosts[i] = PICK(some_hosts);
    for (int i = 0; i < methods; i++)
        route->methods[i] = PICK(some_methods);
    for (int i = 0; i < path_count; i++)
        route->paths[i] = rand() % 4 ? random_path(paths[i], 6) : PICK(some_regexes);
    route->regex_priority = rand() % 4 ? 0 : rand() % 5 - 2;
}

static void compare_once(const struct table *t, const struct route *routes)
{
    char path[12];
    static const uint16_t ports[] = { 0, 81, 82, 83 };
    const char *method = PICK(asked_methods), *host = PICK(asked_hosts);
    uint16_t port = PICK(ports);
    struct kg_route_query query = query_of(method, host, port, random_path(path, 9));
    struct kg_match match = { 0 };
    const char *lines[5] = { NULL };
    long prefix_len = 0;

    for (int i = 0, count = rand() % 5; i < count; i++)
        lines[i] = PICK(asked_headers);
    struct kg_head head = head_of(lines);
    query.head = &head;
    query.regex = t->scratch;

    int expected = naive_winner(routes, t->count, method, host, port, path, &head, &prefix_len);
    int got = kg_router_match(t->router, &query, &match) ? (int)(match.route - t->routes) : -1;
    if (got != expected)
        fail_msg("%s %s:%u%s: route %d instead of %d", method, host, port, path, got, expected);
    if (got >= 0)
        assert_int_equal(match.prefix_len, prefix_len);
}

static void agrees_with_a_loop_over_all_routes(void **state)
{
    static struct route routes[ROUTES_MAX];
    static char paths[ROUTES_MAX][LIST_MAX][12];

    srand(4);
    for (int round = 0; round < 400; round++) {
        size_t count = 1 + (size_t)rand() % ROUTES_MAX;
        for (size_t i = 0; i < count; i++)
            random_route(&routes[i], paths[i]);
        struct table *t = table_of(routes, count);
        for (int i = 0; i < 250; i++)
            compare_once(t, routes);
        table_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_a_plain_prefix_not_a_segment),
        cmocka_unit_test(the_longest_path_wins_whatever_the_order),
        cmocka_unit_test(the_match_says_how_much_of_the_path_it_took),
        cmocka_unit_test(more_kinds_of_attributes_beat_a_longer_path),
        cmocka_unit_test(whole_host_names_beat_wildcards_even_with_a_shorter_path),
        cmocka_unit_test(a_whole_host_beats_more_methods_only_within_the_same_number_of_kinds),
        cmocka_unit_test(hosts_ignore_case),
        cmocka_unit_test(a_leading_wildcard_takes_one_or_more_labels),
        cmocka_unit_test(a_trailing_wildcard_takes_one_or_more_labels),
        cmocka_unit_test(a_host_with_a_port_needs_that_port_and_one_without_takes_any),
        cmocka_unit_test(methods_are_exact),
        cmocka_unit_test(a_longer_path_for_another_method_does_not_hide_a_shorter_one),
        cmocka_unit_test(values_of_one_field_are_alternatives_and_fields_are_all_needed),
        cmocka_unit_test(ties_go_to_the_oldest_route),
        cmocka_unit_test(a_route_with_several_paths_has_the_priority_of_the_one_that_matches),
        cmocka_unit_test(all_headers_are_needed_and_any_of_their_values),
        cmocka_unit_test(header_names_and_values_ignore_case),
        cmocka_unit_test(a_regex_is_found_anywhere_in_a_header_and_only_when_alone),
        cmocka_unit_test(headers_are_a_kind_and_beat_a_longer_path),
        cmocka_unit_test(more_header_names_win_after_whole_hosts_and_before_the_path),
        cmocka_unit_test(a_regex_path_is_anchored_and_takes_what_it_matched),
        cmocka_unit_test(a_regex_beats_a_longer_path_but_not_more_kinds),
        cmocka_unit_test(more_header_names_beat_a_regex),
        cmocka_unit_test(regex_priority_decides_between_regexes_alone_then_age),
        cmocka_unit_test(a_route_of_paths_and_regexes_is_split),
        cmocka_unit_test(a_regex_that_does_not_compile_matches_nothing),
        cmocka_unit_test(no_routes_match_nothing),
        cmocka_unit_test(an_overlong_host_still_reaches_routes_without_hosts),
        cmocka_unit_test(agrees_with_a_loop_over_all_routes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
