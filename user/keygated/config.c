/* SPDX-License-Identifier: BSD-2-Clause */
#include "keygated/config.h"
#include "keygated/setting.h"
#include "base/assert.h"
#include "base/file.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

/* Where the settings come from while they are read. */
struct source {
    const char *label; /* the file's name or "--set PATH", for errors */
    char set_label[KG_SETTING_PATH_MAX + 8];
    bool is_file;
    struct kg_slice text;
    struct kg_config *config;
    struct kg_error *err;
    /* For each setting its last giver, NULL for the default, and the line there. */
    const char **givers;
    size_t *lines;
};

/* Puts "keygate.yaml:12: guard.window: " or "--set guard.window: " before the sentence in err. */
static int blame(const struct source *s, size_t line, const char *path, int rc)
{
    if (path && s->is_file)
        kg_error_prefix(s->err, "%s", path);
    if (s->is_file && line > 0)
        kg_error_prefix(s->err, "%s:%zu", s->label, line);
    else
        kg_error_prefix(s->err, "%s", s->label);
    return rc;
}

static int refuse_unknown(const struct source *s, size_t line, const char *path)
{
    char group[KG_SETTING_PATH_MAX + 1];
    const char *near = kg_setting_nearest(path, group);
    int rc = near ? kg_error_set(s->err, EINVAL, "unknown setting, did you mean %s?", near)
                  : kg_error_set(s->err, EINVAL, "unknown setting");

    return blame(s, line, path, rc);
}

static int apply(const struct source *s, const struct kg_setting *setting, yaml_document_t *document,
                 const yaml_node_t *node)
{
    size_t line = node->start_mark.line + 1;
    int rc = kg_setting_apply(setting, document, node, s->config, &line, s->err);

    if (rc)
        return blame(s, line, setting->path, rc);
    s->givers[setting - kg_settings] = s->label;
    s->lines[setting - kg_settings] = s->is_file ? line : 0;
    return 0;
}

/* "guard" + "window" as "guard.window", control bytes made visible and cut to KG_SETTING_PATH_MAX. */
static void join_path(const char *group, const yaml_node_t *key, char out[KG_SETTING_PATH_MAX + 1])
{
    const unsigned char *text = key->data.scalar.value;
    size_t len = (size_t)snprintf(out, KG_SETTING_PATH_MAX + 1, "%s%s", group, group[0] ? "." : "");

    for (size_t i = 0; i < key->data.scalar.length && len < KG_SETTING_PATH_MAX; i++)
        out[len++] = text[i] < 0x20 || text[i] == 0x7f ? '?' : (char)text[i];
    out[len] = '\0';
}

/* The line of an earlier pair with the same key, or 0. */
static size_t earlier_line(yaml_document_t *document, const yaml_node_t *mapping,
                           const yaml_node_pair_t *pair)
{
    const yaml_node_t *key = yaml_document_get_node(document, pair->key);

    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *other = yaml_document_get_node(document, p->key);

        if (other->data.scalar.length == key->data.scalar.length &&
            memcmp(other->data.scalar.value, key->data.scalar.value, key->data.scalar.length) == 0)
            return other->start_mark.line + 1;
    }
    return 0;
}

static int read_group(const struct source *s, yaml_document_t *document, const yaml_node_t *mapping,
                      const char *group);

static int read_pair(const struct source *s, yaml_document_t *document, const yaml_node_t *mapping,
                     const char *group, const yaml_node_pair_t *pair)
{
    const yaml_node_t *key = yaml_document_get_node(document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(document, pair->value);
    char path[KG_SETTING_PATH_MAX + 1];
    size_t line = key->start_mark.line + 1, earlier;

    if (key->type != YAML_SCALAR_NODE)
        return blame(s, line, NULL,
                     kg_error_set(s->err, EINVAL, "expected a setting's name, got a list or a group"));
    join_path(group, key, path);
    const struct kg_setting *setting = kg_setting_find(path);
    earlier = setting ? s->lines[setting - kg_settings] : earlier_line(document, mapping, pair);
    if (earlier > 0) {
        int rc = kg_error_set(s->err, EINVAL, "repeated setting, first given on line %zu", earlier);

        return blame(s, line, path, rc);
    }
    if (setting)
        return apply(s, setting, document, value);
    if (group[0] == '\0' && kg_setting_is_group(path))
        return read_group(s, document, value, path);
    return refuse_unknown(s, line, path);
}

/* A mapping of settings; a group with nothing in it (all commented out) is fine. */
static int read_group(const struct source *s, yaml_document_t *document, const yaml_node_t *mapping,
                      const char *group)
{
    if (mapping->type == YAML_SCALAR_NODE && mapping->data.scalar.length == 0)
        return 0;
    if (mapping->type != YAML_MAPPING_NODE) {
        char got[KG_SETTING_GOT];

        kg_setting_describe(mapping, false, got, sizeof(got));
        int rc = kg_error_set(s->err, EINVAL, "expected a group of settings, got %s", got);
        return blame(s, mapping->start_mark.line + 1, group[0] ? group : NULL, rc);
    }
    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < mapping->data.mapping.pairs.top;
         p++) {
        int rc = read_pair(s, document, mapping, group, p);

        if (rc)
            return rc;
    }
    return 0;
}

