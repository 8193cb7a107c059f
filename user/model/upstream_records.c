/* SPDX-License-Identifier: BSD-2-Clause */
/* Upstreams and targets as the model keeps them, taken out of their JSON. */
#include "model/records.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/writer.h"
#include "model/json.h"

#include <stdlib.h>

static struct kg_slice text(struct kg_record *record, const json_t *object, const char *name)
{
    return kg_arena_copy(&record->arena, kg_json_text(json_object_get(object, name)));
}

static uint32_t count_of(const json_t *object, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(object, name));

    return value > 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
}

static uint32_t round_up(double value)
{
    uint32_t whole = (uint32_t)value;

    return whole + (whole < value);
}

/* Seconds, perhaps with a fraction, as milliseconds; what is more than nothing stays so. */
static uint32_t milliseconds(const json_t *object, const char *name)
{
    return round_up(json_number_value(json_object_get(object, name)) * 1000);
}

static enum kg_algorithm algorithm_of(const json_t *object)
{
    struct kg_slice name = kg_json_text(json_object_get(object, "algorithm"));

    if (kg_slice_eq(name, KG_SLICE("least-connections")))
        return KG_LEAST_CONNECTIONS;
    return kg_slice_eq(name, KG_SLICE("consistent-hashing")) ? KG_CONSISTENT_HASHING : KG_ROUND_ROBIN;
}

static struct kg_hash_rule hash_rule(struct kg_record *record, const json_t *object, const char *field,
                                     const char *header, const char *query_arg)
{
    static const struct {
        const char *name;
        enum kg_hash_kind kind;
    } kinds[] = {
        { "consumer", KG_HASH_CONSUMER }, { "ip", KG_HASH_IP },     { "header", KG_HASH_HEADER },
        { "cookie", KG_HASH_COOKIE },     { "path", KG_HASH_PATH }, { "query_arg", KG_HASH_QUERY_ARG },
    };
    struct kg_slice name = kg_json_text(json_object_get(object, field));
    struct kg_hash_rule rule = { KG_HASH_NONE, { "", 0 } };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kg_slice_eq(name, kg_slice_str(kinds[i].name)))
            rule.kind = kinds[i].kind;
    }
    if (rule.kind == KG_HASH_HEADER)
        rule.name = text(record, object, header);
    if (rule.kind == KG_HASH_COOKIE)
        rule.name = text(record, object, "hash_on_cookie");
    if (rule.kind == KG_HASH_QUERY_ARG)
        rule.name = text(record, object, query_arg);
    return rule;
}

static void set_statuses(uint64_t set[15], const json_t *statuses)
{
    json_t *value;
    size_t i;

    json_array_foreach(statuses, i, value)
    {
        json_int_t status = json_integer_value(value);

        if (status >= 100 && status < 1000)
            set[(status - 100) / 64] |= (uint64_t)1 << (status - 100) % 64;
    }
}

static struct kg_health_rules health_rules(const json_t *checks)
{
    const json_t *healthy = json_object_get(checks, "healthy");
    const json_t *unhealthy = json_object_get(checks, "unhealthy");
    struct kg_health_rules rules = {
        .tcp_only = kg_slice_eq(kg_json_text(json_object_get(checks, "type")), KG_SLICE("tcp")),
        .successes = count_of(healthy, "successes"),
        .http_failures = count_of(unhealthy, "http_failures"),
        .tcp_failures = count_of(unhealthy, "tcp_failures"),
        .timeouts = count_of(unhealthy, "timeouts"),
    };

    set_statuses(rules.healthy_statuses, json_object_get(healthy, "http_statuses"));
    set_statuses(rules.unhealthy_statuses, json_object_get(unhealthy, "http_statuses"));
    return rules;
}

/* Name and value of a header as a line, once for each value. With w NULL only the length is counted. */
static size_t put_headers(struct kg_writer *w, const json_t *headers)
{
    const char *name;
    json_t *values, *value;
    size_t len = 0, i;

    json_object_foreach((json_t *)(uintptr_t)headers, name, values)
    {
        json_array_foreach(values, i, value)
        {
            len += strlen(name) + json_string_length(value) + sizeof(": \r\n") - 1;
            if (!w)
                continue;
            kg_put(w, kg_slice_str(name));
            KG_PUT(w, ": ");
            kg_put(w, kg_json_text(value));
            KG_PUT(w, "\r\n");
        }
    }
    return len;
}

