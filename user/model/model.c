/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/model.h"

#include "base/assert.h"
#include "base/mem.h"
#include "keygate/abi.h"
#include "model/candidates.h"
#include "model/certificates.h"
#include "model/groups.h"
#include "model/json.h"
#include "model/jwt_keys.h"
#include "model/names.h"
#include "model/pools.h"
#include "model/records.h"
#include "model/routing.h"

#include <stdlib.h>

#define LOOK_EVERY 4096 /* records: whether the heap has grown */

/* What is being loaded: one reference each. */
struct batch {
    void **items;
    size_t count, room;
};

/*
 * Services, routes and plugins by id are the model's own; credentials by MAC are shared with snapshots.
 * `routing` is what the next snapshot shares, NULL when anything that it is built from has changed since.
 */
struct kg_model {
    const struct kg_slot_source *slots;
    struct kg_slot_source slots_copy;
    struct kg_pmap services, routes, plugins;
    struct kg_pmap names;
    struct kg_certificates certificates;
    struct kg_pools pools;
    struct kg_groups groups;
    struct kg_pmap consumers, usernames; /* usernames: those of them that have one, by it */
    struct kg_pmap credentials, credentials_by_mac;
    struct kg_jwt_keys jwt_keys;
    struct kg_pmap expiring; /* those of the credentials that will not stay, by id */
    struct {
        struct batch consumers, credentials;
        size_t next_owner; /* which of the consumers had the last credential */
    } loading;
    struct kg_routing *routing;
    uint64_t next_order;
};

struct kg_model *kg_model_new(const struct kg_slot_source *slots)
{
    struct kg_model *model = kg_calloc(1, sizeof(*model));

    if (slots) {
        model->slots_copy = *slots;
        model->slots = &model->slots_copy;
    }
    model->services = model->routes = model->plugins = kg_pmap_of(&kg_records_by_id);
    model->names = kg_pmap_of(&kg_names_by_text);
    kg_certificates_init(&model->certificates);
    kg_pools_init(&model->pools, &model->names);
    kg_groups_init(&model->groups);
    model->consumers = kg_pmap_of(&kg_consumers_by_id);
    model->usernames = kg_pmap_of(&kg_consumers_by_username);
    model->credentials = model->expiring = kg_pmap_of(&kg_credentials_by_id);
    kg_jwt_keys_init(&model->jwt_keys);
    model->credentials_by_mac = kg_pmap_of(&kg_credentials_by_mac);
    return model;
}

static void forget_routing(struct kg_model *model)
{
    if (model->routing)
        kg_routing_release(model->routing);
    model->routing = NULL;
}

void kg_model_free(struct kg_model *model)
{
    if (!model)
        return;
    kg_model_load_end(model);
    forget_routing(model);
    kg_pmap_free(&model->expiring);
    kg_pmap_free(&model->credentials_by_mac);
    kg_pmap_free(&model->credentials);
    kg_jwt_keys_free(&model->jwt_keys);
    kg_pmap_free(&model->usernames);
    kg_pmap_free(&model->consumers);
    kg_groups_free(&model->groups);
    kg_pools_free(&model->pools);
    kg_certificates_free(&model->certificates);
    kg_pmap_free(&model->names);
    kg_pmap_free(&model->plugins);
    kg_pmap_free(&model->routes);
    kg_pmap_free(&model->services);
    free(model);
}

/* ---- services, routes, plugins ---- */

static struct kg_pmap *records_of(struct kg_model *model, enum kg_entity_id entity)
{
    if (entity == KG_SERVICES)
        return &model->services;
    if (entity == KG_ROUTES)
        return &model->routes;
    KG_ASSERT(entity == KG_PLUGINS);
    return &model->plugins;
}

/* The new version begins with the old one's balancer: where nothing of it has changed, it stays the same. */
static void replace_service(struct kg_service_record *old, struct kg_service_record *new,
                            struct kg_model *model)
{
    kg_names_drop(&model->names, old->host, KG_NAMED_BY_SERVICE);
    new->own = old->own;
    new->own_version = UINT64_MAX; /* to be looked at again */
    old->own = NULL;
}

