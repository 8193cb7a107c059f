/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A YAML document as a tree that knows where each value stands. An alias points at the tree of its anchor, so
 * that a bomb of anchors stays as small as its text. Any thread; no value is looked at here.
 */
#ifndef KG_STORE_YAML_TREE_H
#define KG_STORE_YAML_TREE_H

#include "base/error.h"
#include "model/arena.h"

#define KG_YAML_DEPTH 32 /* levels of lists and maps in each other; entities need ten */

enum kg_yaml_kind { KG_YAML_SCALAR, KG_YAML_LIST, KG_YAML_MAP, KG_YAML_ALIAS };

struct kg_yaml {
    union {
        const char *text;             /* of a scalar, NUL behind it */
        struct kg_yaml *first;        /* of a list its items, of a map key, value, key, value … */
        const struct kg_yaml *target; /* of an alias; never an alias itself */
    };
    struct kg_yaml *next;
    uint32_t len;  /* bytes of a scalar */
    uint32_t line; /* from 1; like the column of its first byte */
    uint32_t column : 24;
    uint32_t kind : 6;   /* enum kg_yaml_kind */
    uint32_t plain : 1;  /* a scalar without quotes and tag, which may be a number */
    uint32_t tagged : 1; /* a scalar with the tag ! or !!str: a text, just as it stands there */
};

struct kg_yaml_tree {
    struct kg_arena arena;
    struct kg_yaml *root; /* NULL: there is no document */
};

struct kg_yaml_place {
    uint32_t line, column; /* from 1; 0: the whole text */
};

/*
 * Reads one document of at most max_nodes values. 0, or -EINVAL with what is wrong and its place; the tree is
 * to be freed in both cases.
 */
int kg_yaml_read(struct kg_slice text, size_t max_nodes, struct kg_yaml_tree *tree,
                 struct kg_yaml_place *place, struct kg_error *err);
/* Wiped first: it may have held keys. */
void kg_yaml_free(struct kg_yaml_tree *tree);

/* What an alias stands for; anything else is itself. NULL stays NULL. */
static inline const struct kg_yaml *kg_yaml_real(const struct kg_yaml *node)
{
    return node && node->kind == KG_YAML_ALIAS ? node->target : node;
}

static inline struct kg_slice kg_yaml_text(const struct kg_yaml *scalar)
{
    return kg_slice_of(scalar->text, scalar->len);
}

/* The scalar that is this name in a map, or NULL; its `next` is the value. Merge keys are resolved. */
const struct kg_yaml *kg_yaml_find(const struct kg_yaml *map, struct kg_slice name);

#endif
