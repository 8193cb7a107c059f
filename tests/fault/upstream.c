/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection of the service: takes one request at a time, and answers as its plan says. */
#include "world.h"

#include <errno.h>
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

static void answer(struct upstream *upstream)
{
    const struct plan *plan = &upstream->plan;

    upstream->saying = true;
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
    if (plan->mishap == MISHAP_CUT || plan->mishap == MISHAP_CUT_HARD)
        upstream->stop = plan->cut_at % upstream->out.len;
}

static void begin_request(struct upstream *upstream)
{
    message_begin(&upstream->in, false, false);
    upstream->known = upstream->asked = upstream->saying = upstream->served = false;
    upstream->used = true;
}

/* A request's head is whole: may it be here? */
static void take_head(struct upstream *upstream)
{
    const struct message *in = &upstream->in;
    const char *consumer;

    if (!in->tagged || in->tag >= WORLD_TAGS)
        fail(upstream, "a request of nobody's");
    upstream->plan = plan_of(in->tag, world.rough);
    upstream->known = true;
    sim_trace("service: request %u of client %u", in->tag % WORLD_REQUESTS, in->tag / WORLD_REQUESTS);
    const struct plan *plan = &upstream->plan;
    if (plan->flaw != FLAW_NONE && plan->flaw != FLAW_CHUNK)
        fail(upstream, "it must not come here");
    consumer = message_header(in, "X-Consumer-Username");
    if (!consumer || strcmp(consumer, "alice") != 0)
        fail(upstream, "its consumer is not told");
    /* Where time leaps, an answer may be on its way when it is given up. */
    if (world.answers[in->tag] > 0 && !world.rough)
        fail(upstream, "it comes again after its answer");
    world.retries += world.tries[in->tag] > 0;
    bool again = plan->idempotent && plan->body != FRAMED_CHUNKED && plan->body_len == 0;
    /* In each try a kept connection that was dead may be replaced. */
    if (++world.tries[in->tag] > (again ? 2 * (1 + WORLD_RETRIES) : 1))
        fail(upstream, "it comes a %u. time", world.tries[in->tag]);
    if (plan->mishap == MISHAP_CLOSE || plan->mishap == MISHAP_RESET) {
        leave(upstream, plan->mishap == MISHAP_RESET);
        return;
    }
    if (plan->early)
        answer(upstream);
}

static void take_end(struct upstream *upstream)
{
    const struct plan *plan = &upstream->plan;

    if (plan->flaw == FLAW_CHUNK)
        fail(upstream, "a broken body looks whole");
    if (upstream->in.body != plan->body_len)
        fail(upstream, "a body of %llu bytes instead of %u", (unsigned long long)upstream->in.body,
             plan->body_len);
    upstream->asked = true;
    if (!upstream->saying)
        answer(upstream);
    else if (upstream->served && !upstream->leaving && !upstream->stray)
        begin_request(upstream); /* the answer was out before */
}

static void take(struct upstream *upstream, const char *ptr, size_t len)
{
    while (len > 0 && !upstream->finished) {
        if (upstream->asked)
            fail(upstream, "the next request comes before its answer has ended");
        bool in_head = upstream->in.state == MESSAGE_HEAD_LINES;
        size_t used = message_read(&upstream->in, ptr, len);
        if (upstream->in.fault)
            fail(upstream, "%s", upstream->in.fault);
        ptr += used;
        len -= used;
        if (in_head && upstream->in.state != MESSAGE_HEAD_LINES)
            take_head(upstream);
        if (!upstream->finished && upstream->in.state == MESSAGE_DONE)
            take_end(upstream);
    }
}

static bool read_some(struct upstream *upstream)
{
    char bytes[4096];
    int rc = wire_recv(upstream->wire, bytes, world_piece(sizeof(bytes)));

    if (rc == -EAGAIN)
        return false;
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
    if (upstream->sent >= upstream->stop)
        end_answer(upstream);
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
        leave(upstream, rnd_chance(&sim.rnd, 30));
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
    return moved;
}