/* A reader's fault (bad UTF-8) has no mark, only an offset into the text. */
static int refuse_syntax(const struct source *s, const yaml_parser_t *parser)
{
    size_t line = parser->problem_mark.line + 1;
    int rc = kg_error_set(s->err, EINVAL, "not valid YAML: %s",
                          parser->problem ? parser->problem : "unknown fault");

    if (parser->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < s->text.len && i < parser->problem_offset; i++)
            line += s->text.ptr[i] == '\n';
    }
    return blame(s, line, NULL, rc);
}

/* What to do with the one document of a text; root is NULL when the text is empty. */
typedef int (*document_reader)(const struct source *s, yaml_document_t *document, const yaml_node_t *root,
                               void *arg);

static int parse(const struct source *s, yaml_parser_t *parser, document_reader reader, void *arg)
{
    yaml_document_t document, second;
    int rc;

    if (!yaml_parser_load(parser, &document))
        return refuse_syntax(s, parser);
    rc = reader(s, &document, yaml_document_get_root_node(&document), arg);
    bool more = yaml_document_get_root_node(&document) != NULL;
    yaml_document_delete(&document);
    if (rc || !more)
        return rc;
    if (!yaml_parser_load(parser, &second))
        return refuse_syntax(s, parser);
    const yaml_node_t *root = yaml_document_get_root_node(&second);
    if (root)
        rc = blame(s, root->start_mark.line + 1, NULL,
                   kg_error_set(s->err, EINVAL, "expected one YAML document, got more"));
    yaml_document_delete(&second);
    return rc;
}

static int read_text(const struct source *s, document_reader reader, void *arg)
{
    yaml_parser_t parser;

    KG_ASSERT(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)s->text.ptr, s->text.len);
    int rc = parse(s, &parser, reader, arg);
    yaml_parser_delete(&parser);
    return rc;
}

static int read_root(const struct source *s, yaml_document_t *document, const yaml_node_t *root, void *arg)
{
    return root ? read_group(s, document, root, "") : 0;
}

/* A text that holds the value alone, of a default or of a --set. */
static int read_value(const struct source *s, yaml_document_t *document, const yaml_node_t *root, void *arg)
{
    const struct kg_setting *setting = arg;

    if (!root)
        return blame(s, 0, setting->path, kg_error_set(s->err, EINVAL, "expected a value, got nothing"));
    return apply(s, setting, document, root);
}

static void load_defaults(struct source *s)
{
    for (size_t i = 0; i < KG_SETTINGS; i++) {
        s->label = kg_settings[i].path;
        s->text = kg_slice_str(kg_settings[i].initial);
        KG_ASSERT(read_text(s, read_value, (void *)(uintptr_t)&kg_settings[i]) == 0);
        s->givers[i] = NULL;
    }
}

static int read_file(struct source *s, const char *file)
{
    int rc = kg_file_read(file, &s->text, s->err);

    s->label = file;
    s->is_file = true;
    if (rc)
        return rc;
    rc = read_text(s, read_root, NULL);
    kg_file_free(s->text);
    return rc;
}

static int read_set(struct source *s, const char *set)
{
    const char *equals = strchr(set, '=');
    size_t len = equals ? (size_t)(equals - set) : strlen(set);
    char path[KG_SETTING_PATH_MAX + 1];

    snprintf(path, sizeof(path), "%.*s", (int)(len < KG_SETTING_PATH_MAX ? len : KG_SETTING_PATH_MAX), set);
    if (!equals)
        return kg_error_set(s->err, EINVAL, "--set %s: expected PATH=VALUE, such as guard.threshold=3", path);
    const struct kg_setting *setting = kg_setting_find(path);
    snprintf(s->set_label, sizeof(s->set_label), "--set %s", path);
    s->label = s->set_label;
    s->is_file = false;
    s->text = kg_slice_str(equals + 1);
    if (!setting && kg_setting_is_group(path))
        return blame(
            s, 0, NULL,
            kg_error_set(s->err, EINVAL, "a group of settings; name one of it, such as guard.threshold=3"));
    if (!setting)
        return refuse_unknown(s, 0, path);
    int rc = read_text(s, read_value, (void *)(uintptr_t)setting);
    s->givers[setting - kg_settings] = "--set";
    return rc;
}

