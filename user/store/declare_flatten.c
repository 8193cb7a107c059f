/* SPDX-License-Identifier: BSD-2-Clause */
/* Errors entity by entity, as Kong's flattened_errors: for programs that made the entities, not the file. */
#include "store/declaring.h"

#include "base/mem.h"

#include <stdlib.h>

static const struct kg_yaml *value_in(const struct kg_yaml *map, struct kg_slice name)
{
    const struct kg_yaml *key = map->kind == KG_YAML_MAP ? kg_yaml_find(map, name) : NULL;

    return key ? kg_yaml_real(key->next) : NULL;
}

static json_t *text_of(const struct kg_yaml *value)
{
    return value && value->kind == KG_YAML_SCALAR ? json_stringn(value->text, value->len) : NULL;
}

static json_t *tags_of(const struct kg_yaml *map)
{
    const struct kg_yaml *list = value_in(map, KG_SLICE("tags"));
    json_t *tags;

    if (!list || list->kind != KG_YAML_LIST)
        return NULL;
    tags = json_array();
    for (const struct kg_yaml *item = list->first; item; item = item->next) {
        json_t *tag = text_of(kg_yaml_real(item));

        if (tag)
            json_array_append_new(tags, tag);
    }
    return tags;
}

/* Kong's names are "route", "plugin", "keyauth_credential". Values as they stand in the file, no template
 * filled in. */
static json_t *new_entry(const struct kg_declare_where *where)
{
    const struct kg_yaml *map = kg_yaml_real(where->whole);
    const char *name = where->entity->name;

    return json_pack("{s:s%,s:o*,s:s*,s:o*,s:[]}", "entity_type", name, strlen(name) - 1, "entity_id",
                     text_of(value_in(map, KG_SLICE("id"))), "entity_name", where->name, "entity_tags",
                     tags_of(map), "errors");
}

static json_t *entry_of(struct kg_declaring *d, const struct kg_declare_where *where)
{
    size_t count = json_array_size(d->result->flattened);

    for (size_t i = count; i-- > 0;)
        if (d->flattened[i] == where->whole)
            return json_array_get(d->result->flattened, i);
    if (!d->flattened)
        d->flattened = kg_calloc(KG_DECLARE_ERRORS_MAX, sizeof(*d->flattened));
    d->flattened[count] = where->whole;
    json_array_append_new(d->result->flattened, new_entry(where));
    return json_array_get(d->result->flattened, count);
}

void kg_declare_flatten(struct kg_declaring *d, const struct kg_declare_where *where, const char *message)
{
    json_t *error;

    if (!d->result->flattened || !where->whole)
        return;
    error = json_pack("{s:s,s:s*,s:s}", "type", where->field ? "field" : "entity", "field", where->field,
                      "message", message);
    json_array_append_new(json_object_get(entry_of(d, where), "errors"), error);
}
