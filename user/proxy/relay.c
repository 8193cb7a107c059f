/* SPDX-License-Identifier: BSD-2-Clause */
/* Body bytes, both ways. Whoever cannot write further makes the other side stop reading: that is all of
 * back-pressure. */
#include "proxy/internal.h"

#include "base/assert.h"

#define CHUNK_END  "\r\n"
#define LAST_CHUNK "0\r\n\r\n"

/* Body bytes, zero-copy from a shared buffer, or copied when they lie in a block of the backlog. */
static void write_bytes(struct kg_sock *to, struct kg_slice bytes, const struct kg_input *input)
{
    if (bytes.len == 0)
        return;
    if (input)
        kg_sock_write_input(to, input, bytes);
    else
        kg_sock_write_copy(to, bytes);
}

/* One chunk (RFC 9112, 7.1), and the last one behind it when `done`: `last` when there are trailers. At most
 * three segments. */
static void write_chunk(struct kg_sock *to, struct kg_slice bytes, const struct kg_input *input, bool done,
                        struct kg_block *last)
{
    char text[KG_SMALL_BYTES];
    struct kg_writer w = kg_writer_of(text, sizeof(text));

    if (bytes.len > 0) {
        kg_put_hex(&w, bytes.len);
        KG_PUT(&w, "\r\n");
        kg_sock_write_small(to, kg_writer_slice(&w));
        write_bytes(to, bytes, input);
    }
    if (last)
        kg_sock_write_block(to, last);
    else if (bytes.len > 0)
        kg_sock_write_static(to, done ? KG_SLICE(CHUNK_END LAST_CHUNK) : KG_SLICE(CHUNK_END));
    else if (done)
        kg_sock_write_static(to, KG_SLICE(LAST_CHUNK));
}

/* What kg_chunked_decode has just taken of the trailer section. */
static struct kg_slice section_of(const struct kg_chunked *chunked, const char *ptr, size_t used)
{
    return kg_slice_of(ptr + used - chunked->trailer, chunked->trailer);
}

/* A chunked body that is broken: nothing after it can be trusted. */
static void refuse_body(struct kg_client *client)
{
    if (client->request.answering)
        kg_client_abort(client);
    else
        kg_request_refuse(client, 400);
}

static void refuse_large_body(struct kg_client *client)
{
    if (client->request.answering)
        kg_client_abort(client);
    else
        kg_request_answer(client, 413, kg_request_size_message(client, client->request.body_bytes),
                          KG_SLICE(""));
}

bool kg_relay_decode(struct kg_client *client, char *ptr, size_t len, bool as_chunks,
                     struct kg_decoded *decoded)
{
    struct kg_request *request = &client->request;
    const char *why;

    *decoded = (struct kg_decoded){ 0 };
    if (kg_chunked_decode(&request->chunked, ptr, len, &decoded->data, &decoded->used, &why)) {
        refuse_body(client);
        return false;
    }
    request->body_bytes += decoded->data;
    if (kg_request_is_too_large(client, request->body_bytes)) {
        refuse_large_body(client);
        return false;
    }
    if (!kg_trailers_take(client->worker, &request->trailers_up, &request->chunked,
                          section_of(&request->chunked, ptr, decoded->used), as_chunks && decoded->data > 0,
                          &decoded->last)) {
        refuse_body(client);
        return false;
    }
    request->body_done = request->chunked.done;
    return true;
}

static size_t relay_chunks(struct kg_client *client, char *ptr, size_t len, const struct kg_input *input)
{
    struct kg_request *request = &client->request;
    struct kg_decoded decoded;

    if (!kg_relay_decode(client, ptr, len, true, &decoded))
        return len;
    write_chunk(&request->upstream->sock, kg_slice_of(ptr, decoded.data), input, request->body_done,
                decoded.last);
    return decoded.used;
}

static size_t relay_length(struct kg_client *client, char *ptr, size_t len, const struct kg_input *input)
{
    struct kg_request *request = &client->request;
    size_t part = len < request->body_left ? len : (size_t)request->body_left;

    write_bytes(&request->upstream->sock, kg_slice_of(ptr, part), input);
    request->body_left -= part;
    request->body_done = request->body_left == 0;
    return part;
}

static bool upstream_ready(const struct kg_request *request)
{
    const struct kg_upstream *upstream = request->upstream;

    return upstream && upstream->state != KG_UPSTREAM_CONNECTING && !upstream->deaf &&
           kg_sock_can_write(&upstream->sock);
}