static struct kg_slice header_lines(struct kg_record *record, const json_t *headers)
{
    size_t len = put_headers(NULL, headers);
    struct kg_writer w = kg_writer_of(kg_arena_calloc(&record->arena, len + 1, 1), len);

    put_headers(&w, headers);
    KG_ASSERT(!w.overflow);
    return kg_writer_slice(&w);
}

static struct kg_probe probe_of(struct kg_record *record, const json_t *active)
{
    struct kg_probe probe = {
        .https = kg_slice_eq(kg_json_text(json_object_get(active, "type")), KG_SLICE("https")),
        .https_verify = !json_is_false(json_object_get(active, "https_verify_certificate")),
        .path = text(record, active, "http_path"),
        .sni = text(record, active, "https_sni"),
        .headers = header_lines(record, json_object_get(active, "headers")),
        .timeout_ms = milliseconds(active, "timeout"),
        .concurrency = count_of(active, "concurrency"),
        .healthy_interval_ms = milliseconds(json_object_get(active, "healthy"), "interval"),
        .unhealthy_interval_ms = milliseconds(json_object_get(active, "unhealthy"), "interval"),
    };

    if (probe.timeout_ms == 0)
        probe.timeout_ms = 1;
    return probe;
}

struct kg_record *kg_upstream_record_new(const json_t *object)
{
    struct kg_upstream_record *upstream = kg_calloc(1, sizeof(*upstream));
    struct kg_record *record = &upstream->record;
    struct kg_balancer *rules = &upstream->rules;
    const json_t *checks = json_object_get(object, "healthchecks"),
                 *active = json_object_get(checks, "active");
    struct kg_slice id = kg_json_text(json_object_get(object, "id"));

    KG_ASSERT(id.len > 0 && id.len < sizeof(rules->id));
    memcpy(rules->id, id.ptr, id.len);
    rules->name = text(record, object, "name");
    upstream->lower_name = kg_arena_lower(&record->arena, rules->name);
    upstream->slots = count_of(object, "slots");
    rules->hash_on = hash_rule(record, object, "hash_on", "hash_on_header", "hash_on_query_arg");
    rules->hash_fallback =
        hash_rule(record, object, "hash_fallback", "hash_fallback_header", "hash_fallback_query_arg");
    rules->algorithm = algorithm_of(object);
    /* To hash on nothing is to take turns. */
    if (rules->algorithm == KG_CONSISTENT_HASHING && rules->hash_on.kind == KG_HASH_NONE)
        rules->algorithm = KG_ROUND_ROBIN;
    rules->cookie_path = text(record, object, "hash_on_cookie_path");
    rules->host_header = text(record, object, "host_header");
    rules->threshold = round_up(json_number_value(json_object_get(checks, "threshold")));
    rules->active = health_rules(active);
    rules->passive = health_rules(json_object_get(checks, "passive"));
    rules->probe = probe_of(record, active);
    return record;
}

/* The port behind the last colon: the target has passed the schema, which writes it always. */
struct kg_record *kg_target_record_new(const json_t *object)
{
    struct kg_target_record *target = kg_calloc(1, sizeof(*target));
    struct kg_slice whole = kg_json_text(json_object_get(object, "target"));
    struct kg_slice id = kg_json_text(json_object_get(json_object_get(object, "upstream"), "id"));
    const char *colon = whole.len > 0 ? memrchr(whole.ptr, ':', whole.len) : NULL;
    uint64_t port = 0;

    KG_ASSERT(colon && id.len > 0 && id.len < sizeof(target->upstream_id));
    memcpy(target->upstream_id, id.ptr, id.len);
    size_t len = (size_t)(colon - whole.ptr);
    KG_ASSERT(kg_slice_u64(kg_slice_of(colon + 1, whole.len - len - 1), &port) == 0 && port <= UINT16_MAX);
    target->host = kg_arena_copy(&target->record.arena, kg_slice_of(whole.ptr, len));
    target->port = (uint16_t)port;
    target->weight = count_of(object, "weight");
    return &target->record;
}
