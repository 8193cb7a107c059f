/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens, as it happens: the last events in a small ring, and for each listener a queue of its own. Who
 * does not read in time loses events and is told how many. Control thread only.
 */
#ifndef KG_ADMIN_EVENTS_H
#define KG_ADMIN_EVENTS_H

#include "store/declare.h"

#define KG_EVENTS_KEPT      256         /* in the ring */
#define KG_EVENTS_LISTENERS 8           /* at a time */
#define KG_EVENTS_QUEUE     (64u << 10) /* bytes that wait for one listener */
#define KG_EVENTS_TYPES_MAX 256         /* bytes of a listener's list of types */

struct kg_events;

struct kg_events *kg_events_new(void);
/* No listener may be left. events may be NULL. */
void kg_events_free(struct kg_events *events);

/* Something has happened. type: static text. Takes over fields, an object that is shown behind type and time.
 * events may be NULL: nobody wants to know. */
void kg_event(struct kg_events *events, const char *type, json_t *fields);

/* The same of an entity: "created", "updated" or "deleted". name: what the Admin API names it by, unless that
 * is a secret; may be NULL. */
void kg_event_entity(struct kg_events *events, const char *action, const struct kg_entity *entity,
                     const char *id, const char *name);
/* And of all that a declarative sync has changed; of more than KG_DECLARE_SHOWN_MAX changes the rest is told
 * as lost. */
void kg_event_sync(struct kg_events *events, const struct kg_declare_result *result);

/* The last `most` events of these types (a list with commas; empty: all), one a line, as a NUL-terminated
 * text that the caller frees. */
char *kg_events_past(const struct kg_events *events, struct kg_slice types, size_t most);

struct kg_event_listener;

/* From now on events of these types wait for it. NULL when there are too many already, or the list of types
 * is too long. */
struct kg_event_listener *kg_events_listen(struct kg_events *events, struct kg_slice types);
void kg_events_leave(struct kg_event_listener *listener);
/* Called when something waits that did not before. */
void kg_events_on_wake(struct kg_event_listener *listener, void (*wake)(void *ctx), void *ctx);
/* What waits, owned by the caller from then on; NULL when nothing does. */
char *kg_events_take(struct kg_event_listener *listener, size_t *len);

#endif
