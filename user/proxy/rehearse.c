/* SPDX-License-Identifier: BSD-2-Clause */
#include "proxy/rehearse.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proxy/internal.h"

#include <stdlib.h>

/* A worker that has no thread, no ring and no sockets, but all that a decision needs, and its one client. */
struct kg_rehearsal {
    struct kg_worker *worker;
    struct kg_client *client;
    struct kg_decision decision;
    struct kg_policy_turns turns;
};

struct kg_rehearsal *kg_rehearsal_new(const struct kg_proxy_config *config)
{
    struct kg_rehearsal *rehearsal = kg_calloc(1, sizeof(*rehearsal));
    struct kg_worker *worker = kg_calloc_aligned(_Alignof(struct kg_worker), sizeof(*worker));

    worker->config = config;
    worker->rehearsal = true;
    worker->turns = &rehearsal->turns;
    kg_worker_ready(worker);
    kg_blocks_init(&worker->ring.blocks, kg_worker_block_size(config), 0);
    kg_banset_init(&worker->bans);
    rehearsal->worker = worker;
    rehearsal->client = kg_calloc(1, sizeof(*rehearsal->client));
    rehearsal->client->worker = worker;
    return rehearsal;
}

void kg_rehearsal_free(struct kg_rehearsal *rehearsal)
{
    struct kg_worker *worker = rehearsal->worker;
    struct kg_request *request = &rehearsal->client->request;

    if (request->head)
        kg_block_release(&worker->ring.blocks, request->head);
    kg_trailers_drop(worker, &request->trailers_up);
    kg_notes_drop(rehearsal->client);
    kg_blocks_free(&worker->ring.blocks);
    kg_banset_free(&worker->bans);
    kg_worker_forget(worker);
    free(rehearsal->client);
    free(worker);
    free(rehearsal);
}

/* Puts a source's ban into the worker's set, where the decision looks for it. */
static void learn_ban(struct kg_worker *worker, const struct kg_rehearsed_request *request,
                      const struct kg_addr *address)
{
    struct kg_addr source = kg_addr_source(address);

    if (source.family && request->is_banned(request->ctx, &source))
        kg_banset_put(&worker->bans, &source, 0, worker->now_ms);
}

static bool is_dropped(struct kg_worker *worker, const struct kg_addr *peer)
{
    struct kg_addr source = kg_addr_source(peer);

    return worker->bans.count > 0 && kg_banset_has(&worker->bans, &source, worker->now_ms);
}

static void tell_sender(const struct kg_client *client, struct kg_rehearsed *result)
{
    result->trusted = client->trusted;
    result->https = client->request.https;
    result->address = *kg_request_address(client);
}

static void tell_decision(const struct kg_rehearsal *rehearsal, struct kg_rehearsed *result)
{
    const struct kg_decision *decision = &rehearsal->decision;
    const struct kg_request *request = &rehearsal->client->request;

    result->status = decision->status;
    result->message = decision->message;
    result->detail = decision->detail;
    result->understood = !decision->malformed;
    result->routed = decision->query.method.len > 0;
    result->query = decision->query;
    result->route = request->route;
    result->prefix_len = decision->prefix_len;
    result->checked = decision->policy.head != NULL;
    result->answered = decision->policy.answered;
    result->turns = &rehearsal->turns;
    result->max_body = decision->policy.max_body;
    result->answer_lines = kg_notes_text(request->notes);
    result->body_type = decision->body_type;
    result->principal = decision->policy.principal;
    result->endpoint = request->choice.endpoint;
    result->hashed = request->choice.hashed && !request->choice.cookie;
    if (decision->status == 0)
        result->upstream_head = kg_slice_of(request->head->data, request->head->end);
}

/* What policies would be shown of it. */
static struct kg_payload payload_of(const struct kg_worker *worker, struct kg_slice body)
{
    if (body.len == 0 || body.len > worker->config->search_body)
        return (struct kg_payload){ 0 };
    memcpy(worker->body, body.ptr, body.len);
    return (struct kg_payload){ .ptr = worker->body, .len = body.len };
}

void kg_rehearse(struct kg_rehearsal *rehearsal, struct kg_snapshot *snapshot,
                 const struct kg_rehearsed_request *request, struct kg_rehearsed *result)
{
    struct kg_worker *worker = rehearsal->worker;
    struct kg_client *client = rehearsal->client;
    const char *why;

    KG_ASSERT(!client->request.started_ms);
    *result = (struct kg_rehearsed){ 0 };
    worker->snapshot = snapshot;
    worker->now_ms = kg_clock_ms();
    worker->now_wall = kg_clock_wall();
    kg_trust_peer(client, &request->peer);
    client->port = request->port;
    client->tls = request->tls;
    learn_ban(worker, request, &request->peer);
    if (is_dropped(worker, &request->peer)) {
        result->dropped = true;
        return;
    }
    int rc = kg_head_parse_request(request->head, &worker->config->limits, &worker->head, &why);
    if (rc <= 0) {
        result->status = rc < 0 ? (unsigned)-rc : request->too_long ? 431 : 400;
        result->message = kg_request_message(result->status);
        tell_sender(client, result);
        return;
    }
    kg_request_open(client);
    tell_sender(client, result);
    learn_ban(worker, request, &result->address);
    kg_decide(client, request->sni, NULL, &rehearsal->decision);
    if (rehearsal->decision.awaits_body) {
        struct kg_payload payload = payload_of(worker, request->body);

        kg_decide(client, request->sni, &payload, &rehearsal->decision);
    }
    /* Others choose by how many requests are on their way, and this one is not. */
    kg_balance_leave(&client->request.choice);
    tell_decision(rehearsal, result);
}
