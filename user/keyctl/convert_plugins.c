/* SPDX-License-Identifier: BSD-2-Clause */
/* Plugins. One that keeps somebody out and cannot be carried over takes the entity it protects with it: a
 * file that was converted must not open what was shut. */
#include "keyctl/convert.h"

#include <stdlib.h>

/* Plugins of APISIX that decide who may come in. */
static const char *const guards[] = {
    "acl",
    "authz-casbin",
    "authz-casdoor",
    "authz-keycloak",
    "basic-auth",
    "cas-auth",
    "chaitin-waf",
    "consumer-restriction",
    "csrf",
    "dingtalk-auth",
    "feishu-auth",
    "forward-auth",
    "hmac-auth",
    "ip-restriction",
    "jwe-decrypt",
    "jwt-auth",
    "key-auth",
    "ldap-auth",
    "multi-auth",
    "opa",
    "openid-connect",
    "referer-restriction",
    "saml-auth",
    "ua-restriction",
    "uri-blocker",
    "wolf-rbac",
    NULL,
};

static bool is_guard(const char *name)
{
    const char *const *guard = guards;

    while (*guard && strcmp(*guard, name) != 0)
        guard++;
    return *guard != NULL;
}

bool plugin_disabled(const struct node *config)
{
    return node_true(node_field(node_field(config, "_meta"), "disable"));
}

void overlay_plugins(struct convert *c, const struct item *item, struct plugin_set *set,
                     const struct node *plugins)
{
    if (plugins && plugins->kind != NODE_MAP)
        leave_out(c, item, plugins, "plugins: expected a map of plugins");
    for (size_t i = 0; plugins && plugins->kind == NODE_MAP && i + 1 < plugins->count; i += 2) {
        const char *name = plugins->items[i]->text;
        size_t at = 0;

        while (at < set->count && strcmp(set->list[at].name, name) != 0)
            at++;
        if (at == PLUGINS_MOST) {
            leave_out(c, item, plugins->items[i], "plugin \"%s\": more than %d plugins", name, PLUGINS_MOST);
            continue;
        }
        set->count += at == set->count;
        set->list[at].name = name;
        set->list[at].name_node = plugins->items[i];
        set->list[at].config = plugins->items[i + 1];
    }
}

/* ---- key-auth ---- */

/* What a header or a query argument that carries a key may be called. */
static bool is_key_name(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");

    return len > 0 && text[len] == '\0';
}

static bool same_name(const char *a, const char *b)
{
    return kg_slice_eq_nocase(kg_slice_str(a), kg_slice_str(b));
}

static json_t *map_key_auth(struct convert *c, const struct item *item, const struct node *config)
{
    static const char *const known[] = { "_meta", "header", "query", "hide_credentials", "anonymous_consumer",
                                         "realm", NULL };
    const char *header = node_text(node_field(config, "header"));
    const char *query = node_text(node_field(config, "query"));
    const struct node *anonymous = node_field(config, "anonymous_consumer"),
                      *realm = node_field(config, "realm");
    json_t *out, *names;

    header = header ? header : "apikey";
    query = query ? query : "apikey";
    if (!is_key_name(header) || !is_key_name(query)) {
        leave_out(c, item, config, "plugin \"key-auth\": names of keys consist of letters, digits, _ and -");
        return NULL;
    }
    names = json_pack("[s]", header);
    if (!same_name(header, query)) {
        json_array_append_new(names, json_string(query));
        note(c, item, config,
             "plugin \"key-auth\": a key is looked for by both names in headers and in the query");
    }
    out = json_pack("{s:o,s:b}", "key_names", names, "hide_credentials",
                    node_true(node_field(config, "hide_credentials")));
    if (node_text(anonymous))
        json_object_set_new(out, "anonymous", json_string(node_text(anonymous)));
    if (node_text(realm))
        json_object_set_new(out, "realm", json_string(node_text(realm)));
    leave_unknown(c, item, config, "plugin \"key-auth\": ", known);
    return out;
}

/* ---- ip-restriction, consumer-restriction ---- */

static void put_refusal(const struct node *config, json_t *out)
{
    const struct node *node = node_field(config, "response_code");
    int64_t status;

    if (node_integer(node, &status) && status >= 100 && status <= 599)
        json_object_set_new(out, "status", json_integer((json_int_t)status));
    node = node_field(config, "message");
    if (node_text(node))
        json_object_set_new(out, "message", json_string(node_text(node)));
}

static json_t *map_ip_restriction(struct convert *c, const struct item *item, const struct node *config)
{
    static const char *const known[] = {
        "_meta", "whitelist", "blacklist", "message", "response_code", NULL
    };
    json_t *allow = make_texts(node_field(config, "whitelist"));
    json_t *deny = make_texts(node_field(config, "blacklist"));
    json_t *out;

    if (!allow && !deny) {
        leave_out(c, item, config,
                  "plugin \"ip-restriction\": expected a whitelist or a blacklist of addresses");
        return NULL;
    }
    out = json_object();
    if (allow)
        json_object_set_new(out, "allow", allow);
    if (deny)
        json_object_set_new(out, "deny", deny);
    put_refusal(config, out);
    leave_unknown(c, item, config, "plugin \"ip-restriction\": ", known);
    return out;
}

