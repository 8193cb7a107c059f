/* SPDX-License-Identifier: BSD-2-Clause */
/* limit-count as rate-limiting. */
#include "keyctl/convert.h"

static const char *const known[] = {
    "_meta",       "count",         "time_window",       "key",
    "key_type",    "rejected_code", "rejected_msg",      "show_limit_quota_header",
    "window_type", "policy",        "allow_degradation", NULL,
};

static const char *window_of(int64_t seconds)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } windows[] = { { 1, "second" },  { 60, "minute" },     { 3600, "hour" },
                    { 86400, "day" }, { 2592000, "month" }, { 31536000, "year" } };

    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        if (windows[i].seconds == seconds)
            return windows[i].name;
    }
    return NULL;
}

/* Whose requests are counted together. */
static bool put_key(const struct node *config, json_t *out)
{
    const struct node *key_node = node_field(config, "key"), *type = node_field(config, "key_type");
    const char *key = key_node ? node_text(key_node) : "remote_addr", *by = NULL;
    char name[HEADER_CAP];

    if (node_is(type, "constant") || !key)
        return false;
    key += *key == '$';
    if (header_of(key, name)) {
        json_object_set_new(out, "limit_by", json_string("header"));
        json_object_set_new(out, "header_name", json_string(name));
        return !strpbrk(name, "$ ");
    }
    if (strcmp(key, "remote_addr") == 0 || strcmp(key, "binary_remote_addr") == 0)
        by = "ip";
    else if (strcmp(key, "consumer_name") == 0)
        by = "consumer";
    else if (strcmp(key, "service_id") == 0)
        by = "service";
    return by && json_object_set_new(out, "limit_by", json_string(by)) == 0;
}

static void put_answer(struct convert *c, const struct item *item, const struct node *config, json_t *out)
{
    const struct node *code_node = node_field(config, "rejected_code"),
                      *message = node_field(config, "rejected_msg");
    int64_t code = 503;

    if (code_node && (!node_integer(code_node, &code) || code < 400 || code > 599)) {
        leave_out(c, item, code_node,
                  "plugin \"limit-count\": rejected_code: expected 400 to 599; 429 is taken");
        code = 429;
    }
    json_object_set_new(out, "error_code", json_integer((json_int_t)code));
    if (node_text(message))
        json_object_set_new(out, "error_message", json_string(node_text(message)));
    if (node_false(node_field(config, "show_limit_quota_header")))
        json_object_set_new(out, "hide_client_headers", json_true());
}

json_t *map_limit_count(struct convert *c, const struct item *item, const struct node *config)
{
    const struct node *count_node = node_field(config, "count"),
                      *window_node = node_field(config, "time_window"),
                      *policy = node_field(config, "policy"), *sliding = node_field(config, "window_type");
    int64_t count = 0, seconds = 0;
    const char *window;
    json_t *out;

    if (!node_integer(count_node, &count) || count < 1 || !node_integer(window_node, &seconds)) {
        leave_out(c, item, config, "plugin \"limit-count\": expected count and time_window, whole numbers");
        return NULL;
    }
    window = window_of(seconds);
    if (!window) {
        leave_out(
            c, item, window_node,
            "plugin \"limit-count\": time_window: keygate counts by the second, minute, hour, day, month "
            "or year, not by %lld seconds",
            (long long)seconds);
        return NULL;
    }
    out = json_pack("{s:I}", window, (json_int_t)count);
    if (!put_key(config, out)) {
        leave_out(c, item, node_field(config, "key"),
                  "plugin \"limit-count\": key: keygate cannot count by it");
        json_decref(out);
        return NULL;
    }
    json_object_set_new(out, "policy", json_string("local"));
    put_answer(c, item, config, out);
    if (policy && !node_is(policy, "local"))
        leave_out(c, item, policy, "plugin \"limit-count\": policy: counted on each keygate alone");
    if (sliding && !node_is(sliding, "fixed"))
        leave_out(c, item, sliding, "plugin \"limit-count\": window_type: windows are fixed");
    leave_unknown(c, item, config, "plugin \"limit-count\": ", known);
    return out;
}
