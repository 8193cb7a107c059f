/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acl: which consumers may use a route, by the groups that they are in. It asks for nobody's credential
 * itself: another plugin says who it is.
 */
#include "policy/policy.h"

#include "base/mem.h"
#include "model/checks.h"
#include "model/json.h"
#include "model/words.h"

#include <stdlib.h>

#define PRIORITY 950

struct acl {
    struct kg_arena arena;
    struct kg_words groups;
    bool deny; /* …those in one of the groups; else all others */
    bool hide_groups;
};

/* ---- configuration ---- */

static const struct kg_field config_fields[] = {
    { .name = "allow", .type = KG_F_STRING_SET, .check = kg_check_identity },
    { .name = "deny", .type = KG_F_STRING_SET, .check = kg_check_identity },
    { .name = "hide_groups_header", .type = KG_F_BOOLEAN, .required = true, .default_json = "false" },
    /* Taken and without effect: there are no groups here but those of the entity acls, and so none that it
     * could put before them. */
    { .name = "always_use_authenticated_groups",
      .type = KG_F_BOOLEAN,
      .required = true,
      .default_json = "false" },
    { 0 },
};

static void check(const json_t *config, json_t *violations)
{
    size_t allowed = json_array_size(json_object_get(config, "allow")),
           denied = json_array_size(json_object_get(config, "deny"));

    if ((allowed > 0) == (denied > 0))
        kg_violate(violations, NULL,
                   "exactly one of these fields must be non-empty: 'config.allow', 'config.deny'");
}

static void *compile(const json_t *json)
{
    struct acl *config = kg_calloc(1, sizeof(*config));
    const json_t *list = json_object_get(json, "deny");
    struct kg_slice *names;
    json_t *value;
    size_t i;

    config->deny = json_array_size(list) > 0;
    config->hide_groups = json_is_true(json_object_get(json, "hide_groups_header"));
    if (!config->deny)
        list = json_object_get(json, "allow");
    names = kg_arena_calloc(&config->arena, json_array_size(list), sizeof(*names));
    json_array_foreach(list, i, value) names[i] = kg_json_text(value);
    kg_words_build(&config->groups, &config->arena, names, json_array_size(list));
    return config;
}

static void release(void *compiled)
{
    struct acl *config = compiled;

    kg_arena_free(&config->arena);
    free(config);
}

/* ---- the check ---- */

static bool is_in_one_of(const struct kg_consumer_groups *own, const struct kg_words *groups)
{
    for (size_t i = 0; own && i < own->count; i++) {
        if (kg_words_find(groups, own->names[i]) != KG_NO_WORD)
            return true;
    }
    return false;
}

static void tell_groups(const struct kg_consumer_groups *own, struct kg_writer *to_upstream)
{
    KG_PUT(to_upstream, "X-Consumer-Groups: ");
    kg_put(to_upstream, own->list);
    KG_PUT(to_upstream, "\r\n");
}

static bool acl_access(const void *compiled, struct kg_policy_request *request)
{
    const struct acl *config = compiled;
    const struct kg_consumer *consumer = request->principal.consumer;
    const struct kg_consumer_groups *own;

    if (!consumer) {
        /* A 401 must say how to do better (RFC 9110, 11.6.1): which plugin would ask is not known here. */
        request->www_authenticate = KG_SLICE("Key");
        return kg_policy_answer(request, 401, KG_SLICE("Unauthorized"));
    }
    own = kg_snapshot_groups(request->snapshot, consumer);
    if (is_in_one_of(own, &config->groups) == config->deny)
        return kg_policy_answer(request, 403, KG_SLICE("You cannot consume this service"));
    if (own && !config->hide_groups)
        tell_groups(own, &request->to_upstream);
    return true;
}

const struct kg_policy kg_policy_acl = {
    .type = { .name = "acl",
              .priority = PRIORITY,
              .config = config_fields,
              .no_consumer = true,
              .check = check,
              .rules_json = "[{\"only_one_of\":[\"config.allow\",\"config.deny\"]},"
                            "{\"at_least_one_of\":[\"config.allow\",\"config.deny\"]}]",
              .compile = compile,
              .release = release },
    .access = acl_access,
};
