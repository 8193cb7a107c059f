/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One setting of keygate.yaml: what it may be, and how its YAML becomes a field of struct kg_config. The
 * table of all of them is in setting_table.c. Main thread, at start.
 */
#ifndef KG_KEYGATED_SETTING_H
#define KG_KEYGATED_SETTING_H

#include "keygated/config.h"

#include <yaml.h>

enum kg_setting_type {
    KG_SETTING_COUNT,      /* uint32_t */
    KG_SETTING_POWER,      /* uint32_t, a power of two */
    KG_SETTING_SIZE,       /* uint32_t in bytes; 8192, 8k, 1m */
    KG_SETTING_DURATION,   /* uint32_t in milliseconds; 500ms, 10s, 5m, 24h, 7d */
    KG_SETTING_SECONDS,    /* the same, but whole seconds only */
    KG_SETTING_CHOICE,     /* an enum: the position of the word among the choices */
    KG_SETTING_NAME,       /* char[max + 1] */
    KG_SETTING_PATH,       /* char[max + 1], absolute */
    KG_SETTING_FILE,       /* the same, or empty: none */
    KG_SETTING_LISTEN,     /* kg_config.listen */
    KG_SETTING_INTERFACES, /* kg_config.xdp.interfaces */
    KG_SETTING_NETWORKS,   /* kg_config.guard.allow and http.trusted_proxies */
};

struct kg_setting {
    const char *path;    /* "http.max_head" */
    const char *initial; /* the default, as YAML */
    const char *about;   /* one line in plain words, the comment above the setting in conf/keygate.yaml */
    const char *const *choices; /* KG_SETTING_CHOICE: the words, up to a NULL */
    size_t offset;              /* of the field in struct kg_config; lists know their own fields */
    enum kg_setting_type type;
    uint32_t min, max; /* numbers: in the unit of the field; names and paths: most bytes; lists: fewest and
                          most elements */
};

#define KG_SETTINGS         58
#define KG_SETTING_PATH_MAX 64 /* longest path that is looked at; no known one is longer */

#define KG_SETTING_GOT 400 /* room for kg_setting_describe(); a control byte takes six in JSON */

extern const struct kg_setting kg_settings[KG_SETTINGS];

const struct kg_setting *kg_setting_find(const char *path);

/* Whether `name` is a group such as "guard". */
bool kg_setting_is_group(const char *name);

/*
 * The known setting or group that was most likely meant by `path` (at most KG_SETTING_PATH_MAX bytes), or
 * NULL. A right name in the wrong group counts as near. A group's name is written into `group`.
 */
const char *kg_setting_nearest(const char *path, char group[KG_SETTING_PATH_MAX + 1]);

/* Writes what a node is, for "expected …, got …": at most 60 bytes of its text, on request also that it is in
 * quotes. */
void kg_setting_describe(const yaml_node_t *node, bool show_quotes, char *out, size_t cap);

/*
 * Puts the value at `node` into its field. 0, or -EINVAL with "expected …, got …" in err and the line of the
 * fault in *line. A field that has failed holds no meaningful value.
 */
int kg_setting_apply(const struct kg_setting *setting, yaml_document_t *document, const yaml_node_t *node,
                     struct kg_config *config, size_t *line, struct kg_error *err);

#endif
