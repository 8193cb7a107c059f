/* SPDX-License-Identifier: BSD-2-Clause */
/* Consumers, and their keys, which APISIX keeps in three places: in the consumer's plugins, in its
 * credentials, and in consumers called NAME/credentials/ID. No key is ever in a report. */
#include "keyctl/convert.h"

#include <strings.h>

static const char *const known[] = {
    "id",       "username",    "name",        "desc",        "labels", "plugins",
    "group_id", "credentials", "create_time", "update_time", NULL,
};

/* ---- keys ---- */

static bool is_variable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (!(c == '_' || (c >= '0' && c <= '9') || (kg_lower(c) >= 'a' && kg_lower(c) <= 'z')))
            return false;
    }
    return len > 0 && len < 128;
}

bool variable_of(const char *key, struct kg_slice *name)
{
    size_t len = strlen(key);

    if (strncasecmp(key, "$env://", 7) == 0)
        *name = kg_slice_of(key + 7, len - 7);
    else if (len > 5 && strncmp(key, "${{", 3) == 0 && strcmp(key + len - 2, "}}") == 0)
        *name = kg_slice_trim(kg_slice_of(key + 3, len - 5));
    else
        return false;
    return is_variable(name->ptr, name->len);
}

static bool is_printable(const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < len; i++) {
        if (key[i] < 0x20 || key[i] > 0x7e)
            return false;
    }
    return len > 0 && len <= 512 && key[0] != ' ' && key[len - 1] != ' ';
}

/* The key as the output has it, or NULL having said why not. */
static json_t *make_key(struct convert *c, const struct item *item, const struct node *config)
{
    const struct node *node = node_field(config, "key");
    const char *key = node_text(node);
    struct kg_slice name;

    if (key && variable_of(key, &name)) {
        note(c, item, node, "key-auth: key: set DECK_%.*s to what %.*s held", (int)name.len, name.ptr,
             (int)name.len, name.ptr);
        return json_sprintf("${{ env \"DECK_%.*s\" }}", (int)name.len, name.ptr);
    }
    if (key && (strncasecmp(key, "$secret://", 10) == 0 || strncmp(key, "$", 1) == 0) && strpbrk(key, "{:")) {
        leave_out(c, item, node, "key-auth: key: a reference to a secret, which keygate cannot follow");
        return NULL;
    }
    if (key && is_printable(key))
        return json_string(key);
    leave_out(c, item, node ? node : config, "key-auth: key: expected 1 to 512 printable ASCII characters");
    return NULL;
}

/* name: what services are told in X-Credential-Identifier; NULL: nothing that APISIX would have told them. */
static void put_key(struct convert *c, const struct item *item, const struct node *config, const char *name,
                    json_t *keys)
{
    static const char *const fields[] = { "key", "_meta", NULL };
    json_t *key = make_key(c, item, config), *credential;

    leave_unknown(c, item, config, "key-auth: ", fields);
    if (!key)
        return;
    credential = json_pack("{s:o}", "key", key);
    if (name)
        json_object_set_new(credential, "name", json_string(name));
    json_array_append_new(keys, credential);
}

/* ADC: {type: key-auth, config: {…}}; APISIX: {plugins: {key-auth: {…}}}. */
static void put_credential(struct convert *c, const struct item *item, json_t *keys)
{
    static const char *const fields[] = { "id",       "name",          "desc",        "labels",
                                          "type",     "config",        "plugins",     "username",
                                          "consumer", "consumer_name", "create_time", "update_time",
                                          NULL };
    const struct node *plugins = node_field(item->node, "plugins"), *type = node_field(item->node, "type");
    const char *id = node_text(node_field(item->node, "id")), *name = id ? id : item->label;
    const char *slash = strrchr(name, '/');

    leave_unknown(c, item, item->node, "", fields);
    name = slash ? slash + 1 : name;
    if (node_is(type, "key-auth"))
        put_key(c, item, node_field(item->node, "config"), name, keys);
    else if (node_field(plugins, "key-auth"))
        put_key(c, item, node_field(plugins, "key-auth"), name, keys);
    else
        leave_out(c, item, type ? type : plugins, "keygate has credentials for key-auth alone");
}

static const char *owner_of(const struct item *item, char out[257])
{
    static const char *const spelled[] = { "consumer", "username", "consumer_name", NULL };
    const char *id = node_text(node_field(item->node, "id")), *end = id ? strstr(id, "/credentials/") : NULL;
    const char *named = node_text(node_spelled(item->node, spelled));

    if (!end)
        return named;
    snprintf(out, 257, "%.*s", (int)(end - id < 256 ? end - id : 256), id);
    return out;
}

/* ---- consumers ---- */

static bool is_authentication(const char *name)
{
    size_t len = strlen(name);

    return (len > 5 && strcmp(name + len - 5, "-auth") == 0) || strcmp(name, "wolf-rbac") == 0 ||
           strcmp(name, "jwe-decrypt") == 0;
}

