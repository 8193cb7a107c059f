/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keyctl convert: another gateway's file into the declarative format. The file is read into a tree of nodes
 * that know their place (convert_read.c); what stands in it is looked up by id (convert_names.c) and mapped,
 * entity by entity (convert_upstream.c, convert_plugins.c, convert_routes.c, convert_consumers.c), into JSON
 * that yaml.c prints. What has no counterpart is said on standard error as it is met (convert_report.c).
 * Nothing is sent anywhere. One thread.
 */
#ifndef KG_KEYCTL_CONVERT_H
#define KG_KEYCTL_CONVERT_H

#include "keyctl/keyctl.h"

/* ---- the file as it is: convert_read.c ---- */

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

/* Owned by its tree; an alias and its anchor are one node. Valid UTF-8 without NUL. */
struct node {
    enum node_kind kind;
    bool quoted; /* a scalar that is text whatever it looks like */
    bool open;   /* still being read */
    uint32_t line, column;
    struct node **items; /* of a list; of a map: key, value, key, value … */
    size_t count, cap;   /* of items */
    size_t weight;       /* nodes in it with all aliases followed */
    struct node *before; /* the node made before this one */
    size_t len;
    char text[]; /* of a scalar, NUL-terminated */
};

struct tree {
    struct node *root; /* NULL for a file of nothing */
    struct node *last; /* chain of all nodes, by before */
    size_t nodes;
    bool ended; /* the last thing in the file is #END */
    bool json;  /* the first thing in it is a brace */
};

/* The YAML or JSON in a file, "-" for standard input: 0, or -errno and "FILE:LINE:COLUMN: …". tree_free in
 * both cases. */
int tree_read(const char *file, struct tree *tree, struct kg_error *err);
void tree_free(struct tree *tree);

/* A map's value under this name; NULL when it is missing or null, or node is no map. */
const struct node *node_field(const struct node *node, const char *name);
/* The same, of several spellings the first that is there. names are ended by NULL. */
const struct node *node_spelled(const struct node *node, const char *const *names);
/* The text of a scalar, or NULL. */
const char *node_text(const struct node *node);
bool node_is(const struct node *node, const char *text);
/* Whether it is a whole number, which then is in *value. */
bool node_integer(const struct node *node, int64_t *value);
bool node_number(const struct node *node, double *value);
bool node_true(const struct node *node);
bool node_false(const struct node *node);

/* ---- what is made of it ---- */

/* How requests reach an upstream. */
struct reach {
    const struct node *node; /* the upstream's own */
    json_t *upstream;        /* its name, borrowed; NULL: nowhere */
    int64_t retries;
    bool https, preserve_host;
};

/* A route, a service, … of the file. */
struct item {
    const struct node *node;
    const struct item *parent; /* a route's service that it is nested in */
    const char *kind;          /* "route" */
    const char *label;         /* what its owner calls it: name or id */
    json_t *name;              /* owned: what it is called in the output; NULL until it is written */
    struct reach reach;        /* of an upstream, once it has a name; of a service, where its routes lead */
    bool locked;               /* a plugin that kept somebody out could not be carried over */
    bool failed;               /* it could not be written at all */
};

struct items {
    struct item *list;
    size_t count;
    json_t *by_id; /* id → index in the list */
};

/* Lists of the output. */
enum part {
    PART_UPSTREAMS,
    PART_SERVICES,
    PART_ROUTES,
    PART_CONSUMERS,
    PART_PLUGINS,
    PART_CERTIFICATES,
    PARTS,
};

struct convert {
    const char *file;
    struct tree tree;
    struct items upstreams, services, routes, consumers, credentials, plugin_configs, groups, ssls;
    json_t *out[PARTS];
    json_t *used[PARTS]; /* names given away; of certificates their SNIs */
    json_t *acl_users;   /* consumers that some consumer-restriction names */
    json_t *acl_groups;  /* the same of consumer groups */
    size_t left_out;
    size_t copied; /* values that more than one entity was given */
};

