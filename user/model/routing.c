/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/routing.h"

#include "base/assert.h"
#include "base/mem.h"
#include "model/names.h"
#include "model/records.h"

#include <stdlib.h>

struct kg_routing_parts {
    struct kg_arena arena;  /* services, routes, uses of plugins */
    struct kg_pmap plugins; /* the version whose compiled configs the uses point at */
    struct kg_pmap routes;  /* the version whose regexes the router points at */
    struct kg_pmap secured; /* what the services' `tls` point into */
    /* All upstreams' balancers, oldest first, then those that services have besides: one reference each. */
    struct kg_balancer_record **balancers;
    size_t balancer_count, balancer_room, upstream_count;
};

/* All values of a map as an array, in the order in which the model first saw them. */
struct records {
    struct kg_record **items;
    size_t count;
};

static void append(void *ctx, void *value)
{
    struct records *records = ctx;

    records->items[records->count++] = value;
}

static int older_first(const void *left, const void *right)
{
    const struct kg_record *a = *(struct kg_record *const *)left, *b = *(struct kg_record *const *)right;

    return (a->order > b->order) - (a->order < b->order);
}

static struct records in_order(const struct kg_pmap *map)
{
    struct records records = { kg_calloc(map->count, sizeof(struct kg_record *)), 0 };

    kg_pmap_each(map, append, &records);
    qsort(records.items, records.count, sizeof(*records.items), older_first);
    return records;
}

static void keep_balancer(struct kg_routing_parts *parts, struct kg_balancer_record *balancer)
{
    if (parts->balancer_count == parts->balancer_room) {
        parts->balancer_room = parts->balancer_room ? parts->balancer_room * 2 : 64;
        parts->balancers = kg_realloc(parts->balancers, parts->balancer_room, sizeof(*parts->balancers));
    }
    parts->balancers[parts->balancer_count++] = kg_balancer_record_hold(balancer);
}

static void build_upstreams(struct kg_routing_parts *parts, struct kg_pools *pools)
{
    struct records records = in_order(&pools->upstreams);

    for (size_t i = 0; i < records.count; i++)
        keep_balancer(parts, kg_pools_balancer(pools, (struct kg_upstream_record *)records.items[i], false));
    parts->upstream_count = parts->balancer_count;
    free(records.items);
}

/* All addresses of the service's own host, each with the same weight. Made anew only when they have changed.
 */
static struct kg_balancer_record *own_balancer(struct kg_service_record *service, const struct kg_pmap *names)
{
    const struct kg_host_name *name = kg_pmap_find(names, service->lower_host.ptr);
    uint64_t version = name ? name->version : 0;
    struct kg_addr numeric;
    size_t count;

    if (service->own && service->own_version == version)
        return service->own;
    const struct kg_addr *addrs = kg_names_addresses(names, service->host, &numeric, &count);
    struct kg_balancer_record *fresh = kg_balancer_record_new(count);
    struct kg_endpoint endpoint = { .weight = 1 };

    endpoint.host = kg_arena_copy(&fresh->arena, service->host);
    endpoint.host_header = kg_host_header(&fresh->arena, service->host, service->port, service->https);
    for (size_t i = 0; i < count; i++) {
        endpoint.addr_len = kg_sockaddr_of(&addrs[i], service->port, &endpoint.addr);
        kg_balancer_record_add(fresh, &endpoint, NULL);
    }
    fresh->pub.unresolved = count == 0;
    kg_balancer_record_replace(&service->own, fresh);
    service->own_version = version;
    return service->own;
}

static const struct kg_balancer *choose_balancer(struct kg_routing_parts *parts,
                                                 struct kg_service_record *service, struct kg_pools *pools)
{
    struct kg_upstream_record *upstream = kg_pools_find(pools, service->lower_host.ptr);
    struct kg_balancer_record *balancer;

    balancer =
        upstream ? kg_pools_balancer(pools, upstream, service->https) : own_balancer(service, pools->names);
    keep_balancer(parts, balancer);
    return &balancer->pub;
}

static const struct kg_service *build_service(struct kg_routing_parts *parts,
                                              struct kg_service_record *record, struct kg_pools *pools,
                                              struct kg_certificates *certificates)
{
    struct kg_arena *arena = &parts->arena;
    struct kg_service *service = kg_arena_calloc(arena, 1, sizeof(*service));

