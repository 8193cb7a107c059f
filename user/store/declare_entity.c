/* SPDX-License-Identifier: BSD-2-Clause */
/* One entity of a file: what it gives, what lies beneath that, and what it refers to. */
#include "store/declaring.h"

#include "base/mem.h"
#include "model/json.h"

#include <stdio.h>
#include <stdlib.h>

/* Stands for the id of a parent that has errors, so that its children's own errors are found as well. */
#define NO_ID "00000000-0000-0000-0000-000000000000"

/* Keys that are not fields of the entity itself. */
static bool is_aside(const struct kg_entity *entity, const char *name)
{
    if (strcmp(name, "_comment") == 0 || strcmp(name, "_ignore") == 0)
        return true;
    if (strcmp(name, "_config") == 0 && entity->id == KG_PLUGINS)
        return true;
    for (size_t i = 0; i < KG_ENTITIES; i++)
        if (strcmp(kg_entities[i].name, name) == 0 && kg_declare_nests(&kg_entities[i], entity))
            return true;
    return false;
}

/* The fields of a plugin's config are those of its type. */
static const struct kg_field *config_of(const struct kg_yaml *map, struct kg_field *config)
{
    const struct kg_yaml *key = kg_yaml_find(map, KG_SLICE("name"));
    const struct kg_yaml *name = key ? kg_yaml_real(key->next) : NULL;
    const struct kg_plugin_type *type =
        name && name->kind == KG_YAML_SCALAR ? kg_plugin_find(name->text) : NULL;

    *config =
        (struct kg_field){ .name = "config", .type = KG_F_RECORD, .fields = type ? type->config : NULL };
    return config;
}

/* What stands in the map, as JSON; NULL after errors, of which there may be several. */
static json_t *given_fields(struct kg_declaring *d, const struct kg_entity *entity,
                            const struct kg_declare_where *where)
{
    const struct kg_yaml *map = kg_yaml_real(where->node);
    json_t *input = json_object();
    bool good = true;

    for (const struct kg_yaml *key = map->first; key; key = key->next->next) {
        const struct kg_field *field = kg_entity_field(entity, key->text);
        struct kg_declare_where at = *where;
        struct kg_field config;
        json_t *value;

        if (is_aside(entity, key->text))
            continue;
        if (field && field->type == KG_F_RECORD && !field->fields)
            field = config_of(map, &config);
        at.node = key->next;
        at.field = key->text;
        value = kg_declare_value(d, &at, field);
        good = good && value;
        if (value)
            json_object_set_new(input, key->text, value);
    }
    if (good)
        return input;
    json_decref(input);
    return NULL;
}

/* An SNI below its certificate may be just its name. */
static json_t *given(struct kg_declaring *d, const struct kg_entity *entity,
                     const struct kg_declare_where *where, bool nested)
{
    const struct kg_yaml *node = kg_yaml_real(where->node);
    json_t *name, *input;

    if (node->kind == KG_YAML_MAP)
        return given_fields(d, entity, where);
    if (node->kind != KG_YAML_SCALAR || !nested || entity->id != KG_SNIS) {
        kg_declare_error(d, where, "expected a record");
        return NULL;
    }
    name = kg_declare_value(d, where, kg_entity_field(entity, "name"));
    input = name ? json_object() : NULL;
    if (name)
        json_object_set_new(input, "name", name);
    return input;
}

static const struct kg_yaml *node_of(const struct kg_declare_where *where, const char *field)
{
    const struct kg_yaml *map = kg_yaml_real(where->node);
    const struct kg_yaml *key = map->kind == KG_YAML_MAP ? kg_yaml_find(map, kg_slice_str(field)) : NULL;

    return key ? key->next : where->node;
}

/* ---- what lies beneath ---- */

static bool lay_config_beneath(struct kg_declaring *d, const struct kg_declare_where *where, json_t *input)
{
    struct kg_declare_where at = *where;
    const struct kg_yaml *map = kg_yaml_real(where->node), *key, *name;
    json_t *shared, *own;

    key = map->kind == KG_YAML_MAP ? kg_yaml_find(map, KG_SLICE("_config")) : NULL;
    name = key ? kg_yaml_real(key->next) : NULL;
    if (!key)
        return true;
    shared = name->kind == KG_YAML_SCALAR ? json_object_get(d->configs, name->text) : NULL;
    if (!shared) {
        at.node = key->next;
        at.field = "_config";
        kg_declare_error(d, &at, "there is no such entry in '_plugin_configs'");
        return false;
    }
    own = json_object_get(input, "config");
    if (!own || json_is_null(own))
        json_object_set_new(input, "config", json_deep_copy(shared));
    else if (json_is_object(own))
        kg_declare_underlay(own, shared);
    return true;
}

