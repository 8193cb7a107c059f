/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request to the Admin API while it is being answered: server.c and connection.c fill in what was asked,
 * router.c finds what is meant, a handler answers. Private to the admin room; control thread only.
 */
#ifndef KG_ADMIN_CALL_H
#define KG_ADMIN_CALL_H

#include "admin/admin.h"
#include "base/writer.h"
#include "http/head.h"
#include "http/uri.h"

#define KG_ADMIN_SEGMENTS 6
#define KG_ADMIN_PATH_MAX 8192
#define KG_ADMIN_BODY_MAX (10u << 20) /* of one request; Kong's limit */
#define KG_ADMIN_PAGE     100
#define KG_ADMIN_PAGE_MAX 1000
#define KG_ADMIN_BAN_S    300 /* when the configuration names no ban time */

/* Bits for struct kg_resource.methods. HEAD goes with GET, OPTIONS is always there. */
#define KG_ALLOW(method) (1u << (method))

struct kg_call;

/* What a path means: who handles it, and the entities it is about. */
struct kg_resource {
    void (*handle)(struct kg_call *call);
    unsigned methods;
    /* Of a fixed path whose segments say which entity: sets it; false when it has answered. May be NULL. */
    bool (*mean)(struct kg_call *call);
    const struct kg_entity
        *entity;         /* the one that is listed, made, shown or changed; also the schema of a form body */
    struct kg_slice ref; /* its id or endpoint key in the path */
    const struct kg_entity
        *parent; /* /parent/{parent_ref}/entity…, or the one whose foreign field `link` leads to entity */
    struct kg_slice parent_ref;
    const struct kg_field *link; /* the foreign field that joins the two */
    bool no_dry_run;             /* its writes cannot be tried */
    bool raw_body;               /* the handler reads the body itself, up to config_max */
};

struct kg_call {
    const struct kg_admin_parts *parts;
    uint32_t ban_s;
    size_t config_max;
    /* What was asked. Slices live in the connection's buffers. */
    const struct kg_head *head;
    enum kg_method method; /* HEAD has become GET */
    struct kg_slice path;  /* raw, without query */
    struct kg_slice query;
    struct kg_slice body;
    struct kg_slice segments[KG_ADMIN_SEGMENTS]; /* percent-decoded, into decoded */
    size_t segment_count;
    char decoded[KG_ADMIN_PATH_MAX];
    struct kg_resource resource;
    json_t *input; /* the body as an object; NULL for methods without one */
    bool dry_run;  /* ?dry_run=1 of a write: it is checked and answered, and nothing changes */
    /* The answer: json, or a NUL-terminated text of a type of its own (owned), or no body. */
    unsigned status;
    json_t *json;
    char *text; /* may hold keys: wiped when it is sent */
    struct kg_slice text_type;
    struct kg_event_listener *listener; /* behind the text its events follow, to no end; owned */
    unsigned allow;                     /* methods for an Allow header; 0: none */
};

/* router.c: answers the call. */
void kg_admin_dispatch(struct kg_call *call);

/* router.c: the paths that are not made from the table of entities; a segment "*" stands for any one. */
void kg_admin_each_fixed(void (*visit)(void *ctx, const char *const segments[KG_ADMIN_SEGMENTS]), void *ctx);

/* input.c: the body into call->input; false when it has answered instead. */
bool kg_admin_read_input(struct kg_call *call);

