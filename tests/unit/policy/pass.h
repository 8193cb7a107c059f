/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of policies share: a config taken by the schema, and one request's pass through one policy.
 */
#ifndef KG_TESTS_PASS_H
#define KG_TESTS_PASS_H

#include "http/framing.h"
#include "policy/policy.h"
#include "read_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* One pass, with all that the outcome points into. */
struct pass {
    char text[8192];
    char space[131072], up[4096], down[2032];
    struct kg_head head;
    struct kg_framing framing;
    struct kg_target target;
    struct kg_writer scratch;
    struct kg_addr address;
    struct kg_service service;
    struct kg_route route;
    struct kg_policy_request request;
    void *config;
    bool on;
};

static inline json_t *parsed(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY, &error);

    if (!value)
        fail_msg("%s in %s", error.text, text);
    return value;
}

static inline json_t *plugin_input(const struct kg_policy *policy, const char *config)
{
    return json_pack("{s:s,s:o}", "name", policy->type.name, "config", parsed(config));
}

/* The whole config that the schema makes of this one. */
static inline json_t *whole_config(const struct kg_policy *policy, const char *config)
{
    json_t *input = plugin_input(policy, config), *plugin = NULL, *problem = NULL;

    if (kg_schema_apply(&kg_entities[KG_PLUGINS], KG_WRITE_CREATE, input, NULL, &plugin, &problem) != 0)
        fail_msg("%s: %s", config, json_string_value(json_object_get(problem, "message")));
    json_t *whole = json_incref(json_object_get(plugin, "config"));
    json_decref(plugin);
    json_decref(input);
    return whole;
}

static inline void assert_config(const struct kg_policy *policy, const char *config, const char *expected)
{
    json_t *whole = whole_config(policy, config), *wanted = parsed(expected);

    if (!json_equal(whole, wanted))
        fail_msg("%s became %s", config, json_dumps(whole, 0));
    json_decref(wanted);
    json_decref(whole);
}

/* The schema refuses the config with these words, without "schema violation (" and ")". */
static inline void assert_config_refused(const struct kg_policy *policy, const char *config,
                                         const char *words)
{
    json_t *input = plugin_input(policy, config), *plugin = NULL, *problem = NULL;
    char expected[1024];

    snprintf(expected, sizeof(expected), "schema violation (%s)", words);
    if (kg_schema_apply(&kg_entities[KG_PLUGINS], KG_WRITE_CREATE, input, NULL, &plugin, &problem) == 0)
        fail_msg("%s is taken", config);
    assert_string_equal(json_string_value(json_object_get(problem, "message")), expected);
    json_decref(problem);
    json_decref(input);
}

/* Lays out the request, headers being whole lines with their CRLF; what else it has can be set before `run`.
 */
static inline struct pass *new_pass(const struct kg_policy *policy, const char *config, const char *line,
                                    const char *headers)
{
    static struct pass p;
    json_t *whole = whole_config(policy, config);

    p = (struct pass){ .config = policy->type.compile(whole) };
    json_decref(whole);
    read_request(line, headers, p.text, sizeof(p.text), &p.head, &p.framing, &p.target);
    p.scratch = kg_writer_of(p.space, sizeof(p.space));
    p.route.service = &p.service;
    p.request = (struct kg_policy_request){
        .route = &p.route,
        .head = &p.head,
        .framing = &p.framing,
        .target = &p.target,
        .path = p.target.path,
        .address = &p.address,
        .id = KG_SLICE("0123456789abcdef0123456789abcdef"),
        .query = p.target.query,
        .has_query = p.target.has_query,
        .scratch = &p.scratch,
        .to_upstream = kg_writer_of(p.up, sizeof(p.up)),
        .to_client = kg_writer_of(p.down, sizeof(p.down)),
    };
    return &p;
}

/* The pass itself. The config lives until `end`. */
static inline struct pass *run(const struct kg_policy *policy, struct pass *p)
{
    p->on = policy->access(p->config, &p->request);
    return p;
}

static inline void end(const struct kg_policy *policy, struct pass *p)
{
    policy->type.release(p->config);
}

static inline void assert_slice(struct kg_slice seen, const char *expected)
{
    if (!kg_slice_eq(seen, kg_slice_str(expected)))
        fail_msg("wanted [%s], seen [%.*s]", expected, (int)seen.len, seen.ptr);
}

static inline void assert_answer(const struct pass *p, unsigned status, const char *message)
{
    assert_false(p->on);
    assert_int_equal(p->request.status, status);
    assert_slice(p->request.message, message);
}

static inline int register_policies(void **state)
{
    kg_policies_register();
    return 0;
}

#endif
