/* SPDX-License-Identifier: BSD-2-Clause */
/* Services, routes and plugins as the model keeps them, taken out of their JSON; and records in general. */
#include "model/records.h"
#include "model/certificates.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/json.h"

#include <stdlib.h>

static struct kg_slice field(struct kg_record *record, const json_t *object, const char *name)
{
    return kg_arena_copy(&record->arena, kg_json_text(json_object_get(object, name)));
}

static uint32_t number(const json_t *object, const char *name, uint32_t otherwise)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_integer(value))
        return otherwise;
    json_int_t number = json_integer_value(value);
    return number < 0 ? 0 : number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

static bool flag(const json_t *object, const char *name, bool otherwise)
{
    const json_t *value = json_object_get(object, name);

    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* The id in {"id": …}; empty for null. */
static void reference(const json_t *object, const char *name, char out[KG_UUID_TEXT])
{
    struct kg_slice id = kg_json_text(json_object_get(json_object_get(object, name), "id"));

    KG_ASSERT(id.len < KG_UUID_TEXT);
    if (id.len > 0)
        memcpy(out, id.ptr, id.len);
    out[id.len] = '\0';
}

static struct kg_slice *elements(struct kg_record *record, const json_t *array, size_t *count)
{
    *count = json_array_size(array);
    struct kg_slice *slices = kg_arena_calloc(&record->arena, *count, sizeof(*slices));
    for (size_t i = 0; i < *count; i++)
        slices[i] = kg_arena_copy(&record->arena, kg_json_text(json_array_get(array, i)));
    return slices;
}

static struct kg_slice *list(struct kg_record *record, const json_t *object, const char *name, size_t *count)
{
    return elements(record, json_object_get(object, name), count);
}

static void take_tls(struct kg_service_record *service, const json_t *object)
{
    const json_t *verify = json_object_get(object, "tls_verify");
    const json_t *depth = json_object_get(object, "tls_verify_depth");

    service->https = kg_slice_eq(kg_json_text(json_object_get(object, "protocol")), KG_SLICE("https"));
    service->tls_verify = json_is_boolean(verify) ? json_is_true(verify) : -1;
    service->tls_verify_depth = json_is_integer(depth) ? (int)json_integer_value(depth) : -1;
    reference(object, "client_certificate", service->client_certificate_id);
    service->ca_ids = list(&service->record, object, "ca_certificates", &service->ca_count);
}

static struct kg_record *new_service(const json_t *object)
{
    struct kg_service_record *service = kg_calloc(1, sizeof(*service));
    struct kg_record *record = &service->record;

    service->enabled = flag(object, "enabled", true);
    service->name = field(record, object, "name");
    service->host = field(record, object, "host");
    service->path = field(record, object, "path");
    if (service->path.len == 0)
        service->path = KG_SLICE("/");
    service->port = (uint16_t)number(object, "port", 80);
    service->connect_timeout_ms = number(object, "connect_timeout", 60000);
    service->write_timeout_ms = number(object, "write_timeout", 60000);
    service->read_timeout_ms = number(object, "read_timeout", 60000);
    service->retries = number(object, "retries", 5);
    service->lower_host = kg_arena_lower(&record->arena, service->host);
    take_tls(service, object);
    return record;
}

static bool has_element(const json_t *object, const char *name, const char *wanted)
{
    json_t *value;
    size_t i;

    json_array_foreach(json_object_get(object, name), i, value)
    {
        if (kg_slice_eq(kg_json_text(value), kg_slice_str(wanted)))
            return true;
    }
    return false;
}

/* NULL when a pattern that was good when it was written no longer compiles: then it matches nothing. */
static const struct kg_regex *compile(struct kg_route_record *route, enum kg_regex_kind kind,
                                      struct kg_slice pattern)
{
    struct kg_error err;
    struct kg_regex *regex = kg_regex_new(kind, pattern, &err);

    if (regex)
        route->regexes[route->regex_count++] = regex;
    else
        kg_log(KG_LOG_ERROR, "a regex of route %.*s matches nothing: %s", (int)route->name.len,
               route->name.ptr, err.text);
    return regex;
}

/* Out of `paths` what begins with '~'. */
static void take_regex_paths(struct kg_route_record *route)
{
    size_t plain = 0;

    route->regex_paths =
        kg_arena_calloc(&route->record.arena, route->path_count, sizeof(*route->regex_paths));
    for (size_t i = 0; i < route->path_count; i++) {
        struct kg_slice path = route->paths[i];

        if (path.len == 0 || path.ptr[0] != '~')
            route->paths[plain++] = path;
        else
            route->regex_paths[route->regex_path_count++] =
                compile(route, KG_REGEX_PATH, kg_slice_of(path.ptr + 1, path.len - 1));
    }
    route->path_count = plain;
}

static void take_headers(struct kg_route_record *route, const json_t *headers)
{
    struct kg_record *record = &route->record;
    const char *name;
    json_t *values;

    route->headers = kg_arena_calloc(&record->arena, json_object_size(headers), sizeof(*route->headers));
    json_object_foreach((json_t *)(uintptr_t)headers, name, values)
    {
        struct kg_route_header *header = &route->headers[route->header_count++];

        header->name = kg_arena_copy(&record->arena, kg_slice_str(name));
        header->values = elements(record, values, &header->value_count);
        if (header->value_count != 1 || !kg_slice_starts_with(header->values[0], KG_SLICE("~*")))
            continue;
        header->regex = compile(route, KG_REGEX_HEADER,
                                kg_slice_of(header->values[0].ptr + 2, header->values[0].len - 2));
        header->value_count = 0;
    }
}

static struct kg_record *new_route(const json_t *object)
{
    struct kg_route_record *route = kg_calloc(1, sizeof(*route));
    struct kg_record *record = &route->record;

    reference(object, "service", route->service_id);
    route->name = field(record, object, "name");
    route->hosts = list(record, object, "hosts", &route->host_count);
    route->paths = list(record, object, "paths", &route->path_count);
    route->methods = list(record, object, "methods", &route->method_count);
    route->snis = list(record, object, "snis", &route->sni_count);
    const json_t *headers = json_object_get(object, "headers");
    size_t most = json_object_size(headers) + route->path_count;
    route->regexes = kg_arena_calloc(&record->arena, most, sizeof(*route->regexes));
    take_headers(route, headers);
    take_regex_paths(route);
    route->regex_priority = (int32_t)json_integer_value(json_object_get(object, "regex_priority"));
    route->https_only =
        has_element(object, "protocols", "https") && !has_element(object, "protocols", "http");
    route->https_redirect_status = number(object, "https_redirect_status_code", 426);
    route->strip_path = flag(object, "strip_path", true);
    route->preserve_host = flag(object, "preserve_host", false);
    return record;
}

static struct kg_record *new_plugin(const json_t *object)
{
    struct kg_plugin_record *plugin = kg_calloc(1, sizeof(*plugin));
    const char *name = json_string_value(json_object_get(object, "name"));

    KG_ASSERT(name != NULL);
    plugin->type = kg_plugin_find(name);
    /* Going on without it would let requests through that it was there to refuse. */
    KG_ASSERT(plugin->type != NULL);
    plugin->enabled = flag(object, "enabled", true);
    bool limited = json_array_size(json_object_get(object, "protocols")) > 0;
    plugin->not_http = limited && !has_element(object, "protocols", "http");
    plugin->not_https = limited && !has_element(object, "protocols", "https");
    reference(object, "service", plugin->service_id);
    reference(object, "route", plugin->route_id);
    reference(object, "consumer", plugin->consumer_id);
    plugin->config = plugin->type->compile(json_object_get(object, "config"));
    if (plugin->type->place)
        plugin->type->place(plugin->config, plugin->route_id, plugin->service_id);
    return &plugin->record;
}

struct kg_record *kg_record_new(enum kg_entity_id entity, const json_t *object, uint64_t order)
{
    struct kg_slice id = kg_json_text(json_object_get(object, "id"));
    struct kg_record *record = NULL;

    KG_ASSERT(id.len > 0 && id.len < KG_UUID_TEXT);
    if (entity == KG_SERVICES)
        record = new_service(object);
    else if (entity == KG_ROUTES)
        record = new_route(object);
    else if (entity == KG_PLUGINS)
        record = new_plugin(object);
    else if (entity == KG_UPSTREAMS)
        record = kg_upstream_record_new(object);
    else if (entity == KG_TARGETS)
        record = kg_target_record_new(object);
    else
        record = kg_certificate_record_new(entity, object);
    KG_ASSERT(record != NULL);
    memcpy(record->id, id.ptr, id.len);
    record->entity = entity;
    record->order = order;
    record->refs = 1;
    return record;
}

static void free_regexes(struct kg_route_record *route)
{
    for (size_t i = 0; i < route->regex_count; i++)
        kg_regex_free(route->regexes[i]);
}

void kg_record_release(struct kg_record *record)
{
    KG_ASSERT(record->refs > 0);
    if (--record->refs > 0)
        return;
    if (record->entity == KG_PLUGINS) {
        struct kg_plugin_record *plugin = (struct kg_plugin_record *)record;
        plugin->type->release(plugin->config);
    }
    if (record->entity == KG_SERVICES)
        kg_balancer_record_release(((struct kg_service_record *)record)->own);
    if (record->entity == KG_ROUTES)
        free_regexes((struct kg_route_record *)record);
    kg_certificate_record_clear(record);
    kg_arena_free(&record->arena);
    free(record);
}

static const void *record_id(const void *value)
{
    return ((const struct kg_record *)value)->id;
}

void kg_records_retain(void *value)
{
    ((struct kg_record *)value)->refs++;
}

void kg_records_release(void *value)
{
    kg_record_release(value);
}

const struct kg_pmap_type kg_records_by_id = { record_id, kg_pmap_hash_text, kg_pmap_same_text,
                                               kg_records_retain, kg_records_release };

static void append(void *ctx, void *value)
{
    struct kg_records *records = ctx;

    records->items[records->count++] = value;
}

static int older_first(const void *left, const void *right)
{
    const struct kg_record *a = *(struct kg_record *const *)left, *b = *(struct kg_record *const *)right;

    return (a->order > b->order) - (a->order < b->order);
}

struct kg_records kg_records_in_order(const struct kg_pmap *map)
{
    struct kg_records records = { kg_calloc(map->count, sizeof(struct kg_record *)), 0 };

    kg_pmap_each(map, append, &records);
    qsort(records.items, records.count, sizeof(*records.items), older_first);
    return records;
}
