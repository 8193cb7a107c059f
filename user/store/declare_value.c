/* SPDX-License-Identifier: BSD-2-Clause */
/* Values of a declarative file as JSON, with ${{ env "DECK_X" }} in them filled in. */
#include "store/declaring.h"

#include "base/mem.h"
#include "model/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUES_MAX   65536   /* of one entity, aliases followed: as JSON each takes some hundred bytes */
#define VALUE_MAX    1048576 /* bytes of one text with its templates filled in */
#define ENV_NAME_MAX 128     /* of an environment variable */

/* ---- plain scalars: YAML's core schema ---- */

static bool is_any(const char *text, const char *a, const char *b, const char *c)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0 || strcmp(text, c) == 0;
}

static bool is_null(struct kg_slice text)
{
    return text.len == 0 || strcmp(text.ptr, "~") == 0 || is_any(text.ptr, "null", "Null", "NULL");
}

/* Decimal, 0x and 0o. NULL when it is none that fits. */
static json_t *integer_of(const char *text)
{
    const char *digits = text + (*text == '-' || *text == '+');
    int base = strncmp(digits, "0x", 2) == 0 ? 16 : strncmp(digits, "0o", 2) == 0 ? 8 : 10;
    char *end;
    long long value;

    digits += base == 10 ? 0 : 2;
    if (*digits == '\0' || strspn(digits, "0123456789abcdefABCDEF") != strlen(digits))
        return NULL;
    errno = 0;
    value = strtoll(digits, &end, base);
    if (*end != '\0' || errno != 0)
        return NULL;
    return json_integer(*text == '-' ? -value : value);
}

static json_t *real_of(const char *text)
{
    char *end;
    double value;

    if (strspn(text, "+-.0123456789eE") != strlen(text) || !strpbrk(text, "0123456789"))
        return NULL;
    value = strtod(text, &end);
    return *end == '\0' && isfinite(value) ? json_real(value) : NULL;
}

static json_t *resolve_plain(struct kg_slice text)
{
    json_t *value;

    if (is_null(text))
        return json_null();
    if (is_any(text.ptr, "true", "True", "TRUE"))
        return json_true();
    if (is_any(text.ptr, "false", "False", "FALSE"))
        return json_false();
    value = integer_of(text.ptr);
    value = value ? value : real_of(text.ptr);
    return value ? value : json_stringn(text.ptr, text.len);
}

/* ---- templates ---- */

enum cast { CAST_NONE, CAST_INT, CAST_BOOL, CAST_FLOAT };

struct template
{
    char name[ENV_NAME_MAX];
    enum cast cast;
};

static bool take_word(struct kg_slice *rest, struct kg_slice word)
{
    *rest = kg_slice_trim(*rest);
    if (!kg_slice_starts_with(*rest, word))
        return false;
    *rest = kg_slice_of(rest->ptr + word.len, rest->len - word.len);
    return true;
}

/* The inside of ${{ }}: env "NAME", perhaps with | toInt behind it. NULL, or what is wrong. */
static const char *parse_template(struct kg_slice rest, struct template *out)
{
    size_t len;
    bool quoted = take_word(&rest, KG_SLICE("env")) && take_word(&rest, KG_SLICE("\""));

    out->cast = CAST_NONE;
    len = kg_slice_find(rest, '"');
    if (!quoted || len == rest.len || len == 0 || len >= sizeof(out->name))
        return "a template is written as ${{ env \"DECK_NAME\" }}";
    memcpy(out->name, rest.ptr, len);
    out->name[len] = '\0';
    rest = kg_slice_trim(kg_slice_of(rest.ptr + len + 1, rest.len - len - 1));
    if (rest.len > 0 && take_word(&rest, KG_SLICE("|"))) {
        rest = kg_slice_trim(rest);
        out->cast = kg_slice_eq(rest, KG_SLICE("toInt"))     ? CAST_INT
                    : kg_slice_eq(rest, KG_SLICE("toBool"))  ? CAST_BOOL
                    : kg_slice_eq(rest, KG_SLICE("toFloat")) ? CAST_FLOAT
                                                             : CAST_NONE;
        if (out->cast == CAST_NONE)
            return "a template knows toInt, toFloat and toBool, no other function";
    } else if (rest.len > 0) {
        return "a template is written as ${{ env \"DECK_NAME\" }}";
    }
    if (strncmp(out->name, "DECK_", 5) != 0)
        return "only environment variables whose names begin with DECK_ are filled in";
    return NULL;
}

static const char *look_up(struct kg_declaring *d, const char *name)
{
    return d->request->env ? d->request->env(d->request->env_ctx, name) : NULL;
}