/* Each consumer that is named gets a group of its name, each consumer group one of "group:" and its id, which
 * no consumer can be called. */
static json_t *make_groups(const struct node *listed, bool groups, json_t *named)
{
    json_t *names = make_texts(listed), *name;
    size_t i;

    json_array_foreach(names, i, name)
    {
        const char *text = json_string_value(name);

        json_object_set_new(named, text, json_true());
        if (groups)
            json_array_set_new(names, i, json_sprintf("group:%s", text));
    }
    return names;
}

static json_t *map_consumer_restriction(struct convert *c, const struct item *item, const struct node *config)
{
    static const char *const known[] = { "_meta", "type", "whitelist", "blacklist", NULL };
    const struct node *type = node_field(config, "type"), *allow = node_field(config, "whitelist"),
                      *deny = node_field(config, "blacklist");
    bool groups = node_is(type, "consumer_group_id");
    json_t *named = groups ? c->acl_groups : c->acl_users, *names;

    if ((type && !groups && !node_is(type, "consumer_name")) || (allow && deny)) {
        leave_out(
            c, item, type ? type : config,
            "plugin \"consumer-restriction\": expected a list of consumers or of their groups, one alone");
        return NULL;
    }
    names = make_groups(allow ? allow : deny, groups, named);
    if (!names) {
        leave_out(c, item, config, "plugin \"consumer-restriction\": expected a whitelist or a blacklist");
        return NULL;
    }
    leave_unknown(c, item, config, "plugin \"consumer-restriction\": ", known);
    return json_pack("{s:o}", allow ? "allow" : "deny", names);
}

/* ---- the whole ---- */

static const struct mapping {
    const char *from, *to;
    json_t *(*map)(struct convert *c, const struct item *item, const struct node *config);
} mappings[] = {
    { "key-auth", "key-auth", map_key_auth },
    { "limit-count", "rate-limiting", map_limit_count },
    { "ip-restriction", "ip-restriction", map_ip_restriction },
    { "consumer-restriction", "acl", map_consumer_restriction },
};

static const struct mapping *find_mapping(const char *name)
{
    for (size_t i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++) {
        if (strcmp(mappings[i].from, name) == 0)
            return &mappings[i];
    }
    return NULL;
}

static void say_meta(struct convert *c, const struct item *item, const char *name, const struct node *config)
{
    static const char *const known[] = { "disable", NULL };
    char prefix[128];

    snprintf(prefix, sizeof(prefix), "plugin \"%.80s\": _meta.", name);
    leave_unknown(c, item, node_field(config, "_meta"), prefix, known);
}

static bool put_plugin(struct convert *c, const struct item *item, const char *name, const struct node *at,
                       const struct node *config, json_t *array)
{
    const struct mapping *mapping = find_mapping(name);
    json_t *mapped = NULL;

    if (plugin_disabled(config)) {
        note(c, item, at, "plugin \"%.128s\": disabled; it is not kept", name);
        return true;
    }
    say_meta(c, item, name, config);
    if (mapping)
        mapped = mapping->map(c, item, config);
    else
        leave_out(c, item, at, "plugin \"%.128s\": keygate has none", name);
    if (!mapped)
        return !is_guard(name);
    json_array_append_new(array, json_pack("{s:s,s:o}", "name", mapping->to, "config", mapped));
    return true;
}

bool put_plugins(struct convert *c, const struct item *item, const struct plugin_set *set, json_t *array)
{
    bool all = true;

    for (size_t i = 0; i < set->count; i++) {
        all &= put_plugin(c, item, set->list[i].name, set->list[i].name_node, set->list[i].config, array);
        if (!may_copy(c, item, set->list[i].config->weight))
            return false;
    }
    return all;
}

/* A list of {id, plugins}, or, in ADC's files, a map of plugins. */
void put_global_rules(struct convert *c, const struct node *rules)
{
    struct item item = { .node = rules, .kind = "global_rule", .label = "all" };
    struct plugin_set set = { .count = 0 };

    if (!rules)
        return;
    if (rules->kind == NODE_MAP)
        overlay_plugins(c, &item, &set, rules);
    for (size_t i = 0; rules->kind == NODE_LIST && i < rules->count; i++)
        overlay_plugins(c, &item, &set, node_field(rules->items[i], "plugins"));
    if (!put_plugins(c, &item, &set, c->out[PART_PLUGINS]))
        leave_out(c, &item, NULL, "every route is open to whom it kept out: do not sync this file as it is");
}
