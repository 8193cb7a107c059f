/* SPDX-License-Identifier: BSD-2-Clause */
/* application/x-www-form-urlencoded bodies into the JSON that the schema takes, by Kong's naming. */
#include "model/checks.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "base/writer.h"
#include "http/uri.h"

#include <errno.h>
#include <stdlib.h>

#define ARGUMENTS_MAX 1000
#define STEPS_MAX     8
#define STEP_MAX      128

/* A decoded name: "config.key_names[2]" is the steps config, key_names, and the place 2 in a list. */
struct steps {
    char text[STEPS_MAX][STEP_MAX];
    size_t count;
    bool in_list;
    uint64_t place; /* from 1; 0 = at the end */
};

static int decode(struct kg_slice raw, struct kg_writer *out, struct kg_error *err)
{
    out->len = 0;
    if (!kg_query_decode(raw, out))
        return kg_error_set(err, EINVAL, "a form argument is too long");
    if (memchr(out->buf, '\0', out->len))
        return kg_error_set(err, EINVAL, "a form argument contains a null byte");
    return 0;
}

static bool add_step(struct steps *steps, struct kg_slice step)
{
    if (step.len == 0 || step.len >= STEP_MAX || steps->count == STEPS_MAX)
        return false;
    memcpy(steps->text[steps->count], step.ptr, step.len);
    steps->text[steps->count++][step.len] = '\0';
    return true;
}

/* "[]" and "[3]" say where in a list, and end the name; "[x]" is one more step. */
static bool take_bracket(struct kg_cursor *c, struct steps *steps)
{
    struct kg_slice rest = { c->pos, kg_cursor_left(c) }, inside;
    size_t close = kg_slice_find(rest, ']');

    if (close == rest.len)
        return false;
    inside = kg_slice_of(rest.ptr, close);
    c->pos += close + 1;
    if (inside.len > 0 && kg_slice_u64(inside, &steps->place))
        return add_step(steps, inside);
    steps->in_list = true;
    return kg_cursor_left(c) == 0;
}

static bool parse_name(struct kg_slice name, struct steps *steps)
{
    struct kg_cursor c = kg_cursor_of(name);

    *steps = (struct steps){ .count = 0 };
    while (kg_cursor_left(&c) > 0) {
        const char *start = c.pos;

        if (kg_cursor_take(&c, '[')) {
            if (!take_bracket(&c, steps))
                return false;
            kg_cursor_take(&c, '.');
            continue;
        }
        while (kg_cursor_left(&c) > 0 && *c.pos != '.' && *c.pos != '[')
            c.pos++;
        if (!add_step(steps, kg_slice_of(start, (size_t)(c.pos - start))))
            return false;
        kg_cursor_take(&c, '.');
    }
    return steps->count > 0;
}

/* A plugin's config when the body does not name the plugin (a PATCH): the first plugin that has such a field.
 */
static const struct kg_field *any_config_field(const char *name)
{
    const struct kg_plugin_type *type;
    const struct kg_field *found = NULL;

    for (size_t i = 0; !found && (type = kg_plugin_at(i)) != NULL; i++)
        found = kg_field_find(type->config, name);
    return found;
}

/* The schema's field for a name, or NULL: then the value stays a string and kg_schema_apply says what is
 * wrong. */
static const struct kg_field *field_of(const struct kg_field *fields, const struct steps *steps)
{
    const struct kg_field *field = kg_field_find(fields, steps->text[0]);

    for (size_t i = 1; field && i < steps->count; i++) {
        if (field->type == KG_F_STRING_MAP && i + 1 == steps->count)
            return field;
        if (field->type != KG_F_RECORD)
            return NULL;
        field =
            field->fields ? kg_field_find(field->fields, steps->text[i]) : any_config_field(steps->text[i]);
    }
    return field;
}

static json_t *convert_integer(struct kg_slice text)
{
    bool negative = text.len > 1 && text.ptr[0] == '-';
    uint64_t value;

    if (kg_slice_u64(kg_slice_of(text.ptr + negative, text.len - negative), &value) || value > INT64_MAX)
        return NULL;
    return json_integer(negative ? -(json_int_t)value : (json_int_t)value);
}

static json_t *convert_number(struct kg_slice text)
{
    json_t *value = json_loadb(text.ptr, text.len, JSON_DECODE_ANY, NULL);

    if (json_is_number(value))
        return value;
    json_decref(value);
    return NULL;
}

/* By the schema; what does not convert stays a string for the schema to refuse. NULL when it is not UTF-8. */
static json_t *convert(const struct kg_field *field, struct kg_slice text)
{
    json_t *value = NULL;

    if (text.len == 0)
        return json_null();
    if (field &&
        (field->type == KG_F_INTEGER || field->type == KG_F_TIMESTAMP || field->type == KG_F_INTEGER_SET))
        value = convert_integer(text);
    if (field && field->type == KG_F_NUMBER)
        value = convert_number(text);
    if (field && field->type == KG_F_BOOLEAN && kg_slice_eq(text, KG_SLICE("true")))
        value = json_true();
    if (field && field->type == KG_F_BOOLEAN && kg_slice_eq(text, KG_SLICE("false")))
        value = json_false();
    return value ? value : json_stringn(text.ptr, text.len);
}