static void put_record(struct kg_model *model, enum kg_entity_id entity, const json_t *object)
{
    struct kg_pmap *map = records_of(model, entity);
    struct kg_record *record = kg_record_new(entity, object, model->next_order);
    struct kg_record *old = kg_pmap_find(map, record->id);

    if (old)
        record->order = old->order;
    else
        model->next_order++;
    if (entity == KG_SERVICES) {
        kg_names_use(&model->names, ((struct kg_service_record *)record)->host, KG_NAMED_BY_SERVICE);
        if (old)
            replace_service((struct kg_service_record *)old, (struct kg_service_record *)record, model);
    }
    kg_pmap_set(map, record);
    kg_record_release(record);
    forget_routing(model);
}

/* Finds the plugins that go with the entity they are scoped to. */
struct cascade {
    struct kg_model *model;
    enum kg_entity_id entity;
    const char *id;
};

static void remove_scoped(void *ctx, void *value)
{
    const struct cascade *cascade = ctx;
    const struct kg_plugin_record *plugin = value;
    const char *scope = plugin->consumer_id;

    if (cascade->entity == KG_SERVICES)
        scope = plugin->service_id;
    if (cascade->entity == KG_ROUTES)
        scope = plugin->route_id;
    if (strcmp(scope, cascade->id) != 0)
        return;
    kg_pmap_del(&cascade->model->plugins, plugin->record.id);
    forget_routing(cascade->model);
}

static void remove_plugins_of(struct kg_model *model, enum kg_entity_id entity, const char *id)
{
    struct cascade cascade = { model, entity, id };
    /* The walk goes over a version of its own, so that plugins can be taken out of the other. */
    struct kg_pmap walked = kg_pmap_share(&model->plugins);

    kg_pmap_each(&walked, remove_scoped, &cascade);
    kg_pmap_free(&walked);
}

static void remove_record(struct kg_model *model, enum kg_entity_id entity, const char *id)
{
    struct kg_pmap *map = records_of(model, entity);
    struct kg_record *record = kg_pmap_find(map, id);

    if (!record)
        return;
    if (entity != KG_PLUGINS)
        remove_plugins_of(model, entity, id);
    if (entity == KG_SERVICES)
        kg_names_drop(&model->names, ((struct kg_service_record *)record)->host, KG_NAMED_BY_SERVICE);
    kg_pmap_del(map, id);
    forget_routing(model);
}

/* ---- upstreams, targets ---- */

static void put_pooled(struct kg_model *model, enum kg_entity_id entity, const json_t *object)
{
    struct kg_record *record = kg_record_new(entity, object, model->next_order++);

    kg_pools_put(&model->pools, record);
    kg_record_release(record);
    forget_routing(model);
}

/* ---- consumers ---- */

static uint32_t take_slot(struct kg_model *model, const char *id, const char *username, const char *custom_id)
{
    const char *name = username ? username : custom_id;

    return model->slots ? model->slots->take(model->slots->ctx, id, name ? name : "") : KG_SLOT_OTHERS;
}

static void give_slot_back(struct kg_model *model, const struct kg_consumer *consumer)
{
    if (model->slots && consumer->slot != KG_SLOT_OTHERS)
        model->slots->give_back(model->slots->ctx, consumer->slot, consumer->id);
}

static void link_credential(struct kg_consumer_record *consumer, struct kg_credential_record *credential)
{
    credential->prev = NULL;
    credential->next = consumer->credentials;
    if (credential->next)
        credential->next->prev = credential;
    consumer->credentials = credential;
}

static void unlink_credential(struct kg_credential_record *credential)
{
    struct kg_consumer_record *consumer = kg_credential_record_consumer(credential);

    if (credential->prev)
        credential->prev->next = credential->next;
    else
        consumer->credentials = credential->next;
    if (credential->next)
        credential->next->prev = credential->prev;
}

