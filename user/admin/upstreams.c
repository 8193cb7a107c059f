/* SPDX-License-Identifier: BSD-2-Clause */
/* What upstreams have besides entities: the health of their targets. */
#include "admin/call.h"

#include "http/uri.h"
#include "io/resolver.h"
#include "model/names.h"

#include <stdio.h>

#define ADDRESSES_MAX KG_RESOLVER_ADDRESSES

static const char *id_of(const json_t *entity)
{
    return json_string_value(json_object_get(entity, "id"));
}

/* The paths of this file are fixed ones: what they are about is in their segments. */
static void mean_targets(struct kg_call *call)
{
    const struct kg_entity *targets = &kg_entities[KG_TARGETS];

    call->resource.entity = targets;
    call->resource.ref = call->segments[3];
    call->resource.parent = &kg_entities[KG_UPSTREAMS];
    call->resource.parent_ref = call->segments[1];
    call->resource.link = kg_entity_field(targets, "upstream");
}

void kg_admin_all_targets(struct kg_call *call)
{
    mean_targets(call);
    kg_admin_nested_collection(call);
}

/* ---- health ---- */

const char *kg_admin_health_word(bool unhealthy, bool checked)
{
    if (unhealthy)
        return "UNHEALTHY";
    return checked ? "HEALTHY" : "HEALTHCHECKS_OFF";
}

static json_t *address_json(const struct kg_target_address *address, bool checked)
{
    char text[KG_ADDR_TEXT];

    return json_pack("{s:s,s:i,s:s,s:i}", "ip", kg_addr_text(&address->addr, text), "port",
                     (int)address->port, "health", kg_admin_health_word(address->unhealthy, checked),
                     "weight", (int)address->weight);
}

/* Adds `health` and `data` to a target; what of its weight is there, and what of that can be used. */
static void add_health(struct kg_call *call, json_t *target, bool checked, json_int_t *total,
                       json_int_t *available)
{
    struct kg_target_address list[ADDRESSES_MAX];
    size_t count = kg_model_target_addresses(call->parts->model, id_of(target), list, ADDRESSES_MAX),
           well = 0;
    json_t *addresses = json_array();

    if (count > ADDRESSES_MAX)
        count = ADDRESSES_MAX;
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(addresses, address_json(&list[i], checked));
        well += !list[i].unhealthy;
        *total += list[i].weight;
        *available += list[i].unhealthy ? 0 : list[i].weight;
    }
    json_object_set_new(target, "health",
                        json_string(count == 0 ? "DNS_ERROR" : kg_admin_health_word(well == 0, checked)));
    json_object_set_new(target, "data", json_pack("{s:o}", "addresses", addresses));
}

/* Of the upstream as a whole: whether it still takes requests. */
static void answer_whole(struct kg_call *call, const json_t *upstream, bool checked)
{
    double threshold =
        json_number_value(json_object_get(json_object_get(upstream, "healthchecks"), "threshold"));
    json_int_t total = 0, available = 0;
    int64_t after = 0;
    bool well;

    do {
        json_t *targets = kg_store_list(call->parts->store, KG_TARGETS, "upstream", id_of(upstream),
                                        KG_ADMIN_PAGE_MAX, &after),
               *target;
        size_t i;

        if (!targets) {
            kg_reply_message(call, 500, "the database cannot be read");
            return;
        }
        json_array_foreach(targets, i, target) add_health(call, target, checked, &total, &available);
        json_decref(targets);
    } while (after != 0);
    well = available > 0 && (double)available * 100 >= threshold * (double)total;
    kg_reply_json(call, 200,
                  json_pack("{s:{s:s,s:s,s:{s:{s:I,s:I,s:I}}}}", "data", "id", id_of(upstream), "health",
                            kg_admin_health_word(!well, checked), "details", "weight", "total", total,
                            "available", available, "unavailable", total - available));
}

static void answer_targets(struct kg_call *call, const json_t *upstream, bool checked)
{
    json_int_t total = 0, available = 0;
    struct kg_page page;
    json_t *targets, *target;
    char base[160];
    int64_t after;
    size_t i;

    if (!kg_admin_page(call, &page))
        return;
    after = page.after;
    targets = kg_store_list(call->parts->store, KG_TARGETS, "upstream", id_of(upstream), page.size, &after);
    if (!targets) {
        kg_reply_message(call, 500, "the database cannot be read");
        return;
    }
    json_array_foreach(targets, i, target) add_health(call, target, checked, &total, &available);
    snprintf(base, sizeof(base), "/upstreams/%s/health", id_of(upstream));
    kg_reply_json(call, 200, kg_admin_page_json(&page, targets, after, base, false));
}

void kg_admin_upstream_health(struct kg_call *call)
{
    struct kg_slice whole = { 0 };
    json_t *upstream;
    bool bare, checked;

    mean_targets(call);
    if (!kg_admin_find(call, call->resource.parent, call->resource.parent_ref, &upstream))
        return;
    checked = kg_model_is_checked(call->parts->model, id_of(upstream));
    if (kg_query_find(call->query, KG_SLICE("balancer_health"), &whole, &bare) > 0 &&
        kg_slice_eq(whole, KG_SLICE("1")))
        answer_whole(call, upstream, checked);
    else
        answer_targets(call, upstream, checked);
    json_decref(upstream);
}

/* ---- said by hand ---- */

/* "10.0.0.1", "10.0.0.1:80", "[2001:db8::1]:80": port 0 when there is none. */
static bool parse_address(struct kg_slice text, struct kg_addr *addr, uint16_t *port)
{
    struct kg_slice host;

    *port = 0;
    if (kg_addr_parse(text, addr) == 0)
        return true;
    return kg_host_split(text, &host, port) == 0 && kg_host_numeric(host, addr);
}

static void set_health(struct kg_call *call, const json_t *target, bool healthy)
{
    struct kg_addr addr;
    uint16_t port = 0;
    bool one = call->segment_count == 6;

    if (one && !parse_address(call->segments[4], &addr, &port)) {
        kg_reply_message(call, 404, "Not found");
        return;
    }
    if (kg_model_set_health(call->parts->model, id_of(target), one ? &addr : NULL, port, healthy) > 0)
        kg_reply_empty(call, 204);
    else if (one)
        kg_reply_message(call, 404, "Not found");
    else
        kg_reply_message(call, 400, "the target has no address");
}

static void say_health(struct kg_call *call, bool healthy)
{
    json_t *upstream, *target;

    mean_targets(call);
    if (!kg_admin_find(call, call->resource.parent, call->resource.parent_ref, &upstream))
        return;
    if (kg_admin_find_child(call, upstream, &target)) {
        set_health(call, target, healthy);
        json_decref(target);
    }
    json_decref(upstream);
}

void kg_admin_target_healthy(struct kg_call *call)
{
    say_health(call, true);
}

void kg_admin_target_unhealthy(struct kg_call *call)
{
    say_health(call, false);
}
