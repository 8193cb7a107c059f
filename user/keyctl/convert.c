/* SPDX-License-Identifier: BSD-2-Clause */
/* The command: reads, maps, and writes. */
#include "keyctl/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const part_names[PARTS] = {
    "upstreams", "services", "routes", "consumers", "plugins", "certificates",
};

static const char *const sections[] = {
    "routes",        "services",        "upstreams",    "consumers", "credentials", "plugin_configs",
    "plugin_groups", "consumer_groups", "global_rules", "ssls",      NULL,
};

/* A part of the file that nothing is made of: each of its entities by name. */
static void leave_section(struct convert *c, const struct node *key, const struct node *section)
{
    static const char *const spelled[] = { "name", "id", "key", NULL };

    if (section->count == 0)
        return;
    for (size_t i = 0; section->kind == NODE_LIST && i < section->count; i++) {
        const char *name = node_text(section->items[i]);

        name = name ? name : node_text(node_spelled(section->items[i], spelled));
        leave_out(c, NULL, section->items[i], "%s \"%.128s\": not carried over", key->text, name ? name : "");
    }
    if (section->kind != NODE_LIST)
        leave_out(c, NULL, key, "%s: not carried over", key->text);
}

static void leave_sections(struct convert *c)
{
    const struct node *root = c->tree.root;

    for (size_t i = 0; i + 1 < root->count; i += 2) {
        const char *const *name = sections;

        while (*name && strcmp(*name, root->items[i]->text) != 0)
            name++;
        if (!*name)
            leave_section(c, root->items[i], root->items[i + 1]);
    }
}

/* ADC's files nest and end as they like. */
static bool is_nested(const struct convert *c)
{
    for (size_t i = 0; i < c->services.count; i++) {
        if (node_field(c->services.list[i].node, "routes"))
            return true;
    }
    return c->credentials.count > 0;
}

static void read_sections(struct convert *c)
{
    const struct node *root = c->tree.root;
    const struct node *groups = node_field(root, "consumer_groups");

    add_items(c, &c->upstreams, node_field(root, "upstreams"), "upstream", NULL);
    add_items(c, &c->services, node_field(root, "services"), "service", NULL);
    add_items(c, &c->routes, node_field(root, "routes"), "route", NULL);
    add_items(c, &c->consumers, node_field(root, "consumers"), "consumer", NULL);
    add_items(c, &c->credentials, node_field(root, "credentials"), "credential", NULL);
    add_items(c, &c->plugin_configs, node_field(root, "plugin_configs"), "plugin_config", NULL);
    add_items(c, &c->ssls, node_field(root, "ssls"), "ssl", NULL);
    add_items(c, &c->groups, groups, "consumer_group", NULL);
}

/* Upstreams that a service or a route uses are written where they are first met, the others at the end. */
static void map_all(struct convert *c)
{
    read_sections(c);
    put_global_rules(c, node_field(c->tree.root, "global_rules"));
    put_services(c);
    put_routes(c);
    for (size_t i = 0; i < c->upstreams.count; i++)
        put_upstream(c, &c->upstreams.list[i]);
    put_consumers(c);
    put_ssls(c);
    leave_sections(c);
    if (!c->tree.ended && !c->tree.json && !is_nested(c))
        note(c, NULL, NULL, "no #END behind the last line: is the file whole?");
}

static json_t *make_output(struct convert *c)
{
    json_t *output = json_pack("{s:s}", "_format_version", "3.0");

    for (size_t i = 0; i < PARTS; i++) {
        if (json_array_size(c->out[i]) > 0)
            json_object_set(output, part_names[i], c->out[i]);
    }
    return output;
}

static void release_items(struct items *items)
{
    for (size_t i = 0; i < items->count; i++)
        json_decref(items->list[i].name);
    free(items->list);
    json_decref(items->by_id);
}

