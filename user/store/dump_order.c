/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which routes of a dump cannot lie in their services. Routes that tie go by their creation, and a sync
 * creates them in the order of the file: those in services first, service by service, then those that stand
 * alone. Where that would turn round two routes that might tie, the later one stands alone.
 */
#include "store/declaring.h"

#include "model/json.h"

#include <errno.h>

#define STANDS_ALONE INT64_MAX

struct order {
    struct kg_declaring *d;
    struct kg_id_set *alone;
    json_t *latest;       /* word → the last place, so far, of a route that has it */
    sqlite3_stmt *places; /* of services */
};

/* Where its service stands among all; STANDS_ALONE when the route will not lie in one. */
static int64_t place_of(struct order *order, const json_t *route)
{
    const char *id = json_string_value(json_object_get(json_object_get(route, "service"), "id"));
    json_t *service = id ? kg_rows_get(order->d, &kg_entities[KG_SERVICES], id) : NULL;
    int64_t place = STANDS_ALONE;

    if (service && kg_rows_selected(order->d, json_object_get(service, "tags"))) {
        sqlite3_bind_text(order->places, 1, id, -1, SQLITE_STATIC);
        if (sqlite3_step(order->places) == SQLITE_ROW)
            place = sqlite3_column_int64(order->places, 0);
        sqlite3_reset(order->places);
    }
    json_decref(service);
    return place;
}

static size_t count_kinds(const json_t *route)
{
    static const char *const kinds[] = { "hosts", "paths", "methods", "headers", "snis" };
    size_t count = 0;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const json_t *value = json_object_get(route, kinds[i]);

        count += json_array_size(value) + json_object_size(value) > 0;
    }
    return count;
}

/*
 * Words of which two routes have one in common when they can tie (model/route_rank.h): as many kinds of
 * conditions, and the same path, or regexes of one priority, or no path at all. New.
 */
static json_t *words_of(const json_t *route)
{
    json_t *words = json_array(), *paths = json_object_get(route, "paths"), *path;
    json_int_t priority = json_integer_value(json_object_get(route, "regex_priority"));
    size_t kinds = count_kinds(route), i;

    if (json_array_size(paths) == 0)
        json_array_append_new(words, json_sprintf("%zu", kinds));
    json_array_foreach(paths, i, path)
    {
        const char *text = json_string_value(path);

        json_array_append_new(words, text[0] == '~' ? json_sprintf("%zu~%lld", kinds, (long long)priority)
                                                    : json_sprintf("%zu%s", kinds, text));
    }
    return words;
}

static void take_route(struct order *order, const json_t *route)
{
    json_t *words = words_of(route), *word;
    int64_t own = place_of(order, route), place = own;
    uint8_t id[16];
    size_t i;

    json_array_foreach(words, i, word)
    {
        if (json_integer_value(json_object_get(order->latest, json_string_value(word))) > own)
            place = STANDS_ALONE;
    }
    json_array_foreach(words, i, word)
    {
        /* Places only grow: a route with a smaller one than the last stands alone. */
        json_object_set_new(order->latest, json_string_value(word), json_integer(place));
    }
    json_decref(words);
    if (own == STANDS_ALONE || place != STANDS_ALONE)
        return;
    kg_id_parse(json_string_value(json_object_get(route, "id")), id);
    kg_id_set_add(order->alone, id);
}

static void take_routes(struct order *order, sqlite3_stmt *routes)
{
    const struct kg_entity *entity = &kg_entities[KG_ROUTES];
    int step = SQLITE_DONE;

    while (order->d->rc == 0 && (step = sqlite3_step(routes)) == SQLITE_ROW) {
        json_t *route = kg_table_row(order->d->store, routes, entity);

        if (kg_rows_selected(order->d, json_object_get(route, "tags")))
            take_route(order, route);
        json_decref(route);
    }
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        kg_declare_disk(order->d, "read");
}

void kg_dump_order(struct kg_declaring *d, struct kg_id_set *alone)
{
    struct order order = { .d = d, .alone = alone, .latest = json_object() };
    struct kg_sql places, all;
    sqlite3_stmt *routes;

    kg_sql_start(&places, "SELECT seq FROM services WHERE id = ?");
    kg_table_select(&all, &kg_entities[KG_ROUTES]);
    kg_sql_add(&all, " ORDER BY seq");
    order.places = kg_sql_prepare(d->store, &places, d->err);
    routes = kg_sql_prepare(d->store, &all, d->err);
    if (order.places && routes)
        take_routes(&order, routes);
    else
        d->rc = -EIO;
    sqlite3_finalize(order.places);
    sqlite3_finalize(routes);
    json_decref(order.latest);
}
