/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A body that a policy wants to look into before anything is decided about its request. It is collected,
 * decoded, behind a copy of the head; once it is whole, or larger than what is looked into, the request is
 * decided about anew, by the snapshot of that time: a key that was withdrawn meanwhile opens nothing. What
 * was collected is then the first of the body to go upstream.
 */
#include "proxy/internal.h"

#include "base/assert.h"

#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
/* In front of the first block, for the size of the one chunk that a chunked body becomes. */
#define SIZE_LINE 10

bool kg_collect_may(const struct kg_client *client, const struct kg_framing *framing)
{
    uint32_t most = client->worker->config->search_body;

    return most > 0 && framing->body != KG_BODY_NONE && framing->length <= most;
}

static void begin_chain(struct kg_client *client)
{
    struct kg_block *block = kg_block_new(&client->worker->ring.blocks);

    KG_ASSERT(!client->request.ahead.first);
    block->start = block->end = SIZE_LINE;
    client->request.ahead = (struct kg_chain){ .first = block, .last = block };
}

void kg_collect_begin(struct kg_client *client, struct kg_slice head)
{
    struct kg_request *request = &client->request;
    struct kg_worker *worker = client->worker;
    struct kg_block *block = kg_block_new(&worker->ring.blocks);

    KG_ASSERT(head.len <= block->size);
    memcpy(block->data, head.ptr, head.len);
    block->end = (uint32_t)head.len;
    request->waiting_head = block;
    if (request->body == KG_BODY_CHUNKED)
        kg_trailers_expect(worker, &request->trailers_up);
    begin_chain(client);
    kg_client_enter(client, KG_CLIENT_COLLECT);
}

/* Also of a block that holds nothing yet. */
static void drop_chain(struct kg_client *client)
{
    while (client->request.ahead.first)
        kg_block_release(&client->worker->ring.blocks, kg_chain_take(&client->request.ahead));
}

/* ---- the body ---- */

static size_t take_length(struct kg_client *client, const char *ptr, size_t len)
{
    struct kg_request *request = &client->request;
    size_t part = len < request->body_left ? len : (size_t)request->body_left;

    kg_chain_append(&request->ahead, &client->worker->ring.blocks, ptr, part);
    request->body_left -= part;
    request->body_done = request->body_left == 0;
    return part;
}

static size_t take_chunks(struct kg_client *client, char *ptr, size_t len)
{
    struct kg_request *request = &client->request;
    struct kg_decoded decoded;

    if (!kg_relay_decode(client, ptr, len, false, &decoded))
        return 0;
    request->last_chunk = decoded.last;
    kg_chain_append(&request->ahead, &client->worker->ring.blocks, ptr, decoded.data);
    return decoded.used;
}

static bool is_too_large(const struct kg_client *client)
{
    return client->request.ahead.bytes > client->worker->config->search_body;
}

/* False when the request was answered instead. */
static bool take_backlog(struct kg_client *client)
{
    struct kg_request *request = &client->request;

    while (client->backlog.bytes > 0 && !request->body_done && !is_too_large(client)) {
        struct kg_block *first = client->backlog.first;
        char *ptr = first->data + first->start;
        size_t len = kg_block_used(first);
        size_t used =
            request->body == KG_BODY_CHUNKED ? take_chunks(client, ptr, len) : take_length(client, ptr, len);

        if (client->state != KG_CLIENT_COLLECT)
            return false;
        request->bytes_in += used;
        request->expects = false;
        kg_chain_consume(&client->backlog, &client->worker->ring.blocks, used);
    }
    return true;
}

static void await_more(struct kg_client *client)
{
    /* The client waits for somebody to want its body (RFC 9110, 10.1.1). The upstream is not asked later. */
    if (client->request.expects) {
        client->request.expects = false;
        kg_sock_write_static(&client->sock, KG_SLICE(CONTINUE));
        kg_sock_flush(&client->sock);
    }
    kg_client_touch(client);
    kg_sock_receive_all(&client->sock);
}

/* ---- the decision ---- */

