/* SPDX-License-Identifier: BSD-2-Clause */
/* YAML into a tree of nodes. What a file can make grow is bounded: its bytes, its nodes with all aliases
 * followed, its depth, the keys of a map, its anchors. */
#include "keyctl/convert.h"

#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <yaml.h>

#define FILE_MOST    (32u << 20)
#define NODES_MOST   2000000u
#define DEPTH_MOST   64
#define KEYS_MOST    4096
#define ANCHORS_MOST 1024

struct anchor {
    char *name;
    struct node *node;
};

struct reader {
    const char *file;
    FILE *stream;
    size_t bytes;
    char tail[64]; /* the last bytes read, the newest at the end */
    bool too_long, begun;
    int failed; /* errno of reading */
    yaml_parser_t parser;
    struct tree *tree;
    size_t weight; /* of all nodes so far, aliases followed */
    struct anchor *anchors;
    size_t anchor_count;
    struct kg_error *err;
};

static int refuse(struct reader *r, const yaml_mark_t *mark, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct reader *r, const yaml_mark_t *mark, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return kg_error_set(r->err, EINVAL, "%s:%zu:%zu: %s", r->file, mark->line + 1, mark->column + 1, text);
}

/* ---- bytes ---- */

static void keep_tail(struct reader *r, const unsigned char *bytes, size_t len)
{
    size_t keep = len < sizeof(r->tail) ? len : sizeof(r->tail);

    memmove(r->tail, r->tail + keep, sizeof(r->tail) - keep);
    memcpy(r->tail + sizeof(r->tail) - keep, bytes + len - keep, keep);
}

static void look_at_first(struct reader *r, const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len && !r->begun; i++) {
        r->begun = !isspace(bytes[i]);
        r->tree->json = bytes[i] == '{';
    }
}

/* libyaml's way of reading: 1, or 0 for a failure. */
static int read_bytes(void *ctx, unsigned char *buffer, size_t size, size_t *len)
{
    struct reader *r = ctx;

    *len = fread(buffer, 1, size, r->stream);
    if (*len < size && ferror(r->stream)) {
        r->failed = errno ? errno : EIO;
        return 0;
    }
    r->bytes += *len;
    r->too_long = r->bytes > FILE_MOST;
    look_at_first(r, buffer, *len);
    keep_tail(r, buffer, *len);
    return !r->too_long;
}

/* "#END", and behind it nothing but blanks. */
static bool ends_properly(const struct reader *r)
{
    size_t end = sizeof(r->tail);

    while (end > 0 && isspace((unsigned char)r->tail[end - 1]))
        end--;
    return end >= 4 && memcmp(r->tail + end - 4, "#END", 4) == 0;
}

/* ---- events ---- */

static int refuse_syntax(struct reader *r)
{
    const yaml_parser_t *parser = &r->parser;

    if (r->too_long)
        return kg_error_set(r->err, EFBIG, "%s: larger than %u MiB", r->file, FILE_MOST >> 20);
    if (r->failed)
        return kg_error_set(r->err, r->failed, "%s: cannot be read: %s", r->file, strerror(r->failed));
    if (parser->error == YAML_READER_ERROR)
        return refuse(r, &parser->mark, "not text: %s at or after byte %zu",
                      parser->problem ? parser->problem : "unknown fault", parser->problem_offset + 1);
    return refuse(r, &parser->problem_mark, "not valid YAML: %s",
                  parser->problem ? parser->problem : "unknown fault");
}

static int next_event(struct reader *r, yaml_event_t *event)
{
    return yaml_parser_parse(&r->parser, event) ? 0 : refuse_syntax(r);
}

static int count_weight(struct reader *r, const yaml_mark_t *mark, size_t weight)
{
    r->weight += weight;
    if (r->weight <= NODES_MOST)
        return 0;
    return refuse(r, mark, "more than %u values, with all aliases followed", NODES_MOST);
}

static struct node *new_node(struct reader *r, enum node_kind kind, const yaml_event_t *event,
                             const char *text, size_t len)
{
    struct node *node = kg_calloc(1, sizeof(*node) + len + 1);

    node->kind = kind;
    node->line = (uint32_t)event->start_mark.line + 1;
    node->column = (uint32_t)event->start_mark.column + 1;
    node->before = r->tree->last;
    r->tree->last = node;
    r->tree->nodes++;
    node->len = len;
    if (len > 0)
        memcpy(node->text, text, len);
    return node;
}

static void add_item(struct node *node, struct node *item)
{
    if (node->count == node->cap) {
        node->cap = node->cap ? node->cap * 2 : 4;
        node->items = kg_realloc(node->items, node->cap, sizeof(*node->items));
    }
    node->items[node->count++] = item;
}

