/* SPDX-License-Identifier: BSD-2-Clause */
/* The outer shape of declarative files: what stands at their top, and where their entities are. */
#include "store/declaring.h"

#include "base/assert.h"
#include "base/mem.h"
#include "model/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTES_A_NODE 4 /* a file with more values for its size is none that people write */
#define NODES_FIRST  1024
#define ENTITY_COST  8 /* of the budget: a list that aliases repeat costs as much as it takes room */

void kg_declare_noun(const struct kg_entity *entity, char out[64])
{
    bool own_name = strcmp(entity->nested_path, entity->path) != 0;
    const char *name = own_name ? entity->nested_path : entity->name;
    size_t len = strlen(name);

    snprintf(out, 64, "%.*s", (int)(own_name || name[len - 1] != 's' ? len : len - 1), name);
}

const struct kg_field *kg_declare_nests(const struct kg_entity *child, const struct kg_entity *parent)
{
    const struct kg_field *link = kg_entity_link(child, parent);

    /* A service's client certificate is none of its certificate's children. */
    if (!link || (!link->cascade && strcmp(child->name, "routes") != 0))
        return NULL;
    return link;
}

static bool leads_to(const struct kg_entity *entity, const bool placed[KG_ENTITIES])
{
    for (const struct kg_field *field = entity->fields; field->name; field++) {
        bool refers = field->type == KG_F_FOREIGN || field->type == KG_F_FOREIGN_SET;

        if (refers && !placed[field->reference])
            return false;
    }
    return true;
}

void kg_declare_order(enum kg_entity_id order[KG_ENTITIES])
{
    bool placed[KG_ENTITIES] = { false };
    size_t count = 0;

    while (count < KG_ENTITIES) {
        size_t before = count;

        for (size_t i = 0; i < KG_ENTITIES; i++) {
            if (placed[i] || !leads_to(&kg_entities[i], placed))
                continue;
            placed[i] = true;
            order[count++] = kg_entities[i].id;
        }
        KG_ASSERT(count > before); /* no entity may refer to itself, over however many others */
    }
}

/* ---- entities ---- */

static struct kg_declared *append(struct kg_declared_list *list)
{
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 64;
        list->items = kg_realloc(list->items, list->cap, sizeof(*list->items));
    }
    list->items[list->count] = (struct kg_declared){ .parent_entity = KG_ENTITIES };
    return &list->items[list->count++];
}

struct parent {
    const struct kg_entity *entity; /* NULL: none */
    size_t index;
};

static void list_entities(struct kg_declaring *d, size_t file, const struct kg_entity *entity,
                          const struct kg_yaml *list, struct parent parent);

static void list_children(struct kg_declaring *d, size_t file, const struct kg_entity *entity,
                          const struct kg_yaml *map, size_t index)
{
    struct parent parent = { entity, index };

    for (size_t i = 0; i < KG_ENTITIES; i++) {
        const struct kg_yaml *key = kg_declare_nests(&kg_entities[i], entity)
                                        ? kg_yaml_find(map, kg_slice_str(kg_entities[i].name))
                                        : NULL;

        if (key)
            list_entities(d, file, &kg_entities[i], key->next, parent);
    }
}

static void reserve_id(struct kg_declaring *d, const struct kg_entity *entity, const struct kg_yaml *map)
{
    const struct kg_yaml *key = kg_yaml_find(map, KG_SLICE("id"));
    const struct kg_yaml *value = key ? kg_yaml_real(key->next) : NULL;
    uint8_t id[16];

    if (!value || value->kind != KG_YAML_SCALAR || !kg_uuid_valid(kg_yaml_text(value)))
        return;
    kg_id_parse(value->text, id);
    kg_id_set_add(&d->reserved[entity->id], id);
}

