/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/plugin_scopes.h"

#include "base/mem.h"

#include <stdlib.h>

/* Of those for one consumer: more specific ones of a type stand in front. */
static unsigned rank_of(const struct kg_plugin_record *plugin)
{
    /* As Kong does: what a consumer's instance needs besides it counts more than the consumer alone. */
    static const unsigned ranks[2][2][2] = { { { 0, 1 }, { 2, 4 } }, { { 3, 5 }, { 6, 7 } } };

    return ranks[plugin->consumer_id[0] != '\0'][plugin->route_id[0] != '\0'][plugin->service_id[0] != '\0'];
}

static void forget_service(void *ctx, void *value)
{
    ((struct kg_service_record *)value)->plugins = NULL;
}

static void forget_route(void *ctx, void *value)
{
    ((struct kg_route_record *)value)->plugins = NULL;
}

static void hang(struct kg_plugin_scopes *scopes, const struct kg_pmap *services,
                 const struct kg_pmap *routes, struct kg_plugin_record *plugin)
{
    struct kg_route_record *route = kg_pmap_find(routes, plugin->route_id);
    struct kg_service_record *service = kg_pmap_find(services, plugin->service_id);
    struct kg_plugin_record **under = &scopes->global;

    if (plugin->route_id[0] != '\0')
        under = route ? &route->plugins : NULL;
    else if (plugin->service_id[0] != '\0')
        under = service ? &service->plugins : NULL;
    if (!under)
        return;
    plugin->next_same = *under;
    *under = plugin;
}

void kg_plugin_scopes_begin(struct kg_plugin_scopes *scopes, const struct kg_pmap *services,
                            const struct kg_pmap *routes, const struct kg_pmap *plugins)
{
    *scopes = (struct kg_plugin_scopes){ .plugins = kg_records_in_order(plugins) };
    kg_pmap_each(services, forget_service, NULL);
    kg_pmap_each(routes, forget_route, NULL);
    for (size_t i = 0; i < scopes->plugins.count; i++) {
        struct kg_plugin_record *plugin = (struct kg_plugin_record *)scopes->plugins.items[i];

        /* A consumer is known only after authentication: those instances are not a route's own. */
        if (plugin->enabled && plugin->consumer_id[0] == '\0')
            hang(scopes, services, routes, plugin);
    }
}

static void compete(struct kg_plugin_scopes *scopes, const struct kg_plugin_record *chain,
                    const char *service_id)
{
    for (; chain; chain = chain->next_same) {
        size_t at = 0;

        if (chain->service_id[0] != '\0' && strcmp(chain->service_id, service_id) != 0)
            continue;
        while (at < scopes->winner_count && scopes->winners[at]->type != chain->type)
            at++;
        if (at < scopes->winner_count) {
            if (rank_of(chain) > rank_of(scopes->winners[at]))
                scopes->winners[at] = chain;
            continue;
        }
        if (scopes->winner_count == scopes->winner_room) {
            scopes->winner_room = scopes->winner_room ? scopes->winner_room * 2 : 8;
            scopes->winners = kg_realloc(scopes->winners, scopes->winner_room, sizeof(*scopes->winners));
        }
        scopes->winners[scopes->winner_count++] = chain;
    }
}

struct kg_plugin_use kg_plugin_record_use(const struct kg_plugin_record *record)
{
    const struct kg_plugin_type *type = record->type;
    bool unscoped = record->consumer_id[0] == '\0' && type->unscoped_priority != 0;
    struct kg_plugin_use use = {
        .type = type,
        .config = record->config,
        .priority = unscoped ? type->unscoped_priority : type->priority,
        .rank = rank_of(record),
        .not_http = record->not_http,
        .not_https = record->not_https,
    };

    memcpy(use.id, record->record.id, sizeof(use.id));
    return use;
}

static int runs_first(const void *left, const void *right)
{
    return kg_plugin_use_order(left, right);
}

