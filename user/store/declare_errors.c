/* SPDX-License-Identifier: BSD-2-Clause */
/* What is wrong with declarative files: each with its place, all of them together. */
#include "store/declaring.h"

#include "base/mem.h"
#include "model/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIELD_PATH_MAX 256

static json_t *text_or_null(const char *text)
{
    json_t *value = text ? json_string(text) : NULL;

    return value ? value : json_null();
}

void kg_declare_error(struct kg_declaring *d, const struct kg_declare_where *where, const char *fmt, ...)
{
    json_t *error, *message;
    char noun[64] = "", text[1024];
    va_list args;

    if (json_array_size(d->result->errors) >= KG_DECLARE_ERRORS_MAX) {
        d->result->errors_left_out++;
        return;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (where->entity)
        kg_declare_noun(where->entity, noun);
    error = json_object();
    message = json_string(text);
    json_object_set_new(error, "file", text_or_null(d->request->files[where->file].name));
    json_object_set_new(error, "line", json_integer(where->node ? where->node->line : 0));
    json_object_set_new(error, "column", json_integer(where->node ? where->node->column : 0));
    json_object_set_new(error, "entity", text_or_null(noun[0] ? noun : NULL));
    json_object_set_new(error, "name", text_or_null(where->name));
    json_object_set_new(error, "field", text_or_null(where->field));
    json_object_set_new(error, "message", message ? message : json_string("invalid value"));
    json_array_append_new(d->result->errors, error);
    kg_declare_flatten(d, where, json_string_value(json_object_get(error, "message")));
}

bool kg_declare_failed(const struct kg_declaring *d)
{
    return json_array_size(d->result->errors) > 0;
}

/* Where the walk over a tree of violations is. */
struct walk {
    struct kg_declaring *d;
    const struct kg_declare_where *where;
    char path[FIELD_PATH_MAX];
    size_t len;
};

static void tell(struct walk *walk, const struct kg_yaml *node, const json_t *violation);

static void tell_step(struct walk *walk, const struct kg_yaml *node, const char *step,
                      const json_t *violation)
{
    size_t before = walk->len;
    int added =
        snprintf(walk->path + before, sizeof(walk->path) - before, "%s%s", before > 0 ? "." : "", step);

    if (added > 0)
        walk->len += (size_t)added < sizeof(walk->path) - before ? (size_t)added : 0;
    tell(walk, node, violation);
    walk->len = before;
    walk->path[before] = '\0';
}

static void tell_map(struct walk *walk, const struct kg_yaml *node, const json_t *violations)
{
    const struct kg_yaml *real = kg_yaml_real(node);
    const char *name;
    json_t *value;
    size_t i;

    json_array_foreach(json_object_get(violations, "@entity"), i, value) tell(walk, node, value);
    json_object_foreach((json_t *)(uintptr_t)violations, name, value)
    {
        const struct kg_yaml *key =
            real && real->kind == KG_YAML_MAP ? kg_yaml_find(real, kg_slice_str(name)) : NULL;
        bool whole = key && json_is_string(value);

        if (strcmp(name, "@entity") != 0)
            tell_step(walk, whole ? key : key ? key->next : node, name, value);
    }
}

static void tell_list(struct walk *walk, const struct kg_yaml *node, const json_t *violations)
{
    const struct kg_yaml *real = kg_yaml_real(node), *item;
    json_t *value;
    char step[24];
    size_t i;

    item = real && real->kind == KG_YAML_LIST ? real->first : NULL;
    json_array_foreach(violations, i, value)
    {
        snprintf(step, sizeof(step), "%zu", i + 1);
        if (!json_is_null(value))
            tell_step(walk, item ? item : node, step, value);
        item = item ? item->next : NULL;
    }
}

static void tell(struct walk *walk, const struct kg_yaml *node, const json_t *violation)
{
    struct kg_declare_where where = *walk->where;

    if (json_is_object(violation))
        tell_map(walk, node, violation);
    if (json_is_array(violation))
        tell_list(walk, node, violation);
    if (!json_is_string(violation))
        return;
    where.node = node;
    where.field = walk->len > 0 ? walk->path : NULL;
    kg_declare_error(walk->d, &where, "%s", json_string_value(violation));
}

void kg_declare_violations(struct kg_declaring *d, const struct kg_declare_where *where,
                           const json_t *violations)
{
    struct walk walk = { .d = d, .where = where };

    tell(&walk, where->node, violations);
}

struct place {
    json_t *error;
    size_t file;
    json_int_t line, column;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->column < y->column ? -1 : x->column > y->column;
}

static size_t file_of(const struct kg_declaring *d, const json_t *error)
{
    const char *name = json_string_value(json_object_get(error, "file"));
    size_t i = 0;

    while (name && i + 1 < d->request->file_count && strcmp(d->request->files[i].name, name) != 0)
        i++;
    return i;
}

void kg_declare_sort_errors(struct kg_declaring *d)
{
    size_t count = json_array_size(d->result->errors), i;
    struct place *places = kg_calloc(count + 1, sizeof(*places));
    json_t *sorted = json_array(), *error;

    json_array_foreach(d->result->errors, i, error)
    {
        places[i] =
            (struct place){ error, file_of(d, error), json_integer_value(json_object_get(error, "line")),
                            json_integer_value(json_object_get(error, "column")) };
    }
    qsort(places, count, sizeof(*places), compare_places);
    for (i = 0; i < count; i++)
        json_array_append(sorted, places[i].error);
    json_decref(d->result->errors);
    d->result->errors = sorted;
    free(places);
}
