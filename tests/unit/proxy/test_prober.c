/* SPDX-License-Identifier: BSD-2-Clause */
/* The prober on a real poller, against a small server on the same poller. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/prober.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLIENTS_MAX 64

struct server;

struct visitor {
    struct server *server;
    int fd;
};

/* Answers each connection's first bytes with `answer`, or never. */
struct server {
    struct kg_poller *poller;
    int fd;
    struct sockaddr_in addr;
    const char *answer;
    char asked[4096];
    unsigned accepted, open, most_open;
    struct visitor visitors[CLIENTS_MAX];
};

struct stage {
    struct kg_poller *poller;
    struct kg_prober *prober;
    struct server server;
    struct kg_peer peers[8];
    struct kg_endpoint endpoints[8];
    struct kg_balancer balancer;
};

static void leave(struct visitor *visitor)
{
    kg_poller_remove(visitor->server->poller, visitor->fd);
    close(visitor->fd);
    visitor->fd = -1;
    visitor->server->open--;
}

static void visitor_speaks(void *ctx, uint32_t events)
{
    struct visitor *visitor = ctx;
    struct server *server = visitor->server;
    ssize_t got = recv(visitor->fd, server->asked, sizeof(server->asked) - 1, MSG_DONTWAIT);

    if (got <= 0) {
        leave(visitor);
        return;
    }
    server->asked[got] = '\0';
    if (!server->answer)
        return;
    assert_int_equal(send(visitor->fd, server->answer, strlen(server->answer), MSG_NOSIGNAL),
                     strlen(server->answer));
    leave(visitor);
}

static void visited(void *ctx, uint32_t events)
{
    struct server *server = ctx;
    int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    assert_true(fd >= 0);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct visitor *visitor = &server->visitors[i];

        if (visitor->fd >= 0)
            continue;
        *visitor = (struct visitor){ .server = server, .fd = fd };
        server->accepted++;
        server->open++;
        server->most_open = server->open > server->most_open ? server->open : server->most_open;
        assert_int_equal(kg_poller_add(server->poller, fd, EPOLLIN, visitor_speaks, visitor), 0);
        return;
    }
    fail();
}

static void server_open(struct server *server, struct kg_poller *poller)
{
    socklen_t len = sizeof(server->addr);

    server->poller = poller;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        server->visitors[i].fd = -1;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    server->addr.sin_family = AF_INET;
    server->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&server->addr, len), 0);
    assert_int_equal(listen(server->fd, 64), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&server->addr, &len), 0);
    assert_int_equal(kg_poller_add(poller, server->fd, EPOLLIN, visited, server), 0);
}

/* From here on connections are refused. */
static void server_close(struct server *server)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (server->visitors[i].fd >= 0)
            leave(&server->visitors[i]);
    }
    if (server->fd < 0)
        return;
    kg_poller_remove(server->poller, server->fd);
    close(server->fd);
    server->fd = -1;
}

static void allow(uint64_t set[15], unsigned status)
{
    set[(status - 100) / 64] |= 1ull << (status - 100) % 64;
}

static struct stage *stage_new(size_t count)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    struct kg_error err;

    assert_int_equal(kg_poller_new(&stage->poller, &err), 0);
    assert_int_equal(kg_prober_new(stage->poller, NULL, &stage->prober, &err), 0);
    server_open(&stage->server, stage->poller);
    for (size_t i = 0; i < count; i++) {
        stage->peers[i].number = i + 1;
        stage->endpoints[i] = (struct kg_endpoint){ .addr_len = sizeof(stage->server.addr),
                                                    .host = KG_SLICE("one.test"),
                                                    .host_header = KG_SLICE("one.test:8000"),
                                                    .weight = 1,
                                                    .peer = &stage->peers[i] };
        memcpy(&stage->endpoints[i].addr, &stage->server.addr, sizeof(stage->server.addr));
    }
    stage->balancer = (struct kg_balancer){
        .id = "u",
        .name = KG_SLICE("up"),
        .number = 1,
        .endpoints = stage->endpoints,
        .endpoint_count = count,
        .active = { .successes = 2, .http_failures = 2, .tcp_failures = 2, .timeouts = 2 },
        .probe = { .path = KG_SLICE("/health"),
                   .timeout_ms = 100,
                   .concurrency = 10,
                   .healthy_interval_ms = 50,
                   .unhealthy_interval_ms = 50 },
    };
    allow(stage->balancer.active.healthy_statuses, 200);
    allow(stage->balancer.active.unhealthy_statuses, 500);
    stage->server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    return stage;
}

static void follow(struct stage *stage)
{
    kg_prober_begin(stage->prober);
    kg_prober_add(stage->prober, &stage->balancer);
    kg_prober_commit(stage->prober);
}

static void stage_free(struct stage *stage)
{
    kg_prober_free(stage->prober);
    server_close(&stage->server);
    kg_poller_free(stage->poller);
    free(stage);
}

static bool peer_is(const struct stage *stage, bool unhealthy)
{
    return atomic_load(&stage->peers[0].unhealthy) == unhealthy;
}