static void insert(json_t *list, uint64_t place, json_t *value)
{
    size_t size = json_array_size(list);

    json_array_insert_new(list, place == 0 || place > size ? size : (size_t)place - 1, value);
}

static bool is_list(const struct kg_field *field, const struct steps *steps)
{
    if (!field)
        return false;
    return field->type == KG_F_STRING_SET || field->type == KG_F_FOREIGN_SET ||
           field->type == KG_F_INTEGER_SET || (field->type == KG_F_STRING_MAP && steps->count > 1);
}

/* Sets the last step's value in its object; a list field, a bracket or a repeated name makes a list. Takes
 * over value. */
static void place_value(json_t *object, const struct steps *steps, const struct kg_field *field,
                        json_t *value)
{
    const char *name = steps->text[steps->count - 1];
    json_t *before = json_object_get(object, name), *list;
    bool in_list = steps->in_list || (is_list(field, steps) && !json_is_null(value));

    if (!in_list && !before) {
        json_object_set_new(object, name, value);
        return;
    }
    if (json_is_array(before)) {
        insert(before, steps->place, value);
        return;
    }
    list = json_array();
    if (before)
        json_array_append(list, before);
    insert(list, steps->place, value);
    json_object_set_new(object, name, list);
}

/* The object that the last step lives in, made on the way; NULL when something else is there already. */
static json_t *walk(json_t *root, const struct steps *steps)
{
    json_t *object = root;

    for (size_t i = 0; i + 1 < steps->count; i++) {
        json_t *next = json_object_get(object, steps->text[i]);

        if (!next) {
            next = json_object();
            json_object_set_new(object, steps->text[i], next);
        }
        if (!json_is_object(next))
            return NULL;
        object = next;
    }
    return object;
}

static int add_argument(json_t *root, const struct kg_field *fields, struct kg_slice pair,
                        struct kg_writer *scratch, struct kg_error *err)
{
    size_t equals = kg_slice_find(pair, '=');
    struct kg_slice raw_value = { pair.ptr + equals, pair.len - equals };
    const struct kg_field *field;
    struct steps steps;
    json_t *object, *value;
    int rc = decode(kg_slice_of(pair.ptr, equals), scratch, err);

    if (rc)
        return rc;
    if (!parse_name(kg_writer_slice(scratch), &steps))
        return kg_error_set(err, EINVAL, "a form argument has a malformed name");
    if (raw_value.len > 0)
        raw_value = kg_slice_of(raw_value.ptr + 1, raw_value.len - 1);
    rc = decode(raw_value, scratch, err);
    if (rc)
        return rc;
    field = field_of(fields, &steps);
    value = convert(field, kg_writer_slice(scratch));
    object = value ? walk(root, &steps) : NULL;
    if (!object) {
        json_decref(value);
        return kg_error_set(err, EINVAL,
                            value ? "a form argument names something that another one gave a value"
                                  : "a form argument is not valid UTF-8");
    }
    place_value(object, &steps, field, value);
    return 0;
}

/* Cuts the next non-empty "name=value" off *rest. */
static bool next_pair(struct kg_slice *rest, struct kg_slice *pair)
{
    do {
        size_t end = kg_slice_find(*rest, '&');
        size_t skip = end < rest->len ? end + 1 : end;

        *pair = kg_slice_of(rest->ptr, end);
        *rest = kg_slice_of(rest->ptr + skip, rest->len - skip);
    } while (pair->len == 0 && rest->len > 0);
    return pair->len > 0;
}

/* The plugin's name when the body has it: its config converts by that plugin's schema. */
static void plugin_name(struct kg_slice body, struct kg_writer *scratch)
{
    struct kg_slice pair;

    scratch->len = 0;
    while (next_pair(&body, &pair))
        if (kg_slice_starts_with(pair, KG_SLICE("name="))) {
            kg_query_decode(kg_slice_of(pair.ptr + 5, pair.len - 5), scratch);
            break;
        }
    scratch->buf[scratch->len] = '\0';
}

json_t *kg_schema_from_form(const struct kg_entity *entity, struct kg_slice body, struct kg_error *err)
{
    size_t room = body.len + 1, count = 0;
    char *buf = kg_calloc(1, room);
    struct kg_writer scratch = kg_writer_of(buf, room - 1);
    struct kg_field fields[KG_FIELDS_MAX];
    json_t *root = json_object();
    struct kg_slice pair;
    int rc = 0;

    plugin_name(body, &scratch);
    kg_entity_fields(entity, scratch.buf, fields);
    while (rc == 0 && next_pair(&body, &pair)) {
        if (++count > ARGUMENTS_MAX)
            rc = kg_error_set(err, EINVAL, "Too many arguments");
        else
            rc = add_argument(root, fields, pair, &scratch, err);
    }
    kg_wipe(buf, room);
    free(buf);
    if (rc == 0)
        return root;
    json_decref(root);
    return NULL;
}
