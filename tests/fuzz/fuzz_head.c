/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for everything that reads a head: request and response heads, framing, target, path and
 * query. Links with user/http and user/base.
 */
#include "base/assert.h"
#include "base/cursor.h"
#include "http/bytes.h"
#include "http/framing.h"
#include "http/uri.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Prefixes are quadratic: longer inputs are fed in steps. */
#define PREFIXES_MAX 128
#define PATH_MAX_LEN 65536

typedef int parse_fn(struct kg_slice input, const struct kg_head_limits *limits, struct kg_head *head,
                     const char **why);

static const struct kg_head_limits all_limits[] = {
    { .line = 8192, .bytes = 32768, .headers = 100 },
    { .line = 24, .bytes = 96, .headers = 3 },
};

static void check_inside(struct kg_slice part, struct kg_slice whole)
{
    if (part.len == 0)
        return;
    KG_ASSERT(part.ptr >= whole.ptr && part.len <= whole.len);
    KG_ASSERT((size_t)(part.ptr - whole.ptr) <= whole.len - part.len);
}

static void check_prefixes(parse_fn *parse, struct kg_slice input, const struct kg_head_limits *limits,
                           int result, const char *why)
{
    static struct kg_head head;
    size_t step = input.len / PREFIXES_MAX + 1;

    for (size_t len = 0; len < input.len; len += step) {
        const char *prefix_why = NULL;
        /* A copy of its own, so that AddressSanitizer sees a read past the end. */
        char *copy = malloc(len > 0 ? len : 1);
        int rc;

        memcpy(copy, input.ptr, len);
        rc = parse(kg_slice_of(copy, len), limits, &head, &prefix_why);
        KG_ASSERT(rc == 0 || rc == result);
        KG_ASSERT(rc >= 0 || prefix_why == why);
        KG_ASSERT(result <= 0 || rc == (len < (size_t)result ? 0 : result));
        free(copy);
    }
}

static void check_head(const struct kg_head *head, struct kg_slice input, const struct kg_head_limits *limits,
                       int len)
{
    struct kg_slice whole = kg_slice_of(input.ptr, (size_t)len);

    KG_ASSERT((size_t)len <= input.len && (size_t)len <= limits->bytes);
    KG_ASSERT(head->count <= limits->headers && head->minor <= 1);
    check_inside(head->method_text, whole);
    check_inside(head->target, whole);
    check_inside(head->reason, whole);
    for (size_t i = 0; i < head->count; i++) {
        const struct kg_header *header = &head->headers[i];

        check_inside(header->name, whole);
        check_inside(header->value, whole);
        KG_ASSERT(kg_is_token(header->name));
        KG_ASSERT(kg_slice_eq(header->value, kg_slice_trim(header->value)));
        KG_ASSERT(header->id == kg_header_identify(header->name));
        KG_ASSERT(kg_slice_find(header->value, '\r') == header->value.len);
        KG_ASSERT(kg_slice_find(header->value, '\n') == header->value.len);
        KG_ASSERT(kg_slice_find(header->value, '\0') == header->value.len);
    }
}

static bool is_dots(const char *segment, size_t len)
{
    return (len == 1 && segment[0] == '.') || (len == 2 && segment[0] == '.' && segment[1] == '.');
}

static void check_normal(struct kg_slice path)
{
    size_t start = 1;

    KG_ASSERT(path.len > 0 && path.ptr[0] == '/');
    for (size_t i = 1; i <= path.len; i++) {
        if (i < path.len && path.ptr[i] != '/')
            continue;
        KG_ASSERT(!is_dots(path.ptr + start, i - start));
        KG_ASSERT(i > start || i == path.len);
        start = i + 1;
    }
}

static void check_path(struct kg_slice raw)
{
    static char buf[PATH_MAX_LEN], again_buf[PATH_MAX_LEN], escaped_buf[3 * PATH_MAX_LEN];
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
    again.len = 0;
    KG_ASSERT(kg_path_normalize(kg_writer_slice(&escaped), &again, &why) == 0);
    KG_ASSERT(kg_slice_eq(kg_writer_slice(&again), kg_writer_slice(&out)));
}

static void check_query(struct kg_slice query)
{
    static char buf[PATH_MAX_LEN], decoded_buf[PATH_MAX_LEN];
    struct kg_writer out = kg_writer_of(buf, sizeof(buf)),
                     decoded = kg_writer_of(decoded_buf, sizeof(decoded_buf));
    struct kg_slice name = KG_SLICE("apikey"), value = { 0 };
    bool bare = false;
    int found = kg_query_find(query, name, &value, &bare);

    KG_ASSERT(found >= 0 && found <= 2);
    if (found > 0)
        check_inside(value, query);
    if (query.len > sizeof(buf))
        return;
    kg_query_remove(query, name, &out);
    KG_ASSERT(!out.overflow && out.len <= query.len);
    KG_ASSERT(kg_query_find(kg_writer_slice(&out), name, &value, &bare) == 0);
    KG_ASSERT(found > 0 || kg_slice_eq(query, kg_writer_slice(&out)));
    KG_ASSERT(kg_query_decode(query, &decoded) && decoded.len <= query.len);
}

