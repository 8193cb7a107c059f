/* SPDX-License-Identifier: BSD-2-Clause */
/* Collections and items of every entity, driven by the table kg_entities: there is no handler for any one of
 * them. */
#include "admin/call.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/uuid.h"

#include <errno.h>
#include <stdio.h>

static const char *id_of(const json_t *entity)
{
    return json_string_value(json_object_get(entity, "id"));
}

static void not_found(struct kg_call *call)
{
    kg_reply_message(call, 404, "Not found");
}

static void unreadable(struct kg_call *call)
{
    kg_reply_message(call, 500, "the database cannot be read");
}

/* The entity that ref names, or NULL; false, and answered, when that cannot be known: a disk that fails must
 * not look like "not there". */
static bool find(struct kg_call *call, const struct kg_entity *entity, struct kg_slice ref, json_t **found)
{
    *found = kg_store_find(call->parts->store, entity->id, ref);
    if (*found || !kg_store_unreadable(call->parts->store))
        return true;
    unreadable(call);
    return false;
}

bool kg_admin_find(struct kg_call *call, const struct kg_entity *entity, struct kg_slice ref, json_t **found)
{
    if (!find(call, entity, ref, found))
        return false;
    if (!*found)
        not_found(call);
    return *found != NULL;
}

/* What the path names below the parent, or NULL; false, and answered, when that cannot be known. */
static bool find_child(struct kg_call *call, const json_t *parent, json_t **found)
{
    const struct kg_resource *resource = &call->resource;

    if (!resource->entity->nested_key)
        return find(call, resource->entity, resource->ref, found);
    *found = kg_store_find_child(call->parts->store, resource->entity->id, resource->ref,
                                 resource->link->name, id_of(parent));
    if (*found || !kg_store_unreadable(call->parts->store))
        return true;
    unreadable(call);
    return false;
}

/* What the store could not do: a problem is the client's, the rest is ours. Takes over problem. */
static void refuse(struct kg_call *call, json_t *problem, const struct kg_error *err)
{
    if (problem) {
        kg_reply_problem(call, problem);
        return;
    }
    kg_log(KG_LOG_ERROR, "admin: %s", err->text);
    kg_reply_message(call, 500, err->text);
}

/* {"name": "x"} becomes {"id": …}. What does not have that shape stays for the schema to judge. */
static json_t *resolve_one(struct kg_call *call, const struct kg_field *field)
{
    const struct kg_entity *target = &kg_entities[field->reference];
    json_t *value = json_object_get(call->input, field->name);
    const char *name = json_string_value(json_object_get(value, target->endpoint_key));
    json_t *found;

    if (!name || json_object_get(value, "id"))
        return NULL;
    found = kg_store_find(call->parts->store, target->id, kg_slice_str(name));
    if (!found)
        return kg_problem_unresolved(target, field->name, target->endpoint_key, name);
    json_object_set_new(call->input, field->name, json_pack("{s:s}", "id", id_of(found)));
    json_decref(found);
    return NULL;
}

static json_t *resolve_foreign(struct kg_call *call, const struct kg_entity *entity)
{
    json_t *problem = NULL;

    for (const struct kg_field *field = entity->fields; field->name && !problem; field++) {
        if (field->type == KG_F_FOREIGN)
            problem = resolve_one(call, field);
    }
    return problem;
}

void kg_admin_tell_model(struct kg_call *call, const struct kg_entity *entity, const json_t *object)
{
    struct kg_model *model = call->parts->model;
    json_int_t ttl = json_integer_value(json_object_get(object, "ttl"));
    const char *key = json_string_value(json_object_get(object, "key"));
    uint8_t mac[32];

    if (entity->id != KG_KEYAUTH_CREDENTIALS) {
        kg_model_put(model, entity->id, object);
        return;
    }
    if (key)
        kg_store_mac(call->parts->store, kg_slice_str(key), mac);
    if (!key && kg_store_stored_mac(call->parts->store, entity->id, id_of(object), mac) < 0) {
        kg_log(KG_LOG_ERROR, "admin: %s %s is written, but its hash cannot be read", entity->name,
               id_of(object));
        return;
    }
    kg_model_put_credential(model, id_of(object), id_of(json_object_get(object, "consumer")), mac,
                            ttl > 0 ? kg_clock_wall() + ttl : 0,
                            json_string_value(json_object_get(object, "name")));
}

/* A name is told where it is no secret. */
void kg_admin_tell_listeners(const struct kg_call *call, const struct kg_entity *entity, const json_t *object,
                             const char *action)
{
    const struct kg_field *key = entity->endpoint_key ? kg_entity_field(entity, entity->endpoint_key) : NULL;
    json_t *name = key && !key->secret ? json_object_get(object, entity->endpoint_key) : NULL;

    kg_event_entity(call->parts->events, action, entity, id_of(object), json_string_value(name));
}

