/* SPDX-License-Identifier: BSD-2-Clause */
/* Kong's error objects: {code, name, message, fields}. */
#include "model/checks.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/writer.h"
#include "model/json.h"

#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_MAX  8192 /* a message longer than this lacks some of its parts; `fields` has all of them */
#define PATH_MAX_LEN 512
#define DEPTH_MAX    16

/* The parts of a schema violation's message, joined by "; ". */
struct message {
    char buf[MESSAGE_MAX];
    struct kg_writer w;
    size_t count;
};

static json_t *new_problem(int code, const char *name, struct kg_slice message, json_t *fields)
{
    json_t *problem = json_object();

    json_object_set_new(problem, "code", json_integer(code));
    json_object_set_new(problem, "name", json_string(name));
    json_object_set_new(problem, "message", json_stringn(message.ptr, message.len));
    json_object_set_new(problem, "fields", fields);
    return problem;
}

json_t *kg_message_json(const char *message)
{
    size_t len = strlen(message);
    json_t *text = json_stringn(message, len);

    /* jansson refuses what is not UTF-8: a message that a check cut inside a character loses that character.
     */
    for (int cut = 1; !text && cut < 4 && len > (size_t)cut; cut++)
        text = json_stringn(message, len - (size_t)cut);
    return text ? text : json_string("invalid value");
}

void kg_violate(json_t *violations, const char *field, const char *message)
{
    json_t *list;

    if (field) {
        if (!json_object_get(violations, field))
            json_object_set_new(violations, field, kg_message_json(message));
        return;
    }
    list = json_object_get(violations, "@entity");
    if (!list) {
        list = json_array();
        json_object_set_new(violations, "@entity", list);
    }
    json_array_append_new(list, kg_message_json(message));
}

void kg_violate_config(json_t *violations, const char *field, const char *message)
{
    json_t *config = json_object_get(violations, "config");

    if (!config) {
        config = json_object();
        json_object_set_new(violations, "config", config);
    }
    kg_violate(config, field, message);
}

static void add_part(struct message *message, struct kg_slice path, const json_t *text)
{
    struct kg_slice part = kg_json_text(text);
    size_t before = message->w.len;

    if (message->count++ > 0)
        KG_PUT(&message->w, "; ");
    if (path.len > 0) {
        kg_put(&message->w, path);
        KG_PUT(&message->w, ": ");
    }
    kg_put(&message->w, part);
    if (message->w.overflow)
        message->w.len = before;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void flatten(struct message *message, struct kg_writer *path, const json_t *tree, int depth);

static void flatten_under(struct message *message, struct kg_writer *path, struct kg_slice step,
                          const json_t *tree, int depth)
{
    size_t before = path->len;

    if (before > 0)
        kg_put_char(path, '.');
    kg_put(path, step);
    flatten(message, path, tree, depth + 1);
    path->len = before;
}

/* The keys of an object in byte order, without "@entity", which comes first and without a path. */
static void flatten_object(struct message *message, struct kg_writer *path, const json_t *tree, int depth)
{
    const char **keys = kg_calloc(json_object_size(tree), sizeof(*keys));
    const char *key;
    json_t *value;
    size_t count = 0, i;

    json_array_foreach(json_object_get(tree, "@entity"), i, value)
        add_part(message, kg_slice_of("", 0), value);
    json_object_foreach((json_t *)(uintptr_t)tree, key, value) if (strcmp(key, "@entity") != 0)
        keys[count++] = key;
    qsort(keys, count, sizeof(*keys), compare_keys);
    for (i = 0; i < count; i++)
        flatten_under(message, path, kg_slice_str(keys[i]), json_object_get(tree, keys[i]), depth);
    free(keys);
}

static void flatten(struct message *message, struct kg_writer *path, const json_t *tree, int depth)
{
    json_t *value;
    size_t i;

    KG_ASSERT(depth < DEPTH_MAX);
    if (json_is_string(tree))
        add_part(message, kg_writer_slice(path), tree);
    if (json_is_object(tree))
        flatten_object(message, path, tree, depth);
    json_array_foreach(tree, i, value)
    {
        char index[24];

        snprintf(index, sizeof(index), "%zu", i + 1);
        flatten_under(message, path, kg_slice_str(index), value, depth);
    }
}

json_t *kg_problem_schema(json_t *violations)
{
    struct message *parts = kg_calloc(1, sizeof(*parts)), *whole = kg_calloc(1, sizeof(*whole));
    char path_buf[PATH_MAX_LEN];
    struct kg_writer path = kg_writer_of(path_buf, sizeof(path_buf));
    json_t *problem;

    parts->w = kg_writer_of(parts->buf, sizeof(parts->buf) - 64);
    whole->w = kg_writer_of(whole->buf, sizeof(whole->buf));
    flatten(parts, &path, violations, 0);
    if (parts->count != 1) {
        kg_put_u64(&whole->w, parts->count);
        KG_PUT(&whole->w, " ");
    }
    kg_put(&whole->w, parts->count == 1 ? KG_SLICE("schema violation (") : KG_SLICE("schema violations ("));
    kg_put(&whole->w, kg_writer_slice(&parts->w));
    KG_PUT(&whole->w, ")");
    problem = new_problem(2, "schema violation", kg_writer_slice(&whole->w), violations);
    free(parts);
    free(whole);
    return problem;
}

static void put_value(struct kg_writer *w, const json_t *value)
{
    if (json_is_object(value)) {
        KG_PUT(w, "{id=\"");
        kg_put(w, kg_slice_str(json_string_value(json_object_get(value, "id"))));
        KG_PUT(w, "\"}");
        return;
    }
    if (!json_is_string(value)) {
        KG_PUT(w, "null");
        return;
    }
    KG_PUT(w, "\"");
    kg_put_json(w, kg_json_text(value));
    KG_PUT(w, "\"");
}

/* {a="x",b=null}, keys sorted. A secret's name stands alone. */
static void put_fields(struct kg_writer *w, const struct kg_entity *entity, const json_t *fields)
{
    const char *keys[KG_FIELDS_MAX] = { NULL }, *key;
    json_t *value;
    size_t count = 0;

    json_object_foreach((json_t *)(uintptr_t)fields, key, value) keys[count++] = key;
    qsort(keys, count, sizeof(*keys), compare_keys);
    KG_PUT(w, "{");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            KG_PUT(w, ",");
        kg_put(w, kg_slice_str(keys[i]));
        if (kg_entity_field(entity, keys[i])->secret)
            continue;
        KG_PUT(w, "=");
        put_value(w, json_object_get(fields, keys[i]));
    }
    KG_PUT(w, "}");
}

