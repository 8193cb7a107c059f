/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/mem.h"
#include "keygate/abi.h"
#include "model/model.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define ID(n)      "00000000-0000-4000-8000-0000000000" #n
#define PER_MEMBER 400 /* bytes a consumer and its key may cost */

/* ---- two plugin types whose compiled config is the text of `tag` ---- */

static int configs_alive;

static void *compile(const json_t *config)
{
    configs_alive++;
    return kg_strdup(json_string_value(json_object_get(config, "tag")));
}

static void release(void *compiled)
{
    configs_alive--;
    free(compiled);
}

static const struct kg_field fields[] = { { .name = "tag", .type = KG_F_STRING }, { 0 } };
static const struct kg_plugin_type early = {
    .name = "early", .priority = 200, .config = fields, .compile = compile, .release = release
};
static const struct kg_plugin_type late = {
    .name = "late", .priority = 100, .config = fields, .compile = compile, .release = release
};

/* ---- slots ---- */

struct slots {
    uint32_t next;
    int taken, given_back;
    uint32_t last_given_back;
    char last_name[64];
};

static uint32_t take(void *ctx, const char *consumer_id, const char *name)
{
    struct slots *slots = ctx;

    slots->taken++;
    snprintf(slots->last_name, sizeof(slots->last_name), "%s", name);
    return slots->next++;
}

static void give_back(void *ctx, uint32_t slot, const char *consumer_id)
{
    struct slots *slots = ctx;

    slots->given_back++;
    slots->last_given_back = slot;
}

/* ---- writing and asking ---- */

static void put(struct kg_model *model, enum kg_entity_id entity, const char *json)
{
    json_error_t error;
    json_t *object = json_loads(json, 0, &error);

    assert_non_null(object);
    kg_model_put(model, entity, object);
    json_decref(object);
}

static void put_key(struct kg_model *model, const char *id, const char *consumer_id, uint8_t mac_byte,
                    int64_t expires)
{
    uint8_t mac[32];

    memset(mac, mac_byte, sizeof(mac));
    kg_model_put_credential(model, id, consumer_id, mac, expires, NULL);
}

static const struct kg_credential *key_in(const struct kg_snapshot *snapshot, uint8_t mac_byte)
{
    uint8_t mac[32];

    memset(mac, mac_byte, sizeof(mac));
    return kg_snapshot_credential(snapshot, mac);
}

static const struct kg_route *route_for(const struct kg_snapshot *snapshot, const char *path)
{
    struct kg_route_query query = { .method = KG_SLICE("GET"),
                                    .host = KG_SLICE("h"),
                                    .path = kg_slice_str(path) };
    struct kg_match match;

    return kg_snapshot_route(snapshot, &query, &match) ? match.route : NULL;
}

#define assert_slice(slice, text) assert_true(kg_slice_eq((slice), kg_slice_str(text)))

#define SERVICE_A                                                                                            \
    "{\"id\":\"" ID(                                                                                         \
        01) "\",\"name\":\"a\",\"host\":\"127.0.0.1\",\"port\":8000,\"path\":null,\"enabled\":true,"         \
            "\"connect_timeout\":11,\"write_timeout\":22,\"read_timeout\":33}"
#define ROUTE_A                                                                                              \
    "{\"id\":\"" ID(                                                                                         \
        11) "\",\"name\":\"ra\",\"paths\":[\"/a\"],\"hosts\":null,\"methods\":null,\"strip_path\":false,"    \
            "\"preserve_host\":true,\"service\":{\"id\":\"" ID(01) "\"}}"

static struct kg_model *model_with_a_route(void)
{
    struct kg_model *model = kg_model_new(NULL);

    put(model, KG_SERVICES, SERVICE_A);
    put(model, KG_ROUTES, ROUTE_A);
    return model;
}

