/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /explain: what would become of a request, and why. The request is laid out as the bytes that a client would
 * send and rehearsed (proxy/rehearse.h); here is only what it is made from and how the outcome is shown.
 */
#include "admin/explain.h"

#include "base/assert.h"
#include "base/mem.h"
#include "http/uri.h"
#include "model/checks.h"
#include "model/json.h"

#include <stdio.h>
#include <stdlib.h>

#define BODY_MAX   (1024 * 1024) /* the largest that a policy may look into */
#define HEAD_SLACK 4096          /* beyond the limits of a head: enough to be over them */

static const char *check_token(const json_t *value, char scratch[256])
{
    return kg_is_token(kg_json_text(value)) ? NULL : "expected a token such as GET";
}

static bool has_controls(struct kg_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (((unsigned char)text.ptr[i] < 0x20 && text.ptr[i] != '\t') || text.ptr[i] == 0x7f)
            return true;
    }
    return false;
}

/* What is behind "http://" or "https://"; false for anything else. */
static bool take_scheme(struct kg_slice url, struct kg_slice *rest, bool *https)
{
    static const struct kg_slice schemes[] = { { "http://", 7 }, { "https://", 8 } };

    for (size_t i = 0; i < 2; i++) {
        size_t len = schemes[i].len;

        if (url.len < len || !kg_slice_eq_nocase(kg_slice_of(url.ptr, len), schemes[i]))
            continue;
        *rest = kg_slice_of(url.ptr + len, url.len - len);
        *https = i == 1;
        return true;
    }
    return false;
}

static const char *check_url(const json_t *value, char scratch[256])
{
    struct kg_slice url = kg_json_text(value), rest;
    bool https;

    if (!take_scheme(url, &rest, &https) && url.ptr[0] != '/' && !kg_slice_eq(url, KG_SLICE("*")))
        return "expected http://HOST/PATH, https://HOST/PATH or /PATH";
    return has_controls(url) || kg_slice_find(url, ' ') < url.len ? "no blanks, no control characters" : NULL;
}

static const char *check_header_value(const json_t *value, char scratch[256])
{
    return has_controls(kg_json_text(value)) ? "no control characters" : NULL;
}

static const struct kg_field explain_fields[] = {
    { .name = "id", .type = KG_F_UUID },
    { .name = "method",
      .type = KG_F_STRING,
      .required = true,
      .default_json = "\"GET\"",
      .check = check_token },
    { .name = "url", .type = KG_F_STRING, .required = true, .max_len = 65536, .check = check_url },
    { .name = "headers", .type = KG_F_STRING_MAP, .check = check_header_value, .check_key = check_token },
    { .name = "body", .type = KG_F_STRING, .max_len = BODY_MAX },
    { .name = "source",
      .type = KG_F_STRING,
      .required = true,
      .default_json = "\"127.0.0.1\"",
      .check = kg_admin_check_address },
    { .name = "port", .type = KG_F_INTEGER, .bounded = true, .min = 1, .max = 65535 },
    { .name = "sni", .type = KG_F_STRING, .normalize = kg_name_normal, .check = kg_check_route_sni },
    { .name = "candidates",
      .type = KG_F_INTEGER,
      .bounded = true,
      .min = 0,
      .max = KG_EXPLAIN_CANDIDATES_MAX },
    { .name = "created_at", .type = KG_F_TIMESTAMP },
    { .name = NULL },
};

const struct kg_entity kg_admin_explain_entity = {
    .id = KG_ENTITIES, .name = "explain", .path = "explain", .fields = explain_fields
};

/* A header may be one value as well as a list of them. */
static void list_values(json_t *input)
{
    json_t *headers = json_object_get(input, "headers"), *value;
    const char *name;
    void *next;

    json_object_foreach_safe(headers, next, name, value)
    {
        if (json_is_string(value))
            json_object_set_new(headers, name, json_pack("[O]", value));
    }
}

/* ---- the request ---- */

/* The URL, taken apart. */
struct place {
    bool https;
    struct kg_slice authority, target; /* authority may be empty */
};

static struct place place_of(struct kg_slice url)
{
    struct place place = { .target = url };
    struct kg_slice rest;

    if (!take_scheme(url, &rest, &place.https))
        return place;
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] != '/' && rest.ptr[len] != '?')
        len++;
    place.authority = kg_slice_of(rest.ptr, len);
    place.target = kg_slice_of(rest.ptr + len, rest.len - len);
    return place;
}

static void put_header(struct kg_writer *out, struct kg_slice name, struct kg_slice value)
{
    kg_put(out, name);
    KG_PUT(out, ": ");
    kg_put(out, value);
    KG_PUT(out, "\r\n");
}

/* What headers were among those that were put. */
struct given {
    bool host, framing;
};

