/* SPDX-License-Identifier: BSD-2-Clause */
#include "stage.h"

#include "model/model.h"
#include "proxy/internal.h"
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MANY 1000 /* connections, for a limit that nobody meets */

static struct {
    struct kg_model *model, *models[2]; /* the one that is filled, or asked; services by http, and by https */
    struct kg_net trusted;
    uint32_t total, per_source;
} stage;

static void put(enum kg_entity_id entity, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Through the schema, which knows what is not said here. */
static void put(enum kg_entity_id entity, const char *format, ...)
{
    json_t *input, *object = NULL, *problem = NULL;
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    input = json_loads(text, 0, NULL);
    if (!input || kg_schema_apply(&kg_entities[entity], KG_WRITE_CREATE, input, NULL, &object, &problem))
        sim_fail("%s: %s", text, json_string_value(json_object_get(problem, "message")));
    kg_model_put(stage.model, entity, object);
    json_decref(object);
    json_decref(input);
}

#define ID "00000000-0000-4000-8000-00000000%04x"

/* One way: a route, a service, and, but for the first way, an upstream with all targets. */
static void put_way(unsigned number, const char *host, const char *rules)
{
    bool tls = stage.model == stage.models[1];

    put(KG_SERVICES,
        "{\"id\":\"" ID "\",\"name\":\"s%u\",\"host\":\"%s\",\"port\":9000,\"protocol\":\"%s\",%s"
        "\"connect_timeout\":2000,\"write_timeout\":5000,\"read_timeout\":5000,\"retries\":%u}",
        0x100 + number, number, host, tls ? "https" : "http", tls ? "\"tls_verify\":false," : "",
        WORLD_RETRIES);
    put(KG_ROUTES,
        "{\"id\":\"" ID "\",\"paths\":[\"%s\"],\"strip_path\":false,"
        "\"service\":{\"id\":\"" ID "\"}}",
        0x200 + number, plan_paths[number], 0x100 + number);
    if (!rules)
        return;
    put(KG_UPSTREAMS, "{\"id\":\"" ID "\",\"name\":\"%s\"%s}", 0x300 + number, host, rules);
    for (unsigned i = 0; i < WORLD_TARGETS; i++)
        put(KG_TARGETS,
            "{\"id\":\"" ID "\",\"target\":\"%s\",\"weight\":%u,\"upstream\":{\"id\":\"" ID "\"}}",
            0x400 + number * 16 + i, world_targets[i].target, 10 * (i + 1), 0x300 + number);
}

static void put_consumer(const struct kg_proxy_config *config)
{
    struct kg_key_hasher *hasher = kg_key_hasher_new(config->index_key);
    char consumer[64], credential[64];
    uint8_t mac[32];

    snprintf(consumer, sizeof(consumer), ID, 1);
    snprintf(credential, sizeof(credential), ID, 2);
    kg_model_put_consumer(stage.model, consumer, "alice", NULL);
    kg_key_hasher_mac(hasher, KG_SLICE("right"), mac);
    kg_model_put_credential(stage.model, credential, consumer, mac, 0, NULL);
    kg_key_hasher_free(hasher);
    /* Keys come in headers; a body of the right type is looked into all the same, for what is to be hidden.
     */
    put(KG_PLUGINS,
        "{\"id\":\"" ID
        "\",\"name\":\"key-auth\",\"config\":{\"key_in_body\":true,\"hide_credentials\":true}}",
        3);
}

static void fill_model(const struct kg_proxy_config *config)
{
    static const char watched[] = ",\"algorithm\":\"least-connections\",\"healthchecks\":{\"passive\":{"
                                  "\"healthy\":{\"successes\":1},"
                                  "\"unhealthy\":{\"tcp_failures\":2,\"timeouts\":1}}}";

    put_way(TO_ONE, "127.0.0.1", NULL);
    put_way(TO_TURNS, "turns.internal", ",\"algorithm\":\"round-robin\"");
    put_way(TO_LIGHTEST, "lightest.internal", ",\"algorithm\":\"least-connections\"");
    put_way(TO_HASHED, "hashed.internal",
            ",\"algorithm\":\"consistent-hashing\",\"hash_on\":\"header\",\"hash_on_header\":\"X-Tag\"");
    put_way(TO_WATCHED, "watched.internal", watched);
    put_consumer(config);
}

void stage_open(struct kg_proxy_config *config)
{
    struct kg_error err;

    config->listen_count = 1;
    config->limits = (struct kg_head_limits){ .line = 8192, .bytes = 16384, .headers = 100 };
    config->consumer_slots = 8;
    config->control_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    config->real_ip_recursive = true;
    config->tls.min_version = TLS1_2_VERSION;
    config->tls.identity = kg_tls_identity_self_signed("gateway", &err);
    config->tls.tickets = kg_tls_tickets_new();
    kg_policies_register();
    for (int i = 0; i < 2; i++) {
        stage.model = stage.models[i] = kg_model_new(NULL);
        fill_model(config);
    }
}

void stage_close(struct kg_proxy_config *config)
{
    for (int i = 0; i < 2; i++)
        kg_model_free(stage.models[i]);
    kg_tls_identity_free(config->tls.identity);
    kg_tls_tickets_free(config->tls.tickets);
}

struct kg_snapshot *stage_snapshot(void)
{
    return kg_model_snapshot(stage.models[world.tls_service]);
}

static void choose_limits(struct kg_proxy_config *config, bool rough)
{
    config->max_connections = rough && rnd_chance(&sim.rnd, 20) ? rnd_between(&sim.rnd, 1, 3) : 64;
    config->keepalive_requests = rnd_chance(&sim.rnd, 20) ? rnd_between(&sim.rnd, 1, WORLD_REQUESTS) : 0;
    config->max_body = plan_rules.max_body = rnd_chance(&sim.rnd, 40) ? rnd_between(&sim.rnd, 1, 5000) : 0;
    config->search_body = rnd_chance(&sim.rnd, 50) ? rnd_between(&sim.rnd, 1, 100000) : 0;
    stage.total = rough && rnd_chance(&sim.rnd, 20) ? rnd_between(&sim.rnd, 1, 4) : MANY;
    stage.per_source = rough && rnd_chance(&sim.rnd, 20) ? 1 : MANY;
    config->admission = kg_admission_new(stage.total, stage.per_source);
}

static void choose_times(struct kg_proxy_config *config, bool rough)
{
    config->header_timeout_ms = rough ? rnd_between(&sim.rnd, 100, 5000) : 60000;
    config->keepalive_timeout_ms = rough ? rnd_between(&sim.rnd, 100, 10000) : 60000;
    config->idle_timeout_ms = rnd_between(&sim.rnd, 100, 10000);
    config->body_timeout_ms = rough ? rnd_between(&sim.rnd, 100, 5000) : 60000;
    config->send_timeout_ms = rough ? rnd_between(&sim.rnd, 100, 5000) : 60000;
    config->rate_window_ms = rough ? rnd_between(&sim.rnd, 100, 2000) : 5000;
    config->min_body_rate = rnd_chance(&sim.rnd, 50) ? rnd_below(&sim.rnd, rough ? 5000 : 10) : 0;
    config->min_read_rate = rnd_chance(&sim.rnd, 50) ? rnd_below(&sim.rnd, rough ? 5000 : 10) : 0;
}

static void choose_trust(struct kg_proxy_config *config)
{
    world.proxied = rnd_chance(&sim.rnd, 30);
    world.trust = (enum trust)rnd_between(&sim.rnd, TRUST_NOBODY, TRUST_ALL);
    stage.trusted = (struct kg_net){ { 4, { 10 } }, world.trust == TRUST_ALL ? 8 : 30 };
    config->trusted = (struct kg_net_list){ &stage.trusted, world.trust == TRUST_NOBODY ? 0 : 1 };
    config->real_ip_header = KG_SLICE("X-Forwarded-For");
    config->listen[0] = (struct kg_listen_addr){
        .addr = { .family = 4 }, .port = WORLD_PORT, .tls = world.tls_clients, .proxy_protocol = world.proxied
    };
}

static void each_peer(const struct kg_snapshot *snapshot, void (*visit)(struct kg_peer *peer))
{
    for (unsigned i = TO_ONE + 1; i < WHERES; i++) {
        struct kg_route_query query = { .method = KG_SLICE("GET"), .path = kg_slice_str(plan_paths[i]) };
        struct kg_match match;

        if (!kg_snapshot_route(snapshot, &query, &match))
            sim_fail("no route to %s", plan_paths[i]);
        const struct kg_balancer *balancer = match.route->service->balancer;
        if (balancer->endpoint_count != WORLD_TARGETS)
            sim_fail("%zu endpoints behind %s", balancer->endpoint_count, plan_paths[i]);
        for (size_t j = 0; j < balancer->endpoint_count; j++)
            visit(balancer->endpoints[j].peer);
    }
}

void stage_set(struct kg_proxy_config *config, bool rough)
{
    config->buffers = 1u << rnd_between(&sim.rnd, 1, 5);
    config->buffer_size = 1u << rnd_between(&sim.rnd, 8, 12);
    config->max_idle = rnd_below(&sim.rnd, 4);
    choose_limits(config, rough);
    choose_times(config, rough);
    choose_trust(config);
    plan_rules.failover = rnd_chance(&sim.rnd, 60);
}

/* Peers outlive schedules: the next one finds them as new. */
static void check_peer(struct kg_peer *peer)
{
    if (peer->requests != 0)
        sim_fail("%u requests are still on their way to a target", peer->requests);
    peer->unhealthy = false;
    peer->successes = peer->http_failures = peer->tcp_failures = peer->timeouts = 0;
}

/* Everybody has left when as many as may come can come. */
static void check_admission(struct kg_admission *admission)
{
    for (unsigned i = 0; i < stage.total; i++) {
        if (!kg_admission_enter(admission))
            sim_fail("only %u connections may come of %u", i, stage.total);
    }
    if (kg_admission_enter(admission))
        sim_fail("more connections may come than %u", stage.total);
    for (unsigned number = 1; number <= WORLD_CLIENTS; number++) {
        const struct kg_addr sources[] = { { 4, { 10, 0, 0, (uint8_t)number } },
                                           { 4, { 192, 0, 2, (uint8_t)number } },
                                           { 4, { 10, 0, 0, (uint8_t)(200 + number) } },
                                           { 6, { 0x20, 1, 0xd, 0xb8 } } };

        for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++) {
            bool first = i < 3 || number == 1; /* the last one is everybody's */
            bool may = true;

            for (unsigned j = 0; first && may && j < stage.per_source; j++)
                may = kg_admission_enter_source(admission, &sources[i]);
            if (!may)
                sim_fail("a source of client %u is still counted", number - 1);
        }
    }
}

void stage_check(struct kg_proxy_config *config, const struct kg_snapshot *snapshot)
{
    each_peer(snapshot, check_peer);
    check_admission(config->admission);
    kg_admission_free(config->admission);
}