static int keep_anchor(struct reader *r, const yaml_event_t *event, const yaml_char_t *name,
                       struct node *node)
{
    if (!name)
        return 0;
    if (r->anchor_count == ANCHORS_MOST)
        return refuse(r, &event->start_mark, "more than %d anchors", ANCHORS_MOST);
    r->anchors = kg_realloc(r->anchors, r->anchor_count + 1, sizeof(*r->anchors));
    r->anchors[r->anchor_count++] = (struct anchor){ kg_strdup((const char *)name), node };
    return 0;
}

static int read_alias(struct reader *r, const yaml_event_t *event, struct node **node)
{
    const char *name = (const char *)event->data.alias.anchor;

    for (size_t i = r->anchor_count; i > 0; i--) {
        if (strcmp(r->anchors[i - 1].name, name) != 0)
            continue;
        *node = r->anchors[i - 1].node;
        if ((*node)->open)
            return refuse(r, &event->start_mark, "an alias inside what it stands for");
        return count_weight(r, &event->start_mark, (*node)->weight);
    }
    return refuse(r, &event->start_mark, "an alias without an anchor");
}

static int read_scalar(struct reader *r, const yaml_event_t *event, struct node **node)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;

    if (memchr(text, '\0', len))
        return refuse(r, &event->start_mark, "a NUL character");
    *node = new_node(r, NODE_SCALAR, event, text, len);
    (*node)->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    (*node)->weight = 1;
    return keep_anchor(r, event, event->data.scalar.anchor, *node);
}

static int read_value(struct reader *r, const yaml_event_t *event, unsigned depth, struct node **node);

static int read_list(struct reader *r, struct node *node, unsigned depth)
{
    yaml_event_t event;
    struct node *item;
    int rc = next_event(r, &event);

    while (rc == 0 && event.type != YAML_SEQUENCE_END_EVENT) {
        rc = read_value(r, &event, depth, &item);
        yaml_event_delete(&event);
        if (rc)
            return rc;
        add_item(node, item);
        node->weight += item->weight;
        rc = next_event(r, &event);
    }
    if (rc == 0)
        yaml_event_delete(&event);
    return rc;
}

static struct node *find_value(const struct node *map, const char *name)
{
    for (size_t i = 0; i + 1 < map->count; i += 2) {
        if (strcmp(map->items[i]->text, name) == 0)
            return map->items[i + 1];
    }
    return NULL;
}

static bool is_merge(const struct node *key)
{
    return !key->quoted && strcmp(key->text, "<<") == 0;
}

static int check_key(struct reader *r, const yaml_event_t *event, const struct node *map,
                     const struct node *key)
{
    if (key->kind != NODE_SCALAR)
        return refuse(r, &event->start_mark, "expected a field's name, got a list or a map");
    if (map->count / 2 >= KEYS_MOST)
        return refuse(r, &event->start_mark, "more than %d fields in one map", KEYS_MOST);
    if (!is_merge(key) && find_value(map, key->text))
        return refuse(r, &event->start_mark, "repeated field");
    return 0;
}

/* What "<<" brings: fields that the map does not have itself. */
static int merge(struct reader *r, const yaml_event_t *event, struct node *map, const struct node *from)
{
    int rc = 0;

    for (size_t i = 0; from->kind == NODE_LIST && rc == 0 && i < from->count; i++) {
        rc = from->items[i]->kind == NODE_MAP ? merge(r, event, map, from->items[i])
                                              : refuse(r, &event->start_mark, "expected maps behind <<");
    }
    if (from->kind == NODE_SCALAR)
        return refuse(r, &event->start_mark, "expected a map behind <<");
    for (size_t i = 0; from->kind == NODE_MAP && i + 1 < from->count; i += 2) {
        if (find_value(map, from->items[i]->text))
            continue;
        if (map->count / 2 >= KEYS_MOST)
            return refuse(r, &event->start_mark, "more than %d fields in one map", KEYS_MOST);
        add_item(map, from->items[i]);
        add_item(map, from->items[i + 1]);
    }
    return rc;
}

/* One pair, whose key has begun with this event. What is merged waits in *merged for the map's end. */
static int read_pair(struct reader *r, const yaml_event_t *event, struct node *map, unsigned depth,
                     const struct node **merged)
{
    yaml_event_t second;
    struct node *key, *value;
    int rc = read_value(r, event, depth, &key);

    if (rc == 0)
        rc = check_key(r, event, map, key);
    if (rc == 0)
        rc = next_event(r, &second);
    if (rc)
        return rc;
    rc = read_value(r, &second, depth, &value);
    yaml_event_delete(&second);
    if (rc)
        return rc;
    map->weight += key->weight + value->weight;
    if (is_merge(key)) {
        *merged = value;
        return 0;
    }
    add_item(map, key);
    add_item(map, value);
    return 0;
}