/* Fills in all templates of a text. False after an error. */
static bool fill_in(struct kg_declaring *d, const struct kg_declare_where *where, struct kg_slice text,
                    struct kg_writer *out, struct template *last)
{
    while (text.len > 0) {
        const char *start = memmem(text.ptr, text.len, "${{", 3), *end, *wrong, *value;
        size_t before = start ? (size_t)(start - text.ptr) : text.len;

        kg_put(out, kg_slice_of(text.ptr, before));
        if (!start)
            break;
        end = memmem(start, text.len - before, "}}", 2);
        wrong = end ? parse_template(kg_slice_of(start + 3, (size_t)(end - start) - 3), last)
                    : "a template ends with }}";
        value = wrong ? NULL : look_up(d, last->name);
        if (!value) {
            kg_declare_error(d, where, "%s%s%s", wrong ? wrong : "the environment variable ",
                             wrong ? "" : last->name, wrong ? "" : " is not set");
            return false;
        }
        kg_put(out, kg_slice_str(value));
        text = kg_slice_of(end + 2, text.len - (size_t)(end + 2 - text.ptr));
    }
    if (!out->overflow)
        return true;
    kg_declare_error(d, where, "the text with its templates filled in is too long");
    return false;
}

static bool wants_text(const struct kg_field *field)
{
    return field &&
           (field->type == KG_F_STRING || field->type == KG_F_UUID || field->type == KG_F_STRING_SET ||
            field->type == KG_F_STRING_MAP || field->type == KG_F_FOREIGN || field->type == KG_F_FOREIGN_SET);
}

/*
 * Filled in after the parsing, so that a value stays one value whatever is in it. Without quotes it may
 * become a number or a boolean, but not where a text is wanted: a key may well consist of digits.
 */
static json_t *template_value(struct kg_declaring *d, const struct kg_declare_where *where,
                              const struct kg_yaml *node, const struct kg_field *field)
{
    char *buf = kg_calloc(1, VALUE_MAX + 1);
    struct kg_writer w = kg_writer_of(buf, VALUE_MAX);
    struct template last = { .cast = CAST_NONE };
    json_t *value = NULL;

    if (fill_in(d, where, kg_yaml_text(node), &w, &last)) {
        bool resolve = last.cast != CAST_NONE || (node->plain && !wants_text(field));

        value = resolve ? resolve_plain(kg_writer_slice(&w)) : json_stringn(buf, w.len);
        if (!value)
            kg_declare_error(d, where, "the environment variable %s is not valid UTF-8", last.name);
    }
    kg_wipe(buf, w.len);
    free(buf);
    return value;
}

/* ---- values ---- */

static const struct kg_field *field_below(const struct kg_field *field, const char *name)
{
    for (const struct kg_field *at = field ? field->fields : NULL; at && at->name; at++)
        if (strcmp(at->name, name) == 0)
            return at;
    /* The values of a map, and those of a set, are what the whole is. */
    return field && field->type != KG_F_RECORD ? field : NULL;
}

bool kg_declare_pay(struct kg_declaring *d, const struct kg_declare_where *where, size_t bytes)
{
    if (d->budget >= bytes) {
        d->budget -= bytes;
        return true;
    }
    if (d->budget > 0)
        kg_declare_error(d, where, "its aliases make more of the file than the limit of %zu bytes",
                         d->request->limit);
    d->budget = 0;
    return false;
}

static json_t *list_value(struct kg_declaring *d, const struct kg_declare_where *where,
                          const struct kg_yaml *node, const struct kg_field *field)
{
    json_t *list = json_array();
    bool good = true;

    for (const struct kg_yaml *item = node->first; item; item = item->next) {
        struct kg_declare_where at = *where;
        json_t *value;

        at.node = item;
        value = kg_declare_value(d, &at, field);
        good = good && value != NULL;
        if (value)
            json_array_append_new(list, value);
    }
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *map_value(struct kg_declaring *d, const struct kg_declare_where *where,
                         const struct kg_yaml *node, const struct kg_field *field)
{
    json_t *map = json_object();
    bool good = true;

    for (const struct kg_yaml *key = node->first; key; key = key->next->next) {
        struct kg_declare_where at = *where;
        json_t *value;

        at.node = key->next;
        value = kg_declare_value(d, &at, field_below(field, key->text));
        good = good && value != NULL;
        if (value)
            json_object_set_new(map, key->text, value);
    }
    if (good)
        return map;
    json_decref(map);
    return NULL;
}

json_t *kg_declare_value(struct kg_declaring *d, const struct kg_declare_where *where,
                         const struct kg_field *field)
{
    const struct kg_yaml *node = kg_yaml_real(where->node);

    if (d->values > VALUES_MAX)
        return NULL;
    if (++d->values > VALUES_MAX) {
        kg_declare_error(d, where, "its aliases make more of it than %d values", VALUES_MAX);
        return NULL;
    }
    if (!kg_declare_pay(d, where, 2 + (node->kind == KG_YAML_SCALAR ? node->len : 0)))
        return NULL;
    if (node->kind == KG_YAML_LIST)
        return list_value(d, where, node, field);
    if (node->kind == KG_YAML_MAP)
        return map_value(d, where, node, field);
    if (!node->tagged && memmem(node->text, node->len, "${{", 3))
        return template_value(d, where, node, field);
    return node->plain ? resolve_plain(kg_yaml_text(node)) : json_stringn(node->text, node->len);
}

void kg_declare_underlay(json_t *object, const json_t *beneath)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)beneath, name, value)
    {
        json_t *own = json_object_get(object, name);

        if (!own)
            json_object_set_new(object, name, json_deep_copy(value));
        else if (json_is_object(own) && json_is_object(value))
            kg_declare_underlay(own, value);
    }
}
