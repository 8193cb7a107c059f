/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request-size-limiting: how long a request's body may be. A length that is announced is judged at once; a
 * chunked body is cut off by the proxy where it comes to be too long.
 */
#include "policy/policy.h"

#include "base/mem.h"

#include <stdlib.h>

#define PRIORITY 951

struct request_size_limiting {
    uint64_t most; /* bytes */
    bool needs_length;
};

static const char *const units[] = { "megabytes", "kilobytes", "bytes", NULL };

/* Times the largest unit it is still a number of bytes that fits. */
#define PAYLOAD_MAX ((INT64_C(1) << 43) - 1)

static const struct kg_field config_fields[] = {
    { .name = "allowed_payload_size",
      .type = KG_F_INTEGER,
      .required = true,
      .default_json = "128",
      .bounded = true,
      .min = 0,
      .max = PAYLOAD_MAX },
    { .name = "size_unit",
      .type = KG_F_STRING,
      .required = true,
      .default_json = "\"megabytes\"",
      .one_of = units },
    { .name = "require_content_length", .type = KG_F_BOOLEAN, .required = true, .default_json = "false" },
    { 0 },
};

static void *compile(const json_t *json)
{
    struct request_size_limiting *config = kg_calloc(1, sizeof(*config));
    const char *unit = json_string_value(json_object_get(json, "size_unit"));
    unsigned shift = unit[0] == 'm' ? 20 : unit[0] == 'k' ? 10 : 0;

    config->most = (uint64_t)json_integer_value(json_object_get(json, "allowed_payload_size")) << shift;
    config->needs_length = json_is_true(json_object_get(json, "require_content_length"));
    return config;
}

/* Who waits for 100 Continue is told that it will not come (RFC 9110, 10.1.1). */
static bool refuse(struct kg_policy_request *request)
{
    return kg_policy_answer(request, request->framing->expect_continue ? 417 : 413,
                            KG_SLICE("Request size limit exceeded"));
}

static bool request_size_limiting_access(const void *compiled, struct kg_policy_request *request)
{
    const struct request_size_limiting *config = compiled;
    bool chunked = request->framing->body == KG_BODY_CHUNKED;

    /* A request without either header has no body (RFC 9112, 6.3), and nothing to tell the length of. */
    if (chunked && config->needs_length)
        return kg_policy_answer(request, 411, KG_SLICE("A valid Content-Length header is required"));
    /* To the proxy a limit of 0 is none. */
    if (request->framing->length > config->most || (chunked && config->most == 0))
        return refuse(request);
    request->max_body = config->most;
    return true;
}

const struct kg_policy kg_policy_request_size_limiting = {
    .type = { .name = "request-size-limiting",
              .priority = PRIORITY,
              .config = config_fields,
              .compile = compile,
              .release = free },
    .access = request_size_limiting_access,
};
