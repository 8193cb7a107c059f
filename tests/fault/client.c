/* SPDX-License-Identifier: BSD-2-Clause */
/* A client: sends its requests, and knows what may come back for each. */
#include "world.h"

#include <errno.h>
#include <stdio.h>
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
    return plan->body != FRAMED_NONE && (plan->early || plan->flaw != FLAW_NONE || plan->too_large);
}

/* The header of the PROXY protocol, and whom it makes of the client. */
static void introduce(struct client *client)
{
    static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
    unsigned number = client->number + 1;
    char peer[64], said[64] = "";

    snprintf(peer, sizeof(peer), "10.0.0.%u", number);
    snprintf(client->near, sizeof(client->near), "%s", peer);
    client->misintroduced = world.proxied && world.rough && rnd_chance(&sim.rnd, 10);
    if (client->misintroduced) {
        text_print(&client->intro, rnd_chance(&sim.rnd, 50) ? "PROXY TCP4 nobody\r\n" : "GET / HTTP/1.1\r\n");
    } else if (world.proxied) {
        switch (rnd_below(&sim.rnd, 5)) {
        case 0:
            snprintf(said, sizeof(said), "192.0.2.%u", number);
            text_print(&client->intro, "PROXY TCP4 %s 192.0.2.254 5555 80\r\n", said);
            break;
        case 1:
            snprintf(said, sizeof(said), "2001:db8::%u", number);
            text_print(&client->intro, "PROXY TCP6 %s 2001:db8::ffff 5555 80\r\n", said);
            break;
        case 2:
            text_print(&client->intro, "PROXY UNKNOWN\r\n");
            break;
        case 3:
            snprintf(said, sizeof(said), "10.0.0.%u", 200 + number);
            text_add(&client->intro, signature, 12);
            text_add(&client->intro, "\x21\x11\0\x0c\x0a\0\0", 7);
            text_add(&client->intro, &(uint8_t){ (uint8_t)(200 + number) }, 1);
            text_add(&client->intro, "\x0a\0\0\1\x10\x10\0\x50", 8);
            break;
        default:
            text_add(&client->intro, signature, 12);
            text_add(&client->intro, "\x20\0\0\0", 4);
        }
    }
    if (said[0] && world_trusts(peer))
        snprintf(client->near, sizeof(client->near), "%s", said);
    client->trusted = world_trusts(client->near);
}

void client_begin(struct client *client, uint32_t number)
{
    bool early = false;

    memset(client, 0, sizeof(*client));
    client->number = number;
    introduce(client);
    client->count = rnd_between(&sim.rnd, 1, WORLD_REQUESTS);
    for (unsigned i = 0; i < client->count; i++) {
        struct plan *plan = &client->plans[i];

        *plan = plan_of(number * WORLD_REQUESTS + i, world.rough);
        early |= answers_early(plan);
        client->starts[i] = client->out.len;
        client->bodies[i] = client->out.len + plan_request(plan, &client->out);
        /* Nothing comes behind a tunnel. */
        if (plan->accepted)
            client->count = i + 1;
    }
    client->starts[client->count] = client->out.len;
    const struct plan *last = &client->plans[client->count - 1];
    if (last->accepted)
        plan_add_bytes(&client->out, last->tag, false, last->up_len);
    choose_ending(client);
    client->impatient = rnd_chance(&sim.rnd, 20);
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
    if ((plan->flaw == FLAW_KEY && status == 401) || (plan->too_large && status == 413))
        return true;
    if (plan->flaw == FLAW_PATH && status == 404)
        return true;
    if (plan->flaw == FLAW_GARBAGE)
        return status == 400 || status == 408;
    if (plan->flaw == FLAW_CHUNK && status == 400)
        return true;
    /* Banned where a trusted proxy says that it is. */
    if (world.rough && status == 403 && world.trust != TRUST_NOBODY)
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
    /* The gateway's own, which wants to see the body. */
    bool asked = in->status == 100 && plan->searched && plan->expects;
    client->continued |= asked;
    if (!in->tagged && in->status < 200 && !asked)
        fail(client, "an interim answer %u of nobody's", in->status);
    if (!in->tagged && in->status >= 200 && !own_answer_fits(client, plan, in->status))
        fail(client, "answered %u by the gateway itself", in->status);
    if (!in->tagged)
        return;
    if (in->tag != plan->tag)
        fail(client, "the answer to request %u of client %u", in->tag % WORLD_REQUESTS,
             in->tag / WORLD_REQUESTS);
    if (in->status < 200 && plan->http10)
        fail(client, "an interim answer to HTTP/1.0");
    if (in->status == 100 && !plan->expects)
        fail(client, "told to continue what does not wait");
    if (in->status == 101 && !in->upgrades)
        fail(client, "101 does not say to what");
    client->continued |= in->status == 100;
    bool final = in->status >= 200 || in->status == 101;
    if (final && (!service_answers(plan) || in->status != plan->status))
        fail(client, "answered %u, which the service did not say", in->status);
}

