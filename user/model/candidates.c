/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/candidates.h"

#include "model/plugin_scopes.h"
#include "model/records.h"
#include "model/routing.h"

struct trial {
    const struct kg_pmap *services;
    const struct kg_route_query *query;
    void (*visit)(void *ctx, const struct kg_candidate *candidate);
    void *ctx;
};

static void try_route(void *ctx, void *value)
{
    const struct trial *trial = ctx;
    const struct kg_route_record *record = value;
    const struct kg_service_record *service = kg_pmap_find(trial->services, record->service_id);
    const struct kg_route_spec spec = kg_route_record_spec(record, NULL);
    struct kg_candidate candidate = {
        .id = record->record.id,
        .name = record->name,
        .order = record->record.order,
    };

    candidate.misses = kg_route_misses(&spec, trial->query, &candidate.rank);
    if (!kg_route_record_is_served(record, service))
        candidate.misses |= KG_MISS_SERVICE;
    trial->visit(trial->ctx, &candidate);
}

void kg_candidates_each(const struct kg_pmap *services, const struct kg_pmap *routes,
                        const struct kg_route_query *query,
                        void (*visit)(void *ctx, const struct kg_candidate *candidate), void *ctx)
{
    struct trial trial = { services, query, visit, ctx };

    if (query->regex)
        kg_regex_scratch_begin(query->regex);
    kg_pmap_each(routes, try_route, &trial);
}

struct search {
    const struct kg_plugin_scope *scope;
    void (*visit)(void *ctx, const struct kg_plugin_instance *instance);
    void *ctx;
};

static bool takes_in(const char *scope, const char *id)
{
    return scope[0] == '\0' || strcmp(scope, id) == 0;
}

static void show_plugin(void *ctx, void *value)
{
    const struct search *search = ctx;
    const struct kg_plugin_record *record = value;
    const struct kg_plugin_use use = kg_plugin_record_use(record);
    const struct kg_plugin_instance instance = {
        .id = record->record.id,
        .type = record->type,
        .enabled = record->enabled,
        .by_route = record->route_id[0] != '\0',
        .by_service = record->service_id[0] != '\0',
        .by_consumer = record->consumer_id[0] != '\0',
        .priority = use.priority,
        .rank = use.rank,
    };

    if (takes_in(record->route_id, search->scope->route) &&
        takes_in(record->service_id, search->scope->service) &&
        takes_in(record->consumer_id, search->scope->consumer))
        search->visit(search->ctx, &instance);
}

void kg_plugins_each(const struct kg_pmap *plugins, const struct kg_plugin_scope *scope,
                     void (*visit)(void *ctx, const struct kg_plugin_instance *instance), void *ctx)
{
    struct search search = { scope, visit, ctx };

    kg_pmap_each(plugins, show_plugin, &search);
}
