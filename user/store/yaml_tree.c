/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/yaml_tree.h"

#include "base/mem.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#define ANCHORS_MAX 65536
#define NAMES_MAX   256 /* in one map: each is compared with all others */

_Static_assert(sizeof(struct kg_yaml) == 32, "a file of a million consumers has eight million of them");

/* Where the next value of an open list or map goes. */
struct level {
    struct kg_yaml *node, **tail;
    const char *anchor; /* of the list or map itself; it counts from its end on */
    bool wants_value;   /* of a map: the last key has none yet */
    bool merges;        /* of a map: it has a merge key */
    size_t names;       /* of a map, so far */
};

struct reading {
    yaml_parser_t parser;
    struct kg_yaml_tree *tree;
    struct kg_yaml_place *place;
    struct kg_error *err;
    size_t nodes_left;
    struct level levels[KG_YAML_DEPTH];
    size_t depth;
    json_t *anchors; /* name → its node, as an integer */
};

static int refuse(struct reading *r, const yaml_mark_t *mark, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What of the text is in the sentence may hold anything. */
static int refuse(struct reading *r, const yaml_mark_t *mark, const char *fmt, ...)
{
    va_list args;

    r->place->line = (uint32_t)mark->line + 1;
    r->place->column = (uint32_t)mark->column + 1;
    va_start(args, fmt);
    vsnprintf(r->err->text, sizeof(r->err->text), fmt, args);
    va_end(args);
    for (char *c = r->err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return -EINVAL;
}

/* libyaml's own words; what its reader refuses has only an offset in the bytes. */
static int refuse_syntax(struct reading *r, struct kg_slice text)
{
    yaml_mark_t mark = r->parser.problem_mark;
    size_t at = r->parser.problem_offset;

    if (r->parser.error == YAML_MEMORY_ERROR)
        return refuse(r, &mark, "there is no memory for it");
    if (r->parser.error == YAML_READER_ERROR) {
        mark.line = mark.column = 0;
        for (size_t i = 0; i < at && i < text.len; i++) {
            mark.column = text.ptr[i] == '\n' ? 0 : mark.column + 1;
            mark.line += text.ptr[i] == '\n';
        }
    }
    return refuse(r, &mark, "not valid YAML: %s", r->parser.problem ? r->parser.problem : "unknown");
}

static struct kg_yaml *new_node(struct reading *r, enum kg_yaml_kind kind, const yaml_mark_t *mark)
{
    struct kg_yaml *node;

    if (r->nodes_left == 0)
        return NULL;
    r->nodes_left--;
    node = kg_arena_calloc(&r->tree->arena, 1, sizeof(*node));
    node->kind = kind & 0x3f;
    node->line = (uint32_t)mark->line + 1;
    node->column = (mark->column < 0xfffffe ? (uint32_t)mark->column + 1 : 0xffffff) & 0xffffff;
    return node;
}

/* Hangs a node where the next one goes. */
static int place_node(struct reading *r, struct kg_yaml *node, const yaml_mark_t *mark)
{
    struct level *level = r->depth > 0 ? &r->levels[r->depth - 1] : NULL;

    if (!node)
        return refuse(r, mark, "there are too many values for a file of its size limit");
    if (!level) {
        r->tree->root = node;
        return 0;
    }
    if (level->node->kind == KG_YAML_MAP) {
        if (!level->wants_value && node->kind != KG_YAML_SCALAR)
            return refuse(r, mark, "a name in a map must be a text");
        level->wants_value = !level->wants_value;
    }
    *level->tail = node;
    level->tail = &node->next;
    return 0;
}

static bool is_merge(const struct kg_yaml *key)
{
    return key->plain && kg_slice_eq(kg_yaml_text(key), KG_SLICE("<<"));
}

/* A name that has just been put into the innermost map. */
static int take_name(struct reading *r, const struct kg_yaml *name, const yaml_mark_t *mark)
{
    struct level *level = &r->levels[r->depth - 1];

    if (++level->names > NAMES_MAX)
        return refuse(r, mark, "a map has too many names");
    if (is_merge(name))
        level->merges = true;
    else if (kg_yaml_find(level->node, kg_yaml_text(name)) != name)
        return refuse(r, mark, "the name \"%.80s\" is given twice in this map", name->text);
    return 0;
}

static int remember(struct reading *r, const char *anchor, const struct kg_yaml *node,
                    const yaml_mark_t *mark)
{
    if (!anchor)
        return 0;
    if (json_object_size(r->anchors) >= ANCHORS_MAX)
        return refuse(r, mark, "there are too many anchors");
    json_object_set_new(r->anchors, anchor, json_integer((json_int_t)(intptr_t)node));
    return 0;
}

static int take_scalar(struct reading *r, const yaml_event_t *event)
{
    struct kg_slice text = kg_slice_of((const char *)event->data.scalar.value, event->data.scalar.length);
    const char *tag = (const char *)event->data.scalar.tag;
    struct kg_yaml *node = new_node(r, KG_YAML_SCALAR, &event->start_mark);
    int rc = place_node(r, node, &event->start_mark);

    if (rc)
        return rc;
    if (tag && strcmp(tag, "!") != 0 && strcmp(tag, YAML_STR_TAG) != 0)
        return refuse(r, &event->start_mark, "the tag %.80s is not known here", tag);
    if (memchr(text.ptr, '\0', text.len))
        return refuse(r, &event->start_mark, "a NUL byte is no part of a text");
    node->text = kg_arena_copy(&r->tree->arena, text).ptr;
    node->len = (uint32_t)text.len;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !tag;
    node->tagged = tag != NULL;
    if (r->depth > 0 && r->levels[r->depth - 1].wants_value)
        rc = take_name(r, node, &event->start_mark);
    return rc ? rc : remember(r, (const char *)event->data.scalar.anchor, node, &event->start_mark);
}

static int take_alias(struct reading *r, const yaml_event_t *event)
{
    const char *anchor = (const char *)event->data.alias.anchor;
    const json_t *target = json_object_get(r->anchors, anchor);
    struct kg_yaml *node;
    int rc;

    /* Inside of its own anchor it is not known yet either: nothing can contain itself. */
    if (!target)
        return refuse(r, &event->start_mark, "there is no anchor &%.80s before this alias", anchor);
    node = new_node(r, KG_YAML_ALIAS, &event->start_mark);
    rc = place_node(r, node, &event->start_mark);
    if (rc == 0)
        node->target = (const struct kg_yaml *)(intptr_t)json_integer_value(target);
    return rc;
}

static int open_level(struct reading *r, enum kg_yaml_kind kind, const yaml_char_t *anchor,
                      const yaml_event_t *event)
{
    struct kg_yaml *node = new_node(r, kind, &event->start_mark);
    int rc = place_node(r, node, &event->start_mark);

    if (rc)
        return rc;
    if (r->depth == KG_YAML_DEPTH)
        return refuse(r, &event->start_mark, "lists and maps lie too deep in each other");
    r->levels[r->depth++] = (struct level){
        .node = node,
        .tail = &node->first,
        .anchor = anchor ? kg_arena_copy(&r->tree->arena, kg_slice_str((const char *)anchor)).ptr : NULL,
    };
    return 0;
}

/* One pair of a merged map, unless the map has the name itself. */
static int merge_pair(struct reading *r, struct level *into, const struct kg_yaml *key,
                      const yaml_mark_t *mark)
{
    const struct kg_yaml *value = kg_yaml_real(key->next);
    struct kg_yaml *name, *alias;

    if (kg_yaml_find(into->node, kg_yaml_text(key)))
        return 0;
    name = new_node(r, KG_YAML_SCALAR, mark);
    alias = new_node(r, KG_YAML_ALIAS, mark);
    if (!name || !alias)
        return place_node(r, NULL, mark);
    if (++into->names > NAMES_MAX)
        return refuse(r, mark, "a map has too many names");
    *name = *key;
    name->next = alias;
    alias->target = value;
    alias->line = value->line;
    alias->column = value->column;
    *into->tail = name;
    into->tail = &alias->next;
    return 0;
}

static int merge_map(struct reading *r, struct level *into, const struct kg_yaml *from,
                     const yaml_mark_t *mark)
{
    int rc = 0;

    from = kg_yaml_real(from);
    if (from->kind != KG_YAML_MAP)
        return refuse(r, mark, "only maps can be merged by <<");
    for (const struct kg_yaml *key = from->first; key && rc == 0; key = key->next->next)
        rc = merge_pair(r, into, key, mark);
    return rc;
}

static int merge_value(struct reading *r, struct level *into, const struct kg_yaml *value,
                       const yaml_mark_t *mark)
{
    const struct kg_yaml *from = kg_yaml_real(value);
    int rc = 0;

    if (from->kind != KG_YAML_LIST)
        return merge_map(r, into, from, mark);
    for (const struct kg_yaml *item = from->first; item && rc == 0; item = item->next)
        rc = merge_map(r, into, item, mark);
    return rc;
}

/*
 * Takes the merge keys out and puts in what they bring. This is paid for with nodes, so that merges of merges
 * cannot grow without a bound.
 */
static int merge_all(struct reading *r, struct level *level, const yaml_mark_t *mark)
{
    struct kg_yaml **at = &level->node->first, *values[NAMES_MAX];
    size_t count = 0;
    int rc = 0;

    while (*at) {
        struct kg_yaml *key = *at;

        if (is_merge(key)) {
            values[count++] = key->next;
            *at = key->next->next;
            continue;
        }
        at = &key->next->next;
    }
    level->tail = at;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = merge_value(r, level, values[i], mark);
    return rc;
}

static int close_level(struct reading *r, const yaml_event_t *event)
{
    struct level *level = &r->levels[--r->depth];
    int rc = level->merges ? merge_all(r, level, &event->start_mark) : 0;

    return rc ? rc : remember(r, level->anchor, level->node, &event->start_mark);
}

static int take_event(struct reading *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->tree->root)
            return refuse(r, &event->start_mark, "only one document is taken from one file");
        return 0;
    case YAML_SCALAR_EVENT:
        return take_scalar(r, event);
    case YAML_ALIAS_EVENT:
        return take_alias(r, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_level(r, KG_YAML_LIST, event->data.sequence_start.anchor, event);
    case YAML_MAPPING_START_EVENT:
        return open_level(r, KG_YAML_MAP, event->data.mapping_start.anchor, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_level(r, event);
    default:
        return 0;
    }
}

static int read_all(struct reading *r, struct kg_slice text)
{
    bool ended = false;
    int rc = 0;

    while (rc == 0 && !ended) {
        yaml_event_t event;

        if (!yaml_parser_parse(&r->parser, &event))
            return refuse_syntax(r, text);
        ended = event.type == YAML_STREAM_END_EVENT;
        rc = take_event(r, &event);
        yaml_event_delete(&event);
    }
    return rc;
}

int kg_yaml_read(struct kg_slice text, size_t max_nodes, struct kg_yaml_tree *tree,
                 struct kg_yaml_place *place, struct kg_error *err)
{
    struct reading *r = kg_calloc(1, sizeof(*r));
    int rc;

    *tree = (struct kg_yaml_tree){ 0 };
    *place = (struct kg_yaml_place){ 0 };
    r->tree = tree;
    r->place = place;
    r->err = err;
    r->nodes_left = max_nodes;
    r->anchors = json_object();
    if (!yaml_parser_initialize(&r->parser)) {
        rc = kg_error_set(err, ENOMEM, "there is no memory for it");
    } else {
        yaml_parser_set_input_string(&r->parser, (const unsigned char *)text.ptr, text.len);
        rc = read_all(r, text);
        yaml_parser_delete(&r->parser);
    }
    json_decref(r->anchors);
    free(r);
    return rc;
}

void kg_yaml_free(struct kg_yaml_tree *tree)
{
    kg_arena_wipe(&tree->arena);
    tree->root = NULL;
}

const struct kg_yaml *kg_yaml_find(const struct kg_yaml *map, struct kg_slice name)
{
    for (const struct kg_yaml *key = map->first; key; key = key->next ? key->next->next : NULL)
        if (key->len == name.len && memcmp(key->text, name.ptr, name.len) == 0)
            return key;
    return NULL;
}
