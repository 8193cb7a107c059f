/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Heads that go on, re-made from parsed fields: framing and connection headers are written anew (RFC 9112, 6
 * and 9), identity and forwarding headers are ours alone, the rest passes byte for byte.
 */
#include "proxy/internal.h"

#include "http/answer.h"
#include "http/trailer.h"

static void put_header(struct kg_writer *out, struct kg_slice name, struct kg_slice value)
{
    kg_put(out, name);
    KG_PUT(out, ": ");
    kg_put(out, value);
    KG_PUT(out, "\r\n");
}

static void put_number(struct kg_writer *out, struct kg_slice name, uint64_t value)
{
    kg_put(out, name);
    KG_PUT(out, ": ");
    kg_put_u64(out, value);
    KG_PUT(out, "\r\n");
}

/* Takes out of a head what stands under the names of these lines. */
static void replace(struct kg_head *head, struct kg_slice lines)
{
    while (lines.len > 0) {
        size_t end = kg_slice_find(lines, '\n') + 1;
        struct kg_slice name = kg_slice_of(lines.ptr, kg_slice_find(lines, ':'));

        for (size_t i = 0; i < head->count; i++) {
            if (kg_slice_eq_nocase(head->headers[i].name, name))
                head->headers[i].hop = true;
        }
        lines = kg_slice_of(lines.ptr + end, lines.len - end);
    }
}

/* What goes by the name of X-Request-Id is ours, unless a policy has put another one in its place. */
static void put_request_id(const struct kg_request *request, struct kg_slice lines, struct kg_writer *out)
{
    if (!kg_lines_have(lines, KG_SLICE("X-Request-Id")))
        put_header(out, KG_SLICE("X-Request-Id"), kg_slice_of(request->id, KG_REQUEST_ID));
}

/* Headers that are written anew below, whatever the client sent. */
static bool is_replaced(enum kg_header_id id)
{
    switch (id) {
    case KG_H_HOST:
    case KG_H_VIA:
    case KG_H_X_REQUEST_ID:
    case KG_H_X_REAL_IP:
    case KG_H_X_FORWARDED_FOR:
    case KG_H_X_FORWARDED:
    case KG_H_IDENTITY:
        return true;
    default:
        return false;
    }
}

/* RFC 7239 says the same as the X- ones, and some services believe it first. It is not written by us. */
static bool is_forwarded(const struct kg_header *header)
{
    return header->id == KG_H_OTHER && kg_slice_eq_nocase(header->name, KG_SLICE("forwarded"));
}

static void put_end_to_end(const struct kg_client *client, struct kg_writer *out)
{
    const struct kg_head *head = &client->worker->head;

    for (size_t i = 0; i < head->count; i++) {
        const struct kg_header *header = &head->headers[i];

        if (!header->hop && !is_replaced(header->id) && (client->trusted || !is_forwarded(header)))
            put_header(out, header->name, header->value);
    }
}

/* All values of a header as one list, ours at the end. `ours` goes in front of nothing when there was none.
 */
static void put_list(const struct kg_head *head, enum kg_header_id id, struct kg_slice name,
                     struct kg_slice ours, struct kg_writer *out)
{
    kg_put(out, name);
    KG_PUT(out, ": ");
    for (size_t i = 0; i < head->count; i++) {
        if (head->headers[i].id != id || head->headers[i].hop || head->headers[i].value.len == 0)
            continue;
        kg_put(out, head->headers[i].value);
        KG_PUT(out, ", ");
    }
    kg_put(out, ours);
    KG_PUT(out, "\r\n");
}

/* What a trusted proxy says of where the client came to, else what we see ourselves. */
static void put_origin(struct kg_client *client, const struct kg_framing *framing, struct kg_writer *out)
{
    struct kg_slice proto = kg_trust_value(client, KG_SLICE("X-Forwarded-Proto")),
                    host = kg_trust_value(client, KG_SLICE("X-Forwarded-Host")),
                    said = kg_trust_value(client, KG_SLICE("X-Forwarded-Port"));
    uint16_t port;

    put_header(out, KG_SLICE("X-Forwarded-Proto"),
               proto.len > 0 ? proto
               : client->tls ? KG_SLICE("https")
                             : KG_SLICE("http"));
    if (host.len > 0 || (framing->host.len > 0 && kg_host_split(framing->host, &host, &port) == 0))
        put_header(out, KG_SLICE("X-Forwarded-Host"), host);
    if (said.len > 0)
        put_header(out, KG_SLICE("X-Forwarded-Port"), said);
    else
        put_number(out, KG_SLICE("X-Forwarded-Port"), client->port);
}

