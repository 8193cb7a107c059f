/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request-termination: an answer of the gateway's own instead of the service's, to all requests or to those
 * that carry a certain header or query argument.
 */
#include "policy/policy.h"

#include "base/mem.h"
#include "model/arena.h"
#include "model/checks.h"
#include "model/json.h"
#include "policy/echo.h"

#include <stdlib.h>

#define PRIORITY     2
#define BODY_MAX     32768
#define TYPE_MAX     256
#define DEFAULT_TYPE "application/json; charset=utf-8"

struct request_termination {
    unsigned status;
    bool echo;
    struct kg_arena arena;
    struct kg_slice message, body, body_type, trigger; /* empty: none */
};

/* ---- configuration ---- */

static const struct kg_field config_fields[] = {
    /* No 1xx: it would end no request (RFC 9110, 15.2). */
    { .name = "status_code",
      .type = KG_F_INTEGER,
      .required = true,
      .default_json = "503",
      .bounded = true,
      .min = 200,
      .max = 599 },
    { .name = "message", .type = KG_F_STRING, .max_len = KG_MESSAGE_MAX },
    { .name = "content_type", .type = KG_F_STRING, .max_len = TYPE_MAX, .check = kg_check_header_value },
    { .name = "body", .type = KG_F_STRING, .max_len = BODY_MAX },
    { .name = "echo", .type = KG_F_BOOLEAN, .required = true, .default_json = "false" },
    { .name = "trigger", .type = KG_F_STRING, .max_len = TYPE_MAX, .check = kg_check_hash_header },
    { 0 },
};

static void check(const json_t *config, json_t *violations)
{
    bool body = kg_json_given(config, "body"), type = kg_json_given(config, "content_type");
    const char *wrong = NULL;

    if (kg_json_given(config, "message") && (body || type))
        wrong = "message cannot be used with content_type or body";
    else if (type && !body)
        wrong = "content_type requires a body";
    else if (json_is_true(json_object_get(config, "echo")) && (body || type))
        wrong = "echo cannot be used with content_type and body";
    if (wrong)
        kg_violate_config(violations, NULL, wrong);
}

/* What Kong says when nothing else is said; of other statuses nothing. */
static struct kg_slice default_message(unsigned status)
{
    switch (status) {
    case 401:
        return KG_SLICE("Unauthorized");
    case 404:
        return KG_SLICE("Not found");
    case 405:
        return KG_SLICE("Method not allowed");
    case 500:
        return KG_SLICE("An unexpected error occurred");
    case 502:
        return KG_SLICE("Bad Gateway");
    case 503:
        return KG_SLICE("Service unavailable");
    default:
        return KG_SLICE("");
    }
}

static struct kg_slice take_text(struct request_termination *config, const json_t *json, const char *name)
{
    return kg_arena_copy(&config->arena, kg_json_text(json_object_get(json, name)));
}

static void *compile(const json_t *json)
{
    struct request_termination *config = kg_calloc(1, sizeof(*config));

    config->status = (unsigned)json_integer_value(json_object_get(json, "status_code"));
    config->echo = json_is_true(json_object_get(json, "echo"));
    config->message = take_text(config, json, "message");
    config->body = take_text(config, json, "body");
    config->trigger = take_text(config, json, "trigger");
    config->body_type = take_text(config, json, "content_type");
    if (config->body.len > 0 && config->body_type.len == 0)
        config->body_type = KG_SLICE(DEFAULT_TYPE);
    if (config->message.len == 0)
        config->message = default_message(config->status);
    return config;
}

static void release(void *compiled)
{
    struct request_termination *config = compiled;

    kg_arena_free(&config->arena);
    free(config);
}

/* ---- the answer ---- */

static bool carries(const struct kg_policy_request *request, struct kg_slice name)
{
    struct kg_slice value;
    bool bare;

    for (size_t i = 0; i < request->head->count; i++) {
        const struct kg_header *header = &request->head->headers[i];

        if (!header->hop && kg_slice_eq_nocase(header->name, name))
            return true;
    }
    return request->has_query && kg_query_find(request->query, name, &value, &bare) > 0;
}

static bool request_termination_access(const void *compiled, struct kg_policy_request *request)
{
    const struct request_termination *config = compiled;
    struct kg_writer *scratch = request->scratch;
    size_t start = scratch->len;

    if (config->trigger.len > 0 && !carries(request, config->trigger))
        return true;
    /* RFC 9110, 11.6.1: a 401 has a challenge. */
    if (config->status == 401)
        request->www_authenticate = KG_SLICE("Key");
    request->body = config->body;
    request->body_type = config->body_type;
    if (config->echo) {
        kg_echo_put(request, config->message, scratch);
        if (scratch->overflow)
            return kg_policy_fail(request);
        request->body = kg_slice_of(scratch->buf + start, scratch->len - start);
        request->body_type = KG_SLICE(DEFAULT_TYPE);
    }
    return kg_policy_answer(request, config->status, config->message);
}

const struct kg_policy kg_policy_request_termination = {
    .type = { .name = "request-termination",
              .priority = PRIORITY,
              .config = config_fields,
              .check = check,
              .compile = compile,
              .release = release },
    .access = request_termination_access,
};
