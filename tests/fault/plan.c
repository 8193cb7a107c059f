/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests and answers out of a number. */
#include "message.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plan_rules plan_rules;

const char *const plan_paths[WHERES] = { "/there", "/turns", "/lightest", "/hashed", "/watched" };

void text_add(struct text *text, const void *ptr, size_t len)
{
    if (text->len + len > text->room) {
        text->room = (text->len + len) * 2;
        text->ptr = realloc(text->ptr, text->room);
        if (!text->ptr)
            abort();
    }
    if (len > 0)
        memcpy(text->ptr + text->len, ptr, len);
    text->len += len;
}

void text_print(struct text *text, const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(line))
        abort();
    text_add(text, line, (size_t)len);
}

void text_free(struct text *text)
{
    free(text->ptr);
    *text = (struct text){ 0 };
}

char plan_byte(uint32_t tag, bool answer, uint64_t at)
{
    return (char)(tag * 37 + (answer ? 101 : 3) + at * 7 + (at >> 8) * 13);
}

static uint32_t length(struct rnd *rnd)
{
    switch (rnd_below(rnd, 8)) {
    case 0:
        return 0;
    case 1:
        return rnd_below(rnd, 3);
    case 2:
        return rnd_below(rnd, 20000);
    case 3:
        return rnd_chance(rnd, 20) ? rnd_below(rnd, 200000) : rnd_below(rnd, 5000);
    default:
        return rnd_below(rnd, 600);
    }
}

static void plan_question(struct plan *plan, struct rnd *rnd, bool rough)
{
    static const char *const methods[] = { "GET",  "GET", "GET",    "HEAD", "POST",
                                           "POST", "PUT", "DELETE", "PATCH" };

    plan->method = methods[rnd_below(rnd, sizeof(methods) / sizeof(*methods))];
    plan->is_head = strcmp(plan->method, "HEAD") == 0;
    plan->idempotent = strcmp(plan->method, "POST") != 0 && strcmp(plan->method, "PATCH") != 0;
    plan->http10 = plan_rules.old_ways || rnd_chance(rnd, 15);
    plan->keep_alive = !rnd_chance(rnd, plan->http10 ? 50 : 10);
    if (plan->method[0] == 'P' || rnd_chance(rnd, 10))
        plan->body = !plan->http10 && rnd_chance(rnd, 50) ? FRAMED_CHUNKED : FRAMED_LENGTH;
    plan->body_len = plan->body == FRAMED_NONE ? 0 : length(rnd);
    if (rnd_chance(rnd, 12))
        plan->flaw = rnd_chance(rnd, 60) ? FLAW_KEY : FLAW_PATH;
    if (rough && rnd_chance(rnd, 6))
        plan->flaw = FLAW_GARBAGE;
    if (rough && plan->body == FRAMED_CHUNKED && rnd_chance(rnd, 15))
        plan->flaw = FLAW_CHUNK;
    plan->is_head = plan->is_head && plan->flaw != FLAW_GARBAGE;
    plan->where = (enum where)rnd_between(rnd, TO_ONE, rough ? TO_WATCHED : TO_HASHED);
    plan->too_large = plan_rules.max_body > 0 && plan->body_len > plan_rules.max_body;
    plan->expects = !plan->http10 && plan->body_len > 0 && rnd_chance(rnd, 25);
    plan->searched = plan->body != FRAMED_NONE && rnd_chance(rnd, 40);
    plan->trailer = plan->body == FRAMED_CHUNKED && rnd_chance(rnd, 25);
    plan->te = rnd_chance(rnd, 40);
    plan->other_upgrade = rnd_chance(rnd, 5);
    plan->forwarded = (enum forwarded)rnd_between(rnd, FORWARDED_NOT, FORWARDED_TWO);
}

/* A part of the GETs becomes the beginning of a tunnel. */
static void plan_tunnel(struct plan *plan, struct rnd *rnd, bool rough)
{
    plan->tunnel = plan->method[0] == 'G' && plan->body == FRAMED_NONE && !plan->http10 &&
                   plan->flaw != FLAW_GARBAGE && rnd_chance(rnd, 25);
    if (!plan->tunnel)
        return;
    plan->keep_alive = true;
    plan->other_upgrade = false;
    plan->accepted = plan->flaw == FLAW_NONE && plan->mishap != MISHAP_SWITCH &&
                     plan->mishap != MISHAP_MORE && rnd_chance(rnd, 70);
    if (!plan->accepted)
        return;
    plan->up_len = length(rnd);
    plan->down_len = length(rnd);
    plan->eager = !rough && rnd_chance(rnd, 30);
    plan->service_ends_first = rnd_chance(rnd, 50);
    plan->status = 101;
    plan->answer = FRAMED_NONE;
    plan->answer_len = 0;
    plan->early = plan->says_close = plan->closes = false;
}

