/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/policy.h"

#include "base/assert.h"

static const struct kg_policy *const policies[] = {
    &kg_policy_acl,
    &kg_policy_correlation_id,
    &kg_policy_ip_restriction,
    &kg_policy_jwt,
    &kg_policy_key_auth,
    &kg_policy_rate_limiting,
    &kg_policy_request_size_limiting,
    &kg_policy_request_termination,
};

void kg_policies_register(void)
{
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
        kg_plugin_register(&policies[i]->type);
}

bool kg_policy_answer(struct kg_policy_request *request, unsigned status, struct kg_slice message)
{
    request->status = status;
    request->reason = KG_REASON_OTHER;
    request->message = message;
    return false;
}

bool kg_policy_fail(struct kg_policy_request *request)
{
    /* Nothing of an answer that another policy has given already. */
    request->reason = KG_REASON_OTHER;
    request->body = request->body_type = request->www_authenticate = KG_SLICE("");
    return kg_policy_answer(request, 500, KG_SLICE("An unexpected error occurred"));
}

void kg_policy_signal(struct kg_policy_request *request, enum kg_signal_kind kind)
{
    if (request->has_signal && kind == KG_SIGNAL_MISSING_KEY)
        return;
    request->has_signal = true;
    request->signal = kind;
}

bool kg_policy_go_anonymous(struct kg_policy_request *request, struct kg_slice name)
{
    const struct kg_consumer *consumer = kg_snapshot_consumer(request->snapshot, name);

    request->www_authenticate = KG_SLICE("");
    request->has_signal = request->has_signal && request->signal != KG_SIGNAL_MISSING_KEY;
    if (!consumer) {
        struct kg_writer *scratch = request->scratch;
        size_t start = scratch->len;

        KG_PUT(scratch, "anonymous consumer ");
        kg_put(scratch, name);
        KG_PUT(scratch, " is configured but doesn't exist");
        return kg_policy_answer(request, 500, kg_slice_of(scratch->buf + start, scratch->len - start));
    }
    request->status = 0;
    request->message = KG_SLICE("");
    request->principal = (struct kg_principal){ .consumer = consumer, .anonymous = true };
    return true;
}

/* ---- in which order they run ---- */

/* Through a route's instances and its consumer's, both sorted, as one. */
struct walk {
    const struct kg_policy_request *request;
    size_t at; /* the route's next */
    const struct kg_consumer *consumer;
    const struct kg_consumer_plugins *own; /* the consumer's; NULL: none */
    size_t own_at;
    const struct kg_plugin_use *last; /* that ran, or might have */
};

static bool is_for(const char *scope, const char *id)
{
    return scope[0] == '\0' || strcmp(scope, id) == 0;
}

/* The consumer's next instance that is for this route, or NULL. */
static const struct kg_plugin_use *next_own(struct walk *walk)
{
    const struct kg_route *route = walk->request->route;
    const char *service_id = route->service ? route->service->id : "";

    for (; walk->own && walk->own_at < walk->own->count; walk->own_at++) {
        const struct kg_scoped_use *own = &walk->own->uses[walk->own_at];

        if (walk->last && kg_plugin_use_order(&own->use, walk->last) <= 0)
            continue;
        if (is_for(own->route_id, route->id) && is_for(own->service_id, service_id))
            return &own->use;
    }
    return NULL;
}

/* Who it is may have become known, or another one: what would have run before does so no more. */
static void meet_consumer(struct walk *walk)
{
    const struct kg_consumer *consumer = walk->request->principal.consumer;

    if (walk->consumer == consumer)
        return;
    walk->consumer = consumer;
    walk->own = consumer ? kg_snapshot_consumer_plugins(walk->request->snapshot, consumer) : NULL;
    walk->own_at = 0;
}

static const struct kg_plugin_use *next(struct walk *walk)
{
    const struct kg_route *route = walk->request->route;
    const struct kg_plugin_use *use = walk->at < route->plugin_count ? &route->plugins[walk->at] : NULL;

    meet_consumer(walk);
    const struct kg_plugin_use *own = next_own(walk);
    int order = use && own ? kg_plugin_use_order(use, own) : 0;
    bool own_first = own && (!use || order > 0 || (order == 0 && own->rank > use->rank));
    if (use && (!own_first || order == 0))
        walk->at++;
    if (own_first)
        use = own;
    walk->last = use;
    return use;
}

static void note_turn(struct kg_policy_turns *turns, const struct kg_plugin_use *use)
{
    KG_ASSERT(turns->count < KG_TURNS_MAX);
    turns->uses[turns->count++] = use;
}

bool kg_policies_run(struct kg_policy_request *request)
{
    struct walk walk = { .request = request };
    const struct kg_plugin_use *use;

    while ((use = next(&walk))) {
        const struct kg_policy *policy = (const struct kg_policy *)use->type;

        if (request->turns)
            note_turn(request->turns, use);
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