static void add_credential(struct kg_model *model, struct kg_consumer_record *consumer, const char *id,
                           const uint8_t mac[32], int64_t expires_wall, const char *name)
{
    struct kg_credential_record *credential = kg_credential_record_new(id, consumer, mac, expires_wall, name);

    link_credential(consumer, credential);
    kg_pmap_set(&model->credentials, credential);
    kg_pmap_set(&model->credentials_by_mac, credential);
    if (expires_wall > 0)
        kg_pmap_set(&model->expiring, credential);
    kg_credential_record_release(credential);
}

static void remove_credential(struct kg_model *model, struct kg_credential_record *credential)
{
    unlink_credential(credential);
    /* Only its own entry: another credential may have been given the same key in the meantime. */
    if (kg_pmap_find(&model->credentials_by_mac, credential->pub.mac) == credential)
        kg_pmap_del(&model->credentials_by_mac, credential->pub.mac);
    if (credential->pub.expires_wall > 0)
        kg_pmap_del(&model->expiring, credential->pub.id);
    kg_pmap_del(&model->credentials, credential->pub.id);
}

/* A credential points at one version of its consumer, so a new version gets new ones. */
static void move_credentials(struct kg_model *model, struct kg_consumer_record *from,
                             struct kg_consumer_record *to)
{
    while (from->credentials) {
        struct kg_credential_record *credential = from->credentials;
        struct kg_credential copy = credential->pub;
        char *name = kg_strndup(copy.name.ptr, copy.name.len);
        remove_credential(model, credential);
        add_credential(model, to, copy.id, copy.mac, copy.expires_wall, name);
        free(name);
    }
}

/* Only its own entry: within one change another consumer may have got the name already. */
static void forget_username(struct kg_model *model, const struct kg_consumer_record *consumer)
{
    const struct kg_slice *username = &consumer->pub.username;

    if (username->len > 0 && kg_pmap_find(&model->usernames, username) == consumer)
        kg_pmap_del(&model->usernames, username);
}

static bool same_names(const struct kg_consumer *consumer, const char *username, const char *custom_id)
{
    return kg_slice_eq(consumer->username, kg_slice_str(username)) &&
           kg_slice_eq(consumer->custom_id, kg_slice_str(custom_id));
}

void kg_model_put_consumer(struct kg_model *model, const char *id, const char *username,
                           const char *custom_id)
{
    struct kg_consumer_record *old = kg_pmap_find(&model->consumers, id);

    if (old && same_names(&old->pub, username, custom_id))
        return;
    /* Asked for again after a change of name, so that the counters show the new one. */
    uint32_t slot = take_slot(model, id, username, custom_id);
    struct kg_consumer_record *consumer = kg_consumer_record_new(id, username, custom_id, slot);
    if (old) {
        if (old->pub.slot != slot)
            give_slot_back(model, &old->pub);
        move_credentials(model, old, consumer);
        kg_jwt_keys_move(&model->jwt_keys, consumer);
        forget_username(model, old);
    }
    if (consumer->pub.username.len > 0)
        kg_pmap_set(&model->usernames, consumer);
    kg_pmap_set(&model->consumers, consumer);
    kg_consumer_record_release(consumer);
}

static void remove_consumer(struct kg_model *model, const char *id)
{
    struct kg_consumer_record *consumer = kg_pmap_find(&model->consumers, id);

    if (!consumer)
        return;
    remove_plugins_of(model, KG_CONSUMERS, id);
    kg_groups_remove_consumer(&model->groups, id);
    while (consumer->credentials)
        remove_credential(model, consumer->credentials);
    kg_jwt_keys_remove_owned(&model->jwt_keys, id);
    give_slot_back(model, &consumer->pub);
    forget_username(model, consumer);
    kg_pmap_del(&model->consumers, id);
}

void kg_model_put_credential(struct kg_model *model, const char *id, const char *consumer_id,
                             const uint8_t mac[32], int64_t expires_wall, const char *name)
{
    struct kg_consumer_record *consumer = kg_pmap_find(&model->consumers, consumer_id);
    struct kg_credential_record *old = kg_pmap_find(&model->credentials, id), *rival;

    KG_ASSERT(consumer != NULL);
    if (old)
        remove_credential(model, old);
    /* The store gives an expired credential's key to another one without a word: the old owner is gone. */
    rival = kg_pmap_find(&model->credentials_by_mac, mac);
    if (rival)
        remove_credential(model, rival);
    add_credential(model, consumer, id, mac, expires_wall, name);
}

