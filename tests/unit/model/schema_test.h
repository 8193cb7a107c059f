/* SPDX-License-Identifier: BSD-2-Clause */
/* What the schema's tests share: two plugins' types, and JSON in tests. */
#ifndef KG_TESTS_SCHEMA_TEST_H
#define KG_TESTS_SCHEMA_TEST_H

#include "base/clock.h"
#include "base/uuid.h"
#include "model/checks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define ID_A "11111111-1111-4111-8111-111111111111"
#define ID_B "22222222-2222-4222-8222-222222222222"

static inline const char *check_header_name(const json_t *value, char scratch[256])
{
    if (strpbrk(json_string_value(value), " :"))
        return "bad header name";
    return NULL;
}

static const struct kg_field nested_fields[] = {
    { .name = "depth", .type = KG_F_INTEGER, .bounded = true, .min = 1, .max = 9 },
    { .name = "note", .type = KG_F_STRING },
    { 0 },
};

static const struct kg_field keys_config[] = {
    { .name = "key_names",
      .type = KG_F_STRING_SET,
      .required = true,
      .default_json = "[\"apikey\"]",
      .check = check_header_name },
    { .name = "key_in_header", .type = KG_F_BOOLEAN, .required = true, .default_json = "true" },
    { .name = "factor", .type = KG_F_NUMBER, .bounded = true, .min = 0, .max = 2 },
    { .name = "realm", .type = KG_F_STRING },
    { .name = "more", .type = KG_F_RECORD, .required = true, .default_json = "{}", .fields = nested_fields },
    { 0 },
};

static const struct kg_plugin_type keys_plugin = { .name = "keys",
                                                   .config = keys_config,
                                                   .no_consumer = true };
static const struct kg_field limit_config[] = {
    { .name = "minute", .type = KG_F_INTEGER, .required = true, .bounded = true, .min = 1, .max = 1000 },
    { 0 },
};
static inline void check_limit(const json_t *config, json_t *violations)
{
    json_int_t minute = json_integer_value(json_object_get(config, "minute"));

    if (minute == 7)
        kg_violate(violations, NULL, "not a good limit");
    if (minute == 8)
        kg_violate_config(violations, NULL, "not a good config");
    if (minute == 9)
        kg_violate_config(violations, "minute", "not a good minute");
}

static const struct kg_plugin_type limit_plugin = { .name = "limit",
                                                    .config = limit_config,
                                                    .check = check_limit,
                                                    .rules_json = "[{\"at_least_one_of\":[\"x\"]}]" };

static inline json_t *parse(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY, &error);

    if (!value)
        fail_msg("%s in %s", error.text, text);
    return value;
}

static inline void assert_json(const json_t *got, const char *expected)
{
    json_t *want = parse(expected);
    char *text = json_dumps(got, JSON_ENCODE_ANY | JSON_SORT_KEYS);

    if (!json_equal(want, got))
        fail_msg("got  %s\n  want %s", text, expected);
    free(text);
    json_decref(want);
}

static inline int register_plugins(void **state)
{
    kg_plugin_register(&keys_plugin);
    kg_plugin_register(&limit_plugin);
    return 0;
}

#endif