/* Runs until it is so; fails after 10 s. */
static void expect_unhealthy(struct stage *stage, bool unhealthy)
{
    uint64_t until = kg_clock_ms() + 10000;

    while (!peer_is(stage, unhealthy) && kg_clock_ms() < until)
        kg_poller_step(stage->poller, 100);
    assert_true(peer_is(stage, unhealthy));
}

static void run_until_accepted(struct stage *stage, unsigned count)
{
    uint64_t until = kg_clock_ms() + 10000;

    while (stage->server.accepted < count && kg_clock_ms() < until)
        kg_poller_step(stage->poller, 100);
    assert_true(stage->server.accepted >= count);
}

static void bad_statuses_take_out_and_good_ones_bring_back(void **state)
{
    struct stage *stage = stage_new(1);

    stage->server.answer = "HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n";
    follow(stage);
    expect_unhealthy(stage, true);
    assert_int_equal(stage->server.accepted, 2);
    stage->server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    expect_unhealthy(stage, false);
    assert_int_equal(stage->server.accepted, 4);
    stage_free(stage);
}

static void the_question_has_path_host_and_headers(void **state)
{
    struct stage *stage = stage_new(1);

    stage->balancer.probe.headers = KG_SLICE("X-Probe: yes\r\n");
    follow(stage);
    run_until_accepted(stage, 2);
    assert_string_equal(stage->server.asked,
                        "GET /health HTTP/1.1\r\nHost: one.test:8000\r\n"
                        "User-Agent: keygate\r\nConnection: close\r\nX-Probe: yes\r\n\r\n");
    stage_free(stage);
}

static void the_upstreams_host_header_wins(void **state)
{
    struct stage *stage = stage_new(1);

    stage->balancer.host_header = KG_SLICE("up.test");
    follow(stage);
    run_until_accepted(stage, 2);
    assert_non_null(strstr(stage->server.asked, "\r\nHost: up.test\r\n"));
    stage_free(stage);
}

/* A ClientHello names the server in plain text. */
static void asked_over_tls_a_name_is_without_its_root_dot(void **state)
{
    struct stage *stage = stage_new(1);

    stage->endpoints[0].host = KG_SLICE("one.test.");
    stage->balancer.probe.https = true;
    follow(stage);
    expect_unhealthy(stage, true);
    size_t len = sizeof(stage->server.asked);
    assert_non_null(memmem(stage->server.asked, len, "\0\x08one.test", 10));
    assert_null(memmem(stage->server.asked, len, "one.test.", 9));
    stage_free(stage);
}

static void a_refused_connection_is_a_failure(void **state)
{
    struct stage *stage = stage_new(1);

    server_close(&stage->server);
    follow(stage);
    expect_unhealthy(stage, true);
    assert_int_equal(atomic_load(&stage->peers[0].tcp_failures), 2);
    stage_free(stage);
}

static void an_answer_that_is_no_http_is_a_failure(void **state)
{
    struct stage *stage = stage_new(1);

    stage->server.answer = "hello\r\n\r\n";
    follow(stage);
    expect_unhealthy(stage, true);
    assert_int_equal(atomic_load(&stage->peers[0].tcp_failures), 2);
    stage_free(stage);
}

static void silence_is_a_timeout(void **state)
{
    struct stage *stage = stage_new(1);

    stage->server.answer = NULL;
    follow(stage);
    expect_unhealthy(stage, true);
    assert_int_equal(atomic_load(&stage->peers[0].timeouts), 2);
    stage_free(stage);
}

static void interim_answers_are_not_the_answer(void **state)
{
    struct stage *stage = stage_new(1);

    stage->server.answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 500 Bad\r\n\r\n";
    follow(stage);
    expect_unhealthy(stage, true);
    assert_int_equal(atomic_load(&stage->peers[0].http_failures), 2);
    stage_free(stage);
}

static void of_type_tcp_connecting_is_all(void **state)
{
    struct stage *stage = stage_new(1);

    stage->balancer.active.tcp_only = true;
    atomic_store(&stage->peers[0].unhealthy, true);
    stage->server.answer = NULL;
    follow(stage);
    expect_unhealthy(stage, false);
    assert_string_equal(stage->server.asked, "");
    server_close(&stage->server);
    expect_unhealthy(stage, true);
    stage_free(stage);
}

static void an_interval_of_0_probes_nobody_in_that_state(void **state)
{
    struct stage *stage = stage_new(1);

    stage->balancer.probe.healthy_interval_ms = 0;
    follow(stage);
    for (uint64_t until = kg_clock_ms() + 300; kg_clock_ms() < until;)
        kg_poller_step(stage->poller, 50);
    assert_int_equal(stage->server.accepted, 0);
    atomic_store(&stage->peers[0].unhealthy, true);
    expect_unhealthy(stage, false);
    assert_int_equal(stage->server.accepted, 2);
    stage_free(stage);
}

static void no_more_than_concurrency_at_a_time(void **state)
{
    struct stage *stage = stage_new(8);

    stage->server.answer = NULL;
    stage->balancer.probe.concurrency = 3;
    follow(stage);
    run_until_accepted(stage, 12);
    assert_int_equal(stage->server.most_open, 3);
    stage_free(stage);
}