/* Of what may be sent again nobody is to hear that a service has failed. */
static void plan_failover(struct plan *plan, struct rnd *rnd, bool rough)
{
    bool hidden = plan->idempotent && plan->body != FRAMED_CHUNKED && plan->body_len == 0;

    if (plan_rules.failover && plan->where != TO_ONE && (rough || hidden) && rnd_chance(rnd, 40))
        plan->first_try = (enum mishap[]){ MISHAP_CLOSE, MISHAP_RESET, MISHAP_SILENCE }[rnd_below(rnd, 3)];
}

bool stray_is_told(const struct sim_faults *faults)
{
    /* A send of ciphertext may wait, so that it need not be tried at once. */
    bool at_once = !plan_rules.cuts_told || (faults->late == 0 && faults->at_once == 100);

    return at_once && faults->refuse == 0 && faults->again == 0;
}

struct plan plan_of(uint32_t tag, bool rough)
{
    struct rnd rnd = { sim.seed * 1000003 + tag };
    struct plan plan = { .tag = tag, .status = 200 };

    plan_question(&plan, &rnd, rough);
    plan.interims = rnd_chance(&rnd, 15) ? rnd_between(&rnd, 1, 4) : 0;
    plan.answer =
        (enum framing)rnd_between(&rnd, plan_rules.old_ways ? FRAMED_CLOSE : FRAMED_NONE, FRAMED_CLOSE);
    plan.answer_len = length(&rnd);
    if (plan.answer == FRAMED_NONE) {
        plan.status = rnd_chance(&rnd, 50) ? 204 : 304;
        plan.answer_len = 0;
    }
    if (plan.is_head)
        plan.answer_len = 0;
    plan.early = rnd_chance(&rnd, 10) && (rough || !plan.too_large);
    plan.answer_trailer = plan.answer == FRAMED_CHUNKED && rnd_chance(&rnd, 30);
    plan.no_continue = rough && rnd_chance(&rnd, 20);
    plan.says_close = plan.answer == FRAMED_CLOSE || rnd_chance(&rnd, 15);
    plan.closes = plan.says_close || (rough && rnd_chance(&rnd, 15));
    if (rough && rnd_chance(&rnd, 30))
        plan.mishap = (enum mishap)rnd_between(&rnd, MISHAP_NONE + 1, MISHAPS - 1);
    /* An end of the connection that cuts a body short which nothing else ends: nobody could tell. */
    if (plan.mishap == MISHAP_CUT && plan.answer == FRAMED_CLOSE && !plan_rules.cuts_told)
        plan.mishap = MISHAP_CUT_HARD;
    if (plan.mishap == MISHAP_MORE && (!stray_is_told(&sim.faults) || plan.answer == FRAMED_CLOSE))
        plan.mishap = MISHAP_CUT_HARD;
    plan.cut_at = (uint32_t)rnd_next(&rnd);
    plan_tunnel(&plan, &rnd, rough);
    plan_failover(&plan, &rnd, rough);
    return plan;
}

static void add_body(struct text *out, uint32_t tag, bool answer, uint64_t from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char byte = plan_byte(tag, answer, from + i);

        text_add(out, &byte, 1);
    }
}

void plan_add_bytes(struct text *out, uint32_t tag, bool answer, size_t len)
{
    add_body(out, tag, answer, 0, len);
}

static void add_chunks(struct text *out, const struct plan *plan, bool answer, uint32_t len)
{
    struct rnd rnd = { plan->tag + 77u };
    bool broken = !answer && plan->flaw == FLAW_CHUNK;

    for (uint32_t at = 0; at < len;) {
        uint32_t left = len - at, part = rnd_between(&rnd, 1, left < 3000 ? left : 3000);

        text_print(out, rnd_chance(&rnd, 10) ? "%x;a=b\r\n" : "%x\r\n", part);
        add_body(out, plan->tag, answer, at, part);
        text_print(out, "\r\n");
        at += part;
        if (broken && rnd_chance(&rnd, 50))
            break;
    }
    text_print(out, broken ? "0x\r\n" : "0\r\n");
    if (broken)
        return;
    if (rnd_chance(&rnd, 20))
        text_print(out, "Content-Length: 7\r\nX-Consumer-Username: eve\r\n");
    if (answer ? plan->answer_trailer : plan->trailer)
        text_print(out, "X-Trailer: t\r\n");
    text_print(out, "\r\n");
}

