/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for YAML: what the reader makes of any text, and that its values, written as a dump writes
 * them, are read back as the same.
 */
#include "check.h"

#include "store/declaring.h"
#include "store/yaml_text.h"

#include <errno.h>
#include <stdio.h>

#define NODES_MAX 4096

static size_t count_nodes(const struct kg_yaml *node, size_t depth)
{
    size_t count = 1, children = 0;

    KG_ASSERT(node->line > 0 && node->column > 0);
    if (node->kind == KG_YAML_ALIAS)
        KG_ASSERT(node->target && node->target->kind != KG_YAML_ALIAS);
    if (node->kind == KG_YAML_SCALAR)
        KG_ASSERT(node->text[node->len] == '\0');
    if (node->kind != KG_YAML_LIST && node->kind != KG_YAML_MAP)
        return count;
    KG_ASSERT(depth < KG_YAML_DEPTH);
    for (const struct kg_yaml *child = node->first; child; child = child->next, children++)
        count += count_nodes(child, depth + 1);
    KG_ASSERT(node->kind == KG_YAML_LIST || children % 2 == 0);
    return count;
}

/* A map's names are texts without a NUL, and no two of them are the same. */
static void check_names(const struct kg_yaml *node)
{
    for (const struct kg_yaml *key = node->kind == KG_YAML_MAP ? node->first : NULL; key;
         key = key->next->next) {
        KG_ASSERT(key->kind == KG_YAML_SCALAR && strlen(key->text) == key->len);
        KG_ASSERT(kg_yaml_find(node, kg_yaml_text(key)) == key);
    }
    for (const struct kg_yaml *child = node->kind >= KG_YAML_LIST && node->kind <= KG_YAML_MAP ? node->first
                                                                                               : NULL;
         child; child = child->next)
        check_names(child);
}

static const char *look_up(void *ctx, const char *name)
{
    static const struct {
        const char *name, *value;
    } known[] = { { "DECK_A", "1" },
                  { "DECK_B", "true" },
                  { "DECK_C", "- x: \"${{ env \\\"DECK_A\\\" }}\"" } };

    KG_ASSERT(strncmp(name, "DECK_", 5) == 0);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].value;
    return NULL;
}

/* The value of a text; NULL when it is refused, which must be said. */
static json_t *value_of(struct kg_slice text)
{
    const struct kg_declare_file file = { "fuzz", text };
    const struct kg_declare_request request = {
        .files = &file, .file_count = 1, .limit = INPUT_MAX, .env = look_up
    };
    struct kg_declare_result result = { .errors = json_array() };
    struct kg_declaring d = { .request = &request, .result = &result, .budget = 4 * INPUT_MAX };
    struct kg_declare_where where = { .file = 0 };
    struct kg_yaml_tree tree;
    struct kg_yaml_place place;
    struct kg_error err = { "" };
    json_t *value = NULL;
    int rc = kg_yaml_read(text, NODES_MAX, &tree, &place, &err);

    KG_ASSERT(rc == 0 || rc == -EINVAL);
    KG_ASSERT(rc == 0 || (err.text[0] != '\0' && place.line > 0));
    for (const char *c = err.text; rc && *c; c++)
        KG_ASSERT((unsigned char)*c >= 0x20 && *c != 0x7f);
    if (rc == 0 && tree.root) {
        KG_ASSERT(count_nodes(tree.root, 0) <= NODES_MAX);
        check_names(tree.root);
        where.node = tree.root;
        value = kg_declare_value(&d, &where, NULL);
        KG_ASSERT((value == NULL) == (json_array_size(result.errors) > 0));
    }
    kg_yaml_free(&tree);
    json_decref(result.errors);
    return value;
}

/* How many values there are below, and how deep they lie. */
static size_t measure(const json_t *value, size_t depth, size_t *deepest)
{
    size_t count = 1, i;
    const char *name;
    json_t *below;

    *deepest = depth > *deepest ? depth : *deepest;
    json_array_foreach(value, i, below) count += measure(below, depth + 1, deepest);
    json_object_foreach((json_t *)(uintptr_t)value, name, below) count +=
        1 + measure(below, depth + 1, deepest);
    return count;
}

/* Numbers are written with fifteen digits, and the schema takes no more of them. */
static void round_reals(json_t *value)
{
    char text[32];
    const char *name;
    json_t *below;
    size_t i;

    json_array_foreach(value, i, below) round_reals(below);
    json_object_foreach(value, name, below) round_reals(below);
    if (!json_is_real(value))
        return;
    snprintf(text, sizeof(text), "%.15g", json_real_value(value));
    json_real_set(value, strtod(text, NULL));
}

static void check_written(json_t *value)
{
    struct kg_yaml_out out = { 0 };
    size_t deepest = 0, count = measure(value, 1, &deepest);
    json_t *again;

    round_reals(value);
    kg_yaml_put_name(&out, 0, false, "value");
    kg_yaml_put_value(&out, 0, value);
    kg_yaml_end(&out);
    again = value_of(kg_slice_of(out.buf, out.len));
    /* Aliases written out may be more than is taken. */
    KG_ASSERT(again || count + 2 > NODES_MAX || deepest >= KG_YAML_DEPTH || out.len > INPUT_MAX);
    if (again)
        KG_ASSERT(json_equal(json_object_get(again, "value"), value));
    json_decref(again);
    free(out.buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *value;

    if (size > INPUT_MAX)
        return 0;
    value = value_of(input_of(data, size));
    if (value)
        check_written(value);
    json_decref(value);
    return 0;
}
