/* SPDX-License-Identifier: BSD-2-Clause */
#include "admin/call.h"

#include "http/uri.h"

#define READ    KG_ALLOW(KG_METHOD_GET)
#define REPLACE (KG_ALLOW(KG_METHOD_PUT) | KG_ALLOW(KG_METHOD_PATCH))
#define SET     KG_ALLOW(KG_METHOD_PUT)
#define REMOVE  KG_ALLOW(KG_METHOD_DELETE)
#define CREATE  KG_ALLOW(KG_METHOD_POST)

/* Paths that are not made from the table of entities. They win over it: no plugin can hide /plugins/enabled.
 */
struct fixed {
    const char *segments[KG_ADMIN_SEGMENTS]; /* "*" stands for any one */
    struct kg_resource resource;
};

static const struct fixed fixed_paths[] = {
    { { NULL }, { .handle = kg_admin_root, .methods = READ } },
    { { "status" }, { .handle = kg_admin_status, .methods = READ } },
    { { "status", "ready" }, { .handle = kg_admin_ready, .methods = READ } },
    { { "stats" }, { .handle = kg_admin_stats, .methods = READ } },
    { { "endpoints" }, { .handle = kg_admin_endpoints, .methods = READ } },
    { { "config" }, { .handle = kg_admin_config, .methods = READ | CREATE, .raw_body = true } },
    { { "plugins", "enabled" }, { .handle = kg_admin_plugins_enabled, .methods = READ } },
    { { "plugins", "schema", "*" }, { .handle = kg_admin_plugin_config, .methods = READ } },
    { { "schemas", "*" }, { .handle = kg_admin_schema, .methods = READ, .mean = kg_admin_mean_schema } },
    { { "schemas", "*", "validate" },
      { .handle = kg_admin_validate, .methods = CREATE, .mean = kg_admin_mean_schema } },
    { { "schemas", "plugins", "*" }, { .handle = kg_admin_plugin_schema, .methods = READ } },
    { { "tags" }, { .handle = kg_admin_tags, .methods = READ } },
    { { "tags", "*" }, { .handle = kg_admin_tag, .methods = READ } },
    { { "bans" },
      { .handle = kg_admin_bans,
        .methods = READ | CREATE,
        .entity = &kg_admin_ban_entity,
        .no_dry_run = true } },
    { { "bans", "*" }, { .handle = kg_admin_ban, .methods = READ | REMOVE, .no_dry_run = true } },
    { { "allow" },
      { .handle = kg_admin_allows,
        .methods = READ | CREATE,
        .entity = &kg_admin_allow_entity,
        .no_dry_run = true } },
    { { "allow", "*" }, { .handle = kg_admin_allowed, .methods = REMOVE, .no_dry_run = true } },
    { { "key-auths", "*", "rotate" },
      { .handle = kg_admin_rotate_key,
        .methods = CREATE,
        .entity = &kg_admin_rotation_entity,
        .no_dry_run = true } },
    { { "consumers", "*", "key-auth", "*", "rotate" },
      { .handle = kg_admin_rotate_nested_key,
        .methods = CREATE,
        .entity = &kg_admin_rotation_entity,
        .no_dry_run = true } },
    { { "explain" },
      { .handle = kg_admin_explain,
        .methods = CREATE,
        .entity = &kg_admin_explain_entity,
        .no_dry_run = true } },
    { { "events" }, { .handle = kg_admin_events, .methods = READ } },
    { { "metrics" }, { .handle = kg_admin_metrics, .methods = READ } },
    { { "upstreams", "*", "health" }, { .handle = kg_admin_upstream_health, .methods = READ } },
    { { "upstreams", "*", "targets", "all" }, { .handle = kg_admin_all_targets, .methods = READ } },
    { { "upstreams", "*", "targets", "*", "healthy" },
      { .handle = kg_admin_target_healthy,
        .methods = SET,
        .entity = &kg_entities[KG_TARGETS],
        .no_dry_run = true } },
    { { "upstreams", "*", "targets", "*", "unhealthy" },
      { .handle = kg_admin_target_unhealthy,
        .methods = SET,
        .entity = &kg_entities[KG_TARGETS],
        .no_dry_run = true } },
    { { "upstreams", "*", "targets", "*", "*", "healthy" },
      { .handle = kg_admin_target_healthy,
        .methods = SET,
        .entity = &kg_entities[KG_TARGETS],
        .no_dry_run = true } },
    { { "upstreams", "*", "targets", "*", "*", "unhealthy" },
      { .handle = kg_admin_target_unhealthy,
        .methods = SET,
        .entity = &kg_entities[KG_TARGETS],
        .no_dry_run = true } },
};

