/* SPDX-License-Identifier: BSD-2-Clause */
/* What a declarative sync changes, for people and for the model. */
#include "store/declaring.h"

#include "base/mem.h"
#include "model/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MASKED "*****"

/* ---- names ---- */

/* What an entity is called: its endpoint key, a plugin's name, or its id; a key is never shown. New text. */
static json_t *name_of(const struct kg_entity *entity, const json_t *whole)
{
    const struct kg_field *field =
        entity->endpoint_key ? kg_entity_field(entity, entity->endpoint_key) : NULL;
    const json_t *name = entity->id == KG_PLUGINS ? json_object_get(whole, "name") : NULL;

    if (field && field->secret)
        return json_string(MASKED);
    if (!name && field)
        name = json_object_get(whole, field->name);
    return json_is_string(name) ? json_incref((json_t *)(uintptr_t)name)
                                : json_incref(json_object_get(whole, "id"));
}

/* By which the Admin API names it; null where that is nothing, or a secret. New. */
static json_t *endpoint_name(const struct kg_entity *entity, const json_t *whole)
{
    const struct kg_field *field =
        entity->endpoint_key ? kg_entity_field(entity, entity->endpoint_key) : NULL;
    json_t *name = field && !field->secret ? json_object_get(whole, field->name) : NULL;

    return json_is_string(name) ? json_incref(name) : json_null();
}

/* "route x", "consumer bob": what it belongs to; null when it stands alone. */
static json_t *owners_of(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole)
{
    json_t *owners = json_null();

    for (const struct kg_field *field = entity->fields; field->name; field++) {
        const char *id = json_string_value(json_object_get(json_object_get(whole, field->name), "id"));
        const struct kg_entity *parent = &kg_entities[field->reference];
        json_t *row = field->type == KG_F_FOREIGN && field->cascade && id ? kg_rows_get(d, parent, id) : NULL;
        const char *before = json_string_value(owners);
        char noun[64];

        if (!row)
            continue;
        json_t *name = name_of(parent, row), *longer;

        kg_declare_noun(parent, noun);
        longer = json_sprintf("%s%s%s %s", before ? before : "", before ? ", " : "", noun,
                              json_string_value(name));
        json_decref(owners);
        json_decref(name);
        json_decref(row);
        owners = longer ? longer : json_null();
    }
    return owners;
}

/* ---- fields ---- */

static json_t *shown(const struct kg_field *field, const json_t *value)
{
    if (field && field->secret && value && !json_is_null(value))
        return json_string(MASKED);
    return value ? json_deep_copy(value) : json_null();
}

static void note(json_t *fields, const char *path, const struct kg_field *field, const json_t *old,
                 const json_t *new)
{
    json_object_set_new(fields, path,
                        json_pack("{s:o,s:o}", "old", shown(field, old), "new", shown(field, new)));
}

/* Every value below that differs, by its path. */
static void compare(json_t *fields, const char *path, const struct kg_field *field, const json_t *old,
                    const json_t *new)
{
    char below[512];
    const char *name;
    json_t *value;

    if (json_equal(old, new))
        return;
    if (!json_is_object(old) || !json_is_object(new) || (field && field->type == KG_F_FOREIGN)) {
        note(fields, path, field, old, new);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t) new, name, value)
    {
        snprintf(below, sizeof(below), "%s.%s", path, name);
        compare(fields, below, NULL, json_object_get(old, name), value);
    }
    json_object_foreach((json_t *)(uintptr_t)old, name, value)
    {
        snprintf(below, sizeof(below), "%s.%s", path, name);
        if (!json_object_get(new, name))
            note(fields, below, NULL, value, NULL);
    }
}

static json_t *differences(const struct kg_entity *entity, const json_t *whole, const json_t *old)
{
    json_t *fields = json_object();

    for (const struct kg_field *field = entity->fields; field->name; field++) {
        bool ours = field->children || strcmp(field->name, "updated_at") == 0;

        if (!ours)
            compare(fields, field->name, field, json_object_get(old, field->name),
                    json_object_get(whole, field->name));
    }
    return fields;
}

/* ---- changes ---- */

static void remember(struct kg_declare_result *result, enum kg_action action, const struct kg_entity *entity,
                     const char *id)
{
    struct kg_change *change;

    if (result->list_count == result->list_cap) {
        result->list_cap = result->list_cap ? result->list_cap * 2 : 64;
        result->list = kg_realloc(result->list, result->list_cap, sizeof(*result->list));
    }
    change = &result->list[result->list_count++];
    change->action = (uint8_t)action;
    change->entity = (uint8_t)entity->id;
    kg_id_parse(id, change->id);
}

void kg_declare_changed(struct kg_declaring *d, enum kg_action action, const struct kg_entity *entity,
                        const json_t *whole, const json_t *old)
{
    static const char *const words[] = { "create", "update", "delete" };
    struct kg_declare_result *result = d->result;
    size_t *const counts[] = { &result->created, &result->updated, &result->deleted };
    json_t *id = json_object_get(whole, "id"), *change;
    char noun[64];

    ++*counts[action];
    remember(result, action, entity, json_string_value(id));
    if (json_array_size(result->changes) >= KG_DECLARE_SHOWN_MAX)
        return;
    kg_declare_noun(entity, noun);
    change = json_pack("{s:s,s:s,s:o,s:O,s:o}", "action", words[action], "entity", noun, "name",
                       name_of(entity, whole), "id", id, "for", owners_of(d, entity, whole));
    if (action == KG_UPDATED)
        json_object_set_new(change, "fields", differences(entity, whole, old));
    json_array_append_new(result->changes, change);
    json_array_append_new(result->names, endpoint_name(entity, whole));
}

void kg_declare_each(const struct kg_declare_result *result,
                     void (*visit)(void *ctx, const char *action, const struct kg_entity *entity,
                                   const char *id, const char *name),
                     void *ctx)
{
    static const char *const done[] = { "created", "updated", "deleted" };

    for (size_t i = 0; i < json_array_size(result->changes); i++) {
        const struct kg_change *change = &result->list[i];
        char id[KG_UUID_TEXT];

        kg_id_text(change->id, id);
        visit(ctx, done[change->action], &kg_entities[change->entity], id,
              json_string_value(json_array_get(result->names, i)));
    }
}

void kg_declare_free(struct kg_declare_result *result)
{
    json_decref(result->flattened);
    json_decref(result->names);
    json_decref(result->changes);
    json_decref(result->errors);
    free(result->list);
    *result = (struct kg_declare_result){ 0 };
}
