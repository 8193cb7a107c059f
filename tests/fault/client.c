/* SPDX-License-Identifier: BSD-2-Clause */
/* A client: sends its requests, and knows what may come back for each. */
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define fail(client, text, ...)                                                                              \
    sim_fail("client %u, request %u: " text, (client)->number, (client)->answered, ##__VA_ARGS__)

static void choose_ending(struct client *client)
{
    bool early_end = world.rough && rnd_chance(&sim.rnd, 30);

    client->ending = (enum ending)rnd_between(&sim.rnd, ENDS_AFTER, ENDS_NEVER);
    client->stop = client->out.len;
    if (!early_end)
        return;
    client->ending = (enum ending)rnd_between(&sim.rnd, ENDS_MIDWAY, ENDS_STALLED);
    client->stop = rnd_below(&sim.rnd, (uint32_t)client->out.len);
}

/* Whether an answer may come before the request has been sent to its end. */
static bool answers_early(const struct plan *plan)
{
    return plan->body != FRAMED_NONE && (plan->early || plan->flaw != FLAW_NONE);
}

void client_begin(struct client *client, uint32_t number)
{
    bool early = false;

    memset(client, 0, sizeof(*client));
    client->number = number;
    client->count = rnd_between(&sim.rnd, 1, WORLD_REQUESTS);
    for (unsigned i = 0; i < client->count; i++) {
        client->plans[i] = plan_of(number * WORLD_REQUESTS + i, world.rough);
        early |= answers_early(&client->plans[i]);
        client->starts[i] = client->out.len;
        plan_request(&client->plans[i], &client->out);
    }
    client->starts[client->count] = client->out.len;
    choose_ending(client);
    client->pipelines = client->ending == ENDS_HALF || rnd_chance(&sim.rnd, 40);
    /* Who reads slowly may miss an answer that could not wait for it (RFC 9112, 9.6). */
    client->slow = (world.rough || !early) && rnd_chance(&sim.rnd, 15);
    client->wake_ns = sim.now_ns + rnd_below(&sim.rnd, rnd_chance(&sim.rnd, 70) ? 3000000 : 3000000000u);
    message_begin(&client->in, true, client->plans[0].is_head);
}

static void leave(struct client *client, bool reset)
{
    sim_trace("client %u leaves%s after %u of %u answers", client->number, reset ? " by a reset" : "",
              client->answered, client->count);
    wire_close(client->wire, reset                                     ? PART_RESET
                             : world.rough && rnd_chance(&sim.rnd, 20) ? PART_RUDE
                                                                       : PART_POLITE);
    client->finished = true;
}

/* ---- what may come ---- */

static bool own_answer_fits(const struct client *client, const struct plan *plan, unsigned status)
{
    if (plan->flaw == FLAW_KEY && status == 401)
        return true;
    if (plan->flaw == FLAW_PATH && status == 404)
        return true;
    if (plan->flaw == FLAW_GARBAGE)
        return status == 400 || status == 408;
    if (plan->flaw == FLAW_CHUNK && status == 400)
        return true;
    return world.rough && (status == 408 || (plan->flaw != FLAW_KEY && plan->flaw != FLAW_PATH &&
                                             (status == 502 || status == 503 || status == 504)));
}

static bool service_answers(const struct plan *plan)
{
    switch (plan->mishap) {
    case MISHAP_CLOSE:
    case MISHAP_RESET:
    case MISHAP_SILENCE:
    case MISHAP_GARBAGE:
    case MISHAP_SWITCH:
    case MISHAP_INTERIMS:
        return false;
    default:
        return plan->flaw == FLAW_NONE || plan->flaw == FLAW_CHUNK;
    }
}

static void check_head(struct client *client)
{
    const struct plan *plan = &client->plans[client->answered];
    const struct message *in = &client->in;

    if (client->sent <= client->starts[client->answered])
        fail(client, "answered %u before it was asked", in->status);
    if (!in->tagged && in->status < 200)
        fail(client, "an interim answer %u of nobody's", in->status);
    if (!in->tagged && !own_answer_fits(client, plan, in->status))
        fail(client, "answered %u by the gateway itself", in->status);
    if (!in->tagged)
        return;
    if (in->tag != plan->tag)
        fail(client, "the answer to request %u of client %u", in->tag % WORLD_REQUESTS,
             in->tag / WORLD_REQUESTS);
    if (in->status < 200 && plan->http10)
        fail(client, "an interim answer to HTTP/1.0");
    if (in->status >= 200 && (!service_answers(plan) || in->status != plan->status))
        fail(client, "answered %u, which the service did not say", in->status);
}

static void check_whole(struct client *client)
{
    const struct plan *plan = &client->plans[client->answered];

    if (!client->in.tagged) {
        world.own++;
        return;
    }
    if (plan->mishap == MISHAP_CUT || plan->mishap == MISHAP_CUT_HARD)
        fail(client, "a cut answer looks whole after %llu bytes", (unsigned long long)client->in.body);
    if (client->in.body != plan->answer_len)
        fail(client, "an answer of %llu bytes instead of %u", (unsigned long long)client->in.body,
             plan->answer_len);
    world.whole++;
}

static void one_answered(struct client *client)
{
    check_whole(client);
    sim_trace("client %u, request %u: answered %u%s", client->number, client->answered, client->in.status,
              client->in.says_close ? ", the last" : "");
    client->ended = client->in.says_close;
    client->answered++;
    client->interims = 0;
    if (client->ended)
        return;
    if (client->answered < client->count)
        message_begin(&client->in, true, client->plans[client->answered].is_head);
    else
        message_begin(&client->in, true, false);
}

static void take(struct client *client, const char *ptr, size_t len)
{
    while (len > 0) {
        /* Asked by a head that never ended, who may know that it was HEAD? */
        if (client->ended && client->in.status == 408 && client->in.to_head)
            return;
        if (client->ended)
            fail(client, "%zu bytes behind the last answer", len);
        if (client->answered == client->count)
            fail(client, "%zu bytes more than all its answers", len);
        bool in_head = client->in.state == MESSAGE_HEAD_LINES;
        size_t used = message_read(&client->in, ptr, len);
        if (client->in.fault)
            fail(client, "%s", client->in.fault);
        ptr += used;
        len -= used;
        if (in_head && client->in.state != MESSAGE_HEAD_LINES)
            check_head(client);
        if (client->in.state != MESSAGE_DONE)
            continue;
        if (client->in.status >= 200) {
            one_answered(client);
            continue;
        }
        if (++client->interims > WORLD_INTERIMS)
            fail(client, "%u interim answers", client->interims);
        message_begin(&client->in, true, client->in.to_head);
    }
}

/* The connection is over, orderly or not: may it be? */
static void judge_end(struct client *client, bool orderly)
{
    const struct message *in = &client->in;

    sim_trace("client %u: %s in state %d", client->number, orderly ? "end" : "reset", in->state);
    if (!client->ended && in->state == MESSAGE_CLOSE && orderly) {
        one_answered(client);
        return;
    }
    bool cut = !client->ended && message_begun(in);
    world.cuts += cut;
    if (world.rough)
        return;
    if (cut)
        fail(client, "its answer is cut after %llu bytes", (unsigned long long)in->body);
    if (!client->ended && client->answered < client->count)
        fail(client, "no answer but the end of the connection");
}

/* ---- moving ---- */

static bool send_some(struct client *client)
{
    size_t until = client->stop;

    if (!client->pipelines && client->answered < client->count &&
        client->starts[client->answered + 1] < until)
        until = client->starts[client->answered + 1];
    if (client->deaf || client->ended || client->sent >= until)
        return false;
    int rc = wire_send(client->wire, client->out.ptr + client->sent, world_piece(until - client->sent));
    if (rc == -EAGAIN)
        return false;
    /* Told once: whoever reads after that sees an end. */
    client->broken |= rc == -ECONNRESET;
    client->deaf |= rc < 0;
    client->sent += rc > 0 ? (size_t)rc : 0;
    return true;
}

/* All that it wanted to send is sent: true when it leaves. */
static bool stop_sending(struct client *client)
{
    if (client->stopped || client->sent < client->stop)
        return false;
    client->stopped = true;
    if (client->ending == ENDS_HALF)
        wire_shutdown(client->wire);
    if (client->ending == ENDS_MIDWAY || client->ending == ENDS_HARD)
        leave(client, client->ending == ENDS_HARD);
    return client->finished;
}

static bool read_some(struct client *client)
{
    char bytes[4096];
    int rc = wire_recv(client->wire, bytes, world_piece(sizeof(bytes)));

    if (rc == -EAGAIN)
        return false;
    if (rc > 0) {
        sim_trace("client %u reads %d bytes", client->number, rc);
        take(client, bytes, (size_t)rc);
        if (client->slow && rnd_chance(&sim.rnd, 30))
            client->wake_ns = sim.now_ns + rnd_below(&sim.rnd, world.rough ? 2000000000 : 50000000);
        return true;
    }
    judge_end(client, rc == 0 && !client->broken);
    leave(client, false);
    return true;
}

static bool arrive(struct client *client)
{
    struct sim_sock *sock = sim_connect(WORLD_PORT, 0x0a000001 + client->number);

    if (!sock && !world.rough)
        fail(client, "nobody listens");
    client->finished = !sock;
    if (sock)
        client->wire = world.tls_clients ? wire_client(sock) : wire_plain(sock);
    return true;
}

bool client_step(struct client *client)
{
    if (client->finished || client->wake_ns > sim.now_ns)
        return false;
    if (!client->wire)
        return arrive(client);
    if (rnd_chance(&sim.rnd, 30))
        return true;
    bool moved = send_some(client);
    if (stop_sending(client))
        return true;
    moved |= read_some(client);
    if (!client->finished && client->answered == client->count && client->ending == ENDS_AFTER) {
        leave(client, false);
        moved = true;
    }
    return moved;
}
