/* SPDX-License-Identifier: BSD-2-Clause */
#include "admin/call.h"

#include "base/log.h"
#include "model/json.h"

bool kg_admin_name_child(struct kg_call *call, const struct kg_field *children, struct kg_slice name)
{
    json_t *value = json_stringn(name.ptr, name.len), *given = json_object_get(call->input, children->name);
    json_t *names;

    if (!value) {
        kg_reply_message(call, 400, "the last part of the path is not UTF-8");
        return false;
    }
    /* What is no list is left for the schema to refuse. */
    if (given && !json_is_array(given) && !json_is_null(given)) {
        json_decref(value);
        return true;
    }
    names = json_is_array(given) ? json_copy(given) : json_array();
    if (!kg_json_contains(names, value))
        json_array_append(names, value);
    json_decref(value);
    json_object_set_new(call->input, children->name, names);
    return true;
}

static bool tell_children(struct kg_call *call, const struct kg_entity *entity, const struct kg_entity *child,
                          const char *id)
{
    const char *link = kg_entity_link(child, entity)->name;
    int64_t after = 0;
    json_t *page, *object;
    size_t i;

    do {
        page = kg_store_list(call->parts->store, child->id, link, id, KG_ADMIN_PAGE_MAX, &after);
        json_array_foreach(page, i, object) kg_admin_tell_model(call, child, object);
        json_decref(page);
    } while (page && after > 0);
    return page != NULL;
}

json_t *kg_admin_take_children(struct kg_call *call, const struct kg_entity *entity, json_t *object)
{
    const struct kg_field *children = kg_entity_children(entity);
    json_t *stored = NULL;
    const char *id = json_string_value(json_object_get(object, "id"));

    if (children)
        stored = kg_store_get(call->parts->store, entity->id, id);
    kg_admin_tell_model(call, entity, stored ? stored : object);
    if (children && !(stored && tell_children(call, entity, &kg_entities[children->reference], id)))
        kg_log(KG_LOG_ERROR, "admin: %s %s is written, but what hangs from it cannot be read", entity->name,
               id);
    if (!stored)
        return object;
    json_decref(object);
    return stored;
}