static void add_framed(struct text *out, const struct plan *plan, enum framing framing, uint32_t len,
                       bool answer)
{
    if (framing == FRAMED_LENGTH)
        text_print(out, "Content-Length: %u\r\n\r\n", len);
    else if (framing == FRAMED_CHUNKED)
        text_print(out, "Transfer-Encoding: chunked\r\n\r\n");
    else
        text_print(out, "\r\n");
    if (answer && plan->is_head)
        return;
    if (framing == FRAMED_CHUNKED)
        add_chunks(out, plan, answer, len);
    else
        add_body(out, plan->tag, answer, 0, len);
}

static void add_extras(struct text *out, const struct plan *plan)
{
    if (plan->forwarded != FORWARDED_NOT)
        text_print(out, "X-Forwarded-For: 203.0.113.%u%s\r\n", plan->tag,
                   plan->forwarded == FORWARDED_TWO ? ", 10.0.0.5" : "");
    if (plan->te)
        text_print(out, "TE: trailers\r\nConnection: TE\r\n");
    if (plan->expects)
        text_print(out, "Expect: 100-continue\r\n");
    if (plan->searched)
        text_print(out, "Content-Type: application/json\r\n");
    if (plan->other_upgrade)
        text_print(out, "Connection: Upgrade\r\nUpgrade: h2c\r\n");
    if (plan->tunnel)
        text_print(out, "Connection: Upgrade\r\nUpgrade: WebSocket\r\n");
}

size_t plan_request(const struct plan *plan, struct text *out)
{
    struct rnd rnd = { plan->tag + 99u };
    size_t before = out->len;

    if (plan->flaw == FLAW_GARBAGE) {
        text_print(out, rnd_chance(&rnd, 50) ? "GET /\r\n\r\n" : "\x16\x03\x01 what is this\r\n\r\n");
        return out->len - before;
    }
    text_print(out, "%s %s/%u HTTP/1.%d\r\nHost: gateway\r\napikey: %s\r\nX-Tag: %u\r\n", plan->method,
               plan->flaw == FLAW_PATH ? "/nowhere" : plan_paths[plan->where], plan->tag, !plan->http10,
               plan->flaw == FLAW_KEY ? "wrong" : "right", plan->tag);
    for (unsigned i = rnd_below(&rnd, 4); i > 0; i--)
        text_print(out, "X-Padding-%u: %.*s\r\n", i, (int)rnd_below(&rnd, 60),
                   "------------------------------------------------------------");
    if (plan->http10 && plan->keep_alive)
        text_print(out, "Connection: keep-alive\r\n");
    if (!plan->http10 && !plan->keep_alive)
        text_print(out, "Connection: close\r\n");
    add_extras(out, plan);
    struct text framed = { 0 };
    add_framed(&framed, plan, plan->body, plan->body_len, false);
    text_add(out, framed.ptr, framed.len);
    const char *end = memmem(framed.ptr, framed.len, "\r\n\r\n", 4);
    size_t body = end ? (size_t)(framed.ptr + framed.len - end) - 4 : framed.len - 2;
    text_free(&framed);
    return out->len - before - body;
}

void plan_answer(const struct plan *plan, struct text *out)
{
    if (plan->mishap == MISHAP_GARBAGE) {
        text_print(out, "220 mail.example ESMTP\r\n\r\n");
        return;
    }
    for (unsigned i = plan->mishap == MISHAP_INTERIMS ? 100 : plan->interims; i > 0; i--)
        text_print(out, "HTTP/1.1 103 Early Hints\r\nX-Tag: %u\r\n\r\n", plan->tag);
    if (plan->mishap == MISHAP_INTERIMS)
        return;
    text_print(out, "HTTP/1.1 %u So\r\nX-Tag: %u\r\n", plan->mishap == MISHAP_SWITCH ? 101 : plan->status,
               plan->tag);
    if (plan->accepted) {
        text_print(out, "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
        plan_add_bytes(out, plan->tag, true, plan->down_len);
        return;
    }
    if (plan->says_close)
        text_print(out, "Connection: close\r\n");
    /* A length of 0 is told by nothing at all in 204 and 304. */
    add_framed(out, plan, plan->answer, plan->answer_len, true);
    if (plan->mishap == MISHAP_MORE)
        text_print(out, "HTTP/1.1 200 Again\r\nX-Tag: %u\r\nContent-Length: 0\r\n\r\n", plan->tag);
}
