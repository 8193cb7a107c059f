/* SPDX-License-Identifier: BSD-2-Clause */
/* ?dry_run=1: a write that is checked as any other, answered, and not done. */
#include "admin/call.h"

#include "http/uri.h"

/* 1, 0, or -1 for what is neither. */
static int truth(struct kg_slice text)
{
    if (kg_slice_eq(text, KG_SLICE("1")) || kg_slice_eq(text, KG_SLICE("true")))
        return 1;
    return kg_slice_eq(text, KG_SLICE("0")) || kg_slice_eq(text, KG_SLICE("false")) ? 0 : -1;
}

/* A value that is not understood must not end in a write. */
bool kg_admin_read_dry_run(struct kg_call *call)
{
    struct kg_slice raw = { 0 };
    bool bare = false;
    int wanted, count = kg_query_find(call->query, KG_SLICE("dry_run"), &raw, &bare);

    if (call->method == KG_METHOD_GET || count == 0)
        return true;
    wanted = count > 1 ? -1 : bare ? 1 : truth(raw);
    call->dry_run = wanted == 1;
    if (wanted < 0)
        kg_reply_message(call, 400, "dry_run must be 1 or 0");
    else if (call->dry_run && call->resource.no_dry_run)
        kg_reply_message(call, 400, "dry_run: not supported here");
    return wanted >= 0 && !(call->dry_run && call->resource.no_dry_run);
}

/* A key that was made for this answer alone would be taken for one that works. */
static void hide_made(struct kg_call *call, json_t *object)
{
    for (const struct kg_field *field = call->resource.entity->fields; field->name; field++) {
        if (field->secret && field->automatic && !json_object_get(call->input, field->name))
            json_object_set_new(object, field->name, json_null());
    }
}

void kg_admin_reply_tried(struct kg_call *call, unsigned status, json_t *object)
{
    if (call->method != KG_METHOD_PATCH)
        hide_made(call, object);
    kg_reply_json(call, status, object);
}

void kg_admin_reply_tried_delete(struct kg_call *call, const char *id)
{
    const struct kg_entity *entity = call->resource.entity;
    json_t *counts = kg_store_count_cascade(call->parts->store, entity->id, id);

    if (!counts) {
        kg_reply_message(call, 500, "the database cannot be read");
        return;
    }
    json_object_set_new(counts, entity->path, json_integer(1));
    kg_reply_json(call, 200, json_pack("{s:o}", "deletes", counts));
}
