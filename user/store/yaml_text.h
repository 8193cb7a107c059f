/* SPDX-License-Identifier: BSD-2-Clause */
/* YAML text in block style, as long as it gets. Any thread. */
#ifndef KG_STORE_YAML_TEXT_H
#define KG_STORE_YAML_TEXT_H

#include "base/slice.h"

#include <jansson.h>

struct kg_yaml_out {
    char *buf; /* owned; may hold keys */
    size_t len, cap;
};

/* "name:" at this depth, in a list's item the first time with "- ". A value, a map or a list follows. */
void kg_yaml_put_name(struct kg_yaml_out *out, size_t depth, bool item, const char *name);
/* A value behind a name at this depth, with the line's end. */
void kg_yaml_put_value(struct kg_yaml_out *out, size_t depth, const json_t *value);
void kg_yaml_put_line(struct kg_yaml_out *out, const char *line);
/* A NUL behind it all, which does not count. */
void kg_yaml_end(struct kg_yaml_out *out);

#endif
