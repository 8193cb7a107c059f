/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which plugin instances run on which route, and for which consumer: of each type the one with the most
 * specific scope, as Kong chooses it. While a routing is built; control thread.
 */
#ifndef KG_MODEL_PLUGIN_SCOPES_H
#define KG_MODEL_PLUGIN_SCOPES_H

#include "model/records.h"

/* An instance as it is run. It points at the record's config. */
struct kg_plugin_use kg_plugin_record_use(const struct kg_plugin_record *record);

struct kg_plugin_scopes {
    struct kg_records plugins; /* all, oldest first */
    struct kg_plugin_record *global;
    /* The instances that win on the route at hand so far, one for each type. */
    const struct kg_plugin_record **winners;
    size_t winner_count, winner_room;
};

/* Hangs each instance that is switched on, and is for any consumer, under its route, else its service. */
void kg_plugin_scopes_begin(struct kg_plugin_scopes *scopes, const struct kg_pmap *services,
                            const struct kg_pmap *routes, const struct kg_pmap *plugins);
/* Gives a route its plugins; service: its own, or NULL. */
void kg_plugin_scopes_apply(struct kg_plugin_scopes *scopes, struct kg_arena *arena,
                            const struct kg_route_record *record, const struct kg_service_record *service,
                            struct kg_route *route);
/* Those that are for one consumer, into a map of struct kg_consumer_plugins by its id, which lie in the arena
 * and must live as long; and frees what was needed. */
void kg_plugin_scopes_end(struct kg_plugin_scopes *scopes, struct kg_arena *arena,
                          struct kg_pmap *consumer_plugins);

#endif