static void put_forwarded(struct kg_client *client, const struct kg_framing *framing,
                          const struct kg_target *target, struct kg_slice prefix, struct kg_writer *out)
{
    const struct kg_head *head = &client->worker->head;
    char text[KG_ADDR_TEXT];

    put_header(out, KG_SLICE("X-Real-IP"), kg_slice_str(kg_addr_text(kg_request_address(client), text)));
    put_list(head, KG_H_X_FORWARDED_FOR, KG_SLICE("X-Forwarded-For"),
             kg_slice_str(kg_addr_text(&client->near, text)), out);
    put_origin(client, framing, out);
    put_header(out, KG_SLICE("X-Forwarded-Path"), target->path);
    if (client->request.route->strip_path && prefix.len > 0 && !kg_slice_eq(prefix, KG_SLICE("/")))
        put_header(out, KG_SLICE("X-Forwarded-Prefix"), prefix);
}

static void put_identity(const struct kg_policy_request *policy, struct kg_writer *out)
{
    const struct kg_principal *principal = &policy->principal;
    const struct kg_consumer *consumer = principal->consumer;

    if (!consumer)
        return;
    put_header(out, KG_SLICE("X-Consumer-ID"), kg_slice_str(consumer->id));
    if (consumer->custom_id.len > 0)
        put_header(out, KG_SLICE("X-Consumer-Custom-ID"), consumer->custom_id);
    if (consumer->username.len > 0)
        put_header(out, KG_SLICE("X-Consumer-Username"), consumer->username);
    if (principal->credential_identifier.len > 0)
        put_header(out, KG_SLICE("X-Credential-Identifier"), principal->credential_identifier);
    if (principal->anonymous)
        put_header(out, KG_SLICE("X-Anonymous-Consumer"), KG_SLICE("true"));
}

static void put_request_line(struct kg_client *client, const struct kg_policy_request *policy,
                             struct kg_slice path, size_t prefix_len, struct kg_writer *out)
{
    const struct kg_request *request = &client->request;

    kg_put(out, client->worker->head.method_text);
    kg_put_char(out, ' ');
    if (kg_slice_eq(path, KG_SLICE("*"))) /* OPTIONS * stays what it is (RFC 9112, 3.2.4) */
        kg_put(out, path);
    else
        kg_upstream_path(request->service->path, path, prefix_len, request->route->strip_path, out);
    if (policy->has_query) {
        kg_put_char(out, '?');
        kg_put(out, policy->query);
    }
    KG_PUT(out, " HTTP/1.1\r\n");
}

/* The client's, or the upstream's, or the endpoint's: that one is noted, since another try may need another.
 */
static void put_host(struct kg_client *client, const struct kg_framing *framing, struct kg_writer *out)
{
    struct kg_request *request = &client->request;
    struct kg_slice host = request->service->balancer->host_header;
    bool own_host = request->route->preserve_host && framing->host.len > 0;

    if (own_host)
        host = framing->host;
    if (host.len == 0) {
        host = request->choice.endpoint->host_header;
        request->host_at = (uint32_t)(out->len + strlen("Host: "));
        request->host_len = (uint32_t)host.len;
    }
    put_header(out, KG_SLICE("Host"), host);
}

static void put_request_framing(const struct kg_request *request, const struct kg_framing *framing,
                                struct kg_writer *out)
{
    KG_PUT(out, "Connection: keep-alive");
    if (request->te_trailers) /* TE must be named there (RFC 9110, 10.1.4) */
        KG_PUT(out, ", TE");
    if (request->upgrade)
        KG_PUT(out, ", Upgrade\r\nUpgrade: websocket");
    KG_PUT(out, "\r\n");
    if (request->te_trailers)
        KG_PUT(out, "TE: trailers\r\n");
    if (framing->body == KG_BODY_LENGTH || framing->has_length)
        put_number(out, KG_SLICE("Content-Length"), framing->length);
    if (framing->body == KG_BODY_CHUNKED)
        KG_PUT(out, "Transfer-Encoding: chunked\r\n");
    KG_PUT(out, "\r\n");
}

bool kg_forward_request_head(struct kg_client *client, const struct kg_framing *framing,
                             const struct kg_target *target, const struct kg_policy_request *policy,
                             struct kg_slice path, size_t prefix_len, struct kg_writer *out)
{
    const struct kg_request *request = &client->request;
    struct kg_head *head = &client->worker->head;