static bool takes_trailer(const struct plan *plan)
{
    return plan->answer_trailer && plan->te && !plan->http10 && !plan->is_head;
}

static void check_whole(struct client *client)
{
    const struct plan *plan = &client->plans[client->answered];

    if (!client->in.tagged) {
        world.own++;
        world.too_large += client->in.status == 413;
        return;
    }
    if (plan->mishap == MISHAP_CUT || plan->mishap == MISHAP_CUT_HARD)
        fail(client, "a cut answer looks whole after %llu bytes", (unsigned long long)client->in.body);
    if (client->in.body != plan->answer_len)
        fail(client, "an answer of %llu bytes instead of %u", (unsigned long long)client->in.body,
             plan->answer_len);
    if (client->in.trailer != takes_trailer(plan))
        fail(client, "a trailer %s", takes_trailer(plan) ? "is lost" : "out of nothing");
    world.whole++;
    world.trailers += client->in.trailer;
}

static void one_answered(struct client *client)
{
    check_whole(client);
    sim_trace("client %u, request %u: answered %u%s", client->number, client->answered, client->in.status,
              client->in.says_close ? ", the last" : "");
    client->ended = client->in.says_close;
    client->answered++;
    client->interims = 0;
    world.continued += client->continued;
    client->continued = false;
    if (client->ended)
        return;
    if (client->answered < client->count)
        message_begin(&client->in, true, client->plans[client->answered].is_head);
    else
        message_begin(&client->in, true, false);
}

/* Bytes behind a 101. */
static void take_passed(struct client *client, const char *ptr, size_t len)
{
    const struct plan *plan = &client->plans[client->count - 1];

    for (size_t i = 0; i < len; i++) {
        if (ptr[i] != plan_byte(plan->tag, true, client->passed++))
            fail(client, "byte %llu of a tunnel is wrong", (unsigned long long)client->passed - 1);
    }
    if (client->passed > plan->down_len)
        fail(client, "a tunnel of %llu bytes instead of %u", (unsigned long long)client->passed,
             plan->down_len);
}

static void begin_tunnel(struct client *client)
{
    sim_trace("client %u, request %u: a tunnel", client->number, client->answered);
    client->tunnel = true;
    client->answered++;
    world.tunnels++;
}

