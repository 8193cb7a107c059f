/* SPDX-License-Identifier: BSD-2-Clause */
/* One request: what is decided about it is done, an answer of our own or on to the upstream, and counted. */
#include "proxy/internal.h"

#include "base/assert.h"
#include "http/answer.h"
#include "keygate/abi.h"

struct kg_slice kg_request_message(unsigned status)
{
    switch (status) {
    case 400:
        return KG_SLICE("Bad request");
    case 405:
        return KG_SLICE("Method not allowed");
    case 408:
        return KG_SLICE("Request timeout");
    case 413:
        return KG_SLICE("Payload too large");
    case 414:
        return KG_SLICE("URI too long");
    case 431:
        return KG_SLICE("Request header or cookie too large");
    case 502:
        return KG_SLICE("An invalid response was received from the upstream server");
    case 504:
        return KG_SLICE("The upstream server is timing out");
    default:
        return kg_slice_str(kg_status_reason(status));
    }
}

struct kg_slice kg_request_size_message(const struct kg_client *client, uint64_t bytes)
{
    uint64_t most = client->worker->config->max_body;

    return most > 0 && bytes > most ? kg_request_message(413) : KG_SLICE("Request size limit exceeded");
}

void kg_request_signal(struct kg_client *client, enum kg_signal_kind kind)
{
    struct kg_worker *worker = client->worker;
    struct kg_signal signal = { .source = kg_addr_source(kg_request_address(client)), .kind = kind };

    if (kg_signal_push(&worker->signals, &signal))
        worker->untold = true;
}

static void put_connection(const struct kg_request *request, struct kg_writer *w)
{
    bool upgrade = request->status == 426; /* which says what to upgrade to (RFC 9110, 15.5.22) */
    struct kg_slice option = KG_SLICE("");

    if (!request->keep_alive)
        option = KG_SLICE("close");
    else if (request->http10)
        option = KG_SLICE("keep-alive");
    if (upgrade)
        KG_PUT(w, "Upgrade: TLS/1.2, HTTP/1.1\r\n");
    if (!upgrade && option.len == 0)
        return;
    KG_PUT(w, "Connection: ");
    if (upgrade)
        kg_put(w, option.len > 0 ? KG_SLICE("Upgrade, ") : KG_SLICE("Upgrade"));
    kg_put(w, option);
    KG_PUT(w, "\r\n");
}

/* RFC 9110, 15.3.5, 15.3.6 and 15.4.5: with these there is no body, and with the first and the last no length
 * of one either. */
static bool is_bodiless(unsigned status)
{
    return status == 204 || status == 205 || status == 304;
}

/* detail: the Location of a redirection, else WWW-Authenticate; may be empty. */
static void put_answer_head(struct kg_client *client, struct kg_slice body_type, size_t body_len,
                            struct kg_slice detail, struct kg_writer *w)
{
    struct kg_request *request = &client->request;

    KG_PUT(w, "HTTP/1.1 ");
    kg_put_u64(w, request->status);
    kg_put_char(w, ' ');
    kg_put(w, kg_slice_str(kg_status_reason(request->status)));
    KG_PUT(w, "\r\nDate: ");
    kg_put(w, kg_slice_str(client->worker->date));
    if (body_len > 0) {
        KG_PUT(w, "\r\nContent-Type: ");
        kg_put(w, body_type);
    }
    if (request->status != 204 && request->status != 304) {
        KG_PUT(w, "\r\nContent-Length: ");
        kg_put_u64(w, body_len);
    }
    if (detail.len > 0) {
        kg_put(w,
               request->status / 100 == 3 ? KG_SLICE("\r\nLocation: ") : KG_SLICE("\r\nWWW-Authenticate: "));
        kg_put(w, detail);
    }
    KG_PUT(w, "\r\nX-Keygate-Response-Latency: ");
    kg_put_u64(w, client->worker->now_ms - request->started_ms);
    if (!kg_lines_have(kg_notes_text(request->notes), KG_SLICE("X-Request-Id"))) {
        KG_PUT(w, "\r\nX-Request-Id: ");
        kg_put(w, kg_slice_of(request->id, KG_REQUEST_ID));
    }
    KG_PUT(w, "\r\nServer: keygate\r\n");
    kg_put(w, kg_notes_text(request->notes));
    put_connection(request, w);
    KG_PUT(w, "\r\n");
}