static struct given put_headers(struct kg_writer *out, const json_t *headers)
{
    const char *name;
    const json_t *values, *value;
    struct given given = { .host = false };
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)headers, name, values)
    {
        enum kg_header_id id = kg_header_identify(kg_slice_str(name));

        given.host |= id == KG_H_HOST;
        given.framing |= id == KG_H_CONTENT_LENGTH || id == KG_H_TRANSFER_ENCODING;
        json_array_foreach(values, i, value) put_header(out, kg_slice_str(name), kg_json_text(value));
    }
    return given;
}

static void put_request(struct kg_writer *out, const json_t *input, const struct place *place)
{
    kg_put(out, kg_json_text(json_object_get(input, "method")));
    kg_put_char(out, ' ');
    if (place->target.len == 0 || place->target.ptr[0] == '?')
        kg_put_char(out, '/');
    kg_put(out, place->target);
    KG_PUT(out, " HTTP/1.1\r\n");
    struct given given = put_headers(out, json_object_get(input, "headers"));
    if (!given.host)
        put_header(out, KG_SLICE("Host"), place->authority.len ? place->authority : KG_SLICE("localhost"));
    if (!given.framing && kg_json_given(input, "body")) {
        KG_PUT(out, "Content-Length: ");
        kg_put_u64(out, json_string_length(json_object_get(input, "body")));
        KG_PUT(out, "\r\n");
    }
    KG_PUT(out, "\r\n");
}

/* The port that the request comes to: what it says, or that of the first listener for its scheme. */
static uint16_t port_of(const json_t *input, const struct kg_proxy_config *proxy, bool tls)
{
    if (kg_json_given(input, "port"))
        return (uint16_t)json_integer_value(json_object_get(input, "port"));
    for (size_t i = 0; i < proxy->listen_count; i++) {
        if (proxy->listen[i].tls == tls)
            return proxy->listen[i].port;
    }
    return tls ? 443 : 80;
}

/* What a client asks for when nothing else is said: the host, in lower case; an address is no server name. */
static struct kg_slice sni_of(const json_t *input, const struct place *place, char text[256])
{
    struct kg_slice said = kg_json_text(json_object_get(input, "sni")), host;
    struct kg_addr addr;
    uint16_t port;

    if (!place->https || said.len > 0)
        return said;
    if (kg_host_split(place->authority, &host, &port) || host.len > 255 || host.ptr[0] == '[' ||
        kg_addr_parse(host, &addr) == 0)
        return said;
    for (size_t i = 0; i < host.len; i++)
        text[i] = kg_lower(host.ptr[i]);
    return kg_slice_of(text, host.len);
}

static bool is_banned(void *ctx, const struct kg_addr *source)
{
    const struct kg_call *call = ctx;
    struct kg_ban_info info;

    return call->parts->guard && kg_guard_ban_get(call->parts->guard, source, &info) == 0;
}

/* ---- the answer ---- */

static json_t *ban_of(const struct kg_call *call, const struct kg_addr *address)
{
    struct kg_ban_info info;

    if (!call->parts->guard || kg_guard_ban_get(call->parts->guard, address, &info) < 0)
        return json_null();
    return kg_admin_ban_json(&info);
}

/* Why it can never be banned, or null. */
static json_t *protection_of(const struct kg_call *call, const struct kg_addr *address)
{
    struct kg_error err = { "" };

    if (!call->parts->guard || kg_guard_may_ban(call->parts->guard, address, &err) == 0)
        return json_null();
    return json_string(err.text);
}

static json_t *source_json(const struct kg_call *call, const struct kg_addr *peer,
                           const struct kg_rehearsed *rehearsed)
{
    const struct kg_addr *client = rehearsed->address.family ? &rehearsed->address : peer;
    char peer_text[KG_ADDR_TEXT], client_text[KG_ADDR_TEXT];

    return json_pack("{s:s,s:b,s:s,s:s,s:o,s:o}", "peer", kg_addr_text(peer, peer_text), "trusted_proxy",
                     (int)rehearsed->trusted, "client", kg_addr_text(client, client_text), "scheme",
                     rehearsed->https ? "https" : "http", "ban", ban_of(call, client), "never_banned",
                     protection_of(call, client));
}

static json_t *answer_json(const struct kg_rehearsed *rehearsed)
{
    const char *detail = rehearsed->status / 100 == 3 ? "location" : "www_authenticate";
    json_t *answer;

    if (rehearsed->status == 0)
        return json_null();
    answer = json_pack("{s:i,s:o}", "status", (int)rehearsed->status, "message",
                       kg_explain_text(rehearsed->message));
    if (rehearsed->detail.len > 0)
        json_object_set_new(answer, detail, kg_explain_text(rehearsed->detail));
    if (rehearsed->body_type.len > 0)
        json_object_set_new(answer, "content_type", kg_explain_text(rehearsed->body_type));
    return answer;
}

