/* SPDX-License-Identifier: BSD-2-Clause */
/* Upstreams: nodes, balancing, and how a service reaches them. */
#include "keyctl/convert.h"

#include <stdlib.h>

#define WEIGHT_MOST  65535
#define RETRIES_MOST 32767

static const char *const known[] = {
    "id",          "name",    "desc",         "labels",         "nodes",
    "type",        "hash_on", "key",          "checks",         "scheme",
    "retries",     "timeout", "pass_host",    "upstream_host",  "create_time",
    "update_time", "tls",     "service_name", "discovery_type", "keepalive_pool",
    NULL,
};

/* ---- targets ---- */

struct targets {
    json_t *list;
    int64_t best; /* the highest priority of them */
    unsigned port;
};

static void add_target(struct convert *c, const struct item *item, struct targets *targets, const char *host,
                       int64_t port, const struct node *weight_node)
{
    bool bare = strchr(host, ':') && host[0] != '[' && strchr(strchr(host, ':') + 1, ':');
    int64_t weight = 1;
    char text[512];

    if (weight_node && (!node_integer(weight_node, &weight) || weight < 0)) {
        leave_out(c, item, weight_node, "nodes: expected a weight, a whole number from 0 on; 1 is taken");
        weight = 1;
    }
    if (weight > WEIGHT_MOST) {
        leave_out(c, item, weight_node, "nodes: a weight over %d; that is taken", WEIGHT_MOST);
        weight = WEIGHT_MOST;
    }
    snprintf(text, sizeof(text), bare ? "[%s]:%lld" : "%s:%lld", host, (long long)port);
    json_array_append_new(targets->list,
                          json_pack("{s:s,s:I}", "target", text, "weight", (json_int_t)weight));
}

/* "host:port": weight. */
static void map_targets(struct convert *c, const struct item *item, const struct node *nodes,
                        struct targets *targets)
{
    for (size_t i = 0; i + 1 < nodes->count; i += 2) {
        const char *text = nodes->items[i]->text, *colon = strrchr(text, ':');
        const char *bracket = strrchr(text, ']');
        uint64_t port = targets->port;
        char host[256];
        size_t len = strlen(text);

        if (colon && (!bracket || bracket < colon) && kg_slice_u64(kg_slice_str(colon + 1), &port) == 0)
            len = (size_t)(colon - text);
        if (len == 0 || len >= sizeof(host) || port == 0 || port > 65535) {
            leave_out(c, item, nodes->items[i], "nodes: expected HOST or HOST:PORT");
            continue;
        }
        snprintf(host, sizeof(host), "%.*s", (int)len, text);
        add_target(c, item, targets, host, (int64_t)port, nodes->items[i + 1]);
    }
}

static int64_t priority_of(const struct node *node)
{
    int64_t priority = 0;

    (void)node_integer(node_field(node, "priority"), &priority);
    return priority;
}

static void list_target(struct convert *c, const struct item *item, const struct node *node,
                        struct targets *targets)
{
    static const char *const fields[] = { "host", "port", "weight", "priority", NULL };
    const char *host = node_text(node_field(node, "host"));
    const struct node *port_node = node_field(node, "port");
    int64_t port = targets->port;

    leave_unknown(c, item, node, "nodes.", fields);
    if (!host || strlen(host) > 255 ||
        (port_node && (!node_integer(port_node, &port) || port < 1 || port > 65535))) {
        leave_out(c, item, node, "nodes: expected a host, and a port from 1 to 65535");
        return;
    }
    add_target(c, item, targets, host, port, node_field(node, "weight"));
    if (priority_of(node) == targets->best)
        return;
    /* What serves while others are down would serve always. */
    leave_out(c, item, node_field(node, "priority"), "nodes.priority: a node in reserve gets the weight 0");
    json_object_set_new(json_array_get(targets->list, json_array_size(targets->list) - 1), "weight",
                        json_integer(0));
}

/* A name that DNS is asked for is a target like any. */
static void discover(struct convert *c, const struct item *item, struct targets *targets)
{
    const struct node *name = node_field(item->node, "service_name");
    const char *text = node_text(name), *colon = text ? strrchr(text, ':') : NULL;
    uint64_t port = targets->port;
    char host[256];

    if (!node_is(node_field(item->node, "discovery_type"), "dns") || !text || strlen(text) > 255) {
        leave_out(c, item, name, "service_name: keygate discovers by DNS alone; it has no targets now");
        return;
    }
    if (colon && kg_slice_u64(kg_slice_str(colon + 1), &port))
        colon = NULL;
    snprintf(host, sizeof(host), "%.*s", (int)(colon ? (size_t)(colon - text) : strlen(text)), text);
    add_target(c, item, targets, host, (int64_t)port, NULL);
}

