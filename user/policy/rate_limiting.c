/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rate-limiting: how many requests somebody may make in each second, minute, hour, day, month and year. All
 * windows are looked at first; a request that is within every limit is then counted in all of them, and where
 * another one was faster in between, in none.
 */
#include "policy/policy.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/siphash.h"
#include "model/checks.h"
#include "model/json.h"
#include "policy/counters.h"

#include <stdio.h>
#include <stdlib.h>

#define PRIORITY  910
#define LIMIT_MAX 9007199254740991 /* 2^53 - 1: beyond, a number in JSON is no longer exact */
#define LINES_MAX 256 /* bytes that one limit's header lines take, without the numbers of a request */

enum limit_by { BY_CONSUMER, BY_CREDENTIAL, BY_IP, BY_SERVICE, BY_HEADER, BY_PATH };

static const struct {
    const char *name, *header; /* in the config, and in headers */
} periods[KG_PERIODS] = {
    [KG_SECOND] = { "second", "Second" }, [KG_MINUTE] = { "minute", "Minute" },
    [KG_HOUR] = { "hour", "Hour" },       [KG_DAY] = { "day", "Day" },
    [KG_MONTH] = { "month", "Month" },    [KG_YEAR] = { "year", "Year" },
};

struct limit {
    enum kg_period period;
    uint64_t most;
    /* Header lines up to where this request's number stands: of the window, and of the least that remains. */
    struct kg_slice lines, least_lines;
};

struct rate_limiting {
    struct limit limits[KG_PERIODS]; /* the shorter first */
    size_t count;
    enum limit_by by;
    struct kg_slice header_name, path, message;
    unsigned status;
    bool fault_tolerant, hide_headers;
    uint64_t scope[2]; /* stands for the instance's route and service */
    char *text;        /* what all slices point into */
};

/* ---- configuration ---- */

static const char *check_limit(const json_t *value, char scratch[256])
{
    double most = json_number_value(value);

    if (most <= 0)
        return "value must be greater than 0";
    if (most <= (double)LIMIT_MAX)
        return NULL;
    snprintf(scratch, 256, "value must be at most %lld", (long long)LIMIT_MAX);
    return scratch;
}

static const char *check_policy(const json_t *value, char scratch[256])
{
    struct kg_slice policy = kg_json_text(value);

    if (kg_slice_eq(policy, KG_SLICE("local")))
        return NULL;
    if (kg_slice_eq(policy, KG_SLICE("redis")) || kg_slice_eq(policy, KG_SLICE("cluster")))
        return kg_check_say(scratch, KG_SLICE("keygate does not have policy '"), policy,
                            KG_SLICE("': it counts in its own memory, for all its workers together (local)"));
    return "expected one of: local";
}

/* A path as requests are compared with it. */
static const char *check_path(const json_t *value, char scratch[256])
{
    if (kg_json_text(value).ptr[0] != '/')
        return "should start with: /";
    return kg_check_route_path(value, scratch);
}

static const char *const limit_by_names[] = { "consumer", "credential", "ip", "service",
                                              "header",   "path",       NULL };

/* clang-format off */
static const struct kg_field redis_fields[] = {
    { .name = "host", .type = KG_F_STRING },
    { .name = "port", .type = KG_F_INTEGER, .default_json = "6379" },
    { .name = "timeout", .type = KG_F_INTEGER, .default_json = "2000" },
    { .name = "username", .type = KG_F_STRING },
    { .name = "password", .type = KG_F_STRING },
    { .name = "database", .type = KG_F_INTEGER, .default_json = "0" },
    { .name = "ssl", .type = KG_F_BOOLEAN, .default_json = "false" },
    { .name = "ssl_verify", .type = KG_F_BOOLEAN, .default_json = "false" },
    { .name = "server_name", .type = KG_F_STRING },
    { 0 },
};