static int read_map(struct reader *r, struct node *map, unsigned depth)
{
    const struct node *merged = NULL;
    yaml_event_t event;
    int rc = next_event(r, &event);

    while (rc == 0 && event.type != YAML_MAPPING_END_EVENT) {
        rc = read_pair(r, &event, map, depth, &merged);
        yaml_event_delete(&event);
        if (rc)
            return rc;
        rc = next_event(r, &event);
    }
    if (rc)
        return rc;
    if (merged)
        rc = merge(r, &event, map, merged);
    yaml_event_delete(&event);
    return rc;
}

static int read_value(struct reader *r, const yaml_event_t *event, unsigned depth, struct node **node)
{
    bool sequence = event->type == YAML_SEQUENCE_START_EVENT;
    int rc;

    if (event->type == YAML_ALIAS_EVENT)
        return read_alias(r, event, node);
    rc = count_weight(r, &event->start_mark, 1);
    if (rc)
        return rc;
    if (event->type == YAML_SCALAR_EVENT)
        return read_scalar(r, event, node);
    if (depth == DEPTH_MOST)
        return refuse(r, &event->start_mark, "nested more than %d deep", DEPTH_MOST);
    *node = new_node(r, sequence ? NODE_LIST : NODE_MAP, event, NULL, 0);
    rc = keep_anchor(r, event,
                     sequence ? event->data.sequence_start.anchor : event->data.mapping_start.anchor, *node);
    (*node)->open = true;
    (*node)->weight = 1;
    if (rc == 0)
        rc = sequence ? read_list(r, *node, depth + 1) : read_map(r, *node, depth + 1);
    (*node)->open = false;
    return rc;
}

/* Takes the events around the one document. */
static int read_stream(struct reader *r)
{
    yaml_event_t event;
    bool done = false;
    int rc;

    while (!done) {
        rc = next_event(r, &event);
        if (rc)
            return rc;
        done = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT && r->tree->root)
            rc = refuse(r, &event.start_mark, "more than one document");
        else if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_START_EVENT &&
                 event.type != YAML_DOCUMENT_END_EVENT && !done)
            rc = read_value(r, &event, 0, &r->tree->root);
        yaml_event_delete(&event);
        if (rc)
            return rc;
    }
    return 0;
}

int tree_read(const char *file, struct tree *tree, struct kg_error *err)
{
    struct reader r = { .file = file, .tree = tree, .err = err };
    int rc;

    *tree = (struct tree){ 0 };
    r.stream = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
    if (!r.stream)
        return kg_error_set(err, errno, "%s: cannot be read: %s", file, strerror(errno));
    if (!yaml_parser_initialize(&r.parser)) {
        rc = kg_error_set(err, ENOMEM, "%s: no memory", file);
    } else {
        yaml_parser_set_input(&r.parser, read_bytes, &r);
        rc = read_stream(&r);
        yaml_parser_delete(&r.parser);
    }
    tree->ended = ends_properly(&r);
    for (size_t i = 0; i < r.anchor_count; i++)
        free(r.anchors[i].name);
    free(r.anchors);
    if (r.stream != stdin)
        fclose(r.stream);
    return rc;
}

void tree_free(struct tree *tree)
{
    while (tree->last) {
        struct node *node = tree->last;

        tree->last = node->before;
        free(node->items);
        kg_wipe(node->text, node->len); /* it may have been a key */
        free(node);
    }
    *tree = (struct tree){ 0 };
}

/* ---- looking at nodes ---- */

static bool is_null(const struct node *node)
{
    return node->kind == NODE_SCALAR && !node->quoted &&
           (node->len == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

const struct node *node_field(const struct node *node, const char *name)
{
    const struct node *value = node && node->kind == NODE_MAP ? find_value(node, name) : NULL;

    return value && !is_null(value) ? value : NULL;
}

const struct node *node_spelled(const struct node *node, const char *const *names)
{
    const struct node *value = NULL;

    for (; !value && *names; names++)
        value = node_field(node, *names);
    return value;
}

const char *node_text(const struct node *node)
{
    return node && node->kind == NODE_SCALAR && !is_null(node) ? node->text : NULL;
}

bool node_is(const struct node *node, const char *text)
{
    const char *have = node_text(node);

    return have && strcmp(have, text) == 0;
}

bool node_number(const struct node *node, double *value)
{
    const char *text = node_text(node);
    char *end;

    if (!text || strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*value);
}

bool node_integer(const struct node *node, int64_t *value)
{
    double number;

    if (!node_number(node, &number) || number < -9e15 || number > 9e15)
        return false;
    *value = (int64_t)number;
    return (double)*value == number;
}

bool node_true(const struct node *node)
{
    return node_is(node, "true");
}

bool node_false(const struct node *node)
{
    return node_is(node, "false");
}