static void release(struct convert *c)
{
    release_items(&c->upstreams);
    release_items(&c->services);
    release_items(&c->routes);
    release_items(&c->consumers);
    release_items(&c->credentials);
    release_items(&c->plugin_configs);
    release_items(&c->groups);
    release_items(&c->ssls);
    for (size_t i = 0; i < PARTS; i++) {
        json_decref(c->out[i]);
        json_decref(c->used[i]);
    }
    json_decref(c->acl_users);
    json_decref(c->acl_groups);
    tree_free(&c->tree);
}

static int write_output(FILE *out, const json_t *output, bool json)
{
    if (!json)
        return write_yaml(out, output);
    return json_dumpf(output, out, JSON_INDENT(2)) < 0 || fputc('\n', out) < 0 ? KG_CTL_REFUSED : KG_CTL_DONE;
}

/* The whole file or none of it, and for its owner alone: there are keys in it. */
static int write_file(const char *path, const json_t *output, bool json)
{
    char part[4096];
    int fd, rc;
    FILE *out;

    if ((size_t)snprintf(part, sizeof(part), "%s.%ld.part", path, (long)getpid()) >= sizeof(part))
        return usage_error("--out: the name is too long");
    fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    out = fd < 0 ? NULL : fdopen(fd, "w");
    rc = out ? write_output(out, output, json) : KG_CTL_REFUSED;
    if (out && fclose(out) != 0)
        rc = KG_CTL_REFUSED;
    if (rc == 0 && rename(part, path) == 0)
        return KG_CTL_DONE;
    fputs("keyctl: ", stderr);
    print_safe(stderr, path);
    fprintf(stderr, ": cannot be written: %s\n", strerror(errno));
    if (fd >= 0)
        unlink(part);
    return KG_CTL_REFUSED;
}

static int convert(struct convert *c, const char *out, bool json)
{
    json_t *output;
    int rc;

    map_all(c);
    output = make_output(c);
    rc = out ? write_file(out, output, json) : write_output(stdout, output, json);
    json_decref(output);
    if (rc == 0 && c->left_out > 0) {
        fprintf(stderr, "keyctl: %zu things above were left out or are not quite the same\n", c->left_out);
        return KG_CTL_PARTLY;
    }
    return rc;
}

static int run_convert(const struct command *command)
{
    const char *from = json_string_value(json_object_get(command->fields, "from"));
    const char *out = json_string_value(json_object_get(command->fields, "out"));
    struct convert c = { .file = command->words[0] };
    struct kg_error err;
    int rc;

    if (!from || strcmp(from, "apisix") != 0)
        return usage_error("convert needs --from apisix, the one format that it reads");
    for (size_t i = 0; i < PARTS; i++)
        c.out[i] = json_array();
    c.acl_users = json_object();
    c.acl_groups = json_object();
    rc = tree_read(c.file, &c.tree, &err);
    if (rc == 0 && (!c.tree.root || c.tree.root->kind != NODE_MAP))
        rc = kg_error_set(&err, EINVAL, "%s:1:1: expected a map of routes, services, upstreams, consumers",
                          c.file);
    if (rc) {
        fputs("keyctl: ", stderr);
        print_safe(stderr, err.text);
        fputc('\n', stderr);
    }
    rc = rc ? KG_CTL_REFUSED : convert(&c, out, command->output == OUTPUT_JSON);
    release(&c);
    return rc;
}

static const struct flag convert_flags[] = {
    { "from", FLAG_STRING, 0, "FORMAT", "what the file is: apisix", .required = true },
    { "out", FLAG_STRING, 0, "FILE", "write to this file, for its owner alone, instead of standard output" },
    { 0 },
};

const struct action convert_action = {
    .name = "convert",
    .summary = "another gateway's file as a declarative one",
    .argument = "FILE",
    .least_words = 1,
    .most_words = 1,
    .about = "Reads an apisix.yaml, or - for standard input, and prints decK's format. What could not be "
             "carried over is\n"
             "listed on standard error; then the exit status is 4. No daemon is needed.",
    .flags = convert_flags,
    .run = run_convert,
    .examples = { "--from apisix apisix.yaml --out keygate-entities.yaml" },
};
