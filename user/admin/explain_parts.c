/* SPDX-License-Identifier: BSD-2-Clause */
#include "admin/explain.h"

#include "base/mem.h"
#include "http/uri.h"
#include "io/listen.h"
#include "model/candidates.h"

#include <stdlib.h>

json_t *kg_explain_text(struct kg_slice text)
{
    json_t *json = json_stringn(text.ptr ? text.ptr : "", text.len);
    char *plain;

    if (json)
        return json;
    plain = kg_strndup(text.ptr, text.len);
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)plain[i] >= 0x80)
            plain[i] = '?';
    }
    json = json_stringn(plain, text.len);
    free(plain);
    return json;
}

json_t *kg_explain_named(const char *id, struct kg_slice name)
{
    return json_pack("{s:s,s:o}", "id", id, "name", name.len ? kg_explain_text(name) : json_null());
}

/* ---- routes ---- */

struct field_of {
    struct kg_candidate *items;
    size_t count, room;
};

static void take_candidate(void *ctx, const struct kg_candidate *candidate)
{
    struct field_of *field = ctx;

    if (field->count == field->room) {
        field->room = field->room ? field->room * 2 : 256;
        field->items = kg_realloc(field->items, field->room, sizeof(*field->items));
    }
    field->items[field->count++] = *candidate;
}

/* Those that match, the best first; then those that fail by least. */
static int nearest_first(const void *left, const void *right)
{
    const struct kg_candidate *a = left, *b = right;
    int more = __builtin_popcount(a->misses) - __builtin_popcount(b->misses);

    if (more != 0)
        return more;
    if (a->misses == 0 && a->rank != b->rank)
        return a->rank < b->rank ? 1 : -1;
    return (a->order > b->order) - (a->order < b->order);
}

static json_t *failures(unsigned misses)
{
    static const char *const names[] = { "host", "path", "method", "header", "sni", "service disabled" };
    json_t *list = json_array();

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (misses & 1u << i)
            json_array_append_new(list, json_string(names[i]));
    }
    return list;
}

static json_t *candidate_json(const struct kg_candidate *candidate, const struct kg_candidate *winner)
{
    json_t *json = kg_explain_named(candidate->id, candidate->name);

    json_object_set_new(json, "matches", json_boolean(candidate->misses == 0));
    if (candidate->misses)
        json_object_set_new(json, "fails", failures(candidate->misses));
    else if (candidate != winner)
        json_object_set_new(json, "beaten_by",
                            json_string(kg_route_rank_rule(winner->rank, candidate->rank)));
    return json;
}

void kg_explain_add_candidates(json_t *answer, const struct kg_model *model,
                               const struct kg_rehearsed *rehearsed, size_t most)
{
    struct field_of field = { 0 };
    json_t *list = json_array();

    if (rehearsed->routed)
        kg_model_each_candidate(model, &rehearsed->query, take_candidate, &field);
    if (field.count > 0)
        qsort(field.items, field.count, sizeof(*field.items), nearest_first);
    size_t shown = field.count < most ? field.count : most;
    for (size_t i = 0; i < shown; i++)
        json_array_append_new(list, candidate_json(&field.items[i], &field.items[0]));
    json_object_set_new(answer, "candidates", list);
    json_object_set_new(answer, "candidates_left_out", json_integer((json_int_t)(field.count - shown)));
    free(field.items);
}

/* ---- upstream ---- */

static const char hidden[] = "***";

/* Whether nobody is shown what stands under this name, in a header or a query argument. */
static bool is_secret(const struct kg_route *route, struct kg_slice name)
{
    return kg_slice_eq_nocase(name, KG_SLICE("authorization")) ||
           kg_slice_eq_nocase(name, KG_SLICE("proxy-authorization")) || kg_policies_keep_secret(route, name);
}

static bool is_secret_argument(const struct kg_route *route, struct kg_slice raw)
{
    char text[1024];
    struct kg_writer name = kg_writer_of(text, sizeof(text));

    /* A name too long to be decoded is longer than any that a plugin looks for, or written to look so. */
    return !kg_query_decode(raw, &name) || is_secret(route, kg_writer_slice(&name));
}

/* The target as it goes upstream, with what is secret in its query hidden. */
static void put_target(const struct kg_route *route, struct kg_slice target, struct kg_writer *out)
{
    size_t path = kg_slice_find(target, '?');
    char between = '?';

    kg_put(out, kg_slice_of(target.ptr, path));
    while (path < target.len) {
        struct kg_slice rest = kg_slice_of(target.ptr + path + 1, target.len - path - 1);
        size_t len = kg_slice_find(rest, '&'), name = kg_slice_find(kg_slice_of(rest.ptr, len), '=');
        bool secret = name < len && is_secret_argument(route, kg_slice_of(rest.ptr, name));

        kg_put_char(out, between);
        kg_put(out, kg_slice_of(rest.ptr, secret ? name + 1 : len));
        if (secret)
            KG_PUT(out, hidden);
        between = '&';
        path += 1 + len;
    }
}

