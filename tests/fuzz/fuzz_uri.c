/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for request targets, hosts, paths, queries, and the path that goes upstream. The input is
 * lines: a target, a Host, the name of a query argument, a service's path; each may be missing.
 */
#include "check.h"
#include "http/uri.h"
#include "proxy/internal.h"

struct lines {
    struct kg_slice target, host, name, service_path;
};

static struct kg_slice cut_line(struct kg_slice *rest)
{
    size_t at = kg_slice_find(*rest, '\n');
    struct kg_slice line = kg_slice_of(rest->ptr, at);

    *rest = at < rest->len ? kg_slice_of(rest->ptr + at + 1, rest->len - at - 1) : KG_SLICE("");
    return line;
}

/* Without dot segments (the last one may be one) and without empty segments but the last. */
static void check_normal(struct kg_slice path)
{
    size_t start = 1;

    KG_ASSERT(path.len > 0 && path.ptr[0] == '/');
    for (size_t i = 1; i <= path.len; i++) {
        struct kg_slice segment = kg_slice_of(path.ptr + start, i - start);

        if (i < path.len && path.ptr[i] != '/')
            continue;
        KG_ASSERT(!kg_slice_eq(segment, KG_SLICE(".")) && !kg_slice_eq(segment, KG_SLICE("..")));
        KG_ASSERT(i > start || i == path.len);
        start = i + 1;
    }
}

/* What goes upstream stands in a request line: one more space or control there would be another request. */
static void check_sendable(struct kg_slice path)
{
    KG_ASSERT(path.len > 0 && path.ptr[0] == '/');
    for (size_t i = 0; i < path.len; i++)
        KG_ASSERT(path.ptr[i] > ' ' && path.ptr[i] < 0x7f && !strchr("?#\\\"<>^`{|}", path.ptr[i]));
}

/* The service's path without a slash at its end is where the upstream's path must begin: nothing climbs out
 * of it. */
static void check_upstream_path(struct kg_slice base, struct kg_slice path, size_t prefix_len, bool strip)
{
    static char buf[4 * INPUT_MAX];
    struct kg_writer out = kg_writer_of(buf, sizeof(buf));
    struct kg_slice made, root = base;

    kg_upstream_path(base, path, prefix_len, strip, &out);
    KG_ASSERT(!out.overflow);
    made = kg_writer_slice(&out);
    check_sendable(made);
    check_normal(made);
    while (root.len > 0 && root.ptr[root.len - 1] == '/')
        root.len--;
    KG_ASSERT(kg_slice_starts_with(made, root));
    KG_ASSERT(made.len <= root.len + 1 || made.ptr[root.len] == '/');
}

/* A path that a service may have: without the freedoms that an operator would have to take on purpose. */
static bool is_service_path(struct kg_slice path)
{
    static char buf[INPUT_MAX];
    struct kg_writer out = kg_writer_of(buf, sizeof(buf));
    const char *why;

    if (path.len > 1024 || kg_path_normalize(path, &out, &why) || !kg_slice_eq(kg_writer_slice(&out), path))
        return false;
    for (size_t i = 0; i < path.len; i++) {
        if (strchr("<>\\^`{|}\"", path.ptr[i]))
            return false;
    }
    return true;
}

static void check_upstream_paths(struct kg_slice path, struct kg_slice service_path)
{
    static const struct kg_slice usual[] = { { "", 0 }, { "/", 1 }, { "/base", 5 }, { "/base/", 6 } };
    size_t step = path.len / CUTS_MAX + 1;

    for (size_t i = 0; i <= sizeof(usual) / sizeof(usual[0]); i++) {
        bool own = i == sizeof(usual) / sizeof(usual[0]);
        struct kg_slice base = own ? service_path : usual[i];

        if (own && !is_service_path(base))
            continue;
        check_upstream_path(base, path, 0, false);
        /* Whatever prefix of it a route matched. */
        for (size_t len = 0; len <= path.len; len += step)
            check_upstream_path(base, path, len, true);
    }
}

