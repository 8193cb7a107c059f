/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One try after the other to have a request answered. What may be sent again is what cannot have been acted
 * on (no connection stood), or what does the same when it is done twice (RFC 9110, 9.2.2) and of whose body
 * nothing is gone; and only while nothing of an answer has come. request->head is there for as long as that
 * is so.
 */
#include "proxy/internal.h"

#include "base/assert.h"
#include "proxy/health.h"

bool kg_attempt_choose(struct kg_client *client, const struct kg_policy_request *policy, struct kg_slice path)
{
    struct kg_request *request = &client->request;
    struct kg_worker *worker = client->worker;
    const struct kg_balancer *balancer = request->service->balancer;
    const struct kg_principal *principal = &policy->principal;
    struct kg_slice consumer =
        principal->consumer ? kg_slice_str(principal->consumer->id) : principal->credential_id;
    struct kg_hash_input input = {
        .head = &worker->head,
        .path = path,
        .query = policy->target->query,
        .client = kg_request_address(client),
        .consumer = consumer,
        .prng = &worker->prng,
    };

    kg_balance_hash(balancer, &input, &request->choice);
    if (kg_balance_choose(&worker->rotations, balancer, &request->choice))
        return true;
    kg_count(&worker->stats.no_peer);
    return false;
}

bool kg_attempt_is_left(const struct kg_client *client)
{
    return client->request.retries < client->request.service->retries;
}

/* The endpoint's name in the kept head becomes that of the endpoint chosen now. False: no room. */
static bool rename_host(struct kg_request *request, struct kg_slice host)
{
    struct kg_block *head = request->head;
    uint32_t behind = request->host_at + request->host_len;

    if (request->host_len == 0)
        return true;
    if (host.len > request->host_len && host.len - request->host_len > kg_block_room(head))
        return false;
    KG_ASSERT(head->start == 0 && behind < head->end);
    memmove(head->data + request->host_at + host.len, head->data + behind, head->end - behind);
    memcpy(head->data + request->host_at, host.ptr, host.len);
    head->end = head->end - request->host_len + (uint32_t)host.len;
    request->host_len = (uint32_t)host.len;
    return true;
}

/* False, and the connection is given up, when there is nowhere to go. */
static bool try_another(struct kg_client *client)
{
    struct kg_request *request = &client->request;
    struct kg_worker *worker = client->worker;

    if (!request->head || request->body_touched || !kg_attempt_is_left(client))
        return false;
    if (request->upstream)
        kg_upstream_release(request->upstream, false);
    if (!kg_balance_choose(&worker->rotations, request->service->balancer, &request->choice) ||
        !rename_host(request, request->choice.endpoint->host_header))
        return false;
    request->retries++;
    request->renewed = false;
    request->pace.turn = KG_TURN_NONE; /* its timeouts begin anew */
    kg_count(&worker->stats.retries);
    kg_upstream_start(client);
    kg_relay_pump(client);
    return true;
}

/* Silence towards a client that sends nothing itself until it is told to go on: a target that knows no 100
 * Continue may be waiting for the body, so that anybody could take it out. */
static bool waits_in_vain(const struct kg_request *request)
{
    return request->expects && request->upstream && request->upstream->state == KG_UPSTREAM_HEAD;
}

static void report_failure(const struct kg_request *request, enum kg_failure failure)
{
    const struct kg_endpoint *endpoint = request->choice.endpoint;

    if (endpoint && !(failure == KG_FAILED_TIMEOUT && waits_in_vain(request)))
        kg_health_failed(&request->service->balancer->passive, endpoint->peer, failure);
}

void kg_attempt_failed(struct kg_client *client, unsigned status)
{
    report_failure(&client->request, status == 504 ? KG_FAILED_TIMEOUT : KG_FAILED_TCP);
    if (try_another(client))
        return;
    kg_count(&client->worker->stats.upstream_errors);
    if (client->request.answering) {
        kg_client_abort(client);
        return;
    }
    kg_request_answer(client, status, KG_SLICE(""), KG_SLICE(""));
}

void kg_attempt_cut(struct kg_client *client)
{
    report_failure(&client->request, KG_FAILED_TCP);
    kg_count(&client->worker->stats.upstream_errors);
    kg_client_abort(client);
}

void kg_attempt_done(struct kg_client *client)
{
    struct kg_request *request = &client->request;

    kg_balance_leave(&request->choice);
    kg_health_answered(&request->service->balancer->passive, request->choice.endpoint->peer, request->status);
}
