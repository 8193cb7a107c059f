/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ip-restriction: which addresses a request may come from. What deny names is turned away, whatever allow
 * says; where allow names any, so is all else.
 */
#include "policy/policy.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/net_set.h"
#include "model/checks.h"
#include "model/json.h"

#include <errno.h>
#include <stdlib.h>

#define PRIORITY 990
/* Of an instance that is for no consumer alone: before any key is looked up. */
#define UNSCOPED_PRIORITY 3000

struct ip_restriction {
    struct kg_net_set allow, deny;
    unsigned status;
    struct kg_slice message; /* empty: the one that names the address */
};

/* ---- configuration ---- */

static const char *check_network(const json_t *value, char scratch[256])
{
    struct kg_slice text = kg_json_text(value);
    struct kg_net net;

    /* Host bits in a network are not looked at, as Kong does not. */
    if (kg_net_parse(text, &net) != -EINVAL)
        return NULL;
    return kg_check_say(scratch, KG_SLICE("invalid ip or cidr range: '"), text, KG_SLICE("'"));
}

static const struct kg_field config_fields[] = {
    { .name = "allow", .type = KG_F_STRING_SET, .check = check_network },
    { .name = "deny", .type = KG_F_STRING_SET, .check = check_network },
    { .name = "status",
      .type = KG_F_INTEGER,
      .required = true,
      .default_json = "403",
      .bounded = true,
      .min = 200,
      .max = 599 },
    { .name = "message", .type = KG_F_STRING, .max_len = KG_MESSAGE_MAX },
    { 0 },
};

/* An empty list restricts nothing: whoever gives one alone means something else. */
static void check(const json_t *config, json_t *violations)
{
    if (json_array_size(json_object_get(config, "allow")) == 0 &&
        json_array_size(json_object_get(config, "deny")) == 0)
        kg_violate(violations, NULL,
                   "at least one of these fields must be non-empty: 'config.allow', 'config.deny'");
}

static void build(struct kg_net_set *set, const json_t *list)
{
    struct kg_net *nets = kg_calloc(json_array_size(list), sizeof(*nets));
    size_t i;
    json_t *value;

    json_array_foreach(list, i, value)
    {
        int rc = kg_net_parse(kg_json_text(value), &nets[i]);
        KG_ASSERT(rc != -EINVAL);
    }
    kg_net_set_build(set, nets, json_array_size(list));
    free(nets);
}

static void *compile(const json_t *json)
{
    struct ip_restriction *config = kg_calloc(1, sizeof(*config));
    struct kg_slice message = kg_json_text(json_object_get(json, "message"));

    build(&config->allow, json_object_get(json, "allow"));
    build(&config->deny, json_object_get(json, "deny"));
    config->status = (unsigned)json_integer_value(json_object_get(json, "status"));
    config->message = kg_slice_of(kg_strndup(message.ptr, message.len), message.len);
    return config;
}

static void release(void *compiled)
{
    struct ip_restriction *config = compiled;

    kg_net_set_free(&config->allow);
    kg_net_set_free(&config->deny);
    free((char *)(uintptr_t)config->message.ptr);
    free(config);
}

/* ---- the check ---- */

static bool is_allowed(const struct ip_restriction *config, const struct kg_addr *address)
{
    if (kg_net_set_has(&config->deny, address))
        return false;
    return config->allow.count == 0 || kg_net_set_has(&config->allow, address);
}

static bool ip_restriction_access(const void *compiled, struct kg_policy_request *request)
{
    const struct ip_restriction *config = compiled;
    struct kg_writer *scratch = request->scratch;
    char address[KG_ADDR_TEXT];
    size_t start = scratch->len;

    if (is_allowed(config, request->address))
        return true;
    if (config->message.len > 0)
        return kg_policy_answer(request, config->status, config->message);
    KG_PUT(scratch, "IP address not allowed: ");
    kg_put(scratch, kg_slice_str(kg_addr_text(request->address, address)));
    return kg_policy_answer(request, config->status, kg_slice_of(scratch->buf + start, scratch->len - start));
}

const struct kg_policy kg_policy_ip_restriction = {
    .type = { .name = "ip-restriction",
              .priority = PRIORITY,
              .unscoped_priority = UNSCOPED_PRIORITY,
              .config = config_fields,
              .check = check,
              .rules_json = "[{\"at_least_one_of\":[\"config.allow\",\"config.deny\"]}]",
              .compile = compile,
              .release = release },
    .access = ip_restriction_access,
};