/* ---- convert_report.c ---- */

/* "FILE:LINE:COLUMN: route "r1": …" on standard error, and counted. at says where, or NULL for the item's own
 * place; item may be NULL. Never put a value of the file into it, for it may be a secret; names may. */
void leave_out(struct convert *c, const struct item *item, const struct node *at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with "note: " in front, not counted: no request is served otherwise than before. */
void note(struct convert *c, const struct item *item, const struct node *at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Leaves out each field of the map that is not among those known, naming it behind the prefix ("checks."). */
void leave_unknown(struct convert *c, const struct item *item, const struct node *map, const char *prefix,
                   const char *const *known);

/* ---- convert_names.c ---- */

/* Puts the items of a list of the file into items. parent as in struct item. */
void add_items(struct convert *c, struct items *items, const struct node *all, const char *kind,
               const struct item *parent);
struct item *find_item(const struct items *items, const char *id);
/* A valid name that no other entity of this part has. */
json_t *give_name(struct convert *c, enum part part, const struct item *item);
/* labels as tags. */
void put_tags(struct convert *c, const struct item *item, json_t *entity);
/* A uri of APISIX as a path of a route, or NULL when it is none. *inner: it has a star before its end. */
json_t *make_path(const char *uri, bool *inner);
/* nginx's name of a header, "http_x_team", as "x-team": false when it names none. */
#define HEADER_CAP 128
bool header_of(const char *variable, char out[HEADER_CAP]);
/* The texts of a scalar or of a list of scalars; NULL for neither. */
json_t *make_texts(const struct node *node);
/* Accounts for values that are written once more: false when it has become too much, having said so. */
bool may_copy(struct convert *c, const struct item *item, size_t values);

/* ---- convert_upstream.c ---- */

/* Writes the upstream unless an earlier call has; item->reach says how it is reached. */
void put_upstream(struct convert *c, struct item *item);
/* The fields of a service that lead there; timeout: a route's own, or NULL. */
void put_reach(struct convert *c, const struct item *item, json_t *service, const struct reach *reach,
               const struct node *timeout);
/* convert_checks.c: health checks. */
void put_checks(struct convert *c, const struct item *item, const struct node *checks, json_t *upstream);

/* ---- convert_plugins.c ---- */

#define PLUGINS_MOST 128

/* What is in force on an entity: name and configuration, the later put before the earlier. */
struct plugin_set {
    struct {
        const char *name;
        const struct node *name_node, *config;
    } list[PLUGINS_MOST];
    size_t count;
};

/* Adds a map of plugins; what is in the set already gives way. */
void overlay_plugins(struct convert *c, const struct item *item, struct plugin_set *set,
                     const struct node *plugins);
bool plugin_disabled(const struct node *config);
/* Writes them into the array: false when one that keeps somebody out could not be carried over. */
bool put_plugins(struct convert *c, const struct item *item, const struct plugin_set *set, json_t *array);
/* convert_limits.c: the config of rate-limiting, or NULL having said why not. */
json_t *map_limit_count(struct convert *c, const struct item *item, const struct node *config);

/* ---- convert_routes.c, convert_vars.c, convert_consumers.c ---- */

/* What every request meets. */
void put_global_rules(struct convert *c, const struct node *rules);
void put_services(struct convert *c);
void put_routes(struct convert *c);
/* Conditions on headers into the route: false when there are others, having said so. */
bool put_vars(struct convert *c, const struct item *item, json_t *route);
void put_consumers(struct convert *c);
/* The environment variable that a secret is taken from, $env://NAME or ${{NAME}}: false when it is none. */
bool variable_of(const char *secret, struct kg_slice *name);
/* convert_ssls.c: certificates. */
void put_ssls(struct convert *c);

/* convert_order.c: where keygate's order of routes is another than APISIX's, makes the routes so that it is
 * not, or says so. written: the items of the routes of the output, in its order. */
void keep_order(struct convert *c, const struct item *const *written);

#endif