static void list_entity(struct kg_declaring *d, size_t file, const struct kg_entity *entity,
                        const struct kg_yaml *item, struct parent parent)
{
    struct kg_declared *declared = append(&d->lists[entity->id]);
    size_t index = d->lists[entity->id].count - 1;

    declared->node = item;
    declared->file = (uint16_t)file;
    declared->parent = (uint32_t)parent.index;
    declared->parent_entity = (uint8_t)(parent.entity ? parent.entity->id : KG_ENTITIES);
    item = kg_yaml_real(item);
    if (item->kind != KG_YAML_MAP)
        return;
    reserve_id(d, entity, item);
    list_children(d, file, entity, item, index);
}

static bool is_empty(const struct kg_yaml *node)
{
    return node->kind == KG_YAML_SCALAR && node->plain &&
           (node->len == 0 || strcmp(node->text, "null") == 0 || strcmp(node->text, "~") == 0);
}

static void list_entities(struct kg_declaring *d, size_t file, const struct kg_entity *entity,
                          const struct kg_yaml *list, struct parent parent)
{
    const struct kg_yaml *real = kg_yaml_real(list);
    struct kg_declare_where where = { .file = file, .node = list, .field = entity->name };

    if (is_empty(real))
        return;
    if (real->kind != KG_YAML_LIST) {
        kg_declare_error(d, &where, "expected a list");
        return;
    }
    for (const struct kg_yaml *item = real->first; item; item = item->next) {
        where.node = item;
        if (!kg_declare_pay(d, &where, ENTITY_COST))
            return;
        list_entity(d, file, entity, item, parent);
    }
}

/* ---- the top of a file ---- */

static void take_version(struct kg_declaring *d, const struct kg_declare_where *where)
{
    const struct kg_yaml *node = kg_yaml_real(where->node);
    bool scalar = node->kind == KG_YAML_SCALAR;

    if (scalar && strcmp(node->text, "3.0") == 0)
        return;
    if (scalar && (strcmp(node->text, "1.1") == 0 || strcmp(node->text, "2.1") == 0))
        d->files[where->file].guess_regexes = true;
    else
        kg_declare_error(d, where, "expected one of: \"1.1\", \"2.1\", \"3.0\"");
}

static const struct kg_entity *entity_of_noun(const char *noun)
{
    for (size_t i = 0; i < KG_ENTITIES; i++) {
        const char *name = kg_entities[i].name;
        size_t len = strlen(noun);

        if (strncmp(name, noun, len) == 0 && strcmp(name + len, "s") == 0)
            return &kg_entities[i];
    }
    return NULL;
}

static void take_defaults(struct kg_declaring *d, const struct kg_declare_where *where, json_t *defaults)
{
    struct kg_declare_where at = *where;
    const char *noun;
    json_t *value;

    json_object_foreach(defaults, noun, value)
    {
        at.field = noun;
        if (!entity_of_noun(noun))
            kg_declare_error(d, &at, "unknown field");
        else if (!json_is_object(value))
            kg_declare_error(d, &at, "expected a record");
    }
    json_decref(d->files[where->file].defaults);
    d->files[where->file].defaults = json_incref(defaults);
}

static void take_tags(struct kg_declaring *d, const struct kg_declare_where *where, const json_t *tags)
{
    json_t *tag;
    size_t i;

    if (!json_is_array(tags))
        kg_declare_error(d, where, "expected a list of tags");
    json_array_foreach(tags, i, tag)
    {
        if (!json_is_string(tag))
            kg_declare_error(d, where, "expected a list of tags");
        else if (!kg_json_contains(d->tags, tag))
            json_array_append(d->tags, tag);
    }
}

static void take_info(struct kg_declaring *d, const struct kg_declare_where *where)
{
    struct kg_declare_where at = *where;
    json_t *info = kg_declare_value(d, where, NULL), *value;
    const char *name;

    if (info && !json_is_object(info))
        kg_declare_error(d, where, "expected a record");
    json_object_foreach(json_is_object(info) ? info : NULL, name, value)
    {
        const struct kg_yaml *key = kg_yaml_find(kg_yaml_real(where->node), kg_slice_str(name));

        at.node = key ? key : where->node;
        at.field = name;
        if (strcmp(name, "select_tags") == 0)
            take_tags(d, &at, value);
        else if (strcmp(name, "defaults") == 0 && json_is_object(value))
            take_defaults(d, &at, value);
        /* References may lead out of what is selected anyway. */
        else if (strcmp(name, "default_lookup_tags") != 0)
            kg_declare_error(d, &at, "unknown field");
    }
    json_decref(info);
}