static void take(struct client *client, const char *ptr, size_t len)
{
    if (client->misintroduced)
        fail(client, "an answer although nobody knows whom to");
    while (len > 0) {
        if (client->tunnel) {
            take_passed(client, ptr, len);
            return;
        }
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
        if (client->in.status == 101) {
            begin_tunnel(client);
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

/* How far it sends for now. */
static size_t may_send(const struct client *client)
{
    size_t until = client->stop;

    if (client->tunnel)
        return until;
    /* What it pipelines waits for 100 Continue as well. */
    for (unsigned i = client->answered; i < client->count; i++) {
        const struct plan *plan = &client->plans[i];
        size_t to = SIZE_MAX;

        if (plan->expects && !client->impatient && !(i == client->answered && client->continued))
            to = client->bodies[i];
        else if (!client->pipelines || (plan->accepted && !plan->eager))
            to = client->starts[i + 1];
        if (to != SIZE_MAX)
            return to < until ? to : until;
    }
    bool all = client->answered < client->count || client->starts[client->count] > until;
    return all ? until : client->starts[client->count];
}

static bool send_some(struct client *client)
{
    size_t until = may_send(client);

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

static void tell_end(struct client *client)
{
    client->told_end = true;
    wire_shutdown(client->wire);
}

/* All that it wanted to send is sent: true when it leaves. */
static bool stop_sending(struct client *client)
{
    if (client->stopped || client->sent < client->stop)
        return false;
    client->stopped = true;
    if (client->ending == ENDS_HALF)
        tell_end(client);
    if (client->ending == ENDS_MIDWAY || client->ending == ENDS_HARD)
        leave(client, client->ending == ENDS_HARD);
    return client->finished;
}

/* The service has ended its way through the tunnel, or the tunnel has broken. */
static void hear_end(struct client *client, bool orderly)
{
    const struct plan *plan = &client->plans[client->count - 1];

    client->heard_end = true;
    if (!world.rough && (!orderly || client->passed != plan->down_len))
        fail(client, "a tunnel %s after %llu bytes", orderly ? "ends" : "breaks",
             (unsigned long long)client->passed);
    if (!orderly)
        leave(client, false);
}

/* In a tunnel: ends its own way when the time has come, and leaves when both have ended. */
static bool end_tunnel(struct client *client)
{
    const struct plan *plan = &client->plans[client->count - 1];
    bool said = client->sent == client->out.len;

    if (!client->tunnel || client->finished)
        return false;
    if (said && !client->told_end && (!plan->service_ends_first || client->heard_end))
        tell_end(client);
    if (!client->heard_end || !(client->told_end || client->deaf || client->stopped))
        return false;
    leave(client, false);
    return true;
}

static bool read_some(struct client *client)
{
    char bytes[4096];

    if (client->heard_end)
        return false;
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
    if (client->tunnel) {
        hear_end(client, rc == 0 && !client->broken);
        return true;
    }
    judge_end(client, rc == 0 && !client->broken);
    leave(client, false);
    return true;
}

static bool arrive(struct client *client)
{
    client->sock = sim_connect(WORLD_PORT, 0x0a000001 + client->number);
    if (!client->sock && !world.rough)
        fail(client, "nobody listens");
    client->finished = !client->sock;
    return true;
}

/* The PROXY header, in the clear also where TLS comes behind it. */
static bool send_introduction(struct client *client)
{
    size_t left = client->intro.len - client->introduced;
    int rc =
        left > 0 ? sim_sock_send(client->sock, client->intro.ptr + client->introduced, world_piece(left)) : 0;

    if (rc == -EAGAIN)
        return false;
    client->introduced += rc > 0 ? (size_t)rc : left;
    client->broken |= rc == -ECONNRESET;
    client->deaf |= rc < 0;
    if (client->introduced == client->intro.len)
        client->wire =
            world.tls_clients && !client->deaf ? wire_client(client->sock) : wire_plain(client->sock);
    return true;
}

bool client_step(struct client *client)
{
    if (client->finished || client->wake_ns > sim.now_ns)
        return false;
    if (!client->sock)
        return arrive(client);
    if (!client->wire)
        return send_introduction(client);
    if (rnd_chance(&sim.rnd, 30))
        return true;
    bool moved = send_some(client);
    if (stop_sending(client))
        return true;
    moved |= read_some(client);
    moved |= end_tunnel(client);
    if (!client->finished && !client->tunnel && client->answered == client->count &&
        client->ending == ENDS_AFTER) {
        leave(client, false);
        moved = true;
    }
    return moved;
}
