/* SPDX-License-Identifier: BSD-2-Clause */
/* One request: framing, route, policies; then an answer of our own, or on to the upstream. */
#include "proxy/internal.h"

#include "base/assert.h"
#include "http/answer.h"
#include "keygate/abi.h"

static struct kg_slice default_message(unsigned status)
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

static void make_id(struct kg_client *client)
{
    struct kg_writer w = kg_writer_of(client->request.id, KG_REQUEST_ID);
    uint64_t words[2] = { kg_prng_next(&client->worker->prng), kg_prng_next(&client->worker->prng) };

    kg_put_hex_bytes(&w, (const uint8_t *)words, sizeof(words));
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

/* detail: the Location of a redirection, else WWW-Authenticate; may be empty. */
static void put_answer_head(struct kg_client *client, enum kg_media media, size_t body_len,
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
        kg_put(w, kg_media_type(media));
    }
    KG_PUT(w, "\r\nContent-Length: ");
    kg_put_u64(w, body_len);
    if (detail.len > 0) {
        kg_put(w,
               request->status / 100 == 3 ? KG_SLICE("\r\nLocation: ") : KG_SLICE("\r\nWWW-Authenticate: "));
        kg_put(w, detail);
    }
    KG_PUT(w, "\r\nX-Keygate-Response-Latency: ");
    kg_put_u64(w, client->worker->now_ms - request->started_ms);
    KG_PUT(w, "\r\nX-Request-Id: ");
    kg_put(w, kg_slice_of(request->id, KG_REQUEST_ID));
    KG_PUT(w, "\r\nServer: keygate\r\n");
    put_connection(request, w);
    KG_PUT(w, "\r\n");
}

/* An empty message is an empty body. */
static void answer(struct kg_client *client, enum kg_media media, unsigned status, struct kg_slice message,
                   struct kg_slice detail)
{
    struct kg_request *request = &client->request;
    struct kg_block *block = kg_block_new(&client->worker->ring.blocks);
    char text[2048];
    struct kg_writer body = kg_writer_of(text, sizeof(text)), out = kg_writer_of(block->data, block->size);

    if (request->upstream)
        kg_upstream_release(request->upstream, false);
    request->status = status;
    /* A body that is still coming is not waited for: the connection ends with the answer. */
    request->keep_alive = request->keep_alive && request->body_done && !client->worker->draining;
    if (message.len > 0)
        kg_error_body(media, message, kg_slice_of(request->id, KG_REQUEST_ID), &body);
    put_answer_head(client, media, body.len, detail, &out);
    if (!request->to_head)
        kg_put(&out, kg_writer_slice(&body));
    block->end = (uint32_t)out.len;
    request->bytes_out += out.len;
    request->answering = true;
    kg_sock_write_block(&client->sock, block);
    kg_client_answered(client);
}

void kg_request_answer(struct kg_client *client, unsigned status, struct kg_slice message,
                       struct kg_slice www_authenticate)
{
    /* Later than the head's first look, its Accept is gone: JSON. */
    answer(client, KG_MEDIA_JSON, status, message.len ? message : default_message(status), www_authenticate);
}

/* The same while worker->head still holds the request: in the form its Accept asks for. */
static void answer_head(struct kg_client *client, unsigned status, struct kg_slice message,
                        struct kg_slice www_authenticate)
{
    answer(client, kg_media_negotiate(&client->worker->head), status,
           message.len ? message : default_message(status), www_authenticate);
}