static void check_path(struct kg_slice raw, struct kg_slice service_path)
{
    static char buf[INPUT_MAX], again_buf[INPUT_MAX], escaped_buf[3 * INPUT_MAX];
    struct kg_writer out = kg_writer_of(buf, raw.len < sizeof(buf) ? raw.len : sizeof(buf));
    struct kg_writer again = kg_writer_of(again_buf, sizeof(again_buf));
    struct kg_writer escaped = kg_writer_of(escaped_buf, sizeof(escaped_buf));
    const char *why = NULL;
    int rc = kg_path_normalize(raw, &out, &why);

    if (rc != 0) {
        KG_ASSERT((rc == -400 || rc == -414) && why != NULL);
        KG_ASSERT(rc != -414 || raw.len > sizeof(buf));
        return;
    }
    check_normal(kg_writer_slice(&out));
    KG_ASSERT(kg_path_normalize(kg_writer_slice(&out), &again, &why) == 0);
    KG_ASSERT(kg_slice_eq(kg_writer_slice(&again), kg_writer_slice(&out)));
    kg_path_put_escaped(kg_writer_slice(&out), &escaped);
    KG_ASSERT(!escaped.overflow);
    check_sendable(kg_writer_slice(&escaped));
    again.len = 0;
    KG_ASSERT(kg_path_normalize(kg_writer_slice(&escaped), &again, &why) == 0);
    KG_ASSERT(kg_slice_eq(kg_writer_slice(&again), kg_writer_slice(&out)));
    check_upstream_paths(kg_writer_slice(&out), service_path);
}

static void check_query(struct kg_slice query, struct kg_slice name)
{
    static char buf[INPUT_MAX], decoded_buf[INPUT_MAX];
    struct kg_writer out = kg_writer_of(buf, sizeof(buf)),
                     decoded = kg_writer_of(decoded_buf, sizeof(decoded_buf));
    struct kg_slice value = { 0 };
    bool bare = false;
    int found = kg_query_find(query, name, &value, &bare);

    KG_ASSERT(found >= 0 && found <= 2);
    if (found > 0)
        check_inside(value, query);
    if (query.len > sizeof(buf))
        return;
    kg_query_remove(query, name, &out);
    KG_ASSERT(!out.overflow && out.len <= query.len);
    /* Removing every argument leaves an empty query, which has none. */
    KG_ASSERT(kg_query_find(kg_writer_slice(&out), name, &value, &bare) == 0);
    KG_ASSERT(found > 0 || kg_slice_eq(query, kg_writer_slice(&out)));
    KG_ASSERT(kg_query_decode(query, &decoded) && decoded.len <= query.len);
}

static void check_host(struct kg_slice host)
{
    struct kg_slice name, again;
    uint16_t port, no_port;

    if (kg_host_split(host, &name, &port) != 0)
        return;
    KG_ASSERT(name.len > 0 && name.ptr[name.len - 1] != '.' && name.ptr[0] != '.');
    check_inside(name, host);
    for (size_t i = 0; i < name.len; i++)
        KG_ASSERT(name.ptr[i] > ' ' && name.ptr[i] < 0x7f && !strchr("/@\\?#,", name.ptr[i]));
    KG_ASSERT(kg_host_split(name, &again, &no_port) == 0);
    KG_ASSERT(kg_slice_eq(name, again) && no_port == 0);
}

static void check_target(const struct kg_head *head, const struct lines *lines)
{
    struct kg_slice host = lines->host, name;
    struct kg_target target;
    const char *why = NULL;
    uint16_t port;
    int rc = kg_target_parse(head, host, &target, &why);

    if (rc != 0) {
        KG_ASSERT((rc == -400 || rc == -405) && why != NULL);
        return;
    }
    KG_ASSERT(head->method != KG_METHOD_CONNECT && head->method != KG_METHOD_TRACE);
    KG_ASSERT(target.path.len > 0 && (target.path.ptr[0] == '/' || kg_slice_eq(target.path, KG_SLICE("*"))));
    KG_ASSERT(target.path.ptr[0] == '/' || head->method == KG_METHOD_OPTIONS);
    KG_ASSERT(target.has_query || target.query.len == 0);
    KG_ASSERT(kg_slice_find(target.path, '?') == target.path.len);
    KG_ASSERT(kg_slice_find(head->target, '#') == head->target.len);
    check_inside(target.query, head->target);
    check_inside(target.authority, head->target);
    if (target.path.len > 1)
        check_inside(target.path, head->target);
    KG_ASSERT(target.authority.len == 0 || host.len == 0 || kg_slice_eq_nocase(target.authority, host));
    KG_ASSERT(target.authority.len == 0 || kg_host_split(target.authority, &name, &port) == 0);
    check_path(target.path, lines->service_path);
    check_query(target.query, lines->name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum kg_method methods[] = { KG_METHOD_GET, KG_METHOD_OPTIONS, KG_METHOD_CONNECT };
    static struct kg_head head;
    struct kg_slice rest = input_of(data, size), whole = rest;
    struct lines lines;

    lines.target = cut_line(&rest);
    lines.host = cut_line(&rest);
    lines.name = cut_line(&rest);
    lines.service_path = cut_line(&rest);
    head.target = lines.target;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        head.method = methods[i];
        check_target(&head, &lines);
    }
    check_path(whole, lines.service_path);
    check_query(whole, lines.name);
    check_host(lines.host);
    return 0;
}