    memcpy(service->id, record->record.id, sizeof(service->id));
    service->name = kg_arena_copy(arena, record->name);
    service->path = kg_arena_copy(arena, record->path);
    service->balancer = choose_balancer(parts, record, pools);
    service->tls = record->https ? kg_certificates_secure(certificates, record) : NULL;
    service->connect_timeout_ms = record->connect_timeout_ms;
    service->write_timeout_ms = record->write_timeout_ms;
    service->read_timeout_ms = record->read_timeout_ms;
    service->retries = record->retries;
    return service;
}

static void build_services(struct kg_routing_parts *parts, const struct kg_pmap *services,
                           struct kg_pools *pools, struct kg_certificates *certificates)
{
    struct records records = in_order(services);

    for (size_t i = 0; i < records.count; i++) {
        struct kg_service_record *service = (struct kg_service_record *)records.items[i];
        service->plugins = NULL;
        service->built = service->enabled ? build_service(parts, service, pools, certificates) : NULL;
    }
    free(records.items);
}

/* Hangs each plugin that is switched on under its route, else its service, else under the whole gateway. */
static void hang_plugins(const struct kg_pmap *services, const struct kg_pmap *routes,
                         const struct kg_pmap *plugins, struct kg_plugin_record **global)
{
    struct records records = in_order(plugins);

    for (size_t i = 0; i < records.count; i++) {
        struct kg_plugin_record *plugin = (struct kg_plugin_record *)records.items[i];
        struct kg_route_record *route = kg_pmap_find(routes, plugin->route_id);
        struct kg_service_record *service = kg_pmap_find(services, plugin->service_id);
        struct kg_plugin_record **under = global;
        /* A consumer is known only after authentication: those instances are not a route's own. */
        if (!plugin->enabled || plugin->consumer_id[0] != '\0')
            continue;
        if (plugin->route_id[0] != '\0')
            under = route ? &route->plugins : NULL;
        else if (plugin->service_id[0] != '\0')
            under = service ? &service->plugins : NULL;
        if (!under)
            continue;
        plugin->next_same = *under;
        *under = plugin;
    }
    free(records.items);
}

/* As Kong does: route+service, then route, then service, then global. */
static unsigned specificity(const struct kg_plugin_record *plugin)
{
    return (plugin->route_id[0] != '\0') * 2u + (plugin->service_id[0] != '\0');
}

/* The instances that win on one route so far, one for each type. */
struct winners {
    const struct kg_plugin_record **items;
    size_t count, cap;
};

static void compete(struct winners *winners, const struct kg_plugin_record *chain, const char *service_id)
{
    for (; chain; chain = chain->next_same) {
        size_t at = 0;
        if (chain->service_id[0] != '\0' && strcmp(chain->service_id, service_id) != 0)
            continue;
        while (at < winners->count && winners->items[at]->type != chain->type)
            at++;
        if (at < winners->count) {
            if (specificity(chain) > specificity(winners->items[at]))
                winners->items[at] = chain;
            continue;
        }
        if (winners->count == winners->cap) {
            winners->cap = winners->cap ? winners->cap * 2 : 8;
            winners->items = kg_realloc(winners->items, winners->cap, sizeof(*winners->items));
        }
        winners->items[winners->count++] = chain;
    }
}

static int runs_first(const void *left, const void *right)
{
    const struct kg_plugin_type *a = (*(const struct kg_plugin_record *const *)left)->type;
    const struct kg_plugin_type *b = (*(const struct kg_plugin_record *const *)right)->type;

    return a->priority != b->priority ? (a->priority < b->priority) - (a->priority > b->priority)
                                      : strcmp(a->name, b->name);
}

static void attach_plugins(struct kg_arena *arena, struct kg_route *route, struct winners *winners)
{
    struct kg_plugin_use *uses = kg_arena_calloc(arena, winners->count, sizeof(*uses));

    if (winners->count > 0)
        qsort(winners->items, winners->count, sizeof(*winners->items), runs_first);
    for (size_t i = 0; i < winners->count; i++) {
        uses[i].type = winners->items[i]->type;
        uses[i].config = winners->items[i]->config;
        uses[i].not_http = winners->items[i]->not_http;
        uses[i].not_https = winners->items[i]->not_https;
        memcpy(uses[i].id, winners->items[i]->record.id, sizeof(uses[i].id));
    }
    route->plugins = uses;
    route->plugin_count = winners->count;
}

