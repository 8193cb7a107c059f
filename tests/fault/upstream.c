/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection of the service: takes one request at a time, and answers as its plan says. */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define fail(upstream, text, ...) sim_fail("service, request %u: " text, (upstream)->plan.tag, ##__VA_ARGS__)

static void leave_by(struct upstream *upstream, enum parting parting)
{
    static const char *const words[] = { "", " rudely", " by a reset" };

    sim_trace("service leaves%s", words[parting]);
    wire_close(upstream->wire, parting);
    upstream->finished = true;
}

static void leave(struct upstream *upstream, bool reset)
{
    leave_by(upstream, reset ? PART_RESET : PART_POLITE);
}

/* A good service waits until the other side has ended too: what comes must not reset its answer away. */
static void part(struct upstream *upstream)
{
    if (world.rough) {
        leave(upstream, false);
        return;
    }
    upstream->leaving = true;
    wire_shutdown(upstream->wire);
}

/* Whether it says 101, and the tunnel begins behind it. */
static bool opens_tunnel(const struct plan *plan)
{
    return plan->accepted && (plan->mishap == MISHAP_NONE || plan->mishap == MISHAP_SLOW ||
                              plan->mishap == MISHAP_CUT || plan->mishap == MISHAP_CUT_HARD);
}

static void answer(struct upstream *upstream)
{
    const struct plan *plan = &upstream->plan;

    upstream->saying = true;
    upstream->tunnel = opens_tunnel(plan);
    upstream->out.len = upstream->sent = 0;
    if (plan->mishap != MISHAP_SILENCE)
        plan_answer(plan, &upstream->out);
    upstream->stop = upstream->whole = upstream->out.len;
    if (plan->mishap == MISHAP_MORE) {
        struct plan without = *plan;

        without.mishap = MISHAP_NONE;
        upstream->out.len = 0;
        plan_answer(&without, &upstream->out);
        upstream->whole = upstream->out.len;
        upstream->out.len = 0;
        plan_answer(plan, &upstream->out);
    }
    if (plan->mishap != MISHAP_CUT && plan->mishap != MISHAP_CUT_HARD)
        return;
    upstream->stop = plan->cut_at % upstream->out.len;
    /* Between an interim answer and the next. */
    const char *first = memmem(upstream->out.ptr, upstream->out.len, "\r\n\r\n", 4);
    if (plan->interims > 0 && plan->cut_at % 3 == 0 && first)
        upstream->stop = (size_t)(first - upstream->out.ptr) + 4;
}

static void say_continue(struct upstream *upstream)
{
    upstream->hello = upstream->saying = true;
    upstream->out.len = upstream->sent = 0;
    text_print(&upstream->out, "HTTP/1.1 100 Continue\r\nX-Tag: %u\r\n\r\n", upstream->plan.tag);
    upstream->stop = upstream->whole = upstream->out.len;
}

static void begin_request(struct upstream *upstream)
{
    message_begin(&upstream->in, false, false);
    upstream->known = upstream->asked = upstream->saying = upstream->served = upstream->bodied = false;
    upstream->used = true;
}

/* What the gateway alone says of a request. */
static void check_said(const struct upstream *upstream)
{
    const struct plan *plan = &upstream->plan;
    const struct client *client = &world.clients[plan->tag / WORLD_REQUESTS];
    char real[64], host[64] = "127.0.0.1:9000";

    snprintf(real, sizeof(real), "%s", client->near);
    if (client->trusted && plan->forwarded == FORWARDED_TWO && !world_trusts("10.0.0.5"))
        snprintf(real, sizeof(real), "10.0.0.5");
    else if (client->trusted && plan->forwarded != FORWARDED_NOT)
        snprintf(real, sizeof(real), "203.0.113.%u", plan->tag);
    for (unsigned i = 0; i < WORLD_TARGETS; i++) {
        if (world_targets[i].port == upstream->port)
            snprintf(host, sizeof(host), "%s",
                     world.tls_service ? world_targets[i].target : world_targets[i].host);
    }
    const struct {
        const char *name, *value;
    } said[] = { { "X-Consumer-Username", "alice" }, { "X-Real-IP", real }, { "Host", host } };

    for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) {
        const char *value = message_header(&upstream->in, said[i].name);

        if (!value || strcmp(value, said[i].value) != 0)
            fail(upstream, "%s is %s instead of %s", said[i].name, value ? value : "not there",
                 said[i].value);
    }
    if (upstream->in.upgrades != plan->tunnel)
        fail(upstream, "an upgrade that %s", plan->tunnel ? "is not told" : "nobody asked for");
}

/* Whether the gateway has got something of an answer to the request from somebody else. What it has given up
 * it may still read from when cancellations are late; and not all of TLS is answers. */
static bool is_being_answered(const struct upstream *upstream)
{
    bool told = sim.faults.late_cancel == 0 && !world.tls_service;

    for (unsigned i = 0; told && i < world.upstream_count; i++) {
        const struct upstream *other = world.upstreams[i];

        if (other != upstream && other->known && other->plan.tag == upstream->plan.tag &&
            wire_sock(other->wire)->peer->read > other->before)
            return true;
    }
    return false;
}