    replace(head, kg_writer_slice(&policy->to_upstream));
    put_request_line(client, policy, path, prefix_len, out);
    put_host(client, framing, out);
    put_end_to_end(client, out);
    put_forwarded(client, framing, target, kg_slice_of(path.ptr, prefix_len), out);
    put_list(head, KG_H_VIA, KG_SLICE("Via"),
             request->http10 ? KG_SLICE("1.0 keygate") : KG_SLICE("1.1 keygate"), out);
    put_request_id(request, kg_writer_slice(&policy->to_upstream), out);
    put_identity(policy, out);
    kg_put(out, kg_writer_slice(&policy->to_upstream));
    if (framing->body == KG_BODY_CHUNKED)
        kg_trailer_announce(head, out);
    put_request_framing(request, framing, out);
    return !out->overflow;
}

static void put_status_line(const struct kg_head *head, struct kg_writer *out)
{
    KG_PUT(out, "HTTP/1.1 ");
    kg_put_u64(out, head->status);
    kg_put_char(out, ' ');
    kg_put(out, head->reason);
    KG_PUT(out, "\r\n");
}

/* Unlike in a request, only what we write anew below goes: an answer may name hosts or addresses as it likes.
 */
static void put_answer_headers(const struct kg_head *head, struct kg_writer *out)
{
    for (size_t i = 0; i < head->count; i++) {
        const struct kg_header *header = &head->headers[i];

        if (!header->hop && header->id != KG_H_VIA && header->id != KG_H_X_REQUEST_ID)
            put_header(out, header->name, header->value);
    }
}

/* The place of a client that consistent hashing has just met, for its next requests. */
static void put_cookie(const struct kg_request *request, struct kg_writer *out)
{
    const struct kg_balancer *balancer = request->service->balancer;
    bool first = balancer->hash_on.kind == KG_HASH_COOKIE;

    if (!request->choice.cookie)
        return;
    KG_PUT(out, "Set-Cookie: ");
    kg_put(out, first ? balancer->hash_on.name : balancer->hash_fallback.name);
    kg_put_char(out, '=');
    kg_put_hex(out, request->choice.cookie);
    KG_PUT(out, "; Path=");
    kg_put(out, balancer->cookie_path.len ? balancer->cookie_path : KG_SLICE("/"));
    KG_PUT(out, "; HttpOnly\r\n");
}

static void put_latencies(const struct kg_client *client, struct kg_writer *out)
{
    const struct kg_request *request = &client->request;

    put_number(out, KG_SLICE("X-Keygate-Upstream-Latency"), client->worker->now_ms - request->upstream_ms);
    put_number(out, KG_SLICE("X-Keygate-Proxy-Latency"), request->upstream_ms - request->started_ms);
}

static void put_response_framing(const struct kg_request *request, const struct kg_response_framing *framing,
                                 struct kg_writer *out)
{
    if (request->status == 101) {
        KG_PUT(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        return;
    }
    /* A length also where no body follows: what GET would have had (RFC 9110, 8.6). */
    if (framing->body == KG_BODY_LENGTH || (framing->body == KG_BODY_NONE && framing->length_known))
        put_number(out, KG_SLICE("Content-Length"), framing->length);
    if (request->chunk_out)
        KG_PUT(out, "Transfer-Encoding: chunked\r\n");
    if (!request->keep_alive)
        KG_PUT(out, "Connection: close\r\n");
    else if (request->http10)
        KG_PUT(out, "Connection: keep-alive\r\n");
    KG_PUT(out, "\r\n");
}

bool kg_forward_response_head(struct kg_client *client, const struct kg_response_framing *framing,
                              struct kg_writer *out)
{
    struct kg_head *head = &client->worker->head;

    replace(head, kg_notes_text(client->request.notes));
    put_status_line(head, out);
    put_answer_headers(head, out);
    put_list(head, KG_H_VIA, KG_SLICE("Via"),
             head->minor == 0 ? KG_SLICE("1.0 keygate") : KG_SLICE("1.1 keygate"), out);
    put_request_id(&client->request, kg_notes_text(client->request.notes), out);
    put_cookie(&client->request, out);
    put_latencies(client, out);
    kg_put(out, kg_notes_text(client->request.notes));
    if (client->request.trailers_down.pass)
        kg_trailer_announce(head, out);
    put_response_framing(&client->request, framing, out);
    return !out->overflow;
}

bool kg_forward_interim_head(struct kg_client *client, struct kg_writer *out)
{
    put_status_line(&client->worker->head, out);
    put_answer_headers(&client->worker->head, out);
    KG_PUT(out, "\r\n");
    return !out->overflow;
}