static json_t *route_json(const struct kg_rehearsed *rehearsed)
{
    const struct kg_route *route = rehearsed->route;
    json_t *object;

    if (!route)
        return json_null();
    object = kg_explain_named(route->id, route->name);
    json_object_set_new(object, "matched_path",
                        kg_explain_text(kg_slice_of(rehearsed->query.path.ptr, rehearsed->prefix_len)));
    return object;
}

static json_t *service_json(const struct kg_route *route)
{
    return route && route->service ? kg_explain_named(route->service->id, route->service->name) : json_null();
}

static json_t *consumer_json(const struct kg_rehearsed *rehearsed)
{
    const struct kg_consumer *consumer = rehearsed->principal.consumer;
    struct kg_slice id = rehearsed->principal.credential_id;

    if (!consumer)
        return json_null();
    return json_pack("{s:s,s:o,s:o,s:o}", "id", consumer->id, "username",
                     consumer->username.len ? kg_explain_text(consumer->username) : json_null(), "custom_id",
                     consumer->custom_id.len ? kg_explain_text(consumer->custom_id) : json_null(),
                     "credential", id.len > 0 ? json_pack("{s:s%}", "id", id.ptr, id.len) : json_null());
}

static const char *outcome_of(const struct kg_rehearsed *rehearsed)
{
    if (rehearsed->dropped)
        return "drop";
    return rehearsed->status ? "answer" : "forward";
}

static json_t *tell(const struct kg_call *call, const json_t *input, const struct kg_addr *peer,
                    const struct kg_rehearsed *rehearsed)
{
    const json_t *most = json_object_get(input, "candidates");
    json_t *json = json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "outcome", outcome_of(rehearsed), "answer",
                             answer_json(rehearsed), "source", source_json(call, peer, rehearsed), "route",
                             route_json(rehearsed), "service", service_json(rehearsed->route), "consumer",
                             consumer_json(rehearsed), "upstream", kg_explain_upstream(rehearsed), "balancer",
                             kg_explain_balancer(rehearsed));

    KG_ASSERT(json != NULL);
    kg_explain_add_plugins(json, call->parts->model, rehearsed);
    json_object_set_new(json, "answer_headers", kg_explain_answer_headers(rehearsed));
    json_object_set_new(json, "body_limit",
                        rehearsed->max_body > 0 ? json_integer((json_int_t)rehearsed->max_body)
                                                : json_null());
    kg_explain_add_candidates(json, call->parts->model, rehearsed,
                              json_is_integer(most) ? (size_t)json_integer_value(most)
                                                    : KG_EXPLAIN_CANDIDATES);
    return json;
}

/* The head may hold a key: it does not stay in memory. */
static void rehearse(struct kg_call *call, const json_t *input)
{
    const struct kg_proxy_config *proxy = call->parts->proxy;
    const struct place place = place_of(kg_json_text(json_object_get(input, "url")));
    size_t room = proxy->limits.bytes + HEAD_SLACK;
    struct kg_writer head = kg_writer_of(kg_calloc(1, room), room);
    struct kg_snapshot *snapshot = kg_model_snapshot(call->parts->model);
    struct kg_rehearsal *rehearsal = kg_rehearsal_new(proxy);
    struct kg_rehearsed_request request = { .tls = place.https, .is_banned = is_banned, .ctx = call };
    struct kg_rehearsed rehearsed;
    char sni[256];

    put_request(&head, input, &place);
    request.head = kg_writer_slice(&head);
    request.body = kg_json_text(json_object_get(input, "body"));
    request.too_long = head.overflow;
    request.port = port_of(input, proxy, place.https);
    request.sni = sni_of(input, &place, sni);
    int rc = kg_addr_parse(kg_json_text(json_object_get(input, "source")), &request.peer);
    KG_ASSERT(rc == 0);
    kg_rehearse(rehearsal, snapshot, &request, &rehearsed);
    kg_reply_json(call, 200, tell(call, input, &request.peer, &rehearsed));
    kg_rehearsal_free(rehearsal);
    kg_snapshot_free(snapshot);
    kg_wipe(head.buf, room);
    free(head.buf);
}

void kg_admin_explain(struct kg_call *call)
{
    json_t *input = NULL, *problem = NULL;

    if (!call->parts->proxy) {
        kg_reply_message(call, 503, "the proxy is not running");
        return;
    }
    list_values(call->input);
    if (kg_schema_apply(call->resource.entity, KG_WRITE_CREATE, call->input, NULL, &input, &problem) < 0) {
        kg_reply_problem(call, problem);
        return;
    }
    rehearse(call, input);
    json_decref(input);
}
