/* SPDX-License-Identifier: BSD-2-Clause */
/* Upstreams in the model: the balancers that services get, and what stays the same over snapshots. */
#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#define ID(n) "00000000-0000-4000-8000-0000000000" #n

#define assert_slice(slice, text) assert_true(kg_slice_eq((slice), kg_slice_str(text)))

/* Through the schema, as the Admin API does it: so all fields have their defaults. */
static void put(struct kg_model *model, enum kg_entity_id entity, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void put(struct kg_model *model, enum kg_entity_id entity, const char *fmt, ...)
{
    json_t *input, *object = NULL, *problem = NULL;
    va_list args;
    char text[2048];

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    input = json_loads(text, 0, NULL);
    assert_non_null(input);
    if (kg_schema_apply(&kg_entities[entity], KG_WRITE_CREATE, input, NULL, &object, &problem))
        fail_msg("%s", json_string_value(json_object_get(problem, "message")));
    kg_model_put(model, entity, object);
    json_decref(object);
    json_decref(input);
}

static void put_target(struct kg_model *model, const char *id, const char *target, unsigned weight)
{
    put(model, KG_TARGETS,
        "{\"id\":\"%s\",\"target\":\"%s\",\"weight\":%u,\"upstream\":{\"id\":\"" ID(41) "\"}}", id, target,
        weight);
}

#define UPSTREAM(more) "{\"id\":\"" ID(41) "\",\"name\":\"pool.internal\"" more "}"

/* A service that names the upstream, in other letters, a route to it, and the upstream. */
static struct kg_model *model_with_an_upstream(const char *upstream)
{
    struct kg_model *model = kg_model_new(NULL);

    put(model, KG_SERVICES, "{\"id\":\"" ID(01) "\",\"host\":\"Pool.Internal\"}");
    put(model, KG_ROUTES, "{\"id\":\"" ID(11) "\",\"paths\":[\"/\"],\"service\":{\"id\":\"" ID(01) "\"}}");
    put(model, KG_UPSTREAMS, "%s", upstream);
    return model;
}

static const struct kg_service *service_in(const struct kg_snapshot *snapshot)
{
    struct kg_route_query query = { .method = KG_SLICE("GET"), .host = KG_SLICE("h"), .path = KG_SLICE("/") };
    struct kg_match match;

    assert_true(kg_snapshot_route(snapshot, &query, &match));
    return match.route->service;
}

static const struct kg_balancer *balancer_in(const struct kg_snapshot *snapshot)
{
    return service_in(snapshot)->balancer;
}

/* Its number, for when nothing else of it is asked for. */
static uint64_t number_now(struct kg_model *model)
{
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    uint64_t number = balancer_in(snapshot)->number;

    kg_snapshot_free(snapshot);
    return number;
}

static void set_two(struct kg_model *model, const char *host, uint8_t first, uint8_t second)
{
    const struct kg_addr addrs[] = { { 4, { 192, 0, 2, first } }, { 4, { 192, 0, 2, second } } };

    kg_model_set_addresses(model, host, addrs, second ? 2 : 1);
}

static void assert_endpoint(const struct kg_endpoint *endpoint, const char *addr, uint16_t port,
                            const char *host, const char *header, uint32_t weight)
{
    struct kg_addr got = kg_addr_from_sockaddr((const struct sockaddr *)&endpoint->addr);
    char text[KG_ADDR_TEXT];

    assert_string_equal(kg_addr_text(&got, text), addr);
    assert_int_equal(ntohs(((const struct sockaddr_in *)&endpoint->addr)->sin_port), port);
    assert_slice(endpoint->host, host);
    assert_int_equal(endpoint->host.ptr[endpoint->host.len], 0);
    assert_slice(endpoint->host_header, header);
    assert_int_equal(endpoint->weight, weight);
    assert_non_null(endpoint->peer);
}

/* ---- what a balancer holds ---- */

static void a_service_sends_to_the_targets_of_the_upstream_it_names(void **state)
{
    struct kg_model *model = model_with_an_upstream(UPSTREAM(""));

    put_target(model, ID(51), "10.0.0.1", 10);
    put_target(model, ID(52), "App.example:80", 20);
    put_target(model, ID(53), "[2001:db8::1]:9000", 30);
    put_target(model, ID(54), "10.0.0.4", 0);
    put_target(model, ID(55), "lost.example", 50);
    set_two(model, "app.example", 7, 8);
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    const struct kg_balancer *balancer = balancer_in(snapshot);
    assert_string_equal(balancer->id, ID(41));
    assert_slice(balancer->name, "pool.internal");
    assert_int_equal(balancer->algorithm, KG_ROUND_ROBIN);
    assert_int_equal(balancer->ring_len, 0);
    assert_false(balancer->unresolved);
    /* In the order of the targets; each address has its target's whole weight; weight 0 is out. */
    assert_int_equal(balancer->endpoint_count, 4);
    assert_endpoint(&balancer->endpoints[0], "10.0.0.1", 8000, "10.0.0.1", "10.0.0.1:8000", 10);
    assert_endpoint(&balancer->endpoints[1], "192.0.2.7", 80, "app.example", "app.example", 20);
    assert_endpoint(&balancer->endpoints[2], "192.0.2.8", 80, "app.example", "app.example", 20);
    assert_endpoint(&balancer->endpoints[3], "2001:db8::1", 9000, "[2001:db8::1]", "[2001:db8::1]:9000", 30);
    assert_int_equal(balancer->endpoints[0].peer->unhealthy, false);
    assert_ptr_not_equal(balancer->endpoints[1].peer, balancer->endpoints[2].peer);
    kg_model_free(model);
    assert_endpoint(&balancer->endpoints[1], "192.0.2.7", 80, "app.example", "app.example", 20);
    kg_snapshot_free(snapshot);
}

static void names_may_pass_from_one_upstream_to_another(void **state)
{
    struct kg_model *model = model_with_an_upstream(UPSTREAM(""));
    struct kg_snapshot *snapshot;

    put(model, KG_UPSTREAMS, "{\"id\":\"" ID(42) "\",\"name\":\"other.internal\"}");
    put_target(model, ID(51), "10.0.0.1", 10);
    put(model, KG_TARGETS,
        "{\"id\":\"" ID(52) "\",\"target\":\"10.0.0.2\",\"upstream\":{\"id\":\"" ID(42) "\"}}");
    put(model, KG_UPSTREAMS, "{\"id\":\"" ID(42) "\",\"name\":\"pool.internal\"}");
    put(model, KG_UPSTREAMS, "{\"id\":\"" ID(41) "\",\"name\":\"other.internal\"}");
    snapshot = kg_model_snapshot(model);
    assert_string_equal(balancer_in(snapshot)->id, ID(42));
    kg_snapshot_free(snapshot);
    kg_model_remove(model, KG_UPSTREAMS, ID(41));
    snapshot = kg_model_snapshot(model);
    assert_int_equal(balancer_in(snapshot)->endpoint_count, 1);
    assert_endpoint(&balancer_in(snapshot)->endpoints[0], "10.0.0.2", 8000, "10.0.0.2", "10.0.0.2:8000", 100);
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void an_upstream_without_an_address_says_why(void **state)
{
    struct kg_model *model = model_with_an_upstream(UPSTREAM(""));
    struct kg_snapshot *snapshot = kg_model_snapshot(model);

    assert_int_equal(balancer_in(snapshot)->endpoint_count, 0);
    assert_false(balancer_in(snapshot)->unresolved);
    kg_snapshot_free(snapshot);
    put_target(model, ID(51), "lost.example", 100);
    snapshot = kg_model_snapshot(model);
    assert_int_equal(balancer_in(snapshot)->endpoint_count, 0);
    assert_true(balancer_in(snapshot)->unresolved);
    kg_snapshot_free(snapshot);
    /* The name resolves, but its target is out of service. */
    put_target(model, ID(51), "lost.example", 0);
    snapshot = kg_model_snapshot(model);
    assert_false(balancer_in(snapshot)->unresolved);
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void rules_of_choice_and_health_come_from_the_entity(void **state)
{
    struct kg_model *model = model_with_an_upstream(UPSTREAM(
        ",\"hash_on\":\"header\",\"hash_on_header\":\"X-Team\",\"hash_fallback\":\"cookie\",\"hash_on_"
        "cookie\":\"sid\","
        "\"hash_on_cookie_path\":\"/app\",\"slots\":500,\"host_header\":\"app.example:81\",\"healthchecks\":{"
        "\"threshold\":12.5,\"active\":{\"type\":\"https\",\"timeout\":0.25,\"concurrency\":3,\"http_path\":"
        "\"/up\","
        "\"https_sni\":\"sni.example\",\"https_verify_certificate\":false,\"headers\":{\"X-A\":[\"1\",\"2\"]}"
        ","
        "\"healthy\":{\"interval\":5,\"successes\":2},\"unhealthy\":{\"interval\":0.0001,\"timeouts\":4}},"
        "\"passive\":{\"type\":\"tcp\",\"unhealthy\":{\"tcp_failures\":3,\"http_failures\":6}}}"));

    put_target(model, ID(51), "10.0.0.1", 10);
    put_target(model, ID(52), "10.0.0.2", 10);
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    const struct kg_balancer *b = balancer_in(snapshot);
    assert_int_equal(b->algorithm, KG_CONSISTENT_HASHING);
    assert_int_equal(b->hash_on.kind, KG_HASH_HEADER);
    assert_slice(b->hash_on.name, "X-Team");
    assert_int_equal(b->hash_fallback.kind, KG_HASH_COOKIE);
    assert_slice(b->hash_fallback.name, "sid");
    assert_slice(b->cookie_path, "/app");
    assert_slice(b->host_header, "app.example:81");
    assert_int_equal(b->ring_len, 500);
    assert_int_equal(b->threshold, 13);
    assert_true(b->probe.https);
    assert_false(b->probe.https_verify);
    assert_slice(b->probe.path, "/up");
    assert_slice(b->probe.sni, "sni.example");
    assert_slice(b->probe.headers, "X-A: 1\r\nX-A: 2\r\n");
    assert_int_equal(b->probe.timeout_ms, 250);
    assert_int_equal(b->probe.concurrency, 3);
    assert_int_equal(b->probe.healthy_interval_ms, 5000);
    assert_int_equal(b->probe.unhealthy_interval_ms, 1);
    assert_int_equal(b->active.successes, 2);
    assert_int_equal(b->active.timeouts, 4);
    assert_false(b->active.tcp_only);
    assert_true(kg_status_in(b->active.healthy_statuses, 302));
    assert_false(kg_status_in(b->active.healthy_statuses, 301));
    assert_true(kg_status_in(b->active.unhealthy_statuses, 505));
    assert_true(b->passive.tcp_only);
    assert_int_equal(b->passive.tcp_failures, 3);
    assert_int_equal(b->passive.http_failures, 6);
    assert_true(kg_status_in(b->passive.healthy_statuses, 226));
    assert_true(kg_status_in(b->passive.unhealthy_statuses, 429));
    assert_false(kg_status_in(b->passive.unhealthy_statuses, 404));
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

/* ---- the ring ---- */

static void the_ring_does_not_depend_on_the_order_of_creation(void **state)
{
    struct kg_model *a = model_with_an_upstream(UPSTREAM(",\"hash_on\":\"ip\",\"slots\":1000"));
    struct kg_model *b = model_with_an_upstream(UPSTREAM(",\"hash_on\":\"ip\",\"slots\":1000"));

    put_target(a, ID(51), "10.0.0.1", 100);
    put_target(a, ID(52), "10.0.0.2", 200);
    put_target(a, ID(53), "10.0.0.3", 300);
    put_target(b, ID(63), "10.0.0.3", 300);
    put_target(b, ID(62), "10.0.0.2", 200);
    put_target(b, ID(61), "10.0.0.1", 100);
    struct kg_snapshot *in_a = kg_model_snapshot(a), *in_b = kg_model_snapshot(b);
    const struct kg_balancer *left = balancer_in(in_a), *right = balancer_in(in_b);
    size_t shares[3] = { 0 };
    assert_int_equal(left->ring_len, 1000);
    assert_int_equal(right->ring_len, 1000);
    for (size_t i = 0; i < 1000; i++) {
        assert_slice(left->endpoints[left->ring[i]].host, right->endpoints[right->ring[i]].host.ptr);
        shares[left->ring[i]]++;
    }
    assert_in_range(shares[0], 120, 215);
    assert_in_range(shares[1], 270, 400);
    assert_in_range(shares[2], 420, 580);
    kg_snapshot_free(in_a);
    kg_snapshot_free(in_b);
    kg_model_free(a);
    kg_model_free(b);
}

static void a_new_target_takes_about_its_share_of_the_ring(void **state)
{
    struct kg_model *model = model_with_an_upstream(UPSTREAM(",\"hash_on\":\"ip\""));
    size_t moved = 0;

    for (unsigned i = 10; i < 19; i++) {
        char id[64], target[32];

        snprintf(id, sizeof(id), "00000000-0000-4000-8000-0000000000%u", i);
        snprintf(target, sizeof(target), "10.0.0.%u", i);
        put_target(model, id, target, 100);
    }
    struct kg_snapshot *before = kg_model_snapshot(model);
    put_target(model, ID(19), "10.0.0.19", 100);
    struct kg_snapshot *after = kg_model_snapshot(model);
    const struct kg_balancer *old = balancer_in(before), *new = balancer_in(after);
    for (size_t i = 0; i < 10000; i++) {
        if (kg_slice_eq(old->endpoints[old->ring[i]].host, new->endpoints[new->ring[i]].host))
            continue;
        assert_slice(new->endpoints[new->ring[i]].host, "10.0.0.19");
        moved++;
    }
    assert_in_range(moved, 850, 1150);
    kg_snapshot_free(before);
    kg_snapshot_free(after);
    kg_model_free(model);
}

/* ---- what stays ---- */

static void a_balancer_keeps_its_number_until_something_of_it_changes(void **state)
{
    struct kg_model *model = model_with_an_upstream(UPSTREAM(""));

    put_target(model, ID(51), "app.example", 100);
    set_two(model, "app.example", 7, 8);
    uint64_t number = number_now(model);
    put(model, KG_CONSUMERS, "{\"username\":\"alice\"}");
    put(model, KG_ROUTES, "{\"paths\":[\"/other\"]}");
    put(model, KG_SERVICES, "{\"id\":\"" ID(01) "\",\"host\":\"Pool.Internal\",\"read_timeout\":7}");
    put(model, KG_UPSTREAMS, "%s", UPSTREAM(",\"tags\":[\"x\"]"));
    put_target(model, ID(51), "app.example", 100);
    put(model, KG_UPSTREAMS, "{\"name\":\"other\"}");
    set_two(model, "app.example", 7, 8);
    assert_int_equal(number_now(model), number);
    uint64_t last = number;
    set_two(model, "app.example", 7, 9);
    assert_true(number_now(model) > last);
    last = number_now(model);
    put_target(model, ID(51), "app.example", 99);
    assert_true(number_now(model) > last);
    last = number_now(model);
    put(model, KG_UPSTREAMS, "%s", UPSTREAM(",\"algorithm\":\"least-connections\""));
    assert_true(number_now(model) > last);
    last = number_now(model);
    put(model, KG_UPSTREAMS, "%s",
        UPSTREAM(",\"healthchecks\":{\"passive\":{\"unhealthy\":{\"timeouts\":1}}}"));
    assert_true(number_now(model) > last);
    last = number_now(model);
    kg_model_remove(model, KG_TARGETS, ID(51));
    assert_true(number_now(model) > last);
    kg_model_free(model);
}

static void a_services_own_balancer_keeps_its_number_too(void **state)
{
    struct kg_model *model = kg_model_new(NULL);

    put(model, KG_SERVICES, "{\"id\":\"" ID(01) "\",\"host\":\"own.example\"}");
    put(model, KG_ROUTES, "{\"id\":\"" ID(11) "\",\"paths\":[\"/\"],\"service\":{\"id\":\"" ID(01) "\"}}");
    set_two(model, "own.example", 7, 8);
    uint64_t number = number_now(model);
    put(model, KG_ROUTES, "{\"paths\":[\"/other\"]}");
    assert_int_equal(number_now(model), number);
    put(model, KG_SERVICES, "{\"id\":\"" ID(01) "\",\"host\":\"own.example\",\"read_timeout\":7}");
    assert_int_equal(number_now(model), number);
    set_two(model, "own.example", 8, 0);
    uint64_t other = number_now(model);
    assert_true(other > number);
    put(model, KG_SERVICES, "{\"id\":\"" ID(01) "\",\"host\":\"own.example\",\"port\":81}");
    assert_true(number_now(model) > other);
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_string_equal(balancer_in(snapshot)->id, "");
    assert_int_equal(balancer_in(snapshot)->name.len, 0);
    assert_null(balancer_in(snapshot)->endpoints[0].peer);
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void a_peer_keeps_its_state_while_its_address_is_a_target(void **state)
{
    struct kg_model *model =
        model_with_an_upstream(UPSTREAM(",\"healthchecks\":{\"passive\":{\"unhealthy\":{\"timeouts\":1}}}"));

    put_target(model, ID(51), "app.example", 100);
    set_two(model, "app.example", 7, 8);
    struct kg_snapshot *first = kg_model_snapshot(model);
    struct kg_peer *kept = balancer_in(first)->endpoints[1].peer,
                   *left = balancer_in(first)->endpoints[0].peer;
    uint64_t number = left->number;
    assert_true(kept->number != number);
    atomic_store(&kept->unhealthy, true);
    set_two(model, "app.example", 8, 9);
    struct kg_snapshot *second = kg_model_snapshot(model);
    assert_ptr_equal(balancer_in(second)->endpoints[0].peer, kept);
    /* Out of service for a while, but still a target. */
    put_target(model, ID(51), "app.example", 0);
    kg_snapshot_free(kg_model_snapshot(model));
    put_target(model, ID(51), "app.example", 100);
    struct kg_snapshot *third = kg_model_snapshot(model);
    assert_ptr_equal(balancer_in(third)->endpoints[0].peer, kept);
    assert_true(kept->unhealthy);
    /* What went and came back begins anew. */
    set_two(model, "app.example", 7, 8);
    struct kg_snapshot *fourth = kg_model_snapshot(model);
    assert_true(balancer_in(fourth)->endpoints[0].peer->number != number);
    kg_snapshot_free(third);
    kg_snapshot_free(second);
    kg_model_free(model);
    assert_int_equal(left->number, number); /* the first snapshot still has it */
    kg_snapshot_free(first);
    kg_snapshot_free(fourth);
}

static void switching_the_checks_off_makes_all_healthy(void **state)
{
    struct kg_model *model =
        model_with_an_upstream(UPSTREAM(",\"healthchecks\":{\"passive\":{\"unhealthy\":{\"timeouts\":1}}}"));

    put_target(model, ID(51), "10.0.0.1", 100);
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    struct kg_peer *peer = balancer_in(snapshot)->endpoints[0].peer;
    atomic_store(&peer->unhealthy, true);
    put(model, KG_UPSTREAMS, "%s", UPSTREAM(""));
    kg_snapshot_free(kg_model_snapshot(model));
    assert_false(peer->unhealthy);
    /* What is said by hand holds until the next word. */
    atomic_store(&peer->unhealthy, true);
    put(model, KG_UPSTREAMS, "%s", UPSTREAM(",\"tags\":[\"x\"]"));
    kg_snapshot_free(kg_model_snapshot(model));
    assert_true(peer->unhealthy);
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

/* ---- names ---- */

static void collect_host(void *ctx, const char *host)
{
    strncat(ctx, host, 60);
    strncat(ctx, " ", 2);
}

static void assert_hosts(struct kg_model *model, const char *wanted)
{
    char hosts[256] = "";

    kg_model_each_host(model, collect_host, hosts);
    assert_string_equal(hosts, wanted);
}

static void an_upstreams_name_is_no_host_name(void **state)
{
    struct kg_model *model = kg_model_new(NULL);

    put(model, KG_SERVICES, "{\"id\":\"" ID(01) "\",\"host\":\"Pool.Internal\"}");
    assert_hosts(model, "pool.internal ");
    put(model, KG_UPSTREAMS, "%s", UPSTREAM(""));
    assert_hosts(model, "");
    /* But when a target names it, it is one. */
    put_target(model, ID(51), "pool.internal:80", 100);
    assert_hosts(model, "pool.internal ");
    kg_model_remove(model, KG_TARGETS, ID(51));
    assert_hosts(model, "");
    put(model, KG_UPSTREAMS, "{\"id\":\"" ID(41) "\",\"name\":\"renamed\"}");
    assert_hosts(model, "pool.internal ");
    kg_model_remove(model, KG_UPSTREAMS, ID(41));
    kg_model_remove(model, KG_SERVICES, ID(01));
    assert_hosts(model, "");
    kg_model_free(model);
}

static void removing_an_upstream_takes_its_targets_and_gives_the_host_back(void **state)
{
    struct kg_model *model = model_with_an_upstream(UPSTREAM(""));

    put_target(model, ID(51), "app.example", 100);
    put_target(model, ID(52), "other.example", 100);
    put_target(model, ID(52), "10.0.0.1", 100); /* changed */
    assert_hosts(model, "app.example ");
    kg_model_remove(model, KG_UPSTREAMS, ID(41));
    assert_hosts(model, "pool.internal ");
    set_two(model, "pool.internal", 7, 0);
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_int_equal(balancer_in(snapshot)->endpoint_count, 1);
    assert_null(balancer_in(snapshot)->endpoints[0].peer);
    assert_slice(balancer_in(snapshot)->endpoints[0].host, "Pool.Internal");
    kg_snapshot_free(snapshot);
    kg_model_remove(model, KG_TARGETS, ID(51)); /* gone already */
    kg_model_free(model);
}

static void a_target_may_move_to_another_upstream(void **state)
{
    struct kg_model *model = model_with_an_upstream(UPSTREAM(""));

    put(model, KG_UPSTREAMS, "{\"id\":\"" ID(42) "\",\"name\":\"second\"}");
    put_target(model, ID(51), "10.0.0.1", 100);
    put(model, KG_TARGETS,
        "{\"id\":\"" ID(51) "\",\"target\":\"10.0.0.1\",\"upstream\":{\"id\":\"" ID(42) "\"}}");
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_int_equal(balancer_in(snapshot)->endpoint_count, 0);
    kg_snapshot_free(snapshot);
    kg_model_remove(model, KG_UPSTREAMS, ID(41));
    kg_model_remove(model, KG_UPSTREAMS, ID(42));
    kg_model_free(model);
}

static void note_balancer(void *ctx, const struct kg_balancer *balancer)
{
    size_t len = strlen(ctx);

    snprintf((char *)ctx + len, 200 - len, "%.*s ", (int)balancer->name.len, balancer->name.ptr);
}

static void each_upstream_is_visited_once(void **state)
{
    struct kg_model *model = model_with_an_upstream(UPSTREAM(""));
    char names[200] = "";

    put(model, KG_SERVICES, "{\"host\":\"pool.internal\"}");
    put(model, KG_SERVICES, "{\"host\":\"own.example\"}");
    put(model, KG_UPSTREAMS, "{\"name\":\"unused\"}");
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    kg_snapshot_each_balancer(snapshot, note_balancer, names);
    assert_string_equal(names, "pool.internal unused ");
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void the_services_protocol_decides_which_port_goes_without_saying(void **state)
{
    struct kg_model *model = model_with_an_upstream(UPSTREAM(""));
    json_t *service = json_pack("{ss ss ss}", "id", ID(01), "host", "pool.internal", "protocol", "https");

    put_target(model, ID(51), "10.0.0.1:443", 100);
    put_target(model, ID(52), "10.0.0.2:80", 100);
    struct kg_snapshot *plain = kg_model_snapshot(model);
    assert_slice(balancer_in(plain)->endpoints[0].host_header, "10.0.0.1:443");
    assert_slice(balancer_in(plain)->endpoints[1].host_header, "10.0.0.2");
    kg_model_put(model, KG_SERVICES, service);
    struct kg_snapshot *https = kg_model_snapshot(model);
    assert_slice(balancer_in(https)->endpoints[0].host_header, "10.0.0.1");
    assert_slice(balancer_in(https)->endpoints[1].host_header, "10.0.0.2:80");
    assert_ptr_equal(balancer_in(https)->endpoints[0].peer, balancer_in(plain)->endpoints[0].peer);
    assert_true(balancer_in(https)->number != balancer_in(plain)->number);
    assert_int_equal(number_now(model), balancer_in(https)->number);
    kg_snapshot_free(plain);
    kg_model_free(model);
    assert_slice(balancer_in(https)->endpoints[0].host, "10.0.0.1");
    kg_snapshot_free(https);
    json_decref(service);
}

static void retries_come_from_the_service(void **state)
{
    struct kg_model *model = model_with_an_upstream(UPSTREAM(""));
    struct kg_snapshot *snapshot = kg_model_snapshot(model);

    assert_int_equal(service_in(snapshot)->retries, 5);
    kg_snapshot_free(snapshot);
    put(model, KG_SERVICES, "{\"id\":\"" ID(01) "\",\"host\":\"h\",\"retries\":0}");
    snapshot = kg_model_snapshot(model);
    assert_int_equal(service_in(snapshot)->retries, 0);
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

/* ---- cost ---- */

/* This process's own time: others on the machine do not count. */
static uint64_t cpu_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* 300 upstreams that hash, of 10 targets each: one write elsewhere must not make their rings anew. */
static void a_write_costs_little_beside_many_upstreams(void **state)
{
    struct kg_model *model = model_with_an_upstream(UPSTREAM(",\"hash_on\":\"ip\""));
    uint64_t start, first, writes;

    for (unsigned i = 0; i < 300; i++) {
        put(model, KG_UPSTREAMS,
            "{\"id\":\"10000000-0000-4000-8000-%012u\",\"name\":\"u%u\",\"hash_on\":\"ip\"}", i, i);
        for (unsigned t = 0; t < 10; t++)
            put(model, KG_TARGETS,
                "{\"target\":\"10.%u.%u.%u\",\"upstream\":{\"id\":\"10000000-0000-4000-8000-%012u\"}}", t,
                i / 250, i % 250, i);
    }
    start = cpu_ms();
    kg_snapshot_free(kg_model_snapshot(model));
    first = cpu_ms() - start;
    start = cpu_ms();
    for (unsigned i = 0; i < 10; i++) {
        put(model, KG_ROUTES, "{\"paths\":[\"/r%u\"]}", i);
        kg_snapshot_free(kg_model_snapshot(model));
    }
    writes = cpu_ms() - start;
    print_message("300 rings made in %llu ms, 10 writes after that in %llu ms\n", (unsigned long long)first,
                  (unsigned long long)writes);
    assert_true(writes <= first / 2 + 20);
    kg_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_sends_to_the_targets_of_the_upstream_it_names),
        cmocka_unit_test(names_may_pass_from_one_upstream_to_another),
        cmocka_unit_test(an_upstream_without_an_address_says_why),
        cmocka_unit_test(rules_of_choice_and_health_come_from_the_entity),
        cmocka_unit_test(the_ring_does_not_depend_on_the_order_of_creation),
        cmocka_unit_test(a_new_target_takes_about_its_share_of_the_ring),
        cmocka_unit_test(a_balancer_keeps_its_number_until_something_of_it_changes),
        cmocka_unit_test(a_services_own_balancer_keeps_its_number_too),
        cmocka_unit_test(a_peer_keeps_its_state_while_its_address_is_a_target),
        cmocka_unit_test(switching_the_checks_off_makes_all_healthy),
        cmocka_unit_test(an_upstreams_name_is_no_host_name),
        cmocka_unit_test(removing_an_upstream_takes_its_targets_and_gives_the_host_back),
        cmocka_unit_test(a_target_may_move_to_another_upstream),
        cmocka_unit_test(each_upstream_is_visited_once),
        cmocka_unit_test(the_services_protocol_decides_which_port_goes_without_saying),
        cmocka_unit_test(retries_come_from_the_service),
        cmocka_unit_test(a_write_costs_little_beside_many_upstreams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
