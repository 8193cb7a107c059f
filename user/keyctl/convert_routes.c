/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Services and routes. A route that has an upstream, a timeout or a plugin switched off of its own gets a
 * service of its own, with the plugins of the service it belonged to. A route whose conditions or whose
 * guards cannot be carried over is left out whole, for it would answer what it did not answer before.
 */
#include "keyctl/convert.h"

#include "base/mem.h"

#include <stdlib.h>

static const char *const service_known[] = {
    "id",          "name",        "desc",   "labels",  "hosts",       "host",
    "upstream",    "upstream_id", "routes", "plugins", "path_prefix", "enable_websocket",
    "create_time", "update_time", NULL,
};

/* Conditions that would be lost, and the route with them. */
static const char *const lost[] = {
    "remote_addr", "remote_addrs", "filter_func", "script", "script_id", NULL
};

static const char *const route_known[] = {
    "id",          "name",
    "desc",        "labels",
    "uri",         "uris",
    "paths",       "host",
    "hosts",       "methods",
    "priority",    "vars",
    "upstream",    "upstream_id",
    "service_id",  "plugins",
    "timeout",     "plugin_config_id",
    "status",      "enable_websocket",
    "create_time", "update_time",
    "remote_addr", "remote_addrs",
    "filter_func", "script",
    "script_id",   NULL,
};

/* Where an entity's own upstream leads; reach->upstream is NULL where it names none. False: there is none
 * such. */
static bool find_upstream(struct convert *c, const struct item *item, struct reach *reach)
{
    const struct node *inside = node_field(item->node, "upstream"),
                      *id = node_field(item->node, "upstream_id");
    struct item own = { .node = inside, .kind = "upstream", .label = item->label };
    struct item *shared;

    *reach = (struct reach){ 0 };
    if (inside && inside->kind == NODE_MAP) {
        put_upstream(c, &own);
        *reach = own.reach;
        json_decref(own.name); /* what was written holds it */
        return true;
    }
    if (!id)
        return true;
    shared = find_item(&c->upstreams, node_text(id));
    if (!shared) {
        leave_out(c, item, id, "upstream_id: there is no such upstream; the %s is left out", item->kind);
        return false;
    }
    put_upstream(c, shared);
    *reach = shared->reach;
    return true;
}

static void say_description(struct convert *c, const struct item *item)
{
    const struct node *desc = node_field(item->node, "desc");

    if (desc)
        note(c, item, desc, "desc: there are no descriptions; it is not kept");
}

/* ---- services ---- */

static void put_service(struct convert *c, struct item *item)
{
    json_t *plugins = json_array(), *service;
    struct plugin_set set = { .count = 0 };

    leave_unknown(c, item, item->node, "", service_known);
    say_description(c, item);
    item->failed = !find_upstream(c, item, &item->reach);
    overlay_plugins(c, item, &set, node_field(item->node, "plugins"));
    item->locked = !put_plugins(c, item, &set, plugins);
    if (item->locked)
        leave_out(c, item, NULL,
                  "it is left out with its routes, for they would be open to more than before");
    if (item->failed || item->locked || !item->reach.upstream) {
        json_decref(plugins);
        return;
    }
    service = json_object();
    item->name = give_name(c, PART_SERVICES, item);
    json_object_set(service, "name", item->name);
    put_reach(c, item, service, &item->reach, NULL);
    put_tags(c, item, service);
    if (json_array_size(plugins) > 0)
        json_object_set(service, "plugins", plugins);
    json_decref(plugins);
    json_array_append_new(c->out[PART_SERVICES], service);
}

void put_services(struct convert *c)
{
    for (size_t i = 0; i < c->services.count; i++) {
        struct item *item = &c->services.list[i];

        put_service(c, item);
        add_items(c, &c->routes, node_field(item->node, "routes"), "route", item);
    }
}

/* ---- what a route matches ---- */

static bool put_path(struct convert *c, const struct item *item, const char *prefix, const struct node *uri,
                     json_t *paths)
{
    const char *text = node_text(uri);
    json_t *path, *whole;
    bool inner = false;

    whole = text ? json_sprintf("%s%s", prefix, text) : NULL;
    path = whole ? make_path(json_string_value(whole), &inner) : NULL;
    json_decref(whole);
    if (!path) {
        leave_out(c, item, uri, "uri: expected a path that starts with /, at most 4096 bytes long");
        return false;
    }
    if (inner)
        leave_out(c, item, uri, "uri: a star inside it becomes a regex, which is tried before all prefixes");
    json_array_append_new(paths, path);
    return true;
}

