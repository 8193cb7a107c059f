/* SPDX-License-Identifier: BSD-2-Clause */
#include "admin/events.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define EVENT_MAX  4096 /* a longer event is none: nothing that happens needs as much */
#define QUEUE_UNIT 4096

struct kg_event_listener {
    struct kg_events *events;
    char types[KG_EVENTS_TYPES_MAX];
    char *queue; /* lines; NULL: none */
    size_t len, cap;
    uint64_t lost; /* since the last line in the queue */
    void (*wake)(void *ctx);
    void *ctx;
};

struct kg_events {
    struct event {
        const char *type;
        char *line; /* with its line feed */
    } ring[KG_EVENTS_KEPT];
    size_t next; /* where in the ring the next one goes; the oldest is there */
    struct kg_event_listener *listeners[KG_EVENTS_LISTENERS];
};

struct kg_events *kg_events_new(void)
{
    return kg_calloc(1, sizeof(struct kg_events));
}

void kg_events_free(struct kg_events *events)
{
    if (!events)
        return;
    for (size_t i = 0; i < KG_EVENTS_LISTENERS; i++)
        KG_ASSERT(!events->listeners[i]);
    for (size_t i = 0; i < KG_EVENTS_KEPT; i++)
        free(events->ring[i].line);
    free(events);
}

static bool is_wanted(struct kg_slice types, const char *type)
{
    struct kg_slice element;

    if (types.len == 0)
        return true;
    while (kg_slice_next_element(&types, &element)) {
        if (kg_slice_eq(element, kg_slice_str(type)))
            return true;
    }
    return false;
}

/* False when there is no room for it. */
static bool enqueue(struct kg_event_listener *listener, const char *line, size_t len)
{
    if (len > KG_EVENTS_QUEUE - listener->len)
        return false;
    while (listener->cap - listener->len < len) {
        listener->cap += QUEUE_UNIT;
        listener->queue = kg_realloc(listener->queue, listener->cap, 1);
    }
    memcpy(listener->queue + listener->len, line, len);
    listener->len += len;
    return true;
}

/* What was lost stands where it is missing. */
static bool tell_lost(struct kg_event_listener *listener)
{
    char line[96];
    int len;

    if (listener->lost == 0)
        return true;
    len = snprintf(line, sizeof(line), "{\"type\":\"lost\",\"time\":%" PRId64 ",\"count\":%" PRIu64 "}\n",
                   kg_clock_wall(), listener->lost);
    if (!enqueue(listener, line, (size_t)len))
        return false;
    listener->lost = 0;
    return true;
}

static void offer(struct kg_event_listener *listener, const char *type, const char *line, size_t len)
{
    if (!is_wanted(kg_slice_str(listener->types), type))
        return;
    /* Room for both, else the count would be told again and again. */
    if (listener->lost > 0 && len + QUEUE_UNIT > KG_EVENTS_QUEUE - listener->len) {
        listener->lost++;
        return;
    }
    if (!tell_lost(listener) || !enqueue(listener, line, len))
        listener->lost++;
    if (listener->wake)
        listener->wake(listener->ctx);
}

static void keep(struct kg_events *events, const char *type, char *line)
{
    struct event *event = &events->ring[events->next];

    free(event->line);
    *event = (struct event){ type, line };
    events->next = (events->next + 1) % KG_EVENTS_KEPT;
}

void kg_event(struct kg_events *events, const char *type, json_t *fields)
{
    json_t *object = json_pack("{s:s,s:I}", "type", type, "time", (json_int_t)kg_clock_wall());
    char *line = kg_calloc(1, EVENT_MAX + 2);
    size_t len = EVENT_MAX + 1;

    if (events && json_object_update(object, fields) == 0)
        len = json_dumpb(object, line, EVENT_MAX, JSON_COMPACT);
    json_decref(object);
    json_decref(fields);
    if (len == 0 || len > EVENT_MAX) {
        free(line);
        return;
    }
    line[len++] = '\n';
    line = kg_realloc(line, len + 1, 1);
    line[len] = '\0';
    for (size_t i = 0; i < KG_EVENTS_LISTENERS; i++) {
        if (events->listeners[i])
            offer(events->listeners[i], type, line, len);
    }
    keep(events, type, line);
}

void kg_event_entity(struct kg_events *events, const char *action, const struct kg_entity *entity,
                     const char *id, const char *name)
{
    kg_event(
        events, "entity",
        json_pack("{s:s,s:s,s:s,s:s*}", "action", action, "entity", entity->path, "id", id, "name", name));
}

static void tell_change(void *ctx, const char *action, const struct kg_entity *entity, const char *id,
                        const char *name)
{
    kg_event_entity(ctx, action, entity, id, name);
}

void kg_event_sync(struct kg_events *events, const struct kg_declare_result *result)
{
    size_t told = json_array_size(result->changes);

    if (!events)
        return;
    kg_declare_each(result, tell_change, events);
    for (size_t i = 0; i < KG_EVENTS_LISTENERS; i++) {
        struct kg_event_listener *listener = events->listeners[i];

        if (listener && is_wanted(kg_slice_str(listener->types), "entity"))
            listener->lost += result->created + result->updated + result->deleted - told;
    }
}

char *kg_events_past(const struct kg_events *events, struct kg_slice types, size_t most)
{
    size_t found = 0, len = 0, at = 0;
    char *text;

    /* From the newest back: where to begin, and how much that is. */
    for (; at < KG_EVENTS_KEPT && found < most; at++) {
        const struct event *event = &events->ring[(events->next + KG_EVENTS_KEPT - 1 - at) % KG_EVENTS_KEPT];

        if (!event->line)
            break;
        if (!is_wanted(types, event->type))
            continue;
        found++;
        len += strlen(event->line);
    }
    text = kg_calloc(1, len + 1);
    len = 0;
    while (at-- > 0) {
        const struct event *event = &events->ring[(events->next + KG_EVENTS_KEPT - 1 - at) % KG_EVENTS_KEPT];

        if (!is_wanted(types, event->type))
            continue;
        memcpy(text + len, event->line, strlen(event->line));
        len += strlen(event->line);
    }
    return text;
}

struct kg_event_listener *kg_events_listen(struct kg_events *events, struct kg_slice types)
{
    struct kg_event_listener *listener;
    size_t at = 0;

    while (at < KG_EVENTS_LISTENERS && events->listeners[at])
        at++;
    if (at == KG_EVENTS_LISTENERS || types.len >= KG_EVENTS_TYPES_MAX)
        return NULL;
    listener = kg_calloc(1, sizeof(*listener));
    listener->events = events;
    if (types.len > 0)
        memcpy(listener->types, types.ptr, types.len);
    events->listeners[at] = listener;
    return listener;
}

void kg_events_leave(struct kg_event_listener *listener)
{
    for (size_t i = 0; i < KG_EVENTS_LISTENERS; i++) {
        if (listener->events->listeners[i] == listener)
            listener->events->listeners[i] = NULL;
    }
    free(listener->queue);
    free(listener);
}

void kg_events_on_wake(struct kg_event_listener *listener, void (*wake)(void *ctx), void *ctx)
{
    listener->wake = wake;
    listener->ctx = ctx;
}

char *kg_events_take(struct kg_event_listener *listener, size_t *len)
{
    char *queue;

    if (listener->len == 0)
        tell_lost(listener);
    queue = listener->queue;
    *len = listener->len;
    listener->queue = NULL;
    listener->len = listener->cap = 0;
    return queue;
}