/* Whether the request may come here (again). A new connection's failure is one of its target: while there
 * are others, they come first. */
static void check_try(const struct upstream *upstream)
{
    const struct plan *plan = &upstream->plan;
    uint32_t tag = plan->tag;
    unsigned most = plan->idempotent ? 2 * (1 + WORLD_RETRIES) : 1;

    /* Given up meanwhile, it may have been under way for a while; and a leap of time outruns any answer. */
    const struct sim_sock *sock = wire_sock(upstream->wire);
    bool late = sock->done || sock->no_recv || sim.faults.jump > 0;
    if (world.answers[tag] > 0 && !late)
        fail(upstream, "it comes again after its answer");
    if (!late && is_being_answered(upstream))
        fail(upstream, "it comes again although its answer has begun");
    if (++world.tries[tag] > most)
        fail(upstream, "it comes a %u. time", world.tries[tag]);
    world.retries += world.tries[tag] > 1;
    if (world.rough || world.failed_at[tag] == 0)
        return;
    if (world.failed_at[tag] == upstream->port && world.dead_port == 0)
        fail(upstream, "it comes to the target again that has failed");
    world.elsewhere++;
}

/* A request's head is whole: may it be here? */
static void take_head(struct upstream *upstream)
{
    const struct message *in = &upstream->in;

    if (!in->tagged || in->tag >= WORLD_TAGS)
        fail(upstream, "a request of nobody's");
    upstream->plan = plan_of(in->tag, world.rough);
    upstream->known = true;
    upstream->before = wire_sock(upstream->wire)->acked;
    sim_trace("service: request %u of client %u", in->tag % WORLD_REQUESTS, in->tag / WORLD_REQUESTS);
    struct plan *plan = &upstream->plan;
    if ((plan->flaw != FLAW_NONE && plan->flaw != FLAW_CHUNK) ||
        (plan->where == TO_ONE) != (upstream->port == WORLD_SERVICE))
        fail(upstream, "it must not come here");
    check_said(upstream);
    check_try(upstream);
    if (world.tries[in->tag] == 1 && plan->first_try != MISHAP_NONE)
        plan->mishap = plan->first_try;
    bool fails = plan->mishap == MISHAP_CLOSE || plan->mishap == MISHAP_RESET;
    if (!upstream->used && (fails || plan->mishap == MISHAP_SILENCE))
        world.failed_at[in->tag] = upstream->port;
    if (fails)
        leave(upstream, plan->mishap == MISHAP_RESET);
    else if (plan->early)
        answer(upstream);
    else if (plan->expects && !plan->no_continue && plan->mishap != MISHAP_SILENCE)
        say_continue(upstream);
}

static void take_end(struct upstream *upstream)
{
    const struct plan *plan = &upstream->plan;

    if (plan->flaw == FLAW_CHUNK)
        fail(upstream, "a broken body looks whole");
    if (upstream->in.body != plan->body_len)
        fail(upstream, "a body of %llu bytes instead of %u", (unsigned long long)upstream->in.body,
             plan->body_len);
    if (plan->too_large)
        fail(upstream, "its body is too large");
    if (upstream->in.trailer != plan->trailer)
        fail(upstream, "a trailer %s", plan->trailer ? "is lost" : "out of nothing");
    world.trailers += plan->trailer;
    upstream->asked = true;
    if (!upstream->saying)
        answer(upstream);
    else if (upstream->served && !upstream->leaving && !upstream->stray)
        begin_request(upstream); /* the answer was out before */
}

/* Bytes behind a request that has been answered 101. */
static void take_passed(struct upstream *upstream, const char *ptr, size_t len)
{
    const struct plan *plan = &upstream->plan;

    if (upstream->sent < upstream->out.len - plan->down_len)
        fail(upstream, "bytes of a tunnel before its 101");
    for (size_t i = 0; i < len; i++) {
        if (ptr[i] != plan_byte(plan->tag, false, upstream->passed++))
            fail(upstream, "byte %llu of a tunnel is wrong", (unsigned long long)upstream->passed - 1);
    }
    if (upstream->passed > plan->up_len)
        fail(upstream, "a tunnel of %llu bytes instead of %u", (unsigned long long)upstream->passed,
             plan->up_len);
}

static void take(struct upstream *upstream, const char *ptr, size_t len)
{
    while (len > 0 && !upstream->finished) {
        if (upstream->asked && upstream->tunnel) {
            take_passed(upstream, ptr, len);
            return;
        }
        if (upstream->asked)
            fail(upstream, "the next request comes before its answer has ended");
        bool in_head = upstream->in.state == MESSAGE_HEAD_LINES;
        size_t used = message_read(&upstream->in, ptr, len);
        if (upstream->in.fault)
            fail(upstream, "%s", upstream->in.fault);
        ptr += used;
        len -= used;
        if (!in_head && upstream->in.body > 0 && !upstream->bodied) {
            upstream->bodied = true;
            if (++world.bodies[upstream->plan.tag] > 1)
                fail(upstream, "its body comes again");
        }
        if (in_head && upstream->in.state != MESSAGE_HEAD_LINES)
            take_head(upstream);
        if (!upstream->finished && upstream->in.state == MESSAGE_DONE)
            take_end(upstream);
    }
}