static json_t *make_targets(struct convert *c, const struct item *item, bool https)
{
    struct targets targets = { .list = json_array(), .best = INT64_MIN, .port = https ? 443 : 80 };
    const struct node *nodes = node_field(item->node, "nodes");

    if (nodes && nodes->kind == NODE_MAP)
        map_targets(c, item, nodes, &targets);
    for (size_t i = 0; nodes && nodes->kind == NODE_LIST && i < nodes->count; i++)
        targets.best =
            priority_of(nodes->items[i]) > targets.best ? priority_of(nodes->items[i]) : targets.best;
    for (size_t i = 0; nodes && nodes->kind == NODE_LIST && i < nodes->count; i++)
        list_target(c, item, nodes->items[i], &targets);
    if (nodes && nodes->kind == NODE_SCALAR)
        leave_out(c, item, nodes, "nodes: expected a map or a list");
    if (!nodes && node_field(item->node, "service_name"))
        discover(c, item, &targets);
    return targets.list;
}

/* ---- balancing ---- */

static bool hash_on_variable(json_t *upstream, const char *key)
{
    char name[HEADER_CAP];

    if (header_of(key, name)) {
        json_object_set_new(upstream, "hash_on", json_string("header"));
        json_object_set_new(upstream, "hash_on_header", json_string(name));
    } else if (strncmp(key, "cookie_", 7) == 0) {
        json_object_set_new(upstream, "hash_on", json_string("cookie"));
        json_object_set_new(upstream, "hash_on_cookie", json_string(key + 7));
    } else if (strncmp(key, "arg_", 4) == 0) {
        json_object_set_new(upstream, "hash_on", json_string("query_arg"));
        json_object_set_new(upstream, "hash_on_query_arg", json_string(key + 4));
    } else if (strcmp(key, "uri") == 0) {
        json_object_set_new(upstream, "hash_on", json_string("path"));
    } else {
        return false;
    }
    return true;
}

static bool hash_on(json_t *upstream, const char *on, const char *key)
{
    char variable[256];

    if (strcmp(on, "consumer") == 0) {
        json_object_set_new(upstream, "hash_on", json_string("consumer"));
        return true;
    }
    if (strcmp(on, "header") == 0 || strcmp(on, "cookie") == 0) {
        snprintf(variable, sizeof(variable), "%s_%s", on[0] == 'h' ? "http" : "cookie", key);
        return *key && hash_on_variable(upstream, variable);
    }
    return strcmp(on, "vars") == 0 && hash_on_variable(upstream, key);
}

/* Where what is hashed on is missing, the client's address is hashed, as in APISIX. */
static void put_hash(struct convert *c, const struct item *item, json_t *upstream)
{
    const char *on = node_text(node_field(item->node, "hash_on"));
    const struct node *key_node = node_field(item->node, "key");
    const char *key = node_text(key_node);

    on = on ? on : "vars";
    key = key ? key : "";
    json_object_set_new(upstream, "algorithm", json_string("consistent-hashing"));
    json_object_set_new(upstream, "hash_on", json_string("ip"));
    if (strcmp(on, "vars") == 0 &&
        (strcmp(key, "remote_addr") == 0 || strcmp(key, "binary_remote_addr") == 0))
        return;
    if (!hash_on(upstream, on, key)) {
        leave_out(c, item, key_node, "key: keygate cannot hash on it; the client's address is hashed");
        return;
    }
    if (json_object_get(upstream, "hash_on_cookie"))
        note(c, item, key_node, "key: a client without the cookie is given one");
    else
        json_object_set_new(upstream, "hash_fallback", json_string("ip"));
}

static void put_algorithm(struct convert *c, const struct item *item, json_t *upstream)
{
    const struct node *type = node_field(item->node, "type");

    if (node_is(type, "chash"))
        put_hash(c, item, upstream);
    else if (node_is(type, "least_conn"))
        json_object_set_new(upstream, "algorithm", json_string("least-connections"));
    else if (type && !node_is(type, "roundrobin"))
        leave_out(c, item, type, "type: keygate has no such balancing; targets take turns");
}

/* ---- the whole ---- */

static bool scheme_https(struct convert *c, const struct item *item)
{
    const struct node *scheme = node_field(item->node, "scheme");

    if (scheme && !node_is(scheme, "http") && !node_is(scheme, "https"))
        leave_out(c, item, scheme, "scheme: keygate forwards by http and https; http is taken");
    return node_is(scheme, "https");
}

