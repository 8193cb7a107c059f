/* SPDX-License-Identifier: BSD-2-Clause */
/* /events: the last events, or a stream of JSON lines for as long as the client stays. */
#include "admin/call.h"

#include "admin/events.h"

#define PAST 10 /* events before the stream begins, when nothing else is said */

static const struct kg_slice ndjson = { "application/x-ndjson", sizeof("application/x-ndjson") - 1 };

/* A number in the query: false, and answered, when it is none of 0 to most. */
static bool take_number(struct kg_call *call, struct kg_slice name, uint64_t most, uint64_t *number)
{
    struct kg_slice value;
    bool bare;

    if (kg_query_find(call->query, name, &value, &bare) == 0)
        return true;
    if (!bare && kg_slice_u64(value, number) == 0 && *number <= most)
        return true;
    kg_reply_json(call, 400,
                  json_pack("{s:o}", "message",
                            json_sprintf("%.*s: expected a number from 0 to %u", (int)name.len, name.ptr,
                                         (unsigned)most)));
    return false;
}

static void stream(struct kg_call *call, struct kg_slice types)
{
    call->listener = kg_events_listen(call->parts->events, types);
    if (!call->listener)
        kg_reply_message(call, 503, "too many listeners at once");
}

void kg_admin_events(struct kg_call *call)
{
    char text[KG_EVENTS_TYPES_MAX];
    struct kg_writer types = kg_writer_of(text, sizeof(text) - 1);
    struct kg_slice value;
    uint64_t past = PAST, follow = 1;
    bool bare;

    if (!call->parts->events) {
        kg_reply_message(call, 503, "nobody keeps events");
        return;
    }
    if (!take_number(call, KG_SLICE("past"), KG_EVENTS_KEPT, &past) ||
        !take_number(call, KG_SLICE("follow"), 1, &follow))
        return;
    if (kg_query_find(call->query, KG_SLICE("type"), &value, &bare) > 0 && !kg_query_decode(value, &types)) {
        kg_reply_message(call, 400, "type: too long");
        return;
    }
    if (follow && call->head->method != KG_METHOD_HEAD)
        stream(call, kg_writer_slice(&types));
    if (call->status)
        return;
    call->status = 200;
    call->text = kg_events_past(call->parts->events, kg_writer_slice(&types), past);
    call->text_type = ndjson;
}