struct expiry {
    struct kg_model *model;
    int64_t now_wall;
    size_t count;
};

static void remove_expired(void *ctx, void *value)
{
    struct expiry *expiry = ctx;
    struct kg_credential_record *credential = value;

    if (credential->pub.expires_wall > expiry->now_wall)
        return;
    remove_credential(expiry->model, credential);
    expiry->count++;
}

size_t kg_model_expire(struct kg_model *model, int64_t now_wall)
{
    struct expiry expiry = { model, now_wall, 0 };
    struct kg_pmap walked = kg_pmap_share(&model->expiring);

    kg_pmap_each(&walked, remove_expired, &expiry);
    kg_pmap_free(&walked);
    return expiry.count;
}

/* ---- many at once ---- */

static void keep(struct batch *batch, void *record)
{
    if (batch->count == batch->room) {
        batch->room = batch->room ? batch->room * 2 : 1024;
        batch->items = kg_realloc(batch->items, batch->room, sizeof(*batch->items));
    }
    if (batch->count % LOOK_EVERY == LOOK_EVERY - 1)
        kg_mem_load_more();
    batch->items[batch->count++] = record;
}

/* The maps hold them now. */
static void let_go(struct batch *batch, const struct kg_pmap_type *type)
{
    for (size_t i = 0; i < batch->count; i++)
        type->release(batch->items[i]);
    free(batch->items);
    *batch = (struct batch){ 0 };
}

void kg_model_load_consumer(struct kg_model *model, const char *id, const char *username,
                            const char *custom_id)
{
    uint32_t slot = take_slot(model, id, username, custom_id);

    KG_ASSERT(model->consumers.count == 0);
    keep(&model->loading.consumers, kg_consumer_record_new(id, username, custom_id, slot));
}

static void fill_consumers(struct kg_model *model)
{
    const struct batch *consumers = &model->loading.consumers;
    void **named = kg_calloc(consumers->count, sizeof(*named));
    size_t count = 0;

    kg_pmap_fill(&model->consumers, consumers->items, consumers->count);
    for (size_t i = 0; i < consumers->count; i++) {
        if (((const struct kg_consumer_record *)consumers->items[i])->pub.username.len > 0)
            named[count++] = consumers->items[i];
    }
    if (count > 0)
        kg_pmap_fill(&model->usernames, named, count);
    free(named);
}

/* Most consumers get their keys one after the other, as they came themselves: then there is nothing to look
 * for. */
static struct kg_consumer_record *owner_of_next(struct kg_model *model, const char *consumer_id)
{
    const struct batch *consumers = &model->loading.consumers;
    size_t *next = &model->loading.next_owner;

    for (size_t i = *next; i < consumers->count && i < *next + 2; i++) {
        struct kg_consumer_record *consumer = consumers->items[i];
        if (strcmp(consumer->pub.id, consumer_id) == 0) {
            *next = i;
            return consumer;
        }
    }
    return kg_pmap_find(&model->consumers, consumer_id);
}

void kg_model_load_credential(struct kg_model *model, const char *id, const char *consumer_id,
                              const uint8_t mac[32], int64_t expires_wall, const char *name)
{
    if (model->consumers.count == 0)
        fill_consumers(model);
    struct kg_consumer_record *consumer = owner_of_next(model, consumer_id);
    KG_ASSERT(consumer != NULL && model->credentials.count == 0);
    struct kg_credential_record *credential = kg_credential_record_new(id, consumer, mac, expires_wall, name);
    link_credential(consumer, credential);
    if (expires_wall > 0)
        kg_pmap_set(&model->expiring, credential);
    keep(&model->loading.credentials, credential);
}

void kg_model_load_group(struct kg_model *model, const char *id, const char *consumer_id, const char *group)
{
    kg_groups_load(&model->groups, id, consumer_id, kg_slice_str(group));
}