static const struct kg_route *build_route(struct kg_arena *arena, const struct kg_route_record *record,
                                          const struct kg_service_record *service,
                                          const struct kg_plugin_record *global, struct winners *winners)
{
    struct kg_route *route = kg_arena_calloc(arena, 1, sizeof(*route));

    memcpy(route->id, record->record.id, sizeof(route->id));
    route->name = kg_arena_copy(arena, record->name);
    route->service = service ? service->built : NULL;
    route->strip_path = record->strip_path;
    route->preserve_host = record->preserve_host;
    route->https_only = record->https_only;
    route->https_redirect_status = record->https_redirect_status;
    winners->count = 0;
    compete(winners, record->plugins, record->service_id);
    compete(winners, service ? service->plugins : NULL, record->service_id);
    compete(winners, global, record->service_id);
    attach_plugins(arena, route, winners);
    return route;
}

struct kg_route_spec kg_route_record_spec(const struct kg_route_record *record, const struct kg_route *route)
{
    return (struct kg_route_spec){
        .route = route,
        .hosts = record->hosts,
        .paths = record->paths,
        .methods = record->methods,
        .snis = record->snis,
        .headers = record->headers,
        .regexes = record->regex_paths,
        .host_count = record->host_count,
        .path_count = record->path_count,
        .method_count = record->method_count,
        .sni_count = record->sni_count,
        .header_count = record->header_count,
        .regex_count = record->regex_path_count,
        .regex_priority = record->regex_priority,
    };
}

bool kg_route_record_is_served(const struct kg_route_record *record, const struct kg_service_record *service)
{
    return record->service_id[0] == '\0' || (service && service->enabled);
}

static size_t build_routes(struct kg_arena *arena, const struct records *routes,
                           const struct kg_pmap *services, const struct kg_plugin_record *global,
                           struct kg_route_spec *specs)
{
    struct winners winners = { 0 };
    size_t count = 0;

    for (size_t i = 0; i < routes->count; i++) {
        const struct kg_route_record *record = (const struct kg_route_record *)routes->items[i];
        const struct kg_service_record *service = kg_pmap_find(services, record->service_id);
        if (!kg_route_record_is_served(record, service))
            continue;
        specs[count++] = kg_route_record_spec(record, build_route(arena, record, service, global, &winners));
    }
    free(winners.items);
    return count;
}

struct kg_routing *kg_routing_new(const struct kg_pmap *services, const struct kg_pmap *routes,
                                  const struct kg_pmap *plugins, struct kg_pools *pools,
                                  struct kg_certificates *certificates)
{
    struct kg_routing *routing = kg_calloc(1, sizeof(*routing));
    struct kg_plugin_record *global = NULL;
    struct records ordered = in_order(routes);
    struct kg_route_spec *specs = kg_calloc(ordered.count, sizeof(*specs));

    routing->refs = 1;
    routing->parts = kg_calloc(1, sizeof(*routing->parts));
    routing->parts->plugins = kg_pmap_share(plugins);
    routing->parts->routes = kg_pmap_share(routes);
    for (size_t i = 0; i < ordered.count; i++)
        ((struct kg_route_record *)ordered.items[i])->plugins = NULL;
    kg_certificates_begin(certificates);
    build_upstreams(routing->parts, pools);
    build_services(routing->parts, services, pools, certificates);
    routing->parts->secured = kg_certificates_end(certificates);
    hang_plugins(services, routes, plugins, &global);
    size_t count = build_routes(&routing->parts->arena, &ordered, services, global, specs);
    routing->router = kg_router_new(specs, count);
    free(specs);
    free(ordered.items);
    return routing;
}

void kg_routing_release(struct kg_routing *routing)
{
    KG_ASSERT(routing->refs > 0);
    if (--routing->refs > 0)
        return;
    kg_router_free(routing->router);
    kg_pmap_free(&routing->parts->plugins);
    kg_pmap_free(&routing->parts->routes);
    kg_pmap_free(&routing->parts->secured);
    for (size_t i = 0; i < routing->parts->balancer_count; i++)
        kg_balancer_record_release(routing->parts->balancers[i]);
    free(routing->parts->balancers);
    kg_arena_free(&routing->parts->arena);
    free(routing->parts);
    free(routing);
}

void kg_routing_each_balancer(const struct kg_routing *routing,
                              void (*visit)(void *ctx, const struct kg_balancer *balancer), void *ctx)
{
    for (size_t i = 0; i < routing->parts->upstream_count; i++)
        visit(ctx, &routing->parts->balancers[i]->pub);
}
