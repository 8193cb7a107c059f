/* SPDX-License-Identifier: BSD-2-Clause */
/* /endpoints: every path that there is, as Kong lists them. */
#include "admin/call.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdlib.h>

#define ENDPOINTS_MAX 512
#define ENDPOINT_MAX  128

struct endpoints {
    char text[ENDPOINTS_MAX][ENDPOINT_MAX];
    size_t count;
};

static void start(struct endpoints *all, struct kg_writer *w)
{
    KG_ASSERT(all->count < ENDPOINTS_MAX);
    *w = kg_writer_of(all->text[all->count++], ENDPOINT_MAX - 1); /* zeroed: the end is there */
}

static void put_step(struct kg_writer *w, const char *text)
{
    KG_PUT(w, "/");
    kg_put(w, kg_slice_str(text));
}

static void put_name(struct kg_writer *w, const char *name)
{
    KG_PUT(w, "/{");
    kg_put(w, kg_slice_str(name));
    KG_PUT(w, "}");
}

/* A segment that may be anything is called by what stands before it. */
static void add_fixed(void *ctx, const char *const segments[KG_ADMIN_SEGMENTS])
{
    struct endpoints *all = ctx;
    struct kg_writer w;

    start(all, &w);
    if (!segments[0])
        KG_PUT(&w, "/");
    for (size_t i = 0; i < KG_ADMIN_SEGMENTS && segments[i]; i++) {
        if (segments[i][0] != '*')
            put_step(&w, segments[i]);
        else
            put_name(&w, segments[i - 1][0] == '*' ? "address" : segments[i - 1]);
    }
}

static void add_children(struct endpoints *all, const struct kg_entity *parent)
{
    for (size_t i = 0; i < KG_ENTITIES; i++) {
        const struct kg_entity *child = &kg_entities[i];

        for (int item = 0; kg_entity_link(child, parent) && item < 2; item++) {
            struct kg_writer w;

            start(all, &w);
            put_step(&w, parent->path);
            put_name(&w, parent->name);
            put_step(&w, child->nested_path);
            if (item)
                put_name(&w, child->name);
        }
    }
}

static void add_shortcuts(struct endpoints *all, const struct kg_entity *entity)
{
    for (const struct kg_field *field = entity->fields; field->name; field++) {
        struct kg_writer w;

        if (field->type != KG_F_FOREIGN)
            continue;
        start(all, &w);
        put_step(&w, entity->path);
        put_name(&w, entity->name);
        put_step(&w, field->name);
    }
}

static void add_entity(struct endpoints *all, const struct kg_entity *entity)
{
    struct kg_writer w;

    start(all, &w);
    put_step(&w, entity->path);
    start(all, &w);
    put_step(&w, entity->path);
    put_name(&w, entity->name);
    add_children(all, entity);
    add_shortcuts(all, entity);
}

/* By segments: a slash comes before every other byte, and the end before that. */
static int compare(const void *left, const void *right)
{
    const char *a = left, *b = right;

    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (*a == '/' ? 1 : (unsigned char)*a) - (*b == '/' ? 1 : (unsigned char)*b);
}

void kg_admin_endpoints(struct kg_call *call)
{
    struct endpoints *all = kg_calloc(1, sizeof(*all));
    json_t *data = json_array();

    kg_admin_each_fixed(add_fixed, all);
    for (size_t i = 0; i < KG_ENTITIES; i++) {
        if (!kg_entities[i].nested_only)
            add_entity(all, &kg_entities[i]);
    }
    qsort(all->text, all->count, sizeof(all->text[0]), compare);
    for (size_t i = 0; i < all->count; i++)
        json_array_append_new(data, json_string(all->text[i]));
    free(all);
    kg_reply_json(call, 200, json_pack("{s:o}", "data", data));
}