static const struct kg_field config_fields[] = {
    { .name = "second", .type = KG_F_NUMBER, .check = check_limit },
    { .name = "minute", .type = KG_F_NUMBER, .check = check_limit },
    { .name = "hour", .type = KG_F_NUMBER, .check = check_limit },
    { .name = "day", .type = KG_F_NUMBER, .check = check_limit },
    { .name = "month", .type = KG_F_NUMBER, .check = check_limit },
    { .name = "year", .type = KG_F_NUMBER, .check = check_limit },
    { .name = "limit_by", .type = KG_F_STRING, .required = true, .default_json = "\"consumer\"", .one_of = limit_by_names },
    { .name = "header_name", .type = KG_F_STRING, .check = kg_check_hash_header },
    { .name = "path", .type = KG_F_STRING, .check = check_path },
    { .name = "policy", .type = KG_F_STRING, .required = true, .default_json = "\"local\"", .check = check_policy },
    { .name = "fault_tolerant", .type = KG_F_BOOLEAN, .required = true, .default_json = "true" },
    { .name = "redis", .type = KG_F_RECORD, .fields = redis_fields },
    { .name = "hide_client_headers", .type = KG_F_BOOLEAN, .required = true, .default_json = "false" },
    { .name = "error_code", .type = KG_F_INTEGER, .required = true, .default_json = "429", .bounded = true, .min = 400, .max = 599 },
    { .name = "error_message", .type = KG_F_STRING, .required = true, .default_json = "\"API rate limit exceeded\"", .max_len = KG_MESSAGE_MAX, .check = kg_check_line },
    { .name = "sync_rate", .type = KG_F_NUMBER, .required = true, .default_json = "-1" },
    { 0 },
};
/* clang-format on */

static const char limits_rule[] = "[{\"at_least_one_of\":[\"config.second\",\"config.minute\",\"config."
                                  "hour\",\"config.day\",\"config.month\","
                                  "\"config.year\"]}]";

/* The first limit of a window that is smaller than that of a shorter one. */
static void check_order(const json_t *config, json_t *violations)
{
    char text[160];

    for (int i = 0; i < KG_PERIODS; i++) {
        const json_t *shorter = json_object_get(config, periods[i].name);

        for (int j = i + 1; json_is_number(shorter) && j < KG_PERIODS; j++) {
            const json_t *longer = json_object_get(config, periods[j].name);

            if (!json_is_number(longer) || json_number_value(longer) >= json_number_value(shorter))
                continue;
            snprintf(text, sizeof(text), "The limit for %s(%.1f) cannot be lower than the limit for %s(%.1f)",
                     periods[j].name, json_number_value(longer), periods[i].name, json_number_value(shorter));
            kg_violate(violations, "config", text);
            return;
        }
    }
}

static void check_needed(const json_t *config, json_t *violations, const char *by, const char *field)
{
    if (strcmp(json_string_value(json_object_get(config, "limit_by")), by) == 0 &&
        !kg_json_given(config, field))
        kg_violate_config(violations, field, "required field missing");
}

/* Kong's own defaults, which say nothing, are in every file that decK writes. */
static void check_redis(const json_t *redis, json_t *violations)
{
    char scratch[256];

    for (const struct kg_field *field = redis_fields; json_is_object(redis) && field->name; field++) {
        json_t *usual =
            field->default_json ? json_loads(field->default_json, JSON_DECODE_ANY, NULL) : json_null();

        if (!json_equal(json_object_get(redis, field->name), usual))
            kg_violate_config(violations, "redis",
                              kg_check_say(scratch, KG_SLICE("keygate does not keep counters in Redis: '"),
                                           kg_slice_str(field->name), KG_SLICE("' has no use here")));
        json_decref(usual);
    }
}

static void check(const json_t *config, json_t *violations)
{
    size_t given = 0;

    for (int i = 0; i < KG_PERIODS; i++)
        given += kg_json_given(config, periods[i].name);
    if (given == 0)
        kg_violate(violations, NULL,
                   "at least one of these fields must be non-empty: 'config.second', 'config.minute', "
                   "'config.hour', 'config.day', 'config.month', 'config.year'");
    check_needed(config, violations, "header", "header_name");
    check_needed(config, violations, "path", "path");
    check_redis(json_object_get(config, "redis"), violations);
    if (json_number_value(json_object_get(config, "sync_rate")) != -1)
        kg_violate(violations, "config", "sync_rate can only be used with the redis policy");
    check_order(config, violations);
}

static struct kg_slice put_copy(struct kg_writer *w, struct kg_slice text)
{
    size_t start = w->len;

    kg_put(w, text);
    return kg_slice_of(w->buf + start, text.len);
}

/* A fraction lets one more request through: there are no parts of requests. */
static uint64_t whole(double most)
{
    uint64_t below = (uint64_t)most;

    return below + ((double)below < most);
}

static void add_limit(struct rate_limiting *config, enum kg_period period, double most, struct kg_writer *w)
{
    struct limit *limit = &config->limits[config->count++];
    struct kg_slice name = kg_slice_str(periods[period].header);
    size_t start = w->len;

    limit->period = period;
    limit->most = whole(most);
    KG_PUT(w, "X-RateLimit-Limit-");
    kg_put(w, name);
    KG_PUT(w, ": ");
    kg_put_u64(w, limit->most);
    KG_PUT(w, "\r\nX-RateLimit-Remaining-");
    kg_put(w, name);
    KG_PUT(w, ": ");
    limit->lines = kg_slice_of(w->buf + start, w->len - start);
    start = w->len;
    KG_PUT(w, "RateLimit-Limit: ");
    kg_put_u64(w, limit->most);
    KG_PUT(w, "\r\nRateLimit-Remaining: ");
    limit->least_lines = kg_slice_of(w->buf + start, w->len - start);
}

