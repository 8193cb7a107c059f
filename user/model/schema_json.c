/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of entities as JSON, in the shape of Kong's /schemas: what decK and other programs read defaults
 * from. */
#include "model/checks.h"

#include "base/assert.h"

static json_t *field_json(const struct kg_field *field);

static void set_flag(json_t *object, const char *name, bool value)
{
    if (value)
        json_object_set_new(object, name, json_true());
}

static json_t *fields_json(const struct kg_field *fields)
{
    json_t *list = json_array();

    for (; fields && fields->name; fields++)
        json_array_append_new(list, json_pack("{s:o}", fields->name, field_json(fields)));
    return list;
}

/* What holds for one value: also for each of a set. */
static json_t *value_json(const struct kg_field *field, const char *type)
{
    json_t *value = json_pack("{s:s}", "type", type), *choices;

    if (field->bounded)
        json_object_set_new(value, "between",
                            json_pack("[II]", (json_int_t)field->min, (json_int_t)field->max));
    if (field->max_len > 0)
        json_object_set_new(value, "len_max", json_integer((json_int_t)field->max_len));
    if (!field->one_of)
        return value;
    choices = json_array();
    for (size_t i = 0; field->one_of[i]; i++)
        json_array_append_new(choices, json_string(field->one_of[i]));
    json_object_set_new(value, "one_of", choices);
    return value;
}

static json_t *set_json(json_t *elements)
{
    return json_pack("{s:s,s:o}", "type", "set", "elements", elements);
}

static json_t *foreign_json(const struct kg_field *field)
{
    json_t *value =
        json_pack("{s:s,s:s}", "type", "foreign", "reference", kg_entities[field->reference].name);

    if (field->cascade)
        json_object_set_new(value, "on_delete", json_string("cascade"));
    return value;
}

static json_t *type_json(const struct kg_field *field)
{
    switch (field->type) {
    case KG_F_UUID:
        return json_pack("{s:s,s:b}", "type", "string", "uuid", 1);
    case KG_F_TIMESTAMP:
        return json_pack("{s:s,s:b}", "type", "integer", "timestamp", 1);
    case KG_F_STRING:
        return value_json(field, "string");
    case KG_F_INTEGER:
        return value_json(field, "integer");
    case KG_F_NUMBER:
        return value_json(field, "number");
    case KG_F_BOOLEAN:
        return value_json(field, "boolean");
    case KG_F_STRING_SET:
        return set_json(value_json(field, "string"));
    case KG_F_INTEGER_SET:
        return set_json(value_json(field, "integer"));
    case KG_F_FOREIGN_SET:
        return set_json(json_pack("{s:s,s:b}", "type", "string", "uuid", 1));
    case KG_F_STRING_MAP:
        return json_pack("{s:s,s:{s:s},s:{s:s,s:{s:s}}}", "type", "map", "keys", "type", "string", "values",
                         "type", "array", "elements", "type", "string");
    case KG_F_FOREIGN:
        return foreign_json(field);
    case KG_F_RECORD:
        return json_pack("{s:s,s:o}", "type", "record", "fields", fields_json(field->fields));
    }
    KG_ASSERT(!"a type of field that has no JSON");
    return NULL;
}

static json_t *field_json(const struct kg_field *field)
{
    json_t *value = type_json(field);

    /* A record's own default is nothing: those of its fields say it. */
    if (field->default_json && field->type != KG_F_RECORD)
        json_object_set_new(value, "default", json_loads(field->default_json, JSON_DECODE_ANY, NULL));
    set_flag(value, "required", field->required);
    set_flag(value, "auto", field->automatic);
    set_flag(value, "unique", field->unique);
    set_flag(value, "immutable", field->immutable_);
    set_flag(value, "encrypted", field->secret);
    return value;
}

static json_t *schema_json(json_t *fields, const char *rules)
{
    json_t *checks = rules ? json_loads(rules, 0, NULL) : json_array();

    KG_ASSERT(checks != NULL);
    return json_pack("{s:o,s:o}", "fields", fields, "entity_checks", checks);
}

json_t *kg_schema_json(const struct kg_entity *entity)
{
    return schema_json(fields_json(entity->fields), entity->rules_json);
}

json_t *kg_plugin_config_json(const struct kg_plugin_type *type)
{
    return schema_json(fields_json(type->config), NULL);
}

json_t *kg_plugin_schema_json(const struct kg_plugin_type *type)
{
    static const char *const shown[] = { "service", "route", "consumer", "protocols", "config" };
    struct kg_field fields[KG_FIELDS_MAX];
    json_t *list = json_array();

    kg_entity_fields(&kg_entities[KG_PLUGINS], type->name, fields);
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        const struct kg_field *field = kg_field_find(fields, shown[i]);
        json_t *value = field_json(field);

        /* Kong's word for what must be null. */
        if (type->no_consumer && field->reference == KG_CONSUMERS)
            json_object_set_new(value, "eq", json_null());
        json_array_append_new(list, json_pack("{s:o}", shown[i], value));
    }
    return schema_json(list, type->rules_json);
}
