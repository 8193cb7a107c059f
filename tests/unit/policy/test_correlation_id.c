/* SPDX-License-Identifier: BSD-2-Clause */
#include "pass.h"

#include "base/uuid.h"

#include <arpa/inet.h>
#include <unistd.h>

static const struct kg_policy *const policy = &kg_policy_correlation_id;

/* The value in a line of header lines; fails when there is not exactly this line. */
static const char *value_of(const struct kg_writer *lines, const char *name)
{
    static char value[1024];
    struct kg_slice all = kg_writer_slice(lines);
    size_t skip = strlen(name) + 2;

    assert_true(all.len > skip + 2 && all.len < sizeof(value) && strncmp(all.ptr, name, skip - 2) == 0);
    assert_memory_equal(all.ptr + skip - 2, ": ", 2);
    assert_memory_equal(all.ptr + all.len - 2, "\r\n", 2);
    snprintf(value, sizeof(value), "%.*s", (int)(all.len - skip - 2), all.ptr + skip);
    assert_null(strpbrk(value, "\r\n"));
    return value;
}

static const char *made(const char *config, const char *headers)
{
    struct pass *p = run(policy, new_pass(policy, config, "GET /", headers));

    assert_true(p->on);
    assert_int_equal(p->request.to_client.len, 0);
    const char *value = value_of(&p->request.to_upstream, "Kong-Request-ID");
    end(policy, p);
    return value;
}

/* ---- configuration ---- */

static void has_kongs_defaults(void **state)
{
    assert_config(
        policy, "{}",
        "{\"header_name\":\"Kong-Request-ID\",\"generator\":\"uuid#counter\",\"echo_downstream\":false}");
    assert_int_equal(policy->type.priority, 100001);
}

static void refuses_what_it_cannot_do(void **state)
{
    assert_config_refused(policy, "{\"generator\":\"random\"}",
                          "config.generator: expected one of: uuid, uuid#counter, tracker");
    assert_config_refused(policy, "{\"echo_downstream\":\"yes\"}",
                          "config.echo_downstream: expected a boolean");
    assert_config_refused(policy, "{\"header_name\":\"a b\"}",
                          "config.header_name: 'a b' is not a valid header name");
    assert_config_refused(policy, "{\"header_name\":\"\"}", "config.header_name: length must be at least 1");
    assert_config_refused(policy, "{\"header\":\"x\"}", "config.header: unknown field");
}

static void refuses_headers_that_are_the_gateways_own(void **state)
{
    static const char *const own[] = { "Host", "content-length", "Via", "X-Consumer-ID", "X_Forwarded_For" };
    char config[128], words[128];

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        snprintf(config, sizeof(config), "{\"header_name\":\"%s\"}", own[i]);
        snprintf(words, sizeof(words), "config.header_name: '%s' is written by the gateway itself", own[i]);
        assert_config_refused(policy, config, words);
    }
    json_decref(whole_config(policy, "{\"header_name\":\"X-Request-ID\"}"));
}

static void a_name_has_a_length(void **state)
{
    char config[200];

    snprintf(config, sizeof(config), "{\"header_name\":\"%0129d\"}", 0);
    assert_config_refused(policy, config, "config.header_name: length must be at most 128");
}

/* ---- making one ---- */

static void a_uuid_is_another_one_each_time(void **state)
{
    static const char config[] = "{\"generator\":\"uuid\"}";
    char first[64];

    snprintf(first, sizeof(first), "%s", made(config, ""));
    assert_true(kg_uuid_valid(kg_slice_str(first)));
    assert_int_equal(first[14], '4');
    assert_string_not_equal(first, made(config, ""));
}

static void uuid_and_counter_counts_what_a_worker_has_made(void **state)
{
    char first[64], expected[64];

    snprintf(first, sizeof(first), "%s", made("{}", ""));
    assert_int_equal(first[36], '#');
    assert_true(kg_uuid_valid(kg_slice_of(first, 36)));
    snprintf(expected, sizeof(expected), "%.37s%d", first, (int)strtol(first + 37, NULL, 10) + 1);
    assert_string_equal(made("{}", ""), expected);
}

