/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests and answers out of a number. */
#include "message.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool plan_old_ways, plan_cuts_told;

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
    plan->http10 = plan_old_ways || rnd_chance(rnd, 15);
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
}

bool stray_is_told(const struct sim_faults *faults)
{
    /* A send of ciphertext may wait, so that it need not be tried at once. */
    bool at_once = !plan_cuts_told || (faults->late == 0 && faults->at_once == 100);

    return at_once && faults->refuse == 0 && faults->again == 0;
}

struct plan plan_of(uint32_t tag, bool rough)
{
    struct rnd rnd = { sim.seed * 1000003 + tag };
    struct plan plan = { .tag = tag, .status = 200 };

    plan_question(&plan, &rnd, rough);
    plan.interims = rnd_chance(&rnd, 15) ? rnd_between(&rnd, 1, 4) : 0;
    plan.answer = (enum framing)rnd_between(&rnd, plan_old_ways ? FRAMED_CLOSE : FRAMED_NONE, FRAMED_CLOSE);
    plan.answer_len = length(&rnd);
    if (plan.answer == FRAMED_NONE) {
        plan.status = rnd_chance(&rnd, 50) ? 204 : 304;
        plan.answer_len = 0;
    }
    if (plan.is_head)
        plan.answer_len = 0;
    plan.early = rnd_chance(&rnd, 10);
    plan.says_close = plan.answer == FRAMED_CLOSE || rnd_chance(&rnd, 15);
    plan.closes = plan.says_close || (rough && rnd_chance(&rnd, 15));
    if (rough && rnd_chance(&rnd, 30))
        plan.mishap = (enum mishap)rnd_between(&rnd, MISHAP_NONE + 1, MISHAPS - 1);
    /* An end of the connection that cuts a body short which nothing else ends: nobody could tell. */
    if (plan.mishap == MISHAP_CUT && plan.answer == FRAMED_CLOSE && !plan_cuts_told)
        plan.mishap = MISHAP_CUT_HARD;
    if (plan.mishap == MISHAP_MORE && (!stray_is_told(&sim.faults) || plan.answer == FRAMED_CLOSE))
        plan.mishap = MISHAP_CUT_HARD;
    plan.cut_at = (uint32_t)rnd_next(&rnd);
    return plan;
}

static void add_body(struct text *out, uint32_t tag, bool answer, uint64_t from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char byte = plan_byte(tag, answer, from + i);

        text_add(out, &byte, 1);
    }
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
    text_print(out, broken ? "0x\r\n" : rnd_chance(&rnd, 20) ? "0\r\nX-Trailer: t\r\n\r\n" : "0\r\n\r\n");
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

void plan_request(const struct plan *plan, struct text *out)
{
    struct rnd rnd = { plan->tag + 99u };

    if (plan->flaw == FLAW_GARBAGE) {
        text_print(out, rnd_chance(&rnd, 50) ? "GET /\r\n\r\n" : "\x16\x03\x01 what is this\r\n\r\n");
        return;
    }
    text_print(out, "%s %s/%u HTTP/1.%d\r\nHost: gateway\r\napikey: %s\r\nX-Tag: %u\r\n", plan->method,
               plan->flaw == FLAW_PATH ? "/nowhere" : "/there", plan->tag, !plan->http10,
               plan->flaw == FLAW_KEY ? "wrong" : "right", plan->tag);
    for (unsigned i = rnd_below(&rnd, 4); i > 0; i--)
        text_print(out, "X-Padding-%u: %.*s\r\n", i, (int)rnd_below(&rnd, 60),
                   "------------------------------------------------------------");
    if (plan->http10 && plan->keep_alive)
        text_print(out, "Connection: keep-alive\r\n");
    if (!plan->http10 && !plan->keep_alive)
        text_print(out, "Connection: close\r\n");
    add_framed(out, plan, plan->body, plan->body_len, false);
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
    if (plan->says_close)
        text_print(out, "Connection: close\r\n");
    /* A length of 0 is told by nothing at all in 204 and 304. */
    add_framed(out, plan, plan->answer, plan->answer_len, true);
    if (plan->mishap == MISHAP_MORE)
        text_print(out, "HTTP/1.1 200 Again\r\nX-Tag: %u\r\nContent-Length: 0\r\n\r\n", plan->tag);
}