/* Blames the rule `text` on `path`, or on `other` when path has its default. */
static int refuse_pair(struct source *s, const char *path, const char *other, const char *text)
{
    const struct kg_setting *setting = kg_setting_find(path);

    KG_ASSERT(setting && kg_setting_find(other));
    if (!s->givers[setting - kg_settings])
        setting = kg_setting_find(other);
    const char *giver = s->givers[setting - kg_settings];
    size_t line = s->lines[setting - kg_settings];
    if (giver && line > 0)
        return kg_error_set(s->err, EINVAL, "%s:%zu: %s: %s", giver, line, setting->path, text);
    return kg_error_set(s->err, EINVAL, "--set %s: %s", setting->path, text);
}

static int check_tls(struct source *s)
{
    const struct kg_config *c = s->config;

    if ((c->tls.certificate[0] == '\0') != (c->tls.certificate_key[0] == '\0'))
        return refuse_pair(s, "tls.certificate", "tls.certificate_key",
                           "tls.certificate and tls.certificate_key need each other");
    if (c->tls.verify_client != KG_TLS_VERIFY_OFF && c->tls.client_ca[0] == '\0')
        return refuse_pair(s, "tls.verify_client", "tls.client_ca", "tls.verify_client needs tls.client_ca");
    return 0;
}

static int check_together(struct source *s)
{
    const struct kg_config *c = s->config;

    if (c->http.max_head < c->http.max_request_line)
        return refuse_pair(s, "http.max_head", "http.max_request_line",
                           "http.max_head must be at least http.max_request_line");
    if (c->guard.ban_time > c->guard.ban_time_max)
        return refuse_pair(s, "guard.ban_time", "guard.ban_time_max",
                           "guard.ban_time must be at most guard.ban_time_max");
    if (c->guard.allow_count > c->guard.max_allow)
        return refuse_pair(s, "guard.allow", "guard.max_allow",
                           "guard.allow must not be longer than guard.max_allow");
    return check_tls(s);
}

static uint32_t cpu_count(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return (uint32_t)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

/* One for each CPU, as far as the daemon has room for them. */
static uint32_t default_workers(void)
{
    uint32_t cpus = cpu_count();

    return cpus < KG_WORKERS_MAX ? cpus : KG_WORKERS_MAX;
}

static int load_all(struct source *s, const char *file, const char *const *sets, size_t set_count)
{
    int rc = 0;

    load_defaults(s);
    if (file)
        rc = read_file(s, file);
    for (size_t i = 0; i < set_count && rc == 0; i++)
        rc = read_set(s, sets[i]);
    return rc ? rc : check_together(s);
}

int kg_config_load(const char *file, const char *const *sets, size_t set_count, struct kg_config *config,
                   struct kg_error *err)
{
    const char *givers[KG_SETTINGS] = { NULL };
    size_t lines[KG_SETTINGS] = { 0 };
    struct source source = { .config = config, .err = err, .givers = givers, .lines = lines };

    memset(config, 0, sizeof(*config));
    int rc = load_all(&source, file, sets, set_count);
    if (rc) {
        kg_config_free(config);
        return rc;
    }
    if (config->workers == 0)
        config->workers = default_workers();
    return 0;
}

void kg_config_free(struct kg_config *config)
{
    free(config->guard.allow);
    free(config->http.trusted_proxies);
    memset(config, 0, sizeof(*config));
}

void kg_config_guard(const struct kg_config *config, struct kg_guard_config *guard)
{
    *guard = (struct kg_guard_config){
        .interface_count = config->xdp.interface_count,
        .mode = config->xdp.mode,
        .bpf_dir = config->xdp.bpf_dir,
        .max_bans = config->guard.max_bans,
        .max_allow = config->guard.max_allow,
        .consumer_slots = config->guard.consumer_slots,
        .threshold = config->guard.threshold,
        .window_s = config->guard.window / 1000,
        .ban_s = config->guard.ban_time / 1000,
        .ban_max_s = config->guard.ban_time_max / 1000,
        .memory_s = config->guard.ban_memory / 1000,
        .sources = config->guard.sources,
        .allow = config->guard.allow,
        .allow_count = config->guard.allow_count,
        .trusted = config->http.trusted_proxies,
        .trusted_count = config->http.trusted_count,
        .workers = config->workers,
    };
    memcpy(guard->interfaces, config->xdp.interfaces, sizeof(guard->interfaces));
}