/* The client has ended its way through the tunnel, or the tunnel has broken. */
static void hear_end(struct upstream *upstream, bool orderly)
{
    upstream->heard_end = true;
    if (!world.rough && (!orderly || upstream->passed != upstream->plan.up_len))
        fail(upstream, "a tunnel %s after %llu bytes", orderly ? "ends" : "breaks",
             (unsigned long long)upstream->passed);
    if (!orderly || upstream->told_end)
        leave(upstream, false);
}

/* It has said all that it has to say. */
static void tell_end(struct upstream *upstream)
{
    upstream->told_end = true;
    wire_shutdown(upstream->wire);
    if (upstream->heard_end)
        leave(upstream, false);
}

static bool read_some(struct upstream *upstream)
{
    char bytes[4096];

    if (upstream->heard_end)
        return false;
    int rc = wire_recv(upstream->wire, bytes, world_piece(sizeof(bytes)));
    if (rc == -EAGAIN)
        return false;
    if (rc <= 0 && upstream->tunnel) {
        hear_end(upstream, rc == 0);
        return true;
    }
    if (rc <= 0) {
        leave(upstream, false);
        return true;
    }
    sim_trace("service reads %d bytes", rc);
    if (!upstream->leaving && !upstream->stray)
        take(upstream, bytes, (size_t)rc);
    return true;
}

/* The answer is out. */
static void end_answer(struct upstream *upstream)
{
    const struct plan *plan = &upstream->plan;

    switch (plan->mishap) {
    case MISHAP_CUT:
    case MISHAP_CUT_HARD:
        leave_by(upstream, plan->mishap == MISHAP_CUT_HARD ? PART_RESET : PART_RUDE);
        return;
    case MISHAP_NONE:
    case MISHAP_SLOW:
        break;
    default: /* it is the other side that has to end it */
        upstream->served = true;
        upstream->stray = true;
        return;
    }
    world.answers[plan->tag]++;
    upstream->served = true;
    if (upstream->tunnel)
        return;
    if (plan->closes)
        part(upstream);
    else if (upstream->asked)
        begin_request(upstream);
}

static bool say_some(struct upstream *upstream)
{
    if (!upstream->saying || upstream->served)
        return false;
    /* Sent now, what is behind the answer would be the answer to what has just come. */
    if (upstream->sent >= upstream->whole &&
        (wire_has_input(upstream->wire) || !wire_takes(upstream->wire, upstream->stop - upstream->sent)))
        upstream->sent = upstream->stop;
    if (upstream->sent < upstream->stop) {
        int rc = wire_send(upstream->wire, upstream->out.ptr + upstream->sent,
                           world_piece(upstream->stop - upstream->sent));

        if (rc == -EAGAIN)
            return false;
        if (rc < 0) {
            leave(upstream, false);
            return true;
        }
        sim_trace("service says %d bytes", rc);
        upstream->sent += (size_t)rc;
    }
    if (upstream->plan.mishap == MISHAP_SLOW)
        upstream->wake_ns = sim.now_ns + rnd_below(&sim.rnd, 1500000000);
    if (upstream->sent < upstream->stop)
        return true;
    if (!upstream->hello) {
        end_answer(upstream);
        return true;
    }
    upstream->hello = upstream->saying = false;
    if (upstream->asked)
        answer(upstream);
    return true;
}

/* Between requests: goes, or says what nobody asked for. */
static bool idle(struct upstream *upstream)
{
    static const char stray[] = "HTTP/1.1 200 Nobody\r\nContent-Length: 0\r\n\r\n";

    if (!world.rough || upstream->known || message_begun(&upstream->in) || wire_has_input(upstream->wire) ||
        upstream->stray)
        return false;
    if (rnd_chance(&sim.rnd, 1)) {
        /* A reset throws away an answer that has not been read. */
        leave(upstream, wire_sock(upstream->wire)->peer->len == 0 && rnd_chance(&sim.rnd, 30));
        return true;
    }
    /* On a new connection it could be an answer that came early. */
    if (!upstream->used || !rnd_chance(&sim.rnd, world.chatter) || !wire_takes(upstream->wire, sizeof(stray)))
        return false;
    upstream->stray = true;
    wire_send(upstream->wire, stray, world_piece(sizeof(stray) - 1));
    return true;
}

bool upstream_step(struct upstream *upstream)
{
    if (upstream->finished || upstream->wake_ns > sim.now_ns)
        return false;
    if (rnd_chance(&sim.rnd, 30))
        return true;
    bool moved = read_some(upstream);
    if (!upstream->finished)
        moved |= say_some(upstream);
    if (!upstream->finished)
        moved |= idle(upstream);
    bool last = upstream->tunnel && upstream->served && !upstream->told_end && !upstream->finished;
    if (last && (upstream->plan.service_ends_first || upstream->heard_end)) {
        tell_end(upstream);
        moved = true;
    }
    return moved;
}