static void lay_defaults_beneath(struct kg_declaring *d, const struct kg_entity *entity, size_t file,
                                 json_t *input)
{
    char noun[64];

    if (!d->files[file].defaults)
        return;
    snprintf(noun, sizeof(noun), "%.*s", (int)strlen(entity->name) - 1, entity->name);
    kg_declare_underlay(input, json_object_get(d->files[file].defaults, noun));
}

/* Kong's rule for files of the formats before 3.0. */
static void mark_regexes(json_t *paths)
{
    json_t *path;
    size_t i;

    json_array_foreach(paths, i, path)
    {
        const char *text = json_string_value(path);

        if (!text || text[0] == '~' ||
            text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_~/%")] ==
                '\0')
            continue;
        json_array_set_new(paths, i, json_sprintf("~%s", text));
    }
}

static void add_tags(struct kg_declaring *d, const struct kg_entity *entity, json_t *input)
{
    json_t *tags = json_object_get(input, "tags"), *tag;
    size_t i;

    if (json_array_size(d->tags) == 0 || !kg_entity_field(entity, "tags"))
        return;
    /* What is no list is left for the schema to refuse. */
    if (tags && !json_is_array(tags) && !json_is_null(tags))
        return;
    tags = json_is_array(tags) ? json_copy(tags) : json_array();
    json_array_foreach(d->tags, i, tag)
    {
        if (!kg_json_contains(tags, tag))
            json_array_append(tags, tag);
    }
    json_object_set_new(input, "tags", tags);
}

/* A file without keys (keyctl dump --no-keys) means those that are there, which only ids can tell. */
static void keep_secrets(struct kg_declaring *d, const struct kg_entity *entity, json_t *input)
{
    const char *id = json_string_value(json_object_get(input, "id"));
    json_t *old = NULL;

    for (const struct kg_field *field = entity->fields; field->name && id; field++) {
        if (!field->secret || json_object_get(input, field->name))
            continue;
        old = old ? old : kg_rows_get(d, entity, id);
        if (kg_json_given(old, field->name))
            json_object_set(input, field->name, json_object_get(old, field->name));
    }
    json_decref(old);
}

/* ---- references ---- */

static bool find_named(struct kg_declaring *d, const struct kg_entity *target, const char *name,
                       char id[KG_UUID_TEXT])
{
    const struct kg_field *key = target->endpoint_key ? kg_entity_field(target, target->endpoint_key) : NULL;
    json_t *text, *whole;
    bool found;

    if (!key || !key->unique || key->secret)
        return false;
    text = json_string(name);
    whole = json_object();
    json_object_set_new(whole, key->name, key->normalize ? key->normalize(text) : json_incref(text));
    json_decref(text);
    found = kg_rows_find(d, target, key, whole, id);
    json_decref(whole);
    return found;
}

static bool has_failed(const struct kg_declaring *d, const struct kg_entity *target, const char *ref)
{
    return json_object_get(json_object_get(d->failed, target->name), ref) != NULL;
}

/* What a reference says: "x", {id: x} or {name: x}. */
struct reference {
    const char *text; /* NULL: it is something else, which the schema refuses */
    bool no_id, no_name;
};

static bool find_id(struct kg_declaring *d, const struct kg_entity *target, const char *ref,
                    char id[KG_UUID_TEXT])
{
    if (!kg_uuid_valid(kg_slice_str(ref)))
        return false;
    for (size_t i = 0; i < KG_UUID_TEXT - 1; i++)
        id[i] = kg_lower(ref[i]);
    return kg_declare_stays(d, target, id);
}

/* The id of what a reference names. False after an error; the id is then none, but looks like one. */
static bool resolve(struct kg_declaring *d, struct kg_declared *declared,
                    const struct kg_declare_where *where, const struct kg_field *field,
                    const struct reference *ref, char id[KG_UUID_TEXT])
{
    const struct kg_entity *target = &kg_entities[field->reference];

    snprintf(id, KG_UUID_TEXT, "%s", NO_ID);
    if (has_failed(d, target, ref->text)) {
        declared->broken = true;
        return true;
    }
    if (!ref->no_id && find_id(d, target, ref->text, id))
        return true;
    if (!ref->no_name && find_named(d, target, ref->text, id) && kg_declare_stays(d, target, id))
        return true;
    kg_declare_error(d, where, "invalid reference '%s: %s' (no such entry in '%s')", field->name, ref->text,
                     target->name);
    snprintf(id, KG_UUID_TEXT, "%s", NO_ID);
    return false;
}

