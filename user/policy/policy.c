/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/policy.h"

static const struct kg_policy *const policies[] = { &kg_policy_key_auth };

void kg_policies_register(void)
{
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
        kg_plugin_register(&policies[i]->type);
}

bool kg_policy_answer(struct kg_policy_request *request, unsigned status, struct kg_slice message)
{
    request->status = status;
    request->message = message;
    return false;
}

bool kg_policy_fail(struct kg_policy_request *request)
{
    return kg_policy_answer(request, 500, KG_SLICE("An unexpected error occurred"));
}

bool kg_policies_run(struct kg_policy_request *request)
{
    const struct kg_route *route = request->route;

    for (size_t i = 0; i < route->plugin_count; i++) {
        const struct kg_plugin_use *use = &route->plugins[i];
        const struct kg_policy *policy = (const struct kg_policy *)use->type;

        if (!kg_plugin_use_applies(use, request->https) || policy->access(use->config, request))
            continue;
        request->answered = use;
        return false;
    }
    return true;
}

bool kg_policies_keep_secret(const struct kg_route *route, struct kg_slice name)
{
    for (size_t i = 0; i < route->plugin_count; i++) {
        const struct kg_policy *policy = (const struct kg_policy *)route->plugins[i].type;

        if (policy->is_secret && policy->is_secret(route->plugins[i].config, name))
            return true;
    }
    return false;
}
