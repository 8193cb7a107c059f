/* SPDX-License-Identifier: BSD-2-Clause */
/* From what a client sent to a whole entity: merge, fill, check. */
#include "model/checks.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "base/writer.h"
#include "model/json.h"

#include <errno.h>
#include <stdio.h>

#define STRING_MAX    4096
#define GENERATED_KEY 32 /* characters of [A-Za-z0-9]: 190 bits */

/* Checks one value that is not null. A new reference in its stored form, or NULL with *error, a string or a
 * tree. */
typedef json_t *(*take_fn)(const struct kg_field *field, const json_t *given, json_t **error);

static json_t *take(const struct kg_field *field, const json_t *given, json_t **error);
static json_t *take_fields(const struct kg_field *fields, const json_t *given, json_t *violations);

static json_t *refuse(json_t **error, const char *message)
{
    *error = kg_message_json(message);
    return NULL;
}

static json_t *copy_of(const json_t *value)
{
    return json_deep_copy(value);
}

static json_t *refuse_choice(const struct kg_field *field, json_t **error)
{
    char text[256];
    struct kg_writer w = kg_writer_of(text, sizeof(text) - 1);

    KG_PUT(&w, "expected one of: ");
    for (size_t i = 0; field->one_of[i]; i++) {
        if (i > 0)
            KG_PUT(&w, ", ");
        kg_put(&w, kg_slice_str(field->one_of[i]));
    }
    text[w.len] = '\0';
    return refuse(error, text);
}

static bool is_choice(const struct kg_field *field, const char *value)
{
    for (size_t i = 0; field->one_of[i]; i++)
        if (strcmp(field->one_of[i], value) == 0)
            return true;
    return false;
}

static json_t *take_string(const struct kg_field *field, const json_t *given, json_t **error)
{
    char scratch[256];
    const char *wrong;
    size_t len = json_string_length(given), max = field->max_len > 0 ? field->max_len : STRING_MAX;

    if (!json_is_string(given))
        return refuse(error, "expected a string");
    if (len == 0)
        return refuse(error, "length must be at least 1");
    if (memchr(json_string_value(given), '\0', len))
        return refuse(error, "must not contain null bytes");
    if (field->one_of && !is_choice(field, json_string_value(given)))
        return refuse_choice(field, error);
    wrong = field->check ? field->check(given, scratch) : NULL;
    if (wrong)
        return refuse(error, wrong);
    if (len > max) {
        snprintf(scratch, sizeof(scratch), "length must be at most %zu", max);
        return refuse(error, scratch);
    }
    return field->normalize ? field->normalize(given) : copy_of(given);
}

/* Stored in lower case, so that one UUID is one id. */
static json_t *take_uuid(const struct kg_field *field, const json_t *given, json_t **error)
{
    struct kg_slice text = kg_json_text(given);
    char lower[KG_UUID_TEXT] = "";

    if (!json_is_string(given))
        return refuse(error, "expected a string");
    if (!kg_uuid_valid(text))
        return refuse(error, "expected a valid UUID");
    for (size_t i = 0; i < text.len; i++)
        lower[i] = kg_lower(text.ptr[i]);
    return json_string(lower);
}

static json_t *refuse_bounds(const struct kg_field *field, json_t **error)
{
    char text[96];

    snprintf(text, sizeof(text), "value should be between %lld and %lld", (long long)field->min,
             (long long)field->max);
    return refuse(error, text);
}

static json_t *take_integer(const struct kg_field *field, const json_t *given, json_t **error)
{
    char scratch[256];

    if (!json_is_integer(given))
        return refuse(error, "expected an integer");
    if (field->bounded && (json_integer_value(given) < field->min || json_integer_value(given) > field->max))
        return refuse_bounds(field, error);
    const char *wrong = field->check ? field->check(given, scratch) : NULL;
    return wrong ? refuse(error, wrong) : copy_of(given);
}

static json_t *take_timestamp(const struct kg_field *field, const json_t *given, json_t **error)
{
    /* Kong's targets have fractions of a second; seconds are enough here. */
    double seconds = json_number_value(given);

    if (!json_is_number(given))
        return refuse(error, "expected an integer");
    if (seconds < 1 || seconds >= (double)INT64_MAX)
        return refuse(error, "expected a valid timestamp");
    return json_integer(json_is_integer(given) ? json_integer_value(given) : (json_int_t)seconds);
}

/* Numbers are stored and shown with fifteen digits: with more, one would be another when it is read again. */
static json_t *rounded(const json_t *given)
{
    char text[32];

    if (!json_is_real(given))
        return copy_of(given);
    snprintf(text, sizeof(text), "%.15g", json_real_value(given));
    return json_real(strtod(text, NULL));
}