/* In one piece, in memory that is used again for the next one. */
static void gather(const struct kg_client *client, struct kg_payload *payload)
{
    payload->ptr = client->worker->body;
    payload->len = 0;
    for (const struct kg_block *block = client->request.ahead.first; block; block = block->next) {
        memcpy(payload->ptr + payload->len, block->data + block->start, kg_block_used(block));
        payload->len += kg_block_used(block);
    }
}

/* As a chunk, and behind it the body's end, once that has come. */
static void frame_chunk(struct kg_client *client)
{
    struct kg_request *request = &client->request;
    struct kg_blocks *blocks = &client->worker->ring.blocks;
    struct kg_chain *ahead = &request->ahead;
    struct kg_block *first = ahead->first, *last = request->last_chunk;
    char text[SIZE_LINE];
    struct kg_writer line = kg_writer_of(text, sizeof(text));
    bool any = ahead->bytes > 0;

    if (any) {
        kg_put_hex(&line, ahead->bytes);
        KG_PUT(&line, "\r\n");
        KG_ASSERT(!line.overflow && first->start == SIZE_LINE);
        first->start -= (uint32_t)line.len;
        memcpy(first->data + first->start, line.buf, line.len);
        ahead->bytes += line.len;
        kg_chain_append(ahead, blocks, "\r\n", 2);
    }
    if (!request->body_done)
        return;
    request->last_chunk = NULL;
    if (!last)
        kg_chain_append(ahead, blocks, "0\r\n\r\n", 5);
    else
        kg_chain_add(ahead, last);
}

void kg_collect_settle(struct kg_client *client, const struct kg_payload *payload)
{
    struct kg_request *request = &client->request;
    struct kg_blocks *blocks = &client->worker->ring.blocks;

    if (payload->changed) {
        drop_chain(client);
        begin_chain(client);
        kg_chain_append(&request->ahead, blocks, payload->ptr, payload->len);
    }
    if (request->body == KG_BODY_CHUNKED)
        frame_chunk(client);
}

static void use_newest_snapshot(struct kg_client *client)
{
    struct kg_request *request = &client->request;
    struct kg_worker *worker = client->worker;

    if (request->snapshot == worker->snapshot)
        return;
    kg_snapshot_hold(worker->snapshot, worker->index);
    kg_snapshot_release(request->snapshot, worker->index);
    request->snapshot = worker->snapshot;
    request->route = NULL;
    request->service = NULL;
}

static void read_head_again(struct kg_worker *worker, const struct kg_block *block)
{
    struct kg_slice head = kg_slice_of(block->data, block->end);
    const char *why;
    int rc = kg_head_parse_request(head, &worker->config->limits, &worker->head, &why);

    KG_ASSERT(rc > 0 && (size_t)rc == head.len);
}

static void decide(struct kg_client *client)
{
    struct kg_request *request = &client->request;
    struct kg_block *head = request->waiting_head;
    struct kg_payload payload = { 0 };

    request->waiting_head = NULL;
    use_newest_snapshot(client);
    read_head_again(client->worker, head);
    if (request->body_done && !is_too_large(client))
        gather(client, &payload);
    kg_request_resume(client, &payload);
    kg_block_release(&client->worker->ring.blocks, head);
}

void kg_collect_pump(struct kg_client *client)
{
    if (!take_backlog(client))
        return;
    if (client->request.body_done || is_too_large(client)) {
        decide(client);
        kg_relay_pump(client);
        return;
    }
    if (client->eof)
        kg_client_abort(client);
    else
        await_more(client);
}

void kg_collect_bytes(struct kg_client *client, const struct kg_input *input)
{
    kg_chain_append(&client->backlog, &client->worker->ring.blocks, input->ptr, input->len);
    kg_collect_pump(client);
}

void kg_collect_drop(struct kg_client *client)
{
    struct kg_request *request = &client->request;
    struct kg_blocks *blocks = &client->worker->ring.blocks;

    if (request->waiting_head)
        kg_block_release(blocks, request->waiting_head);
    if (request->last_chunk)
        kg_block_release(blocks, request->last_chunk);
    drop_chain(client);
}