static void a_rehearsal_counts_nothing(void **state)
{
    char rehearsed[64];
    struct pass *p = new_pass(policy, "{}", "GET /", "");

    p->request.rehearsal = true;
    run(policy, p);
    snprintf(rehearsed, sizeof(rehearsed), "%s", value_of(&p->request.to_upstream, "Kong-Request-ID"));
    end(policy, p);
    assert_string_equal(made("{}", ""), rehearsed);
}

static void a_tracker_says_where_and_when(void **state)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct pass *p = new_pass(policy, "{\"generator\":\"tracker\"}", "GET /", "");
    char expected[128];

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    p->request.connection = (struct kg_policy_connection){ fd, 9080, 128, 3 };
    run(policy, p);
    const char *value = value_of(&p->request.to_upstream, "Kong-Request-ID");
    snprintf(expected, sizeof(expected), "127.0.0.1-9080-%d-128-3-", (int)getpid());
    assert_int_equal(strncmp(value, expected, strlen(expected)), 0);
    const char *when = value + strlen(expected), *dot = strchr(when, '.');
    assert_non_null(dot);
    assert_int_equal(strspn(when, "0123456789"), (size_t)(dot - when));
    assert_int_equal(strlen(dot + 1), 3);
    assert_int_equal(strspn(dot + 1, "0123456789"), 3);
    end(policy, p);
    close(fd);
}

static void a_tracker_without_a_socket_names_none(void **state)
{
    struct pass *p = new_pass(policy, "{\"generator\":\"tracker\"}", "GET /", "");

    p->request.connection = (struct kg_policy_connection){ .fd = -1, .port = 9080 };
    run(policy, p);
    assert_int_equal(strncmp(value_of(&p->request.to_upstream, "Kong-Request-ID"), "0.0.0.0-9080-", 13), 0);
    end(policy, p);
}

/* ---- the client's own ---- */

static void what_the_client_sends_stays(void **state)
{
    assert_string_equal(made("{}", "kong-request-id: mine; 1\r\n"), "mine; 1");
    assert_string_equal(made("{}", "Kong-Request-ID: one\r\nKong-Request-ID: two\r\n"), "one");
}

static void what_cannot_be_one_is_replaced(void **state)
{
    char longest[300], too_long[300];

    assert_int_equal(made("{}", "Kong-Request-ID:\r\n")[36], '#');
    assert_int_equal(made("{}", "Kong-Request-ID: a\tb\r\n")[36], '#');
    assert_int_equal(made("{}", "Kong-Request-ID: caf\xc3\xa9\r\n")[36], '#');
    assert_int_equal(made("{}", "Connection: kong-request-id\r\nKong-Request-ID: x\r\n")[36], '#');
    snprintf(longest, sizeof(longest), "Kong-Request-ID: %0256d\r\n", 7);
    snprintf(too_long, sizeof(too_long), "Kong-Request-ID: %0257d\r\n", 7);
    assert_int_equal(strlen(made("{}", longest)), 256);
    assert_int_equal(made("{}", too_long)[36], '#');
}

static void echo_downstream_tells_the_client_the_same(void **state)
{
    struct pass *p = new_pass(policy, "{\"header_name\":\"X-Trace\",\"echo_downstream\":true}", "GET /", "");
    char up[128];

    run(policy, p);
    snprintf(up, sizeof(up), "%s", value_of(&p->request.to_upstream, "X-Trace"));
    assert_string_equal(value_of(&p->request.to_client, "X-Trace"), up);
    end(policy, p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_kongs_defaults),
        cmocka_unit_test(refuses_what_it_cannot_do),
        cmocka_unit_test(refuses_headers_that_are_the_gateways_own),
        cmocka_unit_test(a_name_has_a_length),
        cmocka_unit_test(a_uuid_is_another_one_each_time),
        cmocka_unit_test(uuid_and_counter_counts_what_a_worker_has_made),
        cmocka_unit_test(a_rehearsal_counts_nothing),
        cmocka_unit_test(a_tracker_says_where_and_when),
        cmocka_unit_test(a_tracker_without_a_socket_names_none),
        cmocka_unit_test(what_the_client_sends_stays),
        cmocka_unit_test(what_cannot_be_one_is_replaced),
        cmocka_unit_test(echo_downstream_tells_the_client_the_same),
    };

    return cmocka_run_group_tests(tests, register_policies, NULL);
}