static void a_snapshot_holds_what_the_entities_say(void **state)
{
    struct kg_model *model = model_with_a_route();
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    const struct kg_route *route = route_for(snapshot, "/a");

    assert_non_null(route);
    assert_string_equal(route->id, ID(11));
    assert_slice(route->name, "ra");
    assert_false(route->strip_path);
    assert_true(route->preserve_host);
    assert_int_equal(route->plugin_count, 0);
    const struct kg_service *service = route->service;
    assert_string_equal(service->id, ID(01));
    assert_slice(service->name, "a");
    assert_slice(service->path, "/");
    assert_int_equal(service->connect_timeout_ms, 11);
    assert_int_equal(service->write_timeout_ms, 22);
    assert_int_equal(service->read_timeout_ms, 33);
    assert_int_equal(service->balancer->endpoint_count, 1);
    const struct kg_endpoint *endpoint = service->balancer->endpoints;
    assert_slice(endpoint->host, "127.0.0.1");
    assert_slice(endpoint->host_header, "127.0.0.1:8000");
    const struct sockaddr_in *addr = (const struct sockaddr_in *)&endpoint->addr;
    assert_int_equal(endpoint->addr_len, sizeof(*addr));
    assert_int_equal(ntohs(addr->sin_port), 8000);
    assert_int_equal(ntohl(addr->sin_addr.s_addr), INADDR_LOOPBACK);
    assert_null(route_for(snapshot, "/b"));
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void a_key_write_shares_the_routes_and_leaves_the_old_snapshot(void **state)
{
    struct kg_model *model = model_with_a_route();

    kg_model_put_consumer(model, ID(21), "alice", NULL);
    put_key(model, ID(31), ID(21), 1, 0);
    struct kg_snapshot *before = kg_model_snapshot(model);
    put_key(model, ID(32), ID(21), 2, 77);
    kg_model_remove(model, KG_KEYAUTH_CREDENTIALS, ID(31));
    struct kg_snapshot *after = kg_model_snapshot(model);
    /* The very same route: nothing was built again. */
    assert_ptr_equal(route_for(before, "/a"), route_for(after, "/a"));
    assert_non_null(key_in(before, 1));
    assert_null(key_in(before, 2));
    assert_null(key_in(after, 1));
    assert_string_equal(key_in(after, 2)->id, ID(32));
    assert_int_equal(key_in(after, 2)->expires_wall, 77);
    assert_ptr_equal(key_in(before, 1)->consumer, key_in(after, 2)->consumer);
    assert_int_equal(key_in(after, 2)->consumer->slot, KG_SLOT_OTHERS);
    kg_model_free(model);
    kg_snapshot_free(before);
    assert_slice(key_in(after, 2)->consumer->username, "alice");
    assert_non_null(route_for(after, "/a"));
    kg_snapshot_free(after);
}

static void an_old_snapshot_survives_the_removal_of_its_routes(void **state)
{
    struct kg_model *model = model_with_a_route();
    struct kg_snapshot *before = kg_model_snapshot(model);

    kg_model_remove(model, KG_ROUTES, ID(11));
    kg_model_remove(model, KG_SERVICES, ID(01));
    struct kg_snapshot *after = kg_model_snapshot(model);
    assert_null(route_for(after, "/a"));
    kg_snapshot_free(after);
    kg_model_free(model);
    assert_slice(route_for(before, "/a")->service->name, "a");
    kg_snapshot_free(before);
}

static void removing_a_consumer_takes_its_keys_and_gives_its_slot_back(void **state)
{
    struct slots slots = { .next = 40 };
    struct kg_slot_source source = { &slots, take, give_back };
    struct kg_model *model = kg_model_new(&source);

    kg_model_put_consumer(model, ID(21), "alice", NULL);
    kg_model_put_consumer(model, ID(22), NULL, "bob-42");
    assert_string_equal(slots.last_name, "bob-42");
    put_key(model, ID(31), ID(21), 1, 0);
    put_key(model, ID(32), ID(21), 2, 0);
    put_key(model, ID(33), ID(22), 3, 0);
    kg_model_remove(model, KG_CONSUMERS, ID(21));
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_null(key_in(snapshot, 1));
    assert_null(key_in(snapshot, 2));
    assert_int_equal(key_in(snapshot, 3)->consumer->slot, 41);
    assert_slice(key_in(snapshot, 3)->consumer->custom_id, "bob-42");
    assert_int_equal(slots.given_back, 1);
    assert_int_equal(slots.last_given_back, 40);
    kg_model_remove(model, KG_CONSUMERS, ID(21));
    assert_int_equal(slots.given_back, 1);
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void a_renamed_consumer_keeps_all_its_keys(void **state)
{
    struct kg_model *model = kg_model_new(NULL);
    uint8_t i;

    kg_model_put_consumer(model, ID(21), "alice", NULL);
    put_key(model, ID(31), ID(21), 1, 5);
    put_key(model, ID(32), ID(21), 2, 6);
    put_key(model, ID(33), ID(21), 3, 7);
    kg_model_remove(model, KG_KEYAUTH_CREDENTIALS, ID(32));
    struct kg_snapshot *before = kg_model_snapshot(model);
    put(model, KG_CONSUMERS,
        "{\"id\":\"" ID(21) "\",\"username\":\"carol\",\"custom_id\":\"7\",\"tags\":null}");
    struct kg_snapshot *after = kg_model_snapshot(model);
    for (i = 1; i <= 3; i += 2) {
        assert_slice(key_in(before, i)->consumer->username, "alice");
        assert_slice(key_in(after, i)->consumer->username, "carol");
        assert_slice(key_in(after, i)->consumer->custom_id, "7");
        assert_int_equal(key_in(after, i)->expires_wall, 4 + i);
    }
    assert_null(key_in(after, 2));
    kg_model_remove(model, KG_CONSUMERS, ID(21));
    struct kg_snapshot *last = kg_model_snapshot(model);
    assert_null(key_in(last, 1));
    assert_null(key_in(last, 3));
    kg_snapshot_free(after);
    kg_snapshot_free(before);
    kg_snapshot_free(last);
    kg_model_free(model);
}

static void a_replaced_key_works_no_more_and_its_successor_does(void **state)
{
    struct kg_model *model = kg_model_new(NULL);

    kg_model_put_consumer(model, ID(21), "alice", NULL);
    kg_model_put_consumer(model, ID(22), "bob", NULL);
    put_key(model, ID(31), ID(21), 1, 0);
    put_key(model, ID(31), ID(22), 2, 0);
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_null(key_in(snapshot, 1));
    assert_slice(key_in(snapshot, 2)->consumer->username, "bob");
    kg_model_remove(model, KG_CONSUMERS, ID(21));
    kg_model_remove(model, KG_KEYAUTH_CREDENTIALS, ID(99));
    assert_non_null(key_in(snapshot, 2));
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void load_key(struct kg_model *model, const char *id, const char *consumer_id, uint8_t mac_byte,
                     int64_t expires)
{
    uint8_t mac[32];

    memset(mac, mac_byte, sizeof(mac));
    kg_model_load_credential(model, id, consumer_id, mac, expires, NULL);
}

static void loaded_keys_are_like_those_that_were_put(void **state)
{
    struct kg_model *model = kg_model_new(NULL);

    kg_model_load_consumer(model, ID(21), "alice", NULL);
    kg_model_load_consumer(model, ID(22), NULL, "bob-42");
    kg_model_load_consumer(model, ID(23), "carol", NULL);
    load_key(model, ID(31), ID(21), 1, 0);
    load_key(model, ID(32), ID(21), 2, 0);
    load_key(model, ID(33), ID(23), 3, 100);
    load_key(model, ID(34), ID(22), 4, 0);
    kg_model_load_end(model);
    struct kg_snapshot *loaded = kg_model_snapshot(model);
    assert_slice(key_in(loaded, 2)->consumer->username, "alice");
    assert_slice(key_in(loaded, 3)->consumer->username, "carol");
    assert_slice(key_in(loaded, 4)->consumer->custom_id, "bob-42");
    assert_ptr_equal(kg_snapshot_consumer(loaded, KG_SLICE("carol")), key_in(loaded, 3)->consumer);
    assert_non_null(kg_snapshot_consumer(loaded, KG_SLICE(ID(22))));
    put_key(model, ID(35), ID(22), 5, 0);
    kg_model_put_consumer(model, ID(21), "alicia", NULL);
    kg_model_remove(model, KG_KEYAUTH_CREDENTIALS, ID(31));
    kg_model_remove(model, KG_CONSUMERS, ID(22));
    assert_int_equal(kg_model_expire(model, 100), 1);
    struct kg_snapshot *written = kg_model_snapshot(model);
    assert_null(key_in(written, 1));
    assert_slice(key_in(written, 2)->consumer->username, "alicia");
    assert_null(key_in(written, 3));
    assert_null(key_in(written, 4));
    assert_null(key_in(written, 5));
    assert_non_null(key_in(loaded, 1));
    kg_snapshot_free(written);
    kg_snapshot_free(loaded);
    kg_model_free(model);
}

static void a_model_may_be_freed_while_it_is_loaded(void **state)
{
    struct kg_model *model = kg_model_new(NULL);

    kg_model_load_consumer(model, ID(21), "alice", NULL);
    load_key(model, ID(31), ID(21), 1, 0);
    kg_model_free(model);
}

/* Else short-lived keys would fill the memory until the next restart. */
static void expired_keys_are_forgotten_and_the_others_stay(void **state)
{
    struct kg_model *model = kg_model_new(NULL);

    kg_model_put_consumer(model, ID(21), "alice", NULL);
    put_key(model, ID(31), ID(21), 1, 100);
    put_key(model, ID(32), ID(21), 2, 101);
    put_key(model, ID(33), ID(21), 3, 0);
    put_key(model, ID(34), ID(21), 4, 50);
    assert_int_equal(kg_model_expire(model, 100), 2);
    assert_int_equal(kg_model_expire(model, 100), 0);
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_null(key_in(snapshot, 1));
    assert_non_null(key_in(snapshot, 2));
    assert_non_null(key_in(snapshot, 3));
    assert_null(key_in(snapshot, 4));
    kg_model_remove(model, KG_CONSUMERS, ID(21));
    assert_non_null(key_in(snapshot, 3));
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void a_disabled_service_makes_its_routes_vanish_until_it_is_back(void **state)
{
    struct kg_model *model = model_with_a_route();

    put(model, KG_SERVICES, "{\"id\":\"" ID(01) "\",\"host\":\"127.0.0.1\",\"enabled\":false}");
    struct kg_snapshot *off = kg_model_snapshot(model);
    assert_null(route_for(off, "/a"));
    put(model, KG_SERVICES, SERVICE_A);
    struct kg_snapshot *on = kg_model_snapshot(model);
    assert_non_null(route_for(on, "/a"));
    kg_snapshot_free(off);
    kg_snapshot_free(on);
    kg_model_free(model);
}

static void a_route_without_a_service_matches_and_has_none(void **state)
{
    struct kg_model *model = kg_model_new(NULL);

    put(model, KG_ROUTES, "{\"id\":\"" ID(11) "\",\"paths\":[\"/\"],\"service\":null}");
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_non_null(route_for(snapshot, "/x"));
    assert_null(route_for(snapshot, "/x")->service);
    assert_true(route_for(snapshot, "/x")->strip_path);
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void a_changed_route_keeps_its_age(void **state)
{
    struct kg_model *model = kg_model_new(NULL);

    put(model, KG_ROUTES, "{\"id\":\"" ID(12) "\",\"paths\":[\"/a\"],\"service\":null}");
    put(model, KG_ROUTES, "{\"id\":\"" ID(11) "\",\"paths\":[\"/a\"],\"service\":null}");
    put(model, KG_ROUTES, "{\"id\":\"" ID(12) "\",\"paths\":[\"/a\",\"/b\"],\"service\":null}");
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_string_equal(route_for(snapshot, "/a")->id, ID(12));
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

/* ---- plugins ---- */

static void put_plugin(struct kg_model *model, const char *id, const char *name, const char *tag,
                       const char *route, const char *service, bool enabled)
{
    json_t *object = json_pack("{ss ss so s{ss} sn sb}", "id", id, "name", name, "route",
                               route ? json_pack("{ss}", "id", route) : json_null(), "config", "tag", tag,
                               "consumer", "enabled", enabled);

    json_object_set_new(object, "service", service ? json_pack("{ss}", "id", service) : json_null());
    kg_model_put(model, KG_PLUGINS, object);
    json_decref(object);
}

/* The tags of a route's plugins in the order they run in, with a blank between. */
static void assert_tags(struct kg_model *model, const char *expected)
{
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    const struct kg_route *route = route_for(snapshot, "/a");
    char tags[128] = "";
    size_t len = 0;

    assert_non_null(route);
    for (size_t i = 0; i < route->plugin_count; i++)
        len += (size_t)snprintf(tags + len, sizeof(tags) - len, "%s%s", i ? " " : "",
                                (const char *)route->plugins[i].config);
    assert_string_equal(tags, expected);
    kg_snapshot_free(snapshot);
}

static void the_most_specific_plugin_of_each_name_wins(void **state)
{
    struct kg_model *model = model_with_a_route();

    put_plugin(model, ID(51), "late", "global", NULL, NULL, true);
    assert_tags(model, "global");
    put_plugin(model, ID(52), "late", "service", NULL, ID(01), true);
    assert_tags(model, "service");
    put_plugin(model, ID(53), "late", "route", ID(11), NULL, true);
    assert_tags(model, "route");
    put_plugin(model, ID(54), "late", "both", ID(11), ID(01), true);
    assert_tags(model, "both");
    put_plugin(model, ID(55), "late", "elsewhere", ID(12), NULL, true);
    put_plugin(model, ID(56), "late", "other-service", ID(11), ID(02), true);
    assert_tags(model, "both");
    /* Switched off it is not there, and the next one applies. */
    put_plugin(model, ID(54), "late", "both", ID(11), ID(01), false);
    assert_tags(model, "route");
    kg_model_remove(model, KG_PLUGINS, ID(53));
    assert_tags(model, "service");
    kg_model_free(model);
    assert_int_equal(configs_alive, 0);
}

static void plugins_run_by_priority_whatever_their_scope(void **state)
{
    struct kg_model *model = model_with_a_route();

    put_plugin(model, ID(51), "late", "l", ID(11), NULL, true);
    put_plugin(model, ID(52), "early", "e", NULL, NULL, true);
    assert_tags(model, "e l");
    kg_model_free(model);
    assert_int_equal(configs_alive, 0);
}

static void plugins_go_with_the_entity_they_are_scoped_to(void **state)
{
    struct kg_model *model = model_with_a_route();

    put_plugin(model, ID(51), "late", "r", ID(11), NULL, true);
    put_plugin(model, ID(52), "early", "s", NULL, ID(01), true);
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    kg_model_remove(model, KG_SERVICES, ID(01));
    kg_model_remove(model, KG_ROUTES, ID(11));
    /* The old snapshot still runs them. */
    assert_int_equal(configs_alive, 2);
    assert_string_equal(route_for(snapshot, "/a")->plugins[0].config, "s");
    assert_string_equal(route_for(snapshot, "/a")->plugins[0].id, ID(52));
    kg_snapshot_free(snapshot);
    struct kg_snapshot *now = kg_model_snapshot(model);
    assert_int_equal(configs_alive, 0);
    kg_snapshot_free(now);
    kg_model_free(model);
}

/* ---- addresses ---- */

static struct kg_endpoint endpoint_with(const char *host, int port)
{
    struct kg_model *model = kg_model_new(NULL);
    json_t *object = json_pack("{ss ss si}", "id", ID(01), "host", host, "port", port);
    const struct kg_addr addr = { 4, { 192, 0, 2, 7 } };

    kg_model_put(model, KG_SERVICES, object);
    json_decref(object);
    put(model, KG_ROUTES, ROUTE_A);
    kg_model_set_addresses(model, host, &addr, 1); /* of a name; nothing to a numeric host */
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    struct kg_endpoint endpoint = route_for(snapshot, "/a")->service->balancer->endpoints[0];
    static char header[64];
    snprintf(header, sizeof(header), "%.*s", (int)endpoint.host_header.len, endpoint.host_header.ptr);
    endpoint.host_header = kg_slice_str(header);
    kg_snapshot_free(snapshot);
    kg_model_free(model);
    return endpoint;
}

static void numeric_hosts_have_their_address_at_once(void **state)
{
    static const char *const hosts[] = { "[2001:db8::1]", "2001:db8::1" };
    struct in6_addr expected;

    inet_pton(AF_INET6, "2001:db8::1", &expected);
    for (size_t i = 0; i < 2; i++) {
        struct kg_endpoint endpoint = endpoint_with(hosts[i], 8080);
        const struct sockaddr_in6 *addr = (const struct sockaddr_in6 *)&endpoint.addr;
        assert_int_equal(endpoint.addr_len, sizeof(*addr));
        assert_int_equal(addr->sin6_family, AF_INET6);
        assert_int_equal(ntohs(addr->sin6_port), 8080);
        assert_memory_equal(&addr->sin6_addr, &expected, sizeof(expected));
        assert_slice(endpoint.host_header, "[2001:db8::1]:8080");
    }
}

static void the_host_header_leaves_out_port_80(void **state)
{
    assert_slice(endpoint_with("example.org", 80).host_header, "example.org");
    assert_slice(endpoint_with("example.org", 443).host_header, "example.org:443");
    assert_slice(endpoint_with("192.0.2.1", 80).host_header, "192.0.2.1");
}

static void collect_host(void *ctx, const char *host)
{
    char *hosts = ctx;

    strncat(hosts, host, 60);
    strncat(hosts, " ", 2);
}

static void host_names_are_listed_once_and_get_their_addresses(void **state)
{
    struct kg_model *model = kg_model_new(NULL);
    const struct kg_addr addrs[] = { { 4, { 192, 0, 2, 7 } }, { 4, { 192, 0, 2, 8 } } };
    char hosts[256] = "";

    put(model, KG_SERVICES, "{\"id\":\"" ID(01) "\",\"host\":\"Up.example\",\"port\":8000}");
    put(model, KG_SERVICES, "{\"id\":\"" ID(02) "\",\"host\":\"up.example\",\"port\":8001}");
    put(model, KG_SERVICES, "{\"id\":\"" ID(03) "\",\"host\":\"192.0.2.1\",\"port\":8001}");
    put(model, KG_ROUTES, ROUTE_A);
    kg_model_each_host(model, collect_host, hosts);
    assert_string_equal(hosts, "up.example ");

    struct kg_snapshot *before = kg_model_snapshot(model);
    assert_true(route_for(before, "/a")->service->balancer->unresolved);
    assert_true(kg_model_set_addresses(model, "up.example", addrs, 2));
    assert_false(kg_model_set_addresses(model, "up.example", addrs, 2));
    assert_false(kg_model_set_addresses(model, "unknown.example", addrs, 2));
    struct kg_snapshot *after = kg_model_snapshot(model);
    const struct kg_balancer *balancer = route_for(after, "/a")->service->balancer;
    assert_false(balancer->unresolved);
    assert_int_equal(balancer->endpoint_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct sockaddr_in *got = (const struct sockaddr_in *)&balancer->endpoints[i].addr;

        assert_int_equal(balancer->endpoints[i].addr_len, sizeof(*got));
        assert_int_equal(ntohl(got->sin_addr.s_addr), 0xc0000207 + i);
        assert_int_equal(ntohs(got->sin_port), 8000);
        assert_int_equal(balancer->endpoints[i].weight, 1);
        assert_null(balancer->endpoints[i].peer);
        assert_slice(balancer->endpoints[i].host_header, "Up.example:8000");
    }
    assert_true(route_for(before, "/a")->service->balancer->unresolved);
    assert_true(kg_model_set_addresses(model, "UP.example", NULL, 0));
    kg_model_remove(model, KG_SERVICES, ID(01));
    kg_model_remove(model, KG_SERVICES, ID(02));
    hosts[0] = '\0';
    kg_model_each_host(model, collect_host, hosts);
    assert_string_equal(hosts, "");
    kg_snapshot_free(before);
    kg_snapshot_free(after);
    kg_model_free(model);
}

/* Whoever looks names up tells of an address when it is new: of a name that was dropped and is wanted again
 * before anybody asked, nothing would ever be told. */
static void a_name_that_passes_to_another_service_keeps_its_addresses(void **state)
{
    struct kg_model *model = kg_model_new(NULL);
    const struct kg_addr addr = { 4, { 192, 0, 2, 7 } };
    char hosts[256] = "";

    put(model, KG_SERVICES, "{\"id\":\"" ID(01) "\",\"host\":\"up.example\",\"port\":8000}");
    put(model, KG_ROUTES, ROUTE_A);
    assert_true(kg_model_set_addresses(model, "up.example", &addr, 1));
    kg_model_remove(model, KG_SERVICES, ID(01));
    put(model, KG_SERVICES, "{\"id\":\"" ID(01) "\",\"host\":\"UP.example\",\"port\":8001}");
    kg_model_each_host(model, collect_host, hosts);
    assert_string_equal(hosts, "up.example ");
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_false(route_for(snapshot, "/a")->service->balancer->unresolved);
    kg_snapshot_free(snapshot);
    /* Asked for in between, it is forgotten. */
    kg_model_remove(model, KG_SERVICES, ID(01));
    hosts[0] = '\0';
    kg_model_each_host(model, collect_host, hosts);
    assert_string_equal(hosts, "");
    assert_false(kg_model_set_addresses(model, "up.example", &addr, 1));
    kg_model_free(model);
}

/* ---- lifetime, size ---- */

static void a_snapshot_is_idle_when_no_worker_holds_it(void **state)
{
    struct kg_model *model = kg_model_new(NULL);
    struct kg_snapshot *snapshot = kg_model_snapshot(model);

    assert_true(kg_snapshot_idle(snapshot));
    kg_snapshot_hold(snapshot, 0);
    kg_snapshot_hold(snapshot, KG_WORKERS_MAX - 1);
    kg_snapshot_hold(snapshot, KG_WORKERS_MAX - 1);
    kg_snapshot_release(snapshot, 0);
    assert_false(kg_snapshot_idle(snapshot));
    kg_snapshot_release(snapshot, KG_WORKERS_MAX - 1);
    assert_false(kg_snapshot_idle(snapshot));
    kg_snapshot_release(snapshot, KG_WORKERS_MAX - 1);
    assert_true(kg_snapshot_idle(snapshot));
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void add_members(struct kg_model *model, uint32_t count)
{
    char consumer[KG_UUID_TEXT], credential[KG_UUID_TEXT], name[32];
    uint8_t mac[32];

    for (uint32_t i = 0; i < count; i++) {
        kg_uuid_random(consumer);
        kg_uuid_random(credential);
        kg_random(mac, sizeof(mac));
        snprintf(name, sizeof(name), "consumer-%07u", i);
        kg_model_put_consumer(model, consumer, name, NULL);
        kg_model_put_credential(model, credential, consumer, mac, 0, NULL);
    }
}

static void a_consumer_and_its_key_cost_little_memory(void **state)
{
    const uint32_t count = 20000;
    struct kg_model *model = kg_model_new(NULL);
    size_t before = mallinfo2().uordblks;

    add_members(model, count);
    size_t used = mallinfo2().uordblks - before;
    /* The sanitizer's allocator does not report; it says 0. */
    assert_true(used / count < PER_MEMBER);
    kg_model_free(model);
}

static int register_types(void **state)
{
    kg_plugin_register(&early);
    kg_plugin_register(&late);
    return 0;
}

/* The store frees an expired key for others without a word to the model: the newest owner is the one that
 * counts. */
static void a_key_given_to_another_credential_stays_with_it(void **state)
{
    struct kg_model *model = kg_model_new(NULL);
    struct kg_snapshot *snapshot;

    put(model, KG_CONSUMERS, "{\"id\":\"" ID(21) "\",\"username\":\"old\",\"custom_id\":null}");
    put(model, KG_CONSUMERS, "{\"id\":\"" ID(22) "\",\"username\":\"new\",\"custom_id\":null}");
    put_key(model, ID(31), ID(21), 1, 5);
    put_key(model, ID(32), ID(22), 1, 0);
    /* A new name makes new versions of all of the first consumer's credentials. */
    put(model, KG_CONSUMERS, "{\"id\":\"" ID(21) "\",\"username\":\"older\",\"custom_id\":null}");
    snapshot = kg_model_snapshot(model);
    assert_string_equal(key_in(snapshot, 1)->id, ID(32));
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_given_to_another_credential_stays_with_it),
        cmocka_unit_test(a_snapshot_holds_what_the_entities_say),
        cmocka_unit_test(a_key_write_shares_the_routes_and_leaves_the_old_snapshot),
        cmocka_unit_test(an_old_snapshot_survives_the_removal_of_its_routes),
        cmocka_unit_test(removing_a_consumer_takes_its_keys_and_gives_its_slot_back),
        cmocka_unit_test(a_renamed_consumer_keeps_all_its_keys),
        cmocka_unit_test(a_replaced_key_works_no_more_and_its_successor_does),
        cmocka_unit_test(loaded_keys_are_like_those_that_were_put),
        cmocka_unit_test(a_model_may_be_freed_while_it_is_loaded),
        cmocka_unit_test(expired_keys_are_forgotten_and_the_others_stay),
        cmocka_unit_test(a_disabled_service_makes_its_routes_vanish_until_it_is_back),
        cmocka_unit_test(a_route_without_a_service_matches_and_has_none),
        cmocka_unit_test(a_changed_route_keeps_its_age),
        cmocka_unit_test(the_most_specific_plugin_of_each_name_wins),
        cmocka_unit_test(plugins_run_by_priority_whatever_their_scope),
        cmocka_unit_test(plugins_go_with_the_entity_they_are_scoped_to),
        cmocka_unit_test(numeric_hosts_have_their_address_at_once),
        cmocka_unit_test(the_host_header_leaves_out_port_80),
        cmocka_unit_test(a_name_that_passes_to_another_service_keeps_its_addresses),
        cmocka_unit_test(host_names_are_listed_once_and_get_their_addresses),
        cmocka_unit_test(a_snapshot_is_idle_when_no_worker_holds_it),
        cmocka_unit_test(a_consumer_and_its_key_cost_little_memory),
    };

    return cmocka_run_group_tests(tests, register_types, NULL);
}