/* The head is in the block; the body goes behind it and into as many more as it takes. */
static void write_answer(struct kg_client *client, struct kg_block *block, struct kg_slice body)
{
    client->request.bytes_out += body.len;
    while (body.len > block->size - block->end) {
        size_t part = block->size - block->end;

        memcpy(block->data + block->end, body.ptr, part);
        block->end = block->size;
        body = kg_slice_of(body.ptr + part, body.len - part);
        kg_sock_write_block(&client->sock, block);
        block = kg_block_new(&client->worker->ring.blocks);
    }
    if (body.len > 0)
        memcpy(block->data + block->end, body.ptr, body.len);
    block->end += (uint32_t)body.len;
    kg_sock_write_block(&client->sock, block);
}

static void answer(struct kg_client *client, unsigned status, struct kg_slice body_type, struct kg_slice body,
                   struct kg_slice detail)
{
    struct kg_request *request = &client->request;
    struct kg_block *block = kg_block_new(&client->worker->ring.blocks);
    struct kg_writer out = kg_writer_of(block->data, block->size);

    if (request->upstream)
        kg_upstream_release(request->upstream, false);
    request->status = status;
    if (is_bodiless(status))
        body = KG_SLICE("");
    /* A body that is still coming is not waited for: the connection ends with the answer. */
    request->keep_alive = request->keep_alive && request->body_done && !client->worker->draining;
    put_answer_head(client, body_type, body.len, detail, &out);
    KG_ASSERT(!out.overflow);
    block->end = (uint32_t)out.len;
    request->bytes_out += out.len;
    request->answering = true;
    write_answer(client, block, request->to_head ? KG_SLICE("") : body);
    kg_client_answered(client);
}

/* An empty message is an empty body. */
static void answer_message(struct kg_client *client, enum kg_media media, unsigned status,
                           struct kg_slice message, struct kg_slice detail)
{
    char text[6 * KG_MESSAGE_MAX + 512]; /* each byte may be escaped, as \\u and four digits at most */
    struct kg_writer body = kg_writer_of(text, sizeof(text));
    enum kg_error_style style = client->worker->config->error_style;
    struct kg_error_words words = {
        .media = media,
        .status = status,
        .message = message,
        .request_id = kg_slice_of(client->request.id, KG_REQUEST_ID),
    };

    if (message.len > 0)
        kg_error_style_body(style, &words, &body);
    KG_ASSERT(!body.overflow);
    answer(client, status, kg_error_style_type(style, media), kg_writer_slice(&body), detail);
}

void kg_request_answer(struct kg_client *client, unsigned status, struct kg_slice message,
                       struct kg_slice www_authenticate)
{
    /* Later than the head's first look, its Accept is gone: JSON. */
    answer_message(client, KG_MEDIA_JSON, status, message.len ? message : kg_request_message(status),
                   www_authenticate);
}

void kg_request_refuse(struct kg_client *client, unsigned status)
{
    struct kg_request *request = &client->request;

    if (!request->started_ms) {
        request->started_ms = client->worker->now_ms;
        kg_request_make_id(client);
    }
    /* A head that never came is slow, not malformed. */
    if (status != 408) {
        kg_count(&client->worker->stats.malformed);
        kg_request_signal(client, KG_SIGNAL_MALFORMED);
    }
    request->keep_alive = false;
    request->body_done = false; /* where it ends is unknown: nothing after it is a request */
    kg_request_answer(client, status, KG_SLICE(""), KG_SLICE(""));
}

static void begin(struct kg_client *client, size_t head_len)
{
    struct kg_worker *worker = client->worker;

    kg_request_open(client);
    client->request.bytes_in = head_len;
    kg_snapshot_hold(client->request.snapshot, worker->index);
    client->begun++;
    kg_count(&worker->stats.requests);
}