static bool put_paths(struct convert *c, const struct item *item, const struct item *service, json_t *route)
{
    static const char *const spelled[] = { "uris", "uri", "paths", NULL };
    const struct node *uris = node_spelled(item->node, spelled);
    const char *prefix = service ? node_text(node_field(service->node, "path_prefix")) : NULL;
    json_t *paths = json_array();
    bool all = uris != NULL;

    if (!uris)
        leave_out(c, item, NULL, "uri: it has none");
    if (uris && uris->kind != NODE_LIST)
        all = put_path(c, item, prefix ? prefix : "", uris, paths);
    for (size_t i = 0; uris && uris->kind == NODE_LIST && i < uris->count; i++)
        all &= put_path(c, item, prefix ? prefix : "", uris->items[i], paths);
    if (json_array_size(paths) > 0)
        json_object_set(route, "paths", paths);
    else
        all = false;
    json_decref(paths);
    return all;
}

static bool good_hosts(const json_t *hosts)
{
    json_t *host;
    size_t i;

    json_array_foreach(hosts, i, host)
    {
        const char *text = json_string_value(host), *star = strchr(text, '*');

        if (star && (star != text || text[1] != '.' || strchr(text + 1, '*')))
            return false;
    }
    return json_array_size(hosts) > 0;
}

static bool put_hosts(struct convert *c, const struct item *item, const struct item *service, json_t *route)
{
    static const char *const spelled[] = { "hosts", "host", NULL };
    const struct node *node = node_spelled(item->node, spelled);
    json_t *hosts;

    if (!node && service) {
        node = node_spelled(service->node, spelled);
        if (node && !may_copy(c, item, node->weight))
            return false;
    }
    if (!node)
        return true;
    hosts = make_texts(node);
    if (good_hosts(hosts)) {
        json_object_set_new(route, "hosts", hosts);
        return true;
    }
    json_decref(hosts);
    leave_out(c, item, node, "hosts: expected names, or *. and a name");
    return false;
}

static bool put_methods(struct convert *c, const struct item *item, json_t *route)
{
    const struct node *node = node_field(item->node, "methods");
    json_t *methods = make_texts(node);

    if (node && !methods) {
        leave_out(c, item, node, "methods: expected a list of methods");
        return false;
    }
    if (json_array_size(methods) > 0)
        json_object_set(route, "methods", methods);
    json_decref(methods);
    return true;
}

/* Conditions that would be lost, and the route with them. */
static bool has_lost_condition(struct convert *c, const struct item *item)
{
    bool found = false;

    for (size_t i = 0; lost[i]; i++) {
        const struct node *node = node_field(item->node, lost[i]);

        if (node)
            leave_out(c, item, node, "%s: keygate has no such field", lost[i]);
        found |= node != NULL;
    }
    return found;
}

/* ---- a route's plugins and service ---- */

/* The plugins of the route itself; false when what it refers to is not there. */
static bool own_plugins(struct convert *c, const struct item *item, struct plugin_set *set)
{
    const struct node *id = node_field(item->node, "plugin_config_id");
    const struct item *shared = id ? find_item(&c->plugin_configs, node_text(id)) : NULL;

    if (id && !shared) {
        leave_out(c, item, id, "plugin_config_id: there is no such plugin_config");
        return false;
    }
    if (shared)
        overlay_plugins(c, item, set, node_field(shared->node, "plugins"));
    overlay_plugins(c, item, set, node_field(item->node, "plugins"));
    return true;
}

/* Whether it switches a plugin off, so that the service's must not be in force either. */
static bool disables(const struct plugin_set *set, const struct item *service)
{
    for (size_t i = 0; service && i < set->count; i++) {
        if (plugin_disabled(set->list[i].config) &&
            node_field(node_field(service->node, "plugins"), set->list[i].name))
            return true;
    }
    return false;
}

struct draft {
    const struct item *service; /* of the file; NULL: none */
    struct plugin_set set;
    struct reach reach;
    bool alone; /* it needs a service of its own */
};

static bool find_service(struct convert *c, const struct item *item, struct draft *draft)
{
    const struct node *id = node_field(item->node, "service_id");

    draft->service = item->parent;
    if (id)
        draft->service = find_item(&c->services, node_text(id));
    if (id && !draft->service) {
        leave_out(c, item, id, "service_id: there is no such service");
        return false;
    }
    if (!draft->service)
        return true;
    if (draft->service->locked || draft->service->failed) {
        leave_out(c, item, id, "its service is left out");
        return false;
    }
    return true;
}