void kg_model_load_end(struct kg_model *model)
{
    struct batch *consumers = &model->loading.consumers, *credentials = &model->loading.credentials;

    if (model->consumers.count == 0 && consumers->count > 0)
        fill_consumers(model);
    if (credentials->count > 0) {
        kg_pmap_fill(&model->credentials, credentials->items, credentials->count);
        kg_pmap_fill(&model->credentials_by_mac, credentials->items, credentials->count);
    }
    let_go(consumers, model->consumers.type);
    let_go(credentials, model->credentials.type);
    model->loading.next_owner = 0;
    kg_groups_load_end(&model->groups);
}

bool kg_model_has_consumers(const struct kg_model *model)
{
    return model->consumers.count > 0;
}

/* ---- all of them ---- */

static bool is_certificate(enum kg_entity_id entity)
{
    return entity == KG_CERTIFICATES || entity == KG_SNIS || entity == KG_CA_CERTIFICATES;
}

static void put_group(struct kg_model *model, const json_t *acl)
{
    const char *consumer_id = json_string_value(json_object_get(json_object_get(acl, "consumer"), "id"));

    kg_groups_put(&model->groups, json_string_value(json_object_get(acl, "id")), consumer_id,
                  kg_json_text(json_object_get(acl, "group")));
}

static void put_jwt_key(struct kg_model *model, const json_t *object)
{
    const json_t *owner = json_object_get(json_object_get(object, "consumer"), "id");
    struct kg_consumer_record *consumer = kg_pmap_find(&model->consumers, json_string_value(owner));

    KG_ASSERT(consumer != NULL);
    kg_jwt_keys_put(&model->jwt_keys, consumer, object);
}

void kg_model_put(struct kg_model *model, enum kg_entity_id entity, const json_t *object)
{
    if (entity == KG_ACLS) {
        put_group(model, object);
        return;
    }
    if (is_certificate(entity)) {
        if (kg_certificates_put(&model->certificates, entity, object))
            forget_routing(model);
        return;
    }
    if (entity == KG_UPSTREAMS || entity == KG_TARGETS) {
        put_pooled(model, entity, object);
        return;
    }
    if (entity == KG_JWT_SECRETS) {
        put_jwt_key(model, object);
        return;
    }
    if (entity != KG_CONSUMERS) {
        put_record(model, entity, object);
        return;
    }
    kg_model_put_consumer(model, json_string_value(json_object_get(object, "id")),
                          json_string_value(json_object_get(object, "username")),
                          json_string_value(json_object_get(object, "custom_id")));
}

void kg_model_remove(struct kg_model *model, enum kg_entity_id entity, const char *id)
{
    if (entity == KG_ACLS) {
        kg_groups_remove(&model->groups, id);
        return;
    }
    if (is_certificate(entity)) {
        if (kg_certificates_remove(&model->certificates, entity, id))
            forget_routing(model);
        return;
    }
    if (entity == KG_CONSUMERS) {
        remove_consumer(model, id);
        return;
    }
    if (entity == KG_JWT_SECRETS) {
        kg_jwt_keys_remove(&model->jwt_keys, id);
        return;
    }
    if (entity == KG_UPSTREAMS || entity == KG_TARGETS) {
        kg_pools_remove(&model->pools, entity, id);
        forget_routing(model);
        return;
    }
    if (entity != KG_KEYAUTH_CREDENTIALS) {
        remove_record(model, entity, id);
        return;
    }
    struct kg_credential_record *credential = kg_pmap_find(&model->credentials, id);
    if (credential)
        remove_credential(model, credential);
}

struct host_visit {
    struct kg_model *model;
    void (*visit)(void *ctx, const char *host);
    void *ctx;
};

/* What only services name, and an upstream is called, is no host name. */
static void visit_host(void *ctx, void *value)
{
    const struct host_visit *call = ctx;
    const struct kg_host_name *name = value;

    if (!kg_name_is_used(name))
        kg_pmap_del(&call->model->names, name->text);
    else if (name->users[KG_NAMED_BY_TARGET] > 0 || !kg_pools_find(&call->model->pools, name->text))
        call->visit(call->ctx, name->text);
}

