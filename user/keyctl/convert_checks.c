/* SPDX-License-Identifier: BSD-2-Clause */
/* Health checks. What APISIX takes where nothing is said is written out, for it is not what keygate takes. */
#include "keyctl/convert.h"

#include <stdlib.h>

/* A counter or an interval: its name there and here, what it is when not given, what it may be. */
struct check_field {
    const char *name;
    int64_t value, most;
};

static const struct check_field active_healthy[] = { { "interval", 1, 65535 },
                                                     { "successes", 2, 255 },
                                                     { 0 } };
static const struct check_field active_unhealthy[] = {
    { "interval", 1, 65535 },
    { "http_failures", 5, 255 },
    { "tcp_failures", 2, 255 },
    { "timeouts", 3, 255 },
    { 0 },
};
static const struct check_field passive_healthy[] = { { "successes", 5, 255 }, { 0 } };
static const struct check_field passive_unhealthy[] = {
    { "http_failures", 5, 255 },
    { "tcp_failures", 2, 255 },
    { "timeouts", 7, 255 },
    { 0 },
};

static void put_statuses(struct convert *c, const struct item *item, const struct node *side, json_t *out)
{
    const struct node *node = node_field(side, "http_statuses");
    json_t *statuses = json_array();

    for (size_t i = 0; node && i < node->count; i++) {
        int64_t status;

        if (node_integer(node->items[i], &status) && status >= 100 && status <= 999)
            json_array_append_new(statuses, json_integer((json_int_t)status));
        else
            leave_out(c, item, node->items[i], "checks: http_statuses: expected statuses from 100 to 999");
    }
    if (json_array_size(statuses) > 0)
        json_object_set(out, "http_statuses", statuses);
    json_decref(statuses);
}

static json_t *make_side(struct convert *c, const struct item *item, const struct node *side,
                         const struct check_field *fields)
{
    const char *names[8] = { "http_statuses" };
    json_t *out = json_object();
    size_t count = 1;

    for (; fields->name; fields++) {
        const struct node *node = node_field(side, fields->name);
        int64_t value = fields->value;

        names[count++] = fields->name;
        if (node && (!node_integer(node, &value) || value < 0 || value > fields->most)) {
            leave_out(c, item, node, "checks: %s: expected a whole number from 0 to %lld", fields->name,
                      (long long)fields->most);
            value = fields->value;
        }
        json_object_set_new(out, fields->name, json_integer((json_int_t)value));
    }
    put_statuses(c, item, side, out);
    leave_unknown(c, item, side, "checks: ", names);
    return out;
}

/* "Name: value" in a list. */
static void put_headers(struct convert *c, const struct item *item, const struct node *lines, json_t *active)
{
    json_t *headers = json_object();

    for (size_t i = 0; lines && lines->kind == NODE_LIST && i < lines->count; i++) {
        const char *text = node_text(lines->items[i]), *colon = text ? strchr(text, ':') : NULL;
        struct kg_slice name = kg_slice_of(text, colon ? (size_t)(colon - text) : 0);
        struct kg_slice value = colon ? kg_slice_trim(kg_slice_str(colon + 1)) : name;
        json_t *values = json_array();

        name = kg_slice_trim(name);
        if (name.len == 0 || kg_slice_eq_nocase(name, KG_SLICE("host"))) {
            leave_out(c, item, lines->items[i], "checks.active.req_headers: expected NAME: VALUE, not Host");
            json_decref(values);
            continue;
        }
        json_array_append_new(values, json_stringn(value.ptr, value.len));
        json_object_setn_new(headers, name.ptr, name.len, values);
    }
    if (json_object_size(headers) > 0)
        json_object_set(active, "headers", headers);
    json_decref(headers);
}

static void put_type(struct convert *c, const struct item *item, const struct node *node, json_t *out)
{
    if (!node)
        return;
    if (node_is(node, "http") || node_is(node, "https") || node_is(node, "tcp"))
        json_object_set_new(out, "type", json_string(node_text(node)));
    else
        leave_out(c, item, node, "checks: type: expected http, https or tcp");
}

/* timeout and concurrency */
static void put_amount(struct convert *c, const struct item *item, const struct node *checks,
                       const char *name, json_t *out)
{
    const struct node *node = node_field(checks, name);
    double value;

    if (!node)
        return;
    if (!node_number(node, &value) || value < 0 || value > 65535)
        leave_out(c, item, node, "checks: %s: expected a number from 0 to 65535", name);
    else if (strcmp(name, "concurrency") == 0)
        json_object_set_new(out, name, json_integer((json_int_t)(value < 1 ? 1 : value)));
    else
        json_object_set_new(out, name, json_real(value));
}

static json_t *make_active(struct convert *c, const struct item *item, const struct node *checks)
{
    static const char *const known[] = { "type",        "timeout", "concurrency",
                                         "http_path",   "host",    "https_verify_certificate",
                                         "req_headers", "healthy", "unhealthy",
                                         NULL };
    const struct node *path = node_field(checks, "http_path"), *host = node_field(checks, "host");
    json_t *out = json_object();

    put_type(c, item, node_field(checks, "type"), out);
    put_amount(c, item, checks, "timeout", out);
    put_amount(c, item, checks, "concurrency", out);
    if (node_text(path))
        json_object_set_new(out, "http_path", json_string(node_text(path)));
    if (node_text(host) && node_is(node_field(checks, "type"), "https"))
        json_object_set_new(out, "https_sni", json_string(node_text(host)));
    else if (host)
        leave_out(c, item, host,
                  "checks.active.host: a probe has the Host of the requests, see upstream_host");
    if (node_false(node_field(checks, "https_verify_certificate")))
        json_object_set_new(out, "https_verify_certificate", json_false());
    put_headers(c, item, node_field(checks, "req_headers"), out);
    json_object_set_new(out, "healthy", make_side(c, item, node_field(checks, "healthy"), active_healthy));
    json_object_set_new(out, "unhealthy",
                        make_side(c, item, node_field(checks, "unhealthy"), active_unhealthy));
    leave_unknown(c, item, checks, "checks.active.", known);
    return out;
}

static json_t *make_passive(struct convert *c, const struct item *item, const struct node *checks)
{
    static const char *const known[] = { "type", "healthy", "unhealthy", NULL };
    json_t *out = json_object();

    put_type(c, item, node_field(checks, "type"), out);
    json_object_set_new(out, "healthy", make_side(c, item, node_field(checks, "healthy"), passive_healthy));
    json_object_set_new(out, "unhealthy",
                        make_side(c, item, node_field(checks, "unhealthy"), passive_unhealthy));
    leave_unknown(c, item, checks, "checks.passive.", known);
    return out;
}

void put_checks(struct convert *c, const struct item *item, const struct node *checks, json_t *upstream)
{
    static const char *const known[] = { "active", "passive", NULL };
    const struct node *active = node_field(checks, "active"), *passive = node_field(checks, "passive");
    json_t *out = json_object();

    if (active)
        json_object_set_new(out, "active", make_active(c, item, active));
    if (passive)
        json_object_set_new(out, "passive", make_passive(c, item, passive));
    leave_unknown(c, item, checks, "checks.", known);
    json_object_set_new(upstream, "healthchecks", out);
}
