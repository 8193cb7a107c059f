/* SPDX-License-Identifier: BSD-2-Clause */
/* A plugin that is not there is refused by its name: nobody is to believe in a policy that does nothing. */
#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* Those that Kong brings along, of its free edition, and some that it does not. */
static const char *const others[] = {
    "ai-proxy",
    "aws-lambda",
    "azure-functions",
    "basic-auth",
    "bot-detection",
    "cors",
    "datadog",
    "file-log",
    "grpc-gateway",
    "grpc-web",
    "header-cert-auth",
    "hmac-auth",
    "http-log",
    "ldap-auth",
    "loggly",
    "oauth2",
    "opentelemetry",
    "post-function",
    "pre-function",
    "prometheus",
    "proxy-cache",
    "redirect",
    "request-transformer",
    "response-ratelimiting",
    "response-transformer",
    "session",
    "standard-webhooks",
    "statsd",
    "syslog",
    "tcp-log",
    "udp-log",
    "zipkin",
    "openid-connect",
    "rate-limiting-advanced",
    "ACL",
    "key_auth",
    "acl ",
};

static void every_other_plugin_is_refused_by_name(void **state)
{
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        json_t *input = json_pack("{s:s,s:{s:s}}", "name", others[i], "config", "any", "thing");
        json_t *plugin = NULL, *problem = NULL;
        char expected[256];

        snprintf(expected, sizeof(expected),
                 "schema violation (name: plugin '%s' not enabled; add it to the 'plugins' configuration "
                 "property)",
                 others[i]);
        if (kg_schema_apply(&kg_entities[KG_PLUGINS], KG_WRITE_CREATE, input, NULL, &plugin, &problem) == 0)
            fail_msg("%s is taken", others[i]);
        assert_string_equal(json_string_value(json_object_get(problem, "message")), expected);
        json_decref(problem);
        json_decref(input);
    }
}

static int set_up(void **state)
{
    kg_policies_register();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_other_plugin_is_refused_by_name) };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
