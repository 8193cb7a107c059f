/* SPDX-License-Identifier: BSD-2-Clause */
/* For /explain: which plugin instances have to do with a request, and what became of each. */
#include "admin/explain.h"

#include "base/mem.h"
#include "model/candidates.h"

#include <stdlib.h>

struct shown {
    struct kg_plugin_instance instance;
    const char *state;
    const char *overridden_by; /* id, or NULL */
    size_t place;              /* among those that had their turn; NO_PLACE: none */
};
#define NO_PLACE SIZE_MAX

struct show {
    const struct kg_rehearsed *rehearsed;
    struct shown *items;
    size_t count, room, left_out;
};

static void take_instance(void *ctx, const struct kg_plugin_instance *instance)
{
    struct show *show = ctx;

    if (show->count == KG_EXPLAIN_PLUGINS_MAX) {
        show->left_out++;
        return;
    }
    if (show->count == show->room) {
        show->room = show->room ? show->room * 2 : 32;
        show->items = kg_realloc(show->items, show->room, sizeof(*show->items));
    }
    show->items[show->count++] = (struct shown){ .instance = *instance, .place = NO_PLACE };
}

/* Of two that are for the same turn only one has it. */
static bool same_turn(const struct kg_plugin_instance *instance, const struct kg_plugin_type *type,
                      int priority)
{
    return instance->type == type && instance->priority == priority;
}

/* Who had the turn that this one is for, or NULL. */
static const struct kg_plugin_use *find_turn(const struct kg_policy_turns *turns,
                                             const struct kg_plugin_instance *instance)
{
    for (size_t i = 0; i < turns->count; i++) {
        if (same_turn(instance, turns->uses[i]->type, turns->uses[i]->priority))
            return turns->uses[i];
    }
    return NULL;
}

/* Of a turn that nobody has had: who would have it. */
static const struct kg_plugin_instance *find_first(const struct show *show,
                                                   const struct kg_plugin_instance *instance)
{
    const struct kg_plugin_instance *first = instance;

    for (size_t i = 0; i < show->count; i++) {
        const struct kg_plugin_instance *other = &show->items[i].instance;

        if (other->enabled && same_turn(other, instance->type, instance->priority) &&
            other->rank > first->rank)
            first = other;
    }
    return first;
}

static const char *fate_of_turn(const struct kg_rehearsed *rehearsed, const struct kg_plugin_use *use)
{
    if (!kg_plugin_use_applies(use, rehearsed->https))
        return "not for this protocol";
    return use == rehearsed->answered ? "answers" : "runs";
}

/* Whether the turn that it is for has gone by: that of one for a consumer may have, before anybody knew who
 * it is. */
static bool has_gone_by(const struct kg_rehearsed *rehearsed, const struct kg_plugin_instance *instance)
{
    const struct kg_policy_turns *turns = rehearsed->turns;
    const struct kg_plugin_use use = { .type = instance->type, .priority = instance->priority };

    if (!rehearsed->checked || !instance->by_consumer)
        return false;
    return !rehearsed->answered || kg_plugin_use_order(&use, turns->uses[turns->count - 1]) <= 0;
}

static void judge_turn(struct shown *shown, const struct kg_rehearsed *rehearsed,
                       const struct kg_plugin_use *had)
{
    if (strcmp(had->id, shown->instance.id) == 0) {
        shown->state = fate_of_turn(rehearsed, had);
        for (shown->place = 0; rehearsed->turns->uses[shown->place] != had;)
            shown->place++;
        return;
    }
    shown->state = shown->instance.rank > had->rank ? "too late" : "overridden";
    shown->overridden_by = shown->instance.rank > had->rank ? NULL : had->id;
}

static void judge(const struct show *show, struct shown *shown)
{
    const struct kg_plugin_use *had = find_turn(show->rehearsed->turns, &shown->instance);
    const struct kg_plugin_instance *first;

    if (!shown->instance.enabled) {
        shown->state = "disabled";
        return;
    }
    if (had) {
        judge_turn(shown, show->rehearsed, had);
        return;
    }
    first = find_first(show, &shown->instance);
    shown->state = has_gone_by(show->rehearsed, &shown->instance) ? "too late" : "not reached";
    if (first == &shown->instance)
        return;
    shown->state = "overridden";
    shown->overridden_by = first->id;
}

/* Those that had their turn as they had it, then the others as they would have. */
static int in_turn(const void *left, const void *right)
{
    const struct shown *a = left, *b = right;

    if (a->place != b->place)
        return a->place < b->place ? -1 : 1;
    if (a->instance.priority != b->instance.priority)
        return a->instance.priority > b->instance.priority ? -1 : 1;
    if (a->instance.type != b->instance.type)
        return strcmp(a->instance.type->name, b->instance.type->name);
    return (a->instance.rank < b->instance.rank) - (a->instance.rank > b->instance.rank);
}

static const char *scope_of(const struct kg_plugin_instance *instance)
{
    static const char *const scopes[2][2][2] = {
        { { "global", "service" }, { "route", "route and service" } },
        { { "consumer", "consumer and service" }, { "consumer and route", "consumer, route and service" } },
    };

    return scopes[instance->by_consumer][instance->by_route][instance->by_service];
}

static json_t *shown_json(const struct shown *shown)
{
    json_t *json =
        json_pack("{s:s,s:s,s:s,s:s}", "id", shown->instance.id, "name", shown->instance.type->name, "scope",
                  scope_of(&shown->instance), "state", shown->state);

    if (shown->overridden_by)
        json_object_set_new(json, "overridden_by", json_string(shown->overridden_by));
    return json;
}

void kg_explain_add_plugins(json_t *answer, const struct kg_model *model,
                            const struct kg_rehearsed *rehearsed)
{
    struct show show = { .rehearsed = rehearsed };
    const struct kg_route *route = rehearsed->route;
    const struct kg_consumer *consumer = rehearsed->principal.consumer;
    json_t *list = json_array();

    if (route) {
        const struct kg_plugin_scope scope = { route->id, route->service ? route->service->id : "",
                                               consumer ? consumer->id : "" };
        kg_model_each_plugin(model, &scope, take_instance, &show);
    }
    for (size_t i = 0; i < show.count; i++)
        judge(&show, &show.items[i]);
    if (show.count > 0)
        qsort(show.items, show.count, sizeof(*show.items), in_turn);
    for (size_t i = 0; i < show.count; i++)
        json_array_append_new(list, shown_json(&show.items[i]));
    json_object_set_new(answer, "plugins", list);
    json_object_set_new(answer, "plugins_left_out", json_integer((json_int_t)show.left_out));
    free(show.items);
}
