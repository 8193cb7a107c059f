/* SPDX-License-Identifier: BSD-2-Clause */
/* POST …/key-auth/{k}/rotate: a credential gets a new key, and the old one works on for a while. */
#include "admin/call.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"

#include <errno.h>

#define KEY_LEN 32

static const struct kg_field fields[] = {
    { .name = "id", .type = KG_F_UUID },
    { .name = "grace",
      .type = KG_F_INTEGER,
      .required = true,
      .default_json = "3600",
      .bounded = true,
      .min = 0,
      .max = 100000000 },
    { .name = "key", .type = KG_F_STRING },
    { .name = "ttl", .type = KG_F_INTEGER, .bounded = true, .min = 0, .max = 100000000 },
    { .name = "created_at", .type = KG_F_TIMESTAMP },
    { .name = NULL },
};

const struct kg_entity kg_admin_rotation_entity = {
    .id = KG_ENTITIES, .name = "rotation", .path = "rotate", .fields = fields
};

/* What a PATCH with this key would make of the credential, or NULL, and answered. */
static json_t *with_new_key(struct kg_call *call, const json_t *wish, const json_t *old)
{
    json_t *patch = json_object(), *key = json_object_get(wish, "key"), *ttl = json_object_get(wish, "ttl");
    json_t *object = NULL, *problem = NULL;
    char made[KEY_LEN + 1];

    if (json_is_string(key)) {
        json_object_set(patch, "key", key);
    } else {
        kg_random_alnum(made, KEY_LEN);
        json_object_set_new(patch, "key", json_string(made));
        kg_wipe(made, sizeof(made));
    }
    if (json_is_integer(ttl))
        json_object_set(patch, "ttl", ttl);
    if (kg_schema_apply(&kg_entities[KG_KEYAUTH_CREDENTIALS], KG_WRITE_PATCH, patch, old, &object, &problem) <
        0)
        kg_reply_problem(call, problem);
    json_decref(patch);
    return object;
}

/* Both are in the next snapshot, or neither. */
static json_t *show_both(struct kg_call *call, const json_t *object, const struct kg_key_grace *grace)
{
    const struct kg_entity *keys = &kg_entities[KG_KEYAUTH_CREDENTIALS];
    json_t *previous = grace->seconds > 0 ? kg_store_get(call->parts->store, keys->id, grace->id) : NULL;
    json_t *shown = json_null();

    kg_admin_tell_model(call, keys, object);
    if (previous) {
        kg_admin_tell_model(call, keys, previous);
        shown = json_pack("{s:O,s:O}", "id", json_object_get(previous, "id"), "ttl",
                          json_object_get(previous, "ttl"));
    }
    call->parts->publish(call->parts->ctx);
    kg_admin_tell_listeners(call, keys, object, "updated");
    if (previous)
        kg_admin_tell_listeners(call, keys, previous, "created");
    json_decref(previous);
    return shown;
}

static void rotate(struct kg_call *call, const json_t *wish, const json_t *old)
{
    struct kg_key_grace grace = { .seconds = json_integer_value(json_object_get(wish, "grace")) };
    json_t *object = with_new_key(call, wish, old), *problem = NULL;
    struct kg_error err = { "" };
    int rc;

    if (!object)
        return;
    kg_uuid_random(grace.id);
    rc = kg_store_rotate_key(call->parts->store, object, &grace, &problem, &err);
    if (rc == 0) {
        json_object_set_new(object, "previous", show_both(call, object, &grace));
        kg_reply_json(call, 200, json_incref(object));
    } else if (problem) {
        kg_reply_problem(call, problem);
    } else {
        kg_log(KG_LOG_ERROR, "admin: %s", err.text);
        kg_reply_message(call, 500, err.text);
    }
    json_decref(object);
}

static void answer(struct kg_call *call, const json_t *old)
{
    json_t *wish = NULL, *problem = NULL;

    if (kg_schema_apply(&kg_admin_rotation_entity, KG_WRITE_CREATE, call->input, NULL, &wish, &problem) < 0) {
        kg_reply_problem(call, problem);
        return;
    }
    rotate(call, wish, old);
    json_decref(wish);
}

void kg_admin_rotate_key(struct kg_call *call)
{
    const struct kg_entity *keys = &kg_entities[KG_KEYAUTH_CREDENTIALS];
    json_t *old = NULL;

    if (kg_admin_find(call, keys, call->segments[1], &old))
        answer(call, old);
    json_decref(old);
}

void kg_admin_rotate_nested_key(struct kg_call *call)
{
    const struct kg_entity *keys = &kg_entities[KG_KEYAUTH_CREDENTIALS];
    json_t *parent = NULL, *old = NULL;

    call->resource.entity = keys;
    call->resource.ref = call->segments[3];
    call->resource.parent = &kg_entities[KG_CONSUMERS];
    call->resource.link = kg_entity_link(keys, call->resource.parent);
    if (kg_admin_find(call, call->resource.parent, call->segments[1], &parent) &&
        kg_admin_find_child(call, parent, &old))
        answer(call, old);
    json_decref(old);
    json_decref(parent);
}
