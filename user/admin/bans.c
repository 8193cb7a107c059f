/* SPDX-License-Identifier: BSD-2-Clause */
/* /bans and /allow: not entities of the store, but checked by the same schema, so that mistakes are told in
 * the same shape. */
#include "admin/call.h"

#include "base/clock.h"

#include <errno.h>

const char *kg_admin_check_address(const json_t *value, char scratch[256])
{
    struct kg_addr addr;

    return kg_addr_parse(kg_slice_str(json_string_value(value)), &addr) < 0
               ? "expected an IPv4 or IPv6 address"
               : NULL;
}

static const char *check_network(const json_t *value, char scratch[256])
{
    struct kg_net net;
    int rc = kg_net_parse(kg_slice_str(json_string_value(value)), &net);

    if (rc == -EDOM)
        return "a network has no bits set behind its prefix";
    return rc < 0 ? "expected an address or a network such as 192.0.2.0/24" : NULL;
}

static const char *check_comment(const json_t *value, char scratch[256])
{
    return json_string_length(value) >= sizeof(((struct kg_allow_record *)0)->comment)
               ? "length must be at most 127"
               : NULL;
}

/* kg_schema_apply gives everything an id and a moment of creation; neither is used here. */
#define FIELD_ID                                                                                             \
    {                                                                                                        \
        .name = "id", .type = KG_F_UUID                                                                      \
    }
#define FIELD_CREATED_AT                                                                                     \
    {                                                                                                        \
        .name = "created_at", .type = KG_F_TIMESTAMP                                                         \
    }

static const struct kg_field ban_fields[] = {
    FIELD_ID,
    { .name = "address", .type = KG_F_STRING, .required = true, .check = kg_admin_check_address },
    { .name = "ttl", .type = KG_F_INTEGER, .bounded = true, .min = 0, .max = 100000000 },
    FIELD_CREATED_AT,
    { .name = NULL },
};

static const struct kg_field allow_fields[] = {
    FIELD_ID,
    { .name = "network", .type = KG_F_STRING, .required = true, .check = check_network },
    { .name = "comment", .type = KG_F_STRING, .check = check_comment },
    FIELD_CREATED_AT,
    { .name = NULL },
};

const struct kg_entity kg_admin_ban_entity = {
    .id = KG_ENTITIES, .name = "bans", .path = "bans", .fields = ban_fields
};
const struct kg_entity kg_admin_allow_entity = {
    .id = KG_ENTITIES, .name = "allow", .path = "allow", .fields = allow_fields
};

/* Without a guard there is nobody to ask. */
static bool have_guard(struct kg_call *call)
{
    if (call->parts->guard)
        return true;
    kg_reply_message(call, 503, "the guard is not running");
    return false;
}

static json_t *checked_input(struct kg_call *call)
{
    json_t *object = NULL;
    json_t *problem = NULL;

    if (kg_schema_apply(call->resource.entity, KG_WRITE_CREATE, call->input, NULL, &object, &problem) == 0)
        return object;
    kg_reply_problem(call, problem);
    return NULL;
}

/* The guard's sentence. What it will not do for anyone, and what passes a configured limit, is a bad request.
 */
static void guard_refused(struct kg_call *call, int rc, const struct kg_error *err)
{
    bool theirs = rc == -EPERM || rc == -EINVAL || rc == -ENOSPC;

    kg_reply_message(call, theirs ? 400 : 500, err->text);
}

static json_t *source_text(const struct kg_addr *source)
{
    char text[KG_ADDR_TEXT];

    return json_string(kg_addr_text(source, text));
}

json_t *kg_admin_ban_json(const struct kg_ban_info *info)
{
    int64_t left = info->expires - kg_clock_wall();

    return json_pack("{s:o,s:s,s:I,s:o,s:o,s:I,s:I}", "address", source_text(&info->source), "reason",
                     kg_ban_reason_name(info->reason), "since", (json_int_t)info->since, "expires",
                     info->expires ? json_integer(info->expires) : json_null(), "expires_in",
                     info->expires ? json_integer(left > 0 ? left : 0) : json_null(), "drops",
                     (json_int_t)info->drops, "offences", (json_int_t)info->offences);
}

static void add_ban(void *ctx, const struct kg_ban_info *info)
{
    json_array_append_new(ctx, kg_admin_ban_json(info));
}