/* Durable, then visible, then answered. Takes over object. */
static void commit(struct kg_call *call, const struct kg_entity *entity, json_t *object, const json_t *old,
                   unsigned status)
{
    struct kg_error err = { "" };
    json_t *problem = NULL;

    if (kg_store_put(call->parts->store, entity->id, object, &problem, &err) < 0) {
        json_decref(object);
        refuse(call, problem, &err);
        return;
    }
    if (call->dry_run) {
        kg_admin_reply_tried(call, status, object);
        return;
    }
    object = kg_admin_take_children(call, entity, object);
    call->parts->publish(call->parts->ctx);
    kg_admin_tell_listeners(call, entity, object, old ? "updated" : "created");
    kg_reply_json(call, status, object);
}

/* Whether a client that brought its own id brought one that is taken. */
static bool id_taken(struct kg_call *call, const struct kg_entity *entity, const json_t *object)
{
    json_t *there;

    if (!json_object_get(call->input, "id"))
        return false;
    there = kg_store_get(call->parts->store, entity->id, id_of(object));
    json_decref(there);
    return there != NULL;
}

static void write_entity(struct kg_call *call, enum kg_write write, const json_t *old)
{
    const struct kg_entity *entity = call->resource.entity;
    json_t *object = NULL;
    json_t *problem = resolve_foreign(call, entity);

    if (problem || kg_schema_apply(entity, write, call->input, old, &object, &problem) < 0) {
        kg_reply_problem(call, problem);
        return;
    }
    if (!old && id_taken(call, entity, object)) {
        kg_reply_problem(call, kg_problem_primary_key(id_of(object)));
        json_decref(object);
        return;
    }
    commit(call, entity, object, old, write == KG_WRITE_CREATE ? 201 : 200);
}

/* A PUT creates under the id or the endpoint key that its path names, whatever the body says. */
static bool name_from_path(struct kg_call *call, const json_t *old)
{
    struct kg_slice ref = call->resource.ref;
    bool is_id = kg_uuid_valid(ref) && (!old || kg_slice_eq_nocase(ref, kg_slice_str(id_of(old))));
    const struct kg_entity *entity = call->resource.entity;
    const struct kg_field *children = kg_entity_children(entity);
    json_t *value;

    if (!is_id && (!entity->endpoint_key || (entity->nested_key && !call->resource.parent))) {
        not_found(call);
        return false;
    }
    if (!is_id && children)
        return old || kg_admin_name_child(call, children, ref);
    value = json_stringn(ref.ptr, ref.len);
    if (!value) {
        kg_reply_message(call, 400, "the last part of the path is not UTF-8");
        return false;
    }
    json_object_set_new(call->input, is_id ? "id" : entity->endpoint_key, value);
    return true;
}

static void delete_entity(struct kg_call *call, const json_t *old)
{
    const struct kg_entity *entity = call->resource.entity;
    struct kg_error err = { "" };
    json_t *problem = NULL;

    if (kg_store_delete(call->parts->store, entity->id, id_of(old), &problem, &err) < 0) {
        refuse(call, problem, &err);
        return;
    }
    if (call->dry_run) {
        kg_admin_reply_tried_delete(call, id_of(old));
        return;
    }
    kg_model_remove(call->parts->model, entity->id, id_of(old));
    call->parts->publish(call->parts->ctx);
    kg_admin_tell_listeners(call, entity, old, "deleted");
    kg_reply_empty(call, 204);
}

/* The item that a path names, or NULL: what GET, PUT, PATCH and DELETE do is the same wherever it hangs. */
static void answer_item(struct kg_call *call, json_t *old)
{
    if (call->method == KG_METHOD_PUT) {
        if (name_from_path(call, old))
            write_entity(call, KG_WRITE_REPLACE, old);
        return;
    }
    if (!old) {
        not_found(call);
        return;
    }
    if (call->method == KG_METHOD_GET)
        kg_reply_json(call, 200, json_incref(old));
    if (call->method == KG_METHOD_PATCH)
        write_entity(call, KG_WRITE_PATCH, old);
    if (call->method == KG_METHOD_DELETE)
        delete_entity(call, old);
}

void kg_admin_item(struct kg_call *call)
{
    json_t *old;

    if (!find(call, call->resource.entity, call->resource.ref, &old))
        return;
    /* At the top level, deleting what is not there has reached its aim. */
    if (!old && call->method == KG_METHOD_DELETE)
        kg_reply_empty(call, 204);
    else
        answer_item(call, old);
    json_decref(old);
}

static void list(struct kg_call *call, const char *field, const char *parent_id, const char *base)
{
    struct kg_page page;
    int64_t after;
    json_t *data;

    if (!kg_admin_page(call, &page))
        return;
    after = page.after;
    data = kg_store_list(call->parts->store, call->resource.entity->id, field, parent_id, page.size, &after);
    if (!data) {
        unreadable(call);
        return;
    }
    kg_reply_json(call, 200, kg_admin_page_json(&page, data, after, base, false));
}