static enum limit_by limit_by_of(const json_t *value)
{
    int by = BY_CONSUMER;

    while (strcmp(limit_by_names[by], json_string_value(value)) != 0)
        by++;
    return (enum limit_by)by;
}

static void *compile(const json_t *json)
{
    struct rate_limiting *config = kg_calloc(1, sizeof(*config));
    struct kg_slice header = kg_json_text(json_object_get(json, "header_name")),
                    path = kg_json_text(json_object_get(json, "path")),
                    message = kg_json_text(json_object_get(json, "error_message"));
    size_t room = KG_PERIODS * LINES_MAX + header.len + path.len + message.len;

    config->by = limit_by_of(json_object_get(json, "limit_by"));
    config->status = (unsigned)json_integer_value(json_object_get(json, "error_code"));
    config->fault_tolerant = json_is_true(json_object_get(json, "fault_tolerant"));
    config->hide_headers = json_is_true(json_object_get(json, "hide_client_headers"));
    config->text = kg_calloc(room, 1);
    struct kg_writer w = kg_writer_of(config->text, room);
    config->header_name = put_copy(&w, header);
    config->path = put_copy(&w, path);
    config->message = put_copy(&w, message);
    for (int i = 0; i < KG_PERIODS; i++) {
        const json_t *most = json_object_get(json, periods[i].name);

        if (json_is_number(most))
            add_limit(config, (enum kg_period)i, json_number_value(most), &w);
    }
    KG_ASSERT(!w.overflow);
    return config;
}

static void place(void *compiled, const char *route_id, const char *service_id)
{
    static const struct kg_siphash_key none; /* nobody but who writes the configuration chooses ids */
    struct rate_limiting *config = compiled;
    char text[2 * KG_UUID_TEXT];
    struct kg_writer w = kg_writer_of(text, sizeof(text));

    kg_put(&w, kg_slice_str(route_id));
    kg_put_char(&w, ' ');
    kg_put(&w, kg_slice_str(service_id));
    kg_siphash(&none, KG_SLICE(""), kg_writer_slice(&w), config->scope);
}

static void release(void *compiled)
{
    struct rate_limiting *config = compiled;

    free(config->text);
    free(config);
}

/* ---- whose request it is ---- */

/* The first value; a header that is hop-by-hop or that another policy has hidden is not there. */
static bool find_header(const struct kg_head *head, struct kg_slice name, struct kg_slice *value)
{
    for (size_t i = 0; i < head->count; i++) {
        const struct kg_header *header = &head->headers[i];

        if (header->hop || !kg_slice_eq_nocase(header->name, name))
            continue;
        *value = kg_slice_trim(header->value);
        return true;
    }
    return false;
}

/* What the config asks for, or, where the request has no such thing, the next best; last the address. */
static enum limit_by identify(const struct rate_limiting *config, const struct kg_policy_request *request,
                              struct kg_slice *who)
{
    const struct kg_principal *principal = &request->principal;
    const struct kg_service *service = request->route->service;

    if (config->by == BY_CONSUMER && principal->consumer) {
        *who = kg_slice_of(principal->consumer->id, KG_UUID_TEXT - 1);
        return BY_CONSUMER;
    }
    if ((config->by == BY_CONSUMER || config->by == BY_CREDENTIAL) && principal->credential_id.len > 0) {
        *who = principal->credential_id;
        return BY_CREDENTIAL;
    }
    if (config->by == BY_SERVICE && service) {
        *who = kg_slice_of(service->id, KG_UUID_TEXT - 1);
        return BY_SERVICE;
    }
    if (config->by == BY_HEADER && find_header(request->head, config->header_name, who))
        return BY_HEADER;
    if (config->by == BY_PATH && kg_slice_eq(request->path, config->path)) {
        *who = request->path;
        return BY_PATH;
    }
    return BY_IP;
}