static struct reference reference_in(const struct kg_field *field, const json_t *value)
{
    const char *key = kg_entities[field->reference].endpoint_key;
    const json_t *id = json_object_get(value, "id"), *name = key ? json_object_get(value, key) : NULL;

    if (json_is_string(value))
        return (struct reference){ .text = json_string_value(value) };
    return (struct reference){ json_string_value(id ? id : name), .no_id = !id, .no_name = id };
}

static bool resolve_one(struct kg_declaring *d, struct kg_declared *declared,
                        const struct kg_declare_where *where, const struct kg_field *field, json_t *input)
{
    struct kg_declare_where at = *where;
    const struct reference ref = reference_in(field, json_object_get(input, field->name));
    char id[KG_UUID_TEXT];

    if (!ref.text)
        return true;
    at.node = node_of(where, field->name);
    at.field = field->name;
    bool good = resolve(d, declared, &at, field, &ref, id);

    json_object_set_new(input, field->name, json_pack("{s:s}", "id", id));
    return good;
}

static bool resolve_set(struct kg_declaring *d, struct kg_declared *declared,
                        const struct kg_declare_where *where, const struct kg_field *field, json_t *input)
{
    struct kg_declare_where at = *where;
    json_t *set = json_object_get(input, field->name), *value;
    char id[KG_UUID_TEXT];
    bool good = true;
    size_t i;

    at.node = node_of(where, field->name);
    at.field = field->name;
    json_array_foreach(json_is_array(set) ? set : NULL, i, value)
    {
        const struct reference ref = reference_in(field, value);

        if (!ref.text)
            continue;
        good = resolve(d, declared, &at, field, &ref, id) && good;
        json_array_set_new(set, i, json_string(id));
    }
    return good;
}

/* A nested entity belongs to the one it lies in. */
static bool join_parent(struct kg_declaring *d, const struct kg_entity *entity, struct kg_declared *declared,
                        const struct kg_declare_where *where, json_t *input)
{
    const struct kg_entity *parent = &kg_entities[declared->parent_entity];
    const struct kg_declared *of = &d->lists[declared->parent_entity].items[declared->parent];
    const struct kg_field *link = kg_entity_link(entity, parent);
    struct kg_declare_where at = *where;
    char id[KG_UUID_TEXT];

    if (json_object_get(input, link->name)) {
        at.node = node_of(where, link->name);
        at.field = link->name;
        kg_declare_error(d, &at, "is that in which this lies; it must not be named again");
        return false;
    }
    kg_id_text(of->id, id);
    declared->broken = declared->broken || of->broken;
    json_object_set_new(input, link->name, json_pack("{s:s}", "id", of->broken ? NO_ID : id));
    return true;
}

static bool resolve_all(struct kg_declaring *d, const struct kg_entity *entity, struct kg_declared *declared,
                        const struct kg_declare_where *where, json_t *input)
{
    bool good = true;

    for (const struct kg_field *field = entity->fields; field->name; field++) {
        if (field->type == KG_F_FOREIGN)
            good = resolve_one(d, declared, where, field, input) && good;
        if (field->type == KG_F_FOREIGN_SET)
            good = resolve_set(d, declared, where, field, input) && good;
    }
    if (declared->parent_entity != KG_ENTITIES)
        good = join_parent(d, entity, declared, where, input) && good;
    return good;
}

json_t *kg_declare_input(struct kg_declaring *d, const struct kg_entity *entity, struct kg_declared *declared,
                         const struct kg_declare_where *where)
{
    json_t *input;
    bool good;

    d->values = 0;
    input = given(d, entity, where, declared->parent_entity != KG_ENTITIES);
    if (!input)
        return NULL;
    good = resolve_all(d, entity, declared, where, input);
    lay_defaults_beneath(d, entity, where->file, input);
    if (entity->id == KG_PLUGINS)
        good = lay_config_beneath(d, where, input) && good;
    if (entity->id == KG_ROUTES && d->files[where->file].guess_regexes)
        mark_regexes(json_object_get(input, "paths"));
    add_tags(d, entity, input);
    keep_secrets(d, entity, input);
    /* A bad reference is not all there may be: the schema looks at the rest. */
    declared->broken = declared->broken || !good;
    return input;
}