static void take_configs(struct kg_declaring *d, const struct kg_declare_where *where)
{
    json_t *configs = kg_declare_value(d, where, NULL), *value;
    const char *name;

    if (configs && !json_is_object(configs) && !json_is_null(configs))
        kg_declare_error(d, where, "expected a record");
    json_object_foreach(json_is_object(configs) ? configs : NULL, name, value)
    {
        if (!json_is_object(value))
            kg_declare_error(d, where, "'%s': expected a record", name);
        else if (json_object_get(d->configs, name))
            kg_declare_error(d, where, "'%s' is declared in another file already", name);
        else
            json_object_set(d->configs, name, value);
    }
    json_decref(configs);
}

static void take_workspace(struct kg_declaring *d, const struct kg_declare_where *where)
{
    const struct kg_yaml *node = kg_yaml_real(where->node);

    if (node->kind != KG_YAML_SCALAR || strcmp(node->text, "default") != 0)
        kg_declare_error(d, where, "there is only the workspace 'default'");
}

static void take_nothing(struct kg_declaring *d, const struct kg_declare_where *where)
{
}

static const struct {
    const char *name;
    void (*take)(struct kg_declaring *d, const struct kg_declare_where *where);
} top_fields[] = {
    { "_format_version", take_version }, { "_info", take_info },
    { "_plugin_configs", take_configs }, { "_workspace", take_workspace },
    { "_transform", take_nothing }, /* about passwords, which there are
                                       none of */
    { "_comment", take_nothing },        { "_ignore", take_nothing },
    { "_konnect", take_nothing }, /* which of Konnect's control planes is meant: here there is one gateway */
};

static const struct kg_entity *entity_of_name(const char *name)
{
    for (size_t i = 0; i < KG_ENTITIES; i++)
        if (strcmp(kg_entities[i].name, name) == 0)
            return &kg_entities[i];
    return NULL;
}

static void take_top_field(struct kg_declaring *d, size_t file, const struct kg_yaml *key)
{
    const struct kg_entity *entity = entity_of_name(key->text);
    struct kg_declare_where where = { .file = file, .node = key->next, .field = key->text };

    if (entity) {
        list_entities(d, file, entity, key->next, (struct parent){ NULL, 0 });
        return;
    }
    for (size_t i = 0; i < sizeof(top_fields) / sizeof(top_fields[0]); i++) {
        if (strcmp(top_fields[i].name, key->text) != 0)
            continue;
        d->values = 0;
        top_fields[i].take(d, &where);
        return;
    }
    where.node = key;
    kg_declare_error(d, &where, "unknown field");
}

static void read_file(struct kg_declaring *d, size_t file)
{
    struct kg_declare_where where = { .file = file };
    const struct kg_yaml *root;
    struct kg_yaml_place place;
    struct kg_error err;

    if (kg_yaml_read(d->request->files[file].text, NODES_FIRST + d->request->limit / BYTES_A_NODE,
                     &d->files[file].tree, &place, &err) < 0) {
        const struct kg_yaml at = { .line = place.line, .column = place.column & 0xffffff };

        where.node = &at;
        kg_declare_error(d, &where, "%s", err.text);
        return;
    }
    root = kg_yaml_real(d->files[file].tree.root);
    where.node = root;
    if (!root || root->kind != KG_YAML_MAP) {
        kg_declare_error(d, &where, "expected a declarative configuration: a map with _format_version in it");
        return;
    }
    where.field = "_format_version";
    if (!kg_yaml_find(root, kg_slice_str(where.field)))
        kg_declare_error(d, &where, "required field missing");
    for (const struct kg_yaml *key = root->first; key; key = key->next->next)
        take_top_field(d, file, key);
}

void kg_declare_read(struct kg_declaring *d)
{
    for (size_t i = 0; i < d->request->file_count; i++)
        read_file(d, i);
}