void kg_request_refuse(struct kg_client *client, unsigned status)
{
    struct kg_request *request = &client->request;

    if (!request->started_ms) {
        request->started_ms = client->worker->now_ms;
        make_id(client);
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
    struct kg_request *request = &client->request;
    struct kg_worker *worker = client->worker;

    *request = (struct kg_request){
        .snapshot = worker->snapshot,
        .started_ms = worker->now_ms,
        .bytes_in = head_len,
        .to_head = worker->head.method == KG_METHOD_HEAD,
        .http10 = worker->head.minor == 0,
        .https = client->tls,
    };
    kg_snapshot_hold(request->snapshot, worker->index);
    make_id(client);
    client->begun++;
    kg_trust_begin(client);
    kg_count(&worker->stats.requests);
}

static bool is_idempotent(enum kg_method method)
{
    /* RFC 9110, 9.2.2. */
    return method == KG_METHOD_GET || method == KG_METHOD_HEAD || method == KG_METHOD_PUT ||
           method == KG_METHOD_DELETE || method == KG_METHOD_OPTIONS;
}

static void take_framing(struct kg_client *client, const struct kg_framing *framing, enum kg_method method)
{
    struct kg_request *request = &client->request;
    uint32_t most = client->worker->config->keepalive_requests;

    request->body = framing->body;
    request->body_left = framing->length;
    request->body_done = framing->body == KG_BODY_NONE;
    request->expects = framing->expect_continue;
    request->asks_more = framing->keep_alive;
    request->keep_alive = framing->keep_alive && (most == 0 || client->begun < most);
    request->idempotent = is_idempotent(method);
    request->upgrade = kg_tunnel_wanted(framing, method);
    request->te_trailers = framing->te_trailers && !request->http10;
}

static bool find_route(struct kg_client *client, const struct kg_framing *framing,
                       const struct kg_target *target, struct kg_slice path, struct kg_match *match)
{
    struct kg_worker *worker = client->worker;
    struct kg_route_query query = {
        .method = worker->head.method_text,
        .path = path,
        .head = &worker->head,
        .regex = worker->regex,
        .tls = client->tls,
    };
    struct kg_slice host = target->authority.len ? target->authority : framing->host;
    char sni[256];

    if (client->tls)
        query.sni = kg_slice_of(sni, kg_sock_server_name(&client->sock, sni));
    /* HTTP/1.0 may come without one. */
    if (host.len > 0 && kg_host_split(host, &query.host, &query.host_port))
        return false;
    /* A Host without a port means the one the client connected to. */
    if (query.host_port == 0)
        query.host_port = client->port;
    return kg_snapshot_route(client->request.snapshot, &query, match);
}

/* A route for https alone, and no https: sent there, or told to come by it. Where the client wants to go is
 * known only from a Host, and OPTIONS * is no place to be sent to. */
static void ask_for_https(struct kg_client *client, const struct kg_framing *framing,
                          const struct kg_target *target)
{
    struct kg_writer location = kg_writer_of(client->worker->scratch, KG_QUERY_SCRATCH);
    struct kg_slice authority = kg_trust_value(client, KG_SLICE("X-Forwarded-Host")), host = { 0 };
    unsigned status = client->request.route->https_redirect_status;
    uint16_t port;

    if (authority.len == 0)
        authority = target->authority.len ? target->authority : framing->host;
    if (status == 426 || authority.len == 0 || kg_host_split(authority, &host, &port) ||
        kg_slice_eq(target->path, KG_SLICE("*"))) {
        answer_head(client, 426, KG_SLICE("Please use HTTPS protocol"), KG_SLICE(""));
        return;
    }
    KG_PUT(&location, "https://");
    kg_put(&location, host);
    kg_put(&location, target->path);
    if (target->has_query) {
        kg_put_char(&location, '?');
        kg_put(&location, target->query);
    }
    KG_ASSERT(!location.overflow);
    answer(client, KG_MEDIA_JSON, status, KG_SLICE(""), kg_writer_slice(&location));
}

/* Policies, then the way to the upstream. */
static void pass(struct kg_client *client, const struct kg_framing *framing, const struct kg_target *target,
                 struct kg_slice path, size_t prefix_len)
{
    struct kg_request *request = &client->request;
    struct kg_worker *worker = client->worker;
    struct kg_writer scratch = kg_writer_of(worker->scratch, KG_QUERY_SCRATCH);
    struct kg_policy_request policy = {
        .snapshot = request->snapshot,
        .hasher = worker->hasher,
        .head = &worker->head,
        .target = target,
        .now_wall = worker->now_wall,
        .https = request->https,
        .query = target->query,
        .has_query = target->has_query,
        .scratch = &scratch,
    };

    bool passed = kg_policies_run(request->route, &policy);
    request->consumer = policy.consumer;
    if (policy.credential)
        kg_key_uses_note(&worker->key_uses, policy.credential, worker->now_wall);
    if (policy.has_signal)
        kg_request_signal(client, policy.signal);
    if (!passed) {
        request->denied = policy.status == 401 || policy.status == 403;
        request->limited = policy.status == 429;
        answer_head(client, policy.status, policy.message, policy.www_authenticate);
        return;
    }
    if (!request->service) {
        answer_head(client, 503, KG_SLICE("no Service found with those values"), KG_SLICE(""));
        return;
    }
    if (!kg_attempt_choose(client, &policy, path)) {
        answer_head(client, 503,
                    request->service->balancer->unresolved
                        ? KG_SLICE("name resolution failed")
                        : KG_SLICE("failure to get a peer from the ring-balancer"),
                    KG_SLICE(""));
        return;
    }
    if (framing->body == KG_BODY_CHUNKED)
        kg_trailers_expect(worker, &request->trailers_up);
    request->head = kg_block_new(&worker->ring.blocks);
    struct kg_writer out = kg_writer_of(request->head->data, request->head->size);
    if (!kg_forward_request_head(client, framing, target, &policy, path, prefix_len, &out)) {
        answer_head(client, 431, KG_SLICE(""), KG_SLICE(""));
        return;
    }
    request->head->end = (uint32_t)out.len;
    kg_upstream_start(client);
}

/* What the head asks for, and where it ends: 0, or the status to refuse it with, negated. */
static int understand(struct kg_head *head, struct kg_framing *framing, struct kg_target *target,
                      struct kg_writer *path)
{
    const char *why;
    int rc = kg_framing_request(head, framing, &why);

    if (rc != 0)
        return rc;
    rc = kg_target_parse(head, framing->host, target, &why);
    if (rc != 0)
        return rc;
    if (!kg_slice_eq(target->path, KG_SLICE("*")))
        return kg_path_normalize(target->path, path, &why);
    kg_put(path, target->path);
    return 0;
}

void kg_request_begin(struct kg_client *client, size_t head_len)
{
    struct kg_worker *worker = client->worker;
    struct kg_request *request = &client->request;
    struct kg_writer path = kg_writer_of(worker->path, KG_PATH_SCRATCH);
    struct kg_framing framing;
    struct kg_target target;
    struct kg_match match;

    begin(client, head_len);
    int rc = understand(&worker->head, &framing, &target, &path);
    if (rc != 0) {
        kg_request_refuse(client, (unsigned)-rc);
        return;
    }
    take_framing(client, &framing, worker->head.method);
    if (kg_trust_is_banned(client)) {
        kg_count(&worker->stats.requests_banned);
        answer_head(client, 403, KG_SLICE("Address is banned"), KG_SLICE(""));
        return;
    }
    if (kg_request_is_too_large(client, framing.length)) {
        answer_head(client, 413, KG_SLICE(""), KG_SLICE(""));
        return;
    }
    if (!find_route(client, &framing, &target, kg_writer_slice(&path), &match)) {
        answer_head(client, 404, KG_SLICE("no Route matched with those values"), KG_SLICE(""));
        return;
    }
    request->route = match.route;
    request->service = match.route->service;
    if (match.route->https_only && !request->https) {
        ask_for_https(client, &framing, &target);
        return;
    }
    pass(client, &framing, &target, kg_writer_slice(&path), match.prefix_len);
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
    account(client);
    if (request->snapshot)
        kg_snapshot_release(request->snapshot, client->worker->index);
    *request = (struct kg_request){ 0 };
}
