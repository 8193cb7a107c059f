/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What becomes of a request: framing, ban, route, policies, endpoint, and the head that goes upstream; or the
 * status that we answer with. Asked by request.c, which does it, and by rehearse.c, which only tells.
 */
#include "proxy/internal.h"

#include "base/assert.h"

void kg_request_make_id(struct kg_client *client)
{
    struct kg_writer w = kg_writer_of(client->request.id, KG_REQUEST_ID);
    uint64_t words[2] = { kg_prng_next(&client->worker->prng), kg_prng_next(&client->worker->prng) };

    kg_put_hex_bytes(&w, (const uint8_t *)words, sizeof(words));
}

void kg_request_open(struct kg_client *client)
{
    struct kg_worker *worker = client->worker;

    client->request = (struct kg_request){
        .snapshot = worker->snapshot,
        .started_ms = worker->now_ms,
        .to_head = worker->head.method == KG_METHOD_HEAD,
        .http10 = worker->head.minor == 0,
        .https = client->tls,
    };
    kg_request_make_id(client);
    kg_trust_begin(client);
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

/* Whatever status is not 0 is not passed on: with the message that goes with it, where there is none of its
 * own. */
static void refuse(struct kg_decision *decision, unsigned status, struct kg_slice message)
{
    decision->status = status;
    decision->message = message.len ? message : kg_request_message(status);
}

static bool find_route(struct kg_client *client, struct kg_slice sni, struct kg_decision *decision)
{
    const struct kg_worker *worker = client->worker;
    struct kg_route_query *query = &decision->query;
    struct kg_slice authority = decision->target.authority;
    struct kg_slice host = authority.len ? authority : decision->framing.host;
    struct kg_match match;

    *query = (struct kg_route_query){
        .method = worker->head.method_text,
        .path = decision->path,
        .sni = sni,
        .head = &worker->head,
        .regex = worker->regex,
        .tls = client->tls,
    };
    /* HTTP/1.0 may come without one. */
    if (host.len > 0 && kg_host_split(host, &query->host, &query->host_port))
        return false;
    /* A Host without a port means the one the client connected to. */
    if (query->host_port == 0)
        query->host_port = client->port;
    if (!kg_snapshot_route(client->request.snapshot, query, &match))
        return false;
    client->request.route = match.route;
    client->request.service = match.route->service;
    decision->prefix_len = match.prefix_len;
    return true;
}

/* A route for https alone, and no https: sent there, or told to come by it. Where the client wants to go is
 * known only from a Host, and OPTIONS * is no place to be sent to. */
static void ask_for_https(const struct kg_client *client, struct kg_decision *decision)
{
    const struct kg_target *target = &decision->target;
    struct kg_writer location = kg_writer_of(client->worker->scratch, KG_QUERY_SCRATCH);
    struct kg_slice authority = kg_trust_value(client, KG_SLICE("X-Forwarded-Host")), host = { 0 };
    unsigned status = client->request.route->https_redirect_status;
    uint16_t port;

    if (authority.len == 0)
        authority = target->authority.len ? target->authority : decision->framing.host;
    if (status == 426 || authority.len == 0 || kg_host_split(authority, &host, &port) ||
        kg_slice_eq(target->path, KG_SLICE("*"))) {
        refuse(decision, 426, KG_SLICE("Please use HTTPS protocol"));
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
    decision->status = status;
    decision->detail = kg_writer_slice(&location);
}

static bool policies_pass(struct kg_client *client, const struct kg_payload *payload,
                          struct kg_decision *decision)
{
    struct kg_request *request = &client->request;
    struct kg_worker *worker = client->worker;
    struct kg_policy_request *policy = &decision->policy;

    decision->scratch = kg_writer_of(worker->scratch, KG_QUERY_SCRATCH + worker->config->search_body);
    *policy = (struct kg_policy_request){
        .snapshot = request->snapshot,
        .route = request->route,
        .hasher = worker->hasher,
        .verifier = worker->verifier,
        .counters = worker->config->counters,
        .head = &worker->head,
        .framing = &decision->framing,
        .target = &decision->target,
        .path = decision->path,
        .address = kg_request_address(client),
        .id = kg_slice_of(request->id, KG_REQUEST_ID),
        .connection = { worker->rehearsal ? -1 : client->sock.fd, client->port, client->number,
                        client->begun },
        .now_wall = worker->now_wall,
        .https = request->https,
        .rehearsal = worker->rehearsal,
        .turns = worker->turns,
        .query = decision->target.query,
        .has_query = decision->target.has_query,
        .scratch = &decision->scratch,
        .payload = { .obtainable = !payload && kg_collect_may(client, &decision->framing) },
        .to_upstream = kg_writer_of(worker->to_upstream, KG_NOTES_UP),
        .to_client = kg_writer_of(worker->to_client, KG_NOTES_MAX),
    };
    if (payload)
        policy->payload = *payload;
    bool passed = kg_policies_run(policy);
    decision->awaits_body = policy->payload.wanted;
    if (decision->awaits_body)
        return false;
    if (policy->to_upstream.overflow || policy->to_client.overflow)
        passed = kg_policy_fail(policy);
    request->consumer = policy->principal.consumer;
    request->max_body = policy->max_body;
    kg_notes_keep(client, kg_writer_slice(&policy->to_client));
    return passed;
}

static void answer_for_policy(struct kg_decision *decision)
{
    const struct kg_policy_request *policy = &decision->policy;

    decision->by_policy = true;
    decision->detail = policy->www_authenticate;
    decision->status = policy->status;
    decision->reason = policy->reason;
    decision->message = policy->message;
    decision->body = policy->body;
    decision->body_type = policy->body_type;
}

/* Of a body that was collected: nobody waits for a 100 to send it, and it may have become shorter. */
static void announce_payload(struct kg_head *head, struct kg_decision *decision)
{
    for (size_t i = 0; i < head->count; i++)
        head->headers[i].hop = head->headers[i].hop || head->headers[i].id == KG_H_EXPECT;
    if (decision->policy.payload.changed && decision->framing.body == KG_BODY_LENGTH)
        decision->framing.length = decision->policy.payload.len;
}

/* The head for the upstream, into a block. */
static void build_head(struct kg_client *client, const struct kg_payload *payload,
                       struct kg_decision *decision)
{
    struct kg_request *request = &client->request;
    struct kg_worker *worker = client->worker;

    if (payload)
        announce_payload(&worker->head, decision);
    else if (decision->framing.body == KG_BODY_CHUNKED)
        kg_trailers_expect(worker, &request->trailers_up);
    request->head = kg_block_new(&worker->ring.blocks);
    struct kg_writer out = kg_writer_of(request->head->data, request->head->size);
    if (!kg_forward_request_head(client, &decision->framing, &decision->target, &decision->policy,
                                 decision->path, decision->prefix_len, &out)) {
        refuse(decision, 431, KG_SLICE(""));
        return;
    }
    request->head->end = (uint32_t)out.len;
}

/* Policies, then the way to the upstream. */
static void pass(struct kg_client *client, const struct kg_payload *payload, struct kg_decision *decision)
{
    const struct kg_request *request = &client->request;

    if (!policies_pass(client, payload, decision)) {
        if (!decision->awaits_body)
            answer_for_policy(decision);
        return;
    }
    /* The length is 0 of a chunked body, some or all of which may be there. */
    if (kg_request_is_too_large(client, decision->framing.length + request->body_bytes)) {
        refuse(decision, 413, KG_SLICE(""));
        return;
    }
    if (!request->service) {
        refuse(decision, 503, KG_SLICE("no Service found with those values"));
        return;
    }
    if (!kg_attempt_choose(client, &decision->policy, decision->path)) {
        refuse(decision, 503,
               request->service->balancer->unresolved
                   ? KG_SLICE("name resolution failed")
                   : KG_SLICE("failure to get a peer from the ring-balancer"));
        return;
    }
    build_head(client, payload, decision);
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

static void decide(struct kg_client *client, struct kg_slice sni, const struct kg_payload *payload,
                   struct kg_decision *decision)
{
    struct kg_worker *worker = client->worker;
    struct kg_request *request = &client->request;
    struct kg_writer path = kg_writer_of(worker->path, KG_PATH_SCRATCH);

    *decision = (struct kg_decision){ 0 };
    int rc = understand(&worker->head, &decision->framing, &decision->target, &path);
    if (rc != 0) {
        decision->malformed = true;
        refuse(decision, (unsigned)-rc, KG_SLICE(""));
        return;
    }
    decision->path = kg_writer_slice(&path);
    if (!payload)
        take_framing(client, &decision->framing, worker->head.method);
    /* Who waited to be told to send its body has been told. */
    decision->framing.expect_continue = decision->framing.expect_continue && !payload;
    if (kg_trust_is_banned(client)) {
        decision->banned = true;
        decision->reason = KG_REASON_BANNED;
        refuse(decision, 403, KG_SLICE("Address is banned"));
        return;
    }
    if (kg_request_is_too_large(client, decision->framing.length)) {
        refuse(decision, 413, KG_SLICE(""));
        return;
    }
    if (!find_route(client, sni, decision)) {
        decision->reason = KG_REASON_NO_ROUTE;
        refuse(decision, 404, KG_SLICE("no Route matched with those values"));
        return;
    }
    if (request->route->https_only && !request->https) {
        ask_for_https(client, decision);
        return;
    }
    pass(client, payload, decision);
}

/* In the words of the style that the settings ask for. */
static void put_into_style(enum kg_error_style style, struct kg_decision *decision)
{
    decision->message = kg_error_style_message(style, decision->reason, decision->status, decision->message);
    decision->detail =
        kg_error_style_challenge(style, decision->reason, decision->detail, &decision->scratch);
}

void kg_decide(struct kg_client *client, struct kg_slice sni, const struct kg_payload *payload,
               struct kg_decision *decision)
{
    decide(client, sni, payload, decision);
    if (decision->status)
        put_into_style(client->worker->config->error_style, decision);
}