static void put_host(struct convert *c, struct item *item, json_t *upstream)
{
    const struct node *pass = node_field(item->node, "pass_host"),
                      *host = node_field(item->node, "upstream_host");

    item->reach.preserve_host = !pass || node_is(pass, "pass");
    if (node_is(pass, "rewrite") && node_text(host))
        json_object_set_new(upstream, "host_header", json_string(node_text(host)));
    else if (pass && !node_is(pass, "pass") && !node_is(pass, "node"))
        leave_out(c, item, pass, "pass_host: expected pass, node, or rewrite with an upstream_host");
}

/* APISIX tries each node once, and as many as retries says. */
static int64_t retries_of(struct convert *c, const struct item *item, size_t targets)
{
    const struct node *node = node_field(item->node, "retries");
    int64_t retries = targets > 0 ? (int64_t)targets - 1 : 0;

    if (node && (!node_integer(node, &retries) || retries < 0 || retries > RETRIES_MOST))
        leave_out(c, item, node, "retries: expected a whole number from 0 to %d", RETRIES_MOST);
    return retries >= 0 && retries <= RETRIES_MOST ? retries : 0;
}

static json_t *make_upstream(struct convert *c, struct item *item)
{
    const struct node *checks = node_field(item->node, "checks");
    json_t *upstream = json_object(), *targets;

    json_object_set(upstream, "name", item->name);
    put_algorithm(c, item, upstream);
    put_host(c, item, upstream);
    if (checks)
        put_checks(c, item, checks, upstream);
    put_tags(c, item, upstream);
    targets = make_targets(c, item, item->reach.https);
    item->reach.retries = retries_of(c, item, json_array_size(targets));
    if (json_array_size(targets) == 0)
        note(c, item, NULL, "it has no targets: its requests are answered 503");
    json_object_set_new(upstream, "targets", targets);
    return upstream;
}

static void say_the_rest(struct convert *c, const struct item *item)
{
    const struct node *node = item->node;

    leave_unknown(c, item, node, "", known);
    if (node_field(node, "tls"))
        leave_out(c, item, node_field(node, "tls"), "tls: give the service a client_certificate instead");
    if (node_field(node, "keepalive_pool"))
        note(c, item, node_field(node, "keepalive_pool"),
             "keepalive_pool: keygate has one pool for all upstreams, in its settings");
    if (node_field(node, "desc"))
        note(c, item, node_field(node, "desc"), "desc: there are no descriptions; it is not kept");
    if (item->reach.https)
        note(
            c, item, node_field(node, "scheme"),
            "scheme: as in APISIX the certificate is not verified; take tls_verify away to have it verified");
}

void put_upstream(struct convert *c, struct item *item)
{
    json_t *upstream;

    if (item->name)
        return;
    item->name = give_name(c, PART_UPSTREAMS, item);
    item->reach =
        (struct reach){ .node = item->node, .upstream = item->name, .https = scheme_https(c, item) };
    upstream = make_upstream(c, item);
    say_the_rest(c, item);
    json_array_append_new(c->out[PART_UPSTREAMS], upstream);
}

static void put_timeout(struct convert *c, const struct item *item, json_t *service,
                        const struct node *timeout)
{
    static const struct {
        const char *from, *to;
    } fields[] = { { "connect", "connect_timeout" },
                   { "send", "write_timeout" },
                   { "read", "read_timeout" } };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const struct node *node = node_field(timeout, fields[i].from);
        double seconds;

        if (!node)
            continue;
        if (!node_number(node, &seconds) || seconds < 0.001 || seconds > 2147483)
            leave_out(c, item, node, "timeout.%s: expected seconds, more than 0", fields[i].from);
        else
            json_object_set_new(service, fields[i].to, json_integer((json_int_t)(seconds * 1000 + 0.5)));
    }
}

void put_reach(struct convert *c, const struct item *item, json_t *service, const struct reach *reach,
               const struct node *timeout)
{
    json_object_set_new(service, "protocol", json_string(reach->https ? "https" : "http"));
    json_object_set(service, "host", reach->upstream);
    if (reach->https) {
        json_object_set_new(service, "port", json_integer(443));
        json_object_set_new(service, "tls_verify", json_false());
    }
    json_object_set_new(service, "retries", json_integer((json_int_t)reach->retries));
    put_timeout(c, item, service, timeout ? timeout : node_field(reach->node, "timeout"));
}