static void create_ban(struct kg_call *call)
{
    json_t *object = checked_input(call);
    const json_t *ttl = json_object_get(object, "ttl");
    uint32_t lifetime = json_is_integer(ttl) ? (uint32_t)json_integer_value(ttl) : call->ban_s;
    struct kg_ban_info info = { 0 };
    struct kg_error err = { "" };
    struct kg_addr addr;
    int rc;

    if (!object)
        return;
    rc = kg_addr_parse(kg_slice_str(json_string_value(json_object_get(object, "address"))), &addr);
    json_decref(object);
    if (rc == 0) {
        addr = kg_addr_source(&addr);
        rc = kg_guard_ban(call->parts->guard, &addr, lifetime, &info, &err);
    }
    if (rc < 0 && rc != -ENOSPC) {
        guard_refused(call, rc, &err);
        return;
    }
    /* A full map is no failure: the ban is stored, and enforced in user space. Say so beside it. */
    if (rc == -ENOSPC && kg_guard_ban_get(call->parts->guard, &addr, &info) < 0) {
        guard_refused(call, rc, &err);
        return;
    }
    kg_reply_json(call, 201, kg_admin_ban_json(&info));
    if (rc == -ENOSPC)
        json_object_set_new(call->json, "note", json_string(err.text));
}

void kg_admin_bans(struct kg_call *call)
{
    json_t *data;

    if (!have_guard(call))
        return;
    if (call->method == KG_METHOD_POST) {
        create_ban(call);
        return;
    }
    data = json_array();
    kg_guard_each_ban(call->parts->guard, add_ban, data);
    kg_reply_json(call, 200, json_pack("{s:o,s:n}", "data", data, "next"));
}

void kg_admin_ban(struct kg_call *call)
{
    struct kg_ban_info info = { 0 };
    struct kg_error err = { "" };
    struct kg_addr addr;
    int rc;

    if (!have_guard(call))
        return;
    rc = kg_addr_parse(call->segments[1], &addr);
    if (rc == 0) {
        addr = kg_addr_source(&addr);
        rc = call->method == KG_METHOD_DELETE ? kg_guard_unban(call->parts->guard, &addr, &err)
                                              : kg_guard_ban_get(call->parts->guard, &addr, &info);
    }
    if (rc == -ENOENT || rc == -EINVAL)
        kg_reply_message(call, 404, "Not found");
    else if (rc < 0)
        guard_refused(call, rc, &err);
    else if (call->method == KG_METHOD_DELETE)
        kg_reply_empty(call, 204);
    else
        kg_reply_json(call, 200, kg_admin_ban_json(&info));
}

static json_t *allow_json(const struct kg_allow_record *record, bool from_config)
{
    char text[KG_ADDR_TEXT];
    json_t *comment = record->comment[0] ? json_string(record->comment) : NULL;

    return json_pack("{s:s,s:o,s:o,s:s}", "network", kg_net_text(&record->net, text), "comment",
                     comment ? comment : json_null(), "created_at",
                     record->created_at ? json_integer(record->created_at) : json_null(), "source",
                     from_config ? "config" : "api");
}

static void add_allow(void *ctx, const struct kg_allow_record *record, bool from_config)
{
    json_array_append_new(ctx, allow_json(record, from_config));
}

struct search {
    struct kg_net net;
    json_t *found; /* the entity; what the API made is preferred over what the file names */
};

static void match_allow(void *ctx, const struct kg_allow_record *record, bool from_config)
{
    struct search *search = ctx;

    if (record->net.prefix_len != search->net.prefix_len || !kg_addr_eq(&record->net.addr, &search->net.addr))
        return;
    if (search->found && from_config)
        return;
    json_decref(search->found);
    search->found = allow_json(record, from_config);
}

static void create_allow(struct kg_call *call)
{
    json_t *object = checked_input(call);
    const char *comment = json_string_value(json_object_get(object, "comment"));
    struct search search = { 0 };
    struct kg_error err = { "" };
    int rc;

    if (!object)
        return;
    rc = kg_net_parse(kg_slice_str(json_string_value(json_object_get(object, "network"))), &search.net);
    if (rc == 0)
        rc = kg_guard_allow(call->parts->guard, &search.net, comment ? comment : "", &err);
    json_decref(object);
    if (rc == 0)
        kg_guard_each_allow(call->parts->guard, match_allow, &search);
    if (rc < 0)
        guard_refused(call, rc, &err);
    else if (search.found)
        kg_reply_json(call, 201, search.found);
    else
        kg_reply_message(call, 500, "the network was not kept");
}

void kg_admin_allows(struct kg_call *call)
{
    json_t *data;

    if (!have_guard(call))
        return;
    if (call->method == KG_METHOD_POST) {
        create_allow(call);
        return;
    }
    data = json_array();
    kg_guard_each_allow(call->parts->guard, add_allow, data);
    kg_reply_json(call, 200, json_pack("{s:o,s:n}", "data", data, "next"));
}

void kg_admin_allowed(struct kg_call *call)
{
    struct kg_error err = { "" };
    struct kg_net net;
    int rc;

    if (!have_guard(call))
        return;
    rc = kg_net_parse(call->segments[1], &net);
    rc = rc < 0 ? -ENOENT : kg_guard_disallow(call->parts->guard, &net, &err);
    if (rc == -ENOENT || rc > 0)
        kg_reply_message(call, 404, "Not found");
    else if (rc < 0)
        guard_refused(call, rc, &err);
    else
        kg_reply_empty(call, 204);
}