/* What is left are limits and the like; what authenticates is a credential. */
static void take_credentials(struct convert *c, const struct item *item, struct plugin_set *set, json_t *keys)
{
    size_t kept = 0;

    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->list[i].name, "key-auth") == 0)
            put_key(c, item, set->list[i].config, NULL, keys);
        else if (is_authentication(set->list[i].name))
            leave_out(c, item, set->list[i].name_node, "plugin \"%.128s\": keygate has none",
                      set->list[i].name);
        else
            set->list[kept++] = set->list[i];
    }
    set->count = kept;
}

static void put_groups(struct convert *c, const struct item *item, const char *username, json_t *consumer)
{
    const char *group = node_text(node_field(item->node, "group_id"));
    json_t *acls = json_array();

    if (json_object_get(c->acl_users, username))
        json_array_append_new(acls, json_pack("{s:s}", "group", username));
    if (group && json_object_get(c->acl_groups, group))
        json_array_append_new(acls, json_pack("{s:o}", "group", json_sprintf("group:%s", group)));
    if (json_array_size(acls) > 0)
        json_object_set(consumer, "acls", acls);
    json_decref(acls);
}

static bool put_consumer_plugins(struct convert *c, const struct item *item, json_t *keys, json_t *consumer)
{
    const struct node *id = node_field(item->node, "group_id");
    const struct item *group = id ? find_item(&c->groups, node_text(id)) : NULL;
    struct plugin_set set = { .count = 0 };
    json_t *plugins = json_array();
    bool all;

    if (id && !group)
        leave_out(c, item, id, "group_id: there is no such consumer_group");
    if (group)
        overlay_plugins(c, item, &set, node_field(group->node, "plugins"));
    overlay_plugins(c, item, &set, node_field(item->node, "plugins"));
    take_credentials(c, item, &set, keys);
    all = put_plugins(c, item, &set, plugins);
    if (json_array_size(plugins) > 0)
        json_object_set(consumer, "plugins", plugins);
    json_decref(plugins);
    return all;
}

static const char *owner_name(const struct item *item)
{
    static const char *const spelled[] = { "username", "name", "id", NULL };

    return node_text(node_spelled(item->node, spelled));
}

/* written: username → its entity, so that credentials find it. */
static void put_consumer(struct convert *c, const struct item *item, json_t *written)
{
    const char *username = owner_name(item);
    json_t *consumer, *keys = json_array();

    leave_unknown(c, item, item->node, "", known);
    if (!username || json_object_get(written, username)) {
        leave_out(c, item, NULL, "expected a username that no other has");
        json_decref(keys);
        return;
    }
    consumer = json_pack("{s:s}", "username", username);
    if (!put_consumer_plugins(c, item, keys, consumer)) {
        leave_out(c, item, NULL, "it is left out, for it could do more than before");
        json_decref(consumer);
        json_decref(keys);
        return;
    }
    put_tags(c, item, consumer);
    put_groups(c, item, username, consumer);
    json_object_set_new(consumer, "keyauth_credentials", keys);
    json_object_set(written, username, consumer);
    json_array_append_new(c->out[PART_CONSUMERS], consumer);
}

static bool is_credential(const struct item *item)
{
    const char *id = node_text(node_field(item->node, "id"));

    return id && strstr(id, "/credentials/");
}

static void attach(struct convert *c, const struct item *item, const json_t *written)
{
    char name[257];
    const char *owner = item->parent ? owner_name(item->parent) : owner_of(item, name);
    json_t *consumer = owner ? json_object_get(written, owner) : NULL;

    if (consumer)
        put_credential(c, item, json_object_get(consumer, "keyauth_credentials"));
    else
        leave_out(c, item, NULL, "its consumer is not there");
}

void put_consumers(struct convert *c)
{
    json_t *written = json_object(), *consumer;
    size_t at;

    for (size_t i = 0; i < c->consumers.count; i++) {
        if (is_credential(&c->consumers.list[i]))
            continue;
        put_consumer(c, &c->consumers.list[i], written);
        add_items(c, &c->credentials, node_field(c->consumers.list[i].node, "credentials"), "credential",
                  &c->consumers.list[i]);
    }
    for (size_t i = 0; i < c->consumers.count; i++) {
        if (is_credential(&c->consumers.list[i]))
            attach(c, &c->consumers.list[i], written);
    }
    for (size_t i = 0; i < c->credentials.count; i++)
        attach(c, &c->credentials.list[i], written);
    json_array_foreach(c->out[PART_CONSUMERS], at, consumer)
    {
        if (json_array_size(json_object_get(consumer, "keyauth_credentials")) == 0)
            json_object_del(consumer, "keyauth_credentials");
    }
    json_decref(written);
}
