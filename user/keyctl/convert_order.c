/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of several routes that match wins. APISIX goes by the host, then by the longest path, and only then
 * asks about methods and vars; keygate puts what sets more of hosts, methods, headers and paths first
 * (model/router.h). A route without methods below one with them therefore gets all methods there are: then
 * both set as much, and the path decides. Headers have no such way out, nor have wildcards of hosts in one
 * another; those are said.
 */
#include "keyctl/convert.h"

#include "base/mem.h"

#include <stdlib.h>

#define PATH_MOST 4096

/* Paths of the routes that have one kind of attribute, sorted. */
struct paths {
    struct kg_slice *list;
    size_t count;
};

static int compare(const void *left, const void *right)
{
    const struct kg_slice *a = left, *b = right;
    size_t shorter = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->ptr, b->ptr, shorter);

    return order ? order : (a->len > b->len) - (a->len < b->len);
}

static struct paths collect(const json_t *routes, const char *attribute)
{
    struct paths paths = { NULL, 0 };
    json_t *route, *path;
    size_t i, k, cap = 0;

    json_array_foreach(routes, i, route)
    {
        if (!json_object_get(route, attribute))
            continue;
        json_array_foreach(json_object_get(route, "paths"), k, path)
        {
            if (paths.count == cap) {
                cap = cap ? cap * 2 : 64;
                paths.list = kg_realloc(paths.list, cap, sizeof(*paths.list));
            }
            paths.list[paths.count++] = kg_slice_of(json_string_value(path), json_string_length(path));
        }
    }
    if (paths.count > 0)
        qsort(paths.list, paths.count, sizeof(*paths.list), compare);
    return paths;
}

/* The first that does not come before this path. */
static size_t lower_bound(const struct paths *paths, struct kg_slice path)
{
    size_t low = 0, high = paths->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(&paths->list[middle], &path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has(const struct paths *paths, struct kg_slice path)
{
    size_t at = lower_bound(paths, path);

    return at < paths->count && kg_slice_eq(paths->list[at], path);
}

/* What a path matches literally, up to its first mark if it is a regex. */
static struct kg_slice literal_of(const json_t *path, char out[PATH_MOST])
{
    const char *text = json_string_value(path);
    size_t len = 0;

    if (text[0] != '~')
        return kg_slice_of(text, json_string_length(path));
    for (text++; *text && !strchr("$.", *text) && len < PATH_MOST; text++) {
        text += *text == '\\';
        out[len++] = *text;
    }
    return kg_slice_of(out, len);
}

/* Whether one of them matches also what this path matches: it is the same, or a prefix of it. */
static bool below(const struct paths *paths, const json_t *path, bool same_too)
{
    struct kg_slice whole = kg_slice_of(json_string_value(path), json_string_length(path));
    char text[PATH_MOST];
    struct kg_slice literal = literal_of(path, text);
    bool plain = whole.ptr[0] != '~';

    if (same_too && has(paths, whole))
        return true;
    for (size_t len = 1; len < literal.len + (plain ? 0 : 1); len++) {
        if (has(paths, kg_slice_of(literal.ptr, len)))
            return true;
    }
    return false;
}

/* Whether one of them is longer than this prefix. */
static bool above(const struct paths *paths, const json_t *path)
{
    char text[PATH_MOST];
    struct kg_slice literal = literal_of(path, text);
    size_t at = lower_bound(paths, literal);

    return at < paths->count && kg_slice_starts_with(paths->list[at], literal);
}

static bool has_wildcard(const json_t *route)
{
    json_t *host;
    size_t i;

    json_array_foreach(json_object_get(route, "hosts"), i, host)
    {
        if (json_string_value(host)[0] == '*')
            return true;
    }
    return false;
}

static bool yields(const struct paths *paths, const json_t *route, bool same_too)
{
    bool wildcard = has_wildcard(route);
    json_t *path;
    size_t i;

    json_array_foreach(json_object_get(route, "paths"), i, path)
    {
        if (below(paths, path, same_too) || (wildcard && above(paths, path)))
            return true;
    }
    return false;
}

/* All that APISIX knows. */
static json_t *all_methods(void)
{
    return json_pack("[s,s,s,s,s,s,s,s,s,s]", "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS",
                     "CONNECT", "TRACE", "PURGE");
}

static void keep_by_methods(struct convert *c, const struct item *const *written)
{
    struct paths paths = collect(c->out[PART_ROUTES], "methods");
    json_t *route;
    size_t i;

    json_array_foreach(c->out[PART_ROUTES], i, route)
    {
        if (json_object_get(route, "methods") || !yields(&paths, route, true))
            continue;
        json_object_set_new(route, "methods", all_methods());
        note(c, written[i], NULL,
             "it gets all methods, lest a route with methods and a shorter path is tried first");
    }
    free(paths.list);
}

static void say_by_headers(struct convert *c, const struct item *const *written)
{
    struct paths paths = collect(c->out[PART_ROUTES], "headers");
    json_t *route;
    size_t i;

    json_array_foreach(c->out[PART_ROUTES], i, route)
    {
        if (!json_object_get(route, "headers") && yields(&paths, route, false))
            leave_out(c, written[i], NULL,
                      "a route with vars and a shorter path is tried before it; APISIX looks "
                      "at the path first");
    }
    free(paths.list);
}

/* ---- hosts ---- */

static json_t *collect_wildcards(const json_t *routes)
{
    json_t *all = json_object(), *route, *host;
    size_t i, k;

    json_array_foreach(routes, i, route)
    {
        json_array_foreach(json_object_get(route, "hosts"), k, host)
        {
            if (json_string_value(host)[0] == '*')
                json_object_set_new(all, json_string_value(host) + 1, json_true());
        }
    }
    return all;
}

/* "*.a.b.c" where there is "*.b.c" too. */
static bool inside_another(const json_t *wildcards, const char *host)
{
    const char *dot = host[0] == '*' ? strchr(host + 2, '.') : NULL;

    for (; dot; dot = strchr(dot + 1, '.')) {
        if (json_object_get(wildcards, dot))
            return true;
    }
    return false;
}

static bool mixes_hosts(const json_t *route)
{
    return has_wildcard(route) && json_array_size(json_object_get(route, "hosts")) > 1;
}

static void say_by_hosts(struct convert *c, const struct item *const *written)
{
    json_t *wildcards = collect_wildcards(c->out[PART_ROUTES]), *route, *host;
    size_t i, k;

    json_array_foreach(c->out[PART_ROUTES], i, route)
    {
        bool found = false;

        json_array_foreach(json_object_get(route, "hosts"), k, host) found |=
            inside_another(wildcards, json_string_value(host));
        if (found)
            leave_out(c, written[i], NULL,
                      "hosts: of wildcards in one another the longer does not come first; the "
                      "path decides");
        if (mixes_hosts(route))
            note(c, written[i], NULL,
                 "hosts: beside a wildcard a whole name counts as one when routes compete");
    }
    json_decref(wildcards);
}

void keep_order(struct convert *c, const struct item *const *written)
{
    keep_by_methods(c, written);
    say_by_headers(c, written);
    say_by_hosts(c, written);
}