static void who_never_answers_leaves_places_to_the_others(void **state)
{
    struct stage *stage = stage_new(8);
    uint64_t until = kg_clock_ms() + 10000;
    size_t out = 0;

    /* As long as it takes to give one up, it is due again. */
    stage->server.answer = NULL;
    stage->balancer.probe.concurrency = 2;
    follow(stage);
    while (out < 8 && kg_clock_ms() < until) {
        kg_poller_step(stage->poller, 100);
        out = 0;
        for (size_t i = 0; i < 8; i++)
            out += atomic_load(&stage->peers[i].unhealthy);
    }
    assert_int_equal(out, 8);
    stage_free(stage);
}

static void who_is_no_longer_there_is_probed_no_more(void **state)
{
    struct stage *stage = stage_new(1);

    stage->server.answer = NULL;
    follow(stage);
    run_until_accepted(stage, 1); /* and it is running */
    kg_prober_begin(stage->prober);
    kg_prober_commit(stage->prober);
    memset(&stage->peers[0], 0xff, sizeof(stage->peers[0])); /* whoever looks finds it unhealthy */
    unsigned before = stage->server.accepted;
    for (uint64_t until = kg_clock_ms() + 300; kg_clock_ms() < until;)
        kg_poller_step(stage->poller, 50);
    assert_int_equal(stage->server.accepted, before);
    for (size_t i = 0; i < sizeof(stage->peers[0]); i++)
        assert_int_equal(((unsigned char *)&stage->peers[0])[i], 0xff);
    stage_free(stage);
}

static void an_unchanged_balancer_goes_on_where_it_was(void **state)
{
    struct stage *stage = stage_new(1);

    stage->server.answer = NULL;
    stage->balancer.probe.timeout_ms = 60000;
    follow(stage);
    run_until_accepted(stage, 1);
    /* However often snapshots come, the running probe stays. */
    for (int i = 0; i < 10; i++) {
        follow(stage);
        kg_poller_step(stage->poller, 60);
    }
    assert_int_equal(stage->server.accepted, 1);
    assert_int_equal(stage->server.open, 1);
    stage_free(stage);
}

static void a_new_version_keeps_to_the_interval(void **state)
{
    struct stage *stage = stage_new(1);

    stage->balancer.probe.healthy_interval_ms = 60000;
    follow(stage);
    run_until_accepted(stage, 1);
    for (int i = 0; i < 10; i++) {
        stage->balancer.number++;
        follow(stage);
        kg_poller_step(stage->poller, 60);
    }
    assert_int_equal(stage->server.accepted, 1);
    stage_free(stage);
}

static void a_running_probe_goes_on_when_its_upstream_changes(void **state)
{
    struct stage *stage = stage_new(2);
    uint64_t until = kg_clock_ms() + 10000;

    stage->server.answer = NULL;
    stage->balancer.probe.timeout_ms = 200;
    while (!peer_is(stage, true) && kg_clock_ms() < until) {
        stage->balancer.number++;
        stage->balancer.endpoint_count = 1 + stage->balancer.number % 2;
        follow(stage);
        kg_poller_step(stage->poller, 60);
    }
    assert_true(peer_is(stage, true));
    stage_free(stage);
}

static void a_probe_that_would_ask_something_else_does_not_go_on(void **state)
{
    struct stage *stage = stage_new(1);

    stage->server.answer = NULL;
    stage->balancer.probe.timeout_ms = 60000;
    follow(stage);
    run_until_accepted(stage, 1);
    stage->balancer.number++;
    stage->balancer.probe.path = KG_SLICE("/other");
    follow(stage);
    run_until_accepted(stage, 2);
    while (!strstr(stage->server.asked, "GET /other"))
        kg_poller_step(stage->poller, 100);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_statuses_take_out_and_good_ones_bring_back),
        cmocka_unit_test(the_question_has_path_host_and_headers),
        cmocka_unit_test(the_upstreams_host_header_wins),
        cmocka_unit_test(asked_over_tls_a_name_is_without_its_root_dot),
        cmocka_unit_test(a_refused_connection_is_a_failure),
        cmocka_unit_test(an_answer_that_is_no_http_is_a_failure),
        cmocka_unit_test(silence_is_a_timeout),
        cmocka_unit_test(interim_answers_are_not_the_answer),
        cmocka_unit_test(of_type_tcp_connecting_is_all),
        cmocka_unit_test(an_interval_of_0_probes_nobody_in_that_state),
        cmocka_unit_test(no_more_than_concurrency_at_a_time),
        cmocka_unit_test(who_never_answers_leaves_places_to_the_others),
        cmocka_unit_test(who_is_no_longer_there_is_probed_no_more),
        cmocka_unit_test(an_unchanged_balancer_goes_on_where_it_was),
        cmocka_unit_test(a_new_version_keeps_to_the_interval),
        cmocka_unit_test(a_running_probe_goes_on_when_its_upstream_changes),
        cmocka_unit_test(a_probe_that_would_ask_something_else_does_not_go_on),
    };

    kg_log_set_level(KG_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
