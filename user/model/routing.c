/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/routing.h"

#include "base/assert.h"
#include "base/mem.h"
#include "model/names.h"
#include "model/plugin_scopes.h"
#include "model/records.h"

#include <stdlib.h>

struct kg_routing_parts {
    struct kg_arena arena;           /* services, routes, uses of plugins */
    struct kg_pmap plugins;          /* the version whose compiled configs the uses point at */
    struct kg_pmap routes;           /* the version whose regexes the router points at */
    struct kg_pmap consumer_plugins; /* by the consumer's id; they lie in the arena */
    struct kg_pmap secured;          /* what the services' `tls` point into */
    /* All upstreams' balancers, oldest first, then those that services have besides: one reference each. */
    struct kg_balancer_record **balancers;
    size_t balancer_count, balancer_room, upstream_count;
};

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
    struct kg_records records = kg_records_in_order(&pools->upstreams);

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
    struct kg_records records = kg_records_in_order(services);

    for (size_t i = 0; i < records.count; i++) {
        struct kg_service_record *service = (struct kg_service_record *)records.items[i];
        service->built = service->enabled ? build_service(parts, service, pools, certificates) : NULL;
    }
    free(records.items);
}

static const struct kg_route *build_route(struct kg_arena *arena, const struct kg_route_record *record,
                                          const struct kg_service_record *service,
                                          struct kg_plugin_scopes *scopes)
{
    struct kg_route *route = kg_arena_calloc(arena, 1, sizeof(*route));

    memcpy(route->id, record->record.id, sizeof(route->id));
    route->name = kg_arena_copy(arena, record->name);
    route->service = service ? service->built : NULL;
    route->strip_path = record->strip_path;
    route->preserve_host = record->preserve_host;
    route->https_only = record->https_only;
    route->https_redirect_status = record->https_redirect_status;
    kg_plugin_scopes_apply(scopes, arena, record, service, route);
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

static size_t build_routes(struct kg_arena *arena, const struct kg_records *routes,
                           const struct kg_pmap *services, struct kg_plugin_scopes *scopes,
                           struct kg_route_spec *specs)
{
    size_t count = 0;

    for (size_t i = 0; i < routes->count; i++) {
        const struct kg_route_record *record = (const struct kg_route_record *)routes->items[i];
        const struct kg_service_record *service = kg_pmap_find(services, record->service_id);
        if (!kg_route_record_is_served(record, service))
            continue;
        specs[count++] = kg_route_record_spec(record, build_route(arena, record, service, scopes));
    }
    return count;
}

struct kg_routing *kg_routing_new(const struct kg_pmap *services, const struct kg_pmap *routes,
                                  const struct kg_pmap *plugins, struct kg_pools *pools,
                                  struct kg_certificates *certificates)
{
    struct kg_routing *routing = kg_calloc(1, sizeof(*routing));
    struct kg_plugin_scopes scopes;
    struct kg_records ordered = kg_records_in_order(routes);
    struct kg_route_spec *specs = kg_calloc(ordered.count, sizeof(*specs));

    routing->refs = 1;
    routing->parts = kg_calloc(1, sizeof(*routing->parts));
    routing->parts->plugins = kg_pmap_share(plugins);
    routing->parts->routes = kg_pmap_share(routes);
    kg_certificates_begin(certificates);
    build_upstreams(routing->parts, pools);
    build_services(routing->parts, services, pools, certificates);
    routing->parts->secured = kg_certificates_end(certificates);
    kg_plugin_scopes_begin(&scopes, services, routes, plugins);
    size_t count = build_routes(&routing->parts->arena, &ordered, services, &scopes, specs);
    kg_plugin_scopes_end(&scopes, &routing->parts->arena, &routing->parts->consumer_plugins);
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
    kg_pmap_free(&routing->parts->consumer_plugins);
    for (size_t i = 0; i < routing->parts->balancer_count; i++)
        kg_balancer_record_release(routing->parts->balancers[i]);
    free(routing->parts->balancers);
    kg_arena_free(&routing->parts->arena);
    free(routing->parts);
    free(routing);
}

const struct kg_consumer_plugins *kg_routing_consumer_plugins(const struct kg_routing *routing,
                                                              const char *consumer_id)
{
    return kg_pmap_find(&routing->parts->consumer_plugins, consumer_id);
}

void kg_routing_each_balancer(const struct kg_routing *routing,
                              void (*visit)(void *ctx, const struct kg_balancer *balancer), void *ctx)
{
    for (size_t i = 0; i < routing->parts->upstream_count; i++)
        visit(ctx, &routing->parts->balancers[i]->pub);
}