void kg_admin_each_fixed(void (*visit)(void *ctx, const char *const segments[KG_ADMIN_SEGMENTS]), void *ctx)
{
    for (size_t i = 0; i < sizeof(fixed_paths) / sizeof(fixed_paths[0]); i++)
        visit(ctx, fixed_paths[i].segments);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = kg_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One segment of a path, percent-decoded. False for a broken triplet or %00, which no name can hold. */
static bool decode_segment(struct kg_slice raw, struct kg_writer *out)
{
    for (size_t i = 0; i < raw.len; i++) {
        int high, low;

        if (raw.ptr[i] != '%') {
            kg_put_char(out, raw.ptr[i]);
            continue;
        }
        if (raw.len - i < 3)
            return false;
        high = hex_value(raw.ptr[i + 1]);
        low = hex_value(raw.ptr[i + 2]);
        if (high < 0 || low < 0 || high + low == 0)
            return false;
        kg_put_char(out, (char)(high << 4 | low));
        i += 2;
    }
    return !out->overflow;
}

/* Splits at raw slashes first, so that an encoded one stays inside its segment. False: no path of ours looks
 * like that. */
static bool split_path(struct kg_call *call)
{
    struct kg_writer out = kg_writer_of(call->decoded, sizeof(call->decoded));
    struct kg_slice rest = call->path;

    while (rest.len > 0) {
        size_t start = out.len;
        size_t len;

        rest = kg_slice_of(rest.ptr + 1, rest.len - 1); /* the slash */
        len = kg_slice_find(rest, '/');
        if (len == 0 && rest.len == 0)
            break; /* one slash at the end is tolerated */
        if (len == 0 || call->segment_count == KG_ADMIN_SEGMENTS)
            return false;
        if (!decode_segment(kg_slice_of(rest.ptr, len), &out))
            return false;
        call->segments[call->segment_count++] = kg_slice_of(call->decoded + start, out.len - start);
        rest = kg_slice_of(rest.ptr + len, rest.len - len);
    }
    return true;
}

static bool segment_fits(const struct kg_call *call, size_t i, const char *want)
{
    if (!want || i >= call->segment_count)
        return !want && i >= call->segment_count;
    return strcmp(want, "*") == 0 || kg_slice_eq(call->segments[i], kg_slice_str(want));
}

static bool fits(const struct kg_call *call, const struct fixed *fixed)
{
    for (size_t i = 0; i < KG_ADMIN_SEGMENTS; i++) {
        if (!segment_fits(call, i, fixed->segments[i]))
            return false;
    }
    return true;
}

static bool find_fixed(struct kg_call *call)
{
    for (size_t i = 0; i < sizeof(fixed_paths) / sizeof(fixed_paths[0]); i++) {
        if (!fits(call, &fixed_paths[i]))
            continue;
        call->resource = fixed_paths[i].resource;
        return true;
    }
    return false;
}

/* /parent/{p}/children and /parent/{p}/children/{c} */
static bool find_nested(struct kg_call *call, const struct kg_entity *parent)
{
    for (size_t i = 0; i < KG_ENTITIES; i++) {
        const struct kg_entity *child = &kg_entities[i];
        const struct kg_field *link = kg_entity_link(child, parent);

        if (!link || !kg_slice_eq(call->segments[2], kg_slice_str(child->nested_path)))
            continue;
        call->resource = (struct kg_resource){
            .handle = call->segment_count == 4 ? kg_admin_nested_item : kg_admin_nested_collection,
            .methods = call->segment_count == 4 ? READ | REPLACE | REMOVE : READ | CREATE,
            .entity = child,
            .ref = call->segments[3],
            .parent = parent,
            .parent_ref = call->segments[1],
            .link = link,
        };
        return true;
    }
    return false;
}

/* /entity/{e}/field: the entity that a foreign field leads to. */
static bool find_shortcut(struct kg_call *call, const struct kg_entity *entity)
{
    for (const struct kg_field *field = entity->fields; field->name; field++) {
        if (field->type != KG_F_FOREIGN || !kg_slice_eq(call->segments[2], kg_slice_str(field->name)))
            continue;
        call->resource = (struct kg_resource){
            .handle = kg_admin_shortcut,
            .methods = READ | REPLACE,
            .entity = &kg_entities[field->reference],
            .parent = entity,
            .parent_ref = call->segments[1],
            .link = field,
        };
        return true;
    }
    return false;
}

static bool find_entity(struct kg_call *call)
{
    const struct kg_entity *entity = call->segment_count > 0 ? kg_entity_by_path(call->segments[0]) : NULL;

    if (!entity || entity->nested_only || call->segment_count > 4)
        return false;
    if (call->segment_count > 2)
        return find_nested(call, entity) || (call->segment_count == 3 && find_shortcut(call, entity));
    call->resource = (struct kg_resource){
        .handle = call->segment_count == 2 ? kg_admin_item : kg_admin_collection,
        .methods = call->segment_count == 2 ? READ | REPLACE | REMOVE : READ | CREATE,
        .entity = entity,
        .ref = call->segments[1],
    };
    return true;
}

static bool takes_body(enum kg_method method)
{
    return method == KG_METHOD_POST || method == KG_METHOD_PUT || method == KG_METHOD_PATCH;
}

void kg_admin_dispatch(struct kg_call *call)
{
    if (!split_path(call) || !(find_fixed(call) || find_entity(call))) {
        kg_reply_message(call, 404, "Not found");
        return;
    }
    if (call->method == KG_METHOD_OPTIONS) {
        call->allow = call->resource.methods;
        kg_reply_empty(call, 204);
        return;
    }
    if (!(call->resource.methods & KG_ALLOW(call->method))) {
        call->allow = call->resource.methods;
        kg_reply_message(call, 405, "Method not allowed");
        return;
    }
    if (call->resource.mean && !call->resource.mean(call))
        return;
    if (!kg_admin_read_dry_run(call) ||
        (takes_body(call->method) && !call->resource.raw_body && !kg_admin_read_input(call)))
        return;
    if (call->dry_run)
        kg_store_rehearse(call->parts->store, true);
    call->resource.handle(call);
    if (call->dry_run)
        kg_store_rehearse(call->parts->store, false);
}