/* Of the whole collection, or of those of it that are asked for. */
static void list_all(struct kg_call *call)
{
    char buf[KG_ADMIN_PATH_MAX], more[3 * KG_ADMIN_PATH_MAX], base[64];
    struct kg_writer w = kg_writer_of(more, sizeof(more) - 1);
    struct kg_store_filter filter;
    struct kg_page page;
    int64_t after;
    json_t *data;

    if (!kg_admin_page(call, &page) || !kg_admin_filter(call, &filter, buf))
        return;
    kg_admin_put_filter(&w, &filter);
    more[w.len] = '\0';
    page.more = more;
    after = page.after;
    data = kg_store_list_some(call->parts->store, call->resource.entity->id, &filter, page.size, &after);
    if (!data) {
        unreadable(call);
        return;
    }
    snprintf(base, sizeof(base), "/%s", call->resource.entity->path);
    kg_reply_json(call, 200, kg_admin_page_json(&page, data, after, base, true));
}

void kg_admin_collection(struct kg_call *call)
{
    if (call->method == KG_METHOD_POST)
        write_entity(call, KG_WRITE_CREATE, NULL);
    else
        list_all(call);
}

/* Sets the foreign key to the parent that the path names, whatever the body says; but a PATCH may name
 * another one, and so move the child there. */
static void join_parent(struct kg_call *call, const json_t *parent)
{
    const char *link = call->resource.link->name;
    bool moves = call->method == KG_METHOD_PATCH && !call->resource.entity->nested_only &&
                 json_object_get(call->input, link);

    if (call->input && !moves)
        json_object_set_new(call->input, link, json_pack("{s:s}", "id", id_of(parent)));
}

void kg_admin_nested_collection(struct kg_call *call)
{
    const struct kg_resource *resource = &call->resource;
    json_t *parent;
    char base[160];

    if (!find(call, resource->parent, resource->parent_ref, &parent))
        return;
    if (!parent) {
        not_found(call);
        return;
    }
    join_parent(call, parent);
    snprintf(base, sizeof(base), "/%s/%s/%s", resource->parent->path, id_of(parent),
             resource->entity->nested_path);
    if (call->method == KG_METHOD_POST)
        write_entity(call, KG_WRITE_CREATE, NULL);
    else
        list(call, resource->link->name, id_of(parent), base);
    json_decref(parent);
}

static bool belongs(const struct kg_call *call, const json_t *child, const json_t *parent)
{
    const char *owner = id_of(json_object_get(child, call->resource.link->name));

    return owner && strcmp(owner, id_of(parent)) == 0;
}

/* A child under another parent than its own is not there; only a PUT may take it over, or make it. What lives
 * below its parent alone is neither taken over nor made by the name in a path, as in Kong. */
static bool may_answer(const struct kg_call *call, const json_t *child, const json_t *parent)
{
    if (call->method == KG_METHOD_PUT && !call->resource.entity->nested_only)
        return true;
    return child ? belongs(call, child, parent) : call->method != KG_METHOD_PUT;
}

bool kg_admin_find_child(struct kg_call *call, const json_t *parent, json_t **found)
{
    if (!find_child(call, parent, found))
        return false;
    if (*found && belongs(call, *found, parent))
        return true;
    json_decref(*found);
    *found = NULL;
    not_found(call);
    return false;
}

void kg_admin_nested_item(struct kg_call *call)
{
    const struct kg_resource *resource = &call->resource;
    json_t *parent, *child;

    if (!find(call, resource->parent, resource->parent_ref, &parent))
        return;
    if (!parent) {
        not_found(call);
        return;
    }
    join_parent(call, parent);
    if (!find_child(call, parent, &child)) {
        json_decref(parent);
        return;
    }
    if (may_answer(call, child, parent))
        answer_item(call, child);
    else
        not_found(call);
    json_decref(child);
    json_decref(parent);
}

/* A foreign key may lead to nothing, but never makes what it leads to. */
static void answer_shortcut(struct kg_call *call, json_t *target)
{
    if (target)
        answer_item(call, target);
    else
        not_found(call);
}

void kg_admin_shortcut(struct kg_call *call)
{
    struct kg_resource *resource = &call->resource;
    json_t *holder, *target = NULL;

    if (!find(call, resource->parent, resource->parent_ref, &holder))
        return;
    resource->ref = kg_slice_str(id_of(json_object_get(holder, resource->link->name)));
    if (resource->ref.len == 0)
        not_found(call);
    else if (find(call, resource->entity, resource->ref, &target))
        answer_shortcut(call, target);
    json_decref(target);
    json_decref(holder);
}