/* The kind is part of the name: nobody can use up an address's requests by a header that spells it. */
static struct kg_counter_name name_counter(const struct rate_limiting *config,
                                           const struct kg_policy_request *request)
{
    struct kg_addr source; /* as long as `who` */
    struct kg_slice who;
    enum limit_by by = identify(config, request, &who);
    uint64_t scope[3] = { config->scope[0], config->scope[1], (uint64_t)by };

    if (by == BY_IP) {
        source = kg_addr_source(request->address);
        who = kg_slice_of((const char *)&source, sizeof(source));
    }
    return kg_counters_name(request->counters, kg_slice_of((const char *)scope, sizeof(scope)), who,
                            by == BY_IP || by == BY_HEADER);
}

/* ---- counting it ---- */

/* How one limit stands. */
struct standing {
    const struct limit *limit;
    struct kg_counter counter;
    uint64_t used; /* with this request, if it is counted */
};

struct standings {
    struct standing of[KG_PERIODS];
    size_t count; /* without those whose counter has no place */
    bool exceeded;
};

/* False when there is no place for one of the counters. */
static bool look_up(const struct rate_limiting *config, const struct kg_policy_request *request,
                    const struct kg_counter_name *name, struct standings *standings)
{
    bool all = true;

    *standings = (struct standings){ 0 };
    for (size_t i = 0; i < config->count; i++) {
        struct standing *standing = &standings->of[standings->count];
        enum kg_period period = config->limits[i].period;

        standing->limit = &config->limits[i];
        if (request->rehearsal) {
            kg_counters_peek(request->counters, name, period, request->now_wall, &standing->counter);
        } else if (!kg_counters_get(request->counters, name, period, request->now_wall, &standing->counter)) {
            all = false;
            continue;
        }
        standing->used = kg_counter_value(&standing->counter);
        standings->exceeded |= standing->used >= standing->limit->most;
        standings->count++;
    }
    return all;
}

/* In all windows or in none. False when one of them has ended meanwhile: then from the beginning. */
static bool count_everywhere(struct standings *standings, bool rehearsal)
{
    for (size_t i = 0; rehearsal && i < standings->count; i++)
        standings->of[i].used++;
    if (rehearsal)
        return true;
    for (size_t i = 0; i < standings->count; i++) {
        struct standing *standing = &standings->of[i];
        enum kg_counted counted = kg_counter_add(&standing->counter, standing->limit->most, &standing->used);

        if (counted == KG_COUNTED)
            continue;
        while (i-- > 0) {
            kg_counter_give_back(&standings->of[i].counter);
            standings->of[i].used--;
        }
        standings->exceeded = true;
        return counted != KG_ENDED;
    }
    return true;
}

/* ---- telling the client ---- */

static uint64_t remaining(const struct standing *standing)
{
    return standing->used < standing->limit->most ? standing->limit->most - standing->used : 0;
}

static void put_headers(const struct standings *standings, int64_t now_wall, struct kg_writer *out)
{
    const struct standing *least = &standings->of[0];

    for (size_t i = 0; i < standings->count; i++) {
        const struct standing *standing = &standings->of[i];

        kg_put(out, standing->limit->lines);
        kg_put_u64(out, remaining(standing));
        KG_PUT(out, "\r\n");
        if (remaining(standing) <= remaining(least))
            least = standing;
    }
    int64_t left = kg_window_of(least->limit->period, now_wall).end - now_wall;
    uint64_t reset = left > 1 ? (uint64_t)left : 1;

    kg_put(out, least->limit->least_lines);
    kg_put_u64(out, remaining(least));
    KG_PUT(out, "\r\nRateLimit-Reset: ");
    kg_put_u64(out, reset);
    if (standings->exceeded) {
        KG_PUT(out, "\r\nRetry-After: ");
        kg_put_u64(out, reset);
    }
    KG_PUT(out, "\r\n");
}

static bool rate_limiting_access(const void *compiled, struct kg_policy_request *request)
{
    const struct rate_limiting *config = compiled;
    struct kg_counter_name name = name_counter(config, request);
    struct standings standings;

    do {
        if (!look_up(config, request, &name, &standings) && !config->fault_tolerant)
            return kg_policy_fail(request);
    } while (!standings.exceeded && !count_everywhere(&standings, request->rehearsal));
    if (standings.count == 0)
        return true;
    if (!config->hide_headers)
        put_headers(&standings, request->now_wall, &request->to_client);
    if (!standings.exceeded)
        return true;
    request->limited = true;
    return kg_policy_answer(request, config->status, config->message);
}

const struct kg_policy kg_policy_rate_limiting = {
    .type = { .name = "rate-limiting",
              .priority = PRIORITY,
              .config = config_fields,
              .check = check,
              .rules_json = limits_rule,
              .compile = compile,
              .place = place,
              .release = release },
    .access = rate_limiting_access,
};