/* reply.c: answers; each takes over the reference it is given. */
void kg_reply_json(struct kg_call *call, unsigned status, json_t *json);
void kg_reply_empty(struct kg_call *call, unsigned status);
/* {"message": text}: static or short text. */
void kg_reply_message(struct kg_call *call, unsigned status, const char *text);
/* Kong's error object; its code chooses the status. */
void kg_reply_problem(struct kg_call *call, json_t *problem);
/* {code, name, message}: for what the schema room has no problem. */
json_t *kg_problem_new(int code, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "GET, HEAD, OPTIONS" in the order of the alphabet. */
void kg_reply_put_allow(struct kg_writer *w, unsigned methods);

/* query.c: one page's bounds from ?size= and ?offset=; false when it has answered. */
struct kg_page {
    size_t size;
    bool has_size;
    int64_t after;
    const char *more; /* what else `next` repeats where it repeats the size: "&tags=…", or NULL */
};
bool kg_admin_page(struct kg_call *call, struct kg_page *page);
/* A query argument decoded into buf; false when it is not there. What does not fit counts as empty, and so as
 * invalid. */
bool kg_admin_query_arg(struct kg_call *call, struct kg_slice name, char *buf, size_t cap,
                        struct kg_slice *value);
/* {"data": list, "next": …, "offset": …}; base is the path for next. Takes over list. */
json_t *kg_admin_page_json(const struct kg_page *page, json_t *list, int64_t after, const char *base,
                           bool repeat_size);

/* Percent-encodes all but RFC 3986's unreserved characters: at most three times as many bytes. */
void kg_admin_put_escaped(struct kg_writer *w, struct kg_slice text);

/* filter.c: what ?tags= and ?custom_id= ask for, its texts in buf; false when it has answered. */
bool kg_admin_filter(struct kg_call *call, struct kg_store_filter *filter, char buf[KG_ADMIN_PATH_MAX]);
/* The tags of it for `next`: at most three times as long as they came. */
void kg_admin_put_filter(struct kg_writer *w, const struct kg_store_filter *filter);
void kg_admin_tags(struct kg_call *call);
void kg_admin_tag(struct kg_call *call);

/* dry_run.c: reads ?dry_run= into the call; false when it has answered instead. */
bool kg_admin_read_dry_run(struct kg_call *call);
/* What a write that was only tried would have answered; takes over object. */
void kg_admin_reply_tried(struct kg_call *call, unsigned status, json_t *object);
/* What a DELETE would take away. */
void kg_admin_reply_tried_delete(struct kg_call *call, const char *id);

/* entities.c */
void kg_admin_collection(struct kg_call *call);
void kg_admin_item(struct kg_call *call);
void kg_admin_nested_collection(struct kg_call *call);
void kg_admin_nested_item(struct kg_call *call);
void kg_admin_shortcut(struct kg_call *call);

/* entities.c: a change that is durable, to the model. */
void kg_admin_tell_model(struct kg_call *call, const struct kg_entity *entity, const json_t *object);
/* The same, when it is visible, to those who listen to /events: "created", "updated" or "deleted". */
void kg_admin_tell_listeners(const struct kg_call *call, const struct kg_entity *entity, const json_t *object,
                             const char *action);

/* children.c: of entities that are written together with their children (a certificate with its SNIs). Adds
 * the name that a path gave to those of the input; false, and answered, when that cannot be. */
bool kg_admin_name_child(struct kg_call *call, const struct kg_field *children, struct kg_slice name);
/* The entity as it is stored now, with its children, which the model is told; takes over object. */
json_t *kg_admin_take_children(struct kg_call *call, const struct kg_entity *entity, json_t *object);

/* entities.c, for those that add something to an entity: what a reference names, or NULL; false, and
 * answered, when it is not there. */
bool kg_admin_find(struct kg_call *call, const struct kg_entity *entity, struct kg_slice ref, json_t **found);
bool kg_admin_find_child(struct kg_call *call, const json_t *parent, json_t **found);

/* rotate_key.c */
extern const struct kg_entity kg_admin_rotation_entity;
void kg_admin_rotate_key(struct kg_call *call);
void kg_admin_rotate_nested_key(struct kg_call *call);

/* upstreams.c */
/* Kong's words. Without checks only what an operator has said is known. */
const char *kg_admin_health_word(bool unhealthy, bool checked);
void kg_admin_upstream_health(struct kg_call *call);
void kg_admin_all_targets(struct kg_call *call);
void kg_admin_target_healthy(struct kg_call *call);
void kg_admin_target_unhealthy(struct kg_call *call);

/* config.c */
void kg_admin_config(struct kg_call *call);

/* system.c */
void kg_admin_root(struct kg_call *call);
void kg_admin_status(struct kg_call *call);
void kg_admin_stats(struct kg_call *call);
void kg_admin_plugins_enabled(struct kg_call *call);
bool kg_admin_database_reachable(struct kg_call *call);

/* metrics.c */
void kg_admin_metrics(struct kg_call *call);

/* endpoints.c */
void kg_admin_endpoints(struct kg_call *call);

/* schemas.c */
bool kg_admin_mean_schema(struct kg_call *call);
void kg_admin_schema(struct kg_call *call);
void kg_admin_validate(struct kg_call *call);
void kg_admin_plugin_schema(struct kg_call *call);
void kg_admin_plugin_config(struct kg_call *call);

/* bans.c */
extern const struct kg_entity kg_admin_ban_entity, kg_admin_allow_entity;
void kg_admin_bans(struct kg_call *call);
void kg_admin_ban(struct kg_call *call);
void kg_admin_allows(struct kg_call *call);
void kg_admin_allowed(struct kg_call *call);
json_t *kg_admin_ban_json(const struct kg_ban_info *info);
const char *kg_admin_check_address(const json_t *value, char scratch[256]);

/* stream.c */
void kg_admin_events(struct kg_call *call);

/* explain.c */
extern const struct kg_entity kg_admin_explain_entity;
void kg_admin_explain(struct kg_call *call);

#endif