static json_t *take_number(const struct kg_field *field, const json_t *given, json_t **error)
{
    char scratch[256];

    if (!json_is_number(given))
        return refuse(error, "expected a number");
    if (field->bounded &&
        (json_number_value(given) < (double)field->min || json_number_value(given) > (double)field->max))
        return refuse_bounds(field, error);
    const char *wrong = field->check ? field->check(given, scratch) : NULL;
    return wrong ? refuse(error, wrong) : rounded(given);
}

static json_t *take_boolean(const struct kg_field *field, const json_t *given, json_t **error)
{
    return json_is_boolean(given) ? copy_of(given) : refuse(error, "expected a boolean");
}

/* Kong shows errors of elements as a list with null holes. */
static void note_element(json_t **errors, size_t at, json_t *error)
{
    if (!*errors)
        *errors = json_array();
    while (json_array_size(*errors) < at)
        json_array_append_new(*errors, json_null());
    json_array_append_new(*errors, error);
}

/* Adds it unless it is there. Texts are found by hash: a set of networks may have many thousands. */
static void add_element(json_t *set, json_t *texts, json_t *taken)
{
    const char *text = json_string_value(taken);

    if (text ? json_object_get(texts, text) != NULL : kg_json_contains(set, taken))
        return;
    json_array_append(set, taken);
    if (text)
        json_object_set_new(texts, text, json_true());
}

static json_t *take_elements(const struct kg_field *field, take_fn take_element, const json_t *given,
                             json_t **error)
{
    json_t *set, *texts, *value, *errors = NULL;
    size_t i;

    if (!json_is_array(given))
        return refuse(error, "expected a set");
    if (field->required && json_array_size(given) == 0)
        return refuse(error, "length must be at least 1");
    set = json_array();
    texts = json_object();
    json_array_foreach(given, i, value)
    {
        json_t *wrong = NULL, *taken = take_element(field, value, &wrong);

        if (!taken)
            note_element(&errors, i, wrong);
        else
            add_element(set, texts, taken);
        json_decref(taken);
    }
    json_decref(texts);
    if (!errors)
        return set;
    json_decref(set);
    *error = errors;
    return NULL;
}

static json_t *take_set(const struct kg_field *field, const json_t *given, json_t **error)
{
    return take_elements(field, take_string, given, error);
}

static json_t *take_foreign_set(const struct kg_field *field, const json_t *given, json_t **error)
{
    return take_elements(field, take_uuid, given, error);
}

static json_t *take_integer_set(const struct kg_field *field, const json_t *given, json_t **error)
{
    return take_elements(field, take_integer, given, error);
}

static const char *wrong_name(const struct kg_field *field, const json_t *map, const char *name,
                              char scratch[256])
{
    json_t *text = json_string(name), *value;
    const char *wrong = !text || name[0] == '\0' ? "must not be empty" : field->check_key(text, scratch);
    const char *other;

    json_decref(text);
    /* Names are compared without regard to case: two spellings would be one name with two lists. */
    json_object_foreach((json_t *)(uintptr_t)map, other, value)
    {
        if (!wrong && strcmp(other, name) < 0 && strcasecmp(other, name) == 0)
            wrong = "is given twice";
    }
    return wrong;
}

static json_t *take_values(const struct kg_field *field, const json_t *given, json_t **error)
{
    char scratch[256];
    const char *wrong;
    /* A name without a value could never be matched. */
    struct kg_field set = { .required = true, .check = field->check };
    json_t *taken = take_set(&set, given, error);

    wrong = taken && field->check_set ? field->check_set(taken, scratch) : NULL;
    if (!wrong)
        return taken;
    json_decref(taken);
    return refuse(error, wrong);
}

static json_t *take_map(const struct kg_field *field, const json_t *given, json_t **error)
{
    json_t *map, *value, *violations = json_object();
    const char *name;

    if (!json_is_object(given)) {
        json_decref(violations);
        return refuse(error, "expected a map");
    }
    map = json_object();
    json_object_foreach((json_t *)(uintptr_t)given, name, value)
    {
        char scratch[256];
        json_t *wrong = NULL;
        const char *misnamed = wrong_name(field, given, name, scratch);
        json_t *taken = misnamed ? refuse(&wrong, misnamed) : take_values(field, value, &wrong);

        json_object_set_new(taken ? map : violations, name, taken ? taken : wrong);
    }
    if (json_object_size(violations) == 0) {
        json_decref(violations);
        return map;
    }
    json_decref(map);
    *error = violations;
    return NULL;
}

