/* SPDX-License-Identifier: BSD-2-Clause */
/* /schemas: what entities and plugins consist of, and whether an entity would be taken. */
#include "admin/call.h"

static void no_such(struct kg_call *call, const char *what, struct kg_slice name)
{
    json_t *text = json_sprintf("No %s named '%.*s'", what, (int)name.len, name.ptr);

    /* A name that is not UTF-8 makes no message. */
    if (text)
        kg_reply_json(call, 404, json_pack("{s:o}", "message", text));
    else
        kg_reply_message(call, 404, "Not found");
}

bool kg_admin_mean_schema(struct kg_call *call)
{
    for (size_t i = 0; i < KG_ENTITIES; i++) {
        if (!kg_slice_eq(call->segments[1], kg_slice_str(kg_entities[i].name)))
            continue;
        call->resource.entity = &kg_entities[i];
        return true;
    }
    no_such(call, "entity", call->segments[1]);
    return false;
}

void kg_admin_schema(struct kg_call *call)
{
    kg_reply_json(call, 200, kg_schema_json(call->resource.entity));
}

void kg_admin_validate(struct kg_call *call)
{
    json_t *whole = NULL, *problem = NULL;

    if (kg_schema_apply(call->resource.entity, KG_WRITE_CREATE, call->input, NULL, &whole, &problem) < 0) {
        kg_reply_problem(call, problem);
        return;
    }
    json_decref(whole);
    kg_reply_message(call, 200, "schema validation successful");
}

/* The plugin that the last segment names, or NULL and answered. */
static const struct kg_plugin_type *find_plugin(struct kg_call *call)
{
    const struct kg_plugin_type *type;

    for (size_t i = 0; (type = kg_plugin_at(i)); i++) {
        if (kg_slice_eq(call->segments[2], kg_slice_str(type->name)))
            return type;
    }
    no_such(call, "plugin", call->segments[2]);
    return NULL;
}

void kg_admin_plugin_schema(struct kg_call *call)
{
    const struct kg_plugin_type *type = find_plugin(call);

    if (type)
        kg_reply_json(call, 200, kg_plugin_schema_json(type));
}

void kg_admin_plugin_config(struct kg_call *call)
{
    const struct kg_plugin_type *type = find_plugin(call);

    if (type)
        kg_reply_json(call, 200, kg_plugin_config_json(type));
}