json_t *kg_problem_unique(const struct kg_entity *entity, const char *field, const json_t *value)
{
    char buf[4096];
    struct kg_writer w = kg_writer_of(buf, sizeof(buf));
    json_t *fields = json_object();

    if (!field)
        json_object_update(fields, (json_t *)(uintptr_t)value);
    if (field && kg_entity_field(entity, field)->secret)
        json_object_set_new(fields, field, json_null());
    else if (field)
        json_object_set_new(fields, field, json_deep_copy(value));
    KG_PUT(&w, "UNIQUE violation detected on '");
    put_fields(&w, entity, fields);
    KG_PUT(&w, "'");
    return new_problem(5, "unique constraint violation", kg_writer_slice(&w), fields);
}

static json_t *object_of(const char *key, json_t *value)
{
    json_t *object = json_object();

    json_object_set_new(object, key, value);
    return object;
}

json_t *kg_problem_foreign(const struct kg_entity *parent, const char *field, const char *id)
{
    char message[256];
    int len = snprintf(message, sizeof(message),
                       "the foreign key '{id=\"%.60s\"}' does not reference an existing '%s' entity.", id,
                       parent->name);

    return new_problem(4, "foreign key violation", kg_slice_of(message, (size_t)len),
                       object_of(field, object_of("id", json_string(id))));
}

json_t *kg_problem_referenced(const struct kg_entity *parent, const struct kg_entity *child)
{
    char message[256];
    int len = snprintf(message, sizeof(message), "an existing '%s' entity references this '%s' entity",
                       child->name, parent->name);

    return new_problem(4, "foreign key violation", kg_slice_of(message, (size_t)len),
                       object_of("@referenced_by", json_string(child->name)));
}

json_t *kg_problem_still_referenced(const struct kg_entity *entity, const char *id,
                                    const struct kg_entity *holder, const char *holder_id)
{
    char message[256];
    /* Kong's words, and only ca_certificates are held by sets. */
    const char *noun = entity->id == KG_CA_CERTIFICATES ? "ca certificate" : entity->name;
    int len = snprintf(message, sizeof(message), "%s %.60s is still referenced by %s (id = %.60s)", noun, id,
                       holder->name, holder_id);

    return new_problem(19, "referenced by others", kg_slice_of(message, (size_t)len),
                       object_of("@referenced_by", json_string(holder->name)));
}

json_t *kg_problem_primary_key(const char *id)
{
    char message[256];
    int len = snprintf(message, sizeof(message), "primary key violation on key '{id=\"%.60s\"}'", id);

    return new_problem(3, "primary key violation", kg_slice_of(message, (size_t)len),
                       object_of("id", json_string(id)));
}

json_t *kg_problem_unresolved(const struct kg_entity *parent, const char *field, const char *key,
                              const char *value)
{
    char detail_buf[2048], whole_buf[2304];
    struct kg_writer detail = kg_writer_of(detail_buf, sizeof(detail_buf));
    struct kg_writer whole = kg_writer_of(whole_buf, sizeof(whole_buf));
    json_t *text;

    KG_PUT(&detail, "the foreign key cannot be resolved with '{");
    kg_put(&detail, kg_slice_str(key));
    KG_PUT(&detail, "=\"");
    kg_put_json(&detail, kg_slice_str(value));
    KG_PUT(&detail, "\"}' for an existing '");
    kg_put(&detail, kg_slice_str(parent->name));
    KG_PUT(&detail, "' entity");
    text = json_stringn(detail_buf, detail.len);
    KG_PUT(&whole, "foreign key unresolved (");
    kg_put(&whole, kg_slice_str(field));
    KG_PUT(&whole, ".");
    kg_put(&whole, kg_slice_str(key));
    KG_PUT(&whole, ": ");
    kg_put(&whole, kg_writer_slice(&detail));
    KG_PUT(&whole, ")");
    return new_problem(13, "foreign keys unresolved", kg_writer_slice(&whole),
                       object_of(field, object_of(key, text)));
}