/* worker->head still holds the request: in the form its Accept asks for. */
static void answer_decided(struct kg_client *client, const struct kg_decision *decision)
{
    struct kg_request *request = &client->request;

    if (decision->banned)
        kg_count(&client->worker->stats.requests_banned);
    if (decision->by_policy) {
        request->limited = decision->policy.limited;
        request->denied = !request->limited && (decision->status == 401 || decision->status == 403);
    }
    if (decision->body_type.len > 0)
        answer(client, decision->status, decision->body_type, decision->body, decision->detail);
    else
        answer_message(client, kg_media_negotiate(&client->worker->head), decision->status, decision->message,
                       decision->detail);
}

/* sni: room for what the decision may point to. */
static void decide(struct kg_client *client, const struct kg_payload *payload, char sni[256],
                   struct kg_decision *decision)
{
    struct kg_slice server_name = KG_SLICE("");

    if (client->tls)
        server_name = kg_slice_of(sni, kg_sock_server_name(&client->sock, sni));
    kg_decide(client, server_name, payload, decision);
}

static void act(struct kg_client *client, const struct kg_decision *decision)
{
    const struct kg_policy_request *policy = &decision->policy;

    if (policy->principal.key)
        kg_key_uses_note(&client->worker->key_uses, policy->principal.key, client->worker->now_wall);
    if (policy->has_signal)
        kg_request_signal(client, policy->signal);
    if (decision->malformed)
        kg_request_refuse(client, decision->status);
    else if (decision->status)
        answer_decided(client, decision);
    else
        kg_upstream_start(client);
}

void kg_request_begin(struct kg_client *client, struct kg_slice head)
{
    struct kg_decision decision;
    char sni[256];

    begin(client, head.len);
    decide(client, NULL, sni, &decision);
    if (decision.awaits_body)
        kg_collect_begin(client, head);
    else
        act(client, &decision);
}

void kg_request_resume(struct kg_client *client, const struct kg_payload *payload)
{
    struct kg_decision decision;
    char sni[256];

    decide(client, payload, sni, &decision);
    if (decision.status == 0)
        kg_collect_settle(client, &decision.policy.payload);
    act(client, &decision);
}

static void count_status(struct kg_usage *usage, unsigned status)
{
    _Atomic uint64_t *classes[] = { &usage->status_2xx, &usage->status_3xx, &usage->status_4xx,
                                    &usage->status_5xx };

    if (status >= 200 && status < 600)
        kg_count(classes[status / 100 - 2]);
}

static uint32_t slot_of(const struct kg_request *request)
{
    return request->consumer ? request->consumer->slot : KG_SLOT_NONE;
}

void kg_request_count_bytes(struct kg_client *client, uint64_t in, uint64_t out)
{
    struct kg_worker *worker = client->worker;
    uint32_t slot = slot_of(&client->request);
    struct kg_usage *usage = &worker->usage.usage[slot];

    kg_usage_add(&usage->bytes_in, in);
    kg_usage_add(&usage->bytes_out, out);
    atomic_store_explicit(&usage->last_seen, (uint64_t)worker->now_wall, memory_order_relaxed);
    kg_usage_touch(&worker->usage, slot);
}

static void account(struct kg_client *client)
{
    struct kg_request *request = &client->request;
    struct kg_usage *usage = &client->worker->usage.usage[slot_of(request)];

    kg_count(&usage->requests);
    count_status(usage, request->status);
    kg_usage_add(&usage->denied, request->denied);
    kg_usage_add(&usage->rate_limited, request->limited);
    kg_request_count_bytes(client, request->bytes_in, request->bytes_out);
}

void kg_request_end(struct kg_client *client)
{
    struct kg_request *request = &client->request;

    if (!request->started_ms)
        return;
    if (request->upstream)
        kg_upstream_release(request->upstream, false);
    kg_balance_leave(&request->choice);
    if (request->head)
        kg_block_release(&client->worker->ring.blocks, request->head);
    kg_trailers_drop(client->worker, &request->trailers_up);
    kg_trailers_drop(client->worker, &request->trailers_down);
    kg_notes_drop(client);
    kg_collect_drop(client);
    account(client);
    if (request->snapshot)
        kg_snapshot_release(request->snapshot, client->worker->index);
    *request = (struct kg_request){ 0 };
}