/* Cuts a line off; without its CRLF. */
static struct kg_slice take_line(struct kg_slice *rest)
{
    size_t end = kg_slice_find(*rest, '\r');
    struct kg_slice line = kg_slice_of(rest->ptr, end);
    size_t used = end + 2 < rest->len ? end + 2 : rest->len;

    *rest = kg_slice_of(rest->ptr + used, rest->len - used);
    return line;
}

static json_t *headers_json(const struct kg_route *route, struct kg_slice lines, struct kg_slice *host)
{
    json_t *list = json_array();

    while (lines.len > 0) {
        struct kg_slice line = take_line(&lines);
        size_t colon = kg_slice_find(line, ':');

        if (colon == line.len)
            continue;
        struct kg_slice name = kg_slice_of(line.ptr, colon);
        struct kg_slice value = kg_slice_trim(kg_slice_of(line.ptr + colon + 1, line.len - colon - 1));
        if (kg_slice_eq_nocase(name, KG_SLICE("host")))
            *host = value;
        if (is_secret(route, name))
            value = KG_SLICE(hidden);
        json_array_append_new(list, json_pack("[o,o]", kg_explain_text(name), kg_explain_text(value)));
    }
    return list;
}

static const char *endpoint_text(const struct kg_endpoint *endpoint, char out[KG_ADDR_TEXT])
{
    struct kg_listen_addr at = {
        .addr = kg_addr_from_sockaddr((const struct sockaddr *)&endpoint->addr),
        /* At the same place in both families. */
        .port = ntohs(((const struct sockaddr_in *)(const void *)&endpoint->addr)->sin_port),
    };

    return kg_listen_text(&at, out);
}

json_t *kg_explain_answer_headers(const struct kg_rehearsed *rehearsed)
{
    struct kg_slice host = { 0 };

    return rehearsed->route ? headers_json(rehearsed->route, rehearsed->answer_lines, &host) : json_array();
}

json_t *kg_explain_upstream(const struct kg_rehearsed *rehearsed)
{
    struct kg_slice lines = rehearsed->upstream_head, host = { 0 };
    char address[KG_ADDR_TEXT];
    json_t *json;

    if (lines.len == 0)
        return json_null();
    struct kg_slice line = take_line(&lines);
    size_t method = kg_slice_find(line, ' ');
    struct kg_slice target = kg_slice_of(line.ptr + method + 1, line.len - method - 1 - strlen(" HTTP/1.1"));
    /* What is hidden may be shorter than what stands for it, once for each argument of two bytes. */
    size_t room = target.len * 2 + sizeof(hidden);
    struct kg_writer shown = kg_writer_of(kg_calloc(1, room), room);
    json_t *headers = headers_json(rehearsed->route, lines, &host);
    put_target(rehearsed->route, target, &shown);
    json = json_pack("{s:s,s:s,s:o,s:o,s:o,s:o}", "address", endpoint_text(rehearsed->endpoint, address),
                     "protocol", rehearsed->route->service->tls ? "https" : "http", "method",
                     kg_explain_text(kg_slice_of(line.ptr, method)), "path",
                     kg_explain_text(kg_writer_slice(&shown)), "host", kg_explain_text(host), "headers",
                     headers);
    free(shown.buf);
    return json;
}

/* How the next one is chosen: whether the address that is shown is the only one it could be. */
static const char *choice_of(const struct kg_rehearsed *rehearsed, const struct kg_balancer *balancer)
{
    if (balancer->endpoint_count == 1)
        return "only";
    if (rehearsed->hashed)
        return "hash";
    return balancer->algorithm == KG_LEAST_CONNECTIONS ? "load" : "turns";
}

static json_t *endpoint_json(const struct kg_endpoint *endpoint, bool checked)
{
    bool unhealthy = endpoint->peer && atomic_load_explicit(&endpoint->peer->unhealthy, memory_order_relaxed);
    char address[KG_ADDR_TEXT];

    return json_pack("{s:s,s:o,s:I,s:s}", "address", endpoint_text(endpoint, address), "host",
                     kg_explain_text(endpoint->host), "weight", (json_int_t)endpoint->weight, "health",
                     kg_admin_health_word(unhealthy, checked));
}

json_t *kg_explain_balancer(const struct kg_rehearsed *rehearsed)
{
    static const char *const algorithms[] = { "round-robin", "least-connections", "consistent-hashing" };
    const struct kg_balancer *balancer;
    json_t *list, *json;

    if (!rehearsed->route || !rehearsed->route->service)
        return json_null();
    balancer = rehearsed->route->service->balancer;
    list = json_array();
    for (size_t i = 0; i < balancer->endpoint_count && i < KG_EXPLAIN_TARGETS_MAX; i++)
        json_array_append_new(list, endpoint_json(&balancer->endpoints[i], balancer->id[0] != '\0'));
    json = json_pack("{s:o,s:s,s:s,s:o}", "upstream",
                     balancer->id[0] ? kg_explain_named(balancer->id, balancer->name) : json_null(),
                     "algorithm", algorithms[balancer->algorithm], "chosen_by",
                     choice_of(rehearsed, balancer), "targets", list);
    json_object_set_new(json, "targets_left_out",
                        json_integer((json_int_t)(balancer->endpoint_count - json_array_size(list))));
    return json;
}