void kg_model_each_host(struct kg_model *model, void (*visit)(void *ctx, const char *host), void *ctx)
{
    struct host_visit call = { model, visit, ctx };
    struct kg_pmap names = kg_pmap_share(&model->names);

    kg_pmap_each(&names, visit_host, &call);
    kg_pmap_free(&names);
}

bool kg_model_set_addresses(struct kg_model *model, const char *host, const struct kg_addr *addrs,
                            size_t count)
{
    struct kg_host_name *name = kg_names_find(&model->names, kg_slice_str(host));

    if (!name || !kg_name_set(name, addrs, count, model->pools.names_version + 1))
        return false;
    model->pools.names_version++;
    forget_routing(model);
    return true;
}

void kg_model_set_default_verify(struct kg_model *model, bool verify)
{
    if (model->certificates.verify == verify)
        return;
    model->certificates.verify = verify;
    forget_routing(model);
}

size_t kg_model_target_addresses(struct kg_model *model, const char *target_id, struct kg_target_address *out,
                                 size_t max)
{
    const struct kg_target_record *target = kg_pmap_find(&model->pools.targets, target_id);
    const struct kg_addr *addrs;
    struct kg_addr numeric;
    size_t count;

    if (!target)
        return 0;
    addrs = kg_pools_addresses(&model->pools, target, &numeric, &count);
    for (size_t i = 0; i < count && i < max; i++) {
        struct kg_peer *peer = kg_pools_peer(&model->pools, target, &addrs[i]);

        out[i] = (struct kg_target_address){ addrs[i], target->port, target->weight,
                                             atomic_load_explicit(&peer->unhealthy, memory_order_relaxed) };
    }
    return count;
}

static void say_health(struct kg_peer *peer, bool healthy)
{
    atomic_store_explicit(&peer->successes, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->http_failures, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->tcp_failures, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->timeouts, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->unhealthy, !healthy, memory_order_relaxed);
}

size_t kg_model_set_health(struct kg_model *model, const char *target_id, const struct kg_addr *only,
                           uint16_t port, bool healthy)
{
    const struct kg_target_record *target = kg_pmap_find(&model->pools.targets, target_id);
    const struct kg_addr *addrs;
    struct kg_addr numeric;
    size_t count, said = 0;

    if (!target || (port != 0 && port != target->port))
        return 0;
    addrs = kg_pools_addresses(&model->pools, target, &numeric, &count);
    for (size_t i = 0; i < count; i++) {
        if (only && !kg_addr_eq(only, &addrs[i]))
            continue;
        say_health(kg_pools_peer(&model->pools, target, &addrs[i]), healthy);
        said++;
    }
    return said;
}

bool kg_model_is_checked(const struct kg_model *model, const char *upstream_id)
{
    const struct kg_upstream_record *upstream = kg_pmap_find(&model->pools.upstreams, upstream_id);

    return upstream && kg_upstream_is_checked(upstream);
}

void kg_model_each_candidate(const struct kg_model *model, const struct kg_route_query *query,
                             void (*visit)(void *ctx, const struct kg_candidate *candidate), void *ctx)
{
    kg_candidates_each(&model->services, &model->routes, query, visit, ctx);
}

void kg_model_each_plugin(const struct kg_model *model, const struct kg_plugin_scope *scope,
                          void (*visit)(void *ctx, const struct kg_plugin_instance *instance), void *ctx)
{
    kg_plugins_each(&model->plugins, scope, visit, ctx);
}

struct kg_snapshot *kg_model_snapshot(struct kg_model *model)
{
    if (!model->routing)
        model->routing = kg_routing_new(&model->services, &model->routes, &model->plugins, &model->pools,
                                        &model->certificates);
    const struct kg_snapshot_maps maps = {
        .credentials_by_mac = &model->credentials_by_mac,
        .jwt_keys = &model->jwt_keys.by_key,
        .consumers = &model->consumers,
        .usernames = &model->usernames,
        .groups = &model->groups.by_consumer,
    };
    return kg_snapshot_new(model->routing, &maps, &model->certificates);
}