size_t kg_relay_request_body(struct kg_client *client, char *ptr, size_t len, const struct kg_input *input)
{
    struct kg_request *request = &client->request;

    if (len == 0 || request->body_done || request->answered || request->ahead.first ||
        !upstream_ready(request))
        return 0;
    request->body_touched = true;
    request->expects = false;
    size_t used = request->body == KG_BODY_CHUNKED ? relay_chunks(client, ptr, len, input)
                                                   : relay_length(client, ptr, len, input);
    if (client->state == KG_CLIENT_CLOSED || !request->upstream)
        return used;
    request->bytes_in += used;
    kg_sock_flush(&request->upstream->sock);
    kg_client_touch(client);
    return used;
}

/* What was collected before the request was decided about. */
static void send_ahead(struct kg_client *client)
{
    struct kg_request *request = &client->request;

    if (!request->ahead.first || request->answered || !upstream_ready(request))
        return;
    request->body_touched = true;
    while (request->ahead.first && kg_sock_can_write(&request->upstream->sock))
        kg_sock_write_block(&request->upstream->sock, kg_chain_take(&request->ahead));
    kg_sock_flush(&request->upstream->sock);
    kg_client_touch(client);
}

/* False when the client is closed. */
static bool drain_backlog(struct kg_client *client)
{
    while (client->backlog.bytes > 0) {
        struct kg_block *first = client->backlog.first;
        size_t used = kg_relay_request_body(client, first->data + first->start, kg_block_used(first), NULL);

        if (client->state == KG_CLIENT_CLOSED)
            return false;
        if (used == 0)
            return true;
        kg_chain_consume(&client->backlog, &client->worker->ring.blocks, used);
    }
    return true;
}

void kg_relay_pump(struct kg_client *client)
{
    struct kg_request *request = &client->request;
    bool running = client->state == KG_CLIENT_CONNECT || client->state == KG_CLIENT_RELAY;

    if (client->state == KG_CLIENT_COLLECT) {
        kg_collect_pump(client);
        return;
    }
    if (!running)
        return;
    send_ahead(client);
    if (!drain_backlog(client))
        return;
    if (request->body_done || request->answered) {
        if (client->backlog.bytes > KG_BACKLOG_MAX)
            kg_sock_pause(&client->sock);
        return;
    }
    if (client->eof && client->backlog.bytes == 0) {
        kg_client_abort(client);
        return;
    }
    /* While a body comes, one receive at a time: not asking again is what holds a fast sender back. */
    kg_sock_pause(&client->sock);
    if (client->backlog.bytes == 0 && upstream_ready(request))
        kg_sock_receive_once(&client->sock);
}

static size_t decode_response(struct kg_upstream *upstream, char *ptr, size_t len, size_t *used,
                              struct kg_block **last, bool *broken)
{
    struct kg_client *client = upstream->client;
    const char *why;
    size_t data = len;

    *broken = false;
    *used = len;
    *last = NULL;
    if (upstream->body == KG_BODY_CHUNKED) {
        *broken = kg_chunked_decode(&upstream->chunked, ptr, len, &data, used, &why) != 0 ||
                  !kg_trailers_take(client->worker, &client->request.trailers_down, &upstream->chunked,
                                    section_of(&upstream->chunked, ptr, *used), data > 0, last);
        return data;
    }
    if (upstream->body == KG_BODY_LENGTH) {
        data = len < upstream->body_left ? len : (size_t)upstream->body_left;
        upstream->body_left -= data;
        *used = data;
    }
    return data;
}

bool kg_relay_response_done(const struct kg_upstream *upstream)
{
    switch (upstream->body) {
    case KG_BODY_NONE:
        return true;
    case KG_BODY_LENGTH:
        return upstream->body_left == 0;
    case KG_BODY_CHUNKED:
        return upstream->chunked.done;
    default: /* until the upstream closes */
        return false;
    }
}

bool kg_relay_response_body(struct kg_upstream *upstream, char *ptr, size_t len, const struct kg_input *input,
                            size_t *used)
{
    struct kg_client *client = upstream->client;
    struct kg_block *last;
    bool broken;

    *used = 0;
    if (upstream->body == KG_BODY_NONE || len == 0)
        return true;
    size_t data = decode_response(upstream, ptr, len, used, &last, &broken);
    if (broken)
        return false;
    client->request.bytes_out += data;
    if (client->request.chunk_out)
        write_chunk(&client->sock, kg_slice_of(ptr, data), input, kg_relay_response_done(upstream), last);
    else
        write_bytes(&client->sock, kg_slice_of(ptr, data), input);
    return true;
}