static json_t *take_foreign(const struct kg_field *field, const json_t *given, json_t **error)
{
    const char *key = kg_entities[field->reference].endpoint_key;
    json_t *id = json_object_get(given, "id"), *name = json_object_get(given, key), *value, *reference;

    if (!json_is_object(given))
        return refuse(error, "expected a record");
    if (!id && !name) {
        *error = json_object();
        json_object_set_new(*error, "id", json_string("missing primary key"));
        return NULL;
    }
    /* A client may send the whole parent (go-kong does): its id says it all. */
    value = id ? take_uuid(field, id, error) : take_string(&(struct kg_field){ 0 }, name, error);
    key = id ? "id" : key;
    reference = json_object();
    json_object_set_new(reference, key, value ? value : *error);
    if (value)
        return reference;
    *error = reference;
    return NULL;
}

/* A record without known fields (the plugin's name is wrong, which is said elsewhere) is not looked into. */
static json_t *take_record(const struct kg_field *field, const json_t *given, json_t **error)
{
    json_t *violations, *record;

    if (!json_is_object(given))
        return refuse(error, "expected a record");
    if (!field->fields)
        return copy_of(given);
    violations = json_object();
    record = take_fields(field->fields, given, violations);
    if (json_object_size(violations) == 0) {
        json_decref(violations);
        return record;
    }
    json_decref(record);
    *error = violations;
    return NULL;
}

static json_t *take(const struct kg_field *field, const json_t *given, json_t **error)
{
    static const take_fn takers[] = {
        [KG_F_UUID] = take_uuid,
        [KG_F_TIMESTAMP] = take_timestamp,
        [KG_F_STRING] = take_string,
        [KG_F_INTEGER] = take_integer,
        [KG_F_NUMBER] = take_number,
        [KG_F_BOOLEAN] = take_boolean,
        [KG_F_STRING_SET] = take_set,
        [KG_F_FOREIGN] = take_foreign,
        [KG_F_RECORD] = take_record,
        [KG_F_STRING_MAP] = take_map,
        [KG_F_FOREIGN_SET] = take_foreign_set,
        [KG_F_INTEGER_SET] = take_integer_set,
    };

    return takers[field->type](field, given, error);
}

static json_t *default_of(const struct kg_field *field)
{
    json_t *value;

    if (!field->default_json)
        return json_null();
    value = json_loads(field->default_json, JSON_DECODE_ANY, NULL);
    KG_ASSERT(value != NULL);
    return value;
}

/* The field's value after defaults: a new reference, null when it has none or what was given is refused. */
static json_t *take_field(const struct kg_field *field, const json_t *given, json_t *violations)
{
    json_t *error = NULL, *value, *start = NULL;

    if (!given || json_is_null(given))
        given = start = default_of(field);
    if (json_is_null(given)) {
        if (field->required)
            kg_violate(violations, field->name, "required field missing");
        return start ? start : json_null();
    }
    value = take(field, given, &error);
    json_decref(start);
    if (value)
        return value;
    json_object_set_new(violations, field->name, error);
    return json_null();
}

static json_t *take_fields(const struct kg_field *fields, const json_t *given, json_t *violations)
{
    json_t *result = json_object(), *value;
    const char *key;

    json_object_foreach((json_t *)(uintptr_t)given, key, value) if (!kg_field_find(fields, key))
        kg_violate(violations, key, "unknown field");
    for (const struct kg_field *field = fields; field->name; field++)
        json_object_set_new(result, field->name,
                            take_field(field, json_object_get(given, field->name), violations));
    return result;
}

/* Kong's PATCH: records merge, everything else is replaced. Both may lack fields. A new reference. */
static json_t *merge(const struct kg_field *fields, const json_t *old, const json_t *input)
{
    json_t *merged = json_copy((json_t *)(uintptr_t)old), *value;
    const char *key;

    json_object_foreach((json_t *)(uintptr_t)input, key, value)
    {
        const struct kg_field *field = kg_field_find(fields, key);
        json_t *before = json_object_get(old, key);

        if (field && field->type == KG_F_RECORD && json_is_object(before) && json_is_object(value))
            json_object_set_new(merged, key, merge(field->fields, before, value));
        else
            json_object_set(merged, key, value);
    }
    return merged;
}

static void keep_or_make(json_t *input, const json_t *old, const char *name, json_t *fresh)
{
    if (kg_json_given(old, name))
        json_object_set(input, name, json_object_get(old, name));
    else
        json_object_set(input, name, fresh);
    json_decref(fresh);
}

static void fill_id(json_t *input, const json_t *old)
{
    char id[KG_UUID_TEXT];

    if (kg_json_given(input, "id"))
        return;
    kg_uuid_random(id);
    keep_or_make(input, old, "id", json_string(id));
}