void kg_plugin_scopes_apply(struct kg_plugin_scopes *scopes, struct kg_arena *arena,
                            const struct kg_route_record *record, const struct kg_service_record *service,
                            struct kg_route *route)
{
    struct kg_plugin_use *uses;

    scopes->winner_count = 0;
    compete(scopes, record->plugins, record->service_id);
    compete(scopes, service ? service->plugins : NULL, record->service_id);
    compete(scopes, scopes->global, record->service_id);
    if (scopes->winner_count == 0)
        return;
    uses = kg_arena_calloc(arena, scopes->winner_count, sizeof(*uses));
    for (size_t i = 0; i < scopes->winner_count; i++)
        uses[i] = kg_plugin_record_use(scopes->winners[i]);
    qsort(uses, scopes->winner_count, sizeof(*uses), runs_first);
    route->plugins = uses;
    route->plugin_count = scopes->winner_count;
}

/* ---- those for one consumer ---- */

static const void *consumer_of(const void *value)
{
    return ((const struct kg_consumer_plugins *)value)->consumer_id;
}

/* They are the arena's. */
static void stay(void *value)
{
}

static const struct kg_pmap_type by_consumer = { consumer_of, kg_pmap_hash_text, kg_pmap_same_text, stay,
                                                 stay };

static int by_consumer_first(const void *left, const void *right)
{
    const struct kg_plugin_record *a = *(const struct kg_plugin_record *const *)left,
                                  *b = *(const struct kg_plugin_record *const *)right;
    const struct kg_plugin_use one = kg_plugin_record_use(a), other = kg_plugin_record_use(b);
    int order = strcmp(a->consumer_id, b->consumer_id);

    if (order == 0)
        order = kg_plugin_use_order(&one, &other);
    return order ? order : (one.rank < other.rank) - (one.rank > other.rank);
}

static void give_consumer(struct kg_arena *arena, struct kg_record *const *records, size_t count,
                          struct kg_pmap *map)
{
    struct kg_consumer_plugins *own = kg_arena_calloc(arena, 1, sizeof(*own));
    struct kg_scoped_use *uses = kg_arena_calloc(arena, count, sizeof(*uses));

    for (size_t i = 0; i < count; i++) {
        const struct kg_plugin_record *record = (const struct kg_plugin_record *)records[i];

        uses[i].use = kg_plugin_record_use(record);
        memcpy(uses[i].route_id, record->route_id, sizeof(uses[i].route_id));
        memcpy(uses[i].service_id, record->service_id, sizeof(uses[i].service_id));
        memcpy(own->consumer_id, record->consumer_id, sizeof(own->consumer_id));
    }
    own->uses = uses;
    own->count = count;
    kg_pmap_set(map, own);
}

void kg_plugin_scopes_end(struct kg_plugin_scopes *scopes, struct kg_arena *arena,
                          struct kg_pmap *consumer_plugins)
{
    struct kg_records *plugins = &scopes->plugins;
    size_t count = 0, end;

    *consumer_plugins = kg_pmap_of(&by_consumer);
    for (size_t i = 0; i < plugins->count; i++) {
        const struct kg_plugin_record *plugin = (const struct kg_plugin_record *)plugins->items[i];
        if (plugin->enabled && plugin->consumer_id[0] != '\0')
            plugins->items[count++] = plugins->items[i];
    }
    if (count > 0)
        qsort(plugins->items, count, sizeof(*plugins->items), by_consumer_first);
    for (size_t i = 0; i < count; i = end) {
        const char *id = ((const struct kg_plugin_record *)plugins->items[i])->consumer_id;
        for (end = i + 1; end < count; end++) {
            if (strcmp(id, ((const struct kg_plugin_record *)plugins->items[end])->consumer_id) != 0)
                break;
        }
        give_consumer(arena, plugins->items + i, end - i, consumer_plugins);
    }
    free(plugins->items);
    free(scopes->winners);
}