static void check_target(const struct kg_head *head, struct kg_slice host)
{
    struct kg_target target;
    const char *why = NULL;
    int rc = kg_target_parse(head, host, &target, &why);

    if (rc != 0) {
        KG_ASSERT((rc == -400 || rc == -405) && why != NULL);
        return;
    }
    KG_ASSERT(target.path.len > 0 && (target.path.ptr[0] == '/' || kg_slice_eq(target.path, KG_SLICE("*"))));
    KG_ASSERT(target.has_query || target.query.len == 0);
    check_inside(target.query, head->target);
    check_inside(target.authority, head->target);
    if (target.path.len > 1)
        check_inside(target.path, head->target);
    check_path(target.path);
    check_query(target.query);
}

static void check_host(struct kg_slice host)
{
    struct kg_slice name;
    uint16_t port;

    if (kg_host_split(host, &name, &port) != 0)
        return;
    KG_ASSERT(name.len > 0 && name.ptr[name.len - 1] != '.');
    check_inside(name, host);
}

/* Text is found by words; byte by byte must give the same. */
static void check_text(struct kg_slice input)
{
    struct kg_cursor words = kg_cursor_of(input), bytes = words;

    while (kg_cursor_left(&words) > 0) {
        struct kg_slice text = kg_cursor_text(&words), same = kg_cursor_span(&bytes, kg_bytes_text), skipped;

        KG_ASSERT(text.ptr == same.ptr && text.len == same.len);
        kg_cursor_bytes(&words, kg_cursor_left(&words) > 0, &skipped);
        kg_cursor_bytes(&bytes, kg_cursor_left(&bytes) > 0, &skipped);
    }
}

static void check_request(struct kg_slice input, const struct kg_head_limits *limits)
{
    static struct kg_head head;
    struct kg_framing framing;
    const char *why = NULL;
    int rc = kg_head_parse_request(input, limits, &head, &why);

    KG_ASSERT(rc >= 0 || why != NULL);
    KG_ASSERT(rc >= 0 || rc == -400 || rc == -414 || rc == -431 || rc == -505);
    check_prefixes(kg_head_parse_request, input, limits, rc, why);
    if (rc <= 0)
        return;
    check_head(&head, input, limits, rc);
    rc = kg_framing_request(&head, &framing, &why);
    if (rc != 0) {
        KG_ASSERT(rc == -400 || rc == -417 || rc == -501);
        return;
    }
    KG_ASSERT((framing.body == KG_BODY_LENGTH) == (framing.length > 0));
    KG_ASSERT(framing.body <= KG_BODY_CHUNKED && framing.upgrade == (framing.upgrade_to.len > 0));
    check_target(&head, framing.host);
}

static void check_response(struct kg_slice input, const struct kg_head_limits *limits)
{
    static struct kg_head head;
    struct kg_response_framing framing;
    const char *why = NULL;
    int rc = kg_head_parse_response(input, limits, &head, &why);

    KG_ASSERT(rc >= 0 || (rc == -502 && why != NULL));
    check_prefixes(kg_head_parse_response, input, limits, rc, why);
    if (rc <= 0)
        return;
    check_head(&head, input, limits, rc);
    for (int to_head = 0; to_head <= 1; to_head++) {
        rc = kg_framing_response(&head, to_head, &framing, &why);
        KG_ASSERT(rc == 0 || rc == -502);
        if (rc != 0)
            continue;
        KG_ASSERT(!to_head || framing.body == KG_BODY_NONE);
        KG_ASSERT(framing.body != KG_BODY_CLOSE || !framing.keep_alive);
        KG_ASSERT(framing.body != KG_BODY_LENGTH || framing.length > 0);
        KG_ASSERT(framing.body != KG_BODY_TUNNEL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* libFuzzer hands NULL for its first, empty input. */
    struct kg_slice input = size > 0 ? kg_slice_of((const char *)data, size) : KG_SLICE("");

    for (size_t i = 0; i < sizeof(all_limits) / sizeof(all_limits[0]); i++) {
        check_request(input, &all_limits[i]);
        check_response(input, &all_limits[i]);
    }
    check_text(input);
    check_path(input);
    check_query(input);
    check_host(input);
    return 0;
}