/* A PATCH has the old key merged in already; a PUT without one gets a new one, as Kong does. */
static void fill_generated(const struct kg_field *field, json_t *input)
{
    char key[GENERATED_KEY + 1];

    if (kg_json_given(input, field->name))
        return;
    kg_random_alnum(key, GENERATED_KEY);
    json_object_set_new(input, field->name, json_string(key));
    kg_wipe(key, sizeof(key));
}

static void fill_automatic(const struct kg_field *fields, json_t *input, const json_t *old)
{
    if (kg_field_find(fields, "id"))
        fill_id(input, old);
    if (kg_field_find(fields, "created_at") && !kg_json_given(input, "created_at"))
        keep_or_make(input, old, "created_at", json_integer(kg_clock_wall()));
    /* Ours to set, whatever a client echoes back. */
    if (kg_field_find(fields, "updated_at"))
        json_object_set_new(input, "updated_at", json_integer(kg_clock_wall()));
    for (const struct kg_field *field = fields; field->name; field++)
        if (field->generated)
            fill_generated(field, input);
}

/* A secret of which the store keeps nothing but the hash shows as null. A write that does not name it leaves
 * it as it is. */
static void keep_hashes(struct kg_field *fields, const json_t *input, const json_t *old)
{
    for (struct kg_field *field = fields; field->name; field++)
        if (field->by_hash && json_is_null(json_object_get(old, field->name)) &&
            !kg_json_given(input, field->name))
            field->required = field->automatic = field->generated = false;
}

static void keep_observed(const struct kg_field *fields, json_t *input, const json_t *old)
{
    for (const struct kg_field *field = fields; field->name; field++) {
        json_t *before = json_object_get(old, field->name);

        if (field->observed)
            json_object_set_new(input, field->name, before ? json_incref(before) : json_null());
    }
}

static void check_immutable(const struct kg_field *fields, const json_t *result, const json_t *old,
                            json_t *violations)
{
    for (const struct kg_field *field = fields; field->name; field++)
        if (field->immutable_ &&
            !json_equal(json_object_get(result, field->name), json_object_get(old, field->name)))
            kg_violate(violations, field->name, "immutable field cannot be updated");
}

/* Takes over violations: true, with *problem, when there are any. */
static bool is_refused(json_t *violations, json_t **problem)
{
    if (json_object_size(violations) == 0) {
        json_decref(violations);
        return false;
    }
    *problem = kg_problem_schema(violations);
    return true;
}

static int check_whole(const struct kg_entity *entity, json_t *input, const json_t *old, json_t **result,
                       json_t **problem)
{
    const char *plugin = json_string_value(json_object_get(input, "name"));
    struct kg_field fields[KG_FIELDS_MAX];
    json_t *violations = json_object(), *whole;

    kg_entity_fields(entity, plugin, fields);
    keep_hashes(fields, input, old);
    keep_observed(fields, input, old);
    fill_automatic(fields, input, old);
    whole = take_fields(fields, input, violations);
    if (old)
        check_immutable(fields, whole, old, violations);
    if (entity->check)
        entity->check(whole, violations);
    if (is_refused(violations, problem)) {
        json_decref(whole);
        return -EINVAL;
    }
    *result = whole;
    return 0;
}

/* The input with a PATCH's old values beneath it: a new reference that may be changed at its top. */
static json_t *lay_over_old(const struct kg_entity *entity, const json_t *input, const json_t *old)
{
    struct kg_field fields[KG_FIELDS_MAX];
    json_t *name = json_object_get(input, "name");

    kg_entity_fields(entity, json_string_value(name ? name : json_object_get(old, "name")), fields);
    return merge(fields, old, input);
}

int kg_schema_apply(const struct kg_entity *entity, enum kg_write write, const json_t *input,
                    const json_t *old, json_t **result, json_t **problem)
{
    json_t *given, *whole, *violations = json_object();
    int rc;

    KG_ASSERT(write != KG_WRITE_CREATE || !old);
    KG_ASSERT(write != KG_WRITE_PATCH || old);
    given = json_copy((json_t *)(uintptr_t)input);
    if (!json_is_object(given))
        kg_violate(violations, NULL, "expected a record");
    else if (entity->expand)
        entity->expand(given, violations);
    if (is_refused(violations, problem)) {
        json_decref(given);
        return -EINVAL;
    }
    whole = write == KG_WRITE_PATCH ? lay_over_old(entity, given, old) : json_incref(given);
    json_decref(given);
    rc = check_whole(entity, whole, old, result, problem);
    json_decref(whole);
    return rc;
}
