/* SPDX-License-Identifier: BSD-2-Clause */
/* vars, conditions on a request, as a route's headers. */
#include "keyctl/convert.h"

#include <stdlib.h>

/* The values that a header may have by one condition, or NULL. */
static json_t *values_of(const char *comparison, const struct node *value)
{
    json_t *values;

    if ((strcmp(comparison, "==") == 0 && value->kind == NODE_SCALAR) ||
        (strcasecmp(comparison, "in") == 0 && value->kind == NODE_LIST))
        values = make_texts(value);
    else if (strcmp(comparison, "~*") == 0 && node_text(value))
        return json_pack("[o]", json_sprintf("~*%s", node_text(value)));
    else
        return NULL;
    /* One value that begins like a regex would be taken for one. */
    if (json_array_size(values) == 1 && strncmp(json_string_value(json_array_get(values, 0)), "~*", 2) == 0) {
        json_decref(values);
        return NULL;
    }
    return values;
}

static bool put_condition(struct convert *c, const struct item *item, const struct node *condition,
                          json_t *headers)
{
    const char *variable = NULL, *comparison = NULL;
    json_t *values = NULL;
    char name[HEADER_CAP];

    if (condition->kind == NODE_LIST && condition->count == 3) {
        variable = node_text(condition->items[0]);
        comparison = node_text(condition->items[1]);
    }
    if (comparison && header_of(variable, name) && strcmp(name, "host") != 0 &&
        !json_object_get(headers, name))
        values = values_of(comparison, condition->items[2]);
    if (values && json_array_size(values) > 0) {
        json_object_set_new(headers, name, values);
        return true;
    }
    json_decref(values);
    leave_out(c, item, condition, "vars: %.80s %.8s: keygate has only ==, in and ~* on http_ variables",
              variable ? variable : "a group of conditions", comparison ? comparison : "");
    return false;
}

bool put_vars(struct convert *c, const struct item *item, json_t *route)
{
    const struct node *vars = node_field(item->node, "vars");
    json_t *headers = json_object();
    bool all = true;

    if (vars && vars->kind != NODE_LIST) {
        leave_out(c, item, vars, "vars: expected a list of conditions");
        all = false;
    }
    for (size_t i = 0; all && vars && i < vars->count; i++)
        all = put_condition(c, item, vars->items[i], headers);
    if (all && json_object_size(headers) > 0)
        json_object_set(route, "headers", headers);
    json_decref(headers);
    return all;
}