static bool has_upstream(const struct item *item)
{
    return node_field(item->node, "upstream") || node_field(item->node, "upstream_id");
}

static bool plan(struct convert *c, const struct item *item, struct draft *draft)
{
    const struct item *service;
    struct plugin_set own = { .count = 0 };

    if (!find_service(c, item, draft) || !own_plugins(c, item, &own))
        return false;
    service = draft->service;
    draft->alone = has_upstream(item) || node_field(item->node, "timeout") || !service || !service->name ||
                   disables(&own, service);
    if (draft->alone && service)
        overlay_plugins(c, item, &draft->set, node_field(service->node, "plugins"));
    return own_plugins(c, item, &draft->set);
}

static bool find_reach(struct convert *c, const struct item *item, struct draft *draft)
{
    if (has_upstream(item))
        return find_upstream(c, item, &draft->reach);
    if (draft->service)
        draft->reach = draft->service->reach;
    return true;
}

static void put_own_service(struct convert *c, const struct item *item, const struct draft *draft,
                            json_t *route)
{
    json_t *service, *name;

    if (!draft->reach.upstream) {
        note(c, item, NULL, "it has no upstream: its requests are answered 503");
        return;
    }
    service = json_object();
    name = give_name(c, PART_SERVICES, item);
    json_object_set(service, "name", name);
    put_reach(c, item, service, &draft->reach, node_field(item->node, "timeout"));
    json_array_append_new(c->out[PART_SERVICES], service);
    json_object_set_new(route, "service", name);
}

static bool put_matching(struct convert *c, const struct item *item, const struct item *service,
                         json_t *route)
{
    bool all = !has_lost_condition(c, item);

    all &= put_hosts(c, item, service, route);
    all &= put_methods(c, item, route);
    all &= put_vars(c, item, route);
    return put_paths(c, item, service, route) && all;
}

/* The route, or NULL. */
static json_t *make_route(struct convert *c, struct item *item)
{
    struct draft draft = { .alone = false };
    json_t *route = json_object(), *plugins = json_array();
    bool done = plan(c, item, &draft);

    json_object_set_new(route, "name", json_null()); /* its place */
    done &= put_matching(c, item, draft.service, route);
    done &= put_plugins(c, item, &draft.set, plugins);
    if (!done || !find_reach(c, item, &draft)) {
        json_decref(route);
        json_decref(plugins);
        return NULL;
    }
    item->name = give_name(c, PART_ROUTES, item);
    json_object_set(route, "name", item->name);
    if (draft.alone)
        put_own_service(c, item, &draft, route);
    else
        json_object_set(route, "service", draft.service->name);
    json_object_set_new(route, "strip_path", json_false());
    json_object_set_new(route, "preserve_host", json_boolean(draft.reach.preserve_host));
    put_tags(c, item, route);
    if (json_array_size(plugins) > 0)
        json_object_set(route, "plugins", plugins);
    json_decref(plugins);
    return route;
}

static bool put_route(struct convert *c, struct item *item)
{
    json_t *route;

    if (node_is(node_field(item->node, "status"), "0")) {
        leave_out(c, item, node_field(item->node, "status"), "status: it is switched off; it is left out");
        return false;
    }
    say_description(c, item);
    leave_unknown(c, item, item->node, "", route_known);
    route = make_route(c, item);
    if (route)
        return json_array_append_new(c->out[PART_ROUTES], route) == 0;
    leave_out(c, item, NULL, "it is left out, for it would answer other requests than before");
    return false;
}

/* ---- all of them ---- */

struct place {
    struct item *item;
    int64_t priority;
};

/* Of routes that tie, keygate takes the first; so the one with more priority comes first. */
static int compare(const void *left, const void *right)
{
    const struct place *a = left, *b = right;

    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    return (a->item > b->item) - (a->item < b->item);
}

void put_routes(struct convert *c)
{
    struct place *places = kg_calloc(c->routes.count + 1, sizeof(*places));
    const struct item **written = kg_calloc(c->routes.count + 1, sizeof(*written));
    size_t count = 0;

    for (size_t i = 0; i < c->routes.count; i++) {
        const struct node *priority = node_field(c->routes.list[i].node, "priority");

        places[i].item = &c->routes.list[i];
        if (priority && !node_integer(priority, &places[i].priority))
            leave_out(c, places[i].item, priority, "priority: expected a whole number");
    }
    qsort(places, c->routes.count, sizeof(*places), compare);
    for (size_t i = 0; i < c->routes.count; i++) {
        if (put_route(c, places[i].item))
            written[count++] = places[i].item;
    }
    keep_order(c, written);
    free(written);
    free(places);
}
